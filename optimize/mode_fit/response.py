"""Fitted responses as pytrees of arrays, which `ModeFit` holds and `diffnr.save` writes."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.tcmt.passive import from_pairs, hermitian, isometry
from optimize.mode_fit.form import Form


class ActiveResponse(eqx.Module):
    """A response without any bound of its own: see `Form`, whose fields it has."""

    A: Float[Array, "mode mode 2"]
    D: Float[Array, "port mode 2"]
    K: Float[Array, "port mode 2"]
    background: Float[Array, "power port port 2"]
    delay: Float[Array, " port"] | None
    symmetric: bool = eqx.field(static=True, default=False)
    mirror: float | None = eqx.field(static=True, default=None)

    def response(self, x: Any) -> Complex[np.ndarray, "f out in"]:
        """S at scaled frequencies x [f]."""
        return form_of(self).response(x)[0]


class PassiveResponse(eqx.Module):
    """A response of fits of version 0.1, kept for files that hold one:

        A = iΩ − ½D_f†D_f,   C and D the top M rows of V(x) and D_f,   K(x) = −(D_f†V(x))ᵀ,   V†V = 1

    with V(x) the isometry made of a polynomial W(x).
    """

    omega: Float[Array, "mode mode"]
    D: Float[Array, "wire mode 2"]
    direct: Float[Array, "wire port 2"]
    background: Float[Array, "power port port 2"]
    delay: Float[Array, " port"] | None

    def response(self, x: Any) -> Complex[np.ndarray, "f out in"]:
        """S at scaled frequencies x [f]."""
        x, D, V = jnp.asarray(x), from_pairs(self.D), self._isometry(x)
        ports = V.shape[2]
        A = 1j * hermitian(self.omega) - D.conj().T @ D / 2
        a = -jnp.linalg.solve(1j * x[:, None, None] * jnp.eye(len(A)) - A, D.conj().T @ V)
        delay = jnp.zeros(ports) if self.delay is None else self.delay
        return np.asarray((V + D @ a)[:, :ports] * jnp.exp(-1j * x[:, None, None] * (delay[:, None] + delay)))

    def _isometry(self, x: Any) -> Complex[Array, "f wire port"]:
        W = from_pairs(self.direct)
        powers = jnp.asarray(x)[:, None] ** jnp.arange(1, len(self.background) + 1)
        visible = jnp.tensordot(powers, from_pairs(self.background), 1)
        return isometry(W + jnp.pad(visible, ((0, 0), (0, len(W) - W.shape[1]), (0, 0))))


Response = ActiveResponse | PassiveResponse


def as_response(form: Form) -> ActiveResponse:
    """The form as a pytree."""
    return ActiveResponse(**_each(form, jnp.asarray))


def form_of(response: Any) -> Form:
    """The form of an `ActiveResponse`."""
    return Form(**_each(response, np.asarray))


def _each(fields: Form | ActiveResponse, as_array: Any) -> dict[str, Any]:
    """The fields that both have, as arrays of a kind."""
    found = {name: getattr(fields, name) for name in ActiveResponse.__dataclass_fields__}
    arrays = {name for name, part in found.items() if part is not None} - {"symmetric", "mirror"}
    return {name: as_array(part) if name in arrays else part for name, part in found.items()}
