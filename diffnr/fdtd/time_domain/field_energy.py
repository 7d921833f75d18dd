"""The energy that the step conserves."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffnr.fdtd.scene.media import IMPEDANCE, LIGHT, VACUUM
from diffnr.fdtd.time_domain.leapfrog import as_fields, as_update


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
    scene, ahead = update.scene, update.magnetic(fields)
    later = update.electric(ahead)
    dx, dy, (between_x, between_y) = scene.grid.dx[:, None], scene.grid.dy, scene.between
    sizes = dx * between_y, between_x[:, None] * dy
    pairs = (
        (update.moving(fields.ex, 1), update.moving(later.ex, 1)),
        (update.moving(fields.ey, 0), update.moving(later.ey, 0)),
    )
    electric = sum(
        jnp.sum(jnp.where(inverse > 0, size * _product(now, then) / jnp.where(inverse > 0, inverse, 1.0), 0.0))
        for inverse, size, (now, then) in zip(scene.edges, sizes, pairs, strict=True)
    )
    plasma = scene.drude_weight * scene.rarity * update.step**2
    square = _product(ahead.jx, ahead.jx) + _product(ahead.jy, ahead.jy)
    moving = jnp.where(plasma > 0, square / jnp.where(plasma > 0, plasma, 1.0), 0.0)
    magnetic = _product(ahead.hz, ahead.hz) * (scene.free[0] if scene.free else 1.0)
    total = electric + jnp.sum(dx * dy * (magnetic + moving))
    for (_, inductance), current, length in zip(scene.faces, ahead.walls or (), (dx, dy), strict=False):
        total = total + LIGHT / IMPEDANCE * jnp.sum(length * inductance * _product(current, current))
    return VACUUM / 2 * total


def _product(a: Array, b: Array) -> Array:
    return jnp.real(jnp.conj(a) * b)
