"""Metrics of hand-made responses, whose answers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import metrics
from systems import PAIRS, central_difference


def response(
    b: object, harmonics: tuple[int, ...] = (1,), amplitude: complex = 1.0, powers: bool = True
) -> nr.PortResponse:
    """A response with outgoing amplitudes b[out, in] of the tone, or b[out, in, harmonic]."""
    b = jnp.asarray(b, complex)
    b = b[..., None] if b.ndim == 2 else b
    result = jax.vmap(lambda _: nr.RESULTS.successful)(jnp.zeros(b.shape[1]))
    return nr.PortResponse(b, harmonics, nr.Drive(0.0, amplitude), None, result, powers)


# 0 → 1 carries .1, 1 → 0 carries .5; port 0 reflects .3, port 1 −.4.
ISOLATOR = response([[0.3, 0.5j], [0.1, -0.4]])


def test_isolation_is_positive_where_into_to_out_passes() -> None:
    np.testing.assert_allclose(metrics.isolation(ISOLATOR, out=0, into=1), 20 * np.log10(5), rtol=1e-15)
    np.testing.assert_allclose(metrics.isolation(ISOLATOR, out=1, into=0), -20 * np.log10(5), rtol=1e-15)


def test_transmission_reflection_loss_and_contrast() -> None:
    doubled = response(2 * ISOLATOR.fundamental, amplitude=2.0)  # everything is per unit of drive
    for r in (ISOLATOR, doubled):
        np.testing.assert_allclose(metrics.transmission(r, out=0, into=1), 0.25, rtol=1e-15)
        np.testing.assert_allclose(metrics.transmission(r, out=1, into=1), 0.16, rtol=1e-15)
        np.testing.assert_allclose(metrics.insertion_loss(r, out=0, into=1), 20 * np.log10(2), rtol=1e-15)
        np.testing.assert_allclose(metrics.contrast(r, out=0, into=1), 0.24, rtol=1e-14)
        np.testing.assert_allclose(metrics.contrast(r, out=1, into=0), -0.24, rtol=1e-14)


def test_nothing_transmitted_is_infinite_isolation_with_slope_zero() -> None:
    def of(x: Array) -> Array:
        return metrics.isolation(response(jnp.stack([jnp.stack([0 * x, x]), jnp.stack([0 * x, 0 * x])])), out=0, into=1)

    assert of(jnp.array(0.5)) == jnp.inf
    # d(20 log10 x)/dx, and nothing from the dark direction.
    np.testing.assert_allclose(jax.grad(of)(0.5), 40 / np.log(10), rtol=1e-14)
    assert metrics.insertion_loss(response([[0, 0], [0, 0]]), out=0, into=1) == jnp.inf


@pytest.mark.parametrize(
    ("forward", "backward", "phase"),
    [(170.0, -170.0, -20.0), (-170.0, 170.0, 20.0), (90.0, 30.0, 60.0), (0.0, 180.0, 180.0), (180.0, 0.0, 180.0)],
)
def test_nonreciprocal_phase_wraps(forward: float, backward: float, phase: float) -> None:
    b = np.zeros((2, 2), complex)
    b[0, 1], b[1, 0] = 2 * np.exp(1j * np.deg2rad(forward)), 0.1 * np.exp(1j * np.deg2rad(backward))
    got = metrics.nonreciprocal_phase(response(b), out=0, into=1)
    np.testing.assert_allclose(got, np.deg2rad(phase), rtol=1e-13)  # round-off of the angles


def test_nonreciprocal_phase_of_opposite_real_numbers_is_plus_pi() -> None:
    # In the interval (−π, π], whatever the signs of the zeros.
    for forward, backward in ((1.0, -1.0), (-1.0, 1.0), (complex(-1.0, -0.0), 1.0), (1.0, complex(-1.0, -0.0))):
        b = np.array([[0, forward], [backward, 0]])
        assert metrics.nonreciprocal_phase(response(b), out=0, into=1) == jnp.pi


def test_reciprocity_norm_is_the_time_integral() -> None:
    rng = np.random.default_rng(0)
    harmonics = (0, 1, 3)
    b = rng.normal(size=(2, 2, 3)) + 1j * rng.normal(size=(2, 2, 3))  # of the mean, only the real part is heard
    t = np.arange(64) * 2 * np.pi / 64

    def output(amplitudes: np.ndarray) -> np.ndarray:
        return sum((x * np.exp(1j * h * t)).real for x, h in zip(amplitudes, harmonics, strict=True))

    mean_square = np.mean((output(b[1, 0]) - output(b[0, 1])) ** 2)  # exact for trigonometric polynomials
    r = response(b, harmonics, powers=False)
    np.testing.assert_allclose(metrics.reciprocity_norm(r), mean_square**0.5, rtol=1e-14)
    np.testing.assert_allclose(metrics.reciprocity_norm(r, out=0, into=1), mean_square**0.5, rtol=1e-14)
    np.testing.assert_allclose(metrics.reciprocity_norm(r, squared=True), mean_square, rtol=1e-14)


def test_squared_reciprocity_norm_has_a_derivative_at_zero() -> None:
    def squared(x: Array) -> Array:
        zero = jnp.zeros_like(x)
        b = jnp.stack([jnp.stack([zero, x]), jnp.stack([zero, zero])])
        return metrics.reciprocity_norm(response(b), squared=True)

    assert jax.grad(squared)(0.0) == 0.0
    np.testing.assert_allclose(jax.grad(squared)(0.4), 0.4, rtol=1e-15)  # x²/2


def lorentzian(half_width: Array, omega: Array) -> Array:
    return -10 * jnp.log10(1 + (omega / half_width) ** 2)


@pytest.mark.parametrize("drop", [3.0, 10 * np.log10(2), 10.0])
def test_bandwidth_of_a_lorentzian(drop: float) -> None:
    omega = jnp.linspace(-10.0, 10.0, 20001)

    @jax.jit
    def width(half_width: Array) -> Array:
        return metrics.bandwidth(omega, lorentzian(half_width, omega), drop=drop)

    per_unit, half = 2 * (10 ** (drop / 10) - 1) ** 0.5, 1.507  # edges that lie between points
    # Linear interpolation between points 1e-3 apart: (1e-3)²/8 times a curvature of order 10, twice.
    np.testing.assert_allclose(width(half), half * per_unit, rtol=3e-6)
    np.testing.assert_allclose(jax.grad(width)(half), per_unit, rtol=1e-3)  # the slope of a chord: first order in 1e-3
    np.testing.assert_allclose(jax.grad(width)(half), jax.jacfwd(width)(half), rtol=1e-12)
    # Against differences it is exact, as long as the same points are interpolated between.
    np.testing.assert_allclose(jax.grad(width)(half), central_difference(width, jnp.array(half), 1e-6), rtol=1e-6)


def test_bandwidth_follows_the_frequency_axis() -> None:
    omega = jnp.linspace(-5.0, 5.0, 501)
    level = lorentzian(jnp.array(1.0), omega)
    slope = jax.grad(lambda scale: metrics.bandwidth(scale * omega, level))(2.0)
    np.testing.assert_allclose(slope, metrics.bandwidth(omega, level), rtol=1e-14)  # homogeneous of degree one


def test_bandwidth_is_that_of_the_contiguous_band() -> None:
    omega = np.arange(9.0)
    level = [-9.0, 0.0, -9.0, -2.0, -1.0, -1.5, -2.0, -9.0, 0.0]
    np.testing.assert_allclose(metrics.bandwidth(omega, level), 2 * 3 / 9, rtol=1e-14)  # around the first maximum
    inner = metrics.bandwidth(omega, level, at=4)  # −4 dB is crossed at 3 − 2/7 and at 6 + 2/7
    np.testing.assert_allclose(inner, 3 + 4 / 7, rtol=1e-14)
    assert jnp.isnan(metrics.bandwidth(omega, level, at=8))  # runs out of the data
    assert jnp.isnan(metrics.bandwidth(omega, level, drop=20.0))


def test_a_gap_in_the_data_ends_the_band_undecided() -> None:
    omega = np.arange(9.0)
    level = [-9.0, -5.0, 0.0, -1.0, np.nan, -1.0, -2.0, -9.0, -9.0]
    assert jnp.isnan(metrics.bandwidth(omega, level, at=2))
    level[4] = -np.inf  # nothing transmitted at all is a value, not a gap
    np.testing.assert_allclose(metrics.bandwidth(omega, level), 3 - (2 - 3 / 5), rtol=1e-14)


TWO = {"out": 0, "into": 1}


@pytest.mark.parametrize("metric", ["isolation", "nonreciprocal_phase", "reciprocity_norm"])
@pytest.mark.parametrize(
    ("out", "into", "sentence"),
    [
        (2, 0, "out must be a port between 0 and 1, but was 2"),
        (0, -1, "into must be a port between 0 and 1, but was -1"),
        (1, 1, "into must differ from out, but was 1 like out"),
    ],
)
def test_ports_must_be_there_and_differ(metric: str, out: int, into: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Argument {sentence}"):
        getattr(metrics, metric)(ISOLATOR, out=out, into=into)


@pytest.mark.parametrize("metric", ["transmission", "insertion_loss", "contrast"])
def test_powers_are_refused_where_ports_are_not_power_normalised(metric: str) -> None:
    b = ISOLATOR.fundamental
    with pytest.raises(ValueError, match=r"^Argument response must come from a model with power-normalised ports"):
        getattr(metrics, metric)(response(b, powers=False), **TWO)
    metrics.isolation(response(b, powers=False), **TWO)
    with pytest.raises(ValueError, match=r"^Argument out must be a port between 0 and 1, but was 5"):
        getattr(metrics, metric)(ISOLATOR, out=5, into=0)


@pytest.mark.parametrize("metric", ["isolation", "transmission", "insertion_loss", "contrast", "nonreciprocal_phase"])
def test_a_batch_is_not_taken_for_one_response(metric: str) -> None:
    model = PAIRS[1].model()
    batch = jax.vmap(lambda w: nr.port_response(model, nr.Drive(w)))(jnp.array([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"^Argument response must be to one drive \(put the metric inside jax.vmap\)"):
        getattr(metrics, metric)(batch, **TWO)
    inside = jax.vmap(lambda r: getattr(metrics, metric)(r, **TWO))(batch)
    assert inside.shape == (2,)


@pytest.mark.parametrize(
    ("omega", "level", "options", "sentence"),
    [
        ([0.0, 1.0], [0.0], {}, r"level must have the shape \(2,\) of omega, but was of shape \(1,\)"),
        (0.0, 0.0, {}, r"omega must be a vector, but was of shape \(\)"),
        ([1.0, 0.0], [0.0, 0.0], {}, r"omega must increase, but was \[1., 0.\]"),
        ([0.0, 1.0], [0.0, 0.0], {"drop": 0.0}, "drop must be positive, but was 0"),
        ([0.0, 1.0], [0.0, 0.0], {"at": 2}, "at must be a point between 0 and 1, but was 2"),
        ([0.0, 1.0], [0.0, 0.0], {"at": -1}, "at must be a point between 0 and 1, but was -1"),
        ([0.0, 1.0], [0.0, 1j], {}, "level must be real"),
    ],
)
def test_bandwidth_refuses(omega: object, level: object, options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Argument {sentence}"):
        metrics.bandwidth(omega, level, **options)
