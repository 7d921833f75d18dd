"""Reciprocity restored in an asymmetric pair of oscillators, by a second ratio that breaks its symmetry too."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.checks import Count, Numbers, as_choice, as_count, as_flag, is_concrete, require
from diffnr.continuation import fold_residual
from diffnr.duffing.one_harmonic import RATIOS, OneHarmonicRestoration, one_harmonic_restoration
from diffnr.duffing.oscillators import DuffingPair
from diffnr.metrics import mean_square, nonreciprocal_phase
from diffnr.ports import Drive, PortResponse
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import newton
from optimize.minimisation import minimise
from optimize.objectives import reciprocity_residual
from optimize.reciprocity.both_ways import CONDITION, DrivenPair, as_driven, difference, orbits_at, split, squares
from optimize.reciprocity.restored_orbits import (
    BothPeak,
    EqualFundamentals,
    FreeRatio,
    Stationary,
    anchored,
    before_bend,
    begin,
    curvatures,
    sensitivity,
    with_tangents,
)
from optimize.transforms import Scaled

AT = ("peak", "equal_norm", "bend")
MAX_STEPS = 64  # of Newton's method, which takes 3 to 8
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
            "nonreciprocal phase": f"{float(self.nonreciprocal_phase):.7g} rad",
            "stable": f"forward {bool(self.stable[0])}, backward {bool(self.stable[1])}",
        }
        return "\n".join([self.message, *(f"{name:<21}{value}" for name, value in rows.items())])


def restore_reciprocity(
    pair: DuffingPair,
    *,
    amplitude: Numbers,
    free: str,
    resonance: Count,
    at: str = "peak",
    num_harmonics: Count | None = None,
    solver: str | optax.GradientTransformation = "newton",
    max_steps: Count = MAX_STEPS,
    throw: bool = False,
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
    - `at`: "peak" (default), always well posed; it cannot converge to an anti-resonance, where R is small only because
      the response is; "equal_norm", the paper's, which is singular for some pairs and then says so; or "bend", where
      the curve N_F = N_B turns back in p: the end of what `reciprocity_level` at "equal_norm" can reach.
    - `num_harmonics`: the highest harmonic of orbits; default the pair's.
    - `solver`: "newton", or for "peak" any optax optimiser (`optax.lbfgs()`), which `optimize.minimise` drives.
    - `max_steps`: of the solver. Good values: 64 for Newton, which takes 3 to 8; some hundred for `optax.adam(1e-3)`.
    - `throw`: raise where the search failed; by default its numbers are NaN and `message` says why.

    **Returns:** a `Restoration`: look at `converged` and `message`. With Newton it may be jitted and vmapped,
    and its numbers have exact derivatives with respect to the pair and the amplitude.

    **Raises:** `ValueError` for a ratio, resonance or `at` that does not exist; for a resonance that the response does
    not have; for float32. `RuntimeError` if `throw` and the search failed.

        optimize.restore_reciprocity(pair, amplitude=0.15, free="stiffness_ratio", resonance=1).ratio

    **Notes:** the search begins at the closed form, then lets both outputs peak at the same frequency, and goes on from
    there. It is told from others by the two oscillators moving together or against each other as in the closed form,
    and by the output being a maximum. R reaches 0 for equal pairs only: third harmonics break what the fundamentals
    restore, most where 3 ω of resonance 0 comes near to resonance 1.

    Source: paper 2 (restoring reciprocity in coupled oscillators), Figures 3 and 5; the definition "peak" is ours.
    """
    as_choice(at, "at", AT)
    optax_solver = isinstance(solver, optax.GradientTransformation)
    known = solver == "newton" if isinstance(solver, str) else optax_solver
    require(known, "solver", 'be "newton" or an optax optimiser', repr(solver) if isinstance(solver, str) else solver)
    require(not optax_solver or at == "peak", "solver", 'be "newton" where at is not "peak"', "an optax optimiser")
    max_steps, throw = as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    driven, resonance = as_driven(pair, amplitude, num_harmonics), as_count(resonance, "resonance", least=0, most=1)
    guess = closed_form(driven, free, resonance)
    which = jnp.asarray(RATIOS.index(free))
    if isinstance(solver, str):
        restored = restore_from(driven, which, guess, at, max_steps)
    else:
        restored = _by_optax(driven, which, guess, solver, max_steps)
    return raise_failures(restored, restored.result) if throw else restored


def closed_form(driven: DrivenPair, free: Any, resonance: int) -> OneHarmonicRestoration:
    """The closed form from which searches begin; raises, where it can be known, if there is none."""
    as_choice(free, "free", RATIOS)
    known = is_concrete(driven)
    return one_harmonic_restoration(
        driven.pair, amplitude=driven.amplitude, free=free, resonance=resonance, throw=known
    )


def restore_from(
    driven: DrivenPair, which: Array, guess: OneHarmonicRestoration, at: str, max_steps: int = MAX_STEPS
) -> Restoration:
    """`restore_reciprocity` by Newton, with the ratio `which` [] of `RATIOS` free, from the closed form `guess`."""
    start, v, result, free = search(driven, which, guess, at, max_steps)
    return _judged(start, v, result, free, guess, at)


@eqx.filter_jit
def search(
    driven: DrivenPair, which: Array, guess: OneHarmonicRestoration, at: str, max_steps: int
) -> tuple[Array, Array, Any, FreeRatio]:
    """Where a search starts, v = [u, p] where it ends (NaN where it fails), how it ends, and the free ratio."""
    start, free = _peaks_together(driven, which, guess, max_steps)
    if at == "equal_norm":
        # Where it is singular steps wander for ever, wide of a tight tolerance. Elsewhere they shrink to round-off.
        solution = newton(EqualFundamentals(), start, free, rtol=1e-5, max_steps=max_steps)
    else:
        solution = newton(Stationary(), jnp.append(start, sensitivity(start, free)), free, max_steps=max_steps)
    if at == "bend":
        solution = newton(fold_residual, *before_bend(solution.value[: start.size], free), max_steps=max_steps)
    return start, solution.value[: start.size], solution.result, free


def _peaks_together(
    driven: DrivenPair, which: Array, guess: OneHarmonicRestoration, max_steps: int
) -> tuple[Array, FreeRatio]:
    """A start near every kind of restored point: where both outputs peak at the same frequency."""
    v, free = begin(driven, which, guess)
    v = lax.stop_gradient(newton(BothPeak(), v, free, max_steps=max_steps).value)
    return v, with_tangents(v, free)


_start = eqx.filter_jit(_peaks_together)


def _by_optax(
    driven: DrivenPair,
    which: Array,
    guess: OneHarmonicRestoration,
    optimiser: optax.GradientTransformation,
    steps: int,
) -> Restoration:
    v, free = _start(driven, which, guess, MAX_STEPS)
    if not np.all(np.isfinite(np.asarray(v))):
        return _ended(v, v[-1], RESULTS.max_steps_reached, free, guess)
    # In units of what R² is at the start and of a ratio's hundredth, a gradient of 1e-7 is near to round-off.
    size = squares(v[:-1], driven.basis)[0]
    scale = jnp.maximum(jnp.sum(difference(v[:-1], driven.basis) ** 2), 2e-20 * size)
    name = RATIOS[int(which)]
    found = minimise(
        _misfit,
        free.at(v[-1]).pair,
        free=name,
        optimiser=optimiser,
        steps=steps,
        transforms={name: Scaled(jnp.abs(v[-1]) / 100)},
        tolerance=1e-7,
        args=(v, free, scale),
        progress=False,
        history=False,
    )
    result = RESULTS.where(jnp.asarray(found.converged), RESULTS.successful, RESULTS.max_steps_reached)
    return _ended(v, found.values[name], result, free, guess)


def _misfit(pair: DuffingPair, args: tuple[Array, FreeRatio, Array]) -> Array:
    """R² with the forward output at its peak, in units of what it was at the start."""
    v, free, scale = args
    ratio = jnp.stack([getattr(pair, name) for name in RATIOS])[free.which]
    u = anchored(v[:-1], ratio, free)
    return jnp.sum(difference(u, free.driven.basis) ** 2) / scale


@eqx.filter_jit
def _ended(v: Array, ratio: Array, result: Any, free: FreeRatio, guess: OneHarmonicRestoration) -> Restoration:
    end = jnp.append(anchored(v[:-1], ratio, free), ratio)
    return _judged(v, end, result, free, guess, "peak")


@eqx.filter_jit
def _judged(
    start: Array, v: Array, result: Any, free: FreeRatio, guess: OneHarmonicRestoration, at: str
) -> Restoration:
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
    X = basis.phasors(split(v[:-1]).y[0].reshape(2, -1))[:, basis.orders.index(1)]
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
