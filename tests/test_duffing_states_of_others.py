"""States of oscillators that others' reports ask for: wells, stops, chains of one-way springs, softening, no loss."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve
from scipy.special import ellipk

import diffnr as nr
from diffnr import duffing

pytestmark = pytest.mark.slow  # each test compiles a program of its own, for many seconds


def cube(x):
    return x**3


def moved(acceleration, omega: float, start: np.ndarray, periods: int) -> np.ndarray:
    """N of every oscillator over the last of some periods, by scipy."""
    n, period = start.size // 2, 2 * np.pi / omega
    times = np.linspace((periods - 1) * period, periods * period, 401)
    solved = solve_ivp(
        lambda t, y: np.concatenate([y[n:], acceleration(t, y[:n], y[n:])]),
        (0, periods * period),
        start,
        method="DOP853",
        rtol=1e-9,
        atol=1e-11,
        t_eval=times,
    )
    return np.sqrt(np.mean(solved.y[:n, :-1] ** 2, axis=1))


def test_an_orbit_within_one_of_two_wells_is_found_and_followed() -> None:
    """x'' + .3x' − x + x³ = .2 cos 1.2t, the textbook's double well."""
    wells = duffing.OscillatorNetwork([1.0], -1.0, 0.3, cube)
    found = duffing.find_orbits(wells, nr.Drive(1.2, 0.2))
    count = int(found.count)
    inside = np.abs(found.b[:count, 0, 0].real) > 0.5
    assert np.sum(inside & np.asarray(found.stable[:count])) == 2  # one in either
    own = moved(lambda t, x, v: 0.2 * np.cos(1.2 * t) - 0.3 * v + x - x**3, 1.2, np.array([1.0, 0.0]), 60)
    np.testing.assert_allclose(found.norm[:count, 0][inside], own[0], rtol=1e-5)  # 60 periods leave e^-47; 9 harmonics
    start = found.b[int(np.argmax(inside))]
    branch = duffing.continue_orbit(wells, along="omega", bounds=(0.6, 1.8), amplitude=0.2, omega=1.2, start=start)
    assert branch.count > 3
    here = branch.at(1.2)
    assert np.min(np.linalg.norm(np.asarray(here.b[: int(here.count)] - start), axis=(1, 2))) < 1e-10


def test_a_mass_against_a_stop_has_its_orbit() -> None:
    """NLvib's third example at Ω = .635, its stop rounded: the orbit by scipy's shooting."""
    omega, force, width = 0.635, 0.1, 0.1
    stop = duffing.Clearance(jnp.array([100.0, 0.0]), gap=1.0, width=width)
    springs, dampers = np.array([[1.0, -1.0], [-1.0, 2.0]]), np.array([[0.03, -0.03], [-0.03, 0.06]])
    masses = duffing.OscillatorNetwork([1.0, 1.0], springs, dampers, stop, num_harmonics=20)

    def flow(t: float, y: np.ndarray) -> np.ndarray:
        over = y[0] - 1.0
        push = [50.0 * (over + np.hypot(over, width)), 0.0]
        return np.concatenate([y[2:], [0.0, force * np.cos(omega * t)] - dampers @ y[2:] - springs @ y[:2] - push])

    period, times = 2 * np.pi / omega, np.linspace(0, 2 * np.pi / omega, 801)
    options = dict(method="DOP853", rtol=1e-10, atol=1e-12)
    found = duffing.find_orbits(masses, nr.Drive(omega, force), 1, starts=8)
    assert found.count > 0
    for b in found.b[: int(found.count)]:
        orders = np.asarray(masses.harmonics)
        start = np.concatenate([np.sum(b.real, axis=1), -omega * np.sum(orders * b.imag, axis=1)])
        once = lambda y: solve_ivp(flow, (0, period), y, **options).y[:, -1] - y  # noqa: E731
        y, _, ended, _ = fsolve(once, start, full_output=True, xtol=1e-10)
        assert ended == 1
        orbit = solve_ivp(flow, (0, period), y, t_eval=times, **options).y[:2, :-1]
        norm = np.sqrt(np.mean(orbit**2, axis=1))
        found_norm = np.sqrt(np.abs(b[:, 0]) ** 2 + np.sum(np.abs(b[:, 1:]) ** 2, axis=1) / 2)
        np.testing.assert_allclose(found_norm, norm, rtol=1e-4)  # 20 harmonics of a stop .1 wide leave 1e-5


def test_a_chain_of_one_way_springs_is_that_of_time() -> None:
    """Six masses, k_R = 3 k_L (Hatano and Nelson), on hardening springs."""
    n, omega, force = 6, 1.7, 0.05
    K = 4.0 * np.eye(n) - 1.5 * np.eye(n, k=-1) - 0.5 * np.eye(n, k=1)
    chain = duffing.OscillatorNetwork(np.ones(n), K, 0.05, lambda x: 0.3 * x**3, num_harmonics=5)
    np.testing.assert_allclose(duffing.linear_frequencies(chain), np.sort(np.sqrt(np.linalg.eigvals(K).real)))
    weak = nr.port_response(chain, nr.Drive(omega, 1e-6), ports=[0]).fundamental[:, 0]
    response = np.linalg.solve(K + (0.05j * omega - omega**2) * np.eye(n), np.eye(n)[0])
    np.testing.assert_allclose(weak / 1e-6, response, rtol=1e-9)  # the cubes of 1e-6
    drive = np.eye(n)[0] * force
    own = moved(lambda t, x, v: drive * np.cos(omega * t) - 0.05 * v - K @ x - 0.3 * x**3, omega, np.zeros(2 * n), 150)
    found = duffing.find_orbits(chain, nr.Drive(omega, force))
    assert found.count > 0
    off = np.max(np.abs(np.asarray(found.norm[: int(found.count)]) / own - 1), axis=1)
    assert np.min(off) < 1e-4  # 150 periods leave e^-14; 5 harmonics


PAIRS = [  # found by random search: the leaves, P, and ω of which nothing was returned
    ((2.726, 1.1056, 1.417, 5.568, -0.8686, 0.05), 0.149, (0.4, 5.6), 1.8),
    ((2.726, 1.1056, 1.417, 5.568, -0.8686, 0.05), 0.25, (0.4, 5.6), 1.8),
    ((1.4393, 2.2669, 1.0125, 5.032, 1.0, 0.05), 4.484, (0.58, 5.5), 4.316),
]


@pytest.mark.parametrize(("leaves", "amplitude", "bounds", "omega"), PAIRS)
def test_what_a_pair_settles_to_lies_on_its_response(leaves, amplitude, bounds, omega) -> None:
    mu, r, alpha, coupling, cubic, zeta = leaves

    def acceleration(t: float, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        link = coupling * (x[1] - x[0])
        first = amplitude * np.cos(omega * t) - 2 * zeta * v[0] - x[0] - cubic * x[0] ** 3 + link
        return np.array([first, (-2 * zeta * v[1] - r * x[1] - cubic * alpha * x[1] ** 3 - link) / mu])

    own = moved(acceleration, omega, np.zeros(4), 200)
    pair = duffing.DuffingPair(*leaves, num_harmonics=13)
    curve = duffing.frequency_response(pair, amplitude=amplitude, omega=bounds, max_points=600)
    here = curve.at(omega)
    count = int(here.count)
    assert curve.complete
    off = np.max(np.abs(np.asarray(here.norm[:count]) / own - 1), axis=1)
    assert bool(here.stable[int(np.argmin(off))])
    assert np.min(off) < 1e-4  # 200 periods leave e^-15 of what is slowest
    response = nr.port_response(pair, nr.Drive(omega, amplitude), ports=[0])
    assert np.all(response.converged)


def test_without_loss_the_tip_of_a_response_is_on_the_backbone() -> None:
    """x'' + x + x³ = 1e-3 cos ωt: π√(1 + A²)/2K(m), m = A²/2(1 + A²)."""
    lossless = duffing.OscillatorNetwork([1.0], [1.0], 0.0, cube, num_harmonics=9)
    curve = duffing.frequency_response(lossless, amplitude=1e-3, omega=(0.8, 1.6), max_points=600)
    points = curve.trim()
    largest = np.abs(np.sum(points.b[:, 0].real, axis=-1))
    high = (largest > 0.3) & (np.asarray(points.omega) <= 1.6)
    assert np.sum(high) > 5
    square = 1 + largest[high] ** 2
    exact = np.pi * np.sqrt(square) / (2 * ellipk(largest[high] ** 2 / (2 * square)))
    # A force F moves ω by about F/2Aω: 1e-3/.6.
    np.testing.assert_allclose(points.omega[high], exact, atol=2e-3)


def test_a_spring_that_is_cubic_alone_has_its_response() -> None:
    """x'' + .05x' + x³ = .1 cos ωt, without any linear frequency; between its folds the highest orbit is stable."""
    ueda = duffing.OscillatorNetwork([1.0], [0.0], 0.05, cube, num_harmonics=9)
    assert duffing.linear_frequencies(ueda)[0] == 0
    curve = duffing.frequency_response(ueda, amplitude=0.1, omega=(0.3, 1.6), max_points=600)
    assert curve.complete
    # One harmonic's energy balance, c ω A = P at ω² = ¾A²; the next is 1/24 of it, and its square 2e-3.
    displacement = np.sqrt(0.1 / (0.05 * np.sqrt(0.75)))
    peak = curve.peaks(out=0)
    np.testing.assert_allclose(peak.omega[0], np.sqrt(0.75) * displacement, rtol=0.03)
    own = moved(lambda t, x, v: 0.1 * np.cos(1.2 * t) - 0.05 * v - x**3, 1.2, np.array([1.4, 0.0]), 120)
    here = curve.at(1.2)
    off = np.abs(np.asarray(here.norm[: int(here.count), 0]) / own - 1)
    assert np.min(off) < 1e-4  # 120 periods leave e^-16; 9 harmonics
    assert here.stable[int(np.argmin(off))]


def test_a_sheet_that_comes_in_and_goes_out_by_one_bound_is_not_missed() -> None:
    """The same spring above ω = .8, where a slowly raised force ends on the lower sheet; the upper one is there too."""
    ueda = duffing.OscillatorNetwork([1.0], [0.0], 0.05, cube, num_harmonics=9)
    curve = duffing.frequency_response(ueda, amplitude=0.1, omega=(0.8, 1.6), max_points=600)
    assert curve.complete
    assert int(curve.at(1.2).count) == 3
    own = moved(lambda t, x, v: 0.1 * np.cos(1.2 * t) - 0.05 * v - x**3, 1.2, np.array([1.4, 0.0]), 120)
    assert np.min(np.abs(np.asarray(curve.at(1.2).norm[:3, 0]) / own - 1)) < 1e-4  # as above


@pytest.mark.filterwarnings("ignore:15 harmonics leave:RuntimeWarning")
def test_isolas_between_the_frequencies_of_a_search_are_found() -> None:
    """x'' + .01702x' − .4918x + .4536x³ = 1.6637 cos ωt between .4208 and 1.052: a sheet that ends at .4656, and a pair
    of isolas from .4684 to .5004, about one well each; half a range's ninth, the spacing of searches, is .035."""
    wells = duffing.OscillatorNetwork(
        [1.0], [[-0.49183468]], 0.01702475, lambda x: 0.45360817 * x**3, num_harmonics=15, odd=False
    )
    options = {"amplitude": 1.6637077, "omega": (0.4207856, 1.0519639), "isolas": True, "max_points": 1500}
    curve = duffing.frequency_response(wells, **options)
    assert curve.complete
    assert "none that is narrower is excluded" in curve.message
    here = curve.at(0.45, most=16)
    # By numpy: Newton's method on the balance from 3000 random starts has this orbit, and no other away from the rest.
    fundamental = np.abs(np.asarray(here.b)[: int(here.count), 0, 1])
    assert np.min(np.abs(fundamental - np.hypot(1.95181434, 0.07189732))) < 3e-3  # it was found at .45021
    here = curve.at(0.494420, most=16)
    means = np.asarray(here.b)[: int(here.count), 0, 0].real
    for sign in (1, -1):
        assert np.min(np.abs(means - sign * 0.62965322)) < 1e-3  # at .49442, to five digits
