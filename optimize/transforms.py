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

from diffnr.checks import as_real, check_fields, is_concrete, real_field, require, require_bounds, require_finite
from diffnr.parameters import Free, select

# How far inside its bounds a parameter starts that was given on one, as a part of its scale.
EDGE = 1e-6


class AbstractTransform(eqx.Module):
    """A smooth bijection from the reals to the allowed values of a parameter, entry by entry."""

    @abc.abstractmethod
    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The parameter x of an unbounded u."""

    @abc.abstractmethod
    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The unbounded u of a parameter x; x on a bound is moved inside by one part in 1e6 of the scale.

        **Raises:** `ValueError` for an x out of bounds.
        """


class Scaled(AbstractTransform):
    """x = scale · u: no bounds. `scale`: [] > 0, the size of a typical change of x."""

    scale: Float[Array, ""] = real_field(lower=0.0, default=1.0)

    def __check_init__(self) -> None:
        _check_scale(self.scale)

    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.scale * u

    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        require_finite("x", x)
        return x / self.scale


class Positive(AbstractTransform):
    """x = scale · log(1 + e^u) > 0: logarithmic below `scale`, linear above it. `scale`: [] > 0, a typical x."""

    scale: Float[Array, ""] = real_field(lower=0.0, default=1.0)

    def __check_init__(self) -> None:
        _check_scale(self.scale)

    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.scale * jax.nn.softplus(u)

    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        require_bounds("x", x, lower=0.0)
        ratio = jnp.where(x > 0, x / self.scale, EDGE)
        return ratio + jnp.log(-jnp.expm1(-ratio))


class Interval(AbstractTransform):
    """x = lower + (upper − lower)/(1 + e^{−u}): between `lower` and `upper`, both [] and finite."""

    lower: Float[Array, ""] = real_field()
    upper: Float[Array, ""] = real_field()

    def __check_init__(self) -> None:
        check_fields(self)
        if is_concrete(self.lower, self.upper):
            require(self.lower < self.upper, "upper", f"exceed lower = {float(self.lower):g}", self.upper)

    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        x = self.lower + (self.upper - self.lower) * jax.nn.sigmoid(u)
        return jnp.clip(x, self.lower, self.upper)  # Rounding may carry x beyond upper.

    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        if is_concrete(x, self.lower, self.upper):
            require_bounds("x", x, float(self.lower), float(self.upper))
        edge = EDGE * (self.upper - self.lower)
        x = jnp.where(x > self.lower, jnp.where(x < self.upper, x, self.upper - edge), self.lower + edge)
        return jnp.log(x - self.lower) - jnp.log(self.upper - x)


def _check_scale(scale: Array) -> None:
    require_finite("scale", scale)
    if is_concrete(scale):
        require(scale > 0, "scale", "be positive", scale)


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
    change. **Fields:** `model`; `transforms`, one per free leaf; `free` and `names`, which leaves are free.
    """

    model: Any
    transforms: tuple[AbstractTransform, ...]
    free: Free = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def start(self) -> Float[Array, " parameter"]:
        """The vector u [p] of the model as it was given."""
        return self._join(select(self.model, self.free).values)

    def build(self, u: Float[Array, " parameter"]) -> Any:
        """The model with the free leaves that u [p] stands for."""
        return select(self.model, self.free).rebuild(self._split(u))

    def values(self, u: Float[Array, " parameter"]) -> dict[str, Array]:
        """The free leaves that u [p] stands for, `{path: value}`."""
        return dict(zip(self.names, self._split(u), strict=True))

    def from_values(self, values: Mapping[str, Array]) -> Float[Array, " parameter"]:
        """The vector u [p] of the free leaves `{path: value}`."""
        return self._join(tuple(values[name] for name in self.names))

    def _split(self, u: Array) -> tuple[Array, ...]:
        old = select(self.model, self.free).values
        edges = np.cumsum([0, *(math.prod(x.shape) for x in old)])
        pieces = zip(self.transforms, edges[:-1], edges[1:], old, strict=True)
        return tuple(t.forward(u[lo:hi].reshape(x.shape)).astype(x.dtype) for t, lo, hi, x in pieces)

    def _join(self, values: tuple[Array, ...]) -> Array:
        pieces = zip(self.transforms, values, strict=True)
        return jnp.concatenate([t.inverse(as_real(x)).ravel() for t, x in pieces])


def parametrise(model: Any, free: Free, transforms: Mapping[str, AbstractTransform] | None = None) -> Parametrisation:
    """The leaves of `model` that are free, as one vector of unbounded reals.

    **Arguments:** `model`; `free`: a path, several, or a callable (see `diffnr.parameters.select`); `transforms`:
    `{path: transform}` where the default (from the leaf's physical bounds, scaled to its value) is not wanted.

    **Returns:** a `Parametrisation`.

    **Raises:** `ValueError` for an unknown path, in `free` or in `transforms`, and for a transform that cannot give the
    leaf's present value.
    """
    free = tuple(free) if isinstance(free, list) else free
    selection = select(model, free)
    transforms = dict(transforms or {})
    unknown = set(transforms) - set(selection.names)
    require(not unknown, "transforms", f"name free parameters {selection.names}", sorted(unknown))
    chosen = tuple(
        transforms[name] if name in transforms else transform_for(bounds, value)
        for name, bounds, value in zip(selection.names, selection.bounds, selection.values, strict=True)
    )
    for name, transform, value in zip(selection.names, chosen, selection.values, strict=True):
        try:
            transform.inverse(as_real(value))
        except ValueError as error:
            raise ValueError(f"Argument transforms must allow the present value of {name!r}: {error}") from None
    return Parametrisation(model, chosen, free, selection.names)
