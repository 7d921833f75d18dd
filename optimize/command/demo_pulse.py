"""The pulse of `diffnr demo`: sent from the middle of a one-way guide, for both signs of the bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr import fdtd, hertz, plot
from diffnr.fdtd.closed_forms import guide_wavenumber

UM, PS = 1e-6, 1e-12
INSB, TOP = 18 * UM, 30 * UM
OMEGA_P = 4e12 * np.pi
TONES = (1.4, 1.5, 1.6)  # THz, in the one-way band
PULSE = fdtd.Pulse(hertz(1.5e12), 3 * PS)  # its spectrum has fallen to 2·10⁻⁴ at the band's lower edge
MOMENTS = (0.0, 4.0, 8.0)  # ps after the source's maximum


class Flight(NamedTuple):
    """The guide, Hz at the moments [x, y], and Hz(ω) along the interface, at the cells' centres x in m."""

    scene: fdtd.Scene
    hz: list[Float[Array, "x y"]]
    along: Complex[Array, "tone x"]

    @property
    def x(self) -> Float[Array, " x"]:
        return self.scene.grid.centres[0]

    def cell(self, distance: float) -> int:
        """The cell nearest to x = distance, m."""
        return int(jnp.argmin(jnp.abs(self.x - distance)))

    def at(self, distance: float) -> Complex[Array, " tone"]:
        """Hz(ω) there."""
        return self.along[:, self.cell(distance)]

    def wavenumber(self, distance: float) -> Float[Array, " tone"]:
        """By how much the phase falls from there to the next cell, rad/m."""
        i = self.cell(distance)
        return -jnp.angle(self.along[:, i + 1] / self.along[:, i]) / (self.x[i + 1] - self.x[i])

    def decay(self, near: float, far: float) -> Float[Array, " tone"]:
        """By how much log |Hz(ω)| falls from one place to another, 1/m."""
        i, j = self.cell(near), self.cell(far)
        return jnp.log(jnp.abs(self.along[:, i] / self.along[:, j])) / jnp.abs(self.x[j] - self.x[i])


def fly(bias: float, small: bool) -> Flight:
    """Send the pulse off in a bias of ω_c = bias ω_p."""
    half, cell, until = (160 * UM, UM, 40 * PS) if small else (240 * UM, 0.5 * UM, 50 * PS)
    lines = cell * jnp.arange(-round(half / cell), round(half / cell) + 1)  # symmetric to the last digit
    grid = fdtd.Grid(lines, fdtd.Grid.refined([0.0, half], [0.0, INSB, TOP], cell, fine_y={INSB: cell / 2}).y)
    layers, sponge = _layers(bias), fdtd.Sponge(half / 2)
    slab = fdtd.Rectangle([-jnp.inf, jnp.inf], [0.0, INSB])
    scene = fdtd.Scene.of(grid, layers[1][1], [(slab, layers[0][1])], fdtd.Boundaries(left=sponge, right=sponge))
    update, row = fdtd.Update.of(scene), int(jnp.searchsorted(grid.y, INSB))
    tones = fdtd.FieldTransform("hz", hertz(1e12 * jnp.array(TONES)), columns=(row, row + 1), stride=4)
    done, fields, along, hz = 0, update.zero_fields(), jnp.zeros(()), []
    for t in (*(PULSE.centre + PS * jnp.array(MOMENTS)), until):
        stop = int(t / update.step)
        part = fdtd.propagate(
            update, stop - done, sources=[(_source(grid), PULSE)], transforms=[tones], fields=fields, begin=done
        )
        done, fields, along = stop, part.fields, along + part.transforms[0][:, :, 0]
        hz.append(fields.hz)
    return Flight(scene, hz[:-1], along)


def closed_form(guess: complex | float) -> complex:
    """The wavenumber in rad/m at 1.5 THz, for the field into the page."""
    return complex(guide_wavenumber(_layers(-0.25), hertz(1.5e12), guess))


def draw(flights: Sequence[Flight]) -> Any:
    """The guide, and the pulse on its way into the page and out of it."""
    import matplotlib.pyplot as plt

    limit = max(float(jnp.max(jnp.abs(hz))) for hz in flights[0].hz)
    with plot.style():
        figure, axes = plt.subplots(1 + 2 * len(MOMENTS), 1, figsize=(7.2, 5.2), sharex=True)
        plot.scene(flights[0].scene, sources=[_source(flights[0].scene.grid)], ax=axes[0])
        strips = iter(axes[1:])
        for flight, name in zip(flights, ("into", "out of"), strict=True):
            for moment, hz, ax in zip(MOMENTS, flight.hz, strips, strict=False):
                plot.field(flight.scene.grid, hz, scene=flight.scene, limit=limit, ax=ax)
                ax.set_title(f"$H_z$, B {name} the page, {moment:.0f} ps", pad=2)
        for ax in axes:
            ax.set(ylabel="µm", yticks=[0, 30])
            if ax is not axes[-1]:
                ax.set_xlabel("")
    return figure


def _layers(bias: float) -> tuple[tuple[float, fdtd.AbstractMedium], ...]:
    """InSb without collisions, and silicon."""
    insb = fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, bias * OMEGA_P)
    return (INSB, insb), (TOP - INSB, fdtd.Dielectric(11.68))


def _source(grid: fdtd.Grid) -> fdtd.Functional:
    """Hz about the interface in the middle, too smooth for the lattice's own waves."""
    x, y = grid.centres
    return fdtd.Functional("hz", (0, 0), jnp.exp(-((x[:, None] / UM) ** 2 + ((y - INSB) / UM) ** 2) / 32) / UM**2)
