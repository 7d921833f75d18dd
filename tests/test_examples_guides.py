"""What the examples of guides draw is the checked physics."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from diffnr import fdtd, plot
from diffnr.fdtd import closed_forms
from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)

FAST, SLOW = 116167.561, 257758.729  # rad/m at 1.24 THz, of independent solvers


@pytest.mark.slow
def test_dispersion_lies_on_the_closed_form_and_shows_the_band() -> None:
    module = example("guide_dispersion")
    assert module.tops(0.0) == pytest.approx((1.512412, 1.512412), abs=1e-6)  # independent solvers' digits
    assert module.tops(-0.25) == pytest.approx((1.282935, 1.782935), abs=1e-6)
    plain, biased = module.main(small=True).axes

    def drawn(ax, colour: str, marker: str) -> np.ndarray:
        """(k, f) of all points of a colour's lines, or of its rings."""
        lines = [line for line in ax.lines if to_hex(line.get_color()) == colour.lower()]
        rings = [line for line in ax.lines if to_hex(line.get_markeredgecolor()) == colour.lower()]
        some = [line for line in (rings if marker == "o" else lines) if line.get_marker() == marker]
        points = np.concatenate([np.stack([np.ravel(a) for a in line.get_data()], axis=-1) for line in some])
        return points[np.isfinite(points[:, 0])]

    for ax in (plain, biased):
        for colour in (plot.FORWARD, plot.BACKWARD):
            lines, rings = drawn(ax, colour, "None"), drawn(ax, colour, "o")
            assert len(rings) > 6
            for k, f in rings[rings[:, 1] < 1.1]:
                near = lines[np.abs(lines[:, 1] - f) < 1e-6, 0]
                # Cells of 1.5 µm: (kΔ)²/8 of ω, by the phase over the group velocity; 2 % at the slowest here.
                assert np.min(np.abs(near / k - 1)) < (0.03 if f > 0.5 else 0.1)  # the wave of the lower wall is slow
    # By |k| the two directions are alike without a bias, and nothing is shaded.
    assert len(plain.patches) == 0
    np.testing.assert_allclose(
        np.sort(drawn(plain, plot.FORWARD, "None")[:, 0]),
        np.sort(-drawn(plain, plot.BACKWARD, "None")[:, 0]),
        rtol=1e-6,
    )
    (band,) = biased.patches
    # To the 30 GHz between frequencies, though the lattice loses the waves 90 and 120 GHz below.
    assert band.get_y() == pytest.approx(1.283, abs=0.03)
    assert band.get_y() + band.get_height() == pytest.approx(1.783, abs=0.03)


def test_rings_of_the_dispersion_are_roots() -> None:
    module = example("guide_dispersion")
    k = module.exact(-0.25, np.array([1.0, 1.24]) * module.THZ, np.array([[0.9e5, np.nan], [1.2e5, -2.5e5]]))
    np.testing.assert_allclose(k, [[89105.337, np.nan], [FAST, -SLOW]], rtol=1e-8)  # the digits given


def test_zeros_are_where_fast_and_slow_wave_oppose() -> None:
    module = example("resistive_wall")
    layers = [
        (18e-6, fdtd.GyrotropicDrude(15.6, module.OMEGA_P, 0.0, -0.25 * module.OMEGA_P)),
        (12e-6, fdtd.Dielectric(11.68)),
    ]
    fast, slow = (float(closed_forms.guide_wavenumber(layers, module.OMEGA, k).real) for k in (FAST, -SLOW))
    apart = 2e6 * np.pi / (fast - slow)
    np.testing.assert_allclose(-np.diff(module.ZEROS), apart, atol=0.011)  # two digits are given
    assert apart == pytest.approx(16.803, abs=5e-4)
    assert 2e6 * np.pi / fast == pytest.approx(54, abs=0.5)  # the text's wavelengths
    assert -2e6 * np.pi / slow == pytest.approx(24, abs=0.5)


@pytest.fixture(scope="module")
def ended():
    return example("resistive_wall").compute(small=True)


@pytest.mark.slow
def test_both_ways_of_the_bias_reflect_alike(ended) -> None:
    fast, slow = ended
    # R(B) = R(−B)ᵀ is exact but for what the absorber sends back in the lattice's own waves, and for .16 % of σ, 2e-4.
    assert abs(fast.r) == pytest.approx(abs(slow.r), abs=2e-3)
    # Cells of .5 µm lack 8 % of the limit, .397: 1.0 · Δ^1.7 on the way to it, as the text's three finer ones.
    assert abs(slow.r) == pytest.approx(0.3969 - 0.1019 * 0.5**1.73, abs=2e-3)


@pytest.mark.slow
def test_zeros_of_the_slow_wave_and_none_of_the_fast(ended, monkeypatch) -> None:
    module = example("resistive_wall")
    fast, slow = ended
    assert module.zeros(fast)[0].size == 0
    assert np.ptp(np.abs(fast.along)[(fast.x > -80) & (fast.x < -20)]) < 0.3 * np.max(np.abs(fast.along[fast.x > -80]))
    places, values = module.zeros(slow)
    assert places.size == 4
    # The fast wave that comes back is 4 % weaker than in the limit, so that as much is left of the slow one.
    assert np.max(values) < 0.04 * np.max(np.abs(slow.along[slow.x > -80]))
    # The slow wave of these cells is 3.5 % too short, and so are distances: 16.4 µm.
    between = 2e6 * np.pi / (266711.4 + 116200.1)
    # Evanescent waves move a zero by their share over the phases' advance, .19 a µm: e^{−39/6} there, e^{−23/6} nearer.
    np.testing.assert_allclose(np.diff(places)[:2], between, atol=0.01)
    np.testing.assert_allclose(np.diff(places)[2], between, atol=0.1)
    np.testing.assert_allclose(places, np.sort(module.ZEROS)[:-1], rtol=0.035)
    by_the_wall = np.abs(slow.along)[(slow.x > -12) & (slow.x < 0)]
    assert np.min(by_the_wall) > 0.2 * np.max(by_the_wall)  # nothing cancels at the fifth of them
    monkeypatch.setattr(module, "compute", lambda small: ended)
    axes = module.main(small=True).axes
    rings = [line for ax in axes for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    np.testing.assert_allclose(np.concatenate([line.get_xdata() for line in rings]), places, rtol=1e-12)
    dotted = [line.get_xdata()[0] for line in axes[3].lines if line.get_linestyle() == ":"]
    assert sorted(dotted) == sorted(module.ZEROS)
