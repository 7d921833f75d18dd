"""A passive device with a given response: the bounded-real lemma, made into a realisation.

Source: S. Boyd, L. El Ghaoui, E. Feron and V. Balakrishnan, Linear Matrix Inequalities in System and Control Theory,
SIAM 1994, §2.7.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# Host arrays; numpy's own type stubs know too little of linear algebra to say more.
ComplexArray = Any


class Realisation(NamedTuple):
    """A passive device a' = (iΩ − ½D_f†D_f) a − D_f†V s₊, s₋ = top rows of V s₊ + D_f a, with V†V = 1.

    `omega` [N, N] Hermitian; `D` [M + q, N]; `V` [M + q, M]. The last q rows are hidden ports. `scale`: the part of the
    S asked for that it is, 1 where that is passive.
    """

    omega: ComplexArray
    D: ComplexArray
    V: ComplexArray
    scale: float


MARGINS = np.geomspace(1e-6, 0.9, 40)
ACCURACY = 1e-6  # to which the balance of energy must hold


def passive_realisation(A: ComplexArray, B: ComplexArray, C: ComplexArray, D0: ComplexArray) -> Realisation:
    """A passive device with S = D0 + C (ix − A)⁻¹ B: exactly where that is passive, else with S scaled until it is.

    **Arguments:** `A` [N, N], diagonal or nearly so; `B` [N, M]; `C` [M, N]; `D0` [M, M].

    **Returns:** a `Realisation` with q = M hidden ports, which suffice for any passive S-matrix.

    **Raises:** `ValueError` if no scaling helps.
    """
    # Poles that sit on the axis leave no room for passivity.
    A = A - np.diag(np.maximum(0.0, 1e-4 + A.diagonal().real))
    largest = max(1.0, _largest_singular_value(A, B, C, D0))
    for margin in (0.0, *MARGINS):
        scale = (1 - margin) / largest
        found = _realised(A, np.sqrt(scale) * B, np.sqrt(scale) * C, scale * D0)
        if found is not None:
            return Realisation(*found, scale)
    raise ValueError("Argument data must be close enough to passive for a passive model; pass passive=False.")


def _realised(
    A: ComplexArray, B: ComplexArray, C: ComplexArray, D0: ComplexArray
) -> tuple[ComplexArray, ComplexArray, ComplexArray] | None:
    """Ω, D_f and V, or None where the response is not passive, or so nearly so that round-off decides."""
    P = _storage(A, B, C, D0)
    if P is None:
        return None
    T = np.linalg.cholesky(P).conj().T
    T_inverse = np.linalg.inv(T)
    A, B, C = T @ A @ T_inverse, T @ B, C @ T_inverse
    values, vectors = np.linalg.eigh(np.eye(len(D0)) - D0.conj().T @ D0)
    L_s = -(vectors * np.sqrt(values)) @ vectors.conj().T
    L_a = -np.linalg.solve(L_s, B.conj().T + D0.conj().T @ C)
    lost = -(A + A.conj().T)
    if np.linalg.norm(C.conj().T @ C + L_a.conj().T @ L_a - lost) > ACCURACY * np.linalg.norm(lost):
        return None
    return (A - A.conj().T) / 2j, np.concatenate([C, L_a]), np.concatenate([D0, L_s])


def _largest_singular_value(A: ComplexArray, B: ComplexArray, C: ComplexArray, D0: ComplexArray) -> float:
    poles = np.linalg.eigvals(A)
    offsets = np.concatenate([[0.0], np.geomspace(1e-2, 1e2, 40)])
    offsets = np.concatenate([-offsets, offsets])
    x = np.concatenate([p.imag - p.real * offsets for p in poles] + [np.linspace(-2, 2, 201)])
    response = D0 + C @ np.linalg.solve(1j * x[:, None, None] * np.eye(len(A)) - A, B)
    return max(float(np.max(np.linalg.norm(response, 2, axis=(1, 2)))), float(np.linalg.norm(D0, 2)))


def _storage(A: ComplexArray, B: ComplexArray, C: ComplexArray, D0: ComplexArray) -> ComplexArray | None:
    """The stabilising solution P of the bounded-real Riccati equation, or None where there is none (not passive)."""
    n = len(A)
    R = np.eye(D0.shape[0]) - D0.conj().T @ D0
    if np.min(np.linalg.eigvalsh(R)) <= 0:
        return None
    R_inverse = np.linalg.inv(R)
    F = A + B @ R_inverse @ D0.conj().T @ C
    top = np.concatenate([F, B @ R_inverse @ B.conj().T], axis=1)
    corner = -C.conj().T @ (np.eye(len(D0)) + D0 @ R_inverse @ D0.conj().T) @ C
    values: Any
    vectors: Any
    values, vectors = np.linalg.eig(np.concatenate([top, np.concatenate([corner, -F.conj().T], axis=1)]))
    stable = np.argsort(values.real)[:n]
    if np.min(np.abs(values.real)) < 1e-9 or np.sum(values.real < 0) != n:
        return None
    X = vectors[:, stable]
    P: ComplexArray = X[n:] @ np.linalg.inv(X[:n])
    P = (P + P.conj().T) / 2
    return P if np.min(np.linalg.eigvalsh(P)) > 0 else None
