r"""A guide that ends at a resistive wall
=====================================

The guide of paper 3, Figure 4, without its cavity: 18 µm of InSb under 12 µm of silicon, without collisions, closed by
a wall of some 2,090 S/m at :math:`x = 0`, at 1.24 THz. Of the guide's two waves one is fast, with 54 µm to a
wavelength, and one slow, with 24 µm; the bias says which of them goes to the wall. What comes back is the other one.
(a) The bias into the page, the fast wave in; (b) out of it, the slow wave in. Above :math:`H_z` at one time, below its
modulus along the upper wall.

Both reflect alike, :math:`R(B) = R(-B)^T`, with :math:`|R|` = .397. In (b) this is as much as the upper wall needs: the
slow wave has little of its field there, the fast one that comes back much, and where their phases oppose they cancel,
:math:`2\pi/(k^+ + |k^-|)` = 16.80 µm apart (dotted: the exact places for these two waves alone). A cavity that opens
there is not excited. In (a) the fast wave outshines the slow one, and nothing cancels; nor does it in (b) at the first
of these places, where the wall's evanescent waves, which reach 6 µm far, are there as well.

Cells of .2 µm find the zeros (rings) up to .3 µm from the lines, since their slow wave is .5 % too short, and
:math:`|R|` = .39. With cells of .25, .2 and .15 µm it is .3877, .3906 and .3931, which extrapolate to .397 at an order
of 1.7. The fine dots along the face in (b) are a wave of the lattice's own, 13 cells long, from the wall; the port
does not see it. The wall is that of a conductor with the vacuum's displacement current, as in the paper:
:math:`Z = \sqrt{i\omega\mu_0/(\sigma + i\omega\varepsilon_0)}`. Without that current, 3 % of the other one,
:math:`|R|` is .404.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import diffnr as nr
from diffnr import fdtd, plot

jax.config.update("jax_enable_x64", True)

UM, THZ = 1e-6, 2e12 * np.pi
OMEGA, OMEGA_P = 1.24 * THZ, 2 * THZ
INSB, TOP = 18 * UM, 30 * UM
PORT = -84 * UM
SHOWN = (-82.0, 2.0)  # µm
ZEROS = (-6.39, -23.19, -39.99, -56.80, -73.60)  # µm, where the two waves cancel exactly


class Case(NamedTuple):
    """One wave sent to the wall: R, and of 1 W/m Hz [x, y] in V/m, at the places x in µm also along the upper wall."""

    scene: fdtd.Scene
    r: complex
    hz: np.ndarray
    x: np.ndarray
    along: np.ndarray


def ended_guide(bias: float, sigma: float, cell: float) -> fdtd.Scene:
    """The guide, from an absorber at the left to the wall at x = 0, with ω_c in units of ω_p."""
    # Long for the slow wave, of which a steep absorber would turn a part into the lattice's own waves.
    sponge = 80 * UM
    grid = fdtd.Grid.refined([PORT - 6 * UM - sponge, 0.0, 2 * UM], [0.0, INSB, TOP], cell)
    insb = fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, bias * OMEGA_P)
    below, behind = fdtd.Rectangle([-jnp.inf, 0], [0, INSB]), fdtd.Rectangle([0, jnp.inf], [-jnp.inf, jnp.inf])
    objects = [(below, insb), (behind, fdtd.SurfaceImpedance.of_conductor(sigma, OMEGA))]
    return fdtd.Scene.of(grid, fdtd.Dielectric(11.68), objects, fdtd.Boundaries(left=fdtd.Sponge(sponge)))


def sent_in(bias: float, sigma: float, cell: float) -> Case:
    """Send in the guide's wave to +x: the fast one for the bias into the page (negative), else the slow one."""
    scene = ended_guide(bias, sigma, cell)
    simulation = fdtd.Simulation(scene, [fdtd.Port(PORT, "+x")])
    r = complex(nr.port_response(simulation, nr.Drive(OMEGA)).s[0, 0])
    hz = np.asarray(simulation.fields(OMEGA, [1.0]).hz)
    # At a perfect conductor Hz has no slope: to second order from the two rows beside it.
    return Case(scene, r, hz, np.asarray(scene.grid.centres[0]) / UM, (9 * hz[:, -1] - hz[:, -2]) / 8)


def compute(small: bool = False) -> tuple[Case, Case]:
    """The fast wave in, and the slow one; in small with cells of .5 µm."""
    cell = (0.5 if small else 0.2) * UM
    return sent_in(-0.25, 2093.0, cell), sent_in(0.25, 2089.7, cell)


def zeros(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Places in µm and values of |Hz| along the upper wall where it all but vanishes: the lowest points of parabolas
    through three of |Hz|²."""
    square = np.abs(case.along) ** 2
    inside = (case.x[1:-1] > SHOWN[0]) & (case.x[1:-1] < 0)
    i = 1 + np.flatnonzero(inside & (square[1:-1] < square[:-2]) & (square[1:-1] < square[2:]))
    left, here, right = square[i - 1], square[i], square[i + 1]
    shift = (left - right) / (left - 2 * here + right) / 2
    lowest = np.sqrt(np.maximum(here - (left - right) * shift / 4, 0.0))
    deep = lowest < 0.05 * np.sqrt(np.max(square[1:-1][inside]))
    return (case.x[i] + shift * (case.x[1] - case.x[0]))[deep], lowest[deep]


def draw_field(ax: Axes, case: Case) -> None:
    """Hz at one time, with the wall's volume in grey."""
    seen = (case.x > SHOWN[0]) & (case.x < 0)
    plot.field(
        case.scene.grid, case.hz, scene=case.scene, phase=-float(np.angle(np.sum(case.along[seen] ** 2)) / 2),
        limit=float(np.quantile(np.abs(case.hz[seen]), 0.995)), ax=ax,
    )  # fmt: skip
    ax.axvspan(0, SHOWN[1], color=plot.GREY, lw=0)
    for y, name in ((24, "Si"), (9, "InSb")):
        ax.text(SHOWN[0] + 2, y, name, va="center", size=7.5)
    ax.set(xlim=SHOWN, xlabel="", ylabel="$y$ (µm)", yticks=[0, 18, 30])


def draw_along(ax: Axes, case: Case, colour: str) -> None:
    """|Hz| along the upper wall, in kV/m, with its zeros."""
    seen = (case.x > SHOWN[0]) & (case.x < 0)
    ax.plot(case.x[seen], 1e-3 * np.abs(case.along[seen]), color=colour)
    places, values = zeros(case)
    look: dict = {"mfc": "white", "mec": colour, "mew": 0.9, "ms": 4, "clip_on": False, "in_layout": False}
    ax.plot(places, 1e-3 * values, "o", zorder=3, **look)
    ax.axvspan(0, SHOWN[1], color=plot.GREY, lw=0)
    ax.set(xlim=SHOWN, xlabel="$x$ (µm)")


def main(small: bool = False) -> Figure:
    """Draw both; print |R| and the zeros."""
    fast, slow = compute(small)
    for name, case in (("fast", fast), ("slow", slow)):
        at = ", ".join(f"{place:.2f}" for place in zeros(case)[0]) or "none"
        print(f"{name} wave in: |R| = {abs(case.r):.4f}; zeros at the upper wall (µm): {at}")
    with plot.style():
        figure, axes = plt.subplots(2, 2, figsize=(7.2, 3.3), sharex=True, sharey="row", height_ratios=(1.1, 1))
        for column, case, colour in zip(axes.T, (fast, slow), (plot.FORWARD, plot.BACKWARD), strict=True):
            draw_field(column[0], case)
            draw_along(column[1], case, colour)
        for at in ZEROS:
            axes[1, 1].axvline(at, color=plot.GREY, ls=":", lw=0.9, zorder=0)
        axes[0, 0].set_title(rf"(a) fast wave in: $|R|$ = {abs(fast.r):.3f}")
        axes[0, 1].set(title=rf"(b) slow wave in: $|R|$ = {abs(slow.r):.3f}", ylabel="")
        axes[1, 0].set(ylim=(0, None), ylabel=r"$|H_z|$, upper wall (kV/m)")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
