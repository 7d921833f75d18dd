"""Dressed ports: a device whose port leads to a junction, as one device with couplings of its own."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Inexact

from diffnr.checks import Numbers, as_complex, as_index, as_inexact, is_concrete, require, require_finite, require_shape
from diffnr.tcmt.linear import coupled_modes, hermitian_part, linear_matrices, skew_part
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.modes import AbstractCoupledModes, CoupledModes


def cascade_junction(
    model: AbstractCoupledModes,
    junction: Numbers,
    *,
    port: int,
    phase_out: ArrayLike = 0.0,
    phase_in: ArrayLike = 0.0,
) -> CoupledModes:
    """The device whose port p is connected, by a line, to side 0 of a junction J, seen from the junction's other sides:

        s_p₊ = (1 − R C_pp)⁻¹ (R C_pr s_r₊ + R D_p a + T s₃₊),      R = e^{−i(φ_out + φ_in)} J₀₀,   T = e^{−iφ_in} J₀₃

    (r: the device's other ports, 3: the junction's other sides). What the line brings back dresses every coefficient;
    with C = [[0, 1], [1, 0]] and port 1 connected to a two-sided junction

        k = (k₁ + k₂R, k₂T),   d = (d₁ + d₂R, d₂J₃₀e^{−iφ_out}),   γ′ = γ − Re(k₂Rd₂),   ω₀′ = ω₀ + Im(k₂Rd₂)

    **Arguments:**

    - `model`: any linear coupled-mode model.
    - `junction`: [1 + p, 1 + p] complex, J[out, in], the scattering matrix of the junction, the same at all
      frequencies; side 0 is the line's. [[r]] is a termination that reflects r. ‖J‖₂ ≤ 1 unless the model is active.
    - `port`: the device's port to connect. The junction's sides 1 … p take its place among the ports.
    - `phase_out`, `phase_in`: [], phase delays of the line, away from the device and back, in rad; a wave that travels
      it is multiplied by e^{−iφ}. Of a nonreciprocal guide of length L with the (signed) wavenumbers k⁺ > 0 > k⁻ of the
      two directions they are k⁺L and −k⁻L. Complex with Im ≤ 0 where the line is lossy.

    **Returns:** a `CoupledModes` of M + p − 1 ports, lossless if model, junction and line are: then K = −CᵀD* and
    2Γ = D†D hold for the dressed coefficients too. Its mode is the model's, and so is its |a|².

    **Raises:** `ValueError` for a model with a nonlinear law, a port that does not exist, a junction that is not
    square, not finite or has gain, no port left, or a line between two perfect mirrors (R C_pp = 1).

    Example: `tcmt.cascade_junction(model, [[0.6, 0.8j], [0.8j, 0.6]], port=1, phase_out=0.3, phase_in=0.3)`.

    **Notes:** exact at the frequency at which φ and J are given; over a band as long as the delay of the line, there
    and back, is short against 1/γ.

    Source: paper 3, supplement 8; its S28–S34 hold the resonance's own S₂₂ in place of the direct path's C₂₂, and so
    count the resonance twice.
    """
    matrices = linear_matrices(model, "be linear to be connected to a junction")
    port = as_index(port, "port", model.num_ports, "port")
    J = as_complex(junction, "junction")
    _check_junction(J, model)
    out, back = (_passage(name, phase) for name, phase in (("phase_out", phase_out), ("phase_in", phase_in)))
    lossless = getattr(model, "lossless", False) and not model.laws and _conserves(J, phase_out, phase_in)
    return coupled_modes(_dressed(matrices, J, port, out, back), lossless=lossless, active=_active(model))


def _dressed(matrices: Matrices, J: Array, port: int, out: Array, back: Array) -> Matrices:
    omega, gamma, C, D, K = matrices
    rest = np.delete(np.arange(len(C)), port)
    # C of the device by blocks, p the connected port and r the rest; T and t the ways in and out through the junction.
    C_pp, C_pr, C_rp, C_rr = C[port, port], C[port, rest], C[rest, port], C[rest][:, rest]
    R, T, t = out * back * J[0, 0], back * J[0, 1:], out * J[1:, 0]
    loop = 1 - R * C_pp
    if is_concrete(loop):
        smallest = 16 * float(np.finfo(C.dtype).eps)
        must = "leave a loss between it and the device's port (a line between two perfect mirrors resonates by itself)"
        require(abs(complex(loop)) > smallest, "junction", must, f"one with R C_pp = {complex(R * C_pp):.6g}")
    G = 1 / loop
    feedback = G * R * jnp.outer(K[port], D[port])
    order = np.concatenate([rest[:port], len(rest) + np.arange(len(t)), rest[port:] - 1])
    direct = jnp.block(
        [
            [C_rr + G * R * jnp.outer(C_rp, C_pr), G * jnp.outer(C_rp, T)],
            [G * jnp.outer(t, C_pr), J[1:, 1:] + G * C_pp * jnp.outer(t, T)],
        ]
    )
    return Matrices(
        omega=omega + skew_part(feedback),
        gamma=gamma - hermitian_part(feedback),
        C=direct[order][:, order],
        D=jnp.concatenate([D[rest] + G * R * jnp.outer(C_rp, D[port]), G * jnp.outer(t, D[port])])[order],
        K=jnp.concatenate([K[rest] + G * R * jnp.outer(C_pr, K[port]), G * jnp.outer(T, K[port])])[order],
    )


def _passage(name: str, phase: ArrayLike) -> Inexact[Array, ""]:
    """e^{−iφ}."""
    phase = as_inexact(phase, name)
    require_shape(phase, name, ())
    require_finite(name, phase)
    if is_concrete(phase):
        require(phase.imag <= 0, name, "have no positive imaginary part (a line with gain)", phase)
    return lax.exp(-1j * phase)


def _check_junction(J: Array, model: AbstractCoupledModes) -> None:
    square = J.ndim == 2 and J.shape[0] == J.shape[1] > 0
    require(square, "junction", "be a square matrix [1 + p, 1 + p]", f"of shape {J.shape}")
    require_finite("junction", J)
    require(
        len(J) + model.num_ports > 2, "junction", "leave a port to the device (be 2 by 2 or larger)", "a termination"
    )
    if is_concrete(J) and not _active(model):
        norm = float(np.linalg.norm(np.asarray(J), 2))
        require(norm <= 1 + _slack(J), "junction", "have no gain, a 2-norm of at most 1", f"of norm {norm:.6g}")


def _conserves(J: Array, *phases: ArrayLike) -> bool:
    """Whether junction and line are seen to be lossless."""
    if not is_concrete(J) or any(jnp.iscomplexobj(phase) for phase in phases):
        return False
    return bool(np.linalg.norm(np.asarray(J).conj().T @ np.asarray(J) - np.eye(len(J)), 2) <= _slack(J))


def _active(model: AbstractCoupledModes) -> bool:
    return getattr(model, "active", False)


def _slack(J: Array) -> float:
    # Numbers typed or computed elsewhere carry about half of the digits of the dtype.
    return float(np.sqrt(np.finfo(J.dtype).eps))
