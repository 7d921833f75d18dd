r"""NLvib's two examples
====================

The two examples that the MATLAB code NLvib is introduced by (M. Krack and J. Gross, *Harmonic Balance for Nonlinear
Vibration Problems*, Springer, 2019), by one function each.

(a) The Duffing oscillator :math:`x'' + 0.05 x' + x + 0.1 x^3 = 0.18 \cos\omega t`: a resonance that hangs over to
higher frequencies, between two folds. (b) A mass on a hardening spring with a light nonlinear absorber: between the two
Neimark–Sacker points its response is no longer periodic, though no fold warns of it, and two more folds lie to the
right of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffnr import duffing, plot

jax.config.update("jax_enable_x64", True)

SINGLE = duffing.OscillatorNetwork(mass=[1.0], stiffness=[1.0], damping=0.05, force=lambda x: 0.1 * x**3)
ABSORBER = duffing.OscillatorNetwork(
    mass=[1.0, 0.05],
    stiffness=[[1.0453, -0.0453], [-0.0453, 0.0453]],
    damping=[[0.015, -0.013], [-0.013, 0.013]],
    force=lambda x: jnp.array([x[0] ** 3 - 0.0042 * (x[1] - x[0]) ** 3, 0.0042 * (x[1] - x[0]) ** 3]),
)


class Examples(NamedTuple):
    """The response of each, and the first one's peak."""

    single: duffing.OrbitBranch
    peak: duffing.Points
    absorber: duffing.OrbitBranch


def compute() -> Examples:
    """Both responses."""
    single = duffing.frequency_response(SINGLE, amplitude=0.18, omega=(0.5, 1.6), num_harmonics=7)
    absorber = duffing.frequency_response(ABSORBER, amplitude=0.11, omega=(0.8, 1.4), port=0)
    return Examples(single.trim(), single.peaks(out=0, most=2).trim(), absorber.trim())


def numbers(points: duffing.Points, out: int = 0) -> str:
    """Frequencies of points and the norms there."""
    return ", ".join(
        f"{omega:.10f} (norm {norm:.10f})" for omega, norm in zip(points.omega, points.norm[:, out], strict=True)
    )


def main(small: bool = False) -> Figure:
    """Draw both responses; print their folds, the first one's peak and the second one's Neimark–Sacker points.

    `small` changes nothing: they are computed in a moment.
    """
    data = compute()
    print("Duffing oscillator: folds at omega =", numbers(data.single.folds))
    print("  peak at omega =", numbers(data.peak))
    print("absorber: folds at omega =", numbers(data.absorber.folds))
    print("  Neimark–Sacker points at omega =", numbers(data.absorber.neimark_sacker.trim()))
    with plot.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.9))
        plot.branch(data.single, colours="black", ax=left)
        for out, (name, omega, norm) in enumerate((("main mass", 0.83, 0.43), ("absorber", 0.83, 1.5))):
            plot.branch(data.absorber, out=out, colours=plot.COLOURS[out], ax=right)
            right.text(omega, norm, name, color=plot.COLOURS[out])
        left.set(title="(a) Duffing oscillator, force 0.18", ylabel="norm $N$", xlim=(0.5, 1.6), ylim=(0, None))
        right.set(title="(b) mass with an absorber, force 0.11", ylabel="norm $N$", xlim=(0.8, 1.4), ylim=(0, None))
        left.legend(loc="upper left")
        right.legend(loc="upper right")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
