"""The noise of field data, from their own scatter along frequency."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from diffnr.checks import Count, as_count, require, require_instance
from diffnr.data.field_data import FieldData


def noise_estimate(data: FieldData, order: Count = 4) -> Float[np.ndarray, "out in"]:
    """The noise of `data.s` per real and imaginary part, from differences along frequency, without a model.

        sigma = median |Σ_j w_j x_{k+j}| / 0.6745,   w ⟂ all polynomials of degree < order,  Σ w_j² = 1

    On an even grid w_j = (−1)^j binom(order, j)/√(Σ binom²). The median passes over the few points where a sharp
    resonance is not smooth on the grid.

    **Arguments:** `data`; `order`: the order of the differences.

    **Returns:** [out, in], in the unit of s.

    **Raises:** `ValueError` for fewer than order + 1 points.

    Good from some 50 points on. Noise correlated between neighbouring points (smoothed traces) is underestimated;
    resonances of a few points each that fill the band are taken for noise.
    """
    require_instance(data, "data", FieldData, "be a FieldData")
    order = as_count(order, "order", most=100)
    require(data.num_points > order, "data", f"have at least {order + 1} points", f"of {data.num_points}")
    omega, s = np.asarray(data.omega, dtype=float), np.asarray(data.s, dtype=complex)
    grid = np.lib.stride_tricks.sliding_window_view(omega, order + 1)
    # Divided differences: w_j = 1/Π_{i≠j} (x_j - x_i), on windows scaled to unit length.
    grid = (grid - grid[:, :1]) / (grid[:, -1:] - grid[:, :1])
    weights = 1 / np.prod(grid[:, :, None] - grid[:, None, :] + np.eye(order + 1), axis=2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    windows = np.lib.stride_tricks.sliding_window_view(s, order + 1, axis=0)
    differences = np.einsum("kj,koij->koi", weights, windows)
    median = np.median(np.abs(np.concatenate([differences.real, differences.imag])), axis=0)
    return median / 0.6744897501960817  # the median of |x| for a normal x of unit variance
