"""One table of systems whose solution and gradient are known in closed form; solver tests are parametrised over it.

`ROOTS` are algebraic systems F(y, args) = 0, `PAIRS` two resonators with nonlocal loss. Every formula here is written
down by hand, apart from the code under test.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import diffnr as nr
from diffnr import tcmt
from diffnr.checks import is_concrete


@dataclass(frozen=True)
class Root:
    """F(y, args) = 0 with its root y(args) and its gradient dy/dargs, both in closed form."""

    name: str
    residual: Callable[[Array, Array], Array]
    guess: tuple[float, ...]
    args: tuple[float, ...]
    root: Callable[[Array], Array]
    gradient: Callable[[Array], Array]  # [unknown, argument]


_MATRIX = np.array([[4.0, 1.0, 0.0], [-1.0, 3.0, 2.0], [0.5, 0.0, 2.0]])

ROOTS = (
    Root("square root", lambda y, a: y**2 - a, (3.0,), (2.0,), jnp.sqrt, lambda a: jnp.diag(0.5 / jnp.sqrt(a))),
    Root("logarithm", lambda y, a: jnp.exp(y) - a, (4.0,), (5.0,), jnp.log, lambda a: jnp.diag(1 / a)),
    Root(
        "root at the origin",
        lambda y, a: jnp.sinh(y) - a,
        (2.0,),
        (0.0,),
        jnp.arcsinh,
        lambda a: jnp.diag(1 / jnp.sqrt(1 + a**2)),
    ),
    Root(
        "linear",
        lambda y, a: jnp.asarray(_MATRIX, y.dtype) @ y - a,
        (0.0, 0.0, 0.0),
        (1.0, -2.0, 0.5),
        lambda a: jnp.asarray(np.linalg.inv(_MATRIX), a.dtype) @ a,
        lambda a: jnp.asarray(np.linalg.inv(_MATRIX), a.dtype),
    ),
    Root(  # x² + y² = r², y = m x, args (r, m)
        "circle and line",
        lambda y, a: jnp.stack([y[0] ** 2 + y[1] ** 2 - a[0] ** 2, y[1] - a[1] * y[0]]),
        (1.0, 0.2),
        (2.0, 0.75),
        lambda a: a[0] / jnp.sqrt(1 + a[1] ** 2) * jnp.stack([jnp.ones_like(a[1]), a[1]]),
        lambda a: jnp.stack(
            [
                jnp.stack([(1 + a[1] ** 2) ** -0.5, -a[0] * a[1] * (1 + a[1] ** 2) ** -1.5]),
                jnp.stack([a[1] * (1 + a[1] ** 2) ** -0.5, a[0] * (1 + a[1] ** 2) ** -1.5]),
            ]
        ),
    ),
    Root(  # the gradient of Rosenbrock's (a − x)² + b (y − x²)², args (a, b)
        "Rosenbrock valley",
        lambda y, a: jnp.stack(
            [-2 * (a[0] - y[0]) - 4 * a[1] * y[0] * (y[1] - y[0] ** 2), 2 * a[1] * (y[1] - y[0] ** 2)]
        ),
        (-1.2, 1.0),
        (1.0, 100.0),
        lambda a: jnp.stack([a[0], a[0] ** 2]),
        lambda a: jnp.stack([jnp.stack([1.0 + 0 * a[0], 0 * a[0]]), jnp.stack([2 * a[0], 0 * a[0]])]),
    ),
    Root(  # rows ten orders of magnitude apart, args (p, q)
        "stiff rows",
        lambda y, a: jnp.stack([1e6 * (y[0] * y[1] - a[0]), 1e-4 * (y[0] - a[1])]),
        (1.0, 1.0),
        (3.0, 1.5),
        lambda a: jnp.stack([a[1], a[0] / a[1]]),
        lambda a: jnp.stack([jnp.stack([0 * a[0], 1.0 + 0 * a[0]]), jnp.stack([1 / a[1], -a[0] / a[1] ** 2])]),
    ),
)


@dataclass(frozen=True)
class Pair:
    """Two resonators with nonlocal loss on the second, driven at ω = 0, so that D_i = ω − ω_i = −ω_i."""

    name: str
    kappa: float
    gamma_k: float
    detuning: tuple[float, float]
    gamma: tuple[float, float]
    gamma_0: tuple[float, float]
    t21: complex | None = None  # from an independent solver, to ten digits
    t12: complex | None = None

    def model(self, epsilon: float | None = None) -> tcmt.TwoResonators:
        return pair_model(
            self.kappa, self.gamma_k, jnp.array(self.detuning), jnp.array(self.gamma), jnp.array(self.gamma_0), epsilon
        )


def pair_model(
    kappa: Array | float,
    gamma_k: Array | float,
    detuning: Array,
    gamma: Array,
    gamma_0: Array,
    epsilon: float | None = None,
) -> tcmt.TwoResonators:
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0, epsilon=epsilon)
    return tcmt.TwoResonators(omega=-detuning, gamma=gamma, gamma_0=gamma_0, kappa=kappa, loss=loss)


def paper_pair(kappa: float, gamma_k: float, detuning: tuple[float, float] = (0.0, 0.0), **printed: complex) -> Pair:
    """With "paper ports", γ_i = √(γ_i0² + κ²) and γ_i0 = 1/2."""
    port = (0.25 + kappa**2) ** 0.5
    return Pair(f"κ={kappa} γk={gamma_k}", kappa, gamma_k, detuning, (port, port), (0.5, 0.5), **printed)


PAIRS = (
    paper_pair(0.3, 0.27, (0.5, 0.5), t21=0.0121805339 + 0.0236828562j, t12=0.1609202940 + 0.1565397514j),
    paper_pair(3.0, 2.7, (1.0, 1.0), t21=0.0366738162 + 0.1256143952j, t12=0.1905364127 + 0.5815582039j),
    Pair(
        "unequal",
        1.3,
        0.8,
        (0.4, -0.6),
        (0.9, 0.5),
        (0.2, 0.2),
        t21=0.0130602359 + 0.4260639977j,
        t12=-0.0031709638 + 0.4742649957j,
    ),
    Pair("unequal, extinct", 1.3, 1.3, (0.4, -0.6), (0.9, 0.5), (0.2, 0.2), t21=0.0, t12=0.0186967587 + 0.4058623441j),
)


def forward_ratio(kappa: Array, gamma_k: Array, G2: Array, D2: Array) -> Array:
    """u ρ = a2/a1 when port 0 alone is driven: the root of (Z2 ρ + γ_k) u = iκ, with ρ = 0 for γ_k ≥ κ."""
    moving = gamma_k < kappa
    gamma_k = jnp.where(moving, gamma_k, 0.0)
    root = jnp.sqrt((G2**2 + D2**2) * kappa**2 - D2**2 * gamma_k**2)
    rho = (kappa**2 - gamma_k**2) / (root + G2 * gamma_k)
    phase = jnp.pi / 2 - jnp.arctan2(D2 * rho, G2 * rho + gamma_k)
    return jnp.where(moving, rho * jnp.exp(1j * phase), 0.0)


def transmissions(kappa: Array, gamma_k: Array, detuning: Array, gamma: Array, gamma_0: Array) -> Array:
    """[t21, t12] in closed form, paper 1."""
    (Z1, Z2), root = gamma + gamma_0 + 1j * detuning, 2 * jnp.sqrt(gamma[0] * gamma[1])
    w = forward_ratio(kappa, gamma_k, (gamma + gamma_0)[1], detuning[1])
    t12 = 1j * root * kappa / (Z1 * (Z2 + gamma_k * kappa / jnp.abs(Z1)) + kappa**2)
    return jnp.stack([root * w / (Z1 - 1j * kappa * w), t12])


def isolation_slope_on_resonance(kappa: float, gamma_k: float, G: float) -> float:
    """d/dγ_k of 20 log10 |t12/t21| at D = 0, G1 = G2 = G, in dB per unit rate."""
    forward, backward = G**2 + kappa**2 - kappa * gamma_k, G**2 + kappa**2 + kappa * gamma_k
    return 20 / np.log(10) * (1 / (kappa - gamma_k) - kappa / forward - kappa / backward)


def saturable_branch(
    kappa: float,
    coefficient: float,
    detuning: tuple[float, float],
    gamma: float,
    gamma_0: float,
    power: float,
    into: int,
) -> tuple[bool, float]:
    """Whether the branch from zero power has folded below `power`, and |a2|² on the lowest branch there.

    With mode 1 eliminated, x |Z + c/(1 + x)|² = F for x = |a2|²: a cubic, whose left side has its extrema at another.
    """
    Z1, Z2 = gamma + gamma_0 + 1j * np.asarray(detuning)
    f = np.zeros(2, complex)
    f[into] = np.sqrt(2 * gamma * power)
    Z, F = Z2 + kappa**2 / Z1, abs(f[1] + 1j * kappa * f[0] / Z1) ** 2
    A, B, C = abs(Z) ** 2, 2 * coefficient * Z.real, coefficient**2
    extrema = np.roots([A, 0.0, B - C, 2 * C])  # of x |Z + c/(1 + x)|², in 1 + x
    extrema = np.sort(extrema[abs(extrema.imag) < 1e-9 * abs(extrema)].real) - 1
    extrema = extrema[extrema > 0]
    top = extrema[0] * abs(Z + coefficient / (1 + extrema[0])) ** 2 if extrema.size > 1 else np.inf
    x = np.roots(np.polysub(np.polymul([1, 0], [A, 2 * A + B, A + B + C]), F * np.array([1, 2, 1])))
    return top < F, float(np.min(x[abs(x.imag) < 1e-6 * abs(x)].real))


class CrossAbsorption(tcmt.AbstractLoss):
    """A law of the user's own: mode `mode` loses by the energy of mode `other`, γ(a) = c |a_other|²."""

    coefficient: Array
    mode: int = eqx.field(static=True)
    other: int = eqx.field(static=True)

    def rate(self, a: Array) -> Array:
        return self.coefficient * jnp.abs(a[self.other]) ** 2


def central_difference(f: Callable[[Array], Array], x: Array | float, step: Array | float) -> Array:
    """df/dx at a scalar x by central differences, extrapolated twice (Richardson): the error is O(step⁶)."""
    offsets = [step * scale for scale in (1, -1, 0.5, -0.5, 0.25, -0.25)]
    if is_concrete(x):
        v = [f(x + offset) for offset in offsets]
    else:  # traced once, where f is compiled along with the rest
        v = jax.lax.map(f, x + jnp.stack([jnp.asarray(offset) for offset in offsets]))
    d = [(v[0] - v[1]) / (2 * step), (v[2] - v[3]) / step, (v[4] - v[5]) / (step / 2)]
    first = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    return (16 * first[1] - first[0]) / 15


def isolation(model: nr.AbstractPortModel, omega: Array | float = 0.0, amplitude: Array | float = 1.0) -> Array:
    """Isolation in dB of port 1 → port 0 over port 0 → port 1."""
    return nr.metrics.isolation(nr.port_response(model, nr.Drive(omega, amplitude), throw=False), out=0, into=1)


def random_modes(seed: int, modes: int, ports: int, *batch: int, lossless: bool = True) -> dict[str, np.ndarray]:
    """Random Ω (Hermitian), D and C (unitary; a contraction unless `lossless`) of a passive device, or a batch of
    them."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=(*batch, *shape)) + 1j * rng.normal(size=(*batch, *shape))

    square, D, C = normal(modes, modes), normal(ports, modes), np.linalg.qr(normal(ports, ports))[0]
    if not lossless:
        C = C * rng.uniform(size=(*batch, 1, ports))
    return {"omega": (square + square.conj().swapaxes(-1, -2)) / 2, "D": D, "C": C}
