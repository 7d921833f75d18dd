"""How many resonances data show: an information criterion, and which modes stand for no resonance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from optimize.mode_fit.concerns import impossible_modes, unseen_modes
from optimize.mode_fit.negative_frequencies import Images
from optimize.mode_fit.problem import RESTARTS

Host = Any
FAILURES = 2  # numbers of modes in a row that are no better, after which no more are tried
DOUBTED = 3  # numbers of modes in a row some of which are doubtful: neither
DECISIVE = 10  # lower a criterion: modes are demanded
WIDEST = 2 / 3  # of the band: a wider mode stands for the direct path


class Candidate(NamedTuple):
    """A fit of some modes, as far as it is judged.

    **Fields:** `data`, `coefficients`, `stderr` as in a `ModeFit`; `unknowns` that it identifies; `rms` of S_fit − S;
    `deviance`, −2 log likelihood, and the `least` that any fit could have; `numbers` described; `correlation` of
    neighbouring residuals, 0 where they look like noise (`noise_like`); `response`, from which the fit goes on;
    `imaged`, whether images of its poles at negative frequencies make a difference.
    """

    data: Any
    coefficients: Any
    stderr: Any
    unknowns: int
    rms: float
    deviance: float
    least: float
    numbers: int
    correlation: float
    noise_like: bool
    response: Any
    imaged: bool = False

    @property
    def modes(self) -> int:
        return len(self.response.A)


class ModeChoice(eqx.Module):
    """What `fit_modes(data, modes="auto")` chose the number of resonances by: the Bayesian information criterion

        BIC = ν (−2 log L) + p log(ν n),      ν = (1 − ρ)/(1 + ρ)

    of p unknowns and n real numbers. Neighbouring residuals are correlated by ρ ≥ 0 in the fit that is closest, so that
    they count as ν n independent numbers: without it, systematic errors would ask for ever more modes. Where σ is not
    known, L is the largest that any σ of each entry gives. Chosen is the number with the lowest criterion of those none
    of whose modes is doubtful (`concerns`).

    **Fields:** `modes` [k], the numbers tried, after a few steps of each fit; `unknowns` [k]; `rms` [k], of S_fit − S;
    `criterion` [k], less the lowest; `concerns` [k], what makes modes doubtful, or ""; `chosen`; `correlation`, ρ;
    `sentence`, the choice in words.

    Usage: `print(fit_modes(data).choice.table())`.

    Source: G. Schwarz 1978.
    """

    modes: Int[Array, " k"]
    unknowns: Int[Array, " k"]
    rms: Float[Array, " k"]
    criterion: Float[Array, " k"]
    concerns: tuple[str, ...] = eqx.field(static=True)
    chosen: int = eqx.field(static=True)
    correlation: float = eqx.field(static=True)
    sentence: str = eqx.field(static=True)

    def table(self) -> str:
        """The numbers tried, one a line."""
        rows = zip(self.modes.tolist(), self.unknowns.tolist(), self.rms.tolist(), self.criterion.tolist(), strict=True)
        lines = [f"  {'modes':>5} {'unknowns':>8} {'rms misfit':>10} {'criterion':>10}"]
        for (modes, unknowns, rms, criterion), concern in zip(rows, self.concerns, strict=True):
            said = "chosen" if modes == self.chosen else concern
            lines.append(f"  {modes:>5} {unknowns:>8} {rms:>10.2g} {criterion:>10.5g}  {said}".rstrip())
        return "\n".join(lines)

    @property
    def excluded(self) -> list[str]:
        """A sentence where more modes would describe the data better, and are doubtful."""
        better = [n for n in np.argsort(self.criterion).tolist() if self.criterion[n] < self.criterion[self.chosen]]
        if not better:
            return []
        n = better[0]
        return [
            f"{_count(n)} would describe the data better than {self.chosen}, but {_inner(self.concerns[n])} "
            f"To fit them all the same, give modes={n}."
        ]


def choose(candidate: Callable[..., Candidate], most: int, images: Images | None = None) -> tuple[Any, ModeChoice]:
    """The number of modes that the data show, from 0 to `most`, and a response with as many to go on from; `candidate`
    takes some steps with a number of them, and with more starts where `restarts` says so. Where `images` of poles
    at negative frequencies would make a difference, all numbers are tried with them too.

    **Raises:** `ValueError` where they show none.
    """
    tried = _numbers(candidate, most)
    if images is not None and any(one.imaged for one in tried):
        others = _numbers(partial(candidate, mirror=images.mirror), most)
        lowest = [criteria(part, [*tried, *others])[0][_best(part)] for part in (tried, others)]
        tried = others if images.preferred(lowest[0] - lowest[1]) else tried
    return _chosen(tried)


def _numbers(candidate: Callable[..., Candidate], most: int) -> list[Candidate]:
    """The numbers of modes that are worth a trial, from 0 on."""
    tried: list[Candidate] = []
    again: set[int] = set()  # numbers that were tried from more starts
    while len(tried) <= most and not _enough(tried):
        tried.append(candidate(len(tried), restarts=0))
        # Modes that stand for no resonance may stand for delays that were not found.
        lowest = tried[_lowest(tried)]
        doubted = list(_concerns(tried, lowest.modes))
        kept = np.delete(np.arange(lowest.modes), doubted)
        if doubted and kept.size and kept.size not in again:
            again.add(kept.size)
            other = candidate(kept.size, restarts=RESTARTS, start=lowest.response.part(kept))
            tried[kept.size] = min(tried[kept.size], other, key=lambda one: one.deviance)
    chosen = _best(tried)
    while chosen > 1:  # one mode fewer might have missed the delays that more have found
        response = tried[chosen].response
        other = candidate(
            chosen - 1, restarts=0, start=response.part(np.delete(np.arange(chosen), _weakest(tried[chosen])))
        )
        if other.deviance >= tried[chosen - 1].deviance:
            break
        tried[chosen - 1] = other
        if _best(tried) == chosen:
            break
        chosen = _best(tried)
    return tried


def _chosen(tried: list[Candidate]) -> tuple[Any, ModeChoice]:
    chosen = _best(tried)
    concerns = [next(iter(_concerns(tried, n).values()), "") for n in range(len(tried))]
    criterion, correlation = criteria(tried)
    lowest = _lowest(tried)
    if not chosen:
        raise ValueError(_no_resonance(tried[0], lowest, concerns[lowest]))
    choice = ModeChoice(
        modes=jnp.arange(len(tried)),
        unknowns=jnp.asarray([one.unknowns for one in tried]),
        rms=jnp.asarray([one.rms for one in tried]),
        criterion=jnp.asarray(criterion - criterion[lowest]),
        concerns=tuple(concerns),
        chosen=chosen,
        correlation=correlation,
        sentence=_sentence(criterion, concerns, chosen, correlation),
    )
    return tried[chosen].response, choice


def _best(tried: Sequence[Candidate]) -> int:
    """The number with the lowest criterion of those without doubtful modes."""
    criterion = criteria(tried)[0]
    return min((n for n in range(len(tried)) if not _concerns(tried, n)), key=lambda n: criterion[n])


def _weakest(one: Candidate) -> int:
    """The mode whose line is lowest."""
    residues: Host = np.asarray(one.coefficients.residues)
    heights = np.linalg.norm(residues, axis=(1, 2)) / np.abs(np.asarray(one.coefficients.gamma))
    return int(np.argmin(heights))


def _lowest(tried: Sequence[Candidate]) -> int:
    return int(np.argmin(criteria(tried)[0]))


def _enough(tried: Sequence[Candidate]) -> bool:
    """Whether more modes have nothing left to describe."""
    if not tried:
        return False
    best = _lowest(tried)
    one = tried[best]
    if one.deviance - one.least < np.log(one.numbers):
        return True
    last = len(tried) - 1
    good = max(n for n in range(len(tried)) if not _concerns(tried, n))
    return last - best >= (1 if one.noise_like else FAILURES) or last - good >= DOUBTED


def criteria(tried: Sequence[Candidate], every: Sequence[Candidate] | None = None) -> tuple[Host, float]:
    """The criterion of each, and ρ, of those among which the closest is."""
    closest = min(tried if every is None else every, key=lambda one: one.deviance)
    share = (1 - closest.correlation) / (1 + closest.correlation)
    terms = [(one.deviance, one.unknowns) for one in tried]
    criterion = [share * deviance + unknowns * np.log(share * closest.numbers) for deviance, unknowns in terms]
    return np.array(criterion), closest.correlation


def _concerns(tried: Sequence[Candidate], number: int) -> dict[int, str]:
    """Modes that are none of the device, as far as the data can tell, and why. Of two that are nearly one, both
    residues may be within their errors: such modes count where the data demand them."""
    one, criterion = tried[number], criteria(tried)[0]
    omega, coefficients = np.asarray(one.data.omega), one.coefficients
    band = omega[-1] - omega[0]
    modes = zip(coefficients.omega.tolist(), coefficients.gamma.tolist(), strict=True)
    found = {}
    for n, (centre, width) in enumerate(modes):
        if not omega[0] <= centre <= omega[-1]:
            found[n] = f"Mode {n} lies outside of the band: it may stand for the direct path."
        elif 2 * width > WIDEST * band:
            found[n] = f"Mode {n} is wider than two thirds of the band: it may stand for the direct path."
    found = found or impossible_modes(one)
    demanded = number > 0 and criterion[number] < np.min(criterion[:number]) - DECISIVE
    return found if found or demanded else unseen_modes(one)


def _count(modes: int) -> str:
    return "1 mode" if modes == 1 else f"{modes} modes"


def _inner(sentence: str) -> str:
    """A sentence as the end of another."""
    return sentence[:1].lower() + sentence[1:]


def _sentence(criterion: Host, concerns: Sequence[str], chosen: int, correlation: float) -> str:
    other = min((n for n, concern in enumerate(concerns) if not concern and n != chosen), key=lambda n: criterion[n])
    which = " of those without doubtful modes" if any(concerns) else ""
    apart = criterion[other] - criterion[chosen]
    said = f"Chosen: {_count(chosen)}, with the lowest criterion{which} (that of {other}: {apart:.3g} more)."
    if correlation > 0:
        said += (
            f" Neighbouring residuals are correlated by {correlation:.2f}, as systematic errors leave them: numbers "
            f"count as {100 * (1 - correlation) / (1 + correlation):.2g} % as many, and the choice is less sure."
        )
    return said


def _no_resonance(smooth: Candidate, lowest: int, concern: str) -> str:
    if lowest == 0:
        why = f"a direct path without any describes them to an rms misfit of {smooth.rms:.2g}, and modes no better"
    else:
        why = f"no mode that describes them is one for sure ({_count(lowest)}: {_inner(concern).rstrip('.')})"
    return f"Argument data must show a resonance in their band, but {why}. To fit one all the same, give modes=1."
