"""Frequency responses of oscillators: branches from both ends of a range, and isolated ones between."""

from __future__ import annotations

import functools
import itertools
import warnings
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
from diffnr.duffing.further_pieces import FREE, PLACES, Begun, Search, of_shares
from diffnr.duffing.oscillators import AbstractOscillators, rests_at_zero, stiffness_at_zero, with_harmonics
from diffnr.duffing.truncation import of_each
from diffnr.progress import ProgressBar
from diffnr.results import RESULTS, raise_failures
from diffnr.root import frozen

SAME = 1e-6  # of the size: two orbits at a bound nearer than this are one
HARMONICS = (9, 19, 39, 79)  # that "auto" tries
NEGLIGIBLE = (
    1e-6  # of an orbit: the last harmonics of one that ending there does not change by a thousand times as much
)
SAMPLED = 32  # orbits whose truncation is looked at
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
    - `isolas`: whether to look for further branches, isolated ones among them, by searches like `find_orbits` at both
      bounds and nine frequencies, and at seven with the phase held instead, and to follow each; not inside of a
      transformation. By default the bounds alone are looked at, outside of transformations, for states that a linear
      mode by itself would have there.
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
    total, done = (len(HARMONICS) if chosen else 1) * (PLACES + FREE if isolas else 1), itertools.count(1)
    with ProgressBar(progress if total > 1 else False, total) as bar:

        def traced(driven: DrivenOscillators) -> tuple[OrbitBranch, Told]:
            def show(pieces: int) -> None:
                bar.show(next(done), f"{driven.model.num_harmonics} harmonics, {pieces} pieces")

            if isolas:
                search = Search(
                    driven, _jitted_course(of_shares(driven), (low, high), max_points), (low, high), max_points
                )
                search.everywhere(show)
                branch = search.read_off(driven, max_folds)
                return branch, _told(branch)
            branch, told = _from_both_ends(driven, (low, high), max_points, max_folds)
            show(len(branch.ends))
            if not known or not is_concrete(branch.count) or int(branch.count) == 0:
                return branch, told
            begun = Begun(_course_of(branch), branch.ends, branch.result, branch.complete)
            search = Search(driven, begun, (low, high), max_points)
            search.at_bounds()
            return (branch if search.begun is begun else search.read_off(driven, max_folds)), told

        branch, told = traced(driven)
        for highest in HARMONICS[1:] if chosen else ():
            if float(np.nanmax(np.asarray(branch.truncation), initial=0.0)) <= RESOLVED:
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
    """What is to be said of a branch, found along with it: whether there was a start, as a `RESULTS`, masses and ∂f/∂x
    at x = 0. Without derivatives."""

    begun: Any
    mass: Array
    stiffness: Array

    @classmethod
    def of(cls, branch: OrbitBranch) -> Told:
        begun = RESULTS.where(branch.count == 0, branch.result, RESULTS.successful)
        return frozen(cls(begun, branch.model.mass, stiffness_at_zero(branch.model)))


def _warn(branch: OrbitBranch, told: Told, isolas: bool) -> None:
    if not rests_at_zero(told.mass, told.stiffness) and (branch.model.basis.odd or not isolas):
        remedy = (
            "isolas=True" if not branch.model.basis.odd else "isolas=True and a model with odd=False (AllHarmonics)"
        )
        what = "The oscillators do not rest at x = 0, about which this branch is: orbits in their wells are on others"
        warnings.warn(f"{what}, which {remedy} looks for.", RuntimeWarning, stacklevel=3)
    if not np.all(np.asarray(branch.complete)):
        warnings.warn(f"The range is not covered: {branch.message}", RuntimeWarning, stacklevel=3)
    left_out, omega = _sampled_truncation(branch)
    worst = int(np.argmax(left_out))
    if left_out[worst] > COARSE:
        what = f"{branch.model.num_harmonics} harmonics leave about {left_out[worst]:.1g} of the orbit"
        where = f"at omega = {float(omega[worst]):.4g}"
        warnings.warn(f"{what} {where}: raise num_harmonics, or pass 'auto'.", RuntimeWarning, stacklevel=3)


def _sampled_truncation(branch: OrbitBranch) -> tuple[np.ndarray, np.ndarray]:
    """What harmonics leave of some orbits, and their frequencies: of those whose last harmonics are the largest, and of
    as many all along; 0 where none is worth looking at."""
    count = int(branch.count)
    power = np.sum(np.abs(np.asarray(branch.b)[:count]) ** 2, axis=1)
    last, before, total = (np.sum(part, axis=1) for part in (power[:, -2:], power[:, -6:-4], power))
    falls = np.sqrt(np.minimum(last / np.where(before > 0, before, np.inf), 1.0)) if power.shape[1] > 4 else 1.0
    last = np.sqrt(last * falls / np.where(total > 0, total, 1.0))
    if np.max(last, initial=0.0) < NEGLIGIBLE:
        return np.zeros(1), np.zeros(1)
    worst = np.argsort(-last)[: SAMPLED // 2]
    chosen = np.resize(np.append(worst, np.linspace(0, count - 1, SAMPLED - len(worst)).astype(int)), SAMPLED)
    omega = branch.parameter[chosen]
    return np.nan_to_num(np.asarray(of_each(branch.driven, branch.b[chosen], omega))), np.asarray(omega)


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


def _course_of(branch: OrbitBranch) -> Course:
    """The course that a branch was read off, by numpy, as most branches are found to be all."""
    b = np.asarray(branch.b)
    X = b if branch.model.basis.odd else b[:, :, 1:]
    waves = np.stack([np.real(X), -np.imag(X)], axis=-1).reshape(*b.shape[:2], -1)
    y = waves if branch.model.basis.odd else np.concatenate([np.real(b[:, :, :1]), waves], axis=2)
    return Course(jnp.asarray(y.reshape(len(b), -1)), branch.parameter, branch.slope, branch.piece, branch.count)


_jitted_course, _told = compiled(_course), compiled(Told.of)
