"""Dispersion diagrams: what is drawn where, that branches keep apart, gaps, bands and light cones."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from diffnr import fdtd, plot
from diffnr.fdtd.guides.column import Cut
from diffnr.fdtd.guides.dispersion import Dispersion

THZ, LIGHT = 2e12 * np.pi, 299792458.0


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def waves(k: np.ndarray, velocity: np.ndarray) -> fdtd.Waves:
    """Of k [frequency, mode] in rad/µm, NaN where there is none, sorted by falling |k| as `guide_modes` does."""
    order = np.argsort(np.where(np.isfinite(k), -np.abs(k), np.inf), axis=1)
    k, velocity = (jnp.asarray(np.take_along_axis(a, order, axis=1)) for a in (1e6 * k, velocity))
    valid = jnp.isfinite(k)
    none = jnp.zeros((*k.shape, 1), complex)
    cut = Cut(none, none, none)
    counts, missing = jnp.zeros(k.shape[0], int), jnp.full((k.shape[0], 1), jnp.nan + 0j)
    velocity = jnp.where(valid, velocity, jnp.nan)
    return fdtd.Waves(k, 0 * k, velocity, valid, none, none, none, cut, cut, 0 * k, counts, missing)


def straight(f: np.ndarray, lines: list[tuple[float, float, float, float]]) -> fdtd.Waves:
    """Of lines (k at f = 0, slope over f in rad/µm a THz, lowest f, highest f)."""
    k = np.stack([np.where((f >= low) & (f <= high), at + slope * f, np.nan) for at, slope, low, high in lines], axis=1)
    slopes = np.array([slope for _, slope, _, _ in lines]) * 1e6 / THZ
    return waves(k, np.broadcast_to(1 / slopes, k.shape))


def drawn(ax: plt.Axes, colour: str) -> list[np.ndarray]:
    """(k, f) of the lines of a colour, by their first k."""
    lines = [line for line in ax.lines if to_hex(line.get_color()) == colour.lower()]
    return sorted((np.stack(line.get_data(), axis=-1).astype(float) for line in lines), key=lambda line: line[0, 0])


def labels(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


F = np.linspace(1.0, 2.0, 21)
ONE = straight(F, [(0.0, 0.1, 0, 9)])
NONE = waves(np.full((21, 1), np.nan), np.ones((21, 1)))


def diagram(forward: fdtd.Waves, backward: fdtd.Waves, f: np.ndarray = F, **options) -> plt.Axes:
    ax = plot.dispersion(Dispersion(jnp.asarray(f * THZ), fdtd.GuideModes(forward, backward)), **options)
    ax.figure.canvas.draw()
    return ax


def test_branches_that_cross_are_not_mixed() -> None:
    # One falls while the other rises: by |k| they change places at f = 1.5.
    both = [(0.05, 0.1, 0, 9), (0.35, -0.1, 0, 9)]
    rising, falling = drawn(diagram(straight(F, both), ONE), plot.FORWARD)
    np.testing.assert_allclose(rising, np.stack([0.05 + 0.1 * F, F], axis=-1), rtol=1e-12)
    np.testing.assert_allclose(falling, np.stack([0.35 - 0.1 * F, F], axis=-1), rtol=1e-12)


def test_a_wave_that_begins_takes_no_other_ones_place() -> None:
    # From 1.5 THz on the new one has the larger |k|, and so the first place.
    old, new = drawn(diagram(straight(F, [(0.0, 0.1, 0, 9), (0.1, 0.15, 1.499, 9)]), ONE), plot.FORWARD)
    assert (old.shape, new.shape) == ((21, 2), (11, 2))
    np.testing.assert_allclose(new[:, 0], 0.1 + 0.15 * new[:, 1], rtol=1e-12)


def test_gaps_stay_gaps_and_lone_points_are_points() -> None:
    lines = [(0.0, 0.1, 0, 1.301), (0.0, 0.1, 1.699, 9), (0.5, 0.1, 1.499, 1.501)]
    low, high, alone = drawn(diagram(straight(F, lines), ONE), plot.FORWARD)
    assert (low[-1, 1], high[0, 1]) == pytest.approx((1.3, 1.7))
    assert alone.shape == (1, 2)
    (marked,) = [line for line in plt.gca().lines if line.get_marker() == "o"]
    assert marked.get_xdata()[0] == pytest.approx(0.65)


def test_a_jump_is_no_branch() -> None:
    # Another wave 1 rad/µm beside, in the very step in which the first one ends.
    low, high = drawn(diagram(straight(F, [(0.0, 0.1, 0, 1.501), (1.0, 0.1, 1.549, 9)]), ONE), plot.FORWARD)
    assert len(low) + len(high) == 21


def test_one_way_bands_are_shaded_and_named() -> None:
    ax = diagram(straight(F, [(0.0, 0.1, 1.199, 9)]), straight(F, [(0.0, -0.1, 0, 1.501)]))
    bands = sorted((patch.get_y(), patch.get_y() + patch.get_height()) for patch in ax.patches)
    # To −x alone up to half-way between 1.15 and 1.2, to +x alone from half-way between 1.5 and 1.55 on.
    np.testing.assert_allclose(bands, [(1.0, 1.175), (1.525, 2.0)], rtol=1e-12)
    assert all(isinstance(patch, Rectangle) for patch in ax.patches)
    backward, forward = sorted(ax.texts, key=lambda text: text.get_position()[1])
    assert (backward.get_text(), forward.get_text()) == ("one way, to $-x$", "one way, to $+x$")
    # Where no line is: at the side to which no wave goes.
    assert backward.get_position()[0] > 0.5 > forward.get_position()[0]  # shares of the axes' width
    assert len(diagram(ONE, straight(F, [(0.0, -0.1, 0, 9)])).patches) == 0


def test_light_cone_of_a_medium_and_of_its_index() -> None:
    for cladding in (fdtd.Dielectric(4.0), 2.0):
        ax = diagram(ONE, NONE, cladding=cladding)
        left, right = drawn(ax, plot.COLOURS[4])
        np.testing.assert_allclose(right[:, 0], 2.0 * F * THZ / LIGHT / 1e6, rtol=1e-12)  # n ω/c
        np.testing.assert_allclose(left, right * [-1, 1], rtol=1e-12)
        (cone,) = (c for c in ax.collections if len(c.get_paths()))
        inside = cone.get_paths()[0]
        assert inside.contains_point((0.02, 1.5))
        assert not inside.contains_point((0.07, 1.5))  # beyond 2 · 1.5 THz/c = .063 rad/µm
        assert "light, $n$ = 2" in labels(ax)
    assert not diagram(ONE, NONE).collections


def test_names_axes_and_the_axes_given() -> None:
    figure, axes = plt.subplots(1, 2)
    both = straight(F, [(0.0, 0.1, 0, 1.301), (0.0, 0.1, 1.699, 9)])
    ax = diagram(both, straight(F, [(0.0, -0.1, 0, 9)]), ax=axes[1])
    assert ax is axes[1]
    assert plt.get_fignums() == [figure.number]
    assert labels(ax) == ["to $+x$", "to $-x$"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Re $k$ (rad/µm)", "Frequency (THz)")
    assert ax.get_ylim() == pytest.approx((1.0, 2.0))
    assert ax.get_xlim()[1] == pytest.approx(1.05 * 0.2) == -ax.get_xlim()[0]
    assert diagram(both, NONE, legend=False).get_legend() is None


def test_a_band_without_waves_and_a_single_frequency_can_be_drawn() -> None:
    assert not drawn(diagram(NONE, NONE), plot.FORWARD)
    one = np.array([1.0])
    (point,) = drawn(diagram(straight(one, [(0.0, 0.1, 0, 9)]), straight(one, [(0.0, -0.1, 0, 9)]), one), plot.FORWARD)
    np.testing.assert_allclose(point, [[0.1, 1.0]])


@pytest.mark.parametrize(
    ("cladding", "sentence"),
    [
        (fdtd.GyrotropicDrude(15.6, THZ, 0.0, 0.0), "be one medium without carriers, but was a GyrotropicDrude"),
        (fdtd.Dielectric([[2.0], [3.0]]), "be one medium without carriers, but was a Dielectric"),
        (-1.0, "be a medium or a positive index, but was -1.0"),
        (np.nan, "be a medium or a positive index, but was nan"),
        (1j, "be a medium or a positive index"),
    ],
)
def test_bad_claddings_are_named(cladding, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"Argument cladding must {sentence}"):
        diagram(ONE, NONE, cladding=cladding)
