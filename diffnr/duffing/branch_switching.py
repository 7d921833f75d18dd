"""From a branch of orbits to one that begins on it: of twice the period, or of broken symmetry."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import Count, as_choice, as_count, as_flag, as_range, is_concrete, require, require_instance
from diffnr.compilation import compiled
from diffnr.continuation import trace
from diffnr.duffing.bifurcations import Hill
from diffnr.duffing.branch import OrbitBranch, read_off
from diffnr.duffing.course import Course, scale_of
from diffnr.duffing.driven import DrivenOscillators, balance, linearise
from diffnr.duffing.oscillators import AllHarmonics
from diffnr.duffing.special_points import rows_of
from diffnr.results import RESULTS, raise_failures
from diffnr.root import frozen, newton

KINDS = {"period_doubling": "period_doublings", "symmetry_breaking": "symmetry_breakings"}
AWAY = 0.02  # of the orbit's size: how far along the other direction the new branch is looked for


def branch_off(
    branch: OrbitBranch,
    kind: str,
    number: Count = 0,
    *,
    bounds: Any = None,
    max_points: Count = 400,
    max_folds: Count = 8,
    throw: bool = True,
) -> OrbitBranch:
    """The branch that begins at a bifurcation of another, of orbits with twice the period or of broken symmetry.

    **Arguments:**

    - `branch`: of orbits, not of a batch. `kind`: "period_doubling" or "symmetry_breaking".
    - `number`: which of `branch.period_doublings` or `branch.symmetry_breakings`, in order along the branch.
    - `bounds`: (lowest, highest) value of the branch's parameter; default the range of the branch.
    - `max_points`, `max_folds`, `throw`: as for `frequency_response`.

    **Returns:** an `OrbitBranch` whose model is `AllHarmonics` of the branch's own, with twice its periods where the
    period doubles. It begins beside the bifurcation and has the derivatives that other branches have. Of a pair of
    orbits with broken symmetry it is one; the other is its mirror image, x(t + T/2) = −x(t).

    **Raises:** `ValueError` for another kind, or a number of which there is no bifurcation; `RuntimeError` if `throw`
    and no orbit is found beside it.

        doubled = duffing.branch_off(branch, "period_doubling")
    """
    require_instance(branch, "branch", OrbitBranch, "be an OrbitBranch")
    require(is_concrete(branch) and branch.count.ndim == 0, "branch", "be one branch, with known values", "not")
    as_choice(kind, "kind", tuple(KINDS))
    number, throw = as_count(number, "number", least=0), as_flag(throw, "throw")
    max_points, max_folds = as_count(max_points, "max_points", least=2), as_count(max_folds, "max_folds")
    points = getattr(branch, KINDS[kind])
    have = f"be below the number of these on the branch, {int(points.count)}"
    require(number < int(points.count), "number", have, number)
    values = np.asarray(branch.parameter)[: int(branch.count)]
    low, high = as_range((values.min(), values.max()) if bounds is None else bounds, "bounds")
    driven = branch.driven
    [u] = rows_of(driven, points[number : number + 1])
    found = _begun(driven, u, kind, (low, high), max_points, max_folds)
    if not throw:
        return found
    return raise_failures(found, RESULTS.where(found.count == 0, RESULTS.no_start, RESULTS.successful))


@compiled
def _begun(
    driven: DrivenOscillators, u: Array, kind: str, bounds: tuple[Array, Array], max_points: int, max_folds: int
) -> OrbitBranch:
    own = driven.model
    hill = Hill.of(own.basis, kind)
    _, across = hill.bordered(driven, u)  # the disturbance that neither grows nor decays
    periods = int(own.basis.periods) * (2 if kind == "period_doubling" else 1)
    model = AllHarmonics(own.oscillators if isinstance(own, AllHarmonics) else own, periods)
    more = eqx.tree_at(lambda driven: driven.model, driven, model)
    n = own.num_ports
    there = _embedded(own.basis.harmonics, own.basis.phasors(u[:-1].reshape(n, -1)), model)
    along = _embedded(hill.basis.harmonics, hill.basis.phasors(across.reshape(n, -1)), model)
    along = along / jnp.linalg.norm(along)
    size = AWAY * jnp.linalg.norm(there)

    def equations(v: Array, args: Any) -> Array:
        driven, there, along, size = args
        return jnp.append(balance(v[:-1], v[-1], driven), along @ (v[:-1] - there) - size)

    args = frozen((more, there, along, size))
    start = newton(equations, jnp.append(there + size * along, u[-1]), args).value
    y, begin = start[:-1], start[-1]
    branch = trace(
        linearise, y, begin, bounds, more,
        scale=scale_of(more, *bounds), upwards=begin > u[-1], max_points=max_points,
    )  # fmt: skip
    good = (branch.result == RESULTS.successful) | (branch.result == RESULTS.closed)
    spare = jnp.where(jnp.isfinite(begin), begin, u[-1])
    return read_off(more, Course.of(branch), (branch.result,), spare, branch.result, good, max_folds)


def _embedded(harmonics: tuple[Any, ...], X: Array, model: AllHarmonics) -> Float[Array, " n"]:
    """Coefficients, in the basis of a model, of phasors X [oscillator, harmonic] of other harmonics."""
    basis = model.basis
    places = {h: k for k, h in enumerate(basis.harmonics)}
    kept = [k for k, h in enumerate(harmonics) if h in places]
    whole = jnp.zeros((X.shape[0], len(basis.harmonics)), X.dtype)
    whole = whole.at[:, np.asarray([places[harmonics[k]] for k in kept])].set(X[:, np.asarray(kept)])
    return basis.coefficients(whole).ravel()
