"""How disturbances of a chain's orbit go on over time, by splitting: kicks by springs between drifts.

    δx'' + c δx' + k(t) δx = 0,    c diagonal, k(t) tridiagonal

A kick takes a few operations for each entry of δ, where an exponential takes products of whole matrices.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

# Order 6 in 14 kicks: S. Blanes and P. C. Moan, J. Comput. Appl. Math. 142, 313 (2002), SRKN_14^a, the first halves.
_DRIFTS = (
    0.0378593198406116, 0.102635633102435, -0.0258678882665587, 0.314241403071447, -0.130144459517415,
    0.106417700369543, -0.00879424312851058,
)  # fmt: skip
_KICKS = (
    0.09171915262446165, 0.183983170005006, -0.05653436583288827, 0.004914688774712854, 0.143761127168358,
    0.328567693746804,
)  # fmt: skip
DRIFTS = np.array([*_DRIFTS, 1 - 2 * sum(_DRIFTS), *_DRIFTS[::-1]])
KICKS = np.array([*_KICKS, *(0.5 - sum(_KICKS),) * 2, *_KICKS[::-1]])

STEPS = 8  # of half a period
LONGEST = 1.0  # step, in rad of the fastest linear motion: 1e-7 of it are left out


def instants(steps: int) -> Float[np.ndarray, " kick"]:
    """When the kicks of so many steps are, as shares of their duration."""
    return (np.arange(steps)[:, None] + np.cumsum(DRIFTS[:-1])).ravel() / steps


def pushed(
    state: tuple[Float[Array, "row orbit column"], Float[Array, "oscillator orbit column"]],
    damping: Float[Array, "oscillator orbit"],
    stiffness: Float[Array, "kick oscillator 3 orbit"],
    duration: Float[Array, " orbit"],
) -> tuple[Float[Array, "row orbit column"], Float[Array, "oscillator orbit column"]]:
    """Displacements and velocities after a duration; of displacements there is a row of zeros at both ends.

    **Arguments:** `state` before; `damping`: c; `stiffness`: k at `instants`, by the displacements before, here and
    behind; `duration`: [orbit].
    """
    steps = stiffness.shape[0] // KICKS.size
    h = duration / steps
    # Between two kicks v decays, and x drifts: v -> e^(−cs) v, x -> x + (1 − e^(−cs))/c v. The last drift of a step
    # and the first of the next are one.
    shares = np.tile(DRIFTS[:-1], steps)
    shares[:: KICKS.size] += np.append(0.0, np.full(steps - 1, DRIFTS[-1]))
    left = np.array([DRIFTS[-1]])
    kicks = stiffness * (-h * jnp.asarray(np.tile(KICKS, steps), h.dtype)[:, None, None, None])

    def drift(state: tuple[Array, Array], share: Array) -> tuple[Array, Array]:
        x, v = state
        time = share * h
        lost = damping * time
        way = time * jnp.where(lost == 0, 1.0, -jnp.expm1(-lost) / jnp.where(lost == 0, 1.0, lost))
        return x.at[1:-1].add(way[..., None] * v), jnp.exp(-lost)[..., None] * v

    def stage(state: tuple[Array, Array], own: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        share, kick = own
        # In one loop with what follows, every displacement would be computed three times.
        x, v = lax.optimization_barrier(drift(state, share))
        push = kick[:, 0, :, None] * x[:-2] + kick[:, 1, :, None] * x[1:-1] + kick[:, 2, :, None] * x[2:]
        return (x, v + push), None

    state, _ = lax.scan(stage, state, (jnp.asarray(shares, h.dtype), kicks))
    return drift(state, jnp.asarray(left[0], h.dtype))
