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

from diffnr.compilation import compiled
from diffnr.continuation import turning
from diffnr.duffing.branch import OrbitBranch, read_off
from diffnr.duffing.course import Course, arrived, both_ways, joined, scale_of
from diffnr.duffing.driven import DrivenOscillators, balance, balance_at, linearise, linearise_whole
from diffnr.duffing.find_orbits import orbits_beside
from diffnr.results import RESULTS
from diffnr.root import newton

SAME = 1e-6  # of the size: two orbits at a frequency nearer than this are one
PLACES = 9  # frequencies at which isolated branches are looked for
STARTS = 32  # of each search, and as many about wells
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
        known, there = _at(driven, begun.course, omega)
        apart = jnp.where(there, jnp.linalg.norm(known - y, axis=1), jnp.inf)
        if float(jnp.min(apart)) <= SAME * float(jnp.linalg.norm(y)):
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
    for k in range(PLACES):
        omega = jnp.asarray(low + (high - low) * (k + 0.5) / PLACES)
        known, there = _at(driven, begun.course, omega)
        tone = omega, driven.amplitude, driven.forcing
        found, new = orbits_beside(driven.model, *tone, known, there, jax.random.key(k), STARTS)
        seen = int(begun.course.count)
        for y in found[np.flatnonzero(new)]:
            begun = with_piece(begun, y, omega)
        begun = with_side_branches(begun, seen)
        show(len(begun.ends))
    branch = _read_off(driven, begun.course, (), bounds[0], begun.result, begun.complete, max_folds)
    return dataclasses.replace(branch, ends=begun.ends)


@compiled
def _at(
    driven: DrivenOscillators, course: Course, omega: Array
) -> tuple[Float[Array, "orbit n"], Bool[Array, " orbit"]]:
    """Coefficients of the orbits of a course at ω, and which there are."""
    below = course.parameter - omega
    passed = (below[:-1] * below[1:] <= 0) & (below[1:] != 0) & _within(course)
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
        args = driven, y, across, size_
        found = newton(_apart, jnp.append(y + size_ * across, omega), args).value
        return found[:-1], found[-1]

    y, omega = lax.map(aside, first)
    return y, omega, (first >= 0) & jnp.isfinite(omega)


def _apart(u: Array, args: tuple[DrivenOscillators, Array, Array, Array]) -> Array:
    """F(y, λ) and φ · (y − y*) − ε."""
    driven, y, across, size = args
    return jnp.append(balance(u[:-1], u[-1], driven), across @ (u[:-1] - y) - size)


_scale = compiled(scale_of)
_joined = compiled(joined)
_read_off = compiled(read_off)
_both_ways = compiled(both_ways)
