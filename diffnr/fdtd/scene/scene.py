"""What fills the grid: shapes and media, averaged over cells, and as coefficients of the scheme's points."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import (
    Numbers,
    as_frequency,
    as_function,
    as_real,
    is_concrete,
    require,
    require_instance,
    staying_known,
)
from diffnr.fdtd.scene.boundaries import Boundaries
from diffnr.fdtd.scene.grid import Grid, rounding
from diffnr.fdtd.scene.media import LIGHT, VACUUM, AbstractMedium, AbstractMetal, Dielectric, SurfaceImpedance
from diffnr.fdtd.scene.units import described, warn_of_metres, wavelengths
from diffnr.host import AnyArray, by_numpy, namespace

SAMPLES = 8  # of a cell and direction, for shapes without a closed form


class AbstractShape(eqx.Module):
    """A part of the plane."""

    @abc.abstractmethod
    def coverage(self, grid: Grid) -> Float[AnyArray, "x y"]:
        """The share of each cell that lies inside, from 0 to 1."""


class Rectangle(AbstractShape):
    """A rectangle with sides along the axes.

    **Arguments:** `x`, `y`: [2], (lowest, highest), in metres; infinite sides are allowed. Coverage, and so all that is
    computed, is differentiable in them (a kink where a side passes a line).

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
        def along(lines: AnyArray, sides: AnyArray) -> AnyArray:
            xp = namespace(lines, sides)
            return xp.clip(xp.diff(xp.clip(lines, sides[0], sides[1])) / xp.diff(lines), 0.0, 1.0)

        return along(grid.x, self.x)[:, None] * along(grid.y, self.y)


class Region(AbstractShape):
    """Where a function of the coordinates is true, sampled eight by eight times in each cell.

        disc = fdtd.Region(lambda x, y: x**2 + y**2 < (5e-6) ** 2)

    **Arguments:** `inside`: `(x, y) -> bool`, of arrays [n, 1] and [1, m] of coordinates in metres.

    **Raises:** `ValueError` for what is no such function: it is tried once, at places near 0.
    """

    inside: Callable[[Array, Array], Array]

    def __init__(self, inside: Any):
        must = "be a function (x, y) -> bool of arrays [n, 1] and [1, m], in metres"
        self.inside = as_function(inside, "inside", must, _try_inside)

    def coverage(self, grid: Grid) -> Float[AnyArray, "x y"]:
        shares = (np.arange(SAMPLES) + 0.5) / SAMPLES
        sizes = (grid.x, grid.dx), (grid.y, grid.dy)
        x, y = ((lines[:-1, None] + size[:, None] * shares.astype(lines.dtype)).ravel() for lines, size in sizes)
        inside = self.inside(x[:, None], y[None, :])
        xp, (nx, ny) = namespace(inside), grid.shape
        inside = xp.broadcast_to(inside, (x.size, y.size)).reshape(nx, SAMPLES, ny, SAMPLES)
        return xp.mean(inside.astype(grid.x.dtype), axis=(1, 3))


class Scene(eqx.Module):
    """A grid, what fills its cells, and what stands at its ends.

    **Fields:** `grid`; `eps` [x, y], ε∞; `drude_weight` [x, y], ε∞ ω_p² in rad²/s²; `motion` [x, y] or [] complex, −ν +
    iω_c, by which Jx + iJy goes on; `metal` [x, y], where fields do not go; `sheets`: (R, L) [x, y] of metal that is no
    perfect conductor, in Ω and H, or none; `boundaries`.
    """

    grid: Grid
    eps: Float[Array, "x y"]
    drude_weight: Float[Array, "x y"]
    motion: Complex[Array, "..."]
    metal: Bool[Array, "x y"]
    sheets: tuple[Float[Array, "x y"], ...]
    boundaries: Boundaries
    has_carriers: bool = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        grid: Any,
        background: Any,
        objects: Any = (),
        boundaries: Any = None,
    ) -> Scene:
        """The grid filled with shapes, and with a background where there are none.

            scene = fdtd.Scene.of(grid, silicon, [(fdtd.Rectangle([0, 1e-4], [0, 18e-6]), insb)], open_ended)

        **Arguments:** `grid`; `background`: a medium; `objects`: pairs of a shape and a medium; shapes may touch, but
        not overlap; `boundaries`: at the four sides, default perfect conductors. A cell that shapes cover in part gets
        means of ε∞ and ε∞ ω_p² by area; ν, ω_c and metal are those of what covers most of it.

        **Raises:** `ValueError` for media with arrays that do not fit the grid, a shape that meets no cell, shapes that
        overlap, boundaries for which there is no room, a matched layer in a scene with carriers or impedance walls.
        """
        require_instance(grid, "grid", Grid, "be a Grid")
        require_instance(background, "background", AbstractMedium, "be a medium")
        must = "be Boundaries, or None for perfect conductors"
        require_instance(boundaries, "boundaries", (Boundaries, type(None)), must)
        _require_objects(objects)
        with staying_known():
            return _scene_of(grid, background, objects, Boundaries() if boundaries is None else boundaries)

    def __str__(self) -> str:
        """Sizes in µm, and up to which frequency the cells serve."""
        return described(self)

    def wavelengths(self, omega: Any) -> str:
        """What waves see at a frequency, to be printed: of each medium how much there is, its index (of the Voigt
        geometry), the wavelength or, where nothing propagates, the depth of penetration, and how many cells it has.

            print(scene.wavelengths(nr.hertz(1.24e12)))

        **Arguments:** `omega`: [], rad/s.

        **Raises:** `ValueError` for a frequency that is not positive, or a scene that is traced.
        """
        value = as_frequency(omega, "omega")
        require(is_concrete(self, value), "self", "hold numbers (print outside of jit)", "traced")
        return wavelengths(self, float(value))

    @property
    def has_walls(self) -> bool:
        """Whether some metal is no perfect conductor."""
        return self.sheets != ()

    def pairs(self, cells: AnyArray, axis: int) -> tuple[AnyArray, AnyArray]:
        """Values of the two cells beside each edge across an axis: inner ones, and with Bloch ends the first."""
        if self.boundaries.bloch[axis] is not None:
            return namespace(cells).roll(cells, 1, axis=-1 if axis == 1 else 0), cells
        if axis == 1:
            return cells[..., :-1], cells[..., 1:]
        return cells[:-1], cells[1:]

    @property
    def between(self) -> tuple[Float[AnyArray, " x_inner"], Float[AnyArray, " y_inner"]]:
        """Distances from centre to centre."""
        dx, dy = self.pairs(self.grid.dx, 0), self.pairs(self.grid.dy, 1)
        return (dx[0] + dx[1]) / 2, (dy[0] + dy[1]) / 2

    @property
    def edges(self) -> tuple[Float[AnyArray, "x y_inner"], Float[AnyArray, "x_inner y"]]:
        """1/ε∞ at the edges of Ex and of Ey that are not at the grid's ends; 0 on perfect conductors, and in metal.

        Both are tangential to the face between the two cells they touch: ε∞ is their mean by size. Metal has none: on
        the face of an impedance wall that is half of the other cell's.
        """
        free, xp = ~self.metal, namespace(self.metal, self.eps)
        perfect = self.metal if not self.has_walls else self.metal & (self.sheets[1] == 0)
        sizes = self.grid.dx[:, None], self.grid.dy

        def inverse(axis: int) -> AnyArray:
            cells = xp.where(free, self.eps, 0.0) * sizes[axis]
            low, high = self.pairs(cells, axis)
            eps = (low + high) / 2 / (self.between[0][:, None] if axis == 0 else self.between[1])
            one, other = self.pairs(free, axis)
            blocked = xp.logical_or(*self.pairs(perfect, axis))
            alive = (one | other) & ~blocked
            return xp.where(alive, 1 / xp.where(alive, eps, 1.0), 0.0)

        return inverse(1), inverse(0)

    @property
    def faces(self) -> tuple[tuple[AnyArray, ...], ...]:
        """(R, L) of the sheets on Ex's and on Ey's edges, in Ω and H; 0 where there is none."""

        def on(axis: int, edges: AnyArray) -> tuple[AnyArray, ...]:
            return tuple(
                namespace(edges, values).where(edges > 0, sum(self.pairs(values, axis)), 0.0) for values in self.sheets
            )

        ex, ey = self.edges
        return (on(1, ex), on(0, ey)) if self.has_walls else ()

    @property
    def longest_step(self) -> Float[Array, ""]:
        """The time step in seconds from which on fields could grow: 2 over a bound of the fastest rate there is.

        The bound adds Gershgorin's for ε⁻¹ curl curl on Hz, where each edge joins two cells, the largest plasma
        frequency, and the fastest rate of an impedance wall's face: (ω Δt/2)² < 1 for all modes of the scheme. On
        uniform grids in one medium it is sharp.
        """
        return by_numpy(_longest_step, self)


def _try_inside(inside: Callable[[Array, Array], Array]) -> None:
    # With values, not traced: numpy's functions serve as well.
    answer = jnp.asarray(inside(jnp.zeros((2, 1)), jnp.zeros((1, 3))))
    require(answer.dtype == bool, "inside", "return booleans", f"a function that returns {answer.dtype}")
    fits = answer.ndim <= 2 and all(n in (1, m) for n, m in zip(answer.shape[::-1], (3, 2), strict=False))
    was = f"a function that returns the shape {answer.shape}"
    require(fits, "inside", "return an array that goes with those of x [2, 1] and y [1, 3]", was)


def _require_objects(objects: Any) -> None:
    listed = isinstance(objects, Sequence) and not isinstance(objects, (str, bytes))
    require(listed, "objects", "be a list of pairs of a shape and a medium", objects)
    pairs: list[Any] = list(objects)
    for number, pair in enumerate(pairs):
        name = f"objects[{number}]"
        require(isinstance(pair, (tuple, list)) and len(pair) == 2, name, "be a pair of a shape and a medium", pair)
        require_instance(pair[0], f"{name}[0]", AbstractShape, "be a shape (Rectangle, Region)")
        require_instance(pair[1], f"{name}[1]", AbstractMedium, "be a medium")


def _scene_of(grid: Grid, background: AbstractMedium, objects: Any, boundaries: Boundaries) -> Scene:
    shares = [by_numpy(lambda grid, shape: shape.coverage(grid), grid, shape) for shape, _ in objects]
    for (shape, _), share in zip(objects, shares, strict=True):
        if is_concrete(share):
            meets = bool(np.any(np.asarray(share) > 0))
            require(meets, "objects", "have shapes that meet the grid", f"a {shape} that does not")
    rest = by_numpy(lambda *shares: 1.0 - sum(shares), *shares) if shares else jnp.ones(grid.shape, grid.x.dtype)
    twice = max(1e-6, *(rounding(lines) for lines in (grid.x, grid.y) if is_concrete(lines)), 0.0)
    if is_concrete(rest) and bool(np.any(np.asarray(rest) < -twice)):
        i, j = np.argwhere(np.asarray(rest) < -twice)[0]
        x, y = (float(centres[k]) for centres, k in zip(grid.centres, (i, j), strict=True))
        require(False, "objects", "not overlap", f"covering x = {x * 1e6:.6g} µm, y = {y * 1e6:.6g} µm twice")
    media = [background, *(medium for _, medium in objects)]
    walls = any(isinstance(medium, SurfaceImpedance) for medium in media)
    moving = [_moves(medium) for medium in media]
    parts = [_numbers(medium, grid) for medium in media]
    eps, drude, motion, metal, sheets = by_numpy(_filled, [rest, *shares], parts, moving)
    scene = Scene(grid, eps, drude, motion, metal, sheets if walls else (), boundaries, any(moving))
    scene.boundaries.require_fit(grid.dx, grid.dy)
    _require_layers_may_stand(scene)
    warn_of_metres(scene, [shape for shape, _ in objects])
    return scene


def _numbers(medium: AbstractMedium, grid: Grid) -> tuple[tuple[Array, ...] | None, tuple[Array, ...] | None]:
    """ε∞, ω_p, ν and ω_c, or None of a metal; and R and L, or None of what has no sheets."""
    if isinstance(medium, AbstractMetal):
        return None, (medium.resistance, medium.inductance) if isinstance(medium, SurfaceImpedance) else None
    numbers = medium.eps_inf, medium.omega_p, medium.nu, medium.omega_c
    for number in numbers:
        fits = jnp.shape(number) in ((), grid.shape)
        require(fits, "objects", f"have media of shape () or {grid.shape}", f"of shape {jnp.shape(number)}")
    return numbers, None


def _filled(shares: Sequence[AnyArray], parts: Sequence[Any], moving: Sequence[bool]) -> tuple[Any, ...]:
    """ε∞, ε∞ ω_p², motion, metal, and (R, L) of sheets."""
    xp = namespace(*shares)
    nothing = xp.zeros_like(shares[0])
    eps, drude, room = nothing, nothing, nothing
    motion: Any = None
    metal, sheets = xp.zeros(nothing.shape, bool), (nothing, nothing)
    for share, (numbers, walls), moves in zip((xp.clip(shares[0], 0.0, 1.0), *shares[1:]), parts, moving, strict=True):
        most = share >= 0.5
        if numbers is None:
            metal = metal | most
            if walls is not None:
                sheets = tuple(xp.where(most, value, sheet) for value, sheet in zip(walls, sheets, strict=True))
            continue
        eps_inf, omega_p, nu, omega_c = numbers
        eps, drude, room = eps + share * eps_inf, drude + share * (eps_inf * omega_p**2), room + share
        if moves:
            # With one medium of carriers its numbers serve everywhere: where there are none J stays 0.
            speed = -nu + 1j * omega_c
            motion = speed if motion is None else xp.where(most, speed, motion)
    # Beside metal the other media fill what is theirs of the cell.
    eps = xp.where(room > 0, eps / xp.where(room > 0, room, 1.0), 1.0)
    drude = xp.where(metal, 0.0, drude / xp.where(room > 0, room, 1.0))
    if motion is None:
        motion = xp.zeros((), xp.result_type(nothing.dtype, xp.complex64))
    return eps, drude, motion, metal, sheets


def _require_layers_may_stand(scene: Scene) -> None:
    for side, _ in scene.boundaries.matched():
        must = "be a Sponge in a scene with carriers or impedance walls, whose surface waves a matched layer makes grow"
        require(not (scene.has_carriers or scene.has_walls), side, must, "a MatchedLayer")


def _longest_step(scene: Scene) -> AnyArray:
    (ex, ey), xp = scene.edges, namespace(scene.eps)
    up, across = 2 * ex / scene.between[1], 2 * ey / scene.between[0][:, None]
    repeats = scene.boundaries.bloch
    around = lambda a, axis: (a, xp.roll(a, -1, axis)) if repeats[axis] else _beside(a, axis)  # noqa: E731
    rows = sum(around(up, 1)) / scene.grid.dy + sum(around(across, 0)) / scene.grid.dx[:, None]
    square = LIGHT**2 * xp.max(xp.where(scene.metal, 0.0, rows)) + xp.max(scene.drude_weight / scene.eps)
    for (_, inductance), edges, size in zip(
        scene.faces, (ex, ey), (scene.between[1], scene.between[0][:, None]), strict=False
    ):
        rate = edges / (VACUUM * size * xp.where(inductance > 0, inductance, xp.inf))
        square = square + xp.max(rate)
    return 2 / xp.sqrt(square)


def _beside(edges: AnyArray, axis: int) -> tuple[AnyArray, AnyArray]:
    """Values of the two edges of each cell, 0 at the grid's ends."""
    room = [(0, 0), (0, 0)]
    before, after = list(room), list(room)
    before[axis], after[axis] = (1, 0), (0, 1)
    xp = namespace(edges)
    return xp.pad(edges, before), xp.pad(edges, after)


def _moves(medium: AbstractMedium) -> bool:
    # By kind and by numpy: inside of jit whatever jnp makes is traced, zeros of a dielectric as well.
    unknown = not is_concrete(medium.omega_p)
    return not isinstance(medium, Dielectric) and (unknown or bool(np.any(np.asarray(medium.omega_p) > 0)))
