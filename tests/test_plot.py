"""Plots: what is drawn where, units and labels, gaps, and that matplotlib and its settings are left alone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from diffnr import plot
from diffnr.data import FieldData

OMEGA = 2 * np.pi * 1e9 * np.linspace(4.9, 5.1, 11)
S = (0.1 * np.arange(1, 45).reshape(11, 2, 2) / 44) * np.exp(0.3j)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def legend(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(ax: plt.Axes) -> list:
    """The lines that hold data, without those that stand in the legend only."""
    return [line for line in ax.lines if len(line.get_xdata())]


@pytest.mark.parametrize("module", ["diffnr", "diffnr.plot"])
def test_import_leaves_matplotlib_alone(module: str) -> None:
    script = f"import sys, {module}; assert 'matplotlib' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_style_gives_the_settings_back() -> None:
    before = dict(matplotlib.rcParams)
    with plot.style():
        assert matplotlib.rcParams["axes.spines.top"] is False
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(plot.COLOURS)
    assert dict(matplotlib.rcParams) == before
    plot.s_parameters(OMEGA, S)
    plot.image([0.0, 1.0], [0.0, 1.0], np.eye(2))
    assert dict(matplotlib.rcParams) == before


def test_s_parameters_of_field_data() -> None:
    ax = plot.s_parameters(FieldData(OMEGA, S))
    assert ax.get_xlabel() == "Frequency (GHz)"
    assert ax.get_ylabel() == "$|S|$ (dB)"
    # Named in the field's way, out before in, counted from 1.
    assert legend(ax) == ["$S_{11}$", "$S_{12}$", "$S_{21}$", "$S_{22}$"]
    s21 = drawn(ax)[2]
    np.testing.assert_allclose(s21.get_xdata(), np.linspace(4.9, 5.1, 11), rtol=1e-12)
    np.testing.assert_allclose(s21.get_ydata(), 20 * np.log10(np.abs(S[:, 1, 0])), rtol=1e-12)
    assert s21.get_linestyle() == "None"
    assert s21.get_marker() == "o"


def test_model_is_a_line_of_the_same_colour() -> None:
    ax = plot.s_parameters(OMEGA, S, model_s=2 * S, entries=[(1, 0)], decibel=False)
    points, line = drawn(ax)
    assert legend(ax) == ["$S_{21}$", "model"]
    assert (points.get_linestyle(), line.get_linestyle(), line.get_marker()) == ("None", "-", "None")
    assert to_hex(points.get_color()) == to_hex(line.get_color())
    np.testing.assert_allclose(line.get_ydata(), 2 * np.abs(S[:, 1, 0]), rtol=1e-12)


def test_model_may_have_its_own_frequencies() -> None:
    fine = FieldData(np.linspace(OMEGA[0], OMEGA[-1], 101), np.ones((101, 2, 2)))
    _, line = drawn(plot.s_parameters(FieldData(OMEGA, S), model_s=fine, entries=[(0, 0)]))
    assert line.get_xdata().shape == (101,)
    assert np.all(line.get_ydata() == 0)


def test_one_port_and_gaps() -> None:
    ax = plot.s_parameters(OMEGA[:3], [0.5, np.nan, 0.0])
    (points,) = drawn(ax)
    assert np.isnan(points.get_ydata()).tolist() == [False, True, True]  # NaN, and the −inf dB of a zero, are gaps
    assert np.all(np.isfinite(ax.get_ylim()))


@pytest.mark.parametrize(
    ("scale", "unit", "label", "last"),
    [
        (1e12, None, "Frequency (THz)", 5.0),
        (1e9, None, "Frequency (GHz)", 5.0),
        (1e6, None, "Frequency (MHz)", 5.0),
        (1.0, None, "Frequency (Hz)", 5.0),
        (1e9, "MHz", "Frequency (MHz)", 5e3),
        (1.0, "10⁶ rad/s", r"Angular frequency $\omega$ (10⁶ rad/s)", 10 * np.pi),
        (1.0, "", r"Angular frequency $\omega$", 10 * np.pi),
    ],
)
def test_units(scale: float, unit: str | None, label: str, last: float) -> None:
    ax = plot.s_parameters(2 * np.pi * scale * np.array([1.0, 5.0]), [0.1, 0.2], unit=unit)
    assert ax.get_xlabel() == label
    assert drawn(ax)[0].get_xdata()[-1] == pytest.approx(last, rel=1e-12)


def test_numbers_of_two_digits_are_kept_apart() -> None:
    ax = plot.s_parameters(OMEGA[:1], np.ones((1, 11, 11)), entries=[(10, 0), (0, 10)])
    assert legend(ax) == ["$S_{11,1}$", "$S_{1,11}$"]


def test_fit_residual() -> None:
    sigma = 0.5 + np.arange(11)
    ax = plot.fit_residual(OMEGA, S, sigma, entries=[(1, 0)])
    real, imaginary = (line for line in drawn(ax) if line.get_marker() == "o")
    np.testing.assert_allclose(real.get_ydata(), S[:, 1, 0].real / sigma, rtol=1e-12)
    np.testing.assert_allclose(imaginary.get_ydata(), S[:, 1, 0].imag / sigma, rtol=1e-12)
    assert (real.get_markerfacecolor() == "none", imaginary.get_markerfacecolor()) == (False, "none")
    (band,) = ax.patches
    assert (band.get_y(), band.get_height()) == (-1, 2)
    assert ax.get_ylabel() == r"Residual / $\sigma$"


def test_fit_residual_without_sigma_is_in_units_of_its_own_size() -> None:
    ax = plot.fit_residual(OMEGA, S)
    values = np.concatenate([line.get_ydata() for line in drawn(ax) if line.get_marker() == "o"])
    assert np.mean(values**2) == pytest.approx(1.0, rel=1e-12)
    assert ax.get_ylabel() == "Residual / rms"
    assert np.all(plot.fit_residual(OMEGA, 0 * S).lines[1].get_ydata() == 0)  # an exact fit is no division by 0


def test_image_and_its_contours() -> None:
    x, y = np.linspace(0, 1, 5), np.linspace(0, 2, 7)
    ax = plot.image(x, y, x + 10 * y[:, None], levels=[5, 15], vmin=0, vmax=20, label="level (dB)")
    mesh, contours = ax.collections
    assert mesh.get_clim() == (0, 20)
    assert mesh.get_array().shape == (7, 5)
    assert mesh.get_array()[2, 1] == pytest.approx(x[1] + 10 * y[2], rel=1e-12)
    assert list(contours.levels) == [5, 15]
    assert ax.figure.axes[1].get_ylabel() == "level (dB)"
    ax.figure.canvas.draw()


def test_surface() -> None:
    x, y = np.linspace(0, 1, 5), np.linspace(0, 2, 7)
    ax = plot.surface(x, y, x * y[:, None], colour=plot.BACKWARD, label="here")
    assert ax.name == "3d"
    assert ax.get_zlim()[1] >= 2
    assert ax.get_legend_handles_labels()[1] == ["here"]
    ax.figure.canvas.draw()


def test_the_axes_given_are_the_axes_used() -> None:
    figure, axes = plt.subplots(1, 3)
    space = figure.add_subplot(projection="3d")
    assert plot.s_parameters(OMEGA, S, ax=axes[0]) is axes[0]
    assert plot.fit_residual(OMEGA, S, ax=axes[1]) is axes[1]
    assert plot.image([0.0, 1.0], [0.0, 1.0], np.eye(2), ax=axes[2]) is axes[2]
    assert plot.surface([0.0, 1.0], [0.0, 1.0], np.eye(2), ax=space) is space
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: plot.s_parameters(OMEGA), "Argument s must be given to go with frequencies"),
        (lambda: plot.s_parameters(FieldData(OMEGA, S), S), "Argument s must be left out where data holds it"),
        (lambda: plot.s_parameters(OMEGA, S[:5]), r"Argument s must have shape \[11, out, in\]"),
        (lambda: plot.s_parameters(OMEGA, S, model_s=S[:, :1]), "Argument model_s must have the ports of the data"),
        (lambda: plot.s_parameters(OMEGA, S, entries=[(2, 0)]), "Argument entries must hold"),
        (lambda: plot.fit_residual(OMEGA, S, sigma=0.0), "Argument sigma must be positive"),
        (lambda: plot.fit_residual(OMEGA, S, sigma=np.ones(3)), "Argument sigma must have one of the shapes"),
        (lambda: plot.fit_residual(OMEGA[None], S), "Argument omega must be a vector"),
        (lambda: plot.image([0.0, 1.0], [0.0], np.eye(2)), r"Argument z must have shape \[y, x\]"),
        (lambda: plot.surface([0.0], [0.0], [[1.0]], ax=plt.figure().add_subplot()), "Argument ax must have a 3D"),
    ],
)
def test_bad_input_is_named(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
