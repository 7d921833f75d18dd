"""Modes from their guesses: Rayleigh quotient iteration from both sides, and the answer that has derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex

from diffnr.fdtd.frequency_domain.direct_solve import (
    Edges,
    Inverse,
    Pattern,
    entries_of,
    flat,
    operator,
    pattern_of,
    split,
)
from diffnr.fdtd.frequency_domain.frequency import phasors
from diffnr.fdtd.frequency_domain.harmonic_step import step_factor
from diffnr.fdtd.frequency_domain.smooth_currents import ROUGH, roughness
from diffnr.fdtd.time_domain.field_energy import energy
from diffnr.fdtd.time_domain.leapfrog import Fields, Update

ARRIVED = 1e-9  # of ω is what the last step of an iteration may have been


class Modes(NamedTuple):
    """Where iterations ended: ω [mode], x and y [mode, unknown] with yᵀM′x = 1, whether each has arrived at a mode that
    none before it has, and whether the cells resolve that."""

    omega: Complex[Array, " mode"]
    x: Complex[Array, "mode unknown"]
    y: Complex[Array, "mode unknown"]
    arrived: Bool[Array, " mode"]
    resolved: Bool[Array, " mode"]


def pair_of(update: Update, omega: Array) -> tuple[Array, Array]:
    """The entries of M and of dM/dω."""
    entries = lambda omega: entries_of(lambda e: operator(update, step_factor(update, omega), e), update)  # noqa: E731
    return jax.jvp(entries, (omega,), (jnp.ones_like(omega),))


def called(update: Update, function: Any, shapes: Any, *arguments: Any) -> Any:
    """`function(pattern, …)` on the host, of complex arrays of these shapes."""
    like = jax.tree_util.tree_map(lambda shape: jax.ShapeDtypeStruct(shape, complex), shapes, is_leaf=_is_shape)
    host = functools.partial(function, pattern_of(update))
    return jax.pure_callback(host, like, *arguments, vmap_method="sequential")


def iterated(update: Update, omega: Array, x: Array, y: Array, max_steps: int) -> Modes:
    """What guesses ω [mode], x and y [mode, unknown] lead to; NaN for guesses that are none."""
    size = x.shape[1]

    def refine(start: tuple[Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        def iterate(carry: tuple) -> tuple:
            omega, x, y, change, _, n = carry
            by, x, y = called(update, _improved, ((), (size,), (size,)), *pair_of(update, omega), x, y)
            return omega + by, x, y, jnp.abs(by), change, n + 1

        def unfinished(carry: tuple) -> Array:
            omega, _, _, change, before, n = carry
            return (n < 2) | ((n < max_steps) & _moves(abs(omega), change, before))

        far = jnp.asarray(jnp.inf)
        omega, x, y, change, _, _ = lax.while_loop(unfinished, iterate, (*start, far, far, 0))
        return omega, x, y, change

    omega, x, y, change = lax.map(refine, (omega, x, y))
    rough = jax.vmap(lambda x, y: roughness(split(x, update), split(y, update), update.drude_gain))(x, y)
    arrived = jnp.isfinite(omega) & (change < ARRIVED * jnp.abs(omega)) & are_new(x)
    return Modes(omega, x, y, arrived, rough <= ROUGH)


def iterated_on_host(
    pattern: Pattern,
    pair_at: Callable[[complex], tuple[np.ndarray, np.ndarray]],
    guesses: Iterable[tuple[complex, np.ndarray, np.ndarray]],
    max_steps: int,
    late: Callable[[], bool],
) -> Iterator[tuple[complex, np.ndarray, np.ndarray, bool]]:
    """`iterated` where numbers are known, one after another until it is `late`: ω, x, y, and whether they have arrived.
    `pair_at`: ω → the entries of M and of dM/dω."""
    for omega, x, y in guesses:
        change = before = np.inf
        for n in range(max_steps):
            if late() or (n >= 2 and not _moves(abs(omega), change, before)):
                break
            by, x, y = _improved(pattern, *pair_at(omega), x, y)
            omega, change, before = omega + complex(by), abs(by), change
        yield omega, x, y, bool(np.isfinite(omega) and change < ARRIVED * abs(omega))


def _moves(omega: Any, change: Any, before: Any) -> Any:
    """Until steps shrink no more, by round-off; NaN ends it."""
    return (change > 1e-15 * omega) & ((change < before / 2) | (change > ARRIVED * omega))


def finished(
    update: Update, modes: Modes, kept: Bool[Array, " mode"], centre: Array
) -> tuple[Array, Fields, Edges, Array]:
    """ω with its derivatives in every number of the update, fields of unit energy, left vectors, and which there are:
    the modes that are kept, the nearest to the centre first, NaN beyond them."""
    distance = jnp.where(kept, jnp.abs(modes.omega - centre), jnp.inf)
    omega, x, y, kept = (part[jnp.argsort(distance)] for part in (*modes[:3], kept))
    # What is not kept has a place of its own too, finite, so that no derivative meets NaN.
    ones = kept[:, None]
    omega, x, y = lax.stop_gradient((jnp.where(kept, omega, centre), jnp.where(ones, x, 1.0), jnp.where(ones, y, 0.0)))

    def finish(omega: Array, x: Array, y: Array) -> tuple[Array, Fields, Edges]:
        fields, scale = _of_unit_energy(lax.stop_gradient(update), omega, split(x, update))
        rest = operator(update, step_factor(update, omega), split(x * scale, update))
        return omega - jnp.sum(y / scale * flat(rest)), fields, split(y / scale, update)

    # One after another: vmap would make XLA keep all of them at once.
    values, fields, left = lax.map(lambda parts: finish(*parts), (omega, x, y))
    nothing = jnp.asarray(complex(jnp.nan, jnp.nan))
    none = lambda part: jnp.where(kept.reshape(-1, *[1] * (part.ndim - 1)), part, nothing)  # noqa: E731
    fields, left = lax.stop_gradient(jax.tree_util.tree_map(none, (fields, left)))
    return none(values), fields, left, kept


def _of_unit_energy(update: Update, omega: Array, edges: Edges) -> tuple[Fields, Array]:
    """The fields with a mean energy of 1 J/m, and by what they were multiplied."""
    fields = phasors(update, omega, edges)
    back = jnp.exp(-0.5j * omega * update.step)
    state = jax.tree_util.tree_map(lambda field: field * back, fields)._replace(ex=fields.ex, ey=fields.ey)
    if fields.memory is not None:
        state = state._replace(memory=tuple((m * back, e) for m, e in fields.memory))
    # Of complex fields `energy` is that of their real and imaginary parts together, twice the mean.
    stored = energy(update, state) / 2
    largest = fields.hz.ravel()[jnp.argmax(jnp.abs(fields.hz))]
    turn = jnp.where(largest == 0, 1.0, jnp.abs(largest) / jnp.where(largest == 0, 1.0, largest))
    scale = turn / jnp.sqrt(stored)
    return jax.tree_util.tree_map(lambda field: field * scale, fields), scale


def are_new(x: Complex[Array, "mode unknown"]) -> Bool[Array, " mode"]:
    """Whether no mode before it has the same vector."""
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    alike = jnp.abs(jnp.conj(x) @ x.T) > 1 - 1e-6
    return ~jnp.any(jnp.tril(alike, k=-1), axis=1)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, int) for item in value)


def _improved(pattern: Pattern, entries: Any, slopes: Any, right: Any, left: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """One step of inverse iteration from both sides: by how much ω moves, x, and y with yᵀM′x = 1."""
    inverse, slope = Inverse(pattern, np.asarray(entries)), pattern.matrix(np.asarray(slopes))
    x, y = (np.asarray(vector)[pattern.order] for vector in (right, left))
    x, y = inverse(slope @ x), inverse(slope.T @ y, transposed=True)
    with np.errstate(invalid="ignore"):  # where there was no vector to begin with
        x = x / np.linalg.norm(x)
        y = y / (y @ (slope @ x))
    return -(y @ (inverse.matrix @ x)), pattern.reordered(x), pattern.reordered(y)
