"""Field data: what it accepts, and what it tells of noise, reciprocity and passivity."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr.data import FieldData, noise_estimate, passivity, reciprocity
from diffnr.touchstone import read_touchstone

MEASURED = Path(__file__).parent / "data" / "measured"


def random_data(points: int = 7, ports: int = 2, seed: int = 0, **kwargs) -> FieldData:
    """Data without any symmetry: whatever is transposed or conjugated shows."""
    rng = np.random.default_rng(seed)
    s = rng.normal(size=(points, ports, ports)) + 1j * rng.normal(size=(points, ports, ports))
    return FieldData(2 * np.pi * np.cumsum(rng.uniform(1e6, 1e7, points)), s, **kwargs)


def resonator(points: int, noise: float = 0.0, *, gain: complex = 1.0, seed: int = 0) -> FieldData:
    """A reciprocal, passive two-port resonance, 80 points a linewidth, with `gain` on S21 and noise on every part."""
    rng = np.random.default_rng(seed)
    omega = np.linspace(-5.0, 5.0, points) * points / 400
    a = 1 / (1j * omega + 1.0)
    d = np.sqrt([0.8, 1.0])  # D†D = 1.8 is less than twice the decay rate 1: some is absorbed
    s = np.outer(d, d) * a[:, None, None] - np.eye(2)
    s[:, 1, 0] *= gain
    s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    return FieldData(omega, s)


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


class TestNoiseEstimate:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("sigma", [1e-4, 1e-2])
    def test_finds_the_noise_under_a_resonance(self, sigma, seed):
        estimate = noise_estimate(resonator(3201, sigma, seed=seed))
        assert estimate.shape == (2, 2)
        # The estimate's own deviation is 2 % here (measured over 100 seeds; it goes as 1/sqrt(points)): five of them.
        np.testing.assert_allclose(estimate, sigma, rtol=0.1)

    def test_each_entry_has_its_own(self):
        rng = np.random.default_rng(0)
        sigma = np.array([[1e-3, 2e-3], [4e-3, 8e-3]])
        clean = resonator(3201)
        noise = sigma * (rng.normal(size=clean.s.shape) + 1j * rng.normal(size=clean.s.shape))
        np.testing.assert_allclose(noise_estimate(FieldData(clean.omega, clean.s + noise)), sigma, rtol=0.1)  # as above

    def test_uneven_grid(self):
        rng = np.random.default_rng(0)
        omega = np.sort(rng.uniform(-5.0, 5.0, 3201))
        s = 1 / (1j * omega + 1) + 1e-3 * (rng.normal(size=3201) + 1j * rng.normal(size=3201))
        np.testing.assert_allclose(noise_estimate(FieldData(omega, s)), 1e-3, rtol=0.1)  # as above

    def test_polynomials_below_the_order_are_no_noise(self):
        omega = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 40))
        x = omega / omega[-1]
        data = FieldData(omega, 1 + x - 2j * x**2 + x**3)
        assert noise_estimate(data, order=4).max() < 1e-14  # rounding of numbers near 1
        assert noise_estimate(data, order=3).max() > 1e-7  # x³ shows in third differences

    def test_needs_enough_points(self):
        with pytest.raises(ValueError, match="Argument data must have at least 5 points, but was of 4"):
            noise_estimate(random_data(points=4))


class TestReciprocity:
    def test_of_a_reciprocal_device(self):
        report = reciprocity(resonator(401))
        assert report.reciprocal
        assert (report.max_difference, report.relative, report.max_db) == (0.0, 0.0, 0.0)

    @pytest.mark.parametrize(("gain", "verdict"), [(1.005, True), (1.02, False), (1j, False)])
    def test_of_a_clean_asymmetry(self, gain, verdict):
        report = reciprocity(resonator(401, gain=gain))
        assert report.reciprocal is verdict
        # |g − 1| over the rms of (1, g), which is what the definition says of a common factor g.
        np.testing.assert_allclose(report.relative, abs(gain - 1) / np.sqrt((1 + abs(gain) ** 2) / 2), rtol=1e-12)
        np.testing.assert_allclose(report.median_db, abs(20 * np.log10(abs(gain))), atol=1e-12)
        assert reciprocity(resonator(401, gain=gain), relative=10.0).reciprocal

    def test_noise_is_no_nonreciprocity(self):
        report = reciprocity(resonator(401, 0.05))
        assert report.relative > 0.05
        assert report.reciprocal
        # The expected asymmetry is what was found: 10 % is the accuracy promised of the noise estimate.
        np.testing.assert_allclose(report.noise, report.relative, rtol=0.1)
        assert not reciprocity(resonator(401, 0.05), noise_factor=0.5).reciprocal

    def test_nonreciprocity_is_seen_through_noise(self):
        assert not reciprocity(resonator(401, 0.05, gain=2.0)).reciprocal

    def test_a_given_sigma_is_believed(self):
        clean = resonator(401, gain=1.1)
        assert not reciprocity(clean).reciprocal
        assert reciprocity(FieldData(clean.omega, clean.s, sigma=0.1)).reciprocal

    def test_special_cases(self):
        assert reciprocity(FieldData([1.0, 2.0], [0.5, 0.6])).reciprocal
        assert reciprocity(FieldData([1.0], np.eye(2)[None])).reciprocal
        isolator = reciprocity(FieldData([1.0], np.array([[[0, 0], [1, 0]]])))
        assert not isolator.reciprocal
        assert isolator.median_db == np.inf


class TestPassivity:
    def test_of_a_passive_device(self):
        data = resonator(401)
        report = passivity(data)
        assert report.passive
        assert report.tolerance < 1e-6  # there is no noise, only what is not a cubic on five neighbouring points
        # What is orthogonal to the coupling passes by the resonance, so that the largest is 1 to a few roundings.
        np.testing.assert_allclose(report.largest, 1, rtol=1e-14)
        np.testing.assert_allclose(passivity(FieldData(data.omega, data.s / 2)).largest, 0.5, rtol=1e-14)

    @pytest.mark.parametrize("noise", [1e-5, 1e-3, 3e-2])
    def test_a_lossless_device_stays_passive_under_noise(self, noise):
        rng = np.random.default_rng(0)
        omega = np.linspace(0.0, 1.0, 2001)
        c, s = np.cos(omega), np.sin(omega)
        unitary = np.stack([np.stack([c, 1j * s], -1), np.stack([1j * s, c], -1)], -2)
        noisy = unitary + noise * (rng.normal(size=unitary.shape) + 1j * rng.normal(size=unitary.shape))
        report = passivity(FieldData(omega, noisy))
        assert report.largest > 1
        assert report.passive
        assert not passivity(FieldData(omega, noisy), multiples=1.0).passive

    def test_finds_gain_and_where(self):
        data = resonator(401, 1e-3, gain=3.0)
        report = passivity(data)
        assert not report.passive
        worst = np.argmax(np.linalg.svd(np.asarray(data.s), compute_uv=False)[:, 0])
        assert report.omega == data.omega[worst]
        assert abs(report.omega) < 0.5  # in the resonance's half width, 1

    def test_lossless_to_rounding(self):
        assert passivity(FieldData([1.0], [np.exp(0.3j)])).passive
        assert not passivity(FieldData([1.0], [1 + 1e-9])).passive


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
