"""Points traced along branches of orbits, where a branch begins, and what counts alike along it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from diffnr.continuation import Branch
from diffnr.duffing.driven import DrivenOscillators
from diffnr.duffing.harmonic_balance import continued_orbit, orbit_from
from diffnr.duffing.oscillators import AbstractOscillators, linear_frequencies
from diffnr.parameters import get
from diffnr.ports import Drive
from diffnr.results import RESULTS


class Course(eqx.Module):
    """Points that were traced, piece by piece: coefficients [point, n·m], λ and dλ/ds [point], which piece each is on,
    how many there are, and how each piece ended."""

    y: Array
    parameter: Array
    slope: Array
    piece: Array
    count: Array
    ends: tuple[Any, ...]

    @classmethod
    def of(cls, branch: Branch) -> Course:
        """The course of one piece."""
        piece = jnp.zeros(branch.parameter.size, int)
        return cls(branch.y, branch.parameter, branch.slope, piece, branch.count, (branch.result,))


def first_orbit(driven: DrivenOscillators, low: Array, start: Array | None) -> tuple[Array, Array]:
    """Coefficients of the first orbit, NaN if there is none, and the parameter there."""
    basis = driven.model.basis
    if start is None:
        begin = low
        model, omega, amplitude = driven.at(low)
        b, result = continued_orbit(model, Drive(omega, amplitude), driven.forcing)
    else:
        named = {"omega": lambda: driven.omega, "amplitude": lambda: driven.amplitude}
        begin = named.get(driven.along, lambda: get(driven.model, driven.along))()
        b, result = orbit_from(driven.model, Drive(driven.omega, driven.amplitude), driven.forcing, start)
    return jnp.where(result == RESULTS.successful, basis.coefficients(b).ravel(), jnp.nan), begin


def scale_of(driven: DrivenOscillators, low: Array, high: Array) -> tuple[Array, Array]:
    """What counts alike along the branch: half of the linear peak's displacement, and a change of the parameter."""
    model, _, _ = driven.at(low)
    _, _, amplitude = driven.at(high)
    if driven.along == "omega":
        return lax.stop_gradient(response_scale(model, amplitude, low, high))
    size, _ = response_scale(model, amplitude, 1e-3 * driven.omega, jnp.full_like(driven.omega, jnp.inf))
    return lax.stop_gradient((size, (high - low) / 4))


def response_scale(model: AbstractOscillators, amplitude: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Half of the displacement at the first linear resonance (or the bound nearest to it), and half of its ω."""
    first = jnp.clip(linear_frequencies(model)[0], low, high)
    friction, mass = (jnp.max(jnp.diagonal(matrix)) for matrix in (model.dissipation, model.inertia))
    peak = jnp.abs(amplitude) / (friction * first + 1e-3 * mass * first**2)
    return peak / 2, first / 2
