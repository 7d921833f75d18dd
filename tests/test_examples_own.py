"""A law, a port model and a medium that a stranger adds, each in one file: their numbers against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import diffnr as nr
from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)


@pytest.mark.slow
def test_a_law_of_ones_own_balances_and_has_its_derivative() -> None:
    script = example("own_loss_law")
    found = script.compute(small=True)
    for port in (0, 1):
        exact = [script.balanced(float(power), port) for power in found.power]
        # Newton's method ends at round-off of amplitudes; bisection at 1e-14.
        np.testing.assert_allclose(found.transmission[:, port], exact, rtol=1e-10)
    assert found.isolation["three photons"][0] == pytest.approx(0.0, abs=1e-3)  # reciprocal where it is linear
    assert found.isolation["three photons"][-1] > 1.5
    at, h = jnp.array(1.0), 1e-5
    power = found.power[12]
    difference = (script.isolation(at + h, power) - script.isolation(at - h, power)) / (2 * h)
    # Central differences: truncation 1e-10 of the curvature, round-off 1e-16/h.
    assert float(found.slope[12]) == pytest.approx(float(difference), rel=1e-7)


def test_a_law_of_ones_own_refuses_what_it_cannot_be() -> None:
    law = example("own_loss_law").ThreePhotonLoss
    with pytest.raises(ValueError, match=r"^Argument coefficient must not be negative, but was -1"):
        law(-1.0, 0)
    with pytest.raises(ValueError, match=r"^Argument coefficient must be a number .*, but was of shape \(2,\)"):
        law([1.0, 2.0], 0)


@pytest.mark.slow
def test_a_port_model_of_ones_own_is_designed_where_the_closed_form_says() -> None:
    script = example("own_port_model")
    found = script.compute(small=True)

    def levels(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Isolation and loss over the three frequencies of the design, dB."""
        theta = x[0] * np.array([script.BAND[0], 1.0, script.BAND[1]]) ** 2
        forward, backward = np.cos(theta - x[1]), np.cos(theta + x[1])
        return 20 * np.log10(np.abs(forward / backward)), -20 * np.log10(np.abs(forward))

    # The worst edges as constraints of a smooth problem in three unknowns, the third the isolation itself.
    best = minimize(
        lambda x: -x[2],
        [0.6, 0.95, 20.0],
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda x: levels(x)[0][[0, 2]] - x[2]},
            {"type": "ineq", "fun": lambda x: script.LOSS - levels(x)[1]},
        ],
        options={"ftol": 1e-12, "maxiter": 300},
    )
    assert best.success
    # Two local searches, each to some 1e-8 of the step, on a corner of constraints: first order in the step.
    assert found.design.isolation == pytest.approx(best.x[2], rel=1e-5)
    assert found.design.insertion_loss == pytest.approx(script.LOSS, abs=1e-6)
    assert float(found.design.model.rotation) == pytest.approx(best.x[0], rel=1e-4)
    assert found.design.isolation > float(script.worst(*(jnp.array(jnp.pi / 4),) * 2)) + 1.0
    s = nr.scattering(found.textbook, [1.0])[0]
    np.testing.assert_allclose(np.abs(s), [[0, 0], [1, 0]], atol=1e-15)  # cos 0 and cos 90°


@pytest.mark.slow
def test_a_medium_of_ones_own_guides_as_the_closed_form_says() -> None:
    script = example("own_medium")
    found = script.compute(small=True)
    # Cells of 2 µm: (kΔ)²/8 of ω and its share of the group velocity, below .5 % of k above 290 K.
    warm = np.asarray(found.temperature) > 289
    np.testing.assert_allclose(found.lattice[warm], found.exact[warm], rtol=5e-3)
    T, h = jnp.array(305.0), 1e-2
    sums = [float(jnp.sum(script.wavenumbers(T + sign * h, 2e-6))) for sign in (-1, 1)]
    slope = jax.grad(lambda t: jnp.sum(script.wavenumbers(t, 2e-6)))(T)
    # Central differences: truncation h² of relative curvature 1e-3, round-off of k over h 1e-8.
    assert float(slope) == pytest.approx((sums[1] - sums[0]) / (2 * h), rel=1e-5)


def test_a_medium_of_ones_own_has_the_constants_of_insb() -> None:
    medium = example("own_medium").IntrinsicInSb(300.0, 0.25)
    # Handbook values at 300 K: 2·10¹⁶ cm⁻³; ω_p/2π of some 2.7 THz screened; .25 T is ω_c/2π = .5 THz.
    assert float(medium.density) == pytest.approx(2e22, rel=0.05)
    assert float(medium.omega_c) / (2e12 * np.pi) == pytest.approx(0.5, rel=2e-3)
    eps = np.asarray(medium.permittivity(2e12 * np.pi))
    assert eps[0, 1] == pytest.approx(-eps[1, 0])
    with pytest.raises(ValueError, match=r"^Argument temperature must not be negative"):
        example("own_medium").IntrinsicInSb(-1.0, 0.0)
