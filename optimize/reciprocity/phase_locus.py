"""The curve of phase nonreciprocity: N_F = N_B followed as one number of a pair, or the force, changes."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from diffnr.checks import as_frequency, as_real, is_concrete, require, require_finite
from diffnr.continuation import Branch, from_residual, trace
from diffnr.duffing.oscillators import DuffingPair, linear_frequencies
from diffnr.duffing.points import orbits
from diffnr.results import RESULTS
from optimize.reciprocity.equal_norm_points import EqualNormPoints, checked, equal_norm_points
from optimize.reciprocity.equal_norms import LEAVES, Driven, joined, sizes, split
from optimize.reciprocity.locus_features import Walk, peaks, reciprocal, sides

STILL = 0.01  # of the frequency at the start: a locus that falls so low ends


class ReciprocalPoints(eqx.Module):
    """Where Δφ = 0 on a locus: `along` [reciprocal]; `points`, whose R is what higher harmonics leave.

    `regular` [reciprocal]: whether N_F = N_B and Δφ = 0 determine the point, so that Newton's method found it. Where
    they do not (two sheets of N_F = N_B cross there, on one of which Δφ vanishes all along) `along` and `omega` are
    interpolated along the locus, by a cubic through four points, and the orbits are those there.
    """

    along: Float[Array, " reciprocal"]
    points: EqualNormPoints
    regular: Bool[Array, " reciprocal"]


class PhaseNonreciprocityLocus(eqx.Module):
    """Points with N_F = N_B in order along a curve; made by `phase_nonreciprocity_locus`. NaN beyond `count`.

    **Fields:**

    - `along` [point], the number that changes. `points`: frequency, orbits and multipliers, an `EqualNormPoints`;
      `omega`, `norm`, `phase_difference`, `reciprocity_norm`, `harmonicity` and `stable` are theirs.
    - `sheet_crossings` [point − 1]: between which neighbours another sheet of N_F = N_B crosses, or nearly, and the
      locus goes straight on. `turned` [point]: where two sheets nearly meet, and it turns from one to the other.
    - `reciprocal`: where Δφ = 0, `ReciprocalPoints`.
    - `result`: two of `RESULTS`, that of the walk that sets out downwards, and that of the one upwards.
    """

    along: Float[Array, " point"]
    points: EqualNormPoints
    sheet_crossings: Bool[Array, " interval"]
    turned: Bool[Array, " point"]
    reciprocal: ReciprocalPoints
    result: tuple[Any, Any]

    @property
    def omega(self) -> Float[Array, " point"]:
        return self.points.omega

    @property
    def norm(self) -> Float[Array, " point"]:
        return self.points.norm

    @property
    def phase_difference(self) -> Float[Array, " point"]:
        return self.points.phase_difference

    @property
    def reciprocity_norm(self) -> Float[Array, " point"]:
        return self.points.reciprocity_norm

    @property
    def harmonicity(self) -> Float[Array, "point direction"]:
        return self.points.harmonicity

    @property
    def stable(self) -> Bool[Array, "point direction"]:
        return self.points.stable

    @property
    def valid(self) -> Bool[Array, " point"]:
        return self.points.valid

    @property
    def count(self) -> Int[Array, ""]:
        return self.points.count

    def trim(self) -> PhaseNonreciprocityLocus:
        """The locus without the empty rest of its buffers, for people; not inside a transformation."""
        count, zeros = int(self.count), int(self.reciprocal.points.count)
        r = ReciprocalPoints(
            self.reciprocal.along[:zeros], self.reciprocal.points.trim(), self.reciprocal.regular[:zeros]
        )
        crossings, turned = self.sheet_crossings[: max(count - 1, 0)], self.turned[:count]
        return PhaseNonreciprocityLocus(self.along[:count], self.points.trim(), crossings, turned, r, self.result)


def phase_nonreciprocity_locus(
    pair: DuffingPair,
    *,
    amplitude: ArrayLike,
    along: str,
    bounds: tuple[ArrayLike, ArrayLike],
    omega: ArrayLike | None = None,
    resonance: int | None = None,
    point: int | None = None,
    num_harmonics: int | None = None,
    max_points: int = 200,
    throw: bool = True,
) -> PhaseNonreciprocityLocus:
    """Phase nonreciprocity, N_F = N_B at one frequency, followed from a pair's own values both ways:

        {F_F(y_F, ω, p) = 0,  F_B(y_B, ω, p) = 0,  N_F² = N_B²}      p, one number of the pair, within its bounds

    **Arguments:**

    - `pair`, `amplitude`, `num_harmonics`: as for `equal_norm_points`.
    - `along`: the number that changes: "mass_ratio", "stiffness_ratio", "cubic_ratio", "coupling", "cubic", "damping"
      or "amplitude". `bounds`: (lowest, highest) value of it, around the pair's own.
    - Where to begin, one of three: `omega`, [], at the point of equal norms next to a frequency; `resonance`, 0 or 1:
      at the one of largest norm where the oscillators move together or against each other; `point`: at which of
      `equal_norm_points`, over .4 of the lower to 1.6 of the higher linear resonance.
    - `max_points`: room for points in each direction, a static number.
    - `throw`: raise where there is nothing to begin with. A walk that stops short is returned, its `result` says why.

    **Returns:** a `PhaseNonreciprocityLocus`. It carries no derivative: differentiate `equal_norm_points`, or
    `design_nonreciprocal_phase`.

    **Raises:** `ValueError` for a leaf that does not exist, bounds that do not rise or do not enclose the pair's own
    value, not exactly one way to begin, float32; `RuntimeError` if `throw` and there is no point to begin with.

    **Notes:** for a cubic ratio of 1 the curve ω² = (r − 1)/(μ − 1) is a sheet of N_F = N_B of its own at one harmonic,
    and Δφ = 0 all along it. Where another sheet crosses it, third harmonics let the two avoid each other. At resonance
    1 the gap is a hair (2e-5 of the frequency at P = .15), steps go straight on over it, and `sheet_crossings` tells
    so: the determinant of the walk's equations changes its sign. At resonance 0, and for strong forces, the gap is as
    wide as steps are short: the locus turns there, is marked as `turned`, and the `result` says so. Wider bounds make
    longer steps.

    Source: paper 2, Figure 2.
    """
    driven = checked(pair, amplitude, num_harmonics)
    require(along in LEAVES, "along", f"be one of {', '.join(map(repr, LEAVES))}", repr(along))
    which = jnp.asarray(LEAVES.index(along))
    low, high = (as_real(bound, "bounds") for bound in bounds)
    require_finite("bounds", jnp.stack([low, high]))
    if is_concrete(low, high):
        require(np.asarray(low) < np.asarray(high), "bounds", "be (lowest, highest), in this order", f"({low}, {high})")
        require_allowed("bounds", along, low)
    own = driven.leaves[which]
    if is_concrete(low, high, own):
        inside = np.asarray(low) <= np.asarray(own) <= np.asarray(high)
        require(inside, "bounds", f"enclose the pair's own {along}, {float(own):g}", f"({low}, {high})")
    require(
        isinstance(max_points, int) and max_points >= 2, "max_points", "be an integer of at least 2", repr(max_points)
    )
    u, found = beginning(driven, omega=omega, resonance=resonance, point=point)
    locus = _locus(driven, which, u, found, low, high, max_points)
    if throw:
        count = locus.result[0].error_if(locus.points.count, ~found)
        locus = eqx.tree_at(lambda x: x.points.count, locus, count)
    return locus


def require_allowed(name: str, leaf: str, lowest: Array) -> None:
    """Raise unless a leaf may be as small as that."""
    if leaf in ("mass_ratio", "amplitude"):
        require(np.all(np.asarray(lowest) > 0), name, f"be positive for {leaf}", lowest)
    if leaf == "damping":
        require(np.all(np.asarray(lowest) >= 0), name, "not be negative for damping", lowest)


def beginning(
    driven: Driven, *, omega: ArrayLike | None, resonance: int | None, point: int | None
) -> tuple[Float[Array, " k"], Bool[Array, ""]]:
    """u of the point of equal norms that is meant, and whether there is one."""
    given = [name for name, x in (("omega", omega), ("resonance", resonance), ("point", point)) if x is not None]
    require(
        len(given) == 1, "omega, resonance or point", "be given, one of them", " and ".join(given) or "none of them"
    )
    require(resonance in (None, 0, 1), "resonance", "be 0 or 1", repr(resonance))
    require(point is None or (isinstance(point, int) and point >= 0), "point", "be an index from 0 on", repr(point))
    guess = None if omega is None else as_frequency(omega, "omega")
    driven = lax.stop_gradient(driven)
    points = equal_norm_points(driven.pair, amplitude=driven.amplitude, band=_reach(driven), throw=False)
    return _chosen(driven, points, guess, resonance, point)


@eqx.filter_jit
def _reach(driven: Driven) -> tuple[Array, Array]:
    natural = linear_frequencies(driven.pair)
    return 0.4 * natural[0], 1.6 * natural[1]


@eqx.filter_jit
def _chosen(
    driven: Driven, points: EqualNormPoints, omega: Array | None, resonance: int | None, point: int | None
) -> tuple[Float[Array, " k"], Bool[Array, ""]]:
    if omega is not None:
        rank = jnp.abs(points.omega - omega)
    elif point is not None:
        rank = jnp.where(jnp.arange(points.omega.size) == point, 0.0, jnp.inf)
    else:
        first = points.b[:, :, 0, points.harmonics.index(1)]
        together = jnp.real(first[:, 0] * jnp.conj(first[:, 1])) > 0
        rank = jnp.where(together == (resonance == 0), -points.norm, jnp.inf)
    rank = jnp.where(points.valid, rank, jnp.inf).astype(points.omega.dtype)  # not weakly typed: it would retrace
    best = jnp.argmin(rank)
    y = [driven.pair.basis.coefficients(points.b[best, :, into]).ravel() for into in (0, 1)]
    return joined(y[0], points.omega[best], y[1]), rank[best] < jnp.inf


@eqx.filter_jit
def _locus(
    driven: Driven, which: Array, u: Array, found: Array, low: Array, high: Array, max_points: int
) -> PhaseNonreciprocityLocus:
    driven = lax.stop_gradient(driven)
    size, own = sizes(u), driven.leaves[which]
    signs, linearise = jnp.array([-1.0, 1.0]), from_residual(Walk())

    def walk(sign: Array) -> Branch:
        ends = jnp.sort(sign * (jnp.stack([low, high]) - own))
        args, scale = (driven, which, sign, size), (jnp.ones(()), (high - low) / 4)
        return trace(linearise, u / size, jnp.zeros(()), (ends[0], ends[1]), args, scale=scale, max_points=max_points)

    branch = jax.vmap(walk)(signs)
    us = branch.y * size
    # The point where both begin is one; a walk that begins at its bound goes nowhere.
    far = jnp.abs(branch.parameter[:, 1]) > 1e-12 * (high - low)
    new = (jnp.arange(max_points) < branch.count[:, None]) & (far[:, None] | (jnp.arange(max_points) == 0))
    moving = us[:, :, u.size // 2] > STILL * split(u).omega
    still = jnp.any(new & ~moving, axis=1)
    new = found & new & (jnp.cumsum(~moving, axis=1) == 0)
    new = new.at[0, 0].set(False)
    values, downwards = own + signs[:, None] * branch.parameter, jnp.broadcast_to(signs[:, None] < 0, new.shape)
    valid, us, values, downwards = (jnp.concatenate([x[0, ::-1], x[1]]) for x in (new, us, values, downwards))
    order = jnp.argsort(~valid, stable=True)
    valid, us, values, downwards = (x[order] for x in (valid, us, values, downwards))
    us, values = jnp.where(valid[:, None], us, us[0]), jnp.where(valid, values, values[0])

    points = _points(us, values, valid, driven, which)
    side, loose = sides(us / size, values - own, valid, (driven, which, jnp.ones(()), size), (high - low) / 4)
    crossings = valid[1:] & (side[1:] != side[:-1])
    turned = peaks(jnp.where(valid, loose, jnp.inf)) & valid
    turned = turned & ~jnp.append(crossings, False) & ~jnp.append(jnp.zeros((1,), bool), crossings)
    result = tuple(
        _ended(jax.tree_util.tree_map(lambda x, i=i: x[i], branch.result), jnp.any(turned & way), still[i], found)
        for i, way in enumerate((downwards, ~downwards))
    )
    v, there, regular = reciprocal(us, values, points.phase_difference, valid, driven, which)
    zeros = _points(v[:, :-1], v[:, -1], there, driven, which)
    zeros = ReciprocalPoints(jnp.where(there, v[:, -1], jnp.nan), zeros, regular)
    return PhaseNonreciprocityLocus(jnp.where(valid, values, jnp.nan), points, crossings, turned, zeros, result)


def _ended(result: Any, turned: Array, still: Array, found: Array) -> Any:
    result = RESULTS.where((result == RESULTS.successful) & turned, RESULTS.turned, result)
    result = RESULTS.where(still, RESULTS.at_zero_frequency, result)
    return RESULTS.where(found, result, RESULTS.no_point)


def _points(
    us: Float[Array, "point k"], values: Float[Array, " point"], valid: Array, driven: Driven, which: Array
) -> EqualNormPoints:
    """The points at u, each with its own value."""

    def point(u: Array, value: Array, valid: Array) -> tuple[Array, Array]:
        y, omega = split(u)
        both = jnp.stack([valid, valid])
        pair = driven.with_leaves(which, value).pair
        every = orbits(pair, y, jnp.stack([omega, omega]), both)
        return every.b.swapaxes(0, 1), every.multipliers

    b, multipliers = jax.vmap(point)(us, values, valid)
    omega = jnp.where(valid, us[:, us.shape[1] // 2], jnp.nan)
    return EqualNormPoints(omega, b, multipliers, jnp.sum(valid), driven.pair.harmonics)
