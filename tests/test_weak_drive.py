"""A drive of power 0, the limit of a weak signal: how responses change with the power from there on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import tcmt

D, CHI, OMEGA = np.array([1.0, 0.6]), 0.3, 0.7
KERR = tcmt.CoupledModes([0.0], D[:, None], terms=tcmt.Kerr(CHI, mode=0))


def scattered(model, power, omega=OMEGA):
    return nr.port_response(model, nr.Drive(omega, power=power)).s


def test_the_slope_at_power_0_is_that_of_the_closed_form() -> None:
    """S = C + ddᵀ/(i(ω − χu) + γ), u = |d|²P/(ω² + γ²) at first: dS/dP = ddᵀ iχu/P/(iω + γ)², column by column."""
    slope = jax.jacfwd(lambda power: scattered(KERR, power))(0.0)
    gamma = np.sum(D**2) / 2
    exact = np.outer(D, D) * 1j * CHI * D**2 / (OMEGA**2 + gamma**2) / (1j * OMEGA + gamma) ** 2
    np.testing.assert_allclose(slope, exact, rtol=1e-13)  # round-off
    # In reverse mode, and along with the frequency.
    backward = jax.grad(lambda power, omega: scattered(KERR, power, omega)[1, 0].imag, (0, 1))(0.0, OMEGA)
    assert float(backward[0]) == pytest.approx(exact[1, 0].imag, rel=1e-13)
    linear = -1j * D[1] * D[0] / (1j * OMEGA + gamma) ** 2
    assert float(backward[1]) == pytest.approx(linear.imag, rel=1e-13)


@pytest.mark.slow
def test_the_slope_at_power_0_is_that_of_differences_to_one_side() -> None:
    model = tcmt.CoupledModes(
        [[0.0, 0.5], [0.5, 0.3]], np.diag(D), gamma_i=[0.1, 0.2], loss=tcmt.TwoPhotonLoss(0.5, mode=1)
    )
    slope = jax.jacfwd(lambda power: scattered(model, power))(0.0)
    h = 1e-4
    here, near, far = (scattered(model, power) for power in (0.0, h, 2 * h))
    np.testing.assert_allclose(slope, (4 * near - far - 3 * here) / (2 * h), rtol=1e-6, atol=1e-8)  # h²
    assert np.all(np.abs(slope) > 1e-3)


@pytest.mark.slow
def test_powers_that_leave_grow_as_the_limit_has_it() -> None:
    response = lambda power: nr.port_response(KERR, nr.Drive(OMEGA, power=power)).fundamental  # noqa: E731
    grown = jax.jacfwd(lambda power: jnp.abs(response(power)) ** 2)(0.0)
    np.testing.assert_allclose(grown, np.abs(scattered(KERR, 0.0)) ** 2, rtol=1e-13)


@pytest.mark.slow
def test_losses_that_know_no_power_have_no_slope() -> None:
    pair = tcmt.TwoResonators((0.0, 0.0), (1.0, 1.0), (0.1, 0.1), 0.8, tcmt.NonlocalLoss(0.3, mode=1, sensed=0))
    assert np.all(jax.jacfwd(lambda power: scattered(pair, power))(0.0) == 0.0)


@pytest.mark.slow
def test_other_models_say_that_they_cannot_tell() -> None:
    class Doubled(nr.AbstractPortModel):
        """A wire whose b is computed somehow."""

        num_ports = property(lambda self: 1)
        harmonics = property(lambda self: (1,))
        power_normalised = property(lambda self: True)
        linear = property(lambda self: False)

        def respond(self, drive, port, guess=None):
            b = drive.amplitude * (1.0 + drive.amplitude**2)
            return jnp.full((1, 1), b + 0j), jnp.zeros(()), nr.RESULTS.successful

    assert np.isfinite(scattered(Doubled(), 0.0)).all()
    assert np.isnan(jax.jacfwd(lambda power: scattered(Doubled(), power).real)(0.0)).all()
    assert float(jax.jacfwd(lambda power: scattered(Doubled(), power).real)(0.25)[0, 0]) == pytest.approx(1.0)
