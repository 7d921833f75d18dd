r"""Pulses in an ideal and in a nonlocal nonreciprocal device
==========================================================

Paper 1, Figure 5: a Gaussian pulse from either side into two resonators coupled one way, once ideally and once by
nonlocal loss with :math:`\gamma_k = \kappa = 0.3 \times 10^6` rad/s, and the loss :math:`\gamma_{\mathrm{nl}}(t)` that
resonator 2 then has. Forward (in at port 1) both transmit exactly nothing and reflect alike.

The checked result departs from the printed one. Backward, the nonlocal device reflects *less* than the ideal one, not
slightly more, since its loss takes from the pulse; it transmits less as well. As the pulse ends, resonator 2 comes to
rest while resonator 1 still rings: from :math:`t = 18.43` µs on its amplitude is exactly 0 and friction, which is what
the law amounts to there, holds it; :math:`\gamma_{\mathrm{nl}}` diverges. An explicit Runge–Kutta method chatters about
that state; diffrax steps here by a proximal method, which knows it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import plot, tcmt

jax.config.update("jax_enable_x64", True)

KAPPA = jnp.array(0.3)  # this and every rate below in 1e6 rad/s, times in µs
GAMMA_0 = 0.5
GAMMA = (GAMMA_0**2 + KAPPA**2) ** 0.5
TIMES = (2.0, 22.0)  # shown
WIDTH = 3.0 / 2**0.5  # |s| falls to 1/e in 3 µs
LAWS = {
    "ideal": {"terms": tcmt.IdealNonreciprocalCoupling(KAPPA, mode=1, sensed=0)},
    "nonlocal loss": {"loss": tcmt.NonlocalLoss(KAPPA, mode=1, sensed=0)},
}


class Pulses(NamedTuple):
    """The device's answers to the pulse from port 1 and from port 2."""

    forward: tcmt.Transient
    backward: tcmt.Transient


def compute(law: dict[str, tcmt.AbstractLaw], small: bool = False) -> Pulses:
    """Both pulses through one device."""
    pair = tcmt.TwoResonators((0.0, 0.0), (GAMMA, GAMMA), (GAMMA_0, GAMMA_0), KAPPA, **law)
    ts = jnp.linspace(0.0, 40.0, 81 if small else 4001)
    waves = (tcmt.GaussianPulse(amplitude, centre=10.0, width=WIDTH) for amplitude in ([1.0, 0.0], [0.0, 1.0]))
    return Pulses(*(tcmt.simulate(pair, wave, ts) for wave in waves))


def draw(ax: Axes, r: tcmt.Transient, *, out: int, into: int) -> None:
    """Amplitudes of the incoming, the transmitted and the reflected wave: forward upwards, backward downwards."""
    way, sign, colour = ("forward", 1, plot.FORWARD) if out > into else ("backward", -1, plot.BACKWARD)
    waves = r.s_plus[:, into], r.s_minus[:, out], r.s_minus[:, into]
    incoming, transmitted, reflected = (sign * np.abs(wave) for wave in waves)
    ax.fill_between(np.asarray(r.ts), incoming, color="#E4E4E4", lw=0, label="in")
    ax.plot(r.ts, transmitted, color=colour, label="transmitted")
    ax.plot(r.ts, reflected, "--", color=colour, alpha=0.6, lw=1.1, label="reflected")
    share = 100 * r.energy_out[-1] / r.energy_in[-1, into]
    text = f"{way}\n{share[out]:.2f} % transmitted\n{share[into]:.2f} % reflected"
    print(text.replace("\n", ", "))
    ax.text(21.8, sign, text, size=7.5, ha="right", va="top" if sign > 0 else "bottom", color=colour)


def draw_loss(ax: Axes, r: tcmt.Transient) -> None:
    """γ_nl(t) of resonator 2, infinite once it is at rest."""
    ts, loss = np.asarray(r.ts)[1:], np.asarray(r.loss_rate)[1:, 1]  # at first both resonators are empty
    at_rest = ts[np.isinf(loss)][0]
    ax.semilogy(ts[np.isfinite(loss)], loss[np.isfinite(loss)], color=plot.BACKWARD)
    ax.axvspan(at_rest, TIMES[1], color="#ECECEC", lw=0)
    ax.text(at_rest + 0.2, 1.0, f"at rest from\n{at_rest:.2f} µs", va="center")
    ax.set(ylim=(0.01, 100), ylabel=r"$\gamma_{\mathrm{nl}}$ ($10^6$ rad/s)")
    ax.set_title("nonlocal loss of resonator 2, backward pulse")


def main(small: bool = False) -> Figure:
    """Draw the waves of both devices and directions, and γ_nl of the nonlocal one; print the energies."""
    with plot.style():
        figure, axes = plt.subplot_mosaic("AB;LL", figsize=(7.2, 4.4), height_ratios=(1.8, 1))
        answers = {name: compute(law, small) for name, law in LAWS.items()}
        for ax, (name, pulses) in zip((axes["A"], axes["B"]), answers.items(), strict=True):
            print(f"{name}:")
            draw(ax, pulses.forward, out=1, into=0)
            draw(ax, pulses.backward, out=0, into=1)
            ax.axhline(0, color="black", lw=0.7)
            ax.set(title=name, ylim=(-1.05, 1.05), yticks=(-1, -0.5, 0, 0.5, 1))
            ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        draw_loss(axes["L"], answers["nonlocal loss"].backward)
        for ax in axes.values():
            ax.set(xlim=TIMES, xticks=range(5, 21, 5), xlabel="time (µs)")
        axes["A"].set_ylabel("← backward   $|s|$   forward →")
        handles, labels = axes["A"].get_legend_handles_labels()
        figure.legend(handles[:3], labels[:3], loc="outside upper right", ncols=3)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
