"""The step: Ex, Ey, Hz and the carriers' current J, in leapfrog.

    Hz⁺ = Hz + Δt/µ0 (∂y Ex − ∂x Ey)
    J⁺  = e^{ΛΔt} J + ½ (1 + e^{ΛΔt}) ε0 ε∞ ω_p² Δt A E,      J = Jx + iJy,  Λ = −ν + iω_c
    E⁺  = E + Δt/(ε0 ε∞) (curl Hz⁺ − Aᵀ J⁺)

Hz and both components of J live at the cells' centres. A takes E from edges there, by the mean of two, and Aᵀ, its
transpose with respect to volumes, takes J back. So the operator without loss is skew, however cells and media change:
fields that are exchanged, source for probe, at −B answer alike to round-off, and in a closed box

    W = ½ Σ (ε0 ε∞ Eⁿ·Eⁿ⁺¹ + µ0 |H|² + |J|²/(ε0 ε∞ ω_p²)) + ½ Σ L K²

is conserved to round-off. The motion of J is the exact one by a half angle: (1 + e^z)/2 is what makes that so. On the
face of an impedance wall E is a number of its own, over half a cell, and feeds the sheet's current K beside Hz,
L ∂K/∂t + R K = E. Sponges multiply (∂t → ∂t + η, centred); matched layers keep a memory of derivatives.

Inside, H is in V/m (times the vacuum's impedance), and so are K (likewise) and J (times Δt/ε0): scaled so that all
fields have similar magnitude and float32 suffices.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Inexact

from diffnr.checks import as_scalar, is_concrete, require, require_instance, staying_known
from diffnr.fdtd.scene.boundaries import Bloch
from diffnr.fdtd.scene.media import IMPEDANCE, LIGHT
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.scene.units import warn_of_hertz
from diffnr.fdtd.time_domain.layers import Layer, layers_of
from diffnr.host import AnyArray, by_numpy, namespace

COURANT = 0.95  # of the longest step
COARSEST = 6.0  # cells a wavelength


class Fields(NamedTuple):
    """The state: `ex` [nx, ny + 1], `ey` [nx + 1, ny]; half a step earlier `hz`, `jx`, `jy` [nx, ny]; all in V/m.

    Where a perfect conductor cuts cells, E is the mean over an edge, with 0 inside of metal, and Hz that over what is
    free of a cell.

    `walls`: K on inner edges, [nx, ny − 1] and [nx − 1, ny], where there are impedance walls; `memory`: of each matched
    layer, of H's and E's derivative.
    """

    ex: Inexact[Array, "x y_line"]
    ey: Inexact[Array, "x_line y"]
    hz: Inexact[Array, "x y"]
    jx: Inexact[Array, "x y"]
    jy: Inexact[Array, "x y"]
    walls: tuple[Array, ...] | None = None
    memory: tuple[tuple[Array, Array], ...] | None = None


class Absorption(eqx.Module):
    """What sponges do to E and H in a step, F⁺ = keep F + gain (…): the centred loss of each, and H's gain.

    E's gain is a part of its 1/ε∞.
    """

    ex: Array
    ey: Array
    hz: Array
    gain: Array


class Update(eqx.Module):
    """The time stepper of a scene: one leapfrog step of its fields as a function, all constants computed beforehand.

        update = fdtd.Update.of(scene)
        fields = update(update.zero_fields())

    `propagate`, `frequency`, `resonances` and `energy` take it, and find in it the scene that it was made from.

    **Arguments of `Update.of`:** `scene`; `step`: Δt in s, default .95 of the longest; `dtype`: of the fields, default
    that of the grid (with a Bloch wavenumber they are complex, of that precision).

    **Fields of use outside:** `scene`; `step` [], s; `shape`, (nx, ny). The others are the coefficients of the step.

    **Raises:** `ValueError` for a step that is not positive or not below `scene.longest_step`.
    """

    scene: Scene
    step: Float[Array, ""]
    light_step: Float[Array, ""]  # cΔt
    curl: tuple[Array, Array, Array, Array]  # cΔt over sizes: of cells, and between their centres
    weights: tuple[Array, Array]  # of the lower of two cells in Aᵀ
    ex: Float[Array, "x y_inner"]
    ey: Float[Array, "x_inner y"]
    drude_gain: Float[Array, "x y"]  # ε∞ ω_p² Δt²
    rotation: tuple[Array, Array]  # e^{ΛΔt}
    absorption: Absorption | None
    walls: tuple[tuple[Array, Array], ...]  # (keep, gain) of K on x's and y's inner edges
    layers: tuple[Layer, ...]
    bloch_factors: tuple[Array | None, Array | None]  # from one period of x, and of y, to the next
    has_carriers: bool = eqx.field(static=True)

    @classmethod
    def of(cls, scene: Any, step: Any = None, dtype: Any = None) -> Update:
        """The update of a scene; see the class."""
        require_instance(scene, "scene", Scene, "be a Scene")
        step, dtype = step_of(scene, step), _as_dtype(dtype)
        dtype = scene.grid.x.dtype if dtype is None else dtype
        parts = by_numpy(functools.partial(_coefficients, dtype), scene, step)
        absorption, layers = parts.pop("absorption"), parts.pop("layers")
        return cls(
            scene=scene,
            step=step,
            absorption=None if absorption is None else Absorption(*absorption),
            layers=tuple(Layer(*layer) for layer in layers),
            has_carriers=scene.has_carriers,
            **parts,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(nx, ny), the number of cells."""
        nx, ny = self.drude_gain.shape
        return nx, ny

    def zero_fields(self) -> Fields:
        """Fields of zero, of the shapes and the dtype that the step takes."""
        nx, ny = self.shape
        dtype = jnp.result_type(self.ex.dtype, *(factor.dtype for factor in self.bloch_factors if factor is not None))
        zeros = lambda x, y: jnp.zeros((x, y), dtype)  # noqa: E731
        walls = tuple(zeros(*keep.shape) for keep, _ in self.walls)
        memory = tuple((zeros(*layer.shape(nx, ny)), zeros(*layer.shape(nx, ny))) for layer in self.layers)
        cells = zeros(nx, ny), zeros(nx, ny), zeros(nx, ny)
        # None, not (): diffrax takes an empty tuple for something to save.
        return Fields(zeros(nx, ny + 1), zeros(nx + 1, ny), *cells, walls or None, memory or None)

    def __call__(self, fields: Fields) -> Fields:
        """The fields one step later."""
        return self.electric(self.magnetic(fields))

    def magnetic(self, fields: Fields) -> Fields:
        """Hz, J and K half a step behind E, taken half a step beyond it."""
        ex, ey, hz, jx, jy, walls, memory = fields
        curl_x, curl_y = self.curl[1] * (ex[:, 1:] - ex[:, :-1]), self.curl[0][:, None] * (ey[1:] - ey[:-1])
        if memory is not None:
            memory = tuple(
                (layer.remember(m[0], layer.of_cells(-curl_y if layer.axis == 0 else curl_x), "centre"), m[1])
                for layer, m in zip(self.layers, memory, strict=True)
            )
        change = curl_x - curl_y
        hz = hz + change if self.absorption is None else self.absorption.hz * hz + self.absorption.gain * change
        for layer, (magnetic, _) in zip(self.layers, memory or (), strict=True):
            gain = 1.0 if self.absorption is None else layer.of_cells(jnp.broadcast_to(self.absorption.gain, hz.shape))
            hz = layer.add_to_cells(hz, gain * magnetic)
        if walls is not None:
            inner = (self.moving(ex, 1), self.moving(ey, 0))
            walls = tuple(
                keep * current + gain * field
                for current, (keep, gain), field in zip(walls, self.walls, inner, strict=True)
            )
        if self.has_carriers:
            sx, sy = (ex[:, 1:] + ex[:, :-1]) / 2, (ey[1:] + ey[:-1]) / 2
            c, s = self.rotation
            ahead, aside, tilt = (1 + c) / 2, s / 2, s / c
            # J⁺y from J⁺x and Jy: with Jx in it XLA would keep a copy of Jx.
            jx = c * jx - s * jy + self.drude_gain * (ahead * sx - aside * sy)
            push = (aside - tilt * ahead) * sx + (ahead + tilt * aside) * sy
            jy = tilt * jx + (c + tilt * s) * jy + self.drude_gain * push
        return Fields(ex, ey, hz, jx, jy, walls, memory)

    def electric(self, fields: Fields) -> Fields:
        """E half a step behind Hz, J and K, taken half a step beyond them."""
        ex, ey, hz, jx, jy, walls, memory = fields
        (before, behind), (low, high) = self._beside(hz, 0), self._beside(hz, 1)
        curl_x, curl_y = self.curl[3] * (high - low), -self.curl[2][:, None] * (behind - before)
        dex, dey = curl_x, curl_y
        if self.has_carriers:
            left, lower = self.weights[0][:, None], self.weights[1]
            (before, behind), (low, high) = self._beside(jy, 0), self._beside(jx, 1)
            dex = dex - (lower * low + (1 - lower) * high)
            dey = dey - (left * before + (1 - left) * behind)
        if walls is not None:
            dex, dey = dex - self.curl[3] * walls[0], dey - self.curl[2][:, None] * walls[1]
        # Padded, not added in place: XLA then makes one pass and uses every core.
        keep = (1.0, 1.0) if self.absorption is None else (self.absorption.ex, self.absorption.ey)
        ex = keep[0] * ex + self._at_lines(self.ex * dex, 1)
        ey = keep[1] * ey + self._at_lines(self.ey * dey, 0)
        remembered = []
        for layer, (magnetic, electric) in zip(self.layers, memory or (), strict=True):
            derivative, inverse = (curl_y, self.ey) if layer.axis == 0 else (curl_x, self.ex)
            electric = layer.remember(electric, layer.of_inner(derivative), "line")
            part = layer.of_inner(inverse) * electric
            ex, ey = (ex, layer.add_to_lines(ey, part)) if layer.axis == 0 else (layer.add_to_lines(ex, part), ey)
            remembered.append((magnetic, electric))
        return Fields(ex, ey, hz, jx, jy, walls, tuple(remembered) or None)

    def moving(self, edges: Array, axis: int) -> Array:
        """Of all lines across an axis those whose edges move: inner ones, and with Bloch ends the first."""
        first = 1 if self.bloch_factors[axis] is None else 0
        return lax.slice_in_dim(edges, first, edges.shape[axis] - 1, axis=axis)

    def on_all_lines(self, edges: Array, axis: int) -> Array:
        """Coefficients of the edges that move on all lines across an axis: 0 at walls, at a seam the same twice."""
        if self.bloch_factors[axis] is None:
            return jnp.pad(edges, [(1, 1) if a == axis else (0, 0) for a in range(edges.ndim)])
        return jnp.concatenate([edges, lax.slice_in_dim(edges, 0, 1, axis=axis)], axis)

    def _beside(self, cells: Array, axis: int) -> tuple[Array, Array]:
        """Values in the two cells beside each edge that moves across an axis."""
        last, factor = cells.shape[axis] - 1, self.bloch_factors[axis]
        below = lax.slice_in_dim(cells, 0, last, axis=axis)
        if factor is None:
            return below, lax.slice_in_dim(cells, 1, last + 1, axis=axis)
        return jnp.concatenate([lax.slice_in_dim(cells, last, last + 1, axis=axis) / factor, below], axis), cells

    def _at_lines(self, edges: Array, axis: int) -> Array:
        """A field at the edges that move as an array over all lines."""
        factor = self.bloch_factors[axis]
        if factor is None:
            return jnp.pad(edges, [(1, 1) if a == axis else (0, 0) for a in (0, 1)])
        return jnp.concatenate([edges, factor * lax.slice_in_dim(edges, 0, 1, axis=axis)], axis)


def step_of(scene: Scene, step: Any = None, longest: Any = None) -> Float[Array, ""]:
    """Δt in s: the one given if it is below the longest one (default the scene's), or .95 of that."""
    with staying_known():
        longest = scene.longest_step if longest is None else longest
        if step is None:
            return COURANT * longest
        step = as_scalar(step, "step", positive=True)
    if is_concrete(step, longest):
        must = f"be below {float(longest):.6g} s, beyond which fields grow"
        require(bool(np.asarray(step) < np.asarray(longest)), "step", must, f"{float(step):g}")
    return step


def as_update(value: Any) -> Update:
    """`value` as an update that knows its scene."""
    require_instance(value, "update", Update, "be an Update, as Update.of(scene) makes it")
    must = "know its scene, which one that 0.1 saved does not: make it anew by Update.of"
    require(value.scene is not None, "update", must, "without a scene")
    return value


def as_fields(value: Any, update: Update) -> Fields:
    """`value` as fields of the shapes that a step takes."""
    must = "be the Fields of this update, as its zero_fields or a run of it has them"
    require_instance(value, "fields", Fields, must)
    ours, theirs = (
        [(jax.tree_util.keystr(path), jnp.shape(leaf)) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]]
        for tree in (jax.eval_shape(update.zero_fields), value)
    )
    different = [f"{name} of shape {shape}" for name, shape in theirs if (name, shape) not in ours]
    require(ours == theirs, "fields", must, f"with {(different or ['a part missing'])[0]}")
    return value


def require_resolved(update: Update, omega: Any, name: str = "omega") -> None:
    """Raise where the step or the cells are too coarse for a frequency, or the highest of several."""
    scene = update.scene
    if not is_concrete(omega, update.step, scene.grid, scene.eps, scene.metal):
        return
    # By numpy: inside of jit whatever jnp makes is traced.
    highest, step = float(np.max(np.abs(np.real(np.asarray(omega))))), float(np.asarray(update.step))
    must = f"be below π over the step, {np.pi / step:.4g} rad/s"
    require(highest * step < np.pi, name, must, f"{highest:.6g}")
    cell, index = coarsest(scene)
    limit = 2 * np.pi * LIGHT / (index * cell * COARSEST)
    must = (
        f"leave at least {COARSEST:g} cells a wavelength in the densest medium, as frequencies up to {limit:.4g} rad/s "
        f"do in cells of {cell * 1e6:.3g} µm"
    )
    require(highest <= limit, name, must, f"{highest:.6g}")
    warn_of_hertz(scene, omega, name)


def resolves(update: Update, omega: Array) -> Bool[Array, ""]:
    """What `require_resolved` asks of a frequency, and that it is positive, of numbers that may be traced."""
    scene = update.scene
    cell = jnp.maximum(jnp.max(scene.grid.dx), jnp.max(scene.grid.dy))
    index = jnp.sqrt(jnp.max(jnp.where(scene.metal, 1.0, scene.eps)))
    limit = jnp.minimum(jnp.pi / update.step, 2 * jnp.pi * LIGHT / (index * cell * COARSEST) * (1 + 1e-6))
    return (omega.real > 0) & (omega.real < limit)


def coarsest(scene: Scene) -> tuple[float, float]:
    """The size in m of the largest cell, and the largest index of what fills the scene (of its ε∞)."""
    cell = max(float(np.max(np.diff(np.asarray(lines)))) for lines in (scene.grid.x, scene.grid.y))
    return cell, float(np.sqrt(np.max(np.where(np.asarray(scene.metal), 1.0, np.asarray(scene.eps)))))


def _as_dtype(dtype: Any) -> Any:
    must = "be a real floating dtype such as jnp.float32, or None"
    try:
        known = dtype is None or jnp.issubdtype(dtype, jnp.floating)
    except TypeError:
        known = False
    require(known, "dtype", must, dtype)
    return dtype


def _coefficients(dtype: Any, scene: Scene, step: AnyArray) -> dict[str, Any]:
    """The fields of an `Update`, its modules as tuples."""
    grid, light_step, xp = scene.grid, LIGHT * step, namespace(scene.eps, step)
    sizes = (grid.dx, grid.dy, *scene.between)
    stretched, layers = layers_of(scene.boundaries, grid, step, sizes)
    weights = tuple(scene.pairs(sizes[axis], axis)[0] / (2 * sizes[2 + axis]) for axis in (0, 1))
    absorption, motion, (ex, ey) = _absorbed(scene, step)
    rotation = xp.exp(motion * step)

    def factor(bloch: Bloch | None, lines: AnyArray) -> AnyArray | None:
        if bloch is None:
            return None
        turn = xp.asarray(bloch.phase(lines[-1] - lines[0]))
        return turn.astype(xp.result_type(dtype, xp.complex64) if xp.iscomplexobj(turn) else dtype)

    cast = functools.partial(jax.tree_util.tree_map, lambda x: x if isinstance(x, int) else x.astype(dtype))
    return {
        "light_step": light_step,
        "curl": cast(tuple(light_step / size for size in stretched)),
        "weights": cast(weights),
        "ex": cast(ex),
        "ey": cast(ey),
        "drude_gain": cast(scene.drude_weight * scene.rarity * step**2),
        "rotation": cast((rotation.real, rotation.imag)),
        "absorption": cast(absorption),
        "walls": cast(_sheets(scene, step)),
        "layers": cast(layers),
        "bloch_factors": tuple(map(factor, scene.boundaries.bloch, (grid.x, grid.y))),
    }


def _absorbed(scene: Scene, step: AnyArray) -> tuple[tuple[AnyArray, ...] | None, AnyArray, tuple[AnyArray, AnyArray]]:
    """What sponges do to E, H and J in a step, with g/ε∞ of E's edges; metal keeps H at 0, cut cells let it grow."""
    (ex, ey), xp = scene.edges, namespace(scene.eps, step)
    losses = scene.boundaries.losses(scene.grid.x, scene.grid.y)
    if losses is None and not scene.has_walls and not scene.free:
        return None, scene.motion, (ex, ey)
    none = xp.zeros((1, 1), scene.grid.x.dtype)
    on_ex, on_ey, on_hz = (
        none if losses is None else losses.at(*lines) for lines in ((False, True), (True, False), (False, False))
    )
    gain = 1 / (1 + step / 2 * on_hz)
    keep_ex, keep_ey, keep_hz = ((1 - step / 2 * loss) / (1 + step / 2 * loss) for loss in (on_ex, on_ey, on_hz))
    inner = lambda loss, axis: loss if loss.shape[axis] == 1 else loss[1:-1] if axis == 0 else loss[:, 1:-1]  # noqa: E731
    edges = ex / (1 + step / 2 * inner(on_ex, 1)), ey / (1 + step / 2 * inner(on_ey, 0))
    return (keep_ex, keep_ey, keep_hz, xp.where(scene.metal, 0.0, gain * scene.rarity)), scene.motion - on_hz, edges


def _sheets(scene: Scene, step: AnyArray) -> tuple[tuple[AnyArray, AnyArray], ...]:
    """(keep, gain) of the walls' currents: L (K⁺ − K)/Δt + R (K⁺ + K)/2 = E."""

    def motion(resistance: AnyArray, inductance: AnyArray) -> tuple[AnyArray, AnyArray]:
        there, xp = inductance > 0, namespace(inductance, step)
        total = xp.where(there, inductance / step + resistance / 2, 1.0)
        keep = (inductance / step - resistance / 2) / total
        return xp.where(there, keep, 0.0), xp.where(there, IMPEDANCE / total, 0.0)

    return tuple(motion(*face) for face in scene.faces)
