"""Floquet multipliers of many orbits: those that count put together, whatever batch they are of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.duffing.basis import Basis
from diffnr.duffing.floquet import floquet_multipliers, instants
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.root import frozen

STEPS = 48  # of half a period; the multiplier at a fold then is +1 within 2e-6
CACHED = 1024  # numbers of propagators at once: what is computed from them stays in the processor's first caches


def multipliers_of(
    model: AbstractOscillators,
    c: Float[Array, "point oscillator m"],
    omega: Float[Array, " point"],
    valid: Bool[Array, " point"],
) -> Complex[Array, "point state"]:
    """Multipliers of orbits with coefficients c at ω, largest modulus first; NaN, and no work, where not `valid`.

    They carry no derivative. Under `vmap` the valid orbits of all lanes are one list, worked off in pieces.
    """
    model, c, omega = frozen((model, c, omega))
    basis = model.basis
    shape = jax.ShapeDtypeStruct((model.mass.size, _phases(basis).size), c.dtype)
    # What a force closes over becomes an argument, which a batch may have.
    force = eqx.filter_closure_convert(model.force, shape)
    arrays, static = eqx.partition((force, model.mass, model.friction), eqx.is_array)
    groups = jax.tree_util.tree_map(lambda x: x[None], (arrays, c, omega, valid))
    return _in_groups(basis, static)(*groups)[0]


def _in_groups(basis: Basis, static: Any) -> Callable[..., Array]:
    """A function of groups of orbits, each with a model of its own; another batch makes more groups."""

    @jax.custom_batching.custom_vmap
    def multipliers(arrays: Any, c: Array, omega: Array, valid: Array) -> Array:
        return _compacted(basis, static, arrays, c, omega, valid)

    @multipliers.def_vmap
    def _(size: int, batched: list, *groups: Any) -> tuple[Array, bool]:
        def joined(x: Array, batched: bool) -> Array:
            x = x if batched else jnp.broadcast_to(x, (size, *x.shape))
            return x.reshape(size * x.shape[1], *x.shape[2:])  # not −1: a leaf may be empty

        found = multipliers(*jax.tree_util.tree_map(joined, groups, tuple(batched)))
        return found.reshape(size, found.shape[0] // size, *found.shape[1:]), True

    return multipliers


def _compacted(basis: Basis, static: Any, arrays: Any, c: Array, omega: Array, valid: Array) -> Array:
    groups, points = omega.shape
    count, n = groups * points, c.shape[2]
    if count == 0:
        return jnp.zeros((groups, points, 2 * n), jnp.result_type(c, jnp.complex64))
    chunk = min(max(CACHED // (2 * n) ** 2, 8), count)
    room = -(-count // chunk) * chunk
    order = jnp.nonzero(valid.ravel(), size=room, fill_value=0)[0]
    c, omega = c.reshape(count, *c.shape[2:]), omega.ravel()

    def piece(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        begin, found = carry
        places = lax.dynamic_slice_in_dim(order, begin, chunk)
        theirs = jax.tree_util.tree_map(lambda x: x[places // points], arrays)
        multipliers = _multipliers(basis, static, theirs, c[places], omega[places])
        return begin + chunk, lax.dynamic_update_slice_in_dim(found, multipliers, begin, axis=0)

    total = jnp.sum(valid)
    empty = jnp.full((room, 2 * n), jnp.nan, jnp.result_type(c, jnp.complex64))
    _, found = lax.while_loop(lambda carry: carry[0] < total, piece, (jnp.zeros((), total.dtype), empty))
    rank = (jnp.cumsum(valid.ravel()) - 1).reshape(valid.shape)
    return jnp.where(valid[..., None], found[jnp.maximum(rank, 0)], jnp.nan)


def _multipliers(basis: Basis, static: Any, arrays: Any, c: Array, omega: Array) -> Complex[Array, "orbit state"]:
    waves = basis.at(_phases(basis)).astype(c.dtype)
    units = jnp.eye(c.shape[1], dtype=c.dtype)

    def stiffness(arrays: Any, c: Array) -> Array:
        force, _, _ = eqx.combine(arrays, static)
        x = c @ waves.T
        return jax.vmap(lambda unit: jax.jvp(force, (x,), (jnp.broadcast_to(unit[:, None], x.shape),))[1])(units)

    slopes = jax.vmap(stiffness, out_axes=-1)(arrays, c)  # [by, of, instant, orbit]
    _, mass, friction = arrays
    slopes, period = slopes.transpose(2, 1, 0, 3), 2 * jnp.pi / omega
    return floquet_multipliers(mass.T, friction.T, slopes, period, repeats=_repeats(basis))


def _repeats(basis: Basis) -> int:
    """How often the stiffness of an orbit repeats itself in a period."""
    return 2 if basis.odd else 1


def _phases(basis: Basis) -> Float[np.ndarray, " instant"]:
    repeats = _repeats(basis)
    return instants(STEPS * 2 // repeats, 2 * np.pi / repeats)
