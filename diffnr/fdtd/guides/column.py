"""From column to column of a guide that is uniform along x: the step's own waves u_j = λ^j u, λ = e^{−ikΔx}.

    (M₋₁/λ + M₀ + M₁ λ) u = 0,      u = (Ex at a column's centres, Ey at its left line)

The blocks are read off the step itself. Only Ey is joined to the columns beside it, so that Ex can be eliminated,

    P(λ) x = (P₋₁/λ + P₀ + P₁ λ) x = 0,

and its left vectors y are the waves e^{+ikx} of the guide in the opposite bias: P(λ; B)ᵀ = P(1/λ; −B) but for the
edges' volumes over 1/ε. For any field that solves the step, the form

    Q = y_jᵀ M₋₁ u_{j−1} − y_{j−1}ᵀ M₁ u_j

is the same at every column, and 0 for every wave but that with this λ: it reads a wave's amplitude to round-off.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.fdtd.frequency_domain.harmonic_step import harmonic_step, step_factor
from diffnr.fdtd.scene.media import VACUUM
from diffnr.fdtd.time_domain.leapfrog import Update

COLUMNS = 5  # of the scene that blocks are read off; what is read stands in the middle
MIDDLE = COLUMNS // 2
SHIFT = 1.1 + 0.4j  # where P(λ) is inverted to find its eigenvalues: near 1, and where no wave of a guide is
RESOLVED = 0.5  # of itself is what Hz may change by from cell to cell: twelve cells a wavelength


class Cut(NamedTuple):
    """Numbers at the edges that a cut at a vertical line joins: Ex of the column before it, Ey before it and at it."""

    ex: Complex[Array, "*mode y_line"]
    before: Complex[Array, "*mode y"]
    at: Complex[Array, "*mode y"]


class Column(eqx.Module):
    """The blocks of one column at one frequency.

    **Fields:** `below`, `same`, `above`: M₋₁, M₀, M₁; `hz`: of (u_j, u_{j+1}) Hz of the column, half a step later;
    `z`; `width`: Δx; `weights`: volumes times ε∞ of Ey's edges, 0 on dead ones; `rate`: ε0/Δt.
    """

    below: Complex[Array, "n n"]
    same: Complex[Array, "n n"]
    above: Complex[Array, "n n"]
    hz: tuple[Complex[Array, "y n"], Complex[Array, "y n"]]
    z: Complex[Array, ""]
    width: Float[Array, ""]
    weights: Float[Array, " y"]
    rate: Float[Array, ""]

    @classmethod
    def of(cls, update: Update, dx: Float[Array, ""], dy: Float[Array, " y"], omega: Array) -> Column:
        """Of an update of `COLUMNS` equal columns."""
        (nx, ny), z = update.shape, step_factor(update, omega)

        def moved(u: Array) -> tuple[Array, Array]:
            ex = jnp.zeros((nx, ny + 1), z.dtype).at[MIDDLE].set(u[: ny + 1])
            ey = jnp.zeros((nx + 1, ny), z.dtype).at[MIDDLE].set(u[ny + 1 :])
            fields = harmonic_step(update, ex, ey, z)
            rest = jnp.concatenate([z * ex - fields.ex, (z * ey - fields.ey)[:-1]], axis=1)
            return rest[MIDDLE - 1 : MIDDLE + 2], fields.hz[MIDDLE - 1 : MIDDLE + 1]

        rest, hz = jax.vmap(moved, out_axes=-1)(jnp.eye(2 * ny + 1, dtype=z.dtype))
        # A row of the column after the middle tells what it takes from the column before.
        above, same, below = rest
        inverse = update.ey[MIDDLE - 1]
        weights = jnp.where(inverse > 0, dx * dy / jnp.where(inverse > 0, inverse, 1.0), 0.0)
        return cls(below, same, above, (hz[1], hz[0]), z, dx, weights, VACUUM / update.step)

    @property
    def lines(self) -> int:
        """ny + 1, the size of Ex's part of u."""
        return self.weights.size + 1

    def magnetic(self, u: Array, factor: Array) -> Array:
        """Hz of a wave at its column."""
        return self.hz[0] @ u + factor * (self.hz[1] @ u)

    def flux(self, u: Array, factor: Array) -> Float[Array, ""]:
        """The power per length along z that a wave carries to +x, W/m, with that of the polarisation: what a source
        that makes it in all columns beyond a line has to give, to round-off if there is no loss."""
        return self.power(self.weights * self.launch(u, factor).at, u[self.lines :])

    def power(self, source: Array, ey: Array) -> Float[Array, ""]:
        """What a source at Ey's edges, in volumes times ε∞, gives to the field there, W/m."""
        return self.rate / 2 * jnp.real((1 + self.z) / 2 * jnp.sum(jnp.conj(source) * ey))

    def reduced(self) -> tuple[tuple[Array, Array, Array], Array]:
        """(P₋₁, P₀, P₁), and the inverse of Ex's own block, by which Ex follows Ey."""
        n = self.lines
        # One inverse for all: independent batched calls of LAPACK can stop each other for good.
        inverse = jnp.linalg.inv(self.same[:n, :n])
        first, second = inverse @ self.same[:n, n:], inverse @ self.above[:n, n:]
        back, here = self.below[n:, :n], self.same[n:, :n]
        below, above = self.below[n:, n:] - back @ first, self.above[n:, n:] - here @ second
        return (below, self.same[n:, n:] - here @ first - back @ second, above), inverse

    def wave(self, x: Array, factor: Array, inverse: Array) -> Array:
        """u from its Ey."""
        n = self.lines
        return jnp.concatenate([-inverse @ (self.same[:n, n:] @ x + factor * (self.above[:n, n:] @ x)), x])

    def left(self, y: Array, factor: Array, inverse: Array) -> Array:
        """The left vector of all of u from that of Ey."""
        n = self.lines
        return jnp.concatenate([-(y @ self.same[n:, :n] + y @ self.below[n:, :n] / factor) @ inverse, y])

    def slope(self, v: Array, u: Array, factor: Array) -> Complex[Array, ""]:
        """vᵀ (M₋₁/λ + M₀ + M₁ λ) u; of changes of the blocks it is −dλ, where yᵀ P′ x = 1."""
        return v @ (self.below @ u / factor + self.same @ u + self.above @ u * factor)

    def launch(self, u: Array, factor: Array) -> Cut:
        """What a step has to add so that the wave begins at a line, and nothing is before it."""
        n, ahead = self.lines, self.above @ u
        return Cut(ahead[:n], ahead[n:], -(self.below @ u)[n:] / factor)

    def read(self, v: Array, factor: Array) -> Cut:
        """The weights of Q for a left vector v."""
        n, back = self.lines, v @ self.below
        return Cut(back[:n], back[n:], -factor * (v @ self.above)[n:])


def eigenpairs(parts: tuple[Array, Array, Array]) -> tuple[Complex[Array, " m"], Complex[Array, "y m"]]:
    """All λ with their x: of the pencil's inverse at SHIFT, which dead edges and grid-scale waves leave finite.

    By numpy, since not every device has such eigenvalues; without derivatives.
    """
    count, dtype = parts[0].shape[0], parts[0].dtype
    like = jax.ShapeDtypeStruct((2 * count,), dtype), jax.ShapeDtypeStruct((count, 2 * count), dtype)
    return jax.pure_callback(_eigenpairs, like, *parts, vmap_method="sequential")


def _eigenpairs(*parts: Any) -> tuple[np.ndarray, np.ndarray]:
    below, same, above = (np.asarray(part, complex) for part in parts)
    count, dtype = same.shape[0], np.asarray(parts[0]).dtype
    none = np.full(2 * count, np.nan, dtype), np.full((count, 2 * count), np.nan, dtype)
    if not all(np.all(np.isfinite(part)) for part in (below, same, above)):
        return none
    both = np.concatenate([same + SHIFT * above, above], axis=1)
    try:
        first, second = np.split(-np.linalg.solve(below + SHIFT * same + SHIFT**2 * above, both), 2, axis=1)
        inverse = np.block([[first, second], [np.eye(count) + SHIFT * first, SHIFT * second]])
        values, vectors = np.linalg.eig(inverse)
    except np.linalg.LinAlgError:  # singular, or numbers too large
        return none
    with np.errstate(divide="ignore", invalid="ignore"):
        turns = np.where(values != 0, SHIFT + 1 / values, np.inf)
    return turns.astype(dtype), vectors[:count].astype(dtype)


def polished(
    parts: tuple[Array, Array, Array], factor: Array, x: Array
) -> tuple[Complex[Array, ""], Complex[Array, " y"], Complex[Array, " y"]]:
    """(λ, x, y) with P(λ) x = 0, yᵀ P(λ) = 0, yᵀ P′(λ) x = 1, from an eigenpair that carries no derivative.

    Each Newton step squares the error, and so doubles the order to which derivatives are right: two make three.
    """
    below, same, above = parts
    factor, x = lax.stop_gradient((factor, x))
    fixed = jnp.conj(x) / jnp.sum(jnp.abs(x) ** 2)

    def bordered(factor: Array, x: Array) -> tuple[Array, Array]:
        matrix = below / factor + same + above * factor
        slope = (above - below / factor**2) @ x
        rows = jnp.concatenate([matrix, slope[:, None]], axis=1)
        return jnp.concatenate([rows, jnp.append(fixed, 0.0)[None]]), matrix @ x

    for _ in range(2):
        jacobian, rest = bordered(factor, x)
        change = jnp.linalg.solve(jacobian, jnp.append(rest, fixed @ x - 1))
        factor, x = factor - change[-1], x - change[:-1]
    jacobian, _ = bordered(factor, x)
    y = jnp.linalg.solve(jacobian.T, jnp.zeros_like(jacobian[0]).at[-1].set(1.0))[:-1]
    return factor, x, y


def resolved(factor: Array, hz: Array) -> Bool[Array, ""]:
    """Whether Hz changes by less than a part of itself from cell to cell along x and across, as the lattice's own waves
    do not."""
    size = jnp.sum(jnp.abs(hz) ** 2)
    across = jnp.sum(jnp.abs(jnp.diff(hz)) ** 2)
    return jnp.abs(jnp.log(factor)) ** 2 * size + across < RESOLVED**2 * size
