r"""Loci of restored reciprocity in the plane of mass and stiffness
================================================================

Paper 2, Figure 4: pairs of oscillators with different masses (ratio :math:`\mu`) and springs (ratio :math:`r`) that
answer alike from both sides, for :math:`P = 0.15`, :math:`k_c = 5`, :math:`k_N = 1`, :math:`\zeta = 0.05`.

At resonance 1 reciprocity is restored along a line, and what remains of :math:`R` is some :math:`10^{-5}`: the closed
form of one harmonic, :math:`\mathrm{d}r/\mathrm{d}\mu = \omega_*^2`, holds to a thousandth. At resonance 0 it is
restored only approximately. The grey line has the least :math:`R` at the peak of the output. Coloured are the sets
:math:`N_F = N_B` with :math:`R` equal to a tolerance: each follows the resonance from the equal pair, bends sharply
(dots), and returns towards the equal pair while its frequency leaves the resonance for the anti-resonance, where
:math:`R` is small because little moves. The tighter the tolerance, the closer the bend to the equal pair.

The cross is where the curve :math:`N_F = N_B` itself turns back in :math:`r` for :math:`\mu = 2`. The level set of the
:math:`R` found there touches the line of such points at the cross, and its own largest :math:`\mu` lies beyond.
"""

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import optimize as op
from diffnr import duffing, plot

jax.config.update("jax_enable_x64", True)

PAIR = duffing.DuffingPair(mass_ratio=1.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
PLANE = {"amplitude": 0.15, "along": "mass_ratio", "free": "stiffness_ratio"}
MASSES = (1.0, 2.6)
TOLERANCES = (1e-3, 5e-3, 7e-3, 8e-3, 9.14e-3)
COLOURS = plt.colormaps["viridis"](np.linspace(0.05, 0.85, len(TOLERANCES)))


def level_set(tolerance: float, small: bool) -> op.ReciprocityLocus:
    """N_F = N_B and R = tolerance, along resonance 0 and back at the anti-resonance."""
    pair = duffing.DuffingPair(1.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=5) if small else PAIR
    return op.reciprocity_level(pair, level=tolerance, bounds=MASSES, resonance=0, at="equal_norm", **PLANE).trim()


def draw_level_sets(axes: list[Axes], small: bool) -> None:
    """r and ω along the sets, solid where both orbits are stable; their bends are printed."""
    for tolerance, colour in zip(TOLERANCES[-1:] if small else TOLERANCES, COLOURS, strict=False):
        locus = level_set(tolerance, small)
        bend = int(locus.bend)
        print(
            f"R = {tolerance:.3g}: bend at mu = {locus.parameter[bend]:.5f}, r = {locus.ratio[bend]:.5f}, "
            f"omega = {locus.omega[bend]:.5f}; at the end omega = {locus.omega[-1]:.5f}"
        )
        stable = np.all(locus.stable, axis=1)
        for ax, values in zip(axes, (locus.ratio, locus.omega), strict=True):
            ax.plot(locus.parameter, np.where(stable, values, np.nan), color=colour, label=f"{1e3 * tolerance:g}")
            if not np.all(stable):
                ax.plot(locus.parameter, np.where(stable, np.nan, values), ":", color=colour)
            ax.plot(locus.parameter[bend], values[bend], "o", color=colour, ms=3.5, zorder=4)


def draw_resonances(axes: list[Axes], small: bool) -> None:
    """Restored ratios at the peaks of both resonances, and the closed form."""
    for resonance, colour in ((1, plot.BACKWARD), (0, plot.GREY)):
        locus = op.reciprocity_locus(PAIR, bounds=MASSES, resonance=resonance, points=3 if small else 25, **PLANE)
        closed = closed_slope(resonance)
        slope = (locus.ratio[-1] - locus.ratio[0]) / (locus.parameter[-1] - locus.parameter[0])
        print(
            f"resonance {resonance}: dr/dmu = {slope:.5f} (one harmonic: {closed:.5f}), R up to "
            f"{np.nanmax(locus.reciprocity_norm):.4g}, stable: {bool(np.all(locus.stable))}"
        )
        label = f"resonance {resonance}: slope {slope:.3f}"
        axes[0].plot(
            locus.parameter, locus.ratio, color=colour, lw=3 if resonance == 0 else 1.4, alpha=0.55, label=label
        )
        axes[0].plot(MASSES, 1 + closed * (np.asarray(MASSES) - 1), "--", color="black", lw=0.8)
        if resonance == 0:
            axes[1].plot(locus.parameter, locus.omega, color=colour, lw=3, alpha=0.55)
    axes[0].plot([], [], "--", color="black", lw=0.8, label="one harmonic")


def closed_slope(resonance: int) -> float:
    """dr/dμ = ω*² of one harmonic."""
    point = duffing.one_harmonic_restoration(PAIR, amplitude=0.15, free="stiffness_ratio", resonance=resonance)
    return float(point.omega) ** 2


def main(small: bool = False) -> Figure:
    """Draw both loci in the plane of the ratios, and the frequency along those of resonance 0; print the bends."""
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), width_ratios=(1, 1))
        draw_resonances(list(axes), small)
        draw_level_sets(list(axes), small)
        if not small:  # it compiles for many seconds, and is tested by itself
            turn = op.restore_reciprocity(
                duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05),
                amplitude=0.15, free="stiffness_ratio", resonance=0, at="bend",
            )  # fmt: skip
            print(f"N_F = N_B turns back at mu = 2: r = {turn.ratio:.5f}, R = {turn.reciprocity_norm:.5g}")
            for ax, value in zip(axes, (turn.ratio, turn.omega), strict=True):
                ax.plot(2.0, value, "x", color="black", ms=6, zorder=5)
        axes[0].set(xlim=MASSES, ylim=(1, 3.4), xlabel=r"mass ratio $\mu$", ylabel=r"stiffness ratio $r$")
        axes[1].set(xlim=MASSES, xlabel=r"mass ratio $\mu$", ylabel=r"frequency $\omega$ at resonance 0")
        axes[0].set_title("pairs with restored reciprocity")
        axes[1].set_title("level sets leave the resonance")
        lines, labels = axes[0].get_legend_handles_labels()
        axes[0].legend(lines[:3], labels[:3], loc="lower right")
        axes[1].legend(lines[3:], labels[3:], title=r"$10^3\, R$", loc="center right")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
