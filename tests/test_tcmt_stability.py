"""Small disturbances of steady states: poles, uniqueness, and a probe beside the carrier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import tcmt
from systems import PAIRS, Pair, central_difference, paper_pair

FORWARD, BACKWARD = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])


def unstable_pair(gamma_k: float = 3.0482) -> tcmt.TwoResonators:
    half = np.array([0.0564, 0.0956]) / 2
    return tcmt.TwoResonators((4.266, 0.311), half, half, 5.0, tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0))


def test_poles_of_a_linear_device_are_those_of_its_scattering() -> None:
    model = tcmt.CoupledModes([[0.3, 0.8j], [-0.8j, -0.2]], [[0.7, 0.1], [0.2j, 0.9]], gamma_i=[0.1, 0.2])
    found = tcmt.stability(model, tcmt.steady_state(model, 0.4, FORWARD))
    omega, gamma, *_ = model.matrices()
    poles = np.linalg.eigvals(1j * np.asarray(omega) - np.asarray(gamma) - 0.4j * np.eye(2))
    expected = np.concatenate([poles, poles.conj()])
    distance = np.abs(np.asarray(found.poles)[:, None] - expected)
    assert distance.min(axis=1).max() < 1e-13  # round-off of an eigenvalue problem
    assert distance.min(axis=0).max() < 1e-13
    assert found.stable
    assert found.unique_response
    assert found.growth_rate == pytest.approx(poles.real.max(), rel=1e-12)


def test_the_unstable_example_of_an_independent_solver() -> None:
    model = unstable_pair()
    found = tcmt.stability(model, tcmt.steady_state(model, 0.0, FORWARD, allow_unstable=True))
    assert found.growth_rate == pytest.approx(0.322, abs=5e-4)  # the digits given
    assert not found.stable
    assert not found.unique_response
    assert np.all(np.diff(found.poles.real) <= 0)


@pytest.mark.parametrize(("share", "expected"), [(0.99, True), (1.01, False)])
def test_unique_below_twice_the_mean_loss(share: float, expected: bool) -> None:
    bound = 2 * np.sqrt(0.0564 * 0.0956)
    assert bool(tcmt.has_unique_response(unstable_pair(share * bound))) is expected
    # Rates add up as a matrix: with a neighbour that drives it in the same way the margin is used up sooner.
    laws = tuple(tcmt.NonlocalLoss(share * 0.6 * np.sqrt(2), mode=m, sensed=1) for m in (0, 2))
    chain = tcmt.CoupledModes(np.eye(3, k=1) + np.eye(3, k=-1), np.zeros((1, 3)), gamma_i=[0.6] * 3, loss=laws)
    assert bool(tcmt.has_unique_response(chain)) is expected


def test_unique_knows_monotone_laws_and_no_others() -> None:
    pair = paper_pair(0.3, 0.1).model()
    G = float(pair.gamma[1] + 0.5)

    def with_law(law: tcmt.AbstractLaw) -> bool:
        return bool(tcmt.has_unique_response(nr.replace(pair, {"loss": law})))

    class Other(tcmt.AbstractLoss):
        mode: int = 0

        def rate(self, a: Array) -> Array:
            return jnp.abs(a[1]) ** 2

    assert with_law(tcmt.TwoPhotonLoss(1e3, mode=1))
    assert with_law(tcmt.SaturableLoss(7.9 * G, mode=1))  # the slope of x c/(1 + x²) is -c/8 at its least
    assert not with_law(tcmt.SaturableLoss(8.1 * G, mode=1))
    assert not with_law(Other())


@pytest.mark.parametrize("pair", PAIRS[:3], ids=lambda pair: pair.name)
def test_unique_devices_forget_where_they_started(pair: Pair) -> None:
    model = pair.model()
    assert tcmt.has_unique_response(model)
    ts = jnp.linspace(0.0, 30.0, 31)
    a, b = (tcmt.simulate(model, jnp.array([1.0, 0.5j]), ts, a0) for a0 in ([3.0, -2.0], [-1j, 0.1]))
    distance = jnp.linalg.norm(a.a - b.a, axis=1)
    G, gamma_k = pair.gamma[0] + pair.gamma_0[0], pair.gamma_k
    slowest = min(G, pair.gamma[1] + pair.gamma_0[1]) - gamma_k / 2
    # Strong monotony: the distance falls at least at this rate, until it is as small as the solver is precise.
    bound = distance[0] * np.exp(-slowest * ts)
    assert np.all(distance <= bound * (1 + 1e-6) + 1e-7)


def test_held_modes_take_no_part() -> None:
    model = paper_pair(3.0, 3.3, (0.2, 0.4)).model()
    found = tcmt.stability(model, tcmt.steady_state(model, 0.0, FORWARD))
    G1 = float(model.gamma[0] + 0.5)
    np.testing.assert_allclose(found.poles[:2], [-G1 + 0.2j, -G1 - 0.2j], rtol=1e-13)  # ω = 0 is .2 above ω_1
    assert np.all(np.isneginf(found.poles[2:].real))
    assert found.stable


def test_poles_are_seen_in_time() -> None:
    model = PAIRS[2].model()
    state = tcmt.steady_state(model, 0.0, FORWARD)
    pole = tcmt.stability(model, state).poles[0]
    r = tcmt.simulate(model, FORWARD, jnp.linspace(0.0, 20.0, 401), state.a + jnp.array([1e-3, 2e-3j]), rtol=1e-11)
    distance = jnp.log(jnp.linalg.norm(r.a - state.a, axis=1))
    # The other pair of poles is faster by about .5, e^{-.5·10} ≈ 1 %, and the nearest one turns.
    assert (distance[300] - distance[200]) / 5 == pytest.approx(float(pole.real), rel=0.1)


def test_gradient_of_the_growth_rate() -> None:
    def growth(gamma_k: Array) -> Array:
        model = nr.replace(unstable_pair(), {"loss.gamma_k": gamma_k})
        return tcmt.stability(model, tcmt.steady_state(model, 0.0, FORWARD, throw=False)).growth_rate

    slope = jax.grad(growth)(jnp.asarray(3.0))
    # Steps of 1e-2: O(step⁶), and eigenvalues good to 1e-13 over the step.
    assert slope == pytest.approx(float(central_difference(growth, 3.0, 1e-2)), rel=1e-7)


def test_a_linear_device_scatters_a_probe_like_any_wave() -> None:
    pair = nr.replace(PAIRS[2].model(), {"loss": (), "terms": tcmt.IdealNonreciprocalCoupling(0.4, mode=1, sensed=0)})
    r = tcmt.small_signal_response(pair, tcmt.steady_state(pair, 0.1, BACKWARD), 0.7)
    np.testing.assert_allclose(r.signal, nr.scattering(pair, [0.8])[0], rtol=1e-12)
    np.testing.assert_allclose(r.idler, 0, atol=1e-15)


def test_dynamic_reciprocity() -> None:
    """On a backward carrier at γ_k = κ a forward probe, blocked when alone, passes in either quadrature."""
    model = paper_pair(3.0, 3.0).model()
    alone = nr.port_response(model, nr.Drive(0.0)).s
    r = tcmt.small_signal_response(model, tcmt.steady_state(model, 0.0, BACKWARD), 0.0)
    assert abs(alone[1, 0]) == 0
    # The quadrature that turns a1 without changing |a1| does not see the law's loss: it passes like a wave backward.
    weakest = abs(r.signal[1, 0]) - abs(r.idler[1, 0])
    assert weakest == pytest.approx(float(abs(alone[0, 1])), rel=1e-12)
    np.testing.assert_allclose(r.signal[:, 1], alone[:, 1], rtol=1e-12)  # homogeneous: the carrier's own column


def test_probe_on_a_carrier_is_what_time_shows() -> None:
    model, delta, weak = PAIRS[2].model(), 0.6, 1e-4
    state = tcmt.steady_state(model, 0.0, BACKWARD)
    r = tcmt.small_signal_response(model, state, delta)
    period = 2 * np.pi / delta
    ts = jnp.linspace(0.0, 8 * period, 801)
    seen = tcmt.simulate(
        model, lambda t: BACKWARD + weak * jnp.exp(1j * delta * t) * FORWARD, ts, state.a, rtol=1e-11
    ).s_minus[400:800]  # after four periods, e^{-Gt} ~ 1e-17
    beats = jnp.exp(1j * delta * ts[400:800])[:, None]
    signal, idler = jnp.mean(seen / beats, axis=0) / weak, jnp.mean(seen * beats, axis=0) / weak
    # Second order in the probe; the saved points are interpolated to 1e-8.
    np.testing.assert_allclose(signal, r.signal[:, 0], atol=2e-4)
    np.testing.assert_allclose(idler, r.idler[:, 0], atol=2e-4)
    assert abs(r.idler[1, 0]) > 0.05


def test_vmap_over_detunings_equals_the_loop() -> None:
    model = PAIRS[0].model()
    state = tcmt.steady_state(model, 0.0, BACKWARD)
    detunings = jnp.array([-1.0, 0.0, 2.0])
    batched = jax.vmap(lambda delta: tcmt.small_signal_response(model, state, delta).signal)(detunings)
    looped = jnp.stack([tcmt.small_signal_response(model, state, delta).signal for delta in detunings])
    np.testing.assert_allclose(batched, looped, rtol=1e-13)


def test_bad_input_is_refused_in_one_sentence() -> None:
    model = PAIRS[0].model()
    state = tcmt.steady_state(model, 0.0, BACKWARD)
    single = tcmt.CoupledModes([0.0], [[1.0]])
    with pytest.raises(
        ValueError, match=r"Argument state must have amplitudes of shape \(1,\) like the model, but was"
    ):
        tcmt.stability(single, state)
    with pytest.raises(ValueError, match="Argument detuning must be finite, but was nan"):
        tcmt.small_signal_response(model, state, np.nan)
    with pytest.raises(ValueError, match="Argument detuning must be a number"):
        tcmt.small_signal_response(model, state, np.zeros(2))
