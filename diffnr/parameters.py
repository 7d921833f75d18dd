"""A model's parameters by path: "loss.gamma_k", "gamma.0", "loss.1.coefficient".

A path is a dotted chain of field names; a whole number picks an item of a tuple or an entry of an array. Paths name
parameters everywhere: in `optimize`, in saved files, in TOML.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffnr.checks import as_inexact, described, require

Model = TypeVar("Model")
Free = str | Sequence[str] | Callable[[Any], Any]


def paths(model: Any) -> tuple[str, ...]:
    """The paths of all array leaves of `model`.

    **Arguments:** `model`: any model, or a tuple, list or dict of such.

    **Returns:** dotted paths, in the order in which JAX flattens the leaves; batch entries are not told apart.

    Example: `nr.paths(pair)` is ("omega", "gamma", "gamma_0", "kappa", "loss.gamma_k").
    """
    arrays = eqx.filter(model, eqx.is_array)
    return tuple(_join(keys) for keys, _ in jax.tree_util.tree_flatten_with_path(arrays)[0])


def get(model: Any, path: Any) -> Any:
    """The parameter (or submodule) at `path`.

    **Arguments:** `model`: any model; `path`: a dotted path, e.g. `"loss.gamma_k"`.

    **Returns:** what stands there.

    **Raises:** `ValueError` naming the paths there are, for a path that leads nowhere.

    Example: `nr.get(pair, "loss.gamma_k")`.
    """
    return _found(model, path, "path")


def _found(model: Any, path: Any, argument: str) -> Any:
    """What stands at `path`, which the user gave as (part of) an argument."""
    require(isinstance(path, str), argument, 'be text, such as "loss.gamma_k"', described(path))
    node = model
    for token in path.split("."):
        try:
            node = _child(node, token)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            known = ", ".join(repr(name) for name in paths(model))
            require(known, "model", "have parameters: arrays as its leaves", described(model))
            raise ValueError(
                f"Argument {argument} must name a parameter of {type(model).__name__} ({known}), but was {path!r}."
            ) from None
    return node


def replace(model: Model, values: Mapping[str, Any]) -> Model:
    """A copy of `model` with the leaves at the given paths replaced.

    **Arguments:** `model`: any model; `values`: `{path: new value}`; a numeric leaf keeps its shape (a scalar is
    broadcast) and is converted to its dtype if it is wider in kind (an integer given for a float).

    **Returns:** the new model, of the same class. Its own checks (bounds, shapes) are run again, once all is in place.

    **Raises:** `ValueError` for an unknown path, for a value of another shape, or for a value the model refuses.

    Example: `nr.replace(pair, {"kappa": 1.2, "gamma.0": 3.0})`.
    """
    require(isinstance(values, Mapping), "values", 'be a dict such as {"kappa": 1.2}', described(values))
    for path in values:
        require(
            isinstance(path, str), "values", 'have paths such as "kappa" as its keys', f"one with {described(path)}"
        )
    for path, value in values.items():
        model = _put(model, path.split("."), _like(path, _found(model, path, "values"), value))
    for path in values:
        _check_along(model, path.split("."))
    return model


def bounds(model: Any, path: str) -> tuple[float | None, float | None]:
    """The physical bounds (lower, upper) of the leaf at `path`, None where there is none.

    **Arguments:** `model`; `path`: as `get` takes it.

    **Raises:** `ValueError` for a path that leads nowhere.

    Example: `nr.parameters.bounds(pair, "loss.gamma_k")` is (0.0, None).
    """
    get(model, path)
    node, found = model, (None, None)
    for token in path.split("."):
        if token in _fields(node):
            found = _fields(node)[token].metadata.get("bounds", (None, None))
        node = _child(node, token)
    return found


@dataclasses.dataclass(frozen=True)
class _Named:
    name: str


@dataclasses.dataclass(frozen=True)
class Selection:
    """The free leaves of a model: their names, values and bounds, and how to put new values back."""

    names: tuple[str, ...]
    values: tuple[Array, ...]
    bounds: tuple[tuple[float | None, float | None], ...]
    rebuild: Callable[[Sequence[Array]], Any]


def select(model: Any, free: Free) -> Selection:
    """The leaves of `model` that an optimiser may move.

    **Arguments:** `model`; `free`: one path, a sequence of paths, or a callable `model -> leaf or tuple of leaves` (as
    `equinox.tree_at` takes it).

    **Returns:** a `Selection`.

    **Raises:** `ValueError` for an unknown path, a path named twice, no path at all, or a leaf that is not real.
    """
    if callable(free):
        return _select_where(model, free)
    must = "name one or several different parameters"
    listed = isinstance(free, str) or (isinstance(free, (tuple, list)) and all(isinstance(name, str) for name in free))
    require(listed, "free", must, described(free))
    names = (free,) if isinstance(free, str) else tuple(free)
    require(len(names) > 0 and len(set(names)) == len(names), "free", must, repr(free))
    values = tuple(_found(model, name, "free") for name in names)
    for name, value in zip(names, values, strict=True):
        _require_real(name, value)
    return Selection(
        names,
        values,
        tuple(bounds(model, name) for name in names),
        lambda new: replace(model, dict(zip(names, new, strict=True))),
    )


def _select_where(model: Any, where: Callable[[Any], Any]) -> Selection:
    # The callable is shown a model whose leaves are their own names: two leaves may be one and the same array.
    names = jax.tree_util.tree_map_with_path(lambda keys, leaf: _Named(_join(keys)), eqx.filter(model, eqx.is_array))
    try:
        picked = where(eqx.combine(names, model))
    except Exception as error:
        first = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(".")
        raise ValueError(f"Argument free must pick leaves of the model as they are, but failed: {first}.") from error
    leaves = tuple(picked) if isinstance(picked, (tuple, list)) else (picked,)
    for leaf in leaves:
        if not isinstance(leaf, _Named):
            raise ValueError(
                f"Argument free must pick leaves of the model as they are, but picked a {type(leaf).__name__}."
            )
    return select(model, tuple(leaf.name for leaf in leaves))


def _require_real(name: str, leaf: Any) -> None:
    if not (eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)):
        kind = f"{leaf.dtype} array" if eqx.is_array(leaf) else type(leaf).__name__
        raise ValueError(f"Argument free must name real parameters, but {name!r} is a {kind}.")


def _child(node: Any, token: str) -> Any:
    if isinstance(node, Mapping):
        return node[token]
    if token.isdigit():
        if eqx.is_array(node) and int(token) >= node.shape[0]:  # JAX would clamp the index
            raise IndexError(token)
        return node[int(token)]
    if token.startswith("_") or token not in _fields(node):
        raise AttributeError(token)
    return getattr(node, token)


def _fields(node: Any) -> dict[str, dataclasses.Field]:
    """The fields of a module by name; unlike `__dataclass_fields__` without its class variables."""
    return {field.name: field for field in dataclasses.fields(node)} if dataclasses.is_dataclass(node) else {}


def _put(node: Any, tokens: Sequence[str], value: Any) -> Any:
    if not tokens:
        return value
    head, rest = tokens[0], tokens[1:]
    if eqx.is_array(node):
        return jnp.asarray(node).at[int(head)].set(_put(node[int(head)], rest, value))
    child = _put(_child(node, head), rest, value)
    if isinstance(node, Mapping):
        return type(node)({**node, head: child})  # pyright: ignore[reportCallIssue]
    if isinstance(node, (tuple, list)):
        return type(node)(child if i == int(head) else item for i, item in enumerate(node))
    new = object.__new__(type(node))
    for name in _fields(node):
        object.__setattr__(new, name, child if name == head else getattr(node, name))
    return new


def _check_along(node: Any, tokens: Sequence[str]) -> None:
    if eqx.is_array(node):
        return
    for cls in type(node).__mro__:
        if "__check_init__" in cls.__dict__:
            cls.__check_init__(node)  # pyright: ignore[reportAttributeAccessIssue]
    if tokens:
        _check_along(_child(node, tokens[0]), tokens[1:])


def _like(path: str, old: Any, value: Any) -> Any:
    if old is None and isinstance(value, (int, float, complex, np.ndarray, np.number)):
        return as_inexact(value, path)
    if not isinstance(old, jax.Array):
        return value
    value = value if isinstance(value, jax.Array) else _number(path, value)
    if value.shape not in ((), old.shape):
        raise ValueError(f"Argument {path} must have shape {old.shape}, but had shape {value.shape}.")
    if jnp.issubdtype(value.dtype, jnp.complexfloating) and not jnp.issubdtype(old.dtype, jnp.complexfloating):
        raise ValueError(f"Argument {path} must be real, but was {value}.")
    dtype = jnp.promote_types(old.dtype, value.dtype) if not value.weak_type else old.dtype
    return jnp.broadcast_to(value.astype(np.dtype(dtype)), old.shape)


def _number(path: str, value: Any) -> Array:
    """`value` as JAX makes an array of it, weakly typed where it is a Python number."""
    as_inexact(value, path)
    return jnp.asarray(float(value) if type(value) is int else value)


def _join(keys: Sequence[Any]) -> str:
    return ".".join(str(getattr(key, "name", getattr(key, "idx", getattr(key, "key", key)))) for key in keys)
