"""Data as a fit sees them, start values from them alone, and the least-squares response from there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optimize.mode_fit.delays import port_delays
from optimize.mode_fit.descent import Descent, descend
from optimize.mode_fit.response import AbstractResponse, ActiveResponse, PassiveResponse, active_start, passive_start
from optimize.mode_fit.vector_fitting import PoleResidue, Weights, vector_fit

Host = Any
SHORT = 6  # steps by which starts are compared


class Problem(NamedTuple):
    """Data over the scaled frequency x, entry by entry of those that were measured.

    **Fields:** `x` [f]; `s` [f, entry]; `out`, `into` [entry], which entries of S they are; `sigma` [f, entry], the
    standard deviation of real and imaginary parts that they are weighted by; `weights`, what it may be where it is not
    known; `energy`, `sigma_energy` [f, in] or None; `size`, the norm of what is compared, in σ.
    """

    x: Host
    s: Host
    out: Host
    into: Host
    sigma: Host
    weights: Weights
    known: bool
    energy: Host
    sigma_energy: Host

    def residual(self, response: AbstractResponse) -> Host:
        """(S_fit − S)/σ and what the energies miss, as real numbers [n]."""
        s, a = response.response(self.x)
        return self._together((s[:, self.out, self.into] - self.s) / self.sigma, a)

    def linearised(self, response: AbstractResponse) -> tuple[Host, Host]:
        """The residual [n] and its derivatives [p, n]."""
        with_energy = self.energy is not None
        s, a, ds, da = response.linearised(self.x, energy=with_energy)
        r = self._together((s[:, self.out, self.into] - self.s) / self.sigma, a)
        rows = ds[:, :, self.out, self.into] / self.sigma
        parts = [rows.real.reshape(len(rows), -1), rows.imag.reshape(len(rows), -1)]
        if with_energy:
            de = 2 * np.sum((a.conj() * da).real, axis=2) / self.sigma_energy
            parts.append(de.reshape(len(rows), -1))
        return r, np.concatenate(parts, axis=1)

    def _together(self, missed: Host, a: Host) -> Host:
        parts = [missed.real.ravel(), missed.imag.ravel()]
        if self.energy is not None:
            parts.append(((np.sum(np.abs(a) ** 2, axis=1) - self.energy) / self.sigma_energy).ravel())
        return np.concatenate(parts)

    def misfit(self, response: AbstractResponse) -> Host:
        """The rms misfit of real and imaginary parts [entry]."""
        s = response.response(self.x)[0][:, self.out, self.into]
        return np.sqrt(np.mean(np.abs(s - self.s) ** 2, axis=0) / 2)

    def reweighed(self, response: AbstractResponse) -> Problem:
        """The problem with σ as the misfit has it, where it is not known."""
        changed = self
        if not self.known:
            sigma = self.weights.sigma(self.misfit(response))
            changed = changed._replace(sigma=np.broadcast_to(sigma, self.s.shape))
        return changed

    def solved(
        self, response: AbstractResponse, max_steps: int, tolerance: float = 1e-3
    ) -> tuple[AbstractResponse, Descent]:
        """The least squares from a start."""
        size = float(np.linalg.norm(self.s / self.sigma))
        end = descend(
            lambda u: self.residual(response.at(u)),
            lambda u: self.linearised(response.at(u)),
            response.vector,
            max_steps=max_steps,
            tolerance=tolerance,
            size=size,
        )
        return response.at(end.u), end


def starts(problem: Problem, ports: int, modes: int, order: int, delay: bool) -> list[ActiveResponse]:
    """Responses found from the data alone: with a pole for each mode, and with fewer poles that stand for several."""
    x, s, out, into = problem.x, problem.s, problem.out, problem.into
    tau = None
    if delay:
        whole, measured = np.zeros((len(x), ports, ports), complex), np.zeros((ports, ports), bool)
        floor = np.zeros((ports, ports))
        whole[:, out, into], measured[out, into], floor[out, into] = s, True, problem.weights.least
        tau = port_delays(x, whole, measured, modes, order, floor)
        s = s * np.exp(1j * x[:, None] * (tau[out] + tau[into]))
    weights = problem.weights
    if not problem.known:
        weights = Weights.unknown(x, s, order, weights.least)
    rank = min(len(set(out.tolist())), len(set(into.tolist())))
    found = []
    for poles in range(modes, max(1, -(-modes // rank)) - 1, -1):
        fit = vector_fit(x, s, poles, order, weights)
        whole = np.zeros((poles + order + 1, ports, ports), complex)
        whole[:, out, into] = np.concatenate([fit.residues, fit.background])
        found.append(_started(fit, whole, modes, rank, tau))
    return found


def _started(fit: PoleResidue, whole: Host, modes: int, rank: int, tau: Host) -> ActiveResponse:
    poles = len(fit.poles)
    residues, background = whole[:poles], whole[poles:]
    singular = np.linalg.svd(residues, compute_uv=False) / -fit.poles.real[:, None]
    ranks = np.ones(poles, int)
    for _ in range(modes - poles):
        nexts = [singular[n, r] if r < rank else -1.0 for n, r in enumerate(ranks)]
        ranks[int(np.argmax(nexts))] += 1
    return active_start(fit.poles, residues, background, ranks, tau)


def best_fit(problem: Problem, candidates: list[ActiveResponse], max_steps: int) -> tuple[Problem, Any, Descent]:
    """The most likely of the least squares from several starts, each entry weighed by its misfit where σ is not
    known."""
    tried = []
    for start in candidates:
        weighed = problem.reweighed(start)
        response, _ = weighed.solved(start, SHORT)
        tried.append((problem.weights.cost(weighed.misfit(response)) if not problem.known else float(np.sum(weighed.residual(response)**2)), response))
    response = min(tried, key=lambda pair: pair[0])[1]
    return settled(problem, response, max_steps)


def settled(problem: Problem, response: Any, max_steps: int) -> tuple[Problem, Any, Descent]:
    """The least squares from a response, with σ that are those of its own misfit."""
    for _ in range(1 if problem.known else 8):
        problem = problem.reweighed(response)
        response, end = problem.solved(response, max_steps)
        new = problem.reweighed(response)
        if problem.known or np.allclose(new.sigma[0], problem.sigma[0], rtol=1e-2, atol=0):
            break
    return problem, response, end
