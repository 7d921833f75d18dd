"""The responses of a restored pair, driven from either side: over the frequency, and in time."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr import duffing
from diffnr.checks import Count, Numbers, as_count, as_range, is_concrete, require, require_instance
from diffnr.duffing import OrbitBranch
from optimize.reciprocity.restoration import Restoration

SETTLING = 60  # periods before those that are shown
SHOWN = 2  # periods
SAMPLES = 240  # a period, to draw and to average over


class Responses(NamedTuple):
    """The frequency responses of one model, driven from either side."""

    forward: OrbitBranch
    backward: OrbitBranch


def responses(
    restored: Restoration, band: tuple[Numbers, Numbers] | None = None, *, max_points: Count = 400
) -> Responses:
    """The restored model's responses to the force at which it was restored, forward and backward.

    **Arguments:** `restored`: of `restore_reciprocity`, converged; `band`: (lowest, highest) frequency, by default from
    half of the lowest natural frequency to a third above the highest one; `max_points`: room for points of each.

    **Returns:** two `duffing.OrbitBranch`es without the empty rest of their buffers.

    **Raises:** `ValueError` for a restoration that failed, or a band that does not rise.

        optimize.reciprocity.responses(restored, (0.5, 4.0)).forward.norm
    """
    max_points = as_count(max_points, "max_points", least=2)
    _require_restored(restored)
    model, amplitude = restored.model, restored.response.drive.amplitude
    if band is None:
        natural = np.asarray(duffing.linear_frequencies(model))
        band = float(natural[0] / 2), float(4 * max(natural[-1], restored.omega) / 3)
    band = as_range(band, "band", positive=True)
    sweeps = (
        duffing.frequency_response(model, amplitude=amplitude, omega=band, port=port, max_points=max_points).trim()
        for port in restored.ports
    )
    return Responses(*sweeps)


def _require_restored(restored: Any) -> None:
    require_instance(restored, "restored", Restoration, "be an optimize.Restoration")
    known = is_concrete(restored)
    require(known and bool(restored.converged), "restored", "have converged", restored.message if known else restored)


class Outputs(NamedTuple):
    """Both outputs over two periods, integrated in time: `periods` [time], `forward` and `backward` [time]."""

    periods: Float[Array, " time"]
    forward: Float[Array, " time"]
    backward: Float[Array, " time"]

    @property
    def reciprocity_norm(self) -> float:
        """R, of the samples."""
        return float(jnp.sqrt(jnp.mean((self.forward - self.backward)[:-1] ** 2)))


def in_time(restored: Restoration) -> Outputs:
    """The outputs at the restored point by direct integration, which knows nothing of harmonics.

    It begins on the orbits of the balance and settles for 60 periods, in which an unstable orbit would be left.

    **Arguments:** `restored`: of `restore_reciprocity`, converged.

    **Returns:** `Outputs`, whose `reciprocity_norm` is R, of the samples.

    **Raises:** `ValueError` for a restoration that failed.
    """
    _require_restored(restored)
    response, omega = restored.response, restored.omega
    orbits, harmonics = response.state, response.harmonics  # [in, oscillator, harmonic]
    x0, v0 = (
        duffing.time_series(orbits, jnp.zeros(1), omega=omega, harmonics=harmonics, derivative=order)[..., 0]
        for order in (0, 1)
    )
    periods = jnp.linspace(0.0, SHOWN, SHOWN * SAMPLES + 1)
    ts = jnp.append(0.0, (SETTLING + periods) * 2 * jnp.pi / omega)
    first, last = restored.ports
    pushes = response.drive.amplitude * jnp.eye(restored.model.num_ports)[jnp.asarray(restored.ports)]
    motions = [
        duffing.simulate(restored.model, _Push(push, omega), ts, x, v)
        for push, x, v in zip(pushes, x0, v0, strict=True)
    ]  # as functions of time, so that both directions share one compilation
    return Outputs(periods, motions[0].x[1:, last], motions[1].x[1:, first])


class _Push(eqx.Module):
    """Forces cos ωt of given amplitudes."""

    amplitude: Float[Array, " oscillator"]
    omega: Float[Array, ""]

    def __call__(self, t: Array) -> Array:
        return jnp.real(self.amplitude) * jnp.cos(self.omega * t)
