"""Where the power of a field at one frequency goes: through lines, into media, out of sources.

The scheme has a Poynting theorem of its own. With phasors at the fields' own times, Re Σ V E*·curl H and
Re Σ V H*·curl E have only what media and sources do on their other sides, and together they telescope to what passes
the lines around:

    flux in + emitted by sources = absorbed inside        to round-off, in any part of the grid between lines
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from diffnr.checks import Numbers, as_choice, as_frequency, as_inexact, require, require_shape
from diffnr.fdtd.frequency_domain.boxes import Inside, ends_of, is_place
from diffnr.fdtd.frequency_domain.carrier_power import beside, between, carried, taken
from diffnr.fdtd.frequency_domain.frequency import frequency
from diffnr.fdtd.scene.grid import nearest
from diffnr.fdtd.scene.media import IMPEDANCE, LIGHT, VACUUM
from diffnr.fdtd.time_domain.field_energy import energy_form, product
from diffnr.fdtd.time_domain.functional import COMPONENTS, Functional, as_sources
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, as_fields, as_update


class Absorbed(NamedTuple):
    """Power in W/m: taken by collisions of `carriers`, by the sheets of impedance `walls`, by `sponges`; `total`."""

    carriers: Float[Array, ""]
    walls: Float[Array, ""]
    sponges: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        return self.carriers + self.walls + self.sponges


def flux(update: Any, fields: Any, x: Any, y: Any) -> Float[Array, ""]:
    """The mean power in W/m through a line, towards +x or +y.

        P = ½ Re ∫ E_y H_z* dy    or    −½ Re ∫ E_x H_z* dx,        H_z the mean of the cells on both sides,

    and in a plasma what the step's means of E over cells carry across the line beside it: of second order in the cell,
    and not little in waves that few cells resolve.

        found = fdtd.frequency(update, 1.2e13, sources=[(source, 1.0)])
        fdtd.flux(update, found.fields, x=40e-6, y=(0.0, 30e-6))

    **Arguments:**

    - `update`: `Update.of(scene)`. `fields`: phasors, as `frequency` and `Simulation.fields` return them.
    - `x`, `y`: one a place in m, at whose line of the grid (the nearest) power passes, the other (lowest, highest),
      from line to line. Places are static.

    **Returns:** [], W per m along z. Between lines without absorption it is the same to round-off.

    **Raises:** `ValueError` for places off the grid, or not one place and one range.
    """
    update = as_update(update)
    fields = _as_phasors(update, fields)
    at_x, at_y = is_place(x, "x"), is_place(y, "y")
    require(at_x != at_y, "x", "be one place, and y (lowest, highest), or the reverse", x)
    grid = update.scene.grid
    if at_x:
        i, (low, high) = nearest(grid.x, x, "x"), ends_of(grid.y, y, "y")
        left, right = beside(update, fields.hz, 0)
        part = (fields.ey[i] * jnp.conj(left[i] + right[i])).real / 2 * grid.dy + carried(update, fields, 0)[i]
        return jnp.sum(part[low:high]) / (2 * IMPEDANCE)
    j, (low, high) = nearest(grid.y, y, "y"), ends_of(grid.x, x, "x")
    below, above = beside(update, fields.hz, 1)
    part = (fields.ex[:, j] * jnp.conj(below[:, j] + above[:, j])).real / 2 * grid.dx - carried(update, fields, 1)[:, j]
    return -jnp.sum(part[low:high]) / (2 * IMPEDANCE)


def outflux(update: Any, fields: Any, x: Any, y: Any) -> Float[Array, ""]:
    """The mean power in W/m out of the box x = (lowest, highest), y = (lowest, highest): `flux` through its four sides.

        fdtd.outflux(update, found.fields, x=(0.0, 40e-6), y=(0.0, 30e-6))

    It is what sources inside emit, less what media inside absorb.
    """
    for part, name in ((x, "x"), (y, "y")):
        require(not is_place(part, name), name, "be (lowest, highest), in m", part)
    (left, right), (low, high) = x, y
    across = flux(update, fields, right, y) - flux(update, fields, left, y)
    return across + flux(update, fields, x, high) - flux(update, fields, x, low)


def absorbed(update: Any, fields: Any, omega: Numbers, x: Any = None, y: Any = None) -> Absorbed:
    """The mean power in W/m that is absorbed in a box, or in all of the grid.

        carriers: ½ Re Σ V E*·J,    walls: ½ Re Σ E*·K,    sponges: ½ Σ V η (ε0 ε∞ |E|² + µ0 |H|² + |J|²/(ε0 ε∞ ω_p²))

    as the step has it: carriers take power cell by cell, and none where ν = 0.

        fdtd.absorbed(update, found.fields, found.omega).total

    **Arguments:** `update`; `fields`: phasors at `omega`, [] in rad/s, real; `x`, `y`: (lowest, highest) in m, from
    line to line, default all. Edges on the box's sides count by half.

    **Returns:** an `Absorbed`. A negative part is gain.

    **Raises:** `ValueError` for places off the grid, a scene with matched layers (whose memory has no energy: take
    `flux` before them).
    """
    update = as_update(update)
    fields, omega = _as_phasors(update, fields), as_frequency(omega, "omega")
    require(not update.layers, "update", "have no matched layers, whose losses have no place", "with some")
    grid, scale = update.scene.grid, 1 / (2 * IMPEDANCE)
    inside = Inside.of(grid, x, y)
    sizes = grid.dx[:, None] * between(update, 1), between(update, 0)[:, None] * grid.dy
    edges = inside.along_x * sizes[0], inside.along_y * sizes[1]
    cells = inside.cells * grid.dx[:, None] * grid.dy
    carriers, damped = (jnp.sum(inside.cells * part) for part in taken(update, fields))
    sponges = damped + _by_sponges(update, fields, edges, cells) * 2 * jnp.cos(omega * update.step / 2)
    walls = _by_walls(update, fields, inside.along_x * grid.dx[:, None], inside.along_y * grid.dy)
    return Absorbed(scale * carriers / update.light_step, scale * walls, scale * sponges / update.light_step)


def _by_walls(update: Update, fields: Fields, along_x: Array, along_y: Array) -> Array:
    """Σ E*·K along the sheets; 0 where there are none."""
    if fields.walls is None:
        return jnp.zeros(())
    lost = jnp.zeros(())
    on_walls = (1, fields.ex, along_x, fields.walls[0]), (0, fields.ey, along_y, fields.walls[1])
    for axis, field, along, current in on_walls:
        if update.bloch_factors[axis] is not None:  # the last line is the first
            along = jnp.moveaxis(along, axis, 0)
            along = jnp.moveaxis(along.at[0].add(along[-1]), 0, axis)
        lost = lost + jnp.sum(update.moving(along, axis) * product(update.moving(field, axis), current))
    return lost


def _by_sponges(update: Update, fields: Fields, edges: tuple[Array, Array], cells: Array) -> Array:
    """Σ V (Δt η/2) (ε∞ |E|² + |H|²); 0 where there are none."""
    keep = update.absorption
    if keep is None:
        return jnp.zeros(())
    inverse_x, inverse_y = update.on_all_lines(update.ex, 1), update.on_all_lines(update.ey, 0)
    gain = jnp.broadcast_to(keep.gain, fields.hz.shape)
    total = jnp.zeros(())
    for field, kept, part, size in (
        (fields.ex, keep.ex, inverse_x, edges[0]),
        (fields.ey, keep.ey, inverse_y, edges[1]),
        (fields.hz, keep.hz, gain, cells),
    ):
        # (1 − keep)/2 is Δt η/2 over 1 + Δt η/2, which the step's 1/ε∞, and H's gain, are over as well.
        there = part > 0
        lost = jnp.where(there, (1 - kept) / 2 / jnp.where(there, part, 1.0), 0.0)
        total = total + jnp.sum(size * lost * jnp.abs(field) ** 2)
    return total


def emitted(update: Any, fields: Any, sources: Any) -> Float[Array, ""]:
    """The mean power in W/m that sources give to the field: ½ ε0 c Σ Re s* r, r what the source itself reads.

        fdtd.emitted(update, found.fields, [(source, 1.0)])

    **Arguments:** `update`; `fields`: phasors, as `frequency` returns them for these sources; `sources`: pairs of a
    functional and its strength, as `frequency` takes them.

    **Raises:** `ValueError` for sources that are no such pairs.
    """
    update = as_update(update)
    fields, grid = _as_phasors(update, fields), update.scene.grid
    total = jnp.zeros(())
    for source, strength in as_sources(sources, grid, "strength s, a number"):
        strength = as_inexact(strength, "sources, a strength in it,")
        require_shape(strength, "sources, a strength in it,", source.weights.shape[:-2])
        require(source.weights.ndim == 2, "sources", "have one matrix of weights each", f"{source.weights.shape}")
        reading = eqx.tree_at(lambda s: s.weights, source, jnp.conj(source.weights)).read(grid, fields)
        total = total + (jnp.conj(strength) * reading).real
    return VACUUM * LIGHT / 2 * total


def stored(update: Any, fields: Any, omega: Numbers, x: Any = None, y: Any = None) -> Float[Array, ""]:
    """The mean energy in J/m that is stored in a box, or in all of the grid: fields', carriers' and sheets'.

        W = ¼ Σ V (ε0 ε∞ |E|² cos ωΔt + µ0 |H|² + |J|²/(ε0 ε∞ ω_p²)) + ¼ Σ L |K|²,   the mean of `energy`

        fdtd.stored(update, found.fields, found.omega, x=(0.0, 20e-6), y=(0.0, 30e-6))

    **Arguments:** as of `absorbed`.

    **Returns:** [], J/m. What a matched layer remembers has no energy.

    **Raises:** `ValueError` for places off the grid, fields that are no phasors, a complex frequency.
    """
    update = as_update(update)
    fields, omega = _as_phasors(update, fields), as_frequency(omega, "omega")
    return energy_product(update, fields, fields, omega, Inside.of(update.scene.grid, x, y)).real


def energy_product(update: Update, one: Fields, other: Fields, omega: Array, inside: Inside) -> Complex[Array, ""]:
    """The form of which `stored` is the square: linear in `other`, conjugate linear in `one`, J/m."""
    ahead = jnp.cos(omega * update.step)  # E of the next instant in phase with that of this one
    later = other._replace(ex=ahead * other.ex, ey=ahead * other.ey)
    return VACUUM / 4 * energy_form(update, one, later, inside)


class LocalDensity(NamedTuple):
    """`ratio`: to that of vacuum; `density`: states per area and angular frequency, s/(rad m²); `power`: W/m."""

    ratio: Float[Array, ""]
    density: Float[Array, ""]
    power: Float[Array, ""]


def local_density_of_states(
    update: Any, omega: Numbers, x: Any, y: Any, component: Any = "hz", *, throw: Any = True
) -> LocalDensity:
    """The local density of states that a dipole of this component meets at a place, by the power it emits.

        ρ/ρ0 = P/P0,    P0 = ε0 ω |s|²/8 (Hz) or ε0 ω |s|²/16 (Ex, Ey),    ρ0 = ω/2πc² (Hz) or ω/4πc²

        fdtd.local_density_of_states(update, 1.2e13, 30e-6, 15e-6).ratio

    **Arguments:** `update`: `Update.of(scene)`; `omega`: [], rad/s; `x`, `y`: the place in m (its nearest cell or edge,
    over which the dipole is spread); `component`: "hz" (a magnetic current along z), "ex" or "ey" (electric ones);
    `throw`: as for `frequency`.

    **Returns:** a `LocalDensity`, differentiable as `frequency` is. Losses beside the dipole count, as in any emitter's
    rate. In an open scene of vacuum the ratio is 1, but for .11 (k cell)² and what ends reflect, which is best made
    little by matched layers (sponges of some wavelengths leave some percent).

    **Raises:** as `frequency` and `Functional.at`.

    Source: the power of line dipoles in two dimensions, from the scalar Green function's imaginary part, 1/4.
    """
    update, omega = as_update(update), as_frequency(omega, "omega")
    source = Functional.at(update.scene.grid, x, y, as_choice(component, "component", COMPONENTS))
    found = frequency(update, omega, sources=[(source, 1.0)], throw=throw)
    power = emitted(update, found.fields, [(source, 1.0)])
    kinds = 1 if source.component == "hz" else 2
    ratio = power / (VACUUM * omega / (8 * kinds))
    return LocalDensity(ratio, ratio * omega / (2 * jnp.pi * LIGHT**2 * kinds), power)


def _as_phasors(update: Update, fields: Any) -> Fields:
    fields = as_fields(fields, update)
    require(jnp.iscomplexobj(fields.hz), "fields", "be phasors, as frequency returns them", "real")
    return fields
