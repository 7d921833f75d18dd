"""The rectangular grid: lines of x and y between cells, evenly spaced or finer around named places."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from diffnr.checks import Numbers, as_real, is_concrete, require, require_finite


class Grid(eqx.Module):
    """Cells between lines; Hz and currents are at their centres, Ex on horizontal edges, Ey on vertical ones.

    **Arguments:** `x`: [nx + 1], `y`: [ny + 1], the lines' coordinates in metres, rising. They are leaves: a gradient
    in them moves interfaces that lie on lines.

    **Raises:** `ValueError` for lines that do not rise, fewer than two cells, values that are not finite.
    """

    x: Float[Array, " x_line"]
    y: Float[Array, " y_line"]

    def __init__(self, x: Numbers, y: Numbers):
        # Known lines are known inside of jit as well, where places are looked up on them.
        with jax.ensure_compile_time_eval() if is_concrete(x, y) else nullcontext():
            self.x, self.y = as_real(x, "x"), as_real(y, "y")

    def __check_init__(self) -> None:
        for name, lines in (("x", self.x), ("y", self.y)):
            require(lines.ndim == 1 and lines.size >= 3, name, "have at least three lines", f"of shape {lines.shape}")
            require_finite(name, lines)
            rising = not is_concrete(lines) or bool(np.all(np.diff(np.asarray(lines)) > 0))
            require(rising, name, "rise from line to line", lines)

    @classmethod
    def uniform(cls, x: tuple[ArrayLike, ArrayLike], y: tuple[ArrayLike, ArrayLike], cell: float | int) -> Grid:
        """Square cells, of size `cell` or a little less so that a whole number of them fills each range (metres)."""
        require(0 < cell < np.inf, "cell", "be positive and finite", cell)
        return cls(*(_even(name, low, high, cell) for name, (low, high) in (("x", x), ("y", y))))

    @classmethod
    def refined(
        cls,
        x: Numbers,
        y: Numbers,
        cell: float | int,
        *,
        fine_x: Mapping[float, float] | None = None,
        fine_y: Mapping[float, float] | None = None,
        growth: float = 1.2,
    ) -> Grid:
        """Cells of at most `cell`, smoothly finer around some places.

        **Arguments:** `x`, `y`: coordinates in metres, rising, on which lines must lie: the ends, and interfaces
        between media; `fine_x`, `fine_y`: {coordinate: cell there}; `growth`: the largest ratio of neighbouring cells
        (1.05 to 1.3; interfaces between cells of unequal size reflect as the square of their difference).
        """
        require(0 < cell < np.inf, "cell", "be positive and finite", cell)
        require(1.0 < growth <= 2.0, "growth", "lie above 1 and not above 2", growth)
        return cls(_graded("x", x, cell, fine_x or {}, growth), _graded("y", y, cell, fine_y or {}, growth))

    @property
    def shape(self) -> tuple[int, int]:
        """(nx, ny), the number of cells."""
        return self.x.size - 1, self.y.size - 1

    @property
    def dx(self) -> Float[Array, " x"]:
        """Widths of cells."""
        return jnp.diff(self.x)

    @property
    def dy(self) -> Float[Array, " y"]:
        """Heights of cells."""
        return jnp.diff(self.y)

    @property
    def centres(self) -> tuple[Float[Array, " x"], Float[Array, " y"]]:
        """Coordinates of the cells' centres."""
        return (self.x[1:] + self.x[:-1]) / 2, (self.y[1:] + self.y[:-1]) / 2


def nearest(lines: Array, place: Any, name: str, points: Array | None = None) -> int:
    """The index of the line (or of the one of `points`) nearest to a place, which must lie on the grid."""
    must = "be a known place on a grid of known lines (no arguments of jit or grad)"
    require(is_concrete(lines, place), name, must, "traced")
    place = float(place)
    low, high = (float(np.asarray(lines)[end]) for end in (0, -1))
    require(low <= place <= high, name, f"lie on the grid, between {low:g} and {high:g} m", place)
    return int(np.argmin(np.abs(np.asarray(lines if points is None else points) - place)))


def _even(name: str, low: Any, high: Any, cell: Any) -> np.ndarray:
    finite = np.isfinite(low) and np.isfinite(high)
    require(finite and high > low, name, "be (lowest, highest), in this order and finite", f"({low}, {high})")
    return np.linspace(low, high, int(np.ceil((high - low) / cell * (1 - 1e-9))) + 1)


def _graded(name: str, stops: Any, cell: Any, fine: Mapping[float, float], growth: float) -> np.ndarray:
    at = np.asarray(stops, float)
    require(np.all(np.isfinite(at)), name, "be finite", at)
    require(at.ndim == 1 and at.size >= 2 and np.all(np.diff(at) > 0), name, "rise", at)
    for place, size in fine.items():
        require(size > 0, f"fine_{name}", "have positive cells", size)
        require(at[0] <= place <= at[-1], f"fine_{name}", f"name places between {at[0]:g} and {at[-1]:g}", place)
    slope = np.log(growth)

    def wanted(u: np.ndarray) -> np.ndarray:
        sizes = [np.full_like(u, cell), *(size + slope * np.abs(u - place) for place, size in fine.items())]
        return np.min(sizes, axis=0)

    lines = [at[:1]]
    for low, high in pairwise(at):
        # Lines at equal steps of ∫ du / size(u), by fine trapezoids.
        u = np.linspace(low, high, 4001)
        density = 1 / wanted(u)
        count = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(u))])
        cells = max(1, int(np.ceil(count[-1] * (1 - 1e-9))))
        between = np.interp(np.arange(1, cells) / cells * count[-1], count, u)
        lines.append(np.append(between, high))
    return np.concatenate(lines)
