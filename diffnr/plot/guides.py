"""Dispersion diagrams of guides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from diffnr.checks import as_flag, as_inexact, is_concrete, require, require_instance, require_known
from diffnr.fdtd import AbstractMedium, Waves
from diffnr.fdtd.guides.dispersion import Dispersion
from diffnr.fdtd.scene.media import LIGHT
from diffnr.plot.look import BACKWARD, COLOURS, FORWARD, GREY, axes_or_new, legend_above, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any

_THZ, _PER_UM = 2e12 * np.pi, 1e6
_LIGHT = COLOURS[4]
_STRAYS = 0.35  # of the way between two points, by their group velocities, is what a branch may miss the next one by


class _Points(NamedTuple):
    """The waves of one direction at one frequency: k in rad/µm, and its slope over f in THz."""

    k: np.ndarray
    slope: np.ndarray


@style()
def dispersion(found: Any, *, cladding: Any = None, legend: Any = True, ax: Axes | None = None) -> Axes:
    """The waves of a guide: f in THz over Re k in rad/µm, to +x and to −x in two colours, one-way bands shaded.

    A point is joined to the one at the next frequency that it reaches by its group velocity, k + Δω/v; what reaches
    none remains a point. So branches do not mix where their order by |k| changes, and where waves end there is a gap.

    **Arguments:**

    - `found`: of `fdtd.dispersion`.
    - `cladding`: a medium without carriers, or its index n, whose light cone |k| < n ω/c is drawn: waves in it are not
      bound to the face of that medium.
    - `legend`: above the axes. `ax`: the Axes (default a new figure's).

    **Returns:** the Axes.

    **Raises:** `ValueError` for a cladding with carriers, or an index that is not a positive number.
    """
    require_instance(found, "found", Dispersion, "be a Dispersion, as fdtd.dispersion returns it")
    require(is_concrete(found), "found", "hold known numbers (draw outside of jit)", "traced")
    legend = as_flag(legend, "legend")
    index = None if cladding is None else _index(cladding)
    ax = axes_or_new(ax)
    f = np.asarray(found.omegas) / _THZ
    widest = 0.0
    for waves, colour, name in (
        (found.modes.forward, FORWARD, "to $+x$"),
        (found.modes.backward, BACKWARD, "to $-x$"),
    ):
        points = _points(waves)
        widest = max([widest, *(np.max(np.abs(at.k)) for at in points if at.k.size)])
        for k, height in _branches(points, f):
            alone = {"marker": "o", "ms": 2.0, "mew": 0} if k.size == 1 else {}
            ax.plot(k, height, color=colour, label=name, **alone)
            name = "_"  # the legend names each direction once
    widest = 1.05 * widest if widest > 0 else 1.0
    for direction, name in ((1, "one way, to $+x$"), (-1, "one way, to $-x$")):
        for low, high in found.one_way_bands(direction):
            ax.axhspan(low / _THZ, high / _THZ, color="#ECECEC", lw=0, zorder=0)
            if high - low > 0.08 * np.ptp(f) * _THZ:
                # At the side to which no wave goes, whatever the limits of k become.
                side = {"x": 0.02, "ha": "left"} if direction > 0 else {"x": 0.98, "ha": "right"}
                middle, across = (low + high) / 2 / _THZ, ax.get_yaxis_transform()
                ax.text(y=middle, s=name, va="center", color=GREY, size=7.5, transform=across, **side)
    if index is not None:
        edge = index * f * _THZ / LIGHT / _PER_UM
        ax.fill_betweenx(f, -edge, edge, color=_LIGHT, alpha=0.12, lw=0, zorder=0.5)
        for side in (-1, 1):
            label = f"light, $n$ = {index:.3g}" if side > 0 else "_"
            ax.plot(side * edge, f, color=_LIGHT, lw=0.8, label=label, zorder=1)
    ax.axvline(0, color="black", lw=0.5, zorder=1)
    ax.set(xlim=(-widest, widest), xlabel="Re $k$ (rad/µm)", ylabel="Frequency (THz)")
    if f.size > 1:
        ax.set_ylim(f[0], f[-1])
    if legend and ax.get_legend_handles_labels()[0]:
        legend_above(ax)
    return ax


def _index(cladding: Any) -> float:
    if isinstance(cladding, AbstractMedium):
        free = np.ndim(cladding.eps_inf) == 0 and not np.any(np.asarray(cladding.omega_p))
        require(free, "cladding", "be one medium without carriers", f"a {type(cladding).__name__}")
        return float(np.sqrt(cladding.eps_inf))
    require_known(cladding, "cladding", "be known to be drawn")
    index = np.asarray(as_inexact(cladding, "cladding"))
    good = index.ndim == 0 and np.isrealobj(index) and bool(np.isfinite(index) and index > 0)
    require(good, "cladding", "be a medium or a positive index", cladding)
    return float(index)


def _points(waves: Waves) -> list[_Points]:
    k, slope = np.asarray(waves.k) / _PER_UM, _THZ / np.asarray(waves.group_velocity) / _PER_UM
    good = np.isfinite(k) & np.isfinite(slope)
    return [_Points(k[i][good[i]], slope[i][good[i]]) for i in range(k.shape[0])]


def _branches(points: list[_Points], f: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(k, f) of each branch from its beginning to its end."""
    done: list[list[tuple[float, float]]] = []
    growing: dict[int, list[tuple[float, float]]] = {}
    for i, here in enumerate(points):
        pairs = _next(points[i - 1], here, f[i] - f[i - 1]) if i else {}
        goes_on = {new: growing[old] for old, new in pairs.items()}
        done += [branch for old, branch in growing.items() if old not in pairs]
        growing = {j: [*goes_on.get(j, []), (k, f[i])] for j, k in enumerate(here.k)}
    return [(np.array(branch)[:, 0], np.array(branch)[:, 1]) for branch in (*done, *growing.values())]


def _next(before: _Points, here: _Points, change: float) -> dict[int, int]:
    """Which point goes on in which, the best pairs first."""
    expected = change * (before.slope[:, None] + here.slope) / 2
    missed = np.abs(here.k - before.k[:, None] - expected) / (
        change * (np.abs(before.slope[:, None]) + np.abs(here.slope)) / 2
    )
    pairs: dict[int, int] = {}
    for old, new in zip(*np.unravel_index(np.argsort(missed, axis=None), missed.shape), strict=True):
        if missed[old, new] < _STRAYS and old not in pairs and new not in pairs.values():
            pairs[int(old)] = int(new)
    return pairs
