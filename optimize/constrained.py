"""Minimise the worst of several functions under inequality constraints, for a handful of unknowns.

    minimise max_i f_i(u)   subject to   g_j(u) ≤ 0,      u ∈ ℝⁿ

Sequential quadratic programming in a trust region: each iteration solves the model

    min  t + νs + ½ dᵀBd,    f + ∇f·d ≤ t,   g + ∇g·d ≤ s,   s ≥ 0,   |d| ≤ Δ

evaluates the functions once at u + d, and takes the step if t + νs falls enough. A worst case stays smooth, since
every f_i is a row of its own; where the constraints cannot be met the least violation is found; and only first
derivatives are needed, once an iteration. Every element of a `vmap` iterates by itself, and one that meets NaN spoils
no other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from diffnr.checks import as_real, is_concrete, require
from optimize.quadratic_program import quadratic_program

Tree = TypeVar("Tree", bound=tuple)
Functions = Callable[[Float[Array, " n"]], tuple[Float[Array, "..."], Float[Array, " m"]]]
Linearisation = tuple[Float[Array, " k"], Float[Array, " m"], Float[Array, "k n"], Float[Array, "m n"], Any]
Linearise = Callable[[Float[Array, " n"]], Linearisation]

LARGEST_PENALTY = 1e6  # in units of the objective's slope over that of the constraints: past it they are infeasible
SUFFICIENT = 1e-4  # share of the predicted fall of the merit that a step must bring


class ConstrainedSolution(eqx.Module):
    """What `minimise_constrained` returns.

    **Fields:** `value` [n]; `objective` [], max f there; `violation` [], max(0, max g) there; `weights` [k] and
    `multipliers` [m], the duals of the worst case (they sum to 1) and of the constraints; `converged`, whether no step
    is left that would improve on it; `steps`, evaluations with derivatives; `aux`, what `linearise` returned there.
    """

    value: Float[Array, " n"]
    objective: Float[Array, ""]
    violation: Float[Array, ""]
    weights: Float[Array, " k"]
    multipliers: Float[Array, " m"]
    converged: Bool[Array, ""]
    steps: Int[Array, ""]
    aux: Any


class _Point(NamedTuple):
    f: Array
    g: Array
    df: Array
    dg: Array
    aux: Any

    @property
    def finite(self) -> Array:
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in self[:4]]))

    @property
    def merit(self) -> Array:
        """[2], the worst objective and the violation; weighed by (1, penalty) they are what must fall."""
        return jnp.stack([jnp.max(self.f), _violation(self.g)])


class _Model(NamedTuple):
    """The quadratic model: the curvature of the Lagrangian, the trust radius, the penalty of a violation, and ..."""

    hessian: Array
    radius: Array
    penalty: Array
    bend_f: Array  # ... what it was wrong by at the step just refused: a second-order correction,
    bend_g: Array  # without which an exact penalty refuses good steps along a curved constraint (Maratos)
    bent: Array


class _Proposal(NamedTuple):
    d: Array
    weights: Array
    multipliers: Array
    predicted: Array  # [2], as `merit`
    fall: Array  # of the weighed merit, predicted
    small: Array  # less than the tolerance: taken whatever the merit says, which does not resolve it
    last: Array  # whether nothing is to be gained beyond it


class _Carry(NamedTuple):
    u: Array
    at: _Point
    model: _Model
    step: _Proposal
    steps: Array
    going: Array


def minimise_constrained(
    linearise: Linearise,
    start: ArrayLike,
    *,
    tolerance: float = 1e-8,
    max_steps: int | Int[Array, ""] = 200,
    radius: float = 1.0,
) -> ConstrainedSolution:
    """Local minimum of max f(u) subject to g(u) ≤ 0.

    **Arguments:**

    - `linearise`: `u[n] -> (f[k], g[m], ∇f[k, n], ∇g[m, n], aux)`, real, m ≥ 0: `linearised(functions)`, or a cheaper
      way. All at once, since they mostly come from one run of a model. Scale u so that a change of 1 is a typical one.
      `aux`: any pytree of arrays, or None.
    - `start`: [n], real, feasible or not.
    - `tolerance`: on the step in u at which the iteration ends; never taken below a few units of round-off.
    - `max_steps`: evaluations allowed; `radius`: of the first trust region. Good values: 50 … 200; 1.

    **Returns:** a `ConstrainedSolution`. Where no feasible point was found it is a point of (locally) least violation;
    where the functions are not finite at `start` it is `start`, with NaN. It carries no derivative. Use it inside
    `jit`; `vmap` over `start`.

    **Raises:** `ValueError` for a start that is not a vector, or settings that are not positive.

    Source: Nocedal & Wright, Numerical Optimization, 2nd ed., section 18.5 (an exact-penalty SQP in a trust region,
    here with the largest violation) and procedure 18.2 (damped BFGS).
    """
    start = as_real(start)
    require(start.ndim == 1, "start", "be a vector", f"of shape {start.shape}")
    for name, setting in (("tolerance", tolerance), ("max_steps", max_steps), ("radius", radius)):
        require(not is_concrete(setting) or setting > 0, name, "be positive", setting)
    return _minimise(linearise, start, tolerance, max_steps, radius)


def linearised(functions: Functions) -> Linearise:
    """`functions` with their derivatives, by forward mode (one tangent per unknown), for `minimise_constrained`.

    **Arguments:** `functions`: `u[n] -> (f, g)`, real, with f [] or [k] (the worst of which counts) and g [m].

    **Returns:** `u -> (f[k], g[m], ∇f[k, n], ∇g[m, n], None)`.
    """

    def both(u: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        f, g = functions(u)
        values = (jnp.atleast_1d(f), g)
        return values, values

    def linearise(u: Array) -> Linearisation:
        (df, dg), (f, g) = jax.jacfwd(both, has_aux=True)(u)
        return f, g, df, dg, None

    return linearise


def _minimise(
    linearise: Linearise, start: Array, tolerance: float, max_steps: int | Array, radius: float
) -> ConstrainedSolution:
    def evaluate(u: Array) -> _Point:
        *values, aux = linearise(u)
        f, g, df, dg = (x.astype(start.dtype) for x in values)
        return _Point(f, g, df, dg, aux)

    # One place where the functions are evaluated, the start included: they are what takes long to compile and to run.
    def iteration(carry: _Carry) -> _Carry:
        first = carry.steps == 0
        trial = evaluate(carry.u + carry.step.d)
        take = trial.finite & (first | carry.step.small | _better(carry, trial))
        model = _revised(carry, trial, take, tolerance)
        u, at = jnp.where(take, carry.u + carry.step.d, carry.u), _where(take, trial, carry.at)
        model = _where(first, _first_model(at, radius), model)
        step = _propose(u, at, model, carry.step, tolerance)
        stuck = model.radius <= 4 * jnp.finfo(u.dtype).eps * (1 + jnp.max(jnp.abs(u)))
        going = at.finite & ~stuck & ~(carry.step.last & ~first) & (carry.steps + 1 < max_steps)
        step = step._replace(last=jnp.where(going, step.last, carry.step.last & ~first))
        return _Carry(u, at, model, step, carry.steps + 1, going)

    start_carry = _empty(evaluate, start)
    end = lax.while_loop(lambda carry: carry.going, iteration, start_carry)
    merit = jnp.where(end.at.finite, end.at.merit, jnp.nan)
    step = end.step
    duals = step.weights, step.multipliers
    return ConstrainedSolution(end.u, merit[0], merit[1], *duals, step.last, end.steps, end.at.aux)


def _empty(evaluate: Callable[[Array], _Point], start: Array) -> _Carry:
    """Before the first iteration, which evaluates the start: a step of length 0."""
    at = jax.tree_util.tree_map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), jax.eval_shape(evaluate, start))
    no, zero = jnp.asarray(False), jnp.zeros((), start.dtype)
    step = _Proposal(jnp.zeros_like(start), at.f, at.g, jnp.zeros(2, start.dtype), zero, no, no)
    model = _first_model(at, 1.0)
    return _Carry(start, at, model, step, jnp.zeros((), int), jnp.asarray(True))


def _first_model(at: _Point, radius: float) -> _Model:
    n = at.df.shape[1]
    slope = _scale(at.df)
    hessian = 0.1 * slope / radius * jnp.eye(n, dtype=at.f.dtype)
    penalty = 10 * slope / _scale(at.dg)
    bend = jnp.zeros_like(at.f), jnp.zeros_like(at.g), jnp.asarray(False)
    return _Model(hessian, jnp.asarray(radius, at.f.dtype), penalty, *bend)


def _gain(carry: _Carry, trial: _Point) -> tuple[Array, Array]:
    """By how much the weighed merit fell, and what of that may be round-off."""
    price = jnp.stack([jnp.ones_like(carry.model.penalty), carry.model.penalty])
    noise = 10 * jnp.finfo(carry.u.dtype).eps * (jnp.abs(carry.at.merit) @ price + jnp.max(jnp.abs(carry.at.f)))
    return (carry.at.merit - trial.merit) @ price, noise


def _better(carry: _Carry, trial: _Point) -> Array:
    gain, noise = _gain(carry, trial)
    return (carry.step.fall > 0) & ((gain >= SUFFICIENT * carry.step.fall) | (jnp.abs(gain) <= noise))


def _revised(carry: _Carry, trial: _Point, take: Array, tolerance: float) -> _Model:
    """The model after the functions were seen at u + d: curvature, trust radius, correction and penalty."""
    at, model, step = carry.at, carry.model, carry.step
    (gain, noise), d, fall = _gain(carry, trial), step.d, step.fall
    y = (trial.df - at.df).T @ step.weights + (trial.dg - at.dg).T @ step.multipliers
    hessian = _damped_bfgs(model.hessian, d, jnp.where(trial.finite, y, model.hessian @ d), carry.steps == 1)

    # A step that was a little worse is corrected; after one that was much worse, or worse again, the region shrinks.
    correct = trial.finite & ~take & ~model.bent & (gain > -fall)
    length = jnp.max(jnp.abs(d))
    wider = jnp.where(gain > 0.75 * fall, jnp.maximum(model.radius, 2.5 * length), model.radius)
    radius = jnp.where(take, wider, jnp.where(correct | (jnp.abs(fall) <= noise), model.radius, 0.3 * length))
    bend_f = jnp.where(correct, trial.f - at.f - at.df @ d, 0.0)
    bend_g = jnp.where(correct, trial.g - at.g - at.dg @ d, 0.0)

    # The penalty is too low where it leaves a tenth of a violation standing, and comes down toward the multipliers.
    now, dual = at.merit[1], jnp.sum(step.multipliers)
    short = (now > tolerance) & (step.predicted[1] > 0.1 * now) & (model.penalty < _largest_penalty(at))
    lower = jnp.clip(4 * dual, 0.5 * model.penalty, model.penalty)
    lower = jnp.where(take & (dual > 1e-6 * model.penalty), lower, model.penalty)
    return _Model(hessian, radius, jnp.where(short, 10 * model.penalty, lower), bend_f, bend_g, correct)


def _propose(u: Array, at: _Point, model: _Model, before: _Proposal, tolerance: float) -> _Proposal:
    """The next step to try."""
    B, penalty = model.hessian, model.penalty
    d, weights, multipliers = _solve_model(at, model)
    f, g = at.f + at.df @ d + model.bend_f, at.g + at.dg @ d + model.bend_g
    predicted = jnp.stack([jnp.max(f) + 0.5 * d @ B @ d, _violation(g)])
    price = jnp.stack([jnp.ones_like(penalty), penalty])
    # A corrected step is held to what the model had promised before the correction.
    fall = jnp.where(model.bent, before.fall, (at.merit - predicted) @ price)

    eps = jnp.finfo(u.dtype).eps
    small = jnp.all(jnp.abs(d) <= tolerance + 4 * eps * jnp.abs(u)) & (jnp.max(jnp.abs(d)) < 0.5 * model.radius)
    flat = jnp.abs(fall) <= 10 * eps * (jnp.abs(at.merit) @ price + jnp.max(jnp.abs(at.f)))
    now = at.merit[1]
    short = (now > tolerance) & (predicted[1] > 0.1 * now) & (penalty < _largest_penalty(at))
    last = (small | flat) & ~short & ~model.bent
    return _Proposal(d, weights, multipliers, predicted, fall, small & last, last)


def _solve_model(at: _Point, model: _Model) -> tuple[Array, Array, Array]:
    """The step d of the model, and its duals. Solved for (d/Δ, t/scale, s/scale), so that every number is near 1."""
    delta, dtype = model.radius, at.f.dtype
    (k, n), m = at.df.shape, at.g.size
    scale_f, scale_g = _scale(at.df) * delta, _scale(at.dg) * delta
    bent_f, bent_g = at.f + model.bend_f, (at.g + model.bend_g) / scale_g
    price = model.penalty * scale_g / scale_f
    box = np.concatenate([np.zeros((1, n)), np.eye(n), -np.eye(n)]).astype(dtype)
    t = np.repeat([-1.0, 0.0], [k, m + 1 + 2 * n]).astype(dtype)
    s = np.repeat([0.0, -1.0, 0.0], [k, m + 1, 2 * n]).astype(dtype)
    rows = jnp.concatenate([at.df * delta / scale_f, at.dg * delta / scale_g, box])
    A = jnp.concatenate([rows, np.stack([t, s], 1)], 1)
    edges = np.repeat([0.0, 1.0], [1, 2 * n]).astype(dtype)
    b = jnp.concatenate([(jnp.max(bent_f) - bent_f) / scale_f, -bent_g, edges])
    H = jnp.pad(model.hessian * delta**2 / scale_f, (0, 2))
    c = jnp.pad(jnp.stack([jnp.ones((), dtype), price]), (n, 0))
    # Strictly inside, and with duals that balance the prices of t and s: 10 to 25 iterations whatever the penalty.
    x0 = jnp.pad(jnp.stack([jnp.ones((), dtype), _violation(bent_g) + 1 / (1 + price)]), (n, 0))
    z0 = jnp.where(s == 0, jnp.where(t == 0, 1.0, 1 / k), price / (m + 1)).astype(dtype)
    x, dual = quadratic_program(H, c, A, b, x0, z0)
    return delta * x[:n], dual[:k], dual[k : k + m] * scale_f / scale_g


def _damped_bfgs(B: Array, d: Array, y: Array, fresh: Array) -> Array:
    dd, dy = d @ d, d @ y
    B = jnp.where(fresh & (dy > 0), dy / jnp.where(dd > 0, dd, 1.0) * jnp.eye(d.size, dtype=d.dtype), B)
    Bd = B @ d
    dBd = d @ Bd
    theta = jnp.where(dy >= 0.2 * dBd, 1.0, 0.8 * dBd / jnp.where(dBd - dy > 0, dBd - dy, 1.0))
    y = theta * y + (1 - theta) * Bd
    new = B + jnp.outer(y, y) / (d @ y) - jnp.outer(Bd, Bd) / dBd
    return jnp.where((dBd > 0) & jnp.all(jnp.isfinite(new)), new, B)


def _violation(g: Array) -> Array:
    return jnp.max(g, initial=0.0)


def _largest_penalty(at: _Point) -> Array:
    return LARGEST_PENALTY * _scale(at.df) / _scale(at.dg)


def _where(which: Array, new: Tree, old: Tree) -> Tree:
    return jax.tree_util.tree_map(lambda a, b: jnp.where(which, a, b), new, old)


def _scale(jacobian: Array) -> Array:
    largest = jnp.max(jnp.abs(jacobian), initial=0.0)
    return jnp.where(largest > 0, largest, 1.0)
