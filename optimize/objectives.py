"""Objectives: differentiable functions of a `PortResponse`, and residuals for least squares.

They are what `diffnr.metrics` is not: finite, with a finite derivative, where a device blocks completely. Of the
metrics `insertion_loss` and `contrast` serve as objectives as they are. A direction is named `out=…, into=…` as there.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from diffnr.checks import Numbers, as_positive, as_real, is_concrete, require, require_finite, require_instance
from diffnr.metrics import require_direction
from diffnr.ports import Drive, PortResponse, port_response, require_port_model


def passed_and_blocked(response: Any, *, out: Any, into: Any) -> Float[Array, " both"]:
    """Squared amplitudes per unit drive of the passing and of the blocked direction:

        (|b[out, into]|², |b[into, out]|²) / |A|²

    **Arguments:** `response`; `out`, `into`: the ports of the direction that passes.

    **Returns:** [2]; powers where ports are power-normalised.

    **Raises:** `ValueError` for ports that do not exist or are the same.
    """
    require_instance(response, "response", PortResponse, "be a PortResponse, as port_response returns")
    require_direction(response, out, into)
    both = jnp.stack([response.s[out, into], response.s[into, out]])
    return both.real**2 + both.imag**2


def isolation_ratio(response: Any, *, out: Any, into: Any) -> Float[Array, ""]:
    """The ratio r = |b[into, out]| / |b[out, into]|, blocked to passed: the isolation is −20 log10 r dB.

    Nearly linear in a parameter that closes the blocked direction, where the isolation in dB diverges. To be minimised.

    **Arguments:** `response`; `out`, `into`: the ports of the direction that passes.

    **Returns:** [], 0 with derivative 0 where the blocked direction carries exactly nothing.

    **Raises:** `ValueError` for ports that do not exist or are the same.
    """
    passed, blocked = passed_and_blocked(response, out=out, into=into)
    return amplitude_ratio(passed, blocked)


def amplitude_ratio(passed: Float[Array, "*shape"], blocked: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """√(blocked/passed) of two squared amplitudes: 0 with derivative 0 where `blocked` is 0, NaN where both are."""
    squared = blocked / passed
    dark = squared == 0
    return jnp.where(dark, 0.0, jnp.sqrt(jnp.where(dark, 1.0, squared)))


def capped_isolation(response: Any, *, out: Any, into: Any, cap: Any = 60.0) -> Float[Array, ""]:
    """The isolation in dB with a smooth ceiling, to be maximised:

        −10 log10(r² + 10^(−cap/10)),      r = |b[into, out]| / |b[out, into]|

    **Arguments:** `response`; `out`, `into`: the ports of the direction that passes; `cap`: [dB], the ceiling,
    positive. At an isolation equal to `cap` it reads 3.01 dB less; at one 20 dB below, .04 dB less.

    **Returns:** [], dB, at most `cap`; its derivative is 0 where the blocked direction carries exactly nothing.

    **Raises:** `ValueError` for ports that do not exist or are the same, or a cap that is not positive.
    """
    cap = as_positive(cap, "cap")
    passed, blocked = passed_and_blocked(response, out=out, into=into)
    return -10 * jnp.log10(blocked / passed + 10 ** (-cap / 10))


def worst_case(values: Numbers, *, width: Any) -> Float[Array, ""]:
    """A smooth maximum, for the worst of many frequencies or tolerances:  width · log Σ exp(v/width)

    **Arguments:** `values`: any shape, to be made small; `width`: positive, in the units of `values`.

    **Returns:** [], between the maximum and the maximum + width · log(number of values). For the worst of values to be
    made large, negate twice.

    **Raises:** `ValueError` for a width that is not positive.
    """
    values, width = as_real(values, "values"), as_positive(width, "width")
    require(values.size > 0, "values", "hold at least one number", f"of shape {values.shape}")
    require_finite("values", values)
    return width * jax.nn.logsumexp(values / width)


def reciprocity_residual(response: Any, *, out: Any = 1, into: Any = 0) -> Float[Array, " residual"]:
    """The two outputs' difference, harmonic by harmonic: reals whose squares sum to R² of `metrics.reciprocity_norm`:

        Re Δ_0, and Re, Im of Δ_h/√2 (h ≥ 1),      Δ = b[out, into] − b[into, out]

    R itself has no derivative where it is 0; this has, so that least squares finds reciprocity with full accuracy.

    **Arguments:** `response`; `out`, `into`: the two ports.

    **Returns:** [2 · harmonics], real parts first, in units of b.

    **Raises:** `ValueError` for ports that do not exist or are the same.
    """
    require_instance(response, "response", PortResponse, "be a PortResponse, as port_response returns")
    require_direction(response, out, into)
    difference = response.b[out, into] - response.b[into, out]
    # x(t) = Re Σ b_h e^{ihωt}: a mean has no imaginary part, and half of |b_h|² is the mean square of a harmonic.
    weights = np.asarray([(1.0, 0.0) if h == 0 else (0.5**0.5, 0.5**0.5) for h in response.harmonics])
    real, imag = weights.T.astype(difference.real.dtype)
    return jnp.concatenate([real * difference.real, imag * difference.imag])


def scattering_difference(model: Any, data: Any) -> Inexact[Array, "frequency out in"]:
    """S_model − S_data at the data's frequencies, each port driven alone with amplitude 1: what `optimize.fit` fits. Of
    `PowerData`, |S_model|² − |S_data|².

    **Arguments:** `model`: a model with as many ports as the data, which may be nonlinear; `data`: a
    `diffnr.FieldData` or `PowerData`, or anything with `omega` [f] and `s` [f, out, in].

    **Returns:** complex [f, out, in], of powers real; 0 where the data are NaN (entries not measured), NaN where a
    nonlinear model's solve fails.

    **Raises:** `ValueError` for ports that do not agree.
    """
    require_port_model(model)
    powers = hasattr(data, "power")
    if not powers:
        _require_data(data)
    ports, given = model.num_ports, data.power if powers else data.s
    require(given.shape[1:] == (ports, ports), "data", f"have {ports} ports like the model", f"of shape {given.shape}")
    s = jax.vmap(lambda omega: port_response(model, Drive(omega), throw=False).s)(data.omega)
    return jnp.where(jnp.isnan(given), 0.0, (s.real**2 + s.imag**2 if powers else s) - given)


def scattering_residual(model: Any, data: Any, sigma: Any = None) -> Float[Array, " residual"]:
    """The misfit of a model to scattering data as real numbers, for a least-squares solver of your own:

        [Re, Im] of (S_model(ω_f) − S_f) / σ,      [f, out, in] flattened in that order

    **Arguments:** `model`, `data` as for `scattering_difference`; `sigma`: standard deviation of each real and
    imaginary part: scalar, [f] or [f, out, in], positive. By default that of `data`; where that is None too, 1 (misfits
    count alike).

    **Returns:** [2 · f · out · in]; its squares sum to χ².

    **Raises:** `ValueError` for ports that do not agree, a sigma of another shape or not positive.
    """
    _require_data(data)
    shape = data.s.shape
    sigma = getattr(data, "sigma", None) if sigma is None else sigma
    sigma = jnp.ones((), data.s.real.dtype) if sigma is None else as_real(sigma, "sigma")
    sigma = jnp.where(jnp.isnan(data.s), 1.0, sigma) if sigma.shape == shape else sigma
    allowed = ((), shape[:1], shape)
    require(sigma.shape in allowed, "sigma", f"have shape (), {shape[:1]} or {shape}", f"of shape {sigma.shape}")
    require_finite("sigma", sigma)
    require(not is_concrete(sigma) or bool(jnp.all(sigma > 0)), "sigma", "be positive", sigma)
    misfit = scattering_difference(model, data) / (sigma[:, None, None] if sigma.ndim == 1 else sigma)
    return jnp.concatenate([misfit.real.ravel(), misfit.imag.ravel()])


def _require_data(data: Any) -> None:
    """Raise unless `data` has frequencies and S-parameters."""
    s: Any = getattr(data, "s", None)
    omega: Any = getattr(data, "omega", None)
    arrays = eqx.is_array_like(s) and eqx.is_array_like(omega) and not isinstance(data, type)
    good = arrays and np.ndim(omega) == 1 and np.shape(s) == (np.size(omega), *np.shape(s)[1:]) and np.ndim(s) == 3
    require(good, "data", "be a diffnr.FieldData, or have omega [f] and s [f, out, in]", data)
