"""What the page on files says of other programs, run on small files and objects such as these programs make.

All stand for one device with e^{+iωt}: a resonance behind lines, nonreciprocal, so that whatever is transposed or
conjugated shows.
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import diffnr as nr

PAGE = (Path(__file__).parents[1] / "docs" / "files.md").read_text(encoding="utf-8")
F = np.linspace(190e12, 200e12, 6)
LINE = np.exp(-2j * np.pi * F * 1e-13) / (1 + 1j * (F - 194e12) / 2e12)
S = np.array([[0.1 * LINE, 0.3 * LINE], [0.9 * LINE, -0.2 * LINE]]).transpose(2, 0, 1)


def run(heading: str, **names: Any) -> nr.FieldData:
    """The data that the code under a heading makes."""
    code = re.search(rf"### {heading}\n.*?```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    names |= {"np": np, "nr": nr, "re": re}
    exec(compile(code[1], "files.md", "exec"), names)
    return names["data"]


def same(data: nr.FieldData) -> None:
    np.testing.assert_allclose(data.frequency, F, rtol=1e-12)  # digits of the file, and roundings
    np.testing.assert_allclose(data.s, S, atol=1e-11)  # twelve digits in the file


def test_a_line_that_delays_has_a_falling_phase() -> None:
    assert np.all(np.diff(np.unwrap(np.angle(S[:, 1, 0]))) < 0)


@pytest.mark.parametrize("flip", [1, -1])
def test_lumerical(flip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = ""
    for out in (0, 1):
        for into in (0, 1):
            text += f'("port {out + 1}","TE",1,"port {into + 1}",1,"transmission")\n({len(F)}, 3)\n'
            s = S[:, out, into].conj()[::flip]
            rows = zip(F[::flip], np.abs(s), np.unwrap(np.angle(s)), strict=True)
            text += "".join(f"{f:.12e} {modulus:.12e} {phase:.12e}\n" for f, modulus, phase in rows)
    Path("device.dat").write_text(text)
    same(run("Lumerical"))


def test_lumerical_with_an_entry_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("device.dat").write_text('("port 2","mode 1",1,"port 1",1,"transmission")\n(2,3)\n1 .5 0\n2 .5 1\n')
    np.testing.assert_array_equal(run("Lumerical").entries, [[False, False], [True, False]])


class Named:
    """As much of xarray's arrays as the page uses."""

    def __init__(self, values: np.ndarray, dims: tuple[str, ...], f: np.ndarray):
        self.values, self.dims, self.f = values, dims, SimpleNamespace(values=f)

    def sel(self, **chosen: int) -> "Named":
        index = tuple(chosen.get(name, slice(None)) for name in self.dims)
        return Named(self.values[index], tuple(name for name in self.dims if name not in chosen), self.f.values)

    def sortby(self, name: str) -> "Named":
        order = np.argsort(self.f.values)
        return Named(np.take(self.values, order, self.dims.index(name)), self.dims, self.f.values[order])

    def transpose(self, *names: str) -> "Named":
        return Named(self.values.transpose([self.dims.index(name) for name in names]), names, self.f.values)


def test_tidy3d() -> None:
    values = np.zeros((2, 2, 2, 2, len(F)), dtype=complex)
    values[:, 0, :, 0] = S.conj()[::-1].transpose(1, 2, 0)
    dims = ("port_out", "mode_index_out", "port_in", "mode_index_in", "f")
    same(run("Tidy3D", smatrix=Named(values, dims, F[::-1])))


def test_sax() -> None:
    names = ("in0", "out0")
    sdict = {(names[i], names[o]): S[::-1, o, i].conj() for i in (0, 1) for o in (0, 1)}
    same(run("SAX", sdict=sdict, wl=299792458e6 / F[::-1]))
    del sdict["in0", "in0"], sdict["out0", "out0"]
    np.testing.assert_array_equal(run("SAX", sdict=sdict, wl=299792458e6 / F[::-1]).s[:, [0, 1], [0, 1]], 0)


def test_simulators_with_touchstone_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nr.write_touchstone("simulated.s2p", nr.FieldData(2 * np.pi * F, S))
    data = run("HFSS, CST, COMSOL")
    same(data)
    assert not data.measured
