"""Cells that a perfect conductor cuts: of second order, continuous, differentiable, reciprocal, stable with slivers."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax
from scipy.optimize import brentq

from diffnr import fdtd
from diffnr.fdtd.scene.media import LIGHT

UM = 1e-6
THZ = 2e12 * np.pi
OMEGA_P = 2 * THZ
PEC = fdtd.PerfectConductor()
SILICON = fdtd.Dielectric(11.68)
STEP = 3e-15  # s, below the longest of all


def insb(bias: float | Array = -0.5, nu: float = 0.0) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, nu * OMEGA_P, bias * THZ)


def rectangle(x: Any, y: Any) -> fdtd.Rectangle:
    return fdtd.Rectangle(*(jnp.stack([jnp.asarray(side, float) for side in sides]) for sides in (x, y)))


# --- What is left of cells -------------------------------------------------------------------------------------------


def test_edges_are_no_faster_than_the_cells_beside_them() -> None:
    grid = fdtd.Grid.uniform((0, 40 * UM), (0, 30 * UM), 2 * UM)
    free = fdtd.Scene.of(grid, SILICON)
    for sliver in (0.0, 1e-12, 1e-9, 1e-3, 0.4, 0.999):
        block = rectangle([12 * UM, (26 - 2 * sliver) * UM], [(10 + 2 * sliver) * UM, 20 * UM])
        scene = fdtd.Scene.of(grid, SILICON, [(block, PEC)])
        assert float(scene.longest_step) == pytest.approx(float(free.longest_step), rel=1e-12)  # round-off
        # By area, from the sides alone.
        if scene.free:
            taken = float(jnp.sum(1 - scene.free[0])) * (2 * UM) ** 2
            assert taken == pytest.approx((14 - 2 * sliver) * (10 - 2 * sliver) * UM**2, rel=1e-11)
        else:
            assert int(jnp.sum(scene.metal)) == 35
    # On lines nothing is cut, whichever way their numbers were made, and the scene is the one of whole cells.
    rounded = rectangle([3 * 4 * UM, 2.6e-5], [1e-5, 0.1 * 200 * UM])
    assert fdtd.Scene.of(grid, SILICON, [(rounded, PEC)]).free == ()


def test_metal_around_is_metal_beside() -> None:
    """A background of metal with media in it is the media with metal around."""
    grid = fdtd.Grid.uniform((0, 20 * UM), (0, 30 * UM), 2 * UM)
    low, face, high = 3.3 * UM, 12 * UM, 24.5 * UM
    layers = [(rectangle([-1, 1], [low, face]), insb()), (rectangle([-1, 1], [face, high]), SILICON)]
    around = fdtd.Scene.of(grid, PEC, layers)
    walls = [(rectangle([-1, 1], [-1, low]), PEC), (rectangle([-1, 1], [high, 1]), PEC)]
    beside = fdtd.Scene.of(grid, SILICON, [layers[0], *walls])
    for one, other in zip(around.free[:1] + around.edges, beside.free[:1] + beside.edges, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)  # faces are a rounding of the lines beyond


def test_a_shape_of_ones_own_cuts_cells_too() -> None:
    class Half(fdtd.AbstractShape):
        at: Array

        def coverage(self, grid: fdtd.Grid) -> Array:
            share = jnp.clip((grid.y[1:] - self.at) / grid.dy, 0.0, 1.0)
            return jnp.broadcast_to(share, grid.shape)

    grid = fdtd.Grid.uniform((0, 6 * UM), (0, 20 * UM), 2 * UM)
    own = fdtd.Scene.of(grid, SILICON, [(Half(jnp.asarray(13.2 * UM)), PEC)])
    known = fdtd.Scene.of(grid, SILICON, [(rectangle([-1, 1], [13.2 * UM, 1]), PEC)])
    for one, other in zip((own.free[0], *own.edges), (known.free[0], *known.edges), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)  # round-off


@pytest.mark.parametrize(
    ("shape", "medium", "sentence"),
    [
        (([-1, 1], [10.5 * UM, 11.5 * UM]), PEC, "have no metal thinner than a cell between lines of the grid"),
        (([4.2 * UM, 5.1 * UM], [-1, 10.5 * UM]), PEC, "have no metal thinner than a cell between lines of the grid"),
        (
            ([-1, 1], [10.5 * UM, 1]),
            fdtd.SurfaceImpedance(10.0, 1e-12),
            "have impedance walls whose sides lie on lines of the grid",
        ),
    ],
)
def test_what_cells_do_not_see_is_refused(shape: Any, medium: Any, sentence: str) -> None:
    grid = fdtd.Grid.uniform((0, 20 * UM), (0, 20 * UM), 2 * UM)
    with pytest.raises(ValueError, match=sentence):
        fdtd.Scene.of(grid, SILICON, [(rectangle(*shape), medium)])


def test_sides_that_have_no_derivative_are_refused() -> None:
    grid = fdtd.Grid.uniform((0, 20 * UM), (0, 20 * UM), 2 * UM)
    wall = fdtd.SurfaceImpedance(10.0, 1e-12)

    def walled(at: Array) -> Array:
        return fdtd.Scene.of(grid, SILICON, [(rectangle([-1, 1], [at, 1]), wall)]).eps.sum()

    def disc(radius: Array) -> Array:
        region = fdtd.Region(lambda x, y: x**2 + y**2 < radius**2)
        return fdtd.Scene.of(grid, SILICON, [(region, fdtd.Dielectric(2.0))]).eps.sum()

    with pytest.raises(ValueError, match="a side that changes is a line that does"):
        jax.grad(walled)(10 * UM)
    with pytest.raises(ValueError, match="what is counted at points has no derivative"):
        jax.grad(disc)(9 * UM)
    # Metal that no line meets, where that cannot be seen beforehand, is no number.
    thin = lambda at: fdtd.Scene.of(grid, SILICON, [(rectangle([-1, 1], [at, at + UM]), PEC)]).longest_step  # noqa: E731
    assert np.isnan(jax.jit(thin)(10.5 * UM))
    assert np.isfinite(jax.jit(thin)(9.5 * UM))


def test_several_plasmas_in_a_cell_turn_by_their_carriers() -> None:
    """ν and ω_c change with the shares, without a jump at one half."""
    grid = fdtd.Grid.uniform((0, 6 * UM), (0, 4 * UM), 2 * UM)

    def motion(at: float) -> complex:
        dense, thin = fdtd.GyrotropicDrude(10.0, 2.0, 0.0, 1.0), fdtd.GyrotropicDrude(5.0, 2.0, 0.5, -1.0)
        return complex(fdtd.Scene.of(grid, dense, [(rectangle([at, 1], [-1, 1]), thin)]).motion[1, 0])

    assert motion(3.2 * UM) == pytest.approx((0.6 * 10 * 1j + 0.4 * 5 * (-0.5 - 1j)) / 8, rel=1e-12)
    assert abs(motion(3.0000001 * UM) - motion(2.9999999 * UM)) < 1e-6  # the shares' own change


# --- What the step conserves -----------------------------------------------------------------------------------------

SHARES = 1e-9, 0.03, 0.9


def cut(share: float, bias: float | Array) -> fdtd.Scene:
    """InSb and silicon in metal whose sides leave this share of cells, two blocks, and a plasma whose side cuts too."""
    at = lambda line: (line + share) * UM  # noqa: E731
    grid = fdtd.Grid(np.cumsum(np.r_[0, np.linspace(0.6, 1.4, 16)]) * UM, np.arange(13) * UM)
    objects = [
        (rectangle([-1, at(11)], [at(1), 5 * UM]), insb(bias)),
        (rectangle([-1, 1], [-1, at(1)]), PEC),
        (rectangle([-1, 1], [at(9), 1]), PEC),
        (rectangle([at(3), at(6)], [at(5), at(7)]), PEC),
    ]
    return fdtd.Scene.of(grid, SILICON, objects)


@eqx.filter_jit
def run(update: fdtd.Update, fields: fdtd.Fields, steps: int) -> tuple[fdtd.Fields, Array]:
    step = lambda fields, _: (update(fields), fields.hz[12, 7])  # noqa: E731
    return lax.scan(step, fields, None, length=steps)


@pytest.mark.parametrize("share", SHARES)
def test_turning_the_bias_exchanges_source_and_probe_beside_cut_metal(share: float) -> None:
    def answer(bias: float, source: tuple[int, int], probe: tuple[int, int]) -> Array:
        scene = cut(share, jnp.asarray(bias))
        update = fdtd.Update.of(scene, STEP)
        blank = update.zero_fields()
        seen = fdtd.propagate(
            update,
            300,
            probes=[fdtd.Functional("hz", probe, np.ones((1, 1)))],
            fields=blank._replace(
                hz=blank.hz.at[source].set(scene.rarity[source] / (scene.grid.dx[source[0]] * scene.grid.dy[source[1]]))
            ),
        ).traces[0]
        return seen / scene.grid.dx[probe[0]] / scene.grid.dy[probe[1]]

    a, b = (2, 1), (12, 9)  # both in cells that are cut
    there, back, same = answer(-0.5, a, b), answer(0.5, b, a), answer(0.5, a, b)
    assert np.max(np.abs(there - back)) < 1e-12 * np.max(np.abs(there))  # as without cuts
    assert np.max(np.abs(there - same)) > 1e-3 * np.max(np.abs(there))


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_energy_stays_over_many_steps_with_slivers(share: float) -> None:
    scene = cut(share, -0.5)
    update = fdtd.Update.of(scene)
    zero = update.zero_fields()
    noise = jax.random.normal(jax.random.key(0), zero.hz.shape)
    fields = zero._replace(hz=jnp.where(scene.metal, 0.0, noise))
    before = fdtd.energy(update, fields)
    after = fdtd.energy(update, run(update, fields, 100_000)[0])
    assert float(after) == pytest.approx(float(before), rel=1e-12)  # round-off, as without cuts


# --- Closed forms ----------------------------------------------------------------------------------------------------


@eqx.filter_jit
def lowest(cells: int, right: Any, top: Any) -> Array:
    """ω of a box of silicon in metal that ends within cells."""
    grid = fdtd.Grid.uniform((0, 40 * UM), (0, 30 * UM), 40 * UM / cells)
    objects = [(rectangle([right, 1], [-1, 1]), PEC), (rectangle([-1, right], [top, 1]), PEC)]
    update = fdtd.Update.of(fdtd.Scene.of(grid, SILICON, objects), 1e-16)
    return fdtd.resonances(update, 1.001 * exact(right, top)).omega[0]


def exact(right: Any, top: Any) -> Any:
    return np.pi * LIGHT / 11.68**0.5 * jnp.sqrt(1 / right**2 + 1 / top**2)


@pytest.mark.slow
@pytest.mark.parametrize(("right", "top"), [(33.3, 22.2), (36.01, 25.99)])
def test_a_cavity_converges_at_second_order(right: float, top: float) -> None:
    errors = [float(lowest(cells, right * UM, top * UM) / exact(right * UM, top * UM)) - 1 for cells in (20, 40)]
    assert abs(errors[-1]) < 1e-3
    # Faces have errors of third order beside it, by where they cut cells.
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def wave(h1: float, h2: float, near: float) -> float:
    """k of InSb (h1) under silicon (h2) between metal plates at 1 THz: PHYSICS.md, section 3."""
    eps, k0 = np.asarray(insb().permittivity(THZ)), THZ / LIGHT
    turn, voigt = (eps[0, 1] / 1j / eps[0, 0]).real, (eps[0, 0] + eps[0, 1] ** 2 / eps[0, 0]).real

    def rest(k: float) -> float:
        a, ad = np.sqrt(k**2 - k0**2 * voigt + 0j), np.sqrt(k**2 - k0**2 * 11.68 + 0j)
        below = (a**2 - (k * turn) ** 2) * np.tanh(a * h1) / voigt
        return (below + ad / 11.68 * np.tanh(ad * h2) * (a - k * turn * np.tanh(a * h1))).real

    return float(brentq(rest, near * 0.95, near * 1.05, xtol=1e-7))  # pyright: ignore[reportArgumentType]


@eqx.filter_jit
def waves(cell: int, low: Any, high: Any) -> tuple[Array, Array]:
    """k of both waves in cells of 1/`cell` µm, between plates at `low` and `high`."""
    grid = fdtd.Grid(np.arange(6) * UM / cell, np.arange(33 * cell + 1) * UM / cell - UM)
    plates = [(rectangle([-1, 1], [-1, low]), PEC), (rectangle([-1, 1], [high, 1]), PEC)]
    scene = fdtd.Scene.of(grid, SILICON, [(rectangle([-1, 1], [low, 18 * UM]), insb()), *plates])
    modes = fdtd.guide_modes(fdtd.CrossSection(scene), THZ, step=1e-16)
    far = jnp.stack([modes.forward.error[0], modes.backward.error[0]])
    return jnp.stack([modes.forward.k[0], modes.backward.k[0]]), far


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), [(0.37, 30.6), (-0.4, 30.02)])
def test_a_gyrotropic_guide_between_plates_within_cells_converges_at_second_order(low: float, high: float) -> None:
    known = np.array([wave((18 - low) * UM, (high - 18) * UM, near) for near in (89105.337, -112829.298)])
    errors = []
    for cell in (1, 2):
        k, far = waves(cell, low * UM, high * UM)
        errors.append(np.asarray(k) / known - 1)
        # And the continuum that they are held against has its walls there: 1e-8 of k is its own error.
        np.testing.assert_allclose(far, np.abs(np.asarray(k) - known), rtol=1e-4)
    assert np.all(np.abs(errors[1]) < 1e-3)
    np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.05)  # the next order


@pytest.mark.slow
def test_waves_are_continuous_in_the_plates() -> None:
    below, at, above = (np.asarray(waves(1, by, 30 * UM + by)[0]) for by in (-1e-16, 0.0, 1e-16))
    np.testing.assert_allclose(above, below, rtol=1e-9)  # the sides' own change is 1e-10 of them
    np.testing.assert_allclose(at, below, rtol=1e-9)
