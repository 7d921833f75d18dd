"""Start values for coupled-mode fits, found from the data alone: vector fitting, and a passive realisation of its
result.

Runs once per fit on the host, in numpy; the fit itself (`optimize.fit_modes`) is JAX. Here x is a scaled frequency, in
which the band is [−1, 1], and

    S(x) ≈ Σ_n R_n / (ix − p_n) + Σ_k C_k x^k

Sources: Gustavsen and Semlyen 1999 (vector fitting), Gustavsen 2006 (relaxation), Deschrijver et al. 2008 (fast common
poles); for the realisation the bounded-real Riccati equation, e.g. Boyd, El Ghaoui, Feron and Balakrishnan 1994, §2.7.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# Host arrays; numpy's own type stubs know too little of linear algebra to say more.
ComplexArray = Any
RealArray = Any


class PoleResidue(NamedTuple):
    """Poles [N] (Re < 0), residues [N, out, in], background coefficients [order + 1, out, in], and the rms misfit
    [out, in]."""

    poles: ComplexArray
    residues: ComplexArray
    background: ComplexArray
    misfit: RealArray


def vector_fit(
    x: RealArray,
    s: ComplexArray,
    modes: int,
    order: int = 0,
    noise: RealArray | float = 0.0,
    *,
    known: bool = False,
    sweeps: int = 20,
) -> PoleResidue:
    """Common-pole vector fitting from several sets of starting poles; the most likely fit is returned.

    Where the noise is not known each entry has a variance of its own to be found, so that entries are weighted by their
    misfit in turn and fits compared by Σ log misfit: a sharp line in a weak entry then counts, however large a smooth
    entry's misfit is.

    **Arguments:** `x`: [f], increasing; `s`: [f, out, in]; `modes`: N; `order`: of the background polynomial; `noise`:
    [out, in] or scalar, below which no misfit counts; `known`: whether `noise` is the standard deviation itself;
    `sweeps`: pole relocations at most.

    **Returns:** a `PoleResidue`, poles by rising frequency.
    """
    entries = s.reshape(len(x), -1)
    floor = np.maximum(np.broadcast_to(noise, s.shape[1:]).ravel(), 1e-9 * np.max(np.abs(s)))
    first = floor if known else np.std(_without_background(x, entries, order), axis=0) + floor
    fits = []
    for poles in _starting_poles(x, entries, modes, order):
        poles = _relocate(x, entries, poles, order, 1 / first, sweeps)
        residues, background, misfit = _residues(x, entries, poles, order)
        for _ in range(0 if known else 2):
            poles = _relocate(x, entries, poles, order, 1 / np.maximum(floor, misfit), sweeps)
            residues, background, misfit = _residues(x, entries, poles, order)
        deviation = np.maximum(floor, misfit)
        cost = np.sum((misfit / floor) ** 2) if known else np.sum(np.log(deviation))
        fits.append((cost, poles, residues, background, misfit))
    _, poles, residues, background, misfit = min(fits, key=lambda fit: fit[0])
    order_by_frequency = np.argsort(poles.imag)
    shape = s.shape[1:]
    return PoleResidue(
        poles[order_by_frequency],
        residues[order_by_frequency].reshape(-1, *shape),
        background.reshape(-1, *shape),
        misfit.reshape(shape),
    )


def _starting_poles(x: RealArray, s: ComplexArray, modes: int, order: int) -> list[ComplexArray]:
    spread = np.linspace(x[0], x[-1], modes + 2)[1:-1]
    shape = _without_background(x, s, order)
    shape = shape / np.maximum(np.std(shape, axis=0), 1e-12)
    middles = (x[1:] + x[:-1]) / 2
    change = np.linalg.norm(np.diff(shape, axis=0), axis=1) / np.diff(x)
    starts = []
    for width in (0.02, 0.2):
        # The places where S turns fastest, each kept clear of the others by about a linewidth.
        free, peaks = change.copy(), []
        for _ in range(modes):
            peak = middles[np.argmax(free)]
            peaks.append(peak)
            free[np.abs(middles - peak) < 2 * width * (x[-1] - x[0]) / modes] = 0
        starts += [1j * np.asarray(peaks) - width, 1j * spread - width]
    return starts


def _without_background(x: RealArray, s: ComplexArray, order: int) -> ComplexArray:
    powers = x[:, None] ** np.arange(order + 1)
    return s - powers @ np.linalg.lstsq(powers, s, rcond=None)[0]


def _basis(x: RealArray, poles: ComplexArray, order: int) -> ComplexArray:
    return np.concatenate([1 / (1j * x[:, None] - poles), x[:, None] ** np.arange(order + 1)], axis=1)


def _relocate(
    x: RealArray, s: ComplexArray, poles: ComplexArray, order: int, weights: RealArray, sweeps: int
) -> ComplexArray:
    modes = len(poles)
    for _ in range(sweeps):
        basis = _basis(x, poles, order)
        partial = np.concatenate([basis[:, :modes], np.ones((len(x), 1))], axis=1)
        rows = []
        # Only the common unknowns (of sigma) are wanted of each entry: a QR leaves the rows that hold them.
        for k, weight in enumerate(weights):
            system = weight * np.concatenate([basis, -s[:, k : k + 1] * partial], axis=1)
            triangle: ComplexArray = np.linalg.qr(system, mode="r")
            rows.append(triangle[basis.shape[1] :, basis.shape[1] :])
        scale = np.sqrt(np.mean([np.linalg.norm(row) ** 2 for row in rows]))
        relaxation = scale * np.mean(partial, axis=0, keepdims=True)
        system = np.concatenate([*rows, relaxation])
        right = np.zeros(len(system), complex)
        right[-1] = scale
        c = np.linalg.lstsq(system, right, rcond=None)[0]
        if abs(c[-1]) < 1e-8:
            return poles
        new = np.linalg.eigvals(np.diag(poles) - np.outer(np.ones(modes), c[:-1] / c[-1]))
        new = -np.abs(new.real) + 1j * new.imag
        moved = np.max(np.abs(np.sort_complex(new) - np.sort_complex(poles)))
        poles = new
        if moved < 1e-10:
            break
    return poles


def _residues(
    x: RealArray, s: ComplexArray, poles: ComplexArray, order: int
) -> tuple[ComplexArray, ComplexArray, RealArray]:
    basis = _basis(x, poles, order)
    coefficients = np.linalg.lstsq(basis, s, rcond=None)[0]
    misfit = np.sqrt(np.mean(np.abs(basis @ coefficients - s) ** 2, axis=0) / 2)
    return coefficients[: len(poles)], coefficients[len(poles) :], misfit


class Realisation(NamedTuple):
    """A passive device a' = (iΩ − ½D_f†D_f) a − D_f†V s₊, s₋ = top rows of V s₊ + D_f a, with V†V = 1.

    `omega` [N, N] Hermitian; `D` [M + q, N]; `V` [M + q, M]. The last q rows are hidden ports.
    """

    omega: ComplexArray
    D: ComplexArray
    V: ComplexArray


def passive_realisation(
    A: ComplexArray, B: ComplexArray, C: ComplexArray, D0: ComplexArray, margin: float = 1e-3
) -> Realisation:
    """A passive device with S = D0 + C (ix − A)⁻¹ B: exactly where that is passive, else with S scaled until it is.

    **Arguments:** `A` [N, N] diagonal; `B` [N, M]; `C` [M, N]; `D0` [M, M]; `margin`: how far below 1 a largest
    singular value above 1 is brought.

    **Returns:** a `Realisation` with q = M hidden ports, which suffice for any passive S-matrix.

    **Raises:** `ValueError` if no scaling helps.
    """
    # Poles that sit on the axis leave no room for passivity.
    A = A - np.diag(np.maximum(0.0, 1e-4 + A.diagonal().real))
    largest = _largest_singular_value(A, B, C, D0)
    scale = 1.0 if largest < 1 else (1 - margin) / largest
    for _ in range(60):
        P = _storage(A, np.sqrt(scale) * B, np.sqrt(scale) * C, scale * D0)
        if P is not None:
            break
        scale *= 0.97
    else:
        raise ValueError("Argument data must be close enough to passive for a passive fit; pass passive=False.")
    B, C, D0 = np.sqrt(scale) * B, np.sqrt(scale) * C, scale * D0
    T = np.linalg.cholesky(P).conj().T
    T_inverse = np.linalg.inv(T)
    A, B, C = T @ A @ T_inverse, T @ B, C @ T_inverse
    values, vectors = np.linalg.eigh(np.eye(len(D0)) - D0.conj().T @ D0)
    L_s = -(vectors * np.sqrt(values)) @ vectors.conj().T
    L_a = -np.linalg.solve(L_s, B.conj().T + D0.conj().T @ C)
    return Realisation((A - A.conj().T) / 2j, np.concatenate([C, L_a]), np.concatenate([D0, L_s]))


def _largest_singular_value(A: ComplexArray, B: ComplexArray, C: ComplexArray, D0: ComplexArray) -> float:
    poles = A.diagonal()
    offsets = np.concatenate([[0.0], np.geomspace(1e-2, 1e2, 40)])
    offsets = np.concatenate([-offsets, offsets])
    x = np.concatenate([p.imag - p.real * offsets for p in poles] + [np.linspace(-2, 2, 201)])
    response = D0 + np.einsum("on,fn,ni->foi", C, 1 / (1j * x[:, None] - poles), B)
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
