"""Floquet multipliers of orbits of a model, by their coefficients: many at once, and of a batch those alone that there
are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.duffing import chain_map
from diffnr.duffing.basis import Basis
from diffnr.duffing.floquet import floquet_multipliers, instants, propagator
from diffnr.duffing.harmonic_balance import neighbours
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.root import frozen

STEPS = 48  # of half a period; the multiplier at a fold then is +1 within 2e-6
LONGEST = 0.5  # step, in rad of the fastest linear motion: 5e-9 of it are left out
PARTS = 512  # of a period, at most; of what asks for more multipliers are NaN
CHAIN = 4  # oscillators: from here on splitting is faster than exponentials
CACHED = 1024  # numbers of propagators at once: what is computed from them stays in the processor's first caches


def multipliers_of(
    model: AbstractOscillators,
    c: Float[Array, "point oscillator m"],
    omega: Float[Array, " point"],
    valid: Bool[Array, " point"],
    rate: Float[Array, ""] | float = 0.0,
) -> Complex[Array, "point state"]:
    """Multipliers of orbits with coefficients c at ω, largest modulus first; NaN, and no work, where not `valid`. The
    damping is C − ξM, with `rate` for ξ.

    They carry no derivative. Under `vmap` the valid orbits of the whole batch are one list, worked off in pieces.
    """
    model, c, omega, rate = frozen((model, c, omega, rate))
    basis, n = model.basis, model.num_ports
    chained = model.chained and n >= CHAIN
    nodes = chain_map.KICKS.size * _steps(basis, chain_map.STEPS) if chained else 2 * _steps(basis)
    motion, phase = jax.ShapeDtypeStruct((n, nodes), c.dtype), jax.ShapeDtypeStruct((nodes,), c.dtype)
    # What a force closes over becomes an argument, which a batch may have.
    forces = eqx.filter_closure_convert(model.forces, motion, motion, phase)
    inverse = model.mobility
    rates = inverse @ model.dissipation - rate * jnp.eye(n, dtype=c.dtype)
    law = _Law(forces, inverse, rates, "velocity" in model.depends_on, chained)
    arrays, static = eqx.partition(law, eqx.is_array)
    groups = jax.tree_util.tree_map(lambda x: x[None], (arrays, c, omega, valid))
    return _in_groups(basis, static)(*groups)[0]


class _Law(eqx.Module):
    """What multipliers ask of a model: its forces, M⁻¹ and M⁻¹C."""

    forces: Callable
    inverse: Array
    rates: Array
    of_velocity: bool = eqx.field(static=True)
    chained: bool = eqx.field(static=True)


def _in_groups(basis: Basis, static: Any) -> Callable[..., Array]:
    """A function of groups of orbits, each with a model of its own; another batch makes more groups."""

    @jax.custom_batching.custom_vmap
    def multipliers(arrays: Any, c: Array, omega: Array, valid: Array) -> Array:
        return _compacted(basis, static, arrays, c, omega, valid)

    @multipliers.def_vmap
    def _(size: int, batched: list, *groups: Any) -> tuple[Array, bool]:
        def joined(x: Any, batched: bool) -> Any:  # constants of a force may be of numpy
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
    room, total = -(-count // chunk) * chunk, jnp.sum(valid)
    # The valid ones first, and the first of them again where the last piece has room.
    order, own = jnp.pad(jnp.argsort(~valid.ravel()), (0, room - count)), jnp.arange(room) < total
    order, target = jnp.where(own, order, order[0]), jnp.where(own, order, count)
    c, omega = c.reshape(count, *c.shape[2:]), omega.ravel()

    def piece(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        begin, found = carry
        places, targets = (lax.dynamic_slice_in_dim(x, begin, chunk) for x in (order, target))
        theirs = jax.tree_util.tree_map(lambda x: x[places // points], arrays)
        maps = _chain_maps if static.chained else _maps
        multipliers = floquet_multipliers(maps(basis, static, theirs, c[places], omega[places]), _repeats(basis))
        return begin + chunk, found.at[targets].set(multipliers, mode="drop")

    empty = jnp.full((count, 2 * n), jnp.nan, jnp.result_type(c, jnp.complex64))
    _, found = lax.while_loop(lambda carry: carry[0] < total, piece, (jnp.zeros((), total.dtype), empty))
    return found.reshape(groups, points, 2 * n)


def _maps(basis: Basis, static: Any, arrays: Any, c: Array, omega: Array) -> Float[Array, "orbit state state"]:
    """Propagators of orbits c [orbit, oscillator, m]. The period is cut into as many parts as the stiffest spring asks
    for, and each is worked through in the same number of steps."""
    repeats, steps = _repeats(basis), _steps(basis)
    period, units = 2 * np.pi * basis.periods / repeats, jnp.eye(c.shape[1], dtype=c.dtype)

    def rates(arrays: Any, c: Array, omega: Array, phase: Array) -> tuple[Array, Array]:
        """c and k of an orbit at phases: [n, n] or [instant, n, n], and [instant, n, n]."""
        law: _Law = eqx.combine(arrays, static)
        waves = basis.at(phase).astype(c.dtype)
        x, v = c @ waves.T, omega * (c @ jnp.asarray(basis.derivative.T, c.dtype)) @ waves.T

        def slopes(which: Callable[[Array], Array], by: Array) -> Array:
            tangent = lambda unit: (jnp.broadcast_to(unit[:, None], by.shape),)  # noqa: E731
            found = jax.vmap(lambda unit: jax.jvp(which, (by,), tangent(unit))[1])(units)
            return jnp.einsum("ij,kjs->sik", law.inverse, found)

        k = slopes(lambda x: law.forces(x, v, phase), x)
        return law.rates + (slopes(lambda v: law.forces(x, v, phase), v) if law.of_velocity else 0.0), k

    def over(part: Array, parts: Array) -> tuple[Array, Array]:
        phase = (part + instants(steps, 1.0)) * period / parts
        return jax.vmap(rates, (0, 0, 0, None), out_axes=-1)(arrays, c, omega, phase.astype(c.dtype))

    def fastest(k: Array) -> Array:
        return jnp.sqrt(jnp.max(jnp.abs(k), initial=1e-30))

    def further(rates: tuple[Array, Array], duration: Array, sigma: Array, map_: Array) -> Array:
        return propagator(*rates, duration, sigma) @ map_

    start = jnp.broadcast_to(jnp.eye(2 * c.shape[1], dtype=c.dtype), (c.shape[0], *(2 * c.shape[1],) * 2))
    maps, told = _in_parts(over, fastest, further, start, period / omega, steps * LONGEST, PARTS)
    return jnp.where(told, maps, jnp.nan)


def _in_parts(
    over: Callable[[Array, Array], tuple[Array, Array]],
    fastest: Callable[[Array], Array],
    further: Callable[[tuple[Array, Array], Array, Array, Any], Any],
    start: Any,
    period: Float[Array, " orbit"],
    longest: float,
    most: float | int,
) -> tuple[Any, Bool[Array, ""]]:
    """What a period makes of `start`, in as many parts as the fastest motion asks for, and whether they are few enough.

    The first pass takes the period as a whole, and finds out: what is traced once compiles in half of the time.
    """

    def needed(sigma: Array) -> tuple[Array, Array]:
        parts = jnp.ceil(sigma * jnp.max(period) / longest)
        told = parts <= most
        return jnp.where(told, parts, 1.0), told

    def go_on(state: tuple) -> tuple:
        part, parts, sigma, moved = state
        rates, known = over(part, parts), sigma > 0
        sigma = jnp.where(known, sigma, fastest(rates[1]))
        wanted, _ = needed(sigma)
        right = parts == wanted
        moved = further(rates, period / parts, sigma, moved)
        moved = jax.tree_util.tree_map(lambda new, old: jnp.where(right, new, old), moved, start)
        return jnp.where(right, part + 1, 0.0), wanted, sigma, moved

    nothing = jnp.zeros((), period.dtype)
    first = nothing, nothing + 1, nothing, start
    _, _, sigma, moved = lax.while_loop(lambda state: state[0] < state[1], go_on, first)
    return moved, needed(sigma)[1]


def _chain_maps(basis: Basis, static: Any, arrays: Any, c: Array, omega: Array) -> Float[Array, "orbit state state"]:
    """The same of a chain, by kicks and drifts."""
    repeats, (orbits, n, _) = _repeats(basis), c.shape
    steps, period = _steps(basis, chain_map.STEPS), 2 * np.pi * basis.periods / repeats
    shares = chain_map.instants(steps)

    def stiffness(arrays: Any, c: Array, omega: Array, phase: Array) -> tuple[Array, Array]:
        law: _Law = eqx.combine(arrays, static)
        waves = basis.at(phase).astype(c.dtype)
        x, v = c @ waves.T, omega * (c @ jnp.asarray(basis.derivative.T, c.dtype)) @ waves.T
        found = neighbours(lambda x: law.forces(x, v, phase), x)
        return jnp.diagonal(law.rates), jnp.moveaxis(jnp.diagonal(law.inverse)[:, None, None] * found, -1, 0)

    def over(part: Array, parts: Array) -> tuple[Array, Array]:
        phase = (part + shares) * period / parts
        return jax.vmap(stiffness, (0, 0, 0, None), out_axes=-1)(arrays, c, omega, phase.astype(c.dtype))

    def fastest(k: Array) -> Array:
        return jnp.sqrt(jnp.max(jnp.sum(jnp.abs(k), axis=2), initial=1e-30))  # no eigenvalue is beyond the largest row

    def further(rates: tuple[Array, Array], duration: Array, sigma: Array, moved: tuple) -> tuple:
        return chain_map.pushed(moved, *rates, duration)

    unit = jnp.broadcast_to(jnp.eye(n, 2 * n, dtype=c.dtype)[:, None], (n, orbits, 2 * n))
    start = jnp.pad(unit, ((1, 1), (0, 0), (0, 0))), jnp.roll(unit, n, axis=2)
    most = PARTS * STEPS / chain_map.STEPS
    (x, v), told = _in_parts(over, fastest, further, start, period / omega, steps * chain_map.LONGEST, most)
    return jnp.where(told, jnp.concatenate([x[1:-1], v]).swapaxes(0, 1), jnp.nan)


def _repeats(basis: Basis) -> int:
    """How often what disturbances see repeats itself in a period."""
    return 2 if basis.odd else 1


def _steps(basis: Basis, half: int = STEPS) -> int:
    return int(np.ceil(half * 2 * basis.periods)) // _repeats(basis)
