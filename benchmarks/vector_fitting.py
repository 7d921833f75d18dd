"""`fit_modes` beside scikit-rf's vector fitting, on the same files in one run.

    python benchmarks/vector_fitting.py FILES [--poles N ...]

At equal order: scikit-rf's model has N complex poles with residues of full rank, their conjugates, and a constant; of
M ports these are N·M modes of rank one, and as many go into `fit_modes`, with delays of the ports and a direct path of
second order. Two real poles count as a complex one, and scikit-rf's better split is taken: (0, N) or (2, N − 1) real
and complex poles. The misfit is rms |S_fit − S| over all entries and frequencies, which is what scikit-rf makes least;
"equal σ" is ours with one σ for all entries, the same objective, and "ours" the default, which weighs each entry by its
own misfit. Both are passive where the data are; scikit-rf's are not unless that is enforced afterwards.

`--checkout DIR` of scikit-rf's repository takes those of its files that are networks with resonances (RESONANT). Left
out of its 296 Touchstone files are copies, the same simulation in other formats, and files of its readers' tests with
fewer than 30 points; standards, lines, attenuators, transistors and couplers, raw or ideal, which have no pole of their
own in the band, but for standing waves of lines; and, for the time it takes, a simulation of 8 ports. That of 6 ports
was run with one pole (`--poles 1`): with three a fit has 18 modes.
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

DATA, TESTS = "doc/source/examples", "skrf/tests"
RESONANT = (
    f"{DATA}/qfactor/data/resonator_36mm.s2p",
    f"{DATA}/qfactor/data/resonator_72mm.s2p",
    f"{DATA}/qfactor/data/resonator_144mm.s2p",
    "skrf/data/ring slot.s2p",
    "skrf/data/ring slot measured.s1p",
    f"{DATA}/circuit/designer_bandpass_filter_450_550MHz.s2p",
    f"{DATA}/vectorfitting/190ghz_tx_measured.S2P",
    f"{DATA}/vectorfitting/Agilent_E5071B.s4p",
    f"{TESTS}/RS_ZNB8.s4p",
    f"{TESTS}/LFCN-2352+_Plus25degC.s2p",
    f"{TESTS}/LFCN-2352+_Plus125degC.s2p",
    f"{TESTS}/ntwk4.s2p",
    f"{TESTS}/hfss_threeport_DB_50Ohm.s3p",
    f"{DATA}/mixedmodeanalysis/mixedmodeSandZtransform_files/EP2C+_Plus25DegC_Unit1.S3P",
    f"{TESTS}/cst_example_6ports.s6p",
)


def theirs(network: Any, poles: int) -> tuple[float, float]:
    """scikit-rf's misfit, of the better split, and the processor seconds of one call."""
    found = []
    for real in (0, 2):
        begun = time.process_time()
        fit = VectorFitting(network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit.vector_fit(n_poles_real=real, n_poles_cmplx=poles - real // 2)
        seconds = time.process_time() - begun
        ports = network.nports
        s = [[fit.get_model_response(i, j, network.f) for j in range(ports)] for i in range(ports)]
        found.append((rms(np.moveaxis(np.array(s), -1, 0) - network.s), seconds))
    return min(found)


def ours(data: nr.FieldData, modes: int) -> tuple[float, float, op.ModeFit]:
    """Our misfit, processor seconds and fit."""
    begun = time.process_time()
    fit = op.fit_modes(data, modes, delay=True, background=2)
    return rms(np.asarray(fit.residual)), time.process_time() - begun, fit


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(np.abs(values) ** 2)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("files", nargs="*", type=Path)
    options.add_argument("--checkout", type=Path, help="of scikit-rf's repository: its files with resonances")
    options.add_argument("--points", type=int, default=600, help="of which files have more are thinned, for both")
    options.add_argument("--poles", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    arguments = options.parse_args()
    files = [*arguments.files, *([arguments.checkout / name for name in RESONANT] if arguments.checkout else [])]
    print(f"scikit-rf {skrf.__version__}; rms misfits, and processor seconds\n")
    print("| file | ports | points | poles | modes | scikit-rf | equal σ | ours | said | scikit-rf s | ours s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data, network = nr.read_touchstone(file), skrf.Network(str(file))
        every = -(-data.num_points // arguments.points)
        data, network = nr.FieldData(data.omega[::every], data.s[::every], measured=True), network[::every]
        for poles in arguments.poles:
            modes = poles * data.num_ports
            if 5 * modes > min(data.num_points - 3, 100):  # more than a fit takes
                continue
            their_misfit, their_seconds = theirs(network, poles)
            misfit, seconds, fit = ours(data, modes)
            alike = nr.FieldData(data.omega, data.s, sigma=their_misfit / np.sqrt(2), measured=True)
            equal, _, _ = ours(alike, modes)
            said = "complete" if fit.complete else "INCOMPLETE"
            row = [file.name, data.num_ports, data.num_points, poles, modes]
            row += [f"{value:.3g}" for value in (their_misfit, equal, misfit)]
            row += [said, f"{their_seconds:.2f}", f"{seconds:.2f}"]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
