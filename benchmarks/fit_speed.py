"""Processor time of `fit_modes`, first call in a fresh process and again, beside scikit-rf's vector fitting in one run.

    OPENBLAS_NUM_THREADS=1 python benchmarks/fit_speed.py [--ports M ...] [--runs N] [--auto]

Devices of 1 to 4 ports behind cables of 1 to 4 ns, 301 points over 20 MHz, noise of 10⁻³ that the fit is not told;
delays and a direct path of second order are fitted. "Again" is the median over other draws of noise, and the last
column the ratio of these. scikit-rf fits no delays and gives no errors. Without it (the extra `rf`) its columns are
empty.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from report import heading, table

CASES = ((1, 1), (2, 2), (3, 2), (4, 2), (4, 4))  # ports, modes
NOISE = 1e-3


def noisy(ports: int, modes: int, rng: np.random.Generator) -> tuple[Any, Callable[[], Any]]:
    """Frequencies in hertz, and S of a device that is drawn once, with new noise at each call."""
    f = np.linspace(5.99e9, 6.01e9, 301)
    D = np.sqrt(2 * np.pi * 0.4e6) * (rng.normal(size=(ports, modes)) + 1j * rng.normal(size=(ports, modes)))
    A = 2j * np.pi * np.diag(np.linspace(5.997e9, 6.003e9, modes)) - D.conj().T @ D / 2 - 0.6e6 * np.pi * np.eye(modes)
    C = -0.95 * np.eye(ports)
    s = C + D @ np.linalg.solve(2j * np.pi * f[:, None, None] * np.eye(modes) - A, -D.conj().T @ C)
    turned = np.exp(-2j * np.pi * (f - 6e9)[:, None] * 1e-9 * np.arange(1, ports + 1))
    s = s * turned[:, :, None] * turned[:, None, :]
    return f, lambda: s + NOISE * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))


def measure(ports: int, modes: int, runs: int, *, auto: bool) -> dict[str, Any]:
    """Seconds of processor time of the first call and of each further one, ours and scikit-rf's."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import diffnr as nr
    import optimize as op

    f, draw = noisy(ports, modes, np.random.default_rng(ports))
    fit: Callable[..., Any] = op.fit_modes  # imported here, as it is when it is first asked for
    found: dict[str, Any] = {"ours": [], "theirs": []}
    for _ in range(runs + 1):
        s = draw()
        data = nr.FieldData(2 * np.pi * f, s, measured=True)
        begun = time.process_time()
        answer = fit(data, "auto" if auto else modes)
        found["ours"].append(time.process_time() - begun)
        if len(answer.coefficients.omega) != modes or not answer.verdict.noise_like:
            print(f"{ports} ports, {modes} modes: {answer.verdict.sentence}", file=sys.stderr)
        if importlib.util.find_spec("skrf"):
            import skrf
            from skrf.vectorFitting import VectorFitting

            vector = VectorFitting(skrf.Network(f=f, f_unit="Hz", s=s, z0=50))
            begun = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                vector.vector_fit(n_poles_real=0, n_poles_cmplx=modes)
            found["theirs"].append(time.process_time() - begun)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--ports", type=int, nargs="+", default=[1, 2, 3, 4])
    options.add_argument("--runs", type=int, default=5, help="further calls in the same process")
    options.add_argument("--auto", action="store_true", help="let the fits choose the number of modes")
    options.add_argument("--case", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.case:
        ports, modes = arguments.case
        print(json.dumps(measure(ports, modes, arguments.runs, auto=arguments.auto)))
        return
    auto = ["--auto"] * arguments.auto
    print(heading("Processor time of a fit", " ".join(["python benchmarks/fit_speed.py", *auto])))
    rows: list[list[Any]] = []
    for ports, modes in CASES:
        if ports not in arguments.ports:
            continue
        command = [sys.executable, __file__, "--case", str(ports), str(modes), "--runs", str(arguments.runs), *auto]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        first, again = found["ours"][0], statistics.median(found["ours"][1:])
        row = [f"{ports}, {modes}", first, again]
        if found["theirs"]:
            theirs = statistics.median(found["theirs"][1:])
            row += [found["theirs"][0], theirs, again / theirs]
        rows.append(row + [""] * (6 - len(row)))
    header: Any = (
        "ports, modes",
        "first call (s)",
        "again (s)",
        "scikit-rf, first (s)",
        "scikit-rf, again (s)",
        "ratio",
    )
    print(table(header, rows))


if __name__ == "__main__":
    main()
