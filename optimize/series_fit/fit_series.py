"""Coefficients of one model over several data sets: each set fitted by itself, then all of them together.

The sets are combined by generalised least squares on the coefficients, with what each set's data leave known of all of
them at once. To first order in the errors that is the joint fit of all data, whatever their grids, entries and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffnr.checks import as_count, as_flag, as_vector, described, require, require_instance
from diffnr.data import FieldData
from diffnr.results import RESULTS, raise_failures, succeeded
from optimize.mode_fit.fit_modes import fit_modes
from optimize.mode_fit.fit_resonators import fit_two_resonators
from optimize.mode_fit.quantities import leaves_of
from optimize.series_fit.joint import aligned, combined, placed, told_alone
from optimize.series_fit.result import SeriesFit

TWO_RESONATORS = "two resonators"


def fit_series(
    datas: Any,
    parameter: Any,
    *,
    model: Any = TWO_RESONATORS,
    shared: Any = (),
    name: Any = "parameter",
    delay: Any = None,
    background: Any = None,
    max_steps: Any = 200,
    throw: Any = False,
) -> SeriesFit:
    """Fit one model to data sets taken at several values of a parameter (bias, power, temperature).

        Σ_i (θ_i − θ̂_i)ᵀ H_i (θ_i − θ̂_i) → least,      θ_i the same for all i where shared

    with θ̂_i the coefficients that set i gives by itself, and H_i what its data tell of them, the rest (direct path,
    delays) being free in each set.

    **Arguments:**

    - `datas`: `FieldData` of the same ports, two or more; grids, entries measured and noise may differ.
    - `parameter`: [n], the value that each was taken at.
    - `model`: "two resonators", each behind a port of its own (see `fit_two_resonators`), or a number of resonances
      (see `fit_modes`), of which frequencies and rates are followed.
    - `shared`: coefficients that do not depend on the parameter: any of "omega", "gamma", "gamma_0", "kappa12",
      "kappa21", or one of several such as "gamma[0]". Default: none; `report()` says which vary beyond their errors.
    - `name`: of the parameter, for tables and axes.
    - `delay`, `background`, `max_steps`, `throw`: as of the fit of each set.

    **Returns:** a `SeriesFit`: `.coefficient("kappa")`, `.table()`, `.plot()`, `.report()`, `.covariance`.

    **Raises:** `ValueError` for fewer than two sets, sets of different ports, as many values as there are not sets, or
    a coefficient that the model has not; `RuntimeError` if `throw` and a fit did not converge.

    Usage: `fit_series([read_touchstone(f"{b}mT.s2p") for b in (-5, 0, 5)], [-5, 0, 5], shared="gamma").table()`.

    **Notes:** resonances of a model by their number are told apart by rising frequency; resonators by their ports.
    """
    many = isinstance(datas, Sequence) and len(datas) > 1
    require(many, "datas", "be a sequence of two FieldData or more", described(datas))
    for data in datas:
        require_instance(data, "datas", FieldData, "hold diffnr.FieldData alone")
    ports = {data.num_ports for data in datas}
    require(len(ports) == 1, "datas", "be of the same ports", f"of {sorted(ports)} ports")
    values = as_vector(parameter, "parameter")
    require(values.size == len(datas), "parameter", f"hold {len(datas)} values, one a data set", f"{values.size}")
    require(isinstance(name, str) and name, "name", "be text", described(name))
    throw = as_flag(throw, "throw")
    modes = None if isinstance(model, str) and model == TWO_RESONATORS else _modes(model)
    leaves = leaves_of(modes)
    names = (shared,) if isinstance(shared, str) else tuple(shared) if isinstance(shared, (tuple, list)) else (shared,)
    chosen = leaves.chosen(names)
    require(chosen is not None, "shared", f"name coefficients among {', '.join(leaves.groups)}", described(shared))
    options = {"delay": delay, "background": background, "max_steps": max_steps}
    fits = tuple(
        fit_two_resonators(data, **options) if modes is None else fit_modes(data, modes, **options) for data in datas
    )
    alone, roots = told_alone(fits, modes)
    if modes is None:
        alone, roots = aligned(np.asarray(values), alone, roots)
    together = combined(alone, roots, placed(len(fits), leaves, tuple(chosen or ())))
    result = next((fit.result for fit in fits if not succeeded(fit.result)), RESULTS.successful)
    series = SeriesFit(
        parameter=values,
        coefficients=jnp.asarray(together.vectors),
        information=jnp.asarray(together.root),
        alone=jnp.asarray(alone),
        told=jnp.asarray(roots),
        fits=fits,
        shared=tuple(chosen or ()),
        name=name,
        modes=modes,
        result=result,
    )
    return raise_failures(series, result) if throw else series


def _modes(model: Any) -> int:
    require(not isinstance(model, str), "model", f'be "{TWO_RESONATORS}" or a number of resonances', described(model))
    return as_count(model, "model")
