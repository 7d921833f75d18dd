"""How a fit to sweeps begins: a search that needs no start values; and the descent that search and fit share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from optimize.sweep_fit.oscillators import SweptOscillators
from optimize.sweep_fit.table import SweepTable
from optimize.transforms import Parametrisation, parametrise

DRAWN = 128  # for every start
LINEAR_STEPS = 60  # of the search


def search(
    table: SweepTable, order: int, starts: int | None, key: PRNGKeyArray | None
) -> tuple[Float[np.ndarray, " p"], Parametrisation]:
    """The best of many fits of the problem without branches, from oscillators drawn about the measured band."""
    n = table.unit.size
    starts = (16 if n == 1 else 64) if starts is None else starts
    low, high = table.omega.min(), table.omega.max()
    span = high - low
    driven = jnp.any(table.level > 0, axis=0)
    typical = SweptOscillators(
        frequency=jnp.full(n, (low + high) / 2),
        damping=jnp.full(n, span / 20),
        stiffening=jnp.full((order // 2, n), span),
        force=jnp.where(driven, span / 10, 0.0),
        coupling=jnp.full(n - 1, span),
        scale=jnp.ones(n - 1),
    )
    free = ("frequency", "damping", "stiffening", "force") + (("coupling", "scale") if n > 1 else ())
    parametrisation = parametrise(typical, free)

    key = jax.random.key(0) if key is None else key
    u0 = _draw(jax.random.split(key, starts * DRAWN), parametrisation, table, starts)
    end = descend(lambda u: _linear(jnp.asarray(u), parametrisation, table), np.asarray(u0), LINEAR_STEPS)
    if not np.any(np.isfinite(end.cost)):
        raise RuntimeError("No start led to oscillators with a finite residual: raise starts, or look at the sweeps.")
    # Forces of the opposite sign turn all phases by π: the first of them is positive.
    values = parametrisation.values(jnp.asarray(end.u[np.nanargmin(end.cost)]))
    sign = jnp.where(values["force"][jnp.argmax(driven)] < 0, -1.0, 1.0)
    return np.asarray(parametrisation.from_values(values | {"force": sign * values["force"]})), parametrisation


@eqx.filter_jit
def _draw(keys: Array, parametrisation: Parametrisation, table: SweepTable, best: int) -> Float[Array, "start p"]:
    """The best of random oscillators about the measured band, as unbounded vectors."""
    typical = parametrisation.model
    n, low, high = table.unit.size, table.omega.min(), table.omega.max()
    span = high - low
    # A hardening resonance falls where a sweep up leaves it, and rises where one down does.
    onwards = jnp.sign(table.middle - table.omega[table.before])
    change = jnp.sum(table.amplitude[table.before + 1] - table.amplitude[table.before], axis=1)
    hardening = -jnp.sign(jnp.sum(onwards * change))

    def draw(key: Array) -> Array:
        k = jax.random.split(key, 6)
        damping = span * 10 ** jax.random.uniform(k[0], (n,), minval=-2.5, maxval=-0.7)
        sign = jax.random.choice(k[1], jnp.array([-1.0, 1.0]), (n,)).at[0].set(1.0)
        bend = 2 * span * jax.random.uniform(k[2], (n,), minval=-1.0)
        bend = jnp.where(hardening == 0, bend, hardening * jnp.abs(bend))
        drawn = SweptOscillators(
            frequency=jax.random.uniform(k[3], (n,), minval=low - span / 3, maxval=high + span / 3),
            damping=damping,
            stiffening=jnp.zeros_like(typical.stiffening).at[0].set(bend),
            force=jnp.where(typical.force > 0, 2 * damping * sign, 0.0),  # a peak near the largest amplitude
            coupling=span * 10 ** jax.random.uniform(k[4], (n - 1,), minval=-1.0, maxval=0.3),
            scale=jnp.ones(n - 1),
        )
        return parametrisation.from_values({path: getattr(drawn, path) for path in parametrisation.names})

    u = jax.vmap(draw)(keys)
    cost = jax.vmap(lambda u: jnp.sum(_linear_residual(u, parametrisation, table) ** 2))(u)
    return u[jnp.argsort(cost)[:best]]


@eqx.filter_jit
def _linear(u: Array, parametrisation: Parametrisation, table: SweepTable) -> tuple[Array, Array]:
    """The residuals of amplitudes where the measured ones make the stiffness, and their Jacobian, of a batch."""
    args = parametrisation, table
    return jax.vmap(lambda u: (_linear_residual(u, *args), jax.jacfwd(_linear_residual)(u, *args)))(u)


def _linear_residual(u: Array, parametrisation: Parametrisation, table: SweepTable) -> Array:
    a = parametrisation.build(u).linear_response(table)
    return ((jnp.sqrt(a.real**2 + a.imag**2 + 1e-12) - table.amplitude) / table.sigma).ravel()


class Descent(NamedTuple):
    """Where searches ended: `u` [start, p], `cost` [start], `converged` [start], and the steps all took together."""

    u: np.ndarray
    cost: np.ndarray
    converged: np.ndarray
    steps: int


def descend(look: Callable[[np.ndarray], tuple[Any, Any]], u: np.ndarray, max_steps: int) -> Descent:
    """Levenberg–Marquardt of a batch u [start, p] by `look`: u -> (r [start, n], ∂r/∂u [start, n, p]).

    Its loop is Python's: what is compiled is one residual with its Jacobian, where optimistix's solver holds several,
    and compiling takes a hundred times longer than the fit.
    """
    r, jacobian = (np.asarray(x) for x in look(u))
    damping = np.full(len(u), 1e-2)
    converged, steps = np.zeros(len(u), bool), 0
    while steps < max_steps and not converged.all():
        scale = np.nan_to_num(np.linalg.norm(jacobian, axis=1), posinf=0.0)  # of each parameter: it rules the damping
        scale = np.maximum(scale, 1e-9 * scale.max(axis=1, keepdims=True)) + 1e-30
        scaled = np.nan_to_num(jacobian / scale[:, None])
        normal = scaled.swapaxes(1, 2) @ scaled + damping[:, None, None] * np.eye(u.shape[1])
        step = -np.linalg.solve(normal, scaled.swapaxes(1, 2) @ np.nan_to_num(r)[:, :, None])[:, :, 0]
        change = step / scale
        trial_r, trial_jacobian = (np.asarray(x) for x in look(u + change))
        cost, trial_cost = np.sum(r**2, axis=1), np.sum(trial_r**2, axis=1)
        better = trial_cost < cost
        small = np.linalg.norm(step, axis=1) <= 1e-6 * np.sqrt(cost)
        converged |= ~np.isfinite(cost) | small | (damping > 1e12)
        u = np.where(better[:, None], u + change, u)
        r = np.where(better[:, None], trial_r, r)
        jacobian = np.where(better[:, None, None], trial_jacobian, jacobian)
        damping = np.where(better, np.maximum(damping / 5, 1e-12), damping * 4)
        steps += 1
    return Descent(u, np.sum(r**2, axis=1), converged, steps)
