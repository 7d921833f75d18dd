"""Touchstone files of either version as they are read, and one sentence for what is none."""

from pathlib import Path

import numpy as np
import pytest
import skrf

from diffnr.touchstone import read_touchstone
from touchstone_texts import OPTION, VERSION_2, pairs, read, rows

MEASURED = Path(__file__).parent / "data" / "measured"
PACKAGED = sorted((Path(skrf.__file__).parent / "data").glob("*.s?p"))


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
