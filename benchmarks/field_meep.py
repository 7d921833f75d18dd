"""Meep's rate on the guide of `field.py`, which runs this by the Python that has Meep (Debian: /usr/bin/python3).

Prints "rates", Meep's version and cell-steps per second of each run, of the time stepping only, after a warm-up.

    mpirun -n 2 /usr/bin/python3 benchmarks/field_meep.py nx ny steps runs
"""

import ctypes
import ctypes.util
import importlib
import importlib.util
import sys
import time
from typing import Any

FIELD = 2.0 / 299.792458  # InSb's plasma frequency, 2 THz, in units of c/µm
EPS_INSB, EPS_SI = 15.6, 11.68


def started_mpi() -> ctypes.CDLL | None:
    """The MPI library, started; none where mpi4py is there, by which Meep starts it itself."""
    if importlib.util.find_spec("mpi4py"):
        return None
    mpi = ctypes.CDLL(ctypes.util.find_library("mpi"), ctypes.RTLD_GLOBAL)
    mpi.MPI_Init(None, None)
    return mpi


def main(nx: int, ny: int, steps: int, runs: int) -> None:
    mpi = started_mpi()
    mp: Any = importlib.import_module("meep")  # not in the environment whose types are checked
    mp.verbosity(0)
    mp.set_zero_subnormals(True)
    carriers = mp.GyrotropicDrudeSusceptibility(
        frequency=FIELD, gamma=5e-3 * FIELD, sigma=EPS_INSB, bias=mp.Vector3(0, 0, 0.25 * FIELD)
    )
    insb = mp.Medium(epsilon=EPS_INSB, E_susceptibilities=[carriers])
    # A micrometre a cell; without absorbing layers the box is closed by metal.
    lower = mp.Block(mp.Vector3(nx, 0.6 * ny, mp.inf), center=mp.Vector3(0, -0.2 * ny), material=insb)
    source = mp.Source(mp.GaussianSource(0.5 * FIELD, width=0.2 / FIELD), mp.Hz, mp.Vector3(-0.25 * nx, 0.1 * ny))
    simulation = mp.Simulation(
        cell_size=mp.Vector3(nx, ny),
        resolution=1,
        default_material=mp.Medium(epsilon=EPS_SI),
        geometry=[lower],
        sources=[source],
        eps_averaging=False,  # it slows the beginning down, and no step
    )
    simulation.init_sim()
    fields, rates = simulation.fields, []
    for run in range(runs + 1):
        mp.all_wait()
        start = time.perf_counter()
        for _ in range(steps if run else max(2, steps // 4)):
            fields.step()
        mp.all_wait()
        if run:
            rates.append(nx * ny * steps / (time.perf_counter() - start))
    largest = max(fields.max_abs(component, fields.total_volume()) for component in (mp.Ex, mp.Ey, mp.Hz))
    if not 0 < largest < 1e9:
        raise FloatingPointError(f"Meep's fields must be finite and not zero, but reached {largest}.")
    if mp.am_master():
        print("\nrates", mp.__version__, *rates, flush=True)
    if mpi:
        mpi.MPI_Finalize()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:5]))
