"""What fills the grid: shapes and media, averaged over cells, and as coefficients of the scheme's points."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import Numbers, as_real, is_concrete, require
from diffnr.fdtd.grid import Grid
from diffnr.fdtd.media import LIGHT, AbstractMedium, PerfectConductor

SAMPLES = 8  # of a cell and direction, for shapes without a closed form


class AbstractShape(eqx.Module):
    """A part of the plane."""

    @abc.abstractmethod
    def coverage(self, grid: Grid) -> Float[Array, "x y"]:
        """The share of each cell that lies inside, from 0 to 1."""


class Rectangle(AbstractShape):
    """A rectangle with sides along the axes.

    **Arguments:** `x`, `y`: [2], (lowest, highest), in metres; infinite ends are allowed. Coverage, and so all that is
    computed, is differentiable in them (a kink where a side passes a line).
    """

    x: Float[Array, " ends"]
    y: Float[Array, " ends"]

    def __init__(self, x: Numbers, y: Numbers):
        self.x, self.y = as_real(x, "x"), as_real(y, "y")

    def __check_init__(self) -> None:
        for name, ends in (("x", self.x), ("y", self.y)):
            require(ends.shape == (2,), name, "be (lowest, highest)", f"of shape {ends.shape}")
            if is_concrete(ends):
                require(bool(ends[0] < ends[1]), name, "be (lowest, highest), in this order", ends)

    def coverage(self, grid: Grid) -> Float[Array, "x y"]:
        def along(lines: Array, ends: Array) -> Array:
            return jnp.clip(jnp.diff(jnp.clip(lines, ends[0], ends[1])) / jnp.diff(lines), 0.0, 1.0)

        return along(grid.x, self.x)[:, None] * along(grid.y, self.y)


class Region(AbstractShape):
    """Where a function of the coordinates is true, sampled eight by eight times in each cell.

    **Arguments:** `inside`: `(x, y) -> bool`, of arrays in metres.
    """

    inside: Callable[[Array, Array], Array]

    def coverage(self, grid: Grid) -> Float[Array, "x y"]:
        shares = (jnp.arange(SAMPLES) + 0.5) / SAMPLES
        x, y = ((lines[:-1, None] + jnp.diff(lines)[:, None] * shares).ravel() for lines in (grid.x, grid.y))
        inside = jnp.broadcast_to(self.inside(x[:, None], y[None, :]), (x.size, y.size))
        nx, ny = grid.shape
        return jnp.mean(inside.reshape(nx, SAMPLES, ny, SAMPLES).astype(grid.x.dtype), axis=(1, 3))


class Scene(eqx.Module):
    """A grid and what fills its cells.

    **Fields:** `grid`; `eps` [x, y], ε∞; `carriers` [x, y], ε∞ ω_p² in rad²/s²; `motion` [x, y] or [] complex, −ν +
    iω_c, by which Jx + iJy goes on; `metal` [x, y], where the perfect conductor is.
    """

    grid: Grid
    eps: Float[Array, "x y"]
    carriers: Float[Array, "x y"]
    motion: Complex[Array, "..."]
    metal: Bool[Array, "x y"]
    has_carriers: bool = eqx.field(static=True)

    @classmethod
    def of(
        cls, grid: Grid, background: AbstractMedium, objects: Sequence[tuple[AbstractShape, AbstractMedium]] = ()
    ) -> Scene:
        """The grid filled with a background and shapes in it, later ones over earlier ones.

        **Arguments:** `grid`; `background`: a medium; `objects`: pairs of a shape and a medium. A cell that a shape
        covers in part gets averages of ε∞ and ε∞ ω_p²; ν, ω_c and metal are those of what covers most of it.

        **Raises:** `ValueError` for media with arrays that do not fit the grid, or a shape that meets no cell.
        """
        nothing = jnp.zeros(grid.shape, grid.x.dtype)
        eps, carriers, motion = nothing + 1.0, nothing, jnp.zeros((), jnp.result_type(nothing, jnp.complex64))
        metal, moving = jnp.zeros(grid.shape, bool), 0
        for shape, medium in [(None, background), *objects]:
            share = jnp.ones_like(nothing) if shape is None else shape.coverage(grid)
            if is_concrete(share):
                meets = bool(jnp.any(share > 0))
                require(meets, "objects", "have shapes that meet the grid", f"a {shape} that does not")
            strength, speed = medium.eps_inf * medium.omega_p**2, -medium.nu + 1j * medium.omega_c
            for value in (medium.eps_inf, strength, speed):
                fits = value.shape in ((), grid.shape)
                require(fits, "objects", f"have media of shape () or {grid.shape}", f"of shape {value.shape}")
            eps = (1 - share) * eps + share * medium.eps_inf
            carriers = (1 - share) * carriers + share * strength
            metal = jnp.where(share >= 0.5, isinstance(medium, PerfectConductor), metal)
            if _moves(medium):
                # With one medium of carriers its numbers serve everywhere: where there are none J stays 0.
                motion = speed if moving == 0 else jnp.where(share >= 0.5, speed, motion)
                moving += 1
        return cls(grid, eps, jnp.where(metal, 0.0, carriers), motion, metal, moving > 0)

    @property
    def edges(self) -> tuple[Float[Array, "x y_inner"], Float[Array, "x_inner y"]]:
        """1/ε∞ at the inner edges, of Ex [nx, ny − 1] and of Ey [nx − 1, ny]; 0 beside metal, where there is no field.

        Both are tangential to the face between the two cells they touch: ε∞ is their mean by size.
        """
        dx, dy = self.grid.dx[:, None], self.grid.dy
        ex = (self.eps[:, 1:] * dy[1:] + self.eps[:, :-1] * dy[:-1]) / (dy[1:] + dy[:-1])
        ey = (self.eps[1:] * dx[1:] + self.eps[:-1] * dx[:-1]) / (dx[1:] + dx[:-1])
        free = ~self.metal
        return jnp.where(free[:, 1:] & free[:, :-1], 1 / ex, 0.0), jnp.where(free[1:] & free[:-1], 1 / ey, 0.0)

    @property
    def longest_step(self) -> Float[Array, ""]:
        """The time step in seconds from which on fields could grow: 2 over a bound of the fastest rate there is.

        The bound is Gershgorin's for ε⁻¹ curl curl on Hz, where each edge joins two cells, and the largest plasma
        frequency: (ω Δt/2)² < 1 for all modes of the scheme. On uniform grids in one medium it is sharp.
        """
        ex, ey = self.edges
        dx, dy = self.grid.dx, self.grid.dy
        up, across = 4 * ex / (dy[1:] + dy[:-1]), 4 * ey / (dx[1:] + dx[:-1])[:, None]
        rows = (jnp.pad(up, ((0, 0), (0, 1))) + jnp.pad(up, ((0, 0), (1, 0)))) / dy
        rows = rows + (jnp.pad(across, ((0, 1), (0, 0))) + jnp.pad(across, ((1, 0), (0, 0)))) / dx[:, None]
        return 2 / jnp.sqrt(LIGHT**2 * jnp.max(rows) + jnp.max(self.carriers / self.eps))


def _moves(medium: AbstractMedium) -> bool:
    return not is_concrete(medium.omega_p) or bool(jnp.any(medium.omega_p > 0))
