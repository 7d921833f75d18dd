"""Checks of arguments, and the converters and field specifiers that models share.

Checks look at values only where there are values: inside a transformation (`jit`, `vmap`, `grad`) an argument is a
tracer and only its shape and dtype are checked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

Numbers = ArrayLike | Sequence[Any]  # what becomes an array: a number, an array, or a (nested) sequence of them


def is_concrete(*values: Any) -> bool:
    """Whether no leaf of `values` is a tracer, so that its numbers can be looked at."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree_util.tree_leaves(values))


def require(condition: Any, name: str, must: str, was: Any) -> None:
    """Raise `ValueError("Argument <name> must <must>, but was <was>.")` unless `condition` holds."""
    if not condition:
        if isinstance(was, (jax.Array, np.ndarray)):
            text = np.array2string(np.asarray(was), precision=6, separator=", ", threshold=20)
            was = " ".join(text.split()).removesuffix(".")
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


def as_real(value: Numbers, name: str = "value") -> Array:
    """`value` as a real floating array; integers become the default float, complex input is refused."""
    array = as_inexact(value)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"Argument {name} must be real, but was {value}.")
    return array


def as_positive(value: Numbers, name: str) -> Array:
    """`value` as one real number; raise unless it is positive and finite."""
    number = as_real(value, name)
    require(number.ndim == 0, name, "be a number (use jax.vmap for many)", f"of shape {number.shape}")
    require_finite(name, number)
    require(not is_concrete(number) or bool(number > 0), name, "be positive", number)
    return number


def as_inexact(value: Numbers) -> Array:
    """`value` as a real or complex floating array; integers become the default float."""
    array = jnp.asarray(value)
    dtype = array.dtype if jnp.issubdtype(array.dtype, jnp.inexact) else jnp.result_type(float)
    # Not weakly typed: a leaf given as a Python number and its replacement by an array must not retrace.
    return lax.convert_element_type(array, dtype)


def as_complex(value: Numbers) -> Array:
    """`value` as a complex array of the precision it came in."""
    array = as_inexact(value)
    return lax.convert_element_type(array, jnp.result_type(array.dtype, jnp.complex64))


def real_field(lower: float | None = None, upper: float | None = None, **kwargs: Any) -> Any:
    """A dataclass field for a real parameter whose physical bounds travel with it.

    The bounds serve twice: the model refuses values outside of them (by `check_fields`), and the optimisers, when such
    a leaf is freed, search only inside (see `diffnr.parameters.bounds`).
    """
    # A converter does not know the name of its field: it leaves the refusal of complex numbers to `check_fields`.
    return eqx.field(converter=as_inexact, metadata={"bounds": (lower, upper)}, **kwargs)


def rate_field(**kwargs: Any) -> Any:
    """A dataclass field for a rate that must not be negative (an amplitude rate, in the model's rate unit)."""
    return real_field(lower=0.0, **kwargs)


def check_fields(module: eqx.Module) -> None:
    """Raise unless every field of `module` made by `real_field` is real and within its bounds."""
    for field in dataclasses.fields(module):
        if "bounds" in field.metadata:
            value = getattr(module, field.name)
            if value is not None:
                require(jnp.issubdtype(value.dtype, jnp.floating), field.name, "be real", value)
                require_bounds(field.name, value, *field.metadata["bounds"])
