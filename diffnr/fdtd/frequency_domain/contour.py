"""All resonances in a disc of the complex plane, by contour integrals of the scheme's inverse.

    A_p = (1/2πi) ∮ ξ^p M(ω)⁻¹ V dξ = Σ_n ξ_n^p x_n (y_nᵀ V),        ω = centre + radius · ξ

over the modes inside. On N nodes evenly around, a mode counts with 1/(1 − ξ_n^N) instead, exactly: little by little one
outside counts less, and the modes found explain what the nodes saw, or others were missed. V are smooth magnetic
currents, which drive nearly nothing of the lattice's own plasmons (`smooth_currents.py`).

Source: W.-J. Beyn 2012 (moments and their singular values); M. Van Barel and P. Kravanja 2016 (the filter of nodes).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from diffnr.fdtd.frequency_domain.direct_solve import Inverse, Pattern
from diffnr.fdtd.frequency_domain.smooth_currents import SmoothCurrents
from diffnr.progress import ProgressBar

NEAR = 1.5  # radii: modes farther from the centre are of no interest
EXPLAINED = 1e-2  # of what a mode at the centre contributes: the most that the modes found may leave of the moments
EQUAL = 1e-9  # of ω: modes that are one degenerate one
BESIDE = 0.01  # radii between a degenerate mode and its guess
ASIDE = 1e-6  # of ω, from a degenerate mode: where M has an inverse, and amplifies all of the mode's fields alike
SEEN = 1e-8  # of the largest singular value: less is round-off of the inverses
NODES = 16  # at first, then three times as many
FEWEST, MOST = 16, 64  # currents


class Disc(NamedTuple):
    """Where modes are looked for: `centre`, complex, and `radius`, in rad/s."""

    centre: complex
    radius: float

    def nodes(self, count: int, *, again: bool = False) -> np.ndarray:
        """ξ of so many nodes around, all or without the third that a search by fewer has used: none is on the real
        axis, where the modes of lossless scenes are."""
        number = np.arange(count)
        return np.exp(2j * np.pi * ((number[number % 3 != 1] if again else number) + 0.5) / count)

    def at(self, xi: Any) -> Any:
        return self.centre + self.radius * xi

    def within(self, omega: np.ndarray) -> np.ndarray:
        """ξ of frequencies."""
        return (omega - self.centre) / self.radius


class Guesses(NamedTuple):
    """ω [mode], x and y [mode, unknown], unknowns in the order of edges."""

    omega: np.ndarray
    x: np.ndarray
    y: np.ndarray


class Iterated(NamedTuple):
    """Modes that an iteration has arrived at: ω [mode], x and y [mode, unknown] with yᵀM′x = 1."""

    omega: np.ndarray
    x: np.ndarray
    y: np.ndarray
    resolved: np.ndarray

    def with_new(self, other: Iterated) -> Iterated:
        """With those of others at whose ω there is none yet."""
        modes = self
        for k, omega in enumerate(other.omega):
            if not np.any(modes.at(omega)):
                modes = modes.and_these(Iterated(*(part[k : k + 1] for part in other)))
        return modes

    def and_these(self, other: Iterated) -> Iterated:
        return Iterated(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def at(self, omega: complex) -> np.ndarray:
        """Which are at this ω."""
        return np.abs(self.omega - omega) <= EQUAL * abs(omega)


class Found(NamedTuple):
    """Modes in a disc and beside it; whether all inside are there; whether the time ran out; whether modes, or what
    else answers, are as many as the currents."""

    modes: Iterated
    complete: bool = False
    late: bool = False
    crowded: bool = False


class Probes(NamedTuple):
    """Smooth random currents: what they drive [unknown, k], and what is read [k, unknown]."""

    sources: np.ndarray
    readings: np.ndarray

    @classmethod
    def of(cls, currents: SmoothCurrents, count: int) -> Probes:
        rng = np.random.default_rng(0)
        smooth = np.real(currents.smooth(rng.normal(size=(currents.drude_gain.size, 2 * count)) + 0j))
        return cls(currents.sources @ smooth[:, :count], (currents.readings.T @ smooth[:, count:]).T)


class Moments(NamedTuple):
    """A_0 and A_1 [unknown, k], from so many nodes."""

    first: np.ndarray
    second: np.ndarray
    nodes: int

    def without(self, xi: np.ndarray, x: np.ndarray, driven: np.ndarray) -> Moments:
        """Less what modes at ξ [n] with fields [n, unknown] contribute that are driven by [n, k]."""
        weight = 1 / (1 + xi**self.nodes)
        first = self.first - x.T @ (weight[:, None] * driven)
        second = self.second - x.T @ ((weight * xi)[:, None] * driven)
        return Moments(first, second, self.nodes)

    def candidates(self, probes: Probes, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ξ [n] of what contributes more than the least to what is read, how the currents drive each [n, k], and how
        the readings see it [n, k]."""
        u, s, vh = np.linalg.svd(probes.readings @ self.first)
        rank = int(np.sum(s > max(least, SEEN * s[0])))
        u, s, vh = u[:, :rank], s[:rank], vh[:rank]
        xi, mixtures = np.linalg.eig(u.conj().T @ (probes.readings @ self.second) @ vh.conj().T / s)
        return xi, np.linalg.solve(mixtures, s[:, None] * vh), (u @ mixtures).T


class Search:
    """All modes in a disc of a scheme with this `pattern`.

    **Arguments:** `entries`, `slopes`: ω → those of M and of dM/dω; `iterate`: guesses → modes; `currents`: smooth
    ones; `unit`: what a mode contributes to each reading of each current, about, times the radius; `bar`: shows nodes;
    `end`: in seconds of `time.monotonic`.
    """

    def __init__(
        self,
        disc: Disc,
        pattern: Pattern,
        entries: Callable[[complex], np.ndarray],
        slopes: Callable[[complex], np.ndarray],
        iterate: Callable[[Guesses], Iterated],
        currents: SmoothCurrents,
        unit: float,
        bar: ProgressBar,
        end: float,
    ):
        self.disc, self.pattern, self.iterate = disc, pattern, iterate
        self.entries, self.slopes = entries, slopes
        self.currents, self.unit, self.bar, self.end = currents, unit / disc.radius, bar, end

    def __call__(self, most_nodes: int) -> Found:
        """With up to so many nodes."""
        none = np.zeros((0, self.pattern.order.size), complex)
        found = Found(Iterated(np.zeros(0, complex), none, none, np.zeros(0, bool)), crowded=True)
        count = FEWEST
        while found.crowded and count <= MOST:
            found = self._by(Probes.of(self.currents, count), found.modes, most_nodes)
            count *= 2
        return found

    def _by(self, probes: Probes, modes: Iterated, most_nodes: int) -> Found:
        count, moments = len(probes.readings), None
        while moments is None or 3 * moments.nodes <= most_nodes:
            moments = self._moments(probes, moments)
            if moments is None:
                return Found(modes, late=True)
            more = True
            while more:
                left = moments.without(*self._explained(modes, probes))
                xi, driven, seen = left.candidates(probes, EXPLAINED * self.unit * count)
                rank, near, known = len(xi), np.abs(xi) < NEAR, len(modes.omega)
                if rank in (0, count) or time.monotonic() > self.end:
                    return Found(modes, complete=rank == 0, late=0 < rank < count, crowded=rank == count)
                if np.any(near):
                    guesses = self._guesses(probes, xi[near], driven[near], seen[near])
                    modes = modes.with_new(self.iterate(guesses))
                    if len(modes.omega) == known:
                        modes = self._with_partners(modes, guesses)
                more = len(modes.omega) > known
        return Found(modes)

    def _guesses(self, probes: Probes, xi: np.ndarray, driven: np.ndarray, seen: np.ndarray) -> Guesses:
        """What smooth currents drive at each ω, mixed so that the mode answers most: with little of the lattice's own
        plasmons, which the moments have too, unseen."""
        omega, x, y = self.disc.at(xi), [], []
        for k, place in enumerate(omega):
            inverse = Inverse(self.pattern, self.entries(place))
            x.append(inverse(probes.sources @ driven[k].conj()))
            y.append(inverse(probes.readings.T @ seen[k].conj(), transposed=True))
        return Guesses(omega, *(self.pattern.reordered(np.stack(part)) for part in (x, y)))

    def _with_partners(self, modes: Iterated, guesses: Guesses) -> Iterated:
        """With guesses that are further fields of modes known, at the same ω: iterations of each by itself lead to
        fields known, and these are kept out, by yᵀ M′ x = 0."""
        for guess, *vectors in zip(*guesses, strict=True):
            away = np.abs(modes.omega - guess)
            if np.min(away, initial=np.inf) > BESIDE * self.disc.radius:
                continue
            omega = modes.omega[np.argmin(away)]
            right, left = (part[modes.at(omega)][:, self.pattern.order].T for part in (modes.x, modes.y))
            inverse = Inverse(self.pattern, self.entries(omega * (1 + ASIDE)))
            slope, matrix = (self.pattern.matrix(part(omega)) for part in (self.slopes, self.entries))
            x, y = (part[self.pattern.order] for part in vectors)
            for _ in range(3):
                x, y = inverse(slope @ x), inverse(slope.T @ y, transposed=True)
                x = x - right @ (left.T @ (slope @ x))
                y = y - left @ (right.T @ (slope.T @ y))
                x = x / np.linalg.norm(x)
                y = y / (y @ (slope @ x))
            change = -(y @ (matrix @ x))
            if abs(change) <= EQUAL * abs(omega):
                right, left = self.pattern.reordered(x)[None], self.pattern.reordered(y)[None]
                resolved = np.array([self.currents.resolved(x, y)])
                modes = modes.and_these(Iterated(np.array([omega + change]), right, left, resolved))
        return modes

    def _explained(self, modes: Iterated, probes: Probes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ξ, fields in the order of the matrix, and how strongly currents drive them."""
        x, y = modes.x[:, self.pattern.order], modes.y[:, self.pattern.order]
        return self.disc.within(modes.omega), x, y @ probes.sources / self.disc.radius

    def _moments(self, probes: Probes, known: Moments | None) -> Moments | None:
        """From the first nodes, or from three times as many as are known; None where the time runs out."""
        nodes, first, second = NODES, np.zeros_like(probes.sources, complex), np.zeros_like(probes.sources, complex)
        if known is not None:
            nodes, first, second = 3 * known.nodes, known.first / 3, known.second / 3
        xi = self.disc.nodes(nodes, again=known is not None)
        for done, node in enumerate(xi, start=1):
            if time.monotonic() > self.end:
                return None
            part = Inverse(self.pattern, self.entries(self.disc.at(node)))(probes.sources) * node / nodes
            first, second = first + part, second + node * part
            self.bar.show(done, f"of {len(xi)} nodes around the disc")
        return Moments(first, second, nodes)
