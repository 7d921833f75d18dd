"""Reciprocity restored: points of other solvers, an independent scipy minimisation, optax, derivatives and refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import brentq, minimize_scalar

import diffnr as nr
from diffnr import duffing
from diffnr.results import RESULTS
from optimize.reciprocity.restore import Restoration, restore_reciprocity

PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
LIGHTER = nr.replace(PAIR, {"mass_ratio": 1.2})
CASES = [  # pair, amplitude, free, resonance
    (PAIR, 0.15, "stiffness_ratio", 0),
    (PAIR, 0.15, "stiffness_ratio", 1),
    (PAIR, 0.5, "cubic_ratio", 0),
    (LIGHTER, 1.0, "cubic_ratio", 1),
]
IDS = ["r, resonance 0", "r, resonance 1", "alpha, resonance 0", "alpha, resonance 1"]


def restored(pair=PAIR, amplitude=0.15, free="stiffness_ratio", resonance=0, at="peak", **options) -> Restoration:
    return restore_reciprocity(pair, amplitude=amplitude, free=free, resonance=resonance, at=at, **options)


@pytest.fixture(scope="module")
def points() -> list[Restoration]:
    return [restored(*case) for case in CASES]


def test_the_call_of_the_readme(points) -> None:
    r = points[1]
    assert float(r.ratio) == pytest.approx(12.02383, abs=5e-6)  # the digits given, here and below
    assert float(r.omega) == pytest.approx(3.320215, abs=5e-7)
    assert float(r.reciprocity_norm) == pytest.approx(1.065331e-5, rel=5e-7)
    assert r.stable.tolist() == [True, True]
    assert bool(r.converged)
    assert bool(r.approximate)
    assert "approximately" in r.report()
    assert "1.06533e-05" in r.report()


def test_points_of_independent_solvers_for_resonance_0(points) -> None:
    r = points[0]
    assert float(r.ratio) == pytest.approx(2.3324, abs=5e-5)
    assert float(r.omega) == pytest.approx(1.15052, abs=5e-6)
    assert float(r.reciprocity_norm) == pytest.approx(8.7601e-3, rel=1e-5)


# H = 9 for r; independent solvers had H = 13 for alpha, where the ninth harmonic is precise to 1e-7 of R.
@pytest.mark.parametrize(
    ("case", "ratio", "omega", "norm"),
    [(0, 2.3312383, 1.1510980, 8.694595e-3), (2, 2.5426627, None, 1.416393e-2), (3, 2.6427742, None, 5.772632e-3)],
)
def test_equal_norm_is_the_papers_point(case, ratio, omega, norm) -> None:
    r = restored(*CASES[case], at="equal_norm")
    assert bool(r.converged)
    assert float(r.ratio) == pytest.approx(ratio, abs=1e-6)
    assert omega is None or float(r.omega) == pytest.approx(omega, abs=1e-7)
    assert float(r.reciprocity_norm) == pytest.approx(norm, rel=1e-5)
    assert abs(float(r.nonreciprocal_phase)) < 1e-14
    assert float(r.condition) < 1e5


def test_equal_norm_says_where_it_is_singular() -> None:
    r = restored(*CASES[1], at="equal_norm")
    assert not bool(r.converged)
    assert r.result == RESULTS.double_root
    assert float(r.condition) > 1e6
    assert "double root" in r.message


@pytest.mark.parametrize(
    ("case", "norm"), [(0, 8.96471e-3), (1, 1.064643e-5), (2, 2.5326595e-2), (3, 1.649659e-2)], ids=IDS
)
def test_the_full_model_at_the_closed_form(case, norm, points) -> None:
    pair, amplitude, free, _ = CASES[case]
    guess = points[case].guess
    model = nr.replace(pair, {free: guess.ratio})
    start = jnp.zeros((2, 2, 5), complex).at[:, :, 0].set(jnp.stack([guess.phasors, guess.phasors[::-1]]))
    there = nr.port_response(model, nr.Drive(guess.omega, amplitude), guess=start)
    full = float(nr.metrics.reciprocity_norm(there))
    assert full == pytest.approx(norm, rel=1e-6)
    # The optimum holds ω on a peak, and the closed form does not: it may be lower by the part of a hundred.
    assert float(points[case].reciprocity_norm) <= 1.01 * full


@eqx.filter_jit
def rise_and_misfit(model, amplitude, omega, state):
    """dN_F²/dω and R² of the orbits near `state`."""

    def orbits(omega):
        b = nr.port_response(model, nr.Drive(omega, amplitude), guess=state, throw=False).b
        return jnp.sum(jnp.abs(b[1, 0]) ** 2), jnp.sum(jnp.abs(b[1, 0] - b[0, 1]) ** 2) / 2

    (_, misfit), (rise, _) = jax.jvp(orbits, (omega,), (jnp.ones_like(omega),))
    return rise, misfit


@pytest.mark.parametrize("case", range(4), ids=IDS)
def test_peak_equals_a_scipy_minimisation(case, points) -> None:
    """Orbits at a fixed frequency, the peak by bisection of dN/dω, and Brent's method over the ratio."""
    pair, amplitude, free, _ = CASES[case]
    found = points[case]
    value, omega, state = float(found.ratio), float(found.omega), found.response.state

    def measured(p: float, w: float) -> tuple[float, float]:
        model = nr.replace(pair, {free: p})
        return tuple(float(x) for x in rise_and_misfit(model, jnp.asarray(amplitude), jnp.asarray(w), state))

    def peak(p: float, centre: float = omega) -> float:
        # On the upper branch N rises up to the peak, and falls from there to the fold close by.
        return brentq(lambda w: measured(p, w)[0], centre - 1.5e-4, centre + 1.5e-4, xtol=1e-13)

    span = 2e-4 * value
    slope = (peak(value + 0.1 * span) - peak(value - 0.1 * span)) / (0.2 * span)

    def squared(p: float) -> float:
        return measured(p, peak(p, omega + slope * (p - value)))[1]

    best = minimize_scalar(squared, bracket=(value - span, value + 0.3 * span, value + span), tol=1e-9)
    assert best.fun**0.5 == pytest.approx(float(found.reciprocity_norm), rel=1e-5)  # asked for; it is 1e-9
    assert best.x == pytest.approx(value, rel=1e-6)  # √ε of the ratio's scale, as for any minimum
    # ∂R²/∂free = 0: by central differences, as the distance to where it is 0. O(step²) of a step of 1e-4.
    low, mid, high = (squared(value + k * span / 2) for k in (-1, 0, 1))
    distance = (high - low) / 2 / (high - 2 * mid + low) * (span / 2)
    assert abs(distance) < 1e-5 * value


@pytest.mark.slow
def test_it_is_the_peak_of_that_resonance(points) -> None:
    for case in (0, 1):
        curve = duffing.frequency_response(points[case].model, amplitude=0.15, omega=(0.5, 4.0), port=0)
        peaks = curve.peaks(out=1)
        assert peaks.count == 2
        assert float(peaks.omega[case]) == pytest.approx(float(points[case].omega), rel=1e-10)  # roots to round-off
        assert float(peaks.norm[case, 1]) == pytest.approx(float(points[case].norm[0]), rel=1e-10)


def test_the_mass_that_restores_given_springs(points) -> None:
    """Equal amplitudes and phases are a property of the pair: from its springs its masses come back."""
    forth = restored(*CASES[0], at="equal_norm")
    back = restored(nr.replace(PAIR, {"stiffness_ratio": forth.ratio}), free="mass_ratio", at="equal_norm")
    # Roots to round-off times the condition of 2e3.
    assert float(back.ratio) == pytest.approx(2.0, abs=1e-9)
    assert float(back.omega) == pytest.approx(float(forth.omega), abs=1e-9)
    assert float(back.reciprocity_norm) == pytest.approx(float(forth.reciprocity_norm), rel=1e-8)
    # At resonance 1 the closed form is near: μ = 1 + (r − 1)/ω*².
    springs = nr.replace(PAIR, {"stiffness_ratio": points[1].ratio})
    peak = restored(springs, free="mass_ratio", resonance=1)
    assert float(peak.guess.ratio) == pytest.approx(1 + 11.02383 / 11.0272, abs=1e-5)  # the digits given
    assert float(peak.ratio) == pytest.approx(2.0, abs=1e-3)  # third harmonics
    assert bool(peak.converged)


@pytest.mark.slow
def test_optax_reaches_the_same_optimum(points) -> None:
    r = restored(*CASES[0], solver=optax.lbfgs(), max_steps=50)
    assert bool(r.converged)
    # A gradient of 1e-7 in units of R² per hundredth of r leaves 1e-9 of r.
    assert float(r.ratio) == pytest.approx(float(points[0].ratio), rel=1e-8)
    assert float(r.reciprocity_norm) == pytest.approx(float(points[0].reciprocity_norm), rel=1e-10)


@pytest.mark.slow
def test_derivatives_and_vmap(points) -> None:
    def quantities(mass):
        r = restored(nr.replace(PAIR, {"mass_ratio": mass}))
        return jnp.stack([r.ratio, r.omega, r.reciprocity_norm])

    at, step = 2.0, 1e-4
    masses = jnp.array([at - step, at, at + step, 1.0])
    batch, slopes = jax.vmap(lambda mass: jax.jvp(quantities, (mass,), (jnp.ones_like(mass),)))(masses)
    alone = jnp.stack([points[0].ratio, points[0].omega, points[0].reciprocity_norm])
    np.testing.assert_allclose(batch[1], alone, rtol=1e-10)  # roots to round-off
    np.testing.assert_allclose(slopes[1], (batch[2] - batch[0]) / (2 * step), rtol=1e-4)  # asked for; O(step²)
    # Equal masses want equal springs, and nothing is left of R.
    np.testing.assert_allclose(batch[3, 0], 1.0, rtol=1e-10)
    assert batch[3, 2] < 1e-12
    assert np.all(np.isfinite(slopes))


def test_a_search_that_fails_says_so() -> None:
    r = restored(nr.replace(PAIR, {"mass_ratio": 40.0}), amplitude=40.0)
    assert not bool(r.converged)
    assert "Lower the amplitude" in r.report()
    assert np.isfinite(float(r.guess.ratio))
    assert np.all(np.isnan([r.ratio, r.omega, r.reciprocity_norm, r.norm_difference, r.nonreciprocal_phase]))
    with pytest.raises(RuntimeError, match="Lower the amplitude"):
        restored(nr.replace(PAIR, {"mass_ratio": 40.0}), amplitude=40.0, throw=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"resonance": 2}, "Argument resonance must be a whole number between 0 and 1, but was 2"),
        ({"free": "loss"}, "Argument free must be one of 'mass_ratio', .* but was 'loss'"),
        ({"at": "anti"}, "Argument at must be one of 'peak', 'equal_norm', 'quadrature', 'bend', but was 'anti'"),
        ({"solver": "bfgs"}, "Argument solver must be \"newton\" or an optax optimiser, but was 'bfgs'"),
        ({"solver": optax.adam(1e-2), "at": "equal_norm"}, 'Argument solver must be "newton" where at is'),
        ({"amplitude": 0.0}, "Argument amplitude must differ from 0, but was 0"),
        ({"num_harmonics": 0}, "Argument num_harmonics must be a whole number of at least 1, but was 0"),
        (
            {"pair": duffing.DuffingPair(*(jnp.float32(1.0) for _ in range(6)))},
            "Argument pair must be in float64, but was in float32: call jax.config.update",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(options, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        restored(**options)


def test_a_resonance_that_does_not_exist_is_said() -> None:
    with pytest.raises(RuntimeError, match="The pair has no such resonance"):
        restored(pair=nr.replace(PAIR, {"damping": 5.0}))
