"""Reflections of open ends against their thickness, at one frequency.

The field of a guide with the end under test at its left is compared with that of the same guide with 1,200 µm more
before its end; their difference, the reflected wave, is taken in norm of Hz across the guide, 70 µm ahead of the end.

    python benchmarks/open_ends.py
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from report import heading, table

from diffnr import fdtd

jax.config.update("jax_enable_x64", True)

UM, THZ = 1e-6, 2e12 * np.pi
CELL, HEIGHT, LEAD = 1 * UM, 30 * UM, 400 * UM
SOURCE, PROBE = -230, -330  # columns, from the right


Drive = tuple[np.ndarray, float]  # a profile over the source's column, and ω


def hz_at(scene: fdtd.Scene, step: float, drives: list[Drive]) -> list[np.ndarray]:
    """Hz across the probe's column, for each drive."""
    update, (nx, _) = fdtd.Update.of(scene, step), scene.grid.shape
    found = []
    for profile, omega in drives:
        source = fdtd.Functional("hz", (nx + SOURCE, 0), profile[None, :] / CELL**2)
        steady = fdtd.frequency(update, omega, sources=[(source, 1.0)])
        found.append(np.asarray(steady.fields.hz[PROBE]))
    return found


def reflections(
    fill: Callable[[fdtd.Grid, fdtd.Boundaries], fdtd.Scene],
    ends: list[tuple[float, Any]],
    drives: list[Drive],
    far_end: fdtd.AbstractBoundary,
) -> list[list[float]]:
    """[end][drive] in dB; `ends` with their thickness, `far_end` of 1,200 µm for the guide to compare with."""

    def guide(length: float, end: Any) -> fdtd.Scene:
        lines = np.linspace(0, length, round(length / CELL) + 1), np.linspace(0, HEIGHT, round(HEIGHT / CELL) + 1)
        return fill(fdtd.Grid(*lines), fdtd.Boundaries(left=end, right=fdtd.Sponge(200 * UM)))

    far = guide(LEAD + 1200 * UM, far_end)
    step = 0.95 * float(far.longest_step)
    reference = hz_at(far, step, drives)
    levels = []
    for thickness, end in ends:
        found = hz_at(guide(LEAD + thickness, end), step, drives)
        pairs = zip(found, reference, strict=True)
        levels.append([20 * np.log10(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs])
    return levels


def insb_guide(bias: float) -> Callable[[fdtd.Grid, fdtd.Boundaries], fdtd.Scene]:
    insb = fdtd.GyrotropicDrude(15.6, 4e12 * np.pi, 0.0, bias * 4e12 * np.pi)
    below = fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM])
    return lambda grid, boundaries: fdtd.Scene.of(grid, fdtd.Dielectric(11.68), [(below, insb)], boundaries=boundaries)


def silicon(grid: fdtd.Grid, boundaries: fdtd.Boundaries) -> fdtd.Scene:
    return fdtd.Scene.of(grid, fdtd.Dielectric(11.68), boundaries=boundaries)


def main() -> None:
    rows = []
    thicknesses = [25, 50, 100, 200, 400]
    at_interface = (np.arange(30) == 17).astype(float)
    ways = ("slow way", -0.25, [1.0, 1.2, 1.24, 1.27]), ("one way", 0.25, [1.0, 1.24, 1.4, 1.5, 1.6])
    for name, bias, terahertz in ways:
        sponges = [(t * UM, fdtd.Sponge(t * UM)) for t in thicknesses]
        drives = [(at_interface, f * THZ) for f in terahertz]
        levels = reflections(insb_guide(bias), sponges, drives, fdtd.Sponge(1200 * UM))
        for f, column in zip(terahertz, np.transpose(levels), strict=True):
            rows.append([f"{name}, {f} THz", *(f"{level:.0f}" for level in column)])
    print(heading("Reflection of open ends", "python benchmarks/open_ends.py"))
    print("Sponges in the InSb guide (18 µm of InSb, ν = 0, under 12 µm of silicon), dB:\n")
    print(table(["thickness (µm)", *map(str, thicknesses)], rows))
    rows, index = [], 11.68**0.5
    y = (np.arange(30) + 0.5) * CELL
    layers: list[Any] = [(n * CELL, fdtd.MatchedLayer(n, index)) for n in (6, 8, 12, 16, 24)]
    layers += [(t * UM, fdtd.Sponge(t * UM)) for t in (24, 100, 200, 400)]
    cases = (0, 1.2), (0, 2.0), (1, 2.0), (1, 1.6)
    drives = [(np.cos(order * np.pi * y / HEIGHT), f * THZ) for order, f in cases]
    levels = reflections(silicon, layers, drives, fdtd.MatchedLayer(100, index))
    for (order, f), column in zip(cases, np.transpose(levels), strict=True):
        angle = np.degrees(np.arcsin(order * 299792458 / (2 * index * HEIGHT * f * 1e12)))
        rows.append([f"{f} THz at {angle:.0f}°", *(f"{level:.0f}" for level in column)])
    print("In silicon between metal walls: matched layers by their cells of 1 µm, and sponges, dB:\n")
    header = [
        f"layer, {end.cells}" if isinstance(end, fdtd.MatchedLayer) else f"sponge, {t / UM:.0f} µm" for t, end in layers
    ]
    print(table(["", *header], rows))


if __name__ == "__main__":
    main()
