"""Published quality factors beside those of `fit_modes`: `python benchmarks/fit_published.py CLONE [CLONE …]`.

A CLONE is a copy of a resonator fitter with its example files, which are no part of this repository:

    git clone https://github.com/sebastianprobst/resonator_tools        (LGPL; the numbers are those of its tests)
    git clone https://github.com/FaustinCarter/scraps                   (MIT; ExampleData.zip in it, unpacked; the
                                                                         numbers are those of its first example)

Without any, the example of scresonators (MIT), which is a formula, and one of scraps' formula with its published
numbers, are fitted. What a fitter's numbers leave of the data is said beside what ours leave: the rms of what is missed
relative to the line beside the resonance, amplitude, phase and delay of which are chosen for the best in both.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402
from report import table  # noqa: E402
from scipy.optimize import least_squares, minimize_scalar  # noqa: E402

import diffnr as nr  # noqa: E402
import optimize as op  # noqa: E402

HEAD = ["data", "quantity", "published", "here", "missed by published", "missed here", "missed by scipy, same formula"]
Trace = Any


def notch(f: Trace, f0: float, loaded: float, coupled: float, phi: float) -> Trace:
    """A resonator beside a line: 1 − (Q_l/|Q_c|) e^{iφ}/(1 + 2iQ_l(f/f₀ − 1))."""
    return 1 - loaded / coupled * np.exp(1j * phi) / (1 + 2j * loaded * (f / f0 - 1))


def shifted_notch(f: Trace, f0: float, df: float, coupled: float, internal: float) -> Trace:
    """scraps' resonator beside a line (`cmplx_hanger`), with 1/Q_l = 1/Q_i + 1/Q_c."""
    x, dx, loaded = (f - f0 - df) / (f0 + df), df / (f0 + df), 1 / (1 / internal + 1 / coupled)
    return (1 / internal + 2j * (x + dx)) / (1 / loaded + 2j * x)


def missed(f: Trace, s: Trace, shape: Trace, delay: float) -> Trace:
    """What the best line of this delay leaves, relative to its amplitude."""
    whole = shape * np.exp(-2j * np.pi * (f - f.mean()) * delay)
    amplitude = np.vdot(whole, s) / np.vdot(whole, whole)
    return (s - amplitude * whole) / abs(amplitude)


def rms(x: Trace) -> float:
    return float(np.sqrt(np.mean(np.abs(x) ** 2)))


def best_delay(f: Trace, s: Trace, shape: Trace) -> float:
    """The delay that leaves least: the best of a grid, refined."""
    step = 0.25 / np.ptp(f)
    grid = step * np.arange(-400, 401)
    start = min(grid, key=lambda delay: rms(missed(f, s, shape, delay)))
    found = minimize_scalar(lambda x: rms(missed(f, s, shape, start + x * step)) ** 2, bracket=(-1, 0, 1), tol=1e-12)
    return start + float(found.x) * step


def by_scipy(f: Trace, s: Trace, f0: float, loaded: float, coupled: float, phi: float) -> tuple[list[float], float]:
    """The same formula with its delay, from the published numbers on: f₀, Q_l, |Q_c|, φ and the rms that is left."""
    delay = best_delay(f, s, notch(f, f0, loaded, coupled, phi))

    def residual(p: np.ndarray) -> np.ndarray:
        shape = notch(f, f0 * (1 + p[0] / loaded), loaded * np.exp(p[1]), coupled * np.exp(p[2]), phi + p[3])
        left = missed(f, s, shape, delay + p[4] / np.ptp(f))
        return np.concatenate([left.real, left.imag])

    p = least_squares(residual, np.zeros(5), x_scale="jac").x
    found = [f0 * (1 + p[0] / loaded), loaded * np.exp(p[1]), coupled * np.exp(p[2]), phi + p[3]]
    return [float(x) for x in found], float(np.sqrt(2 * np.mean(residual(p) ** 2)))


def ours(f: Trace, s: Trace, *, transmission: bool) -> tuple[Any, float]:
    """The resonance, and the rms of what the fit leaves relative to the line beside it."""
    fit = op.fit_modes(nr.FieldData(2 * np.pi * f, s, measured=True, transmission=transmission), 1)
    return fit.resonances[0], rms(np.asarray(fit.residual)) / abs(complex(fit.coefficients.C[0, 0]))


def rows(name: str, f: Trace, s: Trace, published: dict[str, str], numbers: tuple[float, ...], *, transmission: bool):
    """Lines of the table. `numbers`: f₀, Q_l, |Q_c|, φ as published."""
    resonance, here = ours(f, s, transmission=transmission)
    shape = notch(f, *numbers)
    theirs = rms(missed(f, s, shape, best_delay(f, s, shape)))
    (f0, loaded, coupled, phi), scipy_left = by_scipy(f, s, *numbers)
    internal = 1 / (1 / loaded - np.cos(phi) / coupled)
    again = {"f0": f"{f0 / 1e9:.9g} GHz", "Q_loaded": f"{loaded:.0f}", "Q_internal": f"{internal:.0f}"}
    mine = {"f0": resonance.f0, "Q_loaded": resonance.q_loaded, "Q_internal": resonance.q_internal}
    return [
        [name, key, said, str(mine[key]), theirs, here, f"{again[key]} ({scipy_left:.2g})"]
        for key, said in published.items()
    ]


def resonator_tools(clone: Path) -> list[list[Any]]:
    f, level, angle = np.loadtxt(clone / "examples" / "S11.txt", skiprows=1).T
    reflection = 10 ** (level / 20) * np.exp(1j * np.deg2rad(angle))
    # A reflection 1 − (2Q_l/Q_c)/(…) is a notch of half the coupling Q.
    told = {"Q_loaded": "253271 ± 197", "Q_internal": "930127 ± 1743"}
    numbers = (7112934295.376775, 253270.75438, 348041.41366 / 2, 0.0)
    found = rows("S11.txt", f, reflection, told, numbers, transmission=False)
    for row in found:
        if row[1] == "Q_internal":  # 1/Q_l − 1/Q_c, and the notch has twice the latter
            row[-1] = "as Q_loaded"
    with warnings.catch_warnings(action="ignore"):  # its other columns are filled with 1
        data = nr.read_touchstone(clone / "examples" / "S21testdata.s2p").entry(out=1, into=0)
    told = {"f0": "5.9225190 GHz", "Q_loaded": "87129 ± 824", "Q_internal": "127756 ± 1711"}
    numbers = (5922518993.515957, 87129.1129, 273317.60431, 0.06995178)
    trace = np.asarray(data.frequency), np.asarray(data.s)[:, 0, 0]
    return found + rows("S21testdata.s2p", *trace, told, numbers, transmission=True)


def scraps(clone: Path | None) -> list[list[Any]]:
    """Its first example: the file, or (None) the formula with its published numbers and noise of 1e-3."""
    f0, df, coupled, internal = 8174865670.34, 88694.6, 48825.9, 284032.0
    if clone is None:
        f = np.linspace(8.17088e9, 8.178888e9, 2001)
        rng = np.random.default_rng(0)
        draw = rng.normal(size=(f.size, 2)) @ [1, 1j]
        s = shifted_notch(f, f0, df, coupled, internal) * np.exp(1.2j - 2j * np.pi * f * 30e-9) + 1e-3 * draw
    else:
        file = next(clone.rglob("RES-1_-10_DBM_TEMP_0.113.S2P"))
        f, real, imaginary = np.loadtxt(file, skiprows=1, usecols=(0, 1, 2)).T
        s = real + 1j * imaginary
    resonance, here = ours(f, s, transmission=True)
    shape = shifted_notch(f, f0, df, coupled, internal)
    theirs = rms(missed(f, s, shape, best_delay(f, s, shape)))
    name = "scraps, its formula" if clone is None else "scraps, RES-1"
    # The pole is at f₀ + df, and 1/Q_i = 1/Q_l − 1/Q_c as with the diameter correction.
    loaded = 1 / (1 / internal + 1 / coupled)
    mine = [("f0", f"{(f0 + df) / 1e9:.9g} GHz", resonance.f0), ("Q_loaded", f"{loaded:.0f}", resonance.q_loaded)]
    mine.append(("Q_internal", f"{internal:.0f}", resonance.q_internal))
    return [[name, key, told, str(value), theirs, here, ""] for key, told, value in mine]


def scresonators() -> list[list[Any]]:
    """Its example_data_dcm.py: 4.5 GHz, Q_i 4·10⁵, Q_c 2·10⁵, 80 ns, without noise."""
    f0, loaded = 4.5e9, 1 / (1 / 4e5 + 1 / 2e5)
    f = np.linspace(f0 - 30 * f0 / loaded, f0 + 30 * f0 / loaded, 501)
    s = np.exp(-2j * np.pi * f * 80e-9) * notch(f, f0, loaded, 2e5, 0.0)
    told = {"f0": "4.5 GHz", "Q_loaded": f"{loaded:.1f}", "Q_internal": "400000"}
    return rows("scresonators, its formula", f, s, told, (f0, loaded, 2e5, 0.0), transmission=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="published quality factors beside those of fit_modes")
    parser.add_argument("clones", type=Path, nargs="*", metavar="CLONE")
    found = [*scresonators(), *scraps(None)]
    for clone in parser.parse_args().clones:
        found += resonator_tools(clone) if (clone / "resonator_tools").is_dir() else scraps(clone)
    print(table(HEAD, found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
