r"""A loss law of your own: three-photon absorption
==================================================

Far from resonance an absorber may need three photons at once: the loss of its mode grows as the square of the energy,
:math:`\gamma(a) = c\,|a|^4`. A law is one small class with the field ``mode`` and the method ``rate``; steady states,
time, stability and every optimiser then apply to it. Here it sits in one of two coupled resonators whose ports leak
unequally, which makes the pair nonreciprocal where the power is high.

(a) Transmission both ways over the incident power. Rings: the energies by which the two equations of motion balance,
found by bisection in one real unknown, without diffnr. (b) Isolation, for this law and for two-photon absorption of the
same strength at :math:`|a|^2 = 1`; below, the derivative of the isolation by the coefficient, which no one wrote down.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Complex, Float
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.optimize import root_scalar

import diffnr as nr
from diffnr import plot, tcmt
from diffnr.checks import as_scalar, check_fields, rate_field

jax.config.update("jax_enable_x64", True)

GAMMA = (3.0, 1.0)  # rates into the ports; this and every rate below in one unit
GAMMA_0 = 0.2
KAPPA = 1.5
STRENGTH = 1.0  # of either law, as a rate at |a|² = 1


class ThreePhotonLoss(tcmt.AbstractLoss):
    """γ(a) = c |a_m|⁴, the rate at which mode m loses; `coefficient`: [], c ≥ 0, rate per |a|⁴; `mode`: m."""

    coefficient: Float[Array, ""] = rate_field()  # a leaf, not negative: optimisers keep it so
    mode: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(self, coefficient: ArrayLike, mode: int):
        self.coefficient, self.mode = as_scalar(coefficient, "coefficient"), mode

    def __check_init__(self) -> None:
        check_fields(self, ())  # one real number that is not negative, or a sentence that says so

    def rate(self, a: Complex[Array, " mode"]) -> Float[Array, ""]:
        energy = jnp.real(a[self.mode] * jnp.conj(a[self.mode]))
        return self.coefficient * energy**2


class Responses(NamedTuple):
    """Over the incident power: transmission [power, direction] of the new law, isolation in dB of both, its slope."""

    power: Array
    transmission: Array
    isolation: dict[str, Array]
    slope: Array


def pair(law: tcmt.AbstractLoss) -> tcmt.TwoResonators:
    """Two resonators on resonance, with a law in the one behind port 0."""
    return tcmt.TwoResonators(
        omega=jnp.zeros(2), gamma=jnp.array(GAMMA), gamma_0=jnp.full(2, GAMMA_0), kappa=jnp.array(KAPPA), loss=law
    )


def respond(law: tcmt.AbstractLoss, power: Array) -> nr.PortResponse:
    """The response to a power at either port alone."""
    return nr.port_response(pair(law), nr.Drive(0.0, power=power))


def isolation(coefficient: Array, power: Array, law: type = ThreePhotonLoss) -> Array:
    """Isolation, 1 → 0 over 0 → 1, dB."""
    return nr.metrics.isolation(respond(law(coefficient, 0), power), out=0, into=1)


def compute(small: bool = False) -> Responses:
    """Responses over four decades of power, each decade vectorised with the rest."""
    power = jnp.geomspace(1e-2, 1e2, 21 if small else 121)
    strength = jnp.array(STRENGTH)
    response = jax.jit(jax.vmap(lambda p: respond(ThreePhotonLoss(strength, 0), p).s))(power)
    transmission = jnp.abs(jnp.stack([response[:, 1, 0], response[:, 0, 1]], axis=1)) ** 2
    laws = {"three photons": ThreePhotonLoss, "two photons": tcmt.TwoPhotonLoss}
    levels = {
        name: jax.jit(jax.vmap(lambda p, law=law: isolation(strength, p, law)))(power) for name, law in laws.items()
    }
    slope = jax.jit(jax.vmap(jax.grad(isolation), (None, 0)))(strength, power)
    return Responses(power, transmission, levels, slope)


def balanced(power: float, port: int, coefficient: float = STRENGTH) -> float:
    """Transmission from a port on resonance, by the balance of the energy E of resonator 0 alone.

    With G = γ + γ₀ + cE² of resonator 0 and G' of the other, a₀ (GG' + κ²) = G' √2γ₀ s driven from port 0, and
    a₀ (GG' + κ²) = iκ √2γ₁ s from port 1.
    """
    other = GAMMA[1] + GAMMA_0
    drive = (other**2 * 2 * GAMMA[0], KAPPA**2 * 2 * GAMMA[1])[port] * power

    def surplus(energy: float) -> float:
        rate = GAMMA[0] + GAMMA_0 + coefficient * energy**2
        return energy * (rate * other + KAPPA**2) ** 2 - drive

    energy = float(root_scalar(surplus, bracket=(0.0, 1.0 + drive / KAPPA**4), xtol=1e-15, rtol=1e-14).root)
    if port == 1:  # what leaves port 0 is radiated by the energy itself
        return 2 * GAMMA[0] * energy / power
    return 2 * GAMMA[1] * KAPPA**2 * energy / other**2 / power


def main(small: bool = False) -> Figure:
    """Draw transmissions, isolations and the slope; print the largest isolation of the new law."""
    found = compute(small)
    best = int(jnp.argmax(found.isolation["three photons"]))
    print(f"largest isolation {float(found.isolation['three photons'][best]):.2f} dB at |s|² = {found.power[best]:.3g}")
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.9))
        some = np.asarray(found.power)[:: max(1, found.power.size // 12)]
        for port, (colour, label) in enumerate(((plot.FORWARD, "from port 0"), (plot.BACKWARD, "from port 1"))):
            axes[0].plot(found.power, found.transmission[:, port], color=colour, label=label)
            rings = [balanced(float(p), port) for p in some]
            axes[0].plot(some, rings, "o", color=colour, mfc="white", mew=0.8, ms=3.6)
        axes[0].set(xscale="log", xlabel=r"incident power $|s|^2$", ylabel="transmission", ylim=(0, None))
        axes[0].set_title("(a) both ways")
        axes[0].legend()
        for (name, level), style in zip(found.isolation.items(), ("-", "--"), strict=True):
            axes[1].plot(found.power, level, style, color="black", label=f"{name}, dB")
        axes[1].plot(found.power, found.slope, ":", color=plot.GREY, label="slope by $c$, dB")
        axes[1].set(xscale="log", xlabel=r"incident power $|s|^2$", ylabel="isolation, 1 → 0 over 0 → 1")
        axes[1].set_title("(b) isolation")
        axes[1].legend()
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
