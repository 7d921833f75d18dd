"""Paper 3's cavities over meshes: frequency and width of their lines, and coupling in and out.

    python benchmarks/cavities.py

Cells at the opening of 100, 50 and 25 nm, of half a micrometre elsewhere; beside spectral elements (an independent
solver, whose numbers are written down here). Coupling by `fdtd.cavity.response` at eleven frequencies in cells of 100
nm: k of a = k s₊ line, d of s₋ = C s₊ + d a with a straight C. Prints Markdown tables.
"""

from __future__ import annotations

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402
from report import heading, table  # noqa: E402

from diffnr import fdtd  # noqa: E402
from diffnr.fdtd import cavity  # noqa: E402

THZ = 2e12 * np.pi
CELLS = (100e-9, 50e-9, 25e-9)
SCENES = {
    "Fig. 3, no bias": (cavity.figure3(0.0), 1.2397 + 1e-4j, (1.239698, 95.85)),
    "Fig. 3, biased": (cavity.figure3(-0.25), 1.2397 + 1e-4j, (1.239692, 80.36)),
    "Fig. 2": (cavity.figure2(), 1.5222 + 4.5e-3j, (1.52226, 4602.0)),
}
DETUNED = np.array([-20, -6, -3, -1.5, -0.7, 0, 0.7, 1.5, 3, 6, 20])  # widths


def line(made: cavity.AbstractCavity, mesh: cavity.CavityMesh, guess: complex) -> np.ndarray:
    """Frequency in THz, and γ/2π in MHz."""
    modes = fdtd.resonances(fdtd.Update.of(made.scene(mesh)), guess * THZ)
    return np.array([float(modes.omega[0]) / THZ, float(modes.gamma[0]) / THZ * 1e6])


def coupling(made: cavity.AbstractCavity, guess: complex, cell: float) -> list[float | str]:
    """|k|², |d|² in 1e8 rad/s, |d/k|, and the largest share of power that leaves by no wave of the port."""
    mesh = made.mesh(cell, CELLS[0])
    f0, width = line(made, mesh, guess)
    gamma = width * 1e-6 * THZ
    found = cavity.response(made, mesh, f0 * THZ + gamma * DETUNED)
    a, shape = np.asarray(found.amplitude), 1 / (1j * DETUNED + 1) / gamma
    k = np.vdot(shape, a) / np.vdot(shape, shape)
    size = np.max(np.abs(a))
    columns = np.stack([a / size, np.ones(DETUNED.size), DETUNED / 20], axis=1)
    d = np.linalg.lstsq(columns, np.asarray(found.outgoing), rcond=None)[0][0] / size
    return [abs(k) ** 2 / 1e8, abs(d) ** 2 / 1e8, f"{abs(d / k):.4f}", float(np.max(np.abs(found.unaccounted)))]


def main() -> None:
    print(heading("Lines of paper 3's cavities", "python benchmarks/cavities.py"), flush=True)
    rows = []
    for name, (made, guess, known) in SCENES.items():
        values = np.array([line(made, made.mesh(opening_cell=cell), guess) for cell in CELLS])
        ends = fdtd.extrapolate(CELLS, values)
        for column, (unit, form) in enumerate((("f0 (THz)", ".6f"), ("γ/2π (MHz)", ".6g"))):
            found = [format(float(v), form) for v in (*values[:, column], ends.value[column])]
            error, order = float(ends.error[column]), float(ends.order[column])
            rows.append([f"{name}, {unit}", *found, f"{error:.2g}", f"{order:.2f}", format(known[column], form)])
    header = ["opening cells of", *(f"{cell * 1e9:.0f} nm" for cell in CELLS), "extrapolated", "±", "order", "known"]
    print(table(header, rows), flush=True)
    rows = []
    for name, cell in (("Fig. 3, no bias", 0.5e-6), ("Fig. 3, biased", 0.5e-6), ("Fig. 3, biased", 0.25e-6)):
        made, guess, _ = SCENES[name]
        rows.append([f"{name}, cells of {cell * 1e6:g} µm", *coupling(made, guess, cell)])
    print(table(["coupling", "k² (1e8 rad/s)", "d² (1e8 rad/s)", "d/k", "unaccounted, at most"], rows))


if __name__ == "__main__":
    main()
