r"""A response that no sweep finds: the isola of a tuned absorber
=============================================================

A mass on a hardening spring, with an absorber of a twentieth of its mass tuned to it (NLvib's second example). The
absorber keeps the mass quiet, as sweeps over the frequency confirm (triangles, by integration in time, at force 0.17).
But beside the response that sweeps follow there is another one (a): a closed curve, an isola, on which the mass moves
some thirty times as far. A knock leads there (dot: the mass set off with a velocity of 4), and ``isolas=True`` finds
it. (b) The absorber's own motion tells the branches apart: between forces 0.11 and 0.14 the isola is born, and between
0.17 and 0.19 it joins the main branch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import diffnr as nr
from diffnr import duffing, plot

jax.config.update("jax_enable_x64", True)

ABSORBER = duffing.OscillatorNetwork(
    mass=[1.0, 0.05],
    stiffness=[[1.0453, -0.0453], [-0.0453, 0.0453]],
    damping=[[0.015, -0.013], [-0.013, 0.013]],
    force=lambda x: jnp.array([x[0] ** 3 - 0.0042 * (x[1] - x[0]) ** 3, 0.0042 * (x[1] - x[0]) ** 3]),
)
FORCE = 0.17
FORCES = (0.11, 0.14, FORCE, 0.19)
OMEGA = (0.8, 3.0)
KNOCKED, VELOCITY = 2.0, (4.0, 0.0)  # at which frequency, and how fast the two then are


class Isola(NamedTuple):
    """Responses of each force; frequencies and norms of motions that settled, of sweeps up and down; the norm after a
    knock."""

    responses: list[duffing.OrbitBranch]
    up: np.ndarray
    down: np.ndarray
    knocked: float


def response(force: float) -> duffing.OrbitBranch:
    """All branches at a force."""
    return duffing.frequency_response(ABSORBER, amplitude=force, omega=OMEGA, isolas=True, max_points=600).trim()


def sweep(omegas: np.ndarray) -> np.ndarray:
    """Frequency and norm of the main mass where the motion settles, from where it was at the frequency before."""
    x = v = np.zeros(2)
    found = []
    for omega in omegas:
        motion = duffing.settle(ABSORBER, nr.Drive(omega, FORCE), x0=x, v0=v, periods=300, throw=False)
        x, v = np.asarray(motion.x[0]), np.asarray(motion.v[0])
        if motion.converged:  # elsewhere it moves on a torus
            found.append([omega, float(motion.norm[0])])
    return np.array(found)


def compute(small: bool = False) -> Isola:
    """Everything drawn."""
    omegas = np.linspace(*OMEGA, 5 if small else 45)
    responses = [response(force) for force in ((FORCE,) if small else FORCES)]
    knocked = duffing.settle(ABSORBER, nr.Drive(KNOCKED, FORCE), v0=VELOCITY, x0=np.zeros(2), periods=300)
    return Isola(responses, sweep(omegas), sweep(omegas[::-1]), float(knocked.norm[0]))


def main(small: bool = False) -> Figure:
    """Draw the main mass and the absorber; print where the isola ends."""
    data = compute(small)
    shown = data.responses[0 if small else FORCES.index(FORCE)]
    for number in range(2, len(shown.ends)):
        omega = np.asarray(shown.omega)[np.asarray(shown.piece) == number]
        ends = np.sort(np.asarray(shown.folds.omega))
        inside = ends[(ends > omega.min() - 0.05) & (ends < omega.max() + 0.05)]
        print(f"isola at force {FORCE}: folds at omega =", ", ".join(f"{fold:.10f}" for fold in inside))
    with plot.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.3))
        plot.branch(shown, colours="black", ax=left)
        for name, swept, mark in (("sweep up", data.up, ">"), ("sweep down", data.down, "<")):
            left.plot(*swept.T, mark, color=plot.BACKWARD, mfc="none", mew=0.7, ms=4, label=name)
        left.plot(KNOCKED, data.knocked, "o", color=plot.BACKWARD, ms=4.5, label="after a knock", zorder=5)
        plot.branch(data.responses, out=1, labels=[f"force {float(r.amplitude):g}" for r in data.responses], ax=right)
        left.set(title=f"(a) main mass, force {FORCE}", xlim=OMEGA, ylim=(0, None), ylabel="norm $N_1$")
        right.set(title="(b) absorber", xlim=(0.8, 2.2), ylim=(0, None), ylabel="norm $N_2$")
        left.legend(loc="upper left")
        forces = [line for line in right.lines if str(line.get_label()).startswith("force")]
        right.legend(handles=forces, loc="upper right")  # what else there is stands in the other one
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
