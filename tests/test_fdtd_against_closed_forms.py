"""Fields in time against closed forms, at two sizes of cells: dielectrics, a gyrotropic slab, a guided surface wave."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from jax.flatten_util import ravel_pytree
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import eigs

from diffnr import fdtd
from diffnr.fdtd import closed_forms
from diffnr.fdtd.scene.media import LIGHT
from test_fdtd_closed_forms import DENSE, SILICON, TABLE, THIN, THZ, UM, guide_layers, insb

# A stack across x, lit from the left

THICKNESS = 20 * UM
SOURCE, PROBE = 50, 20  # cells before the stack
OMEGA = np.array([2.4, 2.6, 2.8]) * THZ
CELLS = 1.0 * UM, 0.5 * UM


class Lit(NamedTuple):
    """Hz: before the stack, as far behind its first face, as far behind its last one, [omega]; the step of time."""

    before: np.ndarray
    inside: np.ndarray
    behind: np.ndarray
    step: float


def lit(before, slab, after, cell: float, ky: float, step: float | None = None) -> Lit:
    """Spectra at OMEGA of what a pulse with e^{−i k_y y} leaves at the three places."""
    if isinstance(slab, fdtd.Dielectric):
        columns, face = 280, 100
        left, right = (fdtd.MatchedLayer(24, medium.eps**0.5) for medium in (before, after))
    else:
        columns, face = 1360, 660
        left = right = fdtd.Sponge(300 * UM, 8 * LIGHT / (300 * UM))  # at 45° 100 µm of it send back .01
    grid = fdtd.Grid(cell * (np.arange(columns + 1) - face), cell * np.arange(3))
    repeated = fdtd.Bloch(ky if ky else None)
    objects = [(fdtd.Rectangle([0, THICKNESS], [-1, 1]), slab), (fdtd.Rectangle([THICKNESS, 1], [-1, 1]), after)]
    scene = fdtd.Scene.of(grid, before, objects, fdtd.Boundaries(left, right, repeated, repeated))
    update = fdtd.Update.of(scene, step)

    def column(i: int) -> fdtd.Functional:
        # Weights over all of the grid: one compiled program serves any place.
        return fdtd.Functional("hz", (0, 0), np.where(np.arange(columns)[:, None] == i, 0.5 / cell**2, [0.0, 0.0]))

    behind = face + round(THICKNESS / cell) + PROBE - 1
    probes = [column(i) for i in (face - PROBE, face + PROBE - 1, behind)]
    # Its spectrum has 1e-7 of its height where waves of this k_y run along the faces; after 40 ps all have left.
    pulse = fdtd.Pulse(2.6 * THZ, 1.5e-12)
    steps = round(40e-12 / float(update.step))
    recorded = fdtd.propagate(update, steps, sources=[(column(face - SOURCE), pulse)], probes=probes)
    return Lit(*np.asarray(recorded.spectrum(OMEGA)), float(update.step))


def scattered(before, slab, after, cell: float, ky: float, empty) -> tuple[np.ndarray, np.ndarray]:
    """(S00, S10) at OMEGA, by a run with the stack and one with nothing but `before`, filled in by `empty`."""
    present = lit(before, slab, after, cell, ky)
    alone = lit(before, empty, before, cell, ky, present.step)

    def on_grid(medium: fdtd.Dielectric) -> np.ndarray:
        # The scheme's own wavenumber along x, so that phases hold no more than what the stack gave them.
        time = np.sin(OMEGA * present.step / 2) * cell / (LIGHT * present.step)
        return 2 / cell * np.arcsin(np.sqrt(float(medium.eps) * time**2 - np.sin(ky * cell / 2) ** 2 + 0j))

    # As far behind the first face as the probe is before it: what would be read if all were reflected there.
    reflection = (present.before - alone.before) / alone.inside
    q0, q1 = on_grid(before), on_grid(after)
    through = present.behind / alone.inside * np.exp(1j * (q1 - q0) * (PROBE - 0.5) * cell)
    return reflection, through * np.sqrt(q1 / float(after.eps) / (q0 / float(before.eps)))


def wavenumber(medium: fdtd.Dielectric, degrees: float) -> float:
    """k_y at which a wave at 2.6 THz meets the faces at an angle."""
    return float(2.6 * THZ / LIGHT * medium.eps**0.5 * np.sin(np.radians(degrees)))


def assert_second_order(coarse: np.ndarray, fine: np.ndarray, exact: np.ndarray, bound: float) -> None:
    """Errors that fall as the square of the cell, to the fourth order, and are below a bound at the finer cell."""
    exact, errors = np.asarray(exact), [np.abs(value - exact) for value in (coarse, fine)]
    assert np.all(errors[1] < bound)
    np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.03)  # the fourth order, (kΔ)² of the second: 1–3 %
    # What the two together extrapolate to is the closed form: no error is left that does not fall so.
    assert np.max(np.abs((4 * fine - coarse) / 3 - exact)) < 0.03 * np.max(errors[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "slab", "after", "degrees"),
    [
        pytest.param(THIN, DENSE, DENSE, 0.0, id="face"),
        pytest.param(THIN, DENSE, DENSE, 40.0, id="oblique face"),
        pytest.param(DENSE, THIN, THIN, 50.0, id="total reflection"),
        pytest.param(THIN, DENSE, THIN, 0.0, id="slab"),
        pytest.param(THIN, DENSE, THIN, 40.0, id="oblique slab"),
    ],
)
def test_dielectrics_reflect_and_transmit_as_fresnel_has_it(before, slab, after, degrees: float) -> None:
    ky = wavenumber(before, degrees)
    coarse, fine = (scattered(before, slab, after, cell, ky, before) for cell in CELLS)
    exact = closed_forms.slab_scattering(before, [(THICKNESS, slab)], after, OMEGA, ky)
    # Over a cell the scheme's phase is off by (kΔ)²/24 of itself, and the slab is up to 3 rad: 6e-4 at 2.8 THz.
    bound = 3 * (2.5 * OMEGA[-1] / LIGHT * CELLS[1]) ** 2 / 12
    assert_second_order(coarse[0], fine[0], exact[:, 0, 0], bound)
    if degrees != 50.0:
        assert_second_order(coarse[1], fine[1], exact[:, 1, 0], bound)
    else:
        assert np.max(np.abs(np.abs(fine[0]) - 1)) < 1e-4  # what the matched layers reflect


# Carriers so thin that they do nothing: silicon, in the same compiled program as the slab.
EMPTY = fdtd.GyrotropicDrude(11.68, 1.0, 0.0, 0.0)


def voigt_slab(bias: float, degrees: float, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """(S00, S10) at OMEGA of a slab of InSb in silicon."""
    return scattered(SILICON, insb(bias, 5e-3), SILICON, cell, wavenumber(SILICON, degrees), EMPTY)


@pytest.mark.slow
@pytest.mark.parametrize(("bias", "degrees"), [(0.25, 0.0), (0.25, 45.0), (-0.25, 45.0)])
def test_a_voigt_slab_reflects_and_transmits_as_the_closed_form_has_it(bias: float, degrees: float) -> None:
    coarse, fine = (voigt_slab(bias, degrees, cell) for cell in CELLS)
    layers, ky = [(THICKNESS, insb(bias, 5e-3))], wavenumber(SILICON, degrees)
    exact = closed_forms.slab_scattering(SILICON, layers, SILICON, OMEGA, ky)
    # As above; and carriers feel the mean of two edges, which is (kΔ)²/8 short: over the slab's 3 rad (kΔ)²/2 in all.
    bound = 3 * (np.sqrt(11.68) * OMEGA[-1] / LIGHT * CELLS[1]) ** 2 * (1 / 24 + 1 / 8)
    for i in (0, 1):
        assert_second_order(coarse[i], fine[i], exact[:, i, 0], bound)


@pytest.mark.slow
def test_a_biased_slab_tells_the_signs_of_ky_by_its_reflection_alone() -> None:
    there, back, turned = (voigt_slab(b, a, CELLS[0]) for b, a in ((0.25, 45.0), (0.25, -45.0), (-0.25, -45.0)))
    np.testing.assert_allclose(there, turned, atol=1e-10)  # a mirror turns bias and k_y: the scheme's symmetry too
    np.testing.assert_allclose(there[1], back[1], atol=1e-5)  # both ways alike, but for what sponges reflect
    layers, ky = [(THICKNESS, insb(0.25, 5e-3))], wavenumber(SILICON, 45.0)
    exact, other = (
        closed_forms.slab_scattering(SILICON, layers, SILICON, OMEGA, side * ky)[:, 0, 0] for side in (1, -1)
    )
    phase, expected = np.angle(there[0] / back[0]), np.angle(exact / other)
    assert np.min(np.abs(expected)) > 0.5
    # Each phase is off by its error of r over |r|; the errors at this cell are below .017, four times the finer one's.
    bound = 0.017 * (1 / np.abs(exact) + 1 / np.abs(other))
    assert np.all(np.abs(phase - expected) < bound)


# A surface wave along the face of InSb and silicon, between two metal walls


@eqx.filter_jit
def matrix_of(update: fdtd.Update) -> Array:
    """The step as a matrix over all numbers of the fields."""
    zero, unravel = ravel_pytree(update.zero_fields())
    return jax.vmap(lambda flat: ravel_pytree(update(unravel(flat)))[0])(jnp.eye(zero.size) + 0j).T


def nearest_on_lattice(k: float, omega: float, cell: float) -> float:
    """ω of the lattice's own wave of wavenumber k that looks like the guide's, by its step as a matrix."""
    # The guide turned by 90°: along y, in which two cells repeat, with silicon to the left.
    count = round(30 * UM / cell)
    grid = fdtd.Grid(cell * np.arange(count + 1), cell * np.arange(3))
    below = fdtd.Rectangle([12 * UM, 30 * UM], [-1, 1]), insb(-0.25)
    scene = fdtd.Scene.of(grid, SILICON, [below], fdtd.Boundaries(bottom=fdtd.Bloch(k), top=fdtd.Bloch(k)))
    update = fdtd.Update.of(scene)
    zero, unravel = ravel_pytree(update.zero_fields())
    turn = np.exp(1j * omega * float(update.step))
    turns, waves = eigs(csc_matrix(np.asarray(matrix_of(update))), k=8, sigma=turn, v0=np.ones(zero.size) + 0j)
    omegas = np.angle(turns) / float(update.step)
    # In the band of one direction a lattice has waves of its own, cell by cell to and fro: those are told by shape.
    hz = np.asarray(jax.vmap(lambda flat: unravel(flat).hz[::-1, 0])(jnp.asarray(waves.T)))
    profile = np.asarray(closed_forms.guide_profile(guide_layers(), omega, k, grid.centres[0]))
    return float(omegas[np.argmax(np.abs(hz.conj() @ profile) / np.linalg.norm(hz, axis=1))])


@pytest.mark.parametrize(("terahertz", "k"), TABLE)
@pytest.mark.slow
def test_surface_waves_of_the_lattice_converge_to_the_guides(terahertz: float, k: float) -> None:
    omega = terahertz * THZ
    k = float(closed_forms.guide_wavenumber(guide_layers(), omega, k).real)
    coarse, fine = (nearest_on_lattice(k, omega, cell) for cell in (1.5 * UM, 0.75 * UM))
    # Fields fall from the face about as e^{−|k|y}: (kΔ)²/24 of a derivative and (kΔ)²/8 of each mean.
    bound = omega * (k * 0.75 * UM) ** 2 / 4
    assert_second_order(np.array([coarse]), np.array([fine]), np.array([omega]), bound)


DRIVEN = np.array([1.1, 1.24, 1.4]) * THZ
FORWARD, BACKWARD = (99690.0, 116168.0, 139575.0), -138495.0  # rad/m at DRIVEN, and at the first of it: guesses
NU = 0.01  # of ω_p: what does not go away from the source falls silent
REACH, SPONGE = 100 * UM, 150 * UM  # to either side


def driven_guide(cell: float) -> tuple[fdtd.Grid, np.ndarray]:
    """Hz at the frequencies DRIVEN, [frequency, x, y], around a source."""
    half = round((REACH + SPONGE) / cell)
    grid = fdtd.Grid(cell * np.arange(-half, half + 1), cell * np.arange(round(30 * UM / cell) + 1))
    below = fdtd.Rectangle([-1, 1], [0, 18 * UM]), insb(-0.25, NU)
    scene = fdtd.Scene.of(grid, SILICON, [below], fdtd.Boundaries(left=fdtd.Sponge(SPONGE), right=fdtd.Sponge(SPONGE)))
    update = fdtd.Update.of(scene)
    x, y = (np.asarray(centres) for centres in grid.centres)
    # Wide, so that it leaves waves alone that are much shorter than the guide's.
    weights = np.exp(-((x[:, None] / (7 * UM)) ** 2) / 2 - ((y - 18 * UM) / (6 * UM)) ** 2 / 2) / UM**2
    source = fdtd.Functional("hz", (0, 0), weights), fdtd.Pulse(1.35 * THZ, 0.7e-12)
    transform = fdtd.FieldTransform("hz", DRIVEN, stride=4)
    steps = round(40e-12 / float(update.step))
    return grid, np.asarray(fdtd.propagate(update, steps, sources=[source], transforms=[transform]).transforms[0])


def wavenumber_along(x: np.ndarray, field: np.ndarray, near: complex) -> complex:
    """k of the one of two exponentials e^{−ikx} in a field that is nearest to a guess."""
    shift = round(6 * UM / (x[1] - x[0]))
    before, at, after = field[: -2 * shift], field[shift:-shift], field[2 * shift :]
    steps = np.roots([1, *-np.linalg.lstsq(np.stack([at, before], 1), after, rcond=None)[0]])
    found = 1j * np.log(steps) / (shift * (x[1] - x[0]))
    return complex(found[np.argmin(np.abs(found - near))])


def driven_wavenumbers(cell: float) -> np.ndarray:
    """k forward at DRIVEN and backward at the first of it, read off the driven guide."""
    grid, hz = driven_guide(cell)
    x, y = (np.asarray(centres) for centres in grid.centres)
    found = []
    for i, k in (*enumerate(FORWARD), (0, BACKWARD)):
        part = np.abs(x * np.sign(k) - 62 * UM) < 33 * UM  # between the source's wings and a sponge
        profile = np.asarray(closed_forms.guide_profile(guide_layers(), DRIVEN[i], k, y))
        found.append(wavenumber_along(x[part], hz[i, part] @ profile.conj(), k))
    return np.array(found)


@pytest.mark.slow
def test_a_driven_guide_carries_the_closed_forms_waves() -> None:
    coarse, fine = driven_wavenumbers(1.5 * UM), driven_wavenumbers(0.75 * UM)
    for i, guess in (*enumerate(FORWARD), (3, BACKWARD)):
        omega = DRIVEN[i % 3]
        wave = lambda omega, guess=guess: closed_forms.guide_wavenumber(guide_layers(nu=NU), omega, guess)  # noqa: E731
        exact, slope = complex(wave(omega)), complex(wave(1.0001 * omega) - wave(omega)) / (1e-4 * omega)
        errors = abs(coarse[i] - exact), abs(fine[i] - exact)
        # The error of ω at k, as on the lattice, over the group velocity.
        assert errors[1] < omega * abs(slope) * (guess * 0.75 * UM) ** 2 / 4
        # Second order; 2e-5 of k is what sponges send back and other waves leave between the source and them.
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
