"""The search for every steady state of coupled modes at one drive: closed forms, or Newton's method with deflation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, PRNGKeyArray

from diffnr.deflation import roots
from diffnr.results import succeeded
from diffnr.root import follow, frozen, implicit
from diffnr.tcmt.loss import AbstractLaw, NonlocalLoss
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.solve import (
    Driven,
    branch_residual,
    has_closed_form,
    in_units_of_the_drive,
    join,
    linear_part,
    residual_at_full_drive,
    solve,
    split,
    stirred,
    two_mode_nonlocal,
    two_mode_states,
    weakly_driven,
)

STARTS, MOST = 64, 8
MAX_STEPS = 200  # of Newton's method: along a circle of nearly equal phases it goes by small steps
WIDEST = 1e8  # how many times smaller or larger than |f|/|M| amplitudes are looked for
LEAST_LOSS = 1e-4  # of |M|: a response without loss has no bound, and this one is as good as none


def every_state(
    matrices: Matrices,
    laws: tuple[AbstractLaw, ...],
    omega: Array,
    s_plus: Array,
    starts: int,
    most: int,
    key: PRNGKeyArray,
) -> tuple[Complex[Array, "most mode"], Bool[Array, " most"], Bool[Array, ""]]:
    """Amplitudes of the states, that of least energy first, which of them there are, and whether these are all."""
    f = jnp.sum(matrices.K.T * s_plus, axis=1)
    M = -linear_part(matrices, laws, omega)
    nonlinear = tuple(law for law in laws if not law.linear)
    if not nonlinear:
        a, result = solve(matrices, laws, omega, s_plus, None)
        return _ordered(a[None], succeeded(result)[None], most)
    if has_closed_form(laws, f.size):
        [law] = (law for law in nonlinear if isinstance(law, NonlocalLoss))
        candidates, found = two_mode_states(M, f, law)
        a = jax.vmap(lambda guess: two_mode_nonlocal(M, f, law, guess))(candidates)
        return _ordered(a, found & jnp.all(jnp.isfinite(a), axis=1), most)
    args = in_units_of_the_drive(M, f, nonlinear)
    held = frozen(args)
    y, found, ended = roots(residual_at_full_drive, _starts(held, starts, key), most, held, max_steps=MAX_STEPS)
    ended = ended & (_index(y, found, held) == 1)
    found = found & ~jax.vmap(lambda y: stirred(M, f, join(y) * held.drive))(y)
    # Beyond the last a state that is regular: what is masked afterwards is differentiated all the same.
    y = jax.vmap(lambda y: implicit(residual_at_full_drive, y, args))(jnp.where(found[:, None], y, y[0]))
    a, found, _ = _ordered(jax.vmap(join)(y) * args.drive, found, most)
    return a, found, ended


def _index(y: Array, found: Array, args: Driven) -> Array:
    """Σ sign det ∂F/∂y of the states found: 1 of all, since laws do not know phases and no state is at infinity."""
    jacobians = jax.vmap(jax.jacfwd(residual_at_full_drive), (0, None))(y, args)
    signs, _ = jnp.linalg.slogdet(jacobians)
    return jnp.sum(jnp.where(found, jnp.round(signs), 0.0))


def _ordered(a: Array, found: Array, most: int) -> tuple[Array, Array, Array]:
    energy = jnp.where(found, jnp.sum(a.real**2 + a.imag**2, axis=1), jnp.inf)
    order = jnp.argsort(energy)[:most]
    missing = max(0, most - a.shape[0])
    whole = jnp.sum(found) <= most
    a = jnp.concatenate([a[order], jnp.broadcast_to(a[order[0]], (missing, a.shape[1]))])
    return a, jnp.concatenate([found[order], jnp.zeros(missing, bool)]), whole


def _starts(args: Driven, starts: int, key: PRNGKeyArray) -> Float[Array, "start part"]:
    """Amplitudes to start from, in units of the drive: the first state, multiples of the linear one, random ones."""
    first, linear = follow(branch_residual, weakly_driven(args), args), weakly_driven(args)
    first = jnp.where(succeeded(first.result), first.value, linear)
    low, high = _sizes(args)
    multiples = starts // 4
    size = jnp.linalg.norm(linear)
    along = jnp.geomspace(low, high, multiples)[:, None] * linear / jnp.where(size > 0, size, 1.0)
    radius_key, phase_key = jax.random.split(key)
    shape = starts - multiples - 1, args.f.size
    radius = low * (high / low) ** jax.random.uniform(radius_key, shape, low.dtype)
    random = radius * jnp.exp(1j * jax.random.uniform(phase_key, shape, low.dtype, 0.0, 2 * np.pi))
    return jnp.concatenate([first[None], along, jax.vmap(split)(random)])


def _sizes(args: Driven) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Between which sizes amplitudes may lie, in units of the drive: where all rates together balance it, and where
    the least loss does, or laws become as fast as the linear part, as in a device that oscillates by itself."""
    rate, least = jnp.max(jnp.abs(args.M)), jnp.min(jnp.abs(jnp.diagonal(args.M).real))
    radii = jnp.geomspace(1 / WIDEST, WIDEST, 161).astype(rate.dtype) / rate

    def of_laws(radius: Array) -> Array:
        a = jnp.full_like(args.f, radius * args.drive)
        return jnp.max(jnp.abs(sum((law.damping(a) for law in args.laws), jnp.zeros_like(a)))) / (radius * args.drive)

    rates = jax.vmap(of_laws)(radii)
    low = radii[jnp.argmax(radii * (rate + rates) > 1)]
    slower = rates <= rate
    fastest = jnp.where(jnp.any(~slower), radii[jnp.argmax(jnp.where(slower, radii, 0.0))], 0.0)
    high = jnp.maximum(1 / jnp.maximum(least, LEAST_LOSS * rate), fastest)
    return low / 4, 4 * jnp.maximum(high, low)
