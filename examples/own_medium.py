r"""A medium of your own: InSb at any temperature
================================================

InSb needs no doping to be a plasma in the terahertz range: heat makes the carriers. A medium is one class that gives
``eps_inf``, ``omega_p``, ``nu`` and ``omega_c``; guides, ports, one frequency and time then know it, and their
gradients reach whatever its numbers are made of: here the temperature and the magnetic field,

.. math:: N = 5.76\cdot 10^{20}\, T^{3/2} e^{-0.13\,\mathrm{eV}/k_B T}\,\mathrm{m}^{-3}, \qquad
          \omega_p^2 = \frac{N e^2}{\varepsilon_0 \varepsilon_\infty m^*}, \qquad \omega_c = \frac{e B}{m^*}.

(a) Waves in 18 µm of InSb under 12 µm of silicon between two metal walls, at 1 THz and .25 T, over the temperature:
lines by cells of 1 µm, rings by the closed form of the same medium. (b) How much the two directions differ, and the
derivative of that difference by the temperature: a thermometer's or a tuner's figure of merit, in one call of
``jax.grad`` through the mode solver.

Source of N(T): Oszwałldowski and Zimpel, J. Phys. Chem. Solids 49, 1179 (1988).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Float
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffnr import fdtd, plot
from diffnr.checks import as_scalar, check_fields, real_field
from diffnr.fdtd import closed_forms

jax.config.update("jax_enable_x64", True)

UM = 1e-6
THZ = 2e12 * np.pi  # rad/s
MASS = 0.014  # of the electrons in InSb, in units of the free one
CHARGE, ELECTRON, VACUUM, BOLTZMANN = 1.602176634e-19, 9.1093837139e-31, 8.8541878188e-12, 8.617333262e-5  # SI; eV/K
SILICON = fdtd.Dielectric(11.68)


class IntrinsicInSb(fdtd.AbstractMedium):
    """Undoped InSb in a field along z, without collisions; `temperature`: [], T, K; `tesla`: [], B, T."""

    temperature: Float[Array, ""] = real_field(lower=0.0)
    tesla: Float[Array, ""] = real_field()

    def __init__(self, temperature: ArrayLike, tesla: ArrayLike):
        self.temperature, self.tesla = as_scalar(temperature, "temperature"), as_scalar(tesla, "tesla")

    def __check_init__(self) -> None:
        check_fields(self, ())

    @property
    def density(self) -> Float[Array, ""]:
        """N, 1/m³."""
        return 5.76e20 * self.temperature**1.5 * jnp.exp(-0.13 / (BOLTZMANN * self.temperature))

    @property
    def eps_inf(self) -> Float[Array, ""]:
        return jnp.full_like(self.temperature, 15.6)

    @property
    def omega_p(self) -> Float[Array, ""]:
        return jnp.sqrt(self.density * CHARGE**2 / (VACUUM * self.eps_inf * MASS * ELECTRON))

    @property
    def nu(self) -> Float[Array, ""]:
        return jnp.zeros_like(self.temperature)

    @property
    def omega_c(self) -> Float[Array, ""]:
        return CHARGE * self.tesla / (MASS * ELECTRON)


class Tuned(NamedTuple):
    """Over the temperature: k [temperature, direction] by the lattice and in closed form, and d(k₊ + k₋)/dT."""

    temperature: Array
    lattice: Array
    exact: np.ndarray
    slope: Array


def layers(temperature: Array) -> list[tuple[float, fdtd.AbstractMedium]]:
    """Thickness in m and medium, from the lower wall up."""
    return [(18 * UM, IntrinsicInSb(temperature, -0.25)), (12 * UM, SILICON)]


def wavenumbers(temperature: Array, cell: float) -> Array:
    """k of the fundamental waves to +x and to −x, rad/m, by the lattice."""
    guide = fdtd.layered_guide(layers(temperature), cell=cell)
    modes = fdtd.guide_modes(guide, 1.0 * THZ, num_modes=1)
    return jnp.stack([modes.forward.k[0], modes.backward.k[0]])


def compute(small: bool = False) -> Tuned:
    """Wavenumbers and the derivative of their sum, which vanishes without a bias."""
    temperature = jnp.linspace(275.0, 335.0, 5 if small else 31)
    cell = (2.0 if small else 1.0) * UM
    lattice = jnp.stack([wavenumbers(t, cell) for t in temperature])
    difference = jax.jit(jax.value_and_grad(lambda t: jnp.sum(wavenumbers(t, cell))))
    slope = jnp.stack([difference(t)[1] for t in temperature])
    exact = [
        [float(closed_forms.guide_wavenumber(layers(t), 1.0 * THZ, guess).real) for guess in row]
        for t, row in zip(temperature, lattice, strict=True)
    ]
    return Tuned(temperature, lattice, np.array(exact), slope)


def main(small: bool = False) -> Figure:
    """Draw both wavenumbers, their difference and its slope; print them at room temperature."""
    found = compute(small)
    T, k = np.asarray(found.temperature), np.asarray(found.lattice)
    middle = T.size // 2
    both = f"{k[middle, 0]:.6g} and {k[middle, 1]:.6g} rad/m"
    print(f"{T[middle]:.0f} K: k = {both}, slope of their sum {found.slope[middle]:.4g} per K")
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.9))
        for side, (colour, label) in enumerate(((plot.FORWARD, "to $+x$"), (plot.BACKWARD, "to $-x$"))):
            axes[0].plot(T, 1e-6 * np.abs(k[:, side]), color=colour, label=label)
            rings = 1e-6 * np.abs(found.exact[:, side])
            axes[0].plot(T, rings, "o", color=colour, mfc="white", mew=0.8, ms=3.6)
        axes[0].set(xlabel="temperature, K", ylabel=r"$|k|$, rad/µm")
        axes[0].set_title("(a) both directions; rings: closed form")
        axes[0].legend()
        axes[1].plot(T, np.sum(k, axis=1), color="black", label=r"$k_+ + k_-$, rad/m")
        axes[1].set(xlabel="temperature, K", ylabel=r"$k_+ + k_-$, rad/m")
        axes[1].ticklabel_format(axis="y", style="sci", scilimits=(3, 3), useMathText=True)
        slope = axes[1].twinx()
        slope.plot(T, found.slope, ":", color=plot.GREY)
        slope.set_ylabel("its slope, rad/m per K", color=plot.GREY)
        slope.spines["right"].set_visible(True)
        axes[1].set_title("(b) their difference, and its slope (dotted)")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
