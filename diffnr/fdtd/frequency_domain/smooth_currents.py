"""Fields that a lattice resolves, told from its own: what smooth magnetic currents drive.

The means by which carriers see E see nothing of a field that changes sign from edge to edge. So a lattice with carriers
has a band of plasmons of its own, from the cyclotron frequency up to the upper hybrid one and as many as there are
cells, among which the modes of a scene are few. They hardly have a magnetic field, and none that is smooth.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse
from jaxtyping import Array
from scipy.ndimage import convolve1d

from diffnr.fdtd.frequency_domain.direct_solve import Pattern, flat
from diffnr.fdtd.time_domain.leapfrog import Update

ROUGH = 0.25  # of `roughness` is a wave of six cells
WEIGHTS = np.array([1.0, 8.0, 28.0, 56.0, 70.0, 56.0, 28.0, 8.0, 1.0]) / 256  # leave .67 of a wave of ten cells


def roughness(right: Any, left: Any, drude_gain: Any) -> Any:
    """Of a mode's yᵀx at the carriers, the share that they do not see, sin²(qΔ/2) of a wave; 0 where there are none.

    By both vectors, as ω is: at a corner from which waves go one way alone, a mode's field is as sharp as the cells
    are, however small, and that of the opposite bias, which has its own elsewhere, makes nothing of it.
    """
    (ex, ey), (left_x, left_y) = right, left
    pairs = ((ex[:, 1:], ex[:, :-1], left_x[:, 1:], left_x[:, :-1]), (ey[1:], ey[:-1], left_y[1:], left_y[:-1]))
    unseen = sum(abs((a - b) * (c - d)) for a, b, c, d in pairs)
    total = (drude_gain * sum(2 * (abs(a * c) + abs(b * d)) for a, b, c, d in pairs)).sum()
    return (drude_gain * unseen).sum() / (total + (total == 0))


def curls(update: Update) -> tuple[Array, Array]:
    """Of each edge: what it gets of the curl of Hz, and its length."""
    nx, ny = update.shape
    gain = (
        _on_lines(update, update.ex * update.curl[3], 1),
        _on_lines(update, update.ey * update.curl[2][:, None], 0),
    )
    length = (1 / update.curl[0])[:, None] * jnp.ones(ny + 1), jnp.ones((nx + 1, 1)) / update.curl[1]
    return flat(gain), flat(length)


def _on_lines(update: Update, edges: Array, axis: int) -> Array:
    """On all lines, at a seam once."""
    ends = (1 if update.bloch_factors[axis] is None else 0, 1)
    return jnp.pad(edges, [ends if a == axis else (0, 0) for a in (0, 1)])


class SmoothCurrents:
    """Magnetic currents in cells, made smooth; what they drive and read, on the unknowns of a `Pattern` in its order.

    **Arguments:** `drude_gain` [x, y] of the update; `gain`, `length` as of `curls`.
    """

    def __init__(self, pattern: Pattern, drude_gain: Any, gain: Any, length: Any):
        self.drude_gain, self.pattern = np.asarray(drude_gain), pattern
        self.sources = sparse.diags(np.asarray(gain)[pattern.order]) @ pattern.around.T[pattern.order]
        self.readings = (pattern.around @ sparse.diags(np.asarray(length)))[:, pattern.order]

    def smooth(self, currents: np.ndarray) -> np.ndarray:
        """Of one current, or of several as columns, what is smooth."""
        fields = currents.reshape(*self.drude_gain.shape, -1)
        for axis in (0, 1):
            fields = convolve1d(fields, WEIGHTS, axis, mode="nearest")
        return fields.reshape(currents.shape)

    def resolved(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Whether a mode is one that the cells resolve."""
        return bool(roughness(self._edges(x), self._edges(y), self.drude_gain) <= ROUGH)

    def _edges(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (nx, ny), edges = self.drude_gain.shape, self.pattern.reordered(vector)
        return edges[: nx * (ny + 1)].reshape(nx, ny + 1), edges[nx * (ny + 1) :].reshape(nx + 1, ny)
