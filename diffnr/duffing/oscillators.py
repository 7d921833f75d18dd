"""Coupled nonlinear oscillators under harmonic forces, as an `AbstractPortModel`: port j is oscillator j.

    M x'' + C x' + f(x, x', ωt) = A cos ωt at the driven oscillator

A response is the displacement of every oscillator per harmonic, x_j(t) = Re Σ_h b_jh e^{ihωt}; |b|² is no power.
"""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float, Int

from diffnr.checks import (
    Count,
    Numbers,
    as_complex,
    as_count,
    as_real,
    check_fields,
    is_concrete,
    rate_field,
    real_field,
    require,
    require_finite,
    require_instance,
)
from diffnr.compilation import compiled
from diffnr.duffing.basis import Basis
from diffnr.duffing.harmonic_balance import continued_orbit, orbit_from
from diffnr.host import AnyArray, by_numpy, namespace
from diffnr.ports import AbstractPortModel, Drive


class AbstractOscillators(AbstractPortModel):
    """What every set of oscillators shares. Subclasses give, as fields or properties: `mass`, M by its diagonal [n] or
    whole [n, n]; `friction`, C likewise; `odd`, whether f(−x, −v, τ + π) = −f(x, v, τ), so that orbits of odd harmonics
    alone exist; `num_harmonics`, H; the method `forces`; and where they differ `depends_on` and `symmetric`.
    """

    mass: eqx.AbstractVar[Float[Array, "oscillator *by"]]
    friction: eqx.AbstractVar[Float[Array, "oscillator *by"]]
    odd: eqx.AbstractVar[bool]
    num_harmonics: eqx.AbstractVar[int]

    @abc.abstractmethod
    def forces(
        self,
        x: Float[Array, "oscillator *rest"],
        v: Float[Array, "oscillator *rest"],
        phase: Float[Array, "*rest"],
    ) -> Float[Array, "oscillator *rest"]:
        """The forces f(x, v, τ), [n, …], at displacements x and velocities v [n, …], and phases τ = ωt of the drive
        […]; other axes (instants) stay apart."""

    @property
    def depends_on(self) -> tuple[str, ...]:
        """What forces depend on beside displacements: "velocity", "phase"."""
        return ()

    @property
    def symmetric(self) -> bool:
        """Whether M and ∂f/∂x are symmetric, as forces of a potential are."""
        return True

    @property
    def chained(self) -> bool:
        """Whether M and C are diagonal, and the force on oscillator j depends on displacements of j − 1, j and j + 1
        alone, and on no velocity: work then grows with the number of oscillators, and not with its cube."""
        return False

    @property
    def inertia(self) -> Float[Array, "oscillator oscillator"]:
        """M whole."""
        return _whole(self.mass)

    @property
    def dissipation(self) -> Float[Array, "oscillator oscillator"]:
        """C whole."""
        return _whole(self.friction)

    @property
    def mobility(self) -> Float[Array, "oscillator oscillator"]:
        """M⁻¹."""
        return jnp.diag(1 / self.mass) if self.mass.ndim == 1 else jnp.linalg.inv(self.mass)

    @property
    def basis(self) -> Basis:
        """The harmonics of an orbit and the instants at which forces are evaluated."""
        return Basis.of(self.num_harmonics, odd=self.odd, instants=self.num_instants)

    @property
    def num_instants(self) -> int | None:
        """At how many instants a period forces are evaluated, where that is more than cubic forces need (4H + 2)."""
        return None

    @property
    def num_ports(self) -> int:
        return self.mass.shape[0]

    @property
    def harmonics(self) -> tuple[Any, ...]:
        return self.basis.harmonics

    @property
    def power_normalised(self) -> bool:
        return False

    @property
    def linear(self) -> bool:
        return False

    def respond(
        self, drive: Drive, port: Int[Array, ""], guess: Complex[Array, "oscillator harmonic"] | None = None
    ) -> tuple[Complex[Array, "out harmonic"], Complex[Array, "oscillator harmonic"], Any]:
        """The periodic orbit by harmonic balance: from `guess`, or continued from the linear response in amplitude."""
        if guess is None:
            b, result = continued_orbit(self, drive, port)
        else:
            b, result = orbit_from(self, drive, port, as_orbit(guess, "guess", self))
        return b, b, result


class DuffingPair(AbstractOscillators):
    """Two coupled Duffing oscillators, dimensionless:

        x1'' + 2ζ x1' + x1 + k_c (x1 − x2) + k_N x1³ = F1 cos ωt
        μ x2'' + 2ζ x2' + r x2 + k_c (x2 − x1) + α k_N x2³ = F2 cos ωt

    **Arguments**, all [] and dimensionless:

    - `mass_ratio`: μ > 0; `stiffness_ratio`: r; `cubic_ratio`: α. All 1: mirror symmetry, so reciprocity.
    - `coupling`: k_c; `cubic`: k_N, hardening if positive; `damping`: ζ ≥ 0.
    - `num_harmonics`: H, the highest harmonic of orbits (default 9); odd ones alone are used, as the forces are odd.

    **Raises:** `ValueError` for a mass that is not positive, negative damping, values that are not finite scalars.

    Good values: the paper's figures have ζ = .05, k_c = 5, k_N = 1. H = 9 is precise to 1e-8 at P = .15.

    Source: paper 2 (restoring reciprocity in coupled oscillators), equation 1.
    """

    mass_ratio: Float[Array, ""] = real_field(lower=0.0)
    stiffness_ratio: Float[Array, ""] = real_field()
    cubic_ratio: Float[Array, ""] = real_field()
    coupling: Float[Array, ""] = real_field()
    cubic: Float[Array, ""] = real_field()
    damping: Float[Array, ""] = rate_field()
    num_harmonics: int = eqx.field(static=True)

    def __init__(
        self,
        mass_ratio: Numbers,
        stiffness_ratio: Numbers,
        cubic_ratio: Numbers,
        coupling: Numbers,
        cubic: Numbers,
        damping: Numbers,
        num_harmonics: Count = 9,
    ):
        self.mass_ratio = as_real(mass_ratio, "mass_ratio")
        self.stiffness_ratio = as_real(stiffness_ratio, "stiffness_ratio")
        self.cubic_ratio = as_real(cubic_ratio, "cubic_ratio")
        self.coupling = as_real(coupling, "coupling")
        self.cubic = as_real(cubic, "cubic")
        self.damping = as_real(damping, "damping")
        self.num_harmonics = as_count(num_harmonics, "num_harmonics")

    def __check_init__(self) -> None:
        check_fields(self)
        for name in ("mass_ratio", "stiffness_ratio", "cubic_ratio", "coupling", "cubic", "damping"):
            was = getattr(self, name).shape
            require(was == (), name, "be a scalar (use jax.vmap for many)", f"of shape {was}")
        if is_concrete(self.mass_ratio):
            require(np.asarray(self.mass_ratio) > 0, "mass_ratio", "be positive", self.mass_ratio)

    @property
    def mass(self) -> Float[Array, " oscillator"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return by_numpy(lambda ratio: _paired(namespace(ratio).ones_like(ratio), ratio), self.mass_ratio)

    @property
    def num_ports(self) -> int:
        return 2

    @property
    def friction(self) -> Float[Array, " oscillator"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return by_numpy(lambda damping: _paired(2 * damping, 2 * damping), self.damping)

    @property
    def odd(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return True

    def forces(self, x: Array, v: Array, phase: Array) -> Array:
        return self.force(x)

    def force(self, x: Float[Array, "oscillator *rest"]) -> Float[Array, "oscillator *rest"]:
        """The restoring forces g(x) [n, …] at displacements x [n, …]."""
        spring = self.coupling * (x[0] - x[1])
        first = x[0] + spring + self.cubic * x[0] ** 3
        second = self.stiffness_ratio * x[1] - spring + self.cubic_ratio * self.cubic * x[1] ** 3
        return jnp.stack([first, second])


class AllHarmonics(AbstractOscillators):
    """The same oscillators with orbits of all harmonics and a mean, where the model's own are of odd ones alone; or
    with orbits that close after several periods of the drive (subharmonic ones), x(t) = Re Σ_h b_h e^{ihωt}, h = 0,
    1/periods, 2/periods, ….

    Odd forces have orbits that break their symmetry, x(t + T/2) ≠ −x(t), in pairs; they begin where a multiplier of the
    symmetric orbit passes +1 without a fold. Four times as dear as odd harmonics alone. Orbits of twice the period
    begin where a multiplier passes −1; `duffing.branch_off` leads to either. `harmonics` are those of the drive, 1/2
    and 3/2 among them where `periods` is 2.

    **Arguments:** `oscillators`: any model; its leaves keep their paths below "oscillators". `periods`: of the drive,
    after which orbits close.

    **Raises:** `ValueError` for what is no model of oscillators, or no positive whole number.

        duffing.find_orbits(duffing.AllHarmonics(model, periods=3), nr.Drive(2.9, 1.0))
    """

    oscillators: AbstractOscillators
    periods: int = eqx.field(static=True)

    def __init__(self, oscillators: Any, periods: Count = 1):
        require_oscillators(oscillators, "oscillators")
        self.oscillators = oscillators
        self.periods = as_count(periods, "periods")

    @property
    def basis(self) -> Basis:
        return Basis.of(
            self.num_harmonics, odd=False, periods=float(self.periods), instants=self.oscillators.num_instants
        )

    @property
    def mass(self) -> Float[Array, "oscillator *by"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.oscillators.mass

    @property
    def friction(self) -> Float[Array, "oscillator *by"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.oscillators.friction

    @property
    def depends_on(self) -> tuple[str, ...]:
        return self.oscillators.depends_on

    @property
    def symmetric(self) -> bool:
        return self.oscillators.symmetric

    @property
    def chained(self) -> bool:
        return self.oscillators.chained

    @property
    def odd(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return False

    @property
    def num_harmonics(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.oscillators.num_harmonics

    def forces(self, x: Array, v: Array, phase: Array) -> Array:
        return self.oscillators.forces(x, v, phase)


def _paired(first: AnyArray, second: AnyArray) -> AnyArray:
    return namespace(first, second).stack([first, second])


def _whole(matrix: Float[Array, "oscillator *by"]) -> Float[Array, "oscillator oscillator"]:
    return matrix if matrix.ndim == 2 else jnp.diag(matrix)


def as_orbit(value: Any, name: str, model: AbstractOscillators) -> Complex[Array, "oscillator harmonic"]:
    """`value` as the harmonics of an orbit of a model, [oscillator, harmonic]."""
    orbit = as_complex(value, name)
    shape = model.num_ports, len(model.harmonics)
    require(orbit.shape == shape, name, f"have shape {shape}", f"of shape {orbit.shape}")
    require_finite(name, orbit)
    return orbit


def require_oscillators(model: Any, name: str = "model") -> None:
    """Raise unless `model` is one of oscillators."""
    must = "be a model of oscillators, such as duffing.DuffingPair"
    require_instance(model, name, AbstractOscillators, must)


def stiffness_of(model: AbstractOscillators, x: Float[Array, " oscillator"]) -> Float[Array, "oscillator oscillator"]:
    """∂f/∂x at rest at x, at phase 0."""
    return jax.jacfwd(lambda x: model.forces(x, jnp.zeros_like(x), jnp.zeros((), x.dtype)))(x)


def stiffness_at_zero(model: AbstractOscillators) -> Float[Array, "oscillator oscillator"]:
    """∂f/∂x at rest at x = 0, at phase 0."""
    return stiffness_of(model, jnp.zeros(model.num_ports, model.mass.dtype))


@compiled
def tried_forces(
    model: AbstractOscillators, x: Array, v: Array, phase: Array
) -> tuple[Float[Array, "oscillator *rest"], Float[Array, "oscillator *rest"], Float[Array, "oscillator oscillator"]]:
    """f(x, v, τ), f(−x, −v, τ + π) and ∂f/∂x at x = 0, in one program: operations one by one are compiled each."""
    opposite = model.forces(-x, -v, phase + np.pi)
    return model.forces(x, v, phase), opposite, stiffness_at_zero(model)


def rests_at_zero(mass: ArrayLike, stiffness: ArrayLike) -> bool:
    """Whether springs alone let no mode grow from x = 0, as they do between a bistable oscillator's wells.

    `mass`: M by its diagonal [n] or whole [n, n]; `stiffness`: ∂f/∂x there [n, n]; known numbers."""
    M = np.asarray(mass)
    squares = np.linalg.eigvals(np.linalg.solve(np.diag(M) if M.ndim == 1 else M, np.asarray(stiffness)))
    return bool(np.all(squares.real >= -1e-9 * np.max(np.abs(squares))))


def linear_frequencies(model: AbstractOscillators) -> Float[Array, " oscillator"]:
    """The undamped natural frequencies of small oscillations about x = 0, [n], rising.

        (∂f/∂x − ω² M) u = 0

    A mode that grows there without oscillating (ω² < 0, as between the wells of a bistable oscillator) has frequency 0;
    of one that flutters (ω² complex, of springs that are not symmetric) it is Re ω. Forces that depend on the phase are
    those at phase 0.
    """
    require_oscillators(model)
    stiffness = stiffness_at_zero(model)
    if model.symmetric and model.mass.ndim == 1:
        root = jnp.sqrt(model.mass)
        symmetric = stiffness / (root[:, None] * root)
        squares = jnp.linalg.eigvalsh((symmetric + symmetric.T) / 2)
        return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    squares = jnp.linalg.eigvals(jnp.linalg.solve(model.inertia, stiffness))
    return jnp.sort(jnp.sqrt(squares).real)


def with_harmonics(model: AbstractOscillators, num_harmonics: Count) -> AbstractOscillators:
    """The model with another highest harmonic."""
    num_harmonics = as_count(num_harmonics, "num_harmonics")
    if isinstance(model, AllHarmonics):
        return AllHarmonics(with_harmonics(model.oscillators, num_harmonics), model.periods)  # pyright: ignore[reportCallIssue]
    # As JAX itself does it when it puts a module together: `__init__` need not take what the fields hold.
    new = object.__new__(type(model))
    for field in dataclasses.fields(model):
        value = num_harmonics if field.name == "num_harmonics" else getattr(model, field.name)
        object.__setattr__(new, field.name, value)
    return new
