"""How true the standard errors of `fit_modes` are beside a direct path that varies over the band:
`python benchmarks/fit_errors.py [--draws N] [--first SEED] [--noise SIGMA]`.

Random reflections, hangers (as two-ports, and S21 alone) and two-ports of two modes, behind cables of 0–100 ns, are
fitted with delays and a background of order 1 and 2; half of them have a constant direct path, half one of that order.
The truth is taken at the reference planes for which its direct path is flat. For each kind of number: the rms of what
is wrong in units of its standard error, and how many lie within 1.96 of it. Fits that say that something is wrong (not
complete, a residual that is no noise, errors withheld) count as flagged alone.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

import diffnr as nr  # noqa: E402
import optimize as op  # noqa: E402
from optimize.mode_fit.coefficients import coefficients_of  # noqa: E402
from optimize.mode_fit.form import Form, to_pairs  # noqa: E402
from optimize.mode_fit.planes import FlatPlanes  # noqa: E402

HALF = 2 * np.pi * 50e6  # rad/s
CENTRE = 2 * np.pi * 6e9
X = np.linspace(-1, 1, 301)
KINDS = "reflection", "hanger", "hanger, S21 alone", "two modes"
FIELDS = "omega", "gamma", "residues", "C", "delay"


def device(kind: str, order: int, seed: int) -> Form:
    """A passive device behind cables; of odd seeds the direct path varies over the band."""
    rng = np.random.default_rng(seed)
    turn = lambda *shape: np.exp(2j * np.pi * rng.random(shape))  # noqa: E731
    ports, modes = 1 if kind == "reflection" else 2, 2 if kind == "two modes" else 1
    width = 10 ** rng.uniform(-2, -0.7, modes)
    if kind == "two modes":
        C = np.linalg.qr(rng.normal(size=(5, 2)) + 1j * rng.normal(size=(5, 2)))[0]
        D = (rng.normal(size=(5, modes)) + 1j * rng.normal(size=(5, modes))) * 1.0
        D *= np.sqrt(2 * width) / np.linalg.norm(D, axis=0)
        A = 1j * np.diag(np.array([-0.5, 0.3]) + rng.uniform(-0.2, 0.2, 2)) - D.conj().T @ D / 2
        D, K, C = D[:2], -(D.conj().T @ C).T, C[:2]
    else:
        A, C = np.array([[1j * rng.uniform(-0.5, 0.5) - width[0]]]), (np.eye(2)[::-1] if ports > 1 else np.eye(1)) + 0j
        coupled = np.sqrt(width[0] * rng.uniform(0.2, 0.8) / (1 if ports > 1 else 0.5))
        D = coupled * np.exp(0.2j * rng.normal()) * np.ones((ports, 1))
        C, K = 0.9 * C, -D
    path = np.stack([C, *([C * (0.2 * rng.normal() * turn(1)[0]) for _ in range(order)] if seed % 2 else [])])
    cables = rng.choice([0.0, 1.0, 10.0, 100.0]) * 1e-9 * HALF * rng.random(ports)
    parts = {"A": A, "D": D, "K": K, "background": path}
    form = Form(**{name: to_pairs(part) for name, part in parts.items()}, delay=cables)
    gain = max(1.0, float(np.max(np.linalg.norm(form.response(X)[0], 2, axis=(1, 2)))) / 0.97)
    return replace(form, D=form.D / gain, background=form.background / gain)


def scores(kind: str, order: int, seed: int, noise: float) -> dict[str, Any] | None:
    """What is wrong in units of its error, by field of the coefficients; None where the fit says that it is no good."""
    form = device(kind, order, seed)
    rng = np.random.default_rng([seed, 1])
    s = form.response(X)[0]
    s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    entries = np.ones(s.shape[1:], bool)
    if kind == "hanger, S21 alone":
        entries = np.array([[False, False], [True, False]])
    data = nr.FieldData(CENTRE + HALF * X, np.where(entries, s, np.nan), measured=True)
    fit = op.fit_modes(data, len(form.A), delay=True, background=order)
    if not fit.complete or not fit.verdict.noise_like or fit.verdict.errors == "withheld":
        return None
    true, found = coefficients_of(FlatPlanes.of(form, entries).form(), CENTRE, HALF, energy=False), {}
    for field in FIELDS:
        off: Any = np.asarray(getattr(fit.coefficients, field)) - np.asarray(getattr(true, field))
        error: Any = np.asarray(getattr(fit.stderr, field))
        if np.iscomplexobj(off):
            off, error = np.stack([off.real, off.imag]), np.stack([error.real, error.imag])
        found[field] = (off / error)[np.isfinite(error)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="whether the standard errors of fit_modes are true")
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--orders", nargs="*", type=int, default=(1, 2))
    parser.add_argument("--noise", type=float, default=1e-3)
    parser.add_argument("--worst", action="store_true", help="list draws that are off by more than five errors")
    arguments = parser.parse_args()
    print("| device | background | flagged |" + "".join(f" {field} |" for field in FIELDS))
    print("|---" * (3 + len(FIELDS)) + "|")
    for kind in arguments.kinds:
        for order in arguments.orders:
            found, flagged = defaultdict(list), 0
            for seed in range(arguments.first, arguments.first + arguments.draws):
                z = scores(kind, order, seed, arguments.noise)
                flagged += z is None
                for field, values in ({} if z is None else z).items():
                    found[field].append(values.ravel())
                    if arguments.worst and np.any(np.abs(values) > 5):
                        print(f"{kind}, order {order}, seed {seed}: {field} {np.round(values.ravel(), 1)}")
            row = f"| {kind} | {order} | {flagged} |"
            for field in FIELDS:
                z = np.concatenate(found[field])
                inside = 100 * np.sum(np.abs(z) < 1.96) / max(z.size, 1)
                rms = np.sqrt(np.sum(z**2) / max(z.size, 1))
                row += f" {rms:.2f}, {inside:.1f} % of {z.size} |" if z.size else " not told |"
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
