"""Reciprocity restored in an asymmetric pair of oscillators, by a second ratio that breaks its symmetry too."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array

from diffnr.checks import Count, Numbers, as_choice, as_count, as_flag, is_concrete, require
from diffnr.continuation import fold_residual
from diffnr.duffing.one_harmonic import RATIOS, OneHarmonicRestoration, one_harmonic_restoration
from diffnr.duffing.oscillators import DuffingPair
from diffnr.results import RESULTS, raise_failures
from diffnr.root import newton
from optimize.minimisation import minimise
from optimize.reciprocity.both_ways import DrivenPair, as_driven, difference, squares
from optimize.reciprocity.restoration import Restoration, judged
from optimize.reciprocity.restored_orbits import (
    BothPeak,
    EqualFundamentals,
    FreeRatio,
    Stationary,
    anchored,
    before_bend,
    begin,
    sensitivity,
    with_tangents,
)
from optimize.transforms import Scaled

AT = ("peak", "equal_norm", "bend")
MAX_STEPS = 64  # of Newton's method, which takes 3 to 8


def restore_reciprocity(
    pair: DuffingPair,
    *,
    amplitude: Numbers,
    free: str,
    resonance: Count,
    at: str = "peak",
    num_harmonics: Count | None = None,
    solver: str | optax.GradientTransformation = "newton",
    max_steps: Count = MAX_STEPS,
    throw: bool = False,
) -> Restoration:
    """The second ratio that makes an asymmetric pair answer alike from both sides, at one of its resonances:

        "peak":        min_p R²(p),  ω on the peak of the forward output,  R² = 1/T ∫ (x_F − x_B)² dt
        "equal_norm":  X_F = X_B of the outputs' fundamentals: N_F = N_B and Δφ = 0, for p and ω
        "bend":        N_F = N_B and ∂(N_F − N_B)/∂ω = 0

    **Arguments:**

    - `pair`: a `duffing.DuffingPair`; its value of the free ratio does not matter.
    - `amplitude`: [], P, of the force.
    - `free`: the ratio p to find: "stiffness_ratio", "mass_ratio" or "cubic_ratio".
    - `resonance`: 0, the lower, or 1.
    - `at`: "peak" (default), always well posed; it cannot converge to an anti-resonance, where R is small only because
      the response is; "equal_norm", the paper's, which is singular for some pairs and then says so; or "bend", where
      the curve N_F = N_B turns back in p: the end of what `reciprocity_level` at "equal_norm" can reach.
    - `num_harmonics`: the highest harmonic of orbits; default the pair's.
    - `solver`: "newton", or for "peak" any optax optimiser (`optax.lbfgs()`), which `optimize.minimise` drives.
    - `max_steps`: of the solver. Good values: 64 for Newton, which takes 3 to 8; some hundred for `optax.adam(1e-3)`.
    - `throw`: raise where the search failed; by default its numbers are NaN and `message` says why.

    **Returns:** a `Restoration`: look at `converged` and `message`. With Newton it may be jitted and vmapped,
    and its numbers have exact derivatives with respect to the pair and the amplitude.

    **Raises:** `ValueError` for a ratio, resonance or `at` that does not exist; for a resonance that the response does
    not have; for float32. `RuntimeError` if `throw` and the search failed.

        optimize.restore_reciprocity(pair, amplitude=0.15, free="stiffness_ratio", resonance=1).ratio

    **Notes:** the search begins at the closed form, then lets both outputs peak at the same frequency, and goes on from
    there. It is told from others by the two oscillators moving together or against each other as in the closed form,
    and by the output being a maximum. R reaches 0 for equal pairs only: third harmonics break what the fundamentals
    restore, most where 3 ω of resonance 0 comes near to resonance 1.

    Source: paper 2 (restoring reciprocity in coupled oscillators), Figures 3 and 5; the definition "peak" is ours.
    """
    as_choice(at, "at", AT)
    optax_solver = isinstance(solver, optax.GradientTransformation)
    known = solver == "newton" if isinstance(solver, str) else optax_solver
    require(known, "solver", 'be "newton" or an optax optimiser', repr(solver) if isinstance(solver, str) else solver)
    require(not optax_solver or at == "peak", "solver", 'be "newton" where at is not "peak"', "an optax optimiser")
    max_steps, throw = as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    driven, resonance = as_driven(pair, amplitude, num_harmonics), as_count(resonance, "resonance", least=0, most=1)
    guess = closed_form(driven, free, resonance)
    which = jnp.asarray(RATIOS.index(free))
    if isinstance(solver, str):
        restored = restore_from(driven, which, guess, at, max_steps)
    else:
        restored = _by_optax(driven, which, guess, solver, max_steps)
    return raise_failures(restored, restored.result) if throw else restored


def closed_form(driven: DrivenPair, free: Any, resonance: int) -> OneHarmonicRestoration:
    """The closed form from which searches begin; raises, where it can be known, if there is none."""
    as_choice(free, "free", RATIOS)
    known = is_concrete(driven)
    return one_harmonic_restoration(
        driven.pair, amplitude=driven.amplitude, free=free, resonance=resonance, throw=known
    )


def restore_from(
    driven: DrivenPair, which: Array, guess: OneHarmonicRestoration, at: str, max_steps: int = MAX_STEPS
) -> Restoration:
    """`restore_reciprocity` by Newton, with the ratio `which` [] of `RATIOS` free, from the closed form `guess`."""
    start, v, result, free = search(driven, which, guess, at, max_steps)
    return judged(start, v, result, free, guess, at)


@eqx.filter_jit
def search(
    driven: DrivenPair, which: Array, guess: OneHarmonicRestoration, at: str, max_steps: int
) -> tuple[Array, Array, Any, FreeRatio]:
    """Where a search starts, v = [u, p] where it ends (NaN where it fails), how it ends, and the free ratio."""
    start, free = _peaks_together(driven, which, guess, max_steps)
    if at == "equal_norm":
        # Where it is singular steps wander for ever, wide of a tight tolerance. Elsewhere they shrink to round-off.
        solution = newton(EqualFundamentals(), start, free, rtol=1e-5, max_steps=max_steps)
    else:
        solution = newton(Stationary(), jnp.append(start, sensitivity(start, free)), free, max_steps=max_steps)
    if at == "bend":
        solution = newton(fold_residual, *before_bend(solution.value[: start.size], free), max_steps=max_steps)
    return start, solution.value[: start.size], solution.result, free


def _peaks_together(
    driven: DrivenPair, which: Array, guess: OneHarmonicRestoration, max_steps: int
) -> tuple[Array, FreeRatio]:
    """A start near every kind of restored point: where both outputs peak at the same frequency."""
    v, free = begin(driven, which, guess)
    v = lax.stop_gradient(newton(BothPeak(), v, free, max_steps=max_steps).value)
    return v, with_tangents(v, free)


_start = eqx.filter_jit(_peaks_together)


def _by_optax(
    driven: DrivenPair,
    which: Array,
    guess: OneHarmonicRestoration,
    optimiser: optax.GradientTransformation,
    steps: int,
) -> Restoration:
    v, free = _start(driven, which, guess, MAX_STEPS)
    if not np.all(np.isfinite(np.asarray(v))):
        return _ended(v, v[-1], RESULTS.max_steps_reached, free, guess)
    # In units of what R² is at the start and of a ratio's hundredth, a gradient of 1e-7 is near to round-off.
    size = squares(v[:-1], driven.basis)[0]
    scale = jnp.maximum(jnp.sum(difference(v[:-1], driven.basis) ** 2), 2e-20 * size)
    name = RATIOS[int(which)]
    found = minimise(
        _misfit,
        free.at(v[-1]).pair,
        free=name,
        optimiser=optimiser,
        steps=steps,
        transforms={name: Scaled(jnp.abs(v[-1]) / 100)},
        tolerance=1e-7,
        args=(v, free, scale),
        progress=False,
        history=False,
    )
    result = RESULTS.where(jnp.asarray(found.converged), RESULTS.successful, RESULTS.max_steps_reached)
    return _ended(v, found.values[name], result, free, guess)


def _misfit(pair: DuffingPair, args: tuple[Array, FreeRatio, Array]) -> Array:
    """R² with the forward output at its peak, in units of what it was at the start."""
    v, free, scale = args
    ratio = jnp.stack([getattr(pair, name) for name in RATIOS])[free.which]
    u = anchored(v[:-1], ratio, free)
    return jnp.sum(difference(u, free.driven.basis) ** 2) / scale


@eqx.filter_jit
def _ended(v: Array, ratio: Array, result: Any, free: FreeRatio, guess: OneHarmonicRestoration) -> Restoration:
    end = jnp.append(anchored(v[:-1], ratio, free), ratio)
    return judged(v, end, result, free, guess, "peak")
