"""Whether a fitted response is passive everywhere in its band, between the samples too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from optimize.mode_fit.forms import ActiveForm, from_pairs

Host = Any
PIECES = 200_000  # intervals looked at, before "not shown" is the answer


def is_passive(response: ActiveForm, allowed: float = 1e-9) -> bool:
    """Whether ‖S(x)‖₂ ≤ 1 + `allowed` for every x in [−1, 1], as a bound has it that no sample can miss:

        ‖S(x)‖ ≤ ‖S(m)‖ + h max‖S'‖,      |x − m| ≤ h,      max‖S'‖ ≤ Σ ‖R_n‖/min|ix − p_n|² + Σ k ‖C_k‖

    Intervals are halved until each is shown to be passive, or one middle is not. Delays do not matter to it.
    """
    here = replace(response, delay=None)
    A, _, D, K = here.modal(np.zeros(1))
    poles: Host
    poles, right = np.linalg.eig(A)
    residues = np.einsum("on,ni->noi", D @ right, np.linalg.solve(right, K[0].T))
    sizes = np.linalg.norm(residues, 2, axis=(1, 2))
    paths = np.linalg.norm(from_pairs(response.background)[1:], 2, axis=(1, 2))
    slope = float(np.sum(paths * np.arange(1, len(paths) + 1)))
    middle, half, looked = np.linspace(-1, 1, 129)[1::2], 1 / 64, 0
    while middle.size:
        looked += middle.size
        largest = np.linalg.norm(here.response(middle)[0], 2, axis=(1, 2))
        if np.any(largest > 1 + allowed) or looked > PIECES:
            return False
        beside = np.maximum(np.abs(middle[:, None] - poles.imag) - half, 0.0)
        steepest = np.sum(sizes / (beside**2 + poles.real**2), axis=1) + slope
        left = middle[largest + half * steepest > 1 + allowed]
        half /= 2
        middle = np.concatenate([left - half, left + half])
    return True
