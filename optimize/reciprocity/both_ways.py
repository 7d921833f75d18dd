"""A pair of oscillators driven from either side at one frequency: its numbers, both orbits, and their equations.

Forward, oscillator 0 is driven and the output is oscillator 1; backward it is the reverse. The unknowns are one
real vector u = [y_F, ω, y_B]: coefficients of the forward orbit, the frequency, those of the backward orbit. Where a
number p of the pair is sought as well, they are v = [u, p].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from diffnr.checks import as_count, as_scalar, is_concrete, require, require_double, require_instance
from diffnr.duffing.basis import Basis
from diffnr.duffing.harmonic_balance import forcing, linearise, residual
from diffnr.duffing.one_harmonic import RATIOS
from diffnr.duffing.oscillators import DuffingPair, with_harmonics
from diffnr.duffing.points import Points, orbits

PARAMETERS = (*RATIOS, "coupling", "cubic", "damping", "amplitude")
CONDITION = 1e6  # of equations; beyond it orbits precise to 1e-10 leave 1e-4 of what is sought undetermined


class DrivenPair(eqx.Module):
    """A pair and the force's amplitude [], whose seven numbers are its `PARAMETERS`."""

    pair: DuffingPair
    amplitude: Float[Array, ""]

    @property
    def basis(self) -> Basis:
        """In which orbits are balanced."""
        return self.pair.basis

    @property
    def parameters(self) -> Float[Array, " parameter"]:
        """The values of the `PARAMETERS`."""
        return jnp.stack([getattr(self.pair, name) for name in PARAMETERS[:-1]] + [self.amplitude])

    @property
    def forces(self) -> Float[Array, "direction n"]:
        """The force's coefficients, forward and backward."""
        return jnp.stack([forcing(self.pair, port, self.amplitude) for port in (0, 1)])

    def with_parameters(self, which: Int[Array, "..."], values: Float[Array, "..."]) -> DrivenPair:
        """With other values of the parameters `which`; as an array, so that all of them share what is compiled."""
        *numbers, amplitude = self.parameters.at[which].set(values)
        numbers = dict(zip(PARAMETERS[:-1], numbers, strict=True))
        return DrivenPair(DuffingPair(**numbers, num_harmonics=self.pair.num_harmonics), amplitude)


class BothOrbits(NamedTuple):
    """The parts of u: the coefficients of both orbits, and their frequency."""

    y: Float[Array, "direction n"]
    omega: Float[Array, ""]


def split(u: Float[Array, " k"]) -> BothOrbits:
    """u in its parts."""
    n = u.size // 2
    return BothOrbits(jnp.stack([u[:n], u[n + 1 :]]), u[n])


def joined(y: Float[Array, "direction n"], omega: Float[Array, ""]) -> Float[Array, " k"]:
    """u of its parts."""
    return jnp.concatenate([y[0], omega[None], y[1]])


def outputs(y: Float[Array, "direction m"]) -> tuple[Float[Array, " half"], Float[Array, " half"]]:
    """Of both orbits, or of changes of them, what belongs to the forward and to the backward output."""
    half = y.shape[1] // 2
    return y[0, half:], y[1, :half]


def difference(u: Float[Array, " k"], basis: Basis) -> Float[Array, " half"]:
    """The residual of reciprocity: its squares sum to R²."""
    forward, backward = outputs(split(u).y)
    return jnp.sqrt(jnp.asarray(basis.weights)) * (forward - backward)


def squares(u: Float[Array, " k"], basis: Basis) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """N_F² and N_B² of the outputs."""
    forward, backward = outputs(split(u).y)
    return jnp.sum(basis.weights * forward**2), jnp.sum(basis.weights * backward**2)


def excess(u: Float[Array, " k"], basis: Basis) -> Float[Array, ""]:
    """(N_F² − N_B²) / (N_F² + N_B²)."""
    forward, backward = squares(u, basis)
    return (forward - backward) / (forward + backward)


def phase_wave(u: Float[Array, " k"], basis: Basis) -> Float[Array, " wave"]:
    """(cos, sin) of Δφ."""
    (c_f, s_f), (c_b, s_b) = (output[np.asarray(basis.terms) == 1] for output in outputs(split(u).y))
    wave = jnp.stack([c_f * c_b + s_f * s_b, c_f * s_b - s_f * c_b])
    return wave / jnp.sqrt(jnp.sum(wave**2))


def sizes(u: Float[Array, " k"]) -> Float[Array, " k"]:
    """What counts alike in u: the size of each orbit, and half of the frequency."""
    y, omega = split(u)
    return joined(jnp.broadcast_to(jnp.linalg.norm(y, axis=1, keepdims=True), y.shape), omega / 2)


def balances(u: Float[Array, " k"], driven: DrivenPair) -> Float[Array, " both"]:
    """F of both orbits, [2 n]."""
    y, omega = split(u)
    return jax.vmap(lambda y, force: residual(y, (driven.pair, omega, force)))(y, driven.forces).ravel()


def linearised(
    u: Float[Array, " k"], driven: DrivenPair
) -> tuple[Float[Array, "direction n"], Float[Array, "direction n n"], Float[Array, "direction n"]]:
    """F, ∂F/∂y and ∂F/∂ω of both orbits."""
    y, omega = split(u)
    return jax.vmap(lambda y, force: linearise(y, omega, (driven.pair, force)))(y, driven.forces)


class EqualNorms(eqx.Module):
    """Both orbits, and N_F = N_B of the outputs, [2 n + 1]."""

    def __call__(self, u: Array, driven: DrivenPair) -> Array:
        return jnp.append(balances(u, driven), excess(u, driven.basis))


class EqualNormsWhere(eqx.Module):
    """`EqualNorms` with args = (driven, found); where not `found` both orbits at the frequency they have instead."""

    def __call__(self, u: Array, args: tuple[DrivenPair, Bool[Array, ""]]) -> Array:
        driven, found = args
        held = split(u).omega - lax.stop_gradient(split(u).omega)
        return jnp.append(balances(u, driven), jnp.where(found, excess(u, driven.basis), held))


def orbits_at(u: Float[Array, " k"], driven: DrivenPair, valid: Bool[Array, ""]) -> Points:
    """The forward and the backward orbit, two points, with their multipliers; NaN where not `valid`."""
    y, omega = split(u)
    return orbits(driven.pair, y, jnp.stack([omega, omega]), jnp.stack([valid, valid]))


def after(x: Float[Array, " n"], first: Float[Array, "..."]) -> Float[Array, " n"]:
    """x, available only once `first` (finite) is computed.

    Two LAPACK calls that run at once in a large batch may wait for each other's threads for ever (jaxlib 0.10.2 on two
    cores), and `lax.optimization_barrier` does not keep them apart. A sum with zero times a number does: floating-point
    arithmetic does not let it be left out, as that number might be NaN.
    """
    return x + 0.0 * jnp.sum(first)


def as_driven(pair: Any, amplitude: Any, num_harmonics: Any = None) -> DrivenPair:
    """The pair, with its highest harmonic, and the force's amplitude, as a user gave them."""
    require_instance(pair, "pair", DuffingPair, "be a duffing.DuffingPair")
    if num_harmonics is not None:
        pair = with_harmonics(pair, as_count(num_harmonics, "num_harmonics"))
    require_double("pair", pair.mass)
    amplitude = as_scalar(amplitude, "amplitude")
    require(not is_concrete(amplitude) or np.asarray(amplitude) != 0, "amplitude", "differ from 0", amplitude)
    return DrivenPair(pair, amplitude)
