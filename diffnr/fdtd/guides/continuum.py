"""The waves that a guide has beyond its cells: what stands across it, solved as a continuum, in both directions.

    (η_xx H′ + ik η_xy H)′ + ik (η_yx H′ + ik η_yy H) + k0² H = 0,      η = ε⁻¹,      (k² M + k C + K) H = 0

by spectral elements that are finer towards faces, where surface waves fall off. Of waves too short for these only the
two media at a face matter, Hz ∝ e^{−|k||y|}, and k obeys a quadratic equation: near the top of a surface wave's band k
has no bound. The lattice's waves are held against these: the difference is their error, and what has no partner is not
resolved by the cells.

Sponges make ω complex, ω − iη(y); matched layers make y complex.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.optimize import linear_sum_assignment

from diffnr.fdtd.scene.media import IMPEDANCE, LIGHT
from diffnr.fdtd.scene.scene import Scene
from diffnr.root import frozen

SURVIVES = 2 * np.pi  # of a propagating wave: it falls by less than e in a wavelength, |Im k| < |Re k|/2π
WITHIN = 0.1  # of k (of k0 where that is more) is what a wave of the lattice may err by
ORDER = 8  # of an element's polynomials
FINEST = 6.0  # |k| times the cell at a face, up to which elements hold a surface wave; beyond, its face alone does
PHASE = 2.5  # of a wave across an element, at the most
MOST = 24  # elements of a layer
SMOOTH = 5  # cells in a row that all differ
LARGER = 5.0  # times the steps beside it is one that parts two media


class Profile(NamedTuple):
    """What stands across a guide: lines, and of cells ε∞, ε∞ω_p², the carriers' motion, metal and its (R, L), the share
    that perfect conductors leave; at which lines these part two cells; the loss of sponges and the stretching of y of
    matched layers, at lines and centres in turn; a Bloch period's factor or None. Of JAX's arrays, or numpy's."""

    y: Any
    eps: Any
    weight: Any
    motion: Any
    metal: Any
    sheets: Any
    free: Any
    parted: Any
    loss: Any
    stretch: Any
    phase: Any

    def walls(self, first: int, last: int) -> tuple[float, float]:
        """Where the first and the last of cells between metal end: within, where metal takes a part of them."""
        (low, high), taken = self.y[[first, last]], (1 - self.free) * np.diff(self.y)
        return (low if last == first + 1 else low + taken[first]), high - taken[last - 1]

    def repeats(self, first: int, last: int) -> bool:
        """Whether these cells are a whole period."""
        return self.phase is not None and first == 0 and last == self.eps.size and not self.parted[0]


def profile_of(scene: Scene, column: int, omega: Array) -> Profile:
    """Of a column of a scene that is uniform along x."""
    y, shape = scene.grid.y, scene.grid.shape
    across = lambda cells: jnp.broadcast_to(cells, shape)[column]  # noqa: E731
    losses, bloch = scene.boundaries.losses(scene.grid.x, y), scene.boundaries.bloch[1]
    loss = jnp.zeros(2 * y.size - 1, y.dtype)
    if losses is not None and losses.y is not None:
        loss = loss.at[1::2].set(losses.y[0]).at[::2].set(losses.y[1])
    points = jnp.zeros_like(loss).at[::2].set(y).at[1::2].set((y[1:] + y[:-1]) / 2)
    stretch = jnp.ones_like(loss) + 0j
    for side, layer in scene.boundaries.matched():
        if side in ("bottom", "top"):
            face, wall = (y[layer.cells], y[0]) if side == "bottom" else (y[-1 - layer.cells], y[-1])
            depth = (points - face) * jnp.sign(wall - face)
            kappa, sigma, alpha = layer.rates(depth, jnp.abs(wall - face))
            inside = depth > 0
            stretch = jnp.where(inside, kappa + jnp.where(inside, sigma, 0) / (alpha + 1j * omega), stretch)
    eps, weight, motion, metal = map(across, (scene.eps, scene.drude_weight, scene.motion, scene.metal))
    phase = None if bloch is None else jnp.asarray(bloch.phase(y[-1] - y[0]), complex)
    free, parted = jnp.ones_like(eps), jnp.zeros(y.size, bool)
    if scene.free:
        free, parted = scene.free[0][column], scene.free[1][column] == 0
    return Profile(y, eps, weight, motion, metal, tuple(map(across, scene.sheets)), free, parted, loss, stretch, phase)


def compared(profile: Profile, omega: Array, k: Array, directions: Array, valid: Array) -> tuple[Array, Array, Array]:
    """How the lattice's waves k [wave] of `directions` (±1) stand to those of the continuum, without derivatives.

    **Returns:** `error` [wave], |k − that of its partner|, infinite where there is none; `missing` [2, wave], k of what
    the continuum guide has to +x and to −x and the lattice has not, by falling |k|; `counts` [2], of these.
    """
    kind = k.real.dtype
    like = (
        jax.ShapeDtypeStruct(k.shape, kind),
        jax.ShapeDtypeStruct((2, k.size), k.dtype),
        jax.ShapeDtypeStruct((2,), jnp.int32),
    )
    given = frozen((profile, omega, k, directions, valid))
    return jax.pure_callback(functools.partial(_compared, kind), like, *given, vmap_method="sequential")


def _compared(kind: Any, profile: Profile, omega: Any, k: Any, directions: Any, valid: Any) -> tuple[Any, ...]:
    profile, omega, k = jax.tree_util.tree_map(np.asarray, profile), float(omega), np.asarray(k, complex)
    directions, valid = np.asarray(directions), np.asarray(valid)
    error, counts = np.full(k.shape, np.inf), np.zeros(2, np.int32)
    missing = np.full((2, k.size), np.nan, complex)
    whole = omega > 0 and all(np.all(np.isfinite(part)) for part in jax.tree_util.tree_leaves((profile, omega)))
    waves, flux = continuum_waves(profile, omega) if whole else (np.zeros(0, complex), np.zeros(0))
    for row, direction in enumerate((1, -1)):
        ours, theirs = np.flatnonzero(valid & (directions == direction)), waves[flux == direction]
        size = np.maximum(np.abs(theirs), omega / LIGHT)
        far = np.abs(k[ours, None] - theirs) / size
        one, other = linear_sum_assignment(np.minimum(far, 10 * WITHIN))
        fits = far[one, other] < WITHIN
        one, other = one[fits], other[fits]
        error[ours[one]] = np.abs(k[ours[one]] - theirs[other])
        # What just falls by e in a wavelength may be no wave on the lattice.
        lasts = SURVIVES * np.abs(np.imag(theirs)) * (1 + WITHIN) < np.abs(np.real(theirs))
        alone = np.setdiff1d(np.flatnonzero(lasts), other)
        # Of more waves than were asked for these are the longer ones.
        if one.size == np.sum(directions == direction):
            alone = alone[np.abs(theirs[alone]) > np.min(np.abs(k[ours]))]
        counts[row], first = alone.size, theirs[alone][: k.size]
        missing[row, : first.size] = first
    return error.astype(kind), missing.astype(np.result_type(kind, np.complex64)), counts


def continuum_waves(profile: Profile, omega: float) -> tuple[np.ndarray, np.ndarray]:
    """(k [wave], the directions ±1 in which their power goes), by falling |k|, of numpy's arrays."""
    ks, signs = [np.zeros(0, complex)], [np.zeros(0)]
    for low, high in _open_parts(profile):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found, sign, limit = _between(profile, low, high, omega)
            short = _at_faces(profile, low, high, omega)
        short = short[np.abs(short) > limit]
        both = found[np.abs(found) < 1.1 * limit], sign[np.abs(found) < 1.1 * limit]
        # Both know a wave about the limit.
        new = np.array([not np.any(np.abs(both[0] - k) < 0.05 * np.abs(k)) for k in short], bool)
        ks += [both[0], short[new]]
        signs += [both[1], np.sign(np.real(short[new]))]
    k, sign = np.concatenate(ks), np.concatenate(signs)
    order = np.argsort(-np.abs(np.real(k)))
    return k[order], sign[order]


def _open_parts(profile: Profile) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of cells that no metal parts."""
    free = np.concatenate([[False], ~profile.metal, [False]])
    parted = profile.parted | ~free[:-1] | ~free[1:]
    first, last = np.flatnonzero(parted & free[1:]), np.flatnonzero(parted & free[:-1])
    yield from zip(first.tolist(), last.tolist(), strict=True)


class _Layer(NamedTuple):
    """A piece between faces: its ends, sizes of the cells there, and its cells."""

    low: float
    high: float
    ends: tuple[float, float]
    cells: slice


def _layers(profile: Profile, first: int, last: int) -> list[_Layer]:
    """Runs of equal cells; several cells that all differ are one piece, whose media change smoothly, and one cell that
    is a mean of the layers beside it is a face within it."""
    media = np.stack([profile.eps, profile.weight, profile.motion.real, profile.motion.imag])[:, first:last]
    media[2:] *= profile.weight[first:last] > 0
    size = np.max(np.abs(media), axis=1, keepdims=True) + 1e-300
    steps = np.max(np.abs(np.diff(media)) / size, axis=0)
    changes = steps > 1e-9
    # Also between media that change smoothly on both sides there may be a face: a step by far larger than those beside.
    beside = np.maximum(np.append(0.0, steps[:-1]), np.append(steps[1:], 0.0))
    faces_within = steps > LARGER * beside
    starts = [0, *(np.flatnonzero(changes) + 1).tolist(), last - first]
    singles = np.diff(starts) == 1
    runs: list[list[int]] = []
    for number, (low, high) in enumerate(pairwise(starts)):
        if runs and singles[number] and singles[number - 1] and not faces_within[low - 1]:
            runs[-1][1] = high
        else:
            runs.append([low, high])
    # A few single cells are thin layers; more are a medium that changes smoothly.
    short = [run for run in runs if changes[run[0] : run[1] - 1].any() and run[1] - run[0] < SMOOTH]
    runs = sorted([run for run in runs if run not in short] + [[i, i + 1] for run in short for i in range(*run)])
    y, sizes = profile.y, np.diff(profile.y)
    low, high = profile.walls(first, last)
    faces = [low, *(y[first + start] for start, _ in runs[1:]), high]
    inner = [run for run in runs if run[1] - run[0] > 1]
    for before, run, after in zip(runs, runs[1:], runs[2:], strict=False):
        if run[1] - run[0] == 1 and before in inner and after in inner:
            ends = (media[:2, before[0]], media[:2, after[0]])
            change = (ends[1] - ends[0]) / size[:2, 0]
            share = (media[:2, run[0]] - ends[0]) / size[:2, 0] @ change / (change @ change)
            off = (media[:2, run[0]] - ends[0]) / size[:2, 0] - share * change
            if 0 < share < 1 and np.max(np.abs(off)) < 1e-6:
                at = faces[runs.index(run) + 1] - share * sizes[first + run[0]]
                faces[runs.index(run)] = faces[runs.index(run) + 1] = at
    return [
        _Layer(low, high, (sizes[first + run[0]], sizes[first + run[1] - 1]), slice(first + run[0], first + run[1]))
        for run, low, high in zip(runs, faces[:-1], faces[1:], strict=True)
        if high > low
    ]


def _inverse(profile: Profile, at: np.ndarray | slice, omega: Any, points: Any = None) -> tuple[Any, Any]:
    """(η_xx, η_xy) of cells, at ω; between cells' centres where points are given."""
    centres = (profile.y[1:] + profile.y[:-1])[at] / 2
    read = lambda v: v[at] if points is None else np.interp(points, centres, v[at])  # noqa: E731
    eps, weight, motion = read(profile.eps), read(profile.weight), read(profile.motion)
    one, other = (eps + weight / (1j * omega * (1j * omega - m)) for m in (motion, np.conj(motion)))
    # Along and across, ε_xx = (ε₊ + ε₋)/2 and ε_xy = i(ε₊ − ε₋)/2, whose squares add up to ε₊ε₋.
    return (one + other) / (2 * one * other), -1j * (one - other) / (2 * one * other)


@functools.cache
def _element() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, weights and derivatives of Gauss and Lobatto on [−1, 1]."""
    legendre = np.polynomial.legendre.Legendre.basis(ORDER)
    x = np.concatenate([[-1.0], np.sort(np.real(legendre.deriv().roots())), [1.0]])
    value, apart = legendre(x), x[:, None] - x + np.eye(ORDER + 1)
    slopes = value[:, None] / value / apart * (1 - np.eye(ORDER + 1))
    slopes[0, 0], slopes[-1, -1] = -ORDER * (ORDER + 1) / 4, ORDER * (ORDER + 1) / 4
    return x, 2 / (ORDER * (ORDER + 1) * value**2), slopes


def _split(layer: _Layer, longest: float) -> np.ndarray:
    """Lines of a layer's elements, which grow by four from a cell at its ends."""
    middle = (layer.low + layer.high) / 2
    longest, sides = max(longest, 2 * (middle - layer.low) / MOST), []
    for cell in layer.ends:
        size, rest, steps = min(cell, longest), middle - layer.low, []
        while rest > 1.5 * size:
            steps.append(size)
            rest, size = rest - size, min(4 * size, longest)
        sides.append(np.cumsum([*steps, rest]))
    return np.concatenate([[layer.low], layer.low + sides[0], (layer.high - sides[1])[:-1][::-1], [layer.high]])


def _between(profile: Profile, first: int, last: int, omega: float) -> tuple[np.ndarray, np.ndarray, float]:
    """k and directions of all waves between two walls, or of a period; up to which |k| elements hold them."""
    x, weights, slopes = _element()
    k0, parts, layers = omega / LIGHT, [], _layers(profile, first, last)
    at = np.zeros(2 * profile.y.size - 1)
    at[::2], at[1::2] = profile.y, (profile.y[1:] + profile.y[:-1]) / 2
    for layer in layers:
        eta = _inverse(profile, layer.cells, omega)
        index = np.sqrt(np.max(np.abs(np.concatenate([1 / np.abs(eta[0]), [1.0]]))))
        lines = _split(layer, PHASE / (k0 * index))
        parts += [(low, high, layer.cells) for low, high in pairwise(lines)]
    n = ORDER * len(parts) + 1
    stiff, twist = np.zeros((n, n), complex), np.zeros((n, n), complex)
    mass, rest = np.zeros(n, complex), np.zeros(n, complex)
    for number, (low, high, cells) in enumerate(parts):
        nodes, half = (low + high) / 2 + (high - low) / 2 * x, k0 * (high - low) / 2
        turn = 1 - 1j * np.interp(nodes, at, profile.loss) / omega
        stretch = np.interp(nodes, at, profile.stretch)
        xx, xy = (eta / turn for eta in _inverse(profile, cells, omega * turn, nodes))
        span = slice(ORDER * number, ORDER * number + ORDER + 1)
        stiff[span, span] += slopes.T @ ((weights * xx / (half * stretch))[:, None] * slopes)
        once = (1j * weights * xy)[:, None] * slopes
        twist[span, span] += once + once.T
        mass[span] += weights * half * stretch * xx
        rest[span] += weights * half * stretch * turn
    stiff[np.diag_indices(n)] -= rest
    for end, wall in ((0, _wall(profile, first - 1, omega)), (n - 1, _wall(profile, last, omega))):
        stiff[end, end] += 1j * wall
    if profile.repeats(first, last):
        stiff, twist, mass = _closed(stiff, twist, np.diag(mass), complex(profile.phase))
        mass, n = np.diag(mass), n - 1
    pencil = np.block([[np.zeros((n, n)), np.eye(n)], [-stiff / mass[:, None], -twist / mass[:, None]]])
    finest = min(min(layer.ends) for layer in layers)
    if not np.all(np.isfinite(pencil)):
        return np.zeros(0, complex), np.zeros(0), FINEST / finest
    if np.max(np.abs(pencil.imag)) < 1e-13 * np.max(np.abs(pencil)):
        pencil = pencil.real
    k, waves = np.linalg.eig(pencil)
    lasts = SURVIVES * np.abs(np.imag(k)) < (1 + WITHIN) * np.abs(np.real(k))
    k, waves = k[lasts], waves[:n, lasts]
    flux = np.sum(np.conj(waves) * (2 * k * mass[:, None] * waves + twist @ waves), axis=0).real
    return k * k0, np.sign(flux), FINEST / finest


def _closed(stiff: Any, twist: Any, mass: Any, phase: complex) -> list[np.ndarray]:
    """Of a period: the last value is the first times a factor."""
    n = stiff.shape[0]
    fold = np.eye(n, n - 1, dtype=complex)
    fold[-1, 0] = phase
    return [np.conj(fold).T @ matrix @ fold for matrix in (stiff, twist, mass)]


def _wall(profile: Profile, cell: int, omega: float) -> complex:
    """Z over the vacuum's of the metal in a cell, 0 for perfect conductors, as those at the grid's ends."""
    if not profile.sheets or not 0 <= cell < profile.eps.size:
        return 0j
    return complex(profile.sheets[0][cell] + 1j * omega * profile.sheets[1][cell]) / IMPEDANCE


def _at_faces(profile: Profile, first: int, last: int, omega: float) -> np.ndarray:
    """k of waves at single faces, for |k| large: A κ² + iζ k0 κ − c k0² = 0, κ = |k|.

    A is the sum of 1/ε_v ± i η_xy of both media, c = 1, or with a wall of impedance ζ of one of them, c = ½.
    """
    k0, layers = omega / LIGHT, _layers(profile, first, last)
    turn = lambda line: 1 - 1j * profile.loss[2 * line] / omega  # noqa: E731
    at = lambda cell, line: [complex(v[0]) for v in _inverse(profile, slice(cell, cell + 1), omega * turn(line))]  # noqa: E731
    ends = [(at(layer.cells.start, layer.cells.start), at(layer.cells.stop - 1, layer.cells.stop)) for layer in layers]
    found = []
    for sign in (1, -1):
        up = [low[0] - 1j * sign * low[1] for low, _ in ends]
        down = [high[0] + 1j * sign * high[1] for _, high in ends]
        faces = [(a + b, 0j, 1.0) for a, b in zip(down[:-1], up[1:], strict=True)]
        if profile.repeats(first, last):
            faces.append((down[-1] + up[0], 0j, 1.0))
        else:
            faces.append((up[0], _wall(profile, first - 1, omega), 0.5))
            faces.append((down[-1], _wall(profile, last, omega), 0.5))
        for a, wall, c in faces:
            half = -0.5j * wall * k0
            for root in (1, -1):
                kappa = (half + root * np.sqrt(half**2 + a * c * k0**2 + 0j)) / a
                if kappa.real > 0 and SURVIVES * abs(kappa.imag) < kappa.real:
                    found.append(sign * kappa)
    return np.array(found, complex)
