"""Design for isolation, well posed: the parameters of a device that make it pass one way and block the other.

With nonlocal loss the isolation is infinite, with derivative 0, for *every* γ_k ≥ κ, so "the largest isolation" names
no design. These searches ask in two steps instead, always of the worst case:

    1.  the least insertion loss L among designs with isolation ≥ cap;       if that L is allowed, this is the answer;
    2.  otherwise the largest isolation among designs with L ≤ max.

The worst is over a band and, where leaves have tolerances, over a box around the design (`isolation.cases`). The
searches (`isolation.search`) work with the ratio r = |b_blocked|/|b_passed|, which is nearly linear in what
closes the blocked direction, where dB diverge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from diffnr.checks import require
from diffnr.parameters import Free, paths, select
from diffnr.ports import AbstractPortModel, Drive
from optimize.isolation.cases import CONTRAST, LOSS, RATIO, Tolerances, decibel, scenarios, worst
from optimize.isolation.search import MET, Found, Goal, Problem, Search
from optimize.isolation.starts import candidates
from optimize.transforms import AbstractTransform

CANDIDATES_PER_START = 32
STUCK = "The local search came to rest without converging: the response has an edge here, or is not smooth."
EXHAUSTED = "The local search had not converged after all the steps it was allowed: raise max_steps."
NOWHERE = "The model could be evaluated at no candidate: look at its response at the start."


class Design(eqx.Module):
    """A designed device, and how good it is in the worst of the cases asked for.

    **Fields:**

    - `model`: the device, of the class given, with new leaves. `values`: `{path: array}` of the free ones.
    - `objective`: what was optimised: isolation (dB), insertion loss (dB) or contrast.
    - `isolation` (dB, least over band and tolerances), `insertion_loss` (dB, largest) and `contrast` (least); the last
      two are NaN where ports are not power-normalised.
    - `feasible`: whether every limit is met; if not, this is the nearest design.
    - `active`: the limit that decided: "isolation_cap", "max_insertion_loss", "min_isolation" or "none".
    - `converged`: whether the last local search ended at an optimum. `steps`: evaluations with derivatives that local
      searches made one after another. `message`: a sentence on how it ended.
    """

    model: Any
    objective: float
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
    tolerances: Tolerances | None = None,
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

    and with tolerances δ for the worst of x + s·δ as well, s ∈ {0} ∪ {−1, +1}^p.

    **Arguments:**

    - `model`: any `AbstractPortModel`.
    - `omega`: [], the frequency, or `band`: (lowest, highest), in the model's rate unit; one of the two.
    - `free`: the leaves to design: a path ("loss.gamma_k"), several, or a callable `model -> leaves`.
    - `out`, `into`: the ports of the direction that passes.
    - `max_insertion_loss`: [dB], not negative; default none. It needs power-normalised ports.
    - `isolation_cap`: [dB], positive: more isolation than this is worth nothing. Good values: 20 … 100.
    - `tolerances`: `{path: half-width}`, absolute, in the leaf's unit, a number or of the leaf's shape: the design is
      judged at its worst over the box of that size around its own values, at the 2^p corners and the centre. Any real
      leaves, free or not; at most 8 entries may have a half-width other than 0. A leaf stops at its physical bounds.
    - `amplitude`: [], of the drive; it matters for laws that depend on power. Default 1.
    - `points`: frequencies at which a band is sampled, its ends included (default 21); between them nothing is seen.
    - `starts`: local searches (default 8); 1 starts from the model as it is, which is what an expensive one wants.
    - `transforms`: `{path: transform}`, see `optimize.transforms`. A leaf that would grow without end, since the device
      is the better the larger a rate, needs an `Interval`.
    - `tolerance`: step, relative to a leaf's scale, at which local searches end (default 1e-8); `max_steps`:
      evaluations allowed to each (default 200).
    - `key`: shifts the candidates; the same key gives the same design.

    **Returns:** a `Design`; `objective` is the isolation in dB.

    **Raises:** `ValueError` for arguments that make no sense. Limits that no design meets set `feasible` to False.

    **Notes:** corners are the worst case where the response is monotone across the box; extremes inside it are not
    seen, as between the points of a band. Where ports are not power-normalised the cap's tie goes to the largest
    passing amplitude. A matched pair of resonators obeys L ≥ 10 log10(1 + γ_k/κ): perfect isolation costs 3.01 dB. The
    first call compiles for seconds.

    Source: paper 1 (nonreciprocal coupling induced by nonlocal loss engineering); the order of the questions is ours.
    """
    if max_insertion_loss is not None:
        _require_limit("max_insertion_loss", max_insertion_loss)
        _require_power("max_insertion_loss", model)
    require(0.0 < isolation_cap < math.inf, "isolation_cap", "be positive and finite", isolation_cap)
    problem, pool = _start(model, omega, band, free, out, into, tolerances, amplitude, points, starts, transforms, key)
    search = Search.measured(problem, pool, starts, tolerance, max_steps)
    allowed = math.inf if max_insertion_loss is None else max_insertion_loss
    at_cap, as_good = Goal.of(LOSS, least_isolation=isolation_cap), Goal.of(RATIO, largest_loss=allowed)
    cap_text = f"The isolation reaches its cap of {isolation_cap:g} dB; among such designs this one loses least."

    best = search.run(at_cap)
    if best.feasible and best.value <= allowed + MET:
        return _design(search, best, "isolation", True, "isolation_cap", cap_text)
    best = search.run(as_good)
    if not best.feasible:
        least = search.run(Goal.of(LOSS))
        if not least.value <= allowed + MET:
            text = f"No design has an insertion loss of {allowed:g} dB: the least found is {least.value:.6g} dB, here."
            return _design(search, least, "isolation", False, "max_insertion_loss", text)
        best = search.run(as_good)
    if best.feasible and decibel(best.value) >= isolation_cap:
        best = search.run(at_cap)
        return _design(search, best, "isolation", best.feasible, "isolation_cap", cap_text)
    if best.figures[:, LOSS].max() >= allowed - 10 * MET:
        text = f"The insertion loss of {allowed:g} dB decided: more isolation would cost more."
        return _design(search, best, "isolation", best.feasible, "max_insertion_loss", text)
    text = f"No limit decided: this is the largest isolation, short of the cap of {isolation_cap:g} dB."
    return _design(search, best, "isolation", best.feasible, "none", text)


def minimise_insertion_loss(
    model: AbstractPortModel,
    *,
    omega: ArrayLike | None = None,
    band: tuple[float, float] | None = None,
    free: Free,
    out: int,
    into: int,
    min_isolation: float,
    tolerances: Tolerances | None = None,
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

    **Returns:** a `Design`; `objective` is the insertion loss in dB.

    **Raises:** `ValueError` as `maximise_isolation`, and for a model whose ports are not power-normalised.
    """
    _require_limit("min_isolation", min_isolation)
    _require_power("model", model)
    problem, pool = _start(model, omega, band, free, out, into, tolerances, amplitude, points, starts, transforms, key)
    search = Search.measured(problem, pool, starts, tolerance, max_steps)
    enough = Goal.of(LOSS, least_isolation=min_isolation)
    best = search.run(enough)
    if not best.feasible:
        most = search.run(Goal.of(RATIO))
        largest = decibel(most.value)
        if not largest >= min_isolation:
            text = f"No design has an isolation of {min_isolation:g} dB: the largest found is {largest:.6g} dB, here."
            return _design(search, most, "insertion_loss", False, "min_isolation", text)
        best = search.run(enough)
    if decibel(best.figures[:, RATIO].max()) <= min_isolation + 100 * MET:
        text = f"The isolation of {min_isolation:g} dB decided: less loss would isolate less."
        return _design(search, best, "insertion_loss", best.feasible, "min_isolation", text)
    text = f"No limit decided: this is the least insertion loss, and isolates more than {min_isolation:g} dB."
    return _design(search, best, "insertion_loss", best.feasible, "none", text)


def maximise_contrast(
    model: AbstractPortModel,
    *,
    omega: ArrayLike | None = None,
    band: tuple[float, float] | None = None,
    free: Free,
    out: int,
    into: int,
    tolerances: Tolerances | None = None,
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

    **Returns:** a `Design`; `objective` is the contrast, between −1 and 1 for a passive device.

    **Raises:** `ValueError` as `maximise_isolation`, and for a model whose ports are not power-normalised.
    """
    _require_power("model", model)
    problem, pool = _start(model, omega, band, free, out, into, tolerances, amplitude, points, starts, transforms, key)
    search = Search.measured(problem, pool, starts, tolerance, max_steps)
    return _design(search, search.run(Goal.of(CONTRAST)), "contrast", True, "none", "This is the largest contrast.")


def _start(
    model: AbstractPortModel,
    omega: ArrayLike | None,
    band: tuple[float, float] | None,
    free: Free,
    out: int,
    into: int,
    tolerances: Tolerances | None,
    amplitude: ArrayLike,
    points: int,
    starts: int,
    transforms: Mapping[str, AbstractTransform] | None,
    key: Array | None,
) -> tuple[Problem, np.ndarray]:
    """The problem, and the designs to measure first, from arguments that are checked here."""
    require(starts >= 1, "starts", "be at least 1", starts)
    selection = select(model, free)
    # By their paths, if they have any: a callable that is written anew for each call would be compiled anew.
    free = selection.names if not callable(free) or set(selection.names) <= set(paths(model)) else free
    cases = scenarios(
        model,
        omega=omega,
        band=band,
        out=out,
        into=into,
        amplitude=amplitude,
        points=points,
        tolerances=tolerances,
        dtype=jnp.result_type(*selection.values),
    )
    # The middle case is one in the middle of the band, since corners come in pairs beside the centre.
    chosen, pool = candidates(
        model,
        free,
        Drive(cases.omegas[cases.omegas.size // 2], cases.amplitude),
        out=out,
        into=into,
        count=CANDIDATES_PER_START * starts if starts > 1 else 0,
        transforms=transforms,
        key=key,
    )
    return Problem(model, chosen, cases, free), pool


def _design(search: Search, found: Found, what: str, feasible: bool, active: str, text: str) -> Design:
    """The answer, from the design that was found."""
    if not math.isfinite(found.value):
        feasible, active, text = False, "none", NOWHERE
    elif not found.converged:
        text += f" {EXHAUSTED if found.exhausted else STUCK}"
    reached = worst(found.figures, search.problem.model.power_normalised)
    model, values = search.build(found)
    return Design(
        model=model,
        objective=getattr(reached, what),
        values=values,
        isolation=reached.isolation,
        insertion_loss=reached.insertion_loss,
        contrast=reached.contrast,
        feasible=feasible,
        active=active,
        converged=found.converged,
        steps=search.steps,
        message=text,
    )


def _require_limit(name: str, value: float) -> None:
    require(0.0 <= value < math.inf, name, "be a number of dB that is finite and not negative", value)


def _require_power(name: str, model: AbstractPortModel) -> None:
    if not model.power_normalised:
        raise ValueError(
            f"Argument {name} must go with power-normalised ports, but |b|² of this {type(model).__name__} is not a "
            "power: it has no insertion loss and no contrast."
        )
