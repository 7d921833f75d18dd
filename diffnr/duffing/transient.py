"""Oscillators in time: any forces on any of them, by diffrax.

    M x'' + C x' + f(x, x', ωt) = F(t)

Inside, displacements and velocities are in units of the forces, so that accuracy does not depend on them.
"""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_shaped,
    as_tolerance,
    described,
    is_concrete,
    require,
    require_finite,
    require_instance,
)
from diffnr.duffing.forcing import as_forcing
from diffnr.duffing.oscillators import AbstractOscillators, require_oscillators, stiffness_of
from diffnr.ports import Drive
from diffnr.results import AbstractAnswer, from_diffrax, raise_failures
from diffnr.waveforms import Waveform, as_times, as_waveform, sampled


class Motion(AbstractAnswer):
    """What `simulate` returns: the motion at the times `ts`; NaN at those that were not reached.

    **Fields:** `ts` [time]; `x`, `v` [time, oscillator], displacements and velocities; `force` [time, oscillator], F;
    `num_steps`, taken; `result`, of `RESULTS`.
    """

    ts: Float[Array, " time"]
    x: Float[Array, "time oscillator"]
    v: Float[Array, "time oscillator"]
    force: Float[Array, "time oscillator"]
    num_steps: Array
    result: Any


def simulate(
    model: AbstractOscillators,
    force: Drive | Waveform | Numbers,
    ts: Numbers,
    x0: Numbers | None = None,
    v0: Numbers | None = None,
    *,
    port: Any = None,
    rtol: Numbers | None = None,
    solver: diffrax.AbstractSolver | None = None,
    adjoint: diffrax.AbstractAdjoint | None = None,
    max_steps: Count = 100_000,
    throw: bool = True,
) -> Motion:
    """The motion of oscillators under any forces:

        M x'' + C x' + f(x, x', ωt) = F(t),      x(t₀) = x₀,  x'(t₀) = v₀

    **Arguments**, in the model's units:

    - `model`: n oscillators.
    - `force`: F, one of: a `Drive` at `port`, F = Re(A e^{iωt}) there; a function t [] -> [n] (as an `equinox.Module`
      its leaves can be differentiated and its values never retrace); an array [time, n] of samples at `ts`, joined by
      cubic Hermite pieces; an array [n], constant from ts[0] on (zeros: free decay).
    - `ts`: [time], increasing, at least two: integrated from the first to the last, and returned at each. No step of
      the solver is longer than the largest gap, so that a pulse seen at `ts` is not stepped over.
    - `x0`, `v0`: [n], at ts[0]; default 0.
    - `port`: the driven oscillator, complex shares [n] of the force, or a `BaseMotion`, where `force` is a `Drive`.
    - `rtol`: relative accuracy asked of each step (default √ε of the dtype: 1.5e-8 in float64), also of the smallest
      scale of the motion, that of the forces against inertia and springs, as an absolute one.
    - `solver`: a diffrax solver (default `Dopri8`; `Tsit5` in float32). Stiff forces want an implicit one, `Kvaerno5`.
    - `adjoint`: a diffrax adjoint; by default gradients by reverse mode with checkpoints. For forward mode
      (`jax.jvp`, `jax.jacfwd`): `diffrax.ForwardMode()`.
    - `max_steps`: after which the solver gives up. `throw`: raise then; otherwise `result` says it, and what was not
      reached is NaN.

    **Returns:** a `Motion`.

    **Raises:** `ValueError` for forces of another shape or not finite at `ts`, times that do not increase, shapes;
    `RuntimeError` if `throw` and the solver gives up.

    **Notes:** for steady states of many oscillators `settle` is some fifty times faster, harmonic balance
    (`port_response`) faster still.
    """
    require_oscillators(model)
    ts, max_steps, throw = as_times(ts), as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    for name, value, kind in (
        ("solver", solver, diffrax.AbstractSolver),
        ("adjoint", adjoint, diffrax.AbstractAdjoint),
    ):
        require_instance(value, name, (kind, type(None)), f"be a diffrax {name} or None")
    start = as_state("x0", x0, model), as_state("v0", v0, model)
    accuracy = float(jnp.finfo(jnp.result_type(model.mass, ts)).eps) ** 0.5
    accuracy = accuracy if rtol is None else as_tolerance(rtol, "rtol")
    waveform = _waveform(force, ts, model, port)
    adjoint = diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint
    motion = _simulate(model, waveform, ts, start, accuracy, solver, adjoint, max_steps)
    return raise_failures(motion, motion.result) if throw else motion


def as_state(name: str, value: Numbers | None, model: AbstractOscillators) -> Float[Array, " oscillator"]:
    """Displacements or velocities of a model's oscillators, 0 by default."""
    if value is None:
        return jnp.zeros(model.num_ports, model.mass.dtype)
    state = as_shaped(value, name, (model.num_ports,))
    require_finite(name, state)
    return state


def require_tone(drive: Any, port: Any, model: AbstractOscillators) -> None:
    """Raise unless `drive` is one tone with a positive frequency and `port` one of the model's."""
    require_instance(drive, "drive", Drive, "be a Drive")
    shapes = drive.omega.shape, drive.amplitude.shape
    was = f"of shapes {shapes[0]} and {shapes[1]}"
    require(shapes == ((), ()), "drive", "have a scalar omega and amplitude (use jax.vmap for many)", was)
    if is_concrete(drive.omega):
        require(np.asarray(drive.omega) > 0, "drive", "have a positive omega", drive.omega)
    as_forcing(port, model)


def _waveform(force: Any, ts: Array, model: AbstractOscillators, port: Any) -> Any:
    """`force` as a function of time, checked at every one of `ts`."""
    size = model.num_ports
    if isinstance(force, Drive):
        require_tone(force, port, model)
        phasors = as_forcing(port, model).phasors(model, force.omega, force.amplitude)
        return _Tone(force.omega, jnp.real(phasors), jnp.imag(phasors))
    timed = "phase" in model.depends_on
    require(not timed, "force", "be a Drive where the oscillators' own forces depend on its phase", described(force))
    require(port is None, "port", "be left out where force is no Drive", port)
    return as_waveform("force", force, ts, size, real=True, otherwise="a function or a Drive")


class _Tone(eqx.Module):
    """Re(F e^{iωt}); F [n] as two reals, which is all that diffrax promises to treat right."""

    omega: Float[Array, ""]
    real: Float[Array, " oscillator"]
    imag: Float[Array, " oscillator"]

    def __call__(self, t: Array) -> Array:
        return self.real * jnp.cos(self.omega * t) - self.imag * jnp.sin(self.omega * t)


class _Motion(eqx.Module):
    """The equations of motion of y = [x, v / rate] / unit."""

    model: AbstractOscillators
    waveform: Waveform
    mobility: Float[Array, "oscillator oscillator"]
    omega: Float[Array, ""]  # of the drive, whose phase forces may depend on
    rate: Float[Array, ""]
    unit: Float[Array, ""]

    def __call__(self, t: Array, y: Array, args: Any) -> Array:
        model = self.model
        x, v = self.split(y)
        push = self.waveform(t).astype(y.dtype) - model.dissipation @ v - model.forces(x, v, self.omega * t)
        return self.join(v, self.mobility @ push).astype(y.dtype)

    def split(self, y: Array) -> tuple[Array, Array]:
        x, v = jnp.split(self.unit * y, 2)
        return x, self.rate * v

    def join(self, x: Array, v: Array) -> Array:
        return jnp.concatenate([x, v / self.rate]) / self.unit


@eqx.filter_jit
def _simulate(
    model: AbstractOscillators,
    waveform: Any,
    ts: Array,
    start: tuple[Array, Array],
    rtol: float,
    solver: diffrax.AbstractSolver | None,
    adjoint: diffrax.AbstractAdjoint,
    max_steps: int,
) -> Motion:
    dtype = jnp.result_type(model.mass, eqx.filter_eval_shape(waveform, ts[0]).dtype, *start)
    # Where ts is computed in the same program, its last must not be computed twice and rounded apart.
    ts, (x0, v0) = lax.optimization_barrier(ts.astype(dtype)), (part.astype(dtype) for part in start)
    samples = sampled(waveform, ts).astype(dtype)
    mobility = model.mobility
    stiffness = jnp.max(jnp.abs(mobility @ stiffness_of(model, x0)))
    rate = jnp.maximum(jnp.sqrt(stiffness), 1 / (ts[-1] - ts[0]))
    sizes = jnp.max(jnp.abs(samples @ mobility.T)) / rate**2, jnp.max(jnp.abs(x0)), jnp.max(jnp.abs(v0)) / rate
    unit = jnp.max(jnp.stack(sizes))
    rate, unit = (lax.stop_gradient(scale).astype(dtype) for scale in (rate, jnp.where(unit > 0, unit, 1.0)))
    omega = waveform.omega.astype(dtype) if isinstance(waveform, _Tone) else jnp.zeros((), dtype)
    motion = _Motion(model, waveform, mobility, omega, rate, unit)
    if solver is None:
        solver = diffrax.Tsit5() if dtype == jnp.float32 else diffrax.Dopri8()
    vector_field: Any = motion
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        solver,
        t0=ts[0],
        t1=ts[-1],
        dt0=None,
        y0=motion.join(x0, v0),
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol, dtmax=lax.stop_gradient(jnp.max(jnp.diff(ts)))),
        adjoint=adjoint,
        max_steps=max_steps,
        throw=False,
    )
    states: Any = solution.ys
    states = jnp.where(jnp.isfinite(states), states, jnp.nan)  # diffrax leaves infinities
    x, v = jax.vmap(motion.split)(states)
    return Motion(ts, x, v, samples, solution.stats["num_steps"], from_diffrax(solution.result))
