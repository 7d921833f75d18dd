"""Where searches for orbits begin: linear responses, positions of rest, random motions, and balances of one shape.

Lightly damped oscillators may move by thousands of times what their springs allow, so that random amplitudes below that
bound hit nothing. Of a motion x = x₀ + A u cos(hωt + φ) of one shape u the mean work along u is one number,

    z(A) = uᵀ [f(x, x')]_h + (ihω uᵀCu − h²ω² uᵀMu) A,        |z(A)| = |uᵀF| where force and motion balance, h = 1

whose crossings on a grid of A are the amplitudes that oscillators can have, near to backbones those with Re z = 0.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from diffnr.compilation import compiled
from diffnr.deflation import roots
from diffnr.duffing.forcing import Forcing
from diffnr.duffing.oscillators import AbstractOscillators, stiffness_of

RESTS = 8  # positions of rest that are sought, at most
STILLNESS = 1e-4  # of the critical damping: a response without friction has no bound, and this is as good as none
GRID = 1e-7, 113  # of amplitudes, from this share of the largest that friction allows: 16 in a decade
INSTANTS = 16  # of a shape's period
HIGHEST = 3  # order of a shape's own motion

Args = tuple[AbstractOscillators, Array, Array]


def bound_of(model: AbstractOscillators, omega: Array, force: Array, port: Forcing) -> Float[Array, " oscillator"]:
    """|X_j| ≤ |A|/(ω√(c_j c_port)): no oscillator loses more power than the force gives."""
    friction, mass = (jnp.diagonal(matrix) for matrix in (model.dissipation, model.inertia))
    friction = jnp.maximum(friction, STILLNESS * mass * omega)
    strength = jnp.linalg.norm(force)
    felt = port.phasors(model, omega, jnp.ones_like(strength)) != 0
    driven = jnp.min(jnp.where(felt, friction, jnp.inf))
    return strength / (omega * jnp.sqrt(friction * driven))


def starts_of(args: Args, port: Forcing, starts: int, key: PRNGKeyArray, linearise: Any) -> Float[Array, "start n"]:
    """Coefficients to start from: the linear response first, multiples of it, random fundamentals, what balances, and
    where orbits may have a mean the same about positions of rest; `linearise`: (y, args) -> F and ∂F/∂y."""
    model, omega, force = args
    n, basis = model.num_ports, model.basis
    random_key, rest_key, balanced_key = jax.random.split(key, 3)
    about = jnp.zeros((1, n), force.dtype)
    if not basis.odd:
        about = jnp.concatenate([about, rests_of(model, rest_key)])
    still = jnp.zeros((len(about), n, basis.size), force.dtype)
    if not basis.odd:
        still = still.at[:, :, 0].set(about)
    still = still.reshape(len(about), -1)

    def response(y: Array) -> Array:
        f, jacobian = linearise(y, args)
        return y - jnp.linalg.solve(jacobian, f)

    responses = lax.map(response, still)
    bound = bound_of(model, omega, force, port)
    size, multiples = jnp.linalg.norm(responses[0]), 1 + starts // 4
    factors = jnp.append(1.0, jnp.geomspace(1e-2, 1.0, multiples - 1) * jnp.max(bound) / jnp.where(size > 0, size, 1.0))
    random = _random(basis, bound, starts - multiples, random_key)
    # Large motions whose mean is near to a well, as well as those about 0.
    moved = random[:0] if basis.odd else random + still[1 + jnp.arange(len(random)) % RESTS]
    balanced = _balanced(args, port, bound, about, starts, balanced_key)
    return jnp.concatenate([factors[:, None] * responses[0], random, moved, responses[1:], balanced])


def _random(basis: Any, bound: Array, count: int, key: PRNGKeyArray) -> Float[Array, "start n"]:
    """Random fundamentals up to the bound, and a mean and second harmonics, if the model has them."""
    radius_key, phase_key, even_key = jax.random.split(key, 3)
    shape = count, bound.size
    radius = bound * 10 ** jax.random.uniform(radius_key, shape, bound.dtype, -2.0, 0.0)
    phase = jax.random.uniform(phase_key, shape, bound.dtype, 0.0, 2 * np.pi)
    X = jnp.zeros((*shape, len(basis.harmonics)), jnp.result_type(bound, jnp.complex64))
    X = X.at[..., basis.harmonics.index(1)].set(radius * jnp.exp(1j * phase))
    if not basis.odd:
        # Newton's method on odd forces keeps symmetry: a start without even harmonics leads to orbits without them.
        even = [index for index, h in enumerate(basis.harmonics) if h != 1 and h <= 2]
        share = jax.random.normal(even_key, (*shape, len(even)), bound.dtype)
        X = X.at[..., jnp.asarray(even)].set(0.5 * share * radius[..., None])
    return jax.vmap(basis.coefficients)(X).reshape(count, -1)


def rests_of(model: AbstractOscillators, key: PRNGKeyArray) -> Float[Array, "rest oscillator"]:
    """The positions at which undriven oscillators may rest (the mean force is 0); 0 beyond the last."""
    n, dtype = model.num_ports, model.mass.dtype
    phase = jnp.asarray(model.basis.phase, dtype)

    def pull(x: Array, model: AbstractOscillators) -> Array:
        still = jnp.broadcast_to(x[:, None], (n, phase.size))
        return jnp.mean(model.forces(still, jnp.zeros_like(still), phase), axis=1)

    # How far the wells are is not known: from every scale Newton's method finds those within.
    scales = jnp.repeat(jnp.geomspace(1e-3, 1e3, 7, dtype=dtype), n + 1)
    guesses = scales[:, None] * jax.random.normal(key, (scales.size, n), dtype)
    return roots(pull, guesses, RESTS, model)[0]


def modes_about(model: AbstractOscillators, rests: Array) -> Float[Array, "shape oscillator"]:
    """The shapes of small undamped oscillations about positions [rest, n], those of one after those of another; where
    M or ∂f/∂x is not symmetric, about those."""
    root = jnp.linalg.cholesky((model.inertia + model.inertia.T) / 2)

    def modes(x: Array) -> Array:
        half = jax.scipy.linalg.solve_triangular(root, stiffness_of(model, x), lower=True)
        whole = jax.scipy.linalg.solve_triangular(root, half.T, lower=True)
        _, vectors = jnp.linalg.eigh((whole + whole.T) / 2)
        return jax.scipy.linalg.solve_triangular(root.T, vectors, lower=False).T

    shapes = lax.map(modes, rests).reshape(-1, model.num_ports)
    return shapes / jnp.max(jnp.abs(shapes), axis=1, keepdims=True)


def balance_of(
    model: AbstractOscillators, omega: Array, shape: Array, mean: Array, amplitudes: Array, order: Array
) -> Complex[Array, " amplitude"]:
    """z(A) of a motion of one shape about a mean."""
    theta = jnp.asarray(2 * np.pi * np.arange(INSTANTS) / INSTANTS, shape.dtype)
    turning = amplitudes[:, None] * jnp.cos(theta), -order * omega * amplitudes[:, None] * jnp.sin(theta)
    x, v = (shape[:, None] * wave.ravel() for wave in turning)
    phase = jnp.broadcast_to(theta / order, turning[0].shape).ravel()
    g = shape @ model.forces(x + mean[:, None], v, phase)
    work = g.reshape(-1, INSTANTS) @ jnp.exp(-1j * theta) * (2 / INSTANTS)
    inertia, drag = shape @ model.inertia @ shape, shape @ model.dissipation @ shape
    return work + (1j * order * omega * drag - (order * omega) ** 2 * inertia) * amplitudes


def balances(model: AbstractOscillators, omegas: Array, amplitude: Array, port: Forcing) -> list[list[np.ndarray]]:
    """At each frequency the phasors [n] of linear modes alone that balance the force, if it is more than one of any
    mode, as where its response is folded."""
    inertia, stiffness = (np.asarray(x) for x in _at_rest(model))
    root = np.linalg.inv(np.linalg.cholesky((inertia + inertia.T) / 2))
    within = root @ stiffness @ root.T
    shapes = (root.T @ np.linalg.eigh((within + within.T) / 2)[1]).T  # by numpy, as JAX takes long to compile it
    shapes = shapes / np.max(np.abs(shapes), axis=1, keepdims=True)
    share, amplitudes, z = (np.asarray(x) for x in _balances(model, omegas, amplitude, port, shapes))
    gap = np.abs(z) - np.abs(share)[..., None]
    crossed = gap[..., 1:] * gap[..., :-1] < 0
    found = []
    for k, folded in enumerate(np.any(np.sum(crossed, axis=2) > 1, axis=1)):
        places = np.argwhere(crossed[k]) if folded else []
        found.append(
            [amplitudes[k, a] * np.exp(1j * np.angle(share[k, u] / z[k, u, a])) * shapes[u] for u, a in places]
        )
    return found


@compiled
def _at_rest(model: AbstractOscillators) -> tuple[Array, Array]:
    return model.inertia, stiffness_of(model, jnp.zeros(model.num_ports, model.mass.dtype))


@compiled
def _balances(
    model: AbstractOscillators, omegas: Array, amplitude: Array, port: Forcing, shapes: Array
) -> tuple[Array, Array, Array]:
    """uᵀF [ω, shape], A [ω, amplitude] and z [ω, shape, amplitude]."""
    mean = jnp.zeros(model.num_ports, shapes.dtype)

    def at(omega: Array) -> tuple[Array, Array, Array]:
        amplitudes = _amplitudes(bound_of(model, omega, amplitude[None], port))
        z = lax.map(lambda shape: balance_of(model, omega, shape, mean, amplitudes, jnp.ones_like(omega)), shapes)
        return shapes @ port.phasors(model, omega, amplitude), amplitudes, z

    return lax.map(at, omegas)


def _amplitudes(bound: Array) -> Float[Array, " amplitude"]:
    return jnp.max(bound) * jnp.geomspace(GRID[0], 1.0, GRID[1], dtype=bound.dtype)


def _balanced(
    args: Args, port: Forcing, bound: Array, about: Array, starts: int, key: PRNGKeyArray
) -> Float[Array, "start n"]:
    """Motions of one shape, or of two together, about positions of rest, that balance at some of the force or none."""
    model, omega, force = args
    n, basis, dtype = model.num_ports, model.basis, force.dtype
    amplitudes = _amplitudes(bound)
    drive = port.phasors(model, omega, jnp.linalg.norm(force))
    shape_key, key = jax.random.split(key)
    others = jax.random.normal(shape_key, (2 * n, n), dtype)
    shapes = jnp.concatenate([modes_about(model, about), others / jnp.max(jnp.abs(others), axis=1, keepdims=True)])
    means = jnp.concatenate([jnp.repeat(about, n, axis=0), jnp.zeros_like(others)])
    places = np.asarray([k for k, h in enumerate(basis.harmonics) if 0 < h <= HIGHEST])
    first = int(np.flatnonzero(places == basis.harmonics.index(1))[0])
    orders = jnp.asarray([float(basis.harmonics[k]) for k in places], dtype)

    def draw(key: PRNGKeyArray) -> tuple[Array, Array]:
        """A mean [n] and phasors [n, harmonic]."""
        which, order, crossing, level, coins = jax.random.split(key, 5)
        k = jax.random.randint(which, (), 0, len(shapes))
        coin = jax.random.uniform(coins, (4,), dtype)
        place = jnp.where(coin[0] < 0.5, first, jax.random.randint(order, (), 0, len(places)))
        own = place == first
        mean = jnp.where(coin[1] < 0.5, means[k], 0.0)
        z = balance_of(model, omega, shapes[k], mean, amplitudes, orders[place])
        share = jnp.where(own, shapes[k] @ drive, 0.0)
        part = jax.random.uniform(level, (), dtype, -1.0, 1.0) * jnp.abs(share)
        gap = jnp.where(own & (coin[2] < 0.5), jnp.abs(z) - jnp.abs(share), z.real - part)
        crossed = gap[1:] * gap[:-1] < 0
        score = jax.random.uniform(crossing, crossed.shape, dtype)
        at = jnp.argmax(jnp.where(crossed, 1 + score, score))  # any amplitude where nothing balances
        turn = jnp.where(own & (coin[3] < 0.5), jnp.angle(share) - jnp.angle(z[at]), 4 * np.pi * coin[3])
        one_hot = jnp.arange(len(basis.harmonics)) == jnp.asarray(places)[place]
        return mean, amplitudes[at] * jnp.exp(1j * turn) * shapes[k][:, None] * one_hot

    def start(key: PRNGKeyArray) -> Array:
        means, X = jax.vmap(draw)(jax.random.split(key))
        second = jax.random.bernoulli(key)
        c = basis.coefficients(X[0] + jnp.where(second, X[1], 0.0))
        return (c if basis.odd else c.at[:, 0].set(means[0])).ravel()

    return lax.map(start, jax.random.split(key, starts))
