r"""What a guide carries: with a bias and without one
=================================================

Paper 3, Figure S1: 18 µm of InSb under 12 µm of silicon between two metal walls. Lines: the waves of the lattice with
cells of .5 µm, by ``fdtd.dispersion``, without collisions. Rings: the closed form. (a) Without a bias both directions
are alike. (b) With the bias into the page, :math:`\omega_c = -.25\,\omega_p`, they are not: between the tops of the two
surface waves' bands, 1.283 and 1.783 THz (dotted), waves go to :math:`+x` alone.

Towards such a top the wave becomes infinitely slow and short; the lattice loses it before, 60 and 80 GHz for each µm of
its cells (where lines end). But it knows that the guide has a wave there, and the band (shaded) is the guide's.
Besides the wave at the face of InSb and silicon there is one at the lower wall, below :math:`|\omega_c|/2\pi` = .5 THz
and to :math:`-x` alone; above 1.84 THz waves go through the bulk of the InSb, some of them backward ones, whose phase
goes against their power.
"""

import warnings
from typing import NamedTuple

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from diffnr import fdtd, plot
from diffnr.fdtd import closed_forms

jax.config.update("jax_enable_x64", True)

UM = 1e-6
THZ = 2e12 * np.pi  # rad/s
OMEGA_P = 2 * THZ
SILICON = fdtd.Dielectric(11.68)
BIASES = (0.0, -0.25)  # ω_c/ω_p
EVERY = 7  # of the lattice's frequencies has points of the closed form


class Guide(NamedTuple):
    """A guide's waves, and k of the closed form beside each of them to +x and to −x, rad/m, [point, mode]."""

    found: fdtd.Dispersion
    forward: np.ndarray
    backward: np.ndarray


def layers(bias: float) -> list[tuple[float, fdtd.AbstractMedium]]:
    """Thickness in m and medium, from the lower wall up."""
    return [(18 * UM, fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, bias * OMEGA_P)), (12 * UM, SILICON)]


def tops(bias: float) -> tuple[float, float]:
    """Where the bands of surface waves to −x and +x end, in THz: ω(ω ± ω_c) = ω_p²/(1 + ε_Si/ε∞)."""
    tilt, square = abs(bias) * OMEGA_P / 2, OMEGA_P**2 / (1 + 11.68 / 15.6)
    root = np.hypot(tilt, np.sqrt(square))
    return (root - tilt) / THZ, (root + tilt) / THZ


def exact(bias: float, omegas: np.ndarray, k: np.ndarray) -> np.ndarray:
    """k in closed form, [point, mode], each nearest to one of the lattice's, which tells which wave is meant."""
    nearest = lambda omega, guess: closed_forms.guide_wavenumber(layers(bias), omega, guess).real  # noqa: E731
    roots = [
        [float(nearest(omega, at)) if np.isfinite(at) else np.nan for at in row]
        for omega, row in zip(omegas, k, strict=True)
    ]
    return np.array(roots)


def compute(small: bool = False) -> tuple[Guide, Guide]:
    """Without a bias and with it."""
    # Not at .5 THz itself, where ω = |ω_c| and ε is infinite.
    f = np.linspace(0.105, 1.995, 65 if small else 136)
    guides = []
    for bias in BIASES:
        with warnings.catch_warnings():  # of the waves that the cells do not resolve, near the tops
            warnings.simplefilter("ignore", RuntimeWarning)
            found = fdtd.dispersion(
                fdtd.layered_guide(layers(bias), (1.5 if small else 0.5) * UM), f * THZ, num_modes=3
            )
        sides = (np.asarray(waves.k)[::EVERY] for waves in (found.modes.forward, found.modes.backward))
        guides.append(Guide(found, *(exact(bias, f[::EVERY] * THZ, side) for side in sides)))
    return guides[0], guides[1]


def draw(ax: Axes, bias: float, guide: Guide) -> None:
    """One dispersion with closed form points."""
    plot.dispersion(guide.found, cladding=SILICON, legend=False, ax=ax)
    f = np.asarray(guide.found.omegas)[::EVERY] / THZ
    for k, colour in ((guide.forward, plot.FORWARD), (guide.backward, plot.BACKWARD)):
        ax.plot(1e-6 * k, f, "o", mfc="white", mec=colour, mew=0.8, ms=3.6)
    for top in set(tops(bias)):
        ax.axhline(top, color=plot.GREY, ls=":", lw=0.9)
    ax.set(xlim=(-0.42, 0.42), ylim=(0.1, 1.95))


def main(small: bool = False) -> Figure:
    """Draw both dispersions; print the lattice's one-way bands."""
    guides = compute(small)
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.7), sharey=True)
        for ax, bias, guide in zip(axes, BIASES, guides, strict=True):
            draw(ax, bias, guide)
            for low, high in guide.found.one_way_bands():
                print(f"ω_c = {bias:g} ω_p: one way from {low / THZ:.3f} to {high / THZ:.3f} THz")
        axes[0].set_title(r"(a) no bias")
        axes[1].set(title=r"(b) bias into the page, $\omega_c = -0.25\,\omega_p$", ylabel="")
        axes[0].plot([], [], "o", mfc="white", mec=plot.GREY, mew=0.8, ms=3.6, label="closed form")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
