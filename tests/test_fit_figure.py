"""The figure of a fit: what its panels hold."""

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt

from diffnr.data import FieldData
from optimize.mode_fit.fit_modes import fit_modes

OMEGA = np.linspace(-3.0, 3.0, 403)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def fitted(ports: int, *, missing: int = 0, sigma: float | None = 1e-3, omega: np.ndarray = OMEGA):
    """A fit of one mode, of whose S the last `missing` columns were not measured."""
    rng = np.random.default_rng(0)
    d = np.sqrt(2 / ports) * np.exp(1j * np.arange(ports))
    s = np.eye(ports) - d[:, None] * d / (1j * OMEGA[:, None, None] + 1.2)
    s = s + 1e-3 * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    s[:, :, ports - missing :] = np.nan
    return fit_modes(FieldData(omega, s, sigma=sigma), 1)


def test_each_entry_has_a_panel_with_its_residual_in_bins() -> None:
    fit = fitted(2)
    axes = np.array(fit.plot().axes).reshape(4, 2)
    titles = [axes[row, column].get_title(loc="left") for row in (0, 2) for column in (0, 1)]
    assert [title.partition(",")[0] for title in titles] == ["$S_{11}$", "$S_{12}$", "$S_{21}$", "$S_{22}$"]
    normalised = np.asarray(fit.residual / fit.noise)[:, 1, 0]
    rms = np.sqrt(np.mean(np.abs(normalised) ** 2) / 2)
    assert titles[2].endswith(f"residual {rms:.3g} $\\sigma$")
    data, model = axes[2, 0].lines
    np.testing.assert_allclose(data.get_ydata(), 20 * np.log10(np.abs(fit.data.s[:, 1, 0])), rtol=1e-12)
    assert len(model.get_xdata()) >= 1001
    real, imaginary = axes[3, 0].lines[-2:]
    assert len(real.get_xdata()) == 40
    # 403 points make three bins of eleven and the rest of ten.
    assert real.get_ydata()[0] == pytest.approx(np.mean(normalised[:11].real), rel=1e-12)
    assert imaginary.get_ydata()[-1] == pytest.approx(np.mean(normalised[-10:].imag), rel=1e-12)
    # Every part of what is drawn is seen.
    assert axes[3, 0].get_ylim()[1] > np.max(np.abs(real.get_ydata()))


def test_axes_are_in_hertz_where_the_data_are() -> None:
    assert fitted(1).plot().axes[1].get_xlabel() == r"Angular frequency $\omega$ (rate unit)"
    assert fitted(1, omega=1e10 + 1e7 * OMEGA).plot().axes[1].get_xlabel() == "Frequency (GHz)"


def test_only_measured_entries_have_panels() -> None:
    figure = fitted(3, missing=2).plot()
    titled = [ax.get_title(loc="left").partition(",")[0] for ax in figure.axes if ax.get_title(loc="left")]
    assert titled == ["$S_{11}$", "$S_{21}$", "$S_{31}$"]
    assert len([ax for ax in figure.axes if ax.axison]) == 6


def test_of_many_entries_the_worst_are_drawn() -> None:
    fit = fitted(5)
    titled = [ax.get_title(loc="left") for ax in fit.plot().axes if ax.get_title(loc="left")]
    size = np.mean(np.abs(np.asarray(fit.residual)) ** 2, axis=0)
    worst = {f"$S_{{{k // 5 + 1}{k % 5 + 1}}}$" for k in np.argsort(-size, axis=None)[:16]}
    assert {title.partition(",")[0] for title in titled} == worst
