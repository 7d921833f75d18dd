"""Generalised least squares of the coefficients of several sets, of which some are the same in all."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from optimize.mode_fit.quantities import KAPPA12, KAPPA21, Leaves

Host = Any
KAPPAS = [*KAPPA12, *KAPPA21]


class Combined(NamedTuple):
    """`vectors` [n, q]; `root` [p, p]: R, with RᵀR the inverse of the covariance of the p free numbers; `chi2`: what
    the sets together miss of each alone; `rank`: how many free numbers are identified."""

    vectors: Host
    root: Host
    chi2: float
    rank: int


def told_alone(fits: tuple[Any, ...], modes: int | None) -> tuple[Host, Host]:
    """What each set gives by itself: the coefficients [n, q], and the roots R [n, q, q] of its information on them."""
    if modes is None:
        return np.stack([fit.coefficients for fit in fits]), np.stack([fit.information for fit in fits])
    vectors, roots = [], []
    for fit in fits:
        vector = np.concatenate([np.asarray(fit.coefficients.omega), np.asarray(fit.coefficients.gamma)])
        covariance = np.asarray(fit.covariance)[: vector.size, : vector.size]
        known = np.isfinite(np.diagonal(covariance))
        root = np.zeros_like(covariance)
        scale = np.sqrt(np.diagonal(covariance)[known])
        inverse = np.linalg.inv(covariance[np.ix_(known, known)] / scale / scale[:, None])
        root[np.ix_(known, known)] = np.linalg.cholesky(inverse).T / scale
        vectors.append(vector)
        roots.append(root)
    return np.stack(vectors), np.stack(roots)


def aligned(parameter: Host, vectors: Host, roots: Host) -> tuple[Host, Host]:
    """The same for a pair, κ12 and κ21 of each set with the common sign that brings them nearest to the set before."""
    vectors, roots = vectors.copy(), roots.copy()
    order = np.argsort(parameter)
    for before, i in itertools.pairwise(order.tolist()):
        if vectors[i, KAPPAS] @ vectors[before, KAPPAS] < 0:
            vectors[i, KAPPAS] *= -1
            roots[i][:, KAPPAS] *= -1
    return vectors, roots


def placed(sets: int, leaves: Leaves, shared: tuple[str, ...]) -> Host:
    """The derivatives [n q, p] of all coefficients of all sets in those that are free: of shared ones there is one."""
    size = len(leaves.names)
    common = [k for name in shared for k in leaves.groups[name]]
    column, columns = 0, np.zeros((sets, size), int)
    for i in range(sets):
        for k in range(size):
            if i and k in common:
                columns[i, k] = columns[0, k]
            else:
                columns[i, k], column = column, column + 1
    return np.eye(column)[columns.ravel()]


def combined(vectors: Host, roots: Host, place: Host) -> Combined:
    """The least Σ |R_i (θ_i − θ̂_i)|² of θ = `place` z."""
    sets, size = vectors.shape
    share = place.sum(axis=0)
    start = place @ ((place.T @ vectors.ravel()) / share)  # differences from there are small, and keep their digits
    whole = np.concatenate([roots[i] @ place[i * size : (i + 1) * size] for i in range(sets)])
    missed = np.einsum("ikq,iq->ik", roots, (vectors - start.reshape(sets, size))).ravel()
    scale = np.linalg.norm(whole, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    change, _, rank, _ = np.linalg.lstsq(whole / scale, missed, rcond=1e-9)
    left = missed - (whole / scale) @ change
    # What no set identifies stays as it is in each.
    free = np.linalg.norm(whole, axis=0) > 0
    z = (place.T @ start) / share + np.where(free, change / scale, 0.0)
    return Combined((place @ z).reshape(sets, size), np.linalg.qr(whole, mode="r"), float(left @ left), int(rank))


def chance(looser: Combined, stricter: Combined) -> float:
    """How probable it is that noise alone makes the stricter of two models miss so much more."""
    freedom = looser.rank - stricter.rank
    return float(stats.chi2.sf(stricter.chi2 - looser.chi2, freedom)) if freedom > 0 else 1.0


def reversed_pairs(parameter: Host) -> tuple[list[tuple[int, int]], list[int]]:
    """The sets (i, j) taken at opposite values, of which j has the positive one, and those taken at 0."""
    close = 1e-9 * np.max(np.abs(parameter), initial=0.0)
    places = [
        (i, j)
        for j in range(len(parameter))
        for i in range(len(parameter))
        if parameter[j] > close and abs(parameter[i] + parameter[j]) <= close
    ]
    # Each set once: of sets at one value the first.
    used: set[int] = set()
    pairs = []
    for i, j in places:
        if not used & {i, j}:
            pairs.append((i, j))
            used |= {i, j}
    return pairs, np.flatnonzero(np.abs(parameter) <= close).tolist()


def reversal(vectors: Host, roots: Host, place: Host, pairs: list[tuple[int, int]], zero: list[int]) -> float:
    """How probable it is that noise alone parts the sets from θ(−B) = θ(B) with κ12 and κ21 exchanged."""
    size = vectors.shape[1]
    swap = np.arange(size)
    swap[KAPPAS] = [*KAPPA21, *KAPPA12]
    tied = place.copy()
    turned, turned_roots = vectors.copy(), roots.copy()
    for i, j in pairs:
        if vectors[i][swap][KAPPAS] @ vectors[j][KAPPAS] < 0:
            turned[i, KAPPAS] *= -1
            turned_roots[i][:, KAPPAS] *= -1
        tied[i * size : (i + 1) * size] = place[j * size : (j + 1) * size][swap]
    for i in zero:
        tied[i * size + np.array(KAPPA21)] = place[i * size + np.array(KAPPA12)]
    tied = tied[:, np.any(tied != 0, axis=0)]
    return chance(combined(turned, turned_roots, place), combined(turned, turned_roots, tied))
