"""The response that `fit_modes` fits, and its derivatives, on the host in numpy.

x is frequency from the band's centre in units of half the band; a trailing axis of 2 holds (Re, Im).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from optimize.mode_fit.realisation import Realisation, passive_realisation

MIRRORED = ("A", "background")  # of a symmetric form: their upper triangles say all
Host = Any  # numpy arrays, of which its type stubs know too little


class Modal(NamedTuple):
    """a' = A a + Kᵀ s₊, s₋ = C s₊ + D a at frequencies x: `A` [N, N], `C` [f, M, M], `D` [M, N], `K` [M, N]. As the
    derivatives in p parameters each has an axis [p, ...] in front, or is None where it is 0."""

    A: Host
    C: Host
    D: Host
    K: Host


class Linear(NamedTuple):
    """S [f, out, in] and the amplitudes a [f, mode, in] for unit power at each port alone, with their derivatives in
    the p real parameters: `ds` [p, f, out, in], `da` [p, f, mode, in] (None unless asked for)."""

    s: Host
    a: Host
    ds: Host
    da: Host


@dataclasses.dataclass(frozen=True)
class Form:
    """A state space with delays and a polynomial direct path, free of bounds:

        S(x) = P(x) [Σ_k C_k x^k + D (ix − A)⁻¹ Kᵀ] P(x),      P = diag e^{−ixτ}

    **Fields:** `A` [N, N, 2]; `D`, `K` [M, N, 2]; `background` [order + 1, M, M, 2]; `delay` [M] or None. It is the
    same response for A → T⁻¹AT, D → DT, Kᵀ → T⁻¹Kᵀ; A is kept whole, since a basis of modes turns singular where two
    of them become one. A `symmetric` form has A = Aᵀ, K = D and C_k = C_kᵀ, hence S = Sᵀ: every reciprocal S has
    such a state space, degenerate modes too, and its parameters are the fewer that are left.

    Networks have S(−ω) = S(ω)*, hence with each pole its conjugate at the negative frequency. `mirror`, twice the
    band's centre in the unit of x, adds these to the direct path: conj(resonant part at −x − mirror), delays of P
    included. They have no parameters of their own.
    """

    A: Host
    D: Host
    K: Host
    background: Host
    delay: Host
    symmetric: bool = False
    mirror: float | None = None

    def response(self, x: Host) -> tuple[Host, Host]:
        """S [f, out, in], and the amplitudes a [f, mode, in] for unit power at each port alone."""
        x = np.asarray(x)
        modal = self.modal(x)
        a = _resolvent(modal.A, x) @ modal.K.T
        return (modal.C + modal.D @ a) * self._phase(x), a

    def linearised(self, x: Host, *, energy: bool = False) -> Linear:
        """S and a with their derivatives in all of `vector`."""
        modal = self.modal(x)
        inverse = _resolvent(modal.A, x)
        a, y = inverse @ modal.K.T, modal.D @ inverse
        s, phase = modal.C + modal.D @ a, self._phase(x)
        rows, inner = [], []
        for block in self.directions(x):
            # Parameters are the real and imaginary parts of numbers: what one changes, times i, is what the next does.
            A, D, K = (None if part is None else part[::2] for part in (block.A, block.D, block.K))
            ds: Host = 0.0
            da: Host = 0.0
            if A is not None:
                moved = _each_times_all(A, a)
                ds = y @ moved
                da = inverse @ moved if energy else 0.0
            if D is not None:
                ds = ds + _each_times_all(D, a)
            if K is not None:
                ds = ds + _each_times_all(K, y.swapaxes(1, 2)).swapaxes(2, 3)
                da = da + inverse @ K[:, None].swapaxes(2, 3) if energy else 0.0
            ds, da = (part if np.isscalar(part) else both_parts(part) for part in (ds, da))
            if block.C is not None:
                ds = ds + block.C
            rows.append(ds * phase)
            inner.append(np.broadcast_to(da, (*ds.shape[:2], *a.shape[1:])) if energy else None)
        s = s * phase
        if self.delay is not None:
            ports = np.eye(s.shape[1])
            turned = -1j * x[:, None, None] * (ports[:, None, :, None] + ports[:, None, None, :]) * s
            if self.mirror is None:
                rows.append(turned)
                inner.append(np.zeros((len(ports), *a.shape), complex))
            else:  # the last block is of C, which delays turn as well
                rows[-1] = rows[-1] + turned
        return Linear(s, a, np.concatenate(rows), np.concatenate(inner) if energy else None)

    def vector(self, *without: str) -> Host:
        """Every parameter, field by field, but those of the fields named."""
        return np.concatenate([np.ravel(part[where]) for _, part, where in self.fields(without)])

    def at(self, vector: Host, *without: str) -> Any:
        """The response with these parameters, in the order of `vector`."""
        position, new = 0, {}
        for name, part, where in self.fields(without):
            size = part[where].size
            new[name] = np.empty(part.shape)
            new[name][where] = np.reshape(vector[position : position + size], part[where].shape)
            if self.symmetric and name in MIRRORED:
                below = (*where[:-2], where[-1], where[-2])
                new[name][below] = new[name][where]
            position += size
        return dataclasses.replace(self, **new, **({"K": new["D"]} if self.symmetric else {}))  # pyright: ignore[reportArgumentType]

    def fields(self, without: tuple[str, ...] = ()) -> list[tuple[str, Host, Host]]:
        """Names, values, and which of these are free."""
        names = ("A", "D", "background", "delay") if self.symmetric else ("A", "D", "K", "background", "delay")
        found = []
        for name in names:
            if name in without or getattr(self, name) is None:
                continue
            part = np.asarray(getattr(self, name))
            where: Host = (...,)
            if self.symmetric and name in MIRRORED:
                where = (slice(None),) * (part.ndim - 3) + np.triu_indices(part.shape[-2])
            found.append((name, part, where))
        return found

    def _phase(self, x: Host) -> Host:
        if self.delay is None:
            return 1.0
        delay = np.asarray(self.delay)
        return np.exp(-1j * x[:, None, None] * (delay[:, None] + delay))

    def resonant(self) -> Form:
        """D (ix − A)⁻¹ Kᵀ alone, at the planes of the device."""
        return dataclasses.replace(self, background=np.asarray(self.background)[:0], delay=None, mirror=None)

    def image(self, x: Host, D: Host = None) -> Host:
        """What poles at negative frequencies add to the direct path [f, out, in], with the form's D or another; 0
        without them."""
        if self.mirror is None:
            return 0.0
        A, own, K = (from_pairs(part) for part in (self.A, self.D, self.K))
        a = _resolvent(A, -x - self.mirror) @ K.T
        return ((own if D is None else D) @ a).conj() * self._turn()

    def image_slopes(self, x: Host) -> list[Host]:
        """The derivatives [p, f, out, in] of `image` in A, D, K (of a symmetric form, A and D) and delay."""
        if self.mirror is None:
            return []
        resonant = self.resonant()
        slopes = resonant.linearised(-x - self.mirror).ds.conj() * self._turn()
        sizes = [len(next(part for part in block if part is not None)) for block in resonant.directions(x)]
        parts = np.split(slopes, np.cumsum(sizes)[:-1])
        if self.delay is not None:
            ports = np.eye(len(self.delay))
            between = ports[:, None, :, None] + ports[:, None, None, :]
            parts.append(-1j * self.mirror * between * self.image(x))
        return parts

    def _turn(self) -> Host:
        """The phase [out, in] by which planes away from the device turn residues, twice; 1 without delays."""
        if self.mirror is None or self.delay is None:
            return 1.0
        return self._phase(np.full(1, self.mirror))[0]

    def unfolded(self) -> Form:
        """The same response with the poles at negative frequencies as modes like others."""
        if self.mirror is None:
            return self
        A, D, K = (from_pairs(part) for part in (self.A, self.D, self.K))
        turn = 1.0 if self.delay is None else np.exp(-1j * self.mirror * self.delay)[:, None]
        none = np.zeros_like(A)
        mirrored = A.conj() - 1j * self.mirror * np.eye(len(A))
        parts = {
            "A": np.block([[A, none], [none, mirrored]]),
            "D": np.concatenate([D, turn * D.conj()], axis=1),
            "K": np.concatenate([K, turn * K.conj()], axis=1),
        }
        return dataclasses.replace(self, mirror=None, **{name: to_pairs(part) for name, part in parts.items()})

    def part(self, kept: Host) -> Form:
        """The same without some of its modes: `kept` [N], in the order of rising frequency."""
        A, _, D, K = self.modal(np.zeros(1))
        poles: Host
        poles, right = np.linalg.eig(A)
        if self.symmetric:
            right = right / np.sqrt(np.sum(right**2, axis=0))  # then the inverse is the transpose
        chosen = np.argsort(poles.imag)[kept]
        parts = np.diag(poles[chosen]), D @ right[:, chosen], (np.linalg.inv(right)[chosen] @ K.T).T
        A, D, K = map(to_pairs, parts)
        return dataclasses.replace(self, A=A, D=D, K=K)

    def modal(self, x: Host) -> Modal:
        coefficients = from_pairs(self.background)
        C = np.tensordot(x[:, None] ** np.arange(len(coefficients)), coefficients, 1) + self.image(x)
        return Modal(from_pairs(self.A), C, from_pairs(self.D), from_pairs(self.K))

    def directions(self, x: Host) -> list[Modal]:
        ports, modes = np.shape(self.D)[:2]
        between, coupled = _units(modes, modes, self.symmetric), _units(ports, modes)
        path = _units(ports, ports, self.symmetric)[:, None]
        powers = [path * (x**k)[:, None, None] for k in range(len(self.background))]
        apart = [Modal(None, None, coupled, None), Modal(None, None, None, coupled)]
        coupling = [Modal(None, None, coupled, coupled)] if self.symmetric else apart
        direct = [Modal(None, C, None, None) for C in powers]
        resonant = [Modal(between, None, None, None), *coupling]
        if self.mirror is None:
            return [*resonant, *direct]
        slopes = self.image_slopes(x)
        resonant = [block._replace(C=C) for block, C in zip(resonant, slopes)]  # noqa: B905, the rest are of delays
        return [*resonant, *direct, *(Modal(None, C, None, None) for C in slopes[len(resonant) :])]


def started(poles: Host, residues: Host, background: Host, ranks: Host, delay: Host, *, symmetric: bool) -> Form:
    """The form of poles [n], residues [n, out, in] and a background; pole n stands for `ranks[n]` modes, the
    largest singular pairs of its residue, of a symmetric one those of R = UΣUᵀ."""
    u, s, vh = _symmetric_svd(residues) if symmetric else np.linalg.svd(residues)
    n = np.repeat(np.arange(len(poles)), ranks)
    k = np.concatenate([np.arange(0), *(np.arange(rank) for rank in ranks)])
    D = (u[n, :, k] * np.sqrt(s[n, k])[:, None]).T
    K = (vh[n, k, :] * np.sqrt(s[n, k])[:, None]).T
    A = np.diag(poles[n])
    parts = {name: to_pairs(part) for name, part in {"A": A, "D": D, "K": K, "background": background}.items()}
    return Form(**parts, delay=delay, symmetric=symmetric)


def realised(form: Form, basis: Host = None) -> Realisation:
    """The passive device at band centre, whose direct path is that at band centre everywhere. Its state space is that
    of the form's modes, or of the columns of `basis`, near to them, in which devices may be compared."""
    A, C, D, K = form.modal(np.zeros(1))
    right = np.linalg.eig(A)[1] if basis is None else basis
    return passive_realisation(np.linalg.solve(right, A @ right), np.linalg.solve(right, K.T), D @ right, C[0])


def from_pairs(pairs: Host) -> Host:
    """Complex numbers from their (Re, Im) along the last axis."""
    pairs = np.asarray(pairs)
    return pairs[..., 0] + 1j * pairs[..., 1]


def to_pairs(values: Host) -> Host:
    """(Re, Im) of numbers, along a new last axis."""
    return np.stack([np.real(values), np.imag(values)], axis=-1)


def both_parts(change: Host) -> Host:
    """What changes [p, ...] of the real and of the imaginary parts of numbers do [2p, ...], of those of the former."""
    return np.stack([change, 1j * change], axis=1).reshape(2 * len(change), *change.shape[1:])


def _each_times_all(units: Host, of_x: Host) -> Host:
    """units [p, o, n] times matrices [f, n, i]: [p, f, o, i], as one product."""
    return np.tensordot(units, of_x, (2, 1)).swapaxes(1, 2)


def _resolvent(A: Host, x: Host) -> Host:
    return np.linalg.inv(1j * x[:, None, None] * np.eye(len(A)) - A)


def _units(rows: int, columns: int, symmetric: bool = False) -> Host:
    """The matrices [p, rows, columns] by whose real multiples a complex matrix, or a symmetric one, can change."""
    i, j = np.triu_indices(rows) if symmetric else np.indices((rows, columns)).reshape(2, -1)
    units = np.zeros((len(i), rows, columns))
    units[np.arange(len(i)), i, j] = 1
    if symmetric:
        units[np.arange(len(i)), j, i] = 1
    return np.stack([units + 0j, 1j * units], axis=1).reshape(2 * len(i), rows, columns)


def _symmetric_svd(matrices: Host) -> tuple[Host, Host, Host]:
    """U, Σ and Uᵀ of complex symmetric matrices [n, m, m] (Takagi): R conj(u) = σu is a real eigenvalue problem of the
    real and imaginary parts of u, whose eigenvalues are ±σ; equal ones do no harm."""
    real, imaginary = matrices.real, matrices.imag
    values, vectors = np.linalg.eigh(np.block([[real, imaginary], [imaginary, -real]]))
    size = matrices.shape[1]
    u = (vectors[:, :size] + 1j * vectors[:, size:])[:, :, : size - 1 : -1]
    return u, np.maximum(values[:, : size - 1 : -1], 0.0), u.swapaxes(1, 2)
