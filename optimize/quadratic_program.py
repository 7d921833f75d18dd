"""Small dense convex quadratic programs, by an interior-point method in one compiled loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def quadratic_program(
    H: Float[Array, "n n"],
    c: Float[Array, " n"],
    A: Float[Array, "m n"],
    b: Float[Array, " m"],
    x0: Float[Array, " n"],
    z0: Float[Array, " m"],
    *,
    max_steps: int = 40,
) -> tuple[Float[Array, " n"], Float[Array, " m"]]:
    """Minimum of ½xᵀHx + cᵀx subject to Ax ≤ b, by Mehrotra's predictor and corrector.

    **Arguments:** `H`: positive semidefinite; `c`, `A`, `b`: the rest of the problem, scaled to be near 1; `x0`: [n],
    strictly inside, A x0 < b; `z0`: [m], positive duals to start from; `max_steps`: of the interior-point iteration.

    **Returns:** x [n] and the duals z [m] ≥ 0. It ends where the gap no longer falls.

    Source: Nocedal & Wright, Numerical Optimization, 2nd ed., algorithm 16.4.
    """
    eps = float(jnp.finfo(x0.dtype).eps)

    def reach(v: Array, dv: Array) -> Array:
        return jnp.min(jnp.where(dv < 0, -v / jnp.where(dv < 0, dv, -1.0), 1.0), initial=1.0)

    def iteration(carry: tuple) -> tuple:
        x, w, z, n, _, before = carry
        gap = w @ z / w.size
        dual, primal = H @ x + c + A.T @ z, A @ x + w - b
        M = H + A.T @ (A * (z / w)[:, None])
        factor = lax.linalg.cholesky(M + jnp.diag(2 * eps * jnp.diag(M)))  # near the end M has no digits to spare

        def direction(target: Array) -> tuple[Array, Array, Array]:
            # From W dz + Z dw = target − WZ1, the rest eliminated.
            dx = jax.scipy.linalg.cho_solve((factor, True), -dual - A.T @ ((target + z * primal) / w - z))
            dw = -primal - A @ dx
            return dx, dw, (target - z * dw) / w - z

        _, dw, dz = direction(jnp.zeros_like(w))
        ahead = jnp.minimum(reach(w, dw), reach(z, dz))
        centre = ((w + ahead * dw) @ (z + ahead * dz) / w.size / gap) ** 3
        # The whole correction may cycle: only the share that can be walked, and none where the gap has not fallen.
        stalled = gap > 0.9 * before
        centre = jnp.where(stalled, jnp.maximum(centre, 0.3), centre)
        dx, dw, dz = direction(centre * gap - jnp.where(stalled, 0.0, ahead) * dw * dz)
        length = 0.995 * jnp.minimum(reach(w, dw), reach(z, dz))
        new = (x + length * dx, w + length * dw, z + length * dz)
        good = jnp.all(jnp.stack([jnp.all(jnp.isfinite(v)) for v in new]))
        x, w, z = (jnp.where(good, a, b) for a, b in zip(new, (x, w, z), strict=True))
        return x, w, z, n + 1, good & (w @ z / w.size > 4 * eps) & (length > 1e-8), gap

    carry = (x0, b - A @ x0, z0, jnp.zeros((), int), jnp.asarray(True), jnp.full((), jnp.inf, x0.dtype))
    x, _, z, _, _, _ = lax.while_loop(lambda carry: carry[4] & (carry[3] < max_steps), iteration, carry)
    return x, z
