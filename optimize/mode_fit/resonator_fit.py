"""What `fit_two_resonators` returns: named coefficients with errors, what the model lacks, a report."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from diffnr.checks import Numbers, as_choice, as_vector
from diffnr.data import FieldData, Reciprocity, suspicions
from diffnr.results import AbstractAnswer
from diffnr.tcmt import ActiveModes, PassiveModes
from optimize.least_squares import parameter_covariance
from optimize.mode_fit.concerns import incomplete
from optimize.mode_fit.negative_frequencies import said
from optimize.mode_fit.quantities import KAPPA12, KAPPA21, PAIR, UNTOLD, Told
from optimize.mode_fit.resonance import Value
from optimize.mode_fit.response import Response
from optimize.mode_fit.result import CONJUGATED, ModeFit
from optimize.verdict import ResidualVerdict

LEAST = 1e-4  # the probability below which chance is no explanation
GAUGE = (
    "κ21/κ12 holds if what joins ports and resonators is reciprocal; the common sign of κ12 and κ21 is not identified."
)


class ResonatorFit(AbstractAnswer):
    """Two coupled resonators fitted to a two-port, returned by `fit_two_resonators`.

    **Fields:**

    - `coefficients` [10]: ω, γ (into the ports) and γ₀ (intrinsic) of both resonators, (Re, Im) of κ12 and of κ21, in
      the data's rate unit; `information` [10, 10]: R, with RᵀR the inverse of their covariance (0 for what is not
      identified, or all of it where errors are withheld).
    - `skew` [2]: ψ, by how far each resonance's circle stands askew, in rad; `rank`: how many numbers the data tell.
    - `contradiction`: how probable it is that noise alone makes two modes without these ports describe the data better.
    - `model`: the device at band centre, a `tcmt.ActiveModes` in the gauge D = K; `response`: the fitted form.
    - `modes`: the `ModeFit` it was started from; `residual` complex [f, out, in] = S_fit − S; `noise` [f, out, in];
      `verdict`, a `ResidualVerdict`; `result`, a `RESULTS`, with `converged` and `message`; `steps`.
    """

    coefficients: Float[Array, "10"]
    information: Float[Array, "10 10"]
    skew: Float[Array, "2"]
    rank: int = eqx.field(static=True)
    contradiction: float
    model: PassiveModes | ActiveModes
    response: Response
    modes: ModeFit
    residual: Complex[Array, "f 2 2"]
    noise: Float[Array, "f 2 2"]
    verdict: ResidualVerdict
    result: Any
    steps: Int[Array, ""]

    @property
    def omega(self) -> Float[Array, "2"]:
        """The resonance frequencies, as if κ were 0."""
        return self.coefficients[0:2]

    @property
    def gamma(self) -> Float[Array, "2"]:
        """The amplitude rates into the ports."""
        return self.coefficients[2:4]

    @property
    def gamma_0(self) -> Float[Array, "2"]:
        """The intrinsic amplitude rates."""
        return self.coefficients[4:6]

    @property
    def kappa12(self) -> Complex[Array, ""]:
        """The coupling rate from resonator 2 into 1."""
        return jnp.asarray(complex(*np.asarray(self.coefficients)[list(KAPPA12)]))

    @property
    def kappa21(self) -> Complex[Array, ""]:
        """The coupling rate from resonator 1 into 2."""
        return jnp.asarray(complex(*np.asarray(self.coefficients)[list(KAPPA21)]))

    @property
    def covariance(self) -> Float[Array, "10 10"]:
        """The covariance of `coefficients`, NaN where the data do not identify one."""
        return jnp.asarray(parameter_covariance(np.asarray(self.information), np.eye(len(PAIR.names)))[0])

    @property
    def quantities(self) -> dict[str, Value]:
        """What is said of the pair, each ± its error and in Hz: the rates over 2π, and

        - `kappa`: √|κ12κ21|, `kappa12`, `kappa21`: their moduli;
        - `coupling_phase`: arg κ12κ21, 0 of coherent and π of dissipative coupling, in rad;
        - `nonreciprocity`: |κ21/κ12| in dB; `nonreciprocal_phase`: arg κ21/κ12 in rad.
        """
        vector, root = np.asarray(self.coefficients)[None], np.asarray(self.information)
        told = Told.of(PAIR, vector, root, np.eye(vector.size))
        numbers = zip(told.names, told.values[:, 0].tolist(), told.errors[:, 0].tolist(), strict=True)
        return {name: Value(value, error, PAIR.quantities[name].unit) for name, value, error in numbers}

    def quantity(self, name: Any) -> Value:
        """One of `quantities`.

        **Raises:** `ValueError` for a name that there is not.

        Usage: `print(fit.quantity("kappa21"))`.
        """
        return self.quantities[as_choice(name, "name", tuple(PAIR.quantities))]

    @property
    def data(self) -> FieldData:
        """What was fitted."""
        return self.modes.data

    @property
    def reciprocity(self) -> Reciprocity:
        """Whether the data are reciprocal."""
        return self.modes.reciprocity

    @property
    def lacks(self) -> list[str]:
        """What the model lacks, in sentences."""
        if self.modes.conjugated:
            return [CONJUGATED]
        found = incomplete(self)
        if self.contradiction < LEAST:
            found.append(
                "The data are not of two resonators that each meet a port of their own: two modes without this rule "
                f"describe them better than noise explains (p = {self.contradiction:.1g})."
            )
        return found

    @property
    def complete(self) -> bool:
        """Whether nothing says that the model lacks something."""
        return not self.lacks

    @property
    def concerns(self) -> list[str]:
        """What speaks against the fit, in sentences."""
        found = []
        for j in range(2):
            value, error, *_ = self.quantity(f"gamma_0[{j}]")
            if value < -UNTOLD * error:
                found.append(f"Resonator {j} has gain, or its port more loss beside the resonance than in it (γ₀ < 0).")
        return [*self.lacks, *found, *suspicions(self.data)]

    def predict(self, omega: Numbers) -> Complex[Array, "f out in"]:
        """The fitted S [f, out, in], with delay and background, at `omega` [f] in the data's unit (best inside the
        band)."""
        x = (np.asarray(as_vector(omega, "omega")) - float(self.modes.centre)) / float(self.modes.half_band)
        return jnp.asarray(self.response.response(x))

    def report(self) -> str:
        """Every quantity ± its error and what was found about the data, as text."""
        lines = [] if self.complete else ["INCOMPLETE: " + " ".join(self.concerns)]
        lines.append(f"two coupled resonators fitted to {self.data.name or 'data'}: {self.data.num_points} points")
        lines += [f"  {name:<20}{value}" for name, value in self.quantities.items()]
        images = said(self.modes)
        lines += [GAUGE, self.verdict.sentence, self.reciprocity.message, *([images] if images else [])]
        lines += self.concerns if self.complete else []
        if not self.converged:
            lines.append("The fit did NOT converge: raise max_steps, or look at the residual.")
        return "\n".join(lines)
