"""The curve of phase nonreciprocity: N_F = N_B followed as one number of a pair, or the force, changes."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from diffnr.checks import (
    Count,
    Numbers,
    as_choice,
    as_count,
    as_flag,
    as_frequency,
    as_range,
    is_concrete,
    require,
)
from diffnr.continuation import Branch, from_residual, trace
from diffnr.duffing.oscillators import DuffingPair, linear_frequencies
from diffnr.results import RESULTS, AbstractAnswer, message, raise_failures, succeeded
from optimize.reciprocity.both_ways import PARAMETERS, DrivenPair, as_driven, sizes, split, squares
from optimize.reciprocity.equal_norm_points import EqualNormPoints, points_at
from optimize.reciprocity.equal_norms import roots
from optimize.reciprocity.locus_features import EqualNormsAlong, peaks, reciprocal, sides

LOWEST = 0.01  # of the frequency at the start: a locus that falls so low ends
MOST, MAX_POINTS = 8, 400  # room for the points among which a search begins, as `equal_norm_points` has by default


class ReciprocalPoints(eqx.Module):
    """Where Δφ = 0 on a locus: `parameter` [reciprocal]; `points`, whose R is what higher harmonics leave.

    `regular` [reciprocal]: whether N_F = N_B and Δφ = 0 determine the point, so that Newton's method found it. Where
    they do not (two branches of N_F = N_B cross there, on one of which Δφ vanishes all along) `parameter` and `omega`
    are interpolated along the locus, by a cubic through four points, and the orbits are those there.
    """

    parameter: Float[Array, " reciprocal"]
    points: EqualNormPoints
    regular: Bool[Array, " reciprocal"]


class PhaseNonreciprocityLocus(AbstractAnswer):
    """Points with N_F = N_B in order along a curve; made by `phase_nonreciprocity_locus`. NaN beyond `count`.

    **Fields:**

    - `along`: the name of the number that changes; `parameter` [point], its values. `points`: frequency, orbits and
      multipliers, an `EqualNormPoints`; `omega`, `norm`, `nonreciprocal_phase`, `reciprocity_norm`, `harmonicity` and
      `stable` are theirs.
    - `branch_crossings` [point − 1]: between which neighbours another branch of N_F = N_B crosses, or nearly, and the
      locus goes straight on. `turned` [point]: where two branches nearly meet, and it turns from one to the other.
    - `reciprocal`: where Δφ = 0, `ReciprocalPoints`.
    - `result`: two of `RESULTS`, how the locus ended below and above the pair's own value. `converged`: whether both
      ends are at the bounds; `message` speaks of both.
    """

    parameter: Float[Array, " point"]
    points: EqualNormPoints
    branch_crossings: Bool[Array, " interval"]
    turned: Bool[Array, " point"]
    reciprocal: ReciprocalPoints
    result: tuple[Any, Any]
    along: str = eqx.field(static=True, default="")

    @property
    def converged(self) -> Bool[Array, "*batch"]:
        """Whether the locus reaches both bounds."""
        return succeeded(self.result[0]) & succeeded(self.result[1])

    @property
    def message(self) -> str:
        """How the locus ended, below and above the pair's own value, in a sentence or two."""
        if is_concrete(self.result) and bool(np.all(self.converged)):
            return "The locus reaches both bounds."
        below, above = map(message, self.result)
        return below if below == above else f"Downwards: {below} Upwards: {above}"

    @property
    def omega(self) -> Float[Array, " point"]:
        return self.points.omega

    @property
    def norm(self) -> Float[Array, " point"]:
        return self.points.norm

    @property
    def nonreciprocal_phase(self) -> Float[Array, " point"]:
        return self.points.nonreciprocal_phase

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
            self.reciprocal.parameter[:zeros], self.reciprocal.points.trim(), self.reciprocal.regular[:zeros]
        )
        crossings, turned = self.branch_crossings[: max(count - 1, 0)], self.turned[:count]
        return PhaseNonreciprocityLocus(
            self.parameter[:count], self.points.trim(), crossings, turned, r, self.result, self.along
        )


def phase_nonreciprocity_locus(
    pair: DuffingPair,
    *,
    amplitude: Numbers,
    along: str,
    bounds: tuple[Numbers, Numbers],
    omega: Numbers | None = None,
    resonance: Count | None = None,
    point: Count | None = None,
    num_harmonics: Count | None = None,
    max_points: Count = 200,
    throw: bool = True,
) -> PhaseNonreciprocityLocus:
    """Phase nonreciprocity, N_F = N_B at one frequency, followed from a pair's own values in both directions:

        {F_F(y_F, ω, p) = 0,  F_B(y_B, ω, p) = 0,  N_F² = N_B²}      p, one number of the pair, within its bounds

    **Arguments:**

    - `pair`, `amplitude`, `num_harmonics`: as for `equal_norm_points`.
    - `along`: the number that changes: "mass_ratio", "stiffness_ratio", "cubic_ratio", "coupling", "cubic", "damping"
      or "amplitude". `bounds`: (lowest, highest) value of it, around the pair's own.
    - Where to begin, one of three: `omega`, [], at the point of equal norms next to a frequency; `resonance`, 0 or 1:
      at the one of largest norm where the oscillators move together or against each other; `point`: at which of
      `equal_norm_points`, over .4 of the lower to 1.6 of the higher linear resonance.
    - `max_points`: room for points in each direction, a static number.
    - `throw`: raise where there is nothing to begin with. A locus that stops short is returned, and `message` says why.

    **Returns:** a `PhaseNonreciprocityLocus`. It carries no derivative: differentiate `equal_norm_points`, or
    `design_nonreciprocal_phase`.

    **Raises:** `ValueError` for a number that does not exist, bounds that do not rise or do not enclose the pair's own
    value, not exactly one place to begin, float32; `RuntimeError` if `throw` and there is no point to begin with.

    **Notes:** for a cubic ratio of 1 the curve ω² = (r − 1)/(μ − 1) is a branch of N_F = N_B of its own at one
    harmonic, and Δφ = 0 all along it. Where another branch crosses it, third harmonics let the two avoid each other.
    At resonance 1 the gap is a hair (2e-5 of the frequency at P = .15), steps go straight on over it, and
    `branch_crossings` tells so: the determinant of the equations changes its sign. At resonance 0, and for strong
    forces, the gap is as wide as steps are short: the locus turns there, is marked as `turned`, and the `result` says
    so. Wider bounds make longer steps.

    Source: paper 2, Figure 2.
    """
    driven = as_driven(pair, amplitude, num_harmonics)
    as_choice(along, "along", PARAMETERS)
    low, high = as_range(bounds, "bounds")
    which = jnp.asarray(PARAMETERS.index(along))
    own = driven.parameters[which]
    if is_concrete(low, high, own):
        _require_allowed(along, low)
        inside = np.asarray(low) <= np.asarray(own) <= np.asarray(high)
        require(inside, "bounds", f"enclose the pair's own {along}, {float(own):g}", f"({low:g}, {high:g})")
    max_points, throw = as_count(max_points, "max_points", least=2), as_flag(throw, "throw")
    u, found = beginning(driven, omega=omega, resonance=resonance, point=point)
    locus = PhaseNonreciprocityLocus(*_locus(driven, which, u, found, low, high, max_points), along=along)
    begun = RESULTS.where(found, RESULTS.successful, RESULTS.no_point)
    return raise_failures(locus, begun) if throw else locus


def _require_allowed(parameter: str, lowest: Array) -> None:
    """Raise unless a parameter may be as small as that."""
    if parameter in ("mass_ratio", "amplitude"):
        require(np.asarray(lowest) > 0, "bounds", f"be positive for {parameter}", lowest)
    if parameter == "damping":
        require(np.asarray(lowest) >= 0, "bounds", "not be negative for damping", lowest)


def beginning(
    driven: DrivenPair, *, omega: Any, resonance: Any, point: Any
) -> tuple[Float[Array, " k"], Bool[Array, ""]]:
    """u of the point of equal norms that is meant, and whether there is one."""
    given = [name for name, x in (("omega", omega), ("resonance", resonance), ("point", point)) if x is not None]
    was = " and ".join(given) or "none of them"
    require(len(given) == 1, "omega, resonance or point", "be given, one of them", was)
    resonance = None if resonance is None else as_count(resonance, "resonance", least=0, most=1)
    point = None if point is None else as_count(point, "point", least=0)
    omega = None if omega is None else as_frequency(omega, "omega")
    driven = lax.stop_gradient(driven)
    u, valid, _ = roots(driven, *_band(driven), MOST, MAX_POINTS)
    return _chosen(driven, u, valid, omega, resonance, point)


@eqx.filter_jit
def _band(driven: DrivenPair) -> tuple[Array, Array]:
    """The frequencies between which a search begins."""
    natural = linear_frequencies(driven.pair)
    return 0.4 * natural[0], 1.6 * natural[1]


@eqx.filter_jit
def _chosen(
    driven: DrivenPair, u: Array, valid: Array, omega: Array | None, resonance: int | None, point: int | None
) -> tuple[Float[Array, " k"], Bool[Array, ""]]:
    if omega is not None:
        rank = jnp.abs(jax.vmap(lambda u: split(u).omega)(u) - omega)
    elif point is not None:
        rank = jnp.where(jnp.arange(valid.size) == point, 0.0, jnp.inf)
    else:
        first = np.asarray(driven.basis.terms) == 1
        square = jax.vmap(lambda u: squares(u, driven.basis)[0])(u)
        y = jax.vmap(lambda u: split(u).y[0].reshape(2, -1)[:, first])(u)
        together = jnp.sum(y[:, 0] * y[:, 1], axis=1) > 0
        rank = jnp.where(together == (resonance == 0), -square, jnp.inf)
    rank = jnp.where(valid, rank, jnp.inf).astype(u.dtype)  # not weakly typed: it would retrace
    best = jnp.argmin(rank)
    return u[best], rank[best] < jnp.inf


@eqx.filter_jit
def _locus(driven: DrivenPair, which: Array, u: Array, found: Array, low: Array, high: Array, max_points: int) -> tuple:
    driven = lax.stop_gradient(driven)
    size, own = sizes(u), driven.parameters[which]
    signs, linearise = jnp.array([-1.0, 1.0]), from_residual(EqualNormsAlong())

    def follow(sign: Array) -> Branch:
        ends = jnp.sort(sign * (jnp.stack([low, high]) - own))
        args, scale = (driven, which, sign, size), (jnp.ones(()), (high - low) / 4)
        return trace(linearise, u / size, jnp.zeros(()), (ends[0], ends[1]), args, scale=scale, max_points=max_points)

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

    def points_of(us: Array, values: Array, valid: Array) -> EqualNormPoints:
        result = RESULTS.where(found, RESULTS.successful, RESULTS.no_point)
        return points_at(us, jax.vmap(lambda value: driven.with_parameters(which, value))(values), valid, result)

    points = points_of(us, values, valid)
    side, loose = sides(us / size, values - own, valid, (driven, which, jnp.ones(()), size), (high - low) / 4)
    crossings = valid[1:] & (side[1:] != side[:-1])
    turned = peaks(jnp.where(valid, loose, jnp.inf)) & valid
    turned = turned & ~jnp.append(crossings, False) & ~jnp.append(jnp.zeros((1,), bool), crossings)
    result = tuple(
        _ended(jax.tree_util.tree_map(lambda x, i=i: x[i], branch.result), jnp.any(turned & part), at_zero[i], found)
        for i, part in enumerate((downwards, ~downwards))
    )
    v, there, regular = reciprocal(us, values, points.nonreciprocal_phase, valid, driven, which)
    zeros = points_of(v[:, :-1], v[:, -1], there)
    zeros = ReciprocalPoints(jnp.where(there, v[:, -1], jnp.nan), zeros, regular)
    return jnp.where(valid, values, jnp.nan), points, crossings, turned, zeros, result


def _ended(result: Any, turned: Array, at_zero: Array, found: Array) -> Any:
    result = RESULTS.where((result == RESULTS.successful) & turned, RESULTS.turned, result)
    result = RESULTS.where(at_zero, RESULTS.at_zero_frequency, result)
    return RESULTS.where(found, result, RESULTS.no_point)
