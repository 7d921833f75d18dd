"""`fit_modes` on random devices whose truth is known:
`python benchmarks/fit_devices.py [--devices N] [--first SEED] [--auto]`.

Devices of 1–4 ports and modes, matched or not, behind cables of 0–100 ns, with noise 0 and 1e-9 … 1e-2, σ given or not,
2 … 50 points a width, over a band of 100 MHz. A fit is right where every pole lies within five standard errors (and
1e-6 of its width, for round-off) of a true one; flagged where it says that something is wrong: `concerns`, a residual
that is not noise, errors withheld, no convergence. What is neither counts as wrong if the data identify the poles: if
the least standard errors possible, those of the exact model at its true parameters (Cramér and Rao), are below a tenth
of the width for every one. With --auto the number of modes is not given: it counts as right where it is the true one.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

import diffnr as nr  # noqa: E402
import optimize as op  # noqa: E402
from optimize.least_squares import parameter_covariance  # noqa: E402
from optimize.mode_fit.coefficients import coefficient_slopes  # noqa: E402
from optimize.mode_fit.form import Form, to_pairs  # noqa: E402

HALF = 2 * np.pi * 50e6  # rad/s
CENTRE = 2 * np.pi * 6e9


def device(rng: np.random.Generator) -> dict[str, Any]:
    """A passive device: lossless with hidden ports, of which only the first are seen."""
    ports, modes, points = int(rng.integers(1, 5)), int(rng.integers(1, 5)), int(rng.integers(101, 402))
    matched, per_width = bool(rng.integers(2)) and ports > 1, 10 ** rng.uniform(np.log10(2), np.log10(50), modes)
    width = np.minimum(per_width * 2 / (points - 1) / 2, 0.5)
    wires = 2 * ports + 1
    if matched:
        C = np.zeros((wires, ports), complex)
        C[np.arange(ports), np.roll(np.arange(ports), 1)] = 0.95 * np.exp(2j * np.pi * rng.random(ports))
        C[ports : 2 * ports] = np.sqrt(1 - 0.95**2) * np.eye(ports)
    else:
        C = np.linalg.qr(rng.normal(size=(wires, ports)) + 1j * rng.normal(size=(wires, ports)))[0]
    D = rng.normal(size=(wires, modes)) + 1j * rng.normal(size=(wires, modes))
    D *= np.sqrt(2 * width) / np.linalg.norm(D, axis=0)
    A = 1j * np.diag(np.sort(rng.uniform(-0.8, 0.8, modes))) - D.conj().T @ D / 2
    delay = 1e-9 * rng.uniform(0, rng.choice([0.0, 1.0, 10.0, 100.0]), ports) * HALF
    A, D, K, C = map(to_pairs, (A, D[:ports], -(D.conj().T @ C).T, C[None, :ports]))
    form = Form(A=A, D=D, K=K, background=C, delay=delay)
    x = np.linspace(-1, 1, points)
    noise = float(rng.choice([0.0, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2]))
    s = form.response(x)[0]
    s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    known = bool(rng.integers(2)) and noise > 0
    return {"x": x, "form": form, "s": s, "noise": noise, "known": known, "matched": matched, "modes": modes}


def identifiable(case: dict[str, Any]) -> bool:
    """Whether the least errors possible are below a tenth of every width."""
    form, sigma = case["form"], max(case["noise"], 1e-12)
    ds = form.linearised(case["x"]).ds.reshape(form.vector().size, -1) / sigma
    J = np.concatenate([ds.real, ds.imag], axis=1)
    slopes = coefficient_slopes(form, 1.0, energy=False)[: 2 * case["modes"]]
    errors = np.sqrt(np.diagonal(parameter_covariance(J.T, slopes)[0]))
    return bool(np.all(errors < 0.1 * np.tile(-poles_of(form).real, 2)))


def poles_of(form: Form) -> Any:
    poles: Any = np.linalg.eigvals(form.modal(np.zeros(1)).A)
    return poles[np.argsort(poles.imag)]


def choices(arguments: argparse.Namespace) -> int:
    """How often the number of modes is right, and where it is not, whether the fit says that something is wrong."""
    count: Counter[str] = Counter()
    seconds = []
    for seed in range(arguments.first, arguments.first + arguments.devices):
        case = device(np.random.default_rng(seed))
        data = nr.FieldData(
            CENTRE + HALF * case["x"], case["s"], sigma=case["noise"] if case["known"] else None, measured=True
        )
        began = time.perf_counter()
        fit = op.fit_modes(data, background=0)
        seconds.append(time.perf_counter() - began)
        found = len(fit.coefficients.omega)
        wrong = "wrong" if identifiable(case) else "not identifiable"
        kind = "right" if found == case["modes"] else "wrong, and flagged" if fit.concerns else wrong
        count[kind] += 1
        if kind != "right" and fit.choice is not None:
            print(f"{kind}: seed {seed}, {found} for {case['modes']}\n{fit.choice.table()}", flush=True)
    print(f"python benchmarks/fit_devices.py --devices {arguments.devices} --first {arguments.first} --auto\n")
    print(f"{dict(count)}, median {np.median(seconds):.2f} s, longest {np.max(seconds):.1f} s")
    return int(count["wrong"] > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="fit_modes on random devices whose truth is known")
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--auto", action="store_true", help="let the fits choose the number of modes")
    arguments = parser.parse_args()
    if arguments.auto:
        return choices(arguments)
    count: Counter[str] = Counter()
    inside, scores, seconds = 0, 0, []
    for seed in range(arguments.first, arguments.first + arguments.devices):
        case = device(np.random.default_rng(seed))
        omega, s, modes = CENTRE + HALF * case["x"], case["s"], case["modes"]
        sigma = case["noise"] if case["known"] else None
        began = time.perf_counter()
        fit = op.fit_modes(nr.FieldData(omega, s, sigma=sigma, measured=True), modes, background=0)
        seconds.append(time.perf_counter() - began)
        poles, found = poles_of(case["form"]), fit.coefficients
        off = np.concatenate([found.omega - CENTRE - HALF * poles.imag, found.gamma + HALF * poles.real])
        error = np.concatenate([fit.stderr.omega, fit.stderr.gamma])
        right = bool(np.all(np.abs(off) < 5 * error + 1e-6 * HALF * np.tile(-poles.real, 2)))
        flagged = bool(fit.concerns) or not fit.verdict.noise_like or not bool(fit.converged)
        kind = "right" if right else "flagged" if flagged else "wrong" if identifiable(case) else "not identifiable"
        count[kind] += 1
        count["right, and flagged"] += right and flagged
        if case["noise"] > 0 and not flagged:
            inside, scores = inside + int(np.sum(np.abs(off) < 1.959964 * error)), scores + off.size
        if kind == "wrong":
            what = {name: case[name] for name in ("modes", "noise", "known", "matched")}
            print(f"wrong: seed {seed}, {s.shape[1]} ports, {what}, z {np.round(off / error, 1)}", flush=True)
    print(f"python benchmarks/fit_devices.py --devices {arguments.devices} --first {arguments.first}\n")
    print("| devices | " + " | ".join(count) + " | in 95 % intervals | median fit |")
    print("|---" * (len(count) + 3) + "|")
    share = f"{100 * inside / max(scores, 1):.1f} % of {scores}"
    numbers = " | ".join(map(str, count.values()))
    print(f"| {arguments.devices} | {numbers} | {share} | {np.median(seconds):.2f} s |")
    return int(count["wrong"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
