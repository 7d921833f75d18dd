"""Grids that repeat along x, along y and along both: bands in closed form, all that goes around the seams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy.optimize import brentq

from diffnr import fdtd
from diffnr.fdtd.frequency_domain import direct_solve
from diffnr.fdtd.frequency_domain.harmonic_step import step_factor
from diffnr.fdtd.scene.media import LIGHT
from slow import slow_except

UM = 1e-6
THZ = 2e12 * np.pi
GRID = fdtd.Grid.uniform((0.0, 14 * UM), (0.0, 10 * UM), 2 * UM)
UNEVEN = fdtd.Grid(*(np.cumsum([0, *np.random.default_rng(3).uniform(1.0, 2.0, n)]) * UM for n in (7, 6)))
SILICON, INDEX = fdtd.Dielectric(11.68), 11.68**0.5
INSB = fdtd.GyrotropicDrude(15.6, 2 * THZ, 0.02 * THZ, 0.5 * THZ)
WALL = fdtd.SurfaceImpedance.of_conductor(2093.0, 1.24 * THZ)


def lattice(kx: float | Array | None = None, ky: float | Array | None = None) -> fdtd.Boundaries:
    """Repeats along both axes."""
    along_x, along_y = fdtd.Bloch(kx), fdtd.Bloch(ky)
    return fdtd.Boundaries(along_x, along_x, along_y, along_y)


def filled(boundaries: fdtd.Boundaries, grid: fdtd.Grid = UNEVEN) -> fdtd.Scene:
    """InSb over a corner of the cell, so that media and a wall cross both seams."""
    x, y = (np.asarray(lines) for lines in (grid.x, grid.y))
    plasma = fdtd.Rectangle([x[0], x[3]], [y[2], y[-1]])
    return fdtd.Scene.of(
        grid, SILICON, [(plasma, INSB), (fdtd.Rectangle([x[-3], x[-1]], [y[0], y[2]]), WALL)], boundaries
    )


def band(kx: Array, ky: Array, m: int, n: int, step: Array) -> Array:
    """ω of the plane wave of order (m, n) on the uniform lattice: sin²(ωΔt/2)/(cΔt/n)² = Σ sin²(kΔ/2)/Δ²."""
    turns = 2 * jnp.pi * jnp.array([m / (14 * UM), n / (10 * UM)])
    k = jnp.stack([jnp.asarray(kx), jnp.asarray(ky)]) + turns
    rate = LIGHT * step / INDEX * jnp.sqrt(jnp.sum((jnp.sin(k * 1 * UM) / (2 * UM)) ** 2))
    return 2 / step * jnp.arcsin(rate)


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n"), [(0, 0), (-1, 0), (0, 1)])
def test_folded_bands_of_a_uniform_medium_and_their_slopes(m: int, n: int) -> None:
    kx, ky = jnp.asarray(7e4), jnp.asarray(-11e4)
    step = 0.9 * fdtd.Scene.of(GRID, SILICON, (), lattice()).longest_step

    def found(kx: Array, ky: Array) -> Array:
        update = fdtd.Update.of(fdtd.Scene.of(GRID, SILICON, (), lattice(kx, ky)), step)
        return fdtd.resonances(update, 1.002 * jax.lax.stop_gradient(band(kx, ky, m, n, step))).omega[0]

    exact = band(kx, ky, m, n, step)
    np.testing.assert_allclose(found(kx, ky), exact, rtol=1e-11)  # what the iteration leaves
    slope = jax.grad(found, argnums=(0, 1))(kx, ky)
    forth = jax.jvp(found, (kx, ky), (1.0, 0.0))[1]
    # One order lower than ω, by the same vectors.
    np.testing.assert_allclose(slope, jax.grad(band, argnums=(0, 1))(kx, ky, m, n, step), rtol=1e-7)
    np.testing.assert_allclose(forth, slope[0], rtol=1e-12)


def stack_mismatch(omega: float, k: float, layers: list[tuple[float, float]]) -> float:
    """cos K L less its value by the transfer matrix of two layers (index, thickness) at normal incidence."""
    (n1, d1), (n2, d2) = layers
    a, b = (n * omega / LIGHT * d for n, d in layers)
    return np.cos(k * (d1 + d2)) - np.cos(a) * np.cos(b) + (n1 / n2 + n2 / n1) / 2 * np.sin(a) * np.sin(b)


@pytest.mark.slow
def test_bands_of_a_stack_along_x_converge_to_the_transfer_matrix() -> None:
    k, layers = 5e4, [(INDEX, 12 * UM), (1.5, 18 * UM)]
    exact = float(brentq(lambda w: stack_mismatch(w, k, layers), 0.8 * THZ, 1.3 * THZ, xtol=1.0))

    def error(cell: float) -> float:
        grid = fdtd.Grid.uniform((0.0, 30 * UM), (0.0, 2 * cell), cell)
        glass = fdtd.Rectangle([12 * UM, 30 * UM], [0.0, 1.0])
        scene = fdtd.Scene.of(grid, SILICON, [(glass, fdtd.Dielectric(2.25))], lattice(k))
        return float(fdtd.resonances(fdtd.Update.of(scene), exact).omega[0]) / exact - 1

    coarse, fine = error(2 * UM), error(1 * UM)
    assert 3.9 < coarse / fine < 4.1  # second order
    assert abs(fine - (coarse - fine) / 3) < 2e-5  # fourth order is left of errors of .5 %


@pytest.mark.parametrize(("kx", "ky"), slow_except([(1.3e5, -0.7e5), (None, -0.7e5), (1.3e5, None), (None, None)], 0))
def test_entries_are_those_of_the_step(kx: float | None, ky: float | None) -> None:
    update = fdtd.Update.of(filled(lattice(kx, ky)))
    z = step_factor(update, jnp.asarray(1.1 * THZ + 0.02j * THZ))
    entries = direct_solve.entries_of(lambda edges: direct_solve.operator(update, z, edges), update)
    pattern = direct_solve.pattern_of(update)
    dense = np.zeros((pattern.order.size,) * 2, complex)
    dense[pattern.rows, pattern.columns] = entries
    unit = lambda e: direct_solve.flat(direct_solve.operator(update, z, direct_solve.split(e, update)))  # noqa: E731
    step = jax.vmap(unit, out_axes=1)(jnp.eye(pattern.order.size) + 0j)
    np.testing.assert_allclose(dense, step, rtol=1e-14, atol=0)  # in the same places, to what compilers round


def functional(component: str, corner: tuple[int, int], shape: tuple[int, int], seed: int) -> fdtd.Functional:
    rng = np.random.default_rng(seed)
    return fdtd.Functional(component, corner, rng.normal(size=shape) + 1j * rng.normal(size=shape))


ACROSS_SEAMS = {
    "ex and ey": (functional("ex", (0, 0), (7, 7), 0), functional("ey", (0, 0), (8, 6), 1)),
    "hz and ey": (functional("hz", (0, 0), (7, 6), 2), functional("ey", (0, 2), (8, 3), 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ACROSS_SEAMS)
def test_functionals_of_complex_weights_across_seams_exchange_at_the_turned_bias(case: str) -> None:
    """G_ab(B, k) = ± G_ba(−B, −k), the weights on both sides of a seam included."""
    a, b = ACROSS_SEAMS[case]

    def answer(source: fdtd.Functional, probe: fdtd.Functional, sign: float) -> Array:
        scene = filled(lattice(sign * 1.3e5, sign * 0.7e5))
        turned = fdtd.Scene(
            scene.grid,
            scene.eps,
            scene.drude_weight,
            scene.motion.real + 1j * sign * scene.motion.imag,
            scene.metal,
            scene.sheets,
            scene.boundaries,
            scene.has_carriers,
        )
        found = fdtd.frequency(fdtd.Update.of(turned), 1.1 * THZ, sources=[(source, 1.0)], probes=[probe])
        return found.readings[0]

    magnetic = [f.component == "hz" for f in (a, b)]
    forth, back = answer(a, b, 1.0), answer(b, a, -1.0)
    if magnetic[0] != magnetic[1]:
        back = -back
    np.testing.assert_allclose(forth, back, rtol=1e-10)  # of round-off in the solves
    assert abs(forth - answer(b, a, 1.0)) > 1e-3 * abs(forth)
