r"""The locus of phase nonreciprocity
=================================

Paper 2, Figure 2: where the norms of both outputs are equal at the second resonance of a pair with :math:`\mu = 2`,
followed as the ratio :math:`r` of grounding stiffnesses grows from 1. (a) The nonreciprocal phase :math:`\Delta\phi`,
(b) the reciprocity norm :math:`R`, (c) the frequency. They vanish together, all but a remainder of :math:`10^{-5}` in
:math:`R` from third harmonics: a second asymmetry restores what the first has broken.

At that point another branch of equal norms crosses, :math:`\omega^2 = (r - 1)/(\mu - 1)` (grey), on which the
oscillators have the same dynamic stiffness: at one harmonic both norms and phases agree all along it, at any
:math:`r`. So :math:`N_F = N_B` and :math:`\Delta\phi = 0` do not determine the point by themselves there; it is where
:math:`\Delta\phi` passes through zero on the locus. In the full pair third harmonics part the two branches by a gap of
some :math:`10^{-5}` of the frequency, over which the continuation goes straight on, and says so.
"""

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import duffing, plot
from diffnr.plot.branches import stable_lines
from optimize import PhaseNonreciprocityLocus, phase_nonreciprocity_locus

jax.config.update("jax_enable_x64", True)

PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
AMPLITUDE = 0.15
RATIOS = (1.0, 14.0)


def compute(small: bool = False) -> PhaseNonreciprocityLocus:
    """The locus through the second resonance."""
    return phase_nonreciprocity_locus(
        PAIR, amplitude=AMPLITUDE, along="stiffness_ratio", bounds=RATIOS, resonance=1, num_harmonics=5 if small else 9
    ).trim()


def draw(ax: Axes, locus: PhaseNonreciprocityLocus, values: np.ndarray, at_zero: float) -> None:
    """One quantity along the locus, solid where both orbits are stable, through the point where Δφ = 0."""
    r, zero = np.asarray(locus.parameter), float(locus.reciprocal.parameter[0])
    stable = np.all(np.asarray(locus.stable), axis=1)
    before = int(np.flatnonzero(r < zero)[-1]) + 1  # r rises all along
    r, values, stable = np.insert(r, before, zero), np.insert(values, before, at_zero), np.insert(stable, before, True)
    stable_lines(ax, r, values, stable, color=plot.FORWARD, label="$N_F = N_B$ (dashed: unstable)")
    ax.plot([zero], [at_zero], "o", color=plot.BACKWARD, ms=4.5, label=r"$\Delta\phi = 0$", zorder=3)
    ax.set(xlim=RATIOS, xlabel="stiffness ratio $r$")


def power_of_ten(x: float) -> str:
    """A small number as one would write it."""
    mantissa, exponent = f"{x:.1e}".split("e")
    return rf"{mantissa}$\times 10^{{{int(exponent)}}}$"


def main(small: bool = False) -> Figure:
    """Draw Δφ, R and ω along the locus; print where Δφ = 0, and the least harmonicity."""
    locus = compute(small)
    point = locus.reciprocal.points
    r, omega, remainder = (float(x[0]) for x in (locus.reciprocal.parameter, point.omega, point.reciprocity_norm))
    least = 1 - float(np.min(np.asarray(locus.harmonicity)))
    across = np.asarray(locus.parameter)[:-1][np.asarray(locus.branch_crossings)]
    print(f"nonreciprocal phase 0 at r = {r:.4f}, omega = {omega:.5f}, where R = {remainder:.3g}")
    print(f"least harmonicity of an output: 1 - {least:.1e}")
    print("another branch crosses beyond r =", ", ".join(f"{x:.2f}" for x in across))
    with plot.style():
        figure, axes = plt.subplot_mosaic("abc", figsize=(7.2, 2.8))
        quantities = {
            "a": (locus.nonreciprocal_phase, 0.0, r"phase $\Delta\phi$ (rad)"),
            "b": (locus.reciprocity_norm, remainder, "reciprocity norm $R$"),
            "c": (locus.omega, omega, r"frequency $\omega$"),
        }
        for name, (values, at_zero, text) in quantities.items():
            draw(axes[name], locus, np.asarray(values), at_zero)
            axes[name].set_title(f"({name}) {text}")
        axes["a"].axhline(0, color="black", lw=0.5)
        axes["a"].text(13.8, 0.3, rf"$r$ = {r:.3f} where $\Delta\phi$ = 0", size=7.5, ha="right", va="top")
        axes["b"].text(13.8, 0.041, f"$R$ = {power_of_ten(remainder)} there", size=7.5, ha="right", va="top")
        axes["b"].set_ylim(-5e-4, None)
        limits, mass = axes["c"].get_ylim(), float(PAIR.mass_ratio)
        ratios = np.linspace(*RATIOS, 200)
        stiffness = r"equal dynamic stiffness, $\omega^2 = (r - 1)/(\mu - 1)$"
        axes["c"].plot(ratios, np.sqrt((ratios - 1) / (mass - 1)), color=plot.GREY, lw=0.8, zorder=1, label=stiffness)
        axes["c"].set_ylim(limits)
        figure.legend(*axes["c"].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        title = rf"$\mu$ = {mass:g}, P = {AMPLITUDE:g}, resonance 2; harmonicity of outputs at least"
        figure.suptitle(f"{title} 1 − {power_of_ten(least)}", size=8.5)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
