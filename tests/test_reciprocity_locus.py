"""Loci of restored reciprocity, and level sets of R: independent solvers' slope and the bend."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from diffnr.results import RESULTS
from optimize.reciprocity.restored_locus import reciprocity_level, reciprocity_locus

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
    np.testing.assert_allclose([found.ratio[0], found.reciprocity_norm[0]], [1, 0], atol=1e-9)  # the equal pair
    assert float(found.ratio[-1]) == pytest.approx(12.02383, abs=5e-6)  # the digits given
    assert np.all(found.stable)
    # dr/dμ = ω*², of which the full model's point is off by 3e-4.
    np.testing.assert_allclose(np.diff(found.ratio) / np.diff(found.parameter), 11.0272, rtol=1e-3)
    assert np.all(np.diff(found.reciprocity_norm) > 0)


@pytest.mark.slow
def test_level_set_bends_back_nearer_to_the_equal_pair_for_less_tolerance() -> None:
    bends = []
    for level in (7e-3, 5e-3):
        found = reciprocity_level(
            PAIR, amplitude=0.15, level=level, along="mass_ratio", bounds=(1.0, 3.0), free="stiffness_ratio",
            resonance=0, max_points=120,
        )  # fmt: skip
        assert found.result == RESULTS.successful  # back at the least bound, on the other side
        points = found.trim()
        np.testing.assert_allclose(points.reciprocity_norm, level, rtol=1e-7)
        assert points.parameter[0] == points.parameter[-1] == 1.0
        assert points.ratio[0] > 1 > points.ratio[-1]
        bends.append(float(points.parameter[int(points.bend)]))
    # The least R at μ = 1.1 is 5.783e-3, and 7.213e-3 at μ = 1.2: the bends lie to either side of the former.
    assert 1.0 < bends[1] < 1.1 < bends[0] < 1.2


@pytest.mark.parametrize(
    ("amplitude", "resonance", "highest", "ratio", "norm"),
    [(0.5, 0, 2.0, 2.5426627, 1.416393e-2), (1.0, 1, 1.2, 2.6427742, 5.772632e-3)],
)
def test_locus_of_the_cubic_ratio(amplitude, resonance, highest, ratio, norm) -> None:
    found = reciprocity_locus(
        PAIR, amplitude=amplitude, along="mass_ratio", bounds=(1.1, highest), free="cubic_ratio", resonance=resonance,
        at="equal_norm", points=3,
    )  # fmt: skip
    assert found.count == 3
    assert float(found.ratio[-1]) == pytest.approx(ratio, abs=1e-6)  # asked for of roots
    assert float(found.reciprocity_norm[-1]) == pytest.approx(norm, rel=1e-5)  # asked for of R
    # The closed form is nearly a line through the equal pair, and third harmonics move it by a fiftieth.
    closed = [
        duffing.one_harmonic_restoration(
            nr.replace(PAIR, {"mass_ratio": mass}), amplitude=amplitude, free="cubic_ratio", resonance=resonance
        ).ratio
        for mass in found.parameter
    ]
    np.testing.assert_allclose(found.ratio, closed, rtol=2e-2)
    assert np.all(found.stable)


def test_derivatives_of_a_locus() -> None:
    """By the damping and by the upper bound, at every point."""

    @jax.jit
    def numbers(u):
        found = reciprocity_locus(
            nr.replace(PAIR, {"damping": u[0]}), amplitude=0.15, along="mass_ratio", bounds=(1.2, u[1]),
            free="stiffness_ratio", resonance=0, points=3, num_harmonics=5,
        )  # fmt: skip
        return jnp.stack([found.ratio, found.omega, found.reciprocity_norm])

    u, step = jnp.array([0.05, 2.0]), jnp.array([1e-5, 1e-4])  # errors O(step²) of a part in 10⁴ each
    for direction in jnp.eye(2):
        _, slope = jax.jvp(numbers, (u,), (direction,))
        h = step @ direction
        differences = (numbers(u + h * direction) - numbers(u - h * direction)) / (2 * h)
        # Asked for; the lowest bound does not depend on the upper one, and round-off of 1e-12/h is left there.
        np.testing.assert_allclose(slope, differences, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"along": "loss"}, "Argument along must be one of .* but was 'loss'"),
        ({"along": "stiffness_ratio"}, "Argument along must differ from free, but was 'stiffness_ratio'"),
        ({"bounds": (2.0, 1.0)}, r"Argument bounds must be \(lowest, highest\), in this order"),
        ({"bounds": (-1.0, 1.0)}, "Argument bounds must be positive for mass_ratio"),
        ({"points": 1}, "Argument points must be a whole number of at least 2, but was 1"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(options, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        locus(0, **options)
    with pytest.raises(ValueError, match="Argument level must be positive, but was 0"):
        reciprocity_level(
            PAIR, amplitude=0.15, level=0.0, along="mass_ratio", bounds=(1.0, 2.0), free="stiffness_ratio", resonance=0
        )
    with pytest.raises(RuntimeError, match="The pair has no such resonance with a finite ratio"):
        reciprocity_locus(
            nr.replace(PAIR, {"damping": 5.0}), amplitude=0.15, along="mass_ratio", bounds=(1.0, 2.0),
            free="stiffness_ratio", resonance=0,
        )  # fmt: skip
