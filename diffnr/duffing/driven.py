"""Oscillators under a tone, of which one number λ is free: what branches of orbits solve."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact

from diffnr.arclength import AnyLinearisation
from diffnr.checks import described, require
from diffnr.duffing import harmonic_balance
from diffnr.duffing.forcing import BaseMotion, Forcing
from diffnr.duffing.harmonic_balance import forcing
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.duffing.points import Points, orbits
from diffnr.parameters import get, paths, replace

OWN = "omega", "amplitude"
LONG = 8  # oscillators: from here on a chain's blocks are solved faster than the whole


class DrivenOscillators(eqx.Module):
    """Oscillators under a force; λ replaces what `along` names: "omega", "amplitude", the phase "phase.0" of the force
    at an oscillator, or the path of a leaf or of an entry of one."""

    model: AbstractOscillators
    omega: Float[Array, ""]
    amplitude: Float[Array, ""]
    port: int | None = eqx.field(static=True)
    along: str = eqx.field(static=True)
    share: Inexact[Array, " oscillator"] | None = None
    base: BaseMotion | None = None

    @property
    def forcing(self) -> Forcing:
        """What of the force each oscillator feels."""
        return Forcing(self.port, self.share, self.base)

    def value(self, name: str) -> Array:
        """What a parameter is."""
        if name in OWN:
            return getattr(self, name)
        oscillator = _phase_of(name)
        if oscillator is None:
            return get(self.model, name)
        return jnp.zeros_like(self.omega) if self.share is None else jnp.angle(self.share[oscillator])

    def having(self, name: str, value: Array) -> DrivenOscillators:
        """The same with another value of a parameter."""
        if name in OWN:
            return eqx.tree_at(lambda driven: getattr(driven, name), self, value)
        oscillator = _phase_of(name)
        if oscillator is None:
            return eqx.tree_at(lambda driven: driven.model, self, replace(self.model, {name: value}))
        share = jnp.zeros(self.model.num_ports).at[self.port].set(1.0) if self.share is None else self.share
        turned = jnp.abs(share[oscillator]) * jnp.exp(1j * value)
        return dataclasses.replace(self, port=None, share=(share + 0j).at[oscillator].set(turned))

    def at(self, value: Array) -> DrivenOscillators:
        """The same at λ = value."""
        return self.having(self.along, value)

    def orbits(self, y: Float[Array, "point n"], value: Float[Array, " point"], valid: Bool[Array, " point"]) -> Points:
        """The points of coefficients that balance at λ [point]; NaN where not `valid`."""

        def point(y: Array, value: Array, valid: Array) -> Points:
            there = self.at(value)
            return orbits(there.model, y[None], jnp.broadcast_to(there.omega, (1,)), valid[None])

        points = jax.vmap(point)(y, value, valid)
        omega, b, multipliers = (x[:, 0] for x in (points.omega, points.b, points.multipliers))
        return Points(
            parameter=jnp.where(valid, value, jnp.nan),
            omega=omega,
            b=b,
            multipliers=multipliers,
            count=jnp.sum(valid),
            harmonics=points.harmonics,
        )


def linearise(y: Array, value: Array, driven: DrivenOscillators) -> AnyLinearisation:
    """F(y, λ), ∂F/∂y and ∂F/∂λ of the balance, for `continuation.trace`; of long chains ∂F/∂y by its blocks."""
    law = harmonic_balance.linearise_chain if is_long(driven) else harmonic_balance.linearise
    return _linearised(law, y, value, driven)


def is_long(driven: DrivenOscillators, *_: Any) -> bool:
    """Whether oscillators are a chain that is solved by its blocks, and spends its time in loops over arrays."""
    return driven.model.chained and driven.model.num_ports >= LONG


def linearise_whole(y: Array, value: Array, driven: DrivenOscillators) -> tuple[Array, Array, Array]:
    """As `linearise`, with all of ∂F/∂y, [n·m, n·m]."""
    return _linearised(harmonic_balance.linearise, y, value, driven)


def _linearised(law: Any, y: Array, value: Array, driven: DrivenOscillators) -> tuple[Array, Any, Array]:
    there = driven.at(value)
    drive = forcing(there.model, there.forcing, there.amplitude, there.omega)
    f, jacobian, slope = law(y, there.omega, (there.model, drive))
    if driven.along == "omega" and driven.forcing.base is None:
        return f, jacobian, slope
    return f, jacobian, jax.jvp(lambda value: balance(y, value, driven), (value,), (jnp.ones_like(value),))[1]


def balance(y: Array, value: Array, driven: DrivenOscillators) -> Array:
    """F(y, λ), for `continuation`."""
    there = driven.at(value)
    drive = forcing(there.model, there.forcing, there.amplitude, there.omega)
    return harmonic_balance.residual(y, (there.model, there.omega, drive))


def balance_at(y: Array, args: tuple[DrivenOscillators, Array]) -> Array:
    """F(y) at args = (driven, λ), for `diffnr.root`."""
    driven, value = args
    return balance(y, value, driven)


def _phase_of(name: str) -> int | None:
    """The oscillator whose force's phase a parameter is, if it is one."""
    head, _, oscillator = name.partition(".")
    return int(oscillator) if head == "phase" and oscillator.isdigit() else None


def require_parameter(along: Any, name: str, driven: DrivenOscillators) -> None:
    """Raise unless `along` names a number that branches of these oscillators may go along."""
    model, n = driven.model, driven.model.num_ports
    leaves = {path: get(model, path) for path in paths(model)}
    real = {path: x.ndim for path, x in leaves.items() if jnp.issubdtype(x.dtype, jnp.floating)}
    names = (
        *OWN,
        *(f"phase.{j}" for j in driven.forcing.driven(n)),
        *(path + ".0" * ndim for path, ndim in real.items()),
    )
    known = isinstance(along, str) and (along in names or (_phase_of(along) is None and _is_real(model, along)))
    listed = ", ".join(map(repr, names))
    require(known, name, f"be one of {listed}, or another entry of an array", described(along))
    turned = isinstance(along, str) and _phase_of(along) is not None
    require(not turned or driven.base is None, name, "not be a phase where a base moves", along)


def _is_real(model: AbstractOscillators, path: str) -> bool:
    """Whether a real number stands at a path."""
    try:
        found = get(model, path)
    except ValueError:
        return False
    return eqx.is_array(found) and found.shape == () and bool(jnp.issubdtype(found.dtype, jnp.floating))
