"""The figure of a restoration: both responses and where they agree, the two outputs in time, and the locus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr import duffing, plot
from diffnr.duffing import OrbitBranch
from optimize.reciprocity import Restoration
from optimize.reciprocity_locus import ReciprocityLocus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any

SETTLING = 60  # periods before those that are shown
SHOWN = 2  # periods
SAMPLES = 240  # a period, to draw and to average over
_BELOW: Any = {"lw": 2.8, "alpha": 0.5, "solid_capstyle": "butt"}
NAMES = {"mass_ratio": r"\mu", "stiffness_ratio": "r", "cubic_ratio": r"\alpha"}


class BothWays(NamedTuple):
    """The responses of one pair driven from either side."""

    forward: OrbitBranch
    backward: OrbitBranch

    @property
    def outputs(self) -> tuple[tuple[str, str, OrbitBranch, int], ...]:
        """Name, colour, response and the oscillator looked at, of each direction."""
        return ("N_F", plot.FORWARD, self.forward, 1), ("N_B", plot.BACKWARD, self.backward, 0)


def both_ways(restored: Restoration, omega: tuple[float, float] | None = None, *, max_points: int = 400) -> BothWays:
    """The restored pair's responses to the force at which it was restored, forward and backward.

    **Arguments:** `omega`: (lowest, highest) frequency, by default from half of the lower natural frequency to a third
    above the higher one; `max_points`: room for points of each.
    """
    model, amplitude = restored.model, restored.response.drive.amplitude
    if omega is None:
        natural = np.asarray(duffing.linear_frequencies(model))
        omega = float(natural[0] / 2), float(4 * max(natural[1], restored.omega) / 3)
    sweeps = (
        duffing.frequency_response(model, amplitude=amplitude, omega=omega, port=port, max_points=max_points).trim()
        for port in (0, 1)
    )
    return BothWays(*sweeps)


class Outputs(NamedTuple):
    """Both outputs over some periods, integrated in time: `periods` [time], `forward` and `backward` [time]."""

    periods: Float[Array, " time"]
    forward: Float[Array, " time"]
    backward: Float[Array, " time"]

    @property
    def reciprocity_norm(self) -> float:
        """R, of the samples."""
        return float(jnp.sqrt(jnp.mean((self.forward - self.backward)[:-1] ** 2)))


def in_time(restored: Restoration) -> Outputs:
    """The outputs at the restored point by direct integration, which knows nothing of harmonics.

    It begins on the orbits of the balance and settles for 60 periods, in which an unstable orbit would be left.
    """
    response, omega = restored.response, restored.omega
    x0, v0 = (duffing.time_series(response, jnp.zeros(1), derivative=order)[..., 0] for order in (0, 1))
    periods = jnp.linspace(0.0, SHOWN, SHOWN * SAMPLES + 1)
    ts = jnp.append(0.0, (SETTLING + periods) * 2 * jnp.pi / omega)
    motions = [
        duffing.simulate(restored.model, _Push(push, omega), ts, x0[:, port], v0[:, port])
        for port, push in enumerate(response.drive.amplitude * jnp.eye(2))
    ]  # as functions of time, so that both ways share one compilation
    return Outputs(periods, motions[0].x[1:, 1], motions[1].x[1:, 0])


class _Push(eqx.Module):
    """Forces cos ωt of given amplitudes."""

    amplitude: Float[Array, " oscillator"]
    omega: Float[Array, ""]

    def __call__(self, t: Array) -> Array:
        return jnp.real(self.amplitude) * jnp.cos(self.omega * t)


def draw(
    restored: Restoration, curves: BothWays, outputs: Outputs, locus: ReciprocityLocus | None = None, *, along: str = ""
) -> Figure:
    """A panel each for the responses, the neighbourhood of the restored point, the outputs, and the locus if given.

    **Arguments:** `along`: the ratio that the locus goes along.
    """
    from matplotlib import pyplot as plt

    panels = 3 if locus is None else 4
    with plot.style():
        figure, axes = plt.subplots(1, panels, figsize=(2.5 * panels, 2.6))
        draw_responses(axes[0], restored, curves)
        draw_near(axes[1], restored, curves)
        draw_outputs(axes[2], restored, outputs, legend=False)
        axes[0].set_title(f"${NAMES[restored.free]} = {float(restored.value):.6g}$")
        axes[0].set_ylabel("norm of the output")
        axes[1].set_title("around the restored point")
        axes[2].set_ylabel("output")
        if locus is not None:
            draw_locus(axes[3], restored, locus, along)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


def draw_responses(ax: Axes, restored: Restoration, curves: BothWays) -> None:
    """N_F and N_B over ω, stable parts solid and unstable ones dashed, folds as rings, and the restored point."""
    # The forward one broad and pale, for the backward one to lie upon it where the two agree.
    for (name, colour, response, out), look in zip(curves.outputs, (_BELOW, {}), strict=True):
        norm = np.asarray(response.norm[:, out])
        lines(ax, np.asarray(response.omega), norm, np.asarray(response.stable), f"${name}$", color=colour, **look)
        ax.plot(response.folds.omega, response.folds.norm[:, out], "o", color=colour, mfc="white", mew=0.7, ms=3)
    ax.plot(float(restored.omega), float(restored.norm[0]), "o", color="black", ms=3.5, zorder=5, label="restored")
    low, high = (float(end) for end in (curves.forward.omega.min(), curves.forward.omega.max()))
    ax.set(xlabel=r"$\omega$", xlim=(low, high), ylim=(0, None))


def draw_near(ax: Axes, restored: Restoration, curves: BothWays, *, width: float = 1.0, height: float = 0.4) -> None:
    """The responses again around the restored point.

    **Arguments:** `width`: in linewidths ζ, on either side; `height`: below, as a part of the norm.
    """
    draw_responses(ax, restored, curves)
    omega, top = float(restored.omega), float(restored.norm[0])
    around = width * float(restored.model.damping)
    ax.set(xlim=(omega - around, omega + around), ylim=((1 - height) * top, (1 + height / 5) * top))
    ax.locator_params(nbins=4)


def inset(ax: Axes, where: tuple[float, float, float, float], title: str) -> Axes:
    """Axes for `draw_near` inside of others, at (left, bottom, width, height) of them."""
    small = ax.inset_axes(where)
    small.set_title(title, size=7.5, pad=2)
    small.tick_params(labelsize=6.5)
    return small


def draw_outputs(ax: Axes, restored: Restoration, outputs: Outputs, *, legend: bool = True) -> None:
    """Both outputs over periods, with R and Δφ, and with a legend unless there is one already."""
    ax.plot(outputs.periods, outputs.forward, color=plot.FORWARD, label="forward", **_BELOW)
    ax.plot(outputs.periods, outputs.backward, color=plot.BACKWARD, label="backward")
    top = float(jnp.max(jnp.abs(outputs.forward)))
    ax.set(xlabel="periods", xlim=(0, SHOWN), ylim=(-1.15 * top, 2.5 * top))
    ax.text(0.99, 1.0, agreement(restored), transform=ax.transAxes, ha="right", va="top", size=7.5)
    if legend:
        ax.legend(loc="upper left", fontsize=7.5, borderaxespad=0.1)


def agreement(restored: Restoration) -> str:
    """Whether reciprocity is restored, R and Δφ, in three lines with mathematics."""
    R, share = float(restored.reciprocity_norm), float(100 * restored.reciprocity_norm / restored.norm[0])
    how = "approximately restored" if bool(restored.approximate) else "restored"
    phase = scientific(float(restored.phase_difference))
    return f"{how}\n$R = {scientific(R)}$, {share:.2g} % of $N_F$\n$\\Delta\\varphi = {phase}$ rad"


def draw_locus(ax: Axes, restored: Restoration, locus: ReciprocityLocus, along: str) -> None:
    """The locus along another ratio, dashed where either orbit is unstable, and the point that was restored."""
    found = locus.trim()
    stable = np.all(np.asarray(found.stable), axis=1)
    lines(ax, np.asarray(found.along), np.asarray(found.value), stable, "locus", color="black")
    ax.plot(float(getattr(restored.model, along)), float(restored.value), "o", color="black", ms=3.5)
    ax.set(xlabel=f"${NAMES[along]}$", ylabel=f"${NAMES[restored.free]}$", title="locus")


def lines(ax: Axes, x: np.ndarray, y: np.ndarray, stable: np.ndarray, label: str, **look: Any) -> None:
    """A curve in pieces of one stability, each to the first point of the next: solid where stable, else dashed."""
    changes = np.flatnonzero(np.diff(stable.astype(int))) + 1
    for first, last in zip([0, *changes], [*changes, x.size], strict=True):
        piece = slice(first, min(last + 1, x.size))
        style = "-" if stable[first] else "--"
        ax.plot(x[piece], y[piece], style, label=label if first == 0 else None, **look)


def scientific(value: float) -> str:
    """A number to three digits in the mathematics of matplotlib, with a power of ten where it is small or large."""
    if value == 0 or 1e-2 <= abs(value) < 1e3:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}"
