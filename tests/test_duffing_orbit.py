"""Periodic orbits by shooting against harmonic balance, and time series of orbits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import duffing
from diffnr.duffing.floquet import floquet_multipliers, instants, propagator
from diffnr.duffing.orbit import shoot, time_series
from diffnr.results import RESULTS
from systems import central_difference

pytestmark = pytest.mark.slow  # each test compiles a program of its own, for many seconds

PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=13)
STRONG = duffing.DuffingPair(1.2, 3.45, 1.0, 5.0, 1.0, 0.05, num_harmonics=13)


@pytest.mark.slow
@pytest.mark.parametrize("port", [0, 1], ids=["forward", "backward"])
def test_harmonic_balance_is_time_integration_at_the_points_of_independent_solvers(port: int) -> None:
    curve = duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.5, 4.0), port=port)
    seen = []
    for omega in (0.93, 0.9592978, 1.4558327, 2.3653856, 2.8977953):
        points = curve.at(omega)
        for i in range(int(points.count)):
            orbit = shoot(PAIR, nr.Drive(omega, 0.15), port, points.b[i])
            np.testing.assert_allclose(orbit.b, points.b[i], atol=1e-8)  # as the issue asks; 1e-11 is found
            assert orbit.gap < 1e-12
            assert orbit.stable == points.stable[i]
            # Magnus of order 4: 5e-6 at most in the 64 steps a period of `Points`, 16 times less in twice as many.
            exact = np.abs(orbit.multipliers)
            np.testing.assert_allclose(np.abs(points.multipliers[i]), exact, atol=1e-5)
            finer = multipliers(PAIR, points.b[i], omega, 128)
            np.testing.assert_allclose(np.abs(finer), exact, atol=1e-6)
            seen.append(bool(orbit.stable))
    assert set(seen) == {True, False}


def test_multipliers_are_the_integration_s() -> None:
    """Of three branches, one unstable; as sets, since pairs share a modulus."""
    omega = 3.5
    points = duffing.frequency_response(STRONG, amplitude=1.0, omega=(3.3, 3.7), port=0).at(omega)
    assert points.count == 3
    for i in range(3):
        orbit = shoot(STRONG, nr.Drive(omega, 1.0), 0, points.b[i])
        np.testing.assert_allclose(orbit.b, points.b[i], atol=1e-8)
        np.testing.assert_allclose(np.linalg.det(orbit.monodromy), np.prod(orbit.multipliers).real, rtol=1e-12)
        # Liouville: the divergence is the friction, 2ζ(1 + 1/μ).
        divergence = -0.1 * (1 + 1 / 1.2)
        np.testing.assert_allclose(np.linalg.det(orbit.monodromy), np.exp(divergence * 2 * np.pi / omega), rtol=1e-9)
        found = {steps: multipliers(STRONG, points.b[i], omega, steps) for steps in (64, 256)}
        for steps, tolerance in ((64, 1e-5), (256, 1e-7)):  # order 4: 4^4 closer; the least is 4e-9
            np.testing.assert_allclose(
                np.sort_complex(found[steps]), np.sort_complex(orbit.multipliers), atol=tolerance
            )


@eqx.filter_jit
def multipliers(model: duffing.AbstractOscillators, b: Array, omega: float, steps: int) -> Array:
    ts = instants(steps, 2 * np.pi / omega)
    x = time_series(b, ts, omega=omega, harmonics=model.harmonics)
    stiffness = jax.vmap(jax.jacfwd(model.force))(x.T)[..., None] / model.mass[:, None, None]
    damping = jnp.diag(model.friction / model.mass)[..., None]
    period = jnp.asarray([2 * np.pi / omega])
    return floquet_multipliers(propagator(damping, stiffness, period, jnp.asarray(3.0)))[0]


def test_without_a_guess_it_is_the_orbit_continued_from_the_linear_response() -> None:
    drive = nr.Drive(0.7, 0.15 * np.exp(0.3j))
    orbit = shoot(PAIR, drive, 1)
    response = nr.port_response(PAIR, drive)
    np.testing.assert_allclose(orbit.b, response.b[:, 1], atol=1e-10)
    np.testing.assert_allclose(orbit.norm, np.sqrt(np.sum(np.abs(response.b[:, 1]) ** 2, axis=1) / 2), atol=1e-10)
    ts = np.arange(orbit.x.shape[0]) / orbit.x.shape[0] * 2 * np.pi / 0.7
    np.testing.assert_allclose(time_series(response, ts)[:, 1].T, orbit.x, atol=1e-10)
    np.testing.assert_allclose(time_series(orbit, ts, derivative=1).T, orbit.v, atol=1e-9)
    assert orbit.harmonics == response.harmonics


@pytest.mark.slow
def test_forces_that_are_not_odd_have_means_and_even_harmonics() -> None:
    internal = duffing.PolynomialForce(jnp.array([[1.0, 1.0], [0.3, 0.0], [1.0, 1.0]]))
    chain = duffing.OscillatorChain([1.0, 2.0], 0.1, internal, lambda e: 5.0 * e, num_harmonics=12)
    orbit = shoot(chain, nr.Drive(0.7, 0.15))
    np.testing.assert_allclose(orbit.b, nr.port_response(chain, nr.Drive(0.7, 0.15)).b[:, 0], atol=1e-9)
    assert orbit.b[0, 0].real < -1e-3


@pytest.mark.slow
def test_gradients_in_both_modes_and_vmap() -> None:
    guess = nr.port_response(STRONG, nr.Drive(3.5, 1.0), ports=[0]).state[0]

    @jax.jit
    def quantities(p: Array) -> Array:
        pair = nr.replace(STRONG, {"mass_ratio": p[0], "damping": p[1]})
        orbit = shoot(pair, nr.Drive(p[2], p[3] * (1 + 0.1j * p[0])), 0, guess)
        return jnp.stack([orbit.b[1, 0].real, orbit.b[1, 1].imag, orbit.x[7, 0], orbit.v[9, 1]])

    p = jnp.array([1.2, 0.05, 3.5, 1.0])
    reverse, forward = jax.jacrev(quantities)(p), jax.jacfwd(quantities)(p)
    np.testing.assert_allclose(reverse, forward, rtol=1e-10, atol=1e-12)  # products with the same matrices
    for i in range(p.size):
        along = central_difference(lambda x, i=i: quantities(p.at[i].set(x)), float(p[i]), 2e-3)
        np.testing.assert_allclose(reverse[:, i], along, rtol=1e-5, atol=1e-6)  # orbits to 1e-10 over steps of 2e-3
    many = jax.vmap(quantities)(jnp.stack([p, p * 1.01]))
    np.testing.assert_allclose(many, jnp.stack([quantities(p), quantities(p * 1.01)]), atol=1e-9)


def test_a_guess_too_far_is_an_error_unless_asked_not_to_be() -> None:
    far = jnp.full((2, 7), 300.0 + 0j)
    with pytest.raises(RuntimeError, match=r"not converge|not finite"):
        shoot(PAIR, nr.Drive(0.93, 0.15), 0, far)
    orbit = shoot(PAIR, nr.Drive(0.93, 0.15), 0, far, throw=False)
    assert bool(orbit.result != RESULTS.successful)
    assert np.all(np.isnan(orbit.x))
    assert np.all(np.isnan(orbit.multipliers))


def test_time_series_of_points_draws_what_there_is_not_as_gaps() -> None:
    points = duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.8, 1.1), port=0).at(0.93)
    x = time_series(points, jnp.linspace(0.0, 3.0, 5))
    assert x.shape == (7, 2, 5)
    assert np.all(np.isfinite(x[:3]))
    assert np.all(np.isnan(x[3:]))
    np.testing.assert_allclose(x[0, 1, 0], np.sum(points.b[0, 1].real), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: shoot(PAIR, nr.Drive(1.0), 3), "Argument port must be a port between 0 and 1, but was 3"),
        (lambda: shoot(PAIR, nr.Drive(1.0), 0, [1.0]), r"Argument guess must have shape \(2, 7\), but was of shape"),
        (lambda: shoot(PAIR, nr.Drive(1.0), rtol=0.0), "Argument rtol must be positive, but was 0"),
        (lambda: shoot(PAIR, nr.Drive(np.ones(2))), "Argument drive must have a scalar omega and amplitude"),
        (
            lambda: shoot(duffing.DuffingPair(*(jnp.float32(1.0) for _ in range(6))), nr.Drive(1.0)),
            "Argument model must be in float64, but was in float32",
        ),
        (lambda: time_series(jnp.ones((2, 1)), [0.0]), "Argument omega must be given along with b, but was None"),
        (
            lambda: time_series(jnp.ones((2, 3)), [0.0], omega=1.0, harmonics=(1,)),
            r"Argument harmonics must be as many as b has, \(3,\), but was \(1,\)",
        ),
        (lambda: time_series(jnp.ones((2, 1)), 0.0, omega=1.0, harmonics=(1,)), "Argument ts must be a vector"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
