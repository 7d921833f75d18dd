r"""Loci of reciprocity in the plane of mass and cubic stiffness
============================================================

Paper 2, Figure 7: the mass ratio :math:`\mu` balanced by that of the cubic springs, :math:`\alpha`, instead of the
linear ones. Drawn are the sets :math:`N_F = N_B` of three values of :math:`R`, at resonance 0 for :math:`P = 0.5`, at
resonance 1 for :math:`P = 1`; dashed is the closed form of one harmonic. All begin beside the equal pair and follow the
resonance to a sharp bend (dots), after which the frequency below moves away towards the anti-resonance.

At resonance 0 one orbit or both are unstable on a part of the set (dotted), at resonance 1 never, as printed. The
printed amplitudes and tolerances are lost from our text; these are ours.
"""

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import optimize as op
from diffnr import duffing, plot

jax.config.update("jax_enable_x64", True)

CASES = {0: (0.5, (0.006, 0.01, 0.014), (1.0, 2.4)), 1: (1.0, (0.001, 0.003, 0.005), (1.0, 1.24))}
ZOOM = {0: (0.8, 5.0), 1: (0.8, 4.5)}  # of alpha
COLOURS = plt.colormaps["viridis"]([0.1, 0.45, 0.8])


def level_set(resonance: int, level: float, small: bool) -> op.ReciprocityLocus:
    """N_F = N_B and R = level in the plane (μ, α)."""
    amplitude, _, bounds = CASES[resonance]
    pair = duffing.DuffingPair(1.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=5 if small else 9)
    return op.reciprocity_level(
        pair, amplitude=amplitude, level=level, along="mass_ratio", bounds=bounds, free="cubic_ratio",
        resonance=resonance, at="equal_norm", max_points=300,
    ).trim()  # fmt: skip


def draw(top: Axes, bottom: Axes, resonance: int, small: bool) -> None:
    """α and ω along the sets of one resonance; bends and changes of stability are printed."""
    amplitude, levels, bounds = CASES[resonance]
    for level, colour in zip(levels[1:2] if small else levels, COLOURS, strict=False):
        locus = level_set(resonance, level, small)
        bend, stable = int(locus.bend), np.all(locus.stable, axis=1)
        near = stable | np.append(stable[1:], False) | np.append(False, stable[:-1])
        changes = np.round(np.asarray(locus.changed_at)[np.asarray(locus.stability_changes)], 4).tolist()
        print(
            f"resonance {resonance}, P = {amplitude}, R = {level}: bend at mu = {locus.parameter[bend]:.5f}, alpha = "
            f"{locus.ratio[bend]:.5f}, omega = {locus.omega[bend]:.5f}; stability changes at mu = {changes}"
        )
        for ax, values in ((top, locus.ratio), (bottom, locus.omega)):
            ax.plot(locus.parameter, np.where(near, values, np.nan), color=colour, label=f"$R = {level:g}$")
            if not np.all(stable):
                ax.plot(locus.parameter, np.where(stable, np.nan, values), ":", color=colour)
            ax.plot(locus.parameter[bend], values[bend], "o", color=colour, ms=3.5, zorder=4)
    pair = duffing.DuffingPair(bounds[1], 1.0, 1.0, 5.0, 1.0, 0.05)
    closed = duffing.one_harmonic_restoration(pair, amplitude=amplitude, free="cubic_ratio", resonance=resonance)
    top.plot(bounds, (1.0, float(closed.ratio)), "--", color=plot.GREY, lw=0.8, label="one harmonic")
    top.set(title=f"resonance {resonance}, $P = {amplitude:g}$", ylabel=r"cubic ratio $\alpha$", ylim=ZOOM[resonance])
    bottom.set(xlabel=r"mass ratio $\mu$", ylabel=r"frequency $\omega$")
    for ax in (top, bottom):
        ax.set(xlim=bounds)
    if resonance == 0:
        top.legend(loc="upper left")
    else:
        bottom.legend(*top.get_legend_handles_labels(), loc="center right")


def main(small: bool = False) -> Figure:
    """Draw the sets of both resonances in the plane (μ, α), and the frequency along them."""
    with plot.style():
        figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.8), height_ratios=(1.5, 1))
        for resonance in (0, 1):
            draw(axes[0, resonance], axes[1, resonance], resonance, small)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
