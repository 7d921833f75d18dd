"""What a fitted mode loses into each port, |d|² per unit of stored energy, as far as the data identify it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diffnr.data import entry_name

Host = Any
ALIKE = 5.0  # errors: residues closer than this are the same
TOLD = 0.01  # of Q_external, that modes which overlap may make it wrong by unsaid
STEP = 1e-4  # of half the band, for differences of a polynomial
LOST = 1.0  # beyond it there is no Q_external


class Rate(NamedTuple):
    """A number and its derivatives in the fit's coefficients, by their names; `note` says why it is NaN."""

    value: float
    slopes: dict[str, float]
    note: str = ""

    def times(self, factor: float) -> Rate:
        """The product with a number."""
        return self._replace(value=self.value * factor, slopes=_scaled(self.slopes, factor))

    def over(self, other: Rate) -> Rate:
        """The quotient; infinite for a rate of 0."""
        if other.value == 0:
            return Rate(np.inf, {}, other.note)
        quotient = self.value / other.value
        slopes = _sum(_scaled(self.slopes, 1 / other.value), _scaled(other.slopes, -quotient / other.value))
        return Rate(quotient, slopes, other.note)

    def less(self, others: list[Rate]) -> Rate:
        """What is left without the others."""
        value, slopes, note = self.value, self.slopes, ""
        for other in others:
            value, slopes = value - other.value, _sum(slopes, _scaled(other.slopes, -1.0))
            note = note or (other.note if np.isnan(other.value) else "")
        return Rate(value, slopes, note)


def port_rates(fit: Any, mode: int) -> tuple[list[Rate], str]:
    """|d|² of each port, and a sentence on what it takes for granted; see `Resonance`."""
    ports, measured = fit.data.num_ports, np.asarray(fit.data.entries)
    if fit.coefficients.outcoupling is not None:
        value = np.asarray(fit.coefficients.outcoupling)[:, mode]
        return [Rate(float(value[m]), {f"outcoupling[{m},{mode}]": 1.0}) for m in range(ports)], ""
    seen = np.argwhere(measured).tolist()
    if fit.data.transmission:
        return _of_one_entry(fit, mode, 0, 0, both=True)
    if ports == 2 and not measured.diagonal().any():
        return _of_one_entry(fit, mode, *seen[-1], both=True)
    if ports == 1:
        return _of_one_entry(fit, mode, 0, 0, both=False)
    alike = _reciprocal(fit, mode)
    if alike is False:
        why = (
            f"Mode {mode} is nonreciprocal (its residue is not symmetric), and S does not tell what such a mode loses "
            "by each port: give stored energies, data.energy."
        )
        return [Rate(np.nan, {}, why)] * ports, ""
    larger = _overlap(fit, mode)
    if larger > LOST:
        why = f"Mode {mode} and its neighbours are so close that S does not tell what each loses by which port."
        return [Rate(np.nan, {}, why)] * ports, ""
    notes = [] if alike else [f"Q_external of mode {mode} holds if the device is reciprocal."]
    if larger > TOLD:
        notes.append(f"Q_external of mode {mode} may be larger by up to {100 * larger:.2g} %: modes overlap.")
    return [_of_reflection(fit, mode, m, bool(measured[m, m])) for m in range(ports)], " ".join(notes)


def _of_reflection(fit: Any, mode: int, port: int, measured: bool) -> Rate:
    error = complex(np.asarray(fit.stderr.residues)[mode, port, port])
    if not measured and np.isnan(error):
        name = entry_name(port, port, fit.data.num_ports)
        return Rate(np.nan, {}, f"{name} was not measured; reciprocal=True may tell it from the other entries.")
    entry = Entry.of(fit, mode, port, port)
    return entry.rate(abs(entry.R), entry.along, note=entry.doubt(f"that of port {port + 1}"))


def _of_one_entry(fit: Any, mode: int, out: int, into: int, *, both: bool) -> tuple[list[Rate], str]:
    """The rates where one entry is all there is: of the port that reflects, or (`both`) of two of a transmission."""
    entry = Entry.of(fit, mode, out, into)
    R, C = entry.R, entry.C
    name = "a transmission" if fit.data.transmission else entry_name(out, into, fit.data.num_ports)
    note = f"Q_external is relative to the direct path of {name}, {abs(C):.3g}"
    if abs(R) > 2 * entry.gamma * abs(C):
        note = f"Q_external takes {name} in its true size"
        rate = entry.rate(abs(R), entry.along, note=entry.doubt(f"that of {name}"))
    elif both and (R / C).real > 0:
        return [Rate(np.nan, {}, f"The mode is no dip of {name}, which then does not tell Q_external.")] * 2, ""
    elif both:
        rate = entry.rate((-R / C).real, -1 / C, R / C**2)
    else:
        rate = entry.rate(abs(R / C), entry.along / abs(C), -abs(R) * C.conjugate() / abs(C) ** 3)
    if not both:
        return [rate], f"{note}."
    return [rate, rate], f"{note}, and both ports alike: of a resonator beside a line Q_c is half of it."


class Entry(NamedTuple):
    """A mode's residue `R` in an entry of S and the direct path `C` beside it, at the reference planes for which the
    phase of the direct path is flat at the mode, rather than at band centre as that of the fit's coefficients.

    Poles lie off the real axis, where e^{−iωt} has the size e^{γt}: planes that are a time t further leave

        R e^{−γt},      C + R (1 − e^{−γt})/γ

    with t = t_out + t_in, by which direct paths turn still. It is of their curvature alone, and its errors count for
    nothing beside those of R and C.
    """

    place: tuple[int, int, int]  # mode, out, into
    R: complex
    C: complex
    gamma: float
    time: float
    told: bool  # whether direct paths that are bright enough to have a phase tell the planes

    @classmethod
    def of(cls, fit: Any, mode: int, out: int, into: int) -> Entry:
        residues, gamma = (np.asarray(part)[mode] for part in (fit.coefficients.residues, fit.coefficients.gamma))
        R, C, time, told = complex(residues[out, into]), complex(fit.coefficients.C[out, into]), 0.0, True
        if fit.planes is not None:
            half, planes = float(fit.half_band), fit.planes
            x = (float(fit.coefficients.omega[mode]) - float(fit.centre)) / half
            before, path, after = planes.direct_path(x + STEP * np.array([-1, 0, 1]))
            C, ports = complex(path[out, into]), np.eye(len(path))
            seen_out, seen_into = np.nonzero(planes.bright)
            size = np.abs(path)[planes.bright]
            turning = ((after - before) * path.conj())[planes.bright].imag / (2 * STEP * half)
            rows = size[:, None] * (ports[seen_out] + ports[seen_into])
            times = np.linalg.pinv(rows) @ (-turning / np.maximum(size, 1e-300))
            time = float(times[out] + times[into])
            told = planes.fixed or planes.tells(out, into)
        factor = float(np.exp(-gamma * time))
        return cls((mode, out, into), R * factor, C + R * (1 - factor) / gamma, float(gamma), time, told)

    @property
    def along(self) -> complex:
        """The derivative of |R|."""
        return self.R.conjugate() / max(abs(self.R), 1e-300)

    def doubt(self, delay: str) -> str:
        """A sentence where no direct path tells the planes."""
        if self.told:
            return ""
        why = f"No direct path is bright enough to tell a delay, {delay}, from a background that turns with frequency"
        share = abs(self.C) * self.gamma / max(abs(self.R), 1e-300)
        return (
            f"{why}: at planes where the direct path is not as small, Q_external differs by some {100 * share:.2g} %."
        )

    def rate(self, value: float, u: complex, v: complex = 0.0, *, note: str = "") -> Rate:
        """A number that changes by Re(u dR + v dC).

        C is where the mode is, and its errors stand at band centre: they differ by little.
        """
        (mode, out, into), gamma, time = self.place, self.gamma, self.time
        factor = float(np.exp(-gamma * time))
        R = self.R / factor
        of_residue = u * factor + v * (1 - factor) / gamma
        of_gamma = -u * factor * time * R + v * R * (factor * time / gamma - (1 - factor) / gamma**2)
        entry = f"{out},{into}]"
        slopes = {
            f"Re residues[{mode},{entry}": of_residue.real,
            f"Im residues[{mode},{entry}": -of_residue.imag,
            f"gamma[{mode}]": of_gamma.real,
        }
        if v:
            slopes |= {f"Re C[{entry}": v.real, f"Im C[{entry}": -v.imag}
        return Rate(value, slopes, note)


def _reciprocal(fit: Any, mode: int) -> bool | None:
    """Whether a mode's residue is symmetric within its errors; None where no pair of ports tells."""
    if fit.reciprocity.reciprocal:
        return True
    R, error = (np.asarray(part.residues)[mode] for part in (fit.coefficients, fit.stderr))
    apart = R - R.T
    out, into = np.triu_indices(len(R), 1)
    gaps = np.stack([apart.real, apart.imag])[:, out, into]
    spread = np.stack([np.hypot(error.real, error.real.T), np.hypot(error.imag, error.imag.T)])[:, out, into]
    told = np.isfinite(spread)
    if not np.any(told):
        return None if fit.reciprocity.reciprocal is None else False
    return bool(np.all(np.abs(gaps[told]) <= ALIKE * spread[told]))


def _overlap(fit: Any, mode: int) -> float:
    """By what part of itself the energy of a mode may exceed that of its neighbours' absence, at most about.

        |⟨i|j⟩|² ≤ 4γ_iγ_j / ((γ_i + γ_j)² + (ω_i − ω_j)²)

    as what is lost bounds how far modes are from orthogonal (Bell and Steinberger 1965). S does not tell more.
    """
    omega, gamma = np.asarray(fit.coefficients.omega), np.abs(np.asarray(fit.coefficients.gamma))
    shared = 4 * gamma * gamma[mode] / ((gamma + gamma[mode]) ** 2 + (omega - omega[mode]) ** 2)
    total = float(np.sum(np.delete(shared, mode)))
    return 1 / np.sqrt(1 - total) - 1 if total < 1 else np.inf


def _scaled(slopes: dict[str, float], factor: float) -> dict[str, float]:
    return {name: factor * slope for name, slope in slopes.items()}


def _sum(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in first | second}
