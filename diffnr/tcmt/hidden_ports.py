"""Hidden ports: a device seen through some of its ports, and the whole device behind one that absorbs.

What a wall or a wedge absorbs leaves by a port too, and interferes there: P_w = |C_w s₊ + d_w a|². Only so can a cavity
take in at another rate than it gives out, |k| ≠ |d|.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from diffnr.checks import is_concrete, require
from diffnr.ports import as_ports
from diffnr.tcmt.linear import coupled_modes, linear_matrices
from diffnr.tcmt.modes import AbstractCoupledModes, CoupledModes, passivity_margin, require_coupled_modes


def hide_ports(model: AbstractCoupledModes, keep: Sequence[int]) -> CoupledModes:
    """The device seen through some of its ports; nothing comes in at the others, and what leaves there is absorbed:

        C[keep, keep],   D[keep],   K[keep],   Γ unchanged, so that γ_i grows by ½D_h†D_h of the hidden ports

    **Arguments:** `model`: any linear coupled-mode model; `keep`: the ports to keep, in their new order.

    **Returns:** a `CoupledModes` whose S is the block `S[keep][:, keep]` of the model's. Its C is a contraction, and
    K ≠ −CᵀD* wherever the hidden ports see both the incoming wave and the mode.

    **Raises:** `ValueError` for a model with a nonlinear law, a port that does not exist, or one named twice.

    Example: `tcmt.hide_ports(tcmt.CoupledModes([0.0], [[1.0], [0.5]]), keep=[0])`.

    Source: paper 3, supplement 5.
    """
    matrices = linear_matrices(model, "be linear for its ports to be hidden")
    keep = as_ports(keep, "keep", model.num_ports)
    index = jnp.asarray(keep)
    return coupled_modes(
        matrices._replace(C=matrices.C[index][:, index], D=matrices.D[index], K=matrices.K[index]),
        lossless=getattr(model, "lossless", False) and not model.laws and len(keep) == model.num_ports,
        active=getattr(model, "active", False),
    )


def lossless_dilation(model: AbstractCoupledModes) -> CoupledModes:
    """The lossless device of which a passive one shows the first M ports (its unitary dilation):

        P = [[2Γ − D†D, −(D†C + Kᵀ)], [·, 1 − C†C]] = [D_h C_h]†[D_h C_h],      C_full = [[C, ·], [C_h, ·]] unitary

    P is the power that a device absorbs, as a form in (a, s₊); its rank q is the number of hidden ports it takes.

    **Arguments:** `model`: any linear, passive coupled-mode model of M ports, with numbers in it: this is work for the
    host, and cannot run inside jit, vmap or grad (`PassiveModes` has hidden ports that can).

    **Returns:** a lossless `CoupledModes` with the same modes and the ports 0 … M − 1 of the model; the ports M …
    M + q − 1 carry away, coherently, what it absorbs. `hide_ports(…, range(M))` gives the model's matrices back.

    **Raises:** `ValueError` for a model with a nonlinear law, one that is not passive (with its `passivity_margin`), or
    one without numbers.

    Example: `tcmt.lossless_dilation(tcmt.CoupledModes([0.0], [[1.0]], gamma_i=[0.1])).num_ports` is 2.

    **Notes:** eigenvalues of P below round-off count as 0. The hidden waves are defined up to a unitary change among
    themselves, and so are the waves that come in there. Of a one-port cavity in a one-way guide, C = d = 0, one hidden
    port is left with |d_w| = |k|.

    Source: paper 3, supplement 5, equations S13–S21: −k* = C_w* d_w + C* d.
    """
    require_coupled_modes(model)
    must = "hold numbers (lossless_dilation cannot run inside jit, vmap or grad)"
    require(is_concrete(model), "model", must, "traced")
    matrices = linear_matrices(model, "be linear for its absorption to be that of ports")
    require(is_concrete(matrices), "model", must, "met inside of jit")
    omega, gamma, C, D, K = (np.asarray(part) for part in matrices)
    modes, ports = len(omega), len(C)
    eps = float(np.finfo(C.dtype).eps)
    # Modes in units in which the fastest loses at 1, so that round-off has one size throughout P.
    rate = 2 * np.max(np.abs(gamma), initial=0.0) or 1.0
    cross = -(D.conj().T @ C + K.T) / np.sqrt(rate)
    absorbed = np.block(
        [[(2 * gamma - D.conj().T @ D) / rate, cross], [cross.conj().T, np.eye(ports) - C.conj().T @ C]]
    )
    values, vectors = np.linalg.eigh((absorbed + absorbed.conj().T) / 2)
    # Numbers typed or computed elsewhere carry about half of the digits of the dtype.
    if values[0] < -np.sqrt(eps):
        margin = float(passivity_margin(coupled_modes(matrices, active=True)))
        raise ValueError(
            f"Argument model must be passive (of a passivity_margin ≥ 0), but its margin was {margin:.6g}."
        )
    held = values > 16 * (modes + ports) * eps
    wires = np.sqrt(values[held])[:, None] * vectors[:, held].conj().T
    D = np.concatenate([D, np.sqrt(rate) * wires[:, :modes]])
    return CoupledModes(omega, D.astype(C.dtype), _completed(np.concatenate([C, wires[:, modes:]])), lossless=True)


def _completed(isometry: np.ndarray) -> np.ndarray:
    """The columns of `isometry` and as many more as make a unitary matrix."""
    columns = isometry.shape[1]
    rest = np.linalg.svd(isometry)[0][:, columns:]
    return np.concatenate([isometry, rest], axis=1).astype(isometry.dtype)
