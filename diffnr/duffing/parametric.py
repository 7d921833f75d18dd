"""The depth of modulation above which oscillators grow by themselves: parametric resonance."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.checks import Count, Numbers, as_count, as_flag, as_range
from diffnr.compilation import compiled
from diffnr.duffing.modulated import ModulatedOscillators, require_modulated
from diffnr.duffing.sidebands import as_sideband_tolerance, ladder, outermost, with_enough_sidebands
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import frozen, newton

ROUNDS = 3  # of narrowing down by multipliers, each to one of `points` intervals; Newton's method does the rest


class ParametricThreshold(AbstractAnswer):
    """Where modulated oscillators become unstable; NaN where `result` is no success.

    **Fields:** `factor` [], of the modulation; `omega` [], between 0 and ω_m/2: what neither grows nor decays there is
    a motion of frequencies ±omega + nω_m (ω_m/2: half of the modulation's, as a swing); `result`, a `RESULTS`.
    """

    factor: Float[Array, "*batch"]
    omega: Float[Array, "*batch"]
    result: Any


def parametric_threshold(
    model: Any,
    *,
    bounds: Any = (0.0, 1.0),
    points: Count = 64,
    num_sidebands: Count | None = None,
    rtol: Numbers | None = None,
    throw: bool = True,
) -> ParametricThreshold:
    """The smallest factor of the modulation, K_k → factor · K_k, at which the undriven oscillators begin to grow.

    There the equations of all sidebands are singular at a real frequency κ, with a multiplier e^{2πiκ/ω_m} on the unit
    circle: Newton's method in (κ, factor), from where the multipliers leave it.

    **Arguments:**

    - `model`: `ModulatedOscillators`; with a `modulation` of 1 the factor is the depth itself.
    - `bounds`: (lowest, highest) factor, between which the first loss of stability is looked for.
    - `points`: number of intervals that are looked through; a window of instability narrower than one may be missed.
    - `num_sidebands`, `rtol`: as for `modulated_response`, of the motion at the threshold.
    - `throw`: raise where there is none; otherwise `result` says it, with NaN.

    **Returns:** a `ParametricThreshold`, differentiable in the model's leaves.

    **Raises:** `ValueError` for what is no such model, or bounds in the wrong order; `RuntimeError` if `throw` and the
    oscillators are stable up to the highest factor, or unstable at the lowest one already.

    Good values: one oscillator of mass 1, frequency ω and damping c has 2cω at ω_m = 2ω, to first order in c.

    Example: `duffing.parametric_threshold(model, bounds=(0.0, 0.5)).factor`.
    """
    require_modulated(model)
    lowest, highest = as_range(bounds, "bounds")
    points, throw = as_count(points, "points", least=2), as_flag(throw, "throw")
    rtol = as_sideband_tolerance(rtol, model.omega_m)
    answer = with_enough_sidebands(lambda num: _threshold(model, lowest, highest, points, num, rtol), num_sidebands)
    return raise_failures(answer, answer.result) if throw else answer


@compiled
def _threshold(
    model: ModulatedOscillators, lowest: Any, highest: Any, points: int, num_sidebands: int, rtol: float
) -> ParametricThreshold:
    dtype = model.omega_m.dtype
    still, lowest, highest = frozen((model, jnp.asarray(lowest, dtype), jnp.asarray(highest, dtype)))

    def narrowed(bracket: tuple, _: None) -> tuple[tuple, tuple]:
        factors = jnp.linspace(bracket[0], bracket[1], points + 1)
        multipliers = jax.vmap(lambda factor: still.scaled(factor).multipliers[0])(factors)
        outside = ~(jnp.abs(multipliers) < 1)
        first = jnp.argmax(outside)
        place = factors[jnp.maximum(first - 1, 0)], factors[first]
        return place, (multipliers[first], outside[0], jnp.any(outside))

    (_, factor), (multipliers, at_once, any_) = lax.scan(narrowed, (lowest, highest), length=ROUNDS)
    turn = jnp.abs(jnp.angle(multipliers[-1])) / (2 * jnp.pi)
    guess = jnp.stack([turn * still.omega_m, factor])
    left, _, right = jnp.linalg.svd(_at(guess, still, num_sidebands))
    border = left[:, -1], right[-1]

    def residual(y: Array, args: Any) -> Array:
        corner = _bordered(_at(y, args[0], num_sidebands), *args[1])[-1]
        return jnp.stack([corner.real, corner.imag])

    root = newton(residual, guess, (model, border))
    found = jnp.where(root.converged, root.value, guess)
    motion = _bordered(_at(frozen(found), still, num_sidebands), *border)[:-1]
    few = outermost(motion.reshape(-1, model.num_ports), len(model.fourier)) > rtol
    result = RESULTS.where(few & root.converged, RESULTS.too_few_sidebands, root.result)
    # Newton's method may go to another crossing, if it leaves the interval.
    near = jnp.abs(found[1] - factor) <= (highest - lowest) / points
    result = RESULTS.where(near, result, RESULTS.max_steps_reached)
    result = RESULTS.where(at_once[0], RESULTS.no_rest, result)
    result = RESULTS.where(any_[0], result, RESULTS.no_threshold)
    result = RESULTS.where(jnp.any(jnp.isnan(multipliers)), RESULTS.too_slow, result)
    value = jnp.where(result == RESULTS.successful, found, jnp.nan)
    return ParametricThreshold(value[1], value[0], result)


def _at(y: Float[Array, " 2"], model: ModulatedOscillators, num_sidebands: int) -> Complex[Array, "unknown unknown"]:
    return ladder(model.scaled(y[1]), y[0], num_sidebands)


def _bordered(matrix: Array, column: Array, row: Array) -> Array:
    """The null vector of a nearly singular matrix, and last what is 0 where it is singular."""
    top = jnp.concatenate([matrix, column[:, None]], axis=1)
    bottom = jnp.append(row, 0.0)[None]
    return jnp.linalg.solve(jnp.concatenate([top, bottom]), jnp.zeros_like(bottom[0]).at[-1].set(1.0))
