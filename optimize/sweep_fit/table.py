"""All points of several sweeps as one table, in the solvers' units."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffnr.frequency_sweep import FrequencySweep


class SweepTable(eqx.Module):
    """All points of several sweeps, in units of `rate` and of the largest amplitudes, for the solvers.

    **Fields:** `omega` [d]; `amplitude`, `sigma` [d, n]; `omega_sigma` [d], what an error of frequency counts against;
    `level` [d, n], of the drive of every oscillator; `before` [jump], the last points before jumps, with the `middle`
    and the `width` [jump] of the interval after each; `rate`, `unit` [n], `top` []: what ω, amplitudes and levels were
    divided by.
    """

    omega: Float[Array, " d"]
    amplitude: Float[Array, "d n"]
    sigma: Float[Array, "d n"]
    omega_sigma: Float[Array, " d"]
    level: Float[Array, "d n"]
    before: Int[Array, " jump"]
    middle: Float[Array, " jump"]
    width: Float[Array, " jump"]
    rate: Float[Array, ""]
    unit: Float[Array, " n"]
    top: Float[Array, ""]

    @classmethod
    def of(cls, sweeps: tuple[FrequencySweep, ...]) -> SweepTable:
        """The table of sweeps of the same oscillators."""
        omega, amplitude = (np.concatenate([np.asarray(getattr(s, x)) for s in sweeps]) for x in ("omega", "amplitude"))
        rate, unit = np.sqrt(omega.min() * omega.max()), amplitude.max(axis=0)
        top = max(float(s.level) for s in sweeps)
        ports = range(unit.size)
        level = [[s.level / top if s.port in (None, j) else 0.0 for j in ports] for s in sweeps]
        start = np.cumsum([0, *(s.omega.size for s in sweeps[:-1])])
        jumps = np.concatenate([s.jumps for s in sweeps]) / rate
        sigma = [np.ones(s.amplitude.shape) if s.sigma is None else np.asarray(s.sigma) / unit for s in sweeps]
        return cls(
            omega=jnp.asarray(omega / rate),
            amplitude=jnp.asarray(amplitude / unit),
            sigma=jnp.asarray(np.concatenate(sigma)),
            omega_sigma=jnp.asarray(
                np.concatenate([_slack(s, sd, unit) / rate for s, sd in zip(sweeps, sigma, strict=True)])
            ),
            level=jnp.asarray(np.repeat(np.asarray(level, float), [s.omega.size for s in sweeps], axis=0)),
            before=jnp.asarray(
                np.concatenate([i + np.asarray(s.jump_after, int) for i, s in zip(start, sweeps, strict=True)])
            ),
            middle=jnp.asarray(jumps.mean(axis=1)),
            width=jnp.asarray(np.abs(jumps[:, 1] - jumps[:, 0])),
            rate=jnp.asarray(rate),
            unit=jnp.asarray(unit),
            top=jnp.asarray(top),
        )


def _slack(sweep: FrequencySweep, sigma: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """A standard deviation of the frequency, a tenth of what on a typical slope counts as much as the amplitude's.

    The frequency of a stepped sine is exact. This keeps a point near a fold, where the slope has no bound, from
    counting without bound.
    """
    slope = np.abs(np.diff(np.asarray(sweep.amplitude) / unit, axis=0) / np.diff(np.asarray(sweep.omega))[:, None])
    slope = np.maximum(np.median(slope, axis=0), 1e-6 / np.ptp(np.asarray(sweep.omega)))
    return 0.1 * np.min(sigma / slope, axis=1)
