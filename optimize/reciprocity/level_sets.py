"""Level sets of R in the plane of two ratios: their equations, and how they are followed."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from diffnr.continuation import Branch, fold, from_residual, trace, turning
from diffnr.root import newton
from optimize.reciprocity.both_ways import DrivenBothWays, Equal, difference
from optimize.reciprocity.restored_orbits import AtPeak, FreeRatio, curvatures, with_tangents

HELD = ("peak", "equal_norm")  # what ω is held on

Args = tuple[FreeRatio, Int[Array, ""], Float[Array, ""], Float[Array, " k"]]  # free, along, level, size


class LevelSet(eqx.Module):
    """The orbits, what ω is held on, and R² = level², [2 n + 2], of z = v / size: changes that count alike."""

    at: str = eqx.field(static=True)

    def __call__(self, z: Array, value: Array, args: Args) -> Array:
        free, along, level, size = args
        v = z * size
        u, driven = v[:-1], pair_at(free, along, v[-1], value)
        held = AtPeak()(u, (driven, free.rows[0])) if self.at == "peak" else Equal()(u, driven)
        return jnp.append(held, jnp.sum((difference(u, driven) / level) ** 2) - 1)


class _AtValue(eqx.Module):
    """`LevelSet` at a fixed value of the ratio along, for `newton`."""

    equations: LevelSet

    def __call__(self, z: Array, args: tuple[Array, Args]) -> Array:
        return self.equations(z, *args)


class LevelPoints(NamedTuple):
    """Points of a level set in order: unknowns v, the ratio along, which there are; and how following it ended."""

    v: Float[Array, "point k"]
    parameter: Float[Array, " point"]
    valid: Bool[Array, " point"]
    result: Any


def pair_at(free: FreeRatio, along: Int[Array, ""], ratio: Array, value: Array) -> DrivenBothWays:
    """The pair with values of its free ratio and of the one along."""
    return free.driven.with_numbers(jnp.stack([free.which, along]), jnp.stack([ratio, value]))


def follow_level(
    v: Float[Array, " k"],
    free: FreeRatio,
    along: Int[Array, ""],
    level: Float[Array, ""],
    bounds: tuple[Float[Array, ""], Float[Array, ""]],
    *,
    at: str,
    side: str,
    max_points: int,
) -> LevelPoints:
    """The level set that passes the restored point v, which is at the least of `bounds`; with the bend refined.

    **Arguments:** `v`, `free`: of the restored point, at the peak; `along`: which parameter, and its `bounds`; `level`:
    [], R; `at`: "peak" or "equal_norm"; `side` of v, "above" or "below" in the free ratio; `max_points`: room for them.
    """
    n = (v.size - 2) // 2
    low, high = bounds
    free = with_tangents(v, free)
    # R² is a parabola around its minimum over p.
    of = curvatures(v, free)
    room = level**2 - jnp.sum(difference(v[:-1], free.driven) ** 2)
    sign = 1 if side == "above" else -1
    aside = v + sign * jnp.sqrt(room / of.misfit) * jnp.append(of.sensitivity, 1.0)
    size = jnp.full_like(v, jnp.linalg.norm(v[:n])).at[n].set(v[n] / 2).at[-1].set(jnp.abs(v[-1]) / 2)
    equations, args = LevelSet(at), (free, along, level, size)
    begun = newton(_AtValue(equations), aside / size, (low, args)).value
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
    return LevelPoints(points[:, :-1] * size, points[:, -1], valid, branch.result)


def _bend(equations: LevelSet, branch: Branch, args: Args) -> tuple[Array, tuple[Array, Array]]:
    """[z, parameter] where the branch first turns back; whether it does, and the last point before."""
    turns = turning(branch.slope)
    first = jnp.argmax(turns)
    u = jnp.concatenate([branch.y, branch.parameter[:, None]], axis=1)
    share = branch.slope[first] / (branch.slope[first] - branch.slope[first + 1])
    guess = u[first] + share * (u[first + 1] - u[first])
    exists = jnp.any(turns)
    guess, across = (jnp.where(exists, x, y) for x, y in ((guess, u[0]), (u[first + 1] - u[first], u[1] - u[0])))
    found, exists = fold(from_residual(equations), equations, guess, across[:-1], args, sought=exists)
    return jnp.where(exists, found, jnp.nan), (exists, jnp.where(exists, first, branch.count))
