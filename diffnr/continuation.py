"""Branches of solutions of F(y, λ) = 0 by pseudo-arclength continuation, in buffers of fixed size.

Real unknowns y and one real parameter λ. The walk does not mind folds, where λ turns back. Its steps follow the
branch's curvature: a point is taken only if Newton's corrections contract fast, are short beside the step, and the
branch has turned by little, so that it never jumps to another branch in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

Linearisation = tuple[Float[Array, " n"], Float[Array, "n n"], Float[Array, " n"]]
Linearise = Callable[[Float[Array, " n"], Float[Array, ""], PyTree], Linearisation]

TURN = 0.12  # rad, the angle by which the branch should turn from point to point
LARGEST_TURN = 0.4  # rad, more is refused
CONVERGED = 1e-8  # of the scaled unknowns; the correction of this length is applied, and the next would be its square


class ENDINGS(eqx.Enumeration):
    """How the walk along a branch ended."""

    arrived = ""
    out_of_points = "The branch goes on beyond the points there is room for. Raise max_points."
    stuck = (
        "The branch could not be followed further: steps became as short as round-off allows. "
        "Look for a bifurcation, a kink of a force, or parameters out of range near its last point."
    )
    no_start = "No solution was found at the start of the branch. Begin where the response is nearly linear."


class Branch(eqx.Module):
    """Points along a branch, in order; NaN beyond `count`.

    **Fields:** `y` [point, n]; `parameter` [point], λ; `slope` [point], dλ/ds along the (scaled) arclength s, whose
    sign changes at folds; `count` []; `ending`, of `ENDINGS`; `turns` [], Newton steps taken.
    """

    y: Float[Array, "point n"]
    parameter: Float[Array, " point"]
    slope: Float[Array, " point"]
    count: Int[Array, ""]
    ending: Any
    turns: Int[Array, ""]


class _Walk(NamedTuple):
    u: Array  # the last point taken, [y, λ] scaled
    tangent: Array  # there
    before: tuple[Array, Array, Array]  # the point before it, its tangent, and their distance
    ds: Array
    trial: Array
    row: Array  # the corrector's constraint: row · (trial − u) = reach
    reach: Array
    limit: Array  # of the next correction's length
    last: Array  # whether the trial is the branch's end, at a bound of λ
    taken: Array
    turns: Array
    stop: Array
    us: Array
    slopes: Array


def trace(
    linearise: Linearise,
    y: Float[Array, " n"],
    parameter: Float[Array, ""],
    bounds: tuple[Float[Array, ""], Float[Array, ""]],
    args: PyTree = None,
    *,
    scale: tuple[Float[Array, ""], Float[Array, ""]],
    upwards: bool = True,
    step: float = 0.02,
    longest: float = 0.15,
    max_points: int = 512,
) -> Branch:
    """The branch through (y, λ), as far as λ stays within its bounds.

    **Arguments:**

    - `linearise`: `(y, λ, args) -> (F [n], ∂F/∂y [n, n], ∂F/∂λ [n])`.
    - `y`: [n], a solution at `parameter`: where to begin. `bounds`: lowest and highest λ.
    - `args`: any pytree.
    - `scale`: (of y, of λ): changes that count alike in the arclength s.
    - `upwards`: whether λ grows at first. `step`: the first Δs; `longest`: the largest, in units of `scale`.
    - `max_points`: the size of the buffers; a static number.

    **Returns:** a `Branch`. It carries no derivative: differentiate points of it (implicitly) or its folds.
    """
    args, y, parameter = lax.stop_gradient((args, y, parameter))
    size = jnp.concatenate([jnp.full_like(y, scale[0]), jnp.asarray(scale[1], y.dtype)[None]])
    size = lax.stop_gradient(size)
    low, high = (jnp.asarray(bound, y.dtype) / size[-1] for bound in lax.stop_gradient(bounds))
    n = y.size
    smallest = float(jnp.finfo(y.dtype).eps) ** 0.5

    def bordered(u: Array, row: Array, reach: Array) -> tuple[Array, Array]:
        """Newton's correction of u towards row · u = reach, and the tangent with row · tangent = 1."""
        f, jacobian, slope = linearise(u[:n] * size[:n], u[n] * size[n], args)
        matrix = jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1) * size, row[None]])
        right = jnp.stack([jnp.append(-f, reach), jnp.append(jnp.zeros_like(f), 1.0)], axis=1)
        correction, tangent = jnp.linalg.solve(matrix, right).T
        return correction, tangent

    def predicted(u: Array, tangent: Array, before: tuple, ds: Array) -> tuple[Array, Array, Array, Array]:
        """Where to try next, and by which constraint: the arclength, or λ itself at a bound."""
        rate = tangent[n]
        bound = jnp.where(rate > 0, high, low)
        ahead = u[n] + ds * rate
        last = (ahead > high) | (ahead < low)
        ds = jnp.where(last, (bound - u[n]) / jnp.where(rate == 0, 1.0, rate), ds)
        row = jnp.where(last, jnp.zeros_like(u).at[n].set(1.0), tangent)
        # Hermite's cubic through the last two points: two corrections do where a straight step would want three.
        earlier, slope, gap = before
        x = ds / gap
        secant = (u - earlier) / gap
        bend = x**2 * (2 * tangent + slope - 3 * secant) + x**3 * (tangent + slope - 2 * secant)
        return u + ds * tangent + gap * bend, row, row @ (ds * tangent), last

    def turn(walk: _Walk) -> _Walk:
        correction, tangent = bordered(walk.trial, walk.row, walk.reach - walk.row @ (walk.trial - walk.u))
        length, corrected = jnp.linalg.norm(correction), walk.trial + correction
        tangent = tangent / jnp.linalg.norm(tangent)
        tangent = jnp.where(tangent @ walk.tangent < 0, -tangent, tangent)
        angle = jnp.arccos(jnp.clip(tangent @ walk.tangent, -1.0, 1.0))
        finite = jnp.all(jnp.isfinite(corrected)) & jnp.all(jnp.isfinite(tangent))
        arrived = finite & (length <= CONVERGED * (1 + jnp.linalg.norm(corrected)))
        refused = ~finite | (~arrived & ~(length <= walk.limit)) | (arrived & (angle > LARGEST_TURN))
        taken = arrived & ~refused

        u, t = (jnp.where(taken, new, old) for new, old in ((corrected, walk.u), (tangent, walk.tangent)))
        grown = walk.ds * jnp.clip(TURN / jnp.maximum(angle, 1e-9), 0.5, 2.0)
        ds = jnp.where(taken, jnp.minimum(grown, longest), jnp.where(refused, walk.ds / 3, walk.ds))
        gap = jnp.where(taken, jnp.linalg.norm(corrected - walk.u), walk.before[2])
        before = jnp.where(taken, walk.u, walk.before[0]), jnp.where(taken, walk.tangent, walk.before[1]), gap
        trial, row, reach, last = predicted(u, t, before, ds)
        fresh = taken | refused
        where = jnp.where(taken, walk.taken, max_points)  # out of bounds: dropped
        count = walk.taken + taken
        stop = (taken & walk.last) | (count >= max_points) | (ds < smallest)
        return _Walk(
            u=u,
            tangent=t,
            before=before,
            ds=ds,
            trial=jnp.where(fresh, trial, corrected),
            row=jnp.where(fresh, row, walk.row),
            reach=jnp.where(fresh, reach, walk.reach),
            limit=jnp.where(fresh, 0.5 * ds, length / 4),
            last=jnp.where(fresh, last, walk.last),
            taken=count,
            turns=walk.turns + 1,
            stop=stop,
            us=walk.us.at[where].set(u, mode="drop"),
            slopes=walk.slopes.at[where].set(t[n], mode="drop"),
        )

    u = jnp.append(y, parameter) / size
    along = jnp.zeros_like(u).at[n].set(1.0 if upwards else -1.0)
    _, tangent = bordered(u, along, jnp.zeros((), y.dtype))
    tangent = tangent / jnp.linalg.norm(tangent)
    begun = jnp.all(jnp.isfinite(tangent))
    tangent = jnp.where(begun, tangent, along)
    before = (u - tangent, tangent, jnp.ones((), y.dtype))  # as if the branch had come straight
    trial, row, reach, last = predicted(u, tangent, before, jnp.asarray(step, y.dtype))
    walk = _Walk(
        u=u,
        tangent=tangent,
        before=before,
        ds=jnp.asarray(step, y.dtype),
        trial=trial,
        row=row,
        reach=reach,
        limit=jnp.asarray(0.5 * step, y.dtype),
        last=last,
        taken=jnp.ones((), int),
        turns=jnp.ones((), int),
        stop=~begun,
        us=jnp.full((max_points, n + 1), jnp.nan, y.dtype).at[0].set(u),
        slopes=jnp.full(max_points, jnp.nan, y.dtype).at[0].set(tangent[n]),
    )
    end = lax.while_loop(lambda walk: ~walk.stop, turn, walk)
    ending = ENDINGS.where(end.taken >= max_points, ENDINGS.out_of_points, ENDINGS.stuck)
    arrived = (end.taken > 1) & ((end.us[end.taken - 1, n] >= high) | (end.us[end.taken - 1, n] <= low))
    ending = ENDINGS.where(arrived, ENDINGS.arrived, ending)
    ending = ENDINGS.where(begun, ending, ENDINGS.no_start)
    us = end.us * size
    return Branch(us[:, :n], us[:, n], end.slopes, jnp.where(begun, end.taken, 0), ending, end.turns)


def fold_residual(u: Float[Array, " m"], args: Any) -> Float[Array, " m"]:
    """F(y, λ) and the function g(y, λ) that vanishes at folds, [n + 1], of u = [y, λ]:

        [[∂F/∂y, b], [cᵀ, 0]] [v; g] = [0; 1]      b, c: near the singular directions of ∂F/∂y; b = ∂F/∂λ will do

    **Arguments:** `u`: [n + 1]; `args`: (residual, args of it, b [n], c [n]), residual: `(y, λ, args) -> F`.

    **Notes:** its derivative is dg = −wᵀ d(∂F/∂y) v, with w the left solution: no solve is differentiated.
    """
    residual, inner, b, c = args
    return jnp.append(residual(u[:-1], u[-1], inner), _singularity(residual, u, inner, b, c))


@eqx.filter_custom_jvp
def _singularity(residual: Any, u: Array, args: PyTree, b: Array, c: Array) -> Array:
    return _null_vectors(residual, u, args, b, c)[0]


@_singularity.def_jvp
def _singularity_jvp(primals: Any, tangents: Any) -> Any:
    residual, u, args, b, c = primals
    residual_dot, u_dot, args_dot, _, _ = tangents
    g, v, w = _null_vectors(residual, u, args, b, c)

    def along(residual: Any, u: Array, args: PyTree) -> Array:
        return jax.jvp(lambda y: residual(y, u[-1], args), (u[:-1],), (v,))[1]

    u_dot = jnp.zeros_like(u) if u_dot is None else u_dot
    _, change = eqx.filter_jvp(along, (residual, u, args), (residual_dot, u_dot, args_dot))
    return g, -(w @ change)


def _null_vectors(residual: Any, u: Array, args: PyTree, b: Array, c: Array) -> tuple[Array, Array, Array]:
    jacobian = jax.jacfwd(lambda y: residual(y, u[-1], args))(u[:-1])
    matrix = jnp.concatenate(
        [jnp.concatenate([jacobian, b[:, None]], axis=1), jnp.append(c, jnp.zeros((), c.dtype))[None]]
    )
    # One call of LAPACK, not two: two that run at once in a large batch wait for each other's threads for ever
    # (jaxlib 0.10.2 on two cores).
    inverse = jnp.linalg.inv(matrix)
    return inverse[-1, -1], inverse[:-1, -1], inverse[-1, :-1]


def turning(slope: Float[Array, " point"]) -> Bool[Array, " interval"]:
    """Between which neighbouring points of a branch there is a fold, [point − 1]."""
    return slope[:-1] * slope[1:] < 0


def from_residual(residual: Callable[[Array, Array, PyTree], Array]) -> Linearise:
    """`linearise` for `trace` from a residual `(y, λ, args) -> F`, by forward differentiation."""

    def linearise(y: Array, parameter: Array, args: PyTree) -> Linearisation:
        jacobian, slope = jax.jacfwd(residual, (0, 1))(y, parameter, args)
        return residual(y, parameter, args), jacobian, slope

    return linearise
