"""Least squares: fit any leaves of any model to data, with standard errors."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optax
import optimistix as optx
from jaxtyping import Array, Float, Int, PyTree

from diffnr.checks import (
    as_choice,
    as_count,
    as_flag,
    as_key,
    as_real,
    as_scalar,
    described,
    is_concrete,
    require,
    require_bounds,
    require_instance,
    require_known,
    tried,
)
from diffnr.results import AbstractAnswer, raise_failures
from optimize.least_squares_solve import ROBUST, Optimum, WeightedResidual, optimum
from optimize.objectives import scattering_difference
from optimize.transforms import Parametrisation, parametrise


class Fit(AbstractAnswer):
    """What `fit` returns: the best of what it met, converged or not.

    **Fields:** `model`, of the class that went in; `values` and `stderr`, `{path: array}`; `covariance` [p, p] of the
    entries of `values`, one after another (NaN where the data do not identify an entry); `residual` [n], real, divided
    by σ; `chi2`, `degrees_of_freedom`; `sigma_known`, whether σ was given or is taken from the residual itself; `loss`;
    `result`, a `RESULTS`, with `converged` and `message`; `steps`.
    """

    model: Any
    values: dict[str, Array]
    stderr: dict[str, Array]
    covariance: Float[Array, "p p"]
    residual: Float[Array, " n"]
    chi2: Float[Array, ""]
    degrees_of_freedom: int = eqx.field(static=True)
    sigma_known: bool = eqx.field(static=True)
    loss: str = eqx.field(static=True)
    result: Any
    steps: Int[Array, ""]

    @property
    def chi2_reduced(self) -> Float[Array, ""]:
        """χ² per degree of freedom: near 1 where the model is right and σ was given."""
        return self.chi2 / max(self.degrees_of_freedom, 1)

    def report(self) -> str:
        """The fitted values ± standard errors, as text."""
        lines = [f"{'parameter':<24}{'value':>18}{'standard error':>18}"]
        for path, value in self.values.items():
            for index in np.ndindex(value.shape):
                name = ".".join([path, *map(str, index)])
                error = float(self.stderr[path][index])
                lines.append(
                    f"{name:<24}{float(value[index]):>18.9g}{error:>18.3g}"
                    if np.isfinite(error)
                    else f"{name:<24}{float(value[index]):>18.9g}{'not identified':>18}"
                )
        origin = "σ given" if self.sigma_known else "σ from the residual"
        lines.append(
            f"χ² = {float(self.chi2):.6g} for {self.degrees_of_freedom} degrees of freedom ({origin}), loss {self.loss}"
        )
        lines.append(
            f"converged in {int(self.steps)} steps"
            if self.converged
            else "NOT converged: raise max_steps, or pass starts=8"
        )
        return "\n".join(lines)


def fit(
    model: Any,
    data: PyTree,
    *,
    free: Any,
    residual: Any = scattering_difference,
    sigma: Any = None,
    weights: Any = None,
    loss: Any = "linear",
    transforms: Any = None,
    starts: Any = 1,
    spread: Any = 1.0,
    key: Any = None,
    solver: Any = None,
    max_steps: Any = None,
    throw: Any = False,
) -> Fit:
    """Fit the free leaves of a model to data by (robust) least squares:

        min ½ Σ_k ρ(r_k²),      r = w · residual(model, data) / σ

    **Arguments:**

    - `model`: where to start, and the class that comes back.
    - `data`: what `residual` takes; a `FieldData` by default.
    - `free`: the leaves to fit: a path, several, or a callable.
    - `residual`: `(model, data) -> array`, real or complex (its real and imaginary parts then count as two numbers).
    - `sigma`: standard deviation of each real number of the residual, of a shape that broadcasts to it; default
      `data.sigma` where there is one. Without any, errors are scaled by the residual's own size.
    - `weights`: further factors w, ≥ 0, e.g. 0 for points to leave out. Entries not measured have none.
    - `loss`: `"linear"`, or against outliers `"soft_l1"`, `"huber"`, `"cauchy"`, with σ as the scale beyond which a
      residual counts less.
    - `transforms`: `{path: transform}`, instead of those that follow from the leaf's physical bounds.
    - `starts`: local fits, the first from `model`, the others from perturbed starts (`spread`, in units of the
      unbounded parameters; `key`, a PRNG key, keyword-only), run by `vmap`; the best is returned.
    - `solver`: default `optimistix.LevenbergMarquardt`; any optimistix least-squares solver or minimiser, or any optax
      optimiser.
    - `max_steps`: default 256, and 20,000 for an optax optimiser.
    - `throw`: raise where the fit did not converge. By default the best that was met is returned in any case, and
      `converged` and `message` say how it ended.

    **Returns:** a `Fit`. Standard errors are those of the linearised model at the optimum (for robust losses the
    sandwich estimate).

    **Raises:** `ValueError` for an unknown path or loss, σ not positive, or a residual that is not finite at the start;
    `RuntimeError` with the message if `throw` and the fit did not converge.

    Usage: `fit(model, read_touchstone("device.s2p"), free=("kappa", "gamma")).report()`.
    """
    as_choice(loss, "loss", tuple(ROBUST))
    starts, throw, key = as_count(starts, "starts", most=100_000), as_flag(throw, "throw"), as_key(key)
    spread = as_scalar(spread, "spread", lower=0.0)
    solver, max_steps = _solver(solver, max_steps)
    parametrisation = parametrise(model, free, transforms)
    shape = _residual_shape(residual, model, data)
    sigma, weights = _scales(residual, data, sigma, weights, shape)
    require_known((model, data, sigma, weights), "model", "hold numbers")
    args = (parametrisation, data, sigma, weights)
    u0 = parametrisation.start
    if starts > 1:
        key = jax.random.key(0) if key is None else key
        u0 = u0 + spread * jax.random.normal(key, (starts, u0.size), u0.dtype).at[0].set(0.0)
    end = optimum(WeightedResidual(residual, loss), u0, args, solver, max_steps)
    if not end.start_is_finite:
        raise ValueError(
            "Argument model must give a finite residual to start from, but it has NaN or infinite entries."
        )
    counted = math.prod(shape) if weights is None else np.count_nonzero(np.broadcast_to(weights, shape))
    count = end.residual.size // math.prod(shape) * int(counted)
    fitted = _fit_at(end, parametrisation, count, sigma is not None, loss)
    return raise_failures(fitted, fitted.result) if throw else fitted


def _fit_at(end: Optimum, parametrisation: Parametrisation, count: int, sigma_known: bool, loss: str) -> Fit:
    """The optimum in the model's parameters, with its errors; `count`: the real numbers that have a weight."""
    covariance, rank = parameter_covariance(
        *jax.tree_util.tree_map(np.asarray, (end.jacobian, end.value_jacobian, end.influence, end.slope))
    )
    freedom = count - rank
    chi2 = jnp.sum(end.residual**2)
    if not sigma_known and loss == "linear":
        covariance = covariance * float(chi2) / max(freedom, 1)
    values = parametrisation.values(end.u)
    errors = np.sqrt(np.diagonal(covariance))
    stderr, position = {}, 0
    for name, value in values.items():
        stderr[name] = jnp.asarray(errors[position : position + value.size].reshape(value.shape))
        position += value.size
    return Fit(
        parametrisation.build(end.u), values, stderr, jnp.asarray(covariance), end.residual, chi2,
        freedom, sigma_known, loss, end.result, end.steps,
    )  # fmt: skip


def _residual_shape(residual: Any, model: Any, data: Any) -> tuple[int, ...]:
    """The shape of what a user's residual returns, which is tried once."""
    must = "be a function (model, data) -> array of real or complex numbers"
    found = tried(residual, "residual", must, lambda f: eqx.filter_eval_shape(f, model, data))
    array = isinstance(found, jax.ShapeDtypeStruct) and jnp.issubdtype(found.dtype, jnp.inexact)
    require(array, "residual", must, "one that returns " + (f"{found.dtype}" if array else described(found)))
    require(math.prod(found.shape) > 0, "residual", must, f"one that returns an array of shape {found.shape}")
    return found.shape


def _scales(
    residual: Any, data: Any, sigma: Any, weights: Any, shape: tuple[int, ...]
) -> tuple[Array | None, Array | None]:
    """σ and weights that go with the residual; entries that were not measured have the weight 0."""
    given = "sigma" if sigma is not None else "data.sigma"
    sigma = getattr(data, "sigma", None) if sigma is None else sigma
    measured = getattr(data, "entries", None) if residual is scattering_difference else None
    measured = measured if is_concrete(measured) else None
    if measured is not None and getattr(sigma, "shape", ()) == shape:
        sigma = jnp.where(measured, as_real(sigma, given), 1.0)
    sigma = _factors(sigma, given, shape, positive=True)
    weights = _factors(weights, "weights", shape)
    if measured is not None and not measured.all():
        weights = measured * (jnp.ones(shape) if weights is None else weights)
    return sigma, weights


def _factors(value: Any, name: str, shape: tuple[int, ...], *, positive: bool = False) -> Array | None:
    """σ or weights as an array that broadcasts to `shape`; a σ per frequency [f] stands at its front."""
    if value is None:
        return None
    array = as_real(value, name)
    require_bounds(name, array, lower=None if positive else 0.0)
    if is_concrete(array):
        every, must = (jnp.all, "be positive") if positive else (jnp.any, "be positive for one point at least")
        require(bool(every(array > 0)), name, must, array)
    widened = array.shape + (1,) * (len(shape) - array.ndim) if positive and array.ndim else array.shape
    try:
        good = np.broadcast_shapes(widened, shape) == shape
    except ValueError:
        good = False
    require(good, name, f"have a shape that broadcasts to that of the residual, {shape}", f"of shape {array.shape}")
    return array.reshape(widened)


def parameter_covariance(
    jacobian: np.ndarray,
    value_jacobian: np.ndarray,
    influence: np.ndarray | None = None,
    slope: np.ndarray | None = None,
    rank_tolerance: float = 1e-9,
) -> tuple[np.ndarray, int]:
    """Covariance of derived quantities q(u) from the Jacobian of residuals that have unit variance.

        cov = G (JᵀJ)⁺ Gᵀ,      and with ψ = ρ-influence:  G H⁺ (Jᵀ diag(ψ²) J) H⁺ Gᵀ,  H = Jᵀ diag(ψ') J

    **Arguments:** `jacobian`: J = dr/du [n, p], which may be rank-deficient (a gauge); `value_jacobian`: G = dq/du [q,
    p]; `influence`, `slope`: ψ [n] and ψ' [n] of a robust loss; `rank_tolerance`: singular values below this part of
    the largest are gauge.

    **Returns:** cov [q, q], NaN in the rows and columns of quantities that the data do not identify, and the rank of J.
    """
    scale = np.linalg.norm(jacobian, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    weighted = jacobian / scale if slope is None else np.sqrt(np.maximum(slope, 0.0))[:, None] * jacobian / scale
    # R of a QR has the singular values and right vectors of J, at a size that no longer counts the data.
    _, singular, vt = np.linalg.svd(np.linalg.qr(weighted, mode="r"))
    rank = int(np.sum(singular > rank_tolerance * singular[0])) if singular.size and singular[0] > 0 else 0
    G = value_jacobian / scale
    lost = np.linalg.norm(G @ vt[rank:].T, axis=1) > 1e-5 * np.linalg.norm(G, axis=1)
    projected = (G @ vt[:rank].T) / singular[:rank]
    if influence is None:
        covariance = projected @ projected.T
    else:
        basis = (influence[:, None] * jacobian / scale) @ (vt[:rank].T / singular[:rank])
        covariance = projected @ (basis.T @ basis) @ projected.T
    covariance[lost, :] = np.nan
    covariance[:, lost] = np.nan
    return covariance, rank


def _solver(solver: Any, max_steps: Any) -> tuple[Any, int]:
    if solver is not None:
        must = "be a least-squares solver or minimiser of optimistix, or an optimiser of optax"
        kinds = (optx.AbstractLeastSquaresSolver, optx.AbstractMinimiser, optax.GradientTransformation)
        require_instance(solver, "solver", kinds, must)
    max_steps = None if max_steps is None else as_count(max_steps, "max_steps", most=10**9)
    if isinstance(solver, optax.GradientTransformation):
        return optx.OptaxMinimiser(solver, rtol=1e-10, atol=1e-12), 20_000 if max_steps is None else max_steps
    if solver is None:
        # On the normal equations: ten times quicker a step than by the default QR, and as good, because the damping,
        # and not the linear algebra, sets what an ill-conditioned step may do.
        solver = optx.LevenbergMarquardt(rtol=1e-8, atol=1e-8, linear_solver=lx.Normal(lx.Cholesky()))
    return solver, 256 if max_steps is None else max_steps
