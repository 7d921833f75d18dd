"""Roots of real algebraic systems, with the derivative of the implicit function theorem.

    F(y, θ) = 0      ⇒      dy/dθ = −(∂F/∂y)⁻¹ ∂F/∂θ

`newton` and `follow` find y; `implicit` gives any y, however found, its derivative in forward and reverse mode and to
any order. Unknowns are real: a complex, non-holomorphic problem is split into its real and imaginary parts first,
because an implicit solve of it as a complex one is silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

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
from diffnr.elimination import solved_with_sign
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
    y, result, norm, steps = _follow(frozen(residual), *begin, frozen(args), start, rtol, max_steps, straight_on)
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


def value_and_jacobian(residual: Residual, y: Array, args: PyTree) -> tuple[Array, Array]:
    """F and ∂F/∂y, of one evaluation: see "Two LAPACK calls at once" in docs/oscillators.md."""
    jacobian, f = jax.jacfwd(lambda y: (residual(y, args),) * 2, has_aux=True)(y)
    return f, jacobian


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
        done = ~first & take & small & (alpha == 1.0) & _settled(next_length, length, size)
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


class _Path(NamedTuple):
    """The state along a branch: the last point accepted, and the corrector on its way to the next.

    Points are u = [y, t]. What counts alike in a step is what changes y and t by the same share of what they are, so
    that neither how equations are scaled nor how strong the load is matters.
    """

    u: Array
    unit: Array  # [y, t]: what tangents, rows and steps are measured in
    highest: Array  # t so far
    tangent: Array
    sign: Array  # of the bordered determinant: 0 as long as no point is accepted
    ds: Array
    trial: Array
    row: Array  # the corrector's constraint: row · (trial − u)/unit = advance
    advance: Array
    limit: Array  # of the next correction's length
    last: Array  # whether the trial is the end, t = 1
    iterations: Array
    ended: Array
    branched: Array


TURN, LARGEST_TURN = 0.15, 0.5  # rad, by which the branch should turn from point to point; more is refused
SHRINK = 4  # a corrector whose steps do not shrink so fast is going to another branch
LONGEST = 2.0  # step
BACK = 0.1  # of the highest t, in which t is measured where it is smaller: a branch may pass t = 0
FAR = 1e3  # times the load, in the other direction: a branch that goes so far does not come back
SHORTEST = 0.7  # step: ε to this power, 1e-11 in float64, as regularised laws have corners that sharp


def _follow(
    residual: Callable,
    guess: Array,
    size: Array,
    args: PyTree,
    start: float,
    rtol: float | None,
    max_steps: int,
    straight_on: bool,
) -> tuple[Array, Any, Array, Array]:
    tolerance = tolerance_of(guess, rtol)
    up = jnp.zeros(guess.size + 1, guess.dtype).at[-1].set(1.0)
    size = jnp.where(size > 0, size, 1.0)

    def units(u: Array, highest: Array) -> Array:
        extent = jnp.linalg.norm(u[:-1])
        extent = jnp.where(extent > 0, extent, size)
        return jnp.append(jnp.full_like(guess, extent), jnp.maximum(jnp.abs(u[-1]), BACK * highest))

    def ahead(u: Array, unit: Array, tangent: Array, ds: Array) -> tuple[Array, Array, Array, Array]:
        """Where to try next and by which constraint: the arclength, or t = 1 itself."""
        last = u[-1] + ds * tangent[-1] * unit[-1] >= 1.0
        ds = jnp.where(last, (1.0 - u[-1]) / jnp.where(last, tangent[-1] * unit[-1], 1.0), ds)
        row = jnp.where(last, up, tangent)
        return u + ds * tangent * unit, row, row @ (ds * tangent), last

    def begin(t: Array) -> tuple[Array, Array, Array]:
        """The first trial, at a small t: where it is, its unit, and how far the corrector may go."""
        known = jnp.linalg.norm(guess) > 0
        extent = jnp.where(known, jnp.linalg.norm(guess), size * t)
        return jnp.append(guess, t), jnp.append(jnp.full_like(guess, extent), t), jnp.where(known, 0.1, jnp.inf)

    # One Newton step an iteration, whatever it is for: one loop compiles fast, and a batch stays in step.
    def iterate(path: _Path) -> _Path:
        f, jacobian = value_and_jacobian(lambda u, args: residual(u[:-1], u[-1], args), path.trial, args)
        matrix = jnp.concatenate([jacobian * path.unit, path.row[None]])
        missing = path.advance - path.row @ ((path.trial - path.u) / path.unit)
        solution, sign = solved_with_sign(matrix, jnp.stack([jnp.append(-f, missing), up], axis=1))
        step, tangent = solution.T
        tangent, first = tangent / jnp.linalg.norm(tangent), path.sign == 0
        forwards = jnp.where(first, tangent[-1], tangent @ path.tangent) >= 0
        tangent, sign = jnp.where(forwards, tangent, -tangent), jnp.where(forwards, sign, -sign)
        corrected, length = path.trial + step * path.unit, jnp.linalg.norm(step)
        angle = jnp.arccos(jnp.clip(tangent @ path.tangent, -1.0, 1.0))
        finite = jnp.all(jnp.isfinite(corrected)) & jnp.all(jnp.isfinite(tangent))
        extent = jnp.linalg.norm(corrected[:-1]) / path.unit[0]
        # Exact at every point: what is left of an unknown that is small beside the others may be all of it.
        exact = (length <= tolerance * extent) & _settled(length, SHRINK * path.limit, extent)
        arrived = finite & (exact | (length <= 8 * jnp.finfo(length.dtype).eps))
        refused = ~arrived & ~(length <= path.limit) | (arrived & ~first & ~path.last & (angle > LARGEST_TURN))
        taken = arrived & ~refused
        # Along a branch that is regular, round folds too, the sign stays; units and rows turn it by nothing.
        branched = taken & (sign * path.sign < 0) & (not straight_on)
        u, sign = (jnp.where(taken, new, old) for new, old in ((corrected, path.u), (sign, path.sign)))
        highest = jnp.maximum(path.highest, u[-1])
        unit = jnp.where(taken, units(u, highest), path.unit)
        along = tangent * path.unit / unit
        along = jnp.where(taken, along / jnp.linalg.norm(along), path.tangent)
        grown = jnp.where(first, path.ds, path.ds * jnp.clip(TURN / jnp.maximum(angle, 1e-9), 0.5, 3.0))
        ds = jnp.where(taken, jnp.minimum(grown, LONGEST), jnp.where(refused, path.ds / 4, path.ds))
        trial, row, advance, last = ahead(u, unit, along, ds)
        limit = 0.5 * ds
        # Not yet begun: nearer to t = 0.
        waiting = first & ~taken
        t0 = jnp.where(refused, path.trial[-1] / 4, path.trial[-1])
        trial0, unit0, limit0 = begin(t0)
        trial, unit = jnp.where(waiting, trial0, trial), jnp.where(waiting, unit0, unit)
        row, advance, last = jnp.where(waiting, up, row), jnp.where(waiting, 0.0, advance), last & ~waiting
        fresh = taken | refused
        return _Path(
            u=jnp.where(waiting, trial0, u),
            unit=unit,
            highest=highest,
            tangent=along,
            sign=sign,
            ds=jnp.where(waiting, path.ds, ds),
            trial=jnp.where(fresh, trial, corrected),
            row=jnp.where(fresh, row, path.row),
            advance=jnp.where(fresh, advance, path.advance),
            limit=jnp.where(fresh, jnp.where(waiting, limit0, limit), length / SHRINK),
            last=jnp.where(fresh, last, path.last),
            iterations=path.iterations + 1,
            ended=taken & path.last,
            branched=branched,
        )

    def going(path: _Path) -> Bool[Array, ""]:
        begun = path.sign != 0
        shortest = float(jnp.finfo(guess.dtype).eps) ** SHORTEST
        moving = jnp.where(begun, path.ds > shortest, path.trial[-1] > jnp.finfo(guess.dtype).tiny)
        return ~path.ended & ~path.branched & moving & (path.u[-1] > -FAR) & (path.iterations < max_steps)

    zero, no = jnp.zeros((), guess.dtype), jnp.zeros((), bool)
    trial, unit, limit = begin(zero + start)
    first = _Path(trial, unit, zero, up, zero, zero + 0.5, trial, up, zero, limit, no, jnp.zeros((), int), no, no)
    end = lax.while_loop(going, iterate, first)
    y = end.u[:-1]
    norm = jnp.linalg.norm(residual(y, zero + 1, args))
    lost = RESULTS.where(jnp.isfinite(norm), RESULTS.max_steps_reached, RESULTS.nonfinite)
    result = RESULTS.where((end.sign != 0) & (end.iterations < max_steps), RESULTS.fold, lost)
    result = RESULTS.where(end.branched, RESULTS.branch_point, result)
    result = RESULTS.where(end.ended & ~end.branched, RESULTS.successful, result)
    return y, result, norm, end.iterations


def _settled(step: Array, before: Array, size: Array) -> Bool[Array, ""]:
    """Whether Newton steps have stopped shrinking, so that round-off is all that is left of them."""
    return (step <= 8 * jnp.finfo(size.dtype).eps * size) | (step > before / 4)


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
