"""Coupled-mode coefficients from scattering data.

What S identifies are poles, rank-one residues and the direct path. D and K separately, and the scale |d|/|k|, are a
gauge unless stored energies were measured too. Errors are therefore given for the former, by the delta method.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from diffnr.checks import as_count, as_flag, require, require_instance, require_known
from diffnr.data import FieldData, noise_estimate, passivity, reciprocity
from diffnr.results import raise_failures
from diffnr.tcmt import CoupledModes
from optimize.least_squares import LeastSquares, least_squares, levenberg_marquardt, parameter_covariance
from optimize.mode_fit.response import ActiveResponse, Response, active_start, passive_start
from optimize.mode_fit.result import ModeCoefficients, ModeFit, judge_residual
from optimize.mode_fit.vector_fitting import vector_fit


class ScaledData(eqx.Module):
    """Data over the scaled frequency x: S and energies with the σ that each is weighted by."""

    x: Float[Array, " f"]
    s: Array
    sigma: Array
    energy: Array | None
    sigma_energy: Array | None


def fit_modes(
    data: Any,
    modes: Any,
    *,
    delay: Any = None,
    background: Any = None,
    passive: Any = None,
    max_steps: Any = 200,
    throw: Any = False,
) -> ModeFit:
    """Fit the coupled-mode coefficients of `modes` resonances to scattering data. No start values are needed.

        S(ω) = P(ω) [C(ω) + D (i(ω − Ω) + Γ)⁻¹ K(ω)ᵀ] P(ω),      P = diag e^{−i(ω − ω_centre)τ}

    **Arguments:**

    - `data`: a `FieldData`; its stored energies are used where it has them, and its `sigma` where given. Without σ each
      entry of S is weighted by the larger of its noise (estimated from the data's own scatter) and its misfit.
    - `modes`: N ≥ 1, how many resonances.
    - `delay`: fit a delay τ per port (reference planes away from the device). Default: only for measurements.
    - `background`: order of the polynomial by which the direct path varies over the band; 0 is a constant C. Default: 2
      for measurements, 0 otherwise.
    - `passive`: whether the model must be passive (by construction, with hidden ports). Default: unless the data are
      not.
    - `max_steps`: of the Levenberg–Marquardt iteration.
    - `throw`: raise where that did not converge. By default the best that was met is returned in any case, and
      `converged` and `message` say how it ended.

    **Returns:** a `ModeFit`: `.model`, `.coefficients` and `.stderr`, `.covariance`, `.report()`, `.plot()`,
    `.predict(omega)`.

    **Raises:** `ValueError` for too few points, or data so far from passive that `passive=True` cannot be met;
    `RuntimeError` with the message if `throw` and the fit did not converge.

    Usage: `fit_modes(read_touchstone("device.s2p"), modes=2).report()`.

    **Notes:** resonances should lie in the band and span several points. Gain is never forced away: data that are not
    passive are reported and fitted without the constraint.

    Source: paper 3, equations 1–5 and section 5 (hidden ports).
    """
    require_instance(data, "data", FieldData, "be a diffnr.FieldData")
    require_known(data, "data", "hold numbers")
    modes, max_steps, throw = as_count(modes, "modes"), as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    delay = data.measured if delay is None else as_flag(delay, "delay")
    order = 2 * int(data.measured) if background is None else as_count(background, "background", least=0)
    passive = None if passive is None else as_flag(passive, "passive")
    _require_points(data, modes, order, delay)

    reciprocal, bounded = reciprocity(data), passivity(data)
    passive = bounded.passive if passive is None else passive
    centre, half = float(data.omega[0] + data.omega[-1]) / 2, float(data.omega[-1] - data.omega[0]) / 2
    noise = (
        data.deviation
        if data.deviation is not None
        else np.maximum(noise_estimate(data), 1e-9 * np.max(np.abs(data.s)))
    )
    noise = np.broadcast_to(np.asarray(noise), data.s.shape)
    scaled = _scale(data, noise, centre, half)

    # Of σ: residuals settled to this part of their standard deviation change no coefficient by more than that of its
    # error.
    tolerance = jnp.asarray(1e-3 if data.sigma is None else 1e-4)
    theta, weighted = _start(scaled, modes, order, delay, data.sigma is not None)
    if passive:
        # Without the constraint the problem is smooth and has no gauge: solve that first, and often it is the answer.
        theta = _solve(theta, ScaledData(weighted.x, weighted.s, weighted.sigma, None, None), 40, tolerance).u
        theta = passive_start(theta, data.num_ports + (0 if data.energy is None else modes))
    fitted = _fitted(theta, weighted, data, noise, max_steps, tolerance)
    theta, used, residual, solution = fitted.solution.u, fitted.used, fitted.residual, fitted.solution

    jacobian, value_jacobian, coefficients = _linearise(theta, used, centre, half)
    covariance, rank = parameter_covariance(np.asarray(jacobian), np.asarray(value_jacobian))
    verdict = judge_residual(residual, noise, used.sigma, rank, sigma_known=data.sigma is not None)
    covariance = covariance * verdict.inflation
    fit = ModeFit(
        model=_model(theta, centre, half),
        coefficients=coefficients, stderr=coefficients.unflatten(np.sqrt(np.diagonal(covariance))),
        covariance=jnp.asarray(covariance), rank=rank,
        response=theta, centre=jnp.asarray(centre), half_band=jnp.asarray(half),
        data=data, residual=jnp.asarray(residual), noise=jnp.asarray(noise),
        verdict=verdict, reciprocity=reciprocal, passivity=bounded,
        result=solution.result, steps=solution.steps,
    )  # fmt: skip
    return raise_failures(fit, fit.result) if throw else fit


class _Fitted(NamedTuple):
    """A solution, the data as they were weighed for it, and its residual [f, out, in]."""

    solution: LeastSquares
    used: ScaledData
    residual: np.ndarray


def _fitted(
    theta: Response, weighted: ScaledData, data: FieldData, noise: np.ndarray, max_steps: int, tolerance: Array
) -> _Fitted:
    """The fit from a start: once where σ is known, else three times, each entry weighed anew by its misfit.

    Where σ is not known, an entry that the model misses by more than its noise must not outvote the others.
    """
    for _ in range(2 if data.sigma is None else 0):
        theta = _solve(theta, weighted, max_steps, tolerance).u
        _, weighted = _reweigh(theta, weighted, data, noise)
    solution = _solve(theta, weighted, max_steps, tolerance)
    return _Fitted(solution, weighted, _reweigh(solution.u, weighted, data, noise)[0])


def _require_points(data: FieldData, modes: int, order: int, delay: bool) -> None:
    ports = data.num_ports
    unknowns = 2 * (order + 1) * ports**2 + 4 * ports * modes + ports * delay
    numbers = 2 * data.num_points * ports**2
    require(
        numbers > unknowns and data.num_points > 2 * modes + order + 1,
        "data",
        f"have more points for {modes} modes ({unknowns} unknowns, and 2 points a mode)",
        f"{data.num_points} points ({numbers} real numbers)",
    )


def _scale(data: FieldData, noise: np.ndarray, centre: float, half: float) -> ScaledData:
    x = (data.omega - centre) / half
    if data.energy is None:
        return ScaledData(x, data.s, jnp.asarray(noise), None, None)
    sigma = data.deviation_energy
    sigma = jnp.full_like(data.energy, 0.01 * float(np.max(data.energy))) if sigma is None else sigma
    return ScaledData(x, data.s, jnp.asarray(noise), data.energy * half, sigma * half)


def _reweigh(theta: Any, scaled: ScaledData, data: FieldData, noise: np.ndarray) -> tuple[np.ndarray, ScaledData]:
    """S_fit − S, and the data with σ raised to the misfit where neither σ was given."""
    s, energy = _predict(theta, scaled)
    residual = np.asarray(s - scaled.s)
    if data.sigma is None:
        misfit = np.sqrt(np.mean(np.abs(residual) ** 2, axis=0) / 2)
        scaled = eqx.tree_at(lambda d: d.sigma, scaled, jnp.broadcast_to(np.maximum(noise, misfit), residual.shape))
    if scaled.energy is not None and data.sigma_energy is None:
        misfit = jnp.sqrt(jnp.mean((energy - scaled.energy) ** 2, axis=0))
        scaled = eqx.tree_at(lambda d: d.sigma_energy, scaled, jnp.broadcast_to(misfit, scaled.energy.shape))
    return residual, scaled


def _start(
    scaled: ScaledData, modes: int, order: int, delay: bool, sigma_known: bool
) -> tuple[ActiveResponse, ScaledData]:
    """A response found from the data alone, and the data weighted by its misfit where σ is not known."""
    x, s = np.asarray(scaled.x), np.asarray(scaled.s)
    noise = np.sqrt(np.mean(np.asarray(scaled.sigma) ** 2, axis=0))
    delays = None
    if delay:
        delays = np.asarray([_find_delay(x, s[:, port, port], modes, order) for port in range(s.shape[1])])
        s = s * np.exp(1j * x[:, None, None] * (delays[:, None] + delays))
    start = vector_fit(x, s, modes, order, noise, known=sigma_known)
    if not sigma_known:
        sigma = np.broadcast_to(np.maximum(noise, start.misfit), s.shape)
        scaled = eqx.tree_at(lambda d: d.sigma, scaled, jnp.asarray(sigma))
    return active_start(start, delays), scaled


def _find_delay(x: np.ndarray, reflection: np.ndarray, modes: int, order: int) -> float:
    """The delay with which vector fitting describes a reflection best, searched around half the median phase slope."""
    slope = float(np.median(np.diff(np.unwrap(np.angle(reflection))) / np.diff(x)))
    span, middle = max(abs(slope) / 2, 0.1), -slope / 2

    def misfit(tau: float) -> float:
        s = (reflection * np.exp(2j * x * tau))[:, None, None]
        return float(vector_fit(x, s, modes, order, sweeps=4).misfit[0, 0])

    for width in (1.0, 0.15, 0.03):
        candidates = middle + width * span * np.linspace(-1, 1, 11)
        middle = float(candidates[np.argmin([misfit(tau) for tau in candidates])])
    return middle


def _predict(theta: Response, scaled: ScaledData) -> tuple[Array, Array]:
    s, a = theta.response(scaled.x)
    return s, jnp.sum(a.real**2 + a.imag**2, axis=1)


def _residual(theta: Response, scaled: ScaledData) -> Float[Array, " n"]:
    s, energy = _predict(theta, scaled)
    r = (s - scaled.s) / scaled.sigma
    parts = [r.real.ravel(), r.imag.ravel()]
    if scaled.energy is not None and scaled.sigma_energy is not None:
        parts.append(((energy - scaled.energy) / scaled.sigma_energy).ravel())
    return jnp.concatenate(parts)


@eqx.filter_jit
def _solve(theta: Response, scaled: ScaledData, max_steps: int, tolerance: Array) -> LeastSquares:
    return least_squares(_residual, theta, scaled, levenberg_marquardt(tolerance), max_steps)


@eqx.filter_jit
def _linearise(
    theta: Response, scaled: ScaledData, centre: float, half: float
) -> tuple[Array, Array, ModeCoefficients]:
    """d residual/dθ, d coefficients/dθ, and the coefficients."""
    flat, unravel = ravel_pytree(theta)
    jacobian = jax.jacfwd(lambda v: _residual(unravel(v), scaled))(flat)
    value_jacobian = jax.jacfwd(lambda v: _coefficients(unravel(v), centre, half, scaled.energy is not None).flatten())(
        flat
    )
    return jacobian, value_jacobian, _coefficients(theta, centre, half, scaled.energy is not None)


def _coefficients(theta: Response, centre: float, half: float, energy: bool) -> ModeCoefficients:
    A, C, D, _ = theta.modal()
    poles, right = lax.linalg.eig(A, compute_left_eigenvectors=False, enable_eigvec_derivs=True)
    order = jnp.argsort(poles.imag)
    poles, right = poles[order], right[:, order]
    # Columns of `right` have unit norm, hence unit energy; the residues do not care. Each k_n is that at its resonance.
    d, K = D @ right, theta.incoupling(poles.imag)
    k = jnp.stack([jnp.linalg.solve(right, K[n].T)[n] for n in range(len(poles))])
    return ModeCoefficients(
        omega=centre + half * poles.imag,
        gamma=-half * poles.real,
        residues=half * jnp.einsum("on,ni->noi", d, k),
        C=C,
        delay=None if theta.delay is None else theta.delay / half,
        outcoupling=half * jnp.abs(d) ** 2 if energy else None,
        incoupling=half * jnp.abs(k.T) ** 2 if energy else None,
    )


def _model(theta: Response, centre: float, half: float) -> CoupledModes:
    A, C, D, K = theta.modal()
    omega, gamma = (A - A.conj().T) / 2j, -(A + A.conj().T) / 2
    active = isinstance(theta, ActiveResponse)
    absorption = gamma - D.conj().T @ D / 2
    return CoupledModes(
        omega=centre * jnp.eye(A.shape[0]) + half * omega,
        D=jnp.sqrt(half) * D,
        C=C,
        K=jnp.sqrt(half) * K,
        gamma_i=half * (absorption + absorption.conj().T) / 2,
        active=active,
    )
