"""What speaks against a `ModeFit`: entries that it misses, symmetry that it breaks, modes that the data do not show."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffnr.data import name_of_entry, numbers_of

Host = Any
MISSED = 5.0  # times its noise: an entry is missed
UNSEEN = 3.0  # times its error: a residue below is not seen


def incomplete(fit: Any) -> list[str]:
    """Sentences on what the model lacks; none where it describes the data."""
    return [] if fit.verdict.noise_like else [*missed_entries(fit), *_broken_symmetry(fit)]


def doubtful_modes(fit: Any) -> dict[int, str]:
    """Modes that the data do not show, or that are none, and sentences on them."""
    found = unseen_modes(fit) | impossible_modes(fit)
    return {n: found[n] for n in sorted(found)}


def impossible_modes(fit: Any) -> dict[int, str]:
    """Modes that are none that the band could tell, and sentences on them."""
    found: dict[int, str] = {}
    omega = np.asarray(fit.data.omega)
    band, step = omega[-1] - omega[0], float(np.median(np.diff(omega)))
    for n, width in enumerate(np.asarray(fit.coefficients.gamma)):
        if width < 0:
            found[n] = _none_of_the_device(n, "it grows in time (γ < 0), which needs gain")
        elif 2 * width > 2 * band:
            found[n] = _none_of_the_device(n, "its width is more than twice the band")
        elif 2 * width < step / 2:
            found[n] = _none_of_the_device(n, "its width is less than half a step of the frequency")
    return found


def unseen_modes(fit: Any) -> dict[int, str]:
    """Modes whose residues are within their errors, and sentences on them."""
    residues: Host = np.asarray(fit.coefficients.residues)
    errors: Host = np.asarray(fit.stderr.residues)
    size, error = np.hypot(residues.real, residues.imag), np.hypot(errors.real, errors.imag)
    unseen = np.all(np.isfinite(error) & (size < UNSEEN * error), axis=(1, 2))
    return {n: _none_of_the_device(n, "its residue is within its error") for n in np.flatnonzero(unseen).tolist()}


def _none_of_the_device(mode: int, why: str) -> str:
    return f"Mode {mode} may be none of the device: {why}."


def smaller_model(fit: Any) -> list[str]:
    """A sentence where the model at band centre is smaller than the response it stands for."""
    if fit.model_scale >= 0.999:
        return []
    return [
        f"The model is {fit.model_scale:.3g} times the fitted S at band centre: with its direct path the same at every "
        "frequency, more of it would not be passive."
    ]


def growth(fit: Any) -> list[str]:
    """A sentence where a model of data without gain needs a mode that grows."""
    gamma, error = np.asarray(fit.coefficients.gamma), np.nan_to_num(np.asarray(fit.stderr.gamma))
    if fit.passivity.passive is not True or np.all(gamma > -UNSEEN * error):
        return []
    return [
        "The data have no gain, and the model needs a mode that grows in time: they may be of phasors e^{−iωt} (then "
        "fit data.conjugated()), or of more than the modes asked for."
    ]


def missed_entries(fit: Any) -> list[str]:
    """A sentence on entries that are missed by more than noise, if there are any."""
    s, residual, noise = numbers_of(fit.data), np.asarray(fit.residual), np.asarray(fit.noise)
    parts = 2 if np.iscomplexobj(s) else 1
    misfit = np.sqrt(np.mean(np.abs(residual) ** 2, axis=0) / parts)
    size = np.sqrt(np.mean(np.abs(s) ** 2, axis=0) / parts)
    level = np.sqrt(np.mean(noise**2, axis=0))
    missed = []
    for out, into in np.argwhere(misfit > MISSED * level).tolist():
        here = out, into
        share = f"{100 * misfit[here] / size[here]:.2g} % of it, " if size[here] > 0 else ""
        name, times = name_of_entry(fit.data, out, into), misfit[here] / level[here]
        name = name if np.iscomplexobj(s) else f"|{name}|²"
        missed.append(f"{name} ({share}{times:.2g} times its noise)")
    return [f"The model misses {', '.join(missed)}."] if missed else []


def demanded_symmetry(fit: Any) -> list[str]:
    """A sentence where S = Sᵀ was demanded and the data contradict it."""
    if fit.verdict.noise_like or not fit.symmetric or fit.reciprocity.reciprocal is not False:
        return []
    return ["The data are not reciprocal: fit them without reciprocal=True."]


def _broken_symmetry(fit: Any) -> list[str]:
    if not fit.reciprocity.reciprocal or fit.data.num_ports == 1:
        return []
    s, model = np.asarray(fit.data.s), np.asarray(fit.data.s) + np.asarray(fit.residual)
    apart = [float(np.sqrt(np.nanmean(np.abs(part - part.swapaxes(1, 2)) ** 2))) for part in (model, s)]
    between = np.sqrt(np.nanmean(np.abs(s[:, ~np.eye(s.shape[1], dtype=bool)]) ** 2))
    if apart[0] < max(5 * apart[1], 0.05 * between):
        return []
    return [f"The data are reciprocal and the model is not: its rms |S − Sᵀ| is {apart[0]:.2g}, theirs {apart[1]:.2g}."]
