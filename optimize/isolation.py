"""Design for isolation, well posed: the parameters of a device that make it pass one way and block the other.

With nonlocal loss the isolation is infinite, with derivative 0, for *every* γ_k ≥ κ, so "the largest isolation" names
no design. These searches ask in two steps instead, always of the worst frequency of a band:

    1.  the least insertion loss L among designs with isolation ≥ cap;       if that L is allowed, this is the answer;
    2.  otherwise the largest isolation among designs with L ≤ max.

They work with the ratio r = |b_blocked|/|b_passed|, which is nearly linear in what closes the blocked direction, where
dB diverge. Candidates spread over the free leaves (`optimize.candidates`) are measured first, the best of them start
local searches (`optimize.constrained`), all at once. Nothing here knows what the model is made of.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from diffnr.checks import require, require_finite
from diffnr.parameters import Free, paths, select
from diffnr.ports import AbstractPortModel, Drive, port_response, require_port
from optimize.candidates import candidates, choose, ranking
from optimize.constrained import ConstrainedSolution, Linearisation, minimise_constrained
from optimize.objectives import amplitude_ratio, passed_and_blocked
from optimize.transforms import AbstractTransform, parametrise

CANDIDATES_PER_START = 32
MET = 1e-6  # a limit is met within 1e-6 dB of insertion loss, or 1e-6 of the ratio (9e-6 dB of isolation)
TIE = 1e-9  # designs whose values differ by less are equally good
RATIO, LOSS, CONTRAST = range(3)  # the figures of a design, at each frequency
STUCK = "The local search came to rest without converging: the response has an edge here, or is not smooth."
EXHAUSTED = "The local search had not converged after all the steps it was allowed: raise max_steps."
NOWHERE = "The model could be evaluated at no candidate: look at its response at the start."


class Design(eqx.Module):
    """A designed device, and how good it is at the worst of the frequencies asked for.

    **Fields:**

    - `model`: the device, of the class given, with new leaves. `values`: `{path: array}` of the free ones.
    - `value`: what was optimised: isolation (dB), insertion loss (dB) or contrast.
    - `isolation` (dB, least over the band), `insertion_loss` (dB, largest) and `contrast` (least); the last two are NaN
      where ports are not power-normalised.
    - `feasible`: whether every limit is met; if not, this is the nearest design.
    - `active`: the limit that decided: "isolation_cap", "max_insertion_loss", "min_isolation" or "none".
    - `converged`: whether the last local search ended at an optimum. `steps`: evaluations with derivatives that local
      searches made one after another. `message`: a sentence on how it ended.
    """

    model: Any
    value: float
    values: dict[str, Array]
    isolation: float
    insertion_loss: float
    contrast: float
    feasible: bool
    active: str = eqx.field(static=True)
    converged: bool
    steps: int
    message: str = eqx.field(static=True)

    def report(self) -> str:
        """The design in a few lines of text."""
        lines = [
            *(f"{name} = {np.array2string(np.asarray(value), precision=9)}" for name, value in self.values.items()),
            f"isolation       {self.isolation:.4f} dB",
            f"insertion loss  {self.insertion_loss:.4f} dB",
            f"contrast        {self.contrast:.4f}",
            f"feasible: {self.feasible}, converged: {self.converged} in {self.steps} steps, limit: {self.active}",
            self.message,
        ]
        return "\n".join(lines)


def maximise_isolation(
    model: AbstractPortModel,
    *,
    omega: ArrayLike | None = None,
    band: tuple[float, float] | None = None,
    free: Free,
    out: int,
    into: int,
    max_insertion_loss: float | None = None,
    isolation_cap: float = 60.0,
    amplitude: ArrayLike = 1.0,
    points: int = 21,
    starts: int = 8,
    transforms: Mapping[str, AbstractTransform] | None = None,
    tolerance: float = 1e-8,
    max_steps: int = 200,
    key: Array | None = None,
) -> Design:
    """The design of largest isolation I; among designs at the cap, the one of least insertion loss L:

        max_x min_ω I(x, ω)  subject to  L(x, ω) ≤ max_insertion_loss;     where that reaches the cap:
        min_x max_ω L(x, ω)  subject to  I(x, ω) ≥ isolation_cap

    **Arguments:**

    - `model`: any `AbstractPortModel`.
    - `omega`: [], the frequency, or `band`: (lowest, highest), in the model's rate unit; one of the two.
    - `free`: the leaves to design: a path ("loss.gamma_k"), several, or a callable `model -> leaves`.
    - `out`, `into`: the ports of the direction that passes.
    - `max_insertion_loss`: [dB], not negative; default none. It needs power-normalised ports.
    - `isolation_cap`: [dB], positive: more isolation than this is worth nothing. Good values: 20 … 100.
    - `amplitude`: [], of the drive; it matters for laws that depend on power. Default 1.
    - `points`: frequencies at which a band is sampled, its ends included (default 21); between them nothing is seen.
    - `starts`: local searches (default 8); 1 starts from the model as it is, which is what an expensive one wants.
    - `transforms`: `{path: transform}`, see `optimize.transforms`. A leaf that would grow without end, since the device
      is the better the larger a rate, needs an `Interval`.
    - `tolerance`: step, relative to a leaf's scale, at which local searches end (default 1e-8); `max_steps`:
      evaluations allowed to each (default 200).
    - `key`: shifts the candidates; the same key gives the same design.

    **Returns:** a `Design`; `value` is the isolation in dB.

    **Raises:** `ValueError` for arguments that make no sense. Limits that no design meets set `feasible` to False.

    **Notes:** where ports are not power-normalised the cap's tie goes to the largest passing amplitude. A matched pair
    of resonators obeys L ≥ 10 log10(1 + γ_k/κ): perfect isolation costs 3.01 dB. The first call compiles for seconds.

    Source: paper 1 (nonreciprocal coupling induced by nonlocal loss engineering); the order of the questions is ours.
    """
    if max_insertion_loss is not None:
        _require_limit("max_insertion_loss", max_insertion_loss)
        _require_power("max_insertion_loss", model)
    require(0.0 < isolation_cap < math.inf, "isolation_cap", "be positive and finite", isolation_cap)
    problem, pool = _start(model, omega, band, free, out, into, amplitude, points, starts, transforms, key)
    search = _Search.measured(problem, pool, starts, tolerance, max_steps)
    allowed = math.inf if max_insertion_loss is None else max_insertion_loss
    at_cap, as_good = _Goal.of(LOSS, least_isolation=isolation_cap), _Goal.of(RATIO, largest_loss=allowed)
    cap_text = f"The isolation reaches its cap of {isolation_cap:g} dB; among such designs this one loses least."

    best = search.run(at_cap)
    if best.feasible and best.value <= allowed + MET:
        return search.design(best, "isolation", True, "isolation_cap", cap_text)
    best = search.run(as_good)
    if not best.feasible:
        least = search.run(_Goal.of(LOSS))
        if not least.value <= allowed + MET:
            text = f"No design has an insertion loss of {allowed:g} dB: the least found is {least.value:.6g} dB, here."
            return search.design(least, "isolation", False, "max_insertion_loss", text)
        best = search.run(as_good)
    if best.feasible and _decibel(best.value) >= isolation_cap:
        best = search.run(at_cap)
        return search.design(best, "isolation", best.feasible, "isolation_cap", cap_text)
    if best.figures[:, LOSS].max() >= allowed - 10 * MET:
        text = f"The insertion loss of {allowed:g} dB decided: more isolation would cost more."
        return search.design(best, "isolation", best.feasible, "max_insertion_loss", text)
    text = f"No limit decided: this is the largest isolation, short of the cap of {isolation_cap:g} dB."
    return search.design(best, "isolation", best.feasible, "none", text)


def minimise_insertion_loss(
    model: AbstractPortModel,
    *,
    omega: ArrayLike | None = None,
    band: tuple[float, float] | None = None,
    free: Free,
    out: int,
    into: int,
    min_isolation: float,
    amplitude: ArrayLike = 1.0,
    points: int = 21,
    starts: int = 8,
    transforms: Mapping[str, AbstractTransform] | None = None,
    tolerance: float = 1e-8,
    max_steps: int = 200,
    key: Array | None = None,
) -> Design:
    """The design of least insertion loss L that isolates enough:

        min_x max_ω L(x, ω)  subject to  I(x, ω) ≥ min_isolation

    **Arguments:** as `maximise_isolation`, with `min_isolation`: [dB], not negative.

    **Returns:** a `Design`; `value` is the insertion loss in dB.

    **Raises:** `ValueError` as `maximise_isolation`, and for a model whose ports are not power-normalised.
    """
    _require_limit("min_isolation", min_isolation)
    _require_power("model", model)
    problem, pool = _start(model, omega, band, free, out, into, amplitude, points, starts, transforms, key)
    search = _Search.measured(problem, pool, starts, tolerance, max_steps)
    enough = _Goal.of(LOSS, least_isolation=min_isolation)
    best = search.run(enough)
    if not best.feasible:
        most = search.run(_Goal.of(RATIO))
        largest = _decibel(most.value)
        if not largest >= min_isolation:
            text = f"No design has an isolation of {min_isolation:g} dB: the largest found is {largest:.6g} dB, here."
            return search.design(most, "insertion_loss", False, "min_isolation", text)
        best = search.run(enough)
    if _decibel(best.figures[:, RATIO].max()) <= min_isolation + 100 * MET:
        text = f"The isolation of {min_isolation:g} dB decided: less loss would isolate less."
        return search.design(best, "insertion_loss", best.feasible, "min_isolation", text)
    text = f"No limit decided: this is the least insertion loss, and isolates more than {min_isolation:g} dB."
    return search.design(best, "insertion_loss", best.feasible, "none", text)


def maximise_contrast(
    model: AbstractPortModel,
    *,
    omega: ArrayLike | None = None,
    band: tuple[float, float] | None = None,
    free: Free,
    out: int,
    into: int,
    amplitude: ArrayLike = 1.0,
    points: int = 21,
    starts: int = 8,
    transforms: Mapping[str, AbstractTransform] | None = None,
    tolerance: float = 1e-8,
    max_steps: int = 200,
    key: Array | None = None,
) -> Design:
    """The design of largest transmission contrast, which weighs isolation against loss without any limit:

        max_x min_ω |S[out, into]|² − |S[into, out]|²

    **Arguments:** as `maximise_isolation`.

    **Returns:** a `Design`; `value` is the contrast, between −1 and 1 for a passive device.

    **Raises:** `ValueError` as `maximise_isolation`, and for a model whose ports are not power-normalised.
    """
    _require_power("model", model)
    problem, pool = _start(model, omega, band, free, out, into, amplitude, points, starts, transforms, key)
    search = _Search.measured(problem, pool, starts, tolerance, max_steps)
    return search.design(search.run(_Goal.of(CONTRAST)), "contrast", True, "none", "This is the largest contrast.")


class _Problem(eqx.Module):
    """A model with free leaves, seen at several frequencies: everything that compiled code needs to know."""

    model: AbstractPortModel
    transforms: dict[str, AbstractTransform]
    omegas: Float[Array, " frequency"]
    amplitude: Array
    free: Any = eqx.field(static=True)
    out: int = eqx.field(static=True)
    into: int = eqx.field(static=True)

    def linearise(self, u: Float[Array, " n"]) -> tuple[Float[Array, "frequency 3"], Float[Array, "frequency 3 n"]]:
        """The figures at every frequency, with their derivatives: two adjoint solves a frequency."""
        build = parametrise(self.model, self.free, self.transforms).build

        def powers(u: Array, omega: Array) -> tuple[Array, Array]:
            ports = sorted((self.out, self.into))
            response = port_response(build(u), Drive(omega, self.amplitude), ports=ports, throw=False)
            both = passed_and_blocked(response, out=self.out, into=self.into)
            return both, both

        slopes, both = jax.vmap(jax.jacrev(powers, has_aux=True), (None, 0))(u, self.omegas)
        return jax.vmap(_figures)(both), jax.vmap(jax.jacfwd(_figures))(both) @ slopes


def _figures(powers: Float[Array, " both"]) -> Float[Array, " figure"]:
    passed, blocked = powers
    return jnp.stack([amplitude_ratio(passed, blocked), -10 * jnp.log10(passed), passed - blocked])


class _Goal(eqx.Module):
    """min max_ω (weights · figures) subject to slopes · (ratio, loss) + offsets ≤ 0.

    A goal is numbers only, so that one compilation serves every goal.
    """

    weights: Array | np.ndarray  # [3]
    slopes: Array | np.ndarray  # [2]
    offsets: Array | np.ndarray  # [2]

    @classmethod
    def of(cls, figure: int, least_isolation: float = -math.inf, largest_loss: float = math.inf) -> _Goal:
        limited = math.isfinite(largest_loss)
        weights = np.zeros(3)
        weights[figure] = -1.0 if figure == CONTRAST else 1.0
        slopes = np.array([10 ** (least_isolation / 20), float(limited)])
        return cls(weights, slopes, np.array([-1.0, -largest_loss if limited else -1.0]))

    def linearise(self, problem: _Problem, u: Float[Array, " n"]) -> Linearisation:
        figures, slopes = problem.linearise(u)
        weights, limits, offsets = (x.astype(u.dtype) for x in (self.weights, self.slopes, self.offsets))
        g, dg = figures[:, :2] * limits + offsets, slopes[:, :2] * limits[:, None]
        return figures @ weights, g.ravel(), jnp.einsum("fcn,c->fn", slopes, weights), dg.reshape(-1, u.size), figures

    def judge(self, figures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Objective and violation of designs with figures [design, frequency, 3]; inf where these are not finite."""
        with np.errstate(invalid="ignore"):
            value = np.max(figures @ self.weights, -1)
            excess = np.max(figures[..., :2] * self.slopes + self.offsets, (-2, -1))
        bad = ~np.isfinite(value) | ~np.isfinite(excess)
        return np.where(bad, np.inf, value), np.where(bad, np.inf, np.where(excess <= MET, 0.0, excess))


@eqx.filter_jit
def _solve(
    problem: _Problem, goal: _Goal, starts: Float[Array, "start n"], tolerance: float, max_steps: Array
) -> ConstrainedSolution:
    """Local searches from every start; with `max_steps` of 1 no more than the figures there."""

    def solve(start: Array) -> ConstrainedSolution:
        return minimise_constrained(
            lambda u: goal.linearise(problem, u), start, tolerance=tolerance, max_steps=max_steps
        )

    return jax.vmap(solve)(starts)


@eqx.filter_jit
def _build(problem: _Problem, u: Float[Array, " n"]) -> tuple[AbstractPortModel, dict[str, Array]]:
    parametrisation = parametrise(problem.model, problem.free, problem.transforms)
    return parametrisation.build(u), parametrisation.values(u)


@dataclasses.dataclass(frozen=True)
class _Found:
    """The best of the designs known after a search: the goal's value there, and whether its limits are met."""

    u: np.ndarray
    figures: np.ndarray  # [frequency, 3]
    value: float
    feasible: bool
    converged: bool
    exhausted: bool  # all of the steps it was allowed


@dataclasses.dataclass
class _Search:
    """The designs measured so far, from the best of which each `run` starts."""

    problem: _Problem
    starts: int
    tolerance: float
    max_steps: int
    pool: np.ndarray  # [design, n]; the first is the model as it is
    figures: np.ndarray  # [design, frequency, 3]
    steps: int = 0

    @classmethod
    def measured(cls, problem: _Problem, pool: np.ndarray, starts: int, tolerance: float, max_steps: int) -> _Search:
        for name, number in (("tolerance", tolerance), ("max_steps", max_steps)):
            require(number > 0, name, "be positive", number)
        figures = np.zeros((0, problem.omegas.size, 3))
        search = cls(problem, starts, tolerance, max_steps, pool[:0], figures)
        for part in np.split(pool, range(starts, len(pool), starts)):
            search.solve(_Goal.of(RATIO), part, 1)
        return search

    def solve(self, goal: _Goal, starts: np.ndarray, max_steps: int) -> ConstrainedSolution:
        """Local searches, always as many at once, so that one compilation serves; their ends join the pool."""
        padded = np.concatenate([starts, np.repeat(starts[:1], self.starts - len(starts), axis=0)])
        solution = _solve(self.problem, goal, jnp.asarray(padded), self.tolerance, jnp.asarray(max_steps))
        self.pool = np.concatenate([self.pool, solution.value[: len(starts)]])
        self.figures = np.concatenate([self.figures, solution.aux[: len(starts)]])
        return solution

    def run(self, goal: _Goal) -> _Found:
        """The best design known after local searches from the best points known before."""
        chosen = choose(self.pool, *goal.judge(self.figures), self.starts)
        solution = self.solve(goal, self.pool[chosen], self.max_steps)
        self.steps += int(np.max(solution.steps))
        converged, exhausted = np.zeros((2, len(self.pool)), bool)
        converged[-self.starts :] = solution.converged
        exhausted[-self.starts :] = np.asarray(solution.steps) >= self.max_steps

        value, violation = goal.judge(self.figures)
        best = int(ranking(value, violation)[0])
        # Of designs equally good the one whose search began nearest the user's model, since that was put first.
        tied = np.flatnonzero((violation <= violation[best]) & (value <= value[best] + TIE) & converged)
        best = int(tied[0]) if tied.size else best
        flags = bool(violation[best] == 0), bool(converged[best]), bool(exhausted[best])
        return _Found(self.pool[best], self.figures[best], float(value[best]), *flags)

    def design(self, found: _Found, what: str, feasible: bool, active: str, text: str) -> Design:
        """The answer, from the design that was found."""
        if not math.isfinite(found.value):
            feasible, active, text = False, "none", NOWHERE
        elif not found.converged:
            text += f" {EXHAUSTED if found.exhausted else STUCK}"
        power = self.problem.model.power_normalised
        ratio, loss, contrast = found.figures.T
        figures = {
            "isolation": _decibel(float(ratio.max())),
            "insertion_loss": float(loss.max()) if power else math.nan,
            "contrast": float(contrast.min()) if power else math.nan,
        }
        model, values = _build(self.problem, jnp.asarray(found.u))
        return Design(
            model=model,
            value=figures[what],
            values=values,
            **figures,
            feasible=feasible,
            active=active,
            converged=found.converged,
            steps=self.steps,
            message=text,
        )


def _start(
    model: AbstractPortModel,
    omega: ArrayLike | None,
    band: tuple[float, float] | None,
    free: Free,
    out: int,
    into: int,
    amplitude: ArrayLike,
    points: int,
    starts: int,
    transforms: Mapping[str, AbstractTransform] | None,
    key: Array | None,
) -> tuple[_Problem, np.ndarray]:
    """The problem, and the designs to measure first, from arguments that are checked here."""
    require_port("out", out, model.num_ports)
    require_port("into", into, model.num_ports)
    require(out != into, "into", "differ from out", f"{into} like out")
    require(starts >= 1, "starts", "be at least 1", starts)
    drive = np.asarray(amplitude)
    require_finite("amplitude", drive)
    require(drive.ndim == 0 and drive != 0, "amplitude", "be a scalar other than 0", drive)
    selection = select(model, free)
    # By their paths, if they have any: a callable that is written anew for each call would be compiled anew.
    free = selection.names if not callable(free) or set(selection.names) <= set(paths(model)) else free
    dtype = jnp.result_type(*selection.values)
    omegas = jnp.asarray(_frequencies(omega, band, points), dtype)
    tone = jnp.asarray(drive, jnp.result_type(dtype, jnp.complex64) if np.iscomplexobj(drive) else dtype)
    chosen, pool = candidates(
        model,
        free,
        Drive(omegas[omegas.size // 2], tone),
        out=out,
        into=into,
        count=CANDIDATES_PER_START * starts if starts > 1 else 0,
        transforms=transforms,
        key=key,
    )
    return _Problem(model, chosen, omegas, tone, free, out, into), pool


def _frequencies(omega: ArrayLike | None, band: tuple[float, float] | None, points: int) -> np.ndarray:
    given = [name for name, value in (("omega", omega), ("band", band)) if value is not None]
    require(len(given) == 1, "omega", "be given, or band, and not both", "given with band" if given else "not given")
    if band is None:
        frequency = np.asarray(omega, float)
        require_finite("omega", frequency)
        require(frequency.ndim == 0, "omega", "be a scalar (give band for a worst case)", f"of shape {frequency.shape}")
        return frequency[None]
    require(len(band) == 2, "band", "be a pair (lowest, highest)", band)
    require_finite("band", np.asarray(band, float))
    require(band[0] < band[1], "band", "be (lowest, highest), in this order", band)
    require(points >= 2, "points", "be at least 2", points)
    return np.linspace(*band, points)


def _require_limit(name: str, value: float) -> None:
    require(0.0 <= value < math.inf, name, "be a number of dB that is finite and not negative", value)


def _require_power(name: str, model: AbstractPortModel) -> None:
    if not model.power_normalised:
        raise ValueError(
            f"Argument {name} must go with power-normalised ports, but |b|² of this {type(model).__name__} is not a "
            "power: it has no insertion loss and no contrast."
        )


def _decibel(ratio: float) -> float:
    return math.inf if ratio == 0 else 0.0 - 20 * math.log10(ratio)
