"""What the first call of oscillators costs, models and all, and the second: each in a fresh Python without a cache.

Times are of the processor, so that neighbours count little; medians of the runs. Prints a Markdown table.

    python benchmarks/first_calls.py [runs] [another checkout]
"""

import os
import subprocess
import sys
from pathlib import Path

from report import heading, median, table

SCRIPT = """
import time
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import diffnr as nr
from diffnr import duffing

def pair():
    return duffing.DuffingPair(2.0, 1.0, 1.0, coupling=5.0, cubic=1.0, damping=0.05)

def force(x, v):
    return jnp.array([x[0] ** 3 - 0.0042 * (x[1] - x[0]) ** 3, 0.0042 * (x[1] - x[0]) ** 3])

def network():
    stiffness, damping = [[1.0453, -0.0453], [-0.0453, 0.0453]], [[0.015, -0.013], [-0.013, 0.013]]
    return duffing.OscillatorNetwork([1.0, 0.05], stiffness, damping, force)

def chain():
    springs = jnp.stack([jnp.ones(16), jnp.zeros(16), jnp.ones(16)])
    links = duffing.PolynomialForce(jnp.full((1, 15), 5.0))
    return duffing.OscillatorChain(jnp.ones(16), 0.1, duffing.PolynomialForce(springs), links)

CALLS = {
    "pair": lambda: duffing.frequency_response(pair(), amplitude=0.15, omega=(0.5, 4.0)),
    "network": lambda: duffing.frequency_response(network(), amplitude=0.11, omega=(0.8, 1.4)),
    "chain": lambda: duffing.frequency_response(chain(), amplitude=0.2, omega=(0.8, 1.4)),
    "orbits": lambda: duffing.find_orbits(pair(), nr.Drive(0.93, 0.15)),
}
duffing.frequency_response, duffing.find_orbits  # imports are not what is asked
times = []
for _ in range(2):
    start = time.process_time()
    jax.block_until_ready(jax.tree_util.tree_leaves(CALLS[WHICH]()))
    times.append(time.process_time() - start)
print(*times)
"""
NAMES = {
    "pair": "`frequency_response`, a pair, H = 9",
    "network": "`frequency_response`, NLvib's second example as a network with a force of its own",
    "chain": "`frequency_response`, a chain of 16, H = 9",
    "orbits": "`find_orbits`, a pair",
}


def measure(which: str, runs: int, root: Path) -> tuple[float, float]:
    """Medians of the first and of the second call over `runs` fresh processes."""
    environ = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"}
    environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-c", SCRIPT.replace("WHICH", repr(which))]
    found = []
    for _ in range(runs):
        found.append([float(x) for x in subprocess.check_output(command, env=environ, cwd=root, text=True).split()])
    first, again = (median(list(times)) for times in zip(*found, strict=True))
    return first, again


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    root = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parents[1]
    print(heading("First calls of oscillators", "python benchmarks/first_calls.py"))
    rows = [(NAMES[which], *measure(which, runs, root)) for which in NAMES]
    print(table([f"processor time, medians of {runs} fresh processes", "first call (s)", "second (s)"], rows))


if __name__ == "__main__":
    main()
