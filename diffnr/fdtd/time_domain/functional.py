"""Sources and probes: one and the same weight over a part of a field, by which it is driven or read."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from diffnr.checks import Numbers, as_real, is_concrete, require, require_finite
from diffnr.fdtd.scene.grid import Grid, nearest
from diffnr.fdtd.time_domain.leapfrog import Fields, Update

COMPONENTS = ("ex", "ey", "hz")


class Functional(eqx.Module):
    """A weight w over a block of one field component F:

        read:   Σ w F V        driven:   ∂F/∂t = … + w s(t) (in units of cF's rate, over ε∞ for E)

    V are the volumes (areas) of the scheme's points. The two are transposes of each other, so that a source and a probe
    that are exchanged at −B answer alike to round-off (with the opposite sign between E and Hz).

    **Arguments:**

    - `component`: "ex", "ey" or "hz". `corner`: (i, j), the block's lowest indices, static.
    - `weights`: [p, q], finite, 1/m² for an average. A source may have several, [term, p, q], and a waveform that
      returns [term].

    **Raises:** `ValueError` for a component that does not exist, weights that are no matrix or not finite.
    """

    component: str = eqx.field(static=True)
    corner: tuple[int, int] = eqx.field(static=True)
    weights: Float[Array, "*term p q"]

    def __init__(self, component: str, corner: tuple[int, int], weights: Numbers):
        self.component, self.corner, self.weights = component, corner, as_real(weights, "weights")

    def __check_init__(self) -> None:
        require(self.component in COMPONENTS, "component", f"be one of {COMPONENTS}", repr(self.component))
        must = "be a matrix, or several of them"
        require(self.weights.ndim in (2, 3), "weights", must, f"of shape {self.weights.shape}")
        require_finite("weights", self.weights)

    @classmethod
    def at(cls, grid: Grid, x: Any, y: Any, component: str = "hz") -> Functional:
        """The mean over the one cell (or edge) nearest to a place, in metres.

        **Raises:** `ValueError` for a place outside of the grid.
        """
        (px, lx), (py, ly) = _known_points(grid, component)
        i, j = nearest(grid.x, x, "x", px), nearest(grid.y, y, "y", py)
        return cls(component, (i, j), (1 / (lx[i] * ly[j]))[None, None])

    @classmethod
    def across(cls, grid: Grid, x: Any, profile: Numbers, component: str = "hz") -> Functional:
        """∫ profile · F dy at the column nearest to x; `profile`: [ny], or [ny + 1] for "ex", of its points.

        **Raises:** `ValueError` for a place outside of the grid, a profile of another shape.
        """
        (px, lx), (py, _) = _known_points(grid, component)
        profile = as_real(profile, "profile")
        require(profile.shape == py.shape, "profile", f"have shape {py.shape}", f"of shape {profile.shape}")
        i = nearest(grid.x, x, "x", px)
        return cls(component, (i, 0), (profile / lx[i])[None, :])

    def read(self, grid: Grid, fields: Fields) -> Inexact[Array, ""]:
        """Σ w F V."""
        part = getattr(fields, self.component)[self._block]
        return jnp.sum((self.weights * self._volumes(grid)).astype(part.dtype) * part)

    def drive(self, update: Update, fields: Fields, strength: Array) -> Fields:
        """The fields with w · strength · cΔt added, over ε∞ for E; for the half of the step that advances F."""
        field = getattr(fields, self.component)
        weights = update.light_step * self.weights * self.gain(update)
        added = field.at[self._block].add(jnp.tensordot(strength, weights, strength.ndim).astype(field.dtype))
        if update.bloch_factor is not None and self.component == "ex":
            # The last line is the first of the next period.
            added = added.at[:, -1].set(update.bloch_factor * added[:, 0])
        return fields._replace(**{self.component: added})

    def gain(self, update: Update) -> Array:
        """What the step does with a field's rate: 1/ε∞ for E, 0 where there is no field, less in a sponge."""
        if self.component == "hz":
            gain = 1.0 if update.absorption is None else update.absorption.gain
            return jnp.broadcast_to(gain, update.shape)[self._block]
        if self.component == "ey":
            return jnp.pad(update.ey, ((1, 1), (0, 0)))[self._block]
        return jnp.pad(update.ex, ((0, 0), (1, 1) if update.bloch_factor is None else (0, 1)))[self._block]

    @property
    def _block(self) -> tuple[slice, slice]:
        (i, j), (p, q) = self.corner, self.weights.shape[-2:]
        return slice(i, i + p), slice(j, j + q)

    def _volumes(self, grid: Grid) -> Float[Array, "p q"]:
        (_, lx), (_, ly) = _points(grid, self.component)
        rows, columns = self._block
        return lx[rows, None] * ly[columns]


def require_on_grid(name: str, functional: Functional, grid: Grid) -> None:
    """Raise unless a functional's block lies on the grid."""
    shape = tuple(points.size for points, _ in _points(grid, functional.component))
    (i, j), (p, q) = functional.corner, functional.weights.shape[-2:]
    inside = i >= 0 and i + p <= shape[0] and j >= 0 and j + q <= shape[1]
    was = f"rows {i} to {i + p}, columns {j} to {j + q}"
    require(inside, name, f"have blocks inside of the {shape[0]} × {shape[1]} points of {functional.component}", was)


def _known_points(grid: Grid, component: str) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """`_points` as numbers inside of jit as well, if the grid's are."""
    with jax.ensure_compile_time_eval() if is_concrete(grid) else nullcontext():
        return _points(grid, component)


def _points(grid: Grid, component: str) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(coordinates, sizes) of a component's points along x, and along y."""
    require(component in COMPONENTS, "component", f"be one of {COMPONENTS}", repr(component))
    cx, cy = grid.centres
    cells = (cx, grid.dx), (cy, grid.dy)
    lines = tuple((at, _between(sizes)) for at, sizes in ((grid.x, grid.dx), (grid.y, grid.dy)))
    return (lines[0] if component == "ey" else cells[0]), (lines[1] if component == "ex" else cells[1])


def _between(sizes: Float[Array, " n"]) -> Float[Array, " line"]:
    """Distances between centres; half a cell at the ends."""
    padded = jnp.pad(sizes, 1)
    return (padded[1:] + padded[:-1]) / 2
