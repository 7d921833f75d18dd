"""Time reversal of linear coupled modes: the device of reversed bias, the identities it obeys, time and bandwidth.

    S(−B) = S(B)ᵀ:      C̃ = Cᵀ,   D̃ = K,   K̃ = D,   Ω̃ = Ωᵀ,   Γ̃ = Γᵀ

Source: paper 3 (nonreciprocal cavities), equations 5a–5f and supplement 1–2, generalised to N modes.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.checks import require
from diffnr.tcmt.linear import coupled_modes, linear_matrices, skew_part
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.modes import AbstractCoupledModes, CoupledModes

_LINEAR = "be linear, since a loss that depends on the amplitudes is another law when time runs backwards"


def reversed_bias(model: AbstractCoupledModes) -> CoupledModes:
    """The device with its bias reversed, whose scattering matrix is S(−B) = S(B)ᵀ:

        C̃ = Cᵀ,   D̃ = K,   K̃ = D,   Ω̃ = Ωᵀ,   Γ̃ = Γᵀ

    **Arguments:** `model`: any linear coupled-mode model; its linear laws become part of Ω̃ and Γ̃.

    **Returns:** a `CoupledModes` in the model's rate unit, lossless where the model says so, and passive where it is
    (in the same stored energy |a|²); `active` where the model is or where the numbers show gain. Reversed once more
    it has the model's matrices.

    **Raises:** `ValueError` for a model with a nonlinear law.

    Example: `nr.scattering(tcmt.reversed_bias(model), omegas)` is the transpose of `nr.scattering(model, omegas)`.

    **Notes:** D̃†D̃ and D†D differ where absorption is coherent (see `lossless_dilation`), so that γ̃_i = Γᵀ − ½K†K is
    not γ_iᵀ. Reversing the bias leaves absorption an absorption; running the motion backwards would make it a gain.

    Source: paper 3, equations 5a–5d.
    """
    omega, gamma, C, D, K = linear_matrices(model, _LINEAR)
    return coupled_modes(
        Matrices(omega.T, gamma.T, C.T, K, D),
        lossless=getattr(model, "lossless", False) and not model.laws,
        active=getattr(model, "active", False),
    )


class TimeReversalResiduals(NamedTuple):
    """How far a device and its reversed one are from the identities 5, each ‖X − Y‖/max(‖X‖, ‖Y‖), Frobenius; all [].

    `direct` C̃ − Cᵀ (5a); `outcoupling` D̃ − K (5b); `incoupling` K̃ − D (5c); `radiation` ½D̃†D̃ − ½(D†D)ᵀ (5d);
    `decay` Γ̃ − Γᵀ, with the absorption; `frequency` Ω̃ − Ωᵀ, against the spread of Ω and the linewidths, since a
    carrier frequency would hide it; `conservation` CᵀD* + K (5e); `balance` D†D − (K†K)ᵀ (5f).
    """

    direct: Float[Array, ""]
    outcoupling: Float[Array, ""]
    incoupling: Float[Array, ""]
    radiation: Float[Array, ""]
    decay: Float[Array, ""]
    frequency: Float[Array, ""]
    conservation: Float[Array, ""]
    balance: Float[Array, ""]


def time_reversal_residuals(
    model: AbstractCoupledModes, reversed_model: AbstractCoupledModes | None = None
) -> TimeReversalResiduals:
    """Measure how well a device obeys the time-reversal identities 5a–5f.

    **Arguments:**

    - `model`: a linear coupled-mode model.
    - `reversed_model`: the device of reversed bias to compare with in 5a–5d, such as one fitted to data taken at −B. By
      default the model's own motion run backwards, s₊ ↔ s₋*, a → a*:

          C̃ = C*⁻¹,   D̃ = −C*⁻¹D*,   K̃ᵀ = −K†C*⁻¹,   Ã = −A* + K†C*⁻¹D*      (A = iΩ − Γ)

    **Returns:** `TimeReversalResiduals`, relative: round-off where an identity holds, 1 or more where it is far off.

    **Raises:** `ValueError` for a model with a nonlinear law, or a `reversed_model` of another size.

    Example: `tcmt.time_reversal_residuals(at_plus_b, at_minus_b).direct`.

    **Notes:** all vanish for a lossless device; with absorption of its own (γ_i beside a unitary C and K = −CᵀD*) all
    but `decay`, as absorption run backwards is gain. A device seen through some of its ports need obey none of them:
    see it whole, `time_reversal_residuals(lossless_dilation(model))`. Where C is singular (a one-way guide) the motion
    cannot be run backwards through the ports there are, and the first six are infinite.

    Gauge: modes may be renamed by any unitary T, D → DT, K → KT*, which leaves 5a, 5e and 5f alone, and 5b–5d too if
    `reversed_model` is renamed by T*. One fitted by itself comes in a gauge of its own: for one mode a phase
    e^{iφ}, to be removed before 5b and 5c are compared. The scale of |d|/|k| is a gauge as well unless |a|² is a
    measured energy, and all of 5b–5f depend on it.

    Source: paper 3, equations 5a–5f; supplement 2.
    """
    device = linear_matrices(model, _LINEAR)
    if reversed_model is None:
        return _residuals(device, _run_backwards(device))
    other = linear_matrices(reversed_model, _LINEAR, "reversed_model")
    (ports, modes), size = device.D.shape, other.D.shape
    must = f"have {ports} ports and {modes} modes like model"
    require(size == (ports, modes), "reversed_model", must, f"of {size[0]} and {size[1]}")
    return _residuals(device, other)


class TimeBandwidth(NamedTuple):
    """The resonances of a device by rising frequency, all [N].

    `omega`: resonance frequencies; `lifetime` Δt, in which |a| falls to 1/e; `bandwidth` Δω, the full width at half
    maximum of the stored energy |a|² against frequency. NaN where a resonance does not decay.
    """

    omega: Float[Array, " mode"]
    lifetime: Float[Array, " mode"]
    bandwidth: Float[Array, " mode"]

    @property
    def product(self) -> Float[Array, " mode"]:
        """Δt Δω, [N]."""
        return self.lifetime * self.bandwidth


def time_bandwidth(model: AbstractCoupledModes) -> TimeBandwidth:
    """Lifetime and bandwidth of every resonance, and their product, which is 2 however nonreciprocal the device is:

        Δt = 1/γ_n,      Δω: |c_n(ω_n ± Δω/2)|² = ½ max |c_n|²

    with −γ_n + iω_n an eigenvalue of iΩ − Γ and c_n(ω) the amplitude of its eigenmode in the driven state.

    **Arguments:** `model`: a linear coupled-mode model.

    **Returns:** a `TimeBandwidth`, with `.product`; times in the inverse of the model's rate unit.

    **Raises:** `ValueError` for a model with a nonlinear law.

    Example: `tcmt.time_bandwidth(tcmt.CoupledModes([0.0], [[1.0]])).product` is [2.0].

    **Notes:** Δω is measured, not 2γ_n by definition: (iω − iΩ + Γ) a = Kᵀs₊ is solved at three frequencies with the
    wave that excites the resonance best (where no port reaches it, k = 0, with a force along its eigenmode), and 1/|c|²
    of a resonance is a parabola, which three points fix. Other resonances may overlap it. Near an exceptional point
    eigenmodes merge, and both numbers lose digits as the eigenvectors' condition number squared.

    Source: paper 3, supplement 1.
    """
    return _time_bandwidth(linear_matrices(model, _LINEAR))


def _run_backwards(device: Matrices) -> Matrices:
    omega, gamma, C, D, K = device
    inverse = jnp.linalg.inv(C.conj())
    feedback = K.conj().T @ inverse @ D.conj()
    return Matrices(
        omega=omega.T + skew_part(feedback),
        gamma=-gamma.T - (feedback + feedback.conj().T) / 2,
        C=inverse,
        D=-inverse @ D.conj(),
        K=-inverse.T @ K.conj(),
    )


@jax.jit
def _residuals(device: Matrices, reverse: Matrices) -> TimeReversalResiduals:
    omega, gamma, C, D, K = device
    emitted, accepted, emitted_back = (X.conj().T @ X for X in (D, K, reverse.D))
    carrier = jnp.trace(omega) / omega.shape[0] * jnp.eye(omega.shape[0])
    widths = jnp.maximum(_norm(omega - carrier), _norm(gamma))
    return TimeReversalResiduals(
        direct=_relative(reverse.C, C.T),
        outcoupling=_relative(reverse.D, K),
        incoupling=_relative(reverse.K, D),
        radiation=_relative(emitted_back, emitted.T),
        decay=_relative(reverse.gamma, gamma.T),
        frequency=_ratio(_norm(reverse.omega - omega.T), widths),
        conservation=_relative(-C.T @ D.conj(), K),
        balance=_relative(emitted, accepted.T),
    )


def _relative(X: Array, Y: Array) -> Array:
    return _ratio(_norm(X - Y), jnp.maximum(_norm(X), _norm(Y)))


def _ratio(difference: Array, size: Array) -> Array:
    ratio = jnp.where(difference == 0, 0.0, difference / jnp.where(size == 0, 1.0, size))
    return jnp.where(jnp.isfinite(ratio), ratio, jnp.inf)


def _norm(X: Array) -> Array:
    power = jnp.sum(X.real**2 + X.imag**2)
    return jnp.where(power == 0, 0.0, jnp.sqrt(jnp.where(power == 0, 1.0, power)))


@jax.jit
def _time_bandwidth(device: Matrices) -> TimeBandwidth:
    # Without the carrier, of which linewidths may be a millionth.
    modes = device.omega.shape[0]
    carrier = jnp.trace(device.omega).real / modes
    A = 1j * (device.omega - carrier * jnp.eye(modes)) - device.gamma
    poles, right = lax.linalg.eig(A, compute_left_eigenvectors=False, enable_eigvec_derivs=True)
    order = jnp.argsort(poles.imag)
    poles, right = poles[order], right[:, order]
    left = jnp.linalg.inv(right)
    rates = jnp.where(poles.real < 0, -poles.real, jnp.nan)
    width = jax.vmap(_width_at_half_height, in_axes=(None, None, 0, 0, 0))
    bandwidth = width(A, device.K, left, right.T, poles.imag + 1j * rates)
    return TimeBandwidth(carrier + poles.imag, 1 / rates, bandwidth)


def _width_at_half_height(
    A: Complex[Array, "mode mode"],
    K: Complex[Array, "port mode"],
    left: Complex[Array, " mode"],
    right: Complex[Array, " mode"],
    place: Complex[Array, ""],
) -> Float[Array, ""]:
    """The full width at half height of |left · a(ω)|², sampled at Re `place` and Im `place` on either side of it."""
    coupling = left @ K.T
    drive, overlap = K.T @ coupling.conj(), jnp.sum(coupling.real**2 + coupling.imag**2)
    bound = jnp.sum(jnp.abs(left) ** 2) * jnp.sum(jnp.abs(K) ** 2)
    dark = overlap <= jnp.finfo(bound.dtype).eps * bound
    drive = jnp.where(dark, right, drive / jnp.where(dark, 1.0, overlap))
    frequencies = place.real + place.imag * jnp.asarray([-1.0, 0.0, 1.0], place.real.dtype)
    a = jax.vmap(lambda omega: jnp.linalg.solve(1j * omega * jnp.eye(A.shape[0]) - A, drive))(frequencies)
    c = a @ left
    below, here, above = 1 / (c.real**2 + c.imag**2)
    curvature, slope = (above + below) / 2 - here, (above - below) / 2
    least = here - slope**2 / (4 * curvature)
    return 2 * place.imag * jnp.sqrt(least / curvature)
