"""What a fitted mode loses into each port, |d|² per unit of stored energy, as far as the data identify it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diffnr.data import entry_name

Host = Any
ALIKE = 5.0  # errors: residues closer than this are the same
TOLD = 0.01  # of Q_external, that modes which overlap may make it wrong by unsaid
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
            note = note or other.note
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
    residue, error = (np.asarray(part.residues)[mode, port, port] for part in (fit.coefficients, fit.stderr))
    if not measured and np.isnan(error):
        name = entry_name(port, port, fit.data.num_ports)
        return Rate(np.nan, {}, f"{name} was not measured; reciprocal=True may tell it from the other entries.")
    return Rate(float(abs(residue)), _slopes(mode, port, port, residue.conj() / max(abs(residue), 1e-300)))


def _of_one_entry(fit: Any, mode: int, out: int, into: int, *, both: bool) -> tuple[list[Rate], str]:
    """The rates where one entry is all there is: of the port that reflects, or (`both`) of two of a transmission."""
    R, gamma = complex(fit.coefficients.residues[mode, out, into]), float(fit.coefficients.gamma[mode])
    x = (float(fit.coefficients.omega[mode]) - float(fit.centre)) / float(fit.half_band)
    # The direct path where the mode is; its errors are nearly those at band centre, and small beside R's.
    C = complex(fit.response.direct_path(np.array([x]))[0, out, into])
    along = R.conjugate() / max(abs(R), 1e-300)
    name = "a transmission" if fit.data.transmission else entry_name(out, into, fit.data.num_ports)
    note = f"Q_external is relative to the direct path of {name}, {abs(C):.3g}"
    if abs(R) > 2 * gamma * abs(C):
        note = f"Q_external takes {name} in its true size"
        rate = Rate(abs(R), _slopes(mode, out, into, along))
    elif both:
        rate = Rate((-R / C).real, _slopes(mode, out, into, -1 / C, R / C**2))
    else:
        size = abs(R / C)
        rate = Rate(size, _slopes(mode, out, into, along / abs(C), -size * C.conjugate() / abs(C) ** 2))
    if not both:
        return [rate], f"{note}."
    return [rate, rate], f"{note}, and both ports alike: of a resonator beside a line Q_c is half of it."


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


def _slopes(mode: int, out: int, into: int, of_residue: complex, of_direct: complex = 0.0) -> dict[str, float]:
    """By name, for a change Re(u dR + v dC)."""
    entry = f"{out},{into}]"
    slopes = {f"Re residues[{mode},{entry}": of_residue.real, f"Im residues[{mode},{entry}": -of_residue.imag}
    if of_direct:
        slopes |= {f"Re C[{entry}": of_direct.real, f"Im C[{entry}": -of_direct.imag}
    return slopes


def _scaled(slopes: dict[str, float], factor: float) -> dict[str, float]:
    return {name: factor * slope for name, slope in slopes.items()}


def _sum(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in first | second}
