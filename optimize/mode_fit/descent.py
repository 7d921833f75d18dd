"""Levenberg and Marquardt's iteration on the host, for residuals that come with their derivatives.

Small dense problems with many data: the normal equations of a step are JJᵀ [p, p], one product of matrices, and no
program is compiled. Their square of the condition number costs digits of a step, not of the end, where Jr = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from diffnr.results import RESULTS

Host = Any
FIRST, LEAST, MOST = 1e-3, 1e-15, 1e12  # of the damping, as a part of the scaled JJᵀ
GAUGE = 1e-14  # of the largest eigenvalue of JJᵀ: directions below are without effect
SHARE = 0.1  # of a step, over which the bend of r is measured
BEND = 0.4  # of a step: the largest correction by it that is taken
LONGER = 1.5  # times a step: how much farther a parabola must have the lowest χ² for it to be looked at
FARTHEST = 8.0  # times as far, at once
STALL = 5  # steps that together lower χ² by no more than the tolerance: what moves still has no effect
ROUND_OFF = 1e-13  # of what the data are: a residual below has no digits left


class DescentEnd(NamedTuple):
    """The end: the point, its residual `r` [n] and derivatives `J` [p, n] there, a `RESULTS`, steps taken."""

    point: Any
    r: Host
    J: Host
    result: Any
    steps: int


def descend(
    point: Any,
    residual: Callable[[Any], Host],
    linearised: Callable[[Any], tuple[Host, Host]],
    move: Callable[[Any, Host], Any],
    *,
    max_steps: int,
    tolerance: float,
    size: float,
) -> DescentEnd:
    """The least squares of r from a point on.

    **Arguments:** `residual`: point → r [n]; `linearised`: point → r and J = dr/du [p, n], which may have directions
    without effect (a gauge); `move`: point, u [p] → the point that u = 0 would leave where it is; `tolerance`: it has
    converged where the next step would move no parameter by more than this part of its standard error, as χ² per degree
    of freedom has it, or where steps have no effect on χ² any more; `size`: the norm of what r compares, so that
    round-off is known.

    Source: D. Marquardt 1963, with the scaling of J. Moré 1978 and the second order of M. Transtrum and J. Sethna 2012.
    """
    r, J = linearised(point)
    damping, scale, costs = FIRST, np.zeros(len(J)), []
    for step in range(max_steps if len(J) else 0):
        cost = float(r @ r)
        if cost <= (ROUND_OFF * size) ** 2:
            return DescentEnd(point, r, J, RESULTS.successful, step)
        matrix = J @ J.T
        scale = np.maximum(scale, np.sqrt(np.diag(matrix)))
        unit = np.maximum(scale, 1e-15 * np.max(scale, initial=1e-300))
        values, vectors = np.linalg.eigh(matrix / unit / unit[:, None])
        values = np.where(values > GAUGE * values[-1], values, np.inf)
        gradient = vectors.T @ ((J @ r) / unit)
        variance = cost / max(len(r) - int(np.sum(np.isfinite(values))), 1)
        # The square of the whole step, in standard errors.
        costs.append(cost)
        stalled = step >= STALL and costs[step - STALL] - cost <= tolerance * variance
        if stalled or np.sum(gradient**2 / values) <= tolerance**2 * variance:
            return DescentEnd(point, r, J, RESULTS.successful, step)
        while True:
            moved = -gradient / (values + damping)
            change = vectors @ moved / unit
            promised = float(-(gradient @ moved) + damping * (moved @ moved))
            # How r bends along the step: narrow valleys are curved, and a straight step would soon leave them.
            bent = 2 / SHARE * ((residual(move(point, SHARE * change)) - r) / SHARE - change @ J)
            second = vectors @ (-(vectors.T @ ((J @ bent) / unit)) / (values + damping)) / unit / 2
            if np.linalg.norm(second * unit) <= BEND * np.linalg.norm(change * unit):
                change = change + second
            new = residual(move(point, change))
            gain = (cost - new @ new) / promised
            if np.isfinite(gain) and gain > 1e-3:
                break
            if promised <= 1e-15 * cost or damping > MOST:
                # Round-off forbids every further step.
                done = RESULTS.successful if np.isfinite(gain) else RESULTS.nonfinite
                return DescentEnd(point, r, J, done, step)
            damping *= 8
        change = _farther(point, change, residual, move, cost, -float(gradient @ moved), float(new @ new))
        point = move(point, change)
        r, J = linearised(point)
        damping = max(damping * (0.1 if gain > 0.75 else 1.0 if gain > 0.25 else 4.0), LEAST)
    return DescentEnd(point, r, J, RESULTS.max_steps_reached if len(J) else RESULTS.successful, max_steps)


def _farther(
    point: Any,
    change: Host,
    residual: Callable[[Any], Host],
    move: Callable[[Any, Host], Any],
    cost: float,
    slope: float,
    lower: float,
) -> Host:
    """The step, or as many times it as the parabola cost − 2 slope t + … through χ² = `lower` at t = 1 is lowest at.

    Where r is large, valleys are flatter than J has them by the curvature of r, and steps too short by as much.
    """
    reach = 1.0
    while True:
        bend = (2 * slope - (cost - lower) / reach) / reach
        aim = min(slope / bend, FARTHEST * reach) if bend > 0 else FARTHEST * reach
        if aim < LONGER * reach:
            return reach * change
        r = residual(move(point, aim * change))
        if not r @ r < lower:
            return reach * change
        reach, lower = aim, float(r @ r)
