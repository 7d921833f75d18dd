"""Two coupled resonators from scattering data: coefficients, what is a gauge, devices that are none."""

import dataclasses

import numpy as np
import pytest

import diffnr as nr
from diffnr import tcmt
from diffnr.data import FieldData
from optimize.mode_fit.fit_resonators import fit_two_resonators
from optimize.mode_fit.form import Form
from optimize.mode_fit.resonator_form import ResonatorForm
from pairs import MHZ, Pair, apart

OMEGA = np.linspace(-4.0, 4.0, 61)


def chart() -> ResonatorForm:
    rng = np.random.default_rng(0)
    two = lambda: rng.uniform(0.2, 0.5, 2)  # noqa: E731
    background = rng.normal(size=(3, 2, 2, 2))
    return ResonatorForm(two(), two(), two(), two(), rng.normal(size=(2, 2)), background, two(), np.full(2, 3.0))


@pytest.mark.parametrize("framed", [False, True])
def test_derivatives_of_the_chart_are_those_of_central_differences(framed: bool) -> None:
    form, x = dataclasses.replace(chart(), framed=framed), np.linspace(-1, 1, 5)
    ds, u = form.linearised(x).ds, form.vector()
    assert len(ds) == u.size == (36 if framed else 38)
    for k, unit in enumerate(1e-6 * np.eye(u.size)):
        ends = [form.at(u + step).response(x)[0] for step in (unit, -unit)]
        # Truncation 1e-12 and round-off 1e-10, of numbers and third derivatives that reach some tens.
        np.testing.assert_allclose(ds[k], (ends[0] - ends[1]) / 2e-6, atol=1e-7)


def test_a_form_in_any_basis_leads_to_the_resonators_it_is_of() -> None:
    there = chart()
    plain, T = there.form(), np.array([[0.7, 0.4j], [-0.2, 1.1]])
    mixed = lambda part: part[..., 0] + 1j * part[..., 1]  # noqa: E731
    pairs = lambda values: np.stack([values.real, values.imag], axis=-1)  # noqa: E731
    A = np.linalg.solve(T, mixed(plain.A) @ T)
    form = Form(
        A=pairs(A),
        D=pairs(mixed(plain.D) @ T),
        K=pairs(np.linalg.solve(T, mixed(plain.K).T).T),
        background=plain.background,
        delay=plain.delay,
    )
    for measured in (np.ones((2, 2), bool), np.array([[True, False], [True, True]])):
        back = ResonatorForm.of(form, measured).signed()
        for name in ("omega", "decay", "gamma", "kappa"):
            # Round-off of some solves with numbers near 1.
            np.testing.assert_allclose(getattr(back, name), getattr(there.signed(), name), atol=1e-11)


def test_exact_data_of_the_pair_give_its_leaves_back() -> None:
    pair = tcmt.TwoResonators(omega=(-0.3, 0.4), gamma=(0.5, 0.3), gamma_0=(0.1, 0.2), kappa=0.6)
    fit = fit_two_resonators(FieldData(OMEGA, nr.scattering(pair, OMEGA)))
    truth = np.array([-0.3, 0.4, 0.5, 0.3, 0.1, 0.2, 0.6, 0.0, 0.6, 0.0])
    np.testing.assert_allclose(fit.coefficients, truth, atol=1e-9)  # residuals at round-off, conditions near 10²
    assert complex(fit.kappa12) == pytest.approx(0.6, abs=1e-9)
    assert fit.complete
    np.testing.assert_allclose(nr.scattering(fit.model, OMEGA), fit.data.s, atol=1e-9)


def test_a_nonreciprocal_pair_behind_lines_from_a_file(tmp_path) -> None:
    truth = Pair.biased(1.0)
    nr.write_touchstone(tmp_path / "pair.s2p", truth.data(2e-3, seed=0))
    fit = fit_two_resonators(nr.read_touchstone(tmp_path / "pair.s2p"))
    errors = np.sqrt(np.diagonal(fit.covariance))
    # Ten numbers within 3.5 standard errors: by chance missed once in 200 seeds.
    assert np.all(np.abs(apart(fit.coefficients, truth.vector)) < 3.5 * errors)
    # Lines that lose 10 % and 20 % are no loss of the resonators, whose errors are a thousandth of them.
    assert np.all(errors[2:6] < 5e-3 * MHZ)
    assert fit.complete
    assert bool(fit.converged)
    expected = {
        "kappa": abs(truth.kappa12 * truth.kappa21) ** 0.5 / (2 * np.pi),
        "coupling_phase": 0.2,
        "nonreciprocity": 20 * np.log10(1.3 / 0.7),
        "nonreciprocal_phase": 0.4,
    }
    for name, value in expected.items():
        quantity = fit.quantity(name)
        assert abs(quantity.value - value) < 3.5 * quantity.error, name
    assert f"kappa12             {fit.quantity('kappa12')}" in fit.report()
    assert "common sign of κ12 and κ21 is not identified" in fit.report()
    omega = np.asarray(fit.data.omega)
    assert np.max(np.abs(fit.predict(omega) - fit.data.s)) < 5 * 2e-3 * np.sqrt(2)


def test_errors_of_derived_quantities_are_those_of_the_covariance() -> None:
    """By differences of the quantities in the coefficients, an independent way to their gradients."""
    fit = fit_two_resonators(Pair.biased(0.5).data(1e-3, seed=1, given=True))
    u, covariance = np.asarray(fit.coefficients), np.asarray(fit.covariance)
    kappas = lambda v: (v[6] + 1j * v[7], v[8] + 1j * v[9])  # noqa: E731
    functions = {
        "kappa": lambda v: abs(kappas(v)[0] * kappas(v)[1]) ** 0.5 / (2 * np.pi),
        "kappa21": lambda v: abs(kappas(v)[1]) / (2 * np.pi),
        "coupling_phase": lambda v: np.angle(kappas(v)[0] * kappas(v)[1]),
        "nonreciprocity": lambda v: 20 * np.log10(abs(kappas(v)[1] / kappas(v)[0])),
        "nonreciprocal_phase": lambda v: np.angle(kappas(v)[1] / kappas(v)[0]),
        "gamma_0[1]": lambda v: v[5] / (2 * np.pi),
    }
    for name, f in functions.items():
        steps = 1e-3 * MHZ * np.eye(10)
        slope = np.array([(f(u + step) - f(u - step)) / (2e-3 * MHZ) for step in steps])
        quantity = fit.quantity(name)
        assert quantity.value == pytest.approx(f(u), rel=1e-12)
        # Truncation: a step of 1e-3/4 of κ, squared.
        assert quantity.error == pytest.approx(np.sqrt(slope @ covariance @ slope), rel=1e-6)


def test_at_an_exceptional_point_the_pair_is_as_regular_as_anywhere() -> None:
    truth = Pair(omega=np.zeros(2), kappa12=MHZ * 0.25 + 0j, kappa21=MHZ * 0.25 + 0j)
    # |Γ₁ − Γ₂|/2: there is one pole, with one vector.
    assert np.ptp(truth.gamma + truth.gamma_0) == pytest.approx(2 * 0.25 * MHZ)
    fit = fit_two_resonators(truth.data(1e-3, seed=2))
    errors = np.sqrt(np.diagonal(fit.covariance))
    assert np.all(np.abs(apart(fit.coefficients, truth.vector)) < 3.5 * errors)
    assert np.all(errors[6:] < 0.01 * MHZ)


@pytest.mark.parametrize("lost", [(0, 1), (1, 0)])
def test_one_direction_alone_still_gives_both_couplings(lost: tuple[int, int]) -> None:
    """Reflections tell κ12κ21, and the other direction one of them."""
    truth, data = Pair.biased(-1.0), Pair.biased(-1.0).data(1e-3, seed=3)
    s = np.array(data.s)
    s[:, *lost] = np.nan
    fit = fit_two_resonators(FieldData(data.omega, s, measured=True))
    errors = np.sqrt(np.diagonal(fit.covariance))
    assert np.all(np.abs(apart(fit.coefficients, truth.vector)) < 3.5 * errors)
    assert np.all(errors[6:] < 0.1 * MHZ)


def test_a_coupling_of_one_direction_has_no_phases() -> None:
    truth = Pair(kappa12=0j)
    fit = fit_two_resonators(truth.data(1e-3, seed=4, given=True))
    assert fit.quantity("kappa12").value < 4 * fit.quantity("kappa12").error + 1e3
    assert np.isnan(fit.quantity("coupling_phase").error)
    assert np.isnan(fit.quantity("nonreciprocity").error)
    assert np.isfinite(fit.quantity("kappa21").error)


def test_two_modes_that_share_a_port_are_said_to_be_no_such_pair() -> None:
    device = tcmt.CoupledModes([-0.5, 0.6], D=[[0.8, 0.5], [0.3j, -0.7]], gamma_i=[0.1, 0.1])
    rng = np.random.default_rng(5)
    noise = 1e-3 * (rng.normal(size=(61, 2, 2)) + 1j * rng.normal(size=(61, 2, 2)))
    fit = fit_two_resonators(FieldData(OMEGA, nr.scattering(device, OMEGA) + noise, sigma=1e-3))
    assert not fit.complete
    assert fit.report().startswith("INCOMPLETE: ")
    assert "that each meet a port of their own" in " ".join(fit.concerns)


def test_what_cannot_be_fitted_is_refused_in_one_sentence() -> None:
    data = Pair().data(1e-3, seed=0)
    with pytest.raises(ValueError, match=r"Argument data must be of two ports, one a resonator, but was of 1\."):
        fit_two_resonators(data.ports(0))
    s = np.array(data.s)
    s[:, 1, 1] = np.nan
    with pytest.raises(ValueError, match=r"Argument data must hold S11, S22 and S12 or S21.*but was without S22\."):
        fit_two_resonators(FieldData(data.omega, s))
    with pytest.raises(ValueError, match=r"Argument name must be one of"):
        fit_two_resonators(data).quantity("kappa13")


@pytest.mark.slow
@pytest.mark.parametrize(("given", "background"), [(True, None), (False, None), (True, 2)])
def test_coverage_of_95_percent_intervals(given: bool, background: int | None) -> None:
    """Over 250 draws of noise, with σ given and estimated, by the background chosen and by one of second order."""
    truth = Pair.biased(0.5)
    names = ("kappa", "coupling_phase", "nonreciprocity", "nonreciprocal_phase")
    product, ratio = truth.kappa12 * truth.kappa21, truth.kappa21 / truth.kappa12
    expected = [abs(product) ** 0.5 / (2 * np.pi), np.angle(product), 20 * np.log10(abs(ratio)), np.angle(ratio)]
    inside = []
    for seed in range(250):
        fit = fit_two_resonators(truth.data(3e-3, seed, points=81, given=given), background=background)
        errors = np.sqrt(np.diagonal(fit.covariance))
        told = [fit.quantity(name) for name in names]
        within = [abs(one.value - value) < 1.96 * one.error for one, value in zip(told, expected, strict=True)]
        inside.append([*(np.abs(apart(fit.coefficients, truth.vector)) < 1.96 * errors), *within])
    covered = np.mean(inside, axis=0)
    # 92–98 % is the criterion; the sampling error is √(.95·.05/250) = 1.4 %, and 14 numbers are compared: of all
    # together it is the criterion, of each within three sampling errors of it.
    assert 0.92 < np.mean(covered) < 0.98, covered
    assert np.all((covered > 0.95 - 0.045) & (covered < 0.995)), covered
