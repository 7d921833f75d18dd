"""Coupled modes that are passive whatever their parameters are: the form to fit and to design in.

    Γ = ½D_f†D_f,   V†V = 1,   C and D the visible rows of V and D_f,   K = −(D_f†V)ᵀ

Every leaf is real and free of bounds, so that any optimiser may move it.
"""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.checks import Numbers, as_complex, check_fields, is_concrete, real_field, require
from diffnr.tcmt.hidden_ports import with_hidden_ports
from diffnr.tcmt.loss import check_laws
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.modes import AbstractCoupledModes, Laws


class PassiveModes(AbstractCoupledModes):
    """N modes, M ports and q hidden ports, passive for any values of its leaves:

        a' = (iΩ − ½D_f†D_f) a − f_law(a) − D_f†V s₊,      s₋ = top M rows of (V s₊ + D_f a),      V†V = 1

    The q rows of D_f and V below the first M are hidden ports: a wedge, a wall, absorption. Without any (q = 0) the
    device is lossless and S unitary; with them |k| ≠ |d|, C is a contraction, and every passive linear device can be
    reached (q = M + N is always enough, and `PassiveModes.of` finds how many one takes).

    **Arguments:** (`passive_modes` makes one from complex matrices, `PassiveModes.of` from another model)

    - `omega`: [N, N] real, Re Ω in the upper triangle with the diagonal, Im Ω in the lower one; rate.
    - `D`: [M + q, N, 2], (Re, Im) of D_f; √rate.
    - `direct`: [M + q, M, 2], (Re, Im) of any matrix W of full column rank; V is W with its columns made orthonormal
      from left to right (Gram–Schmidt).
    - `loss`: a law, or a tuple of laws; those with γ(a) ≥ 0 keep it passive.

    **Raises:** `ValueError` for shapes that do not fit together, values not finite, or columns of `direct` that depend
    on each other.

    **Notes:** an entirely empty hidden row has no first-order effect, so that no gradient fills it: start it small.
    Modes may be renamed by any unitary T, and hidden ports among themselves, without a change of S: minima are not
    isolated points.

    Source: paper 3, equations 1–5 and supplement 5.
    """

    omega: Float[Array, "mode mode"] = real_field()
    D: Float[Array, "wire mode 2"] = real_field()
    direct: Float[Array, "wire port 2"] = real_field()
    loss: Laws = ()

    def __check_init__(self) -> None:
        D, direct = self.D.shape, self.direct.shape
        require(len(D) == 3 and D[2] == 2, "D", "have shape (ports + hidden, modes, 2)", f"of shape {D}")
        require(
            len(direct) == 3 and direct[2] == 2 and direct[0] == D[0] >= direct[1] > 0,
            "direct",
            f"have shape ({D[0]}, ports, 2) with at most {D[0]} ports",
            f"of shape {direct}",
        )
        require(self.omega.shape == (D[1], D[1]), "omega", f"have shape {(D[1], D[1])}", f"of shape {self.omega.shape}")
        check_fields(self)
        check_laws(self.loss, self.num_modes)
        if is_concrete(self.direct):
            pairs = np.asarray(self.direct)  # in numpy: inside jit, JAX would make tracers of constants
            values = np.linalg.svd(pairs[..., 0] + 1j * pairs[..., 1], compute_uv=False)
            # Gram–Schmidt, done twice, makes columns orthonormal to round-off up to a condition number of 1/√eps.
            independent = values[-1] > np.sqrt(np.finfo(self.direct.dtype).eps) * values[0]
            require(independent, "direct", "have linearly independent columns", self.direct)

    @classmethod
    def of(cls, model: AbstractCoupledModes, *, hidden: int | None = None) -> "PassiveModes":
        """The passive form of any passive linear model.

        **Arguments:** `model`: as `with_hidden_ports` takes it (numbers, not tracers); `hidden`: how many hidden ports
        to have, by default as few as it takes; further ones are empty.

        **Returns:** a `PassiveModes` with the model's Ω, Γ, C, D and K.

        **Raises:** `ValueError` for a model that is not linear or not passive, or too few hidden ports.
        """
        whole = with_hidden_ports(model)
        ports, needed = model.num_ports, whole.num_ports - model.num_ports
        hidden = needed if hidden is None else hidden
        enough = isinstance(hidden, int) and hidden >= needed
        require(enough, "hidden", f"be a whole number of at least {needed}, which the model takes", hidden)
        empty = ((0, hidden - needed), (0, 0))
        return passive_modes(whole.omega, jnp.pad(whole.D, empty), jnp.pad(whole.C[:, :ports], empty), hidden=hidden)

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


def passive_modes(
    omega: Numbers, D: Numbers, C: Numbers | None = None, *, hidden: int = 0, loss: Laws = ()
) -> PassiveModes:
    """A `PassiveModes` from complex matrices:

        Γ = ½D†D,      K = −(D†C)ᵀ,      over all M + q rows

    **Arguments:**

    - `omega`: [N] real resonance frequencies, or [N, N] Hermitian; rate.
    - `D`: [M + q, N] complex, outcoupling, with the rows of the hidden ports below; √rate. An absorption rate γ_0 of
      mode n is a hidden row with √(2γ_0) at n.
    - `C`: [M + q, M] complex with orthonormal columns, direct path with the hidden rows below; or [M, M] unitary, where
      no incoming wave reaches a hidden port directly. Default −1.
    - `hidden`: q, how many of D's rows are hidden.
    - `loss`: a law, or a tuple of laws.

    **Returns:** a `PassiveModes`, with real leaves `omega`, `D` and `direct`.

    **Raises:** `ValueError` for wrong shapes, Ω not Hermitian, columns of C not orthonormal.
    """
    D, frequencies = as_complex(D), as_complex(omega)
    require(D.ndim == 2, "D", "have shape (ports + hidden, modes)", f"of shape {D.shape}")
    rows, modes = D.shape
    whole = isinstance(hidden, int) and 0 <= hidden < rows
    require(whole, "hidden", f"be a whole number between 0 and {rows - 1}, and leave a port", hidden)
    ports = rows - hidden
    V = -jnp.eye(ports, dtype=D.dtype) if C is None else as_complex(C)
    shapes = ((rows, ports), (ports, ports))
    require(V.shape in shapes, "C", f"have shape {shapes[0]}, or {shapes[1]}", f"of shape {V.shape}")
    shapes = ((modes,), (modes, modes))
    require(
        frequencies.shape in shapes, "omega", f"have shape {shapes[0]} or {shapes[1]}", f"of shape {frequencies.shape}"
    )
    frequencies = jnp.diag(frequencies) if frequencies.ndim == 1 else frequencies
    # Numbers typed or computed elsewhere carry about half of the digits of the dtype.
    slack = float(np.sqrt(np.finfo(D.dtype).eps))
    if is_concrete(V):
        defect = np.linalg.norm(np.asarray(V).conj().T @ np.asarray(V) - np.eye(ports), 2)
        require(defect <= slack, "C", "have orthonormal columns (C†C = 1)", f"off by {defect:.3g}")
    if is_concrete(frequencies):
        defect = np.max(np.abs(np.asarray(frequencies) - np.asarray(frequencies).conj().T), initial=0.0)
        scale = np.max(np.abs(np.asarray(frequencies)), initial=0.0)
        require(defect <= slack * scale, "omega", "be real (a vector) or Hermitian (a matrix)", frequencies)
    packed = jnp.triu(frequencies.real) + jnp.tril(frequencies.imag, -1)
    V = jnp.pad(V, ((0, rows - len(V)), (0, 0)))
    return PassiveModes(omega=packed, D=to_pairs(D), direct=to_pairs(V), loss=loss)


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
