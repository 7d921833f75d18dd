"""Ports of guides: one wave in and one out, at a vertical line of the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Int

from diffnr.checks import Count, Numbers, as_count, as_scalar, described, is_concrete, require, require_known
from diffnr.fdtd.guides.column import Cut
from diffnr.fdtd.guides.cross_section import CrossSection, require_uniform
from diffnr.fdtd.guides.guide import GuideModes, Waves, guide_waves, unresolved
from diffnr.fdtd.scene.grid import nearest
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.time_domain.functional import Functional
from diffnr.fdtd.time_domain.leapfrog import Update
from diffnr.fdtd.time_domain.march import Source
from diffnr.fdtd.time_domain.waveforms import HermitePulses, Pulse, Tone

BEHIND = 4  # cells from a port to its source
SIGNS = {"+x": 1, "-x": -1}


class Port(eqx.Module):
    """A guide's wave at a vertical line, launched in one direction; what comes back goes out in the other one.

        E = Σ_m a_m E_m⁺ + b_m E_m⁻,        |a|² and |b|² in W per metre along z

    Waves are told apart by the overlap with those of the guide in the opposite bias, on the lattice itself
    (`column.py`), so that one wave's amplitude holds nothing of another's, with loss or without.

    **Arguments:** `x`: in m; the nearest vertical line of the grid is the reference plane; `direction`: "+x" or "-x",
    of the incoming wave, which points into the device; `mode`: which of the guide's waves, counted from 0 by falling
    |k|, in both directions. For several waves at a line stand several ports there.

        port = fdtd.Port(110e-6, "+x")

    **Raises:** `ValueError` for a place that is no number, another direction, a negative mode.

    Source: paper 3 (nonreciprocal cavities, supplement), equation S22.
    """

    x: float = eqx.field(static=True)
    direction: str = eqx.field(static=True)
    mode: int = eqx.field(static=True)

    def __init__(self, x: Numbers, direction: Any, mode: Count = 0):
        require_known(x, "x")
        as_scalar(x, "x")
        known = isinstance(direction, str) and direction in SIGNS
        require(known, "direction", "be '+x' or '-x', along the guide", described(direction))
        self.x, self.direction = float(np.asarray(x)), direction
        self.mode = as_count(mode, "mode", least=0)

    @property
    def sign(self) -> int:
        """Of the direction in which the incoming wave goes."""
        return SIGNS[self.direction]


class Ports(eqx.Module):
    """The ports of a scene on its grid's lines.

    **Raises:** `ValueError` for a port off the grid, near its ends, in an absorber or in metal, or where the guide or
    the cells' width change from the port to four cells behind.
    """

    each: tuple[Port, ...]
    lines: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, scene: Scene, ports: Sequence[Port]) -> Ports:
        """On the lines nearest to where they stand."""
        lines = []
        for number, port in enumerate(ports):
            name = f"ports[{number}].x"
            line = nearest(scene.grid.x, port.x, name)
            span = sorted((line, line - port.sign * BEHIND))
            require_uniform(scene, span[0] - 2, span[1] + 3, name)
            metal = is_concrete(scene.metal) and bool(np.all(np.asarray(scene.metal)[line]))
            require(not metal, name, "lie where not everything across is metal", f"{port.x * 1e6:.6g} µm")
            lines.append(line)
        return cls(tuple(ports), tuple(lines))

    def waves(self, scene: Scene, step: Array, omega: Array) -> list[tuple[Wave, Wave]]:
        """Of each port the incoming and the outgoing wave."""
        distinct = sorted(set(self.lines))
        sections = [CrossSection.at_line(scene, line) for line in distinct]
        # Together, since independent batched calls of LAPACK can stop each other for good.
        stacked = jax.tree_util.tree_map(lambda *leaves: jnp.stack(leaves), *sections)
        modes = jax.vmap(lambda section: guide_waves(section, omega, self.count, step))(stacked)
        return [_waves(modes, distinct.index(line), port) for line, port in zip(self.lines, self.each, strict=True)]

    @property
    def count(self) -> int:
        """How many waves of each guide are asked for."""
        return 1 + max(port.mode for port in self.each)

    def explained(self, scene: Scene, step: Array, omega: Array) -> str:
        """At which ports are waves that the cells do not resolve, in a sentence; "" where there are none."""
        said: dict[str, list[str]] = {}
        for line in sorted(set(self.lines)):
            modes = guide_waves(CrossSection.at_line(scene, line), omega, self.count, step)
            lost = unresolved(modes, omega, scene)
            here = [f"{n} ({port.direction} at {port.x * 1e6:.6g} µm)" for n, port in enumerate(self.each)]
            said.setdefault(lost, []).extend(n for n, at in zip(here, self.lines, strict=True) if at == line)
        said.pop("", None)
        at = lambda names: f"{'s' if len(names) > 1 else ''} {', '.join(names)}"  # noqa: E731
        return " ".join(f"The guide at port{at(names)} has {lost}" for lost, names in said.items())

    def amplitudes(
        self, waves: list[tuple[Wave, Wave]], edges_at: Callable[[int], tuple[Array, Array]]
    ) -> tuple[Complex[Array, " port"], Complex[Array, " port"]]:
        """(a, b) of all ports; `edges_at`: of a line, Ex of the column before it and Ey [2, ny] of it and its own."""
        pairs = list(zip(waves, map(edges_at, self.lines), strict=True))
        incoming, outgoing = (jnp.stack([pair[which].amplitude(*edges) for pair, edges in pairs]) for which in (0, 1))
        return incoming, outgoing

    def source_line(self, number: int) -> int:
        """Where a port's wave begins."""
        return self.lines[number] - self.each[number].sign * BEHIND


class Wave(eqx.Module):
    """One wave at a port, of zeros where there is none; `unresolved`: how many waves of its direction the cells do not
    resolve."""

    valid: Bool[Array, "*batch"]
    unresolved: Int[Array, "*batch"]
    launch: Cut
    read: Cut

    def edges(self, line: int, like: tuple[Array, Array]) -> tuple[Array, Array]:
        """What a step adds to E, over the whole grid, to make the wave begin at a line."""
        ex, ey = like
        cut = self.launch
        return ex.at[line - 1].add(cut.ex), ey.at[line - 1].add(cut.before).at[line].add(cut.at)

    def amplitude(self, ex: Array, ey: Array) -> Complex[Array, ""]:
        """a in √(W/m), from Ex of the column before a line, and Ey [2, ny] of the line before it and its own."""
        return jnp.sum(self.read.ex * ex) + jnp.sum(self.read.before * ey[0]) + jnp.sum(self.read.at * ey[1])


def wave_sources(cut: Cut, line: int, update: Update, waveform: Pulse | Tone) -> list[Source]:
    """Sources of a cut at a line, with a waveform in phase and in quadrature."""
    ahead = eqx.tree_at(lambda w: w.phase, waveform, waveform.phase + jnp.pi / 2)
    # Sources of E are driven half a step before it is there.
    early = jnp.exp(-0.5j * waveform.omega * update.step)
    found: list[Source] = []
    for component, weights in _weights(cut, line, update):
        # Re(w e^{iφ}) = Re w cos φ + Im w cos(φ + π/2)
        for numbers, beat in (((early * weights).real, waveform), ((early * weights).imag, ahead)):
            found.append((Functional(component, (line - 1, 0), numbers), beat))
    return found


def pulse_sources(cuts: Sequence[Cut], line: int, update: Update, pulse: Pulse) -> list[Source]:
    """Sources Σ_n (ω − ω0)^n c_n of cuts c_n at a line, in time."""
    factors = ((1j / pulse.width) ** jnp.arange(len(cuts)))[:, None, None]
    parts = zip(*(_weights(cut, line, update) for cut in cuts), strict=True)
    found: list[Source] = []
    for terms in parts:
        weights = factors * jnp.stack([weights for _, weights in terms])
        both = jnp.concatenate([weights.real, weights.imag])
        found.append((Functional(terms[0][0], (line - 1, 0), both), HermitePulses(pulse, len(cuts))))
    return found


def _weights(cut: Cut, line: int, update: Update) -> list[tuple[str, Array]]:
    """Of Ex and Ey, complex weights of functionals that add a cut in a step."""
    found = []
    for component, part in (("ex", cut.ex[None]), ("ey", jnp.stack([cut.before, cut.at]))):
        gain = update.light_step * Functional(component, (line - 1, 0), jnp.ones(part.shape)).gain(update)
        found.append((component, jnp.where(gain > 0, part / jnp.where(gain > 0, gain, 1.0), 0.0)))
    return found


def _waves(modes: GuideModes, place: int, port: Port) -> tuple[Wave, Wave]:
    sets = (modes.forward, modes.backward)[:: port.sign]

    def one(waves: Waves) -> Wave:
        valid = waves.valid[place, port.mode]
        cut = lambda parts: Cut(*(jnp.where(valid, part[place, port.mode], 0.0) for part in parts))  # noqa: E731
        return Wave(valid, waves.unresolved[place], cut(waves.launch), cut(waves.read))

    return one(sets[0]), one(sets[1])
