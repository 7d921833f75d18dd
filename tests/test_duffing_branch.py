"""Branches along any parameter; isolas; where multipliers cross the unit circle, and what time integration says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from diffnr.duffing.branch import driven_by
from diffnr.duffing.floquet import crossings
from diffnr.duffing.special_points import once_around
from diffnr.results import RESULTS
from systems import central_difference

PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=5)


def single(*coefficients: float, friction: float, num_harmonics: int) -> duffing.OscillatorChain:
    force = duffing.PolynomialForce(jnp.array(coefficients))
    return duffing.OscillatorChain([1.0], friction, force, lambda e: e, num_harmonics=num_harmonics)


HELMHOLTZ = single(1.0, -1.0, friction=0.1, num_harmonics=8)
DUFFING = single(1.0, 0.0, 1.0, friction=0.2, num_harmonics=9)


@pytest.fixture(scope="module")
def over_amplitude() -> duffing.OrbitBranch:
    return duffing.continue_orbit(PAIR, along="amplitude", bounds=(0.0, 0.4), omega=0.95)


@pytest.fixture(scope="module")
def over_frequency() -> duffing.OrbitBranch:
    return duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.5, 2.0))


@pytest.mark.slow
def test_branches_over_the_force_are_those_over_the_frequency(
    over_amplitude: duffing.OrbitBranch, over_frequency: duffing.OrbitBranch
) -> None:
    assert over_amplitude.along == "amplitude"
    assert over_amplitude.parameter[0] == 0
    assert over_amplitude.result == RESULTS.successful
    assert over_amplitude.folds.count == 2
    np.testing.assert_array_equal(over_amplitude.omega[: over_amplitude.count], 0.95)
    here, there = over_amplitude.at(0.15), over_frequency.at(0.95)
    assert here.count == there.count == 3
    # Newton to round-off, twice; the force climbs the branches in the other order.
    np.testing.assert_allclose(here.norm[:3], there.norm[:3][::-1], atol=1e-12)
    np.testing.assert_allclose(here.multipliers[:3], there.multipliers[:3][::-1], atol=1e-12)
    assert np.asarray(here.stable[:3]).tolist() == [True, False, True]


@pytest.mark.slow
def test_folds_over_the_force_are_folds_over_the_frequency(over_amplitude: duffing.OrbitBranch) -> None:
    """One orbit with a critical multiplier, whatever is changed."""
    for P in over_amplitude.folds.parameter[:2]:
        response = duffing.frequency_response(PAIR, amplitude=P, omega=(0.5, 2.0))
        assert np.min(np.abs(response.folds.omega[:2] - 0.95)) < 1e-8  # Newton to round-off; a fold's ω ~ P


@pytest.mark.slow
def test_along_a_leaf_with_its_derivatives() -> None:
    @jax.jit
    def quantities(damping: jax.Array) -> jax.Array:
        pair = nr.replace(PAIR, {"damping": damping})
        branch = duffing.continue_orbit(
            pair, along="cubic_ratio", bounds=(-1.0, 8.0), amplitude=0.15, omega=0.93, max_points=200
        )
        return jnp.concatenate([branch.folds.parameter[:2], branch.at(1.0).norm[:1, 1]])

    value = quantities(jnp.asarray(0.05))
    alone = duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.5, 2.0)).at(0.93)
    assert np.min(np.abs(alone.norm[:3, 1] - value[2])) < 1e-12  # Newton to round-off
    assert np.all(np.isfinite(value))
    slopes = jax.jacfwd(quantities)(jnp.asarray(0.05))
    along = central_difference(quantities, jnp.asarray(0.05), 1e-4)
    np.testing.assert_allclose(slopes, along, rtol=1e-6)  # roots to 1e-12 over steps of 1e-4; O(step⁶)


def network(stiffness: float) -> duffing.OscillatorNetwork:
    springs = [[stiffness, -5.0], [-5.0, 6.0]]
    return duffing.OscillatorNetwork([1.0, 2.0], springs, 0.1, lambda x: x**3, num_harmonics=3, odd=True)


@pytest.mark.slow
def test_along_a_phase_of_the_force() -> None:
    branch = duffing.continue_orbit(
        network(6.0), along="phase.1", bounds=(-np.pi, np.pi), amplitude=0.1, omega=0.93, port=[1.0, 0.5]
    )
    assert branch.result == RESULTS.successful
    points = branch.trim()
    for k in (0, int(points.count) // 2, -1):
        force, b = np.zeros((2, 2), complex), np.asarray(points.b[k])  # of harmonics 1 and 3
        force[:, 0] = 0.1, 0.05 * np.exp(1j * float(points.parameter[k]))
        tau = np.arange(16) * np.pi / 8
        x = np.real(b @ np.exp(1j * np.outer([1, 3], tau)))
        cubic = x**3 @ np.exp(-1j * np.outer(tau, [1, 3])) / 8
        orders, springs = 0.93 * np.asarray([1, 3]), np.asarray([[6.0, -5.0], [-5.0, 6.0]])
        left = (-np.outer([1, 2], orders**2) + 0.1j * orders) * b + springs @ b + cubic
        np.testing.assert_allclose(left, force, atol=1e-12)  # Newton to round-off


def test_what_changes_may_be_an_entry_of_a_matrix() -> None:
    driven = driven_by(network(6.0), jnp.asarray(0.93), 0.1, 0, "stiffness.0.0", None)
    assert driven.value("stiffness.0.0") == 6.0
    np.testing.assert_array_equal(driven.at(jnp.asarray(5.5)).model.stiffness, [[5.5, -5.0], [-5.0, 6.0]])
    turned = driven.having("phase.0", jnp.asarray(np.pi / 2)).forcing
    np.testing.assert_allclose(turned.phasors(driven.model, driven.omega, driven.amplitude), [0.1j, 0.0], atol=1e-16)


@pytest.mark.slow
def test_an_isola_is_followed_once_around() -> None:
    pair = duffing.DuffingPair(1.951873, 1.287778, 1.663198, 0.171479, 1.0, 0.0102043, num_harmonics=5)
    drive, bounds = nr.Drive(1.2, 0.142254), (0.3, 4.0)
    main = duffing.frequency_response(pair, amplitude=drive.amplitude, omega=bounds).at(drive.omega)
    every = duffing.find_orbits(pair, drive)
    assert (main.count, every.count) == (3, 5)  # a loop passes ω an even number of times
    apart = np.min(np.linalg.norm(every.b[:5, None] - main.b[:3], axis=(2, 3)), axis=1)
    start = every.b[int(np.argmax(apart))]
    isola = duffing.continue_orbit(
        pair, along="omega", bounds=bounds, amplitude=drive.amplitude, omega=drive.omega, start=start
    )
    assert isola.result == RESULTS.closed
    count = int(isola.count)
    assert isola.message == f"The branch is a closed loop of {count} points, followed once around from omega = 1.2."
    assert isola.folds.count == 2
    low, high = sorted(np.asarray(isola.folds.omega[:2]))
    assert low < drive.omega < high
    loop = isola.trim()
    assert np.min(loop.omega) >= low - 1e-9
    assert np.max(loop.omega) <= high + 1e-9
    # It is closed: back on the first point's neighbourhood, and where it passes ω again it is the orbit it began at.
    assert np.linalg.norm(loop.b[-1] - loop.b[0]) < 2 * np.linalg.norm(loop.b[1] - loop.b[0]) + 0.15
    back = isola.at(drive.omega)
    assert back.count == 2  # each once, that at which the loop began too
    assert np.linalg.norm(back.b[0] - start) < 1e-12  # Newton to round-off
    # Downwards it is the same loop.
    down = duffing.continue_orbit(
        pair, along="omega", bounds=bounds, amplitude=drive.amplitude, omega=drive.omega, start=start, upwards=False
    )
    np.testing.assert_allclose(np.sort(down.folds.omega[:2]), [low, high], atol=1e-10)


def after(branch: duffing.OrbitBranch, value: float, periods: int, last: int) -> np.ndarray:
    """Displacements at the start of the last periods of a long time, from the orbit at a value, pushed a little."""
    orbit, model = branch.at(value), branch.model
    assert orbit.count == 1
    drive = nr.Drive(orbit.omega[0], value if branch.along == "amplitude" else branch.amplitude)
    x0 = jnp.sum(orbit.b[0].real, axis=1)
    v0 = -jnp.sum(jnp.asarray(model.harmonics) * drive.omega * orbit.b[0].imag, axis=1)
    ts = 2 * np.pi / drive.omega * np.append(0.0, np.arange(periods - last, periods + 1))
    moved = duffing.simulate(model, drive, ts, x0=1.001 * x0, v0=v0, port=0, max_steps=2**18)
    return np.asarray(moved.x)[1:]


@pytest.mark.slow
def test_period_doubling_is_flagged_where_time_integration_has_it() -> None:
    """The escape oscillator: Thompson, Proc. R. Soc. A 421, 195 (1989), has it near F = .099 at ω = .85."""
    branch = duffing.continue_orbit(HELMHOLTZ, along="amplitude", bounds=(1e-3, 0.12), omega=0.85)
    flags = branch.crossings
    (i,) = np.flatnonzero(flags.at_minus_one)
    before, behind = branch.parameter[i], branch.parameter[i + 1]
    assert 0.095 < before < 0.1 < behind < 0.105
    assert not np.any(flags.as_pair)
    assert np.sum(flags.at_one) == 2 == branch.folds.count
    assert not branch.stable[i + 1]
    once = np.diff(after(branch, 0.098, 400, 4)[:, 0])
    np.testing.assert_allclose(once, 0, atol=1e-6)  # e^{-.05 t} after 400 periods, and the integrator's 1e-8
    doubled = after(branch, 0.104, 400, 4)[:, 0]
    assert np.max(np.abs(np.diff(doubled))) > 1e-2
    np.testing.assert_allclose(doubled[2:], doubled[:-2], atol=1e-6)


@pytest.mark.slow
def test_a_torus_is_flagged_where_time_integration_has_it() -> None:
    pair = duffing.DuffingPair(1.5973185, 1.8544039, -0.593437, 0.1341046, 1.0, 0.0299404, num_harmonics=7)
    amplitude = 0.0729835
    branch = duffing.frequency_response(pair, amplitude=amplitude, omega=(0.3, 2.0))
    i, j = np.flatnonzero(branch.crossings.as_pair)
    assert (branch.omega[i], branch.omega[j]) == (pytest.approx(1.12, abs=0.02), pytest.approx(1.19, abs=0.02))
    unstable = branch.multipliers[(i + j) // 2]
    assert abs(unstable[0].imag) > 0.1
    assert abs(unstable[0]) > 1
    still = after(branch, 1.05, 600, 8)
    np.testing.assert_allclose(np.diff(still, axis=0), 0, atol=1e-6)  # e^{-.03 t} after 600 periods
    beating = after(branch, 1.155, 600, 8)
    assert np.max(np.abs(np.diff(beating, axis=0))) > 1e-2


@pytest.mark.slow
def test_orbits_that_break_the_symmetry_of_odd_forces() -> None:
    branch = duffing.continue_orbit(DUFFING, along="amplitude", bounds=(0.01, 4.0), omega=1.0)
    assert branch.folds.count == 0
    (i,) = np.flatnonzero(branch.crossings.at_one)
    assert (branch.stable[i], branch.stable[i + 1]) == (True, False)
    where, drive = float(branch.parameter[i + 1]), nr.Drive(1.0, 3.0)
    assert where < drive.amplitude
    # The symmetric orbit and a pair of broken ones, of the same norm, each the other's mirror image.
    free = duffing.AllHarmonics(DUFFING)
    assert (free.harmonics, nr.paths(free)[0]) == (tuple(range(10)), "oscillators.mass")
    found = duffing.find_orbits(free, drive)
    even = np.abs(found.b[: found.count, 0, 0])
    broken = np.flatnonzero(even > 1e-3)
    assert len(broken) == 2
    assert np.all(found.stable[broken])
    one, other = found.b[broken]
    signs = np.asarray([(-1) ** h for h in free.harmonics])
    np.testing.assert_allclose(one, -signs * other, atol=1e-11)  # Newton to round-off
    assert np.sum(even < 1e-9) == found.count - 2
    # Followed down in amplitude the broken orbit merges into the symmetric one where the flag is.
    down = duffing.continue_orbit(
        free, along="amplitude", bounds=(1.0, 4.0), amplitude=drive.amplitude, omega=1.0, start=one, upwards=False
    ).trim()
    mean = np.abs(down.b[:, 0, 0])
    merged = int(np.argmax(mean < 1e-2))
    assert merged > 0
    assert down.parameter[merged] == pytest.approx(float(branch.parameter[i]), abs=0.15)  # a step of the branch


def test_a_loop_ends_where_it_began() -> None:
    u, piece = jnp.arange(8.0)[:, None], jnp.array([0, 0, 0, 1, 1, 1, -1, -1])
    around = once_around(u, piece, jnp.array([False, True])[piece]).ravel()
    np.testing.assert_array_equal(around, [0, 1, 2, 3, 4, 3, 6, 7])


def test_crossings_tell_circles_from_meetings() -> None:
    def along(*rows: list[complex]) -> tuple:
        flags = crossings(jnp.asarray(rows, complex))
        return tuple(bool(flag[0]) for flag in flags)

    assert along([0.9, 0.5], [1.1, 0.5]) == (True, False, False)
    assert along([-0.9, 0.5], [-1.1, 0.5]) == (False, True, False)
    assert along([0.9j, -0.9j], [1.1j, -1.1j]) == (False, False, True)
    assert along([1.1 + 0.1j, 1.1 - 0.1j], [1.3, 1.05]) == (False, False, False)
    assert along([1.3, 1.05], [1.2, 0.9]) == (True, False, False)
    assert along([0.9, 0.5], [np.nan, np.nan]) == (False, False, False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            dict(along="mass", bounds=(1.0, 2.0), amplitude=0.1, omega=1.0),
            "Argument along must be one of .* but was 'mass'",
        ),
        (dict(along="omega", bounds=(2.0, 1.0), amplitude=0.1), r"Argument bounds must be \(lowest, highest\)"),
        (dict(along="amplitude", bounds=(0.0, 1.0)), "Argument omega must be given, but was not"),
        (dict(along="omega", bounds=(0.5, 1.0)), "Argument amplitude must be given, but was not"),
        (
            dict(along="omega", bounds=(0.5, 1.0), amplitude=0.1, start=np.zeros((2, 3))),
            "Argument omega must be given, but was not",
        ),
        (
            dict(along="omega", bounds=(0.5, 1.0), amplitude=0.1, omega=0.7, start=np.zeros((2, 2))),
            r"Argument start must have shape \(2, 3\), but was of shape \(2, 2\)",
        ),
        (
            dict(along="mass_ratio", bounds=(-1.0, 1.0), amplitude=0.1, omega=0.7),
            "Argument mass_ratio must not be negative, but was -1",
        ),
        (dict(along="damping", bounds=(0.01, np.inf), amplitude=0.1, omega=0.7), "Argument bounds must be finite"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        duffing.continue_orbit(PAIR, **arguments)


@pytest.mark.slow
def test_a_start_that_leads_nowhere_is_said() -> None:
    wild = np.full((1, 9), 1e3 + 1e3j)
    with pytest.raises(RuntimeError, match="No solution was found at the start"):
        duffing.continue_orbit(HELMHOLTZ, along="omega", bounds=(0.5, 1.0), amplitude=5.0, omega=0.8, start=wild)
