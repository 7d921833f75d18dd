"""The reference planes at which a response is reported: those for which the phase of its direct path is flat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from optimize.mode_fit.form import Form, from_pairs, to_pairs

Host = Any
BRIGHT = 0.1  # of the largest direct path: those whose phase counts
BESIDE = 0.25  # of the resonant part at its largest: a leak beside a peak has a phase of its own
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)  # exact to rounding for |pt| ≤ 20
STEPS, LARGEST, NEAR = 50, 1.0, 1e-12  # of Newton's iteration, in rad over half the band


class FlatPlanes(NamedTuple):
    """A form at the reference planes for which the phase of bright direct paths is flat at band centre.

    Planes that are further by `t` [M], in the unit of 1/x, make of A, D, K beside a direct path C(x)

        D_o e^{A t_o},      e^{A t_i} K_i,      C(x) e^{ixt} + D_o (e^{ixt} − e^{At}) (ix − A)⁻¹ K_i,      t = t_o + t_i

    and of delays τ + t: the same S. A background that turns with frequency may stand for a part of a delay, and the
    data hardly say for which; these do not depend on it. The planes are those with

        Σ (e_o + e_i) Im(C'_oi* dC'_oi/dx) = 0,      C'_oi at band centre,

    over the entries that were measured and whose direct path is bright: a constant is nearest to it there.

    **Fields:** `fitted`, the form; `modes`, the same by its modes; `out`, `into`, the bright entries; `basis` [M, r],
    of the sums of times that they tell: t has no part in others, and is 0 where no delay was fitted.
    """

    fitted: Form
    modes: _Modes
    out: Host
    into: Host
    basis: Host
    t: Host

    @classmethod
    def of(cls, form: Form, entries: Host) -> FlatPlanes:
        """Those of a form, by the `entries` [M, M] that may tell them."""
        modes, ports = _Modes.of(form), len(form.D)
        out, into = np.nonzero(modes.bright(entries))
        rows = np.eye(ports)[out] + np.eye(ports)[into]
        basis = np.zeros((ports, 0))
        if form.delay is not None and len(rows):
            _, singular, vt = np.linalg.svd(rows)
            basis = vt[: np.sum(singular > 1e-9 * singular[0])].T
        planes = cls(form, modes, out, into, basis, np.zeros(ports))
        if not basis.size or planes.fixed:
            return planes
        found = planes
        for _ in range(STEPS):
            G, H = found.phase()
            step = -np.linalg.lstsq(H, G, rcond=None)[0]
            size = float(np.max(np.abs(step)))
            found = found._replace(t=found.t + basis @ step * min(1.0, LARGEST / max(size, LARGEST)))
            if size < NEAR:
                return found
        return planes._replace(basis=basis[:, :0])

    def phase(self) -> tuple[Host, Host]:
        """What is to be 0 [r], and its derivatives [r, r] in t along the basis."""
        C, slope, residue = (part[self.out, self.into] for part in self.modes.direct(self.t))
        rows = self.basis[self.out] + self.basis[self.into]
        return rows.T @ (C.conj() * slope).imag, (rows.T * (np.abs(C) ** 2 + (residue.conj() * slope).imag)) @ rows

    @property
    def fixed(self) -> bool:
        """Whether no background can stand for a delay: planes then stay where they are."""
        return self.fitted.delay is None or len(self.fitted.background) < 2

    def tells(self, *ports: int) -> bool:
        """Whether bright paths tell the time to the planes of some ports together."""
        sums = np.bincount(ports, minlength=len(self.t)).astype(float)
        return bool(np.allclose(self.basis @ (self.basis.T @ sums), sums, atol=1e-6))

    def form(self) -> Form:
        """The response at these planes, with the direct path at band centre everywhere."""
        if not np.any(self.t):
            return replace(self.fitted, background=np.asarray(self.fitted.background)[:1])
        modes, turn = self.modes, np.exp(self.modes.poles * self.t[:, None])
        D, K = (modes.d * turn) @ modes.left, (modes.k.T * turn) @ modes.right.T
        parts = {"D": D, "K": K, "background": modes.direct(self.t)[0][None]}
        delay = np.asarray(self.fitted.delay) + self.t
        return replace(self.fitted, **{name: to_pairs(part) for name, part in parts.items()}, delay=delay)

    def direct_path(self, x: Host) -> Host:
        """The direct path [f, out, in] at these planes."""
        x, modes, total = np.asarray(x), self.modes, self.t[:, None] + self.t
        u, w = _nodes(total)
        turned = np.exp(1j * x[:, None, None, None] * (total[..., None] - u))
        resonant = np.einsum("oiqn,on,ni->oiq", np.exp(modes.poles * u[..., None]), modes.d, modes.k)
        path = self.fitted.modal(x).C * np.exp(1j * x[:, None, None] * total)
        return path + np.sum(turned * w * resonant, axis=-1)

    def slopes(self) -> Host:
        """The derivatives [q, p] of the parameters of `form()` in those of the fitted one."""
        modes, t = self.modes, self.t
        dA, dD, dK, dC, dslope, ddelay = _directions(self.fitted)
        inner, dd, dk = modes.left @ dA @ modes.right, dD @ modes.right, modes.left @ dK.swapaxes(1, 2)
        total = t[:, None] + t
        u, w = _nodes(total)
        grown, mixed = np.exp(modes.poles * u[..., None]), _divided(modes.poles, u)

        def path(weight: Host) -> Host:
            """Of ∫ weight(u) D e^{Au} K."""
            one, two = np.sum(weight[..., None] * grown, axis=2), np.sum(weight[..., None, None] * mixed, axis=2)
            left = np.einsum("pon,oin,ni->poi", dd, one, modes.k) + np.einsum("on,oin,pni->poi", modes.d, one, dk)
            return left + np.einsum("om,oimn,ni,pmn->poi", modes.d, two, modes.k, inner, optimize=True)

        dslope = dslope + 1j * total * dC + path(1j * w * (total[..., None] - u))
        dC = dC + path(w)
        turn, turned = np.exp(modes.poles * t[:, None]), _divided(modes.poles, t)
        dD = (dd * turn + np.einsum("om,omn,pmn->pon", modes.d, turned, inner)) @ modes.left
        dK = (dk.swapaxes(1, 2) * turn + np.einsum("imn,ni,pmn->pim", turned, modes.k, inner)) @ modes.right.T
        moved = self.form()
        if self.basis.size and not self.fixed:
            C, slope, residue = modes.direct(t)
            o, i, rows = self.out, self.into, self.basis[self.out] + self.basis[self.into]
            dG = (dC[:, o, i].conj() * slope[o, i] + C[o, i].conj() * dslope[:, o, i]).imag @ rows
            dt = -np.linalg.solve(self.phase()[1], dG.T).T @ self.basis.T
            A, D, K = (from_pairs(part) for part in (moved.A, moved.D, moved.K))
            dC = dC + (dt[:, :, None] + dt[:, None]) * residue
            dD, dK, ddelay = dD + dt[:, :, None] * (D @ A), dK + dt[:, :, None] * (K @ A.T), ddelay + dt
        parts = {"A": dA, "D": dD, "K": dK, "background": dC[:, None]}
        changes = {"delay": ddelay, **{name: to_pairs(part) for name, part in parts.items()}}
        return np.concatenate(
            [changes[name][:, *where].reshape(len(dA), -1) for name, _, where in moved.fields()], axis=1
        ).T


class _Modes(NamedTuple):
    """A form by its modes: poles [N], right vectors and their inverse, d [M, N], k [N, M], and the direct path at band
    centre and its slope [M, M]."""

    poles: Host
    right: Host
    left: Host
    d: Host
    k: Host
    C: Host
    slope: Host

    @classmethod
    def of(cls, form: Form) -> _Modes:
        A, C, D, K = form.modal(np.zeros(1))
        slope = from_pairs(form.background)[1] if len(form.background) > 1 else np.zeros_like(C[0])
        poles: Host
        poles, right = np.linalg.eig(A)
        left = np.linalg.inv(right)
        return cls(poles, right, left, D @ right, left @ K.T, C[0], slope)

    def direct(self, t: Host) -> tuple[Host, Host, Host]:
        """C, dC/dx and Σ R at planes further by t: C changes by Σ R, dC/dx by iC."""
        total = t[:, None] + t
        u, w = _nodes(total)
        resonant = np.einsum("oiqn,on,ni->oiq", np.exp(self.poles * u[..., None]), self.d, self.k)
        # ∫ e^{ix(t − u)} e^{pu} du = (e^{ixt} − e^{pt})/(ix − p)
        C = self.C + np.sum(w * resonant, axis=-1)
        slope = self.slope + 1j * total * self.C + 1j * np.sum(w * (total[..., None] - u) * resonant, axis=-1)
        return C, slope, np.einsum("oin,on,ni->oi", np.exp(self.poles * total[..., None]), self.d, self.k)

    def bright(self, entries: Host) -> Host:
        """Which of the entries [M, M] have a direct path with a phase to speak of."""
        x = np.clip(self.poles.imag, -1, 1)
        peaks = np.abs(np.einsum("on,xn,ni->xoi", self.d, 1 / (1j * x[:, None] - self.poles), self.k))
        size = np.abs(self.C) * np.asarray(entries)
        return (size > 0) & (size >= np.maximum(BRIGHT * np.max(size), BESIDE * np.max(peaks, axis=0, initial=0.0)))


def entries_of(data: Any) -> Host:
    """The entries of S that may tell planes: none where stored energies do, as these are of the form's own D and K."""
    measured = np.asarray(data.entries)
    return measured if data.energy is None else np.zeros_like(measured)


def _directions(form: Form) -> tuple[Host, ...]:
    """What each parameter changes: A, D, K, the direct path at band centre and its slope, the delays [p, ...]."""
    blocks, power, found = form.directions(np.ones(1)), 0, []
    ports, modes = np.shape(form.D)[:2]
    for block in blocks:
        count = next(len(part) for part in block if part is not None)
        shapes = (modes, modes), (ports, modes), (ports, modes), (ports, ports), (ports, ports)
        parts: list[Host] = [np.zeros((count, *shape), complex) for shape in shapes]
        for k, part in enumerate((block.A, block.D, block.K)):
            if part is not None:
                parts[k] = part
        if block.C is not None:
            if power < 2:
                parts[3 + power] = block.C[:, 0]
            power += 1
        found.append((*parts, np.zeros((count, ports))))
    if form.delay is not None:
        found.append((*(np.zeros((ports, *part.shape[1:]), complex) for part in found[0][:5]), np.eye(ports)))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _nodes(t: Host) -> tuple[Host, Host]:
    """Gauss's nodes and weights on [0, t], along a new last axis."""
    return t[..., None] * (1 + NODES) / 2, t[..., None] * WEIGHTS / 2


def _divided(poles: Host, u: Host) -> Host:
    """(e^{p_m u} − e^{p_n u})/(p_m − p_n) [..., m, n], also where poles meet."""
    u = u[..., None, None]
    mean, half = (poles[:, None] + poles) / 2, (poles[:, None] - poles) / 2
    return u * np.exp(mean * u) * np.sinc(1j * half * u / np.pi)  # sinh z/z
