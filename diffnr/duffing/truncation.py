"""What orbits of few harmonics leave out: the first Newton step of a balance that has twice as many.

    ε = ‖(∂F/∂y)⁻¹ F‖/‖y‖      of the balance F of 2H + 1 harmonics at an orbit y of H

The residual of the harmonics left out alone says too little where they are near to a resonance, or move the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.compilation import compiled
from diffnr.duffing.driven import DrivenOscillators, linearise_whole
from diffnr.duffing.oscillators import with_harmonics


def with_truncation(columns: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The columns of points with `truncation` where it belongs."""
    names = list(columns)
    place = names.index("stable")
    return {name: columns.get(name, ()) for name in (*names[:place], "truncation", *names[place:])}


def left_out(
    driven: DrivenOscillators, b: Complex[Array, "oscillator harmonic"], value: Array, beside: bool = False
) -> Float[Array, ""]:
    """The estimate for the orbit b at λ = value, or with λ free `beside` a branch, as at folds; NaN where b is."""
    model = driven.model
    wide = eqx.tree_at(lambda driven: driven.model, driven, with_harmonics(model, 2 * model.num_harmonics + 1))

    def estimate(y: Array, value: Array) -> Array:
        whole = jnp.zeros((model.num_ports, wide.model.basis.size), y.dtype).at[:, : y.shape[1]].set(y)
        f, jacobian, slope = linearise_whole(whole.ravel(), value, wide)
        size = jnp.where(jnp.any(y != 0), jnp.linalg.norm(y), 1.0)
        if beside:  # the shortest step, with changes of λ by its own size like those of the orbit by its
            whole = jnp.concatenate([jacobian, (slope * value / size)[:, None]], axis=1)
            step = jacobian.T @ jnp.linalg.solve(whole @ whole.T, f)
        else:
            step = jnp.linalg.solve(jacobian, f)
        return jnp.linalg.norm(step) / size

    y = model.basis.coefficients(b)
    known = jnp.all(jnp.isfinite(y))
    value = jnp.where(known, value, 1.0)
    return lax.cond(known, estimate, lambda y, value: jnp.full_like(value, jnp.nan), jnp.where(known, y, 0.0), value)


@compiled
def of_each(
    driven: DrivenOscillators,
    b: Complex[Array, "*batch point oscillator harmonic"],
    value: Float[Array, "*batch point"],
    along: str | None = None,
    parameter: Float[Array, "*batch point"] | None = None,
) -> Float[Array, "*batch point"]:
    """The estimates for the points of a branch, or of a batch of branches with as many `driven`; of a locus over a
    second `parameter`, named `along`, beside the branch of each."""

    def branch(driven: DrivenOscillators, b: Array, value: Array, parameter: Array | None) -> Array:
        def one(point: tuple[Array, Array, Any]) -> Array:
            b, value, second = point
            if along is None:
                return left_out(driven, b, value)
            return left_out(driven.having(along, second), b, value, beside=True)

        return lax.map(one, (b, value, parameter))

    each: Any = branch
    for _ in range(value.ndim - 1):
        each = eqx.filter_vmap(each)
    return each(driven, b, value, parameter)
