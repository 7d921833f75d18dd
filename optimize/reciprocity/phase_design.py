"""A nonreciprocal phase as it is asked for: equal output norms of both directions, and a given phase between them.

N_F = N_B,  Δφ = φ_F − φ_B = phase      by one number of the oscillators, or by the least relative change of several
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import Count, Numbers, as_count, as_flag, as_scalar, is_concrete, require
from diffnr.compilation import compiled
from diffnr.continuation import from_residual, trace, turning
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import frozen, implicit
from optimize.reciprocity.both_ways import (
    CONDITION,
    DrivenBothWays,
    Equal,
    as_driven,
    balances,
    excess,
    phase_wave,
    sizes,
)
from optimize.reciprocity.equal_points import points_at
from optimize.reciprocity.phase_locus import beginning
from optimize.reciprocity.points import EqualNormPoints

PRECISE = 1e-9  # of what remains of the equations, relatively


class PhaseDesign(AbstractAnswer):
    """What `design_nonreciprocal_phase` returns; numbers are NaN where it failed. Direction 0 is forward, 1 backward.

    **Fields:** `model`: the pair with its new values; `amplitude` [], of the force; `values`: what was free, by its
    path, each []; `points`: both orbits, an `EqualNormPoints` of one point; `target` [], the phase asked for; `change`
    []: the length of the relative change, √Σ((p − p₀)/p₀)² over what was free; `result`, of `RESULTS`.
    """

    model: AbstractOscillators
    amplitude: Float[Array, ""]
    values: dict[str, Float[Array, ""]]
    points: EqualNormPoints
    target: Float[Array, ""]
    change: Float[Array, ""]
    result: Any

    @property
    def omega(self) -> Float[Array, "*batch"]:
        """The frequency."""
        return self.points.omega[..., 0]

    @property
    def norm(self) -> Float[Array, "*batch"]:
        """N, of both outputs."""
        return self.points.norm[..., 0]

    @property
    def nonreciprocal_phase(self) -> Float[Array, "*batch"]:
        """Δφ, in (−π, π], rad."""
        return self.points.nonreciprocal_phase[..., 0]

    @property
    def reciprocity_norm(self) -> Float[Array, "*batch"]:
        """R."""
        return self.points.reciprocity_norm[..., 0]

    @property
    def stable(self) -> Bool[Array, "*batch direction"]:
        """Of the forward and of the backward orbit."""
        return self.points.stable[..., 0, :]

    @property
    def multipliers(self) -> Complex[Array, "*batch direction state"]:
        """Floquet's, largest modulus first."""
        return self.points.multipliers[..., 0, :, :]

    @property
    def message(self) -> str:
        """How it ended, in a sentence."""
        met = is_concrete(self.result) and self.target.ndim == 0 and bool(self.converged)
        return "The phase asked for is met." if met else super().message

    def report(self) -> str:
        """The design in a few lines of text."""
        rows = {name: f"{float(value):.9g}" for name, value in self.values.items()}
        rows |= {
            "omega": f"{float(self.omega):.9g}",
            "Δφ": f"{float(self.nonreciprocal_phase):.9g} rad, asked for {float(self.target):.9g}",
            "N": f"{float(self.norm):.7g}",
            "R": f"{float(self.reciprocity_norm):.7g}",
            "relative change": f"{float(self.change):.5g}",
            "stable": f"forward {bool(self.stable[0])}, backward {bool(self.stable[1])}",
        }
        width = max(18, *(len(name) + 1 for name in rows))
        return "\n".join([self.message, *(f"{name:<{width}}{value}" for name, value in rows.items())])


def design_nonreciprocal_phase(
    pair: Any,
    *,
    amplitude: Numbers,
    phase: Numbers,
    free: str | tuple[str, ...],
    omega: Numbers | None = None,
    resonance: Count | None = None,
    point: Count | None = None,
    ports: tuple[int, int] | None = None,
    num_harmonics: Count | None = None,
    max_steps: Count = 200,
    throw: bool = False,
) -> PhaseDesign:
    """A pair whose outputs have one norm in both directions and differ by a given phase:

        one free number p:   N_F = N_B,  Δφ = phase                                     for u, p
        several:             min ½ Σ ((p_i − p_i0)/p_i0)²  subject to these two         for u, p

    **Arguments:**

    - `pair`, `amplitude`, `ports`, `num_harmonics`: as for `equal_norm_points`; the model has the values from which to
      change.
    - `phase`: [], Δφ asked for, in (−π, π], rad.
    - `free`: what may change, one path or several of them, as `along` of `phase_nonreciprocity_locus`: "coupling",
      "mass.1", "force.cubic", "amplitude". A number that is 0 counts by its change itself.
    - `omega`, `resonance` or `point`: where to begin, as for `phase_nonreciprocity_locus`.
    - `max_steps`: points along the path, a static number.
    - `throw`: raise where the phase was not met; by default numbers are NaN and `message` says why.

    **Returns:** a `PhaseDesign`: look at `converged` and `message`. Its numbers have exact derivatives with
    respect to the phase asked for, the pair and the amplitude, and it may be jitted and vmapped over these.

    **Raises:** `ValueError` for a phase outside of (−π, π], a number that does not exist or is named twice, none,
    not exactly one place to begin, float32; `RuntimeError` if `throw` and the phase was not met.

    **Notes:** the target is moved from the pair's own Δφ to the one asked for, by continuation, which goes through
    folds. With several numbers free the conditions p − p₀ ∥ ∇Δφ of the minimum are followed, by Newton's method on all
    of them (Karush–Kuhn–Tucker, the orbits' multipliers eliminated): Gauss–Newton steps of minimum norm converge to the
    same point, but linearly, and not at all where Δφ bends by more than it rises. As long as the target has not turned
    back, the minimum at the pair itself remains a minimum along the path; where it turns back, that is "unreachable".

    Good values: at P = .15, μ = 2, the mass ratio alone turns Δφ at resonance 1 from .31 to .5 rad.

    Source: the notion of phase nonreciprocity is that of paper 2; to prescribe it is ours.
    """
    driven = as_driven(pair, amplitude, num_harmonics, ports)
    names = _names(free)
    which = [driven.which(name, "free") for name in names]
    target = as_scalar(phase, "phase")
    inside = not is_concrete(target) or -np.pi < np.asarray(target) <= np.pi
    require(inside, "phase", "lie in (−π, π]", target)
    max_steps, throw = as_count(max_steps, "max_steps", least=2), as_flag(throw, "throw")
    u, found = beginning(driven, omega, resonance, point, Equal("norm"))
    least, strict = (jnp.asarray(x) for x in zip(*map(driven.least, names), strict=True))
    new, values, points, change, result = _design(
        driven, jnp.asarray(which), u, found, target, max_steps, (least, strict)
    )
    values = dict(zip(names, values, strict=True))
    design = PhaseDesign(new.model, new.amplitude, values, points, target, change, result)
    return raise_failures(design, result) if throw else design


def _names(free: Any) -> tuple[str, ...]:
    names = (free,) if isinstance(free, str) else tuple(free) if isinstance(free, (tuple, list)) else ()
    require(len(set(map(repr, names))) == len(names) > 0, "free", "name one or several different numbers", free)
    return names


class _Setting(eqx.Module):
    """What the equations know: the model as it was, which of its numbers are free, and sizes of the unknowns."""

    driven: DrivenBothWays
    which: Array
    size: Float[Array, " k"]
    span: Float[Array, ""]

    @property
    def unit(self) -> Float[Array, " free"]:
        """What of each free parameter counts alike."""
        own = self.driven.numbers[self.which]
        return jnp.where(own == 0, 1.0, jnp.abs(own))

    def values(self, q: Float[Array, " free"]) -> Float[Array, " free"]:
        """The free parameters after relative changes q."""
        return self.driven.numbers[self.which] + self.unit * q

    def changed(self, q: Float[Array, " free"]) -> DrivenBothWays:
        """The pair after relative changes q."""
        return self.driven.with_numbers(self.which, self.values(q))


class _Prescribed(eqx.Module):
    """Both orbits, N_F = N_B, Δφ = target, and with several free parameters q = ℓ ∇Δφ(q).

    Unknowns are [u / size, q, ℓ / span]; ∇ is along N_F = N_B. With one parameter there is no ℓ.
    """

    def __call__(self, v: Array, target: Array, setting: _Setting) -> Array:
        k, free = setting.size.size, setting.which.size
        z, q = v[:k], v[k : k + free]
        if free == 1:
            return self.constraints(z, q, target, setting)
        constraints, slope = self.sloped(z, q, target, setting)
        return jnp.concatenate([constraints, q - v[-1] * setting.span * slope])

    def constraints(self, z: Array, q: Array, target: Array, setting: _Setting) -> Array:
        driven, u = setting.changed(q), z * setting.size
        cos, sin = phase_wave(u, driven)
        c, s = jnp.cos(target), jnp.sin(target)
        angle = jnp.arctan2(sin * c - cos * s, cos * c + sin * s)
        return jnp.concatenate([balances(u, driven), jnp.stack([excess(u, driven), angle])])

    def sloped(self, z: Array, q: Array, target: Array, setting: _Setting) -> tuple[Array, Array]:
        """The constraints, and dΔφ/dq where N_F = N_B."""

        def twice(z: Array, q: Array) -> tuple[Array, Array]:
            f = self.constraints(z, q, target, setting)
            return f, f

        (by_z, by_q), constraints = jax.jacfwd(twice, (0, 1), has_aux=True)(z, q)
        return constraints, by_q[-1] - by_z[-1] @ jnp.linalg.solve(by_z[:-1], by_q[:-1])


class _At(eqx.Module):
    """`_Prescribed` for `implicit`."""

    def __call__(self, v: Array, args: tuple[Array, _Setting]) -> Array:
        return _Prescribed()(v, *args)


class _Towards(eqx.Module):
    """`_Prescribed` at a target t away from the first."""

    def __call__(self, v: Array, t: Array, args: tuple[Array, Array, _Setting]) -> Array:
        start, sign, setting = args
        return _Prescribed()(v, start + sign * t, setting)


@compiled
def _design(
    driven: DrivenBothWays, which: Array, u: Array, found: Array, target: Array, max_steps: int, limits: tuple
) -> tuple[DrivenBothWays, Array, EqualNormPoints, Array, Any]:
    held, u, goal = frozen((driven, u, target))
    size, none, free = sizes(u), jnp.zeros(which.shape), which.size
    setting = _Setting(held, which, size, jnp.ones(()))
    first = jnp.arctan2(*phase_wave(u, held)[::-1])
    v = jnp.append(u / size, none)
    if free > 1:
        _, slope = _Prescribed().sloped(u / size, none, first, setting)
        setting = _Setting(held, which, size, jnp.maximum(jnp.abs(goal - first), 1e-6) / jnp.sum(slope**2))
        v = jnp.append(v, 0.0)
    distance, sign = jnp.abs(goal - first), jnp.where(goal < first, -1.0, 1.0)
    branch = trace(
        from_residual(_Towards()), v, jnp.zeros(()), (jnp.asarray(-4 * jnp.pi), distance), (first, sign, setting),
        scale=(jnp.ones(()), jnp.ones(())), max_points=max_steps,
    )  # fmt: skip

    taken = jnp.arange(max_steps) < branch.count
    end = jnp.where(found & (branch.count > 0), branch.y[jnp.maximum(branch.count - 1, 0)], v)
    result = _ended(branch, taken, end, distance, goal, setting, limits)
    result = RESULTS.where(found, result, RESULTS.no_point)
    good = result == RESULTS.successful
    # Where it failed the start, at which its own phase is met, stands in: what is masked is differentiated as well.
    setting = _Setting(driven, which, size, setting.span)
    end = implicit(_At(), jnp.where(good, end, v), (jnp.where(good, target, first), setting))
    k, q = size.size, jnp.where(good, end[size.size : size.size + free], 0.0)
    changed = setting.changed(q)
    points = points_at((end[:k] * size)[None], lambda _: changed, jnp.zeros(1), good[None], result, Equal("norm"))
    values = jnp.where(good, setting.values(q), jnp.nan)
    zero = jnp.sum(q**2) == 0  # a length has no derivative there
    change = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, jnp.sum(q**2))))
    return driven.with_numbers(which, values), values, points, jnp.where(good, change, jnp.nan), result


def _ended(
    branch: Any, taken: Array, end: Array, distance: Array, goal: Array, setting: _Setting, limits: tuple
) -> Any:
    k, free = setting.size.size, setting.which.size
    values = jax.vmap(setting.values)(branch.y[:, k : k + free])
    least, strict = limits
    allowed = jnp.all((values > least) | ((values == least) & ~strict), axis=1)
    allowed = allowed & (branch.y[:, k // 2] > 0)
    turned = jnp.any(turning(branch.slope) & taken[1:])

    f, jacobian = jax.jacfwd(lambda v: (_Prescribed()(v, goal, setting),) * 2, has_aux=True)(end)[::-1]
    n = k - 1
    tolerance = PRECISE * jnp.append(jnp.full(n, setting.driven.amplitude), jnp.ones(2))
    met = jnp.all(jnp.abs(f[: n + 2]) <= tolerance)
    change = jnp.linalg.solve(jacobian, jnp.zeros((end.size, 2)).at[n, 0].set(1.0).at[n + 1, 1].set(1.0))
    loose = jnp.linalg.norm(change[: k + free])

    arrived = (branch.result == RESULTS.successful) & (branch.parameter[jnp.maximum(branch.count - 1, 0)] >= distance)
    result = RESULTS.where(arrived & met, RESULTS.successful, RESULTS.unreachable)
    result = RESULTS.where(loose < CONDITION, result, RESULTS.singular_design)
    result = RESULTS.where(turned & (free > 1), RESULTS.unreachable, result)
    result = RESULTS.where(branch.result == RESULTS.out_of_points, RESULTS.out_of_steps, result)
    result = RESULTS.where(
        (branch.result == RESULTS.stuck) | (branch.result == RESULTS.no_start), RESULTS.no_path, result
    )
    return RESULTS.where(jnp.all(allowed | ~taken), result, RESULTS.out_of_bounds)
