"""What starting costs: imports, and the first call of a function beside the second, each in a fresh Python.

Without and with JAX's persistent compilation cache. And what the command takes to answer where it needs no JAX. Prints
Markdown tables.

    python benchmarks/startup.py [runs]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import heading, median, table

ROOT = Path(__file__).parents[1]
SCRIPT = """
import json, sys, time
times, clock = {}, time.perf_counter
def timed(name, call):
    start = clock()
    result = call()
    times[name] = clock() - start
    return result
timed("`import jax`", lambda: __import__("jax"))
import jax
jax.config.update("jax_enable_x64", True)
timed("`import diffnr`, after jax", lambda: __import__("diffnr"))
timed("`import optimize`, after diffnr", lambda: __import__("optimize"))
import diffnr as nr, optimize
from diffnr import tcmt
def pair(gamma_k, **epsilon):
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0, **epsilon)
    return tcmt.TwoResonators((0.0, 0.0), (3.04, 3.04), (0.5, 0.5), 3.0, loss)
def respond(*values, **epsilon):
    return jax.block_until_ready(nr.port_response(pair(*values, **epsilon), nr.Drive(0.3)).b)
timed("first model and drive", lambda: (pair(1.0), nr.Drive(0.3)))
timed("first `port_response`, closed form", lambda: respond(1.0))
timed("second, other values", lambda: respond(1.1))
timed("first `port_response`, Newton", lambda: respond(1.0, epsilon=1e-4))
timed("second, other values ", lambda: respond(1.1, epsilon=1e-4))
if hasattr(optimize, "maximise_isolation"):
    def design(gamma_k):
        options = dict(omega=0.0, free="loss.gamma_k", out=0, into=1, max_insertion_loss=4.4)
        return optimize.maximise_isolation(pair(gamma_k), **options)
    timed("first `maximise_isolation`", lambda: design(1.0))
    timed("second, other values  ", lambda: design(1.1))
print(json.dumps(times))
"""


def measure(runs: int, environment: dict[str, str]) -> dict[str, float]:
    """The median of each timing over `runs` fresh processes."""
    command = [sys.executable, "-c", SCRIPT]
    found = []
    for _ in range(runs):
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {name: median([times[name] for times in found]) for name in found[0]}


ANSWERS = ("--version", "--help", "demo --help", "fit --help", "isolate --help", "restore --help")


def answer(*arguments: str, runs: int) -> list[float]:
    """The median wall time and the median processor time of a fresh Python with these arguments."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    wall, processor = [], []
    for _ in range(runs):
        start, before = time.perf_counter(), os.times()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        wall.append(time.perf_counter() - start)
        used = (after.children_user - before.children_user, after.children_system - before.children_system)
        processor.append(sum(used))
    return [median(wall), median(processor)]


def answers(runs: int) -> None:
    """Print how long the command takes to say its version and its help, beside a Python that does nothing."""
    rows = [["`python -c pass`", *answer("-c", "pass", runs=runs)]]
    rows += [[f"`python -m diffnr {words}`", *answer("-m", "diffnr", *words.split(), runs=runs)] for words in ANSWERS]
    print(table([f"median of {runs} fresh processes", "wall (s)", "processor (s)"], rows))


def main(runs: int = 5) -> None:
    """Run all and print the tables."""
    print(heading("Answering without JAX", f"python benchmarks/startup.py {runs}"))
    answers(4 * runs)
    print(heading("Starting", f"python benchmarks/startup.py {runs}"))
    plain = measure(runs, {})
    with tempfile.TemporaryDirectory() as folder:
        # Without the last two JAX keeps only what took a second to compile, and nothing here does.
        cache = {
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        measure(1, cache)
        cached = measure(runs, cache)
        kept = [path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()]
    rows = [[name.strip(), plain[name], cached[name]] for name in plain]
    print(table([f"median of {runs} fresh processes", "no cache (s)", "filled compilation cache (s)"], rows))
    print(f"The cache held {len(kept)} files, {sum(kept) / 1e6:.1f} MB.\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
