"""What stands at the four sides of the grid: metal, absorbers that open it, or the grid itself once more."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_positive,
    as_real,
    as_scalar,
    check_fields,
    is_concrete,
    real_field,
    require,
    require_instance,
    staying_known,
)
from diffnr.fdtd.scene.media import LIGHT
from diffnr.host import AnyArray, namespace

SIDES = ("left", "right", "bottom", "top")


class AbstractBoundary(eqx.Module):
    """What stands at one side of the grid; behind it is always a perfect conductor, unless it repeats the grid."""

    @abc.abstractmethod
    def require_fits(self, side: str, sizes: Float[AnyArray, " n"]) -> None:
        """Raise unless the cells along its axis, of these sizes, have room for it."""


class Sponge(AbstractBoundary):
    """An absorber of graded loss, for every medium, plasma in a magnetic field included: ∂/∂t → ∂/∂t + η on E, H, *J*,

        η = rate · (depth/thickness)^order,    so that a wave of group velocity v decays by e^{−∫ η dx/v}

    It is passive for every medium and bias, and keeps G(B) = G(−B)ᵀ to round-off, since it acts on each number alone.

    **Arguments:** `thickness`: in metres; `rate`: η at the wall, 1/s, default 5 c/thickness; `order`, static.

    **Good values:** 100 µm and more for the fast mode of a terahertz guide; the slower a wave, the shorter it may be.
    Measured reflections: docs/field.md.

    **Raises:** `ValueError` for a thickness that is not positive or beyond the grid's, a negative rate, an order below
    1.
    """

    order: int = eqx.field(static=True)
    thickness: Float[Array, ""] = real_field(lower=0.0)
    rate: Float[Array, ""] = real_field(lower=0.0)

    def __init__(self, thickness: Numbers, rate: Numbers | None = None, order: Count = 3):
        with staying_known():
            self.thickness = as_positive(thickness, "thickness")
            if rate is None:
                self.rate = 5 * LIGHT / self.thickness
                finite = not is_concrete(self.rate) or bool(jnp.isfinite(self.rate))
                require(finite, "thickness", "be long enough for a finite default rate, 5 c/thickness", self.thickness)
            else:
                self.rate = as_scalar(rate, "rate", lower=0.0)
        self.order = as_count(order, "order")

    def __check_init__(self) -> None:
        as_positive(self.thickness, "thickness")
        check_fields(self, ())
        as_count(self.order, "order")

    def require_fits(self, side: str, sizes: Float[AnyArray, " n"]) -> None:
        if is_concrete(self.thickness, sizes):
            length = float(np.sum(np.asarray(sizes)))
            fits = float(self.thickness) <= length * (1 + 1e-6)
            require(
                fits,
                side,
                f"be no thicker than the grid, {length * 1e6:.6g} µm",
                f"{float(self.thickness) * 1e6:.6g} µm",
            )

    def loss(self, depth: Float[AnyArray, " n"]) -> Float[AnyArray, " n"]:
        """η in 1/s at depths in metres, at most the thickness."""
        return self.rate * namespace(depth).clip(depth / self.thickness, 0.0, 1.0) ** self.order


class MatchedLayer(AbstractBoundary):
    """A convolutional perfectly matched layer (CPML), for dielectrics: ∂x → ∂x/s,  s = κ + σ/(α + iω),

    σ and κ − 1 rising as depth^order, α falling to 0 at the wall. It reflects far less than a sponge of its thickness.

    It is not passive: to the evanescent tail of a bound wave that runs along it, it can be a gain. A `Scene` with
    carriers or impedance walls refuses it (surface waves grew by up to 10⁻³ a step, without a bias as well); beside a
    dielectric guide leave it several decay lengths. What a guide between metal walls holds below a wave's cut-off is
    such a tail as well: behind an iris in silicon one grew at 1.8·10¹⁰ 1/s. Where no tail meets it no state grows
    (docs/field.md).

    **Arguments:**

    - `cells`: its thickness in cells, static. `index`: of the medium it ends, by which the default σ is set.
    - `reflection`: the reflection at normal incidence by its decay alone, by which σ is set at the wall.
    - `stretch`: κ at the wall, above 1 where evanescent fields reach it. `shift`: α at its face, as a share of σ at the
      wall: what ends the field of static charge.

    **Raises:** `ValueError` for fewer than four cells, or as many as the grid has; a reflection that is not positive.

    Source: Roden and Gedney's recursive convolution, at the scheme's own times.
    """

    cells: int = eqx.field(static=True)
    order: int = eqx.field(static=True)
    index: Float[Array, ""] = real_field(lower=1.0)
    reflection: Float[Array, ""] = real_field(lower=0.0, upper=1.0)
    stretch: Float[Array, ""] = real_field(lower=1.0)
    shift: Float[Array, ""] = real_field(lower=0.0)

    def __init__(
        self,
        cells: Count,
        index: Numbers = 1.0,
        reflection: Numbers = 1e-8,
        stretch: Numbers = 1.0,
        shift: Numbers = 1e-2,
        order: Count = 3,
    ):
        self.cells, self.order = as_count(cells, "cells", least=4), as_count(order, "order")
        with staying_known():
            self.index, self.reflection = as_real(index, "index"), as_real(reflection, "reflection")
            self.stretch, self.shift = as_real(stretch, "stretch"), as_real(shift, "shift")

    def __check_init__(self) -> None:
        as_count(self.cells, "cells", least=4)
        as_count(self.order, "order")
        check_fields(self, ())
        as_positive(self.reflection, "reflection")

    def require_fits(self, side: str, sizes: Float[AnyArray, " n"]) -> None:
        require(self.cells < sizes.size, side, f"have fewer cells than the grid, {sizes.size}", self.cells)

    def rates(
        self, depth: Float[AnyArray, " n"], thickness: Float[AnyArray, ""]
    ) -> tuple[Float[AnyArray, " n"], Float[AnyArray, " n"], Float[AnyArray, " n"]]:
        """(κ, σ, α) at depths in metres; σ and α in 1/s."""
        xp = namespace(depth, self.reflection)
        share = xp.clip(depth / thickness, 0.0, 1.0)
        most = -(self.order + 1) * LIGHT * xp.log(self.reflection) / (2 * self.index * thickness)
        return 1 + (self.stretch - 1) * share**self.order, most * share**self.order, self.shift * most * (1 - share)


class Bloch(AbstractBoundary):
    """A periodic boundary: the grid repeats, F(y + period) = F(y) e^{−i k period}. It stands at bottom and top, and for
    repetition along x at left and right.

        fdtd.Boundaries(*4 * [fdtd.Bloch()])        # a lattice; with a wavenumber for each axis, its bands

    **Arguments:** `wavenumber`: k along that axis in rad/m; with None fields are periodic and real, otherwise complex.

    **Raises:** `ValueError` for a wavenumber that is not one finite number.
    """

    wavenumber: Float[Array, ""] | None

    def __init__(self, wavenumber: Numbers | None = None):
        self.wavenumber = None if wavenumber is None else as_scalar(wavenumber, "wavenumber")

    def require_fits(self, side: str, sizes: Float[AnyArray, " n"]) -> None:
        """Any grid may repeat."""

    def phase(self, period: Float[AnyArray, ""]) -> Any:
        """e^{−i k period}, or 1."""
        return 1.0 if self.wavenumber is None else namespace(period).exp(-1j * self.wavenumber * period)


class Boundaries(eqx.Module):
    """What stands at the four sides of the grid; None is a perfect conductor.

        fdtd.Boundaries(left=fdtd.Sponge(100e-6), right=fdtd.Sponge(100e-6))

    **Arguments:** `left`, `right`, `bottom`, `top`: a `Sponge`, a `MatchedLayer`, a `Bloch` (at both bottom and top, at
    both left and right, or at all), or None.

    **Raises:** `ValueError` for anything else, Bloch at one side only, or of two wavenumbers along one axis.
    """

    left: AbstractBoundary | None = None
    right: AbstractBoundary | None = None
    bottom: AbstractBoundary | None = None
    top: AbstractBoundary | None = None

    def __init__(self, left: Any = None, right: Any = None, bottom: Any = None, top: Any = None):
        for side, boundary in zip(SIDES, (left, right, bottom, top), strict=True):
            must = "be a boundary (Sponge, MatchedLayer, Bloch), or None for a perfect conductor"
            require_instance(boundary, side, (AbstractBoundary, type(None)), must)
        self.left, self.right, self.bottom, self.top = left, right, bottom, top

    def __check_init__(self) -> None:
        for first, last in (("left", "right"), ("bottom", "top")):
            one, other = getattr(self, first), getattr(self, last)
            both = isinstance(one, Bloch) == isinstance(other, Bloch)
            require(both, last, f"be Bloch just where {first} is", type(other).__name__)
            if isinstance(one, Bloch) and isinstance(other, Bloch):
                ks = one.wavenumber, other.wavenumber
                same = (ks[0] is None) == (ks[1] is None) and (
                    not is_concrete(ks) or ks[0] is None or bool(np.all(np.asarray(ks[0]) == np.asarray(ks[1])))
                )
                require(same, last, f"have the wavenumber of {first}", ks[1])

    @property
    def bloch(self) -> tuple[Bloch | None, Bloch | None]:
        """The repetitions along x and along y, or None."""
        along_x, along_y = (end if isinstance(end, Bloch) else None for end in (self.left, self.bottom))
        return along_x, along_y

    def require_fit(self, dx: Float[AnyArray, " x"], dy: Float[AnyArray, " y"]) -> None:
        """Raise unless the grid has room for each."""
        for side in SIDES:
            end = getattr(self, side)
            if end is not None:
                end.require_fits(side, dx if side in ("left", "right") else dy)

    def losses(self, x: Float[AnyArray, " x_line"], y: Float[AnyArray, " y_line"]) -> "Losses | None":
        """What sponges do, or None where there are none."""
        along = [
            _loss(first, last, lines) for first, last, lines in ((self.left, self.right, x), (self.bottom, self.top, y))
        ]
        return None if along == [None, None] else Losses(*along)

    def matched(self) -> list[tuple[str, MatchedLayer]]:
        """The matched layers, with their sides."""
        return [(side, getattr(self, side)) for side in SIDES if isinstance(getattr(self, side), MatchedLayer)]


class Losses:
    """η in 1/s of sponges at the scheme's points, shaped to be spread over the grid."""

    def __init__(self, along_x: Any, along_y: Any):
        self.x, self.y = along_x, along_y

    def at(self, x_line: bool, y_line: bool) -> AnyArray:
        """η at x's lines or centres, and at y's: [nx or 1, ny or 1]."""
        x: Any = 0.0 if self.x is None else self.x[int(x_line)][:, None]
        return x if self.y is None else x + self.y[int(y_line)][None, :]


def _loss(first: Any, last: Any, lines: AnyArray) -> tuple[AnyArray, AnyArray] | None:
    """η at (centres, lines), or None."""
    sponges = [(end, reverse) for end, reverse in ((first, False), (last, True)) if isinstance(end, Sponge)]
    if not sponges:
        return None
    points = (lines[1:] + lines[:-1]) / 2, lines
    total = [0.0 * at for at in points]
    for sponge, reverse in sponges:
        for k, at in enumerate(points):
            inwards = lines[-1] - at if reverse else at - lines[0]
            total[k] = total[k] + sponge.loss(sponge.thickness - inwards)
    return total[0], total[1]
