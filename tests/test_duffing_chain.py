"""Chains, whose work grows with the number of their oscillators: blocks beside whole matrices, splitting beside
integration in time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from diffnr import duffing
from diffnr.duffing import harmonic_balance
from diffnr.duffing.multipliers import multipliers_of
from diffnr.elimination import BlockTridiagonal

RNG = np.random.default_rng(5)


def chain(n: int) -> duffing.OscillatorChain:
    """Oscillators of which no two are alike, hard links between soft springs."""
    internal = duffing.PolynomialForce(jnp.asarray(RNG.uniform(0.5, 1.5, (3, n)) * np.array([[1.0], [0.0], [1.0]])))
    links = duffing.PolynomialForce(jnp.asarray(RNG.uniform(0.5, 1.0, (3, n - 1)) * np.array([[1.0], [0.0], [0.5]])))
    mass, friction = RNG.uniform(0.5, 2.0, n), RNG.uniform(0.0, 0.2, n)
    return duffing.OscillatorChain(mass, friction, internal, links, num_harmonics=3, odd=True)


def network(model: duffing.OscillatorChain) -> duffing.OscillatorNetwork:
    """The same oscillators, whose neighbours nobody knows."""
    n = model.num_ports
    friction = jnp.asarray(model.friction)
    return duffing.OscillatorNetwork(
        model.mass, np.zeros((n, n)), friction, model.force, num_harmonics=model.num_harmonics, odd=True
    )


@pytest.mark.parametrize(("n", "m"), [(1, 3), (2, 2), (7, 2)])
def test_runs_of_blocks_and_a_border_are_solved_as_the_whole_matrix(n: int, m: int) -> None:
    blocks = RNG.normal(size=(n, 3, m, m))  # those outside of the matrix must not count
    whole = np.zeros((n, m, n, m))
    for i in range(n):
        for j in range(max(i - 1, 0), min(i + 2, n)):
            whole[i, :, j] = blocks[i, j - i + 1]
    whole = whole.reshape(n * m, n * m)
    column, row, right = RNG.normal(size=n * m), RNG.normal(size=n * m + 1), RNG.normal(size=(n * m + 1, 2))
    solve = jax.jit(lambda matrix, *border: (matrix.dense(), matrix.bordered(*border)))
    dense, (found, sign) = solve(BlockTridiagonal(jnp.asarray(blocks)), *map(jnp.asarray, (column, row, right)))
    np.testing.assert_array_equal(dense, whole)
    bordered = np.vstack([np.hstack([whole, column[:, None]]), row])
    assert sign == np.sign(np.linalg.det(bordered))
    # Round-off times the conditions of runs, which are below 1e4 here.
    np.testing.assert_allclose(found, np.linalg.solve(bordered, right), rtol=0, atol=1e-11 * np.max(np.abs(found)))


def test_the_blocks_of_a_balance_are_those_of_its_whole_jacobian() -> None:
    model = chain(5)
    y = jnp.asarray(RNG.normal(size=5 * model.basis.size))
    args = model, harmonic_balance.forcing(model, 1, 0.3)
    whole = jax.jit(harmonic_balance.linearise)(y, jnp.asarray(1.3), args)
    f, blocks, slope = jax.jit(harmonic_balance.linearise_chain)(y, jnp.asarray(1.3), args)
    for found, expected in zip((f, blocks.dense(), slope), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)  # the same sums in another order


def test_splitting_finds_the_multipliers_that_integration_in_time_finds() -> None:
    model = chain(4)
    omega = jnp.array([0.4, 1.3])  # the slower one in two parts
    c = jnp.asarray(0.3 * RNG.normal(size=(2, 4, model.basis.size)))
    valid = jnp.ones(2, bool)
    found = jax.jit(lambda model: multipliers_of(model, c, omega, valid))(model)
    for k in range(2):
        # Splitting leaves out 2e-6 of so rough a motion, integration in time 1e-9.
        np.testing.assert_allclose(np.sort_complex(found[k]), integrated(model, c[k], omega[k]), rtol=0, atol=4e-6)


def integrated(model: duffing.OscillatorChain, c: jax.Array, omega: jax.Array) -> np.ndarray:
    """The multipliers by integration in time."""
    n, basis = model.num_ports, model.basis
    stiffness = jax.jit(lambda t: jax.jacfwd(model.force)(c @ basis.at((omega * t)[None])[0]))
    mass, friction = np.asarray(model.mass)[:, None], np.asarray(model.friction)[:, None]

    def rate(t: float, z: np.ndarray) -> np.ndarray:
        x, v = z.reshape(2, n, 2 * n)
        return np.concatenate([v, -(friction * v + np.asarray(stiffness(t)) @ x) / mass]).ravel()

    end = solve_ivp(rate, (0, np.pi / omega), np.eye(2 * n).ravel(), method="DOP853", rtol=1e-10, atol=1e-12).y[:, -1]
    return np.sort_complex(np.linalg.eigvals(end.reshape(2 * n, 2 * n)) ** 2)


@pytest.mark.slow
def test_a_long_chain_has_the_response_of_the_network_that_it_is() -> None:
    model = chain(8)
    curves = [
        duffing.frequency_response(m, amplitude=0.4, omega=(0.6, 1.6), max_points=300)
        for m in (model, network(model))
    ]  # fmt: skip
    along, whole = curves
    assert along.count == whole.count
    assert along.folds.count == whole.folds.count > 0
    # Newton's last correction is below 1e-7, and leaves its square.
    np.testing.assert_allclose(along.omega, whole.omega, rtol=0, atol=1e-9)
    np.testing.assert_allclose(along.b, whole.b, rtol=0, atol=1e-9)
    np.testing.assert_allclose(along.folds.omega, whole.folds.omega, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(along.stable, whole.stable)


@pytest.mark.parametrize(
    ("internal", "coupling", "sentence"),
    [
        (lambda x: x + jnp.sum(x**3, axis=0), lambda e: e, "internal must give the force of each oscillator from its"),
        (lambda x: x, lambda e: e + 0.1 * e[::-1], "coupling must give the force of each link from its own entry"),
    ],
)
def test_forces_that_reach_beyond_their_own_are_for_networks(internal, coupling, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        duffing.OscillatorChain([1.0, 1.0, 1.0], 0.1, internal, coupling)


@pytest.mark.slow
def test_isolas_of_a_long_chain_are_searched_as_those_of_a_network() -> None:
    """What branches off and what is left are found by whole matrices, beside branches followed by blocks."""
    n = 8
    internal = duffing.PolynomialForce(jnp.asarray([1.0, 0.0, 1.0]))
    chain = duffing.OscillatorChain(
        np.ones(n), 0.05 * np.ones(n), internal, lambda e: 0.3 * e, num_harmonics=1, odd=True
    )
    found = duffing.frequency_response(chain, amplitude=0.05, omega=(0.98, 1.06), port=0, isolas=True)
    alone = duffing.frequency_response(chain, amplitude=0.05, omega=(0.98, 1.06), port=0)
    assert bool(found.complete)
    assert int(found.count) >= int(alone.count) > 10
