"""Numbers for cells of no size, from those of several meshes, with an error."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact
from scipy.optimize import brentq

from diffnr.checks import Numbers, as_float, as_inexact, as_positive, as_vector, is_concrete, require, require_finite

LOWEST, HIGHEST = 0.4, 4.0  # orders that are looked for; a second-order scheme beside corners has .7 to 2
SAFETY = 0.25  # of the correction, of three meshes in order (Roache's factor is 1.25, of the finest mesh)


class Extrapolated(NamedTuple):
    """`value` [...] for cells of no size; `error` [...], its estimated size; `order` [...], of convergence. Where no
    power of the cell describes the meshes the error is infinite, the order NaN, and the value that of the finest."""

    value: Inexact[Array, "..."]
    error: Any
    order: Any


def extrapolate(cells: Numbers, values: Numbers, order: Any = None) -> Extrapolated:
    """What `values` tend to as `cells` shrink: v(h) = v₀ + c h^p, by the three finest meshes.

        mesh = lambda size: cavity.mesh(opening_cell=size)
        gammas = [fdtd.resonances(fdtd.Update.of(cavity.scene(mesh(h))), guess).gamma[0] for h in (1e-7, 5e-8, 2.5e-8)]
        fdtd.extrapolate((1e-7, 5e-8, 2.5e-8), gammas).value

    **Arguments:** `cells`: [mesh], sizes in m (or any measure that is refined), two at least; `values`: [mesh, ...],
    any numbers that were computed, real or complex; `order`: p if known; else three meshes are needed, and p is sought
    between .4 and 4 for each number by itself.

    **Returns:** an `Extrapolated`. `value` has derivatives in `values`, at the order found. The error is a quarter of
    what is added to the finest mesh's value, with three meshes that agree with one p; with two and a given order, or
    where three do not agree with it, all of that.

    **Good values:** cells in ratios of 1.5 and more, all sizes of a mesh shrunk together or all but one well resolved
    (what stays as it is, is not extrapolated), the coarsest by which the number is already within some percent.

    **Raises:** `ValueError` for fewer than two meshes, or than three without an order, equal cells, values that are not
    one for each, or not finite.

    Source: L. Richardson 1911; P. Roache 1994 for the error.
    """
    sizes = np.asarray(as_vector(cells, "cells", least=2), float)
    as_positive(np.min(sizes), "cells")
    found = as_inexact(values, "values")
    fits = found.ndim >= 1 and found.shape[0] == sizes.size
    require(fits, "values", f"have one for each of {sizes.size} cells", f"of shape {found.shape}")
    require_finite("values", found)
    require(np.unique(sizes).size == sizes.size, "cells", "be different from each other", sizes)
    known = None if order is None else as_float(order, "order")
    within = known is None or LOWEST / 4 <= known <= 4 * HIGHEST
    require(within, "order", f"lie between {LOWEST / 4:g} and {4 * HIGHEST:g}, or be None", known)
    require(known is not None or sizes.size >= 3, "cells", "be three at least where no order is given", sizes)
    require(known is not None or is_concrete(found), "order", "be given where values are traced", None)
    finest = np.argsort(sizes)[: min(3, sizes.size)]
    h, v = sizes[finest], found[finest]
    if known is None:
        flat = np.asarray(v).reshape(3, -1)
        orders = np.array([_order(h, column) for column in flat.T]).reshape(v.shape[1:])
    else:
        orders = np.full(v.shape[1:], known)
    p = np.where(np.isnan(orders), 1.0, orders)
    added = (v[0] - v[1]) * (h[0] ** p / (h[1] ** p - h[0] ** p))
    error = jnp.abs(added)
    if len(h) == 3:
        before = (v[1] - v[2]) * (h[1] ** p / (h[2] ** p - h[1] ** p))
        alike = jnp.abs(v[1] + before - v[0] - added) <= SAFETY * jnp.abs(added)
        error = jnp.where(alike, SAFETY * error, error)
    none = np.isnan(orders)
    return Extrapolated(v[0] + jnp.where(none, 0.0, added), jnp.where(none, jnp.inf, error), orders)


def _order(h: np.ndarray, v: np.ndarray) -> float:
    """The p of three values on cells that grow, the one whose modulus of change it describes; NaN where none does."""
    near, far = v[0] - v[1], v[1] - v[2]
    if not np.abs(far) or np.real(near * np.conj(far)) <= 0:
        return 2.0 if not np.abs(near) and not np.abs(far) else np.nan
    ratio = np.abs(near) / np.abs(far)
    missed = lambda p: (h[1] ** p - h[0] ** p) / (h[2] ** p - h[1] ** p) - ratio  # noqa: E731
    ends = missed(LOWEST), missed(HIGHEST)
    return float(brentq(missed, LOWEST, HIGHEST)) if ends[0] * ends[1] <= 0 else np.nan  # pyright: ignore[reportArgumentType]
