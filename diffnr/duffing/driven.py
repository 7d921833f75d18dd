"""Oscillators under a tone, of which one number λ is free: what branches of orbits solve."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact

from diffnr.duffing import harmonic_balance
from diffnr.duffing.forcing import BaseMotion, Forcing
from diffnr.duffing.harmonic_balance import forcing
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.duffing.points import Points, orbits
from diffnr.parameters import replace


class DrivenOscillators(eqx.Module):
    """Oscillators under a force; λ replaces what `along` names: "omega", "amplitude" or a leaf's path."""

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

    def at(self, value: Array) -> tuple[AbstractOscillators, Array, Array]:
        """(model, ω, amplitude) at λ = value."""
        if self.along == "omega":
            return self.model, value, self.amplitude
        if self.along == "amplitude":
            return self.model, self.omega, value
        return replace(self.model, {self.along: value}), self.omega, self.amplitude

    def orbits(self, y: Float[Array, "point n"], value: Float[Array, " point"], valid: Bool[Array, " point"]) -> Points:
        """The points of coefficients that balance at λ [point]; NaN where not `valid`."""

        def point(y: Array, value: Array, valid: Array) -> Points:
            model, omega, _ = self.at(value)
            return orbits(model, y[None], jnp.broadcast_to(omega, (1,)), valid[None])

        points = jax.vmap(point)(y, value, valid)
        omega, b, multipliers = (x[:, 0] for x in (points.omega, points.b, points.multipliers))
        return Points(jnp.where(valid, value, jnp.nan), omega, b, multipliers, jnp.sum(valid), points.harmonics)


def linearise(y: Array, value: Array, driven: DrivenOscillators) -> tuple[Array, Array, Array]:
    """F(y, λ), ∂F/∂y and ∂F/∂λ of the balance, for `continuation.trace`."""
    model, omega, amplitude = driven.at(value)
    drive = forcing(model, driven.forcing, amplitude, omega)
    f, jacobian, slope = harmonic_balance.linearise(y, omega, (model, drive))
    if driven.along == "omega" and driven.forcing.base is None:
        return f, jacobian, slope
    return f, jacobian, jax.jvp(lambda value: balance(y, value, driven), (value,), (jnp.ones_like(value),))[1]


def balance(y: Array, value: Array, driven: DrivenOscillators) -> Array:
    """F(y, λ), for `continuation`."""
    model, omega, amplitude = driven.at(value)
    return harmonic_balance.residual(y, (model, omega, forcing(model, driven.forcing, amplitude, omega)))


def balance_at(y: Array, args: tuple[DrivenOscillators, Array]) -> Array:
    """F(y) at args = (driven, λ), for `diffnr.root`."""
    driven, value = args
    return balance(y, value, driven)
