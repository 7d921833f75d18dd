"""Several roots of one system: Newton's method from many starts, then without the roots found.

    Π_k (1 + ‖y_k‖²/‖y − y_k‖²) F(y) = 0      has the roots of F but for the y_k found before

Saddles have small basins: of a thousand starts ten reach one. With the other roots deflated they are what is left.

Source: P. E. Farrell, Á. Birkisson and S. W. Funke, SIAM J. Sci. Comput. 37, A2026 (2015).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from diffnr.results import RESULTS
from diffnr.root import Residual, damped, frozen, tolerance_of, value_and_jacobian

SAME = 1e-5  # of the size: roots closer than this are one; two solution branches come so close within 1e-10 of a fold
ZERO = 1e-9  # of the first start's size: smaller roots are one
ROUNDS = 4  # at most; the search ends with the first that finds nothing new


def roots(
    residual: Residual,
    guesses: Float[Array, "start n"],
    most: int,
    args: PyTree = None,
    before: tuple[Float[Array, "known n"], Bool[Array, " known"]] | None = None,
    *,
    linearise: Callable[[Float[Array, " n"], PyTree], tuple[Array, Array]] | None = None,
    image: Callable[[Float[Array, " n"]], Float[Array, " n"]] | None = None,
    max_steps: int = 50,
    rounds: int = ROUNDS,
) -> tuple[Float[Array, "most n"], Bool[Array, " most"], Bool[Array, ""]]:
    """Different roots y of F(y, args) = 0, which of them there are, and whether the last round found nothing new.

    **Arguments:** `residual`, `args`: as `diffnr.root.newton` takes them; `guesses`: where to start, [start, n];
    `most`: room for as many roots; `linearise`: (y, args) -> F and ∂F/∂y, where that costs less than to differentiate
    `residual`; `before`: roots known already, and which of them there are: they come first;
    `image`: y -> what may be a root if y is one (where F has a symmetry): tried for each root found;
    `max_steps`: of Newton's method, from each start; `rounds`: at most.

    **Notes:** the roots carry no derivative: give them one by `diffnr.root.implicit`.
    """
    unit = jnp.linalg.norm(guesses[0])
    unit = jnp.where(unit > 0, unit, 1.0)

    args = frozen(args)
    at = linearise or functools.partial(value_and_jacobian, residual)

    def search(state: tuple) -> tuple:
        known, found, _, done = state

        def direction(y: Array) -> tuple[Array, Array]:
            # The Jacobian of what is deflated differs by a matrix of rank one: its step is the other's, stretched.
            f, jacobian = at(y, args)
            step = -jnp.linalg.solve(jacobian, f)
            factor, slope = _without(known, found, unit, y)
            return factor * f, step / (1 - slope @ step)

        def solve(guess: Array) -> tuple[Array, Array]:
            y, result, _, _ = damped(direction, guess, tolerance_of(guess), max_steps)
            return y, result == RESULTS.successful

        starts = guesses
        if image is not None:
            starts = jnp.concatenate([guesses, jnp.where(found[:, None], jax.vmap(image)(known), jnp.nan)])
        # One by one: a batch would take as many steps with each as the worst of them asks for, and most find nothing.
        values, new = lax.map(solve, starts)
        y, new = jnp.concatenate([known, values]), jnp.concatenate([found, new])
        chosen = jnp.nonzero(_distinct(y, new, unit), size=most, fill_value=-1)[0]
        return jnp.where((chosen >= 0)[:, None], y[chosen], 0.0), chosen >= 0, jnp.sum(found), done + 1

    def going(state: tuple) -> Bool[Array, ""]:
        _, found, before, done = state
        count = jnp.sum(found)
        return (done < rounds) & (count > before) & (count < most)

    known, found = jnp.zeros((most, guesses.shape[1]), guesses.dtype), jnp.zeros(most, bool)
    if before is not None:
        order = jnp.argsort(~before[1])
        found = found.at[: order.size].set(before[1][order])
        known = jnp.where(found[:, None], known.at[: order.size].set(before[0][order]), 0.0)
    start = known, found, jnp.asarray(-1), jnp.asarray(0)
    known, found, count, _ = lax.while_loop(going, search, start)
    return known, found, jnp.sum(found) == count


def _without(
    known: Float[Array, "known n"], found: Bool[Array, " known"], unit: Array, y: Array
) -> tuple[Array, Array]:
    """Π of the deflated system, and the derivative of its logarithm, [n]."""
    # Where nothing is known y itself is no distance: a harmless one stands in.
    size = jnp.maximum(jnp.sum(known**2, axis=1), (ZERO * unit) ** 2)
    away = y - known
    apart = jnp.where(found, jnp.sum(away**2, axis=1) / size, 1.0)
    slopes = jnp.where(found, -2 / (size * apart * (1 + apart)), 0.0)
    return jnp.prod(jnp.where(found, 1 + 1 / apart, 1.0)), slopes @ away


def _distinct(y: Float[Array, "root n"], found: Bool[Array, " root"], unit: Array) -> Bool[Array, " root"]:
    """Which of the roots found are not yet among those before."""
    y = jnp.where(found[:, None], y, 0.0)
    size = jnp.maximum(SAME * jnp.linalg.norm(y, axis=1), ZERO * unit)
    apart = jnp.linalg.norm(y[:, None] - y, axis=-1) > size
    earlier = np.tri(found.size, k=-1, dtype=bool)
    return found & jnp.all(apart | ~earlier | ~found, axis=1)
