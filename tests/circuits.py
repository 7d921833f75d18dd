"""Circuits of low Q in closed form, and how their poles scatter in fits: `python -m tests.circuits`."""

from typing import Any, NamedTuple

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

import diffnr as nr  # noqa: E402
import optimize as op  # noqa: E402

GIGAHERTZ = 2e9 * np.pi
LINE = 50.0  # Ω


def parallel(omega: np.ndarray, q: float = 5.0, loss: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """S of a parallel RLC between two lines, of loaded q at 1 GHz, and its pole."""
    conductance = 1 / loss + 2 / LINE
    capacitance = q * conductance / GIGAHERTZ
    inductance = 1 / (GIGAHERTZ**2 * capacitance)
    y = LINE * (1 / loss + 1j * omega * capacitance + 1 / (1j * omega * inductance))
    s = np.array([[-y, np.full_like(y, 2)], [np.full_like(y, 2), -y]]) / (2 + y)
    return np.moveaxis(s, 2, 0), upper(np.array([capacitance, conductance, 1 / inductance]))


def series(omega: np.ndarray, q: float, loss: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """S of a series RLC at the end of a line, known at ω = 0 too, where it is open."""
    inductance = q * (loss + LINE) / GIGAHERTZ
    slope = 1 / (GIGAHERTZ**2 * inductance)
    z = (loss - LINE) * 1j * omega - omega**2 * inductance + 1 / slope
    whole = z + 2 * LINE * 1j * omega
    return (z / whole)[:, None, None], upper(np.array([inductance, loss + LINE, 1 / slope]))


def tanks(omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S of two parallel RLC in a row at the end of a line, whose poles have Q of 2.6 and 5.7."""
    s, first, second = (
        1j * omega,
        *(np.array([1.0, f0 * GIGAHERTZ / q, (f0 * GIGAHERTZ) ** 2]) for f0, q in ((0.85, 6.0), (1.25, 10.0))),
    )
    tops = [resistance * np.array([part[1], 0.0]) for resistance, part in ((60.0, first), (40.0, second))]
    z = sum(np.polyval(top, s) / np.polyval(part, s) for top, part in zip(tops, (first, second), strict=True))
    across = np.polyadd(np.polymul(tops[0], second), np.polymul(tops[1], first))
    poles = upper(np.polyadd(across, LINE * np.polymul(first, second)))
    return ((z - LINE) / (z + LINE))[:, None, None], poles


def rotating(omega: np.ndarray, q: float) -> tuple[np.ndarray, np.ndarray]:
    """S of one mode of rotating waves, which has no pole at a negative frequency."""
    pole = 1j * GIGAHERTZ - GIGAHERTZ / 2 / q
    return (1 + 1.2 * pole.real / (1j * omega - pole))[:, None, None], np.array([pole])


def upper(polynomial: np.ndarray) -> np.ndarray:
    """Its roots of positive frequency, by rising frequency."""
    roots = np.roots(polynomial)
    return np.array(sorted(roots[roots.imag > 0], key=lambda root: root.imag))


def measured(omega: np.ndarray, s: np.ndarray, noise: float, seed: int = 0, cables: Any = 0.0, **kind: Any) -> Any:
    """Data behind cables of so many seconds."""
    rng, cables = np.random.default_rng(seed), np.broadcast_to(cables, s.shape[1])
    s = s * np.exp(-1j * omega[:, None, None] * (cables[:, None] + cables))
    s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    return nr.FieldData(omega, s, **({"measured": True} | kind))


def scores(fit: Any, poles: np.ndarray) -> np.ndarray:
    """What ω and γ are off by, in standard errors."""
    off = np.concatenate([fit.coefficients.omega - poles.imag, fit.coefficients.gamma + poles.real])
    return off / np.concatenate([fit.stderr.omega, fit.stderr.gamma])


OCTAVE = GIGAHERTZ * np.linspace(0.65, 1.35, 101)
WIDE = GIGAHERTZ * np.linspace(0.6, 1.5, 101)


class Circuit(NamedTuple):
    """S and its poles over `omega`, behind `cables` of so many seconds."""

    of: Any
    omega: np.ndarray
    cables: Any
    modes: int


CIRCUITS = {
    "two-port of Q 5": Circuit(parallel, WIDE, (0.3e-9, 0.7e-9), 1),
    "behind longer cables": Circuit(parallel, WIDE, (3e-9, 5e-9), 1),
    "two resonances, Q 2.6 and 5.7": Circuit(tanks, WIDE, 1e-9, 2),
    "reflection of Q 3": Circuit(lambda omega: series(omega, 3.0), GIGAHERTZ * np.linspace(0.5, 1.5, 201), 0.0, 1),
    "from ω = 0, Q 10": Circuit(lambda omega: series(omega, 10.0), GIGAHERTZ * np.linspace(0, 2, 201), 0.0, 1),
}


def scatter(circuit: Circuit, draws: int, modes: Any = None) -> tuple[np.ndarray, int]:
    """Of draws of noise of 10⁻³, what poles are off by in standard errors [draw, number], and how many fits have
    images."""
    s, poles = circuit.of(circuit.omega)
    data = [measured(circuit.omega, s, 1e-3, seed, circuit.cables) for seed in range(draws)]
    fits = [op.fit_modes(one, circuit.modes if modes is None else modes) for one in data]
    return np.array([scores(fit, poles) for fit in fits]), sum(fit.negative_frequency_poles for fit in fits)


if __name__ == "__main__":
    for name, circuit in CIRCUITS.items():
        off, images = scatter(circuit, 40)
        print(f"{name}: rms {np.sqrt(np.mean(off**2)):.2f} errors, {images} of {len(off)} with images", flush=True)
