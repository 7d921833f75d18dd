"""Cavities behind and on top of a guide that ends: their walls, openings and meshes, differentiable in every size."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from diffnr.checks import as_float, as_positive, as_scalar, is_concrete, real_field, require, require_instance
from diffnr.fdtd.cavity.mesh import ROOM, CavityMesh
from diffnr.fdtd.guides.port import Port
from diffnr.fdtd.guides.simulation import Simulation
from diffnr.fdtd.scene.boundaries import Boundaries, Sponge
from diffnr.fdtd.scene.media import AbstractMedium, AbstractMetal, PerfectConductor
from diffnr.fdtd.scene.scene import Rectangle, Scene

INFINITE = float("inf")
FACE = 5.0  # times the opening's cell: that at the face of the plasma
SIZES = ("width", "height", "offset", "opening", "opening_at", "wall", "plasma_height", "filling_height")
Part = tuple[Rectangle, AbstractMedium]
Range = tuple[Array, Array]


def _size(default: float, lower: float | None = 0.0) -> Any:
    return real_field(lower=lower, default=default)


class AbstractCavity(eqx.Module):
    """A cavity with metal walls that an opening joins to a guide between metal walls, plasma below and a dielectric
    above, which ends at x = 0 by a wall. The guide fills 0 < y < `plasma_height` + `filling_height`.

    **Arguments:** `plasma`, `filling`: media, the latter of the guide's upper part and of the cavity; `end`: the metal
    of the face that ends the guide. Sizes in m: `plasma_height`, `filling_height`, of the guide; `width`, `height`, of
    the cavity along x and y; `opening`: its length along the wall that it is in; `opening_at`: where its middle is
    along that wall; `offset`: of the cavity's middle from it; `wall`: the wall's thickness, which is the opening's
    depth; `feed`: from the port to the end; `sponge`: the absorber's thickness beyond the port (both static).

    **Raises:** `ValueError` for sizes that are not positive, or that do not go together.
    """

    towards: ClassVar[int] = 1  # the sign of the coordinate in which `opening_at` counts

    plasma: AbstractMedium
    filling: AbstractMedium
    end: AbstractMetal
    width: Float[Array, ""] = _size(20e-6)
    height: Float[Array, ""] = _size(35.4e-6)
    offset: Float[Array, ""] = _size(1e-6, lower=None)
    opening: Float[Array, ""] = _size(0.5e-6)
    opening_at: Float[Array, ""] = _size(27e-6)
    wall: Float[Array, ""] = _size(0.1e-6)
    plasma_height: Float[Array, ""] = _size(18e-6)
    filling_height: Float[Array, ""] = _size(12e-6)
    feed: float = eqx.field(static=True, default=60e-6, converter=lambda value: as_float(value, "feed"))
    sponge: float = eqx.field(static=True, default=100e-6, converter=lambda value: as_float(value, "sponge"))

    def __check_init__(self) -> None:
        for name in ("plasma", "filling"):
            require_instance(getattr(self, name), name, AbstractMedium, "be a medium")
        require_instance(self.end, "end", AbstractMetal, "be a metal (PerfectConductor, SurfaceImpedance)")
        for name in SIZES:
            as_scalar(getattr(self, name), name, positive=name != "offset")
        as_positive(self.sponge, "sponge")
        require(self.feed > ROOM, "feed", f"be longer than {ROOM * 1e6:g} µm", self.feed)
        if is_concrete(self):
            self.require_joined()

    @abc.abstractmethod
    def places(self, lining: float) -> tuple[list[Any], list[Any]]:
        """Coordinates of x and of y on which lines stand, always in the same order."""

    @abc.abstractmethod
    def walls(self, mesh: CavityMesh) -> list[Part]:
        """The metal. The opening is lined by a perfect conductor, as thick as a cell there."""

    @abc.abstractmethod
    def finest(self, cell: float) -> tuple[dict[float, float], dict[float, float]]:
        """{coordinate: cell there} along x and y, of this cell along the opening."""

    @abc.abstractmethod
    def require_joined(self) -> None:
        """Raise for an opening that does not lie between guide and cavity."""

    @property
    @abc.abstractmethod
    def inside(self) -> tuple[Range, Range]:
        """((left, right), (bottom, top)) of the cavity, in m."""

    @property
    def ends_of_opening(self) -> Range:
        """Where the opening begins and ends along its wall."""
        middle = self.towards * self.opening_at
        return middle - self.opening / 2, middle + self.opening / 2

    @property
    def before(self) -> tuple[float, float]:
        """The ends of the guide's part in which cells are equally wide: the sponge, and the port with some room."""
        return -self.feed - ROOM - self.sponge, -self.feed + ROOM

    @property
    def top(self) -> Array:
        """Where the guide's upper wall is."""
        return self.plasma_height + self.filling_height

    def mesh(self, cell: Any = 0.5e-6, opening_cell: Any = 0.1e-6, growth: Any = 1.2) -> CavityMesh:
        """Cells for this cavity, and for others of about its sizes: `CavityMesh.of`."""
        return CavityMesh.of(self, cell, opening_cell, growth)

    def scene(self, mesh: Any) -> Scene:
        """This cavity on a mesh, differentiable in its sizes and media.

            scene = cavity.scene(cavity.mesh(opening_cell=50e-9))

        **Raises:** `ValueError` for a mesh of a cavity whose faces stood in another order.
        """
        require_instance(mesh, "mesh", CavityMesh, "be a mesh, as cavity.mesh() makes it")
        below = Rectangle([-INFINITE, 0.0], [0.0, self.plasma_height]), self.plasma
        boundaries = Boundaries(left=Sponge(self.sponge))
        objects = [below, *self.walls(mesh)]
        return Scene.of(mesh.grid_of(self), self.filling, objects, boundaries)

    def simulation(self, mesh: Any) -> Simulation:
        """The scene with its port, at x = −`feed`."""
        return Simulation(self.scene(mesh), [Port(-self.feed, "+x")])


class EndCavity(AbstractCavity):
    """A cavity behind the guide's end: the opening is centred at y = `opening_at`, the cavity's mid-plane is `offset`
    above it.

        cavity = fdtd.cavity.EndCavity(insb, silicon, fdtd.SurfaceImpedance.of_conductor(1e4, omega))
        update = fdtd.Update.of(cavity.scene(cavity.mesh(opening_cell=50e-9)))

    Source: paper 3, supplement, Fig. S2a and S2b.
    """

    @property
    def bottom(self) -> Array:
        """The cavity's lower wall."""
        return self.opening_at + self.offset - self.height / 2

    @property
    def inside(self) -> tuple[Range, Range]:
        return (self.wall, self.wall + self.width), (self.bottom, self.bottom + self.height)

    def places(self, lining: float) -> tuple[list[Any], list[Any]]:
        (left, right), (bottom, top) = self.inside
        low, high = self.ends_of_opening
        x = [*self.before, 0.0, self.wall / 2, left, right]
        return x, [0.0, self.plasma_height, low - lining, low, high, high + lining, self.top, bottom, top]

    def walls(self, mesh: CavityMesh) -> list[Part]:
        lining, ((left, _), (bottom, top)) = mesh.opening_cell, self.inside
        low, high = self.ends_of_opening
        perfect, half = PerfectConductor(), self.wall / 2
        # The face towards the cavity is a perfect conductor's: a sheet there too would be most of the losses.
        parts: list[Part] = [
            (Rectangle(x, y), metal)
            for x, metal in (([0.0, half], self.end), ([half, left], perfect))
            for y in ([-INFINITE, low - lining], [high + lining, INFINITE])
        ]
        parts += [(Rectangle([0.0, left], y), perfect) for y in ([low - lining, low], [high, high + lining])]
        # Known of the mesh, where sizes are traced: what is outside of guide and cavity.
        floor, ceiling, below, above = (mesh.y[k] for k in (0, 6, 7, 8))
        beyond = [
            (below < floor - mesh.same, [-INFINITE, 0.0], [-INFINITE, 0.0]),
            (above > ceiling + mesh.same, [-INFINITE, 0.0], [self.top, INFINITE]),
            (below > floor + mesh.same, [left, INFINITE], [-INFINITE, bottom]),
            (above < ceiling - mesh.same, [left, INFINITE], [top, INFINITE]),
        ]
        return parts + [(Rectangle(x, y), perfect) for there, x, y in beyond if there]

    def finest(self, cell: float) -> tuple[dict[float, float], dict[float, float]]:
        low, high = (float(end) for end in self.ends_of_opening)
        wall = float(self.wall)
        across = min(cell, wall) / 2
        return dict.fromkeys((0.0, wall / 2, wall), across), {
            low: cell,
            high: cell,
            float(self.plasma_height): FACE * cell,
        }

    def require_joined(self) -> None:
        low, high = (float(end) for end in self.ends_of_opening)
        bottom, top = (float(side) for side in self.inside[1])
        bottom, top = max(bottom, float(self.plasma_height)), min(top, float(self.top))
        must = f"put the opening between {bottom * 1e6:.4g} and {top * 1e6:.4g} µm, beside the filling and the cavity"
        require(bottom < low and high < top, "opening_at", must, f"{low * 1e6:.4g} to {high * 1e6:.4g} µm")


class TopCavity(AbstractCavity):
    """A cavity on top of the guide, whose end is all of the metal `end`: the opening is centred at x = −`opening_at`,
    the cavity's middle is `offset` nearer to the end.

        cavity = fdtd.cavity.TopCavity(insb, silicon, end, width=35.4e-6, height=20e-6, opening_at=60e-6, feed=120e-6)

    Source: paper 3, supplement, Fig. S2c.
    """

    towards = -1

    @property
    def inside(self) -> tuple[Range, Range]:
        left, bottom = self.offset - self.opening_at - self.width / 2, self.top + self.wall
        return (left, left + self.width), (bottom, bottom + self.height)

    def places(self, lining: float) -> tuple[list[Any], list[Any]]:
        (left, right), (bottom, top) = self.inside
        low, high = self.ends_of_opening
        x = [*self.before, 0.0, lining, low, high, left, right]
        return x, [0.0, self.plasma_height, self.top, self.top + self.wall / 2, bottom, top]

    def walls(self, mesh: CavityMesh) -> list[Part]:
        (left, right), (bottom, _) = self.inside
        low, high = self.ends_of_opening
        perfect, wall = PerfectConductor(), [self.top, bottom]
        parts: list[Part] = [(Rectangle(x, wall), perfect) for x in ([-INFINITE, low], [high, INFINITE])]
        beside = [(Rectangle(x, [bottom, INFINITE]), perfect) for x in ([-INFINITE, left], [right, INFINITE])]
        return [*parts, *beside, (Rectangle([0.0, INFINITE], [0.0, self.top]), self.end)]

    def finest(self, cell: float) -> tuple[dict[float, float], dict[float, float]]:
        low, high = (float(end) for end in self.ends_of_opening)
        top, wall = float(self.top), float(self.wall)
        across = dict.fromkeys((top, top + wall / 2, top + wall), min(cell, wall) / 2)
        return {low: cell, high: cell, 0.0: FACE * cell}, {**across, float(self.plasma_height): FACE * cell}

    def require_joined(self) -> None:
        low, high = (float(end) for end in self.ends_of_opening)
        left, right = (float(side) for side in self.inside[0])
        left, right = max(left, -self.feed), min(right, 0.0)
        must = f"put the opening between x = {left * 1e6:.4g} and {right * 1e6:.4g} µm, between guide and cavity"
        require(left < low and high < right, "opening_at", must, f"{low * 1e6:.4g} to {high * 1e6:.4g} µm")
