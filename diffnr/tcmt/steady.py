"""Steady states of coupled modes at one frequency, with any ports driven at once."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, Complex, Float

from diffnr.checks import Numbers, as_flag, as_scalar, as_shaped
from diffnr.results import AbstractAnswer, raise_failures
from diffnr.tcmt.modes import AbstractCoupledModes, require_coupled_modes
from diffnr.tcmt.solve import outgoing, solve


class SteadyState(AbstractAnswer):
    """A steady state: x(t) = Re(X e^{iωt}) of every mode and every outgoing wave.

    **Fields:** `omega` []; `s_plus` [M] incoming, `s_minus` [M] outgoing (√power); `a` [N] mode amplitudes (√energy);
    `result`, a `RESULTS`, with `converged` and `message`; `a` and `s_minus` are NaN where it failed.
    """

    omega: Float[Array, ""]
    s_plus: Complex[Array, " port"]
    s_minus: Complex[Array, " port"]
    a: Complex[Array, " mode"]
    result: Any


def steady_state(
    model: AbstractCoupledModes,
    omega: Numbers,
    s_plus: Numbers,
    *,
    guess: Numbers | None = None,
    throw: bool = True,
) -> SteadyState:
    """The steady state with any ports driven at once, at one frequency.

    **Arguments:**

    - `model`: a coupled-mode model.
    - `omega`: [], angular frequency in the model's rate unit.
    - `s_plus`: [M] complex, incoming amplitudes; |s|² is a power. For given powers pass their square roots with phases.
    - `guess`: [N] complex, amplitudes to start from, which choose among several branches; by default the branch
      continued from the linear response in drive amplitude, at fixed frequency.
    - `throw`: raise where the solve fails; otherwise `result` says so, with NaN values and gradients.

    **Returns:** a `SteadyState`.

    **Raises:** `ValueError` for another class of model, shapes or non-finite values; `RuntimeError` with the cause if
    `throw` and the solve fails: no convergence, or a resonance without loss driven at its own frequency.

    Example: `tcmt.steady_state(pair, 0.0, [1.0, 0.5j]).s_minus`.

    **Notes:** responses of a nonlinear device do not superpose: with both ports driven the answer is not the sum of the
    two one-port responses, even for nonlocal loss, whose one-port response does not depend on power.
    """
    require_coupled_modes(model)
    omega = as_scalar(omega, "omega")
    s_plus = as_shaped(s_plus, "s_plus", (model.num_ports,), real=False)
    guess = None if guess is None else as_shaped(guess, "guess", (model.num_modes,), real=False)
    throw = as_flag(throw, "throw")
    state = _steady_state(model, omega, s_plus, guess)
    return raise_failures(state, state.result) if throw else state


@eqx.filter_jit
def _steady_state(model: AbstractCoupledModes, omega: Array, s_plus: Array, guess: Array | None) -> SteadyState:
    matrices = model.matrices()
    a, result = solve(matrices, model.laws, omega, s_plus, guess)
    return SteadyState(omega, s_plus, outgoing(matrices, s_plus, a), a, result)
