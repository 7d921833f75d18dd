"""Levenberg and Marquardt's iteration on the host, for residuals that come with their derivatives.

Small dense problems with many data: the normal equations of a step are JJᵀ [p, p], one product of matrices, and no
program is compiled. Their square of the condition number costs digits of a step, not of the end, where Jr = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from diffnr.results import RESULTS

Host = Any
FIRST, LEAST, MOST = 1e-3, 1e-12, 1e12  # of the damping, as a part of JJᵀ's diagonal
ROUND_OFF = 1e-13  # of what the data are: a residual below has no digits left


class Descent(NamedTuple):
    """The end: parameters `u` [p], residual `r` [n] and its derivatives `J` [p, n] there, a `RESULTS`, steps taken."""

    u: Host
    r: Host
    J: Host
    result: Any
    steps: int


def descend(
    residual: Callable[[Host], Host],
    linearised: Callable[[Host], tuple[Host, Host]],
    u: Host,
    *,
    max_steps: int,
    tolerance: float,
    size: float,
) -> Descent:
    """The least squares of r(u) from u on.

    **Arguments:** `residual`: u [p] → r [n]; `linearised`: u → r and J = dr/du [p, n], which may have directions
    without effect (a gauge); `tolerance`: it has converged where the next step would move no parameter by more than
    this part of its standard error, as χ² per degree of freedom has it; `size`: the norm of what r compares, so that
    round-off is known.

    Source: D. Marquardt 1963; the damping of H. Nielsen 1999, the scaling of J. Moré 1978.
    """
    r, J = linearised(u)
    damping, growth, scale = FIRST, 2.0, np.zeros(len(u))
    for step in range(max_steps):
        cost, gradient, matrix = r @ r, J @ r, J @ J.T
        scale = np.maximum(scale, np.diag(matrix))
        floor = np.maximum(scale, 1e-30 * np.max(scale, initial=1e-300))
        if cost <= (ROUND_OFF * size) ** 2:
            return Descent(u, r, J, RESULTS.successful, step)
        variance = cost / max(len(r) - len(u), 1)
        while True:
            try:
                factor = cho_factor(matrix + np.diag(damping * floor), check_finite=False)
                change = -cho_solve(factor, gradient, check_finite=False)
            except np.linalg.LinAlgError:
                change = np.full(len(u), np.nan)
            # What the linear model promises; without damping it is the square of the step in standard errors.
            promised = -(gradient @ change) + damping * (change @ (floor * change))
            small = promised <= tolerance**2 * variance
            if small and damping <= FIRST:
                return Descent(u, r, J, RESULTS.successful, step)
            new = residual(u + change) if np.all(np.isfinite(change)) else np.full(1, np.nan)
            gain = (cost - new @ new) / max(promised, 1e-300)
            if np.isfinite(gain) and gain > 0:
                break
            if damping > MOST or promised <= 1e-15 * cost:
                # Round-off forbids every further step.
                return Descent(u, r, J, RESULTS.successful, step)
            damping, growth = damping * growth, 2 * growth
        u = u + change
        r, J = linearised(u)
        damping, growth = max(damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), LEAST), 2.0
        if small:  # at a damping that may have kept the step short
            damping = min(damping, FIRST)
    return Descent(u, r, J, RESULTS.max_steps_reached, max_steps)
