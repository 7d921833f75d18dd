"""Two coupled resonators, each behind a port of its own, from scattering data: named coefficients with errors."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy import stats

from diffnr.checks import as_count, as_flag, require, require_instance, require_known
from diffnr.data import FieldData, entry_name
from diffnr.results import raise_failures
from optimize.least_squares import parameter_covariance
from optimize.mode_fit.device import device_of
from optimize.mode_fit.fit_modes import fit_modes
from optimize.mode_fit.problem import SHORT, FittedForm, Problem, settled
from optimize.mode_fit.resonator_fit import ResonatorFit
from optimize.mode_fit.resonator_form import ResonatorForm
from optimize.mode_fit.response import as_response, form_of
from optimize.mode_fit.result import ModeFit, judge_residual
from optimize.mode_fit.setting import DIGITS, problem_of

Host = Any
MOST = 2  # the highest order of a background that is looked for
ASTRAY = 0.8  # of the misfit: where another start leaves less, the one with a background of lower order was no good
NUISANCE = 1e-10  # of the largest singular value: directions of the rest below are without effect


def fit_two_resonators(
    data: Any, *, delay: Any = None, background: Any = None, max_steps: Any = 200, throw: Any = False
) -> ResonatorFit:
    """Fit two coupled resonators, each behind a port of its own, to a two-port. No start values are needed.

        a₁' = (iω₁ − γ₁ − γ₁₀) a₁ + iκ₁₂ a₂ + d₁ s₁₊,      a₂' = (iω₂ − γ₂ − γ₂₀) a₂ + iκ₂₁ a₁ + d₂ s₂₊
        s_j₋ = Σ C_ji(ω) s_i₊ + d_j a_j,      d_j² = −2γ_j C_jj(ω_j) e^{iψ_j}

    and a delay at each port, as `fit_modes` has it. Of `tcmt.TwoResonators` (C = −1, ψ = 0) the coefficients are these,
    with κ₁₂ = κ₂₁ = κ. κ₁₂ is the rate from resonator 2 into 1, and shows in S12; κ₁₂ = κ₂₁* is coherent coupling.

    **Arguments:** `data`: a `FieldData` of two ports, with S11, S22 and S12 or S21; `delay`, `max_steps`,
    `throw`: as of `fit_modes`, whose fit the start values are taken from; `background`: the order of the direct path's
    polynomial. Default: for measurements 0, 1 or 2 by Akaike's criterion, else 0.

    **Returns:** a `ResonatorFit`: `.omega`, `.gamma`, `.gamma_0`, `.kappa12`, `.kappa21`, `.quantity("coupling_phase")`
    and others ± errors in Hz, `.report()`, `.predict(omega)`, `.concerns`.

    **Raises:** `ValueError` for other ports or entries that were not measured, and as `fit_modes`; `RuntimeError` with
    the message if `throw` and the fit did not converge.

    Usage: `fit_two_resonators(read_touchstone("device.s2p")).quantity("kappa")`.

    **Notes:** S identifies |κ₁₂κ₂₁| and arg κ₁₂κ₂₁: 0 of coherent, π of dissipative coupling. κ₂₁/κ₁₂, its modulus and
    phase, is that of S21/S12 if what joins ports and resonators is reciprocal; if not, S cannot tell one from the
    other. The common sign of both is not identified (a → −a of one resonator), and chosen. γ_j is measured against the
    reflection of port j beside the resonance, so that lossy lines in front of the ports count for nothing; no stored
    energies are used.

    Source: paper 1, equation 1; paper 3, equations 1–5 and section 5.
    """
    require_instance(data, "data", FieldData, "be a diffnr.FieldData")
    require_known(data, "data", "hold numbers")
    max_steps, throw = as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    require(data.num_ports == 2, "data", "be of two ports, one a resonator", f"of {data.num_ports}")
    order = None if background is None else as_count(background, "background", least=0)
    measured = np.asarray(data.entries)
    lacking = [entry_name(j, j, 2) for j in range(2) if not measured[j, j]]
    lacking = lacking or ([] if measured[0, 1] or measured[1, 0] else ["S12 and S21"])
    was = f"without {' and '.join(lacking)}"
    require(not lacking, "data", "hold S11, S22 and S12 or S21 (else κ is not identified)", was)
    options = {"delay": delay, "passive": False, "max_steps": max_steps}
    free = fit_modes(data, 2, background=0, **options)
    if order != 0 and data.measured and not free.complete:
        free = fit_modes(data, 2, background=order, **options)
    noise, centre, half = np.asarray(free.noise), float(free.centre), float(free.half_band)
    problem = problem_of(data, noise, centre, half)._replace(energy=None, sigma_energy=None)
    found = settled(problem, ResonatorForm.of(form_of(free.response), measured).straight(), max_steps)
    # The frame of a background that varies is that of one that does not.
    for more in () if order == 0 or not (order or data.measured) else (order,) if order else range(1, MOST + 1):
        curved = settled(problem, found.response.curved(more), max_steps)
        if order is None and _criterion(curved) >= _criterion(found):
            break
        found = curved
    if found.response.framed:
        free = fit_modes(data, 2, background=len(found.response.background) - 1, **options)
        found = _nearer(problem, found, ResonatorForm.of(form_of(free.response), measured), max_steps)
    problem, response, end = found
    response = response.signed()

    _, J = problem.linearised(response)
    _, rank = parameter_covariance(J.T, np.zeros((0, len(J))))
    residual = np.full(data.s.shape, np.nan, complex)
    residual[:, problem.out, problem.into] = problem.missed(response)
    digits = 3 * DIGITS * float(np.nanmax(np.abs(data.s)))
    verdict = judge_residual(residual, noise, problem.sigma, rank, sigma_known=problem.known, exact=digits)
    form = response.form()
    fit = ResonatorFit(
        coefficients=jnp.asarray(_coefficients(response, centre, half)),
        information=jnp.asarray(np.nan_to_num(_information(J, half) / np.sqrt(verdict.inflation))),
        skew=jnp.asarray(np.angle(np.exp(1j * response.skew))),
        rank=rank,
        contradiction=_contradiction(found, free, rank, digits),
        model=device_of(form, centre, half, passive=False)[0],
        response=as_response(form),
        modes=free,
        residual=jnp.asarray(residual),
        noise=jnp.asarray(noise),
        verdict=verdict,
        result=end.result,
        steps=jnp.asarray(end.steps),
    )
    return raise_failures(fit, fit.result) if throw else fit


def _criterion(found: FittedForm) -> float:
    """Akaike's: −2 log likelihood and twice the number of parameters of the background."""
    problem, response, _ = found
    if problem.known:
        cost = float(np.sum(problem.residual(response) ** 2))
    else:
        cost = problem.weights.cost(problem.misfit(response)) * 2 * len(problem.x)
    return cost + 4 * len(response.background) * len(problem.out)


def _nearer(problem: Problem, found: FittedForm, start: ResonatorForm, max_steps: int) -> FittedForm:
    """What is found from another start, in a frame of its own, if that is far better."""
    other = settled(problem, start.curved(len(start.background) - 1), SHORT)
    better = problem.misfit(other.response) / problem.misfit(found.response)
    if np.exp(np.mean(np.log(better))) > ASTRAY:
        return found
    return settled(problem, other.response, max_steps)


def _coefficients(response: ResonatorForm, centre: float, half: float) -> Host:
    """ω, γ and γ₀ of both, (Re, Im) of κ12 and of κ21."""
    rates = (response.gamma, response.decay - response.gamma, response.kappa.ravel())
    return np.concatenate([centre + half * response.omega, *(half * part for part in rates)])


def _information(J: Host, half: float) -> Host:
    """R [10, 10] with RᵀR the information on the coefficients, of what the rest of the parameters leaves of it."""
    omega, decay, gamma, skew, kappa, rest = J[0:2], J[2:4], J[4:6], J[6:8], J[8:12], J[12:]
    others = np.concatenate([skew, rest]).T
    size = np.linalg.norm(others, axis=0)
    basis, singular, _ = np.linalg.svd(others / np.where(size > 0, size, 1.0), full_matrices=False)
    basis = basis[:, singular > NUISANCE * singular[0]]
    own = np.concatenate([omega, gamma + decay, decay, kappa]).T / half
    return np.linalg.qr(own - basis @ (basis.T @ own), mode="r")


def _contradiction(found: FittedForm, free: ModeFit, rank: int, digits: float) -> float:
    """How probable it is that noise alone makes two modes, of some numbers more, describe the data so much better."""
    problem, response, _ = found
    if np.all(problem.misfit(response) <= digits):
        return 1.0
    better, worse = (float(np.sum(problem.residual(form) ** 2)) for form in (form_of(free.response), response))
    verdict = free.verdict
    inflation = 1.0 if verdict.noise_like else float(np.nan_to_num(verdict.inflation, nan=np.inf))
    scale = 1.0 if problem.known else better / max(2 * problem.s.size - rank, 1)
    return float(stats.chi2.sf((worse - better) / (scale * max(inflation, 1.0)), max(free.rank - rank, 1)))
