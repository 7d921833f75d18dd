"""Loci of restored reciprocity, and level sets of R: the sheet's slope and the bend."""

import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from diffnr.continuation import ENDINGS
from optimize.reciprocity_locus import reciprocity_level, reciprocity_locus

pytestmark = pytest.mark.slow  # each test compiles a program of its own, for many seconds

PAIR = duffing.DuffingPair(mass_ratio=1.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)


def locus(resonance: int, **options):
    return reciprocity_locus(
        PAIR, amplitude=0.15, free="stiffness_ratio", resonance=resonance,
        **{"along": "mass_ratio", "bounds": (1.0, 2.0), "points": 3, **options},
    )  # fmt: skip


def test_locus_of_the_stiffness_ratio() -> None:
    found = locus(1)
    assert found.count == 3
    np.testing.assert_allclose([found.value[0], found.reciprocity_norm[0]], [1, 0], atol=1e-9)  # the equal pair
    assert float(found.value[-1]) == pytest.approx(12.02383, abs=5e-6)  # the digits given
    assert np.all(found.stable)
    # dr/dμ = ω*², of which the full model's point is off by 3e-4.
    np.testing.assert_allclose(np.diff(found.value) / np.diff(found.along), 11.0272, rtol=1e-3)
    assert np.all(np.diff(found.reciprocity_norm) > 0)


@pytest.mark.slow
def test_level_set_bends_back_nearer_to_the_equal_pair_for_less_tolerance() -> None:
    bends = []
    for level in (7e-3, 5e-3):
        found = reciprocity_level(
            PAIR, amplitude=0.15, level=level, along="mass_ratio", bounds=(1.0, 3.0), free="stiffness_ratio",
            resonance=0, max_points=120,
        )  # fmt: skip
        assert found.ending == ENDINGS.arrived  # back at the least bound, on the other side
        points = found.trim()
        np.testing.assert_allclose(points.reciprocity_norm, level, rtol=1e-7)
        assert points.along[0] == points.along[-1] == 1.0
        assert points.value[0] > 1 > points.value[-1]
        bends.append(float(points.along[int(points.bend)]))
    # The least R at μ = 1.1 is 5.783e-3, and 7.213e-3 at μ = 1.2: the bends lie to either side of the former.
    assert 1.0 < bends[1] < 1.1 < bends[0] < 1.2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"along": "damping"}, "Argument along must be one of .* but was 'damping'"),
        ({"along": "stiffness_ratio"}, "Argument along must differ from free, but was 'stiffness_ratio'"),
        ({"bounds": (2.0, 1.0)}, r"Argument bounds must be \(lowest, highest\), in this order"),
        ({"bounds": (-1.0, 1.0)}, "Argument bounds must be positive for a mass"),
        ({"points": 1}, "Argument points must be an integer of at least 2, but was 1"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(options, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        locus(0, **options)
    with pytest.raises(ValueError, match="Argument level must be positive, but was 0"):
        reciprocity_level(
            PAIR, amplitude=0.15, level=0.0, along="mass_ratio", bounds=(1.0, 2.0), free="stiffness_ratio", resonance=0
        )
    with pytest.raises(ValueError, match="Argument resonance must be one that the response has"):
        reciprocity_locus(
            nr.replace(PAIR, {"damping": 5.0}), amplitude=0.15, along="mass_ratio", bounds=(1.0, 2.0),
            free="stiffness_ratio", resonance=0,
        )  # fmt: skip
