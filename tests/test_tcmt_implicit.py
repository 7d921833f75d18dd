"""The derivative of the closed form for two modes: where its formulas are singular, twice, and in any unit of rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import tcmt
from slow import slow_except


def device(gamma_k: Array, kappa: Array, unit: float = 1.0) -> tcmt.TwoResonators:
    loss = tcmt.NonlocalLoss(unit * gamma_k, mode=1, sensed=0)
    rates = [tuple(unit * rate for rate in pair) for pair in ((-0.4, 0.6), (0.9, 0.5), (0.2, 0.2))]
    return tcmt.TwoResonators(*rates, unit * kappa, loss)


def parts(x: Array, s_plus: Array) -> Array:
    """Real and imaginary parts of what leaves a device of x = (γ_k, κ, ω)."""
    s_minus = tcmt.steady_state(device(x[0], x[1]), x[2], s_plus).s_minus
    return jnp.concatenate([s_minus.real, s_minus.imag])


ONE_WAY, OTHER_WAY, BOTH = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]), jnp.array([1.0, 0.7j])


@pytest.mark.slow
@pytest.mark.parametrize("s_plus", [ONE_WAY, OTHER_WAY, BOTH], ids=["forward", "backward", "both"])
@pytest.mark.parametrize(
    "x",
    [(0.8, 1.3, 0.0), (0.5, 1.3, 0.3), (1.299, 1.3, 0.2), (2.0, 1.3, 0.1)],
    ids=["half", "detuned", "nearly extinct", "extinct"],
)
def test_second_derivatives(x: tuple[float, ...], s_plus: Array) -> None:
    x = jnp.array(x)
    step = 1e-6
    hessian = jax.hessian(parts)(x, s_plus)
    slope = jax.jacrev(parts)
    differences = [(slope(x + step * e, s_plus) - slope(x - step * e, s_plus)) / (2 * step) for e in jnp.eye(3)]
    # Central differences: h² times a fourth derivative, here below 1e3, and round-off 1e-16/h.
    np.testing.assert_allclose(hessian, jnp.stack(differences, axis=-1), atol=2e-9, rtol=1e-8)
    np.testing.assert_allclose(jax.jacfwd(parts)(x, s_plus), slope(x, s_plus), atol=1e-13)  # round-off


@pytest.mark.parametrize(
    ("gamma_k", "s_plus"), [(0.0, ONE_WAY), (0.0, OTHER_WAY), (0.3, OTHER_WAY)], ids=["forward", "backward", "lossy"]
)
def test_uncoupled_modes_feel_the_coupling(gamma_k: float, s_plus: Array) -> None:
    """At κ = 0 the mode that is not driven stands still, yet t21 = 2i√(γ1γ2) κ/(Z1 Z2) to first order, and t12 too."""
    slope = jax.jacrev(parts)(jnp.array([gamma_k, 0.0, 0.2]), s_plus)[:, 1]
    Z1, Z2 = 1.1 + 1j * (0.2 + 0.4), 0.7 + 1j * (0.2 - 0.6)
    expected = 2j * np.sqrt(0.9 * 0.5) / (Z1 * Z2)
    out = 1 if s_plus is ONE_WAY else 0
    np.testing.assert_allclose(slope[out] + 1j * slope[2 + out], expected, rtol=1e-12)  # round-off


def test_held_mode_has_no_derivative() -> None:
    slope = jax.jacrev(parts)(jnp.array([2.0, 1.3, 0.1]), ONE_WAY)
    np.testing.assert_array_equal(slope[jnp.array([1, 3])], 0)


@pytest.mark.parametrize("unit", slow_except([1e-9, 1.0, 1e6, 1e12, 1e15], 2, 4))
def test_float32_in_any_unit_of_rate(unit: float) -> None:
    """Rates in rad/s must not overflow the squares inside, neither the value's nor the derivative's."""

    def levels(gamma_k: Array, unit: float) -> Array:
        pair = jax.tree.map(lambda leaf: leaf.astype(gamma_k.dtype), device(gamma_k, jnp.asarray(1.3), unit))
        s = nr.port_response(pair, nr.Drive(jnp.zeros((), gamma_k.dtype))).s
        return jnp.stack([s[1, 0].real, s[1, 0].imag, s[0, 1].real, s[0, 1].imag])

    single, double = jnp.float32(0.8), jnp.float64(0.8)
    found, slope = levels(single, unit), jax.jacrev(levels)(single, unit)
    assert found.dtype == slope.dtype == jnp.float32
    # t21 and t12 of the table of known numbers; float32 has 6e-8 an operation, and there are some tens of them.
    np.testing.assert_allclose(found, [0.0130602359, 0.4260639977, -0.0031709638, 0.4742649957], atol=3e-6)
    np.testing.assert_allclose(slope, jax.jacrev(levels)(double, 1.0), atol=1e-5)


@pytest.mark.slow
def test_no_nan_is_met_on_the_way() -> None:
    with jax.debug_nans(True):
        for x in ((0.8, 1.3, 0.0), (1.3, 1.3, 0.0), (0.0, 0.0, 0.2), (0.3, 0.0, 0.2), (2.0, 1.3, 0.1)):
            for s_plus in (ONE_WAY, OTHER_WAY, BOTH):
                assert jnp.all(jnp.isfinite(jax.jit(jax.jacrev(parts))(jnp.array(x), s_plus)))
