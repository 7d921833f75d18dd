"""Branches of forced oscillators: folds, peaks and multipliers against independent solvers' numbers."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import duffing
from diffnr.results import RESULTS
from systems import central_difference

PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
RANGE = (0.5, 4.0)


def response(port: int = 0, amplitude: Array | float = 0.15, num_harmonics: int = 9, **leaves) -> duffing.OrbitBranch:
    pair = nr.replace(PAIR, leaves)
    return duffing.frequency_response(pair, amplitude=amplitude, omega=RANGE, port=port, num_harmonics=num_harmonics)


# By numpy and scipy alone; AUTO-07p has the same eight digits. Peaks are from time integration, to 1e-7.
REFERENCES = json.loads((Path(__file__).parent / "data" / "references" / "duffing_pair.json").read_text("utf-8"))
FOLDS = {port: tuple(REFERENCES["folds"][str(port)]) for port in (0, 1)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("port", "folds", "peaks"),
    [
        (0, FOLDS[0], ((0.9619644, 0.5423115), (2.9029865, 0.1389023))),
        pytest.param(
            1,
            FOLDS[1],
            ((0.9767111, 0.5269104), (2.8896743, 0.1406604)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["forward", "backward"],
)
def test_folds_and_peaks_of_independent_solvers(port: int, folds: tuple, peaks: tuple) -> None:
    curve = response(port, num_harmonics=13)
    assert curve.folds.count == 2
    np.testing.assert_allclose(curve.folds.omega[:2], folds, atol=1e-8)
    assert np.all(np.isnan(curve.folds.omega[2:]))
    # The Floquet integration's own error; +1 it would be exactly.
    np.testing.assert_allclose(np.abs(curve.folds.multipliers[:2, 0]), 1, atol=1e-5)
    found = curve.peaks(out=1 - port)
    assert found.count == 2
    np.testing.assert_allclose(found.omega[:2], [peak[0] for peak in peaks], atol=1e-7)
    np.testing.assert_allclose(found.norm[:2, 1 - port], [peak[1] for peak in peaks], atol=1e-7)
    assert np.all(found.stable[:2])


def test_branch_is_whole_and_its_stability_changes_at_folds_alone() -> None:
    curve = response().trim()
    assert curve.omega[0] == RANGE[0]
    assert curve.omega[-1] == RANGE[1]
    assert curve.result == RESULTS.successful
    np.testing.assert_allclose(curve.folds.omega[:2], FOLDS[0], atol=1e-10)  # two Newton's methods
    changes = np.flatnonzero(np.diff(np.asarray(curve.stable).astype(int)))
    turns = np.flatnonzero(np.diff(np.sign(np.diff(curve.omega)))) + 1
    assert len(changes) == len(turns) == 2
    assert np.all(np.abs(changes - turns) <= 1)
    # Points lie close: none is farther from the next than a few times the usual step, across the gap of mode 2 too.
    assert np.max(np.abs(np.diff(curve.norm[:, 1]))) < 0.08


@pytest.mark.slow
@pytest.mark.parametrize(("num_harmonics", "fold"), [(1, 0.96621032), (3, 0.96426034), (9, 0.96430619)])
def test_upper_fold_by_the_number_of_harmonics(num_harmonics: int, fold: float) -> None:
    assert response(num_harmonics=num_harmonics).folds.omega[0] == pytest.approx(fold, abs=1e-8)  # the digits given


@pytest.mark.slow
def test_every_branch_at_one_frequency() -> None:
    points = response(num_harmonics=13).at(0.9592978)
    assert points.count == 3
    assert np.asarray(points.stable[:3]).tolist() == [True, False, True]
    assert np.abs(points.multipliers[1, 0]) == pytest.approx(1.1304, abs=5e-5)  # the digits given
    back = response(port=1, num_harmonics=13).at(0.9592978)
    # N_F = N_B on the forward branch's unstable branch.
    gap = np.abs(np.asarray(back.norm[:3, 0])[:, None] - np.asarray(points.norm[:3, 1]))
    i, j = np.unravel_index(np.argmin(gap), gap.shape)
    assert gap[i, j] < 2e-6  # ω is known to 1e-7, and the norm changes by ten times as much
    phase = float(points.phase[j, 1] - back.phase[i, 0])
    assert (j, (phase + np.pi) % (2 * np.pi) - np.pi) == (1, pytest.approx(-0.7099694, abs=1e-5))


@pytest.mark.slow
def test_gradients_of_folds() -> None:
    slope = jax.grad(lambda z: response(damping=z).folds.omega[0])(0.05)
    assert slope == pytest.approx(-3.64079, rel=2e-6)  # the digits given
    slope = jax.grad(lambda P: response(amplitude=P).folds.omega[0])(0.15)
    assert slope == pytest.approx(1.237058, rel=2e-6)


@pytest.mark.slow
def test_gradients_of_peaks_and_points() -> None:
    def quantities(ratio: Array) -> Array:
        curve = response(stiffness_ratio=ratio)
        peaks, points = curve.peaks(out=1), curve.at(0.95)
        return jnp.concatenate([peaks.omega[:2], peaks.norm[:2, 1], points.norm[:3, 1]])

    slopes = jax.jit(jax.jacfwd(quantities))(jnp.asarray(1.2))
    along = central_difference(jax.jit(quantities), jnp.asarray(1.2), 1e-3)
    # Roots to 1e-12 over steps of 1e-3; O(step⁶).
    np.testing.assert_allclose(slopes, along, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_gradients_are_finite_at_the_mirror_symmetric_pair() -> None:
    slopes = jax.grad(
        lambda ratios: response(mass_ratio=ratios[0], stiffness_ratio=ratios[1], cubic_ratio=ratios[2]).folds.omega[0]
    )(jnp.ones(3))
    assert np.all(np.isfinite(slopes))


@pytest.mark.slow
def test_vmap_over_amplitudes_equals_the_loop() -> None:
    amplitudes = jnp.array([0.05, 0.15, 0.25])
    batched = jax.vmap(lambda P: response(amplitude=P))(amplitudes)
    for i, P in enumerate(amplitudes):
        alone = response(amplitude=P)
        assert batched.folds.count[i] == alone.folds.count
        np.testing.assert_allclose(batched.folds.omega[i], alone.folds.omega, atol=1e-10)


def test_one_harmonic_is_the_closed_form() -> None:
    """The locus of paper 2 for α = 1: at ω² = (r − 1)/(μ − 1) both directions answer alike."""
    mu, ratio = 2.0, 2.3207433
    pair = nr.replace(PAIR, {"mass_ratio": mu, "stiffness_ratio": ratio})
    pair = duffing.DuffingPair(*(getattr(pair, f) for f in
        ("mass_ratio", "stiffness_ratio", "cubic_ratio", "coupling", "cubic", "damping")), num_harmonics=1)  # fmt: skip
    s = nr.port_response(pair, nr.Drive(((ratio - 1) / (mu - 1)) ** 0.5, 0.15))
    np.testing.assert_allclose(s.b[1, 0], s.b[0, 1], rtol=1e-12)  # round-off


def test_the_start_of_the_branch_is_the_port_response() -> None:
    curve = response()
    alone = nr.port_response(PAIR, nr.Drive(0.5, 0.15))
    np.testing.assert_allclose(curve.b[0], alone.b[:, 0], atol=1e-14)
    assert alone.harmonics == (1, 3, 5, 7, 9)
    with pytest.raises(ValueError, match="power"):
        nr.metrics.transmission(alone, out=1, into=0)


def test_mirror_symmetry_is_reciprocal() -> None:
    pair = nr.replace(PAIR, {"mass_ratio": 1.0})
    r = nr.port_response(pair, nr.Drive(0.93, 0.15))
    np.testing.assert_allclose(r.b[1, 0], r.b[0, 1], atol=1e-13)
    bent = nr.port_response(PAIR, nr.Drive(0.93, 0.15))
    assert nr.metrics.reciprocity_norm(bent) > 1e-2


@pytest.mark.slow
def test_a_chain_of_functions_is_the_pair() -> None:
    internal = duffing.PolynomialForce(jnp.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]))
    chain = duffing.OscillatorChain([1.0, 2.0], 0.1, internal, duffing.PolynomialForce([5.0]))
    assert chain.odd
    found = duffing.frequency_response(chain, amplitude=0.15, omega=RANGE)
    np.testing.assert_allclose(found.folds.omega[:2], response().folds.omega[:2], atol=1e-10)
    assert {"internal.coefficients", "coupling.coefficients", "mass", "friction"} == set(nr.paths(chain))


@pytest.mark.slow
def test_quadratic_forces_have_a_mean_and_even_harmonics() -> None:
    internal = duffing.PolynomialForce(jnp.array([[1.0, 1.0], [0.3, 0.0], [1.0, 1.0]]))
    chain = duffing.OscillatorChain([1.0, 2.0], 0.1, internal, lambda e: 5.0 * e, num_harmonics=7)
    assert not chain.odd
    r = nr.port_response(chain, nr.Drive(0.7, 0.15))
    assert r.harmonics == tuple(range(8))
    assert r.b[0, 0, 0].real < -1e-3  # a softening side: the mean moves there
    np.testing.assert_allclose(r.b[:, :, 0].imag, 0, atol=1e-15)


@pytest.mark.slow
def test_a_branch_that_runs_out_of_room_says_so() -> None:
    curve = duffing.frequency_response(PAIR, amplitude=0.15, omega=RANGE, max_points=30)
    assert curve.count == 30
    assert not curve.converged
    assert curve.message == (
        f"The branch of 30 points from omega = 0.5 stopped short at omega = {float(curve.omega[-1]):.6g}: the branch "
        "goes on beyond the points there is room for. Raise max_points."
    )
    assert "max_points" in str(curve.result)
    assert np.all(np.isfinite(curve.omega))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nr.replace(PAIR, {"mass_ratio": 0.0}), "Argument mass_ratio must be positive, but was 0"),
        (lambda: nr.replace(PAIR, {"damping": -0.1}), "Argument damping must not be negative, but was -0.1"),
        (lambda: response(port=2), "Argument port must be a port between 0 and 1, but was 2"),
        (
            lambda: duffing.frequency_response(PAIR, amplitude=0.1, omega=(2.0, 1.0)),
            r"Argument omega must be \(lowest, highest\), in this order, but was \(2, 1\)",
        ),
        (
            lambda: duffing.frequency_response(PAIR, amplitude=0.1, omega=(0.0, 1.0)),
            "Argument omega must be positive, but was 0",
        ),
        (lambda: response(num_harmonics=0), "Argument num_harmonics must be a whole number of at least 1, but was 0"),
        (lambda: response(amplitude=np.nan), "Argument amplitude must be finite, but was nan"),
        (
            lambda: duffing.frequency_response(
                duffing.DuffingPair(*(jnp.float32(1.0) for _ in range(6))), amplitude=0.1, omega=RANGE
            ),
            "Argument model must be in float64, but was in float32: call jax.config.update",
        ),
        (
            lambda: duffing.OscillatorChain([1.0, -1.0], 0.1, lambda x: x, lambda e: e),
            "Argument mass must be positive, but was",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
