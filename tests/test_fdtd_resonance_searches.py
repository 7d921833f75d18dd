"""Searches of resonances beside a guess: of low Q, with a clock, and the same as inside of jit."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd.frequency_domain import resonance
from diffnr.fdtd.scene.media import LIGHT
from diffnr.results import RESULTS

UM, THZ = 1e-6, 2e12 * np.pi
INDEX, THICKNESS = 11.68**0.5, 20 * UM


@pytest.fixture(scope="module")
def box() -> fdtd.Update:
    grid = fdtd.Grid.uniform((0.0, 24 * UM), (0.0, 14 * UM), 2 * UM)
    return fdtd.Update.of(fdtd.Scene.of(grid, fdtd.Dielectric(11.68)))


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("off", [0.93, 1.05])
def test_a_resonance_of_low_q_is_found_by_guess(order: int, off: float) -> None:
    """A slab in vacuum: ω = mπc/nL, γ = (c/nL) ln((n + 1)/(n − 1)), Q = 2.6 m."""
    layer, cell = fdtd.MatchedLayer(16), 1 * UM
    grid = fdtd.Grid.uniform((0.0, 100 * UM), (0.0, 2 * cell), cell)
    slab = fdtd.Rectangle([40 * UM, 40 * UM + THICKNESS], [-1.0, 1.0]), fdtd.Dielectric(INDEX**2)
    ends = fdtd.Boundaries(layer, layer, fdtd.Bloch(), fdtd.Bloch())
    update = fdtd.Update.of(fdtd.Scene.of(grid, fdtd.Dielectric(1.0), [slab], ends))
    omega = order * np.pi * LIGHT / (INDEX * THICKNESS)
    gamma = LIGHT / (INDEX * THICKNESS) * np.log((INDEX + 1) / (INDEX - 1))
    mode = fdtd.resonances(update, off * omega)
    # The lattice's dispersion along x, (kΔ)²/24, and a tenth for what the faces add.
    dispersion = (INDEX * omega / LIGHT * cell) ** 2 / 24
    assert float(1 - mode.omega[0] / omega) == pytest.approx(dispersion, rel=0.1)
    assert mode.gamma[0] == pytest.approx(gamma, rel=5e-4)  # of second order too, measured 3e-4 at most
    assert mode.q[0] == pytest.approx(omega / 2 / gamma, rel=1.2 * dispersion)


@pytest.mark.slow
def test_known_numbers_and_traced_ones_give_the_same(box: fdtd.Update) -> None:
    guess = 1.9 * THZ
    known = fdtd.resonances(box, guess, 2)
    traced = jax.jit(lambda omega: fdtd.resonances(box, omega, 2))(guess)
    # The iteration's round-off.
    np.testing.assert_allclose(known.omega, traced.omega, rtol=1e-13)
    np.testing.assert_allclose(known.fields.hz, traced.fields.hz, atol=1e-8 * np.max(np.abs(traced.fields.hz)))
    assert known.count == traced.count == 2


def test_a_search_that_is_stopped_says_so_and_keeps_what_it_found(
    box: fdtd.Update, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The clock stands still until the first mode is shown."""
    now = [0.0]

    class Bar(resonance.ProgressBar):
        def show(self, step: int, text: str) -> None:
            super().show(step, text)
            now[0] = 10.0

    monkeypatch.setattr(resonance, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(resonance, "ProgressBar", Bar)
    found = fdtd.resonances(box, 1.9 * THZ, 2, max_seconds=5, progress=True, throw=False)
    assert bool(found.result == RESULTS.out_of_time)
    assert found.message.startswith("The search was stopped after max_seconds")
    assert found.valid.tolist() == [True, False]
    assert np.isfinite(found.omega[0])
    assert "1/2  of modes nearest to the guess" in capsys.readouterr().err
    now[0] = 0.0
    with pytest.raises(RuntimeError, match="The search was stopped after max_seconds"):
        fdtd.resonances(box, 1.9 * THZ, 2, max_seconds=5)


def test_no_clock_runs_inside_of_jit(box: fdtd.Update) -> None:
    with pytest.raises(ValueError, match="Argument max_seconds must be None where numbers are traced"):
        jax.jit(lambda omega: fdtd.resonances(box, omega, max_seconds=1.0).omega)(jnp.asarray(1.9 * THZ))
