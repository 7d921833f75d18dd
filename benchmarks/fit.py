"""A fit of 201 points of a two-port with 8 parameters, compile included, and again with other start values.

diffnr beside scipy's least_squares, which sees the same residual written in numpy with the closed form of two
resonators, and takes its Jacobian by finite differences. Prints a Markdown table.

    python benchmarks/fit.py
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from report import heading, median, seconds, table

import diffnr as nr
import optimize as op
from diffnr import tcmt

jax.config.update("jax_enable_x64", True)

FREE = ("omega", "gamma", "gamma_0", "kappa", "loss.gamma_k")
TRUE = np.array([0.0, 0.3, 0.4, 0.6, 0.1, 0.2, 0.8, 0.5])
START = np.array([0.1, 0.2, 0.5, 0.5, 0.15, 0.15, 0.9, 0.3])
NOISE = 1e-3
RUNS = 7


def pair(values: np.ndarray) -> tcmt.TwoResonators:
    """Two resonators of eight parameters: ω, γ, γ_0 of both, κ and γ_k."""
    loss = tcmt.NonlocalLoss(values[7], mode=1, sensed=0)
    return tcmt.TwoResonators(values[0:2], values[2:4], values[4:6], values[6], loss)


def numpy_scattering(values: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """S [f, out, in], each port driven alone, by the formulas of paper 1 as corrected."""
    w1, w2, g1, g2, g10, g20, kappa, gamma_k = values
    Z1, Z2 = g1 + g10 + 1j * (omega - w1), g2 + g20 + 1j * (omega - w2)
    cross = np.sqrt(np.abs(Z2) ** 2 * kappa**2 - (Z2.imag * gamma_k) ** 2)
    rho = (kappa**2 - gamma_k**2) / (cross + Z2.real * gamma_k)
    w = rho * 1j * kappa / (Z2 * rho + gamma_k)
    a1 = np.sqrt(2 * g1) / (Z1 - 1j * kappa * w)
    den = Z1 * (Z2 + gamma_k * kappa / np.abs(Z1)) + kappa**2
    s = np.empty((len(omega), 2, 2), complex)
    s[:, 0, 0], s[:, 1, 0] = -1 + np.sqrt(2 * g1) * a1, np.sqrt(2 * g2) * w * a1
    s[:, 0, 1], s[:, 1, 1] = 2j * np.sqrt(g1 * g2) * kappa / den, -1 + 2 * g2 * Z1 / den
    return s


def main() -> None:
    """Print the table."""
    omega = np.linspace(-3, 3, 201)
    rng = np.random.default_rng(0)
    s = numpy_scattering(TRUE, omega)
    s = s + NOISE * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    data = nr.FieldData(jnp.asarray(omega), jnp.asarray(s), sigma=NOISE)

    def by_scipy() -> np.ndarray:
        def residual(values: np.ndarray) -> np.ndarray:
            r = ((numpy_scattering(values, omega) - s) / NOISE).ravel()
            return np.concatenate([r.real, r.imag])

        return scipy.optimize.least_squares(residual, START, method="lm").x

    def by_diffnr(start: np.ndarray = START) -> np.ndarray:
        fitted = op.fit(pair(start), data, free=FREE)
        return np.concatenate([np.ravel(value) for value in fitted.values.values()])

    begin = time.perf_counter()
    found = by_diffnr()
    first = time.perf_counter() - begin
    again = seconds(lambda: by_diffnr(1.01 * START), RUNS)
    peer = by_scipy()
    scipy_times = seconds(by_scipy, RUNS)
    difference = np.max(np.abs(found - peer))
    print(heading("A 201-point, 8-parameter fit", "python benchmarks/fit.py"))
    print(
        table(
            ("", "seconds"),
            [
                ("diffnr, first fit, compile included", first),
                ("diffnr, further fits (median)", median(again)),
                ("scipy least_squares, finite differences (median)", median(scipy_times)),
            ],
        )
    )
    print(f"Medians of {RUNS} runs. The two optima differ by at most {difference:.1e}.")


if __name__ == "__main__":
    main()
