"""The step: what physics conserves it conserves to round-off; and it converges to closed forms at second order."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

from diffnr import fdtd
from diffnr.fdtd.scene.media import LIGHT

UM = 1e-6
OMEGA_P = 4e12 * np.pi


def insb(bias: float | Array, nu: float = 0.0) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, nu * OMEGA_P, bias * OMEGA_P)


def guide(bias: float | Array = -0.25, nu: float = 0.0) -> fdtd.Scene:
    """InSb under silicon on a graded grid, with a metal block in it."""
    grid = fdtd.Grid.refined(
        [0, 40 * UM, 90 * UM], [0, 18 * UM, 30 * UM], UM, fine_x={40 * UM: 0.3 * UM}, fine_y={18 * UM: 0.2 * UM}
    )
    block = fdtd.Rectangle([60 * UM, 70 * UM], [20 * UM, 25.5 * UM]), fdtd.PerfectConductor()
    return fdtd.Scene.of(
        grid, fdtd.Dielectric(11.68), [(fdtd.Rectangle([-np.inf, np.inf], [0, 18 * UM]), insb(bias, nu)), block]
    )


@eqx.filter_jit
def run(update: fdtd.Update, fields: fdtd.Fields, steps: int) -> fdtd.Fields:
    return lax.fori_loop(0, steps, lambda i, fields: update(fields), fields)


@eqx.filter_jit
def answer(update: fdtd.Update, source: tuple[int, int], probe: tuple[int, int], size: Array, steps: int) -> Array:
    """Hz over time at a cell, after a kick of unit strength per area in another one."""
    fields = update.zero_fields()
    fields = fields._replace(hz=fields.hz.at[source].set(1 / size[source]))

    def step(fields: fdtd.Fields, _: None) -> tuple[fdtd.Fields, Array]:
        fields = update(fields)
        return fields, fields.hz[probe]

    return lax.scan(step, fields, None, length=steps)[1]


def kicked(scene: fdtd.Scene, update: fdtd.Update) -> fdtd.Fields:
    """Fields with every mode of the grid in them, none of them inside of metal."""
    fields = update.zero_fields()
    noise = jax.random.normal(jax.random.key(0), fields.hz.shape, fields.hz.dtype)
    return fields._replace(hz=jnp.where(scene.metal, 0.0, noise))


@pytest.mark.slow
@pytest.mark.parametrize(("bias", "steps"), [(-0.25, 10_000), (-0.25, 100_000), (0.0, 100_000)])
def test_a_closed_box_conserves_energy_to_round_off(bias: float, steps: int) -> None:
    scene = guide(bias)
    update = fdtd.Update.of(scene)
    fields = kicked(scene, update)
    before = fdtd.energy(update, fields)
    after = fdtd.energy(update, run(update, fields, steps))
    assert before > 0
    assert float(after) == pytest.approx(float(before), rel=1e-12)  # the bound; round-off walks to 3e-14


def test_collisions_take_energy_at_every_step() -> None:
    scene = guide(nu=5e-3)
    update = fdtd.Update.of(scene)

    def step(fields: fdtd.Fields, _: None) -> tuple[fdtd.Fields, Array]:
        return update(fields), fdtd.energy(update, fields)

    energies = jax.jit(lambda fields: lax.scan(step, fields, None, length=3000)[1])(kicked(scene, update))
    assert np.all(np.diff(energies) <= 1e-14 * energies[0])  # round-off
    assert 0 < energies[-1] < 0.999 * energies[0]


@pytest.mark.parametrize("seed", range(3))
def test_turning_the_bias_exchanges_source_and_probe(seed: int) -> None:
    """G_ab(B) = G_ba(−B) for random media, losses, biases and grids, to round-off."""
    rng = np.random.default_rng(seed)
    lines = [np.cumsum(rng.uniform(0.5, 1.5, n)) * UM for n in (31, 23)]
    grid = fdtd.Grid(*lines)
    number = lambda low, high: jnp.asarray(rng.uniform(low, high, grid.shape))  # noqa: E731
    eps, omega_p, nu, omega_c = number(1, 16), number(0, 1), number(0, 0.05), number(-0.5, 0.5)
    metal = fdtd.Rectangle([lines[0][11], lines[0][15]], [lines[1][3], lines[1][9]])

    def green(sign: float, source: tuple[int, int], probe: tuple[int, int]) -> Array:
        medium = fdtd.GyrotropicDrude(eps, omega_p * OMEGA_P, nu * OMEGA_P, sign * omega_c * OMEGA_P)
        scene = fdtd.Scene.of(grid, medium, [(metal, fdtd.PerfectConductor())])
        return answer(fdtd.Update.of(scene), source, probe, grid.dx[:, None] * grid.dy, 500)

    a, b = (3, 17), (25, 6)
    there, back, same = green(1.0, a, b), green(-1.0, b, a), green(1.0, b, a)
    scale = np.max(np.abs(there))
    assert np.max(np.abs(there - back)) < 1e-12 * scale  # the bound
    assert np.max(np.abs(there - same)) > 1e-3 * scale  # and the bias is what breaks reciprocity


@pytest.mark.parametrize("share", [0.999, 1.02])
def test_the_longest_step_is_sharp_on_a_uniform_grid(share: float) -> None:
    grid = fdtd.Grid.uniform((0, 40 * UM), (0, 40 * UM), UM)
    scene = fdtd.Scene.of(grid, fdtd.Dielectric(4.0))
    # By formula: 1/(c √(1/Δx² + 1/Δy²)) times the index; Gershgorin's bound is met in the middle of a large grid.
    limit = 2 * UM / (LIGHT * 2**0.5)
    assert scene.longest_step == pytest.approx(limit, rel=1e-12)
    update = eqx.tree_at(lambda u: u.step, fdtd.Update.of(scene), share * limit)
    factor = share / 0.95
    update = eqx.tree_at(lambda u: u.curl, update, jax.tree_util.tree_map(lambda x: x * factor, update.curl))
    grown = run(update, kicked(scene, update), 3000)
    assert (np.max(np.abs(grown.hz)) < 1e3) == (share < 1)


@pytest.mark.slow
def test_fields_stay_bounded_with_plasma_at_the_default_step() -> None:
    scene = guide()
    update = fdtd.Update.of(scene)
    fields = run(update, kicked(scene, update), 50_000)
    assert np.max(np.abs(fields.hz)) < 100


@pytest.mark.slow
def test_modes_of_a_cavity_converge_at_second_order() -> None:
    """A box of dielectric: ω = πc/n √((m/a)² + (l/b)²), on graded grids too."""
    a, b, n = 30 * UM, 20 * UM, 2.0
    exact = np.pi * LIGHT / n * np.hypot(1 / a, 1 / b)
    errors = []
    for cells in (15, 30):
        x = np.linspace(0, 1, cells + 1)
        grid = fdtd.Grid(a * (x + 0.1 * np.sin(2 * np.pi * x) / 2), b * np.linspace(0, 1, cells + 1))
        scene = fdtd.Scene.of(grid, fdtd.Dielectric(n**2))
        update = fdtd.Update.of(scene)
        cx, cy = grid.centres
        mode = jnp.cos(np.pi * cx / a)[:, None] * jnp.cos(np.pi * cy / b)
        fields = update.zero_fields()._replace(hz=mode)
        # Three samples of a tone tell its frequency; by volumes, so that other modes are left out twice.
        samples = []
        for _ in range(3):
            samples.append(float(jnp.sum(grid.dx[:, None] * grid.dy * mode * fields.hz)))
            fields = run(update, fields, cells // 3)
        omega = np.arccos((samples[0] + samples[2]) / (2 * samples[1])) / (cells // 3 * float(update.step))
        errors.append(omega / exact - 1)
    assert abs(errors[1]) < 2e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)  # the next order at these cells


def test_plasma_oscillates_at_its_frequencies() -> None:
    """Uniform motion of the carriers: E and J in the plane turn at the magnetised plasma's two bulk frequencies."""
    bias, step = -0.25, 2e-16
    grid = fdtd.Grid.uniform((0, 2 * UM), (0, 2 * UM), UM)
    update = fdtd.Update.of(fdtd.Scene.of(grid, insb(bias)), step)

    def advance(state: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], Array]:
        # The step without a curl: uniform fields, which the box's walls would not allow.
        ex, ey, jx, jy = state
        ones = jnp.ones(update.shape)
        wide = lambda value: value * jnp.ones((2, 3))  # noqa: E731
        fields = fdtd.Fields(wide(ex), wide(ey).T, 0 * ones, jx * ones, jy * ones)
        ahead = update.magnetic(fields)
        jx, jy = ahead.jx[0, 0], ahead.jy[0, 0]
        return (ex - jx / 15.6, ey - jy / 15.6, jx, jy), ex + 1j * ey

    start = tuple(jnp.asarray(v) for v in (1.0, 0.0, 0.0, 0.0))
    _, turning = lax.scan(advance, start, None, length=2**15)
    # Ex + iEy turns as e^{iωt} with ω² − ω_c ω − ω_p² = 0, the zeros of ε1 ± ε2; which is the faster tells ω_c's sign.
    for sign in (1, -1):
        exact = OMEGA_P * (np.sqrt(1 + bias**2 / 4) + sign * bias / 2)
        trace = turning if sign > 0 else jnp.conj(turning)
        lines = fdtd.ring_down(trace, step, band=(0.8 * OMEGA_P, 1.2 * OMEGA_P))
        assert lines.omega[0] == pytest.approx(exact, rel=1e-6)  # (ωΔt)²/24 of the step is 3·10⁻⁷
        assert abs(lines.gamma[0]) < 1e-6 * OMEGA_P  # nothing is lost, to the pencil's own error


@pytest.mark.slow
def test_float32_follows_float64() -> None:
    scene = guide(nu=5e-3)
    size = scene.grid.dx[:, None] * scene.grid.dy
    double = answer(fdtd.Update.of(scene), (10, 30), (40, 12), size, 10_000)
    single = answer(fdtd.Update.of(scene, dtype=jnp.float32), (10, 30), (40, 12), size.astype(jnp.float32), 10_000)
    assert single.dtype == jnp.float32
    assert np.max(np.abs(single - double)) < 1e-4 * np.max(np.abs(double))  # the bound


@pytest.mark.slow
def test_a_compiled_step_keeps_no_copies() -> None:
    grid = fdtd.Grid.uniform((0, 200 * UM), (0, 200 * UM), UM)
    update = fdtd.Update.of(fdtd.Scene.of(grid, insb(-0.25)), dtype=jnp.float32)
    options = {"xla_cpu_copy_insertion_use_region_analysis": True}
    loop = jax.jit(
        lambda update, fields: lax.fori_loop(0, 100, lambda i, fields: update(fields), fields), compiler_options=options
    )
    memory = loop.lower(update, update.zero_fields()).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 0.05 * 4 * 200 * 200  # of one field


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (-1e-15, "Argument step must be positive, but was -1e-15"),
        (1e-12, "Argument step must be below .* s, beyond which fields grow, but was 1e-12"),
    ],
)
def test_a_step_that_cannot_be_is_refused(step: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fdtd.Update.of(guide(), step)
