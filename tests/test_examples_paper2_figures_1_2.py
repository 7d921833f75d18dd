"""Figures 1 and 2 of paper 2 run small, and what they draw are independent solvers' numbers."""

import importlib
from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

pytestmark = pytest.mark.slow  # each compiles branches of its own, for many seconds


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def marked(ax) -> np.ndarray:
    """The points drawn as dots, [point, axis]."""
    return np.concatenate([np.stack(line.get_data(), axis=-1) for line in ax.lines if line.get_marker() == "o"])


def test_figure_1_marks_the_points_of_equal_norms(capsys) -> None:
    figure = importlib.import_module("examples.paper2_figure1").main(small=True)
    assert isinstance(figure, Figure)
    axes = {ax.get_title("left").split(")")[0].strip("("): ax for ax in figure.axes}
    assert set(axes) == {"a1", "a2", "a3", "b", "c"}
    for name in ("a1", "a2", "a3"):
        # Five harmonics are good to 1e-6 here.
        np.testing.assert_allclose(marked(axes[name])[:, 0], [0.9592978, 1.4558327, 2.3653856, 2.8977953], atol=2e-6)
    assert "0.7100" in axes["b"].get_title("left")
    assert "0.3069" in axes["c"].get_title("left")
    forward, backward = (line.get_data()[1] for line in axes["c"].lines[:2])
    part = axes["c"].lines[0].get_data()[0]
    for wave in (forward, backward):  # N by independent solvers; sums over equal intervals of a period are exact
        assert np.sqrt(np.mean(wave[:-1] ** 2)) == pytest.approx(0.1380644, abs=1e-6)
    first = [np.mean(wave[:-1] * np.exp(-2j * np.pi * part[:-1])) for wave in (forward, backward)]
    assert np.angle(first[0] / first[1]) == pytest.approx(0.3068573, abs=1e-5)
    assert axes["b"].lines[0].get_linestyle() == "--"  # forward, unstable
    printed = capsys.readouterr().out
    assert "stable: forward False, backward True" in printed
    assert "R = 0.0422" in printed


def test_figure_2_marks_where_the_phase_vanishes(capsys) -> None:
    figure = importlib.import_module("examples.paper2_figure2").main(small=True)
    phase, norm, frequency = figure.axes
    # The closed form's point; the locus is interpolated there, over steps of .4 in r.
    for ax, value in ((phase, 0.0), (norm, 1.064643e-5), (frequency, 3.3207256)):
        np.testing.assert_allclose(marked(ax), [[12.0272182, value]], atol=5e-5)
    r, shift = phase.lines[0].get_data()
    assert r[0] == 1.0
    assert shift[0] == pytest.approx(0.3068573, abs=1e-5)
    assert np.all(np.diff(shift) < 0)
    drawn = norm.lines[0].get_data()[1]
    assert np.argmin(drawn) == np.argmin(np.abs(r - 12.0272))  # R vanishes nearly where Δφ does
    assert np.all(np.isfinite(drawn))  # stable throughout
    printed = capsys.readouterr().out
    assert "r = 12.027" in printed
    assert "least harmonicity of an output: 1 - 1" in printed
