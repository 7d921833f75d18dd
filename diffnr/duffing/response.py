"""Frequency responses of oscillators: branches from both ends of a range, and isolated ones between."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from diffnr.checks import Count, Numbers, as_count, as_flag, as_range, is_concrete, require
from diffnr.compilation import compiled
from diffnr.continuation import trace
from diffnr.duffing.branch import OrbitBranch, driven_by, read_off
from diffnr.duffing.course import Course, arrived, begun_or, first_orbit, joined, scale_of
from diffnr.duffing.driven import DrivenOscillators, is_long, linearise
from diffnr.duffing.further_pieces import PLACES, Begun, with_further_pieces
from diffnr.duffing.oscillators import AbstractOscillators, rests_at_zero, stiffness_at_zero, with_harmonics
from diffnr.progress import ProgressBar
from diffnr.results import RESULTS, raise_failures
from diffnr.root import frozen

SAME = 1e-6  # of the size: two orbits at a bound nearer than this are one
HARMONICS = (9, 19, 39, 79)  # that "auto" tries
RESOLVED, COARSE = 1e-6, 1e-3  # of an orbit, left out: what "auto" is content with, and what is warned of


def frequency_response(
    model: AbstractOscillators,
    *,
    amplitude: Numbers,
    omega: Numbers,
    port: Any = 0,
    num_harmonics: Any = None,
    isolas: bool = False,
    max_points: Count = 400,
    max_folds: Count = 8,
    throw: bool = True,
    progress: Any = None,
) -> OrbitBranch:
    """The response of oscillators to a force of given amplitude at one of them, over its frequency, by continuation.

    **Arguments:**

    - `model`: the oscillators. `amplitude`: [], P, of the force; `port`: the driven oscillator,
      or complex shares [n] of the force, of several driven ones with phases, or a `BaseMotion`.
    - `omega`: (lowest, highest) frequency, positive. A piece begins at the lowest, with the orbit in which a slowly
      raised force ends there, and goes on through folds until it leaves the range; where it does not come to the other
      bound's, a second one begins at the highest.
    - `num_harmonics`: the highest harmonic of orbits; default the model's. "auto" doubles it from 9 until what is left
      out is below 1e-6 of every orbit (`truncation`), or 79; not inside of a transformation.
    - `isolas`: whether to look for further branches, isolated ones among them, by `find_orbits` at nine frequencies,
      and to follow each; not inside of a transformation.
    - `max_points`, `max_folds`: room for points and folds of all pieces; static numbers.
    - `throw`: raise where not even a start is found. A branch that stops short is returned with its `result` anyhow.
    - `progress`: a line on stderr about `isolas` and "auto", which take longer; None shows it only on a terminal.

    **Returns:** an `OrbitBranch` of one or more pieces. Derivatives with respect to the model and the amplitude are
    exact: of folds, peaks and `at` as they are, of points at fixed frequency (they diverge at folds).

    **Raises:** `ValueError` for bounds that are not positive and rising, float32, a port that does not exist;
    `RuntimeError` if `throw` and there is no start. Where the range asked for is not covered from both ends, and where
    harmonics leave out more than 1e-3 of an orbit, there is a `RuntimeWarning`; `complete` and `truncation` say it.

    Good values: 9 harmonics are precise to 1e-8 for the paper's pairs at P = .15; 13 for P = 1.

    Source: paper 2, Figures 1 and 3 (there by AUTO).
    """
    low, high = as_range(omega, "omega", positive=True)
    chosen = isinstance(num_harmonics, str)
    require(not chosen or num_harmonics == "auto", "num_harmonics", 'be a whole number or "auto"', num_harmonics)
    driven = driven_by(model, low, amplitude, port, "omega", HARMONICS[0] if chosen else num_harmonics)
    max_points, max_folds = as_count(max_points, "max_points", least=2), as_count(max_folds, "max_folds")
    isolas, throw = as_flag(isolas, "isolas"), as_flag(throw, "throw")
    progress = None if progress is None else as_flag(progress, "progress")
    must = "be False inside of a transformation, where it cannot be known how many branches there are"
    known = is_concrete(driven, low, high)
    require(not isolas or known, "isolas", must, True)
    require(not chosen or known, "num_harmonics", "be a whole number inside of a transformation", '"auto"')
    total, done = (len(HARMONICS) if chosen else 1) * (PLACES if isolas else 1), itertools.count(1)
    with ProgressBar(progress if total > 1 else False, total) as bar:

        def traced(driven: DrivenOscillators) -> tuple[OrbitBranch, Told]:
            def show(pieces: int) -> None:
                bar.show(next(done), f"{driven.model.num_harmonics} harmonics, {pieces} pieces")

            if isolas:
                return _with_isolas(driven, (low, high), max_points, max_folds, show)
            branch, told = _from_both_ends(driven, (low, high), max_points, max_folds)
            show(len(branch.ends))
            return branch, told

        branch, told = traced(driven)
        for highest in HARMONICS[1:] if chosen else ():
            if float(np.nanmax(np.asarray(told.truncation), initial=0.0)) <= RESOLVED:
                break
            driven = eqx.tree_at(lambda driven: driven.model, driven, with_harmonics(driven.model, highest))
            branch, told = traced(driven)
    if not throw:
        return branch
    branch = raise_failures(branch, told.begun)
    if known and is_concrete(branch.complete):
        _warn(branch, told, isolas)
    return branch


class Told(NamedTuple):
    """What is to be said of a branch, found along with it: whether there was a start, as a `RESULTS`, what harmonics
    leave out [point], masses and ∂f/∂x at x = 0. Without derivatives."""

    begun: Any
    truncation: Array
    mass: Array
    stiffness: Array

    @classmethod
    def of(cls, branch: OrbitBranch) -> Told:
        begun = RESULTS.where(branch.count == 0, branch.result, RESULTS.successful)
        return frozen(cls(begun, branch.truncation, branch.model.mass, stiffness_at_zero(branch.model)))


def _warn(branch: OrbitBranch, told: Told, isolas: bool) -> None:
    if not rests_at_zero(told.mass, told.stiffness) and (branch.model.basis.odd or not isolas):
        remedy = (
            "isolas=True" if not branch.model.basis.odd else "isolas=True and a model with odd=False (AllHarmonics)"
        )
        what = "The oscillators do not rest at x = 0, about which this branch is: orbits in their wells are on others"
        warnings.warn(f"{what}, which {remedy} looks for.", RuntimeWarning, stacklevel=3)
    if not np.all(np.asarray(branch.complete)):
        warnings.warn(f"The range is not covered: {branch.message}", RuntimeWarning, stacklevel=3)
    left_out = np.nan_to_num(np.asarray(told.truncation))
    worst = np.unravel_index(int(np.argmax(left_out)), left_out.shape)
    if left_out[worst] > COARSE:
        what = f"{branch.model.num_harmonics} harmonics leave about {left_out[worst]:.1g} of the orbit"
        where = f"at omega = {float(np.asarray(branch.omega)[worst]):.4g}"
        warnings.warn(f"{what} {where}: raise num_harmonics, or pass 'auto'.", RuntimeWarning, stacklevel=3)


@functools.partial(compiled, as_usual=is_long)
def _from_both_ends(
    driven: DrivenOscillators, bounds: tuple[Array, Array], max_points: int, max_folds: int
) -> tuple[OrbitBranch, Told]:
    begun = _course(driven, bounds, max_points)
    branch = read_off(driven, begun.course, begun.ends, bounds[0], begun.result, begun.complete, max_folds)
    return branch, Told.of(branch)


def _course(driven: DrivenOscillators, bounds: tuple[Array, Array], max_points: int) -> Begun:
    ends = jnp.stack(bounds)
    starts, _, why = lax.map(lambda value: first_orbit(driven, value, None), ends)
    scale = scale_of(driven, *bounds)

    def piece(before: tuple[Array, Array], job: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], tuple]:
        y, begin, upwards = job
        size = jnp.linalg.norm(y)
        there = jnp.abs(before[1] - begin) <= SAME * begin  # a bound is reached to round-off
        known = there & (jnp.linalg.norm(y - before[0]) <= SAME * size)
        y = jnp.where(known, jnp.nan, y)
        branch = trace(linearise, y, begin, bounds, driven, scale=scale, upwards=upwards, max_points=max_points)
        last = jnp.maximum(branch.count - 1, 0)
        return (branch.y[last], branch.parameter[last]), (branch, known)

    jobs = starts, ends, jnp.asarray([True, False])
    none = jnp.full_like(starts[0], jnp.nan), jnp.full_like(bounds[0], jnp.nan)
    _, (both, known) = lax.scan(piece, none, jobs)
    first, second = (
        begun_or(jax.tree_util.tree_map(lambda x, k=k: x[k], both), jax.tree_util.tree_map(lambda x, k=k: x[k], why))
        for k in (0, 1)
    )
    course = joined(Course.of(first), second, 1, max_points)
    covered = (first.count > 0) & ((second.count > 0) | known[1])
    end = RESULTS.where(known[1], RESULTS.successful, second.result)
    result = RESULTS.where(arrived(first.result), end, first.result)
    full = first.count + second.count > max_points
    result = RESULTS.where(full, RESULTS.out_of_points, result)
    complete = covered & arrived(first.result) & arrived(end) & ~full
    return Begun(course, (first.result, end), result, complete)


def _with_isolas(
    driven: DrivenOscillators,
    bounds: tuple[Array, Array],
    max_points: int,
    max_folds: int,
    show: Callable[[int], None],
) -> tuple[OrbitBranch, Told]:
    given = driven
    if driven.port is not None:  # which oscillator it is becomes a number, so that all of them share one program
        share = jnp.zeros(driven.model.num_ports).at[driven.port].set(1.0)
        driven = dataclasses.replace(driven, port=None, share=share)
    begun = _jitted_course(driven, bounds, max_points)
    branch = with_further_pieces(driven, begun, bounds, max_points, max_folds, show)
    return dataclasses.replace(branch, driven=given), _told(branch)


_jitted_course, _told = compiled(_course), compiled(Told.of)
