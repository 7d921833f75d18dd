"""What the examples of oscillators draw is what others published, what perturbation says, and what time says."""

import re
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import duffing
from diffnr.duffing.special_points import folds, rows_of
from example_scripts import close_figures, drawn_values, example  # noqa: F401 (a fixture that acts by itself)
from systems import central_difference
from terminal import Terminal


@pytest.mark.slow
def test_nlvib_s_examples_come_out_as_published(capsys: pytest.CaptureFixture) -> None:
    """Folds, their norms, the peak and the Neimark–Sacker points by an independent continuation, to its digits."""
    example("nlvib_examples").main(small=True)
    printed = capsys.readouterr().out
    for number in (
        "folds at omega = 1.2696019555 (norm 1.9978512699), 1.1157002518 (norm 0.7650010984)",
        "(norm 2.0015185235)",
        "folds at omega = 1.2146262252",
        "1.2062194574",
        "points at omega = 1.1127112391",
        "1.1957366691",
    ):
        assert number in printed


@pytest.mark.slow
def test_the_absorber_s_isola_is_found_by_search_and_by_a_knock(monkeypatch: pytest.MonkeyPatch) -> None:
    module, terminal = example("absorber_isola"), Terminal(lambda: None, 0)
    monkeypatch.setattr(sys, "stderr", terminal)
    data = module.compute(small=True)
    assert re.search(r"\r\[#{20}\] 18/18  9 harmonics, \d+ pieces", terminal.text)
    [response] = data.responses
    # By an independent continuation, to its digits; the main branch has the other four folds.
    np.testing.assert_allclose(np.sort(response.folds.omega[4:]), [1.5144525440, 2.5119466084], atol=1e-10)
    assert "closed loop" in response.message
    omega, norm, stable = (np.asarray(x) for x in (response.omega, response.norm[:, 0], response.stable))
    isola = (np.asarray(response.piece) == 2) & stable
    order = np.argsort(omega[isola])
    there = np.interp(module.KNOCKED, omega[isola][order], norm[isola][order])
    assert data.knocked == pytest.approx(there, rel=1e-3)  # straight between points
    # The isola's folds move with the force as their derivative says; no other piece has an interval here.
    on = np.asarray(response.piece) == 2
    piece = jnp.where(on, response.piece, -jnp.arange(on.size) - 1)

    @jax.jit
    def corners(amplitude: jax.Array) -> jax.Array:
        driven = eqx.tree_at(lambda driven: driven.amplitude, response.driven, amplitude)
        return folds(driven, rows_of(driven, response.points), response.slope, piece, 2)[1]

    slope, force = jax.jacfwd(corners)(response.amplitude), response.amplitude
    np.testing.assert_allclose(slope, central_difference(corners, force, 1e-3), rtol=1e-6)  # Newton to 1e-12; O(step⁶)
    # Sweeps stay on the main branch.
    for swept in (data.up, data.down[::-1]):
        assert np.max(swept[:, 1]) < 0.6


@pytest.mark.slow
def test_a_bistable_beam_softens_within_a_well_and_swings_across_both(monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("bistable_beam")
    data = module.compute()
    weak, swing = data.weak, np.asarray(module.swing(data.weak))
    top = int(np.nanargmax(swing))
    # Of the well, x = 1 + u with u'' + u + 3/2 u² + 1/2 u³: 3/8 · 1/2 − 5/12 · 9/4 = −3/4, and a⁴ next.
    a = np.sqrt(2) * swing[top]
    assert float(weak.omega[top]) == pytest.approx(1 - 0.75 * a**2, abs=a**4)
    assert not np.any(np.asarray(weak.stable)[np.asarray(weak.piece) == 0])  # on top of the hill
    # All orbits once, and their mirror images: one on the hill, two from well to well, three within either.
    orbits = data.orbits
    norm, mean = np.asarray(orbits.norm[:, 0]), np.asarray(orbits.b[:, 0, 0].real)
    assert norm.size == 9
    assert [int(np.sum(side)) for side in (np.abs(mean) < 1e-9, mean < -0.1, mean > 0.1)] == [3, 3, 3]
    np.testing.assert_allclose(np.sort(norm[mean > 0.1]), np.sort(norm[mean < -0.1]), rtol=1e-9)  # Newton to round-off
    assert int(np.sum(orbits.stable)) == 3
    monkeypatch.setattr(module, "compute", lambda: data)
    figure = module.main(small=True)
    assert np.all(np.isfinite(drawn_values(figure)[-100:]))


def test_beams_are_shown_in_the_right_well_only() -> None:
    """Of mirror images the left one has no height."""
    b = np.array([[[-0.9, 0.1]], [[0.9, 0.1]], [[0.0, 0.1]]]) + 0j
    rest = np.ones(3), np.ones(3), b, np.zeros((3, 2), complex), np.asarray(3)
    points = duffing.Points(*map(jnp.asarray, rest), (0, 1))
    np.testing.assert_allclose(example("bistable_beam").swing(points), [np.nan, *[0.1 / np.sqrt(2)] * 2], rtol=1e-12)
