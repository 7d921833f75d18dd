"""What one frequency costs: the direct solve, beside SuperLU in its own order, gradients, resonances, guide modes.

Paper 3's guide (18 µm of InSb with ν = .005 ω_p under 12 µm of silicon) between sponges, driven by a line of Hz.

    python benchmarks/one_frequency.py [cells across ...]
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from report import heading, median, seconds, table
from scipy.sparse.linalg import splu

from diffnr import fdtd
from diffnr.fdtd.frequency_domain import direct_solve
from diffnr.fdtd.frequency_domain.harmonic_step import step_factor

jax.config.update("jax_enable_x64", True)

UM, THZ = 1e-6, 2e12 * np.pi
WIDTH, LENGTH = 30 * UM, 75 * UM
RUNS = 5


def insb(bias: Any) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, 4e12 * np.pi, 0.005 * 4e12 * np.pi, bias * 4e12 * np.pi)


def scene(across: int, bias: Any) -> fdtd.Scene:
    cell = WIDTH / across
    lines = np.linspace(0, LENGTH, round(LENGTH / cell) + 1), np.linspace(0, WIDTH, across + 1)
    below = fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM])
    boundaries = fdtd.Boundaries(left=fdtd.Sponge(20 * UM), right=fdtd.Sponge(20 * UM))
    return fdtd.Scene.of(fdtd.Grid(*lines), fdtd.Dielectric(11.68), [(below, insb(bias))], boundaries=boundaries)


def guide(across: int, bias: Any) -> fdtd.CrossSection:
    return fdtd.layered_guide([(18 * UM, insb(bias)), (12 * UM, fdtd.Dielectric(11.68))], cell=WIDTH / across)


def timed(call: Callable[[Any], Any], terahertz: float = 1.0, runs: int = RUNS) -> tuple[float, float]:
    """Seconds of the first call, and the median of later ones, each with a frequency of its own."""
    omegas = iter(np.linspace(terahertz, terahertz + 0.1, runs + 1) * THZ)
    run = lambda: jax.block_until_ready(call(jnp.asarray(next(omegas))))  # noqa: E731
    start = time.perf_counter()
    run()
    return time.perf_counter() - start, median(seconds(run, runs))


def solve_row(across: int) -> list[Any]:
    step = 0.9 * float(scene(across, 0.25).longest_step)

    def field(omega: Any, bias: Any = 0.25) -> Any:
        what = scene(across, bias)
        source, probe = (fdtd.Functional.at(what.grid, x * UM, 18.2 * UM) for x in (30, 45))
        update = fdtd.Update.of(what, step)
        return fdtd.frequency(update, omega, sources=[(source, 1.0)], probes=[probe])

    power = lambda bias, omega: jnp.abs(field(omega, bias).readings[0]) ** 2  # noqa: E731
    call = jax.jit(lambda omega: field(omega).readings)
    first, new = timed(call)
    jax.block_until_ready(call(THZ))
    again = median(seconds(lambda: jax.block_until_ready(call(THZ)), RUNS))
    _, gradient = timed(jax.jit(lambda omega: jax.grad(power)(0.25, omega)), 1.01)  # no factors are kept of these
    update = fdtd.Update.of(scene(across, 0.25), step)
    z = step_factor(update, jnp.asarray(THZ))
    entries = np.asarray(direct_solve.entries_of(lambda e: direct_solve.operator(update, z, e), update))
    pattern = direct_solve.pattern_of(update)
    matrix = pattern.matrix(entries)
    orders = (lambda: direct_solve._factorised(matrix, pivoting=False), lambda: splu(matrix))
    nx, ny = update.shape
    megabytes = [20e-6 * factorised().nnz for factorised in orders]
    times = [first, new, again, gradient, *(median(seconds(factorised, 3)) for factorised in orders)]
    return [f"{nx} × {ny}", pattern.order.size, *times, *(f"{size:.0f}" for size in megabytes)]


def resonance_row(across: int) -> list[Any]:
    box = fdtd.Scene.of(
        fdtd.Grid(np.linspace(0, LENGTH, round(2.5 * across) + 1), np.linspace(0, WIDTH, across + 1)),
        fdtd.Dielectric(11.68),
        [(fdtd.Rectangle([0.0, LENGTH], [0.0, 18 * UM]), insb(0.0))],
    )
    update = fdtd.Update.of(box)
    nx, ny = update.shape
    row: list[Any] = [f"{nx} × {ny}"]
    for number in (1, 4):
        modes = jax.jit(lambda omega, number=number: fdtd.resonances(update, omega, num_modes=number).omega)
        row += timed(modes, runs=2)
    return row


def guide_row(across: int) -> list[Any]:
    def k(bias: Any, omega: Any) -> Any:
        return fdtd.guide_modes(guide(across, bias), omega, num_modes=2).forward.k[0]

    first, again = timed(jax.jit(lambda omega: k(0.25, omega)))
    _, gradient = timed(jax.jit(lambda omega: jax.grad(k)(0.25, omega)))
    return [across, first, 1e3 * again, 1e3 * gradient]


def main(sizes: list[int]) -> None:
    print(heading("One frequency", f"python benchmarks/one_frequency.py {' '.join(map(str, sizes))}"))
    header = ["cells", "unknowns", "first call (s)", "a new ω (s)", "the same ω (s)", "gradient in the bias (s)"]
    header += ["its LU (s)", "LU with COLAMD (s)", "factors (MB)", "with COLAMD (MB)"]
    print(table(header, [solve_row(size) for size in sizes]))
    print("Medians of five calls, each with its own ω; of three for the LU alone, on the same matrix.\n")
    header = [
        "closed box, no bias",
        "one resonance, first call (s)",
        "another ω (s)",
        "four, first call (s)",
        "another ω (s)",
    ]
    print(table(header, [resonance_row(size) for size in sizes]))
    print("Medians of two calls.\n")
    header = ["cells across", "`guide_modes`, first call (s)", "another ω (ms)", "gradient of k in the bias (ms)"]
    print(table(header, [guide_row(size) for size in sizes]))


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [30, 60, 120, 240])
