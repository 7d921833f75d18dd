"""What the example of the one-way pulse draws is the checked physics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from diffnr import hertz
from example_scripts import close_figures, drawn_values, example  # noqa: F401 (a fixture that acts by itself)

pytestmark = pytest.mark.slow  # their runs compile for a quarter of a minute


@pytest.fixture(scope="module")
def flights():
    return example("one_way_pulse").compute(small=True)


def test_the_pulse_is_as_wide_as_it_says() -> None:
    pulse = example("one_way_pulse").PULSE
    t = jnp.linspace(0, 2, 4001) * pulse.centre
    f = 1e12 * jnp.array([1.42, 1.5, 1.58])
    spectrum = jnp.abs(jnp.sum(jax.vmap(pulse)(t) * jnp.exp(-1j * hertz(f)[:, None] * t), axis=1))
    # The pulse is cut where it has fallen to 4e-6, and what its negative frequencies add is less.
    np.testing.assert_allclose(spectrum[::2] / spectrum[1], 0.5, rtol=1e-5)


def test_the_band_is_where_the_surface_wave_goes_to_infinite_wavenumber() -> None:
    module = example("one_way_pulse")
    edge = hertz(1e12 * np.array(module.BAND))
    # The digits that are printed.
    for omega, sign in zip(edge, (-1, 1), strict=True):
        assert omega * (omega + sign * module.BIAS) == pytest.approx(module.OMEGA_P**2 / (1 + 11.68 / 15.6), rel=2e-6)


def test_the_pulse_goes_one_way(flights) -> None:
    _, (into, out) = flights
    nx = into.hz.shape[1]
    # 60 µm beside the source, cells of 2 µm: the evanescent field is e^{−60/10} there, and the source reaches 15 µm.
    behind, ahead = into.hz[:, : nx // 2 - 30], into.hz[:, nx // 2 + 30 :]
    assert np.max(np.abs(behind)) < 0.02 * np.max(np.abs(ahead))
    # Mirrored: the graded lines are symmetric to 1e-13 of them, and many steps sum that up.
    for one, other in zip(into.hz, out.hz, strict=True):
        np.testing.assert_allclose(one, other[::-1], rtol=0, atol=1e-9 * float(jnp.max(jnp.abs(into.hz))))
    np.testing.assert_allclose(
        into.spectra, out.spectra[::-1], rtol=0, atol=1e-9 * float(jnp.max(jnp.abs(into.spectra)))
    )


def test_evanescent_modes_are_as_searched_for_independently() -> None:
    module = example("one_way_pulse")
    found = jax.vmap(module.evanescent)(hertz(1e12 * jnp.array(module.TONES)))
    # All roots of the paper's form within ±4e5 rad/m by scipy from 41² starts: these leak farthest, to the digits kept.
    np.testing.assert_allclose(found, [-73182 + 128704j, -62777 + 103669j, -54465 + 84624j], rtol=1e-5)
    assert round(1e6 / found[1].imag, 2) == 9.65  # the text's number


def test_figure_and_film(tmp_path) -> None:
    module = example("one_way_pulse")
    figure = module.main(small=True)
    assert isinstance(figure, Figure)
    strips = [ax for ax in figure.axes if ax.get_aspect() == 1]
    assert len(strips) == 9
    assert np.all(np.isfinite(drawn_values(figure)))
    module.film(tmp_path / "film.gif", small=True)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 4
        last = []
        for k in (0, 3):
            film.seek(k)
            last.append(np.asarray(film.convert("RGB")))
        assert np.any(last[0] != last[1])
