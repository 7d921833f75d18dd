"""Power at one frequency: what passes lines, is absorbed and emitted adds up, to round-off."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd.scene.media import LIGHT
from slow import slow_except

UM = 1e-6
THZ = 2e12 * np.pi
OMEGA = 1.3 * THZ
SILICON = fdtd.Dielectric(11.68)
INSB = fdtd.GyrotropicDrude(15.6, 1.6 * THZ, 0.05 * THZ, -0.4 * THZ)


def scene(boundaries: Any = None, wall: bool = True) -> fdtd.Update:
    """Cells of all sizes, a plasma, an impedance wall."""
    x = np.cumsum(np.r_[0.0, 2 + np.sin(np.arange(16))]) * UM
    y = np.cumsum(np.r_[0.0, 2 + np.cos(np.arange(12))]) * UM
    objects: list[Any] = [(fdtd.Rectangle([x[6], x[12]], [y[2], y[8]]), INSB)]
    if wall:
        objects.append((fdtd.Rectangle([x[13], x[16]], [y[9], y[12]]), fdtd.SurfaceImpedance.of_conductor(2e4, OMEGA)))
    return fdtd.Update.of(fdtd.Scene.of(fdtd.Grid(x, y), SILICON, objects, boundaries))


BLOCH = fdtd.Bloch(3e4)
SCENES: dict[str, Callable[[], fdtd.Update]] = {
    "closed": scene,
    "sponges": lambda: scene(fdtd.Boundaries(left=fdtd.Sponge(8 * UM), bottom=fdtd.Sponge(6 * UM))),
    "periodic": lambda: scene(fdtd.Boundaries(bottom=BLOCH, top=BLOCH, right=fdtd.Sponge(6 * UM)), wall=False),
    "lattice": lambda: scene(fdtd.Boundaries(BLOCH, BLOCH, BLOCH, BLOCH)),
}


def driven(update: fdtd.Update) -> tuple[fdtd.SteadyField, list[Any]]:
    grid = update.scene.grid
    at = fdtd.Functional.at
    sources = [(at(grid, 9 * UM, 9 * UM), 1.0 + 0.5j), (at(grid, 21 * UM, 15 * UM, "ex"), -2.0j)]
    sources.append((at(grid, 17 * UM, 5 * UM, "ey"), 0.7))
    turned = at(grid, 9 * UM, 5 * UM)
    sources.append((fdtd.Functional("hz", turned.corner, (0.3 - 0.4j) * turned.weights), 1j))
    return fdtd.frequency(update, OMEGA, sources=sources), sources


@pytest.mark.parametrize("kind", slow_except(SCENES, 0, 1, 2))
def test_what_sources_emit_is_absorbed(kind: str) -> None:
    update = SCENES[kind]()
    found, sources = driven(update)
    lost = fdtd.absorbed(update, found.fields, OMEGA)
    # Round-off of the solve.
    np.testing.assert_allclose(lost.total, fdtd.emitted(update, found.fields, sources), rtol=1e-10)
    assert float(lost.carriers) > 0
    assert (float(lost.walls) > 0) == (kind != "periodic")
    assert (float(lost.sponges) > 0) == (kind not in ("closed", "lattice"))


@pytest.mark.parametrize("kind", slow_except(SCENES, 0, 1, 2))
def test_a_box_keeps_what_its_sides_do_not_let_out(kind: str) -> None:
    """A box without a source, and one around the first, whose sides run through the plasma."""
    update = SCENES[kind]()
    found, sources = driven(update)
    x, y = np.asarray(update.scene.grid.x), np.asarray(update.scene.grid.y)
    for (i, k), (j, l), inside in (((9, 15), (4, 11), []), ((1, 9), (1, 7), sources)):
        box = (x[i], x[k]), (y[j], y[l])
        inside = [s for s in sources if x[i] < s_x(update, s) < x[k] and y[j] < s_y(update, s) < y[l]]
        emitted = fdtd.emitted(update, found.fields, inside) if inside else 0.0
        lost = fdtd.absorbed(update, found.fields, OMEGA, *box).total
        out = fdtd.outflux(update, found.fields, *box)
        size = abs(float(lost)) + abs(float(emitted))
        assert float(out) == pytest.approx(float(emitted - lost), abs=1e-10 * size)


def s_x(update: fdtd.Update, source: Any) -> float:
    """The middle of a source's cell, or its line."""
    lines, (i, _) = np.asarray(update.scene.grid.x), source[0].corner
    return float(lines[i]) if source[0].component == "ey" else float(lines[i : i + 2].mean())


def s_y(update: fdtd.Update, source: Any) -> float:
    lines, (_, j) = np.asarray(update.scene.grid.y), source[0].corner
    return float(lines[j]) if source[0].component == "ex" else float(lines[j : j + 2].mean())


def test_a_period_absorbs_what_leaves_no_side() -> None:
    """The whole period as a box: what goes out at the top comes in at the bottom."""
    update = SCENES["periodic"]()
    found, _ = driven(update)
    grid = update.scene.grid
    sides = [fdtd.flux(update, found.fields, (grid.x[2], grid.x[14]), place) for place in (grid.y[0], grid.y[-1])]
    assert float(sides[0]) == pytest.approx(float(sides[1]), rel=1e-10)
    assert abs(float(sides[0])) > 0


def test_power_has_derivatives() -> None:
    """In the frequency, through the solve and the sum, beside a central difference."""
    update = scene()
    source = fdtd.Functional.at(update.scene.grid, 9 * UM, 9 * UM)

    def lost(omega: Any) -> Any:
        found = fdtd.frequency(update, omega, sources=[(source, 1.0)])
        return fdtd.absorbed(update, found.fields, omega).carriers

    h = 1e-5 * OMEGA
    slope = (lost(OMEGA + h) - lost(OMEGA - h)) / (2 * h)
    assert float(jax.grad(lost)(OMEGA)) == pytest.approx(float(slope), rel=1e-6)  # h², and round-off over h


@pytest.mark.slow
@pytest.mark.parametrize("component", ["hz", "ex", "ey"])
def test_a_dipole_in_open_vacuum_meets_its_density_of_states(component: str) -> None:
    """ρ/ρ0 = 1 where cells vanish: what they leave, .0106 at twenty a wavelength, falls by four from half to half."""
    wave, layer = 2 * np.pi * LIGHT / OMEGA, fdtd.MatchedLayer(10)

    def ratio(cells: int) -> float:
        grid = fdtd.Grid.uniform((0.0, 4 * wave), (0.0, 4 * wave), wave / cells)
        ends = fdtd.Boundaries(layer, layer, layer, layer)
        update = fdtd.Update.of(fdtd.Scene.of(grid, fdtd.Dielectric(1.0), (), ends))
        found = fdtd.local_density_of_states(update, OMEGA, 2 * wave, 2 * wave, component)
        free = OMEGA / (2 * np.pi * LIGHT**2) / (1 if component == "hz" else 2)
        assert float(found.density) == pytest.approx(float(found.ratio) * free, rel=1e-12)
        return float(found.ratio)

    coarse, fine = ratio(20), ratio(40)
    assert coarse == pytest.approx(1.0, abs=0.011)
    assert (4 * fine - coarse) / 3 == pytest.approx(1.0, abs=1e-4)  # fourth order, and what layers reflect


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda u, f: fdtd.flux(u, f, 9 * UM, 9 * UM), "Argument x must be one place, and y"),
        (lambda u, f: fdtd.flux(u, f, 1.0, (0.0, 9 * UM)), "Argument x must lie on the grid"),
        (
            lambda u, f: fdtd.flux(u, f, 9 * UM, (9 * UM, 0.0)),
            "Argument y must be \\(lowest, highest\\), in this order",
        ),
        (lambda u, f: fdtd.flux(u, f, [1.0, 2.0, 3.0], 1.0), "Argument x must be a place in m, or"),
        (lambda u, f: fdtd.flux(u, u.zero_fields(), 9 * UM, (0.0, 9 * UM)), "Argument fields must be phasors"),
        (lambda u, f: fdtd.absorbed(u, f, -1.0), "Argument omega must be positive"),
    ],
)
def test_what_is_no_line_or_field_is_refused(call: Callable[..., Any], sentence: str) -> None:
    update = scene()
    phasors = jax.tree_util.tree_map(lambda part: part + 0j, update.zero_fields())
    with pytest.raises(ValueError, match=sentence):
        call(update, phasors)


def test_stored_energy_is_that_of_a_free_oscillation_and_adds_up() -> None:
    lossless = fdtd.GyrotropicDrude(15.6, 1.6 * THZ, 0.0, -0.4 * THZ)
    x, y = np.arange(13.0) * 3 * UM, np.cumsum(np.r_[0.0, 2 + np.cos(np.arange(10))]) * UM
    objects = [(fdtd.Rectangle([x[4], x[8]], [y[2], y[6]]), lossless)]
    objects.append((fdtd.Rectangle([x[10], x[12]], [y[0], y[3]]), fdtd.SurfaceImpedance(0.0, 1e-12)))
    update = fdtd.Update.of(fdtd.Scene.of(fdtd.Grid(x, y), SILICON, objects))
    mode = fdtd.resonances(update, 1.3 * THZ)
    fields = jax.tree_util.tree_map(lambda part: part[0], mode.fields)
    # Modes are of 1 J/m by `energy`, which the step conserves: to what γ of round-off leaves.
    np.testing.assert_allclose(fdtd.stored(update, fields, mode.omega[0]), 1.0, rtol=1e-9)
    parts = [
        fdtd.stored(update, fields, mode.omega[0], across, up)
        for across in ((x[0], x[6]), (x[6], x[-1]))
        for up in ((y[0], y[4]), (y[4], y[-1]))
    ]
    np.testing.assert_allclose(sum(parts), 1.0, rtol=1e-9)
    assert min(map(float, parts)) > 0


def test_no_power_is_lost_where_nothing_absorbs() -> None:
    """In a lossless plasma that few cells resolve E × H alone is not the same at every line."""
    lossless = fdtd.GyrotropicDrude(15.6, 2 * THZ, 0.0, 0.5 * THZ)
    grid = fdtd.Grid.uniform((0.0, 60 * UM), (0.0, 30 * UM), 1 * UM)
    below = [(fdtd.Rectangle([0.0, 60 * UM], [0.0, 18 * UM]), lossless)]
    ends = fdtd.Boundaries(left=fdtd.Sponge(20 * UM), right=fdtd.Sponge(20 * UM))
    update = fdtd.Update.of(fdtd.Scene.of(grid, SILICON, below, ends))
    source = fdtd.Functional.at(grid, 22 * UM, 18 * UM)
    found = fdtd.frequency(update, 1.2 * THZ, sources=[(source, 1.0)])
    passed = [float(fdtd.flux(update, found.fields, at * UM, (0.0, 30 * UM))) for at in (24, 29, 33, 39)]
    np.testing.assert_allclose(passed, passed[0], rtol=1e-9)  # of the solve's round-off
    lost = fdtd.absorbed(update, found.fields, 1.2 * THZ)
    assert abs(float(lost.carriers)) < 1e-12 * float(lost.total)
    assert float(lost.total) == pytest.approx(float(fdtd.emitted(update, found.fields, [(source, 1.0)])), rel=1e-9)
    middle = fdtd.absorbed(update, found.fields, 1.2 * THZ, (22 * UM, 38 * UM), (0.0, 30 * UM))
    assert abs(float(middle.total)) < 1e-9 * float(lost.total)
