"""What a small disturbance does to a driven steady state: its growth or decay, and a weak probe beside the carrier.

    δa' = J₁ δa + J₂ δa* + Kᵀ δs₊,      J₁ = ∂a'/∂a,  J₂ = ∂a'/∂a*

Nonlinear laws couple a disturbance with its conjugate: a probe at ω + δ also comes out at ω − δ, and a device that
isolates one tone need not isolate a second one beside it.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import Numbers, as_flag, as_scalar, require, require_instance
from diffnr.results import RESULTS, AbstractAnswer, raise_failures, succeeded, with_unstable
from diffnr.tcmt.growth import linearised, monotone_margin
from diffnr.tcmt.modes import AbstractCoupledModes, require_coupled_modes
from diffnr.tcmt.solve import linear_part
from diffnr.tcmt.steady import SteadyState


class Stability(AbstractAnswer):
    """The fate of small disturbances of a steady state.

    **Fields:** `poles` [2N] complex: disturbances go as e^{λt} in the frame of the drive, conjugate pairs or reals, the
    fastest growing first; −∞ for a mode that friction holds at 0. `growth_rate` []: the largest Re λ. `stable` []:
    whether it is negative. `unique_response` []: what `has_unique_response` says of the model.
    `result`, a `RESULTS`, with `converged` and `message`; where it or the steady state failed the numbers are NaN.
    """

    poles: Complex[Array, " pole"]
    growth_rate: Float[Array, ""]
    stable: Bool[Array, ""]
    unique_response: Bool[Array, ""]
    result: Any


class SmallSignal(AbstractAnswer):
    """The response to a weak probe on a carrier: at ω + δ, where the probe is, and at ω − δ.

    **Fields:** `signal` [out, in] complex: what leaves at ω + δ per probe amplitude p; `idler` [out, in] complex: what
    leaves at ω − δ per p*; `result`, a `RESULTS`, with `converged` and `message`; NaN where it failed.
    """

    signal: Complex[Array, "out in"]
    idler: Complex[Array, "out in"]
    result: Any


def stability(model: AbstractCoupledModes, state: SteadyState, *, throw: bool = True) -> Stability:
    """The small-signal poles of a steady state, and whether it is stable:

        λ = eigenvalues of [[J₁, J₂], [J₂*, J₁*]]

    **Arguments:** `model`: a coupled-mode model; `state`: one of its steady states, of `steady_state`;
    `throw`: raise where the state had failed; otherwise `result` says so, with NaN values.

    **Returns:** a `Stability`.

    **Raises:** `ValueError` for a state of another model; `RuntimeError` if `throw` and the state had failed.

    Example: `tcmt.stability(pair, tcmt.steady_state(pair, 0.0, [1.0, 0.0])).stable`.

    **Notes:** of a device without nonlinear laws these are the poles of S, i(ω_n − ω) − γ_n, and their conjugates. A
    mode that is held at 0 does not answer small disturbances and takes no part. An unstable state oscillates or goes to
    another one: `simulate` shows which.
    """
    _require_of(model, state)
    throw = as_flag(throw, "throw")
    found = _stability(model, state)
    return raise_failures(found, found.result) if throw else found


@eqx.filter_jit
def _stability(model: AbstractCoupledModes, state: SteadyState) -> Stability:
    jacobian, rest = _jacobian(model, state)
    finite = jnp.all(jnp.isfinite(jacobian)) & succeeded(with_unstable(state.result))
    jacobian = jnp.where(finite, jacobian, 0.0)
    # Held modes decouple. What stands for their −∞ is out of the reach of every other eigenvalue (Gershgorin).
    floor = -1e3 * (1 + jnp.max(jnp.sum(jnp.abs(jacobian), axis=1)))
    both = jnp.concatenate([rest, rest])
    poles = jnp.linalg.eigvals(jacobian + jnp.diag(jnp.where(both, floor, 0.0)))
    poles = jnp.where(poles.real < floor / 2, -jnp.inf, poles)
    poles = jnp.where(finite, poles[jnp.argsort(-poles.real)], jnp.nan)
    growth = poles[0].real
    return Stability(poles, growth, growth < 0, has_unique_response(model), _result(state, finite))


def _result(state: SteadyState, finite: Array) -> Any:
    """How what rests on a state ended: as the state did, stable or not, or `nonfinite`."""
    result = with_unstable(state.result)
    return RESULTS.where(succeeded(result) & ~finite, RESULTS.nonfinite, result)


def has_unique_response(model: AbstractCoupledModes) -> Bool[Array, ""]:
    """Whether the device is known to have one response to any drive, to which all transients converge exponentially:

        γ_k < 2 √(G_s G_m)        for one nonlocal loss of mode m that senses mode s

    and for several the same of all together: Γ with −½γ_k at [m, s] and [s, m] positive definite, couplings by moduli.

    **Arguments:** `model`: a coupled-mode model with any of diffnr's laws.

    **Returns:** [], a sufficient condition; False too where a law is not known to be monotone.

    **Raises:** `ValueError` for what is no coupled-mode model.

    Example: `tcmt.has_unique_response(pair)`.

    **Notes:** the motion is then strongly monotone, so that any two solutions approach each other. Two-photon
    loss is monotone by itself, saturable loss is down to −c/8 of its slope.

    Source: paper 1's model; G_i = γ_i + γ_i0.
    """
    require_coupled_modes(model)
    matrices = model.matrices()
    A = linear_part(matrices, model.laws, jnp.zeros((), matrices.C.real.dtype))
    margin = monotone_margin(A, model.laws)
    if margin is None:
        return jnp.asarray(False)
    return jnp.linalg.eigvalsh(margin)[0] > 0


def small_signal_response(
    model: AbstractCoupledModes, state: SteadyState, detuning: Numbers, *, throw: bool = True
) -> SmallSignal:
    """The response of a driven device to a weak probe beside the carrier, from every port to every port.

        s₊ = carrier + p e^{i(ω+δ)t}     ⇒     s₋ = carrier's + signal p e^{i(ω+δ)t} + idler p* e^{i(ω−δ)t}

    **Arguments:** `model`: a coupled-mode model; `state`: the carrier's steady state, of `steady_state`, from any
    ports; `detuning`: [], δ, the probe's frequency from the carrier's, in the model's rate unit; `throw`:
    raise where the probe meets a resonance that does not decay; otherwise `result` says so, with NaN values.

    **Returns:** a `SmallSignal`.

    **Raises:** `ValueError` for a state of another model, or a detuning that is not a finite number; `RuntimeError` if
    `throw` and there is no finite response.

    Example: `tcmt.small_signal_response(pair, tcmt.steady_state(pair, 0.0, [0.0, 1.0]), 0.1).signal[1, 0]`.

    **Notes:** "dynamic reciprocity": a device that blocks a wave when it comes alone need not block it while another
    passes the other way. With γ_k = κ a forward probe on a backward carrier gets through. A mode that friction holds at
    0 stays there. The response means something about a stable state only.

    Source: paper 1's model; the notion is that of Y. Shi, Z. Yu and S. Fan, *Limitations of nonlinear optical isolators
    due to dynamic reciprocity*, Nature Photonics 9, 388 (2015).
    """
    _require_of(model, state)
    detuning, throw = as_scalar(detuning, "detuning"), as_flag(throw, "throw")
    found = _small_signal(model, state, detuning)
    return raise_failures(found, found.result) if throw else found


@eqx.filter_jit
def _small_signal(model: AbstractCoupledModes, state: SteadyState, detuning: Array) -> SmallSignal:
    matrices, modes = model.matrices(), model.num_modes
    jacobian, rest = _jacobian(model, state)
    rr, ri, ir, ii = (block for row in jnp.split(jacobian, 2) for block in jnp.split(row, 2, axis=1))
    direct, conjugate = (rr + ii + 1j * (ir - ri)) / 2, (rr - ii + 1j * (ir + ri)) / 2
    whole = jnp.block([[direct, conjugate], [conjugate.conj(), direct.conj()]])
    drive = jnp.where(rest[:, None], 0.0, matrices.K.T)
    answer = jnp.linalg.solve(
        1j * detuning * jnp.eye(2 * modes) - whole + jnp.diag(jnp.where(jnp.concatenate([rest, rest]), 1.0, 0.0)),
        jnp.concatenate([drive, jnp.zeros_like(drive)]),
    )
    finite = jnp.all(jnp.isfinite(answer)) & succeeded(with_unstable(state.result))
    answer = jnp.where(finite, answer, jnp.nan)
    signal, idler = answer[:modes], answer[modes:].conj()
    return SmallSignal(matrices.C + matrices.D @ signal, matrices.D @ idler, _result(state, finite))


def _jacobian(model: AbstractCoupledModes, state: SteadyState) -> tuple[Array, Array]:
    return linearised(model.matrices(), model.laws, state.omega, state.s_plus, state.a)


def _require_of(model: Any, state: Any) -> None:
    require_coupled_modes(model)
    require_instance(state, "state", SteadyState, "be a SteadyState, of steady_state")
    shape = (model.num_modes,)
    require(state.a.shape == shape, "state", f"have amplitudes of shape {shape} like the model", state.a.shape)
