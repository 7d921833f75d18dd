"""Coupled-mode coefficients from scattering data.

What S identifies are poles, rank-one residues and the direct path. D and K separately, and the scale |d|/|k|, are a
gauge unless stored energies were measured too. Errors are therefore given for the former, by the delta method.

The work is done on the host in numpy: problems are small and dense, their shapes many, and nothing is compiled.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from diffnr.checks import as_count, as_flag, require, require_double, require_instance, require_known
from diffnr.data import FieldData, noise_estimate, passivity, reciprocity, rounding_step
from diffnr.results import raise_failures
from optimize.least_squares import parameter_covariance
from optimize.mode_fit.coefficients import coefficient_slopes, coefficients_of
from optimize.mode_fit.device import device_of, spread_of
from optimize.mode_fit.form import Form, from_pairs
from optimize.mode_fit.passivity import ALLOWED, largest_gain
from optimize.mode_fit.problem import FittedForm, Problem, best_fit, made_passive, settled, starts, tried, with_energy
from optimize.mode_fit.response import as_response
from optimize.mode_fit.result import ModeFit, judge_residual
from optimize.mode_fit.vector_fitting import Weights

Host = Any
DIGITS = 1e-12  # of the largest S: what double precision leaves of it after some arithmetic


def fit_modes(
    data: Any,
    modes: Any,
    *,
    delay: Any = None,
    background: Any = None,
    passive: Any = None,
    reciprocal: Any = False,
    max_steps: Any = 200,
    throw: Any = False,
) -> ModeFit:
    """Fit the coupled-mode coefficients of `modes` resonances to scattering data. No start values are needed.

        S(ω) = P(ω) [C(ω) + D (i(ω − Ω) + Γ)⁻¹ K(ω)ᵀ] P(ω),      P = diag e^{−i(ω − ω_centre)τ}

    **Arguments:**

    - `data`: a `FieldData`, of all entries of S or of some; its stored energies are used where it has them, and its
      `sigma` where given. Without σ each entry of S is weighted by its misfit, but never so little that it is given up.
    - `modes`: N ≥ 1, how many resonances.
    - `delay`: fit a delay τ per port (reference planes away from the device). Default: only for measurements.
    - `background`: order of the polynomial by which the direct path varies over the band; 0 is a constant C. Default: 2
      for measurements, 0 otherwise.
    - `passive`: whether the response must be passive, everywhere in the band. Default: unless the data are not.
    - `reciprocal`: demand S = Sᵀ. S_oi and S_io are then one entry that was measured twice, there are fewer unknowns,
      and entries that were not measured follow from the others where they can. Data that are not reciprocal are missed,
      and the fit says so.
    - `max_steps`: of the Levenberg–Marquardt iteration.
    - `throw`: raise where that did not converge. By default the best that was met is returned in any case, and
      `converged` and `message` say how it ended.

    **Returns:** a `ModeFit`: `.model`, `.coefficients` and `.stderr`, `.covariance`, `.report()`, `.plot()`,
    `.predict(omega)`, and in `.concerns` what speaks against it.

    **Raises:** `ValueError` for too few points or numbers of single precision;
    `RuntimeError` with the message if `throw` and the fit did not converge.

    Usage: `fit_modes(read_touchstone("device.s2p"), modes=2).report()`.

    **Notes:** resonances should lie in the band and span several points. Gain is never forced away: data that are not
    passive are reported and fitted without the constraint.

    Source: paper 3, equations 1–5 and section 5 (hidden ports).
    """
    require_instance(data, "data", FieldData, "be a diffnr.FieldData")
    require_known(data, "data", "hold numbers")
    require_double("data", data.s)
    require_double("data", data.omega)
    modes, max_steps, throw = as_count(modes, "modes"), as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    delay = data.measured if delay is None else as_flag(delay, "delay")
    order = 2 * int(data.measured) if background is None else as_count(background, "background", least=0)
    passive = None if passive is None else as_flag(passive, "passive")
    symmetric = as_flag(reciprocal, "reciprocal")
    fitted = _folded(data) if symmetric else data
    _require_points(fitted, modes, order, delay, symmetric)

    bounded = passivity(data)
    passive = bounded.passive is not False if passive is None else passive
    ends = np.asarray(data.omega)[[0, -1]]
    centre, half = float(np.sum(ends)) / 2, float(ends[1] - ends[0]) / 2
    noise = noise_of(data)
    whole = problem_of(data, noise, centre, half)
    problem = problem_of(fitted, noise_of(fitted), centre, half)._replace(symmetric=True) if symmetric else whole
    candidates = starts(problem, data.num_ports, modes, order, delay)
    found = best_fit(problem._replace(energy=None), candidates, max_steps)
    if data.energy is not None:
        problem = found.problem._replace(energy=problem.energy)
        found = settled(problem, with_energy(problem, found.response), max_steps)
    if passive:
        found = made_passive(found, max_steps)

    problem, response, end = found
    bounded_response = passive and largest_gain(response) <= 1 + 2 * ALLOWED
    model, scale = device_of(response, centre, half, passive=bounded_response and data.energy is None)
    _, J = problem.linearised(response)
    covariance, rank = parameter_covariance(J.T, coefficient_slopes(response, half, energy=data.energy is not None))
    residual = np.full(data.s.shape, np.nan, complex)
    residual[:, whole.out, whole.into] = whole.missed(response)
    sigma = whole.reweighed(response).sigma if symmetric else problem.sigma
    digits = 3 * DIGITS * float(np.nanmax(np.abs(data.s)))
    verdict = judge_residual(residual, noise, sigma, rank, sigma_known=problem.known, exact=digits)
    doubtful = not verdict.noise_like or _grows(response)
    conjugated = doubtful and _conjugate_is_better(found, data, modes, order, delay)
    covariance = covariance * verdict.inflation
    coefficients = coefficients_of(response, centre, half, energy=data.energy is not None)
    fit = ModeFit(
        model=model,
        coefficients=coefficients, stderr=coefficients.unflatten(np.sqrt(np.diagonal(covariance))),
        covariance=jnp.asarray(covariance), rank=rank,
        response=as_response(response), spread=jnp.asarray(spread_of(J, verdict.inflation)),
        centre=jnp.asarray(centre), half_band=jnp.asarray(half),
        data=data, residual=jnp.asarray(residual), noise=jnp.asarray(noise),
        verdict=verdict, reciprocity=reciprocity(data), passivity=bounded,
        result=end.result, steps=jnp.asarray(end.steps), conjugated=conjugated,
        bounded=bounded_response, model_scale=scale,
    )  # fmt: skip
    return raise_failures(fit, fit.result) if throw else fit


def _require_points(data: FieldData, modes: int, order: int, delay: bool, symmetric: bool) -> None:
    entries = int(np.sum(np.asarray(data.entries)))
    couplings = (2 if symmetric else 4) * data.num_ports * modes
    unknowns = 2 * (order + 1) * entries + couplings + data.num_ports * delay
    numbers = 2 * data.num_points * entries
    require(
        numbers > unknowns and data.num_points > 2 * modes + order + 1,
        "data",
        f"have more points for {modes} modes ({unknowns} unknowns, and 2 points a mode)",
        f"{data.num_points} points ({numbers} real numbers)",
    )


def _folded(data: FieldData) -> FieldData:
    """Entries on and below the diagonal alone, the others taken for second measurements of them: means, weighted by σ
    where it is given."""
    s, given = np.asarray(data.s), data.deviation
    weight = np.where(np.isnan(s), 0.0, 1.0 if given is None else np.asarray(given) ** -2.0)
    s, twice = np.where(np.isnan(s), 0.0, s), weight + weight.swapaxes(1, 2)
    below = np.tril(np.ones(s.shape[1:], bool)) & (twice > 0).all(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weight * s + (weight * s).swapaxes(1, 2)) / twice
        own = np.where(np.eye(s.shape[1], dtype=bool), weight, twice) ** -0.5
    sigma = None if given is None else np.where(below, own, np.nan)
    parts: Any = (np.where(below, mean, np.nan), data.energy, sigma, data.sigma_energy)
    return FieldData(data.omega, *parts, measured=data.measured, name=data.name)


def noise_of(data: FieldData) -> Host:
    """The standard deviation [f, out, in] of real and imaginary parts: as given, else estimated, and at least what the
    digits of the numbers leave; NaN where it is not known."""
    least = _digits(data)
    if data.deviation is not None:
        noise = np.asarray(data.deviation)
    elif data.num_points > 16:
        noise = noise_estimate(data)
    else:
        noise = np.full(least.shape, np.nan)
    return np.broadcast_to(np.maximum(noise, least), data.s.shape)


def _digits(data: FieldData) -> Host:
    """What the digits of the numbers leave [out, in], as a standard deviation."""
    return np.maximum(rounding_step(data) / np.sqrt(12), DIGITS * float(np.nanmax(np.abs(data.s))))


def problem_of(data: FieldData, noise: Host, centre: float, half: float) -> Problem:
    x, known = (np.asarray(data.omega) - centre) / half, data.deviation is not None
    out, into = np.nonzero(np.asarray(data.entries))
    s = np.asarray(data.s)[:, out, into]
    if known:
        sigma = np.asarray(data.deviation)[:, out, into]
        typical = np.sqrt(np.mean(sigma**2, axis=0))
        weights = Weights(typical, typical)
    else:
        least = _digits(data)[out, into]
        weights = Weights.unknown(s, least, noise[0, out, into])
        sigma = np.broadcast_to(weights.most, s.shape)
    level = np.sqrt(np.mean(noise[:, out, into] ** 2, axis=0))
    if data.energy is None:
        return Problem(x, s, out, into, sigma, weights, level, known)
    energy, given = np.asarray(data.energy), data.deviation_energy
    deviation = np.full_like(energy, 0.01 * np.max(energy)) if given is None else np.asarray(given)
    return Problem(x, s, out, into, sigma, weights, level, known, energy * half, deviation * half)


def _grows(form: Form) -> bool:
    return bool(np.any(np.linalg.eigvals(from_pairs(form.A)).real > 0))


def _conjugate_is_better(found: FittedForm, data: FieldData, modes: int, order: int, delay: bool) -> bool:
    """Whether conj(S) leaves less than a third of the misfit (the geometric mean over entries), or as little by modes
    that do not grow where those of S do."""
    mirrored = found.problem._replace(s=found.problem.s.conj(), energy=None)
    other = tried(mirrored, starts(mirrored, data.num_ports, modes, order, delay)[0])[1]
    theirs, ours = (
        np.maximum(problem.misfit(form), problem.weights.least)
        for problem, form in ((mirrored, other), (found.problem, found.response))
    )
    change = float(np.exp(np.mean(np.log(theirs / ours))))
    return change < 1 / 3 or (change < 1.5 and _grows(found.response) and not _grows(other))
