"""Oscillators in time: closed forms, energy, orbits by harmonic balance, gradients."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import duffing
from diffnr.duffing.transient import simulate
from systems import central_difference

PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
FREE = jnp.zeros(2)
TIMES = jnp.linspace(0.0, 20.0, 81)


def test_one_linear_oscillator_rings_down_as_in_closed_form() -> None:
    one = duffing.OscillatorChain([2.0], [0.4], lambda x: 3.0 * x, lambda e: e)
    r = simulate(one, jnp.array([1.5]), TIMES, [0.3], [-0.2])
    pole = -0.1 + 1j * (1.5 - 0.01) ** 0.5
    # x − .5 = Re(c e^{pt})
    c = -0.2 - 1j * (-0.2 - (-0.2) * pole.real) / pole.imag
    expected = 0.5 + (c * np.exp(pole * TIMES)).real
    # √ε asked of each step, and the interpolation between steps.
    np.testing.assert_allclose(r.x[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(r.v[:, 0], (c * pole * np.exp(pole * TIMES)).real, atol=1e-6)
    assert np.all(r.force == 1.5)


def test_energy_is_conserved_without_friction_and_force() -> None:
    free = nr.replace(PAIR, {"damping": 0.0})
    r = simulate(free, FREE, TIMES, [0.8, -0.3], [0.1, 0.0], rtol=1e-12)
    x, y = r.x.T
    energy = (r.v[:, 0] ** 2 + 2 * r.v[:, 1] ** 2 + x**2 + y**2 + 5 * (x - y) ** 2) / 2 + (x**4 + y**4) / 4
    np.testing.assert_allclose(energy, energy[0], rtol=2e-9)  # 1e-12 a step; the interpolation between steps has 1e-10


@pytest.mark.parametrize(("omega", "port"), [(0.7, 0), (0.7, 1), (1.4558327, 0)])
@pytest.mark.slow
def test_motion_settles_on_the_orbit_of_harmonic_balance(omega: float, port: int) -> None:
    drive = nr.Drive(omega, 0.15)
    period, periods = 2 * np.pi / omega, round(90 * omega)
    # A last period without interpolation: each time is the end of a step where steps are as long as the gaps at most.
    ts = jnp.linspace(0.0, period * periods, 24 * periods + 1)
    r = simulate(PAIR, drive, ts, port=port, rtol=1e-12, solver=diffrax.Dopri8())
    pair = duffing.oscillators.with_harmonics(PAIR, 13)
    b = nr.port_response(pair, drive).b[:, port]
    orders = jnp.array([1, 3, 5, 7, 9, 11, 13])
    last = ts[-25:]
    expected = jnp.sum(b[None] * jnp.exp(1j * orders * omega * last[:, None, None]), axis=-1).real
    # What is left of the transient, e^{−.05·t} of .2 at best, e^{−.0375·t} at worst.
    left = float(np.exp(-0.0375 * ts[-25]))
    assert left < 1e-8
    np.testing.assert_allclose(r.x[-25:], expected, atol=1e-8)


@pytest.mark.slow
def test_forces_as_functions_samples_and_drives_agree() -> None:
    drive = nr.Drive(0.7, 0.15 * np.exp(0.4j))
    tone = lambda t: jnp.stack([jnp.zeros_like(t), 0.15 * jnp.cos(0.7 * t + 0.4)])  # noqa: E731
    ts = jnp.linspace(0.0, 20.0, 401)
    driven = simulate(PAIR, drive, ts, port=1)
    np.testing.assert_allclose(driven.force, jax.vmap(tone)(ts), atol=1e-16)
    np.testing.assert_allclose(simulate(PAIR, tone, ts).x, driven.x, atol=1e-12)  # the same numbers but for rounding
    sampled = simulate(PAIR, jax.vmap(tone)(ts), ts)
    # Cubic Hermite pieces with slopes from differences: dt² · .15 · .7³ ~ 1e-4.
    np.testing.assert_allclose(sampled.x, driven.x, atol=1e-4)
    assert not np.array_equal(sampled.x, driven.x)


@pytest.mark.slow
def test_gradients() -> None:
    ts = jnp.linspace(0.0, 10.0, 21)

    @eqx.filter_jit
    def motion(p: Array, adjoint: diffrax.AbstractAdjoint | None = None) -> Array:
        pair = nr.replace(PAIR, {"mass_ratio": p[0], "cubic": p[1], "damping": p[2]})
        r = simulate(pair, nr.Drive(p[3], p[4]), ts, jnp.stack([p[5], 0.1]), port=0, rtol=1e-10, adjoint=adjoint)
        return jnp.concatenate([r.x[-1], r.v[-1]])

    p = jnp.array([2.0, 1.0, 0.05, 0.9, 0.5, 0.4])
    reverse = jax.jacrev(motion)(p)
    forward = jax.jacfwd(lambda p: motion(p, diffrax.ForwardMode()))(p)
    np.testing.assert_allclose(reverse, forward, atol=1e-11)  # the same steps, differentiated either way
    for i in range(p.size):
        along = central_difference(lambda x, i=i: motion(p.at[i].set(x)), float(p[i]), 1e-2)
        np.testing.assert_allclose(reverse[:, i], along, atol=1e-6)  # motion to 1e-9 over steps of 1e-2; O(step⁶)
    assert np.all(np.max(np.abs(reverse), axis=0) > 1e-3)


@pytest.mark.slow
def test_vmap_equals_the_loop_and_values_do_not_retrace() -> None:
    count = 0

    @eqx.filter_jit
    def end(pair: duffing.DuffingPair, drive: nr.Drive) -> Array:
        nonlocal count
        count += 1
        return simulate(pair, drive, TIMES, port=0).x[-1]

    drives = [nr.Drive(omega, 0.2) for omega in (0.8, 1.0, 2.5)]
    looped = jnp.stack([end(PAIR, drive) for drive in drives])
    assert count == 1
    batched = jax.vmap(lambda omega: end(PAIR, nr.Drive(omega, 0.2)))(jnp.array([0.8, 1.0, 2.5]))
    np.testing.assert_allclose(batched, looped, rtol=1e-10)  # each lane takes the steps it takes alone


def test_accuracy_does_not_depend_on_the_size_of_the_motion() -> None:
    linear = nr.replace(PAIR, {"cubic": 0.0})
    unit = simulate(linear, nr.Drive(0.9, 1.0), TIMES, port=0)
    small = simulate(linear, nr.Drive(0.9, 1e-9), TIMES, port=0)
    np.testing.assert_allclose(small.x / 1e-9, unit.x, atol=1e-11)
    assert small.num_steps == unit.num_steps


def test_single_precision_stays_single() -> None:
    f32 = jnp.float32
    pair = duffing.DuffingPair(*(f32(x) for x in (2.0, 1.0, 1.0, 5.0, 1.0, 0.05)))
    r = simulate(pair, nr.Drive(f32(0.7), f32(0.15)), TIMES.astype(f32), port=0)
    assert r.x.dtype == r.v.dtype == r.ts.dtype == f32
    double = simulate(PAIR, nr.Drive(0.7, 0.15), TIMES, port=0)
    np.testing.assert_allclose(r.x, double.x, atol=1e-3)  # √ε of float32 is 3.5e-4


def test_a_motion_survives_a_file(tmp_path) -> None:
    r = simulate(PAIR, FREE, [0.0, 0.1, 0.2], [0.1, 0.0])
    nr.save(tmp_path / "motion.npz", r)
    back = nr.load(tmp_path / "motion.npz")
    assert type(back) is duffing.Motion
    assert (back.result == nr.RESULTS.successful, back.message) == (True, "The solve converged.")
    for old, new in zip(jax.tree_util.tree_leaves(r), jax.tree_util.tree_leaves(back), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_giving_up_is_an_error_unless_asked_not_to_be() -> None:
    with pytest.raises(RuntimeError, match="did not converge in the steps it was allowed"):
        simulate(PAIR, nr.Drive(0.7, 0.15), TIMES, port=0, max_steps=20)
    r = simulate(PAIR, nr.Drive(0.7, 0.15), TIMES, port=0, max_steps=20, throw=False)
    assert r.result == nr.RESULTS.max_steps_reached
    assert not r.converged
    assert "raise max_steps" in r.message
    assert np.all(np.isfinite(r.x[:3]))
    assert np.all(np.isnan(r.x[-1]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ts": [0.0, 2.0, 1.0]}, "Argument ts must increase, but was"),
        ({"ts": [0.0, np.nan]}, "Argument ts must be finite, but was"),
        ({"ts": [0.0]}, "Argument ts must be a vector of at least 2 numbers, but was of shape"),
        ({"force": [1.0]}, r"Argument force must have shape \(2,\) or \(3, 2\), or be a function or a Drive, but was"),
        ({"force": [[0, 0], [np.nan, 0], [0, 0]]}, "Argument force must be finite, but was .* at t = 1"),
        ({"force": lambda t: jnp.ones(3)}, r"Argument force must return an array of shape \(2,\), but was of shape"),
        ({"force": lambda t: jnp.array([1j, t])}, "Argument force must be real, but was"),
        ({"force": nr.Drive(1.0)}, "Argument port must be a port between 0 and 1, but was None"),
        ({"port": 0}, "Argument port must be left out where force is no Drive, but was 0"),
        ({"force": nr.Drive(-1.0), "port": 0}, "Argument drive must have a positive omega, but was -1"),
        ({"force": nr.Drive(np.ones(2)), "port": 0}, "Argument drive must have a scalar omega and amplitude"),
        ({"x0": [1.0]}, r"Argument x0 must have shape \(2,\), but was of shape"),
        ({"v0": [1.0, np.nan]}, "Argument v0 must be finite"),
        ({"x0": [1.0, 1j]}, "Argument x0 must be real"),
        ({"rtol": 0.0}, "Argument rtol must be positive, but was 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        simulate(PAIR, **{"force": FREE, "ts": [0.0, 1.0, 2.0], **arguments})
