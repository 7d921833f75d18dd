"""Backbones against the exact periods of conservative oscillators, and the phase resonances of lightly damped ones."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import ellipk

import diffnr as nr
from diffnr import duffing, root
from diffnr.duffing import harmonic_balance
from diffnr.results import RESULTS

PAIR = duffing.DuffingPair(1.0, 1.0, 1.0, 5.0, 1.0, 0.05)


def exact(stiffness: float, displacement: np.ndarray) -> np.ndarray:
    """ω of x'' + kx + x³ = 0 over its largest displacement."""
    square = stiffness + displacement**2
    return np.pi * np.sqrt(square) / (2 * ellipk(displacement**2 / (2 * square)))


@pytest.mark.slow
def test_equal_oscillators_have_the_exact_periods_of_one() -> None:
    """In phase the link is at rest, out of phase its middle is: x'' + (1 + 2k_c) x + x³ = 0; uniform damping stays."""
    found = duffing.backbone(PAIR, 1, amplitude=1.0, max_points=50).trim()
    assert found.result == RESULTS.successful
    assert found.message == f"The branch of {found.count} points from amplitude = 0 reached its bound at amplitude = 1."
    x = np.asarray(jnp.sum(found.b.real, axis=2))
    np.testing.assert_allclose(x[:, 1], -x[:, 0], atol=1e-12)  # Newton to round-off, as below
    np.testing.assert_allclose(found.omega, exact(11.0, x[:, 0]), rtol=1e-12)  # 9 harmonics leave 1e-14
    np.testing.assert_allclose(found.rate, 0.1, rtol=1e-12)  # 2ζ
    energy = 2 * (11.0 * x[:, 0] ** 2 / 2 + x[:, 0] ** 4 / 4)
    np.testing.assert_allclose(found.energy, energy, atol=1e-12)
    assert found.energy[0] == 0
    assert np.all(found.norm[0] == 0)


@pytest.mark.slow
def test_equal_oscillators_part_where_hill_s_equation_grows() -> None:
    """Out of phase; y = x_0 + x_1 obeys y'' + (1 + 3x²) y = 0, by scipy: above an amplitude one moves more."""
    pair = duffing.DuffingPair(1.0, 1.0, 1.0, 0.02, 1.0, 0.05)
    found = duffing.backbone(pair, 1, amplitude=1.0, max_points=50).trim()

    def trace(omega: float, b: np.ndarray) -> float:
        orders = np.asarray(pair.harmonics)

        def slope(t: float, y: np.ndarray) -> list[float]:
            x = np.sum((b * np.exp(1j * orders * omega * t)).real)
            return [y[1], -(1 + 3 * x**2) * y[0], y[3], -(1 + 3 * x**2) * y[2]]

        y = solve_ivp(slope, (0, 2 * np.pi / omega), [1.0, 0.0, 0.0, 1.0], rtol=1e-9, atol=1e-11).y[:, -1]
        return y[0] + y[3]

    traces = np.asarray([trace(float(w), np.asarray(b[0])) for w, b in zip(found.omega[1:], found.b[1:], strict=True)])
    assert np.any(traces > 2.01)
    assert np.any(traces < 1.99)
    clear = np.abs(traces - 2) > 1e-4  # whose multiplier is 1e-2 off the circle, if it is off
    np.testing.assert_array_equal(found.stable[1:][clear], traces[clear] < 2)
    others = np.sort(np.abs(found.multipliers - 1), axis=1)[:, :2]
    assert np.max(others) < 1e-3  # the root of what Magnus' order 4 leaves
    # At amplitude 0 the other mode turns by 2π/√1.04 in a period.
    turn = np.exp(2j * np.pi / np.sqrt(1.04) * np.array([-1, 1]))
    np.testing.assert_allclose(np.sort_complex(found.multipliers[0])[:2], np.sort_complex(turn), atol=1e-5)
    assert found.stable[0]


@pytest.mark.slow
def test_lightly_damped_oscillators_are_in_quadrature_with_their_force_on_the_backbone() -> None:
    pair = duffing.DuffingPair(2.0, 1.3, 0.7, 5.0, 1.0, 0.002)
    found = duffing.backbone(pair, 1, amplitude=1.0, max_points=50).trim()
    assert found.omega[-1] > 1.01 * found.omega[0]
    b, omega, basis = found.b[-1], found.omega[-1], pair.basis
    turned = basis.coefficients(b * (-1j) ** np.asarray(pair.harmonics))  # a quarter of a period behind the force

    def quadrature(z: jax.Array, args: tuple) -> jax.Array:
        pair, omega = args
        force = harmonic_balance.forcing(pair, 0, z[-1])
        return jnp.append(harmonic_balance.residual(z[:-1], (pair, omega, force)), z[0])

    size = jnp.abs(b[:, 0])
    force = omega * 2 * pair.damping * jnp.sum(size**2) / size[0]  # replaces the loss
    forced = root.newton(quadrature, jnp.append(turned.ravel(), force), (pair, omega))
    assert forced.converged
    # A force at one oscillator excites the other mode, too, by what parts them, 2ζ/ω: 1e-3.
    np.testing.assert_allclose(forced.value[:-1], turned.ravel(), atol=2e-3 * float(jnp.max(size)))
    np.testing.assert_allclose(forced.value[-1], force, rtol=2e-3)


@pytest.mark.slow
def test_a_batch_of_backbones_has_exact_derivatives_and_passes_an_internal_resonance() -> None:
    def numbers(mass: jax.Array) -> tuple[jax.Array, jax.Array]:
        pair = duffing.DuffingPair(mass, 1.3, 0.7, 5.0, 1.0, 0.05, num_harmonics=5)
        found = duffing.backbone(pair, 0, amplitude=2.0, max_points=120, throw=False)
        last = found.count - 1
        return jnp.stack([found.omega[0], found.rate[0], found.omega[last], found.rate[last]]), found.parameter

    step = 1e-3
    masses = 2.0 + step * jnp.arange(-2.0, 3.0)
    batched = jax.jit(jax.vmap(lambda m: jax.jvp(numbers, (m,), (jnp.ones(()),), has_aux=True)))
    values, slopes, amplitudes = batched(masses)
    differences = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * step)
    np.testing.assert_allclose(slopes[2], differences, rtol=1e-7, atol=1e-9)  # O(step⁴)
    # Where 3ω is the other mode's frequency the amplitude of the first turns back, and comes again.
    rising = np.diff(np.asarray(amplitudes[2]))
    assert np.sum(rising < 0) > 3
    assert amplitudes[2][np.sum(~np.isnan(amplitudes[2])) - 1] == 2.0
    np.testing.assert_allclose(values[1], numbers(masses[1])[0], rtol=1e-10)


BAD = [
    (dict(mode=2), "Argument mode must be a mode between 0 and 1, but was 2."),
    (dict(amplitude=0.0), "Argument amplitude must be positive, but was 0"),
    (dict(model=0), "Argument model must be a model of oscillators, such as duffing.DuffingPair, but was 0."),
    (
        dict(model=duffing.OscillatorNetwork([1.0], [1.0], 0.1, lambda x, v, phase: x * jnp.cos(2 * phase)), mode=0),
        "Argument model must have no forces of the drive's phase, but was one that has.",
    ),
    (
        dict(model=duffing.OscillatorNetwork([1.0], [1.0], 0.1, lambda x: 0.3 + x**3), mode=0),
        "Argument model must have no forces at x = 0, but was one that has [0.3].",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD)
def test_bad_input_gets_one_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        duffing.backbone(**{"model": PAIR, "mode": 0, "amplitude": 1.0, **arguments})


@pytest.mark.slow
def test_a_mode_that_does_not_oscillate_is_said() -> None:
    well = nr.replace(PAIR, {"stiffness_ratio": -30.0})
    with pytest.raises(RuntimeError, match="no such mode: undriven it does not oscillate about x = 0"):
        duffing.backbone(well, 1, amplitude=1.0, max_points=50)
