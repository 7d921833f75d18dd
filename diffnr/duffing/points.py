"""Periodic orbits at points of parameter space, with what is read off them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.duffing.abstract_orbits import AbstractOrbits
from diffnr.duffing.multipliers import multipliers_of
from diffnr.duffing.oscillators import AbstractOscillators
from diffnr.tables import largest


class Points(AbstractOrbits):
    """Orbits, in order; NaN beyond `count`.

    **Fields:** `parameter` [point], of the branch they are on, where that is not the frequency; `omega` [point]; `b`
    [point, oscillator, harmonic] complex, x_j(t) = Re Σ b_jh e^{ihωt}; `multipliers` [point, 2n] complex, Floquet's,
    largest modulus first; `count` []; `harmonics`, the last axis of b.
    """

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "parameter": (),
        "omega": (),
        "norm": ("oscillator",),
        "phase": ("oscillator",),
        "harmonicity": ("oscillator",),
        "stable": (),
        "b": ("oscillator", "harmonic"),
        "multipliers": ("state",),
    }

    parameter: Float[Array, "*batch point"]
    omega: Float[Array, "*batch point"]
    b: Complex[Array, "*batch point oscillator harmonic"]
    multipliers: Complex[Array, "*batch point state"]
    count: Int[Array, "*batch"]
    harmonics: tuple[Any, ...] = eqx.field(static=True)

    @property
    def phase(self) -> Float[Array, "*batch point oscillator"]:
        """The phase of every fundamental against the force, in (−π, π], rad."""
        return jnp.angle(self.b[..., self.harmonics.index(1)])

    @property
    def harmonicity(self) -> Float[Array, "*batch point oscillator"]:
        """|X_1| / √(Σ|X_h|²) of every oscillator: 1 for a pure tone."""
        power = self.b.real**2 + self.b.imag**2
        return jnp.sqrt(power[..., self.harmonics.index(1)] / jnp.sum(power, axis=-1))

    @property
    def stable(self) -> Bool[Array, "*batch point"]:
        """Whether all multipliers lie inside of the unit circle; False too where they could not be told (NaN)."""
        return jnp.abs(self.multipliers[..., 0]) < 1

    def trim(self) -> Points:
        """The points without the empty rest of their buffers, for people; not inside a transformation.

        A batch keeps the room that the longest of its elements needs."""
        return self[: largest(self.count)]

    def __getitem__(self, part: slice) -> Points:
        """A part of the points."""
        own = {field.name for field in dataclasses.fields(self)}  # what a subclass has beside
        parts = {name: getattr(self, name)[..., part] for name in own & {"parameter", "omega", "truncation"}}
        parts |= {"b": self.b[..., part, :, :], "multipliers": self.multipliers[..., part, :]}
        return dataclasses.replace(self, **parts, count=jnp.sum(~jnp.isnan(parts["omega"]), axis=-1))


def orbits(
    model: AbstractOscillators, y: Float[Array, "point n"], omega: Float[Array, " point"], valid: Bool[Array, " point"]
) -> Points:
    """Points of coefficients [point, n·m] that balance at ω [point], with their multipliers; NaN where not `valid`."""
    basis = model.basis
    c = y.reshape(y.shape[0], -1, basis.size)
    b = jnp.where(valid[:, None, None], jax.vmap(basis.phasors)(c), jnp.nan)
    omega_, multipliers = jnp.where(valid, omega, jnp.nan), multipliers_of(model, c, omega, valid)
    return Points(
        parameter=omega_,
        omega=omega_,
        b=b,
        multipliers=multipliers,
        count=jnp.sum(valid),
        harmonics=basis.harmonics,
    )
