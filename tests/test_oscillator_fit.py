"""Oscillators fitted to sweeps up and down: to sweeps simulated in time, and on measured beams."""

import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from diffnr import duffing
from diffnr.frequency_sweep import FrequencySweep
from optimize.sweep_fit.fit_oscillators import _look, fit_oscillators
from optimize.sweep_fit.oscillators import SweptOscillators
from optimize.sweep_fit.search import search
from optimize.sweep_fit.table import SweepTable

pytestmark = pytest.mark.slow  # each test compiles a program of its own, for many seconds

BEAMS = Path(__file__).parent / "data" / "measured"


def oscillators(frequency, damping, cubic, force, coupling=(), scale=()) -> SweptOscillators:
    arrays = (jnp.asarray(x, float) for x in (frequency, damping, [cubic], force, coupling, scale))
    return SweptOscillators(*arrays)


@jax.jit
def slow_flow(truth: SweptOscillators, omega: jax.Array, level: jax.Array) -> jax.Array:
    """Measured amplitudes [point, n] as in the laboratory: the phasors' equation of motion is integrated at each
    frequency until it is at rest, from where it rested before.

        2iω X' + (ω_j² − ω² + 2iδω + ¾γ|X|²) X + couplings = F
    """
    n = truth.frequency.size
    links = jnp.zeros((n, n)).at[jnp.arange(n - 1), jnp.arange(1, n)].set(truth.coupling)
    links = jnp.diag(jnp.sum(links + links.T, axis=0)) - links - links.T
    cubic = truth.stiffening[0] * truth.scales**2

    def rest(x, w):
        def rate(x):
            dynamic = truth.frequency**2 - w**2 + 2j * truth.damping * w + 0.75 * cubic * jnp.abs(x) ** 2
            return 1j / (2 * w) * (dynamic * x + links @ x - level * truth.force / truth.scales)

        def step(_, x):  # of Heun
            k = rate(x)
            return x + STEP / 2 * (k + rate(x + STEP * k))

        x = lax.fori_loop(0, 3000, step, x)
        return x, jnp.abs(x) * truth.scales

    return lax.scan(rest, jnp.zeros(n, complex), omega)[1]


STEP = 1.0  # with decays of .005 and detunings of .1 a time unit


def measure(truth: SweptOscillators, band: tuple, level: float = 1.0, noise: float = 0.0, key=None) -> tuple:
    """Sweeps up and down with white noise, a part `noise` of the largest amplitude."""
    omega = jnp.linspace(band[0], band[1], 61)
    rng = np.random.default_rng(key)
    sweeps = []
    for direction, w in (("up", omega), ("down", omega[::-1])):
        a = np.asarray(slow_flow(truth, w, jnp.asarray(level)))
        a = np.abs(a + noise * a.max(axis=0) * rng.normal(size=a.shape))
        sweeps.append(FrequencySweep(w, a, direction, level=level, name=f"level {level:g}"))
    return tuple(sweeps)


ONE = oscillators([0.96], [0.006], [0.2], [0.0135])
ONE_BAND = (0.93, 1.08)
PAIR = oscillators([0.92, 0.99], [0.006, 0.005], [0.17, 0.12], [0.012, 0.014], [0.045], [1.3])
PAIR_BAND = (0.94, 1.12)


def two_levels(noise: float, key: int) -> tuple:
    return measure(ONE, ONE_BAND, 1.0, noise, key) + measure(ONE, ONE_BAND, 0.7, noise, key + 1000)


def test_jumps_are_found_where_a_sweep_leaves_its_branch() -> None:
    up, down = measure(ONE, ONE_BAND, noise=3e-3, key=0)
    assert len(up.jump_after) == len(down.jump_after) == 1
    amplitude = np.asarray(up.amplitude[:, 0])
    assert up.jump_after[0] == np.argmax(amplitude)  # the upper fold is the peak, but for a part in a thousand
    assert np.all(down.jumps[0] < up.jumps[0])
    assert down.jumps[0, 0] > down.jumps[0, 1]
    linear = measure(oscillators([1.0], [0.01], [0.0], [0.02]), ONE_BAND)
    assert linear[0].jump_after == ()


@pytest.mark.slow
def test_exact_sweeps_give_the_oscillator_back() -> None:
    found = fit_oscillators(two_levels(0.0, 0), num_harmonics=1)
    assert found.converged
    # Where the integration came to rest: e^{−δT} = e^{−18} of a jump remains, more just beyond a fold.
    for (name, value, _), true in zip(found.rows(), (0.96, 0.006, 0.2, 0.0135), strict=True):
        assert value == pytest.approx(true, rel=1e-4), name
    np.testing.assert_array_equal(found.jumps.steps_off, 0)


def test_standard_errors_cover_the_truth() -> None:
    pulls = []
    for key in range(5):
        found = fit_oscillators(two_levels(3e-3, key), num_harmonics=1)
        assert found.verdict.noise_like
        assert np.all(found.jumps.steps_off < 0.5)
        pulls += [
            (value - true) / error
            for (_, value, error), true in zip(found.rows(), (0.96, 0.006, 0.2, 0.0135), strict=True)
        ]
    # Of 20 normal numbers: one beyond 3 happens in 5 % of draws, and these are drawn once and for all; 95 % of their
    # root mean squares lie between .69 and 1.31.
    assert np.max(np.abs(pulls)) < 3
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.4


def test_a_given_sigma_is_taken_at_its_word() -> None:
    sweeps = tuple(
        FrequencySweep(s.omega, s.amplitude, s.direction, level=s.level, sigma=3e-3 * jnp.max(s.amplitude))
        for s in two_levels(3e-3, 0)
    )
    found = fit_oscillators(sweeps, num_harmonics=1)
    assert found.verdict.noise_like
    assert found.verdict.inflation == 1
    # Of 244 squares: 1 ± .09; points where the branch is steep count a little less.
    assert 0.75 < found.verdict.chi2_reduced < 1.25


def test_derivatives_of_distances_and_folds() -> None:
    table = SweepTable.of(two_levels(3e-3, 0))
    u, parametrisation = search(table, 3, None, None)

    def look(u):
        return _look(jnp.asarray(u), parametrisation, table, 1)

    def values(u):
        seen = look(u)
        return np.append(seen.fold, 0.5 * np.sum(np.square(seen.difference)))

    seen, step = look(u), 1e-5
    assert np.all(seen.fold_found)
    assert np.all(seen.at.found)
    by = np.stack([(values(u + step * e) - values(u - step * e)) / (2 * step) for e in np.eye(u.size)], axis=1)
    # Roots to 1e-9 over steps of 1e-5; third derivatives of the distance are large near a fold.
    np.testing.assert_allclose(seen.fold_by, by[:-1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.einsum("dj,djp", seen.difference, seen.difference_by), by[-1], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_coupled_pair_on_a_shaken_base() -> None:
    sweeps = measure(PAIR, PAIR_BAND, noise=2e-3, key=1)
    assert sum(len(s.jump_after) for s in sweeps) == 4
    found = fit_oscillators(sweeps, num_harmonics=1)
    names = ("frequency", "damping", "stiffening", "force", "coupling", "scale")
    true = np.concatenate([np.ravel(getattr(PAIR, name)) for name in names])
    for (name, value, error), wanted in zip(found.rows(), true, strict=True):
        assert abs(value - wanted) < 3.5 * error, name  # ten numbers, drawn once
        assert error < 0.05 * abs(wanted), name
    assert np.all(found.jumps.steps_off == 0)
    assert found.verdict.noise_like
    assert "2 coupled oscillators" in found.report()
    assert "scale[0]" in found.report()


def read_beams(name: str) -> tuple:
    with open(BEAMS / name) as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))[1:]
    return tuple(
        FrequencySweep(
            [2 * np.pi * float(row[0]) for row in rows if row[1] == direction],
            [[float(x) for x in row[2:]] for row in rows if row[1] == direction],
            direction,
        )
        for direction in ("up", "down")
    )


def test_one_measured_beam() -> None:
    found = fit_oscillators(read_beams("frid_single_beam_sweep.csv"))
    assert found.converged
    np.testing.assert_array_equal(found.jumps.steps_off, 0)  # both folds between the two points of their jump
    np.testing.assert_allclose(found.jumps.fitted / (2 * np.pi), [40.825, 38.975], atol=0.025)  # half a step
    assert found.misfit[0] < 5e-3
    assert np.mean(found.stable) > 0.95
    # The model itself, in its own units, has these folds on its branch.
    curve = duffing.frequency_response(
        found.model, amplitude=found.oscillators.force[0], omega=(2 * np.pi * 37, 2 * np.pi * 42)
    )
    np.testing.assert_allclose(curve.folds.omega[:2], found.jumps.fitted, rtol=1e-9)  # two solvers
    assert not found.verdict.noise_like
    assert "does not look like noise" in found.report()

    figure = found.plot(amplitude_unit="V")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "Frequency (Hz)"
    assert axes.get_ylabel() == "Amplitude (µV)"
    solid, dashed = (line for line in axes.lines if line.get_color() == "black" and line.get_xdata().size)
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    gaps = [np.sum(np.isnan(line.get_xdata())) for line in (solid, dashed)]
    assert gaps == [1, 0]  # up to the upper fold, and on from the lower; between them


@pytest.mark.slow
def test_two_measured_beams() -> None:
    sweeps = read_beams("frid_two_beam_sweep.csv")
    found = fit_oscillators(sweeps)
    assert found.converged
    assert found.jumps.fitted.size == 4
    np.testing.assert_array_equal(found.jumps.steps_off, 0)
    assert np.all(found.misfit < 0.02)
    assert np.all(np.isfinite([error for *_, error in found.rows()]))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0] * 4, "sideways"),
            "Argument direction must be one of 'up', 'down', but was 's",
        ),
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0] * 4, "down"),
            "Argument omega must go down from point to point, but was",
        ),
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0] * 3, "up"),
            r"Argument amplitude must have shape \(4,\) or \(4, osc",
        ),
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0, -1, 1, 1], "up"),
            "Argument amplitude must not be negative, but was",
        ),
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0, np.nan, 1, 1], "up"),
            "Argument amplitude must be finite, but was",
        ),
        (lambda: FrequencySweep([1.0, 2, 3, 4], [0.0] * 4, "up"), "Argument amplitude must be positive somewhere"),
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0] * 4, "up", port=1),
            "Argument port must be the oscillator 0, the only one, but was 1",
        ),
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0] * 4, "up", sigma=0.0),
            "Argument sigma must be positive, but was",
        ),
        (
            lambda: FrequencySweep([1.0, 2, 3, 4], [1.0] * 4, "up", jump_after=(3,)),
            "Argument jump_after must be a point between 0 and 2, but was 3",
        ),
        (lambda: fit_oscillators(()), "Argument sweeps must hold at least one sweep"),
        (
            lambda: fit_oscillators(FrequencySweep([1.0, 2, 3, 4], [1.0] * 4, "up")),
            "Argument sweeps must have more numbers than 4",
        ),
        (lambda: fit_oscillators(measure(ONE, ONE_BAND), order=4), "Argument order must be 3, 5 or 7, but was 4"),
        (
            lambda: fit_oscillators(measure(ONE, ONE_BAND), num_harmonics=0),
            "Argument num_harmonics must be a whole number of at",
        ),
        (
            lambda: fit_oscillators(measure(ONE, ONE_BAND), starts=0),
            "Argument starts must be a whole number of at",
        ),
        (
            lambda: fit_oscillators(measure(ONE, ONE_BAND) + measure(PAIR, PAIR_BAND)),
            "Argument sweeps must be of the same oscillators, but was",
        ),
        (
            lambda: fit_oscillators(FrequencySweep(np.arange(1, 6, dtype="f4"), np.ones(5, "f4"), "up")),
            "Argument sweeps must be in float64, but was in float32",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
