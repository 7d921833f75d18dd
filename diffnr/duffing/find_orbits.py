"""All orbits at one point: Newton's method on the harmonic balance from many starts, then without the orbits found.

The search is that of `diffnr.deflation`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from diffnr.checks import Count, as_count, as_flag, as_key, require_double
from diffnr.compilation import compiled
from diffnr.deflation import roots
from diffnr.duffing.forcing import Forcing, as_forcing
from diffnr.duffing.harmonic_balance import forcing, linearise, residual
from diffnr.duffing.oscillators import AbstractOscillators, require_oscillators, with_harmonics
from diffnr.duffing.points import Points, orbits
from diffnr.duffing.transient import require_tone
from diffnr.ports import Drive
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import frozen, implicit

RESTS = 8  # positions of rest that are sought, at most


class FoundOrbits(Points, AbstractAnswer):
    """What `find_orbits` returns: `Points`, and the field `result`, of `RESULTS`.

    It is successful where the last round of the search found nothing new; `more_orbits` where it was stopped before,
    and `no_orbit_found` where there is none.
    """

    result: Any = eqx.field(kw_only=True)


def find_orbits(
    model: AbstractOscillators,
    drive: Drive,
    port: Any = 0,
    *,
    starts: Count = 64,
    most: Count = 8,
    num_harmonics: Count | None = None,
    key: PRNGKeyArray | None = None,
    throw: bool = True,
) -> FoundOrbits:
    """All periodic orbits under a tone at one oscillator that Newton's method finds from many starts, each once:

        (−h²ω² M + ihω C) X_h + [g(x)]_h = A δ_h1 e_port

    **Arguments:**

    - `model`: n oscillators, in float64; `drive`: the tone, with scalar frequency and amplitude; `port`: the driven
      oscillator, complex shares [n] of the force, or a `BaseMotion`.
    - `starts`: how many. One is the linear response; a quarter are multiples of it, from a hundredth to the largest
      response there can be; the others are random fundamentals (and a mean and second harmonics, if the model has them)
      up to that bound, |X_j| ≤ |A|/(ω√(c_j c_port)): no
      oscillator loses more power than the force gives. Where orbits may have a mean, the linear responses about every
      position of rest that is found (the wells of bistable oscillators, up to 8) come to these, and as many random
      fundamentals about them.
    - `most`: room for as many orbits, a static number.
    - `num_harmonics`: the highest harmonic of orbits; default the model's.
    - `key`: for the random starts (default `jax.random.key(0)`).
    - `throw`: raise where no orbit was found at all; a search that stopped early is returned with its `result` anyhow.

    **Returns:** `FoundOrbits`, which are `Points`, the largest response first, with multipliers and `stable`; NaN
    beyond `count`. Derivatives with respect to the model and the drive's amplitude and frequency are exact.

    **Raises:** `ValueError` for float32, a port that does not exist, numbers that are not positive; `RuntimeError` if
    `throw` and there is no orbit.

    **Notes:** no search of this kind proves that it found all; more starts and another key make it likelier. Isolated
    branches (isolas), which `frequency_response` does not meet, are found too. Orbits are of the model's harmonics:
    those that break the symmetry of odd forces are found by `AllHarmonics`.

    Good values: 64 starts find the three orbits of the paper's pairs at P = 1.
    """
    require_oscillators(model)
    require_tone(drive, port, model)
    require_double("model", model.mass)
    starts, most, throw = as_count(starts, "starts"), as_count(most, "most"), as_flag(throw, "throw")
    if num_harmonics is not None:
        model = with_harmonics(model, num_harmonics)
    key = as_key(key)
    key = jax.random.key(0) if key is None else key
    orbits = _find_orbits(model, drive, as_forcing(port, model), starts, most, key)
    some = RESULTS.where(orbits.result == RESULTS.no_orbit_found, RESULTS.no_orbit_found, RESULTS.successful)
    return raise_failures(orbits, some) if throw else orbits


@compiled
def _find_orbits(
    model: AbstractOscillators, drive: Drive, port: Forcing, starts: int, most: int, key: PRNGKeyArray
) -> FoundOrbits:
    args = model, drive.omega, forcing(model, port, drive.amplitude, drive.omega)
    held = frozen(args)
    guesses = _starts(*held, port, starts, key)
    y, found, ended = roots(residual, guesses, most, held, linearise=_linearise, image=_mirror(model))
    order = jnp.argsort(jnp.where(found, -jnp.sum(y**2, axis=1), jnp.inf))
    y, found = y[order], found[order]
    # Beyond the last an orbit that is regular: what is masked afterwards is differentiated all the same.
    y = jax.vmap(lambda y: implicit(residual, y, args))(jnp.where(found[:, None], y, y[0]))
    points = orbits(model, y, jnp.broadcast_to(drive.omega, (most,)), found)
    result = RESULTS.where(ended, RESULTS.successful, RESULTS.more_orbits)
    result = RESULTS.where(points.count > 0, result, RESULTS.no_orbit_found)
    fields = {field.name: getattr(points, field.name) for field in dataclasses.fields(points)}
    return FoundOrbits(**fields, result=result)


@compiled
def orbits_beside(
    model: AbstractOscillators,
    omega: Array,
    amplitude: Array,
    port: Forcing,
    known: Array,
    there: Array,
    key: PRNGKeyArray,
    starts: int = 64,
) -> tuple[Float[Array, "most n"], Bool[Array, " most"]]:
    """Coefficients of orbits, and which of them are new, beside those `known` [k, n·m] where `there` [k]."""
    args = frozen((model, omega, forcing(model, port, amplitude, omega)))
    most = 2 * there.size
    guesses = _starts(*args, port, starts, key)
    y, found, _ = roots(residual, guesses, most, args, (known, there), linearise=_linearise, image=_mirror(model))
    return y, found & (jnp.arange(most) >= jnp.sum(there))


def _linearise(y: Array, args: tuple[AbstractOscillators, Array, Array]) -> tuple[Array, Array]:
    model, omega, force = args
    f, jacobian, _ = linearise(y, omega, (model, force))
    return f, jacobian


def _mirror(model: AbstractOscillators) -> Callable[[Array], Array] | None:
    """What an orbit is half a period later and turned around, which is an orbit too where forces are odd."""
    basis = model.basis
    if basis.odd or basis.periods != 1:
        return None
    signs = np.tile(np.where(basis.terms % 2, 1.0, -1.0), model.num_ports)
    return lambda y: jnp.asarray(signs, y.dtype) * y


def _starts(
    model: AbstractOscillators, omega: Array, force: Array, port: Forcing, starts: int, key: PRNGKeyArray
) -> Float[Array, "start n"]:
    """Coefficients to start from: the linear response, multiples of it, and random fundamentals."""
    n, basis, args = model.num_ports, model.basis, (model, omega, force)
    rest = jnp.zeros_like(force)
    linear = -jnp.linalg.solve(jax.jacfwd(residual)(rest, args), residual(rest, args))
    size, strength = jnp.linalg.norm(linear), jnp.linalg.norm(force)

    # A response without friction has no bound; a quality of 1e4 is as good as none.
    friction, mass = (jnp.diagonal(matrix) for matrix in (model.dissipation, model.inertia))
    friction = jnp.maximum(friction, 1e-4 * mass * omega)
    felt = port.phasors(model, omega, jnp.ones_like(strength)) != 0
    driven = jnp.min(jnp.where(felt, friction, jnp.inf))
    bound = strength / (omega * jnp.sqrt(friction * driven))
    multiples = 1 + starts // 4
    factors = jnp.append(1.0, jnp.geomspace(1e-2, 1.0, multiples - 1) * jnp.max(bound) / jnp.where(size > 0, size, 1.0))

    radius_key, phase_key, even_key = jax.random.split(key, 3)
    shape = starts - multiples, n
    radius = bound * 10 ** jax.random.uniform(radius_key, shape, bound.dtype, -2.0, 0.0)
    phase = jax.random.uniform(phase_key, shape, bound.dtype, 0.0, 2 * np.pi)
    X = jnp.zeros((*shape, len(basis.harmonics)), jnp.result_type(bound, jnp.complex64))
    X = X.at[..., basis.harmonics.index(1)].set(radius * jnp.exp(1j * phase))
    if not basis.odd:
        # Newton's method on odd forces keeps symmetry: a start without even harmonics leads to orbits without them.
        even = [index for index, h in enumerate(basis.harmonics) if h != 1 and h <= 2]
        share = jax.random.normal(even_key, (*shape, len(even)), bound.dtype)
        X = X.at[..., jnp.asarray(even)].set(0.5 * share * radius[..., None])
    random = jax.vmap(basis.coefficients)(X).reshape(shape[0], n * basis.size)
    common = factors[:, None] * linear, random
    if basis.odd:
        return jnp.concatenate(common)
    rests, about = _about_rests(*args, radius_key)
    # Large motions whose mean is near to a well, as well as those about 0.
    moved = random + rests[jnp.arange(len(random)) % RESTS]
    return jnp.concatenate([*common, moved, about])


def _about_rests(
    model: AbstractOscillators, omega: Array, force: Array, key: PRNGKeyArray
) -> tuple[Float[Array, "rest n"], Float[Array, "rest n"]]:
    """The positions at which undriven oscillators may rest (the mean force is 0), and the linear responses about."""
    n, m = model.num_ports, model.basis.size
    phase = jnp.asarray(model.basis.phase, force.dtype)

    def pull(x: Array, model: AbstractOscillators) -> Array:
        still = jnp.broadcast_to(x[:, None], (n, phase.size))
        return jnp.mean(model.forces(still, jnp.zeros_like(still), phase), axis=1)

    # How far the wells are is not known: from every scale Newton's method finds those within.
    scales = jnp.repeat(jnp.geomspace(1e-3, 1e3, 7, dtype=force.dtype), n + 1)
    guesses = scales[:, None] * jax.random.normal(key, (scales.size, n), force.dtype)
    rests, found, _ = roots(pull, guesses, RESTS, model)
    y = jnp.zeros((RESTS, n, m), force.dtype).at[:, :, 0].set(rests).reshape(RESTS, n * m)
    args = model, omega, force

    def about(y: Array) -> Array:
        return y - jnp.linalg.solve(jax.jacfwd(residual)(y, args), residual(y, args))

    return y, jnp.where(found[:, None], jax.lax.map(about, y), y)
