"""The closed forms of slabs and guides: against others, in their limits, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from diffnr import fdtd
from diffnr.fdtd import closed_forms
from diffnr.fdtd.scene.media import LIGHT
from systems import central_difference

UM = 1e-6
THZ = 2e12 * np.pi
OMEGA_P = 4e12 * np.pi
SILICON = fdtd.Dielectric(11.68)
THIN, DENSE = fdtd.Dielectric(2.25), fdtd.Dielectric(6.25)


def insb(bias: float | Array, nu: float = 0.0) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, nu * OMEGA_P, bias * OMEGA_P)


def guide_layers(bias: float | Array = -0.25, nu: float = 0.0) -> list[tuple[float, fdtd.AbstractMedium]]:
    return [(18 * UM, insb(bias, nu)), (12 * UM, SILICON)]


@pytest.mark.parametrize("degrees", [0.0, 40.0, 56.3])
def test_slab_scattering_without_layers_is_fresnels(degrees: float) -> None:
    omega = np.array([1.0, 2.6]) * THZ
    n0, n1, inside = 1.5, 2.5, np.radians(degrees)
    outside = np.arcsin(n0 * np.sin(inside) / n1)
    s = closed_forms.slab_scattering(THIN, [], DENSE, omega, n0 * np.sin(inside) * omega / LIGHT)
    # Fresnel's for E in the plane of incidence, as the textbooks have it for H: r = tan(a − b)/tan(a + b) beyond 0.
    a, b = n1 * np.cos(inside), n0 * np.cos(outside)
    through = 2 * np.sqrt(n0 * n1 * np.cos(inside) * np.cos(outside)) / (a + b)
    # Round-off.
    np.testing.assert_allclose(s[:, 0, 0], (a - b) / (a + b), atol=1e-14)
    np.testing.assert_allclose(s[:, 1, 0], through, atol=1e-14)
    np.testing.assert_allclose(s[:, 0, 1], s[:, 1, 0], atol=1e-14)


def test_slab_scattering_of_one_layer_is_airys() -> None:
    omega = np.linspace(1.0, 4.0, 7) * THZ
    ky = 0.6 * omega / LIGHT
    s = closed_forms.slab_scattering(THIN, [(20 * UM, DENSE)], THIN, omega, ky)
    face = closed_forms.slab_scattering(THIN, [], DENSE, omega, ky)[:, 0, 0]
    turn = np.exp(-1j * np.sqrt(6.25 * (omega / LIGHT) ** 2 - ky**2) * 20 * UM)
    reflection = face * (1 - turn**2) / (1 - face**2 * turn**2)
    np.testing.assert_allclose(s[:, 0, 0], reflection, atol=1e-13)  # round-off
    np.testing.assert_allclose(s[:, 1, 0], (1 - face**2) * turn / (1 - face**2 * turn**2), atol=1e-13)


def test_slab_scattering_conserves_power_and_reverses_with_the_bias() -> None:
    omega = np.linspace(1.2, 4.0, 9) * THZ
    ky = 0.5 * np.sqrt(11.68) * omega / LIGHT

    def s(bias: float, side: int, nu: float) -> np.ndarray:
        layers = [(8 * UM, insb(bias, nu)), (5 * UM, DENSE), (11 * UM, insb(-0.4 * bias, nu))]
        return np.asarray(closed_forms.slab_scattering(SILICON, layers, SILICON, omega, side * ky))

    lossless, lossy = s(0.25, 1, 0.0), s(0.25, 1, 0.02)
    np.testing.assert_allclose(np.swapaxes(lossless.conj(), -1, -2) @ lossless, np.eye(2) + 0 * lossless, atol=1e-11)
    assert np.all(np.linalg.norm(lossy, 2, axis=(-2, -1)) < 1 - 1e-4)
    np.testing.assert_allclose(lossy, s(-0.25, -1, 0.02), atol=1e-11)  # round-off of 1e3 in P, here and below
    np.testing.assert_allclose(lossy[:, 0, 1], lossy[:, 1, 0], atol=1e-11)
    back = s(0.25, -1, 0.02)
    assert np.max(np.abs(back[:, 0, 0] - lossy[:, 0, 0])) > 0.1
    # Turned by 180° the stack has its sides and the sign of k_y exchanged.
    flipped = closed_forms.slab_scattering(
        SILICON,
        [(11 * UM, insb(-0.1, 0.02)), (5 * UM, DENSE), (8 * UM, insb(0.25, 0.02))],
        SILICON,
        omega,
        -ky,
    )
    np.testing.assert_allclose(flipped, lossy[:, ::-1, ::-1], atol=1e-11)


def test_voigt_permittivity_is_even_in_the_bias() -> None:
    omega = np.array([1.0, 1.9, 2.6]) * THZ
    for nu in (0.0, 0.01):
        value = closed_forms.voigt_permittivity(insb(0.25, nu), omega)
        # (ε1² − ε2²)/ε1 with the ε1 and ε2 of the paper, e^{+iωt}.
        w = omega / OMEGA_P
        around = (w - 1j * nu) ** 2 - 0.25**2
        one, two = 1 - (w - 1j * nu) / (w * around), 0.25 / (w * around)
        np.testing.assert_allclose(value, 15.6 * (one**2 - two**2) / one, rtol=1e-13)  # round-off
        np.testing.assert_allclose(value, closed_forms.voigt_permittivity(insb(-0.25, nu), omega), rtol=1e-13)


# Frequency in THz and k in rad/m of an independent solver, to the digits printed; bias −.25 ω_p but for the last two.
TABLE = [
    (1.0, 89105.337),
    (1.0, -112829.298),
    (1.24, 116167.561),
    (1.24, -257758.729),
    (1.4, 139575.407),
    (1.5, 159731.304),
]


@pytest.mark.parametrize(("terahertz", "k", "bias"), [(*row, -0.25) for row in TABLE] + [(1.0, 97104.222, 0.0)])
def test_guide_wavenumber_is_that_of_an_independent_solver(terahertz: float, k: float, bias: float) -> None:
    found = closed_forms.guide_wavenumber(guide_layers(bias), terahertz * THZ, 1.002 * k)
    assert found.real == pytest.approx(k, abs=6e-4)  # half of the last digit
    assert found.imag == pytest.approx(0, abs=1e-6)
    turned = closed_forms.guide_wavenumber(guide_layers(-bias), terahertz * THZ, -1.002 * k)
    assert turned.real == pytest.approx(-k, abs=6e-4)


def test_guide_wavenumber_with_collisions() -> None:
    found = closed_forms.guide_wavenumber(guide_layers(nu=5e-3), 1.5 * THZ, 159731.304)
    assert complex(found) == pytest.approx(159718.09 - 892.40j, abs=7e-3)  # the digits of an independent solver


def test_guide_dispersion_has_the_roots_of_the_papers_form() -> None:
    for terahertz, k in TABLE:
        omega = terahertz * THZ
        eps = np.asarray(insb(-0.25).permittivity(omega))
        one, two = eps[0, 0].real, (-1j * eps[0, 1]).real  # ε_xy = +iε2 for B along −z
        kappa, voigt = two / one, (one**2 - two**2) / one
        alpha, beyond = (np.sqrt(k**2 - (omega / LIGHT) ** 2 * e + 0j) for e in (voigt, 11.68))
        tanh = np.tanh(alpha * 18 * UM)
        terms = (
            (alpha**2 - (k * kappa) ** 2) * tanh / (alpha - k * kappa * tanh) / voigt,
            beyond / 11.68 * np.tanh(beyond * 12 * UM),
        )
        assert abs(sum(terms)) < 1e-6 * abs(terms[0])  # the table's digits
        slope = (closed_forms.guide_dispersion(guide_layers(), omega, 1.001 * k)) / 1e-3
        assert abs(closed_forms.guide_dispersion(guide_layers(), omega, k)) < 1e-6 * abs(slope)


def test_guide_profile_obeys_walls_and_faces() -> None:
    omega = 1.5 * THZ
    k = closed_forms.guide_wavenumber(guide_layers(), omega, 159731.304)
    near = np.array([0.0, 1e-9, 18e-6 - 1e-9, 18e-6, 18e-6 + 1e-9, 30e-6 - 1e-9, 30e-6])
    hz = np.asarray(closed_forms.guide_profile(guide_layers(), omega, k, near))
    scale = np.max(np.abs(hz)) / UM
    assert abs(hz[-1] - hz[-2]) / 1e-9 < 1e-3 * scale  # Ex = 0 on the upper wall, by a difference over 1 nm
    tilt = complex(insb(-0.25).permittivity(omega)[0, 1] / insb(-0.25).permittivity(omega)[0, 0])
    assert abs((hz[1] - hz[0]) / 1e-9 - 1j * tilt * complex(k) * hz[0]) < 1e-3 * scale  # and on the lower one
    voigt = complex(closed_forms.voigt_permittivity(insb(-0.25), omega))
    below = ((hz[3] - hz[2]) / 1e-9 - 1j * tilt * complex(k) * hz[3]) / voigt
    assert abs(below - (hz[4] - hz[3]) / 1e-9 / 11.68) < 1e-3 * scale / 11.68  # Ex is one on both sides of the face


def test_gradients_of_closed_forms() -> None:
    def wave(bias: Array) -> Array:
        k = closed_forms.guide_wavenumber(guide_layers(bias, 0.01), 1.24 * THZ, 116e3)
        return k.real / 1e5 + k.imag / 1e3

    def share(bias: Array) -> Array:
        s = closed_forms.slab_scattering(SILICON, [(20 * UM, insb(bias, 0.01))], SILICON, 2.6 * THZ, 1e5)
        return jnp.abs(s[0, 0]) ** 2 + jnp.angle(s[1, 0])

    at = jnp.asarray(-0.25)
    for function in (wave, share):
        slope, along = jax.grad(function)(at), central_difference(function, at, 1e-4)
        assert float(slope) == pytest.approx(float(along), rel=1e-6)  # the difference's own error


def test_guide_wavenumber_under_vmap_is_the_loop() -> None:
    omegas, guesses = jnp.array([1.0, 1.24, 1.5]) * THZ, jnp.array([89e3, 116e3, 160e3])
    wave = lambda omega, guess: closed_forms.guide_wavenumber(guide_layers(), omega, guess)  # noqa: E731
    together = jax.vmap(wave)(omegas, guesses)
    apart = [wave(omega, guess) for omega, guess in zip(omegas, guesses, strict=True)]
    np.testing.assert_allclose(together, jnp.stack(apart), rtol=1e-12)  # Newton's last step


def test_half_spaces_with_carriers_and_layers_of_nothing_are_refused() -> None:
    must = "Argument before must be a medium without carriers, but was a GyrotropicDrude"
    with pytest.raises(ValueError, match=must):
        closed_forms.slab_scattering(insb(0.25), [], SILICON, THZ)
    with pytest.raises(ValueError, match=r"Argument layers\[0\]\[0\], a thickness in m, must be positive, but was 0"):
        closed_forms.guide_dispersion([(0.0, SILICON)], THZ, 0.0)


# --- Metals of any thickness ----------------------------------------------------------------------------------------

EV = 1.602176634e-19 / 1.054571817e-34  # rad/s
RED = 2 * np.pi * LIGHT / 800e-9
METAL = fdtd.GyrotropicDrude(1.0, 9.0 * EV, 0.5 * EV, 0.02 * RED)
GLASS = fdtd.Dielectric(2.25)
GOLD = fdtd.GyrotropicDrude(9.5, 8.95 * EV / np.sqrt(9.5), 0.069 * EV, 0.0)


def from_glass(degrees: float) -> float:
    return RED / LIGHT * 1.5 * np.sin(np.radians(degrees))


def reflected_by_a_half_space(ky: float) -> complex:
    """By Ex and Ey of a wave e^{−κx} in the metal, from its tensor."""
    eps, k0 = METAL.permittivity(RED)[:2, :2], RED / LIGHT
    kappa = np.sqrt(ky**2 - k0**2 * np.linalg.det(eps) / eps[0, 0])
    # i k0 ε E = (∂y, −∂x) Hz, for Hz = 1.
    ey = np.linalg.solve(1j * k0 * eps, [-1j * ky, kappa])[1]
    admittance = np.sqrt((1.5 * k0) ** 2 - ky**2) / (k0 * 2.25)
    return complex((admittance - ey) / (admittance + ey))


@pytest.mark.parametrize("degrees", [60.0, -60.0, 35.0])
def test_a_magnetised_metal_reflects_as_a_half_space_however_thick(degrees: float) -> None:
    ky = from_glass(degrees)
    exact = reflected_by_a_half_space(ky)
    assert complex(closed_forms.slab_scattering(GLASS, [], METAL, RED, ky)[0, 0]) == pytest.approx(exact, rel=1e-12)
    for microns in (0.5, 2.0, 20.0, 5e3):
        s = closed_forms.slab_scattering(GLASS, [(microns * UM, METAL)], fdtd.Dielectric(1.0), RED, ky)
        # Round-off, and what comes back from behind half a micrometre, e^{−2·.5/.012}.
        assert complex(s[0, 0]) == pytest.approx(exact, rel=1e-11)
        assert np.all(np.isfinite(s))
    other = reflected_by_a_half_space(-ky)
    assert abs(abs(other) ** 2 - abs(exact) ** 2) > 5e-5  # the transverse Kerr effect, which a turned sign would hide


def test_a_half_space_of_plasma_that_carries_waves_conserves_power() -> None:
    plasma = fdtd.GyrotropicDrude(2.0, 1.2 * RED, 0.0, 0.4 * RED)
    eps = np.asarray(plasma.permittivity(1.9 * RED))
    assert (eps[0, 0] + eps[0, 1] ** 2 / eps[0, 0]).real > 0.5
    for ky in (0.0, 0.4 * RED / LIGHT, -0.4 * RED / LIGHT):
        s = closed_forms.slab_scattering(GLASS, [(50e-9, fdtd.Dielectric(4.0))], plasma, 1.9 * RED, ky)
        np.testing.assert_allclose(np.conj(s).T @ s, np.eye(2), atol=1e-12)  # round-off


def test_a_gap_between_metals_guides_alike_however_thick_they_are() -> None:
    # Of a dielectric of 30 nm between half spaces, by tanh, in another program.
    exact = 13269907.962744677 - 155192.52370499598j
    for microns in (1.0, 5.0, 20.0, 2e3):
        layers = [(microns * UM, GOLD), (30e-9, fdtd.Dielectric(1.0)), (microns * UM, GOLD)]
        k = complex(closed_forms.guide_wavenumber(layers, RED, 13.27e6 - 1.5e5j))
        assert k == pytest.approx(exact, rel=1e-9)
        assert np.isfinite(closed_forms.guide_dispersion(layers, RED, 1.1 * exact))
        y = microns * UM + np.array([-20e-9, -10e-9, 0.0, 15e-9, 30e-9, 40e-9, 50e-9])
        hz = np.asarray(closed_forms.guide_profile(layers, RED, k, y))
        hz = hz / hz[3]
        np.testing.assert_allclose(hz, hz[::-1], rtol=1e-6)  # even; round-off of y, 1e-16 of 2 mm over 12 nm
        decay = np.sqrt(k**2 - (RED / LIGHT) ** 2 * complex(GOLD.permittivity(RED)[0, 0]))
        np.testing.assert_allclose(hz[0] / hz[1], np.exp(-10e-9 * decay), rtol=1e-6)
