"""`fit_modes` beside scikit-rf's vector fitting, on the same files in one run.

    python benchmarks/vector_fitting.py FILES [--poles N ...]

scikit-rf's model has N poles (and their conjugates) with residues of full rank, and a constant: of M ports, N·M modes
of rank one, and as many go into `fit_modes`, with delays of the ports and a direct path of second order. The misfit is
rms |S_fit − S| over all entries and frequencies. Ours is passive where the data are, scikit-rf's not unless that is
enforced; "free" is ours without.

Files of scikit-rf's repository (github.com/scikit-rf/scikit-rf) that are networks with resonances:
`doc/source/examples/qfactor/data/*.s2p`, `doc/source/examples/vectorfitting/*`, `skrf/data/ring slot*`,
`skrf/data/ntwk1.s2p`, `doc/source/examples/circuit/designer_*.s2p`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402
import skrf  # noqa: E402
from skrf.vectorFitting import VectorFitting  # noqa: E402

import diffnr as nr  # noqa: E402
import optimize as op  # noqa: E402


def theirs(file: Path, poles: int) -> tuple[float, float]:
    """scikit-rf's misfit and seconds."""
    network = skrf.Network(str(file))
    begun = time.perf_counter()
    fit = VectorFitting(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit.vector_fit(n_poles_real=0, n_poles_cmplx=poles)
    seconds = time.perf_counter() - begun
    ports = network.nports
    s = [[fit.get_model_response(i, j, network.f) for j in range(ports)] for i in range(ports)]
    return rms(np.moveaxis(np.array(s), -1, 0) - network.s), seconds


def ours(data: nr.FieldData, modes: int, **options: Any) -> tuple[float, float, op.ModeFit]:
    """Our misfit, seconds and fit."""
    begun = time.perf_counter()
    fit = op.fit_modes(data, modes, **options)
    return rms(np.asarray(fit.residual)), time.perf_counter() - begun, fit


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(np.abs(values) ** 2)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("files", nargs="+", type=Path)
    options.add_argument("--poles", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    arguments = options.parse_args()
    print(f"scikit-rf {skrf.__version__}; misfits, and seconds of a call whose shapes are new\n")
    print("| file | ports | points | poles | modes | scikit-rf | free | ours | said | scikit-rf s | ours s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for file in arguments.files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = nr.read_touchstone(file)
        for poles in arguments.poles:
            modes = poles * data.num_ports
            row = [file.name, data.num_ports, data.num_points, poles, modes]
            their_misfit, their_seconds = theirs(file, poles)
            misfit, seconds, fit = ours(data, modes)
            free, _, _ = ours(data, modes, passive=False)
            said = "complete" if fit.complete else "INCOMPLETE"
            row += [f"{value:.3g}" for value in (their_misfit, free, misfit)]
            row += [said, f"{their_seconds:.2f}", f"{seconds:.2f}"]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
