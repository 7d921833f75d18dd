r"""Isolation over input power
==========================

Paper 1, Figure 6: isolation, backward over forward, of two resonators on resonance with :math:`\kappa = 3 \times 10^6`
rad/s. Nonlocal loss isolates alike at every input power. Loss that follows the energy in resonator 2 itself, Kerr-like
:math:`c|a_2|^2` or saturable :math:`c/(1 + |a_2|^2)`, isolates little, and only around some power.

The checked result departs from the printed one. Isolation by nonlocal loss is infinite at :math:`\gamma_k = \kappa`,
and 20 dB need :math:`\gamma_k = 0.957132\,\kappa`. Kerr-like loss isolates the wrong way round: driven forward,
resonator 2 holds less energy and so loses less, and isolation tends to
:math:`\frac{40}{3}\log_{10}(\kappa/G) = -0.9607` dB, with :math:`G = \gamma + \gamma_0`. Saturable loss of c = 3, 10
and 30 (:math:`10^6` rad/s) reaches 0.3582, 1.2939 and 5.7133 dB. Above :math:`c = 8(G + \kappa^2/G) = 48.7` it is
bistable: the response that grows from zero power jumps at a fold. Driven backward it does at less power, since all of
the drive reaches resonator 2. Between the two jumps c = 60 isolates by up to 13.7 dB, but only while power grows.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import diffnr as nr
from diffnr import plot, root, tcmt

jax.config.update("jax_enable_x64", True)

KAPPA = 3.0  # this and every rate below in 1e6 rad/s; |a|² in units of the energy at which saturable loss has halved
GAMMA_0 = 0.5
GAMMA = (GAMMA_0**2 + KAPPA**2) ** 0.5
G = GAMMA + GAMMA_0
KERR_LIMIT = 40 / 3 * jnp.log10(KAPPA / G)
LEVELS = jnp.array([10.0, 20.0, 30.0, 40.0])
SATURABLE = jnp.array([3.0, 10.0, 30.0, 60.0])
R = G + KAPPA**2 / G  # the rate at which resonator 2 loses energy, without saturable loss, with resonator 1 eliminated


class Isolations(NamedTuple):
    """Isolation in dB: [level, power], [power] and [c, power]; γ_k of each level; powers at which c jumps, [c, 2]."""

    power: Array
    gamma_k: Array
    nonlocal_loss: Array
    kerr: Array
    saturable: Array
    jumps: Array


def isolation(loss: tcmt.AbstractLaw, power: Array) -> Array:
    """Isolation in dB of the pair with one law of loss, at one input power that has grown from zero."""
    pair = tcmt.TwoResonators((0.0, 0.0), (GAMMA, GAMMA), (GAMMA_0, GAMMA_0), KAPPA, loss)
    response = nr.port_response(pair, nr.Drive(0.0, power=power), throw=False)
    return nr.metrics.isolation(response, out=0, into=1)


@eqx.filter_jit
def over_power(laws: tcmt.AbstractLaw, power: Array) -> Array:
    """`isolation` of a batch of laws at each power, [law, power]."""
    return jax.vmap(jax.vmap(isolation, (None, 0)), (0, None))(laws, power)


def nonlocal_loss(gamma_k: Array) -> tcmt.NonlocalLoss:
    """The loss of resonator 2 that senses resonator 1."""
    return tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0)


@jax.jit
def gamma_k_of(level: Array) -> Array:
    """The γ_k that isolates by `level` dB, found in the logarithm of 1 − γ_k/κ, in which isolation is nearly linear."""

    def gamma_k(log_gap: Array) -> Array:
        return KAPPA * (1 - jnp.exp(log_gap[0]))

    def excess(log_gap: Array, level: Array) -> Array:
        return (isolation(nonlocal_loss(gamma_k(log_gap)), jnp.ones(())) - level)[None]

    return gamma_k(root.newton(excess, -level[None] / 10, level).value)


def jumps(c: Array) -> Array:
    """Powers at which the state folds, backward and forward, [2]; NaN for c < 8 R.

    With resonator 1 eliminated x = |a_2|² solves x [R + c/(1 + x)]² = 2 γ P · (1 or (κ/G)²), whose left side has its
    first maximum where R x² + (2 R − c) x + R + c = 0.
    """
    x = (c - 2 * R - jnp.sqrt(c * (c - 8 * R))) / (2 * R)
    return x * (R + c / (1 + x)) ** 2 / (2 * GAMMA * jnp.array([1.0, (KAPPA / G) ** 2]))


def compute(small: bool = False) -> Isolations:
    """Every law at every power, and the nonlocal losses for the levels asked for."""
    everywhere, peaks = jnp.logspace(-3.0, 7.0, 11 if small else 201), jnp.logspace(0.5, 2.5, 11 if small else 401)
    power = jnp.sort(jnp.concatenate([everywhere, peaks]))
    gamma_k = jax.vmap(gamma_k_of)(LEVELS)
    levels = over_power(jax.vmap(nonlocal_loss)(gamma_k), power)
    [kerr] = over_power(jax.vmap(lambda c: tcmt.TwoPhotonLoss(coefficient=c, mode=1))(jnp.ones(1)), power)
    saturable = over_power(jax.vmap(lambda c: tcmt.SaturableLoss(coefficient=c, mode=1))(SATURABLE), power)
    return Isolations(power, gamma_k, levels, kerr, saturable, jax.vmap(jumps)(SATURABLE))


def draw_local(data: Isolations, ax: Axes) -> None:
    """The curves of the two local laws, dotted where they jump."""
    ax.plot(data.power, data.kerr, color=plot.BACKWARD, label="Kerr-like")
    for i, (level, jumps) in enumerate(zip(data.saturable, data.jumps, strict=True)):
        there = jnp.searchsorted(data.power, jumps[jnp.isfinite(jumps)])
        power, gaps = jnp.insert(data.power, there, jnp.nan), jnp.insert(level, there, jnp.nan)
        ax.plot(power, gaps, color=plot.GREY, lw=1.1, label="saturable" if i == 0 else None)
        for j, at in enumerate(there):
            sides = jnp.array([at - 1, at])
            ax.plot(data.power[sides], level[sides], ":", color=plot.GREY, lw=0.9, label=None if j else "jump")


def main(small: bool = False) -> Figure:
    """Draw all laws together, and the local ones closer."""
    data = compute(small)
    small_type = {"size": 7, "va": "bottom"}
    with plot.style():
        figure, (everything, close) = plt.subplots(1, 2, figsize=(7.2, 3.0))
        for i, (level, gamma_k) in enumerate(zip(data.nonlocal_loss, data.gamma_k, strict=True)):
            everything.plot(data.power, level, color=plot.FORWARD, label="nonlocal" if i == 0 else None)
            share = rf"$\gamma_k = {gamma_k / KAPPA:.4f}\,\kappa$"
            everything.text(data.power[0] * 2, level[0] + 0.4, share, color=plot.FORWARD, **small_type)
        for ax in (everything, close):
            draw_local(data, ax)
            ax.set(xscale="log", xlabel="input power ($10^6$ rad/s × unit of energy)")
        for c, level in zip(SATURABLE, data.saturable, strict=True):
            top = jnp.argmax(level)
            close.text(
                data.power[top] * 0.55, level[top] - 0.05, f"c = {c:g}", color=plot.GREY, ha="right", **small_type
            )
        close.axhline(KERR_LIMIT, color=plot.BACKWARD, lw=0.8, ls=":")
        limit = f"{KERR_LIMIT:.4f} dB".replace("-", "−")
        close.text(0.12, KERR_LIMIT - 0.05, limit, color=plot.BACKWARD, **{**small_type, "va": "top"})
        everything.set(ylabel="isolation (dB)", xlim=(data.power[0], data.power[-1]), ylim=(-2, 45))
        close.set(title="the local laws, closer", ylabel="isolation (dB)", xlim=(0.1, 1e5), ylim=(-2, 15))
        figure.legend(*everything.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
