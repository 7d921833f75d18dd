"""Pictures of what was built, and of fields in it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from diffnr.checks import (
    Numbers,
    as_choice,
    as_flag,
    as_inexact,
    as_scalar,
    is_concrete,
    require,
    require_instance,
    require_known,
)
from diffnr.fdtd import Bloch, Functional, Grid, MatchedLayer, Scene, Sponge
from diffnr.fdtd.time_domain.functional import as_list, as_probes, require_on_grid
from diffnr.plot.look import BACKWARD, COLOURS, axes_or_new, style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
else:
    Artist = Axes = Any

_METRES = {"m": 1.0, "mm": 1e-3, "µm": 1e-6, "nm": 1e-9}
_PLASMA, _METAL, _WALL = np.array([0.34, 0.71, 0.91]), np.array([0.25, 0.25, 0.25]), COLOURS[4]
_SOURCE, _PROBE = BACKWARD, COLOURS[2]
_MOST = 60  # lines of the grid to draw along an axis


@style()
def scene(
    scene: Any,
    *,
    sources: Any = (),
    probes: Any = (),
    lines: Any = False,
    legend: Any = True,
    unit: Any = "µm",
    ax: Axes | None = None,
) -> Axes:
    """What was built: media, metal, walls, boundaries, sources and probes, to scale.

    The larger ε∞ the darker the grey; carriers tint it blue by ω_p², with ⊙ where the bias points out of the page
    (ω_c > 0) and ⊗ where it points into it. Metal is nearly black, faces of impedance walls are orange. A thick side is
    a perfect conductor, a hatched band a sponge, a cross-hatched one a matched layer, a broken side repeats.

    **Arguments:**

    - `scene`: the scene. `sources`: functionals, or pairs with a waveform as `propagate` takes them; `probes`:
      functionals. Of each what weighs more than a tenth of its most is drawn.
    - `lines`: draw the grid, with at most 60 lines along an axis: every n-th where there are more.
    - `legend`: above the axes, which media and marks these are.
    - `unit`: of the axes, "m", "mm", "µm" or "nm". `ax`: the Axes (default a new figure's).

    **Returns:** the Axes.

    **Raises:** `ValueError` for another unit, what is no scene, sources or probes off its grid.
    """
    from matplotlib.patches import Patch

    scale, lines, legend = _scale(unit), as_flag(lines, "lines"), as_flag(legend, "legend")
    _require_scene(scene)
    must = "be a list of Functional, or of pairs of one and a waveform"
    listed = as_list(sources, "sources", must)
    functionals: list[Any] = [pair[0] if isinstance(pair, (tuple, list)) and pair else pair for pair in listed]
    for functional in functionals:
        require_instance(functional, "sources", Functional, must)
        require_on_grid("sources", functional, scene.grid)
    probes = as_probes(probes, scene.grid)
    ax = axes_or_new(ax)
    x, y = np.asarray(scene.grid.x) / scale, np.asarray(scene.grid.y) / scale
    eps, plasma, metal = (np.asarray(a) for a in (scene.eps, scene.drude_weight / scene.eps, scene.metal))
    rgb = _colours(eps, plasma, metal)
    if scene.free:  # cells that metal cuts are so much of its colour
        free = np.asarray(scene.free[0])[..., None]
        rgb = np.where(metal[..., None], rgb, free * rgb + (1 - free) * np.asarray(_METAL))
    ax.pcolormesh(x, y, np.swapaxes(rgb, 0, 1), rasterized=True)
    which, media = _media(scene)
    handles: list[Artist] = []
    for k, medium in enumerate(media):
        i, j = np.argwhere(which == k)[np.sum(which == k) // 2]
        handles.append(Patch(fc=rgb[i, j], ec="0.4", lw=0.5, label=_name(*medium)))
    if lines:
        _draw_lines(ax, x, y)
    _draw_outline(ax, scene, scale, color="0.35", lw=0.5)
    _draw_bias(ax, scene, plasma, scale)
    handles += _draw_walls(ax, scene, scale) + _draw_boundaries(ax, scene, x, y)
    for name, group, colour in (("source", functionals, _SOURCE), ("probe", probes, _PROBE)):
        for functional in group:
            _draw_functional(ax, scene.grid, functional, scale, colour)
        if group:
            handles.append(Patch(fc=colour, ec=colour, label=name))
    _frame(ax, x, y, unit)
    if legend and handles:
        columns = 5 if ax.figure.bbox.width > 5 * ax.figure.dpi else 2
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.4, ncols=columns)
    return ax


@style()
def field(
    grid: Any,
    values: Numbers,
    *,
    scene: Any = None,
    phase: Numbers = 0.0,
    limit: Any = None,
    label: str | None = None,
    unit: Any = "µm",
    ax: Axes | None = None,
) -> Axes:
    """One component of a field in colour, red above and blue below zero, with the outlines of what it is in.

        F,   or   Re(F e^{iφ})   of a complex one

    **Arguments:**

    - `grid`; `values`: Hz or a current [nx, ny], Ex [nx, ny + 1] or Ey [nx + 1, ny]; NaN is left blank.
    - `scene`: the scene whose outlines are drawn over it. `phase`: φ, rad.
    - `limit`: the value at the ends of the colour scale, positive; default the largest |F|, whatever its phase.
    - `label`: of the colour bar, drawn where it is given. `unit`, `ax`: as for `scene`.

    **Returns:** the Axes; its `collections[0]` is the coloured mesh.

    **Raises:** `ValueError` for a shape that no component has, a limit that is not positive, another unit, a scene on
    another grid.
    """
    scale, angle = _scale(unit), _known(phase, "phase")
    require_instance(grid, "grid", Grid, "be a Grid")
    require_known(grid, "grid", "be known to be drawn")
    if scene is not None:
        _require_scene(scene)
        require(scene.grid.shape == grid.shape, "scene", "be on this grid", f"on one of {scene.grid.shape} cells")
    require_known(values, "values", "be known to be drawn")
    values = np.asarray(as_inexact(values, "values"))
    x, y = _borders(grid, values.shape)
    if limit is None:
        most = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
        limit = float(most) if most > 0 else 1.0
    limit = _known(limit, "limit")
    require(limit > 0, "limit", "be positive", limit)
    shown = np.real(values * np.exp(1j * angle)) if np.iscomplexobj(values) else values
    ax = axes_or_new(ax)
    mesh = ax.pcolormesh(
        x / scale, y / scale, shown.T, cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True, antialiased=False
    )
    if scene is not None:
        _draw_outline(ax, scene, scale, color="black", lw=0.6)
    _frame(ax, np.asarray(grid.x) / scale, np.asarray(grid.y) / scale, unit)
    if label is not None:
        # As high as the axes, which are to scale and seldom fill the room there is.
        ax.figure.colorbar(mesh, cax=ax.inset_axes((1.015, 0.0, 0.02, 1.0)), label=label)
    return ax


def _scale(unit: Any) -> float:
    return _METRES[as_choice(unit, "unit", tuple(_METRES))]


def _known(value: Any, name: str) -> float:
    require_known(value, name, "be known to be drawn")
    return float(as_scalar(value, name))


def _require_scene(scene: Any) -> None:
    require_instance(scene, "scene", Scene, "be a Scene")
    require(is_concrete(scene), "scene", "hold known numbers (draw outside of jit)", "traced")


def _frame(ax: Axes, x: np.ndarray, y: np.ndarray, unit: str) -> None:
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel=f"x ({unit})", ylabel=f"y ({unit})", aspect="equal")


def _borders(grid: Grid, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where the colours of a component's points meet: lines, or half-way between them."""
    nx, ny = grid.shape
    allowed = (nx, ny), (nx, ny + 1), (nx + 1, ny)
    require(shape in allowed, "values", f"have the shape of Hz, Ex or Ey, one of {allowed}", shape)
    lines = np.asarray(grid.x), np.asarray(grid.y)
    between = [np.concatenate([at[:1], (at[1:] + at[:-1]) / 2, at[-1:]]) for at in lines]
    return (between[0] if shape[0] > nx else lines[0]), (between[1] if shape[1] > ny else lines[1])


def _colours(eps: np.ndarray, plasma: np.ndarray, metal: np.ndarray) -> np.ndarray:
    """RGB of each cell, [nx, ny, 3]."""
    most = np.max(eps, initial=1.0, where=~metal)
    grey = 1 - 0.3 * (eps - 1) / max(most - 1, 1e-9)
    tint = 0.55 * plasma / max(np.max(plasma, initial=0.0), 1e-300)
    rgb = grey[..., None] * (1 - tint[..., None]) + _PLASMA * tint[..., None]
    return np.clip(np.where(metal[..., None], _METAL, rgb), 0.0, 1.0)


def _media(scene: Scene) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Which medium each cell holds most like, [nx, ny], and these: (ε∞, ω_p), with (0, 0) for metal.

    They are those that fill some two by two cells, so that cells on the border of two count to one of them; none where
    there are more than six, or little of the grid is theirs, as with a density that varies.
    """
    eps, metal = np.asarray(scene.eps), np.asarray(scene.metal)
    omega_p = np.sqrt(np.asarray(scene.drude_weight) / eps)
    scales = np.array([np.max(eps), max(np.max(omega_p), 1e-300)])
    cells = np.where(metal[..., None], 0.0, np.stack([eps, omega_p], axis=-1)).reshape(-1, 2)
    kinds, first, which = np.unique(np.round(cells / scales, 4), axis=0, return_index=True, return_inverse=True)
    which = which.reshape(eps.shape)
    corner = which[:-1, :-1]
    whole = (corner == which[1:, :-1]) & (corner == which[:-1, 1:]) & (corner == which[1:, 1:])
    main = np.isin(np.arange(len(kinds)), corner[whole]) | (kinds[:, 0] == 0)
    if np.sum(main) > 6 or np.mean(main[which]) < 0.7:
        return np.where(metal, 2, np.where(omega_p > 0, 1, 0)), []
    distances = np.sum((kinds[:, None] - kinds[main]) ** 2, axis=-1)
    return np.argmin(distances, axis=1)[which], [(float(cells[k, 0]), float(cells[k, 1])) for k in first[main]]


def _name(eps: float, omega_p: float) -> str:
    if eps == 0:
        return "metal"
    carriers = rf", $\omega_p/2\pi$ = {omega_p / 2e12 / np.pi:.3g} THz" if omega_p > 0 else ""
    return rf"$\varepsilon_\infty$ = {eps:.4g}{carriers}"


def _draw_lines(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    for lines, draw, ends in ((x, ax.vlines, y), (y, ax.hlines, x)):
        draw(lines[:: -(-lines.size // _MOST)], ends[0], ends[-1], color="0.2", lw=0.25, alpha=0.5)


def _draw_outline(ax: Axes, scene: Scene, scale: float, **look: Any) -> None:
    """Lines where media meet."""
    which, _ = _media(scene)
    x, y = np.asarray(scene.grid.x) / scale, np.asarray(scene.grid.y) / scale
    for axis in (0, 1):
        _draw_faces(ax, axis, x, y, np.diff(which, axis=axis) != 0, 1, **look)


def _draw_faces(ax: Axes, axis: int, x: np.ndarray, y: np.ndarray, there: np.ndarray, first: int, **look: Any) -> None:
    """Faces across an axis, where they are there; `first` is the number of the first one's line."""
    i, j = np.nonzero(there)
    if axis == 0:
        ax.vlines(x[i + first], y[j], y[j + 1], **look)
    else:
        ax.hlines(y[j + first], x[i], x[i + 1], **look)


def _draw_bias(ax: Axes, scene: Scene, plasma: np.ndarray, scale: float) -> None:
    """⊙ and ⊗ in the middle of each stretch of carriers, at some columns."""
    omega_c = np.where(plasma > 0, np.imag(scene.motion), 0.0)
    x, y = np.asarray(scene.grid.x) / scale, np.asarray(scene.grid.y) / scale
    count = int(np.clip((x[-1] - x[0]) / (y[-1] - y[0]), 3, 11))
    for at in x[0] + (np.arange(count) + 0.5) / count * (x[-1] - x[0]):
        column = np.sign(omega_c[np.searchsorted(x, at) - 1])
        ends = np.flatnonzero(np.diff(np.pad(column, 1)))
        for low, high in pairwise(ends):
            if column[low] != 0:
                mark = r"$\odot$" if column[low] > 0 else r"$\otimes$"
                ax.text(at, (y[low] + y[high]) / 2, mark, ha="center", va="center", fontsize=9, color="#003A5D")


def _draw_walls(ax: Axes, scene: Scene, scale: float) -> list[Artist]:
    from matplotlib.lines import Line2D

    if not scene.has_walls:
        return []
    x, y = np.asarray(scene.grid.x) / scale, np.asarray(scene.grid.y) / scale
    look = {"color": _WALL, "lw": 2.0, "zorder": 3}
    (_, along_x), (_, along_y) = scene.faces
    for axis, faces in ((1, along_x), (0, along_y)):
        _draw_faces(ax, axis, x, y, np.asarray(faces) > 0, 1 if scene.boundaries.bloch[axis] is None else 0, **look)
    return [Line2D([], [], color=_WALL, lw=2.0, label="impedance wall")]


def _draw_boundaries(ax: Axes, scene: Scene, x: np.ndarray, y: np.ndarray) -> list[Artist]:
    """What stands at the four sides; metres to the axes' unit by the grid's own lines."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Rectangle

    scale = float(scene.grid.x[-1] - scene.grid.x[0]) / (x[-1] - x[0])
    handles: dict[str, Artist] = {}
    for side, lines, across in (("left", x, y), ("right", x, y), ("bottom", y, x), ("top", y, x)):
        boundary, lowest, upright = (
            getattr(scene.boundaries, side),
            side in ("left", "bottom"),
            side in ("left", "right"),
        )
        wall = lines[0] if lowest else lines[-1]
        if isinstance(boundary, Sponge | MatchedLayer):
            if isinstance(boundary, Sponge):
                face = wall + float(boundary.thickness) / scale * (1 if lowest else -1)
            else:
                face = lines[boundary.cells] if lowest else lines[-1 - boundary.cells]
            low, size, length = min(wall, face), abs(wall - face), across[-1] - across[0]
            name, hatch = ("sponge", "////") if isinstance(boundary, Sponge) else ("matched layer", "xxxx")
            look: dict[str, Any] = {"hatch": hatch, "ec": "0.35", "lw": 0.0}
            ends = ((low, across[0]), size, length) if upright else ((across[0], low), length, size)
            ax.add_patch(Rectangle(*ends, fc=(1, 1, 1, 0.45), **look))
            handles[name] = Patch(fc="white", **look, label=name)
        periodic = isinstance(boundary, Bloch)
        line = {"color": "black", "lw": 1.0, "ls": (0, (4, 3))} if periodic else {"color": "black", "lw": 2.0}
        (ax.vlines if upright else ax.hlines)(wall, across[0], across[-1], **line, zorder=4, clip_on=False)
        if periodic:
            handles["periodic"] = Line2D([], [], **line, label="periodic")
    return list(handles.values())


def _draw_functional(ax: Axes, grid: Grid, functional: Functional, scale: float, colour: str) -> None:
    """A dot for a point, a line for a column or a row, a box for a block."""
    weights = np.abs(np.asarray(functional.weights))
    heavy = weights > 0.1 * np.max(weights)
    spans = []
    for axis, (lines, on_lines) in enumerate(((grid.x, "ey"), (grid.y, "ex"))):
        lines = np.asarray(lines) / scale
        points = lines if functional.component == on_lines else (lines[1:] + lines[:-1]) / 2
        index = functional.corner[axis] + np.flatnonzero(np.any(heavy, axis=1 - axis))
        spans.append(points[index[[0, -1]]] if index.size else points[[functional.corner[axis]] * 2])
    (left, right), (bottom, top) = spans
    look: dict[str, Any] = {"color": colour, "lw": 1.4, "zorder": 5}
    if left == right and bottom == top:
        ax.plot(left, bottom, "o", color=colour, ms=4, zorder=5)
    else:
        ax.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], **look)
