"""Cells that a perfect conductor cuts: what is left of them, and of their edges.

Where a conductor covers a cell in part, Hz is the mean over its free part f, and E on an edge the mean over all of it,
with 0 inside of the conductor. So Faraday's law is the circulation over f,

    f µ0 ∂Hz/∂t = ∂y Ex − ∂x Ey,        ε0 ε∞ ∂E/∂t = g curl Hz,        g = min(s, f, f′),

with s the free share of the edge, and f, f′ those of the cells beside it. It is the scheme of Dey and Mittra in other
unknowns, which leave the operator as it is, with ε∞/g and µ = f: skew, so that energy is conserved and G(B) = G(−B)ᵀ.
An edge along a face, whose s is 1, gets g = f of the cell that the face cuts. Its field is proportional to f, so that
this is of second order, as everything else is; and no cell, however small the part left of it, is faster than a whole
one, as g ≤ f: the longest step stays.

At f → 0 a cell joins the metal without a jump. Faces on a line are taken for faces a rounding beyond it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from diffnr.checks import is_concrete, require
from diffnr.fdtd.scene.grid import Grid
from diffnr.fdtd.scene.shapes import AbstractShape, Rectangle, with_lines
from diffnr.host import AnyArray, by_numpy, namespace

BEYOND = 16  # units of rounding of the largest coordinate, by which metal is larger than it is given

Shares = tuple[AnyArray, AnyArray, AnyArray]  # of cells, of edges along x, and of edges along y


def free_shares(grid: Grid, metals: Sequence[AbstractShape], others: Sequence[AbstractShape] | None) -> Shares:
    """What perfect conductors leave of cells and edges: all but `metals`, or, of a conducting background, `others`.

    **Raises:** `ValueError` for metal that no line meets: no edge would know of it. Where that is not known, NaN.
    """
    shapes = metals if others is None else others
    shares, hidden = by_numpy(functools.partial(_free_shares, others is not None), grid, list(shapes))
    if is_concrete(hidden) and all(isinstance(shape, Rectangle) for shape in shapes) and bool(np.any(hidden)):
        i, j = np.argwhere(np.asarray(hidden))[0]
        x, y = (float(centres[k]) for centres, k in zip(grid.centres, (i, j), strict=True))
        must = "have no metal thinner than a cell between lines of the grid, which no edge sees (lay a line through it)"
        require(False, "objects", must, f"in the cell at x = {x * 1e6:.6g} µm, y = {y * 1e6:.6g} µm")
    return shares


def are_whole(cells: AnyArray) -> bool:
    """Whether all cells are known to be free, or metal, but for rounding."""
    return is_concrete(cells) and bool(np.all((np.asarray(cells) == 0) | (np.asarray(cells) == 1)))


def _free_shares(opening: bool, grid: Grid, shapes: list[AbstractShape]) -> tuple[Shares, AnyArray]:
    sides = [leaf for leaf in jax.tree_util.tree_leaves(shapes) if hasattr(leaf, "dtype")]
    xp, (nx, ny), dtype = namespace(grid.x, *sides), grid.shape, grid.x.dtype
    x, y = (lines if xp is np else lax.stop_gradient(lines) for lines in (grid.x, grid.y))
    far = xp.maximum(xp.max(xp.abs(x)), xp.max(xp.abs(y)))
    beyond = BEYOND * np.finfo(dtype).eps * far
    tiny = 2 * beyond / xp.minimum(xp.min(xp.diff(x)), xp.min(xp.diff(y)))

    def left(right: int, up: int) -> Shares:
        moved = with_lines(grid, grid.x + right * beyond, grid.y + up * beyond)
        parts = [(shape.coverage(moved), *shape.edge_coverage(moved)) for shape in shapes]
        nothing = [np.zeros(size, dtype) for size in ((nx, ny), (nx, ny + 1), (nx + 1, ny))]
        sums = [sum((part[k] for part in parts), none) for k, none in enumerate(nothing)]
        return tuple(xp.clip(part if opening else 1.0 - part, 0.0, 1.0) for part in sums)  # pyright: ignore

    # The least of four is what metal leaves that is larger on all sides: of faces on lines the same side has the cut.
    each = [left(right, up) for right in (-1, 1) for up in (-1, 1)]
    cells, on_x, on_y = (functools.reduce(xp.minimum, parts) for parts in zip(*each, strict=True))
    cells = xp.where(cells > tiny, cells, 0.0)
    whole = [part >= 1 - tiny for part in (cells, on_x, on_y)]
    passed = (whole[1][:, 1:] & whole[1][:, :-1]) | (whole[2][1:] & whole[2][:-1])
    hidden = passed & ~whole[0] & (cells > 0)
    if xp is np:
        cells = xp.where(whole[0], xp.ones_like(cells), cells)
    elif all(isinstance(shape, Rectangle) for shape in shapes):
        cells = xp.where(hidden, np.nan, cells)
    return (cells, on_x, on_y), hidden


def of_edges(low: AnyArray, high: AnyArray, edges: AnyArray) -> AnyArray:
    """g of edges between two cells."""
    xp: Any = namespace(low, high, edges)
    return xp.minimum(xp.minimum(low, high), edges)
