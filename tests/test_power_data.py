"""Powers without phase: what they hold, their files, and the resonances that they show."""

from pathlib import Path

import numpy as np
import pytest

import diffnr as nr
import optimize as op
from diffnr import tcmt
from diffnr.data import FieldData, PowerData
from slow import slow_except

CENTRE = 2 * np.pi * 193.4e12
GAMMA = CENTRE / 2 * (1 / 3e5 + 1 / 2e5)
OMEGA = 2 * np.pi * np.linspace(193.4e12 - 8e9, 193.4e12 + 8e9, 401)
X = np.linspace(-1, 1, 301)


def ring(noise: float, seed: int = 0) -> PowerData:
    """|S|² of a resonator beside a line, which takes more than it loses."""
    s = 1 - CENTRE / 2e5 / (1j * (OMEGA - CENTRE) + GAMMA)
    power = np.abs(s) ** 2 + noise * np.random.default_rng(seed).normal(size=OMEGA.size)
    return PowerData(OMEGA, power, sigma=noise or None)


@pytest.mark.parametrize("noise", [1e-3, 0.0])
def test_f0_width_and_q_of_a_power_spectrum(noise: float) -> None:
    fit = op.fit_modes(ring(noise), 1)
    assert isinstance(fit, op.PowerFit)
    tolerance = 1e-9  # round-off of ω, which is 5e4 widths
    assert abs(float(fit.coefficients.gamma[0]) - GAMMA) < 5 * float(fit.stderr.gamma[0]) + tolerance * GAMMA * 1e3
    assert abs(float(fit.coefficients.omega[0]) - CENTRE) < 5 * float(fit.stderr.omega[0]) + tolerance * CENTRE
    assert float(fit.stderr.gamma[0]) < 0.01 * GAMMA
    # The dip is 1 − |1 − κ/γ|² deep, κ/γ = 2 · 3/5.
    height = 2 * float(fit.coefficients.residues[0, 0, 0].real) / GAMMA
    assert height == pytest.approx((1 - 1.2) ** 2 - 1, abs=5e-3 if noise else 1e-6)
    assert float(fit.resonances[0].q_loaded) == pytest.approx(1.2e5, rel=0.01)
    report = fit.report()
    assert "Without phase are not identified: delays" in report
    assert "Q_loaded" in report


def test_errors_of_powers_cover_the_truth() -> None:
    scores = []
    for seed in range(60):
        fit = op.fit_modes(ring(5e-3, seed), 1)
        off = [fit.coefficients.gamma[0] - GAMMA, fit.coefficients.omega[0] - CENTRE]
        scores.append(np.array(off) / [fit.stderr.gamma[0], fit.stderr.omega[0]])
    # Of 120 normal numbers 6 lie beyond 1.96, give or take 2.4: four of these.
    assert np.sum(np.abs(scores) > 1.959964) <= 15
    assert np.std(scores) == pytest.approx(1.0, abs=0.23)  # 1/√240 = 6.5 %: three and a half


def several(poles: list[complex], noise: float) -> PowerData:
    s = np.stack([0.6 + 0 * X, 0.8j + 0 * X], axis=1).astype(complex)
    for k, pole in enumerate(poles):
        s = s - pole.real * np.array([0.7, 0.9 * np.exp(1j * k)]) / (1j * X[:, None] - pole)
    power = np.full((X.size, 2, 2), np.nan)
    power[:, 1, 0], power[:, 0, 1] = np.abs(s.T) ** 2 + noise * np.random.default_rng(1).normal(size=(2, X.size))
    return PowerData(X, power, sigma=noise)


@pytest.mark.parametrize(
    "poles",
    slow_except([[-0.05 - 0.3j, -0.02 + 0.4j], [-0.04 + 0.1j], [-0.05 - 0.3j, -0.02 + 0.4j, -0.08 + 0.05j]], 0),
)
def test_the_number_of_resonances_of_powers_is_found(poles: list[complex]) -> None:
    fit = op.fit_modes(several(poles, 1e-3))
    assert fit.choice is not None
    assert fit.choice.chosen == len(poles)
    order = np.argsort(np.imag(poles))
    assert np.all(np.abs(fit.coefficients.omega - np.imag(poles)[order]) < 5 * np.asarray(fit.stderr.omega))
    assert np.all(np.abs(fit.coefficients.gamma + np.real(poles)[order]) < 5 * np.asarray(fit.stderr.gamma))
    assert np.isnan(np.asarray(fit.coefficients.residues)[:, 0, 0]).all()
    assert fit.verdict.noise_like
    np.testing.assert_allclose(fit.predict(X)[:, 1, 0], several(poles, 1e-3).power[:, 1, 0], atol=6e-3)  # six σ
    fit.plot()


def test_noise_of_powers_is_that_of_their_scatter_beside_what_is_smooth() -> None:
    data = ring(5e-3)
    unknown = PowerData(data.omega, data.power)
    # 401 points tell it to 1/√800 of differences that are correlated and of a median: 20 % is four deviations.
    assert nr.data.noise_estimate(unknown)[0, 0] == pytest.approx(5e-3, rel=0.2)
    fit = op.fit_modes(unknown, 1)
    assert fit.verdict.noise_like
    assert 0.5 < fit.verdict.chi2_reduced < 1.6
    assert "noise estimated from the data's own scatter" in fit.report()
    # A line that the model lacks is no noise.
    two = several([-0.05 - 0.3j, -0.02 + 0.4j], 1e-3)
    missed = op.fit_modes(PowerData(two.omega, two.power), 1)
    assert missed.report().startswith("INCOMPLETE: The model misses |S12|²")
    printed = PowerData(data.omega, np.round(np.asarray(ring(0.0).power), 3))
    assert nr.data.rounding_step(printed)[0, 0] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("power", "reciprocal", "passive"),
    [
        ([[0.1, 0.7], [0.7, 0.1]], None, None),  # |S| of .84 and .32: 1.15 in phase, .89 in quadrature
        ([[0.0, 0.7], [0.7, 0.0]], None, True),
        ([[0.0, 0.01], [0.8, 0.0]], False, True),
        ([[0.3, 0.01], [0.8, 0.0]], False, False),  # port 1 alone gives out 1.1
        ([[np.nan, 0.81], [0.8, np.nan]], None, True),  # within the 2 % of amplitude that count as alike
    ],
)
def test_verdicts_of_powers(power: list, reciprocal: bool | None, passive: bool | None) -> None:
    noise = 1e-4 * np.random.default_rng(0).normal(size=(X.size, 2, 2))
    data = PowerData(X, np.array(power) + noise)
    found = nr.data.reciprocity(data), nr.data.passivity(data)
    assert (found[0].reciprocal, found[1].passive) == (reciprocal, passive)
    assert found[0].noise < 1e-3
    says = {True: "reciprocal: ", False: "NOT reciprocal: ", None: "cannot be told: the rms difference of |S|²"}
    assert says[reciprocal] in found[0].message
    says = {True: "passive: ", False: "NOT passive: ", None: "by its unknown phases at most 1.1"}
    assert says[passive] in found[1].message


def test_a_trace_of_transmission_keeps_its_name() -> None:
    data = several([-0.04 + 0.1j, -0.1 + 0.5j], 1e-3)
    trace = data.entry(out=0, into=1)
    assert trace.transmission == (0, 1)
    assert nr.data.reciprocity(trace).reciprocal is None
    assert "|S12|²: symmetric part" in op.fit_modes(trace, 1).report()


def test_a_model_is_fitted_to_powers() -> None:
    rates = {"omega": (0.0, 0.0), "gamma": (3.04, 3.04), "gamma_0": (0.5, 0.5)}
    data = PowerData.of(FieldData(X, nr.scattering(tcmt.TwoResonators(**rates, kappa=3.0), X)))
    fit = op.fit(tcmt.TwoResonators(**rates, kappa=2.5), data, free="kappa")
    assert float(fit.values["kappa"]) == pytest.approx(3.0, rel=1e-6)  # the tolerance of the solver


def test_powers_without_a_resonance_are_one_sentence() -> None:
    power = 0.5 + 1e-3 * np.random.default_rng(0).normal(size=X.size)
    with pytest.raises(ValueError, match=r"^Argument data must show a resonance"):
        op.fit_modes(PowerData(X, power, sigma=1e-3))


@pytest.mark.parametrize(
    ("header", "power"),
    [
        ("S21_mag", 0.25),
        ("S21_db", 10**0.05),
        ("S21 (dB)", 10**0.05),
        ("S21_power", 0.5),
        ("T", 0.5),
        ("T (dB)", 10**0.05),
    ],
)
def test_columns_without_phase_are_powers(header: str, power: float, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"frequency_hz,{header}\n1e9,0.5\n2e9,0.25\n")
    data = nr.read_csv(tmp_path / "a.csv")
    assert isinstance(data, PowerData)
    assert np.asarray(data.entries).tolist() == [[False, False], [True, False]]
    assert float(data.power[0, 1, 0]) == pytest.approx(power)


def test_powers_are_written_and_read_again(tmp_path: Path) -> None:
    data = several([-0.04 + 0.1j], 1e-3)
    nr.write_csv(tmp_path / "a.csv", data, column="omega_rad_s")
    again = nr.read_csv(tmp_path / "a.csv", name="")
    assert isinstance(again, PowerData)
    np.testing.assert_array_equal(again.power, data.power)
    np.testing.assert_array_equal(again.omega, data.omega)
    np.testing.assert_array_equal(again.sigma, np.full(X.size, 1e-3))
    nr.save(tmp_path / "a.npz", data)
    assert isinstance(nr.load(tmp_path / "a.npz"), PowerData)


def test_parts_of_powers() -> None:
    data = several([-0.04 + 0.1j], 1e-3)
    np.testing.assert_array_equal(data.entry(out=1, into=0).power[:, 0, 0], data.power[:, 1, 0])
    np.testing.assert_array_equal(data.ports(1, 0).power[:, 0, 1], data.power[:, 1, 0])
    assert data.band(-0.5, 0.5).num_points == 151
    assert data.num_ports == 2
    with pytest.raises(ValueError, match="These data lack S11"):
        data.entry(out=0, into=0)
    with pytest.raises(ValueError, match="hold points between them"):
        data.band(2.0, 3.0)
    amplitudes = FieldData(X, 0.5j + 0 * X, sigma=1e-3)
    powers = PowerData.of(amplitudes)
    np.testing.assert_allclose(powers.power, 0.25)
    np.testing.assert_allclose(powers.sigma, 1e-3, rtol=1e-5)  # 2 |S| σ, and σ² beside it


def test_what_needs_a_phase_refuses_powers(tmp_path: Path) -> None:
    data = several([-0.04 + 0.1j], 1e-3)
    for call in (
        nr.data.causality,
        nr.data.suspicions,
        lambda data: nr.write_touchstone(tmp_path / "a.s2p", data),
    ):
        with pytest.raises(ValueError, match=r"^Argument data must be a .*FieldData.*, but was .*PowerData"):
            call(data)
    with pytest.raises(ValueError, match=r"^Argument reciprocal must be left out for powers"):
        op.fit_modes(data, 1, reciprocal=True)
    (tmp_path / "a.csv").write_text("frequency_hz,S21_mag,S11_re,S11_im\n1,.5,1,2\n2,.5,1,2\n")
    with pytest.raises(ValueError, match="has S21_mag without a phase beside others with one"):
        nr.read_csv(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("frequency_hz,S21_mag,sigma\n1,.5,.1\n2,.5,.1\n")
    with pytest.raises(ValueError, match="must have S21_power beside a sigma"):
        nr.read_csv(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"^Argument power must"):
        PowerData(X, X + 1j)
