"""Field data: what it accepts, and files that keep every digit; measured files and what they tell."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffnr.data import FieldData, passivity, reciprocity
from diffnr.datafiles import read_csv, read_touchstone, write_csv, write_touchstone

MEASURED = Path(__file__).parent / "data" / "measured"


def random_data(points: int = 7, ports: int = 2, seed: int = 0, **kwargs) -> FieldData:
    """Data without any symmetry: whatever is transposed or conjugated shows."""
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(points, ports, ports)) + 1j * rng.normal(size=(points, ports, ports))
    return FieldData(2 * np.pi * np.cumsum(rng.uniform(1e6, 1e7, points)), s, **kwargs)


class TestFieldData:
    def test_shapes_and_units(self):
        data = random_data(points=7, ports=3, name="device")
        assert (data.num_points, data.num_ports, data.name, data.measured) == (7, 3, "device", False)
        assert data.s.dtype == jnp.complex128
        np.testing.assert_allclose(data.frequency, data.omega / (2 * np.pi))

    def test_one_port_from_a_vector(self):
        data = FieldData([1.0, 2.0, 3.0], [1j, 2.0, 3.0], energy=[1.0, 2.0, 3.0])
        assert data.s.shape == (3, 1, 1)
        assert data.energy.shape == (3, 1)

    def test_integers_and_reals_are_taken(self):
        data = FieldData(np.array([1, 2]), np.array([0, 1]))
        assert data.omega.dtype == jnp.float64
        assert data.s.dtype == jnp.complex128

    def test_float32_is_kept(self):
        data = FieldData(np.array([1, 2], np.float32), np.array([0, 1], np.complex64))
        assert (data.omega.dtype, data.s.dtype) == (jnp.float32, jnp.complex64)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"omega": [1.0, 2.0, 2.0]}, r"Argument omega must increase strictly, but omega\[2\] was 2\.0"),
            ({"omega": [3.0, 2.0, 4.0]}, r"omega must increase strictly, but omega\[1\]"),
            ({"omega": [1.0, np.nan, 3.0]}, r"omega must be finite, but omega\[1\] was nan"),
            ({"omega": [[1.0, 2.0, 3.0]]}, "omega must have shape"),
            ({"omega": [1.0, 2.0]}, r"s must have shape \(2, 2, 2\), .*but was of shape \(3, 2, 2\)"),
            ({"omega": [], "s": np.zeros((0, 2, 2))}, "at least one point"),
            ({"omega": [1j, 2.0, 3.0]}, "omega must be real"),
            ({"s": np.zeros((3, 2, 1))}, "s must have shape"),
            ({"s": np.full((3, 2, 2), np.inf)}, r"s must be finite, but s\[0, 0, 0\] was"),
            ({"energy": np.ones((3, 1))}, r"energy must have shape \(3, 2\), but was \(3, 1\)"),
            ({"energy": -np.ones((3, 2))}, r"energy must not be negative, but energy\[0, 0\] was -1"),
            ({"sigma": 0.0}, "sigma must be positive, but it was 0.0"),
            ({"sigma": np.ones(2)}, r"sigma must have shape \(\) or \(3,\) or \(3, 2, 2\), but was \(2,\)"),
            ({"sigma_energy": [1.0, -1.0, 1.0]}, r"sigma_energy must be positive, but sigma_energy\[1\] was -1"),
        ],
    )
    def test_bad_input_is_one_sentence(self, change, message):
        good = {"omega": [1.0, 2.0, 3.0], "s": np.zeros((3, 2, 2))}
        FieldData(**good)
        with pytest.raises(ValueError, match=message):
            FieldData(**(good | change))

    def test_frequencies_that_float32_cannot_tell_apart_are_refused(self):
        omega = np.array([1e9, 1e9 + 1])
        FieldData(omega, np.zeros(2))
        with pytest.raises(ValueError, match=r"increase strictly.*float32"):
            FieldData(omega.astype(np.float32), np.zeros(2))

    def test_tracers_pass(self):
        # One trace serves values that would be refused outside of jit; the shapes are still checked.
        power = jax.jit(lambda omega, s: jnp.sum(jnp.abs(FieldData(omega, s, sigma=s.real).s) ** 2))
        assert power(jnp.array([2.0, 1.0]), jnp.array([3.0, 4.0])) == 25.0
        with pytest.raises(ValueError, match="s must have shape"):
            power(jnp.array([2.0, 1.0]), jnp.ones((3, 1, 1)))

    def test_is_a_pytree(self):
        doubled = jax.tree.map(lambda x: 2 * x, random_data(sigma=1.0, name="x"))
        np.testing.assert_array_equal(doubled.s, 2 * random_data().s)
        assert doubled.name == "x"

    @pytest.mark.parametrize("shape", [(), (5,), (5, 2, 2)])
    def test_deviation_has_the_shape_of_s(self, shape):
        sigma = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
        data = random_data(points=5, sigma=sigma)
        assert data.deviation.shape == (5, 2, 2)
        # Frequency is the first axis of both.
        np.testing.assert_array_equal(data.deviation[3, 1, 0], sigma[(3, 1, 0)[: len(shape)]])
        assert random_data().deviation is None

    @pytest.mark.parametrize("shape", [(), (5,), (5, 2)])
    def test_deviation_of_the_energy(self, shape):
        sigma = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
        data = random_data(points=5, sigma_energy=sigma)
        assert data.deviation_energy.shape == (5, 2)
        np.testing.assert_array_equal(data.deviation_energy[3, 1], sigma[(3, 1)[: len(shape)]])

    def test_band(self):
        data = random_data(points=9, energy=np.arange(1.0, 19.0).reshape(9, 2), sigma=np.arange(1.0, 10.0), name="x")
        part = data.band(float(data.omega[2]), float(data.omega[5]))
        np.testing.assert_array_equal(part.omega, data.omega[2:6])
        np.testing.assert_array_equal(part.s, data.s[2:6])
        np.testing.assert_array_equal(part.energy, data.energy[2:6])
        np.testing.assert_array_equal(part.sigma, data.sigma[2:6])
        assert part.name == "x"
        with pytest.raises(ValueError, match="Arguments lo and hi must hold points between them"):
            data.band(0.0, 1.0)


class TestMeasurements:
    """Real files: see tests/data/README.md."""

    def test_resonator_is_reciprocal_and_passive(self):
        data = read_touchstone(MEASURED / "skrf_resonator_36mm.s2p")
        assert (data.num_points, data.num_ports, data.measured) == (401, 2, True)
        assert data.name == "skrf_resonator_36mm"
        np.testing.assert_allclose(data.frequency[np.array([0, -1])], [1e9, 5e9], rtol=1e-15)  # two roundings
        report = reciprocity(data)
        assert report.reciprocal
        # As printed in the description of the file, to its digits.
        np.testing.assert_allclose(report.max_difference, 2.2e-4, atol=0.05e-4)
        np.testing.assert_allclose(report.max_db, 5.5, atol=0.05)
        assert report.median_db < 0.5
        assert passivity(data).passive

    def test_transmitter_is_neither(self):
        data = read_touchstone(MEASURED / "skrf_190ghz_tx_measured.S2P")
        assert data.num_points == 801
        report = reciprocity(data)
        assert not report.reciprocal
        np.testing.assert_allclose(report.median_db, 47, atol=0.5)  # to the digits of its description
        gain = passivity(data)
        assert not gain.passive
        np.testing.assert_allclose(gain.largest, 1.43, atol=0.005)  # to the digits of its description

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


class TestTouchstone:
    @pytest.mark.parametrize("ports", [1, 2, 3, 4, 5, 10])
    def test_round_trip(self, tmp_path, ports):
        data = random_data(ports=ports, seed=ports)
        path = tmp_path / f"some device.v2.s{ports}p"
        write_touchstone(path, data)
        back = read_touchstone(path)
        np.testing.assert_array_equal(back.s, data.s)
        np.testing.assert_allclose(back.omega, data.omega, rtol=1e-15)  # Hz and back: two roundings
        assert (back.name, back.measured) == ("some device.v2", True)
        assert not read_touchstone(path, measured=False).measured
        assert read_touchstone(path, name="other").name == "other"

    def test_s21_is_written_in_the_second_pair_of_columns(self, tmp_path):
        data = random_data()
        write_touchstone(tmp_path / "a.s2p", data)
        lines = (tmp_path / "a.s2p").read_text().splitlines()
        assert any(line.split() == ["#", "Hz", "S", "RI", "R", "50.0"] for line in lines)
        table = np.array([[float(cell) for cell in line.split()] for line in lines if line[0] not in "!#"])
        np.testing.assert_array_equal(table[:, 3] + 1j * table[:, 4], data.s[:, 1, 0])
        np.testing.assert_array_equal(table[:, 5] + 1j * table[:, 6], data.s[:, 0, 1])

    def test_formats_and_units_by_hand(self, tmp_path):
        path = tmp_path / "a.s2p"
        path.write_text("! a comment\n# MHz S DB R 75\n100 0 90 -20 0 -40 180 -6 0 ! another\n200 0 0 0 0 0 0 0 0\n")
        data = read_touchstone(path)
        np.testing.assert_allclose(data.frequency, [1e8, 2e8], rtol=1e-15)  # two roundings
        expected = [[1j, -0.01], [0.1, 10 ** (-0.3)]]
        np.testing.assert_allclose(data.s[0], expected, rtol=1e-15, atol=1e-15)  # rounding of cos(90°) and of powers

    def test_noise_parameters_after_the_data_are_passed_over(self, tmp_path):
        path = tmp_path / "a.s2p"
        path.write_text("# Hz S RI R 50\n2 1 0 0 0 0 0 0 0\n3 1 0 0 0 0 0 0 0\n1 .5 .1 20 .2\n2 .5 .1 20 .2\n")
        assert read_touchstone(path).num_points == 2

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.s2p", "What is this?\nNot a Touchstone file.\n", "has no option line"),
            ("a.s2p", "# Hz S RI R 50\nfrequency S11 S12\n1 2 3\n", "must have 9 numbers a line for 2 port"),
            ("a.s1p", "# Hz S RI R 50\none 2 3\n", "could not be read as a Touchstone file"),
            ("a.s1p", "# Hz S XY R 50\n1 2 3\n", "could not be read as a Touchstone file"),
            ("a.s1p", "# Hz S RI R 50\n", "must hold at least one frequency"),
            ("a.s1p", "# Hz S RI R 50\n1 .1 .2\n2 nan .2\n", r"holds no valid field data: .*s\[1, 0, 0\] was .*nan"),
            ("a.s1p", "# Hz S RI R 50\n2 .1 .2\n1 .1 .2\n", r"holds no valid field data: .*omega must increase"),
            ("a.s2p", "# Hz S RI R 50\n1" + 8 * " 0" + "\n3" + 8 * " 0" + "\n2" + 8 * " 0", "they fall after 3 Hz"),
            ("a.s2p", "# Hz S RI R 50\n1" + 8 * " 0" + "\n2 0 0\n", "could not be read as a Touchstone file"),
            ("a.s2p", "# Hz S RI R 50\n1 .1 .2\n2 .1 .2\n3 .1 .2\n", "must have 9 numbers a line for 2 port"),
            ("a.s1p", "# Hz Z RI R 50\n1 50 0\n", "must hold S-parameters, but holds z-parameters"),
            ("a.z1p", "# Hz Z RI R 50\n1 50 0\n", "must end as Touchstone files of S-parameters do"),
            ("a.s1p", "# Hz Y RI R 50\n1 .02 0\n", "must hold S-parameters, but holds y-parameters"),
            ("a.txt", "# Hz S RI R 50\n1 .1 .2\n", "must end as Touchstone files of S-parameters do"),
        ],
    )
    def test_bad_files(self, tmp_path, name, text, message):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as raised:
            read_touchstone(path)
        assert str(path) in str(raised.value)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_touchstone(tmp_path / "a.s2p")

    @pytest.mark.parametrize("name", ["a.s1p", "a.csv", "a"])
    def test_extension_must_tell_the_ports(self, tmp_path, name):
        with pytest.raises(ValueError, match=r"Argument path must end in \.s2p for 2 port"):
            write_touchstone(tmp_path / name, random_data())
        assert not list(tmp_path.iterdir())

    def test_without_scikit_rf(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "skrf", None)
        for call in (lambda: read_touchstone(tmp_path / "a.s2p"), lambda: write_touchstone("a.s2p", random_data())):
            with pytest.raises(ImportError, match=r'pip install "diffnr\[rf\]"'):
                call()


class TestCsv:
    @pytest.mark.parametrize("ports", [1, 2, 3, 11])
    @pytest.mark.parametrize("column", ["frequency_hz", "omega_rad_s"])
    def test_round_trip(self, tmp_path, ports, column):
        data = random_data(ports=ports, seed=ports)
        write_csv(tmp_path / "a device.csv", data, column=column)
        back = read_csv(tmp_path / "a device.csv")
        np.testing.assert_array_equal(back.s, data.s)
        # Hz and back: two roundings; rad/s are kept as they are.
        np.testing.assert_allclose(back.omega, data.omega, rtol=1e-15 if column == "frequency_hz" else 0)
        assert (back.name, back.measured, back.sigma, back.energy) == ("a device", True, None, None)

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

    @given(st.lists(st.complex_numbers(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
    def test_every_number_returns(self, tmp_path_factory, values):
        path = tmp_path_factory.mktemp("csv") / "a.csv"
        data = FieldData(np.arange(len(values)) - 1.0, np.array(values))
        write_csv(path, data, column="omega_rad_s")
        np.testing.assert_array_equal(read_csv(path).s, data.s)

    def test_by_hand(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text(
            "# from the bench\n\n frequency_hz, S22_db,S22_deg, S11_re,s11_im,S21_mag,S21_deg,S12_im,S12_re\n"
            "1e6,-20,90,.1,.2,.5,180,.4,.3\n# a pause\n2e6,-20,90,.1,.2,.5,180,.4,.3\n"
        )
        data = read_csv(path)
        np.testing.assert_allclose(data.omega, [2e6 * np.pi, 4e6 * np.pi], rtol=1e-15)  # a rounding
        expected = [[0.1 + 0.2j, 0.3 + 0.4j], [-0.5, 0.1j]]
        np.testing.assert_allclose(data.s, [expected, expected], rtol=1e-15, atol=1e-16)  # rounding of cos(90°)

    def test_names_with_two_digits(self, tmp_path):
        write_csv(tmp_path / "a.csv", random_data(ports=10))
        header = (tmp_path / "a.csv").read_text().splitlines()[0].split(",")
        assert header[:3] == ["frequency_hz", "S1_1_re", "S1_1_im"]
        assert header[-1] == "S10_10_im"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "must hold a header and at least one line"),
            ("frequency_hz,S11_re,S11_im\n", "must hold a header and at least one line"),
            ("f,S11_re,S11_im\n1,2,3\n", "as its first column, but has 'f'"),
            ("1,2,3\n1,2,3\n", "as its first column, but has '1'"),
            ("frequency_hz,omega_rad_s,S11_re,S11_im\n1,2,3,4\n", "but has 'omega_rad_s'"),
            ("frequency_hz,S11_re,S11_im,S21_phase\n1,2,3,4\n", "but has 'S21_phase'"),
            ("frequency_hz,S00_re,S00_im\n1,2,3\n", "but has 'S00_re'"),
            ("frequency_hz,S11_re,S11_im,s11_re\n1,2,3,4\n", "names 's11_re' twice"),
            ("frequency_hz,S11_re\n1,2\n", "must have columns S11_re and _im .* but has re"),
            ("frequency_hz,S11_mag,S11_db,S11_deg\n1,2,3,4\n", "must have columns S11_re .* but has mag, db, deg"),
            (
                "frequency_hz,S11_re,S11_im,S21_re,S21_im,S22_re,S22_im\n1,2,3,4,5,6,7\n",
                "must have columns S12_re and _im .* but has none",
            ),
            ("frequency_hz,sigma\n1,2\n", "must have columns S11_re and _im .* but has none"),
            ("frequency_hz,S999999999_1_re\n1,2\n", "must have columns S11_re"),
            ("frequency_hz,S11_re,S11_im\n1,2,3\n2,2\n", "must have 3 cells in every line, but line 3 has 2"),
            ("#\nfrequency_hz,S11_re,S11_im\n1,2,3\n2,x,4\n", "line 4, column S11_re holds 'x'"),
            ("frequency_hz,S11_re,S11_im\n1,2,3\n2,,4\n", "line 3, column S11_re holds ''"),
            ("frequency_hz,S11_re,S11_im\n1,2,nan\n", "line 2, column S11_im holds 'nan'"),
            ("frequency_hz,S11_re,S11_im\n2,2,3\n1,2,3\n", "no valid field data: Argument omega must increase"),
            ("frequency_hz,S11_re,S11_im,sigma\n2,2,3,0\n", "no valid field data: Argument sigma must be positive"),
            ("frequency_hz,S11_re,S11_im,sigma,S11_sigma\n2,2,3,1,1\n", "but has both"),
            ("frequency_hz,S11_re,S11_im,energy_2\n2,2,3,1\n", "energies of the 1 port"),
            (
                "frequency_hz,energy_2,S11_re,S11_im,S21_re,S21_im,S12_re,S12_im,S22_re,S22_im\n1,2,3,4,5,6,7,8,9,10\n",
                "all of the columns energy_1, energy_2 or none, but lacks energy_1",
            ),
        ],
    )
    def test_bad_files(self, tmp_path, text, message):
        path = tmp_path / "a.csv"
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as raised:
            read_csv(path)
        assert str(path) in str(raised.value)

    def test_bad_column(self, tmp_path):
        with pytest.raises(ValueError, match="Argument column must be one of 'frequency_hz', 'omega_rad_s'"):
            write_csv(tmp_path / "a.csv", random_data(), column="hertz")
