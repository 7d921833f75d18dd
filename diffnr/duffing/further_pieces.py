"""Further pieces of a response: those that branch off from pieces that are known, and isolated ones.

Where the determinant of ∂F/∂y changes its sign along a piece that does not turn back, others branch off: of orbits
that break a symmetry of the forces, say. Each is begun a little aside, at y* + εφ with φ the null vector,

    F(y, λ) = 0,    φ · (y − y*) = ε

and followed both ways. What is connected in no such way is found by searches at several frequencies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from diffnr.continuation import turning
from diffnr.duffing.branch import OrbitBranch, read_off
from diffnr.duffing.course import Course, arrived, both_ways, joined, scale_of
from diffnr.duffing.driven import DrivenOscillators, balance, balance_at, linearise, linearise_whole
from diffnr.duffing.find_orbits import of_few, orbits_beside, padded, starts_at
from diffnr.duffing.harmonic_balance import forcing
from diffnr.duffing.harmonic_balance import linearise as linearise_orbit
from diffnr.results import RESULTS
from diffnr.root import damped, frozen, newton, tolerance_of

SAME = 1e-6  # of the size: two orbits at a frequency nearer than this are one
PLACES = 11  # frequencies at which isolated branches are looked for: the bounds, and the middles of parts of the range
STARTS = 64  # of each search
FREE = 7  # in as many parts the phase is held instead of the frequency
LINES = 4  # between points of pieces, nearest to an orbit, on which it may be
CHUNK = 16  # orbits refined at once
NEARBY = 3e-3  # of the size: what is so near to the lines between points of a piece is taken for a point of it
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


def with_further_pieces(
    driven: DrivenOscillators,
    begun: Begun,
    bounds: tuple[Array, Array],
    max_points: int,
    max_folds: int,
    show: Callable[[int], None],
) -> OrbitBranch:
    """The branch of what has begun and of all that is found beside it; not inside of a transformation."""
    low, high = (float(bound) for bound in bounds)
    scale = _scale(driven, *bounds)

    def with_piece(begun: Begun, y: Array, omega: Array) -> Begun:
        """The same with the piece through an orbit, if that is new."""
        if bool(_passes(driven, begun.course, y, omega)):
            return begun
        if len(begun.ends) >= 2 + MOST:  # there may be more
            return Begun(begun.course, begun.ends, RESULTS.more_orbits, jnp.zeros_like(begun.complete))
        # The linear peak may be far beyond what springs allow, and steps measured by it too long for this orbit.
        size = jnp.minimum(scale[0], LARGER * jnp.linalg.norm(y)), scale[1]
        branch = _both_ways(linearise, y, omega, bounds, driven, size, max_points)
        full = int(begun.course.count + branch.count) > max_points
        end = RESULTS.out_of_points if full else branch.result
        return Begun(
            _joined(begun.course, branch, jnp.asarray(len(begun.ends)), max_points),
            (*begun.ends, branch.result),
            RESULTS.where(arrived(begun.result), end, begun.result),
            begun.complete & arrived(end),
        )

    def with_side_branches(begun: Begun, seen: int) -> Begun:
        """The same with what branches off from points beyond the first `seen`, and from that again."""
        while seen < int(begun.course.count):
            y, omega, valid = _beside(driven, begun.course, jnp.asarray(seen))
            seen = int(begun.course.count)
            for k in np.flatnonzero(valid & (omega >= low) & (omega <= high)):
                begun = with_piece(begun, y[k], omega[k])
        return begun

    begun = with_side_branches(begun, 0)
    for k, share in enumerate(_shares()):
        omega = jnp.asarray(low + (high - low) * share)
        known, there = _at(driven, begun.course, omega)
        tone = driven.model, omega, driven.amplitude, driven.forcing
        found, new = orbits_beside(_starts_at(*tone, STARTS, jax.random.key(k)), *tone, known, there)
        seen = int(begun.course.count)
        for y in found[np.flatnonzero(new)]:
            begun = with_piece(begun, y, omega)
        begun = with_side_branches(begun, seen)
        show(len(begun.ends))
    for k in range(FREE):
        omega = jnp.asarray(low + (high - low) * (k + 0.5) / FREE)
        guesses = _starts_at(driven.model, omega, driven.amplitude, driven.forcing, STARTS, jax.random.key(PLACES + k))
        seen = int(begun.course.count)
        for y, value in _of_free_frequency(driven, guesses, omega, (low, high)):
            if _off(begun.course, y, value):
                begun = with_piece(begun, jnp.asarray(y), jnp.asarray(value))
        begun = with_side_branches(begun, seen)
    branch = _read_off(driven, begun.course, (), bounds[0], begun.result, begun.complete, max_folds)
    return dataclasses.replace(branch, ends=begun.ends)


def _shares() -> np.ndarray:
    """Where of the range searches are, of its length."""
    inner = PLACES - 2
    return np.concatenate([[0.0, 1.0], (np.arange(inner) + 0.5) / inner])


def _of_free_frequency(
    driven: DrivenOscillators, guesses: Array, omega: Array, bounds: tuple[float, float]
) -> list[tuple[np.ndarray, float]]:
    """Orbits of any frequency within the bounds, with the phase of their start: a narrow isola too has all phases."""
    few = eqx.tree_at(lambda driven: driven.model, driven, of_few(driven.model))
    u, found = _held(few, guesses, jnp.broadcast_to(omega, len(guesses)), guesses)
    within = np.flatnonzero(found & (u[:, -1] >= bounds[0]) & (u[:, -1] <= bounds[1]))
    orbits = []
    for k in range(0, len(within), CHUNK):
        chosen = np.resize(within[k : k + CHUNK], CHUNK)
        y, starts = padded(u[chosen, :-1], driven.model), padded(guesses[chosen], driven.model)
        some, good = (np.asarray(x)[: len(within) - k] for x in _held(driven, y, u[chosen, -1], starts))
        good = good & (some[:, -1] >= bounds[0]) & (some[:, -1] <= bounds[1])
        orbits += [(row[:-1], float(row[-1])) for row in some[good]]
    return orbits


@eqx.filter_jit
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


def _off(course: Course, y: np.ndarray, omega: float) -> bool:
    """Whether no piece passes nearby, between its points by straight lines."""
    ys, values, within = np.asarray(course.y), np.asarray(course.parameter), np.asarray(_within(course))
    below = values - omega
    passed = np.flatnonzero(within & (below[:-1] * below[1:] <= 0) & (below[:-1] != below[1:]))
    share = (below[passed] / (below[passed] - below[passed + 1]))[:, None]
    apart = np.linalg.norm(ys[passed] * (1 - share) + ys[passed + 1] * share - y, axis=1)
    return bool(np.min(apart, initial=np.inf) > NEARBY * np.linalg.norm(y))


@eqx.filter_jit
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


@eqx.filter_jit
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


@eqx.filter_jit
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


_starts_at = eqx.filter_jit(starts_at)
_scale = eqx.filter_jit(scale_of)
_joined = eqx.filter_jit(joined)
_read_off = eqx.filter_jit(read_off)
_both_ways = eqx.filter_jit(both_ways)
