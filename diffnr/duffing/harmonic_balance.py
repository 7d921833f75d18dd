"""Periodic orbits by harmonic balance, with forces evaluated in time (alternating frequency–time):

    (−h²ω² M + ihω C) X_h + [g(Σ X_h e^{ihτ})]_h = A δ_h1 e_port,      x(t) = Re Σ_h X_h e^{ihωt},  τ = ωt

Unknowns are real: for each oscillator (c_h, s_h) of every harmonic, x = Σ c_h cos hτ + s_h sin hτ, X_h = c_h − i s_h,
and one mean. (An imaginary part of the mean would make the Jacobian singular.)
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.root import follow, newton

if TYPE_CHECKING:
    from diffnr.duffing.oscillators import AbstractOscillators
    from diffnr.ports import Drive


class Basis(eqx.Module):
    """The real Fourier basis of an orbit: its harmonics, and the transforms to and from instants.

    **Fields:** `orders`, the harmonics; `terms` [m], the harmonic of each coefficient; `synthesis` [s, m], coefficients
    to values at instants; `analysis` [m, s], back; `turn` [m, m], the derivative by τ; `product` [s, m·m], values k of
    a stiffness at instants to the matrix of y -> analysis (k · synthesis y). All are constants of the code.

    Odd orbits obey x(τ + π) = −x(τ): half of a period tells all. The product of three harmonics up to H reaches 3H, and
    4H + 2 instants a period keep that off the harmonics kept, so that cubic forces are exact.
    """

    orders: tuple[int, ...] = eqx.field(static=True)
    instants: int = eqx.field(static=True)
    odd: bool = eqx.field(static=True)

    @classmethod
    def of(cls, highest: int, *, odd: bool) -> Basis:
        """The basis of harmonics up to `highest`."""
        orders = tuple(range(1, highest + 1, 2)) if odd else tuple(range(highest + 1))
        return cls(orders, 2 * highest + 1 if odd else 4 * highest + 2, odd)

    @property
    def size(self) -> int:
        """The number m of coefficients of an oscillator."""
        return self.terms.size

    @property
    def terms(self) -> np.ndarray:
        return _tables(self)[0]

    @property
    def weights(self) -> np.ndarray:
        """Of squared coefficients in the mean square over a period, [m]."""
        return np.where(self.terms == 0, 1.0, 0.5)

    @property
    def synthesis(self) -> np.ndarray:
        return _tables(self)[1]

    @property
    def analysis(self) -> np.ndarray:
        return _tables(self)[2]

    @property
    def turn(self) -> np.ndarray:
        return _tables(self)[3]

    @property
    def product(self) -> np.ndarray:
        return _tables(self)[4]

    def at(self, tau: Float[ArrayLike, " instant"]) -> Float[Array, "instant m"]:
        """The synthesis matrix of other phases τ, [instant, m]."""
        phase = jnp.asarray(tau)[:, None] * np.asarray([h for h in self.orders if h > 0])
        waves = jnp.stack([jnp.cos(phase), jnp.sin(phase)], axis=-1).reshape(phase.shape[0], -1)
        return waves if self.odd else jnp.concatenate([jnp.ones_like(waves[:, :1]), waves], axis=1)

    def phasors(self, y: Float[Array, "oscillator m"]) -> Complex[Array, "oscillator harmonic"]:
        """X_h of real coefficients."""
        mean, waves = (y[:, :0], y) if self.odd else (y[:, :1], y[:, 1:])
        return jnp.concatenate([mean + 0j, waves[:, ::2] - 1j * waves[:, 1::2]], axis=1)

    def coefficients(self, X: Complex[Array, "oscillator harmonic"]) -> Float[Array, "oscillator m"]:
        """Real coefficients of X_h."""
        mean, waves = (X[:, :0], X) if self.odd else (X[:, :1], X[:, 1:])
        pairs = jnp.stack([waves.real, -waves.imag], axis=-1).reshape(X.shape[0], -1)
        return jnp.concatenate([mean.real, pairs], axis=1)


@functools.cache
def _tables(basis: Basis) -> tuple[np.ndarray, ...]:
    orders = [h for h in basis.orders if h > 0]
    period = np.pi if basis.odd else 2 * np.pi
    phase = np.arange(basis.instants)[:, None] * period / basis.instants * np.asarray(orders)
    waves = np.stack([np.cos(phase), np.sin(phase)], axis=-1).reshape(basis.instants, -1)
    terms = np.repeat(orders, 2)
    turn = np.kron(np.diag(orders), np.array([[0.0, 1.0], [-1.0, 0.0]]))
    norm = np.full(terms.size, 2.0)
    if not basis.odd:
        waves, terms = np.hstack([np.ones((basis.instants, 1)), waves]), np.append(0, terms)
        turn, norm = np.pad(turn, ((1, 0), (1, 0))), np.append(1.0, norm)
    analysis = norm[:, None] * waves.T / basis.instants
    product = (waves[:, None] * analysis.T[:, :, None]).reshape(basis.instants, -1)
    return terms, waves, analysis, turn, product


def linearise(
    y: Float[Array, " n"], omega: Float[Array, ""], args: tuple[AbstractOscillators, Float[Array, " n"]]
) -> tuple[Float[Array, " n"], Float[Array, "n n"], Float[Array, " n"]]:
    """The residual F(y, ω) of the balance, ∂F/∂y and ∂F/∂ω, for coefficients y flattened as [oscillator, m].

    **Arguments:** `y`: [n·m]; `omega`: []; `args`: (model, the force's coefficients [n·m]).
    """
    model, drive = args
    basis, mass, friction = model.basis, model.mass, model.friction
    oscillators, m = mass.size, basis.size
    c = y.reshape(oscillators, m)
    synthesis, analysis, turn = (jnp.asarray(x, y.dtype) for x in (basis.synthesis, basis.analysis, basis.turn))
    x = c @ synthesis.T
    units = jnp.eye(oscillators, dtype=y.dtype)
    g, stiffness = jax.vmap(
        lambda unit: jax.jvp(model.force, (x,), (jnp.broadcast_to(unit[:, None], x.shape),)), out_axes=(None, 0)
    )(units)  # stiffness [by, of, instant]
    squares = jnp.asarray(basis.terms**2, y.dtype)
    turned = c @ turn.T
    inertia = mass[:, None] * squares * c
    drag = friction[:, None] * turned
    f = g @ analysis.T - omega**2 * inertia + omega * drag - drive.reshape(oscillators, m)

    product = jnp.asarray(basis.product, y.dtype)
    coupled = (stiffness.swapaxes(0, 1) @ product).reshape(*units.shape, m, m)  # [of, by, …]
    own = -(omega**2) * mass[:, None, None] * jnp.diag(squares) + omega * friction[:, None, None] * turn
    coupled = coupled + units[:, :, None, None] * own[:, None]
    jacobian = coupled.swapaxes(1, 2).reshape(oscillators * m, oscillators * m)
    return f.ravel(), jacobian, (drag - 2 * omega * inertia).ravel()


def residual(y: Float[Array, " n"], args: tuple[AbstractOscillators, Array, Array]) -> Float[Array, " n"]:
    """F(y) at args = (model, ω, force's coefficients [n·m]), for `diffnr.root`."""
    model, omega, drive = args
    basis = model.basis
    c = y.reshape(model.mass.size, basis.size)
    synthesis, analysis, turn = (jnp.asarray(x, y.dtype) for x in (basis.synthesis, basis.analysis, basis.turn))
    inertia = model.mass[:, None] * jnp.asarray(basis.terms**2, y.dtype) * c
    drag = model.friction[:, None] * (c @ turn.T)
    g = model.force(c @ synthesis.T) @ analysis.T
    return (g - omega**2 * inertia + omega * drag).ravel() - drive


def balance(y: Float[Array, " n"], omega: Float[Array, ""], args: Any) -> Float[Array, " n"]:
    """F(y, ω) at args = (model, force's coefficients [n·m]), for `diffnr.continuation`."""
    model, drive = args
    return residual(y, (model, omega, drive))


def forcing(model: AbstractOscillators, port: Any, amplitude: Any) -> Float[Array, " n"]:
    """The coefficients [n·m] of Re(A e^{iτ}) at one oscillator."""
    basis = model.basis
    dtype = jnp.result_type(model.mass, jnp.real(amplitude))
    X = jnp.zeros((model.mass.size, len(basis.orders)), jnp.result_type(dtype, jnp.complex64))
    return basis.coefficients(X.at[port, basis.orders.index(1)].set(amplitude)).ravel()


def continued_orbit(
    model: AbstractOscillators, drive: Drive, port: Any
) -> tuple[Complex[Array, "oscillator harmonic"], Any]:
    """The orbit continued from the linear response in drive amplitude at fixed frequency, and a `RESULTS`."""
    force = forcing(model, port, drive.amplitude)
    size = jnp.linalg.norm(lax.stop_gradient(force))
    unit = jnp.where(size > 0, size, 1.0)
    args = model, drive.omega, force / unit, unit
    still = jnp.zeros_like(force)
    weak = jnp.full((), 1e-12, force.dtype)
    linear = -jnp.linalg.solve(jax.jacfwd(_scaled)(still, weak, args), _scaled(still, weak, args))
    solution = follow(_scaled, linear, args)
    return _phasors(model, unit * solution.value), solution.result


def _scaled(y: Array, t: Array, args: Any) -> Array:
    """The balance at the fraction t of the amplitude, for coefficients in units of it."""
    model, omega, force, unit = args
    return residual(t * unit * y, (model, omega, t * unit * force)) / (t * unit)


def orbit_from(
    model: AbstractOscillators, drive: Drive, port: Any, guess: Any
) -> tuple[Complex[Array, "oscillator harmonic"], Any]:
    """The orbit by Newton from `guess` [oscillator, harmonic], and a `RESULTS`."""
    args = model, drive.omega, forcing(model, port, drive.amplitude)
    solution = newton(residual, model.basis.coefficients(guess).ravel(), args)
    return _phasors(model, solution.value), solution.result


def _phasors(model: AbstractOscillators, y: Array) -> Complex[Array, "oscillator harmonic"]:
    return model.basis.phasors(y.reshape(model.mass.size, model.basis.size))
