"""Coupled-mode coefficients from scattering data: recovery, errors, verdicts, measured files."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

import diffnr as nr
from diffnr import tcmt
from diffnr.data import FieldData
from diffnr.touchstone import read_touchstone
from optimize.mode_fit.fit_modes import fit_modes
from optimize.mode_fit.response import ActiveResponse
from optimize.mode_fit.result import judge_residual
from optimize.mode_fit.vector_fitting import Weights, vector_fit

MEASURED = Path(__file__).parent / "data" / "measured"


def hidden_port_device(modes: int, ports: int, hidden: int, seed: int) -> tuple[tcmt.CoupledModes, int]:
    """A lossless nonreciprocal device with more ports than are seen: passive, and nothing of the fit's own form."""
    rng = np.random.default_rng(seed)
    total = ports + hidden
    X = rng.normal(size=(total, total)) + 1j * rng.normal(size=(total, total))
    C = expm(0.4 * (X - X.conj().T)) @ -np.eye(total)
    D = 0.3 * (rng.normal(size=(total, modes)) + 1j * rng.normal(size=(total, modes)))
    H = 0.05 * (rng.normal(size=(modes, modes)) + 1j * rng.normal(size=(modes, modes)))
    omega = np.diag(np.linspace(-1, 1, modes) if modes > 1 else [0.1]) + H + H.conj().T
    return tcmt.CoupledModes(omega=10.0 * np.eye(modes) + omega, D=D, C=C, lossless=True), ports


def seen(device: tuple[tcmt.CoupledModes, int], omega: jax.Array) -> np.ndarray:
    model, ports = device
    return np.asarray(nr.scattering(model, omega))[:, :ports, :ports]


def true_coefficients(device: tuple[tcmt.CoupledModes, int]) -> dict[str, np.ndarray]:
    model, ports = device
    omega, gamma, C, D, K = (np.asarray(part) for part in model.matrices())
    poles, right = np.linalg.eig(1j * omega - gamma)
    order = np.argsort(poles.imag)
    poles, right = poles[order], right[:, order]
    d, k = D @ right, np.linalg.solve(right, K.T)
    residues = np.einsum("on,ni->noi", d, k)[:, :ports, :ports]
    return {"omega": poles.imag, "gamma": -poles.real, "residues": residues, "C": C[:ports, :ports]}


def noisy(s: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return s + sigma * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))


def z_scores(fit, truth: dict[str, np.ndarray]) -> np.ndarray:
    scores = []
    for name, value in truth.items():
        difference, error = np.asarray(getattr(fit.coefficients, name)) - value, np.asarray(getattr(fit.stderr, name))
        pairs = (
            ((difference.real, error.real), (difference.imag, error.imag))
            if np.iscomplexobj(value)
            else ((difference, error),)
        )
        scores += [(a / b).ravel() for a, b in pairs]
    return np.concatenate(scores)


OMEGA3 = jnp.linspace(8.0, 12.0, 201)


@pytest.mark.slow
def test_three_modes_three_ports_recovers_every_identifiable_number():
    device = hidden_port_device(3, 3, 3, seed=0)
    data = FieldData(OMEGA3, noisy(seen(device, OMEGA3), 1e-3, seed=0), sigma=1e-3)
    fit = fit_modes(data, modes=3)
    z = z_scores(fit, true_coefficients(device))
    assert z.size == 2 * 3 + 2 * 27 + 2 * 9
    assert np.all(np.abs(z) < 3)  # the acceptance criterion
    # 2M² + 4MN real numbers are identifiable: C, poles and rank-one residues.
    assert fit.rank == 2 * 9 + 4 * 9
    assert fit.verdict.noise_like
    assert fit.verdict.errors == "as computed"
    assert not fit.reciprocity.reciprocal
    assert fit.passivity.passive
    # Passive, and the model, the fit and the data agree. Round-off of an eigenvalue of size 1.
    assert float(tcmt.passivity_margin(fit.model)) > -1e-12
    np.testing.assert_allclose(nr.scattering(fit.model, OMEGA3), fit.predict(OMEGA3), atol=1e-11)
    report = fit.report()
    for name in ("omega[0]", "gamma[2]", "Re residues[1,2,0]", "Im C[2,1]", "NOT reciprocal", "are passive"):
        assert name in report


@pytest.mark.slow
def test_standard_errors_and_coverage_agree_with_monte_carlo():
    """1,200 repetitions of a one-mode two-port fit."""
    device = hidden_port_device(1, 2, 2, seed=3)
    omega = jnp.linspace(9.0, 11.0, 61)
    clean, sigma, trials = seen(device, omega), 5e-3, 1200
    fits = [
        fit_modes(FieldData(omega, noisy(clean, sigma, seed), sigma=sigma), 1, passive=False) for seed in range(trials)
    ]
    values, errors = (np.array([getattr(fit, name).flatten() for fit in fits]) for name in ("coefficients", "stderr"))
    assert all(bool(fit.converged) for fit in fits)
    truth = np.asarray(fit_modes(FieldData(omega, clean, sigma=sigma), 1, passive=False).coefficients.flatten())
    # 10 % is the criterion; the sampling error of a standard deviation from 1,200 trials is 1/√2400 = 2 %.
    np.testing.assert_allclose(np.median(errors, axis=0), np.std(values, axis=0, ddof=1), rtol=0.10)
    covered = np.mean(np.abs(values - truth) < 1.959964 * errors, axis=0)
    # 92–98 % is the criterion; the sampling error is √(.95·.05/1200) = 0.6 %.
    assert np.all((covered > 0.92) & (covered < 0.98)), covered


@pytest.mark.slow
def test_one_line_is_covered_as_often_as_its_errors_say():
    """A cheap case of the next two: forty fits of one mode at one port, of six numbers each."""
    device = hidden_port_device(1, 1, 1, seed=5)
    omega = jnp.linspace(9.0, 11.0, 41)
    clean, truth = seen(device, omega), true_coefficients(device)
    scores = np.stack(
        [z_scores(fit_modes(FieldData(omega, noisy(clean, 2e-3, seed), sigma=2e-3), 1), truth) for seed in range(40)]
    )
    # Of 240 normal numbers 12 lie beyond 1.96, give or take 3.4 were they independent; they are drawn once.
    assert 2 <= np.sum(np.abs(scores) > 1.959964) <= 24
    # The standard deviation of as many has an error of 1/√480 = 4.6 %: three and a half of them.
    assert np.std(scores) == pytest.approx(1.0, abs=0.16)


@pytest.mark.slow
def test_the_public_fit_covers_the_truth_as_often_as_it_says():
    device = hidden_port_device(2, 1, 1, seed=5)
    omega = jnp.linspace(8.0, 12.0, 101)
    clean, truth = seen(device, omega), true_coefficients(device)
    scores = np.stack(
        [z_scores(fit_modes(FieldData(omega, noisy(clean, 2e-3, seed), sigma=2e-3), 2), truth) for seed in range(1000)]
    )
    covered = np.mean(np.abs(scores) < 1.959964, axis=0)
    assert np.all((covered > 0.92) & (covered < 0.98)), covered
    # The scores' own standard deviation is 1 within 10 %: the criterion again.
    np.testing.assert_allclose(np.std(scores, axis=0), 1.0, atol=0.10)


def test_unknown_noise_is_found_from_the_data():
    device = hidden_port_device(1, 2, 2, seed=3)
    omega = jnp.linspace(9.0, 11.0, 201)
    s = noisy(seen(device, omega), 2e-3, seed=1)
    known, unknown = fit_modes(FieldData(omega, s, sigma=2e-3), 1), fit_modes(FieldData(omega, s), 1)
    assert unknown.verdict.noise_like
    # 402 numbers an entry give its σ to 1/√804 = 3.5 %; three of those.
    np.testing.assert_allclose(unknown.stderr.gamma, known.stderr.gamma, rtol=0.11)
    assert abs(float(unknown.coefficients.gamma[0] - known.coefficients.gamma[0])) < 0.2 * float(known.stderr.gamma[0])


@pytest.mark.slow
def test_stored_energy_identifies_the_scale_of_d_and_k():
    device = hidden_port_device(1, 2, 1, seed=8)
    model, ports = device
    omega, gamma, _, D, K = (np.asarray(part) for part in model.matrices())
    w = jnp.linspace(9.0, 11.0, 101)
    a = K[:ports, 0] / (1j * (np.asarray(w)[:, None] - omega[0, 0]) + gamma[0, 0])
    rng = np.random.default_rng(2)
    energy = np.abs(a) ** 2
    sigma_energy = 0.01 * energy.max()
    data = FieldData(
        w, noisy(seen(device, w), 1e-3, 2), energy=np.maximum(energy + sigma_energy * rng.normal(size=energy.shape), 0),
        sigma=1e-3, sigma_energy=sigma_energy,
    )  # fmt: skip
    fit = fit_modes(data, 1)
    for fitted, error, true in (
        (fit.coefficients.outcoupling, fit.stderr.outcoupling, np.abs(D[:ports]) ** 2),
        (fit.coefficients.incoupling, fit.stderr.incoupling, np.abs(K[:ports]) ** 2),
    ):
        assert np.all(np.asarray(error) < 0.02 * np.max(true))  # energies to 1 % at 101 points
        assert np.all(np.abs(np.asarray(fitted) - true) < 4 * np.asarray(error))
    assert fit_modes(FieldData(w, data.s, sigma=1e-3), 1).coefficients.outcoupling is None


@pytest.mark.slow
def test_delay_and_background_are_recovered():
    device = hidden_port_device(1, 2, 2, seed=3)
    omega = jnp.linspace(9.0, 11.0, 201)
    x = np.asarray(omega) - 10.0
    tau = np.array([1.7, 0.4])
    phase = np.exp(-1j * x[:, None, None] * (tau[:, None] + tau))
    s = noisy(seen(device, omega) * phase, 1e-3, 4)
    fit = fit_modes(FieldData(omega, s, sigma=1e-3), 1, delay=True, background=0)
    truth = true_coefficients(device)
    assert np.all(np.abs(np.asarray(fit.coefficients.delay) - tau) < 4 * np.asarray(fit.stderr.delay))
    assert np.all(np.asarray(fit.stderr.delay) < 5e-3)  # noise of 1e-3 on a phase over x = ±1
    assert np.all(np.abs(z_scores(fit, truth)) < 4)

    # A feed whose phase is curved: to second order in x a polynomial background describes it.
    curved = s * np.exp(-0.05j * x[:, None, None] ** 2 * np.array([1.0, 0.0]))
    plain = fit_modes(FieldData(omega, curved, sigma=1e-3), 1, delay=True, background=0)
    allowed = fit_modes(FieldData(omega, curved, sigma=1e-3), 1, delay=True, background=2)
    assert not plain.verdict.noise_like
    assert allowed.verdict.noise_like
    assert abs(float(allowed.coefficients.omega[0] - truth["omega"][0])) < 4 * float(allowed.stderr.omega[0])


def test_a_lossless_device_stays_passive_on_the_boundary():
    device = hidden_port_device(2, 2, 0, seed=4)
    omega = jnp.linspace(8.0, 12.0, 201)
    fit = fit_modes(FieldData(omega, noisy(seen(device, omega), 1e-3, 1), sigma=1e-3), 2)
    singular = np.linalg.norm(np.asarray(nr.scattering(fit.model, jnp.linspace(0.0, 20.0, 2001))), 2, axis=(1, 2))
    assert np.max(singular) <= 1 + 1e-12  # by construction, to round-off
    # Half of the noise in |S| lies outside of what is passive: χ² is a little above 1, no more.
    assert fit.chi2_reduced < 1.1
    assert np.all(
        np.abs(np.asarray(fit.coefficients.omega) - true_coefficients(device)["omega"])
        < 4 * np.asarray(fit.stderr.omega)
    )


def test_gain_is_reported_and_not_forced_away():
    amplifier = tcmt.CoupledModes(
        omega=[10.0], D=[[0.6], [0.5]], K=[[1.4], [0.0]], C=[[0.2, 0.0], [0.3, 0.1]], gamma_i=[-0.05], active=True
    )
    omega = jnp.linspace(9.0, 11.0, 101)
    data = FieldData(omega, noisy(np.asarray(nr.scattering(amplifier, omega)), 1e-3, 0), sigma=1e-3)
    fit = fit_modes(data, 1)
    assert not fit.passivity.passive
    assert isinstance(fit.response, ActiveResponse)
    assert "NOT passive" in fit.report()
    assert "not constrained to be passive" in fit.report()
    assert abs(float(fit.coefficients.gamma[0]) - (0.36 + 0.25) / 2 + 0.05) < 4 * float(fit.stderr.gamma[0])
    np.testing.assert_allclose(nr.scattering(fit.model, omega), fit.predict(omega), atol=1e-11)  # round-off


@pytest.mark.slow
def test_errors_are_inflated_for_correlated_noise_and_withheld_for_a_wrong_model():
    device = hidden_port_device(2, 1, 1, seed=5)
    omega = jnp.linspace(8.0, 12.0, 401)
    clean = seen(device, omega)
    white = noisy(np.zeros((401, 1, 1)), 2e-3, 3)
    red = np.stack([white[max(0, k - 3) : k + 1].mean(axis=0) for k in range(401)]) * 2
    inflated = fit_modes(FieldData(omega, clean + red, sigma=2e-3), 2)
    assert inflated.verdict.errors == "inflated"
    assert inflated.verdict.inflation > 3
    withheld = fit_modes(FieldData(omega, clean + 1e-6 * white, sigma=1e-6), 1)
    assert withheld.verdict.errors == "withheld"
    assert bool(jnp.all(jnp.isnan(withheld.stderr.omega)))
    assert "withheld" in withheld.report()


def test_a_white_residual_is_judged_to_be_noise_in_nearly_all_cases():
    sigma = np.full((1, 1, 1), 1e-3)
    verdicts = [
        judge_residual(noisy(np.zeros((101, 2, 2)), 1e-3, s), sigma, sigma, 0, sigma_known=True) for s in range(400)
    ]
    # Two three-sigma bounds: 0.3 % false alarms expected, 2 % allowed in 400 trials.
    assert np.mean([v.noise_like for v in verdicts]) > 0.98


def test_vector_fitting_is_exact_without_noise():
    device = hidden_port_device(3, 2, 2, seed=9)
    x = np.linspace(-1, 1, 101)
    least = np.full(4, 1e-12)
    fit = vector_fit(x, seen(device, jnp.asarray(10 + 2 * x)).reshape(-1, 4), 3, 0, Weights(least, least), sweeps=20)
    truth = true_coefficients(device)
    # Linear least squares on exact data: round-off times the condition of the basis.
    np.testing.assert_allclose(2 * fit.poles.imag + 10, truth["omega"], rtol=1e-9)
    np.testing.assert_allclose(2 * fit.residues.reshape(-1, 2, 2), truth["residues"], atol=1e-9)


@pytest.fixture(scope="module")
def resonator():
    return fit_modes(read_touchstone(MEASURED / "skrf_resonator_36mm.s2p"), 2)


@pytest.mark.slow
def test_the_measured_resonator_has_both_lines_and_is_reciprocal_and_passive(resonator):
    pytest.importorskip("skrf")
    lines = np.asarray(resonator.coefficients.omega) / (2 * np.pi * 1e9)
    # The lines are read off |S21| to its grid of 10 MHz.
    np.testing.assert_allclose(lines, [1.96, 3.93], atol=0.01)
    assert resonator.reciprocity.reciprocal
    assert resonator.passivity.passive
    assert resonator.reciprocity.max_difference == pytest.approx(2.2e-4, rel=0.01)  # as stated with the data
    assert float(tcmt.passivity_margin(resonator.model)) > -1e-6 * float(np.max(np.abs(resonator.model.D)) ** 2)
    # A reciprocal device has symmetric residues, and a line of transmission is |R|/γ high. 10 % and 5 %: S11, which the
    # background describes to 1e-2 only, moves them by more than the noise does.
    residues, gamma = np.asarray(resonator.coefficients.residues), np.asarray(resonator.coefficients.gamma)
    np.testing.assert_allclose(residues[:, 0, 1], residues[:, 1, 0], rtol=0.1)
    s21 = np.abs(np.asarray(resonator.data.s)[:, 1, 0])
    peaks = [s21[:180].max(), s21[180:].max()]
    np.testing.assert_allclose(np.abs(residues[:, 1, 0]) / gamma, peaks, rtol=0.05)
    # Transmission, whose lines are the device, is described to near its noise of 2e-5.
    assert np.sqrt(np.mean(np.abs(np.asarray(resonator.residual)[:, 1, 0]) ** 2)) < 1e-4


@pytest.mark.slow
def test_the_measured_transmitter_is_flagged_and_not_forced():
    pytest.importorskip("skrf")
    fit = fit_modes(read_touchstone(MEASURED / "skrf_190ghz_tx_measured.S2P"), 3)
    assert not fit.reciprocity.reciprocal
    assert fit.reciprocity.median_db == pytest.approx(47, abs=0.5)
    assert not fit.passivity.passive
    assert fit.passivity.largest == pytest.approx(1.43, abs=0.005)
    assert isinstance(fit.response, ActiveResponse)
    # The gain stays in the fit: it is not forced below 1.
    assert np.max(np.linalg.norm(np.asarray(fit.predict(fit.data.omega)), 2, axis=(1, 2))) > 1.3
    assert "NOT reciprocal" in fit.report()
    assert "NOT passive" in fit.report()


@pytest.mark.parametrize(
    ("points", "arguments", "sentence"),
    [
        (4, {"modes": 3}, "Argument data must have more points for one mode"),
        (6, {"modes": 3}, "Argument modes must be at most 1, which 6 points carry"),
        (400, {"modes": 99}, "Argument modes must be at most 20, since"),
        (50, {"modes": "many"}, "Argument modes must be a whole number of at least 1"),
        (50, {"modes": 0}, "Argument modes must be a whole number of at least 1"),
        (50, {"modes": 1, "background": -1}, "Argument background must be a whole number of at least 0"),
    ],
)
def test_bad_input_is_one_clear_sentence(points, arguments, sentence):
    omega = jnp.linspace(9.0, 11.0, points)
    with pytest.raises(ValueError, match=sentence):
        fit_modes(FieldData(omega, np.full(points, 0.5 + 0j)), **arguments)
