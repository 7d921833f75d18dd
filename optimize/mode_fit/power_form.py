"""|S|² of N resonances: a rational function whose poles have mirror images, and its least squares.

x is frequency from the band's centre in units of half the band.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optimize.mode_fit.descent import DescentEnd, descend
from optimize.mode_fit.vector_fitting import Weights, starting_poles, vector_fit

Host = Any
SHORT, ROUGH = 10, 0.1  # steps and tolerance by which starts are compared


class PowerForm(NamedTuple):
    """|S(x)|² = Σ_k b_k x^k + Σ_n 2 Re[R_n / (ix − p_n)] for each entry.

    **Fields:** `poles` [n], Re p < 0; `background` [order + 1, entry]; `residues` complex [n, entry].
    """

    poles: Host
    background: Host
    residues: Host

    @property
    def A(self) -> Host:
        """The poles: as many as modes, as of a `Form`."""
        return self.poles

    def part(self, kept: Host) -> PowerForm:
        """The same without some of its modes: `kept`, in the order of rising frequency."""
        chosen = np.argsort(self.poles.imag)[kept]
        return PowerForm(self.poles[chosen], self.background, self.residues[chosen])

    def powers(self, x: Host) -> Host:
        """|S|² [f, entry]."""
        lines = 2 * np.real((1 / (1j * np.asarray(x)[:, None] - self.poles)) @ self.residues)
        return np.asarray(x)[:, None] ** np.arange(len(self.background)) @ self.background + lines

    def slopes(self, x: Host) -> Host:
        """Its derivatives in Im p and Re p of the poles [2 n, f, entry]."""
        change = 2 * self.residues / (1j * x[:, None, None] - self.poles[:, None]) ** 2
        change = change.swapaxes(0, 1)
        return np.concatenate([-change.imag, change.real])


class PowerProblem(NamedTuple):
    """Powers `s` [f, entry] over `x` [f] with `sigma` [f, entry], and the `order` of the background."""

    x: Host
    s: Host
    sigma: Host
    order: int

    def basis(self, poles: Host) -> Host:
        """What is linear [f, order + 1 + 2 n]: powers of x, and each pole's part for real and for imaginary R."""
        lines = 2 / (1j * self.x[:, None] - poles)
        return np.concatenate([self.x[:, None] ** np.arange(self.order + 1), lines.real, -lines.imag], axis=1)

    def described(self, poles: Host) -> tuple[PowerForm, Host]:
        """The form that is best with these poles, and orthonormal bases [entry, f, k] of what it may be."""
        basis = self.basis(poles) / self.sigma.T[:, :, None]
        scale = np.linalg.norm(basis, axis=1, keepdims=True)
        own = np.linalg.qr(basis)[0]
        found = np.linalg.pinv(basis / scale) @ (self.s / self.sigma).T[:, :, None] / scale.swapaxes(1, 2)
        c, size, n = found[:, :, 0].T, self.order + 1, len(poles)
        return PowerForm(poles, c[:size], c[size : size + n] + 1j * c[size + n :]), own

    def residual(self, poles: Host) -> Host:
        form, _ = self.described(poles)
        return ((form.powers(self.x) - self.s) / self.sigma).T.ravel()

    def linearised(self, poles: Host) -> tuple[Host, Host]:
        """The residual and its derivatives in Im p and ln(−Re p), what is linear being eliminated (Kaufman 1975)."""
        form, own = self.described(poles)
        slopes = form.slopes(self.x)
        slopes[len(poles) :] *= poles.real[:, None, None]
        rows = np.moveaxis(slopes / self.sigma, 0, 2).swapaxes(0, 1)  # [entry, f, p]
        rows = rows - own @ (own.swapaxes(1, 2) @ rows)
        missed = ((form.powers(self.x) - self.s) / self.sigma).T.ravel()
        return missed, rows.reshape(missed.size, 2 * len(poles)).T

    def whole(self, form: PowerForm) -> Host:
        """Derivatives [f · entry, p] of the residual in all of Im p, Re p and, entry by entry, what is linear."""
        basis, entries = self.basis(form.poles), self.s.shape[1]
        slopes = np.moveaxis(form.slopes(self.x) / self.sigma, 0, 2)
        linear = np.zeros((*self.s.shape, entries, basis.shape[1]))
        for entry in range(entries):
            linear[:, entry, entry] = basis / self.sigma[:, entry, None]
        size = self.s.size
        return np.concatenate([slopes.reshape(size, slopes.shape[2]), linear.reshape(size, -1)], axis=1)

    def solved(self, poles: Host, max_steps: int, tolerance: float = 1e-3) -> tuple[PowerForm, DescentEnd]:
        """The least squares from these poles on."""
        size = float(np.linalg.norm(self.s / self.sigma))
        end = descend(
            poles, self.residual, self.linearised, _moved, max_steps=max_steps, tolerance=tolerance, size=size
        )
        return self.described(end.point)[0], end

    def reweighed(self, form: PowerForm, least: Host) -> PowerProblem:
        """With σ as the misfit of each entry has it, at least `least` [entry]."""
        misfit = np.sqrt(np.mean((form.powers(self.x) - self.s) ** 2, axis=0))
        return self._replace(sigma=np.broadcast_to(np.maximum(misfit, least), self.s.shape))

    def starts(self, modes: int) -> list[Host]:
        """Sets of poles to start from: |S|² rings as long as S, after t = 0 and, mirrored, before it."""
        analytic = _after_zero(self.x, self.s)
        size = np.sqrt(np.mean(np.abs(self.s) ** 2, axis=0))
        sets = [*starting_poles(self.x, analytic, modes, self.order, size)]
        if modes:
            least = 1e-6 * size + 1e-300
            sets.append(vector_fit(self.x, analytic, modes, self.order, Weights(least, least), sweeps=6).poles)
        return sets


def _moved(poles: Host, change: Host) -> Host:
    n = len(poles)
    return poles.real * np.exp(np.clip(change[n:], -5, 5)) + 1j * (poles.imag + change[:n])


def _after_zero(x: Host, s: Host) -> Host:
    """The part of traces that rings after t = 0, of an even grid through them."""
    grid = np.linspace(x[0], x[-1], len(x))
    even = np.stack([np.interp(grid, x, column) for column in s.T], axis=1)
    both = np.concatenate([even, even[::-1]])
    ringing = np.fft.ifft(both, axis=0)
    ringing[len(both) // 2 + 1 :] = 0
    turned = np.fft.fft(ringing, axis=0)[: len(x)]
    return np.stack([np.interp(x, grid, part.real) + 1j * np.interp(x, grid, part.imag) for part in turned.T], axis=1)
