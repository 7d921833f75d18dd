"""What drives a simulation in time: a function, samples or a constant, as one checked function of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from diffnr.checks import Numbers, as_complex, as_real, as_vector, is_concrete, require, tried

Waveform = Callable[[Float[Array, ""]], Inexact[Array, " n"]]


def as_times(ts: Numbers) -> Float[Array, " time"]:
    """`ts` as a vector of at least two finite times that increase."""
    return as_vector(ts, "ts", least=2, rising=True)


def as_waveform(name: str, given: Any, ts: Array, size: int, *, real: bool, otherwise: str = "a function") -> Any:
    """`given` as a function t [] -> [size], checked at every one of `ts`.

    **Arguments:** `name`: of the argument, for messages; `given`: a function, samples [time, size] at `ts` (joined by
    cubic Hermite pieces) or a constant [size]; `real`: refuse complex values (else arrays become complex);
    `otherwise`: what it may be besides an array, for messages.

    **Raises:** `ValueError` for another shape, complex values where reals are due, or a value that is not finite.
    """
    if callable(given):
        must = f"be a function of t that returns an array of shape {(size,)}"
        found = tried(given, name, must, lambda function: eqx.filter_eval_shape(function, ts[0]))
        was = f"of shape {found.shape}" if hasattr(found, "shape") else f"a {type(found).__name__}"
        require(getattr(found, "shape", None) == (size,), name, f"return an array of shape {(size,)}", was)
        numbers = jnp.issubdtype(found.dtype, jnp.number)
        require(numbers, name, "return real or complex numbers", f"of dtype {found.dtype}")
        waveform, samples = given, sampled(given, ts)
        samples = as_real(samples, name) if real else samples
    else:
        samples = as_real(given, name) if real else as_complex(given, name)
        allowed = ((size,), (ts.size, size))
        must = f"have shape {allowed[0]} or {allowed[1]}, or be {otherwise}"
        require(samples.shape in allowed, name, must, f"of shape {samples.shape}")
        waveform = _Constant(samples) if samples.ndim == 1 else _Samples(ts, samples)
    if is_concrete(samples):
        finite = np.atleast_1d(np.all(np.isfinite(samples), axis=-1))
        if not np.all(finite):
            first = int(np.argmin(finite))
            at = "" if samples.ndim == 1 else f" at t = {float(ts[first]):g}"
            require(False, name, "be finite", f"{np.atleast_2d(np.asarray(samples))[first]}{at}")
    return waveform


@eqx.filter_jit
def sampled(waveform: Any, ts: Float[Array, " time"]) -> Inexact[Array, "time n"]:
    """The values of a waveform at `ts`."""
    return jax.vmap(waveform)(ts)


class _Constant(eqx.Module):
    value: Inexact[Array, " n"]

    def __call__(self, t: Array) -> Array:
        return self.value


class _Samples(eqx.Module):
    ts: Float[Array, " time"]
    values: Inexact[Array, "time n"]

    def __call__(self, t: Array) -> Array:
        if not jnp.iscomplexobj(self.values):
            return _interpolated(self.ts, self.values, t)
        # Split, as the interpolation is for reals.
        pairs = jnp.concatenate([self.values.real, self.values.imag], axis=1)
        real, imag = jnp.split(_interpolated(self.ts, pairs, t), 2)
        return real + 1j * imag


def _interpolated(ts: Array, values: Array, t: Array) -> Array:
    return diffrax.CubicInterpolation(ts, diffrax.backward_hermite_coefficients(ts, values)).evaluate(t)
