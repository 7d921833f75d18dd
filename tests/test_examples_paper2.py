"""The examples of forced oscillators draw the checked physics: figures 3 and 5 of paper 2, the map, the loop, beams."""

import functools
import importlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

import diffnr as nr
from diffnr import duffing, metrics

slow = pytest.mark.slow  # what compiles for more than ten seconds


def example(name: str):
    return importlib.import_module(f"examples.{name}")


@pytest.fixture(scope="module", autouse=True)
def computed_once() -> Iterator[None]:
    """A figure and its tests share what takes seconds to compile."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("paper2_figure3", "paper2_figure5"):
            patch.setattr(example(name), "compute", functools.cache(example(name).compute))
        yield
    plt.close("all")


def columns(name: str) -> dict:
    """What `main(small=True)` shows."""
    module = example(name)
    if name == "paper2_figure3":
        return {letter: module.compute(resonance) for resonance, letter in enumerate("ab")}
    return {letter: module.compute(case, True) for letter, case in module.CASES.items()}


@slow
def test_figure3_has_the_numbers_of_independent_solvers() -> None:
    shown = columns("paper2_figure3")
    expected = {"a": (2.33240, 1.15052, 8.7601e-3), "b": (12.02383, 3.320215, 1.065331e-5)}
    for letter, (ratio, omega, norm) in expected.items():
        restored = shown[letter].restored
        assert float(restored.ratio) == pytest.approx(ratio, abs=5e-6)  # the digits given, here and below
        assert float(restored.omega) == pytest.approx(omega, abs=5e-6)
        assert float(restored.reciprocity_norm) == pytest.approx(norm, rel=1e-5)
        assert restored.stable.tolist() == [True, True]


@slow
@pytest.mark.parametrize("name", ["paper2_figure3", "paper2_figure5"])
def test_outputs_in_time_are_those_of_the_balance(name: str) -> None:
    for column in columns(name).values():
        R, size = float(column.restored.reciprocity_norm), float(column.restored.norm[0])
        # Steps of 1.5e-8 of the motion's size over 60 periods; the ninth harmonic is the last kept, 1e-5 at P = 1.
        assert column.outputs.reciprocity_norm == pytest.approx(R, abs=1e-7 * size, rel=1e-3)
        forward = np.asarray(column.outputs.forward)
        assert np.sqrt(np.mean(forward[:-1] ** 2)) == pytest.approx(size, rel=1e-4)
        np.testing.assert_allclose(forward[-1], forward[0], atol=1e-6 * size)  # two periods: it is at rest


@slow
@pytest.mark.parametrize("name", ["paper2_figure3", "paper2_figure5"])
def test_the_restored_point_lies_on_both_curves(name: str) -> None:
    for column in columns(name).values():
        restored = column.restored
        for way, (curve, out) in enumerate(((column.curves.forward, 1), (column.curves.backward, 0))):
            at = curve.at(restored.omega)
            branches = np.asarray(at.norm[:, out])[np.asarray(at.valid)]
            # Roots to round-off, of two solvers.
            assert np.min(np.abs(branches - float(restored.norm[way]))) < 1e-9


@slow
def test_figure5_restores_by_the_cubic_ratio() -> None:
    # The closed form, with R of the full model there, and the paper's own point with R there.
    panels = {
        "a": (2.5826429, 2.5326595e-2, 2.5426627, 1.416393e-2),
        "b": (2.6636910, 1.649659e-2, 2.6427742, 5.772632e-3),
    }
    for letter, column in columns("paper2_figure5").items():
        closed, closed_norm, papers, papers_norm = panels[letter]
        restored = column.restored
        assert float(restored.guess.ratio) == pytest.approx(closed, abs=5e-8)
        assert float(restored.ratio) == pytest.approx(papers, rel=3e-3)  # another point, close by
        assert float(restored.reciprocity_norm) < 0.6 * closed_norm
        assert float(restored.reciprocity_norm) == pytest.approx(papers_norm, rel=1e-2)
        assert restored.stable.tolist() == [True, True]


@slow
@pytest.mark.parametrize("name", ["paper2_figure3", "paper2_figure5"])
def test_unstable_parts_are_dashed_between_folds(name: str) -> None:
    figure = example(name).main(small=True)
    ax = next(ax for ax in figure.axes if ax.get_title(loc="left").startswith("(a1)"))
    curve = columns(name)["a"].curves.backward
    dashed = [line for line in ax.lines if line.get_linestyle() == "--" and line.get_color() == "#D55E00"]
    # From the first unstable point to the first stable one beyond, so from fold to fold within a step.
    ends = sorted(float(end) for line in dashed[:1] for end in line.get_xdata()[[0, -1]])
    np.testing.assert_allclose(ends, np.sort(curve.folds.omega)[: len(ends)], atol=0.02)
    assert "approximately restored" in " ".join(text.get_text() for ax in figure.axes for text in ax.texts)


@pytest.fixture(scope="module")
def maps() -> list:
    return [example("reciprocity_map").compute(resonance, True) for resonance in (0, 1)]


@slow
def test_map_is_the_response_of_single_pairs(maps) -> None:
    module, data = example("reciprocity_map"), maps[1]
    rng = np.random.default_rng(0)

    @jax.jit
    def response(mass, stiffness, omega):
        pair = nr.replace(module.PAIR, {"mass_ratio": mass, "stiffness_ratio": stiffness})
        answer = nr.port_response(pair, nr.Drive(omega, module.AMPLITUDE))
        return metrics.reciprocity_norm(answer), jnp.linalg.norm(answer.b[1, 0]) / 2**0.5

    for i, j in rng.integers(0, 16, (8, 2)):
        pair, omega = (data.mass_ratio[j], data.stiffness_ratio[i]), data.omega[i, j]
        # The upper resonance has one branch: orbits are those continued from the linear response, to round-off.
        R, norm = response(*pair, omega)
        np.testing.assert_allclose([R, norm], [data.reciprocity_norm[i, j], data.norm[i, j]], rtol=1e-8)
        beside = [float(response(*pair, omega + step)[1]) for step in (-1e-4, 1e-4)]
        assert max(beside) < norm  # a maximum


@slow
def test_map_is_lowest_at_the_restored_ratio(maps) -> None:
    module = example("reciprocity_map")
    ratios = {0: (2.28, 2.3324043, 2.36), 1: (11.9, 12.0238281, 12.1)}
    norms = {0: 8.7601e-3, 1: 1.065331e-5}
    for resonance, r in ratios.items():
        R, norm, _ = module.over_plane(jnp.array([2.0]), jnp.array(r), resonance)
        assert R[1, 0] == pytest.approx(norms[resonance], rel=1e-5)  # the digits given, and five harmonics
        assert R[1, 0] < min(R[0, 0], R[2, 0])
        assert np.all(norm > 0.1)
    for data in maps:
        assert np.all(np.isfinite(data.reciprocity_norm))
        # Every column crosses the valley, which at its bottom is lower than a grid so coarse can tell.
        assert np.all(np.min(data.reciprocity_norm / data.norm, axis=0) < 0.15)


@slow
def test_backward_orbit_stays_on_its_branch_until_that_ends() -> None:
    module = example("reciprocity_map")
    ratios = jnp.linspace(2.3, 2.9, 61)
    R, norm, omega = (np.asarray(x[:, 0]) for x in module.over_plane(jnp.array([2.0]), ratios, 0))
    (fall,) = np.flatnonzero(np.abs(np.diff(R / norm)) > 0.3)
    folds = []
    for i in (fall, fall + 1):
        pair = nr.replace(module.PAIR, {"mass_ratio": 2.0, "stiffness_ratio": ratios[i]})
        curve = duffing.frequency_response(pair, amplitude=module.AMPLITUDE, omega=(0.5, 2.0), port=1)
        folds.append(float(curve.folds.omega[0]) - omega[i])
    assert folds[0] > 0 > folds[1]  # the upper fold passes the frequency of the forward peak there


@slow
def test_loop_by_hand_ends_where_the_library_does() -> None:
    figure = example("restore_by_hand").main(small=True)
    for ax, start, rtol in zip(figure.axes, (11.0, None), (1e-5, 1e-3), strict=True):
        path, target = (np.asarray(line.get_ydata()) for line in ax.lines)
        assert start is None or path[0] == start
        # Adam's last steps still wander by so much; R is quadratic in it.
        np.testing.assert_allclose(path[-1], target[0], rtol=rtol)
    assert target[0] == pytest.approx(1.065331e-5, rel=5e-7)
    assert path[0] > 100 * path[-1]


@slow
def test_one_measured_beam_at_one_harmonic() -> None:
    """The small figure: both jumps at a fold, and a table with the frequency and both folds."""
    import optimize as op

    module = example("measured_beams")
    fit = op.fit_oscillators(module.measured(1), num_harmonics=1)
    assert fit.converged
    np.testing.assert_array_equal(fit.jumps.steps_off, 0)
    text = module.table(fit, 0)
    assert text.count("fold") == 2
    assert f"{float(fit.oscillators.frequency[0]) / (2 * np.pi):.2f}" in text


def test_measured_beams_are_read() -> None:
    module = example("measured_beams")
    for beams, points, jumps in ((1, 122, 2), (2, 240, 4)):
        sweeps = module.measured(beams)
        assert [s.direction for s in sweeps] == ["up", "down"]
        assert sum(s.omega.size for s in sweeps) == points
        assert sum(len(s.jump_after) for s in sweeps) == jumps


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(37.86691, 0.0174, "37.867 ± 0.017"), (2919.6, 87.0, "2920 ± 87"), (0.5, 3.0, "0.5 ± 3.0")],
)
def test_numbers_have_two_digits_of_their_errors(value: float, error: float, text: str) -> None:
    assert example("measured_beams").quoted(value, error) == text
