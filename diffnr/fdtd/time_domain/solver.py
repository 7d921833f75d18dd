"""The step as a diffrax solver, for what stands on diffeqsolve and SaveAt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from diffnr.fdtd.time_domain.functional import as_waveforms
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, as_update
from diffnr.fdtd.time_domain.march import Source, driven_step, strengths_of


class Leapfrog(diffrax.AbstractSolver):
    """The same leapfrog step as `propagate`'s as a diffrax solver, equal to round-off:

        solver = fdtd.Leapfrog(update, sources)
        diffrax.diffeqsolve(solver.term, solver, 0.0, steps * update.step, update.step, update.zero_fields(),
                            saveat=diffrax.SaveAt(ts=…), stepsize_controller=diffrax.ConstantStepSize())

    **Arguments:** `update`: `Update.of(scene)`; `sources`: pairs of a functional and its strength s(t).

    **Raises:** `ValueError` for what is no update, sources off the grid; at run time, if a step is not the one that
    `update` was made for: take `dt0=update.step`, and times that are whole numbers of steps apart.

    **Notes:** E is at the time of the solution, H, J and K half a step before it. Between steps diffrax interpolates
    linearly, which is of second order. `propagate` is the faster loop.
    """

    update: Update
    sources: tuple[Source, ...]

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., diffrax.LocalLinearInterpolation]] = diffrax.LocalLinearInterpolation

    def __init__(self, update: Any, sources: Any = ()):
        self.update = as_update(update)
        self.sources = as_waveforms(sources, self.update)

    @property
    def term(self) -> diffrax.ODETerm:
        """∂fields/∂t as the step sees it: (fields⁺ − fields)/Δt."""
        return diffrax.ODETerm(self._rate)

    def order(self, terms: PyTree) -> int:
        return 2

    def init(self, terms: PyTree, t0: Any, t1: Any, y0: Fields, args: PyTree) -> None:
        return None

    def step(
        self, terms: PyTree, t0: Any, t1: Any, y0: Fields, args: PyTree, solver_state: None, made_jump: Any
    ) -> tuple[Fields, None, dict[str, Any], None, diffrax.RESULTS]:
        same = jnp.abs(t1 - t0 - self.update.step) < 1e-3 * self.update.step
        y0 = eqx.error_if(
            y0, ~same, "Argument dt0 must be update.step, with t1 and saved steps a whole number of it from t0."
        )
        y1 = self._advance(t0, y0)
        return y1, None, {"y0": y0, "y1": y1}, None, diffrax.RESULTS.successful

    def func(self, terms: PyTree, t0: Any, y0: Fields, args: PyTree) -> Fields:
        return self._rate(t0, y0, args)

    def _rate(self, t: Any, y: Fields, args: PyTree) -> Fields:
        later = self._advance(t, y)
        return jax.tree_util.tree_map(lambda after, before: (after - before) / self.update.step, later, y)

    def _advance(self, t: Array, fields: Fields) -> Fields:
        # The step's number, not the sum of steps, tells the time: as `propagate` does, to the last digit.
        now = jnp.round(t / self.update.step) * self.update.step
        step = self.update.step
        strengths = [
            strengths_of(source, waveform, (now + (0.0 if source.component == "hz" else 0.5) * step)[None])[0]
            for source, waveform in self.sources
        ]
        return driven_step(self.update, self.sources, fields, strengths)
