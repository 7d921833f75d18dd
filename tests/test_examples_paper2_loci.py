"""The figures of loci of paper 2 run small, and what they draw and print is the checked physics."""

import importlib

import numpy as np
import pytest
from matplotlib import pyplot as plt

pytestmark = pytest.mark.slow  # each compiles for many seconds


def drawn(name: str, capsys):
    figure = importlib.import_module(f"examples.paper2_{name}").main(small=True)
    figure.canvas.draw()
    plt.close("all")
    return figure, capsys.readouterr().out


def test_figure_4(capsys) -> None:
    figure, printed = drawn("figure4", capsys)
    assert len(figure.axes) == 2
    slope = float(printed.split("resonance 1: dr/dmu = ")[1].split()[0])
    assert slope == pytest.approx(11.0272, rel=1e-3)  # the line's slope given is that of one harmonic
    bend = float(printed.split("R = 0.00914: bend at mu = ")[1].split(",")[0])
    assert bend == pytest.approx(2.0, abs=0.06)  # the bend given has three digits of R, of which μ is a steep function


def test_figure_6(capsys) -> None:
    figure, printed = drawn("figure6", capsys)
    assert len(figure.axes) == 4
    branches = [line for line in printed.splitlines() if line.startswith("omega = 3.5")]
    norms = [float(line.split("N = ")[1].split(",")[0]) for line in branches]
    np.testing.assert_allclose(norms, [0.967, 0.780, 0.274], atol=1e-3)  # the digits given, and H = 5
    assert ["unstable" in line for line in branches] == [False, True, False]
    assert float(branches[1].split()[-1]) == pytest.approx(1.0767, abs=5e-4)  # H = 5
    assert "resonance 1, P = 1: stable up to mu = " in printed


def test_figure_7(capsys) -> None:
    figure, printed = drawn("figure7", capsys)
    assert len(figure.axes) == 4
    first, second = printed.splitlines()
    assert "stability changes at mu = [1." in first  # resonance 0 becomes unstable on the way
    assert second.endswith("[]")  # resonance 1 never does
