"""The waves of guides that are uniform along x, in both directions, on the step's own stencil."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_frequency,
    is_concrete,
    require,
)
from diffnr.compilation import compiled
from diffnr.fdtd.guides.column import MIDDLE, Column, Cut, eigenpairs, polished, resolved
from diffnr.fdtd.guides.continuum import SURVIVES, compared, profile_of
from diffnr.fdtd.guides.cross_section import CrossSection, as_cross_section
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.scene.units import GUIDE, warn_of_hertz
from diffnr.fdtd.time_domain.leapfrog import step_of
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import frozen

LATTICE = 0.1  # the most that ln k may change with ln Δx: twice the share of k that is the lattice's error
SPARE = 2  # waves of the lattice's own among the candidates


class Waves(eqx.Module):
    """Waves of a guide e^{i(ωt − kx)} whose power goes in one direction, by falling |k|; NaN where there are no more.

    **Fields**, all [num_modes, ...]:

    - `k`: Re k, rad/m, signed by the phase: negative for −x waves, except those whose phase and group velocities are
      opposite. `attenuation`: |Im k|, 1/m, by which the amplitude falls on the way. `group_velocity`: dω/dk, m/s,
      signed.
    - `valid`: whether there is such a wave. `ex` [ny + 1], `ey`, `hz` [ny]: its profile in V/m (Hz times the vacuum's
      impedance), at 1 W per metre along z, all referred to the vertical line of Ey; that is real and positive, but
      for loss, at its lowest edge that has .9 of the largest amplitude.
    - `launch`, `read`: `Cut`s: what a step adds to make the wave from a line on, and the weights that read its
      amplitude.
    - `error`: |k − that of the guide as a continuum|, rad/m: what the cells make of it.
    - `unresolved` []: how many waves of this direction the guide has that these cells do not resolve, k being more than
      a tenth off, or none there at all; `missing` [n]: their k, rad/m, complex, by falling |k|.
    """

    k: Float[Array, "*mode"]
    attenuation: Float[Array, "*mode"]
    group_velocity: Float[Array, "*mode"]
    valid: Bool[Array, "*mode"]
    ex: Complex[Array, "*mode y_line"]
    ey: Complex[Array, "*mode y"]
    hz: Complex[Array, "*mode y"]
    launch: Cut
    read: Cut
    error: Float[Array, "*mode"]
    unresolved: Int[Array, "*batch"]
    missing: Complex[Array, "*missing"]

    @property
    def count(self) -> Int[Array, "*batch"]:
        """How many there are, among those asked for."""
        return jnp.sum(self.valid, axis=-1)

    @property
    def wavenumber(self) -> Complex[Array, "*mode"]:
        """k, complex: Im k < 0 for waves to +x that lose."""
        return self.k - 1j * jnp.sign(self.group_velocity) * self.attenuation


class GuideModes(AbstractAnswer):
    """Waves to +x, `forward`, and to −x, `backward`.

    `result` tells whether the guide's equations could be solved. That there is no wave in a direction, or fewer than
    were asked for, is an answer where `unresolved` is 0: `forward.count`, `forward.valid`.
    """

    forward: Waves
    backward: Waves
    result: Any = eqx.field(default_factory=lambda: RESULTS.successful)


def guide_modes(
    cross_section: Any, omega: Numbers, num_modes: Count = 1, *, step: Any = None, throw: Any = True
) -> GuideModes:
    """The waves that a guide carries at a frequency, in both directions, on the stencil of the step in time.

        modes = fdtd.guide_modes(guide, 2 * np.pi * 1.24e12, num_modes=2)

    Of all solutions of the step that turn by λ = e^{−ikΔx} from column to column (`column.py`) those are kept that fall
    by less than e in a wavelength, and that the cells resolve: Hz changes by less than half from cell to cell, and the
    cells' width by less than 5 % of k. Every lattice with carriers has waves besides that are its own: of grid scale,
    and, where the dispersion of a surface wave flattens, spurious solutions whose k does not converge under refinement.

    **Arguments:**

    - `cross_section`: of `layered_guide` or `CrossSection.of`. `omega`: [], rad/s.
    - `num_modes`: the most waves of each direction. `step`: Δt in s, default .95 of the longest.
    - `throw`: raise where the equations have no finite solution; otherwise `result` says it.

    **Returns:** `GuideModes`. Everything in it has derivatives in every leaf of the cross-section, and in ω, up to the
    third order; it may be jitted and vmapped.

    **Raises:** `ValueError` for a frequency that is not positive and finite or beyond π over the step, a number of
    modes below 1; `RuntimeError` if `throw` and the equations have no finite solution.

    **Good values:** k converges at second order in the cell; twenty cells to the shortest length across give a
    thousandth. A cross-section of n cells costs an eigenvalue problem of size 2n.

    Source: paper 3 (nonreciprocal cavities, supplement), Fig. S1 and equation S22, on the lattice.
    """
    section, throw = as_cross_section(cross_section), as_flag(throw, "throw")
    omega, step = as_frequency(omega, "omega"), step_of(section.scene, step, section.longest)
    require_below_lattice(omega, step, "omega")
    warn_of_hertz(section.scene, omega, "omega", GUIDE)
    found = guide_waves(section, omega, as_num_modes(num_modes, section), step)
    lost = unresolved(found, omega, section.scene)
    if lost:
        warnings.warn(f"The guide has {lost}", RuntimeWarning, stacklevel=2)
    return raise_failures(found, found.result) if throw else found


def as_num_modes(value: Any, section: CrossSection) -> int:
    """`value` as a number of waves that the lattice can have."""
    return as_count(value, "num_modes", most=2 * section.scene.grid.shape[1])


def require_below_lattice(omega: Array, step: Array, name: str) -> None:
    """Raise where a step in time is half a turn or more of a frequency, or of one of several."""
    if is_concrete(omega, step):
        limit, highest = float(np.pi / np.asarray(step)), float(np.max(np.asarray(omega)))
        require(highest < limit, name, f"be below π over the step, {limit:.4g} rad/s", f"{highest:.6g}")


@compiled
def guide_waves(cross_section: CrossSection, omega: Array, num_modes: int, step: Array) -> GuideModes:
    """`guide_modes` of arguments that have been looked at."""
    one = jnp.ones_like(omega)
    column, push = jax.linearize(functools.partial(cross_section.column, step), omega, one)
    by_omega, by_width = push(one, 0 * one), push(0 * one, one)
    parts, inverse = column.reduced()
    turns, vectors, directions = _candidates(*frozen((column, parts, inverse)))

    def refined(factor: Array, x: Array, direction: Array, valid: Array) -> dict[str, Any]:
        factor, x, y = polished(parts, factor, x)
        u, v = column.wave(x, factor, inverse), column.left(y, factor, inverse)
        # k = i ln λ/Δx
        by_omega_and_width = (
            -1j * change.slope(v, u, factor) / (factor * column.width) for change in (by_omega, by_width)
        )
        return _normalised(column, factor, u, v, by_omega_and_width, direction, valid)

    found = []
    for direction in (1.0, -1.0):
        order = jnp.argsort(jnp.where(directions == direction, -jnp.abs(jnp.angle(turns)), jnp.inf))
        order = order[: num_modes + SPARE]
        found.append(
            (turns[order], vectors[:, order].T, jnp.full(order.shape, direction), directions[order] == direction)
        )
    both = jax.vmap(refined)(*(jnp.concatenate(pair) for pair in zip(*found, strict=True)))

    directions = jnp.concatenate([direction for _, _, direction, _ in found])
    profile = profile_of(cross_section.scene, MIDDLE, omega)
    k = both["k"] - 1j * directions * both["attenuation"]
    error, missing, counts = compared(profile, omega, k, directions, both["valid"])
    alone = both["valid"] & ~jnp.isfinite(error)
    # A wave of the lattice without a partner stands for one of the guide: its k is too far off.
    counts = jnp.maximum(counts, jnp.sum(alone.reshape(2, -1), axis=1, dtype=counts.dtype))
    both = _without(alone, {**both, "error": jnp.where(both["valid"], error, jnp.nan)})

    def first(direction: int) -> Waves:
        part = slice(direction * count, (direction + 1) * count)
        waves = jax.tree_util.tree_map(lambda leaf: leaf[part], both)
        order = jnp.argsort(jnp.where(waves["valid"], -jnp.abs(waves["k"]), jnp.inf))[:num_modes]
        waves = jax.tree_util.tree_map(lambda leaf: leaf[order], waves)
        return Waves(**waves, unresolved=counts[direction], missing=missing[direction])

    count, finite = found[0][0].size, jnp.all(jnp.isfinite(vectors))
    result = RESULTS.where(finite, RESULTS.successful, RESULTS.nonfinite)
    return GuideModes(first(0), first(1), result)


def _candidates(column: Column, parts: Any, inverse: Array) -> tuple[Array, Array, Array]:
    """λ and Ey of all waves, and the direction of those that propagate: 1, −1, or 0."""
    turns, vectors = eigenpairs(parts)

    def direction(factor: Array, x: Array) -> Array:
        u = column.wave(x, factor, inverse)
        rate = jnp.log(factor)
        lasts = SURVIVES * jnp.abs(rate.real) < jnp.abs(rate.imag)
        good = jnp.isfinite(factor) & lasts & resolved(factor, column.magnetic(u, factor))
        return jnp.where(good, jnp.sign(column.flux(u, factor)), 0.0)

    return turns, vectors, jax.vmap(direction, in_axes=(0, 1))(turns, vectors)


def _without(alone: Array, waves: dict[str, Any]) -> dict[str, Any]:
    """NaN for those of several waves that are none of the guide."""

    def kept(leaf: Array) -> Array:
        lost = alone.reshape(-1, *[1] * (leaf.ndim - 1))
        return leaf & ~lost if leaf.dtype == bool else jnp.where(lost, jnp.nan, leaf)

    return jax.tree_util.tree_map(kept, waves)


def unresolved(found: GuideModes, omega: Any, scene: Scene) -> str:
    """Which waves the cells do not resolve, at how many cells a wavelength, in words; "" where there are none, or
    numbers are traced."""
    if not is_concrete(found, omega, scene.grid):
        return ""
    said = []
    cell = max(float(np.max(np.diff(np.asarray(lines)))) for lines in (scene.grid.x, scene.grid.y))
    for name, waves in (("+x", found.forward), ("-x", found.backward)):
        counts, missing = np.atleast_1d(waves.unresolved), np.atleast_2d(waves.missing)
        omegas = np.broadcast_to(np.asarray(omega), counts.shape)
        where = np.flatnonzero(counts)
        if where.size == 0:
            continue
        count, first = counts[where[0]], missing[where[0]][np.isfinite(missing[where[0]])]
        many = f"{count} wave{'s' if count > 1 else ''} to {name} that these cells do not resolve"
        at = f"at {omegas[where[0]] / (2e12 * np.pi):.6g} THz"
        if where.size > 1:
            at += f" and {where.size - 1} more frequencies"
        ks = [f"k = {k.real:.5g} rad/m, {2 * np.pi / (abs(k.real) * cell):.3g} cells a wavelength" for k in first]
        said.append(f"{many} {at}{' (' if ks else ''}{'; '.join(ks)}{')' if ks else ''}")
    # Near the top of a surface wave's band k has no bound, so that smaller cells do not always help.
    rough = found.forward.k.dtype == jnp.float32
    ways = f"smaller cells (these are up to {cell * 1e6:.4g} µm), {'float64, ' if rough else ''}or another frequency"
    how = f". Take {ways}."
    return f"{', and '.join(said)}{how}" if said else ""


def _normalised(
    column: Column, factor: Array, u: Array, v: Array, slopes: Any, direction: Array, valid: Array
) -> dict[str, Any]:
    """A wave of 1 W/m, with what launches and reads it.

    Loss leaves open how the product of a wave and its partner in the opposite bias, which alone is fixed, is shared
    between them: both carry the same power, and have half of the product's phase. S(B) = S(−B)ᵀ needs it.
    """
    k = 1j * jnp.log(factor) / column.width
    by_omega, by_width = slopes
    valid = valid & (jnp.abs(by_width - k) < LATTICE * jnp.abs(k))
    hz = column.magnetic(u, factor)
    n, there = column.lines, column.weights > 0
    partner = jnp.where(there, v[n:] / jnp.where(there, column.weights, 1.0), 0.0)
    mine, its = _phase(u[n:]), _phase(partner)
    own = jnp.abs(column.flux(u, factor))
    reading = column.read(v, factor)
    other = jnp.abs(column.power(reading.at, partner))
    product = direction * column.rate / 4 * jnp.cos(jnp.angle(column.z) / 2) * factor / jnp.sqrt(column.z) * mine * its
    size = jnp.sqrt(jnp.sqrt(other / own) / jnp.abs(product))
    scale = size * mine * jnp.exp(-0.5j * jnp.angle(product))
    u, half = scale * u, jnp.sqrt(factor)
    none = lambda value: jnp.where(valid, value, jnp.nan)  # noqa: E731
    return dict(
        k=none(k.real),
        attenuation=none(-direction * k.imag),
        group_velocity=none(1 / by_omega.real),
        valid=valid,
        ex=none(u[:n] / half),
        ey=none(u[n:]),
        hz=none(scale * hz / half / jnp.sqrt(column.z)),
        launch=Cut(*(none(direction * part) for part in column.launch(u, factor))),
        read=Cut(*(none(part / (-factor * scale)) for part in reading)),
    )


def _phase(profile: Array) -> Array:
    """What makes a profile real and positive at its lowest edge that has .9 of the largest amplitude or more: of two
    equal ones, as odd waves have, always the same."""
    size = jnp.abs(profile)
    value = profile[jnp.argmax(size >= 0.9 * jnp.max(size))]
    return jnp.conj(value) / jnp.abs(value)
