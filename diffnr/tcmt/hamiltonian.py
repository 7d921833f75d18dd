"""The effective Hamiltonian of a driven device: its equation of motion, linear at the steady state it is in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex

from diffnr.checks import Count, Numbers, as_index, as_inexact, as_scalar, require, require_finite, require_shape
from diffnr.tcmt.loss import AbstractLoss, NonlocalLoss
from diffnr.tcmt.modes import AbstractCoupledModes, require_coupled_modes
from diffnr.tcmt.solve import has_closed_form
from diffnr.tcmt.steady import steady_state


def effective_hamiltonian(
    model: AbstractCoupledModes, omega: Numbers, *, port: Count = 0, amplitude: Numbers = 1.0
) -> Complex[Array, "mode mode"]:
    """H_eff with a' = H_eff a + Kᵀs₊ in the steady state that driving port `port` alone brings about.

        H_eff = iΩ − Γ − diag γ_law(a) − γ_k e^{i(φ_m − φ_s)} at [m, s] for nonlocal loss

    so that nonlocal loss, which is a loss of mode m, shows as a nonreciprocal coupling s → m.

    **Arguments:** `model`: a coupled-mode model; `omega`: [], drive frequency; `port`: the driven port; `amplitude`:
    [], of the drive (it matters for laws that depend on power).

    **Returns:** [N, N], in the model's rate unit; entry [m, s] is the rate at which mode s drives mode m.

    **Raises:** `ValueError` for a port that does not exist, a frequency or an amplitude that is no finite number, or a
    law of which the friction between two modes is not known; `RuntimeError` where the steady state fails.

    Example: `tcmt.effective_hamiltonian(pair, 0.0, port=0)`.

    **Notes:** where mode m is extinct (γ_k ≥ κ) its phase is undefined, and the entry is what friction makes of it: 0.

    Source: paper 1, equation 3, with δφ = π/2 − atan2(Δ₂ρ, G₂ρ + γ_k) for the printed one, which is the wrong root.
    """
    require_coupled_modes(model)
    omega, amplitude = as_scalar(omega, "omega"), as_inexact(amplitude, "amplitude")
    require_shape(amplitude, "amplitude", ())
    require_finite("amplitude", amplitude)
    port = as_index(port, "port", model.num_ports, "port")
    dtype = jnp.result_type(model.matrices().C, amplitude)
    s_plus = jnp.zeros(model.num_ports, dtype).at[port].set(amplitude)
    state = steady_state(model, omega, s_plus, allow_unstable=True)
    a, matrices = state.a, model.matrices()
    H = 1j * matrices.omega - matrices.gamma
    for law in model.laws:
        if law.linear:
            H = H - jax.vmap(law.damping, out_axes=1)(jnp.eye(a.size, dtype=H.dtype))
        elif isinstance(law, AbstractLoss):
            H = H.at[law.mode, law.mode].add(-law.rate(a))
        else:
            require(
                isinstance(law, NonlocalLoss), "model", "have laws linear, of one mode or nonlocal", type(law).__name__
            )
    for law in model.laws:
        if isinstance(law, NonlocalLoss):
            m, s = law.mode, law.sensed
            if has_closed_form(model.laws, a.size):
                # Row m of iωa = Ha + f gives the friction, also where a_m = 0 leaves its phase undefined.
                friction = (1j * jnp.asarray(omega) * a - H @ a - matrices.K.T @ s_plus)[m]
            else:
                friction = -law.damping(a)[m]
            H = H.at[m, s].add(jnp.where(a[s] == 0, 0.0, friction / jnp.where(a[s] == 0, 1.0, a[s])))
    return H


def effective_coupling(
    model: AbstractCoupledModes, omega: Numbers, *, out: Count, into: Count, amplitude: Numbers = 1.0
) -> Complex[Array, ""]:
    """The effective coupling from mode `into` to mode `out` when the port of mode `into` is driven.

    **Arguments:** as `effective_hamiltonian`, for a device whose mode j has port j; `out`, `into`: modes.

    **Returns:** [], complex, H_eff[out, into]; for two resonators |iκ − γ_k e^{iδφ}| = |Z₂|ρ forward, κ backward.

    **Raises:** `ValueError` for a mode that does not exist, and as `effective_hamiltonian` does.

    Example: `tcmt.effective_coupling(pair, 0.0, out=1, into=0)`.

    Source: paper 1, Figure 2.
    """
    require_coupled_modes(model)
    out = as_index(out, "out", model.num_modes, "mode")
    into = as_index(into, "into", model.num_modes, "mode")
    return effective_hamiltonian(model, omega, port=into, amplitude=amplitude)[out, into]
