"""Equations of restored reciprocity: both orbits with one number of the oscillators free.

The unknowns are v = [u, p] of `both_ways`: both orbits and their frequency, and the free ratio.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from diffnr.duffing.harmonic_balance import residual
from diffnr.duffing.special_points import peak_residual
from diffnr.root import implicit
from optimize.reciprocity.both_ways import (
    DrivenBothWays,
    Equal,
    after,
    balances,
    difference,
    gap_of_fundamentals,
    joined,
    linearised,
    outputs,
    split,
)


class FreeRatio(eqx.Module):
    """What the equations know: the pair, and `which` [] of its numbers is the free one, p.

    `rows` [direction, n + 1] fix the scale of the tangent (y, ω) of the forward and of the backward branch.
    """

    driven: DrivenBothWays
    which: Int[Array, ""]
    rows: Float[Array, "direction m"]

    def at(self, ratio: Array) -> DrivenBothWays:
        """The pair with another value of its free ratio."""
        return self.driven.with_numbers(self.which, ratio)


class EqualFundamentals(eqx.Module):
    """Both orbits, and X_F = X_B of the outputs' fundamentals: equal amplitudes, no phase between them, [2 n + 2]."""

    def __call__(self, v: Array, free: FreeRatio) -> Array:
        return jnp.append(balances(v[:-1], free.at(v[-1])), gap_of_fundamentals(v[:-1], free.driven))


class Quadrature(eqx.Module):
    """Both orbits, and the outputs' fundamentals a quarter period off the force, Re X_F = Re X_B = 0, [2 n + 2]."""

    def __call__(self, v: Array, free: FreeRatio) -> Array:
        both = jnp.stack(outputs(split(v[:-1]).y, free.driven))
        cosine = int(np.argmax(free.driven.basis.terms == 1))
        size = lax.stop_gradient(jnp.linalg.norm(both[1]))
        return jnp.append(balances(v[:-1], free.at(v[-1])), both[:, cosine] / size)


class EqualNormsAt(eqx.Module):
    """`Equal` norms of u and p, for `continuation.fold_residual`: its folds in p are double roots over ω."""

    def __call__(self, u: Array, ratio: Array, free: FreeRatio) -> Array:
        return Equal()(u, free.at(ratio))


class BothPeak(eqx.Module):
    """Both orbits, and both outputs at their peak along their branch, [2 n + 2].

    The two peaks pass each other at a finite rate as p changes, so that this is regular where reciprocity is not. They
    may also be asked for at frequencies `apart`.
    """

    def __call__(self, v: Array, free: FreeRatio, apart: Array | float = 0.0) -> Array:
        forces, tangents = _tangents(v, free, free.rows, apart)
        weights = free.driven.basis.weights
        changes = outputs(tangents[:, :-1], free.driven)
        rises = [
            jnp.sum(weights * y * dy) for y, dy in zip(outputs(split(v[:-1]).y, free.driven), changes, strict=True)
        ]
        return jnp.concatenate([forces, jnp.stack(rises)[:, None]], axis=1).ravel()


class AtPeak(eqx.Module):
    """Both orbits, and the forward output at its peak, [2 n + 1]; args = (driven, row of the forward branch)."""

    def __call__(self, u: Array, args: tuple[DrivenBothWays, Float[Array, " m"]]) -> Array:
        driven, row = args
        (forward, backward), omega = split(u)
        ahead, back = driven.forces
        peak = peak_residual(driven.ports[1], jnp.append(forward, omega), (driven.model, ahead, row))
        return jnp.append(peak, residual(backward, (driven.model, omega, back)))


class Stationary(eqx.Module):
    """`AtPeak`, and ½ ∂R²/∂p = 0 with the forward output held at its peak, [4 n + 3], of z = [v, w].

    The derivative w = du/dp [2 n + 1] is an unknown too: to solve for it in here, and to differentiate that again,
    would be dear. It starts from `sensitivity`.
    """

    def __call__(self, z: Array, free: FreeRatio) -> Array:
        k = (z.size + 1) // 2
        v, along = z[:k], jnp.append(z[k:], 1.0)
        f, f_dot = jax.jvp(lambda v: _at_peak(v, free), (v,), (along,))
        d, d_dot = jax.jvp(lambda v: difference(v[:-1], free.driven), (v,), (along,))
        return jnp.concatenate([f, f_dot, (d @ d_dot)[None]])


def _at_peak(v: Float[Array, " k"], free: FreeRatio) -> Float[Array, " u"]:
    return AtPeak()(v[:-1], (free.at(v[-1]), free.rows[0]))


def anchored(u: Float[Array, " u"], ratio: Float[Array, ""], free: FreeRatio) -> Float[Array, " u"]:
    """u with the forward output at its peak for a ratio p, by Newton from one near to it; else NaN.

    It compiles in half of the time that `root.newton` takes, and an optimiser compiles it several times.
    """
    args = free.at(ratio), free.rows[0]

    def iterate(carry: tuple) -> tuple:
        u, _, count = carry
        step = -jnp.linalg.solve(jax.jacfwd(AtPeak())(u, frozen), AtPeak()(u, frozen))
        return u + step, jnp.linalg.norm(step), count + 1

    def going(carry: tuple) -> Array:
        return (carry[1] > 1e-11 * jnp.linalg.norm(carry[0])) & (carry[2] < 16)

    u, frozen = lax.stop_gradient((u, args))
    u, step, _ = lax.while_loop(going, iterate, (u, jnp.full_like(ratio, jnp.inf), 0))
    near = step <= 1e-8 * jnp.linalg.norm(u)  # where round-off is all that is left, steps stay longer than asked for
    return implicit(AtPeak(), lax.stop_gradient(jnp.where(near, u, jnp.nan)), args)


def before_bend(v: Float[Array, " k"], free: FreeRatio) -> tuple[Float[Array, " k"], tuple]:
    """Where to look for the bend of N_F = N_B from v, restored at the peak; and args of `fold_residual`."""
    of = curvatures(v, free)
    # Where R² has grown by a tenth, at smaller p: from this side N_F = N_B is met before the restored point.
    shift = jnp.sqrt(0.1 * jnp.sum(difference(v[:-1], free.driven) ** 2) / jnp.abs(of.misfit))
    v = v - shift * jnp.append(of.sensitivity, 1.0)
    rows = with_tangents(v, free).rows
    across = joined(rows[:, :-1] / rows[:, -1:], jnp.ones((), v.dtype))
    across = across / jnp.linalg.norm(across)
    _, border = jax.jvp(lambda p: EqualNormsAt()(v[:-1], p, free), (v[-1],), (jnp.ones_like(v[-1]),))
    return lax.stop_gradient(v), (EqualNormsAt(), free, *lax.stop_gradient((border, across)))


def sensitivity(v: Float[Array, " k"], free: FreeRatio) -> Float[Array, " u"]:
    """du/dp with the forward output held at its peak, [2 n + 1]."""
    jacobian = jax.jacfwd(lambda v: _at_peak(v, free))(v)
    return -jnp.linalg.solve(jacobian[:, :-1], jacobian[:, -1])


class Curvatures(NamedTuple):
    """At a restored point: ½ d²R²/dp² with the forward output held at its peak; d²N_F²/ds² along the branch, up to a
    positive factor; and `sensitivity`.
    """

    misfit: Float[Array, ""]
    output: Float[Array, ""]
    sensitivity: Float[Array, " u"]


def curvatures(v: Float[Array, " k"], free: FreeRatio) -> Curvatures:
    """Whether R² and the output have an extremum at v, and which."""

    def equations(v: Array) -> Array:
        return _at_peak(v, free)

    n = free.rows.shape[1] - 1
    jacobian = jax.jacfwd(equations)(v)
    inverse = jnp.linalg.inv(jacobian[:, :-1])
    w = -inverse @ jacobian[:, -1]
    along = jnp.append(w, 1.0)
    # The equations solve inside, for the tangent of the forward branch.
    bend = jax.jvp(lambda v: jax.jvp(equations, (v,), (along,))[1], (after(v, along),), (along,))[1]
    w_dot = jnp.append(-inverse @ bend, 0.0)
    d, d_dot, d_second = (difference(x[:-1], free.driven) for x in (v, along, w_dot))  # it is linear
    # The step by which dN_F²/ds grows by 1 while both orbits hold leads along the branch.
    step = inverse[: n + 1, n]
    return Curvatures(d_dot @ d_dot + d @ d_second, 1 / (free.rows[0] @ step), w)


def with_tangents(v: Float[Array, " k"], free: FreeRatio) -> FreeRatio:
    """The free ratio with its rows along the tangents at v."""
    y, basis = split(v[:-1]).y, free.driven.basis
    # Around a peak an orbit changes by its phase above all, at folds too, where the frequency does not change.
    turned = (y.reshape(2, -1, basis.size) @ jnp.asarray(basis.derivative, v.dtype).T).reshape(2, -1)
    _, tangents = _tangents(v, free, jnp.pad(turned, ((0, 0), (0, 1))))
    rows = tangents / jnp.linalg.norm(tangents, axis=1, keepdims=True)
    return eqx.tree_at(lambda free: free.rows, free, lax.stop_gradient(rows))


def _tangents(
    v: Float[Array, " k"], free: FreeRatio, rows: Float[Array, "direction m"], apart: Array | float = 0.0
) -> tuple[Float[Array, "direction n"], Float[Array, "direction m"]]:
    """F of both orbits, and the tangents (y, ω) of both branches with row · tangent = 1."""
    f, jacobians, slopes = linearised(v[:-1], free.at(v[-1]), apart)
    bordered = jnp.concatenate([jnp.concatenate([jacobians, slopes[..., None]], axis=2), rows[:, None]], axis=1)
    ends = jnp.zeros(rows.shape, v.dtype).at[:, -1].set(1.0)
    # Both in one call of LAPACK, as `after` says.
    return f, jnp.linalg.solve(bordered, ends[..., None])[..., 0]
