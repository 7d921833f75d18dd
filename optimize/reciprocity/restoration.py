"""What a search for restored reciprocity found, and whether it is what was asked for."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.checks import is_concrete
from diffnr.duffing.one_harmonic import RATIOS, OneHarmonicRestoration
from diffnr.duffing.oscillators import DuffingPair
from diffnr.metrics import mean_square, nonreciprocal_phase
from diffnr.ports import Drive, PortResponse
from diffnr.results import RESULTS, AbstractAnswer
from optimize.objectives import reciprocity_residual
from optimize.reciprocity.both_ways import CONDITION, orbits_at, split
from optimize.reciprocity.restored_orbits import EqualFundamentals, FreeRatio, curvatures

RECIPROCAL = 1e-9  # R by which N is still called 0


class Restoration(AbstractAnswer):
    """What `restore_reciprocity` returns; a direction is 0, forward (oscillator 0 driven, 1 looked at), or 1, backward.

    **Fields:**

    - `model`: the pair with its new ratio. `ratio` [], the free one; NaN where the search failed.
    - `omega` [], the frequency. `reciprocity_norm` [], R; `norm_difference` [], N_F − N_B; `nonreciprocal_phase` [],
      Δφ of the fundamentals, in (−π, π], rad.
    - `stable` [direction]; `multipliers` [direction, 4] complex, Floquet's, largest modulus first.
    - `response`: both orbits, as a `PortResponse`: b [out, in, harmonic].
    - `guess`: the closed form of one harmonic, where the search began.
    - `condition` []: for "equal_norm" the condition number of the two equations in the ratio and in ω; NaN for "peak".
    - `result`, of `RESULTS`; `which` [], the index of the free ratio.
    """

    model: DuffingPair
    ratio: Float[Array, ""]
    omega: Float[Array, ""]
    reciprocity_norm: Float[Array, ""]
    norm_difference: Float[Array, ""]
    nonreciprocal_phase: Float[Array, ""]
    stable: Bool[Array, " direction"]
    multipliers: Complex[Array, "direction state"]
    response: PortResponse
    guess: OneHarmonicRestoration
    condition: Float[Array, ""]
    result: Any
    which: Int[Array, ""]

    @property
    def free(self) -> str:
        """The name of the ratio that was free."""
        return RATIOS[int(self.which)]

    @property
    def norm(self) -> Float[Array, " direction"]:
        """N_F and N_B of the outputs."""
        b = jnp.stack([self.response.b[1, 0], self.response.b[0, 1]])
        return jnp.sqrt(mean_square(b, self.response.harmonics))

    @property
    def approximate(self) -> Bool[Array, ""]:
        """Whether reciprocity is restored approximately only: R is not 0."""
        return ~(self.reciprocity_norm <= RECIPROCAL * self.norm[0])

    @property
    def message(self) -> str:
        """How it ended, in a sentence."""
        if not is_concrete(self.result) or self.ratio.ndim > 0 or not self.converged:
            return super().message
        if not self.approximate:
            return "Reciprocity is restored: R = 0."
        share = float(self.reciprocity_norm / self.norm[0])
        return (
            f"Reciprocity is restored approximately: R = {float(self.reciprocity_norm):.6g} remains, {share:.2g} of "
            "the output's norm, as higher harmonics are not reciprocal at the same point."
        )

    def report(self) -> str:
        """The restored point in a few lines of text."""
        rows = {
            self.free: f"{float(self.ratio):.9g} (one harmonic: {float(self.guess.ratio):.9g})",
            "omega": f"{float(self.omega):.9g} (one harmonic: {float(self.guess.omega):.9g})",
            "R": f"{float(self.reciprocity_norm):.7g}",
            "N_F − N_B": f"{float(self.norm_difference):.7g} of {float(self.norm[0]):.7g}",
            "Δφ": f"{float(self.nonreciprocal_phase):.7g} rad",
            "stable": f"forward {bool(self.stable[0])}, backward {bool(self.stable[1])}",
        }
        return "\n".join([self.message, *(f"{name:<18}{value}" for name, value in rows.items())])


@eqx.filter_jit
def judged(start: Array, v: Array, result: Any, free: FreeRatio, guess: OneHarmonicRestoration, at: str) -> Restoration:
    """The restoration at v, and whether it is one."""
    # Where the search failed it is judged at a finite point nevertheless, and hidden afterwards.
    converged = result == RESULTS.successful
    begun = jnp.all(jnp.isfinite(start))
    v = jnp.where(converged & begun, v, jnp.where(begun, start, 1.0))
    result = RESULTS.where(_same_shape(v, free, guess), RESULTS.successful, RESULTS.other_resonance)
    condition = known = jnp.full((), jnp.nan)
    if at == "peak":
        of = curvatures(*lax.stop_gradient((v, free)))
        minimum, known = (of.misfit > 0) & (of.output < 0), of.misfit
        result = RESULTS.where(minimum, result, RESULTS.no_minimum)
    elif at == "equal_norm":
        condition = known = _condition(v, free)
    else:
        known = jnp.zeros(())
    result = RESULTS.where(converged & ~jnp.isnan(known), result, RESULTS.not_restored)
    result = RESULTS.where(condition > CONDITION, RESULTS.double_root, result)
    result = RESULTS.where(begun, result, RESULTS.no_orbit)
    return _restoration(v, result, condition, free, guess)


def _restoration(
    v: Array, result: Any, condition: Array, free: FreeRatio, guess: OneHarmonicRestoration
) -> Restoration:
    # What the result depends on has been solved before multipliers are, as `both_ways.after` asks.
    valid = result == RESULTS.successful
    ratio, omega = (jnp.where(valid, number, jnp.nan) for number in (v[-1], split(v[:-1]).omega))
    points = orbits_at(v[:-1], free.at(v[-1]), valid)
    drive = Drive(omega, free.driven.amplitude)
    solved = eqx.filter_vmap(lambda ok: RESULTS.where(ok, RESULTS.successful, RESULTS.max_steps_reached))(
        jnp.stack([valid, valid])
    )
    response = PortResponse(jnp.moveaxis(points.b, 0, 1), points.harmonics, drive, points.b, solved, False)
    squared = jnp.sum(reciprocity_residual(response) ** 2)
    zero = squared == 0  # R has no derivative there
    norm = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))
    return Restoration(
        model=free.at(ratio).pair,
        ratio=ratio,
        omega=omega,
        reciprocity_norm=norm,
        norm_difference=points.norm[0, 1] - points.norm[1, 0],
        nonreciprocal_phase=nonreciprocal_phase(response, out=1, into=0),
        stable=points.stable,
        multipliers=points.multipliers,
        response=response,
        guess=guess,
        condition=condition,
        result=result,
        which=free.which,
    )


def _same_shape(v: Array, free: FreeRatio, guess: OneHarmonicRestoration) -> Array:
    """Whether the oscillators move together, or against each other, as they do in the closed form."""
    basis = free.driven.basis
    X = basis.phasors(split(v[:-1]).y[0].reshape(2, -1))[:, basis.harmonics.index(1)]
    return jnp.real(X[0] * jnp.conj(X[1])) * jnp.real(guess.phasors[0] * jnp.conj(guess.phasors[1])) > 0


def _condition(v: Array, free: FreeRatio) -> Array:
    """The condition number of X_F = X_B in ω and p, in units of the linewidth and of p itself."""
    v, free = lax.stop_gradient((v, free))
    n = free.rows.shape[1] - 1
    sought = jnp.asarray([n, v.size - 1])
    bound = jnp.asarray([*range(n), *range(n + 1, v.size - 1)])
    jacobian = jax.jacfwd(EqualFundamentals())(v, free)
    slope = jnp.linalg.solve(jacobian[:-2][:, bound], jacobian[:-2][:, sought])
    reduced = jacobian[-2:][:, sought] - jacobian[-2:][:, bound] @ slope
    size = jnp.stack([2 * free.driven.pair.damping, jnp.abs(v[-1])])
    values = jnp.linalg.svd(reduced * size, compute_uv=False)
    return values[0] / values[1]
