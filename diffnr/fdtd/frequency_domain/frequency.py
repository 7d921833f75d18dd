"""The field at one frequency, by a direct solve of the identical scheme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Inexact

from diffnr.checks import Numbers, as_inexact, is_concrete, require, require_finite
from diffnr.fdtd.frequency_domain.direct_solve import Edges, steady_edges
from diffnr.fdtd.frequency_domain.harmonic_step import harmonic_step, step_factor
from diffnr.fdtd.time_domain.functional import Functional, require_on_grid
from diffnr.fdtd.time_domain.leapfrog import Fields, Update


class SteadyField(eqx.Module):
    """What `frequency` returns, all as phasors: F(t) = Re F̂ e^{iωt}.

    **Fields:** `fields`; `readings` [probe], what probes read; `omega` [], rad/s.
    """

    fields: Fields
    readings: Complex[Array, " probe"]
    omega: Inexact[Array, ""]


def frequency(
    update: Update,
    omega: Numbers,
    *,
    sources: Sequence[tuple[Functional, Any]],
    probes: Sequence[Functional] = (),
) -> SteadyField:
    """The steady field at one frequency: where `propagate` arrives with sources that go on as Re s e^{iωt}.

        M(z) E = source,    z = e^{iωΔt},    reading(t) = Re r e^{iωt}  at the times `Recording.ts`

    It is the same scheme, not another discretisation, and equals a run in time to round-off once that has rung down.
    How long that would take does not matter, so that high Q costs nothing; but each frequency is a solve of its own.

    **Arguments:**

    - `update`: `Update.of(scene)`.
    - `omega`: [], rad/s, with a positive real part; a complex one, with e^{−Im ω t}, is allowed.
    - `sources`: pairs of a functional and its strength s, [] real or complex.
    - `probes`: functionals.

    **Returns:** a `SteadyField`. It may be jitted, vmapped and differentiated in both modes and to any order, in ω and
    in every number of the scene, the update and the sources. Derivatives, more sources and the transposed problem share
    one LU factorisation (kept for the next call; `vmap` over strengths, too); `vmap` over ω makes one each. Where ω is
    a resonance without loss, fields are not finite.

    **Notes:** with a Bloch wavenumber fields are complex in time and the reading is r e^{iωt} itself, for sources of
    strength s e^{iωt}. With float32 the system is solved in float64 where jax has it; without, expect 5·10⁻³.

    **Raises:** `ValueError` for a functional off the grid, ω whose real part is not positive; `FloatingPointError`
    where the system has no finite solution (under a transformation the fields are NaN instead).
    """
    omega = as_inexact(omega)
    require(omega.ndim == 0, "omega", "be one number (use vmap for many)", f"of shape {omega.shape}")
    require_finite("omega", omega)
    require(not is_concrete(omega) or complex(omega).real > 0, "omega", "have a positive real part", omega)
    for name, functionals in (("sources", [source for source, _ in sources]), ("probes", probes)):
        for functional in functionals:
            require_on_grid(name, functional, update.scene.grid)
    driven = tuple((source, as_inexact(strength)) for source, strength in sources)
    found = _frequency(update, omega, driven, tuple(probes))
    if is_concrete(found) and not bool(jnp.all(jnp.isfinite(found.fields.ex))):
        raise FloatingPointError(
            f"The field at omega = {complex(omega):.10g} rad/s is not finite: look for a resonance without loss at "
            "this frequency, or numbers of the scene or the sources that are not finite."
        )
    return found


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
    omega, z = _turns(precise, omega)
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
    omega, z = _turns(update, omega)
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


def _turns(update: Update, omega: Numbers) -> tuple[Array, Array]:
    """ω and z in the precision of the step."""
    omega = as_inexact(omega)
    omega = omega.astype(jnp.result_type(omega.dtype, update.ex.dtype))
    return omega, step_factor(update, omega).astype(jnp.result_type(update.ex.dtype, jnp.complex64))


@eqx.filter_jit
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
    return SteadyField(fields, jnp.stack(readings) if probes else jnp.zeros((0,), dtype), omega)
