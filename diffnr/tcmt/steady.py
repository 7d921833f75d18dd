"""Steady states of coupled modes at one frequency, with any ports driven at once."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from diffnr.checks import Numbers, as_flag, as_scalar, as_shaped, require
from diffnr.results import RESULTS, AbstractAnswer, raise_failures, with_unstable
from diffnr.tcmt.growth import judged
from diffnr.tcmt.modes import AbstractCoupledModes, require_coupled_modes
from diffnr.tcmt.search import MOST, STARTS, every_state
from diffnr.tcmt.solve import outgoing, solve

WHICH = ("first", "lowest", "highest")


class SteadyState(AbstractAnswer):
    """A steady state: x(t) = Re(X e^{iωt}) of every mode and every outgoing wave.

    **Fields:** `omega` []; `s_plus` [M] incoming, `s_minus` [M] outgoing (√power); `a` [N] mode amplitudes (√energy);
    `result`, a `RESULTS`, with `converged` and `message`; `a` and `s_minus` are NaN where it failed, but kept where it
    is `unstable`.
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
    at: Any = "first",
    throw: bool = True,
    allow_unstable: bool = False,
) -> SteadyState:
    """The steady state with any ports driven at once, at one frequency.

    **Arguments:**

    - `model`: a coupled-mode model.
    - `omega`: [], angular frequency in the model's rate unit.
    - `s_plus`: [M] complex, incoming amplitudes; |s|² is a power. For given powers pass their square roots with phases.
    - `guess`: [N] complex, amplitudes to start from, which choose among several states.
    - `at`: which state without a guess: "first", that in which a drive ends that is raised slowly from 0, or of all
      that `steady_states` finds the one of "lowest" or "highest" energy Σ|a|².
    - `throw`: raise where the solve fails; otherwise `result` says so, with NaN values and gradients.
    - `allow_unstable`: let an unstable state pass for a success. Otherwise it is `RESULTS.unstable`, which raises; with
      `throw=False` its values are there.

    **Returns:** a `SteadyState`.

    **Raises:** `ValueError` for another class of model, shapes or non-finite values, both a guess and another `at`;
    `RuntimeError` with the cause if `throw` and the solve fails: no convergence, an unstable state, or a resonance
    without loss driven at its own frequency.

    Example: `tcmt.steady_state(pair, 0.0, [1.0, 0.5j]).s_minus`.

    **Notes:** responses of a nonlinear device do not superpose: with both ports driven the answer is not the sum of the
    two one-port responses, even for nonlocal loss, whose one-port response does not depend on power.
    """
    require_coupled_modes(model)
    omega = as_scalar(omega, "omega")
    s_plus = as_shaped(s_plus, "s_plus", (model.num_ports,), real=False)
    guess = None if guess is None else as_shaped(guess, "guess", (model.num_modes,), real=False)
    require(isinstance(at, str) and at in WHICH, "at", 'be "first", "lowest" or "highest"', at)
    require(guess is None or at == "first", "at", "be left out where guess is given", at)
    throw, allow_unstable = as_flag(throw, "throw"), as_flag(allow_unstable, "allow_unstable")
    highest = None if at == "first" else jnp.asarray(at == "highest")
    state = _steady_state(model, omega, s_plus, guess, highest, allow_unstable)
    return raise_failures(state, state.result) if throw else state


@eqx.filter_jit
def _steady_state(
    model: AbstractCoupledModes,
    omega: Array,
    s_plus: Array,
    guess: Array | None,
    highest: Array | None,
    allow_unstable: bool,
) -> SteadyState:
    matrices, laws = model.matrices(), model.laws
    if highest is None:
        a, result = solve(matrices, laws, omega, s_plus, guess)
    else:
        states, found, ended = every_state(matrices, laws, omega, s_plus, STARTS, MOST, jax.random.key(0))
        count = jnp.sum(found)
        a = jnp.where(count > 0, states[jnp.where(highest, count - 1, 0)], jnp.nan)
        result = RESULTS.where(ended, RESULTS.successful, RESULTS.more_states)
        result = RESULTS.where(count > 0, result, RESULTS.no_state_found)
    result = judged(matrices, laws, omega, s_plus, a, result)
    result = with_unstable(result) if allow_unstable else result
    return SteadyState(omega, s_plus, outgoing(matrices, s_plus, a), a, result)
