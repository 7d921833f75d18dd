r"""Equal norms, different phases: phase nonreciprocity
===================================================

Paper 2, Figure 1: a pair of coupled Duffing oscillators with unequal masses, :math:`\mu = 2`, driven from either side,
:math:`P = 0.15`. Forward, oscillator 1 is driven and the output is :math:`x_2`; backward, oscillator 2 and :math:`x_1`.
(a1) Output norms over the frequency, dashed where orbits are unstable; (a2), (a3) where the two are equal near the two
resonances; (b), (c) the outputs there, over a period.

Where the norms are equal reciprocity does not hold nevertheless: the outputs differ by a nonreciprocal phase
:math:`\Delta\phi`. ``optimize.equal_norm_points`` finds all such points, wherever the two curves fold. There are
four: two more lie between the resonances, where the two curves all but coincide and :math:`\Delta\phi` is some
:math:`10^{-6}`.
The forward orbit at the first of them is unstable: it lies on the part of the resonance that hangs over.
"""

from typing import NamedTuple

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import duffing, plot
from optimize import EqualNormPoints, equal_norm_points

jax.config.update("jax_enable_x64", True)

PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
AMPLITUDE = 0.15
OMEGA = (0.5, 3.5)
WINDOWS = {"a2": (0.9, 1.0, 0.42, 0.56), "a3": (2.83, 2.97, 0.1, 0.146)}  # ω and N of the close-ups
NAMES = ("forward, $N_F$", "backward, $N_B$")
COLOURS = (plot.FORWARD, plot.BACKWARD)


class Responses(NamedTuple):
    """Both responses, and where their output norms are equal."""

    forward: duffing.OrbitBranch
    backward: duffing.OrbitBranch
    points: EqualNormPoints


def compute(small: bool = False) -> Responses:
    """The two branches and the points of equal norms."""
    settings = {"amplitude": AMPLITUDE, "num_harmonics": 5 if small else 13}
    forward, backward = (duffing.frequency_response(PAIR, omega=OMEGA, port=port, **settings).trim() for port in (0, 1))
    return Responses(forward, backward, equal_norm_points(PAIR, band=OMEGA, **settings).trim())


def draw_norms(ax: Axes, data: Responses) -> None:
    """Output norms over the frequency, with the points of equal norms."""
    for response, out, colour, name in zip((data.forward, data.backward), (1, 0), COLOURS, NAMES, strict=True):
        omega, norm, stable = (np.asarray(x) for x in (response.omega, response.norm[:, out], response.stable))
        ax.plot(omega, np.where(stable, norm, np.nan), color=colour, label=name)
        # Dashes reach to the neighbours on both sides, so that no gap is left at a fold.
        beside = ~stable | ~np.append(stable[1:], True) | ~np.append(True, stable[:-1])
        ax.plot(omega, np.where(beside, norm, np.nan), "--", color=colour, lw=1.1)
    ax.plot(data.points.omega, data.points.norm, "o", color="black", ms=3.5, label="$N_F = N_B$", zorder=3)


def draw_outputs(ax: Axes, points: EqualNormPoints, at: int) -> None:
    """Both outputs at a point, over a period."""
    part = np.linspace(0.0, 1.0, 241)
    omega = float(points.omega[at])
    x = duffing.time_series(points.outputs[at], 2 * np.pi / omega * part, omega=omega, harmonics=points.harmonics)
    for wave, colour, stable, name in zip(x, COLOURS, points.stable[at], ("$x_2^F$", "$x_1^B$"), strict=True):
        text = name if stable else f"{name}, unstable"
        ax.plot(part, wave, "-" if stable else "--", color=colour, label=text)
    ax.axhline(0, color="black", lw=0.5)
    ax.set(xlim=(0, 1), xlabel="time ($t/T$)")
    ax.legend(loc="upper center", ncols=2, fontsize=7)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.25 * (high - low))


def main(small: bool = False) -> Figure:
    """Draw the responses, the two close-ups and the outputs; print the points of equal norms."""
    data = compute(small)
    points = data.points
    for i in range(int(points.count)):
        print(
            f"omega = {float(points.omega[i]):.7f}: N = {float(points.norm[i]):.7f}, R = "
            f"{float(points.reciprocity_norm[i]):.3g}, nonreciprocal phase {float(points.nonreciprocal_phase[i]):.7f}, "
            f"stable: forward {bool(points.stable[i, 0])}, backward {bool(points.stable[i, 1])}"
        )
    with plot.style():
        figure, axes = plt.subplot_mosaic([["a1", "a1"], ["a2", "a3"], ["b", "c"]], figsize=(7.2, 6.6))
        for name in ("a1", "a2", "a3"):
            draw_norms(axes[name], data)
            axes[name].set(xlabel=r"frequency $\omega$")
        axes["a1"].set(xlim=(OMEGA[0], OMEGA[1]), ylim=(0, None), ylabel="output norm")
        axes["a1"].set_title(rf"(a1) $\mu$ = {float(PAIR.mass_ratio):g}, P = {AMPLITUDE:g}")
        axes["a1"].legend(loc="upper right", ncols=3)
        for (name, window), wave, resonance in zip(WINDOWS.items(), "bc", ("first", "second"), strict=True):
            axes[name].set(xlim=window[:2], ylim=window[2:], ylabel="output norm" if name == "a2" else "")
            axes[name].set_title(f"({name}) {resonance} resonance")
            corner, width, height = (window[0], window[2]), window[1] - window[0], window[3] - window[2]
            axes["a1"].add_patch(plt.Rectangle(corner, width, height, fill=False, color=plot.GREY, lw=0.6))
            axes["a1"].text(window[1] + 0.015, window[2], f"({name})", size=7.5, color=plot.GREY)
            inside = (points.omega > window[0]) & (points.omega < window[1])
            at = int(np.flatnonzero(np.asarray(inside))[0])
            draw_outputs(axes[wave], points, at)
            omega, shift = float(points.omega[at]), float(points.nonreciprocal_phase[at])
            axes[wave].set_title(rf"({wave}) $\omega$ = {omega:.4f},  $\Delta\phi$ = {shift:.4f}".replace("-", "−"))
        axes["b"].set_ylabel("displacement")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
