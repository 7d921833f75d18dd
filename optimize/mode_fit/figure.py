"""The figure of a fit: each entry of S with its fit, and what is left of it, in a panel of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from diffnr import plot
from diffnr.data import name_of_entry
from diffnr.plot.spectra import frequency_axis
from optimize.mode_fit.resonance import in_hertz

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any

Host = Any
BINS = 40  # of frequency: the residual's rows of points are drawn as the mean and the rms of as many
MOST = 16  # entries drawn; of more, those with the largest residual
SIZES = {1: (7.0, 4.8), 2: (7.2, 6.4), 3: (8.6, 8.4), 4: (10.0, 10.4)}  # inches, by columns


def fit_figure(fit: Any) -> Figure:
    """A matplotlib `Figure`; see `ModeFit.plot`."""
    from matplotlib import pyplot as plt

    normalised, sigma = _normalised(np.asarray(fit.residual), np.asarray(fit.noise))
    entries, columns = _entries(np.asarray(fit.data.entries), normalised)
    rows = -(-len(entries) // columns)
    scale, label = frequency_axis(np.asarray(fit.data.omega), None if in_hertz(fit.data) else "rate unit")
    width, height = SIZES[columns]
    with plot.style():
        figure = plt.figure(figsize=(width, height * max(rows / columns, 0.45)), layout="constrained")
        ratios = [2, 1.1] * rows
        axes = figure.subplots(2 * rows, columns, sharex=True, squeeze=False, height_ratios=ratios)
        for k, (out, into) in enumerate(entries):
            row, column = divmod(k, columns)
            upper, lower = axes[2 * row, column], axes[2 * row + 1, column]
            _draw_entry(upper, fit, scale, out, into)
            rms = np.sqrt(np.mean(np.abs(normalised[:, out, into]) ** 2) / 2)
            _draw_residual(lower, np.asarray(fit.data.omega) / scale, normalised[:, out, into])
            name = name_of_entry(fit.data, out, into)[1:]
            upper.set_title(rf"$S_{{{name.replace('_', ',')}}}$, residual {rms:.3g} {sigma}")
            if column == 0:
                upper.set_ylabel("$|S|$ (dB)")
                lower.set_ylabel(f"Residual / {sigma}")
            if k >= len(entries) - columns:
                lower.set_xlabel(label)
                lower.tick_params(labelbottom=True)
        for k in range(len(entries), rows * columns):
            for spare in axes[2 * (k // columns) :, k % columns]:
                spare.set_axis_off()
        figure.align_ylabels()
        parts = [ax.get_legend_handles_labels() for ax in axes[:2, 0]]
        handles, names = (parts[0][n] + parts[1][n] for n in (0, 1))
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def _normalised(residual: Host, noise: Host) -> tuple[Host, str]:
    """The residual in units of its noise, and that unit's name; of the rms of each entry where no noise is known."""
    known = np.isfinite(noise).all(axis=0) & (noise > 0).all(axis=0)
    size = np.sqrt(np.mean(np.abs(residual) ** 2, axis=0) / 2)
    if np.all(known | np.isnan(size)):
        return residual / np.where(known, noise, 1.0), r"$\sigma$"
    return residual / np.where(size > 0, size, 1.0), "rms"


def _entries(measured: Host, normalised: Host) -> tuple[list[tuple[int, int]], int]:
    """Which entries are drawn, and in how many columns: as a matrix, where it is whole."""
    entries = [(out, into) for out, into in np.argwhere(measured).tolist()]
    if len(entries) > MOST:
        size = {entry: float(np.mean(np.abs(normalised[:, *entry]) ** 2)) for entry in entries}
        entries = sorted(sorted(entries, key=lambda entry: -size[entry])[:MOST])
    return entries, min(math.ceil(math.sqrt(len(entries))), max(SIZES))


def _draw_entry(ax: Axes, fit: Any, scale: float, out: int, into: int) -> None:
    omega, s = np.asarray(fit.data.omega), np.asarray(fit.data.s)[:, out, into]
    fine = np.linspace(omega[0], omega[-1], max(1001, 2 * len(omega)))
    model = np.asarray(fit.predict(fine))[:, out, into]
    ax.plot(omega / scale, _decibel(s), "o", color=plot.COLOURS[5], ms=2.2, mew=0, label="data")
    ax.plot(fine / scale, _decibel(model), color=plot.COLOURS[6], lw=0.9, label="fit")


def _draw_residual(ax: Axes, x: Host, normalised: Host) -> None:
    parts = np.array_split(np.arange(len(x)), min(BINS, len(x)))
    middle: Host = np.array([np.mean(x[part]) for part in parts])
    mean: Host = np.array([np.mean(normalised[part]) for part in parts])
    rms: Host = np.array([np.sqrt(np.mean(np.abs(normalised[part]) ** 2) / 2) for part in parts])
    ax.fill_between(middle, -rms, rms, step="mid", color="#DDDDDD", lw=0, label=f"±rms of {len(parts)} bins")
    for level in (-1, 1):
        ax.axhline(level, color=plot.GREY, lw=0.6, ls=":")
    ax.plot(middle, mean.real, color=plot.FORWARD, lw=1.0, label="mean, real part")
    ax.plot(middle, mean.imag, color=plot.BACKWARD, lw=1.0, label="imaginary part")
    reach = max(1.6, 1.1 * float(np.max([rms, np.abs(mean.real), np.abs(mean.imag)])))
    ax.set_ylim(-reach, reach)


def _decibel(s: Host) -> Host:
    size = np.abs(s)
    return 20 * np.log10(np.where(size > 0, size, np.nan))
