"""Random networks of oscillators, settled in time and traced: does what is found in time lie on the branches?

    python benchmarks/random_networks.py [--networks N] [--first N] [--harmonics H] [--oscillators N ...] [--longest N]

Networks of 1 to 4 Duffing oscillators in a row: hard, soft or bistable (K indefinite); damping ratios .001 to .1,
masses of ratio .01 to 100, links to 100, some cubic; a force of .01 to 5 on a random one. Each is integrated at one
frequency from rest and from 8 random starts by a fourth-order Runge–Kutta scheme of this file's own, in steps of .5 of
the fastest linear resonance, until disturbances have fallen by e^-14. What has then settled to the period of the drive
must be an orbit of `frequency_response(..., isolas=True)` there, to 1e-3 of its size (what 15 harmonics leave at the
strongest forces, and what is left of the transient). Otherwise the branch must say that it is not complete, or that its
harmonics do not suffice.
"""

from __future__ import annotations

import argparse
import warnings
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from report import heading, table

from diffnr import duffing

jax.config.update("jax_enable_x64", True)

STARTS = 9
INSTANTS, HIGHEST = 64, 15  # of a settled period, and the harmonics compared
STILL, AHEAD = 1e-5, 3e-4  # of the size: the change in a period of what has settled, and all that is still to come
NEAR, ROUND_OFF = 1e-3, 1e-9  # of the size: how near an orbit must be
COARSE = 1e-3  # of an orbit, which harmonics leave out: above it `frequency_response` warns
KINDS = "hard", "soft", "bistable"
WHY = {5: "not covered, and said", 6: "too few harmonics, and said", 7: "MISSED"}


class Cubic(eqx.Module):
    """Cubic springs to ground and between neighbours."""

    ground: Array
    link: Array

    def __call__(self, x: Array) -> Array:
        stretch = jnp.diff(x, axis=0)
        pull = self.link.reshape(-1, *[1] * (x.ndim - 1)) * stretch**3
        rest = jnp.zeros_like(x[:1])
        ground = self.ground.reshape(-1, *[1] * (x.ndim - 1)) * x**3
        return ground + jnp.concatenate([rest, pull]) - jnp.concatenate([pull, rest])


class Case(NamedTuple):
    """A network, and how it is driven."""

    kind: str
    mass: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    ground: np.ndarray
    link: np.ndarray
    amplitude: float
    port: int
    bounds: tuple[float, float]
    omega: float
    start: np.ndarray  # [start, 2, oscillator]
    fastest: float
    slowest: float  # rate of decay

    @property
    def share(self) -> np.ndarray:
        return self.amplitude * np.eye(self.mass.size)[self.port]

    def model(self, harmonics: int) -> duffing.OscillatorNetwork:
        force = Cubic(jnp.asarray(self.ground), jnp.asarray(self.link))
        return duffing.OscillatorNetwork(
            self.mass, self.stiffness, self.damping, force, num_harmonics=harmonics, odd=False
        )


def case(seed: int) -> Case:
    """The network of a number, with 1 + seed mod 4 oscillators."""
    rng = np.random.default_rng(seed)
    n, kind = 1 + seed % 4, KINDS[int(rng.integers(3))]

    def between(low: float, high: float, size: int | None = None) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), size))

    mass = np.append(1.0, between(0.01, 100, n - 1))
    ground, sign = between(0.3, 2, n), rng.random(n) < 0.7
    cubic = between(0.05, 3, n)
    if kind == "bistable":
        ground = np.where(sign, -ground, ground)
        ground[0] = -abs(ground[0])
    if kind == "soft":
        cubic = np.where(sign, -0.1 * cubic, 0.1 * cubic)
    link = between(0.03, 100, n - 1)
    link_cubic = np.where(rng.random(n - 1) < 0.3, link * between(0.01, 0.3, n - 1), 0.0)
    laplace = np.zeros((n, n))
    for i, k in enumerate(link):
        laplace[i : i + 2, i : i + 2] += k * np.array([[1.0, -1.0], [-1.0, 1.0]])
    stiffness = np.diag(ground) + laplace
    size = np.diag(np.abs(ground)) + laplace
    values, shapes = np.linalg.eigh(size / np.sqrt(np.outer(mass, mass)))
    frequencies = np.sqrt(values)
    ratios = between(0.001, 0.1, n)
    root = np.sqrt(mass)
    damping = root[:, None] * (shapes @ np.diag(2 * ratios * frequencies) @ shapes.T) * root
    centre = float(rng.choice(frequencies))
    bounds = 0.6 * centre, 1.5 * centre
    start = rng.normal(size=(STARTS, 2, n)) * between(0.3, 3, STARTS)[:, None, None]
    start[:, 1] *= centre
    start[0] = 0.0
    return Case(
        kind,
        mass,
        stiffness,
        damping,
        ground=cubic,
        link=link_cubic,
        amplitude=float(between(0.01, 5)),
        port=int(rng.integers(n)),
        bounds=bounds,
        omega=float(rng.uniform(*bounds)),
        start=start,
        fastest=float(frequencies[-1]) * 1.5,
        slowest=float(np.min(ratios * frequencies)),
    )


@jax.jit
def integrated(parts: dict[str, Array], state: Array, per_period: Array, steps: Array) -> Array:
    """The states [case, start, 2, oscillator] after so many steps of each case, from phase 0."""

    def rates(part: dict[str, Array], z: Array, phase: Array) -> Array:
        x, v = z
        pull = part["link"] * jnp.diff(x) ** 3
        force = part["stiffness"] @ x + part["damping"] @ v + part["ground"] * x**3
        force = force + jnp.append(0.0, pull) - jnp.append(pull, 0.0)
        return jnp.stack([v, (part["share"] * jnp.cos(phase) - force) / part["mass"]])

    def step(part: dict[str, Array], z: Array, i: Array, per: Array) -> Array:
        turn = 2 * jnp.pi / per
        h, phase = turn / part["omega"], turn * (i % per)
        a = rates(part, z, phase)
        b = rates(part, z + h / 2 * a, phase + turn / 2)
        c = rates(part, z + h / 2 * b, phase + turn / 2)
        d = rates(part, z + h * c, phase + turn)
        return z + h / 6 * (a + 2 * b + 2 * c + d)

    every = jax.vmap(jax.vmap(step, (None, 0, None, None)), (0, 0, None, 0))

    def advance(i: Array, z: Array) -> Array:
        return jnp.where((i < steps)[:, None, None, None], every(parts, z, i, per_period), z)

    return jax.lax.fori_loop(0, jnp.max(steps), advance, state)


def settled(cases: list[Case], longest: int = 2_000_000) -> tuple[list[np.ndarray], np.ndarray]:
    """Of each case the phasors [start, oscillator, harmonic] of what has settled, and which were integrated: those that
    want at most so many steps."""
    per = np.array([max(64, INSTANTS * int(np.ceil(4 * np.pi * c.fastest / c.omega / INSTANTS))) for c in cases])
    periods = np.array([int(np.ceil(14 / c.slowest * c.omega / (2 * np.pi))) for c in cases])
    short = per * periods <= longest
    names = "mass", "stiffness", "damping", "ground", "link", "omega", "share"
    parts = {name: jnp.asarray(np.stack([getattr(c, name) for c in cases])) for name in names}

    def moved(z: np.ndarray, which: np.ndarray, steps: np.ndarray) -> np.ndarray:
        sub = {name: value[which] for name, value in parts.items()}
        return np.asarray(integrated(sub, jnp.asarray(z), jnp.asarray(per[which]), jnp.asarray(steps)))

    found: list[np.ndarray] = [np.zeros((0, c.mass.size, HIGHEST + 1), complex) for c in cases]
    order = np.argsort(per * periods)
    order = order[short[order]]
    waves = np.exp(-2j * np.pi * np.outer(np.arange(HIGHEST + 1), np.arange(INSTANTS)) / INSTANTS) * 2 / INSTANTS
    waves[0] /= 2
    for piece in np.array_split(order, 8):  # of like length: none waits long for others
        if not piece.size:
            continue
        z = moved(np.stack([cases[k].start for k in piece]), piece, (per * periods)[piece])
        x = [z]
        for j in range(1, INSTANTS + 1):  # from phase 0 each, since steps are counted from there
            x.append(moved(z, piece, per[piece] // INSTANTS * j))
        later = moved(x[-1], piece, per[piece])
        x = np.stack(x)  # [instant, case, start, 2, oscillator]
        size = np.max(np.abs(x), axis=(0, 3, 4))
        drift, next_ = (np.max(np.abs(b - a), axis=(2, 3)) for a, b in ((x[0], x[-1]), (x[-1], later)))
        # Beside a fold states creep: what is still to come is a geometric series.
        ahead = next_ / (1 - np.minimum(next_ / np.maximum(drift, 1e-300), 1 - 1e-9))
        drift = np.maximum(drift, np.where(drift > ROUND_OFF * size, ahead, 0.0) * STILL / AHEAD)
        drift = drift / size
        b = np.einsum("ht,tcsi->csih", waves, x[:-1, :, :, 0])
        for k, states, change in zip(piece, b, drift, strict=True):
            found[k] = states[change < STILL]  # not NaN
    return found, short


def beside(branch: duffing.OrbitBranch, case: Case, states: np.ndarray) -> np.ndarray:
    """How far each settled state is from the nearest orbit of a branch, of its size."""
    points = branch.at(case.omega, most=16)
    orbits = np.asarray(points.b)[: int(points.count)]
    here = np.zeros((len(orbits), case.mass.size, HIGHEST + 1), complex)
    for place, h in enumerate(branch.model.harmonics):
        if h <= HIGHEST:
            here[:, :, h] = orbits[:, :, place]
    apart = np.linalg.norm((here[None] - states[:, None]).reshape(len(states), len(orbits), -1), axis=2)
    return np.min(apart, axis=1, initial=np.inf) / np.linalg.norm(states.reshape(len(states), -1), axis=1)


def traced(case: Case, harmonics: int) -> duffing.OrbitBranch:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say stands in `complete` and `truncation`
        return duffing.frequency_response(
            case.model(harmonics),
            amplitude=case.amplitude,
            omega=case.bounds,
            port=jnp.asarray(case.share / case.amplitude),
            isolas=True,
            max_points=1500,
            throw=False,
        )


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--networks", type=int, default=500)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--harmonics", type=int, default=15)
    options.add_argument("--oscillators", type=int, nargs="+", default=[1, 2, 3, 4], metavar="N")
    options.add_argument("--longest", type=int, default=2_000_000, help="steps; what needs more is counted, not run")
    arguments = options.parse_args()
    rows: dict[tuple[int, str], list[int]] = {}
    for n in arguments.oscillators:
        seeds = [s for s in range(arguments.first, arguments.first + arguments.networks) if 1 + s % 4 == n]
        cases = [case(seed) for seed in seeds]
        found, short = settled(cases, arguments.longest)
        for seed, c, states, integrated_ in zip(seeds, cases, found, short, strict=True):
            row = rows.setdefault((n, c.kind), [0] * 8)
            row[0] += 1
            row[1] += not integrated_
            row[2] += len(states) > 0
            if not len(states):
                continue
            branch = traced(c, arguments.harmonics)
            on = beside(branch, c, states) < NEAR
            left_out = float(np.nanmax(np.asarray(branch.truncation), initial=0.0))
            off = int(np.sum(~on))
            reason = 5 if not bool(branch.complete) else 6 if left_out > COARSE else 7
            row[3] += len(states)
            row[4] += len(states) - off
            row[reason] += off
            print(f"  {seed} {n} {c.kind}: {len(states)} states, {off} off", end="", flush=True)
            print(f"; {WHY[reason]}; left out {left_out:.1g}; {branch.message}" if off else "", flush=True)
    command = f"python benchmarks/random_networks.py --networks {arguments.networks} --first {arguments.first}"
    command += f" --longest {arguments.longest} --harmonics {arguments.harmonics}"
    print(heading("Random networks, in time and by continuation", command))
    titles = ["oscillators", "kind", "networks", "too slow", "settle", "settled states", "on a branch"]
    print(table([*titles, *WHY.values()], [[*key, *row] for key, row in rows.items()]))


if __name__ == "__main__":
    main()
