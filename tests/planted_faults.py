"""Plants one fault of the physics at a time, and looks whether the default tests catch it.

    python tests/planted_faults.py [NAME ...] [--workers 2] [--out docs/planted_faults.md]

Each fault replaces one passage of the source, in a copy of the tracked files. The tests named beside it run first; only
if they all pass does the whole default run follow, so that "caught" means by some test that runs by default.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE_TEST = "test_planted_faults.py"  # that each fault is not yet planted: it would catch all of them


@dataclass(frozen=True)
class Fault:
    """`old` stands once in `file` and becomes `new`; `first`: the test files that should notice."""

    name: str
    file: str
    old: str
    new: str
    first: tuple[str, ...]


LEAPFROG = "diffnr/fdtd/time_domain/leapfrog.py"
FAULTS = (
    # The field: signs of the bias, staggering, losses
    Fault(
        "bias: Jx turned the other way in the step",
        LEAPFROG,
        "jx = c * jx - s * jy + self.drude_gain * (ahead * sx - aside * sy)",
        "jx = c * jx + s * jy + self.drude_gain * (ahead * sx - aside * sy)",
        ("test_fdtd_leapfrog.py",),
    ),
    Fault(
        "bias: sign of what Ey drives in Jx",
        LEAPFROG,
        "(ahead * sx - aside * sy)",
        "(ahead * sx + aside * sy)",
        ("test_fdtd_leapfrog.py",),
    ),
    Fault(
        "bias: its sign in the permittivity's ε_xy",
        "diffnr/fdtd/scene/media.py",
        "[[one + along, -across, zero], [across, one + along, zero]",
        "[[one + along, across, zero], [-across, one + along, zero]",
        ("test_fdtd_media.py", "test_fdtd_against_closed_forms.py"),
    ),
    Fault(
        "bias: sign in the step at one frequency",
        "diffnr/fdtd/frequency_domain/harmonic_step.py",
        "for sign in (1j, -1j))",
        "for sign in (-1j, 1j))",
        ("test_fdtd_frequency.py", "test_fdtd_guide.py"),
    ),
    Fault(
        "bias from a field: charge over mass inverted in sign",
        "diffnr/fdtd/scene/media.py",
        "omega_c = CHARGE * field / MASS / mass",
        "omega_c = -CHARGE * field / MASS / mass",
        ("test_fdtd_media.py",),
    ),
    Fault(
        "collisions: gain in the place of loss in ε",
        "diffnr/fdtd/scene/media.py",
        "jnp.where(none, 1.0, self.nu + 1j * omega)",
        "jnp.where(none, 1.0, -self.nu + 1j * omega)",
        ("test_fdtd_media.py",),
    ),
    Fault(
        "Hz: the curl's sign",
        LEAPFROG,
        "change = curl_x - curl_y",
        "change = curl_x + curl_y",
        ("test_fdtd_leapfrog.py",),
    ),
    Fault(
        "currents: their share at vertical lines mirrored",
        LEAPFROG,
        "dey = dey - (left * before + (1 - left) * behind)",
        "dey = dey - ((1 - left) * before + left * behind)",
        ("test_fdtd_leapfrog.py",),
    ),
    Fault(
        "Bloch: the factor across the seam inverted",
        LEAPFROG,
        "axis=axis) / factor",
        "axis=axis) * factor",
        ("test_fdtd_boundaries.py",),
    ),
    # Guides and ports
    Fault(
        "guides: k₊ and k₋ exchanged (the sign of k)",
        "diffnr/fdtd/guides/guide.py",
        "k = 1j * jnp.log(factor) / column.width",
        "k = -1j * jnp.log(factor) / column.width",
        ("test_fdtd_guide.py",),
    ),
    Fault(
        "guides: the left vector's wave runs the wrong way",
        "diffnr/fdtd/guides/column.py",
        "-factor * (v @ self.above)[n:]",
        "factor * (v @ self.above)[n:]",
        ("test_fdtd_simulation.py",),
    ),
    Fault(
        "power: the conjugate dropped",
        "diffnr/fdtd/guides/column.py",
        "jnp.sum(jnp.conj(source) * ey)",
        "jnp.sum(source * ey)",
        ("test_fdtd_guide.py", "test_fdtd_simulation.py"),
    ),
    Fault(
        "S of a scene transposed",
        "diffnr/fdtd/guides/simulation.py",
        "return jnp.linalg.solve(_whole(incoming, sends).T, outgoing.T).T",
        "return jnp.linalg.solve(_whole(incoming, sends).T, outgoing.T)",
        ("test_fdtd_simulation.py",),
    ),
    Fault(
        "closed forms: the sign of the phase across a layer",
        "diffnr/fdtd/closed_forms.py",
        "* -1j * thickness",
        "* 1j * thickness",
        ("test_fdtd_closed_forms.py",),
    ),
    Fault(
        "closed forms: a half space's wave grows away from its face",
        "diffnr/fdtd/closed_forms.py",
        "return jnp.where(q.imag > 0, -q, q)",
        "return jnp.where(q.imag < 0, -q, q)",
        ("test_fdtd_closed_forms.py", "test_fdtd_against_closed_forms.py"),
    ),
    Fault(
        "one frequency: transposed solves with the matrix itself",
        "diffnr/fdtd/frequency_domain/direct_solve.py",
        "(self.matrix.T, self.size.T) if transposed else",
        "(self.matrix, self.size) if transposed else",
        ("test_fdtd_frequency.py",),
    ),
    # Coupled modes
    Fault(
        "incoupling: K = −CᵀD without the conjugate",
        "diffnr/tcmt/modes.py",
        "K = -self.C.T @ self.D.conj() if self.K is None else self.K",
        "K = -self.C.T @ self.D if self.K is None else self.K",
        ("test_tcmt.py",),
    ),
    Fault(
        "incoupling: K = −CD* without the transpose",
        "diffnr/tcmt/modes.py",
        "K = -self.C.T @ self.D.conj() if self.K is None else self.K",
        "K = -self.C @ self.D.conj() if self.K is None else self.K",
        ("test_tcmt.py",),
    ),
    Fault(
        "radiation: Γ = D†D without the half",
        "diffnr/tcmt/modes.py",
        "gamma = self.D.conj().T @ self.D / 2 + self.gamma_i",
        "gamma = self.D.conj().T @ self.D + self.gamma_i",
        ("test_tcmt.py",),
    ),
    Fault(
        "time dependence: e^{−iωt}",
        "diffnr/tcmt/solve.py",
        "A = 1j * matrices.omega - matrices.gamma - 1j * omega",
        "A = -1j * matrices.omega - matrices.gamma + 1j * omega",
        ("test_tcmt.py",),
    ),
    Fault(
        "nonlocal loss: the ideal coupling's sign",
        "diffnr/tcmt/loss.py",
        "set(1j * self.gamma_k * a[self.sensed])",
        "set(-1j * self.gamma_k * a[self.sensed])",
        ("test_tcmt_nonlocal.py", "test_tcmt.py"),
    ),
    Fault(
        "nonlocal loss: its discriminant without the square of γ_k",
        "diffnr/tcmt/solve.py",
        "(gamma_k * (Z * jnp.conj(f_s)).imag) ** 2",
        "gamma_k * (Z * jnp.conj(f_s)).imag ** 2",
        ("test_tcmt_nonlocal.py",),
    ),
    Fault(
        "nonlocal loss: its derivative without the turn of the phase",
        "diffnr/tcmt/solve.py",
        "r_m = r_m - 1j * gamma_k * a_s * u * turn",
        "r_m = r_m",
        ("test_tcmt_nonlocal.py",),
    ),
    Fault(
        "reversed bias: D̃ = D in the place of K",
        "diffnr/tcmt/time_reversal.py",
        "Matrices(omega.T, gamma.T, C.T, K, D)",
        "Matrices(omega.T, gamma.T, C.T, D, K)",
        ("test_tcmt_time_reversal.py",),
    ),
    Fault(
        "junction: the phase of its arm conjugated",
        "diffnr/tcmt/junction.py",
        "return lax.exp(-1j * phase)",
        "return lax.exp(1j * phase)",
        ("test_tcmt_junction.py",),
    ),
    Fault(
        "stability: the conjugate's block not conjugated",
        "diffnr/tcmt/stability.py",
        "[conjugate.conj(), direct.conj()]",
        "[conjugate, direct.conj()]",
        ("test_tcmt_stability.py",),
    ),
    # Ports and metrics
    Fault(
        "S[in, out]: the response transposed",
        "diffnr/ports.py",
        "columns = jnp.moveaxis(columns, 0, 1)",
        "columns = columns if columns.shape[0] == columns.shape[1] else jnp.moveaxis(columns, 0, 1)",
        ("test_ports.py", "test_metrics.py"),
    ),
    Fault(
        "isolation: forward and backward exchanged",
        "diffnr/metrics.py",
        "return _decibel(forward) - _decibel(backward)",
        "return _decibel(backward) - _decibel(forward)",
        ("test_metrics.py",),
    ),
    Fault(
        "nonreciprocal phase: the conjugate dropped",
        "diffnr/metrics.py",
        "phase = jnp.angle(forward * jnp.conj(backward))",
        "phase = jnp.angle(forward * backward)",
        ("test_metrics.py",),
    ),
    Fault(
        "R: the mean counted by half",
        "diffnr/metrics.py",
        "jnp.where(mean, b.real**2, _power(b) / 2)",
        "jnp.where(mean, b.real**2 / 2, _power(b) / 2)",
        ("test_metrics.py",),
    ),
    # Oscillators
    Fault(
        "harmonic balance: the damping's sign",
        "diffnr/duffing/harmonic_balance.py",
        "f = g @ tables.analysis.T - omega**2 * inertia + omega * drag",
        "f = g @ tables.analysis.T - omega**2 * inertia - omega * drag",
        ("test_duffing_response.py", "test_duffing_branch.py"),
    ),
    Fault(
        "oscillators: the second spring has the first one's cubic term",
        "diffnr/duffing/oscillators.py",
        "self.stiffness_ratio * x[1] - spring + self.cubic_ratio * self.cubic * x[1] ** 3",
        "self.stiffness_ratio * x[1] - spring + self.cubic * x[1] ** 3",
        (
            "test_duffing_one_harmonic.py",
            "test_duffing_response.py",
            "test_duffing_transient.py",
            "test_reciprocity.py",
        ),
    ),
    Fault(
        "Floquet: the commutator of the Magnus series left out",
        "diffnr/duffing/floquet.py",
        "twist = short * (k2 - k1)",
        "twist = 0 * short * (k2 - k1)",
        ("test_duffing_find_orbits.py",),
    ),
    Fault(
        "implicit derivative: its sign",
        "diffnr/root.py",
        "return value, -jnp.linalg.solve(jacobian, f_dot)",
        "return value, jnp.linalg.solve(jacobian, f_dot)",
        ("test_root.py",),
    ),
    # Fits and designs
    Fault(
        "passive fit: singular values that exceed 1 without the conjugate",
        "optimize/mode_fit/passivity.py",
        "u.conj(), ds, vh.conj()",
        "u, ds, vh.conj()",
        ("test_fit_modes_parts.py",),
    ),
    Fault(
        "number of modes: correlated residuals counted as independent ones",
        "optimize/mode_fit/choice.py",
        "share = (1 - closest.correlation) / (1 + closest.correlation)",
        "share = 1.0",
        ("test_fit_modes_auto.py",),
    ),
    Fault(
        "powers: the antisymmetric part of a line with the other sign",
        "optimize/mode_fit/power_form.py",
        "lines.real, -lines.imag]",
        "lines.real, lines.imag]",
        ("test_power_data.py",),
    ),
    Fault(
        "objectives: residual of reciprocity without the factor of Parseval",
        "optimize/objectives.py",
        "else (0.5**0.5, 0.5**0.5) for h in",
        "else (1.0, 1.0) for h in",
        ("test_objectives.py",),
    ),
)


def planted(fault: Fault, folder: Path) -> None:
    """The tracked files in a folder, with the fault in them."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    path = folder / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.name}: {fault.old!r} stands {text.count(fault.old)} times in {fault.file}, not once.")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")


def caught(fault: Fault, workers: int) -> tuple[str, float]:
    """The first test that fails, "" if none does, and the seconds it took."""
    environment = {**os.environ, "CI": "true"}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted(fault, folder)
        first = [f"tests/{file}" for file in fault.first]
        for files in (first, []):
            options = ["-q", "-x", "-p", "no:cacheprovider", "-n", str(workers), f"--ignore=tests/{TABLE_TEST}"]
            command = [sys.executable, "-m", "pytest", *options, *files]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.M)
            if failed:
                return failed[1].removeprefix("tests/").replace("|", "/"), time.perf_counter() - began
            if done.returncode != 0:
                raise SystemExit(f"{fault.name}: the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return "", time.perf_counter() - began


def main() -> int:
    """Print a table as it grows; returns 1 where fewer than 95 % are caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of the names of faults; default all")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    chosen = [f for f in FAULTS if not arguments.names or any(name in f.name for name in arguments.names)]
    lines = ["| fault | file | caught by |", "|---|---|---|"]
    missed = 0
    for fault in chosen:
        test, seconds = caught(fault, arguments.workers)
        missed += not test
        lines.append(f"| {fault.name} | `{fault.file}` | {f'`{test}`' if test else '**nothing**'} |")
        print(lines[-1], f"({seconds:.0f} s)", flush=True)
    lines.append(f"\n{len(chosen) - missed} of {len(chosen)} caught.")
    print(lines[-1])
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return int(missed > 0.05 * len(chosen))


if __name__ == "__main__":
    raise SystemExit(main())
