"""The circulators of the example are what its text says."""

import functools
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy.optimize import minimize

from diffnr import scattering, tcmt
from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)

pytestmark = pytest.mark.slow  # their runs compile for a quarter of a minute

ROUND = ([1, 2, 0], [0, 1, 2])  # out, into: what passes when the wave goes 0 → 1 → 2 → 0
BACK = ROUND[::-1]


@pytest.fixture(scope="module", autouse=True)
def one_pair_of_circulators() -> Iterator[None]:
    """Two designs take seconds to compile: the figure and its tests share them."""
    module = example("circulator")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "compute", functools.cache(module.compute))
        yield


@pytest.fixture(scope="module")
def circulators():
    return example("circulator").compute(True)  # as `main` calls it, or the cache would not know it again


def decibels(s: np.ndarray) -> np.ndarray:
    return 20 * np.log10(np.abs(s))


def passed_on(s: Array) -> np.ndarray:
    """S†S, the power that leaves as a form in the incoming waves."""
    matrix = np.asarray(s)
    return matrix.conj().swapaxes(-1, -2) @ matrix


def test_circulator_starts_reciprocal(circulators) -> None:
    start = np.asarray(circulators.scattering[0])
    np.testing.assert_allclose(start, start.swapaxes(1, 2), atol=1e-14)  # round-off of entries below 1
    omega = example("circulator").START.matrices().omega
    assert not np.any(omega.imag)
    np.testing.assert_array_equal(circulators.path[0], omega)


def test_circulators_conserve_power(circulators) -> None:
    # Round-off of three modes that are well conditioned.
    np.testing.assert_allclose(passed_on(circulators.scattering), np.eye(3) + 0 * circulators.scattering, atol=1e-12)
    for model in (circulators.tuned, circulators.broad):
        assert model.lossless
        assert tcmt.passivity_margin(model) >= -1e-12
    assert np.all(np.linalg.eigvalsh(passed_on(circulators.absorbing)) < 1)


def test_circulator_goes_round_one_way(circulators) -> None:
    cyclic = np.zeros((3, 3))
    cyclic[ROUND] = 1
    tuned, broad = (np.abs(scattering(model, jnp.zeros(1))[0]) for model in (circulators.tuned, circulators.broad))
    # The optimiser stopped at a gradient of 1e-8 with curvatures of order 1; what leaks is linear in what is left.
    np.testing.assert_allclose(tuned, cyclic, atol=1e-7)
    np.testing.assert_allclose(broad, cyclic, atol=10 ** (-29.3 / 20))  # the level that the text gives
    np.testing.assert_allclose(1 - tuned[ROUND] ** 2, 0, atol=1e-12)  # quadratic in what leaks: no insertion loss


def test_circulator_arrives_at_the_closed_form(circulators) -> None:
    module = example("circulator")
    omega, D = module.at_ports(circulators.tuned)
    np.testing.assert_allclose(np.abs(omega), 1 - np.eye(3), atol=1e-7)  # the same gradient of 1e-8
    np.testing.assert_allclose(D, 2**0.5 * np.eye(3), atol=1e-14)
    assert module.flux(omega) == pytest.approx(-np.pi / 2, abs=1e-7)
    assert module.flux(circulators.path[-1]) == pytest.approx(-np.pi / 2, abs=1e-7)


@pytest.mark.parametrize("gamma", [(1.0, 1.0, 1.0), (0.3, 1.0, 2.2)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_flux_alone_decides_which_way_the_ring_goes(gamma: tuple[float, ...], sign: int) -> None:
    """|κ_ij| = √(γ_i γ_j) and arg Ω01 Ω12 Ω20 = −π/2 make a circulator 0 → 1 → 2 → 0, whatever the single phases."""
    phases = np.array([0.3, -1.9, sign * np.pi / 2 + 1.6])
    omega = np.zeros((3, 3), complex)
    omega[BACK] = np.sqrt(np.multiply(*np.array(gamma)[list(ROUND)])) * np.exp(1j * phases)
    model = tcmt.PassiveModes(omega + omega.conj().T, np.diag(np.sqrt(2 * np.array(gamma))))
    assert example("circulator").flux(model.matrices().omega) == pytest.approx(sign * np.pi / 2, abs=1e-14)
    cyclic = np.zeros((3, 3))
    cyclic[ROUND if sign < 0 else BACK] = 1
    np.testing.assert_allclose(np.abs(scattering(model, jnp.zeros(1))[0]), cyclic, atol=1e-14)  # round-off


def test_circulator_over_detuning_and_absorption(circulators) -> None:
    data = circulators
    for s, complex_detuning in (
        (data.scattering[1], 1j * np.asarray(data.detuning)),
        (data.absorbing[0], np.asarray(data.absorption)),
    ):
        g = 1 + complex_detuning[:, None]
        common = g * (g**2 + 3)
        expected = 2 * (g + 1) / common, 2 * (g - 1) / common, (g - 1) * (g**2 - g + 2) / common
        for entries, value in zip((ROUND, BACK, ([0, 1, 2], [0, 1, 2])), expected, strict=True):
            found = np.abs(np.asarray(s)[:, entries[0], entries[1]])
            np.testing.assert_allclose(found, np.abs(value) + 0 * found, atol=1e-7)  # as on resonance


def symmetric_leak(parameters: np.ndarray, detuning: np.ndarray) -> float:
    """The worst leak in dB of three modes m = 0, ±1 that go round as e^{2πim/3}, of mean rate 1: S has a phase each."""
    rate, splitting = parameters
    rates, frequencies = np.array([3 - 2 * rate, rate, rate]), np.array([0, splitting, -splitting])
    phases = -1 + 2 * rates / (rates + 1j * (detuning[:, None] - frequencies))
    kinds = np.abs(phases @ np.exp(2j * np.pi / 3 * np.outer([0, 1, -1], [0, 1, -1]))) / 3
    return decibels(np.sort(kinds, axis=1)[:, :2]).max()


def test_broad_circulator_is_the_best_of_the_symmetric_ones(circulators) -> None:
    module = example("circulator")
    detuning = np.linspace(-module.BAND, module.BAND, 401)
    assert module.mean_rate(circulators.broad) == pytest.approx(1.0, rel=1e-14)
    best = minimize(symmetric_leak, [0.5, 0.9], (detuning,), method="Nelder-Mead", options={"xatol": 1e-6})
    worst = decibels(np.sqrt(module.powers(circulators.broad, jnp.asarray(detuning), module.LEAKS))).max(axis=0)
    # The smooth maximum, .1 dB wide, rounds off three ripples that are equal to some hundredths of a dB.
    np.testing.assert_allclose(worst, best.fun, atol=0.05)
    rates = np.linalg.eigvalsh(circulators.broad.matrices().gamma)
    # At the optimum of a worst case levels are linear in parameters, here by tens of dB each: .05 dB of them.
    np.testing.assert_allclose(rates, [best.x[0], best.x[0], 3 - 2 * best.x[0]], atol=5e-3)


def test_modes_named_by_ports_scatter_alike(circulators) -> None:
    omega, D = map(np.asarray, example("circulator").at_ports(circulators.broad))
    np.testing.assert_allclose(D, D.conj().T, atol=1e-14)
    assert np.all(np.linalg.eigvalsh(D) > 0)
    s = -np.eye(3) + D @ np.linalg.solve(0.3j * np.eye(3) - 1j * omega + D @ D / 2, D)
    np.testing.assert_allclose(s, scattering(circulators.broad, jnp.array([0.3]))[0], atol=1e-13)  # round-off


def test_circulators_have_the_numbers_of_the_text(circulators) -> None:
    module = example("circulator")
    edge = np.asarray(scattering(circulators.tuned, jnp.array([-0.4, 0.4])))
    np.testing.assert_allclose(decibels(edge[:, 1, 0] / edge[:, 0, 1]), 14.1, atol=0.05)
    band = np.asarray(scattering(circulators.broad, jnp.linspace(-0.4, 0.4, 401)))
    assert decibels(band[:, *ROUND] / band[:, *BACK]).min() > 29.3
    assert decibels(band[:, [0, 1, 2], [0, 1, 2]]).max() < -29.3
    omega, D = module.at_ports(circulators.broad)
    np.testing.assert_allclose(np.abs(D[0]) ** 2 / 2, [0.91, 0.05, 0.05], atol=5e-3)
    np.testing.assert_allclose(np.abs(omega), 0.58 * (1 - np.eye(3)), atol=5e-3)
    assert module.flux(omega) == pytest.approx(-np.pi / 2, abs=1e-6)
    np.testing.assert_allclose(np.linalg.eigvalsh(D) ** 2 / 2, [0.54, 0.54, 1.91], atol=5e-3)
    tenth = np.asarray(circulators.absorbing[:, 4])
    assert circulators.absorption[4] == pytest.approx(0.1, rel=1e-14)
    np.testing.assert_allclose(-decibels(tenth[:, 1, 0]), [0.85, 0.79], atol=5e-3)
    np.testing.assert_allclose(decibels(tenth[:, 1, 0] / tenth[:, 0, 1]), [26.4, 30.3], atol=0.05)
