"""The pair of coupled resonators of paper 1, each with a port of its own."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffnr.checks import Numbers, as_real, check_fields, rate_field, real_field, require_shape
from diffnr.tcmt.loss import check_laws
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.modes import AbstractCoupledModes, Laws


class TwoResonators(AbstractCoupledModes):
    """Two coupled resonators, resonator j behind port j:

        a_j' = (iω_j − γ_j − γ_j0) a_j + iκ a_{1−j} − f_j(a) + √(2γ_j) s_j₊,      s_j₋ = −s_j₊ + √(2γ_j) a_j

    **Arguments**, all in one rate unit (rad/s, or any other); they are the leaves of the model:

    - `omega`: [2], resonance frequencies.
    - `gamma`: [2], external loss rates into the ports, not negative. γ_j = √(γ_j0² + κ²) matches the pair at γ_k = 0.
    - `gamma_0`: [2], intrinsic loss rates, not negative.
    - `kappa`: [], the coupling rate.
    - `loss`: a law by which a mode loses, or a tuple of such laws: `NonlocalLoss(gamma_k, mode=1, sensed=0)` makes the
      pair nonreciprocal.
    - `terms`: a law that is no loss (`IdealNonreciprocalCoupling`), or a tuple of such laws.

    **Raises:** `ValueError` for wrong shapes, negative or non-finite rates, a law that names a mode there is not, or
    one in the wrong one of `loss` and `terms`.

    Example: `pair = tcmt.TwoResonators((0, 0), (3, 3), (0.5, 0.5), 1.0, tcmt.NonlocalLoss(0.5, mode=1, sensed=0))`, and
    its response at ω = 0 is `nr.port_response(pair, nr.Drive(0.0)).s`.

    Source: paper 1, equation 1 (with κ12 = κ21 = κ).
    """

    omega: Float[Array, "2"] = real_field()
    gamma: Float[Array, "2"] = rate_field()
    gamma_0: Float[Array, "2"] = rate_field()
    kappa: Float[Array, ""] = real_field()
    loss: Laws  # pyright: ignore[reportGeneralTypeIssues]
    terms: Laws  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(
        self,
        omega: Numbers,
        gamma: Numbers,
        gamma_0: Numbers,
        kappa: Numbers,
        loss: Any = (),
        *,
        terms: Any = (),
    ):
        self.omega, self.gamma, self.gamma_0 = _two(omega, "omega"), _two(gamma, "gamma"), _two(gamma_0, "gamma_0")
        self.kappa = as_real(kappa, "kappa")
        require_shape(self.kappa, "kappa", ())
        self.loss, self.terms = loss, terms

    def __check_init__(self) -> None:
        for name in ("omega", "gamma", "gamma_0"):
            require_shape(getattr(self, name), name, (2,))
        require_shape(self.kappa, "kappa", ())
        check_fields(self)
        check_laws(self.loss, self.terms, 2)

    @property
    def num_modes(self) -> int:
        return 2

    @property
    def num_ports(self) -> int:
        return 2

    def matrices(self) -> Matrices:
        D = jnp.diag(jnp.sqrt(2 * self.gamma)).astype(jnp.result_type(self.gamma, jnp.complex64))
        omega = jnp.diag(self.omega) + self.kappa * jnp.asarray([[0, 1], [1, 0]], self.omega.dtype)
        gamma = jnp.diag(self.gamma + self.gamma_0)
        return Matrices(omega.astype(D.dtype), gamma.astype(D.dtype), -jnp.eye(2, dtype=D.dtype), D, D)


def _two(value: Any, name: str) -> Array:
    pair = as_real(value, name)
    require_shape(pair, name, (2,))
    return pair
