"""The device that a fitted response describes, and those that the data leave possible beside it."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from diffnr.tcmt import ActiveModes, PassiveModes
from optimize.mode_fit.form import Form, from_pairs, realised, to_pairs

Host = Any
Device = PassiveModes | ActiveModes
HERMITIAN = ("omega", "gamma_i")
KNOWN = 1e-9  # of the largest singular value of the scaled derivatives: below, a direction is a gauge


def device_of(form: Form, centre: float, half: float, *, passive: bool) -> tuple[Device, float]:
    """The device of a form with a constant direct path, at its reference planes, and the part of its S that it is."""
    kind, matrices, scale = _matrices(form, centre, half, passive=passive)
    if kind is ActiveModes:
        return ActiveModes(**matrices), scale
    return PassiveModes(**matrices, hidden=len(matrices["D"]) - matrices["C"].shape[1]), scale


def _matrices(
    form: Form, centre: float, half: float, *, passive: bool, basis: Host = None
) -> tuple[type[Device], dict[str, Host], float]:
    root, A = np.sqrt(half), from_pairs(form.A)
    shift = centre * np.eye(len(A))
    with contextlib.suppress(ValueError):  # where nothing passive is near: a pole that grows, say
        if passive:
            omega, D, V, scale = realised(form, basis)
            return PassiveModes, {"omega": shift + half * omega, "D": root * D, "C": V}, float(scale)
    _, C, D, K = form.modal(np.zeros(1))
    absorption = -(A + A.conj().T) / 2 - D.conj().T @ D / 2
    omega = shift + half * (A - A.conj().T) / 2j
    matrices = {"omega": omega, "D": root * D, "C": C[0], "K": root * K, "gamma_i": half * absorption}
    return ActiveModes, matrices, 1.0


def spread_of(J: Host, inflation: float) -> Host:
    """A square root [p, r] of the covariance (JJᵀ)⁺ of a form's parameters, from J [p, n]; r is the rank."""
    scale = np.linalg.norm(J, axis=1)
    scale = np.where(scale > 0, scale, 1.0)
    _, singular, vt = np.linalg.svd(np.linalg.qr((J / scale[:, None]).T, mode="r"))
    rank = int(np.sum(singular > KNOWN * singular[0]))
    return np.sqrt(inflation) * vt[:rank].T / singular[:rank] / scale[:, None]


def possible_leaves(
    form: Form, centre: float, half: float, spread: Host, draws: int, *, passive: bool
) -> dict[str, Host]:
    """The leaves `{name: [draw, ...]}` of devices drawn from what the data leave possible: pairs on both sides of the
    fitted one.

    **Raises:** `ValueError` where none of the passive ones is near a draw.
    """
    rng = np.random.default_rng(0)
    one_side = rng.normal(size=(-(-draws // 2), spread.shape[1]))
    # One basis for all, so that their leaves are near to those of the fitted device.
    basis, drawn = np.linalg.eig(from_pairs(form.A))[1], []
    for step in np.concatenate([one_side, -one_side])[:draws]:
        moved = form.at(form.vector() + spread @ step)
        kind, matrices, _ = _matrices(moved, centre, half, passive=passive, basis=basis)
        if passive and kind is ActiveModes:
            raise ValueError(
                "Argument tolerances must be given: the data leave so much open that no passive model is near some of "
                "what they allow."
            )
        drawn.append(matrices)
    stacked = {name: np.stack([matrices[name] for matrices in drawn]) for name in drawn[0]}
    return {
        "direct" if passive and name == "C" else name: _packed(part) if name in HERMITIAN else to_pairs(part)
        for name, part in stacked.items()
    }


def _packed(matrices: Host) -> Host:
    return np.triu(matrices.real) + np.tril(matrices.imag, -1)
