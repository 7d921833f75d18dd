"""Networks of low Q, whose poles count with their conjugates at negative frequencies: S(−ω) = S(ω)*. The truth are
circuits in closed form."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diffnr as nr
import optimize as op
from optimize.mode_fit.form import Form
from optimize.mode_fit.passivity import ALLOWED, largest_gain
from tests.circuits import (
    CIRCUITS,
    GIGAHERTZ,
    OCTAVE,
    WIDE,
    measured,
    parallel,
    rotating,
    scatter,
    scores,
    series,
    tanks,
)
from tests.test_fit_modes_parts import forms


@pytest.mark.parametrize("form", forms()[3:], ids=["with delays", "plain", "symmetric"])
def test_a_form_of_a_network_is_real_in_time(form: Form) -> None:
    """Without a background, which is of the band alone: S(−ω) = S(ω)*, behind delays too."""
    x, bare = np.linspace(-1, 1, 7), form.__class__(**{**vars(form), "background": form.background[:0]})
    s = bare.response(x)[0]
    np.testing.assert_allclose(bare.response(-x - form.mirror)[0], s.conj(), atol=1e-13 * np.max(np.abs(s)))  # rounding
    np.testing.assert_allclose(form.unfolded().response(x)[0], form.response(x)[0], atol=1e-13 * np.max(np.abs(s)))


def test_passivity_of_a_network_is_certified() -> None:
    """A lossless line of Q 1.5, whose singular values are 1 everywhere, with its image and not without it."""
    omega = GIGAHERTZ * np.linspace(0.5, 1.5, 11)
    _, (pole,) = series(omega, 1.5, loss=0.0)
    half, centre = GIGAHERTZ / 2, GIGAHERTZ
    # S = 1 + R/(iω − p) + R*/(iω − p*), with 2 Re p/(ω/i …): S = 1 + 4 Re p s/((s − p)(s − p*)).
    R, p = 4 * pole.real * pole / (2j * pole.imag), (pole - 1j * centre) / half
    pairs = [np.array([[[z.real, z.imag]]]) for z in (p, R / half, 1.0 + 0j)]
    line = Form(A=pairs[0], D=pairs[1], K=pairs[2], background=pairs[2][None], delay=None, mirror=2 * centre / half)
    np.testing.assert_allclose(line.response((omega - centre) / half)[0], series(omega, 1.5, loss=0.0)[0], atol=1e-13)
    assert largest_gain(line) == pytest.approx(1.0, abs=ALLOWED)
    assert largest_gain(Form(**{**vars(line), "mirror": None})) > 1.01


def test_a_two_port_of_low_q_behind_cables() -> None:
    s, pole = parallel(OCTAVE)
    data = measured(OCTAVE, s, 3e-5, cables=(0.3e-9, 0.7e-9))
    fit = op.fit_modes(data, 1)
    assert fit.negative_frequency_poles
    assert fit.image_evidence is not None
    assert fit.image_evidence > 100 > 1 > np.max(np.abs(scores(fit, pole))) / 4  # without it: 3 and 8 errors off
    assert fit.image_shift > 5
    assert fit.complete
    assert "with its conjugate at the negative frequency" in fit.report()
    # The loaded Q is 5, of which a fifth is the loss; what a pole's own frequency is less by is of order 1/4Q².
    resonance = fit.resonances[0]
    assert float(resonance.q_internal) == pytest.approx(25.0, rel=0.02)
    assert [float(q) for q in resonance.q_external] == pytest.approx([12.5, 12.5], rel=0.02)
    # The model is the device at band centre, images among its direct path.
    centre = np.asarray(fit.predict([float(fit.centre)]))[0]
    model = np.asarray(nr.scattering(fit.model, [float(fit.centre)]))[0] / fit.model_scale
    np.testing.assert_allclose(model, centre, atol=1e-5)  # the balance of energy, 1e-6, of its realisation


def test_two_resonances_of_low_q() -> None:
    s, poles = tanks(WIDE)
    fit = op.fit_modes(measured(WIDE, s, 3e-4, cables=1e-9), 2)
    assert fit.negative_frequency_poles
    assert np.max(np.abs(scores(fit, poles))) < 4
    assert fit.complete


def test_the_dc_point_is_no_dirt() -> None:
    """S is real there: 1, of an open end."""
    omega = GIGAHERTZ * np.linspace(0, 2, 101)
    s, pole = series(omega, 5.0)
    data = measured(omega, s, 1e-3)
    assert nr.data.suspicions(data) == ()
    fit = op.fit_modes(data)
    assert len(fit.coefficients.omega) == 1
    assert fit.negative_frequency_poles
    assert np.max(np.abs(scores(fit, pole))) < 4
    assert fit.complete
    assert float(fit.resonances[0].q_loaded) == pytest.approx(-pole[0].imag / 2 / pole[0].real, rel=0.01)
    assert abs(complex(fit.predict([0.0])[0, 0, 0]) - 1) < 5e-3  # of five standard deviations of the noise


@pytest.mark.parametrize(("noise", "known"), [(0.0, False), (1e-3, False), (1e-3, True)])
def test_models_of_rotating_waves_have_no_images(noise: float, known: bool) -> None:
    """Over the same octave, whether they are called measurements or not; and where the data tell, it is said."""
    s, pole = rotating(WIDE, 5.0)
    fit = op.fit_modes(measured(WIDE, s, noise, measured=known and noise == 0), 1)
    assert not fit.negative_frequency_poles
    assert fit.image_evidence is not None
    assert fit.image_evidence < -100
    assert "without conjugates" in fit.report()
    if noise:
        assert np.max(np.abs(scores(fit, pole))) < 4


def test_what_cannot_be_told_is_said() -> None:
    """A measurement whose −2 log L differs by less than chance, and poles by more than an error: of networks."""
    omega = GIGAHERTZ * np.linspace(0.5, 1.5, 201)
    s, pole = series(omega, 3.0)
    fit = op.fit_modes(measured(omega, s, 1e-3), 1)
    assert fit.negative_frequency_poles
    assert fit.image_evidence is not None
    assert abs(fit.image_evidence) < 10
    assert any("these data do not tell" in concern for concern in fit.concerns)
    assert np.max(np.abs(scores(fit, pole))) < 4


def test_narrow_bands_detunings_and_energies_have_no_images() -> None:
    s, _ = rotating(OCTAVE, 5.0)
    assert op.fit_modes(measured(OCTAVE - GIGAHERTZ, s, 1e-3), 1).image_evidence is None
    energy = np.abs(s[:, 0, 0] - 1) ** 2
    stored = nr.FieldData(OCTAVE, s, energy[:, None])
    assert op.fit_modes(stored, 1).image_evidence is None
    narrow = GIGAHERTZ * np.linspace(0.99, 1.01, 101)
    s, _ = series(narrow, 500.0)
    assert op.fit_modes(measured(narrow, s, 1e-3), 1).image_evidence is None


@pytest.mark.slow  # as a first load takes seconds
def test_a_fit_of_a_network_is_saved_whole(tmp_path: Path) -> None:
    s, _ = series(WIDE, 3.0)
    fit = op.fit_modes(measured(WIDE, s, 1e-3), 1)
    nr.save(tmp_path / "fit", fit)
    again = nr.load(next(tmp_path.iterdir()))
    np.testing.assert_array_equal(again.predict(WIDE), fit.predict(WIDE))
    assert again.report() == fit.report()


@pytest.mark.slow
@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize("modes", [None, "auto"])
def test_poles_of_networks_scatter_by_their_errors(name: str, modes: Any) -> None:
    draws = 6 if modes else 40
    found, images = scatter(CIRCUITS[name], draws, modes)
    assert images == draws
    # χ² of the numbers of all draws; those of one fit are correlated, so that it scatters by at most twice as much.
    assert abs(np.mean(found**2) - 1) < 5 * 2 * np.sqrt(2 / found.size) + 0.1  # and noise that is estimated
