"""Figure 5's pulse through two resonators with nonlocal loss: transients, their gradients, and a batch of them.

diffnr's proximal method on the exact law beside scipy's explicit and implicit methods, which meet the same law's edge
where a mode comes to rest. The error is that of the energy transmitted, against the value to ten digits of an
independent solver. Prints a Markdown table.

    python benchmarks/transients.py [pulses in a batch]
"""

import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
from jax import Array
from report import heading, median, seconds, table

from diffnr import tcmt

jax.config.update("jax_enable_x64", True)

KAPPA, GAMMA_0 = 0.3, 0.5
GAMMA = (GAMMA_0**2 + KAPPA**2) ** 0.5
TIMES = jnp.linspace(0.0, 40.0, 81)
TRANSMITTED = 0.2261245403
RUNS = 9


@jax.jit
def energy(width: Array, gamma_k: Array) -> Array:
    """The energy transmitted backward."""
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0)
    pair = tcmt.TwoResonators((0.0, 0.0), (GAMMA, GAMMA), (GAMMA_0, GAMMA_0), KAPPA, loss)
    return tcmt.simulate(pair, tcmt.GaussianPulse([0.0, 1.0], 10.0, width / 2**0.5), TIMES).energy_out[-1, 0]


def scipy_energy(method: str, rtol: float) -> tuple[float, int]:
    """The same by scipy, with the energy as one more unknown; and the evaluations it took."""
    G, drive = GAMMA + GAMMA_0, (2 * GAMMA) ** 0.5

    def slope(t: float, y: np.ndarray) -> list[float]:
        a1, a2 = complex(y[0], y[1]), complex(y[2], y[3])
        pulse = np.exp(-(((t - 10.0) / 3.0) ** 2))
        friction = KAPPA * abs(a1) * a2 / abs(a2) if a2 else 0.0
        d1, d2 = -G * a1 + 1j * KAPPA * a2, -G * a2 + 1j * KAPPA * a1 - friction + drive * pulse
        return [d1.real, d1.imag, d2.real, d2.imag, abs(drive * a1) ** 2]

    solution = scipy.integrate.solve_ivp(slope, (0.0, 40.0), np.zeros(5), method=method, rtol=rtol, atol=rtol)
    return float(solution.y[-1, -1]), int(solution.nfev)


def compiled(call: Callable[[], Array]) -> tuple[float, list[float]]:
    """Seconds of the first call, which compiles, and of the next ones."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start, seconds(lambda: jax.block_until_ready(call()), RUNS)


def main(batch: int) -> None:
    width, gamma_k, widths = jnp.asarray(3.0), jnp.asarray(KAPPA), jnp.linspace(1.0, 5.0, batch)
    gradient, many = jax.jit(jax.grad(energy, (0, 1))), jax.jit(jax.vmap(energy, (0, None)))
    rows: list[list] = []
    first, again = compiled(lambda: energy(width, gamma_k))
    error = abs(float(energy(width, gamma_k)) / TRANSMITTED - 1)
    rows.append(["diffnr, one pulse", first, 1e3 * median(again), error])
    first, again = compiled(lambda: gradient(width, gamma_k)[0])
    rows.append(["diffnr, its gradient in width and γ_k", first, 1e3 * median(again), ""])
    first, again = compiled(lambda: many(widths, gamma_k))
    rows.append([f"diffnr, {batch} pulses by vmap, each", first, 1e3 * median(again) / batch, ""])
    for method, rtol in (("RK45", 1e-6), ("RK45", 1e-8), ("LSODA", 1e-8), ("Radau", 1e-6)):
        again = seconds(lambda method=method, rtol=rtol: scipy_energy(method, rtol), 3)
        value, count = scipy_energy(method, rtol)
        name = f"scipy {method}, rtol = {rtol:g} ({count} evaluations)"
        rows.append([name, "", 1e3 * median(again), abs(value / TRANSMITTED - 1)])
    print(heading("Transients", f"python benchmarks/transients.py {batch}"))
    print(table(["", "first call (s)", "again (ms)", "relative error"], rows))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
