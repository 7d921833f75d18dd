"""Coupled modes that may have gain, with real leaves only: the form to fit and to design in where a device is active.

    a' = (iΩ − ½D†D − Γ_i) a − f_law(a) + Kᵀ s₊,      s₋ = C s₊ + D a

Every leaf is real and free of bounds, so that any optimiser may move it.
"""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
from typing import Any

from jaxtyping import Array, Float

from diffnr.checks import Numbers, check_fields, real_field, require, require_shape
from diffnr.tcmt.loss import check_laws
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.modes import AbstractCoupledModes, CoupledModes, Laws
from diffnr.tcmt.passive import from_pairs, hermitian, packed, to_pairs


class ActiveModes(AbstractCoupledModes):
    """N modes and M ports whose C, D, K and Γ_i are independent of each other, whatever power that gives out:

        a' = (iΩ − ½D†D − Γ_i) a − f_law(a) + Kᵀ s₊,      s₋ = C s₊ + D a

    **Arguments:**

    - `omega`: [N] real resonance frequencies, or [N, N] Hermitian; rate.
    - `D`: [M, N] complex, outcoupling, √rate.
    - `C`: [M, M] complex, the direct path; default −1.
    - `K`: [M, N] complex, incoupling, √rate; default −CᵀD*, and from then on independent of C and D.
    - `gamma_i`: [N] rates or [N, N] Hermitian, absorption besides the radiation into the ports, negative for gain;
      default 0.
    - `loss`, `terms`: laws, as of `CoupledModes`.

    **Leaves**, all real and free of bounds: `omega` and `gamma_i` [N, N], the real part in the upper triangle with the
    diagonal, the imaginary part in the lower one; `D`, `K` [M, N, 2] and `C` [M, M, 2], (Re, Im).

    **Raises:** `ValueError` for shapes that do not fit together, values not finite, Ω or Γ_i not Hermitian, laws as
    `CoupledModes` refuses them.

    Example: `tcmt.ActiveModes([0.0], [[1.0], [1.0]], gamma_i=[-0.8])` is an amplifier: S21 = 5 on resonance.

    **Notes:** above threshold (a mode that grows, see `tcmt.stability`) the steady state is not reached.

    Source: paper 3, equations 1–5.
    """

    omega: Float[Array, "mode mode"] = real_field()
    D: Float[Array, "port mode 2"] = real_field()
    C: Float[Array, "port port 2"] = real_field()
    K: Float[Array, "port mode 2"] = real_field()
    gamma_i: Float[Array, "mode mode"] = real_field()
    loss: Laws  # pyright: ignore[reportGeneralTypeIssues]
    terms: Laws  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(
        self,
        omega: Numbers,
        D: Numbers,
        C: Numbers | None = None,
        K: Numbers | None = None,
        gamma_i: Numbers | None = None,
        loss: Any = (),
        *,
        terms: Any = (),
    ):
        whole = CoupledModes(omega, D, C, K, gamma_i, loss, terms=terms, active=True)
        self.omega, self.gamma_i = packed(whole.omega), packed(whole.gamma_i)
        self.D, self.C, self.K = (to_pairs(part) for part in (whole.D, whole.C, whole.matrices().K))
        self.loss, self.terms = loss, terms

    def __check_init__(self) -> None:
        D = self.D.shape
        require(len(D) == 3 and D[2] == 2, "D", "have shape (ports, modes, 2)", f"of shape {D}")
        ports, modes = D[:2]
        require_shape(self.C, "C", (ports, ports, 2))
        require_shape(self.K, "K", D)
        require_shape(self.omega, "omega", (modes, modes))
        require_shape(self.gamma_i, "gamma_i", (modes, modes))
        check_fields(self)
        check_laws(self.loss, self.terms, modes)

    @property
    def num_modes(self) -> int:
        return self.D.shape[1]

    @property
    def num_ports(self) -> int:
        return self.D.shape[0]

    def matrices(self) -> Matrices:
        D = from_pairs(self.D)
        gamma = D.conj().T @ D / 2 + hermitian(self.gamma_i)
        return Matrices(hermitian(self.omega), gamma, from_pairs(self.C), D, from_pairs(self.K))
