"""Points traced along branches of orbits, where a branch begins, and what counts alike along it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from diffnr.arclength import Linearise
from diffnr.continuation import Branch, trace
from diffnr.duffing.driven import DrivenOscillators
from diffnr.duffing.harmonic_balance import continued_orbit, orbit_from
from diffnr.duffing.oscillators import AbstractOscillators, linear_frequencies
from diffnr.ports import Drive
from diffnr.results import RESULTS


class Course(eqx.Module):
    """Points that were traced, piece by piece: coefficients [point, n·m], λ and dλ/ds [point], which piece each is on,
    and how many there are."""

    y: Array
    parameter: Array
    slope: Array
    piece: Array
    count: Array

    @classmethod
    def of(cls, branch: Branch) -> Course:
        """The course of one piece."""
        piece = jnp.zeros(branch.parameter.size, int)
        return cls(branch.y, branch.parameter, branch.slope, piece, branch.count)


def first_orbit(driven: DrivenOscillators, low: Array, start: Array | None) -> tuple[Array, Array, Any]:
    """Coefficients of the first orbit, NaN if there is none, the parameter there, and why there is none.

    Where other orbits branch off as the force is raised, which of them is meant is not determined; a branch may begin
    with any, and begins with the one of the force's own symmetry."""
    basis = driven.model.basis
    if start is None:
        begin = low
        there = driven.at(low)
        b, result = continued_orbit(there.model, Drive(there.omega, there.amplitude), there.forcing, straight_on=True)
    else:
        begin = driven.value(driven.along)
        b, result = orbit_from(driven.model, Drive(driven.omega, driven.amplitude), driven.forcing, start)
    found = result == RESULTS.successful
    why = RESULTS.where(found, result, RESULTS.no_start)
    return jnp.where(found, basis.coefficients(b).ravel(), jnp.nan), begin, why


def begun_or(branch: Branch, why: Any) -> Branch:
    """The branch, whose result says why there was no orbit to begin with, where there was none."""
    none = (branch.count == 0) & (why != RESULTS.successful)
    return eqx.tree_at(lambda branch: branch.result, branch, RESULTS.where(none, why, branch.result))


def scale_of(driven: DrivenOscillators, low: Array, high: Array) -> tuple[Array, Array]:
    """What counts alike along the branch: half of the linear peak's displacement, and a change of the parameter."""
    model, amplitude = driven.at(low).model, driven.at(high).amplitude
    if driven.along == "omega":
        return lax.stop_gradient(response_scale(model, amplitude, low, high))
    size, _ = response_scale(model, amplitude, 1e-3 * driven.omega, jnp.full_like(driven.omega, jnp.inf))
    return lax.stop_gradient((size, (high - low) / 4))


def response_scale(model: AbstractOscillators, amplitude: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Half of the displacement at the first linear resonance (or the bound nearest to it), and half of its ω."""
    first = jnp.clip(linear_frequencies(model)[0], low, high)
    friction, mass = (jnp.max(jnp.diagonal(matrix)) for matrix in (model.dissipation, model.inertia))
    peak = jnp.abs(amplitude) / (friction * first + 1e-3 * mass * first**2)
    return peak / 2, first / 2


def both_ways(
    linearise: Linearise,
    y: Array,
    value: Array,
    bounds: tuple[Array, Array],
    args: Any,
    scale: Any,
    max_points: int,
    oriented: bool = True,
) -> Branch:
    """The branch through a point, to both sides, from the end that begins downwards; a closed one once around."""

    def side(around: Array, upwards: Array) -> tuple[Array, Branch]:
        start = jnp.where(around, jnp.nan, y)
        branch = trace(
            linearise, start, value, bounds, args,
            scale=scale, upwards=upwards, max_points=max_points, oriented=oriented,
        )  # fmt: skip
        return branch.result == RESULTS.closed, branch

    _, both = lax.scan(side, jnp.zeros((), bool), jnp.asarray([True, False]))
    up, down = (_inwards(jax.tree_util.tree_map(lambda x, k=k: x[k], both)) for k in (0, 1))
    more = jnp.maximum(down.count - 1, 0)  # the point itself is in both
    place = jnp.arange(max_points)
    behind = place < more
    back, ahead = jnp.clip(more - place, 0, max_points - 1), jnp.clip(place - more, 0, max_points - 1)
    y = jnp.where(behind[:, None], down.y[back], up.y[ahead])
    parameter = jnp.where(behind, down.parameter[back], up.parameter[ahead])
    slope = jnp.where(behind, -down.slope[back], up.slope[ahead])
    result = RESULTS.where(up.result == RESULTS.successful, down.result, up.result)
    result = RESULTS.where(more + up.count > max_points, RESULTS.out_of_points, result)
    count = jnp.minimum(more + up.count, max_points)
    return Branch(y, parameter, slope, count, result, up.num_steps + down.num_steps)


def _inwards(branch: Branch) -> Branch:
    """A branch without its second point if that is the first again, at a bound."""
    there = (branch.count == 2) & (branch.parameter[1] == branch.parameter[0])
    return eqx.tree_at(lambda branch: branch.count, branch, jnp.where(there, 1, branch.count))


def joined(course: Course, further: Branch, number: Any, room: int) -> Course:
    """A course with the points of another piece, as far as there is room."""
    place = jnp.arange(room)
    own, theirs = place < course.count, jnp.clip(place - course.count, 0, room - 1)
    count = jnp.minimum(course.count + further.count, room)
    y = jnp.where(own[:, None], course.y, further.y[theirs])
    parameter = jnp.where(own, course.parameter, further.parameter[theirs])
    slope = jnp.where(own, course.slope, further.slope[theirs])
    piece = jnp.where(own, course.piece, number)
    return Course(y, parameter, slope, piece, count)


def arrived(result: Any) -> Array:
    """Whether a piece ended at a bound, or where it began."""
    return (result == RESULTS.successful) | (result == RESULTS.closed)
