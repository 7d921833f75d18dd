r"""A port model of your own: Faraday's isolator
===============================================

Light passes a polariser, a rod of garnet in a magnetic field, and a second polariser at an angle :math:`\varphi`. The
rod turns the polarisation by :math:`\theta` to the same side whichever way the light goes, so that

.. math:: S_{10} = \cos(\theta - \varphi)\, e^{-i\omega\tau}, \qquad S_{01} = \cos(\theta + \varphi)\, e^{-i\omega\tau}.

A model of anything with ports is one class with five members; its metrics, batches, gradients and designs are those of
every other model. The rotation grows with the frequency here, :math:`\theta = \theta_0 (\omega/\omega_0)^2`, as it
does far from resonance: light at the edges of a band leaks back.

(a) Isolation over the frequency for the textbook's 45° and for the rod and the angle that ``maximise_isolation``
chooses at the worst of a band of 10 %, if 1 dB may be lost. (b) Isolation at the worst of the band over both numbers.
On the ridge :math:`\theta_0 + \varphi = 90°` the middle of the band is blocked wholly; along it a shorter rod isolates
more, since what the band spreads is the rotation itself, and costs :math:`\cos^2(\theta - \varphi)`. White: where a dB
is lost, the textbook's device and the one designed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Complex, Float, Int
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import diffnr as nr
import optimize as op
from diffnr import plot
from diffnr.checks import as_scalar, check_fields, real_field

jax.config.update("jax_enable_x64", True)

OMEGA_0 = 1.0  # the middle of the band; frequencies below are shares of it
BAND = (0.95, 1.05)
LOSS = 1.0  # dB, allowed


class FaradayIsolator(nr.AbstractPortModel):
    """Two polarisers with a Faraday rotator between them.

    `rotation`: [], θ₀ at ω = 1, rad; `analyser`: [], φ, rad; `delay`: [], τ, in units of 1/ω.
    """

    rotation: Float[Array, ""] = real_field()  # leaves: they have gradients, and may be freed in a design
    analyser: Float[Array, ""] = real_field()
    delay: Float[Array, ""] = real_field()

    def __init__(self, rotation: ArrayLike, analyser: ArrayLike, delay: ArrayLike = 0.0):
        self.rotation, self.analyser = as_scalar(rotation, "rotation"), as_scalar(analyser, "analyser")
        self.delay = as_scalar(delay, "delay")

    def __check_init__(self) -> None:
        check_fields(self, ())

    @property
    def num_ports(self) -> int:
        return 2

    @property
    def harmonics(self) -> tuple[int, ...]:
        return (1,)  # the response to a tone is a tone

    @property
    def power_normalised(self) -> bool:
        return True  # |b|² is a power, so that insertion loss means something

    @property
    def linear(self) -> bool:
        return True  # so that `scattering` applies

    def respond(
        self, drive: nr.Drive, port: Int[Array, ""], guess: Any = None
    ) -> tuple[Complex[Array, "out harmonic"], Any, Any]:
        theta = self.rotation * (drive.omega / OMEGA_0) ** 2
        forward, backward = jnp.cos(theta - self.analyser), jnp.cos(theta + self.analyser)
        across = jnp.array([[0.0, backward], [forward, 0.0]]) * jnp.exp(-1j * drive.omega * self.delay)
        return (across[:, port] * drive.amplitude)[:, None], (), nr.RESULTS.successful


class Designed(NamedTuple):
    """The textbook's isolator and the one designed, with isolations [omega] in dB."""

    omega: Array
    textbook: FaradayIsolator
    design: op.Design
    isolation: tuple[Array, Array]


def isolation(model: FaradayIsolator, omega: Array) -> Array:
    """Isolation 0 → 1 over 1 → 0, dB."""
    return nr.metrics.isolation(nr.port_response(model, nr.Drive(omega)), out=1, into=0)


def worst(rotation: Array, analyser: Array) -> Array:
    """Isolation at the worse edge of the band."""
    model = FaradayIsolator(rotation, analyser)
    return jnp.min(jax.vmap(lambda omega: isolation(model, omega))(jnp.array(BAND)))


def compute(small: bool = False) -> Designed:
    """Design rotation and angle for the most isolation at the worst of the band."""
    textbook = FaradayIsolator(jnp.pi / 4, jnp.pi / 4, 1.0)
    start = nr.replace(textbook, {"rotation": 0.7, "analyser": 0.75})
    design = op.maximise_isolation(
        start, band=BAND, free=("rotation", "analyser"), out=1, into=0, max_insertion_loss=LOSS, points=3, starts=2
    )
    omega = jnp.linspace(0.9, 1.1, 41 if small else 401)
    curves = [jax.vmap(lambda w, model=model: isolation(model, w))(omega) for model in (textbook, design.model)]
    return Designed(omega, textbook, design, (curves[0], curves[1]))


def main(small: bool = False) -> Figure:
    """Draw isolations and the map of the worst one; print the design."""
    found = compute(small)
    print(found.design.report())
    side = 25 if small else 121
    rotation, analyser = (jnp.radians(jnp.linspace(low, low + 30, side)) for low in (25, 38))
    levels = jax.jit(jax.vmap(jax.vmap(worst, (None, 0)), (0, None)))(rotation, analyser)
    with plot.style():
        figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.9))
        for curve, label, look in zip(found.isolation, ("45°", "designed"), ("--", "-"), strict=True):
            axes[0].plot(found.omega, np.minimum(curve, 60.0), look, color=plot.FORWARD, label=label)
        axes[0].axvspan(*BAND, color="#EFEFEF", zorder=0)
        axes[0].set(xlabel=r"$\omega/\omega_0$", ylabel="isolation, dB", ylim=(0, 60))
        axes[0].set_title("(a) over the frequency; the band is shaded")
        axes[0].legend()
        degrees = np.degrees(np.asarray(rotation)), np.degrees(np.asarray(analyser))
        plot.image(*degrees, np.asarray(levels).T, label="isolation at the worst of the band, dB", ax=axes[1])
        for model, mark in ((found.textbook, "x"), (found.design.model, "o")):
            place = (np.degrees(float(x)) for x in (model.rotation, model.analyser))
            axes[1].plot(*place, mark, color="white", ms=4)
        # At the edge of the band where the rotation is least.
        lost = 10 * np.log10(1 / np.cos(np.radians(np.subtract.outer(degrees[1], BAND[0] ** 2 * degrees[0]))) ** 2)
        axes[1].contour(*degrees, lost, levels=[LOSS], colors="white", linewidths=0.8)
        axes[1].set(xlabel=r"rotation $\theta_0$, degrees", ylabel=r"analyser $\varphi$, degrees")
        axes[1].set_title("(b) at the worst of the band")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
