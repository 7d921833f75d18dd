"""Reciprocity restored in asymmetric oscillators, by a second number that breaks their symmetry too."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from diffnr.checks import Count, Numbers, as_choice, as_count, as_flag, is_concrete, require
from diffnr.compilation import compiled
from diffnr.continuation import fold_residual
from diffnr.duffing.one_harmonic import RATIOS, OneHarmonicRestoration, one_harmonic_restoration
from diffnr.duffing.oscillators import DuffingPair
from diffnr.results import RESULTS, raise_failures
from diffnr.root import newton
from optimize.minimisation import minimise
from optimize.reciprocity.both_ways import DrivenBothWays, as_driven, difference, squares
from optimize.reciprocity.least_change import restored_by_two
from optimize.reciprocity.restoration import Restoration, judged
from optimize.reciprocity.restored_orbits import (
    EqualFundamentals,
    FreeRatio,
    Quadrature,
    Stationary,
    anchored,
    before_bend,
    sensitivity,
)
from optimize.reciprocity.starts import Start, start_from
from optimize.transforms import Scaled

AT = ("peak", "equal_norm", "quadrature", "bend")
CONDITIONS = {"equal_norm": EqualFundamentals, "quadrature": Quadrature}
MAX_STEPS = 64  # of Newton's method, which takes 3 to 8


def restore_reciprocity(
    pair: Any,
    *,
    amplitude: Numbers,
    free: str | tuple[str, ...],
    resonance: Count,
    at: str = "peak",
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    solver: str | optax.GradientTransformation = "newton",
    max_steps: Count = MAX_STEPS,
    throw: bool = False,
) -> Restoration:
    """The number that makes asymmetric oscillators answer alike from both sides, at one of their resonances:

        "peak":        min_p R²(p),  ω on the peak of the forward output,  R² = 1/T ∫ (x_F − x_B)² dt
        "equal_norm":  X_F = X_B of the outputs' fundamentals: N_F = N_B and Δφ = 0, for p and ω; of two numbers by
                       the least Σ ((p − p₀)/p₀)²
        "quadrature":  φ_F = φ_B = ±π/2 of the outputs' fundamentals, for p and ω: phases alone are preserved
        "bend":        N_F = N_B and ∂(N_F − N_B)/∂ω = 0

    **Arguments:**

    - `pair`: a `duffing.DuffingPair`, or any other model of two oscillators or more, in float64. Of a pair's own ratios
      the value of the free one does not matter; elsewhere the search begins at the model's own value.
    - `amplitude`: [], P, of the force.
    - `free`: the number p to find, by its path: "stiffness_ratio", "mass_ratio" or "cubic_ratio" of a pair; or any
      other, as `along` of `phase_nonreciprocity_locus`: "coupling", "mass.3" (a chain's defect), "stiffness.1.1". For
      "equal_norm" there may be two, (p, q): the search begins where the first alone makes fundamentals equal.
    - `resonance`: 0, the lowest, to n − 1 of n oscillators: the peak at which they move in that linear mode above all.
    - `at`: "peak" (default), always well posed; it cannot converge to an anti-resonance, where R is small only because
      the response is; "equal_norm", the paper's, which is singular for some pairs and then says so; "quadrature", where
      both outputs are a quarter of a period off the force, and their norms may differ; or "bend", where the curve N_F =
      N_B turns back in p: the end of what `reciprocity_level` at "equal_norm" can reach.
    - `ports`: the two oscillators that are driven and looked at in turn; default the first and the last one.
    - `num_harmonics`: the highest harmonic of orbits; default the model's.
    - `solver`: "newton", or for "peak" any optax optimiser (`optax.lbfgs()`), which `optimize.minimise` drives.
    - `max_steps`: of the solver. Good values: 64 for Newton, which takes 3 to 8; some hundred for `optax.adam(1e-3)`.
    - `throw`: raise where the search failed; by default its numbers are NaN and `message` says why.

    **Returns:** a `Restoration`: look at `converged` and `message`. With Newton it may be jitted and vmapped,
    and its numbers have exact derivatives with respect to the model and the amplitude.

    **Raises:** `ValueError` for a number, resonance or `at` that does not exist; for a resonance that the response of a
    pair does not have; for float32. `RuntimeError` if `throw` and the search failed.

        optimize.restore_reciprocity(pair, amplitude=0.15, free="stiffness_ratio", resonance=1).ratio

    **Notes:** the search begins at the closed form, or at the highest peak of either output at that resonance; it lets
    both peak at the same frequency, and goes on from there. It is told from others by the two ports moving together or
    against each other as where it began, and by the output being a maximum. R reaches 0 for equal pairs only: third
    harmonics break what the fundamentals restore, most where 3 ω of resonance 0 comes near to resonance 1.

    Source: paper 2 (restoring reciprocity in coupled oscillators), Figures 3 and 5; the definition "peak" is ours.
    """
    as_choice(at, "at", AT)
    optax_solver = isinstance(solver, optax.GradientTransformation)
    known = solver == "newton" if isinstance(solver, str) else optax_solver
    require(known, "solver", 'be "newton" or an optax optimiser', repr(solver) if isinstance(solver, str) else solver)
    require(not optax_solver or at == "peak", "solver", 'be "newton" where at is not "peak"', "an optax optimiser")
    max_steps, throw = as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    driven = as_driven(pair, amplitude, num_harmonics, ports)
    resonance = as_count(resonance, "resonance", least=0, most=driven.model.num_ports - 1)
    if at == "equal_norm" and isinstance(free, (tuple, list)):
        restored = _by_two(driven, free, resonance, max_steps)
        return raise_failures(restored, restored.result) if throw else restored
    which, name = jnp.asarray(driven.which(free, "free")), str(free)
    guess = first_guess(driven, name, resonance)
    if isinstance(solver, str):
        restored = restore_from(driven, which, guess, at, max_steps)
    else:
        restored = _by_optax(driven, name, which, guess, solver, max_steps)
    restored = dataclasses.replace(restored, free=name, at=at)
    return raise_failures(restored, restored.result) if throw else restored


def _by_two(driven: DrivenBothWays, free: Any, resonance: int, max_steps: int) -> Restoration:
    different = len(free) == len(set(map(repr, free))) == 2
    require(different, "free", "name one number or two different ones", tuple(free))
    which = jnp.asarray([driven.which(name, "free") for name in free])
    least, strict = (jnp.asarray(x) for x in zip(*map(driven.least, free), strict=True))
    restored = restored_by_two(driven, which, first_guess(driven, free[0], resonance), (least, strict), max_steps)
    return dataclasses.replace(restored, free=tuple(free), at="equal_norm")


def first_guess(driven: DrivenBothWays, free: str, resonance: int) -> OneHarmonicRestoration | Array:
    """Where searches begin: the closed form of a pair (raises, where it can be known, if there is none), or a number of
    a resonance."""
    if not has_closed_form(driven, free):
        return jnp.asarray(resonance)  # an array, so that all resonances share what is compiled
    return one_harmonic_restoration(
        driven.model, amplitude=driven.amplitude, free=free, resonance=resonance, throw=is_concrete(driven)
    )


def has_closed_form(driven: DrivenBothWays, free: str) -> bool:
    """Whether orbits of one harmonic are restored in closed form."""
    return isinstance(driven.model, DuffingPair) and driven.ports == (0, 1) and free in RATIOS


def restore_from(
    driven: DrivenBothWays, which: Array, guess: OneHarmonicRestoration | Array, at: str, max_steps: int = MAX_STEPS
) -> Restoration:
    """`restore_reciprocity` by Newton, with the number `which` [] free, from a `first_guess`."""
    start, v, result = search(driven, which, guess, at, max_steps)
    return judged(start, v, result, guess if isinstance(guess, OneHarmonicRestoration) else None, at)


@compiled
def search(
    driven: DrivenBothWays, which: Array, guess: OneHarmonicRestoration | Array, at: str, max_steps: int
) -> tuple[Start, Array, Any]:
    """Where a search starts, v = [u, p] where it ends (NaN where it fails), and how it ends."""
    start = start_from(driven, which, guess, max_steps)
    v, result = search_from(start, at, max_steps)
    return start, v, result


def search_from(start: Start, at: str, max_steps: int) -> tuple[Array, Any]:
    """v = [u, p] where a search ends (NaN where it fails), and how it ends."""
    v, free, _ = start
    if at in CONDITIONS:
        # Where it is singular steps wander for ever, wide of a tight tolerance. Elsewhere they shrink to round-off.
        solution = newton(CONDITIONS[at](), v, free, rtol=1e-5, max_steps=max_steps)
    else:
        solution = newton(Stationary(), jnp.append(v, sensitivity(v, free)), free, max_steps=max_steps)
    if at == "bend":
        solution = newton(fold_residual, *before_bend(solution.value[: v.size], free), max_steps=max_steps)
    return solution.value[: v.size], solution.result


_start = compiled(start_from)


def _by_optax(
    driven: DrivenBothWays,
    name: str,
    which: Array,
    guess: OneHarmonicRestoration | Array,
    optimiser: optax.GradientTransformation,
    steps: int,
) -> Restoration:
    start = _start(driven, which, guess, MAX_STEPS)
    v, free, _ = start
    if not np.all(np.isfinite(np.asarray(v))):
        return _ended(start, v[-1], RESULTS.max_steps_reached, guess)
    # In units of what R² is at the start and of a ratio's hundredth, a gradient of 1e-7 is near to round-off.
    size = squares(v[:-1], driven)[0]
    scale = jnp.maximum(jnp.sum(difference(v[:-1], driven) ** 2), 2e-20 * size)
    path = name if name == "amplitude" else f"model.{name}"
    found = minimise(
        _misfit,
        free.at(v[-1]),
        free=path,
        optimiser=optimiser,
        steps=steps,
        transforms={path: Scaled(jnp.abs(v[-1]) / 100)},
        tolerance=1e-7,
        args=(v, free, scale),
        progress=False,
        history=False,
    )
    result = RESULTS.where(jnp.asarray(found.converged), RESULTS.successful, RESULTS.max_steps_reached)
    return _ended(start, found.values[path], result, guess)


def _misfit(driven: DrivenBothWays, args: tuple[Array, FreeRatio, Array]) -> Array:
    """R² with the forward output at its peak, in units of what it was at the start."""
    v, free, scale = args
    ratio = driven.numbers[free.which]
    u = anchored(v[:-1], ratio, free)
    return jnp.sum(difference(u, free.driven) ** 2) / scale


@compiled
def _ended(start: Start, ratio: Array, result: Any, guess: OneHarmonicRestoration | Array) -> Restoration:
    end = jnp.append(anchored(start.v[:-1], ratio, start.free), ratio)
    return judged(start, end, result, guess if isinstance(guess, OneHarmonicRestoration) else None, "peak")
