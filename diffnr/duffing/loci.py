"""Loci of bifurcations over two parameters: where a fold, or another bifurcation of a branch, goes as a second number
changes.

    F(y, λ; μ) = 0,   g(y, λ; μ) = 0        with g = 0 where Hill's equations are singular (`bifurcations`)

is a branch of [y, λ] over μ (of [y, λ, κ] for Neimark–Sacker points) and followed by arclength like any other.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from diffnr.checks import Count, Numbers, as_choice, as_count, as_flag, as_range, is_concrete, require, require_instance
from diffnr.compilation import compiled
from diffnr.duffing.bifurcations import Hill
from diffnr.duffing.branch import OrbitBranch
from diffnr.duffing.course import both_ways
from diffnr.duffing.driven import DrivenOscillators, require_parameter
from diffnr.duffing.locus import BifurcationLocus, Critical, locus_of
from diffnr.duffing.points import Points
from diffnr.duffing.special_points import rows_of
from diffnr.results import RESULTS, raise_failures
from diffnr.root import implicit, newton

KINDS = {
    "fold": "folds",
    "period_doubling": "period_doublings",
    "neimark_sacker": "neimark_sacker",
    "symmetry_breaking": "symmetry_breakings",
}


def bifurcation_locus(
    branch: OrbitBranch,
    kind: str,
    number: Count = 0,
    *,
    along: str,
    bounds: Numbers,
    max_points: Count = 200,
    throw: bool = True,
) -> BifurcationLocus:
    """Where a bifurcation of a branch goes as a second number changes:

        F(y, λ; μ) = 0,   g(y, λ; μ) = 0        λ: the branch's parameter; μ: what `along` names

    **Arguments:**

    - `branch`: of orbits. `kind`: "fold", "period_doubling", "neimark_sacker" or "symmetry_breaking"; `number`: which
      of `branch.folds`, `branch.period_doublings`, … in order along the branch.
    - `along`: what changes, other than the branch's own parameter: "amplitude", "omega", the path of a scalar leaf of
      the model or of an entry of one, or the phase of the force at an oscillator, as for `continue_orbit`.
    - `bounds`: (lowest, highest) value of it, about the one that the branch has. The locus goes from there to both
      sides, through turns, until it leaves them.
    - `max_points`: room for points; a static number. `throw`: raise where there is no such bifurcation.

    **Returns:** a `BifurcationLocus`. Derivatives with respect to the model, the amplitude and the frequency are exact:
    of `at` and `turns` as they are, of points at fixed parameter. A batch has one locus for each of its branches; one
    without the bifurcation has `result` no_bifurcation.

    **Raises:** `ValueError` for another kind, a parameter that does not exist or is the branch's own, bounds that do
    not hold what the branch has; `RuntimeError` if `throw` and there is no such bifurcation.

    **Notes:** a locus of Neimark–Sacker points ends where its two multipliers meet at +1 or −1; further on they are
    real, and no bifurcation.

    Source: W. J. F. Govaerts, Numerical Methods for Bifurcations of Dynamical Equilibria, SIAM 2000 (bordered systems).

        locus = duffing.bifurcation_locus(branch, "fold", along="amplitude", bounds=(0.01, 1.0))
        locus.turns.parameter                    # the amplitude of the cusp, below which nothing is bistable
    """
    require_instance(branch, "branch", OrbitBranch, "be an OrbitBranch")
    as_choice(kind, "kind", tuple(KINDS))
    number, throw = as_count(number, "number", least=0), as_flag(throw, "throw")
    driven = branch.driven
    require_parameter(along, "along", driven)
    require(along != driven.along, "along", "differ from the branch's own parameter", along)
    low, high = as_range(bounds, "bounds", positive=along == "omega")
    now = driven.value(along)
    if is_concrete(low, high, now):
        inside = bool(np.all((np.asarray(low) <= np.asarray(now)) & (np.asarray(now) <= np.asarray(high))))
        require(inside, "bounds", f"hold what {along} is", f"({low:g}, {high:g}) about {now}")
        for bound in (low, high):
            driven.having(along, bound)  # refuses what the model cannot be
    max_points = as_count(max_points, "max_points", least=2)
    locus = _followed(branch, getattr(branch, KINDS[kind]), kind, jnp.asarray(number), along, (low, high), max_points)
    if not throw:
        return locus
    return raise_failures(locus, RESULTS.where(locus.count == 0, locus.result, RESULTS.successful))


@compiled
def _followed(
    branch: OrbitBranch,
    points: Points,
    kind: str,
    number: Array,
    along: str,
    bounds: tuple[Array, Array],
    max_points: int,
) -> BifurcationLocus:
    driven = branch.driven
    system, now = Critical(Hill.of(driven.model.basis, kind), along), driven.value(along)
    spare = rows_of(driven, branch.points)[0]
    there = (number < points.count) & (bounds[0] <= now) & (now <= bounds[1])
    place = jnp.minimum(number, points.omega.shape[0] - 1)  # below `count` it is `number`
    z = jnp.where(there, rows_of(driven, points)[place], spare)
    scale = jnp.append(jnp.full(z.size - 1, jnp.linalg.norm(z[:-1]) / 2), _spread(branch.parameter))
    if system.hill.pair:
        omega = jnp.where(there, points.omega[place], branch.omega[0])
        turned = jnp.where(there, points.multipliers[place], 1j)
        on = jnp.argmin(jnp.where(turned.imag > 0, jnp.abs(jnp.log(jnp.abs(turned))), jnp.inf))
        rate = omega / driven.model.basis.periods
        kappa = jnp.angle(turned[on]) * rate / (2 * jnp.pi)
        z, scale = jnp.append(z, kappa), jnp.append(scale, rate / 8)
        borders = system.bordered(z, now, driven)
        z = newton(system.rooted, z, (driven, now, *borders), max_steps=20).value
        spare = jnp.append(spare, 0.3 * rate)
    spare = lax.stop_gradient(jnp.where(there, z, spare))
    start = jnp.where(there, z, jnp.nan)
    size = lax.stop_gradient((scale, (bounds[1] - bounds[0]) / 4))
    course = both_ways(system.linearise, start, now, bounds, driven, size, max_points, oriented=False)
    zs, values, slope, count, result = course.y, course.parameter, course.slope, course.count, course.result
    place = jnp.arange(max_points)
    if system.hill.pair:
        closed = result == RESULTS.closed
        around = jnp.maximum(count - closed, 1)  # the last point of a loop is beyond the first
        first, length, met = _apart(system, driven, zs, values, around, closed, start)
        zs, values, slope = (x[(first + place) % around] for x in (zs, values, slope))
        count = jnp.where(met, length, count)
        result = RESULTS.where(met, RESULTS.strong_resonance, result)
    valid = place < count
    zs, values = jnp.where(valid[:, None], zs, spare), jnp.where(valid, values, now)
    slope = jnp.where(valid, slope, jnp.nan)
    result = RESULTS.where(there, result, RESULTS.no_bifurcation)

    def exact(z: Array, value: Array) -> Array:
        return implicit(system.rooted, z, (driven, value, *system.bordered(z, value, driven)))

    zs = jax.vmap(exact)(lax.stop_gradient(zs), values)
    return locus_of(driven, system, kind, zs, values, valid, slope, result)


def _spread(values: Float[Array, " point"]) -> Float[Array, ""]:
    """A change of a branch's parameter that counts."""
    spread = jnp.nanmax(values) - jnp.nanmin(values)
    return jnp.where(spread > 0, spread, 1.0) / 4


def _apart(
    system: Critical, driven: DrivenOscillators, zs: Array, values: Array, count: Array, closed: Array, start: Array
) -> tuple[Array, Array, Array]:
    """From which place on, and for how many points about the start, the two multipliers of a locus have not met; and
    whether they do.

    They meet at κ = 0 and at half of the orbits' frequency, or of that of disturbances, which odd orbits double;
    beyond, the same points come back as their mirror images, and a locus with two ends is traced as a closed loop."""
    omega = jax.vmap(lambda z, value: driven.having(system.along, value).at(z[-2]).omega)(zs, values)
    half = omega / driven.model.basis.periods / (1 if driven.model.basis.odd else 2)
    place, kappa = jnp.arange(values.size), zs[:, -1]
    own = place < count
    beyond = own & ((kappa <= 0) | (kappa >= half))
    middle = jnp.argmin(jnp.where(own, jnp.linalg.norm(zs - start, axis=1), jnp.inf))
    before, behind = jnp.where(closed, beyond, beyond & (place < middle)), beyond & (place > middle)
    first = jnp.max(jnp.where(before, place + 1, 0))
    last = jnp.min(jnp.where(behind, place, count))
    return first, jnp.where(closed, count - first + last, last - first), jnp.any(beyond)
