"""What orbits in order have, whatever makes them."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.metrics import mean_square
from diffnr.tables import AbstractTabular


class AbstractOrbits(AbstractTabular):
    """Orbits in order, NaN beyond `count`; `harmonics`: the last axis of `b`."""

    omega: eqx.AbstractVar[Float[Array, "*batch point"]]
    b: eqx.AbstractVar[Complex[Array, "*batch point oscillator harmonic"]]
    count: eqx.AbstractVar[Int[Array, "*batch"]]
    harmonics: eqx.AbstractVar[tuple[Any, ...]]

    @property
    def valid(self) -> Bool[Array, "*batch point"]:
        """Which points there are."""
        return jnp.arange(self.omega.shape[-1]) < self.count[..., None]

    @property
    def norm(self) -> Float[Array, "*batch point oscillator"]:
        """N = √(1/T ∫x² dt) of every oscillator."""
        return jnp.sqrt(mean_square(self.b, self.harmonics))
