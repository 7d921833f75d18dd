"""Branches of orbits put together by hand, so that no test of what is read off them need compute one."""

import jax
import jax.numpy as jnp
import numpy as np

from diffnr import duffing
from diffnr.duffing.driven import DrivenOscillators
from diffnr.results import RESULTS

PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=3)
ROOM = 8


def points(omega: np.ndarray, growth: np.ndarray, room: int = ROOM) -> duffing.Points:
    """Orbits of amplitude 1/ω and 2/ω with third harmonics of half the size, and a multiplier of a size given."""
    n = omega.size
    b = np.einsum("p,j,h->pjh", 1 / omega, [1.0, 2.0j], [1.0, 0.5])
    multipliers = np.tile([0.3, 0.2, 0.1, 0.05], (n, 1)).astype(complex)
    multipliers[:, 0] = growth

    def padded(x: np.ndarray) -> jax.Array:
        return jnp.full((room, *x.shape[1:]), jnp.nan, x.dtype).at[:n].set(x)

    value = padded(omega)
    return duffing.Points(value, value, padded(b), padded(multipliers), jnp.asarray(n), (1, 3))


def orbit_branch(amplitude: float, omega: list[float], growth: list[float], piece: list[int]) -> duffing.OrbitBranch:
    """A branch through these points, which turns back between those of index 1 and 2."""
    n = len(omega)
    slope = np.where(np.arange(n) < 2, 1.0, -1.0)
    whole = points(np.array(omega), np.array(growth))
    folds = points(np.array([1.3]), np.array([1.0]), room=2)
    driven = DrivenOscillators(PAIR, jnp.array(omega[0]), jnp.array(amplitude), 0, "omega")
    padding = ROOM - n
    return duffing.OrbitBranch(
        whole,
        folds,
        RESULTS.successful,
        driven,
        jnp.array(piece + [-1] * padding),
        jnp.append(slope, jnp.full(padding, jnp.nan)),
        (RESULTS.successful,) * 2,
        jnp.array(True),
    )


def short() -> duffing.OrbitBranch:
    """Three points: stable, stable, unstable."""
    return orbit_branch(0.1, [1.0, 1.2, 1.1], [0.9, 0.95, 1.1], [0, 0, 0])


def long() -> duffing.OrbitBranch:
    """Three points, then two of another piece."""
    return orbit_branch(0.2, [1.0, 1.2, 1.1, 2.0, 1.9], [0.9, 0.95, 1.1, 0.9, 0.9], [0, 0, 0, 1, 1])


def batch() -> duffing.OrbitBranch:
    """Both, as `vmap` returns them."""
    return jax.tree_util.tree_map(lambda *both: jnp.stack(both), short(), long())
