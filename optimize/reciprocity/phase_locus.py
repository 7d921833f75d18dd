"""Curves of equal norms, or of equal phases, followed as one number of the oscillators, or the force, changes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from diffnr.checks import Count, Numbers, as_count, as_flag, as_frequency, as_range, is_concrete, require
from diffnr.compilation import compiled
from diffnr.continuation import Branch, from_residual, trace
from diffnr.results import RESULTS, raise_failures
from diffnr.root import frozen
from optimize.reciprocity.both_ways import DrivenBothWays, Equal, as_driven, mode_of, sizes, split, squares
from optimize.reciprocity.equal_outputs import MAX_POINTS, band_of, roots
from optimize.reciprocity.equal_points import points_at
from optimize.reciprocity.loci import EqualPhaseLocus, PhaseNonreciprocityLocus, ReciprocalPoints
from optimize.reciprocity.locus_features import EqualAlong, peaks, reciprocal, sides
from optimize.reciprocity.points import AbstractEqualPoints, EqualPhasePoints

LOWEST = 0.01  # of the frequency at the start: a locus that falls so low ends
MOST = 4  # room for the points among which a search begins, per oscillator


def phase_nonreciprocity_locus(
    pair: Any,
    *,
    amplitude: Numbers,
    along: str,
    bounds: tuple[Numbers, Numbers],
    omega: Numbers | None = None,
    resonance: Count | None = None,
    point: Count | None = None,
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    max_points: Count = 200,
    throw: bool = True,
) -> PhaseNonreciprocityLocus:
    """Phase nonreciprocity, N_F = N_B at one frequency, followed from a model's own values in both directions:

        {F_F(y_F, ω, p) = 0,  F_B(y_B, ω, p) = 0,  N_F² = N_B²}      p, one number of the model, within its bounds

    **Arguments:**

    - `pair`, `amplitude`, `ports`, `num_harmonics`: as for `equal_norm_points`.
    - `along`: the number that changes, by its path: "mass_ratio", "coupling" of a pair, "mass.1" or
      "coupling.coefficients.0.2" of a chain, "stiffness.0.1" of a network (that entry alone), "force.cubic" of a
      force of your own; or "amplitude". `bounds`: (lowest, highest) value of it, around the model's own.
    - Where to begin, one of three: `omega`, [], at the point of equal norms next to a frequency; `resonance`, 0 to
      n − 1 of n oscillators: at the one of largest norm where they move in the shape of that linear mode above all;
      `point`: at which of `equal_norm_points`, over .4 of the lowest to 1.6 of the highest linear resonance.
    - `max_points`: room for points in each direction, a static number.
    - `throw`: raise where there is nothing to begin with. A locus that stops short is returned, and `message` says why.

    **Returns:** a `PhaseNonreciprocityLocus`. It carries no derivative: differentiate `equal_norm_points`, or
    `design_nonreciprocal_phase`.

    **Raises:** `ValueError` for a number that does not exist, bounds that do not rise or do not enclose the model's own
    value, not exactly one place to begin, float32; `RuntimeError` if `throw` and there is no point to begin with.

    **Notes:** for a cubic ratio of 1 the curve ω² = (r − 1)/(μ − 1) is a branch of N_F = N_B of its own at one
    harmonic, and Δφ = 0 all along it. Where another branch crosses it, third harmonics let the two avoid each other.
    At resonance 1 the gap is a hair (2e-5 of the frequency at P = .15), steps go straight on over it, and
    `branch_crossings` tells so: the determinant of the equations changes its sign. At resonance 0, and for strong
    forces, the gap is as wide as steps are short: the locus turns there, is marked as `turned`, and the `result` says
    so. Wider bounds make longer steps.

    Source: paper 2, Figure 2.
    """
    return _equal_locus(
        Equal("norm"),
        pair,
        amplitude,
        along,
        bounds,
        (omega, resonance, point),
        ports,
        num_harmonics,
        max_points,
        throw,
    )


def equal_phase_locus(
    pair: Any,
    *,
    amplitude: Numbers,
    along: str,
    bounds: tuple[Numbers, Numbers],
    omega: Numbers | None = None,
    resonance: Count | None = None,
    point: Count | None = None,
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    max_points: Count = 200,
    throw: bool = True,
) -> EqualPhaseLocus:
    """Equal phases of both outputs, Δφ = 0 at one frequency, followed from a model's own values in both directions:

        {F_F(y_F, ω, p) = 0,  F_B(y_B, ω, p) = 0,  sin Δφ = 0}      p, one number of the model, within its bounds

    **Arguments**, and what is raised: as for `phase_nonreciprocity_locus`; a point is one of `equal_phase_points`.

    **Returns:** an `EqualPhaseLocus`, which carries no derivative: differentiate `equal_phase_points`. Its `reciprocal`
    holds the points at which N_F = N_B too.

        optimize.equal_phase_locus(pair, amplitude=0.5, along="cubic_ratio", bounds=(1.5, 3.0), resonance=0).norm

    Source: arXiv 2503.21901, "phase-preserving" nonreciprocity.
    """
    return _equal_locus(
        Equal("phase"),
        pair,
        amplitude,
        along,
        bounds,
        (omega, resonance, point),
        ports,
        num_harmonics,
        max_points,
        throw,
    )


def _equal_locus(
    equal: Equal,
    pair: Any,
    amplitude: Any,
    along: Any,
    bounds: Any,
    begin: tuple[Any, Any, Any],
    ports: Any,
    num_harmonics: Any,
    max_points: Any,
    throw: Any,
) -> Any:
    driven = as_driven(pair, amplitude, num_harmonics, ports)
    which = jnp.asarray(driven.which(along, "along"))
    low, high = as_range(bounds, "bounds")
    own = driven.numbers[which]
    if is_concrete(low, high, own):
        least, strict = driven.least(along)
        above = np.asarray(low) > least or (np.asarray(low) == least and not strict)
        must = f"be positive for {along}" if strict else f"not be negative for {along}"
        require(above, "bounds", must, low)
        inside = np.asarray(low) <= np.asarray(own) <= np.asarray(high)
        require(inside, "bounds", f"enclose the pair's own {along}, {float(own):g}", f"({low:g}, {high:g})")
    max_points, throw = as_count(max_points, "max_points", least=2), as_flag(throw, "throw")
    u, found = beginning(driven, *begin, equal)
    kind: Any = PhaseNonreciprocityLocus if equal.what == "norm" else EqualPhaseLocus
    locus = kind(*_locus(driven, which, u, found, low, high, max_points, equal), along=along)
    begun = RESULTS.where(found, RESULTS.successful, RESULTS.no_point)
    return raise_failures(locus, begun) if throw else locus


def beginning(
    driven: DrivenBothWays, omega: Any, resonance: Any, point: Any, equal: Equal
) -> tuple[Float[Array, " k"], Bool[Array, ""]]:
    """u of the point of equal outputs that is meant, and whether there is one."""
    given = [name for name, x in (("omega", omega), ("resonance", resonance), ("point", point)) if x is not None]
    was = " and ".join(given) or "none of them"
    require(len(given) == 1, "omega, resonance or point", "be given, one of them", was)
    n = driven.model.num_ports
    resonance = None if resonance is None else as_count(resonance, "resonance", least=0, most=n - 1)
    point = None if point is None else as_count(point, "point", least=0)
    omega = None if omega is None else as_frequency(omega, "omega")
    driven = frozen(driven)
    u, valid, _ = roots(driven, *band_of(driven), MOST * n, MAX_POINTS * n, equal)
    return _chosen(driven, u, valid, omega, resonance, point)


@compiled
def _chosen(
    driven: DrivenBothWays, u: Array, valid: Array, omega: Array | None, resonance: int | None, point: int | None
) -> tuple[Float[Array, " k"], Bool[Array, ""]]:
    if omega is not None:
        rank = jnp.abs(jax.vmap(lambda u: split(u).omega)(u) - omega)
    elif point is not None:
        rank = jnp.where(jnp.arange(valid.size) == point, 0.0, jnp.inf)
    else:
        square = jax.vmap(lambda u: squares(u, driven)[0])(u)
        rank = jnp.where(mode_of(jax.vmap(lambda u: split(u).y[0])(u), driven) == resonance, -square, jnp.inf)
    rank = jnp.where(valid, rank, jnp.inf).astype(u.dtype)  # not weakly typed: it would retrace
    best = jnp.argmin(rank)
    return u[best], rank[best] < jnp.inf


@compiled
def _locus(
    driven: DrivenBothWays, which: Array, u: Array, found: Array, low: Array, high: Array, max_points: int, equal: Equal
) -> tuple:
    driven = frozen(driven)
    size, own = sizes(u), driven.numbers[which]
    signs, linearise = jnp.array([-1.0, 1.0]), from_residual(EqualAlong(equal))

    def follow(sign: Array) -> Branch:
        ends = jnp.sort(sign * (jnp.stack([low, high]) - own))
        args, scale = (driven, which, sign, size), (jnp.ones(()), (high - low) / 4)
        # Straight on where two branches of the locus nearly meet: which of them it is on is told by the caller.
        ends_of = ends[0], ends[1]
        return trace(
            linearise, u / size, jnp.zeros(()), ends_of, args, scale=scale, max_points=max_points, oriented=False
        )

    branch = jax.vmap(follow)(signs)
    us = branch.y * size
    # The point where both begin is one; a branch that begins at its bound goes nowhere.
    far = jnp.abs(branch.parameter[:, 1]) > 1e-12 * (high - low)
    new = (jnp.arange(max_points) < branch.count[:, None]) & (far[:, None] | (jnp.arange(max_points) == 0))
    oscillating = us[:, :, u.size // 2] > LOWEST * split(u).omega
    at_zero = jnp.any(new & ~oscillating, axis=1)
    new = found & new & (jnp.cumsum(~oscillating, axis=1) == 0)
    new = new.at[0, 0].set(False)
    values, downwards = own + signs[:, None] * branch.parameter, jnp.broadcast_to(signs[:, None] < 0, new.shape)
    valid, us, values, downwards = (jnp.concatenate([x[0, ::-1], x[1]]) for x in (new, us, values, downwards))
    order = jnp.argsort(~valid, stable=True)
    valid, us, values, downwards = (x[order] for x in (valid, us, values, downwards))
    us, values = jnp.where(valid[:, None], us, us[0]), jnp.where(valid, values, values[0])

    def points_of(us: Array, values: Array, valid: Array, equal: Equal) -> Any:
        result = RESULTS.where(found, RESULTS.successful, RESULTS.no_point)
        return points_at(us, lambda value: driven.with_numbers(which, value), values, valid, result, equal)

    points = points_of(us, values, valid, equal)
    along = EqualAlong(equal)
    side, loose = sides(along, us / size, values - own, valid, (driven, which, jnp.ones(()), size), (high - low) / 4)
    crossings = valid[1:] & (side[1:] != side[:-1])
    turned = peaks(jnp.where(valid, loose, jnp.inf)) & valid
    turned = turned & ~jnp.append(crossings, False) & ~jnp.append(jnp.zeros((1,), bool), crossings)
    result = tuple(
        _ended(jax.tree_util.tree_map(lambda x, i=i: x[i], branch.result), jnp.any(turned & part), at_zero[i], found)
        for i, part in enumerate((downwards, ~downwards))
    )
    v, there, regular = reciprocal(us, values, _other(points), valid, driven, which)
    zeros = points_of(v[:, :-1], v[:, -1], there, Equal("norm"))
    zeros = ReciprocalPoints(jnp.where(there, v[:, -1], jnp.nan), zeros, regular)
    return jnp.where(valid, values, jnp.nan), points, crossings, turned, zeros, result


def _other(points: AbstractEqualPoints) -> Array:
    """Of points where outputs are equal in one way what vanishes where they are equal in the other way too."""
    if isinstance(points, EqualPhasePoints):
        return points.norm[:, 0] / points.norm[:, 1] - 1
    return points.nonreciprocal_phase


def _ended(result: Any, turned: Array, at_zero: Array, found: Array) -> Any:
    result = RESULTS.where((result == RESULTS.successful) & turned, RESULTS.turned, result)
    result = RESULTS.where(at_zero, RESULTS.at_zero_frequency, result)
    return RESULTS.where(found, result, RESULTS.no_point)
