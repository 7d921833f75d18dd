"""A resonance in the words of a laboratory, each number with its error."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from optimize.mode_fit.port_rates import Rate, port_rates

Host = Any
PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
HERTZ = 1e4  # of |ω|: numbers that no rate unit gives; a measurement is in rad/s whatever they are


class Value(NamedTuple):
    """A number with its standard error and its unit; printed, both are rounded by the error's first two digits. `note`
    says why there is none, or what it takes for granted.

    Usage: `print(fit.resonances[0].q_loaded)`.
    """

    value: float
    error: float
    unit: str = ""
    note: str = ""

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "not identified" if math.isnan(self.value) else f"{self.value} {self.unit}".strip()
        power, prefix = 0, ""
        if self.unit not in ("", "dB", "rad") and self.value != 0:
            power = 3 * math.floor(math.log10(abs(self.value)) / 3)
            power = min(max(power, min(PREFIXES)), max(PREFIXES))
            prefix = PREFIXES[power]
        unit = f" {prefix}{self.unit}" if self.unit else ""
        return f"{rounded(self.value / 10.0**power, self.error / 10.0**power)}{unit}"


class Resonance(NamedTuple):
    """One mode: `f0` = ω/2π, `fwhm` = γ/π, the full width at half maximum of the power, and what it is made of,

        FWHM = FWHM_internal + Σ_ports FWHM_external,      FWHM_external = |d|²/2π,      Q = f0/FWHM of each

    `q_loaded`, `q_internal`, `q_external`; of ports a tuple, counted from 0. So 1/Q_loaded = 1/Q_internal + Σ
    1/Q_external. What leaves by ports that the data do not have (a one-port file of a two-port) counts as internal.

    |d|², the part of the stored energy that leaves by a port each second, is no property of S alone (a mode's |d|/|k|
    is a gauge). It is taken

    - from stored energies, where `data.energy` has them;
    - of a reciprocal mode, R = Rᵀ within its errors, from the port's own reflection: |d|² = |R_mm|. Of modes that
      overlap this is a bound: Q_external may be larger by what `note` says;
    - where one reflection is all there is, |d|² = |R/C|, relative to the direct path, so that the loss of a cable
      before it does not count; where only transmission was measured, |d|² = −Re R/C for both ports alike (there are two
      of them then): the diameter correction, 1/Q_c = cos φ/|Q_c|, of a resonator beside a line, whose Q_c is
      Q_external/2. With no direct path to speak of (|R| > 2γ|C|) it is |R| in both, of S in true size.

    Elsewhere (nonreciprocal modes, ports whose reflection is missing) it is NaN, and `note` says why. Widths have
    errors that are Gaussian, Q_internal of little loss has none: `note` then gives the bound that two errors leave.
    In Hz where the data are in rad/s (measurements, and ω beyond 10⁴), else in the data's unit over 2π. Of data over
    detunings (ω < 0 among them, or 0 where no unit is known) Q has no meaning and is NaN; widths do.

    Usage: `fit.resonances[0].q_external[1]`.

    Source: S. Probst et al. 2015 (diameter correction: M. Khalil et al. 2012); A. Gregory, NPL report MAT 58, 2021.
    """

    f0: Value
    fwhm: Value
    q_loaded: Value
    q_internal: Value
    q_external: tuple[Value, ...]
    fwhm_internal: Value
    fwhm_external: tuple[Value, ...]
    note: str

    @classmethod
    def of(cls, fit: Any, mode: int) -> Resonance:
        """That of one mode of a fit."""
        line = _Line.of(fit, mode)
        rates, note = port_rates(fit, mode)
        inner = line.whole.less(rates)
        internal = line.quality(inner)
        few = _few_losses(line.given(inner), line.centre.value, line.detuned)
        return cls(
            f0=line.width(line.centre),
            fwhm=line.width(line.whole),
            q_loaded=line.quality(line.whole),
            q_internal=internal._replace(note=internal.note or few),
            q_external=tuple(line.quality(rate) for rate in rates),
            fwhm_internal=line.width(inner),
            fwhm_external=tuple(line.width(rate) for rate in rates),
            note=note,
        )

    @classmethod
    def of_powers(cls, fit: Any, mode: int) -> Resonance:
        """That of one mode of a fit to powers, which tell the line alone."""
        line, unknown = _Line.of(fit, mode), Value(np.nan, np.nan)
        return cls(
            f0=line.width(line.centre),
            fwhm=line.width(line.whole),
            q_loaded=line.quality(line.whole),
            q_internal=unknown,
            q_external=(unknown,) * fit.data.num_ports,
            fwhm_internal=unknown,
            fwhm_external=(unknown,) * fit.data.num_ports,
            note="Powers without phase do not tell what a mode loses inside and by its ports.",
        )

    def __str__(self) -> str:
        return ", ".join(line for line in self.lines if line)

    @property
    def lines(self) -> tuple[str, str]:
        """The numbers of the line, and of what it is made of, as text; the latter empty where there are none."""
        line = f"f0 = {self.f0}, FWHM = {self.fwhm}"
        name, own, ports = "FWHM", self.fwhm_internal, self.fwhm_external
        if not np.isnan(self.q_loaded.value):
            line += f", Q_loaded = {self.q_loaded}"
            name, own, ports = "Q", self.q_internal, self.q_external
        told = [f"{value} (port {m + 1})" for m, value in enumerate(ports) if not np.isnan(value.value)]
        parts = [f"{name}_internal = {own}"] if not np.isnan(own.value) else []
        parts += [f"{name}_external = {', '.join(told)}"] if told else []
        return line, ", ".join(parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers take for granted, and why there are none, in sentences."""
        every = [self.note, self.q_internal.note, *(value.note for value in self.fwhm_external)]
        return tuple(dict.fromkeys(note for note in every if note))


class _Line(NamedTuple):
    """What gives rates of one mode their errors and units."""

    centre: Rate
    whole: Rate
    names: list[str]
    covariance: Any
    unit: str
    detuned: bool

    @classmethod
    def of(cls, fit: Any, mode: int) -> _Line:
        omega, gamma = (float(part[mode]) for part in (fit.coefficients.omega, fit.coefficients.gamma))
        return cls(
            centre=Rate(omega, {f"omega[{mode}]": 1.0}),
            whole=Rate(2 * gamma, {f"gamma[{mode}]": 2.0}),
            names=[name for name, _ in fit.coefficients.rows()],
            covariance=np.asarray(fit.covariance),
            unit="Hz" if in_hertz(fit.data) else "",
            # Networks may be known at ω = 0 too.
            detuned=float(fit.data.omega[0]) < 0 or (float(fit.data.omega[0]) == 0 and not in_hertz(fit.data)),
        )

    def given(self, rate: Rate, unit: str = "") -> Value:
        index = [self.names.index(name) for name in rate.slopes]
        slope = np.array(list(rate.slopes.values()))
        error = np.sqrt(max(float(slope @ self.covariance[np.ix_(index, index)] @ slope), 0.0))
        return Value(rate.value, error if index else np.nan, unit, rate.note)

    def width(self, rate: Rate) -> Value:
        return self.given(rate.times(1 / (2 * np.pi)), self.unit)

    def quality(self, rate: Rate) -> Value:
        if self.detuned:
            return Value(np.nan, np.nan, note="Q has no meaning over detunings.")
        return self.given(self.centre.over(rate))


def in_hertz(data: Any) -> bool:
    """Whether ω is in rad/s, as it is in measurements and where it is large."""
    return data.measured or float(np.max(np.abs(data.omega))) >= HERTZ


def rounded(value: float, error: float) -> str:
    """ "value ± error", both rounded by the error's first two digits; in powers of ten where they would be long."""
    if not (math.isfinite(error) and error > 0):
        return f"{value:.6g} (no error)"
    error = float(f"{error:.1e}")
    decimals = 1 - math.floor(math.log10(error))
    power = math.floor(math.log10(max(abs(value), error)))
    if -4 < power < 7 and decimals < 12:
        shown = [f"{round(x, decimals):.{max(decimals, 0)}f}" for x in (value, error)]
        return " ± ".join(shown)
    return f"{value:.{max(decimals + power, 1)}e} ± {error:.1e}"


def _few_losses(inner: Value, omega: float, detuned: bool) -> str:
    """A sentence where the internal loss 2γ_i is within two of its errors, or negative."""
    least = inner.value + 2 * inner.error
    if math.isnan(least) or inner.value > 2 * inner.error:
        return ""
    if least <= 0:
        return (
            f"The internal loss is negative by {-inner.value / inner.error:.2g} of its errors: more leaves by the "
            "ports than the mode loses, which needs gain, or S not in its true size."
        )
    bound = "" if detuned else f", so that Q_internal > {omega / least:.2g}"
    return f"The internal loss is within two of its errors{bound}."
