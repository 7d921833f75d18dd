r"""A pulse that goes one way
=========================

A guide of InSb (0–18 µm) and silicon (18–30 µm) between metal walls, in a magnetic field of .25 T across the page: the
one of paper 3, supplement, without collisions. From 1.283 to 1.783 THz its only mode goes to the right when the field
points into the page, and to the left when it points out of it. The source in the middle, which knows no direction,
plays the paper's pulse: 1.5 THz, .16 THz wide, taken as the full width at half maximum of the amplitude's spectrum
(the paper does not say of what). Of the energy of such a pulse 3·10⁻⁶ lie below the band, where there is a mode
backwards as well.

Backwards the field only leaks: it decays as the guide's least evanescent mode does, whose complex wavenumber the
closed form gives (dotted), by 9.65 µm a factor of e at 1.5 THz. Below that is the end of the run: slow waves of the
band's lower edge still ring when it stops after 60 ps. (Of 120 ps, tapered off by a window, 126 to 145 dB are left
between ahead and behind at 1.4 to 1.6 THz, 150 µm from the source.) Turning the field mirrors everything, to round-off.

.. image:: /images/one_way_pulse.gif
   :alt: The pulse on its way, with the field into the page and out of it

The film is drawn by ``python -c "from examples.one_way_pulse import film; film('docs/images/one_way_pulse.gif')"``.
"""

import os
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import fdtd, hertz, plot
from diffnr.fdtd.closed_forms import guide_wavenumber

jax.config.update("jax_enable_x64", True)

UM, PS = 1e-6, 1e-12
INSB, TOP = 18 * UM, 30 * UM
OMEGA_P, SILICON = 4e12 * jnp.pi, fdtd.Dielectric(11.68)
BIAS = -0.25 * OMEGA_P  # ω_c: the field into the page, and +x the way to go
BAND = (1.282935, 1.782935)  # THz, from ω(ω ± ω_c) = ω_p²/(1 + ε_Si/ε∞)
WIDTH = 2 * (2 * jnp.log(2)) ** 0.5 / hertz(0.16e12)  # τ of a spectrum with that full width at half its height
PULSE = fdtd.Pulse(hertz(1.5e12), WIDTH)
TONES = (1.4, 1.5, 1.6)  # THz
MOMENTS = (-4.0, 0.0, 4.0, 8.0)  # ps after the source's maximum
NAMES = (r"$B$ into the page ($\omega_c < 0$)", r"$B$ out of the page ($\omega_c > 0$)")


class Flight(NamedTuple):
    """What one run gives: Hz [moment, x, y] in V/m over the vacuum's impedance, spectra [probe, frequency] at probes
    left and right, and Hz(ω) along the interface [tone, x]."""

    hz: Array
    spectra: Array
    along: Array


def insb(bias: Array | float) -> fdtd.GyrotropicDrude:
    """InSb without collisions, with a cyclotron frequency ω_c."""
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, bias)


def guide(bias: Array | float, small: bool = False) -> fdtd.Scene:
    """The guide, symmetric about x = 0, open at both ends by sponges in its last third."""
    half, cell = (180 * UM, 2 * UM) if small else (300 * UM, 0.5 * UM)
    grid = fdtd.Grid.refined([-half, half], [0.0, INSB, TOP], cell, fine_y={INSB: cell / 2})
    sponge = fdtd.Sponge(half / 3)
    slab = fdtd.Rectangle([-jnp.inf, jnp.inf], [0.0, INSB])
    return fdtd.Scene.of(grid, SILICON, [(slab, insb(bias))], fdtd.Boundaries(left=sponge, right=sponge))


def source(grid: fdtd.Grid) -> fdtd.Functional:
    """Hz about the interface in the middle: wide enough to leave the lattice's own waves, of a few cells, alone."""
    x, y = grid.centres
    return fdtd.Functional("hz", (0, 0), jnp.exp(-((x[:, None] / UM) ** 2 + (y - INSB) ** 2 / UM**2) / 32) / UM**2)


def probes(grid: fdtd.Grid) -> list[fdtd.Functional]:
    """Hz in silicon beside the interface, left and right of the source by half of the way to the ends."""
    x, quarter = grid.centres[0], grid.shape[0] // 4
    return [fdtd.Functional.at(grid, x[i], INSB + UM) for i in (quarter, -1 - quarter)]


def launch(scene: fdtd.Scene, moments: Array, omega: Array, until: float) -> Flight:
    """Send the pulse off: Hz at moments in s after the source's maximum, spectra over a time, in s, from its begin."""
    update, row = fdtd.Update.of(scene), int(jnp.searchsorted(scene.grid.y, INSB))
    tones = fdtd.FieldTransform("hz", hertz(1e12 * jnp.array(TONES)), columns=(row, row + 1), stride=8)
    run = partial(
        fdtd.propagate, update, probes=probes(scene.grid), transforms=[tones],
        sources=[(source(scene.grid), PULSE)],
    )  # fmt: skip
    done, fields, parts, hz = 0, update.zero_fields(), [], []
    for k, t in enumerate((*(PULSE.centre + moments), until)):
        stop = int(t / update.step)
        if stop > done:
            parts.append(run(stop - done, fields=fields, begin=done))
            done, fields = stop, parts[-1].fields
        if k < len(moments):
            hz.append(fields.hz)
    traces, ts = (jnp.concatenate(each, axis=1) for each in zip(*((p.traces, p.ts) for p in parts), strict=True))
    along = sum(part.transforms[0][:, :, 0] for part in parts)
    return Flight(jnp.stack(hz), fdtd.Recording(traces, ts, (), fields).spectrum(omega), jnp.asarray(along))


def evanescent(omega: Array) -> Array:
    """The wavenumber of the mode that leaks farthest to the left in the one-way band: e^{−ikx} with Im k > 0."""
    return guide_wavenumber([(INSB, insb(BIAS)), (TOP - INSB, SILICON)], omega, -6.3e4 + 1.04e5j)


def decibel(ratio: Array) -> Array:
    """20 log10 |ratio|."""
    return 20 * jnp.log10(jnp.abs(ratio))


def compute(small: bool = False) -> tuple[Array, tuple[Flight, Flight]]:
    """Frequencies in THz of the spectra, and the flights with the field into the page and out of it."""
    f = jnp.linspace(1.1, 1.9, 21 if small else 161)
    moments, until = PS * jnp.array(MOMENTS), (24 if small else 60) * PS
    into, out = (launch(guide(bias, small), moments, hertz(1e12 * f), until) for bias in (BIAS, -BIAS))
    return f, (into, out)


def draw_spectra(f: Array, flight: Flight, distance: float, ax: Axes) -> None:
    """Spectra ahead of the source and behind it."""
    top = jnp.max(jnp.abs(flight.spectra[1]))
    ax.axvspan(*BAND, color="#ECECEC", lw=0, label="one-way band")
    ax.plot(f, decibel(flight.spectra[1] / top), color=plot.FORWARD, label=f"{distance:.0f} µm ahead")
    ax.plot(f, decibel(flight.spectra[0] / top), color=plot.BACKWARD, label=f"{distance:.0f} µm behind")
    ax.set(xlabel="Frequency (THz)", ylabel=r"$|H_z(\omega)|$ (dB)", xlim=(f[0], f[-1]), ylim=(-125, 5))


def draw_leak(grid: fdtd.Grid, flight: Flight, ax: Axes) -> None:
    """Backward over forward amplitude at equal distances, with the slopes of the closed form."""
    middle, reach = grid.shape[0] // 2, int(grid.shape[0] / 3)  # as far as the sponges
    distance = grid.centres[0][middle:][:reach] / UM
    slopes = decibel(jnp.exp(-jax.vmap(evanescent)(hertz(1e12 * jnp.array(TONES))).imag * UM))
    start, far = int(jnp.searchsorted(distance, 45.0)), jnp.array([0.0, 115.0])
    for colour, tone, hz, slope in zip(plot.COLOURS[2:5], TONES, flight.along, slopes, strict=True):
        ahead, behind = hz[middle:][:reach], hz[::-1][middle:][:reach]
        leak = decibel(behind / ahead)
        ax.plot(distance, leak, color=colour, label=f"{tone} THz")
        ax.plot(far, leak[start] + slope * (far - distance[start]), ":", color=colour, lw=1.0)
    ax.set(xlabel="distance from the source (µm)", ylabel="behind / ahead (dB)", xlim=(0, distance[-1]))
    ax.set(ylim=(-125, 5))


def main(small: bool = False) -> Figure:
    """Draw the guide, the pulse on its way for both fields, its spectra ahead and behind, and what leaks backwards."""
    f, flights = compute(small)
    scenes = [guide(bias, small) for bias in (BIAS, -BIAS)]
    grid = scenes[0].grid
    limit = float(jnp.max(jnp.abs(flights[0].hz)))
    with plot.style():
        figure = plt.figure(figsize=(7.2, 7.6))
        (upper,), (lower,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(5.2, 2.4))
        strips = upper.subplots(9, 1, sharex=True, height_ratios=[1.0] * 9)
        plot.scene(scenes[0], sources=[source(grid)], probes=probes(grid), ax=strips[0])
        for flight, scene, name, axes in zip(flights, scenes, NAMES, (strips[1:5], strips[5:]), strict=True):
            axes[0].set_title(name)
            for hz, moment, ax in zip(flight.hz, MOMENTS, axes, strict=True):
                plot.field(grid, hz, scene=scene, limit=limit, ax=ax)
                ax.text(0.01, 0.7, f"{moment:.0f} ps".replace("-", "−"), transform=ax.transAxes, fontsize=7)
        for ax in strips:
            ax.set(ylabel="µm", yticks=[0, 30])
            if ax is not strips[-1]:
                ax.set_xlabel("")
        left, right = lower.subplots(1, 2)
        draw_spectra(f, flights[0], float(grid.x[-1] / 2 / UM), left)
        draw_leak(grid, flights[0], right)
        left.legend(loc="upper left", bbox_to_anchor=(0.0, 1.12), fontsize=7.5, ncols=3, columnspacing=0.8)
        right.legend(loc="upper right")
    return figure


def film(path: str | os.PathLike, small: bool = False) -> None:
    """Write the pulse on its way, for both fields, as a GIF."""
    from matplotlib.animation import FuncAnimation, PillowWriter

    moments = PS * jnp.linspace(-6.0, 14.0, 4 if small else 61)
    scenes = [guide(bias, small) for bias in (BIAS, -BIAS)]
    flights = [
        launch(scene, moments, hertz(jnp.array([1.5e12])), float(PULSE.centre + moments[-1])) for scene in scenes
    ]
    limit = float(max(jnp.max(jnp.abs(flight.hz)) for flight in flights))
    with plot.style():
        figure, axes = plt.subplots(2, 1, figsize=(6.4, 1.9), sharex=True)
        for scene, flight, name, ax in zip(scenes, flights, NAMES, axes, strict=True):
            plot.field(scene.grid, flight.hz[0], scene=scene, limit=limit, ax=ax)
            ax.set(title=name, ylabel="µm", yticks=[0, 30])
        axes[0].set_xlabel("")
        time = figure.text(0.99, 0.93, "", ha="right")

        def show(k: int) -> list:
            for flight, ax in zip(flights, axes, strict=True):
                ax.collections[0].set_array(flight.hz[k].T)
            time.set_text(f"{moments[k] / PS:.1f} ps".replace("-", "−"))
            return [time, *(ax.collections[0] for ax in axes)]

        show(0)
        FuncAnimation(figure, show, frames=len(moments)).save(os.fspath(path), PillowWriter(fps=12), dpi=100)
        plt.close(figure)


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
