"""Data as a fit sees them, start values from them alone, and the least-squares response from there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from diffnr.results import succeeded
from optimize.mode_fit.delays import port_delays
from optimize.mode_fit.descent import DescentEnd, descend
from optimize.mode_fit.form import Form, from_pairs, started, to_pairs
from optimize.mode_fit.passivity import ALLOWED, excess, excess_slopes, largest_gain
from optimize.mode_fit.vector_fitting import PoleResidue, Weights, vector_fit

Host = Any
FormLike = Any  # a Form, or a chart of some, that gives `response`, `linearised`, `vector` and `at`
SHORT = 10  # steps by which starts are compared, and after which σ is looked at again
ROUGH = 0.1  # of standard errors: the tolerance meanwhile
CREEPING = 1e-2  # of standard errors: on the bound, which is no smooth function, the last steps are many and small
STARTS, WORSE = 3, 3.0  # starts that are tried: how many, and how much worse by −2 log likelihood a number and entry
DESCRIBED = 1.1  # of the noise, rms over entries: a start with no more misfit is good enough to be the only one
RESTARTS, ASTRAY = 6, 0.7  # starts with other delays, and by how much, in rad over half the band
MISSED = 1.5  # of the noise: a misfit beyond it
ROUNDS = 20  # of fits, each with the σ of the one before
SETTLED = 1e-2  # of σ, by which it may change still: a tenth of what a hundred numbers tell it by


class Problem(NamedTuple):
    """Data over the scaled frequency x, entry by entry of those that were measured.

    **Fields:** `x` [f]; `s` [f, entry]; `out`, `into` [entry], which entries of S they are; `sigma` [f, entry], the
    standard deviation of real and imaginary parts that they are weighted by; `weights`, what it may be where it is not
    known; `noise` [entry], NaN where it is not known; `energy`, `sigma_energy` [f, in] or None; `bounded`,
    frequencies [g] at which singular values above 1 count, by `stiffness` times their excess; `symmetric`, whether the
    response is to be, and entries stand for those beyond the diagonal too.
    """

    x: Host
    s: Host
    out: Host
    into: Host
    sigma: Host
    weights: Weights
    noise: Host
    known: bool
    energy: Host = None
    sigma_energy: Host = None
    bounded: Host = None
    stiffness: float = 0.0
    symmetric: bool = False

    def residual(self, response: FormLike) -> Host:
        """(S_fit − S)/σ and what the energies miss, as real numbers [n]."""
        s, a = response.response(self.x)
        r = self._together((self.of(s) - self.s) / self.sigma, a)
        return r if self.bounded is None else np.concatenate([r, self.stiffness * excess(response, self.bounded)])

    def linearised(self, response: FormLike) -> tuple[Host, Host]:
        """The residual [n] and its derivatives [p, n]."""
        s, a, ds, da = response.linearised(self.x, energy=self.energy is not None)
        r = self._together((self.of(s) - self.s) / self.sigma, a)
        J = self._rows(self.of(ds) / self.sigma, a, da)
        if self.bounded is None:
            return r, J
        above, rows = excess(response, self.bounded), excess_slopes(response, self.bounded)
        return np.concatenate([r, self.stiffness * above]), np.concatenate([J, self.stiffness * rows], axis=1)

    def _rows(self, missed: Host, a: Host, da: Host) -> Host:
        numbers = np.ascontiguousarray(missed).view(float).reshape(len(missed), 2 * math.prod(missed.shape[1:]))
        if self.energy is None:
            return numbers
        rows = 2 * np.sum((a.conj() * da).real, axis=2) / self.sigma_energy
        return np.concatenate([numbers, rows.reshape(len(rows), -1)], axis=1)

    def _together(self, missed: Host, a: Host) -> Host:
        numbers = np.ascontiguousarray(missed).view(float).ravel()
        if self.energy is None:
            return numbers
        return np.concatenate([numbers, ((np.sum(np.abs(a) ** 2, axis=1) - self.energy) / self.sigma_energy).ravel()])

    def missed(self, response: FormLike) -> Host:
        """S_fit − S [f, entry]."""
        return self.of(response.response(self.x)[0]) - self.s

    def misfit(self, response: FormLike) -> Host:
        """The rms misfit of real and imaginary parts [entry]."""
        return np.sqrt(np.mean(np.abs(self.missed(response)) ** 2, axis=0) / 2)

    def deviance(self, response: FormLike) -> float:
        """−2 log likelihood, but for a constant, at the most likely σ where it is not known."""
        if self.known:
            return float(np.sum(np.abs(self.missed(response) / self.sigma) ** 2))
        return 2 * len(self.x) * self.weights.cost(self.misfit(response))

    def reweighed(self, response: FormLike) -> Problem:
        """The problem with σ as the misfit has it, where it is not known."""
        changed = self
        if not self.known:
            sigma = self.weights.sigma(self.misfit(response))
            changed = changed._replace(sigma=np.broadcast_to(sigma, self.s.shape))
        return changed

    def solved(self, form: FormLike, max_steps: int, tolerance: float = 1e-3) -> tuple[Any, DescentEnd]:
        """The least squares from a start."""
        projected = Projected.of(self, form) if self.bounded is None and isinstance(form, Form) else None
        kind = self if projected is None else projected
        end = descend(
            form,
            kind.residual,
            kind.linearised,
            kind.move,
            max_steps=max_steps,
            tolerance=tolerance,
            size=float(np.linalg.norm(self.s / self.sigma)),
        )
        return (end.point if projected is None else projected.whole(end.point)), end

    def of(self, whole: Host) -> Host:
        """The entries [..., entry] of [..., out, in]."""
        ports = whole.shape[-1]
        flat = whole.reshape(*whole.shape[:-2], ports**2)
        return flat if len(self.out) == ports**2 else flat[..., ports * self.out + self.into]

    def fill(self, whole: Host, entries: Host) -> None:
        """Put the values [..., entry] of entries where they belong in [..., out, in]."""
        whole[..., self.out, self.into] = entries
        if self.symmetric:
            whole[..., self.into, self.out] = entries

    def move(self, form: FormLike, change: Host) -> Any:
        """The response with its parameters changed."""
        return form.at(form.vector() + change)


class Projected(NamedTuple):
    """The problem of a form whose background is eliminated: it is linear, so that for every A, D, K and
    delay the best one is known, and a delay that a curved background could stand for is no long valley.

    **Fields:** `basis` [entry, f, order + 1], orthonormal, of x^k/σ; [1, f, order + 1] where it is that of all.

    Source: G. Golub and V. Pereyra 1973; L. Kaufman 1975, whose derivative this is.
    """

    problem: Problem
    basis: Host

    @classmethod
    def of(cls, problem: Problem, response: Form) -> Projected:
        powers = problem.x[:, None] ** np.arange(len(response.background))
        alike = bool(np.all(problem.sigma == problem.sigma[0]))
        return cls(problem, np.linalg.qr(powers[None] if alike else powers / problem.sigma.T[:, :, None])[0])

    def residual(self, response: Form) -> Host:
        missed, a, _ = self._missed(response)
        return self.problem._together(self.beyond(missed), a)

    def linearised(self, response: Form) -> tuple[Host, Host]:
        x, out, into = self.problem.x, self.problem.out, self.problem.into
        missed, a, turned = self._missed(response)
        _, _, ds, da = response.resonant().linearised(x, energy=self.problem.energy is not None)
        if response.mirror is not None:
            ds = ds + np.concatenate(response.image_slopes(x))[: len(ds)]
        rows = self.problem.of(ds) / self.problem.sigma
        if response.delay is not None:
            # D and K follow, so that the resonant part stays what it is: e^{−ixδ} d (ix − A)⁻¹ is d e^{−Aδ} (ix − A)⁻¹
            # but for a smooth part. What a delay then changes is next to nothing where there is a background.
            ports, A = np.eye(len(response.delay)), from_pairs(response.A)
            D = from_pairs(response.D) @ A
            followed = D @ a
            if response.mirror is not None:
                followed = followed + response.image(x, D) - 1j * response.mirror * response.image(x)
            change = self.problem.of(followed) - 1j * x[:, None] * turned
            shift = (ports[:, None, out] + ports[:, None, into]) * change / self.problem.sigma
            rows = np.concatenate([rows, shift])
            if da is not None:
                da = np.concatenate([da, (A @ a)[None] * ports[:, None, None, :]])
        return self.problem._together(self.beyond(missed), a), self.problem._rows(self.beyond(rows), a, da)

    def move(self, response: Form, change: Host) -> Form:
        moved = response.at(response.vector("background") + change, "background")
        if response.delay is None:
            return moved
        steps = np.asarray(moved.delay) - np.asarray(response.delay)
        # Exponentials as their Padé approximants: exact enough for short steps, and any rule serves long ones.
        change = from_pairs(moved.A) * steps[:, None, None]
        even, odd = np.eye(len(moved.A)) + change @ change / 12, change / 2
        factors = np.linalg.solve(even - odd, even + odd)
        D = np.einsum("om,omn->on", from_pairs(moved.D), factors)
        K = np.einsum("imn,in->im", factors, from_pairs(moved.K))
        return replace(moved, D=to_pairs(D), K=to_pairs(K))

    def whole(self, response: Form) -> Form:
        """The response with the background that is best for it."""
        order = len(response.background)
        missed = self._missed(response)[0]
        powers = self.problem.x[:, None] ** np.arange(order)
        system = powers / self.problem.sigma.T[:, :, None]
        coefficients = np.linalg.pinv(system) @ -missed.T[:, :, None]
        background = np.zeros((order, *np.shape(response.background)[1:3]), complex)
        self.problem.fill(background, coefficients[:, :, 0].T)
        return replace(response, background=to_pairs(background))

    def _missed(self, response: Form) -> tuple[Host, Host, Host]:
        """(D (ix − A)⁻¹ Kᵀ and its image − P⁻¹SP⁻¹)/σ, the amplitudes, and P⁻¹SP⁻¹."""
        problem = self.problem
        s, a = response.resonant().response(problem.x)
        s = s + response.image(problem.x)
        turned = problem.s
        if response.delay is not None:
            delay = np.asarray(response.delay)
            turned = turned * np.exp(1j * problem.x[:, None] * (delay[problem.out] + delay[problem.into]))
        return (problem.of(s) - turned) / problem.sigma, a, turned

    def beyond(self, entries: Host) -> Host:
        """What of [..., f, entry] no background can stand for."""
        if len(self.basis) == 1:
            return entries - self.basis[0] @ (self.basis[0].T @ entries)
        own = np.einsum("efk,...fe->...ek", self.basis, entries, optimize=True)
        return entries - np.einsum("efk,...ek->...fe", self.basis, own, optimize=True)


def starts(problem: Problem, ports: int, modes: int, order: int, delay: bool) -> list[Form]:
    """Responses found from the data alone, the best first: with a pole for each mode and with fewer poles that stand
    for several, with the ports' delays as they look and with none; where one describes the data to their noise, it
    alone.

    Residues are of full rank in vector fitting, and what modes of rank one keep of them may be little; a background
    may stand for a delay. What counts is how the start itself describes the data.
    """
    out, into = problem.out, problem.into
    rank, found = min(len(set(out.tolist())), len(set(into.tolist()))), []
    for tau in _delays(problem, ports, modes, order) if delay else [None]:
        for poles in range(modes, max(min(modes, 1), -(-modes // rank)) - 1, -1):
            form = _from_poles(problem, ports, modes, poles, rank, order, tau)
            misfit = problem.misfit(form)
            over = misfit / problem.noise
            if np.max(over) <= MISSED and np.mean(over**2) <= DESCRIBED**2:
                return [form]
            found.append((problem.weights.cost(misfit), form))
    found.sort(key=lambda pair: pair[0])
    return [form for cost, form in found[:STARTS] if cost <= found[0][0] + WORSE * len(out)]


def _delays(problem: Problem, ports: int, modes: int, order: int) -> list[Host]:
    whole, measured = np.zeros((len(problem.x), ports, ports), complex), np.zeros((ports, ports), bool)
    floor = np.zeros((ports, ports))
    for part, entries in ((whole, problem.s), (measured, True), (floor, problem.weights.least)):
        problem.fill(part, entries)
    return [port_delays(problem.x, whole, measured, modes, order, floor), np.zeros(ports)]


def _from_poles(problem: Problem, ports: int, modes: int, poles: int, rank: int, order: int, tau: Host) -> Form:
    """The start with as many poles and given delays [M], or None."""
    s = problem.s
    if tau is not None:
        s = s * np.exp(1j * problem.x[:, None] * (tau[problem.out] + tau[problem.into]))
    fit = vector_fit(problem.x, s, poles, order, problem.weights)
    whole = np.zeros((poles + order + 1, ports, ports), complex)
    problem.fill(whole, np.concatenate([fit.residues, fit.background]))
    return _started(fit, whole, modes, rank, tau, symmetric=problem.symmetric)


def _started(fit: PoleResidue, whole: Host, modes: int, rank: int, tau: Host, *, symmetric: bool) -> Form:
    poles = len(fit.poles)
    residues, background = whole[:poles], whole[poles:]
    singular = np.linalg.svd(residues, compute_uv=False) / -fit.poles.real[:, None]
    ranks = np.ones(poles, int)
    for _ in range(modes - poles):
        nexts = [singular[n, r] if r < rank else -1.0 for n, r in enumerate(ranks)]
        ranks[int(np.argmax(nexts))] += 1
    return started(fit.poles, residues, background, ranks, tau, symmetric=symmetric)


class FittedForm(NamedTuple):
    """A response, the problem with the σ that it was fitted by, and how that ended."""

    problem: Problem
    response: Any
    end: DescentEnd


def best_fit(problem: Problem, candidates: list[Form], max_steps: int) -> FittedForm:
    """The most likely of the least squares from several starts, each entry weighed by its misfit where σ is not
    known."""
    return settled(problem, most_likely(problem, candidates), max_steps)


def most_likely(problem: Problem, candidates: list[Form], *, restarts: int = RESTARTS) -> Form:
    """What some steps from several starts lead to at best. Where that misses the data by more than their noise, more
    starts with other delays are tried."""
    ends = [tried(problem, start) for start in candidates]
    delay = candidates[0].delay
    if delay is not None and min(ends, key=_cost)[2]:
        rng = np.random.default_rng(0)
        for _ in range(restarts):
            moved = delay + rng.normal(size=len(delay)) * ASTRAY
            ends.append(tried(problem, replace(candidates[0], delay=moved)))
    return min(ends, key=_cost)[1]


def tried(problem: Problem, start: Form) -> tuple[float, Form, bool]:
    """What some steps from a start lead to: −2 log likelihood, the response, whether it misses the data by more than
    their noise."""
    weighed = problem.reweighed(start)
    response, _ = weighed.solved(start, SHORT, tolerance=ROUGH)
    misfit = problem.misfit(response)
    return problem.weights.cost(misfit), response, bool(np.any(misfit > MISSED * problem.noise))


def _cost(end: tuple[float, Form, bool]) -> float:
    return end[0]


def settled(problem: Problem, response: Any, max_steps: int) -> FittedForm:
    """The least squares from a response, with σ that are those of its own misfit."""
    for _ in range(0 if problem.known else ROUNDS):
        problem = problem.reweighed(response)
        response, end = problem.solved(response, SHORT)
        if np.allclose(problem.reweighed(response).sigma[0], problem.sigma[0], rtol=SETTLED, atol=0):
            if succeeded(end.result):
                return FittedForm(problem, response, end)
            break
    problem = problem.reweighed(response)
    return FittedForm(problem, *problem.solved(response, max_steps))


def with_energy(problem: Problem, response: Form) -> Form:
    """The same S with amplitudes whose energies are nearest to the data's, by one factor for all modes; a symmetric
    state space has them as they are."""
    if response.symmetric:
        return response
    energy = np.sum(np.abs(response.response(problem.x)[1]) ** 2, axis=1)
    factor = np.sqrt(np.sum(energy * problem.energy) / np.sum(energy**2))
    return replace(response, D=response.D / factor, K=response.K * factor)


def made_passive(found: FittedForm, max_steps: int) -> FittedForm:
    """The least squares among responses that are passive everywhere in the band.

    Singular values above 1 count as residuals, at the samples, between them and around the poles, ever more until none
    is above 1 by more than a hundredth of the noise; then S is scaled by what is left. Where that
    cannot be shown the response stays as it is, and is not called passive.
    """
    problem, form, end = found
    gain = largest_gain(form)
    typical = float(np.median(problem.sigma))
    enough, stiffness = max(ALLOWED, typical / 100), 10 / typical
    while gain > 1 + ALLOWED and stiffness < 1e7 / typical:
        poles = np.linalg.eigvals(form.modal(np.zeros(1)).A)
        around = (poles.imag[:, None] + np.abs(poles.real)[:, None] * np.linspace(-3, 3, 25)).ravel()
        x = np.sort(np.concatenate([problem.x, (problem.x[1:] + problem.x[:-1]) / 2, around[np.abs(around) <= 1]]))
        bounded = problem._replace(bounded=x, stiffness=stiffness)
        form, _ = bounded.solved(form, SHORT, tolerance=ROUGH)
        gain = largest_gain(form)
        if gain <= 1 + enough:
            form, end = bounded.solved(form, max_steps, tolerance=CREEPING)
            gain = largest_gain(form)
            if gain <= 1 + enough:
                break
        stiffness *= 10
    if 1 + ALLOWED < gain < np.inf:
        scale = 1 / gain
        root = np.sqrt(scale)
        form = replace(form, D=form.D * root, K=form.K * root, background=form.background * scale)
    return FittedForm(problem, form, end)
