"""Resonances: the frequencies at which the scheme goes on by itself, M(e^{iωΔt}) E = 0."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from diffnr.checks import (
    Count,
    as_count,
    as_flag,
    as_inexact,
    as_positive,
    described,
    is_concrete,
    require,
    require_known,
)
from diffnr.compilation import compiled
from diffnr.fdtd.frequency_domain.contour import NODES, Disc, Guesses, Iterated, Search
from diffnr.fdtd.frequency_domain.direct_solve import Edges, entries_of, operator, pattern_of
from diffnr.fdtd.frequency_domain.frequency import as_one_frequency
from diffnr.fdtd.frequency_domain.harmonic_step import step_factor
from diffnr.fdtd.frequency_domain.mode_iteration import (
    Modes,
    are_new,
    called,
    finished,
    iterated,
    iterated_on_host,
    pair_of,
)
from diffnr.fdtd.frequency_domain.nearest_modes import nearest_modes
from diffnr.fdtd.frequency_domain.smooth_currents import SmoothCurrents, curls
from diffnr.fdtd.lines import AbstractLines
from diffnr.fdtd.scene.media import LIGHT
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, as_update, require_resolved
from diffnr.progress import ProgressBar
from diffnr.results import RESULTS, raise_failures
from diffnr.root import frozen

MORE = 4  # unknowns at least, than modes asked for
ASIDE = 0.01  # of ω the guess is taken below the real axis, where the lattice's plasmons have their poles
ENOUGH = 8  # steps, from what contour integrals give: what has not arrived then is no mode
ROOM = 4  # modes that are iterated in one program: it is compiled for whole multiples


class Resonances(AbstractLines):
    """Resonances e^{iωt − γt} of a scene, the nearest to the guess (to the disc's centre) first, NaN beyond `count`.

    **Fields:**

    - `omega` [mode], rad/s; `gamma` [mode], decay of the amplitude, 1/s (energy decays at 2γ). Both have derivatives.
    - `fields`: phasors as those of `frequency`, with a leading axis [mode, ...]; the mean energy stored is 1 J/m, and
      Hz is real and positive where it is largest. Without derivatives.
    - `left`: (ex, ey) [mode, ...], y of yᵀM = 0, scaled so that yᵀ (dM/dω) x = 1 with x the fields' E: near ω_n what a
      step adds to E, b of `solve`, excites E = x (yᵀb)/(ω − ω_n). Without derivatives. On edges that move it is the
      turned bias's E times the edges' areas over `update.ex`, `update.ey` (areas times ε, and loss in sponges).
    - `valid` [mode]: whether the iteration has arrived, at a mode of its own that the cells resolve (where carriers
      are, by six cells a wavelength). `unresolved` []: how many were met besides that they do not.
    - `result`: success if one has arrived; of a disc, if all of its modes are there, be they none.
    """

    omega: Float[Array, " mode"]
    gamma: Float[Array, " mode"]
    fields: Fields
    left: Edges
    valid: Bool[Array, " mode"]
    unresolved: Int[Array, ""]
    result: Any


def resonances(
    update: Any,
    omega: Any = None,
    num_modes: Count = 1,
    *,
    within: Any = None,
    max_steps: Count = 20,
    max_nodes: Count = 48,
    progress: Any = None,
    max_seconds: Any = None,
    throw: Any = True,
) -> Resonances:
    """The resonances nearest to a frequency, or all in a disc of the complex plane.

        modes = fdtd.resonances(fdtd.Update.of(scene), 2 * np.pi * 1.1e12, num_modes=2)
        every = fdtd.resonances(fdtd.Update.of(scene), within=(2 * np.pi * 1.1e12, 2 * np.pi * 2e10))

        M(e^{iωΔt}) x = 0,    yᵀ M = 0,    ω ← ω − yᵀMx/(yᵀ M′ x),   x ← M⁻¹M′x,   y ← M⁻ᵀM′ᵀy

    Beside a guess, the problem made linear there is solved by Arnoldi's method, among fields that smooth magnetic
    currents drive (`smooth_currents.py`: carriers give the lattice plasmons of its own, which are passed over). In a
    disc, M⁻¹ of such currents is integrated around it, ∮ M⁻¹V dω/2πi = Σ x (yᵀV), and what modes it has in it, and
    close by, is read off (`contour.py`). Then each mode is iterated from both sides, of third order, until ω is as
    exact as round-off allows (10⁻¹¹ and better). Each step, and each node around a disc, is one LU factorisation.

    **Arguments:**

    - `update`: `Update.of(scene)`, in float64.
    - `omega`: [], the guess in rad/s, real or complex (Im ω = γ). It carries no derivative.
    - `num_modes`: how many, static: those nearest to the guess by the linear problem. Open ends have modes of their
      own, of low Q: look at `q`.
    - `within`: (centre, radius) of the disc instead, in rad/s; the centre real or complex (γ upwards). The number of
      modes is found, so that this is no part of a jit or vmap; derivatives are as otherwise.
    - `max_steps`: of each mode's iteration, of a disc's 8 at most.
    - `max_nodes`: around a disc, 16 at first and then 48, 144, … as long as they show that modes are missing.
    - `max_seconds`: after which a search ends with what there is, and `RESULTS.out_of_time` (take `throw=False`).
      Known numbers only: no part of a jit, vmap or grad. A factorisation under way is not stopped.
    - `progress`: a line on stderr, None for only on a terminal, for known numbers. `throw`: raise where there is no
      success; otherwise `result` says it.

    **Good values:** a guess within some percent. In a scene with carriers modes farther away may be missed, for one of
    the lattice's own to which the iteration goes instead, and which is left out (`count` tells): guess anew there, or
    take a disc. A disc costs 16 LU factorisations and two a mode; some ten modes in it are well. Modes of low Q are
    found by discs that reach up to their γ.

    **Returns:** a `Resonances`; of a disc with all of its modes [count]. One of a guess may be jitted and vmapped. ω
    and γ have first derivatives in every number of the scene and the update, by both vectors: dω = −yᵀ dM x, one
    evaluation for all of them. (Second ones are not those of ω: the vectors are held.) The left vector is the right one
    of the turned bias, and M(−B) = Mᵀ up to weights: a scene has the same ω and γ at B and −B.

    **Notes:** a disc's modes are all there where these, with those found beside it, leave less than 10⁻³ of what one
    mode contributes to the integrals, each weighed as its place and the nodes have it: 1/(1 + ξ^N), exactly. Otherwise
    `result` is `modes_missing`: in a lossless plasma the lattice's own are too many to be told from them (give it
    losses, or a disc off its band from ω_c to √(ω_p² + ω_c²)).

    **Raises:** `ValueError` for float32, a guess that is not one number with a positive real part or beyond what the
    step and the cells carry, `num_modes` below 1, a disc that is not (centre, radius) or not to the right of ω = 0,
    both or neither of `omega` and `within`; `RuntimeError` if `throw` and not one is found, or not all of a disc are.

    Source: two-sided Rayleigh quotient iteration (Ostrowski; Schreiber for nonlinear problems); contour integrals:
    W.-J. Beyn 2012, Linear Algebra Appl. 436, 3839.
    """
    update, throw = as_update(update), as_flag(throw, "throw")
    max_steps = as_count(max_steps, "max_steps")
    must = "be in float64 (jax.config.update('jax_enable_x64', True), and build the scene anew)"
    require(update.ex.dtype == jnp.float64, "update", must, update.ex.dtype)
    must = "be given, or else within=(centre, radius)"
    require((omega is None) != (within is None), "omega", must, "missing" if omega is None else "given with within")
    progress = progress if progress is None else as_flag(progress, "progress")
    seconds = math.inf
    if max_seconds is not None:
        require_known(max_seconds, "max_seconds")
        as_positive(max_seconds, "max_seconds")
        seconds = float(np.asarray(max_seconds))  # inside of jit what a reader returns is traced
    if within is None:
        guess = as_one_frequency(update, omega)
        nx, ny = update.shape
        num_modes = as_count(num_modes, "num_modes", most=max(1, nx * ny - 2 - MORE))
        if is_concrete(update, guess):
            found = _nearest_known(update, guess, num_modes, max_steps, progress, seconds)
        else:
            must = "be None where numbers are traced, of which none waits for a clock"
            require(max_seconds is None, "max_seconds", must, max_seconds)
            found = _resonances(update, guess, num_modes, max_steps)
    else:
        max_nodes = as_count(max_nodes, "max_nodes", least=NODES)
        disc = _as_disc(update, within)
        found = _all_within(update, disc, min(max_steps, ENOUGH), max_nodes, progress, seconds)
    return raise_failures(found, found.result) if throw else found


def _as_disc(update: Update, within: Any) -> Disc:
    must = "be (centre, radius) of a disc, in rad/s"
    require(isinstance(within, (tuple, list)) and len(within) == 2, "within", must, within)
    numbers = [as_inexact(part, "within") for part in within]
    require(all(part.ndim == 0 for part in numbers), "within", must, described(within))
    must = "be a known disc, of a known scene (its modes are counted: no part of a jit or vmap)"
    require(is_concrete(*numbers, *jax.tree_util.tree_leaves(frozen(update))), "within", must, "traced")
    centre, radius = complex(numbers[0]), complex(numbers[1])
    real = radius.imag == 0 and radius.real > 0 and np.isfinite(centre) and np.isfinite(radius)
    require(real, "within", "have a finite centre and a positive radius, in rad/s", described(within))
    right = centre.real > radius.real
    require(right, "within", "be a disc to the right of ω = 0, its radius below its centre", described(within))
    require_resolved(update, centre.real + radius.real, "within, its highest frequency,")
    return Disc(centre, radius.real)


@compiled
def _resonances(update: Update, guess: Array, num_modes: int, max_steps: int) -> Resonances:
    fixed, guess = frozen(update), lax.stop_gradient(guess).astype(jnp.complex128)
    nearest = functools.partial(nearest_modes, num_modes)
    aside = guess - 1j * ASIDE * guess.real if update.has_carriers else guess
    shape = (num_modes,), (num_modes, pattern_of(update).order.size)
    weights = fixed.drude_gain, *curls(fixed)
    away, vectors = called(fixed, nearest, shape, *pair_of(fixed, aside), guess - aside, *weights)
    modes = iterated(fixed, aside + away, vectors, jnp.conj(vectors), max_steps)
    values, fields, left, there = finished(update, modes, modes.arrived & modes.resolved, guess)
    result = RESULTS.where(jnp.any(there), RESULTS.successful, RESULTS.no_resonance)
    unresolved = jnp.sum(modes.arrived & ~modes.resolved)
    return _answer(values, fields, left, there, unresolved, result)


def _answer(values: Array, fields: Fields, left: Edges, there: Array, unresolved: Array, result: Any) -> Resonances:
    return Resonances(
        omega=values.real,
        gamma=values.imag,
        fields=fields,
        left=left,
        valid=there,
        unresolved=unresolved,
        result=result,
    )


def _all_within(
    update: Update, disc: Disc, max_steps: int, most_nodes: int, progress: bool | None, seconds: float
) -> Resonances:
    fixed, end = frozen(update), time.monotonic() + seconds
    pattern = pattern_of(fixed)
    step, grid = float(fixed.step), fixed.scene.grid
    # Of a uniform lossless box, half of whose energy is magnetic: a reading is a circulation over cΔt.
    area = float(np.mean(np.asarray(grid.dx))) * float(np.mean(np.asarray(grid.dy)))
    unit = abs(disc.centre) ** 2 * area / (2 * LIGHT**2 * step)

    currents, late = SmoothCurrents(pattern, fixed.drude_gain, *curls(fixed)), lambda: time.monotonic() > end

    def iterate(guesses: Guesses) -> Iterated:
        ended = iterated_on_host(
            pattern, lambda omega: _known_pair(fixed, omega), zip(*guesses, strict=True), max_steps, late
        )
        modes, arrived = _collected(ended, currents)
        return Iterated(*(part[arrived] for part in modes))

    entries = lambda omega: np.asarray(_entries(fixed, jnp.asarray(omega)))  # noqa: E731
    slopes = lambda omega: _known_pair(fixed, omega)[1]  # noqa: E731
    with ProgressBar(progress, most_nodes) as bar:
        found = Search(disc, pattern, entries, slopes, iterate, currents, unit, bar, end)(most_nodes)
    inside = np.abs(disc.within(found.modes.omega)) <= 1
    omega, x, y, resolved = (part[inside] for part in found.modes)
    room = -len(omega) % ROOM or (ROOM if not len(omega) else 0)
    omega, resolved = np.pad(omega, (0, room)), np.pad(resolved, (0, room))
    x, y = (np.pad(part, ((0, room), (0, 0))) for part in (x, y))
    modes = Modes(*map(jnp.asarray, (omega, x, y, omega != 0, resolved)))
    values, fields, left, there = _finished(update, modes, modes.resolved, jnp.asarray(disc.centre))
    count = int(np.sum(resolved))
    values, fields, left, there = jax.tree_util.tree_map(lambda part: part[:count], (values, fields, left, there))
    result = RESULTS.successful if found.complete else RESULTS.out_of_time if found.late else RESULTS.modes_missing
    unresolved = jnp.asarray(np.sum(~resolved[: resolved.size - room]))
    return _answer(values, fields, left, there, unresolved, result)


def _nearest_known(
    update: Update, guess: Array, num_modes: int, max_steps: int, progress: bool | None, seconds: float
) -> Resonances:
    """`_resonances` of known numbers, on the host, with a clock."""
    fixed, end = frozen(update), time.monotonic() + seconds
    pattern, place = pattern_of(fixed), complex(guess)
    weights = fixed.drude_gain, *curls(fixed)
    late, currents = lambda: time.monotonic() > end, SmoothCurrents(pattern, *weights)
    aside = place - 1j * ASIDE * place.real if update.has_carriers else place
    with ProgressBar(progress, num_modes) as bar:
        pair = _known_pair(fixed, aside)
        away, x = nearest_modes(num_modes, pattern, *pair, place - aside, *weights, late=late)
        guesses = list(zip(aside + away, x, np.conj(x), strict=True))
        ended = []
        for mode in iterated_on_host(pattern, lambda omega: _known_pair(fixed, omega), guesses, max_steps, late):
            ended.append(mode)
            bar.show(len(ended), "of modes nearest to the guess")
    found, arrived = _collected(ended, currents)
    modes = Modes(*map(jnp.asarray, (*found[:3], arrived, found.resolved)))
    values, fields, left, there = _finished(update, modes, modes.arrived & modes.resolved, jnp.asarray(place))
    result = RESULTS.successful if np.any(there) else RESULTS.no_resonance
    unresolved = jnp.asarray(np.sum(arrived & ~found.resolved))
    return _answer(values, fields, left, there, unresolved, RESULTS.out_of_time if late() else result)


def _known_pair(update: Update, omega: complex) -> tuple[np.ndarray, np.ndarray]:
    entries, slopes = _pair_of(update, jnp.asarray(omega, complex))
    return np.asarray(entries), np.asarray(slopes)


def _collected(ended: Iterable[tuple], currents: SmoothCurrents) -> tuple[Iterated, np.ndarray]:
    """What iterations on the host have ended in, and which of them are modes, each once."""
    omega, x, y, arrived = map(np.array, zip(*ended, strict=True))
    order = currents.pattern.order
    resolved = np.array([currents.resolved(right[order], left[order]) for right, left in zip(x, y, strict=True)])
    arrived &= np.asarray(are_new(jnp.asarray(x)))
    return Iterated(omega, x, y, resolved), arrived


_finished, _pair_of = compiled(finished), compiled(pair_of)


@compiled
def _entries(update: Update, omega: Array) -> Array:
    return entries_of(lambda edges: operator(update, step_factor(update, omega), edges), update)
