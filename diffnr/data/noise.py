"""The noise of data, from their own scatter along frequency and from the digits that a file printed."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from diffnr.checks import require, require_instance
from diffnr.data.field_data import FieldData
from diffnr.data.power_data import PowerData

MEDIAN = 0.6744897501960817  # of |x| for a normal x of unit variance
ORDERS = (4, 8)  # of the differences; the lower one alone for fewer points than
ENOUGH = 32
TURNS = 32  # 2π times this is the most that the phase may turn over a median step of a grid that is not even
DIRECTIONS = 24  # delays that are tried within one turn a step


def noise_estimate(data: Any) -> Float[np.ndarray, "out in"]:
    """The noise of `data.s` per real and imaginary part, from differences along frequency, without a model.

        sigma = min over τ and order of median |Σ_j w_j e^{iω_j τ} s_j| / 0.6745,   and at least step / √12

    with w ⟂ all polynomials of degree < order over `order + 1` neighbouring points and Σ w_j² = 1: on an even grid
    (−1)^j binom(order, j)/√(Σ binom²). The delay τ takes out the common ramp of the phase, which may turn by several
    turns a step; the orders are 4 and 8; `step` is `rounding_step`. The median passes over the few points where a sharp
    resonance is not smooth on the grid. Powers have no phase, and no ramp of it: τ = 0.

    **Arguments:** `data`: `FieldData` or `PowerData`.

    **Returns:** [out, in], in the unit of s (or of |S|²). NaN where an entry was not measured, and where its noise
    cannot be told, since no delay makes neighbouring points smooth: the grid is too coarse for it (resonances narrower
    than a step, paths whose delays differ by half a turn a step), or it is noise alone, and more than ten times that of
    the others.

    **Raises:** `ValueError` for fewer than 5 points.

    Good from some 50 points on: of 240 random devices for each number of points (1 to 4 ports and modes, 2 to 50 points
    a width, noise 10⁻⁵ to 10⁻¹, up to 20 turns a step, on even, logarithmic, segmented and random grids) 97 % of
    entries are within 20 % with 401 points, 94 % within 40 % with 101, 97 % within a factor of 2 with 51. Below 10⁻⁸
    sharp resonances may show. Noise correlated between neighbouring points (smoothed traces) is underestimated.

    Example: `nr.data.noise_estimate(nr.read_touchstone("device.s2p"))[1, 0]`, that of S21.
    """
    s = numbers_of(data)
    require(data.num_points > ORDERS[0], "data", f"have at least {ORDERS[0] + 1} points", f"of {data.num_points}")
    known = np.asarray(data.entries)
    s = s.astype(complex if np.iscomplexobj(s) else float)[:, known]
    sigma, told = scatter(np.asarray(data.omega, dtype=float), s)
    told |= _like_the_others(s, sigma, told)
    noise = np.full(known.shape, np.nan)
    noise[known] = np.where(told, np.maximum(sigma, rounding_step(data)[known] / np.sqrt(12)), np.nan)
    return noise


def numbers_of(data: Any) -> np.ndarray:
    """The S-parameters of `FieldData`, or the powers of `PowerData` [f, out, in]."""
    require_instance(data, "data", (FieldData, PowerData), "be a FieldData or PowerData")
    return np.asarray(data.power if isinstance(data, PowerData) else data.s)


def _like_the_others(s: np.ndarray, sigma: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Whether an entry without any structure is a dark one, whose noise is that of the bright ones or negligible."""
    size = np.sqrt(np.mean(np.abs(s) ** 2, axis=0))
    return (sigma <= 10 * np.max(sigma[told], initial=0.0)) | (sigma <= 1e-4 * np.max(size))


def rounding_step(data: Any) -> Float[np.ndarray, "out in"]:
    """The step of the decimal grid on which the real and imaginary parts lie, as a file printed them; 0 for none.

        Decimals ("%.6f") or significant digits ("%.4e") that all entries have in common; rounding by them is noise of
        step / √12.

    **Arguments:** `data`: `FieldData` or `PowerData`.

    **Returns:** [out, in], in the unit of s (or of |S|²); where digits are significant ones, the rms step over
    frequency. 0 for numbers of full precision, for fewer than 30 different numbers, for entries that were not measured,
    and for magnitudes with phases or dB, whose grid does not show in real and imaginary parts.

        **Raises:** `ValueError` for what is neither.

        Example: `nr.data.rounding_step(nr.read_touchstone("device.s2p"))[0, 0]`.
    """
    s, known = numbers_of(data), np.asarray(data.entries)
    # The shortest grid is that of the magnitude, so that the sign counts for no digit.
    parts = np.abs(np.stack([np.real(s), np.imag(s)] if np.iscomplexobj(s) else [s])[:, :, known]).astype(float)
    units = [_decimals(parts, float(np.finfo(s.dtype).eps)), _significant(parts, float(np.finfo(s.dtype).eps))]
    steps = [np.sqrt(np.mean(unit**2, axis=(0, 1))) for unit in units if unit is not None]
    step = np.zeros(known.shape)
    step[known] = max(steps, key=np.sum, default=0.0)
    return step


def _decimals(parts: np.ndarray, eps: float) -> np.ndarray | None:
    """10⁻ᵈ in the shape of `parts`, for the least d that all of them have."""
    most = float(np.max(parts))
    if not most:
        return None
    first = int(np.floor(-np.log10(most)))
    return next(
        (
            np.full(parts.shape, 10.0**-d)
            for d in range(first, first + 17)
            if 10.0**-d > 100 * eps * most and _on_grid(parts, 10.0**-d, eps)
        ),
        None,
    )


def _significant(parts: np.ndarray, eps: float) -> np.ndarray | None:
    """The unit of the last of p digits of each of `parts`, for the least p that all of them have."""
    exponent = np.floor(np.log10(np.where(parts > 0, parts, 1.0)))
    digits = int(-np.log10(100 * eps))
    grids = (np.where(parts > 0, 10.0 ** (exponent - p), 0.0) for p in range(digits))
    return next((unit for unit in grids if _on_grid(parts, np.where(unit > 0, unit, 1.0), eps)), None)


def _on_grid(parts: np.ndarray, unit: np.ndarray | float, eps: float) -> bool:
    """Whether all of `parts` are whole multiples of `unit`, and of so many kinds that this is no property of a few."""
    multiples = parts / unit
    whole = np.rint(multiples)
    if np.any(np.abs(multiples - whole) > 4 * eps * multiples):
        return False
    return len(np.unique(parts)) >= 30 and len(np.unique(whole % 10)) >= 6


def scatter(omega: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The noise of each real and imaginary part of traces `z` [f, n], or of real ones, and whether it can be told (see
    `noise_estimate`)."""
    start = ramps(omega, z) if np.iscomplexobj(z) else np.zeros(z.shape[1])
    plain = _differences(omega, z, start, np.zeros(1), _weights(omega, ORDERS[0]))[0]
    noise, falls = plain, np.zeros(plain.shape, dtype=bool)
    chance = 1 - 2.5 / np.sqrt(len(omega))
    for order in ORDERS if len(omega) >= ENOUGH else ORDERS[:1]:
        least, at = _quietest(omega, z, start, order)
        # The least of many estimates is too small by chance: it counts where it is so by more than that.
        noise = np.where(least < chance * plain, np.minimum(noise, least), noise)
        if order == ORDERS[-1]:
            # Noise is as large in differences of any order; what falls further with the order is something else.
            falls = _differences(omega, z, at, np.zeros(1), _weights(omega, order + 4))[0] < 0.6 * noise
    share = _ratio((1 + np.iscomplexobj(z)) * noise**2, np.mean(np.abs(z) ** 2, axis=0))
    return noise, (share < 0.25) & ~(falls & (share > 1e-4))


def ramps(omega: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The delays [n] of the common ramps of the phase: where Σ_k Re z*_k z_{k+1} e^{iτ(ω_{k+1} − ω_k)} is largest.

    On an even grid the sum repeats itself every turn a step, and any of its peaks would do. The delays of all turns are
    looked at by one Fourier transform, over a histogram of the steps.
    """
    step = np.diff(omega)
    product = z[1:] * z[:-1].conj()
    bins, unit = 8192, np.max(step) / 1024
    histogram = np.zeros((bins, z.shape[1]), dtype=complex)
    np.add.at(histogram, np.rint(step / unit).astype(int), product)
    delays = 2 * np.pi * np.fft.fftfreq(bins, unit)
    peaks = np.fft.ifft(histogram, axis=0).real
    peaks[np.abs(delays) * np.median(step) > 2 * np.pi * TURNS] = -np.inf
    # Of peaks that are nearly equal, as on a grid that is nearly even, the shortest delay.
    highest = peaks >= 0.98 * np.max(peaks, axis=0)
    tau = delays[np.argmin(np.where(highest, np.abs(delays)[:, None], np.inf), axis=0)]
    weight = np.abs(product) * step[:, None]
    for _ in range(3):  # to the mean of the phase that is left
        left = np.angle(product * np.exp(1j * step[:, None] * tau))
        tau = tau - _ratio(np.sum(weight * left, axis=0), np.sum(weight * step[:, None], axis=0))
    return tau


def _quietest(omega: np.ndarray, z: np.ndarray, start: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """The least noise [n] that differences give within a turn a step around the delays `start`, and its delays; of
    real traces at `start`."""
    weights = _weights(omega, order)
    if np.isrealobj(z):
        return _differences(omega, z, start, np.zeros(1), weights)[0], start
    width = np.pi / np.median(np.diff(omega))
    offsets = width * np.linspace(-1, 1, DIRECTIONS, endpoint=False)
    width, at = 2 * width / DIRECTIONS, start
    noise = np.full(start.shape, np.inf)
    for _ in range(4):
        offsets = np.append(0.0, offsets)
        found = _differences(omega, z, at, offsets, weights)
        best = np.argmin(found, axis=0)
        noise, at = found[best, np.arange(len(best))], at + offsets[best]
        offsets, width = width * np.array([-2, -1, 1, 2]) / 3, width / 3
    return noise, at


def _weights(omega: np.ndarray, order: int) -> np.ndarray:
    """Those [k, order + 1] of divided differences w_j ∝ 1/Π_{i≠j} (x_j − x_i), Σ w_j² = 1."""
    grid = np.lib.stride_tricks.sliding_window_view(omega, order + 1)
    grid = (grid - grid[:, :1]) / (grid[:, -1:] - grid[:, :1])
    weights = 1 / np.prod(grid[:, :, None] - grid[:, None, :] + np.eye(order + 1), axis=2)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def _differences(
    omega: np.ndarray, z: np.ndarray, at: np.ndarray, offsets: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The noise [c, n] that differences of given weights show of traces `z` [f, n] after the delays
    `at` [n] + `offsets` [c]; real traces stay as they are."""
    turned = np.broadcast_to(z, (len(offsets), *z.shape))
    if np.iscomplexobj(z):
        x = 1j * (omega - np.mean(omega[[0, -1]]))
        turned = z * np.exp(x[:, None] * at) * np.exp(x * offsets[:, None])[:, :, None]
    total = np.zeros((len(offsets), len(weights), z.shape[1]), dtype=turned.dtype)
    for j, weight in enumerate(weights.T):
        total += weight[:, None] * turned[:, j : j + len(weights)]
    parts = [np.real(total), np.imag(total)] if np.iscomplexobj(z) else [total]
    size = np.abs(np.concatenate(parts, axis=1))
    middle = size.shape[1] // 2
    return np.partition(size, middle, axis=1)[:, middle] / MEDIAN


def _ratio(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """x / scale, and 0 for 0 / 0."""
    return np.divide(x, scale, out=np.zeros_like(x), where=scale != 0)
