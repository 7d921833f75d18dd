"""Coupled modes that are passive whatever their parameters are: the form to fit and to design in.

    Γ = ½D_f†D_f,   V†V = 1,   C and D the visible rows of V and D_f,   K = −(D_f†V)ᵀ

Every leaf is real and free of bounds, so that any optimiser may move it.
"""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.checks import (
    Count,
    Numbers,
    as_complex,
    as_count,
    check_fields,
    is_concrete,
    real_field,
    require,
    require_finite,
    require_shape,
)
from diffnr.tcmt.hidden_ports import lossless_dilation
from diffnr.tcmt.loss import check_laws
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.modes import AbstractCoupledModes, Laws, as_square, require_hermitian, slack


class PassiveModes(AbstractCoupledModes):
    """N modes, M ports and q hidden ports, passive whatever value its leaves take:

        a' = (iΩ − ½D_f†D_f) a − f_law(a) − D_f†V s₊,      s₋ = top M rows of (V s₊ + D_f a),      V†V = 1

    The q rows of D_f and V below the first M are hidden ports: a wedge, a wall, absorption. Without any (q = 0) the
    device is lossless and S unitary; with them |k| ≠ |d|, C is a contraction, and every passive linear device can be
    reached (q = M + N is always enough, and `PassiveModes.of` finds how many one takes).

    **Arguments:**

    - `omega`: [N] real resonance frequencies, or [N, N] Hermitian; rate.
    - `D`: [M + q, N] complex, outcoupling, with the rows of the hidden ports below; √rate. An absorption rate γ_0 of
      mode n is a hidden row with √(2γ_0) at n.
    - `C`: [M + q, M] complex with orthonormal columns, direct path with the hidden rows below; or [M, M] unitary, where
      no incoming wave reaches a hidden port directly. Default −1.
    - `hidden`: q, how many of D's rows are hidden.
    - `loss`, `terms`: laws, as of `CoupledModes`; losses with γ(a) ≥ 0 keep it passive.

    **Leaves**, all real and free of bounds: `omega` [N, N], Re Ω in the upper triangle with the diagonal, Im Ω in the
    lower one; `D` [M + q, N, 2], (Re, Im) of D_f; `direct` [M + q, M, 2], (Re, Im) of any matrix of full column rank,
    of which V is the one with its columns made orthonormal from left to right (Gram–Schmidt).

    **Raises:** `ValueError` for shapes that do not fit together, values not finite, Ω not Hermitian, columns of C not
    orthonormal; of leaves that are replaced, for columns of `direct` that depend on each other.

    Example: `tcmt.PassiveModes([0.7], [[1.5], [0.9]], hidden=1)` has one port and absorbs at the rate .9²/2.

    **Notes:** an entirely empty hidden row has no first-order effect, so that no gradient fills it: start it small.
    Modes may be renamed by any unitary T, and hidden ports among themselves, without a change of S: minima are not
    isolated points.

    Source: paper 3, equations 1–5 and supplement 5.
    """

    omega: Float[Array, "mode mode"] = real_field()
    D: Float[Array, "wire mode 2"] = real_field()
    direct: Float[Array, "wire port 2"] = real_field()
    loss: Laws  # pyright: ignore[reportGeneralTypeIssues]
    terms: Laws  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(
        self,
        omega: Numbers,
        D: Numbers,
        C: Numbers | None = None,
        *,
        hidden: Count = 0,
        loss: Any = (),
        terms: Any = (),
    ):
        wires = as_complex(D, "D")
        flat = wires.ndim == 2 and wires.size > 0
        require(flat, "D", "have shape (ports + hidden, modes)", f"of shape {wires.shape}")
        rows, modes = wires.shape
        ports = rows - as_count(hidden, "hidden", least=0, most=rows - 1)
        V = -jnp.eye(ports, dtype=wires.dtype) if C is None else as_complex(C, "C")
        require_shape(V, "C", (rows, ports), (ports, ports))
        frequencies = as_square(omega, "omega", modes, f"as D is of shape {wires.shape}")
        for name, matrix in (("omega", frequencies), ("D", wires), ("C", V)):
            require_finite(name, matrix)
        if is_concrete(V):
            defect = np.linalg.norm(np.asarray(V).conj().T @ np.asarray(V) - np.eye(ports), 2)
            require(defect <= slack(V), "C", "have orthonormal columns (C†C = 1)", f"off by {defect:.3g}")
        require_hermitian(frequencies, "omega")
        self.omega = packed(frequencies)
        self.D = to_pairs(wires)
        self.direct = to_pairs(jnp.pad(V, ((0, rows - len(V)), (0, 0))))
        self.loss, self.terms = loss, terms

    def __check_init__(self) -> None:
        D, direct = self.D.shape, self.direct.shape
        require(len(D) == 3 and D[2] == 2, "D", "have shape (ports + hidden, modes, 2)", f"of shape {D}")
        require(
            len(direct) == 3 and direct[2] == 2 and direct[0] == D[0] >= direct[1] > 0,
            "direct",
            f"have shape ({D[0]}, ports, 2) with at most {D[0]} ports",
            f"of shape {direct}",
        )
        require_shape(self.omega, "omega", (D[1], D[1]))
        check_fields(self)
        check_laws(self.loss, self.terms, self.num_modes)
        if is_concrete(self.direct):
            pairs = np.asarray(self.direct)  # in numpy: inside jit, JAX would make tracers of constants
            values = np.linalg.svd(pairs[..., 0] + 1j * pairs[..., 1], compute_uv=False)
            # Gram–Schmidt, done twice, makes columns orthonormal to round-off up to a condition number of 1/√eps.
            independent = values[-1] > np.sqrt(np.finfo(self.direct.dtype).eps) * values[0]
            require(independent, "direct", "have linearly independent columns", self.direct)

    @classmethod
    def of(cls, model: AbstractCoupledModes, *, hidden: Count | None = None) -> "PassiveModes":
        """The passive form of any passive linear model.

        **Arguments:** `model`: as `lossless_dilation` takes it (numbers, not tracers); `hidden`: how many hidden ports
        to have, by default as few as it takes; further ones are empty.

        **Returns:** a `PassiveModes` with the model's Ω, Γ, C, D and K.

        **Raises:** `ValueError` for a model that is not linear or not passive, or too few hidden ports.

        Example: `tcmt.PassiveModes.of(tcmt.CoupledModes([0.0], [[1.0]], gamma_i=[0.1])).num_hidden` is 1.
        """
        whole = lossless_dilation(model)
        ports, needed = model.num_ports, whole.num_ports - model.num_ports
        hidden = needed if hidden is None else as_count(hidden, "hidden", least=needed)
        empty = ((0, hidden - needed), (0, 0))
        return PassiveModes(whole.omega, jnp.pad(whole.D, empty), jnp.pad(whole.C[:, :ports], empty), hidden=hidden)

    @property
    def num_modes(self) -> int:
        return self.D.shape[1]

    @property
    def num_ports(self) -> int:
        return self.direct.shape[1]

    @property
    def num_hidden(self) -> int:
        """The number of hidden ports q."""
        return self.D.shape[0] - self.num_ports

    @property
    def lossless(self) -> bool:
        """Whether the device conserves power: it has no hidden ports and no laws."""
        return self.num_hidden == 0 and self.laws == ()

    def matrices(self) -> Matrices:
        D, V = from_pairs(self.D), isometry(isometry(from_pairs(self.direct)))
        absorbing = D.conj().T
        return Matrices(
            hermitian(self.omega), absorbing @ D / 2, V[: self.num_ports], D[: self.num_ports], -(absorbing @ V).T
        )


def packed(matrix: Complex[Array, "mode mode"]) -> Float[Array, "mode mode"]:
    """The real part of a Hermitian matrix in the upper triangle, its imaginary part in the lower one."""
    return jnp.triu(matrix.real) + jnp.tril(matrix.imag, -1)


def hermitian(packed: Float[Array, "mode mode"]) -> Complex[Array, "mode mode"]:
    """The Hermitian matrix with its real part in the upper and its imaginary part in the lower triangle of `packed`."""
    symmetric = jnp.triu(packed) + jnp.triu(packed, 1).T
    skew = jnp.tril(packed, -1) - jnp.tril(packed, -1).T
    return symmetric + 1j * skew


def isometry(W: Complex[Array, "*batch wire port"]) -> Complex[Array, "*batch wire port"]:
    """The columns of W [..., M + q, M] made orthonormal by Gram–Schmidt: arithmetic that batches, where LAPACK calls
    would not."""
    columns: list[Array] = []
    for column in jnp.moveaxis(W, -1, 0):
        for earlier in columns:
            column = column - earlier * jnp.sum(earlier.conj() * column, axis=-1, keepdims=True)
        columns.append(column / jnp.sqrt(jnp.sum(column.real**2 + column.imag**2, axis=-1, keepdims=True)))
    return jnp.stack(columns, axis=-1)


def from_pairs(pairs: Float[Array, "*shape 2"]) -> Complex[Array, "*shape"]:
    """Complex numbers from their (Re, Im) along the last axis."""
    return pairs[..., 0] + 1j * pairs[..., 1]


def to_pairs(values: ArrayLike) -> Float[Array, "*shape 2"]:
    """(Re, Im) of numbers, along a new last axis."""
    return jnp.stack([jnp.real(values), jnp.imag(values)], axis=-1)
