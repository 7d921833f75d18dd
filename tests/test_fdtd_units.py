"""What a scene says of its wavelengths, and of numbers that look like those of other units."""

import warnings

import numpy as np
import pytest

import diffnr as nr
from diffnr import fdtd

UM = 1e-6
OMEGA_P = 4e12 * np.pi


def scene(microns: float = 1.0, side: float = 18 * UM) -> fdtd.Scene:
    grid = fdtd.Grid.uniform((0, 120 * microns), (0, 30 * microns), 2 * microns)
    insb = fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, 0.0)
    return fdtd.Scene.of(grid, fdtd.Dielectric(11.68), [(fdtd.Rectangle([0, np.inf], [0, side]), insb)])


def test_a_scene_prints_its_sizes_and_wavelengths() -> None:
    one = scene(UM)
    assert str(one).startswith("Scene of 60 × 15 cells of 2 µm, x from 0 to 120 µm, y from 0 to 30 µm, ε∞ up to 15.6: ")
    # c/(√15.6 · 12 µm)
    assert "up to 6.325 THz (omega = 3.974e+13 rad/s)" in str(one)
    first, insb, silicon = one.wavelengths(nr.hertz(1.24e12)).splitlines()
    assert first == "1.24 THz, 241.768 µm in vacuum, cells up to 2 µm"
    assert silicon == "  40.0% of cells: ε∞ = 11.68, n = 3.418, wavelength 70.74 µm, 35.4 cells"
    # ε = 15.6 (1 − (2/1.24)²) = −24.98: depth λ/(2π·4.9983).
    assert insb == "  60.0% of cells: ε∞ = 15.6, n = 0-5i, depth 7.698 µm, 3.85 cells"
    with pytest.raises(ValueError, match="Argument omega must be positive"):
        one.wavelengths(0.0)


def test_metres_that_look_like_micrometres_bring_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"The grid is 120 m long along x: lengths are in metres, and 1 µm is 1e-6"):
        scene(1.0, 18.0)
    with pytest.warns(UserWarning, match=r"a side at y = 18 m, beyond the grid, which goes from 0 to 30 µm"):
        scene(UM, 18.0)
    with pytest.warns(UserWarning, match=r"The grid is 30 m long along y"):
        fdtd.layered_guide([(18, fdtd.Dielectric(2.0)), (12, fdtd.Dielectric(4.0))], cell=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene(UM, 1.0)  # far beyond, as one writes it
        scene(1e-3, 0.5)  # of centimetres


def test_hertz_for_an_angular_frequency_bring_a_warning() -> None:
    update = fdtd.Update.of(scene(UM))
    asked = {"sources": [(fdtd.Functional.at(update.scene.grid, 60 * UM, 20 * UM), 1.0)]}
    meant = r"omega is 1.24e\+12 rad/s, 0.197 THz, .* all of the scene 120 µm\. .* hertz, pass nr\.hertz\(1\.24e\+12\)"
    with pytest.warns(UserWarning, match=meant):
        fdtd.frequency(update, 1.24e12, **asked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for omega in (nr.hertz(1.24e12), 1e13, 2e12 * np.pi * 0.2):
            fdtd.frequency(update, omega, **asked)


@pytest.mark.parametrize("call", [fdtd.guide_modes, lambda guide, omega: fdtd.dispersion(guide, [0.9 * omega, omega])])
def test_guides_tell_hertz_too(call, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = fdtd.layered_guide([(18 * UM, fdtd.Dielectric(2.0)), (12 * UM, fdtd.Dielectric(4.0))], cell=3 * UM)
    stopped = RuntimeError("before it is solved")
    for module in ("guide", "dispersion"):
        name = f"diffnr.fdtd.guides.{module}.as_num_modes"
        monkeypatch.setattr(name, lambda *_: (_ for _ in ()).throw(stopped))
    with pytest.warns(UserWarning, match=r"pass nr\.hertz\(4e\+11\)"), pytest.raises(RuntimeError, match="before"):
        call(guide, 4e11)
