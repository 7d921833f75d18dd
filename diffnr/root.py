"""Roots of real algebraic systems, with the derivative of the implicit function theorem.

    F(y, θ) = 0      ⇒      dy/dθ = −(∂F/∂y)⁻¹ ∂F/∂θ

`newton` and `follow` find y; `implicit` gives any y, however found, its derivative in forward and reverse mode and to
any order. Unknowns are real: a complex, non-holomorphic problem is split into its real and imaginary parts first,
because an implicit solve of it as a complex one is silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from diffnr.ascent import Ascent, settled, value_and_jacobian
from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_float,
    as_inexact,
    as_positive,
    as_tolerance,
    is_concrete,
    require,
    require_finite,
    tried,
)
from diffnr.results import RESULTS, AbstractAnswer


class RootSolution(AbstractAnswer):
    """What a root find returns; `value` is NaN where `result` is not successful.

    **Fields:** `value` [n]; `result`, a member of `RESULTS`; `residual_norm` [], ‖F‖₂; `num_steps` [], Newton steps.
    """

    value: Float[Array, " n"]
    result: Any
    residual_norm: Float[Array, ""]
    num_steps: Int[Array, ""]


Tree = TypeVar("Tree")
Residual = Callable[[Float[Array, " n"], PyTree], Float[Array, " n"]]


def newton(
    residual: Residual,
    guess: Numbers,
    args: PyTree = None,
    *,
    rtol: Numbers | None = None,
    max_steps: Count = 64,
) -> RootSolution:
    """Root of F(y, args) = 0 by a damped Newton iteration: y ← y − α (∂F/∂y)⁻¹ F.

    α is halved until ‖F‖ falls or the next step is shorter than this one.

    **Arguments:**

    - `residual`: `(y[n], args) -> F[n]`, real. What it is to be differentiated in must come through `args`, or be a
      leaf of `residual` itself where that is an `equinox.Module`; it may not be closed over.
    - `guess`: [n], real, where to start. It carries no derivative.
    - `args`: any pytree.
    - `rtol`: the iteration succeeds when a full step is smaller than `rtol` times ‖y‖ (default ε^0.6 of the dtype:
      4e-10 in float64) and steps shrink no more, so that the value is as precise as round-off allows.
    - `max_steps`: of the iteration, refused trial steps included.

    **Returns:** a `RootSolution`, whose `value` has the implicit derivative. Under `vmap` each element of the
    batch has its own `result`; a failed one's value and derivatives are NaN and the others are untouched.

    **Raises:** `ValueError` if `guess` is complex or not one-dimensional.
    """
    guess, max_steps = _real_vector(guess), as_count(max_steps, "max_steps")
    rtol = None if rtol is None else as_tolerance(rtol, "rtol")
    _require_residual(residual, "be a function (y[n], args) -> F[n]", lambda f: f(guess, args), guess)
    y, result, norm, steps = _newton(frozen(residual), lax.stop_gradient(guess), frozen(args), rtol, max_steps)
    return _solution(residual, y, args, result, norm, steps)


def follow(
    residual: Callable[[Float[Array, " n"], Float[Array, ""], PyTree], Float[Array, " n"]],
    guess: Numbers,
    args: PyTree = None,
    *,
    scale: Numbers | None = None,
    start: Numbers = 1e-3,
    rtol: Numbers | None = None,
    max_steps: Count = 1000,
    straight_on: bool = False,
) -> RootSolution:
    """Root of F(y, t, args) = 0 at t = 1, on the branch that starts from `guess` at t → 0.

    Pseudo-arclength: a step is quartered where the corrector has to move far or does not contract fast, or the branch
    turns by much, so that no other branch is jumped to in silence. Folds, where t turns back, are passed, and the root
    is that at which the branch *first* arrives at t = 1. A load that is raised slowly ends in it, too: where it jumps
    at a fold, it jumps past what lies at smaller loads. This is the definition of "the branch continued from the linear
    response". Where other solutions branch off on the way the one asked for is not determined, and `result` says so.

    **Arguments:** as `newton`, but `residual` is `(y, t, args) -> F`, asked for t ≤ 1 (where it is not finite at t ≤ 0,
    the branch ends there); `guess`: [n], the solution for t → 0, to a thousandth; `scale`: [], the change of y that
    counts like t (default ‖guess‖); `start`: the first t tried, in (0, 1) (a smaller one where Newton leads far from
    `guess`); `max_steps`: Newton steps in all.

    **Returns:** a `RootSolution` at t = 1 with the implicit derivative there.

    **Raises:** `ValueError` if `guess` is complex or not one-dimensional.
    """
    guess, max_steps = _real_vector(guess), as_count(max_steps, "max_steps")
    rtol = None if rtol is None else as_tolerance(rtol, "rtol")
    start = as_float(start, "start")
    require(0.0 < start < 1.0, "start", "lie between 0 and 1", start)
    must = "be a function (y[n], t, args) -> F[n]"
    _require_residual(residual, must, lambda f: f(guess, jnp.ones((), guess.dtype), args), guess)
    size = jnp.linalg.norm(guess) if scale is None else as_positive(scale, "scale")
    begin = lax.stop_gradient((guess, size))
    straight_on = as_flag(straight_on, "straight_on")
    held, unit = frozen((residual, args)), jnp.where(begin[1] > 0, begin[1], 1.0)
    ascent = Ascent(*held, begin[0], unit, start, tolerance_of(guess, rtol), max_steps, straight_on)
    y, result, norm, steps = ascent.followed()
    one = jnp.ones((), guess.dtype)
    return _solution(_AtParameter(residual), y, (one, args), result, norm, steps)


def implicit(residual: Residual, value: Float[Array, " n"], args: PyTree) -> Float[Array, " n"]:
    """`value` itself, with the derivative it has as the root of `residual(value, args) = 0`.

    **Arguments:** `residual` and `args` as for `newton`; `value`: [n], a root, found in whatever way; its own
    derivative is ignored.

    **Returns:** `value`, with dy = −(∂F/∂y)⁻¹ dF. If `value` is NaN so is its derivative, and nothing is raised.
    """
    return _implicit(residual, value, args)


# A name of its own: what this decorator returns has neither the docstring nor the signature of what it decorates.
@eqx.filter_custom_jvp
def _implicit(residual: Residual, value: Array, args: PyTree) -> Array:
    return value


@_implicit.def_jvp
def _implicit_jvp(primals: Any, tangents: Any) -> Any:
    residual, value, args = primals
    residual_dot, _, args_dot = tangents
    value = _implicit(residual, value, args)
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
    def direction(y: Array) -> tuple[Array, Array]:
        f, jacobian = value_and_jacobian(residual, y, args)
        return f, -jnp.linalg.solve(jacobian, f)

    return damped(direction, guess, tolerance_of(guess, rtol), max_steps)


def damped(
    direction: Callable[[Array], tuple[Array, Array]], guess: Array, tolerance: float, max_steps: int
) -> tuple[Array, Any, Array, Array]:
    """The damped iteration of `newton` with any `direction`: y -> (F, the full step); y, a `RESULTS`, ‖F‖ and steps."""

    # One evaluation an iteration, whether the trial step is taken or refused: a batch then stays in step. The first
    # iteration goes nowhere and evaluates at the guess: what is traced once compiles in half of the time.
    def iterate(carry: tuple) -> tuple:
        y, f, d, alpha, n, _ = carry
        first = n < 0
        trial = y + alpha * d
        f_trial, d_trial = direction(trial)
        length, size = jnp.linalg.norm(d), jnp.linalg.norm(trial)
        next_length = jnp.linalg.norm(d_trial)
        # Either measure of progress will do: the second knows nothing of how the equations are scaled.
        better = jnp.linalg.norm(f_trial) <= (1 - 1e-4 * alpha) * jnp.linalg.norm(f)
        better = better | (next_length <= (1 - alpha / 4) * length)
        small = alpha * length <= tolerance * size
        take = first | ((better | small) & jnp.all(jnp.isfinite(d_trial)))
        done = ~first & take & small & (alpha == 1.0) & settled(next_length, length, size)
        y, f, d = (jnp.where(take, new, old) for new, old in ((trial, y), (f_trial, f), (d_trial, d)))
        alpha = jnp.where(take, jnp.minimum(1.0, 2 * alpha), alpha / 2)
        return y, f, d, alpha, n + 1, done

    def going(carry: tuple) -> Bool[Array, ""]:
        _, _, d, alpha, n, done = carry
        return ~done & (n < max_steps) & (alpha > 1e-8) & jnp.all(jnp.isfinite(d))

    rest = jnp.zeros_like(guess)
    start = guess, rest, rest, jnp.ones((), guess.dtype), -jnp.ones((), int), jnp.zeros((), bool)
    y, f, d, _, n, done = lax.while_loop(going, iterate, start)
    exact = jnp.all(f == 0)
    finite = jnp.all(jnp.isfinite(f)) & jnp.all(jnp.isfinite(d))
    result = RESULTS.where(finite, RESULTS.max_steps_reached, RESULTS.nonfinite)
    return y, RESULTS.where(done | exact, RESULTS.successful, result), jnp.linalg.norm(f), n


def frozen(tree: Tree) -> Tree:
    """`tree` without derivatives."""
    return jax.tree_util.tree_map(lambda x: lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, tree)


def tolerance_of(y: Array, rtol: float | None = None) -> float:
    """The relative tolerance of a root: as given, or ε^0.6 of the dtype."""
    return float(jnp.finfo(y.dtype).eps) ** 0.6 if rtol is None else rtol


def _real_vector(guess: Any) -> Array:
    guess = as_inexact(guess, "guess")
    must = "be real (split a complex unknown into real and imaginary parts)"
    require(not jnp.issubdtype(guess.dtype, jnp.complexfloating), "guess", must, "complex")
    require(guess.ndim == 1 and guess.size > 0, "guess", "be a vector", f"an array of shape {guess.shape}")
    require_finite("guess", guess)
    return guess


def _require_residual(residual: Any, must: str, trial: Callable[[Any], Any], guess: Array) -> None:
    """Raise unless `residual` is a function that works; where the guess is traced that comes out at once anyhow."""
    if not is_concrete(guess):
        return
    found = tried(residual, "residual", must, lambda function: eqx.filter_eval_shape(trial, function))
    was = f"one that returns {f'shape {found.shape}' if hasattr(found, 'shape') else type(found).__name__}"
    require(getattr(found, "shape", None) == guess.shape, "residual", must, f"{was} for n = {guess.size}")
