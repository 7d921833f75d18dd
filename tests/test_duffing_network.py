"""Any forced oscillators: full matrices, forces of velocity and phase, shared forces and moving bases."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing

PAIR = duffing.DuffingPair(2.0, 1.3, 0.7, 5.0, 1.0, 0.05, num_harmonics=5)
SAME = duffing.OscillatorNetwork(
    [1.0, 2.0],
    [[6.0, -5.0], [-5.0, 6.3]],
    0.1,
    lambda x: jnp.array([1.0, 0.7]).reshape(-1, *[1] * (x.ndim - 1)) * x**3,
    num_harmonics=5,
)
EVERYTHING = duffing.OscillatorNetwork(
    mass=[[2.0, 0.3], [0.3, 1.0]],
    stiffness=[[3.0, -1.0], [-0.8, 2.0]],
    damping=[[0.1, -0.02], [-0.02, 0.1]],
    force=lambda x, v, phase: x**3 + 0.1 * v**3 + 0.2 * jnp.cos(2 * phase) * x,
    gyroscopic=[[0.0, 0.2], [-0.2, 0.0]],
)
# NLvib's second example: a primary mass with a nonlinear absorber.
ABSORBER = duffing.OscillatorNetwork(
    mass=[1.0, 0.05],
    stiffness=[[1.0453, -0.0453], [-0.0453, 0.0453]],
    damping=[[0.015, -0.013], [-0.013, 0.013]],
    force=lambda x, v: jnp.array([x[0] ** 3 - 0.0042 * (x[1] - x[0]) ** 3, 0.0042 * (x[1] - x[0]) ** 3]),
)


def test_a_pair_is_a_network() -> None:
    drive = nr.Drive(0.7, 0.15)
    ours, theirs = (nr.port_response(model, drive) for model in (SAME, PAIR))
    assert SAME.odd
    assert SAME.harmonics == PAIR.harmonics
    np.testing.assert_allclose(ours.b, theirs.b, atol=1e-14)  # round-off
    frequencies = [duffing.linear_frequencies(model) for model in (SAME, PAIR)]
    np.testing.assert_allclose(frequencies[0], frequencies[1], rtol=1e-13)


@pytest.mark.parametrize(
    "port",
    [
        pytest.param(0, marks=pytest.mark.slow),
        pytest.param([1.0, 0.5j], marks=pytest.mark.slow),
        pytest.param(duffing.BaseMotion([1.0, 0.5]), marks=pytest.mark.slow),
    ],
    ids=["one", "shares", "base"],
)
def test_balance_shooting_and_time_agree_whatever_drives(port) -> None:
    drive = nr.Drive(0.7, 0.3)
    assert not EVERYTHING.odd or EVERYTHING.depends_on == ("velocity", "phase")
    found, orbit = duffing.find_orbits(EVERYTHING, drive, port), duffing.shoot(EVERYTHING, drive, port)
    np.testing.assert_allclose(found.norm[0], orbit.norm, atol=1e-10)  # 9 harmonics leave 2e-13
    multipliers = np.sort(np.abs(found.multipliers[0]))
    np.testing.assert_allclose(multipliers, np.sort(np.abs(orbit.multipliers)), atol=1e-8)  # Magnus' order 4: 1e-9
    settled = duffing.settle(EVERYTHING, drive, port, periods=400)
    np.testing.assert_allclose(settled.norm, orbit.norm, atol=1e-7)  # order 8 in 12 steps a period: 7e-9
    moved = duffing.simulate(EVERYTHING, drive, np.array([0.0, 400 * 2 * np.pi / 0.7]), port=port, rtol=1e-10)
    np.testing.assert_allclose(moved.x[-1], orbit.x[0], atol=1e-6)  # 1e-10 a step
    curve = duffing.frequency_response(EVERYTHING, amplitude=0.3, omega=(0.5, 1.0), port=port)
    np.testing.assert_allclose(curve.at(0.7).norm[0], orbit.norm, atol=1e-10)


@pytest.mark.slow
def test_an_absolute_base_is_the_relative_one() -> None:
    """x = z + u: springs and dashpots to the base push by k u + c u', in absolute coordinates."""
    linear = duffing.OscillatorNetwork([1.3], [2.0], [0.2], num_harmonics=1)
    omega, motion = 0.9, 0.01
    relative = duffing.find_orbits(linear, nr.Drive(omega, motion), duffing.BaseMotion(), starts=4).b[0, 0, 0]
    push = motion * (2.0 + 0.2j * omega)
    absolute = duffing.find_orbits(linear, nr.Drive(omega, 1.0), [push], starts=4).b[0, 0, 0]
    np.testing.assert_allclose(relative + motion, absolute, rtol=1e-12)  # linear: round-off


def test_linear_frequencies_of_matrices_that_are_not_symmetric_or_indefinite() -> None:
    lattice = duffing.OscillatorNetwork([1.0, 1.0], [[2.0, -0.4], [-1.6, 2.0]])  # k_R ≠ k_L: ω² = 2 ∓ .8
    np.testing.assert_allclose(duffing.linear_frequencies(lattice), np.sqrt([1.2, 2.8]), rtol=1e-14)
    well = duffing.OscillatorNetwork([1.0, 1.0], [-1.0, 4.0], force=lambda x: x**3)
    np.testing.assert_allclose(duffing.linear_frequencies(well), [0.0, 2.0], rtol=1e-14)
    flutter = duffing.OscillatorNetwork([1.0, 1.0], [[1.0, 1.0], [-1.0, 1.0]])  # ω² = 1 ± i
    np.testing.assert_allclose(duffing.linear_frequencies(flutter), [np.sqrt(1 + 1j).real] * 2, rtol=1e-14)


@pytest.mark.slow
def test_period_doubling_and_broken_symmetry_are_located() -> None:
    helmholtz = duffing.OscillatorNetwork([1.0], [1.0], 0.1, lambda x: 0.6 * x**2 + 0.3 * x**3, num_harmonics=12)
    curve = duffing.frequency_response(helmholtz, amplitude=1.2, omega=(1.0, 3.0))
    doubled = curve.period_doublings
    k = int(np.nanargmin(np.abs(doubled.omega - 2.16)))
    np.testing.assert_allclose(doubled.omega[k], 2.1615366093, atol=1e-10)
    np.testing.assert_allclose(doubled.norm[k, 0], 0.2320200171, atol=1e-10)
    np.testing.assert_allclose(np.sort(curve.folds.omega[:2]), [1.4088679078, 2.4577691396], atol=1e-10)
    single = duffing.OscillatorNetwork([1.0], [1.0], 0.2, lambda x: x**3, num_harmonics=25)
    branch = duffing.continue_orbit(single, along="amplitude", bounds=(0.01, 5.0), omega=1.0)
    np.testing.assert_allclose(branch.symmetry_breakings.parameter[0], 2.7157984761, atol=1e-9)


@pytest.mark.slow
def test_both_ends_of_a_range_are_covered() -> None:
    """Softening: from below the branch folds back; what lies above its fold begins at the other bound."""
    soft = duffing.OscillatorNetwork([1.0], [1.0], 0.1, lambda x: -(x**3))
    curve = duffing.frequency_response(soft, amplitude=0.2, omega=(0.2, 1.6))
    assert curve.complete
    assert int(np.max(curve.piece)) == 1
    assert curve.at(1.2).count == 1
    settled = duffing.settle(soft, nr.Drive(1.2, 0.2), periods=100)
    np.testing.assert_allclose(curve.at(1.2).norm[0], settled.norm, atol=1e-6)  # settle's 12 steps a period


BAD = [
    (lambda: duffing.OscillatorNetwork([[1.0, 0.0]], [1.0]), "Argument mass must have shape (n,) or (n, n), but was"),
    (
        lambda: duffing.OscillatorNetwork([[1.0, 2.0], [2.0, 1.0]], 1.0),
        "Argument mass must be symmetric and positive definite, but was of eigenvalue -1",
    ),
    (
        lambda: duffing.OscillatorNetwork([[1.0, 0.2], [0.1, 1.0]], 1.0),
        "Argument mass must be symmetric and positive definite, but was not symmetric",
    ),
    (lambda: duffing.OscillatorNetwork([1.0, 1.0], [[1.0]]), "Argument stiffness must have shape"),
    (
        lambda: duffing.OscillatorNetwork([1.0, 1.0], 1.0, gyroscopic=[[0.0, 1.0], [1.0, 0.0]]),
        "Argument gyroscopic must be skew-symmetric",
    ),
    (lambda: duffing.OscillatorNetwork([1.0], 1.0, force=lambda x, v, p, q: x), "but was one of 4 arguments"),
    (lambda: duffing.OscillatorNetwork([1.0, 1.0], 1.0, force=lambda x: x[0]), "but was one that returns shape"),
    (
        lambda: duffing.find_orbits(ABSORBER, nr.Drive(1.0, 1.0), [1.0]),
        "Argument port must have shape (2,), but was of shape (1,)",
    ),
    (
        lambda: duffing.simulate(EVERYTHING, np.zeros(2), [0.0, 1.0]),
        "Argument force must be a Drive where the oscillators' own forces depend on its phase",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), BAD)
def test_bad_input_gets_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_branch_of_twice_the_period_begins_where_the_period_doubles() -> None:
    helmholtz = duffing.OscillatorNetwork([1.0], [1.0], 0.1, lambda x: 0.6 * x**2 + 0.3 * x**3, num_harmonics=8)
    branch = duffing.frequency_response(helmholtz, amplitude=1.2, omega=(1.0, 3.0))
    doubled = duffing.branch_off(branch, "period_doubling")
    assert doubled.model.harmonics[:4] == (0, 0.5, 1, 1.5)
    ends = np.asarray(branch.period_doublings.omega[:2])
    # It joins both period doublings; an orbit of the single period beside them differs by the size of its first step.
    assert np.min(doubled.omega[: doubled.count]) > ends.min() - 1e-3
    assert abs(doubled.omega[0] - ends[0]) < 1e-3
    half = np.abs(doubled.b[:, 0, 1]) * np.asarray(doubled.stable)  # at half of the drive's frequency
    k = int(np.argsort(half[: doubled.count])[-5])
    omega, b = float(doubled.omega[k]), doubled.b[k]
    assert half[k] > 0.1
    assert bool(doubled.stable[k])
    orbit = duffing.shoot(doubled.model, nr.Drive(omega, 1.2), guess=b)
    assert orbit.periods == 2
    np.testing.assert_allclose(orbit.ts[-1] + orbit.ts[1], 4 * np.pi / omega, rtol=1e-14)
    np.testing.assert_allclose(orbit.norm, doubled.norm[k], rtol=1e-6)  # 8 harmonics of the drive leave 1e-7
    np.testing.assert_allclose(np.abs(orbit.multipliers), np.abs(doubled.multipliers[k]), atol=1e-6)
    response = nr.port_response(doubled.model, nr.Drive(omega, 1.2), guess=b[None])
    np.testing.assert_allclose(response.b[:, 0], b, atol=1e-12)  # it is one already
    settled = duffing.settle(doubled.model, nr.Drive(omega, 1.2), periods=600, x0=1.001 * orbit.x[0], v0=orbit.v[0])
    assert settled.periods == 2
    np.testing.assert_allclose(settled.norm, orbit.norm, rtol=1e-6)  # 12 steps a period: 1e-7
    with pytest.raises(ValueError, match="Argument number must be below the number of these on the branch, 2"):
        duffing.branch_off(branch, "period_doubling", 2)


@pytest.mark.slow
def test_harmonics_that_leave_much_out_are_warned_of_or_added() -> None:
    strong = duffing.OscillatorNetwork([1.0], [1.0], 0.1, lambda x: x**3)
    with pytest.warns(RuntimeWarning, match="9 harmonics leave about .* of the orbit at omega = .*: raise num_harm"):
        duffing.frequency_response(strong, amplitude=3.0, omega=(0.35, 0.5))
    enough = duffing.frequency_response(strong, amplitude=3.0, omega=(0.35, 0.5), num_harmonics="auto")
    assert enough.model.num_harmonics > 9
    assert float(np.nanmax(enough.truncation)) < 1e-6


@pytest.mark.slow
def test_four_masses_with_a_stop_are_nonreciprocal_as_computed_by_others() -> None:
    stiffness = np.diag([2.0, 3.0, 3.0, 2.0]) - np.eye(4, k=1) - np.eye(4, k=-1)
    stop = duffing.Clearance(jnp.array([20.0, 0.0, 0.0, 0.0]), gap=0.3, width=0.05)
    masses = duffing.OscillatorNetwork(np.ones(4), stiffness, 0.1, stop, num_harmonics=20, num_instants=400)
    assert not masses.odd
    response = nr.port_response(masses, nr.Drive(1.05, 0.4), ports=[0, 3])
    norm = np.sqrt(nr.metrics.mean_square(response.b, masses.harmonics))
    # 20 harmonics leave 4e-8; the others' numbers are given to 1e-8.
    np.testing.assert_allclose([norm[3, 0], norm[0, 3]], [0.3997681789, 0.3719580096], rtol=1e-7)
    means = response.b[3, 0, 0].real, response.b[0, 3, 0].real
    np.testing.assert_allclose(means, [-0.0071959870, -0.1419088190], rtol=1e-6)


KINKS = [
    (lambda x: 20 * jnp.maximum(x - 0.3, 0.0), "whose slope jumps from 1 to 21 at x = [0.3]"),
    (lambda x, v: 0.1 * jnp.sign(v), "whose value jumps from -0.1 to 0.1 at x ="),
]


@pytest.mark.parametrize(("force", "sentence"), KINKS, ids=["stop", "dry friction"])
def test_forces_with_corners_are_refused(force, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape("Argument force must be smooth (see duffing.Clearance), but was")):
        duffing.OscillatorNetwork([1.0], 1.0, 0.1, force)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        duffing.OscillatorNetwork([1.0], 1.0, 0.1, force)
    with pytest.raises(ValueError, match=re.escape("Argument internal or coupling must be smooth")):
        duffing.OscillatorChain([1.0, 1.0], 0.1, lambda x: jnp.abs(x), lambda e: e)


def test_a_rounded_stop_is_no_corner() -> None:
    stop = duffing.Clearance(20.0, 0.3, 1e-3)
    duffing.OscillatorNetwork([1.0], 1.0, 0.1, stop)
    x = jnp.asarray([[-1.0, 0.3, 2.0]])
    np.testing.assert_allclose(stop(x), [[0.0, 0.01, 34.0]], atol=1e-5)  # kε²/(4·1.3) = 4e-6 away from the corner


@pytest.mark.slow
@pytest.mark.parametrize("amplitude", [0.15, 1.0, 5.0, 50.0])
def test_every_frequency_has_the_response_in_which_a_raised_force_ends(amplitude: float) -> None:
    pair = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05)

    @jax.jit
    @jax.vmap
    def response(omega: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = nr.port_response(pair, nr.Drive(omega, amplitude), ports=[0], throw=False)
        return found.converged, found.b[:, 0]

    omega = np.linspace(0.5, 4.0, 141)
    converged, b = response(jnp.asarray(omega))
    assert np.all(converged)
    if amplitude == 0.15:  # in the bistable range .9157 … .9643 it is the lower sheet, above it the only one
        curve = duffing.frequency_response(pair, amplitude=amplitude, omega=(0.5, 4.0))
        for k in (16, 20):  # ω = .9 and 1.0, beside the range
            here = curve.at(omega[k])
            assert here.count == 1
            np.testing.assert_allclose(b[k], here.b[0], atol=1e-10)


def test_a_leaf_is_replaced_inside_of_a_transformation() -> None:
    network = duffing.OscillatorNetwork([1.0, 2.0], [2.0, 3.0])
    replaced = jax.jit(lambda k: nr.replace(network, {"stiffness.1.1": k}).stiffness[1, 1])
    assert float(replaced(7.0)) == 7.0


def test_a_bistable_oscillator_is_told_from_one_that_rests_at_zero() -> None:
    cubic = lambda x: x**3  # noqa: E731
    assert duffing.OscillatorNetwork([1.0], 0.5, 0.1, cubic).odd
    beam = duffing.OscillatorNetwork([1.0], -0.5, 0.1, cubic, num_harmonics=3)
    assert not beam.odd
    assert not duffing.OscillatorChain([1.0, 1.0], 0.1, lambda x: x**3 - 0.5 * x, lambda e: e).odd
    with pytest.warns(RuntimeWarning, match="do not rest at x = 0.*which isolas=True looks for"):
        duffing.frequency_response(beam, amplitude=0.01, omega=(1.5, 2.0), max_points=32)


def test_a_force_that_wants_an_axis_of_instants_is_refused() -> None:
    column = jnp.array([[0.8], [1.1]])
    with pytest.raises(ValueError, match=r"Argument force must be a function .* but was .*\(2,\)"):
        duffing.OscillatorNetwork([1.0, 1.0], 1.0, 0.1, lambda x: column * x**3)
