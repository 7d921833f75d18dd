"""What stands out on a locus of equal outputs: where it is reciprocal, and where another branch crosses or is near."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Bool, Float

from diffnr.continuation import from_residual
from diffnr.results import RESULTS
from diffnr.root import newton
from optimize.reciprocity.both_ways import (
    CONDITION,
    DrivenBothWays,
    Equal,
    balances,
    excess,
    phase_wave,
    sizes,
    split,
)

MOST_RECIPROCAL = 4
PEAK = 3  # as much looser than on both sides N_F = N_B holds a point where another branch comes near


class EqualAlong(eqx.Module):
    """`Equal` of z = u / size and t = ±(p − p's own value)."""

    equal: Equal

    def __call__(self, z: Array, t: Array, args: tuple[DrivenBothWays, Array, Array, Array]) -> Array:
        driven, which, sign, size = args
        return self.equal(z * size, driven.with_numbers(which, driven.numbers[which] + sign * t))


class _Reciprocal(eqx.Module):
    """`Equal` norms and sin Δφ = 0, of [u, p]; where `held` both orbits at the frequency and for the p they have."""

    def __call__(self, v: Array, args: tuple[DrivenBothWays, Array, Bool[Array, ""]]) -> Array:
        driven, which, held = args
        driven = driven.with_numbers(which, v[-1])
        u, at = v[:-1], jnp.stack([split(v[:-1]).omega, v[-1]])
        equal = jnp.stack([excess(u, driven), phase_wave(u, driven)[1]])
        return jnp.append(balances(u, driven), jnp.where(held, at - lax.stop_gradient(at), equal))


def sides(
    along: EqualAlong, zs: Float[Array, "point k"], ts: Float[Array, " point"], valid: Array, args: tuple, scale: Array
) -> tuple[Float[Array, " point"], Float[Array, " point"]]:
    """The sign of the determinant of the locus's equations bordered by its direction, and how loose they hold a point.

    Folds do not change the sign; it changes where another branch crosses.
    """
    path = jnp.concatenate([zs, ts[:, None] / scale], axis=1)
    ahead = jnp.diff(path, axis=0)
    # From each point to the next; to the last one from the one before it.
    rows = jnp.where(valid[1:, None], ahead, jnp.roll(ahead, 1, axis=0))
    rows = jnp.concatenate([rows, ahead[-1:]])
    rows = rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), 1e-300)

    def side(args_: tuple) -> tuple[Array, Array]:
        z, t, row = args_
        _, jacobian, slope = from_residual(along)(z, t, args)
        matrix = jnp.concatenate([jnp.concatenate([jacobian, scale * slope[:, None]], axis=1), row[None]])
        lu, pivots = lu_factor(matrix)
        swaps = jnp.sum(pivots != jnp.arange(pivots.size))
        change = lu_solve((lu, pivots), jnp.zeros_like(row).at[-2].set(1.0))
        return jnp.prod(jnp.sign(jnp.diagonal(lu))) * (1 - 2 * (swaps % 2)), jnp.linalg.norm(change)

    return lax.map(side, (zs, ts, rows))


def peaks(x: Float[Array, " point"]) -> Bool[Array, " point"]:
    """Local maxima that stand out from the least values on both sides."""
    before, after = lax.cummin(x)[:-2], lax.cummin(x, reverse=True)[2:]
    inner = (x[1:-1] >= x[:-2]) & (x[1:-1] > x[2:]) & (x[1:-1] > PEAK * before) & (x[1:-1] > PEAK * after)
    return jnp.pad(inner, 1)


def reciprocal(
    us: Float[Array, "point k"], values: Array, gaps: Array, valid: Array, driven: DrivenBothWays, which: Array
) -> tuple[Float[Array, "reciprocal v"], Bool[Array, " reciprocal"], Bool[Array, " reciprocal"]]:
    """[u, p] where what else is to vanish, Δφ or N_F/N_B − 1, does so; which of them there are; and which are
    regular."""
    through = (gaps[:-1] * gaps[1:] <= 0) & (gaps[1:] != 0) & (jnp.abs(gaps[1:] - gaps[:-1]) < jnp.pi)
    first = jnp.nonzero(through & valid[1:], size=MOST_RECIPROCAL, fill_value=-1)[0]
    vs = jnp.concatenate([us, values[:, None]], axis=1)
    last = jnp.maximum(jnp.sum(valid) - 4, 0)

    def refine(i: Array) -> tuple[Array, Array, Array]:
        found, i = i >= 0, jnp.maximum(i, 0)
        four = jnp.clip(i - 1, 0, last)
        cubic = _at_zero(*(lax.dynamic_slice_in_dim(x, four, 4) for x in (gaps, vs)))
        chord = _at_zero(*(lax.dynamic_slice_in_dim(x, i, 2) for x in (gaps, vs)))
        steady = jnp.all(jnp.diff(jnp.sign(jnp.diff(lax.dynamic_slice_in_dim(gaps, four, 4)))) == 0)
        guess = jnp.where(found, jnp.where(steady, cubic, chord), vs[0])

        def search(v: Array, held: Array) -> tuple[Array, tuple[Array, Array]]:
            solution = newton(_Reciprocal(), v, (driven, which, held), max_steps=20)
            return solution.value, (solution.value, solution.result == RESULTS.successful)

        # First the orbits where the guess is, then the point itself.
        _, ((there, v), (_, converged)) = lax.scan(search, guess, jnp.array([True, False]))
        between = jnp.abs(v[-1] - guess[-1]) <= jnp.abs(values[i + 1] - values[i])
        regular = converged & between & (_condition(v, driven, which) < CONDITION)
        return jnp.where(regular, v, there), found & jnp.all(jnp.isfinite(there)), regular

    v, found, regular = lax.map(refine, first)
    return jnp.where(found[:, None], v, vs[0]), found, found & regular


def _at_zero(x: Float[Array, " node"], y: Float[Array, "node k"]) -> Float[Array, " k"]:
    """The polynomial through (x, y) at x = 0."""
    apart = x - x[:, None] + jnp.eye(x.size)
    return jnp.prod(jnp.where(jnp.eye(x.size, dtype=bool), 1.0, x / apart), axis=1) @ y


def _condition(v: Float[Array, " k"], driven: DrivenBothWays, which: Array) -> Float[Array, ""]:
    """How much [u, p] changes, relatively, by a relative change of a norm or by a radian of Δφ."""
    jacobian = jax.jacfwd(_Reciprocal())(v, (driven, which, jnp.zeros((), bool)))
    change = jnp.linalg.solve(jacobian, jnp.zeros((v.size, 2)).at[-2, 0].set(1.0).at[-1, 1].set(1.0))
    return jnp.linalg.norm(change / jnp.append(sizes(v[:-1]), 1 + jnp.abs(v[-1]))[:, None])
