"""Resonances: the frequencies at which the scheme goes on by itself, M(e^{iωΔt}) E = 0."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float
from scipy.linalg import eig
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from diffnr.checks import Count, Numbers, as_count, as_flag, require
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
from diffnr.fdtd.frequency_domain.frequency import as_one_frequency, phasors
from diffnr.fdtd.frequency_domain.harmonic_step import step_factor
from diffnr.fdtd.frequency_domain.smooth_currents import ROUGH, SmoothCurrents, curls, roughness
from diffnr.fdtd.lines import AbstractLines
from diffnr.fdtd.time_domain.field_energy import energy
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, as_update
from diffnr.results import RESULTS, raise_failures
from diffnr.root import frozen

BASIS = 40  # vectors of Arnoldi's method
MORE = 4  # currents than modes asked for
ASIDE = 0.01  # of ω the guess is taken below the real axis, where the lattice's plasmons have their poles


class Resonances(AbstractLines):
    """Resonances e^{iωt − γt} of a scene, the nearest to the guess first, NaN beyond `count`.

    **Fields:**

    - `omega` [mode], rad/s; `gamma` [mode], decay of the amplitude, 1/s (energy decays at 2γ). Both have derivatives.
    - `fields`: phasors as those of `frequency`, with a leading axis [mode, ...]; the mean energy stored is 1 J/m, and
      Hz is real and positive where it is largest. Without derivatives.
    - `left`: (ex, ey) [mode, ...], y of yᵀM = 0, scaled so that yᵀ (dM/dω) x = 1 with x the fields' E: near ω_n what a
      step adds to E, b of `solve`, excites E = x (yᵀb)/(ω − ω_n). Without derivatives. On edges that move it is the
      turned bias's E times the edges' areas over `update.ex`, `update.ey` (areas times ε, and loss in sponges).
    - `valid` [mode]: whether the iteration has arrived, at a mode of its own that the cells resolve (where carriers
      are, by six cells a wavelength). `result`: success if one of them has.
    """

    omega: Float[Array, " mode"]
    gamma: Float[Array, " mode"]
    fields: Fields
    left: Edges
    valid: Bool[Array, " mode"]
    result: Any


def resonances(
    update: Any, omega: Numbers, num_modes: Count = 1, *, max_steps: Count = 20, throw: Any = True
) -> Resonances:
    """The resonances nearest to a frequency.

        modes = fdtd.resonances(fdtd.Update.of(scene), 2 * np.pi * 1.1e12, num_modes=2)

        M(e^{iωΔt}) x = 0,    yᵀ M = 0,    ω ← ω − yᵀMx/(yᵀ M′ x),   x ← M⁻¹M′x,   y ← M⁻ᵀM′ᵀy

    The problem made linear at the guess is solved by Arnoldi's method, among fields that smooth magnetic currents drive
    (`smooth_currents.py`: carriers give the lattice plasmons of its own, which are passed over); then each mode is
    iterated from both sides, of third order, until ω is as exact as round-off allows (10⁻¹¹ and better). Each step is
    one LU factorisation.

    **Arguments:**

    - `update`: `Update.of(scene)`, in float64.
    - `omega`: [], the guess in rad/s, real or complex (Im ω = γ). It carries no derivative.
    - `num_modes`: how many, static: those nearest to the guess by the linear problem. Open ends have modes of their
      own, of low Q: look at `q`. `max_steps`: of each mode's iteration.
    - `throw`: raise where not one is found; otherwise `result` says it.

    **Good values:** a guess within some percent. In a scene with carriers modes farther away may be missed, for one of
    the lattice's own to which the iteration goes instead, and which is left out (`count` tells): guess anew there.

    **Returns:** a `Resonances`. It may be jitted and vmapped. ω and γ have first derivatives in every number of the
    scene and the update, by both vectors: dω = −yᵀ dM x, one evaluation for all of them. (Second ones are not those of
    ω: the vectors are held.) The left vector is the right one of the turned bias, and M(−B) = Mᵀ up to weights: a scene
    has the same ω and γ at B and −B.

    **Raises:** `ValueError` for float32, a guess that is not one number with a positive real part or beyond what the
    step and the cells carry, `num_modes` below 1; `RuntimeError` if `throw` and not one is found.

    Source: two-sided Rayleigh quotient iteration (Ostrowski; Schreiber for nonlinear problems).
    """
    update, throw = as_update(update), as_flag(throw, "throw")
    guess = as_one_frequency(update, omega)
    nx, ny = update.shape
    num_modes = as_count(num_modes, "num_modes", most=max(1, nx * ny - 2 - MORE))
    max_steps = as_count(max_steps, "max_steps")
    must = "be in float64 (jax.config.update('jax_enable_x64', True), and build the scene anew)"
    require(update.ex.dtype == jnp.float64, "update", must, update.ex.dtype)
    found = _resonances(update, guess, num_modes, max_steps)
    return raise_failures(found, found.result) if throw else found


@eqx.filter_jit
def _resonances(update: Update, guess: Array, num_modes: int, max_steps: int) -> Resonances:
    fixed, guess = frozen(update), lax.stop_gradient(guess).astype(jnp.complex128)
    pattern = pattern_of(update)
    size = pattern.order.size

    def pair(omega: Array) -> tuple[Array, Array]:
        """The entries of M and of dM/dω."""
        entries = lambda omega: entries_of(lambda e: operator(fixed, step_factor(fixed, omega), e), fixed)  # noqa: E731
        return jax.jvp(entries, (omega,), (jnp.ones_like(omega),))

    def called(function: Any, shapes: Any, *arguments: Any) -> Any:
        like = jax.tree_util.tree_map(lambda shape: jax.ShapeDtypeStruct(shape, complex), shapes, is_leaf=_is_shape)
        return jax.pure_callback(functools.partial(function, pattern), like, *arguments, vmap_method="sequential")

    def refine(start: tuple[Array, Array]) -> tuple[Array, Array, Array, Array]:
        def iterate(carry: tuple) -> tuple:
            omega, x, y, change, _, n = carry
            by, x, y = called(_improved, ((), (size,), (size,)), *pair(omega), x, y)
            return omega + by, x, y, jnp.abs(by), change, n + 1

        def unfinished(carry: tuple) -> Array:
            omega, _, _, change, before, n = carry
            # Until steps shrink no more, by round-off; NaN ends it.
            moving = (change > 1e-15 * jnp.abs(omega)) & ((change < before / 2) | (change > 1e-9 * jnp.abs(omega)))
            return (n < 2) | ((n < max_steps) & moving)

        omega, x = start
        far = jnp.asarray(jnp.inf)
        omega, x, y, change, _, _ = lax.while_loop(unfinished, iterate, (omega, x, jnp.conj(x), far, far, 0))
        return omega, x, y, change

    nearest = functools.partial(_nearest, num_modes)
    aside = guess - 1j * ASIDE * guess.real if update.has_carriers else guess
    shape = (num_modes,), (num_modes, size)
    away, vectors = called(nearest, shape, *pair(aside), guess - aside, fixed.drude_gain, *curls(fixed))
    omegas, x, y, change = lax.map(refine, (aside + away, vectors))
    resolved = jax.vmap(lambda x: roughness(*split(x, update), fixed.drude_gain) <= ROUGH)(x)
    arrived = jnp.isfinite(omegas) & (change < 1e-9 * jnp.abs(omegas)) & _are_new(x) & resolved
    distance = jnp.where(arrived, jnp.abs(omegas - guess), jnp.inf)
    omegas, x, y, arrived = (part[jnp.argsort(distance)] for part in (omegas, x, y, arrived))

    # What has not arrived has a place of its own too, finite, so that no derivative meets NaN.
    ones = arrived[:, None]
    omegas, x, y = jnp.where(arrived, omegas, guess), jnp.where(ones, x, 1.0), jnp.where(ones, y, 0.0)

    def finish(omega: Array, x: Array, y: Array) -> tuple[Array, Fields, Edges]:
        fields, scale = _of_unit_energy(fixed, omega, split(x, update))
        rest = operator(update, step_factor(update, omega), split(x * scale, update))
        return omega - jnp.sum(y / scale * flat(rest)), fields, split(y / scale, update)

    # One after another: vmap would make XLA keep all of them at once.
    values, fields, left = lax.map(lambda parts: finish(*parts), (omegas, x, y))
    none = lambda part: jnp.where(arrived.reshape(-1, *[1] * (part.ndim - 1)), part, jnp.nan)  # noqa: E731
    fields, left = jax.tree_util.tree_map(none, (fields, left))
    fields, left = lax.stop_gradient((fields, left))
    result = RESULTS.where(jnp.any(arrived), RESULTS.successful, RESULTS.no_resonance)
    return Resonances(none(values.real), none(values.imag), fields, left, arrived, result)


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
    scale = jnp.abs(largest) / largest / jnp.sqrt(stored)
    return jax.tree_util.tree_map(lambda field: field * scale, fields), scale


def _are_new(x: Complex[Array, "mode unknown"]) -> Bool[Array, " mode"]:
    """Whether no mode before it has the same vector."""
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    alike = jnp.abs(jnp.conj(x) @ x.T) > 1 - 1e-6
    return ~jnp.any(jnp.tril(alike, k=-1), axis=1)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, int) for item in value)


def _nearest(
    num_modes: int, pattern: Pattern, entries: Any, slopes: Any, guess: Any, *weights: Any
) -> tuple[np.ndarray, np.ndarray]:
    """δ and x of (M + δM′) x = 0, among smooth fields, with δ nearest to a guess; NaN where there are no more."""
    inverse, slope = Inverse(pattern, np.asarray(entries)), pattern.matrix(np.asarray(slopes))
    currents = SmoothCurrents(pattern, *weights)
    cells, size = currents.drude_gain.size, pattern.order.size
    away, vectors = np.full(num_modes, np.nan, complex), np.full((num_modes, size), np.nan, complex)
    start = currents.smooth(np.random.default_rng(0).normal(size=cells) + 0j)
    if not np.all(np.isfinite(inverse(currents.sources @ start))):
        return away, vectors

    def answer(h: np.ndarray) -> np.ndarray:
        return currents.smooth(currents.readings @ inverse.roughly(currents.sources @ currents.smooth(h.ravel())))

    turned = LinearOperator((cells, cells), answer, dtype=complex)  # pyright: ignore[reportCallIssue]
    count = min(num_modes + MORE, cells - 2)
    basis = min(max(BASIS, 2 * count + 1), cells - 1)
    try:
        found = eigs(turned, count, v0=start, tol=1e-3, ncv=basis, maxiter=20)[1]  # pyright: ignore[reportArgumentType]
    except ArpackNoConvergence as stop:
        found = stop.eigenvectors
    found = currents.smooth(found)
    # The problem between what they drive and what drives them: its δ are those of modes, where Arnoldi's are not.
    driven, driving = currents.sources @ found, currents.readings.T @ np.conj(found)
    right = inverse(driven)
    left = inverse(driving, transposed=True).T
    if not found.size or not np.all(np.isfinite(right)) or not np.all(np.isfinite(left)):
        return away, vectors
    shifts, mixtures = eig(left @ driven, -left @ (slope @ right))  # pyright: ignore[reportAssignmentType]
    modes = right @ mixtures
    order = [k for k in np.argsort(np.abs(shifts - guess)) if np.isfinite(shifts[k]) and currents.resolved(modes[:, k])]
    order = order[:num_modes]
    away[: len(order)], vectors[: len(order)] = shifts[order], pattern.reordered(modes[:, order].T)
    return away, vectors


def _improved(pattern: Pattern, entries: Any, slopes: Any, right: Any, left: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """One step of inverse iteration from both sides: by how much ω moves, x, and y with yᵀM′x = 1."""
    inverse, slope = Inverse(pattern, np.asarray(entries)), pattern.matrix(np.asarray(slopes))
    x, y = (np.asarray(vector)[pattern.order] for vector in (right, left))
    x, y = inverse(slope @ x), inverse(slope.T @ y, transposed=True)
    with np.errstate(invalid="ignore"):  # where there was no vector to begin with
        x = x / np.linalg.norm(x)
        y = y / (y @ (slope @ x))
    return -(y @ (inverse.matrix @ x)), pattern.reordered(x), pattern.reordered(y)
