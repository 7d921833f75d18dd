"""What the field gives to carriers, cell by cell: their current is in cells, and E on the edges around them."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffnr.fdtd.time_domain.field_energy import product
from diffnr.fdtd.time_domain.leapfrog import Fields, Update


def given(update: Update, fields: Fields, axis: int) -> tuple[Array, Array]:
    """Re V E*·J of each edge on the lines across an axis, with the current in the cell before it and in that behind."""
    grid, sizes = update.scene.grid, between(update, axis)
    field, current = (fields.ey, fields.jy) if axis == 0 else (fields.ex, fields.jx)
    volume = sizes[:, None] * grid.dy if axis == 0 else grid.dx[:, None] * sizes
    weight = _weights(update, axis)
    weight = weight[:, None] if axis == 0 else weight
    before, behind = beside(update, current, axis)
    return volume * weight * product(field, before), volume * (1 - weight) * product(field, behind)


def taken(update: Update, fields: Fields) -> tuple[Float[Array, "x y"], Float[Array, "x y"]]:
    """Σ Re V E*·J of each cell: what collisions take, and what sponges do of the current that they damp as well."""
    total = jnp.zeros(fields.hz.shape)
    for axis in (0, 1):
        before, behind = (jnp.moveaxis(part, axis, 0) for part in given(update, fields, axis))
        total = total + jnp.moveaxis(behind[:-1] + before[1:], 0, axis)
    losses = update.scene.boundaries.losses(update.scene.grid.x, update.scene.grid.y)
    if losses is None:
        return total, jnp.zeros_like(total)
    damping, collisions = losses.at(False, False), -update.scene.motion.real
    both = damping + collisions
    share = jnp.where(both > 0, collisions / jnp.where(both > 0, both, 1.0), 1.0)
    return total * share, total * (1 - share)


def carried(update: Update, fields: Fields, axis: int) -> Array:
    """What passes the lines across an axis beside E × H: the half of an edge on a line that counts on each side, less
    what the current in that side's cell is given by it."""
    before, behind = given(update, fields, axis)
    return (behind - before) / (2 * update.light_step)


def beside(update: Update, cells: Array, axis: int) -> tuple[Array, Array]:
    """Values in the cells before and behind all lines across an axis; 0 beyond the grid, unless it repeats."""
    cells, factor = jnp.moveaxis(cells, axis, 0), update.bloch_factors[axis]
    first, last = (0 * cells[:1],) * 2 if factor is None else (cells[-1:] / factor, cells[:1] * factor)
    before, behind = jnp.concatenate([first, cells]), jnp.concatenate([cells, last])
    return jnp.moveaxis(before, 0, axis), jnp.moveaxis(behind, 0, axis)


def between(update: Update, axis: int) -> Array:
    """Distances between centres at all lines of an axis; at an end half a cell, where no edge moves."""
    sizes, inner = (update.scene.grid.dx, update.scene.grid.dy)[axis], update.scene.between[axis]
    if update.bloch_factors[axis] is not None:
        return jnp.append(inner, inner[0])
    return jnp.concatenate([sizes[:1] / 2, inner, sizes[-1:] / 2])


def _weights(update: Update, axis: int) -> Array:
    """Of the lower of two cells, at all lines of an axis."""
    inner = update.weights[axis]
    return jnp.pad(inner, 1) if update.bloch_factors[axis] is None else jnp.append(inner, inner[0])
