"""`fit_modes` on data as they come: matched ports, dark paths, zeros, printed digits, degenerate modes, phasors."""

import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr.data import FieldData
from optimize.mode_fit.fit_modes import fit_modes
from slow import slow_except

CENTRE, LOSS = 2 * np.pi * 6.0003e9, 2 * np.pi * 0.45e6  # rad/s
OMEGA = 2 * np.pi * np.linspace(5.99e9, 6.01e9, 401)
LINE = 1 / (1j * (OMEGA - CENTRE) + LOSS)  # of a resonance


def noisy(s: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return s + sigma * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))


def behind_cables(s: np.ndarray, *nanoseconds: float) -> np.ndarray:
    """S seen through lines that take these times, with the phase 0 at the band's centre."""
    phase = np.exp(-1e-9j * (OMEGA - (OMEGA[0] + OMEGA[-1]) / 2)[:, None] * np.array(nanoseconds))
    return s * phase[:, :, None] * phase[:, None, :]


def hanger() -> np.ndarray:
    """A resonator beside a matched feed line, [f, 2, 2]: no reflection but its own."""
    part = 2 / 3 * LOSS * LINE
    return np.stack([np.stack([-part, 1 - part]), np.stack([1 - part, -part])]).transpose(2, 0, 1)


def right(fit, *, within: float = 5.0) -> bool:
    error = float(fit.stderr.gamma[0])
    return abs(float(fit.coefficients.gamma[0]) - LOSS) < within * error < 0.05 * LOSS


@pytest.mark.parametrize(("first", "second"), slow_except([(5.0, 8.0), (0.0, 0.0), (60.0, 80.0)], 0))
def test_delays_are_found_where_nothing_is_reflected(first: float, second: float) -> None:
    fit = fit_modes(FieldData(OMEGA, behind_cables(noisy(hanger(), 1e-3), first, second), measured=True), 1)
    assert right(fit)
    assert fit.verdict.noise_like
    assert fit.concerns == []
    off = np.abs(np.asarray(fit.coefficients.delay) - 1e-9 * np.array([first, second]))
    assert np.all(off < 5 * np.asarray(fit.stderr.delay))
    assert np.all(np.asarray(fit.stderr.delay) < 4e-9)  # .25 rad over half the band, beside a background of order 2


def test_a_matched_isolator_is_fitted_though_three_entries_are_dark() -> None:
    s = np.zeros((401, 2, 2), complex)
    s[:, 1, 0] = 0.93 - 0.6 * LOSS * LINE
    fit = fit_modes(FieldData(OMEGA, behind_cables(noisy(s, 1e-3), 20.0, 30.0), measured=True), 1)
    assert right(fit)
    misfit = np.sqrt(np.mean(np.abs(np.asarray(fit.residual)[:, 1, 0]) ** 2))
    assert misfit < 1.6e-3  # the noise of two parts, 1.41e-3


def test_one_path_files_are_fitted_by_what_was_measured() -> None:
    s = noisy(hanger(), 1e-3)
    s[:, :, 1] = np.nan  # port 2 was not driven
    fit = fit_modes(FieldData(OMEGA, s), 1)
    assert right(fit)
    assert np.all(np.isnan(np.asarray(fit.stderr.C)[:, 1]))
    assert "not identified" in fit.report()


@pytest.mark.parametrize(
    "noise", slow_except([0.0, "6 decimals", 1e-3, 1e-9, 1e-6, "4 decimals", "9 decimals"], 0, 1, 2)
)
def test_degenerate_modes_of_a_ring_are_found(noise: float | str) -> None:
    """Clockwise and anticlockwise, with reflections that are exactly 0: every entry has one pole, and S two."""
    s = np.zeros((401, 2, 2), complex)
    s[:, 0, 1] = s[:, 1, 0] = 1 - 1.2 * LOSS * LINE
    s = np.round(s, int(noise[0])) if isinstance(noise, str) else noisy(s, noise)
    fit = fit_modes(FieldData(OMEGA, s), 2)
    assert bool(fit.converged)
    assert fit.complete
    # Of a noise of 1e-3 the two are told apart by chance: 401 points, some 20 of them on the line.
    bound = {1e-3: 5e-3, "4 decimals": 1e-3}.get(noise, 1e-4)
    np.testing.assert_allclose(fit.coefficients.gamma, LOSS, rtol=bound)
    np.testing.assert_allclose((fit.coefficients.omega - CENTRE) / LOSS, 0.0, atol=bound)


@pytest.mark.parametrize("digits", slow_except([4, None, 6, 9], 0, 1))
def test_printed_digits_are_noise_and_errors_contain_them(digits: int | None) -> None:
    s = hanger() * np.exp(0.3j)
    s = s if digits is None else np.round(s, digits)
    fit = fit_modes(FieldData(OMEGA, s), 1)
    assert bool(fit.converged)
    assert fit.verdict.errors != "withheld"
    assert right(fit)
    if digits is not None:
        # Rounding moves γ by some 10⁻ᵈ/√12 over the root of the 30 points on the line.
        assert 1e-2 < float(fit.stderr.gamma[0]) / LOSS * 10**digits < 1


def test_a_mode_too_few_is_said_first_and_names_the_entry() -> None:
    s = np.zeros((401, 2, 2), complex)
    s[:, 0, 1] = s[:, 1, 0] = 1 - 1.2 * LOSS * LINE
    fit = fit_modes(FieldData(OMEGA, noisy(s, 1e-3)), 1)
    assert not fit.complete
    first = fit.report().splitlines()[0]
    assert first.startswith("INCOMPLETE: The model misses S")
    assert "The data are reciprocal and the model is not" in first


def test_a_trace_of_transmission_that_is_missed_is_named_as_it_was_measured() -> None:
    w = np.linspace(-1, 1, 201)
    s = np.zeros((w.size, 2, 2), complex)
    s[:, 0, 1] = 1 - 0.05 / (1j * (w - 0.3) + 0.08) - 0.05 / (1j * (w + 0.3) + 0.08)
    trace = FieldData(w, noisy(s, 1e-4)).entry(out=0, into=1)
    assert trace.transmission == (0, 1)
    assert fit_modes(trace, 1).report().startswith("INCOMPLETE: The model misses S12 (")
    assert (
        fit_modes(FieldData(w, trace.s, transmission=True), 1).report().startswith("INCOMPLETE: The model misses S21")
    )
    for wrong in ((1, 1), (0, 1, 2), "S21", 2):
        with pytest.raises(ValueError, match=r"^Argument transmission must be"):
            FieldData(w, trace.s, transmission=wrong)


def test_phasors_of_the_other_sign_are_recognised_and_mended() -> None:
    data = FieldData(OMEGA, behind_cables(noisy(hanger(), 1e-3), 5.0, 8.0).conj(), measured=True)
    fit = fit_modes(data, 1)
    assert fit.conjugated
    assert "data.conjugated()" in fit.report().splitlines()[0]
    # Its direct path fits at band centre alone, and beside the lines, where it would be held, it has gain.
    assert fit.model_scale < 0.9
    assert any(f"The model is {fit.model_scale:.3g} times the fitted S" in concern for concern in fit.concerns)
    gain = np.linalg.norm(np.asarray(nr.scattering(fit.model, np.linspace(0.9, 1.1, 201) * CENTRE)), 2, axis=(1, 2))
    assert np.max(gain) < 1 + 1e-9  # round-off: passive everywhere
    mended = fit_modes(data.conjugated(), 1)
    assert not mended.conjugated
    assert right(mended)


@pytest.mark.slow
@pytest.mark.parametrize(("modes", "background"), [(3, 2), (2, 6), (4, 4)])
def test_phasors_of_the_other_sign_are_recognised_whatever_is_fitted_to_them(modes: int, background: int) -> None:
    data = FieldData(OMEGA, noisy(hanger(), 2e-3)[:, 1:, :1].conj(), measured=True)
    fit = fit_modes(data, modes, background=background)
    assert not fit.complete
    assert "data.conjugated()" in fit.report().splitlines()[0]


def test_a_mode_too_many_is_doubted() -> None:
    data = FieldData(OMEGA, noisy(hanger()[:, :1, :1], 1e-3), sigma=1e-3)
    fit = fit_modes(data, 2)
    assert any("may be none of the device" in sentence for sentence in fit.concerns)
    assert fit_modes(data, 1).concerns == []


def test_resonances_are_given_in_the_words_of_a_laboratory() -> None:
    fit = fit_modes(FieldData(OMEGA, noisy(hanger(), 1e-3), measured=True), 1)
    resonance = fit.resonances[0]
    q = CENTRE / (2 * LOSS)
    assert abs(float(resonance.q_loaded) - q) < 5 * resonance.q_loaded.error < 0.05 * q
    assert abs(float(resonance.f0) - 6.0003e9) < 5 * resonance.f0.error
    value, error = str(resonance.fwhm).removesuffix(" kHz").split(" ± ")
    assert len(error.replace(".", "").lstrip("0")) == 2  # digits of the error
    assert len(value.partition(".")[2]) == len(error.partition(".")[2])
    assert abs(float(value) - 900.0) < 5 * float(error)
    assert f"mode 0: f0 = {resonance.f0}" in fit.report()


def test_numbers_of_single_precision_are_refused() -> None:
    data = FieldData(jnp.asarray(OMEGA / CENTRE, jnp.float32), jnp.asarray(hanger(), jnp.complex64))
    with pytest.raises(ValueError, match=r"^Argument data must be in float64, but was in float32"):
        fit_modes(data, 1)


def test_an_entry_alone_is_fitted() -> None:
    data = FieldData(OMEGA, behind_cables(noisy(hanger(), 1e-3), 5.0, 8.0), measured=True)
    assert right(fit_modes(data.entry(out=1, into=0), 1))
    assert nr.FieldData is FieldData
