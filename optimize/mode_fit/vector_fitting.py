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
    fits = []
    for poles in _starting_poles(x, s, modes, order, weights):
        fits.append(_residues(x, s, _relocate(x, s, poles, order, weights.most, sweeps), order, weights))
    if weights.least is not weights.most:
        # The poles of an entry alone, too: another's structure that is no resonance shall not draw them away.
        for k in np.argsort(-weights.most)[:ALONE] if s.shape[1] > 1 else ():
            alone = Weights(*(limit[k : k + 1] for limit in weights))
            one = s[:, k : k + 1]
            for poles in _starting_poles(x, one, modes, order, alone)[::2]:
                fits.append(_residues(x, s, _relocate(x, one, poles, order, alone.most, sweeps), order, weights))
        fits = sorted(fits, key=lambda fit: fit.cost)[:KEPT]
        fits += [
            _residues(x, s, _relocate(x, s, fit.poles, order, weights.sigma(fit.misfit), sweeps), order, weights)
            for fit in fits
        ]
    return min(fits, key=lambda fit: fit.cost)


def _starting_poles(x: RealArray, s: ComplexArray, modes: int, order: int, weights: Weights) -> list[ComplexArray]:
    spread = np.linspace(x[0], x[-1], modes + 2)[1:-1]
    shape = _without_background(x, s, order) / weights.most
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
    x: RealArray, s: ComplexArray, poles: ComplexArray, order: int, sigma: RealArray, sweeps: int
) -> ComplexArray:
    modes = len(poles)
    for _ in range(sweeps):
        basis = _basis(x, poles, order)
        partial = np.concatenate([basis[:, :modes], np.ones((len(x), 1))], axis=1)
        # Only the common unknowns (of the weight function) are wanted of each entry: a QR leaves the rows that hold
        # them, of the part that the entry's own basis does not reach.
        own = np.linalg.qr(basis)[0]
        systems = s.T[:, :, None] * partial / sigma[:, None, None]
        systems = systems - own @ (own.conj().T @ systems)
        rows = np.linalg.qr(systems, mode="r")
        scale = np.sqrt(np.mean(np.linalg.norm(rows, axis=(1, 2)) ** 2))
        relaxation = scale * np.mean(partial, axis=0, keepdims=True)
        system = np.concatenate([*rows, relaxation])
        right = np.zeros(len(system), complex)
        right[-1] = scale
        c = np.linalg.lstsq(system, right, rcond=None)[0]
        if abs(c[-1]) < 1e-8:
            return poles
        new = np.linalg.eigvals(np.diag(poles) - np.outer(np.ones(modes), c[:-1] / c[-1]))
        new = -np.maximum(np.abs(new.real), 1e-9) + 1j * new.imag
        moved = np.max(np.abs(np.sort_complex(new) - np.sort_complex(poles)))
        poles = new
        if moved < 1e-8:
            break
    return poles


def _residues(x: RealArray, s: ComplexArray, poles: ComplexArray, order: int, weights: Weights) -> PoleResidue:
    poles = poles[np.argsort(poles.imag)]
    basis = _basis(x, poles, order)
    coefficients = np.linalg.lstsq(basis, s, rcond=None)[0]
    misfit = np.sqrt(np.mean(np.abs(basis @ coefficients - s) ** 2, axis=0) / 2)
    return PoleResidue(poles, coefficients[: len(poles)], coefficients[len(poles) :], misfit, weights.cost(misfit))
