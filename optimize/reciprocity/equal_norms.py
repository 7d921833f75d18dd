"""Equations of a pair's two orbits with outputs of one norm at one frequency, driven from either side; and their roots.

The unknowns are one real vector u = [y_F, ω, y_B]: coefficients of the forward orbit (oscillator 0 driven, output 1),
the frequency, those of the backward orbit (oscillator 1 driven, output 0).
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from diffnr.continuation import trace
from diffnr.duffing.branch import response_scale
from diffnr.duffing.harmonic_balance import continued_orbit, forcing, linearise, residual
from diffnr.duffing.oscillators import DuffingPair
from diffnr.ports import Drive
from diffnr.results import RESULTS
from diffnr.root import newton

LEAVES = ("mass_ratio", "stiffness_ratio", "cubic_ratio", "coupling", "cubic", "damping", "amplitude")
CONDITION = 1e6  # relative change of u by that of a norm; beyond it orbits precise to 1e-10 leave 1e-4 undetermined
DIFFERENT = 1e-8  # of norms: what Newton's method leaves of them is less
SAME = 1e-6  # of the size: points closer than this are one
PIECES = 9  # of a branch between its folds


class Driven(eqx.Module):
    """A pair and the force's amplitude [], whose seven numbers are its `LEAVES`."""

    pair: DuffingPair
    amplitude: Float[Array, ""]

    @property
    def leaves(self) -> Float[Array, " leaf"]:
        """The values of the `LEAVES`."""
        return jnp.stack([getattr(self.pair, name) for name in LEAVES[:-1]] + [self.amplitude])

    def with_leaves(self, which: Int[Array, "..."], values: Float[Array, "..."]) -> Driven:
        """With other values of the leaves `which`; as an array, so that all of them share what is compiled."""
        *ratios, amplitude = self.leaves.at[which].set(values)
        return Driven(DuffingPair(*ratios, num_harmonics=self.pair.num_harmonics), amplitude)


class Unknowns(NamedTuple):
    """The parts of u."""

    orbits: Float[Array, "direction n"]
    omega: Float[Array, ""]


def split(u: Float[Array, " k"]) -> Unknowns:
    """u in its parts."""
    n = u.size // 2
    return Unknowns(jnp.stack([u[:n], u[n + 1 :]]), u[n])


def joined(forward: Float[Array, " n"], omega: Float[Array, ""], backward: Float[Array, " n"]) -> Float[Array, " k"]:
    """u of its parts."""
    return jnp.concatenate([forward, omega[None], backward])


def balances(u: Float[Array, " k"], driven: Driven) -> Float[Array, " both"]:
    """F of both orbits, [2 n]."""
    y, omega = split(u)

    def balance(y: Array, port: Array) -> Array:
        return residual(y, (driven.pair, omega, forcing(driven.pair, port, driven.amplitude)))

    return jax.vmap(balance)(y, jnp.arange(2)).ravel()


def excess(u: Float[Array, " k"], driven: Driven) -> Float[Array, ""]:
    """(N_F² − N_B²) / (N_F² + N_B²)."""
    forward, backward = _squares(split(u).orbits, driven.pair)
    return (forward - backward) / (forward + backward)


def phase_wave(u: Float[Array, " k"], driven: Driven) -> Float[Array, " wave"]:
    """(cos, sin) of Δφ."""
    y = split(u).orbits.reshape(2, 2, -1)[:, :, np.asarray(driven.pair.basis.terms) == 1]
    (c_f, s_f), (c_b, s_b) = y[0, 1], y[1, 0]
    wave = jnp.stack([c_f * c_b + s_f * s_b, c_f * s_b - s_f * c_b])
    return wave / jnp.sqrt(jnp.sum(wave**2))


class EqualNorms(eqx.Module):
    """Both orbits, and N_F = N_B, [2 n + 1]; where `found` is False both orbits at the frequency they have instead."""

    def __call__(self, u: Array, args: tuple[Driven, Bool[Array, ""]]) -> Array:
        driven, found = args
        here = lax.stop_gradient(split(u).omega)
        return jnp.append(balances(u, driven), jnp.where(found, excess(u, driven), split(u).omega - here))


def undetermined(u: Float[Array, " k"], driven: Driven) -> Float[Array, ""]:
    """How much u changes, relatively, by a relative change of one norm: large where N_F = N_B is a double root."""
    u, driven = lax.stop_gradient((u, driven))
    jacobian = jax.jacfwd(EqualNorms())(u, (driven, jnp.ones((), bool)))
    change = jnp.linalg.solve(jacobian, jnp.zeros_like(u).at[-1].set(1.0))
    return jnp.linalg.norm(change / sizes(u))


def sizes(u: Float[Array, " k"]) -> Float[Array, " k"]:
    """What counts alike in u: the size of each orbit, and half of the frequency."""
    y, omega = split(u)
    forward, backward = jnp.broadcast_to(jnp.linalg.norm(y, axis=1, keepdims=True), y.shape)
    return joined(forward, omega / 2, backward)


def _squares(y: Float[Array, "direction n"], pair: DuffingPair) -> Float[Array, " direction"]:
    """N² of both outputs."""
    forward, backward = y.reshape(2, 2, -1)
    return jnp.stack([jnp.sum(pair.basis.weights * forward[1] ** 2), jnp.sum(pair.basis.weights * backward[0] ** 2)])


def roots(
    driven: Driven, low: Array, high: Array, most: int, max_points: int
) -> tuple[Float[Array, "point k"], Bool[Array, " point"], Bool[Array, ""]]:
    """u of all points in order along the forward branch, which there are, and whether both branches have a start.

    Where there is none, u is the start of both branches: regular, for a lane that is masked is differentiated as well.
    """
    y, omega = lax.map(lambda port: _branch(driven, port, low, high, max_points), jnp.arange(2))
    start = joined(y[0, 0], omega[0, 0], y[1, 0])

    # Seen from the points of either branch: near a fold of one of them only its own points surround a crossing.
    ports = jnp.arange(2)
    seen = lax.map(
        lambda port: _crossings(driven, port, y[port], omega[port], y[1 - port], omega[1 - port], most), ports
    )
    guess, reach, position, found = (x.reshape(2 * most, *x.shape[2:]) for x in seen)
    order = jnp.argsort(jnp.where(found, position, jnp.inf))
    guess, reach, found = guess[order], reach[order], found[order]

    def refine(guess: Array, reach: Array) -> tuple[Array, Array]:
        solution = newton(EqualNorms(), guess, (driven, jnp.ones((), bool)), max_steps=20)
        u = solution.value
        near = jnp.linalg.norm((u - guess) / sizes(guess)) <= reach
        return u, (solution.result == RESULTS.successful) & near & (undetermined(u, driven) < CONDITION)

    u, good = jax.vmap(refine)(guess, reach)
    valid = _distinct(u, found & good)
    first = jnp.nonzero(valid, size=most, fill_value=-1)[0]
    return jnp.where((first >= 0)[:, None], u[first], start), first >= 0, jnp.all(jnp.isfinite(start))


def _distinct(u: Float[Array, "point k"], found: Bool[Array, " point"]) -> Bool[Array, " point"]:
    """Which of the points found are not among those before."""
    u = jnp.where(found[:, None], u, 1.0)
    apart = jnp.linalg.norm((u[:, None] - u) / jax.vmap(sizes)(u), axis=-1) > SAME
    earlier = np.tri(found.size, k=-1, dtype=bool)
    return found & jnp.all(apart | ~earlier | ~found, axis=1)


def _crossings(
    driven: Driven, port: Array, y: Array, omega: Array, other_y: Array, other_omega: Array, most: int
) -> tuple[Float[Array, "point k"], Float[Array, " point"], Float[Array, " point"], Bool[Array, " point"]]:
    """Where the norms of two branches cross between points of the first, the one driven at `port`.

    Returns guesses of u, how far from them roots may be, their positions along the forward branch, and which there are.
    """
    turns = jnp.diff(jnp.sign(jnp.diff(other_omega))) != 0
    piece = jnp.cumsum(jnp.append(jnp.zeros((1,), int), turns))  # of each interval: folds before it
    args = driven.pair, forcing(driven.pair, 1 - port, driven.amplitude)

    def opposite(omega: Array, number: Array) -> tuple[Array, Array]:
        """The other direction's orbit at a frequency on one piece of its branch, and its position there, or NaN."""
        below = other_omega - omega
        spans = (below[:-1] * below[1:] <= 0) & (piece == number)
        j = jnp.argmax(spans)
        share = jnp.where(below[j] == 0, 0.0, below[j] / (below[j] - below[j + 1]))
        x = other_y[j] * (1 - share) + other_y[j + 1] * share
        for _ in range(2):  # a chord is good to 1e-3, so that two steps leave 1e-10
            f, jacobian, _ = linearise(x, omega, args)
            x = x - jnp.linalg.solve(jacobian, f)
        return jnp.where(jnp.any(spans), x, jnp.nan), j + share

    def pair_up(omega: Array) -> tuple[Array, Array]:
        return jax.vmap(opposite, (None, 0))(omega, jnp.arange(PIECES))

    other, position = jax.vmap(pair_up)(omega)  # [point, piece, …]
    forward = port == 0
    mine = jnp.broadcast_to(y[:, None], other.shape)
    at = jnp.broadcast_to(omega[:, None], position.shape)
    position = jnp.where(forward, jnp.arange(omega.size, dtype=position.dtype)[:, None], position)
    u = jnp.where(forward, jnp.concatenate([mine, at[..., None], other], axis=-1),
                  jnp.concatenate([other, at[..., None], mine], axis=-1))  # fmt: skip
    gap = jax.vmap(jax.vmap(lambda u: excess(u, driven)))(u)
    cross = (gap[:-1] * gap[1:] <= 0) & (gap[1:] != 0) & (jnp.abs(gap[1:] - gap[:-1]) > DIFFERENT)
    first = jnp.nonzero(cross.ravel(), size=most, fill_value=-1)[0]
    i, k = jnp.divmod(jnp.maximum(first, 0), PIECES)
    share = gap[i, k] / (gap[i, k] - gap[i + 1, k])
    chord = u[i + 1, k] - u[i, k]
    guess = u[i, k] + share[:, None] * chord
    reach = jnp.linalg.norm(chord / jax.vmap(sizes)(guess), axis=1)
    return guess, reach, position[i, k] + share * (position[i + 1, k] - position[i, k]), first >= 0


def _branch(driven: Driven, port: Array, low: Array, high: Array, max_points: int) -> tuple[Array, Array]:
    """The orbits along the branch of one direction and their frequencies; NaN beyond the last."""
    pair, amplitude = driven.pair, driven.amplitude
    b, result = continued_orbit(pair, Drive(low, amplitude), port)
    y = jnp.where(result == RESULTS.successful, pair.basis.coefficients(b).ravel(), jnp.nan)
    scale = response_scale(pair, amplitude, low, high)
    args = pair, forcing(pair, port, amplitude)
    branch = trace(linearise, y, low, (low, high), args, scale=scale, max_points=max_points)
    valid = jnp.arange(max_points) < branch.count
    return jnp.where(valid[:, None], branch.y, jnp.nan), jnp.where(valid, branch.parameter, jnp.nan)
