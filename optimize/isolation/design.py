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
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

from diffnr.checks import Numbers, as_flag, as_real, require, require_known, require_shape
from diffnr.ports import AbstractPortModel
from optimize.isolation.cases import CONTRAST, LOSS, RATIO, Cases, decibel, worst
from optimize.isolation.search import MET, Found, Goal, Search
from optimize.scenarios import with_uncertainty

MOST_DECIBELS = 1000.0
STUCK = "The local search came to rest without converging: the response has an edge here, or is not smooth."
EXHAUSTED = "The local search had not converged after all the steps it was allowed: raise max_steps."
NOWHERE = "At no candidate could the model be evaluated and was stable: look at its response at the start."


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
    model: Any,
    *,
    omega: Numbers | None = None,
    band: Any = None,
    free: Any,
    out: Any,
    into: Any,
    max_insertion_loss: Any = None,
    isolation_cap: Any = 60.0,
    tolerances: Any = None,
    amplitude: Any = 1.0,
    points: Any = 21,
    starts: Any = 8,
    transforms: Any = None,
    tolerance: Any = 1e-8,
    max_steps: Any = 200,
    key: Any = None,
    throw: Any = False,
) -> Design:
    """The design of largest isolation I; among designs at the cap, the one of least insertion loss L:

        max_x min_ω I(x, ω)  subject to  L(x, ω) ≤ max_insertion_loss;     where that reaches the cap:
        min_x max_ω L(x, ω)  subject to  I(x, ω) ≥ isolation_cap

    and with tolerances δ for the worst of x + s·δ as well, s ∈ {0} ∪ {−1, +1}^p.

    **Arguments:**

    - `model`: any `AbstractPortModel`; or a fit, such as a `ModeFit`: then its model, with its uncertainty as
      tolerances unless they are given ({} for none).
    - `omega`: [], the frequency, or `band`: (lowest, highest), in the model's rate unit; one of the two.
    - `free`: the leaves to design: a path ("loss.gamma_k"), several, or a callable `model -> leaves`.
    - `out`, `into`: the ports of the direction that passes.
    - `max_insertion_loss`: [dB], not negative; default none. It needs power-normalised ports.
    - `isolation_cap`: [dB], positive: more isolation than this is worth nothing. Good values: 20 … 100.
    - `tolerances`: `{path: half-width}`, absolute, in the leaf's unit, a number or of the leaf's shape: the design is
      judged at its worst over the box of that size around its own values, at the 2^p corners and the centre. Any real
      leaves, free or not; at most 8 entries may have a half-width other than 0. A leaf stops at its physical bounds. Or
      a fit's `scenarios()`, in which leaves move together.
    - `amplitude`: [], of the drive; it matters for laws that depend on power. Default 1.
    - `points`: frequencies at which a band is sampled, its ends included (default 21); between them nothing is seen.
    - `starts`: local searches (default 8); 1 starts from the model as it is, which is what an expensive one wants.
    - `transforms`: `{path: transform}`, see `optimize.transforms`. A leaf that would grow without end, since the device
      is the better the larger a rate, needs an `Interval`.
    - `tolerance`: step, relative to a leaf's scale, at which local searches end (default 1e-8); `max_steps`:
      evaluations allowed to each (default 200).
    - `key`: shifts the candidates; the same key gives the same design.
    - `throw`: raise unless the search converged and every limit is met. By default the best design found is returned in
      any case, and `converged`, `feasible` and `message` say what it is.

    **Returns:** a `Design`; `objective` is the isolation in dB.

    **Raises:** `ValueError` for arguments that make no sense; `RuntimeError` with the message of the design if `throw`.
    Limits that no design meets set `feasible` to False.

    **Notes:** a design that is unstable in some case counts as one that cannot be evaluated. Corners are the worst case
    where the response is monotone across the box; extremes inside it are not seen, as between the points of a band.
    Where ports are not power-normalised the cap's tie goes to the largest passing amplitude. A matched pair of
    resonators obeys L ≥ 10 log10(1 + γ_k/κ): perfect isolation costs 3.01 dB. The first call compiles for seconds.

    Usage: `maximise_isolation(pair, omega=0.0, free="loss.gamma_k", out=0, into=1, max_insertion_loss=3.0).report()`.

    Source: paper 1 (nonreciprocal coupling induced by nonlocal loss engineering); the order of the questions is ours.
    """
    model, tolerances = with_uncertainty(model, tolerances)
    throw, allowed = as_flag(throw, "throw"), math.inf
    if max_insertion_loss is not None:
        allowed = _as_decibels(max_insertion_loss, "max_insertion_loss")
        _require_power("max_insertion_loss", model)
    cap = _as_decibels(isolation_cap, "isolation_cap", "be positive and finite", lowest=math.ulp(0.0))
    cases = Cases.of(
        model, omega=omega, band=band, out=out, into=into, tolerances=tolerances, amplitude=amplitude, points=points
    )
    search = Search.of(
        model, free, cases, starts=starts, transforms=transforms, tolerance=tolerance, max_steps=max_steps, key=key
    )
    return _answer(_most_isolation(search, cap, allowed), throw)


def minimise_insertion_loss(
    model: Any,
    *,
    omega: Numbers | None = None,
    band: Any = None,
    free: Any,
    out: Any,
    into: Any,
    min_isolation: Any,
    tolerances: Any = None,
    amplitude: Any = 1.0,
    points: Any = 21,
    starts: Any = 8,
    transforms: Any = None,
    tolerance: Any = 1e-8,
    max_steps: Any = 200,
    key: Any = None,
    throw: Any = False,
) -> Design:
    """The design of least insertion loss L that isolates enough:

        min_x max_ω L(x, ω)  subject to  I(x, ω) ≥ min_isolation

    **Arguments:** as `maximise_isolation`, with `min_isolation`: [dB], not negative.

    **Returns:** a `Design`; `objective` is the insertion loss in dB.

    **Raises:** `ValueError` as `maximise_isolation`, and for a model whose ports are not power-normalised.
    """
    model, tolerances = with_uncertainty(model, tolerances)
    throw, enough = as_flag(throw, "throw"), _as_decibels(min_isolation, "min_isolation")
    _require_power("model", model)
    cases = Cases.of(
        model, omega=omega, band=band, out=out, into=into, tolerances=tolerances, amplitude=amplitude, points=points
    )
    search = Search.of(
        model, free, cases, starts=starts, transforms=transforms, tolerance=tolerance, max_steps=max_steps, key=key
    )
    return _answer(_least_loss(search, enough), throw)


def maximise_contrast(
    model: Any,
    *,
    omega: Numbers | None = None,
    band: Any = None,
    free: Any,
    out: Any,
    into: Any,
    tolerances: Any = None,
    amplitude: Any = 1.0,
    points: Any = 21,
    starts: Any = 8,
    transforms: Any = None,
    tolerance: Any = 1e-8,
    max_steps: Any = 200,
    key: Any = None,
    throw: Any = False,
) -> Design:
    """The design of largest transmission contrast, which weighs isolation against loss without any limit:

        max_x min_ω |S[out, into]|² − |S[into, out]|²

    **Arguments:** as `maximise_isolation`.

    **Returns:** a `Design`; `objective` is the contrast, between −1 and 1 for a passive device.

    **Raises:** `ValueError` as `maximise_isolation`, and for a model whose ports are not power-normalised.
    """
    model, tolerances = with_uncertainty(model, tolerances)
    throw = as_flag(throw, "throw")
    _require_power("model", model)
    cases = Cases.of(
        model, omega=omega, band=band, out=out, into=into, tolerances=tolerances, amplitude=amplitude, points=points
    )
    search = Search.of(
        model, free, cases, starts=starts, transforms=transforms, tolerance=tolerance, max_steps=max_steps, key=key
    )
    best = search.run(Goal.of(CONTRAST))
    return _answer(_design(search, best, "contrast", True, "none", "This is the largest contrast."), throw)


def _most_isolation(search: Search, cap: float, allowed: float) -> Design:
    """The largest isolation, up to `cap`, with no more than the `allowed` insertion loss."""
    at_cap, as_good = Goal.of(LOSS, least_isolation=cap), Goal.of(RATIO, largest_loss=allowed)
    cap_text = f"The isolation reaches its cap of {cap:g} dB; among such designs this one loses least."

    best = search.run(at_cap)
    if best.feasible and best.objective <= allowed + MET:
        return _design(search, best, "isolation", True, "isolation_cap", cap_text)
    best = search.run(as_good)
    if not best.feasible:
        least = search.run(Goal.of(LOSS))
        if not least.objective <= allowed + MET:
            text = (
                f"No design has an insertion loss of {allowed:g} dB: the least found is {least.objective:.6g} dB, here."
            )
            return _design(search, least, "isolation", False, "max_insertion_loss", text)
        best = search.run(as_good)
    if best.feasible and decibel(best.objective) >= cap:
        best = search.run(at_cap)
        return _design(search, best, "isolation", best.feasible, "isolation_cap", cap_text)
    if best.figures[:, LOSS].max() >= allowed - 10 * MET:
        text = f"The insertion loss of {allowed:g} dB decided: more isolation would cost more."
        return _design(search, best, "isolation", best.feasible, "max_insertion_loss", text)
    text = f"No limit decided: this is the largest isolation, short of the cap of {cap:g} dB."
    return _design(search, best, "isolation", best.feasible, "none", text)


def _least_loss(search: Search, enough: float) -> Design:
    """The least insertion loss with an isolation that is `enough`."""
    best = search.run(Goal.of(LOSS, least_isolation=enough))
    if not best.feasible:
        most = search.run(Goal.of(RATIO))
        largest = decibel(most.objective)
        if not largest >= enough:
            text = f"No design has an isolation of {enough:g} dB: the largest found is {largest:.6g} dB, here."
            return _design(search, most, "insertion_loss", False, "min_isolation", text)
        best = search.run(Goal.of(LOSS, least_isolation=enough))
    if decibel(best.figures[:, RATIO].max()) <= enough + 100 * MET:
        text = f"The isolation of {enough:g} dB decided: less loss would isolate less."
        return _design(search, best, "insertion_loss", best.feasible, "min_isolation", text)
    text = f"No limit decided: this is the least insertion loss, and isolates more than {enough:g} dB."
    return _design(search, best, "insertion_loss", best.feasible, "none", text)


def _design(search: Search, found: Found, what: str, feasible: bool, active: str, text: str) -> Design:
    """The answer, from the design that was found."""
    if not math.isfinite(found.objective):
        feasible, active, text = False, "none", NOWHERE
    elif not found.converged:
        text += f" {EXHAUSTED if found.exhausted else STUCK}"
    reached = worst(found.figures, search.problem.power_normalised)
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


def _answer(design: Design, throw: bool) -> Design:
    if throw and not (design.converged and design.feasible):
        raise RuntimeError(design.message)
    return design


def _as_decibels(
    value: Any, name: str, must: str = "be a number of dB that is finite and not negative", *, lowest: float = 0.0
) -> float:
    require_known(value, name)
    require_shape(as_real(value, name), name, ())
    level = float(value)
    require(lowest <= level < math.inf, name, must, value)
    require(level <= MOST_DECIBELS, name, f"be at most {MOST_DECIBELS:g} dB", value)
    return level


def _require_power(name: str, model: AbstractPortModel) -> None:
    if not model.power_normalised:
        raise ValueError(
            f"Argument {name} must go with power-normalised ports, but |b|² of this {type(model).__name__} is not a "
            "power: it has no insertion loss and no contrast."
        )
