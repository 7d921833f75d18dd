"""Periodic orbits by harmonic balance, with forces evaluated in time (alternating frequency–time):

    (−h²ω² M + ihω C) X_h + [g(Σ X_h e^{ihτ})]_h = A δ_h1 e_port,      x(t) = Re Σ_h X_h e^{ihωt},  τ = ωt

Unknowns are real: for each oscillator (c_h, s_h) of every harmonic, x = Σ c_h cos hτ + s_h sin hτ, X_h = c_h − i s_h,
and one mean. (An imaginary part of the mean would make the Jacobian singular.)
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.duffing.basis import Basis
from diffnr.ports import Drive
from diffnr.root import follow, newton


@runtime_checkable
class Balanced(Protocol):
    """What the equations ask of oscillators: M and C by their diagonals, the forces, and the basis of orbits."""

    @property
    def mass(self) -> Float[Array, " oscillator"]: ...

    @property
    def friction(self) -> Float[Array, " oscillator"]: ...

    @property
    def basis(self) -> Basis: ...

    def force(self, x: Array) -> Array: ...


def linearise(
    y: Float[Array, " n"], omega: Float[Array, ""], args: tuple[Balanced, Float[Array, " n"]]
) -> tuple[Float[Array, " n"], Float[Array, "n n"], Float[Array, " n"]]:
    """The residual F(y, ω) of the balance, ∂F/∂y and ∂F/∂ω, for coefficients y flattened as [oscillator, m].

    **Arguments:** `y`: [n·m]; `omega`: []; `args`: (model, the force's coefficients [n·m]).
    """
    model, drive = args
    basis, mass, friction = model.basis, model.mass, model.friction
    oscillators, m = mass.size, basis.size
    c = y.reshape(oscillators, m)
    synthesis, analysis, derivative = (
        jnp.asarray(x, y.dtype) for x in (basis.synthesis, basis.analysis, basis.derivative)
    )
    x = c @ synthesis.T
    units = jnp.eye(oscillators, dtype=y.dtype)
    g, stiffness = jax.vmap(
        lambda unit: jax.jvp(model.force, (x,), (jnp.broadcast_to(unit[:, None], x.shape),)), out_axes=(None, 0)
    )(units)  # stiffness [by, of, instant]
    squares = jnp.asarray(basis.terms**2, y.dtype)
    slopes = c @ derivative.T
    inertia = mass[:, None] * squares * c
    drag = friction[:, None] * slopes
    f = g @ analysis.T - omega**2 * inertia + omega * drag - drive.reshape(oscillators, m)

    product = jnp.asarray(basis.product, y.dtype)
    coupled = (stiffness.swapaxes(0, 1) @ product).reshape(*units.shape, m, m)  # [of, by, …]
    own = -(omega**2) * mass[:, None, None] * jnp.diag(squares) + omega * friction[:, None, None] * derivative
    coupled = coupled + units[:, :, None, None] * own[:, None]
    jacobian = coupled.swapaxes(1, 2).reshape(oscillators * m, oscillators * m)
    return f.ravel(), jacobian, (drag - 2 * omega * inertia).ravel()


def residual(y: Float[Array, " n"], args: tuple[Balanced, Array, Array]) -> Float[Array, " n"]:
    """F(y) at args = (model, ω, force's coefficients [n·m]), for `diffnr.root`."""
    model, omega, drive = args
    basis = model.basis
    c = y.reshape(model.mass.size, basis.size)
    synthesis, analysis, derivative = (
        jnp.asarray(x, y.dtype) for x in (basis.synthesis, basis.analysis, basis.derivative)
    )
    inertia = model.mass[:, None] * jnp.asarray(basis.terms**2, y.dtype) * c
    drag = model.friction[:, None] * (c @ derivative.T)
    g = model.force(c @ synthesis.T) @ analysis.T
    return (g - omega**2 * inertia + omega * drag).ravel() - drive


def balance(y: Float[Array, " n"], omega: Float[Array, ""], args: Any) -> Float[Array, " n"]:
    """F(y, ω) at args = (model, force's coefficients [n·m]), for `diffnr.continuation`."""
    model, drive = args
    return residual(y, (model, omega, drive))


def forcing(model: Balanced, port: Any, amplitude: Any) -> Float[Array, " n"]:
    """The coefficients [n·m] of Re(A e^{iτ}) at one oscillator."""
    basis = model.basis
    dtype = jnp.result_type(model.mass, jnp.real(amplitude))
    X = jnp.zeros((model.mass.size, len(basis.orders)), jnp.result_type(dtype, jnp.complex64))
    return basis.coefficients(X.at[port, basis.orders.index(1)].set(amplitude)).ravel()


def continued_orbit(model: Balanced, drive: Drive, port: Any) -> tuple[Complex[Array, "oscillator harmonic"], Any]:
    """The orbit continued from the linear response in drive amplitude at fixed frequency, and a `RESULTS`."""
    force = forcing(model, port, drive.amplitude)
    size = jnp.linalg.norm(lax.stop_gradient(force))
    unit = jnp.where(size > 0, size, 1.0)
    args = model, drive.omega, force / unit, unit
    rest = jnp.zeros_like(force)
    weak = jnp.full((), 1e-12, force.dtype)
    linear = -jnp.linalg.solve(jax.jacfwd(_scaled)(rest, weak, args), _scaled(rest, weak, args))
    solution = follow(_scaled, linear, args)
    return _phasors(model, unit * solution.value), solution.result


def _scaled(y: Array, t: Array, args: Any) -> Array:
    """The balance at the fraction t of the amplitude, for coefficients in units of it."""
    model, omega, force, unit = args
    return residual(t * unit * y, (model, omega, t * unit * force)) / (t * unit)


def orbit_from(
    model: Balanced, drive: Drive, port: Any, guess: Any
) -> tuple[Complex[Array, "oscillator harmonic"], Any]:
    """The orbit by Newton from `guess` [oscillator, harmonic], and a `RESULTS`."""
    args = model, drive.omega, forcing(model, port, drive.amplitude)
    solution = newton(residual, model.basis.coefficients(guess).ravel(), args)
    return _phasors(model, solution.value), solution.result


def _phasors(model: Balanced, y: Array) -> Complex[Array, "oscillator harmonic"]:
    return model.basis.phasors(y.reshape(model.mass.size, model.basis.size))
