"""Responses that give out no more power than they take in, everywhere in the band, between the samples too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from optimize.mode_fit.form import Form, from_pairs

Host = Any
ALLOWED = 1e-6  # of |S| beyond 1 is what a response that is called passive may have
PIECES = 1_000_000  # intervals looked at, before "not shown" is the answer


def largest_gain(form: Form) -> float:
    """An upper bound of ‖S(x)‖₂ over the band |x| ≤ 1, sharp to half of `ALLOWED` where it is near 1 or above.

        ‖S(x)‖² ≤ max λ_max(G(m) ± h G'(m)) + ½h² max‖G''‖,      G = S†S,   |x − m| ≤ h

    where ‖G''‖ is bounded by the poles' distances, so that no line between samples is missed. Intervals are halved
    until the bound is sharp, or shows that they are passive. Delays do not matter to it.

    **Returns:** the bound; inf where an interval would have to be cut too often (a pole on the axis).
    """
    here = replace(form.unfolded(), delay=None)
    A, _, D, K = here.modal(np.zeros(1))
    poles: Host
    poles, right = np.linalg.eig(A)
    residues = np.einsum("on,ni->noi", D @ right, np.linalg.solve(right, K.T))
    sizes = np.linalg.norm(residues, 2, axis=(1, 2))
    paths = np.linalg.norm(from_pairs(form.background), 2, axis=(1, 2))
    k = np.arange(len(paths))
    smooth = [float(np.sum(paths * factor)) for factor in (1.0, k, k * (k - 1))]
    middle, half, looked, found = np.linspace(-1, 1, 65)[1::2], 1 / 32, 0, 0.0
    while middle.size:
        looked += middle.size
        if looked > PIECES:
            return float("inf")
        s, slope = here.response(middle)[0], _slope(here, middle)
        G, dG = s.conj().swapaxes(1, 2) @ s, slope.conj().swapaxes(1, 2) @ s
        dG = dG + dG.conj().swapaxes(1, 2)
        ends = np.stack([np.linalg.eigvalsh(G + sign * half * dG)[:, -1] for sign in (1, -1)])
        beside = np.hypot(np.maximum(np.abs(middle[:, None] - poles.imag) - half, 0.0), poles.real)
        with np.errstate(divide="ignore"):  # no bound holds where a pole is on the axis
            reach = [np.sum(factor * sizes / beside**n, axis=1) for n, factor in ((1, 1), (2, 1), (3, 2))]
        bounds = [np.add(*each) for each in zip(reach, smooth, strict=True)]
        rest = half**2 * (bounds[2] * bounds[0] + bounds[1] ** 2)
        bound = np.sqrt(np.maximum(ends.max(axis=0) + rest, 0.0))
        sharp = (bound <= 1 + ALLOWED / 2) | (rest <= ALLOWED / 2)
        found = max(found, float(np.max(bound[sharp], initial=0.0)))
        left = middle[~sharp]
        half /= 2
        middle = np.concatenate([left - half, left + half])
    return found


def excess(form: Form, x: Host) -> Host:
    """By how much singular values exceed 1, max(σ − 1, 0) [f · port]."""
    s = _undelayed(form).response(x)[0]
    large = _may_exceed(s)
    above = np.zeros(s.shape[:2])
    above[large] = np.maximum(np.linalg.svd(s[large], compute_uv=False) - 1, 0.0)
    return above.ravel()


def excess_slopes(form: Form, x: Host) -> Host:
    """Its derivatives in the form's parameters [p, f · port]."""
    here = _undelayed(form)
    s = here.response(x)[0]
    large = _may_exceed(s)
    u, sigma, vh = np.linalg.svd(s[large])
    ds = here.linearised(x[large])[2]
    change = np.einsum("fok,pfoi,fki->pfk", u.conj(), ds, vh.conj(), optimize=True).real
    rows = np.zeros((len(change), *s.shape[:2]))
    rows[:, large] = np.where(sigma > 1, change, 0.0)
    rows = rows.reshape(len(change), -1)
    if form.delay is not None and here.delay is None:
        rows = np.concatenate([rows, np.zeros((len(form.delay), rows.shape[1]))])
    return rows


def _undelayed(form: Form) -> Form:
    """A form of the same singular values without delays; images depend on them."""
    return replace(form, delay=None) if form.mirror is None else form


def _may_exceed(s: Host) -> Host:
    """Of matrices [f, out, in], those whose largest singular value may exceed 1: it is at most √(‖S‖₁‖S‖_∞)."""
    size = np.abs(s)
    return np.flatnonzero(np.max(np.sum(size, axis=1), axis=1) * np.max(np.sum(size, axis=2), axis=1) > 1)


def _slope(form: Form, x: Host) -> Host:
    """dS/dx of a form without delays."""
    A, _, D, K = form.modal(x)
    inverse = np.linalg.inv(1j * x[:, None, None] * np.eye(len(A)) - A)
    coefficients = from_pairs(form.background)
    powers = np.arange(1, len(coefficients))
    smooth = np.tensordot(powers * x[:, None] ** (powers - 1), coefficients[1:], 1)
    return smooth - 1j * D @ inverse @ inverse @ K.T
