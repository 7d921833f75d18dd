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


def roughness(ex: Any, ey: Any, drude_gain: Any) -> Any:
    """The share of |E|² at the carriers that they do not see, sin²(qΔ/2) of a wave; 0 where there are none."""
    seen = abs(ex[:, 1:] + ex[:, :-1]) ** 2 + abs(ey[1:] + ey[:-1]) ** 2
    there = 2 * (abs(ex[:, 1:]) ** 2 + abs(ex[:, :-1]) ** 2 + abs(ey[1:]) ** 2 + abs(ey[:-1]) ** 2)
    total = (drude_gain * there).sum()
    return (drude_gain * (there - seen)).sum() / (total + (total == 0))


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

    def resolved(self, x: np.ndarray) -> bool:
        """Whether a field is one that the cells resolve."""
        (nx, ny), edges = self.drude_gain.shape, self.pattern.reordered(x)
        ex, ey = edges[: nx * (ny + 1)].reshape(nx, ny + 1), edges[nx * (ny + 1) :].reshape(nx + 1, ny)
        return bool(roughness(ex, ey, self.drude_gain) <= ROUGH)
