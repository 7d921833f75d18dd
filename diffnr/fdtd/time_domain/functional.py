"""Sources and probes: one and the same weight over a part of a field, by which it is driven or read."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from diffnr.checks import (
    Numbers,
    as_choice,
    as_count,
    as_inexact,
    described,
    is_concrete,
    require,
    require_finite,
    require_instance,
)
from diffnr.fdtd.scene.grid import Grid, nearest
from diffnr.fdtd.time_domain.leapfrog import Fields, Update
from diffnr.fdtd.time_domain.waveforms import Pulse, Tone

COMPONENTS = ("ex", "ey", "hz")


class Functional(eqx.Module):
    """A source's or a monitor's weight w over a block of one field component F:

        read:   Σ w F V        driven:   ∂F/∂t = … + w s(t) (in units of cF's rate, over ε∞ for E)

    V are the volumes (areas) of the scheme's points. The two are transposes of each other, so that a source and a probe
    that are exchanged at −B answer alike to round-off (with the opposite sign between E and Hz).

    **Arguments:**

    - `component`: "ex", "ey" or "hz". `corner`: (i, j), the block's lowest indices, static.
    - `weights`: [p, q], finite, 1/m² for an average, real or complex. A source may have several, [term, p, q], and a
      waveform that returns [term].

    Complex weights read Σ w F V as it stands, without a conjugate, of phasors and of fields in time alike. A source of
    complex weights is one of real ones at one frequency, turned by their phase from place to place; in time its
    waveform is then a `Pulse` or a `Tone`, whose phase is turned.

    **Raises:** `ValueError` for a component that does not exist, a corner that is not two whole numbers, weights that
    are no matrix or not finite.
    """

    component: str = eqx.field(static=True)
    corner: tuple[int, int] = eqx.field(static=True)
    weights: Inexact[Array, "*term p q"]

    def __init__(self, component: Any, corner: Any, weights: Numbers):
        paired = isinstance(corner, (tuple, list)) and len(corner) == 2
        require(paired, "corner", "be two whole numbers, (i, j)", corner)
        i, j = (as_count(index, "corner", least=0) for index in corner)
        self.component, self.corner, self.weights = component, (i, j), as_inexact(weights, "weights")

    def __check_init__(self) -> None:
        as_choice(self.component, "component", COMPONENTS)
        must = "be a matrix, or several of them"
        require(self.weights.ndim in (2, 3), "weights", must, f"of shape {self.weights.shape}")
        require_finite("weights", self.weights)

    @classmethod
    def at(cls, grid: Any, x: Any, y: Any, component: Any = "hz") -> Functional:
        """The mean over the one cell (or edge) nearest to a place.

        **Arguments:** `grid`: the scene's; `x`, `y`: in metres; `component`: "ex", "ey" or "hz".

        **Raises:** `ValueError` for a place outside of the grid, another component.
        """
        (px, lx), (py, ly) = _known_points(grid, component)
        i, j = nearest(grid.x, x, "x", px), nearest(grid.y, y, "y", py)
        return cls(component, (i, j), (1 / (lx[i] * ly[j]))[None, None])

    @classmethod
    def across(cls, grid: Any, x: Any, profile: Numbers, component: Any = "hz") -> Functional:
        """∫ profile · F dy at the column nearest to x.

        **Arguments:** `grid`: the scene's; `x`: in metres; `profile`: [ny], or [ny + 1] for "ex", at its points;
        `component`: "ex", "ey" or "hz".

        **Raises:** `ValueError` for a place outside of the grid, a profile of another shape, another component.
        """
        (px, lx), (py, _) = _known_points(grid, component)
        profile = as_inexact(profile, "profile")
        require(profile.shape == py.shape, "profile", f"have shape {py.shape}", f"of shape {profile.shape}")
        require_finite("profile", profile)
        i = nearest(grid.x, x, "x", px)
        return cls(component, (i, 0), (profile / lx[i])[None, :])

    def read(self, grid: Grid, fields: Fields) -> Inexact[Array, ""]:
        """Σ w F V of `fields` on their `grid`."""
        part, weights = getattr(fields, self.component)[self._block], self.weights * self._volumes(grid)
        return jnp.sum(weights.astype(self.reading_dtype(part.dtype)) * part)

    def reading_dtype(self, dtype: Any) -> Any:
        """Of what is read, of fields of a dtype."""
        return jnp.result_type(dtype, jnp.complex64) if jnp.iscomplexobj(self.weights) else dtype

    def drive(self, update: Update, fields: Fields, strength: Array) -> Fields:
        """The fields with w · strength · cΔt added, over ε∞ for E; for the half of the step that advances F."""
        field = getattr(fields, self.component)
        weights = update.light_step * self.weights * self.gain(update) * self._shares(update)
        added = field.at[self._block].add(jnp.tensordot(strength, weights, strength.ndim).astype(field.dtype))
        axis = {"ey": 0, "ex": 1}.get(self.component)
        factor = None if axis is None else update.bloch_factors[axis]
        if axis is not None and factor is not None:
            # The last line is the first of the next period: what drives either drives both.
            lines, before = jnp.moveaxis(added, axis, 0), jnp.moveaxis(field, axis, 0)
            first = lines[0] + lines[-1] / factor - before[0]
            added = jnp.moveaxis(lines.at[0].set(first).at[-1].set(factor * first), 0, axis)
        return fields._replace(**{self.component: added})

    def gain(self, update: Update) -> Array:
        """What the step does with a field's rate: 1/ε∞ for E, 0 where there is no field, less in a sponge."""
        if self.component == "hz":
            gain = 1.0 if update.absorption is None else update.absorption.gain
            return jnp.broadcast_to(gain, update.shape)[self._block]
        if self.component == "ey":
            return update.on_all_lines(update.ey, 0)[self._block]
        return update.on_all_lines(update.ex, 1)[self._block]

    def _shares(self, update: Update) -> Array | float:
        """At a seam half of an edge's volume is on either side of the grid."""
        axis = {"ey": 0, "ex": 1}.get(self.component)
        if axis is None or update.bloch_factors[axis] is None:
            return 1.0
        sizes = (update.scene.grid.dx, update.scene.grid.dy)[axis]
        ends = sizes[jnp.array([0, -1])]
        shares = jnp.ones(sizes.size + 1).at[jnp.array([0, -1])].set(ends / jnp.sum(ends))
        return shares[self._block[axis]][:, None] if axis == 0 else shares[self._block[axis]]

    @property
    def _block(self) -> tuple[slice, slice]:
        (i, j), (p, q) = self.corner, self.weights.shape[-2:]
        return slice(i, i + p), slice(j, j + q)

    def _volumes(self, grid: Grid) -> Float[Array, "p q"]:
        (_, lx), (_, ly) = _points(grid, self.component)
        rows, columns = self._block
        return lx[rows, None] * ly[columns]


def as_list(value: Any, name: str, must: str) -> tuple[Any, ...]:
    """`value`, a tuple or list of what `must` says."""
    require(isinstance(value, (tuple, list)), name, must, value)
    return tuple(value)


def as_probes(value: Any, grid: Grid) -> tuple[Functional, ...]:
    """`value` as functionals on a grid."""
    must = "be a list of Functional"
    probes = as_list(value, "probes", must)
    for probe in probes:
        require_instance(probe, "probes", Functional, must)
        require_on_grid("probes", probe, grid)
    return probes


def as_waveforms(value: Any, update: Update) -> tuple[tuple[Functional, Any], ...]:
    """`value` as pairs of a functional on a grid and a function of the time, with real weights where fields are."""
    sources = as_sources(value, update.scene.grid, "function t -> s(t)")
    for _, waveform in sources:
        # Functions are a part of the compiled program, which is found again by them.
        serves = (
            callable(waveform) and not isinstance(waveform, type) and getattr(waveform, "__hash__", None) is not None
        )
        require(serves, "sources", "be a list of pairs (Functional, function t -> s(t))", f"with {described(waveform)}")
    if any(jnp.iscomplexobj(factor) for factor in update.bloch_factors):
        return sources
    return tuple(part for source in sources for part in _with_real_weights(*source))


def _with_real_weights(source: Functional, waveform: Any) -> tuple[tuple[Functional, Any], ...]:
    """Re(w e^{iφ}) = Re w cos φ + Im w cos(φ + π/2)."""
    if not jnp.iscomplexobj(source.weights):
        return ((source, waveform),)
    must = "have real weights in time, or a Pulse or a Tone as waveform, whose phase they turn"
    require(isinstance(waveform, (Pulse, Tone)), "sources", must, f"complex ones with {described(waveform)}")
    ahead = eqx.tree_at(lambda w: w.phase, waveform, waveform.phase + jnp.pi / 2)
    parts = (source.weights.real, waveform), (source.weights.imag, ahead)
    return tuple((Functional(source.component, source.corner, weights), beat) for weights, beat in parts)


def as_sources(value: Any, grid: Grid, what: str) -> tuple[tuple[Functional, Any], ...]:
    """`value` as pairs of a functional on a grid and its strength, which `what` says in words."""
    must = f"be a list of pairs (Functional, {what})"
    sources = as_list(value, "sources", must)
    for pair in sources:
        paired = isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], Functional)
        require(paired, "sources", must, pair)
        require_on_grid("sources", pair[0], grid)
    return tuple((functional, strength) for functional, strength in sources)


def require_on_grid(name: str, functional: Functional, grid: Grid) -> None:
    """Raise unless a functional's block lies on the grid."""
    shape = tuple(points.size for points, _ in _points(grid, functional.component))
    (i, j), (p, q) = functional.corner, functional.weights.shape[-2:]
    inside = i >= 0 and i + p <= shape[0] and j >= 0 and j + q <= shape[1]
    was = f"rows {i} to {i + p}, columns {j} to {j + q}"
    require(inside, name, f"have blocks inside of the {shape[0]} × {shape[1]} points of {functional.component}", was)


def _known_points(grid: Grid, component: str) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """`_points` as numbers inside of jit as well, if the grid's are."""
    require_instance(grid, "grid", Grid, "be a Grid")
    with jax.ensure_compile_time_eval() if is_concrete(grid) else nullcontext():
        return _points(grid, component)


def _points(grid: Grid, component: str) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(coordinates, sizes) of a component's points along x, and along y."""
    as_choice(component, "component", COMPONENTS)
    cx, cy = grid.centres
    cells = (cx, grid.dx), (cy, grid.dy)
    lines = tuple((at, _between(sizes)) for at, sizes in ((grid.x, grid.dx), (grid.y, grid.dy)))
    return (lines[0] if component == "ey" else cells[0]), (lines[1] if component == "ex" else cells[1])


def _between(sizes: Float[Array, " n"]) -> Float[Array, " line"]:
    """Distances between centres; half a cell at the ends."""
    padded = jnp.pad(sizes, 1)
    return (padded[1:] + padded[:-1]) / 2
