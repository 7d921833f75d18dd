"""Reciprocity restored in an asymmetric pair of oscillators, by a second ratio that breaks its symmetry too."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Complex, Float, Int

from diffnr.checks import as_real, is_concrete, require
from diffnr.continuation import fold_residual
from diffnr.duffing.one_harmonic import RATIOS, OneHarmonicRestoration, one_harmonic_restoration
from diffnr.duffing.oscillators import DuffingPair, require_double, with_harmonics
from diffnr.duffing.points import orbits
from diffnr.metrics import mean_square, nonreciprocal_phase
from diffnr.ports import Drive, PortResponse
from diffnr.results import RESULTS, AbstractAnswer
from diffnr.root import newton
from optimize.minimisation import minimise
from optimize.objectives import reciprocity_residual
from optimize.reciprocity.restored_orbits import (
    BothPeak,
    EqualFundamentals,
    Problem,
    Stationary,
    anchored,
    before_bend,
    begin,
    curvatures,
    difference,
    outputs,
    sensitivity,
    split,
    with_tangents,
)
from optimize.transforms import Scaled

AT = ("peak", "equal_norm", "bend")
CONDITION = 1e6  # beyond it orbits precise to 1e-10 leave 1e-4 of the ratio undetermined: called singular
RECIPROCAL = 1e-9  # R by which N is still called 0


class Restoration(AbstractAnswer):
    """What `restore_reciprocity` returns; a direction is 0, forward (oscillator 0 driven, 1 looked at), or 1, backward.

    **Fields:**

    - `model`: the pair with its new ratio. `value` [], that ratio; NaN where the search failed.
    - `omega` [], the frequency. `reciprocity_norm` [], R; `norm_difference` [], N_F − N_B; `phase_difference` [],
      Δφ of the fundamentals, in (−π, π], rad.
    - `stable` [direction]; `multipliers` [direction, 4] complex, Floquet's, largest modulus first.
    - `response`: both orbits, as a `PortResponse`: b [out, in, harmonic].
    - `guess`: the closed form of one harmonic, where the search began.
    - `condition` []: for "equal_norm" the condition number of the two equations in the ratio and in ω; NaN for "peak".
    - `result`, of `RESULTS`; `which` [], the index of the free ratio.
    """

    model: DuffingPair
    value: Float[Array, ""]
    omega: Float[Array, ""]
    reciprocity_norm: Float[Array, ""]
    norm_difference: Float[Array, ""]
    phase_difference: Float[Array, ""]
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
    def converged(self) -> Bool[Array, ""]:
        """Whether the search ended at what was asked for."""
        return self.result == RESULTS.successful

    @property
    def approximate(self) -> Bool[Array, ""]:
        """Whether reciprocity is restored approximately only: R is not 0."""
        return ~(self.reciprocity_norm <= RECIPROCAL * self.norm[0])

    @property
    def message(self) -> str:
        """How it ended, in a sentence."""
        if not self.converged:
            return str(RESULTS[self.result])
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
            self.free: f"{float(self.value):.9g} (one harmonic: {float(self.guess.ratio):.9g})",
            "omega": f"{float(self.omega):.9g} (one harmonic: {float(self.guess.omega):.9g})",
            "R": f"{float(self.reciprocity_norm):.7g}",
            "N_F − N_B": f"{float(self.norm_difference):.7g} of {float(self.norm[0]):.7g}",
            "phase difference": f"{float(self.phase_difference):.7g} rad",
            "stable": f"forward {bool(self.stable[0])}, backward {bool(self.stable[1])}",
        }
        return "\n".join([self.message, *(f"{name:<18}{value}" for name, value in rows.items())])


def restore_reciprocity(
    pair: DuffingPair,
    *,
    amplitude: ArrayLike,
    free: str,
    resonance: int,
    at: str = "peak",
    num_harmonics: int | None = None,
    solver: str | optax.GradientTransformation = "newton",
    max_steps: int = 64,
) -> Restoration:
    """The second ratio that makes an asymmetric pair answer alike from both sides, at one of its resonances:

        "peak":        min_p R²(p),  ω on the peak of the forward output,  R² = 1/T ∫ (x_F − x_B)² dt
        "equal_norm":  X_F = X_B of the outputs' fundamentals: N_F = N_B and Δφ = 0, for p and ω
        "bend":        N_F = N_B and ∂(N_F − N_B)/∂ω = 0

    **Arguments:**

    - `pair`: a `duffing.DuffingPair`; its value of the free ratio does not matter.
    - `amplitude`: [], P, of the force.
    - `free`: the ratio p to find: "stiffness_ratio", "mass_ratio" or "cubic_ratio".
    - `resonance`: 0, the lower, or 1.
    - `at`: "peak" (default), which always means something and never slides to an anti-resonance, where R is small
      because nothing moves; "equal_norm", the paper's, which is singular for some pairs and then says so; or "bend",
      where the curve N_F = N_B turns back in p: the end of what `reciprocity_level` at "equal_norm" can reach.
    - `num_harmonics`: the highest harmonic of orbits; default the pair's.
    - `solver`: "newton", or for "peak" any optax optimiser (`optax.lbfgs()`), which `optimize.minimise` drives.
    - `max_steps`: of the solver. Good values: 64 for Newton, which takes 3 to 8; some hundred for `optax.adam(1e-3)`.

    **Returns:** a `Restoration`, always: look at `converged` and `message`. With Newton it may be jitted and vmapped,
    and its numbers have exact derivatives with respect to the pair and the amplitude.

    **Raises:** `ValueError` for a ratio, resonance or `at` that does not exist; for a resonance that the response does
    not have; for float32.

    **Notes:** the search begins at the closed form, then lets both outputs peak at the same frequency, and goes on from
    there. It is told from others by the two oscillators moving together or against each other as in the closed form,
    and by the output being a maximum. R reaches 0 for equal pairs only: third harmonics break what the fundamentals
    restore, most where 3 ω of resonance 0 comes near to resonance 1.

    Source: paper 2 (restoring reciprocity in coupled oscillators), Figures 3 and 5; the definition "peak" is ours.
    """
    require(at in AT, "at", f"be one of {', '.join(map(repr, AT))}", repr(at))
    optax_solver = isinstance(solver, optax.GradientTransformation)
    known = solver == "newton" if isinstance(solver, str) else optax_solver
    require(known, "solver", 'be "newton" or an optax optimiser', repr(solver))
    require(not optax_solver or at == "peak", "solver", 'be "newton" where at is not "peak"', "an optax optimiser")
    require(isinstance(max_steps, int) and max_steps >= 1, "max_steps", "be an integer of at least 1", repr(max_steps))
    pair = pair if num_harmonics is None else with_harmonics(pair, num_harmonics)  # pyright: ignore[reportAssignmentType]
    require_double("pair", pair.mass)
    amplitude = as_real(amplitude, "amplitude")
    if is_concrete(amplitude):
        require(np.all(np.asarray(amplitude) != 0), "amplitude", "differ from 0", amplitude)
    known = is_concrete(pair, amplitude)
    guess = one_harmonic_restoration(pair, amplitude=amplitude, free=free, resonance=resonance, throw=known)
    if not isinstance(solver, str):
        return _by_optax(pair, amplitude, free, guess, solver, max_steps)
    return restore_from(pair, amplitude, jnp.asarray(RATIOS.index(free)), guess, at, max_steps)


@eqx.filter_jit
def restore_from(
    pair: DuffingPair, amplitude: Array, which: Array, guess: OneHarmonicRestoration, at: str, max_steps: int = 64
) -> Restoration:
    """`restore_reciprocity` by Newton, with the ratio `which` [] of `RATIOS` free, from the closed form `guess`."""
    v, problem = _peaks_together(pair, amplitude, which, guess, max_steps)
    if at == "equal_norm":
        # Where it is singular steps wander for ever, wide of a tight tolerance. Elsewhere they shrink to round-off.
        solution = newton(EqualFundamentals(), v, problem, rtol=1e-5, max_steps=max_steps)
    else:
        solution = newton(Stationary(), jnp.append(v, sensitivity(v, problem)), problem, max_steps=max_steps)
    if at == "bend":
        solution = newton(fold_residual, *before_bend(solution.value[: v.size], problem), max_steps=max_steps)
    return _judged(v, solution.value[: v.size], solution.result, problem, guess, at)


def _peaks_together(
    pair: DuffingPair, amplitude: Array, which: Array, guess: OneHarmonicRestoration, max_steps: int
) -> tuple[Array, Problem]:
    """A start near every kind of restored point: where both outputs peak at the same frequency."""
    v, problem = begin(pair, amplitude, which, guess)
    v = lax.stop_gradient(newton(BothPeak(), v, with_tangents(v, problem), max_steps=max_steps).value)
    return v, with_tangents(v, problem)


_start = eqx.filter_jit(_peaks_together)


def _by_optax(
    pair: DuffingPair,
    amplitude: Array,
    free: str,
    guess: OneHarmonicRestoration,
    optimiser: optax.GradientTransformation,
    steps: int,
) -> Restoration:
    v, problem = _start(pair, amplitude, jnp.asarray(RATIOS.index(free)), guess, 64)
    if not np.all(np.isfinite(np.asarray(v))):
        return _ended(v, v[-1], RESULTS.max_steps_reached, problem, guess)
    # In units of what R² is at the start and of a ratio's hundredth, a gradient of 1e-7 is near to round-off.
    scale = jnp.maximum(jnp.sum(difference(v, problem) ** 2), 1e-20 * jnp.sum(outputs(v)[0] ** 2))
    found = minimise(
        _misfit,
        problem.model(v[-1]),
        free=free,
        optimiser=optimiser,
        steps=steps,
        transforms={free: Scaled(jnp.abs(v[-1]) / 100)},
        tolerance=1e-7,
        args=(v, problem, scale),
        progress=False,
        history=False,
    )
    value = found.values[free]
    result = RESULTS.where(jnp.asarray(found.converged), RESULTS.successful, RESULTS.max_steps_reached)
    return _ended(v, value, result, problem, guess)


def _misfit(model: DuffingPair, args: tuple[Array, Problem, Array]) -> Array:
    """R² with the forward output at its peak, in units of what it was at the start."""
    v, problem, scale = args
    value = jnp.stack([getattr(model, name) for name in RATIOS])[problem.which]
    u = anchored(v[:-1], value, problem)
    return jnp.sum(difference(jnp.append(u, value), problem) ** 2) / scale


@eqx.filter_jit
def _ended(v: Array, value: Array, result: Any, problem: Problem, guess: OneHarmonicRestoration) -> Restoration:
    end = jnp.append(anchored(v[:-1], value, problem), value)
    return _judged(v, end, result, problem, guess, "peak")


def _judged(
    start: Array, v: Array, result: Any, problem: Problem, guess: OneHarmonicRestoration, at: str
) -> Restoration:
    """The restoration at v, and whether it is one."""
    # Where the search failed there is something to say nevertheless: of a finite point, hidden afterwards.
    converged = result == RESULTS.successful
    begun = jnp.all(jnp.isfinite(start))
    spare = jnp.where(begun, start, 1.0)
    inside = jnp.where(converged & begun, v, spare)
    result = RESULTS.where(_same_shape(inside, problem, guess), RESULTS.successful, RESULTS.other_resonance)
    condition = known = jnp.full((), jnp.nan)
    if at == "peak":
        of = curvatures(*lax.stop_gradient((inside, problem)))
        minimum, known = (of.misfit > 0) & (of.output < 0), of.misfit
        result = RESULTS.where(minimum, result, RESULTS.no_minimum)
    elif at == "equal_norm":
        condition = known = _condition(inside, problem)
    else:
        known = jnp.zeros(())
    result = RESULTS.where(converged, result, RESULTS.not_restored)
    result = RESULTS.where(condition > CONDITION, RESULTS.double_root, result)
    result = RESULTS.where(begun, result, RESULTS.no_orbit)
    # Multipliers wait for what is solved above: two calls of LAPACK at once in a large batch may wait for ever.
    valid = converged & begun & ~jnp.isnan(known)
    return _restoration(inside, valid, result, condition, problem, guess)


def _restoration(
    v: Array,
    valid: Array,
    result: Any,
    condition: Array,
    problem: Problem,
    guess: OneHarmonicRestoration,
) -> Restoration:
    x = split(v)
    value, omega = (jnp.where(valid, number, jnp.nan) for number in (x.value, x.omega))
    model, y = problem.model(x.value), jnp.stack([x.forward, x.backward])
    points = orbits(model, y, jnp.stack([x.omega, x.omega]), jnp.stack([valid, valid]))
    drive = Drive(omega, problem.amplitude)
    solved = eqx.filter_vmap(lambda ok: RESULTS.where(ok, RESULTS.successful, RESULTS.max_steps_reached))(
        jnp.stack([valid, valid])
    )
    response = PortResponse(jnp.moveaxis(points.b, 0, 1), points.harmonics, drive, points.b, solved, False)
    squared = jnp.sum(reciprocity_residual(response) ** 2)
    still = squared == 0  # R has no derivative there
    norm = jnp.where(still, 0.0, jnp.sqrt(jnp.where(still, 1.0, squared)))
    return Restoration(
        model=problem.model(value),
        value=value,
        omega=omega,
        reciprocity_norm=norm,
        norm_difference=points.norm[0, 1] - points.norm[1, 0],
        phase_difference=nonreciprocal_phase(response, out=1, into=0),
        stable=points.stable,
        multipliers=points.multipliers,
        response=response,
        guess=guess,
        condition=condition,
        result=result,
        which=problem.which,
    )


def _same_shape(v: Array, problem: Problem, guess: OneHarmonicRestoration) -> Array:
    """Whether the oscillators move together, or against each other, as they do in the closed form."""
    basis = problem.pair.basis
    X = basis.phasors(split(v).forward.reshape(2, -1))[:, basis.orders.index(1)]
    return jnp.real(X[0] * jnp.conj(X[1])) * jnp.real(guess.phasors[0] * jnp.conj(guess.phasors[1])) > 0


def _condition(v: Array, problem: Problem) -> Array:
    """The condition number of X_F = X_B in ω and p, in units of the linewidth and of p itself."""
    v, problem = lax.stop_gradient((v, problem))
    n = problem.rows.shape[1] - 1
    free = jnp.asarray([n, v.size - 1])
    bound = jnp.asarray([*range(n), *range(n + 1, v.size - 1)])
    jacobian = jax.jacfwd(EqualFundamentals())(v, problem)
    slope = jnp.linalg.solve(jacobian[:-2][:, bound], jacobian[:-2][:, free])
    reduced = jacobian[-2:][:, free] - jacobian[-2:][:, bound] @ slope
    size = jnp.stack([2 * problem.pair.damping, jnp.abs(v[-1])])
    values = jnp.linalg.svd(reduced * size, compute_uv=False)
    return values[0] / values[1]
