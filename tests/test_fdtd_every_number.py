"""S and resonances by derivatives, beside differences, in every number that a scene is made of."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import fdtd
from systems import central_difference

UM = 1e-6
THZ = 2e12 * np.pi
STEP = 2e-15  # s, below the longest of all scenes here
CELL = 2 * UM
AT: dict[str, float] = {
    # Sides in µm, none of them on a line.
    "plasma x": 52.7,
    "plasma y": 12.6,
    "plasma end": 61.3,  # within a cell where another plasma goes on
    "glass x": 54.1,
    "glass y": 22.7,
    "metal x": 64.5,
    "metal y": 19.3,
    "floor": 0.9,  # of all of the guide, of metal
    "radius": 3.3,
    "wall line": 26.3,  # of the grid, with the wall on it
    "grid line": 6.2,  # of the grid alone
    "density": 0.4,
    "nu": 0.05,
    "bias": -0.3,
    "eps_inf": 15.6,
    "other bias": 0.2,
    "eps": 11.68,
    "glass": 4.0,
    "resistance": 15.0,
    "inductance": 3.0,
    "sponge": 24.2,
    "rate": 1.0,
}


SIDES = list(AT)[: list(AT).index("density")]


class Disc(fdtd.AbstractShape):
    """A soft one, whose coverage is a formula."""

    radius: Array

    def coverage(self, grid: fdtd.Grid) -> Array:
        x, y = grid.centres
        away = jnp.hypot(x[:, None] - 72.1 * UM, y - 9.3 * UM)
        u = jnp.clip((self.radius - away) / (2 * CELL) + 0.5, 0.0, 1.0)
        return u**3 * (10 - 15 * u + 6 * u**2)


def rectangle(x: Any, y: Any) -> fdtd.Rectangle:
    return fdtd.Rectangle(*(jnp.stack([jnp.asarray(side, float) for side in sides]) * UM for sides in (x, y)))


def scene(at: dict[str, Array], first: int, last: int, rate: float) -> fdtd.Scene:
    """A guide with all kinds of things in it, in cells from `first` to `last`; sponges at its ends lose this rate."""
    y = (jnp.arange(16.0) * CELL).at[3].set(at["grid line"] * UM).at[13].set(at["wall line"] * UM)
    grid = fdtd.Grid(np.arange(first, last + 1) * CELL, y)
    plasma = fdtd.GyrotropicDrude(at["eps_inf"], at["density"] * THZ, at["nu"] * THZ, at["bias"] * THZ)
    other = fdtd.GyrotropicDrude(at["eps_inf"], 0.3 * THZ, 0.02 * THZ, at["other bias"] * THZ)
    wall = fdtd.SurfaceImpedance(at["resistance"], at["inductance"] * 1e-12)
    top, metal = y[13] / UM, fdtd.PerfectConductor()
    objects = [
        (rectangle([-1e6, 1e6], [-1e6, at["floor"]]), metal),
        (rectangle([at["plasma x"], at["plasma end"]], [at["floor"], at["plasma y"]]), plasma),
        (rectangle([at["plasma end"], 63.9], [at["floor"], at["plasma y"]]), other),
        (rectangle([at["glass x"], 58.9], [16.4, at["glass y"]]), fdtd.Dielectric(at["glass"])),
        (rectangle([at["metal x"], 69.2], [at["metal y"], 25.7]), metal),
        (rectangle([54.0, 58.0], [top, 1e6]), wall),
        (Disc(at["radius"] * UM), fdtd.Dielectric(6.0)),
    ]
    sponge = fdtd.Sponge(at["sponge"] * UM, rate=at["rate"] * rate)
    # The disc's coverage falls off over two cells, which other shapes would cover twice.
    objects[-1] = (Cut(objects[-1][0], [shape for shape, _ in objects[:-1]]), objects[-1][1])
    return fdtd.Scene.of(grid, fdtd.Dielectric(at["eps"]), objects, fdtd.Boundaries(sponge, sponge))


class Cut(fdtd.AbstractShape):
    """A shape in what others leave of cells."""

    whole: Any
    others: list[Any]

    def coverage(self, grid: fdtd.Grid) -> Array:
        return self.whole.coverage(grid) * (1 - sum(shape.coverage(grid) for shape in self.others))


WEIGHTS = jnp.asarray([[0.3 - 0.5j, 1.1 + 0.4j], [-0.7 + 0.9j, 0.2 + 0.6j]])


@jax.jit
def scattering(at: dict[str, Array]) -> Array:
    device = fdtd.Simulation(scene(at, 0, 64, 3e13), [fdtd.Port(44 * UM, "+x"), fdtd.Port(84 * UM, "-x")], step=STEP)
    return nr.port_response(device, nr.Drive(1.1 * THZ), throw=False).s


def scattered(at: dict[str, Array]) -> Array:
    """A real number of all of S."""
    s = scattering(at)
    return jnp.sum(WEIGHTS.real * s.real + WEIGHTS.imag * s.imag)


@jax.jit
def rung(at: dict[str, Array]) -> Array:
    """A real number of a resonance between sponges that hardly lose."""
    modes = fdtd.resonances(fdtd.Update.of(scene(at, 20, 44, 2e11), STEP), GUESS, throw=False)
    return (modes.omega[0] + 30 * modes.gamma[0]) / THZ


GUESS = 1.5 * THZ


SLOPE = {value: jax.jit(jax.grad(value)) for value in (scattered, rung)}


@pytest.fixture(scope="module")
def slopes() -> dict[Callable, dict[str, Array]]:
    return {value: slope(numbers()) for value, slope in SLOPE.items()}


def numbers(name: str = "", by: Any = 0.0) -> dict[str, Array]:
    return {other: jnp.asarray(value + (by if other == name else 0.0), float) for other, value in AT.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", AT)
@pytest.mark.parametrize("value", [scattered, rung])
def test_derivatives_are_the_differences(value: Callable, name: str, slopes: Any) -> None:
    # No side comes to a line; the disc's edge has but two derivatives.
    step = 0.005 if name == "radius" else 0.05 if name in SIDES else 0.02 * AT[name]
    expected = float(central_difference(lambda by: value(numbers(name, by)), jnp.asarray(0.0), step))
    # The issue's bound; what absorbers send back nearly drops out of S, to differences' round-off.
    assert float(slopes[value][name]) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert abs(expected) > (1e-6 if name not in ("sponge", "rate") else 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "line"), [("metal x", 64.0), ("metal y", 20.0)])
def test_on_a_line_the_derivative_is_that_for_more_metal(name: str, line: float) -> None:
    """Both are the lower sides of a block."""
    at = (numbers(name, line - AT[name] + by) for by in (0.0, -1e-6, 1e-6))
    here, more, less = (float(SLOPE[rung](each)[name]) for each in at)
    assert here == pytest.approx(more, rel=1e-5)  # the way between them
    assert abs(here - less) > 1e-3 * abs(here)


CROSSED = {"plasma x": (52, 53), "plasma end": (61, 62), "glass y": (22, 23), "metal x": (64, 65), "metal y": (19, 20)}


@pytest.mark.slow
@pytest.mark.parametrize("value", [scattered, rung])
@pytest.mark.parametrize(("name", "places"), [*CROSSED.items(), ("floor", (0.0, 1.0)), ("plasma y", (12, 13))])
def test_sides_come_to_lines_and_middles_of_cells_without_a_jump(value: Callable, name: str, places: Any) -> None:
    for place in places:
        here = numbers(name, place - AT[name])[name]
        below, at, above = (float(value({**numbers(), name: here + by})) for by in (-1e-9, 0.0, 1e-9))
        assert max(abs(at - below), abs(above - at)) < 1e-8  # by as much as 1 fm does elsewhere


@pytest.mark.slow
def test_the_turned_bias_has_the_transposed_s() -> None:
    turned = {name: -value if "bias" in name else value for name, value in numbers().items()}
    there, back = scattering(numbers()), scattering(turned)
    np.testing.assert_allclose(back, there.T, rtol=0, atol=1e-12)  # round-off
    assert np.max(np.abs(back - there)) > 1e-4


# --- What cannot stand beside a plasma -------------------------------------------------------------------------------

ENDED: dict[str, float] = {
    "wavenumber": 2e4,
    "index": 2.0,
    "reflection": 1e-3,
    "stretch": 1.5,
    "shift": 0.03,
    "metal x": 33.1,
    "glass": 4.0,
}


@jax.jit
def ended(at: dict[str, Array]) -> Array:
    """A reading in front of a matched layer, in a grating with metal that cuts cells."""
    grid = fdtd.Grid.uniform((0.0, 48 * UM), (0.0, 16 * UM), CELL)
    objects = [
        (rectangle([at["metal x"], 41.2], [3.1, 9.7]), fdtd.PerfectConductor()),
        (rectangle([21.3, 27.1], [-1.0, 6.6]), fdtd.Dielectric(at["glass"])),
    ]
    bloch = fdtd.Bloch(at["wavenumber"])
    layer = fdtd.MatchedLayer(6, at["index"], at["reflection"], at["stretch"], at["shift"])
    scene = fdtd.Scene.of(grid, fdtd.Dielectric(2.0), objects, fdtd.Boundaries(layer, bottom=bloch, top=bloch))
    source, probe = (fdtd.Functional.at(grid, x * UM, 5 * UM) for x in (31, 17))
    found = fdtd.frequency(fdtd.Update.of(scene, STEP), 2 * THZ, sources=[(source, 1.0)], probes=[probe], throw=False)
    return (found.readings[0].real + 0.4 * found.readings[0].imag) * found.omega / 3e8


@pytest.fixture(scope="module")
def ended_slopes() -> dict[str, Array]:
    return jax.jit(jax.grad(ended))({name: jnp.asarray(value) for name, value in ENDED.items()})


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDED)
def test_derivatives_in_ends_are_the_differences(name: str, ended_slopes: dict[str, Array]) -> None:
    at = {other: jnp.asarray(value) for other, value in ENDED.items()}
    step = 0.05 if name == "metal x" else 0.01 * ENDED[name]
    expected = float(central_difference(lambda by: ended({**at, name: at[name] + by}), jnp.asarray(0.0), step))
    assert float(ended_slopes[name]) == pytest.approx(expected, rel=1e-5)  # the bound
    assert abs(expected) > 0
