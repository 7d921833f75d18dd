"""What the fits of one set of data have in common: the noise, the problem, and how any number of modes is judged."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diffnr.data import FEWEST, FieldData, PowerData, mean_noise, numbers_of, rounding_step
from optimize.least_squares import parameter_covariance
from optimize.mode_fit.choice import Candidate, ModeChoice, choose
from optimize.mode_fit.coefficients import ModeCoefficients, coefficient_slopes, coefficients_of
from optimize.mode_fit.form import Form, from_pairs
from optimize.mode_fit.negative_frequencies import Images, mirrored
from optimize.mode_fit.planes import FlatPlanes, entries_of
from optimize.mode_fit.problem import FittedForm, Problem, best_fit, most_likely, settled, starts, tried, with_energy
from optimize.mode_fit.result import judge_residual
from optimize.mode_fit.vector_fitting import Weights
from optimize.verdict import ResidualVerdict

Host = Any
DIGITS = 1e-12  # of the largest S: what double precision leaves of it after some arithmetic
MOST_CORRELATED = 0.98  # neighbouring residuals, as far as it counts


class Judged(NamedTuple):
    """A response's coefficients with their errors, and what it leaves of the data [f, out, in]."""

    coefficients: ModeCoefficients
    stderr: ModeCoefficients
    covariance: Host
    rank: int
    residual: Host
    verdict: ResidualVerdict
    jacobian: Host
    planes: FlatPlanes
    slopes: Host  # of the parameters of the form at these planes


class Setting(NamedTuple):
    """What the fits of all numbers of modes have in common."""

    data: FieldData
    scatter: Host  # [out, in], on which the data's verdicts rest
    noise: Host
    problem: Problem  # which is fitted
    whole: Problem  # all entries, also those that a symmetric response takes for others measured twice
    centre: float
    half: float
    order: int
    delay: bool
    max_steps: int
    images: Images | None = None  # of poles at negative frequencies, if there can be any

    @classmethod
    def of(
        cls, data: FieldData, fitted: FieldData, order: int, delay: bool, max_steps: int, symmetric: bool
    ) -> Setting:
        """Those of `data`, of which `fitted` are described."""
        ends = np.asarray(data.omega)[[0, -1]]
        centre, half = float(np.sum(ends)) / 2, float(ends[1] - ends[0]) / 2
        scatter = mean_noise(data)
        noise = noise_levels(data, scatter)
        problem = whole = problem_of(data, noise, centre, half)
        if symmetric:
            problem = problem_of(fitted, noise_levels(fitted), centre, half)._replace(symmetric=True)
        images = Images.of(data, centre, half)
        return cls(data, scatter, noise, problem, whole, centre, half, order, delay, max_steps, images)

    def starts(self, problem: Problem, modes: int) -> list[Form]:
        return starts(problem, self.data.num_ports, modes, self.order, self.delay)

    def fitted(self, candidates: list[Form]) -> FittedForm:
        problem = self.problem
        found = best_fit(problem._replace(energy=None), candidates, self.max_steps)
        if problem.energy is None:
            return found
        problem = found.problem._replace(energy=problem.energy)
        return settled(problem, with_energy(problem, found.response), self.max_steps)

    def imaged(self, found: FittedForm) -> tuple[FittedForm, float | None, float]:
        """What is found with images of poles at negative frequencies, or without, whichever the data prefer; by how
        much images lower −2 log L, None where they can have no effect; and by how much of its error a pole moves."""
        problem, response, _ = found
        images = self.images
        if images is None or not images.matter(problem, response):
            return found, None, 0.0
        mirror = images.mirror if response.mirror is None else None
        other = settled(problem, mirrored(problem, response, mirror), self.max_steps)
        both = (found, other) if response.mirror is None else (other, found)
        judged = [self.judged(one.problem, one.response) for one in both]
        deviances = [one.problem.deviance(one.response) for one in both]
        closest = judged[int(np.argmin(deviances))]
        correlation = _correlation(closest.verdict)
        better = (1 - correlation) / (1 + correlation) * (deviances[0] - deviances[1])
        poles = [np.concatenate([one.coefficients.omega, one.coefficients.gamma]) for one in judged]
        errors = np.concatenate([closest.stderr.omega, closest.stderr.gamma])
        with np.errstate(invalid="ignore", divide="ignore"):
            shifts = np.abs(poles[1] - poles[0]) / errors
        shift = float(np.max(shifts, initial=0.0, where=np.isfinite(shifts)))
        return both[images.preferred(better)], better, shift

    def judged(self, problem: Problem, response: Form) -> Judged:
        energy = problem.energy is not None
        _, J = problem.linearised(response)
        planes = FlatPlanes.of(response, entries_of(self.data))
        flat, slopes = planes.form(), planes.slopes()
        follows = coefficient_slopes(flat, self.half, energy=energy) @ slopes
        covariance, rank = parameter_covariance(J.T, follows)
        idle = ~np.any(follows, axis=1)  # a product of two couplings that are 0, as no entry tells them
        covariance[idle] = covariance[:, idle] = np.nan
        residual = np.full(self.data.s.shape, np.nan, complex)
        whole = self.whole
        residual[:, whole.out, whole.into] = whole.missed(response)
        sigma = whole.reweighed(response).sigma if problem.symmetric else problem.sigma
        digits = 3 * DIGITS * float(np.nanmax(np.abs(self.data.s)))
        verdict = judge_residual(residual, self.noise, sigma, rank, sigma_known=problem.known, exact=digits)
        covariance = covariance * verdict.inflation
        coefficients = coefficients_of(flat, self.centre, self.half, energy=energy)
        modes = np.arange(len(response.A))  # ω comes first, and is rounded itself
        covariance[modes, modes] += np.spacing(np.abs(np.asarray(coefficients.omega))) ** 2 / 12
        stderr = coefficients.unflatten(np.sqrt(np.diagonal(covariance)))
        return Judged(coefficients, stderr, covariance, rank, residual, verdict, J, planes, slopes)

    def candidate(
        self, modes: int, *, restarts: int, start: Form | None = None, mirror: float | None = None
    ) -> Candidate:
        """What some steps of a fit say of a number of modes."""
        problem = self.problem._replace(energy=None)
        candidates = [*([] if start is None else [start]), *self.starts(problem, modes)]
        candidates = [mirrored(problem, form, mirror) for form in candidates]
        response = most_likely(problem, candidates, restarts=restarts)
        problem, numbers = problem.reweighed(response), 2 * problem.s.size
        judged, misfit = self.judged(problem, response), problem.misfit(response)
        verdict = judged.verdict
        least = 0.0 if problem.known else 2 * len(problem.x) * problem.weights.cost(problem.weights.least)
        return Candidate(
            data=self.data,
            coefficients=judged.coefficients,
            stderr=judged.stderr,
            unknowns=judged.rank,
            rms=float(np.sqrt(2 * np.mean(misfit**2))),
            deviance=problem.deviance(response),
            least=least,
            numbers=numbers,
            correlation=_correlation(verdict),
            noise_like=verdict.noise_like,
            response=response,
            imaged=self.images is not None and self.images.matter(problem, response),
        )


def _correlation(verdict: ResidualVerdict) -> float:
    """Of neighbouring residuals, as far as it counts."""
    return 0.0 if verdict.noise_like else min(max(verdict.autocorrelation, 0.0), MOST_CORRELATED)


def chosen_modes(setting: Setting, most: int) -> tuple[Form, ModeChoice]:
    """What `choose` chooses.

    **Raises:** `ValueError` where the data show no resonance, which says so where conj(S) does.
    """
    try:
        return choose(setting.candidate, most, setting.images)
    except ValueError as refused:
        problem, whole = (each._replace(s=each.s.conj()) for each in (setting.problem, setting.whole))
        turned = setting._replace(data=setting.data.conjugated(), problem=problem, whole=whole)
        try:
            shown = choose(turned.candidate, most, turned.images)[1].chosen
        except ValueError:
            raise refused from None
        modes = f"{shown} mode{'s' * (shown > 1)}"
        raise ValueError(
            f"Argument data must show a resonance in their band, but only conj(S) does ({modes}): the data seem to be "
            "of phasors e^{−iωt}. Fit data.conjugated() instead."
        ) from refused


def folded(data: FieldData) -> FieldData:
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


def noise_levels(data: FieldData | PowerData, scatter: Host = None) -> Host:
    """The standard deviation [f, out, in] of real and imaginary parts, or of powers: as given, else estimated, and at
    least what the digits of the numbers leave; NaN where it is not known. `scatter`: `mean_noise`, if known already."""
    least = _digits(data)
    if data.deviation is not None:
        noise = np.asarray(data.deviation)
    elif data.num_points >= FEWEST:
        noise = mean_noise(data) if scatter is None else scatter
    else:
        noise = np.full(least.shape, np.nan)
    return np.broadcast_to(np.maximum(noise, least), (data.num_points, *least.shape))


def _digits(data: FieldData | PowerData) -> Host:
    """What the digits of the numbers leave [out, in], as a standard deviation."""
    return np.maximum(rounding_step(data) / np.sqrt(12), DIGITS * float(np.nanmax(np.abs(numbers_of(data)))))


def problem_of(data: FieldData, noise: Host, centre: float, half: float) -> Problem:
    """The data over the scaled frequency, with the weights that σ, or noise and digits, allow."""
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


def grows(form: Form) -> bool:
    """Whether a mode grows in time."""
    return bool(np.any(np.linalg.eigvals(from_pairs(form.A)).real > 0))


def conjugate_is_better(setting: Setting, found: FittedForm) -> bool:
    """Whether conj(S) leaves less than a third of the misfit (the geometric mean over entries), or as little by modes
    that do not grow where those of S do."""
    turned = found.problem._replace(s=found.problem.s.conj(), energy=None)
    start = setting.starts(turned, len(found.response.A))[0]
    other = tried(turned, mirrored(turned, start, found.response.mirror))[1]
    theirs, ours = (
        np.maximum(problem.misfit(form), problem.weights.least)
        for problem, form in ((turned, other), (found.problem, found.response))
    )
    change = float(np.exp(np.mean(np.log(theirs / ours))))
    return change < 1 / 3 or (change < 1.5 and grows(found.response) and not grows(other))
