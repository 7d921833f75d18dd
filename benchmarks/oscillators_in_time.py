"""Steady states of thousands of pairs of oscillators: fixed steps in phase with the force, beside other ways.

Pairs of different mass ratio under a force of different frequency, 200 periods from rest: diffnr's `settle`,
diffrax with adaptive steps, scipy, and diffnr's harmonic balance, from which the errors are measured. Prints a
Markdown table.

    python benchmarks/oscillators_in_time.py [pairs]
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from jax import Array
from report import heading, median, seconds, table

import diffnr as nr
from diffnr import duffing
from diffnr.duffing.settle import settle
from diffnr.duffing.transient import simulate

jax.config.update("jax_enable_x64", True)

PERIODS, AMPLITUDE, RUNS = 200, 0.15, 5
SIMULATED = 16  # pairs by diffrax and scipy
WIDE = {"xla_cpu_prefer_vector_width": 512}


def pair(mass_ratio: Array) -> duffing.AbstractOscillators:
    """One of the pairs."""
    make: Any = duffing.DuffingPair
    return make(mass_ratio, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)


def drives(pairs: int) -> tuple[Array, Array]:
    """Mass ratios and frequencies, between the resonances: there one orbit is stable, and reached to 1e-8."""
    return jnp.linspace(1.0, 3.0, pairs), jnp.linspace(1.3, 2.5, pairs)


def by_steps(steps: int) -> Callable[[Array, Array], Array]:
    def one(mass_ratio: Array, omega: Array) -> Array:
        drive = nr.Drive(omega, AMPLITUDE)
        return settle(pair(mass_ratio), drive, periods=PERIODS, steps_per_period=steps, throw=False).b

    return jax.vmap(one)


def by_balance(mass_ratio: Array, omega: Array) -> Array:
    return nr.port_response(pair(mass_ratio), nr.Drive(omega, AMPLITUDE), ports=[0], throw=False).b[:, 0]


def by_diffrax(mass_ratio: Array, omega: Array) -> Array:
    """The fundamental over the last period, from 40 instants."""
    period = 2 * jnp.pi / omega
    last = period * (PERIODS - 1) + jnp.arange(40) / 40 * period
    r = simulate(
        pair(mass_ratio), nr.Drive(omega, AMPLITUDE), jnp.append(0.0, last), port=0, rtol=1e-8, solver=diffrax.Tsit5()
    )
    return jnp.mean(2 * jnp.exp(-1j * omega * last)[:, None] * r.x[1:], axis=0)[:, None]


def by_scipy(mass_ratio: float, omega: float) -> np.ndarray:
    """The same by LSODA."""

    def slope(t: float, y: np.ndarray) -> list[float]:
        x1, x2, v1, v2 = y
        spring = 5.0 * (x1 - x2)
        a1 = AMPLITUDE * np.cos(omega * t) - 0.1 * v1 - x1 - spring - x1**3
        return [v1, v2, a1, (-0.1 * v2 - x2 + spring - x2**3) / mass_ratio]

    period = 2 * np.pi / omega
    last = period * (PERIODS - 1) + np.arange(40) / 40 * period
    end = (0.0, period * PERIODS)
    solution = scipy.integrate.solve_ivp(slope, end, np.zeros(4), "LSODA", last, rtol=1e-8, atol=1e-9)
    return np.mean(2 * np.exp(-1j * omega * last) * solution.y[:2], axis=1)[:, None]


def measured(f: Callable, x: tuple[Array, ...], options: dict | None = None) -> tuple[float, list[float], np.ndarray]:
    """Seconds to compile, of the calls, and the result."""
    start = time.perf_counter()
    program = jax.jit(f, compiler_options=options).lower(*x).compile()
    compiling = time.perf_counter() - start
    value = np.asarray(program(*x))
    return compiling, seconds(lambda: jax.block_until_ready(program(*x)), RUNS), value


def main(pairs: int) -> None:
    x = drives(pairs)
    rows: list[list] = []

    def add(name: str, result: tuple[float | str, list[float], np.ndarray], expected: np.ndarray) -> None:
        compiling, times, value = result
        error = float(np.nanmax(np.abs(value[:, :, 0] - expected[:, :, 0])))
        each = [1e6 * t / len(value) for t in (median(times), times[0])]
        rows.append([name, len(value), compiling, *each, error])

    title = heading("Oscillators to their steady state in time", f"python benchmarks/oscillators_in_time.py {pairs}")
    balance = measured(jax.vmap(by_balance), x)
    expected = balance[2]
    for steps in (8, 12, 24):
        add(f"`settle`, {steps} steps a period", measured(by_steps(steps), x), expected)
        wide = measured(by_steps(steps), x, WIDE)
        add(f"`settle`, {steps} steps, 512-bit vectors", wide, expected)
    add("harmonic balance (H = 9) from the linear response, `vmap(port_response)`", balance, expected)

    few = slice(None, None, max(1, pairs // SIMULATED))
    some = tuple(axis[few] for axis in x)
    add("diffrax Tsit5, rtol = 1e-8 (`simulate`), `vmap`", measured(jax.vmap(by_diffrax), some), expected[few])
    one = tuple(axis[:1] for axis in some)
    add("diffrax Tsit5, one", measured(jax.vmap(by_diffrax), one), expected[:1])
    start = time.perf_counter()
    solved = np.array([by_scipy(float(m), float(w)) for m, w in zip(*some, strict=True)])
    add("scipy LSODA, rtol = 1e-8", ("", [time.perf_counter() - start], solved), expected[few])

    print(title)
    header = ["", "pairs", "compile (s)", f"each, median of {RUNS} (µs)", "fastest (µs)", "largest error of b"]
    print(table(header, rows))
    print(f"The largest fundamental is {np.abs(expected).max():.2g}. Errors are against harmonic balance.\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4096)
