"""Touchstone files as instruments and simulators write them, and one sentence for what is none."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import skrf

from diffnr.data import FieldData
from diffnr.touchstone import read_touchstone, write_touchstone

MEASURED = Path(__file__).parent / "data" / "measured"
PACKAGED = sorted((Path(skrf.__file__).parent / "data").glob("*.s?p"))
HERTZ = np.linspace(1e9, 2e9, 5)


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


class TestReading:
    @pytest.mark.parametrize("path", PACKAGED + sorted(MEASURED.glob("*.[sS]2[pP]")), ids=lambda path: path.name)
    def test_agrees_with_scikit_rf(self, path):
        data, network = read_touchstone(path), skrf.Network(str(path))
        np.testing.assert_allclose(data.s, network.s, atol=1e-15)  # roundings of cos, sin and powers
        np.testing.assert_allclose(data.frequency, network.f, rtol=1e-15)  # roundings
        np.testing.assert_array_equal(np.broadcast_to(data.resistance, network.z0.shape), network.z0)

    @pytest.mark.parametrize("name", ["skrf_resonator_36mm.s2p", "skrf_190ghz_tx_measured.S2P"])
    def test_columns_are_s11_s21_s12_s22(self, name):
        path = MEASURED / name
        lines = [line for line in path.read_text(encoding="latin-1").splitlines() if line and line[0] not in "!#"]
        table = np.array([[float(cell) for cell in line.split()] for line in lines])
        first, second = table[:, 1::2], table[:, 2::2]
        entries = first + 1j * second if "resonator" in name else first * np.exp(1j * np.deg2rad(second))
        s = read_touchstone(path).s
        for k, (out, into) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
            np.testing.assert_allclose(s[:, out, into], entries[:, k], rtol=1e-14)  # a few roundings

    def test_formats_and_units_by_hand(self, tmp_path):
        text = "! a comment\n# MHz S DB R 75\n100 0 90 -20 0 -40 180 -6 0 ! another\n200 0 0 0 0 0 0 0 0\n"
        data = read(tmp_path, text)
        np.testing.assert_allclose(data.frequency, [1e8, 2e8], rtol=1e-15)  # two roundings
        expected = [[1j, -0.01], [0.1, 10 ** (-0.3)]]
        np.testing.assert_allclose(data.s[0], expected, rtol=1e-15, atol=1e-15)  # rounding of cos(90°) and of powers
        assert data.resistance == 75.0

    @pytest.mark.parametrize(
        ("option", "hertz", "s11", "resistance"),
        [
            ("#", 1e9, 1j, 50.0),  # the standard's defaults: GHz, MA
            ("# R 20 ri s kHz", 1e3, 1 + 90j, 20.0),
            ("# thz s ma r 50 ! optics", 1e12, 1j, 50.0),
            ("# Hz S RI R 50\n# GHz S MA R 75", 1.0, 1 + 90j, 50.0),  # the first counts
        ],
    )
    def test_option_lines(self, tmp_path, option, hertz, s11, resistance):
        data = read(tmp_path, f"{option}\n1 1 90\n2 .5 .5\n", "a.s1p")
        np.testing.assert_allclose(data.frequency, [hertz, 2 * hertz], rtol=1e-15)  # two roundings
        np.testing.assert_allclose(data.s[0, 0, 0], s11, atol=1e-15)  # rounding of cos(90°)
        assert data.resistance == resistance

    @pytest.mark.parametrize(
        "content",
        [
            b"\xef\xbb\xbf" + (OPTION + rows()).encode(),
            ("! made on Windows µ\n" + OPTION + rows()).replace("\n", "\r\n").encode("utf-8-sig"),
            ("! café\n" + OPTION + rows()).encode("latin-1"),
            (OPTION + rows()).encode("utf-16"),
            b"\xfe\xff" + (OPTION + rows()).encode("utf-16-be"),
            (OPTION + rows()).encode("utf-16-le"),
            (OPTION + rows()).encode("utf-16-be"),
        ],
    )
    def test_encodings(self, tmp_path, content):
        np.testing.assert_allclose(read(tmp_path, content).s[0], [[0.05, 0.1], [0.9, 0.04j]], atol=1e-15)  # a rounding

    def test_comments_between_and_behind_and_lines_without_their_end(self, tmp_path):
        lines = rows().splitlines()
        text = OPTION + "\n! segment 2\n\n".join([*lines[:2], f"{lines[2]} ! ok", *lines[3:]])
        np.testing.assert_array_equal(read(tmp_path, text).s, read(tmp_path, OPTION + rows()).s)

    def test_commas_between_numbers_are_spaces(self, tmp_path):
        text = OPTION + rows().replace(" ", ",")
        np.testing.assert_array_equal(read(tmp_path, text).s, read(tmp_path, OPTION + rows()).s)

    def test_minus_infinity_db_is_zero(self, tmp_path):
        data = read(tmp_path, "# Hz S DB R 50\n1 -20 0 -1 0 -inf 0 -20 0\n2 -21 0 -2 0 -inf 0 -20 0\n")
        np.testing.assert_array_equal(data.s[:, 0, 1], 0)

    def test_one_row_may_go_over_several_lines(self, tmp_path):
        rng = np.random.default_rng(0)
        s = rng.normal(size=(2, 5, 5, 2))
        flat = [[f"{k}", *map(repr, s[k].ravel().tolist())] for k in range(2)]
        text = OPTION + "\n".join(" ".join(row) for row in flat)
        one = read(tmp_path, text, "a.s5p")
        np.testing.assert_array_equal(one.s, s[..., 0] + 1j * s[..., 1])
        wrapped = "\n".join(
            "\n".join([" ".join(row[:9]), *(" ".join(row[i : i + 8]) for i in range(9, 51, 8))]) for row in flat
        )
        np.testing.assert_array_equal(read(tmp_path, OPTION + wrapped, "a.s5p").s, one.s)

    @pytest.mark.parametrize("first", [1.0, 1.5e9, 2e9])
    def test_noise_parameters_after_the_data_are_passed_over(self, tmp_path, first):
        noise = f"! noise\n{first} 1.2 .5 30 .2\n3e9 1.2 .5 30 .2\n"
        np.testing.assert_array_equal(read(tmp_path, OPTION + rows() + noise).s, read(tmp_path, OPTION + rows()).s)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_touchstone(tmp_path / "a.s2p")


class TestVersion2:
    @pytest.mark.parametrize("name", ["a.s2p", "a.ts"])
    @pytest.mark.parametrize("order", ["12_21", "21_12"])
    def test_the_order_that_it_says(self, tmp_path, order, name):
        data = read(tmp_path, VERSION_2.format(order) + rows(order) + "[End]\n", name)
        np.testing.assert_allclose(data.s[0], [[0.05, 0.1], [0.9, 0.04j]], atol=1e-15)  # a rounding

    def test_resistances_noise_and_information(self, tmp_path):
        head = VERSION_2.format("21_12").replace("[Number of F", "[Reference]\n50\n75 ! two\n[Number of F")
        head += "[Begin Information]\n1 2 three\n[End Information]\n[Network Data]\n"
        data = read(tmp_path, head + rows() + "[Noise Data]\n1 1.2 .5 30 .2\n[End]\n")
        np.testing.assert_array_equal(data.resistance, [50.0, 75.0])
        assert data.num_points == 5

    @pytest.mark.parametrize("shape", ["Lower", "Upper"])
    def test_half_matrices(self, tmp_path, shape):
        s = np.array([[1, 2, 4], [2, 3, 5], [4, 5, 6]]) / 10
        half = s[np.tril_indices(3) if shape == "Lower" else np.triu_indices(3)]
        head = f"[Version] 2.1\n{OPTION}[Number of Ports] 3\n[Number of Frequencies] 1\n[Matrix Format] {shape}\n"
        data = read(tmp_path, f"{head}[Network Data]\n1 {pairs(*half)}\n[End]\n", "a.ts")
        np.testing.assert_allclose(data.s[0], s, atol=1e-15)  # a rounding

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("[End]\n", ""), r"was cut: it has no \[End\]"),
            (("Frequencies] 5", "Frequencies] 6"), "must have 6 frequencies, as it says, but has 5"),
            (("Ports] 2", "Ports] two"), r"a whole number as \[number of ports\] in line 3, but has 'two'"),
            (("[Number of Ports] 2\n", ""), r"must say its \[Number of Ports\]"),
            (("[Network", "[Mixed-Mode Order] D1,2 C1,2\n[Network"), "must have single-ended ports"),
        ],
    )
    def test_bad_files(self, tmp_path, change, message):
        text = VERSION_2.format("21_12") + rows() + "[End]\n"
        assert change[0] in text
        with pytest.raises(ValueError, match=message):
            read(tmp_path, text.replace(*change), "a.ts")


class TestOrderOfColumns:
    HEADINGS = (
        "! Freq ReS11 ImS11 ReS12 ImS12 ReS21 ImS21 ReS22 ImS22",
        "!freq magS[1,1] angS[1,1] magS[1,2] angS[1,2] magS[2,1] angS[2,1] magS[2,2] angS[2,2]",
        "! Frequency (GHz) S11 S12 S21 S22",
    )

    @pytest.mark.parametrize("heading", HEADINGS)
    def test_a_heading_against_the_standard_is_taken_and_pointed_out(self, tmp_path, heading):
        text = f"{OPTION}{heading}\n{rows('12_21')}"
        with pytest.warns(UserWarning, match="S12 before S21, as its column heading says, against the standard"):
            data = read(tmp_path, text)
        np.testing.assert_allclose(data.s[0, 1, 0], 0.9, atol=1e-15)  # a rounding
        with pytest.warns(UserWarning, match="S21 before S12, the order asked for, against its column heading"):
            other = read(tmp_path, text, two_port_order="21_12")
        np.testing.assert_array_equal(other.s, np.asarray(data.s).transpose(0, 2, 1))

    @pytest.mark.parametrize(
        "comment",
        [
            "! Freq ReS11 ImS11 ReS21 ImS21 ReS12 ImS12 ReS22 ImS22",
            "! S12 is the isolation, S21 the loss, S11 and S22 reflect",  # no heading
            "! S11 S12",
            "! 4-port: S11 S12 S13 S14 S21 S22",
        ],
    )
    def test_other_comments_are_none(self, tmp_path, comment):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = read(tmp_path, f"{OPTION}{comment}\n{rows()}")
        np.testing.assert_allclose(data.s[0, 1, 0], 0.9, atol=1e-15)  # a rounding

    def test_the_keyword_of_version_2_is_above_the_heading(self, tmp_path):
        head = VERSION_2.format("12_21")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(tmp_path, f"{head}{self.HEADINGS[0]}\n{rows('12_21')}[End]\n")
        with pytest.warns(UserWarning, match=r"S21 before S12, its \[Two-Port Data Order\], against"):
            data = read(tmp_path, f"{VERSION_2.format('21_12')}{self.HEADINGS[0]}\n{rows()}[End]\n")
        np.testing.assert_allclose(data.s[0, 1, 0], 0.9, atol=1e-15)  # a rounding

    def test_bad_argument(self, tmp_path):
        with pytest.raises(ValueError, match="two_port_order must be one of None, '21_12', '12_21'"):
            read(tmp_path, OPTION + rows(), two_port_order="S21")


class TestPlaceholders:
    @staticmethod
    def table(*values: complex, points: int = 5) -> str:
        return OPTION + "".join(f"{k + 1}e9 {pairs(*values, k=k)}\n" for k in range(points))

    def test_one_path_files(self, tmp_path):
        text = self.table(0.1, 0.9, 0, 0)
        with pytest.warns(UserWarning, match="has S12, S22 at 0 or 1 at all frequencies: taken as not measured"):
            data = read(tmp_path, text)
        np.testing.assert_array_equal(data.entries, [[True, False], [True, False]])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(read(tmp_path, text, placeholders=False).s[:, :, 1], 0)

    def test_ones_are_placeholders_too(self, tmp_path):
        text = OPTION + "".join(f"{k} 1 0 1 0 {pairs(0.1, 0.9, k=k)}\n" for k in range(1, 4))
        with pytest.warns(UserWarning, match="has S11, S21 at 0 or 1"):
            np.testing.assert_array_equal(read(tmp_path, text).entries, [[False, True], [False, True]])

    def test_a_reflection_alone(self, tmp_path):
        with pytest.warns(UserWarning, match="has S12, S21, S22 at 0 or 1 at all frequencies: taken as not measured"):
            np.testing.assert_array_equal(
                read(tmp_path, self.table(0.1, 0, 0, 0)).entries, [[True, False], [False, False]]
            )

    def test_two_ports_of_four(self, tmp_path):
        text = self.table(*[0.1, 0.9, 0, 0, 0.8, 0.2, 0, 0], *[0] * 8)
        with pytest.warns(UserWarning, match="taken as not measured"):
            data = read(tmp_path, text, "a.s4p")
        np.testing.assert_array_equal(data.entries, np.outer([1, 1, 0, 0], [1, 1, 0, 0]))

    @pytest.mark.parametrize("values", [(0, 0.9, 0.9, 0), (0, 0.9, 0.1, 0.3), (0.1, 0.9, 0, 0.1), (0, 0, 0, 0)])
    def test_exact_values_of_ideal_devices_stay(self, tmp_path, values):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read(tmp_path, self.table(*values)).entries.all()

    def test_what_may_be_an_ideal_isolator_stays_and_is_pointed_out(self, tmp_path):
        with pytest.warns(UserWarning, match="has S11, S12, S22 at 0 or 1 .*: taken as the exact values of an ideal"):
            data = read(tmp_path, self.table(0, 0.9, 0, 0))
        np.testing.assert_array_equal(data.s[:, 0, 1], 0)

    def test_one_frequency_tells_nothing(self, tmp_path):
        assert read(tmp_path, self.table(0.1, 0.9, 0, 0, points=1)).entries.all()


class TestSimulators:
    """Files with the comments and headings of HFSS and CST, made by hand."""

    HFSS = (
        "! Touchstone file from project ring\n! Modal data exported\n! Freq Re/Im of S11 S21 S12 S22\n"
        "! Variables:\n!gap = 0.2mm\n# GHZ S RI R 50.000000\n! Port[1] = in:1\n! Port[2] = out:1\n"
    )

    def at(self, first: str, second: str) -> str:
        lines = rows(hertz=HERTZ / 1e9).splitlines()
        impedances = [first, second, second, second, second]
        return self.HFSS + "".join(
            f"{line}\n! Gamma 0.1 1.5 0.1 1.5\n! Port Impedance {impedance}\n"
            for line, impedance in zip(lines, impedances, strict=True)
        )

    @pytest.mark.parametrize(
        ("impedances", "resistance"),
        [
            (("50 0 50 0", "50 0 50 0"), 50.0),
            (("40 0 60 0", "40 0 60 0"), [40.0, 60.0]),
            (("40 0\n! 60 0",) * 2, [40, 60]),
        ],
    )
    def test_hfss_with_the_impedances_of_its_ports(self, tmp_path, impedances, resistance):
        data = read(tmp_path, self.at(*impedances))
        np.testing.assert_array_equal(data.resistance, resistance)
        np.testing.assert_allclose(data.frequency, HERTZ, rtol=1e-15)  # two roundings

    @pytest.mark.parametrize("impedances", [("50 0 50 0", "50 1 50 0"), ("40 0 50 0", "50 0 50 0"), ("50 0", "50 0")])
    def test_impedances_that_are_no_resistances(self, tmp_path, impedances):
        with pytest.warns(UserWarning, match=r"impedances of its ports .*: the resistance .* is left open \(None\)"):
            assert read(tmp_path, self.at(*impedances)).resistance is None

    def test_cst(self, tmp_path):
        head = (
            '! TOUCHSTONE file generated by CST Design Studio\n! Touchstone port 1 = CST MWS port 1 ("port 1")\n'
            '! Touchstone port 2 = CST MWS port 2 ("port 2")\n#  GHz   S   MA  R 50\n'
        )
        data = read(tmp_path, f"{head}1   .5 90   .9 -90   .1 0   .2 180\n2   .5 80   .9 -95   .1 1   .2 175\n")
        np.testing.assert_allclose(data.s[0], [[0.5j, 0.1], [-0.9j, -0.2]], atol=1e-15)  # rounding of cos(90°)


ZEROS = 8 * " 0"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.s2p", "What is this?\nNot a Touchstone file.\n", "has no option line .* before line 1"),
        ("a.s2p", "! nothing\n", "has no option line"),
        ("a.s1p", OPTION, "must hold at least one frequency"),
        ("a.s2p", OPTION + "frequency S11 S12\n1 2 3\n", "must hold finite numbers, but line 2 holds 'frequency'"),
        ("a.s1p", OPTION + "one 2 3\n", "but line 2 holds 'one'"),
        ("a.s1p", "# Hz S XY R 50\n1 2 3\n", "an option line such as # Hz S RI R 50, but line 1 has 'xy'"),
        ("a.s1p", OPTION + "1e9 .1 .2\n2.5e9 nan .2\n", r"but line 3 \(2\.5 GHz\) holds 'nan'"),
        ("a.s1p", OPTION + "1e9 -inf .2\n", r"but line 2 \(1 GHz\) holds '-inf'"),
        # Frequencies, with what can be done.
        (
            "a.s1p",
            OPTION + "1 .1 .2\n1 .1 .2\n",
            "increase, but lines 2 and 3 are both of 1 Hz: delete one",
        ),
        (
            "a.s1p",
            "# MHz S RI\n3 1 2\n2 1 2\n1 1 2\n",
            r"from 3 MHz in line 2 to line 3 \(2 MHz\) and so on: write",
        ),
        (
            "a.s2p",
            f"{OPTION}1{ZEROS}\n3{ZEROS}\n! 2\n2{ZEROS}\n4{ZEROS}",
            r"fall .* to line 5 \(2 Hz\): where",
        ),
        # Numbers and ports.
        ("a.s2p", f"{OPTION}1{ZEROS}\n2 0 0\n", "was cut: it must have 9 numbers .* ends after 3 at line 3"),
        ("a.s2p", f"{OPTION}1{ZEROS}\n2 0 0 0 0\n", "was cut: it must have 9 numbers .* ends after 5 at line 3"),
        (
            "a.s2p",
            f"{OPTION}1{ZEROS}\n2 0 0\n3{ZEROS}",
            r"9 numbers .* for 2 ports, but at line 3 \(2 Hz\) has 3",
        ),
        (
            "a.s2p",
            OPTION + "1 .1 .2\n2 .1 .2\n3 .1 .2\n",
            r"9 numbers .*\(1 Hz\) has 3, those of 1 port \(\.s1p\)",
        ),
        ("a.s1p", OPTION + rows(), r"3 numbers a frequency for 1 port, but .* has 9, those of 2 ports \(\.s2p\)"),
        ("a.s4p", OPTION + rows(), r"33 numbers a frequency for 4 ports, but .* has 9, those of 2 ports \(\.s2p\)"),
        ("a.s3p", OPTION + rows(), r"19 numbers a frequency for 3 ports, but .* has 9, those of 2 ports \(\.s2p\)"),
        ("a.s2p", f"{OPTION}{ZEROS}\n", "must begin with a frequency and pairs, but line 2 has 8"),
        ("a.s2p", f"{OPTION}1{ZEROS}\n1 1 .5 30 .2\n2{ZEROS}\n", r"9 numbers .* line 3 \(1 Hz\) has 5"),
        ("a.s2p", OPTION + rows().replace(".", ","), "must have decimal points, but line 2 has a decimal comma"),
        # Other parameters and names.
        ("a.s1p", "# Hz Z RI R 50\n1 50 0\n", "must hold S-parameters, but holds z-parameters"),
        ("a.s1p", "# Hz Y RI R 50\n1 .02 0\n", "must hold S-parameters, but holds y-parameters"),
        ("a.z1p", "# Hz Z RI R 50\n1 50 0\n", "must end as Touchstone files of S-parameters do"),
        ("a.txt", OPTION + "1 .1 .2\n", r"must end as Touchstone files of S-parameters do \(\.s1p, \.s2p"),
        ("a.snp", OPTION + "1 .1 .2\n", "must end as Touchstone files of S-parameters do"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message) as raised:
        read(tmp_path, text, name)
    assert str(raised.value).startswith(f"File '{tmp_path / name}' ")


def test_a_resistance_that_is_none_is_left_open(tmp_path):
    with pytest.warns(UserWarning, match=r"no real, positive resistance: .* is left open \(None\)"):
        assert read(tmp_path, "# Hz S RI R 50+1j\n1 0 0\n", "a.s1p").resistance is None
