"""The field at one frequency, by a direct solve of the identical scheme."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Inexact

from diffnr.checks import (
    Numbers,
    as_flag,
    as_inexact,
    is_concrete,
    require,
    require_finite,
    require_shape,
    staying_known,
)
from diffnr.compilation import compiled
from diffnr.fdtd.frequency_domain.direct_solve import Edges, steady_edges
from diffnr.fdtd.frequency_domain.harmonic_step import harmonic_step, step_factor
from diffnr.fdtd.time_domain.functional import Functional, as_probes, as_sources
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, as_update, require_resolved, resolves
from diffnr.results import RESULTS, AbstractAnswer, raise_failures


class SteadyField(AbstractAnswer):
    """What `frequency` returns, all as phasors: F(t) = Re F̂ e^{iωt}.

    **Fields:** `fields`; `readings` [probe], what probes read; `omega` [], rad/s; `result`: whether they are finite.
    """

    fields: Fields
    readings: Complex[Array, " probe"]
    omega: Inexact[Array, ""]
    result: Any


def frequency(
    update: Any,
    omega: Numbers,
    *,
    sources: Any,
    probes: Any = (),
    throw: Any = True,
) -> SteadyField:
    """The steady field at one frequency: where `propagate` arrives with sources that go on as Re s e^{iωt}.

        reading = fdtd.frequency(fdtd.Update.of(scene), 1e13, sources=[(source, 1.0)], probes=[probe]).readings[0]

        M(z) E = source,    z = e^{iωΔt},    reading(t) = Re r e^{iωt}  at the times `Recording.ts`

    It is the same scheme, not another discretisation, and equals a run in time to round-off once that has rung down.
    How long that would take does not matter, so that high Q costs nothing; but each frequency is a solve of its own.

    **Arguments:**

    - `update`: `Update.of(scene)`.
    - `omega`: [], rad/s, with a positive real part; a complex one, with e^{−Im ω t}, is allowed.
    - `sources`: pairs of a functional and its strength s, [] real or complex.
    - `probes`: functionals. `throw`: raise where the system has no finite solution; otherwise `result` says it.

    **Returns:** a `SteadyField`. It may be jitted, vmapped and differentiated in both modes and to any order, in ω and
    in every number of the scene, the update and the sources. Derivatives, more sources and the transposed problem share
    one LU factorisation (kept for the next call; `vmap` over strengths, too); `vmap` over ω makes one each. Where ω is
    a resonance without loss, fields are not finite.

    **Notes:** with a Bloch wavenumber fields are complex in time and the reading is r e^{iωt} itself, for sources of
    strength s e^{iωt}. With float32 the system is solved in float64 where jax has it; without, expect 5·10⁻³.

    **Raises:** `ValueError` for a functional off the grid, ω whose real part is not positive, or beyond what the step
    and the cells carry (six a wavelength, as in `propagate`); `RuntimeError` if `throw` and the system has no finite
    solution. An ω that is traced and beyond them gives NaN, and `RESULTS.too_coarse`.
    """
    update, throw = as_update(update), as_flag(throw, "throw")
    omega = as_one_frequency(update, omega)
    driven = []
    for source, strength in as_sources(sources, update.scene.grid, "strength s, a number"):
        strength = as_inexact(strength, "sources, a strength in it,")
        require_shape(strength, "sources, a strength in it,", source.weights.shape[:-2])
        require_finite("sources, a strength in it,", strength)
        driven.append((source, strength))
    found = _frequency(update, omega, tuple(driven), as_probes(probes, update.scene.grid))
    return raise_failures(found, found.result) if throw else found


def as_one_frequency(update: Update, omega: Any) -> Inexact[Array, ""]:
    """`omega` as one frequency, real or complex, that a step and its cells carry."""
    with staying_known():
        value = as_inexact(omega, "omega")
    require(value.ndim == 0, "omega", "be one number (use vmap for many)", f"of shape {value.shape}")
    require_finite("omega", value)
    require(not is_concrete(value) or complex(value).real > 0, "omega", "have a positive real part", value)
    require_resolved(update, value)
    return value


def solve(update: Update, omega: Numbers, ex: Array, ey: Array, hz: Array | None = None) -> Fields:
    """The steady fields of a step to which something is added, always turned on by z = e^{iωΔt}.

        Hz^{n+½} = … + hz z^n,      E^{n+1} = … + (ex, ey) z^n,      F(t) = Re F̂ e^{iωt}

    **Arguments:**

    - `update`: the step. `omega`: [], rad/s, real or complex.
    - `ex`: complex [nx, ny + 1], `ey`: [nx + 1, ny], `hz`: [nx, ny] or None; in V/m, added in step n (n = 0 begins at
      t = 0), to Hz after it has moved and to E after it has moved, as sources of `propagate` are. With Bloch ends the
      last line of `ex` is the first times the phase from one period to the next.

    **Returns:** `Fields` of phasors F̂, each at its own times: E^n at nΔt; Hz, J and the currents of walls at (n + ½)Δt.
    What matched layers remember goes with the half of the step that it belongs to.
    """
    precise = in_double(update)
    omega, z = _wave_factor(precise, omega)
    ex, ey = ex.astype(z.dtype), ey.astype(z.dtype)
    right = ex, ey
    if hz is not None:
        hz = hz.astype(z.dtype)
        pushed = harmonic_step(precise, jnp.zeros_like(ex), jnp.zeros_like(ey), z, hz)
        right = ex + pushed.ex, ey + pushed.ey
    fields = phasors(precise, omega, steady_edges(precise, z, right), hz)
    as_given = jnp.result_type(update.ex.dtype, jnp.complex64)
    return jax.tree_util.tree_map(lambda field: field.astype(as_given), fields)


def phasors(update: Update, omega: Numbers, edges: Edges, hz: Array | None = None) -> Fields:
    """The fields that go with E, as `solve` returns them."""
    omega, z = _wave_factor(update, omega)
    half = jnp.exp(-0.5j * omega * update.step).astype(z.dtype)
    ahead = harmonic_step(update, *edges, z, hz)
    memory = None if ahead.memory is None else tuple((half * m, e / z) for m, e in ahead.memory)
    walls = None if ahead.walls is None else tuple(half * current for current in ahead.walls)
    return Fields(*edges, half * ahead.hz, half * ahead.jx, half * ahead.jy, walls, memory)


def in_double(update: Update) -> Update:
    """The same step in the widest numbers that jax has."""
    wide = jnp.result_type(float)

    def widen(x: Array) -> Array:
        return x.astype(jnp.result_type(x.dtype, wide)) if jnp.issubdtype(x.dtype, jnp.inexact) else x

    return jax.tree_util.tree_map(widen, update)


def _wave_factor(update: Update, omega: Numbers) -> tuple[Array, Array]:
    """ω and z in the precision of the step."""
    omega = as_inexact(omega)
    omega = omega.astype(jnp.result_type(omega.dtype, update.ex.dtype))
    return omega, step_factor(update, omega).astype(jnp.result_type(update.ex.dtype, jnp.complex64))


@compiled
def _frequency(
    update: Update,
    omega: Array,
    sources: tuple[tuple[Functional, Array], ...],
    probes: tuple[Functional, ...],
) -> SteadyField:
    nx, ny = update.shape
    dtype = jnp.result_type(update.ex.dtype, jnp.complex64)
    none = update.zero_fields()._replace(
        ex=jnp.zeros((nx, ny + 1), dtype), ey=jnp.zeros((nx + 1, ny), dtype), hz=jnp.zeros((nx, ny), dtype)
    )
    # E is driven half a step later than Hz.
    late = jnp.exp(0.5j * omega * update.step)
    added = none
    for source, strength in sources:
        added = source.drive(update, added, strength * (1.0 if source.component == "hz" else late))
    magnetic = any(source.component == "hz" for source, _ in sources)
    fields = solve(update, omega, added.ex, added.ey, added.hz if magnetic else None)
    readings = [probe.read(update.scene.grid, fields) for probe in probes]
    read = jnp.stack(readings) if probes else jnp.zeros((0,), dtype)
    finite, carried = jnp.all(jnp.isfinite(fields.ex)), resolves(update, omega)
    result = RESULTS.where(finite, RESULTS.successful, RESULTS.nonfinite)
    fields, read = jax.tree_util.tree_map(lambda part: jnp.where(carried, part, jnp.nan), (fields, read))
    return SteadyField(fields, read, omega, RESULTS.where(carried, result, RESULTS.too_coarse))
