r"""Nonreciprocal coupling from nonlocal loss
============================================

Paper 1, Figure 2: the effective coupling between two resonators, one of which loses in proportion to the other's
amplitude, over the strength :math:`\gamma_k` of that loss and the detuning. Forward (in at port 1, out at port 2) it
falls from :math:`\kappa` to 0; backward it stays :math:`\kappa`.

The checked result departs from the printed one. With the right root of the phase,
:math:`\delta\varphi = \pi/2 - \operatorname{atan2}(\Delta_2\rho,\, G_2\rho + \gamma_k)`, the forward coupling is 0 from
:math:`\gamma_k = \kappa` on at every detuning, not on resonance alone. The caption calls these couplings
:math:`t_{12}` and :math:`t_{21}`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffnr import plot, tcmt

jax.config.update("jax_enable_x64", True)

KAPPA = jnp.pi  # this and every rate below in 1e6 rad/s
GAMMA_0 = 0.5
GAMMA = jnp.sqrt(GAMMA_0**2 + KAPPA**2)


class Couplings(NamedTuple):
    """Moduli of the effective coupling, [gamma_k, detuning], 1e6 rad/s."""

    gamma_k: Array
    detuning: Array
    forward: Array
    backward: Array


@jax.jit
def couplings(gamma_k: Array, detuning: Array) -> tuple[Array, Array]:
    """|effective coupling| forward and backward, at one nonlocal loss and one detuning."""
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0)
    pair = tcmt.TwoResonators((0.0, 0.0), (GAMMA, GAMMA), (GAMMA_0, GAMMA_0), KAPPA, loss)
    forward = tcmt.effective_coupling(pair, detuning, out=1, into=0)
    backward = tcmt.effective_coupling(pair, detuning, out=0, into=1)
    return jnp.abs(forward), jnp.abs(backward)


def compute(small: bool = False) -> Couplings:
    """The two surfaces, on a grid that holds Δ₂ = 0 and γ_k = κ."""
    gamma_k = jnp.linspace(0.0, 1.2 * KAPPA, 13 if small else 121)
    detuning = jnp.linspace(-5.0, 5.0, 11 if small else 101)
    over_grid = jax.vmap(jax.vmap(couplings, (None, 0)), (0, None))
    return Couplings(gamma_k, detuning, *over_grid(gamma_k, detuning))


def main(small: bool = False) -> Figure:
    """Draw both surfaces and where γ_k = κ."""
    data = compute(small)
    with plot.style():
        figure = plt.figure(figsize=(4.6, 3.7))
        ax = figure.add_subplot(projection="3d", computed_zorder=False)
        grid = data.detuning, data.gamma_k
        plot.surface(*grid, data.forward, colour=plot.FORWARD, label="forward, 1 → 2", ax=ax)
        edge = jnp.full_like(data.detuning, KAPPA)
        ax.plot(data.detuning, edge, 0 * edge, color="black", label=r"$\gamma_k = \kappa$", zorder=3)
        plot.surface(*grid, data.backward, colour=plot.BACKWARD, alpha=0.35, label="backward, 2 → 1", ax=ax)
        ax.set(
            xlabel=r"detuning $\Delta_2$ ($10^6$ rad/s)",
            ylabel=r"nonlocal loss $\gamma_k$ ($10^6$ rad/s)",
            zlabel=r"|effective coupling| ($10^6$ rad/s)",
            zlim=(0, 3.5),
        )
        ax.view_init(elev=20, azim=35)
        ax.set_box_aspect((1.1, 1.1, 0.85), zoom=0.9)  # pyright: ignore[reportArgumentType]
        ax.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
