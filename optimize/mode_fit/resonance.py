"""A resonance in the words of a laboratory, each number with its error."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}


class Value(NamedTuple):
    """A number with its standard error and its unit; printed, both are rounded by the error's first two digits.

    Usage: `print(fit.resonances[0].q_loaded)`.
    """

    value: float
    error: float
    unit: str = ""

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return f"{self.value} {self.unit}".strip()
        power, prefix = 0, ""
        if self.unit not in ("", "dB", "rad") and self.value != 0:
            power = 3 * math.floor(math.log10(abs(self.value)) / 3)
            power = min(max(power, min(PREFIXES)), max(PREFIXES))
            prefix = PREFIXES[power]
        value, error = self.value / 10.0**power, self.error / 10.0**power
        unit = f" {prefix}{self.unit}" if self.unit else ""
        if not (math.isfinite(error) and error > 0):
            return f"{value:.6g}{unit} (no error)"
        decimals = 1 - math.floor(math.log10(error))
        if decimals >= 0:
            return f"{value:.{decimals}f} ± {error:.{decimals}f}{unit}"
        return f"{round(value, decimals):.0f} ± {round(error, decimals):.0f}{unit}"


class Resonance(NamedTuple):
    """`f0` = ω/2π, `fwhm` = γ/π, the full width at half maximum of the power, and `q_loaded` = ω/2γ; in Hz where the
    data are in rad/s. Of data over detunings, whose ω may be anything, Q has no meaning.

    Usage: `fit.resonances[0].fwhm`.
    """

    f0: Value
    fwhm: Value
    q_loaded: Value

    @classmethod
    def of(cls, fit: Any, mode: int) -> Resonance:
        """That of one mode of a fit."""
        names = [name for name, _ in fit.coefficients.rows()]
        chosen = [names.index(f"omega[{mode}]"), names.index(f"gamma[{mode}]")]
        omega, gamma = (float(part[mode]) for part in (fit.coefficients.omega, fit.coefficients.gamma))
        covariance = np.asarray(fit.covariance)[np.ix_(chosen, chosen)]
        slope = np.array([1 / (2 * gamma), -omega / (2 * gamma**2)])
        with np.errstate(invalid="ignore"):
            error = np.sqrt(np.diagonal(covariance))
            return cls(
                Value(omega / (2 * np.pi), float(error[0]) / (2 * np.pi), "Hz"),
                Value(gamma / np.pi, float(error[1]) / np.pi, "Hz"),
                Value(omega / (2 * gamma), float(np.sqrt(slope @ covariance @ slope))),
            )

    def __str__(self) -> str:
        return f"f0 = {self.f0}, FWHM = {self.fwhm}, Q_loaded = {self.q_loaded}"
