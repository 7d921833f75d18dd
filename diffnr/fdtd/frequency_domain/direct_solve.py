"""The scheme's linear systems at one frequency, M(z) E = b, by a sparse LU.

    M(z) E = z E − E⁺(E)

E⁺ is `harmonic_step` itself: the entries of M are read off it, applied to combs of unit vectors of which no equation
sees two, so that there is no second copy of the physics. The factors are scipy's (SuperLU), made outside of JAX on
unknowns in the order of nested dissection, and kept for more right sides and for the transposed system, which is that
of the turned bias.
"""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse
from jax import lax
from jaxtyping import Array, Complex
from scipy.sparse.linalg import splu

from diffnr.fdtd.frequency_domain.harmonic_step import harmonic_step
from diffnr.fdtd.time_domain.leapfrog import Update
from diffnr.root import frozen

Edges = tuple[Array, Array]  # Ex and Ey
KEPT = 2**29  # bytes of factors that are kept, about: a handful of 37,000 cells
ROUGH = 1e-10  # residual, over the sizes of what cancels in it, from which on factors do not serve
PART = 40  # unknowns that are not dissected further


def operator(update: Update, z: Array, edges: Edges) -> Edges:
    """M(z) E."""
    ahead = harmonic_step(update, *edges, z)
    return z * edges[0] - ahead.ex, z * edges[1] - ahead.ey


def steady_edges(update: Update, z: Array, right: Edges) -> Edges:
    """E of M(z) E = right, with derivatives in both modes and to any order; not finite where M has no inverse."""
    entries = entries_of(lambda edges: operator(frozen(update), lax.stop_gradient(z), edges), update)
    return lax.custom_linear_solve(
        lambda edges: operator(update, z, edges),
        right,
        lambda _, b: solve_with(entries, b, update),
        lambda _, b: solve_with(entries, b, update, transposed=True),
    )


def entries_of(function: Callable[[Edges], Edges], update: Update) -> Complex[Array, " entry"]:
    """The entries of a linear function of E that joins no other edges than M does, in the order of its `Pattern`."""
    pattern = pattern_of(update)
    count = int(pattern.colours.max()) + 1

    def answer(colour: Array) -> Array:
        comb = jnp.asarray(pattern.colours == colour, jnp.result_type(update.ex.dtype, jnp.complex64))
        return flat(function(split(comb, update)))

    return lax.map(answer, jnp.arange(count))[pattern.colours[pattern.columns], pattern.rows]


def solve_with(entries: Array, right: Edges, update: Update, transposed: bool = False) -> Edges:
    """E of M E = right, or Mᵀ E = right, by the factors of these entries; NaN where there are none."""
    b = flat(right)
    solver = functools.partial(_solve, pattern_of(update), transposed)
    return split(
        jax.pure_callback(solver, jax.ShapeDtypeStruct(b.shape, b.dtype), entries, b, vmap_method="sequential"), update
    )


def flat(edges: Edges) -> Array:
    """Both components as one vector."""
    return jnp.concatenate([edges[0].ravel(), edges[1].ravel()])


def split(vector: Array, update: Update) -> Edges:
    """Both components of a vector."""
    nx, ny = update.shape
    return vector[: nx * (ny + 1)].reshape(nx, ny + 1), vector[nx * (ny + 1) :].reshape(nx + 1, ny)


class Pattern(NamedTuple):
    """Which edges M joins: row and column of each entry, in the order of a CSC matrix of the unknowns in `order`."""

    rows: np.ndarray
    columns: np.ndarray
    colours: np.ndarray  # of columns, of which no row has two alike
    order: np.ndarray
    indices: np.ndarray
    starts: np.ndarray
    around: Any  # [cell, edge], sparse: 1 and −1 for the edges that a cell has around it, counter-clockwise

    def matrix(self, entries: np.ndarray) -> Any:
        """The matrix of the unknowns in `order`."""
        return sparse.csc_matrix((entries, self.indices, self.starts), shape=(self.order.size,) * 2)

    def reordered(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors [..., unknown] from the order in the matrix back to that of the edges."""
        found = np.empty_like(vectors)
        found[..., self.order] = vectors
        return found


def pattern_of(update: Update) -> Pattern:
    """Of an update's grid, made once for all of its shape."""
    along_x, along_y = (factor is not None for factor in update.bloch_factors)
    return _pattern(*update.shape, (along_x, along_y))


@functools.lru_cache(maxsize=16)
def _pattern(nx: int, ny: int, repeats: tuple[bool, bool]) -> Pattern:
    """In a step each edge hears of the edges of both its cells. `repeats`: the last line of x, of y, is the first."""
    ex, ey = np.arange(nx * (ny + 1)).reshape(nx, ny + 1), nx * (ny + 1) + np.arange((nx + 1) * ny).reshape(nx + 1, ny)
    cell = np.arange(nx * ny).reshape(nx, ny)
    sees = [(ex[:, :-1], cell), (ex[:, 1:], cell), (ey[:-1], cell), (ey[1:], cell)]
    hears = list(sees)
    if repeats[0]:
        hears += [(ey[0], cell[-1]), (ey[-1], cell[0])]
    if repeats[1]:
        hears += [(ex[:, 0], cell[:, -1]), (ex[:, -1], cell[:, 0])]
    count = ex.size + ey.size
    to, of = (_joined(pairs, (count, cell.size)) for pairs in (hears, sees))
    around = _joined(sees, (count, cell.size), (1, -1, -1, 1)).T.tocsc()
    # Places of edges, in halves of cells.
    x, y = (
        np.concatenate([ex_at.ravel(), ey_at.ravel()])
        for ex_at, ey_at in zip(
            np.indices(ex.shape) * 2 + np.array([1, 0])[:, None, None],
            np.indices(ey.shape) * 2 + np.array([0, 1])[:, None, None],
            strict=True,
        )
    )
    seam = (repeats[0] & (x % (2 * nx) == 0)) | (repeats[1] & (y % (2 * ny) == 0))
    order = _dissected(x, y, seam)
    joined = sparse.csc_matrix(to @ of.T)[order][:, order].tocsc()
    joined.sort_indices()
    columns = np.repeat(np.arange(count), np.diff(joined.indptr))
    i, j, horizontal = x // 2, y // 2, x % 2
    colours = 2 * (np.where(horizontal, j + 2 * i, i + 2 * j) % 4) + horizontal
    if any(repeats):
        # Along lines every other edge, across them every third, and at a seam some of their own.
        ex_colours, ey_colours = 5 * _apart(i, nx, 2) + _apart(j, ny, 3), 5 * _apart(j, ny, 2) + _apart(i, nx, 3)
        colours = np.unique(2 * np.where(horizontal, ex_colours, ey_colours) + horizontal, return_inverse=True)[1]
    return Pattern(order[joined.indices], order[columns], colours, order, joined.indices, joined.indptr, around)


def _apart(places: np.ndarray, cells: int, least: int) -> np.ndarray:
    """0, 1, … of cells (least = 2) or lines (3) in a row that repeats, so that equal ones are so far apart."""
    return np.where(places >= cells - 1, least + places - (cells - 1), places % least)


def _joined(
    pairs: list[tuple[np.ndarray, np.ndarray]], shape: tuple[int, int], signs: tuple[int, ...] | None = None
) -> Any:
    rows, columns = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in (0, 1))
    values = np.repeat(signs or np.ones(len(pairs)), [pair[0].size for pair in pairs])
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)


def _dissected(x: np.ndarray, y: np.ndarray, seam: np.ndarray) -> np.ndarray:
    """Edges so that each line of the grid that parts them comes after both parts: the factors then stay small. The
    seam of a grid that repeats comes last."""
    order = []

    def dissect(edges: np.ndarray) -> None:
        along = max((x[edges], y[edges]), key=np.ptp) if edges.size else edges
        line = int(np.median(along)) // 2 * 2 if edges.size else 0
        before, after = edges[along < line], edges[along > line]
        if edges.size < PART or not before.size or not after.size:
            order.append(edges)
            return
        dissect(before)
        dissect(after)
        order.append(edges[along == line])

    dissect(np.flatnonzero(~seam))
    return np.concatenate([*order, np.flatnonzero(seam)])


class Inverse:
    """M⁻¹ and its transpose on vectors of the unknowns in `order`, by factors that are made once for each M."""

    def __init__(self, pattern: Pattern, entries: np.ndarray):
        self.matrix, self.size = pattern.matrix(entries), pattern.matrix(np.abs(entries))
        self.key = hashlib.blake2b(entries.tobytes(), digest_size=32).digest(), pattern.order.size
        self.pivoting = False

    def __call__(self, right: np.ndarray, transposed: bool = False) -> np.ndarray:
        """With one step of refinement; NaN where no factors serve. Pivots off the diagonal are a last resort."""
        return _workshop().submit(self._refined, right, transposed).result()

    def roughly(self, right: np.ndarray) -> np.ndarray:
        """Without refinement, by the kind of factors that served the last call."""
        return _workshop().submit(lambda: self._factors(self.pivoting).solve(right)).result()

    def _refined(self, right: np.ndarray, transposed: bool) -> np.ndarray:
        matrix, size = (self.matrix.T, self.size.T) if transposed else (self.matrix, self.size)
        trans = "T" if transposed else "N"
        finite = np.all(np.isfinite(self.matrix.data)) and np.all(np.isfinite(right))
        for pivoting in (False, True) if finite else ():
            factors = self._factors(pivoting)
            if factors is not None:
                with np.errstate(all="ignore"):
                    x = factors.solve(right, trans)
                    x = x + factors.solve(right - matrix @ x, trans)
                    rest = np.linalg.norm(right - matrix @ x)
                    if rest <= ROUGH * np.linalg.norm(size @ np.abs(x) + np.abs(right)):
                        self.pivoting = pivoting
                        return x
        return np.full_like(right, np.nan)

    def _factors(self, pivoting: bool) -> Any:
        """The factors, made once; None where there are none."""
        key = *self.key, pivoting
        if key not in _kept:
            _kept[key] = _factorised(self.matrix, pivoting)
        _kept.move_to_end(key)
        # 16 bytes a number and 4 of its row.
        while len(_kept) > 1 and 20 * sum(lu.nnz for lu in _kept.values() if lu is not None) > KEPT:
            _kept.popitem(last=False)
        return _kept[key]


_kept: OrderedDict[tuple, Any] = OrderedDict()


@functools.cache
def _workshop() -> ThreadPoolExecutor:
    """The one thread that factors live in: what SuperLU made in one thread it does not free in another."""
    return ThreadPoolExecutor(1, "factors")


def _factorised(matrix: Any, pivoting: bool) -> Any:
    try:
        if pivoting:
            return splu(matrix)
        return splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError:  # exactly singular
        return None


def _solve(pattern: Pattern, transposed: bool, entries: Any, right: Any) -> np.ndarray:
    entries, b = np.asarray(entries, complex), np.asarray(right, complex)
    found = pattern.reordered(Inverse(pattern, entries)(b[pattern.order], transposed))
    return found.astype(np.asarray(right).dtype)
