"""Loci of phase nonreciprocity: roots of independent solvers, turns and crossings, restored points."""

import numpy as np
import pytest

import diffnr as nr
from diffnr.results import RESULTS
from test_phase_nonreciprocity import NUMBERS, PAIR, P, left_over, locus_of, nearest


@pytest.mark.slow
def test_locus_of_the_second_resonance_goes_straight_on_over_the_other_branch() -> None:
    locus = locus_of(along="stiffness_ratio", bounds=(1.0, 13.0), omega=2.9).trim()
    assert all(result == RESULTS.successful for result in locus.result)
    assert not np.any(locus.turned)
    np.testing.assert_allclose(np.asarray(locus.parameter)[[0, -1]], [1, 13], rtol=1e-14)
    assert np.all(np.diff(locus.parameter) > 0)
    assert np.all(locus.stable)
    np.testing.assert_allclose(locus.nonreciprocal_phase[0], 0.3068573, atol=1e-6)  # by independent solvers
    power = np.sum(np.abs(np.asarray(locus.points.outputs)) ** 2, axis=-1)
    np.testing.assert_allclose(power[:, 0], power[:, 1], rtol=1e-10)  # what the continuation's corrections leave

    # Where the oscillators have the same dynamic stiffness, the closed form's point and R of the full model there.
    zero = locus.reciprocal
    assert zero.points.count == 1
    assert not zero.regular[0]
    np.testing.assert_allclose(zero.parameter, 12.0272182, atol=2e-5)  # interpolated by a cubic over steps of .4
    np.testing.assert_allclose(zero.points.omega, 3.3207256, atol=2e-6)
    np.testing.assert_allclose(zero.points.reciprocity_norm, 1.064643e-5, rtol=1e-3)
    r = np.asarray(locus.parameter)
    across = np.flatnonzero(locus.branch_crossings)
    assert across.size == 1
    assert r[across[0]] < 12.0272 < r[across[0] + 1]
    # ω grows more slowly than on the other branch, ω² = r − 1, and has passed it.
    beyond = np.asarray(locus.omega) ** 2 - (r - 1)
    assert beyond[across[0]] > 0 > beyond[across[0] + 1]


@pytest.mark.slow
def test_locus_turns_at_the_first_resonance_and_says_so() -> None:
    locus = locus_of(along="stiffness_ratio", bounds=(1.0, 4.0), resonance=0).trim()
    assert locus.result[1] == RESULTS.at_zero_frequency  # along the anti-resonance, down to where nothing moves in time
    assert np.all(locus.omega > 0)
    corner = np.flatnonzero(locus.turned)
    assert corner.size == 1
    np.testing.assert_allclose(locus.parameter[corner], 2.31, atol=0.03)  # the bend of independent solvers: r = 2.3134
    assert not np.any(locus.branch_crossings)
    # Beyond the corner it is the branch of equal dynamic stiffness, ω² = r − 1 but for third harmonics.
    after = slice(int(corner[0]) + 5, int(corner[0]) + 15)
    np.testing.assert_allclose(locus.omega[after] ** 2, locus.parameter[after] - 1, rtol=0.05)
    assert (
        np.max(np.abs(locus.nonreciprocal_phase[after])) < 0.01 < np.abs(locus.nonreciprocal_phase[int(corner[0]) - 5])
    )

    wide = locus_of(along="stiffness_ratio", bounds=(0.5, 4.0), resonance=0).trim()  # longer steps: straight on
    assert all(result == RESULTS.successful for result in wide.result)
    assert np.sum(wide.branch_crossings) == 1


@pytest.mark.slow
def test_locus_to_both_sides_along_every_number() -> None:
    bounds = {
        "mass_ratio": (1.5, 3.0), "stiffness_ratio": (0.5, 3.0), "cubic_ratio": (0.5, 2.0), "coupling": (4.0, 6.0),
        "cubic": (0.5, 2.0), "damping": (0.03, 0.08), "amplitude": (0.05, 0.5),
    }  # fmt: skip
    assert set(bounds) == {*NUMBERS, "amplitude"}
    for name, ends in bounds.items():
        locus = locus_of(along=name, bounds=ends, resonance=1).trim()
        assert all(result == RESULTS.successful for result in locus.result)
        np.testing.assert_allclose(np.asarray(locus.parameter)[[0, -1]], ends, rtol=1e-12)
        own = P if name == "amplitude" else float(getattr(PAIR, name))
        start = int(np.argmin(np.abs(np.asarray(locus.parameter) - own)))
        np.testing.assert_allclose(locus.omega[start], 2.8977953, atol=1.5e-7)  # by independent solvers
        for i in (0, -1):
            values = {} if name == "amplitude" else {name: locus.parameter[i]}
            amplitude = locus.parameter[i] if name == "amplitude" else P
            found = nearest(nr.replace(PAIR, values), locus.omega[i], amplitude)
            expected = locus.omega[i], locus.nonreciprocal_phase[i], locus.reciprocity_norm[i]
            np.testing.assert_allclose(found, expected, rtol=1e-8)  # roots to round-off, determined to 1e-10 or so


@pytest.mark.slow
def test_a_cubic_ratio_restores_reciprocity_at_a_regular_point() -> None:
    pair = nr.replace(PAIR, {"mass_ratio": 1.2})
    locus = locus_of(pair, 1.0, along="cubic_ratio", bounds=(0.5, 3.0), resonance=1).trim()
    zero = locus.reciprocal
    assert zero.points.count == 1
    assert zero.regular[0]
    np.testing.assert_allclose(zero.points.nonreciprocal_phase, 0, atol=1e-9)
    point = zero.points.trim()
    there = nr.replace(pair, {"cubic_ratio": zero.parameter[0]})
    for port in (0, 1):
        assert left_over(np.asarray(point.b[0, :, port]), float(point.omega[0]), port, there, 1.0) < 1e-12
    power = np.sum(np.abs(np.asarray(point.outputs[0])) ** 2, axis=-1)
    np.testing.assert_allclose(power[0], power[1], rtol=1e-10)  # Newton's method
    assert locus.result[1] == RESULTS.turned
    assert locus.parameter[int(np.flatnonzero(locus.turned)[0])] == pytest.approx(2.64, abs=0.01)
