r"""Two oscillators modulated in time
=================================

Two equal oscillators, coupled by a spring, whose springs to the ground vary by three tenths, out of step: a linear
system that is not reciprocal. Its response to a tone at :math:`\omega` is a ladder of tones at
:math:`\omega + n\omega_m`. Driven from either side, the other oscillator moves by :math:`N_F` and :math:`N_B`, the root
of half of the sum of all squares of its tones. Where the two are equal reciprocity is not restored: phases and
sidebands still differ, as :math:`R = \sqrt{\frac{1}{2}\sum_n |X_n^F - X_n^B|^2}` says. Springs in step are reciprocal.
Of springs in antiphase either direction is the other, half a period of the modulation later: norms and the phases at
:math:`\omega` agree, and odd sidebands have opposite signs.

Modulated faster, near twice a natural frequency or near the sum of the two, the pair grows by itself above a threshold
of the depth: about :math:`4\zeta\omega_1` in the first resonance, at :math:`\omega_1 = 1`, where springs go in step.
These do not couple the two modes, so that nothing grows at the sum of their frequencies; springs in antiphase couple
the two alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import diffnr as nr
from diffnr import duffing, plot, root

jax.config.update("jax_enable_x64", True)

COUPLING, DAMPING = 0.6, 0.03
NETWORK = duffing.OscillatorNetwork(
    mass=[1.0, 1.0],
    stiffness=[[1 + COUPLING, -COUPLING], [-COUPLING, 1 + COUPLING]],
    damping=2 * DAMPING,
)
DEPTH, OMEGA_M = 0.3, 0.2
TONE = 1.15
PHASES = (0.0, jnp.pi / 2, jnp.pi)
NAMES = ("in step", "a quarter apart", "in antiphase")
COLOURS = (plot.GREY, plot.COLOURS[3], plot.COLOURS[2])


class ModulatedPair(NamedTuple):
    """Norms N [frequency, out, in] and R [frequency] over `omega`; both directions at `TONE`, b [sideband, out, in];
    the frequency at which N_F = N_B; R, Δφ and N_F − N_B [measure, phase] at `TONE` over the phase between the springs;
    the threshold of the depth [phase, omega_m], NaN where it is above 1."""

    omega: Array
    norm: Array
    reciprocity_norm: Array
    sidebands: tuple[int, ...]
    b: Array
    equal: Array
    phase: Array
    by_phase: Array
    omega_m: Array
    threshold: Array


def pair(phase: Array | float, depth: float = DEPTH, omega_m: Array | float = OMEGA_M) -> duffing.ModulatedOscillators:
    """The pair with its second spring behind the first by a phase."""
    return duffing.ModulatedOscillators(NETWORK, depth, omega_m, jnp.stack([0.0, phase]))


def response(omega: Array, phase: Array | float) -> duffing.ModulatedResponse:
    """Both directions at a frequency."""
    return duffing.modulated_response(pair(phase), nr.Drive(omega), throw=False)


def measures(phase: Array) -> Array:
    """R, Δφ and N_F − N_B at the tone, [3]."""
    found = response(jnp.array(TONE), phase)
    norm = found.norm[1, 0] - found.norm[0, 1]
    return jnp.stack([found.reciprocity_norm(), found.nonreciprocal_phase(), norm])


def gap(omega: Array, model: duffing.ModulatedOscillators) -> Array:
    """N_F² − N_B²."""
    square = duffing.modulated_response(model, nr.Drive(omega[0]), throw=False).norm ** 2
    return (square[1, 0] - square[0, 1])[None]


def threshold(phase: Array, omega_m: Array) -> Array:
    """The depth above which the pair grows by itself."""
    return duffing.parametric_threshold(pair(phase, 1.0, omega_m), points=32, throw=False).factor


def compute(small: bool = False) -> ModulatedPair:
    """Everything drawn."""
    omega = jnp.linspace(0.8, 1.8, 31 if small else 301)
    phase = jnp.linspace(0.0, 2 * jnp.pi, 9 if small else 61)
    omega_m = jnp.linspace(1.6, 3.4, 10 if small else 181)
    swept = jax.vmap(response, in_axes=(0, None))(omega, PHASES[1])
    found = duffing.modulated_response(pair(PHASES[1]), nr.Drive(TONE))
    tongues = jax.vmap(jax.vmap(threshold, in_axes=(None, 0)), in_axes=(0, None))(jnp.array(PHASES), omega_m)
    return ModulatedPair(
        omega=omega,
        norm=swept.norm,
        reciprocity_norm=swept.reciprocity_norm(),
        sidebands=found.sidebands,
        b=jnp.moveaxis(found.b, -1, 0),
        equal=root.newton(gap, jnp.array([1.02]), pair(PHASES[1])).value[0],
        phase=phase,
        by_phase=jax.vmap(measures, out_axes=1)(phase),
        omega_m=omega_m,
        threshold=tongues,
    )


def draw_norms(data: ModulatedPair, ax: Axes) -> None:
    """N of either direction, and R, over the frequency of the drive."""
    ax.plot(data.omega, data.norm[:, 1, 0], color=plot.FORWARD, label="$N_F$")
    ax.plot(data.omega, data.norm[:, 0, 1], "--", color=plot.BACKWARD, label="$N_B$")
    ax.plot(data.omega, data.reciprocity_norm, color=plot.GREY, lw=1.0, label="$R$")
    ax.axvline(float(data.equal), color="black", lw=0.6, ls=":", zorder=0)
    ax.set(title="a quarter apart", xlabel=r"frequency $\omega$", yscale="log")
    ax.legend(loc="upper right")


def draw_sidebands(data: ModulatedPair, ax: Axes, highest: int = 4) -> None:
    """How large each sideband is in either direction."""
    middle = data.sidebands.index(0)
    near = slice(middle - highest, middle + highest + 1)
    directions = ((1, 0), -0.12, plot.FORWARD, "forward"), ((0, 1), 0.12, plot.BACKWARD, "backward")
    for (out, into), shift, colour, name in directions:
        level = jnp.abs(data.b[near, out, into])
        ax.plot(jnp.array(data.sidebands[near]) + shift, level, "o", color=colour, label=name)
    ax.set(title=rf"sidebands at $\omega = {TONE:g}$", xlabel="sideband $n$", ylabel="$|X_n|$", yscale="log")
    ax.legend(loc="upper right")


def draw_phase(data: ModulatedPair, ax: Axes) -> None:
    """What tells the directions apart, over the phase between the springs."""
    names = ("$R$", r"$\Delta\phi$ (rad)", "$N_F - N_B$")
    for name, colour, level in zip(names, (plot.GREY, *plot.COLOURS[3:1:-1]), data.by_phase, strict=True):
        ax.plot(data.phase / jnp.pi, level, color=colour, label=name)
    ax.set(title=rf"both directions at $\omega = {TONE:g}$", xlabel=r"phase between the springs / $\pi$")
    ax.legend(loc="upper right")


def draw_thresholds(data: ModulatedPair, ax: Axes) -> None:
    """The depth above which the pair grows, over the frequency of the modulation."""
    for name, colour, level in zip(NAMES, COLOURS, data.threshold, strict=True):
        ax.plot(data.omega_m, level, color=colour, label=name)
    ax.set(title="grows above", xlabel=r"frequency of the modulation $\omega_m$", ylabel="depth", ylim=(0, 1.5))
    ax.set_yticks([0.0, 0.5, 1.0])
    ax.legend(loc="upper right", ncols=2)


def main(small: bool = False) -> Figure:
    """Draw norms, sidebands, R over the phase and thresholds; print where the norms are equal."""
    data = compute(small)
    print(f"N_F = N_B at ω = {data.equal:.10f}; R = {response(data.equal, PHASES[1]).reciprocity_norm():.6f} there")
    with plot.style():
        figure, ((norms, sidebands), (phase, thresholds)) = plt.subplots(2, 2, figsize=(7.2, 5.2))
        draw_norms(data, norms)
        draw_sidebands(data, sidebands)
        draw_phase(data, phase)
        draw_thresholds(data, thresholds)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
