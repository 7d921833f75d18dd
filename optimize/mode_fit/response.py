"""The two forms of a resonant response that `fit_modes` fits, as pytrees of real arrays.

x is frequency from the band's centre in units of half the band; a trailing axis of 2 holds (Re, Im).
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.tcmt.passive import from_pairs, hermitian, isometry, to_pairs
from optimize.mode_fit.vector_fitting import PoleResidue, passive_realisation


class Modal(NamedTuple):
    """a' = A a + Kᵀ s₊, s₋ = C s₊ + D a at band centre: `A` [N, N], `C` [M, M], `D` [M, N], `K` [M, N]."""

    A: Complex[Array, "mode mode"]
    C: Complex[Array, "port port"]
    D: Complex[Array, "port mode"]
    K: Complex[Array, "port mode"]


class PassiveResponse(eqx.Module):
    """A response that is passive whatever its parameters are, and reaches every passive one:

        S(x) = P(x) [top M rows of V(x) + D_f a(x)] P(x),      a = −(ix − iΩ + ½D_f†D_f)⁻¹ D_f† V(x),      V†V = 1

    The rows of D_f and V below the first M are hidden ports; V(x) is the isometry made of a polynomial W(x), the smooth
    background; P = diag e^{−ixτ} the delay of each port.

    **Fields:** `omega` [N, N], Ω with Re Ω in its upper and Im Ω in its lower triangle; `D` [M + q, N, 2]; `direct`
    [M + q, M, 2], the generator W of V at band centre; `background` [order, M, M, 2], the coefficients of x, x², … in
    its visible rows (in the hidden ones they would hardly show in S, and spoil every error); `delay` [M] or None.

    Source: paper 3, equations 1–5 and section 5; the bounded-real lemma says that q = M hidden ports suffice for S, and
    q = M + N for S and stored energy.
    """

    omega: Float[Array, "mode mode"]
    D: Float[Array, "wire mode 2"]
    direct: Float[Array, "wire port 2"]
    background: Float[Array, "power port port 2"]
    delay: Float[Array, " port"] | None

    def modal(self) -> Modal:
        """The modal matrices of the visible ports at band centre."""
        A, D = self._poles()
        V = isometry(from_pairs(self.direct))
        ports = V.shape[1]
        return Modal(A, V[:ports], D[:ports], -(D.conj().T @ V).T)

    def response(self, x: Float[Array, " f"]) -> tuple[Complex[Array, "f out in"], Complex[Array, "f mode in"]]:
        """S [f, out, in], and the amplitudes a [f, mode, in] for unit power at each port alone."""
        A, D = self._poles()
        V = self._direct_path(x)
        a = -_inverse(1j * x[:, None, None] * jnp.eye(A.shape[0]) - A) @ (D.conj().T @ V)
        return _delayed((V + D @ a)[:, : V.shape[-1]], x, self.delay), a

    def incoupling(self, x: Float[Array, " f"]) -> Complex[Array, "f port mode"]:
        """K [f, M, N]: it follows the background, so that a residue is to be taken at its own resonance."""
        D = from_pairs(self.D)
        V = jnp.broadcast_to(self._direct_path(x), (x.size, *self.direct.shape[:2]))
        return -jnp.swapaxes(D.conj().T @ V, -1, -2)

    def _direct_path(self, x: Array) -> Array:
        W = from_pairs(self.direct)
        if len(self.background):
            powers = x[:, None] ** jnp.arange(1, len(self.background) + 1)
            visible = jnp.tensordot(powers, from_pairs(self.background), 1)
            W = W + jnp.pad(visible, ((0, 0), (0, len(W) - W.shape[1]), (0, 0)))
        return isometry(W)

    def _poles(self) -> tuple[Array, Array]:
        D = from_pairs(self.D)
        return 1j * hermitian(self.omega) - D.conj().T @ D / 2, D


class ActiveResponse(eqx.Module):
    """Poles, rank-one residues and a polynomial direct path without any bound, for devices with gain.

    **Fields:** `poles` [N, 2]; `D`, `K` [M, N, 2]; `background` [order + 1, M, M, 2]; `delay` [M] or None.
    """

    poles: Float[Array, "mode 2"]
    D: Float[Array, "port mode 2"]
    K: Float[Array, "port mode 2"]
    background: Float[Array, "power port port 2"]
    delay: Float[Array, " port"] | None

    def modal(self) -> Modal:
        """The modal matrices at band centre."""
        return Modal(
            jnp.diag(from_pairs(self.poles)), from_pairs(self.background[0]), from_pairs(self.D), from_pairs(self.K)
        )

    def incoupling(self, x: Float[Array, " f"]) -> Complex[Array, "f port mode"]:
        """K [f, M, N], the same at every frequency."""
        return jnp.broadcast_to(from_pairs(self.K), (x.size, *self.K.shape[:2]))

    def response(self, x: Float[Array, " f"]) -> tuple[Complex[Array, "f out in"], Complex[Array, "f mode in"]]:
        """S [f, out, in], and the amplitudes a [f, mode, in] for unit power at each port alone."""
        A, _, D, K = self.modal()
        a = K.T / (1j * x[:, None, None] - A.diagonal()[:, None])
        return _delayed(_polynomial(from_pairs(self.background), x) + D @ a, x, self.delay), a


Response = PassiveResponse | ActiveResponse


def active_start(fit: PoleResidue, delay: np.ndarray | None) -> ActiveResponse:
    """`ActiveResponse` of a vector fit whose delays are taken out; each residue's largest singular pair is kept."""
    u, s, vh = np.linalg.svd(fit.residues)
    root = np.sqrt(s[:, :1])
    D, K = (u[:, :, 0] * root).T, (vh[:, 0, :] * root).T
    return ActiveResponse(
        to_pairs(fit.poles),
        to_pairs(D),
        to_pairs(K),
        to_pairs(fit.background),
        None if delay is None else jnp.asarray(delay),
    )


def passive_start(active: ActiveResponse, hidden: int) -> PassiveResponse:
    """`PassiveResponse` of the same response, as far as that is passive, with `hidden` ≥ M hidden ports."""
    modal = active.modal()
    A, B, C, D0 = (np.asarray(part) for part in (modal.A, modal.K.T, modal.D, modal.C))
    omega, D, V = passive_realisation(A, B, C, D0)
    ports = V.shape[1]
    missing = hidden - (len(V) - ports)
    # An empty hidden row has no first-order effect, so that no gradient would ever fill it: start it small instead.
    rng = np.random.default_rng(0)
    small = 0.05 * np.sqrt(np.mean(np.abs(D) ** 2))
    extra = small * (rng.normal(size=(missing, D.shape[1])) + 1j * rng.normal(size=(missing, D.shape[1])))
    return PassiveResponse(
        jnp.asarray(np.triu(omega.real) + np.tril(omega.imag, -1)),
        to_pairs(np.concatenate([D, extra])),
        to_pairs(np.concatenate([V, np.zeros((missing, ports))])),
        active.background[1:],
        active.delay,
    )


def _delayed(s: Array, x: Array, delay: Array | None) -> Array:
    if delay is None:
        return s
    return s * jnp.exp(-1j * x[:, None, None] * (delay[:, None] + delay))


@jax.custom_jvp
def _inverse(matrix: Array) -> Array:
    """M⁻¹ of a batch of small matrices, with the derivative −M⁻¹ dM M⁻¹: products, where `inv` would solve again per
    tangent."""
    return jnp.linalg.inv(matrix)


@_inverse.defjvp
def _inverse_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    inverse = _inverse(primals[0])
    return inverse, -inverse @ tangents[0] @ inverse


def _polynomial(coefficients: Array, x: Array) -> Array:
    return jnp.tensordot(x[:, None] ** jnp.arange(coefficients.shape[0]), coefficients.astype(complex), 1)
