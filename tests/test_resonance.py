"""A fit in the words of a laboratory: quality factors of closed-form devices, their errors, and what is not told."""

from pathlib import Path

import numpy as np
import pytest
import skrf
from skrf.qfactor import Qfactor

from diffnr.data import FieldData
from diffnr.touchstone import read_touchstone
from optimize.mode_fit.fit_modes import fit_modes
from optimize.mode_fit.resonance import Resonance, Value, rounded
from slow import slow_except

MEASURED = Path(__file__).parent / "data" / "measured"
F0, INTERNAL = 6.0003e9, 5e5  # Hz: where the line is, and the width that it has of what is lost inside
OMEGA = 2 * np.pi * np.linspace(5.99e9, 6.01e9, 401)
TWO_PORTS = np.eye(2)


def beside_a_line(angle: float = 0.0) -> np.ndarray:
    """W of a line, with a lossless reflection that makes the dip lopsided; the first column is the even mode."""
    transmitted, reflected = np.cos(angle), 1j * np.sin(angle)
    paths = np.array([reflected + transmitted, reflected - transmitted])
    return np.array([[1, 1], [1, -1]]) / np.sqrt(2) * np.sqrt(-paths)


def device(W: np.ndarray, *widths: float, internal: float = INTERNAL) -> np.ndarray:
    """S [f, out, in] of a mode with d = W√(2π widths), widths in Hz, beside the direct path C = −WWᵀ.

    W is unitary, so that Cd* = −d: C loses nothing, and time reversal leaves the ports' rates what they are.
    """
    d = W @ np.sqrt(2 * np.pi * np.array(widths))
    gamma = np.pi * (internal + sum(widths))
    return -W @ W.T + d[:, None] * d / (1j * (OMEGA - 2 * np.pi * F0) + gamma)[:, None, None]


def noisy(s: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return s + sigma * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))


def resonance(s: np.ndarray, sigma: float = 1e-3, seed: int = 1, **arguments) -> Resonance:
    return fit_modes(FieldData(OMEGA, noisy(s, sigma, seed), sigma=sigma), 1, **arguments).resonances[0]


DEVICES = {
    "reflection": (np.eye(1), (4e5,), (4e5,)),
    "between two ports": (TWO_PORTS, (4e5, 2.5e5), (4e5, 2.5e5)),
    "beside a line": (beside_a_line(), (6e5, 0.0), (3e5, 3e5)),
    "beside a line with a reflection": (beside_a_line(0.4), (6e5, 0.0), (3e5, 3e5)),
}


@pytest.mark.parametrize("kind", slow_except(list(DEVICES), 0, 3))
def test_quality_factors_are_those_of_closed_forms_within_their_errors(kind: str) -> None:
    W, given, widths = DEVICES[kind]
    s = device(W, *given)
    truth = F0 / np.array([INTERNAL + sum(widths), INTERNAL, *widths])
    scores = []
    for seed in range(8):
        found = resonance(s, seed=seed)
        values = found.q_loaded, found.q_internal, *found.q_external
        assert all(0 < value.error < 0.02 * value.value for value in values)
        scores.append([(float(value) - true) / value.error for value, true in zip(values, truth, strict=True)])
        # Widths add up, by their definition.
        parts = float(found.fwhm_internal) + sum(float(width) for width in found.fwhm_external)
        assert parts == pytest.approx(float(found.fwhm), rel=1e-12)
    # Of eight normal numbers the rms is 1 within 1/√16 = .25, three of them.
    assert np.sqrt(np.mean(np.square(scores), axis=0)) == pytest.approx(1.0, abs=0.75)


@pytest.mark.parametrize("angle", [0.0, 0.4])
@pytest.mark.parametrize("alone", ["entry", "missing"])
def test_a_hanger_by_transmission_alone_has_the_diameter_corrected_q(angle: float, alone: str) -> None:
    """Behind 30 dB and a phase, neither of which it knows: 1/Q_c = cos φ/|Q_c|."""
    s = device(beside_a_line(angle), 6e5, 0.0) * 0.03 * np.exp(1j)
    data = FieldData(OMEGA, noisy(s, 3e-5), sigma=3e-5)
    if alone == "entry":
        data = data.entry(out=1, into=0)
    else:
        data = FieldData(OMEGA, np.where([[False, False], [True, False]], data.s, np.nan), sigma=3e-5)
    fit = fit_modes(data, 1)
    found = fit.resonances[0]
    for value, true in ((found.q_internal, F0 / INTERNAL), *((value, F0 / 3e5) for value in found.q_external)):
        assert abs(float(value) - true) < 4 * value.error < 0.05 * true
    assert len(found.q_external) == 2
    assert "relative to the direct path" in fit.report()
    # What is left without the correction is wrong by 1 − cos φ, and by more than the error.
    size = abs(fit.coefficients.residues[0, -1, 0]) / abs(fit.coefficients.C[-1, 0]) / (2 * np.pi)
    assert size == pytest.approx(3e5 / np.cos(angle), rel=5e-3)  # some of the errors just tested


@pytest.mark.parametrize("kind", slow_except(["S21", "two ports", "two ports, lopsided"], 0))
def test_errors_are_true_behind_cables_beside_a_background(kind: str) -> None:
    """A background of order 2 may stand for a part of the delay, which moves R by e^{γt}: planes are those of a flat
    direct path."""
    time = 1e-9 * np.array([5.0, 8.0])
    cables = np.exp(-1j * (OMEGA - 2 * np.pi * 6e9)[:, None, None] * (time[:, None] + time))
    s = device(beside_a_line(0.4 * ("lopsided" in kind)), 6e5, 0.0) * cables
    scores = []
    for seed in range(8):
        data = FieldData(OMEGA, noisy(s, 1e-3, seed), measured=True)
        found = fit_modes(data.entry(out=1, into=0) if kind == "S21" else data, 1).resonances[0]
        values = [(found.q_internal, F0 / INTERNAL)]
        if kind == "two ports":  # matched: what reflects nothing tells no plane
            assert "tell a delay, that of port 1," in found.q_external[0].note
        else:
            values.append((found.q_external[0], F0 / 3e5))
        scores.append([(float(value) - true) / value.error for value, true in values])
        assert all(value.error < 2e-3 * true for value, true in values)
    # Of eight normal numbers the rms is 1 within 1/√16 = .25, three of them.
    assert np.sqrt(np.mean(np.square(scores), axis=0)) == pytest.approx(1.0, abs=0.75)


def test_a_reflection_alone_does_not_mind_the_loss_before_it() -> None:
    found = resonance(0.05j * device(np.eye(1), 4e5), sigma=5e-5)
    assert abs(float(found.q_internal) - F0 / INTERNAL) < 4 * found.q_internal.error
    assert abs(float(found.q_external[0]) - F0 / 4e5) < 4 * found.q_external[0].error
    assert "0.05" in found.note


def test_a_peak_of_transmission_alone_is_taken_in_its_true_size() -> None:
    data = FieldData(OMEGA, noisy(device(TWO_PORTS, 3e5, 3e5), 1e-3), sigma=1e-3).entry(out=1, into=0)
    found = fit_modes(data, 1).resonances[0]
    assert abs(float(found.q_internal) - F0 / INTERNAL) < 4 * found.q_internal.error
    assert "true size" in found.note


def test_the_ports_of_a_nonreciprocal_mode_are_told_by_energies_alone() -> None:
    """Out by port 1 as it comes in by port 0, and the reverse: R is not symmetric."""
    gamma = np.pi * (INTERNAL + 5e5)
    d, k = np.sqrt(2 * np.pi * np.array([4e5, 1e5])), np.sqrt(2 * np.pi * np.array([1e5, 4e5]))
    line = 1 / (1j * (OMEGA - 2 * np.pi * F0) + gamma)
    s = noisy(-np.eye(2)[::-1] + d[:, None] * k * line[:, None, None], 1e-3)
    fit = fit_modes(FieldData(OMEGA, s, sigma=1e-3), 1)
    found = fit.resonances[0]
    assert np.isnan(float(found.q_internal))
    assert all(np.isnan(float(value)) for value in found.q_external)
    assert float(found.q_loaded) == pytest.approx(F0 / 1e6, rel=0.02)
    assert fit.report().count("nonreciprocal (its residue is not symmetric)") == 1
    energy = np.abs(k * line[:, None]) ** 2
    spread = 0.01 * energy.max()
    energy = np.maximum(energy + spread * np.random.default_rng(0).normal(size=energy.shape), 0)
    data = FieldData(OMEGA, s, sigma=1e-3, energy=energy, sigma_energy=spread)
    found = fit_modes(data, 1).resonances[0]
    for value, true in zip((found.q_internal, *found.q_external), F0 / np.array([5e5, 4e5, 1e5]), strict=True):
        assert abs(float(value) - true) < 4 * value.error < 0.2 * true


def test_over_detunings_widths_are_told_and_q_is_not() -> None:
    data = FieldData(
        (OMEGA - 2 * np.pi * F0) / (np.pi * 1e6), noisy(device(beside_a_line(), 6e5, 0.0), 1e-3), sigma=1e-3
    )
    fit = fit_modes(data, 1)
    found = fit.resonances[0]
    assert np.isnan([float(value) for value in (found.q_loaded, found.q_internal, *found.q_external)]).all()
    assert float(found.fwhm_external[1]) * np.pi == pytest.approx(0.3, abs=4 * np.pi * found.fwhm_external[1].error)
    assert (found.fwhm.unit, found.fwhm_internal.unit) == ("", "")
    assert "Q_" not in fit.report()
    assert "FWHM_internal" in fit.report()


def test_internal_loss_within_its_error_is_a_bound_and_a_negative_one_is_said() -> None:
    found = resonance(device(np.eye(1), 4e5, internal=0.0))
    assert abs(float(found.fwhm_internal)) < 4 * found.fwhm_internal.error
    few = resonance(device(np.eye(1), 4e5, internal=100.0))
    assert "within two of its errors, so that Q_internal >" in few.q_internal.note
    fit = fit_modes(FieldData(OMEGA, noisy(device(np.eye(1), 4e5, internal=-1e5), 1e-3), sigma=1e-3), 1)
    assert "internal loss is negative" in fit.report()


def test_what_was_not_measured_is_named() -> None:
    s = device(TWO_PORTS, 4e5, 2.5e5)
    s[:, :, 1] = np.nan
    found = resonance(s)
    assert float(found.q_external[0]) == pytest.approx(F0 / 4e5, rel=0.02)
    assert np.isnan([float(found.q_external[1]), float(found.q_internal)]).all()
    assert "S22 was not measured" in found.q_internal.note
    assert any("if the device is reciprocal" in note for note in found.notes)


@pytest.mark.parametrize("apart", slow_except([5.0, 1.0, 0.0], 0, 2))
def test_modes_that_overlap_are_bounds(apart: float) -> None:
    """Two resonators of width 1 MHz in a row, split by so many widths: S does not tell the energy of their modes."""
    shift, gamma = np.pi * apart * 1e6, np.pi * np.array([1e6, 1e6])
    H = np.array([[0, shift], [shift, 0]]) if apart else np.diag([0.0, 0.0])
    A = 1j * (2 * np.pi * F0 * np.eye(2) + H) - np.diag(gamma)
    D = np.diag(np.sqrt(2 * np.pi * np.array([5e5, 5e5])))
    inverse = np.linalg.inv(1j * OMEGA[:, None, None] * np.eye(2) - A)
    fit = fit_modes(FieldData(OMEGA, noisy(-np.eye(2) + D @ inverse @ D, 1e-4), sigma=1e-4), 2)
    for found in fit.resonances:
        if apart:
            # Equal resonators have orthogonal modes, each by half of every port.
            true = float(found.f0) / 2.5e5
            assert abs(float(found.q_external[0]) - true) < 5 * found.q_external[0].error
            larger = 100 * (1 / np.sqrt(1 - 1 / (1 + apart**2)) - 1)
            assert f"may be larger by up to {larger:.2g} %" in found.note
        else:
            assert "so close that S does not tell" in found.q_external[0].note


def test_the_measured_resonator_has_the_q_of_scikit_rf_within_both_errors() -> None:
    path = MEASURED / "skrf_resonator_36mm.s2p"
    ours = fit_modes(read_touchstone(path), 2).resonances[0].q_loaded
    value, error = str(ours).split(" ± ")
    assert (float(value), float(error)) == pytest.approx((float(ours), ours.error), abs=0.005)  # of 72.12 ± 0.54
    # Theirs: S21 over three widths to each side; its error is that of least squares, as the residual has it.
    part = skrf.Network(str(path))["1.88-2.04ghz"].s21
    theirs = Qfactor(part, "transmission")
    end = theirs.fit(loop_plan="fc")
    x, m = part.f / end.f_L, np.array([end.m1, end.m2, end.m3, end.m4, end.Q_L, 1.0])

    def missed(m: np.ndarray) -> np.ndarray:
        circle = m[0] + 1j * m[1] + (m[2] + 1j * m[3]) / (1 + 2j * m[4] * (x / m[5] - 1))
        return np.concatenate([(circle - part.s[:, 0, 0]).real, (circle - part.s[:, 0, 0]).imag])

    J = np.stack([(missed(m + step) - missed(m - step)) / 2e-6 for step in 1e-6 * np.eye(6)])
    spread = np.sqrt(np.linalg.inv(J @ J.T)[4, 4] * np.sum(missed(m) ** 2) / (2 * x.size - 6))
    assert 0 < spread < 1
    assert abs(float(ours) - end.Q_L) < ours.error + spread


@pytest.mark.parametrize(
    ("name", "scale", "arguments", "loaded", "internal"),
    [
        # A cavity between two loops; |S21| of a through in its place is 0.874.
        ("transmission", 1 / 0.874, {"transmission": True}, 7454, 7546),
        # A superconducting line beside a line. Their Q_0 = 1,846,782 is without the diameter correction, and depends on
        # weights: the circle is .97 of what touches.
        ("absorption", 1.0, {"transmission": True}, 56019.85, None),
        # A cavity by one loop, whose residual is ten times its noise: weights, theirs and ours, make up 0.3 and 0.6 %.
        ("reflection", 1.0, {"measured": True}, 708, 862),
    ],
)
def test_published_quality_factors_are_found(name: str, scale: float, arguments: dict, loaded, internal) -> None:
    """Of A. Gregory, NPL report MAT 58 (2021): figures 6(b) and 27, table 6(c)."""
    f, real, imaginary = np.loadtxt(MEASURED / f"npl_{name}.txt", comments="%", usecols=(0, 1, 2)).T
    fit = fit_modes(FieldData(2e9 * np.pi * f, (real + 1j * imaginary) * scale, **arguments), 1)
    for found, published in ((fit.resonances[0].q_loaded, loaded), (fit.resonances[0].q_internal, internal)):
        if published is not None:
            within = 0.01 * published if np.isnan(found.error) else 2 * found.error
            assert abs(float(found) - published) < within


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(72.1234, 0.543), "72.12 ± 0.54"),
        (Value(1.96016e9, 1.04e5, "Hz"), "1.96016 ± 0.00010 GHz"),
        (Value(1234567.0, 0.0996e5), "1235000 ± 10000"),
        (Value(-3.7700123e10, 2.14e5), "-3.770012e+10 ± 2.1e+05"),
        (Value(2.5e-9, 1.26e-10), "2.50e-09 ± 1.3e-10"),
        (Value(2.5e-9, 1.26e-10, "s"), "2.50 ± 0.13 ns"),
        (Value(34000.0, 26000.0), "34000 ± 26000"),
        (Value(3.0, 125.0), "0 ± 120"),
        (Value(1.0, np.nan), "1 (no error)"),
        (Value(np.nan, np.nan), "not identified"),
        (Value(np.inf, np.nan), "inf"),
    ],
)
def test_numbers_are_rounded_by_their_own_error(value: Value, text: str) -> None:
    assert str(value) == text
    if not value.unit and np.isfinite(value.value):
        assert rounded(value.value, value.error) == text
