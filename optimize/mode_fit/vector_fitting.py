"""Start values for coupled-mode fits, found from the data alone: vector fitting, on the host in numpy.

Here x is a scaled frequency, in which the band is [−1, 1], and each entry of S is

    S(x) ≈ Σ_n R_n / (ix − p_n) + Σ_k C_k x^k

Sources: Gustavsen and Semlyen 1999 (vector fitting), Gustavsen 2006 (relaxation), Deschrijver et al. 2008 (fast common
poles).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# Host arrays; numpy's own type stubs know too little of linear algebra to say more.
ComplexArray = Any
RealArray = Any

GIVEN_UP = 0.03  # of an entry's size: a misfit beyond it, and beyond noise, weighs ever more, so that none is given up

ALONE = 6  # entries whose own poles are tried
KEPT = 3  # fits that are weighed anew by their misfit


class PoleResidue(NamedTuple):
    """Poles [N] (Re < 0) by rising frequency, residues [N, entry], background coefficients [order + 1, entry], the rms
    misfit [entry] of real and imaginary parts, and the cost by which fits are compared."""

    poles: ComplexArray
    residues: ComplexArray
    background: ComplexArray
    misfit: RealArray
    cost: float


class Weights(NamedTuple):
    """What the standard deviation σ of each entry may be: from `least` [entry] to `most` [entry], the same where it is
    known."""

    least: RealArray
    most: RealArray

    def sigma(self, misfit: RealArray) -> RealArray:
        """The most likely σ of entries with this rms misfit of real and imaginary parts."""
        return np.clip(misfit, self.least, self.most)

    def cost(self, misfit: RealArray) -> float:
        """−2 log likelihood a number, at the most likely σ."""
        sigma = self.sigma(misfit)
        return float(np.sum(2 * np.log(sigma) + (misfit / sigma) ** 2))

    @classmethod
    def unknown(cls, s: ComplexArray, least: RealArray, noise: RealArray) -> Weights:
        """σ between the least that digits leave and a part of the entry's size, or what its noise [entry] may be; of
        an entry whose noise is not known (NaN) any."""
        size = np.sqrt(np.mean(np.abs(s) ** 2, axis=0))
        most = np.where(np.isnan(noise), size, np.maximum(GIVEN_UP * size, 2 * noise))
        return cls(least, np.maximum(most, least))


def vector_fit(
    x: RealArray, s: ComplexArray, modes: int, order: int, weights: Weights, *, sweeps: int = 12
) -> PoleResidue:
    """Common-pole vector fitting from several sets of starting poles; the most likely fit is returned.

    Where σ is not known each entry has one of its own to be found, so that a sharp line in a weak entry counts, however
    large a smooth entry's misfit is.

    **Arguments:** `x`: [f], increasing; `s`: [f, entry]; `modes`: how many poles; `order`: of the background
    polynomial; `weights`; `sweeps`: pole relocations at most, for each σ.

    **Returns:** a `PoleResidue`.
    """
    poles = relocated(x, s, starting_poles(x, s, modes, order, weights.most), order, weights.most, sweeps)
    if weights.least is not weights.most:
        # The poles of an entry alone, too: another's structure that is no resonance shall not draw them away.
        alone = np.argsort(-weights.most)[:ALONE, None] if s.shape[1] > 1 else np.zeros((0, 1), int)
        own = starting_poles(x, s.T[alone].swapaxes(1, 2), modes, order, np.ones(1))[:, ::2]
        each = np.repeat(alone, own.shape[1], axis=0)
        own = relocated(x, s.T[each].swapaxes(1, 2), own.reshape(len(each), modes), order, weights.most[each], sweeps)
        poles = np.concatenate([poles, own])
        fits = sorted(_fits(x, s, poles, order, weights), key=lambda fit: fit.cost)[:KEPT]
        sigma = np.stack([weights.sigma(fit.misfit) for fit in fits])
        again = relocated(x, s, np.stack([fit.poles for fit in fits]), order, sigma, sweeps)
        fits += _fits(x, s, again, order, weights)
    else:
        fits = _fits(x, s, poles, order, weights)
    return min(fits, key=lambda fit: fit.cost)


def starting_poles(x: RealArray, s: ComplexArray, modes: int, order: int, sigma: RealArray) -> ComplexArray:
    """Sets of poles [..., 4, modes] to start from: where S [..., f, entry] turns fastest, and evenly over the band,
    with two widths."""
    spread = np.linspace(x[0], x[-1], modes + 2)[1:-1]
    powers = np.linalg.qr(x[:, None] ** np.arange(order + 1))[0]
    shape = (s - powers @ (powers.T @ s)) / sigma
    middles = (x[1:] + x[:-1]) / 2
    change = np.linalg.norm(np.diff(shape, axis=-2), axis=-1) / np.diff(x)
    starts = []
    for width in (0.02, 0.2):
        # Each place is kept clear of the others by about a linewidth.
        free, peaks = change, []
        for _ in range(modes):
            peaks.append(middles[np.argmax(free, axis=-1)])
            near = np.abs(middles - peaks[-1][..., None]) < 2 * width * (x[-1] - x[0]) / modes
            free = np.where(near, 0.0, free)
        places = np.stack(peaks, axis=-1) if modes else np.zeros((*change.shape[:-1], 0))
        starts += [1j * places - width, 1j * np.broadcast_to(spread, places.shape) - width]
    return np.stack(starts, axis=-2)


def relocated(
    x: RealArray, s: ComplexArray, poles: ComplexArray, order: int, sigma: RealArray, sweeps: int
) -> ComplexArray:
    """Where vector fitting moves sets of poles [set, n], each by itself: `s` [f, entry], and `sigma` [entry], may have
    a leading axis [set] too."""
    modes = poles.shape[1]
    if not modes:
        return poles
    entries, size = s.shape[-1], modes + order + 1
    weighted = np.broadcast_to(s / sigma[..., None, :], (len(poles), *s.shape[-2:]))[..., None]
    poles, going = poles.copy(), np.arange(len(poles))
    for _ in range(sweeps):
        # Only the common unknowns (of the weight function) are wanted of each entry: what of them the entry's own
        # basis does not reach.
        rows: ComplexArray
        if entries == 1:  # one triangle has both
            basis = _basis(x, poles[going], order, modes + 1)
            basis[..., size:-1] = weighted[going, :, 0] * basis[..., :modes]
            basis[..., -1] = weighted[going, :, 0, 0]
            whole: ComplexArray = np.linalg.qr(basis, mode="r")
            rows = whole[:, size:, size:]
        else:
            basis = _basis(x, poles[going], order)
            own: ComplexArray = np.linalg.qr(basis)[0]
            common = np.concatenate([basis[..., :modes], np.ones((*basis.shape[:2], 1))], axis=2)
            systems = (weighted[going] * common[:, :, None]).reshape(*basis.shape[:2], -1)
            systems -= own @ (own.conj().swapaxes(1, 2) @ systems)
            rows = np.linalg.qr(systems.reshape(len(going), -1, modes + 1), mode="r")
        scale = np.linalg.norm(rows, axis=(1, 2))[:, None, None] / np.sqrt(entries)
        mean = np.mean(basis[..., :modes], axis=1, keepdims=True)
        relaxation = scale * np.concatenate([mean, np.ones((len(going), 1, 1))], axis=2)
        c = scale[..., 0] * np.linalg.pinv(np.concatenate([rows, relaxation], axis=1))[..., -1]
        found = np.abs(c[:, -1]) >= 1e-8
        going, c = going[found], c[found]
        old = poles[going]
        matrices = old[:, None, :] * np.eye(modes) - (c[:, :-1] / c[:, -1:])[:, None, :]
        new = np.linalg.eigvals(matrices)
        new = -np.maximum(np.abs(new.real), 1e-9) + 1j * new.imag
        poles[going] = new
        going = going[np.max(np.abs(np.sort_complex(new) - np.sort_complex(old)), axis=1) >= 1e-8]
        if not len(going):
            break
    return poles


def misfits(x: RealArray, s: ComplexArray, poles: ComplexArray, order: int) -> tuple[ComplexArray, RealArray]:
    """The coefficients [set, n + order + 1, entry] that sets of poles [set, n] leave free, and the rms misfit
    [set, entry] of real and imaginary parts; `s` [f, entry] may have a leading axis [set] too."""
    basis, reduced = np.linalg.qr(_basis(x, poles, order))
    coefficients = basis.conj().swapaxes(1, 2) @ s
    misfit = np.sqrt(np.mean(np.abs(basis @ coefficients - s) ** 2, axis=-2) / 2)
    return np.linalg.pinv(reduced, rcond=len(x) * np.finfo(float).eps) @ coefficients, misfit


def least_misfits(x: RealArray, s: ComplexArray, poles: ComplexArray, order: int) -> RealArray:
    """The least rms misfit [set] of real and imaginary parts that sets of poles [set, n] leave of one entry each, `s`
    [set, f]."""
    columns = _basis(x, poles, order, 1)
    columns[..., -1] = s
    triangles: ComplexArray = np.linalg.qr(columns, mode="r")
    return np.abs(triangles[:, -1, -1]) / np.sqrt(2 * len(x))


def delay_steps(x: RealArray, s: ComplexArray, poles: ComplexArray, order: int) -> RealArray:
    """The t [set] for which e^{ixt}s is described best, to first order in t and in the change of sets of poles
    [set, n]; `s` [set, f] is one entry."""
    size = poles.shape[1] + order + 1
    columns = _basis(x, poles, order, poles.shape[1] + 2)
    columns[..., size:-2] = columns[..., : poles.shape[1]] ** 2  # what a change of the poles adds
    columns[..., -2], columns[..., -1] = 1j * x * s, s
    triangles: ComplexArray = np.linalg.qr(columns, mode="r")
    slope, left = triangles[:, -2, -2], triangles[:, -2, -1]
    return -np.real(slope.conj() * left) / np.maximum(np.abs(slope) ** 2, np.finfo(float).tiny)


def _fits(x: RealArray, s: ComplexArray, poles: ComplexArray, order: int, weights: Weights) -> list[PoleResidue]:
    poles = np.take_along_axis(poles, np.argsort(poles.imag, axis=1), axis=1)
    coefficients, misfit = misfits(x, s, poles, order)
    modes = poles.shape[1]
    return [
        PoleResidue(p, c[:modes], c[modes:], m, weights.cost(m))
        for p, c, m in zip(poles, coefficients, misfit, strict=True)
    ]


def _basis(x: RealArray, poles: ComplexArray, order: int, more: int = 0) -> ComplexArray:
    """1/(ix − p) and powers of x, [set, f, n + order + 1], and room for more columns."""
    modes = poles.shape[1]
    columns: ComplexArray = np.empty((len(poles), len(x), modes + order + 1 + more), complex)
    away, width = x[:, None] - poles.imag[:, None, :], -poles.real[:, None, :]
    power = away**2 + width**2  # division of complex numbers is slow
    columns.real[..., :modes], columns.imag[..., :modes] = width / power, -away / power
    columns[..., modes : modes + order + 1] = x[:, None] ** np.arange(order + 1)
    return columns
