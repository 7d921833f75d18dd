"""What field data say of themselves: noise, printed digits, reciprocity and passivity, with cables and without."""

import numpy as np
import pytest

from cables import GRIDS, cabled
from diffnr.data import FieldData, noise_estimate, passivity, reciprocity, rounding_step


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


def printed(data: FieldData, form: str) -> FieldData:
    """`data` as a file has them that was written with `form`."""
    s = np.asarray(data.s)
    real, imag = (np.array([float(form % x) for x in part.ravel()]).reshape(s.shape) for part in (s.real, s.imag))
    return FieldData(data.omega, real + 1j * imag)


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

    @pytest.mark.parametrize("turns", [0.0, 0.3, 3.45, 12.7])
    @pytest.mark.parametrize("grid", GRIDS)
    def test_a_cable_is_no_noise(self, grid, turns):
        # 401 points: 98 % of entries are within 20 % (docstring); of these four none may be out by more than half.
        for noise in (1e-6, 1e-3, 0.1):
            np.testing.assert_allclose(noise_estimate(cabled(grid, turns, noise)), noise, rtol=0.5)
        # Resonances of 4 points a width leave this much; without the cable taken out it is 0.1 to 1.
        assert noise_estimate(cabled(grid, turns, 0.0)).max() < 1e-7

    def test_the_first_report(self):
        # A 19 dB isolator behind 2 ns of cable, 95 MHz a step: noise of 1e-4 was estimated as 3.
        rng = np.random.default_rng(2)
        omega = 2 * np.pi * np.linspace(1e9, 20e9, 201)
        s = np.array([[0.05, 0.1], [0.891, 0.05]]) * np.exp(-4e-9j * omega)[:, None, None]
        data = FieldData(omega, s + 1e-4 * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape)))
        np.testing.assert_allclose(noise_estimate(data), 1e-4, rtol=0.35)  # 201 points: some 12 % each, three of them
        assert reciprocity(data).reciprocal is False
        assert passivity(data).passive is True
        assert passivity(FieldData(omega, 10 * data.s)).passive is False

    def test_polynomials_of_low_degree_are_no_noise(self):
        omega = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 40))
        x = omega / omega[-1]
        data = FieldData(omega, 1 + x - 2j * x**2 + x**3)
        assert noise_estimate(data).max() < 1e-14  # rounding of numbers near 1

    @pytest.mark.parametrize("grid", GRIDS)
    def test_what_is_not_smooth_cannot_be_told(self, grid):
        rng, clean = np.random.default_rng(0), cabled(grid, 0.3, 1e-3)
        s = np.array(clean.s)
        s[:, 1, 0] *= np.exp(2j * np.pi * rng.random(401))  # a phase that turns by anything from point to point
        untold = np.isnan(noise_estimate(FieldData(clean.omega, s)))
        np.testing.assert_array_equal(untold, [[False, False], [True, False]])

    def test_paths_half_a_turn_apart_cannot_be_told(self):
        points = np.arange(401)
        paths = np.exp(1.55j * points) + 0.7 * np.exp(-1.55j * points)
        data = FieldData(points, np.stack([paths, np.ones(401)], 1)[:, :, None] * np.eye(2))
        assert np.isnan(noise_estimate(data)[0, 0])
        assert noise_estimate(data)[1, 1] < 1e-15

    def test_a_dark_entry_is_noise(self):
        data = cabled("even", 0.3, 1e-3)
        s = np.array(data.s)
        s[:, 0, 0] = np.array(cabled("even", 0.3, 1e-3, seed=1).s - cabled("even", 0.3, 0.0).s)[:, 0, 0]
        np.testing.assert_allclose(noise_estimate(FieldData(data.omega, s)), 1e-3, rtol=0.3)  # as above

    def test_what_was_not_measured_has_none(self):
        data = cabled("even", 0.3, 1e-3)
        s = np.array(data.s)
        s[:, :, 1] = np.nan
        np.testing.assert_array_equal(np.isnan(noise_estimate(FieldData(data.omega, s))), [[False, True]] * 2)

    def test_rounding_is_noise(self):
        # At 3 decimals the numbers of a slow curve stand still for many points: no scatter shows.
        slow = FieldData(np.linspace(0, 1, 401), 0.5 * np.exp(1j * np.linspace(0, 0.1, 401)))
        np.testing.assert_allclose(noise_estimate(printed(slow, "%.3f")), 1e-3 / np.sqrt(12), rtol=1e-12)
        assert noise_estimate(slow).max() < 1e-15

    def test_needs_enough_points(self):
        with pytest.raises(ValueError, match="Argument data must have at least 5 points, but was of 4"):
            noise_estimate(FieldData(np.arange(4), np.zeros(4)))


class TestRoundingStep:
    @pytest.mark.parametrize("decimals", [4, 6, 9])
    @pytest.mark.parametrize("noise", [0.0, 1e-4])
    def test_decimals(self, decimals, noise):
        step = rounding_step(printed(resonator(401, noise), f"%.{decimals}f"))
        np.testing.assert_allclose(step, 10.0**-decimals, rtol=1e-12)  # a root of a mean

    @pytest.mark.parametrize("digits", [3, 4, 9])
    def test_significant_digits(self, digits):
        data = printed(resonator(401, 1e-3), f"%.{digits}e")
        parts = np.abs(np.stack([np.asarray(data.s).real, np.asarray(data.s).imag]))
        unit = np.where(parts > 0, 10.0 ** (np.floor(np.log10(np.where(parts > 0, parts, 1.0))) - digits), 0.0)
        np.testing.assert_allclose(rounding_step(data), np.sqrt(np.mean(unit**2, axis=(0, 1))), rtol=1e-12)

    def test_full_precision_and_magnitudes_have_none(self):
        data = resonator(401, 1e-4)
        s = np.asarray(data.s)
        size, phase = np.round(np.abs(s), 4), np.round(np.rad2deg(np.angle(s)), 3)
        for other in (data, FieldData(data.omega, size * np.exp(1j * np.deg2rad(phase)))):
            np.testing.assert_array_equal(rounding_step(other), 0.0)

    def test_a_few_round_numbers_are_no_grid(self):
        ideal = FieldData(np.arange(50), np.broadcast_to([[0.05, 0.1], [0.9, 0.05j]], (50, 2, 2)))
        ramp = FieldData(np.arange(50), np.round(0.9 - 0.02 * np.arange(50), 2))
        for data in (ideal, ramp, FieldData(np.arange(50), np.zeros(50))):
            assert rounding_step(data).max() == 0
            assert noise_estimate(data).max() < 1e-15


class TestReciprocity:
    def test_of_a_reciprocal_device(self):
        report = reciprocity(resonator(401))
        assert report.reciprocal
        assert (report.max_difference, report.relative, report.max_db) == (0.0, 0.0, 0.0)

    @pytest.mark.parametrize(("gain", "verdict"), [(1.015, True), (1.025, False), (1j, False)])
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
        alone = reciprocity(FieldData([1.0, 2.0], [0.5, 0.6]))
        assert alone.reciprocal
        assert alone.message == "A one-port is reciprocal."
        assert reciprocity(FieldData([1.0], np.eye(2)[None])).reciprocal

    def test_one_direction_that_is_exactly_zero_has_no_decibels(self):
        isolator = reciprocity(FieldData([1.0], np.array([[[0, 0], [1, 0]]])))
        assert isolator.reciprocal is False
        assert np.isnan(isolator.median_db)
        assert isolator.message == (
            "The data are NOT reciprocal: rms |S − Sᵀ| is 141 % of S between ports, max |S − Sᵀ| = 1, "
            "one direction is exactly 0."
        )

    def test_a_phase_shifter_is_no_reciprocal_device(self):
        report = reciprocity(resonator(401, 1e-3, gain=-1))
        assert report.reciprocal is False
        assert report.median_db < 0.05  # 1e-3 of noise on some 0.5 is 0.02 dB

    def test_only_pairs_measured_both_ways_are_compared(self):
        s = np.array(resonator(401).s)
        three = np.full((401, 3, 3), np.nan, dtype=complex)
        three[:, :2, :2], three[:, 2, 0] = s, 0.7
        report = reciprocity(FieldData(np.arange(401), three))
        assert (report.reciprocal, report.compared, report.pairs) == (True, 1, 3)
        assert "reciprocal in the 1 of 3 pairs measured" in report.message
        three[:, 0, 1] = np.nan
        report = reciprocity(FieldData(np.arange(401), three))
        assert (report.reciprocal, report.compared) == (None, 0)
        assert "not measured" in report.message

    def test_undersampled_directions_give_no_verdict(self):
        rng, data = np.random.default_rng(0), resonator(401)
        s = np.array(data.s)
        s[:, 1, 0] *= np.exp(2j * np.pi * rng.random(401))
        report = reciprocity(FieldData(data.omega, s))
        assert report.reciprocal is None
        assert "cannot be told" in report.message

    def test_digits_are_no_nonreciprocity(self):
        # S21 and S12 differ by less than half a digit, which are 10 % of them, and stand still for many points.
        slow = np.linspace(0.0096, 0.0104, 401)
        s = np.stack([0.5 * np.cos(np.arange(401) / 60), slow, slow + 2e-4, 0.5 + 0 * slow], 1).reshape(401, 2, 2)
        data = FieldData(np.arange(401), np.round(s, 3))
        report = reciprocity(data)
        assert report.relative > 0.02
        assert report.reciprocal is True

    def test_of_many_devices(self):
        # Measured over 600 devices (docs): no false alarm; at fixed seeds none of these may fail.
        for seed in range(10):
            for noise in (1e-6, 1e-3, 0.05):
                data = cabled("logarithmic", 5.3, noise, seed=seed)
                assert reciprocity(data).reciprocal is False
                s = np.array(data.s)
                s[:, 0, 1] = s[:, 1, 0] + s[:, 0, 1] - cabled("logarithmic", 5.3, 0.0).s[:, 0, 1]
                assert reciprocity(FieldData(data.omega, s)).reciprocal is True


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
        report = passivity(FieldData([1.0], [1 + 1e-9]))
        assert report.passive is False
        assert "largest singular value 1 + 1e-09, where noise allows 1 + 2.2e-13" in report.message

    def test_what_was_not_measured_can_only_raise_it(self):
        # Of a lossless device with one entry missing: with 0 in its place the norm would be 1.14, a gain of nothing.
        s = np.array([[[0.6, 0.8], [0.8, np.nan]]])
        report = passivity(FieldData([1.0], s))
        assert (report.passive, report.whole) == (True, False)
        np.testing.assert_allclose(report.largest, 1.0, rtol=1e-15)
        assert report.message == "The entries that were measured are passive: largest singular value at least 1."
        one_path = passivity(FieldData([1.0], np.array([[[0.6, np.nan], [0.9, np.nan]]])))
        np.testing.assert_allclose(one_path.largest, np.hypot(0.6, 0.9), rtol=1e-15)
        assert one_path.passive is False

    def test_noise_excuses_no_large_gain(self):
        rng = np.random.default_rng(0)
        s = 0.5 + 0.3 * (rng.normal(size=401) + 1j * rng.normal(size=401))
        lossless = np.array([[0, 1], [1, 0]]) * np.exp(0.1j * np.arange(401))[:, None, None]
        noise = 0.12 * (rng.normal(size=lossless.shape) + 1j * rng.normal(size=lossless.shape))
        for data in (FieldData(np.arange(401), s), FieldData(np.arange(401), lossless + noise)):
            report = passivity(data)
            assert report.largest > 1.25
            assert report.passive is None
            assert "cannot be told" in report.message
