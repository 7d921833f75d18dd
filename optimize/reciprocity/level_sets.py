"""Level sets of R in the plane of two ratios: their equations, and the walk along them."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffnr.continuation import Branch, fold, from_residual, trace, turning
from diffnr.parameters import replace
from diffnr.root import newton
from optimize.reciprocity.restored_orbits import (
    AtPeak,
    EqualNorms,
    Problem,
    curvatures,
    difference,
    with_tangents,
)

HOLDS = {"peak": AtPeak(), "equal_norm": EqualNorms()}  # what ω is held on


class LevelSet(eqx.Module):
    """The orbits, what ω is held on, and R² = level², [2 n + 2], of z = v / size: changes that count alike."""

    along: str = eqx.field(static=True)
    at: str = eqx.field(static=True)

    def __call__(self, z: Array, ratio: Array, args: tuple[Problem, Array, Array]) -> Array:
        problem, level, size = args
        v = z * size
        problem = eqx.tree_at(lambda x: x.pair, problem, replace(problem.pair, {self.along: ratio}))
        over = jnp.sum((difference(v, problem) / level) ** 2) - 1
        return jnp.append(HOLDS[self.at](v[:-1], (v[-1], problem)), over)


class _AtRatio(eqx.Module):
    """`LevelSet` at a fixed ratio, for `newton`."""

    equations: LevelSet

    def __call__(self, z: Array, args: tuple[Array, tuple[Problem, Array, Array]]) -> Array:
        return self.equations(z, *args)


class Walk(NamedTuple):
    """Points of a level set in order: unknowns v, the ratio along, which there are; and how the walk ended."""

    v: Float[Array, "point k"]
    along: Float[Array, " point"]
    valid: Bool[Array, " point"]
    result: Any


def walk(
    v: Float[Array, " k"],
    problem: Problem,
    level: Float[Array, ""],
    bounds: tuple[Float[Array, ""], Float[Array, ""]],
    *,
    along: str,
    at: str,
    side: str,
    max_points: int,
) -> Walk:
    """The level set that passes the restored point v, which is at the least of `bounds`; with the bend refined.

    **Arguments:** `v`, `problem`: of the restored point, at the peak; `level`: [], R; `bounds`: of the ratio `along`;
    `at`: "peak" or "equal_norm"; `side` of v, "above" or "below" in the free ratio; `max_points`: room for points.
    """
    n = (v.size - 2) // 2
    low, high = bounds
    problem = with_tangents(v, problem)
    # R² is a parabola around its minimum over p.
    of = curvatures(v, problem)
    room = level**2 - jnp.sum(difference(v, problem) ** 2)
    sign = 1 if side == "above" else -1
    aside = v + sign * jnp.sqrt(room / of.misfit) * jnp.append(of.sensitivity, 1.0)
    size = jnp.full_like(v, jnp.linalg.norm(v[:n])).at[n].set(v[n] / 2).at[-1].set(jnp.abs(v[-1]) / 2)
    equations, args = LevelSet(along, at), (problem, level, size)
    begun = newton(_AtRatio(equations), aside / size, (low, args)).value
    unit = jnp.ones((), v.dtype)
    branch = trace(
        from_residual(equations), begun, low, bounds, args, scale=(unit, (high - low) / 2), max_points=max_points
    )
    valid = jnp.arange(max_points) < branch.count
    u, exists = _bend(equations, branch, args)
    # The bend takes its place among the points, before the first that lies beyond it.
    order = jnp.argsort(jnp.append(jnp.arange(max_points), exists[1] + 0.5))
    points = jnp.concatenate([jnp.concatenate([branch.y, branch.parameter[:, None]], axis=1), u[None]])[order]
    valid = jnp.append(valid, exists[0])[order]
    return Walk(points[:, :-1] * size, points[:, -1], valid, branch.result)


def _bend(equations: LevelSet, branch: Branch, args: tuple) -> tuple[Array, tuple[Array, Array]]:
    """[z, ratio] where the branch first turns back; whether it does, and the last point before."""
    turns = turning(branch.slope)
    first = jnp.argmax(turns)
    u = jnp.concatenate([branch.y, branch.parameter[:, None]], axis=1)
    share = branch.slope[first] / (branch.slope[first] - branch.slope[first + 1])
    guess = u[first] + share * (u[first + 1] - u[first])
    exists = jnp.any(turns)
    guess, across = (jnp.where(exists, x, y) for x, y in ((guess, u[0]), (u[first + 1] - u[first], u[1] - u[0])))
    found, exists = fold(from_residual(equations), equations, guess, across[:-1], args, sought=exists)
    return jnp.where(exists, found, jnp.nan), (exists, jnp.where(exists, first, branch.count))
