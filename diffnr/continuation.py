"""Branches of solutions of F(y, λ) = 0 by pseudo-arclength continuation, in buffers of fixed size.

Real unknowns y and one real parameter λ. Folds are passed, where λ turns back. The steps follow the
branch's curvature: a point is taken only if Newton's corrections contract fast, are short beside the step, and the
branch has turned by little, so that it never jumps to another branch in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from diffnr.arclength import Course, Front, Linearisation, Linearise, LineariseWhole
from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_function,
    as_positive,
    as_range,
    as_real,
    as_scalar,
    as_shaped,
    as_tolerance,
    is_concrete,
    require,
    require_finite,
)
from diffnr.elimination import solved
from diffnr.results import RESULTS, AbstractAnswer, message
from diffnr.root import frozen, implicit

STRETCH = 16  # iterations between two visits to the buffers, which in a batch are read and written whole


class Branch(AbstractAnswer):
    """Points along a branch, in order; NaN beyond `count`.

    **Fields:** `y` [point, n]; `parameter` [point], λ; `slope` [point], dλ/ds along the (scaled) arclength s, whose
    sign changes at folds; `count` []; `result`, of `RESULTS`; `num_steps` [], Newton steps taken.
    """

    y: Float[Array, "point n"]
    parameter: Float[Array, " point"]
    slope: Float[Array, " point"]
    count: Int[Array, ""]
    result: Any
    num_steps: Int[Array, ""]

    @property
    def message(self) -> str:
        """Where the branch ended, and why, in a sentence."""
        return course_of(self.result, self.parameter, self.count, "the parameter")


def course_of(result: Any, parameter: Float[Array, " point"], count: Int[Array, ""], name: str) -> str:
    """From where to where a branch goes, and why it ends there, in a sentence; of a batch, how many failed."""
    if not is_concrete(result, parameter, count) or count.ndim or count == 0:
        return message(result)
    values = np.asarray(parameter)
    if result == RESULTS.closed:
        return f"The branch is a closed loop of {count} points, followed once around from {name} = {values[0]:.6g}."
    course = f"The branch of {count} points from {name} = {values[0]:.6g}"
    last = f"{name} = {values[int(count) - 1]:.6g}"
    if result == RESULTS.successful:
        return f"{course} reached its bound at {last}."
    why = message(result)
    return f"{course} stopped short at {last}: {why[0].lower()}{why[1:]}"


def trace(
    linearise: Linearise,
    y: Numbers,
    parameter: Numbers,
    bounds: Numbers,
    args: PyTree = None,
    *,
    scale: Numbers,
    upwards: bool | Bool[Array, ""] = True,
    step: Numbers = 0.02,
    longest: Numbers = 0.15,
    max_points: Count = 512,
    oriented: bool = True,
) -> Branch:
    """The branch through (y, λ), as far as λ stays within its bounds.

    **Arguments:**

    - `linearise`: `(y, λ, args) -> (F [n], ∂F/∂y [n, n], ∂F/∂λ [n])`; ∂F/∂y may be a `BlockTridiagonal`.
    - `y`: [n], a solution at `parameter`: where to begin. `bounds`: lowest and highest λ.
    - `args`: any pytree.
    - `scale`: (of y, [] or [n]; of λ): changes that count alike in the arclength s.
    - `upwards`: whether λ grows at first. `step`: the first Δs; `longest`: the largest, in units of `scale`.
    - `max_points`: the size of the buffers; a static number.
    - `oriented`: whether a step is refused that changes the sign of the bordered determinant, as one across to a branch
      that nearly meets this one does; False where signs of equations are arbitrary from point to point.

    **Returns:** a `Branch`. It carries no derivative: differentiate points of it (implicitly) or its folds.

    **Raises:** `ValueError` for shapes, bounds that do not rise, a count or a step that is not positive, a function
    that fails when it is tried.
    """
    y, parameter, bounds = as_real(y, "y"), as_scalar(parameter, "parameter"), as_range(bounds, "bounds")
    upwards = as_flag(upwards, "upwards") if is_concrete(upwards) and not hasattr(upwards, "dtype") else upwards
    require(y.ndim == 1 and y.size > 0, "y", "be a vector", f"of shape {y.shape}")
    require_finite("y", y)
    sizes: Any = scale
    pair = isinstance(sizes, (tuple, list)) and len(sizes) == 2
    require(pair, "scale", "be two positive numbers, of y and of the parameter", sizes)
    widths = as_shaped(sizes[0], "scale", (), y.shape)
    require(not is_concrete(widths) or np.all(np.asarray(widths) > 0), "scale", "be positive", widths)
    scale = jnp.broadcast_to(widths, y.shape), as_positive(sizes[1], "scale")
    max_points = as_count(max_points, "max_points", least=2)
    step, longest = as_tolerance(step, "step"), as_tolerance(longest, "longest")
    oriented = as_flag(oriented, "oriented")
    if is_concrete(y):
        must = "be a function (y[n], parameter, args) -> (F[n], dF/dy[n, n], dF/dparameter[n])"
        as_function(linearise, "linearise", must, lambda f: _try(f, must, y, parameter, args))
    args, y, parameter, scale, bounds = frozen((args, y, parameter, scale, bounds))
    size = jnp.append(*scale).astype(y.dtype)
    low, high = (jnp.asarray(bound, y.dtype) / size[-1] for bound in bounds)
    u = jnp.append(y, parameter) / size
    along = jnp.zeros_like(u).at[-1].set(jnp.where(upwards, 1.0, -1.0))
    course = Course(linearise, args, size, low, high, longest, max_points, oriented)

    def iterate(front: Front, _: None) -> tuple[Front, tuple[Array, Array]]:
        new = course.iterate(front)
        place = jnp.where(new.taken > front.taken, front.taken, max_points)  # out of bounds: dropped
        return new, (place, jnp.append(new.u, new.tangent[-1]))

    def stretch(carry: tuple[Front, Array]) -> tuple[Front, Array]:
        front, found = carry
        front, (places, rows) = lax.scan(iterate, front, None, length=STRETCH)
        return front, found.at[places].set(rows, mode="drop")

    front = course.begun(u, along, step)
    found = jnp.full((max_points, u.size + 1), jnp.nan, y.dtype)
    front, found = lax.while_loop(lambda carry: ~carry[0].stop, stretch, (front, found))
    result = RESULTS.where(front.taken >= max_points, RESULTS.out_of_points, RESULTS.stuck)
    arrived = (front.taken > 1) & ((front.u[-1] >= high) | (front.u[-1] <= low))
    result = RESULTS.where(arrived, RESULTS.successful, result)
    result = RESULTS.where(front.closed, RESULTS.closed, result)
    result = RESULTS.where(front.taken > 0, result, RESULTS.no_start)
    us = found[:, :-1] * size
    return Branch(us[:, :-1], us[:, -1], found[:, -1], front.taken, result, front.iterations)


def _try(linearise: Any, must: str, y: Any, parameter: Any, args: PyTree) -> None:
    found: Any = eqx.filter_eval_shape(linearise, y, parameter, args)
    n = y.size
    shapes = [getattr(part, "shape", None) for part in found] if isinstance(found, (tuple, list)) else found
    require(shapes == [(n,), (n, n), (n,)], "linearise", must, f"one that returns shapes {shapes} for n = {n}")


def fold_residual(u: Float[Array, " m"], args: Any) -> Float[Array, " m"]:
    """F(y, λ) and the function g(y, λ) that vanishes at folds, [n + 1], of u = [y, λ]:

        [[∂F/∂y, b], [cᵀ, 0]] [v; g] = [0; 1]      b, c: near the singular directions of ∂F/∂y; b = ∂F/∂λ will do

    **Arguments:** `u`: [n + 1]; `args`: (residual, args of it, b [n], c [n]), residual: `(y, λ, args) -> F`.

    **Notes:** its derivative is dg = −wᵀ d(∂F/∂y) v, with w the left solution: no solve is differentiated.
    """
    residual, inner, b, c = args
    return jnp.append(residual(u[:-1], u[-1], inner), _singularity(residual, u, inner, b, c))


@eqx.filter_custom_jvp
def _singularity(residual: Any, u: Array, args: PyTree, b: Array, c: Array) -> Array:
    return null_vectors(_jacobian(residual, u, args), b, c)[0]


@_singularity.def_jvp
def _singularity_jvp(primals: Any, tangents: Any) -> Any:
    residual, u, args, b, c = primals
    residual_dot, u_dot, args_dot, _, _ = tangents
    g, v, w = null_vectors(_jacobian(residual, u, args), b, c)

    def along(residual: Any, u: Array, args: PyTree) -> Array:
        return jax.jvp(lambda y: residual(y, u[-1], args), (u[:-1],), (v,))[1]

    u_dot = jnp.zeros_like(u) if u_dot is None else u_dot
    _, change = eqx.filter_jvp(along, (residual, u, args), (residual_dot, u_dot, args_dot))
    return g, -(w @ change)


def _jacobian(residual: Any, u: Array, args: PyTree) -> Array:
    return jax.jacfwd(lambda y: residual(y, u[-1], args))(u[:-1])


def null_vectors(matrix: Array, b: Array, c: Array) -> tuple[Array, Array, Array]:
    """g of [[matrix, b], [cᴴ, 0]], real or complex, and the right and left vectors that it takes to (0, 1)."""
    bottom = jnp.append(c.conj(), jnp.zeros((), c.dtype))[None]
    # One call of LAPACK, not two: see "Two LAPACK calls at once" in docs/oscillators.md.
    whole = jnp.concatenate([jnp.concatenate([matrix, b[:, None]], axis=1), bottom])
    inverse = solved(whole, jnp.eye(whole.shape[0], dtype=whole.dtype))
    return inverse[-1, -1], inverse[:-1, -1], inverse[-1, :-1]


def fold(
    linearise: LineariseWhole,
    residual: Callable[[Array, Array, PyTree], Array],
    guess: Float[Array, " m"],
    along: Float[Array, " n"],
    args: PyTree = None,
    *,
    sought: Bool[ArrayLike, ""] = True,
    max_steps: int = 12,
) -> tuple[Float[Array, " m"], Bool[Array, ""]]:
    """The fold near a guess, by Newton's method on `fold_residual`, and whether it was found.

    **Arguments:** `linearise`, `residual`, `args`: of the branch; `guess`: [n + 1], y and λ; `along`: [n], how y
    changes there; `sought`: False for an element of a batch that has no fold, which then costs no steps.

    **Returns:** [n + 1], with the derivative of the implicit function theorem; its value is `guess` where not found.
    """
    guess, held = frozen((guess, args))
    _, _, b = linearise(guess[:-1], guess[-1], held)
    c = lax.stop_gradient(along / jnp.linalg.norm(along))

    def iterate(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        u, _, count = carry
        f, jacobian, slope = linearise(u[:-1], u[-1], held)
        g, v, w = null_vectors(jacobian, b, c)
        bend = jax.grad(lambda u: w @ jax.jvp(lambda y: residual(y, u[-1], held), (u[:-1],), (v,))[1])(u)
        matrix = jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1), -bend[None]])
        step = solved(matrix, -jnp.append(f, g)[:, None])[:, 0]
        return u + step, jnp.linalg.norm(step), count + 1

    def going(carry: tuple[Array, Array, Array]) -> Array:
        return sought & (carry[1] > 1e-10 * jnp.linalg.norm(carry[0])) & (carry[2] < max_steps)

    u, step, _ = lax.while_loop(going, iterate, (guess, jnp.full((), jnp.inf, guess.dtype), jnp.zeros((), int)))
    found = sought & (step <= 1e-8 * jnp.linalg.norm(u))
    value = jnp.where(found, u, guess)
    return implicit(fold_residual, lax.stop_gradient(value), (residual, args, b, c)), found


def turning(slope: Float[Array, " point"]) -> Bool[Array, " interval"]:
    """Between which neighbouring points of a branch there is a fold, [point − 1]."""
    return slope[:-1] * slope[1:] < 0


def from_residual(residual: Callable[[Array, Array, PyTree], Array]) -> LineariseWhole:
    """`linearise` for `trace` from a residual `(y, λ, args) -> F`, by forward differentiation."""

    def linearise(y: Array, parameter: Array, args: PyTree) -> Linearisation:
        jacobian, slope = jax.jacfwd(residual, (0, 1))(y, parameter, args)
        return residual(y, parameter, args), jacobian, slope

    return linearise
