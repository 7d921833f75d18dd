"""The effective Hamiltonian: at the steady state it is the equation of motion, for every law."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import tcmt
from slow import slow_except
from systems import CrossAbsorption, random_modes


def pair(*laws: tcmt.AbstractLaw, terms: tcmt.AbstractLaw | tuple = ()) -> tcmt.TwoResonators:
    return tcmt.TwoResonators((0.4, -0.6), (0.9, 0.5), (0.2, 0.2), 1.3, laws, terms=terms)


def three(*laws: tcmt.AbstractLaw) -> tcmt.CoupledModes:
    return tcmt.CoupledModes(**random_modes(5, 3, 2, lossless=False), loss=laws)


MODELS = {
    "linear": pair(),
    "nonlocal": pair(tcmt.NonlocalLoss(0.8, 1, 0)),
    "extinct": pair(tcmt.NonlocalLoss(1.4, 1, 0)),
    "regularised": pair(tcmt.NonlocalLoss(1.4, 1, 0, epsilon=1e-3)),
    "local laws": pair(tcmt.TwoPhotonLoss(0.7, 1), tcmt.SaturableLoss(0.5, 0, 2.0)),
    "ideal and nonlocal": pair(tcmt.NonlocalLoss(0.8, 0, 1), terms=tcmt.IdealNonreciprocalCoupling(0.3, 1, 0)),
    "of the user's own": pair(CrossAbsorption(jnp.array(0.7), 1, 0)),
    "two sensed by one": three(tcmt.NonlocalLoss(0.8, 2, 0, 1e-2), tcmt.NonlocalLoss(0.5, 2, 1, 1e-3)),
}


@eqx.filter_jit
def evaluate(model: tcmt.AbstractCoupledModes, into: int) -> tuple[Array, Array, Array]:
    s_plus = jnp.zeros(2, complex).at[into].set(1.7)
    state = tcmt.steady_state(model, 0.3, s_plus)
    return tcmt.effective_hamiltonian(model, 0.3, port=into, amplitude=1.7), state.a, model.matrices().K.T @ s_plus


@pytest.mark.parametrize(
    ("name", "into"),
    slow_except(
        [*((name, 0) for name in MODELS), ("nonlocal", 1), ("extinct", 1), ("ideal and nonlocal", 1)], 0, 2, 4, 6, 8
    ),
)
def test_steady_state_obeys_its_effective_hamiltonian(name: str, into: int) -> None:
    H, a, f = evaluate(MODELS[name], into)
    # Round-off, and where a law is regularised that of Newton: 1e-16 γ_k/ε.
    np.testing.assert_allclose(0.3j * a, H @ a + f, atol=1e-12)


def test_nonlocal_loss_is_a_nonreciprocal_coupling() -> None:
    H, a, _ = evaluate(MODELS["nonlocal"], 0)
    direction = a[1] / a[0] / abs(a[1] / a[0])
    np.testing.assert_allclose(H[1, 0], 1.3j - 0.8 * direction, rtol=1e-13)  # round-off
    np.testing.assert_allclose(H[0, 1], 1.3j, rtol=1e-15)


def test_friction_of_an_extinct_mode_cancels_the_coupling() -> None:
    H, a, _ = evaluate(MODELS["extinct"], 0)
    assert a[1] == 0
    np.testing.assert_allclose(H[1, 0], 0.0, atol=1e-15)  # round-off of κ − κ


def test_each_sensed_mode_gets_its_own_share() -> None:
    model = MODELS["two sensed by one"]
    H, a, _ = evaluate(model, 0)
    linear = 1j * model.matrices().omega - model.matrices().gamma
    for law in model.laws:
        s = law.sensed
        rate = law.gamma_k * abs(a[s]) / (abs(a[2]) ** 2 + law.epsilon**2 * abs(a[s]) ** 2) ** 0.5
        np.testing.assert_allclose(H[2, s] - linear[2, s], -rate * a[2] / a[s], rtol=1e-12)  # round-off


def test_undriven_sensed_mode_couples_nothing() -> None:
    apart = nr.replace(MODELS["nonlocal"], {"kappa": 0.0})
    H, a, _ = evaluate(apart, 1)
    assert a[0] == 0
    assert H[1, 0] == 0


def test_laws_without_a_hamiltonian_are_refused() -> None:
    class Odd(tcmt.AbstractLaw):
        linear = False

        def damping(self, a: Array) -> Array:
            return 0.1 * a * jnp.abs(a) ** 2

        def softened(self, t: Array) -> "Odd":
            return self

        def check_modes(self, num_modes: int) -> None:
            pass

    with pytest.raises(
        ValueError, match=r"^Argument model must have laws linear, of one mode or nonlocal, but was Odd"
    ):
        tcmt.effective_hamiltonian(pair(terms=Odd()), 0.3)
