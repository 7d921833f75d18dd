"""The figure of a restoration: both responses and where they agree, the two outputs in time, and the locus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from diffnr import plot
from diffnr.duffing import OrbitBranch
from diffnr.parameters import get
from diffnr.plot.branches import stable_lines
from optimize.reciprocity.restoration import Restoration
from optimize.reciprocity.restored_locus import ReciprocityLocus
from optimize.reciprocity.restored_responses import SHOWN, Outputs, Responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any

_BELOW: Any = {"lw": 2.8, "alpha": 0.5, "solid_capstyle": "butt"}
NAMES = {"mass_ratio": r"\mu", "stiffness_ratio": "r", "cubic_ratio": r"\alpha"}


def draw(restored: Restoration, curves: Responses, outputs: Outputs, locus: ReciprocityLocus | None = None) -> Figure:
    """A panel each for the responses, the neighbourhood of the restored point, the outputs, and the locus if given."""
    from matplotlib import pyplot as plt

    panels = 3 if locus is None else 4
    with plot.style():
        figure, axes = plt.subplots(1, panels, figsize=(2.5 * panels, 2.6))
        draw_responses(axes[0], restored, curves)
        draw_near(axes[1], restored, curves)
        draw_outputs(axes[2], restored, outputs, legend=False)
        values = zip(restored.names, np.ravel(restored.ratio), strict=True)
        axes[0].set_title(", ".join(f"{_name(name)} = {value:.6g}" for name, value in values))
        axes[0].set_ylabel("norm of the output")
        axes[1].set_title("around the restored point")
        axes[2].set_ylabel("output")
        if locus is not None:
            draw_locus(axes[3], restored, locus)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


def draw_responses(ax: Axes, restored: Restoration, curves: Responses) -> None:
    """N_F and N_B over ω, stable parts solid and unstable ones dashed, folds as rings, and the restored point."""
    # The forward one broad and pale, for the backward one to lie upon it where the two agree.
    for (name, colour, response, out), look in zip(_outputs(restored, curves), (_BELOW, {}), strict=True):
        norm = np.asarray(response.norm[:, out])
        stable_lines(ax, response.omega, norm, response.stable, response.piece, label=f"${name}$", color=colour, **look)
        ax.plot(response.folds.omega, response.folds.norm[:, out], "o", color=colour, mfc="white", mew=0.7, ms=3)
    ax.plot(float(restored.omega), float(restored.norm[0]), "o", color="black", ms=3.5, zorder=5, label="restored")
    low, high = (float(end) for end in (curves.forward.omega.min(), curves.forward.omega.max()))
    ax.set(xlabel=r"$\omega$", xlim=(low, high), ylim=(0, None))


def draw_near(ax: Axes, restored: Restoration, curves: Responses, *, width: float = 1.0, height: float = 0.4) -> None:
    """The responses again around the restored point.

    **Arguments:** `width`: in half linewidths C/2M, on either side; `height`: below, as a part of the norm.
    """
    draw_responses(ax, restored, curves)
    omega, top = float(restored.omega), float(restored.norm[0])
    model = restored.model
    around = width / 2 * float(jnp.max(jnp.diagonal(model.dissipation) / jnp.diagonal(model.inertia)))
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
    phase = scientific(float(restored.nonreciprocal_phase))
    return f"{how}\n$R = {scientific(R)}$, {share:.2g} % of $N_F$\n$\\Delta\\varphi = {phase}$ rad"


def draw_locus(ax: Axes, restored: Restoration, locus: ReciprocityLocus) -> None:
    """The locus along another ratio, dashed where either orbit is unstable, and the point that was restored."""
    found = locus.trim()
    stable = np.all(np.asarray(found.stable), axis=1)
    stable_lines(ax, found.parameter, found.ratio, stable, label="locus", color="black")
    there = restored.response.drive.amplitude if locus.along == "amplitude" else get(restored.model, locus.along)
    ax.plot(float(there), float(restored.ratio), "o", color="black", ms=3.5)
    ax.set(xlabel=_name(locus.along), ylabel=_name(restored.names[0]))
    ax.set_title("locus" if stable.size else "locus: no point found")


def scientific(value: float) -> str:
    """A number to three digits in the mathematics of matplotlib, with a power of ten where it is small or large."""
    if value == 0 or 1e-2 <= abs(value) < 1e3:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}"


def _outputs(restored: Restoration, curves: Responses) -> tuple[tuple[str, str, OrbitBranch, int], ...]:
    """Name, colour, response and the oscillator looked at, of each direction."""
    first, last = restored.ports
    return ("N_F", plot.FORWARD, curves.forward, last), ("N_B", plot.BACKWARD, curves.backward, first)


def _name(path: str) -> str:
    """A number's name for an axis."""
    return f"${NAMES[path]}$" if path in NAMES else path
