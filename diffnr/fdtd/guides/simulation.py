"""A scene with ports, as a port model: at one frequency by a direct solve, over a band by one pulse a port."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
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
from diffnr.compilation import compiled
from diffnr.fdtd.frequency_domain.frequency import solve
from diffnr.fdtd.guides.port import Port, Ports, pulse_sources, wave_sources
from diffnr.fdtd.guides.pulsed import launched, pulse_for, pulse_response, rung_down, waves_at_all
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.time_domain.leapfrog import Fields, Update, require_resolved, resolves, step_of
from diffnr.fdtd.time_domain.march import Source
from diffnr.fdtd.time_domain.propagate import Recording
from diffnr.fdtd.time_domain.waveforms import Pulse, Tone
from diffnr.ports import AbstractPortModel, Drive
from diffnr.results import RESULTS, raise_failures


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

    **Raises:** `ValueError` for a scene that repeats along x, ports that cannot stand where they do, two equal ports,
    none; a step that is not below the longest, steps that are no whole numbers, a tolerance that does not lie between 0
    and 1.

    Where a guide has no wave in a direction (one-way bands), nothing can be sent into a port or leave by it: the column
    or row of `scattering` is 0, and `port_response` says so when that port is driven. A wave that the cells do not
    resolve is another thing (`guide_modes`): with one in a port's guide, in either direction, S is not known: the
    result is `RESULTS.unresolved`, and an error, or a warning, names the port, the wave and its cells a wavelength.
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
        must = "not repeat along x, where the guides of its ports end"
        require(scene.boundaries.bloch[0] is None, "scene", must, "one with Bloch at left and right")
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
        column = jnp.where(sends & ~found.unresolved, found.s[:, port] * drive.amplitude, jnp.nan)
        solved = RESULTS.where(jnp.all(jnp.isfinite(found.s[:, port])), RESULTS.successful, RESULTS.nonfinite)
        result = RESULTS.where(sends, solved, RESULTS.no_wave)
        result = RESULTS.where(found.unresolved, RESULTS.unresolved, result)
        carried = resolves(self.update, drive.omega)
        column = jnp.where(carried, column, jnp.nan)
        return column[:, None], None, RESULTS.where(carried, result, RESULTS.too_coarse)

    def require_drive(self, drive: Drive) -> None:
        """Raise for a frequency that is not positive, or that the step or the cells do not carry."""
        self._resolved(drive.omega, "drive, its omega,")

    def explain(self, drive: Drive, result: Any) -> str:
        """Which waves at which ports are not resolved."""
        if not np.any(result == RESULTS.unresolved):
            return ""
        return self.ports.explained(self.scene, self.update.step, drive.omega)

    def fields(self, omega: Numbers, incoming: Numbers) -> Fields:
        """The fields at one frequency, as phasors: F(t) = Re F e^{iωt}, each component at its own place.

        **Arguments:** `omega`: [], rad/s; `incoming`: [port], the amplitudes of incoming waves in √(W/m).

        **Raises:** `ValueError` for a frequency that is not positive or that the cells do not resolve, another number
        of amplitudes; `RuntimeError` where a wave is to come in that the guide does not carry, or fields are not finite
        (under a transformation they are NaN). Waves of ports' guides that the cells do not resolve are warned of.
        """
        omega, incoming = self._resolved(omega), as_complex(incoming, "incoming")
        must = f"have one amplitude for each of {self.num_ports} ports"
        require(incoming.shape == (self.num_ports,), "incoming", must, f"of shape {incoming.shape}")
        require_finite("incoming", incoming)
        fields, result, lost = fields_of(self, omega, incoming)
        if is_concrete(lost) and lost:
            warnings.warn(self.ports.explained(self.scene, self.update.step, omega), RuntimeWarning, stacklevel=3)
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
        wave, _ = waves_at_all(self.ports, self.scene, update.step, waveform.omega[None])[port]
        found = jax.tree_util.tree_map(lambda leaf: leaf[0], wave)
        if is_concrete(found.valid):
            chosen = self.ports.each[port]
            must = f"have a frequency at which its port has a wave to {chosen.direction} of number {chosen.mode}"
            was = "it has none" if not found.unresolved else "the cells do not resolve it"
            require(bool(found.valid), "waveform", must, f"at {float(waveform.omega):.6g} rad/s, where {was}")
        return wave_sources(found.launch, self.ports.source_line(port), update, waveform)

    def scatter(
        self, omegas: Float[Array, " frequency"], throw: bool = True, allow_unstable: bool = False
    ) -> Complex[Array, "frequency out in"]:
        """S over a band, by one pulse a port."""
        require(not is_concrete(omegas) or bool(jnp.all(omegas > 0)), "omegas", "be positive", omegas)
        require_resolved(self.update, omegas, "omegas")
        update, pulse = self.update, pulse_for(omegas)
        known = self.steps is not None or is_concrete(omegas, update)
        require(known, "steps", "be given where scattering is jitted or differentiated", None)
        if self.steps is not None and is_concrete(pulse, update.step):
            least = int(2 * float(pulse.centre) / float(update.step)) + 1
            require(self.steps >= least, "steps", f"be at least {least}, which its pulse alone takes", self.steps)
        at_all = waves_at_all(self.ports, self.scene, update.step, omegas)
        lost = jnp.any(jnp.stack([wave.unresolved > 0 for pair in at_all for wave in pair]), axis=0)
        if is_concrete(lost) and np.any(lost):
            which = self.ports.explained(self.scene, update.step, omegas[np.flatnonzero(lost)[0]])
            said = f"S is not known at {np.sum(lost)} of {lost.size} frequencies. {which}"
            if throw:
                raise RuntimeError(said)
            warnings.warn(said, RuntimeWarning, stacklevel=4)

        def run_out(run: Callable[..., Recording]) -> Sequence[Array]:
            if self.steps is not None:
                return run(self.steps).transforms
            length = int(float(pulse.centre) / float(update.step)) + 1
            return rung_down(run, length, self.tolerance, self.longest, throw)

        seen = []
        cuts_of_ports = launched(self.ports, self.scene, update.step, pulse, jnp.max(omegas) - jnp.min(omegas))
        for number, cuts in enumerate(cuts_of_ports):
            sources = pulse_sources(cuts, self.ports.source_line(number), update, pulse)
            edges = pulse_response(self.ports, update, sources, omegas, run_out)
            seen.append(jax.vmap(lambda waves, edges: self.ports.amplitudes(waves, edges.__getitem__))(at_all, edges))
        incoming, outgoing = (jnp.stack(parts, axis=-1) for parts in zip(*seen, strict=True))
        sends = jnp.stack([wave.valid for wave, _ in at_all], axis=-1)
        s = jnp.where(lost[:, None, None], jnp.nan, jax.vmap(_quotient)(incoming, outgoing, sends))
        if not is_concrete(lost):
            carried = jax.vmap(lambda omega: resolves(update, omega))(omegas)
            result = RESULTS.where(lost, RESULTS.unresolved, RESULTS.successful)
            result = RESULTS.where(carried, result, RESULTS.too_coarse)
            s = jnp.where(carried[:, None, None], s, jnp.nan)
            return raise_failures(s, result) if throw else s
        return s

    def _resolved(self, omega: Any, name: str = "omega") -> Float[Array, ""]:
        """`omega` as a frequency that the step and the cells carry."""
        value = as_frequency(omega, name)
        require_resolved(self.update, value, name)
        return value


class _Solved(NamedTuple):
    """At one frequency: the fields of each port's source [port, ...], A, S, which ports send a wave, and whether there
    are waves at some port that the cells do not resolve."""

    fields: Fields
    incoming: Complex[Array, "port drive"]
    s: Complex[Array, "out in"]
    sends: Bool[Array, " port"]
    unresolved: Bool[Array, ""]


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
    lost = jnp.any(jnp.stack([wave.unresolved > 0 for pair in waves for wave in pair]))
    return _Solved(fields, _whole(incoming, sends), _quotient(incoming, outgoing, sends), sends, lost)


@compiled
def _amplitudes(simulation: Simulation, omega: Array, ex: Array, ey: Array) -> tuple[Array, Array]:
    ports = simulation.ports
    waves = ports.waves(simulation.scene, simulation.update.step, omega)
    return ports.amplitudes(waves, lambda line: (ex[line - 1], ey[line - 1 : line + 1]))


@compiled
def fields_of(simulation: Simulation, omega: Array, incoming: Array) -> tuple[Fields, Any, Array]:
    """The fields of incoming waves, how the solve ended, and whether there are waves that the cells do not resolve."""
    found = _solved(simulation, omega)
    drives = jnp.linalg.solve(found.incoming, incoming)
    fields = jax.tree_util.tree_map(lambda field: jnp.tensordot(drives, field, 1), found.fields)
    missing = jnp.any(~found.sends & (incoming != 0))
    fields = jax.tree_util.tree_map(lambda field: jnp.where(missing, jnp.nan, field), fields)
    finite = jnp.all(jnp.isfinite(fields.ex)) & jnp.all(jnp.isfinite(fields.ey))
    solved = RESULTS.where(finite, RESULTS.successful, RESULTS.nonfinite)
    return fields, RESULTS.where(missing, RESULTS.no_wave, solved), found.unresolved


def _whole(incoming: Array, sends: Array) -> Array:
    """A with 1 on the diagonal where a port sends nothing."""
    return jnp.where(sends[:, None], incoming, jnp.eye(sends.size, dtype=incoming.dtype))


def _quotient(incoming: Array, outgoing: Array, sends: Array) -> Array:
    return jnp.linalg.solve(_whole(incoming, sends).T, outgoing.T).T
