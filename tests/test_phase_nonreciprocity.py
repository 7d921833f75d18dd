"""Points of equal norms and prescribed phases: roots of independent solvers, and what must hold anyhow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from diffnr.results import RESULTS
from optimize.reciprocity.equal_points import equal_norm_points
from optimize.reciprocity.loci import PhaseNonreciprocityLocus, ReciprocalPoints
from optimize.reciprocity.locus_features import _at_zero, peaks
from optimize.reciprocity.phase_design import design_nonreciprocal_phase
from optimize.reciprocity.phase_locus import phase_nonreciprocity_locus
from optimize.reciprocity.points import EqualNormPoints

PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=9)
EQUAL = nr.replace(PAIR, {"mass_ratio": 1.0})
P = 0.15
BAND = (0.5, 4.0)
NUMBERS = ("mass_ratio", "stiffness_ratio", "cubic_ratio", "coupling", "cubic", "damping")


def points_of(pair: duffing.DuffingPair = PAIR, amplitude=P, band=BAND, **options):
    return equal_norm_points(pair, amplitude=amplitude, band=band, **options)


@pytest.fixture(scope="module")
def points():
    return points_of()


def left_over(b: np.ndarray, omega: float, port: int, pair: duffing.DuffingPair, amplitude: float) -> float:
    """What an orbit b [oscillator, harmonic] of odd harmonics leaves of the equations of motion at its harmonics."""
    h = np.arange(1, 2 * b.shape[1], 2)
    waves = np.exp(1j * np.outer(h, 2 * np.pi * np.arange(128) / 128))
    x, v, a = (np.real(b * (1j * h * omega) ** n @ waves) for n in range(3))
    mu, r, alpha, kc, kn, zeta = (float(getattr(pair, name)) for name in NUMBERS)
    first = a[0] + 2 * zeta * v[0] + x[0] + kc * (x[0] - x[1]) + kn * x[0] ** 3
    second = mu * a[1] + 2 * zeta * v[1] + r * x[1] + kc * (x[1] - x[0]) + alpha * kn * x[1] ** 3
    force = np.stack([first, second])
    force[port] -= amplitude * np.real(waves[0])
    return np.abs(force @ waves.conj().T / 128).max()


def test_points_are_those_of_independent_solvers(points) -> None:
    assert points.count == 4
    found = points.trim()
    # The roots were found to 1e-7, by other solvers.
    np.testing.assert_allclose(found.omega, [0.9592978, 1.4558327, 2.3653856, 2.8977953], atol=1.5e-7)
    np.testing.assert_allclose(
        np.asarray(found.nonreciprocal_phase)[[0, 3]], [-0.7099694, 0.3068573], atol=1e-6
    )  # the digits given
    np.testing.assert_allclose(np.asarray(found.reciprocity_norm)[[0, 3]], [0.3560887, 0.0422001], rtol=2e-6)
    np.testing.assert_allclose(found.norm[3], 0.1380644, atol=1e-7)
    np.testing.assert_array_equal(found.stable, [[False, True], [True, True], [True, True], [True, True]])
    np.testing.assert_allclose(np.abs(found.multipliers[0, 0, 0]), 1.1304, atol=5e-5)
    assert np.all(np.isnan(points.omega[4:]))
    np.testing.assert_array_equal(points.valid, [True] * 4 + [False] * 4)


def test_points_solve_the_equations_of_motion(points) -> None:
    found = points.trim()
    for omega, b in zip(found.omega, found.b, strict=True):
        for port in (0, 1):
            # Newton's method leaves round-off of forces up to 10; harmonics beyond H are not looked at.
            assert left_over(np.asarray(b[:, port]), float(omega), port, PAIR, P) < 1e-13
    power = np.sum(np.abs(np.asarray(found.outputs)) ** 2, axis=-1)
    np.testing.assert_allclose(power[:, 0], power[:, 1], rtol=1e-12)  # round-off, and what Newton's method leaves
    np.testing.assert_allclose(found.norm, np.sqrt(power[:, 1] / 2), rtol=1e-12)


def test_curves_that_all_but_coincide_cross_where_they_do() -> None:
    weak = points_of(amplitude=0.03).trim()
    # Between the resonances the two norms differ by 1e-5 of themselves, less than chords of their curves do.
    assert weak.count == 4
    np.testing.assert_allclose(weak.omega[1:3], [1.4555, 2.3653], atol=1e-4)  # near those for P = .15: P² of them
    assert points_of(EQUAL).count == 0  # N_F = N_B everywhere: no point of its own


def test_no_start_raises_or_is_empty() -> None:
    soft = nr.replace(PAIR, {"cubic": -1.0})  # whose springs give way to a strong force: no orbit is left
    with pytest.raises(RuntimeError, match="No solution was found at the start of the branch"):
        points_of(soft, amplitude=50.0, band=(0.2, 1.0))
    empty = points_of(soft, amplitude=50.0, band=(0.2, 1.0), throw=False)
    assert empty.count == 0
    assert np.all(np.isnan(empty.omega))


def test_peaks_stand_out_on_both_sides() -> None:
    values = jnp.array([1.0, 2.0, 1.0, 5.0, 9.0, 4.0, 2.5, 3.0, jnp.inf])
    np.testing.assert_array_equal(np.flatnonzero(peaks(values)), [4])


def test_a_cubic_is_interpolated_exactly() -> None:
    x = jnp.array([-2.0, -0.5, 1.0, 3.0])
    y = jnp.stack([1 + 2 * x - x**3, 4 * x**2 - 3], axis=1)
    np.testing.assert_allclose(_at_zero(x, y), [1, -3], atol=1e-14)


def test_one_message_speaks_of_both_ends_of_a_locus() -> None:
    nothing = jnp.zeros(0)

    def ended(*result) -> PhaseNonreciprocityLocus:
        points = EqualNormPoints(nothing, jnp.zeros((0, 2, 2, 1), complex), jnp.zeros((0, 2, 4), complex), *count)
        zeros = ReciprocalPoints(nothing, points, nothing > 0)
        return PhaseNonreciprocityLocus(nothing, points, nothing > 0, nothing > 0, zeros, result, "damping")

    count = jnp.asarray(0), RESULTS.successful, (1,)
    good, turned, nowhere = RESULTS.successful, RESULTS.turned, RESULTS.no_point
    assert ended(good, good).converged
    assert ended(good, good).message == "The locus reaches both bounds."
    assert not ended(good, turned).converged
    assert ended(good, turned).message == f"Downwards: {RESULTS[good]} Upwards: {RESULTS[turned]}"
    assert ended(nowhere, nowhere).message == RESULTS[nowhere]


# --- prescribed phases


def design(phase, free, resonance: int = 1, **options):
    return design_nonreciprocal_phase(PAIR, amplitude=P, phase=phase, free=free, resonance=resonance, **options)


def nearest(pair: duffing.DuffingPair, omega, amplitude=P):
    found = points_of(pair, amplitude)
    best = int(jnp.nanargmin(jnp.abs(found.omega - omega)))
    return found.omega[best], found.nonreciprocal_phase[best], found.reciprocity_norm[best]


@pytest.mark.slow
def test_a_phase_is_met_by_one_number() -> None:
    made = design(0.25, "stiffness_ratio")
    assert made.converged
    assert made.values["stiffness_ratio"] == made.model.stiffness_ratio
    # The points of the new pair, found without knowing of the design; both are roots to round-off.
    np.testing.assert_allclose(nearest(made.model, made.omega), [made.omega, 0.25, made.reciprocity_norm], rtol=1e-9)
    assert float(made.nonreciprocal_phase) == pytest.approx(0.25, abs=1e-12)
    assert float(made.change) == pytest.approx(abs(float(made.model.stiffness_ratio) - 1), rel=1e-12)
    assert np.all(made.stable)
    for text in ("The phase asked for is met", "stiffness_ratio", "asked for 0.25", "forward True"):
        assert text in made.report()


@pytest.mark.slow
def test_what_cannot_be_met_says_so_and_is_nan() -> None:
    beyond, missing = design(-1.0, "amplitude"), design(0.25, "amplitude", resonance=None, point=7)
    assert beyond.result == RESULTS.out_of_bounds
    assert missing.result == RESULTS.no_point
    short = design(0.9, "amplitude", max_steps=200)
    assert short.converged
    # At Δφ = 0 the stiffness ratio is not determined: two branches of N_F = N_B cross.
    double = design(0.0, "stiffness_ratio")
    for made in (beyond, missing, double):
        assert not made.converged
        assert made.message == str(RESULTS[made.result])
        numbers = made.omega, made.norm, made.nonreciprocal_phase, made.reciprocity_norm, made.change
        assert np.all(np.isnan([*numbers, *made.values.values()]))
        assert not np.any(made.stable)


@pytest.mark.slow
def test_a_design_is_differentiable_in_the_phase() -> None:
    def ratio(phase):
        return design(phase, "stiffness_ratio").values["stiffness_ratio"]

    own = points_of().nonreciprocal_phase[3]
    # dΔφ/dr by independent solvers, to the digits given.
    assert float(1 / jax.jacfwd(ratio)(own)) == pytest.approx(-0.034840, abs=5e-7)
    h = 1e-4
    central = (ratio(0.25 + h) - ratio(0.25 - h)) / (2 * h)  # h² of it is left, and 1e-11 / h of round-off
    assert float(jax.jacfwd(ratio)(0.25)) == pytest.approx(float(central), rel=1e-6)


@pytest.mark.slow
def test_several_numbers_change_as_little_as_can_be() -> None:
    free = ("stiffness_ratio", "coupling", "cubic_ratio", "amplitude")
    made = design(0.5, free)
    assert made.converged
    pair, amplitude = made.model, made.amplitude
    found = nearest(pair, made.omega, amplitude)
    np.testing.assert_allclose(found, [made.omega, 0.5, made.reciprocity_norm], rtol=1e-9)  # roots to round-off

    # At the least change, relative changes are along the gradient of Δφ, here by central differences.
    own = np.array([1.0, 5.0, 1.0, P])
    now = np.array([float(made.values[name]) for name in free])
    changes, h, slope = now / own - 1, 1e-4, []
    for i in range(4):
        sides = []
        for sign in (1, -1):
            values = now + sign * h * own * (np.arange(4) == i)
            sides.append(nearest(nr.replace(PAIR, dict(zip(free[:3], values, strict=False))), made.omega, values[3])[1])
        slope.append(float(sides[0] - sides[1]) / (2 * h))
    # Differences are good to h² = 1e-8 and to 1e-12 / h of round-off.
    np.testing.assert_allclose(changes / np.linalg.norm(changes), slope / np.linalg.norm(slope), atol=1e-6)
    assert float(made.change) == pytest.approx(np.linalg.norm(changes), rel=1e-12)
    for name in free:
        alone = design(0.5, name)
        assert not alone.converged or float(alone.change) > float(made.change)


# --- derivatives, batches


@pytest.mark.slow
def test_gradients_are_those_of_central_differences() -> None:
    def numbers(values):
        found = points_of(duffing.DuffingPair(*values[:6], num_harmonics=9), values[6])
        return jnp.stack([found.omega, found.nonreciprocal_phase, found.reciprocity_norm])

    own = jnp.array([2.0, 1.0, 1.0, 5.0, 1.0, 0.05, P])
    slopes = jax.jacfwd(numbers)(own)
    assert np.all(np.isfinite(slopes[:, :4]))
    r = NUMBERS.index("stiffness_ratio")
    np.testing.assert_allclose(slopes[:2, 3, r], [0.025583, -0.034840], atol=5e-7)  # by independent solvers
    for i in range(7):
        h = 1e-4 * own[i]
        central = (numbers(own.at[i].add(h)) - numbers(own.at[i].add(-h))) / (2 * h)
        for point in (0, 3):
            # 1e-4 is asked for; differences are good to h² of curvatures, largest next to the forward fold.
            np.testing.assert_allclose(slopes[:, point, i], central[:, point], rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_empty_lanes_have_derivatives_of_no_harm() -> None:
    def total(mass_ratio):
        found = points_of(nr.replace(PAIR, {"mass_ratio": mass_ratio}))
        return jnp.sum(jnp.where(found.valid, found.omega, 0.0))

    slope = jax.grad(total)(jnp.asarray(2.0))
    h = 1e-4
    central = (total(jnp.asarray(2.0 + h)) - total(jnp.asarray(2.0 - h))) / (2 * h)
    assert float(slope) == pytest.approx(float(central), rel=1e-5)  # h² of it
    assert float(jax.grad(total)(jnp.asarray(1.0))) == 0.0  # mirror symmetry: no points at all


@pytest.mark.slow
def test_a_batch_is_the_loop() -> None:
    amplitudes = jnp.linspace(0.05, 0.4, 16)
    batch = eqx.filter_vmap(lambda amplitude: points_of(amplitude=amplitude, throw=False).omega)(amplitudes)
    for row, amplitude in zip(batch, amplitudes, strict=True):
        # Roots to round-off of 1e-12, times how loosely equal norms determine them between the resonances.
        np.testing.assert_allclose(row, points_of(amplitude=amplitude).omega, atol=1e-10)
    phases = jnp.linspace(0.1, 0.4, 16)
    ratios = jax.vmap(lambda phase: design(phase, "stiffness_ratio").values["stiffness_ratio"])(phases)
    for ratio, phase in zip(ratios, phases, strict=True):
        np.testing.assert_allclose(ratio, design(phase, "stiffness_ratio").values["stiffness_ratio"], atol=1e-10)


# --- bad input


def locus_of(pair=PAIR, amplitude=P, **options):
    return phase_nonreciprocity_locus(pair, amplitude=amplitude, **options)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: points_of(band=(4.0, 0.5)), r"Argument band must be \(lowest, highest\), in this order"),
        (lambda: points_of(band=(0.0, 0.5)), "Argument band must be positive, but was 0"),
        (lambda: points_of(amplitude=0.0), "Argument amplitude must differ from 0"),
        (lambda: points_of(amplitude=jnp.ones(2)), "Argument amplitude must be a number"),
        (lambda: points_of(most=0), "Argument most must be a whole number of at least 1, but was 0"),
        (lambda: points_of(num_harmonics=0), "Argument num_harmonics must be a whole number of at least 1"),
        (lambda: locus_of(along="mass", bounds=(1, 3), resonance=1), "Argument along must be one of .* but was 'mass'"),
        (
            lambda: locus_of(along="coupling", bounds=(6, 4), resonance=1),
            r"Argument bounds must be \(lowest, highest\)",
        ),
        (lambda: locus_of(along="coupling", bounds=(6, 8), resonance=1), "must enclose the pair's own coupling, 5"),
        (lambda: locus_of(along="mass_ratio", bounds=(0, 3), resonance=1), "bounds must be positive for mass_ratio"),
        (lambda: locus_of(along="damping", bounds=(-1, 3), resonance=1), "bounds must not be negative for damping"),
        (lambda: locus_of(along="damping", bounds=(0, 3)), "omega, resonance or point must be given, one of them"),
        (lambda: locus_of(along="damping", bounds=(0, 3), omega=1.0, point=1), "but was omega and point"),
        (
            lambda: locus_of(along="damping", bounds=(0, 3), resonance=2),
            "Argument resonance must be a whole number between",
        ),
        (
            lambda: locus_of(along="damping", bounds=(0, 3), point=-1),
            "Argument point must be a whole number",
        ),
        (lambda: design(0.3, ()), "Argument free must name one or several different numbers"),
        (lambda: design(0.3, ("damping", "damping")), "Argument free must name one or several different numbers"),
        (lambda: design(0.3, "num_harmonics"), "Argument free must be one of .* but was 'num_harmonics'"),
        (lambda: design(-np.pi, "damping"), r"Argument phase must lie in \(−π, π\]"),
        (lambda: design(np.nan, "damping"), "Argument phase must be finite"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_single_precision_is_refused() -> None:
    single = jax.tree_util.tree_map(lambda x: x.astype(jnp.float32), PAIR)
    with pytest.raises(ValueError, match="Argument pair must be in float64"):
        points_of(single)
