"""Coupled-mode coefficients from scattering data.

What S identifies are poles, rank-one residues and the direct path. D and K separately, and the scale |d|/|k|, are a
gauge unless stored energies were measured too. Errors are therefore given for the former, by the delta method.

The work is done on the host in numpy: problems are small and dense, their shapes many, and nothing is compiled.
"""

from __future__ import annotations

from typing import Any, overload

import jax.numpy as jnp
import numpy as np

from diffnr.checks import as_count, as_flag, require, require_double, require_instance, require_known
from diffnr.data import FieldData, PowerData, passivity_beside, reciprocity
from diffnr.results import raise_failures
from optimize.mode_fit.device import device_of, spread_of
from optimize.mode_fit.passivity import ALLOWED, largest_gain
from optimize.mode_fit.power_fit import fit_powers
from optimize.mode_fit.power_result import PowerFit
from optimize.mode_fit.problem import made_passive
from optimize.mode_fit.response import as_response
from optimize.mode_fit.result import ModeFit
from optimize.mode_fit.setting import Setting, chosen_modes, conjugate_is_better, folded, grows

POINTS = 5  # a mode, at least
MOST = 20  # modes of one fit


@overload
def fit_modes(
    data: PowerData,
    modes: Any = "auto",
    *,
    delay: Any = None,
    background: Any = None,
    passive: Any = None,
    reciprocal: Any = False,
    max_steps: Any = 200,
    throw: Any = False,
) -> PowerFit: ...
@overload
def fit_modes(
    data: FieldData,
    modes: Any = "auto",
    *,
    delay: Any = None,
    background: Any = None,
    passive: Any = None,
    reciprocal: Any = False,
    max_steps: Any = 200,
    throw: Any = False,
) -> ModeFit: ...
def fit_modes(
    data: Any,
    modes: Any = "auto",
    *,
    delay: Any = None,
    background: Any = None,
    passive: Any = None,
    reciprocal: Any = False,
    max_steps: Any = 200,
    throw: Any = False,
) -> Any:
    """Fit the coupled-mode coefficients of `modes` resonances to scattering data. No start values are needed.

        S(ω) = P(ω) [C(ω) + D (i(ω − Ω) + Γ)⁻¹ K(ω)ᵀ] P(ω),      P = diag e^{−i(ω − ω_centre)τ}

    **Arguments:**

    - `data`: a `FieldData`, of all entries of S or of some; its stored energies are used where it has them, and its
      `sigma` where given. Without σ each entry of S is weighted by its misfit, but never so little that it is given up.
      `PowerData` are fitted by |S|² of such a response; `delay` and `passive` then have no meaning.
    - `modes`: N ≥ 1, how many resonances: at most a fifth of the points, and 20. "auto" takes as many as the data show
      by an information criterion; the table that decided is in `.choice`.
    - `delay`: fit a delay τ per port (reference planes away from the device). Default: only for measurements.
    - `background`: order of the polynomial by which the direct path varies over the band; 0 is a constant C. Default: 2
      for measurements, 0 otherwise.
    - `passive`: whether the response must be passive, everywhere in the band. Default: unless the data are not.
    - `reciprocal`: demand S = Sᵀ. S_oi and S_io are then one entry that was measured twice, there are fewer unknowns,
      and entries that were not measured follow from the others where they can. Data that are not reciprocal are missed,
      and the fit says so. Not of `PowerData`.
    - `max_steps`: of the Levenberg–Marquardt iteration.
    - `throw`: raise where that did not converge. By default the best that was met is returned in any case, and
      `converged` and `message` say how it ended.

    **Returns:** a `ModeFit`: `.model`, `.coefficients` and `.stderr`, `.covariance`, `.report()`, `.plot()`,
    `.predict(omega)`, and in `.concerns` what speaks against it. Of `PowerData` a `PowerFit`.

    **Raises:** `ValueError` for too few points, more modes than they can carry, numbers of single precision, or, of
    "auto", data that show no resonance;
    `RuntimeError` with the message if `throw` and the fit did not converge.

    Usage: `fit_modes(read_touchstone("device.s2p")).report()`.

    **Notes:** resonances should lie in the band and span several points. Where their width is some part of ω, poles may
    have conjugates at negative frequencies, as those of networks: `.negative_frequency_poles` says whether. Gain is
    never forced away: data that are not passive are reported and fitted without the constraint.

    Source: paper 3, equations 1–5 and section 5 (hidden ports).
    """
    require_instance(data, "data", (FieldData, PowerData), "be a diffnr.FieldData or PowerData")
    require_known(data, "data", "hold numbers")
    s = data.power if isinstance(data, PowerData) else data.s
    require_double("data", s)
    require_double("data", data.omega)
    s = np.asarray(s)
    require(np.any(s[:, np.asarray(data.entries)] != 0), "data", "hold a signal", "0 at every frequency")
    modes = modes if isinstance(modes, str) and modes == "auto" else as_count(modes, "modes")
    max_steps, throw = as_count(max_steps, "max_steps"), as_flag(throw, "throw")
    delay = data.measured if delay is None else as_flag(delay, "delay")
    order = 2 * int(data.measured) if background is None else as_count(background, "background", least=0)
    passive = None if passive is None else as_flag(passive, "passive")
    symmetric = as_flag(reciprocal, "reciprocal")
    if isinstance(data, PowerData):
        require(not symmetric, "reciprocal", "be left out for powers without phase", "True")
        most = _most_modes(data, order, delay=False, symmetric=False)
        if modes != "auto":
            _require_carried(modes, most, data)
        fit = fit_powers(data, modes, order, min(most, MOST), max_steps)
        return raise_failures(fit, fit.result) if throw else fit
    fitted = folded(data) if symmetric else data
    most = _most_modes(fitted, order, delay, symmetric)
    if modes != "auto":
        _require_carried(modes, most, data)
    setting, choice = Setting.of(data, fitted, order, delay, max_steps, symmetric), None
    if modes == "auto":
        response, choice = chosen_modes(setting, min(most, MOST))
        found = setting.fitted([response])
    else:
        found = setting.fitted(setting.starts(setting.problem, modes))
    found, evidence, shift = setting.imaged(found)

    bounded = passivity_beside(data, setting.scatter)
    passive = bounded.passive is not False if passive is None else passive
    if passive:
        found = made_passive(found, max_steps)
    problem, response, end = found
    bounded_response = passive and largest_gain(response) <= 1 + 2 * ALLOWED
    centre, half = setting.centre, setting.half
    judged = setting.judged(problem, response)
    flat = judged.planes.form()
    model, scale = device_of(flat, centre, half, passive=bounded_response and data.energy is None)
    spread = judged.slopes @ spread_of(judged.jacobian, judged.verdict.inflation)
    doubtful = not judged.verdict.noise_like or grows(response)
    conjugated = doubtful and conjugate_is_better(setting, found)
    fit = ModeFit(
        model=model,
        coefficients=judged.coefficients, stderr=judged.stderr,
        covariance=jnp.asarray(judged.covariance), rank=judged.rank,
        response=as_response(response), spread=jnp.asarray(spread),
        centre=jnp.asarray(centre), half_band=jnp.asarray(half),
        data=data, residual=jnp.asarray(judged.residual), noise=jnp.asarray(setting.noise),
        verdict=judged.verdict, reciprocity=reciprocity(data), passivity=bounded,
        result=end.result, steps=jnp.asarray(end.steps), conjugated=conjugated,
        bounded=bounded_response, model_scale=scale, choice=choice,
        image_evidence=evidence, image_shift=shift,
    )  # fmt: skip
    return raise_failures(fit, fit.result) if throw else fit


def _most_modes(data: FieldData | PowerData, order: int, delay: bool, symmetric: bool) -> int:
    """How many resonances the data can carry: at least one, or they are refused."""
    entries, couplings = int(np.sum(np.asarray(data.entries))), (2 if symmetric else 4) * data.num_ports
    unknowns = 2 * (order + 1) * entries + data.num_ports * delay
    numbers = 2 * data.num_points * entries
    most = min((data.num_points - order - 1) // POINTS, (numbers - unknowns - 1) // couplings)
    require(
        most > 0,
        "data",
        f"have more points for one mode ({unknowns + couplings} unknowns, and {POINTS} points a mode)",
        f"of {data.num_points} ({numbers} real numbers)",
    )
    return most


def _require_carried(modes: int, most: int, data: FieldData | PowerData) -> None:
    carried = f"{data.num_points} points carry ({POINTS} a mode, and fewer unknowns than numbers)"
    long = f"be at most {MOST}, since the time of a fit grows as their fourth power (data.band gives parts)"
    require(modes <= min(most, MOST), "modes", long if most > MOST else f"be at most {most}, which {carried}", modes)
