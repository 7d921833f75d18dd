"""All resonances in a disc, beside the eigenvalues of the whole step as one dense matrix.

    python benchmarks/resonances_in_discs.py [--scenes N] [--first SEED]

Scenes of 10 to 16 by 8 to 14 cells of 2 µm of silicon, with a plasma (InSb, biased, lossy) and metal of random places
and strengths, closed, with a sponge, a matched layer or periodic; discs of .02 to .25 THz about random modes, or about
none. The step is applied to each unit vector of the state (E, H, J, walls, layers): another program than M(z), whose
eigenvalues z = e^{iωΔt} are all that there are. Counted are modes of waves: those that the cells resolve, a twentieth
of whose energy is magnetic at least, and no copies of the frequency at which carriers circle by themselves,
ω_c + iν. What is not all of these must be said: `result` is not success.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from report import heading, table  # noqa: E402
from scipy.linalg import eig  # noqa: E402

from diffnr import fdtd  # noqa: E402
from diffnr.fdtd.frequency_domain.smooth_currents import roughness  # noqa: E402

CELL = 2e-6  # m
THZ = 2e12 * np.pi
STEP = 1.5e-15  # s, below the longest of all scenes
KINDS = "closed", "sponge", "matched layer", "periodic"
INDEX = 11.68**0.5
MAGNETIC, SMOOTH = 0.05, 0.2  # share of the energy at least, roughness at most
SAME = 1e-6  # of ω: one mode


def scene(rng: np.random.Generator) -> tuple[str, fdtd.Scene]:
    nx, ny = int(rng.integers(10, 17)), int(rng.integers(8, 15))
    kind = KINDS[rng.integers(4)]
    objects: list[Any] = []
    if kind != "matched layer" and rng.random() < 0.7:
        sides = np.sort(rng.choice(np.arange(nx + 1), 2, replace=False)) * CELL
        strength, losses, bias = rng.uniform(0.2, 1.0), 10 ** rng.uniform(-3, -1.5), rng.uniform(-0.3, 0.3)
        plasma = fdtd.GyrotropicDrude(15.6, strength * 2 * THZ, losses * 2 * THZ, bias * 2 * THZ)
        across = [-1.0, 1.0] if rng.random() < 0.5 else sides
        objects.append((fdtd.Rectangle(across, [0.0, int(rng.integers(3, ny - 2)) * CELL]), plasma))
    if kind != "periodic" and rng.random() < 0.4:
        i = int(rng.integers(2, nx - 2))
        lossy = kind != "matched layer" and rng.random() < 0.5
        metal = fdtd.SurfaceImpedance.of_conductor(2e4, 1.5 * THZ) if lossy else fdtd.PerfectConductor()
        objects.append((fdtd.Rectangle([i * CELL, (i + 1) * CELL], [(ny - 2) * CELL, ny * CELL]), metal))
    bloch = fdtd.Bloch(float(rng.uniform(0, 1e5)))
    ends = {
        "closed": fdtd.Boundaries(),
        "sponge": fdtd.Boundaries(left=fdtd.Sponge(8 * CELL, rate=2e13)),
        "matched layer": fdtd.Boundaries(left=fdtd.MatchedLayer(5, INDEX)),
        "periodic": fdtd.Boundaries(bottom=bloch, top=bloch),
    }
    grid = fdtd.Grid(np.arange(nx + 1) * CELL, np.arange(ny + 1) * CELL)
    return kind, fdtd.Scene.of(grid, fdtd.Dielectric(INDEX**2), objects, ends[kind])


def eigenvalues(update: fdtd.Update) -> tuple[Any, Any]:
    """ω of every eigenvector of the step that does not die at once, and which are modes of waves."""
    leaves, tree = jax.tree_util.tree_flatten(update.zero_fields())
    ends = np.cumsum([0] + [leaf.size for leaf in leaves])

    def step(vector: Any) -> Any:
        parts = [vector[a:b].reshape(leaf.shape) for a, b, leaf in zip(ends[:-1], ends[1:], leaves, strict=True)]
        ahead = update(jax.tree_util.tree_unflatten(tree, parts))
        return jnp.concatenate([part.ravel() for part in jax.tree_util.tree_leaves(ahead)])

    matrix = np.asarray(jax.vmap(step)(jnp.eye(ends[-1], dtype=leaves[0].dtype))).T
    z, left, right = eig(matrix, left=True)  # pyright: ignore[reportAssignmentType]
    kept = np.abs(z) > 1e-6

    def of_leaves(vectors: Any) -> list[Any]:
        columns = vectors[:, kept]
        return [columns[a:b].T.reshape(-1, *leaf.shape) for a, b, leaf in zip(ends[:-1], ends[1:], leaves, strict=True)]

    z, parts, turned = z[kept], of_leaves(right), of_leaves(np.conj(left))
    gain = np.asarray(update.drude_gain)
    eps = np.asarray(update.scene.eps)
    edges = zip(parts[0], parts[1], turned[0], turned[1], strict=True)
    rough = np.array([float(roughness((ex, ey), left, gain)) for ex, ey, *left in edges])
    seen = (abs(parts[0][:, :, 1:]) ** 2 + abs(parts[0][:, :, :-1]) ** 2) / 2
    seen = seen + (abs(parts[1][:, 1:]) ** 2 + abs(parts[1][:, :-1]) ** 2) / 2
    moving = (abs(parts[3]) ** 2 + abs(parts[4]) ** 2) / np.where(gain > 0, gain, np.inf)
    magnetic = np.sum(abs(parts[2]) ** 2, axis=(1, 2))
    energy = magnetic + np.sum(eps * seen + moving, axis=(1, 2))
    share = magnetic / np.where(energy > 0, energy, np.inf)
    c, s = (np.asarray(part) for part in update.rotation)
    circling = np.any([np.min(abs(z[:, None] - np.unique(c + sign * s)), axis=1) < 1e-9 for sign in (1j, -1j)], axis=0)
    return -1j * np.log(z) / float(update.step), (rough <= SMOOTH) & (share >= MAGNETIC) & ~circling


def missed(these: Any, those: Any) -> int:
    """How many of these are not among those."""
    return sum(not len(those) or np.min(abs(those - omega)) > SAME * abs(omega) for omega in these)


def main() -> int:
    parser = argparse.ArgumentParser(description="All resonances in a disc, beside dense eigenvalues")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for seed in range(arguments.first, arguments.first + arguments.scenes):
        rng = np.random.default_rng(seed)
        kind, filled = scene(rng)
        update = fdtd.Update.of(filled, STEP)
        omega, waves = eigenvalues(update)
        centre, radius = complex(rng.uniform(0.5, 1.8) * THZ), rng.uniform(0.02, 0.25) * THZ
        band = np.flatnonzero(waves & (omega.real > 0.5 * THZ) & (omega.real < 1.8 * THZ) & (omega.imag < 0.5 * THZ))
        if len(band) and rng.random() < 0.8:
            centre = omega[rng.choice(band)] + radius * (rng.uniform(-0.6, 0.6) + 1j * rng.uniform(-0.6, 0.6))
        inside = abs(omega - centre) <= radius
        began = time.perf_counter()
        found = fdtd.resonances(update, within=(centre, radius), throw=False)
        count, ours = counts[kind], np.asarray(found.omega) + 1j * np.asarray(found.gamma)
        said, lost, false = not bool(found.converged), missed(omega[inside & waves], ours), missed(ours, omega[inside])
        count["scenes"] += 1
        count["modes"] += int(np.sum(inside & waves))
        count["said"] += said
        count["missed"] += lost * (not said)
        count["missed, said"] += lost * said
        count["no eigenvalue"] += false
        if lost or false or said:
            seconds = time.perf_counter() - began
            note = (
                f"seed {seed}, {kind}: {len(ours)} found, {lost} missed, {false} false, {found.unresolved} unresolved"
            )
            print(f"{note}, {seconds:.0f} s; {found.message}", flush=True)
    header = ["ends", "scenes", "modes", "missed", "not certified", "missed there", "no eigenvalue"]
    keys = ["scenes", "modes", "missed", "said", "missed, said", "no eigenvalue"]
    rows = [[kind, *(counts[kind][key] for key in keys)] for kind in KINDS]
    command = f"python benchmarks/resonances_in_discs.py --scenes {arguments.scenes} --first {arguments.first}"
    print(heading("Resonances in discs, beside dense eigenvalues", command))
    print(table(header, rows))
    return int(any(count["missed"] or count["no eigenvalue"] for count in counts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
