"""Points of a branch that are looked for: its folds, those at one value of the parameter, and its peaks.

Each is bracketed by neighbouring points of the branch and refined by Newton's method, with exact derivatives. How many
there are is known at run time only: buffers have room for some, and the rest is masked. What is masked is
differentiated all the same, so that it must be a regular point, never NaN.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from diffnr import continuation
from diffnr.compilation import compiled
from diffnr.continuation import turning
from diffnr.duffing import harmonic_balance
from diffnr.duffing.basis import Basis
from diffnr.duffing.driven import DrivenOscillators, balance, balance_at, linearise_whole
from diffnr.duffing.points import Points
from diffnr.results import RESULTS
from diffnr.root import implicit, newton

Found = tuple[Float[Array, "found n"], Float[Array, " found"], Bool[Array, " found"]]


def folds(
    driven: DrivenOscillators,
    u: Float[Array, "point m"],
    slope: Float[Array, " point"],
    piece: Int[Array, " point"],
    most: int,
) -> Found:
    """Coefficients and parameter of where a branch u = [y, λ] turns back, in order, and which of `most` there are."""
    first, valid = first_of(turning(slope) & _joined(piece), most)
    # Where dλ/ds vanishes, by linear interpolation.
    share = slope[first] / (slope[first] - slope[first + 1])
    guess = jnp.where(valid[:, None], _between(u, first, share), u[0])
    along = jnp.where(valid[:, None], u[first + 1, :-1] - u[first, :-1], 1.0)

    def one(job: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        guess, along, valid = job
        return continuation.fold(linearise_whole, balance, guess, along, driven, sought=valid)

    # One by one: rows of a batch wait for each other, those without a fold too.
    found, valid = lax.map(one, (guess, along, valid))
    return found[:, :-1], found[:, -1], valid


@compiled
def at(
    driven: DrivenOscillators,
    points: Points,
    piece: Int[Array, " point"],
    closed: Bool[Array, " point"],
    value: Array,
    most: int,
) -> Points:
    """The orbits at one value of the parameter, in order along the branch; `closed`: which points are on loops."""
    u, value_ = rows_of(driven, points), lax.stop_gradient(value)
    u = once_around(u, piece, closed)
    below = u[:, -1] - value_
    first, valid = first_of((below[:-1] * below[1:] <= 0) & (below[1:] != 0) & _joined(piece), most)
    guess = _between(u, first, below[first] / (below[first] - below[first + 1]))
    guess = or_first(guess, valid, u[0])[:, :-1]
    y, valid = jax.vmap(lambda guess, valid: refined(balance_at, guess, (driven, value), u[0, :-1], valid))(
        guess, valid
    )
    return driven.orbits(y, jnp.broadcast_to(value, (most,)), valid)


@compiled
def peaks(driven: DrivenOscillators, points: Points, piece: Int[Array, " point"], out: int, most: int) -> Points:
    """The maxima of the norm of one oscillator, in order along the branch."""
    u, norm = rows_of(driven, points), lax.stop_gradient(points.norm[:, out])
    joined = _joined(piece)
    before, valid = first_of((norm[1:-1] >= norm[:-2]) & (norm[1:-1] > norm[2:]) & joined[1:] & joined[:-1], most)
    guess = or_first(u[before + 1], valid, u[0])
    along = or_first(u[before + 2] - u[before], valid, jnp.ones_like(u[0]))

    def one(guess: Array, along: Array, valid: Array) -> tuple[Array, Array]:
        return refined(_Peak(out), guess, (driven, along / jnp.linalg.norm(along)), u[0], valid)

    found, valid = jax.vmap(one)(guess, along, valid)
    return driven.orbits(found[:, :-1], found[:, -1], valid)


def peak_residual(out: int, u: Float[Array, " m"], args: Any) -> Float[Array, " m"]:
    """F(y, ω) and d(N²/2)/ds of one oscillator along the branch, whose tangent t has row · t = 1, [n·m + 1].

    **Arguments:** `out`: the oscillator; `u`: [n·m + 1], y and ω; `args`: (model, the force's coefficients, row).
    """
    model, drive, row = args
    return _stationary(out, u, harmonic_balance.linearise(u[:-1], u[-1], (model, drive)), row, model.basis)


class _Peak(eqx.Module):
    out: int = eqx.field(static=True)

    def __call__(self, u: Array, args: tuple[DrivenOscillators, Array]) -> Array:
        driven, row = args
        return _stationary(self.out, u, linearise_whole(u[:-1], u[-1], driven), row, driven.model.basis)


def _stationary(out: int, u: Array, linearisation: tuple[Array, Array, Array], row: Array, basis: Basis) -> Array:
    f, jacobian, slope = linearisation
    matrix = jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1), row[None]])
    tangent = jnp.linalg.solve(matrix, jnp.zeros_like(u).at[-1].set(1.0))
    ours = slice(out * basis.size, (out + 1) * basis.size)
    return jnp.append(f, jnp.sum(basis.weights * u[:-1][ours] * tangent[:-1][ours]))


def rows_of(driven: DrivenOscillators, points: Points) -> Float[Array, "point m"]:
    """Coefficients and parameter [y, λ] of points, without derivatives."""
    y = jax.vmap(lambda b: driven.model.basis.coefficients(b).ravel())(points.b)
    return lax.stop_gradient(jnp.concatenate([y, points.parameter[:, None]], axis=1))


def once_around(
    u: Float[Array, "point m"], piece: Int[Array, " point"], closed: Bool[Array, " point"]
) -> Float[Array, "point m"]:
    """u with the first point of every closed loop in the place of its last, which lies beyond it."""
    place = jnp.arange(piece.size)
    begins = jnp.append(True, piece[1:] != piece[:-1])
    last = jnp.append(begins[1:], True) & closed & (piece >= 0)
    first = lax.cummax(jnp.where(begins, place, 0))
    return jnp.where(last[:, None], u[first], u)


def _joined(piece: Int[Array, " point"]) -> Bool[Array, " interval"]:
    """Between which neighbouring points the branch goes on."""
    return piece[1:] == piece[:-1]


def first_of(where: Bool[Array, " interval"], most: int) -> tuple[Array, Array]:
    """The first `most` places at which a condition holds, and which of them there are."""
    room = max(most - where.size, 0)
    places = jnp.pad(jnp.argsort(~where)[:most], (0, room))
    there = jnp.arange(most) < jnp.sum(where)
    return jnp.where(there, places, 0), there


def _between(u: Array, first: Array, share: Array) -> Array:
    return u[first] * (1 - share)[:, None] + u[first + 1] * share[:, None]


def or_first(guess: Array, valid: Array, otherwise: Array) -> Array:
    """Guesses [point, m], with the first one in the place of those not `valid`: a batch waits for its slowest."""
    return jnp.where(valid[:, None], guess, jnp.where(valid[0], guess[0], otherwise))


def refined(residual: Any, guess: Array, args: Any, spare: Array, valid: Array) -> tuple[Array, Array]:
    """The root near `guess` with its derivative, and whether there is one; elsewhere `spare`, a regular point."""
    solution = newton(residual, guess, args, max_steps=20)
    valid = valid & (solution.result == RESULTS.successful)
    return implicit(residual, lax.stop_gradient(jnp.where(valid, solution.value, spare)), args), valid
