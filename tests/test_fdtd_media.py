"""Media of the field solver: permittivities against the equations of motion, and grids and scenes made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd.scene.media import CHARGE, MASS
from systems import central_difference

UM = 1e-6
OMEGA_P = 4e12 * np.pi


def insb(bias: float = -0.25, nu: float = 5e-3) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, nu * OMEGA_P, bias * OMEGA_P)


@pytest.mark.parametrize("bias", [-0.25, 0.0, 0.4])
def test_permittivity_is_that_of_the_equation_of_motion(bias: float) -> None:
    """(iω + ν) J − ω_c ẑ×J = ε0 ε∞ ω_p² E, solved for J along x, y and z."""
    omega, medium = 2e12 * np.pi * 1.24, insb(bias)
    cross = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    motion = (1j * omega + 5e-3 * OMEGA_P) * np.eye(3) - bias * OMEGA_P * cross
    expected = 15.6 * (np.eye(3) + OMEGA_P**2 / (1j * omega) * np.linalg.inv(motion))
    np.testing.assert_allclose(medium.permittivity(omega), expected, rtol=1e-13, atol=1e-13)  # round-off


def test_permittivity_has_the_papers_signs() -> None:
    """For B along −z ε = [[ε1, +iε2], [−iε2, ε1]] with ε2 > 0 above the cyclotron frequency; loss is −i."""
    eps = insb(nu=0.0).permittivity(2e12 * np.pi * 1.24)
    ratio = 1 - 4 / (1.24**2 - 0.5**2)  # frequencies in THz
    assert eps[0, 0] == pytest.approx(15.6 * ratio, rel=1e-13)
    assert eps[0, 1] == pytest.approx(15.6j * 4 * 0.5 / (1.24 * (1.24**2 - 0.5**2)), rel=1e-13)
    assert eps[1, 0] == -eps[0, 1]
    assert insb().permittivity(2e12 * np.pi)[2, 2].imag < 0
    assert fdtd.Dielectric(11.68).permittivity([1.0, 2.0]).shape == (2, 3, 3)
    assert np.all(np.isneginf(np.asarray(fdtd.PerfectConductor().permittivity(1.0)).diagonal().imag))


def test_a_medium_has_no_permittivity_that_fields_do_not_see() -> None:
    class Own(fdtd.AbstractMedium):
        eps_inf = property(lambda self: jnp.asarray(4.8841))
        omega_p = property(lambda self: jnp.asarray(1e12))
        nu = property(lambda self: jnp.asarray(0.0))
        omega_c = property(lambda self: jnp.asarray(-3e11))

    drude = fdtd.GyrotropicDrude(4.8841, 1e12, 0.0, -3e11)
    np.testing.assert_array_equal(Own().permittivity([2e12, 3e12]), drude.permittivity([2e12, 3e12]))
    must = "must not have a permittivity of its own: it follows from eps_inf"

    def tensor(self, omega):
        return jnp.eye(3) * 4.8841 + 0.0076j * jnp.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0]])

    for base in (fdtd.AbstractMedium, Own, fdtd.Dielectric, fdtd.GyrotropicDrude):
        with pytest.raises(TypeError, match=must):
            type(base)("Constant", (base,), {"permittivity": tensor, "__annotations__": {}})


def test_without_carriers_the_permittivity_is_finite_at_all_frequencies() -> None:
    for medium in (fdtd.Dielectric(11.68), fdtd.GyrotropicDrude(11.68, 0.0, 0.0, 1e12)):
        np.testing.assert_array_equal(medium.permittivity([0.0, 1e12]), np.broadcast_to(11.68 * np.eye(3), (2, 3, 3)))
    with pytest.raises(ValueError, match="Argument omega must be one at which the permittivity is finite"):
        fdtd.GyrotropicDrude(11.68, 1.0, 0.0, 1e12).permittivity(1e12)


def test_from_field() -> None:
    medium = fdtd.GyrotropicDrude.from_field(-0.25, 0.014, eps_inf=15.6, omega_p=OMEGA_P, nu=0.0)
    assert medium.omega_c == pytest.approx(-0.25 * CHARGE / (0.014 * MASS), rel=1e-15)
    assert medium.omega_c == pytest.approx(-0.25 * OMEGA_P, rel=1e-2)  # the paper's InSb: a quarter of a tesla


def test_grids() -> None:
    even = fdtd.Grid.uniform((0, 10 * UM), (0, 4.1 * UM), UM)
    assert even.shape == (10, 5)
    np.testing.assert_allclose(even.dy, 0.82 * UM)
    grid = fdtd.Grid.refined(
        [0, 40 * UM, 90 * UM], [0, 18 * UM, 30 * UM], UM, fine_x={40 * UM: 0.1 * UM}, fine_y={18 * UM: 0.2 * UM}
    )
    for lines, sizes, stops in ((grid.x, grid.dx, (0, 40, 90)), (grid.y, grid.dy, (0, 18, 30))):
        for stop in stops:
            assert np.min(np.abs(lines - stop * UM)) < 1e-18
        assert np.max(sizes) <= UM * (1 + 1e-3)  # trapezoids
        assert np.max(sizes[1:] / sizes[:-1]) < 1.25  # growth, and whole numbers of cells between lines
        assert np.max(sizes[:-1] / sizes[1:]) < 1.25
    assert np.min(grid.dx) == pytest.approx(0.1 * UM, rel=0.2)
    assert np.min(grid.dy) == pytest.approx(0.2 * UM, rel=0.2)


def test_scenes_average_over_cells() -> None:
    grid = fdtd.Grid.uniform((0, 4.0), (0, 4.0), 1.0)
    scene = fdtd.Scene.of(
        grid,
        fdtd.Dielectric(2.0),
        [
            (fdtd.Rectangle([1.0, 2.5], [0.0, 1.25]), insb()),
            (fdtd.Region(lambda x, y: (x > 3) & (y > 3)), fdtd.PerfectConductor()),
        ],
    )
    share = np.zeros((4, 4))
    share[1, :2], share[2, :2] = (1, 0.25), (0.5, 0.125)
    eps = 2 * (1 - share) + 15.6 * share
    eps[3, 3] = 1
    np.testing.assert_allclose(scene.eps, eps)
    np.testing.assert_allclose(scene.drude_weight, 15.6 * OMEGA_P**2 * share)
    assert scene.motion == -5e-3 * OMEGA_P - 0.25j * OMEGA_P
    assert np.argwhere(scene.metal).tolist() == [[3, 3]]
    # A second medium of carriers: each has its own motion where it covers most.
    both = fdtd.Scene.of(grid, insb(0.5), [(fdtd.Rectangle([0.0, 2.0], [0.0, 4.0]), insb(-0.25))])
    np.testing.assert_array_equal(both.motion.imag / OMEGA_P, np.repeat([-0.25, -0.25, 0.5, 0.5], 4).reshape(4, 4))


def test_coverage_is_differentiable_in_the_ends() -> None:
    grid = fdtd.Grid.uniform((0, 4.0), (0, 4.0), 1.0)
    area = lambda top: jnp.sum(fdtd.Rectangle(jnp.array([0.3, 2.5]), jnp.stack([0.2, top])).coverage(grid))  # noqa: E731
    assert area(1.7) == pytest.approx(2.2 * 1.5)
    assert jax.grad(area)(1.7) == pytest.approx(2.2)
    assert central_difference(area, jnp.asarray(1.7), 1e-3) == pytest.approx(2.2, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fdtd.Dielectric(0.5), "Argument eps must be at least 1, but was 0.5"),
        (lambda: insb(nu=-1.0), "Argument nu must not be negative"),
        (lambda: fdtd.Grid([0, 2, 1], [0, 1, 2]), r"Argument x must rise from line to line, but was \[0"),
        (lambda: fdtd.Grid([0, np.inf, 1], [0, 1, 2]), "Argument x must be finite"),
        (lambda: fdtd.Grid.uniform((0, 1), (0, 1), -1.0), "Argument cell must be positive, but was -1"),
        (
            lambda: fdtd.Grid.refined([0, 1], [0, 1], 0.1, fine_x={2.0: 0.01}),
            "Argument fine_x must name places",
        ),
        (lambda: fdtd.Rectangle([1, 0], [0, 1]), r"Argument x must be \(lowest, highest\), in this order"),
        (
            lambda: fdtd.Scene.of(
                fdtd.Grid.uniform((0, 1), (0, 1), 0.1),
                fdtd.Dielectric(1.0),
                [(fdtd.Rectangle([2, 3], [0, 1]), fdtd.Dielectric(2.0))],
            ),
            "Argument objects must have shapes that meet the grid",
        ),
        (
            lambda: fdtd.Scene.of(fdtd.Grid.uniform((0, 1), (0, 1), 0.5), fdtd.Dielectric(np.ones((3, 2)))),
            r"Argument objects must have media of shape \(\) or \(2, 2\), but was of shape \(3, 2\)",
        ),
        (
            lambda: fdtd.GyrotropicDrude.from_field(0.1, 0.0, eps_inf=15.6, omega_p=1.0, nu=0.0),
            "Argument effective_mass must be positive, but was 0",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_equal_but_for_rounding_is_equal_in_either_precision(dtype: type) -> None:
    # Lines at multiples of 1.1 µm are no numbers of either precision, and differences of them differ.
    x, y = (np.arange(n, dtype=dtype) * dtype(1.1e-6) for n in (161, 21))
    assert np.ptp(np.diff(x)) > 0
    below, above = ([x[0], x[-1]], [y[0], 11 * dtype(1.1e-6)]), ([x[0], x[-1]], [11 * dtype(1.1e-6), y[-1]])
    shapes = [(fdtd.Rectangle(*below), insb()), (fdtd.Rectangle(*above), fdtd.Dielectric(11.68))]
    scene = fdtd.Scene.of(fdtd.Grid(x, y), fdtd.Dielectric(1.0), shapes)
    fdtd.Simulation(scene, [fdtd.Port(60 * UM, "+x"), fdtd.Port(110 * UM, "-x")])
    # What differs by more than rounding does.
    moved = x.copy()
    moved[80] += dtype(1e-3 * 1.1e-6)
    uneven = fdtd.Scene.of(fdtd.Grid(moved, y), fdtd.Dielectric(1.0), shapes)
    with pytest.raises(ValueError, match="equally wide along x"):
        fdtd.CrossSection.of(uneven, moved[80])
    wider = fdtd.Rectangle([x[0], x[80]], [y[4], y[5] + 2e-3 * dtype(1.1e-6)]), fdtd.Dielectric(4.0)
    changed = fdtd.Scene.of(fdtd.Grid(x, y), fdtd.Dielectric(1.0), [wider])
    with pytest.raises(ValueError, match="uniform along x"):
        fdtd.CrossSection.of(changed, x[80])
