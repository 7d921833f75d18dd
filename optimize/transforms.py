"""Bounded parameters as bijections of unbounded ones, and a model's free leaves as one real vector.

Every optimiser here moves a vector u of unbounded reals; a leaf x = transform(u) stays inside its bounds whatever u is.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from diffnr.checks import as_real, check_fields, is_concrete, real_field, require
from diffnr.parameters import Free, Selection, select


class AbstractTransform(eqx.Module):
    """A smooth bijection from the reals to the allowed values of a parameter, entry by entry."""

    @abc.abstractmethod
    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The parameter x of an unbounded u."""

    @abc.abstractmethod
    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The unbounded u of a parameter x; x on a bound is moved inside by one part in 1e6 of the scale."""


class Scaled(AbstractTransform):
    """x = scale · u: no bounds. `scale`: [] > 0, the size of a typical change of x."""

    scale: Float[Array, ""] = real_field(lower=0.0, default=1.0)

    def __check_init__(self) -> None:
        check_fields(self)

    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.scale * u

    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return x / self.scale


class Positive(AbstractTransform):
    """x = scale · log(1 + e^u) > 0: logarithmic below `scale`, linear above it. `scale`: [] > 0, a typical x."""

    scale: Float[Array, ""] = real_field(lower=0.0, default=1.0)

    def __check_init__(self) -> None:
        check_fields(self)

    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.scale * jax.nn.softplus(u)

    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        ratio = jnp.maximum(x / self.scale, 1e-6)
        return ratio + jnp.log(-jnp.expm1(-ratio))


class Interval(AbstractTransform):
    """x = lower + (upper − lower)/(1 + e^{−u}): strictly between `lower` and `upper`, both [] and finite."""

    lower: Float[Array, ""] = real_field()
    upper: Float[Array, ""] = real_field()

    def __check_init__(self) -> None:
        check_fields(self)
        if is_concrete(self.lower, self.upper):
            require(self.lower < self.upper, "upper", f"exceed lower = {float(self.lower):g}", self.upper)

    def forward(self, u: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.lower + (self.upper - self.lower) * jax.nn.sigmoid(u)

    def inverse(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        fraction = jnp.clip((x - self.lower) / (self.upper - self.lower), 1e-6, 1 - 1e-6)
        return jnp.log(fraction) - jnp.log1p(-fraction)


def transform_for(bounds: tuple[float | None, float | None], value: ArrayLike) -> AbstractTransform:
    """The transform that keeps a leaf inside its physical bounds, scaled to its present value.

    **Arguments:** `bounds`: (lower, upper), None where there is none, as `diffnr.parameters.bounds` returns them; `value`:
    the leaf, any shape.

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
    raise ValueError(f"Argument bounds must be open, positive or an interval, but was {bounds}; pass a transform instead.")


@dataclasses.dataclass(frozen=True)
class Parametrisation:
    """The free leaves of a model as one vector: `names`, the start `u` [p], and `build(u) -> model`."""

    names: tuple[str, ...]
    start: Float[Array, " parameter"]
    build: Callable[[Float[Array, " parameter"]], Any]
    values: Callable[[Float[Array, " parameter"]], dict[str, Array]]
    from_values: Callable[[Mapping[str, Array]], Float[Array, " parameter"]]


def parametrise(
    model: Any, free: Free, transforms: Mapping[str, AbstractTransform] | None = None
) -> Parametrisation:
    """The leaves of `model` that are free, as one vector of unbounded reals.

    **Arguments:** `model`; `free`: a path, several, or a callable (see `diffnr.parameters.select`); `transforms`: `{path:
    transform}` where the default (from the leaf's physical bounds, scaled to its value) is not wanted.

    **Returns:** a `Parametrisation`.

    **Raises:** `ValueError` for an unknown path, in `free` or in `transforms`.
    """
    selection: Selection = select(model, free)
    transforms = dict(transforms or {})
    unknown = set(transforms) - set(selection.names)
    require(not unknown, "transforms", f"name free parameters {selection.names}", sorted(unknown))
    maps = tuple(
        transforms[name] if name in transforms else transform_for(bounds, value)
        for name, bounds, value in zip(selection.names, selection.bounds, selection.values, strict=True)
    )
    shapes = tuple(value.shape for value in selection.values)
    edges = np.cumsum([0, *(math.prod(shape) for shape in shapes)])

    def split(u: Array) -> tuple[Array, ...]:
        return tuple(
            t.forward(u[lo:hi].reshape(shape))
            for t, lo, hi, shape in zip(maps, edges[:-1], edges[1:], shapes, strict=True)
        )

    def join(values: tuple[Array, ...]) -> Array:
        return jnp.concatenate([t.inverse(as_real(x)).ravel() for t, x in zip(maps, values, strict=True)])

    return Parametrisation(
        selection.names,
        join(selection.values),
        lambda u: selection.rebuild(split(u)),
        lambda u: dict(zip(selection.names, split(u), strict=True)),
        lambda values: join(tuple(values[name] for name in selection.names)),
    )
