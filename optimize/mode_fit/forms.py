"""The two forms of a resonant response that `fit_modes` fits, and their derivatives, on the host in numpy.

Both are coupled modes at every frequency,

    S(x) = P(x) [C(x) + D (ix − A)⁻¹ K(x)ᵀ] P(x),      P = diag e^{−ixτ}

x is frequency from the band's centre in units of half the band; a trailing axis of 2 holds (Re, Im).
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from optimize.mode_fit.realisation import Realisation, passive_realisation

Host = Any  # numpy arrays, of which its type stubs know too little


class Modal(NamedTuple):
    """a' = A a + Kᵀ s₊, s₋ = C s₊ + D a at frequencies x: `A` [N, N], `C` [f, M, M], `D` [M, N], `K` [f, M, N]. As the
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


class AbstractForm(abc.ABC):
    """A response by real arrays, free of bounds; `delay` [M], or None without."""

    delay: Host

    @abc.abstractmethod
    def modal(self, x: Host) -> Modal:
        """The modal matrices at the frequencies x [f]."""

    @abc.abstractmethod
    def directions(self, x: Host) -> list[Modal]:
        """Their derivatives in the real parameters, in the order of `vector`: blocks of parameters."""

    def response(self, x: Host) -> tuple[Host, Host]:
        """S [f, out, in], and the amplitudes a [f, mode, in] for unit power at each port alone."""
        x = np.asarray(x)
        modal = self.modal(x)
        a = _resolvent(modal.A, x) @ _transposed(modal.K)
        return (modal.C + modal.D @ a) * self._phase(x), a

    def linearised(self, x: Host, *, energy: bool = False) -> Linear:
        """S and a with their derivatives in all of `vector`."""
        modal = self.modal(x)
        inverse = _resolvent(modal.A, x)
        a, y = inverse @ _transposed(modal.K), modal.D @ inverse
        s, phase = modal.C + modal.D @ a, self._phase(x)
        rows, inner = [], []
        for block in self.directions(x):
            ds: Host = 0.0
            da: Host = 0.0
            if block.A is not None:
                ds = np.einsum("pmn,fom,fni->pfoi", block.A, y, a, optimize=True)
                da = np.einsum("pmn,fkm,fni->pfki", block.A, inverse, a, optimize=True) if energy else 0.0
            if block.C is not None:
                ds = ds + block.C
            if block.D is not None:
                ds = ds + np.einsum("pon,fni->pfoi", block.D, a, optimize=True)
            if block.K is not None:
                ds = ds + y @ _transposed(block.K)
                da = da + inverse @ _transposed(block.K) if energy else 0.0
            rows.append(ds * phase)
            inner.append(np.broadcast_to(da, (*ds.shape[:2], *a.shape[1:])) if energy else None)
        s = s * phase
        if self.delay is not None:
            ports = np.eye(s.shape[1])
            rows.append(-1j * x[:, None, None] * (ports[:, None, :, None] + ports[:, None, None, :]) * s)
            inner.append(np.zeros((len(ports), *a.shape), complex))
        return Linear(s, a, np.concatenate(rows), np.concatenate(inner) if energy else None)

    def vector(self, *without: str) -> Host:
        """Every parameter, field by field, but those of the fields named."""
        return np.concatenate([np.ravel(part) for _, part in self._fields(without)])

    def at(self, vector: Host, *without: str) -> Any:
        """The response with these parameters, in the order of `vector`."""
        position, new = 0, {}
        for name, part in self._fields(without):
            size = np.size(part)
            new[name] = np.reshape(vector[position : position + size], np.shape(part))
            position += size
        return dataclasses.replace(self, **new)  # pyright: ignore[reportArgumentType]

    def _fields(self, without: tuple[str, ...]) -> list[tuple[str, Host]]:
        names = [field.name for field in dataclasses.fields(self) if field.name not in without]  # pyright: ignore[reportArgumentType]
        return [(name, getattr(self, name)) for name in names if getattr(self, name) is not None]

    def _phase(self, x: Host) -> Host:
        if self.delay is None:
            return 1.0
        delay = np.asarray(self.delay)
        return np.exp(-1j * x[:, None, None] * (delay[:, None] + delay))


@dataclasses.dataclass(frozen=True)
class PassiveForm(AbstractForm):
    """A response that is passive whatever its parameters are, and reaches every passive one:

        A = iΩ − ½D_f†D_f,   C and D the top M rows of V(x) and D_f,   K(x) = −(D_f†V(x))ᵀ,   V†V = 1

    The rows of D_f and V below the first M are hidden ports; V(x) is the isometry made of a polynomial W(x), the smooth
    background.

    **Fields:** `omega` [N, N], Ω with Re Ω in its upper and Im Ω in its lower triangle; `D` [M + q, N, 2]; `direct`
    [M + q, M, 2], the generator W of V at band centre; `background` [order, M, M, 2], the coefficients of x, x², … in
    its visible rows (in the hidden ones they would hardly show in S, and spoil every error); `delay` [M] or None.

    Source: paper 3, equations 1–5 and section 5; the bounded-real lemma says that q = M hidden ports suffice for S, and
    q = M + N for S and stored energy.
    """

    omega: Host
    D: Host
    direct: Host
    background: Host
    delay: Host

    @property
    def hermitian(self) -> Host:
        """Ω."""
        packed = np.asarray(self.omega)
        upper, lower = np.triu(packed), np.tril(packed, -1)
        return upper + np.triu(packed, 1).T + 1j * (lower - lower.T)

    def modal(self, x: Host) -> Modal:
        D, V = from_pairs(self.D), self.isometry(x)[0]
        ports = V.shape[-1]
        A = 1j * self.hermitian - D.conj().T @ D / 2
        return Modal(A, V[:, :ports], D[:ports], -_transposed(D.conj().T @ V))

    def isometry(self, x: Host) -> tuple[Host, Host]:
        """V [f, M + q, M], and the R of W = V R that Gram–Schmidt leaves, with a positive diagonal."""
        W = np.broadcast_to(from_pairs(self.direct), (len(x), *np.shape(self.direct)[:2])).copy()
        ports = W.shape[-1]
        for power, coefficients in enumerate(from_pairs(self.background), 1):
            W[:, :ports] += (x**power)[:, None, None] * coefficients
        V, R = np.linalg.qr(W)
        sign = np.einsum("fii->fi", R)
        sign = sign / np.abs(sign)
        return V * sign[:, None, :], R * sign.conj()[:, :, None]

    def directions(self, x: Host) -> list[Modal]:
        D, (V, R) = from_pairs(self.D), self.isometry(x)
        (wires, modes), ports = D.shape, V.shape[-1]
        one = np.eye(modes)
        units = np.einsum("im,jn->ijmn", one, one)
        i, j = np.indices((modes, modes))
        swapped = units.swapaxes(-1, -2)
        # dΩ of the packed entry (i, j): its real part above the diagonal, its imaginary part below.
        changes = np.where((i < j)[..., None, None], units + swapped, units) + 0j
        changes = np.where((i > j)[..., None, None], 1j * (units - swapped), changes)
        frequencies = Modal(1j * changes.reshape(-1, modes, modes), None, None, None)

        change = _both(np.einsum("ow,jn->wjon", np.eye(wires), one)).reshape(-1, wires, modes)
        back = change.conj().swapaxes(-1, -2)
        loss = -(back @ D + D.conj().T @ change) / 2
        wired = Modal(loss, None, change[:, :ports], -_transposed(back[:, None] @ V))

        # W = V R gives dV = (dW R⁻¹ − V Y) + V Ω with Y = V†dW R⁻¹, and R + dR upper triangular: Ω is skew, and its
        # lower triangle that of Y. Every dW is 1 or i at (w, j), so that dW R⁻¹ has one row, R⁻¹'s row j.
        rho = np.linalg.inv(R)
        step = np.zeros((wires, ports, len(x), wires, ports), complex)
        for w in range(wires):
            step[w, :, :, w] = rho.swapaxes(0, 1)
        step = _both(step)
        y = V.conj().swapaxes(-1, -2) @ step
        lower = np.tril(y, -1)
        diagonal = np.einsum("...ii->...i", y).real
        y = np.triu(y, 1) + lower.conj().swapaxes(-1, -2)
        np.einsum("...ii->...i", y)[...] = diagonal
        turned = step - V @ y
        powers = [x[:, None, None] ** k for k in range(1, len(self.background) + 1)]
        shape = (-1, *turned.shape[3:])
        blocks = [turned.reshape(shape), *((turned[:ports] * power).reshape(shape) for power in powers)]
        direct = [Modal(None, dV[:, :, :ports], None, -_transposed(D.conj().T @ dV)) for dV in blocks]
        return [frequencies, wired, *direct]


@dataclasses.dataclass(frozen=True)
class ActiveForm(AbstractForm):
    """A state space with a polynomial direct path, without any bound, for devices with gain:

        C(x) = Σ_k C_k x^k,      A, D and K any

    **Fields:** `A` [N, N, 2]; `D`, `K` [M, N, 2]; `background` [order + 1, M, M, 2]; `delay` [M] or None. It is the
    same response for A → T⁻¹AT, D → DT, Kᵀ → T⁻¹Kᵀ; A is kept whole, since a basis of modes turns singular where two
    of them become one.
    """

    A: Host
    D: Host
    K: Host
    background: Host
    delay: Host

    def resonant(self) -> ActiveForm:
        """D (ix − A)⁻¹ Kᵀ alone, at the planes of the device."""
        return ActiveForm(A=self.A, D=self.D, K=self.K, background=np.asarray(self.background)[:0], delay=None)

    def modal(self, x: Host) -> Modal:
        coefficients = from_pairs(self.background)
        C = np.tensordot(x[:, None] ** np.arange(len(coefficients)), coefficients, 1)
        K = from_pairs(self.K)
        return Modal(from_pairs(self.A), C, from_pairs(self.D), np.broadcast_to(K, (len(x), *K.shape)))

    def directions(self, x: Host) -> list[Modal]:
        ports, modes = np.shape(self.D)[:2]
        one, port = np.eye(modes), np.eye(ports)
        between = _both(np.einsum("im,jn->ijmn", one, one)).reshape(-1, modes, modes)
        coupled = _both(np.einsum("po,jn->pjon", port, one)).reshape(-1, ports, modes)
        path = _both(np.einsum("po,qi->pqoi", port, port)).reshape(-1, 1, ports, ports)
        powers = [path * (x**k)[:, None, None] for k in range(len(self.background))]
        return [
            Modal(between, None, None, None),
            Modal(None, None, coupled, None),
            Modal(None, None, None, coupled[:, None]),
            *(Modal(None, C, None, None) for C in powers),
        ]


Form = PassiveForm | ActiveForm


def active_start(poles: Host, residues: Host, background: Host, ranks: Host, delay: Host) -> ActiveForm:
    """`ActiveForm` of poles [n], residues [n, out, in] and a background; pole n stands for `ranks[n]` modes, the
    largest singular pairs of its residue."""
    u, s, vh = np.linalg.svd(residues)
    pairs = [(n, k) for n, rank in enumerate(ranks) for k in range(rank)]
    D = np.stack([u[n, :, k] * np.sqrt(s[n, k]) for n, k in pairs], axis=1)
    K = np.stack([vh[n, k, :] * np.sqrt(s[n, k]) for n, k in pairs], axis=1)
    A = np.diag([poles[n] for n, _ in pairs])
    parts = {name: to_pairs(part) for name, part in {"A": A, "D": D, "K": K, "background": background}.items()}
    return ActiveForm(**parts, delay=delay)


def realised(active: ActiveForm) -> Realisation:
    """The passive device at band centre, whose direct path is that at band centre everywhere."""
    A, C, D, K = active.modal(np.zeros(1))
    poles, right = np.linalg.eig(A)
    return passive_realisation(np.diag(poles), np.linalg.solve(right, K[0].T), D @ right, C[0])


def passive_start(active: ActiveForm, device: Realisation, hidden: int) -> PassiveForm:
    """`PassiveForm` of the same response, as far as that is passive, with `hidden` ≥ M hidden ports."""
    omega, D, V, _ = device
    ports = V.shape[1]
    missing = hidden - (len(V) - ports)
    # An empty hidden row has no first-order effect, so that no gradient would ever fill it: start it small instead.
    rng = np.random.default_rng(0)
    small = 0.05 * np.sqrt(np.mean(np.abs(D) ** 2))
    extra = small * (rng.normal(size=(missing, D.shape[1])) + 1j * rng.normal(size=(missing, D.shape[1])))
    return PassiveForm(
        omega=np.triu(omega.real) + np.tril(omega.imag, -1),
        D=to_pairs(np.concatenate([D, extra])),
        direct=to_pairs(np.concatenate([V, np.zeros((missing, ports))])),
        background=np.asarray(active.background)[1:],
        delay=active.delay,
    )


def from_pairs(pairs: Host) -> Host:
    """Complex numbers from their (Re, Im) along the last axis."""
    pairs = np.asarray(pairs)
    return pairs[..., 0] + 1j * pairs[..., 1]


def to_pairs(values: Host) -> Host:
    """(Re, Im) of numbers, along a new last axis."""
    return np.stack([np.real(values), np.imag(values)], axis=-1)


def _resolvent(A: Host, x: Host) -> Host:
    return np.linalg.inv(1j * x[:, None, None] * np.eye(len(A)) - A)


def _transposed(matrices: Host) -> Host:
    return matrices.swapaxes(-1, -2)


def _both(units: Host) -> Host:
    """Changes of a complex number by 1 and by i, for changes by 1 [i, j, ...] → [i, j, 2, ...]."""
    return np.stack([units + 0j, 1j * units], axis=2)
