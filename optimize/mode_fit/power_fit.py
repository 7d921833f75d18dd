"""Resonances of power spectra: |S|² without phase."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from diffnr.data import PowerData, passivity, reciprocity
from optimize.least_squares import parameter_covariance
from optimize.mode_fit.choice import Candidate, choose
from optimize.mode_fit.descent import DescentEnd
from optimize.mode_fit.power_form import ROUGH, SHORT, PowerForm, PowerProblem
from optimize.mode_fit.power_result import PowerCoefficients, PowerFit
from optimize.mode_fit.result import judge_residual
from optimize.mode_fit.setting import DIGITS, MOST_CORRELATED, noise_levels
from optimize.verdict import ResidualVerdict

Host = Any
ROUNDS = 5  # of fits, each with the σ of the one before


class JudgedPowers(NamedTuple):
    """Coefficients with their errors, the covariance of ω and γ, and what is left of the data [f, out, in]."""

    coefficients: PowerCoefficients
    stderr: PowerCoefficients
    covariance: Host
    rank: int
    residual: Host
    verdict: ResidualVerdict


class PowerSetting(NamedTuple):
    """What the fits of all numbers of modes to the powers of `data` have in common; `least` is round-off."""

    data: PowerData
    noise: Host
    problem: PowerProblem
    centre: float
    half: float
    known: bool
    least: float

    @classmethod
    def of(cls, data: PowerData, order: int) -> PowerSetting:
        ends = np.asarray(data.omega)[[0, -1]]
        centre, half = float(np.sum(ends)) / 2, float(ends[1] - ends[0]) / 2
        entries = np.asarray(data.entries)
        s = np.asarray(data.power)[:, entries]
        least, known = DIGITS * float(np.max(np.abs(s))), data.deviation is not None
        sigma = np.asarray(data.deviation)[:, entries] if known else np.broadcast_to(np.std(s, axis=0) + least, s.shape)
        problem = PowerProblem((np.asarray(data.omega) - centre) / half, s, sigma, order)
        return cls(data, noise_levels(data), problem, centre, half, known, least)

    def tried(self, modes: int, start: PowerForm | None = None) -> PowerForm:
        """The best form that some steps from each start lead to."""
        found = []
        for poles in [*([] if start is None else [start.poles]), *self.problem.starts(modes)]:
            form, end = self.problem.solved(poles, SHORT, ROUGH)
            found.append((float(end.r @ end.r), form))
        return self.settled(min(found, key=lambda pair: pair[0])[1], SHORT)[1]

    def settled(self, form: PowerForm, steps: int) -> tuple[PowerProblem, PowerForm, DescentEnd]:
        """The least squares near a form, with σ as given, or else as each entry's misfit has it."""
        weighed = self.problem if self.known else self.problem.reweighed(form, self.least)
        form, end = weighed.solved(form.poles, steps)
        for _ in range(0 if self.known else ROUNDS - 1):
            weighed = weighed.reweighed(form, self.least)
            form, end = weighed.solved(form.poles, steps)
        return weighed, form, end

    def judged(self, weighed: PowerProblem, form: PowerForm) -> JudgedPowers:
        J = weighed.whole(form)
        covariance, rank = parameter_covariance(J, np.eye(J.shape[1]))
        residual = np.full(self.data.power.shape, np.nan)
        residual[:, np.asarray(self.data.entries)] = form.powers(weighed.x) - weighed.s
        verdict = judge_residual(
            residual, self.noise, weighed.sigma, rank, sigma_known=self.known, exact=3 * self.least
        )
        covariance = covariance * verdict.inflation
        n, half = len(form.poles), self.half
        errors = np.sqrt(np.diagonal(covariance))
        signs = half * np.repeat([1.0, -1.0], n)
        return JudgedPowers(
            self._coefficients(
                self.centre + half * form.poles.imag, -half * form.poles.real, form.background, form.residues
            ),
            self._coefficients(half * errors[:n], half * errors[n : 2 * n], *self._linear(errors[2 * n :], n)),
            covariance[: 2 * n, : 2 * n] * signs * signs[:, None],
            rank,
            residual,
            verdict,
        )

    def candidate(self, modes: int, *, restarts: int, start: Any = None) -> Candidate:
        """What some steps of a fit say of a number of modes."""
        del restarts  # there are no delays to be missed
        weighed, form, _ = self.settled(self.tried(modes, start), SHORT)
        judged = self.judged(weighed, form)
        s, verdict = weighed.s, judged.verdict
        missed = form.powers(weighed.x) - s
        misfit = np.sqrt(np.mean(missed**2, axis=0))
        if self.known:
            deviance, least = float(np.sum((missed / weighed.sigma) ** 2)), 0.0
        else:
            floor = np.maximum(misfit, self.least), np.full_like(misfit, self.least)
            deviance, least = (float(2 * len(s) * np.sum(np.log(each))) for each in floor)
        return Candidate(
            data=self.data,
            coefficients=judged.coefficients,
            stderr=judged.stderr,
            unknowns=judged.rank,
            rms=float(np.sqrt(np.mean(misfit**2))),
            deviance=deviance,
            least=least,
            numbers=s.size,
            correlation=0.0 if verdict.noise_like else min(max(verdict.autocorrelation, 0.0), MOST_CORRELATED),
            noise_like=verdict.noise_like,
            response=form,
        )

    def _linear(self, errors: Host, modes: int) -> tuple[Host, Host]:
        """Background and residues of each entry, from the numbers of one entry after the other."""
        parts, size = errors.reshape(self.problem.s.shape[1], -1).T, self.problem.order + 1
        return parts[:size], parts[size : size + modes] + 1j * parts[size + modes :]

    def _coefficients(self, omega: Host, gamma: Host, background: Host, residues: Host) -> PowerCoefficients:
        ports, entries = self.data.num_ports, np.asarray(self.data.entries)
        whole = np.full((len(background), ports, ports), np.nan)
        own = np.full((len(residues), ports, ports), np.nan + 0j)
        whole[:, entries], own[:, entries] = background, self.half * residues
        return PowerCoefficients(*map(jnp.asarray, (omega, gamma, own, whole)))


def fit_powers(data: PowerData, modes: int | str, order: int, most: int, max_steps: int) -> PowerFit:
    """The resonances of powers; see `PowerFit`."""
    setting, choice = PowerSetting.of(data, order), None
    if modes == "auto":
        form, choice = choose(setting.candidate, most)
    else:
        form = setting.tried(int(modes))
    weighed, form, end = setting.settled(form, max_steps)
    rising = np.argsort(form.poles.imag)
    form = PowerForm(form.poles[rising], form.background, form.residues[rising])
    judged = setting.judged(weighed, form)
    return PowerFit(
        coefficients=judged.coefficients, stderr=judged.stderr, covariance=jnp.asarray(judged.covariance),
        centre=jnp.asarray(setting.centre), half_band=jnp.asarray(setting.half), data=data,
        residual=jnp.asarray(judged.residual), noise=jnp.asarray(setting.noise),
        verdict=judged.verdict, reciprocity=reciprocity(data), passivity=passivity(data), choice=choice,
        rank=judged.rank, result=end.result, steps=jnp.asarray(end.steps),
    )  # fmt: skip
