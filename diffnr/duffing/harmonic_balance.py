"""Periodic orbits by harmonic balance, with forces evaluated in time (alternating frequency–time):

    (−h²ω² M + ihω C) X_h + [f(x, x', τ)]_h = A δ_h1 e_port,      x(t) = Re Σ_h X_h e^{ihωt},  τ = ωt

Unknowns are real: for each oscillator (c_h, s_h) of every harmonic, x = Σ c_h cos hτ + s_h sin hτ, X_h = c_h − i s_h,
and one mean. (An imaginary part of the mean would make the Jacobian singular.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.duffing.basis import Basis
from diffnr.elimination import BlockTridiagonal, solved
from diffnr.ports import Drive
from diffnr.root import follow, newton


@runtime_checkable
class Balanced(Protocol):
    """What the equations ask of oscillators: M and C, the forces and what they depend on, and the basis of orbits."""

    @property
    def num_ports(self) -> int: ...

    @property
    def inertia(self) -> Float[Array, "oscillator oscillator"]: ...

    @property
    def dissipation(self) -> Float[Array, "oscillator oscillator"]: ...

    @property
    def basis(self) -> Basis: ...

    @property
    def mass(self) -> Float[Array, "oscillator *by"]: ...

    @property
    def friction(self) -> Float[Array, "oscillator *by"]: ...

    @property
    def depends_on(self) -> tuple[str, ...]: ...

    def forces(self, x: Array, v: Array, phase: Array) -> Array: ...


class _Tables(NamedTuple):
    """The basis in the precision of the unknowns, and the phases of the drive at its instants."""

    synthesis: Array
    analysis: Array
    derivative: Array
    squares: Array
    phase: Array

    @classmethod
    def of(cls, basis: Basis, dtype: Any) -> _Tables:
        tables = basis.synthesis, basis.analysis, basis.derivative, basis.terms**2, basis.phase
        return cls(*(jnp.asarray(table, dtype) for table in tables))


def _motion(model: Balanced, y: Array, omega: Array) -> tuple[_Tables, Array, Array, Array, Array]:
    """The tables, coefficients and those of the derivative [oscillator, m], and x and v at the instants."""
    tables = _Tables.of(model.basis, y.dtype)
    c = y.reshape(model.num_ports, model.basis.size)
    slopes = c @ tables.derivative.T
    return tables, c, slopes, c @ tables.synthesis.T, omega * slopes @ tables.synthesis.T


def linearise(
    y: Float[Array, " n"], omega: Float[Array, ""], args: tuple[Balanced, Float[Array, " n"]]
) -> tuple[Float[Array, " n"], Float[Array, "n n"], Float[Array, " n"]]:
    """The residual F(y, ω) of the balance, ∂F/∂y and ∂F/∂ω, for coefficients y flattened as [oscillator, m].

    **Arguments:** `y`: [n·m]; `omega`: []; `args`: (model, the force's coefficients [n·m]).
    """
    model, drive = args
    basis, n, m = model.basis, model.num_ports, model.basis.size
    tables, c, slopes, x, v = _motion(model, y, omega)
    units = jnp.eye(n, dtype=y.dtype)
    product = jnp.asarray(basis.product, y.dtype)

    def along(which: Callable[[Array], Array], by: Array) -> tuple[Array, Array]:
        """The forces, and by the j-th displacement or velocity, [of, by, m, m]."""
        tangent = lambda unit: (jnp.broadcast_to(unit[:, None], by.shape),)  # noqa: E731
        g, found = jax.vmap(lambda unit: jax.jvp(which, (by,), tangent(unit)), out_axes=(None, 0))(units)
        return g, (found.swapaxes(0, 1) @ product).reshape(n, n, m, m)

    g, coupled = along(lambda x: model.forces(x, v, tables.phase), x)
    inertia = (model.inertia @ c) * tables.squares
    drag = model.dissipation @ slopes
    f = g @ tables.analysis.T - omega**2 * inertia + omega * drag - drive.reshape(n, m)
    slope = drag - 2 * omega * inertia
    own = -(omega**2) * model.inertia[:, :, None, None] * jnp.diag(tables.squares)
    coupled = coupled + own + omega * model.dissipation[:, :, None, None] * tables.derivative
    if "velocity" in model.depends_on:
        _, damping = along(lambda v: model.forces(x, v, tables.phase), v)
        coupled = coupled + omega * damping @ tables.derivative
        slope = slope + jnp.einsum("ijkl,jl->ik", damping, slopes)
    jacobian = coupled.swapaxes(1, 2).reshape(n * m, n * m)
    return f.ravel(), jacobian, slope.ravel()


def linearise_chain(
    y: Float[Array, " n"], omega: Float[Array, ""], args: tuple[Balanced, Float[Array, " n"]]
) -> tuple[Float[Array, " n"], BlockTridiagonal, Float[Array, " n"]]:
    """As `linearise`, of oscillators that are `chained`."""
    model, drive = args
    basis, n, m = model.basis, model.num_ports, model.basis.size
    tables, c, slopes, x, v = _motion(model, y, omega)
    stiffness = neighbours(lambda x: model.forces(x, v, tables.phase), x)
    blocks = (stiffness @ jnp.asarray(basis.product, y.dtype)).reshape(n, 3, m, m)
    mass, friction = model.mass[:, None], model.friction[:, None]
    own = omega * friction[:, None] * tables.derivative - omega**2 * mass[:, None] * jnp.diag(tables.squares)
    slope = friction * slopes - 2 * omega * mass * c * tables.squares
    return residual(y, (model, omega, drive)), BlockTridiagonal(blocks.at[:, 1].add(own)), slope.ravel()


def neighbours(
    forces: Callable[[Array], Array], x: Float[Array, "oscillator instant"]
) -> Float[Array, "oscillator 3 instant"]:
    """The slopes of a chain's forces by the displacements before, here and behind.

    Every third oscillator is displaced at once, which no oscillator feels more than one of.
    """
    third = np.arange(x.shape[0]) % 3
    moved = jnp.asarray(third == np.arange(3)[:, None], x.dtype)
    tangent = lambda which: jnp.broadcast_to(which[:, None], x.shape)  # noqa: E731
    slopes = jax.vmap(lambda which: jax.jvp(forces, (x,), (tangent(which),))[1])(moved)
    whose = (third[:, None] + np.array([-1, 0, 1])) % 3
    return slopes[whose, np.arange(x.shape[0])[:, None]]


def residual(y: Float[Array, " n"], args: tuple[Balanced, Array, Array]) -> Float[Array, " n"]:
    """F(y) at args = (model, ω, force's coefficients [n·m]), for `diffnr.root`."""
    model, omega, drive = args
    tables = _Tables.of(model.basis, y.dtype)
    c = y.reshape(model.num_ports, model.basis.size)
    slopes = c @ tables.derivative.T
    x, v = c @ tables.synthesis.T, omega * slopes @ tables.synthesis.T
    g = model.forces(x, v, tables.phase) @ tables.analysis.T
    inertia = (model.inertia @ c) * tables.squares
    return (g - omega**2 * inertia + omega * model.dissipation @ slopes).ravel() - drive


def balance(y: Float[Array, " n"], omega: Float[Array, ""], args: Any) -> Float[Array, " n"]:
    """F(y, ω) at args = (model, force's coefficients [n·m]), for `diffnr.continuation`."""
    model, drive = args
    return residual(y, (model, omega, drive))


def forcing(model: Balanced, port: Any, amplitude: Any, omega: Any = None) -> Float[Array, " n"]:
    """The coefficients [n·m] of Re(A e^{iτ}) at one oscillator, or as a `Forcing` shares it."""
    dtype = jnp.result_type(model.inertia, jnp.real(amplitude))
    if hasattr(port, "phasors"):
        F = port.phasors(model, omega, amplitude)
    else:
        F = jnp.where(jnp.arange(model.num_ports) == port, amplitude, 0.0)
    cosine = int(np.argmax(model.basis.terms == 1))
    return (
        jnp.zeros((model.num_ports, model.basis.size), dtype)
        .at[:, cosine : cosine + 2]
        .set(jnp.stack([jnp.real(F), -jnp.imag(F)], axis=1))
        .ravel()
    )


def continued_orbit(
    model: Balanced, drive: Drive, port: Any, straight_on: bool = False
) -> tuple[Complex[Array, "oscillator harmonic"], Any]:
    """The orbit continued from the linear response in drive amplitude at fixed frequency, and a `RESULTS`.

    `straight_on`: past points where other orbits branch off, at which it fails otherwise."""
    force = forcing(model, port, drive.amplitude, drive.omega)
    args = model, drive.omega, force
    rest = jnp.zeros_like(force)
    linear = jnp.linalg.norm(solved(jax.jacfwd(residual)(rest, args), force[:, None]))
    scale = jnp.where(jnp.isfinite(linear) & (linear > 0), linear, 1.0)
    solution = follow(_at_fraction, rest, args, scale=lax.stop_gradient(scale), straight_on=straight_on)
    return _phasors(model, solution.value), solution.result


def _at_fraction(y: Array, t: Array, args: Any) -> Array:
    """The balance at the fraction t of the amplitude."""
    model, omega, force = args
    return residual(y, (model, omega, t * force))


def orbit_from(
    model: Balanced, drive: Drive, port: Any, guess: Any
) -> tuple[Complex[Array, "oscillator harmonic"], Any]:
    """The orbit by Newton from `guess` [oscillator, harmonic], and a `RESULTS`."""
    args = model, drive.omega, forcing(model, port, drive.amplitude, drive.omega)
    solution = newton(residual, model.basis.coefficients(guess).ravel(), args)
    return _phasors(model, solution.value), solution.result


def _phasors(model: Balanced, y: Array) -> Complex[Array, "oscillator harmonic"]:
    return model.basis.phasors(y.reshape(model.num_ports, model.basis.size))
