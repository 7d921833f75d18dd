"""The matrices of a linear coupled-mode device."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Complex


class Matrices(NamedTuple):
    """The matrices of a' = (iΩ − Γ) a + Kᵀ s₊, s₋ = C s₊ + D a, in the model's rate unit.

    `omega` [N, N] Hermitian, `gamma` [N, N] all linear loss (radiative and absorptive), `C` [M, M], `D` [M, N], `K` [M,
    N].
    """

    omega: Complex[Array, "mode mode"]
    gamma: Complex[Array, "mode mode"]
    C: Complex[Array, "port port"]
    D: Complex[Array, "port mode"]
    K: Complex[Array, "port mode"]
