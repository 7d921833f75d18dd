"""The figure of a design for isolation: what passes, what is blocked, and the isolation, before and after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from diffnr import plot, tcmt
from diffnr.plot.spectra import HERTZ, frequency_axis
from diffnr.ports import AbstractPortModel
from optimize.command.isolation_task import IsolationTask
from optimize.isolation.cases import Cases, powers
from optimize.isolation.design import Design

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any

POINTS = 401
MARGIN = 1.0  # times the largest loss rate, on either side of the resonances, where no band is asked for


class Levels(NamedTuple):
    """Levels in dB, [corner, frequency]; the first corner is the model as it is."""

    loss: np.ndarray
    isolation: np.ndarray


def draw(task: IsolationTask, design: Design) -> Figure:
    """Insertion loss and isolation over frequency: before, the design, what tolerances make of it, its worst."""
    from matplotlib import pyplot as plt

    given = task.arguments
    low, high = task.figure.get("band") or _band(task, design.model)
    omega = np.linspace(low, high, POINTS)
    scale, label = _axis(omega, task.unit)
    x = omega / scale
    ceiling = max(given.get("isolation_cap", 60.0), given.get("min_isolation", 0.0))
    before, after = (levels(task, model, omega) for model in (task.model, design.model))
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.9))
        _panel(axes[0], x, before.loss, after.loss)
        _panel(axes[1], x, np.minimum(before.isolation, ceiling), np.minimum(after.isolation, ceiling))
        _limit(axes[0], given.get("max_insertion_loss"))
        _limit(axes[1], given.get("min_isolation"))
        for ax, worst, most in zip(axes, (design.insertion_loss, design.isolation), ("most", "least"), strict=True):
            _mark(ax, task, scale, min(worst, ceiling))
            ax.set(xlabel=label, xlim=(x[0], x[-1]), title=f"at {most} {_level(worst)} dB")
            if ax.dataLim.y0 >= 0:
                ax.set_ylim(bottom=0.0)
        into, out = given["into"] + 1, given["out"] + 1
        axes[0].set_ylabel(f"Insertion loss {into} → {out} (dB)")
        clipped = np.any(after.isolation > ceiling) or np.any(before.isolation > ceiling)
        axes[1].set_ylabel("Isolation (dB)" + (f", drawn up to {ceiling:g}" if clipped else ""))
        lines = dict(zip(*axes[1].get_legend_handles_labels()[::-1], strict=True))
        lines |= dict(zip(*axes[0].get_legend_handles_labels()[::-1], strict=True))
        figure.legend(lines.values(), lines.keys(), loc="outside upper left", ncols=5)
    return figure


def levels(task: IsolationTask, model: AbstractPortModel, omega: np.ndarray) -> Levels:
    """The levels of a model at the frequencies `omega` [f], evenly spaced; infinite where nothing at all is there."""
    given = task.arguments
    cases = Cases.of(
        model,
        band=(omega[0], omega[-1]),
        out=given["out"],
        into=given["into"],
        amplitude=given.get("amplitude", 1.0),
        points=omega.size,
        tolerances=given.get("tolerances"),
    )
    both = np.asarray(powers(model, cases)).reshape(-1, omega.size, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        passed, blocked = np.moveaxis(10 * np.log10(both), -1, 0)
        return Levels(-passed, passed - blocked)


def _level(value: float) -> str:
    return "∞" if value == math.inf else f"{value:.2f}"


def _panel(ax: Axes, x: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    ax.plot(x, before[0], color=plot.GREY, ls="--", lw=1.0, label="before")
    ax.plot(x, after[0], color=plot.FORWARD, label="design")
    if len(after) > 1:
        edges = np.min(after, 0), np.max(after, 0)
        ax.fill_between(x, *edges, color=plot.FORWARD, alpha=0.2, lw=0, label="within tolerances")


def _mark(ax: Axes, task: IsolationTask, scale: float, worst: float) -> None:
    """Where the design was asked for, and its worst there."""
    band = task.arguments.get("band")
    if not math.isfinite(worst):
        return
    look = {"color": "k", "zorder": 5, "label": f"worst{' in the band' if band else ''}"}
    if band is None:
        at = task.arguments["omega"] / scale
        ax.axvline(at, color="#D9D9D9", lw=0.8, zorder=0)
        ax.plot([at], [worst], "o", ms=4.0, **look)
    else:
        edges = np.asarray(band) / scale
        ax.axvspan(*edges, color="#F0F0F0", lw=0, zorder=0)
        ax.plot(edges, [worst, worst], lw=1.4, **look)


def _limit(ax: Axes, limit: float | None) -> None:
    if limit is not None:
        ax.axhline(limit, color=plot.BACKWARD, ls=":", lw=1.1, label="limit")


def _band(task: IsolationTask, model: AbstractPortModel) -> tuple[float, float]:
    """The frequencies to draw: the band and half of it on either side, and what the resonances take up."""
    given = task.arguments
    low, high = given.get("band") or (given["omega"], given["omega"])
    margin = (high - low) / 2 or abs(low) / 10 or 1.0
    if isinstance(model, tcmt.AbstractCoupledModes):
        matrices = model.matrices()
        resonances = np.linalg.eigvalsh(np.asarray(matrices.omega))
        away = np.max(np.abs(resonances - (low + high) / 2))
        margin = max((high - low) / 2, away + MARGIN * np.max(np.linalg.eigvalsh(np.asarray(matrices.gamma)))) or margin
    return low - float(margin), high + float(margin)


def _axis(omega: np.ndarray, unit: str) -> tuple[float, str]:
    """What to divide ω by, and the axis label.

    Of rates in rad/s ordinary frequencies ω/2π are drawn. Where the file gives its rates in hertz or a multiple of it,
    each of them over 2π, so is ω: the label says that. Any other unit is of an angular frequency, as it stands.
    """
    if unit == "rad/s":
        return frequency_axis(omega)
    return (1.0, rf"Frequency $\omega/2\pi$ ({unit})") if unit in HERTZ else frequency_axis(omega, unit)
