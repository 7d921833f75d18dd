"""What the examples of the field draw is the checked physics."""

import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd import closed_forms
from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)


@pytest.fixture(scope="module")
def slab():
    return example("voigt_slab").compute(small=True)


@pytest.fixture(scope="module")
def guide():
    return example("surface_magnetoplasmon").compute(small=True)


@pytest.mark.slow
def test_points_of_the_slab_lie_on_the_lines(slab) -> None:
    for i in range(3):
        # Every fifth frequency of the lines has a point.
        on_line = np.moveaxis(slab.lines[i, ::5, :, 0], 0, -1)
        off = np.abs(slab.points[i] - on_line)
        # (kΔ)²/2 is .02 for the 4 rad/µm·.5 µm of silicon's wave at 3 THz; at the resonance waves are far shorter.
        assert np.median(off) < 5e-3
        assert np.quantile(off, 0.9) < 0.02


@pytest.mark.slow
def test_slab_transmits_alike_and_reflects_apart_for_both_signs_of_ky(slab) -> None:
    _, plus, minus = slab.points
    np.testing.assert_allclose(plus[1], minus[1], atol=1e-3)  # what matched layers reflect, near grazing
    apart = np.angle(plus[0] / minus[0])
    expected = np.angle(slab.lines[1, ::5, 0, 0] / slab.lines[2, ::5, 0, 0])
    assert np.max(np.abs(expected)) > 3  # near half a turn
    clear = np.abs(slab.lines[1, ::5, 0, 0]) > 0.3  # where the reflection is large enough to have a phase
    assert np.sum(clear) > 15
    off = np.abs(np.angle(np.exp(1j * (apart - expected))))[clear]
    assert np.median(off) < 0.03  # twice the error of r, over .3 and more
    # Collisions make the powers differ a little, and by as much as the lines.
    gap, between = (np.abs(p) ** 2 - np.abs(m) ** 2 for p, m in ((plus[0], minus[0]), slab.lines[1:, ::5, 0, 0]))
    assert np.max(np.abs(between)) > 0.03
    assert np.median(np.abs(gap - between)) < 3e-3


def test_normal_incidence_does_not_see_the_sign_of_the_bias() -> None:
    module = example("voigt_slab")
    turned = fdtd.GyrotropicDrude(15.6, module.OMEGA_P, 5e-3 * module.OMEGA_P, -0.25 * module.OMEGA_P)
    omega = np.linspace(*module.BAND, 9) * module.THZ
    layers = [(module.THICKNESS, turned)]
    s = closed_forms.slab_scattering(module.SILICON, layers, module.SILICON, omega)
    np.testing.assert_allclose(s, module.exact(omega / module.THZ, 0.0), atol=1e-13)  # round-off


def test_slab_is_transparent_where_the_text_says() -> None:
    module = example("voigt_slab")
    lossless = fdtd.GyrotropicDrude(15.6, module.OMEGA_P, 0.0, 0.25 * module.OMEGA_P)
    edges = [1.77, 2.06, 2.27]
    for edge in edges:
        below, above = closed_forms.voigt_permittivity(lossless, np.array([edge - 0.01, edge + 0.01]) * module.THZ).real
        assert (below > 0) != (above > 0)
    angle = np.degrees(np.arcsin(module.KY * module.LIGHT / (np.sqrt(11.68) * 2 * module.THZ)))
    assert angle == pytest.approx(30)


@pytest.mark.slow
def test_points_of_the_guide_lie_on_the_branches(guide) -> None:
    module = example("surface_magnetoplasmon")
    for at, found in ((module.FORWARD_AT, guide.forward), (module.BACKWARD_AT, guide.backward)):
        exact = [
            float(closed_forms.guide_wavenumber(module.layers(5e-3), f * module.THZ, k).real)
            for f, k in zip(at, found, strict=True)
        ]
        # (kΔ)²/4 of ω, over the group velocity: some percent where waves are slow, at the ends of the branches.
        np.testing.assert_allclose(found[:-1], exact[:-1], rtol=0.03)
        np.testing.assert_allclose(found[-1], exact[-1], rtol=0.12)
    assert np.all(guide.forward > 0)
    assert np.all(guide.backward < 0)


@pytest.mark.slow
def test_in_the_one_way_band_nothing_goes_to_the_left(guide) -> None:
    module = example("surface_magnetoplasmon")
    assert module.one_way_band() == pytest.approx((1.282935, 1.782935), abs=1e-6)  # the digits of independent solvers
    power = np.sum(np.abs(guide.hz) ** 2, axis=2)
    left, right = (power[:, (side * guide.x > 60e-6) & (side * guide.x < module.REACH)].sum(axis=1) for side in (-1, 1))
    inside = (module.FORWARD_AT > 1.35) & (module.FORWARD_AT < 1.65)
    assert np.sum(inside) == 3
    assert np.all(left[inside] < 1e-3 * right[inside])  # what evanescent waves keep after 60 µm
    assert np.all(left[~inside][:4] > 0.1 * right[~inside][:4])  # and below the band both ways are open


@pytest.mark.slow
def test_lines_of_the_dispersion_are_where_the_guide_has_waves(monkeypatch, guide) -> None:
    module = example("surface_magnetoplasmon")
    monkeypatch.setattr(module, "compute", lambda small: guide)
    axes = module.main(small=True).axes
    contours = [path for collection in axes[0].collections for path in collection.get_paths()]
    points = np.concatenate([path.vertices for path in contours if len(path.vertices)])
    for f, k in ((1.0, 89105.337), (1.0, -112829.298), (1.24, -257758.729), (1.5, 159731.304)):
        # Linear between the lines of a chart of 200 by 120.
        assert np.min(np.hypot(points[:, 0] - k / 1e5, points[:, 1] - f)) < 0.03
