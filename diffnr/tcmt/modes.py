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
from jaxtyping import Array, Complex, Float, Int

from diffnr.checks import (
    Numbers,
    as_complex,
    as_flag,
    as_shaped,
    is_concrete,
    require,
    require_finite,
    require_instance,
    require_shape,
)
from diffnr.ports import AbstractPortModel, Drive
from diffnr.tcmt.growth import judged
from diffnr.tcmt.loss import AbstractLaw, as_tuple, check_laws
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.solve import nonzero, outgoing, solve

Laws = AbstractLaw | tuple[AbstractLaw, ...]


class AbstractCoupledModes(AbstractPortModel):
    """What every coupled-mode model shares: subclasses give `matrices()`, `num_modes`, `num_ports`, `loss` and `terms`.

    `loss` and `terms` are fields, each one law or a tuple of laws.
    """

    loss: eqx.AbstractVar[Laws]
    terms: eqx.AbstractVar[Laws]

    @abc.abstractmethod
    def matrices(self) -> Matrices:
        """Ω, Γ, C, D and K of the linear part."""

    @property
    def laws(self) -> tuple[AbstractLaw, ...]:
        """The laws of `loss` and of `terms`, as one tuple."""
        return as_tuple(self.loss) + as_tuple(self.terms)

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
        self, drive: Drive, port: Int[Array, ""], guess: Any = None
    ) -> tuple[Complex[Array, "out harmonic"], Complex[Array, " mode"], Any]:
        return self.respond_per_amplitude(drive, port, guess)[1:]

    def respond_per_amplitude(
        self, drive: Drive, port: Int[Array, ""], guess: Any = None
    ) -> tuple[Complex[Array, "out harmonic"], Complex[Array, "out harmonic"], Complex[Array, " mode"], Any]:
        matrices, strength = self.matrices(), jnp.abs(nonzero(drive.amplitude))
        guess = None if guess is None else as_shaped(guess, "guess", (self.num_modes,), real=False) / strength
        dtype = jnp.result_type(matrices.C, drive.amplitude)
        # In units of the drive's strength, which laws alone see: it may be next to nothing, and be differentiated.
        # Quotients of two such would have a derivative that is all round-off.
        A = drive.amplitude
        phase = A / strength if jnp.iscomplexobj(A) else jnp.sign(A)
        wave = jnp.zeros(self.num_ports, dtype).at[port].set(phase)
        a, result = solve(matrices, self.laws, drive.omega, wave, guess, strength)
        result = judged(matrices, self.laws, drive.omega, strength * wave, strength * a, result)
        b = outgoing(matrices, wave, a)[:, None]
        return b / phase, strength * b, strength * a, result


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
    - `loss`: a law by which a mode loses, or a tuple of such laws.
    - `terms`: a law that is no loss (`IdealNonreciprocalCoupling`), or a tuple of such laws.
    - `lossless`: demand that the device conserve power: C unitary, K = −CᵀD*, no absorption and no laws.
    - `active`: allow gain: neither the bound on C nor that on `gamma_i` is checked.

    **Raises:** `ValueError` for wrong shapes, Ω not Hermitian, negative absorption, ‖C‖₂ > 1, a law that names a mode
    there is not, a law in the wrong one of `loss` and `terms`.

    Example: `nr.scattering(tcmt.CoupledModes([0.0, 0.5], [[1.0, 0.8]], gamma_i=[0.1, 0.1]), [-1.0, 0.0, 1.0])`.

    **Notes:** with K given by hand the device may be active although each matrix is allowed; `passivity_margin` tells.

    Source: paper 3 (nonreciprocal cavities), equations 1–5.
    """

    omega: Complex[Array, "mode mode"]
    D: Complex[Array, "port mode"]
    C: Complex[Array, "port port"]
    K: Complex[Array, "port mode"] | None
    gamma_i: Complex[Array, "mode mode"]
    loss: Laws
    terms: Laws
    lossless: bool = eqx.field(static=True)
    active: bool = eqx.field(static=True)

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
        lossless: bool = False,
        active: bool = False,
    ):
        self.D = as_complex(D, "D")
        flat = self.D.ndim == 2 and self.D.size > 0
        require(flat, "D", "have shape (ports, modes)", f"of shape {self.D.shape}")
        ports, modes = self.D.shape
        why = f"as D is of shape {self.D.shape}"
        self.omega = as_square(omega, "omega", modes, why)
        self.C = -jnp.eye(ports, dtype=self.D.dtype) if C is None else as_complex(C, "C")
        self.K = None if K is None else as_complex(K, "K")
        self.gamma_i = (
            jnp.zeros((modes, modes), self.D.dtype) if gamma_i is None else as_square(gamma_i, "gamma_i", modes, why)
        )
        self.loss, self.terms = loss, terms
        self.lossless = as_flag(lossless, "lossless")
        self.active = as_flag(active, "active")

    def __check_init__(self) -> None:
        ports, modes = self.D.shape
        require_shape(self.C, "C", (ports, ports), why=f"as D is of shape {self.D.shape}")
        if self.K is not None:
            require_shape(self.K, "K", (ports, modes), why=f"as D is of shape {self.D.shape}")
        for name in ("omega", "D", "C", "K", "gamma_i"):
            require_finite(name, getattr(self, name) if getattr(self, name) is not None else 0.0)
        require_hermitian(self.omega, "omega")
        require_hermitian(self.gamma_i, "gamma_i")
        check_laws(self.loss, self.terms, modes)
        if is_concrete(self.C, self.gamma_i) and not self.active:
            norm = np.linalg.norm(self.C, 2)
            require(
                norm <= 1 + slack(self.C),
                "C",
                "have a 2-norm of at most 1 (or pass active=True)",
                f"of norm {norm:.6g}",
            )
            least = np.min(np.linalg.eigvalsh(self.gamma_i), initial=0.0)
            scale = np.max(np.abs(self.gamma_i), initial=0.0)
            require(
                least >= -slack(self.C) * scale,
                "gamma_i",
                "have no negative rate (it must be positive semidefinite)",
                f"a matrix with the eigenvalue {least:.6g}",
            )
        if self.lossless:
            self._require_lossless()

    def _require_lossless(self) -> None:
        for name in ("loss", "terms"):
            require(as_tuple(getattr(self, name)) == (), name, "be empty where lossless=True", getattr(self, name))
        if is_concrete(self.C, self.D, self.K, self.gamma_i):
            C, D = np.asarray(self.C), np.asarray(self.D)  # in numpy: inside jit, JAX would make tracers of constants
            defect = np.linalg.norm(C.conj().T @ C - np.eye(len(C)), 2)
            require(defect <= slack(self.C), "C", "be unitary where lossless=True", f"off by ‖C†C − 1‖ = {defect:.3g}")
            require(not np.any(self.gamma_i), "gamma_i", "be zero where lossless=True", self.gamma_i)
            defect = 0.0 if self.K is None else np.max(np.abs(np.asarray(self.K) + C.T @ D.conj()), initial=0.0)
            scale = np.max(np.abs(D), initial=0.0)
            require(defect <= slack(self.C) * scale, "K", "equal −CᵀD* where lossless=True", f"off by {defect:.3g}")

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


def passivity_margin(model: AbstractCoupledModes) -> Float[Array, ""]:
    """The least eigenvalue of the linear part's dissipation matrix: the device cannot deliver energy iff it is ≥ 0.

        |s₊|² − |s₋|² − d|a|²/dt = [a; s₊]† P [a; s₊],      P = [[2Γ − D†D, −(D†C + Kᵀ)], [·, 1 − C†C]]

    **Arguments:** `model`: any coupled-mode model (its laws are left out; a loss with γ(a) ≥ 0 only adds dissipation).

    **Returns:** [], in the model's rate unit; 0 (to round-off) for a lossless device.

    **Raises:** `ValueError` for what is no coupled-mode model.

    Example: `tcmt.passivity_margin(tcmt.CoupledModes([0.0], [[1.0]], gamma_i=[0.1]))`.
    """
    require_coupled_modes(model)
    _, gamma, C, D, K = model.matrices()
    cross = -(D.conj().T @ C + K.T)
    dissipated = jnp.block(
        [[2 * gamma - D.conj().T @ D, cross], [cross.conj().T, jnp.eye(C.shape[0], dtype=C.dtype) - C.conj().T @ C]]
    )
    return jnp.linalg.eigvalsh(dissipated)[0]


def require_coupled_modes(model: Any, name: str = "model") -> None:
    """Raise unless `model` is a coupled-mode model."""
    require_instance(model, name, AbstractCoupledModes, "be a coupled-mode model")


def as_square(value: Any, name: str, size: int, why: str = "") -> Array:
    """`value` as a complex matrix [size, size]; a vector is a diagonal."""
    array = as_complex(value, name)
    require_shape(array, name, (size,), (size, size), why=why)
    return jnp.diag(array) if array.ndim == 1 else array


def require_hermitian(matrix: Array, name: str) -> None:
    """Raise unless `matrix` is Hermitian to half of the digits of its dtype."""
    if is_concrete(matrix):
        defect = np.max(np.abs(np.asarray(matrix) - np.asarray(matrix).conj().T), initial=0.0)
        scale = np.max(np.abs(np.asarray(matrix)), initial=0.0)
        require(defect <= slack(matrix) * scale, name, "be real (a vector) or Hermitian (a matrix)", matrix)


def slack(matrix: Array) -> float:
    """How far a property may be missed: numbers typed or computed elsewhere carry about half of the dtype's digits."""
    return float(np.sqrt(np.finfo(matrix.dtype).eps))
