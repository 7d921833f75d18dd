"""Where in the plane of two ratios a pair is reciprocal at a resonance: the curve, and level sets of R around it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from diffnr.checks import as_real, is_concrete, require, require_finite
from diffnr.duffing.one_harmonic import RATIOS, OneHarmonicRestoration, one_harmonic_restoration
from diffnr.duffing.oscillators import DuffingPair, require_double, with_harmonics
from diffnr.duffing.points import orbits
from diffnr.parameters import replace
from diffnr.results import RESULTS
from optimize.reciprocity.level_sets import HOLDS, walk
from optimize.reciprocity.restore import AT, restore_from, restore_reciprocity
from optimize.reciprocity.restored_orbits import Problem, difference, split, with_ratio


class ReciprocityLocus(eqx.Module):
    """A curve in the plane of two ratios; made by `reciprocity_locus` and by `reciprocity_level`.

    **Fields**, NaN where not `valid`:

    - `along` [point], the ratio that was given; `value` [point], the one that was found.
    - `omega` [point]; `reciprocity_norm` [point], R; `norm_difference` [point], N_F − N_B; `phase_difference` [point],
      Δφ of the fundamentals, rad.
    - `growth` [point, direction], the largest modulus of the Floquet multipliers of the forward and of the backward
      orbit; `stable` [point, direction], whether it is below 1. `valid` [point].
    - `result`, of `RESULTS`: how the walk along a level set ended.
    """

    along: Float[Array, " point"]
    value: Float[Array, " point"]
    omega: Float[Array, " point"]
    reciprocity_norm: Float[Array, " point"]
    norm_difference: Float[Array, " point"]
    phase_difference: Float[Array, " point"]
    growth: Float[Array, "point direction"]
    valid: Bool[Array, " point"]
    result: Any

    @property
    def count(self) -> Int[Array, ""]:
        """How many points are valid."""
        return jnp.sum(self.valid)

    @property
    def stable(self) -> Bool[Array, "point direction"]:
        """Whether the forward and the backward orbit are stable."""
        return self.growth < 1

    @property
    def bend(self) -> Int[Array, ""]:
        """The point at which `along` first turns back, by Newton's method; where it never does, the last one."""
        back = self.along[1:] < self.along[:-1]
        last = jnp.max(jnp.where(self.valid, jnp.arange(self.valid.size), 0))
        return jnp.where(jnp.any(back), jnp.argmax(back), last)

    @property
    def stability_changes(self) -> Bool[Array, " interval"]:
        """Between which neighbouring points either orbit becomes stable or unstable, [point − 1]."""
        both = self.valid[1:] & self.valid[:-1]
        return both & jnp.any(self.stable[1:] != self.stable[:-1], axis=-1)

    @property
    def changed_at(self) -> Float[Array, " interval"]:
        """`along` where stability changes, by linear interpolation of `growth`; NaN where it does not, [point − 1]."""
        over = self.growth - 1
        share = over[:-1] / (over[:-1] - over[1:])
        first = jnp.min(jnp.where((share >= 0) & (share <= 1), share, 1.0), axis=-1)
        there = self.along[:-1] + first * (self.along[1:] - self.along[:-1])
        return jnp.where(self.stability_changes, there, jnp.nan)

    def trim(self) -> ReciprocityLocus:
        """The valid points alone, for people; not inside a transformation."""
        keep = np.flatnonzero(np.asarray(self.valid))
        return jax.tree_util.tree_map(lambda x: x[keep] if eqx.is_array(x) and x.ndim else x, self)


def reciprocity_locus(
    pair: DuffingPair,
    *,
    amplitude: ArrayLike,
    along: str,
    bounds: tuple[ArrayLike, ArrayLike],
    free: str,
    resonance: int,
    at: str = "peak",
    points: int = 43,
    num_harmonics: int | None = None,
) -> ReciprocityLocus:
    """The restored ratio as a function of another one: `restore_reciprocity` at many values of it, in one call.

    **Arguments:**

    - `pair`, `amplitude`, `free`, `resonance`, `at`, `num_harmonics`: as for `restore_reciprocity`.
    - `along`: the ratio that breaks the symmetry: "mass_ratio", "stiffness_ratio" or "cubic_ratio", not `free`.
    - `bounds`: (lowest, highest) value of it; `points`: how many values, equally spaced, the bounds among them.

    **Returns:** a `ReciprocityLocus`, with exact derivatives with respect to the pair, the amplitude and the bounds.
    A point where the search failed is not valid, and the others are what they are without it.

    **Raises:** `ValueError` as `restore_reciprocity`; for a ratio along which to go that does not exist or is `free`;
    for bounds that do not rise.

    **Notes:** all of it is at the resonance. The slope of a stiffness ratio along the mass ratio is near to ω²: 11.03
    at resonance 1 for k_c = 5. R grows with the distance from the equal pair, fast at resonance 0.

    Source: paper 2, Figures 4, 6 and 7: their resonant segments.
    """
    low, high = _checked(pair, amplitude, along, bounds, free, resonance)
    require(at in AT, "at", f"be one of {', '.join(map(repr, AT))}", repr(at))
    require(isinstance(points, int) and points >= 2, "points", "be an integer of at least 2", repr(points))
    pair = pair if num_harmonics is None else with_harmonics(pair, num_harmonics)  # pyright: ignore[reportAssignmentType]
    require_double("pair", pair.mass)
    amplitude = as_real(amplitude, "amplitude")

    ratios = jnp.linspace(low, high, points)
    guesses = _guesses(pair, amplitude, ratios, along, free, resonance)
    first, second = (jnp.asarray(RATIOS.index(name)) for name in (along, free))
    return _locus(pair, amplitude, ratios, first, second, guesses, at)


@eqx.filter_jit
def _guesses(
    pair: DuffingPair, amplitude: Array, ratios: Array, along: str, free: str, resonance: int
) -> OneHarmonicRestoration:
    def guess(ratio: Array) -> OneHarmonicRestoration:
        there = replace(pair, {along: ratio})
        return one_harmonic_restoration(there, amplitude=amplitude, free=free, resonance=resonance, throw=False)

    return jax.vmap(guess)(ratios)


@eqx.filter_jit
def _locus(
    pair: DuffingPair,
    amplitude: Array,
    ratios: Array,
    along: Array,
    free: Array,
    guesses: OneHarmonicRestoration,
    at: str,
) -> ReciprocityLocus:
    def restored(ratio: Array, guess: OneHarmonicRestoration) -> tuple[list[Array], Array]:
        r = restore_from(with_ratio(pair, along, ratio), amplitude, free, guess, at)
        growth = jnp.abs(r.multipliers[:, 0])
        numbers = ratio, r.value, r.omega, r.reciprocity_norm, r.norm_difference, r.phase_difference, growth
        return [jnp.where(r.converged, number, jnp.nan) for number in numbers], r.converged

    numbers, valid = jax.vmap(restored)(ratios, guesses)
    return ReciprocityLocus(*numbers, valid=valid, result=RESULTS.successful)


def reciprocity_level(
    pair: DuffingPair,
    *,
    amplitude: ArrayLike,
    level: ArrayLike,
    along: str,
    bounds: tuple[ArrayLike, ArrayLike],
    free: str,
    resonance: int,
    at: str = "peak",
    side: str | None = None,
    num_harmonics: int | None = None,
    max_points: int = 200,
    throw: bool = True,
) -> ReciprocityLocus:
    """The set of pairs whose R is `level`, a locus of approximate reciprocity, by continuation:

        "peak":        R = level,  ω on the peak of the forward output
        "equal_norm":  R = level,  N_F = N_B,  ω free

    It begins beside the restored point at the least of `bounds` and follows the set: along the resonance to the bend,
    and back. At "peak" that is to the other side of the locus, beyond the bend R exceeds the level for every value of
    `free`. At "equal_norm" ω leaves the resonance there, and the set goes on at the anti-resonance, or on the lower
    sheet of the response, to the other bound.

    **Arguments:** as for `reciprocity_locus`, and

    - `level`: [], R, positive, above that of the locus at the lowest bound. The bend moves to the equal pair with it.
    - `bounds`: (where to begin, how far to go) along. Good values: begin at 1, where R is 0 on the locus.
    - `at`: "peak" (default) or "equal_norm", the paper's: both are approximate reciprocity, R is not 0.
    - `side`: of the restored ratio where to begin, "above" (default at "peak") or "below" (default at "equal_norm",
      where for the stiffness ratio it leads to the anti-resonance at resonance 0, and past the fold at resonance 1).
    - `max_points`: room for points, a static number. `throw`: raise where there is no start.

    **Returns:** a `ReciprocityLocus`, in order along the level set, the bend among its points; it carries no
    derivative. Look at `omega` and at `stable`.

    **Raises:** `ValueError` as `reciprocity_locus`, and for a level that is not positive; `RuntimeError` if `throw` and
    the level is not met at the start.

    **Notes:** at one harmonic and α = 1 all of ω² = (r − 1)/(μ − 1) is reciprocal, a sheet of N_F = N_B that crosses
    the one of equal peaks. Harmonics open the crossing: the curve N_F = N_B comes along one sheet and leaves by the
    other. `restore_reciprocity(at="bend")` is where it turns: all level sets touch the line of these points.

    Source: paper 2, Figures 4, 6 and 7.
    """
    low, high = _checked(pair, amplitude, along, bounds, free, resonance)
    require(at in HOLDS, "at", f"be one of {', '.join(map(repr, HOLDS))}", repr(at))
    side = {"peak": "above", "equal_norm": "below"}[at] if side is None else side
    require(side in ("above", "below"), "side", 'be "above" or "below"', repr(side))
    level = as_real(level, "level")
    require_finite("level", level)
    require(not is_concrete(level) or bool(np.asarray(level) > 0), "level", "be positive", level)
    pair = pair if num_harmonics is None else with_harmonics(pair, num_harmonics)  # pyright: ignore[reportAssignmentType]
    start = restore_reciprocity(replace(pair, {along: low}), amplitude=amplitude, free=free, resonance=resonance)
    forward, backward = (pair.basis.coefficients(start.response.b[:, port]).ravel() for port in (0, 1))
    v = jnp.concatenate([forward, start.omega[None], backward, start.value[None]])
    rows = jnp.zeros((2, forward.size + 1), v.dtype)
    problem = Problem(replace(pair, {along: low}), as_real(amplitude), jnp.asarray(RATIOS.index(free)), rows)
    locus = _level(v, problem, level, (low, high), along, at, side, max_points)
    if throw:
        locus = eqx.tree_at(
            lambda x: x.valid, locus, locus.result.error_if(locus.valid, locus.result == RESULTS.no_start)
        )
    return locus


def _checked(
    pair: DuffingPair, amplitude: ArrayLike, along: str, bounds: tuple, free: str, resonance: int
) -> tuple[Array, Array]:
    require(along in RATIOS, "along", f"be one of {', '.join(map(repr, RATIOS))}", repr(along))
    require(along != free, "along", "differ from free", repr(along))
    low, high = (as_real(bound, "bounds") for bound in bounds)
    if is_concrete(low, high):
        rising = np.all(np.isfinite([low, high])) and np.asarray(low) < np.asarray(high)
        require(rising, "bounds", "be (lowest, highest), in this order", f"({low}, {high})")
        require(along != "mass_ratio" or np.asarray(low) > 0, "bounds", "be positive for a mass", f"({low}, {high})")
    if is_concrete(pair, amplitude):  # What the response does not have it lacks for all ratios.
        one_harmonic_restoration(pair, amplitude=amplitude, free=free, resonance=resonance)
    return low, high


@eqx.filter_jit
def _level(
    v: Array,
    problem: Problem,
    level: Array,
    bounds: tuple[Array, Array],
    along: str,
    at: str,
    side: str,
    max_points: int,
) -> ReciprocityLocus:
    found = walk(v, problem, level, bounds, along=along, at=at, side=side, max_points=max_points)

    def point(u: Array, ratio: Array, valid: Array) -> tuple:
        x = split(jnp.where(valid, u, v))
        model = replace(problem.model(x.value), {along: jnp.where(valid, ratio, bounds[0])})
        both = jnp.stack([valid, valid])
        points = orbits(model, jnp.stack([x.forward, x.backward]), jnp.stack([x.omega, x.omega]), both)
        X = points.b[..., points.harmonics.index(1)]
        R = jnp.sqrt(jnp.sum(difference(u, problem) ** 2))
        gap = points.norm[0, 1] - points.norm[1, 0]
        phase = jnp.angle(X[0, 1] * jnp.conj(X[1, 0]))
        return x.value, x.omega, R, gap, phase, jnp.abs(points.multipliers[:, 0])

    numbers = lax.stop_gradient(jax.vmap(point)(found.v, found.along, found.valid))
    numbers = [jnp.where(found.valid.reshape(-1, *([1] * (x.ndim - 1))), x, jnp.nan) for x in (found.along, *numbers)]
    return ReciprocityLocus(*numbers, valid=found.valid, result=found.result)
