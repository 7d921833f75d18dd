"""Where local searches start: points spread over what changes a device's response, whatever its units.

A leaf's scale is the change of it that alters the response by order one. So neither the unit of rates nor a value
that is 0, tiny or far too large matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.parameters import Free, get, replace, select
from diffnr.ports import AbstractPortModel, Drive, port_response
from optimize.isolation.cases import Cases
from optimize.transforms import (
    AbstractTransform,
    Interval,
    Parametrisation,
    as_transforms,
    parametrise,
    transform_for,
)

WIDE = 1e4  # two scales further apart than this do not belong to one another


def candidates(
    model: AbstractPortModel,
    free: Free,
    cases: Cases,
    *,
    count: int,
    transforms: Mapping[str, AbstractTransform] | None = None,
    key: Array | None = None,
) -> tuple[Parametrisation, Float[np.ndarray, "candidate n"]]:
    """The free leaves with transforms scaled to the response, and points u to look at: the model as it is, then others.

    A positive leaf is spread log-uniformly from 1/100 to 10 times of what may be its size (its value, its scale, the
    linewidth), one with an `Interval` over that, any other by ±3 of its scale around its value; evenly, by a lattice.

    **Arguments:** `model`, `free`: as everywhere; `cases`: whose middle one says at what drive the response is judged;
    `count`: how many points beside the model's own; `transforms`: `{path: transform}` to be used as they are; `key`:
    shifts the lattice.

    **Returns:** a `Parametrisation`, and points [1 + count, n].

    **Raises:** `ValueError` for an unknown path, or bounds that no transform covers.
    """
    selection = select(model, free)
    given = as_transforms(transforms)
    slopes, delay = _sensitivities(model, selection.names, cases)
    size = sum(value.size for value in selection.values)
    shift = np.full(size, 0.5) if key is None else np.asarray(jax.random.uniform(key, (size,)))
    columns = iter(_lattice(shift, count).T)
    chosen, spread = {}, {}
    leaves = zip(selection.names, selection.bounds, map(np.asarray, selection.values), slopes, strict=True)
    for name, bounds, value, slope in leaves:
        sizes = _sizes(value, float(slope), float(delay))
        chosen[name] = given.pop(name, None) or transform_for(bounds, sizes[0])
        unit = np.stack([next(columns) for _ in range(value.size)], -1).reshape(count, *value.shape)
        spread[name] = _spread(chosen[name], bounds, value, sizes, unit).astype(value.dtype)
    # What is left names no free leaf, and is refused here.
    parametrisation = parametrise(model, selection.names, {**chosen, **given})
    return parametrisation, np.asarray(_place(parametrisation, spread))


@eqx.filter_jit
def _sensitivities(model: AbstractPortModel, names: tuple[str, ...], cases: Cases) -> tuple[list[Array], Array]:
    """For each free leaf, and for the frequency, the largest relative change of the response per unit of change."""
    drive, out, into = cases.middle, cases.out, cases.into

    def waves(values: tuple[Array, ...], omega: Array) -> tuple[Array, Array]:
        changed = replace(model, dict(zip(names, values, strict=True)))
        response = port_response(changed, Drive(omega, drive.amplitude), ports=cases.ports, throw=False)
        columns = response.s[:, jnp.asarray([into, out])]
        b = jnp.stack([columns.real, columns.imag], -1)  # [out, in, part]
        return b, b

    slopes, b = jax.jacrev(waves, (0, 1), has_aux=True)(tuple(get(model, name) for name in names), drive.omega)

    def relative(slope: Array) -> Array:
        squares = slope.reshape(*b.shape, -1) ** 2
        whole = jnp.sum(squares, (0, 1, 2)) / jnp.sum(b**2)
        passing = jnp.sum(squares[out, 0], 0) / jnp.sum(b[out, 0] ** 2)
        return jnp.sqrt(jnp.max(jnp.nan_to_num(jnp.stack([whole, passing]), nan=0.0, posinf=0.0)))

    return [relative(slope) for slope in slopes[0]], relative(slopes[1])


@eqx.filter_jit
def _place(parametrisation: Parametrisation, values: dict[str, Any]) -> Float[Array, "candidate n"]:
    return jnp.concatenate([parametrisation.start[None], jax.vmap(parametrisation.from_values)(values)])


def _sizes(value: np.ndarray, slope: float, delay: float) -> tuple[float, float, float]:
    """The scale of a leaf, and the least and largest of the numbers that may be its size."""
    numbers = [1 / slope if slope > 0 else 0.0, *np.abs(value).ravel(), 1 / delay if delay > 0 else 0.0]
    numbers = [float(x) for x in numbers if x > 0] or [1.0]
    near = [x for x in numbers if numbers[0] / WIDE <= x <= numbers[0] * WIDE]
    return numbers[0], min(near), max(near)


def _spread(
    transform: AbstractTransform,
    bounds: tuple[float | None, float | None],
    value: np.ndarray,
    sizes: tuple[float, float, float],
    unit: np.ndarray,
) -> np.ndarray:
    """Values of a leaf from evenly spread numbers between 0 and 1."""
    scale, least, largest = sizes
    if isinstance(transform, Interval):
        low, high = float(transform.lower), float(transform.upper)
        return low * (high / low) ** unit if low > 0 else low + (high - low) * unit
    if bounds[0] == 0.0:
        return least / 100 * (1000 * largest / least) ** unit
    return value + 3 * scale * (2 * unit - 1)


def _lattice(shift: np.ndarray, count: int) -> np.ndarray:
    """`count` points that fill the unit cube evenly: multiples of the powers of the generalised golden ratio."""
    golden = 2.0
    for _ in range(60):
        golden = (1 + golden) ** (1 / (shift.size + 1))
    return (shift + np.arange(count)[:, None] * golden ** -np.arange(1.0, shift.size + 1)) % 1.0


def ranking(value: np.ndarray, violation: np.ndarray) -> np.ndarray:
    """Indices of points, the best first: those of no violation by value, then the others by violation."""
    return np.lexsort((value, violation))


def choose(points: np.ndarray, value: np.ndarray, violation: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points to start from: the best, no two of which are neighbours.

    The first point, which is the user's own, is always among them if there are several.
    """
    ranked = [int(i) for i in ranking(value, violation)]
    chosen = ranked[:1] if count == 1 else [0]
    apart = 0.2 * np.maximum(np.std(points, axis=0), 1e-12)
    for neighbours in (False, True):
        for i in ranked:
            alone = all(np.any(np.abs(points[i] - points[j]) > apart) for j in chosen)
            if len(chosen) < count and i not in chosen and (neighbours or alone):
                chosen.append(i)
    return np.asarray(chosen + chosen[:1] * (count - len(chosen)))
