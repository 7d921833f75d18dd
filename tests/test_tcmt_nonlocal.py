"""The exact nonlocal law of paper 1: its printed numbers, extinction, gradients, and both ports driven."""

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax import Array

import diffnr as nr
from diffnr import tcmt
from systems import (
    PAIRS,
    Pair,
    central_difference,
    isolation,
    isolation_slope_on_resonance,
    pair_model,
    paper_pair,
    transmissions,
)


@eqx.filter_jit
def response(
    model: tcmt.TwoResonators, omega: Array | float = 0.0, amplitude: Array | complex = 1.0
) -> nr.PortResponse:
    return nr.port_response(model, nr.Drive(omega, amplitude), throw=False)


@eqx.filter_jit
def paper_sweep(kappa: Array, gamma_k: Array, D1: Array, D2: Array) -> Array:
    """S [point, out, in] with paper ports."""

    def one(kappa: Array, gamma_k: Array, D1: Array, D2: Array) -> Array:
        port = jnp.sqrt(0.25 + kappa**2) * jnp.ones(2)
        model = pair_model(kappa, gamma_k, jnp.stack([D1, D2]), port, jnp.full(2, 0.5))
        return nr.port_response(model, nr.Drive(0.0)).s

    return jax.vmap(one)(*jnp.broadcast_arrays(*(jnp.asarray(x, float) for x in (kappa, gamma_k, D1, D2))))


# Printed numbers have ten digits, so that they may be off by half a unit of the last, 5e-11: 1e-9 relative with a
# margin.
PRINTED = {"rtol": 1e-9, "atol": 6e-11}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_printed_transmissions(pair: Pair) -> None:
    s = response(pair.model()).s
    np.testing.assert_allclose(s[1, 0], pair.t21, **PRINTED)
    np.testing.assert_allclose(s[0, 1], pair.t12, **PRINTED)


@jax.jit
def value_and_gradients(*parameters: Array) -> tuple[tuple[Array, ...], ...]:
    def got(*parameters: Array) -> Array:
        s = nr.port_response(pair_model(*parameters), nr.Drive(0.0)).s
        return jnp.stack([s[1, 0].real, s[1, 0].imag, s[0, 1].real, s[0, 1].imag])

    def wanted(*parameters: Array) -> Array:
        t = transmissions(*parameters)
        return jnp.stack([t.real, t.imag], axis=1).ravel()

    each = tuple(range(len(parameters)))
    slope = jax.jacfwd(wanted, each)(*parameters)
    return (
        (got(*parameters), jax.jacfwd(got, each)(*parameters), jax.jacrev(got, each)(*parameters)),
        (wanted(*parameters), slope, slope),
    )


@pytest.mark.parametrize("pair", PAIRS[:3], ids=lambda pair: pair.name)
def test_value_and_gradient_are_those_of_the_closed_form(pair: Pair) -> None:
    parameters = map(jnp.array, (pair.kappa, pair.gamma_k, pair.detuning, pair.gamma, pair.gamma_0))
    got, wanted = value_and_gradients(*parameters)
    # Two closed forms of the same thing, without cancellation: a few hundred times round-off for the derivatives.
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_effective_coupling_of_figure_2() -> None:
    # κ = π and G2 = √(1/4 + π²) + 1/2 = 3.681133; D1 does not enter.
    @jax.jit
    @jax.vmap
    def couplings(D2: Array) -> tuple[Array, Array]:
        model = nr.replace(paper_pair(np.pi, np.pi / 2).model(), {"omega": -jnp.stack([0.7, D2])})
        return (
            tcmt.effective_coupling(model, 0.0, out=1, into=0),
            tcmt.effective_coupling(model, 0.0, out=0, into=1),
        )

    forward, backward = couplings(jnp.array([0.0, 1.0, 2.0, 5.0]))
    np.testing.assert_allclose(jnp.abs(forward), [1.5707963268, 1.5986283478, 1.6705428310, 1.9443845167], **PRINTED)
    np.testing.assert_allclose(backward, np.full(4, 1j * np.pi), rtol=1e-15)


def test_contrast_of_figure_3() -> None:
    s = jnp.abs(paper_sweep(3.0, jnp.array([1.5, 2.7, 3.0]), 0.0, 0.0))
    np.testing.assert_allclose(s[:, 1, 0], [0.5354110476, 0.1357619967, 0.0], **PRINTED)
    np.testing.assert_allclose(s[:, 0, 1], [0.7007419232, 0.6156355342, 0.5974938537], **PRINTED)


def test_detuning_of_figure_4() -> None:
    D = jnp.array([0.0, 0.5, 1.0, 2.0])
    s = jnp.abs(paper_sweep(0.3, 0.3, D, D))
    np.testing.assert_allclose(s[:, 0, 1], [0.2585606071, 0.2232952082, 0.1553923707, 0.0676826449], **PRINTED)
    assert (s[:, 1, 0] == 0).all()


@pytest.mark.parametrize(("D1", "percent"), [(0.0, 39.67), (1.0, 25.34)], ids=["Δ2 alone", "both"])
def test_bandwidth_of_figure_4(D1: float, percent: float) -> None:
    # 3 dB width of |t12|², in angular frequency, relative to that of 1 MHz: 2π in units of 1e6 rad/s.
    D = jnp.linspace(-3.0, 3.0, 1001)
    s = paper_sweep(0.3, 0.3, D1 * D, D)
    width = nr.metrics.bandwidth(D, 20 * jnp.log10(jnp.abs(s[:, 0, 1])), drop=3.0)
    # Printed to four digits; the interpolation on this grid is good to 1e-5.
    np.testing.assert_allclose(100 * width / (2 * np.pi), percent, atol=0.005)


def test_isolation_of_figure_6() -> None:
    gamma_k = jnp.array([2.5483033448, 2.8713949210, 2.9605227189, 2.9876294436])
    s = jnp.abs(paper_sweep(3.0, gamma_k, 0.0, 0.0))
    # γ_k is given to 5e-11, which κ − γ_k = .0124 turns into 3e-8 dB at 40 dB.
    np.testing.assert_allclose(20 * jnp.log10(s[:, 0, 1] / s[:, 1, 0]), [10.0, 20.0, 30.0, 40.0], atol=4e-8)


def paper_isolation(gamma_k: Array, kappa: float = 0.3, epsilon: float | None = None) -> Array:
    return isolation(nr.replace(paper_pair(kappa, kappa / 2).model(epsilon), {"loss.gamma_k": gamma_k}))


@pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd])
def test_printed_gradient_of_the_isolation(derivative) -> None:
    value, slope = jax.jit(lambda g: (paper_isolation(g), derivative(paper_isolation)(g)))(0.15)
    np.testing.assert_allclose(value, 5.4014375039, **PRINTED)
    np.testing.assert_allclose(slope, 53.7746848680, **PRINTED)
    np.testing.assert_allclose(slope, isolation_slope_on_resonance(0.3, 0.15, 0.34**0.5 + 0.5), rtol=1e-13)  # round-off


def test_gradients_against_central_differences_up_to_the_threshold() -> None:
    def one(kappa: Array, ratio: Array, detuning: Array, gamma: Array, gamma_0: Array) -> tuple[Array, ...]:
        def of(gamma_k: Array) -> Array:
            return isolation(pair_model(kappa, gamma_k, detuning, gamma, gamma_0))

        gamma_k, step = ratio * kappa, 0.02 * (1 - ratio) * kappa
        return jax.jacfwd(of)(gamma_k), jax.grad(of)(gamma_k), central_difference(of, gamma_k, step)

    rng = np.random.default_rng(0)
    n = 64
    ratio = np.concatenate([rng.uniform(0.02, 0.98, n - 2), [0.98, 0.99]])
    parameters = (
        rng.uniform(0.03, 30, n),
        ratio,
        rng.uniform(-5, 5, (n, 2)),
        rng.uniform(0.1, 9, (n, 2)),
        rng.uniform(0, 1, (n, 2)),
    )
    forward, reverse, difference = jax.jit(jax.vmap(one))(*map(jnp.asarray, parameters))
    # The step is a fiftieth of the distance to the singularity: .02⁶ = 6e-11, and round-off 1e-15/.02 of the isolation.
    np.testing.assert_allclose(forward, difference, rtol=1e-7)
    np.testing.assert_allclose(reverse, forward, rtol=1e-12)


@pytest.mark.parametrize("ratio", [1.0, 1.001, 3.0])
@pytest.mark.parametrize("detuning", [(0.0, 0.0), (3.0, -7.0)])
def test_nothing_passes_at_and_beyond_the_threshold(ratio: float, detuning: tuple[float, float]) -> None:
    r = response(paper_pair(3.0, 3.0 * ratio, detuning).model())
    assert r.s[1, 0] == 0
    assert r.state[0, 1] == 0
    Z1 = 9.25**0.5 + 0.5 + 1j * detuning[0]
    np.testing.assert_allclose(r.state[0, 0], (2 * 9.25**0.5) ** 0.5 / Z1, rtol=1e-15)  # a1 = √(2γ1) s1/Z1; round-off
    assert nr.metrics.isolation(r, out=0, into=1) == jnp.inf


@pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd])
def test_beyond_the_threshold_the_exact_isolation_is_flat(derivative) -> None:
    value, slope = jax.jit(lambda g: (paper_isolation(g), derivative(lambda x: -paper_isolation(x))(g)))(0.35)
    assert value == jnp.inf
    # Nothing of the transmitted wave is left to differentiate: what remains is the slope of |t12|².
    backward = 0.3 / ((0.34**0.5 + 0.5) ** 2 + 0.09 + 0.3 * 0.35)
    np.testing.assert_allclose(slope, 20 / np.log(10) * backward, rtol=1e-12)  # round-off


def random_pairs(seed: int, n: int) -> dict[str, np.ndarray]:
    """Unequal resonators, an ideal nonreciprocal coupling beside the nonlocal loss, and both ports driven."""
    rng = np.random.default_rng(seed)
    return {
        "gamma_k": rng.uniform(0.0, 6.0, n),
        "ideal": rng.uniform(-0.2, 0.2, n),
        "omega": rng.uniform(-3.0, 3.0, (n, 2)),
        "gamma": rng.uniform(0.05, 3.0, (n, 2)),
        "gamma_0": rng.uniform(0.0, 0.5, (n, 2)),
        "kappa": rng.uniform(0.1, 3.0, n),
        "s_plus": rng.normal(size=(n, 2)) + 1j * rng.normal(size=(n, 2)),
    }


def solve_pair(pair: dict[str, Array]) -> tuple[tcmt.TwoResonators, tcmt.SteadyState]:
    loss, ideal = tcmt.NonlocalLoss(pair["gamma_k"], 1, 0), tcmt.IdealNonreciprocalCoupling(pair["ideal"], 0, 1)
    model = tcmt.TwoResonators(pair["omega"], pair["gamma"], pair["gamma_0"], pair["kappa"], loss, terms=ideal)
    return model, tcmt.steady_state(model, 0.3, pair["s_plus"], allow_unstable=True)


@jax.jit
@jax.vmap
def equation_errors(pair: dict[str, Array]) -> tuple[Array, Array, Array]:
    """How far either row of the equation of motion is from 0, and whether mode 1 moves."""
    model, state = solve_pair(pair)
    a, m, (law, ideal) = state.a, model.matrices(), model.laws
    f = m.K.T @ state.s_plus
    rest = f - 0.3j * a + (1j * m.omega - m.gamma) @ a - ideal.damping(a)
    friction, moving = law.gamma_k * jnp.abs(a[0]), a[1] != 0
    slip = jnp.abs(rest[1] - friction * a[1] / jnp.where(moving, jnp.abs(a[1]), 1.0))
    stick = jnp.maximum(jnp.abs(rest[1]) - friction, 0.0)  # at rest, friction is whatever it must be, up to this
    return jnp.abs(rest[0]) / jnp.linalg.norm(f), jnp.where(moving, slip, stick) / jnp.linalg.norm(f), moving


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_both_ports_driven_solves_the_equations_of_motion(seed: int) -> None:
    first, second, moving = equation_errors(random_pairs(seed, 256))
    # Round-off: the closed form has no cancellation, and a quarter of a million problems stayed below 3e-15.
    assert jnp.max(first) <= 1e-13
    assert jnp.max(second) <= 1e-13
    assert 0 < jnp.sum(moving) < 256  # both regimes are met


def test_gradients_with_both_ports_driven() -> None:
    @jax.jit
    @jax.vmap
    def compare(here: dict[str, Array], there: dict[str, Array]) -> tuple[Array, ...]:
        def solve(x: Array) -> tuple[Array, Array]:
            _, state = solve_pair(jax.tree.map(lambda a, b: a + x * (b - a), here, there))
            return jnp.abs(state.s_minus) ** 2, state.a[1] != 0

        zero = jnp.zeros(())
        moving = jax.lax.map(solve, jnp.linspace(-0.02, 0.02, 9))[1]
        difference = central_difference(lambda x: solve(x)[0], zero, 1e-4)
        forward, reverse = (derivative(solve, has_aux=True)(zero)[0] for derivative in (jax.jacfwd, jax.jacrev))
        return forward, reverse, difference, jnp.all(moving == moving[4]), moving[4]

    forward, reverse, difference, smooth, moving = compare(random_pairs(1, 128), random_pairs(2, 128))
    np.testing.assert_allclose(reverse, forward, rtol=1e-10, atol=1e-12)  # the same linear map and its transpose
    # All parameters move at once. Steps are a two-hundredth of the distance to a change of regime, or less: 1e-13; what
    # is seen is round-off, 1e-15/1e-4.
    np.testing.assert_allclose(forward[smooth], difference[smooth], rtol=1e-7, atol=1e-9)
    assert jnp.sum(smooth & moving) > 20
    assert jnp.sum(smooth & ~moving) > 20


def test_derivatives_where_a_mode_is_dark_or_the_law_off() -> None:
    # Everything here is known: with γ_k = 0 the device is linear, and with κ = 0 a mode hears of its own port only.
    def powers(gamma_k: Array, kappa: Array) -> Array:
        model = pair_model(kappa, gamma_k, jnp.array([0.3, -0.2]), jnp.array([0.9, 0.5]), jnp.array([0.2, 0.2]))
        return jnp.abs(nr.port_response(model, nr.Drive(0.0)).s) ** 2

    @jax.jit
    def wanted(gamma_k: Array, kappa: Array) -> tuple[Array, Array]:
        rest = (jnp.array([0.3, -0.2]), jnp.array([0.9, 0.5]), jnp.array([0.2, 0.2]))
        return jax.jacfwd(lambda g, k: jnp.abs(transmissions(k, g, *rest)) ** 2, (0, 1))(gamma_k, kappa)

    slopes = jax.jit(jax.jacrev(powers, (0, 1)))
    off, table = (f(jnp.array(0.0), jnp.array(1.3)) for f in (slopes, wanted))
    for got, expected in zip(off, table, strict=True):
        np.testing.assert_allclose([got[1, 0], got[0, 1]], expected, rtol=1e-12)  # round-off
    apart = slopes(jnp.array(0.7), jnp.array(0.0))
    assert all(jnp.isfinite(slope).all() for slope in apart)
    np.testing.assert_allclose(apart[0], 0.0, atol=1e-15)  # a dark mode senses and drives nothing


def test_second_derivative_of_the_isolation() -> None:
    slope = jax.jit(jax.grad(jax.grad(paper_isolation)))(0.15)
    forward, backward = (0.3 / ((0.34**0.5 + 0.5) ** 2 + 0.09 + sign * 0.3 * 0.15) for sign in (-1, 1))
    # The derivative of `isolation_slope_on_resonance` in γ_k; round-off.
    np.testing.assert_allclose(slope, 20 / np.log(10) * (1 / 0.15**2 - forward**2 + backward**2), rtol=1e-11)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_transmission_does_not_depend_on_power(pair: Pair) -> None:
    unit = response(pair.model()).s
    for amplitude in (1e-6, 1e6, 1e6j):
        # The law is homogeneous and so are its formulas: round-off.
        np.testing.assert_allclose(response(pair.model(), 0.0, amplitude).s, unit, rtol=1e-13)


def test_responses_do_not_superpose() -> None:
    model = PAIRS[1].model()
    both, first, second = (
        tcmt.steady_state(model, 0.0, jnp.array(s)).s_minus for s in ([1.0, 1.0], [1.0, 0.0], [0.0, 1.0])
    )
    assert jnp.linalg.norm(both - first - second) > 0.1
    np.testing.assert_allclose(first, response(model).s[:, 0], rtol=1e-13)  # the same closed form
    linear = nr.replace(model, {"loss": ()})
    both, first, second = (
        tcmt.steady_state(linear, 0.0, jnp.array(s)).s_minus for s in ([1.0, 1.0], [1.0, 0.0], [0.0, 1.0])
    )
    np.testing.assert_allclose(both, first + second, rtol=1e-14)  # round-off


def test_undriven_device_is_at_rest() -> None:
    state = tcmt.steady_state(PAIRS[1].model(), 0.0, jnp.zeros(2))
    assert (state.a == 0).all()
    assert (state.s_minus == 0).all()


# With G1 = G2 = κ = 1 on resonance and f = (1, 2i), Z = −1 and k = 3i: (−ρ + γ_k) u = 3i, so that at γ_k = 4 ρ is 1 or
# 7,
# and extinction is a third solution, as 3 < γ_k. Row 0 then gives a_s = 1/(1 − iρu) with u = ±i.
BRANCHES = {
    "upper": (lambda: 1 / (1 - 7), -7j),
    "lower": (lambda: 1 / (1 + 1), 1j),
    "extinct": (lambda: 1.0, 0.0),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_guess_chooses_the_branch(name: str) -> None:
    sensed, ratio = BRANCHES[name][0](), BRANCHES[name][1]
    model = tcmt.TwoResonators(
        omega=(0.0, 0.0), gamma=(0.5, 0.5), gamma_0=(0.5, 0.5), kappa=1.0, loss=tcmt.NonlocalLoss(4.0, mode=1, sensed=0)
    )
    expected = sensed * np.array([1.0, ratio])
    guess = jnp.asarray(expected * 1.05 + 0.01)
    a = tcmt.steady_state(model, 0.0, jnp.array([1.0, 2.0j]), guess=guess, allow_unstable=True).a
    np.testing.assert_allclose(a, expected, atol=1e-15)  # the numbers are small integers: round-off
    # The equations themselves: −a + i a_other + friction + drive = 0, friction anything up to 4|a_s| where a_m = 0.
    friction = -a[1] + 1j * a[0] + 2j
    np.testing.assert_allclose(-a[0] + 1j * a[1] + 1, 0.0, atol=1e-15)
    if name == "extinct":
        assert abs(friction) < 4 * abs(a[0])
    else:
        np.testing.assert_allclose(friction, 4 * abs(a[0]) * a[1] / abs(a[1]), atol=1e-14)


def test_default_branch_is_the_one_continued_from_no_nonlocal_loss() -> None:
    @jax.jit
    @jax.vmap
    def ratio(gamma_k: Array) -> Array:
        loss = tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0)
        model = tcmt.TwoResonators(omega=(0.0, 0.0), gamma=(0.5, 0.5), gamma_0=(0.5, 0.5), kappa=1.0, loss=loss)
        a = tcmt.steady_state(model, 0.0, jnp.array([1.0, 2.0j])).a
        return a[1] / a[0]

    gamma_k = jnp.linspace(0.0, 6.0, 13)
    np.testing.assert_allclose(ratio(gamma_k), -1j * (gamma_k + 3), rtol=1e-13)  # −ρ + γ_k = −3 throughout; round-off


def test_float32_at_rates_in_rad_per_second() -> None:
    # ρ comes from fourth powers of rates and drives: at 1e12 rad/s they would leave the range of float32.
    pair = PAIRS[1]
    kappa, gamma_k, detuning, gamma, gamma_0 = (
        1e12 * jnp.asarray(x, jnp.float32) for x in (pair.kappa, pair.gamma_k, pair.detuning, pair.gamma, pair.gamma_0)
    )
    s = response(pair_model(kappa, gamma_k, detuning, gamma, gamma_0), jnp.zeros((), jnp.float32)).s
    assert s.dtype == jnp.complex64
    np.testing.assert_allclose(s[1, 0], pair.t21, rtol=1e-5)  # round-off of float32, a hundred times
    np.testing.assert_allclose(s[0, 1], pair.t12, rtol=1e-5)
