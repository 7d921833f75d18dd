"""Phase nonreciprocity of a pair: where both directions have outputs of one norm, and differ by a phase only.

N_F = N_B at one frequency      (F: oscillator 0 driven, output 1; B: oscillator 1 driven, output 0)
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.checks import Count, Numbers, as_count, as_flag, as_range
from diffnr.duffing.oscillators import DuffingPair
from diffnr.metrics import mean_square
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import implicit
from optimize.reciprocity.both_ways import DrivenPair, EqualNormsWhere, as_driven, orbits_at, split
from optimize.reciprocity.equal_norms import roots


class EqualNormPoints(AbstractAnswer):
    """Pairs of orbits with N_F = N_B at one frequency; NaN beyond `count`. Direction 0 is forward, 1 backward.

    **Fields:** `omega` [point]; `b` [point, out, in, harmonic] complex, x(t) = Re Σ b_h e^{ihωt} of both oscillators,
    driven at `in`; `multipliers` [point, direction, 4] complex, Floquet's, largest modulus first; `count` [];
    `result`, of `RESULTS`; `harmonics`, the last axis of b.
    """

    omega: Float[Array, " point"]
    b: Complex[Array, "point out in harmonic"]
    multipliers: Complex[Array, "point direction state"]
    count: Int[Array, ""]
    result: Any
    harmonics: tuple[int, ...] = eqx.field(static=True)

    @property
    def valid(self) -> Bool[Array, "*batch point"]:
        """Which points there are."""
        return jnp.arange(self.omega.shape[-1]) < self.count[..., None]

    @property
    def outputs(self) -> Complex[Array, "*batch point direction harmonic"]:
        """The harmonics of both outputs: b[1, 0] and b[0, 1]."""
        return jnp.stack([self.b[..., 1, 0, :], self.b[..., 0, 1, :]], axis=-2)

    @property
    def norm(self) -> Float[Array, "*batch point"]:
        """N = √(1/T ∫x² dt), of the forward output; that of the backward one is the same."""
        return jnp.sqrt(mean_square(self.outputs[..., 0, :], self.harmonics))

    @property
    def nonreciprocal_phase(self) -> Float[Array, "*batch point"]:
        """Δφ = φ_F − φ_B of the fundamentals, in (−π, π], rad."""
        first = self.outputs[..., self.harmonics.index(1)]
        phase = jnp.angle(first[..., 0] * jnp.conj(first[..., 1]))
        return jnp.where(phase == -jnp.pi, jnp.pi, phase)

    @property
    def reciprocity_norm(self) -> Float[Array, "*batch point"]:
        """R = √(1/T ∫(x_F − x_B)² dt)."""
        squared = mean_square(self.outputs[..., 0, :] - self.outputs[..., 1, :], self.harmonics)
        zero = squared == 0  # it has no derivative there
        return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))

    @property
    def harmonicity(self) -> Float[Array, "*batch point direction"]:
        """|X_1| / √(Σ|X_h|²) of both outputs: 1 for a pure tone."""
        power = self.outputs.real**2 + self.outputs.imag**2
        return jnp.sqrt(power[..., self.harmonics.index(1)] / jnp.sum(power, axis=-1))

    @property
    def stable(self) -> Bool[Array, "*batch point direction"]:
        """Whether all multipliers of an orbit lie inside of the unit circle."""
        return jnp.abs(self.multipliers[..., 0]) < 1

    def trim(self) -> EqualNormPoints:
        """The points alone, for people; not inside a transformation."""
        return self[: int(self.count)]

    def __getitem__(self, index: slice | np.ndarray) -> EqualNormPoints:
        omega, b, multipliers = self.omega[index], self.b[index], self.multipliers[index]
        return EqualNormPoints(omega, b, multipliers, jnp.sum(~jnp.isnan(omega)), self.result, self.harmonics)


def equal_norm_points(
    pair: DuffingPair,
    *,
    amplitude: Numbers,
    band: tuple[Numbers, Numbers],
    num_harmonics: Count | None = None,
    most: Count = 8,
    max_points: Count = 400,
    throw: bool = True,
) -> EqualNormPoints:
    """All frequencies at which the outputs of both directions have one norm, wherever the two branches fold:

        N_F(ω) = N_B(ω),      N² = 1/T ∫x² dt

    **Arguments:**

    - `pair`: a `duffing.DuffingPair`, in float64. `amplitude`: [], P, of the force.
    - `band`: (lowest, highest) frequency. Both branches begin at the lowest, with the orbits continued from the linear
      response, as those of `duffing.frequency_response`.
    - `num_harmonics`: the highest harmonic of orbits; default the pair's.
    - `most`: room for as many points; `max_points`: room for the points of a branch; static numbers.
    - `throw`: raise where a branch has not even a start.

    **Returns:** `EqualNormPoints`, in order along the forward branch, the first `most` of them. Their derivatives with
    respect to the pair and the amplitude are exact.

    **Raises:** `ValueError` for bounds that are not positive and rising, float32, numbers that are not positive;
    `RuntimeError` if `throw` and there is no start.

    **Notes:** both norms are compared at the frequencies of all points of both branches, exactly, since in between the
    resonances the two curves differ by less than chords of them do. Two crossings between two neighbouring points (a
    double root, nearly) may be missed. A pair of mirror symmetry has N_F = N_B everywhere and no point of its own.

    Source: paper 2, Figure 1.
    """
    driven = as_driven(pair, amplitude, num_harmonics)
    low, high = as_range(band, "band", positive=True)
    most, max_points, throw = (
        as_count(most, "most"),
        as_count(max_points, "max_points", least=2),
        as_flag(throw, "throw"),
    )
    u, valid, begun = roots(lax.stop_gradient(driven), low, high, most, max_points)
    points = _points(u, driven, valid, begun)
    return raise_failures(points, points.result) if throw else points


@eqx.filter_jit
def _points(u: Array, driven: DrivenPair, valid: Array, begun: Array) -> EqualNormPoints:
    u = jax.vmap(lambda u, valid: implicit(EqualNormsWhere(), u, (driven, valid)))(u, valid)
    same = jax.tree_util.tree_map(lambda x: jnp.broadcast_to(x, valid.shape), driven)
    return points_at(u, same, valid, RESULTS.where(begun, RESULTS.successful, RESULTS.no_start))


def points_at(
    u: Float[Array, "point k"], driven: DrivenPair, valid: Bool[Array, " point"], result: Any
) -> EqualNormPoints:
    """The points at u, each of a pair of its own: all numbers of `driven` are [point]."""
    omega = jnp.where(valid, jax.vmap(lambda u: split(u).omega)(u), jnp.nan)
    every = jax.vmap(orbits_at)(u, driven, valid)
    b = every.b.swapaxes(1, 2)
    return EqualNormPoints(omega, b, every.multipliers, jnp.sum(valid), result, every.harmonics)
