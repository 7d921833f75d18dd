"""Where both directions have outputs of one norm, and differ by a phase only; or of one phase, and differ in size.

N_F = N_B  or  Δφ = 0  at one frequency      (F: the first port driven, the second one the output; B: the reverse)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffnr.checks import Count, Numbers, as_count, as_flag, as_range
from diffnr.compilation import compiled
from diffnr.results import RESULTS, raise_failures
from diffnr.root import frozen, implicit
from optimize.reciprocity.both_ways import DrivenBothWays, Equal, EqualWhere, as_driven, orbits_at, split
from optimize.reciprocity.equal_outputs import roots
from optimize.reciprocity.points import EqualNormPoints, EqualPhasePoints


def equal_norm_points(
    pair: Any,
    *,
    amplitude: Numbers,
    band: tuple[Numbers, Numbers],
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    most: Count = 8,
    max_points: Count = 400,
    throw: bool = True,
) -> EqualNormPoints:
    """All frequencies at which the outputs of both directions have one norm, wherever the two branches fold:

        N_F(ω) = N_B(ω),      N² = 1/T ∫x² dt

    **Arguments:**

    - `pair`: a `duffing.DuffingPair`, or any other model of two oscillators or more, in float64. `amplitude`: [], P, of
      the force.
    - `band`: (lowest, highest) frequency. Both branches begin at the lowest, with the orbits continued from the linear
      response, as those of `duffing.frequency_response`.
    - `ports`: the two oscillators that are driven and looked at in turn; default the first and the last one.
    - `num_harmonics`: the highest harmonic of orbits; default the model's.
    - `most`: room for as many points; `max_points`: room for the points of a branch; static numbers.
    - `throw`: raise where a branch has not even a start.

    **Returns:** `EqualNormPoints`, in order along the forward branch, the first `most` of them. Their derivatives with
    respect to the model and the amplitude are exact.

    **Raises:** `ValueError` for what is no such model, ports that are not two of its oscillators, bounds that are not
    positive and rising, float32, numbers that are not positive; `RuntimeError` if `throw` and there is no start.

    **Notes:** both norms are compared at the frequencies of all points of both branches, exactly, since in between the
    resonances the two curves differ by less than chords of them do. Two crossings between two neighbouring points (a
    double root, nearly) may be missed. A pair of mirror symmetry has N_F = N_B everywhere and no point of its own.

    Source: paper 2, Figure 1.
    """
    return _equal_points(Equal("norm"), pair, amplitude, band, ports, num_harmonics, most, max_points, throw)


def equal_phase_points(
    pair: Any,
    *,
    amplitude: Numbers,
    band: tuple[Numbers, Numbers],
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    most: Count = 8,
    max_points: Count = 400,
    throw: bool = True,
) -> EqualPhasePoints:
    """All frequencies at which the fundamentals of the outputs of both directions have one phase, and differ in size:

        φ_F(ω) = φ_B(ω),      x(t) = |X| cos(ωt + φ) + higher harmonics

    **Arguments**, and what is raised: as for `equal_norm_points`.

    **Returns:** `EqualPhasePoints`, in order along the forward branch, the first `most` of them, with exact
    derivatives. Their `norm` has N_F and N_B.

        optimize.equal_phase_points(pair, amplitude=0.5, band=(0.5, 4.0)).norm

    **Notes:** outputs of opposite phases are left out. With equal masses, springs and cubic terms Δφ = 0 everywhere,
    and there is no point of its own. For hardening pairs N_F and N_B differ by less than a hundredth at such points.

    Source: arXiv 2503.21901, "phase-preserving" nonreciprocity.
    """
    return _equal_points(Equal("phase"), pair, amplitude, band, ports, num_harmonics, most, max_points, throw)


def _equal_points(
    equal: Equal,
    pair: Any,
    amplitude: Any,
    band: Any,
    ports: Any,
    num_harmonics: Any,
    most: Any,
    max_points: Any,
    throw: Any,
) -> Any:
    driven = as_driven(pair, amplitude, num_harmonics, ports)
    low, high = as_range(band, "band", positive=True)
    most, max_points, throw = (
        as_count(most, "most"),
        as_count(max_points, "max_points", least=2),
        as_flag(throw, "throw"),
    )
    u, valid, begun = roots(frozen(driven), low, high, most, max_points, equal)
    points = _points(u, driven, valid, begun, equal)
    return raise_failures(points, points.result) if throw else points


@compiled
def _points(u: Array, driven: DrivenBothWays, valid: Array, begun: Array, equal: Equal) -> Any:
    u = jax.vmap(lambda u, valid: implicit(EqualWhere(equal), u, (driven, valid)))(u, valid)
    result = RESULTS.where(begun, RESULTS.successful, RESULTS.no_start)
    return points_at(u, lambda _: driven, jnp.zeros(valid.shape), valid, result, equal)


def points_at(
    u: Float[Array, "point k"],
    driven_at: Callable[[Array], DrivenBothWays],
    values: Float[Array, "point *free"],
    valid: Bool[Array, " point"],
    result: Any,
    equal: Equal,
) -> Any:
    """The points at u, each of oscillators of its own: those that `driven_at` makes of its `values`."""
    omega = jnp.where(valid, jax.vmap(lambda u: split(u).omega)(u), jnp.nan)
    every = jax.vmap(lambda u, value, valid: orbits_at(u, driven_at(value), valid))(u, values, valid)
    b = every.b.swapaxes(1, 2)
    kind = EqualNormPoints if equal.what == "norm" else EqualPhasePoints
    ports = driven_at(values[0]).ports
    return kind(omega, b, every.multipliers, jnp.sum(valid), result, every.harmonics, ports)
