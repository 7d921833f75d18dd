"""Chains of oscillators with any smooth forces, to ground and between neighbours."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import (
    Count,
    as_count,
    as_flag,
    as_real,
    as_shaped,
    as_vector,
    check_fields,
    is_concrete,
    rate_field,
    real_field,
    require,
    require_finite,
    staying_known,
    tried,
)
from diffnr.compilation import compiled
from diffnr.duffing.oscillators import AbstractOscillators, rests_at_zero, tried_forces
from diffnr.duffing.smoothness import require_smooth

Force = Callable[[Array], Array]
INSTANTS = 16  # at which forces are tried


class OscillatorChain(AbstractOscillators):
    """A chain of n oscillators with any smooth forces:

        m_j x_j'' + c_j x_j' + g_j(x) + T(x_j − x_{j−1}) − T(x_{j+1} − x_j) = F_j cos ωt

    **Arguments:**

    - `mass`: [n], positive. `friction`: [n] or [], c_j ≥ 0, force per velocity.
    - `internal`: a function x [n, …] -> [n, …], the restoring forces to ground, x[j] to force j.
    - `coupling`: a function of the extensions e [n − 1, …] -> [n − 1, …], the tension T of each link.
    - `num_harmonics`: H (default 9). `odd`: whether both forces are odd; by default found out by trying, and
      False where x = 0 is no position of rest that they hold.

    As `equinox.Module`s their leaves are parameters, with paths ("internal.cubic"); functions are differentiated, so
    they must be written in JAX. Other axes of their argument are instants and must stay apart.

    **Raises:** `ValueError` for masses that are not positive, negative friction, shapes; a force that fails when it is
    tried, returns another shape than it was given, is not finite, or takes from another oscillator or link than its own
    (a network's force may).
    """

    mass: Float[Array, " oscillator"] = real_field(lower=0.0)
    friction: Float[Array, " oscillator"] = rate_field()
    internal: Force  # pyright: ignore[reportGeneralTypeIssues]
    coupling: Force  # pyright: ignore[reportGeneralTypeIssues]
    num_harmonics: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    odd: bool = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(
        self,
        mass: Any,
        friction: Any,
        internal: Force,
        coupling: Force,
        *,
        num_harmonics: Count = 9,
        odd: bool | None = None,
    ):
        self.mass = as_vector(mass, "mass")
        require(not is_concrete(self.mass) or np.all(np.asarray(self.mass) > 0), "mass", "be positive", self.mass)
        n = self.mass.size
        self.friction = jnp.broadcast_to(as_shaped(friction, "friction", (), (n,)), (n,))
        self.internal = _as_force(internal, "internal", n, self.mass.dtype)
        self.coupling = _as_force(coupling, "coupling", n - 1, self.mass.dtype)
        self.num_harmonics = as_count(num_harmonics, "num_harmonics")
        self.odd = _is_odd(self) if odd is None else as_flag(odd, "odd")
        _require_own(self.internal, "internal", "oscillator", n, self.mass.dtype)
        _require_own(self.coupling, "coupling", "link", n - 1, self.mass.dtype)
        require_smooth(self, "internal or coupling")

    def __check_init__(self) -> None:
        check_fields(self)
        if is_concrete(self.mass):
            require(np.all(np.asarray(self.mass) > 0), "mass", "be positive", self.mass)

    @property
    def chained(self) -> bool:
        return True

    def forces(self, x: Array, v: Array, phase: Array) -> Array:
        return self.force(x)

    def force(self, x: Float[Array, "oscillator *rest"]) -> Float[Array, "oscillator *rest"]:
        """The restoring forces g(x) [n, …] at displacements x [n, …]."""
        tension = self.coupling(x[1:] - x[:-1])
        none = jnp.zeros_like(x[:1])
        return self.internal(x) + jnp.concatenate([none, tension]) - jnp.concatenate([tension, none])


class PolynomialForce(eqx.Module):
    """A force k₁ x + k₂ x² + k₃ x³ + …, for `OscillatorChain`.

    **Arguments:** `coefficients`: [order, n] or [order], k₁ first, of each oscillator or link.
    """

    coefficients: Float[Array, "order ..."] = real_field()

    def __init__(self, coefficients: Any):
        self.coefficients = as_real(coefficients, "coefficients")

    def __check_init__(self) -> None:
        check_fields(self)
        shape = jnp.shape(self.coefficients)
        filled = len(shape) >= 1 and shape[0] > 0  # there may be no link
        require(filled, "coefficients", "have shape (order,) or (order, n)", f"of shape {shape}")

    def __call__(self, x: Float[Array, "oscillator *rest"]) -> Float[Array, "oscillator *rest"]:
        total = jnp.zeros_like(x)
        for k in self.coefficients[::-1]:
            total = x * (k.reshape(k.shape + (1,) * (x.ndim - k.ndim)) + total)
        return total


def _as_force(value: Any, name: str, size: int, dtype: Any) -> Force:
    """`value` as a function of displacements or extensions, tried on those of a few instants."""
    must = "be a function of an array [n, …] that returns an array of the same shape, written in JAX"
    instants = jax.ShapeDtypeStruct((size, 8), dtype)
    found = tried(value, name, must, lambda force: eqx.filter_eval_shape(force, instants))
    was = f"one that returns {f'shape {found.shape}' if hasattr(found, 'shape') else type(found).__name__}"
    require(getattr(found, "shape", None) == (size, 8), name, must, f"{was} for an array of shape {(size, 8)}")
    require(jnp.issubdtype(found.dtype, jnp.floating), name, must, f"one that returns {found.dtype}")
    return value


def _require_own(force: Force, name: str, what: str, size: int, dtype: Any) -> None:
    """Raise if a force changes where those of its displacements change that are not its own: of each of some instants
    a random half, so that hardly a pair is left out."""
    if size < 2:
        return
    rng = np.random.default_rng(1)
    x, moved = rng.normal(size=(size, 1)), rng.uniform(size=(size, INSTANTS)) < 0.5
    there = np.concatenate([np.broadcast_to(x, moved.shape), x + moved * rng.uniform(0.5, 1.0, moved.shape)], axis=1)
    with staying_known():
        found = _called(force, jnp.asarray(there, dtype))
    if is_concrete(found):
        before, behind = np.split(np.asarray(found), 2, axis=1)
        other = np.nonzero(~moved & (np.abs(behind - before) > 1e-5 * np.nanmax(np.abs(before))))[0]
        must = f"give the force of each {what} from its own entry of x alone"
        require(other.size == 0, name, must, f"one whose entry {other[:1]} changes with others")


@compiled
def _called(force: Force, x: Array) -> Array:
    return force(x)


def _is_odd(chain: OscillatorChain) -> bool:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(chain.mass.size, 8)), chain.mass.dtype)
    with staying_known():
        *forces, stiffness = tried_forces(chain, x, x, x[0])
    if not is_concrete(forces, stiffness):
        raise ValueError("Argument odd must be given where a chain is built inside a transformation, but was not.")
    require_finite("internal or coupling", forces)
    there, opposite = (np.asarray(force) for force in forces)
    odd = np.all(np.abs(there + opposite) <= 1e-6 * np.max(np.abs(there)))
    return bool(odd) and rests_at_zero(chain.mass, stiffness)
