"""Texts of Touchstone files for tests, and how they are read."""

from pathlib import Path

import numpy as np

from diffnr.data import FieldData
from diffnr.touchstone import read_touchstone

HERTZ = np.linspace(1e9, 2e9, 5)


def pairs(*values: complex, k: int = 0) -> str:
    """Real and imaginary parts, which change a little from line to line, as measured ones do."""
    return " ".join(f"{z.real + 1e-3 * k * (z != 0):.6f} {z.imag:.6f}" for z in map(complex, values))


def rows(order: str = "21_12", hertz: np.ndarray = HERTZ) -> str:
    """A two-port with S21 = .9 and S12 = .1 at the first frequency."""
    s21, s12 = 0.9, 0.1
    return "".join(
        f"{f:.4f} {pairs(0.05, *((s21, s12) if order == '21_12' else (s12, s21)), 0.04j, k=k)}\n"
        for k, f in enumerate(hertz)
    )


OPTION = "# Hz S RI R 50\n"
VERSION_2 = (
    f"[Version] 2.0\n{OPTION}[Number of Ports] 2\n[Two-Port Data Order] {{}}\n"
    "[Number of Frequencies] 5\n[Network Data]\n"
)


def read(tmp_path: Path, text: str | bytes, name: str = "a.s2p", **arguments) -> FieldData:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_touchstone(path, **arguments)
