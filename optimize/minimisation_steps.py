"""The compiled steps of a minimisation: evaluate an objective at the start, and take steps of any optax optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from diffnr.checks import require
from optimize.transforms import Parametrisation

# At most this many steps run between two looks at the clock; a compiled size, so the same in every run.
CHUNK = 256


class Iterate(eqx.Module):
    """All that a step needs and changes; on file, it is the checkpoint."""

    u: Float[Array, " parameter"]
    step: Int[Array, ""]
    value: Float[Array, ""]
    gradient: Float[Array, " parameter"]
    optimiser: PyTree
    best: tuple[Float[Array, " parameter"], Float[Array, ""], Float[Array, ""]]

    @property
    def norm(self) -> Array:
        return jnp.linalg.norm(self.gradient)

    @property
    def finite(self) -> Array:
        return jnp.isfinite(self.value) & jnp.all(jnp.isfinite(self.gradient))

    def going(self, tolerance: ArrayLike | None) -> Array:
        return self.finite if tolerance is None else self.finite & (self.norm > tolerance)


def compiled_steps(objective: Callable[..., Any], optimiser: Any, history: bool | str) -> tuple[Callable, Callable]:
    """The two compiled functions of a run: evaluate at the start, and take up to CHUNK steps."""
    optimiser = optax.with_extra_args_support(optimiser)

    def function(problem: tuple[Parametrisation, Any]) -> Callable[[Array], Array]:
        parametrisation, args = problem

        def value_fn(u: Array) -> Array:
            model = parametrisation.build(u)
            return real_scalar(objective(model) if args is None else objective(model, args), u.dtype)

        return value_fn

    def row(state: Iterate, parametrisation: Parametrisation) -> dict[str, Any]:
        row = {"objective": state.value, "gradient_norm": state.norm} if history else {}
        return {**row, "values": parametrisation.values(state.u)} if history == "values" else row

    def step(state: Iterate, value_fn: Callable[[Array], Array]) -> Iterate:
        updates, changed = optimiser.update(
            state.gradient, state.optimiser, state.u, value=state.value, grad=state.gradient, value_fn=value_fn
        )
        inner = jax.tree_util.tree_map(_like, changed, state.optimiser)
        u: Any = optax.apply_updates(state.u, updates)
        known = _known(inner)
        value, gradient = jax.value_and_grad(value_fn)(u) if known is None else known
        new = Iterate(u, state.step + 1, value, gradient, inner, state.best)
        norm, (_, least, least_norm) = new.norm, state.best
        # Where values are equal but for rounding, the smaller gradient is nearer to the minimum.
        level = least + 4 * jnp.finfo(u.dtype).eps * jnp.abs(least)
        better = new.finite & ((value < least) | ((value <= level) & (norm < least_norm)))
        best = jax.tree_util.tree_map(lambda a, b: jnp.where(better, a, b), (u, value, norm), state.best)
        return eqx.tree_at(lambda s: s.best, new, best)

    @eqx.filter_jit
    def begin(problem: tuple[Parametrisation, Any]) -> tuple[Iterate, dict[str, Any]]:
        u = problem[0].start
        value, gradient = jax.value_and_grad(function(problem))(u)
        inner = jax.tree_util.tree_map(_strong, optimiser.init(u))
        best = (u, value, jnp.linalg.norm(gradient))
        state = Iterate(u, jnp.zeros((), int), value, gradient, inner, best)
        return state, jax.tree_util.tree_map(lambda x: x[None], row(state, problem[0]))

    @eqx.filter_jit
    def advance(
        state: Iterate, count: Array, tolerance: Array | None, problem: tuple[Parametrisation, Any]
    ) -> tuple[Iterate, dict[str, Any], Array]:
        value_fn = function(problem)

        def iteration(carry: tuple) -> tuple:
            i, state, rows = carry
            state = step(state, value_fn)
            rows = jax.tree_util.tree_map(lambda kept, x: kept.at[i].set(x), rows, row(state, problem[0]))
            return i + 1, state, rows

        def going(carry: tuple) -> Array:
            i, state, _ = carry
            return (i < count) & state.going(tolerance)

        rows = jax.tree_util.tree_map(lambda x: jnp.zeros((CHUNK, *x.shape), x.dtype), row(state, problem[0]))
        i, state, rows = lax.while_loop(going, iteration, (jnp.zeros((), int), state, rows))
        return state, rows, i

    def take(state: Iterate, count: int, tolerance: float | None, problem: tuple[Parametrisation, Any]) -> Any:
        # Numbers as arrays: every Python number would be compiled anew.
        return advance(state, jnp.asarray(count), None if tolerance is None else jnp.asarray(tolerance), problem)

    return begin, take


def _known(inner: PyTree) -> tuple[Any, Any] | None:
    """Value and gradient at the new point, where a line search at the end of the chain has just computed them."""
    while type(inner) is tuple and inner:
        inner = inner[-1]
    if isinstance(inner, (optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)):
        return None if inner.grad is None else (inner.value, inner.grad)
    return None


def real_scalar(value: Any, dtype: Any) -> Array:
    """What an objective returned, in `dtype`.

    **Raises:** `ValueError` for what is no real scalar.
    """
    array = hasattr(value, "dtype") and hasattr(value, "shape")
    was = f"{value.dtype} of shape {value.shape}" if array else f"a {type(value).__name__}"
    real = eqx.is_array_like(value) and jnp.issubdtype(jnp.result_type(value), jnp.floating) and jnp.shape(value) == ()
    require(real, "objective", "return a real scalar", was)
    return lax.convert_element_type(value, dtype)


def _strong(x: Any) -> Array:
    # Weak types would become strong in the first step, and a second compilation would follow.
    x = jnp.asarray(x)
    return _like(x, x)


def _like(new: Array, old: Array) -> Array:
    return new if jnp.issubdtype(old.dtype, jax.dtypes.prng_key) else lax.convert_element_type(new, old.dtype)
