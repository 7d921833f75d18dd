"""Phase nonreciprocity of a pair: where both directions have outputs of one norm, and differ by a phase only.

N_F = N_B at one frequency      (F: oscillator 0 driven, output 1; B: oscillator 1 driven, output 0)
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Complex, Float, Int

from diffnr.checks import as_range, as_real, is_concrete, require, require_finite
from diffnr.duffing.oscillators import DuffingPair, require_double, with_harmonics
from diffnr.duffing.points import orbits
from diffnr.metrics import mean_square
from diffnr.results import RESULTS
from diffnr.root import implicit
from optimize.reciprocity.equal_norms import Driven, EqualNorms, roots, split


class EqualNormPoints(eqx.Module):
    """Pairs of orbits with N_F = N_B at one frequency; NaN beyond `count`. Direction 0 is forward, 1 backward.

    **Fields:** `omega` [point]; `b` [point, out, in, harmonic] complex, x(t) = Re Σ b_h e^{ihωt} of both oscillators,
    driven at `in`; `multipliers` [point, direction, 4] complex, Floquet's, largest modulus first; `count` [];
    `harmonics`, the last axis of b.
    """

    omega: Float[Array, " point"]
    b: Complex[Array, "point out in harmonic"]
    multipliers: Complex[Array, "point direction state"]
    count: Int[Array, ""]
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
    def phase_difference(self) -> Float[Array, "*batch point"]:
        """Δφ = φ_F − φ_B of the fundamentals, in (−π, π], rad."""
        first = self.outputs[..., self.harmonics.index(1)]
        phase = jnp.angle(first[..., 0] * jnp.conj(first[..., 1]))
        return jnp.where(phase == -jnp.pi, jnp.pi, phase)

    @property
    def reciprocity_norm(self) -> Float[Array, "*batch point"]:
        """R = √(1/T ∫(x_F − x_B)² dt)."""
        squared = mean_square(self.outputs[..., 0, :] - self.outputs[..., 1, :], self.harmonics)
        still = squared == 0  # it has no derivative there
        return jnp.where(still, 0.0, jnp.sqrt(jnp.where(still, 1.0, squared)))

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
        return EqualNormPoints(omega, b, multipliers, jnp.sum(~jnp.isnan(omega)), self.harmonics)


def equal_norm_points(
    pair: DuffingPair,
    *,
    amplitude: ArrayLike,
    band: tuple[ArrayLike, ArrayLike],
    num_harmonics: int | None = None,
    most: int = 8,
    max_points: int = 400,
    throw: bool = True,
) -> EqualNormPoints:
    """All frequencies at which the outputs of both directions have one norm, on every sheet of the two branches:

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
    low, high = as_range(band, "band", positive=True)
    for name, value in (("most", most), ("max_points", max_points)):
        require(isinstance(value, int) and value >= 1, name, "be an integer of at least 1", repr(value))
    points, begun = _equal_norm_points(checked(pair, amplitude, num_harmonics), low, high, most, max_points)
    if throw:
        result = RESULTS.where(begun, RESULTS.successful, RESULTS.no_start)
        points = eqx.tree_at(lambda p: p.count, points, result.error_if(points.count, ~begun))
    return points


def checked(pair: DuffingPair, amplitude: ArrayLike, num_harmonics: int | None) -> Driven:
    """The pair, with its highest harmonic, and the amplitude, if they can be computed with."""
    pair = pair if num_harmonics is None else with_harmonics(pair, num_harmonics)  # pyright: ignore[reportAssignmentType]
    require_double("pair", pair.mass)
    amplitude = as_real(amplitude, "amplitude")
    require(amplitude.ndim == 0, "amplitude", "be a scalar (use jax.vmap for many)", f"of shape {amplitude.shape}")
    require_finite("amplitude", amplitude)
    require(not is_concrete(amplitude) or np.asarray(amplitude) != 0, "amplitude", "differ from 0", amplitude)
    return Driven(pair, amplitude)


def points_at(u: Float[Array, "point k"], driven: Driven, valid: Bool[Array, " point"]) -> EqualNormPoints:
    """The points at u, all of one pair."""
    y, omega = jax.vmap(split)(u)
    both = jnp.repeat(valid, 2)
    every = orbits(driven.pair, y.reshape(-1, y.shape[-1]), jnp.repeat(omega, 2), both)
    b = every.b.reshape(valid.size, 2, *every.b.shape[1:]).swapaxes(1, 2)
    multipliers = every.multipliers.reshape(valid.size, 2, -1)
    return EqualNormPoints(jnp.where(valid, omega, jnp.nan), b, multipliers, jnp.sum(valid), every.harmonics)


@eqx.filter_jit
def _equal_norm_points(
    driven: Driven, low: Array, high: Array, most: int, max_points: int
) -> tuple[EqualNormPoints, Bool[Array, ""]]:
    u, valid, begun = roots(lax.stop_gradient(driven), low, high, most, max_points)
    u = jax.vmap(lambda u, valid: implicit(EqualNorms(), u, (driven, valid)))(u, valid)
    return points_at(u, driven, valid), begun
