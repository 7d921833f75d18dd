"""Linear coupled modes: conservation, time reversal, passivity, convention; and what a model refuses."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import tcmt
from diffnr.tcmt.loss import check_laws
from systems import central_difference, random_modes

OMEGAS = jnp.linspace(-3.0, 3.0, 5)

# Round-off 1e-16, times the condition of iω − A (below 1e3 for these random devices).
EXACT = {"rtol": 0.0, "atol": 1e-12}


@pytest.mark.parametrize(("modes", "ports"), [(1, 1), (3, 2), (6, 5)])
def test_lossless_device_conserves_power_and_reverses_in_time(modes: int, ports: int) -> None:
    @jax.jit
    @jax.vmap
    def solve(parts: dict[str, Array]) -> tuple[Array, ...]:
        device = tcmt.CoupledModes(**parts, lossless=True)
        m = device.matrices()
        reversed_device = tcmt.CoupledModes(omega=m.omega.T, D=m.K, C=m.C.T, K=m.D, lossless=True)
        margin = tcmt.passivity_margin(device)
        return (
            nr.scattering(device, OMEGAS),
            nr.scattering(reversed_device, OMEGAS),
            margin,
            reversed_device.matrices().gamma - m.gamma.T,
        )

    S, reversed_S, margin, gamma = solve(random_modes(0, modes, ports, 16))
    identity = jnp.broadcast_to(jnp.eye(ports), S.shape)
    np.testing.assert_allclose(S.conj().mT @ S, identity, **EXACT)
    np.testing.assert_allclose(reversed_S, S.mT, **EXACT)
    np.testing.assert_allclose(gamma, 0.0, **EXACT)
    np.testing.assert_allclose(margin, 0.0, **EXACT)
    if ports > 1:
        assert jnp.max(jnp.abs(S - S.mT)) > 0.1  # the bias is real: these devices are not reciprocal
    if ports == 2:
        np.testing.assert_allclose(jnp.abs(S[..., 1, 0]), jnp.abs(S[..., 0, 1]), **EXACT)


def test_lossless_devices_are_accepted_outside_of_transformations() -> None:
    parts = random_modes(0, 2, 3)
    device = tcmt.CoupledModes(**parts, lossless=True)
    S = nr.scattering(device, OMEGAS)
    np.testing.assert_allclose(S.conj().mT @ S, np.broadcast_to(np.eye(3), S.shape), **EXACT)


def test_models_are_built_inside_jit_from_constants_and_tracers_alike() -> None:
    epsilon, level = jnp.array(1e-2), jnp.array(2.0)  # closed over: they stay concrete inside
    parts = random_modes(0, 2, 2)
    K = -parts["C"].T @ parts["D"].conj()

    @jax.jit
    def build(x: Array) -> tuple[Array, Array, Array]:
        soft = tcmt.NonlocalLoss(x, 1, 0, epsilon=epsilon)
        saturable = tcmt.SaturableLoss(x, 1, level)
        device = tcmt.CoupledModes(**parts, K=K, lossless=True)
        width = nr.metrics.bandwidth(OMEGAS, -(OMEGAS**2) * x)
        return soft.gamma_k + saturable.coefficient, nr.scattering(device, OMEGAS), width

    rates, S, _ = build(jnp.array(1.0))
    assert rates == 2.0
    np.testing.assert_allclose(S.conj().mT @ S, np.broadcast_to(np.eye(2), S.shape), **EXACT)


def test_device_without_bias_is_reciprocal() -> None:
    @jax.jit
    @jax.vmap
    def solve(omega: Array, D: Array, A: Array) -> Array:
        return nr.scattering(tcmt.CoupledModes(omega=omega + omega.T, D=D, gamma_i=A @ A.T), OMEGAS)

    rng = np.random.default_rng(0)
    S = solve(rng.normal(size=(16, 4, 4)), rng.normal(size=(16, 3, 4)), rng.normal(size=(16, 4, 4)))
    np.testing.assert_allclose(S, S.mT, **EXACT)


def test_mirror_symmetric_device_is_reciprocal_though_nonlinear() -> None:
    law = (tcmt.NonlocalLoss(0.7, 1, 0, epsilon=1e-2), tcmt.NonlocalLoss(0.7, 0, 1, epsilon=1e-2))
    model = tcmt.TwoResonators((0.3, 0.3), (0.5, 0.5), (0.2, 0.2), 1.0, law)
    s = nr.port_response(model, nr.Drive(0.1)).s
    np.testing.assert_allclose(s[0, 1], s[1, 0], rtol=1e-13)  # the same problem with rows exchanged: round-off
    linear = nr.port_response(nr.replace(model, {"loss": ()}), nr.Drive(0.1)).s
    assert abs(s[0, 1] - linear[0, 1]) > 0.01  # and the law did something


def test_out_comes_first_and_into_second() -> None:
    # S[i, j] = C[i, j] + d_i k_j / (i(ω − ω0) + γ), written entry by entry, with a C and d that no transpose fits.
    theta = 0.4
    C = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    d = np.array([0.3, 0.8j])
    k = [-sum(C[m, j] * np.conj(d[m]) for m in range(2)) for j in range(2)]
    gamma, detuning = 0.5 * (0.09 + 0.64), 0.25
    S = nr.scattering(tcmt.CoupledModes(omega=[1.0], D=d[:, None], C=C), [1.0 + detuning])[0]
    for i, j in np.ndindex(2, 2):
        expected = C[i, j] + d[i] * k[j] / (1j * detuning + gamma)
        np.testing.assert_allclose(S[i, j], expected, rtol=1e-14)  # the same few operations
    assert abs(S[1, 0] - S[0, 1]) > 0.5


def test_ideal_nonreciprocal_coupling_has_its_closed_form() -> None:
    kappa, gamma_k, Z1, Z2 = 1.3, 0.8, 1.1 + 0.4j, 0.7 - 0.6j
    law = tcmt.IdealNonreciprocalCoupling(gamma_k, mode=1, sensed=0)
    model = tcmt.TwoResonators(omega=(-0.4, 0.6), gamma=(0.9, 0.5), gamma_0=(0.2, 0.2), kappa=kappa, terms=law)
    assert model.linear
    S = nr.scattering(model, [0.0])[0]
    root, den = 2 * 0.45**0.5, Z1 * Z2 + kappa * (kappa - gamma_k)
    np.testing.assert_allclose(S[1, 0], 1j * root * (kappa - gamma_k) / den, rtol=1e-14)  # round-off
    np.testing.assert_allclose(S[0, 1], 1j * root * kappa / den, rtol=1e-14)
    H = tcmt.effective_hamiltonian(model, 0.0)
    np.testing.assert_allclose([H[1, 0], H[0, 1]], [1j * (kappa - gamma_k), 1j * kappa], rtol=1e-15)


def test_two_resonators_are_coupled_modes() -> None:
    pair = tcmt.TwoResonators(omega=(0.1, -0.2), gamma=(0.9, 0.5), gamma_0=(0.2, 0.3), kappa=1.3)
    D = np.diag([1.8**0.5, 1.0])
    modes = tcmt.CoupledModes(omega=[[0.1, 1.3], [1.3, -0.2]], D=D, gamma_i=[0.2, 0.3])
    np.testing.assert_allclose(nr.scattering(pair, OMEGAS), nr.scattering(modes, OMEGAS), rtol=1e-14)  # round-off


def test_passive_by_construction() -> None:
    @jax.jit
    @jax.vmap
    def solve(parts: dict[str, Array], absorption: Array) -> tuple[Array, Array]:
        device = tcmt.CoupledModes(**parts, gamma_i=jnp.diag(absorption))
        return tcmt.passivity_margin(device), jnp.linalg.norm(nr.scattering(device, OMEGAS), 2, axis=(1, 2))

    margin, gain = solve(random_modes(1, 3, 2, 64, lossless=False), np.random.default_rng(2).uniform(size=(64, 3)))
    assert jnp.min(margin) >= -1e-13  # round-off
    assert jnp.max(gain) <= 1 + 1e-13
    assert jnp.max(margin) > 1e-3


def test_passivity_margin_finds_the_active_device() -> None:
    # One mode, |d|² = 2, C = −1: k = d is passive and reflects S = 1 on resonance, k = 1.2 d gives S = −1 + 2.4.
    for k, margin, reflected in ((1.0, 0.0, 1.0), (1.2, -(0.08**0.5), 1.4)):
        device = tcmt.CoupledModes(omega=[0.0], D=[[2**0.5]], K=[[k * 2**0.5]])
        # P = [[0, √2 (1 − k)], [·, 0]], whose eigenvalues are ±√2 |1 − k|; round-off.
        np.testing.assert_allclose(tcmt.passivity_margin(device), margin, atol=1e-15)
        np.testing.assert_allclose(nr.scattering(device, [0.0]), [[[reflected]]], rtol=1e-15)


def test_whole_radiation_matrix_is_added() -> None:
    # Two modes into one port: without the off-diagonal of D†D/2 the reflection would exceed 1.
    device = tcmt.CoupledModes(omega=[0.0, 0.1], D=[[1.0, 1.0]])
    np.testing.assert_allclose(device.matrices().gamma, np.full((2, 2), 0.5), rtol=1e-15)
    np.testing.assert_allclose(jnp.abs(nr.scattering(device, OMEGAS)), 1.0, rtol=1e-14)  # round-off


def test_scattering_is_what_port_response_says() -> None:
    device = tcmt.CoupledModes(**random_modes(2, 2, 3, lossless=False))
    S = nr.scattering(device, OMEGAS)
    for amplitude in (1.0, 0.3 - 2.0j):
        each = jnp.stack([nr.port_response(device, nr.Drive(omega, amplitude)).s for omega in OMEGAS])
        np.testing.assert_allclose(S, each, rtol=1e-13)  # the same solve, batched otherwise
    both = tcmt.steady_state(device, OMEGAS[1], jnp.array([1.0, 2.0j, -1.0]))
    np.testing.assert_allclose(both.s_minus, S[1] @ both.s_plus, rtol=1e-13)


def test_scattering_gradient_in_every_parameter() -> None:
    device = tcmt.CoupledModes(**random_modes(3, 2, 2, lossless=False), gamma_i=jnp.array([0.1, 0.2]))
    direction = tcmt.CoupledModes(**random_modes(4, 2, 2, lossless=False), gamma_i=jnp.array([0.3, 0.1]))

    @jax.jit
    def transmitted(x: Array) -> Array:
        moved = jax.tree.map(
            lambda a, b: a + x * b, eqx.filter(device, eqx.is_array), eqx.filter(direction, eqx.is_array)
        )
        return jnp.abs(nr.scattering(eqx.combine(moved, device), OMEGAS)[:, 1, 0]) ** 2

    slope = jax.jit(jax.jacfwd(transmitted))(0.0)
    np.testing.assert_allclose(jax.jit(jax.jacrev(transmitted))(0.0), slope, rtol=1e-12)
    # Steps of 1e-2 of an analytic function of scale 1: .01⁶, and round-off 1e-15/1e-2.
    np.testing.assert_allclose(central_difference(transmitted, 0.0, 1e-2), slope, rtol=1e-8, atol=1e-11)


def test_single_precision_stays_single() -> None:
    single = {name: jnp.asarray(value, jnp.complex64) for name, value in random_modes(0, 2, 2).items()}
    S = nr.scattering(tcmt.CoupledModes(**single, lossless=True), OMEGAS.astype(jnp.float32))
    assert S.dtype == jnp.complex64
    np.testing.assert_allclose(S.conj().mT @ S, np.broadcast_to(np.eye(2), S.shape), atol=1e-5)  # float32 round-off


# What a model refuses ------------------------------------------------------------------------------------------------


def pair(**changed: object) -> tcmt.TwoResonators:
    arguments = {"omega": (0.0, 0.0), "gamma": (1.0, 1.0), "gamma_0": (0.1, 0.1), "kappa": 1.0, "loss": ()}
    return tcmt.TwoResonators(**{**arguments, **changed})


def modes(**changed: object) -> tcmt.CoupledModes:
    return tcmt.CoupledModes(**{"omega": [0.0, 1.0], "D": np.eye(2), **changed})


NAN = float("nan")
NONLOCAL = tcmt.NonlocalLoss(1.0, 1, 0)
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "omega scalar": (lambda: pair(omega=0.0), r"omega must have shape \(2,\), but was of shape \(\)"),
    "omega long": (lambda: pair(omega=(0.0, 1.0, 2.0)), r"omega must have shape \(2,\), but was of shape \(3,\)"),
    "omega complex": (lambda: pair(omega=(1j, 0.0)), r"omega must be real, but was \(1j, 0.0\)"),
    "gamma negative": (lambda: pair(gamma=(-1.0, 1.0)), r"gamma must not be negative, but was \[-1., 1.\]"),
    "gamma_0 negative": (lambda: pair(gamma_0=(0.1, -1e-9)), "gamma_0 must not be negative"),
    "kappa NaN": (lambda: pair(kappa=NAN), "kappa must be finite, but was nan"),
    "kappa complex": (lambda: pair(kappa=1j), "kappa must be real, but was 1j"),
    "kappa vector": (lambda: pair(kappa=np.ones(2)), r"kappa must be a number .*, but was of shape \(2,\)"),
    "mode beyond": (lambda: pair(loss=tcmt.TwoPhotonLoss(1.0, 2)), "mode must be a mode between 0 and 1, but was 2"),
    "mode negative": (
        lambda: modes(loss=tcmt.SaturableLoss(1.0, -1)),
        "mode must be a whole number of at least 0, but was -1",
    ),
    "sensed beyond": (lambda: pair(loss=(tcmt.NonlocalLoss(1.0, 1, 2),)), "sensed must be a mode between 0 and 1"),
    "no law": (lambda: check_laws(0.5, (), 2), "loss must be a law or a tuple of laws, but was 0.5"),
    "list of laws": (lambda: check_laws([NONLOCAL], (), 2), r"loss must be a law or a tuple of laws, but was \["),
    "no loss": (
        lambda: pair(loss=tcmt.IdealNonreciprocalCoupling(1.0, 1, 0)),
        r"loss must hold laws by which modes lose, but held IdealNonreciprocalCoupling: pass it in terms=\.",
    ),
    "loss among terms": (
        lambda: modes(terms=(NONLOCAL,)),
        r"terms must hold laws that are no loss, but held NonlocalLoss: pass it in loss=\.",
    ),
    "mode sensed": (lambda: tcmt.NonlocalLoss(1.0, 1, 1), "sensed must differ from mode, but was 1 like mode"),
    "ideal, mode sensed": (lambda: tcmt.IdealNonreciprocalCoupling(1.0, 0, 0), "sensed must differ from mode"),
    "gamma_k negative": (lambda: tcmt.NonlocalLoss(-1.0, 1, 0), "gamma_k must not be negative, but was -1"),
    "gamma_k complex": (lambda: tcmt.NonlocalLoss(1j, 1, 0), "gamma_k must be real, but was 1j"),
    "gamma_k NaN": (lambda: tcmt.NonlocalLoss(NAN, 1, 0), "gamma_k must be finite, but was nan"),
    "ideal gamma_k NaN": (lambda: tcmt.IdealNonreciprocalCoupling(NAN, 1, 0), "gamma_k must be finite, but was nan"),
    "epsilon zero": (lambda: tcmt.NonlocalLoss(1.0, 1, 0, epsilon=0.0), "epsilon must be positive, but was 0"),
    "epsilon NaN": (lambda: tcmt.NonlocalLoss(1.0, 1, 0, epsilon=NAN), "epsilon must be finite, but was nan"),
    "two-photon negative": (lambda: tcmt.TwoPhotonLoss(-1.0, 1), "coefficient must not be negative, but was -1"),
    "saturation zero": (lambda: tcmt.SaturableLoss(1.0, 1, 0.0), "saturation must be positive, but was 0"),
    "saturation negative": (lambda: tcmt.SaturableLoss(1.0, 1, -1.0), "saturation must be positive, but was -1"),
    "D vector": (lambda: modes(D=np.ones(2)), r"D must have shape \(ports, modes\), but was of shape \(2,\)"),
    "D NaN": (lambda: modes(D=np.full((2, 2), NAN)), "D must be finite"),
    "C shape": (
        lambda: modes(C=np.eye(3)),
        r"C must have shape \(2, 2\), as D is of shape \(2, 2\), but was of shape \(3, 3\)",
    ),
    "C not a contraction": (
        lambda: modes(C=1.1 * np.eye(2)),
        "C must have a 2-norm of at most 1 .*, but was of norm 1.1",
    ),
    "K shape": (lambda: modes(K=np.ones((1, 2))), r"K must have shape \(2, 2\), as D is .*, but was of shape \(1, 2\)"),
    "omega shape": (
        lambda: modes(omega=np.zeros(3)),
        r"omega must have shape \(2,\) or \(2, 2\), as D is of shape \(2, 2\), but was of shape \(3,\)",
    ),
    "omega not Hermitian": (lambda: modes(omega=[[0, 1], [-1, 0]]), r"omega must be real \(a vector\) or Hermitian"),
    "omega vector complex": (lambda: modes(omega=[1j, 0]), r"omega must be real \(a vector\) or Hermitian"),
    "omega infinite": (lambda: modes(omega=[np.inf, 0]), "omega must be finite"),
    "gamma_i negative": (lambda: modes(gamma_i=[-1.0, 0]), "gamma_i must have no negative rate .* eigenvalue -1"),
    "gamma_i indefinite": (
        lambda: modes(gamma_i=[[1, 2], [2, 1]]),
        "gamma_i must have no negative rate .* eigenvalue -1",
    ),
    "gamma_i not Hermitian": (lambda: modes(gamma_i=[[1, 2j], [2j, 1]]), "gamma_i must be real .* or Hermitian"),
    "lossless, C": (lambda: modes(C=0.5 * np.eye(2), lossless=True), "C must be unitary where lossless=True"),
    "lossless, K": (
        lambda: modes(K=2 * np.eye(2), lossless=True),
        r"K must equal −CᵀD\* where lossless=True, but was off by 1",
    ),
    "lossless, gamma_i": (lambda: modes(gamma_i=[0.1, 0], lossless=True), "gamma_i must be zero where lossless=True"),
    "lossless, loss": (lambda: modes(loss=NONLOCAL, lossless=True), "loss must be empty where lossless=True"),
    "lossless, terms": (
        lambda: modes(terms=tcmt.IdealNonreciprocalCoupling(1.0, 1, 0), lossless=True),
        "terms must be empty where lossless=True",
    ),
    "gamma_k vector": (lambda: tcmt.NonlocalLoss([1.0, 2.0], 1, 0), r"gamma_k must be a number .* of shape \(2,\)"),
    "coefficient vector": (lambda: tcmt.TwoPhotonLoss([1.0], 1), r"coefficient must be a number .* of shape \(1,\)"),
    "coefficient replaced by a vector": (
        lambda: nr.replace(pair(loss=NONLOCAL), {"loss": eqx.tree_at(lambda x: x.gamma_k, NONLOCAL, jnp.ones(2))}),
        r"gamma_k must be a number .* of shape \(2,\)",
    ),
    "s_plus shape": (
        lambda: tcmt.steady_state(pair(), 0.0, np.ones(3)),
        r"s_plus must have shape \(2,\), but was of shape",
    ),
    "s_plus NaN": (lambda: tcmt.steady_state(pair(), 0.0, [NAN, 0]), "s_plus must be finite"),
    "omega many": (
        lambda: tcmt.steady_state(pair(), np.zeros(2), np.ones(2)),
        r"omega must be a number \(use jax.vmap",
    ),
    "omega drive complex": (lambda: tcmt.steady_state(pair(), 1j, np.ones(2)), "omega must be real, but was 1j"),
    "guess shape": (
        lambda: tcmt.steady_state(pair(), 0.0, np.ones(2), guess=np.ones(3)),
        r"guess must have shape \(2,\)",
    ),
    "guess NaN": (lambda: tcmt.steady_state(pair(), 0.0, np.ones(2), guess=[NAN, 0]), "guess must be finite"),
    "port beyond": (
        lambda: tcmt.effective_hamiltonian(pair(), 0.0, port=2),
        "port must be a port between 0 and 1, but was 2",
    ),
    "out beyond": (lambda: tcmt.effective_coupling(pair(), 0.0, out=2, into=0), "out must be a mode between 0 and 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_one_sentence(case: str) -> None:
    construct, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=f"^Argument {sentence}") as error:
        construct()
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_active_devices_are_allowed_when_asked_for() -> None:
    device = modes(C=1.1 * np.eye(2), gamma_i=[-0.1, 0.0], active=True)
    assert tcmt.passivity_margin(device) < 0


def test_slightly_inexact_numbers_are_accepted() -> None:
    # Numbers typed with eight digits are Hermitian and unitary to 1e-8.
    c, s = 0.92106099, 0.38941834
    assert modes(omega=[[0.0, 1.00000001], [1.0, 0.0]], C=[[c, -s], [s, c]], lossless=True).lossless


# Singular systems ----------------------------------------------------------------------------------------------------


def test_a_dark_mode_at_its_own_frequency_takes_no_part() -> None:
    dark = tcmt.CoupledModes([0.0, 1.0], [[1.0, 0.0]])
    found = nr.port_response(dark, nr.Drive(1.0))
    np.testing.assert_allclose(found.s, [[-1 + 1 / (1j + 0.5)]], rtol=1e-15)
    np.testing.assert_allclose(found.state, [[1 / (1j + 0.5), 0.0]], rtol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("angle", [np.pi / 4, 0.3])  # of the bright combination, so that elimination meets round-off
def test_a_dark_combination_of_modes_takes_no_part(angle: float) -> None:
    bright = np.array([np.cos(angle), np.sin(angle)])

    def s(omega: Array, size: Array) -> Array:
        device = tcmt.CoupledModes(omega * jnp.ones(2), size * bright[None])
        s = nr.port_response(device, nr.Drive(0.7)).s[0, 0]
        return jnp.stack([s.real, s.imag])

    # Like one mode: s = −1 + d²/(i(ω − ω_0) + d²/2)
    at = jnp.asarray(0.7), jnp.asarray(1.3)
    np.testing.assert_allclose(s(*at), [1.0, 0.0], atol=1e-15)
    for derivative in (jax.jacfwd, jax.jacrev):
        slopes = derivative(s, (0, 1))(*at)
        np.testing.assert_allclose(slopes, [[0.0, 4 / 1.3**2], [0.0, 0.0]], atol=1e-14)


def test_a_driven_resonance_without_loss_fails() -> None:
    lossless = tcmt.CoupledModes([0.7, 0.0], [[0.0, 1.0]], K=[[1.0, 1.0]])
    with pytest.raises(RuntimeError, match="not finite"):
        nr.port_response(lossless, nr.Drive(0.7))
    both = jax.vmap(lambda omega: nr.port_response(lossless, nr.Drive(omega), throw=False).converged[0])
    np.testing.assert_array_equal(both(jnp.array([0.7, 0.6])), [False, True])
