"""The step at one frequency: fields that turn by z = e^{iωΔt} from step to step.

    F^{n+1} = z F^n      turns each recursion X⁺ = K X + push(E) of the step into      X⁺ = push(E)/(1 − K/z)

so that H, J, what walls carry and what layers remember follow from E, and a driven steady state solves

    M(z) E = z E − E⁺(E) = source

exactly as the step in time does once its transients are gone. ω may be complex.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Complex

from diffnr.fdtd.time_domain.layers import Layer
from diffnr.fdtd.time_domain.leapfrog import Fields, Update


def step_factor(update: Update, omega: Array) -> Complex[Array, ""]:
    """z = e^{iωΔt}."""
    return jnp.exp(1j * omega * update.step)


def harmonic_step(update: Update, ex: Array, ey: Array, z: Array, hz: Array | None = None) -> Fields:
    """The fields one step after E, all of them turning by z a step: E⁺, and H, J, walls and memory half a step before.

    `hz`: what sources add to Hz in this step.
    """
    rest = jnp.zeros((), ex.dtype)
    zero = update.zero_fields()
    hz_before, jx, jy = rest + zero.hz, rest + zero.jx, rest + zero.jy
    none = Fields(ex, ey, hz_before, jx, jy, _spread(zero.walls, rest), _spread(zero.memory, rest))
    pushed = update.magnetic(none)
    c, s = update.rotation
    one, other = ((pushed.jx + sign * pushed.jy) / (1 - (c + sign * s) / z) for sign in (1j, -1j))
    walls = memory = None
    if pushed.walls is not None:
        walls = tuple(push / (1 - keep / z) for push, (keep, _) in zip(pushed.walls, update.walls, strict=True))
    if pushed.memory is not None:
        memory = tuple(
            (_remembered(layer, push, layer.centre[0], z), electric)
            for layer, (push, electric) in zip(update.layers, pushed.memory, strict=True)
        )
        pushed = update.magnetic(none._replace(memory=tuple((m / z, e) for m, e in memory)))
    push = pushed.hz if hz is None else pushed.hz + hz
    h = push / (1 - (1.0 if update.absorption is None else update.absorption.hz) / z)
    fields = Fields(ex, ey, h, (one + other) / 2, (one - other) / 2j, walls, memory)
    if memory is not None:
        pushed = update.electric(fields)
        ahead = tuple(
            (m, _remembered(layer, push, layer.line[0], z) / z)
            for layer, (m, _), (_, push) in zip(update.layers, memory, pushed.memory or (), strict=True)
        )
        fields = fields._replace(memory=ahead)
    return update.electric(fields)


def _remembered(layer: Layer, push: Array, keep: Array, z: Array) -> Array:
    return push / (1 - (keep[:, None] if layer.axis == 0 else keep) / z)


def _spread(parts: tuple | None, rest: Array) -> tuple | None:
    """The same tree of another dtype."""
    if parts is None:
        return None
    return tuple(_spread(part, rest) if isinstance(part, tuple) else part + rest for part in parts)
