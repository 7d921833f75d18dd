"""Coupled-mode models: their matrices, and their steady response as an `AbstractPortModel`.

    a' = (iΩ − Γ) a − Σ f_law(a) + Kᵀ s₊,      s₋ = C s₊ + D a,      Γ = ½ D†D + Γ_i

e^{+iωt}; |a|² is an energy, |s|² a power; every γ is an amplitude rate (energy decays at 2γ).
"""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, Int

from diffnr.checks import (
    Numbers,
    as_complex,
    as_real,
    check_fields,
    is_concrete,
    rate_field,
    real_field,
    require,
    require_finite,
)
from diffnr.ports import AbstractPortModel, Drive
from diffnr.tcmt.loss import AbstractLaw, check_laws
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.solve import outgoing, solve

Laws = AbstractLaw | tuple[AbstractLaw, ...]


class AbstractCoupledModes(AbstractPortModel):
    """What every coupled-mode model shares: subclasses give `matrices()` and the field `loss`."""

    loss: eqx.AbstractVar[Laws]

    @abc.abstractmethod
    def matrices(self) -> Matrices:
        """Ω, Γ, C, D and K of the linear part."""

    @property
    def laws(self) -> tuple[AbstractLaw, ...]:
        """The laws of `loss`, as a tuple."""
        return self.loss if isinstance(self.loss, tuple) else (self.loss,)

    @property
    @abc.abstractmethod
    def num_modes(self) -> int:
        """The number of modes N."""

    @property
    def harmonics(self) -> tuple[int, ...]:
        return (1,)

    @property
    def power_normalised(self) -> bool:
        return True

    @property
    def linear(self) -> bool:
        return all(law.linear for law in self.laws)

    def respond(
        self, drive: Drive, port: Int[Array, ""], guess: Complex[Array, " mode"] | None = None
    ) -> tuple[Complex[Array, "out harmonic"], Complex[Array, " mode"], Any]:
        matrices = self.matrices()
        dtype = jnp.result_type(matrices.C, drive.amplitude)
        s_plus = jnp.zeros(self.num_ports, dtype).at[port].set(drive.amplitude)
        a, result = solve(matrices, self.laws, drive.omega, s_plus, guess)
        return outgoing(matrices, s_plus, a)[:, None], a, result


class CoupledModes(AbstractCoupledModes):
    """N modes and M ports, by their matrices.

    **Arguments:**

    - `omega`: [N] real resonance frequencies, or [N, N] Hermitian (its off-diagonal entries are couplings, iκ → κ).
    - `D`: [M, N] complex, outcoupling of mode n to port m, √rate. A resonator radiating at γ into one port has |d|² =
      2γ.
    - `C`: [M, M] complex, the direct path; default −1 (s₋ = −s₊ far from resonance). A contraction, ‖C‖₂ ≤ 1: a device
      seen through some of its ports only need not have a unitary C.
    - `K`: [M, N] complex, incoupling; default −CᵀD*, which energy conservation demands of a lossless device and which
      keeps any other passive.
    - `gamma_i`: [N] rates or [N, N] Hermitian positive semidefinite, absorption besides the radiation into the ports;
      hidden ports belong here. Default 0. The whole ½D†D is added: its diagonal alone would break passivity.
    - `loss`: a law, or a tuple of laws, of `diffnr.tcmt`.
    - `lossless`: demand that the device conserve power: C unitary, K = −CᵀD*, no absorption and no laws.
    - `active`: allow gain: neither the bound on C nor that on `gamma_i` is checked.

    **Raises:** `ValueError` for wrong shapes, Ω not Hermitian, negative absorption, ‖C‖₂ > 1, a law that names a mode
    there is not.

    **Notes:** with K given by hand the device may be active although each matrix is allowed; `passivity_margin` tells.

    Source: paper 3 (nonreciprocal cavities), equations 1–5.
    """

    omega: Complex[Array, "mode mode"]
    D: Complex[Array, "port mode"]
    C: Complex[Array, "port port"]
    K: Complex[Array, "port mode"] | None
    gamma_i: Complex[Array, "mode mode"]
    loss: Laws
    lossless: bool = eqx.field(static=True)
    active: bool = eqx.field(static=True)

    def __init__(
        self,
        omega: Numbers,
        D: Numbers,
        C: Numbers | None = None,
        K: Numbers | None = None,
        gamma_i: Numbers | None = None,
        loss: Laws = (),
        *,
        lossless: bool = False,
        active: bool = False,
    ):
        self.D = as_complex(D)
        require(self.D.ndim == 2, "D", "have shape (ports, modes)", f"of shape {self.D.shape}")
        ports, modes = self.D.shape
        self.omega = _square("omega", omega, modes)
        self.C = -jnp.eye(ports, dtype=self.D.dtype) if C is None else as_complex(C)
        self.K = None if K is None else as_complex(K)
        self.gamma_i = (
            jnp.zeros((modes, modes), self.D.dtype) if gamma_i is None else _square("gamma_i", gamma_i, modes)
        )
        self.loss = loss
        self.lossless = lossless
        self.active = active

    def __check_init__(self) -> None:
        ports, modes = self.D.shape
        require(self.C.shape == (ports, ports), "C", f"have shape {(ports, ports)}", f"of shape {self.C.shape}")
        if self.K is not None:
            require(self.K.shape == (ports, modes), "K", f"have shape {(ports, modes)}", f"of shape {self.K.shape}")
        for name in ("omega", "D", "C", "K", "gamma_i"):
            require_finite(name, getattr(self, name) if getattr(self, name) is not None else 0.0)
        _require_hermitian("omega", self.omega)
        _require_hermitian("gamma_i", self.gamma_i)
        check_laws(self.loss, modes)
        if is_concrete(self.C, self.gamma_i) and not self.active:
            norm = np.linalg.norm(self.C, 2)
            require(
                norm <= 1 + _slack(self.C),
                "C",
                "have a 2-norm of at most 1 (or pass active=True)",
                f"of norm {norm:.6g}",
            )
            least = np.min(np.linalg.eigvalsh(self.gamma_i), initial=0.0)
            scale = np.max(np.abs(self.gamma_i), initial=0.0)
            require(
                least >= -_slack(self.C) * scale,
                "gamma_i",
                "have no negative rate (it must be positive semidefinite)",
                f"a matrix with the eigenvalue {least:.6g}",
            )
        if self.lossless:
            self._require_lossless()

    def _require_lossless(self) -> None:
        require(self.laws == (), "loss", "be empty where lossless=True", self.laws)
        if is_concrete(self.C, self.D, self.K, self.gamma_i):
            C, D = np.asarray(self.C), np.asarray(self.D)  # in numpy: inside jit, JAX would make tracers of constants
            defect = np.linalg.norm(C.conj().T @ C - np.eye(len(C)), 2)
            require(defect <= _slack(self.C), "C", "be unitary where lossless=True", f"off by ‖C†C − 1‖ = {defect:.3g}")
            require(not np.any(self.gamma_i), "gamma_i", "be zero where lossless=True", self.gamma_i)
            defect = 0.0 if self.K is None else np.max(np.abs(np.asarray(self.K) + C.T @ D.conj()), initial=0.0)
            scale = np.max(np.abs(D), initial=0.0)
            require(defect <= _slack(self.C) * scale, "K", "equal −CᵀD* where lossless=True", f"off by {defect:.3g}")

    @property
    def num_modes(self) -> int:
        return self.D.shape[1]

    @property
    def num_ports(self) -> int:
        return self.D.shape[0]

    def matrices(self) -> Matrices:
        gamma = self.D.conj().T @ self.D / 2 + self.gamma_i
        K = -self.C.T @ self.D.conj() if self.K is None else self.K
        return Matrices(self.omega, gamma, self.C, self.D, K)


class TwoResonators(AbstractCoupledModes):
    """Two coupled resonators, each with a port of its own; made by `two_resonators`, whose arguments are its leaves."""

    omega: Float[Array, "2"] = real_field()
    gamma: Float[Array, "2"] = rate_field()
    gamma_0: Float[Array, "2"] = rate_field()
    kappa: Float[Array, ""] = real_field()
    loss: Laws

    def __check_init__(self) -> None:
        for name, shape in (("omega", (2,)), ("gamma", (2,)), ("gamma_0", (2,)), ("kappa", ())):
            was = getattr(self, name).shape
            require(was == shape, name, f"have shape {shape}", f"of shape {was}")
        check_fields(self)
        check_laws(self.loss, 2)

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


def two_resonators(
    omega: Numbers,
    gamma: Numbers,
    gamma_0: Numbers,
    kappa: ArrayLike,
    loss: Laws = (),
) -> TwoResonators:
    """Two coupled resonators, resonator j behind port j:

        a_j' = (iω_j − γ_j − γ_j0) a_j + iκ a_{1−j} − f_j(a) + √(2γ_j) s_j₊,      s_j₋ = −s_j₊ + √(2γ_j) a_j

    **Arguments**, all in one rate unit (rad/s, or any other):

    - `omega`: [2], resonance frequencies.
    - `gamma`: [2], external loss rates into the ports, not negative. γ_j = √(γ_j0² + κ²) matches the pair at γ_k = 0.
    - `gamma_0`: [2], intrinsic loss rates, not negative.
    - `kappa`: [], the coupling rate.
    - `loss`: a law, or a tuple of laws: `NonlocalLoss(gamma_k, mode=1, sensed=0)` makes the pair nonreciprocal.

    **Returns:** a `TwoResonators`, with leaves `omega`, `gamma`, `gamma_0`, `kappa` and `loss`.

    **Raises:** `ValueError` for wrong shapes, negative or non-finite rates, a law that names a mode there is not.

    Source: paper 1, equation 1 (with κ12 = κ21 = κ).
    """
    return TwoResonators(
        omega=as_real(omega, "omega"),
        gamma=as_real(gamma, "gamma"),
        gamma_0=as_real(gamma_0, "gamma_0"),
        kappa=as_real(kappa, "kappa"),
        loss=loss,
    )


def passivity_margin(model: AbstractCoupledModes) -> Float[Array, ""]:
    """The least eigenvalue of the linear part's dissipation matrix: the device cannot deliver energy iff it is ≥ 0.

        |s₊|² − |s₋|² − d|a|²/dt = [a; s₊]† P [a; s₊],      P = [[2Γ − D†D, −(D†C + Kᵀ)], [·, 1 − C†C]]

    **Arguments:** `model`: any coupled-mode model (its laws are left out; a loss with γ(a) ≥ 0 only adds dissipation).

    **Returns:** [], in the model's rate unit; 0 (to round-off) for a lossless device.
    """
    _, gamma, C, D, K = model.matrices()
    cross = -(D.conj().T @ C + K.T)
    dissipated = jnp.block(
        [[2 * gamma - D.conj().T @ D, cross], [cross.conj().T, jnp.eye(C.shape[0], dtype=C.dtype) - C.conj().T @ C]]
    )
    return jnp.linalg.eigvalsh(dissipated)[0]


def _square(name: str, value: Numbers, size: int) -> Array:
    array = as_complex(value)
    require(
        array.shape in ((size,), (size, size)),
        name,
        f"have shape {(size,)} or {(size, size)}",
        f"of shape {array.shape}",
    )
    return jnp.diag(array) if array.ndim == 1 else array


def _require_hermitian(name: str, matrix: Array) -> None:
    if is_concrete(matrix):
        defect = np.max(np.abs(np.asarray(matrix) - np.asarray(matrix).conj().T), initial=0.0)
        scale = np.max(np.abs(np.asarray(matrix)), initial=0.0)
        require(defect <= _slack(matrix) * scale, name, "be real (a vector) or Hermitian (a matrix)", matrix)


def _slack(matrix: Array) -> float:
    # Numbers typed or computed elsewhere carry about half of the digits of the dtype.
    return float(np.sqrt(np.finfo(matrix.dtype).eps))
