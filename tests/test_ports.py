"""Drives, port responses and scattering: shapes, dtypes, batching, compilation, and what they refuse."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import tcmt
from diffnr.checks import rate_field
from systems import PAIRS, isolation

EXACT = PAIRS[1].model()
SOFT = PAIRS[1].model(1e-3)
LINEAR = nr.replace(EXACT, {"loss": ()})


class Rectifier(nr.AbstractPortModel):
    """Two ports; b[out, harmonic] is written down: the mean, the tone and its second harmonic."""

    gain: Array

    num_ports = 2
    harmonics = (0, 1, 2)
    power_normalised = False
    linear = False

    def respond(self, drive: nr.Drive, port: Array, guess: Array | None = None) -> tuple[Array, Array, nr.RESULTS]:
        tone = drive.amplitude * self.gain * (1 + port) * jnp.exp(1j * drive.omega)
        mean = jnp.abs(tone) ** 2
        state = jnp.zeros(()) if guess is None else guess + 1
        b = jnp.stack([jnp.stack([mean, (out + 1) * tone, tone**2]) for out in range(2)])
        return b, state, nr.RESULTS.successful


def test_hertz() -> None:
    np.testing.assert_allclose(nr.hertz(np.array([1.0, 2.0])), [2 * np.pi, 4 * np.pi], rtol=1e-15)
    with pytest.raises(ValueError, match=r"^Argument frequency must be real, but was 1j\.$"):
        nr.hertz(1j)


def test_drive_is_one_tone() -> None:
    assert nr.Drive(2).omega == 2.0
    assert nr.Drive(2.0).amplitude == 1.0
    assert nr.Drive(2.0, 3j).amplitude == 3j
    assert nr.Drive(2.0, power=9.0).amplitude == 3.0
    single = nr.Drive(jnp.float32(2.0), 3.0)
    assert single.amplitude.dtype == jnp.float32
    assert nr.Drive(jnp.float32(2.0), 3j).amplitude.dtype == jnp.complex64


NAN = float("nan")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"omega": np.inf}, "omega must be finite, but was inf"),
        ({"omega": 1j}, "omega must be real, but was 1j"),
        ({"omega": 1.0, "amplitude": NAN}, "amplitude must be finite, but was nan"),
        ({"omega": 1.0, "power": -1.0}, "power must not be negative, but was -1"),
        ({"omega": 1.0, "power": NAN}, "power must be finite, but was nan"),
        (
            {"omega": 1.0, "amplitude": 1.0, "power": 1.0},
            "power must be left out where amplitude is given, but was 1.0",
        ),
    ],
)
def test_drive_refuses(arguments: dict[str, complex], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Argument {sentence}"):
        nr.Drive(**arguments)


def test_every_harmonic_in_its_place() -> None:
    r = nr.port_response(Rectifier(jnp.array(0.5)), nr.Drive(0.3, 2.0))
    assert r.b.shape == (2, 2, 3)
    tone = np.exp(0.3j)
    np.testing.assert_allclose(r.fundamental, tone * np.array([[1, 2], [2, 4]]), rtol=1e-15)  # [out, in]; round-off
    np.testing.assert_allclose(r.s, tone * np.array([[0.5, 1], [1, 2]]), rtol=1e-15)
    np.testing.assert_allclose(r.b[0, :, 0], [1.0, 4.0], rtol=1e-15)
    assert r.harmonics == (0, 1, 2)
    assert r.converged.tolist() == [True, True]


@pytest.mark.parametrize("ports", [(1,), (1, 0)])
def test_only_the_ports_asked_for_are_driven(ports: tuple[int, ...]) -> None:
    every, some = (nr.port_response(Rectifier(jnp.array(0.5)), nr.Drive(0.3), ports=p) for p in (None, ports))
    for port in range(2):
        if port in ports:
            np.testing.assert_array_equal(some.b[:, port], every.b[:, port])
        else:
            assert jnp.isnan(some.b[:, port]).all()
    assert some.state.shape == some.converged.shape == (len(ports),)


def test_state_goes_back_in_as_guess() -> None:
    first = nr.port_response(Rectifier(jnp.array(0.5)), nr.Drive(0.3))
    again = nr.port_response(Rectifier(jnp.array(0.5)), nr.Drive(0.3), guess=first.state)
    assert again.state.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("ports", "sentence"),
    [
        ((2,), "ports must be a port between 0 and 1, but was 2"),
        ((-1,), "ports must be a port between 0 and 1, but was -1"),
        ((0, 0), r"ports must name one or several different ports, but was \(0, 0\)"),
        ((), r"ports must name one or several different ports, but was \(\)"),
    ],
)
def test_ports_that_are_not_there_are_refused(ports: tuple, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Argument {sentence}"):
        nr.port_response(EXACT, nr.Drive(0.0), ports=ports)


@pytest.mark.parametrize("drive", [nr.Drive(np.zeros(2)), nr.Drive(0.0, np.ones(3))])
def test_many_drives_are_refused(drive: nr.Drive) -> None:
    with pytest.raises(
        ValueError, match=r"^Argument drive must have a scalar omega and amplitude \(use jax.vmap for many\)"
    ):
        nr.port_response(EXACT, drive)


@pytest.mark.parametrize(
    ("model", "omegas", "sentence"),
    [
        (EXACT, [0.0], r"model must be linear for an S-matrix to exist \(use port_response\)"),
        (LINEAR, 0.0, r"omegas must be a vector, but was of shape \(\)"),
        (LINEAR, [[0.0]], r"omegas must be a vector, but was of shape \(1, 1\)"),
        (LINEAR, [0.0, NAN], r"omegas must be finite, but was \[ ?0., nan\]"),
        (LINEAR, [1j], r"omegas must be real, but was \[1j\]"),
    ],
)
def test_scattering_refuses(model: tcmt.TwoResonators, omegas: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Argument {sentence}"):
        nr.scattering(model, omegas)


def test_scattering_without_throw_is_nan_where_there_is_no_response() -> None:
    lossless = tcmt.CoupledModes([0.0, 1.0], [[1.0, 0.0]], K=[[1.0, 1.0]])  # the second mode is driven without any loss
    with pytest.raises(RuntimeError):
        nr.scattering(lossless, [0.5, 1.0])
    s = nr.scattering(lossless, [0.5, 1.0], throw=False)
    assert np.array_equal(np.isnan(s[:, 0, 0]), [False, True])
    assert abs(s[0, 0, 0]) == pytest.approx(1.0, abs=1e-15)  # round-off of a few operations


# Transformations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [LINEAR, EXACT, SOFT], ids=["linear", "exact", "Newton"])
def test_vmap_equals_the_loop(model: tcmt.TwoResonators) -> None:
    omegas, gains = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.5, 1.0, 2.0])
    batch = jax.jit(jax.vmap(lambda w, g: nr.port_response(model, nr.Drive(w, g))))(omegas, gains)
    loop = [nr.port_response(model, nr.Drive(w, g)) for w, g in zip(omegas, gains, strict=True)]
    # The same operations in another order: round-off times the condition, 1e3.
    np.testing.assert_allclose(batch.b, jnp.stack([r.b for r in loop]), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(batch.s, jnp.stack([r.s for r in loop]), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(batch.state, jnp.stack([r.state for r in loop]), rtol=1e-12, atol=1e-15)
    assert batch.converged.all()


def test_two_drives_are_not_taken_for_two_ports() -> None:
    # A batch of as many drives as there are ports: amplitudes must divide along the batch.
    amplitudes = jnp.array([1.0, 10.0])
    batch = jax.vmap(lambda a: nr.port_response(EXACT, nr.Drive(0.0, a)))(amplitudes)
    np.testing.assert_allclose(batch.s[0], batch.s[1], rtol=1e-14)  # nonlocal loss is homogeneous; round-off


@pytest.mark.parametrize("model", [LINEAR, EXACT], ids=["linear", "exact"])
def test_jit_equals_eager(model: tcmt.TwoResonators) -> None:
    compiled = nr.port_response(model, nr.Drive(0.3, 2.0))
    with jax.disable_jit():
        eager = nr.port_response(model, nr.Drive(0.3, 2.0))
    np.testing.assert_allclose(compiled.b, eager.b, rtol=1e-13)  # fused or not: round-off
    np.testing.assert_allclose(compiled.state, eager.state, rtol=1e-13)


class Counted(tcmt.AbstractLoss):
    """Kerr loss that counts how often it is traced."""

    coefficient: Array = rate_field()
    mode: int = eqx.field(static=True)
    traces: ClassVar[list[int]] = [0]

    def rate(self, a: Array) -> Array:
        Counted.traces[0] += 1
        return self.coefficient * jnp.abs(a[self.mode]) ** 2


def test_new_values_do_not_retrace() -> None:
    model = nr.replace(LINEAR, {"loss": Counted(jnp.array(0.5), 1)})
    isolation(model, 0.1, 1.0)
    tcmt.steady_state(model, 0.1, jnp.ones(2))
    before = Counted.traces[0]
    assert before > 0
    for changed, omega, amplitude in (
        ({"kappa": 2.0}, 0.2, 1.5),
        ({"kappa": np.float64(2.5), "omega": np.array([0.1, 0.2])}, jnp.array(0.3), jnp.array(2.0)),
        ({"gamma.1": 3, "loss.coefficient": jnp.array(0.7)}, np.float64(0.4), np.array(0.5)),
    ):
        new = nr.replace(model, changed)
        isolation(new, omega, amplitude)
        tcmt.steady_state(new, omega, amplitude * jnp.ones(2))
    rebuilt = tcmt.TwoResonators((0, 1), [1, 2], jnp.array([0.1, 0.2]), np.array(3.0), Counted(jnp.array(1.0), 1))
    isolation(rebuilt, 1, 2)
    assert Counted.traces[0] == before


def test_x64_off_gives_single_precision() -> None:
    with jax.enable_x64(False):
        r = nr.port_response(PAIRS[1].model(), nr.Drive(0.0))
        soft = nr.port_response(PAIRS[1].model(1e-2), nr.Drive(0.0))
        assert r.b.dtype == soft.b.dtype == jnp.complex64
        transmitted, softly = np.asarray(r.s), np.asarray(soft.s)
    np.testing.assert_allclose(transmitted[1, 0], PAIRS[1].t21, rtol=1e-5)  # a hundred times the round-off of float32
    np.testing.assert_allclose(transmitted[0, 1], PAIRS[1].t12, rtol=1e-5)
    double = nr.port_response(PAIRS[1].model(1e-2), nr.Drive(0.0)).s
    np.testing.assert_allclose(softly, double, rtol=1e-4)  # the same times the stiffness of the law, γ_k/(εG) ~ 1e2
