"""Roots of real algebraic systems, with the derivative of the implicit function theorem.

    F(y, θ) = 0      ⇒      dy/dθ = −(∂F/∂y)⁻¹ ∂F/∂θ

`newton` and `follow` find y; `implicit` gives any y, however found, its derivative in forward and reverse mode
and to any order. Unknowns are real: a complex, non-holomorphic problem is split into its real and imaginary parts
first, because an implicit solve of it as a complex one is silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from diffnr.checks import require


class RESULTS(eqx.Enumeration):
    """How a solve ended; compare with `==` and turn into an error with `error_if`, as in diffrax."""

    successful = ""
    max_steps_reached = (
        "The Newton iteration did not converge in the steps it was allowed. Start from a closer guess, or raise max_steps."
    )
    nonfinite = "The Newton iteration met a value that is not finite. Look for a singular Jacobian or a NaN among the parameters."
    fold = (
        "The solution continued from the linear response ended in a fold, so that the branch asked for does not exist at "
        "this drive. Pass guess= to choose another branch, or lower the drive."
    )


class RootSolution(eqx.Module):
    """What a root find returns; `value` is NaN where `result` is not successful.

    **Fields:** `value` [n]; `result`, a member of `RESULTS`; `residual_norm` [], ‖F‖₂; `num_steps` [], Newton steps.
    """

    value: Float[Array, " n"]
    result: Any
    residual_norm: Float[Array, ""]
    num_steps: Int[Array, ""]


Residual = Callable[[Float[Array, " n"], PyTree], Float[Array, " n"]]


def newton(
    residual: Residual,
    guess: Float[Array, " n"],
    args: PyTree = None,
    *,
    rtol: float | None = None,
    max_steps: int = 64,
) -> RootSolution:
    """Root of F(y, args) = 0 by a damped Newton iteration: y ← y − α (∂F/∂y)⁻¹ F, α halved until ‖F‖ falls.

    **Arguments:**

    - `residual`: `(y[n], args) -> F[n]`, real. What it is to be differentiated in must come through `args`, or be a
      leaf of `residual` itself where that is an `equinox.Module`; it may not be closed over.
    - `guess`: [n], real, where to start. It carries no derivative.
    - `args`: any pytree.
    - `rtol`: the iteration ends when a full step is smaller than `rtol` times ‖y‖ (default ε^0.6 of the dtype:
      4e-10 in float64; as Newton converges quadratically the value then has full precision).
    - `max_steps`: of the iteration, refused trial steps included.

    **Returns:** a `RootSolution`, whose `value` has the implicit derivative. Under `vmap` each lane has its own
    `result`; a failed lane's value and derivatives are NaN and the others are untouched.

    **Raises:** `ValueError` if `guess` is complex or not one-dimensional.
    """
    guess = _real_vector(guess)
    y, result, norm, steps = _newton(_frozen(residual), lax.stop_gradient(guess), _frozen(args), rtol, max_steps)
    return _solution(residual, y, args, result, norm, steps)


def follow(
    residual: Callable[[Float[Array, " n"], Float[Array, ""], PyTree], Float[Array, " n"]],
    guess: Float[Array, " n"],
    args: PyTree = None,
    *,
    start: float = 1e-3,
    rtol: float | None = None,
    max_steps: int = 200,
) -> RootSolution:
    """Root of F(y, t, args) = 0 at t = 1, continued from t = `start`, where `guess` is nearly right.

    Tangent predictor, Newton corrector, and a step that is halved where the corrector has to move far and doubled
    where it has not. The sign of det ∂F/∂y is watched: if it changes, or the step vanishes, the branch has a fold
    on the way and `result` says so. This is the definition of "the branch continued from the linear response".

    **Arguments:** as `newton`, but `residual` is `(y, t, args) -> F`; `start`: the first t, in (0, 1); `max_steps`:
    continuation steps, refused ones included.

    **Returns:** a `RootSolution` at t = 1 with the implicit derivative there.

    **Raises:** `ValueError` if `guess` is complex or not one-dimensional.
    """
    guess = _real_vector(guess)
    require(0.0 < start < 1.0, "start", "lie between 0 and 1", start)
    y, result, norm, steps = _follow(
        _frozen(residual), lax.stop_gradient(guess), _frozen(args), start, rtol, max_steps
    )
    one = jnp.ones((), guess.dtype)
    return _solution(_AtParameter(residual), y, (one, args), result, norm, steps)


@eqx.filter_custom_jvp
def implicit(residual: Residual, value: Float[Array, " n"], args: PyTree) -> Float[Array, " n"]:
    """`value` itself, with the derivative it has as the root of `residual(value, args) = 0`.

    **Arguments:** `residual` and `args` as for `newton`; `value`: [n], a root, found in whatever way; its own
    derivative is ignored.

    **Returns:** `value`, with dy = −(∂F/∂y)⁻¹ dF. If `value` is NaN so is its derivative, and nothing is raised.
    """
    return value


@implicit.def_jvp
def _implicit_jvp(primals: Any, tangents: Any) -> Any:
    residual, value, args = primals
    residual_dot, _, args_dot = tangents
    value = implicit(residual, value, args)
    _, f_dot = eqx.filter_jvp(lambda f, a: f(value, a), (residual, args), (residual_dot, args_dot))
    jacobian = jax.jacfwd(residual)(value, args)
    f_dot = jnp.zeros_like(value) if f_dot is None else f_dot
    return value, -jnp.linalg.solve(jacobian, f_dot)


class _AtParameter(eqx.Module):
    residual: Callable

    def __call__(self, y: Array, args: PyTree) -> Array:
        return self.residual(y, *args)


def _solution(residual: Residual, y: Array, args: PyTree, result: Any, norm: Array, steps: Array) -> RootSolution:
    y = jnp.where(result == RESULTS.successful, y, jnp.nan)
    return RootSolution(implicit(residual, y, args), result, norm, steps)


def _newton(
    residual: Residual, guess: Array, args: PyTree, rtol: float | None, max_steps: int
) -> tuple[Array, Any, Array, Array]:
    tolerance = _tolerance(guess, rtol)

    def direction(y: Array) -> tuple[Array, Array]:
        f = residual(y, args)
        return f, -jnp.linalg.solve(jax.jacfwd(residual)(y, args), f)

    # One evaluation a turn, whether the trial step is taken or refused: lanes under vmap then stay in step.
    def turn(carry: tuple) -> tuple:
        y, f, d, alpha, n, _ = carry
        trial = y + alpha * d
        f_trial, d_trial = direction(trial)
        better = jnp.linalg.norm(f_trial) <= (1 - 1e-4 * alpha) * jnp.linalg.norm(f)
        small = jnp.linalg.norm(alpha * d) <= tolerance * jnp.linalg.norm(trial)
        take = (better | small) & jnp.all(jnp.isfinite(d_trial))
        y, f, d = (jnp.where(take, new, old) for new, old in ((trial, y), (f_trial, f), (d_trial, d)))
        done = take & small & (alpha == 1.0)
        alpha = jnp.where(take, jnp.minimum(1.0, 2 * alpha), alpha / 2)
        return y, f, d, alpha, n + 1, done

    def going(carry: tuple) -> Bool[Array, ""]:
        y, _, d, alpha, n, done = carry
        return ~done & (n < max_steps) & (alpha > 1e-8) & jnp.all(jnp.isfinite(d))

    f, d = direction(guess)
    zero = jnp.zeros((), int)
    y, f, d, _, n, done = lax.while_loop(
        going, turn, (guess, f, d, jnp.ones((), guess.dtype), zero, jnp.zeros((), bool))
    )
    exact = jnp.all(f == 0)
    finite = jnp.all(jnp.isfinite(f)) & jnp.all(jnp.isfinite(d))
    result = RESULTS.where(finite, RESULTS.max_steps_reached, RESULTS.nonfinite)
    return y, RESULTS.where(done | exact, RESULTS.successful, result), jnp.linalg.norm(f), n


def _follow(
    residual: Callable, guess: Array, args: PyTree, start: float, rtol: float | None, max_steps: int
) -> tuple[Array, Any, Array, Array]:
    at = _AtParameter(residual)
    smallest = 1e-7

    def solve(y: Array, t: Array, steps: int) -> tuple[Array, Any, Array, Array]:
        return _newton(at, y, (t, args), rtol, steps)

    def orientation(y: Array, t: Array) -> Array:
        return jnp.linalg.slogdet(jax.jacfwd(at)(y, (t, args)))[0]

    def turn(carry: tuple) -> tuple:
        y, t, dt, sign, n, newtons, _ = carry
        t_new = jnp.minimum(t + dt, 1.0)
        f_t = jax.jvp(lambda s: residual(y, s, args), (t,), (jnp.ones_like(t),))[1]
        slope = -jnp.linalg.solve(jax.jacfwd(at)(y, (t, args)), f_t)
        predicted = y + (t_new - t) * slope
        y_new, result, norm, steps = solve(predicted, t_new, 10)
        near = jnp.linalg.norm(y_new - predicted) <= 0.1 * jnp.linalg.norm(y)
        take = (result == RESULTS.successful) & near
        crossed = take & (orientation(y_new, t_new) != sign)
        y, t = jnp.where(take, y_new, y), jnp.where(take, t_new, t)
        dt = jnp.where(take, 2 * dt, dt / 4)
        return y, t, dt, sign, n + 1, newtons + steps, crossed

    def going(carry: tuple) -> Bool[Array, ""]:
        _, t, dt, _, n, _, crossed = carry
        return (t < 1.0) & (dt > smallest) & (n < max_steps) & ~crossed

    t0 = jnp.asarray(start, guess.dtype)
    y, first, _, newtons = solve(guess, t0, 64)
    carry = (y, t0, jnp.asarray(0.1, guess.dtype), orientation(y, t0), jnp.zeros((), int), newtons, jnp.zeros((), bool))
    # A lane whose first solve failed has nothing to follow: it starts at the end.
    carry = (carry[0], jnp.where(first == RESULTS.successful, t0, 1.0), *carry[2:])
    y, t, dt, _, n, newtons, crossed = lax.while_loop(going, turn, carry)
    y, last, norm, steps = solve(y, jnp.ones_like(t0), 10)
    folded = crossed | ((t < 1.0) & (n < max_steps))
    result = RESULTS.where(t < 1.0, RESULTS.max_steps_reached, last)
    result = RESULTS.where(folded, RESULTS.fold, result)
    return y, RESULTS.where(first == RESULTS.successful, result, first), norm, newtons + steps


def _frozen(tree: PyTree) -> PyTree:
    return jax.tree_util.tree_map(lambda x: lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, tree)


def _tolerance(y: Array, rtol: float | None) -> float:
    return float(jnp.finfo(y.dtype).eps) ** 0.6 if rtol is None else rtol


def _real_vector(guess: Array) -> Array:
    guess = jnp.asarray(guess)
    if jnp.issubdtype(guess.dtype, jnp.complexfloating):
        raise ValueError("Argument guess must be real (split a complex unknown into real and imaginary parts), but was complex.")
    require(guess.ndim == 1, "guess", "be a vector", f"an array of shape {guess.shape}")
    return guess
