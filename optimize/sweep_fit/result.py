"""What `fit_oscillators` returns: oscillators with errors, jumps measured and fitted, a report and a figure."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from diffnr.duffing import OscillatorChain
from diffnr.frequency_sweep import FrequencySweep
from diffnr.results import AbstractAnswer
from optimize.sweep_fit.figure import draw
from optimize.sweep_fit.oscillators import Nearest, SweptOscillators, branch, stable
from optimize.sweep_fit.table import SweepTable
from optimize.verdict import ResidualVerdict


class Jumps(eqx.Module):
    """Where sweeps jump, in the order of the sweeps and of the points in them, rad/s.

    **Fields:** `measured` [jump, 2]: the frequencies before and after; `fitted` [jump]: the fold in which the branch
    ends that was left, NaN where the model has none; `stderr` [jump]; `sweep`: the index of each one's sweep.
    """

    measured: Float[np.ndarray, "jump 2"]
    fitted: Float[np.ndarray, " jump"]
    stderr: Float[np.ndarray, " jump"]
    sweep: tuple[int, ...] = eqx.field(static=True)

    @property
    def steps_off(self) -> Float[np.ndarray, " jump"]:
        """How far each fold lies outside of the interval measured, in steps of the sweep: 0 inside, NaN for none."""
        low, high = self.measured.min(axis=1), self.measured.max(axis=1)
        outside = np.maximum(np.maximum(low - self.fitted, self.fitted - high), 0.0)
        return np.where(np.isnan(self.fitted), np.nan, outside / (high - low))


class OscillatorFit(AbstractAnswer):
    """A chain of nonlinear oscillators fitted to sweeps, returned by `fit_oscillators`.

    **Fields:**

    - `oscillators`, `stderr`: `SweptOscillators`, values and standard errors, in the units of the data; an error is NaN
      where the data do not identify the number. `covariance` [q, q]: of the numbers of `rows()`.
    - `model`: an `OscillatorChain` of masses 1, displacements in the unit of oscillator 0's amplitude; oscillator j
      reads `oscillators.scales[j]` times its displacement, and is driven by `oscillators.force[j]/scales[j]`.
    - `jumps`: measured and fitted. `residual` [point, oscillator]: amplitude of the nearest point of the branch less
      the measured one, sweep after sweep.
    - `verdict`, a `ResidualVerdict`; `sweeps`, `table`, `nearest`: the data, and their points on the branches in the
      solver's units; `result`, of `RESULTS`; `steps`.
    """

    oscillators: SweptOscillators
    stderr: SweptOscillators
    covariance: Float[np.ndarray, "q q"]
    model: OscillatorChain
    jumps: Jumps
    residual: Float[np.ndarray, "point oscillator"]
    verdict: ResidualVerdict
    sweeps: tuple[FrequencySweep, ...]
    table: SweepTable
    nearest: Nearest
    result: Any
    steps: int

    @property
    def misfit(self) -> Float[np.ndarray, " oscillator"]:
        """The root mean square residual of each oscillator, as a part of its largest amplitude."""
        return np.sqrt(np.mean(self.residual**2, axis=0)) / np.asarray(self.table.unit)

    @property
    def stable(self) -> Bool[Array, " point"]:
        """Whether the orbit nearest to each point, [point], is a stable one."""
        return stable(self._scaled, self.nearest.y, self.nearest.omega, self.model.num_harmonics)

    @property
    def _scaled(self) -> SweptOscillators:
        return self.oscillators.rescaled(1 / self.table.rate, 1 / self.table.unit, 1 / self.table.top)

    def rows(self) -> list[tuple[str, float, float]]:
        """Every number with its name and its standard error."""
        rows = []
        for field in dataclasses.fields(self.oscillators):
            value, error = (np.asarray(getattr(x, field.name)) for x in (self.oscillators, self.stderr))
            for index in np.ndindex(value.shape):
                name = f"{field.name}[{','.join(map(str, index))}]"
                rows.append((name, float(value[index]), float(error[index])))
        return rows

    def branches(self) -> list[tuple[int, Array, Array, Array]]:
        """The model's branches over the measured frequencies, one for each drive: (index of the first of its sweeps, ω
        [point] in rad/s, amplitudes [point, oscillator], stable [point])."""
        table, num_harmonics = self.table, self.model.num_harmonics
        start = np.cumsum([0, *(s.omega.size for s in self.sweeps)])
        drives: dict[Any, list[int]] = {}
        for i, sweep in enumerate(self.sweeps):
            drives.setdefault((sweep.port, float(sweep.level)), []).append(i)
        found = []
        for group in drives.values():
            points = np.concatenate([np.arange(start[i], start[i + 1]) for i in group])
            omega = np.asarray(table.omega)[points]
            ends = points[np.argmin(omega)], points[np.argmax(omega)]
            feet = [float(self.nearest.omega[end]) for end in ends]
            bounds = jnp.array([min(omega.min(), feet[0]), max(omega.max(), feet[1])])
            for end, sign in zip(ends, (1.0, -1.0), strict=True):
                orbit = jnp.asarray(self.nearest.y[end]), jnp.asarray(self.nearest.omega[end])
                w, amplitude, steady = branch(
                    self._scaled, jnp.asarray(table.level[end]), orbit, bounds, jnp.asarray(sign), num_harmonics
                )
                count = int(jnp.sum(jnp.isfinite(w)))
                found.append((group[0], table.rate * w[:count], table.unit * amplitude[:count], steady[:count]))
                if w[count - 1] >= bounds[1]:  # it came through: the other end is on it
                    break
        return found

    def report(self) -> str:
        """Values ± standard errors, jumps, and what the residual looks like, as text."""
        n, points = self.sweeps[0].num_oscillators, sum(s.omega.size for s in self.sweeps)
        what = "1 oscillator" if n == 1 else f"{n} coupled oscillators"
        lines = [f"{what} fitted to {len(self.sweeps)} sweeps, {points} points (rad/s; in Hz divide by 2π)"]
        for name, value, error in self.rows():
            lines.append(
                f"  {name:<18}{value:>16.8g}  " + (f"± {error:.2g}" if np.isfinite(error) else "not identified")
            )
        hertz = 2 * np.pi
        for i, (before, after) in enumerate(self.jumps.measured / hertz):
            sweep, fold = self.sweeps[self.jumps.sweep[i]], self.jumps.fitted[i] / hertz
            fitted = f"fold at {fold:.6g} ± {self.jumps.stderr[i] / hertz:.1g} Hz" if np.isfinite(fold) else "no fold"
            lines.append(f"jump {sweep.direction:<5} {before:.6g} → {after:.6g} Hz: {fitted}  {sweep.name}".rstrip())
        parts = ", ".join(f"{100 * part:.2g} %" for part in self.misfit)
        lines.append(f"root mean square residual: {parts} of the largest amplitude")
        lines.append(self.verdict.sentence)
        astray = int(np.sum(~np.asarray(self.stable)))
        if astray:
            lines.append(f"{astray} points lie nearest to an unstable part of a branch.")
        if not self.converged:
            lines.append("The fit did NOT converge: raise max_steps, or starts.")
        return "\n".join(lines)

    def plot(self, *, unit: str = "Hz", amplitude_unit: str = "") -> Any:
        """A matplotlib `Figure`: a panel for each oscillator, measured amplitudes up and down, and the fitted branches,
        stable parts solid and unstable ones dashed.

        **Arguments:** `unit`: of the ordinary frequency, "Hz" (default) or "kHz", "MHz", "GHz"; `amplitude_unit`: of
        the amplitudes, for the axis' label.
        """
        return draw(self.sweeps, self.branches(), unit, amplitude_unit)
