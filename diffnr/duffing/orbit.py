"""Periodic orbits by shooting: Newton's method on a whole period of time integration, by diffrax.

    z(T; z₀) − z₀ = 0,   z = (x, v),   T = 2π/ω;      monodromy ∂z(T)/∂z₀, whose eigenvalues are Floquet's multipliers

It shares nothing with harmonic balance but the equations of motion, so that each checks the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import (
    Count,
    Numbers,
    as_complex,
    as_count,
    as_flag,
    as_order,
    as_real,
    as_tolerance,
    as_vector,
    require,
    require_double,
    require_finite,
)
from diffnr.compilation import compiled
from diffnr.duffing.forcing import Forcing, as_forcing
from diffnr.duffing.harmonic_balance import continued_orbit
from diffnr.duffing.oscillators import AbstractOscillators, as_orbit, require_oscillators
from diffnr.duffing.settle import fourier
from diffnr.duffing.transient import require_tone
from diffnr.ports import Drive
from diffnr.results import RESULTS, AbstractAnswer, raise_failures

MAX_STEPS = 4096  # of the integration over a period
MAX_ITERATIONS = 30  # of Newton's iteration


class Orbit(AbstractAnswer):
    """A periodic orbit found by `shoot`; NaN where `result` is not successful.

    **Fields:**

    - `omega` []; `x`, `v` [instant, oscillator], at equal intervals from phase 0 on, over the drive's period, or as
      many of them as the model's orbits take.
    - `b` [oscillator, harmonic] complex, x_j(t) = Re Σ b_jh e^{ihωt}; `harmonics`, its last axis; `periods` of
      the drive, that it takes.
    - `monodromy` [2n, 2n], ∂(x, v)(T)/∂(x, v)(0); `multipliers` [2n] complex, its eigenvalues, largest modulus first.
    - `gap` []: ‖z(T) − z(0)‖, relative to the orbit's size; `result`, of `RESULTS`.
    """

    omega: Float[Array, ""]
    x: Float[Array, "instant oscillator"]
    v: Float[Array, "instant oscillator"]
    b: Complex[Array, "oscillator harmonic"]
    monodromy: Float[Array, "state state"]
    multipliers: Complex[Array, " state"]
    gap: Float[Array, ""]
    result: Any
    harmonics: tuple[Any, ...] = eqx.field(static=True)
    periods: int = eqx.field(static=True, default=1)

    @property
    def ts(self) -> Float[Array, "*batch instant"]:
        """The times of the instants since phase 0."""
        instants = self.x.shape[-2]
        return jnp.arange(instants) / instants * (2 * jnp.pi * self.periods / self.omega)[..., None]

    @property
    def norm(self) -> Float[Array, "*batch oscillator"]:
        """N = √(1/T ∫x² dt) of every oscillator."""
        return jnp.sqrt(jnp.mean(self.x**2, axis=-2))

    @property
    def stable(self) -> Bool[Array, "*batch"]:
        """Whether all multipliers lie inside of the unit circle."""
        return jnp.abs(self.multipliers[..., 0]) < 1


def shoot(
    model: AbstractOscillators,
    drive: Drive,
    port: Any = 0,
    guess: Numbers | None = None,
    *,
    rtol: Numbers = 1e-11,
    throw: bool = True,
) -> Orbit:
    """A periodic orbit under a tone at one oscillator, stable or not, by shooting:

        (x, v)(2π/ω) = (x, v)(0)      of      M x'' + C x' + f(x, x', ωt) = Re(A e^{iωt}) at `port`

    **Arguments:**

    - `model`: n oscillators, in float64; `drive`: the tone, with scalar frequency and amplitude; `port`: the driven
      oscillator, complex shares [n] of the force, or a `BaseMotion`.
    - `guess`: [n, harmonic] complex, an orbit near the one wanted, as `b` of `Points` and of a response's `state`; by
      default the orbit that harmonic balance continues from the linear response.
    - `rtol`: accuracy asked of each step of the integration (default 1e-11).
    - `throw`: raise where Newton's iteration fails; otherwise `result` says it.

    **Returns:** an `Orbit`. `x`, `v` and `b` have the first derivative of the implicit function theorem, in forward and
    reverse mode; `monodromy` and `multipliers` carry none.

    **Raises:** `ValueError` for float32, a port that does not exist, shapes; `RuntimeError` if `throw` and it fails.

    **Notes:** Newton's steps are whole ones, so that the guess must be near. The harmonics are the model's: orbits that
    break the symmetry of odd forces have even ones too, which `x` has and `b` has not.
    """
    require_oscillators(model)
    require_tone(drive, port, model)
    require_double("model", model.mass)
    rtol, throw = as_tolerance(rtol, "rtol"), as_flag(throw, "throw")
    guess = None if guess is None else as_orbit(guess, "guess", model)
    orbit = _shoot(model, drive, as_forcing(port, model), guess, rtol)
    return raise_failures(orbit, orbit.result) if throw else orbit


def time_series(
    orbits: Any,
    ts: Numbers,
    *,
    omega: Numbers | None = None,
    harmonics: Any = None,
    derivative: Count = 0,
) -> Float[Array, "... time"]:
    """Displacements over time of orbits given by harmonics:

        x(t) = Re Σ_h b_h e^{ihωt}

    **Arguments:**

    - `orbits`: what has `b` [..., harmonic]: `Points`, a `PortResponse`, an `Orbit`, a `SettledOrbit`; or `b` itself.
    - `ts`: [time].
    - `omega`: [] or one for each of the orbits, and `harmonics`: of the last axis; where `orbits` is `b` itself.
    - `derivative`: 1 for velocities, 2 for accelerations.

    **Returns:** [..., time]: [point, oscillator, time] of points, [out, in, time] of a port response.

    **Raises:** `ValueError` where omega and harmonics are missing, for times that are no vector.
    """
    ts, derivative = as_vector(ts, "ts"), as_count(derivative, "derivative", least=0, most=9)
    whole = not isinstance(orbits, type) and hasattr(orbits, "harmonics") and hasattr(orbits, "b")
    b = as_complex(orbits.b if whole else orbits, "orbits")
    require(b.ndim >= 1 and b.size > 0, "orbits", "have harmonics along their last axis", f"of shape {b.shape}")
    for name, value in (("omega", omega), ("harmonics", harmonics)):
        must = "be left out where orbits know it" if whole else "be given along with b"
        require((value is None) == whole, name, must, value)
    known: Any = getattr(orbits, "drive", orbits).omega if whole else omega
    omega = as_real(known, "omega")
    if not whole:
        require_finite("orbits", b)
        require_finite("omega", omega)
        listed = isinstance(harmonics, Sequence) and not isinstance(harmonics, str)
        require(listed or np.ndim(harmonics) == 1, "harmonics", "be a list of numbers", harmonics)
        harmonics = tuple(as_order(h, "harmonics") for h in harmonics)
    fits = omega.ndim < b.ndim and omega.shape in ((), b.shape[: omega.ndim])
    require(fits, "omega", f"be a number, or have the first axes of orbits, {b.shape[:-1]}", f"of shape {omega.shape}")
    orders = np.asarray(orbits.harmonics if whole else harmonics)
    require(b.shape[-1:] == orders.shape, "harmonics", f"be as many as b has, {b.shape[-1:]}", f"{orders.shape}")
    rate = omega.reshape(omega.shape + (1,) * (b.ndim - omega.ndim)) * orders
    phase = rate[..., None] * ts
    b = b * (1j * rate) ** derivative
    return jnp.sum(b.real[..., None] * jnp.cos(phase) - b.imag[..., None] * jnp.sin(phase), axis=-2)


class _Iteration(NamedTuple):
    """Newton's iteration: a start, the states [instant, 2n] after it, their derivatives, and the step to the next."""

    z: Array
    zs: Array
    by_start: Array
    by_leaf: Array
    step: Array


def _integrate(
    z: Array, model: AbstractOscillators, drive: Drive, unit: Array, port: Forcing, ts: np.ndarray, rtol: float
) -> Float[Array, "instant state"]:
    """z = (x, dx/dτ) / unit at phases τ = ωt = ts > 0 up to 2π, where steps end, so that nothing is interpolated."""
    omega, force = drive.omega, port.phasors(model, drive.omega, drive.amplitude)
    real, imag = jnp.real(force), jnp.imag(force)
    mobility = model.mobility

    def velocity(tau: Array, z: Array, _: Any) -> Array:
        x, w = jnp.split(z, 2)
        tone = real * jnp.cos(tau) - imag * jnp.sin(tau)
        g = model.forces(unit * x, unit * omega * w, tau)
        push = -omega * model.dissipation @ w - (g - tone) / unit
        return jnp.concatenate([w, mobility @ push / omega**2])

    vector_field: Any = velocity
    controller = diffrax.PIDController(rtol=rtol, atol=rtol)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        diffrax.Dopri8(),
        t0=0.0,
        t1=ts[-1],
        dt0=None,
        y0=z,
        saveat=diffrax.SaveAt(ts=jnp.asarray(ts)),
        stepsize_controller=diffrax.ClipStepSizeController(controller, step_ts=jnp.asarray(ts)),
        adjoint=diffrax.ForwardMode(),
        max_steps=MAX_STEPS,
        throw=False,
    )
    states: Any = solution.ys
    return states


def _numbers(tree: Any) -> tuple[Float[Array, " number"], Callable[[Array], tuple[Any, ...]]]:
    """All real numbers of a tree as one vector, complex ones as pairs, and the way back."""
    numbers, rest = eqx.partition(tree, eqx.is_inexact_array)
    leaves, treedef = jax.tree_util.tree_flatten(numbers)
    split = [jnp.iscomplexobj(leaf) for leaf in leaves]
    flat, unravel = ravel_pytree([(x.real, x.imag) if pair else x for x, pair in zip(leaves, split, strict=True)])

    def restore(flat: Array) -> Any:
        parts = [x[0] + 1j * x[1] if pair else x for x, pair in zip(unravel(flat), split, strict=True)]
        return eqx.combine(jax.tree_util.tree_unflatten(treedef, parts), rest)

    return flat, restore


@compiled
def _shoot(model: AbstractOscillators, drive: Drive, port: Forcing, guess: Array | None, rtol: float) -> Orbit:
    n, orders = model.num_ports, jnp.asarray(model.harmonics)
    if guess is None:
        guess, _ = continued_orbit(model, drive, port)
    guess = lax.stop_gradient(guess)
    unit = jnp.linalg.norm(guess)
    unit = jnp.where(unit > 0, unit, 1.0)
    start = jnp.concatenate([jnp.sum(guess.real, axis=1), -jnp.sum(orders * guess.imag, axis=1)]) / unit

    flat, restore = _numbers((model, drive))
    cycles = int(model.basis.periods)  # of the drive, after which an orbit closes
    instants = (4 * max(model.harmonics) + 2) * cycles
    ts = 2 * np.pi * cycles * (np.arange(1, instants + 1) / instants)  # the last exactly 2π times it
    unit_matrix, fixed, tolerance = jnp.eye(2 * n), lax.stop_gradient(flat), 10 * rtol

    def around(z: Array) -> _Iteration:
        def integrate(z: Array, flat: Array) -> tuple[Array, Array]:
            model, drive = restore(flat)
            zs = _integrate(z, model, drive, unit, port, ts, rtol)
            return zs, zs

        (by_start, by_leaf), zs = jax.jacfwd(integrate, (0, 1), has_aux=True)(z, fixed)
        step = jnp.linalg.solve(unit_matrix - by_start[-1], zs[-1] - z)
        return _Iteration(z, zs, by_start, by_leaf, step)

    # At least two iterations, so that nothing returned is the guess itself.
    def going(state: tuple[_Iteration, Array]) -> Bool[Array, ""]:
        iteration, count = state
        length = jnp.linalg.norm(iteration.step)
        return (count < 2) | ((length > tolerance) & (count < MAX_ITERATIONS) & jnp.isfinite(length))

    # One integration in the program, with all derivatives: compiling it is what takes time.
    first = _Iteration(start, *(jnp.zeros_like(x) for x in jax.eval_shape(around, start)[1:]))
    advance = lambda state: (around(state[0].z + state[0].step), state[1] + 1)  # noqa: E731
    iteration, _ = lax.stop_gradient(lax.while_loop(going, advance, (first, jnp.asarray(0))))
    length = jnp.linalg.norm(iteration.step)
    result = RESULTS.where(jnp.isfinite(length), RESULTS.max_steps_reached, RESULTS.nonfinite)
    result = RESULTS.where(length <= tolerance, RESULTS.successful, result)
    failed = result != RESULTS.successful

    # z = P(z, θ) ⇒ dz = (1 − ∂P/∂z)⁻¹ ∂P/∂θ dθ. As matrices, so that derivatives of either mode are products with them.
    _, zs, by_start, by_leaf, _ = iteration
    gap = jnp.linalg.norm(zs[-1] - iteration.z)
    of_start = jnp.linalg.solve(unit_matrix - by_start[-1], by_leaf[-1])
    change = jnp.where(failed, jnp.nan, by_start @ of_start + by_leaf) @ (flat - fixed)
    zs = jnp.where(failed, jnp.nan, unit * (zs + change))
    x, w = jnp.split(jnp.roll(zs, 1, axis=0), 2, axis=1)  # the last instant is the first of the next period
    scale = lax.stop_gradient(jnp.repeat(jnp.stack([jnp.ones_like(drive.omega), drive.omega]), n))
    monodromy = scale[:, None] * by_start[-1] / scale
    multipliers = jnp.linalg.eigvals(jnp.where(failed, 0.0, monodromy))
    multipliers = multipliers[jnp.argsort(-jnp.abs(multipliers))]
    return Orbit(
        omega=drive.omega,
        x=x,
        v=drive.omega * w,
        b=fourier(x, model.harmonics, cycles),
        monodromy=jnp.where(failed, jnp.nan, monodromy),
        multipliers=jnp.where(failed, jnp.nan, multipliers),
        gap=jnp.where(failed, jnp.nan, gap),
        result=result,
        harmonics=model.harmonics,
        periods=cycles,
    )
