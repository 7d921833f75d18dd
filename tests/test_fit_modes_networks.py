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
from tests.test_fit_modes_parts import forms

GIGAHERTZ = 2e9 * np.pi
LINE = 50.0  # Ω


def parallel(omega: np.ndarray, q: float = 5.0, loss: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """S of a parallel RLC between two lines, of loaded q at 1 GHz, and its pole."""
    conductance = 1 / loss + 2 / LINE
    capacitance = q * conductance / GIGAHERTZ
    inductance = 1 / (GIGAHERTZ**2 * capacitance)
    y = LINE * (1 / loss + 1j * omega * capacitance + 1 / (1j * omega * inductance))
    s = np.array([[-y, np.full_like(y, 2)], [np.full_like(y, 2), -y]]) / (2 + y)
    return np.moveaxis(s, 2, 0), upper(np.array([capacitance, conductance, 1 / inductance]))


def series(omega: np.ndarray, q: float, loss: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """S of a series RLC at the end of a line, known at ω = 0 too, where it is open."""
    inductance = q * (loss + LINE) / GIGAHERTZ
    slope = 1 / (GIGAHERTZ**2 * inductance)
    z = (loss - LINE) * 1j * omega - omega**2 * inductance + 1 / slope
    whole = z + 2 * LINE * 1j * omega
    return (z / whole)[:, None, None], upper(np.array([inductance, loss + LINE, 1 / slope]))


def tanks(omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S of two parallel RLC in a row at the end of a line, whose poles have Q of 2.6 and 5.7."""
    s, first, second = (
        1j * omega,
        *(np.array([1.0, f0 * GIGAHERTZ / q, (f0 * GIGAHERTZ) ** 2]) for f0, q in ((0.85, 6.0), (1.25, 10.0))),
    )
    tops = [resistance * np.array([part[1], 0.0]) for resistance, part in ((60.0, first), (40.0, second))]
    z = sum(np.polyval(top, s) / np.polyval(part, s) for top, part in zip(tops, (first, second), strict=True))
    across = np.polyadd(np.polymul(tops[0], second), np.polymul(tops[1], first))
    poles = upper(np.polyadd(across, LINE * np.polymul(first, second)))
    return ((z - LINE) / (z + LINE))[:, None, None], poles


def rotating(omega: np.ndarray, q: float) -> tuple[np.ndarray, np.ndarray]:
    """S of one mode of rotating waves, which has no pole at a negative frequency."""
    pole = 1j * GIGAHERTZ - GIGAHERTZ / 2 / q
    return (1 + 1.2 * pole.real / (1j * omega - pole))[:, None, None], np.array([pole])


def upper(polynomial: np.ndarray) -> np.ndarray:
    """Its roots of positive frequency, by rising frequency."""
    roots = np.roots(polynomial)
    return np.array(sorted(roots[roots.imag > 0], key=lambda root: root.imag))


def measured(omega: np.ndarray, s: np.ndarray, noise: float, seed: int = 0, cables: Any = 0.0, **kind: Any) -> Any:
    """Data behind cables of so many seconds."""
    rng, cables = np.random.default_rng(seed), np.broadcast_to(cables, s.shape[1])
    s = s * np.exp(-1j * omega[:, None, None] * (cables[:, None] + cables))
    s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    return nr.FieldData(omega, s, **({"measured": True} | kind))


def scores(fit: Any, poles: np.ndarray) -> np.ndarray:
    """What ω and γ are off by, in standard errors."""
    off = np.concatenate([fit.coefficients.omega - poles.imag, fit.coefficients.gamma + poles.real])
    return off / np.concatenate([fit.stderr.omega, fit.stderr.gamma])


OCTAVE = GIGAHERTZ * np.linspace(0.65, 1.35, 101)
WIDE = GIGAHERTZ * np.linspace(0.6, 1.5, 101)


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
@pytest.mark.parametrize(
    ("device", "omega", "cables", "modes"),
    [
        (parallel, WIDE, (0.3e-9, 0.7e-9), 1),
        (parallel, WIDE, (3e-9, 5e-9), 1),
        (tanks, WIDE, 1e-9, 2),
        (lambda omega: series(omega, 3.0), GIGAHERTZ * np.linspace(0.5, 1.5, 201), 0.0, 1),
        (lambda omega: series(omega, 10.0), GIGAHERTZ * np.linspace(0, 2, 201), 0.0, 1),
        (tanks, WIDE, 1e-9, "auto"),
    ],
    ids=["two-port", "long cables", "two resonances", "Q 3", "from DC", "auto"],
)
def test_poles_of_networks_scatter_by_their_errors(device: Any, omega: Any, cables: Any, modes: Any) -> None:
    s, poles = device(omega)
    found = []
    for seed in range(12 if modes == "auto" else 40):
        fit = op.fit_modes(measured(omega, s, 1e-3, seed, cables), modes)
        assert fit.negative_frequency_poles
        found.append(scores(fit, poles))
    # χ² of the numbers of all draws; those of one fit are correlated, so that it scatters by at most twice as much.
    count = np.size(found)
    assert abs(np.sum(np.square(found)) / count - 1) < 5 * 2 * np.sqrt(2 / count) + 0.1  # and noise that is estimated
