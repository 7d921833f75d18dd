r"""Nonlinear oscillators from measured sweeps
==========================================

Cantilever beams shaken at a frequency that is stepped up and down: only amplitudes were measured, and they jump. A
chain of oscillators with cubic springs is fitted to all points and jumps at once, without start values: one oscillator
for one beam (left), two coupled ones for two beams (middle and right). Curves are the fitted branches, stable parts
solid and unstable ones dashed; grey bars are the steps in which the measured amplitude jumps, and the folds that were
fitted lie inside of them.

Standard errors count neighbouring points as the few independent ones that they are: what is left of the data is no
noise, but what the model lacks, .3 % of the largest amplitude for one beam and 1.3 % for two.

Data: github.com/tbreunung/FrID (MIT licence); Breunung and Balachandran, Journal of Sound and Vibration, 2024, 118651.
The files are in ``tests/data/measured``, with their licence.
"""

import csv
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import diffnr as nr
import optimize as op
from diffnr import plot
from diffnr.plot.branches import stable_lines

jax.config.update("jax_enable_x64", True)

DATA = Path(__file__).absolute().parents[1] / "tests" / "data" / "measured"
HERTZ = 2 * np.pi
MICRO = 1e6
LOOK = {"up": ("^", plot.FORWARD), "down": ("v", plot.BACKWARD)}
FILES = {1: "frid_single_beam_sweep.csv", 2: "frid_two_beam_sweep.csv"}
TOP = 0.64  # of a panel: numbers are above


def measured(beams: int) -> tuple[nr.FrequencySweep, ...]:
    """The sweeps of a file, up and down."""
    with (DATA / FILES[beams]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    columns = ["amp_V"] if beams == 1 else ["q1_amp_V", "q2_amp_V"]
    ways = {way: [row for row in rows if row["sweep"] == way] for way in LOOK}
    return tuple(
        nr.FrequencySweep(
            HERTZ * np.array([float(row["frequency_hz"]) for row in way]),
            np.array([[float(row[column]) for column in columns] for row in way]),
            name,
        )
        for name, way in ways.items()
    )


def draw(ax: Axes, fit: Any, beam: int) -> None:
    """Measured amplitudes of one beam, the branches fitted, and the jumps."""
    for before, after in fit.jumps.measured / HERTZ:
        ax.axvspan(before, after, ymax=TOP, color="#D0D0D0", lw=0, zorder=0)
    for _, omega, amplitude, stable in fit.branches():
        x, y = np.asarray(omega) / HERTZ, MICRO * np.asarray(amplitude[:, beam])
        stable_lines(ax, x, y, stable, label="fitted", color="black", lw=1.0, zorder=3)
    for sweep in fit.sweeps:
        marker, colour = LOOK[sweep.direction]
        x, y = np.asarray(sweep.omega) / HERTZ, MICRO * np.asarray(sweep.amplitude[:, beam])
        ax.plot(x, y, marker, color=colour, ms=2.4, mfc="none", mew=0.5, label=sweep.direction)
    ax.set(xlabel="frequency (Hz)", ylim=(0, None))
    ax.text(0.02, 0.99, table(fit, beam), transform=ax.transAxes, va="top", size=6.5, linespacing=1.35)
    ax.set_ylim(0, ax.get_ylim()[1] / TOP)


def table(fit: Any, beam: int) -> str:
    """The parameters of one beam with their standard errors and, once, what couples it and where the model jumps."""
    value, error = fit.oscillators, fit.stderr
    rows = [
        (r"$\omega/2\pi$", value.frequency[beam] / HERTZ, error.frequency[beam] / HERTZ, "Hz"),
        (r"$\delta$", value.damping[beam], error.damping[beam], "rad/s"),
        (r"$\gamma$", value.stiffening[0, beam] / 1e12, error.stiffening[0, beam] / 1e12, r"rad²/s²/µV²"),
        ("$F$", 1e3 * value.force[beam], 1e3 * error.force[beam], "mV rad²/s²"),
    ]
    if beam == 1:
        rows += [
            (r"$k$", value.coupling[0], error.coupling[0], "rad²/s²"),
            ("scale", value.scale[0], error.scale[0], ""),
        ]
    text = [f"{name} = {quoted(float(x), float(e))} {unit}".rstrip() for name, x, e, unit in rows]
    if beam == 0:
        for (before, after), fold, e in zip(fit.jumps.measured, fit.jumps.fitted, fit.jumps.stderr, strict=True):
            text.append(f"{before / HERTZ:.2f} → {after / HERTZ:.2f} Hz: fold {quoted(fold / HERTZ, e / HERTZ)}")
    return "\n".join(text)


def quoted(value: float, error: float) -> str:
    """value ± error, to two digits of the error."""
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def main(small: bool = False) -> Figure:
    """Fit and draw one beam and two, and print both reports; `small` takes one beam alone, at one harmonic."""
    cases = (1,) if small else (1, 2)
    fits = [op.fit_oscillators(measured(beams), num_harmonics=1 if small else 3) for beams in cases]
    with plot.style():
        figure, axes = plt.subplots(1, sum(cases), figsize=(3.2 * sum(cases), 3.6), squeeze=False)
        panels = [(fit, beam) for fit in fits for beam in range(fit.sweeps[0].num_oscillators)]
        for ax, (fit, beam) in zip(axes[0], panels, strict=True):
            draw(ax, fit, beam)
            whose = "one beam" if fit is fits[0] else f"two beams: {('first', 'second')[beam]}"
            ax.set_title(whose)
        axes[0, 0].set_ylabel("amplitude (µV)")
        figure.legend(*_once(axes[0, 0]), loc="outside upper right", ncols=3)
    for fit in fits:
        print(fit.report())
    return figure


def _once(ax: Axes) -> tuple[list, list]:
    """Handles and labels of a legend, each label once."""
    handles, labels = ax.get_legend_handles_labels()
    first = {label: handle for handle, label in reversed(list(zip(handles, labels, strict=True)))}
    return list(first.values()), list(first)


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
