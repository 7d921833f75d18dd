"""Any forced oscillators: full matrices and any smooth forces of displacement, velocity and the drive's phase."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
import inspect
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
    check_fields,
    is_concrete,
    real_field,
    require,
    require_finite,
    staying_known,
    tried,
)
from diffnr.duffing.oscillators import AbstractOscillators, rests_at_zero, tried_forces
from diffnr.duffing.smoothness import require_smooth

INSTANTS = 8  # at which a force is tried
MUST = (
    "be a function of displacements x [n, …], of x and velocities v, or of x, v and the drive's phase ωt […], that "
    "returns an array [n, …], written in JAX"
)
Force = Callable[..., Array]


class OscillatorNetwork(AbstractOscillators):
    """Any n oscillators under a force:

        M x'' + (C + G) x' + K x + f(x, x', ωt) = F cos ωt

    **Arguments**, in any consistent units:

    - `mass`: M, [n, n], symmetric and positive definite, or its diagonal [n].
    - `stiffness`: K, [n, n], or its diagonal [n]. It may be indefinite (bistable oscillators) and not symmetric
      (nonreciprocal springs).
    - `damping`: C, [n, n], or its diagonal [n], or [] for all alike; default 0. `gyroscopic`: G, [n, n],
      skew-symmetric (a rotor's); default 0.
    - `force`: f, a function of x [n, …], of (x, v), or of (x, v, phase), that returns [n, …]: internal and link forces,
      self-excitation, modulated springs. Other axes are instants and must stay apart, so that x[0] is all that is known
      of oscillator 0. The phase is the drive's, ωt: a spring that is pumped at 2ω has the stiffness k cos(2 phase).
      As an `equinox.Module` its leaves are parameters with paths ("force.cubic"). Default: none.
    - `num_harmonics`: H (default 9). `num_instants`: at how many instants a period forces are evaluated, if more than
      the 4H + 2 that make cubic forces exact (clearances want some ten times H). `odd`: whether
      f(−x, −v, ωt + π) = −f(x, v, ωt); by default found out by trying, and False where x = 0
      is no position of rest that springs hold (bistable oscillators), since orbits in the wells have a mean.

    **Raises:** `ValueError` for matrices that are not square or of different sizes, a mass that is not symmetric or not
    positive definite, a force that fails when it is tried, returns another shape, is not finite or has a kink.

    **Notes:** harmonic balance converges as fast as forces are smooth: a kink (a stop, dry
    friction) is refused where one is found along a line through 0; `duffing.Clearance` is a stop rounded off over a
    width that is stated.

    Good values: 9 harmonics for weak cubic forces, 21 and more for clearances and resonances at 3ω and 5ω.

        duffing.OscillatorNetwork([1.0, 0.05], [[1.05, -0.05], [-0.05, 0.05]], 0.01, lambda x: 0.2 * x**3)
    """

    mass: Float[Array, "oscillator *by"] = real_field()
    stiffness: Float[Array, "oscillator by"] = real_field()
    damping: Float[Array, "oscillator by"] = real_field()
    gyroscopic: Float[Array, "oscillator by"] | None = real_field()
    force: Force | None  # pyright: ignore[reportGeneralTypeIssues]
    num_harmonics: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    odd: bool = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    force_arguments: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    instants: int | None = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(
        self,
        mass: Any,
        stiffness: Any,
        damping: Any = 0.0,
        force: Any = None,
        *,
        gyroscopic: Any = None,
        num_harmonics: Count = 9,
        num_instants: Any = None,
        odd: bool | None = None,
    ):
        self.mass = as_real(mass, "mass")
        square = self.mass.ndim == 1 or (self.mass.ndim == 2 and len(set(self.mass.shape)) == 1)
        require(square and self.mass.size > 0, "mass", "have shape (n,) or (n, n)", f"of shape {self.mass.shape}")
        n = self.mass.shape[0]
        self.stiffness = _matrix(stiffness, "stiffness", n)
        self.damping = _matrix(damping, "damping", n)
        self.gyroscopic = None if gyroscopic is None else _matrix(gyroscopic, "gyroscopic", n)
        self.num_harmonics = as_count(num_harmonics, "num_harmonics")
        self.instants = None if num_instants is None else as_count(num_instants, "num_instants")
        self.force_arguments = _num_arguments(force)
        self.force = force
        dtype = jnp.result_type(self.mass, self.stiffness, self.damping)
        _try_force(force, n, dtype, self.force_arguments)
        self.odd = _is_odd(self, dtype) if odd is None else as_flag(odd, "odd")
        if force is not None:
            require_smooth(self, "force")

    def __check_init__(self) -> None:
        check_fields(self)
        if is_concrete(self.mass):
            mass = np.asarray(self.mass)  # not `inertia`, whose entries are unknown inside of a transformation
            mass = mass if mass.ndim == 2 else np.diag(mass)
            must = "be symmetric and positive definite"
            require(np.allclose(mass, mass.T, rtol=1e-12, atol=0), "mass", must, "not symmetric")
            least = float(np.min(np.linalg.eigvalsh(mass)))
            largest = float(np.max(np.abs(mass)))
            require(least > 1e-14 * largest, "mass", must, f"of eigenvalue {least:.3g}")
        if self.gyroscopic is not None and is_concrete(self.gyroscopic):
            G = np.asarray(self.gyroscopic)
            require(np.allclose(G, -G.T, rtol=1e-12), "gyroscopic", "be skew-symmetric (damping takes the rest)", G)

    @property
    def friction(self) -> Float[Array, "oscillator by"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.damping if self.gyroscopic is None else self.damping + self.gyroscopic

    @property
    def depends_on(self) -> tuple[str, ...]:
        return ("velocity", "phase")[: self.force_arguments - 1]

    @property
    def num_instants(self) -> int | None:
        return self.instants

    @property
    def symmetric(self) -> bool:
        return False

    def forces(self, x: Array, v: Array, phase: Array) -> Array:
        linear = jnp.tensordot(self.stiffness, x, 1)
        if self.force is None:
            return linear
        return linear + self.force(*(x, v, phase)[: self.force_arguments])


def _matrix(value: Any, name: str, n: int) -> Array:
    matrix = as_real(value, name)
    must = f"have shape (), ({n},) or ({n}, {n}), as mass has n = {n}"
    require(matrix.shape in ((), (n,), (n, n)), name, must, f"of shape {matrix.shape}")
    require_finite(name, matrix)
    return matrix if matrix.ndim == 2 else jnp.diag(jnp.broadcast_to(matrix, (n,)))


def _num_arguments(force: Any) -> int:
    """How many arguments a force takes, 1 to 3."""
    if force is None:
        return 1
    require(callable(force) and not isinstance(force, type), "force", MUST, force)
    try:
        parameters = inspect.signature(force).parameters.values()
    except (TypeError, ValueError):
        return 1
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    require(1 <= len(needed) <= 3, "force", MUST, f"one of {len(needed)} arguments")
    return len(needed)


def _try_force(force: Any, n: int, dtype: Any, count: int) -> None:
    if force is None:
        return
    for rest in ((INSTANTS,), ()):  # one instant alone has no axis of its own
        motion, phase = jax.ShapeDtypeStruct((n, *rest), dtype), jax.ShapeDtypeStruct(rest, dtype)
        arguments = (motion, motion, phase)[:count]
        found = tried(force, "force", MUST, lambda f, arguments=arguments: eqx.filter_eval_shape(f, *arguments))
        was = f"one that returns {f'shape {found.shape}' if hasattr(found, 'shape') else type(found).__name__}"
        which = f"x of shape {motion.shape}"
        require(getattr(found, "shape", None) == motion.shape, "force", MUST, f"{was} for {which}")
        require(jnp.issubdtype(found.dtype, jnp.floating), "force", MUST, f"one that returns {found.dtype}")


def _samples(model: OscillatorNetwork, dtype: Any) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(0)
    x, v = (jnp.asarray(rng.normal(size=(model.mass.shape[0], INSTANTS)), dtype) for _ in range(2))
    return x, v, jnp.asarray(rng.uniform(0, 2 * np.pi, INSTANTS), dtype)


def _is_odd(model: OscillatorNetwork, dtype: Any) -> bool:
    if model.force is None:
        return True
    x, v, phase = _samples(model, dtype)
    with staying_known():
        there, opposite, stiffness = tried_forces(model, x, v, phase)
    if not is_concrete((there, opposite, stiffness)):
        raise ValueError("Argument odd must be given where a network is built inside a transformation, but was not.")
    require_finite("force", there)
    there, opposite = np.asarray(there), np.asarray(opposite)
    odd = np.all(np.abs(there + opposite) <= 1e-6 * np.max(np.abs(there)))
    return bool(odd) and rests_at_zero(model.mass, stiffness)
