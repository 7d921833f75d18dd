"""Branches of whole batches, and of the gap between two modes: every lane is what it is alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from diffnr.results import RESULTS

PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=5)


@pytest.mark.slow
def test_a_thousand_lanes_are_the_serial_branches() -> None:
    """vmap over (μ, r, P): every lane's folds and peaks to 1e-10."""
    rng = np.random.default_rng(4)
    mu, r, P = rng.uniform(0.5, 3, 1000), rng.uniform(0.5, 12, 1000), rng.uniform(0.05, 0.3, 1000)

    def special(mu: jax.Array, r: jax.Array, P: jax.Array) -> tuple:
        pair = nr.replace(PAIR, {"mass_ratio": mu, "stiffness_ratio": r})
        response = duffing.frequency_response(pair, amplitude=P, omega=(0.3, 5.0), max_points=300)
        peaks = response.peaks(out=1)
        return (
            response.folds.omega,
            peaks.omega,
            peaks.norm[:, 1],
            response.folds.count,
            response.result == RESULTS.successful,
        )

    lanes = jax.jit(jax.vmap(special))(mu, r, P)
    assert np.all(lanes[4])
    assert 500 < np.sum(lanes[3]) < 4000
    alone = jax.jit(special)
    for i in range(1000):
        serial = alone(mu[i], r[i], P[i])
        assert serial[3] == lanes[3][i]
        for together, one in zip(lanes[:3], serial[:3], strict=True):
            np.testing.assert_allclose(together[i], one, rtol=1e-10, atol=1e-10)  # the bound; NaN where none


@pytest.mark.slow
def test_a_lane_that_fails_is_marked_and_spoils_no_other() -> None:
    damping = jnp.array([0.05, np.nan, 0.05, 0.05])
    amplitude = jnp.array([0.15, 0.15, 1e9, 0.1])

    def response(damping: jax.Array, amplitude: jax.Array) -> tuple[duffing.OrbitBranch, jax.Array]:
        pair = nr.replace(PAIR, {"damping": damping})
        branch = duffing.frequency_response(pair, amplitude=amplitude, omega=(0.5, 2.0), max_points=150, throw=False)
        return branch, branch.result == RESULTS.no_start

    lanes, failed = jax.jit(jax.vmap(response))(damping, amplitude)
    assert np.asarray(failed)[[0, 1, 3]].tolist() == [False, True, False]
    assert lanes.count[1] == 0
    assert np.all(np.isnan(lanes.omega[1]))
    for i in (0, 3):
        alone, _ = jax.jit(response)(damping[i], amplitude[i])
        np.testing.assert_allclose(lanes.folds.omega[i], alone.folds.omega, atol=1e-10)  # Newton to round-off
        assert lanes.count[i] == alone.count
    # The lane of an absurd force ends somewhere and says where, or has no start: never a point that is not finite.
    assert np.all(np.isfinite(lanes.omega[2, : lanes.count[2]]))
    slopes = jax.jit(jax.jacrev(lambda z: jax.vmap(response)(z, amplitude)[0].folds.omega[:, 0]))(damping)
    assert np.all(np.isfinite(np.diag(slopes)[[0, 3]]))


@pytest.mark.slow
def test_the_gap_between_the_modes_is_walked() -> None:
    """Between the modes of a weakly driven pair the output falls by a thousand; the branch must not jump to another."""
    response = duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.5, 4.0)).trim()
    u = np.concatenate([response.b.real, response.b.imag], axis=2).reshape(int(response.count), -1)
    steps = np.linalg.norm(np.diff(u, axis=0), axis=1)
    assert np.max(steps) < 0.15 * np.max(np.linalg.norm(u, axis=1))
    # Finer points lie on the same curve: at each ω between the modes there is one orbit, with the port response's norm.
    for omega in (1.6, 2.2, 2.6):
        here = response.at(omega)
        assert here.count == 1
        np.testing.assert_allclose(here.b[0], nr.port_response(PAIR, nr.Drive(omega, 0.15)).b[:, 0], atol=1e-12)
