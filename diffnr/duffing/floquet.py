"""Floquet multipliers of periodic orbits: whether small disturbances grow from period to period.

    δx'' + c(t) δx' + k(t) δx = 0,  c = M⁻¹(C + ∂f/∂v),  k = M⁻¹∂f/∂x on the orbit;      δ(t + T) = Φ δ(t)

Multipliers are the eigenvalues of Φ.

`propagator` integrates many orbits at once, each step arithmetic over all of them; `crossings` says where along a
branch stability changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

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
