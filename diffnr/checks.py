"""Checks of arguments, and the converters and field specifiers that models share.

Checks look at values only where there are values: inside a transformation (`jit`, `vmap`, `grad`) an
argument is a tracer and only its shape and dtype are checked.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike


def is_concrete(*values: Any) -> bool:
    """Whether no leaf of `values` is a tracer, so that its numbers can be looked at."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(values))


def require(condition: Any, name: str, must: str, was: Any) -> None:
    """Raise `ValueError("Argument <name> must <must>, but was <was>.")` unless `condition` holds."""
    if not condition:
        if isinstance(was, (jax.Array, np.ndarray)):
            was = np.array2string(np.asarray(was), precision=6, separator=", ", threshold=20)
        raise ValueError(f"Argument {name} must {must}, but was {was}.")


def require_finite(name: str, value: Any) -> None:
    """Raise unless every entry of `value` is finite (tracers pass)."""
    if is_concrete(value):
        require(np.all(np.isfinite(np.asarray(value))), name, "be finite", value)


def require_bounds(name: str, value: Any, lower: float | None = None, upper: float | None = None) -> None:
    """Raise unless every entry of `value` is finite and lies in [lower, upper] (tracers pass)."""
    require_finite(name, value)
    if is_concrete(value):
        if lower is not None:
            must = "not be negative" if lower == 0.0 else f"be at least {lower:g}"
            require(np.all(np.asarray(value) >= lower), name, must, value)
        if upper is not None:
            require(np.all(np.asarray(value) <= upper), name, f"be at most {upper:g}", value)


def as_real(value: ArrayLike) -> Array:
    """`value` as a real floating array; integers become the default float, complex input is refused."""
    array = jnp.asarray(value)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"Argument must be real, but was {value}.")
    dtype = array.dtype if jnp.issubdtype(array.dtype, jnp.floating) else jnp.result_type(float)
    # Not weakly typed: a leaf given as a Python number and its replacement by an array must not retrace.
    return lax.convert_element_type(array, dtype)


def as_complex(value: ArrayLike) -> Array:
    """`value` as a complex array of the precision it came in."""
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        array = array.astype(jnp.result_type(float))
    return lax.convert_element_type(array, jnp.result_type(array.dtype, jnp.complex64))


def real_field(lower: float | None = None, upper: float | None = None, **kwargs: Any) -> Any:
    """A dataclass field for a real parameter whose physical bounds travel with it.

    The bounds serve twice: the model refuses values outside of them, and the optimisers, when such a leaf is
    freed, search only inside (see `diffnr.parameters.bounds`).
    """
    return eqx.field(converter=as_real, metadata={"bounds": (lower, upper)}, **kwargs)


def rate_field(**kwargs: Any) -> Any:
    """A dataclass field for a rate that must not be negative (an amplitude rate, in the model's rate unit)."""
    return real_field(lower=0.0, **kwargs)


def check_fields(module: eqx.Module) -> None:
    """Check every field of `module` made by `real_field` against its bounds."""
    for field in module.__dataclass_fields__.values():
        if "bounds" in field.metadata:
            value = getattr(module, field.name)
            if value is not None:
                require_bounds(field.name, value, *field.metadata["bounds"])
