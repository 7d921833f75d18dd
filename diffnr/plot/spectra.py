"""Figures of S-parameters and of what a fit leaves of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diffnr.checks import Numbers, as_flag, as_inexact, as_real, described, require
from diffnr.data import FieldData
from diffnr.plot.look import COLOURS, GREY, axes_or_new, legend_above, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any

HERTZ = {"THz": 1e12, "GHz": 1e9, "MHz": 1e6, "kHz": 1e3, "Hz": 1.0}


@style()
def s_parameters(
    data: FieldData | Numbers,
    s: Numbers | None = None,
    *,
    model_s: FieldData | Numbers | None = None,
    unit: str | None = None,
    entries: Sequence[tuple[int, int]] | None = None,
    decibel: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """S-parameters over frequency: measured ones as points and, where given, a model's as lines of the same colour.

        20 log10 |S[out, in]|   or   |S[out, in]|

    **Arguments:**

    - `data`: a `FieldData`, or the angular frequencies [f].
    - `s`: complex [f, out, in], or [f] for a one-port; only where `data` is an array of frequencies.
    - `model_s`: complex [f, out, in] at the same frequencies, or a `FieldData` at its own.
    - `unit`: "Hz", "kHz", "MHz", "GHz" or "THz" for the ordinary frequency ω/2π of an ω in rad/s (by default whichever
      suits the data); any other text, such as "10⁶ rad/s", for ω as it stands, in that unit.
    - `entries`: which (out, in) to draw, counted from 0 (default all). Labels count from 1 as in the laboratory: (1, 0)
      is S₂₁.
    - `decibel`: draw dB (default) or |S|. Zeros in dB and NaN are gaps.
    - `ax`: the Axes to draw on (default a new figure's).

    **Returns:** the Axes.

    **Raises:** `ValueError` for shapes that do not go together or an entry there is not.

    Example: `nr.plot.s_parameters(data, model_s=fit.data)`.
    """
    omega, measured = _table("s", data, s)
    modelled = None
    if model_s is not None:
        pair = (model_s, None) if isinstance(model_s, FieldData) else (omega, model_s)
        modelled = _table("model_s", *pair)
        require(modelled[1].shape[1:] == measured.shape[1:], "model_s", "have the ports of the data", modelled[1].shape)
    decibel = as_flag(decibel, "decibel")
    scale, label = frequency_axis(omega, unit)
    ax = axes_or_new(ax)
    for i, (out, into) in enumerate(_entries(entries, measured)):
        colour = COLOURS[i % len(COLOURS)]
        level = _level(measured[:, out, into], decibel)
        alpha = 0.6 if modelled else 1.0
        ax.plot(omega / scale, level, "o", color=colour, alpha=alpha, mew=0, label=_entry_name(out, into))
        if modelled:
            level = _level(modelled[1][:, out, into], decibel)
            ax.plot(modelled[0] / scale, level, color=colour)
    if modelled:
        ax.plot([], [], color=GREY, label="model")
    ax.set(xlabel=label, ylabel="$|S|$ (dB)" if decibel else "$|S|$")
    legend_above(ax)
    return ax


@style()
def fit_residual(
    omega: Numbers,
    residual: Numbers,
    sigma: Numbers | None = None,
    *,
    unit: str | None = None,
    entries: Sequence[tuple[int, int]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Normalised residuals of a fit over frequency, with the band ±1σ: filled points real, open ones imaginary parts.

        Re r/σ,  Im r/σ

    Where the model is right and σ known, about two points in three lie in the band, and no trend is left.

    **Arguments:**

    - `omega`: [f], angular frequencies.
    - `residual`: complex [f, out, in], or [f] for a one-port; model less data.
    - `sigma`: standard deviation of each real and imaginary part: scalar, [f] or [f, out, in]. By default the root mean
      square of all real and imaginary parts, and the axis says so.
    - `unit`, `entries`, `ax`: as for `s_parameters`.

    **Returns:** the Axes.

    **Raises:** `ValueError` for shapes that do not go together, or a sigma that is not positive.

    Example: `nr.plot.fit_residual(data.omega, model_s - data.s, sigma=1e-3)`.
    """
    omega, residual = _table("residual", omega, residual)
    deviation = _deviation(residual, sigma)
    scale, label = frequency_axis(omega, unit)
    ax = axes_or_new(ax)
    unit_name = r"$\sigma$" if sigma is not None else "rms"
    ax.axhspan(-1, 1, color="#ECECEC", lw=0, zorder=0, label=rf"$\pm 1$ {unit_name}")
    ax.axhline(0, color=GREY, lw=0.6, zorder=1)
    for i, (out, into) in enumerate(_entries(entries, residual)):
        colour = COLOURS[i % len(COLOURS)]
        normalised = residual[:, out, into] / deviation[:, out, into]
        ax.plot(omega / scale, normalised.real, "o", color=colour, mew=0, label=_entry_name(out, into))
        ax.plot(omega / scale, normalised.imag, "o", color=colour, mfc="none", mew=0.7)
    ax.plot([], [], "o", color=GREY, mew=0, label="Re")
    ax.plot([], [], "o", color=GREY, mfc="none", mew=0.7, label="Im")
    ax.set(xlabel=label, ylabel=f"Residual / {unit_name}")
    legend_above(ax)
    return ax


def _table(name: str, data: FieldData | Numbers, s: Numbers | None) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies [f] and a table [f, out, in] to go with them."""
    if isinstance(data, FieldData):
        require(s is None, "s", "be left out where data holds it", "given as well")
        return np.asarray(data.omega), np.asarray(data.s)
    require(s is not None, name, "be given to go with frequencies", "left out")
    omega, given = np.asarray(as_real(data, "omega")), np.asarray(as_inexact(s, name))
    table = given[:, None, None] if given.ndim == 1 else given
    require(omega.ndim == 1 and omega.size > 0, "omega", "be a vector", f"of shape {omega.shape}")
    require(
        table.ndim == 3 and table.shape[0] == omega.size,
        name,
        f"have shape [{omega.size}, out, in] to go with omega",
        f"of shape {given.shape}",
    )
    return omega, table


def _entries(entries: Sequence[tuple[int, int]] | None, table: np.ndarray) -> list[tuple[int, int]]:
    outs, intos = table.shape[1:]
    if entries is None:  # those that were measured
        return [(out, into) for out, into in np.ndindex(outs, intos) if not np.isnan(table[:, out, into]).all()]
    must = f"hold pairs (out, in) of ports below {outs} and {intos}"
    require(isinstance(entries, (tuple, list)), "entries", must, described(entries))
    for entry in entries:
        known = isinstance(entry, (tuple, list)) and len(entry) == 2
        known = known and all(isinstance(port, (int, np.integer)) and not isinstance(port, bool) for port in entry)
        there = known and 0 <= entry[0] < outs and 0 <= entry[1] < intos
        require(there, "entries", must, described(entry))
    return list(entries)


def _entry_name(out: int, into: int) -> str:
    comma = "," if max(out, into) > 8 else ""
    return rf"$S_{{{out + 1}{comma}{into + 1}}}$"


def _level(s: np.ndarray, decibel: bool) -> np.ndarray:
    modulus = np.abs(s)
    return 20 * np.log10(np.where(modulus > 0, modulus, np.nan)) if decibel else modulus


def frequency_axis(omega: np.ndarray, unit: str | None = None) -> tuple[float, str]:
    """What to divide ω by, and the axis label, for a `unit` as `s_parameters` takes it."""
    require(unit is None or isinstance(unit, str), "unit", "be text, or None", described(unit))
    if unit is None:
        largest = np.max(np.abs(omega), initial=0.0, where=np.isfinite(omega)) / (2 * np.pi)
        unit = next((name for name, size in HERTZ.items() if largest >= size), "Hz")
    if unit in HERTZ:
        return 2 * np.pi * HERTZ[unit], f"Frequency ({unit})"
    return 1.0, rf"Angular frequency $\omega$ ({unit})" if unit else r"Angular frequency $\omega$"


def _deviation(residual: np.ndarray, sigma: Numbers | None) -> np.ndarray:
    if sigma is None:
        rms = np.sqrt(np.nanmean(np.abs(residual) ** 2) / 2)
        return np.full(residual.shape, rms if rms > 0 else 1.0)
    sigma = np.asarray(as_real(sigma, "sigma"))
    shapes = ((), residual.shape[:1], residual.shape)
    require(sigma.shape in shapes, "sigma", f"have one of the shapes {shapes}", f"of shape {sigma.shape}")
    require(np.all(sigma > 0), "sigma", "be positive", sigma)
    return np.broadcast_to(sigma[:, None, None] if sigma.ndim == 1 else sigma, residual.shape)
