"""Coupled modes in time: any waveform at any port, by diffrax.

    a' = (iΩ − iω − Γ) a − Σ f_law(a) + Kᵀ s₊(t),      s₋ = C s₊ + D a

Amplitudes and waves are envelopes about e^{iωt}. Inside, the unknowns are real pairs in units of the drive.
"""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Complex, Float, Inexact

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_inexact,
    as_positive,
    as_scalar,
    as_shaped,
    require,
    require_finite,
    require_instance,
    require_known,
)
from diffnr.results import RESULTS, AbstractAnswer, from_diffrax, raise_failures
from diffnr.tcmt.loss import AbstractLaw, NonlocalLoss
from diffnr.tcmt.modes import AbstractCoupledModes, require_coupled_modes
from diffnr.tcmt.motion import EquationsOfMotion, Method, RealLeaves
from diffnr.tcmt.proximal import ProximalSDIRK, is_exact
from diffnr.tcmt.solve import linear_part
from diffnr.waveforms import Waveform, as_times, as_waveform, sampled


class Transient(AbstractAnswer):
    """What `simulate` returns: envelopes about e^{iωt} at the times `ts`.

    **Fields:**

    - `ts` [time]; `omega` [].
    - `a` [time, mode] (√energy); `s_plus`, `s_minus` [time, port], incoming and outgoing waves (√power).
    - `loss_rate` [time, mode]: γ_nl(t), the rate at which nonlinear laws take from each mode: γ_k|a_s|/|a_m| for
      nonlocal loss, infinite where friction holds the mode at 0.
    - `energy_in`, `energy_out` [time, port]: ∫|s₊|² dt and ∫|s₋|² dt since ts[0], integrated along with the modes.
    - `num_steps`, taken; `result`, a `RESULTS`, with `converged` and `message`. What was not reached is NaN.
    """

    ts: Float[Array, " time"]
    omega: Float[Array, ""]
    a: Complex[Array, "time mode"]
    s_plus: Complex[Array, "time port"]
    s_minus: Complex[Array, "time port"]
    loss_rate: Float[Array, "time mode"]
    energy_in: Float[Array, "time port"]
    energy_out: Float[Array, "time port"]
    num_steps: Array
    result: Any


class GaussianPulse(eqx.Module):
    """A Gaussian pulse, a waveform for `simulate` whose parameters are leaves:

        s(t) = A exp(−(t − t₀)²/(2w²))

    **Arguments:**

    - `amplitude`: [M] real or complex, A at each port (0 where there is no input), √power.
    - `centre`: [], t₀, in the unit of `simulate`'s times.
    - `width`: [], w, positive: the standard deviation of the amplitude, which falls to e^{−1/2} at t₀ ± w and to 1/e at
      t₀ ± √2 w. The energy is √π w |A|².

    **Raises:** `ValueError` for a value that is not finite or no number, wrong shapes, or a width that is not positive.

    Example: `tcmt.simulate(pair, tcmt.GaussianPulse([1.0, 0.0], centre=10.0, width=2.0), jnp.linspace(0, 40, 401))`.

    Source: paper 1, Figure 5, whose exp(−((t − t₀)/τ)²) has τ = √2 w.
    """

    amplitude: Inexact[Array, " port"]
    centre: Float[Array, ""]
    width: Float[Array, ""]

    def __init__(self, amplitude: Any, centre: Any, width: Any):
        self.amplitude = as_inexact(amplitude, "amplitude")
        self.centre = as_scalar(centre, "centre")
        self.width = as_positive(width, "width")

    def __check_init__(self) -> None:
        must = "have shape (ports,)"
        require(
            self.amplitude.ndim == 1 and self.amplitude.size > 0, "amplitude", must, f"of shape {self.amplitude.shape}"
        )
        require_finite("amplitude", self.amplitude)
        as_scalar(self.centre, "centre")
        as_positive(self.width, "width")

    def __call__(self, t: Float[ArrayLike, ""]) -> Inexact[Array, " port"]:
        """s(t), [M]."""
        return self.amplitude * jnp.exp(-(((t - self.centre) / self.width) ** 2) / 2)


def simulate(
    model: AbstractCoupledModes,
    s_plus: Numbers | Waveform,
    ts: Numbers,
    a0: Numbers | None = None,
    *,
    omega: Numbers = 0.0,
    rtol: Any = None,
    solver: diffrax.AbstractSolver | None = None,
    adjoint: diffrax.AbstractAdjoint | None = None,
    max_steps: Count = 100_000,
    throw: bool = True,
) -> Transient:
    """The transient response to any waveforms at any ports:

        a' = (iΩ − iω − Γ) a − Σ f_law(a) + Kᵀ s₊(t),      s₋ = C s₊ + D a

    **Arguments:**

    - `model`: a coupled-mode model; its rate unit is that of 1/t.
    - `s_plus`: incoming waves (√power), one of: a function t [] -> [M] (a `GaussianPulse`, or your own; as an
      `equinox.Module` its leaves can be differentiated and its values never retrace); an array [time, M] of samples at
      `ts`, joined by cubic Hermite pieces; an array [M], constant from ts[0] on.
    - `ts`: [time], increasing, at least two: integrated from the first to the last, and returned at each. No step of
      the solver is longer than the largest gap, so that a pulse seen at `ts` is not stepped over.
    - `a0`: [N] complex, amplitudes at ts[0]; default 0.
    - `omega`: [], the frequency about which waves and amplitudes are envelopes: a(t) e^{iωt} is the field. Default 0.
      Near the carrier the envelope is slow and steps are long.
    - `rtol`: relative accuracy asked of each step (default √ε of the dtype: 1.5e-8 in float64), also of the largest
      amplitude, as an absolute one.
    - `solver`: a diffrax solver. By default `ProximalSDIRK` where an exact nonlocal law is at work, `Kvaerno5` where
      one is regularised, which makes it stiff, and `Tsit5` elsewhere.
    - `adjoint`: a diffrax adjoint; by default gradients by reverse mode with checkpoints. For forward mode
      (`jax.jvp`, `jax.jacfwd`): `diffrax.ForwardMode()`.
    - `max_steps`: after which the solver gives up. `throw`: raise then; otherwise `result` says it, and what was not
      reached is NaN.

    **Returns:** a `Transient`.

    **Raises:** `ValueError` for a waveform of another shape, not finite at `ts` or that fails when it is tried, times
    that do not increase, shapes; `RuntimeError` if `throw` and the solver gives up.

    Example: `tcmt.simulate(pair, lambda t: jnp.array([jnp.sin(t), 0.0]), jnp.linspace(0.0, 20.0, 201)).energy_out[-1]`.

    **Notes:** nonlocal loss is exact here for any number of modes unless the law has an `epsilon`. Driven only through
    the coupling, with γ_k ≥ κ, its mode stays at 0 exactly; driven off it leaves, and comes to rest again in finite
    time. Across the instant of coming to rest the derivative with respect to parameters is that of the steps taken.

    Source: paper 1, equations 1–2 and Figure 5.
    """
    require_coupled_modes(model)
    ts, omega = as_times(ts), as_scalar(omega, "omega")
    a0 = None if a0 is None else as_shaped(a0, "a0", (model.num_modes,), real=False)
    max_steps, throw = as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    accuracy = float(jnp.finfo(ts.dtype).eps) ** 0.5
    if rtol is not None:
        require_known(rtol, "rtol")
        as_positive(rtol, "rtol")
        accuracy = float(rtol)  # of what was given: inside of jit, JAX makes tracers of constants
        require(accuracy > 0, "rtol", "be positive", rtol)
    waveform = as_waveform("s_plus", s_plus, ts, model.num_ports, real=False)
    solver_or_none, adjoint_or_none = (diffrax.AbstractSolver, type(None)), (diffrax.AbstractAdjoint, type(None))
    require_instance(solver, "solver", solver_or_none, "be a diffrax solver, such as diffrax.Tsit5()")
    require_instance(adjoint, "adjoint", adjoint_or_none, "be a diffrax adjoint, such as diffrax.ForwardMode()")
    adjoint = diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint
    found = _simulate(model, waveform, ts, a0, omega, accuracy, solver, adjoint, max_steps)
    return raise_failures(found, found.result) if throw else found


@eqx.filter_jit
def _simulate(
    model: AbstractCoupledModes,
    waveform: Any,
    ts: Array,
    a0: Array | None,
    omega: Array,
    rtol: float,
    solver: diffrax.AbstractSolver | None,
    adjoint: diffrax.AbstractAdjoint,
    max_steps: int,
) -> Transient:
    matrices = model.matrices()
    dtype = jnp.result_type(matrices.C, eqx.filter_eval_shape(waveform, ts[0]).dtype)
    a0 = jnp.zeros(model.num_modes, dtype) if a0 is None else a0.astype(dtype)
    # Where ts is computed in the same program, its last must not be computed twice and rounded apart.
    ts = lax.optimization_barrier(ts.astype(a0.real.dtype))
    A = linear_part(matrices, model.laws, omega.astype(ts.dtype)).astype(dtype)
    laws = tuple(law for law in model.laws if not law.linear)

    samples = sampled(waveform, ts).astype(dtype)
    rate = jnp.maximum(jnp.max(jnp.abs(A)), 1 / (ts[-1] - ts[0]))
    unit = lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(samples @ matrices.K)) / rate, jnp.max(jnp.abs(a0))))
    unit = jnp.where(unit > 0, unit, 1.0)
    motion = EquationsOfMotion(matrices, A, laws, waveform, unit)
    real = RealLeaves.of(motion)

    velocity_of: Any = Method(real, "velocity")
    if solver is None:
        solver = _default_solver(laws, real)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(velocity_of),
        solver,
        t0=ts[0],
        t1=ts[-1],
        dt0=None,
        y0=motion.join(a0 / unit, jnp.zeros(2 * model.num_ports, ts.dtype)),
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol, dtmax=lax.stop_gradient(jnp.max(jnp.diff(ts)))),
        adjoint=adjoint,
        max_steps=max_steps,
        throw=False,
    )
    ys: Any = solution.ys
    ys = jnp.where(jnp.isfinite(ys), ys, jnp.nan)  # infinite where the solver did not arrive
    a, energies = jax.vmap(motion.split)(ys)
    a = unit * a
    energy_in, energy_out = jnp.split(unit**2 * energies, 2, axis=1)
    s_plus, s_minus = jax.vmap(motion.waves)(ts, a)
    # Amplitudes may be numbers whose squares are none.
    finite = jnp.all(jnp.isfinite(energy_in) & jnp.isfinite(energy_out))
    arrived = solution.result == diffrax.RESULTS.successful
    result = RESULTS.where(arrived & ~finite, RESULTS.nonfinite, from_diffrax(solution.result))
    return Transient(
        ts=ts,
        omega=omega,
        a=a,
        s_plus=s_plus,
        s_minus=s_minus,
        loss_rate=jax.vmap(lambda a: _loss_rate(laws, a))(a),
        energy_in=energy_in,
        energy_out=energy_out,
        num_steps=solution.stats["num_steps"],
        result=result,
    )


def _default_solver(laws: tuple[AbstractLaw, ...], motion: RealLeaves) -> diffrax.AbstractSolver:
    if any(is_exact(law) for law in laws):
        return ProximalSDIRK(Method(motion, "resolvent"), Method(motion, "settled"))
    return diffrax.Kvaerno5() if any(isinstance(law, NonlocalLoss) for law in laws) else diffrax.Tsit5()


def _loss_rate(laws: tuple[AbstractLaw, ...], a: Complex[Array, " mode"]) -> Float[Array, " mode"]:
    """Re(a* f_law(a)) / |a|² of every mode, the rate at which nonlinear laws take from it."""
    power = a.real**2 + a.imag**2
    rate = jnp.zeros_like(power)
    for law in laws:
        if isinstance(law, NonlocalLoss) and is_exact(law):
            sensed, lossy = power[law.sensed], power[law.mode]
            ratio = jnp.where(lossy > 0, sensed, 0.0) / jnp.where(lossy > 0, lossy, 1.0)
            moving = law.gamma_k * jnp.where(ratio > 0, jnp.sqrt(jnp.where(ratio > 0, ratio, 1.0)), 0.0)
            held = (lossy == 0) & (law.gamma_k * sensed > 0)
            rate = rate.at[law.mode].add(jnp.where(held, jnp.inf, moving))
        else:
            rate = rate + (a.conj() * law.damping(a)).real / jnp.where(power > 0, power, 1.0)
    return rate
