"""Whether forces are as smooth as harmonic balance needs them; and a stop that is."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffnr.checks import (
    as_real,
    check_fields,
    is_concrete,
    rate_field,
    real_field,
    require,
    require_bounds,
    staying_known,
)
from diffnr.compilation import compiled
from diffnr.duffing.oscillators import AbstractOscillators

SPAN = (1e-3, 1e3)  # of displacements along the line that is looked at
POINTS = 400  # to each side
REFINEMENTS = 5  # of the interval in which the slope changes most, by 799 each: to round-off
JUMP = 1e-3  # of the slope, that is left over an interval of round-off


class Clearance(eqx.Module):
    """A spring behind a gap, rounded off:

        f(x) = (k/2) [x − g + √((x − g)² + ε²)]      ≈ k (x − g) where x > g, 0 where x < g

    **Arguments**, each [] or [n], of each oscillator or link: `stiffness`: k; `gap`: g; `width`: ε > 0, over which the
    corner is rounded: the force differs from that of a sharp corner by kε/2 at most, at x = g.

    **Raises:** `ValueError` for a width that is not positive, values that are not real and finite.

    Good values: a width of a tenth of the gap; harmonics up to some 5 x/ε at the amplitude x, 30 for x = 1, ε = .05
    behind a link that carries little of it. Even harmonics and a mean appear.

        duffing.OscillatorNetwork([1.0], [1.0], 0.1, duffing.Clearance(20.0, gap=0.3, width=0.05), num_harmonics=30)
    """

    stiffness: Float[Array, "*oscillator"] = real_field()
    gap: Float[Array, "*oscillator"] = real_field()
    width: Float[Array, "*oscillator"] = rate_field()

    def __init__(self, stiffness: Any, gap: Any, width: Any):
        self.stiffness, self.gap = as_real(stiffness, "stiffness"), as_real(gap, "gap")
        self.width = as_real(width, "width")

    def __check_init__(self) -> None:
        check_fields(self)
        for name in ("stiffness", "gap", "width"):
            value = getattr(self, name)
            require(value.ndim < 2 and value.size > 0, name, "have shape () or (n,)", f"of shape {value.shape}")
        require_bounds("width", self.width, lower=0.0)
        if is_concrete(self.width):
            require(np.all(np.asarray(self.width) > 0), "width", "be positive", self.width)

    def __call__(self, x: Float[Array, "oscillator *rest"]) -> Float[Array, "oscillator *rest"]:
        k, gap, width = (
            part.reshape(part.shape + (1,) * (x.ndim - part.ndim)) if part.ndim else part
            for part in (self.stiffness, self.gap, self.width)
        )
        beyond = x - gap
        return k / 2 * (beyond + jnp.sqrt(beyond**2 + width**2))


@compiled
def _along(model: AbstractOscillators, line: tuple[Array, ...], rates: tuple[Array, ...]) -> tuple[Array, Array]:
    return jax.jvp(model.forces, line, rates)


def require_smooth(model: AbstractOscillators, name: str) -> None:
    """Raise where forces have a corner along a line through x = v = 0, as far as values are known."""
    if not is_concrete(model):
        return
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(2, model.num_ports, 1))
    x, v = x / np.max(np.abs(x)), v / np.max(np.abs(v))
    phase = 1.0  # any

    def both(s: np.ndarray) -> np.ndarray:
        """The forces along the line, and their slopes, [2, n, s]."""
        dtype, still = model.mass.dtype, np.zeros_like(s)
        line, rates = (x * s, v * s, still + phase), (x + still, v + still, still)
        known = [tuple(jnp.asarray(part, dtype) for part in parts) for parts in (line, rates)]
        return np.stack([np.asarray(part) for part in _along(model, *known)])

    side = np.geomspace(*SPAN, POINTS)
    s = np.concatenate([-side[::-1], side])
    with staying_known():
        every = both(s)
        if not np.all(np.isfinite(every)):
            return  # too strong far out: what matters is said where it is met
        for what, kind in enumerate(("value", "slope")):
            found = every[what]
            size = np.abs(found) + 1e-6 * np.max(np.abs(found), axis=1, keepdims=True)
            local = np.maximum(size[:, 1:], size[:, :-1])
            change = np.abs(np.diff(found)) / np.maximum(local, np.finfo(float).tiny)
            oscillator, place = np.unravel_index(int(np.argmax(change)), change.shape)
            ends, allowed = s[place : place + 2], JUMP * local[oscillator, place]
            beside = 1e-9 * (ends[1] - ends[0])
            for _ in range(REFINEMENTS):
                finer = np.linspace(ends[0], ends[1], s.size)
                values = both(finer)[what, oscillator]
                place = int(np.argmax(np.abs(np.diff(values))))
                ends = finer[place : place + 2]
                if abs(values[place + 1] - values[place]) <= allowed:
                    break
            else:
                corner = np.mean(ends)
                a, b = both(corner + np.array([-beside, beside]))[what, oscillator]
                where = np.array2string(x[:, 0] * corner, precision=4, suppress_small=True)
                was = f"one whose {kind} jumps from {a:.4g} to {b:.4g} at x = {where}"
                require(False, name, "be smooth (see duffing.Clearance)", was)
