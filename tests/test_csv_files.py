"""CSV files: what is written returns, headers as instruments write them are read, and all else is refused by line."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffnr.csv_files import read_csv, write_csv
from diffnr.data import FieldData


def random_data(ports: int = 2, **kwargs) -> FieldData:
    """Data without any symmetry: whatever is transposed or conjugated shows."""
    rng = np.random.default_rng(ports)
    s = rng.normal(size=(7, ports, ports)) + 1j * rng.normal(size=(7, ports, ports))
    return FieldData(2 * np.pi * np.cumsum(rng.uniform(1e6, 1e7, 7)), s, **kwargs)


def read(tmp_path: Path, text: str | bytes, **arguments) -> FieldData:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_csv(path, **arguments)


class TestWriting:
    @pytest.mark.parametrize("ports", [1, 2, 3, 11])
    @pytest.mark.parametrize("column", ["frequency_hz", "omega_rad_s"])
    def test_round_trip(self, tmp_path, ports, column):
        data = random_data(ports)
        write_csv(tmp_path / "a device.csv", data, column=column)
        back = read_csv(tmp_path / "a device.csv")
        np.testing.assert_array_equal(back.s, data.s)
        # Hz and back: two roundings; rad/s are kept as they are.
        np.testing.assert_allclose(back.omega, data.omega, rtol=1e-15 if column == "frequency_hz" else 0)
        assert (back.name, back.measured, back.sigma, back.energy) == ("a device", True, None, None)
        assert back.resistance is None

    @pytest.mark.parametrize("shape", [(7,), (7, 2, 2)])
    def test_round_trip_of_energy_and_noise(self, tmp_path, shape):
        rng = np.random.default_rng(0)
        energy, sigma, deviation = rng.uniform(1, 2, (7, 2)), rng.uniform(1, 2, shape), rng.uniform(1, 2, (7, 2))
        data = random_data(energy=energy, sigma=sigma, sigma_energy=deviation)
        write_csv(tmp_path / "a.csv", data)
        back = read_csv(tmp_path / "a.csv", measured=False, name="other")
        np.testing.assert_array_equal(back.energy, energy)
        np.testing.assert_array_equal(back.sigma, sigma)
        np.testing.assert_array_equal(back.sigma_energy, deviation)
        assert (back.name, back.measured) == ("other", False)

    def test_scalar_sigmas_return_as_columns(self, tmp_path):
        write_csv(tmp_path / "a.csv", random_data(energy=np.ones((7, 2)), sigma=0.5, sigma_energy=0.25))
        back = read_csv(tmp_path / "a.csv")
        np.testing.assert_array_equal(back.sigma, np.full(7, 0.5))
        np.testing.assert_array_equal(back.sigma_energy, np.full((7, 2), 0.25))

    @pytest.mark.parametrize("resistance", [75.0, [50.0, 1 / 3]])
    def test_the_resistance_returns(self, tmp_path, resistance):
        write_csv(tmp_path / "a.csv", random_data(resistance=resistance))
        np.testing.assert_array_equal(read_csv(tmp_path / "a.csv").resistance, resistance)

    def test_what_was_not_measured_returns_so(self, tmp_path):
        s, sigma = np.array(random_data().s), np.full((7, 2, 2), 0.1)
        s[:, 0] = sigma[:, 0] = np.nan
        write_csv(tmp_path / "a.csv", FieldData(random_data().omega, s, sigma=sigma))
        back = read_csv(tmp_path / "a.csv")
        np.testing.assert_array_equal(back.s, s)
        np.testing.assert_array_equal(back.sigma, sigma)

    @given(st.lists(st.complex_numbers(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
    def test_every_number_returns(self, tmp_path_factory, values):
        path = tmp_path_factory.mktemp("csv") / "a.csv"
        data = FieldData(np.arange(len(values)) - 1.0, np.array(values))
        write_csv(path, data, column="omega_rad_s")
        np.testing.assert_array_equal(read_csv(path).s, data.s)

    def test_the_header_comes_first_and_numpy_reads_the_rest(self, tmp_path):
        write_csv(tmp_path / "a.csv", random_data(10))
        header = (tmp_path / "a.csv").read_text().splitlines()[0].split(",")
        assert header[:3] == ["frequency_hz", "S1_1_re", "S1_1_im"]
        assert header[-1] == "S10_10_im"
        assert np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1).shape == (7, 201)

    def test_a_cut_file_is_refused_wherever_it_is_cut(self, tmp_path):
        write_csv(tmp_path / "a.csv", FieldData([1.0, 2.0, 3.0], [0.123456, 0.5j, 0.25], resistance=50.0))
        whole = (tmp_path / "a.csv").read_bytes()
        beginning = whole.index(b"resistance_ohm")  # only from there on can one see that this was a file of diffnr's
        for length in range(beginning, len(whole)):
            with pytest.raises(ValueError, match=r"was cut|but holds|and holds \d|must hold a header"):
                read(tmp_path, whole[:length])

    def test_bad_column(self, tmp_path):
        with pytest.raises(ValueError, match="Argument column must be one of 'frequency_hz', 'omega_rad_s'"):
            write_csv(tmp_path / "a.csv", random_data(), column="hertz")


class TestReading:
    def test_by_hand(self, tmp_path):
        data = read(
            tmp_path,
            "# from the bench\n\n frequency_hz, S22_db,S22_deg, S11_re,s11_im,S21_mag,S21_deg,S12_im,S12_re\n"
            "1e6,-20,90,.1,.2,.5,180,.4,.3\n# a pause\n2e6,-20,90,.1,.2,.5,180,.4,.3\n",
        )
        np.testing.assert_allclose(data.omega, [2e6 * np.pi, 4e6 * np.pi], rtol=1e-15)  # a rounding
        expected = [[0.1 + 0.2j, 0.3 + 0.4j], [-0.5, 0.1j]]
        np.testing.assert_allclose(data.s, [expected, expected], rtol=1e-15, atol=1e-16)  # rounding of cos(90°)

    @pytest.mark.parametrize(
        ("header", "hertz", "s21"),
        [
            ("freq_hz,S21_re,S21_im", 1.0, 2 + 90j),
            ("Frequency (Hz),S21 re,S21 im", 1.0, 2 + 90j),
            ("frequency_ghz,Re(S21),Im(S21)", 1e9, 2 + 90j),
            ("Freq(MHz);S21(REAL);S21(IMAG)", 1e6, 2 + 90j),
            ("freq[Hz];re:Trc1_S21;im:Trc1_S21;", 1.0, 2 + 90j),
            ('"Frequency (THz)","S21 Phase (deg)","S21 Lin Mag"', 1e12, 90 * np.exp(2j * np.pi / 180)),
            ("f_khz\tS(2,1)_mag\tS(2,1)_deg", 1e3, 2j),
            ("freq (Hz),S21 LogMag(dB),S21 Phase(deg)", 1.0, 1j * 10**0.1),
            ("freq (Hz),S2_1_db,S2_1_rad", 1.0, 10**0.1 * np.exp(90j)),
            ("freq_hz,mag_S21,rad_S21", 1.0, 2 * np.exp(90j)),
        ],
    )
    def test_headers_of_instruments(self, tmp_path, header, hertz, s21):
        separator = next((mark for mark in ";\t" if mark in header), ",")
        end = separator * header.endswith(separator)
        text = f"sep=;\n!Vendor,Model\nBEGIN CH1_DATA\n{header}\n" + "".join(
            f"{separator.join([str(k), '2', '90'])}{end}\n" for k in (1, 2)
        )
        data = read(tmp_path, text + "END\n")
        np.testing.assert_allclose(data.frequency, [hertz, 2 * hertz], rtol=1e-15)  # two roundings
        np.testing.assert_allclose(data.s[:, 1, 0], s21, rtol=1e-14, atol=1e-15)  # roundings, of cos(90°) too
        np.testing.assert_array_equal(data.entries, [[False, False], [True, False]])

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
    def test_encodings(self, tmp_path, encoding):
        text = "frequency_hz,S11_re,S11_im\r\n# 5 µm\r\n1,2,3\r\n".encode(encoding)
        assert read(tmp_path, text).s[0, 0, 0] == 2 + 3j

    def test_eleven_one_is_not_one_one(self, tmp_path):
        data = read(tmp_path, "frequency_hz,S11_1_re,S11_1_im\n1,2,3\n2,3,4\n")
        assert data.num_ports == 11
        assert data.s[0, 10, 0] == 2 + 3j

    def test_minus_infinity_db_is_zero(self, tmp_path):
        assert read(tmp_path, "frequency_hz,S11_db,S11_deg\n1,-inf,0\n2,-3,0\n").s[0, 0, 0] == 0

    def test_placeholders(self, tmp_path):
        columns = "S11_re,S11_im,S21_re,S21_im,S12_re,S12_im,S22_re,S22_im"
        text = f"frequency_hz,{columns}\n1,.1,.2,.3,.4,0,0,0,0\n2,.2,.2,.3,.5,0,0,0,0\n"
        with pytest.warns(UserWarning, match="has S12, S22 at 0 or 1 at all frequencies: taken as not measured"):
            np.testing.assert_array_equal(read(tmp_path, text).entries, [[True, False], [True, False]])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read(tmp_path, text, placeholders=False).entries.all()

    def test_placeholders_beside_entries_without_columns(self, tmp_path):
        with pytest.warns(UserWarning, match="has S12 at 0 or 1 at all frequencies: taken as not measured"):
            data = read(tmp_path, "frequency_hz,S21_re,S21_im,S12_re,S12_im\n1,.1,.2,0,0\n2,.2,.2,0,0\n")
        np.testing.assert_array_equal(data.entries, [[False, False], [True, False]])

    @pytest.mark.parametrize(
        ("header", "unit"),
        [
            ("wavelength_nm", 1e-9),
            ("Wavelength (nm)", 1e-9),
            ("wavelength_um", 1e-6),
            ("Wavelength [µm]", 1e-6),
            ("lambda (\u03bcm)", 1e-6),  # the Greek letter, not the sign
            ("Wavelength (m)", 1.0),
        ],
    )
    @pytest.mark.parametrize("rising", [True, False])
    def test_wavelengths_become_frequencies_that_rise(self, tmp_path, header, unit, rising):
        metres = [1.548e-6, 1.550e-6, 1.553e-6]
        rows = [f"{length / unit!r},{k}" for k, length in enumerate(metres)]
        text = "\n".join([f"{header},T", *(rows if rising else rows[::-1])]) + "\n"
        with pytest.warns(UserWarning, match=r"in vacuum, f = c/λ") as said:
            data = read(tmp_path, text)
        assert ("turned round" in str(said[0].message)) == rising
        # The division by the unit rounds, as c/λ does.
        np.testing.assert_allclose(data.frequency, 299792458.0 / np.array(metres[::-1]), rtol=1e-15 * 4)
        np.testing.assert_array_equal(data.power[:, 1, 0], [2.0, 1.0, 0.0])

    def test_sigma_of_what_was_measured(self, tmp_path):
        data = read(tmp_path, "frequency_hz,S21_re,S21_im,S21_sigma\n1,2,3,.1\n2,3,4,.2\n")
        np.testing.assert_array_equal(data.sigma[:, 1, 0], [0.1, 0.2])
        assert np.isnan(data.sigma[:, 0]).all()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "must hold a header and at least one line"),
            ("frequency_hz,S11_re,S11_im\n", "must hold a header and at least one line"),
            ("f,S11_re,S11_im\n1,2,3\n", "as its first column, but has 'f'"),
            ("frequency,S11_re,S11_im\n1,2,3\n", r"or another unit: Frequency \(GHz\)\).* but has 'frequency'"),
            ("wavelength,T\n1550,1\n", r"say the one unit of its wavelengths, nm, µm or m .* but has 'wavelength'"),
            ("Wavelength (nm or µm),T\n1550,1\n", "say the one unit of its wavelengths"),
            ("Wavelength (mm),T\n1550,1\n", "say the one unit of its wavelengths"),
            ("wavelength_nm,T\n1550,1\n-1551,1\n", "wavelengths that are positive, but line 3 holds '-1551'"),
            ("wavelength_nm,T\n1550,1\n1551,1\n1550.5,1\n", "must have increasing frequencies"),
            ("1,2,3\n1,2,3\n", "as its first column, but has '1'"),
            ("frequency_hz,omega_rad_s,S11_re,S11_im\n1,2,3,4\n", "but has 'omega_rad_s'"),
            ("frequency_hz,S11_re,S11_im,S21_phase\n1,2,3,4\n", "but has 'S21_phase'"),
            ("frequency_hz,S00_re,S00_im\n1,2,3\n", "but has 'S00_re'"),
            ("frequency_hz,S11_re,S11_im,s11_re\n1,2,3,4\n", "names 's11_re' twice"),
            ("frequency_hz,S11_re\n1,2\n", "must have columns S11_re and _im .* but has re"),
            ("frequency_hz,S11_mag,S11_db,S11_deg\n1,2,3,4\n", "must have columns S11_re .* but has mag, db, deg"),
            ("frequency_hz,S11_re,S11_im,S21_sigma\n1,2,3,4\n", "must have columns S21_re .* but has none"),
            ("frequency_hz,sigma\n1,2\n", "must have columns such as S11_re and S11_im, but has none"),
            ("frequency_hz,S999999999_1_re\n1,2\n", "must have at most 99 ports, but has a column of port 999999999"),
            # The modulus alone is a kind of data of its own.
            (
                "frequency_hz,S21_mag,S11_re,S11_im\n1,.5,1,2\n",
                "S21_mag without a phase beside others with one",
            ),
            # Lines, with their frequency.
            ("frequency_hz,S11_re,S11_im\n1e9,2,3\n2e9,2\n", r"3 cells in every line, but line 3 \(2 GHz\) has 2"),
            ("frequency_hz,S11_re,S11_im\n1,0,2,0,3,0\n", r"line 2 \(1 Hz\) has 6 \(decimal commas, or cut\?\)"),
            ("frequency_mhz;S11_re;S11_im\n1,5;2,1;3\n1,6;2;3\n", "must hold finite numbers, but line 2, column"),
            ("frequency_mhz;S11_re;S11_im\n1,5;2,1;3,0\n", "must have decimal points, but line 2 has a decimal comma"),
            ("#\nfrequency_hz,S11_re,S11_im\n1,2,3\n2,x,4\n", r"line 4 \(2 Hz\), column S11_re holds 'x'"),
            ("frequency_khz,S11_re,S11_im\n1.5,2,3\n2.5,,4\n", r"line 3 \(2\.5 kHz\), column S11_re holds ''"),
            ("frequency_hz,S11_re,S11_im\n1,2,nan\n", r"line 2 \(1 Hz\), column S11_im holds 'nan'"),
            ("omega_rad_s,S11_re,S11_im\n6283185307.2,2,inf\n", r"line 2 \(1 GHz\), column S11_im holds 'inf'"),
            (
                "frequency_hz,S11_re,S11_im\n2,2,3\n1,2,3\n",
                r"from 2 Hz in line 2 to line 3 \(1 Hz\) and so on",
            ),
            ("frequency_hz,S11_re,S11_im\n1,2,3\n1,2,3\n", "increase, but lines 2 and 3 are both of 1 Hz: delete one"),
            (
                "frequency_hz,S11_re,S11_im,sigma\n2,2,3,0\n",
                r"sigma that is positive, but line 2 \(2 Hz\)",
            ),
            (
                "frequency_hz,S11_re,S11_im,energy_1\n2,2,3,-1\n",
                r"no negative energy, but line 2 \(2 Hz\)",
            ),
            ("frequency_hz,S11_re,S11_im,sigma,S11_sigma\n2,2,3,1,1\n", "but has both"),
            ("frequency_hz,S11_re,S11_im,energy_2\n2,2,3,1\n", "energies of the 1 port"),
            (
                "# resistance_ohm = 0\nfrequency_hz,S11_re,S11_im\n2,2,3\n",
                "one positive number as resistance_ohm",
            ),
            (
                "frequency_hz,energy_2,S11_re,S11_im,S21_re,S21_im,S12_re,S12_im,S22_re,S22_im\n1,2,3,4,5,6,7,8,9,10\n",
                "all of the columns energy_1, energy_2 or none, but lacks energy_1",
            ),
        ],
    )
    def test_bad_files(self, tmp_path, text, message):
        with pytest.raises(ValueError, match=message) as raised:
            read(tmp_path, text)
        assert str(raised.value).startswith(f"File '{tmp_path / 'a.csv'}' ")

    def test_what_is_no_text(self, tmp_path):
        with pytest.raises(ValueError, match="must be text, but is none"):
            read(tmp_path, b"\xff\xfe\x00\xd8\x01")
