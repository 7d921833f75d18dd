"""How many resonances `fit_modes(data)` chooses, from devices of known number, and what it says of the choice."""

import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr.data import FieldData
from optimize.mode_fit.choice import Candidate, ModeChoice, criteria
from optimize.mode_fit.fit_modes import fit_modes
from slow import slow_except

MEASURED = Path(__file__).parent / "data" / "measured"
X = np.linspace(-1, 1, 301)


def device(poles: list[complex], noise: float, *, delays: tuple[float, float] = (0.0, 0.0), seed: int = 0) -> FieldData:
    """A two-port with these poles, each as strong as its width in both directions, behind lines."""
    rng = np.random.default_rng(seed)
    s = np.broadcast_to(np.array([[0.3, 0.6], [0.5j, -0.2]]), (X.size, 2, 2)).astype(complex)
    for pole in poles:
        d, k = (rng.normal(size=(2, 2)) @ [1, 1j] for _ in range(2))
        # At least half of the width in every entry, so that none is dark by chance.
        strength = 0.5 * np.outer(d / np.abs(d), k / np.abs(k))
        s = s - pole.real * strength / (1j * X - pole)[:, None, None]
    phase = np.exp(-1j * X[:, None] * np.array(delays))
    s = s * phase[:, :, None] * phase[:, None, :]
    s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    return FieldData(X, s, sigma=noise or None)


@pytest.mark.parametrize(
    ("poles", "noise", "delays"),
    slow_except(
        [
            ([-0.03 + 0.2j, -0.03 + 0.23j], 1e-3, (0.0, 0.0)),  # half a width apart
            ([-0.05 - 0.3j], 1e-2, (0.0, 0.0)),
            ([-0.05 - 0.3j, -0.02 + 0.4j], 1e-3, (3.0, 5.0)),
            ([-0.05 - 0.3j, -0.02 + 0.4j, -0.1 + 0.1j], 1e-6, (0.0, 0.0)),
            ([-0.05 - 0.3j, -0.02 + 0.4j, -0.1 + 0.1j, -0.01 - 0.7j], 1e-9, (1.0, 0.3)),
            ([-0.05 - 0.3j, -0.02 + 0.4j, -0.1 + 0.1j, -0.01 - 0.7j], 1e-2, (0.0, 0.0)),
        ],
        0,
        2,
    ),
)
def test_the_number_of_modes_is_found(poles: list[complex], noise: float, delays: tuple[float, float]) -> None:
    fit = fit_modes(device(poles, noise, delays=delays), delay=any(delays))
    assert fit.choice is not None
    assert fit.choice.chosen == len(poles)
    assert fit.verdict.noise_like
    assert fit.concerns == []
    order = np.argsort(np.imag(poles))
    off = np.asarray(fit.coefficients.omega) - np.imag(poles)[order]
    assert np.all(np.abs(off) < 5 * np.asarray(fit.stderr.omega))  # five standard errors


@pytest.mark.parametrize("noise", slow_except([1e-3, 0.0, 1e-9], 0))
def test_a_degenerate_pair_counts_as_two(noise: float) -> None:
    rng = np.random.default_rng(1)
    s = np.zeros((X.size, 2, 2), complex)
    s[:, 0, 1] = s[:, 1, 0] = 1 - 1.2 * 0.05 / (1j * X + 0.05)
    s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    assert len(fit_modes(FieldData(X, s)).coefficients.omega) == 2


def test_the_choice_tells_what_it_rests_on_and_is_saved(tmp_path: Path) -> None:
    fit = fit_modes(device([-0.05 - 0.3j], 1e-3))
    choice = fit.choice
    assert isinstance(choice, ModeChoice)
    np.testing.assert_array_equal(choice.modes, [0, 1, 2])
    # 8 of a direct path, and 2 of a pole and 6 of a residue of rank one for each mode.
    np.testing.assert_array_equal(choice.unknowns[:2], [8, 16])
    assert float(choice.criterion[1]) == 0.0
    # Noise leaves a pole less than χ² of the 8 unknowns that it takes, some log 2408 each.
    assert 8 * np.log(2408) > float(choice.criterion[2]) > 0
    report = fit.report()
    assert choice.sentence in report
    assert choice.table() in report
    assert "1       16" in choice.table()
    assert choice.correlation == 0.0
    nr.save(tmp_path / "fit.npz", fit)
    loaded = nr.load(tmp_path / "fit.npz")
    assert loaded.choice.chosen == 1
    assert loaded.report() == report


def test_systematic_errors_do_not_make_modes() -> None:
    """A path that varies as no polynomial of the fit does: modes that stand for it are told, and not chosen."""
    data = device([-0.02 + 0.2j], 1e-4)
    ripple = 1 + 0.1 * X**3 * np.array([[1, 1j], [-1, 2]])[:, :, None]
    fit = fit_modes(FieldData(X, np.asarray(data.s) * ripple.transpose(2, 0, 1), sigma=1e-4))
    assert fit.choice is not None
    assert fit.choice.chosen == 1
    assert fit.choice.correlation > 0.5
    assert "as systematic errors leave them" in fit.report()
    assert not fit.complete
    assert any("would describe the data better than 1, but mode" in sentence for sentence in fit.concerns)


def test_correlated_residuals_count_as_fewer_numbers() -> None:
    """ν (−2 log L) + p log(ν n), with ν = (1 − .5)/(1 + .5) of the fit that is closest."""
    parts: dict = {"data": None, "coefficients": None, "stderr": None, "rms": 0.0, "least": 0.0, "noise_like": False}
    tried = [
        Candidate(**parts, unknowns=unknowns, deviance=deviance, numbers=600, correlation=rho, response=None)
        for unknowns, deviance, rho in ((8, 1000.0, 0.9), (16, 940.0, 0.5))
    ]
    criterion, correlation = criteria(tried)
    assert correlation == 0.5
    # Of 600 independent numbers the larger one would be chosen: 60 > 8 log 600.
    np.testing.assert_allclose(criterion, [1000 / 3 + 8 * np.log(200), 940 / 3 + 16 * np.log(200)], rtol=1e-14)
    assert criterion[0] < criterion[1]


@pytest.mark.slow
def test_the_measured_resonator_has_two_lines() -> None:
    fit = fit_modes(nr.read_touchstone(MEASURED / "skrf_resonator_36mm.s2p"))
    # The lines are read off |S21| to its grid of 10 MHz; the third at 5.9 GHz lies outside of the band.
    np.testing.assert_allclose(np.asarray(fit.coefficients.omega) / (2e9 * np.pi), [1.96, 3.93], atol=0.01)


@pytest.mark.parametrize(
    "path", [0.7 * np.exp(-4j * X), 0.5 + 0.1j + 0 * X, 0j * X], ids=["a line", "a constant", "noise alone"]
)
def test_data_without_a_resonance_are_one_sentence(path: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    s = path + 1e-3 * (rng.normal(size=X.size) + 1j * rng.normal(size=X.size))
    for sigma in (None, 1e-3):
        with pytest.raises(ValueError, match=r"^Argument data must show a resonance in their band, but a direct path"):
            fit_modes(FieldData(X, s, sigma=sigma, measured=True))


@pytest.mark.parametrize("delay", slow_except([0.0, 2.0], 0))
def test_a_resonance_of_the_other_phasors_is_told_from_none(delay: float) -> None:
    line = 0.05 / (1j * (X - 0.1) + 0.1)
    s = np.moveaxis(np.array([[-line, 1 - line], [1 - line, -line]]), 2, 0) * np.exp(-1j * delay * X)[:, None, None]
    s = s + 2e-3 * np.random.default_rng(0).normal(size=(*s.shape, 2)) @ [1, 1j]
    data = FieldData(X, s.conj(), measured=delay > 0)
    if delay:  # modes that do not grow describe a part of it
        assert fit_modes(data).report().startswith("INCOMPLETE: conj(S) is described far better than S")
        return
    with pytest.raises(ValueError, match=r"^Argument data must show a resonance .* but only conj\(S\) does \(1 mode"):
        fit_modes(data)


def test_what_varies_slowly_is_no_resonance() -> None:
    s = 0.5 / (1j * (X - 0.2) + 1.5) + 1e-3 * np.random.default_rng(0).normal(size=(X.size, 2)) @ [1, 1j]
    with pytest.raises(ValueError, match="wider than two thirds of the band"):
        fit_modes(FieldData(X, s, sigma=1e-3))
    with pytest.raises(ValueError, match=r"^Argument data must hold a signal, but was 0"):
        fit_modes(FieldData(X, 0j * X))


def test_too_many_modes_are_refused_at_once() -> None:
    data = FieldData(jnp.linspace(0, 1, 4001), np.ones((4001, 2, 2)) * 0.1j)
    began = time.process_time()
    with pytest.raises(ValueError, match=r"^Argument modes must be at most 20, since .* but was 99"):
        fit_modes(data, 99)
    assert time.process_time() - began < 0.2  # a fit of 20 takes minutes
