"""The response of two coupled resonators, each behind a port of its own, as a chart of `Form`: host side, in numpy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimize.mode_fit.form import Form, Linear, from_pairs, to_pairs

Host = Any  # numpy arrays, of which its type stubs know too little
OWN = np.arange(2)  # resonator j is behind port j
APART = np.array([0, 1]), np.array([1, 0])  # the places of κ12 and κ21


@dataclass(frozen=True)
class ResonatorForm:
    """A `Form` in the basis in which each resonator meets its own port alone:

        A = [[iω₁ − Γ₁, iκ₁₂], [iκ₂₁, iω₂ − Γ₂]],      D = K = diag d,      d_j² = −2γ_j C_jj(ω_j) e^{iψ_j}

    which has 4 real numbers less than two modes of a two-port have. D = K is a gauge: for each resonator the ratio
    of d and k, a complex number, is without effect on S but for κ12/κ21, which is taken so. γ_j is measured against
    what the port reflects at ω_j, so that the loss of the line in front of it does not count; ψ_j is how far the
    resonance's circle stands askew, 0 of a port that nothing is in front of.

    **Fields:** `omega`, `decay`, `gamma`, `skew` [2]: ω, Γ, γ and ψ; `kappa` [2, 2]: (Re, Im) of κ12 and κ21;
    `background`, `delay`, `mirror`: as of `Form`; `turn` [2]: near which −C_jj(ω_j) has its argument, so that d stays
    smooth; `framed`: whether the delay is a frame that stays as it is. Beside a background that varies a delay is
    hardly identified: to be wrong in it by half a turn over the band costs little χ² and moves all else by far more
    than errors of first order can tell.
    """

    omega: Host
    decay: Host
    gamma: Host
    skew: Host
    kappa: Host
    background: Host
    delay: Host
    turn: Host
    framed: bool = False
    mirror: float | None = None

    @classmethod
    def of(cls, form: Form, measured: Host) -> ResonatorForm:
        """The one next to the response of two modes of a two-port, of which the entries `measured` [2, 2] count.

        Of S_jj the zeros of the resonant part are the other resonator's ω and Γ, of S_21 it has no zeros at all.
        """
        modal = form.modal(np.zeros(1))
        poles, right = np.linalg.eig(modal.A)
        residues = np.einsum("on,ni->noi", modal.D @ right, np.linalg.solve(right, modal.K.T))
        n = np.sum(residues, axis=0)[OWN, OWN]
        zero = (np.einsum("n,njj->j", poles[::-1], residues)) / n
        a = zero[::-1]
        # κ12κ21 = −(iκ12)(iκ21) = p₁p₂ − a₁a₂, and S_21 is iκ21 d₁d₂/((iω − p₁)(iω − p₂)).
        product = np.prod(poles) - np.prod(a)
        across = (poles[0] - poles[1]) * (residues[0] - residues[1])[APART] / 2
        background = from_pairs(form.background)
        c = _reflected(background, a.imag)[0]
        gamma, skew, turn = np.abs(n / c) / 2, np.angle(-n / c), np.angle(-c)
        d = np.prod(np.sqrt(2 * gamma * np.abs(c)) * np.exp(0.5j * (turn + skew)))
        kappa, known = across / (1j * d), np.asarray(measured)[APART]
        if not known.any():
            kappa = np.full(2, np.sqrt(product + 0j))
        elif not known.all():
            kappa[~known] = product / kappa[known]
        rates = a.imag, -a.real, gamma, skew, to_pairs(kappa)
        return cls(*rates, form.background, form.delay, turn, mirror=form.mirror)

    def signed(self) -> ResonatorForm:
        """The same response with the larger κ in the right half of the plane: −κ for both is as good, with −d₁."""
        larger = self.kappa[np.argmax(np.sum(self.kappa**2, axis=1))]
        if larger[0] > 0 or (larger[0] == 0 and larger[1] >= 0):
            return self
        return dataclasses.replace(self, kappa=-self.kappa, skew=self.skew + np.array([2 * np.pi, 0.0]))

    def straight(self) -> ResonatorForm:
        """The same with a background that is what it is at the band's centre, everywhere."""
        return dataclasses.replace(self, background=self.background[:1])

    def curved(self, order: int) -> ResonatorForm:
        """The same response with a background of a higher order, in the frame of its delay."""
        background = np.zeros((order + 1, *self.background.shape[1:]))
        background[: len(self.background)] = self.background
        return dataclasses.replace(self, background=background, framed=True)

    def form(self) -> Form:
        """The same response, as any other."""
        A = np.diag(1j * self.omega - self.decay)
        A[APART] = 1j * from_pairs(self.kappa)
        D = to_pairs(np.diag(self._d()))
        return Form(A=to_pairs(A), D=D, K=D, background=self.background, delay=self.delay, mirror=self.mirror)

    def response(self, x: Host) -> tuple[Host, Host]:
        """S [f, out, in] and the amplitudes [f, mode, in] in the gauge D = K."""
        return self.form().response(x)

    def modal(self, x: Host) -> Any:
        """As of `Form`."""
        return self.form().modal(x)

    def linearised(self, x: Host, *, energy: bool = False) -> Linear:
        """S with its derivatives in all of `vector`."""
        linear = self.form().linearised(x, energy=False)
        return linear._replace(ds=np.tensordot(self._slopes(), linear.ds, 1))

    def vector(self) -> Host:
        """Every parameter, field by field."""
        return np.concatenate([np.ravel(part) for _, part in self._parts()])

    def at(self, vector: Host) -> ResonatorForm:
        """The response with these parameters, in the order of `vector`."""
        parts = self._parts()
        ends = np.cumsum([np.size(part) for _, part in parts])[:-1]
        pieces = np.split(np.asarray(vector), ends)
        new: dict[str, Any] = {name: piece.reshape(np.shape(part)) for (name, part), piece in zip(parts, pieces)}  # noqa: B905
        return dataclasses.replace(self, **new)

    def _parts(self) -> list[tuple[str, Host]]:
        names = ("omega", "decay", "gamma", "skew", "kappa", "background", *(() if self.framed else ("delay",)))
        return [(name, getattr(self, name)) for name in names if getattr(self, name) is not None]

    def _d(self) -> Host:
        c = _reflected(from_pairs(self.background), self.omega)[0]
        # The argument of −c on the branch next to where it was: √ has a cut, which no step shall cross.
        argument = self.turn + np.angle(-c * np.exp(-1j * self.turn))
        return np.sqrt(2 * self.gamma * np.abs(c) + 0j) * np.exp(0.5j * (argument + self.skew))

    def _slopes(self) -> Host:
        """The derivatives [p, p of the form] of the form's parameters in these."""
        background = from_pairs(self.background)
        c, slope = _reflected(background, self.omega)
        d, powers = self._d(), np.asarray(self.omega) ** np.arange(len(background))[:, None]
        rows = []

        def row(A: Any = None, dd: Any = None, path: Any = None) -> None:
            """A parameter's effect on A, on d and on the background."""
            none = np.zeros((2, 2), complex)
            D = to_pairs(none if dd is None else np.diag(dd))
            parts = [to_pairs(none if A is None else A), D, D]
            parts.append(to_pairs(np.zeros_like(background) if path is None else path))
            rows.append(np.concatenate([np.ravel(part) for part in parts]))

        for j in OWN:
            unit = np.eye(2)[j]
            row(A=1j * np.diag(unit), dd=unit * d * slope / (2 * c))
        for j in OWN:
            row(A=-np.diag(np.eye(2)[j]) + 0j)
        for j in OWN:
            row(dd=np.eye(2)[j] * d / (2 * self.gamma))
        for j in OWN:
            row(dd=np.eye(2)[j] * 0.5j * d)
        for j in OWN:
            for change in (1.0, 1j):
                A = np.zeros((2, 2), complex)
                A[j, 1 - j] = 1j * change
                row(A=A)
        for k, out, into in np.ndindex(background.shape):
            for change in (1.0 + 0j, 1j):
                path = np.zeros_like(background)
                path[k, out, into] = change
                row(dd=np.eye(2)[out] * d * change * powers[k] / (2 * c) if out == into else None, path=path)
        slopes = np.stack(rows)
        if self.delay is None:
            return slopes
        slopes = np.pad(slopes, ((0, 0 if self.framed else 2), (0, 2)))
        if not self.framed:
            slopes[-2:, -2:] = np.eye(2)
        return slopes


def _reflected(background: Host, x: Host) -> tuple[Host, Host]:
    """C_jj(x_j) of each port at its own resonance, and dC_jj/dx there."""
    k, own = np.arange(len(background))[:, None], background[:, OWN, OWN]
    lower = np.where(k > 0, x ** np.maximum(k - 1, 0), 0.0)
    return np.sum(own * x**k, axis=0), np.sum(own * k * lower, axis=0)
