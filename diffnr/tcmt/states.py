"""Every steady state of coupled modes at one drive, and which of them are stable."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Int, PRNGKeyArray

from diffnr.checks import Count, Numbers, as_count, as_flag, as_index, as_key, as_scalar, as_shaped
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.tcmt.growth import judged
from diffnr.tcmt.modes import AbstractCoupledModes, require_coupled_modes
from diffnr.tcmt.search import MOST, STARTS, every_state
from diffnr.tcmt.solve import outgoing
from diffnr.tcmt.steady import SteadyState


class SteadyStates(AbstractAnswer):
    """All steady states found at one drive, the one of least energy first; NaN beyond `count`.

    **Fields:** `omega` []; `s_plus` [M] incoming; `s_minus` [state, M] outgoing (√power); `a` [state, N] amplitudes of
    the modes (√energy); `stable` [state], whether no small disturbance of the state grows; `count` []; `result`, a
    `RESULTS`, with `converged` and `message`: successful where the last round of the search found nothing new and
    Σ sign det of the states' Jacobians is 1, as it is of all, else `more_states`; `no_state_found` where there is none.
    """

    omega: Float[Array, ""]
    s_plus: Complex[Array, " port"]
    s_minus: Complex[Array, "state port"]
    a: Complex[Array, "state mode"]
    stable: Bool[Array, " state"]
    count: Int[Array, ""]
    result: Any

    @property
    def valid(self) -> Bool[Array, "*batch state"]:
        """Which states there are."""
        return jnp.arange(self.a.shape[-2]) < self.count[..., None]

    def state(self, index: Count) -> SteadyState:
        """One of the states, as `tcmt.stability` and `tcmt.small_signal_response` take it.

        **Raises:** `ValueError` for an index beyond the buffers.
        """
        index = as_index(index, "index", self.a.shape[0], "state")
        unstable = RESULTS.where(self.stable[index], RESULTS.successful, RESULTS.unstable)
        result = RESULTS.where(index < self.count, unstable, RESULTS.no_state_found)
        return SteadyState(self.omega, self.s_plus, self.s_minus[index], self.a[index], result)


def steady_states(
    model: AbstractCoupledModes,
    omega: Numbers,
    s_plus: Numbers,
    *,
    starts: Count = STARTS,
    most: Count = MOST,
    key: PRNGKeyArray | None = None,
    throw: bool = True,
) -> SteadyStates:
    """Every steady state at one drive, with any ports driven at once, each once, and whether it is stable:

        (iω − iΩ + Γ) a + Σ f_law(a) = Kᵀ s₊

    A linear device has one; two modes with nonlocal loss have one or three, by their closed form; otherwise they are
    what Newton's method finds from many starts, with all states found before deflated.

    **Arguments:**

    - `model`: a coupled-mode model; `omega`: [], angular frequency; `s_plus`: [M] complex, incoming amplitudes.
    - `starts`: how many. One is the state that `steady_state` gives, a quarter are multiples of the linear response,
      the others random amplitudes of all sizes that the drive and the laws let expect.
    - `most`: room for as many states, a static number.
    - `key`: for the random starts (default `jax.random.key(0)`).
    - `throw`: raise where no state was found at all; a search that stopped early is returned with its `result` anyhow.

    **Returns:** `SteadyStates`, that of least energy first. Derivatives of `a` and `s_minus` are exact.

    **Raises:** `ValueError` for another class of model, shapes or numbers that are not finite, counts that are not
    positive; `RuntimeError` if `throw` and there is no state.

    **Notes:** no search of this kind proves that it found all; more starts and another key make it likelier. One state
    missing shows in Σ sign det of the Jacobians, a missing pair does not. Devices that no port drives and that
    oscillate by themselves have a state at rest, and states of any phase, which are not isolated and not found.

    Good values: 64 starts find the three states of a Kerr cavity at any power.

    Example: `tcmt.steady_states(cavity, 1.5, [2.0]).stable`.
    """
    require_coupled_modes(model)
    omega = as_scalar(omega, "omega")
    s_plus = as_shaped(s_plus, "s_plus", (model.num_ports,), real=False)
    starts, most, throw = as_count(starts, "starts"), as_count(most, "most"), as_flag(throw, "throw")
    key = as_key(key)
    states = _steady_states(model, omega, s_plus, starts, most, jax.random.key(0) if key is None else key)
    some = RESULTS.where(states.result == RESULTS.no_state_found, RESULTS.no_state_found, RESULTS.successful)
    return raise_failures(states, some) if throw else states


@eqx.filter_jit
def _steady_states(
    model: AbstractCoupledModes, omega: Array, s_plus: Array, starts: int, most: int, key: PRNGKeyArray
) -> SteadyStates:
    matrices = model.matrices()
    a, found, ended = every_state(matrices, model.laws, omega, s_plus, starts, most, key)

    def judge(a: Array) -> Array:
        return judged(matrices, model.laws, omega, s_plus, a, RESULTS.successful) == RESULTS.successful

    stable = jax.vmap(judge)(a) & found
    count = jnp.sum(found)
    result = RESULTS.where(ended, RESULTS.successful, RESULTS.more_states)
    result = RESULTS.where(count > 0, result, RESULTS.no_state_found)
    a = jnp.where(found[:, None], a, jnp.nan)
    s_minus = jax.vmap(lambda a: outgoing(matrices, s_plus, a))(a)
    return SteadyStates(omega, s_plus, s_minus, a, stable, count, result)
