"""What the frequency response of a chain costs by its number of oscillators, with folds and Floquet multipliers.

Chains of equal hardening oscillators, driven at one end, odd harmonics up to 5: 6 unknowns an oscillator. The range of
frequencies holds all resonances. Prints a Markdown table.

    python benchmarks/chains.py [most oscillators]
"""

import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
from report import heading, median, seconds, table

from diffnr import duffing

jax.config.update("jax_enable_x64", True)

RUNS = 5


def chain(n: int) -> duffing.OscillatorChain:
    internal = duffing.PolynomialForce(jnp.array([1.0, 0.0, 1.0]))
    springs = duffing.PolynomialForce(jnp.array([0.5]))
    return duffing.OscillatorChain(jnp.ones(n), 0.1, internal, springs, num_harmonics=5, odd=True)


def main(most: int) -> None:
    rows: list[list[Any]] = []
    n = 2
    while n <= most:
        model = chain(n)
        call = jax.jit(
            lambda P, model=model: duffing.frequency_response(model, amplitude=P, omega=(0.5, 2.2), max_points=1000)
        )
        start = time.perf_counter()
        response = jax.block_until_ready(call(0.15))
        first = time.perf_counter() - start
        again = median(seconds(lambda call=call: jax.block_until_ready(call(0.15)), RUNS))
        points = int(response.count)
        end = float(response.omega[points - 1])
        rows.append([n, 6 * n, points, f"{end:.2f}", int(response.folds.count), first, 1e3 * again, points / again])
        n *= 2
    print(heading("Chains of Duffing oscillators", f"python benchmarks/chains.py {most}"))
    header = [
        "oscillators",
        "unknowns",
        "points",
        "up to ω",
        "folds",
        "first call (s)",
        "again (ms)",
        "points per second",
    ]
    print(table(header, rows))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16)
