"""What the examples of oscillators draw is what others published, what perturbation says, and what time says."""

import sys

import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)
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
    assert "\r[####################] 9/9  9 harmonics, 3 pieces  " in terminal.text
    [response] = data.responses
    # By an independent continuation, to its digits; the main branch has the other four folds.
    np.testing.assert_allclose(np.sort(response.folds.omega[4:]), [1.5144525440, 2.5119466084], atol=1e-10)
    assert "closed loop" in response.message
    here = response.at(module.KNOCKED).trim()
    norms = np.asarray(here.norm[:, 0])
    assert norms.size == 3
    top = int(np.argmax(norms))
    assert here.stable[top]
    assert data.knocked == pytest.approx(norms[top], rel=1e-4)  # where a motion counts as settled
    # Sweeps stay on the main branch, which at the knock's frequency is the least of the three.
    for swept in (data.up, data.down[::-1]):
        assert np.max(swept[:, 1]) < 0.6
        assert float(np.interp(module.KNOCKED, *swept.T)) == pytest.approx(np.min(norms), rel=0.2)  # steps of .55


@pytest.mark.slow
def test_a_bistable_beam_softens_within_a_well() -> None:
    module = example("bistable_beam")
    weak = module.compute(small=True).weak
    swing = np.asarray(module.swing(weak))
    top = int(np.nanargmax(swing))
    # Of the well, x = 1 + u with u'' + u + 3/2 u² + 1/2 u³: 3/8 · 1/2 − 5/12 · 9/4 = −3/4, and a⁴ next.
    a = np.sqrt(2) * swing[top]
    assert float(weak.omega[top]) == pytest.approx(1 - 0.75 * a**2, abs=a**4)
    assert not np.any(np.asarray(weak.stable)[np.asarray(weak.piece) == 0])  # on top of the hill
    # A motion that settles in either well is on a branch.
    for well in (-1.0, 1.0):
        settled = duffing.settle(module.BEAM, nr.Drive(1.1, module.WEAK), x0=[well], v0=[0.0])
        found = weak.at(1.1).trim()
        norm, mean = np.asarray(found.norm[:, 0]), np.asarray(found.b[:, 0, 0].real)
        apart = np.where(mean * well > 0, np.abs(norm - float(settled.norm[0])), np.inf)
        assert np.min(apart) < 1e-4  # where it counts as settled
        assert found.stable[int(np.argmin(apart))]
