"""The energy that the step conserves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffnr.fdtd.scene.media import IMPEDANCE, LIGHT, VACUUM
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, as_fields, as_update


def energy(update: Any, fields: Any) -> Float[Array, ""]:
    """The energy per length along z that the scheme conserves, in J/m, of fields as they come from `Update`.

        W = ½ Σ (ε0 ε∞ Eⁿ·Eⁿ⁺¹ + µ0 |H|² + |J|²/(ε0 ε∞ ω_p²)) + ½ Σ L K²,   H, J, K between Eⁿ and Eⁿ⁺¹

    It falls by what collisions, walls and sponges take. (What a matched layer remembers has no energy.)

    **Arguments:** `update`: `Update.of(scene)`; `fields`: as a run of it returns them.

    **Returns:** [], J/m.

    **Raises:** `ValueError` for fields that are not of this update's shapes.
    """
    update = as_update(update)
    fields = as_fields(fields, update)
    ahead = update.magnetic(fields)
    later = update.electric(ahead)
    now, then = (ahead._replace(ex=at.ex, ey=at.ey) for at in (fields, later))
    return VACUUM / 2 * jnp.real(energy_form(update, now, then))


def energy_form(update: Update, one: Fields, other: Fields, shares: Sequence[Array] | None = None) -> Array:
    """Σ (ε∞ E*·E′ + H*H′ + …) in units of ε0: conjugate linear in `one`, linear in `other`; `shares`: how much of edges
    along x, of those along y, and of cells counts."""
    scene, dx, dy = update.scene, update.scene.grid.dx[:, None], update.scene.grid.dy
    between_x, between_y = scene.between
    along_x, along_y, cells = shares or (None,) * 3
    of = lambda share, axis: 1.0 if share is None else update.moving(share, axis)  # noqa: E731
    edges = (
        (one.ex, other.ex, of(along_x, 1) * dx, between_y, 1),
        (one.ey, other.ey, of(along_y, 0) * dy, between_x[:, None], 0),
    )
    total: Any = 0.0
    for (field, same, length, across, axis), inverse in zip(edges, scene.edges, strict=True):
        square = jnp.conj(update.moving(field, axis)) * update.moving(same, axis)
        total = total + jnp.sum(
            jnp.where(inverse > 0, length * across * square / jnp.where(inverse > 0, inverse, 1.0), 0.0)
        )
    plasma = scene.drude_weight * scene.rarity * update.step**2
    moving = jnp.conj(one.jx) * other.jx + jnp.conj(one.jy) * other.jy
    moving = jnp.where(plasma > 0, moving / jnp.where(plasma > 0, plasma, 1.0), 0.0)
    magnetic = jnp.conj(one.hz) * other.hz * (scene.free[0] if scene.free else 1.0)
    total = total + jnp.sum((1.0 if cells is None else cells) * dx * dy * (magnetic + moving))
    sheets = zip(scene.faces, one.walls or (), other.walls or (), edges, strict=False)
    for (_, inductance), current, same, (_, _, length, _, _) in sheets:
        total = total + LIGHT / IMPEDANCE * jnp.sum(length * inductance * jnp.conj(current) * same)
    return total


def product(a: Array, b: Array) -> Array:
    """Re a*b."""
    return jnp.real(jnp.conj(a) * b)
