"""Cell-steps per second of the field solver, beside Meep's and what memory allows; and what a gradient costs.

An InSb/Si guide in a bias field, in a closed box of four sizes, in float32 and float64, on one core and on two: through
`propagate` with a source and a probe, and as a bare loop of steps. Every measurement is a process of its own, pinned to
its cores, and none runs beside another one. Prints Markdown tables. Needs Linux; Meep's rows need the system's Python
to have it (Debian: python3-meep-mpi-default, openmpi-bin, python3-matplotlib). On an accelerator: diffnr's rows only.

    python benchmarks/field.py [--quick | 1000x300 1000x1000 …]
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from report import heading, median, table

from diffnr import fdtd

jax.config.update("jax_enable_x64", True)

SIZES = ((1000, 300), (1000, 1000), (3000, 300), (3000, 3000))
GOALS = {(1000, 1000): {"float32": 8, "float64": 3}, (1000, 300): {"float32": 12, "float64": 5}}
IDEAL = {"float32": 52, "float64": 104}  # bytes a cell: five fields read and written, three maps of coefficients read
RUNS = 5  # of which medians are
UM, OMEGA_P = 1e-6, 4e12 * np.pi
IN_PLACE = {"xla_cpu_copy_insertion_use_region_analysis": True, "xla_cpu_prefer_vector_width": 512}  # as `propagate`
MEEP_PYTHON, MEEP_SCRIPT = "/usr/bin/python3", str(Path(__file__).with_name("field_meep.py"))
MPIRUN = ("mpirun", "--allow-run-as-root", "--oversubscribe")


# What runs in processes of its own.


def guide(nx: int, ny: int, eps: Any = 11.68) -> fdtd.Scene:
    """InSb in the lower 60 % of the box, silicon above; a micrometre a cell."""
    grid = fdtd.Grid.uniform((0, nx * UM), (0, ny * UM), UM)
    media: Any = fdtd  # their fields, said to be arrays, are made of numbers
    insb = media.GyrotropicDrude(15.6, OMEGA_P, 5e-3 * OMEGA_P, -0.25 * OMEGA_P)
    return fdtd.Scene.of(grid, media.Dielectric(eps), [(fdtd.Rectangle([0, nx * UM], [0, 0.6 * ny * UM]), insb)])


def ends(nx: int, ny: int) -> dict[str, Any]:
    """A source of Hz at a quarter of the guide, and a probe at the middle."""
    grid = guide(nx, ny).grid
    at = lambda x: fdtd.Functional.at(grid, x * nx * UM, 0.6 * ny * UM)  # noqa: E731
    return {"sources": [(at(0.25), fdtd.Pulse(0.5 * OMEGA_P, 2 / OMEGA_P))], "probes": [at(0.5)]}


def clocked(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - start, result


def options() -> dict[str, Any] | None:
    return IN_PLACE if jax.default_backend() == "cpu" else None


def speed(nx: int, ny: int, work: int) -> dict[str, dict[str, float]]:
    """Cell-steps per second and seconds of compilation by dtype; `work`: cell-steps of a run in float32."""
    return {name: rates(nx, ny, max(4, round(work * 52 / IDEAL[name] / (nx * ny))), name) for name in IDEAL}


def rates(nx: int, ny: int, steps: int, dtype: str) -> dict[str, float]:
    scene = guide(nx, ny)
    update = fdtd.Update.of(scene, dtype=jnp.dtype(dtype))
    along = ends(nx, ny)
    run = lambda: fdtd.propagate(update, steps, **along)  # noqa: E731
    first, recording = clocked(run)
    fields = recording.fields
    if not 0 < float(jnp.max(jnp.abs(fields.hz))) < np.inf:
        raise FloatingPointError("Fields must be finite and not zero.")
    loop = jax.jit(
        lambda update, fields: lax.fori_loop(0, steps, lambda i, fields: update(fields), fields),
        compiler_options=options(),
    )
    clocked(lambda: loop(update, fields))
    # In turns, since what memory gives changes from minute to minute.
    turns = [(clocked(run)[0], clocked(lambda: loop(update, fields))[0]) for _ in range(RUNS)]
    whole, bare = (median(list(times)) for times in zip(*turns, strict=True))
    work = nx * ny * steps
    return {"steps": steps, "propagate": work / whole, "loop": work / bare, "compile": first - whole}


def bandwidth(size: int, passes: int = 10) -> dict[str, Any]:
    """Bytes per second of a ← a + s b in float64, arrays of `size` bytes, in place as a step of fields is."""

    @partial(jax.jit, donate_argnums=0, compiler_options=options())
    def triad(a: Array, b: Array) -> Array:
        return lax.fori_loop(0, passes, lambda i, a: a + 1e-3 * b, a)

    a, b, times = jnp.ones(size // 8), jnp.ones(size // 8), []
    for _ in range(2 * RUNS):
        start = time.perf_counter()
        a = jax.block_until_ready(triad(a, b))
        times.append(time.perf_counter() - start)
    device = jax.devices()[0].device_kind
    return {"rate": passes * 3 * size / median(times[1:]), "backend": jax.default_backend(), "device": device}


def gradient(nx: int, ny: int, steps: int) -> dict[str, Any]:
    """Seconds and bytes of a probe's energy, and of its gradient in a map of permittivity; float32."""
    step, along = fdtd.Update.of(guide(nx, ny)).step, ends(nx, ny)
    eps = jnp.full((nx, ny), 11.68, jnp.float32)

    def signal(eps: Array) -> Array:
        scene = guide(nx, ny, eps)
        update = fdtd.Update.of(scene, 0.99 * step, jnp.float32)
        return jnp.sum(fdtd.propagate(update, steps, **along).traces ** 2)

    on_cpu, physical = jax.default_backend() == "cpu", os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    room = physical / 3 if on_cpu else np.inf  # beyond, the machine would be swapping or killing
    result: dict[str, Any] = {"state": 5 * 4 * nx * ny}
    for name, f in (("forward", signal), ("gradient", jax.grad(signal))):
        start = time.perf_counter()
        program = jax.jit(f).lower(eps).compile()
        compiling = time.perf_counter() - start
        memory = program.memory_analysis()
        temporary = memory.temp_size_in_bytes if memory else 0
        result[name] = {"compile": compiling, "memory": temporary, "time": None}
        if temporary < room:
            _, value = clocked(partial(program, eps))
            result[name]["time"] = median([clocked(partial(program, eps))[0] for _ in range(3)])
            if not np.all(np.isfinite(value)):
                raise FloatingPointError(f"The {name} must be finite.")
    return result


# What runs them, one after the other.


def apart(what: Callable[..., Any], *numbers: int, cores: int | None = None) -> Any:
    """What a measurement returns, from a process of its own on the first `cores` cores."""
    pinned = sorted(os.sched_getaffinity(0))[:cores]
    command = ["taskset", "-c", ",".join(map(str, pinned)), sys.executable, __file__, what.__name__, *map(str, numbers)]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


def has_meep() -> bool:
    if not (shutil.which("mpirun") and Path(MEEP_PYTHON).exists()):
        return False
    find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('meep') is None)"
    return subprocess.run([MEEP_PYTHON, "-c", find], env=clean()).returncode == 0


def clean() -> dict[str, str]:
    """An environment without this Python's paths; a thread a process."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1"}


def meep(nx: int, ny: int, processes: int, work: int) -> tuple[str, float]:
    """Meep's version and median of cell-steps per second; `work`: cell-steps of a run."""
    numbers = map(str, (nx, ny, max(4, round(work / (nx * ny))), RUNS))
    command = [*MPIRUN, "-n", str(processes), MEEP_PYTHON, MEEP_SCRIPT, *numbers]
    run = subprocess.run(command, env=clean(), capture_output=True, text=True)
    for line in run.stdout.splitlines():
        if line.startswith("rates "):
            _, version, *found = line.split()
            return version, median([float(rate) for rate in found])
    raise RuntimeError(f"Meep must print its rates, but said:\n{run.stdout}{run.stderr}")


def processor_time() -> tuple[float, float]:
    """Seconds of the processor since the start: everybody's, and those of this benchmark's processes that ended."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    own = os.times()
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"), sum(own[:4])


def third_level() -> int:
    """Bytes of the last level of cache; 32 MB where the system does not say."""
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index3/size").read_text(encoding="utf-8").strip()
        return int(text.removesuffix("K")) * 1024
    except (OSError, ValueError):
        return 32 * 2**20


def compare(size: tuple[int, int], counts: tuple[int | None, ...], work: int, peer: bool) -> dict[str, Any]:
    """diffnr and Meep in turns at one size, with how busy the machine was before and how busy others kept it."""
    load, start = os.getloadavg()[0], (time.perf_counter(), *processor_time())
    ours, theirs, version = {}, {}, ""
    for cores in counts:
        share = cores or 1
        if peer:
            version, theirs[cores] = meep(*size, share, share * work // 18)
        ours[cores] = apart(speed, *size, share * work, cores=cores)
    wall, all_of_us, own = (
        now - then for now, then in zip((time.perf_counter(), *processor_time()), start, strict=True)
    )
    others = max(0.0, all_of_us - own) / (wall * (os.cpu_count() or 1))
    return {"ours": ours, "theirs": theirs, "version": version or "none", "load": load, "others": others, "wall": wall}


def speed_rows(size: tuple[int, int], found: dict[str, Any], stream: dict[int | None, float]) -> list[list[Any]]:
    rows, theirs = [], found["theirs"]
    for dtype in IDEAL:
        for cores, result in found["ours"].items():
            mine = result[dtype]
            row = [f"{size[0]} × {size[1]}, {dtype}", cores or "device", mine["propagate"] / 1e6, mine["loop"] / 1e6]
            row += [f"{mine['loop'] * IDEAL[dtype] / stream[cores]:.0%}", mine["compile"]]
            peer = [theirs[cores] / 1e6, mine["propagate"] / theirs[max(theirs)]] if theirs else ["not installed", ""]
            rows.append(row + peer)
    return rows


def goals(size: tuple[int, int], found: dict[str, Any]) -> list[str]:
    """What became of the goals at a size."""
    lines, theirs = [], found["theirs"]
    for dtype, goal in GOALS.get(size, {}).items() if 2 in theirs else ():
        by_propagate, by_loop = (found["ours"][2][dtype][way] / theirs[2] for way in ("propagate", "loop"))
        lines.append(
            f"- {size[0]} × {size[1]}, {dtype}: {by_propagate:.1f} × by `propagate`, {by_loop:.1f} × by the loop; "
            f"the goal of {goal} × is {'met' if by_propagate >= goal else 'not met'}"
        )
    return lines


def gradient_rows(nx: int, ny: int, steps: int) -> list[list[Any]]:
    result = apart(gradient, nx, ny, steps)
    rows, forward = [], result["forward"]["time"]
    for name, label in (("forward", "energy at the probe"), ("gradient", "its gradient in the map of permittivity")):
        one = result[name]
        taken = [one["time"], one["time"] / forward] if one["time"] else ["too large to run", ""]
        rows.append([label, one["compile"], *taken, one["memory"] / 1e6, one["memory"] / result["state"]])
    return rows


def main(words: list[str]) -> None:
    title, quick = heading("Fields in time", " ".join(["python benchmarks/field.py", *words])), words == ["--quick"]
    chosen: Any = SIZES if not words or quick else tuple(tuple(map(int, word.split("x"))) for word in words)
    sizes, work = (((200, 100),), 10_000_000) if quick else (chosen, 1_500_000_000)
    side, steps = ((200, 100), 300) if quick else ((1000, 300), 2000)
    counts: tuple[int | None, ...] = (1, 2)[: len(os.sched_getaffinity(0))]
    streams = {cores: apart(bandwidth, 10 * third_level(), cores=cores) for cores in counts}
    device = streams[1]["device"]
    if on_device := streams[1]["backend"] != "cpu":
        counts, streams, work = (None,), {None: streams[1]}, 50 * work
    peer = not on_device and has_meep()
    found = {size: compare(size, counts, work, peer) for size in sizes}
    slopes = gradient_rows(*side, steps)

    print(title)
    stream = {cores: one["rate"] for cores, one in streams.items()}
    header = ["", "cores", "`propagate` (Mc/s)", "loop (Mc/s)", "loop, of the ideal pass", "compile (s)"]
    rows = [row for size in sizes for row in speed_rows(size, found[size], stream)]
    print(table([*header, "Meep, as many processes (Mc/s)", "`propagate` ÷ Meep's two"], rows))
    version = found[sizes[0]]["version"]
    ways = [
        f"{rate / 1e9:.1f} GB/s ({device if cores is None else f'cores: {cores}'})" for cores, rate in stream.items()
    ]
    print(
        f"Mc/s: 10⁶ cell-steps per second, medians of {RUNS} runs. `propagate`: from zero fields, with a source and a "
        "probe, as users call it; its compilation is the first call less later ones. Loop: `jit` of a `fori_loop` of "
        "steps, with `propagate`'s options of the compiler. Meep: the time stepping alone, in float64; version "
        f"{version}.\n\n"
        f"a ← a + s b in float64 and in memory: {', '.join(ways)}. The ideal pass moves at this rate 52 bytes a cell "
        "in float32, 104 in float64: fields read and written, coefficients read. Fields that fit into the cache pass "
        "it.\n"
    )
    quiet = [[f"{nx} × {ny}", one["load"], f"{one['others']:.1%}", one["wall"]] for (nx, ny), one in found.items()]
    print(table(["", "load average before", "processor time of others meanwhile", "took (s)"], quiet))
    slowest = max(row[5] for row in rows)
    print("\n".join(line for size in sizes for line in goals(size, found[size])))
    print(f"- longest compilation: {slowest:.1f} s; the goal of 3 s is {'met' if slowest < 3 else 'not met'}\n")
    print(f"Gradient through {steps} steps at {side[0]} × {side[1]} in float32, all cores:\n")
    header = ["", "compile (s)", "run (s)", "× forward", "temporary memory (MB)", "in states"]
    print(table(header, slopes))


if __name__ == "__main__":
    measurements: dict[str, Callable[..., Any]] = {f.__name__: f for f in (speed, bandwidth, gradient)}
    if sys.argv[1:] and sys.argv[1] in measurements:
        print(json.dumps(measurements[sys.argv[1]](*(int(word) for word in sys.argv[2:]))))
    else:
        main(sys.argv[1:])
