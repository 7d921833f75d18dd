"""Least squares on model leaves: the optimum, its standard errors, robust losses, multistart, other solvers."""

import dataclasses
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest
import scipy.optimize

import diffnr as nr
from diffnr import tcmt
from diffnr.data import FieldData
from optimize.least_squares import fit, parameter_covariance
from optimize.objectives import scattering_difference, scattering_residual

OMEGA = jnp.linspace(-3.0, 3.0, 41)
TRUE = tcmt.TwoResonators(
    omega=(0.0, 0.3),
    gamma=(0.4, 0.6),
    gamma_0=(0.1, 0.2),
    kappa=0.8,
    loss=tcmt.NonlocalLoss(gamma_k=0.5, mode=1, sensed=0),
)
START = nr.replace(TRUE, {"kappa": 1.1, "loss.gamma_k": 0.2, "gamma_0": jnp.asarray([0.2, 0.1])})
FREE = ("kappa", "loss.gamma_k", "gamma_0")
NOISE = 1e-3


@pytest.fixture(scope="module")
def data() -> FieldData:
    s = jax.vmap(lambda w: nr.port_response(TRUE, nr.Drive(w)).s)(OMEGA)
    rng = np.random.default_rng(7)
    s = s + NOISE * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    return FieldData(OMEGA, s, sigma=NOISE)


@pytest.fixture(scope="module")
def fitted(data):
    return fit(START, data, free=FREE)


def test_a_fit_agrees_with_scipy_in_optimum_and_errors(data, fitted):
    def residual(v):
        model = nr.replace(TRUE, {"kappa": v[0], "loss.gamma_k": v[1], "gamma_0": v[2:]})
        r = (scattering_difference(model, data) / NOISE).ravel()
        return jnp.concatenate([r.real, r.imag])

    jitted, jacobian = jax.jit(residual), jax.jit(jax.jacfwd(residual))
    peer = scipy.optimize.least_squares(
        lambda v: np.asarray(jitted(v)),
        [1.0, 0.3, 0.1, 0.1],
        jac=lambda v: np.asarray(jacobian(v)),
        xtol=1e-14,
        ftol=1e-14,
    )
    ours = np.concatenate([np.ravel(v) for v in fitted.values.values()])
    # Both stop where a step is below 1e-8 of the parameters, a factor of 1e4 below the standard errors.
    np.testing.assert_allclose(ours, peer.x, rtol=1e-6)
    np.testing.assert_allclose(fitted.covariance, np.linalg.inv(peer.jac.T @ peer.jac), rtol=1e-5)
    assert bool(fitted.converged)
    assert abs(float(fitted.chi2_reduced) - 1) < 5 * np.sqrt(2 / fitted.degrees_of_freedom)
    assert fitted.degrees_of_freedom == data.s.size * 2 - 4


def test_a_fit_cut_short_says_so_and_raises_if_asked(data):
    short = fit(START, data, free=FREE, max_steps=1)
    assert not bool(short.converged)
    assert all(np.all(np.isfinite(value)) for value in short.values.values())  # the best that was met
    with pytest.raises(RuntimeError, match=f"^{re.escape(str(short.message))}"):
        fit(START, data, free=FREE, max_steps=1, throw=True)


def test_true_values_lie_within_four_standard_errors(fitted):
    # Four, not three: four numbers at a fixed seed, and a chance of 2e-4 of a false alarm.
    for path in FREE:
        z = (np.asarray(fitted.values[path]) - np.asarray(nr.get(TRUE, path))) / np.asarray(fitted.stderr[path])
        assert np.all(np.abs(z) < 4), path


def test_without_sigma_the_errors_scale_with_the_residual(data, fitted):
    unknown = fit(START, FieldData(data.omega, data.s), free=FREE)
    # The same optimum; 1e-6 as above.
    np.testing.assert_allclose(unknown.values["kappa"], fitted.values["kappa"], rtol=1e-6)
    expected = np.asarray(fitted.covariance) * float(fitted.chi2_reduced)
    np.testing.assert_allclose(unknown.covariance, expected, rtol=1e-5)
    assert not unknown.sigma_known


@pytest.mark.parametrize(
    "solver", [optax.lbfgs(), optx.BFGS(rtol=1e-10, atol=1e-10), optx.Dogleg(rtol=1e-10, atol=1e-10)]
)
@pytest.mark.slow
def test_other_solvers_reach_the_same_optimum(data, fitted, solver):
    other = fit(START, data, free=FREE, solver=solver, max_steps=2000)
    for path in FREE:
        # A gradient method stops where the cost no longer changes in double precision: √ε of the curvature scale.
        difference = np.abs(np.asarray(other.values[path] - fitted.values[path]) / np.asarray(fitted.stderr[path]))
        assert np.all(difference < 1e-3), path


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
@pytest.mark.slow
def test_a_robust_loss_resists_outliers(data, fitted, loss):
    s = np.array(data.s)
    s[::7, 0, 0] += 0.3
    spoilt = FieldData(data.omega, s, sigma=NOISE)
    plain, robust = (fit(START, spoilt, free=FREE, loss=name) for name in ("linear", loss))
    error = {name: abs(float(f.values["kappa"] - TRUE.kappa)) for name, f in (("plain", plain), ("robust", robust))}
    assert error["plain"] > 20 * error["robust"]
    # Within five of its own (sandwich) errors, which outliers at one point in seven widen but do not spoil.
    assert error["robust"] < 5 * float(robust.stderr["kappa"])


@pytest.mark.slow
def test_zero_weights_leave_points_out(data, fitted):
    s = np.array(data.s)
    s[10] += 5.0
    weights = np.ones(s.shape)
    weights[10] = 0.0
    spoilt = fit(START, FieldData(data.omega, s, sigma=NOISE), free=FREE, weights=weights)
    z = (float(spoilt.values["kappa"]) - float(fitted.values["kappa"])) / float(fitted.stderr["kappa"])
    assert abs(z) < 1  # one point in 41 carries a sixth of a standard error or so
    assert spoilt.degrees_of_freedom == fitted.degrees_of_freedom - 8


def test_entries_not_measured_do_not_count(data):
    s, sigma = np.array(data.s), np.broadcast_to(np.asarray(data.deviation), data.s.shape).copy()
    weights = np.ones(data.s.shape)
    s[:, :, 1] = sigma[:, :, 1] = np.nan
    weights[:, :, 1] = 0.0
    start = nr.replace(TRUE, {"kappa": 1.1})
    gaps = fit(start, FieldData(data.omega, s, sigma=sigma), free=("kappa",))
    left_out = fit(start, data, free=("kappa",), weights=weights)
    # Both solve one problem: the optimum to the solver's tolerance, relative to an error of some 1e-3.
    np.testing.assert_allclose(gaps.model.kappa, left_out.model.kappa, rtol=1e-8)
    np.testing.assert_allclose(gaps.chi2, left_out.chi2, rtol=1e-8)
    assert gaps.degrees_of_freedom == left_out.degrees_of_freedom
    misfit = scattering_residual(gaps.model, FieldData(data.omega, s, sigma=sigma))
    np.testing.assert_allclose(jnp.sum(misfit**2), gaps.chi2, rtol=1e-12)  # roundings


@pytest.mark.slow
def test_multistart_escapes_a_local_optimum():
    x = jnp.linspace(0, 6, 60)

    class Tone(eqx.Module):
        omega: jax.Array

    target = jnp.sin(7.0 * x)
    residual = lambda model, data: jnp.sin(model.omega * x) - data  # noqa: E731
    alone = fit(Tone(jnp.asarray(4.0)), target, free="omega", residual=residual)
    several = fit(Tone(jnp.asarray(4.0)), target, free="omega", residual=residual, starts=30, key=jax.random.key(1))
    assert float(alone.chi2) > 1.0
    # A sine is even in the sign of both: only |omega| is compared, to the solver's tolerance.
    assert abs(abs(float(several.values["omega"])) - 7.0) < 1e-6


@pytest.mark.slow
def test_a_parameter_the_data_do_not_know_is_said_to_be_so(data):
    driven_one_way = FieldData(data.omega, data.s, sigma=NOISE)

    def only_reflection(model, d):
        return scattering_difference(model, d)[:, 0, 0] * 0 + model.kappa - 0.8

    result = fit(START, driven_one_way, free=("kappa", "loss.gamma_k"), residual=only_reflection, sigma=1.0)
    assert np.isfinite(float(result.stderr["kappa"]))
    assert np.isnan(float(result.stderr["loss.gamma_k"]))
    assert "not identified" in result.report()


def test_covariance_of_a_gauge_free_quantity():
    # r depends on the sum u0 + u1 alone: the sum is identified, the difference is not.
    J = np.ones((10, 2))
    covariance, rank = parameter_covariance(J, np.array([[1.0, 1.0], [1.0, -1.0]]))
    assert rank == 1
    assert covariance[0, 0] == pytest.approx(0.1, rel=1e-12)  # 1/Σ1², to round-off
    assert np.isnan(covariance[1, 1])


def test_a_second_fit_of_the_same_kind_does_not_retrace(data):
    count = 0

    def counting(model, d):
        nonlocal count
        count += 1
        return scattering_difference(model, d)

    fit(START, data, free=FREE, residual=counting)
    first = count
    fit(nr.replace(START, {"kappa": 0.9}), data, free=FREE, residual=counting)
    assert count - first <= 2  # the shape check, not the solver


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"free": "kapa"}, "Argument free must name a parameter"),
        ({"free": FREE, "loss": "l7"}, "Argument loss must be one of"),
        ({"free": FREE, "sigma": -1.0}, "Argument sigma must be positive"),
        ({"free": FREE, "weights": np.zeros(41)[:, None, None]}, "Argument weights must be positive for one point at"),
        ({"free": FREE, "starts": 0}, "Argument starts must be a whole number between 1 and 100000"),
    ],
)
def test_bad_input_is_one_clear_sentence(data, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit(START, data, **arguments)


def test_a_fit_result_reports_every_parameter(fitted):
    report = fitted.report()
    for name in ("kappa", "loss.gamma_k", "gamma_0.0", "gamma_0.1", "χ²", "converged"):
        assert name in report
    assert {field.name for field in dataclasses.fields(fitted)} >= {"model", "values", "stderr", "covariance"}
