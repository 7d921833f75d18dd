"""Where in the plane of two numbers oscillators are reciprocal at a resonance: the curve, and level sets of R."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from diffnr.checks import Count, Numbers, as_choice, as_count, as_flag, as_positive, as_range, is_concrete, require
from diffnr.compilation import compiled
from diffnr.duffing.one_harmonic import OneHarmonicRestoration, one_harmonic_restoration
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import frozen
from diffnr.tables import AbstractTabular
from optimize.reciprocity.both_ways import DrivenBothWays, as_driven, difference, orbits_at
from optimize.reciprocity.level_sets import HELD, follow_level, pair_at
from optimize.reciprocity.restoration import Restoration, judged
from optimize.reciprocity.restore import (
    AT,
    MAX_STEPS,
    first_guess,
    has_closed_form,
    restore_from,
    search,
    search_from,
)
from optimize.reciprocity.restored_orbits import FreeRatio
from optimize.reciprocity.starts import Start, beside, start_from


class ReciprocityLocus(AbstractAnswer, AbstractTabular):
    """A curve in the plane of two numbers; made by `reciprocity_locus` and by `reciprocity_level`.

    **Fields**, NaN where not `valid`:

    - `along`: the name of the ratio that was given; `parameter` [point], its values; `ratio` [point], the one found.
    - `omega` [point]; `reciprocity_norm` [point], R; `norm_difference` [point], N_F − N_B; `nonreciprocal_phase`
      [point], Δφ of the fundamentals, rad.
    - `growth` [point, direction], the largest modulus of the Floquet multipliers of the forward and of the backward
      orbit; `stable` [point, direction], whether it is below 1. `valid` [point].
    - `result`, of `RESULTS`: [point], how each search ended; of a level set [], how following it ended.
    """

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "parameter": (),
        "ratio": (),
        "omega": (),
        "reciprocity_norm": (),
        "norm_difference": (),
        "nonreciprocal_phase": (),
        "growth": ("direction",),
        "stable": ("direction",),
    }

    parameter: Float[Array, " point"]
    ratio: Float[Array, " point"]
    omega: Float[Array, " point"]
    reciprocity_norm: Float[Array, " point"]
    norm_difference: Float[Array, " point"]
    nonreciprocal_phase: Float[Array, " point"]
    growth: Float[Array, "point direction"]
    valid: Bool[Array, " point"]
    result: Any
    along: str = eqx.field(static=True, default="")

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
        """The point at which `parameter` first turns back, by Newton's method; where it never does, the last one."""
        back = self.parameter[1:] < self.parameter[:-1]
        last = jnp.max(jnp.where(self.valid, jnp.arange(self.valid.size), 0))
        return jnp.where(jnp.any(back), jnp.argmax(back), last)

    @property
    def stability_changes(self) -> Bool[Array, " interval"]:
        """Between which neighbouring points either orbit becomes stable or unstable, [point − 1]."""
        both = self.valid[1:] & self.valid[:-1]
        return both & jnp.any(self.stable[1:] != self.stable[:-1], axis=-1)

    @property
    def changed_at(self) -> Float[Array, " interval"]:
        """`parameter` where stability changes, [point − 1], by linear interpolation of `growth`; NaN elsewhere."""
        over = self.growth - 1
        share = over[:-1] / (over[:-1] - over[1:])
        first = jnp.min(jnp.where((share >= 0) & (share <= 1), share, 1.0), axis=-1)
        there = self.parameter[:-1] + first * (self.parameter[1:] - self.parameter[:-1])
        return jnp.where(self.stability_changes, there, jnp.nan)

    def trim(self) -> ReciprocityLocus:
        """The valid points alone, for people; not inside a transformation.

        Of a batch those that are valid in any of its elements."""
        axis = self.valid.ndim - 1
        keep = np.flatnonzero(np.any(np.asarray(self.valid), axis=tuple(range(axis))))
        return jax.tree_util.tree_map(
            lambda x: jnp.take(x, keep, axis) if eqx.is_array(x) and x.ndim > axis else x, self
        )


def reciprocity_locus(
    pair: Any,
    *,
    amplitude: Numbers,
    along: str,
    bounds: tuple[Numbers, Numbers],
    free: str,
    resonance: Count,
    at: str = "peak",
    points: Count = 43,
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    throw: bool = False,
) -> ReciprocityLocus:
    """The restored number as a function of another one: `restore_reciprocity` at many values of it, in one call.

    **Arguments:**

    - `pair`, `amplitude`, `free`, `resonance`, `at`, `ports`, `num_harmonics`: as for `restore_reciprocity`.
    - `along`: the number that breaks the symmetry, "mass_ratio" or any other path, or "amplitude"; not `free`.
    - `bounds`: (lowest, highest) value of it; `points`: how many values, equally spaced, the bounds among them.
    - `throw`: raise where a search failed; by default its point is NaN, and `result` says why.

    **Returns:** a `ReciprocityLocus`, with exact derivatives with respect to the pair, the amplitude and the bounds.
    A point where the search failed is not valid, and the others are what they are without it.

    **Raises:** `ValueError` as `restore_reciprocity`; for a number along which to go that does not exist or is `free`;
    for bounds that do not rise. `RuntimeError` if `throw` and a search failed.

        optimize.reciprocity_locus(
            pair, amplitude=0.15, along="mass_ratio", bounds=(1.0, 3.0), free="stiffness_ratio", resonance=1
        ).ratio

    **Notes:** where there is a closed form of one harmonic (the ratios of a pair) each search begins there; elsewhere
    each begins beside the point before it, or at the peaks that the oscillators have there. All are at the resonance.
    The slope of a stiffness ratio along the mass ratio is near to ω²: 11.03 at resonance 1 for k_c = 5. R grows with
    the distance from the equal pair, fast at resonance 0.

    Source: paper 2, Figures 4, 6 and 7: their resonant segments.
    """
    driven, low, high, resonance = _asked(pair, amplitude, ports, num_harmonics, along, bounds, free, resonance)
    as_choice(at, "at", AT)
    points, throw = as_count(points, "points", least=2), as_flag(throw, "throw")
    values = jnp.linspace(low, high, points)
    which = jnp.asarray(driven.which(along, "along")), jnp.asarray(driven.which(free, "free"))
    if has_closed_form(driven, free):
        numbers, result = _separately(driven, values, *which, _guesses(driven, values, which[0], free, resonance), at)
    else:
        numbers, result = _in_order(driven, values, *which, jnp.asarray(resonance), at)
    locus = ReciprocityLocus(*numbers, valid=result == RESULTS.successful, result=result, along=along)
    return raise_failures(locus, result) if throw else locus


@compiled
def _guesses(driven: DrivenBothWays, values: Array, along: Array, free: str, resonance: int) -> OneHarmonicRestoration:
    def guess(value: Array) -> OneHarmonicRestoration:
        there = driven.with_numbers(along, value)
        return one_harmonic_restoration(
            there.model, amplitude=there.amplitude, free=free, resonance=resonance, throw=False
        )

    return jax.vmap(guess)(values)


@compiled
def _separately(
    driven: DrivenBothWays, values: Array, along: Array, free: Array, guesses: OneHarmonicRestoration, at: str
) -> tuple[list[Array], Any]:
    def restored(value: Array, guess: OneHarmonicRestoration) -> tuple[list[Array], Any]:
        return _numbers(value, restore_from(driven.with_numbers(along, value), free, guess, at))

    return jax.vmap(restored)(values, guesses)


@compiled
def _in_order(
    driven: DrivenBothWays, values: Array, along: Array, free: Array, resonance: Array, at: str
) -> tuple[list[Array], Any]:
    """Each point from beside the one before it; from the peaks at its value where there is none."""
    n = driven.forces.shape[1]
    nowhere, no_shape = jnp.zeros(2 * n + 2), jnp.zeros(2, jnp.result_type(values, jnp.complex64))

    def next_one(before: tuple[Array, Array, Array], value: Array) -> tuple[tuple, tuple[list[Array], Any]]:
        v, shape, known = before
        there = driven.with_numbers(along, value)
        held = frozen(there)
        begun = beside(v, shape, held, free)
        near = known & jnp.all(jnp.isfinite(begun.v))
        v, rows, shape = lax.cond(
            near, lambda: _arrays(begun), lambda: _arrays(start_from(held, free, resonance, MAX_STEPS))
        )
        begun = Start(v, FreeRatio(there, free, rows), shape)
        found, result = search_from(begun, at, MAX_STEPS)
        restored = judged(begun, found, result, None, at)
        return (frozen(found), shape, restored.converged), _numbers(value, restored)

    return lax.scan(next_one, (nowhere, no_shape, jnp.zeros((), bool)), values)[1]


def _arrays(start: Start) -> tuple[Array, Array, Array]:
    return start.v, start.free.rows, start.shape


def _numbers(value: Array, restored: Restoration) -> tuple[list[Array], Any]:
    r = restored
    growth = jnp.abs(r.multipliers[:, 0])
    numbers = r.ratio, r.omega, r.reciprocity_norm, r.norm_difference, r.nonreciprocal_phase, growth
    return [jnp.where(r.converged, value, jnp.nan), *numbers], r.result


def reciprocity_level(
    pair: Any,
    *,
    amplitude: Numbers,
    level: Numbers,
    along: str,
    bounds: tuple[Numbers, Numbers],
    free: str,
    resonance: Count,
    at: str = "peak",
    side: str | None = None,
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    max_points: Count = 200,
    throw: bool = True,
) -> ReciprocityLocus:
    """The set of pairs whose R is `level`, a locus of approximate reciprocity, by continuation:

        "peak":        R = level,  ω on the peak of the forward output
        "equal_norm":  R = level,  N_F = N_B,  ω free

    It begins beside the restored point at the least of `bounds` and follows the set: along the resonance to the bend,
    and back. At "peak" that is to the other side of the locus, beyond the bend R exceeds the level for every value of
    `free`. At "equal_norm" ω leaves the resonance there, and the set goes on at the anti-resonance, or on the lower
    branch of the response, to the other bound.

    **Arguments:** as for `reciprocity_locus`, and

    - `level`: [], R, positive, above that of the locus at the lowest bound. The bend moves to the equal pair with it.
    - `bounds`: (where to begin, how far to go) along. Good values: begin at 1, where R is 0 on the locus.
    - `at`: "peak" (default) or "equal_norm", the paper's: both are approximate reciprocity, R is not 0.
    - `side`: of the restored ratio where to begin, "above" (default at "peak") or "below" (default at "equal_norm",
      where for the stiffness ratio it leads to the anti-resonance at resonance 0, and past the fold at resonance 1).
    - `max_points`: room for points, a static number.
    - `throw`: raise where there is no start. A set that stops short is returned, and `message` says why.

    **Returns:** a `ReciprocityLocus`, in order along the level set, the bend among its points; it carries no
    derivative. Look at `omega` and at `stable`.

    **Raises:** `ValueError` as `reciprocity_locus`, and for a level that is not positive; `RuntimeError` if `throw` and
    the level is not met at the start.

    **Notes:** at one harmonic and α = 1 all of ω² = (r − 1)/(μ − 1) is reciprocal, a branch of N_F = N_B that crosses
    the one of equal peaks. Harmonics open the crossing: the curve N_F = N_B comes along one branch and leaves by the
    other. `restore_reciprocity(at="bend")` is where it turns: all level sets touch the line of these points.

    Source: paper 2, Figures 4, 6 and 7.
    """
    driven, low, high, resonance = _asked(pair, amplitude, ports, num_harmonics, along, bounds, free, resonance)
    as_choice(at, "at", HELD)
    side = {"peak": "above", "equal_norm": "below"}[at] if side is None else side
    as_choice(side, "side", ("above", "below"))
    level = as_positive(level, "level")
    max_points, throw = as_count(max_points, "max_points", least=2), as_flag(throw, "throw")
    index, which = jnp.asarray(driven.which(along, "along")), jnp.asarray(driven.which(free, "free"))
    driven = driven.with_numbers(index, low)
    start, v, _ = search(driven, which, first_guess(driven, free, resonance), "peak", MAX_STEPS)
    restored = start.free
    numbers, valid, result = _level(v, restored, index, level, (low, high), at, side, max_points)
    locus = ReciprocityLocus(*numbers, valid=valid, result=result, along=along)
    # A level set that stops short is an answer too: its result says why.
    begun = RESULTS.where(result == RESULTS.no_level, result, RESULTS.successful)
    return raise_failures(locus, begun) if throw else locus


def _asked(
    pair: Any, amplitude: Any, ports: Any, num_harmonics: Any, along: Any, bounds: Any, free: Any, resonance: Any
) -> tuple[DrivenBothWays, Array, Array, int]:
    driven = as_driven(pair, amplitude, num_harmonics, ports)
    driven.which(along, "along")
    driven.which(free, "free")
    require(along != free, "along", "differ from free", repr(along))
    low, high = as_range(bounds, "bounds")
    least, strict = driven.least(along)
    if is_concrete(low):
        below = np.asarray(low) < least or (np.asarray(low) == least and strict)
        must = f"be positive for {along}" if strict else f"not be negative for {along}"
        require(not below, "bounds", must, f"({float(low):g}, …)")
    resonance = as_count(resonance, "resonance", least=0, most=driven.model.num_ports - 1)
    if is_concrete(driven):  # What the response does not have it lacks for all ratios.
        first_guess(driven, free, resonance)
    return driven, low, high, resonance


@compiled
def _level(
    v: Array,
    free: FreeRatio,
    along: Array,
    level: Array,
    bounds: tuple[Array, Array],
    at: str,
    side: str,
    max_points: int,
) -> tuple[list[Array], Array, Any]:
    found = follow_level(v, free, along, level, bounds, at=at, side=side, max_points=max_points)

    def point(w: Array, value: Array, valid: Array) -> tuple:
        w = jnp.where(valid, w, v)
        driven = pair_at(free, along, w[-1], jnp.where(valid, value, bounds[0]))
        points = orbits_at(w[:-1], driven, valid)
        X = points.b[..., points.harmonics.index(1)]
        R = jnp.sqrt(jnp.sum(difference(w[:-1], driven) ** 2))
        first, last = driven.ports
        gap = points.norm[0, last] - points.norm[1, first]
        phase = jnp.angle(X[0, last] * jnp.conj(X[1, first]))
        return w[-1], points.omega[0], R, gap, phase, jnp.abs(points.multipliers[:, 0])

    numbers = lax.stop_gradient(jax.vmap(point)(found.v, found.parameter, found.valid))
    numbers = [
        jnp.where(found.valid.reshape(-1, *([1] * (x.ndim - 1))), x, jnp.nan) for x in (found.parameter, *numbers)
    ]
    result = RESULTS.where(found.result == RESULTS.no_start, RESULTS.no_level, found.result)
    return numbers, found.valid, result
