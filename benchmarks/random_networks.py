"""Random networks of oscillators, settled in time and traced: does what is found in time lie on the branches?

    python benchmarks/random_networks.py [--networks N] [--first N] [--results FILE] [--harmonics H] [--longest N]

Networks of 1 to 4 Duffing oscillators in a row: hard, soft or bistable (K indefinite); damping ratios .001 to .1,
masses of ratio .01 to 100, links to 100, some cubic; a force of .01 to 5 on a random one. Each is integrated at one
frequency from rest and from 8 random starts by a fourth-order Runge–Kutta scheme of this file's own, in steps of .5 of
the fastest linear resonance, until disturbances have fallen by e^-14, or for so many steps. From where it is then,
Newton's method on one period of the same scheme leads to an orbit: one that is stable (all multipliers inside of the
unit circle, by differences) counts as what a motion settles to, for those that start near to it do. Whoever has not
come to a period of the drive, or comes to an unstable orbit, settles to none. Every orbit that counts must be one of
`frequency_response(..., isolas=True)` there, to 1e-3 of its size (what 15 harmonics leave at the strongest forces).
Otherwise the branch must say that it is not complete, or that its harmonics do not suffice. With a file of results a
run goes on where it was stopped: a line of JSON is written for each network.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
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
NEAR = 1e-3  # of the size: how near an orbit must be
SHIFT, SHOT, SHOTS = 1e-7, 1e-9, 12  # of the size: for differences, and when Newton's method ends; its steps, at most
COARSE = 1e-3  # of an orbit, which harmonics leave out: above it `frequency_response` warns
KINDS = "hard", "soft", "bistable"
WHY = "not covered, and said", "too few harmonics, and said", "MISSED"


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
def integrated(part: dict[str, Array], state: Array, per_period: Array, first: Array, steps: Array) -> Array:
    """The states [start, 2, oscillator] after so many steps, the first of them so many after phase 0."""

    def rates(z: Array, phase: Array) -> Array:
        x, v = z[:, 0], z[:, 1]
        pull = part["link"] * jnp.diff(x) ** 3
        force = x @ part["stiffness"].T + v @ part["damping"].T + part["ground"] * x**3
        force = force + jnp.pad(pull, ((0, 0), (1, 0))) - jnp.pad(pull, ((0, 0), (0, 1)))
        return jnp.stack([v, (part["share"] * jnp.cos(phase) - force) / part["mass"]], axis=1)

    turn = 2 * jnp.pi / per_period
    h = turn / part["omega"]

    def step(i: Array, z: Array) -> Array:
        phase = turn * ((first + i) % per_period)
        a = rates(z, phase)
        b = rates(z + h / 2 * a, phase + turn / 2)
        c = rates(z + h / 2 * b, phase + turn / 2)
        d = rates(z + h * c, phase + turn)
        return z + h / 6 * (a + 2 * b + 2 * c + d)

    return jax.lax.fori_loop(0, steps, step, state)


def settled(c: Case, longest: int = 100_000) -> np.ndarray:
    """The phasors [orbit, oscillator, harmonic] of the different stable orbits that motions come to."""
    per = max(64, INSTANTS * int(np.ceil(4 * np.pi * c.fastest / c.omega / INSTANTS)))
    periods = int(np.ceil(14 / c.slowest * c.omega / (2 * np.pi)))
    periods = max(1, min(periods, longest // per))
    names = "mass", "stiffness", "damping", "ground", "link", "omega", "share"
    part = {name: jnp.asarray(getattr(c, name)) for name in names}
    n = c.mass.size

    def moved(z: np.ndarray, first: int, steps: int) -> np.ndarray:
        state = jnp.asarray(z.reshape(-1, 2, n))
        return np.asarray(integrated(part, state, per, first, steps)).reshape(*z.shape[:-1], 2 * n)

    z = moved(c.start.reshape(STARTS, 2 * n), 0, per * periods)
    scale = np.repeat([1.0, c.omega], n)
    done, radius = np.zeros(STARTS, bool), np.full(STARTS, np.inf)
    for _ in range(SHOTS):
        size = np.linalg.norm(z / scale, axis=1)
        shift = SHIFT * size[:, None, None] * np.diag(scale)
        each = moved(np.concatenate([z[:, None], z[:, None] + shift], axis=1), 0, per)
        end, slopes = each[:, 0], (each[:, 1:] - each[:, :1]).swapaxes(1, 2) / (SHIFT * size[:, None, None])
        slopes = slopes / scale[:, None]  # of z/scale by z/scale
        finite = np.all(np.isfinite(slopes), axis=(1, 2)) & np.all(np.isfinite(end), axis=1)
        slopes = np.where(finite[:, None, None], slopes, 0.0)
        gap = np.where(finite[:, None], (end - z) / scale, np.nan)
        move = np.linalg.solve(np.eye(2 * n) - slopes, gap[:, :, None])[:, :, 0]
        done = np.linalg.norm(move, axis=1) <= SHOT * size  # not NaN
        radius = np.max(np.abs(np.linalg.eigvals(slopes)), axis=1)
        z = z + move * scale
        if np.all(done | ~finite):
            break
    z = z[done & (radius < 1)]
    apart = np.linalg.norm((z[:, None] - z) / scale, axis=2) > NEAR * np.linalg.norm(z / scale, axis=1)
    z = z[[k for k in range(len(z)) if np.all(apart[k, :k])]]
    x = []
    for k in range(INSTANTS):
        x.append(z[:, :n])
        z = moved(z, per // INSTANTS * k, per // INSTANTS) if len(z) else z
    waves = np.exp(-2j * np.pi * np.outer(np.arange(HIGHEST + 1), np.arange(INSTANTS)) / INSTANTS) * 2 / INSTANTS
    waves[0] /= 2
    return np.einsum("ht,tsi->sih", waves, np.stack(x))


def beside(branch: duffing.OrbitBranch, case: Case, states: np.ndarray) -> np.ndarray:
    """How far each settled state is from the nearest orbit of a branch, of its size."""
    points = branch.at(case.omega, most=64)
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


def outcome(seed: int, harmonics: int, longest: int) -> dict:
    """What is written of a network."""
    c, begun = case(seed), time.process_time()
    states = settled(c, longest)
    row = {"seed": seed, "oscillators": c.mass.size, "kind": c.kind, "states": len(states), "off": 0, "why": None}
    if len(states):
        branch = traced(c, harmonics)
        row["off"] = int(np.sum(beside(branch, c, states) >= NEAR))
        row["pieces"], row["complete"] = len(branch.ends), bool(branch.complete)
        if row["off"]:
            left_out = float(np.nanmax(np.asarray(branch.truncation), initial=0.0))
            row["why"] = WHY[0] if not row["complete"] else WHY[1] if left_out > COARSE else WHY[2]
            row["message"] = branch.message
    return row | {"seconds": round(time.process_time() - begun, 2)}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--networks", type=int, default=500)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--harmonics", type=int, default=15)
    options.add_argument("--longest", type=int, default=100_000, help="steps of a motion before its orbit is sought")
    options.add_argument("--results", type=Path, help="a line for each network; those in it are not run again")
    arguments = options.parse_args()
    file = arguments.results
    lines = file.read_text("utf-8").splitlines() if file and file.exists() else []
    rows = {row["seed"]: row for row in map(json.loads, lines)}
    seeds = range(arguments.first, arguments.first + arguments.networks)
    for seed in seeds:
        if seed in rows:
            continue
        rows[seed] = outcome(seed, arguments.harmonics, arguments.longest)
        line = json.dumps(rows[seed])
        print(line, flush=True)
        if file:
            with file.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
    command = f"python benchmarks/random_networks.py --networks {arguments.networks} --first {arguments.first}"
    command += f" --longest {arguments.longest} --harmonics {arguments.harmonics}"
    print(heading("Random networks, in time and by continuation", command))
    titles = ["oscillators", "kind", "networks", "settle", "stable orbits", "on a branch", *WHY]
    table_rows = []
    for key in sorted({(rows[s]["oscillators"], rows[s]["kind"]) for s in seeds}):
        own = [rows[s] for s in seeds if (rows[s]["oscillators"], rows[s]["kind"]) == key]
        states, off = (sum(row[name] for row in own) for name in ("states", "off"))
        why = [sum(row["off"] for row in own if row["why"] == reason) for reason in WHY]
        table_rows.append([*key, len(own), sum(row["states"] > 0 for row in own), states, states - off, *why])
    print(table(titles, table_rows))


if __name__ == "__main__":
    main()
