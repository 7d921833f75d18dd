"""What `fit_series` returns: coefficients against the parameter, which of them depend on it, a report and a figure."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import as_choice
from diffnr.results import AbstractAnswer
from optimize.least_squares import parameter_covariance
from optimize.mode_fit.quantities import Leaves, Told, leaves_of
from optimize.mode_fit.resonance import Value
from optimize.mode_fit.resonator_fit import GAUGE, LEAST, ResonatorFit
from optimize.mode_fit.result import ModeFit
from optimize.series_fit.figure import draw
from optimize.series_fit.joint import chance, combined, placed, reversal, reversed_pairs

Host = Any
VARIES = 0.01  # the probability below which a coefficient is said to depend on the parameter


class SeriesCoefficient(NamedTuple):
    """One quantity over the series: `parameter`, `value`, `error` [n] (NaN where the data do not tell), `covariance`
    [n, n], `unit`. An angle is unwrapped along the series.

    Usage: `kappa = series.coefficient("kappa"); plt.errorbar(kappa.parameter, kappa.value, kappa.error)`.
    """

    parameter: Any
    value: Any
    error: Any
    covariance: Any
    unit: str


class OddEven(NamedTuple):
    """The parts of a quantity that change sign with the parameter and that do not, at each |parameter| measured on both
    sides: `parameter`, `odd`, `odd_error`, `even`, `even_error` [m], `unit`."""

    parameter: Any
    odd: Any
    odd_error: Any
    even: Any
    even_error: Any
    unit: str


class SeriesFit(AbstractAnswer):
    """One model fitted to several data sets, returned by `fit_series`.

    **Fields:**

    - `parameter` [n]; `coefficients` [n, q], of all sets together, in the data's rate unit and in the order of `names`.
    - `information` [p, p]: R, with RᵀR the inverse of the covariance of the p free numbers, of which those of `shared`
      are one for all sets.
    - `alone` [n, q], `told` [n, q, q]: what each set gives by itself, and the R of its information on that.
    - `fits`: the `ResonatorFit` or `ModeFit` of each set; `shared`: names of coefficients; `name`: of the parameter;
      `modes`: how many resonances, None for two resonators; `result`, a `RESULTS`: the first that is no success.
    """

    parameter: Float[Array, " n"]
    coefficients: Float[Array, "n q"]
    information: Float[Array, "p p"]
    alone: Float[Array, "n q"]
    told: Float[Array, "n q q"]
    fits: tuple[ResonatorFit | ModeFit, ...]
    shared: tuple[str, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)
    modes: int | None = eqx.field(static=True)
    result: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Of the real numbers of a set's coefficients."""
        return self._leaves.names

    @property
    def covariance(self) -> Float[Array, "nq nq"]:
        """The joint covariance of `coefficients`, set by set; NaN where the data do not identify a number."""
        return jnp.asarray(parameter_covariance(np.asarray(self.information), self._place)[0])

    def coefficient(self, name: Any) -> SeriesCoefficient:
        """A quantity against the parameter, in Hz, rad or dB.

        **Arguments:** `name`: of two resonators "omega[0]", "gamma[0]" (into the port), "gamma_0[0]" (intrinsic) and
        those of the other, "kappa" (√|κ12κ21|), "kappa12", "kappa21", "coupling_phase" (arg κ12κ21), "nonreciprocity"
        (|κ21/κ12| in dB), "nonreciprocal_phase" (arg κ21/κ12); of resonances "omega[n]" and "gamma[n]".

        **Returns:** a `SeriesCoefficient`.

        **Raises:** `ValueError` for a name that there is not.

        Usage: `series.coefficient("coupling_phase").error`.
        """
        told = self._told()
        quantity = self._leaves.quantities[as_choice(name, "name", told.names)]
        k = told.names.index(name)
        parameter, value = np.asarray(self.parameter), told.values[k].copy()
        if quantity.angle:
            order = np.argsort(parameter)
            value[order] = np.unwrap(value[order])
        return SeriesCoefficient(parameter, value, told.errors[k], told.covariance[k, :, k], quantity.unit)

    def odd_even(self, name: Any) -> OddEven:
        """The odd and the even part of a quantity, where sets were taken at opposite values: bias reversed.

        Of a device whose time-reversed is that of the opposite bias, κ12(−B) = κ21(B), so that "nonreciprocity" and
        "nonreciprocal_phase" are odd and all else is even.

        **Arguments:** `name`: as of `coefficient`.

        **Returns:** an `OddEven`, whose vectors are empty where no value has its opposite.

        **Raises:** `ValueError` for a name that there is not.

        Usage: `series.odd_even("nonreciprocity").even_error`.
        """
        quantity = self.coefficient(name)
        pairs = np.array(self._pairs()[0], int).reshape(-1, 2)
        i, j = pairs[np.argsort(quantity.parameter[pairs[:, 1]])].T
        own, mixed = quantity.error[i] ** 2 + quantity.error[j] ** 2, 2 * quantity.covariance[i, j]
        return OddEven(
            quantity.parameter[j],
            (quantity.value[j] - quantity.value[i]) / 2,
            np.sqrt(np.maximum(own - mixed, 0.0)) / 2,
            (quantity.value[j] + quantity.value[i]) / 2,
            np.sqrt(np.maximum(own + mixed, 0.0)) / 2,
            quantity.unit,
        )

    def constancy(self) -> dict[str, float]:
        """For each coefficient, how probable scatter like that between the sets is if it does not depend on the
        parameter (χ² of the sets fitted each alone, all other coefficients free in each).

        Usage: `series.constancy()["gamma"]`.
        """
        free = self._combined(())
        return {name: chance(free, self._combined((name,))) for name in self._leaves.groups}

    @property
    def contradiction(self) -> float:
        """How probable it is that noise alone parts the sets from what they share; 1 where they share nothing."""
        return chance(self._combined(()), self._combined(self.shared))

    @property
    def reversal(self) -> float | None:
        """How probable it is that noise alone parts sets taken at opposite values, and at 0, from κ12(−B) = κ21(B) and
        all else even; None where there is no such pair, or of resonances by their number."""
        pairs, zero = self._pairs()
        if self.modes is not None or not pairs:
            return None
        return reversal(np.asarray(self.alone), np.asarray(self.told), self._place, pairs, zero)

    @property
    def lacks(self) -> list[str]:
        """What the model lacks, in sentences: of each set, and in what the sets are said to share."""
        found = [f"At {self._at(i)}: {text}" for i, fit in enumerate(self.fits) for text in _lacks(fit)]
        if self.contradiction < LEAST:
            found.append(f"The data contradict that {', '.join(self.shared)} are shared ({_p(self.contradiction)}).")
        return found

    @property
    def complete(self) -> bool:
        """Whether nothing says that the model lacks something."""
        return not self.lacks

    @property
    def concerns(self) -> list[str]:
        """What speaks against the fit, in sentences."""
        rest = [
            f"At {self._at(i)}: {text}"
            for i, fit in enumerate(self.fits)
            for text in fit.concerns
            if text not in fit.lacks
        ]
        return [*self.lacks, *rest]

    def table(self) -> str:
        """A Markdown table: a row for each quantity, a column for each value of the parameter, all ± their errors."""
        head = [self.name, *(f"{value:.6g}" for value in np.asarray(self.parameter))]
        rows = [head, ["---"] * len(head)]
        for name in self._leaves.quantities:
            told = self.coefficient(name)
            pairs = zip(told.value.tolist(), told.error.tolist(), strict=True)
            shared = " (shared)" if name in self.shared else ""
            rows.append([f"{name}{shared}", *(str(Value(value, error, told.unit)) for value, error in pairs)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
        return "\n".join(f"| {' | '.join(row)} |" for row in padded)

    def report(self) -> str:
        """The table, which coefficients depend on the parameter, what reversed values say, and every concern."""
        what = "two coupled resonators" if self.modes is None else f"{self.modes} resonances"
        lines = [] if self.complete else ["INCOMPLETE: " + " ".join(self.lacks)]
        lines += [f"{what} fitted to {len(self.fits)} data sets over {self.name}", self.table()]
        told = self.constancy()
        varying = [f"{name} ({_p(p)})" for name, p in told.items() if p < VARIES and name not in self.shared]
        constant = [name for name, p in told.items() if p >= VARIES and name not in self.shared]
        if varying:
            lines.append(f"Beyond their errors vary: {', '.join(varying)}.")
        if constant:
            lines.append(f"Constant within their errors: {', '.join(constant)}; pass shared= to fit one value of each.")
        if self.shared:
            lines.append(f"Shared: {', '.join(self.shared)} ({_p(self.contradiction)}).")
        if self.reversal is not None:
            holds = "holds" if self.reversal >= VARIES else "does NOT hold"
            lines.append(f"κ12(−B) = κ21(B), all else even, {holds} within the errors ({_p(self.reversal)}).")
        if self.modes is None:
            lines.append(GAUGE)
        lines += [text for text in self.concerns if self.complete or text not in self.lacks]
        lines += [f"At {self._at(i)}: {fit.verdict.sentence}" for i, fit in enumerate(self.fits)]
        if not self.converged:
            lines.append("A fit did NOT converge: raise max_steps, or look at its residual.")
        return "\n".join(lines)

    def plot(self) -> Any:
        """A matplotlib `Figure`: every quantity against the parameter, with standard errors.

        Usage: `series.plot().savefig("series.pdf")`.
        """
        quantities = self._leaves.quantities
        return draw(
            {name: (quantities[name].symbol, self.coefficient(name)) for name in quantities}, self.name, self.shared
        )

    @property
    def _leaves(self) -> Leaves:
        return leaves_of(self.modes)

    @property
    def _place(self) -> Host:
        return placed(len(self.fits), self._leaves, self.shared)

    def _told(self) -> Told:
        return Told.of(self._leaves, np.asarray(self.coefficients), np.asarray(self.information), self._place)

    def _combined(self, shared: tuple[str, ...]) -> Any:
        place = placed(len(self.fits), self._leaves, shared)
        return combined(np.asarray(self.alone), np.asarray(self.told), place)

    def _pairs(self) -> tuple[list[tuple[int, int]], list[int]]:
        return reversed_pairs(np.asarray(self.parameter))

    def _at(self, i: int) -> str:
        return f"{self.name} {float(self.parameter[i]):.6g}"


def _lacks(fit: ResonatorFit | ModeFit) -> list[str]:
    """What a set's model lacks; at least that its residual is no noise, where it is not."""
    return fit.lacks or ([] if fit.verdict.noise_like else [fit.verdict.sentence])


def _p(probability: float) -> str:
    return f"p = {probability:.2g}" if probability > 1e-12 else "p < 1e-12"
