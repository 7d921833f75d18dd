"""Floquet multipliers of periodic orbits: whether small disturbances grow from period to period.

    δx'' + c(t) δx' + k(t) δx = 0,  c = M⁻¹(C + ∂f/∂v),  k = M⁻¹∂f/∂x on the orbit;      δ(t + T) = Φ δ(t)

Multipliers are the eigenvalues of Φ.

`propagator` integrates many orbits at once, each step arithmetic over all of them; `multipliers_of` does it for orbits
of a model by their coefficients; `crossings` says where along a branch stability
changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.duffing.basis import Basis
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.root import frozen

NODES = np.array([0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6])  # Gauss–Legendre, of a step
# The exponential to order 8 by three products: P. Bader, S. Blanes and F. Casas, Mathematics 7, 1174 (2019).
_ROOT, _X3 = 177**0.5, 2 / 3
_QUARTIC = ((1 + _ROOT) / 88 * _X3, (1 + _ROOT) / 352 * _X3)
_LEFT = _X3
_RIGHT = (
    (-271 + 29 * _ROOT) / (315 * _X3),
    11 * (-1 + _ROOT) / (1260 * _X3),
    11 * (-9 + _ROOT) / (5040 * _X3),
    (89 - _ROOT) / (5040 * _X3**2),
)
_SQUARE = (857 - 58 * _ROOT) / 630

WRITTEN_OUT = 6  # products of matrices up to this size are written out, and the orbits are what is worked along
REAL = 1e-9  # imaginary parts of this share are round-off
STEPS = 48  # of half a period; the multiplier at a fold then is +1 within 2e-6
LONGEST = 0.5  # step, in rad of the fastest linear motion: 5e-9 of it are left out
PARTS = 512  # of a period, at most; of what asks for more multipliers are NaN
CACHED = 1024  # numbers of propagators at once: what is computed from them stays in the processor's first caches


def instants(steps: int, period: float) -> Float[np.ndarray, " instant"]:
    """Where `propagator` wants the stiffness: two Gauss nodes in each of `steps` equal steps of `period`, [2·steps]."""
    return (np.arange(steps)[:, None] + NODES).ravel() * period / steps


def propagator(
    damping: Float[Array, "*instant oscillator oscillator orbit"],
    stiffness: Float[Array, "instant oscillator oscillator orbit"],
    duration: Float[Array, " orbit"],
    sigma: Float[Array, ""],
) -> Float[Array, "orbit state state"]:
    """Φ of δx'' + c(t) δx' + k(t) δx = 0 over a duration, for δ = (δx, δx'/σ), by the Magnus series of order 4.

    **Arguments:** `damping`: c, [n, n, orbit] where it is constant, or [2·steps, n, n, orbit]; `stiffness`: k,
    [2·steps, n, n, orbit], both at `instants`; `duration`: [orbit]; `sigma`: [], a rate near to that of the stiffest
    spring; eigenvalues do not depend on it.

    **Returns:** [orbit, 2n, 2n].

    Good values: steps so short that (ω h)⁹/9! is small for the fastest linear motion ω.
    """
    n, steps = stiffness.shape[1], stiffness.shape[0] // 2
    h = duration / steps
    k = stiffness / sigma
    unit = np.eye(n)[:, :, None]
    constant = damping.ndim == 3

    def step(state: Array, pair: tuple[Array, Array | None]) -> tuple[Array, None]:
        (k1, k2), rates = pair
        c1, c2 = (damping, damping) if rates is None else rates
        # Ω = h (A1 + A2)/2 + (√3/12) h² [A2, A1] with A = [[0, σ], [−k, −c]].
        short = (3**0.5 / 12) * h**2
        twist = short * (k2 - k1)
        corner = -_times(c1, twist) if constant else short * (_times(c2, k1) - _times(c1, k2))
        across = h * sigma * unit + jnp.zeros_like(k1)
        lower = -h * (c1 + c2) / 2 - sigma * twist
        if not constant:
            across = across + short * sigma * (c2 - c1)
            lower = lower + short * (_times(c2, c1) - _times(c1, c2))
        top = jnp.concatenate([sigma * twist, across], axis=1)
        bottom = jnp.concatenate([-h * (k1 + k2) / 2 + corner, lower], axis=1)
        return _times(_exponential(jnp.concatenate([top, bottom])), state), None

    start = jnp.broadcast_to(np.eye(2 * n)[:, :, None], (2 * n, 2 * n, duration.size)).astype(k.dtype)
    rates = None if constant else damping.reshape(steps, 2, *damping.shape[1:])
    end, _ = lax.scan(step, start, (k.reshape(steps, 2, *k.shape[1:]), rates))
    return jnp.moveaxis(end, -1, 0)


def _exponential(omega: Float[Array, "state state orbit"]) -> Float[Array, "state state orbit"]:
    unit = np.eye(omega.shape[0])[:, :, None]
    second = _times(omega, omega)
    fourth = _times(second, _QUARTIC[0] * omega + _QUARTIC[1] * second)
    right = _RIGHT[0] * unit + _RIGHT[1] * omega + _RIGHT[2] * second + _RIGHT[3] * fourth
    return unit + omega + _SQUARE * second + _times(_LEFT * second + fourth, right)


def _times(a: Float[Array, "i j orbit"], b: Float[Array, "j k orbit"]) -> Float[Array, "i k orbit"]:
    if a.shape[0] > WRITTEN_OUT:
        return jnp.einsum("ijo,jko->iko", a, b)
    return sum((a[:, j, None] * b[j] for j in range(1, b.shape[0])), a[:, 0, None] * b[0])


def floquet_multipliers(maps: Float[Array, "orbit state state"], repeats: int = 1) -> Complex[Array, "orbit state"]:
    """The Floquet multipliers of orbits, largest modulus first, [orbit, 2n], from their propagators Φ.

    **Arguments:** `maps`: Φ over a period divided by `repeats`: an orbit with x(t + T/2) = −x(t) under odd forces has a
    stiffness of period T/2, so that half of the integration and 2 repeats do.

    **Notes:** a stable orbit has all multipliers inside of the unit circle. One leaves it at +1 at a fold (or where
    symmetry breaks), at −1 where the period doubles, a complex pair at a Neimark–Sacker bifurcation (a torus).
    """
    multipliers = jnp.linalg.eigvals(jnp.where(jnp.isfinite(maps), maps, 0.0)) ** repeats
    order = jnp.argsort(-jnp.abs(multipliers), axis=1)
    multipliers = jnp.take_along_axis(multipliers, order, axis=1)
    return jnp.where(jnp.all(jnp.isfinite(maps), axis=(1, 2))[:, None], multipliers, jnp.nan)


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
    basis, n, nodes = model.basis, model.num_ports, 2 * _steps(model.basis)
    motion, phase = jax.ShapeDtypeStruct((n, nodes), c.dtype), jax.ShapeDtypeStruct((nodes,), c.dtype)
    # What a force closes over becomes an argument, which a batch may have.
    forces = eqx.filter_closure_convert(model.forces, motion, motion, phase)
    inverse = model.mobility
    rates = inverse @ model.dissipation - rate * jnp.eye(n, dtype=c.dtype)
    law = _Law(forces, inverse, rates, "velocity" in model.depends_on)
    arrays, static = eqx.partition(law, eqx.is_array)
    groups = jax.tree_util.tree_map(lambda x: x[None], (arrays, c, omega, valid))
    return _in_groups(basis, static)(*groups)[0]


class _Law(eqx.Module):
    """What multipliers ask of a model: its forces, M⁻¹ and M⁻¹C."""

    forces: Callable
    inverse: Array
    rates: Array
    of_velocity: bool = eqx.field(static=True)


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
    """Of orbits c [orbit, oscillator, m]. The period is cut into as many parts as the stiffest spring asks for, and
    each is worked through in the same number of steps."""
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

    stiffest = jnp.sqrt(jnp.max(jnp.abs(over(jnp.zeros(()), jnp.ones(()))[1]), initial=1e-30))
    parts = jnp.ceil(stiffest * period / jnp.min(omega) / (steps * LONGEST))
    told = parts <= PARTS
    parts = jnp.where(told, parts, 1.0)

    def further(state: tuple[Array, Array]) -> tuple[Array, Array]:
        part, map_ = state
        damping, stiffness = over(part, parts)
        return part + 1, propagator(damping, stiffness, period / omega / parts, stiffest) @ map_

    start = jnp.broadcast_to(jnp.eye(2 * c.shape[1], dtype=c.dtype), (c.shape[0], *(2 * c.shape[1],) * 2))
    _, maps = lax.while_loop(lambda state: state[0] < parts, further, (jnp.zeros_like(parts), start))
    return floquet_multipliers(jnp.where(told, maps, jnp.nan), repeats)


def _repeats(basis: Basis) -> int:
    """How often what disturbances see repeats itself in a period."""
    return 2 if basis.odd else 1


def _steps(basis: Basis) -> int:
    return int(np.ceil(STEPS * 2 * basis.periods)) // _repeats(basis)


class Crossings(NamedTuple):
    """In which intervals between neighbouring points of a branch multipliers cross the unit circle.

    **Fields:** masks [point − 1], entry i for the interval from point i to point i + 1, in which a multiplier crosses:
    `at_one`, at +1: a fold, or where a symmetry breaks; `at_minus_one`, at −1: the period doubles; `as_pair`, as one of
    a complex pair: a Neimark–Sacker bifurcation (a torus).
    """

    at_one: Bool[Array, " interval"]
    at_minus_one: Bool[Array, " interval"]
    as_pair: Bool[Array, " interval"]


def crossings(multipliers: Complex[Array, "point state"]) -> Crossings:
    """The intervals of a branch in which its multipliers leave the unit circle or enter it.

    **Arguments:** `multipliers`: [point, 2n], of neighbouring points of one branch.

    **Returns:** `Crossings`, masks over the intervals; False beside a point of NaNs.

    **Notes:** an interval is marked, not a place in it: to narrow it down, follow the branch with shorter steps.
    """
    known = jnp.all(jnp.isfinite(multipliers), axis=-1)
    known = known[1:] & known[:-1]
    outside = jnp.abs(multipliers) > 1
    real = jnp.abs(multipliers.imag) <= REAL * jnp.abs(multipliers)

    def change(which: Callable[[Array], Array]) -> Array:
        count = jnp.sum(outside & which(multipliers), axis=-1)
        return count[1:] - count[:-1]

    positive, negative = change(lambda z: real & (z.real > 0)), change(lambda z: real & (z.real < 0))
    every = change(lambda z: jnp.ones_like(real))
    # A pair that meets on the real axis outside of the circle, or parts there, crosses nothing.
    return Crossings(
        at_one=known & (every % 2 != 0) & (positive % 2 != 0),
        at_minus_one=known & (every % 2 != 0) & (negative % 2 != 0),
        as_pair=known & (every != 0) & (every % 2 == 0),
    )
