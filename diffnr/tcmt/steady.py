"""Steady states of coupled modes at one frequency, with any ports driven at once."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.checks import Numbers, as_complex, as_real, require, require_finite
from diffnr.results import RESULTS
from diffnr.tcmt.modes import AbstractCoupledModes
from diffnr.tcmt.solve import outgoing, solve


class SteadyState(eqx.Module):
    """A steady state: x(t) = Re(X e^{iωt}) of every mode and every outgoing wave.

    **Fields:** `omega` []; `s_plus` [M] incoming, `s_minus` [M] outgoing (√power); `a` [N] mode amplitudes (√energy);
    `result`, a `RESULTS`.
    """

    omega: Float[Array, ""]
    s_plus: Complex[Array, " port"]
    s_minus: Complex[Array, " port"]
    a: Complex[Array, " mode"]
    result: Any


def steady_state(
    model: AbstractCoupledModes,
    omega: ArrayLike,
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

    **Raises:** `ValueError` for shapes or non-finite values; `RuntimeError` with the cause if `throw` and the solve
    fails.

    **Notes:** responses of a nonlinear device do not superpose: with both ports driven the answer is not the sum of the
    two one-port responses, even for nonlocal loss, whose one-port response does not depend on power.
    """
    omega, s_plus = as_real(omega, "omega"), as_complex(s_plus)
    require(omega.ndim == 0, "omega", "be a scalar (use jax.vmap for many)", f"of shape {omega.shape}")
    require(
        s_plus.shape == (model.num_ports,), "s_plus", f"have shape {(model.num_ports,)}", f"of shape {s_plus.shape}"
    )
    require_finite("omega", omega)
    require_finite("s_plus", s_plus)
    if guess is not None:
        guess = as_complex(guess)
        require(
            guess.shape == (model.num_modes,), "guess", f"have shape {(model.num_modes,)}", f"of shape {guess.shape}"
        )
        require_finite("guess", guess)
    return _steady_state(model, omega, s_plus, guess, throw)


@eqx.filter_jit
def _steady_state(
    model: AbstractCoupledModes, omega: Array, s_plus: Array, guess: Array | None, throw: bool
) -> SteadyState:
    matrices = model.matrices()
    a, result = solve(matrices, model.laws, omega, s_plus, guess)
    if throw:
        a = result.error_if(a, result != RESULTS.successful)
    return SteadyState(omega, s_plus, outgoing(matrices, s_plus, a), a, result)
