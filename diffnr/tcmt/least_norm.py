"""Linear systems, also singular ones: the solution of least norm wherever there is one.

A mode that neither decays nor is driven, tuned to the drive, leaves the amplitudes undetermined, and what leaves the
ports not: the drive does not reach what is singular.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex

from diffnr.tcmt.seldom import unless

ROUND_OFF = 8  # times n ε: pivots and remainders that are smaller, beside the largest, are those of 0
DOUBLINGS = 44  # of a share of 1/σ, which reach singular values of 1e-6 of the largest, and leave round-off what it is


def least_norm(M: Complex[Array, "n n"], f: Complex[Array, " n"]) -> Complex[Array, " n"]:
    """The a of least norm with M a = f, NaN where there is none.

    Its derivatives are those of a change that leaves M as singular as it is; forwards they are NaN for any other.
    """
    fixed = lax.stop_gradient(M)
    lu, _, order = lax.linalg.lu(fixed)
    regular = jnp.all(jnp.abs(jnp.diagonal(lu)) > round_off(M) * jnp.max(jnp.abs(fixed)))

    def solved(_: object, f: Array) -> Array:
        y = lax.linalg.triangular_solve(lu, f[order][:, None], left_side=True, lower=True, unit_diagonal=True)
        return unless(regular, lax.linalg.triangular_solve(lu, y, left_side=True)[:, 0], _solved, (fixed, f))

    def transposed(_: object, f: Array) -> Array:
        y = lax.linalg.triangular_solve(lu, f[:, None], left_side=True, transpose_a=True)
        y = lax.linalg.triangular_solve(lu, y, left_side=True, lower=True, transpose_a=True, unit_diagonal=True)
        return unless(regular, y[jnp.argsort(order), 0], _projected, (fixed.T, f))

    return lax.custom_linear_solve(lambda a: jnp.sum(M * a, axis=1), f, solved, transposed)


def _solved(matter: tuple[Array, Array]) -> Array:
    M, f = matter
    a = _projected(matter)
    missed = jnp.max(jnp.abs(jnp.sum(M * a, axis=1) - f)) > 8 * round_off(M) * jnp.max(jnp.abs(f))
    return jnp.where(missed, jnp.nan, a)


def _projected(matter: tuple[Array, Array]) -> Array:
    """Moore and Penrose's inverse times f, by products alone: calls of LAPACK beside each other may wait for ever.

    X ← X (2 − M X) doubles, from X = M†/|M|², the share of 1/σ that X has reached, and nothing else.
    """
    M, f = matter
    size = jnp.max(jnp.abs(M))
    M = M / jnp.where(size > 0, size, 1.0)
    X = M.conj().T / jnp.maximum(jnp.sum(M.real**2 + M.imag**2), 1.0)
    X = lax.fori_loop(0, DOUBLINGS, lambda _, X: 2 * X - X @ M @ X, X)
    X = X @ M @ X  # without what has become of round-off
    return jnp.sum(X * f, axis=1) / jnp.where(size > 0, size, 1.0)


def round_off(M: Array) -> float:
    """Below which share of the largest entry of M a number is 0."""
    return ROUND_OFF * len(M) * float(jnp.finfo(M.dtype).eps)
