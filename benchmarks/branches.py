"""Frequency responses of a Duffing pair by harmonic balance and continuation, with folds and Floquet multipliers.

One curve, and a batch of 256 curves of different force. Prints a Markdown table. AUTO-07p took .13 to .76 s for 188
points of such a curve with multipliers, on another day.

    python benchmarks/branches.py [curves in the batch]
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from report import heading, median, seconds, table

from diffnr import duffing

jax.config.update("jax_enable_x64", True)

PAIR = duffing.DuffingPair(mass_ratio=2, stiffness_ratio=1, cubic_ratio=1, coupling=5, cubic=1, damping=0.05)
RUNS = 5


@jax.jit
def curve(amplitude: Array) -> duffing.OrbitBranch:
    """The forward response, 9 harmonics."""
    return duffing.frequency_response(PAIR, amplitude=amplitude, omega=(0.5, 4.0), max_points=256)


batch = jax.jit(jax.vmap(curve))


def compiled(call: Callable[[], Any]) -> tuple[float, list[float], Any]:
    """Seconds of the first call, of the next ones, and the result."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, seconds(lambda: jax.block_until_ready(call()), RUNS), result


def main(count: int) -> None:
    amplitudes = jnp.linspace(0.05, 0.3, count)
    rows: list[list[Any]] = []

    def row(name: str, call: Callable[[], Any]) -> Any:
        first, again, result = compiled(call)
        points = int(np.sum(result.count))
        rows.append([name, points, first, 1e3 * median(again), points / median(again)])
        return result

    row("one curve", lambda: curve(jnp.asarray(0.15)))
    whole = row(f"{count} curves by vmap", lambda: batch(amplitudes))
    print(heading("Branches of a Duffing pair", f"python benchmarks/branches.py {count}"))
    print(table(["", "points", "first call (s)", "again (ms)", "points per second"], rows))
    counts = np.asarray(whole.count)
    print(f"Curves have {counts.min()} to {counts.max()} points, and {int(np.sum(whole.folds.count))} folds in all.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
