"""The search behind `isolation.design`: a problem, a goal with its limits, and the designs measured so far.

Candidates spread over the free leaves (`isolation.starts`) are measured first; the best of them start local searches
(`optimize.constrained`), all at once. Nothing here knows what the model is made of.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import as_count, as_key, as_positive, require_known
from diffnr.parameters import Free
from diffnr.ports import AbstractPortModel
from optimize.constrained import ConstrainedSolution, Linearisation, minimise_constrained
from optimize.isolation.cases import CONTRAST, Cases, figures
from optimize.isolation.starts import candidates, choose, ranking
from optimize.transforms import Parametrisation

CANDIDATES_PER_START = 32
MOST_STARTS = 4096
MET = 1e-6  # a limit is met within 1e-6 dB of insertion loss, or 1e-6 of the ratio (9e-6 dB of isolation)
TIE = 1e-9  # designs whose values differ by less are equally good


class DesignProblem(eqx.Module):
    """A model's free leaves, and the cases in which it is judged: everything that compiled code needs to know."""

    parametrisation: Parametrisation
    cases: Cases

    @property
    def power_normalised(self) -> bool:
        return self.parametrisation.model.power_normalised

    def figures(self, u: Float[Array, " n"]) -> Float[Array, "case figure"]:
        """The figures in every case."""
        return self.cases.figures(self.parametrisation.build(u))

    def linearise(self, u: Float[Array, " n"]) -> tuple[Float[Array, "case 3"], Float[Array, "case 3 n"]]:
        """The figures in every case, with their derivatives: two adjoint solves a case."""

        def powers(u: Array, omega: Array, shifts: dict[str, Array]) -> tuple[Array, Array]:
            both = self.cases.powers(self.parametrisation.build(u), omega, shifts)
            return both, both

        each = jax.vmap(jax.jacrev(powers, has_aux=True), (None, 0, 0))
        slopes, both = each(u, self.cases.omegas, self.cases.shifts)
        return jax.vmap(figures)(both), jax.vmap(jax.jacfwd(figures))(both) @ slopes


class Goal(eqx.Module):
    """min max_case (weights · figures) subject to slopes · (ratio, loss) + offsets ≤ 0.

    A goal is numbers only, so that one compilation serves every goal.
    """

    weights: Array | np.ndarray  # [3]
    slopes: Array | np.ndarray  # [2]
    offsets: Array | np.ndarray  # [2]

    @classmethod
    def of(cls, figure: int, least_isolation: float = -math.inf, largest_loss: float = math.inf) -> Goal:
        """The figure to make small (the contrast: large), with limits in dB."""
        limited = math.isfinite(largest_loss)
        weights = np.zeros(3)
        weights[figure] = -1.0 if figure == CONTRAST else 1.0
        slopes = np.array([10 ** (least_isolation / 20), float(limited)])
        return cls(weights, slopes, np.array([-1.0, -largest_loss if limited else -1.0]))

    def linearise(self, problem: DesignProblem, u: Float[Array, " n"]) -> Linearisation:
        """What `minimise_constrained` asks of its functions; aux is the figures [case, 3]."""
        found, slopes = problem.linearise(u)
        weights, limits, offsets = (x.astype(u.dtype) for x in (self.weights, self.slopes, self.offsets))
        g, dg = found[:, :2] * limits + offsets, slopes[:, :2] * limits[:, None]
        return found @ weights, g.ravel(), jnp.einsum("fcn,c->fn", slopes, weights), dg.reshape(-1, u.size), found

    def judge(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Objective and violation of designs with figures [design, case, 3]; inf where these are not finite."""
        with np.errstate(invalid="ignore"):
            value = np.max(found @ self.weights, -1)
            excess = np.max(found[..., :2] * self.slopes + self.offsets, (-2, -1))
        bad = ~np.isfinite(value) | ~np.isfinite(excess)
        return np.where(bad, np.inf, value), np.where(bad, np.inf, np.where(excess <= MET, 0.0, excess))


@eqx.filter_jit
def _solve(
    problem: DesignProblem, goal: Goal, starts: Float[Array, "start n"], tolerance: float, max_steps: Array
) -> ConstrainedSolution:
    """Local searches from every start."""

    def solve(start: Array) -> ConstrainedSolution:
        return minimise_constrained(
            lambda u: goal.linearise(problem, u), start, tolerance=tolerance, max_steps=max_steps
        )

    return jax.vmap(solve)(starts)


@eqx.filter_jit
def _measure(problem: DesignProblem, designs: Float[Array, "design n"]) -> Float[Array, "design case figure"]:
    return jax.vmap(problem.figures)(designs)


@eqx.filter_jit
def _build(parametrisation: Parametrisation, u: Float[Array, " n"]) -> tuple[AbstractPortModel, dict[str, Array]]:
    return parametrisation.build(u), parametrisation.values(u)


@dataclasses.dataclass(frozen=True)
class Found:
    """The best of the designs known after a search: the goal's objective there, and whether its limits are met."""

    u: np.ndarray
    figures: np.ndarray  # [case, 3]
    objective: float
    feasible: bool
    converged: bool
    exhausted: bool  # all of the steps it was allowed


@dataclasses.dataclass
class Search:
    """The designs measured so far, from the best of which each `run` starts."""

    problem: DesignProblem
    starts: int
    tolerance: float
    max_steps: int
    pool: np.ndarray  # [design, n]; the first is the model as it is
    figures: np.ndarray  # [design, case, 3]
    steps: int = 0

    @classmethod
    def of(
        cls,
        model: AbstractPortModel,
        free: Free,
        cases: Cases,
        *,
        starts: Any,
        transforms: Any,
        tolerance: Any,
        max_steps: Any,
        key: Any,
    ) -> Search:
        """A search that knows the figures of the model as it is, and of candidates around it."""
        starts, max_steps = as_count(starts, "starts", most=MOST_STARTS), as_count(max_steps, "max_steps")
        require_known(tolerance, "tolerance")
        as_positive(tolerance, "tolerance")
        count = CANDIDATES_PER_START * starts if starts > 1 else 0
        parametrisation, pool = candidates(model, free, cases, count=count, transforms=transforms, key=as_key(key))
        problem = DesignProblem(parametrisation, cases)
        parts = [_padded(part, starts) for part in np.split(pool, range(starts, len(pool), starts))]
        found = np.concatenate([_measure(problem, jnp.asarray(part)) for part in parts])
        return cls(problem, starts, float(tolerance), max_steps, pool, found[: len(pool)])

    def solve(self, goal: Goal, starts: np.ndarray) -> ConstrainedSolution:
        """Local searches, always as many at once, so that one compilation serves; their ends join the pool."""
        padded = jnp.asarray(_padded(starts, self.starts))
        solution = _solve(self.problem, goal, padded, self.tolerance, jnp.asarray(self.max_steps))
        self.pool = np.concatenate([self.pool, solution.value[: len(starts)]])
        self.figures = np.concatenate([self.figures, solution.aux[: len(starts)]])
        return solution

    def run(self, goal: Goal) -> Found:
        """The best design known after local searches from the best points known before."""
        chosen = choose(self.pool, *goal.judge(self.figures), self.starts)
        solution = self.solve(goal, self.pool[chosen])
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
        return Found(self.pool[best], self.figures[best], float(value[best]), *flags)

    def build(self, found: Found) -> tuple[AbstractPortModel, dict[str, Array]]:
        """The device that was found, and `{path: value}` of its free leaves."""
        return _build(self.problem.parametrisation, jnp.asarray(found.u))


def _padded(designs: np.ndarray, count: int) -> np.ndarray:
    """`count` designs: the first stands in for those that are missing."""
    return np.concatenate([designs, np.repeat(designs[:1], count - len(designs), axis=0)])
