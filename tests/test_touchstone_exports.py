"""Touchstone files as instruments and simulators export them: other orders, placeholders, impedances of ports."""

import warnings

import numpy as np
import pytest

from touchstone_texts import HERTZ, OPTION, VERSION_2, pairs, read, rows


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
