"""What scattering data identify about coupled modes, and how errors of a response carry over to it."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from optimize.mode_fit.form import Form

Host = Any


class ModeCoefficients(eqx.Module):
    """What scattering data identify about N modes and M ports, in the data's rate unit; or the standard errors of it.

    **Fields:** `omega` [N], `gamma` [N]: poles iω_n − γ_n, by rising ω; `residues` complex [N, out, in]: the rank-one
    matrices of S = C + Σ R_n/(i(ω − ω_n) + γ_n), with R_n[o, i] = d_o k_i; `C` complex [out, in]: the direct path at
    band centre; `delay` [M]: how far the reference planes stand from the device, seconds per port, or None;
    `outcoupling`, `incoupling` [M, N]: |d|² and |k|² per unit of stored energy, or None without energy data, which
    alone identify their ratio. In errors a complex number holds those of the real and imaginary part.

    A direct path that varies over the band can stand for a part of a delay t, which makes of R_n and C

        R_n e^{p_n t},      C + Σ R_n (e^{p_n t} − 1)/p_n,      p_n = i(ω_n − ω_centre) − γ_n

    so all are given at the planes for which the phase of bright direct paths is flat at band centre; where none tells a
    port's plane (a matched port), at those for which its other direct paths are least (`FlatPlanes` has the equations).
    Beside a constant background, or stored energies, planes stay where `delay` was fitted.
    """

    omega: Float[Array, " mode"]
    gamma: Float[Array, " mode"]
    residues: Complex[Array, "mode out in"]
    C: Complex[Array, "out in"]
    delay: Float[Array, " port"] | None
    outcoupling: Float[Array, "port mode"] | None
    incoupling: Float[Array, "port mode"] | None

    def flatten(self) -> Float[np.ndarray, " q"]:
        """Every real number in one vector, field by field; of a complex array the real parts come first."""
        return np.concatenate([part.ravel() for _, part in self._parts()])

    def unflatten(self, vector: Float[ArrayLike, " q"]) -> ModeCoefficients:
        """The inverse of `flatten`, for a vector of numbers that belong to these, such as their errors."""
        numbers, position, new = np.asarray(vector), 0, {}
        for field, value in self._fields():
            pieces = []
            for _ in range(2 if np.iscomplexobj(value) else 1):
                pieces.append(numbers[position : position + value.size].reshape(value.shape))
                position += value.size
            new[field] = jnp.asarray(pieces[0] + 1j * pieces[1] if len(pieces) == 2 else pieces[0])
        fields: dict[str, Any] = {field: new.get(field) for field in self.__dataclass_fields__}
        return ModeCoefficients(**fields)

    def rows(self) -> list[tuple[str, float]]:
        """Every real number with its name, in the order of `flatten`."""
        names = [
            f"{name}[{','.join(map(str, index))}]" for name, part in self._parts() for index in np.ndindex(part.shape)
        ]
        return list(zip(names, self.flatten().tolist(), strict=True))

    # In numpy: every shape would have programs of its own.
    def _fields(self) -> list[tuple[str, Host]]:
        values = {field: getattr(self, field) for field in self.__dataclass_fields__}
        return [(field, np.asarray(value)) for field, value in values.items() if value is not None]

    def _parts(self) -> list[tuple[str, Host]]:
        parts = []
        for field, value in self._fields():
            whole = np.iscomplexobj(value)
            parts += [(f"Re {field}", value.real), (f"Im {field}", value.imag)] if whole else [(field, value)]
        return parts


def coefficients_of(form: Form, centre: float, half: float, *, energy: bool) -> ModeCoefficients:
    """The coefficients of a response, in the unit of `half`, half of the band."""
    poles, d, k = _modes(form)
    return ModeCoefficients(
        omega=jnp.asarray(centre + half * poles.imag),
        gamma=jnp.asarray(-half * poles.real),
        residues=jnp.asarray(half * np.einsum("on,ni->noi", d, k)),
        C=jnp.asarray(form.modal(np.zeros(1)).C[0]),
        delay=None if form.delay is None else jnp.asarray(np.asarray(form.delay) / half),
        outcoupling=jnp.asarray(half * np.abs(d) ** 2) if energy else None,
        incoupling=jnp.asarray(half * np.abs(k.T) ** 2) if energy else None,
    )


def coefficient_slopes(form: Form, half: float, *, energy: bool) -> Host:
    """Their derivatives in the parameters of the form, [q, p]: first order in the change of A's eigenvectors."""
    modal = form.modal(np.zeros(1))
    poles, right, left = _eigen(modal.A)
    d, k = modal.D @ right, left @ modal.K.T
    gaps = poles - poles[:, None]
    np.fill_diagonal(gaps, 1.0)
    columns: list[list[Host]] = [[] for _ in range(6)]
    for block in form.directions(np.zeros(1)):
        count = next(len(part) for part in block if part is not None)
        zero = np.zeros((count, len(poles), len(poles)), complex)
        inner = zero if block.A is None else left @ block.A @ right
        dp = np.einsum("pnn->pn", inner)
        with np.errstate(divide="ignore", invalid="ignore"):  # not finite where poles are equal: not identified
            mixed = np.where(inner == 0, 0.0, inner / gaps)
            np.einsum("pnn->pn", mixed)[...] = 0
            # Right vectors keep their unit norm.
            along = np.einsum("mn,pmn->pn", right.conj(), right @ mixed)
            np.einsum("pnn->pn", mixed)[...] = -along.real
            dd = d @ mixed + (0 if block.D is None else block.D @ right)
            dk = -(mixed @ k) + (0 if block.K is None else np.einsum("nm,pim->pni", left, block.K))
            dR = np.einsum("pon,ni->pnoi", dd, k) + np.einsum("on,pni->pnoi", d, dk)
        dC = np.zeros((count, *modal.C.shape[1:]), complex) if block.C is None else block.C[:, 0]
        out = 2 * half * (d.conj() * dd).real
        into = 2 * half * (k.conj() * dk).real.swapaxes(1, 2)
        parts = (half * dp.imag, -half * dp.real, half * dR, dC, out, into)
        for column, part in zip(columns, parts, strict=True):
            column.append(part.reshape(count, math.prod(part.shape[1:])))
    slopes: list[Host] = [np.concatenate(column).T for column in columns]
    rows = [*slopes[:2], slopes[2].real, slopes[2].imag, slopes[3].real, slopes[3].imag]
    if form.delay is not None:
        ports = len(form.delay)
        if form.mirror is None:  # else C follows delays, and they have a block of their own
            rows = [np.pad(part, ((0, 0), (0, ports))) for part in rows]
        rows.append(np.eye(rows[0].shape[1])[-ports:] / half)
    if energy:
        width = rows[0].shape[1]
        rows += [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in slopes[4:]]
    return np.concatenate(rows)


def _modes(form: Form) -> tuple[Host, Host, Host]:
    """Poles [N] by rising frequency, d [M, N] and k [N, M]. Right vectors have unit norm, hence unit energy; the
    residues do not care."""
    A, _, D, K = form.modal(np.zeros(1))
    poles, right, left = _eigen(A)
    return poles, D @ right, left @ K.T


def _eigen(A: Host) -> tuple[Host, Host, Host]:
    poles: Host
    right: Host
    poles, right = np.linalg.eig(A)
    order = np.argsort(poles.imag)
    poles, right = poles[order], right[:, order]
    return poles, right, np.linalg.inv(right)
