"""Linear systems as Newton's steps want them: solved once, without a derivative, and of chains in the time that the
number of their sites asks for."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Inexact


def solved(matrix: Inexact[Array, "n n"], right: Inexact[Array, "n k"]) -> Inexact[Array, "n k"]:
    """matrix⁻¹ right. The factors of both side by side hold the right sides eliminated already, rows exchanged and all:
    that leaves out half of `jnp.linalg.solve`'s time where matrices are small."""
    return solved_with_sign(matrix, right)[0]


def solved_with_sign(
    matrix: Inexact[Array, "n n"], right: Inexact[Array, "n k"]
) -> tuple[Inexact[Array, "n k"], Inexact[Array, ""]]:
    """matrix⁻¹ right, and the sign of the determinant (of a complex one its phase)."""
    factors, pivots, _ = lax.linalg.lu(jnp.concatenate([matrix, right], axis=1))
    n = matrix.shape[1]
    swaps = jnp.sum(pivots != jnp.arange(pivots.size))
    sign = jnp.prod(jnp.sign(jnp.diagonal(factors))) * jnp.where(swaps % 2 == 0, 1.0, -1.0)
    solution = lax.linalg.triangular_solve(factors[:, :n], factors[:, n:], left_side=True)
    return solution, sign.astype(matrix.dtype)


class BlockTridiagonal(eqx.Module):
    """A matrix [N·m, N·m] of a chain: its rows of blocks have three each, `blocks` [N, 3, m, m], of the site before,
    their own and the one behind. Those of the first and the last site that lie outside of the matrix do not count."""

    blocks: Float[Array, "site 3 m m"]

    @property
    def shape(self) -> tuple[int, int]:
        n, _, m, _ = self.blocks.shape
        return n * m, n * m

    def dense(self) -> Float[Array, "n n"]:
        """The whole matrix."""
        n, _, m, _ = self.blocks.shape
        return jnp.append(self.blocks, 0.0)[_dense(n, m)]

    def bordered(
        self, column: Float[Array, " n"], row: Float[Array, " k"], right: Float[Array, "k r"]
    ) -> tuple[Float[Array, "k r"], Float[Array, ""]]:
        """The solution [n + 1, r] of [[A, column], [row]] x = right, and the sign of this matrix's determinant.

        Runs of neighbouring sites are eliminated, each by itself; what is left, one site behind every run and the
        border, is one dense system.

        **Notes:** pivots are sought within a run and in what is left. A run that is all but singular by itself, where
        the whole is not, costs digits: Newton's method, which sees the residual, is the judge of that.
        """
        n, _, m, _ = self.blocks.shape
        places = _Places.of(n, m, right.shape[1])
        run, runs, spread = places.run, places.runs, 2 * m
        flat = jnp.concatenate([self.blocks.ravel(), column, right.ravel(), row, jnp.asarray([0.0, 1.0], row.dtype)])
        # Of a run, by the site before, the one behind it, the last unknown and the right sides. One by one: batched
        # calls of LAPACK wait for threads, which takes longer than small matrices do.
        inside = flat[places.inside]
        k = run * m
        w, signs = lax.map(lambda own: solved_with_sign(own[:, :k], own[:, k:]), inside)
        # What that leaves of the equations of the sites behind runs, and of the border.
        met = flat[places.before] @ w
        following = jnp.concatenate([w[1:, :m], jnp.zeros_like(w[:1, :m])])
        parts = (met, flat[places.ahead] @ following, jnp.sum(met[:, m, spread:], axis=0), jnp.zeros(1, row.dtype))
        taken = jnp.concatenate([part.ravel() for part in parts])
        rest = flat[places.kept] - taken[places.taken] - taken[places.taken_ahead]
        kept = runs * m + 1
        x, sign = solved_with_sign(rest[:, :kept], rest[:, kept:])

        at = x[:-1].reshape(runs, m, -1)
        earlier = jnp.concatenate([jnp.zeros_like(at[:1]), at[:-1]])
        across = jnp.concatenate([earlier, at, jnp.broadcast_to(x[-1], (runs, 1, x.shape[1]))], axis=1)
        within = w[:, :, spread + 1 :] - w[:, :, : spread + 1] @ across
        whole = jnp.concatenate([within, at], axis=1).reshape(-1, x.shape[1])
        return jnp.concatenate([whole[: n * m], x[-1:]]), sign * jnp.prod(signs)


@functools.cache
def _dense(n: int, m: int) -> np.ndarray:
    """Where the entries of the whole matrix stand among those of its blocks, and behind them the 0."""
    blocks = np.arange(n * 3 * m * m).reshape(n, 3, m, m)
    whole = np.full((n, m, n, m), blocks.size)
    for i in range(n):
        for j in range(max(i - 1, 0), min(i + 2, n)):
            whole[i, :, j] = blocks[i, j - i + 1]
    return whole.reshape(n * m, n * m)


class _Places:
    """Where the entries of the systems that `bordered` solves stand in vectors: tables, so that putting one together
    is one operation."""

    def __init__(self, n: int, m: int, r: int):
        self.run = run = min(range(1, max(n, 2)), key=functools.partial(_operations, n, m))
        self.runs = runs = -(-n // (run + 1))
        sites, size = runs * (run + 1), n * m
        # The sites, the right sides and the border in `flat`; spare sites stand for themselves.
        zero = 3 * size * m + size + (size + 1) * r + size + 1
        one = zero + 1
        blocks = np.full((sites, 3, m, m), zero)
        blocks[:n] = np.arange(3 * size * m).reshape(n, 3, m, m)
        blocks[0, 0] = blocks[n - 1, 2] = zero
        blocks[n:, 1] = np.where(np.eye(m), one, zero)
        column = 3 * size * m + np.arange(size)
        right = column[-1] + 1 + np.arange((size + 1) * r).reshape(size + 1, r)
        row = right[-1, -1] + 1 + np.arange(size + 1)
        beside = np.full((sites, m, 1 + r), zero)
        beside[:n] = np.concatenate([column[:, None], right[:-1]], axis=1).reshape(n, m, 1 + r)
        under = np.full((sites, m), zero)
        under[:n] = row[:-1].reshape(n, m)
        blocks, beside, under = (x.reshape(runs, run + 1, *x.shape[1:]) for x in (blocks, beside, under))

        width = 2 * m + 1 + r
        inside = np.full((runs, run, m, run + 2, m), zero)  # columns: the site before, the run, the site behind
        for i in range(run):
            inside[:, i, :, i : i + 3] = blocks[:, i].transpose(0, 2, 1, 3)
        inside = inside.reshape(runs, run * m, (run + 2) * m)
        own, outer = inside[:, :, m:-m], (inside[:, :, :m], inside[:, :, -m:])
        self.inside = np.concatenate([own, *outer, beside[:, :run].reshape(runs, run * m, 1 + r)], axis=2)
        self.before = np.full((runs, m + 1, run * m), zero)
        self.before[:, :m, -m:], self.before[:, m] = blocks[:, -1, 0], under[:, :run].reshape(runs, run * m)
        self.ahead = blocks[:, -1, 2]

        met = np.arange(runs * (m + 1) * width).reshape(runs, m + 1, width)
        first = met.size + np.arange(runs * m * width).reshape(runs, m, width)
        total = met.size + first.size + np.arange(1 + r)
        nothing = total[-1] + 1
        kept = np.full((runs * m + 1, runs * m + 1 + r), zero)
        taken, taken_ahead = np.full_like(kept, nothing), np.full_like(kept, nothing)
        for g in range(runs):
            rows, cols = slice(g * m, (g + 1) * m), slice(g * m, (g + 1) * m)
            earlier, later = slice((g - 1) * m, g * m), slice((g + 1) * m, (g + 2) * m)
            kept[rows, cols], kept[rows, runs * m :] = blocks[g, -1, 1], beside[g, -1]
            taken[rows, cols], taken[rows, runs * m :] = met[g, :m, m : 2 * m], met[g, :m, 2 * m :]
            taken_ahead[rows, cols], taken_ahead[rows, runs * m :] = first[g, :, :m], first[g, :, 2 * m :]
            if g > 0:
                taken[rows, earlier] = met[g, :m, :m]
            if g < runs - 1:
                taken_ahead[rows, later] = first[g, :, m : 2 * m]
                taken_ahead[-1, cols] = met[g + 1, m, :m]
            kept[-1, cols], taken[-1, cols] = under[g, -1], met[g, m, m : 2 * m]
        kept[-1, runs * m :], taken[-1, runs * m :] = np.append(row[-1], right[-1]), total
        self.kept, self.taken, self.taken_ahead = kept, taken, taken_ahead

    @staticmethod
    @functools.cache
    def of(n: int, m: int, r: int) -> _Places:
        return _Places(n, m, r)


def _operations(n: int, m: int, run: int) -> float:
    """About how many operations a run's length costs."""
    runs, k = -(-n // (run + 1)), run * m
    return runs * (k**3 / 3 + k**2 * (2 * m + 3)) + (runs * m + 1) ** 3 / 3
