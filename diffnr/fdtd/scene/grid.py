"""The rectangular grid: lines of x and y between cells, evenly spaced or finer around named places."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import (
    Numbers,
    as_positive,
    as_range,
    as_real,
    as_scalar,
    as_vector,
    is_concrete,
    require,
    require_finite,
    require_known,
    staying_known,
)
from diffnr.host import AnyArray, namespace

MOST_CELLS = 10**7  # along one axis, far beyond what any memory holds across


class Grid(eqx.Module):
    """Cells between lines; Hz and currents are at their centres, Ex on horizontal edges, Ey on vertical ones.

    **Arguments:** `x`: [nx + 1], `y`: [ny + 1], the lines' coordinates in metres, rising. They are leaves: a gradient
    in them moves interfaces that lie on lines.

    **Raises:** `ValueError` for lines that do not rise, fewer than two cells, values that are not finite.
    """

    x: Float[Array, " x_line"]
    y: Float[Array, " y_line"]

    def __init__(self, x: Numbers, y: Numbers):
        with staying_known():
            self.x, self.y = as_real(x, "x"), as_real(y, "y")

    def __check_init__(self) -> None:
        for name, lines in (("x", self.x), ("y", self.y)):
            require(lines.ndim == 1 and lines.size >= 3, name, "have at least three lines", f"of shape {lines.shape}")
            require_finite(name, lines)
            rising = not is_concrete(lines) or bool(np.all(np.diff(np.asarray(lines)) > 0))
            require(rising, name, "rise from line to line", lines)

    @classmethod
    def uniform(cls, x: Any, y: Any, cell: Numbers) -> Grid:
        """Square cells, or nearly so: a whole number of them fills each range.

            grid = fdtd.Grid.uniform((0, 400e-6), (0, 30e-6), 1e-6)

        **Arguments:** `x`, `y`: (lowest, highest) in metres; `cell`: the size of cells in metres; they are a little
        smaller where it takes that.

        **Raises:** `ValueError` for ranges that do not rise, a cell that is not positive, more than 10⁷ along an axis.
        """
        size = _known_size(cell, "cell")
        return cls(*(_even(name, sides, size) for name, sides in (("x", x), ("y", y))))

    @classmethod
    def refined(
        cls,
        x: Numbers,
        y: Numbers,
        cell: Numbers,
        *,
        fine_x: Any = None,
        fine_y: Any = None,
        growth: Numbers = 1.2,
    ) -> Grid:
        """Cells of at most `cell`, smoothly finer around some places.

            grid = fdtd.Grid.refined([0, 400e-6], [0, 18e-6, 30e-6], 1e-6, fine_y={18e-6: 0.25e-6})

        **Arguments:** `x`, `y`: coordinates in metres, rising, on which lines must lie: the ends, and interfaces
        between media; `fine_x`, `fine_y`: {coordinate: cell there}; `growth`: the largest ratio of neighbouring cells
        (1.05 to 1.3; interfaces between cells of unequal size reflect as the square of their difference).

        **Raises:** `ValueError` for coordinates that do not rise, cells that are not positive, places off the grid, a
        growth that does not lie above 1 and up to 2, more than 10⁷ cells along an axis.
        """
        size = _known_size(cell, "cell")
        ratio = _known(growth, "growth")
        require(1.0 < ratio <= 2.0, "growth", "lie above 1 and not above 2", growth)
        return cls(*(_graded(*axis, ratio) for axis in (("x", x, size, fine_x), ("y", y, size, fine_y))))

    @property
    def shape(self) -> tuple[int, int]:
        """(nx, ny), the number of cells."""
        return self.x.size - 1, self.y.size - 1

    @property
    def dx(self) -> Float[AnyArray, " x"]:
        """Widths of cells."""
        return namespace(self.x).diff(self.x)

    @property
    def dy(self) -> Float[AnyArray, " y"]:
        """Heights of cells."""
        return namespace(self.y).diff(self.y)

    @property
    def centres(self) -> tuple[Float[AnyArray, " x"], Float[AnyArray, " y"]]:
        """Coordinates of the cells' centres."""
        return (self.x[1:] + self.x[:-1]) / 2, (self.y[1:] + self.y[:-1]) / 2


def rounding(lines: Any) -> float:
    """By what share of itself a cell's size may err where lines are rounded, and with it what is averaged over cells:
    the unit in which equal things are equal, 10⁻¹³ in double precision and 10⁻⁵ in single."""
    known = np.asarray(lines)
    return 8 * float(np.finfo(known.dtype).eps) * float(np.max(np.abs(known)) / np.min(np.abs(np.diff(known))))


def nearest(lines: Array, place: Any, name: str, points: Array | None = None) -> int:
    """The index of the line (or of the one of `points`) nearest to a place, which must lie on the grid."""
    must = "be a known place on a grid of known lines (no arguments of jit or grad)"
    require(is_concrete(lines, place), name, must, "traced")
    place = _known(place, name)
    low, high = (float(np.asarray(lines)[end]) for end in (0, -1))
    require(
        low <= place <= high,
        name,
        f"lie on the grid, between {low * 1e6:.6g} and {high * 1e6:.6g} µm",
        f"{place * 1e6:.6g} µm",
    )
    return int(np.argmin(np.abs(np.asarray(lines if points is None else points) - place)))


def _known(value: Any, name: str) -> float:
    """One finite number, in the precision in which it came: where float64 is off, readers round."""
    require_known(value, name)
    as_scalar(value, name)
    return float(np.asarray(value))


def _known_size(cell: Any, name: str) -> float:
    require_known(cell, name)
    as_positive(cell, name)
    return float(np.asarray(cell))


def _require_few(count: float, name: str) -> None:
    must = f"leave at most {MOST_CELLS:.0e} cells along {name}, with what is given for {name} and fine_{name}"
    require(count <= MOST_CELLS, "cell", must, f"one that leaves {count:.3g}")


def _require_two(lines: np.ndarray, name: str) -> np.ndarray:
    require(lines.size >= 3, "cell", f"leave at least two cells along {name}", f"one that leaves {lines.size - 1}")
    return lines


def _even(name: str, sides: Any, cell: float) -> np.ndarray:
    require_known(sides, name)
    as_range(sides, name)
    low, high = (float(np.asarray(side)) for side in sides)
    _require_few((high - low) / cell, name)
    return _require_two(np.linspace(low, high, int(np.ceil((high - low) / cell * (1 - 1e-9))) + 1), name)


def _finer(value: Any, name: str, low: float, high: float) -> dict[float, float]:
    """{coordinate: cell there} as numbers."""
    require(value is None or isinstance(value, Mapping), name, "be {coordinate: cell there}, in metres", value)
    found = {}
    for place, size in (value or {}).items():
        at, cell = _known(place, f"{name}, a coordinate in it,"), _known_size(size, f"{name}, a cell in it,")
        require(
            low <= at <= high,
            name,
            f"name places between {low * 1e6:.6g} and {high * 1e6:.6g} µm",
            f"{at * 1e6:.6g} µm",
        )
        found[at] = cell
    return found


def _graded(name: str, stops: Any, cell: float, finer: Any, growth: float) -> np.ndarray:
    require_known(stops, name)
    as_vector(stops, name, least=2, rising=True)
    at = np.asarray(stops, float)
    fine = _finer(finer, f"fine_{name}", at[0], at[-1])
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
        _require_few(count[-1], name)
        cells = max(1, int(np.ceil(count[-1] * (1 - 1e-9))))
        between = np.interp(np.arange(1, cells) / cells * count[-1], count, u)
        lines.append(np.append(between, high))
    return _require_two(np.concatenate(lines), name)
