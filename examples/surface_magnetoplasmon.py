r"""A guide with one direction: the surface magnetoplasmon
=======================================================

Paper 3, Figure S1: 18 µm of InSb under 12 µm of silicon between two metal walls, in a magnetic field along
:math:`-z`, guides a wave along the face of the two. (a) Its frequency over the wavenumber: lines in closed form,
without collisions; points read off the phase of the field that a pulse leaves on either side of a source. (b), (c) The
field at two frequencies, with the source in the middle.

Up to 1.283 THz waves go both ways, with different wavelengths. From there to 1.783 THz (shaded), roots of
:math:`\omega(\omega \pm \omega_c) = \omega_p^2/(1 + \varepsilon_\mathrm{Si}/\varepsilon_\infty)`, there is no wave to
the left: (c) what the source sends goes to the right alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import fdtd, plot
from diffnr.fdtd import closed_forms

jax.config.update("jax_enable_x64", True)

UM = 1e-6
THZ = 2e12 * np.pi  # rad/s
OMEGA_P = 2 * THZ
SILICON = fdtd.Dielectric(11.68)
FORWARD_AT = np.array([0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7])  # THz
BACKWARD_AT = FORWARD_AT[:5]
SHOWN = {"b": 1.1, "c": 1.5}  # THz
REACH, SPONGE = 110 * UM, 150 * UM  # to either side
K, F = (-4.2e5, 3.2e5), (0.7, 1.9)  # rad/m and THz of the chart


class Guide(NamedTuple):
    """The field Hz [frequency, x, y] at FORWARD_AT, and the wavenumbers read off it, rad/m."""

    x: np.ndarray
    y: np.ndarray
    hz: np.ndarray
    forward: np.ndarray
    backward: np.ndarray


def insb(nu: float = 0.0) -> fdtd.GyrotropicDrude:
    """InSb in .25 T along −z, with collisions at a rate in units of ω_p."""
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, nu * OMEGA_P, -0.25 * OMEGA_P)


def layers(nu: float = 0.0) -> list[tuple[float, fdtd.AbstractMedium]]:
    """Thickness in m and medium, from the lower wall up."""
    return [(18 * UM, insb(nu)), (12 * UM, SILICON)]


def one_way_band() -> tuple[float, float]:
    """Its edges in THz: the face's asymptotes for short waves to the left and to the right."""
    tilt, square = 0.25 * OMEGA_P / 2, OMEGA_P**2 / (1 + 11.68 / 15.6)
    return (np.hypot(tilt, np.sqrt(square)) - tilt) / THZ, (np.hypot(tilt, np.sqrt(square)) + tilt) / THZ


def run(cell: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and Hz(ω) [frequency, x, y] around a source of a pulse."""
    half = round((REACH + SPONGE) / cell)
    grid = fdtd.Grid(cell * np.arange(-half, half + 1), cell * np.arange(round(30 * UM / cell) + 1))
    # Collisions, so that fields that do not go away from the source fall silent.
    below = fdtd.Rectangle([-1, 1], [0, 18 * UM]), insb(5e-3)
    scene = fdtd.Scene.of(grid, SILICON, [below], fdtd.Boundaries(left=fdtd.Sponge(SPONGE), right=fdtd.Sponge(SPONGE)))
    x, y = (np.asarray(centres) for centres in grid.centres)
    # Wide enough to leave alone waves far shorter than the guide's.
    weights = np.exp(-((x[:, None] / (5 * UM)) ** 2) / 2 - ((y - 18 * UM) / (6 * UM)) ** 2 / 2) / UM**2
    update = fdtd.Update.of(scene)
    recorded = fdtd.propagate(
        update,
        round(50e-12 / float(update.step)),
        sources=[(fdtd.Functional("hz", (0, 0), weights), fdtd.Pulse(1.3 * THZ, 0.75e-12))],
        transforms=[fdtd.FieldTransform("hz", FORWARD_AT * THZ, stride=4)],
        progress=False,
    )
    return x, y, np.asarray(recorded.transforms[0])


def wavenumber(x: np.ndarray, hz: np.ndarray, side: int) -> float:
    """k of e^{−ikx} to the right (side 1) or left (−1) of the source, by the advance of the phase over 4 µm."""
    part = hz[(side * x > 22 * UM) & (side * x < REACH)]
    cells = round(4 * UM / (x[1] - x[0]))
    return float(-np.angle(np.sum(part[cells:] * part[:-cells].conj())) / (cells * (x[1] - x[0])))


def compute(small: bool = False) -> Guide:
    """The field, and the wavenumbers of both directions."""
    x, y, hz = run((1.5 if small else 0.6) * UM)
    forward = [wavenumber(x, field, 1) for field in hz]
    return Guide(x, y, hz, np.array(forward), np.array([wavenumber(x, hz[i], -1) for i in range(BACKWARD_AT.size)]))


def draw_dispersion(ax: Axes, data: Guide, small: bool) -> None:
    """Both branches, the band of one direction, and the points."""
    k, terahertz = np.linspace(*K, 201 if small else 801), np.linspace(*F, 121 if small else 481)
    value = closed_forms.guide_dispersion(layers(), THZ * terahertz[:, None], k).imag / jnp.cosh(np.abs(k) * 30 * UM)
    for side, colour in ((k >= 0, plot.FORWARD), (k <= 0, plot.BACKWARD)):
        ax.contour(k[side] / 1e5, terahertz, np.asarray(value[:, side]), [0.0], colors=[colour], linewidths=1.4)
    ax.axhspan(*one_way_band(), color="#ECECEC", lw=0, zorder=0)
    ax.text(K[0] / 1e5 + 0.15, sum(one_way_band()) / 2, "one way", color=plot.GREY, va="center")
    ax.plot(data.forward / 1e5, FORWARD_AT, "o", color=plot.FORWARD, mec="white", mew=0.5, ms=4.5, label="forward")
    ax.plot(data.backward / 1e5, BACKWARD_AT, "o", color=plot.BACKWARD, mec="white", mew=0.5, ms=4.5, label="backward")
    for name, f in SHOWN.items():
        ax.axhline(f, color=plot.GREY, lw=0.6, ls=":")
        ax.text(K[1] / 1e5, f + 0.01, f"({name})", ha="right", color=plot.GREY)
    ax.axvline(0, color="black", lw=0.5)
    ax.set(xlim=np.array(K) / 1e5, ylim=F, xlabel="$k$ (10⁵ rad/m)", ylabel="frequency (THz)", title="(a) dispersion")
    ax.legend(loc="lower left")


def draw_field(ax: Axes, data: Guide, terahertz: float) -> None:
    """Hz at one time of the period, between the sponges."""
    field = data.hz[int(np.argmin(np.abs(FORWARD_AT - terahertz)))]
    shown = np.abs(data.x) < REACH
    field = (field * np.exp(-1j * np.angle(field[np.argmin(np.abs(data.x - 40 * UM)), field.shape[1] * 3 // 5]))).real
    top = np.max(np.abs(field[shown]))
    ax.pcolormesh(
        data.x[shown] / UM, data.y / UM, field[shown].T, cmap="RdBu_r", vmin=-top, vmax=top, shading="gouraud"
    )
    ax.axhline(18, color="black", lw=0.6)
    ax.text(-REACH / UM + 4, 28.5, "Si", va="top", size=7.5)
    ax.text(-REACH / UM + 4, 1.5, "InSb", va="bottom", size=7.5)
    ax.set(ylim=(0, 30), ylabel="$y$ (µm)")


def main(small: bool = False) -> Figure:
    """Draw the dispersion and two fields; print wavenumbers beside the closed form's."""
    data = compute(small)
    for name, at, found in (("forward", FORWARD_AT, data.forward), ("backward", BACKWARD_AT, data.backward)):
        for f, k in zip(at, found, strict=True):
            exact = closed_forms.guide_wavenumber(layers(5e-3), f * THZ, k).real
            print(f"{name}, {f:.1f} THz: k = {k:.0f} rad/m, closed form {float(exact):.0f} rad/m")
    with plot.style():
        figure, axes = plt.subplot_mosaic([["a", "b"], ["a", "c"]], figsize=(7.2, 3.6), width_ratios=(1, 1.15))
        draw_dispersion(axes["a"], data, small)
        for name, f in SHOWN.items():
            draw_field(axes[name], data, f)
        axes["b"].set_title(f"(b) $H_z$ at {SHOWN['b']:g} THz: both ways")
        axes["c"].set_title(f"(c) $H_z$ at {SHOWN['c']:g} THz: one way")
        axes["c"].set_xlabel("$x$ (µm)")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
