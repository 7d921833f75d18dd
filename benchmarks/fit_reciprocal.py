"""Reciprocal devices, fitted with and without S = Sᵀ demanded: `python benchmarks/fit_reciprocal.py [--devices N]`.

Devices of 1–4 ports and 1–3 modes over 201 points, behind cables or not, with noise 1e-5 … 1e-2, σ given or not. Prints
how many have every pole within five standard errors, and how often 95 % intervals hold poles and the widths by which
modes lose into ports.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

import diffnr as nr  # noqa: E402
import optimize as op  # noqa: E402

OMEGA = np.linspace(8.0, 12.0, 201)


def fitted(seed: int, *, reciprocal: bool) -> tuple[Any, Any, bool]:
    """How many standard errors poles and external widths of a random device are off, and whether the fit is content."""
    rng = np.random.default_rng(seed)
    modes, ports = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    sigma, delay, known = 10 ** rng.uniform(-5, -2), bool(rng.integers(2)), bool(rng.integers(2))
    draw = lambda *shape: rng.normal(size=shape) + 1j * rng.normal(size=shape)  # noqa: E731
    D, C = 0.3 * draw(ports, modes) / np.sqrt(ports), draw(ports, ports)
    C = 0.8 * (C + C.T) / np.linalg.norm(C + C.T, 2)
    omega, gamma = np.sort(rng.uniform(8.5, 11.5, modes)), rng.uniform(0.04, 0.3, modes)
    s = C + np.einsum("on,fn,in->foi", D, 1 / (1j * (OMEGA[:, None] - omega) + gamma), D)
    if delay:
        tau = rng.uniform(0, 6, ports)
        s = s * np.exp(-1j * (OMEGA - 10)[:, None, None] * (tau[:, None] + tau))
    data = nr.FieldData(OMEGA, s + sigma * draw(*s.shape), sigma=sigma if known else None)
    fit = op.fit_modes(data, modes, delay=delay, reciprocal=reciprocal, passive=False)
    pairs = ((fit.coefficients.omega, fit.stderr.omega, omega), (fit.coefficients.gamma, fit.stderr.gamma, gamma))
    poles = np.concatenate([(np.asarray(value) - true) / np.asarray(error) for value, error, true in pairs])
    widths = [
        (float(value) - abs(D[port, n]) ** 2 / (2 * np.pi)) / value.error
        for n, resonance in enumerate(fit.resonances)
        for port, value in enumerate(resonance.fwhm_external if ports > 1 else ())
    ]
    return poles, np.array(widths), fit.complete and not fit.concerns


def main() -> int:
    parser = argparse.ArgumentParser(description="reciprocal devices, with and without S = Sᵀ demanded")
    parser.add_argument("--devices", type=int, default=60)
    count = parser.parse_args().devices
    print("| S = Sᵀ demanded | right | flagged | wrong | poles in 95 % | widths in 95 % | s a fit |")
    print("|---|---|---|---|---|---|---|")
    for reciprocal in (True, False):
        begun = time.perf_counter()
        runs = [fitted(seed, reciprocal=reciprocal) for seed in range(count)]
        each = (time.perf_counter() - begun) / count
        good = [bool(np.all(np.abs(poles) < 5)) for poles, _, _ in runs]
        wrong = sum(content and not right for right, (_, _, content) in zip(good, runs, strict=True))
        held = []
        for scores in (np.concatenate([run[k] for run in runs]) for k in (0, 1)):
            known = scores[np.isfinite(scores)]
            held.append(f"{100 * np.mean(np.abs(known) < 1.959964):.1f} % of {known.size}")
        flagged = count - sum(good) - wrong
        print(f"| {reciprocal} | {sum(good)} | {flagged} | {wrong} | {held[0]} | {held[1]} | {each:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
