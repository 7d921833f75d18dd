"""Several roots of one system: Newton's method from many starts, then without the roots found.

    Π_k (1 + ‖y_k‖²/‖y − y_k‖²) F(y) = 0      has the roots of F but for the y_k found before

Saddles have small basins: of a thousand starts ten reach one. With the other roots deflated they are what is left.

Source: P. E. Farrell, Á. Birkisson and S. W. Funke, SIAM J. Sci. Comput. 37, A2026 (2015).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from diffnr.results import RESULTS
from diffnr.root import Residual, newton

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
    image: Callable[[Float[Array, " n"]], Float[Array, " n"]] | None = None,
    max_steps: int = 50,
) -> tuple[Float[Array, "most n"], Bool[Array, " most"], Bool[Array, ""]]:
    """Different roots y of F(y, args) = 0, which of them there are, and whether the last round found nothing new.

    **Arguments:** `residual`, `args`: as `diffnr.root.newton` takes them; `guesses`: where to start, [start, n];
    `most`: room for as many roots; `before`: roots known already, and which of them there are: they come first;
    `image`: y -> what may be a root if y is one (where F has a symmetry): tried for each root found;
    `max_steps`: of Newton's method, from each start.

    **Notes:** the roots carry no derivative: give them one by `diffnr.root.implicit`.
    """
    unit = jnp.linalg.norm(guesses[0])
    unit = jnp.where(unit > 0, unit, 1.0)

    def search(state: tuple) -> tuple:
        known, found, _, rounds = state
        solve = lambda guess: newton(_Deflated(residual), guess, (args, known, found, unit), max_steps=max_steps)  # noqa: E731
        images = () if image is None else (jax.vmap(image)(known),)
        solutions = jax.vmap(solve)(jnp.concatenate([guesses, *images]))
        new = solutions.result == RESULTS.successful
        y, new = jnp.concatenate([known, solutions.value]), jnp.concatenate([found, new])
        chosen = jnp.nonzero(_distinct(y, new, unit), size=most, fill_value=-1)[0]
        return jnp.where((chosen >= 0)[:, None], y[chosen], 0.0), chosen >= 0, jnp.sum(found), rounds + 1

    def going(state: tuple) -> Bool[Array, ""]:
        _, found, before, rounds = state
        count = jnp.sum(found)
        return (rounds < ROUNDS) & (count > before) & (count < most)

    known, found = jnp.zeros((most, guesses.shape[1]), guesses.dtype), jnp.zeros(most, bool)
    if before is not None:
        order = jnp.argsort(~before[1])
        found = found.at[: order.size].set(before[1][order])
        known = jnp.where(found[:, None], known.at[: order.size].set(before[0][order]), 0.0)
    start = known, found, jnp.asarray(-1), jnp.asarray(0)
    known, found, count, _ = lax.while_loop(going, search, start)
    return known, found, jnp.sum(found) == count


class _Deflated(eqx.Module):
    residual: Callable[[Array, Any], Array]

    def __call__(self, y: Float[Array, " n"], args: tuple) -> Float[Array, " n"]:
        inner, known, found, unit = args
        # Where nothing is known y itself is no distance: a harmless one stands in.
        size = jnp.maximum(jnp.sum(known**2, axis=1), (ZERO * unit) ** 2)
        apart = jnp.where(found, jnp.sum((y - known) ** 2, axis=1) / size, 1.0)
        return self.residual(y, inner) * jnp.prod(jnp.where(found, 1 + 1 / apart, 1.0))


def _distinct(y: Float[Array, "root n"], found: Bool[Array, " root"], unit: Array) -> Bool[Array, " root"]:
    """Which of the roots found are not yet among those before."""
    y = jnp.where(found[:, None], y, 0.0)
    size = jnp.maximum(SAME * jnp.linalg.norm(y, axis=1), ZERO * unit)
    apart = jnp.linalg.norm(y[:, None] - y, axis=-1) > size
    earlier = np.tri(found.size, k=-1, dtype=bool)
    return found & jnp.all(apart | ~earlier | ~found, axis=1)
