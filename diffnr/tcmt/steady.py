"""Steady states of coupled modes at one frequency: linear, exact for two modes with nonlocal loss, or by Newton.

    (iω − iΩ + Γ) a + Σ f_law(a) = Kᵀ s₊
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.checks import as_complex, as_real, require, require_finite
from diffnr.root import RESULTS, follow, newton
from diffnr.tcmt.loss import AbstractLaw, NonlocalLoss

if TYPE_CHECKING:
    from diffnr.tcmt.modes import AbstractCoupledModes, Matrices


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
    s_plus: ArrayLike,
    *,
    guess: ArrayLike | None = None,
    throw: bool = True,
) -> SteadyState:
    """The steady state with any ports driven at once, at one frequency.

    **Arguments:**

    - `model`: a coupled-mode model.
    - `omega`: [], angular frequency in the model's rate unit.
    - `s_plus`: [M] complex, incoming amplitudes; |s|² is a power. For given powers pass their square roots with phases.
    - `guess`: [N] complex, amplitudes to start from, which choose among several branches; by default the branch continued
      from the linear response in drive amplitude, at fixed frequency.
    - `throw`: raise where the solve fails; otherwise `result` says so, with NaN values and gradients.

    **Returns:** a `SteadyState`.

    **Raises:** `ValueError` for shapes or non-finite values; `RuntimeError` with the cause if `throw` and the solve fails.

    **Notes:** responses of a nonlinear device do not superpose: with both ports driven the answer is not the sum of the two
    one-port responses, even for nonlocal loss, whose one-port response does not depend on power.
    """
    omega, s_plus = as_real(omega), as_complex(s_plus)
    require(omega.ndim == 0, "omega", "be a scalar (use jax.vmap for many)", f"of shape {omega.shape}")
    require(s_plus.shape == (model.num_ports,), "s_plus", f"have shape {(model.num_ports,)}", f"of shape {s_plus.shape}")
    require_finite("omega", omega)
    require_finite("s_plus", s_plus)
    if guess is not None:
        guess = as_complex(guess)
        require(guess.shape == (model.num_modes,), "guess", f"have shape {(model.num_modes,)}", f"of shape {guess.shape}")
    return _steady_state(model, omega, s_plus, guess, throw)


@eqx.filter_jit
def _steady_state(
    model: AbstractCoupledModes, omega: Array, s_plus: Array, guess: Array | None, throw: bool
) -> SteadyState:
    matrices = model.matrices()
    a, result = solve(matrices, model.laws, omega, s_plus, guess)
    if throw:
        a = result.error_if(a, result != RESULTS.successful)
    return SteadyState(omega, s_plus, matrices.C @ s_plus + matrices.D @ a, a, result)


def solve(
    matrices: Matrices, laws: tuple[AbstractLaw, ...], omega: Array, s_plus: Array, guess: Array | None
) -> tuple[Complex[Array, " mode"], Any]:
    """Amplitudes a [N] of the steady state, and a `RESULTS`: the closed form where there is one, else Newton."""
    f = matrices.K.T @ s_plus
    M = 1j * omega * jnp.eye(f.size) - 1j * matrices.omega + matrices.gamma
    M = M + sum((jax.vmap(law.damping, out_axes=1)(jnp.eye(f.size, dtype=M.dtype)) for law in laws if law.linear), 0)
    nonlinear = tuple(law for law in laws if not law.linear)
    if not nonlinear:
        return jnp.linalg.solve(M, f), RESULTS.successful
    if f.size == 2 and len(nonlinear) == 1 and isinstance(nonlinear[0], NonlocalLoss) and nonlinear[0].epsilon is None:
        return two_mode_nonlocal(M, f, nonlinear[0], guess), RESULTS.successful
    return _newton(M, f, nonlinear, guess)


def two_mode_nonlocal(
    M: Complex[Array, "2 2"], f: Complex[Array, "2"], law: NonlocalLoss, guess: Complex[Array, "2"] | None = None
) -> Complex[Array, "2"]:
    """The exact solution of M a + γ_k |a_s| e^{i arg a_m} e_m = f for two modes, whatever is driven.

    Both rows are homogeneous, so the ratio w = a_m/a_s = ρu, |u| = 1, obeys an equation of its own,

        (Zρ + γ_k f_s) u = k,      Z = f_s M_mm − f_m M_sm,      k = f_m M_ss − f_s M_ms,

    whose modulus is a quadratic for ρ. If it has no positive root the mode is extinct, a_m = 0 exactly.

    **Arguments:** `M` [2, 2] and `f` [2], the linear problem; `law`: says which mode loses, and γ_k; `guess`: [2], chooses
    among several solutions (they exist only with both modes driven); by default the one continued from γ_k = 0.

    **Returns:** a [2].

    Source: generalises paper 1, equations 3–4 (there f_m = 0: Z = f_s Z₂, k = iκ f_s).
    """
    m, s, gamma_k = law.mode, law.sensed, law.gamma_k
    f_m, f_s = f[m], f[s]
    Z = f_s * M[m, m] - f_m * M[s, m]
    k = f_m * M[s, s] - f_s * M[m, s]
    friction = gamma_k * jnp.abs(_nonzero(f_s)) * (f_s != 0)
    excess = (jnp.abs(_nonzero(k)) - friction) * (jnp.abs(_nonzero(k)) + friction) * (k != 0)
    cross = Z * jnp.conj(f_s) * gamma_k
    discriminant = _power(Z) * _power(k) - cross.imag**2
    extinct = jnp.where(cross.real >= 0, excess <= 0, discriminant < 0)
    extinct_amplitudes = jnp.zeros_like(f).at[s].set(f_s / M[s, s])

    # Extinct lanes take harmless numbers through the formulas below, so that no derivative there is NaN.
    Z, k, root_f = (jnp.where(extinct, 1.0, x) for x in (Z, k, f_s))
    b, gamma_k = jnp.where(extinct, 0.0, cross.real), jnp.where(extinct, 0.0, gamma_k)
    excess, discriminant = jnp.where(extinct, 1.0, excess), jnp.where(extinct, 1.0, discriminant)
    root = jnp.sqrt(_nonzero(discriminant)) * (discriminant != 0)

    def amplitudes(numerator: Array, denominator: Array) -> Array:
        w = Z * numerator + gamma_k * root_f * denominator
        u = jnp.where(w == 0, 1.0, k * jnp.conj(w))
        u = u / jnp.abs(u)
        direction = jnp.zeros_like(f).at[s].set(denominator).at[m].set(numerator * u)
        image = M @ direction + jnp.zeros_like(f).at[m].set(gamma_k * denominator * u)
        image = jnp.where(extinct, 1.0, image)
        return direction * (jnp.vdot(image, f) / jnp.vdot(image, image))

    # ρ = numerator/denominator, in the form without cancellation for either sign of b.
    falling = b >= 0
    upper = amplitudes(jnp.where(falling, excess, root - b), jnp.where(falling, b + root, _power(Z)))
    default = jnp.where(extinct, extinct_amplitudes, upper)
    if guess is None:
        return default
    # A second moving solution and the extinct one exist beside the default where b < 0 and the excess is negative.
    several = ~extinct & (b < 0) & (excess < 0)
    lower = amplitudes(jnp.where(several, -b - root, 1.0), jnp.where(several, _power(Z), 1.0))
    candidates = jnp.stack([default, jnp.where(several, lower, default), jnp.where(several, extinct_amplitudes, default)])
    return candidates[jnp.argmin(jnp.sum(_power(candidates - guess), axis=1))]


def _newton(
    M: Array, f: Array, laws: tuple[AbstractLaw, ...], guess: Array | None
) -> tuple[Complex[Array, " mode"], Any]:
    # Amplitudes in units of the drive: homogeneous laws then never see the power, and tolerances mean something.
    power = jnp.sum(_power(f))
    drive = jnp.sqrt(jnp.where(power > 0, power, 1.0))
    args = (M, f / drive, drive, laws)
    if guess is None:
        solution = follow(_residual, _split(jnp.linalg.solve(M, f / drive)), args)
    else:
        solution = newton(_residual_at_full_drive, _split(guess / drive), args)
    return _join(solution.value) * drive, solution.result


def _residual(y: Array, t: Array, args: Any) -> Array:
    """The equation at the fraction t of the drive amplitude, with laws softened accordingly, divided by the drive."""
    M, f, drive, laws = args
    a = _join(y)
    damping = sum((law.softened(t).damping(t * drive * a) for law in laws), jnp.zeros_like(f))
    return _split(M @ a + damping / (t * drive) - f)


def _residual_at_full_drive(y: Array, args: Any) -> Array:
    return _residual(y, jnp.ones((), y.dtype), args)


def _split(z: Array) -> Array:
    return jnp.concatenate([z.real, z.imag])


def _join(y: Array) -> Array:
    real, imag = jnp.split(y, 2)
    return real + 1j * imag


def _power(z: Array) -> Array:
    return z.real**2 + z.imag**2


def _nonzero(z: Array) -> Array:
    return jnp.where(z == 0, 1.0, z)
