"""What fills the grid: shapes and media, averaged over cells, and as coefficients of the scheme's points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import as_frequency, is_concrete, require, require_instance, staying_known
from diffnr.fdtd.scene.boundaries import Boundaries
from diffnr.fdtd.scene.cut_cells import are_whole, free_shares, of_edges
from diffnr.fdtd.scene.grid import Grid, rounding
from diffnr.fdtd.scene.media import LIGHT, VACUUM, AbstractMedium, AbstractMetal, Dielectric, SurfaceImpedance
from diffnr.fdtd.scene.shapes import AbstractShape, Rectangle
from diffnr.fdtd.scene.units import described, warn_of_metres, wavelengths
from diffnr.host import AnyArray, by_numpy, namespace


class Scene(eqx.Module):
    """A grid, what fills its cells, and what stands at its ends.

    **Fields:** `grid`; `eps` [x, y], ε∞; `drude_weight` [x, y], ε∞ ω_p² in rad²/s²; `motion` [x, y] or [] complex, −ν +
    iω_c, by which Jx + iJy goes on; `metal` [x, y], where fields do not go; `sheets`: (R, L) [x, y] of metal that is no
    perfect conductor, in Ω and H, or none; `boundaries`; `free`: where perfect conductors end within cells, the shares
    that they leave of cells [x, y], of edges along x [x, y_line] and along y [x_line, y], or none (`cut_cells.py`).
    """

    grid: Grid
    eps: Float[Array, "x y"]
    drude_weight: Float[Array, "x y"]
    motion: Complex[Array, "..."]
    metal: Bool[Array, "x y"]
    sheets: tuple[Float[Array, "x y"], ...]
    boundaries: Boundaries
    has_carriers: bool = eqx.field(static=True)
    free: tuple[Float[Array, "..."], ...] = ()

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
        means of ε∞ and ε∞ ω_p² by area, and of ν and ω_c by carriers; a `PerfectConductor` leaves cells in part, and
        the media have what is left.

        **Raises:** `ValueError` for media with arrays that do not fit the grid, a shape that meets no cell, shapes that
        overlap, a conductor thinner than a cell between two lines, a rectangular impedance wall whose sides do not lie
        on lines (or are traced on a grid that is not), boundaries for which there is no room, a matched layer in a
        scene with carriers or impedance walls.
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
        the face of an impedance wall that is half of the other cell's. g is 1 away from cells that are cut.
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

        ex, ey = inverse(1), inverse(0)
        if not self.free:
            return ex, ey
        cells, on_x, on_y = self.free
        left, low = (1 if repeats is None else 0 for repeats in self.boundaries.bloch)
        shares = of_edges(*self.pairs(cells, 1), on_x[:, low:-1]), of_edges(*self.pairs(cells, 0), on_y[left:-1])
        return ex * shares[0], ey * shares[1]

    @property
    def rarity(self) -> AnyArray:
        """1/f of each cell of which perfect conductors leave the share f, 0 in metal; [] where none is cut."""
        if not self.free:
            return namespace(self.eps).ones((), self.eps.dtype)
        there, xp = self.free[0] > 0, namespace(self.free[0])
        return xp.where(there, 1 / xp.where(there, self.free[0], 1.0), 0.0)

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
    _require_walls_on_lines(grid, objects, shares, max(twice, 1e-6))
    free = _free(grid, media, [shape for shape, _ in objects])
    eps, drude, motion, metal, sheets = by_numpy(_filled, [rest, *shares], parts, moving, free[:1])
    free = () if not free or are_whole(free[0]) else free
    scene = Scene(grid, eps, drude, motion, metal, sheets if walls else (), boundaries, any(moving), free)
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


def _free(grid: Grid, media: Sequence[AbstractMedium], shapes: Sequence[AbstractShape]) -> tuple[AnyArray, ...]:
    """What perfect conductors leave of cells and edges; () where there are none."""
    perfect = [isinstance(medium, AbstractMetal) and not isinstance(medium, SurfaceImpedance) for medium in media]
    if perfect[0]:
        return free_shares(grid, [], [shape for shape, no in zip(shapes, perfect[1:], strict=True) if not no])
    metals = [shape for shape, yes in zip(shapes, perfect[1:], strict=True) if yes]
    return free_shares(grid, metals, None) if metals else ()


def _require_walls_on_lines(grid: Grid, objects: Any, shares: Sequence[AnyArray], twice: float) -> None:
    """E on the face of an impedance wall is a number of its own, at a line of the grid."""
    for (shape, medium), share in zip(objects, shares, strict=True):
        if not (isinstance(medium, SurfaceImpedance) and isinstance(shape, Rectangle)):
            continue
        must = (
            "have impedance walls whose sides lie on lines of the grid (a side that changes is a line that does: "
            "give Grid lines that hold it)"
        )
        if is_concrete(share):
            part = np.asarray(share)
            whole = bool(np.all((part < twice) | (part > 1 - twice)))
            require(whole, "objects", must, f"a wall with x = {shape.x} and y = {shape.y}")
        else:
            require(not is_concrete(grid), "objects", must, "one with traced sides on a grid of known lines")


def _filled(
    shares: Sequence[AnyArray], parts: Sequence[Any], moving: Sequence[bool], free: tuple[AnyArray, ...]
) -> tuple[Any, ...]:
    """ε∞, ε∞ ω_p², motion, metal, and (R, L) of sheets."""
    xp = namespace(*shares)
    nothing = xp.zeros_like(shares[0])
    eps, drude, room = nothing, nothing, nothing
    motions: list[tuple[AnyArray, AnyArray]] = []
    metal, sheets = free[0] == 0 if free else xp.zeros(nothing.shape, bool), (nothing, nothing)
    for share, (numbers, walls), moves in zip((xp.clip(shares[0], 0.0, 1.0), *shares[1:]), parts, moving, strict=True):
        if numbers is None:
            if walls is not None:
                most = share >= 0.5
                metal = metal | most
                sheets = tuple(xp.where(most, value, sheet) for value, sheet in zip(walls, sheets, strict=True))
            continue
        eps_inf, omega_p, nu, omega_c = numbers
        weight = share * (eps_inf * omega_p**2)
        eps, drude, room = eps + share * eps_inf, drude + weight, room + share
        if moves:
            motions.append((weight, -nu + 1j * omega_c))
    # Beside metal the other media fill what is theirs of the cell.
    eps = xp.where(room > 0, eps / xp.where(room > 0, room, 1.0), 1.0)
    drude = xp.where(metal, 0.0, drude / xp.where(room > 0, room, 1.0))
    return eps, drude, _motion(motions, nothing), metal, sheets


def _motion(motions: Sequence[tuple[AnyArray, AnyArray]], nothing: AnyArray) -> AnyArray:
    """−ν + iω_c, of several media's by how many carriers each has in a cell."""
    xp = namespace(nothing)
    if not motions:
        return xp.zeros((), xp.result_type(nothing.dtype, xp.complex64))
    if len(motions) == 1:
        # With one medium of carriers its numbers serve everywhere: where there are none J stays 0.
        return motions[0][1]
    total = sum(weight for weight, _ in motions)
    mean = sum(weight * motion for weight, motion in motions) / xp.where(total > 0, total, 1.0)
    return xp.where(total > 0, mean, motions[0][1])


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
    rows = rows * scene.rarity
    square = LIGHT**2 * xp.max(xp.where(scene.metal, 0.0, rows)) + xp.max(scene.drude_weight / scene.eps)
    for (_, inductance), edges, size in zip(
        scene.faces, (ex, ey), (scene.between[1], scene.between[0][:, None]), strict=False
    ):
        there = inductance > 0
        rate = edges / (VACUUM * size * xp.where(there, inductance, 1.0))
        square = square + xp.max(xp.where(there, rate, 0.0))
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
