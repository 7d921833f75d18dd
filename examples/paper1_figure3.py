r"""Transmission on resonance, one way and the other
===================================================

Paper 1, Figure 3: :math:`|t_{21}|` (forward) and :math:`|t_{12}|` (backward) of two resonators over their coupling
:math:`\kappa` and the nonlocal loss :math:`\gamma_k`, on resonance, with ports that match at :math:`\gamma_k = 0`.
Surfaces and lines are the closed form; circles are Newton's solution of the regularised law, which shares no formula
with it.

The checked result departs from the printed one. The two directions do not share a determinant: on resonance it is
:math:`G_1G_2 + \kappa^2 - \kappa\gamma_k` forward and :math:`G_1G_2 + \kappa^2 + \kappa\gamma_k` backward (the first
for both, as in Equation 4, would amplify), so backward transmission falls too. Forward transmission is exactly 0
wherever :math:`\gamma_k \ge \kappa`. The caption exchanges forward and backward.
"""

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
EPSILON = 1e-4


class Transmissions(NamedTuple):
    """Moduli of the transmission, [gamma_k, kappa]; those of the cuts and by Newton [cut, kappa]."""

    kappa: Array
    gamma_k: Array
    forward: Array
    backward: Array
    cut_kappa: Array
    cut_forward: Array
    cut_backward: Array
    newton_kappa: Array
    newton_forward: Array
    newton_backward: Array


@jax.jit
def transmission(gamma_k: Array, kappa: Array, epsilon: float | None = None) -> tuple[Array, Array]:
    """|t21| and |t12| on resonance: by the closed form or, where epsilon regularises the law, by Newton's method."""
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0, epsilon=epsilon)
    gamma = jnp.sqrt(GAMMA_0**2 + kappa**2)
    pair = tcmt.two_resonators((0.0, 0.0), (gamma, gamma), (GAMMA_0, GAMMA_0), kappa, loss)
    s = nr.port_response(pair, nr.Drive(0.0)).s
    return jnp.abs(s[1, 0]), jnp.abs(s[0, 1])


def over_grid(gamma_k: Array, kappa: Array, epsilon: float | None = None) -> tuple[Array, Array]:
    """`transmission` on the grid [gamma_k, kappa]."""
    return jax.vmap(jax.vmap(transmission, (None, 0, None)), (0, None, None))(gamma_k, kappa, epsilon)


def compute(small: bool = False) -> Transmissions:
    """Both surfaces, the cuts through them, and Newton's points on the cuts."""
    kappa, gamma_k = (jnp.linspace(0.0, 4.0, 9 if small else 81), jnp.linspace(0.0, 3.0, 7 if small else 61))
    cut_kappa = jnp.linspace(0.0, 4.0, 17 if small else 401)
    newton_kappa = jnp.linspace(0.2, 4.0, 3 if small else 20)
    return Transmissions(
        kappa, gamma_k, *over_grid(gamma_k, kappa),
        cut_kappa, *over_grid(CUTS, cut_kappa),
        newton_kappa, *over_grid(CUTS, newton_kappa, EPSILON),
    )  # fmt: skip


def main(small: bool = False) -> Figure:
    """Draw the surfaces with their cuts, and the cuts by themselves with Newton's points."""
    data = compute(small)
    with plot.style():
        figure = plt.figure(figsize=(7.2, 3.3))
        figure.set_layout_engine("constrained", wspace=0.1)
        space = figure.add_subplot(1, 2, 1, projection="3d", computed_zorder=False)
        plane = figure.add_subplot(1, 2, 2)
        directions = (
            ("$|t_{12}|$, backward", plot.BACKWARD, 0.012, data.backward, data.cut_backward, data.newton_backward),
            ("$|t_{21}|$, forward", plot.FORWARD, -0.012, data.forward, data.cut_forward, data.newton_forward),
        )
        for name, colour, lift, level, cuts, points in directions:
            plot.surface(data.kappa, data.gamma_k, level, colour=colour, alpha=0.4, label=name, ax=space)
            for gamma_k, cut, point in zip(CUTS, cuts, points, strict=True):
                space.plot(data.cut_kappa, jnp.full_like(cut, gamma_k), cut, color=colour, lw=1.2)
                plane.plot(data.cut_kappa, cut, color=colour)
                plane.plot(data.newton_kappa, point, "o", color=colour, mfc="white", ms=3.5)
                plane.text(4.08, cut[-1] + lift, rf"$\gamma_k = {gamma_k:g}$", color=colour, va="center", size=7)
        plane.plot([], [], color=plot.GREY, label="closed form")
        plane.plot([], [], "o", color=plot.GREY, mfc="white", ms=3.5, label=r"Newton, $\epsilon = 10^{-4}$")
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
