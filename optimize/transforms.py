"""Bounded parameters as bijections of unbounded ones, and a model's free leaves as one real vector.

Every optimiser here moves a vector u of unbounded reals; a leaf x = transform(u) stays inside its bounds whatever u is.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from diffnr.checks import (
    Numbers,
    as_function,
    as_real,
    as_scalar,
    check_fields,
    described,
    is_concrete,
    real_field,
    require,
    require_bounds,
    require_finite,
    require_instance,
    require_shape,
)
from diffnr.parameters import Free, get, replace, select

# How far inside its bounds a parameter starts that was given on one, as a part of its scale.
EDGE = 1e-6


class AbstractTransform(eqx.Module):
    """A smooth bijection from the reals to the allowed values of a parameter, entry by entry."""

    @abc.abstractmethod
    def forward(self, u: Any) -> Float[Array, "..."]:
        """The parameter x of an unbounded u."""

    @abc.abstractmethod
    def inverse(self, x: Any) -> Float[Array, "..."]:
        """The unbounded u of a parameter x; x on a bound is moved inside by one part in 1e6 of the scale.

        **Raises:** `ValueError` for an x out of bounds.
        """


class Scaled(AbstractTransform):
    """x = scale · u: no bounds. `scale`: [] > 0, the size of a typical change of x."""

    scale: Float[Array, ""] = real_field(lower=0.0, default=1.0)

    def __check_init__(self) -> None:
        as_scalar(self.scale, "scale", positive=True)

    def forward(self, u: Numbers) -> Float[Array, "..."]:
        return self.scale * as_real(u, "u")

    def inverse(self, x: Numbers) -> Float[Array, "..."]:
        x = as_real(x, "x")
        require_finite("x", x)
        return x / self.scale


class Positive(AbstractTransform):
    """x = scale · log(1 + e^u) > 0: logarithmic below `scale`, linear above it. `scale`: [] > 0, a typical x."""

    scale: Float[Array, ""] = real_field(lower=0.0, default=1.0)

    def __check_init__(self) -> None:
        as_scalar(self.scale, "scale", positive=True)

    def forward(self, u: Numbers) -> Float[Array, "..."]:
        return self.scale * jax.nn.softplus(as_real(u, "u"))

    def inverse(self, x: Numbers) -> Float[Array, "..."]:
        x = as_real(x, "x")
        require_bounds("x", x, lower=0.0)
        ratio = jnp.where(x > 0, x / self.scale, EDGE)
        return ratio + jnp.log(-jnp.expm1(-ratio))


class Interval(AbstractTransform):
    """x = lower + (upper − lower)/(1 + e^{−u}): between `lower` and `upper`, both [] and finite."""

    lower: Float[Array, ""] = real_field()
    upper: Float[Array, ""] = real_field()

    def __check_init__(self) -> None:
        check_fields(self, shape=())
        if is_concrete(self.lower, self.upper):
            require(self.lower < self.upper, "upper", f"exceed lower = {float(self.lower):g}", self.upper)

    def forward(self, u: Numbers) -> Float[Array, "..."]:
        x = self.lower + (self.upper - self.lower) * jax.nn.sigmoid(as_real(u, "u"))
        return jnp.clip(x, self.lower, self.upper)  # Rounding may carry x beyond upper.

    def inverse(self, x: Numbers) -> Float[Array, "..."]:
        x = as_real(x, "x")
        if is_concrete(x, self.lower, self.upper):
            require_bounds("x", x, float(self.lower), float(self.upper))
        edge = EDGE * (self.upper - self.lower)
        x = jnp.where(x > self.lower, jnp.where(x < self.upper, x, self.upper - edge), self.lower + edge)
        return jnp.log(x - self.lower) - jnp.log(self.upper - x)


def transform_for(bounds: tuple[float | None, float | None], value: ArrayLike) -> AbstractTransform:
    """The transform that keeps a leaf inside its physical bounds, scaled to its present value.

    **Arguments:** `bounds`: (lower, upper), None where there is none, as `diffnr.parameters.bounds` returns them;
    `value`: the leaf, any shape.

    **Returns:** `Scaled`, `Positive` (for a lower bound of 0) or `Interval`.

    **Raises:** `ValueError` for bounds that none of these covers.
    """
    lower, upper = bounds
    largest = float(np.max(np.abs(np.asarray(value)), initial=0.0)) if is_concrete(value) else 1.0
    scale = largest if largest > 0 else 1.0
    if lower is None and upper is None:
        return Scaled(jnp.asarray(scale))
    if lower == 0.0 and upper is None:
        return Positive(jnp.asarray(scale))
    if lower is not None and upper is not None:
        return Interval(jnp.asarray(lower), jnp.asarray(upper))
    raise ValueError(
        f"Argument bounds must be open, positive or an interval, but was {bounds}; pass a transform instead."
    )


class Parametrisation(eqx.Module):
    """The free leaves of a model as one vector of unbounded reals, and the way back; made by `parametrise`.

    It is a pytree whose array leaves are the model's, so that a jitted function of it does not retrace when only values
    change. **Fields:** `model`; `transforms`, one per free leaf; `names`, the paths of the free leaves.
    """

    model: Any
    transforms: tuple[AbstractTransform, ...]
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def start(self) -> Float[Array, " parameter"]:
        """The vector u [p] of the model as it was given."""
        return self._join(self.leaves)

    @property
    def leaves(self) -> tuple[Array, ...]:
        """The free leaves of the model as it was given."""
        return tuple(get(self.model, name) for name in self.names)

    def build(self, u: Numbers) -> Any:
        """The model with the free leaves that u [p] stands for."""
        return replace(self.model, self.values(u))

    def values(self, u: Numbers) -> dict[str, Array]:
        """The free leaves that u [p] stands for, `{path: value}`."""
        old = self.leaves
        edges = np.cumsum([0, *(math.prod(x.shape) for x in old)])
        u = as_real(u, "u")
        require_shape(u, "u", (int(edges[-1]),))
        pieces = zip(self.names, self.transforms, edges[:-1], edges[1:], old, strict=True)
        return {name: t.forward(u[lo:hi].reshape(x.shape)).astype(x.dtype) for name, t, lo, hi, x in pieces}

    def from_values(self, values: Mapping[str, Numbers]) -> Float[Array, " parameter"]:
        """The vector u [p] of the free leaves `{path: value}`.

        **Raises:** `ValueError` where a free leaf is missing, has another shape, or is out of its bounds.
        """
        require_instance(values, "values", Mapping, "be a dict {path: value} of all free leaves")
        missing = [name for name in self.names if name not in values]
        require(not missing, "values", f"hold all of {self.names}", f"without {', '.join(map(repr, missing))}")
        new = tuple(as_real(values[name], f"values[{name!r}]") for name in self.names)
        for name, value, old in zip(self.names, new, self.leaves, strict=True):
            require_shape(value, f"values[{name!r}]", old.shape)
        return self._join(new)

    def _join(self, values: tuple[Array, ...]) -> Array:
        pieces = zip(self.transforms, values, strict=True)
        return jnp.concatenate([t.inverse(x).ravel() for t, x in pieces])


def parametrise(model: Any, free: Free, transforms: Mapping[str, AbstractTransform] | None = None) -> Parametrisation:
    """The leaves of `model` that are free, as one vector of unbounded reals.

    **Arguments:** `model`; `free`: a path, several, or a callable (see `diffnr.parameters.select`); `transforms`:
    `{path: transform}` where the default (from the leaf's physical bounds, scaled to its value) is not wanted.

    **Returns:** a `Parametrisation`.

    **Raises:** `ValueError` for an unknown path, in `free` or in `transforms`, and for a transform that cannot give the
    leaf's present value.
    """
    selection = select(model, free)
    given = as_transforms(transforms)
    unknown = sorted(set(given) - set(selection.names))
    require(not unknown, "transforms", f"name free parameters {selection.names}", unknown)
    chosen = tuple(
        given[name] if name in given else transform_for(bounds, value)
        for name, bounds, value in zip(selection.names, selection.bounds, selection.values, strict=True)
    )
    for name, transform, value in zip(selection.names, chosen, selection.values, strict=True):
        try:
            u = transform.inverse(as_real(value))
        except ValueError as error:
            raise ValueError(f"Argument transforms must allow the present value of {name!r}: {error}") from None
        if name in given:
            _try(transform, name, u, value)
    return Parametrisation(model, chosen, selection.names)


def as_transforms(value: Any) -> dict[str, AbstractTransform]:
    """`value` as `{path: transform}`; None as none at all."""
    must = "be a dict {path: transform}, such as {'kappa': optimize.Interval(0, 1)}"
    if value is None:
        return {}
    require_instance(value, "transforms", Mapping, must)
    require(all(isinstance(name, str) for name in value), "transforms", must, value)
    for name, transform in value.items():
        require_instance(transform, f"transforms[{name!r}]", AbstractTransform, "be a transform")
    return dict(value)


def _try(transform: AbstractTransform, name: str, u: Any, value: Array) -> None:
    """Call a transform of the user's once in either direction, so that its errors come here and not in a solver."""
    must = f"be a transform of real arrays of shape {value.shape}"
    there = as_function(transform.forward, f"transforms[{name!r}]", must, lambda f: jax.eval_shape(f, u))
    for result in (u, jax.eval_shape(there, u)):
        good = getattr(result, "shape", None) == value.shape and jnp.issubdtype(result.dtype, jnp.floating)
        require(good, f"transforms[{name!r}]", must, f"one that returns {described(result)}")
