"""What a search for restored reciprocity found, and whether it is what was asked for."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import is_concrete
from diffnr.compilation import compiled
from diffnr.duffing.one_harmonic import OneHarmonicRestoration
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.metrics import mean_square, nonreciprocal_phase
from diffnr.ports import Drive, PortResponse
from diffnr.results import RESULTS, AbstractAnswer
from diffnr.root import frozen
from optimize.objectives import reciprocity_residual
from optimize.reciprocity.both_ways import CONDITION, DrivenBothWays, orbits_at, split
from optimize.reciprocity.restored_orbits import EqualFundamentals, FreeRatio, Quadrature, curvatures
from optimize.reciprocity.starts import Start

RECIPROCAL = 1e-9  # R by which N is still called 0


class Restoration(AbstractAnswer):
    """What `restore_reciprocity` returns; a direction is 0, forward (oscillator 0 driven, 1 looked at), or 1, backward.

    **Fields:**

    - `model`: the oscillators with their new number. `free`, its path; `ratio` [], its value; NaN where the search
      failed; both paths, and [2], where two were free. `at`, what was held.
    - `omega` [], the frequency. `reciprocity_norm` [], R; `norm_difference` [], N_F − N_B; `nonreciprocal_phase` [],
      Δφ of the fundamentals, in (−π, π], rad.
    - `stable` [direction]; `multipliers` [direction, 2n] complex, Floquet's, largest modulus first.
    - `response`: both orbits at the two `ports`, as a `PortResponse`: b [out, in, harmonic]; its `state` [in,
      oscillator, harmonic] has all oscillators.
    - `guess`: the closed form of one harmonic, where the search began; None where there is none.
    - `condition` []: for "equal_norm" and "quadrature" the condition number of the equations in p and in ω; else
      NaN.
    - `result`, of `RESULTS`.
    """

    model: AbstractOscillators
    ratio: Float[Array, "*number"]
    omega: Float[Array, ""]
    reciprocity_norm: Float[Array, ""]
    norm_difference: Float[Array, ""]
    nonreciprocal_phase: Float[Array, ""]
    stable: Bool[Array, " direction"]
    multipliers: Complex[Array, "direction state"]
    response: PortResponse
    guess: Any
    condition: Float[Array, ""]
    result: Any
    free: str | tuple[str, ...] = eqx.field(static=True, default="")
    at: str = eqx.field(static=True, default="")
    ports: tuple[int, int] = eqx.field(static=True, default=(0, 1))

    @property
    def names(self) -> tuple[str, ...]:
        """The paths of what was free."""
        return (self.free,) if isinstance(self.free, str) else self.free

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
        if not is_concrete(self.result) or self.omega.ndim > 0 or not self.converged:
            return super().message
        if not self.approximate:
            return "Reciprocity is restored: R = 0."
        if self.at == "quadrature":
            apart = float(self.norm[0] / self.norm[1] - 1)
            return f"Both outputs are a quarter of a period off the force, with N_F/N_B − 1 = {apart:.6g}."
        share = float(self.reciprocity_norm / self.norm[0])
        return (
            f"Reciprocity is restored approximately: R = {float(self.reciprocity_norm):.6g} remains, {share:.2g} of "
            "the output's norm, as higher harmonics are not reciprocal at the same point."
        )

    def report(self) -> str:
        """The restored point in a few lines of text."""
        guess = self.guess
        closed = ["", ""] if guess is None else [f" (one harmonic: {float(x):.9g})" for x in (guess.ratio, guess.omega)]
        rows = {
            **{name: f"{float(p):.9g}{closed[0]}" for name, p in zip(self.names, np.ravel(self.ratio), strict=True)},
            "omega": f"{float(self.omega):.9g}{closed[1]}",
            "R": f"{float(self.reciprocity_norm):.7g}",
            "N_F − N_B": f"{float(self.norm_difference):.7g} of {float(self.norm[0]):.7g}",
            "Δφ": f"{float(self.nonreciprocal_phase):.7g} rad",
            "stable": f"forward {bool(self.stable[0])}, backward {bool(self.stable[1])}",
        }
        width = max(18, *(len(name) + 1 for name in self.names))
        return "\n".join([self.message, *(f"{name:<{width}}{value}" for name, value in rows.items())])


@compiled
def judged(start: Start, v: Array, result: Any, guess: OneHarmonicRestoration | None, at: str) -> Restoration:
    """The restoration at v, and whether it is one."""
    # Where the search failed it is judged at a finite point nevertheless, and hidden afterwards.
    converged = result == RESULTS.successful
    free = start.free
    begun = jnp.all(jnp.isfinite(start.v))
    v = jnp.where(converged & begun, v, jnp.where(begun, start.v, 1.0))
    result = RESULTS.where(same_shape(v[:-1], start), RESULTS.successful, RESULTS.other_resonance)
    condition = known = jnp.full((), jnp.nan)
    if at == "peak":
        of = curvatures(*frozen((v, free)))
        minimum, known = (of.misfit > 0) & (of.output < 0), of.misfit
        result = RESULTS.where(minimum, result, RESULTS.no_minimum)
    elif at in ("equal_norm", "quadrature"):
        condition = known = _condition(EqualFundamentals() if at == "equal_norm" else Quadrature(), v, free)
    else:
        known = jnp.zeros(())
    result = RESULTS.where(converged & ~jnp.isnan(known), result, RESULTS.not_restored)
    result = RESULTS.where(condition > CONDITION, RESULTS.double_root, result)
    result = RESULTS.where(begun, result, RESULTS.no_peaks if guess is None else RESULTS.no_orbit)
    return restoration(v[:-1], free.driven, free.which, v[-1], result, condition, guess)


def restoration(
    u: Array,
    driven: DrivenBothWays,
    which: Array,
    ratio: Array,
    result: Any,
    condition: Array,
    guess: OneHarmonicRestoration | None,
) -> Restoration:
    """What there is to say of both orbits u, of oscillators whose number or numbers `which` have a value."""
    # What the result depends on has been solved before multipliers are, as `both_ways.after` asks.
    valid = result == RESULTS.successful
    there = driven.with_numbers(which, ratio)
    points = orbits_at(u, there, valid)
    ratio, omega = (jnp.where(valid, number, jnp.nan) for number in (ratio, split(u).omega))
    first, last = ports = driven.ports
    drive = Drive(omega, there.amplitude)
    solved = eqx.filter_vmap(lambda ok: RESULTS.where(ok, RESULTS.successful, RESULTS.max_steps_reached))(
        jnp.stack([valid, valid])
    )
    b = jnp.moveaxis(points.b[:, jnp.asarray(ports)], 0, 1)
    response = PortResponse(b, points.harmonics, drive, points.b, solved, False)
    squared = jnp.sum(reciprocity_residual(response) ** 2)
    zero = squared == 0  # R has no derivative there
    norm = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))
    return Restoration(
        model=driven.with_numbers(which, ratio).model,
        ratio=ratio,
        omega=omega,
        reciprocity_norm=norm,
        norm_difference=points.norm[0, last] - points.norm[1, first],
        nonreciprocal_phase=nonreciprocal_phase(response, out=1, into=0),
        stable=points.stable,
        multipliers=points.multipliers,
        response=response,
        guess=guess,
        condition=condition,
        result=result,
        ports=ports,
    )


def same_shape(u: Array, start: Start) -> Array:
    """Whether both ports move together, or against each other, as they do where the search began."""
    basis, ports = start.free.driven.basis, jnp.asarray(start.free.driven.ports)
    X = basis.phasors(split(u).y[0].reshape(-1, basis.size))[ports, basis.harmonics.index(1)]
    return jnp.real(X[0] * jnp.conj(X[1])) * jnp.real(start.shape[0] * jnp.conj(start.shape[1])) > 0


def _condition(conditions: EqualFundamentals | Quadrature, v: Array, free: FreeRatio) -> Array:
    """The condition number of two equations in ω and p, in units of the linewidth and of p itself."""
    v, free = frozen((v, free))
    size = jnp.stack([linewidth(free.driven.model), jnp.where(v[-1] == 0, 1.0, jnp.abs(v[-1]))])
    return condition_of(jax.jacfwd(conditions)(v, free), np.array([free.rows.shape[1] - 1, v.size - 1]), size)


def linewidth(model: AbstractOscillators) -> Array:
    """The largest rate of damping."""
    return jnp.max(jnp.diagonal(model.dissipation) / jnp.diagonal(model.inertia))


def condition_of(jacobian: Float[Array, "k k"], sought: np.ndarray, size: Float[Array, " sought"]) -> Array:
    """The condition number of the last equations in as many unknowns, those `sought`, in units of `size`, where the
    other equations hold."""
    k = jacobian.shape[0]
    bound, last = np.setdiff1d(np.arange(k), sought), k - sought.size
    slope = jnp.linalg.solve(jacobian[:last, bound], jacobian[:last, sought])
    reduced = jacobian[last:, sought] - jacobian[last:, bound] @ slope
    values = jnp.linalg.svd(reduced * size, compute_uv=False)
    return values[0] / values[-1]
