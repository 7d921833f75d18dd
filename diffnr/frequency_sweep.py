"""Measured stepped-sine sweeps: amplitudes of oscillators over a frequency that rises or falls, with their jumps."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import (
    Count,
    Numbers,
    as_choice,
    as_index,
    as_positive,
    as_real,
    as_shaped,
    as_vector,
    require,
    require_finite,
    require_known,
)

DIRECTIONS = ("up", "down")
SMALLEST_JUMP = 0.05  # of the largest amplitude
STEEPER = 4.0  # than any of the steps about it


class FrequencySweep(eqx.Module):
    """A stepped-sine measurement of n oscillators: the amplitude of each at every frequency, in the order taken.

    **Arguments:**

    - `omega`: [point], angular frequencies in rad/s, rising in a sweep up and falling in a sweep down.
    - `amplitude`: [point, oscillator], or [point] for one: of the fundamental (or the peak), in any unit (volts of a
      gauge, metres), one for each oscillator, the same in all sweeps. No phase is needed.
    - `direction`: "up" or "down".
    - `port`: the driven oscillator; None (default) if all are, as on a shaken base, each by a force of its own.
    - `level`: [], the level of the drive in any unit, the same in all sweeps (default 1): forces are found per unit.
    - `sigma`: standard deviation of the amplitudes, [], [oscillator] or [point, oscillator]; by default it is found
      from the residual, as the same part of the largest amplitude of every oscillator.
    - `jump_after`: indices of the last points before a jump; by default they are found: a step by more than 5 % of the
      largest amplitude, and four times larger than any of the three steps on either side.
    - `name`: for reports.

    **Raises:** `ValueError` for shapes, a frequency that does not go one way, amplitudes that are negative or not
    finite, an unknown direction, a port or an index that does not exist.
    """

    omega: Float[Array, " point"]
    amplitude: Float[Array, "point oscillator"]
    level: Float[Array, ""]
    sigma: Float[Array, "point oscillator"] | None
    direction: str = eqx.field(static=True)
    port: int | None = eqx.field(static=True)
    jump_after: tuple[int, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def __init__(
        self,
        omega: Numbers,
        amplitude: Numbers,
        direction: str,
        *,
        port: Count | None = None,
        level: Numbers = 1.0,
        sigma: Numbers | None = None,
        jump_after: Sequence[Count] | None = None,
        name: str = "",
    ):
        for given, what in ((omega, "omega"), (amplitude, "amplitude"), (level, "level"), (sigma, "sigma")):
            require_known(given, what, "be numbers known in advance")
        self.omega, amplitude = as_vector(omega, "omega", least=4), as_real(amplitude, "amplitude")
        self.amplitude = amplitude[:, None] if amplitude.ndim == 1 else amplitude
        self.level = as_positive(level, "level")
        self.direction, self.name = as_choice(direction, "direction", DIRECTIONS), name
        points, n = self.omega.size, self.amplitude.shape[-1] if self.amplitude.ndim else 0
        fits = self.amplitude.shape == (points, n) and n > 0
        require(fits, "amplitude", f"have shape ({points},) or ({points}, oscillators)", f"of shape {amplitude.shape}")
        self.port = None if port is None else as_index(port, "port", n, "oscillator")
        shapes = (), (n,), (points, n)
        self.sigma = None if sigma is None else jnp.broadcast_to(as_shaped(sigma, "sigma", *shapes), (points, n))
        self._check()
        if jump_after is None:
            self.jump_after = self._steep_steps()
        else:
            listed = isinstance(jump_after, (tuple, list, range, np.ndarray))
            require(listed, "jump_after", "be a list of indices of points", jump_after)
            self.jump_after = tuple(as_index(i, "jump_after", points - 1, "point") for i in jump_after)

    def _check(self) -> None:
        direction = self.direction
        steps = np.diff(np.asarray(self.omega)) * (1 if direction == "up" else -1)
        require(np.all(steps > 0), "omega", f"go {direction} from point to point", self.omega)
        require(np.all(np.asarray(self.omega) > 0), "omega", "be positive", self.omega)
        require_finite("amplitude", self.amplitude)
        require(np.all(np.asarray(self.amplitude) >= 0), "amplitude", "not be negative", self.amplitude)
        largest = np.asarray(self.amplitude).max(axis=0)
        require(np.all(largest > 0), "amplitude", "be positive somewhere, for every oscillator", largest)
        if self.sigma is not None:
            require_finite("sigma", self.sigma)
            require(np.all(np.asarray(self.sigma) > 0), "sigma", "be positive", self.sigma)

    @property
    def num_oscillators(self) -> int:
        return self.amplitude.shape[1]

    @property
    def step(self) -> float:
        """The typical step of frequency, rad/s."""
        return float(np.median(np.abs(np.diff(np.asarray(self.omega)))))

    @property
    def jumps(self) -> Float[np.ndarray, "jump two"]:
        """The frequencies (before, after) between which the amplitude jumps, rad/s, in the order taken, [jump, 2]."""
        before = np.asarray(self.jump_after, int)
        omega = np.asarray(self.omega)
        return np.stack([omega[before], omega[before + 1]], axis=1)

    def _steep_steps(self) -> tuple[int, ...]:
        amplitude = np.asarray(self.amplitude)
        change = np.max(np.abs(np.diff(amplitude, axis=0)) / amplitude.max(axis=0), axis=1)
        around = [np.delete(change[max(i - 3, 0) : i + 4], min(i, 3)).max() for i in range(change.size)]
        return tuple(np.flatnonzero((change > SMALLEST_JUMP) & (change > STEEPER * np.asarray(around))).tolist())
