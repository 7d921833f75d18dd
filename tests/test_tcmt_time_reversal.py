"""Time reversal of linear coupled modes: reversed bias, the identities 5a–5f, time and bandwidth."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from cavities import passive_device, passive_leaves, real_numbers, scattering
from diffnr import tcmt
from diffnr.tcmt.hidden_ports import lossless_dilation
from diffnr.tcmt.passive import PassiveModes
from diffnr.tcmt.time_reversal import reversed_bias, time_bandwidth, time_reversal_residuals
from slow import slow_except
from systems import central_difference, random_modes

OMEGAS = np.linspace(-3.0, 3.0, 5)
# Every number of modes from 1 to 6 and of ports from 1 to 5.
SHAPES = [(1, 1), (2, 3), (3, 1), (4, 5), (5, 2), (6, 4)]

# Round-off 1e-16, times the condition of iω − A (below 1e3 for these random devices).
EXACT = {"rtol": 0.0, "atol": 1e-12}


def run_backwards(parts: dict[str, np.ndarray], omega: float) -> tuple[np.ndarray, np.ndarray]:
    """For a lossless device: the waves that go in, and that come out, of its reversed motion at ω, one a column.

    From the definition alone: drive each port, conjugate what comes out and what went in, and exchange the two.
    """
    Omega, D, C = parts["omega"], parts["D"], parts["C"]
    K = -C.T @ D.conj()
    S = scattering(tcmt.Matrices(Omega, D.conj().T @ D / 2, C, D, K), omega)[0]
    return S.conj(), np.eye(len(C))


@pytest.mark.parametrize(("modes", "ports"), slow_except(SHAPES, 0, 1, 3))
def test_identities_hold_for_lossless_devices(modes: int, ports: int) -> None:
    @jax.jit
    @jax.vmap
    def solve(parts: dict[str, Array]) -> tuple:
        device = tcmt.CoupledModes(**parts, lossless=True)
        reverse = reversed_bias(device)
        return (
            time_reversal_residuals(device),
            time_reversal_residuals(device, reverse),
            reverse.matrices(),
            reversed_bias(reverse).matrices(),
            device.matrices(),
        )

    parts = random_modes(7, modes, ports, 8)
    backwards, between, reverse, twice, once = solve(parts)
    for residual in (*backwards, *between):
        # Relative round-off, times the condition of C (1) and the number of terms.
        np.testing.assert_allclose(residual, 0.0, atol=1e-13)
    for there_and_back, before in zip(twice, once, strict=True):
        np.testing.assert_allclose(there_and_back, before, **EXACT)
    for n in range(8):
        one = {name: part[n] for name, part in parts.items()}
        reversed_n = tcmt.Matrices(*(part[n] for part in reverse))
        for omega in OMEGAS:
            incoming, outgoing = run_backwards(one, omega)
            S = scattering(reversed_n, omega)[0]
            np.testing.assert_allclose(S @ incoming, outgoing, **EXACT)
            np.testing.assert_allclose(S.conj().T @ S, np.eye(ports), **EXACT)


@pytest.mark.parametrize(
    ("modes", "ports", "hidden"),
    slow_except([(1, 1, 1), (2, 3, 1), (3, 2, 5), (6, 5, 2), (4, 1, 3), (2, 4, 6)], 1, 5),
)
def test_reversed_bias_scatters_the_transpose_and_stays_passive(modes: int, ports: int, hidden: int) -> None:
    @jax.jit
    @jax.vmap
    def solve(parts: dict[str, Array]) -> tuple:
        device = passive_device(**parts)
        reverse = reversed_bias(device)
        return (
            tcmt.passivity_margin(reverse),
            reversed_bias(reverse).matrices(),
            reverse.matrices(),
            device.matrices(),
        )

    margin, twice, reverse, once = solve(passive_leaves(3, modes, ports, hidden, 16))
    S, reversed_S = (
        np.stack([scattering(tcmt.Matrices(*(part[n] for part in m)), OMEGAS) for n in range(16)])
        for m in (once, reverse)
    )
    np.testing.assert_allclose(reversed_S, S.swapaxes(-1, -2), **EXACT)
    assert jnp.min(margin) > -1e-12  # round-off of P, whose entries are of order 10
    for there_and_back, before in zip(twice, once, strict=True):
        np.testing.assert_allclose(there_and_back, before, **EXACT)
    if ports > 1:
        assert np.max(np.abs(S - S.swapaxes(-1, -2))) > 0.1  # not reciprocal


def test_reversed_devices_are_accepted_outside_of_transformations_and_keep_their_kind() -> None:
    lossless = reversed_bias(tcmt.CoupledModes(**random_modes(0, 3, 2), lossless=True))
    assert lossless.lossless
    assert not lossless.active
    for seed in range(10):
        # Without absorption, and unmarked: γ̃_i is round-off alone, of either sign, which no model would accept.
        bare = reversed_bias(tcmt.CoupledModes(**random_modes(seed, 3, 2)))
        assert not bare.active
        assert np.all(bare.gamma_i == 0)
        assert not reversed_bias(passive_device(**passive_leaves(seed, 3, 2, 1))).active
    gain = tcmt.CoupledModes([0.0], [[1.0]], gamma_i=[-0.2], active=True)
    assert reversed_bias(gain).active
    pumped = tcmt.CoupledModes([0.0], [[1.0]], K=[[3.0]])  # not said to be active, but it is: Γ − ½|k|² = ½ − 4½
    np.testing.assert_allclose(scattering(reversed_bias(pumped), 0.3), scattering(pumped, 0.3), rtol=1e-14)
    assert reversed_bias(pumped).active


def test_linear_laws_are_folded_in() -> None:
    def pair(gamma_k: float) -> tcmt.TwoResonators:
        law = tcmt.IdealNonreciprocalCoupling(gamma_k, mode=1, sensed=0)
        return tcmt.TwoResonators((0.3, -0.2), (0.9, 0.5), (0.4, 0.6), 1.3, terms=law)

    for gamma_k, active in ((0.8, False), (1.5, True)):  # passive by itself up to 2√(γ_10 γ_20) = .98
        device = pair(gamma_k)
        reverse = reversed_bias(device)
        S = nr.scattering(device, OMEGAS)
        np.testing.assert_allclose(scattering(reverse, OMEGAS), S.mT, rtol=1e-13)  # round-off
        assert jnp.max(jnp.abs(S - S.mT)) > 0.1
        assert reverse.active == active


def test_residuals_show_what_breaks_each_identity() -> None:
    parts = random_modes(2, 2, 2)
    C, D = parts["C"], parts["D"]
    K = -C.T @ D.conj()
    ok = time_reversal_residuals(tcmt.CoupledModes(**parts))

    doubled = time_reversal_residuals(tcmt.CoupledModes(**parts, K=2 * K, active=True))
    np.testing.assert_allclose(doubled.conservation, 0.5, rtol=1e-13)  # ‖2K − K‖/‖2K‖, round-off
    np.testing.assert_allclose(doubled.balance, 0.75, rtol=1e-13)
    np.testing.assert_allclose(doubled.outcoupling, 0.5, rtol=1e-13)  # the motion gives D̃ = −C*⁻¹D* whatever K is
    assert doubled.direct < 1e-14 < ok.direct + 1e-13

    rows = time_reversal_residuals(tcmt.CoupledModes(**parts, K=K[::-1]))
    assert rows.conservation > 0.1
    assert rows.balance < 1e-14  # ‖k‖ is right, only (5e) is not
    thin = time_reversal_residuals(tcmt.CoupledModes(parts["omega"], D, C / 2))
    np.testing.assert_allclose(thin.direct, 0.75, rtol=1e-13)  # C*⁻¹ = 2Cᵀ against Cᵀ/2
    absorbing = time_reversal_residuals(tcmt.CoupledModes(**parts, gamma_i=[0.5, 0.2]))
    assert absorbing.decay > 0.05
    for name in set(absorbing._fields) - {"decay"}:
        assert getattr(absorbing, name) < 1e-13
    one_way = time_reversal_residuals(PassiveModes([0.0], [[0.0], [1.0]], [[0.0], [1.0]], hidden=1))
    assert np.isinf(one_way.direct)
    assert one_way.balance == one_way.conservation == 1.0


def test_residuals_compare_two_devices() -> None:
    device = passive_device(**passive_leaves(4, 3, 2, 2))
    fitted = reversed_bias(device)
    good = time_reversal_residuals(device, fitted)
    assert max(good.direct, good.outcoupling, good.incoupling, good.decay, good.frequency) < 1e-14  # the same numbers
    assert min(good.radiation, good.conservation, good.balance) > 0.05  # absorption is coherent here
    same = time_reversal_residuals(device, device)
    assert min(same.direct, same.outcoupling, same.incoupling, same.frequency) > 0.1  # bias not reversed

    # A carrier must not hide a detuning: 1 % of the linewidths' and splittings' size on 1e6 of them.
    m = fitted.matrices()
    carrier = 1e6 * np.eye(3)
    spread = max(
        np.linalg.norm(m.omega - np.trace(m.omega) / 3 * np.eye(3)), np.linalg.norm(m.gamma)
    )  # as in the docstring
    shifted = tcmt.CoupledModes(m.omega + carrier + 0.01 * spread / 3**0.5 * np.eye(3), m.D, m.C, m.K, fitted.gamma_i)
    packed = device.omega + carrier
    moved = time_reversal_residuals(nr.replace(device, {"omega": packed}), shifted)
    np.testing.assert_allclose(moved.frequency, 0.01, rtol=1e-7)  # the digits that 1e6 leaves

    whole = lossless_dilation(device)
    for residual in time_reversal_residuals(whole):
        np.testing.assert_allclose(residual, 0.0, atol=1e-13)  # seen whole, it is lossless: round-off


def test_residuals_depend_on_the_gauge_as_documented() -> None:
    parts = random_modes(5, 2, 3)
    K = -parts["C"].T @ parts["D"].conj() + 0.3
    T = np.linalg.qr(random_modes(6, 2, 2)["omega"])[0]
    device = tcmt.CoupledModes(**parts, K=K, active=True)
    renamed = tcmt.CoupledModes(T.conj().T @ parts["omega"] @ T, parts["D"] @ T, parts["C"], K @ T.conj(), active=True)
    np.testing.assert_allclose(scattering(renamed, OMEGAS), scattering(device, OMEGAS), rtol=1e-11)
    for before, after in zip(time_reversal_residuals(device), time_reversal_residuals(renamed), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-13)
    crossed = time_reversal_residuals(device, reversed_bias(renamed))
    assert crossed.direct < 1e-14
    assert crossed.outcoupling > 0.1  # another gauge is another D̃


# Time and bandwidth --------------------------------------------------------------------------------------------------


def one_way_cavity(k: complex = 1.3, extra: float = 0.0) -> PassiveModes:
    """d = 0 and C = 0: all that comes in goes on into the wedge, and so does what the cavity loses."""
    return PassiveModes([0.7], [[0.0], [-np.conj(k)], [extra]], [[0.0], [1.0], [0.0]], hidden=2)


SINGLE = {
    "lossless": tcmt.CoupledModes([0.7], [[1.3 + 0.2j]], lossless=True),
    "absorbing": tcmt.CoupledModes([0.7], [[0.9], [0.3j]], gamma_i=[0.4]),
    "one-way guide": one_way_cavity(),
    "one-way guide, reversed": reversed_bias(one_way_cavity(extra=0.5)),  # k = 0: no port reaches the cavity
    "hidden ports": passive_device(**passive_leaves(8, 1, 2, 2)),
    "optical carrier": tcmt.CoupledModes([2e15], [[1.5e4]], gamma_i=[3e7]),
    "k by hand": tcmt.CoupledModes([0.7], [[0.1]], K=[[2.0]], gamma_i=[0.2]),
}


@pytest.mark.parametrize("name", SINGLE)
def test_time_bandwidth_product_of_one_mode_is_two(name: str) -> None:
    device = SINGLE[name]
    measured = time_bandwidth(device)
    gamma = float(device.matrices().gamma[0, 0].real)
    # A few operations, of which 1/|a|² at ω₀ ± γ and its parabola are the worst.
    np.testing.assert_allclose(measured.product, [2.0], rtol=1e-13)
    np.testing.assert_allclose(measured.lifetime, [1 / gamma], rtol=1e-13)
    np.testing.assert_allclose(measured.omega, device.matrices().omega[0].real, rtol=1e-14)


@pytest.mark.parametrize("name", ["one-way guide", "hidden ports", "absorbing"])
def test_stored_energy_is_halved_at_the_measured_bandwidth_and_falls_in_the_lifetime(name: str) -> None:
    device = SINGLE[name]
    measured = time_bandwidth(device)
    [centre], [width], [lifetime] = measured.omega, measured.bandwidth, measured.lifetime
    s_plus = jnp.zeros(device.num_ports).at[0].set(0.3)
    energy = [
        jnp.abs(tcmt.steady_state(device, centre + x * width, s_plus).a[0]) ** 2 for x in (-0.5, -0.01, 0, 0.01, 0.5)
    ]
    np.testing.assert_allclose([energy[0], energy[4]], energy[2] / 2, rtol=1e-12)  # round-off
    assert energy[2] > max(energy[1], energy[3])
    omega, gamma, *_ = device.matrices()
    left = abs(np.exp((1j * omega - gamma)[0, 0] * lifetime))
    np.testing.assert_allclose(left, np.exp(-1), rtol=1e-12)


def test_time_bandwidth_of_several_modes() -> None:
    @jax.jit
    @jax.vmap
    def solve(parts: dict[str, Array]) -> tuple:
        measured = time_bandwidth(passive_device(**parts))
        return measured, measured.product, passive_device(**parts).matrices()

    measured, product, matrices = solve(passive_leaves(11, 4, 2, 2, 16))
    assert product.shape == (16, 4)
    # Round-off times the square of the eigenvectors' condition number, which stays below 30 here.
    np.testing.assert_allclose(product, 2.0, rtol=1e-11)
    for n in range(16):
        poles = np.linalg.eigvals(1j * matrices.omega[n] - matrices.gamma[n])
        poles = poles[np.argsort(poles.imag)]
        np.testing.assert_allclose(measured.omega[n], poles.imag, atol=1e-12)
        np.testing.assert_allclose(measured.lifetime[n], -1 / poles.real, rtol=1e-10)


def test_time_bandwidth_at_an_optical_carrier_with_dark_and_growing_modes() -> None:
    # Two modes beat against one port: the odd one is dark (closed form: γ± = 2·½|d|², 0, and absorption γ_0).
    dark = time_bandwidth(tcmt.CoupledModes([2e15, 2e15], [[1e4, 1e4]], gamma_i=[1e6, 1e6]))
    np.testing.assert_allclose(np.sort(dark.lifetime), [1 / 1.01e8, 1e-6], rtol=1e-12)
    np.testing.assert_allclose(dark.product, 2.0, rtol=1e-12)
    growing = time_bandwidth(tcmt.CoupledModes([0.0, 1.0], np.diag([1.0, 0.0]), gamma_i=[0.0, -0.1], active=True))
    np.testing.assert_allclose(growing.product, [2.0, np.nan], rtol=1e-13)


# Derivatives, and what is refused ------------------------------------------------------------------------------------


def through_reversed_bias(model: PassiveModes) -> Array:
    return real_numbers(reversed_bias(model).matrices())


def through_residuals(model: PassiveModes) -> Array:
    return jnp.stack(time_reversal_residuals(model))


def through_time_bandwidth(model: PassiveModes) -> Array:
    measured = time_bandwidth(model)
    return jnp.concatenate([*measured, measured.product])


@pytest.mark.slow
@pytest.mark.parametrize("function", [through_reversed_bias, through_residuals, through_time_bandwidth])
def test_gradients_match_central_differences(function: Callable[[PassiveModes], Array]) -> None:
    start, direction = passive_leaves(12, 2, 2, 2), passive_leaves(13, 2, 2, 2)

    @eqx.filter_jit
    def along(x: Array) -> Array:
        values = function(passive_device(**{name: start[name] + x * direction[name] for name in start}))
        return values @ np.random.default_rng(0).normal(size=values.size)  # every value, with a weight of its own

    slope = jax.grad(along)(0.0)
    # Richardson at steps of 1e-3: truncation 1e-18 of an analytic function, and round-off 1e-15/1e-3.
    np.testing.assert_allclose(central_difference(along, 0.0, 1e-3), slope, rtol=1e-8, atol=1e-9)
    assert abs(slope) > 0.01


def test_eager_is_jitted() -> None:
    device = passive_device(**passive_leaves(14, 2, 2, 1))
    for eager, jitted in zip(
        reversed_bias(device).matrices(), jax.jit(lambda m: reversed_bias(m).matrices())(device), strict=True
    ):
        np.testing.assert_allclose(eager, jitted, rtol=1e-13)  # round-off


@pytest.mark.parametrize("function", [reversed_bias, time_reversal_residuals, time_bandwidth])
def test_nonlinear_models_are_refused(function: Callable) -> None:
    device = tcmt.TwoResonators((0.0, 0.0), (1.0, 1.0), (0.1, 0.1), 1.0, tcmt.NonlocalLoss(0.5, 1, 0))
    with pytest.raises(
        ValueError, match=r"^Argument model must be linear, since .* time runs .* one with NonlocalLoss\.$"
    ):
        function(device)


def test_reversed_devices_of_another_size_are_refused() -> None:
    device = tcmt.CoupledModes(**random_modes(0, 2, 2))
    with pytest.raises(
        ValueError, match=r"^Argument reversed_model must have 2 ports and 2 modes like model, but was of 3 and 2"
    ):
        time_reversal_residuals(device, tcmt.CoupledModes(**random_modes(0, 2, 3)))
