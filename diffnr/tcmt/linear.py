"""A linear device as one set of matrices, its linear laws folded in; and a device made of such matrices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.checks import is_concrete, require
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.modes import AbstractCoupledModes, CoupledModes, require_coupled_modes


def linear_matrices(model: AbstractCoupledModes, must: str, name: str = "model") -> Matrices:
    """The matrices of a linear model, with f_law(a) = La split between Ω and Γ:

        Ω − (L − L†)/2i,      Γ + (L + L†)/2

    **Arguments:** `model`; `must`: why it has to be linear, for the message: "be linear, since …"; `name`: its own.

    **Returns:** `Matrices`.

    **Raises:** `ValueError` for a model with a nonlinear law.
    """
    require_coupled_modes(model, name)
    nonlinear = ", ".join(type(law).__name__ for law in model.laws if not law.linear)
    require(not nonlinear, name, must, f"one with {nonlinear}")
    matrices = model.matrices()
    for law in model.laws:
        L = jax.vmap(law.damping, out_axes=1)(jnp.eye(model.num_modes, dtype=matrices.omega.dtype))
        matrices = matrices._replace(omega=matrices.omega - skew_part(L), gamma=matrices.gamma + hermitian_part(L))
    return matrices


def coupled_modes(matrices: Matrices, *, lossless: bool = False, active: bool = False) -> CoupledModes:
    """The `CoupledModes` of given matrices, Γ being all the loss there is.

    **Arguments:** `matrices`; `lossless`: demand a device that conserves power (Γ is then ½D†D, whatever is given);
    `active`: allow gain; it is allowed anyway where the numbers show it.

    **Returns:** a `CoupledModes` with γ_i = Γ − ½D†D, less what is round-off of that difference.
    """
    omega, gamma, C, D, K = matrices
    if lossless:
        return CoupledModes(omega, D, C, K, lossless=True)
    radiated = D.conj().T @ D / 2
    size = jnp.max(jnp.abs(gamma), initial=0.0) + jnp.max(jnp.abs(radiated), initial=0.0)
    # Γ and D are sums of about this many rounded products.
    round_off = 16 * sum(D.shape) * jnp.finfo(D.dtype).eps * size
    gamma_i = _without(hermitian_part(gamma - radiated), round_off)
    return CoupledModes(omega, D, C, K, gamma_i, active=active or _shows_gain(gamma_i, C))


def hermitian_part(X: Complex[Array, "mode mode"]) -> Complex[Array, "mode mode"]:
    """(X + X†)/2."""
    return (X + X.conj().T) / 2


def skew_part(X: Complex[Array, "mode mode"]) -> Complex[Array, "mode mode"]:
    """(X − X†)/2i, which is Hermitian, so that X = (X + X†)/2 + i (X − X†)/2i."""
    return (X - X.conj().T) / 2j


def _without(matrix: Array, round_off: Float[Array, ""]) -> Array:
    """A Hermitian matrix with the eigenvalues below `round_off` in modulus set to 0; the derivative is the matrix's."""
    rounded = lax.stop_gradient(matrix)
    values, vectors = jnp.linalg.eigh(rounded)
    values = jnp.where(jnp.abs(values) <= lax.stop_gradient(round_off), 0.0, values)
    return matrix + ((vectors * values) @ vectors.conj().T - rounded)


def _shows_gain(gamma_i: Array, C: Array) -> bool:
    if not is_concrete(gamma_i, C):
        return False
    # The slack that `CoupledModes` leaves, which would otherwise refuse.
    slack = float(np.sqrt(np.finfo(C.dtype).eps))
    rates = np.linalg.eigvalsh(np.asarray(gamma_i))
    return bool(
        np.min(rates, initial=0.0) < -slack * np.max(np.abs(gamma_i), initial=0.0)
        or np.linalg.norm(np.asarray(C), 2) > 1 + slack
    )
