r"""A slab in a magnetic field along its faces
============================================

InSb, 10 µm thick, in silicon, in a magnetic field along :math:`z`; waves with :math:`E` in the plane of incidence (the
Voigt geometry). (a) Reflected and transmitted power at normal incidence; (b) at a fixed wavenumber along the faces,
:math:`\pm k_y`; (c) the phase of the reflection there. Lines: closed form. Points: one pulse each through the field
solver, in a strip two cells high that repeats along :math:`y`.

A medium lets such waves through where
:math:`\varepsilon_v = (\varepsilon_{xx}^2 + \varepsilon_{xy}^2)/\varepsilon_{xx} > 0`: here from 1.77 THz to the upper
hybrid resonance at 2.06 THz (dotted), and again from 2.27 THz on; elsewhere a thin slab passes what tunnels.
Transmission is the same for :math:`k_y` and :math:`-k_y`. Reflection is not: its phase differs by up to a whole turn,
and with the collisions of the carriers its power does a little.
"""

from typing import NamedTuple

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import fdtd, plot
from diffnr.fdtd import closed_forms

jax.config.update("jax_enable_x64", True)

UM = 1e-6
THZ = 2e12 * np.pi  # rad/s
LIGHT = 299792458.0
SILICON = fdtd.Dielectric(11.68)
OMEGA_P = 2 * THZ
INSB = fdtd.GyrotropicDrude(15.6, OMEGA_P, 5e-3 * OMEGA_P, 0.25 * OMEGA_P)
# Silicon with carriers too thin to matter, for the same program.
EMPTY = fdtd.GyrotropicDrude(11.68, 1.0, 0.0, 0.0)
THICKNESS = 10 * UM
KY = np.sqrt(11.68) * 1.0 * THZ / LIGHT  # silicon's wavenumber at 1 THz: 30° at 2 THz
BAND = (1.5, 3.1)  # THz


class Spectra(NamedTuple):
    """S [k_y, frequency, out, in] in closed form for k_y = 0, KY, −KY; and (S00, S10) of the field solver."""

    lines_at: np.ndarray
    lines: np.ndarray
    points_at: np.ndarray
    points: np.ndarray


def heard(slab: fdtd.AbstractMedium, ky: float, cell: float, time: float, omega: np.ndarray) -> np.ndarray:
    """Spectra of Hz 10 µm before the slab, behind its first face, and behind its last one, [place, frequency]."""
    half = round(240 * UM / cell)
    grid = fdtd.Grid(cell * np.arange(-half, half + 1), cell * np.arange(3))
    absorber, repeated = fdtd.Sponge(200 * UM, 6.5 * LIGHT / (200 * UM)), fdtd.Bloch(ky)
    boundaries = fdtd.Boundaries(absorber, absorber, repeated, repeated)
    scene = fdtd.Scene.of(grid, SILICON, [(fdtd.Rectangle([0, THICKNESS], [-1, 1]), slab)], boundaries)
    # Centres of cells, so that the first two places mirror each other at the face.
    at = lambda x: fdtd.Functional.across(grid, x, np.ones(2))  # noqa: E731
    near = 10 * UM + cell / 2
    update = fdtd.Update.of(scene)
    recorded = fdtd.propagate(
        update,
        round(time / float(update.step)),
        sources=[(at(-30 * UM - cell / 2), fdtd.Pulse(2.3 * THZ, 0.45e-12))],
        probes=[at(-near), at(near), at(THICKNESS + near)],
        progress=False,
    )
    return np.asarray(recorded.spectrum(omega))


def solved(ky: float, cell: float, time: float, omega: np.ndarray) -> np.ndarray:
    """(S00, S10) at frequencies, by one run with the slab and one without it, [2, frequency]."""
    present, alone = heard(INSB, ky, cell, time, omega), heard(EMPTY, ky, cell, time, omega)
    return np.stack([present[0] - alone[0], present[2]]) / alone[1]


def exact(terahertz: np.ndarray, ky: float) -> np.ndarray:
    """S [frequency, out, in] in closed form."""
    return np.asarray(closed_forms.slab_scattering(SILICON, [(THICKNESS, INSB)], SILICON, terahertz * THZ, ky))


def compute(small: bool = False) -> Spectra:
    """Closed form and field solver at k_y = 0, KY and −KY."""
    wavenumbers = 0.0, KY, -KY
    fine, coarse = np.linspace(*BAND, 161 if small else 1601), np.linspace(*BAND, 33)
    lines = [exact(fine, ky) for ky in wavenumbers]
    # The resonance rings down as e^{−νt/2}, in 32 ps.
    cell, time = (1.0 * UM, 60e-12) if small else (0.4 * UM, 120e-12)
    points = [solved(ky, cell, time, coarse * THZ) for ky in wavenumbers]
    return Spectra(fine, np.stack(lines), coarse, np.stack(points))


def draw_power(ax: Axes, data: Spectra, at: int, out: int, colour: str, name: str) -> None:
    """A share of the power as line and points; `at` counts k_y = 0, KY, −KY."""
    ax.plot(data.lines_at, np.abs(data.lines[at, :, out, 0]) ** 2, color=colour, lw=1.1, label=name)
    ax.plot(data.points_at, np.abs(data.points[at, out]) ** 2, "o", color=colour, mew=0)


def draw_phase(ax: Axes, data: Spectra, at: int, colour: str, name: str) -> None:
    """The phase of S00 in units of π, where it jumps by 2π a gap."""
    line, points = (np.angle(s) / np.pi for s in (data.lines[at, :, 0, 0], data.points[at, 0]))
    ax.plot(data.lines_at, np.where(np.abs(np.diff(line, append=line[-1])) > 1, np.nan, line), color=colour, lw=1.1)
    ax.plot(data.points_at, points, "o", color=colour, mew=0, label=name)


def main(small: bool = False) -> Figure:
    """Draw power and phase; print how far the points are from the closed form."""
    data = compute(small)
    for ky, points in zip((0.0, KY, -KY), data.points, strict=True):
        off = np.sqrt(np.mean(np.abs(points - exact(data.points_at, ky)[:, :, 0].T) ** 2))
        print(f"k_y = {ky:.4g} rad/m: points off by {off:.2g} of the incident wave (root mean square)")
    hybrid = np.hypot(OMEGA_P, float(INSB.omega_c)) / THZ
    with plot.style():
        figure, axes = plt.subplot_mosaic([["a", "b"], ["c", "c"]], figsize=(7.2, 5.2))
        draw_power(axes["a"], data, 0, 0, plot.COLOURS[4], "$|r|^2$")
        draw_power(axes["a"], data, 0, 1, plot.COLOURS[2], "$|t|^2$")
        draw_power(axes["b"], data, 1, 1, plot.COLOURS[2], r"$|t|^2$, $\pm k_y$")
        for at, colour, ky in ((1, plot.FORWARD, "+k_y"), (2, plot.BACKWARD, "-k_y")):
            draw_power(axes["b"], data, at, 0, colour, f"$|r|^2$, ${ky}$")
            draw_phase(axes["c"], data, at, colour, f"${ky}$")
        for ax in axes.values():
            ax.axvline(hybrid, color=plot.GREY, ls=":", lw=0.9)
            ax.set(xlim=BAND, xticks=np.arange(1.6, 3.1, 0.2), xlabel="frequency (THz)")
        axes["a"].set(ylim=(0, 1.02), ylabel="share of the power", title="(a) normal incidence")
        axes["b"].set(ylim=(0, 1.02), title="(b) oblique incidence, $k_y$ of 30° at 2 THz")
        axes["c"].set(ylim=(-1.05, 1.05), ylabel=r"phase of $r$ ($\pi$ rad)", title="(c) the phase of the reflection")
        for ax in axes.values():
            ax.legend(loc="center right")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
