r"""A million isolators in one call
==================================

Isolation of two resonators with nonlocal loss, backward over forward, over the loss :math:`\gamma_k`, their coupling
:math:`\kappa` and the detuning of the drive: a cube of 100 × 100 × 100 devices, each driven from both sides, by one
compiled and vectorised call, and three slices of it. Isolation grows without limit as :math:`\gamma_k` approaches
:math:`\kappa`, at every detuning; with strong coupling detuning hardly matters.
"""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import diffnr as nr
from diffnr import plot, tcmt

jax.config.update("jax_enable_x64", True)

GAMMA_0 = 0.5  # this and every rate below in 1e6 rad/s
SHOWN = (0.3, 1.5, 3.0)
LEVELS = (10, 20, 30, 40)


class Cube(NamedTuple):
    """Isolation in dB, [gap, kappa, detuning], where gap = 1 − γ_k/κ."""

    gap: Array
    kappa: Array
    detuning: Array
    isolation: Array


def isolation(gap: Array, kappa: Array, detuning: Array) -> Array:
    """Isolation in dB of one device at one detuning, with ports that match at γ_k = 0."""
    gamma = jnp.sqrt(GAMMA_0**2 + kappa**2)
    loss = tcmt.NonlocalLoss((1 - gap) * kappa, mode=1, sensed=0)
    pair = tcmt.TwoResonators((0.0, 0.0), (gamma, gamma), (GAMMA_0, GAMMA_0), kappa, loss)
    return nr.metrics.isolation(nr.port_response(pair, nr.Drive(detuning)), out=0, into=1)


@jax.jit
def over_grid(gap: Array, kappa: Array, detuning: Array) -> Array:
    """`isolation` on the grid [gap, kappa, detuning], all of it at once."""
    along_detuning = jax.vmap(isolation, (None, None, 0))
    along_kappa = jax.vmap(along_detuning, (None, 0, None))
    return jax.vmap(along_kappa, (0, None, None))(gap, kappa, detuning)


def compute(small: bool = False) -> Cube:
    """The cube of a million points; `small` has fewer, but the couplings shown too."""
    gap = jnp.geomspace(1e-3, 1.0, 7 if small else 100)
    kappa = jnp.linspace(0.3, 3.0, 10) if small else jnp.linspace(0.03, 3.0, 100)
    detuning = jnp.linspace(-5.0, 5.0, 8 if small else 100)
    return Cube(gap, kappa, detuning, over_grid(gap, kappa, detuning))


def main(small: bool = False) -> Figure:
    """Compute the cube twice, since the first call compiles; print how long the second takes; draw three slices."""
    jax.block_until_ready(compute(small))
    start = time.perf_counter()
    cube = jax.block_until_ready(compute(small))
    print(f"{cube.isolation.size} steady states in both directions: {time.perf_counter() - start:.2f} s")
    with plot.style():
        figure, axes = plt.subplots(1, len(SHOWN), figsize=(7.2, 2.6), sharey=True)
        for ax, kappa in zip(axes, SHOWN, strict=True):
            index = int(np.argmin(np.abs(cube.kappa - kappa)))
            ax.set(yscale="log", ylim=(1, 1e-3), title=rf"$\kappa = {kappa:g} \times 10^6$ rad/s")
            plot.image(cube.detuning, cube.gap, cube.isolation[:, index], levels=LEVELS, vmin=0, vmax=60, ax=ax)
            ax.set(xlabel=r"detuning ($10^6$ rad/s)")
        axes[0].set_ylabel(r"$1 - \gamma_k/\kappa$")
        figure.colorbar(axes[-1].collections[0], ax=axes, label="isolation (dB)", extend="max")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
