r"""A waveguide of unequal units
============================

Five units in a row, each of two masses, 1 and :math:`\mu = 1.5`, on springs that harden, all links alike: ten
oscillators and ten resonances. A force at one end moves the other end by :math:`N_F`, the root of its mean square, and
from the other side by :math:`N_B`. A linear chain is reciprocal however unequal its units are. This one is not where it
moves by much. Its two curves cross wherever :math:`N_F = N_B`, and only a phase :math:`\Delta\varphi` tells the
directions apart there. It is large at the first resonance, where all move, and at the sixth, in the gap between the two
bands, which lives at the light end: driven there it moves by much, and from the other side by little.

A lighter mass at one end, a defect, makes the phase at the first resonance larger, a heavier one smaller: ``mass.0`` is
a number like any other. ``optimize.restore_reciprocity(model, free="mass.0", ...)`` finds the one that makes the
waveguide reciprocal.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import optimize as op
from diffnr import duffing, plot

jax.config.update("jax_enable_x64", True)

UNITS, MASS_RATIO, COUPLING, DAMPING, AMPLITUDE = 5, 1.5, 5.0, 0.05, 0.2
DEFECT = (0.8, 1.25)


class Waveguide(NamedTuple):
    """The linear resonances, both responses, all points of equal norms, and how the first resonance's moves."""

    resonances: np.ndarray
    forward: duffing.OrbitBranch
    backward: duffing.OrbitBranch
    points: op.EqualNormPoints
    locus: op.PhaseNonreciprocityLocus


def guide(units: int = UNITS, num_harmonics: int = 3) -> duffing.OscillatorChain:
    """The chain of so many units."""
    masses = jnp.tile(jnp.array([1.0, MASS_RATIO]), units)
    ground = duffing.PolynomialForce([1.0, 0.0, 1.0])
    links = duffing.PolynomialForce([COUPLING])
    return duffing.OscillatorChain(masses, 2 * DAMPING, ground, links, num_harmonics=num_harmonics)


def compute(small: bool = False) -> Waveguide:
    """Everything drawn."""
    model = guide(2) if small else guide()
    natural = np.asarray(duffing.linear_frequencies(model))
    band, room = (0.6 * natural[0], 1.05 * natural[-1]), 100 * natural.size
    last = natural.size - 1
    forward, backward = (
        duffing.frequency_response(model, amplitude=AMPLITUDE, omega=band, port=port, max_points=room).trim()
        for port in (0, last)
    )
    points = op.equal_norm_points(model, amplitude=AMPLITUDE, band=band, most=2 * natural.size, max_points=room).trim()
    locus = op.phase_nonreciprocity_locus(
        model, amplitude=AMPLITUDE, along="mass.0", bounds=DEFECT, resonance=0, max_points=20 if small else 60
    )
    return Waveguide(natural, forward, backward, points, locus.trim())


def draw_responses(data: Waveguide, ax: Axes) -> None:
    """N_F and N_B over the frequency, the linear resonances, and where the two cross."""
    last = data.resonances.size - 1
    for resonance in data.resonances:
        ax.axvline(resonance, color="0.85", lw=0.8, zorder=0)
    ax.plot(data.forward.omega, data.forward.norm[:, last], color=plot.FORWARD, label="$N_F$")
    ax.plot(data.backward.omega, data.backward.norm[:, 0], "--", color=plot.BACKWARD, label="$N_B$")
    ax.plot(data.points.omega, data.points.norm, "o", color="black", ms=3, label="$N_F = N_B$")
    ax.set(xlabel=r"frequency $\omega$", ylabel="norm at the other end", yscale="log")
    ax.legend(loc="upper right", ncols=3)
    near = ax.inset_axes((0.06, 0.12, 0.2, 0.46))
    near.plot(data.forward.omega, data.forward.norm[:, last], color=plot.FORWARD)
    near.plot(data.backward.omega, data.backward.norm[:, 0], "--", color=plot.BACKWARD)
    near.plot(data.points.omega, data.points.norm, "o", color="black", ms=3)
    first, top = data.resonances[0], float(jnp.max(data.points.norm))
    near.set(xlim=(0.97 * first, 1.09 * first), ylim=(0.4 * top, 0.8 * top))
    near.tick_params(labelsize=6.5)


def draw_phases(data: Waveguide, ax: Axes) -> None:
    """What tells the directions apart at equal norms."""
    ax.plot(data.points.omega, jnp.abs(data.points.nonreciprocal_phase), "o", color="black", ms=3)
    ax.set(title="where norms are equal", xlabel=r"frequency $\omega$", ylabel=r"$|\Delta\varphi|$ (rad)", yscale="log")


def draw_defect(data: Waveguide, ax: Axes) -> None:
    """The phase at the first resonance over the mass at one end."""
    ax.plot(data.locus.parameter, data.locus.nonreciprocal_phase, color=plot.COLOURS[2])
    ax.axhline(0.0, color="0.85", lw=0.8, zorder=0)
    ax.set(title="first resonance", xlabel="mass at one end", ylabel=r"$\Delta\varphi$ (rad)")


def main(small: bool = False) -> Figure:
    """Draw the waveguide; print the point of equal norms of the largest phase."""
    data = compute(small)
    at = int(jnp.argmax(jnp.abs(data.points.nonreciprocal_phase)))
    phase = float(data.points.nonreciprocal_phase[at])
    print(f"N_F = N_B = {data.points.norm[at]:.8f} at ω = {data.points.omega[at]:.8f}, Δφ = {phase:.8f} rad")
    print(data.locus.message)
    with plot.style():
        figure, axes = plt.subplot_mosaic([["norms", "norms"], ["phases", "defect"]], figsize=(7.2, 5.2))
        draw_responses(data, axes["norms"])
        draw_phases(data, axes["phases"])
        draw_defect(data, axes["defect"])
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
