r"""Reciprocity restored by a hand-written optax loop
=================================================

A stiffness chosen for two oscillators of different masses to answer alike from both sides: :math:`R^2` at the peak of
the forward output of the upper resonance, descended by Adam. Its value and gradient come from diffnr; the peak is a
root of the derivative of the output's norm, which ``diffnr.root.newton`` differentiates in turn. The loop ends at the
value of ``optimize.restore_reciprocity`` (dashed), where :math:`R` is not 0 but least.
"""

import jax
import jax.numpy as jnp
import optax
from matplotlib import pyplot as plt

from diffnr import Drive, duffing, metrics, plot, port_response, replace, root
from optimize import restore_reciprocity

jax.config.update("jax_enable_x64", True)
PAIR = duffing.DuffingPair(mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05)
AMPLITUDE = 0.15


def slope(omega, args):
    model, state = args

    def norm(omega):
        return jnp.sum(jnp.abs(port_response(model, Drive(omega, AMPLITUDE), guess=state, throw=False).b[1, 0]) ** 2)

    return jax.grad(norm)(omega[0])[None]


def cost(ratio, omega, state):
    model = replace(PAIR, {"stiffness_ratio": ratio})
    omega = root.newton(slope, omega[None], (model, state)).value[0]
    response = port_response(model, Drive(omega, AMPLITUDE), guess=state, throw=False)
    return metrics.reciprocity_norm(response) ** 2, (omega, response.state)


@plot.style()
def main(small=False):
    best = restore_reciprocity(PAIR, amplitude=AMPLITUDE, free="stiffness_ratio", resonance=1)
    ratio, history, steps = jnp.array(11.0), [], 200
    pair = replace(PAIR, {"stiffness_ratio": ratio})
    omega = duffing.linear_frequencies(pair)[1]
    state = port_response(pair, Drive(omega, AMPLITUDE)).state
    adam, step = optax.adam(optax.cosine_decay_schedule(0.1, steps)), jax.jit(jax.value_and_grad(cost, has_aux=True))
    memory = adam.init(ratio)
    for _ in range(steps):
        (R2, (omega, state)), gradient = step(ratio, omega, state)
        history.append((ratio, jnp.sqrt(R2)))
        updates, memory = adam.update(gradient, memory)
        ratio = optax.apply_updates(ratio, updates)
    print(f"r = {ratio:.9g}, R = {history[-1][1]:.7g}", best.report(), sep="\n")
    figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.6))
    for ax, values, target in zip(axes, jnp.array(history).T, (best.ratio, best.reciprocity_norm), strict=True):
        ax.plot(values)
        ax.axhline(float(target), color="black", ls="--", lw=0.8, label="restore_reciprocity")
        ax.set_xlabel("optax step")
    axes[0].set_ylabel("stiffness ratio $r$")
    axes[0].legend(loc="lower right")
    axes[1].set(ylabel="$R$", yscale="log")
    return figure


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
