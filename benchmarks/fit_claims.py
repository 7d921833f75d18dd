"""The figures of docs/fits.md on draws of noise: `python benchmarks/fit_claims.py CLAIM [--draws N]`.

- `cables`: Q_internal of a hanger behind cables, beside a background of second order;
- `pairs`: two coupled resonators beside a background of second order;
- `ripple`: such pairs behind lines whose loss varies over the band, which is not in the model;
- `series`: three sets of such a pair, by themselves and together, with shared rates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402
from report import table  # noqa: E402

import diffnr as nr  # noqa: E402
import optimize as op  # noqa: E402

MHZ = 2 * np.pi * 1e6
CENTRE = 2 * np.pi * 5e9
NAMES = ("omega", "gamma", "gamma_0", "kappa12", "kappa21")
INSIDE = 1.959964


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def hanger(seed: int) -> nr.FieldData:
    """Q_internal 2·10⁴ and Q_c 10⁴ beside a matched line, behind cables of 5 and 8 ns."""
    f0, rng = 6.0003e9, np.random.default_rng(seed)
    omega = 2 * np.pi * np.linspace(5.99e9, 6.01e9, 401)
    external, internal = np.pi * f0 / 1e4, np.pi * f0 / 2e4
    line = external / (1j * (omega - 2 * np.pi * f0) + external + internal)
    s = np.moveaxis(np.array([[-line, 1 - line], [1 - line, -line]]), 2, 0)
    delay = np.exp(-1j * (omega - omega.mean())[:, None] * np.array([5e-9, 8e-9]))
    s = s * delay[:, :, None] * delay[:, None, :]
    return nr.FieldData(omega, s + 1e-3 * noise(rng, s.shape), measured=True)


def pair(bias: float, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S [f, 2, 2] of two coupled resonators, and ω, γ, γ₀ of both, (Re, Im) of κ12 and κ21: κ12(−B) = κ21(B)."""
    centre, gamma, gamma_0 = (MHZ * np.array(rates) for rates in ((-3.0 + bias**2, 2.0), (4.0, 3.0), (1.0, 1.5)))
    kappa12, kappa21 = (MHZ * 4 * np.exp(0.1j) * (1 + 0.3 * b) * np.exp(0.2j * b) for b in (-bias, bias))
    x = 1j * ((omega - CENTRE)[:, None] - centre) + gamma + gamma_0
    mixed = 2j * np.sqrt(np.prod(gamma))
    rows = [2 * gamma[0] * x[:, 1], kappa12 * mixed, kappa21 * mixed, 2 * gamma[1] * x[:, 0]]
    det = x[:, 0] * x[:, 1] + kappa12 * kappa21
    s = np.stack([row / det for row in np.broadcast_arrays(*rows)], axis=1).reshape(-1, 2, 2) - np.eye(2)
    kappas = [kappa12.real, kappa12.imag, kappa21.real, kappa21.imag]
    return s, np.concatenate([CENTRE + centre, gamma, gamma_0, kappas])


def measured(
    bias: float, seed: int, sigma: float, points: int, *, ripple: float = 0.0, known: bool = False
) -> tuple[nr.FieldData, np.ndarray]:
    """Such a pair behind lines of 3 and 5 ns that lose 10 and 20 %, by `ripple` more or less over the band."""
    rng, omega = np.random.default_rng(seed), CENTRE + MHZ * np.linspace(-30, 30, points)
    s, truth = pair(bias, omega)
    lines = np.array([0.9, 0.8]) * np.exp(-1j * (omega - CENTRE)[:, None] * np.array([3e-9, 5e-9]))
    turn, phase = rng.uniform(0.5, 2, 2), rng.uniform(0, 2 * np.pi, 2)
    lines = lines * (1 + ripple * np.cos(np.pi * turn * (omega - CENTRE)[:, None] / (30 * MHZ) + phase))
    s = s * lines[:, :, None] * lines[:, None, :]
    return nr.FieldData(omega, s + sigma * noise(rng, s.shape), sigma if known else None, measured=True), truth


def off(coefficients: Any, truth: np.ndarray) -> np.ndarray:
    """What coefficients are off, with the sign of κ that is nearer."""
    flipped = np.concatenate([truth[:6], -truth[6:]])
    return min((np.asarray(coefficients) - one for one in (truth, flipped)), key=lambda d: float(np.sum(d[6:] ** 2)))


def by_name(scores: np.ndarray) -> list[list[Any]]:
    """For each kind of coefficient the rms of errors in units of the standard error, and how many lie within 1.96."""
    columns = dict(zip(NAMES, ([0, 1], [2, 3], [4, 5], [6, 7], [8, 9]), strict=True))
    return [
        [name, float(np.sqrt(np.mean(scores[..., k] ** 2))), f"{100 * np.mean(np.abs(scores[..., k]) < INSIDE):.1f} %"]
        for name, k in columns.items()
    ]


def cables(draws: int) -> str:
    rows = []
    for kind in ("two-port", "S21 alone"):
        scores, errors = [], []
        for seed in range(draws):
            data = hanger(seed)
            fit = op.fit_modes(data if kind == "two-port" else data.entry(out=1, into=0), 1, background=2)
            found = fit.resonances[0].q_internal
            scores.append((float(found) - 2e4) / found.error)
            errors.append(found.error)
        rows.append([kind, draws, float(np.sqrt(np.mean(np.square(scores)))), float(np.median(errors))])
    return table(["Q_internal of 20,000 behind cables", "draws", "rms / standard error", "standard error"], rows)


def pairs(draws: int) -> str:
    scores, sizes = [], []
    for seed in range(draws):
        data, truth = measured(0.5, seed, 2e-3, 151)
        fit = op.fit_two_resonators(data, background=2)
        errors = np.sqrt(np.diagonal(fit.covariance))
        scores.append(off(fit.coefficients, truth) / errors)
        sizes.append(errors)
    head = [f"pairs, background of order 2, {draws} draws", "rms / standard error", "within 1.96"]
    return table(head, by_name(np.array(scores)))


def ripple(draws: int) -> str:
    right = flagged = wrong = 0
    worst = []
    for seed in range(draws):
        data, truth = measured(0.5, seed, 2e-3, 151, ripple=0.05)
        fit = op.fit_two_resonators(data)
        score = float(np.max(np.abs(off(fit.coefficients, truth) / np.sqrt(np.diagonal(fit.covariance)))))
        content = fit.complete and not fit.concerns and fit.verdict.noise_like
        good = score < 5
        right, flagged, wrong = right + good, flagged + (not good and not content), wrong + (not good and content)
        worst += [score] if not good and content else []
    said = ", ".join(f"{score:.1f}" for score in worst)
    head = ["pairs behind lines with ripple of 5 %", "right", "flagged", "wrong", "by standard errors"]
    return table(head, [[f"{draws} devices", right, flagged, wrong, said]])


def series(draws: int) -> str:
    alone, together, chances = [], [], []
    for draw in range(draws):
        sets = [measured(bias, 3 * draw + k, 3e-3, 81) for k, bias in enumerate((-0.5, 0.0, 0.5))]
        fit = op.fit_series([data for data, _ in sets], [-0.5, 0.0, 0.5], shared=("gamma", "gamma_0"))
        joint = np.sqrt(np.diagonal(fit.covariance)).reshape(3, 10)
        for k, (own, (_, truth)) in enumerate(zip(fit.fits, sets, strict=True)):
            alone.append(off(own.coefficients, truth) / np.sqrt(np.diagonal(own.covariance)))
            together.append(off(fit.coefficients[k], truth) / joint[k])
        chances.append([fit.contradiction, fit.reversal])
    rows = [
        [name, f"{100 * np.mean(np.abs(scores) < INSIDE):.1f} % of {scores.size}"]
        for name, scores in (("sets alone", np.array(alone)), ("the series", np.array(together)))
    ]
    small = np.mean(np.array(chances, dtype=float) < 0.05, axis=0)
    rows += [
        [f"p < .05: {name}", f"{100 * part:.1f} %"] for name, part in zip(("shared", "reversal"), small, strict=True)
    ]
    return table([f"series of three, {draws} draws", "within 1.96"], rows)


CLAIMS: dict[str, tuple[Callable[[int], str], int]] = {
    "cables": (cables, 30),
    "pairs": (pairs, 30),
    "ripple": (ripple, 40),
    "series": (series, 300),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="figures of docs/fits.md on draws of noise")
    parser.add_argument("claim", choices=CLAIMS)
    parser.add_argument("--draws", type=int)
    arguments = parser.parse_args()
    claim, usual = CLAIMS[arguments.claim]
    print(claim(arguments.draws or usual))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
