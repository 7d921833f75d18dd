"""All resonances in a disc: none missing, none invented, and said where that is not sure."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd.scene.media import LIGHT
from diffnr.results import RESULTS

UM = 1e-6
THZ = 2e12 * np.pi
SILICON = fdtd.Dielectric(11.68)


STEP = 1e-15


def box(eps: Any = 4.0, cells: tuple[int, int] = (10, 8)) -> fdtd.Update:
    """A closed box, of cells of 3 µm."""
    grid = fdtd.Grid(*(np.linspace(0, n * 3 * UM, n + 1) for n in cells))
    return fdtd.Update.of(fdtd.Scene.of(grid, fdtd.Dielectric(eps)), STEP)


def frequencies_of_the_box(cells: tuple[int, int] = (10, 8)) -> np.ndarray:
    """sin(ωΔt/2) = (cΔt/2n) √((2/Δx sin(mπΔx/2a))² + …), the scheme's own closed form."""
    m, l = (part.ravel()[1:] for part in np.indices(cells))
    k = np.hypot(np.sin(np.pi * m / (2 * cells[0])), np.sin(np.pi * l / (2 * cells[1]))) * 2 / (3 * UM)
    return np.sort(2 / STEP * np.arcsin(LIGHT * STEP / 4 * k))


def test_a_disc_has_all_modes_of_a_box_and_no_others() -> None:
    update, exact = box(), frequencies_of_the_box()
    centre, radius = 4.6 * THZ, 0.9 * THZ
    found = fdtd.resonances(update, within=(centre, radius))
    inside = exact[np.abs(exact - centre) < radius]
    assert len(inside) > 1
    np.testing.assert_allclose(np.sort(found.omega), inside, rtol=1e-13)  # round-off
    assert int(found.unresolved) == 0
    # A gap between two of them has none, which is a success.
    k = int(np.argmax(np.diff(exact[:8])))
    gap = (exact[k] + exact[k + 1]) / 2, (exact[k + 1] - exact[k]) / 2 * 0.98
    empty = fdtd.resonances(update, within=gap)
    assert int(empty.count) == 0
    assert bool(empty.converged)


def test_a_disc_above_the_axis_has_only_what_decays_as_fast() -> None:
    """Every mode of a lossless box is outside a disc that does not reach the axis."""
    centre = complex(frequencies_of_the_box()[1], 0.2 * THZ)
    assert int(fdtd.resonances(box(), within=(centre, 0.19 * THZ)).count) == 0


def test_what_a_disc_finds_has_derivatives() -> None:
    """ω ∝ 1/√ε where steps are short: dω/dε = −ω/2ε, but for (ωΔt)²/24."""
    lowest = frequencies_of_the_box()[0]

    def first(eps: Any) -> Any:
        return fdtd.resonances(box(eps), within=(lowest, 0.02 * lowest)).omega[0]

    value, slope = jax.value_and_grad(first)(4.0)
    assert float(value) == pytest.approx(lowest, rel=1e-13)
    h = 1e-4
    assert float(slope) == pytest.approx(float(first(4 + h) - first(4 - h)) / (2 * h), rel=1e-8)  # h² and round-off/h


def test_a_degenerate_mode_counts_twice() -> None:
    """Of a square box, whose modes (m, l) and (l, m) are one frequency."""
    exact = frequencies_of_the_box((8, 8))
    found = fdtd.resonances(box(cells=(8, 8)), within=(exact[3], 0.1 * exact[3]))
    assert int(found.count) == 2
    np.testing.assert_allclose(found.omega, exact[3:5], rtol=1e-12)  # round-off


@pytest.mark.slow
def test_more_modes_than_currents_are_found() -> None:
    """16 drive at first, and are doubled."""
    cells = (24, 20)
    exact = frequencies_of_the_box(cells)
    low, high = (exact[1:3].mean(), exact[24:26].mean())
    centre, radius = (low + high) / 2, (high - low) / 2
    inside = exact[np.abs(exact - centre) < radius]
    assert len(inside) > 16
    found = fdtd.resonances(box(cells=cells), within=(centre, radius))
    np.testing.assert_allclose(np.sort(found.omega), inside, rtol=1e-12)


def test_a_search_that_is_out_of_time_says_so() -> None:
    found = fdtd.resonances(box(), within=(2.5 * THZ, 0.1 * THZ), max_seconds=1e-9, throw=False)
    assert not bool(found.converged)
    assert found.message == RESULTS[RESULTS.out_of_time]
    with pytest.raises(RuntimeError, match="Raise max_seconds"):
        fdtd.resonances(box(), within=(2.5 * THZ, 0.1 * THZ), max_seconds=1e-9)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "Argument omega must be given, or else within="),
        ({"omega": 1e13, "within": (1e13, 1e12)}, "Argument omega must be given, or else within="),
        ({"within": 1e13}, r"Argument within must be \(centre, radius\)"),
        ({"within": (1e13, -1e12)}, "Argument within must have a finite centre and a positive radius"),
        ({"within": (1e12, 2e12)}, "Argument within must be a disc to the right of ω = 0"),
        ({"within": (1e14, 1e12)}, "Argument within, its highest frequency, must leave at least 6 cells"),
        ({"within": (1e13, 1e12), "max_nodes": 8}, "Argument max_nodes must be a whole number of at least 16"),
    ],
)
def test_what_is_no_disc_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fdtd.resonances(box(), **arguments)


def test_modes_are_not_counted_inside_of_jit() -> None:
    with pytest.raises(ValueError, match="Argument within must be a known disc, of a known scene"):
        eqx.filter_jit(lambda eps: fdtd.resonances(box(eps), within=(1e13, 1e12)).omega)(jnp.asarray(4.0))


def open_box(bias: float = -0.25) -> fdtd.Update:
    """Silicon before a wall with a wide opening, plasma behind it, and a sponge: its modes last for a few periods."""
    grid = fdtd.Grid.uniform((0.0, 60 * UM), (0.0, 30 * UM), 2 * UM)
    walls = [fdtd.Rectangle([36 * UM, 38 * UM], [low * UM, high * UM]) for low, high in ((0, 8), (22, 30))]
    insb = fdtd.GyrotropicDrude(eps_inf=15.6, omega_p=0.8 * THZ, nu=0.02 * THZ, omega_c=bias * 2 * THZ)
    objects = [(wall, fdtd.PerfectConductor()) for wall in walls]
    objects.append((fdtd.Rectangle([38 * UM, 60 * UM], [0.0, 12 * UM]), insb))
    return fdtd.Update.of(fdtd.Scene.of(grid, SILICON, objects, fdtd.Boundaries(left=fdtd.Sponge(24 * UM, rate=2e13))))


@pytest.mark.slow
def test_modes_of_low_q_are_found_at_both_biases() -> None:
    """A scene has the same resonances at B and −B, those of a Q of a few too: two systems, of which each is solved."""
    disc = complex(1.4, 0.2) * THZ, 0.4 * THZ
    found = [fdtd.resonances(open_box(bias), within=disc) for bias in (-0.25, 0.25)]
    assert float(jnp.min(found[0].q)) < 5
    assert all(int(each.count) == int(found[0].count) > 1 for each in found)
    for name in ("omega", "gamma"):
        np.testing.assert_allclose(*(getattr(each, name) for each in found), rtol=1e-9)  # round-off, of the lowest Q
    # Each is a mode of the step in time: all that is left, E, H and J, turns by e^{(iω − γ)Δt}.
    update = open_box(-0.25)
    for k in range(int(found[0].count)):
        fields = jax.tree_util.tree_map(lambda part, k=k: part[k], found[0].fields)
        s = 1j * found[0].omega[k] - found[0].gamma[k]
        half = jnp.exp(-s * update.step / 2)
        state = fields._replace(hz=fields.hz * half, jx=fields.jx * half, jy=fields.jy * half)
        parts = [jax.tree_util.tree_map(function, state) for function in (jnp.real, jnp.imag)]
        ahead = jax.tree_util.tree_map(lambda a, b: a + 1j * b, *(update(part) for part in parts))
        for part, there in zip(ahead[:5], state[:5], strict=True):
            there = there * jnp.exp(s * update.step)
            assert np.max(np.abs(part - there)) < 1e-10 * np.max(np.abs(there))  # round-off of a step, and of vectors


@pytest.mark.slow
def test_a_lossless_plasma_is_said_to_hide_modes() -> None:
    """Where the lattice's own plasmons are, a mode is spread over many of them, at any weight."""
    grid = fdtd.Grid.uniform((0.0, 75 * UM), (0.0, 30 * UM), 1.5 * UM)
    insb = fdtd.GyrotropicDrude(eps_inf=15.6, omega_p=2 * THZ, nu=0.0, omega_c=0.5 * THZ)
    plasma = fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM]), insb
    update = fdtd.Update.of(fdtd.Scene.of(grid, SILICON, [plasma]))
    found = fdtd.resonances(update, within=(1.0 * THZ, 0.16 * THZ), throw=False, max_nodes=16)
    assert found.message == RESULTS[RESULTS.modes_missing]
