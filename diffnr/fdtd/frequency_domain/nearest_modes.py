"""Guesses of the modes nearest to a frequency: Arnoldi's method on the problem made linear there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import eig
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from diffnr.fdtd.frequency_domain.direct_solve import Inverse, Pattern
from diffnr.fdtd.frequency_domain.smooth_currents import SmoothCurrents

BASIS = 40  # vectors of Arnoldi's method
MORE = 4  # currents than modes asked for


def nearest_modes(
    num_modes: int,
    pattern: Pattern,
    entries: Any,
    slopes: Any,
    guess: Any,
    *weights: Any,
    late: Callable[[], bool] = lambda: False,
) -> tuple[np.ndarray, np.ndarray]:
    """δ and x of (M + δM′) x = 0, among smooth fields, with δ nearest to a guess; NaN where there are no more, and
    where it became `late`."""
    inverse, slope = Inverse(pattern, np.asarray(entries)), pattern.matrix(np.asarray(slopes))
    currents = SmoothCurrents(pattern, *weights)
    cells, size = currents.drude_gain.size, pattern.order.size
    away, vectors = np.full(num_modes, np.nan, complex), np.full((num_modes, size), np.nan, complex)
    start = currents.smooth(np.random.default_rng(0).normal(size=cells) + 0j)
    if not np.all(np.isfinite(inverse(currents.sources @ start))):
        return away, vectors

    def answer(h: np.ndarray) -> np.ndarray:
        if late():
            raise TimeoutError
        return currents.smooth(currents.readings @ inverse.roughly(currents.sources @ currents.smooth(h.ravel())))

    smoothed = LinearOperator((cells, cells), answer, dtype=complex)  # pyright: ignore[reportCallIssue]
    count = min(num_modes + MORE, cells - 2)
    basis = min(max(BASIS, 2 * count + 1), cells - 1)
    try:
        found = eigs(smoothed, count, v0=start, tol=1e-3, ncv=basis, maxiter=20)[1]  # pyright: ignore[reportArgumentType]
    except ArpackNoConvergence as stop:
        found = stop.eigenvectors
    except TimeoutError:
        return away, vectors
    found = currents.smooth(found)
    # The problem between what they drive and what drives them: its δ are those of modes, where Arnoldi's are not.
    driven, driving = currents.sources @ found, currents.readings.T @ np.conj(found)
    right = inverse(driven)
    left = inverse(driving, transposed=True).T
    if not found.size or not np.all(np.isfinite(right)) or not np.all(np.isfinite(left)):
        return away, vectors
    pairs: Any = eig(left @ driven, -left @ (slope @ right), left=True)
    shifts, modes, turned = pairs[0], right @ pairs[2], left.T @ np.conj(pairs[1])
    there = lambda k: np.isfinite(shifts[k]) and currents.resolved(modes[:, k], turned[:, k])  # noqa: E731
    order = [k for k in np.argsort(np.abs(shifts - guess)) if there(k)]
    order = order[:num_modes]
    away[: len(order)], vectors[: len(order)] = shifts[order], pattern.reordered(modes[:, order].T)
    return away, vectors
