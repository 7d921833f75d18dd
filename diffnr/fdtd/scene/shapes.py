"""Shapes, by the shares of cells and of their edges that lie inside."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import Numbers, as_function, as_real, is_concrete, require, staying_known
from diffnr.fdtd.scene.grid import Grid
from diffnr.host import AnyArray, namespace

SAMPLES = 8  # of a cell and direction, for shapes without a closed form
STRIP = 1 / 64  # of the smaller cell beside a line is half the strip in which edges are looked for


class AbstractShape(eqx.Module):
    """A part of the plane.

    Subclasses give `coverage`. Of a differentiable one the scene is differentiable in all that it depends on.
    """

    @abc.abstractmethod
    def coverage(self, grid: Grid) -> Float[AnyArray, "x y"]:
        """The share of each cell that lies inside, from 0 to 1."""

    def edge_coverage(self, grid: Grid) -> tuple[Float[AnyArray, "x y_line"], Float[AnyArray, "x_line y"]]:
        """The share of each edge along x, and along y, that lies inside: what a perfect conductor takes of it.

        Of thin strips around the lines, by `coverage`, unless a shape knows it better.
        """
        along_y = self.coverage(with_lines(grid, grid.x, _strips(grid.y)))
        along_x = self.coverage(with_lines(grid, _strips(grid.x), grid.y))
        return along_y[:, ::2], along_x[::2]


def with_lines(grid: Grid, x: AnyArray, y: AnyArray) -> Grid:
    """A grid of other lines, which may be numpy's."""
    return eqx.tree_at(lambda grid: (grid.x, grid.y), grid, (x, y))


def _strips(lines: AnyArray) -> AnyArray:
    xp = namespace(lines)
    sizes = xp.diff(lines)
    half = STRIP * xp.minimum(xp.append(sizes[:1], sizes), xp.append(sizes, sizes[-1:]))
    return xp.stack([lines - half, lines + half], axis=1).ravel()


class Rectangle(AbstractShape):
    """A rectangle with sides along the axes.

    **Arguments:** `x`, `y`: [2], (lowest, highest), in metres; infinite sides are allowed. Coverage, and so all that is
    computed, is differentiable in them, with a kink where a side passes a line of the grid: there the derivative is the
    mean of both sides', and of a perfect conductor that for more metal. (An impedance wall's sides lie on lines, and
    move with these.)

    **Raises:** `ValueError` for sides that are not two numbers in this order.
    """

    x: Float[Array, " sides"]
    y: Float[Array, " sides"]

    def __init__(self, x: Numbers, y: Numbers):
        with staying_known():
            self.x, self.y = as_real(x, "x"), as_real(y, "y")

    def __check_init__(self) -> None:
        for name, sides in (("x", self.x), ("y", self.y)):
            require(sides.shape == (2,), name, "be (lowest, highest)", f"of shape {sides.shape}")
            if is_concrete(sides):
                require(bool(np.diff(np.asarray(sides)) > 0), name, "be (lowest, highest), in this order", sides)

    def coverage(self, grid: Grid) -> Float[AnyArray, "x y"]:
        return _covered(grid.x, self.x)[:, None] * _covered(grid.y, self.y)

    def edge_coverage(self, grid: Grid) -> tuple[Float[AnyArray, "x y_line"], Float[AnyArray, "x_line y"]]:
        on_x, on_y = _inside(grid.x, self.x), _inside(grid.y, self.y)
        return _covered(grid.x, self.x)[:, None] * on_y, on_x[:, None] * _covered(grid.y, self.y)


def _covered(lines: AnyArray, sides: AnyArray) -> AnyArray:
    xp = namespace(lines, sides)
    return xp.clip(xp.diff(xp.clip(lines, sides[0], sides[1])) / xp.diff(lines), 0.0, 1.0)


def _inside(lines: AnyArray, sides: AnyArray) -> AnyArray:
    return (lines >= sides[0]) & (lines <= sides[1])


class Region(AbstractShape):
    """Where a function of the coordinates is true, sampled eight by eight times in each cell.

        disc = fdtd.Region(lambda x, y: x**2 + y**2 < (5e-6) ** 2)

    Shares that are counted have no derivative, so that what the function answers must be known: a size that changes is
    one of a `Rectangle`, or of a shape of your own, an `AbstractShape` whose `coverage` is a formula.

    **Arguments:** `inside`: `(x, y) -> bool`, of arrays [n, 1] and [1, m] of coordinates in metres.

    **Raises:** `ValueError` for what is no such function: it is tried once, at places near 0; or, in a scene, for
    answers that are traced.
    """

    inside: Callable[[Array, Array], Array]

    def __init__(self, inside: Any):
        must = "be a function (x, y) -> bool of arrays [n, 1] and [1, m], in metres"
        self.inside = as_function(inside, "inside", must, _try_inside)

    def coverage(self, grid: Grid) -> Float[AnyArray, "x y"]:
        (nx, ny), (x, y) = grid.shape, _samples(grid)
        inside = self._at(x, y).reshape(nx, SAMPLES, ny, SAMPLES)
        return namespace(inside).mean(inside.astype(grid.x.dtype), axis=(1, 3))

    def edge_coverage(self, grid: Grid) -> tuple[Float[AnyArray, "x y_line"], Float[AnyArray, "x_line y"]]:
        (nx, ny), (x, y), dtype = grid.shape, _samples(grid), grid.x.dtype
        on_x, on_y = self._at(x, grid.y), self._at(grid.x, y)
        xp = namespace(on_x, on_y)
        along_x, along_y = on_x.reshape(nx, SAMPLES, ny + 1), on_y.reshape(nx + 1, ny, SAMPLES)
        return xp.mean(along_x.astype(dtype), axis=1), xp.mean(along_y.astype(dtype), axis=2)

    def _at(self, x: AnyArray, y: AnyArray) -> AnyArray:
        inside = self.inside(x[:, None], y[None, :])
        must = (
            "be a function of known numbers on a known grid: what is counted at points has no derivative (a size that "
            "changes is one of a Rectangle, or of an AbstractShape whose coverage is a formula)"
        )
        require(is_concrete(inside, x, y, _held(self.inside)), "inside", must, "one with a traced number")
        return namespace(inside).broadcast_to(inside, (x.size, y.size))


def _held(function: Any) -> list[Any]:
    """What a function holds: the derivative of a comparison is gone without a trace, and so is not in its answer."""
    parts = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    parts += [
        getattr(function, name, None) for name in ("__defaults__", "__kwdefaults__", "__self__", "args", "keywords")
    ]
    return parts + [_held(part) for part in parts if hasattr(part, "__closure__") and part is not function]


def _samples(grid: Grid) -> tuple[AnyArray, AnyArray]:
    """Coordinates of a cell's samples, of all cells."""
    shares = (np.arange(SAMPLES) + 0.5) / SAMPLES
    sizes = (grid.x, grid.dx), (grid.y, grid.dy)
    x, y = ((lines[:-1, None] + size[:, None] * shares.astype(lines.dtype)).ravel() for lines, size in sizes)
    return x, y


def _try_inside(inside: Callable[[Array, Array], Array]) -> None:
    # With values, not traced: numpy's functions serve as well.
    answer = jnp.asarray(inside(jnp.zeros((2, 1)), jnp.zeros((1, 3))))
    require(answer.dtype == bool, "inside", "return booleans", f"a function that returns {answer.dtype}")
    fits = answer.ndim <= 2 and all(n in (1, m) for n, m in zip(answer.shape[::-1], (3, 2), strict=False))
    was = f"a function that returns the shape {answer.shape}"
    require(fits, "inside", "return an array that goes with those of x [2, 1] and y [1, 3]", was)
