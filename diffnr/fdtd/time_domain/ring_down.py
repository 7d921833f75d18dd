"""Lines in traces: frequencies and decays of what rings, by harmonic inversion."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_inexact,
    as_positive,
    as_range,
    as_scalar,
    require,
    require_finite,
    require_known,
)
from diffnr.fdtd.lines import AbstractLines
from diffnr.results import RESULTS, raise_failures

MOST = 600  # samples that the pencil is made of, unless the band needs more
MOST_LINES = 10**6
STOP = 84.0  # transition of a filter of −200 dB, in samples times rad (Kaiser)


class RingDown(AbstractLines):
    """Lines Re Σ a e^{(iω − γ)t} of traces, the strongest first, NaN beyond `count`; t = 0 is their first sample.

    **Fields:** `omega` [line], rad/s; `gamma` [line], 1/s; `amplitudes` complex [trace, line]; `valid` [line];
    `result`: success if there is one.
    """

    omega: Float[Array, " line"]
    gamma: Float[Array, " line"]
    amplitudes: Complex[Array, "trace line"]
    valid: Bool[Array, " line"]
    result: Any


def ring_down(
    traces: Numbers,
    step: Numbers,
    *,
    band: Any,
    num_lines: Count = 8,
    tolerance: Numbers = 1e-10,
    throw: Any = True,
) -> RingDown:
    """Frequencies and decays by harmonic inversion, in traces of what rings freely, far finer than 1/duration.

        lines = fdtd.ring_down(recorded.traces[:, begin:], update.step, band=(5e12, 7e12))

        trace(t) = Σ a e^{(iω − γ)t}       by the matrix pencil of Hankel matrices of all traces together

    The traces are shifted to the band's middle and thinned out behind a filter, which leaves sums of exponentials what
    they are; the pencil is half as long as what remains, and of the rank of the singular values above `tolerance`.

    **Arguments:**

    - `traces`: [time] or [probe, time], real, or complex of e^{+iωt} alone; evenly spaced, from after the source's end.
    - `step`: the time between samples, s. `band`: (lowest, highest) ω in rad/s that are kept; others may be there.
    - `num_lines`: the most lines, static. `tolerance`: of singular values over the largest; above the traces' noise.
    - `throw`: raise where there is no line; otherwise `result` says it.

    **Returns:** a `RingDown`. It runs outside of jax: for derivatives use `resonances`.

    **Good values:** a band of a few tenths of its middle. Lines should fall by a few 10⁻³ at least within the traces;
    that `tolerance` changes nothing is the test of a result. Two traces tell lines apart that one does not.

    **Raises:** `ValueError` for traces shorter than three periods of the band's middle or not finite, a band that does
    not rise or is beyond what the step can tell; `RuntimeError` if `throw` and there is no line in the band.

    Source: Hua and Sarkar's matrix pencil, with the decimation of Mandelshtam and Taylor's harmonic inversion.
    """
    for name, value in (("traces", traces), ("step", step), ("band", band), ("tolerance", tolerance)):
        require_known(value, name)
    num_lines, throw = as_count(num_lines, "num_lines", most=MOST_LINES), as_flag(throw, "throw")
    as_positive(step, "step")
    as_range(band, "band")
    share = float(as_scalar(tolerance, "tolerance"))
    require(0 < share < 1, "tolerance", "lie between 0 and 1", share)
    # In their own precision: where float64 is off, readers round.
    kind = complex if np.iscomplexobj(as_inexact(traces, "traces")) else float
    data = np.atleast_2d(np.asarray(traces, kind))
    require(data.ndim == 2 and data.size > 0, "traces", "be [time] or [probe, time]", f"of shape {data.shape}")
    require_finite("traces", data)
    spacing = float(np.asarray(step))
    low, high = (float(np.asarray(side)) for side in band)
    limit = np.pi / spacing
    require(0 <= low < high < limit, "band", f"be (lowest, highest) between 0 and {limit:.4g} rad/s, π over step", band)
    periods = data.shape[1] * spacing * (low + high) / (4 * np.pi)
    require(periods >= 3, "traces", "last for three periods of the band's middle at least", f"{periods:.3g} of them")
    middle, width = (low + high) / 2, high - low
    thinned, filtered, every = _thinned(
        data * np.exp(-1j * middle * spacing * np.arange(data.shape[1])), width * spacing
    )
    largest = np.max(np.abs(thinned), initial=0.0)
    if largest == 0:
        nothing = _lines(np.zeros(0, complex), np.zeros((data.shape[0], 0), complex), num_lines)
        return raise_failures(nothing, nothing.result) if throw else nothing
    # A power of two, so that nothing is rounded by it.
    scale = 2.0 ** np.floor(np.log2(largest))
    thinned = thinned / scale
    factors = _pencil(thinned, share)
    # What would grow beyond all numbers within the traces is no line of them.
    factors = factors[thinned.shape[1] * np.log(np.maximum(np.abs(factors), 1e-300)) < 600]
    rates = np.log(factors) / (every * spacing)  # iω − γ, from the band's middle
    amplitudes = _amplitudes(thinned, factors)
    # What the filter did to each line.
    amplitudes = scale * amplitudes / (filtered @ np.exp(np.outer(np.arange(filtered.size), rates * spacing)))
    inside = np.abs(rates.imag) <= width / 2
    rates, amplitudes = rates[inside] + 1j * middle, amplitudes[:, inside] * (1 if (kind is complex) else 2)
    strongest = np.argsort(-np.sum(np.abs(amplitudes / scale) ** 2, axis=0))[:num_lines]
    found = _lines(rates[strongest], amplitudes[:, strongest], num_lines)
    return raise_failures(found, found.result) if throw else found


def _thinned(data: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Every so many samples behind a filter; the filter; and how many. `width`: of the band, rad a sample."""
    every = max(1, min(data.shape[1] // MOST, int(2 * np.pi / (4 * width))))
    if every == 1:
        return data, np.ones(1), 1
    # What would fold into the band is stopped.
    count = int(STOP / (2 * np.pi / every - width)) | 1
    at = np.arange(count) - count // 2
    weights = np.sinc(at / every) * np.kaiser(count, 20.0)
    weights /= np.sum(weights)
    starts = np.arange(0, data.shape[1] - count + 1, every)
    windows = np.lib.stride_tricks.sliding_window_view(data, count, axis=1)[:, starts]
    return windows @ weights, weights, every


def _pencil(data: np.ndarray, tolerance: float) -> np.ndarray:
    """By what lines are multiplied from sample to sample."""
    half = data.shape[1] // 2
    hankel = np.concatenate([np.lib.stride_tricks.sliding_window_view(row, half + 1) for row in data])
    _, sizes, rows = np.linalg.svd(hankel, full_matrices=False)
    kept = np.conj(rows[: max(1, int(np.sum(sizes > tolerance * sizes[0])))]).T
    # Columns of `kept` span the conjugates of (1, z, z², …).
    shift = np.linalg.lstsq(kept[:-1], kept[1:], rcond=None)[0]
    return np.conj(np.linalg.eigvals(shift))


def _amplitudes(data: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """By least squares under a smooth window, so that what is no line, far from the band, does not leak into it."""
    count = data.shape[1]
    powers = factors ** np.arange(count)[:, None]
    # Scaled, so that what grows by round-off does not overflow.
    scale = np.max(np.abs(powers), axis=0)
    window = np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 4
    found = np.linalg.lstsq(window[:, None] * powers / scale, window[:, None] * data.T, rcond=None)[0]
    return (found / scale[:, None]).T


def _lines(rates: Any, amplitudes: Any, num_lines: int) -> RingDown:
    count = rates.size
    pad = lambda x: np.concatenate([x, np.full((*x.shape[:-1], num_lines - count), np.nan)], axis=-1)  # noqa: E731
    return RingDown(
        jnp.asarray(pad(rates.imag)),
        jnp.asarray(pad(-rates.real)),
        jnp.asarray(pad(amplitudes)),
        jnp.asarray(np.arange(num_lines) < count),
        RESULTS.successful if count else RESULTS.no_line,
    )
