"""Field data: what it accepts, and what it tells of noise, reciprocity and passivity."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr.data import FieldData, passivity, reciprocity
from diffnr.touchstone import read_touchstone

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
