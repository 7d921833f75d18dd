"""Cells that move with a cavity's sizes, so that their number stays and what is computed is differentiable."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from diffnr.checks import as_positive, is_concrete, require
from diffnr.fdtd.scene.grid import Grid

ROOM = 8e-6  # m, on both sides of the port: its source is cells behind it, where cells are equally wide
MOST = ROOM / 6.4  # of a cell, so that six fit in
SAME = 1e-3  # of the cell at the opening: places that are no farther apart are one line


class CavityMesh(eqx.Module):
    """The cells of a cavity's scene: they move with its sizes, and their number stays.

    **Fields:** `grid`, for the sizes it was made of; `x`, `y`: the places in m that its cavity named then, in order;
    `opening_cell` in m.
    """

    grid: Grid
    x: tuple[float, ...] = eqx.field(static=True)
    y: tuple[float, ...] = eqx.field(static=True)
    opening_cell: float = eqx.field(static=True)

    @property
    def same(self) -> float:
        """How far apart places are at most that are one, in m."""
        return SAME * self.opening_cell

    @classmethod
    def of(cls, cavity: Any, cell: Any, opening_cell: Any, growth: Any = 1.2) -> "CavityMesh":
        """Cells of at most `cell`, finer at the opening.

        **Arguments:** `cell`, `opening_cell` in m; `growth`: as for `Grid.refined`.

        **Raises:** `ValueError` for a cavity whose sizes are traced, an opening of less than two cells.
        """
        require(is_concrete(cavity), "cavity", "hold known sizes (make its mesh outside of jit and grad)", "traced")
        size, fine = (
            float(as_positive(value, name)) for name, value in (("cell", cell), ("opening_cell", opening_cell))
        )
        require(size <= MOST, "cell", f"be at most {MOST * 1e6:.4g} µm, as ports need", f"{size * 1e6:.4g} µm")
        require(fine <= size, "opening_cell", "be at most cell", f"{fine * 1e6:.4g} µm")
        opening = float(cavity.opening)
        must = f"leave two cells at least in the opening of {opening * 1e6:.4g} µm"
        require(2 * fine <= opening * (1 + 1e-9), "opening_cell", must, f"{fine * 1e6:.4g} µm")
        places = [[float(value) for value in axis] for axis in cavity.places(fine)]
        stops = [np.asarray(axis)[_distinct(axis, SAME * fine)[1]] for axis in places]
        fine_x, fine_y = cavity.finest(fine)
        grid = Grid.refined(stops[0], stops[1], size, fine_x=fine_x, fine_y=fine_y, growth=growth)
        return cls(grid, tuple(places[0]), tuple(places[1]), fine)

    def grid_of(self, cavity: Any) -> Grid:
        """The grid whose lines stand where this cavity has its faces.

        **Raises:** `ValueError` for faces in another order than those that the mesh was made for.
        """
        axes = zip("xy", (self.grid.x, self.grid.y), (self.x, self.y), cavity.places(self.opening_cell), strict=True)
        moved = []
        for name, lines, old, new in axes:
            which, first = _distinct(old, self.same)
            stands = [new[k] for k in first]
            if is_concrete(new):
                values = [float(value) for value in new]
                together = all(
                    abs(values[first[n]] - value) <= self.same for n, value in zip(which, values, strict=True)
                )
                rising = all(values[a] < values[b] for a, b in pairwise(first))
                must = f"have its faces along {name} in the order of the cavity that the mesh is of (make another mesh)"
                require(together and rising, "cavity", must, np.asarray(values))
            moved.append(_moved(np.asarray(lines), np.asarray(old)[first], stands))
        return Grid(moved[0], moved[1])


def _distinct(values: Any, least: float) -> tuple[list[int], list[int]]:
    """Which of the distinct values each one is, by size, and where each of those comes first."""
    which, first = [0] * len(values), []
    for k in np.argsort(np.asarray(values, float), kind="stable").tolist():
        if not first or values[k] - values[first[-1]] > least:
            first.append(k)
        which[k] = len(first) - 1
    return which, first


def _moved(lines: np.ndarray, old: np.ndarray, new: list[Any]) -> Any:
    """Lines that stay in proportion between places that have moved."""
    near = np.argmin(np.abs(lines[:, None] - old), axis=0)
    k = np.clip(np.searchsorted(near, np.arange(lines.size), side="right") - 1, 0, near.size - 2)
    share = (lines - lines[near[k]]) / (lines[near[k + 1]] - lines[near[k]])
    stands = jnp.stack([jnp.asarray(value, lines.dtype) for value in new])
    return stands[k] * (1 - share) + stands[k + 1] * share
