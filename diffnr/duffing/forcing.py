"""How a force is shared among oscillators: one of them, several with phases, or all by the motion of their base."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.checks import as_complex, as_index, as_real, is_concrete, require, require_finite, require_shape
from diffnr.duffing.oscillators import AbstractOscillators

MUST = "be an oscillator, complex shares [n] of the force, or a duffing.BaseMotion"


class BaseMotion(eqx.Module):
    """A base that moves as u(t) = Re(A e^{iωt}), where displacements are relative to it:

        M x'' + C x' + f(x, x', ωt) = −M d u''        so that F = ω² A M d

    It takes the place of `port`, and the amplitude is that of the base's displacement.

    **Arguments:** `direction`: d, [n] or [], how much each displacement is along the base's; default 1.

    **Raises:** `ValueError` for a direction that is not real and finite.

        duffing.frequency_response(model, amplitude=0.01, omega=(0.5, 2.0), port=duffing.BaseMotion())
    """

    direction: Float[Array, "*oscillator"]

    def __init__(self, direction: Any = 1.0):
        self.direction = as_real(direction, "direction")
        was = f"of shape {self.direction.shape}"
        require(self.direction.ndim < 2 and self.direction.size > 0, "direction", "have shape () or (n,)", was)
        require_finite("direction", self.direction)


class Forcing(eqx.Module):
    """What `as_forcing` makes of a user's `port`: an oscillator, shares of all, or a base."""

    port: int | None = eqx.field(static=True, default=None)
    share: Complex[Array, " oscillator"] | Float[Array, " oscillator"] | None = None
    base: BaseMotion | None = None

    def phasors(self, model: AbstractOscillators, omega: Array, amplitude: Array) -> Array:
        """F [n], of F cos ωt."""
        n = model.num_ports
        if self.base is not None:
            return omega**2 * amplitude * (model.inertia @ jnp.broadcast_to(self.base.direction, (n,)))
        if self.share is not None:
            return amplitude * self.share
        return jnp.zeros(n, jnp.result_type(amplitude, model.mass)).at[self.port].set(amplitude)

    def driven(self, n: int) -> list[int]:
        """The oscillators that may feel a force."""
        return list(range(n)) if self.port is None else [self.port]

    @property
    def given(self) -> Any:
        """As the user has it: an index, shares or a `BaseMotion`."""
        return self.port if self.port is not None else self.share if self.share is not None else self.base


def as_forcing(port: Any, model: AbstractOscillators) -> Forcing:
    """`port` as an oscillator of a model, shares of the force, or a base."""
    n = model.num_ports
    if isinstance(port, Forcing):
        return port
    if isinstance(port, BaseMotion):
        require_shape(port.direction, "direction", (), (n,))
        return Forcing(base=port)
    if isinstance(port, (list, tuple)) or (hasattr(port, "ndim") and port.ndim > 0):
        turned = any(np.iscomplexobj(part) for part in jax.tree_util.tree_leaves(port))
        share = as_complex(port, "port") if turned else as_real(port, "port")
        require_shape(share, "port", (n,))
        require_finite("port", share)
        require(not is_concrete(share) or np.any(np.asarray(share)), "port", "not be 0 everywhere", share)
        return Forcing(share=share)
    return Forcing(port=as_index(port, "port", n, "port"))
