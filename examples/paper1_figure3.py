r"""Transmission on resonance, one way and the other
===================================================

Paper 1, Figure 3: :math:`|t_{21}|` (forward) and :math:`|t_{12}|` (backward) of two resonators over their coupling
:math:`\kappa` and the nonlocal loss :math:`\gamma_k`, on resonance, with ports that match at :math:`\gamma_k = 0`.
Surfaces and lines are the closed form; circles are what is left of the transient when a wave is switched on, integrated
in time.

The checked result departs from the printed one. The two directions do not share a determinant: on resonance it is
:math:`G_1G_2 + \kappa^2 - \kappa\gamma_k` forward and :math:`G_1G_2 + \kappa^2 + \kappa\gamma_k` backward (the first
for both, as in Equation 4, would amplify), so backward transmission falls too. Forward transmission is exactly 0
wherever :math:`\gamma_k \ge \kappa`. The caption exchanges forward and backward.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import diffnr as nr
from diffnr import plot, tcmt

jax.config.update("jax_enable_x64", True)

GAMMA_0 = 0.5  # this and every rate below in 1e6 rad/s
CUTS = jnp.array([0.5, 1.5, 2.5])
SETTLED = 40.0  # µs, of which the slowest transient here needs one to fall to 1/e


class Transmissions(NamedTuple):
    """Moduli of the transmission, [gamma_k, kappa]; those of the cuts and by time integration [cut, kappa]."""

    kappa: Array
    gamma_k: Array
    forward: Array
    backward: Array
    cut_kappa: Array
    cut_forward: Array
    cut_backward: Array
    settled_kappa: Array
    settled_forward: Array
    settled_backward: Array


def pair(gamma_k: Array, kappa: Array) -> tcmt.TwoResonators:
    """The device, with ports that match at γ_k = 0."""
    gamma = jnp.sqrt(GAMMA_0**2 + kappa**2)
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0)
    return tcmt.TwoResonators((0.0, 0.0), (gamma, gamma), (GAMMA_0, GAMMA_0), kappa, loss)


@jax.jit
def transmission(gamma_k: Array, kappa: Array) -> tuple[Array, Array]:
    """|t21| and |t12| on resonance, by the closed form."""
    s = nr.port_response(pair(gamma_k, kappa), nr.Drive(0.0)).s
    return jnp.abs(s[1, 0]), jnp.abs(s[0, 1])


@jax.jit
def settled(gamma_k: Array, kappa: Array) -> tuple[Array, Array]:
    """|t21| and |t12| on resonance, by time integration from rest."""
    ts = jnp.array([0.0, SETTLED])

    def waves(s_plus: Array) -> Array:
        return jnp.abs(tcmt.simulate(pair(gamma_k, kappa), s_plus, ts).s_minus[-1])

    forward, backward = jax.vmap(waves)(jnp.eye(2))
    return forward[1], backward[0]


def over_grid(function: Callable, gamma_k: Array, kappa: Array) -> tuple[Array, Array]:
    """`transmission` or `settled` on the grid [gamma_k, kappa]."""
    return jax.vmap(jax.vmap(function, (None, 0)), (0, None))(gamma_k, kappa)


def compute(small: bool = False) -> Transmissions:
    """Both surfaces, the cuts through them, and Newton's points on the cuts."""
    kappa, gamma_k = (jnp.linspace(0.0, 4.0, 9 if small else 81), jnp.linspace(0.0, 3.0, 7 if small else 61))
    cut_kappa = jnp.linspace(0.0, 4.0, 17 if small else 401)
    settled_kappa = jnp.linspace(0.2, 4.0, 3 if small else 20)
    return Transmissions(
        kappa, gamma_k, *over_grid(transmission, gamma_k, kappa),
        cut_kappa, *over_grid(transmission, CUTS, cut_kappa),
        settled_kappa, *over_grid(settled, CUTS, settled_kappa),
    )  # fmt: skip


def main(small: bool = False) -> Figure:
    """Draw the surfaces with their cuts, and the cuts by themselves with the points from time integration."""
    data = compute(small)
    with plot.style():
        figure = plt.figure(figsize=(7.2, 3.3))
        figure.set_layout_engine("constrained", wspace=0.1)
        space = figure.add_subplot(1, 2, 1, projection="3d", computed_zorder=False)
        plane = figure.add_subplot(1, 2, 2)
        directions = (
            ("$|t_{12}|$, backward", plot.BACKWARD, 0.012, data.backward, data.cut_backward, data.settled_backward),
            ("$|t_{21}|$, forward", plot.FORWARD, -0.012, data.forward, data.cut_forward, data.settled_forward),
        )
        for name, colour, lift, level, cuts, points in directions:
            plot.surface(data.kappa, data.gamma_k, level, colour=colour, alpha=0.4, label=name, ax=space)
            for gamma_k, cut, point in zip(CUTS, cuts, points, strict=True):
                space.plot(data.cut_kappa, jnp.full_like(cut, gamma_k), cut, color=colour, lw=1.2)
                plane.plot(data.cut_kappa, cut, color=colour)
                plane.plot(data.settled_kappa, point, "o", color=colour, mfc="white", ms=3.5)
                plane.text(4.08, cut[-1] + lift, rf"$\gamma_k = {gamma_k:g}$", color=colour, va="center", size=7)
        plane.plot([], [], color=plot.GREY, label="closed form")
        plane.plot([], [], "o", color=plot.GREY, mfc="white", ms=3.5, label="time integration")
        plane.legend(loc="upper left")
        space.set(
            xlabel=r"coupling $\kappa$ ($10^6$ rad/s)",
            ylabel=r"nonlocal loss $\gamma_k$ ($10^6$ rad/s)",
            zlabel="|transmission|",
        )
        space.view_init(elev=22, azim=125)
        space.set_box_aspect((1.1, 1.1, 0.85), zoom=0.82)  # pyright: ignore[reportArgumentType]
        space.legend(loc="upper left")
        plane.set(xlabel=r"coupling $\kappa$ ($10^6$ rad/s)", ylabel="|transmission|", xlim=(0, 4.05), ylim=(0, 0.9))
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
