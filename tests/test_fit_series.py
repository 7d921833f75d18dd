"""Several data sets as one model: what depends on the parameter, joint errors, reversed bias, what is refused."""

from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

import diffnr as nr
import optimize as op
from diffnr.data import FieldData
from optimize.mode_fit.quantities import PAIR
from optimize.series_fit.joint import aligned, chance, combined, placed, reversed_pairs
from optimize.series_fit.result import SeriesFit
from pairs import MHZ, Pair, apart

BIAS = (-1.0, 0.0, 1.0)
SAME = ("gamma", "gamma_0", "omega[1]")


def written(folder: Path) -> list[FieldData]:
    """Three biases, in files: each of a grid and of noise of its own."""
    sets = zip(BIAS, (81, 61, 101), (2e-3, 1e-3, 3e-3), strict=True)
    for k, (bias, points, noise) in enumerate(sets):
        nr.write_touchstone(folder / f"{k}.s2p", Pair.biased(bias).data(noise, seed=k, points=points))
    return [nr.read_touchstone(folder / f"{k}.s2p") for k in range(3)]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SeriesFit:
    return op.fit_series(written(tmp_path_factory.mktemp("series")), BIAS, shared=SAME, name="bias (mT)")


def test_couplings_and_their_phases_over_three_biases_by_one_call(series: SeriesFit) -> None:
    assert bool(series.converged)
    assert series.complete, series.concerns
    kappa = MHZ * 4.0
    truth = {
        "kappa21": kappa * (1 + 0.3 * np.array(BIAS)) / (2 * np.pi),
        "kappa": kappa * np.sqrt(1 - 0.09 * np.array(BIAS) ** 2) / (2 * np.pi),
        "coupling_phase": np.full(3, 0.2),
        "nonreciprocity": 20 * np.log10((1 + 0.3 * np.array(BIAS)) / (1 - 0.3 * np.array(BIAS))),
        "nonreciprocal_phase": 0.4 * np.array(BIAS),
    }
    for name, values in truth.items():
        told = series.coefficient(name)
        # 15 numbers within 3.5 standard errors: by chance missed once in 150 seeds.
        assert np.all(np.abs(told.value - values) < 3.5 * told.error), name
    errors = np.sqrt(np.diagonal(series.covariance)).reshape(3, 10)
    for bias, fitted, error in zip(BIAS, np.asarray(series.coefficients), errors, strict=True):
        assert np.all(np.abs(apart(fitted, Pair.biased(bias).vector)) < 3.5 * error)


def test_what_is_shared_is_one_number_known_better_than_by_any_set(series: SeriesFit) -> None:
    told = np.asarray(series.coefficients)
    for name in ("gamma[0]", "gamma_0[1]", "omega[1]"):
        k = PAIR.names.index(name)
        assert np.ptp(told[:, k]) == 0
        joint = series.coefficient(name).error
        each = [fit.quantity(name).error for fit in series.fits]
        assert np.ptp(joint) < 1e-12 * joint[0]
        assert joint[0] < min(each)
    # The covariance knows that it is one number.
    covariance = np.asarray(series.covariance)
    assert covariance[2, 12] == pytest.approx(covariance[2, 2], rel=1e-9)


def test_the_report_says_what_depends_on_the_bias_and_what_its_reversal_does(series: SeriesFit) -> None:
    constant = series.constancy()
    assert all(constant[name] < 1e-6 for name in ("omega[0]", "kappa12", "kappa21"))
    assert all(p > 1e-3 for name, p in constant.items() if name.partition("[")[0] in ("gamma", "gamma_0"))
    assert series.reversal > 1e-3
    report = series.report()
    varying = next(line for line in report.splitlines() if line.startswith("Beyond their errors vary"))
    assert all(name in varying for name in ("omega[0]", "kappa12", "kappa21"))
    assert "κ12(−B) = κ21(B), all else even, holds within the errors" in report
    rows = [line for line in series.table().splitlines() if line.startswith("| gamma[0] (shared)")]
    assert len(rows) == 1
    assert rows[0].count("±") == 3
    odd_even = series.odd_even("nonreciprocity")
    assert odd_even.parameter.tolist() == [1.0]
    assert abs(odd_even.even[0]) < 3.5 * odd_even.even_error[0]
    assert abs(odd_even.odd[0] - 20 * np.log10(1.3 / 0.7)) < 3.5 * odd_even.odd_error[0]


def test_a_series_is_drawn_saved_and_loaded(series: SeriesFit, tmp_path: Path) -> None:
    figure = series.plot()
    try:
        figure.canvas.draw()
        shown = [ax for ax in figure.axes if ax.get_visible()]
        assert [ax.get_ylabel().partition(" ")[0] for ax in shown][3:] == ["Coupling", "Phase", "Nonreciprocity"]
        x, y = shown[5].containers[0].lines[0].get_data()
        np.testing.assert_allclose(x, BIAS)
        np.testing.assert_allclose(y, series.coefficient("nonreciprocity").value)
    finally:
        plt.close(figure)
    nr.save(tmp_path / "series.npz", series)
    loaded = nr.load(tmp_path / "series.npz")
    for old, new in zip(jax.tree_util.tree_leaves(series), jax.tree_util.tree_leaves(loaded), strict=True):
        np.testing.assert_array_equal(np.asarray(old), np.asarray(new))
    assert loaded.report() == series.report()


def test_sharing_what_varies_is_contradicted() -> None:
    datas = [Pair.biased(bias).data(2e-3, seed=1, points=61, given=True) for bias in (0.0, 1.0)]
    series = op.fit_series(datas, [0.0, 1.0], shared="kappa21")
    assert not series.complete
    assert series.report().startswith("INCOMPLETE: The data contradict that kappa21 are shared (p < 1e-12).")
    assert series.reversal is None


@pytest.mark.slow
def test_a_set_of_another_device_is_named() -> None:
    data = Pair().data(1e-3, seed=0)
    line = 0.05 / (1 + ((np.asarray(data.omega) - data.omega[20]) / MHZ) ** 2)
    third = FieldData(data.omega, np.array(data.s) + line[:, None, None], measured=True)
    series = op.fit_series([data, third], [-3.0, 0.0], name="power (dBm)")
    assert not series.complete
    assert series.lacks[0].startswith("At power (dBm) 0: ")
    assert series.fits[0].complete


def test_a_set_without_one_direction_still_takes_part(series: SeriesFit) -> None:
    last = series.fits[2].data
    s = np.array(last.s)
    s[:, 0, 1] = np.nan
    partial = op.fit_series([series.fits[0].data, FieldData(last.omega, s, measured=True)], BIAS[::2], shared=SAME)
    told, whole = (one.coefficient("kappa12") for one in (partial, series))
    assert abs(told.value[1] - MHZ * 2.8 / (2 * np.pi)) < 3.5 * told.error[1]
    # Only its reflections tell it, through κ12κ21: less well.
    assert told.error[1] > 1.2 * whole.error[2]


def test_resonances_by_their_number_over_a_temperature() -> None:
    def line(at: float) -> FieldData:
        rng, omega = np.random.default_rng(int(at)), np.linspace(8.0, 12.0, 61)
        s = -1 + 0.6 / (1j * (omega - 10 - 0.01 * at) + 0.5)
        return FieldData(omega, s + 1e-3 * (rng.normal(size=61) + 1j * rng.normal(size=61)), sigma=1e-3)

    series = op.fit_series([line(at) for at in (4.0, 20.0, 77.0)], [4.0, 20.0, 77.0], model=1, shared="gamma")
    told = series.coefficient("omega[0]")
    assert np.all(np.abs(2 * np.pi * told.value - 10 - 0.01 * told.parameter) < 3.5 * 2 * np.pi * told.error)
    assert series.constancy()["omega[0]"] < 1e-6
    assert series.complete
    # Three sets of equal noise know the shared width better by √3; widths and frequencies hardly correlate.
    alone = float(series.fits[0].stderr.gamma[0]) / (2 * np.pi)
    assert series.coefficient("gamma[0]").error[0] == pytest.approx(alone / np.sqrt(3), rel=0.02)
    assert series.reversal is None
    with pytest.raises(ValueError, match=r"Argument name must be one of"):
        series.coefficient("kappa")


def test_the_sets_are_combined_as_least_squares_of_all_would_have_it() -> None:
    """Against numpy's least squares of the whole system, with one singular set."""
    rng = np.random.default_rng(0)
    vectors, roots = rng.normal(size=(3, 10)), rng.normal(size=(3, 10, 10))
    roots[1, :, 4] = 0.0  # gamma_0[0] is not told by the second set
    place = placed(3, PAIR, ("gamma[0]", "gamma[1]", "kappa12"))
    assert place.shape == (30, 22)
    whole = np.concatenate([roots[i] @ place[10 * i : 10 * i + 10] for i in range(3)])
    told = np.concatenate([roots[i] @ vectors[i] for i in range(3)])
    free = np.linalg.norm(whole, axis=0) > 0
    z = np.linalg.lstsq(whole[:, free], told, rcond=None)[0]
    together = combined(vectors, roots, place)
    untold = ~np.any(place[:, free], axis=1)  # stays as it was
    expected = np.where(untold, vectors.ravel(), place[:, free] @ z)
    np.testing.assert_allclose(together.vectors.ravel(), expected, atol=1e-10)  # conditions of some hundreds
    assert together.chi2 == pytest.approx(float(np.sum((whole[:, free] @ z - told) ** 2)), rel=1e-9)
    assert together.rank == 21
    assert chance(combined(vectors, roots, placed(3, PAIR, ())), together) < 1


def test_signs_of_couplings_follow_along_the_series_and_pairs_are_found() -> None:
    vectors, roots = np.ones((3, 10)), np.stack([np.eye(10)] * 3)
    vectors[1, 6:] *= -1
    turned, turned_roots = aligned(np.array([0.0, 2.0, 1.0]), vectors, roots)
    np.testing.assert_array_equal(turned, 1.0)
    np.testing.assert_array_equal(np.diagonal(turned_roots[1])[6:], -1.0)
    assert reversed_pairs(np.array([2.0, -1.0, 0.0, 1.0, -2.0, 3.0])) == ([(4, 0), (1, 3)], [2])


def test_what_cannot_be_a_series_is_refused_in_one_sentence() -> None:
    data = Pair().data(1e-3, seed=0)
    for arguments, sentence in (
        ((data, [0.0]), r"Argument datas must be a sequence of two FieldData or more"),
        (([data], [0.0]), r"Argument datas must be a sequence of two FieldData or more"),
        (([data, 1], [0.0, 1.0]), r"Argument datas must hold diffnr\.FieldData alone"),
        (([data, data.ports(0)], [0.0, 1.0]), r"Argument datas must be of the same ports, but was of \[1, 2\] ports"),
        (([data, data], [0.0, 1.0, 2.0]), r"Argument parameter must hold 2 values, one a data set, but was 3"),
    ):
        with pytest.raises(ValueError, match=sentence):
            op.fit_series(*arguments)
    with pytest.raises(ValueError, match=r"Argument shared must name coefficients among omega\[0\]"):
        op.fit_series([data, data], [0.0, 1.0], shared="delta")
    with pytest.raises(ValueError, match=r'Argument model must be "two resonators" or a number of resonances'):
        op.fit_series([data, data], [0.0, 1.0], model="three")


@pytest.mark.slow
def test_coverage_of_95_percent_intervals_of_a_series() -> None:
    """Over 120 draws of three noisy sets, with the rates shared."""
    inside = []
    for seed in range(120):
        datas = [Pair.biased(b).data(3e-3, seed=10 * seed + k, points=81) for k, b in enumerate(BIAS)]
        series = op.fit_series(datas, BIAS, shared=SAME)
        row = []
        for name, truth in (
            ("kappa", [MHZ * 4 * np.sqrt(1 - 0.09 * b * b) / (2 * np.pi) for b in BIAS]),
            ("coupling_phase", [0.2] * 3),
            ("nonreciprocity", [20 * np.log10((1 + 0.3 * b) / (1 - 0.3 * b)) for b in BIAS]),
            ("nonreciprocal_phase", [0.4 * b for b in BIAS]),
            ("gamma[0]", [4e6] * 3),
            ("gamma_0[1]", [1.5e6] * 3),
        ):
            told = series.coefficient(name)
            row += (np.abs(told.value - np.array(truth)) < 1.96 * told.error).tolist()
        inside.append(row)
    covered = np.mean(inside, axis=0)
    # 92–98 % is the criterion, of all together; the sampling error of each is √(.95·.05/120) = 2 %.
    assert 0.92 < np.mean(covered) < 0.98, covered
    assert np.all((covered > 0.95 - 0.06) & (covered <= 1.0)), covered
