"""Lines of a spectrum: what resonances of a scene and lines of a trace have in common."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from diffnr.results import AbstractAnswer


class AbstractLines(AbstractAnswer):
    """Lines e^{(iω − γ)t}: `omega` [line], rad/s; `gamma` [line], 1/s; `valid` [line], whether there is one."""

    omega: eqx.AbstractVar[Float[Array, " line"]]
    gamma: eqx.AbstractVar[Float[Array, " line"]]
    valid: eqx.AbstractVar[Bool[Array, " line"]]

    @property
    def count(self) -> Int[Array, ""]:
        """How many there are."""
        return jnp.sum(self.valid)

    @property
    def q(self) -> Float[Array, " line"]:
        """Q = ω/2γ."""
        return self.omega / (2 * self.gamma)
