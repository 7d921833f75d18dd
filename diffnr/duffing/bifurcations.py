"""Bifurcations of periodic orbits, located: period doubling, Neimark–Sacker, and broken symmetry.

A small disturbance e^{iκt} p(t) of an orbit neither grows nor decays where Hill's equations for it are singular:

    H(κ) p = 0,    H = M (ωD + iκ)² + (C + ∂f/∂v)(ωD + iκ) + ∂f/∂x      with D = d/dτ

Period doubling: κ = 0 for p of half-odd harmonics. Broken symmetry of odd orbits: κ = 0 for p of even harmonics. A
fold: κ = 0 for p of the orbit's own harmonics, of which H = ∂F/∂y.
Neimark–Sacker: κ is unknown, and H complex. The equations of the orbit and of g, which vanishes where H is singular,

    [[H, b], [cᴴ, 0]] [v; g] = [0; 1]

are solved by Newton's method, as those of folds are: as precise as the harmonics are, with exact derivatives.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.compilation import compiled
from diffnr.continuation import null_vectors
from diffnr.duffing.basis import Basis
from diffnr.duffing.driven import DrivenOscillators, balance
from diffnr.duffing.points import Points
from diffnr.duffing.special_points import first_of, or_first, refined, rows_of


class Hill(eqx.Module):
    """H of disturbances of a kind, and the equations of where it is singular; `b`, `c` border it."""

    basis: Basis
    pair: bool = eqx.field(static=True)  # whether κ is an unknown

    @classmethod
    def of(cls, own: Basis, kind: str) -> Hill:
        """Disturbances of a kind of orbits in a basis."""
        highest, periods = max(own.harmonics), own.periods
        instants = math.ceil(own.instants * (2 if own.odd else 1) / periods)  # a period of the drive, as the orbit's
        if kind == "period_doubling":
            return cls(Basis.of(highest, odd=True, periods=2 * periods, instants=instants), False)
        if kind == "symmetry_breaking":
            return cls(Basis.of(highest + 1, odd=False, periods=periods / 2, instants=instants), False)
        if kind == "fold":
            return cls(own, False)
        return cls(Basis.of(highest, odd=False, periods=periods, instants=instants), True)

    def matrix(self, driven: DrivenOscillators, u: Array, kappa: Array) -> Array:
        """H at u = [y, λ]; complex where κ is an unknown."""
        size = driven.model.num_ports * self.basis.size
        return jax.vmap(lambda unit: self.times(driven, u, kappa, unit), out_axes=1)(jnp.eye(size, dtype=u.dtype))

    def times(self, driven: DrivenOscillators, u: Array, kappa: Array, p: Array) -> Array:
        """H p."""
        if jnp.iscomplexobj(p):
            real, imag = self.times(driven, u, kappa, p.real), self.times(driven, u, kappa, p.imag)
            return real + 1j * imag
        there = driven.at(u[-1])
        model, omega = there.model, there.omega
        own, basis, n = model.basis, self.basis, model.num_ports
        phase = jnp.asarray(basis.phase, u.dtype)
        waves, c = own.at(phase).astype(u.dtype), u[:-1].reshape(n, own.size)
        x, v = c @ waves.T, omega * (c @ jnp.asarray(own.derivative.T, u.dtype)) @ waves.T
        synthesis, analysis, derivative, squares = (
            jnp.asarray(part, u.dtype) for part in (basis.synthesis, basis.analysis, basis.derivative, basis.terms**2)
        )
        p = p.reshape(n, basis.size)
        slope = omega * p @ derivative.T
        change = jax.jvp(lambda x, v: model.forces(x, v, phase), (x, v), (p @ synthesis.T, slope @ synthesis.T))[1]
        total = change @ analysis.T - omega**2 * (model.inertia @ p) * squares + model.dissipation @ slope
        if not self.pair:
            return total.ravel()
        drag = jax.jvp(lambda v: model.forces(x, v, phase), (v,), (p @ synthesis.T,))[1] @ analysis.T
        rate = drag + 2 * model.inertia @ slope + model.dissipation @ p
        return (total - kappa**2 * (model.inertia @ p) + 1j * kappa * rate).ravel()

    def __call__(self, unknowns: Array, args: tuple[DrivenOscillators, Array, Array]) -> Array:
        """F(y, λ) and g, of [y, λ] or [y, λ, κ]."""
        driven, b, c = args
        u, kappa = self.split(unknowns)
        g = _singularity(self, driven, u, kappa, b, c)
        told = jnp.stack([g.real, g.imag]) if self.pair else g[None]
        return jnp.concatenate([balance(u[:-1], u[-1], driven), told])

    def split(self, unknowns: Array) -> tuple[Array, Array]:
        """[y, λ] and κ."""
        return (unknowns[:-1], unknowns[-1]) if self.pair else (unknowns, jnp.zeros((), unknowns.dtype))

    def bordered(self, driven: DrivenOscillators, unknowns: Array) -> tuple[Array, Array]:
        """b and c along the directions in which H is nearest to singular: its singular vectors of the least value."""
        matrix = self.matrix(driven, *self.split(unknowns))
        left, _, right = jnp.linalg.svd(jnp.where(jnp.isfinite(matrix), matrix, 0.0))
        return lax.stop_gradient((left[:, -1], right[-1].conj()))


@eqx.filter_custom_jvp
def _singularity(hill: Hill, driven: DrivenOscillators, u: Array, kappa: Array, b: Array, c: Array) -> Array:
    return null_vectors(hill.matrix(driven, u, kappa), b, c)[0]


@_singularity.def_jvp
def _singularity_jvp(primals: Any, tangents: Any) -> Any:
    hill, driven, u, kappa, b, c = primals
    _, driven_dot, u_dot, kappa_dot, _, _ = tangents
    g, v, w = null_vectors(hill.matrix(driven, u, kappa), b, c)
    u_dot = jnp.zeros_like(u) if u_dot is None else u_dot
    kappa_dot = jnp.zeros_like(kappa) if kappa_dot is None else kappa_dot
    applied = lambda driven, u, kappa: hill.times(driven, u, kappa, v)  # noqa: E731
    _, change = eqx.filter_jvp(applied, (driven, u, kappa), (driven_dot, u_dot, kappa_dot))
    return g, -(w @ change)


@compiled
def located(driven: DrivenOscillators, points: Points, where: Bool[Array, " interval"], kind: str, most: int) -> Points:
    """The bifurcations of a kind in the intervals marked, in order along the branch."""
    u = rows_of(driven, points)
    first, valid = first_of(where, most)
    hill = Hill.of(driven.model.basis, kind)
    share, angle = _critical(points.multipliers[first], points.multipliers[first + 1], kind)
    guess = u[first] * (1 - share)[:, None] + u[first + 1] * share[:, None]
    spare = u[0]
    if hill.pair:
        omega = points.omega[first] * (1 - share) + points.omega[first + 1] * share
        kappa = angle * omega / (2 * jnp.pi * driven.model.basis.periods)
        guess = jnp.concatenate([guess, kappa[:, None]], axis=1)
        spare = jnp.append(u[0], 0.3 * points.omega[0])
    guess = or_first(guess, valid, spare)

    def one(guess: Array, valid: Array) -> tuple[Array, Array]:
        return refined(hill, guess, (driven, *hill.bordered(driven, guess)), spare, valid)

    found, valid = jax.vmap(one)(guess, valid)
    found = found[:, :-1] if hill.pair else found
    return driven.orbits(found[:, :-1], found[:, -1], valid)


def _critical(
    before: Complex[Array, "found state"], behind: Complex[Array, "found state"], kind: str
) -> tuple[Float[Array, " found"], Float[Array, " found"]]:
    """At which share of each interval a multiplier is on the unit circle, and its angle there, by interpolation."""
    target = {"period_doubling": -1.0, "symmetry_breaking": 1.0}.get(kind)

    def nearest(z: Array) -> Array:
        if target is None:
            off = jnp.where(z.imag > 0, jnp.abs(jnp.log(jnp.abs(z))), jnp.inf)
        else:
            off = jnp.where(jnp.abs(z.imag) <= 1e-9 * jnp.abs(z), jnp.abs(z.real - target), jnp.inf)
        return jnp.take_along_axis(z, jnp.argmin(off, axis=1)[:, None], axis=1)[:, 0]

    a, b = nearest(before), nearest(behind)
    p, q = (jnp.log(jnp.abs(a)), jnp.log(jnp.abs(b))) if target is None else (a.real - target, b.real - target)
    share = jnp.where(p * q < 0, p / jnp.where(p == q, 1.0, p - q), 0.5)
    return share, jnp.angle(a) * (1 - share) + jnp.angle(b) * share
