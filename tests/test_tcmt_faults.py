"""What once was answered in silence: singular systems, drives of nothing, vectors for numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import tcmt

PAIR = tcmt.TwoResonators((0.0, 0.0), (3.04, 3.04), (0.5, 0.5), 3.0, tcmt.NonlocalLoss(1.0, 1, 0))
LOSSLESS = tcmt.CoupledModes([0.0, 0.0], [[1.0, 0.0], [0.0, 0.0]], K=[[1.0, 1.0]] * 2)  # mode 1 is driven, and loses 0
SINGULAR = "not finite. Look for a singular system"


def test_a_singular_linear_system_is_a_failure() -> None:
    with pytest.raises(RuntimeError, match=SINGULAR) as raised:
        nr.port_response(LOSSLESS, nr.Drive(0.0))
    assert "\n" not in str(raised.value)
    with pytest.raises(RuntimeError, match=SINGULAR):
        nr.scattering(LOSSLESS, [0.0])
    with pytest.raises(RuntimeError, match=SINGULAR):
        tcmt.steady_state(LOSSLESS, 0.0, [1.0, 0.0])
    response = nr.port_response(LOSSLESS, nr.Drive(0.0), throw=False)
    assert not np.any(response.converged)
    assert np.all(np.isnan(response.b))
    state = tcmt.steady_state(LOSSLESS, 0.0, [1.0, 0.0], throw=False)
    assert not state.converged
    assert SINGULAR in state.message
    assert np.all(np.isnan(state.a))
    for what in (tcmt.stability, lambda *given, **kw: tcmt.small_signal_response(*given, 0.1, **kw)):
        with pytest.raises(RuntimeError, match=SINGULAR):
            what(LOSSLESS, state)
        assert not what(LOSSLESS, state, throw=False).converged


def test_answers_say_that_they_converged() -> None:
    state = tcmt.steady_state(PAIR, 0.1, [1.0, 0.5j])
    for answer in (state, tcmt.stability(PAIR, state), tcmt.small_signal_response(PAIR, state, 0.2)):
        assert answer.converged
        assert answer.message == "The solve converged."


def test_a_transient_is_saved_and_loaded(tmp_path) -> None:
    r = tcmt.simulate(PAIR, [1.0, 0.0], [0.0, 1.0, 2.0])
    nr.save(tmp_path / "transient.npz", r)
    again = nr.load(tmp_path / "transient.npz")
    assert again.converged
    assert again.message == "The solve converged."
    np.testing.assert_array_equal(again.a, r.a)


def test_a_drive_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Argument drive must have an amplitude other than 0"):
        nr.port_response(PAIR, nr.Drive(0.1, 0.0))
    apart = tcmt.TwoResonators((0.0, 0.0), (1.0, 1.0), (0.1, 0.1), 0.0)
    with pytest.raises(ValueError, match=r"^Argument response must carry a wave .* exactly 0 in both directions\.$"):
        nr.metrics.isolation(nr.port_response(apart, nr.Drive(0.1)), out=1, into=0)


def test_a_failed_solve_says_one_sentence() -> None:
    model = nr.replace(PAIR, {"loss": tcmt.TwoPhotonLoss(1.0, 1)})
    with pytest.raises(RuntimeError) as raised:
        nr.port_response(model, nr.Drive(0.1, amplitude=1e100))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nr.Drive("x"), "Argument omega must be a number"),
        (lambda: nr.Drive(None), "Argument omega must be a number"),
        (lambda: nr.Drive(np.zeros(0)), "Argument omega must hold at least one number"),
        (lambda: nr.FieldData([1.0, [2.0, 3.0]], [0.0, 0.0]), "Argument omega must be a number or an array"),
        (lambda: nr.replace(PAIR, {"kappa": "x"}), "Argument kappa must be a number"),
        (lambda: tcmt.NonlocalLoss([1.0, 2.0], 1, 0), "Argument gamma_k must be a number"),
        (lambda: tcmt.TwoPhotonLoss(jnp.ones(2), 1), "Argument coefficient must be a number"),
        (lambda: tcmt.NonlocalLoss(1.0, True, 0), "Argument mode must be a whole number"),
    ],
)
def test_what_is_no_number_is_refused(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        call()


def test_ports_are_whole_numbers_and_no_flags() -> None:
    response = nr.port_response(PAIR, nr.Drive(0.1))
    expected = nr.metrics.isolation(response, out=1, into=0)
    assert nr.metrics.isolation(response, out=np.int64(1), into=np.int32(0)) == expected
    with pytest.raises(ValueError, match=r"^Argument out must be a port between 0 and 1, but was True\.$"):
        nr.metrics.isolation(response, out=True, into=0)


@pytest.mark.slow
def test_constants_may_be_met_inside_of_jit() -> None:
    drive, pulse = nr.Drive(0.1, 0.5), tcmt.GaussianPulse([1.0, 0.0], 1.0, 1.0)
    response = nr.port_response(PAIR, drive)
    expected = nr.metrics.isolation(response, out=1, into=0)
    again = jax.jit(
        lambda k: nr.metrics.isolation(nr.port_response(nr.replace(PAIR, {"kappa": k}), drive), out=1, into=0)
    )
    np.testing.assert_allclose(again(3.0), expected, rtol=1e-12)  # round-off of one program and another
    np.testing.assert_allclose(jax.jit(lambda k: k * nr.metrics.isolation(response, out=1, into=0))(1.0), expected)
    np.testing.assert_allclose(jax.jit(lambda k: k * nr.port_response(PAIR, drive).s)(1.0), response.s, rtol=1e-12)
    moved = jax.jit(lambda k: nr.replace(pulse, {"centre": k})(0.0)[0])
    np.testing.assert_allclose(moved(2.0), np.exp(-2.0), rtol=1e-14)  # exp(−t₀²/2w²)
    in_time = jax.jit(lambda k: k * tcmt.simulate(PAIR, pulse, [0.0, 1.0, 2.0], rtol=1e-6).a)(1.0)
    np.testing.assert_allclose(in_time, tcmt.simulate(PAIR, pulse, [0.0, 1.0, 2.0], rtol=1e-6).a, atol=1e-12)
