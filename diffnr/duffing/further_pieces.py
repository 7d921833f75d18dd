"""Further pieces of a response: those that branch off from pieces that are known, and isolated ones.

Where the determinant of ∂F/∂y changes its sign along a piece that does not turn back, others branch off: of orbits
that break a symmetry of the forces, say. Each is begun a little aside, at y* + εφ with φ the null vector,

    F(y, λ) = 0,    φ · (y − y*) = ε

and followed both ways. What is connected in no such way is found by searches at several frequencies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from diffnr.compilation import compiled
from diffnr.continuation import turning
from diffnr.duffing.branch import OrbitBranch, read_off
from diffnr.duffing.course import Course, arrived, both_ways, joined, scale_of
from diffnr.duffing.driven import DrivenOscillators, balance, balance_at, linearise, linearise_whole
from diffnr.duffing.find_orbits import of_few, orbits_beside, padded, starts_at
from diffnr.duffing.forcing import Forcing
from diffnr.duffing.harmonic_balance import forcing
from diffnr.duffing.harmonic_balance import linearise as linearise_orbit
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.duffing.starts import balances
from diffnr.results import RESULTS
from diffnr.root import damped, frozen, newton, tolerance_of

SAME = 1e-6  # of the size: two orbits at a frequency nearer than this are one
PLACES = 11  # frequencies at which isolated branches are looked for: the bounds, and the middles of parts of the range
STARTS, LARGE = 64, 128  # of each search, and fewer where orbits have more coefficients than so many, but some
FEWEST = 8
FREE = 7  # in as many parts the phase is held instead of the frequency
LINES = 4  # between points of pieces, nearest to an orbit, on which it may be
CHUNK = 16  # orbits refined at once
NEARBY, BEND = (
    3e-3,
    0.05,
)  # of the size, and of lines between points: what is so near to one is taken to be on its piece
MOST = 32  # further pieces, at most
KNOWN = 32  # orbits at one frequency, at most: of each branch as many as it has folds there, and one more
BRANCHINGS = 16  # that are looked at along what a search has added, at most
LARGER = 10  # than the orbit a piece begins with, what counts like half of the lowest resonance's frequency
ASIDE = 0.02  # ε, of the orbit's size


class Begun(eqx.Module):
    """A course, how each of its pieces ended, and what is said of all of them."""

    course: Course
    ends: tuple[Any, ...]
    result: Any
    complete: Bool[Array, ""]


def of_shares(driven: DrivenOscillators) -> DrivenOscillators:
    """The same, of which the driven oscillator is a number and no constant, so that all of them share one program."""
    if driven.port is None:
        return driven
    share = jnp.zeros(driven.model.num_ports).at[driven.port].set(1.0)
    return dataclasses.replace(driven, port=None, share=share)


class Search:
    """What has begun, and what is found beside it; not inside of a transformation."""

    def __init__(self, driven: DrivenOscillators, begun: Begun, bounds: tuple[Array, Array], max_points: int):
        self.driven, self.begun, self.bounds, self.max_points = of_shares(driven), begun, bounds, max_points
        self.spacing: Array | None = None  # of frequencies at which all was looked for

    @property
    def tone(self) -> tuple[Array, Forcing]:
        """What of the force does not change."""
        return self.driven.amplitude, self.driven.forcing

    def add(self, y: Array, omega: Array) -> None:
        """Follow the piece through an orbit, if that is new."""
        begun = self.begun
        if bool(_passes(self.driven, begun.course, y, omega)):
            return
        if len(begun.ends) >= 2 + MOST:  # there may be more
            self.begun = Begun(begun.course, begun.ends, RESULTS.more_orbits, jnp.zeros_like(begun.complete))
            return
        # The linear peak may be far beyond what springs allow, and steps measured by it too long for this orbit.
        scale = _scale(self.driven, *self.bounds)
        size = jnp.minimum(scale[0], LARGER * jnp.linalg.norm(y)), scale[1]
        branch = _both_ways(linearise, y, omega, self.bounds, self.driven, size, self.max_points)
        full = int(begun.course.count + branch.count) > self.max_points
        end = RESULTS.out_of_points if full else branch.result
        self.begun = Begun(
            _joined(begun.course, branch, jnp.asarray(len(begun.ends)), self.max_points),
            (*begun.ends, end),
            RESULTS.where(arrived(begun.result), end, begun.result),
            begun.complete & arrived(end),
        )

    def add_side_branches(self, seen: int) -> None:
        """What branches off from points beyond the first `seen`, and from that again."""
        low, high = self.bounds
        while seen < int(self.begun.course.count):
            y, omega, valid = _beside(self.driven, self.begun.course, jnp.asarray(seen))
            seen = int(self.begun.course.count)
            for k in np.flatnonzero(valid & (omega >= low) & (omega <= high)):
                self.add(y[k], omega[k])

    def add_all(self, orbits: Iterable[tuple[Any, Any]]) -> None:
        """The pieces through orbits (y, ω), and what branches off."""
        seen = int(self.begun.course.count)
        for y, omega in orbits:
            self.add(jnp.asarray(y), jnp.asarray(omega))
        self.add_side_branches(seen)

    def at_bounds(self) -> None:
        """Where at a bound a linear mode alone would have several responses, the pieces through what they lead to."""
        every = balances(self.driven.model, jnp.stack(self.bounds), *self.tone)
        for omega, found in zip(self.bounds, every, strict=True):
            if found:
                y = _refined(self.driven, omega, _fundamentals(self.driven.model, found))
                self.add_all((row, omega) for row in y if np.all(np.isfinite(row)))

    def everywhere(self, show: Callable[[int], None]) -> None:
        """What branches off, and all that searches find at several frequencies and at several phases."""
        self.add_side_branches(0)
        low, high = (float(bound) for bound in self.bounds)
        (amplitude, force), model, inner = self.tone, self.driven.model, PLACES - 2
        starts = max(FEWEST, min(STARTS, STARTS * LARGE // (model.num_ports * model.basis.size)))
        self.spacing = jnp.asarray((high - low) / inner)
        for k, share in enumerate([0.0, 1.0, *((np.arange(inner) + 0.5) / inner)]):
            omega = jnp.asarray(low + (high - low) * share)
            known, there = _at(self.driven, self.begun.course, omega)
            guesses = _starts_at(model, omega, amplitude, force, starts, jax.random.key(k))
            found, new = orbits_beside(guesses, model, omega, amplitude, force, known, there)
            self.add_all((y, omega) for y in found[np.flatnonzero(new)])
            show(len(self.begun.ends))
        for k in range(FREE):
            omega = jnp.asarray(low + (high - low) * (k + 0.5) / FREE)
            guesses = _starts_at(model, omega, amplitude, force, starts, jax.random.key(PLACES + k))
            self.add_all(_of_free_frequency(self.driven, self.begun.course, guesses, omega, (low, high)))
            show(len(self.begun.ends))

    def read_off(self, given: DrivenOscillators, max_folds: int) -> OrbitBranch:
        """The branch of all that there is, of oscillators as they were given."""
        begun = self.begun
        branch = _read_off(self.driven, begun.course, (), self.bounds[0], begun.result, begun.complete, max_folds)
        return dataclasses.replace(branch, ends=begun.ends, driven=given, spacing=self.spacing)


def _fundamentals(model: AbstractOscillators, found: list[np.ndarray]) -> Float[Array, "start n"]:
    """Coefficients of motions of the drive's frequency alone, of phasors [n]; so many to a program."""
    basis, size = model.basis, -(-len(found) // CHUNK) * CHUNK
    X = np.full((size, model.num_ports, len(basis.harmonics)), np.nan, complex)
    X[: len(found)] = 0.0
    X[: len(found), :, basis.harmonics.index(1)] = found
    return jax.vmap(basis.coefficients)(jnp.asarray(X)).reshape(size, -1)


@compiled
def _refined(driven: DrivenOscillators, omega: Array, y: Array) -> Array:
    """Orbits at ω by Newton's method; NaN where there is none."""
    return lax.map(lambda y: newton(balance_at, y, (driven, omega), max_steps=30).value, y)


def _of_free_frequency(
    driven: DrivenOscillators, course: Course, guesses: Array, omega: Array, bounds: tuple[float, float]
) -> list[tuple[np.ndarray, float]]:
    """Orbits of any frequency within the bounds, with the phase of their start: a narrow isola too has all phases."""

    def new(u: np.ndarray, found: np.ndarray) -> np.ndarray:
        found = found & (u[:, -1] >= bounds[0]) & (u[:, -1] <= bounds[1])
        found[found] = _off(course, padded(u[found, :-1], driven.model), u[found, -1])
        return np.flatnonzero(found)

    few = eqx.tree_at(lambda driven: driven.model, driven, of_few(driven.model))
    u, found = (np.array(x) for x in _held(few, guesses, jnp.broadcast_to(omega, len(guesses)), guesses))
    within, orbits = new(u, found), []
    for k in range(0, len(within), CHUNK):
        chosen = np.resize(within[k : k + CHUNK], CHUNK)
        y, starts = padded(u[chosen, :-1], driven.model), padded(guesses[chosen], driven.model)
        some, good = (np.array(x)[: len(within) - k] for x in _held(driven, y, u[chosen, -1], starts))
        orbits += [(row[:-1], float(row[-1])) for row in some[new(some, good)]]
    return orbits


@compiled
def _held(driven: DrivenOscillators, y: Array, omega: Array, starts: Array) -> tuple[Array, Array]:
    """[y, ω] of F(y, ω) = 0 and ẏ₀ · y = 0 from each guess, with y₀ from `starts`, and which were found."""
    model = driven.model
    derivative = jnp.asarray(model.basis.derivative, y.dtype)

    def solve(job: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        y, omega, start = job
        row = (start.reshape(model.num_ports, -1) @ derivative.T).ravel()
        row = row / jnp.linalg.norm(row)
        size = jnp.append(jnp.full_like(y, jnp.linalg.norm(start)), omega)

        def direction(u: Array) -> tuple[Array, Array]:
            y, omega = u[:-1] * size[:-1], u[-1] * size[-1]
            args = frozen((model, forcing(model, driven.forcing, driven.amplitude, omega)))
            f, jacobian, slope = linearise_orbit(y, omega, args)
            whole = jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1), jnp.append(row, 0.0)[None]])
            f = jnp.append(f, row @ y)
            return f, -jnp.linalg.solve(whole * size, f)

        guess = jnp.append(y, omega) / size
        u, result, _, _ = damped(direction, guess, tolerance_of(guess), 30)
        return u * size, result == RESULTS.successful

    return lax.map(solve, (y, omega, starts))


def _off(course: Course, y: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """Which orbits [orbit, n·m] no piece passes nearby, between its points by straight lines."""
    ys, values, within = np.asarray(course.y), np.asarray(course.parameter), np.asarray(_within(course))
    off = np.ones(len(y), bool)
    for k, row in enumerate(y):
        below = values - omega[k]
        passed = np.flatnonzero(within & (below[:-1] * below[1:] <= 0) & (below[:-1] != below[1:]))
        share = (below[passed] / (below[passed] - below[passed + 1]))[:, None]
        line = ys[passed + 1] - ys[passed]
        apart = np.linalg.norm(ys[passed] + share * line - row, axis=1) - BEND * np.linalg.norm(line, axis=1)
        off[k] = np.min(apart, initial=np.inf) > NEARBY * np.linalg.norm(row)
    return off


@compiled
def _at(
    driven: DrivenOscillators, course: Course, omega: Array
) -> tuple[Float[Array, "orbit n"], Bool[Array, " orbit"]]:
    """Coefficients of the orbits of a course at ω, and which there are."""
    below = course.parameter - omega
    below = jnp.where(jnp.abs(below) <= SAME * omega * SAME, 0.0, below)  # a bound is reached to round-off
    within = _within(course)
    last = jnp.append(~within[1:], True)  # whose end no other interval begins with
    passed = (below[:-1] * below[1:] <= 0) & ((below[1:] != 0) | (last & (below[:-1] != 0))) & within
    first = jnp.nonzero(passed, size=KNOWN, fill_value=-1)[0]
    share = below[first] / (below[first] - below[first + 1])
    guess = course.y[first] * (1 - share)[:, None] + course.y[first + 1] * share[:, None]
    guess = jnp.where((first >= 0)[:, None], guess, jnp.nan)
    y = lax.map(lambda y: newton(balance_at, y, (driven, omega), max_steps=20).value, guess)
    there = jnp.all(jnp.isfinite(y), axis=1)
    return jnp.where(there[:, None], y, 0.0), there


def _within(course: Course) -> Bool[Array, " interval"]:
    """Between which neighbouring points a piece goes on."""
    return (course.piece[1:] == course.piece[:-1]) & (jnp.arange(1, course.parameter.size) < course.count)


@compiled
def _beside(driven: DrivenOscillators, course: Course, seen: Array) -> tuple[Array, Array, Array]:
    """Orbits a little aside of where others branch off from a course beyond the first `seen` points: coefficients
    [branching, n·m], ω [branching], and which there are."""

    def determinant(point: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        y, omega, wanted = point
        none = jnp.ones((), y.dtype), jnp.zeros((), y.dtype)
        return lax.cond(wanted, lambda: tuple(jnp.linalg.slogdet(linearise_whole(y, omega, driven)[1])), lambda: none)

    places = jnp.arange(course.parameter.size)
    wanted = (places >= seen) & (places < course.count)
    sign, size = lax.map(determinant, (course.y, course.parameter, wanted))
    at = (sign[1:] != sign[:-1]) & _within(course) & ~turning(course.slope) & (places[:-1] >= seen)
    first = jnp.nonzero(at, size=BRANCHINGS, fill_value=-1)[0]

    def aside(k: Array) -> tuple[Array, Array]:
        ratio = jnp.exp(size[k + 1] - size[k])  # of the two determinants' sizes
        share = 1 / (1 + ratio)
        u = jnp.append(course.y[k], course.parameter[k]) * (1 - share)
        u = u + share * jnp.append(course.y[k + 1], course.parameter[k + 1])
        y, omega = u[:-1], u[-1]
        _, _, rows = jnp.linalg.svd(linearise_whole(y, omega, driven)[1])
        across, size_ = rows[-1], ASIDE * jnp.linalg.norm(y)
        args = driven, jnp.append(across, 0.0), across @ y + size_
        found = newton(_across, jnp.append(y + size_ * across, omega), args).value
        return found[:-1], found[-1]

    y, omega = lax.map(aside, first)
    return y, omega, (first >= 0) & jnp.isfinite(omega)


@compiled
def _passes(driven: DrivenOscillators, course: Course, y: Array, omega: Array) -> Bool[Array, ""]:
    """Whether a course goes through an orbit: from the nearest lines between its points Newton's method leads to it,
    across them, since beside a fold it need not at one frequency."""
    size = jnp.append(jnp.full_like(y, jnp.linalg.norm(y)), omega)
    u = jnp.append(y, omega) / size
    points = jnp.concatenate([course.y, course.parameter[:, None]], axis=1) / size
    begin, along = points[:-1], jnp.diff(points, axis=0)
    length = jnp.linalg.norm(along, axis=1)
    row = along / jnp.where(length > 0, length, 1.0)[:, None]
    foot = begin + row * jnp.clip(jnp.sum((u - begin) * row, axis=1), 0.0, length)[:, None]
    gap = jnp.where(_within(course), jnp.linalg.norm(foot - u, axis=1), jnp.inf)

    def leads(k: Array) -> Array:
        args = driven, row[k] / size, row[k] @ u
        found = newton(_across, foot[k] * size, args, max_steps=20).value / size
        return jnp.linalg.norm(found - u) <= SAME

    gaps, nearest = lax.top_k(-gap, LINES)
    return jnp.any(lax.map(leads, nearest) & jnp.isfinite(gaps))


def _across(u: Array, args: tuple[DrivenOscillators, Array, Array]) -> Array:
    """F(y, λ) and row · [y, λ] − target."""
    driven, row, target = args
    return jnp.append(balance(u[:-1], u[-1], driven), row @ u - target)


_starts_at = compiled(starts_at)
_scale = compiled(scale_of)
_joined = compiled(joined)
_read_off = compiled(read_off)
_both_ways = compiled(both_ways)
