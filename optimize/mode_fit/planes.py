"""The reference planes at which a response is reported: those for which the phase of its direct path is flat."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optimize.mode_fit.form import Form, from_pairs, to_pairs

Host = Any
BRIGHT = 0.1  # of the largest direct path: those whose phase counts
BESIDE = 0.25  # of the resonant part at its largest: a leak beside a peak has a phase of its own
SEEN = 1e-6  # of the largest signal: entries that count
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)  # exact to rounding for |pt| ≤ 20
CENTRE = np.array([0.0, 1e-4, -1e-4])  # and points beside it, for slopes
STEPS, LARGEST, NEAR = 50, 1.0, 1e-12  # of Newton's iteration, in rad over half the band


class FlatPlanes(NamedTuple):
    """A form at the reference planes for which the phase of bright direct paths is flat at band centre.

    Planes that are further by `t` [M], in the unit of 1/x, make of A, D, K beside a direct path C(x)

        D_o e^{A t_o},      e^{A t_i} K_i,      C(x) e^{ixt} + D_o (e^{ixt} − e^{At}) (ix − A)⁻¹ K_i,      t = t_o + t_i

    and of delays τ + t: the same S. A background that turns with frequency may stand for a part of a delay, and the
    data hardly say for which; these do not depend on it. With C' and its slope C'_x at band centre, there,

        Σ_bright (e_o + e_i) Im(C'* C'_x) = 0

    over the entries whose direct path is bright: a constant is nearest to it. What these do not tell (of a matched
    port) is chosen so that the other direct paths are small, to first order over the band:

        Σ |C'|² + |C'_x|²/3 → least

    **Fields:** `fitted`, the form; `modes`, the same by its modes; `entries`, those that tell planes; `bright`, those
    of them whose phase does; `told` [M, r], a basis of the sums of times that bright ones tell, `chosen` [M, q] of
    those that others do: t has no part in any more, and is 0 where nothing can stand for a delay.
    """

    fitted: Form
    modes: _Modes
    entries: Host
    bright: Host
    told: Host
    chosen: Host
    t: Host

    @classmethod
    def of(cls, form: Form, entries: Host) -> FlatPlanes:
        """Those of a form, by the `entries` [M, M] that may tell them."""
        modes, ports = _Modes.of(form), len(form.D)
        entries, bright = modes.lit(entries)
        told = chosen = np.zeros((ports, 0))
        if form.delay is not None:
            told = _range(_sums(bright))
            chosen = _range(_sums(entries) @ (np.eye(ports) - told @ told.T))
        planes = cls(form, modes, entries, bright, told, chosen, np.zeros(ports))
        if planes.fixed:
            return planes._replace(chosen=chosen[:, :0])
        planes = planes._solved(slice(0, told.shape[1])) or planes._replace(told=told[:, :0])
        told = planes.told.shape[1]
        return planes._solved(slice(told, None)) or planes._replace(chosen=chosen[:, :0])

    def _solved(self, part: slice) -> FlatPlanes | None:
        """Those that satisfy a part of the conditions, or None where none are found."""
        basis = np.concatenate([self.told, self.chosen], axis=1)[:, part]
        found = self
        for _ in range(STEPS if basis.size else 0):
            G, H, safe = found.conditions()
            G, H, safe = G[part], H[part, part], safe[part, part]
            step = -np.linalg.lstsq(H if np.all(np.linalg.eigvalsh((H + H.T) / 2) > 0) else safe, G, rcond=None)[0]
            size = float(np.max(np.abs(step)))
            found = found._replace(t=found.t + basis @ step * min(1.0, LARGEST / max(size, LARGEST)))
            if size < NEAR:
                return found
        return None if basis.size else self

    def conditions(self) -> tuple[Host, Host, Host]:
        """What is to be 0 [r + q], its derivatives in t along both bases, and what of these is no curvature."""
        C, slope, residue, second = self.modes.direct(self.t)
        turning, growing = (C.conj() * slope).imag, (C.conj() * residue).real
        of_turning = np.abs(C) ** 2, (residue.conj() * slope).imag
        of_growing = np.abs(residue) ** 2, (C.conj() * second).real
        G = self._weighed(turning, growing)
        rows = _sums(np.ones_like(C, bool)).reshape(*C.shape, -1) @ np.concatenate([self.told, self.chosen], axis=1)
        safe, curved = (
            self._weighed(np.moveaxis(one[..., None] * rows, -1, 0), np.moveaxis(two[..., None] * rows, -1, 0)).T
            for one, two in zip(of_turning, of_growing, strict=True)
        )
        return G, safe + curved, safe

    def _weighed(self, turning: Host, growing: Host) -> Host:
        """The conditions [..., r + q] from the turning and growing [..., out, in] of entries."""
        told = turning[..., self.bright] @ (_sums(self.bright) @ self.told)
        chosen = (turning / 3 + growing)[..., self.entries] @ (_sums(self.entries) @ self.chosen)
        return np.concatenate([told, chosen], axis=-1)

    @property
    def fixed(self) -> bool:
        """Whether no background can stand for a delay: planes then stay where they are."""
        return self.fitted.delay is None or len(self.fitted.background) < 2

    def tells(self, *ports: int) -> bool:
        """Whether bright paths tell the time to the planes of some ports together."""
        sums = np.bincount(ports, minlength=len(self.t)).astype(float)
        return bool(np.allclose(self.told @ (self.told.T @ sums), sums, atol=1e-6))

    def form(self) -> Form:
        """The response at these planes, with the direct path at band centre everywhere."""
        fitted, modes, turn = self.fitted, self.modes, np.exp(self.modes.poles * self.t[:, None])
        C = modes.direct(self.t)[0][None]
        if not np.any(self.t):
            parts = {"D": fitted.D, "K": fitted.K, "delay": fitted.delay}
        else:
            D, K = (modes.d * turn) @ modes.left, (modes.k.T * turn) @ modes.right.T
            parts = {"D": to_pairs(D), "K": to_pairs(K), "delay": np.asarray(fitted.delay) + self.t}
        return Form(A=fitted.A, background=to_pairs(C), symmetric=fitted.symmetric, **parts)

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

        def path(weight: Host, grown: Host = grown, mixed: Host = mixed) -> Host:
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
        basis = np.concatenate([self.told, self.chosen], axis=1)
        if basis.size and not self.fixed:
            C, slope, residue, _ = modes.direct(t)
            end = total[..., None]
            dresidue = path(np.ones_like(end), np.exp(modes.poles * end[..., None]), _divided(modes.poles, end))
            turning = (dC.conj() * slope + C.conj() * dslope).imag
            dG = self._weighed(turning, (dC.conj() * residue + C.conj() * dresidue).real)
            dt = -dG @ np.linalg.pinv(self.conditions()[1]).T @ basis.T
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
        A, C, D, K = form.modal(CENTRE)
        poles: Host
        poles, right = np.linalg.eig(A)
        left = np.linalg.inv(right)
        return cls(poles, right, left, D @ right, left @ K.T, C[0], _slope(C))

    def direct(self, t: Host) -> tuple[Host, Host, Host, Host]:
        """C, dC/dx, Σ R and Σ pR at planes further by t: C changes by Σ R, dC/dx by iC, Σ R by Σ pR."""
        total = t[:, None] + t
        u, w = _nodes(total)
        resonant = np.einsum("oiqn,on,ni->oiq", np.exp(self.poles * u[..., None]), self.d, self.k)
        # ∫ e^{ix(t − u)} e^{pu} du = (e^{ixt} − e^{pt})/(ix − p)
        C = self.C + np.sum(w * resonant, axis=-1)
        slope = self.slope + 1j * total * self.C + 1j * np.sum(w * (total[..., None] - u) * resonant, axis=-1)
        turn = np.exp(self.poles * total[..., None])
        return C, slope, *(np.einsum("oin,on,ni->oi", turn, self.d * each, self.k) for each in (1, self.poles))

    def lit(self, entries: Host) -> tuple[Host, Host]:
        """Which of the entries [M, M] have any signal, and which a direct path with a phase to speak of."""
        x = np.clip(self.poles.imag, -1, 1)
        peaks = np.einsum("on,xn,ni->xoi", self.d, 1 / (1j * x[:, None] - self.poles), self.k)
        size, peak = np.abs(self.C) * np.asarray(entries), np.max(np.abs(peaks), axis=0, initial=0.0)
        seen = np.asarray(entries) & (np.maximum(size, peak) > SEEN * max(np.max(size), np.max(peak)))
        return seen, seen & (size > 0) & (size >= np.maximum(BRIGHT * np.max(size), BESIDE * peak))


def entries_of(data: Any) -> Host:
    """The entries of S that may tell planes: none where stored energies do, as these are of the form's own D and K."""
    measured = np.asarray(data.entries)
    return measured if data.energy is None else np.zeros_like(measured)


def _directions(form: Form) -> tuple[Host, ...]:
    """What each parameter changes: A, D, K, the direct path at band centre and its slope, the delays [p, ...]."""
    found, (ports, modes) = [], np.shape(form.D)[:2]
    for block in form.directions(CENTRE):
        count = next(len(part) for part in block if part is not None)
        shapes = (modes, modes), (len(CENTRE), ports, ports), (ports, modes), (ports, modes)
        parts = zip(block, shapes, strict=True)
        found.append([np.zeros((count, *shape), complex) if part is None else part for part, shape in parts])
    parts = [np.concatenate(part) for part in zip(*found, strict=True)]
    lacking = form.vector().size - len(parts[0])  # delays, where they change nothing but phases
    dA, path, dD, dK = (np.concatenate([part, np.zeros((lacking, *part.shape[1:]))]) for part in parts)
    ddelay = np.zeros((len(dA), ports))
    if form.delay is not None:
        ddelay[-ports:] = np.eye(ports)
    return dA, dD, dK, path[:, 0], _slope(path), ddelay


def _slope(path: Host) -> Host:
    """That of a path [..., 3, out, in] at `CENTRE`."""
    return (path[..., 1, :, :] - path[..., 2, :, :]) / (2 * CENTRE[1])


def _nodes(t: Host) -> tuple[Host, Host]:
    """Gauss's nodes and weights on [0, t], along a new last axis."""
    return t[..., None] * (1 + NODES) / 2, t[..., None] * WEIGHTS / 2


def _divided(poles: Host, u: Host) -> Host:
    """(e^{p_m u} − e^{p_n u})/(p_m − p_n) [..., m, n], also where poles meet."""
    u = u[..., None, None]
    mean, half = (poles[:, None] + poles) / 2, (poles[:, None] - poles) / 2
    return u * np.exp(mean * u) * np.sinc(1j * half * u / np.pi)  # sinh z/z


def _sums(entries: Host) -> Host:
    """e_out + e_in of some entries [n, M]."""
    out, into = np.nonzero(entries)
    return np.eye(len(entries))[out] + np.eye(len(entries))[into]


def _range(rows: Host) -> Host:
    """An orthonormal basis [M, r] of what rows [n, M] span."""
    if not len(rows):
        return np.zeros((rows.shape[1], 0))
    _, singular, vt = np.linalg.svd(rows)
    return vt[: np.sum(singular > 1e-9)].T  # of sums of unit vectors
