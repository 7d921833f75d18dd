"""Points at which the outputs of both directions are equal in norm, or in phase: what searches for them return."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.metrics import mean_square
from diffnr.results import AbstractAnswer
from diffnr.tables import AbstractTabular, largest


class AbstractEqualPoints(AbstractAnswer, AbstractTabular):
    """Pairs of orbits at one frequency whose outputs are equal in some way; NaN beyond `count`. Direction 0 is forward,
    1 backward.

    **Fields:** `omega` [point]; `b` [point, oscillator, driven, harmonic] complex, x(t) = Re Σ b_h e^{ihωt} of all
    oscillators, driven at the one or the other of both `ports`; `multipliers` [point, direction, 2n] complex,
    Floquet's, largest modulus first; `count` []; `result`, of `RESULTS`; `harmonics`, the last axis of b.
    """

    omega: Float[Array, "*batch point"]
    b: Complex[Array, "*batch point oscillator driven harmonic"]
    multipliers: Complex[Array, "*batch point direction state"]
    count: Int[Array, "*batch"]
    result: Any
    harmonics: tuple[Any, ...] = eqx.field(static=True)
    ports: tuple[int, int] = eqx.field(static=True, default=(0, 1))

    @property
    def valid(self) -> Bool[Array, "*batch point"]:
        """Which points there are."""
        return jnp.arange(self.omega.shape[-1]) < self.count[..., None]

    @property
    def outputs(self) -> Complex[Array, "*batch point direction harmonic"]:
        """The harmonics of both outputs: of the second port forward, of the first one backward."""
        first, last = self.ports
        return jnp.stack([self.b[..., last, 0, :], self.b[..., first, 1, :]], axis=-2)

    @property
    def nonreciprocal_phase(self) -> Float[Array, "*batch point"]:
        """Δφ = φ_F − φ_B of the fundamentals, in (−π, π], rad."""
        first = self.outputs[..., self.harmonics.index(1)]
        phase = jnp.angle(first[..., 0] * jnp.conj(first[..., 1]))
        return jnp.where(phase == -jnp.pi, jnp.pi, phase)

    @property
    def reciprocity_norm(self) -> Float[Array, "*batch point"]:
        """R = √(1/T ∫(x_F − x_B)² dt)."""
        squared = mean_square(self.outputs[..., 0, :] - self.outputs[..., 1, :], self.harmonics)
        zero = squared == 0  # it has no derivative there
        return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))

    @property
    def harmonicity(self) -> Float[Array, "*batch point direction"]:
        """|X_1| / √(Σ|X_h|²) of both outputs: 1 for a pure tone."""
        power = self.outputs.real**2 + self.outputs.imag**2
        return jnp.sqrt(power[..., self.harmonics.index(1)] / jnp.sum(power, axis=-1))

    @property
    def stable(self) -> Bool[Array, "*batch point direction"]:
        """Whether all multipliers of an orbit lie inside of the unit circle."""
        return jnp.abs(self.multipliers[..., 0]) < 1

    def trim(self):
        """The points alone, for people; not inside a transformation.

        A batch keeps the room that the longest of its elements needs."""
        return self[: largest(self.count)]

    def __getitem__(self, index: slice | np.ndarray):
        omega, b = self.omega[..., index], self.b[..., index, :, :, :]
        multipliers, count = self.multipliers[..., index, :, :], jnp.sum(~jnp.isnan(omega), axis=-1)
        return dataclasses.replace(self, omega=omega, b=b, multipliers=multipliers, count=count)  # pyright: ignore[reportArgumentType]


class EqualNormPoints(AbstractEqualPoints):
    """Pairs of orbits with N_F = N_B at one frequency, made by `equal_norm_points`: see `AbstractEqualPoints`."""

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "omega": (),
        "norm": (),
        "nonreciprocal_phase": (),
        "reciprocity_norm": (),
        "harmonicity": ("direction",),
        "stable": ("direction",),
        "b": ("oscillator", "driven", "harmonic"),
        "multipliers": ("direction", "state"),
    }

    @property
    def norm(self) -> Float[Array, "*batch point"]:
        """N = √(1/T ∫x² dt), of the forward output; that of the backward one is the same."""
        return jnp.sqrt(mean_square(self.outputs[..., 0, :], self.harmonics))


class EqualPhasePoints(AbstractEqualPoints):
    """Pairs of orbits with Δφ = 0 at one frequency, made by `equal_phase_points`: see `AbstractEqualPoints`."""

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "omega": (),
        "norm": ("direction",),
        "phase": (),
        "nonreciprocal_phase": (),
        "reciprocity_norm": (),
        "harmonicity": ("direction",),
        "stable": ("direction",),
        "b": ("oscillator", "driven", "harmonic"),
        "multipliers": ("direction", "state"),
    }

    @property
    def norm(self) -> Float[Array, "*batch point direction"]:
        """N_F and N_B, N = √(1/T ∫x² dt)."""
        return jnp.sqrt(mean_square(self.outputs, self.harmonics))

    @property
    def phase(self) -> Float[Array, "*batch point"]:
        """φ of the fundamental of the forward output against the force; that of the backward one is the same."""
        return jnp.angle(self.outputs[..., 0, self.harmonics.index(1)])
