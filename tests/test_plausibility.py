"""Suspicions about field data: conjugated, advancing, real, not measured, undersampled, or in float32."""

from pathlib import Path

import numpy as np
import pytest

import diffnr as nr
from cables import GRIDS, cabled
from diffnr.data import FieldData, causality, real_valued, suspicions

MEASURED = Path(__file__).parent / "data" / "measured"


def changed(data: FieldData, out: int, into: int, values) -> FieldData:
    s = np.array(data.s)
    s[:, out, into] = values
    return FieldData(data.omega, s)


class TestCausality:
    @pytest.mark.parametrize("turns", [0.0, 0.3, 3.45])
    @pytest.mark.parametrize("grid", GRIDS)
    def test_conjugated_data_ring_before_they_begin(self, grid, turns):
        for noise in (0.0, 1e-2):
            data = cabled(grid, turns, noise)
            assert causality(data).causal is True
            mirrored = causality(FieldData(data.omega, data.s.conj()))
            assert mirrored.causal is False
            assert "conj(s) is meant" in mirrored.message
            # The window and the bins are the same in both directions of time.
            np.testing.assert_allclose(mirrored.asymmetry, -causality(data).asymmetry, rtol=1e-6)

    def test_a_measured_resonator(self):
        data = nr.read_touchstone(MEASURED / "skrf_resonator_36mm.s2p")
        assert causality(data).causal is True
        assert suspicions(data) == ()
        mirrored = FieldData(data.omega, data.s.conj())
        assert causality(mirrored).causal is False
        assert len(suspicions(mirrored)) == 1

    def test_no_verdict_without_ringing(self):
        rng, omega = np.random.default_rng(0), GRIDS["even"]
        noise = 1e-3 * (rng.normal(size=401) + 1j * rng.normal(size=401))
        for s in (0.5 + noise, 0.5 * np.exp(-3j * omega) + noise, noise, 0 * noise):
            report = causality(FieldData(omega, s))
            assert report.causal is None
            assert "cannot be told" in report.message

    def test_noise_alone_gives_no_verdict(self):
        rng = np.random.default_rng(0)
        for _ in range(60):  # of few bins, so that one side has most of the energy by chance
            noise = rng.normal(size=20) + 1j * rng.normal(size=20)
            for s in (noise, 10 + noise):
                assert causality(FieldData(np.arange(20), s, sigma=1.0)).causal is None

    def test_a_phase_that_advances(self):
        omega = GRIDS["even"]
        delay = 5 * 2 * np.pi / 9.0  # five turns over the band
        for sign in (1, -1):
            report = causality(FieldData(omega, 0.5 * np.exp(1j * sign * delay * omega)))
            assert report.advances is (sign == 1)
            # To the bin of the peak and the ramp within it, and the ramp of a single path is exact.
            np.testing.assert_allclose(report.turns, -5.0 * sign, rtol=1e-6)
        assert "advances with frequency, by 5 turns" in causality(FieldData(omega, np.exp(1j * delay * omega))).message
        # Less than three bins is beyond the resolution: reference planes are never placed better.
        assert not causality(FieldData(omega, np.exp(0.4j * delay * omega))).advances

    def test_needs_enough_points(self):
        with pytest.raises(ValueError, match="Argument data must have at least 16 points, but was of 15"):
            causality(FieldData(np.arange(15), np.zeros(15)))


class TestSuspicions:
    def test_of_many_devices_without_blemish(self):
        # 300 random devices of these kinds gave one (docs): at fixed seeds none.
        for seed in range(8):
            for grid in GRIDS:
                assert suspicions(cabled(grid, seed / 2.3, 10.0 ** -(seed + 1), width=2.0 + seed, seed=seed)) == ()

    def test_what_was_not_measured(self):
        data = changed(cabled("even", 0.3, 1e-3), 0, 1, np.nan)
        assert suspicions(data) == ("S12 is not measured.",)
        assert suspicions(changed(data, 1, 1, np.nan)) == ("S12, S22 are not measured.",)

    @pytest.mark.parametrize("filled", [0.0, 1.0])
    def test_placeholders(self, filled):
        data = changed(cabled("even", 0.3, 1e-3), 0, 1, filled)
        assert suspicions(data) == ()  # an isolator may have one exact zero
        (sentence,) = suspicions(changed(data, 1, 1, 0.0))
        assert sentence.startswith("S12, S22 are exactly 0 or 1 at every frequency: give NaN")

    def test_a_phase_of_zero(self):
        data = cabled("even", 0.3, 1e-3)
        size, phase = np.abs(data.s), np.where(np.real(data.s) > 0, 0.0, 180.0)
        for s in (size, size * np.exp(1j * np.deg2rad(phase))):
            assert real_valued(FieldData(data.omega, s))
            assert suspicions(FieldData(data.omega, s))[0].startswith("S is real at every frequency")
        assert not real_valued(data)
        assert real_valued(changed(FieldData(data.omega, size), 0, 0, 0.3j))  # a constant says nothing
        assert not real_valued(FieldData(data.omega, np.full(401, 0.5)))

    def test_steps_too_large(self):
        data = cabled("even", 0.3, 1e-3)
        turned = np.exp(2j * np.pi * np.random.default_rng(0).random(401))
        (sentence,) = suspicions(changed(data, 1, 0, data.s[:, 1, 0] * turned))
        assert sentence.startswith("Neighbouring points of S21 do not follow from each other")

    def test_float32(self):
        data = cabled("even", 0.0, 1e-3)
        single = FieldData(np.asarray(data.omega, np.float32), np.asarray(data.s, np.complex64))
        assert suspicions(single) == (
            'The data are in float32: call jax.config.update("jax_enable_x64", True) before they are read or made.',
        )

    def test_of_a_few_points(self):
        assert suspicions(FieldData([1.0], [0.5])) == ()
