"""Branches that nearly meet another one, or pass a narrow resonance: steps must not jump across."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffnr.continuation import from_residual, trace


def test_branches_that_nearly_meet_are_told_apart() -> None:
    # y² = λ² + gap has two branches, which cross where the gap is 0: straight on is on the other one then.
    def hyperbola(y: Array, value: Array, gap: Array) -> Array:
        return y**2 - value**2 - gap

    linearise = from_residual(hyperbola)
    gaps = jnp.asarray([1e-2, 1e-4, 1e-6, 0.0])  # in y .1 to 1e-3, where steps are up to .15

    @jax.jit
    @jax.vmap
    def last(gap: Array) -> Array:
        branch = trace(linearise, jnp.sqrt(1 + gap)[None], -1.0, (-1.0, 1.0), gap, scale=(1.0, 1.0), max_points=64)
        return jnp.append(branch.parameter[branch.count - 1], branch.y[branch.count - 1])

    expected = np.stack([np.ones(4), np.sqrt(1 + np.asarray(gaps)) * [1, 1, 1, -1]], axis=1)
    np.testing.assert_allclose(last(gaps), expected, rtol=1e-12)  # what a correction below 1e-7 leaves


def test_a_narrow_resonance_is_not_stepped_over() -> None:
    # z = iwd/(λ + iw) is a circle of diameter d, which is passed within some w of λ; steps grow to .15 before.
    size = 0.1

    def resonance(y: Array, value: Array, width: Array) -> Array:
        gap = (y[0] + 1j * y[1]) * (value + 1j * width) - 1j * size * width
        return jnp.stack([gap.real, gap.imag])

    linearise = from_residual(resonance)

    @jax.jit
    @jax.vmap
    def top(width: Array, start: Array) -> Array:
        z = 1j * size * width / (start + 1j * width)
        y = jnp.stack([z.real, z.imag])
        branch = trace(linearise, y, start, (-2.0, 1.0), width, scale=(1.0, 1.0), max_points=128)
        return jnp.nanmax(jnp.linalg.norm(branch.y, axis=1))

    widths, starts = jnp.meshgrid(jnp.asarray([0.004, 0.007, 0.01]), jnp.linspace(-1.5, -1.0, 20))
    tops = top(widths.ravel(), starts.ravel())
    # Steps turn by .12 rad of the circle or less, two radii apart at most: the top is met to 1 − cos .12, .7 %.
    assert np.all(tops > 0.99 * size)
