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
    return jnp.sqrt(jnp.asarray(problem.pair.basis.weights)) * (forward - backward)


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


class EqualNorms(eqx.Module):
    """Both orbits, and N_F² = N_B² of the outputs, [2 n + 1], of v without p and args = (p, problem)."""

    def __call__(self, u: Array, args: tuple[Array, Problem]) -> Array:
        value, problem = args
        v = jnp.append(u, value)
        forward, backward = outputs(v)
        weights = problem.pair.basis.weights
        gap = jnp.sum(weights * (forward - backward) * (forward + backward))
        return jnp.append(balances(v, problem), gap / lax.stop_gradient(jnp.sum(weights * backward**2)))


class EqualNormsAt(eqx.Module):
    """`EqualNorms` of (y_F, ω, y_B) and p, for `continuation.fold_residual`: its folds in p are double roots over ω."""

    def __call__(self, u: Array, value: Array, problem: Problem) -> Array:
        return EqualNorms()(u, (value, problem))


class BothPeak(eqx.Module):
    """Both orbits, and both outputs at their peak along their branch, [2 n + 2].

    The two peaks pass each other at a finite rate as p changes, so that this is regular where reciprocity is not.
    """

    def __call__(self, v: Array, problem: Problem) -> Array:
        x = split(v)
        forces, jacobians = _bordered(x, problem, problem.rows)
        ends = jnp.zeros(jacobians.shape[:2], v.dtype).at[:, -1].set(1.0)
        # Both in one call of LAPACK: two that run at once in a large batch may wait for each other's threads for ever.
        tangents = jnp.linalg.solve(jacobians, ends[..., None])[..., 0]
        weights = problem.pair.basis.weights
        rises = [jnp.sum(weights * y * dy) for y, dy in zip(outputs(v), _outputs_of(tangents), strict=True)]
        return jnp.concatenate([forces[0], rises[0][None], forces[1], rises[1][None]])


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


def before_bend(v: Float[Array, " k"], problem: Problem) -> tuple[Float[Array, " k"], tuple]:
    """Where to look for the bend of N_F = N_B from v, restored at the peak; and args of `fold_residual`."""
    of = curvatures(v, problem)
    # Where R² has grown by a tenth, at smaller p: from this side N_F = N_B is met before the restored point.
    shift = jnp.sqrt(0.1 * jnp.sum(difference(v, problem) ** 2) / jnp.abs(of.misfit))
    v = v - shift * jnp.append(of.sensitivity, 1.0)
    x, rows = split(v), with_tangents(v, problem).rows
    over_omega = rows[:, :-1] / rows[:, -1:]
    across = jnp.concatenate([over_omega[0], jnp.ones(1), over_omega[1]])
    across = across / jnp.linalg.norm(across)
    _, border = jax.jvp(lambda p: EqualNormsAt()(v[:-1], p, problem), (x.value,), (jnp.ones_like(x.value),))
    return lax.stop_gradient(v), (EqualNormsAt(), problem, *lax.stop_gradient((border, across)))


def sensitivity(v: Float[Array, " k"], problem: Problem) -> Float[Array, " u"]:
    """d(y_F, ω, y_B)/dp with the forward output held at its peak, [2 n + 1]."""
    jacobian = jax.jacfwd(lambda v: AtPeak()(v[:-1], (v[-1], problem)))(v)
    return -jnp.linalg.solve(jacobian[:, :-1], jacobian[:, -1])


class Curvatures(NamedTuple):
    """At a restored point: ½ d²R²/dp² with the forward output held at its peak; d²N_F²/ds² along the branch, up to a
    positive factor; and `sensitivity`.
    """

    misfit: Float[Array, ""]
    output: Float[Array, ""]
    sensitivity: Float[Array, " u"]


def curvatures(v: Float[Array, " k"], problem: Problem) -> Curvatures:
    """Whether R² and the output have an extremum at v, and which."""

    def equations(v: Array) -> Array:
        return AtPeak()(v[:-1], (v[-1], problem))

    n = problem.rows.shape[1] - 1
    jacobian = jax.jacfwd(equations)(v)
    inverse = jnp.linalg.inv(jacobian[:, :-1])
    w = -inverse @ jacobian[:, -1]
    along = jnp.append(w, 1.0)
    # The equations, which solve inside, are evaluated after that inverse and not beside it: as in `BothPeak`.
    after = v + 0.0 * along
    bend = jax.jvp(lambda v: jax.jvp(equations, (v,), (along,))[1], (after,), (along,))[1]
    w_dot = jnp.append(-inverse @ bend, 0.0)
    d, d_dot, d_second = (difference(x, problem) for x in (v, along, w_dot))  # it is linear
    # The step by which dN_F²/ds grows by 1 while both orbits hold leads along the branch.
    step = inverse[: n + 1, n]
    return Curvatures(d_dot @ d_dot + d @ d_second, 1 / (problem.rows[0] @ step), w)


def _forward_peak(x: Unknowns, model: DuffingPair, problem: Problem) -> Array:
    args = model, forcing(model, 0, problem.amplitude), problem.rows[0]
    return peak_residual(1, jnp.append(x.forward, x.omega), args)


def begin(pair: DuffingPair, amplitude: Array, which: Array, guess: OneHarmonicRestoration) -> tuple[Array, Problem]:
    """Where searches start: v with both orbits at the one-harmonic point (NaN if there are none), and the problem."""
    model = with_ratio(pair, which, guess.ratio)
    phasors = jnp.zeros((2, len(model.harmonics)), guess.phasors.dtype)
    phasors = phasors.at[:, model.basis.orders.index(1)].set(guess.phasors)
    forces = jnp.stack([forcing(model, port, amplitude) for port in (0, 1)])
    starts = jnp.stack([model.basis.coefficients(x).ravel() for x in (phasors, phasors[::-1])])
    # Both in one batch: what is compiled once takes half of the time.
    solve = lambda y, force: newton(residual, y, (model, guess.omega, force)).value  # noqa: E731
    forward, backward = jax.vmap(solve)(starts, forces)
    v = jnp.concatenate([forward, guess.omega[None], backward, guess.ratio[None]])
    v = lax.stop_gradient(v)
    return v, with_tangents(v, Problem(pair, amplitude, which, jnp.zeros((2, forward.size + 1))))


def with_tangents(v: Float[Array, " k"], problem: Problem) -> Problem:
    """The problem with its rows along the tangents at v."""
    x, basis = split(v), problem.pair.basis
    y = jnp.stack([x.forward, x.backward])
    # Around a peak an orbit changes by its phase above all, at folds too, where the frequency does not change.
    turns = (y.reshape(2, 2, -1) @ jnp.asarray(basis.derivative, v.dtype).T).reshape(2, -1)
    _, jacobians = _bordered(x, problem, jnp.pad(turns, ((0, 0), (0, 1))))
    ends = jnp.zeros(jacobians.shape[:2], v.dtype).at[:, -1].set(1.0)
    tangents = jnp.linalg.solve(jacobians, ends[..., None])[..., 0]
    rows = tangents / jnp.linalg.norm(tangents, axis=1, keepdims=True)
    return eqx.tree_at(lambda problem: problem.rows, problem, lax.stop_gradient(rows))


def _bordered(x: Unknowns, problem: Problem, rows: Array) -> tuple[list[Array], Float[Array, "direction m m"]]:
    """F of both orbits, and [[∂F/∂y, ∂F/∂ω], [row]] of both."""
    model = problem.model(x.value)
    forces, matrices = [], []
    for port, y in enumerate((x.forward, x.backward)):
        f, jacobian, slope = linearise(y, x.omega, (model, forcing(model, port, problem.amplitude)))
        forces.append(f)
        matrices.append(jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1), rows[port][None]]))
    return forces, jnp.stack(matrices)


def _outputs_of(tangents: Float[Array, "direction m"]) -> tuple[Array, Array]:
    """Of tangents (y, ω) of both branches the outputs' part."""
    m = tangents.shape[1] // 2
    return tangents[0, m:-1], tangents[1, :m]
