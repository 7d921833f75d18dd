"""What `fit_modes` returns for powers: the lines of resonances with errors, a verdict, a report and a figure."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from diffnr.checks import Numbers, as_vector
from diffnr.data import Passivity, PowerData, Reciprocity, name_of_entry
from diffnr.results import AbstractAnswer
from optimize.mode_fit.choice import ModeChoice
from optimize.mode_fit.concerns import doubtful_modes, missed_entries
from optimize.mode_fit.power_form import PowerForm
from optimize.mode_fit.resonance import Resonance, Value, in_hertz
from optimize.mode_fit.result import noise_sentence, title
from optimize.verdict import ResidualVerdict

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

    def rows(self) -> list[tuple[str, float]]:
        """ω and γ with their names, in the order of `PowerFit.covariance`."""
        parts = {"omega": self.omega, "gamma": self.gamma}
        return [(f"{name}[{n}]", float(x)) for name, part in parts.items() for n, x in enumerate(np.asarray(part))]


class PowerFit(AbstractAnswer):
    """A fit of N resonances to powers, returned by `fit_modes` for `PowerData`:

        |S(ω)|² = Σ_k b_k x^k + Σ_n 2 Re[R_n / (i(ω − ω_n) + γ_n)],      x = (ω − centre)/half_band

    which is what |S|² of N resonances is, when the direct path is constant: its poles and their mirror images.

    **Fields:** `coefficients`, `stderr`: `PowerCoefficients`; `covariance` [2 N, 2 N] of ω_n and γ_n; `centre`,
    `half_band`; `data`; `residual`, `noise` [f, out, in]; `verdict`, a `ResidualVerdict`; `reciprocity`, `passivity` of
    the data, as far as powers tell them; `choice`, a `ModeChoice` or None; `rank`, how many numbers the data identify;
    `result`, a `RESULTS`, with `converged` and `message`; `steps`.
    """

    coefficients: PowerCoefficients
    stderr: PowerCoefficients
    covariance: Float[Array, "q q"]
    centre: Float[Array, ""]
    half_band: Float[Array, ""]
    data: PowerData
    residual: Float[Array, "f out in"]
    noise: Float[Array, "f out in"]
    verdict: ResidualVerdict
    reciprocity: Reciprocity
    passivity: Passivity
    choice: ModeChoice | None
    rank: int = eqx.field(static=True)
    result: Any
    steps: Int[Array, ""]

    @property
    def lacks(self) -> list[str]:
        """What the model lacks, in sentences."""
        if self.verdict.noise_like:
            return []
        return missed_entries(self) or ["The residual is not noise."]

    @property
    def complete(self) -> bool:
        """Whether nothing says that the model lacks something."""
        return not self.lacks

    @property
    def concerns(self) -> list[str]:
        """What speaks against the fit, in sentences."""
        more = [] if self.choice is None else self.choice.excluded
        return [*self.lacks, *more, *doubtful_modes(self).values()]

    @property
    def resonances(self) -> tuple[Resonance, ...]:
        """`f0`, `fwhm` and `q_loaded` of each mode, each ± its error; what powers do not tell is NaN."""
        return tuple(Resonance.of_powers(self, n) for n in range(len(self.coefficients.omega)))

    def predict(self, omega: Numbers) -> Float[Array, "f out in"]:
        """The fitted |S|² [f, out, in] at `omega` [f] in the data's unit."""
        x = (np.asarray(as_vector(omega, "omega")) - float(self.centre)) / float(self.half_band)
        poles = (np.asarray(self.coefficients.omega) - float(self.centre)) * 1j - np.asarray(self.coefficients.gamma)
        parts = (self.coefficients.background, self.coefficients.residues)
        background, residues = (np.asarray(part).reshape(part.shape[0], self.data.num_ports**2) for part in parts)
        form = PowerForm(poles / float(self.half_band), background, residues / float(self.half_band))
        return jnp.asarray(form.powers(x).reshape(len(x), self.data.num_ports, self.data.num_ports))

    def report(self) -> str:
        """The numbers ± standard errors, and what cannot be told without phase, as text: for each entry what a
        resonance adds to |S|² at its centre, 2 Re R/γ by the part that is symmetric about it, and 2 Im R/γ of the
        antisymmetric part."""
        lines = [] if self.complete else ["INCOMPLETE: " + " ".join(self.concerns)]
        lines.append(title(self, "the powers of "))
        if self.choice is not None:
            lines += [self.choice.sentence, self.choice.table()]
        for n, resonance in enumerate(self.resonances):
            lines += [f"  mode {n}: {resonance.lines[0]}", *self._heights(n)]
        lines += [self.verdict.sentence, noise_sentence(self), self.reciprocity.message, self.passivity.message]
        lines += [NOT_IDENTIFIED, *(self.concerns if self.complete else [])]
        if not self.converged:
            lines.append("The fit did NOT converge: raise max_steps, or look at the residual.")
        return "\n".join(lines)

    def _heights(self, mode: int) -> list[str]:
        residues, errors = np.asarray(self.coefficients.residues)[mode], np.asarray(self.stderr.residues)[mode]
        gamma, lines = float(self.coefficients.gamma[mode]), []
        for out, into in np.argwhere(np.asarray(self.data.entries)).tolist():
            parts = []
            for kind, part in ("symmetric", np.real), ("antisymmetric", np.imag):
                value, error = (float(2 * part(x[out, into]) / gamma) for x in (residues, errors))
                parts.append(f"{kind} part {Value(value, error)}")
            lines.append(f"    |{name_of_entry(self.data, out, into)}|²: {', '.join(parts)}")
        return lines

    def plot(self) -> Any:
        """A matplotlib `Figure`: powers and fit above, the residual below."""
        from matplotlib import pyplot as plt

        from diffnr import plot
        from diffnr.plot.spectra import frequency_axis

        omega = np.asarray(self.data.omega)
        scale, label = frequency_axis(omega, None if in_hertz(self.data) else "rate unit")
        with plot.style():
            figure, (upper, lower) = plt.subplots(2, 1, figsize=(7.0, 6.0), sharex=True, layout="constrained")
            fitted = np.asarray(self.predict(omega))
            for out, into in np.argwhere(np.asarray(self.data.entries)).tolist():
                name = f"|{name_of_entry(self.data, out, into)}|²"
                line = upper.plot(omega / scale, np.asarray(self.data.power)[:, out, into], ".", ms=3, label=name)
                upper.plot(omega / scale, fitted[:, out, into], color=line[0].get_color())
                lower.plot(omega / scale, np.asarray(self.residual)[:, out, into], ".", ms=3)
            upper.set_ylabel("power")
            upper.legend()
            lower.set(xlabel=label, ylabel="fit − data")
        return figure
