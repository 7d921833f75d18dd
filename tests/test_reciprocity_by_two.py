"""Reciprocity restored by two numbers at once, by the least relative change of both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
import optimize as op
from diffnr import duffing

P, BOTH = 0.5, ("stiffness_ratio", "cubic_ratio")
PAIR = duffing.DuffingPair(2.0, 1.0, 2.5, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=3)


def restored(pair, amplitude=P, free=BOTH, resonance=0):
    return op.restore_reciprocity(pair, amplitude=amplitude, free=free, resonance=resonance, at="equal_norm")


@pytest.mark.slow
def test_two_numbers_make_fundamentals_equal_where_they_have_changed_least() -> None:
    r = restored(PAIR)
    assert r.converged, r.message
    assert r.free == BOTH
    first = jnp.stack([r.response.b[1, 0], r.response.b[0, 1]])[:, r.response.harmonics.index(1)]
    assert abs(first[0] - first[1]) < 1e-13  # round-off
    # Of all points that one number alone finds: the change is least, as central differences of them have it.
    h, q = 1e-3, np.asarray(r.ratio) / np.array([1.0, 2.5]) - 1
    beside = [restored(nr.replace(PAIR, {"cubic_ratio": r.ratio[1] + s * h}), free=BOTH[0]).ratio for s in (1, 0, -1)]
    np.testing.assert_allclose(beside[1], r.ratio[0], rtol=1e-9)  # where two are singular by 5e3, of round-off
    slope = float(beside[0] - beside[2]) / (2 * h)
    assert abs(q[0] * slope + q[1] / 2.5) < 1e-5 * np.linalg.norm(q)  # h²
    other = restored(PAIR, free=BOTH[::-1])  # begun where the other number alone would be
    np.testing.assert_allclose(other.ratio[::-1], r.ratio, rtol=1e-9)
    assert "cubic_ratio" in r.report()
    assert "approximately" in r.message


@pytest.mark.slow
def test_a_pair_that_is_restored_keeps_its_numbers() -> None:
    """PHYSICS.md, 2: P = 1, resonance 1, μ = 1.2, H = 13: equal fundamentals at α = 2.6427742, R = 5.772632e-3."""
    pair = duffing.DuffingPair(1.2, 1.0, 2.6427742, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=13)
    r = restored(pair, amplitude=1.0, resonance=1)
    np.testing.assert_allclose(r.ratio, [1.0, 2.6427742], rtol=3e-8)  # the digits that are given
    assert float(r.reciprocity_norm) == pytest.approx(5.772632e-3, rel=3e-7)  # likewise


@pytest.mark.slow
def test_both_numbers_have_exact_derivatives_and_batches() -> None:
    def numbers_of(values):
        names = ("mass_ratio", "coupling", "stiffness_ratio", "cubic_ratio")
        return restored(nr.replace(PAIR, dict(zip(names, values[:4], strict=True))), amplitude=values[4]).ratio

    own = jnp.array([2.0, 5.0, 1.0, 2.5, P])
    h = 1e-4 * np.diag(np.asarray(own))
    batch = jax.jit(jax.vmap(numbers_of))(jnp.concatenate([own + h, own - h]))
    central = (batch[:5] - batch[5:]) / (2 * np.diag(h))[:, None]
    slopes = jax.jit(jax.jacfwd(numbers_of))(own)
    np.testing.assert_allclose(slopes.T, central, rtol=1e-5, atol=1e-5)  # asked for; differences leave h²


@pytest.mark.slow
def test_a_defect_and_a_link_of_a_chain() -> None:
    """The chain of two is the pair: the same numbers by other names."""
    springs = duffing.PolynomialForce(jnp.array([[1.0, 1.0], [0.0, 0.0], [1.0, 2.5]]))
    chain = duffing.OscillatorChain(
        jnp.array([1.0, 2.0]), 0.1, springs, duffing.PolynomialForce(jnp.array([[5.0]])), num_harmonics=3
    )
    r = restored(chain, free=("internal.coefficients.0.1", "internal.coefficients.2.1"))
    assert r.converged
    np.testing.assert_allclose(r.ratio, restored(PAIR).ratio, rtol=1e-9)  # where two are singular by 5e3, of round-off


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"free": ("coupling", "coupling")}, "Argument free must name one number or two different ones"),
        ({"free": ("coupling", "damping", "cubic")}, "Argument free must name one number or two different ones"),
        ({"free": ("coupling", "cubic"), "at": "peak"}, "Argument free must be one of"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(options, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        op.restore_reciprocity(PAIR, **{"amplitude": P, "resonance": 0, "at": "equal_norm", **options})
