"""An isolator by a hand-written optax loop
===========================================

Nonlocal loss and coupling, moved together to pass the most backward and leak the least forward: diffnr and optax alone.
"""

import jax
import jax.numpy as jnp
import optax
from matplotlib import pyplot as plt

from diffnr import Drive, metrics, plot, port_response, replace, tcmt

jax.config.update("jax_enable_x64", True)
PAIR = tcmt.TwoResonators((0, 0), (3, 3), (0.5, 0.5), kappa=1, loss=tcmt.NonlocalLoss(0.5, mode=1, sensed=0))


def cost(log_rates):
    response = port_response(replace(PAIR, jax.tree.map(jnp.exp, log_rates)), Drive(omega=0.0))
    passed, leaked = (metrics.transmission(response, out=out, into=1 - out) for out in (0, 1))
    return 2 * leaked - passed, -10 * jnp.log10(jnp.array([leaked, passed]))


@plot.style()
def main(small=False):
    log_rates, history = {"loss.gamma_k": jnp.log(0.5), "kappa": jnp.log(1.0)}, []
    adam, step = optax.adam(0.03), jax.jit(jax.value_and_grad(cost, has_aux=True))
    state = adam.init(log_rates)
    for _ in range(30 if small else 200):
        (_, losses), slope = step(log_rates)
        updates, state = adam.update(slope, state)
        log_rates, history = optax.apply_updates(log_rates, updates), [*history, losses]
    print(jax.tree.map(jnp.exp, log_rates), jnp.array(history)[::20], sep="\n")
    ax = plt.figure(figsize=(3.5, 2.6)).add_subplot(xlabel="optax step", ylabel="insertion loss (dB)")
    ax.legend(ax.plot(history), ["forward, blocked", "backward, passed"])
    return plt.gcf()


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
