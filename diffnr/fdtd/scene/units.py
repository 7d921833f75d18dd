"""What a scene's numbers mean: its wavelengths and cells a wavelength, and numbers that look like those of other units.

All lengths are in metres and all frequencies angular, in rad/s.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from diffnr.checks import is_concrete
from diffnr.fdtd.scene.media import LIGHT

LONG = 1.0  # m, of which no grid is that is meant to be one of micrometres
DEVICE, GUIDE = 0.75, 0.125  # wavelengths below which a scene, and a cross-section, are strangely small
DIGITS = 3  # of a frequency that somebody typed


def warn_of_metres(scene: Any, shapes: Any) -> None:
    """Warn of a grid or a side whose metres look like micrometres."""
    grid = scene.grid
    for name, lines in (("x", grid.x), ("y", grid.y)):
        if not is_concrete(lines):
            continue
        low, high = (float(at) for at in np.asarray(lines)[[0, -1]])
        if high - low >= LONG:
            _warn(f"The grid is {high - low:.4g} m long along {name}: lengths are in metres, and 1 µm is 1e-6.")
            continue
        for shape in shapes:
            sides = getattr(shape, name, None)
            known = sides is not None and is_concrete(sides)
            for side in map(float, np.asarray(sides).ravel()) if known else ():
                # As a number of micrometres it would lie on the grid. 1 is what many write for "beyond all".
                if np.isfinite(side) and abs(side) > 1 and low < 1e-6 * side < high:
                    _warn(
                        f"A shape has a side at {name} = {side:.4g} m, beyond the grid, which goes from "
                        f"{low * 1e6:.6g} to {high * 1e6:.6g} µm: lengths are in metres, and 1 µm is 1e-6."
                    )


def warn_of_hertz(scene: Any, omega: Any, name: str, smallest: float = DEVICE) -> None:
    """Warn of a frequency of few digits at which all of a scene is less than so many wavelengths."""
    if not is_concrete(omega, scene.grid, scene.eps, scene.metal):
        return
    omegas = np.abs(np.real(np.asarray(omega))).ravel()
    highest = float(np.max(omegas))
    typed = all(float(f"{value:.{DIGITS - 1}e}") == float(value) for value in omegas[[0, -1]])
    extent = max(float(np.ptp(np.asarray(lines))) for lines in (scene.grid.x, scene.grid.y))
    if not typed or highest == 0:
        return
    wavelength = 2 * np.pi * LIGHT / (highest * _densest(scene))
    if extent < smallest * wavelength:
        _warn(
            f"Argument {name} is {highest:.3g} rad/s, {highest / (2e12 * np.pi):.3g} THz, at which a wavelength is "
            f"{wavelength * 1e6:.4g} µm in the densest medium, and all of the scene {extent * 1e6:.4g} µm. If it was "
            f"meant in hertz, pass nr.hertz({highest:.3g})."
        )


def described(scene: Any) -> str:
    """Sizes in µm, and up to which frequency there are enough cells a wavelength."""
    if not is_concrete(scene.grid, scene.eps, scene.metal):
        return f"Scene of {scene.grid.shape[0]} × {scene.grid.shape[1]} cells, traced"
    x, y = (np.asarray(lines) * 1e6 for lines in (scene.grid.x, scene.grid.y))
    sizes, densest = np.concatenate([np.diff(x), np.diff(y)]), _densest(scene)
    several = (
        f"{np.min(sizes):.4g} to {np.max(sizes):.4g}" if np.ptp(sizes) > 1e-6 * np.max(sizes) else f"{sizes[0]:.4g}"
    )
    highest = LIGHT / (densest * 6 * np.max(sizes) * 1e-6)
    return (
        f"Scene of {x.size - 1} × {y.size - 1} cells of {several} µm, x from {x[0]:.6g} to {x[-1]:.6g} µm, y from "
        f"{y[0]:.6g} to {y[-1]:.6g} µm, ε∞ up to {densest**2:.4g}: six cells and more a wavelength up to "
        f"{highest * 1e-12:.4g} THz (omega = {2 * np.pi * highest:.4g} rad/s)"
    )


def wavelengths(scene: Any, omega: float) -> str:
    """A line for each of the media: index, wavelength or depth, and cells in it."""
    shape, parts = scene.grid.shape, (scene.eps, scene.drude_weight, scene.motion)
    media = np.stack([np.broadcast_to(np.asarray(part, complex), shape) for part in parts], axis=-1)
    kinds, counts = np.unique(media[~np.asarray(scene.metal)].round(12), axis=0, return_counts=True)
    cell = max(float(np.diff(np.asarray(lines, float)).max()) for lines in (scene.grid.x, scene.grid.y))
    vacuum = f"{omega / (2e12 * np.pi):.6g} THz, {2e6 * np.pi * LIGHT / omega:.6g} µm in vacuum"
    rows = [f"{vacuum}, cells up to {cell * 1e6:.4g} µm"]
    for (eps, weight, motion), count in sorted(zip(kinds, counts, strict=True), key=lambda row: -row[1]):
        one, other = (eps + weight / (1j * omega * (1j * omega - m)) for m in (motion, np.conj(motion)))
        n = np.sqrt(2 * one * other / (one + other) + 0j)
        share = f"{count / counts.sum():.1%} of cells: ε∞ = {eps.real:.4g}"
        if n.real > abs(n.imag):
            length, what = 2 * np.pi * LIGHT / (omega * n.real), "wavelength"
        else:
            length, what = LIGHT / (omega * abs(n.imag)), "depth"
        index = f"n = {n.real:.4g}{-abs(n.imag):+.3g}i" if abs(n.imag) > 1e-9 * abs(n) else f"n = {n.real:.4g}"
        rows.append(f"  {share}, {index}, {what} {length * 1e6:.4g} µm, {length / cell:.3g} cells")
    return "\n".join(rows)


def _densest(scene: Any) -> float:
    """The largest index of what fills the scene, of its ε∞."""
    return float(np.sqrt(np.max(np.where(np.asarray(scene.metal), 1.0, np.asarray(scene.eps)))))


def _warn(sentence: str) -> None:
    warnings.warn(sentence, UserWarning, stacklevel=4)
