"""The fitted forms as pytrees of arrays, which `ModeFit` holds and `diffnr.save` writes."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from optimize.mode_fit.forms import ActiveForm, Form, PassiveForm


class PassiveResponse(eqx.Module):
    """A response that is passive whatever its parameters are: see `PassiveForm`, whose fields it has."""

    omega: Float[Array, "mode mode"]
    D: Float[Array, "wire mode 2"]
    direct: Float[Array, "wire port 2"]
    background: Float[Array, "power port port 2"]
    delay: Float[Array, " port"] | None

    def response(self, x: Any) -> Complex[np.ndarray, "f out in"]:
        """S at scaled frequencies x [f]."""
        return PassiveForm(**_fields(self)).response(x)[0]


class ActiveResponse(eqx.Module):
    """A response without any bound: see `ActiveForm`, whose fields it has."""

    A: Float[Array, "mode mode 2"]
    D: Float[Array, "port mode 2"]
    K: Float[Array, "port mode 2"]
    background: Float[Array, "power port port 2"]
    delay: Float[Array, " port"] | None

    def response(self, x: Any) -> Complex[np.ndarray, "f out in"]:
        """S at scaled frequencies x [f]."""
        return ActiveForm(**_fields(self)).response(x)[0]


Response = PassiveResponse | ActiveResponse


def as_response(form: Form) -> Response:
    """The form as a pytree."""
    kind: Any = PassiveResponse if isinstance(form, PassiveForm) else ActiveResponse
    return kind(**{name: None if part is None else jnp.asarray(part) for name, part in vars(form).items()})


def _fields(response: Any) -> dict[str, Any]:
    parts = {name: getattr(response, name) for name in response.__dataclass_fields__}
    return {name: None if part is None else np.asarray(part) for name, part in parts.items()}
