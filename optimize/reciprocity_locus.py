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
from diffnr.continuation import ENDINGS, from_residual, trace
from diffnr.duffing.one_harmonic import RATIOS, one_harmonic_restoration
from diffnr.duffing.oscillators import DuffingPair, require_double, with_harmonics
from diffnr.duffing.points import orbits
from diffnr.parameters import replace
from diffnr.root import newton
from optimize.reciprocal_orbits import AtPeak, Problem, curvatures, difference, sensitivity, split, with_tangents
from optimize.reciprocity import restore_reciprocity


class ReciprocityLocus(eqx.Module):
    """A curve in the plane of two ratios; made by `reciprocity_locus` and by `reciprocity_level`.

    **Fields**, NaN where not `valid`:

    - `along` [point], the ratio that was given; `value` [point], the one that was found.
    - `omega` [point]; `reciprocity_norm` [point], R; `norm_difference` [point], N_F − N_B; `phase_difference` [point],
      Δφ of the fundamentals, rad.
    - `stable` [point, direction], of the forward and of the backward orbit. `valid` [point].
    - `ending`, of `continuation.ENDINGS`: how the walk along a level set ended.
    """

    along: Float[Array, " point"]
    value: Float[Array, " point"]
    omega: Float[Array, " point"]
    reciprocity_norm: Float[Array, " point"]
    norm_difference: Float[Array, " point"]
    phase_difference: Float[Array, " point"]
    stable: Bool[Array, "point direction"]
    valid: Bool[Array, " point"]
    ending: Any

    @property
    def count(self) -> Int[Array, ""]:
        """How many points are valid."""
        return jnp.sum(self.valid)

    @property
    def bend(self) -> Int[Array, ""]:
        """The point at which `along` is largest: where a level set bends back towards the equal pair."""
        return jnp.argmax(jnp.where(self.valid, self.along, -jnp.inf))

    @property
    def stability_changes(self) -> Bool[Array, " interval"]:
        """Between which neighbouring points either orbit becomes stable or unstable, [point − 1]."""
        both = self.valid[1:] & self.valid[:-1]
        return both & jnp.any(self.stable[1:] != self.stable[:-1], axis=-1)

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
    harmonics: int | None = None,
) -> ReciprocityLocus:
    """The restored ratio as a function of another one: `restore_reciprocity` at many values of it, in one call.

    **Arguments:**

    - `pair`, `amplitude`, `free`, `resonance`, `at`, `harmonics`: as for `restore_reciprocity`.
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
    require(isinstance(points, int) and points >= 2, "points", "be an integer of at least 2", repr(points))
    pair = pair if harmonics is None else with_harmonics(pair, harmonics)  # pyright: ignore[reportAssignmentType]
    require_double("pair", pair.mass)
    amplitude = as_real(amplitude, "amplitude")

    return _locus(pair, amplitude, jnp.linspace(low, high, points), along, free, resonance, at)


@eqx.filter_jit
def _locus(
    pair: DuffingPair, amplitude: Array, ratios: Array, along: str, free: str, resonance: int, at: str
) -> ReciprocityLocus:
    def restored(ratio: Array) -> tuple[list[Array], Array, Array]:
        r = restore_reciprocity(
            replace(pair, {along: ratio}), amplitude=amplitude, free=free, resonance=resonance, at=at
        )
        numbers = r.value, r.omega, r.reciprocity_norm, r.norm_difference, r.phase_difference
        numbers = [jnp.where(r.converged, number, jnp.nan) for number in numbers]
        return numbers, r.stable & r.converged, r.converged

    (value, omega, norm, gap, phase), stable, valid = jax.vmap(restored)(ratios)
    along_it = jnp.where(valid, ratios, jnp.nan)
    return ReciprocityLocus(along_it, value, omega, norm, gap, phase, stable, valid, ENDINGS.arrived)


def reciprocity_level(
    pair: DuffingPair,
    *,
    amplitude: ArrayLike,
    level: ArrayLike,
    along: str,
    bounds: tuple[ArrayLike, ArrayLike],
    free: str,
    resonance: int,
    harmonics: int | None = None,
    max_points: int = 200,
    throw: bool = True,
) -> ReciprocityLocus:
    """The level set R = `level` around the locus, with ω held on the peak of the forward output, by continuation.

    It begins at the least of `bounds`, on the side of the larger `free`, and follows the set: to the bend where R
    exceeds the level for every value of `free`, and back on the other side; or to the other bound.

    **Arguments:** as for `reciprocity_locus`, and

    - `level`: [], R, positive, above that of the locus at the lowest bound. The bend moves to the equal pair with it.
    - `bounds`: (where to begin, how far to go) along. Good values: begin at 1, where R is 0 on the locus.
    - `max_points`: room for points, a static number. `throw`: raise where there is no start.

    **Returns:** a `ReciprocityLocus`, in order along the level set; it carries no derivative.

    **Raises:** `ValueError` as `reciprocity_locus`, and for a level that is not positive; `RuntimeError` if `throw` and
    the level is not met at the start.

    Source: paper 2, Figures 4 and 6, whose bend is the least R that is called reciprocal.
    """
    low, high = _checked(pair, amplitude, along, bounds, free, resonance)
    level = as_real(level, "level")
    require_finite("level", level)
    require(not is_concrete(level) or bool(np.asarray(level) > 0), "level", "be positive", level)
    pair = pair if harmonics is None else with_harmonics(pair, harmonics)  # pyright: ignore[reportAssignmentType]
    start = restore_reciprocity(replace(pair, {along: low}), amplitude=amplitude, free=free, resonance=resonance)
    basis = pair.basis
    forward, backward = (basis.coefficients(start.response.b[:, port]).ravel() for port in (0, 1))
    v = jnp.concatenate([forward, start.omega[None], backward, start.value[None]])
    which = jnp.asarray(RATIOS.index(free))
    locus = _level(replace(pair, {along: low}), as_real(amplitude), which, along, v, level, low, high, max_points)
    if throw:
        locus = eqx.tree_at(
            lambda x: x.valid, locus, locus.ending.error_if(locus.valid, locus.ending == ENDINGS.no_start)
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


class _Level(eqx.Module):
    """`AtPeak`, and R² = level², [2 n + 2], of z = v / size: changes that count alike along the set."""

    along: str = eqx.field(static=True)

    def __call__(self, z: Array, ratio: Array, args: tuple[Problem, Array, Array]) -> Array:
        problem, level, size = args
        v = z * size
        problem = eqx.tree_at(lambda x: x.pair, problem, replace(problem.pair, {self.along: ratio}))
        over = jnp.sum((difference(v, problem) / level) ** 2) - 1
        return jnp.append(AtPeak()(v[:-1], (v[-1], problem)), over)


class _LevelAt(eqx.Module):
    """`_Level` at a fixed ratio, for `newton`."""

    along: str = eqx.field(static=True)

    def __call__(self, z: Array, args: tuple[Array, tuple[Problem, Array, Array]]) -> Array:
        return _Level(self.along)(z, *args)


@eqx.filter_jit
def _level(
    pair: DuffingPair,
    amplitude: Array,
    which: Array,
    along: str,
    v: Array,
    level: Array,
    low: Array,
    high: Array,
    max_points: int,
) -> ReciprocityLocus:
    n = (v.size - 2) // 2
    problem = with_tangents(v, Problem(pair, amplitude, which, jnp.zeros((2, n + 1), v.dtype)))
    # R² is a parabola around its minimum over p.
    curvature, _ = curvatures(v, problem)
    room = level**2 - jnp.sum(difference(v, problem) ** 2)
    aside = v + jnp.sqrt(room / curvature) * jnp.append(sensitivity(v, problem), 1.0)
    size = jnp.full_like(v, jnp.linalg.norm(v[:n])).at[n].set(v[n] / 2).at[-1].set(jnp.abs(v[-1]) / 2)
    args = problem, level, size
    begun = newton(_LevelAt(along), aside / size, (low, args)).value
    unit = jnp.ones((), v.dtype)
    branch = trace(
        from_residual(_Level(along)), begun, low, (low, high), args, scale=(unit, (high - low) / 2),
        max_points=max_points,
    )  # fmt: skip
    y, begun = branch.y * size, begun * size
    valid = jnp.arange(max_points) < branch.count

    def point(v: Array, ratio: Array, valid: Array) -> tuple:
        x = split(jnp.where(valid, v, begun))
        model = replace(problem.model(x.value), {along: jnp.where(valid, ratio, low)})
        both = jnp.stack([valid, valid])
        points = orbits(model, jnp.stack([x.forward, x.backward]), jnp.stack([x.omega, x.omega]), both)
        X = points.b[..., points.harmonics.index(1)]
        R = jnp.sqrt(jnp.sum(difference(v, problem) ** 2))
        gap = points.norm[0, 1] - points.norm[1, 0]
        return R, gap, jnp.angle(X[0, 1] * jnp.conj(X[1, 0])), points.stable

    R, gap, phase, stable = lax.stop_gradient(jax.vmap(point)(y, branch.parameter, valid))
    return ReciprocityLocus(branch.parameter, y[:, -1], y[:, n], R, gap, phase, stable, valid, branch.ending)
