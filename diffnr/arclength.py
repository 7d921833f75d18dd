"""The iterations that follow a branch of F(y, λ) = 0 by pseudo-arclength: each is one Newton correction."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from diffnr.elimination import BlockTridiagonal, solved_with_sign

Linearisation = tuple[Float[Array, " n"], Float[Array, "n n"], Float[Array, " n"]]
AnyLinearisation = Linearisation | tuple[Float[Array, " n"], BlockTridiagonal, Float[Array, " n"]]
LineariseWhole = Callable[[Float[Array, " n"], Float[Array, ""], PyTree], Linearisation]
Linearise = Callable[[Float[Array, " n"], Float[Array, ""], PyTree], AnyLinearisation]

TURN = 0.12  # rad, the angle by which the branch should turn from point to point
LARGEST_TURN = 0.4  # rad, more is refused
NEAR = 0.1  # of a step, how far at most what is predicted may be from the branch
STRAIGHT_ON = 0.5  # likewise, where a curve is to go straight on over a gap to another
CONVERGED = 1e-7  # of the scaled unknowns; the correction of this length is applied, and leaves 1e-12
SHORTEST = 1e-8  # step
CROSSED = 1e-4  # step, at which a branch that changes its orientation has crossed another one


class Front(NamedTuple):
    """What an iteration changes; positions and tangents are scaled, [y, λ]."""

    first: tuple[Array, Array]  # the first point and its tangent
    u: Array  # the last point taken
    tangent: Array  # there
    sign: Array  # of the bordered determinant there
    before: tuple[Array, Array, Array]  # the point before it, its tangent, and their distance
    ds: Array
    trial: Array
    row: Array  # the corrector's constraint: row · (trial − u) = advance
    advance: Array
    limit: Array  # of the next correction's length
    last: Array  # whether the trial is the branch's end, at a bound of λ
    taken: Array  # how many points are: none as long as the first one's tangent is not known
    iterations: Array
    stop: Array
    closed: Array


class Course(eqx.Module):
    """Where the branch may go, and the iterations that follow it, alike whatever they are for."""

    linearise: Linearise
    args: PyTree
    size: Float[Array, " m"]  # of the unknowns: changes that count alike
    low: Float[Array, ""]
    high: Float[Array, ""]
    longest: float
    max_points: int = eqx.field(static=True)
    oriented: bool = eqx.field(static=True)

    def bordered(self, u: Array, row: Array, advance: Array) -> tuple[Array, Array, Array]:
        """Newton's correction of u towards row · u = advance, the tangent with row · tangent = 1, and the sign of the
        bordered determinant."""
        full = u * self.size
        f, jacobian, slope = self.linearise(full[:-1], full[-1], self.args)
        row = row / self.size
        right = jnp.stack([jnp.append(-f, advance), jnp.append(jnp.zeros_like(f), 1.0)], axis=1)
        if isinstance(jacobian, BlockTridiagonal):
            steps, sign = jacobian.bordered(slope, row, right)
        else:
            matrix = jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1), row[None]])
            steps, sign = solved_with_sign(matrix, right)
        correction, tangent = steps.T / self.size
        return correction, tangent, sign

    def predicted(self, u: Array, tangent: Array, before: tuple, ds: Array) -> tuple[Array, Array, Array, Array]:
        """Where to try next, and by which constraint: the arclength, or λ itself at a bound."""
        rate = tangent[-1]
        bound = jnp.where(rate > 0, self.high, self.low)
        ahead = u[-1] + ds * rate
        last = (ahead > self.high) | (ahead < self.low)
        ds = jnp.where(last, (bound - u[-1]) / jnp.where(rate == 0, 1.0, rate), ds)
        row = jnp.where(last, jnp.zeros_like(u).at[-1].set(1.0), tangent)
        # Hermite's cubic through the last two points: two corrections do where a straight step would want three.
        earlier, slope, gap = before
        x = ds / gap
        secant = (u - earlier) / gap
        bend = x**2 * (2 * tangent + slope - 3 * secant) + x**3 * (tangent + slope - 2 * secant)
        return u + ds * tangent + gap * bend, row, row @ (ds * tangent), last

    def begun(self, u: Array, along: Array, step: float) -> Front:
        """The state before the first point u, which the first iteration takes as it is, for its tangent."""
        one, zero, no = jnp.ones((), u.dtype), jnp.zeros((), u.dtype), jnp.zeros((), bool)
        count, before = jnp.zeros((), int), (u - along, along, one)
        return Front((u, along), u, along, zero, before, step * one, u, along, zero, zero, no, count, count, no, no)

    def iterate(self, front: Front) -> Front:
        """The state after another correction; where the branch has ended, only a trial that nobody asks for changes."""
        begins = front.taken == 0
        missing = front.advance - front.row @ (front.trial - front.u)
        correction, tangent, sign = self.bordered(front.trial, front.row, missing)
        length, corrected = jnp.linalg.norm(correction), front.trial + correction
        tangent = tangent / jnp.linalg.norm(tangent)
        back = tangent @ front.tangent < 0
        tangent, sign = jnp.where(back, -tangent, tangent), jnp.where(back, -sign, sign)
        angle = jnp.arccos(jnp.clip(tangent @ front.tangent, -1.0, 1.0))
        finite = jnp.all(jnp.isfinite(corrected)) & jnp.all(jnp.isfinite(tangent))
        arrived = finite & (length <= CONVERGED * (1 + jnp.linalg.norm(corrected)))
        refused = ~finite | (~arrived & ~(length <= front.limit)) | (arrived & (angle > LARGEST_TURN))
        corrected = jnp.where(begins, front.u, corrected)
        arrived, refused = arrived | (begins & finite), jnp.where(begins, ~finite, refused)
        # Two branches that nearly meet are told apart by their orientation: straight on from one to the other it turns.
        if self.oriented:
            refused = refused | (arrived & (sign * front.sign < 0) & (front.ds > CROSSED))
        taken, refused = arrived & ~refused & ~front.stop, refused & ~front.stop

        new = (corrected, front.u), (tangent, front.tangent), (sign, front.sign)
        u, t, sign = (jnp.where(taken, new, old) for new, old in new)
        grown = front.ds * jnp.where(begins, 1.0, jnp.clip(TURN / jnp.maximum(angle, 1e-9), 0.5, 2.0))
        ds = jnp.where(taken, jnp.minimum(grown, self.longest), jnp.where(refused, front.ds / 3, front.ds))
        gap = jnp.where(taken & ~begins, jnp.linalg.norm(corrected - front.u), front.before[2])
        before = jnp.where(taken, front.u, front.before[0]), jnp.where(taken, front.tangent, front.before[1])
        # At the first point, as if the branch had come straight.
        before = jnp.where(begins, u - t, before[0]), jnp.where(begins, t, before[1]), gap
        trial, row, advance, last = self.predicted(u, t, before, ds)
        fresh = taken | refused
        count = front.taken + taken
        closed = taken & ~begins & self._is_back(front.first, u, t, front.u)
        ended = closed | (taken & front.last) | (count >= self.max_points) | (ds < SHORTEST) | (begins & ~finite)
        return Front(
            first=(front.first[0], jnp.where(begins, t, front.first[1])),
            u=u,
            tangent=t,
            sign=sign,
            before=before,
            ds=ds,
            trial=jnp.where(fresh, trial, corrected),
            row=jnp.where(fresh, row, front.row),
            advance=jnp.where(fresh, advance, front.advance),
            limit=jnp.where(fresh, (NEAR if self.oriented else STRAIGHT_ON) * ds, length / 4),
            last=jnp.where(fresh, last, front.last),
            taken=count,
            iterations=front.iterations + ~(front.stop | begins),
            stop=front.stop | ended,
            closed=front.closed | closed,
        )

    @staticmethod
    def _is_back(first: tuple[Array, Array], u: Array, tangent: Array, before: Array) -> Array:
        """Whether the step from `before` to u has passed the first point, in the first direction."""
        start, along = first
        step = jnp.linalg.norm(u - before)
        near = (jnp.linalg.norm(u - start) <= step) & (jnp.linalg.norm(before - start) <= step)
        return near & ((u - start) @ along >= 0) & ((before - start) @ along < 0) & (tangent @ along > 0)
