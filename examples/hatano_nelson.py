r"""A Hatano–Nelson chain made by nonlocal loss
===========================================

Nine resonators in a row, coupled to their neighbours by :math:`\kappa`; each loses in proportion to the amplitude of
the one on its left. Paper 1 proposes such chains to imitate the ideal one of Hatano and Nelson, whose coupling is
:math:`\kappa - \gamma_k` to the right and :math:`\kappa` to the left. There the eigenmodes
:math:`\propto (1 - \gamma_k/\kappa)^{j/2}` gather at the left end (the skin effect), and isolation grows by
:math:`20\log_{10}\frac{\kappa}{\kappa - \gamma_k}` dB a site.

On resonance, a wave that travels right meets just this ideal chain. But nonlocal loss opposes whatever arrives, so that
a wave that travels left meets :math:`\kappa + \gamma_k` where the ideal chain has :math:`\kappa - \gamma_k`. Every
state thus has an effective Hamiltonian of its own, whose eigenmodes gather where the chain is driven. Energy falls off
to the left of that, too, while the ideal chain, which is no passive device, keeps it up. Isolation still grows with
length, if by 8.9 instead of 14.0 dB a site at :math:`\gamma_k = 0.8\kappa`; it varies with the detuning, the ideal one
does not.

For :math:`\gamma_k\cos\frac{\pi}{N+1} < G`, where G is all the linear loss of a site, there is one response to any
drive: a long chain bears half the :math:`\gamma_k` of a pair.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import plot, tcmt

jax.config.update("jax_enable_x64", True)

SITES = 9
MIDDLE, LAST = SITES // 2, SITES - 1
KAPPA = 1.0  # the unit of every rate
GAMMA, GAMMA_0 = 0.6, 0.2  # of every site, into its port and by itself
GAMMA_K = (0.0, 0.4, 0.8)
COLOURS = (plot.GREY, plot.COLOURS[3], plot.COLOURS[2])
LAWS = (tcmt.NonlocalLoss, tcmt.IdealNonreciprocalCoupling)
Law = type[tcmt.NonlocalLoss] | type[tcmt.IdealNonreciprocalCoupling]


class Chains(NamedTuple):
    """What chains of either law do; isolations are of left over right transmission between the ends, in dB.

    `energy` [law, gamma_k, site], driven in the middle and over the middle's; `modes` [driven site, site], mean energy
    of the eigenmodes with nonlocal loss when driven left, in the middle and right, `ideal_modes` [site] with the ideal
    coupling, both at the largest γ_k; `by_length` [law, gamma_k, length]; `by_detuning` [law, gamma_k, detuning].
    """

    energy: Array
    modes: Array
    ideal_modes: Array
    length: Array
    by_length: Array
    detuning: Array
    by_detuning: Array


def chain(law: Law, gamma_k: float, length: int = SITES) -> tcmt.CoupledModes:
    """A row of resonators with a port each, cut off after `length` of them: one size, that compiles once."""
    linked = (jnp.arange(LAST) < length - 1).astype(float)
    omega = KAPPA * jnp.diag(linked, 1)
    laws = tuple(law(gamma_k * linked[j], mode=j + 1, sensed=j) for j in range(LAST))
    loss, terms = (laws, ()) if law is tcmt.NonlocalLoss else ((), laws)
    D = (2 * GAMMA) ** 0.5 * jnp.eye(SITES)
    return tcmt.CoupledModes(omega + omega.T, D, gamma_i=jnp.full(SITES, GAMMA_0), loss=loss, terms=terms)


def driven(model: tcmt.CoupledModes, site: int, detuning: float = 0.0) -> tcmt.SteadyState:
    """The steady state with one site driven through its port."""
    return tcmt.steady_state(model, detuning, jnp.zeros(SITES).at[site].set(1.0))


def energy(law: Law, gamma_k: float) -> Array:
    """|a_j|² of a chain driven in the middle, over that of the middle, [site]."""
    a = driven(chain(law, gamma_k), MIDDLE).a
    return jnp.abs(a / a[MIDDLE]) ** 2


def isolation(law: Law, gamma_k: float, length: int = SITES, detuning: float = 0.0) -> Array:
    """Left over right transmission between the ends of a chain, 20 log10 |S[0, −1] / S[−1, 0]|, dB."""
    model, last = chain(law, gamma_k, length), length - 1
    left = driven(model, last, detuning).s_minus[0]
    right = driven(model, 0, detuning).s_minus[last]
    return 20 * jnp.log10(jnp.abs(left / right))


def modes(law: Law, site: int) -> Array:
    """Energy of the normalised eigenmodes of H_eff when a site is driven, the mean over all modes, [site]."""
    hamiltonian = tcmt.effective_hamiltonian(chain(law, GAMMA_K[-1]), 0.0, port=site)
    return jnp.mean(jnp.abs(jnp.linalg.eig(hamiltonian)[1]) ** 2, axis=1)


def compute(small: bool = False) -> Chains:
    """Everything drawn; a loop, since one compiled solve of a few milliseconds serves all of it."""
    length = range(2, SITES + 1, 3 if small else 1)
    detuning = jnp.linspace(0.0, 3.0, 3 if small else 21)

    def table(f: Callable[[Law, float], Array | list[Array]]) -> Array:
        return jnp.array([[f(law, gamma_k) for gamma_k in GAMMA_K] for law in LAWS])

    return Chains(
        energy=table(energy),
        modes=jnp.array([modes(tcmt.NonlocalLoss, site) for site in (0, MIDDLE, LAST)]),
        ideal_modes=modes(tcmt.IdealNonreciprocalCoupling, 0),
        length=jnp.array(length),
        by_length=table(lambda law, gamma_k: [isolation(law, gamma_k, n) for n in length]),
        detuning=detuning,
        by_detuning=table(lambda law, gamma_k: [isolation(law, gamma_k, detuning=d) for d in detuning]),
    )


def draw(x: Array, levels: Array, ax: Axes, style: str = "o-") -> None:
    """Nonlocal chains as full lines, ideal ones as broken ones, in a colour for each γ_k."""
    for colour, gamma_k, level, ideal in zip(COLOURS, GAMMA_K, *levels, strict=True):
        ax.plot(x, ideal, "--", color=colour, lw=1.0)
        ax.plot(x, level, style, color=colour, label=rf"$\gamma_k/\kappa = {gamma_k / KAPPA:g}$")


def main(small: bool = False) -> Figure:
    """Draw energies, eigenmodes, and isolation over length and over detuning."""
    data = compute(small)
    site = jnp.arange(SITES) + 1
    with plot.style():
        figure, ((energies, eigen), (lengths, detunings)) = plt.subplots(2, 2, figsize=(7.2, 5.2))
        draw(site, data.energy, energies)
        draw(data.length, data.by_length, lengths)
        draw(data.detuning, data.by_detuning, detunings, "-")
        names = (("left", plot.FORWARD), ("in the middle", plot.GREY), ("right", plot.BACKWARD))
        for (name, colour), mean in zip(names, data.modes, strict=True):
            eigen.plot(site, mean, "o-", color=colour, label=f"driven {name}")
        eigen.plot(site, data.ideal_modes, "--", color="black", lw=1.0, label="ideal, however driven")
        energies.plot([], [], "--", color="black", lw=1.0, label="ideal")
        for ax in (energies, eigen):
            ax.set(xlabel="site", xticks=site, yscale="log")
        energies.set(title="energy, driven in the middle", ylabel=rf"$|a_j/a_{MIDDLE + 1}|^2$")
        eigen.set(title=rf"eigenmodes at $\gamma_k/\kappa = {GAMMA_K[-1] / KAPPA:g}$", ylabel="mean $|v_j|^2$")
        lengths.set(title="isolation on resonance", xlabel="number of sites", xticks=data.length)
        detunings.set(title=f"isolation of {SITES} sites", xlabel=r"detuning / $\kappa$")
        for ax in (lengths, detunings):
            ax.set(ylabel="isolation (dB)", ylim=(-5, 118))
        energies.legend(loc="lower left")
        eigen.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
