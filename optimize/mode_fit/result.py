"""What `fit_modes` returns: coefficients with errors, a verdict on the residual, a report and a figure."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, Int

from diffnr.checks import Numbers, as_vector
from diffnr.data import FieldData, Passivity, Reciprocity
from diffnr.results import AbstractAnswer
from diffnr.tcmt import CoupledModes, PassiveModes
from optimize.mode_fit.coefficients import ModeCoefficients
from optimize.mode_fit.response import PassiveResponse, Response
from optimize.verdict import ResidualVerdict, judge


def judge_residual(
    residual: Complex[ArrayLike, "f out in"],
    noise: Float[ArrayLike, ...],
    sigma: Float[ArrayLike, ...],
    rank: int,
    *,
    sigma_known: bool,
) -> ResidualVerdict:
    """Compare a fit's residual with noise, and say what its standard errors are worth.

    **Arguments:** `residual`: [f, out, in]; `noise`: the standard deviation each real number of it should have,
    broadcastable to it; `sigma`: the one that the fit weighted by; `rank`: how many parameters were identified;
    `sigma_known`: whether `noise` was given rather than estimated.

    **Returns:** a `ResidualVerdict`, by `optimize.verdict.judge` from the mean lag-1 autocorrelation of the entries of
    S; errors are withheld where fewer than three independent numbers are left per parameter.
    """
    residual = np.asarray(residual)
    measured = ~np.isnan(residual[0])
    noise = np.broadcast_to(np.asarray(noise), residual.shape)[:, measured]
    residual = residual[:, measured]
    count = 2 * residual.size
    freedom = max(count - rank, 1)
    unit = residual / np.maximum(np.sqrt(np.mean(np.abs(residual) ** 2, axis=0)), np.finfo(float).tiny)
    return judge(
        float(np.sum(np.abs(residual / noise) ** 2)) / freedom,
        float(np.mean(np.real(unit[1:] * unit[:-1].conj()))),
        count,
        rank,
        noise="given" if sigma_known else "estimated",
        weighted=float(np.sum(np.abs(residual / sigma) ** 2)) / freedom,
        taken_out=2 * rank / count,
        counted=0.999999,
        least_independent=3,
        otherwise=lambda _, inflation: f": standard errors are inflated by {np.sqrt(inflation):.3g}.",
    )


class ModeFit(AbstractAnswer):
    """A coupled-mode fit to scattering data, returned by `fit_modes`.

    **Fields:**

    - `model`: a `CoupledModes` at band centre, at the ports' reference planes (without delay and the background's
      slope). Its D and K stand in the gauge in which the energy is |a|² and, without energy data, in one of the gauges
      that fit equally well.
    - `coefficients`, `stderr`: `ModeCoefficients`; an error is NaN where the data do not identify the number, or where
      errors are withheld.
    - `covariance` [q, q]: of the numbers of `coefficients.rows()`; `rank`: how many parameters the data identify.
    - `response`: the fitted form (`predict` evaluates it); `centre`, `half_band`: of the band, which it is scaled to.
    - `data`; `residual` complex [f, out, in] = S_fit − S; `noise` [f, out, in].
    - `verdict`, a `ResidualVerdict`; `reciprocity`, `passivity` of the data; `result`, a `RESULTS`, with
      `converged` and `message`; `steps`.
    """

    model: CoupledModes | PassiveModes
    coefficients: ModeCoefficients
    stderr: ModeCoefficients
    covariance: Float[Array, "q q"]
    rank: int = eqx.field(static=True)
    response: Response
    centre: Float[Array, ""]
    half_band: Float[Array, ""]
    data: FieldData
    residual: Complex[Array, "f out in"]
    noise: Float[Array, "f out in"]
    verdict: ResidualVerdict
    reciprocity: Reciprocity
    passivity: Passivity
    result: Any
    steps: Int[Array, ""]

    @property
    def chi2_reduced(self) -> float:
        """χ² per degree of freedom against the noise, given or estimated."""
        return self.verdict.chi2_reduced

    def predict(self, omega: Numbers) -> Complex[Array, "f out in"]:
        """The fitted S [f, out, in], with delay and background, at `omega` [f] in the data's unit (best inside the
        band)."""
        x = (np.asarray(as_vector(omega, "omega")) - float(self.centre)) / float(self.half_band)
        return jnp.asarray(self.response.response(x))

    def report(self) -> str:
        """The coefficients ± standard errors and what was found about the data, as text."""
        hertz = " (rad/s; in Hz divide by 2π)" if self.data.measured else ""
        size = f"{self.data.num_points} points, {self.data.num_ports} ports"
        lines = [f"{len(self.coefficients.omega)} modes fitted to {self.data.name or 'data'}: {size}{hertz}"]
        withheld = self.verdict.errors == "withheld"
        for (name, value), (_, error) in zip(self.coefficients.rows(), self.stderr.rows(), strict=True):
            shown = "withheld" if withheld else f"± {error:.2g}" if np.isfinite(error) else "not identified"
            lines.append(f"  {name:<24}{value:>18.9g}  {shown}")
        lines.append(self.verdict.sentence)
        noise = "given" if self.data.sigma is not None else "estimated from the data's own scatter"
        least, most = float(np.min(self.noise)), float(np.max(self.noise))
        lines.append(f"noise {noise}: {least:.2g} to {most:.2g}; {self.rank} parameters identified")
        lines.append(_reciprocity_sentence(self.reciprocity, self.data.num_ports))
        lines.append(_passivity_sentence(self.passivity, isinstance(self.response, PassiveResponse)))
        if not self.converged:
            lines.append("The fit did NOT converge: raise max_steps, or look at the residual.")
        return "\n".join(lines)

    def plot(self) -> Any:
        """A matplotlib `Figure`: data and fit above, the residual in units of the noise below."""
        import matplotlib.pyplot as plt

        from diffnr import plot

        with plot.style():
            figure, (upper, lower) = plt.subplots(2, 1, figsize=(7.0, 6.0), sharex=True, layout="constrained")
        unit = None if self.data.measured else "rate unit"
        plot.s_parameters(self.data.omega, self.data.s, model_s=self.predict(self.data.omega), unit=unit, ax=upper)
        plot.fit_residual(self.data.omega, self.residual, self.noise, unit=unit, ax=lower)
        return figure


def _reciprocity_sentence(found: Reciprocity, ports: int) -> str:
    if ports == 1:
        return "A one-port is reciprocal."
    verdict = "reciprocal" if found.reciprocal else "NOT reciprocal"
    size = f"max |S − Sᵀ| = {found.max_difference:.2g}, median difference {found.median_db:.2g} dB"
    return f"The data are {verdict}: {size}."


def _passivity_sentence(found: Passivity, constrained: bool) -> str:
    verdict = "passive" if found.passive else "NOT passive"
    model = "passive by construction" if constrained else "not constrained to be passive"
    return f"The data are {verdict}: largest singular value {found.largest:.6g}; the model is {model}."
