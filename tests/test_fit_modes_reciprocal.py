"""`fit_modes(..., reciprocal=True)`: S = Sᵀ demanded, of data that have it and of data that do not."""

import numpy as np
import pytest

from diffnr.data import FieldData
from optimize.mode_fit.fit_modes import fit_modes
from slow import slow_except

OMEGA = np.linspace(8.0, 12.0, 121)


def reciprocal_device(modes: int, ports: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """S [f, out, in] of a lossy device with A = Aᵀ, K = D, C = Cᵀ, and what a fit should find of it."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=shape) + 1j * rng.normal(size=shape)  # noqa: E731
    H, D, C = 0.1 * draw(modes, modes), 0.25 * draw(ports, modes), 0.1 * draw(ports, ports)
    loss = rng.normal(size=(modes, modes))
    A = 1j * (np.diag(np.linspace(9.3, 10.8, modes)) + (H + H.T).real) - 0.15 * np.eye(modes) - 0.01 * loss @ loss.T
    C = C + C.T
    poles, right = np.linalg.eig(A)
    order = np.argsort(poles.imag)
    d, k = D @ right[:, order], np.linalg.inv(right)[order] @ D.T
    s = C + D @ np.linalg.inv(1j * OMEGA[:, None, None] * np.eye(modes) - A) @ D.T
    residues = np.einsum("on,ni->noi", d, k)
    return s, {"omega": poles.imag[order], "gamma": -poles.real[order], "residues": residues, "C": C}


def noisy(s: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return s + sigma * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))


def scores(fit, truth: dict[str, np.ndarray]) -> np.ndarray:
    """How many standard errors numbers are off, of real and imaginary parts."""
    off = {name: np.asarray(getattr(fit.coefficients, name)) - true for name, true in truth.items()}
    errors = {name: np.asarray(getattr(fit.stderr, name)) for name in truth}
    parts = [part(off[name]) / part(errors[name]) for name in ("residues", "C") for part in (np.real, np.imag)]
    return np.concatenate([np.ravel(x) for x in (*parts, *(off[name] / errors[name] for name in ("omega", "gamma")))])


@pytest.mark.parametrize(("modes", "ports"), slow_except([(2, 2), (1, 3), (3, 2), (2, 4)], 0, 1))
@pytest.mark.parametrize("known", [True, False])
def test_errors_are_smaller_and_true(modes: int, ports: int, known: bool) -> None:
    s, truth = reciprocal_device(modes, ports)
    sigma = 1e-3 if known else None
    found = []
    for seed in range(6):
        fit = fit_modes(FieldData(OMEGA, noisy(s, 1e-3, seed), sigma=sigma), modes, reciprocal=True)
        assert fit.complete
        residues = np.asarray(fit.coefficients.residues)
        # Round-off of numbers of size 1, by an inverse of eigenvectors.
        np.testing.assert_allclose(residues, residues.swapaxes(1, 2), atol=1e-12)
        np.testing.assert_allclose(fit.coefficients.C, np.asarray(fit.coefficients.C).T, atol=1e-15)
        found.append(scores(fit, truth))
    if known:
        drawn = np.asarray(fit.scenarios(4).shifts["D"])
        assert np.all(np.isfinite(drawn))
        assert 0 < np.max(np.abs(drawn)) < 0.1  # of numbers of size .3, known to some 1e-3
    # Poles, symmetric residues of rank one, a symmetric C.
    assert fit.rank == 2 * modes + 2 * modes * ports + ports * (ports + 1)
    free = fit_modes(FieldData(OMEGA, noisy(s, 1e-3, 5), sigma=sigma), modes)
    assert fit.rank < free.rank
    ratio = np.asarray(fit.stderr.flatten()) / np.asarray(free.stderr.flatten())
    assert np.all(ratio < (1.001 if known else 1.15))  # exact; of σ that are estimated, to some 5 % each
    # Entries off the diagonal were measured twice. They alone tell the direct path there, but for what A has of it.
    twice = np.asarray(fit.stderr.C.real / free.stderr.C.real)[np.triu_indices(ports, 1)]
    np.testing.assert_allclose(twice, 1 / np.sqrt(2), rtol=0.02 if known else 0.15)
    # Some hundred numbers, few of them independent: their rms is 1 within 1/√(2·6·rank), some 5 to 8 %; four of them.
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("noise", slow_except([1e-3, 0.0, "4 decimals"], 0, 1))
def test_degenerate_modes_of_a_ring_are_found(noise: float | str) -> None:
    """Clockwise and anticlockwise, without any reflection."""
    x = OMEGA - 10.0
    s = np.zeros((len(x), 2, 2), complex)
    s[:, 0, 1] = s[:, 1, 0] = 1 - 0.36 / (1j * (x - 0.02) + 0.3)
    s = np.round(s, 4) if isinstance(noise, str) else noisy(s, noise)
    fit = fit_modes(FieldData(OMEGA, s), 2, reciprocal=True)
    assert bool(fit.converged)
    assert fit.complete
    # Of a noise of 1e-3 the two are told apart by chance: 121 points, some 20 of them on the line.
    bound = 5e-3 if noise == 1e-3 else 5e-4
    np.testing.assert_allclose(fit.coefficients.gamma, 0.3, rtol=bound)
    np.testing.assert_allclose(fit.coefficients.omega, 10.02, atol=0.3 * bound)


def test_what_was_not_measured_follows_from_what_was() -> None:
    s, truth = reciprocal_device(1, 2)
    part = noisy(s, 1e-3)
    part[:, :, 1] = np.nan  # port 2 was not driven
    data = FieldData(OMEGA, part, sigma=1e-3)
    free, fit = fit_modes(data, 1), fit_modes(data, 1, reciprocal=True)
    assert np.isnan(np.asarray(free.stderr.residues)[0, 1, 1])
    off = abs(complex(fit.coefficients.residues[0, 1, 1]) - truth["residues"][0, 1, 1])
    assert off < 5 * abs(complex(fit.stderr.residues[0, 1, 1])) < 0.1 * abs(truth["residues"][0, 1, 1])
    assert np.isnan(np.asarray(fit.stderr.C)[1, 1])  # of the direct path nothing is known there
    rates = [2 * np.pi * float(width) for width in fit.resonances[0].fwhm_external]
    np.testing.assert_allclose(rates, np.abs(np.diagonal(truth["residues"][0])), rtol=0.05)
    assert np.isnan(float(free.resonances[0].q_external[1]))


def test_entries_given_twice_without_own_noise_count_once() -> None:
    """As simulators write them: S12 is S21, with its noise."""
    s, truth = reciprocal_device(1, 2)
    s = noisy(s, 1e-3)
    s[:, 0, 1] = s[:, 1, 0]
    fit = fit_modes(FieldData(OMEGA, s), 1, reciprocal=True)
    apart = fit_modes(FieldData(OMEGA, s, sigma=1e-3), 1, reciprocal=True)
    both = [np.asarray(f.stderr.C)[1, 0].real for f in (fit, apart)]
    # 1/√2 too small where σ says that their noise is their own; σ from 121 points is known to 5 %.
    assert both[0] == pytest.approx(np.sqrt(2) * both[1], rel=0.15)
    assert np.all(np.abs(scores(fit, truth)) < 5)


def test_data_that_are_not_reciprocal_are_missed_and_it_is_said() -> None:
    s, _ = reciprocal_device(1, 2)
    s[:, 1, 0] *= 1.2
    fit = fit_modes(FieldData(OMEGA, noisy(s, 1e-3), sigma=1e-3), 1, reciprocal=True)
    first = fit.report().splitlines()[0]
    assert first.startswith("INCOMPLETE: The model misses S12")
    assert "S21" in first
    assert "fit them without reciprocal=True" in first


def test_energies_keep_their_gauge() -> None:
    """Of one mode with d = k, energies are what S says already: they agree, and their scale is no unknown."""
    s, truth = reciprocal_device(1, 2)
    rate = np.abs(np.diagonal(truth["residues"][0]))
    line = 1 / np.abs(1j * (OMEGA - truth["omega"][0]) + truth["gamma"][0]) ** 2
    energy = rate * line[:, None] * (1 + 0.01 * np.random.default_rng(0).normal(size=(len(OMEGA), 2)))
    data = FieldData(OMEGA, noisy(s, 1e-3), sigma=1e-3, energy=energy, sigma_energy=0.01 * rate * line[:, None])
    fit = fit_modes(data, 1, reciprocal=True)
    off = np.asarray(fit.coefficients.outcoupling)[:, 0] - rate
    assert np.all(np.abs(off) < 5 * np.asarray(fit.stderr.outcoupling)[:, 0])
    np.testing.assert_allclose(fit.coefficients.outcoupling, fit.coefficients.incoupling, rtol=1e-12)
