"""Cross-sections of guides that are uniform along x: of layers, or of any scene around a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from diffnr.checks import Numbers, as_positive, as_real, is_concrete, require, require_instance, require_known
from diffnr.fdtd.guides.column import COLUMNS, MIDDLE, Column
from diffnr.fdtd.scene.boundaries import Boundaries
from diffnr.fdtd.scene.grid import Grid, nearest, rounding
from diffnr.fdtd.scene.media import Layers, as_layers
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.scene.shapes import Rectangle
from diffnr.fdtd.time_domain.leapfrog import Update

NOTHING = 1e-3  # of a cell by which a layer is thicker than whole ones: a cell of 3·10⁻⁶ of their size is none
MOST_CELLS = 20_000  # across, of which a wave's eigenvalue problem would take 100 GB


class CrossSection(eqx.Module):
    """What a guide is across: a few equal columns of a scene, between walls or what stands at bottom and top.

    Made by `layered_guide`, or by `CrossSection.of` from any scene.

    **Fields:** `scene`; `longest`: the longest step in time, s, where it is not the scene's: of `layered_guide`, which
    has it from `cell` alone, as small cells across are there for k to be smooth in thicknesses, not for runs in time.
    """

    scene: Scene
    longest: Float[Array, ""] | None = None

    @classmethod
    def of(cls, scene: Any, x: Numbers) -> CrossSection:
        """The cross-section of a scene around the vertical line nearest to a place.

        **Arguments:** `scene`; `x`: in metres.

        **Raises:** `ValueError` where the guide is not uniform two cells to the left and three to the right of the line
        (cells of unequal width, media that change, a sponge), or where these are not on the grid.
        """
        require_instance(scene, "scene", Scene, "be a Scene")
        return cls.at_line(scene, nearest(scene.grid.x, x, "x"))

    @classmethod
    def at_line(cls, scene: Scene, line: int, name: str = "x") -> CrossSection:
        """The same at the vertical line of an index."""
        first, last = line - MIDDLE, line - MIDDLE + COLUMNS
        require_uniform(scene, first, last, name)
        part = lambda cells: cells[first:last] if cells.ndim == 2 else cells  # noqa: E731
        cut = scene.free and (*map(part, scene.free[:2]), scene.free[2][first : last + 1])
        lines = scene.grid.x[first : last + 1]
        return cls(
            Scene(
                grid=Grid(lines - lines[0], scene.grid.y),
                eps=part(scene.eps),
                drude_weight=part(scene.drude_weight),
                motion=part(scene.motion),
                metal=part(scene.metal),
                sheets=tuple(map(part, scene.sheets)),
                boundaries=Boundaries(bottom=scene.boundaries.bottom, top=scene.boundaries.top),
                has_carriers=scene.has_carriers,
                free=cut,
            )
        )

    def column(self, step: Array, omega: Array, stretch: Array) -> Column:
        """The blocks of the step from column to column, the cells stretched along x."""
        grid = Grid(self.scene.grid.x * stretch, self.scene.grid.y)
        scene = eqx.tree_at(lambda scene: scene.grid, self.scene, grid)
        return Column.of(Update.of(scene, step), grid.dx[0], grid.dy, omega)


def layered_guide(
    layers: Any,
    cell: Numbers,
    *,
    bottom: Any = None,
    top: Any = None,
) -> CrossSection:
    """A guide of layers across y, from the bottom up.

        guide = fdtd.layered_guide([(18e-6, insb), (12e-6, silicon)], cell=0.25e-6)

    **Arguments:** `layers`: pairs of a thickness in m and a medium; `cell`: the size of cells along x, and about that
    across, lines lying on the faces between layers; `bottom`, `top`: what stands there, default perfect conductors.

    **Notes:** k is smooth in every thickness. A layer of n whole cells and a share u of one more has n of nearly that
    size and, in its middle, one that grows from nothing as u²(3 − 2u), so that no line appears or moves at once.

    **Raises:** `ValueError` for a thickness or cell that is not positive and finite, no layers.
    """
    layers, cell = as_layers(layers), _known_cell(cell)
    boundaries = Boundaries(bottom=bottom, top=top)
    shares = [layer_lines(thickness, cell) for thickness, _ in layers]
    plain = all(jnp.shape(leaf) == () for _, medium in layers for leaf in jax.tree_util.tree_leaves(medium))
    known = [(3 * cell, medium) for _, medium in layers]
    longest = _layered(known, [jnp.arange(4) / 3] * len(known), cell, Boundaries()).longest_step if plain else None
    return CrossSection(_layered(layers, shares, cell, boundaries), longest)


def _layered(layers: Layers, shares: Sequence[Array], cell: float, boundaries: Boundaries) -> Scene:
    """Layers with lines at these shares of their thickness, from 0 to 1."""
    thicknesses = [as_real(thickness, "layers") for thickness, _ in layers]
    faces = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.stack(thicknesses))])
    parts = [low + (high - low) * s[:-1] for low, high, s in zip(faces[:-1], faces[1:], shares, strict=True)]
    grid = Grid(jnp.arange(COLUMNS + 1) * cell, jnp.concatenate([*parts, faces[-1:]]))
    objects = [
        (Rectangle([-jnp.inf, jnp.inf], jnp.stack([low, high])), medium)
        for low, high, (_, medium) in zip(faces[1:-1], faces[2:], layers[1:], strict=True)
    ]
    return Scene.of(grid, layers[0][1], objects, boundaries)


def _known_cell(cell: Any) -> float:
    require_known(cell, "cell")
    as_positive(cell, "cell")
    return float(np.asarray(cell))


def layer_lines(thickness: Any, cell: float) -> Array:
    """The lines of a layer, as shares of its thickness; their number is known where that is being differentiated."""
    value = thickness if isinstance(thickness, int | float) else lax.stop_gradient(jnp.asarray(thickness))
    require(is_concrete(value), "layers", "have thicknesses known outside of jit", "a traced one")
    count = float(value) / cell
    require(count <= MOST_CELLS, "cell", f"leave at most {MOST_CELLS} cells to each of layers", f"one for {count:.3g}")
    n = int(count)
    if n == 0:
        return jnp.arange(2.0)
    if count - n < NOTHING:
        return jnp.arange(n + 1) / n
    # Of a cell: 0 with slope 0 at u = 0, and at u = 1 like the n others, 1 and as fast as these.
    cells = as_real(thickness, "layers") / cell
    u = cells - n
    grown = u**2 * (3 - 2 * u) - u**2 * (1 - u) / (n + 1)
    below, rest = n // 2, (cells - grown) / n
    return jnp.concatenate([rest * jnp.arange(below + 1), rest * jnp.arange(below, n + 1) + grown]) / cells


def as_cross_section(value: Any) -> CrossSection:
    """`value` as a cross-section."""
    must = "be a CrossSection, as layered_guide and CrossSection.of make it"
    require_instance(value, "cross_section", CrossSection, must)
    return value


def require_uniform(scene: Scene, first: int, last: int, name: str) -> None:
    """Raise unless the cells from `first` up to `last` along x are there, equally wide and equally filled."""
    count = scene.grid.shape[0]
    must = "keep enough cells between it and the grid's left and right ends"
    require(first >= 0 and last <= count, name, must, f"at cells {first} to {last} of {count}")
    lines = scene.grid.x
    place = f"at cells {first} to {last}"
    if is_concrete(lines):
        ends = np.asarray(lines)[[first, last]]
        place = f"from x = {ends[0] * 1e6:.6g} to {ends[1] * 1e6:.6g} µm"
        sizes = np.diff(np.asarray(lines)[first : last + 1])
        even = bool(np.ptp(sizes) <= max(1e-6, rounding(lines)) * sizes[0])
        require(even, name, "lie where cells are equally wide along x", f"{place}, where they differ")
    alike = max(1e-9, *(rounding(at) for at in (lines, scene.grid.y) if is_concrete(at)), 0.0)
    for cells in (scene.eps, scene.drude_weight, scene.motion, scene.metal, *scene.sheets, *scene.free):
        if cells.ndim == 2 and is_concrete(cells):
            part = 1.0 * np.asarray(cells)[first:last]
            same = bool(np.all(np.abs(part - part[:1]) <= alike * np.max(np.abs(part))))
            require(same, name, "lie where the guide is uniform along x", f"{place}, where media change")
    with jax.ensure_compile_time_eval():
        losses = scene.boundaries.losses(lines, scene.grid.y) if is_concrete(scene.grid, scene.boundaries) else None
    if losses is not None and losses.x is not None:
        free = bool(np.all(np.asarray(losses.x[0])[first:last] == 0))
        require(free, name, "lie outside of the absorbers at left and right", f"{place}, inside of one")
    for side, layer in scene.boundaries.matched():
        free = side in ("bottom", "top") or (first >= layer.cells if side == "left" else last <= count - layer.cells)
        require(free, name, "lie outside of the absorbers at left and right", f"{place}, inside of one")
