"""Measures of nonreciprocity, written once for every model: functions of a `PortResponse`.

A direction is always named `out=…, into=…`: the wave enters at port `into` and leaves at port `out`.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.checks import (
    Count,
    Numbers,
    as_complex,
    as_flag,
    as_index,
    as_order,
    as_positive,
    as_real,
    as_vector,
    described,
    is_concrete,
    require,
    require_instance,
)
from diffnr.ports import PortResponse


def isolation(response: PortResponse, *, out: Any, into: Any) -> Float[Array, ""]:
    """Isolation 20 log10(|b[out, into]| / |b[into, out]|) in dB: positive where `into` → `out` passes.

    **Arguments:** `response`: a `PortResponse`; `out`, `into`: ports.

    **Returns:** [], dB. It is +inf, with derivative 0, where the reverse direction carries exactly nothing.

    **Raises:** `ValueError` for ports that do not exist or are the same, or where nothing passes in either direction.

    Example: `nr.metrics.isolation(nr.port_response(pair, nr.Drive(0.0)), out=0, into=1)`.
    """
    forward, backward = _pair(response, out, into)
    if is_concrete(forward, backward):  # in numpy: inside jit, JAX would make tracers of constants
        must = f"carry a wave between ports {out} and {into} for an isolation to exist"
        require(np.any(np.asarray([forward, backward])), "response", must, "exactly 0 in both directions")
    return _decibel(forward) - _decibel(backward)


def transmission(response: PortResponse, *, out: Any, into: Any) -> Float[Array, ""]:
    """Power transmission |S[out, into]|²; with `out == into` the power reflection.

    **Arguments:** `response`: a `PortResponse` of a model with power-normalised ports; `out`, `into`: ports.

    **Returns:** [], a fraction.

    **Raises:** `ValueError` for ports that do not exist, or that are not power-normalised.

    Example: `nr.metrics.transmission(nr.port_response(pair, nr.Drive(0.0)), out=1, into=0)`.
    """
    return _power(_s(response, out, into))


def insertion_loss(response: PortResponse, *, out: Any, into: Any) -> Float[Array, ""]:
    """Insertion loss −20 log10 |S[out, into]|.

    **Arguments:** `response`: a `PortResponse` of a model with power-normalised ports; `out`, `into`: ports.

    **Returns:** [], dB; +inf, with derivative 0, where exactly nothing passes.

    **Raises:** `ValueError` for ports that do not exist, or that are not power-normalised.

    Example: `nr.metrics.insertion_loss(nr.port_response(pair, nr.Drive(0.0)), out=1, into=0)`.
    """
    return -_decibel(_s(response, out, into))


def contrast(response: PortResponse, *, out: Any, into: Any) -> Float[Array, ""]:
    """Transmission contrast |S[out, into]|² − |S[into, out]|², which has a derivative everywhere.

    **Arguments:** `response`: a `PortResponse` of a model with power-normalised ports; `out`, `into`: ports.

    **Returns:** [], between −1 and 1 for a passive device; unlike the isolation it has an interior optimum.

    **Raises:** `ValueError` for ports that do not exist, or that are not power-normalised.

    Example: `nr.metrics.contrast(nr.port_response(pair, nr.Drive(0.0)), out=0, into=1)`.
    """
    return transmission(response, out=out, into=into) - transmission(response, out=into, into=out)


def nonreciprocal_phase(response: PortResponse, *, out: Any, into: Any) -> Float[Array, ""]:
    """Nonreciprocal phase arg b[out, into] − arg b[into, out] of the fundamentals.

    **Arguments:** `response`: a `PortResponse`; `out`, `into`: two ports.

    **Returns:** [], rad, wrapped to (−π, π].

    **Raises:** `ValueError` for ports that do not exist or are the same.

    Example: `nr.metrics.nonreciprocal_phase(nr.port_response(pair, nr.Drive(0.0)), out=1, into=0)`.
    """
    forward, backward = _pair(response, out, into)
    phase = jnp.angle(forward * jnp.conj(backward))
    return jnp.where(phase == -jnp.pi, jnp.pi, phase)  # angle knows of a negative zero


def reciprocity_norm(response: PortResponse, *, out: Any = 1, into: Any = 0, squared: bool = False) -> Float[Array, ""]:
    """Reciprocity norm R = √(1/T ∫ (x_F − x_B)² dt) of the two outputs over a period, by Parseval over harmonics:

        R² = (Re Δ_0)² + ½ Σ_{h≥1} |Δ_h|²,      Δ = b[out, into] − b[into, out]

    **Arguments:** `response`; `out`, `into`: the two ports; `squared`: return R², which has a derivative at 0 where R
    has none (objectives want this).

    **Returns:** [], in units of b.

    **Raises:** `ValueError` for ports that do not exist or are the same.

    Example: `nr.metrics.reciprocity_norm(nr.port_response(pair, nr.Drive(0.9)))`.

    Source: paper 2 (restoring reciprocity in coupled oscillators), definition of R.
    """
    require_direction(response, out, into)
    squared = as_flag(squared, "squared")
    total = _mean_square(response.b[out, into] - response.b[into, out], response.harmonics)
    return total if squared else jnp.sqrt(total)


def mean_square(b: Numbers, harmonics: Any) -> Float[Array, "..."]:
    """Mean square 1/T ∫ x² dt over a period of x(t) = Re Σ b_h e^{ihωt}, by Parseval: (Re b_0)² + ½ Σ_{h≥1} |b_h|².

    **Arguments:** `b`: [..., harmonic] complex; `harmonics`: of its last axis.

    **Returns:** [...], in units of b squared; not finite where b is not.

    **Raises:** `ValueError` for amplitudes that are no numbers, or as many harmonics as the last axis has not.

    Example: `nr.metrics.mean_square(jnp.array([1.0, 0.2j]), (1, 3))`.
    """
    b = as_complex(b, "b")
    require(b.ndim > 0, "b", "have an axis of harmonics", "a number")
    must = f"be a tuple of {b.shape[-1]} numbers, the harmonics of b"
    require(
        isinstance(harmonics, (tuple, list)) and len(harmonics) == b.shape[-1], "harmonics", must, described(harmonics)
    )
    return _mean_square(b, tuple(as_order(h, "harmonics") for h in harmonics))


def _mean_square(b: Array, harmonics: tuple[Any, ...]) -> Array:
    mean = jnp.asarray([h == 0 for h in harmonics])
    return jnp.sum(jnp.where(mean, b.real**2, _power(b) / 2), axis=-1)


def bandwidth(omega: Numbers, level: Numbers, *, drop: Numbers = 3.0, at: Count | None = None) -> Float[Array, ""]:
    """Width of the contiguous band around a point in which `level` stays within `drop` of its value there.

    **Arguments:** `omega`: [frequency], increasing; `level`: [frequency], in dB; `drop`: dB, positive (default 3.0; the
    half-power width is 10 log10 2 = 3.0103); `at`: index of the point (default: the maximum).

    **Returns:** [], in units of `omega`, edges interpolated linearly; NaN where the band runs out of the data.
    Differentiable in `level` and `omega`.

    **Raises:** `ValueError` for `omega` not a vector or not increasing, another shape of `level`, `drop` not positive,
    or `at` not an index.

    Example: `nr.metrics.bandwidth(omegas, levels, drop=3.0)`.
    """
    omega, level = as_vector(omega, "omega", rising=True), as_real(level, "level")
    require(level.shape == omega.shape, "level", f"have the shape {omega.shape} of omega", f"of shape {level.shape}")
    drop = as_positive(drop, "drop")
    at = None if at is None else as_index(at, "at", omega.size, "point")
    centre = jnp.argmax(level) if at is None else jnp.asarray(at)
    excess = level - (level[centre] - drop)
    index = jnp.arange(omega.size)
    below = ~(excess >= 0)  # a point that is NaN is outside, too
    right = jnp.min(jnp.where(below & (index > centre), index, omega.size))
    left = jnp.max(jnp.where(below & (index < centre), index, -1))

    def crossing(inside: Array, outside: Array) -> Array:
        x0, x1, y0, y1 = omega[inside], omega[outside], excess[inside], excess[outside]
        return x0 + (x1 - x0) * y0 / (y0 - y1)

    upper = crossing(jnp.clip(right - 1, 0, omega.size - 1), jnp.clip(right, 0, omega.size - 1))
    lower = crossing(jnp.clip(left + 1, 0, omega.size - 1), jnp.clip(left, 0, omega.size - 1))
    return jnp.where((right < omega.size) & (left >= 0), upper - lower, jnp.nan)


def _pair(response: PortResponse, out: Any, into: Any) -> tuple[Array, Array]:
    require_direction(response, out, into)
    return response.fundamental[out, into], response.fundamental[into, out]


def require_direction(response: PortResponse, out: Any, into: Any, *, distinct: bool = True) -> None:
    """Raise `ValueError` unless `out` and `into` are ports of a response to one drive, and different if `distinct`."""
    require_instance(response, "response", PortResponse, "be a PortResponse, of port_response")
    shape = response.b.shape
    was = f"a batch of shape {shape[:-3]}"
    require(len(shape) == 3, "response", "be to one drive (put the metric inside jax.vmap)", was)
    out = as_index(out, "out", shape[0], "port")
    into = as_index(into, "into", shape[1], "port")
    require(not distinct or out != into, "into", "differ from out", f"{into} like out")


def _s(response: PortResponse, out: Any, into: Any) -> Complex[Array, ""]:
    require_direction(response, out, into, distinct=False)
    if not response.power_normalised:
        raise ValueError(
            "Argument response must come from a model with power-normalised ports, "
            "but |b|² of this model is not a power."
        )
    return response.s[out, into]


def _power(b: Array) -> Array:
    return b.real**2 + b.imag**2


def _decibel(b: Array) -> Array:
    # Both branches of a `where` are differentiated: the dead one must not meet log(0).
    power = _power(b)
    dark = power == 0
    return jnp.where(dark, -jnp.inf, 10 * jnp.log10(jnp.where(dark, 1.0, power)))
