r"""A beam with two wells: vibrations within one, and across both
==============================================================

A buckled beam, :math:`x'' + 0.1 x' - \frac{1}{2} x + \frac{1}{2} x^3 = F\cos\omega t` (F. C. Moon and P. J. Holmes, J.
Sound Vib. 65, 275 (1979)): it rests at :math:`x = \pm 1`, and the origin is the top of a hill. What is drawn over the
frequency is how far it moves about its mean, :math:`\sqrt{N^2 - \bar x^2}`.

(a) Weakly driven it stays within its well, of natural frequency 1. The well is softer than a parabola, so that the
resonance hangs over to lower frequencies, along :math:`\omega = 1 - \frac{3}{4} a^2` to lowest order (dotted, *a* the
amplitude). Both wells are alike: the curves of one are drawn. (b) Driven harder it can also jump the hill and
swing from well to well: a branch of its own, which hardens. The motions within a well lose their stability where their
period doubles, on the way to chaos. On top of the hill there is a third kind of orbit, which no experiment sees. (c)
Velocity over displacement at one frequency: one force, and many motions.

``AllHarmonics`` lets orbits have a mean, and ``isolas=True`` finds all of them: none of the branches within the wells
is joined to that over the hill top, at which the linear response begins.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import duffing, plot

jax.config.update("jax_enable_x64", True)

BEAM = duffing.OscillatorNetwork(mass=[1.0], stiffness=[-0.5], damping=0.1, force=lambda x: 0.5 * x**3)
WEAK, STRONG = 0.04, 0.1
OMEGA = (0.4, 1.6)
SEEN = 0.55  # the frequency of panel (c)


class Beam(NamedTuple):
    """Responses to the weak force and to the strong one, and all orbits of the latter at one frequency."""

    weak: duffing.OrbitBranch
    strong: duffing.OrbitBranch
    orbits: duffing.Points


def swing(points: duffing.OrbitBranch | duffing.Points) -> Array:
    """How far the beam moves about its mean, the root of the mean square, [point]; NaN in the left well."""
    mean = points.b[:, 0, 0].real
    return jnp.where(mean < -1e-6, jnp.nan, jnp.sqrt(points.norm[:, 0] ** 2 - mean**2))


def response(force: float) -> duffing.OrbitBranch:
    """All branches at a force, of orbits that may have a mean."""
    beam = duffing.AllHarmonics(BEAM)
    settings = {"omega": OMEGA, "num_harmonics": 15, "isolas": True, "max_points": 600}
    return duffing.frequency_response(beam, amplitude=force, **settings).trim()


def compute() -> Beam:
    """Everything drawn."""
    strong = response(STRONG)
    return Beam(response(WEAK), strong, strong.at(SEEN, most=12).trim())


def draw_orbits(ax: Axes, orbits: duffing.Points) -> None:
    """Velocity over displacement of every orbit."""
    ts = np.linspace(0, 2 * np.pi / SEEN, 301)
    x, v = (duffing.time_series(orbits, ts, derivative=k)[:, 0] for k in (0, 1))
    for x_, v_, stable, top in zip(x, v, orbits.stable, swing(orbits), strict=True):
        colour = plot.BACKWARD if top > 0.7 else plot.FORWARD  # from well to well, or not
        ax.plot(x_, v_, "-" if stable else "--", color=colour, lw=1.2 if stable else 0.7, zorder=3 if stable else 2)
    ax.plot([-1, 1], [0, 0], "o", color="black", ms=3)
    ax.set(xlabel="displacement $x$", ylabel="velocity $x'$", title=rf"(c) F = {STRONG:g}, $\omega$ = {SEEN:g}")


def main(small: bool = False) -> Figure:
    """Draw both responses and the orbits at one frequency; print folds and period doublings.

    `small` leaves bifurcations out, which are located once more for every figure.
    """
    data = compute()
    shown = {f"(a) F = {WEAK:g}": data.weak, f"(b) F = {STRONG:g}": data.strong}
    with plot.style():
        figure, (*panels, last) = plt.subplots(1, 3, figsize=(7.2, 3.0))
        for ax, (name, curve) in zip(panels, shown.items(), strict=True):
            for kind, points in ({} if small else curve.marked).items():
                print(f"{name}: {kind} at omega =", np.unique(np.round(points.omega, 8)).tolist())  # of both wells
            plot.branch(curve, y=swing, colours=plot.FORWARD, marks=not small, ax=ax)
            ax.set(title=name, xlim=OMEGA, ylim=(0, None), ylabel="swing about the mean" if ax is panels[0] else "")
            ax.legend(loc="upper right")
        rms = np.linspace(0, 0.36, 50)
        panels[0].plot(1 - 0.75 * 2 * rms**2, rms, ":", color="black", lw=0.9)
        draw_orbits(last, data.orbits)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
