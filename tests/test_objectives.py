"""Objectives: their values against the metrics, their derivatives against central differences."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import Drive, PortResponse, metrics, parameters, port_response, scattering, tcmt
from optimize.objectives import (
    amplitude_ratio,
    capped_isolation,
    isolation_ratio,
    passed_and_blocked,
    reciprocity_residual,
    scattering_residual,
    worst_case,
)

PAIR = tcmt.TwoResonators(
    omega=(0.4, -0.6),
    gamma=(0.9, 0.5),
    gamma_0=(0.2, 0.2),
    kappa=1.3,
    loss=tcmt.NonlocalLoss(gamma_k=0.8, mode=1, sensed=0),
)
LINEAR = parameters.replace(PAIR, {"loss": (), "terms": tcmt.IdealNonreciprocalCoupling(gamma_k=0.8, mode=1, sensed=0)})


def respond(gamma_k, model=PAIR, amplitude=2.0):
    changed = parameters.replace(model, {"loss.gamma_k": gamma_k})
    return port_response(changed, Drive(omega=0.1, amplitude=amplitude))


@pytest.fixture(scope="module")
def response():
    return respond(0.8)


@pytest.mark.parametrize(("out", "into"), [(0, 1), (1, 0)])
def test_values_agree_with_the_metrics(response, out, into):
    # The same responses by the same arithmetic: round-off.
    isolation = float(metrics.isolation(response, out=out, into=into))
    assert float(isolation_ratio(response, out=out, into=into)) == pytest.approx(10 ** (-isolation / 20), rel=1e-12)
    passed, blocked = passed_and_blocked(response, out=out, into=into)
    assert float(passed) == pytest.approx(float(metrics.transmission(response, out=out, into=into)), rel=1e-12)
    assert float(passed - blocked) == pytest.approx(float(metrics.contrast(response, out=out, into=into)), abs=1e-14)
    residual = reciprocity_residual(response, out=out, into=into)
    norm = float(metrics.reciprocity_norm(response, out=out, into=into))
    assert float(jnp.linalg.norm(residual)) == pytest.approx(norm, rel=1e-12)


def test_a_capped_isolation_keeps_below_its_cap(response):
    direction = {"out": 0, "into": 1}
    isolation = float(metrics.isolation(response, **direction))
    for cap in (1.0, 20.0, 60.0):
        expected = -10 * np.log10(10 ** (-isolation / 10) + 10 ** (-cap / 10))
        assert float(capped_isolation(response, cap=cap, **direction)) == pytest.approx(expected, rel=1e-12)
    blocked = respond(1.3)  # γ_k = κ: nothing at all comes through
    assert float(metrics.isolation(blocked, **direction)) == np.inf
    assert float(capped_isolation(blocked, cap=40.0, **direction)) == pytest.approx(40.0, rel=1e-12)
    assert float(isolation_ratio(blocked, **direction)) == 0.0


OBJECTIVES = {
    "capped_isolation": lambda r: capped_isolation(r, out=0, into=1, cap=30.0),
    "isolation_ratio": lambda r: isolation_ratio(r, out=0, into=1),
    "reciprocity_residual": lambda r: jnp.sum(reciprocity_residual(r) * jnp.array([1.0, -0.7])),
    "insertion_loss": lambda r: metrics.insertion_loss(r, out=0, into=1),
    "contrast": lambda r: metrics.contrast(r, out=0, into=1),
}


def test_derivatives_agree_with_central_differences():
    def every(gamma_k):
        return jnp.stack([objective(respond(gamma_k)) for objective in OBJECTIVES.values()])

    _, slope = jax.jit(lambda x: jax.jvp(every, (x,), (jnp.ones_like(x),)))(jnp.asarray(0.8))
    reverse = jax.jit(jax.jacrev(every))(jnp.asarray(0.8))
    step = 1e-5
    differences = (every(0.8 + step) - every(0.8 - step)) / (2 * step)
    # Differences: h² = 1e-10 of third derivatives of order 10, and round-off 1e-16/h.
    np.testing.assert_allclose(slope, differences, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(reverse, slope, rtol=1e-10)
    assert np.all(np.abs(slope) > 1e-3)


def test_derivatives_where_the_device_blocks_completely():
    def both(gamma_k):
        r = respond(gamma_k)
        return jnp.stack([isolation_ratio(r, out=0, into=1), capped_isolation(r, out=0, into=1)])

    np.testing.assert_array_equal(jax.jit(jax.jacrev(both))(jnp.asarray(1.5)), [0.0, 0.0])
    np.testing.assert_array_equal(jax.jit(jax.jacrev(amplitude_ratio, 1))(jnp.asarray(0.3), jnp.asarray(0.0)), 0.0)
    # A device that is dark both ways is no isolator.
    assert np.isnan(amplitude_ratio(jnp.asarray(0.0), jnp.asarray(0.0)))


def test_harmonics_weigh_as_in_the_reciprocity_norm():
    rng = np.random.default_rng(1)
    b = jnp.asarray(rng.normal(size=(2, 2, 3)) + 1j * rng.normal(size=(2, 2, 3)))
    response = PortResponse(b, (0, 1, 3), Drive(omega=1.0), None, None, False)
    residual = reciprocity_residual(response, out=1, into=0)
    assert residual.shape == (6,)
    expected = metrics.reciprocity_norm(response, out=1, into=0, squared=True)
    assert float(residual @ residual) == pytest.approx(float(expected), rel=1e-12)


def test_a_smooth_worst_case_bounds_the_worst():
    values = jnp.asarray([1.0, 3.0, 2.99, -4.0])
    for width in (1.0, 0.1, 1e-3):
        smooth = float(worst_case(values, width=width))
        assert 3.0 <= smooth <= 3.0 + width * np.log(4)
    assert float(worst_case(values, width=1e-3)) == pytest.approx(3.0, abs=1e-4)
    shares = jax.grad(lambda v: worst_case(v, width=0.1))(values)
    # Softmax: shares that sum to 1, most of it with the two that are nearly worst.
    np.testing.assert_allclose(shares, np.exp((values - 3) / 0.1) / np.exp((values - 3) / 0.1).sum(), rtol=1e-12)
    assert np.isfinite(worst_case(jnp.asarray([1e6, -1e6]), width=1e-3))


OMEGAS = jnp.linspace(-1.0, 1.0, 5)


@pytest.mark.parametrize("shape", [None, (), (5,), (5, 2, 2)])
def test_a_scattering_residual_is_split_and_weighed(shape):
    s = scattering(LINEAR, OMEGAS)
    shift = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 2, 2)))
    sigma = None if shape is None else jnp.asarray(np.random.default_rng(2).uniform(0.5, 2.0, size=shape))
    data = types.SimpleNamespace(omega=OMEGAS, s=s - (shift[0] + 1j * shift[1]), sigma=sigma)
    weights = 1.0 if shape is None else np.asarray(sigma).reshape(shape + (1,) * (3 - len(shape)))
    spread = np.ones((5, 2, 2)) * weights
    # Round-off of S of order 1.
    np.testing.assert_allclose(scattering_residual(LINEAR, data), (shift / spread).ravel(), atol=1e-13)
    # An argument overrules the data's own.
    np.testing.assert_allclose(scattering_residual(LINEAR, data, sigma=0.5), shift.ravel() / 0.5, atol=1e-13)


def test_a_scattering_residual_is_differentiable():
    data = types.SimpleNamespace(omega=OMEGAS, s=scattering(LINEAR, OMEGAS))

    def residual(gamma_k):
        return scattering_residual(parameters.replace(LINEAR, {"terms.gamma_k": gamma_k}), data)

    np.testing.assert_allclose(residual(0.8), 0.0, atol=1e-14)
    slope = jax.jit(jax.jacrev(residual))(jnp.asarray(0.8))
    step = 1e-5
    differences = (residual(0.8 + step) - residual(0.8 - step)) / (2 * step)
    np.testing.assert_allclose(slope, differences, atol=1e-9)  # h² of third derivatives of order 1
    assert float(jnp.linalg.norm(slope)) > 0.1


def test_bad_arguments(response):
    for function in (passed_and_blocked, isolation_ratio, capped_isolation, reciprocity_residual):
        with pytest.raises(ValueError, match="Argument into must differ from out, but was 1 like out"):
            function(response, out=1, into=1)
        with pytest.raises(ValueError, match="Argument out must be a port between 0 and 1, but was 2"):
            function(response, out=2, into=1)
    with pytest.raises(ValueError, match=r"Argument cap must be positive, but was 0"):
        capped_isolation(response, out=0, into=1, cap=0.0)
    with pytest.raises(ValueError, match=r"Argument width must be positive, but was -1"):
        worst_case(jnp.ones(3), width=-1.0)
    data = types.SimpleNamespace(omega=OMEGAS, s=scattering(LINEAR, OMEGAS))
    with pytest.raises(ValueError, match=r"Argument sigma must have shape \(\), \(5,\) or \(5, 2, 2\)"):
        scattering_residual(LINEAR, data, sigma=jnp.ones(3))
    with pytest.raises(ValueError, match=r"Argument sigma must be positive, but was 0\."):
        scattering_residual(LINEAR, data, sigma=0.0)
    with pytest.raises(ValueError, match="Argument data must have 2 ports like the model"):
        scattering_residual(LINEAR, types.SimpleNamespace(omega=OMEGAS, s=jnp.zeros((5, 1, 1), complex)))


def test_a_scattering_residual_of_a_nonlinear_model_drives_each_port_alone():
    s = jnp.stack([port_response(PAIR, Drive(omega)).s for omega in OMEGAS])
    data = types.SimpleNamespace(omega=OMEGAS, s=s)
    # The same closed form, batched: round-off.
    np.testing.assert_allclose(scattering_residual(PAIR, data), 0.0, atol=1e-13)
