"""Steady amplitudes of coupled modes: linear, exact for two modes with nonlocal loss, or by Newton.

(iω − iΩ + Γ) a + Σ f_law(a) = Kᵀ s₊
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.results import RESULTS
from diffnr.root import follow, newton
from diffnr.tcmt.least_norm import least_norm, round_off
from diffnr.tcmt.loss import AbstractLaw, NonlocalLoss
from diffnr.tcmt.matrices import Matrices


def outgoing(matrices: Matrices, s_plus: Array, a: Array) -> Complex[Array, " port"]:
    """The waves that leave, s₋ = C s₊ + D a, [M]."""
    return _times(matrices.C, s_plus) + _times(matrices.D, a)


def linear_part(matrices: Matrices, laws: tuple[AbstractLaw, ...], omega: Array) -> Complex[Array, "mode mode"]:
    """A = iΩ − iω − Γ − the linear laws, [N, N]: a' = A a + Kᵀs₊ − … in the frame of e^{iωt}."""
    A = 1j * matrices.omega - matrices.gamma - 1j * omega * jnp.eye(matrices.omega.shape[0], dtype=omega.dtype)
    identity = jnp.eye(A.shape[0], dtype=A.dtype)
    return A - sum((jax.vmap(law.damping, out_axes=1)(identity) for law in laws if law.linear), 0)


def solve(
    matrices: Matrices,
    laws: tuple[AbstractLaw, ...],
    omega: Array,
    s_plus: Array,
    guess: Array | None,
    unit: Array | float = 1.0,
) -> tuple[Complex[Array, " mode"], Any]:
    """Amplitudes a [N] of the steady state, and a `RESULTS`: the closed form where there is one, else Newton.

    s₊, the guess and a are in a `unit`, which laws that are not homogeneous see."""
    f = _times(matrices.K.T, s_plus)
    M = -linear_part(matrices, laws, omega)
    nonlinear = tuple(law for law in laws if not law.linear)
    if not nonlinear:
        return finite_or_failed(least_norm(M, f))
    if has_closed_form(laws, f.size):
        [law] = (law for law in nonlinear if isinstance(law, NonlocalLoss))
        return finite_or_failed(two_mode_nonlocal(M, f, law, guess))
    return _newton(M, f, nonlinear, guess, unit)


def finite_or_failed(values: Array, result: Any = RESULTS.successful) -> tuple[Array, Any]:
    """`values` and `result`, or NaN and `nonfinite` where any of them is not finite: a matrix was singular."""
    finite = jnp.all(jnp.isfinite(values))
    return jnp.where(finite, values, jnp.nan), RESULTS.where(finite, result, RESULTS.nonfinite)


def has_closed_form(laws: tuple[AbstractLaw, ...], num_modes: int) -> bool:
    """Whether the exact nonlocal law applies: two modes, and besides it only linear laws."""
    nonlinear = [law for law in laws if not law.linear]
    exact = [law for law in nonlinear if isinstance(law, NonlocalLoss) and law.epsilon is None]
    return num_modes == 2 and len(exact) == len(nonlinear) == 1


def two_mode_nonlocal(
    M: Complex[Array, "2 2"], f: Complex[Array, "2"], law: NonlocalLoss, guess: Complex[Array, "2"] | None = None
) -> Complex[Array, "2"]:
    """The exact solution of M a + γ_k |a_s| e^{i arg a_m} e_m = f for two modes, whatever is driven.

    Both rows are homogeneous, so the ratio w = a_m/a_s = ρu, |u| = 1, obeys an equation of its own,

        (Zρ + γ_k f_s) u = k,      Z = f_s M_mm − f_m M_sm,      k = f_m M_ss − f_s M_ms,

    whose modulus is a quadratic for ρ. If it has no positive root the mode is extinct, a_m = 0 exactly.

    **Arguments:** `M` [2, 2] and `f` [2], the linear problem; `law`: says which mode loses, and γ_k; `guess`: [2],
    chooses among several solutions (they exist only with both modes driven); by default the one continued from γ_k = 0.

    **Returns:** a [2].

    Source: generalises paper 1, equations 3–4 (there f_m = 0: Z = f_s Z₂, k = iκ f_s).
    """
    # In float32 the powers below would overflow at rates in rad/s, hence units of the rates and of the drive. As the
    # solution is homogeneous in both, these carry no derivative.
    rate, drive = (lax.stop_gradient(nonzero(jnp.max(jnp.abs(x)))) for x in (M, f))
    unit = drive / rate
    guess = None if guess is None else guess / unit
    return unit * _two_modes(M / rate, f / drive, law.gamma_k / rate, guess, law.mode, law.sensed)


# The derivative is the implicit function's: cheaper than that of the formulas below, and finite where they are not.
# Entries, rather than arrays of two, let a large vmap run over long vectors.
@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def _two_modes(M: Array, f: Array, gamma_k: Array, guess: Array | None, m: int, s: int) -> Array:
    candidates, _ = _candidates(M, f, gamma_k, m, s)
    if guess is None:
        return candidates[0]
    return candidates[jnp.argmin(jnp.sum(_power(candidates - guess), axis=1))]


def two_mode_states(M: Array, f: Array, law: NonlocalLoss) -> tuple[Complex[Array, "3 2"], Bool[Array, "3"]]:
    """All solutions of `two_mode_nonlocal`, and which of the three there are; without derivatives."""
    M, f, gamma_k = lax.stop_gradient((M, f, law.gamma_k))
    rate, drive = (nonzero(jnp.max(jnp.abs(x))) for x in (M, f))
    candidates, several = _candidates(M / rate, f / drive, gamma_k / rate, law.mode, law.sensed)
    return drive / rate * candidates, jnp.stack([jnp.ones_like(several), several, several])


def _candidates(M: Array, f: Array, gamma_k: Array, m: int, s: int) -> tuple[Array, Array]:
    """The default solution, a second moving one and the extinct one; and whether these two stand beside it."""
    M_mm, M_ms, M_sm, M_ss, f_m, f_s = M[m, m], M[m, s], M[s, m], M[s, s], f[m], f[s]
    Z, k = f_s * M_mm - f_m * M_sm, f_m * M_ss - f_s * M_ms
    friction = gamma_k * jnp.abs(f_s)
    excess = (jnp.abs(k) - friction) * (jnp.abs(k) + friction)
    b = gamma_k * (Z * jnp.conj(f_s)).real
    discriminant = _power(Z) * _power(k) - (gamma_k * (Z * jnp.conj(f_s)).imag) ** 2
    extinct = jnp.where(b >= 0, excess <= 0, discriminant < 0)
    root = jnp.sqrt(jnp.where(extinct, 1.0, discriminant))

    def moving(numerator: Array, denominator: Array) -> Array:
        w = Z * numerator + gamma_k * f_s * denominator
        u = jnp.where(w == 0, 1.0, k * jnp.conj(w))
        lossy = numerator * u / jnp.abs(u)
        friction = gamma_k * denominator * u / jnp.abs(u)
        image_m, image_s = M_mm * lossy + M_ms * denominator + friction, M_sm * lossy + M_ss * denominator
        scale = (jnp.conj(image_m) * f_m + jnp.conj(image_s) * f_s) / nonzero(_power(image_m) + _power(image_s))
        return _ordered(lossy * scale, denominator * scale, m)

    # ρ = numerator/denominator, in the form without cancellation for either sign of b.
    at_rest = _ordered(jnp.zeros_like(f_m), f_s / nonzero(M_ss), m)
    upper = moving(jnp.where(b >= 0, excess, root - b), jnp.where(b >= 0, b + root, _power(Z)))
    default = jnp.where(extinct, at_rest, upper)
    # A second moving solution and the extinct one exist beside the default where b < 0 and the excess is negative.
    several = ~extinct & (b < 0) & (excess < 0)
    others = (jnp.where(several, other, default) for other in (moving(-b - root, _power(Z)), at_rest))
    return jnp.stack([default, *others]), several


@_two_modes.defjvp
def _two_modes_jvp(m: int, s: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    # As friction is γ_k a_s u with |u| = 1, a obeys the linear equations with the coupling M_ms + γ_k u; their
    # differential
    # has one more unknown, the turn dθ of u, which is the imaginary part of the ratio's equation, differentiated.
    M, f, gamma_k, guess = primals
    M_dot, f_dot, gamma_k_dot, _ = tangents
    a = _two_modes(M, f, gamma_k, guess, m, s)
    M_mm, M_ms, M_sm, M_ss = M[m, m], M[m, s], M[s, m], M[s, s]
    a_m, a_s, f_m, f_s, dark = a[m], a[s], f[m], f[s], a[s] == 0
    w = a_m / nonzero(a_s)
    rho = jnp.abs(nonzero(w))
    u = nonzero(w) / rho
    Z = f_s * M_mm - f_m * M_sm
    coupling = jnp.where(dark, M_ms, f_m / nonzero(a_s) - M_mm * w)
    determinant = jnp.where(dark, M_mm * M_ss - M_ms * M_sm, Z / nonzero(a_s))
    row = f_dot - _times(M_dot, a)
    # A sum, since the transpose of an index is a padding, which is slow in a large batch.
    row_m, r_s = (jnp.sum(jnp.where(jnp.arange(2) == i, row, 0.0)) for i in (m, s))
    r_m = row_m - gamma_k_dot * jnp.where(a_m == 0, 0.0, a_s * u)
    slope = _power(Z) * rho + gamma_k * (Z * jnp.conj(f_s)).real
    turn = ((f_s * r_m - f_m * r_s) * (jnp.conj(Z) / (nonzero(a_s) * u))).imag / nonzero(slope)
    r_m = r_m - 1j * gamma_k * a_s * u * turn
    held = (a_m == 0) & (gamma_k > 0)
    a_m_dot = jnp.where(held, 0.0, (M_ss * r_m - coupling * r_s) / nonzero(determinant))
    a_s_dot = jnp.where(held, r_s / nonzero(M_ss), (M_mm * r_s - M_sm * r_m) / nonzero(determinant))
    return a, _ordered(a_m_dot, a_s_dot, m)


def _ordered(a_m: Array, a_s: Array, m: int) -> Array:
    return jnp.stack([a_m, a_s] if m == 0 else [a_s, a_m])


def _newton(
    M: Array, f: Array, laws: tuple[AbstractLaw, ...], guess: Array | None, unit: Array | float
) -> tuple[Complex[Array, " mode"], Any]:
    args = in_units_of_the_drive(M, f, laws)
    drive, args = args.drive, args._replace(drive=args.drive * unit)
    if guess is None:
        solution = follow(branch_residual, weakly_driven(args), args)
    else:
        solution = newton(residual_at_full_drive, split(guess / drive), args)
    a = join(solution.value) * drive
    wrong = stirred(M, f, a)
    return jnp.where(wrong, jnp.nan, a), RESULTS.where(wrong, RESULTS.nonfinite, solution.result)


class Driven(NamedTuple):
    """The equations of a steady state with amplitudes in units of the drive: homogeneous laws then never see the power,
    and tolerances mean something."""

    M: Complex[Array, "mode mode"]
    f: Complex[Array, " mode"]
    drive: Float[Array, ""]
    laws: tuple[AbstractLaw, ...]


def in_units_of_the_drive(M: Array, f: Array, laws: tuple[AbstractLaw, ...]) -> Driven:
    """The problem M a + Σ f_law(a) = f in units of |f|, with a loss of those modes that would else be undetermined."""
    power = jnp.sum(_power(f))
    drive = jnp.sqrt(jnp.where(power > 0, power, 1.0))
    return Driven(M + jnp.diag(_alone(M, f)), f / drive, drive, laws)


def _alone(M: Array, f: Array) -> Float[Array, " mode"]:
    """A rate for every mode that is neither driven nor coupled, does not decay and is tuned to the drive; else 0.

    Of all amplitudes it may have the least is 0, as in `least_norm`, and no loss changes that.
    """
    size = jnp.abs(lax.stop_gradient(M))
    largest = jnp.max(size)
    none = jnp.maximum(jnp.max(size, axis=0), jnp.max(size, axis=1)) <= round_off(M) * largest
    return jnp.where(none & (f == 0), jnp.where(largest > 0, largest, 1.0), 0.0)


def stirred(M: Array, f: Array, a: Array) -> Bool[Array, ""]:
    """Whether nonlinear laws move a mode to which `in_units_of_the_drive` gave a loss: a is then no solution."""
    return jnp.any(_alone(M, f) * jnp.abs(a) > jnp.sqrt(jnp.finfo(f.dtype).eps) * jnp.max(jnp.abs(f)))


def weakly_driven(args: Driven) -> Array:
    """The linear response, with every law as it is at vanishing drive: there one Newton step is exact from anywhere."""
    y, t = jnp.ones(2 * args.f.size, args.drive.dtype), jnp.full((), 1e-15, args.drive.dtype)
    return y - jnp.linalg.solve(jax.jacfwd(branch_residual)(y, t, args), branch_residual(y, t, args))


def branch_residual(y: Array, t: Array, args: Driven) -> Array:
    """The equation at the fraction t of the drive amplitude, with laws softened accordingly, divided by the drive."""
    M, f, drive, laws = args
    a = join(y)
    damping = sum((law.softened(t).damping(t * drive * a) for law in laws), jnp.zeros_like(f))
    return split(M @ a + damping / (t * drive) - f)


def residual_at_full_drive(y: Array, args: Driven) -> Array:
    """The equation M y + f_law(y)/drive = f of the drive itself, for real y."""
    return branch_residual(y, jnp.ones((), y.dtype), args)


def split(z: Array) -> Array:
    """A complex vector as a real one, real parts first: solvers are for reals."""
    return jnp.concatenate([z.real, z.imag])


def join(y: Array) -> Array:
    """The complex vector that `split` made real."""
    real, imag = jnp.split(y, 2)
    return real + 1j * imag


def _times(matrix: Array, vector: Array) -> Array:
    # A sum, since XLA on a CPU takes the products of a large batch one by one.
    return jnp.sum(matrix * vector, axis=1)


def _power(z: Array) -> Array:
    return z.real**2 + z.imag**2


def nonzero(z: Array) -> Array:
    """z, and 1 in place of 0, to divide by where the quotient is not used."""
    return jnp.where(z == 0, 1.0, z)
