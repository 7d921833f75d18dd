"""Touchstone files as diffnr writes them: they return what went in, and a cut one is refused."""

import warnings

import numpy as np
import pytest
import skrf

from diffnr.data import FieldData
from diffnr.touchstone import read_touchstone, write_touchstone
from touchstone_texts import read


def random_data(ports: int = 2, points: int = 5, **kwargs) -> FieldData:
    """Data without any symmetry: whatever is transposed or conjugated shows."""
    rng = np.random.default_rng(ports)
    s = rng.normal(size=(points, ports, ports)) + 1j * rng.normal(size=(points, ports, ports))
    return FieldData(2 * np.pi * np.cumsum(rng.uniform(1e6, 1e7, points)), s, **kwargs)


def with_absent(*entries: tuple[int, int], ports: int = 2) -> FieldData:
    s = np.array(random_data(ports).s)
    for out, into in entries:
        s[:, out, into] = np.nan
    return FieldData(random_data(ports).omega, s)


class TestWriting:
    @pytest.mark.parametrize("ports", [1, 2, 3, 4, 5, 10])
    def test_round_trip(self, tmp_path, ports):
        data = random_data(ports)
        path = tmp_path / f"some device.v2.s{ports}p"
        write_touchstone(path, data)
        back = read_touchstone(path)
        np.testing.assert_array_equal(back.s, data.s)
        np.testing.assert_allclose(back.omega, data.omega, rtol=1e-15)  # Hz and back: two roundings
        assert (back.name, back.measured) == ("some device.v2", True)
        assert not read_touchstone(path, measured=False).measured
        assert read_touchstone(path, name="other").name == "other"

    @pytest.mark.parametrize("ports", [1, 2, 3, 5, 9])
    def test_scikit_rf_reads_the_same(self, tmp_path, ports):
        resistance = np.arange(10.0, 10.0 + ports)
        write_touchstone(tmp_path / f"a.s{ports}p", random_data(ports, resistance=resistance))
        network = skrf.Network(str(tmp_path / f"a.s{ports}p"))
        np.testing.assert_array_equal(network.s, random_data(ports).s)
        np.testing.assert_array_equal(network.z0, np.broadcast_to(resistance, (5, ports)))

    def test_s21_is_written_in_the_second_pair_of_columns(self, tmp_path):
        data = random_data()
        write_touchstone(tmp_path / "a.s2p", data)
        lines = (tmp_path / "a.s2p").read_text().splitlines()
        assert any(line.split() == ["#", "Hz", "S", "RI", "R", "50.0"] for line in lines)
        table = np.array([[float(cell) for cell in line.split()] for line in lines if line[0] not in "!#"])
        np.testing.assert_array_equal(table[:, 3] + 1j * table[:, 4], data.s[:, 1, 0])
        np.testing.assert_array_equal(table[:, 5] + 1j * table[:, 6], data.s[:, 0, 1])

    @pytest.mark.parametrize(("given", "written"), [(None, 75.0), (20.0, 20.0), ([1.0, 2.0], [1.0, 2.0])])
    def test_the_resistance_returns(self, tmp_path, given, written):
        write_touchstone(tmp_path / "a.s2p", random_data(resistance=75.0), resistance=given)
        np.testing.assert_array_equal(read_touchstone(tmp_path / "a.s2p").resistance, written)

    @pytest.mark.parametrize("absent", [[(0, 1), (1, 1)], [(0, 0), (0, 1), (1, 1)], [(1, 0)]])
    def test_what_was_not_measured_returns_so(self, tmp_path, absent):
        data = with_absent(*absent)
        write_touchstone(tmp_path / "a.s2p", data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(read_touchstone(tmp_path / "a.s2p").s, data.s)

    def test_a_cut_file_is_refused_wherever_it_is_cut(self, tmp_path):
        write_touchstone(tmp_path / "a.s3p", random_data(3, points=3))
        whole = (tmp_path / "a.s3p").read_bytes()
        beginning = whole.index(b"\n# ") + 1  # only from there on can one see that this was a file of diffnr's
        for length in range(beginning, len(whole)):
            with pytest.raises(ValueError, match=r"was cut|must hold at least one|no option line|such as # Hz"):
                read(tmp_path, whole[:length], "cut.s3p")

    def test_lines_that_were_taken_out_are_missed(self, tmp_path):
        write_touchstone(tmp_path / "a.s1p", random_data(1))
        lines = (tmp_path / "a.s1p").read_text().splitlines(keepends=True)
        with pytest.raises(ValueError, match="was written with 5 points and holds 4"):
            read(tmp_path, "".join(lines[:3] + lines[4:]), "a.s1p")

    @pytest.mark.parametrize("name", ["a.s1p", "a.csv", "a"])
    def test_extension_must_tell_the_ports(self, tmp_path, name):
        with pytest.raises(ValueError, match=r"Argument path must end in \.s2p for 2 port"):
            write_touchstone(tmp_path / name, random_data())
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("resistance", [0.0, -50.0, [1.0, 2.0, 3.0], np.nan, 50.0 + 1j])
    def test_bad_resistance(self, tmp_path, resistance):
        with pytest.raises(ValueError, match="Argument resistance must"):
            write_touchstone(tmp_path / "a.s2p", random_data(), resistance=resistance)
