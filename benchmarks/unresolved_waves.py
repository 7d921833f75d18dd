"""Random guides on coarse and fine cells: is any wave lost in silence?

    python benchmarks/unresolved_waves.py --guides 200

Two to four layers, 24 µm in all, of dielectrics and magnetised plasmas, half of them lossy, at a random frequency. The
truth is the transfer matrix of this file, which shares no code with diffnr: the changes of its sign along real k, and
with loss what Newton's method finds from some thousand places. Each true wave is then, on cells of each size, within
the stated error of one that `guide_modes` finds, or counted as unresolved, or lost in silence, which must not be.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter

import jax
import numpy as np
from scipy.optimize import brentq

from diffnr import fdtd

UM, THZ, LIGHT = 1e-6, 2e12 * np.pi, 299792458.0
CELLS = (2.0, 1.0, 0.5, 0.25, 0.125)  # µm
DEEPEST = 60.0  # |k| times µm up to which truth is looked for
STARTS = 300  # of Newton's method, where there is loss
MODES = 6


def random_guide(rng: np.random.Generator) -> tuple[list[tuple[float, tuple[float, float, float, float]]], float]:
    """Layers of a thickness in µm and (ε∞, ω_p, ν, ω_c) in THz, and a frequency in THz."""
    faces = np.sort(rng.choice(np.arange(1, 12), size=rng.integers(1, 4), replace=False)) * 2.0
    frequency, lossy = rng.uniform(0.6, 2.4), rng.random() < 0.5
    layers = []
    plasma = rng.random(faces.size + 1) < 0.5
    plasma[rng.integers(plasma.size)] = True
    for thickness, moves in zip(np.diff([0.0, *faces, 24.0]), plasma, strict=True):
        eps = rng.uniform(1.0, 16.0)
        omega_p = rng.uniform(0.8, 3.0) if moves else 0.0
        nu = rng.choice([1e-3, 5e-3, 2e-2]) * omega_p if lossy else 0.0
        layers.append((thickness, (eps, omega_p, nu, rng.uniform(-0.6, 0.6) * omega_p)))
    return layers, frequency


def mismatch(layers: list, frequency: float, k: np.ndarray, loss: float = 1.0) -> np.ndarray:
    """Ex at the upper wall, over e^{Σ γd}, of the field with Ex = 0 at the lower one; k in rad/µm."""
    omega, k0 = frequency, frequency * THZ / LIGHT * UM
    k = np.asarray(k, complex)
    h, ex = np.ones_like(k), np.zeros_like(k)
    for thickness, (eps_inf, omega_p, nu, omega_c) in layers:
        s = nu * loss + 1j * omega
        push = omega_p**2 / (1j * omega * (s * s + omega_c**2))
        eps, tilt = eps_inf * (1 + push * s), -eps_inf * push * omega_c
        gamma = np.sqrt(k * k - k0**2 * (eps + tilt**2 / eps) + 0j)
        # Ex of H e^{±γy}, times iωε0.
        rows = [(sign * gamma * eps - 1j * k * tilt) / (eps**2 + tilt**2) for sign in (1, -1)]
        up = (ex - rows[1] * h) / (rows[0] - rows[1])
        # Without loss Ex stays real: over a positive number, where γ is imaginary.
        scale = gamma.real if loss == 0 else gamma
        grown = [part * np.exp((sign * gamma - scale) * thickness) for part, sign in ((up, 1), (h - up, -1))]
        h, ex = grown[0] + grown[1], rows[0] * grown[0] + rows[1] * grown[1]
    return ex


def true_waves(layers: list, frequency: float) -> list[tuple[complex, int]]:
    """(k in rad/µm, direction) of all waves that fall by less than e in a wavelength."""
    grid = 0.02 * np.sinh(np.linspace(-np.arcsinh(DEEPEST / 0.02), np.arcsinh(DEEPEST / 0.02), 60_001))
    real = lambda k: np.real(mismatch(layers, frequency, k, 0.0))  # noqa: E731
    values = real(grid)
    found = []
    for i in np.flatnonzero(values[1:] * values[:-1] < 0):
        k = float(brentq(real, grid[i], grid[i + 1], xtol=1e-15, rtol=np.float64(1e-13)))  # pyright: ignore[reportArgumentType]
        if abs(real(np.array(k))) > 1e-3 * max(abs(values[i]), abs(values[i + 1])):
            continue  # a pole
        # dω/dk by the mismatch's slopes.
        a, b = 1e-7 * abs(k), 1e-7 * frequency
        by_k = real(np.array(k + a)) - real(np.array(k - a))
        at = [mismatch(layers, frequency + change, np.array(k), 0.0) for change in (b, -b)]
        by_omega = np.real(at[0] - at[1])
        direction = int(np.sign(-by_k / a / (by_omega / b)))
        found.append((k, direction))
    if not any(medium[2] for _, medium in layers):
        return [(complex(k), sign) for k, sign in found]
    starts = np.geomspace(1e-3, DEEPEST, STARTS)
    k = np.concatenate([*(s * starts * (1 - 0.05j * d) for s in (1, -1) for d in (-2, 0, 2)), [k for k, _ in found]])
    change = np.full(k.shape, np.inf)
    with np.errstate(all="ignore"):
        for _ in range(60):
            step = 1e-6 * np.abs(k)
            here, ahead, behind = (mismatch(layers, frequency, k + s * step) for s in (0, 1, -1))
            change = here * 2 * step / (ahead - behind)
            k = k - change * np.minimum(1, 0.2 * np.abs(k) / np.abs(change))
        good = (np.abs(change) < 1e-9 * np.abs(k)) & (2 * np.pi * np.abs(k.imag) < np.abs(k.real))
    waves: list[complex] = []
    for root in k[good]:
        if not any(abs(root - other) < 1e-6 * abs(root) for other in waves):
            waves.append(complex(root))
    return [(root, -int(np.sign(root.imag))) for root in waves]


def verdicts(layers: list, frequency: float, truth: list, cell: float) -> tuple[Counter, list[float]]:
    """How each true wave stands on cells of a size, and the errors in k/k of those that are there."""
    media = [
        (thickness * UM, fdtd.GyrotropicDrude(eps, p * THZ, nu * THZ, c * THZ)) for thickness, (eps, p, nu, c) in layers
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        modes = fdtd.guide_modes(fdtd.layered_guide(media, cell * UM), frequency * THZ, MODES)
    said, errors = Counter(), []
    for direction, waves in ((1, modes.forward), (-1, modes.backward)):
        there = np.asarray(waves.valid)
        k, stated = np.asarray(waves.wavenumber)[there] * UM, np.asarray(waves.error)[there] * UM
        alone, free = 0, np.ones(k.size, bool)
        for wave, sign in truth:
            if sign == direction:
                # The closed form's digits: 1e-6 of k.
                near = free & (np.abs(k - wave) <= stated + 1e-6 * abs(wave))
                if np.any(near):
                    chosen = np.flatnonzero(near)[0]
                    free[chosen] = False
                    said["within"] += 1
                    errors.append(stated[chosen] / abs(wave))
                else:
                    alone += 1
        counted = int(waves.unresolved)
        said["unresolved"] += min(alone, counted)
        said["lost"] += max(0, alone - counted)
        said["too many"] += max(0, counted - alone)
        said["none"] += int(np.sum(free))
    return said, errors


def main(guides: int, first: int, cells: tuple[float, ...] = CELLS) -> dict[float, Counter]:
    """The table, by cells."""
    total: dict[float, Counter] = {cell: Counter() for cell in cells}
    errors: dict[float, list[float]] = {cell: [] for cell in cells}
    begun = time.process_time()
    for seed in range(first, first + guides):
        layers, frequency = random_guide(np.random.default_rng(seed))
        truth = true_waves(layers, frequency)
        for cell in cells:
            said, there = verdicts(layers, frequency, truth, cell)
            total[cell] += said
            errors[cell] += there
            if said["lost"] or said["none"] or said["too many"]:
                print(f"  seed {seed}, {cell} µm: {dict(said)}; truth {truth}", flush=True)
    print("| cell (µm) | waves | within | unresolved | lost | not there | too many | median error | largest |")
    for cell in cells:
        said, there = total[cell], errors[cell]
        waves = said["within"] + said["unresolved"] + said["lost"]
        numbers = f"{waves} | {said['within']} | {said['unresolved']} | {said['lost']} | {said['none']}"
        print(f"| {cell} | {numbers} | {said['too many']} | {np.median(there):.1e} | {np.max(there):.1e} |")
    print(f"{time.process_time() - begun:.0f} s of processor time")
    return total


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guides", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cells", type=float, nargs="+", default=CELLS)
    chosen = parser.parse_args()
    main(chosen.guides, chosen.first, tuple(chosen.cells))
