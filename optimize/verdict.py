"""Whether what a fit leaves of its data looks like noise, and what its standard errors are then worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import equinox as eqx
import numpy as np


class ResidualVerdict(eqx.Module):
    """Whether a residual looks like noise.

    `chi2_reduced`: χ² per degree of freedom against the noise (given, or estimated from the data's own scatter);
    `autocorrelation`: of neighbouring points, −1 … 1, 0 for noise; `noise_like`: both are as noise would have them;
    `errors`: "as computed", "inflated" (by √inflation) or "withheld"; `sentence` says so.
    """

    chi2_reduced: float
    autocorrelation: float
    noise_like: bool
    errors: str = eqx.field(static=True)
    inflation: float
    sentence: str = eqx.field(static=True)


def judge(
    chi2: float,
    correlation: float,
    count: int,
    rank: int,
    *,
    noise: Literal["given", "estimated", "unknown"],
    weighted: float,
    taken_out: float,
    counted: float,
    least_independent: int,
    otherwise: Callable[[float, float], str],
) -> ResidualVerdict:
    """What χ² per degree of freedom and the correlation ρ of neighbours say about a residual.

    Noise is white, so |ρ| must lie within 3/√count of 0, and χ² within 5 standard deviations of 1 where the noise is
    known. Where either is not so, the covariance is multiplied by χ² and by (1 + ρ)/(1 − ρ), which counts correlated
    points as the fewer independent ones they are.

    **Arguments:**

    - `chi2`, `correlation`: χ² per degree of freedom against the noise, and ρ.
    - `count`, `rank`: the real numbers of the residual, and the parameters they identify.
    - `noise`: "given"; "estimated" from the scatter, good to some 10–20 %, so that χ² may reach 1.5; or "unknown", so
      that only ρ is judged.
    - `weighted`: χ² per degree of freedom with the σ that the fit weighted by.
    - `taken_out`: by how much fitted parameters may push ρ below −3/√count; inf where negative correlation is no sign
      of a wrong model, and a correlation within the bounds then counts as none.
    - `counted`: the largest ρ that is counted, below 1.
    - `least_independent`: independent numbers per parameter without which errors mean nothing and are withheld.
    - `otherwise`: the end of the sentence on a residual that is not noise, from the independent numbers left and the
      inflation.
    """
    freedom = max(count - rank, 1)
    allowed = 1 + 5 * np.sqrt(2 / freedom)
    limit = {"given": allowed, "estimated": max(allowed, 1.5), "unknown": np.inf}[noise]
    white = -3 / np.sqrt(count) - taken_out < correlation < 3 / np.sqrt(count)
    noise_like = bool(white and (chi2 < limit or noise == "unknown"))
    size = "" if noise == "unknown" else f"reduced χ² {chi2:.3g}, "
    facts = f"({size}neighbouring residuals correlated by {correlation:.2f})"
    if noise_like:
        inflation = 1.0 if noise == "given" else weighted
        sentence = f"The residual looks like noise {facts}."
        return ResidualVerdict(chi2, correlation, True, "as computed", inflation, sentence)
    rho = float(np.clip(correlation, 0.0, counted))
    if white and np.isinf(taken_out):
        rho = 0.0
    independent = count * (1 - rho) / (1 + rho)
    inflation = (weighted if noise == "unknown" else max(weighted, 1.0)) * (1 + rho) / (1 - rho)
    errors = "inflated"
    end = otherwise(independent, inflation)
    if independent < least_independent * rank:
        errors, inflation = "withheld", np.nan
        end = (
            f": only about {independent:.0f} of its numbers are independent, too few for {rank} parameters, so "
            "standard errors are withheld. The model is incomplete: try more modes or a background of higher order."
        )
    sentence = f"The residual does not look like noise {facts}{end}"
    return ResidualVerdict(chi2, correlation, False, errors, inflation, sentence)
