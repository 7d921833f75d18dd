"""Where searches for restored reciprocity begin: at a closed form, or at the peaks that the oscillators have now."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from diffnr.duffing.harmonic_balance import residual
from diffnr.duffing.one_harmonic import OneHarmonicRestoration
from diffnr.duffing.special_points import peak_residual
from diffnr.root import follow, frozen, newton
from optimize.reciprocity.both_ways import DrivenBothWays, after, joined, mode_of, sizes
from optimize.reciprocity.equal_outputs import MAX_POINTS, band_of, branches
from optimize.reciprocity.restored_orbits import BothPeak, FreeRatio, with_tangents


class Start(NamedTuple):
    """Where a search begins: v = [u, p] (NaN if there is none), the free number, and the fundamentals of both ports
    when the first one is driven at this resonance."""

    v: Float[Array, " k"]
    free: FreeRatio
    shape: Complex[Array, " both"]


def start_from(driven: DrivenBothWays, which: Array, guess: OneHarmonicRestoration | Array, max_steps: int) -> Start:
    """Where both outputs peak at the same frequency, near to every kind of restored point.

    **Arguments:** `which` [], the number that is free; `guess`: a closed form, or of which resonance the peaks are.
    """
    if isinstance(guess, OneHarmonicRestoration):
        v, free = _from_closed_form(driven, which, guess)
        v = frozen(newton(BothPeak(), v, free, max_steps=max_steps).value)
        return Start(v, with_tangents(v, free), guess.phasors)
    return _from_peaks(driven, which, guess)


def beside(v: Float[Array, " k"], shape: Array, driven: DrivenBothWays, which: Array) -> Start:
    """Where both outputs peak at the same frequency, from a restored point v of others much like these."""
    nothing = jnp.zeros((2, driven.forces.shape[1] + 1))
    free = with_tangents(v, FreeRatio(driven, which, nothing))
    v = frozen(newton(BothPeak(), v, free).value)
    return Start(v, with_tangents(v, free), shape)


def _from_closed_form(
    driven: DrivenBothWays, which: Array, guess: OneHarmonicRestoration
) -> tuple[Float[Array, " k"], FreeRatio]:
    """Both orbits at the one-harmonic point."""
    there = driven.with_numbers(which, guess.ratio)
    basis = driven.basis
    phasors = jnp.zeros((2, len(basis.harmonics)), guess.phasors.dtype)
    phasors = phasors.at[:, basis.harmonics.index(1)].set(guess.phasors)
    starts = jnp.stack([basis.coefficients(x).ravel() for x in (phasors, phasors[::-1])])
    # Both in one batch: what is compiled once takes half of the time.
    solve = lambda y, force: newton(residual, y, (there.model, guess.omega, force)).value  # noqa: E731
    y = jax.vmap(solve)(starts, there.forces)
    v = frozen(jnp.append(joined(y, guess.omega), guess.ratio))
    return v, with_tangents(v, FreeRatio(driven, which, jnp.zeros((2, y.shape[1] + 1))))


def _from_peaks(driven: DrivenBothWays, which: Array, resonance: Array) -> Start:
    """From the peaks of both outputs at the number's own value to where they are at one frequency, by continuation."""
    held = frozen(driven)
    low, high = band_of(held)
    y, omega = branches(held, low, high, MAX_POINTS * held.model.num_ports)
    forward = _peak(held, 0, y[0], omega[0], resonance)
    backward = _peak(held, 1, y[1], omega[1], resonance, forward)
    apart = backward[-1] - forward[-1]
    own = held.numbers[which]
    v = jnp.append(joined(jnp.stack([forward[:-1], backward[:-1]]), forward[-1]), own)
    free = with_tangents(v, FreeRatio(held, which, jnp.zeros((2, forward.size))))
    size = jnp.append(sizes(v[:-1]), jnp.where(own == 0, 1.0, jnp.abs(own)))
    z = follow(_Together(), v / size, (free, apart, size)).value
    X = held.basis.phasors(forward[:-1].reshape(-1, held.basis.size))[:, held.basis.harmonics.index(1)]
    v = frozen(z * size)
    free = eqx.tree_at(lambda free: free.driven, free, driven)
    return Start(v, with_tangents(v, free), X[jnp.asarray(held.ports)])


class _Together(eqx.Module):
    """`BothPeak` of v / size at frequencies that are less and less apart."""

    def __call__(self, z: Array, t: Array, args: tuple[FreeRatio, Array, Array]) -> Array:
        free, apart, size = args
        return BothPeak()(z * size, free, (1 - t) * apart)


class _OwnPeak(eqx.Module):
    """An orbit at a peak of one oscillator, of [y, ω]."""

    out: int = eqx.field(static=True)

    def __call__(self, u: Array, args: Any) -> Array:
        return peak_residual(self.out, u, args)


def _peak(
    driven: DrivenBothWays,
    direction: int,
    y: Float[Array, "point n"],
    omega: Float[Array, " point"],
    resonance: Array,
    first: Array | float = 0.0,
) -> Float[Array, " m"]:
    """[y, ω] at the largest maximum of an output along its branch at which the oscillators move in one linear mode."""
    out = driven.ports[1 - direction]
    valid = jnp.isfinite(omega)
    u = jnp.where(valid[:, None], jnp.concatenate([y, omega[:, None]], axis=1), 1.0)
    ours = y.reshape(y.shape[0], -1, driven.basis.size)[:, out]
    square = jnp.sum(driven.basis.weights * ours**2, axis=1)
    highest = (square[1:-1] >= square[:-2]) & (square[1:-1] > square[2:])
    mode = mode_of(after(u[:, :-1].ravel(), jnp.asarray(first)).reshape(y.shape), driven)
    sought = jnp.pad(highest, 1) & valid & (mode == resonance)
    best = jnp.argmax(jnp.where(sought, square, -1.0))
    before, there, beyond = u[best - 1], u[best], u[jnp.minimum(best + 1, omega.size - 1)]
    row = (beyond - before) / jnp.linalg.norm(beyond - before)
    found = newton(_OwnPeak(out), there, (driven.model, driven.forces[direction], row), max_steps=20).value
    return frozen(jnp.where(jnp.any(sought), found, jnp.nan))
