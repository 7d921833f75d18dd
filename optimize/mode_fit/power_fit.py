"""Resonances of power spectra: |S|² without phase."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from diffnr.checks import Numbers, as_vector
from diffnr.data import PowerData, entry_name
from diffnr.results import AbstractAnswer
from optimize.least_squares import parameter_covariance
from optimize.mode_fit.choice import Candidate, ModeChoice, choose
from optimize.mode_fit.concerns import doubtful_modes
from optimize.mode_fit.power_form import ROUGH, SHORT, PowerForm, PowerProblem
from optimize.mode_fit.resonance import Value
from optimize.verdict import ResidualVerdict, judge

Host = Any
LEAST = 1e-12  # of the largest |S|²: round-off
ROUNDS = 5  # of fits, each with the σ of the one before
NOT_IDENTIFIED = (
    "Without phase are not identified: delays, the phases of the direct path and of couplings, in which half plane the "
    "zeros of S lie, hence internal and external Q, and a model to design with."
)


class PowerCoefficients(eqx.Module):
    """What powers identify: `omega`, `gamma` [N]; `residues` complex [N, out, in] of |S|², NaN where not measured;
    `background` [order + 1, out, in] by powers of (ω − ω_centre)/half band. Or the standard errors of these."""

    omega: Float[Array, " mode"]
    gamma: Float[Array, " mode"]
    residues: Complex[Array, "mode out in"]
    background: Float[Array, "power out in"]


class PowerFit(AbstractAnswer):
    """A fit of N resonances to powers, returned by `fit_modes` for `PowerData`:

        |S(ω)|² = Σ_k b_k x^k + Σ_n 2 Re[R_n / (i(ω − ω_n) + γ_n)],      x = (ω − centre)/half_band

    which is what |S|² of N resonances is, when the direct path is constant: its poles and their mirror images.

    **Fields:** `coefficients`, `stderr`: `PowerCoefficients`; `covariance` [2 N, 2 N] of ω_n and γ_n; `centre`,
    `half_band`; `data`; `residual` [f, out, in]; `verdict`, a `ResidualVerdict`; `choice`, a `ModeChoice` or None;
    `rank`, how many numbers the data identify; `result`, a `RESULTS`, with `converged` and `message`; `steps`.
    """

    coefficients: PowerCoefficients
    stderr: PowerCoefficients
    covariance: Float[Array, "q q"]
    centre: Float[Array, ""]
    half_band: Float[Array, ""]
    data: PowerData
    residual: Float[Array, "f out in"]
    verdict: ResidualVerdict
    choice: ModeChoice | None
    rank: int = eqx.field(static=True)
    result: Any
    steps: Int[Array, ""]

    @property
    def complete(self) -> bool:
        """Whether the residual looks like noise."""
        return self.verdict.noise_like

    @property
    def concerns(self) -> list[str]:
        """What speaks against the fit, in sentences."""
        more = [] if self.choice is None else self.choice.excluded
        return [*more, *doubtful_modes(self).values()]

    @property
    def resonances(self) -> list[dict[str, Value]]:
        """For each mode `f0` = ω/2π, `fwhm` = γ/π and `q_loaded` = ω/2γ, each ± its error.

        The report gives beside them, for each entry, 2 Re R/γ, what the resonance adds to |S|² at ω_n by the part that
        is symmetric about it, and 2 Im R/γ, of the antisymmetric part.
        """
        found, count = [], len(self.coefficients.omega)
        covariance = np.asarray(self.covariance)
        for n in range(count):
            omega, gamma = float(self.coefficients.omega[n]), float(self.coefficients.gamma[n])
            own = covariance[np.ix_([n, count + n], [n, count + n])]
            slope = np.array([1 / (2 * gamma), -omega / (2 * gamma**2)])
            errors = np.sqrt(np.diagonal(own))
            found.append(
                {
                    "f0": Value(omega / (2 * np.pi), float(errors[0]) / (2 * np.pi), "Hz"),
                    "fwhm": Value(gamma / np.pi, float(errors[1]) / np.pi, "Hz"),
                    "q_loaded": Value(omega / (2 * gamma), float(np.sqrt(slope @ own @ slope))),
                }
            )
        return found

    def predict(self, omega: Numbers) -> Float[Array, "f out in"]:
        """The fitted |S|² [f, out, in] at `omega` [f] in the data's unit."""
        x = (np.asarray(as_vector(omega, "omega")) - float(self.centre)) / float(self.half_band)
        poles = (np.asarray(self.coefficients.omega) - float(self.centre)) * 1j - np.asarray(self.coefficients.gamma)
        parts = (self.coefficients.background, self.coefficients.residues)
        background, residues = (np.asarray(part).reshape(part.shape[0], self.data.num_ports**2) for part in parts)
        form = PowerForm(poles / float(self.half_band), background, residues / float(self.half_band))
        return jnp.asarray(form.powers(x).reshape(len(x), self.data.num_ports, self.data.num_ports))

    def report(self) -> str:
        """The numbers ± standard errors, and what cannot be told without phase, as text."""
        size = f"{self.data.num_points} points, {self.data.num_ports} ports"
        lines = [] if self.complete else ["INCOMPLETE: the residual is not noise."]
        lines.append(f"{len(self.coefficients.omega)} modes fitted to the powers of {self.data.name or 'data'}: {size}")
        if self.choice is not None:
            lines += [self.choice.sentence, self.choice.table()]
        residues, errors = np.asarray(self.coefficients.residues), np.asarray(self.stderr.residues)
        for n, values in enumerate(self.resonances):
            f0, fwhm, q = (values[name] for name in ("f0", "fwhm", "q_loaded"))
            lines.append(f"  mode {n}: f0 = {f0}, FWHM = {fwhm}, Q_loaded = {q}")
            for out, into in np.argwhere(np.asarray(self.data.entries)).tolist():
                gamma = float(self.coefficients.gamma[n])
                parts = []
                for kind, part in ("symmetric", np.real), ("antisymmetric", np.imag):
                    value, error = (float(2 * part(x[n, out, into]) / gamma) for x in (residues, errors))
                    parts.append(f"{kind} part {Value(value, error)}")
                lines.append(f"    |{entry_name(out, into, self.data.num_ports)}|²: {', '.join(parts)}")
        lines.append(self.verdict.sentence)
        lines += [NOT_IDENTIFIED, *self.concerns]
        if not self.converged:
            lines.append("The fit did NOT converge: raise max_steps, or look at the residual.")
        return "\n".join(lines)

    def plot(self) -> Any:
        """A matplotlib `Figure`: powers and fit above, the residual below."""
        from matplotlib import pyplot as plt

        from diffnr import plot
        from diffnr.plot.spectra import frequency_axis

        omega = np.asarray(self.data.omega)
        scale, label = frequency_axis(omega, None if self.data.measured else "rate unit")
        with plot.style():
            figure, (upper, lower) = plt.subplots(2, 1, figsize=(7.0, 6.0), sharex=True, layout="constrained")
            fitted = np.asarray(self.predict(omega))
            for out, into in np.argwhere(np.asarray(self.data.entries)).tolist():
                name = f"|{entry_name(out, into, self.data.num_ports)}|²"
                line = upper.plot(omega / scale, np.asarray(self.data.power)[:, out, into], ".", ms=3, label=name)
                upper.plot(omega / scale, fitted[:, out, into], color=line[0].get_color())
                lower.plot(omega / scale, np.asarray(self.residual)[:, out, into], ".", ms=3)
            upper.set_ylabel("power")
            upper.legend()
            lower.set(xlabel=label, ylabel="fit − data")
        return figure


def fit_powers(data: PowerData, modes: int | str, order: int, most: int, max_steps: int) -> PowerFit:
    """The resonances of powers; see `PowerFit`."""
    ends = np.asarray(data.omega)[[0, -1]]
    centre, half = float(np.sum(ends)) / 2, float(ends[1] - ends[0]) / 2
    out, into = np.nonzero(np.asarray(data.entries))
    s = np.asarray(data.power)[:, out, into]
    least = np.full(s.shape[1], LEAST * float(np.max(np.abs(s))))
    known = data.deviation is not None
    sigma = np.asarray(data.deviation)[:, out, into] if known else np.broadcast_to(np.std(s, axis=0) + least, s.shape)
    problem = PowerProblem((np.asarray(data.omega) - centre) / half, s, sigma, order)

    def tried(modes: int, start: PowerForm | None = None) -> tuple[PowerProblem, PowerForm]:
        found = []
        for poles in [*([] if start is None else [start.poles]), *problem.starts(modes)]:
            form, end = problem.solved(poles, SHORT, ROUGH)
            found.append((float(end.r @ end.r), form))
        form = min(found, key=lambda pair: pair[0])[1]
        return settled(form, SHORT)[:2]

    def settled(form: PowerForm, steps: int) -> tuple[PowerProblem, PowerForm, Any]:
        weighed = problem
        for _ in range(1 if known else ROUNDS):
            weighed = weighed if known else weighed.reweighed(form, least)
            form, end = weighed.solved(form.poles, steps)
        return weighed, form, end  # pyright: ignore[reportPossiblyUnboundVariable]

    def judged(weighed: PowerProblem, form: PowerForm) -> tuple[PowerCoefficients, PowerCoefficients, Any, Any, int]:
        J = weighed.whole(form)
        covariance, rank = parameter_covariance(J, np.eye(J.shape[1]))
        r = ((form.powers(weighed.x) - s) / weighed.sigma).T
        unit = r / np.maximum(np.sqrt(np.mean(r**2, axis=1, keepdims=True)), np.finfo(float).tiny)
        chi2 = float(np.sum(r**2)) / max(r.size - rank, 1)
        verdict = judge(
            chi2, float(np.mean(unit[:, 1:] * unit[:, :-1])), r.size, rank,
            noise="given" if known else "unknown", weighted=chi2, taken_out=2 * rank / r.size, counted=0.999999,
            least_independent=3,
            otherwise=lambda _, inflation: f": standard errors are inflated by {np.sqrt(inflation):.3g}.",
        )  # fmt: skip
        if not known and np.all(np.abs(form.powers(weighed.x) - s) <= 10 * least):
            facts = "The residual is what the digits of the data leave."
            verdict = ResidualVerdict(chi2, 0.0, True, "as computed", 1.0, facts)
        covariance = covariance * verdict.inflation
        n, size = len(form.poles), order + 1
        errors = np.sqrt(np.diagonal(covariance))
        parts = errors[2 * n :].reshape(len(out), size + 2 * n).T
        ports = data.num_ports

        def coefficients(omega: Host, gamma: Host, background: Host, residues: Host) -> PowerCoefficients:
            whole = np.full((size, ports, ports), np.nan), np.full((n, ports, ports), np.nan + 0j)
            whole[0][:, out, into], whole[1][:, out, into] = background, half * residues
            return PowerCoefficients(*map(jnp.asarray, (omega, gamma, whole[1], whole[0])))

        own = coefficients(centre + half * form.poles.imag, -half * form.poles.real, form.background, form.residues)
        imaginary = 1j * parts[size + n :]
        error = coefficients(
            half * errors[:n], half * errors[n : 2 * n], parts[:size], parts[size : size + n] + imaginary
        )
        signs = half * np.repeat([1.0, -1.0], n)
        return own, error, verdict, covariance[: 2 * n, : 2 * n] * signs * signs[:, None], rank

    def candidate(modes: int, *, restarts: int, start: Any = None) -> Candidate:
        weighed, form = tried(modes, start)
        own, error, verdict, _, rank = judged(weighed, form)
        missed = form.powers(weighed.x) - s
        misfit = np.sqrt(np.mean(missed**2, axis=0))
        points = len(s)
        if known:
            deviance, lowest = float(np.sum((missed / sigma) ** 2)), 0.0
        else:
            deviance, lowest = (float(2 * points * np.sum(np.log(np.maximum(m, least)))) for m in (misfit, least))
        rho = 0.0 if verdict.noise_like else min(max(verdict.autocorrelation, 0.0), 0.98)
        rms = float(np.sqrt(np.mean(misfit**2)))
        return Candidate(data, own, error, rank, rms, deviance, lowest, s.size, rho, verdict.noise_like, form)

    choice = None
    if modes == "auto":
        form, choice = choose(candidate, most)
    else:
        _, form = tried(int(modes))
    weighed, form, end = settled(form, max_steps)
    order_by = np.argsort(form.poles.imag)
    form = PowerForm(form.poles[order_by], form.background, form.residues[order_by])
    own, error, verdict, covariance, rank = judged(weighed, form)
    residual = np.full(data.power.shape, np.nan)
    residual[:, out, into] = form.powers(weighed.x) - s
    return PowerFit(
        coefficients=own, stderr=error, covariance=jnp.asarray(covariance),
        centre=jnp.asarray(centre), half_band=jnp.asarray(half), data=data, residual=jnp.asarray(residual),
        verdict=verdict, choice=choice, rank=rank, result=end.result, steps=jnp.asarray(end.steps),
    )  # fmt: skip
