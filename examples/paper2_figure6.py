r"""Loci of reciprocity under stronger forces
=========================================

Paper 2, Figure 6: how the loci of Figure 4 change with the force. At resonance 0 the sets :math:`N_F = N_B`,
:math:`R = 0.005` follow the resonance to a bend (dots). For :math:`P \geq 0.15` they then turn back, and out again at
the anti-resonance. Weaker forces leave less of third harmonics: the sets begin farther from the equal pair, and after
the bend they go out with their frequency still near the resonance.

At resonance 1 and :math:`P = 1` the set :math:`R = 10^{-3}` follows the resonance too, and then goes over the fold of
the response (dot) onto the middle branch: restored, but unstable (dotted). On the right the pair of :math:`\mu = 1.2`,
:math:`r = 3.45`: at :math:`\omega = \sqrt{(r - 1)/(\mu - 1)} = 3.5` both responses cross on all three branches.
All three are nearly reciprocal, and the middle one is unstable, with the outputs drawn below: they agree, and neither
can be observed.

:math:`R` and :math:`\mu` of the printed figure are lost from our text; these are ours.
"""

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import optimize as op
from diffnr import duffing, plot

jax.config.update("jax_enable_x64", True)

FORCES = (0.05, 0.1, 0.15, 0.2, 0.3)
COLOURS = plt.colormaps["viridis"](np.linspace(0.05, 0.85, len(FORCES)))
BOUNDS = (1.0, 2.2)
OMEGA = 3.5  # where the branches cross


def oscillators(mass: float = 1.0, stiffness: float = 1.0, small: bool = False) -> duffing.DuffingPair:
    """The paper's pair with other ratios."""
    return duffing.DuffingPair(mass, stiffness, 1.0, 5.0, 1.0, 0.05, num_harmonics=5 if small else 9)


def level_set(amplitude: float, level: float, resonance: int, small: bool) -> op.ReciprocityLocus:
    """N_F = N_B and R = level from the equal pair on."""
    return op.reciprocity_level(
        oscillators(small=small), amplitude=amplitude, level=level, along="mass_ratio", bounds=BOUNDS,
        free="stiffness_ratio", resonance=resonance, at="equal_norm", max_points=300,
    ).trim()  # fmt: skip


def draw_locus(ax: Axes, locus: op.ReciprocityLocus, **style) -> None:
    """Solid where both orbits are stable, dotted where not."""
    stable = np.all(locus.stable, axis=1)
    near = stable | np.append(stable[1:], False) | np.append(False, stable[:-1])
    ax.plot(locus.parameter, np.where(near, locus.ratio, np.nan), **style)
    if not np.all(stable):
        ax.plot(locus.parameter, np.where(stable, np.nan, locus.ratio), ":", color=style["color"])


def draw_first(ax: Axes, small: bool) -> None:
    """Resonance 0 for several forces."""
    for amplitude, colour in zip(FORCES[2:3] if small else FORCES, COLOURS, strict=False):
        locus = level_set(amplitude, 0.005, 0, small)
        bend = int(locus.bend)
        turns = bend + 1 < locus.parameter.size
        how = "bend" if turns else "no bend, ends"
        print(
            f"resonance 0, P = {amplitude}: {how} at mu = {locus.parameter[bend]:.5f}, "
            f"r = {locus.ratio[bend]:.5f}; omega from {locus.omega[0]:.4f} to {locus.omega[-1]:.4f}; "
            f"stable: {bool(np.all(locus.stable))}"
        )
        draw_locus(ax, locus, color=colour, label=f"$P = {amplitude:g}$")
        if turns:
            ax.plot(locus.parameter[bend], locus.ratio[bend], "o", color=colour, ms=3)
    ax.set(xlabel=r"$\mu$", ylabel="$r$", title="resonance 0, $R = 0.005$", xlim=BOUNDS)
    ax.legend()


def draw_second(ax: Axes, small: bool) -> None:
    """Resonance 1 at P = 1, and where it loses stability."""
    locus = level_set(1.0, 1e-3, 1, small)
    draw_locus(ax, locus, color=plot.BACKWARD)
    change = int(np.argmax(locus.stability_changes))
    mass = locus.changed_at[change]
    stiffness = np.interp(mass, locus.parameter[change : change + 2], locus.ratio[change : change + 2])
    ax.plot(mass, stiffness, "o", color=plot.BACKWARD, ms=3.5, zorder=4)
    ax.annotate("fold", (mass, stiffness), (6, -10), textcoords="offset points")
    ax.annotate("right panels", (1.2, 3.45), (6, -10), textcoords="offset points")
    print(
        f"resonance 1, P = 1: stable up to mu = {mass:.4f}, r = {stiffness:.4f}, between mu = "
        f"{locus.parameter[change]:.5f} and {locus.parameter[change + 1]:.5f}; "
        f"multipliers beyond: {locus.growth[change + 1]}"
    )
    ax.plot(1.2, 3.45, "x", color="black", ms=5)
    ax.set(xlabel=r"$\mu$", ylabel="$r$", title="resonance 1, $P = 1$, $R = 0.001$", xlim=(1, 1.6), ylim=(1, 8.5))


def draw_response(ax: Axes, outputs: Axes, small: bool) -> None:
    """Both responses around the crossing, and both outputs of the unstable branch in time."""
    pair = oscillators(1.2, 3.45, small)
    found = []
    for port, colour, name in ((0, plot.FORWARD, "forward"), (1, plot.BACKWARD, "backward")):
        out = 1 - port
        curve = duffing.frequency_response(pair, amplitude=1.0, omega=(3.0, 4.0), port=port)
        found.append(curve.at(OMEGA, most=3))
        shown = curve.trim()
        norm = shown.norm[:, out]
        ax.plot(shown.omega, np.where(shown.stable, norm, np.nan), color=colour, label=name)
        ax.plot(shown.omega, np.where(shown.stable, np.nan, norm), ":", color=colour)
        tau = np.linspace(0, 4 * np.pi, 201)
        x = np.real(np.exp(1j * np.outer(tau, pair.harmonics)) @ np.asarray(found[-1].b[1, out]))
        outputs.plot(tau / (2 * np.pi), x, "-" if port == 0 else "--", color=colour)
    forward, backward = found
    ax.plot([OMEGA] * 3, forward.norm[:, 1], "o", color="black", ms=3, zorder=4)
    for orbit in range(3):
        R = np.sqrt(0.5 * np.sum(np.abs(forward.b[orbit, 1] - backward.b[orbit, 0]) ** 2))
        stable = "stable" if forward.stable[orbit] and backward.stable[orbit] else "unstable"
        size = abs(forward.multipliers[orbit, 0])
        print(f"omega = {OMEGA}: N = {forward.norm[orbit, 1]:.4f}, R = {R:.4g}, {stable}, multiplier {size:.4f}")
        ax.annotate(f"$R$ = {R:.1e}, {stable}", (3.55, forward.norm[orbit, 1]), va="center", size=7)  # fmt: skip
    ax.set(xlabel=r"frequency $\omega$", ylabel="output $N$", xlim=(3.2, 3.7), ylim=(0, 1.08))
    ax.set_title(r"three reciprocal orbits at $\omega = 3.5$")
    ax.legend(loc="upper left")
    outputs.set(xlabel="time (periods)", ylabel="output", xlim=(0, 2), title="the unstable one, from both sides")


def main(small: bool = False) -> Figure:
    """Draw loci of both resonances, and the response and the outputs where reciprocity is unstable."""
    with plot.style():
        figure, axes = plt.subplot_mosaic("AC;BD", figsize=(7.2, 5.0), height_ratios=(1.3, 1))
        draw_first(axes["A"], small)
        draw_second(axes["B"], small)
        draw_response(axes["C"], axes["D"], small)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
