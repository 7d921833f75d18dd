r"""S-parameters over detuning, and the bandwidth
=============================================

Paper 1, Figure 4: transmission and reflection of two resonators at perfect isolation,
:math:`\gamma_k = \kappa = 0.3 \times 10^6` rad/s, over their detuning :math:`\Delta_i = \omega - \omega_i` from the
drive, with the band in which the backward transmission stays within 3 dB of its peak.

The checked result departs from the printed one. The bandwidth of 40 % of 1 MHz is 39.67 % if resonator 2 alone is
detuned; when the drive's frequency changes, which detunes both, it is 25.34 %. Forward transmission is exactly 0 at
every detuning: isolation is infinite all along, and the axis is linear, since decibels could not show it. Coupling as
weak as this lets only −11.7 dB through backward. Ports of :math:`\gamma_i = \sqrt{\gamma_{i0}^2 + \kappa^2}` are free
of reflection only at :math:`\gamma_k = 0`; here they reflect −22.3 dB and −23.5 dB on resonance.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import diffnr as nr
from diffnr import plot, tcmt

jax.config.update("jax_enable_x64", True)

KAPPA = 0.3  # this and every rate below in 1e6 rad/s
GAMMA_0 = 0.5
MEGAHERTZ = 2 * jnp.pi
DROP = 3.0  # dB


class Sweep(NamedTuple):
    """S [detuning, out, in] with resonator 2 alone detuned and with both, and the width of either's band of |t12|."""

    detuning: Array
    alone: Array
    both: Array
    width_alone: Array
    width_both: Array


@jax.jit
def s_matrix(detuning_1: Array, detuning_2: Array) -> Array:
    """S [out, in] at the detunings Δ_j = ω − ω_j."""
    gamma = jnp.sqrt(GAMMA_0**2 + KAPPA**2)
    omega = -jnp.stack([detuning_1, detuning_2])
    loss = tcmt.NonlocalLoss(KAPPA, mode=1, sensed=0)
    pair = tcmt.TwoResonators(omega, (gamma, gamma), (GAMMA_0, GAMMA_0), KAPPA, loss)
    return nr.port_response(pair, nr.Drive(0.0)).s


def decibel(s: Array) -> Array:
    """20 log10 |s|."""
    return 20 * jnp.log10(jnp.abs(s))


def compute(small: bool = False) -> Sweep:
    """Both sweeps; the band by linear interpolation between their points."""
    detuning = jnp.linspace(-4.0, 4.0, 41 if small else 801)
    alone = jax.vmap(s_matrix)(jnp.zeros_like(detuning), detuning)
    both = jax.vmap(s_matrix)(detuning, detuning)
    widths = (nr.metrics.bandwidth(detuning, decibel(s[:, 0, 1]), drop=DROP) for s in (alone, both))
    return Sweep(detuning, alone, both, *widths)


def draw(detuning: Array, s: Array, width: Array, ax: Axes) -> None:
    """All four moduli of one sweep, and the band of t12, which is even in the detuning."""
    megahertz, level, band = detuning / MEGAHERTZ, jnp.abs(s), float(width / MEGAHERTZ)
    edge = jnp.max(level[:, 0, 1]) * 10 ** (-DROP / 20)
    ax.axvspan(-band / 2, band / 2, color="#ECECEC", lw=0, zorder=0, label=f"{DROP:g} dB band, in % of 1 MHz")
    ax.plot(megahertz, level[:, 0, 1], color=plot.BACKWARD, label="$|t_{12}|$, backward")
    ax.plot([-band / 2, band / 2], [edge, edge], "o", color=plot.BACKWARD, mfc="white", ms=3.5)
    ax.plot(megahertz, level[:, 1, 0], color=plot.FORWARD, label="$|t_{21}| = 0$, forward", zorder=3)
    ax.plot(megahertz, level[:, 0, 0], "--", color=plot.GREY, lw=1.1, label="$|s_{11}|$")
    ax.plot(megahertz, level[:, 1, 1], ":", color=plot.GREY, lw=1.1, label="$|s_{22}|$")
    ax.text(0, 0.97, f"{100 * band:.2f} %", ha="center", va="top")
    ax.set(xlim=(megahertz[0], megahertz[-1]), ylim=(-0.02, 1))


def main(small: bool = False) -> Figure:
    """Draw both sweeps side by side."""
    data = compute(small)
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), sharey=True)
        draw(data.detuning, data.alone, data.width_alone, axes[0])
        draw(data.detuning, data.both, data.width_both, axes[1])
        axes[0].set(title="resonator 2 alone detuned", xlabel=r"$\Delta_2/2\pi$ (MHz)", ylabel="$|S|$")
        axes[1].set(title="both detuned", xlabel=r"$\Delta_1/2\pi = \Delta_2/2\pi$ (MHz)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
