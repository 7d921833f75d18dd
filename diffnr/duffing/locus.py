"""Bifurcations of branches over a second parameter: the system that they solve, and what is made of its solutions.

    F(y, λ; μ) = 0,   g(y, λ; μ) = 0        with g = 0 where Hill's equations are singular (`bifurcations`)

of z = [y, λ], or [y, λ, κ] for Neimark–Sacker points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from diffnr import continuation
from diffnr.checks import Count, Numbers, as_count, as_scalar
from diffnr.compilation import compiled
from diffnr.continuation import course_of, turning
from diffnr.duffing.bifurcations import Hill
from diffnr.duffing.driven import DrivenOscillators, balance
from diffnr.duffing.orbit_curve import AbstractOrbitCurve
from diffnr.duffing.points import Points
from diffnr.duffing.special_points import first_of, once_around, or_first, refined, rows_of
from diffnr.duffing.truncation import of_each
from diffnr.results import RESULTS, AbstractAnswer
from diffnr.tables import largest


class BifurcationLocus(AbstractAnswer, AbstractOrbitCurve):
    """Bifurcations of a kind over a second parameter, in order along their locus; made by `bifurcation_locus`.

    **Fields:** `parameter` [point], of what is named by `along`; `points`, the orbits there, whose own `parameter` is
    that of the branch; `kappa` [point], the frequency at which disturbances turn at Neimark–Sacker points, rad/time,
    else 0; `slope` [point], of the parameter along the locus; `result`, of `RESULTS`; `driven`, whose orbits they are;
    `kind`. `omega`, `b`, `norm`, `multipliers` and `count` are those of the points.
    """

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "parameter": (),
        "branch_parameter": (),
        "omega": (),
        "norm": ("oscillator",),
        "phase": ("oscillator",),
        "harmonicity": ("oscillator",),
        "truncation": (),
        "kappa": (),
        "b": ("oscillator", "harmonic"),
        "multipliers": ("state",),
    }

    parameter: Float[Array, "*batch point"]
    points: Points
    kappa: Float[Array, "*batch point"]
    slope: Float[Array, "*batch point"]
    result: Any
    driven: DrivenOscillators
    along: str = eqx.field(static=True)
    kind: str = eqx.field(static=True)

    @property
    def message(self) -> str:
        """From where to where the locus goes, and why it ends there, in a sentence."""
        return course_of(self.result, self.parameter, self.count, self.along)

    @property
    def truncation(self) -> Float[Array, "*batch point"]:
        """About the relative error that ending with these harmonics leaves of each orbit beside its branch: a Newton
        step of a balance of 2H + 1, without what of it leads along the branch, which goes far beside a fold."""
        return of_each(self.driven, self.b, self.branch_parameter, self.along, self.parameter)

    @property
    def branch_parameter(self) -> Float[Array, "*batch point"]:
        """The parameter of the branch, of what `driven.along` names."""
        return self.points.parameter

    def trim(self) -> BifurcationLocus:
        """The locus without the empty rest of its buffers, for people; not inside a transformation.

        A batch keeps the room that the longest of its elements needs."""
        count = largest(self.count)
        parts = {name: getattr(self, name)[..., :count] for name in ("parameter", "kappa", "slope")}
        return dataclasses.replace(self, points=self.points.trim(), **parts)

    def at(self, value: Numbers, *, most: Count = 4) -> BifurcationLocus:
        """The bifurcations at one value of the parameter, one for each time that the locus passes it, in order.

        Their derivatives are exact.

        **Arguments:** `value`: [], within the locus; `most`: how many at most, a static number.
        """
        return _at(self, as_scalar(value, "value", positive=self.along == "omega"), as_count(most, "most"))

    @property
    def turns(self) -> BifurcationLocus:
        """Where the locus turns back in its parameter (at most 4), with exact derivatives: of folds a cusp, at which
        two of them meet and vanish, or where an isola is born or joins another branch."""
        return _turns(self)


class Critical(eqx.Module):
    """F and g of [y, λ] or [y, λ, κ] at a value of μ."""

    hill: Hill
    along: str = eqx.field(static=True)

    def __call__(self, z: Array, value: Array, args: tuple[DrivenOscillators, Array, Array]) -> Array:
        driven, b, c = args
        return self.hill(z, (driven.having(self.along, value), b, c))

    def rooted(self, z: Array, args: tuple[DrivenOscillators, Array, Array, Array]) -> Array:
        """F and g at args = (driven, μ, b, c), for `diffnr.root`."""
        driven, value, b, c = args
        return self(z, value, (driven, b, c))

    def bordered(self, z: Array, value: Array, driven: DrivenOscillators) -> tuple[Array, Array]:
        """b and c, of H at z and μ."""
        return self.hill.bordered(driven.having(self.along, value), z)

    def linearise(self, z: Array, value: Array, driven: DrivenOscillators) -> tuple[Array, Array, Array]:
        """F and g with their slopes, for `continuation.trace`. Borders follow the locus: with the singular vectors of
        here g is the least singular value, up to a sign, and its slope that of w̄ᵀ H v."""
        left, right = self.bordered(z, value, driven)

        def told(z: Array, value: Array) -> tuple[Array, Array]:
            there, (u, kappa) = driven.having(self.along, value), self.hill.split(z)
            g = left.conj() @ self.hill.times(there, u, kappa, right)
            parts = jnp.stack([g.real, g.imag]) if self.hill.pair else g[None]
            f = jnp.concatenate([balance(u[:-1], u[-1], there), parts])
            return f, f

        (jacobian, slope), f = jax.jacfwd(told, (0, 1), has_aux=True)(z, value)
        return f, jacobian, slope


def locus_of(
    driven: DrivenOscillators,
    system: Critical,
    kind: str,
    zs: Float[Array, "point k"],
    values: Float[Array, " point"],
    valid: Bool[Array, " point"],
    slope: Float[Array, " point"],
    result: Any,
) -> BifurcationLocus:
    """The locus of unknowns z at values of μ; NaN where not `valid`."""
    us, kappa = jax.vmap(system.hill.split)(zs)

    def point(u: Array, value: Array, valid: Array) -> Points:
        return driven.having(system.along, value).orbits(u[None, :-1], u[None, -1], valid[None])

    points = jax.vmap(point)(us, values, valid)
    fields = {name: getattr(points, name)[:, 0] for name in ("parameter", "omega", "b", "multipliers")}
    points = dataclasses.replace(points, **fields, count=jnp.sum(valid))
    values, kappa = jnp.where(valid, values, jnp.nan), jnp.where(valid, kappa, jnp.nan)
    return BifurcationLocus(
        parameter=values,
        points=points,
        kappa=kappa,
        slope=slope,
        result=result,
        driven=driven,
        along=system.along,
        kind=kind,
    )


def _parts(locus: BifurcationLocus) -> tuple[Critical, Array, Array]:
    """The system of a locus, and its points z and μ, without derivatives."""
    system = Critical(Hill.of(locus.driven.model.basis, locus.kind), locus.along)
    zs = rows_of(locus.driven, locus.points)
    zs = jnp.concatenate([zs, locus.kappa[:, None]], axis=1) if system.hill.pair else zs
    return system, *lax.stop_gradient((zs, locus.parameter))


@compiled
def _at(locus: BifurcationLocus, value: Array, most: int) -> BifurcationLocus:
    driven, (system, zs, values) = locus.driven, _parts(locus)
    if not system.hill.pair:  # of which a loop's last point is its first
        piece = jnp.where(jnp.isnan(values), -1, 0)
        rows = jnp.concatenate([zs, values[:, None]], axis=1)
        rows = once_around(rows, piece, (locus.result == RESULTS.closed) & (piece >= 0))
        zs, values = rows[:, :-1], rows[:, -1]
    below = values - lax.stop_gradient(value)
    first, valid = first_of((below[:-1] * below[1:] <= 0) & (below[1:] != 0), most)
    share = (below[first] / (below[first] - below[first + 1]))[:, None]
    guess = or_first(zs[first] * (1 - share) + zs[first + 1] * share, valid, zs[0])

    def one(guess: Array, valid: Array) -> tuple[Array, Array]:
        return refined(system.rooted, guess, (driven, value, *system.bordered(guess, value, driven)), zs[0], valid)

    found, valid = jax.vmap(one)(guess, valid)
    nothing = jnp.full(most, jnp.nan)
    return locus_of(
        driven, system, locus.kind, found, jnp.broadcast_to(value, (most,)), valid, nothing, locus.result
    )  # fmt: skip


@compiled
def _turns(locus: BifurcationLocus, most: int = 4) -> BifurcationLocus:
    driven, (system, zs, values), slope = locus.driven, _parts(locus), locus.slope
    first, valid = first_of(turning(slope), most)
    rows = jnp.concatenate([zs, values[:, None]], axis=1)
    share = (slope[first] / (slope[first] - slope[first + 1]))[:, None]
    guess = jnp.where(valid[:, None], rows[first] * (1 - share) + rows[first + 1] * share, rows[0])
    along = jnp.where(valid[:, None], zs[first + 1] - zs[first], 1.0)

    def one(guess: Array, along: Array, valid: Array) -> tuple[Array, Array]:
        args = driven, *system.bordered(guess[:-1], guess[-1], driven)
        return continuation.fold(continuation.from_residual(system), system, guess, along, args, sought=valid)

    found, valid = jax.vmap(one)(guess, along, valid)
    nothing = jnp.zeros(most)
    return locus_of(driven, system, locus.kind, found[:, :-1], found[:, -1], valid, nothing, locus.result)
