"""The figure of a fit to sweeps: measured amplitudes up and down, with the branches they follow and leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffnr import plot
from diffnr.checks import as_choice
from diffnr.frequency_sweep import FrequencySweep
from diffnr.plot.branches import stable_lines
from diffnr.plot.spectra import HERTZ

MARKS = {"up": ("^", plot.FORWARD), "down": ("v", plot.BACKWARD)}


def draw(sweeps: Sequence[FrequencySweep], branches: Sequence[tuple[Any, ...]], unit: str, amplitude_unit: str) -> Any:
    """The `Figure` of sweeps and of the branches fitted to them, as `OscillatorFit.branches` gives these."""
    import matplotlib.pyplot as plt

    as_choice(unit, "unit", tuple(HERTZ))
    per = 2 * np.pi * HERTZ[unit]
    n = sweeps[0].num_oscillators
    largest = np.max([np.max(np.asarray(sweep.amplitude), axis=0) for sweep in sweeps], axis=0)
    factor, prefix = _thousands(largest, amplitude_unit)
    with plot.style():
        figure, panels = plt.subplots(1, n, figsize=(3.5 * n, 2.8), squeeze=False, layout="constrained")
        for j, ax in enumerate(panels[0]):
            for _, omega, amplitude, stable in branches:
                x, y = np.asarray(omega) / per, np.asarray(amplitude[:, j]) * factor
                stable_lines(ax, x, y, stable, color="black", lw=1.0, zorder=3)
            for sweep in sweeps:
                marker, colour = MARKS[sweep.direction]
                x, y = np.asarray(sweep.omega) / per, np.asarray(sweep.amplitude[:, j]) * factor
                ax.plot(x, y, "-", color=colour, lw=0.5, alpha=0.5, zorder=1)  # shows the jumps
                ax.plot(x, y, marker, color=colour, ms=2.8, mfc="none", mew=0.5)
            ax.set(xlabel=f"Frequency ({unit})", ylabel=f"Amplitude ({prefix}{amplitude_unit})".replace(" ()", ""))
            ax.set_ylim(bottom=0.0)
            if n > 1:
                ax.set_title(f"Oscillator {j + 1}")
        handles = [
            panels[0, 0].plot([], [], mark, color=colour, ms=2.8, mfc="none", mew=0.5, label=f"measured, {way}")[0]
            for way, (mark, colour) in MARKS.items()
            if any(s.direction == way for s in sweeps)
        ]
        handles += [
            panels[0, 0].plot([], [], style, color="black", lw=1.0, label=label)[0]
            for style, label in (("-", "fitted, stable"), ("--", "unstable"))
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=4 if n > 1 else 2)
    return figure


def _thousands(largest: np.ndarray, unit: str) -> tuple[float, str]:
    """A factor that brings amplitudes to 1 … 1000, and its prefix; none for a unit without a name."""
    if not unit:
        return 1.0, ""
    for factor, prefix in ((1.0, ""), (1e3, "m"), (1e6, "µ"), (1e9, "n")):
        if largest.max() * factor >= 1:
            return factor, prefix
    return 1e12, "p"
