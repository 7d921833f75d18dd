"""One million steady states of two resonators with nonlocal loss, with gradients.

Isolation in dB and its derivatives in γ_k, κ and the detuning, on a grid of 100 × 100 × 100: diffnr beside a closed
form written for numpy alone, with central differences, and beside scipy's root finder. Prints a Markdown table.

    python benchmarks/steady_states.py [points along each axis]
"""

import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax import Array
from report import heading, median, seconds, table

import diffnr as nr
from diffnr import tcmt

jax.config.update("jax_enable_x64", True)

GAMMA_0 = 0.5
RUNS = 9
SOLVED_BY_SCIPY = 500


def isolation(gamma_k: Array, kappa: Array, detuning: Array) -> Array:
    """Isolation in dB by diffnr: both ports driven, one after the other."""
    gamma = jnp.sqrt(GAMMA_0**2 + kappa**2)
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0)
    pair = tcmt.TwoResonators((0.0, 0.0), (gamma, gamma), (GAMMA_0, GAMMA_0), kappa, loss)
    return nr.metrics.isolation(nr.port_response(pair, nr.Drive(detuning)), out=0, into=1)


def numpy_isolation(gamma_k: np.ndarray, kappa: np.ndarray, detuning: np.ndarray) -> np.ndarray:
    """The same, by the formulas for one driven port, below γ_k = κ."""
    gamma = np.sqrt(GAMMA_0**2 + kappa**2)
    G, Z = gamma + GAMMA_0, gamma + GAMMA_0 + 1j * detuning
    rho = (kappa**2 - gamma_k**2) / (np.sqrt(np.abs(Z) ** 2 * kappa**2 - (detuning * gamma_k) ** 2) + G * gamma_k)
    w = rho * 1j * kappa / (Z * rho + gamma_k)
    t21 = 2 * gamma * w / (Z - 1j * kappa * w)
    t12 = 2j * gamma * kappa / (Z * (Z + gamma_k * kappa / np.abs(Z)) + kappa**2)
    return 20 * np.log10(np.abs(t12) / np.abs(t21))


def scipy_isolation(gamma_k: float, kappa: float, detuning: float) -> float:
    """The same, by a root of the four real equations for each driven port, from the linear response."""
    gamma = np.sqrt(GAMMA_0**2 + kappa**2)
    Z = gamma + GAMMA_0 + 1j * detuning
    M = np.array([[Z, -1j * kappa], [-1j * kappa, Z]])

    def transmission(f: np.ndarray, out: int) -> complex:
        def equations(y: np.ndarray) -> np.ndarray:
            a = y[:2] + 1j * y[2:]
            rest = M @ a - f
            rest[1] += gamma_k * np.abs(a[0]) * a[1] / np.abs(a[1])
            return np.concatenate([rest.real, rest.imag])

        start = np.linalg.solve(M, f)
        solution = scipy.optimize.root(equations, np.concatenate([start.real, start.imag]), tol=1e-12)
        a = solution.x[:2] + 1j * solution.x[2:]
        return np.sqrt(2 * gamma) * a[out] if np.max(np.abs(equations(solution.x))) < 1e-9 else np.nan

    drive = np.sqrt(2 * gamma)
    forward, backward = transmission(np.array([drive, 0]), 1), transmission(np.array([0, drive]), 0)
    return 20 * np.log10(np.abs(backward) / np.abs(forward))


def grid(points: int) -> list[np.ndarray]:
    """γ_k, κ and detuning of every device, as vectors of points³."""
    share, kappa, detuning = np.linspace(0.05, 0.95, points), np.linspace(0.3, 3, points), np.linspace(-5, 5, points)
    share, kappa, detuning = (axis.ravel() for axis in np.meshgrid(share, kappa, detuning, indexing="ij"))
    return [share * kappa, kappa, detuning]


def central_differences(f: Callable[..., np.ndarray], x: list[np.ndarray], step: float = 1e-6) -> list[np.ndarray]:
    """∂f/∂x_i for each i, by two more calls each."""
    slopes = []
    for i in range(len(x)):
        above, below = ([*x[:i], x[i] + sign * step, *x[i + 1 :]] for sign in (1, -1))
        slopes.append((f(*above) - f(*below)) / (2 * step))
    return slopes


def compiled(f: Callable, x: list[np.ndarray]) -> tuple[float, Callable[[], list]]:
    """Seconds to trace and compile `f` for `x`, and the call."""
    arguments = [jnp.asarray(axis) for axis in x]
    start = time.perf_counter()
    program = jax.jit(f).lower(*arguments).compile()
    return time.perf_counter() - start, lambda: jax.block_until_ready(program(*arguments))


def worst(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest value."""
    return float(np.nanmax(np.abs(found - expected)) / np.nanmax(np.abs(expected)))


def main(points: int = 100) -> None:
    """Run all and print the table."""
    print(heading("A million steady states with gradients", f"python benchmarks/steady_states.py {points}"))
    x = grid(points)
    size = x[0].size
    with_gradient = jax.value_and_grad(isolation, argnums=(0, 1, 2))
    chunked = lambda *x: jax.lax.map(lambda one: with_gradient(*one), x, batch_size=min(250, size))  # noqa: E731
    candidates = {
        "diffnr, values: `vmap`": jax.vmap(isolation),
        "**diffnr, values and gradients: `vmap(value_and_grad)`**": jax.vmap(with_gradient),
        "diffnr, values and gradients: `lax.map(..., batch_size=250)`": chunked,
    }
    rows, results = [], []
    for name, f in candidates.items():
        compile_time, call = compiled(f, x)
        results.append(call())
        times = seconds(call, RUNS)
        rows.append([name, size, compile_time, median(times), times[0]])
    times = seconds(lambda: numpy_isolation(*x), RUNS)
    rows.append(["numpy, values: closed form for these devices", size, "", median(times), times[0]])
    times = seconds(lambda: (numpy_isolation(*x), central_differences(numpy_isolation, x)), 3)
    rows.append(["numpy, values and central differences (7 calls)", size, "", median(times), times[0]])

    chosen = np.random.default_rng(0).choice(size, min(SOLVED_BY_SCIPY, size), replace=False)
    start = time.perf_counter()
    solved = np.array([scipy_isolation(*(float(axis[i]) for axis in x)) for i in chosen])
    each = (time.perf_counter() - start) / chosen.size
    rows.append([f"scipy, values: `root`, {chosen.size} run, extrapolated", size, "", each * size, ""])
    rows.append(["scipy, values and central differences, extrapolated", size, "", 7 * each * size, ""])
    print(table(["method", "devices", "compile (s)", f"run, median of {RUNS} (s)", "fastest (s)"], rows))

    expected = numpy_isolation(*x)
    value, gradient = results[1]
    differences = {
        "diffnr and numpy": worst(value, expected),
        "gradients and central differences": max(map(worst, gradient, central_differences(numpy_isolation, x))),
        f"scipy, {np.isfinite(solved).sum()} of {chosen.size} converged, and numpy": worst(solved, expected[chosen]),
    }
    print("Every device is driven from both sides. Largest differences, relative to the largest value:\n")
    print("\n".join(f"- {name}: {difference:.1e}" for name, difference in differences.items()) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
