"""The closed form of one harmonic against independent solvers' points, its own equations and harmonic balance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffnr as nr
from diffnr import duffing
from diffnr.duffing.one_harmonic import one_harmonic_restoration
from systems import central_difference

PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)


def restored(pair: duffing.DuffingPair = PAIR, amplitude=0.15, free: str = "stiffness_ratio", resonance: int = 0):
    return one_harmonic_restoration(pair, amplitude=amplitude, free=free, resonance=resonance)


@pytest.mark.parametrize(
    ("mass", "amplitude", "free", "resonance", "value", "omega"),
    [
        (2.0, 0.15, "stiffness_ratio", 0, 2.3207433, 1.1492360),
        (2.0, 0.15, "stiffness_ratio", 1, 12.0272182, 3.3207256),
        (2.0, 0.5, "cubic_ratio", 0, 2.5826429, None),
        (1.2, 1.0, "cubic_ratio", 1, 2.6636910, None),
    ],
)
def test_points_of_independent_solvers(mass, amplitude, free, resonance, value, omega) -> None:
    found = restored(nr.replace(PAIR, {"mass_ratio": mass}), amplitude, free, resonance)
    assert float(found.ratio) == pytest.approx(value, abs=5.1e-8)  # the digits given
    assert omega is None or float(found.omega) == pytest.approx(omega, abs=5.1e-8)
    assert float(found.displacement) == pytest.approx(amplitude / (4 * 0.05 * float(found.omega)), rel=1e-14)


ratio = st.floats(0.5, 3.0)


@given(mu=ratio, r=ratio, alpha=ratio, amplitude=st.floats(0.05, 1.0), resonance=st.integers(0, 1))
@settings(max_examples=20)
def test_both_directions_answer_alike_at_one_harmonic(mu, r, alpha, amplitude, resonance) -> None:
    """Independent of how the point was found: both orbits satisfy the balance, with the same output."""
    pair = duffing.DuffingPair(mu, r, alpha, 5.0, 1.0, 0.05, num_harmonics=1)
    for free in ("stiffness_ratio", "mass_ratio", "cubic_ratio"):
        found = restored(pair, amplitude, free, resonance)
        x1, x2 = np.asarray(found.phasors)
        ratios = {"mass_ratio": mu, "stiffness_ratio": r, "cubic_ratio": alpha, free: float(found.ratio)}
        w = float(found.omega)

        def balance(driven: complex, other: complex, first: int, ratios: dict = ratios, w: float = w) -> float:
            """The largest misfit of the two equations where oscillator `first` is driven."""
            own = [1 - w**2, ratios["stiffness_ratio"] - ratios["mass_ratio"] * w**2]
            cubic = [1.0, ratios["cubic_ratio"]]
            x = (driven, other) if first == 0 else (other, driven)
            misfit = [
                (own[i] + 0.1j * w + 0.75 * cubic[i] * abs(x[i]) ** 2) * x[i] + 5 * (x[i] - x[1 - i])
                - amplitude * (i == first)
                for i in (0, 1)
            ]  # fmt: skip
            return max(map(abs, misfit)) / amplitude

        # The same pair of phasors both ways round. Round-off, of terms k_c A that are up to 1e3 times the force.
        assert max(balance(x1, x2, 0), balance(x1, x2, 1)) < 1e-9
        assert abs(x1) == pytest.approx(float(found.displacement), rel=1e-11)
        assert (np.real(x1 * np.conj(x2)) > 0) == (resonance == 0)


def test_derivatives_vmap_and_jit() -> None:
    def value(leaves):
        pair = nr.replace(PAIR, {"mass_ratio": leaves[0], "damping": leaves[1], "coupling": leaves[2]})
        found = restored(pair, leaves[3], "stiffness_ratio", 1)
        return jnp.stack([found.ratio, found.omega])

    at = jnp.array([2.0, 0.05, 5.0, 0.15])
    slopes = jax.jacrev(value)(at)
    for i in range(4):
        step = jnp.zeros(4).at[i].set(1.0)
        along = central_difference(jax.jit(lambda t, step=step: value(at + t * step)), jnp.asarray(0.0), 1e-4)
        np.testing.assert_allclose(slopes[:, i], along, rtol=1e-8)  # round-off over a step of 1e-4
    assert float(slopes[0, 0]) == pytest.approx(float(restored(resonance=1).omega) ** 2, rel=1e-12)  # dr/dμ = ω*²
    batch = jax.vmap(value)(jnp.stack([at, 1.1 * at]))
    np.testing.assert_allclose(batch, jnp.stack([value(at), value(1.1 * at)]), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: restored(free="damping"), "Argument free must be one of 'stiffness_ratio', .* but was 'damping'"),
        (lambda: restored(resonance=2), "Argument resonance must be 0 or 1, but was 2"),
        (lambda: restored(amplitude=np.nan), "Argument amplitude must be finite, but was nan"),
        (lambda: restored(nr.replace(PAIR, {"damping": 0.0})), "Argument pair must have a damping .* undamped"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(("leaves", "free"), [({"damping": 5.0}, "stiffness_ratio"), ({"cubic": 0.0}, "cubic_ratio")])
def test_a_resonance_that_does_not_exist_is_said(leaves: dict, free: str) -> None:
    pair = nr.replace(PAIR, leaves)
    with pytest.raises(RuntimeError, match="The pair has no such resonance with a finite ratio"):
        restored(pair, free=free)
    found = one_harmonic_restoration(pair, amplitude=0.15, free=free, resonance=0, throw=False)
    assert not found.converged
    assert "no such resonance" in found.message
    assert np.isnan(found.ratio)
    assert restored().converged
