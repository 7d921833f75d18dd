"""Oscillators driven from either side at one frequency: their numbers, both orbits, and their equations.

Forward, the first of two `ports` is driven and the output is the second; backward it is the reverse. The unknowns are
one real vector u = [y_F, ω, y_B]: coefficients of the forward orbit, the frequency, those of the backward orbit. Where
a number p of the oscillators is sought as well, they are v = [u, p].
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from diffnr.checks import as_count, as_index, as_scalar, is_concrete, require, require_double
from diffnr.duffing.basis import Basis
from diffnr.duffing.harmonic_balance import forcing, linearise, residual
from diffnr.duffing.oscillators import AbstractOscillators, require_oscillators, stiffness_of, with_harmonics
from diffnr.duffing.points import Points, orbits
from diffnr.parameters import bounds, paths

CONDITION = 1e6  # of equations; beyond it orbits precise to 1e-10 leave 1e-4 of what is sought undetermined


class DrivenBothWays(eqx.Module):
    """Oscillators, the force's amplitude [], and the two of them that are driven and looked at in turn.

    Their numbers are all entries of the model's real arrays, in the order of `diffnr.paths`, and the amplitude.
    """

    model: AbstractOscillators
    amplitude: Float[Array, ""]
    ports: tuple[int, int] = eqx.field(static=True, default=(0, 1))

    @property
    def basis(self) -> Basis:
        """In which orbits are balanced."""
        return self.model.basis

    @property
    def numbers(self) -> Float[Array, " number"]:
        """The values of all numbers, the amplitude last."""
        leaves = [leaf.ravel() for leaf in jax.tree_util.tree_leaves(eqx.filter(self.model, _is_real))]
        return jnp.concatenate([*leaves, self.amplitude[None]])

    @property
    def forces(self) -> Float[Array, "direction n"]:
        """The force's coefficients, forward and backward."""
        return jnp.stack([forcing(self.model, port, self.amplitude) for port in self.ports])

    def which(self, path: Any, name: str) -> int:
        """The index of the number that a user calls `path`; raises, naming the argument, if there is none."""
        arrays = eqx.filter(self.model, _is_real)
        shapes = [leaf.shape for leaf in jax.tree_util.tree_leaves(arrays)]
        known, start = {}, 0
        for leaf, shape in zip(paths(arrays), shapes, strict=True):
            for offset, entry in enumerate(np.ndindex(*shape)):
                known[".".join([leaf, *map(str, entry)])] = start + offset
            start += math.prod(shape)
        known["amplitude"] = start
        listed = [_listed(leaf, shape) for leaf, shape in zip(paths(arrays), shapes, strict=True) if 0 not in shape]
        must = f"be one of {', '.join([*listed, repr('amplitude')])}"
        found = isinstance(path, str) and path in known
        require(found, name, must, repr(path) if isinstance(path, str) else path)
        return known[path]

    def with_numbers(self, which: Int[Array, "..."], values: Float[Array, "..."]) -> DrivenBothWays:
        """With other values of the numbers `which`; as an array, so that all of them share what is compiled."""
        numbers = self.numbers.at[which].set(values)
        arrays, rest = eqx.partition(self.model, _is_real)
        leaves, structure = jax.tree_util.tree_flatten(arrays)
        ends = np.cumsum([leaf.size for leaf in leaves])
        parts = jnp.split(numbers, ends)
        new = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=False)]
        model = eqx.combine(jax.tree_util.tree_unflatten(structure, new), rest)
        return DrivenBothWays(model, parts[-1][0], self.ports)

    def least(self, path: str) -> tuple[float, bool]:
        """The least value that a number may have, and whether it must be larger: as masses and the amplitude."""
        mass = path == "amplitude" or any(part.startswith("mass") for part in path.split("."))
        lowest = 0.0 if path == "amplitude" else bounds(self.model, path)[0]
        return -math.inf if lowest is None else lowest, mass


def _is_real(leaf: Any) -> bool:
    return eqx.is_inexact_array(leaf) and not jnp.iscomplexobj(leaf)


def _listed(path: str, shape: tuple[int, ...]) -> str:
    """A leaf in a sentence: the paths of its first and last entry, if it has several."""
    ends = [".".join([path, *map(str, entry)]) for entry in ([0] * len(shape), [n - 1 for n in shape])]
    return repr(ends[0]) if ends[0] == ends[1] else f"{ends[0]!r} … {ends[1]!r}"


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


def outputs(y: Float[Array, "direction n"], driven: DrivenBothWays) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """Of both orbits, or of changes of them, what belongs to the forward and to the backward output."""
    first, last = driven.ports
    y = y.reshape(2, -1, driven.basis.size)
    return y[0, last], y[1, first]


def difference(u: Float[Array, " k"], driven: DrivenBothWays) -> Float[Array, " m"]:
    """The residual of reciprocity: its squares sum to R²."""
    forward, backward = outputs(split(u).y, driven)
    return jnp.sqrt(jnp.asarray(driven.basis.weights)) * (forward - backward)


def gap_of_fundamentals(u: Float[Array, " k"], driven: DrivenBothWays) -> Float[Array, " wave"]:
    """X_F − X_B of the outputs, cosine and sine, in units of the backward output."""
    forward, backward = outputs(split(u).y, driven)
    return (forward - backward)[driven.basis.terms == 1] / lax.stop_gradient(jnp.linalg.norm(backward))


def squares(u: Float[Array, " k"], driven: DrivenBothWays) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """N_F² and N_B² of the outputs."""
    forward, backward = outputs(split(u).y, driven)
    weights = driven.basis.weights
    return jnp.sum(weights * forward**2), jnp.sum(weights * backward**2)


def excess(u: Float[Array, " k"], driven: DrivenBothWays) -> Float[Array, ""]:
    """(N_F² − N_B²) / (N_F² + N_B²)."""
    forward, backward = squares(u, driven)
    return (forward - backward) / (forward + backward)


def phase_wave(u: Float[Array, " k"], driven: DrivenBothWays) -> Float[Array, " wave"]:
    """(cos, sin) of Δφ."""
    first = np.asarray(driven.basis.terms) == 1
    (c_f, s_f), (c_b, s_b) = (output[first] for output in outputs(split(u).y, driven))
    wave = jnp.stack([c_f * c_b + s_f * s_b, c_f * s_b - s_f * c_b])
    return wave / jnp.sqrt(jnp.sum(wave**2))


def sizes(u: Float[Array, " k"]) -> Float[Array, " k"]:
    """What counts alike in u: the size of each orbit, and half of the frequency."""
    y, omega = split(u)
    return joined(jnp.broadcast_to(jnp.linalg.norm(y, axis=1, keepdims=True), y.shape), omega / 2)


def balances(u: Float[Array, " k"], driven: DrivenBothWays) -> Float[Array, " both"]:
    """F of both orbits, [2 n]."""
    y, omega = split(u)
    return jax.vmap(lambda y, force: residual(y, (driven.model, omega, force)))(y, driven.forces).ravel()


def linearised(
    u: Float[Array, " k"], driven: DrivenBothWays, apart: Array | float = 0.0
) -> tuple[Float[Array, "direction n"], Float[Array, "direction n n"], Float[Array, "direction n"]]:
    """F, ∂F/∂y and ∂F/∂ω of both orbits, the backward one at a frequency that may be `apart` from ω."""
    y, omega = split(u)
    omegas = jnp.stack([omega, omega + apart])
    return jax.vmap(lambda y, omega, force: linearise(y, omega, (driven.model, force)))(y, omegas, driven.forces)


class Equal(eqx.Module):
    """Both orbits, and outputs of one norm, N_F = N_B, or of one phase, Δφ = 0, [2 n + 1]."""

    what: str = eqx.field(static=True, default="norm")

    def __call__(self, u: Array, driven: DrivenBothWays) -> Array:
        return jnp.append(balances(u, driven), self.gap(u, driven))

    def gap(self, u: Array, driven: DrivenBothWays) -> Array:
        """What vanishes where the outputs are equal: (N_F² − N_B²) / (N_F² + N_B²), or sin Δφ."""
        return excess(u, driven) if self.what == "norm" else phase_wave(u, driven)[1]

    def opposite(self, u: Array, driven: DrivenBothWays) -> Array:
        """Whether sin Δφ vanishes for outputs of opposite phases."""
        return jnp.zeros((), bool) if self.what == "norm" else phase_wave(u, driven)[0] < 0


class EqualWhere(eqx.Module):
    """`Equal` with args = (driven, found); where not `found` both orbits at the frequency they have instead."""

    equal: Equal

    def __call__(self, u: Array, args: tuple[DrivenBothWays, Bool[Array, ""]]) -> Array:
        driven, found = args
        held = split(u).omega - lax.stop_gradient(split(u).omega)
        return jnp.append(balances(u, driven), jnp.where(found, self.equal.gap(u, driven), held))


def mode_of(y: Float[Array, "point n"], driven: DrivenBothWays) -> Int[Array, " point"]:
    """Of which linear mode, counted from the lowest, the fundamental of each orbit has most."""
    model, basis = driven.model, driven.basis
    stiffness = stiffness_of(model, jnp.zeros(model.num_ports, y.dtype))
    if model.symmetric and model.mass.ndim == 1:
        root = jnp.sqrt(model.mass)
        _, shapes = jnp.linalg.eigh(stiffness / (root[:, None] * root))
        shapes = shapes / root[:, None]
    else:
        squares, shapes = jnp.linalg.eig(jnp.linalg.solve(model.inertia, stiffness))
        shapes = shapes[:, jnp.argsort(jnp.sqrt(squares).real)]
    mass = jnp.einsum("ik,ij,jk->k", shapes.conj(), model.inertia, shapes).real
    X = jax.vmap(basis.phasors)(y.reshape(y.shape[0], -1, basis.size))[..., basis.harmonics.index(1)]
    shares = jnp.linalg.solve(shapes.astype(X.dtype), X.T)
    return jnp.argmax(jnp.sqrt(mass)[:, None] * jnp.abs(shares), axis=0)


def orbits_at(u: Float[Array, " k"], driven: DrivenBothWays, valid: Bool[Array, ""]) -> Points:
    """The forward and the backward orbit, two points, with their multipliers; NaN where not `valid`."""
    y, omega = split(u)
    return orbits(driven.model, y, jnp.stack([omega, omega]), jnp.stack([valid, valid]))


def after(x: Float[Array, " n"], first: Float[Array, "..."]) -> Float[Array, " n"]:
    """x, available only once `first` (finite) is computed.

    Two LAPACK calls that run at once in a large batch may wait for each other's threads for ever (jaxlib 0.10.2 on two
    cores), and `lax.optimization_barrier` does not keep them apart. A sum with zero times a number does: floating-point
    arithmetic does not let it be left out, as that number might be NaN.
    """
    return x + 0.0 * jnp.sum(first)


def as_driven(pair: Any, amplitude: Any, num_harmonics: Any = None, ports: Any = None) -> DrivenBothWays:
    """Oscillators, with their highest harmonic, the force's amplitude and two ports, as a user gave them."""
    require_oscillators(pair, "pair")
    n = pair.num_ports
    require(n > 1, "pair", "have two oscillators or more", "one oscillator")
    if num_harmonics is not None:
        pair = with_harmonics(pair, as_count(num_harmonics, "num_harmonics"))
    require_double("pair", pair.mass)
    amplitude = as_scalar(amplitude, "amplitude")
    require(not is_concrete(amplitude) or np.asarray(amplitude) != 0, "amplitude", "differ from 0", amplitude)
    return DrivenBothWays(pair, amplitude, (0, n - 1) if ports is None else _as_ports(ports, n))


def _as_ports(ports: Any, n: int) -> tuple[int, int]:
    must = "name two different oscillators, the first and the second port"
    require(isinstance(ports, (tuple, list)) and len(ports) == 2, "ports", must, ports)
    first, last = (as_index(port, "ports", n, "port") for port in ports)
    require(first != last, "ports", must, ports)
    return first, last
