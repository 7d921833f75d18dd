"""First and later calls of the field at one frequency, here and in another checkout, beside the LU factorisations.

    git worktree add /tmp/then 764d61f
    python benchmarks/field_calls.py --then /tmp/then --across 126

Paper 3's guide between sponges and a closed box of it, each checkout in a fresh process, without a compilation cache;
processor time, of which the factorisations (SuperLU's) are a part. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KINDS = ("frequency", "port_response", "resonances, a box", "resonances, open ends")


def measure(across: int, kind: str) -> dict[str, Any]:
    """Processor seconds of the first call and of two more at other frequencies, with those of their LUs."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import numpy as np
    import scipy.sparse.linalg

    spent: list[float] = []
    factorise = scipy.sparse.linalg.splu

    def timed(*arguments: Any, **options: Any) -> Any:
        begun = time.thread_time()
        try:
            return factorise(*arguments, **options)
        finally:
            spent.append(time.thread_time() - begun)

    scipy.sparse.linalg.splu = timed  # before diffnr imports it
    import diffnr as nr
    from diffnr import fdtd as todays

    fdtd: Any = todays  # or another checkout's

    um, thz, now = 1e-6, 2e12 * np.pi, hasattr(fdtd, "Boundaries")
    lines = np.linspace(0, 75 * um, round(2.5 * across) + 1), np.linspace(0, 30 * um, across + 1)
    insb = fdtd.GyrotropicDrude(15.6, 2 * thz, 0.01 * thz, 0.5 * thz)
    below = fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * um])
    ends = fdtd.Boundaries if now else fdtd.Ends
    closed = ends() if kind == "resonances, a box" else ends(left=fdtd.Sponge(20 * um), right=fdtd.Sponge(20 * um))
    scene = fdtd.Scene.of(fdtd.Grid(*lines), fdtd.Dielectric(11.68), [(below, insb)], closed)
    device = fdtd.Simulation(scene, [fdtd.Port(28 * um, "+x"), fdtd.Port(47 * um, "-x")])
    update = fdtd.Update.of(scene)
    of_step = (update,) if now else (scene, update)
    source = fdtd.Functional.at(scene.grid, 30 * um, 18.2 * um)

    def call(omega: float) -> Any:
        if kind == "frequency":
            return fdtd.frequency(*of_step, omega, sources=[(source, 1.0)]).fields.ex
        if kind == "port_response":
            return nr.port_response(device, nr.Drive(omega)).s
        return fdtd.resonances(*of_step, omega).omega

    found: dict[str, Any] = {"calls": [], "factors": [], "count": []}
    for k in range(3):
        spent.clear()
        begun = time.process_time()
        jax.block_until_ready(call((1.0 + 0.01 * k) * thz))
        found["calls"].append(time.process_time() - begun)
        found["factors"].append(sum(spent))
        found["count"].append(len(spent))
    return found


def elsewhere(checkout: Path, across: int, kind: str) -> dict[str, Any]:
    """`measure` in a fresh process that imports diffnr from there."""
    command = [sys.executable, __file__, "--across", str(across), "--kind", kind]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environ = {**kept, "PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd="/", env=environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(across: int, then: Path | None) -> None:
    from report import heading, table

    shown = f"python benchmarks/field_calls.py --across {across}" + (f" --then {then}" if then else "")
    print(heading(f"First and later calls at {round(2.5 * across)} × {across} cells", shown))
    rows = []
    for kind in KINDS:
        for name, checkout in (("here", ROOT), *([("then", then)] if then else [])):
            found = elsewhere(checkout, across, kind)
            first, later = found["calls"][0], min(found["calls"][1:])
            which = found["calls"].index(later)
            factors = found["factors"][0], found["factors"][which]
            beyond, times = first - factors[0], later / factors[1]
            rows.append([kind, name, first, beyond, later, found["count"][which], factors[1], times])
    header = [
        "processor time (s)",
        "checkout",
        "first call",
        "beyond its LUs",
        "a later one",
        "its LUs",
        "take",
        "times",
    ]
    print(table(header, rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--across", type=int, default=126)
    parser.add_argument("--then", type=Path)
    parser.add_argument("--kind", choices=KINDS)
    chosen = parser.parse_args()
    if chosen.kind:
        print(json.dumps(measure(chosen.across, chosen.kind)))
    else:
        main(chosen.across, chosen.then)
