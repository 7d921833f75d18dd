"""Matched layers inside the step: a memory of derivatives along one axis, in the cells of one side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from diffnr.fdtd.scene.boundaries import Boundaries
from diffnr.fdtd.scene.grid import Grid
from diffnr.host import AnyArray, namespace


class Layer(eqx.Module):
    """ψ⁺ = keep ψ + gain D, which is added to the derivative D: the recursion of 1/s − 1/κ."""

    axis: int = eqx.field(static=True)  # 0 for x, 1 for y
    cells: tuple[int, int] = eqx.field(static=True)
    lines: tuple[int, int] = eqx.field(static=True)  # inner ones, counted from the first of all
    centre: tuple[Float[Array, " n"], Float[Array, " n"]]  # (keep, gain)
    line: tuple[Float[Array, " n"], Float[Array, " n"]]

    def of_cells(self, array: Array) -> Array:
        """The part of an array over cells."""
        return array[self._index(*self.cells)]

    def of_inner(self, array: Array) -> Array:
        """The part of an array over the inner lines of its axis."""
        return array[self._index(self.lines[0] - 1, self.lines[1] - 1)]

    def shape(self, nx: int, ny: int) -> tuple[int, int]:
        """Of either memory."""
        count = self.cells[1] - self.cells[0]
        return (count, ny) if self.axis == 0 else (nx, count)

    def remember(self, memory: Array, derivative: Array, kind: str) -> Array:
        """ψ⁺, for "centre" or "line"."""
        keep, gain = self.centre if kind == "centre" else self.line
        spread = (lambda v: v[:, None]) if self.axis == 0 else (lambda v: v)
        return spread(keep) * memory + spread(gain) * derivative

    def add_to_cells(self, array: Array, part: Array) -> Array:
        return array.at[self._index(*self.cells)].add(part)

    def add_to_lines(self, array: Array, part: Array) -> Array:
        return array.at[self._index(*self.lines)].add(part)

    def _index(self, first: int, last: int) -> tuple[slice, slice]:
        part, whole = slice(first, last), slice(None)
        return (part, whole) if self.axis == 0 else (whole, part)


def layers_of(
    boundaries: Boundaries, grid: Grid, step: AnyArray, sizes: Sequence[AnyArray]
) -> tuple[list[AnyArray], list[tuple[Any, ...]]]:
    """κ times the sizes of cells in x and y, and the distances between their centres; and a `Layer`'s fields for each
    matched layer."""
    axes, xp = (grid.x, grid.y), namespace(grid.x, step)
    stretched = list(sizes)
    layers = []
    for side, layer in boundaries.matched():
        axis = 0 if side in ("left", "right") else 1
        lines, n = axes[axis], layer.cells
        centres, count = (lines[1:] + lines[:-1]) / 2, lines.size - 1
        if side in ("left", "bottom"):
            cells, inner = (0, n), (1, n + 1)
            face, wall = lines[n], lines[0]
        else:
            cells, inner = (count - n, count), (count - n, count)
            face, wall = lines[count - n], lines[-1]
        coefficients = []
        for at, (first, last), kind in ((centres, cells, axis), (lines, inner, 2 + axis)):
            kappa, sigma, alpha = layer.rates(abs(at[first:last] - face), abs(wall - face))
            keep = xp.exp(-(sigma / kappa + alpha) * step)
            lossy = sigma > 0
            gain = xp.where(lossy, sigma / xp.where(lossy, sigma + kappa * alpha, 1.0) * (keep - 1), 0.0)
            coefficients.append((keep, gain))
            begin = first if kind < 2 else first - 1
            size = stretched[kind]
            parts = size[:begin], size[begin : begin + last - first] * kappa, size[begin + last - first :]
            stretched[kind] = xp.concatenate(parts)
        layers.append((axis, cells, inner, *coefficients))
    return stretched, layers
