"""How much the lowest m = 0 mode of a round cavity errs, where metal cuts cells and where cells are metal or not.

ω = 3.8317 c/(n R), of the first zero of J0′, off the grid's symmetry. The cells' own dispersion is most of it:
(kΔ)²/24 is 1.4 % at 13 cells across.

    python benchmarks/round_cavity.py
"""

import equinox as eqx
import jax
from report import heading, table
from scipy.special import jnp_zeros

from diffnr import fdtd
from diffnr.fdtd.scene.media import LIGHT

jax.config.update("jax_enable_x64", True)

UM = 1e-6
RADIUS, WIDTH, INDEX = 13.37 * UM, 32 * UM, 2.0
OMEGA = float(jnp_zeros(0, 1)[0]) * LIGHT / (INDEX * RADIUS)


def error(cells: int, whole: bool) -> float:
    """Of ω, in percent."""
    sides = -WIDTH / 2, WIDTH / 2
    around = fdtd.Region(lambda x, y: (x - 0.3 * UM) ** 2 + (y - 0.2 * UM) ** 2 > RADIUS**2)
    grid = fdtd.Grid.uniform(sides, sides, WIDTH / cells)
    scene = fdtd.Scene.of(grid, fdtd.Dielectric(INDEX**2), [(around, fdtd.PerfectConductor())])
    if whole:
        scene = eqx.tree_at(lambda s: (s.metal, s.free), scene, (scene.free[0] <= 0.5, ()))
    found = fdtd.resonances(fdtd.Update.of(scene, 1e-16), 1.0005 * OMEGA)
    return 100 * float(found.omega[0] / OMEGA - 1)


def main() -> None:
    rows = []
    for cells in (16, 32, 64, 128):
        across = 2 * RADIUS / (WIDTH / cells)
        rows.append([f"{across:.0f}", *(f"{error(cells, whole):+.4f}" for whole in (False, True))])
    print(heading("A round cavity of metal", "python benchmarks/round_cavity.py"))
    print(table(["cells across", "cut, %", "whole, %"], rows))


if __name__ == "__main__":
    main()
