"""Reciprocity of any oscillators, driven from either side: the numbers of other solvers, and of the pair itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
import optimize as op
from diffnr import duffing
from optimize.reciprocity.both_ways import DrivenBothWays, mode_of

SMALL = 3  # harmonics where two models are compared with each other
PAIR = duffing.DuffingPair(1.5, 1.0, 2.0, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=SMALL)
P = 0.3


class Cubic(eqx.Module):
    cubic: jax.Array

    def __call__(self, x):
        return self.cubic.reshape(-1, *([1] * (x.ndim - 1))) * x**3


def network_of(pair: duffing.DuffingPair) -> duffing.OscillatorNetwork:
    """The pair by its matrices."""
    kc, kn = float(pair.coupling), float(pair.cubic)
    stiffness = [[1 + kc, -kc], [-kc, float(pair.stiffness_ratio) + kc]]
    force = Cubic(kn * jnp.array([1.0, float(pair.cubic_ratio)]))
    mass, damping = [1.0, float(pair.mass_ratio)], 2 * float(pair.damping)
    return duffing.OscillatorNetwork(mass, stiffness, damping, force, num_harmonics=pair.num_harmonics)


NETWORK = network_of(PAIR)


def guide(units: int, mass_ratio: float = 1.5, num_harmonics: int = 9) -> duffing.OscillatorChain:
    """A chain of pairs."""

    def alternating(value):
        return jnp.tile(jnp.array([1.0, value]), units)

    internal = jnp.stack([alternating(1.0), jnp.zeros(2 * units), alternating(1.0)])
    link = duffing.PolynomialForce(jnp.full((1, 2 * units - 1), 5.0))
    return duffing.OscillatorChain(
        alternating(mass_ratio), 0.1, duffing.PolynomialForce(internal), link, num_harmonics=num_harmonics, odd=True
    )


GUIDE = guide(2)


# --- numbers of a model by their paths


def test_numbers_are_known_by_their_paths() -> None:
    driven = DrivenBothWays(GUIDE, jnp.asarray(P), (0, 3))
    for path in ("friction.3", "internal.coefficients.2.0"):
        index = driven.which(path, "free")
        assert float(driven.numbers[index]) == float(nr.get(driven.model, path))
        changed = driven.with_numbers(jnp.asarray(index), jnp.asarray(7.0))
        assert float(nr.get(changed.model, path)) == 7.0
        assert np.sum(np.asarray(changed.numbers != driven.numbers)) == 1
    louder = driven.with_numbers(jnp.asarray(driven.which("amplitude", "free")), jnp.asarray(7.0))
    assert float(louder.amplitude) == 7.0
    assert driven.least("mass.1") == (0.0, True)
    assert driven.least("friction.1") == (0.0, False)
    assert driven.least("internal.coefficients.0.0") == (-np.inf, False)


@pytest.mark.parametrize("model", [PAIR, NETWORK])
def test_orbits_are_told_by_their_linear_mode(model) -> None:
    driven = DrivenBothWays(model, jnp.asarray(P), (0, 1))
    together, against = jnp.array([[1.0, 1.0], [1.0, -0.6]])
    X = jnp.zeros((2, 2, len(model.harmonics)), complex).at[..., model.harmonics.index(1)].set([together, against])
    y = jnp.stack([model.basis.coefficients(x).ravel() for x in X])
    np.testing.assert_array_equal(mode_of(y, driven), [0, 1])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: op.equal_phase_points(duffing.OscillatorNetwork([1.0], [1.0]), amplitude=P, band=(0.5, 4.0)),
            "Argument pair must have two oscillators or more, but was one oscillator",
        ),
        (
            lambda: op.equal_phase_points(object(), amplitude=P, band=(0.5, 4.0)),
            "Argument pair must be a model of oscillators",
        ),
        (
            lambda: op.equal_phase_points(NETWORK, amplitude=P, band=(0.5, 4.0), ports=(0, 0)),
            "Argument ports must name two different oscillators, the first and the second port, but was",
        ),
        (
            lambda: op.equal_phase_points(NETWORK, amplitude=P, band=(0.5, 4.0), ports=(0, 2)),
            "Argument ports must be",
        ),
        (
            lambda: op.restore_reciprocity(NETWORK, amplitude=P, free="stiffness", resonance=0),
            "Argument free must be one of 'mass.0' … 'mass.1', 'stiffness.0.0' … 'stiffness.1.1', .*, 'amplitude', but",
        ),
        (
            lambda: op.restore_reciprocity(GUIDE, amplitude=P, free="mass.1", resonance=4),
            "Argument resonance must be a whole number between 0 and 3, but was 4",
        ),
        (
            lambda: op.equal_phase_locus(GUIDE, amplitude=P, along="mass.1", bounds=(0, 3), resonance=0),
            "Argument bounds must be positive for mass.1, but was 0",
        ),
        (
            lambda: op.equal_phase_locus(GUIDE, amplitude=P, along="mass.4", bounds=(1, 3), resonance=0),
            "Argument along must be one of .* but was 'mass.4'",
        ),
        (
            lambda: op.reciprocity_locus(
                NETWORK, amplitude=P, along="mass.0", bounds=(1, 2), free="mass.0", resonance=0
            ),
            "Argument along must differ from free, but was 'mass.0'",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


# --- equal phases


@pytest.mark.slow
def test_phases_are_preserved_where_other_solvers_have_it() -> None:
    """MODULATED.md, C: N_F and N_B differ and Δφ = 0; ten digits were given."""
    known = {
        (1.0, 2.0, 0.5): (0.9594600357, 0.3807920332, 0.3805125356, -0.2274611156),
        (2.0, 2.0, 1.0): (1.3405771917, 0.2512339800, 0.2505571214, -3.0765379468),
        (1.2, 0.5, 0.6): (0.8151351826, 0.4150697641, 0.4151391379, -0.1761200613),
    }
    for (mass_ratio, cubic_ratio, amplitude), (omega, forward, backward, phase) in known.items():
        pair = duffing.DuffingPair(
            mass_ratio, 1.0, cubic_ratio, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=13
        )
        found = op.equal_phase_points(pair, amplitude=amplitude, band=(0.4, 4.5)).trim()
        at = int(np.argmin(np.abs(np.asarray(found.omega) - omega)))
        assert float(found.omega[at]) == pytest.approx(omega, abs=6e-11)
        np.testing.assert_allclose(found.norm[at], [forward, backward], atol=6e-11)
        assert float(found.phase[at]) == pytest.approx(phase, abs=6e-11)
        assert np.all(np.abs(found.nonreciprocal_phase) < 1e-14)  # round-off


@pytest.mark.slow
def test_both_outputs_in_quadrature_are_those_of_other_solvers() -> None:
    """MODULATED.md, C: φ_F = φ_B = −π/2 with ω and r free; ten digits were given."""
    pair = duffing.DuffingPair(2.0, 1.0, 2.0, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=13)
    r = op.restore_reciprocity(pair, amplitude=0.15, free="stiffness_ratio", resonance=0, at="quadrature")
    assert r.converged
    np.testing.assert_allclose([r.omega, r.ratio], [1.1495767047, 2.0013562303], atol=6e-11)
    np.testing.assert_allclose(r.norm, [0.4607784373, 0.4607796216], atol=6e-11)
    first = jnp.stack([r.response.b[1, 0], r.response.b[0, 1]])[:, r.response.harmonics.index(1)]
    np.testing.assert_allclose(jnp.angle(first), -np.pi / 2, atol=1e-12)  # round-off
    assert "a quarter of a period off the force" in r.report()


@pytest.mark.slow
def test_equal_phases_of_a_network_have_exact_derivatives_and_batches() -> None:
    def omega_of(values):
        model = nr.replace(NETWORK, {"stiffness.1.1": values[0], "force.cubic.1": values[1]})
        return op.equal_phase_points(model, amplitude=values[2], band=(0.4, 2.0), most=2, throw=False).omega[0]

    own = jnp.array([6.0, 2.0, P])
    h = 1e-4 * np.eye(3) * np.asarray(own)
    batch, slopes = jax.jit(jax.vmap(jax.value_and_grad(omega_of)))(jnp.concatenate([own + h, own - h, own[None]]))
    central = (batch[:3] - batch[3:6]) / (2 * np.diag(h))
    np.testing.assert_allclose(slopes[6], central, rtol=1e-5)  # asked for; differences leave h²
    # The pair itself, found by its own name.
    pair = op.equal_phase_points(PAIR, amplitude=P, band=(0.4, 2.0), most=2)
    np.testing.assert_allclose(batch[6], pair.omega[0], rtol=1e-10)  # roots to round-off


# --- waveguides


@pytest.mark.slow
def test_a_waveguide_of_three_units_is_that_of_other_solvers() -> None:
    """MODULATED.md, C: six oscillators; ten digits were given."""
    model = guide(3)
    assert duffing.linear_frequencies(model).shape == (6,)
    response = nr.port_response(model, nr.Drive(0.9, 0.2), ports=(0, 5))
    square = nr.metrics.mean_square(jnp.stack([response.b[5, 0], response.b[0, 5]]), response.harmonics)
    np.testing.assert_allclose(jnp.sqrt(square), [0.2122964425, 0.1999503326], atol=6e-11)
    assert float(nr.metrics.nonreciprocal_phase(response, out=5, into=0)) == pytest.approx(-0.0794620907, abs=6e-11)
    found = op.equal_norm_points(model, amplitude=0.2, band=(0.7, 1.1), most=4)
    assert float(found.omega[0]) == pytest.approx(0.9381324344, abs=6e-11)
    assert float(found.norm[0]) == pytest.approx(0.2488860736, abs=6e-11)
    assert float(found.nonreciprocal_phase[0]) == pytest.approx(-0.2829471302, abs=6e-11)


# --- restored


@pytest.mark.slow
def test_a_network_is_restored_where_its_pair_is() -> None:
    """The pair begins at a closed form, the network at its own peaks: one point, R least at the peak."""
    ends = {}
    for model, free in ((PAIR, "stiffness_ratio"), (NETWORK, "stiffness.1.1")):
        for resonance in (0, 1):
            r = op.restore_reciprocity(model, amplitude=P, free=free, resonance=resonance)
            assert r.converged
            assert r.free == free
            ends[free, resonance] = np.array([r.ratio, r.omega, r.reciprocity_norm])
    for resonance in (0, 1):
        expected = ends["stiffness_ratio", resonance] + [5.0, 0.0, 0.0]  # k_c is part of K
        np.testing.assert_allclose(ends["stiffness.1.1", resonance], expected, rtol=1e-8)  # R² is flat there


@pytest.mark.slow
def test_the_locus_of_a_network_is_that_of_its_pair() -> None:
    """Point from point, and each from its closed form. The force is a bare function, which has no numbers."""
    bare = duffing.OscillatorNetwork(
        NETWORK.mass,
        NETWORK.stiffness,
        NETWORK.damping,
        lambda x: jnp.stack([x[0] ** 3, 2 * x[1] ** 3]),
        num_harmonics=SMALL,
    )
    locus = op.reciprocity_locus(
        bare, amplitude=P, along="mass.1", bounds=(1.2, 2.0), free="stiffness.1.1", resonance=0, points=3
    )
    assert np.all(locus.converged)
    for mass, ratio, norm in zip(locus.parameter, locus.ratio, locus.reciprocity_norm, strict=True):
        pair = nr.replace(PAIR, {"mass_ratio": mass})
        r = op.restore_reciprocity(pair, amplitude=P, free="stiffness_ratio", resonance=0)
        np.testing.assert_allclose([ratio, norm], [r.ratio + 5.0, r.reciprocity_norm], rtol=1e-7)  # R² is flat there
