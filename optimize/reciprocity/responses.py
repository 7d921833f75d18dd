"""The responses of a restored pair, driven from either side: over the frequency, and in time."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr import duffing
from diffnr.duffing import OrbitBranch
from optimize.reciprocity.restore import Restoration

SETTLING = 60  # periods before those that are shown
SHOWN = 2  # periods
SAMPLES = 240  # a period, to draw and to average over


class BothWays(NamedTuple):
    """The responses of one pair driven from either side."""

    forward: OrbitBranch
    backward: OrbitBranch


def both_ways(restored: Restoration, band: tuple[float, float] | None = None, *, max_points: int = 400) -> BothWays:
    """The restored pair's responses to the force at which it was restored, forward and backward.

    **Arguments:** `band`: (lowest, highest) frequency, by default from half of the lower natural frequency to a third
    above the higher one; `max_points`: room for points of each.
    """
    model, amplitude = restored.model, restored.response.drive.amplitude
    if band is None:
        natural = np.asarray(duffing.linear_frequencies(model))
        band = float(natural[0] / 2), float(4 * max(natural[1], restored.omega) / 3)
    sweeps = (
        duffing.frequency_response(model, amplitude=amplitude, band=band, port=port, max_points=max_points).trim()
        for port in (0, 1)
    )
    return BothWays(*sweeps)


class Outputs(NamedTuple):
    """Both outputs over some periods, integrated in time: `periods` [time], `forward` and `backward` [time]."""

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
    """
    response, omega = restored.response, restored.omega
    x0, v0 = (duffing.time_series(response, jnp.zeros(1), derivative=order)[..., 0] for order in (0, 1))
    periods = jnp.linspace(0.0, SHOWN, SHOWN * SAMPLES + 1)
    ts = jnp.append(0.0, (SETTLING + periods) * 2 * jnp.pi / omega)
    motions = [
        duffing.simulate(restored.model, _Push(push, omega), ts, x0[:, port], v0[:, port])
        for port, push in enumerate(response.drive.amplitude * jnp.eye(2))
    ]  # as functions of time, so that both ways share one compilation
    return Outputs(periods, motions[0].x[1:, 1], motions[1].x[1:, 0])


class _Push(eqx.Module):
    """Forces cos ωt of given amplitudes."""

    amplitude: Float[Array, " oscillator"]
    omega: Float[Array, ""]

    def __call__(self, t: Array) -> Array:
        return jnp.real(self.amplitude) * jnp.cos(self.omega * t)
