"""`fit_oscillators`: coupled nonlinear oscillators from measured sweeps, up and down, of their amplitudes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from diffnr.checks import Count, as_count, as_flag, as_key, require, require_double
from diffnr.frequency_sweep import FrequencySweep
from diffnr.results import RESULTS, raise_failures
from optimize.least_squares import parameter_covariance
from optimize.sweep_fit.oscillators import Nearest, SweptOscillators, folds, nearest
from optimize.sweep_fit.result import Jumps, OscillatorFit
from optimize.sweep_fit.search import Descent, descend, search
from optimize.sweep_fit.table import SweepTable
from optimize.transforms import Parametrisation
from optimize.verdict import ResidualVerdict, judge

REWEIGHTED = 3  # fits in which the jumps count, each with the misfit of the one before


def fit_oscillators(
    sweeps: FrequencySweep | Sequence[FrequencySweep],
    *,
    order: Count = 3,
    num_harmonics: Count = 3,
    starts: Count | None = None,
    key: PRNGKeyArray | None = None,
    max_steps: Count = 64,
    throw: bool = False,
) -> OscillatorFit:
    """Fit a chain of nonlinear oscillators to sweeps that follow different branches and jump where these end:

        x_j'' + 2δ_j x_j' + ω_j² x_j + γ_j x_j³ + k (x_j − x_{j±1}) = F_j cos ωt

    Every measured point is compared with the point of the model's branch nearest to it, in (ω, A_1, …, A_n), so that
    it stays on its part of the branch and nothing diverges at folds (see `nearest`); and every jump with the fold in
    which the part it leaves comes to its end. No start values are needed: they come from a search with the stiffness
    that the measured amplitudes make, where the problem is linear and without branches.

    **Arguments:**

    - `sweeps`: one or more `Sweep`s of the same oscillators; those up and down, at several levels.
    - `order`: the highest power of the restoring forces: 3 (default), 5 or 7, odd ones alone.
    - `num_harmonics`: the highest harmonic of orbits (default 3, good to a part in 1e4 of usual amplitudes).
    - `starts`: of the search, the best of 128 times as many (default 16 for one oscillator, 64 for more); `key`: its
      PRNG key.
    - `max_steps`: of each of the fits that follow.
    - `throw`: raise where the last fit did not converge; by default the best that was found is returned, and its
      `result` and `report()` say so.

    **Returns:** an `OscillatorFit`: parameters in the units of the data with standard errors, the model, jumps.

    **Raises:** `ValueError` for sweeps of different oscillators, too few points, an order that is not 3, 5 or 7,
    float32; `RuntimeError` if no start leads anywhere, or if `throw` and the fit does not converge.

    Validity: near a jump a real system leaves its branch early, by noise; the fold may lie a step beyond. Where the
    residual is not noise, neighbouring points count as the fewer independent ones they are, beside the jumps and in the
    standard errors. More than two oscillators: the same, with more `starts`.

    Good values: 50 to 100 points in each direction, from the foot of a resonance to beyond its jump. Noise of .3 % of
    the largest amplitude then leaves the linear frequency known to 4 parts in 1e5, damping and cubic to 4 and 2 in 1e3.
    """
    sweeps = _as_sweeps(sweeps)
    order, num_harmonics = as_count(order, "order"), as_count(num_harmonics, "num_harmonics")
    require(order in (3, 5, 7), "order", "be 3, 5 or 7", order)
    starts = None if starts is None else as_count(starts, "starts")
    max_steps, throw = as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    key = None if key is None else as_key(key)
    _check(sweeps, order)
    table = SweepTable.of(sweeps)
    u, parametrisation = search(table, order, starts, key)
    known = sweeps[0].sigma is not None
    lengths = [s.omega.size for s in sweeps]

    def look(u: np.ndarray) -> _Look:
        return jax.tree_util.tree_map(np.asarray, _look(jnp.asarray(u), parametrisation, table, num_harmonics))

    points = _Weights(1.0, np.zeros(table.before.size))
    end = descend(lambda u: points.apply(look(u[0]), table), u[None], max_steps)
    steps = end.steps
    for _ in range(REWEIGHTED):
        seen = look(end.u[0])
        weights = _Weights(np.sqrt(_verdict(seen, lengths, known).inflation), seen.fold_found.astype(float))
        end = descend(lambda u, w=weights: w.apply(look(u[0]), table), end.u, max_steps)
        steps += end.steps
    found = _result(sweeps, table, parametrisation, end._replace(steps=steps), look(end.u[0]), num_harmonics)
    return raise_failures(found, found.result) if throw else found


def _result(
    sweeps: tuple[FrequencySweep, ...],
    table: SweepTable,
    parametrisation: Parametrisation,
    end: Descent,
    seen: _Look,
    num_harmonics: int,
) -> OscillatorFit:
    """The fit in the units of the data."""
    u = jnp.asarray(end.u[0])
    verdict = _verdict(seen, [s.omega.size for s in sweeps], sweeps[0].sigma is not None)
    _, jacobian = _Weights(np.sqrt(verdict.inflation), seen.fold_found.astype(float)).apply(seen, table)

    oscillators, by = _in_units_of_the_data(u, parametrisation, table)
    flat, unflatten = ravel_pytree(oscillators)
    rate = float(table.rate)
    covariance, _ = parameter_covariance(jacobian[0], np.concatenate([np.asarray(by), rate * seen.fold_by]))
    errors = np.sqrt(np.diagonal(covariance))
    q = flat.size
    jumps = Jumps(
        measured=np.concatenate([s.jumps for s in sweeps]),
        fitted=np.where(seen.fold_found, rate * seen.fold, np.nan),
        stderr=np.where(seen.fold_found, errors[q:], np.nan),
        sweep=tuple(i for i, s in enumerate(sweeps) for _ in s.jump_after),
    )
    return OscillatorFit(
        oscillators=oscillators,
        stderr=unflatten(jnp.asarray(errors[:q])),
        covariance=covariance[:q, :q],
        model=oscillators.chain(num_harmonics),
        jumps=jumps,
        residual=np.asarray(seen.difference[:, 1:] * table.sigma * table.unit),
        verdict=verdict,
        sweeps=sweeps,
        table=table,
        nearest=seen.at,
        result=RESULTS.where(bool(end.converged[0]), RESULTS.successful, RESULTS.max_steps_reached),
        steps=end.steps,
    )


@eqx.filter_jit
def _in_units_of_the_data(
    u: Array, parametrisation: Parametrisation, table: SweepTable
) -> tuple[SweptOscillators, Float[Array, "q p"]]:
    """The oscillators that u stands for, and the derivative of their numbers by u."""

    def values(u: Array) -> tuple[Array, SweptOscillators]:
        oscillators = parametrisation.build(u).rescaled(table.rate, table.unit, table.top)
        return ravel_pytree(oscillators)[0], oscillators

    by, oscillators = jax.jacfwd(values, has_aux=True)(u)
    return oscillators, by


def _verdict(seen: _Look, lengths: list[int], known: bool) -> ResidualVerdict:
    """By √inflation the σ of amplitudes are to be multiplied, for points to count as the evidence they are."""
    difference = seen.difference
    points, columns = difference.shape
    count, p = points * (columns - 1), seen.fold_by.shape[-1]  # the foot on the branch takes one number a point
    total = np.sum(difference**2)
    chi2 = float(total) / max(count - p, 1)
    runs = np.split(difference, np.cumsum(lengths)[:-1])
    return judge(
        chi2,
        float(sum(np.sum(run[1:] * run[:-1]) for run in runs) / max(total, np.finfo(float).tiny)),
        count,
        p,
        noise="given" if known else "unknown",
        weighted=chi2,
        taken_out=np.inf,
        counted=0.98,
        least_independent=0,
        otherwise=lambda independent, _: (
            f": the model is incomplete, and the {count} amplitudes count as {independent:.0f} independent ones, in "
            "standard errors and beside the jumps."
        ),
    )


class _Look(NamedTuple):
    """The problem at u: differences [d, 1 + n] in units of σ and the folds of the jumps [jump], each with its Jacobian;
    which folds were found; the nearest points."""

    difference: Any
    difference_by: Any
    fold: Any
    fold_by: Any
    fold_found: Any
    at: Nearest


@eqx.filter_jit
def _look(u: Array, parametrisation: Parametrisation, table: SweepTable, num_harmonics: int) -> _Look:
    def parts(u: Array) -> tuple[tuple[Array, Array], tuple[Array, Nearest]]:
        oscillators = parametrisation.build(u)
        at = nearest(oscillators, table, num_harmonics)
        fold, found = folds(oscillators, table, at, num_harmonics)
        return (at.difference, fold), (found, at)

    (difference, fold), push, (found, at) = jax.linearize(parts, u, has_aux=True)
    by = jax.vmap(push, out_axes=-1)(jnp.eye(u.size))
    return _Look(difference, by[0], fold, by[1], found, at)


class _Weights(NamedTuple):
    """`spread`: what the σ of amplitudes are multiplied by; `active` [jump]: 1 for the jumps that count."""

    spread: float
    active: Any

    def apply(self, look: _Look, table: SweepTable) -> tuple[np.ndarray, np.ndarray]:
        """All residuals and their Jacobian, as a batch of one."""
        p = look.fold_by.shape[-1]
        # A jump may have come anywhere between two points: a uniform distribution.
        weight = self.active * 12**0.5 / np.asarray(table.width)
        r = [look.difference.ravel() / self.spread, weight * (look.fold - np.asarray(table.middle))]
        by = [look.difference_by.reshape(-1, p) / self.spread, weight[:, None] * look.fold_by]
        return np.concatenate(r)[None], np.concatenate(by)[None]


def _as_sweeps(value: Any) -> tuple[FrequencySweep, ...]:
    sweeps = (value,) if isinstance(value, FrequencySweep) else value
    listed = isinstance(sweeps, (tuple, list)) and all(isinstance(s, FrequencySweep) for s in sweeps)
    require(listed, "sweeps", "be a FrequencySweep, or a list of them", value)
    require(len(sweeps) > 0, "sweeps", "hold at least one sweep", sweeps)
    return tuple(sweeps)


def _check(sweeps: tuple[FrequencySweep, ...], order: int) -> None:
    numbers = sorted({s.num_oscillators for s in sweeps})
    require(len(numbers) == 1, "sweeps", "be of the same oscillators", f"of {numbers} of them")
    given = {s.sigma is not None for s in sweeps}
    require(len(given) == 1, "sweeps", "all have a sigma, or none", "mixed")
    points, n = sum(s.omega.size for s in sweeps), numbers[0]
    parameters = n * (3 + order // 2) + 2 * (n - 1)
    require(points * n > parameters, "sweeps", f"have more numbers than {parameters} parameters", f"{points * n}")
    require_double("sweeps", sweeps[0].omega)
