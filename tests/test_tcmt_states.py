"""Every steady state at a drive, which of them are stable, and what is said of those that are not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import RESULTS, tcmt
from diffnr.tcmt.growth import grows, hurwitz, linearised, pair_rates
from diffnr.tcmt.matrices import Matrices

RATES = np.array([1.5, 0.5])  # |d|²/2 of the two ports: directions differ by the ratio 3
CAVITY = tcmt.CoupledModes([0.0], np.sqrt(2 * RATES)[:, None], terms=tcmt.Kerr(1.0, mode=0))
AMPLIFIER = tcmt.ActiveModes([0.0], [[1.0], [1.0]], gamma_i=[-1.2])  # radiates at 1
MODE = {"omega": [0.0], "D": [[1.0]], "active": True}


def energies(power: float, port: int, omega: float = 4.0) -> np.ndarray:
    """u = |a|² of all states of the cavity: u[(Δ − u)² + 2²] = 2γ_port P."""
    roots = np.roots([1.0, -2 * omega, omega**2 + 4.0, -2 * RATES[port] * power])
    return np.sort(roots[np.abs(roots.imag) < 1e-9].real)


def driven(power: float, port: int) -> tcmt.SteadyStates:
    return tcmt.steady_states(CAVITY, 4.0, np.sqrt(power) * np.eye(2)[port])


@pytest.mark.parametrize(
    ("power", "port", "expected"),
    [(9.0, 0, [0.5695348514]), (9.0, 1, [0.1903940994]), (5.0, 0, [0.2763932023, 0.6, 0.7236067977])],
)
def test_states_of_a_kerr_cavity(power: float, port: int, expected: list[float]) -> None:
    """Against an independent calculation with ten digits, and the cubic for |a|²."""
    states = driven(power, port)
    count = int(states.count)
    assert count == len(expected)
    assert states.converged
    np.testing.assert_allclose(np.abs(states.s_minus[:count, 1 - port]) ** 2 / power, expected, rtol=2e-9)
    np.testing.assert_allclose(np.abs(states.a[:count, 0]) ** 2, energies(power, port), rtol=1e-10)  # of np.roots
    assert np.all(np.isnan(states.a[count:]))
    np.testing.assert_array_equal(states.stable[:count], [True, False, True][:count])
    np.testing.assert_array_equal(states.valid, np.arange(8) < count)


@pytest.mark.parametrize("port", [0, 1])
def test_bistable_between_the_two_thresholds_of_each_direction(port: int) -> None:
    """P_up = 16/3 and P_down = 4.93827…, three times as large from the other side: the ratio of the ports."""
    up, down = 16 / 3 * 3**port, 4.9382716049 * 3**port
    # At a distance x from a fold two states are √x apart: 1e-6 leaves 1e-3 of the energy.
    powers = [fold * (1 + side) for fold in (down, up) for side in (-1e-6, 1e-6)]
    counts = [int(driven(power, port).count) for power in powers]
    assert counts == [1, 3, 3, 1]


@pytest.mark.slow
def test_a_raised_power_jumps_up_and_every_power_has_its_state() -> None:
    powers = np.linspace(0.55, 40.0, 80)  # none of them that of a fold, where there is no derivative
    response = jax.vmap(lambda power: nr.port_response(CAVITY, nr.Drive(4.0, power=power), throw=False))(powers)
    assert np.all(response.converged)
    lowest = np.array([[energies(power, port)[0] for port in (0, 1)] for power in powers])
    np.testing.assert_allclose(np.abs(response.state[..., 0]) ** 2, lowest, rtol=1e-9)


@pytest.mark.slow
def test_no_power_is_the_limit_of_a_weak_signal() -> None:
    def s(power: Array, omega: Array) -> Array:
        return nr.port_response(CAVITY, nr.Drive(omega, power=power)).s[1, 0]

    # s = d₁d₂/(iω + 2): that of the cavity without its law, and its slope in ω
    d, omega = 2 * np.sqrt(RATES[0] * RATES[1]), 1.3
    found, slope = jax.jvp(lambda omega: s(0.0, omega), (omega,), (1.0,))
    np.testing.assert_allclose(found, d / (1j * omega + 2), rtol=1e-15)
    np.testing.assert_allclose(slope, -1j * d / (1j * omega + 2) ** 2, rtol=1e-14)
    # Its slope in power is that of differences to one side, which err by half a step of the second derivative.
    size = lambda power: jnp.abs(s(power, omega))  # noqa: E731
    rise = jax.grad(size)(0.0)
    np.testing.assert_allclose(rise, (size(1e-5) - size(0.0)) / 1e-5, rtol=1e-3)
    assert rise > 0


@pytest.mark.slow
def test_which_state() -> None:
    s_plus, expected = [np.sqrt(5.0), 0.0], energies(5.0, 0)
    lowest, highest = (tcmt.steady_state(CAVITY, 4.0, s_plus, at=at) for at in ("lowest", "highest"))
    assert abs(lowest.a[0]) ** 2 == pytest.approx(expected[0], rel=1e-10)
    assert abs(highest.a[0]) ** 2 == pytest.approx(expected[2], rel=1e-10)
    for at in ("all", 1):
        with pytest.raises(ValueError, match='Argument at must be "first", "lowest" or "highest", but was'):
            tcmt.steady_state(CAVITY, 4.0, s_plus, at=at)
    with pytest.raises(ValueError, match="Argument at must be left out where guess is given"):
        tcmt.steady_state(CAVITY, 4.0, s_plus, at="lowest", guess=[1.0])


@pytest.mark.slow
def test_a_state_that_is_no_stable_one() -> None:
    middle = driven(5.0, 0).state(1)
    assert middle.result == RESULTS.unstable
    found = tcmt.stability(CAVITY, middle)
    # λ = −γ ± √(χ²u² − (Δ − 2χu)²)
    u = energies(5.0, 0)[1]
    np.testing.assert_allclose(found.poles, -2 + np.array([1, -1]) * np.sqrt(u**2 - (4 - 2 * u) ** 2), rtol=1e-9)
    asked = dict(guess=middle.a, allow_unstable=True)
    np.testing.assert_allclose(tcmt.steady_state(CAVITY, 4.0, middle.s_plus, **asked).a, middle.a, rtol=1e-12)
    kept = tcmt.steady_state(CAVITY, 4.0, middle.s_plus, guess=middle.a, throw=False)
    assert kept.result == RESULTS.unstable
    np.testing.assert_allclose(kept.a, middle.a, rtol=1e-12)
    with pytest.raises(RuntimeError, match="The state found is unstable"):
        tcmt.steady_state(CAVITY, 4.0, middle.s_plus, guess=middle.a)
    assert driven(5.0, 0).state(7).result == RESULTS.no_state_found


@pytest.mark.slow
def test_derivatives_of_states_are_those_of_the_cubic() -> None:
    def energy(power: Array) -> Array:
        a = tcmt.steady_states(CAVITY, 4.0, jnp.sqrt(power) * jnp.array([1.0, 0.0])).a[:3, 0]
        return jnp.abs(a) ** 2

    u = energies(5.0, 0)
    expected = 3 / ((4 - u) ** 2 + 4 - 2 * u * (4 - u))  # 3P = u[(4 − u)² + 4]
    np.testing.assert_allclose(jax.jacfwd(energy)(jnp.asarray(5.0)), expected, rtol=1e-9)

    def passed(chi: Array) -> Array:
        model = nr.replace(CAVITY, {"terms.chi": chi})
        return jnp.abs(nr.port_response(model, nr.Drive(4.0, power=9.0)).s[1, 0]) ** 2

    [u] = energies(9.0, 0)  # of 27 = u[(4 − χu)² + 4]; what passes is 2γ₁u/P = u/9
    expected = 2 * u**2 * (4 - u) / ((4 - u) ** 2 + 4 - 2 * u * (4 - u)) / 9
    np.testing.assert_allclose(jax.grad(passed)(1.0), expected, rtol=1e-9)


def test_nonlocal_loss_has_its_states_by_a_closed_form() -> None:
    """G1 = G2 = κ = 1 on resonance, γ_k = 4: at rest, or a_m/a_s = i or −7i (see tests/test_tcmt_nonlocal.py)."""
    law = tcmt.NonlocalLoss(4.0, mode=1, sensed=0)
    pair = tcmt.TwoResonators((0.0, 0.0), (0.5, 0.5), (0.5, 0.5), 1.0, law)
    three = tcmt.steady_states(pair, 0.0, [1.0, 2.0j])
    assert int(three.count) == 3
    assert three.converged
    expected = np.array([[1 / 2, 1j / 2], [1.0, 0.0], [-1 / 6, 7j / 6]])
    np.testing.assert_allclose(three.a[:3], expected, atol=1e-15)  # the numbers are small: round-off
    assert np.all(np.isnan(three.a[3:]))
    # i/1 is the saddle between a mode that friction holds at rest and one that moves.
    np.testing.assert_array_equal(three.stable[:3], [False, True, True])


def test_a_linear_device_with_a_growing_mode() -> None:
    for ask in (nr.scattering, lambda model, omegas, **how: nr.port_response(model, nr.Drive(omegas[0]), **how).s):
        with pytest.raises(RuntimeError, match="The state found is unstable"):
            ask(AMPLIFIER, [0.3])
        s = [np.asarray(ask(AMPLIFIER, [0.3], **how)) for how in ({"throw": False}, {"allow_unstable": True})]
        # s = −1 + d²/(iω + Γ), Γ = 1 − 1.2
        for answer in s:
            assert answer.ravel()[0] == pytest.approx(-1 + 1 / (0.3j - 0.2), rel=1e-13)
    assert np.all(nr.port_response(AMPLIFIER, nr.Drive(0.3), throw=False).result == RESULTS.unstable)
    below = nr.replace(AMPLIFIER, {"gamma_i": jnp.array([[-0.99]])})
    assert nr.port_response(below, nr.Drive(0.3)).converged.all()
    # Without any loss, and not driven: what does not grow is not unstable.
    dark = tcmt.CoupledModes([0.0, 1.0], [[1.0, 0.0]])
    assert nr.port_response(dark, nr.Drive(0.3)).converged.all()


def test_growth_is_that_of_eigenvalues() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(400, 4, 4)) * 10 ** rng.uniform(-6, 6, (400, 1, 1))
    A = A + 1j * rng.normal(size=A.shape)
    largest = np.linalg.eigvals(A).real.max(axis=1)
    # To the axis and by a share of 1e-12 of the norm to either side, where eigenvalues are known to about 1e-15.
    norm = np.linalg.norm(A, axis=(1, 2))
    margin = np.where(np.arange(400) % 2, 1e-12, -1e-12) * norm
    A = A + (margin - largest)[:, None, None] * np.eye(4)
    np.testing.assert_array_equal(jax.jit(jax.vmap(grows))(A), margin > 0)
    assert not grows(jnp.array([[0.0, 1.0], [-1.0, 0.0]]))
    assert not grows(jnp.zeros((2, 2)))


def test_pairs_with_nonlocal_loss_decay_as_their_eigenvalues_say() -> None:
    """By entries and Hurwitz's criterion, against the Jacobian of the motion; with modes at rest among them."""
    rng, n = np.random.default_rng(0), 400
    A, a = (rng.normal(size=(2, n, *shape)) for shape in ((2, 2), (2,)))
    A, a = (x[0] + 1j * x[1] for x in (A, a))
    A = A - rng.uniform(-0.5, 3, n)[:, None, None] * np.eye(2)
    a *= 10 ** rng.uniform(-3, 3, (n, 2))
    a[::50, 1], a[1::50, 0], a[2::50] = 0, 0, 0
    gamma_k, zero = 10 ** rng.uniform(-2, 2, n), jnp.zeros((2, 2), complex)

    def judged(A: Array, a: Array, gamma_k: Array) -> tuple[Array, Array, Array, Array]:
        laws = (tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0),)
        matrices = Matrices(-1j * A, zero, zero, zero, zero)
        jacobian, rest = linearised(matrices, laws, jnp.zeros(()), zero[0], a)
        return *hurwitz(pair_rates(A, laws, a)), jacobian, rest

    decays, growing, jacobian, rest = map(np.asarray, jax.jit(jax.vmap(judged))(A, a, gamma_k))
    jacobian = jacobian - np.tile(rest, 2)[:, None] * 100 * np.eye(4)
    largest = np.linalg.eigvals(jacobian).real.max(axis=1)
    np.testing.assert_array_equal(decays, largest < 0)
    np.testing.assert_array_equal(growing, largest > 0)
    assert rest.sum() == 8
    # On the axis, and as far from it as round-off reaches, it does not know.
    axis = np.diag([0.0, 1e-16, 1.0, 1.0]) + np.diag([1.0, 0.0, 0.0], 1) - np.diag([1.0, 0.0, 0.0], -1)
    assert not any(hurwitz([list(row) for row in jnp.asarray(axis)]))


@pytest.mark.slow
def test_a_mode_at_rest_grows_where_nothing_holds_it() -> None:
    """Neither driven nor coupled, with gain: its poles are its own, not 0."""
    lone = tcmt.CoupledModes(
        [0.0, 0.2], [[1.0, 0.0]], gamma_i=[0.1, -0.3], active=True, loss=tcmt.TwoPhotonLoss(0.1, 1)
    )
    state = tcmt.steady_state(lone, 0.1, [1.0], throw=False)
    assert state.result == RESULTS.unstable
    np.testing.assert_allclose(tcmt.stability(lone, state).poles[:2], 0.3 + np.array([0.1j, -0.1j]), rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("terms", [tcmt.Kerr(1.0, 0), (tcmt.Kerr(1.0, 0), tcmt.Kerr(-0.5, 1))], ids=["apart", "own"])
def test_a_nonlinear_mode_beside_one_at_rest(terms: Any) -> None:
    """A mode without loss, coupling and drive, tuned to the drive: its least amplitude is 0."""
    dark = tcmt.CoupledModes([0.0, 4.0], [[np.sqrt(3.0), 0.0], [1.0, 0.0]], terms=terms)
    response = nr.port_response(dark, nr.Drive(4.0, power=3.0), ports=[0])
    expected = energies(3.0, 0)
    assert expected.size == 1
    np.testing.assert_allclose(np.abs(response.state[0]) ** 2, [expected[0], 0.0], rtol=1e-9)
    slope = jax.grad(
        lambda power: jnp.abs(nr.port_response(dark, nr.Drive(4.0, power=power), ports=[0]).state[0, 0]) ** 2
    )
    u = expected[0]
    np.testing.assert_allclose(slope(3.0), 3 / ((4 - u) ** 2 + 4 - 2 * u * (4 - u)), rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"starts": 0}, "Argument starts must be"),
        ({"most": 0}, "Argument most must be"),
        ({"s_plus": [1.0]}, "Argument s_plus must have shape"),
        ({"omega": np.nan}, "Argument omega must be finite"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tcmt.steady_states(**{"model": CAVITY, "omega": 4.0, "s_plus": [1.0, 0.0], **arguments})


def cubic(kind: str, omega: float, gamma: float, c: float, power: float) -> np.ndarray:
    """u = |a|² of one mode under a tone: u |i(ω − χu) + γ + …|² = P."""
    if kind == "saturable":
        v, u = np.poly1d([1.0, 1.0]), np.poly1d([1.0, 0.0])
        coefficients = (u * (v * v * omega**2 + (v * gamma + c) * (v * gamma + c)) - v * v * power).coeffs
    else:
        middle = -omega if kind == "kerr" else gamma
        coefficients = [c**2, 2 * c * middle, omega**2 + gamma**2, -power]
    roots = np.roots(coefficients)
    return np.sort(roots[(np.abs(roots.imag) < 1e-7 * np.abs(roots)) & (roots.real > 0)].real)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kerr", "two-photon", "saturable"])
def test_random_bistable_modes_have_the_states_of_their_cubic(kind: str) -> None:
    laws = {
        "kerr": lambda c: {"terms": tcmt.Kerr(c, 0)},
        "two-photon": lambda c: {"loss": tcmt.TwoPhotonLoss(c, 0)},
        "saturable": lambda c: {"loss": tcmt.SaturableLoss(c, 0)},
    }
    rng, draws = np.random.default_rng(1), []
    while len(draws) < 100:
        omega, gamma = abs(rng.normal()) * 10 ** rng.uniform(-2, 2), 10 ** rng.uniform(-3, 0.5)
        gamma_i = -gamma - 0.5 if kind == "two-photon" else gamma  # two-photon loss is bistable beside gain
        c, amplitude = 10 ** rng.uniform(-3, 3), 10 ** rng.uniform(-3, 3)
        roots = cubic(kind, omega, gamma_i + 0.5, c, amplitude**2)
        if roots.size == 3:
            draws.append((omega, gamma_i, c, amplitude, roots))

    def states(omega: Array, gamma_i: Array, c: Array, amplitude: Array) -> tcmt.SteadyStates:
        model = tcmt.CoupledModes(**MODE, gamma_i=gamma_i[None], **laws[kind](c))
        return tcmt.steady_states(model, omega, amplitude[None] + 0j, throw=False)

    found = jax.jit(jax.vmap(states))(*(jnp.array([draw[k] for draw in draws]) for k in range(4)))
    missing = np.asarray(found.count) < 3
    assert missing.sum() <= 1  # of a hundred, over six decades of everything
    assert np.all(found.converged == ~missing)  # and that is said
    for k in np.flatnonzero(~missing):
        np.testing.assert_allclose(np.abs(found.a[k, :3, 0]) ** 2, draws[k][4], rtol=1e-5)  # of np.roots near folds


@pytest.mark.slow
def test_random_kerr_pairs_have_all_their_states() -> None:
    """Against the elimination of one amplitude, whose phase is free: sign changes of what is left."""
    rng, number = np.random.default_rng(2), 40
    kappa, omega = 10 ** rng.uniform(-1, 0.7, number), rng.normal(size=number) * 2
    gamma_i, chi = 10 ** rng.uniform(-2, 0, number), 10 ** rng.uniform(-1, 1, (number, 2))
    chi, amplitude = chi * rng.choice([-1, 1], (number, 2)), 10 ** rng.uniform(-1, 1.5, number)

    def states(kappa: Array, omega: Array, gamma_i: Array, chi: Array, amplitude: Array) -> tcmt.SteadyStates:
        model = tcmt.CoupledModes(
            jnp.array([[0, 1], [1, 0.3]]) * kappa,
            [[1.0, 0.0], [0.0, 0.6]],
            gamma_i=jnp.stack([gamma_i, gamma_i]),
            terms=(tcmt.Kerr(chi[0], 0), tcmt.Kerr(chi[1], 1)),
        )
        return tcmt.steady_states(model, omega, jnp.stack([amplitude, 0.0]) + 0j, throw=False, most=12)

    found = jax.jit(jax.vmap(states))(*map(jnp.asarray, (kappa, omega, gamma_i, chi, amplitude)))
    b = np.geomspace(1e-6, 1e3, 400_001)
    for k in range(number):
        a = (1j * (omega[k] - 0.3 * kappa[k] - chi[k, 1] * b**2) + 0.18 + gamma_i[k]) * b / (1j * kappa[k])
        drive = (1j * (omega[k] - chi[k, 0] * np.abs(a) ** 2) + 0.5 + gamma_i[k]) * a - 1j * kappa[k] * b
        excess = np.abs(drive) - amplitude[k]
        assert int(found.count[k]) == np.sum(excess[1:] * excess[:-1] < 0)
        assert found.converged[k]
    assert np.max(found.count) >= 5
