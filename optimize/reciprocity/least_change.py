"""Reciprocity restored by two numbers at once: fundamentals are equal along a curve, of which the point is taken where
the numbers have changed least."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from diffnr.compilation import compiled
from diffnr.duffing.one_harmonic import OneHarmonicRestoration
from diffnr.results import RESULTS
from diffnr.root import frozen, newton, value_and_jacobian
from optimize.reciprocity.both_ways import CONDITION, DrivenBothWays, balances, gap_of_fundamentals
from optimize.reciprocity.restoration import Restoration, condition_of, linewidth, restoration, same_shape
from optimize.reciprocity.restored_orbits import EqualFundamentals
from optimize.reciprocity.starts import start_from


class LeastChange(eqx.Module):
    """Both orbits, X_F = X_B of the outputs' fundamentals, and Σ (p − p₀) dp/p₀² = 0 along the curve where they hold,
    [2 n + 3], of v = [u, p] with both numbers p.

    `args`: (driven, which, row); row [2 n + 3] · tangent = 1.
    """

    def __call__(self, v: Array, args: tuple[DrivenBothWays, Array, Array]) -> Array:
        driven, which, row = args
        f, jacobian = value_and_jacobian(fundamentals, v, (driven, which))
        ahead = jnp.zeros_like(v).at[-1].set(1.0)
        tangent = jnp.linalg.solve(jnp.concatenate([jacobian, row[None]]), ahead)
        own = driven.numbers[which]
        return jnp.append(f, jnp.sum((v[-2:] - own) * tangent[-2:] / _unit(own) ** 2))


def fundamentals(v: Float[Array, " k"], args: tuple[DrivenBothWays, Array]) -> Array:
    """Both orbits, and X_F = X_B of the outputs' fundamentals, [2 n + 2]."""
    driven, which = args
    there = driven.with_numbers(which, v[-2:])
    return jnp.append(balances(v[:-2], there), gap_of_fundamentals(v[:-2], there))


def _unit(own: Array) -> Array:
    """What of each number counts alike."""
    return jnp.where(own == 0, 1.0, jnp.abs(own))


@compiled
def restored_by_two(
    driven: DrivenBothWays,
    which: Array,
    guess: OneHarmonicRestoration | Array,
    limits: tuple[Array, Array],
    max_steps: int,
) -> Restoration:
    """Equal fundamentals by the numbers `which` [2], from where the first alone makes them so, or nearly.

    **Arguments:** `guess`: of `first_guess`; `limits`: the least values [2], and whether numbers must be larger [2].
    """
    start = start_from(driven, which[0], guess, max_steps)
    alone = frozen(newton(EqualFundamentals(), start.v, start.free, rtol=1e-5, max_steps=max_steps).value)
    own = frozen(driven.numbers[which])
    v = jnp.append(jnp.where(jnp.all(jnp.isfinite(alone)), alone, start.v), own[1])
    begun = jnp.all(jnp.isfinite(v))
    v = jnp.where(begun, v, 1.0)
    held = frozen(driven)
    _, jacobian = value_and_jacobian(fundamentals, v, (held, which))
    # Orthogonal to all that changes what is to vanish: along the curve, whichever of the numbers it goes by.
    row = lax.stop_gradient(jnp.linalg.svd(jacobian)[2][-1])
    solution = newton(LeastChange(), v, (driven, which, row), max_steps=max_steps)
    found = begun & (solution.result == RESULTS.successful)
    end = jnp.where(found, solution.value, v)
    sought = np.array([row.size // 2 - 1, row.size - 2, row.size - 1])  # ω and both numbers
    units = jnp.append(linewidth(held.model), _unit(own))
    jacobian = jax.jacfwd(LeastChange())(*frozen((end, (driven, which, row))))
    condition = condition_of(jacobian, sought, units)
    ahead = jnp.linalg.solve(jnp.concatenate([jacobian[:-1], row[None]]), jnp.zeros_like(v).at[-1].set(1.0))
    least_here = jacobian[-1] @ ahead > 0  # and not the farthest
    least, strict = limits
    allowed = jnp.all((end[-2:] > least) | ((end[-2:] == least) & ~strict))
    result: Any = RESULTS.where(same_shape(end[:-2], start), RESULTS.successful, RESULTS.other_resonance)
    result = RESULTS.where(found & allowed & least_here & ~jnp.isnan(condition), result, RESULTS.not_restored)
    result = RESULTS.where(found & (condition > CONDITION), RESULTS.double_root, result)
    closed = guess if isinstance(guess, OneHarmonicRestoration) else None
    result = RESULTS.where(begun, result, RESULTS.no_peaks if closed is None else RESULTS.no_orbit)
    return restoration(end[:-2], driven, which, end[-2:], result, condition, closed)
