"""Boxes between lines of a grid: how much of each edge and cell is inside."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import require
from diffnr.fdtd.scene.grid import Grid, nearest


class Inside(NamedTuple):
    """The shares of edges along x and along y, ½ of those on the box's sides, and of cells, that are in a box."""

    along_x: Float[Array, "x y_line"]
    along_y: Float[Array, "x_line y"]
    cells: Float[Array, "x y"]

    @classmethod
    def of(cls, grid: Grid, x: Any, y: Any) -> Inside:
        """Of x = (lowest, highest), y = (lowest, highest) in m, from line to line; None for all.

        **Raises:** `ValueError` for places off the grid.
        """
        (on_x, in_x), (on_y, in_y) = (_shares(*part) for part in ((grid.x, x, "x"), (grid.y, y, "y")))
        return cls(in_x[:, None] * on_y, on_x[:, None] * in_y, in_x[:, None] * in_y)


def is_place(value: Any, name: str) -> bool:
    """Whether this is one place, and not (lowest, highest)."""
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    number = not isinstance(value, (tuple, list)) and np.ndim(value) == 0
    pair = pair or (not isinstance(value, (tuple, list)) and np.shape(value) == (2,))
    require(pair or number, name, "be a place in m, or (lowest, highest)", value)
    return number


def ends_of(lines: Array, part: Any, name: str) -> tuple[int, int]:
    """The lines nearest to the ends of a range; the outermost ones for None."""
    if part is None:
        return 0, lines.size - 1
    require(not is_place(part, name), name, "be (lowest, highest), in m", part)
    low, high = part
    first, last = nearest(lines, low, name), nearest(lines, high, name)
    require(first < last, name, "be (lowest, highest), in this order and at two lines of the grid", part)
    return first, last


def _shares(lines: Array, part: Any, name: str) -> tuple[Array, Array]:
    """1 for lines inside, ½ for those at the sides, 0 outside; 1 for cells inside."""
    first, last = ends_of(lines, part, name)
    on = jnp.zeros(lines.size).at[first : last + 1].set(1.0).at[first].multiply(0.5).at[last].multiply(0.5)
    return on, jnp.zeros(lines.size - 1).at[first:last].set(1.0)
