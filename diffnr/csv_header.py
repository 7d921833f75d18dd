"""The header of a CSV file: what its first column is, and which S-parameter each of the others holds."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffnr.text_files import place, refusal

_UNITS = {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9, "thz": 1e12}
_HERTZ = re.compile(r"(?:f|freq|frequency)\.? ?(t|g|m|k)?hz")
_WAVELENGTH = re.compile(r"(?:wavelength|lambda|wl|λ)s?(?: (.*))?")
_METRES = {"m": 1.0, **dict.fromkeys(("um", "µm", "μm", "micron", "microns"), 1e-6), "nm": 1e-9}
_LIGHT = 299792458.0  # m/s
_ENTRY = re.compile(r"\bs ?(?:([1-9]\d*)[ ,]([1-9]\d*)|([1-9])([1-9])(?!\d))")
WORDS = {
    "re": ("re", "real"),
    "im": ("im", "imag", "imaginary"),
    "mag": ("mag", "magnitude", "abs", "lin mag", "linmag"),
    "db": ("db", "mag db", "magnitude db", "log mag db", "logmag db"),
    "deg": ("deg", "phase deg", "ang deg", "angle deg", "arg deg"),
    "rad": ("rad", "phase rad", "ang rad", "angle rad", "arg rad"),
    "power": ("power", "abs2", "mag2"),
    "sigma": ("sigma",),
}
_POWERS = {
    **dict.fromkeys(("t", "transmission", "transmittance"), "s21"),
    **dict.fromkeys(("r", "reflection", "reflectance"), "s11"),
}
_KINDS = {words: kind for kind, forms in WORDS.items() for words in forms}


class Axis(NamedTuple):
    """What the first column is: frequencies of so many hertz, wavelengths of so many metres, or (neither) omega."""

    title: str
    hertz: float = 0.0
    metres: float = 0.0

    @classmethod
    def of(cls, path: Path, title: str) -> Axis:
        words = re.sub(r"[\W_]+", " ", title.lower()).strip()
        hertz, wavelength = _HERTZ.fullmatch(words), _WAVELENGTH.fullmatch(words)
        if hertz:
            return cls(title, hertz=_UNITS[f"{hertz[1] or ''}hz"])
        if words == "omega rad s":
            return cls(title)
        if wavelength and wavelength[1] in _METRES:
            return cls(title, metres=_METRES[wavelength[1]])
        if wavelength:
            must = "say the one unit of its wavelengths, nm, µm or m (wavelength_nm, Wavelength (µm))"
        else:
            must = (
                "have frequency_hz (or another unit: Frequency (GHz)), omega_rad_s or a wavelength with its unit "
                "(wavelength_nm) as its first column"
            )
        raise refusal(path, f"must {must}, but has {title!r}")

    def omega(self, values: Any) -> Any:
        """Angular frequencies in rad/s."""
        if self.metres:
            return 2 * np.pi * (_LIGHT / (self.metres * values))
        return 2 * np.pi * (self.hertz * values) if self.hertz else values

    def place(self, line: int, value: float) -> str:
        """A line with its frequency, where it has one."""
        known = math.isfinite(value) and (value > 0 or not self.metres)
        return place(line, float(self.omega(value)) / (2 * np.pi) if known else None)

    def sentence(self, path: Path, turned: bool) -> str:
        """What wavelengths were taken for."""
        unit = {1.0: "m", 1e-6: "µm", 1e-9: "nm"}[self.metres]
        order = ", and the lines turned round" if turned else ""
        return (
            f"File {str(path)!r} has wavelengths: {self.title!r} is taken as {unit} in vacuum, f = c/λ{order}, so that "
            "frequencies rise."
        )


def read_header(path: Path, header: list[str]) -> tuple[Axis, list[str]]:
    """The first column, and all names in one form (axis, S_1_1_re, energy_1, energy_1_sigma, sigma, ...)."""
    axis, names = Axis.of(path, header[0]), ["axis"]
    for column in header[1:]:
        words = re.sub(r"[^\w,]+|_", " ", re.sub(r"trc\d+_?", "", column.lower())).strip()
        first, *unit = words.split() or [""]
        if first in _POWERS and unit in ([], ["db"]):
            words = f"{_POWERS[first]} {'db' if unit else 'power'}"
        entry = _ENTRY.search(words)
        if entry:
            kind = _KINDS.get(" ".join(f"{words[: entry.start()]} {words[entry.end() :]}".split()))
            name = f"S_{entry[1] or entry[3]}_{entry[2] or entry[4]}_{kind}"
        else:
            name = words.replace(" ", "_")
            kind = re.fullmatch(r"sigma|energy_[1-9]\d*(_sigma)?", name)
        if not kind:
            raise refusal(path, f"must have columns such as S11_re, energy_1 or sigma, but has {column!r}")
        if name in names:
            raise refusal(path, f"must name each column once, but names {column!r} twice")
        names.append(name)
    return axis, names
