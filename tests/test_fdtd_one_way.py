"""In the one-way band of a biased guide no wave goes back: what is there decays as the evanescent modes do."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd, hertz
from diffnr.fdtd.closed_forms import guide_wavenumber

UM, PS = 1e-6, 1e-12
INSB, TOP, HALF = 18 * UM, 30 * UM, 240
OMEGA_P = 4e12 * np.pi
TONES = hertz(1e12 * jnp.array([1.4, 1.5, 1.6]))
SILICON = fdtd.Dielectric(11.68)
# A spectrum that is 2·10⁻⁴ at the band's lower edge, 1.283 THz, where the waves behind the source stand still.
PULSE = fdtd.Pulse(hertz(1.5e12), 3 * PS)
NEAR, FAR = 60, 110  # µm from the source


class Lines(NamedTuple):
    """Hz(ω) and power along the guide, [tone, x] at cells' centres and [tone, line] at lines; x in µm."""

    x: np.ndarray
    hz: np.ndarray
    power: np.ndarray


def insb(bias: float) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, bias * OMEGA_P)


@cache
def launched(bias: float, per_um: int = 1) -> Lines:
    """Transforms of a pulse from the middle of a guide without loss, whose grid is symmetric to the last digit."""
    lines = np.arange(-HALF * per_um, HALF * per_um + 1) / per_um * UM
    cell = UM / per_um
    across = fdtd.Grid.refined([0.0, HALF * UM], [0.0, INSB, TOP], cell, fine_y={INSB: cell / 2}).y
    grid = fdtd.Grid(lines, across)
    sponge, slab = fdtd.Sponge(HALF / 2 * UM), fdtd.Rectangle([-1.0, 1.0], [0.0, INSB])
    scene = fdtd.Scene.of(grid, SILICON, [(slab, insb(bias))], fdtd.Boundaries(left=sponge, right=sponge))
    update = fdtd.Update.of(scene)
    x, y = (np.asarray(centres) for centres in grid.centres)
    # As smooth as this it does not reach the lattice's own waves of a few cells, of which some go back.
    weights = np.exp(-((x[:, None] / UM) ** 2 + ((y - INSB) / UM) ** 2) / 32) / UM**2
    # Of Ey all lines but the first: as many as there are cells.
    transforms = [
        fdtd.FieldTransform("hz", TONES, stride=8),
        fdtd.FieldTransform("ey", TONES, rows=(1, x.size + 1), stride=8),
    ]
    steps = int(50 * PS / float(update.step))
    source = fdtd.Functional("hz", (0, 0), weights), PULSE
    recording = fdtd.propagate(update, steps, sources=[source], transforms=transforms)
    hz, ey = (np.asarray(part) for part in recording.transforms)
    between = (hz[:, 1:] + hz[:, :-1]) / 2
    power = np.sum((ey[:, :-1] * np.conj(between)).real * np.asarray(grid.dy), axis=-1)
    return Lines(x / UM, hz[:, :, np.argmin(np.abs(y - INSB))], np.pad(power, ((0, 0), (1, 1))))


def at(values: np.ndarray, per_um: int, distance: int) -> np.ndarray:
    """[tone], at the cell or the line that is right of the source by a distance in µm."""
    return values[:, (HALF + distance) * per_um]


@cache
def evanescent() -> np.ndarray:
    """k [tone] of the mode that leaks farthest to the left at B along −z, e^{−ikx} with Im k > 0, in closed form."""
    layers = (INSB, insb(-0.25)), (TOP - INSB, SILICON)
    return np.asarray(jax.vmap(lambda omega: guide_wavenumber(layers, omega, -6.3e4 + 1.04e5j))(TONES))


@pytest.mark.slow
def test_ahead_power_goes_on_unchanged() -> None:
    near, far = (at(launched(-0.25).power, 1, distance) for distance in (NEAR, FAR))
    assert np.all(near > 0)
    # Beside the wave there is at 60 µm still the evanescent one, of 8e-4 of its amplitude at 1.6 THz as behind.
    np.testing.assert_allclose(near, far, rtol=1e-3)


@pytest.mark.slow
def test_no_wave_goes_back() -> None:
    lines = launched(-0.25)
    for distance in (NEAR, FAR):
        # All that is there decays as the evanescent mode, 8e-12 to 7e-7 of the power at 60 µm, down to where the pulse
        # ends. Neither sponge sends anything back: no wave arrives left, and from the right none could come.
        leaks = np.exp(-2 * evanescent().imag * distance * UM)
        assert np.all(np.abs(at(lines.power, 1, -distance)) < leaks * at(lines.power, 1, distance))


@pytest.mark.slow
def test_what_is_behind_decays_as_in_closed_form() -> None:
    lines = launched(-0.25)
    # One less: the cell at −x mirrors that at x.
    near, far = (np.abs(at(lines.hz, 1, -distance - 1)) for distance in (50, 80))
    # At 50 µm the next mode, 5.6 to 5.8 µm a factor of e, adds half a percent; cells of 1 µm another.
    np.testing.assert_allclose(np.log(near / far) / (30 * UM), evanescent().imag, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [-0.25, 0.0])
def test_turning_the_bias_mirrors_all(bias: float) -> None:
    one, other = launched(bias), launched(-bias)
    # Round-off of sums over 10⁴ steps.
    np.testing.assert_allclose(one.hz, other.hz[:, ::-1], rtol=0, atol=1e-12 * np.max(np.abs(one.hz)))
    np.testing.assert_allclose(one.power, -other.power[:, ::-1], rtol=0, atol=1e-12 * np.max(np.abs(one.power)))
    if bias:  # no symmetry does so at one bias
        assert np.max(np.abs(one.hz - one.hz[:, ::-1])) > 0.5 * np.max(np.abs(one.hz))


@pytest.mark.slow
def test_the_wave_ahead_converges_on_the_closed_form() -> None:
    exact = [139575.407, 159731.304]  # of the tones 1.4 and 1.5 THz, solved for independently
    errors = []
    for per_um in (1, 2):
        hz = launched(-0.25, per_um).hz
        turn = np.angle(at(hz, per_um, 90) / at(hz, per_um, 91))[:2] / UM
        errors.append(turn / exact - 1)
    assert np.all(np.abs(errors[1]) < 1e-3)
    # Second order: 4, with what the cells across, finer at the interface, take from it.
    assert np.all((errors[0] / errors[1] > 3) & (errors[0] / errors[1] < 5))
