"""Floquet multipliers of periodic orbits: whether small disturbances grow from period to period.

    M δx'' + C δx' + K(t) δx = 0,  K(t) = ∂g/∂x on the orbit;      δ(t + T) = Φ δ(t),  multipliers = eigenvalues of Φ

Many orbits at once: each step of the integration is arithmetic over all of them.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

NODES = np.array([0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6])  # Gauss–Legendre, of a step
TAYLOR = 10  # terms of the exponential: (ω h)¹¹/11! of the fastest linear motion in a step


def instants(steps: int, period: float) -> Float[np.ndarray, " instant"]:
    """Where `propagator` wants the stiffness: two Gauss nodes in each of `steps` equal steps of `period`, [2·steps]."""
    return (np.arange(steps)[:, None] + NODES).ravel() * period / steps


def propagator(
    mass: Float[Array, " oscillator"],
    friction: Float[Array, " oscillator"],
    stiffness: Float[Array, "instant oscillator oscillator orbit"],
    duration: Float[Array, " orbit"],
) -> Float[Array, "orbit state state"]:
    """Φ of M δx'' + C δx' + K(t) δx = 0 over a duration, for δ = (δx, δx'/σ), by the Magnus series of order 4.

    **Arguments:** `mass`, `friction`: [n]; `stiffness`: [2·steps, n, n, orbit], K at `instants`; `duration`: [orbit].

    **Returns:** [orbit, 2n, 2n]. σ is a rate, that of the stiffest spring; eigenvalues do not depend on it.
    """
    n, steps = mass.size, stiffness.shape[0] // 2
    h = duration / steps
    k = stiffness / mass[:, None, None]
    sigma = jnp.sqrt(jnp.max(jnp.abs(k), initial=1e-30))
    k = k / sigma
    c = friction / mass
    unit = jnp.eye(n, dtype=k.dtype)[:, :, None]
    zero = jnp.zeros_like(k[0])

    def step(state: Array, pair: Array) -> tuple[Array, None]:
        k1, k2 = pair
        # Ω = h (A1 + A2)/2 + (√3/12) h² [A2, A1] with A = [[0, σ], [−k, −c]]: the commutator is in k2 − k1 alone.
        twist = (3**0.5 / 12) * h**2 * (k2 - k1)
        top = jnp.concatenate([sigma * twist, h * sigma * unit + zero], axis=1)
        bottom = jnp.concatenate(
            [-h * (k1 + k2) / 2 - c[:, None, None] * twist, -h * c[:, None, None] * unit - sigma * twist], axis=1
        )
        omega = jnp.concatenate([top, bottom])
        term = state
        for order in range(1, TAYLOR + 1):
            # Written out, so that the orbits are what the machine works along.
            term = sum((omega[:, j, None] * term[j] for j in range(2 * n)), jnp.zeros_like(state)) / order
            state = state + term
        return state, None

    start = jnp.broadcast_to(jnp.eye(2 * n, dtype=k.dtype)[:, :, None], (2 * n, 2 * n, duration.size))
    end, _ = lax.scan(step, start, k.reshape(steps, 2, *k.shape[1:]))
    return jnp.moveaxis(end, -1, 0)


def floquet_multipliers(
    mass: Float[Array, " oscillator"],
    friction: Float[Array, " oscillator"],
    stiffness: Float[Array, "instant oscillator oscillator orbit"],
    period: Float[Array, " orbit"],
    *,
    repeats: int = 1,
) -> Complex[Array, "orbit state"]:
    """The Floquet multipliers of orbits, largest modulus first, [orbit, 2n].

    **Arguments:** as `propagator`, over the period of K divided by `repeats`: an orbit with x(t + T/2) = −x(t) under
    odd forces has a stiffness of period T/2, so that half of the integration and 2 repeats do.

    **Notes:** a stable orbit has all multipliers inside of the unit circle. One leaves it at +1 at a fold (or where
    symmetry breaks), at −1 where the period doubles, a complex pair at a Neimark–Sacker bifurcation (a torus).
    """
    maps = propagator(mass, friction, stiffness, period / repeats)
    multipliers = jnp.linalg.eigvals(jnp.where(jnp.isfinite(maps), maps, 0.0)) ** repeats
    order = jnp.argsort(-jnp.abs(multipliers), axis=1)
    multipliers = jnp.take_along_axis(multipliers, order, axis=1)
    return jnp.where(jnp.all(jnp.isfinite(maps), axis=(1, 2))[:, None], multipliers, jnp.nan)
