"""Readers of arguments: each takes what a user gave and returns it in one form, or raises one sentence

    Argument <name> must <what it must be>, but was <what it was>.

and the field specifiers that models share. Values are looked at only where there are values: inside a transformation
(`jit`, `vmap`, `grad`) an argument is a tracer and only its shape and dtype are checked; what must be a number known in
advance (a count, a port) is refused there, by a sentence too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

Numbers = ArrayLike | Sequence[Any]  # what becomes an array: a number, an array, or a (nested) sequence of them
Count = int | np.integer  # a whole number; a bool is none
Shape = tuple[int, ...]

LONGEST = 80  # characters of what an argument was


def is_concrete(*values: Any) -> bool:
    """Whether no leaf of `values` is a tracer, so that its numbers can be looked at."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree_util.tree_leaves(values))


def by_itself() -> bool:
    """Whether no program is being traced: inside of `jit` constants are traced as well."""
    return is_concrete(jnp.asarray(np.zeros(())))


def staying_known() -> Any:
    """A context in which what is made of known numbers is known inside of jit as well, so that it can be checked there;
    what is made of tracers is traced all the same."""
    # Outside of jit it has nothing to do, but would have JAX do one by one what a function that is compiled does.
    return contextlib.nullcontext() if by_itself() else jax.ensure_compile_time_eval()


def described(value: Any) -> str:
    """What an argument was, in a few words: its value where that is short, else what it is."""
    if isinstance(value, Tracer):
        return f"traced (an argument of jit, vmap or grad), of shape {value.shape}"
    if isinstance(value, (jax.Array, np.ndarray)):
        if value.size == 0:
            return f"an array of shape {value.shape}"
        if value.ndim == 0 and value.dtype.kind in "iufc":
            return f"{value.item():.6g}"
        text = np.array2string(np.asarray(value), precision=6, separator=", ", threshold=20)
        return " ".join(text.split()).removesuffix(".")
    if isinstance(value, (np.dtype, os.PathLike)):
        return str(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and not isinstance(value, eqx.Module):
        return f"the function {getattr(value, '__name__', type(value).__name__)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return f"{value:.6g}" if abs(value) < 1e300 else f"an integer of {len(hex(abs(value))) - 2} hexadecimal digits"
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, tuple, list, dict, set, np.generic)):
        text = repr(value.item() if isinstance(value, np.generic) else value)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return f"of the class {type(value).__name__}"


def require(condition: Any, name: str, must: str, was: Any) -> None:
    """Raise `ValueError("Argument <name> must <must>, but was <was>.")` unless `condition` holds.

    `was` is text that is printed as it stands, or any other value, which is described.
    """
    if not condition:
        raise ValueError(f"Argument {name} must {must}, but was {was if isinstance(was, str) else described(was)}.")


def _require(condition: Any, name: str, must: str, was: Any) -> None:
    """`require` of what a user gave, which is described also where it is text."""
    if not condition:
        require(False, name, must, described(was))


def require_known(value: Any, name: str, what: str = "be known in advance") -> None:
    """Raise unless `value` holds no tracer."""
    was = "traced (an argument of jit, vmap or grad)"
    require(is_concrete(value), name, f"{what}: it cannot change inside of jit, vmap or grad", was)


def require_instance(value: Any, name: str, kinds: type | tuple[type, ...], must: str) -> None:
    """Raise unless `value` is of one of the classes `kinds`, which `must` says in words ("be a model with ports")."""
    require(isinstance(value, kinds), name, must, described(value))


def require_finite(name: str, value: Any) -> None:
    """Raise unless every entry of `value` is finite (tracers pass)."""
    if is_concrete(value):
        require(np.all(np.isfinite(np.asarray(value))), name, "be finite", value)


def require_double(name: str, value: Array) -> None:
    """Raise unless `value`, which an argument holds, has 64 bits to a real number."""
    bits = jnp.finfo(value.dtype).bits
    was = f'in float{bits}: call jax.config.update("jax_enable_x64", True) first, and make it anew'
    require(bits == 64, name, "be in float64", was)


def require_bounds(name: str, value: Any, lower: float | None = None, upper: float | None = None) -> None:
    """Raise unless every entry of `value` is finite and lies in [lower, upper] (tracers pass)."""
    require_finite(name, value)
    if is_concrete(value):
        if lower is not None:
            must = "not be negative" if lower == 0.0 else f"be at least {lower:g}"
            require(np.all(np.asarray(value) >= lower), name, must, value)
        if upper is not None:
            require(np.all(np.asarray(value) <= upper), name, f"be at most {upper:g}", value)


def require_shape(value: Array, name: str, *shapes: Shape, why: str = "") -> None:
    """Raise unless `value` has one of the `shapes`, with what they follow from ("as D has ...")."""
    must = "be a number (use jax.vmap for many)" if shapes == ((),) else f"have shape {' or '.join(map(str, shapes))}"
    require(value.shape in shapes, name, f"{must}, {why}" if why else must, f"of shape {value.shape}")


def as_inexact(value: Any, name: str = "value") -> Array:
    """`value` as a real or complex floating array; integers become the default float.

    **Raises:** `ValueError` for what is no number and no array of numbers: None, text, functions, booleans, ragged
    lists, integers beyond the range of floats.
    """
    must = "be a number or an array of numbers"
    # In one place for everything that is no number: numpy says what an object would become.
    if not isinstance(value, (jax.Array, np.ndarray, np.generic, int, float, complex)):
        listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        _require(listed or hasattr(value, "__jax_array__") or hasattr(value, "__array__"), name, must, value)
    try:
        array = jnp.asarray(np.asarray(value, float) if type(value) in (int, float) else _floats(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"Argument {name} must {must}, but was {described(value)}.") from None
    require(jnp.issubdtype(array.dtype, jnp.number), name, must, value)
    dtype = array.dtype if jnp.issubdtype(array.dtype, jnp.inexact) else jnp.result_type(float)
    # Not weakly typed: a leaf given as a Python number and its replacement by an array must not retrace.
    return lax.convert_element_type(array, dtype) if array.dtype != dtype or array.weak_type else array


def _floats(value: Any) -> Any:
    """Python integers as floats: JAX takes none beyond 64 bits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_floats(item) for item in value]
    return value


def as_real(value: Any, name: str = "value") -> Array:
    """`value` as a real floating array; integers become the default float, complex input is refused."""
    array = as_inexact(value, name)
    require(not jnp.issubdtype(array.dtype, jnp.complexfloating), name, "be real", value)
    return array


def as_complex(value: Any, name: str = "value") -> Array:
    """`value` as a complex array of the precision it came in."""
    array = as_inexact(value, name)
    return lax.convert_element_type(array, jnp.result_type(array.dtype, jnp.complex64))


def as_scalar(
    value: Any,
    name: str,
    *,
    lower: float | None = None,
    upper: float | None = None,
    positive: bool = False,
) -> Array:
    """`value` as one real, finite number, within bounds or positive."""
    number = as_real(value, name)
    require_shape(number, name, ())
    require_bounds(name, number, lower, upper)
    require(not positive or not is_concrete(number) or bool(np.asarray(number) > 0), name, "be positive", number)
    return number


def as_positive(value: Any, name: str) -> Array:
    """`value` as one real number that is positive and finite."""
    return as_scalar(value, name, positive=True)


def as_float(value: Any, name: str) -> float:
    """`value` as one finite number that is known in advance, as a Python float."""
    require_known(value, name)
    with staying_known():  # inside of jit even a constant becomes a tracer
        return float(as_scalar(value, name))


def as_tolerance(value: Any, name: str) -> float:
    """`value` as one positive number that is known in advance, as a Python float."""
    number = as_float(value, name)
    require(number > 0, name, "be positive", f"{number:g}")
    return number


def as_order(value: Any, name: str) -> int | float:
    """`value` as a harmonic: a whole number from 0, or a fraction of the drive's frequency."""
    if isinstance(value, (float, np.floating)) and 0 <= value < np.inf:
        return int(value) if value == int(value) else float(value)
    return as_count(value, name, least=0)


def as_frequency(value: Any, name: str) -> Array:
    """`value` as one angular frequency, positive and finite; a known one is known inside of jit as well."""
    with staying_known():
        return as_scalar(value, name, positive=True)


def as_shaped(value: Any, name: str, *shapes: Shape, real: bool = True) -> Array:
    """`value` as a finite array of one of the `shapes`, real or complex."""
    array = as_real(value, name) if real else as_complex(value, name)
    require_shape(array, name, *shapes)
    require_finite(name, array)
    return array


def as_vector(value: Any, name: str, *, least: int = 1, rising: bool = False) -> Array:
    """`value` as a real, finite vector of at least `least` numbers, which rise if `rising`."""
    vector = as_real(value, name)
    what = "a vector" if least <= 1 else f"a vector of at least {least} numbers"
    require(vector.ndim == 1 and vector.size >= least, name, f"be {what}", f"of shape {vector.shape}")
    require_finite(name, vector)
    require(not (rising and is_concrete(vector)) or np.all(np.diff(vector) > 0), name, "increase", vector)
    return vector


def as_range(value: Any, name: str, *, positive: bool = False) -> tuple[Array, Array]:
    """`value` as (lowest, highest): two finite numbers in this order, positive if they must be."""
    must = "be (lowest, highest), two numbers"
    listed = hasattr(value, "__len__") and not isinstance(value, (str, bytes, dict, set))
    shape = getattr(value, "shape", None)
    _require(listed and (len(value) == 2 if shape is None else shape == (2,)), name, must, value)
    low, high = (as_scalar(bound, name, positive=positive) for bound in value)
    if is_concrete(low, high):
        was = f"({float(low):g}, {float(high):g})"
        require(bool(np.asarray(low) < np.asarray(high)), name, "be (lowest, highest), in this order", was)
    return low, high


def as_count(value: Any, name: str, *, least: int = 1, most: int | None = None) -> int:
    """`value` as a whole number that is known in advance: numpy's integers are whole numbers, booleans are not."""
    limits = f"of at least {least}" if most is None else f"between {least} and {most}"
    # Beyond 64 bits nothing that is counted here would ever fit.
    return _whole(value, name, f"be a whole number {limits}", least, 2**62 if most is None else most)


def as_index(value: Any, name: str, size: int, what: str) -> int:
    """`value` as one of 0 … size − 1, the number of `what` ("port", "mode", "oscillator")."""
    must = f"be the {what} 0, the only one" if size == 1 else f"be a {what} between 0 and {size - 1}"
    return _whole(value, name, must.replace("a oscillator", "an oscillator"), 0, size - 1)


def _whole(value: Any, name: str, must: str, least: int, most: int) -> int:
    require_known(value, name)
    _require(not isinstance(value, (bool, np.bool_)), name, must, value)
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"Argument {name} must {must}, but was {described(value)}.") from None
    require(least <= number <= most, name, must, value)
    return number


def as_key(value: Any, name: str = "key") -> Array | None:
    """`value` as a PRNG key of JAX, of the new kind or the old one, or None."""
    if value is not None:
        kind = getattr(value, "dtype", None)
        new = kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key) and value.shape == ()
        old = kind == np.uint32 and getattr(value, "shape", None) == (2,)
        require(new or old, name, "be a PRNG key, such as jax.random.key(0), or None", value)
    return value


def as_choice(value: Any, name: str, choices: Sequence[Any]) -> Any:
    """`value`, which must be one of a few."""
    known = any(value is choice or (type(value) is type(choice) and value == choice) for choice in choices)
    _require(known, name, f"be one of {', '.join(map(repr, choices))}", value)
    return value


def as_flag(value: Any, name: str) -> bool:
    """`value` as True or False; other values, true or not, are refused."""
    require_known(value, name)
    _require(isinstance(value, (bool, np.bool_)), name, "be True or False", value)
    return bool(value)


def as_path(value: Any, name: str = "path") -> Path:
    """`value` as a path of a file."""
    must = "be the path of a file"
    _require(isinstance(value, (str, os.PathLike)), name, must, value)
    try:
        path = Path(value)
    except TypeError:  # a path of bytes
        raise ValueError(f"Argument {name} must {must}, but was {described(value)}.") from None
    _require("\0" not in str(path) and str(value) != "", name, must, str(value))
    return path


def as_function(value: Any, name: str, must: str, trial: Callable[[Any], Any]) -> Callable[..., Any]:
    """`value`, a function that has been `tried`."""
    tried(value, name, must, trial)
    return value


def tried(value: Any, name: str, must: str, trial: Callable[[Any], Any]) -> Any:
    """What `trial` returns of `value`, which must be callable: its errors come here then, and not in a solver.

    **Arguments:** `must`: in words, what it takes and returns: "be a function t -> s(t)"; `trial`: calls it once, as
    the library will (inside of `jax.eval_shape`, where values would cost).
    """
    _require(callable(value) and not isinstance(value, type), name, must, value)
    try:
        return trial(value)
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith("Argument "):
            raise
        raise ValueError(f"Argument {name} must {must}, but failed when it was tried: {_line(error)}.") from error


def _line(error: Exception) -> str:
    first = next(iter(str(error).strip().splitlines()), "").removesuffix(".")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__


def real_field(lower: float | None = None, upper: float | None = None, **kwargs: Any) -> Any:
    """A dataclass field for a real parameter whose physical bounds travel with it.

    The bounds serve twice: the model refuses values outside of them (by `check_fields`), and the optimisers, when such
    a leaf is freed, search only inside (see `diffnr.parameters.bounds`).
    """
    # A converter does not know the name of its field: what is no number is left for `check_fields` to refuse.
    return eqx.field(converter=_array_if_number, metadata={"bounds": (lower, upper)}, **kwargs)


def rate_field(**kwargs: Any) -> Any:
    """A dataclass field for a rate that must not be negative (an amplitude rate, in the model's rate unit)."""
    return real_field(lower=0.0, **kwargs)


def _array_if_number(value: Any) -> Any:
    try:
        return as_inexact(value)
    except ValueError:
        return value


def check_fields(module: eqx.Module, shape: Shape | None = None) -> None:
    """Raise unless every field of `module` made by `real_field` is real and within its bounds, and of `shape` if given.

    For `__check_init__`. A field of None is one that was left out.
    """
    for field in dataclasses.fields(module):
        if "bounds" in field.metadata:
            value = getattr(module, field.name)
            if value is not None:
                number = as_real(value, field.name)
                if shape is not None:
                    require_shape(number, field.name, shape)
                require_bounds(field.name, value, *field.metadata["bounds"])
