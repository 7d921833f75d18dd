"""The compiled solve of a fit: weighted, robust residuals, their least squares, and what its errors are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int

from diffnr.results import RESULTS

# ρ(z) of z = r², as in Triggs et al. 2000: the cost is ½ Σ ρ(r²), and ρ(z) ≈ z for small z.
ROBUST: dict[str, Callable[[Array], Array]] = {
    "linear": lambda z: z,
    "soft_l1": lambda z: 2 * (jnp.sqrt(1 + z) - 1),
    "huber": lambda z: jnp.where(z <= 1, z, 2 * jnp.sqrt(jnp.maximum(z, 1.0)) - 1),
    "cauchy": jnp.log1p,
}


class WeightedResidual(eqx.Module):
    """The residual r of the unbounded vector u, as real numbers whose squares add up to the cost.

    Static, so that a second fit of the same kind does not retrace; what it is of comes as args: (parametrisation, data,
    σ, weights), the last two of shapes that broadcast to the user's residual, or None.
    """

    residual: Callable = eqx.field(static=True)
    loss: str = eqx.field(static=True)

    def raw(self, u: Array, args: Any) -> Array:
        """r = w · residual / σ, before the loss."""
        parametrisation, data, sigma, weights = args
        r = self.residual(parametrisation.build(u), data)
        r = r if sigma is None else r / sigma
        r = r if weights is None else r * weights
        return jnp.concatenate([r.real.ravel(), r.imag.ravel()]) if jnp.iscomplexobj(r) else r.ravel()

    def __call__(self, u: Array, args: Any) -> Array:
        r = self.raw(u, args)
        if self.loss == "linear":
            return r
        # √ρ as the residual: its sum of squares is the robust cost, and a least-squares solver applies.
        z = jnp.where(r == 0, 1.0, r**2)
        return r * jnp.where(r == 0, 1.0, jnp.sqrt(ROBUST[self.loss](z) / z))


class Optimum(NamedTuple):
    """The optimum and all that its errors are made of; `influence` and `slope` are ψ and ψ' of a robust loss."""

    u: Float[Array, " p"]
    result: Any
    steps: Int[Array, ""]
    start_is_finite: Bool[Array, ""]
    residual: Float[Array, " n"]
    jacobian: Float[Array, "n p"]
    value_jacobian: Float[Array, "value p"]
    influence: Float[Array, " n"] | None
    slope: Float[Array, " n"] | None


@eqx.filter_jit
def optimum(problem: WeightedResidual, u0: Array, args: Any, solver: Any, max_steps: int) -> Optimum:
    """The least cost reached from `u0` [p], or the best of those from several, [start, p]."""

    def solved(start: Array) -> tuple[Array, Any, Array, Array]:
        end = optx.least_squares(problem, solver, start, args, max_steps=max_steps, throw=False)
        return end.value, _result(end.result), end.stats["num_steps"], jnp.sum(problem(end.value, args) ** 2)

    if u0.ndim == 1:
        start, (u, result, steps, _) = u0, solved(u0)
    else:
        start, ends = u0[0], jax.vmap(solved)(u0)
        best = jnp.argmin(jnp.where(jnp.isfinite(ends[-1]), ends[-1], jnp.inf))
        u, result, steps, _ = jax.tree_util.tree_map(lambda x: x[best], ends)
    start_is_finite = jnp.all(jnp.isfinite(problem.raw(start, args)))

    def residual_twice(u: Array) -> tuple[Array, Array]:
        r = problem.raw(u, args)
        return r, r

    jacobian, r = jax.jacfwd(residual_twice, has_aux=True)(u)
    influence = slope = None
    if problem.loss != "linear":
        psi = jax.grad(lambda x: 0.5 * ROBUST[problem.loss](x**2))
        influence, slope = jax.vmap(psi)(r), jax.vmap(jax.grad(psi))(r)
    values = jax.jacfwd(lambda u: jnp.concatenate([v.ravel() for v in args[0].values(u).values()]))(u)
    return Optimum(u, result, steps, start_is_finite, r, jacobian, values, influence, slope)


def _result(theirs: Any) -> Any:
    """The `RESULTS` of an optimistix result."""
    known = optx.RESULTS
    spent = (theirs == known.nonlinear_max_steps_reached) | (theirs == known.max_steps_reached)
    failed = RESULTS.where(spent, RESULTS.max_steps_reached, RESULTS.nonfinite)
    return RESULTS.where(theirs == known.successful, RESULTS.successful, failed)
