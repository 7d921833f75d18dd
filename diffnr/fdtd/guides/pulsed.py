"""A scene over a band by one pulse a port: the pulse, what it launches, and a run until it has rung down."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from diffnr.checks import is_concrete
from diffnr.fdtd.guides.column import Cut
from diffnr.fdtd.guides.port import Ports, Wave
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.time_domain.leapfrog import Update
from diffnr.fdtd.time_domain.march import Source
from diffnr.fdtd.time_domain.propagate import Recording, propagate
from diffnr.fdtd.time_domain.transform import FieldTransform
from diffnr.fdtd.time_domain.waveforms import Pulse

SMOOTH, LONG = 6.0, 60.0  # ωτ of a pulse: at least, lest it leave static charge, and at most
EARLY = 7.0  # widths: where a pulse begins, with 2·10⁻¹¹; louder steps ring on in the lattice's own waves
PROFILES = 7  # of a wave over the band of a pulse, odd
SAMPLES = 24  # a period of the highest frequency, of the running transforms


@eqx.filter_jit
def waves_at_all(ports: Ports, scene: Scene, step: Array, omegas: Array) -> list[tuple[Wave, Wave]]:
    """What each port sends and receives, at every frequency."""
    return lax.map(lambda omega: ports.waves(scene, step, omega), omegas)


@eqx.filter_jit
def launched(ports: Ports, scene: Scene, step: Array, pulse: Pulse, band: Array) -> list[list[Cut]]:
    """What each port launches over the band, as the coefficients of a polynomial in ω − ω0.

    A wave's profile changes with frequency. One profile for all would launch what falls off along the guide as well,
    and reach a device that is near by it.
    """
    nodes = jnp.cos(jnp.pi * jnp.arange(PROFILES) / (PROFILES - 1))
    unit = jnp.maximum(band / 2, 1e-3 * pulse.omega)
    waves = waves_at_all(ports, scene, step, pulse.omega + unit * nodes)
    middle = PROFILES // 2
    powers = jnp.linalg.inv(jnp.vander(nodes, increasing=True))

    def fitted(wave: Wave) -> list[Cut]:
        along = jnp.sum(wave.launch.at * jnp.conj(wave.launch.at[middle]), axis=1)
        # Phases are free; where a wave is missing in a part of the band, that of the middle has to serve.
        turn = jnp.where(wave.valid, jnp.conj(along) / jnp.abs(jnp.where(wave.valid, along, 1.0)), 1.0)
        alone = jnp.zeros((PROFILES, PROFILES)).at[0, middle].set(1.0)
        matrix = jnp.where(jnp.all(wave.valid), powers, alone) / unit ** jnp.arange(PROFILES)[:, None]
        return [Cut(*((row * turn) @ part for part in wave.launch)) for row in matrix]

    return [fitted(wave) for wave, _ in waves]


def pulse_for(omegas: Array) -> Pulse:
    """A pulse for a band of frequencies, with e^{−2} of its largest amplitude at their ends.

    It hardly excites what lies beyond, where waves may be slow and ring for long.
    """
    low, high = jnp.min(omegas), jnp.max(omegas)
    middle = (low + high) / 2
    width = jnp.clip(4 / jnp.maximum(high - low, 1e-9 * middle), SMOOTH / middle, LONG / middle)
    return Pulse(middle, width, EARLY * width)


def pulse_response(
    ports: Ports,
    update: Update,
    sources: list[Source],
    omegas: Array,
    run_out: Callable[[Callable[..., Recording]], Sequence[Array]],
) -> dict[int, tuple[Array, Array]]:
    """Ex and Ey at the ports' lines, [frequency, ...] by line; `run_out` lets a run go on until nothing is left, and
    returns its transforms."""
    lines = sorted(set(ports.lines))
    stride = 1
    if is_concrete(omegas, update.step):
        stride = max(1, int(2 * np.pi / (SAMPLES * float(jnp.max(omegas)) * float(update.step))))
    parts = [
        (line, name, rows) for line in lines for name, rows in (("ex", (line - 1, line)), ("ey", (line - 1, line + 1)))
    ]
    transforms = [FieldTransform(name, omegas, rows=rows, stride=stride) for _, name, rows in parts]
    sums = run_out(functools.partial(propagate, update, sources=sources, transforms=transforms, progress=False))
    found = {name: dict(zip(lines, sums[k::2], strict=True)) for k, name in enumerate(("ex", "ey"))}
    return {line: (found["ex"][line][:, 0], found["ey"][line]) for line in lines}


def rung_down(
    run: Callable[..., Recording], length: int, tolerance: float, longest: int, throw: bool
) -> tuple[Array, ...]:
    """The transforms of a run in parts of `length` steps, until fields have fallen to the tolerance; where they have
    not after `longest` steps, an error or NaN."""
    taken, most, fields, sums = 0, 0.0, None, None
    while True:
        recording = run(length, fields=fields, begin=taken)
        taken, fields = taken + length, recording.fields
        sums = (
            recording.transforms if sums is None else [a + b for a, b in zip(sums, recording.transforms, strict=True)]
        )
        size = float(jnp.sqrt(jnp.sum(jnp.abs(fields.hz) ** 2)))
        most = max(most, size)
        if size <= tolerance * most:
            return tuple(sums)
        if taken >= longest:
            if not throw:
                return tuple(jnp.full_like(part, jnp.nan) for part in sums)
            raise RuntimeError(
                f"The fields hold {size / most:.1e} of their largest norm after {taken} steps, and not less than the "
                f"tolerance of {tolerance:g}. Ask for more steps (longest), or for single frequencies "
                "(port_response), which high resonances do not slow down."
            )
