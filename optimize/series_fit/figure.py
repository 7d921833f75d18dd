"""The figure of a series: coefficients against the parameter, with error bars."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffnr import plot
from optimize.mode_fit.resonance import PREFIXES

PANELS = (
    ("omega",),
    ("gamma",),
    ("gamma_0",),
    ("kappa12", "kappa21"),
    ("coupling_phase", "nonreciprocal_phase"),
    ("nonreciprocity",),
)
TITLES = ("Frequency", "Rate", "Intrinsic rate", "Coupling", "Phase", "Nonreciprocity")
MARKS = ("o", "s", "^", "D", "v", "P")


def draw(quantities: dict[str, tuple[str, Any]], name: str, shared: tuple[str, ...]) -> Any:
    """The `Figure` of {name: (symbol, SeriesCoefficient)}; what is shared is a line with a band of its error."""
    import matplotlib.pyplot as plt

    panels = []
    for title, kinds in zip(TITLES, PANELS, strict=True):
        own = [key for key in quantities if key.partition("[")[0] in kinds]
        if own:
            external = title == "Rate" and "gamma_0[0]" in quantities
            panels.append(("External rate" if external else title, own))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with plot.style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(2.6 * columns, 2.2 * rows), sharex=True, squeeze=False, layout="constrained"
        )
        for ax, (title, own) in zip(axes.flat, panels, strict=False):
            _panel(ax, title, [(key, *quantities[key]) for key in own], shared)
        for ax in axes[-1]:
            ax.set_xlabel(name)
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
    return figure


def _panel(ax: Any, title: str, lines: list[tuple[str, str, Any]], shared: tuple[str, ...]) -> None:
    values = np.concatenate([line.value for _, _, line in lines])
    unit, origin = lines[0][2].unit, 0.0
    size = float(np.max(np.abs(values)))
    if unit == "Hz" and np.ptp(values) < 0.02 * size:
        # Frequencies are shown from one of their own, a round one.
        step = 10.0 ** math.floor(math.log10(max(float(np.ptp(values)), 1e-9 * size)))
        origin = step * round(float(np.mean(values)) / step)
        size = float(np.max(np.abs(values - origin)))
    scale, shown = _scaled(unit, size)
    handles = []
    for k, (key, symbol, line) in enumerate(lines):
        colour, order = plot.COLOURS[k % len(plot.COLOURS)], np.argsort(line.parameter)
        x, y, error = line.parameter[order], ((line.value - origin) / scale)[order], (line.error / scale)[order]
        if key in shared:
            ax.fill_between(x, y - error, y + error, color=colour, alpha=0.25, lw=0)
            handles += ax.plot(x, y, color=colour, label=symbol)
        else:
            mark, look = MARKS[k % len(MARKS)], {"color": colour, "ms": 3.2, "lw": 0.8, "capsize": 1.8}
            handles.append(ax.errorbar(x, y, error, fmt=mark, label=symbol, **look))
    if unit in ("rad", "dB"):
        ax.axhline(0, color=plot.GREY, lw=0.6, zorder=0)
    offset = f" − {_scaled_text(origin)}" if origin else ""
    ax.set_ylabel(f"{title}{offset} ({shown})")
    ax.margins(x=0.08, y=0.12)
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, ncols=2, handletextpad=0.3
    )


def _scaled(unit: str, size: float) -> tuple[float, str]:
    if unit == "rad":
        return math.pi / 180, "degrees"
    if unit != "Hz" or not size > 0:
        return 1.0, unit
    power = min(max(3 * math.floor(math.log10(size) / 3), min(PREFIXES)), max(PREFIXES))
    return 10.0**power, f"{PREFIXES[power]}{unit}"


def _scaled_text(origin: float) -> str:
    scale, unit = _scaled("Hz", abs(origin))
    return f"{origin / scale:.9g} {unit}"
