"""Cavities beside a nonreciprocal guide: where their faces stand, how their meshes move, and paper 3's numbers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd import cavity

THz, UM = 2e12 * np.pi, 1e-6


def _filled(made: cavity.AbstractCavity, mesh: cavity.CavityMesh) -> float:
    """The area that is no metal, from the guide's port on, in µm²."""
    scene = made.scene(mesh)
    x = np.asarray(scene.grid.x)
    cells = np.diff(x)[:, None] * np.diff(np.asarray(scene.grid.y)) * ~np.asarray(scene.metal)
    return float(np.sum(cells[x[:-1] > -made.feed - UM / 100])) / UM**2


@pytest.mark.parametrize(
    ("made", "guide", "sheet"),
    [(cavity.figure2(), 60.0, 0.0), (cavity.figure3(), 60.0, 1e4), (cavity.figure4(), 120.0, 2093.0)],
    ids=["figure 2", "figure 3", "figure 4"],
)
def test_guide_opening_and_cavity_are_what_is_left_of_the_metal(
    made: cavity.AbstractCavity, guide: float, sheet: float
) -> None:
    mesh = made.mesh(1 * UM, 0.25 * UM)
    # Sizes are those of the paper; half a wall's cell beyond the end is metal of the end.
    area = guide * 30 + float(made.width * made.height) / UM**2 + 0.5 * 0.1
    assert _filled(made, mesh) == pytest.approx(area, rel=1e-9)  # rectangles on lines: round-off
    assert made.scene(mesh).has_walls == (sheet > 0)


def test_a_mesh_moves_with_the_sizes_and_keeps_its_cells() -> None:
    made = cavity.figure3()
    mesh = made.mesh(1 * UM, 0.25 * UM)
    wider = replace(made, width=22 * UM, opening=0.6 * UM, offset=1.5 * UM)
    grid = wider.scene(mesh).grid
    assert grid.shape == mesh.grid.shape
    lining = 0.25 * UM
    for lines, places in zip((grid.x, grid.y), wider.places(lining), strict=True):
        away = np.abs(np.asarray(lines)[:, None] - np.asarray(places, float)).min(axis=0)
        assert np.max(away) < 1e-6 * UM  # of round-off
    area = 60 * 30 + 22 * 35.4 + 0.6 * 0.1
    assert _filled(wider, mesh) == pytest.approx(area, rel=1e-9)


def test_what_does_not_go_together_is_refused() -> None:
    made = cavity.figure3()
    with pytest.raises(
        ValueError, match=r"Argument opening_cell must leave two cells at least in the opening of 0\.5 µm"
    ):
        made.mesh(1 * UM, 0.3 * UM)
    with pytest.raises(ValueError, match=r"Argument cell must be at most 1\.25 µm, as ports need, but was 2 µm"):
        made.mesh(2 * UM)
    with pytest.raises(ValueError, match=r"Argument opening_at must put the opening between 18 and 30 µm"):
        replace(made, opening_at=17 * UM)
    with pytest.raises(ValueError, match=r"Argument opening_at must put the opening between x = -41.7 and -6.3 µm"):
        replace(cavity.figure4(), opening_at=50 * UM, offset=26 * UM)
    with pytest.raises(ValueError, match=r"Argument width must be positive, but was 0"):
        replace(made, width=0.0)
    lower = replace(made, offset=-1 * UM)  # its upper wall is still above the guide's; its lower one below the plasma's
    mesh = made.mesh(1 * UM, 0.25 * UM)
    assert lower.scene(mesh).grid.shape == mesh.grid.shape
    short = replace(made, height=5 * UM)  # inside of the guide's height
    with pytest.raises(ValueError, match="Argument cavity must have its faces along y in the order of the cavity"):
        short.scene(mesh)
    with pytest.raises(ValueError, match="Argument cavity must hold known sizes"):
        jax.jit(lambda width: replace(made, width=width).mesh().grid.x)(20 * UM)


def test_extrapolation_knows_powers_and_says_where_there_is_none() -> None:
    cells = np.array([0.1, 0.05, 0.025])
    for order in (0.6, 1.2, 2.0):
        found = fdtd.extrapolate(cells, np.stack([3 + 2 * cells**order, (1 + 1j) - 1j * cells**order], axis=1))
        np.testing.assert_allclose(found.value, [3, 1 + 1j], rtol=1e-12)  # of round-off
        np.testing.assert_allclose(found.order, order, rtol=1e-9)  # of the root's tolerance
    mixed = fdtd.extrapolate(cells[::-1], (95.85 - 20 * cells**1.2 + 3 * cells**2)[::-1])
    assert abs(float(mixed.value) - 95.85) < float(mixed.error) < 0.1
    lost = fdtd.extrapolate(cells, [1.0, 2.0, 1.5])
    np.testing.assert_equal([float(part) for part in lost], [1.5, np.inf, np.nan])
    pair = fdtd.extrapolate(cells[:2], [1 + 0.01, 1 + 0.0025], order=2)
    np.testing.assert_allclose(pair, [1.0, 0.0025, 2.0], rtol=1e-12)
    slope = jax.grad(lambda v: fdtd.extrapolate(cells[:2], v, order=2).value)(jnp.array([1.01, 1.0025]))
    np.testing.assert_allclose(slope, [-1 / 3, 4 / 3], rtol=1e-12)
    with pytest.raises(ValueError, match="Argument cells must be three at least where no order is given"):
        fdtd.extrapolate(cells[:2], [1.0, 2.0])


def _mode(made: cavity.AbstractCavity, mesh: cavity.CavityMesh, guess: complex) -> jax.Array:
    modes = fdtd.resonances(fdtd.Update.of(made.scene(mesh)), guess * THz)
    return jnp.stack([modes.omega[0] / THz, modes.gamma[0] / THz * 1e6])


@pytest.mark.slow
def test_figures_2_and_3_have_the_published_lines() -> None:
    # Spectral elements: 95.85 and 80.36 MHz, 1.52226 THz and 4.602 GHz. In cells of .5 µm elsewhere 1.5 % remains.
    cells, guess = (100e-9, 50e-9, 25e-9), 1.2397 + 1e-4j
    widths = []
    for bias, gamma, at_50 in ((0.0, 95.85, (92.4, 93.3)), (-0.25, 80.36, (76.5, 77.6))):
        made = cavity.figure3(bias)
        found = np.array([_mode(made, made.mesh(opening_cell=size), guess) for size in cells])
        assert at_50[0] < found[1, 1] < at_50[1]
        extrapolated = fdtd.extrapolate(cells, found)
        assert float(extrapolated.value[1]) == pytest.approx(gamma, rel=0.015)
        assert float(extrapolated.value[0]) == pytest.approx(1.2397, abs=2e-4)
        widths.append(float(extrapolated.value[1]))
    assert widths[1] / widths[0] == pytest.approx(0.838, abs=0.01)
    made = cavity.figure2()
    found = np.array([_mode(made, made.mesh(opening_cell=size), 1.522 + 4.5e-3j) for size in cells])
    assert np.all(np.abs(found[1] - [1.5215, 4530]) < [5e-4, 50])
    value = np.asarray(fdtd.extrapolate(cells, found).value)
    assert np.all(np.abs(value - [1.52226, 4602]) < [3e-4, 60])


@pytest.mark.slow
def test_the_line_has_derivatives_in_bias_and_opening() -> None:
    made = cavity.figure3()
    mesh = made.mesh(1 * UM)

    def line(bias: jax.Array, opening: jax.Array) -> jax.Array:
        return _mode(replace(cavity.figure3(bias), opening=opening), mesh, 1.2395 + 1e-4j)

    at, steps = (jnp.array(-0.25), jnp.array(0.5 * UM)), (1e-5, 1e-10)
    slopes = jax.jacrev(lambda both: line(*both))(at)
    for number, step in enumerate(steps):
        moved = [tuple(value + sign * step * (n == number) for n, value in enumerate(at)) for sign in (1, -1)]
        differences = (line(*moved[0]) - line(*moved[1])) / (2 * step)
        # Differences are 1e-5 off by their step, h²/6 of the third derivative.
        np.testing.assert_allclose(slopes[number], differences, rtol=1e-4)
    np.testing.assert_allclose(line(-at[0], at[1]), line(*at), rtol=1e-9)  # the same line in the opposite bias


@pytest.mark.slow
def test_a_bias_makes_out_and_in_coupling_differ() -> None:
    # Paper 3, Fig. 3: |d/k| = .83 ± .015 with the bias, 1 ± .003 without, from single frequencies. In cells of .5 µm
    # slow waves excite some of the lattice's own, which takes 1.2 % of the power with the bias.
    cells = 100e-9
    for bias, ratio, away, missing in ((0.0, 1.0, 0.003, 0.003), (-0.25, 0.83, 0.015, 0.015)):
        made = cavity.figure3(bias)
        mesh = made.mesh(opening_cell=cells)
        modes = fdtd.resonances(fdtd.Update.of(made.scene(mesh)), (1.2397 + 1e-4j) * THz)
        omega, gamma = float(modes.omega[0]), float(modes.gamma[0])
        detuning = gamma * np.array([-20, -6, -3, -1.5, -0.7, 0, 0.7, 1.5, 3, 6, 20])
        found = cavity.response(made, mesh, omega + detuning)
        line, a = 1 / (1j * detuning + gamma), np.asarray(found.amplitude)
        k = np.vdot(line, a) / np.vdot(line, line)
        np.testing.assert_allclose(a, k * line, atol=2e-3 * np.max(np.abs(a)))  # one mode, and little else
        columns = np.stack([a / np.max(np.abs(a)), np.ones(11), detuning / detuning[-1]], axis=1)
        d = np.linalg.lstsq(columns, np.asarray(found.outgoing), rcond=None)[0][0] / np.max(np.abs(a))
        assert abs(abs(d / k) - ratio) < away
        # In cells of 100 nm 5 and 7 % less than converged; extrapolation takes three meshes.
        assert abs(k) ** 2 == pytest.approx(7.99e8 if bias == 0 else 7.009e8, rel=0.08)
        assert np.max(np.abs(found.unaccounted)) < missing
        assert found.data.num_points == 11


@pytest.mark.slow
def test_the_end_wall_of_a_cavity_on_top_counts_and_coarse_cells_are_said() -> None:
    made = cavity.figure4()
    found = cavity.response(made, made.mesh(1 * UM), np.array([1.0, 1.02]) * THz)
    assert np.min(np.asarray(found.walls)) > 0.1  # the wall at x = 0, beyond the cavity
    # In cells of 1 µm the corner of wall and face excites some of the lattice's own waves, a percent at 1 THz.
    assert np.max(np.abs(np.asarray(found.unaccounted))) < 0.02
    coarse, band = made.mesh(1 * UM), np.array([1.23, 1.24]) * THz
    with pytest.raises(RuntimeError, match="not resolve"):
        cavity.response(made, coarse, band)
    lost = cavity.response(made, coarse, band, throw=False)
    assert not np.any(lost.converged)
