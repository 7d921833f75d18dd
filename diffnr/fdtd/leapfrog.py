"""The step: Ex, Ey, Hz and the carriers' current J, in leapfrog.

    Hz⁺ = Hz + Δt/µ0 (∂y Ex − ∂x Ey)
    J⁺  = e^{ΛΔt} J + ½ (1 + e^{ΛΔt}) ε0 ε∞ ω_p² Δt A E,      J = Jx + iJy,  Λ = −ν + iω_c
    E⁺  = E + Δt/(ε0 ε∞) (curl Hz⁺ − Aᵀ J⁺)

Hz and both components of J live at the cells' centres. A takes E from edges there, by the mean of two, and Aᵀ, its
transpose with respect to volumes, takes J back. So the operator without loss is skew, however cells and media change:
fields that are exchanged, source for probe, at −B answer alike to round-off, and in a closed box

    W = ½ Σ (ε0 ε∞ Eⁿ·Eⁿ⁺¹ + µ0 |H|² + |J|²/(ε0 ε∞ ω_p²))

is conserved to round-off. The motion of J is the exact one by a half angle: (1 + e^z)/2 is what makes that so.

Inside, H is in V/m (times the vacuum's impedance) and J too (times Δt/ε0), so that float32 is at home.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffnr.checks import as_real, is_concrete, require
from diffnr.fdtd.media import LIGHT
from diffnr.fdtd.scene import Scene

COURANT = 0.95  # of the longest step
VACUUM = 8.8541878188e-12  # F/m, ε0


class Fields(NamedTuple):
    """The state: `ex` [nx, ny + 1], `ey` [nx + 1, ny]; half a step earlier `hz`, `jx`, `jy` [nx, ny]; all in V/m."""

    ex: Float[Array, "x y_line"]
    ey: Float[Array, "x_line y"]
    hz: Float[Array, "x y"]
    jx: Float[Array, "x y"]
    jy: Float[Array, "x y"]


class Update(eqx.Module):
    """One step of the fields as a function, with all that does not change computed beforehand.

    **Arguments of `Update.of`:** `scene`; `step`: Δt in s, default .95 of the longest; `dtype`: of the fields, default
    that of the grid.

    **Raises:** `ValueError` for a step that is not positive or not below `scene.longest_step`.
    """

    step: Float[Array, ""]
    reach: Float[Array, ""]  # cΔt
    curl: tuple[Array, Array, Array, Array]  # cΔt over sizes: of cells, and between their centres
    weights: tuple[Array, Array]  # of the lower of two cells in Aᵀ
    ex: Float[Array, "x y_inner"]
    ey: Float[Array, "x_inner y"]
    carriers: Float[Array, "x y"]  # ε∞ ω_p² Δt²
    turn: tuple[Array, Array]  # e^{ΛΔt}
    has_carriers: bool = eqx.field(static=True)

    @classmethod
    def of(cls, scene: Scene, step: Any = None, dtype: Any = None) -> Update:
        longest = scene.longest_step
        step = COURANT * longest if step is None else as_real(step, "step")
        if is_concrete(step, longest):
            require(bool(step > 0), "step", "be positive", f"{float(step):g}")
            require(
                bool(step < longest),
                "step",
                f"be below {float(longest):.6g} s, beyond which fields grow",
                f"{float(step):g}",
            )
        dx, dy = scene.grid.dx, scene.grid.dy
        reach = LIGHT * step
        curl = reach / dx, reach / dy, 2 * reach / (dx[1:] + dx[:-1]), 2 * reach / (dy[1:] + dy[:-1])
        weights = dx[:-1] / (dx[1:] + dx[:-1]), dy[:-1] / (dy[1:] + dy[:-1])
        turn = jnp.exp(scene.motion * step)
        ex, ey = scene.edges
        arrays = curl, weights, ex, ey, scene.carriers * step**2, (turn.real, turn.imag)
        dtype = scene.grid.x.dtype if dtype is None else dtype
        curl, weights, ex, ey, carriers, turn = jax.tree_util.tree_map(lambda x: x.astype(dtype), arrays)
        return cls(step, reach, curl, weights, ex, ey, carriers, turn, scene.has_carriers)

    def still(self) -> Fields:
        """Fields of zero."""
        nx, ny = self.carriers.shape
        zeros = lambda x, y: jnp.zeros((x, y), self.ex.dtype)  # noqa: E731
        return Fields(zeros(nx, ny + 1), zeros(nx + 1, ny), zeros(nx, ny), zeros(nx, ny), zeros(nx, ny))

    def __call__(self, fields: Fields) -> Fields:
        """The fields one step later."""
        return self.electric(self.magnetic(fields))

    def magnetic(self, fields: Fields) -> Fields:
        """Hz and J half a step behind E, taken half a step beyond it."""
        ex, ey, hz, jx, jy = fields
        hz = hz + self.curl[1] * (ex[:, 1:] - ex[:, :-1]) - self.curl[0][:, None] * (ey[1:] - ey[:-1])
        if not self.has_carriers:
            return Fields(ex, ey, hz, jx, jy)
        sx, sy = (ex[:, 1:] + ex[:, :-1]) / 2, (ey[1:] + ey[:-1]) / 2
        c, s = self.turn
        ahead, aside, tilt = (1 + c) / 2, s / 2, s / c
        # J⁺y from J⁺x and Jy: with Jx in it XLA would keep a copy of Jx.
        x = c * jx - s * jy + self.carriers * (ahead * sx - aside * sy)
        push = (aside - tilt * ahead) * sx + (ahead + tilt * aside) * sy
        return Fields(ex, ey, hz, x, tilt * x + (c + tilt * s) * jy + self.carriers * push)

    def electric(self, fields: Fields) -> Fields:
        """E half a step behind Hz and J, taken half a step beyond them."""
        ex, ey, hz, jx, jy = fields
        dex = self.curl[3] * (hz[:, 1:] - hz[:, :-1])
        dey = -self.curl[2][:, None] * (hz[1:] - hz[:-1])
        if self.has_carriers:
            left, lower = self.weights[0][:, None], self.weights[1]
            dex = dex - (lower * jx[:, :-1] + (1 - lower) * jx[:, 1:])
            dey = dey - (left * jy[:-1] + (1 - left) * jy[1:])
        # Padded, not added in place: XLA then makes one pass and uses every core.
        ex = ex + jnp.pad(self.ex * dex, ((0, 0), (1, 1)))
        ey = ey + jnp.pad(self.ey * dey, ((1, 1), (0, 0)))
        return Fields(ex, ey, hz, jx, jy)


def energy(scene: Scene, update: Update, fields: Fields) -> Float[Array, ""]:
    """The energy per length along z that the scheme conserves, in J/m, of fields as they come from `Update`.

        W = ½ Σ (ε0 ε∞ Eⁿ·Eⁿ⁺¹ + µ0 |H|² + |J|²/(ε0 ε∞ ω_p²)),   H and J between Eⁿ and Eⁿ⁺¹

    It falls by what collisions take where ν > 0.
    """
    ahead = update.magnetic(fields)
    later = update.electric(ahead)
    dx, dy = scene.grid.dx[:, None], scene.grid.dy
    inner = scene.edges
    sizes = dx * (dy[1:] + dy[:-1]) / 2, (dx[1:] + dx[:-1]) / 2 * dy
    pairs = ((fields.ex[:, 1:-1], later.ex[:, 1:-1]), (fields.ey[1:-1], later.ey[1:-1]))
    electric = sum(
        jnp.sum(jnp.where(inverse > 0, size * now * then / jnp.where(inverse > 0, inverse, 1.0), 0.0))
        for inverse, size, (now, then) in zip(inner, sizes, pairs, strict=True)
    )
    plasma = scene.carriers * update.step**2
    moving = jnp.where(plasma > 0, (ahead.jx**2 + ahead.jy**2) / jnp.where(plasma > 0, plasma, 1.0), 0.0)
    return VACUUM / 2 * (electric + jnp.sum(dx * dy * (ahead.hz**2 + moving)))
