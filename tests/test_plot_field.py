"""Pictures of scenes and fields: what is drawn where, on graded grids too, and what the marks say."""

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from diffnr import fdtd, plot

UM = 1e-6
OMEGA_P = 4e12 * np.pi
GRID = fdtd.Grid.refined([0.0, 40 * UM, 42 * UM], [0.0, 18 * UM, 30 * UM], 2 * UM, fine_y={18 * UM: 0.5 * UM})
NX, NY = GRID.shape
Y = np.asarray(GRID.centres[1]) / UM


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def guide(
    bias: float = -0.25, wall: fdtd.AbstractMetal | None = None, boundaries: fdtd.Boundaries | None = None
) -> fdtd.Scene:
    """InSb below silicon, and metal or a wall at the right."""
    objects = [
        (fdtd.Rectangle([-1.0, 40 * UM], [0.0, 18 * UM]), fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, bias * OMEGA_P))
    ]
    if wall is not None:
        objects.append((fdtd.Rectangle([40 * UM, 1.0], [-1.0, 1.0]), wall))
    return fdtd.Scene.of(GRID, fdtd.Dielectric(11.68), objects, boundaries)


def mesh(ax: plt.Axes) -> QuadMesh:
    return ax.collections[0]


def segments(ax: plt.Axes, **look: str) -> np.ndarray:
    """All lines of one colour, [line, end, coordinate]."""
    found = [
        segment
        for lines in ax.collections
        if isinstance(lines, LineCollection) and to_hex(lines.get_color()[0]) == look["color"]
        for segment in lines.get_segments()
    ]
    return np.array(found).reshape(-1, 2, 2)


def labels(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_media_have_their_places_and_colours() -> None:
    ax = plot.scene(guide(wall=fdtd.PerfectConductor()))
    corners = mesh(ax).get_coordinates()
    np.testing.assert_allclose(corners[:, 0, 1], np.asarray(GRID.y) / UM, rtol=1e-12)  # lines of the graded grid
    np.testing.assert_allclose(corners[0, :, 0], np.asarray(GRID.x) / UM, rtol=1e-12)
    rgb = np.asarray(mesh(ax).get_array())
    insb, silicon, metal = rgb[0, 0], rgb[-1, 0], rgb[0, -1]
    assert insb[2] > insb[0] + 0.05  # bluish
    assert np.ptp(silicon) < 1e-12  # grey
    assert np.all(metal < silicon)
    assert np.all(rgb[Y < 18, 0] == insb)
    assert labels(ax) == [
        "metal",
        r"$\varepsilon_\infty$ = 11.68",
        r"$\varepsilon_\infty$ = 15.6, $\omega_p/2\pi$ = 2 THz",
    ]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, pytest.approx(42)), (0, pytest.approx(30)))
    assert ax.get_aspect() == 1
    assert ax.get_xlabel() == "x (µm)"
    ax.figure.canvas.draw()


def test_air_is_white_and_the_densest_dielectric_greyest() -> None:
    slab = fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM])
    rgb = np.asarray(
        mesh(plot.scene(fdtd.Scene.of(GRID, fdtd.Dielectric(1.0), [(slab, fdtd.Dielectric(4.0))]))).get_array()
    )
    assert np.all(rgb[-1] == 1)
    assert np.all(rgb[0] < 0.8)


@pytest.mark.parametrize(("bias", "mark"), [(-0.25, r"$\otimes$"), (0.25, r"$\odot$"), (0.0, None)])
def test_the_bias_has_its_mark_in_the_plasma(bias: float, mark: str | None) -> None:
    marks = plot.scene(guide(bias)).texts
    assert {text.get_text() for text in marks} == ({mark} if mark else set())
    assert all(text.get_position()[1] == pytest.approx(9.0) for text in marks)  # the middle of 0 to 18 µm


def test_two_biases_have_a_mark_each() -> None:
    media = [fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, sign * OMEGA_P / 4) for sign in (-1, 1)]
    strips = [fdtd.Rectangle([-1.0, 1.0], ends) for ends in ([0.0, 10 * UM], [20 * UM, 30 * UM])]
    ax = plot.scene(fdtd.Scene.of(GRID, fdtd.Dielectric(11.68), list(zip(strips, media, strict=True))))
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    # To the cell that holds most of the strip's end.
    assert heights == {r"$\otimes$": pytest.approx(5, abs=1), r"$\odot$": pytest.approx(25, abs=1)}


def test_outlines_lie_where_media_meet() -> None:
    lines = segments(plot.scene(guide(wall=fdtd.PerfectConductor())), color="#595959")
    level, upright = (lines[np.ptp(lines[..., axis], axis=1) == 0] for axis in (1, 0))
    np.testing.assert_allclose(level[:, 0, 1], 18, rtol=1e-12)
    np.testing.assert_allclose(upright[:, 0, 0], 40, rtol=1e-12)
    assert (np.ptp(level[..., 0]), np.ptp(upright[..., 1])) == (pytest.approx(40), pytest.approx(30))


def test_a_curved_border_is_one_line() -> None:
    grid = fdtd.Grid.uniform((0.0, 40 * UM), (0.0, 40 * UM), UM)
    disc = fdtd.Region(lambda x, y: (x - 20 * UM) ** 2 + (y - 20 * UM) ** 2 < (10.3 * UM) ** 2)
    lines = segments(
        plot.scene(fdtd.Scene.of(grid, fdtd.Dielectric(1.0), [(disc, fdtd.Dielectric(12.0))])), color="#595959"
    )
    # A closed way on the grid about a disc goes once up and down, once to and fro: cells in part do not double it.
    assert len(lines) == pytest.approx(4 * 2 * 10.3, abs=4)
    assert np.all(np.abs(np.hypot(*(np.mean(lines, axis=1) - 20).T) - 10.3) < 1.2)


def test_an_impedance_wall_shows_its_faces() -> None:
    ax = plot.scene(guide(wall=fdtd.SurfaceImpedance.of_conductor(1e4, 1.24 * 2e12 * np.pi)))
    faces = segments(ax, color=plot.COLOURS[4].lower())
    assert np.all(faces[..., 0] == pytest.approx(40))
    assert np.ptp(faces[..., 1]) == pytest.approx(30)
    assert "impedance wall" in labels(ax)


def test_absorbers_are_bands_and_repetition_is_broken() -> None:
    sponge = fdtd.Sponge(10 * UM)
    ax = plot.scene(guide(boundaries=fdtd.Boundaries(left=sponge, right=sponge)))
    bands = sorted((patch.get_x(), patch.get_width(), patch.get_height()) for patch in ax.patches)
    np.testing.assert_allclose(bands, [(0, 10, 30), (32, 10, 30)], rtol=1e-12)
    assert all(isinstance(patch, Rectangle) and patch.get_hatch() == "////" for patch in ax.patches)
    assert labels(ax).count("sponge") == 1

    layer = fdtd.MatchedLayer(5)
    empty = fdtd.Scene.of(
        GRID,
        fdtd.Dielectric(1.0),
        boundaries=fdtd.Boundaries(left=layer, right=layer, top=fdtd.Bloch(), bottom=fdtd.Bloch()),
    )
    ax = plot.scene(empty)
    left, right = sorted((patch.get_x(), patch.get_width()) for patch in ax.patches)
    x = np.asarray(GRID.x) / UM
    np.testing.assert_allclose([left, right], [(0, x[5]), (x[-6], x[-1] - x[-6])], atol=1e-12)
    assert {"matched layer", "periodic"} <= set(labels(ax))
    broken = [lines for lines in ax.collections if isinstance(lines, LineCollection) and lines.get_linestyle()[0][1]]
    assert sorted(lines.get_segments()[0][0, 1] for lines in broken) == [0, pytest.approx(30)]
    ax.figure.canvas.draw()


def test_sources_and_probes_are_marked_where_they_weigh() -> None:
    profile = np.where((Y > 10) & (Y < 25), 1.0, 0.0)
    source = fdtd.Functional.across(GRID, 21 * UM, profile)
    probe = fdtd.Functional.at(GRID, 30 * UM, 20 * UM)
    ax = plot.scene(guide(), sources=[(source, np.cos)], probes=[probe])
    line, dot = ax.lines
    assert np.all(line.get_xdata() == pytest.approx(21))
    assert [min(line.get_ydata()), max(line.get_ydata())] == pytest.approx([Y[profile > 0][0], Y[profile > 0][-1]])
    assert dot.get_marker() == "o"
    assert [dot.get_xdata()[0], dot.get_ydata()[0]] == pytest.approx([30, 20], abs=1.0)  # the nearest cell
    assert labels(ax)[-2:] == ["source", "probe"]
    # Ex lives on lines of y.
    on_line = fdtd.Functional.at(GRID, 30 * UM, 18 * UM, "ex")
    assert plot.scene(guide(), sources=[on_line]).lines[0].get_ydata()[0] == pytest.approx(18)


def test_lines_of_fine_grids_are_thinned() -> None:
    fine = fdtd.Grid.uniform((0.0, 300 * UM), (0.0, 30 * UM), UM)
    ax = plot.scene(fdtd.Scene.of(fine, fdtd.Dielectric(1.0)), lines=True)
    lines = segments(ax, color="#333333")
    upright = lines[np.ptp(lines[..., 0], axis=1) == 0]
    assert 30 < len(upright) <= 60
    assert len(lines) - len(upright) == 31
    assert segments(plot.scene(fdtd.Scene.of(fine, fdtd.Dielectric(1.0))), color="#333333").size == 0


def test_a_density_that_varies_has_no_list_of_media() -> None:
    eps = 1 + np.arange(NX * NY).reshape(NX, NY) / (NX * NY)
    ax = plot.scene(fdtd.Scene.of(GRID, fdtd.Dielectric(eps)))
    assert ax.get_legend() is None
    assert plot.scene(guide(), legend=False).get_legend() is None


@pytest.mark.parametrize("shape", [(NX, NY), (NX, NY + 1), (NX + 1, NY)])
def test_a_component_lies_about_its_own_points(shape: tuple[int, int]) -> None:
    values = np.arange(float(np.prod(shape))).reshape(shape)
    drawn = mesh(plot.field(GRID, values))
    assert np.array_equal(np.asarray(drawn.get_array()), values.T)
    corners = drawn.get_coordinates()
    for borders, lines, size, cells in (
        (corners[0, :, 0], GRID.x, shape[0], NX),
        (corners[:, 0, 1], GRID.y, shape[1], NY),
    ):
        lines = np.asarray(lines) / UM
        points = lines if size > cells else (lines[1:] + lines[:-1]) / 2
        assert np.all((borders[:-1] <= points) & (points <= borders[1:]))
        assert (borders[0], borders[-1]) == (lines[0], lines[-1])


def test_colours_are_symmetric_about_zero() -> None:
    values = np.zeros(GRID.shape)
    assert mesh(plot.field(GRID, values)).get_clim() == (-1, 1)
    values[3, 4] = -2.0
    values[0, 0] = np.nan
    ax = plot.field(GRID, values, limit=None, label="Hz (V/m)")
    assert mesh(ax).get_clim() == (-2, 2)
    assert ax.child_axes[0].get_ylabel() == "Hz (V/m)"
    assert mesh(plot.field(GRID, values, limit=0.5)).get_clim() == (-0.5, 0.5)
    ax.figure.canvas.draw()


def test_complex_fields_are_shown_at_a_phase() -> None:
    values = np.full(GRID.shape, 3 - 4j)
    for phase, expected in ((0.0, 3.0), (np.pi / 2, 4.0)):  # Re(F e^{iφ})
        drawn = mesh(plot.field(GRID, values, phase=phase))
        np.testing.assert_allclose(drawn.get_array(), expected, rtol=1e-12)
        assert drawn.get_clim() == (-5, 5)  # one scale for every phase


def test_outlines_over_a_field() -> None:
    ax = plot.field(GRID, np.ones(GRID.shape), scene=guide(), unit="nm")
    np.testing.assert_allclose(segments(ax, color="#000000")[:, 0, 1].max(), 18e3, rtol=1e-12)
    assert ax.get_ylabel() == "y (nm)"


def test_the_axes_given_are_the_axes_used() -> None:
    figure, axes = plt.subplots(2, 1)
    assert plot.scene(guide(), ax=axes[0]) is axes[0]
    assert plot.field(GRID, np.ones(GRID.shape), ax=axes[1]) is axes[1]
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: plot.scene(guide(), unit="cm"),
            "Argument unit must be one of 'm', 'mm', 'µm', 'nm', but was 'cm'",
        ),
        (lambda: plot.field(GRID, np.ones((NX, NY + 2))), "Argument values must have the shape of Hz, Ex or Ey"),
        (lambda: plot.field(GRID, np.ones((2, NX, NY))), "Argument values must have the shape of Hz, Ex or Ey"),
        (lambda: plot.field(GRID, np.ones(GRID.shape), limit=0.0), "Argument limit must be positive, but was 0"),
    ],
)
def test_bad_input_is_named(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
