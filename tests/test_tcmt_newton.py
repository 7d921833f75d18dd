"""What has no closed form: regularised nonlocal loss, local laws, many modes, laws of the user's own."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import tcmt
from systems import (
    PAIRS,
    CrossAbsorption,
    central_difference,
    isolation,
    pair_model,
    paper_pair,
    random_modes,
    saturable_branch,
)

PORT = 9.25**0.5  # paper ports at κ = 3


def equation_error(model: tcmt.AbstractCoupledModes, omega: Array | float, s_plus: Array, a: Array) -> Array:
    """‖(iω − iΩ + Γ) a + Σ f(a) − Kᵀs₊‖ / ‖Kᵀs₊‖."""
    m = model.matrices()
    f = m.K.T @ s_plus
    motion = 1j * omega * a - (1j * m.omega - m.gamma) @ a + sum(law.damping(a) for law in model.laws)
    return jnp.linalg.norm(motion - f) / jnp.linalg.norm(f)


@jax.jit
def regularised(gamma_k: Array, epsilon: Array, amplitude: Array) -> tuple[Array, Array]:
    """S and |a1/a0| forward at κ = 3 with paper ports, on resonance."""
    loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0, epsilon=epsilon)
    model = tcmt.TwoResonators(omega=(0.0, 0.0), gamma=(PORT, PORT), gamma_0=(0.5, 0.5), kappa=3.0, loss=loss)
    r = nr.port_response(model, nr.Drive(0.0, amplitude))
    return r.s, jnp.abs(r.state[0, 1] / r.state[0, 0])


def test_error_laws_of_the_regularisation() -> None:
    G, kappa, epsilon = PORT + 0.5, 3.0, 1e-4

    def ratio(gamma_k: float, epsilon: float) -> float:
        return float(regularised(gamma_k, epsilon, 1.0)[1])

    rho = (kappa - 2.0) / G  # γ_k = 2, the exact law on resonance
    # Leading orders: 10 % leaves room for the next one, which is smallest here.
    np.testing.assert_allclose(ratio(2.0, epsilon) / rho - 1, 2.0 * epsilon**2 / (2 * G * rho**3), rtol=0.1)
    np.testing.assert_allclose(ratio(3.0, epsilon), (kappa * epsilon**2 / (2 * G)) ** (1 / 3), rtol=0.1)
    np.testing.assert_allclose(ratio(4.0, epsilon), epsilon * kappa / 7**0.5, rtol=0.1)


def test_regularised_law_does_not_see_the_power() -> None:
    for gamma_k in (2.0, 3.5):
        unit = regularised(gamma_k, 1e-4, 1.0)[0]
        for amplitude in (1e-6, 1e6):
            # The unknowns are in units of the drive, so that Newton meets the same numbers.
            np.testing.assert_allclose(regularised(gamma_k, 1e-4, amplitude)[0], unit, rtol=1e-10)


def slopes(f: Callable[[Array], Array]) -> tuple[Callable[[Array], Array], ...]:
    """f, its forward and its reverse Jacobian, compiled twice rather than three times."""
    forward = jax.jit(jax.jacfwd(lambda x: (f(x), f(x)), has_aux=True))
    return lambda x: forward(x)[1], lambda x: forward(x)[0], jax.jit(jax.jacrev(f))


def test_gradient_of_the_regularised_isolation_is_finite_beyond_the_threshold() -> None:
    def of(gamma_k: Array) -> Array:
        return isolation(nr.replace(paper_pair(3.0, 3.0).model(1e-4), {"loss.gamma_k": gamma_k}))

    value, forward, reverse = slopes(of)
    for gamma_k in (2.5, 3.0, 4.0):
        assert jnp.isfinite(forward(gamma_k))
        np.testing.assert_allclose(reverse(gamma_k), forward(gamma_k), rtol=1e-11)  # two solves with one matrix
        # At γ_k = κ the isolation turns over within δγ ~ κ (ε/ρ)² = 1e-2: hence the step; round-off 1e-13/1e-3.
        np.testing.assert_allclose(central_difference(value, gamma_k, 1e-3), forward(gamma_k), rtol=1e-7)


def test_exact_law_is_the_limit_of_the_regularised_one() -> None:
    @jax.jit
    @jax.vmap
    def compare(s_plus: Array, *parameters: Array) -> tuple[Array, ...]:
        model = pair_model(*parameters)
        soft = eqx.tree_at(lambda m: m.loss.epsilon, model, jnp.array(1e-6), is_leaf=lambda x: x is None)
        exact, near = (tcmt.steady_state(m, 0.0, s_plus) for m in (model, soft))
        error = jnp.linalg.norm(exact.a - near.a) / jnp.linalg.norm(exact.a)
        return error, jnp.abs(exact.a[1] / exact.a[0]), equation_error(soft, 0.0, s_plus, near.a)

    rng, n = np.random.default_rng(1), 200
    s_plus = rng.normal(size=(n, 2)) + 1j * rng.normal(size=(n, 2))
    gamma, gamma_0 = rng.uniform(0.1, 3.0, (n, 2)), rng.uniform(0.0, 0.5, (n, 2))
    unique = 2 * np.sqrt(np.prod(gamma + gamma_0, axis=1))  # below it there is one solution, whatever is driven
    gamma_k, kappa = rng.uniform(0.1, 0.95, n) * unique, rng.uniform(0.1, 3.0, n)
    error, rho, residual = compare(s_plus, kappa, gamma_k, rng.uniform(-3.0, 3.0, (n, 2)), gamma, gamma_0)
    extinct = rho == 0
    assert 10 < jnp.sum(extinct) < 190
    # Where mode 1 moves the error is γ_k ε²/(2Gρ²) ~ 1e-11 for ρ > 1e-1; where it is extinct, ρ ~ ε.
    assert jnp.max(jnp.where(rho > 0.1, error, 0.0)) < 1e-9
    assert jnp.max(error) < 1e-4
    # Round-off 1e-16 of a_m, times γ_k/ε where the law is stiffest.
    assert jnp.max(residual) < 1e-10


# Cold start ---------------------------------------------------------------------------------------------------------


def cold_start(law: Callable[[Array, Array], tcmt.AbstractLaw], n: int) -> dict[str, np.ndarray]:
    """Paper 1's pair over everything: κ of .03 … 30, γ_k of .01κ … 5κ, detunings to ±10, powers of 1e-6 … 1e6."""
    rng = np.random.default_rng(0)

    def spread(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), n))

    kappa, power, c, detuning = spread(0.03, 30), spread(1e-6, 1e6), spread(0.01, 100), rng.uniform(-10, 10, (n, 2))
    gamma_k = kappa * spread(0.01, 5)
    # Past the folds of these saturable ones a careless corrector lands on the upper branch.
    hard = np.array(
        [
            [0.3872901625763464, 1.37668431, 3.82583033, 5626.493431655248, 24.05015146347773],
            [0.47314504376554667, -4.03327246, -6.84589011, 472104.27424935746, 59.74905451477305],
            [0.18700687148853204, -1.85646355, -1.37618859, 11711.974632894922, 14.260185719079983],
            [8.854387610755404, 2.08728693, 9.79292994, 312485.7356562736, 153.6731307103745],
        ]
    )
    kappa[:4], detuning[:4], power[:4], c[:4] = hard[:, 0], hard[:, 1:3], hard[:, 3], hard[:, 4]

    @jax.jit
    @jax.vmap
    def solve(kappa: Array, gamma_k: Array, detuning: Array, power: Array, c: Array) -> tuple[Array, ...]:
        gamma = jnp.sqrt(0.25 + kappa**2) * jnp.ones(2)
        loss = law(gamma_k, c)
        model = tcmt.TwoResonators(omega=-detuning, gamma=gamma, gamma_0=(0.5, 0.5), kappa=kappa, loss=loss)
        r = nr.port_response(model, nr.Drive(0.0, power=power), throw=False)
        error = jax.vmap(lambda s, a: equation_error(model, 0.0, s, a))(jnp.sqrt(power) * jnp.eye(2), r.state)
        return r.converged, r.result == nr.RESULTS.fold, r.state, error

    ok, fold, a, error = solve(kappa, gamma_k, detuning, power, c)
    return {
        "ok": ok,
        "fold": fold,
        "a": a,
        "error": error,
        "kappa": kappa,
        "power": power,
        "c": c,
        "detuning": detuning,
    }


@pytest.mark.parametrize(
    "law",
    [lambda g, c: tcmt.NonlocalLoss(g, 1, 0, epsilon=1e-4), lambda g, c: tcmt.TwoPhotonLoss(c, 1)],
    ids=["nonlocal", "Kerr"],
)
def test_cold_start_always_converges(law: Callable[[Array, Array], tcmt.AbstractLaw]) -> None:
    found = cold_start(law, 500)
    assert found["ok"].all()
    # Round-off 1e-16 of a_m, times γ_k/ε where the nonlocal law is stiffest.
    assert np.max(found["error"]) < 1e-10


def test_cold_start_of_a_bistable_law_ends_where_a_raised_power_does() -> None:
    found = cold_start(lambda g, c: tcmt.SaturableLoss(c, 1), 500)
    assert found["ok"].all()
    folds = 0
    for i, into in np.ndindex(500, 2):
        port = (0.25 + found["kappa"][i] ** 2) ** 0.5
        of = (found[name][i] for name in ("kappa", "c", "detuning"))
        # Before the fold the lowest of the roots, beyond it the only one.
        fold, x = saturable_branch(*of, port, 0.5, found["power"][i], into)
        # Roots of a cubic whose coefficients span many decades: numpy has them to 1e-6 only.
        np.testing.assert_allclose(abs(found["a"][i, into, 1]) ** 2, x, rtol=1e-5)
        folds += fold
    assert folds > 5


# Local laws ---------------------------------------------------------------------------------------------------------


@eqx.filter_jit
def isolation_over_power(loss: tcmt.AbstractLaw, power: Array) -> Array:
    model = tcmt.TwoResonators(omega=(0.0, 0.0), gamma=(PORT, PORT), gamma_0=(0.5, 0.5), kappa=3.0, loss=loss)
    return jax.vmap(lambda p: isolation(model, 0.0, jnp.sqrt(p)))(power)


def test_kerr_loss_isolates_negatively() -> None:
    # With κ|a0| = c|a1|³ forward and |a0| = κ|a1|/G backward, |t12/t21| → (κ/G)^{2/3} at high power.
    limit = 40 / 3 * np.log10(3 / (PORT + 0.5))
    np.testing.assert_allclose(limit, -0.960686, atol=5e-7)
    power = jnp.logspace(-6, 18, 25)
    level = isolation_over_power(tcmt.TwoPhotonLoss(1.0, mode=1), power)
    assert (jnp.diff(level) < 0).all()
    np.testing.assert_allclose(level[0], 0.0, atol=1e-6)
    np.testing.assert_allclose(level[-1], limit, atol=1e-5)  # approached as power^{-1/3}


@pytest.mark.parametrize(("c", "highest"), [(3.0, 0.3582), (10.0, 1.2939), (30.0, 5.7133)])
def test_saturable_loss_isolates_at_one_power_only(c: float, highest: float) -> None:
    power = np.logspace(0.8, 2.5, 401)
    level = isolation_over_power(tcmt.SaturableLoss(c, mode=1), jnp.asarray(power))
    # Mode 0 eliminated, |t12/t21| = (S + γ_f)/(S + γ_b) with S = G + κ²/G and γ = c/(1 + |a1|²) of either direction.
    S = PORT + 0.5 + 9 / (PORT + 0.5)
    x = np.array([[saturable_branch(3.0, c, (0.0, 0.0), PORT, 0.5, p, into)[1] for into in (0, 1)] for p in power])
    forward, backward = (S + c / (1 + x)).T
    np.testing.assert_allclose(level, 20 * np.log10(forward / backward), atol=1e-8)  # roots of a cubic, by numpy
    np.testing.assert_allclose(np.max(level), highest, atol=2e-4)  # the grid is fine to 1 % in power
    assert 0 < np.argmax(level) < 400


def test_beyond_a_fold_it_is_the_state_to_which_the_device_jumps() -> None:
    # x (2 + 40/(1 + x))² = 2γ|s|², on resonance with G = κ = 1: folds at 486 and 304. Port 0 has γ = .1, port 1 .5.
    model = tcmt.TwoResonators((0.0, 0.0), (0.1, 0.5), (0.9, 0.5), 1.0, tcmt.SaturableLoss(40.0, 1))
    r = nr.port_response(model, nr.Drive(0.0, 23.0))
    lower, upper = (abs(r.state[into, 1]) ** 2 for into in (0, 1))
    assert lower < 1 < 50 < upper
    np.testing.assert_allclose(upper * (2 + 40 / (1 + upper)) ** 2, 23.0**2, rtol=1e-12)  # round-off


@pytest.mark.parametrize(("guess", "branch"), [(None, 0), (0.9, 0), (2.6, 1), (8.0, 2)])
def test_guess_chooses_among_three_states(guess: float | None, branch: int) -> None:
    model = tcmt.TwoResonators((0.0, 0.0), (0.5, 0.5), (0.5, 0.5), 1.0, tcmt.SaturableLoss(40.0, 1))
    x = np.sort(np.roots(np.polysub(np.polymul([1, 0], np.polymul([2, 42], [2, 42])), 400 * np.array([1, 2, 1]))).real)
    start = None if guess is None else guess * jnp.array([1.0j, 1.0])
    state = tcmt.steady_state(model, 0.0, jnp.array([0.0, 20.0]), guess=start, allow_unstable=True)
    np.testing.assert_allclose(abs(state.a[1]) ** 2, x[branch], rtol=1e-12)  # roots of a cubic, by numpy
    assert equation_error(model, 0.0, state.s_plus, state.a) < 1e-14  # round-off


def test_state_of_a_response_starts_the_next() -> None:
    model = paper_pair(3.0, 2.7, (1.0, 1.0)).model(1e-4)
    first = nr.port_response(model, nr.Drive(0.0))
    near = nr.replace(model, {"loss.gamma_k": 2.71})
    again, cold = nr.port_response(near, nr.Drive(0.0), guess=first.state), nr.port_response(near, nr.Drive(0.0))
    np.testing.assert_allclose(again.b, cold.b, rtol=1e-12)  # one root by two ways: round-off times the condition


# Many modes ---------------------------------------------------------------------------------------------------------


PASSIVE = random_modes(5, 3, 2, lossless=False)
INCOMING = jnp.array([3.0, 1.2j])


def three_modes(rates: Array) -> tcmt.CoupledModes:
    laws = (
        tcmt.NonlocalLoss(rates[0], mode=1, sensed=0, epsilon=1e-3),
        tcmt.NonlocalLoss(rates[1], mode=2, sensed=0, epsilon=1e-2),
        tcmt.TwoPhotonLoss(rates[2], mode=0),
        CrossAbsorption(rates[3], mode=1, other=0),
    )
    return tcmt.CoupledModes(**PASSIVE, gamma_i=jnp.full(3, 0.3), loss=laws)


@slopes
def outgoing(rates: Array) -> Array:
    """Powers out of the two ports, and the error of the equations of motion."""
    state = tcmt.steady_state(three_modes(rates), 0.2, INCOMING)
    error = equation_error(three_modes(jax.lax.stop_gradient(rates)), 0.2, INCOMING, jax.lax.stop_gradient(state.a))
    return jnp.stack([*(jnp.abs(state.s_minus) ** 2), error])


@pytest.mark.slow
@pytest.mark.parametrize("rates", [(0.5, 0.7, 0.2, 0.1), (3.0, 4.0, 1.0, 0.5)], ids=["moving", "nearly extinct"])
def test_three_modes_with_four_laws(rates: tuple[float, ...]) -> None:
    value, forward, reverse = (f(jnp.array(rates)) for f in outgoing)
    assert value[2] < 1e-13  # round-off; the laws are soft here (γ_k/ε ~ 1e3)
    if rates[0] < 1:
        assert jnp.linalg.norm(forward[:2], axis=0).min() > 1e-5  # every law matters
    np.testing.assert_allclose(reverse, forward, rtol=1e-11, atol=1e-13)  # two solves with one matrix
    for i, rate in enumerate(rates):
        along = central_difference(lambda x, i=i: outgoing[0](jnp.array(rates).at[i].set(x))[:2], rate, 1e-2 * rate)
        # (step/γ)⁶ = 1e-12 times high derivatives, and round-off 1e-15 over the step.
        np.testing.assert_allclose(forward[:2, i], along, rtol=1e-7, atol=1e-10)


def test_exact_law_is_regularised_where_there_is_no_closed_form() -> None:
    weak = tcmt.TwoPhotonLoss(0.0, mode=0)  # a second nonlinear law, that does nothing
    pair = PAIRS[1].model()
    both = nr.replace(pair, {"loss": (pair.loss, weak)})
    exact, soft = nr.port_response(pair, nr.Drive(0.0)), nr.port_response(both, nr.Drive(0.0))
    error = jnp.max(jnp.abs(exact.b - soft.b))
    # ε = 1e-4 by default: γ_k ε²/(2Gρ²) ~ 1e-7, and not 0.
    assert 1e-9 < error < 1e-6


def test_float32_of_the_regularised_law() -> None:
    pair = PAIRS[1]
    double = (jnp.asarray(x) for x in (pair.kappa, pair.gamma_k, pair.detuning, pair.gamma, pair.gamma_0))
    single = [x.astype(jnp.float32) for x in double]
    model = pair_model(*single, epsilon=jnp.array(1e-2, jnp.float32))
    r = nr.port_response(model, nr.Drive(jnp.zeros((), jnp.float32)))
    assert r.b.dtype == jnp.complex64
    # Round-off of float32 6e-8, times the stiffness γ_k/(ε G) of the law, ~1e2.
    np.testing.assert_allclose(r.s, nr.port_response(pair.model(1e-2), nr.Drive(0.0)).s, rtol=1e-4)
