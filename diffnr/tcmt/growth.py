"""Whether small disturbances of a steady state grow: by arithmetic alone, so that it costs little in a batch.

exp(hA)^(2^k) → 0 for large k where every eigenvalue of A has Re λ < 0,      → ∞ where one has Re λ > 0

and for two modes with the exact nonlocal law, whose steady state is a closed form, Hurwitz's criterion.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.results import RESULTS, succeeded
from diffnr.root import frozen
from diffnr.tcmt.loss import AbstractLaw, IdealNonreciprocalCoupling, NonlocalLoss, SaturableLoss, TwoPhotonLoss
from diffnr.tcmt.matrices import Matrices
from diffnr.tcmt.proximal import held, velocity
from diffnr.tcmt.seldom import unless
from diffnr.tcmt.solve import has_closed_form, linear_part

LARGE = 1e12  # a norm that powers of a matrix reach only if they grow without end
ORDER = 6  # of the exponential's series: (1/64)⁷/7! is below round-off


def judged(
    matrices: Matrices, laws: tuple[AbstractLaw, ...], omega: Array, s_plus: Array, a: Array, result: Any
) -> Any:
    """`result` of the steady state a [N], or `unstable` instead of success where small disturbances of it grow.

    The poles of a linear device do not depend on ω, and many a nonlinear one is known to be monotone: in a batch over
    frequencies or drives one such look at the model is all that it costs.
    """
    matrices, laws, omega, s_plus, a = frozen((matrices, laws, omega, s_plus, a))
    reference = jnp.trace(matrices.omega.real) / len(matrices.omega)  # of the frequencies: what is left are differences
    A = linear_part(matrices, laws, reference)
    margin = monotone_margin(A, laws)
    known = jnp.zeros((), bool) if margin is None else _positive_definite(margin)

    def of_pair(a: Array) -> Bool[Array, ""]:
        rates = pair_rates(linear_part(matrices, laws, omega), laws, a)
        decays, growing = hurwitz(rates)
        return growing | grows(-jnp.array(rates), decays | growing | ~succeeded(result))

    def of_any(a: Array) -> Bool[Array, ""]:
        return grows(_with_rest(*linearised(matrices, laws, omega, s_plus, a)))

    if all(law.linear for law in laws):
        growing = grows(A, known)
    else:
        judge = of_pair if has_closed_form(laws, a.size) else of_any
        growing = unless(known, jnp.zeros((), bool), judge, a)
    return RESULTS.where(succeeded(result) & growing, RESULTS.unstable, result)


def grows(A: Array, known: Bool[Array, ""] | bool = False) -> Bool[Array, ""]:
    """Whether A [n, n], real or complex, has an eigenvalue with Re λ > 0, by more than round-off of its norm.

    Not looked at, and False, where it is `known`.
    """
    precision = jnp.finfo(A.dtype)
    identity = jnp.eye(A.shape[0], dtype=A.dtype)
    norm = _norm(A)
    x = A * (1 / (64 * jnp.where(norm > 0, norm, 1.0)))

    def going(state: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        _, size, k = state
        return (k < 0) | ((size >= 1) & (size <= LARGE) & (k < precision.nmant))

    # The exponential by Horner's rule, then its squares: one product compiles several times faster than four.
    def multiply(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        power, _, k = state
        series = k < 0
        power = jnp.where(series, identity, 0.0) + _times(jnp.where(series, x * (-1 / k), power), power)
        return power, _norm(power), k + 1

    start = identity, jnp.ones_like(norm), jnp.where(known, precision.nmant, -ORDER)
    _, size, _ = lax.while_loop(going, multiply, start)
    return size > LARGE


def pair_rates(
    A: Complex[Array, "2 2"], laws: tuple[AbstractLaw, ...], a: Complex[Array, "2"]
) -> list[list[Float[Array, ""]]]:
    """How small disturbances of two modes with nonlocal loss decay: −J, by entries, lest a large batch be slow.

    With δa_m = x a_m/|a_m|, δa_s = y a_s/|a_s| and the ratio w = a_m/a_s, for Re x, Im x, Re y and Im y,

        x' = A_mm x + A_ms y |w|/w − γ_k (Re y + i Im x/|w|),      y' = A_ss y + A_sm x w/|w|

    and x' = −|A_ss| x, apart from y, for a mode that friction holds.
    """
    [law] = (law for law in laws if isinstance(law, NonlocalLoss))
    m, s = law.mode, law.sensed
    dark_m, dark_s = a[m] == 0, a[s] == 0
    held = dark_m & ~dark_s & (law.gamma_k > 0)
    gamma_k = jnp.where(dark_m | dark_s, 0.0, law.gamma_k)
    size_m, size_s = jnp.where(dark_m, 1.0, jnp.abs(a[m])), jnp.where(dark_s, 1.0, jnp.abs(a[s]))
    u = jnp.where(dark_m | dark_s, 1.0, a[m] * jnp.conj(a[s]) / (size_m * size_s))
    u = jnp.where(held, 0.0, u)
    mm, ms, sm, ss = jnp.where(held, -jnp.abs(A[s, s]), A[m, m]), A[m, s] * jnp.conj(u), A[s, m] * u, A[s, s]
    return [
        [-mm.real, mm.imag, gamma_k - ms.real, ms.imag],
        [-mm.imag, gamma_k * (size_s / size_m) - mm.real, -ms.imag, -ms.real],
        [-sm.real, sm.imag, -ss.real, ss.imag],
        [-sm.imag, -sm.real, -ss.imag, -ss.real],
    ]


def hurwitz(P: list[list[Float[Array, ""]]]) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
    """Whether all four eigenvalues of P surely have Re λ > 0, and whether one surely has Re λ < 0, despite round-off.

    Of det(λ + P) = λ⁴ + p₁λ³ + p₂λ² + p₃λ + p₄ all coefficients and p₁p₂p₃ − p₃² − p₁²p₄ are positive where they all
    have, and one is negative only where one has not.
    """

    def minor(i: int, j: int, k: int, n: int) -> Array:
        return P[i][k] * P[j][n] - P[i][n] * P[j][k]

    pairs = [(k, n) for k in range(4) for n in range(k + 1, 4)]
    upper, lower = ({(k, n): minor(*rows, k, n) for k, n in pairs} for rows in ((0, 1), (2, 3)))
    p1 = P[0][0] + P[1][1] + P[2][2] + P[3][3]
    p2 = upper[0, 1] + lower[2, 3] + sum(minor(i, j, i, j) for i in (0, 1) for j in (2, 3))
    p3 = sum(P[i][i] * upper[0, 1] - P[i][1] * upper[0, i] + P[i][0] * upper[1, i] for i in (2, 3))
    p3 = p3 + sum(P[i][i] * lower[2, 3] - P[i][2] * lower[i, 3] + P[i][3] * lower[i, 2] for i in (0, 1))
    signs = {(0, 2): -1, (1, 3): -1}
    p4 = sum(signs.get((k, n), 1) * upper[k, n] * lower[pairs[5 - i]] for i, (k, n) in enumerate(pairs))
    # The sums of the absolute values of all products of entries of 1, 2, … rows: what round-off is a share of.
    a, b, c, d = (sum(jnp.abs(entry) for entry in row) for row in P)
    e1, e2, e3, e4 = a + b + c + d, a * b + c * d + (a + b) * (c + d), a * b * (c + d) + c * d * (a + b), a * b * c * d
    numbers = (p1, e1), (p2, e2), (p3, e3), (p4, e4), (p1 * p2 * p3 - p3 * p3 - p1 * p1 * p4, e1 * e2 * e3)
    round_off = 32 * jnp.finfo(p1.dtype).eps
    positive, negative = jnp.ones((), bool), jnp.zeros((), bool)
    for p, e in numbers:
        positive, negative = positive & (p > round_off * e), negative | (p < -round_off * e)
    return positive, negative


def _pattern(rows: tuple[int, ...], columns: tuple[int, ...], size: int) -> np.ndarray:
    pattern = np.zeros((size, size), np.float32)
    pattern[rows, columns] = 1
    return pattern


def _with_rest(jacobian: Array, rest: Array) -> Array:
    """The Jacobian with decay in place of the modes that friction holds."""
    return jacobian - jnp.diag(jnp.where(jnp.concatenate([rest, rest]), _norm(jacobian), 0.0))


def _positive_definite(matrix: Array) -> Bool[Array, ""]:
    """Whether all pivots of a real symmetric matrix are positive, by elimination."""
    positive = jnp.ones((), bool)
    for _ in range(len(matrix)):
        positive = positive & (matrix[0, 0] > 0)
        matrix = matrix[1:, 1:] - matrix[1:, :1] * matrix[:1, 1:] / jnp.where(matrix[0, 0] == 0, 1.0, matrix[0, 0])
    return positive


def monotone_margin(A: Complex[Array, "mode mode"], laws: tuple[AbstractLaw, ...]) -> Float[Array, "mode mode"] | None:
    """A matrix that is positive definite only if any two motions approach each other, or None for unknown laws.

    **Arguments:** `A`: `linear_part` at any frequency; `laws`.
    """
    couplings = jnp.abs((A + A.conj().T) * 0.5)
    margin = jnp.where(np.eye(len(A), dtype=bool), -A.real, -couplings)
    for law in laws:
        if isinstance(law, NonlocalLoss):
            margin = margin - _pattern((law.mode, law.sensed), (law.sensed, law.mode), len(A)) * (law.gamma_k / 2)
        elif isinstance(law, SaturableLoss):
            margin = margin - _pattern((law.mode,), (law.mode,), len(A)) * (law.coefficient / 8)
        elif not isinstance(law, TwoPhotonLoss | IdealNonreciprocalCoupling) and not law.linear:
            return None
    return margin


def linearised(
    matrices: Matrices, laws: tuple[AbstractLaw, ...], omega: Array, s_plus: Array, a: Array
) -> tuple[Float[Array, "part part"], Bool[Array, " mode"]]:
    """∂(Re a', Im a')/∂(Re a, Im a) [2N, 2N], with nothing in the rows and columns of modes at rest; and which rest."""
    A = linear_part(matrices, laws, omega)
    nonlinear = tuple(law for law in laws if not law.linear)
    if not has_closed_form(laws, a.size):
        nonlinear = tuple(law.softened(1.0) for law in nonlinear)  # regularised, as the steady state's are
    f = matrices.K.T @ s_plus
    rest = held(nonlinear, a)

    def slope(y: Array) -> Array:
        real, imag = jnp.split(y, 2)
        rate = velocity(A, nonlinear, jnp.where(rest, 0.0, real + 1j * imag), f)
        rate = jnp.where(rest, 0.0, rate)
        return jnp.concatenate([rate.real, rate.imag])

    return jax.jacfwd(slope)(jnp.concatenate([a.real, a.imag])), rest


def _times(a: Array, b: Array) -> Array:
    # A sum where matrices are small, since XLA on a CPU takes the products of a large batch one by one.
    return jnp.sum(a[:, :, None] * b, axis=1) if len(a) <= 8 else a @ b


def _norm(A: Array) -> Array:
    return jnp.sqrt(jnp.sum(A.real**2 + A.imag**2))
