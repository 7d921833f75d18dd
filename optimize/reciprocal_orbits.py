"""Equations of a pair's two orbits at one frequency, driven from either side, with one ratio of the pair free.

The unknowns are one real vector v = [y_F, ω, y_B, p]: coefficients of the forward orbit (oscillator 0 driven), the
frequency, those of the backward orbit, and the free ratio. The outputs are oscillator 1 of y_F and oscillator 0 of y_B.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from diffnr.duffing.harmonic_balance import forcing, linearise, residual
from diffnr.duffing.one_harmonic import RATIOS, OneHarmonicRestoration
from diffnr.duffing.oscillators import DuffingPair
from diffnr.duffing.special_points import peak_residual
from diffnr.parameters import replace
from diffnr.root import implicit, newton


class Problem(eqx.Module):
    """What the equations know: the pair, whose ratio p is replaced, and the force's amplitude [].

    `which` [] of `one_harmonic.RATIOS` is free; as an array, so that all of them share what is compiled. `rows`
    [2, n + 1] fix the scale of the tangent (y, ω) of the forward and of the backward branch.
    """

    pair: DuffingPair
    amplitude: Float[Array, ""]
    which: Int[Array, ""]
    rows: Float[Array, "direction m"]

    def model(self, value: Array) -> DuffingPair:
        """The pair with another value of its free ratio."""
        return with_ratio(self.pair, self.which, value)


def with_ratio(pair: DuffingPair, which: Array, value: Array) -> DuffingPair:
    """The pair with another value of the ratio `which` of `RATIOS`."""
    old = {name: getattr(pair, name) for name in RATIOS}
    return replace(pair, {name: jnp.where(which == i, value, old[name]) for i, name in enumerate(RATIOS)})


class Unknowns(NamedTuple):
    """The parts of v."""

    forward: Float[Array, " n"]
    omega: Float[Array, ""]
    backward: Float[Array, " n"]
    value: Float[Array, ""]


def split(v: Float[Array, " k"]) -> Unknowns:
    """v in its parts."""
    n = (v.size - 2) // 2
    return Unknowns(v[:n], v[n], v[n + 1 : -1], v[-1])


def outputs(v: Float[Array, " k"]) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Coefficients of the forward and of the backward output."""
    x = split(v)
    m = x.forward.size // 2
    return x.forward[m:], x.backward[:m]


def difference(v: Float[Array, " k"], problem: Problem) -> Float[Array, " m"]:
    """The residual of reciprocity: its squares sum to R²."""
    forward, backward = outputs(v)
    weights = jnp.where(jnp.asarray(problem.pair.basis.terms) == 0, 1.0, 0.5)
    return jnp.sqrt(weights) * (forward - backward)


def balances(v: Float[Array, " k"], problem: Problem) -> Float[Array, " both"]:
    """F of both orbits, [2 n]."""
    x = split(v)
    model = problem.model(x.value)
    forces = (forcing(model, port, problem.amplitude) for port in (0, 1))
    return jnp.concatenate(
        [residual(y, (model, x.omega, force)) for y, force in zip((x.forward, x.backward), forces, strict=True)]
    )


class EqualFundamentals(eqx.Module):
    """Both orbits, and X_F = X_B of the outputs' fundamentals: equal amplitudes, no phase between them, [2 n + 2]."""

    def __call__(self, v: Array, problem: Problem) -> Array:
        forward, backward = outputs(v)
        first = problem.pair.basis.terms == 1
        size = lax.stop_gradient(jnp.linalg.norm(backward))
        return jnp.append(balances(v, problem), (forward - backward)[first] / size)


class BothPeak(eqx.Module):
    """Both orbits, and both outputs at their peak along their branch, [2 n + 2].

    The two peaks pass each other at a finite rate as p changes, so that this is regular where reciprocity is not.
    """

    def __call__(self, v: Array, problem: Problem) -> Array:
        x = split(v)
        model = problem.model(x.value)
        back = model, forcing(model, 1, problem.amplitude), problem.rows[1]
        backward = peak_residual(0, jnp.append(x.backward, x.omega), back)
        return jnp.append(_forward_peak(x, model, problem), backward)


class AtPeak(eqx.Module):
    """Both orbits, and the forward output at its peak, [2 n + 1], of v without p and args = (p, problem)."""

    def __call__(self, u: Array, args: tuple[Array, Problem]) -> Array:
        value, problem = args
        x = split(jnp.append(u, value))
        model = problem.model(value)
        back = linearise(x.backward, x.omega, (model, forcing(model, 1, problem.amplitude)))[0]
        return jnp.append(_forward_peak(x, model, problem), back)


class Stationary(eqx.Module):
    """`AtPeak`, and ½ ∂R²/∂p = 0 with the forward output held at its peak, [4 n + 3], of z = [v, w].

    The derivative w = d(y_F, ω, y_B)/dp [2 n + 1] is an unknown too: to solve for it in here, and to differentiate that
    again, would be dear. It starts from `sensitivity`.
    """

    def __call__(self, z: Array, problem: Problem) -> Array:
        k = (z.size + 1) // 2
        v, along = z[:k], jnp.append(z[k:], 1.0)
        f, f_dot = jax.jvp(lambda v: AtPeak()(v[:-1], (v[-1], problem)), (v,), (along,))
        d, d_dot = jax.jvp(lambda v: difference(v, problem), (v,), (along,))
        return jnp.concatenate([f, f_dot, (d @ d_dot)[None]])


def anchored(u: Float[Array, " u"], value: Float[Array, ""], problem: Problem) -> Float[Array, " u"]:
    """(y_F, ω, y_B) with the forward output at its peak for a ratio p, by Newton from one near to it; else NaN.

    It compiles in half of the time that `root.newton` takes, and an optimiser compiles it several times.
    """
    args = value, problem

    def turn(carry: tuple) -> tuple:
        u, _, count = carry
        step = -jnp.linalg.solve(jax.jacfwd(AtPeak())(u, frozen), AtPeak()(u, frozen))
        return u + step, jnp.linalg.norm(step), count + 1

    def going(carry: tuple) -> Array:
        return (carry[1] > 1e-11 * jnp.linalg.norm(carry[0])) & (carry[2] < 16)

    u, frozen = lax.stop_gradient((u, args))
    u, step, _ = lax.while_loop(going, turn, (u, jnp.full_like(value, jnp.inf), 0))
    near = step <= 1e-8 * jnp.linalg.norm(u)  # where round-off is all that is left, steps stay longer than asked for
    return implicit(AtPeak(), lax.stop_gradient(jnp.where(near, u, jnp.nan)), args)


def sensitivity(v: Float[Array, " k"], problem: Problem) -> Float[Array, " u"]:
    """d(y_F, ω, y_B)/dp with the forward output held at its peak, [2 n + 1]."""
    jacobian = jax.jacfwd(AtPeak())(v[:-1], (v[-1], problem))
    slope = jax.jvp(lambda p: AtPeak()(v[:-1], (p, problem)), (v[-1],), (jnp.ones_like(v[-1]),))[1]
    return -jnp.linalg.solve(jacobian, slope)


def curvatures(v: Float[Array, " k"], problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """½ d²R²/dp² with the forward output held at its peak, and d²N_F²/ds² along the branch, up to a positive factor."""

    def equations(v: Array) -> Array:
        return AtPeak()(v[:-1], (v[-1], problem))

    jacobian = jax.jacfwd(equations)(v)
    w = jnp.append(-jnp.linalg.solve(jacobian[:, :-1], jacobian[:, -1]), 1.0)
    bend = jax.jvp(lambda v: jax.jvp(equations, (v,), (w,))[1], (v,), (w,))[1]
    w_dot = jnp.append(-jnp.linalg.solve(jacobian[:, :-1], bend), 0.0)
    d, d_dot, d_second = (difference(x, problem) for x in (v, w, w_dot))  # it is linear
    n = problem.rows.shape[1] - 1
    branch = with_tangents(v, problem).rows[0]
    return d_dot @ d_dot + d @ d_second, jacobian[n, : n + 1] @ branch


def _forward_peak(x: Unknowns, model: DuffingPair, problem: Problem) -> Array:
    args = model, forcing(model, 0, problem.amplitude), problem.rows[0]
    return peak_residual(1, jnp.append(x.forward, x.omega), args)


def begin(pair: DuffingPair, amplitude: Array, which: Array, guess: OneHarmonicRestoration) -> tuple[Array, Problem]:
    """Where searches start: v with both orbits at the one-harmonic point (NaN if there are none), and the problem."""
    model = with_ratio(pair, which, guess.value)
    phasors = jnp.zeros((2, len(model.harmonics)), guess.phasors.dtype)
    phasors = phasors.at[:, model.basis.orders.index(1)].set(guess.phasors)
    orbits = [
        newton(residual, model.basis.coefficients(x).ravel(), (model, guess.omega, forcing(model, port, amplitude)))
        for port, x in enumerate((phasors, phasors[::-1]))
    ]
    v = jnp.concatenate([orbits[0].value, guess.omega[None], orbits[1].value, guess.value[None]])
    v = lax.stop_gradient(v)
    return v, with_tangents(v, Problem(pair, amplitude, which, jnp.zeros((2, orbits[0].value.size + 1))))


def with_tangents(v: Float[Array, " k"], problem: Problem) -> Problem:
    """The problem with its rows along the tangents at v."""
    x = split(v)
    model = problem.model(x.value)
    rows = [_tangent(model, y, x.omega, port, problem.amplitude) for port, y in enumerate((x.forward, x.backward))]
    return eqx.tree_at(lambda problem: problem.rows, problem, lax.stop_gradient(jnp.stack(rows)))


def _tangent(model: DuffingPair, y: Array, omega: Array, port: int, amplitude: Array) -> Array:
    """The unit tangent (y, ω) of a branch."""
    _, jacobian, slope = linearise(y, omega, (model, forcing(model, port, amplitude)))
    # Around a peak an orbit changes by its phase above all, at folds too, where the frequency does not change.
    turn = (y.reshape(2, -1) @ jnp.asarray(model.basis.turn, y.dtype).T).ravel()
    matrix = jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1), jnp.append(turn, 0.0)[None]])
    tangent = jnp.linalg.solve(matrix, jnp.zeros(y.size + 1, y.dtype).at[-1].set(1.0))
    return tangent / jnp.linalg.norm(tangent)
