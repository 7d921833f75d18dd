"""Branches and loci: stable parts solid, unstable ones dashed, folds and bifurcations marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diffnr.checks import as_flag, as_index, described, is_concrete, require, require_instance, tried
from diffnr.parameters import get
from diffnr.plot.look import COLOURS, GREY, axes_or_new, legend_above, style
from diffnr.tables import AbstractTabular, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any

MARKS = {"fold": "o", "period doubling": "D", "Neimark–Sacker": "s", "symmetry breaking": "^"}
OTHER = "v"
WORDS = {
    "omega": r"frequency $\omega$",
    "amplitude": "amplitude of the force",
    "reciprocity_norm": "$R$",
    "nonreciprocal_phase": r"$\Delta\phi$ (rad)",
    "norm_difference": "$N_F - N_B$",
}
SYMBOLS = {"norm": "norm $N{}$", "phase": r"phase $\phi{}$ (rad)", "harmonicity": "harmonicity $h{}$"}


@style()
def branch(
    curves: Any,
    *,
    x: Any = None,
    y: Any = "norm",
    out: Any = 0,
    by: Any = None,
    labels: Any = None,
    colours: Any = None,
    marks: Any = True,
    ax: Axes | None = None,
) -> Axes:
    """Branches of orbits, or loci: solid where stable, dashed where not, with folds and bifurcations marked.

    **Arguments:**

    - `curves`: what has points in order and a `table`, such as an `OrbitBranch` or a `ReciprocityLocus`: one, a batch
      of them (of a `vmap`), or a list of either.
    - `x`, `y`: names of columns of `table()`. By default x is what changes along the curve, and y the norm. y may be a
      function as well, of a curve or the points marked on it, that returns [point].
    - `out`: which entry of a column that has several: the oscillator of a norm, or 0 forward and 1 backward.
    - `by`: the name of a number by which to tell the curves apart in the legend: "amplitude", or the path of a scalar
      leaf of their models, such as "damping" or "force.cubic".
    - `labels`: words for the legend instead, one for each curve; `colours`: likewise, or one for all. By default those
      of `COLOURS`, and for more than seven curves a scale from dark to light.
    - `marks`: whether to mark folds and bifurcations (rings: folds; diamonds: period doubling; squares: Neimark–Sacker;
      triangles: symmetry breaking). Bifurcations are located by Newton's method first, which compiles for seconds
      where there are any.
    - `ax`: the Axes to draw on (default a new figure's).

    **Returns:** the Axes.

    **Raises:** `ValueError` for a column, an entry or a parameter that a curve does not have, or labels or colours of
    another number than the curves.

    Example: `nr.plot.branch([low, high], out=1, by="amplitude")`.
    """
    elements = _elements(curves)
    require(isinstance(y, str) or callable(y), "y", "be the name of a column, or a function", described(y))
    require(x is None or isinstance(x, str), "x", "be the name of a column, or None", described(x))
    require(labels is None or by is None, "labels", "be left out where by is given", "given as well")
    marks = as_flag(marks, "marks")
    names = _words(labels, "labels", len(elements))
    names = names if by is None else [_name(curve, by) for curve in elements]
    drawn = [_drawn(curve, x, y, out) for curve in elements]
    ax = axes_or_new(ax)
    known = set(ax.get_legend_handles_labels()[1])
    shades = _colours(colours, len(elements))
    for (xs, ys, table), name, colour in zip(drawn, names, shades, strict=True):
        stable_lines(ax, xs, ys, table["stable"], table["piece"], color=colour, label=name)
    if "unstable" not in known and any(np.any(~table["stable"]) for _, _, table in drawn):
        ax.plot([], [], "--", color=GREY, label="unstable")
    look: dict[str, Any] = {"mfc": "white", "mew": 0.8, "ms": 3.8, "zorder": 4}
    for curve, colour in zip(elements, shades, strict=True):
        for kind, points in curve.marked.items() if marks else ():
            spots, mark = _spots(points, x or _first(curve), y, out), MARKS.get(kind, OTHER)
            ax.plot(*spots, mark, color=colour, **look)
            if kind not in known:
                ax.plot([], [], mark, color=GREY, label=kind, **look)
                known.add(kind)
    ax.set_xlabel(_axis_name(elements[0], x or _first(elements[0]), out))
    if not callable(y):
        ax.set_ylabel(_axis_name(elements[0], y, out))
    if ax.get_legend_handles_labels()[1]:
        legend_above(ax)
    return ax


def stable_lines(
    ax: Axes, x: Any, y: Any, stable: Any, piece: Any = None, *, label: str | None = None, **look: Any
) -> None:
    """A curve through points [point]: solid where these are stable, else dashed, each to the first of the next part.

    Lines are not drawn from one `piece` [point] to another.
    """
    x, y, stable = (np.asarray(part) for part in (x, y, stable))
    piece = np.zeros(x.shape, int) if piece is None else np.asarray(piece)
    parts: tuple[list, list] = ([], [])
    starts = np.flatnonzero((np.diff(stable.astype(int)) != 0) | (np.diff(piece) != 0)) + 1
    for first, last in zip([0, *starts], [*starts, x.size], strict=True) if x.size else ():
        joined = last < x.size and piece[last] == piece[first]
        run = np.stack([x, y])[:, first : last + joined]
        parts[bool(stable[first])].append(np.append(run, np.full((2, 1), np.nan), axis=1))
    for part, dashes in zip(parts[::-1], ("-", "--"), strict=True):
        if part:
            ax.plot(*np.concatenate(part, axis=1)[:, :-1], dashes, label=label, **look)
            label = None


def _elements(curves: Any) -> list[AbstractTabular]:
    several = list(curves) if isinstance(curves, (tuple, list)) else [curves]
    require(len(several) > 0, "curves", "be at least one", "none")
    for curve in several:
        require_instance(curve, "curves", AbstractTabular, "be a branch or a locus, or a list of them")
        require(is_concrete(curve), "curves", "have known values", "traced")
    return [element for curve in several for element in curve.elements()]


def _drawn(curve: AbstractTabular, x: str | None, y: Any, out: Any) -> tuple[np.ndarray, np.ndarray, Table]:
    """x and y [point], and a table with `stable` and `piece` [point]."""
    table = curve.table()
    names = [name for name, column in table.columns.items() if column.ndim < 3]
    for name, given in (("x", x), ("y", y)):
        known = given is None or given in names or callable(given)
        require(known, name, f"be one of {', '.join(map(repr, names))}", repr(given))
    xs, ys = _entry(curve, table, x or _first(curve), out), _entry(curve, table, y, out)
    stable = table.columns.get("stable", np.ones(len(table), bool))
    piece = table.columns.get("piece", np.zeros(len(table), int))
    columns = {"stable": stable.reshape(len(table), -1).all(axis=1), "piece": piece}
    return xs, ys, Table(columns, {"stable": (), "piece": ()}, {})


def _first(curve: AbstractTabular) -> str:
    return next(iter(curve.names()))


def _entry(curve: AbstractTabular, table: Table, name: Any, out: Any) -> np.ndarray:
    if callable(name):
        must = "be a function of a curve that returns [point]"
        values = np.asarray(tried(name, "y", must, lambda y: y(curve)))
        valid = curve.valid_points()
        fits = values.shape == valid.shape and values.dtype.kind in "fiu"
        require(fits, "y", must, f"one that returns shape {values.shape} of {values.dtype}")
        return values[valid]
    column = table[name]
    if column.ndim == 1:
        return column
    return column[:, as_index(out, "out", column.shape[1], table.axes[name][0])]


def _spots(points: AbstractTabular, x: str, y: Any, out: Any) -> tuple[np.ndarray, np.ndarray]:
    table = points.table()
    return _entry(points, table, x if x in table.columns else "parameter", out), _entry(points, table, y, out)


def _name(curve: AbstractTabular, by: Any) -> str:
    """ "damping = 0.1", of a scalar that the curve has."""
    require(isinstance(by, str) and by != "", "by", "be the name of a number that all curves have", described(by))
    for holder in (getattr(curve, "driven", None), getattr(curve, "model", None), curve):
        try:
            value = np.asarray(get(holder, by))
        except (ValueError, TypeError):
            continue
        if value.ndim == 0 and value.dtype.kind in "fiu":
            return rf"{by.replace('omega', 'ω')} = {float(value):.4g}"
    raise ValueError(f"Argument by must be the name of a number that all curves have, but was {by!r}.")


def _words(given: Any, name: str, count: int) -> Sequence[str | None]:
    if given is None:
        return [None] * count
    words = [given] if isinstance(given, str) else given
    fits = isinstance(words, (tuple, list)) and all(isinstance(word, str) for word in words)
    require(fits and len(words) == count, name, f"be {count} text(s), one for each curve", described(given))
    return words


def _colours(given: Any, count: int) -> Sequence[Any]:
    from matplotlib import pyplot as plt
    from matplotlib.colors import is_color_like

    if given is None:
        scale = plt.colormaps["viridis"](np.linspace(0.0, 0.9, count))
        return COLOURS[:count] if count <= len(COLOURS) else list(scale)
    each = list(given) if isinstance(given, (tuple, list)) and not is_color_like(given) else [given] * count
    fits = len(each) == count and all(map(is_color_like, each))
    require(fits, "colours", f"be a colour that matplotlib knows, or {count} of them", described(given))
    return each


def _axis_name(curve: AbstractTabular, name: str, out: Any) -> str:
    if name in SYMBOLS:
        axes = curve.COLUMNS[name]
        entry = "" if not axes else f"_{{{int(out) + 1}}}" if axes == ("oscillator",) else f"^{'FB'[int(out)]}"
        return SYMBOLS[name].format(entry)
    return WORDS.get(name, name.replace("_", " ").replace(".", " "))
