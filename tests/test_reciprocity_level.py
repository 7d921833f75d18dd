"""Level sets of R with N_F = N_B: the bend, the anti-resonance, the fold, and the plane of mass and cubic stiffness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from diffnr.results import RESULTS
from optimize.reciprocity.restore import restore_reciprocity
from optimize.reciprocity.restored_locus import ReciprocityLocus, reciprocity_level, reciprocity_locus

EQUAL = duffing.DuffingPair(1.0, 1.0, 1.0, coupling=5.0, cubic=1.0, damping=0.05)
PLANE = {"amplitude": 0.15, "along": "mass_ratio", "free": "stiffness_ratio"}


def level_set(level: float, pair=EQUAL, **options) -> ReciprocityLocus:
    # One size of buffers, so that all tests share what is compiled.
    settings = {**PLANE, "bounds": (1.0, 2.2), "resonance": 0, "at": "equal_norm", "max_points": 300, **options}
    return reciprocity_level(pair, level=level, **settings).trim()


def measured(locus: ReciprocityLocus, point: int, amplitude: float) -> tuple[float, float]:
    """R and N_F − N_B of orbits found afresh: by continuation over frequency, at the branch nearest in R."""
    model = nr.replace(EQUAL, {"mass_ratio": locus.parameter[point], "stiffness_ratio": locus.ratio[point]})
    omega = float(locus.omega[point])
    branches = []
    for port in (0, 1):
        curve = duffing.frequency_response(model, amplitude=amplitude, omega=(0.7 * omega, 1.3 * omega), port=port)
        found = curve.at(omega)
        branches.append([np.asarray(found.b[i, 1 - port]) for i in range(int(found.count))])
    pairs = [(np.sqrt(np.sum(np.abs(x - y) ** 2) / 2), x, y) for x in branches[0] for y in branches[1]]
    R, x, y = min(pairs, key=lambda p: abs(p[0] - float(locus.reciprocity_norm[point])))
    return float(R), float(np.linalg.norm(x) - np.linalg.norm(y)) / 2**0.5


@pytest.mark.slow
def test_a_level_set_has_its_level_and_equal_norms_by_another_method() -> None:
    locus = level_set(5e-3, max_points=12)  # its first points, from the pair of equal masses on
    assert locus.result == RESULTS.out_of_points
    assert "max_points" in locus.message
    assert int(locus.count) == 12
    assert float(locus.parameter[0]) == 1.0
    assert np.all(np.diff(locus.parameter) > 0)
    np.testing.assert_allclose(locus.reciprocity_norm, 5e-3, rtol=1e-8)  # as in the whole one below
    R, gap = measured(locus, 6, 0.15)
    assert pytest.approx(5e-3, rel=1e-8) == R
    assert abs(gap) < 1e-9


@pytest.mark.slow
def test_equal_norms_turn_back_at_the_bend() -> None:
    turn = restore_reciprocity(
        nr.replace(EQUAL, {"mass_ratio": 2.0}), amplitude=0.15, free="stiffness_ratio", resonance=0, at="bend"
    )
    assert bool(turn.converged)
    assert bool(turn.approximate)
    assert "approximately" in turn.report()
    # The digits given are 2.3134 and 9.14e-3; four decimals of r leave half a unit, and it is 2.31335.
    assert float(turn.ratio) == pytest.approx(2.3134, abs=6e-5)
    assert float(turn.reciprocity_norm) == pytest.approx(9.14e-3, abs=5e-6)
    assert abs(float(turn.norm_difference)) < 1e-14  # round-off
    # Where N_F = N_B turns, the level set of the R found there touches the line of such points: it passes through.
    through = level_set(float(turn.reciprocity_norm))
    bend = int(through.bend)
    r = np.interp(2.0, through.parameter[:bend], through.ratio[:bend])
    omega = np.interp(2.0, through.parameter[:bend], through.omega[:bend])
    assert r == pytest.approx(float(turn.ratio), abs=1e-4)  # chords of the locus: steps of 5e-2 that bend by 1e-2 rad
    assert omega == pytest.approx(float(turn.omega), abs=1e-4)


@pytest.mark.slow
def test_bend_and_anti_resonance_of_resonance_0() -> None:
    bends = []
    for level in (9.14e-3, 7e-3, 5e-3):
        locus = level_set(level)
        assert locus.result == RESULTS.successful
        # The continuation takes a point whose last correction is below 1e-8; what is left is that correction's square,
        # times curvatures of some 10⁶ beside R²/level² and N².
        np.testing.assert_allclose(locus.reciprocity_norm, level, rtol=1e-8)
        np.testing.assert_allclose(locus.norm_difference, 0, atol=1e-10)
        bend = int(locus.bend)
        bends.append([float(x[bend]) for x in (locus.parameter, locus.ratio)])
        # It is the largest of the resonant part, and no neighbour is as far: refined beyond the locus's points.
        assert locus.parameter[bend] > max(locus.parameter[bend - 1], locus.parameter[bend + 1])
        # On resonance up to the bend (ω* = 1.149 at one harmonic), then away from it, towards the anti-resonance.
        np.testing.assert_allclose(locus.omega[: bend + 1], 1.149, atol=6e-3)
        assert float(locus.omega[-1]) < 0.95
        np.testing.assert_allclose(
            locus.omega[-1] ** 2, (locus.ratio[-1] - 1) / (locus.parameter[-1] - 1), rtol=5e-3
        )  # the closed form's branch, but for third harmonics
        assert np.all(locus.stable)
    bends = np.asarray(bends)
    assert np.all(np.diff(bends, axis=0) < 0)  # a tighter tolerance bends nearer to the equal pair
    # The largest μ at which R = 9.14e-3 is met: R of N_F = N_B at μ = 2 is 9.127e-3 at least (scanned with numpy), and
    # grows with μ by 3.4e-4 a unit, so the bend lies a little beyond the 2 of the digits given.
    assert 2.0 < bends[0, 0] < 2.06
    for point in (3, int(locus.bend), -1):
        R, gap = measured(locus, point, 0.15)
        assert pytest.approx(5e-3, rel=1e-8) == R
        assert abs(gap) < 1e-9


@pytest.mark.slow
def test_resonance_1_loses_stability_at_a_fold() -> None:
    locus = level_set(1e-3, amplitude=1.0, resonance=1)
    changes = np.flatnonzero(np.asarray(locus.stability_changes))
    assert changes.size == 1
    i = int(changes[0])
    assert np.all(locus.stable[: i + 1])
    assert not np.any(locus.stable[i + 1 :])
    mass = float(locus.changed_at[i])
    assert locus.parameter[i] < mass < locus.parameter[i + 1]
    # There the response to frequency has its upper fold, found by another method.
    r, omega = (np.interp(mass, locus.parameter[i : i + 2], x[i : i + 2]) for x in (locus.ratio, locus.omega))
    model = nr.replace(EQUAL, {"mass_ratio": mass, "stiffness_ratio": r})
    curve = duffing.frequency_response(model, amplitude=1.0, omega=(2.8, 4.2), port=0)
    folds = np.asarray(curve.folds.omega)
    folds = folds[np.isfinite(folds)]
    # Between two points of the locus ω was taken on the chord: off by its sag, from the slopes of the chords around it.
    slopes = np.diff(locus.omega) / np.diff(locus.parameter)
    sag = abs(slopes[i + 1] - slopes[i - 1]) * float(locus.parameter[i + 1] - locus.parameter[i]) / 8
    assert sag < 2e-4
    assert np.min(np.abs(folds - omega)) < sag


@pytest.mark.slow
def test_bend_in_the_plane_of_mass_and_cubic_stiffness() -> None:
    bends = []
    for level in (0.014, 0.01):
        locus = level_set(level, amplitude=0.5, free="cubic_ratio")
        assert locus.result == RESULTS.successful
        bend = int(locus.bend)
        bends.append(float(locus.parameter[bend]))
        assert locus.parameter[bend] > locus.parameter[bend + 1]
        assert float(locus.omega[bend]) == pytest.approx(1.634, abs=0.05)  # ω* = 1.65 of one harmonic
        assert float(locus.omega[-1]) < 1.2
        np.testing.assert_allclose(locus.reciprocity_norm, level, rtol=1e-8)  # as above
        assert np.any(locus.stability_changes)
    # R of the point of equal amplitudes and phases is 1.4164e-2 at μ = 2 (checked elsewhere): bends lie before it.
    assert 1.0 < bends[1] < bends[0] < 2.0


def test_bad_input_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="Argument at must be one of 'peak', 'equal_norm', but was 'bend'"):
        level_set(1e-3, at="bend")
    with pytest.raises(ValueError, match="Argument side must be one of 'above', 'below', but was 'left'"):
        level_set(1e-3, side="left")
    with pytest.raises(
        ValueError, match="Argument at must be one of 'peak', 'equal_norm', 'quadrature', 'bend', but was 'side'"
    ):
        reciprocity_locus(EQUAL, bounds=(1.0, 2.0), resonance=0, at="side", **PLANE)


def made(x, growth) -> ReciprocityLocus:
    return ReciprocityLocus(x, x, x, x, x, x, growth, jnp.isfinite(x), RESULTS.successful)


def test_bend_is_the_last_point_of_a_locus_that_does_not_turn() -> None:
    numbers = jnp.array([1.0, 1.5, jnp.nan, 2.5])
    growth = jnp.array([[0.9, 0.8], [0.9, 0.9], [jnp.nan, jnp.nan], [1.1, 0.9]])
    locus = made(numbers, growth)
    assert int(locus.bend) == 3
    assert not np.any(locus.stability_changes)  # nothing is known between a point and one that failed
    turned = jnp.array([1.0, 1.5, 1.25, 2.5])
    growth = growth.at[2].set(jnp.array([1.2, 0.9]))
    locus = made(turned, growth)
    assert int(jax.jit(lambda x: x.bend)(locus)) == 1
    assert np.asarray(locus.stability_changes).tolist() == [False, True, False]
    assert float(locus.changed_at[1]) == pytest.approx(1.5 - 0.25 / 3)  # a third of the way, by hand
