"""A scene with ports, as a port model: at one frequency by a direct solve, over a band by one pulse a port."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.checks import (
    Count,
    Numbers,
    as_complex,
    as_count,
    as_frequency,
    as_index,
    as_scalar,
    is_concrete,
    require,
    require_finite,
    require_instance,
    require_known,
)
from diffnr.fdtd.frequency_domain.frequency import solve
from diffnr.fdtd.guides.column import Cut
from diffnr.fdtd.guides.port import Port, Ports, Wave, pulse_sources, wave_sources
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, require_resolved, step_of
from diffnr.fdtd.time_domain.march import Source
from diffnr.fdtd.time_domain.propagate import Recording, propagate
from diffnr.fdtd.time_domain.transform import FieldTransform
from diffnr.fdtd.time_domain.waveforms import Pulse, Tone
from diffnr.ports import AbstractPortModel, Drive
from diffnr.results import RESULTS, raise_failures

SMOOTH, LONG = 6.0, 60.0  # ωτ of a pulse: at least, lest it leave static charge, and at most
EARLY = 7.0  # widths: where a pulse begins, with 2·10⁻¹¹; louder steps ring on in the lattice's own waves
PROFILES = 7  # of a wave over the band of a pulse, odd
SAMPLES = 24  # a period of the highest frequency, of the running transforms


class Simulation(AbstractPortModel):
    """A scene with ports: S = B A⁻¹ of the incoming A and outgoing B of all drives, so that what the absorbers behind
    the ports send back drops out.

    `port_response` solves the scheme at its frequency (`frequency`); `scattering` sends one pulse into each port.
    Both are the same scheme and agree to round-off once the pulse has rung down.

    **Arguments:**

    - `scene`; `ports`: of `Port`. `step`: Δt in s, default .95 of the longest.
    - `steps`: of a pulse's run, static; None runs until the fields have fallen to `tolerance` of their largest norm,
      at most `longest` steps. Under jit and grad `scattering` needs a number.

        device = fdtd.Simulation(scene, [fdtd.Port(110e-6, "+x"), fdtd.Port(290e-6, "-x")])
        nr.port_response(device, nr.Drive(7.5e12)).s

    **Raises:** `ValueError` for ports that cannot stand where they do, two equal ports, none; a step that is not below
    the longest, steps that are no whole numbers, a tolerance that does not lie between 0 and 1.

    Where a guide has no wave in a direction (one-way bands), nothing can be sent into a port or leave by it: the column
    or row of `scattering` is 0, and `port_response` says so when that port is driven.
    """

    scene: Scene
    ports: Ports
    step: Float[Array, ""] | None
    steps: int | None = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)
    longest: int = eqx.field(static=True)

    def __init__(
        self,
        scene: Any,
        ports: Any,
        *,
        step: Any = None,
        steps: Any = None,
        tolerance: Numbers = 1e-9,
        longest: Count = 1_000_000,
    ):
        require_instance(scene, "scene", Scene, "be a Scene")
        require(isinstance(ports, (tuple, list)), "ports", "be a list of Port", ports)
        require(len(ports) > 0, "ports", "name at least one port", "empty")
        for number, port in enumerate(ports):
            require_instance(port, f"ports[{number}]", Port, "be a Port")
        require(len(set(ports)) == len(ports), "ports", "be different from each other", f"{list(ports)}")
        require_known(tolerance, "tolerance")
        as_scalar(tolerance, "tolerance")
        # By numpy: inside of jit what a reader returns is traced.
        share = float(np.asarray(tolerance))
        require(0 < share < 1, "tolerance", "lie between 0 and 1", share)
        self.scene, self.ports = scene, Ports.of(scene, ports)
        self.step = None if step is None else step_of(scene, step)
        self.steps = None if steps is None else as_count(steps, "steps")
        self.tolerance, self.longest = share, as_count(longest, "longest")

    @property
    def num_ports(self) -> int:
        return len(self.ports.each)

    @property
    def harmonics(self) -> tuple[int, ...]:
        return (1,)

    @property
    def power_normalised(self) -> bool:
        return True

    @property
    def linear(self) -> bool:
        return True

    @property
    def update(self) -> Update:
        """The step that everything here takes."""
        return Update.of(self.scene, self.step)

    def respond(
        self, drive: Drive, port: Int[Array, ""], guess: Any = None
    ) -> tuple[Complex[Array, "out harmonic"], Any, Any]:
        """At one frequency, by a direct solve; the state is None."""
        found = _solved(self, drive.omega)
        sends = found.sends[port]
        column = jnp.where(sends, found.s[:, port] * drive.amplitude, jnp.nan)
        solved = RESULTS.where(jnp.all(jnp.isfinite(found.s[:, port])), RESULTS.successful, RESULTS.nonfinite)
        return column[:, None], None, RESULTS.where(sends, solved, RESULTS.no_wave)

    def fields(self, omega: Numbers, incoming: Numbers) -> Fields:
        """The fields at one frequency, as phasors: F(t) = Re F e^{iωt}, each component at its own place.

        **Arguments:** `omega`: [], rad/s; `incoming`: [port], the amplitudes of incoming waves in √(W/m).

        **Raises:** `ValueError` for a frequency that is not positive or that the cells do not resolve, another number
        of amplitudes; `RuntimeError` where a wave is to come in that the guide does not carry, or fields are not finite
        (under a transformation they are NaN).
        """
        omega, incoming = self._resolved(omega), as_complex(incoming, "incoming")
        must = f"have one amplitude for each of {self.num_ports} ports"
        require(incoming.shape == (self.num_ports,), "incoming", must, f"of shape {incoming.shape}")
        require_finite("incoming", incoming)
        fields, result = _fields(self, omega, incoming)
        return raise_failures(fields, result) if is_concrete(result) else fields

    def amplitudes(self, omega: Numbers, fields: Any) -> tuple[Complex[Array, " port"], Complex[Array, " port"]]:
        """(a, b) [port] in √(W/m): what comes in and goes out at the ports, of phasors of any field on this grid.

        **Arguments:** `omega`: [], rad/s; `fields`: phasors, as of `fields`, `frequency`, or a `FieldTransform` of all
        of Ex and of Ey (Hz is not asked for).

        **Raises:** `ValueError` for a frequency that is not positive or that the cells do not resolve, fields of other
        shapes.
        """
        omega, (nx, ny) = self._resolved(omega), self.scene.grid.shape
        must = f"have ex of shape {(nx, ny + 1)} and ey of shape {(nx + 1, ny)}, phasors on this grid"
        require_instance(fields, "fields", Fields, must)
        shapes = jnp.shape(fields.ex), jnp.shape(fields.ey)
        require(shapes == ((nx, ny + 1), (nx + 1, ny)), "fields", must, f"of shapes {shapes}")
        return _amplitudes(self, omega, fields.ex, fields.ey)

    def sources(self, port: Any, waveform: Any) -> list[Source]:
        """What launches a port's wave in `propagate`, with its profile at the waveform's frequency.

        **Arguments:** `port`: which; `waveform`: a `Pulse` or `Tone`, of which 1 is an amplitude of 1 √(W/m) at the
        line four cells behind the port.

        **Raises:** `ValueError` for another waveform, a port that does not exist, a frequency at which the guide has no
        such wave in that direction.
        """
        port = as_index(port, "port", self.num_ports, "port")
        require_instance(waveform, "waveform", (Pulse, Tone), "be a Pulse or a Tone")
        update = self.update
        self._resolved(waveform.omega, "waveform, its omega,")
        wave, _ = _waves_at_all(self, update.step, waveform.omega[None])[port]
        found = jax.tree_util.tree_map(lambda leaf: leaf[0], wave)
        if is_concrete(found.valid):
            chosen = self.ports.each[port]
            must = f"have a frequency at which its port has a wave to {chosen.direction} of number {chosen.mode}"
            require(bool(found.valid), "waveform", must, f"at {float(waveform.omega):.6g} rad/s, where it has none")
        return wave_sources(found.launch, self.ports.source_line(port), update, waveform)

    def scatter(self, omegas: Float[Array, " frequency"], throw: bool = True) -> Complex[Array, "frequency out in"]:
        """S over a band, by one pulse a port."""
        require(not is_concrete(omegas) or bool(jnp.all(omegas > 0)), "omegas", "be positive", omegas)
        require_resolved(self.update, omegas, "omegas")
        update, pulse = self.update, _pulse(omegas)
        known = self.steps is not None or is_concrete(omegas, update)
        require(known, "steps", "be given where scattering is jitted or differentiated", None)
        if self.steps is not None and is_concrete(pulse, update.step):
            least = int(2 * float(pulse.centre) / float(update.step)) + 1
            require(self.steps >= least, "steps", f"be at least {least}, which its pulse alone takes", self.steps)
        at_all = _waves_at_all(self, update.step, omegas)
        seen = []
        for number, cuts in enumerate(_launched(self, update.step, pulse, jnp.max(omegas) - jnp.min(omegas))):
            sources = pulse_sources(cuts, self.ports.source_line(number), update, pulse)
            edges = _pulse_response(self, update, sources, omegas, pulse, throw)
            seen.append(jax.vmap(lambda waves, edges: self.ports.amplitudes(waves, edges.__getitem__))(at_all, edges))
        incoming, outgoing = (jnp.stack(parts, axis=-1) for parts in zip(*seen, strict=True))
        sends = jnp.stack([wave.valid for wave, _ in at_all], axis=-1)
        return jax.vmap(_quotient)(incoming, outgoing, sends)

    def _resolved(self, omega: Any, name: str = "omega") -> Float[Array, ""]:
        """`omega` as a frequency that the step and the cells carry."""
        value = as_frequency(omega, name)
        require_resolved(self.update, value, name)
        return value


class _Solved(NamedTuple):
    """At one frequency: the fields of each port's source [port, ...], A, S, and which ports send a wave."""

    fields: Fields
    incoming: Complex[Array, "port drive"]
    s: Complex[Array, "out in"]
    sends: Bool[Array, " port"]


def _solved(simulation: Simulation, omega: Array) -> _Solved:
    update, ports = simulation.update, simulation.ports
    nx, ny = update.shape
    waves = ports.waves(simulation.scene, update.step, omega)
    dtype = waves[0][0].launch.ex.dtype
    blank = jnp.zeros((nx, ny + 1), dtype), jnp.zeros((nx + 1, ny), dtype)
    added = [wave.edges(ports.source_line(number), blank) for number, (wave, _) in enumerate(waves)]
    fields = jax.vmap(lambda ex, ey: solve(update, omega, ex, ey))(*map(jnp.stack, zip(*added, strict=True)))
    read = lambda ex, ey: ports.amplitudes(waves, lambda line: (ex[line - 1], ey[line - 1 : line + 1]))  # noqa: E731
    incoming, outgoing = jax.vmap(read, out_axes=-1)(fields.ex, fields.ey)
    sends = jnp.stack([wave.valid for wave, _ in waves])
    return _Solved(fields, _whole(incoming, sends), _quotient(incoming, outgoing, sends), sends)


@eqx.filter_jit
def _amplitudes(simulation: Simulation, omega: Array, ex: Array, ey: Array) -> tuple[Array, Array]:
    ports = simulation.ports
    waves = ports.waves(simulation.scene, simulation.update.step, omega)
    return ports.amplitudes(waves, lambda line: (ex[line - 1], ey[line - 1 : line + 1]))


@eqx.filter_jit
def _fields(simulation: Simulation, omega: Array, incoming: Array) -> tuple[Fields, Any]:
    found = _solved(simulation, omega)
    drives = jnp.linalg.solve(found.incoming, incoming)
    fields = jax.tree_util.tree_map(lambda field: jnp.tensordot(drives, field, 1), found.fields)
    missing = jnp.any(~found.sends & (incoming != 0))
    fields = jax.tree_util.tree_map(lambda field: jnp.where(missing, jnp.nan, field), fields)
    finite = jnp.all(jnp.isfinite(fields.ex)) & jnp.all(jnp.isfinite(fields.ey))
    solved = RESULTS.where(finite, RESULTS.successful, RESULTS.nonfinite)
    return fields, RESULTS.where(missing, RESULTS.no_wave, solved)


def _whole(incoming: Array, sends: Array) -> Array:
    """A with 1 on the diagonal where a port sends nothing."""
    return jnp.where(sends[:, None], incoming, jnp.eye(sends.size, dtype=incoming.dtype))


def _quotient(incoming: Array, outgoing: Array, sends: Array) -> Array:
    return jnp.linalg.solve(_whole(incoming, sends).T, outgoing.T).T


@eqx.filter_jit
def _waves_at_all(simulation: Simulation, step: Array, omegas: Array) -> list[tuple[Wave, Wave]]:
    return lax.map(lambda omega: simulation.ports.waves(simulation.scene, step, omega), omegas)


@eqx.filter_jit
def _launched(simulation: Simulation, step: Array, pulse: Pulse, band: Array) -> list[list[Cut]]:
    """What each port launches over the band, as the coefficients of a polynomial in ω − ω0.

    A wave's profile changes with frequency. One profile for all would launch what falls off along the guide as well,
    and reach a device that is near by it.
    """
    nodes = jnp.cos(jnp.pi * jnp.arange(PROFILES) / (PROFILES - 1))
    unit = jnp.maximum(band / 2, 1e-3 * pulse.omega)
    waves = _waves_at_all(simulation, step, pulse.omega + unit * nodes)
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


def _pulse(omegas: Array) -> Pulse:
    """A pulse for a band of frequencies, with e^{−2} of its largest amplitude at their ends.

    It hardly excites what lies beyond, where waves may be slow and ring for long.
    """
    low, high = jnp.min(omegas), jnp.max(omegas)
    middle = (low + high) / 2
    width = jnp.clip(4 / jnp.maximum(high - low, 1e-9 * middle), SMOOTH / middle, LONG / middle)
    return Pulse(middle, width, EARLY * width)


def _pulse_response(
    simulation: Simulation, update: Update, sources: list[Source], omegas: Array, pulse: Pulse, throw: bool
) -> dict[int, tuple[Array, Array]]:
    """Ex and Ey at the ports' lines, [frequency, ...] by line, of a run until nothing is left, NaN where it lasts."""
    lines = sorted(set(simulation.ports.lines))
    stride = 1
    if is_concrete(omegas, update.step):
        stride = max(1, int(2 * np.pi / (SAMPLES * float(jnp.max(omegas)) * float(update.step))))
    parts = [
        (line, name, rows) for line in lines for name, rows in (("ex", (line - 1, line)), ("ey", (line - 1, line + 1)))
    ]
    transforms = [FieldTransform(name, omegas, rows=rows, stride=stride) for _, name, rows in parts]
    run = functools.partial(propagate, update, sources=sources, transforms=transforms, progress=False)
    if simulation.steps is not None:
        sums = run(simulation.steps).transforms
    else:
        sums = _rung_down(simulation, run, int(float(pulse.centre) / float(update.step)) + 1, throw)
    found = {name: dict(zip(lines, sums[k::2], strict=True)) for k, name in enumerate(("ex", "ey"))}
    return {line: (found["ex"][line][:, 0], found["ey"][line]) for line in lines}


def _rung_down(simulation: Simulation, run: Callable[..., Recording], length: int, throw: bool) -> tuple[Array, ...]:
    """The transforms of a run in parts, the first of them up to the pulse's centre, until fields have fallen to the
    tolerance."""
    taken, most, fields, sums = 0, 0.0, None, None
    while True:
        recording = run(length, fields=fields, begin=taken)
        taken, fields = taken + length, recording.fields
        sums = (
            recording.transforms if sums is None else [a + b for a, b in zip(sums, recording.transforms, strict=True)]
        )
        size = float(jnp.sqrt(jnp.sum(jnp.abs(fields.hz) ** 2)))
        most = max(most, size)
        if size <= simulation.tolerance * most:
            return tuple(sums)
        if taken >= simulation.longest:
            if not throw:
                return tuple(jnp.full_like(part, jnp.nan) for part in sums)
            raise RuntimeError(
                f"The fields hold {size / most:.1e} of their largest norm after {taken} steps, and not less than the "
                f"tolerance of {simulation.tolerance:g}. Ask for more steps (longest), or for single frequencies "
                "(port_response), which high resonances do not slow down."
            )
