"""Waves of guides on the step's own stencil: against closed forms, differences and each other."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd.guides.cross_section import layer_lines
from slow import slow_except

UM, THZ = 1e-6, 2e12 * np.pi
OMEGA_P = 4e12 * np.pi
# Closed form of the guide without loss, rad/m, to the digits printed: f in THz, bias, to +x, to −x (unbiased ±).
FAST = [
    (1.0, -0.25, 89105.337),
    (1.0, 0.25, 112829.298),
    (1.24, -0.25, 116167.561),
    (1.4, -0.25, 139575.407),
    (1.5, -0.25, 159731.304),
    (1.0, 0.0, 97104.222),
    (1.24, 0.0, 136622.167),
]
# Beyond these group velocity is below a tenth of the phase's, and k's error that much larger than the frequency's.
SLOW = [(1.24, 0.25, 257758.729), (1.4, 0.0, 199017.38)]


def insb(bias: float | jax.Array, nu: float = 0.0) -> fdtd.GyrotropicDrude:
    return fdtd.GyrotropicDrude(15.6, OMEGA_P, nu * OMEGA_P, bias * OMEGA_P)


def guide(bias: float | jax.Array, cell: float, nu: float = 0.0) -> fdtd.CrossSection:
    """Of paper 3: InSb under silicon, between metal walls; `cell` in µm."""
    return fdtd.layered_guide([(18 * UM, insb(bias, nu)), (12 * UM, fdtd.Dielectric(11.68))], cell=cell * UM)


@functools.cache
def modes(f: float, bias: float, cell: float, nu: float = 0.0) -> fdtd.GuideModes:
    return fdtd.guide_modes(guide(bias, cell, nu), f * THZ, num_modes=2)


@pytest.mark.parametrize(("f", "bias", "k"), slow_except(FAST, 1, 2))
def test_wavenumbers_are_within_two_thousandths_at_half_a_micrometre(f: float, bias: float, k: float) -> None:
    found = modes(f, bias, 0.5).forward
    assert found.count == 1
    assert float(found.k[0]) == pytest.approx(k, rel=2e-3)  # the bound; 1.1e-3 at the most, at 1.5 THz
    assert abs(float(found.attenuation[0])) < 1e-6 * k  # round-off of a lossless guide, 1e-11 in most


@pytest.mark.parametrize(("f", "bias", "k"), SLOW)
def test_slow_waves_have_their_frequency_to_a_quarter_of_a_percent(f: float, bias: float, k: float) -> None:
    found = modes(f, bias, 0.5).forward
    error = (float(found.k[0]) - k) * float(found.group_velocity[0]) / (f * THZ)
    # k itself is 3.5 % and .6 % off: by the frequency's error, (kΔ)²/8, times the phase's over the group velocity.
    assert abs(error) < 2.5e-3
    assert abs(float(found.k[0]) / k - 1) > 5e-3


@pytest.mark.slow
@pytest.mark.parametrize(("f", "bias", "k"), [FAST[2], FAST[4], SLOW[0]])
def test_wavenumbers_converge_at_second_order(f: float, bias: float, k: float) -> None:
    coarse, fine = (float(modes(f, bias, cell).forward.k[0]) - k for cell in (0.5, 0.25))
    # 4 but for the next order, which for the slow wave is 10 %.
    assert coarse / fine == pytest.approx(4.0, rel=0.12 if (f, bias, k) in SLOW else 0.02)


def test_turning_the_bias_turns_the_guide_round() -> None:
    one, other = modes(1.24, -0.25, 0.5), modes(1.24, 0.25, 0.5)
    # To round-off of eigenvalues which for the slow wave are close to the lattice's own.
    np.testing.assert_allclose(one.backward.k, -other.forward.k, rtol=1e-9)
    np.testing.assert_allclose(one.forward.k, -other.backward.k, rtol=1e-9)


def test_a_one_way_band_has_no_wave_back() -> None:
    found = modes(1.5, -0.25, 0.5)
    assert (int(found.forward.count), int(found.backward.count)) == (1, 0)
    assert np.all(np.isnan(found.backward.k))
    assert np.all(np.isnan(found.backward.hz))


@pytest.mark.parametrize(
    ("f", "bias", "lost"),
    # To −x near the end of its band, and at the bias's other sign; unbiased, both ways at once; and at the band's very
    # end, where k fits no cell.
    [(1.26, -0.25, (0, 1)), (1.26, 0.25, (1, 0)), (1.505, 0.0, (1, 1)), (1.2829, -0.25, (0, 1)), (1.78, -0.25, (1, 0))],
)
def test_a_wave_that_the_cells_do_not_resolve_is_counted_and_said(f: float, bias: float, lost: tuple) -> None:
    layers = [(18 * UM, insb(bias)), (12 * UM, fdtd.Dielectric(11.68))]
    with pytest.warns(RuntimeWarning, match=rf"do not resolve at {f:g} THz \(k = .* cells a wavelength\)") as said:
        found = fdtd.guide_modes(guide(bias, 0.5), f * THZ, num_modes=2)
    assert str(said[0].message).count("+x") == lost[0]
    for waves, count in zip((found.forward, found.backward), lost, strict=True):
        assert int(waves.unresolved) == count
        assert int(waves.count) == (1 - count if bias == 0 or f < 1.6 else 0)
        if count:
            k = complex(waves.missing[0])
            exact = fdtd.closed_forms.guide_wavenumber(layers, f * THZ, k)
            assert k == pytest.approx(complex(exact), rel=1e-3)  # at a face alone, (k0/k)²; else 1e-8


def test_a_wave_states_its_error() -> None:
    for f, bias, k in (*FAST, *SLOW):
        found = modes(f, bias, 0.5).forward
        # The closed form's digits, 1e-8, and elements', 1e-9.
        assert float(found.error[0]) == pytest.approx(abs(float(found.k[0]) - k), abs=1e-7 * k)
        assert int(found.unresolved) == 0


def test_where_surface_waves_pass_the_top_of_their_band_nothing_of_the_lattice_is_taken_for_a_wave() -> None:
    # 1.512 THz is the top of the unbiased band; the lattice's own waves go on, at kΔ near 1.
    found = fdtd.guide_modes(guide(0.0, 0.5), 1.6 * THZ, num_modes=3)
    assert (int(found.forward.count), int(found.backward.count)) == (0, 0)
    assert (int(found.forward.unresolved), int(found.backward.unresolved)) == (0, 0)


@pytest.mark.slow
def test_a_lossy_guide_attenuates_as_its_closed_form() -> None:
    # k+ = 159718.09 − 892.40i at 1.5 THz with ν = .005 ω_p.
    coarse, fine = (complex(modes(1.5, -0.25, cell, 5e-3).forward.wavenumber[0]) for cell in (0.5, 0.25))
    exact = 159718.09 - 892.40j
    # Each part at second order, to 1 % (the digits given of Im k).
    assert (coarse - exact).real / (fine - exact).real == pytest.approx(4, rel=0.02)
    assert (coarse - exact).imag / (fine - exact).imag == pytest.approx(4, rel=0.03)
    assert fine == pytest.approx(exact, rel=5e-4)


@pytest.mark.slow
def test_group_velocity_is_the_slope_of_the_dispersion() -> None:
    section = guide(-0.25, 0.5)
    k = lambda omega: fdtd.guide_modes(section, omega, num_modes=2).forward.k[0]  # noqa: E731
    omega, change = 1.24 * THZ, 1e-4 * THZ
    slope = float((k(omega + change) - k(omega - change)) / (2 * change))
    # Differences err as the square of the change, 1e-8, and by round-off of k, 1e-12, over it.
    assert 1 / float(modes(1.24, -0.25, 0.5).forward.group_velocity[0]) == pytest.approx(slope, rel=1e-6)
    assert float(jax.grad(k)(omega)) == pytest.approx(slope, rel=1e-6)


@pytest.mark.slow
def test_derivatives_in_every_leaf_against_differences() -> None:
    section = guide(-0.25, 1.0, 5e-3)
    leaves = lambda s: (s.scene.eps, s.scene.drude_weight, s.scene.motion, s.scene.grid.y)  # noqa: E731
    step = 0.9 * section.scene.longest_step  # which has a kink where several cells share the fastest rate

    @jax.jit
    def found(shares: jax.Array) -> jax.Array:
        eps, drude, motion, y = leaves(section)
        wave = jnp.sin(jnp.arange(eps.shape[1]))
        changed = eps * (1 + shares[0] * wave), drude * (1 + shares[1] * wave), motion * (1 + shares[2])
        moved = y + UM * shares[3] * jnp.sin(jnp.arange(y.size))
        waves = fdtd.guide_modes(eqx.tree_at(leaves, section, (*changed, moved)), 1.1 * THZ, step=step)
        forward, backward = waves.forward, waves.backward
        profile = forward.hz[0, 20].real / 1e6
        return jnp.stack([forward.k[0] / 1e5, backward.attenuation[0] / 1e3, profile, backward.group_velocity[0] / 1e7])

    slopes, h = jax.jacfwd(found)(jnp.zeros(4)), 1e-4
    for k, axis in enumerate(np.eye(4)):
        difference = (found(h * axis) - found(-h * axis)) / (2 * h)
        # All is of order one; differences err as h² times third derivatives (1e-8 times some tens).
        np.testing.assert_allclose(slopes[:, k], difference, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_gradients_in_reverse_and_second_derivatives() -> None:
    section = guide(-0.25, 1.0)

    @jax.jit
    def k(bias: jax.Array) -> jax.Array:
        return fdtd.guide_modes(
            eqx.tree_at(lambda s: s.scene.motion, section, 1j * bias * OMEGA_P), 1.0 * THZ
        ).backward.k[0]

    h = 1e-4
    slope = (k(-0.25 + h) - k(-0.25 - h)) / (2 * h)
    # Differences: h² times the third derivative, which near the band's edge is 1e3 of the first.
    assert float(jax.grad(k)(-0.25)) == pytest.approx(float(slope), rel=1e-5)
    second = (jax.grad(k)(-0.25 + h) - jax.grad(k)(-0.25 - h)) / (2 * h)
    assert float(jax.jit(jax.grad(jax.grad(k)))(-0.25)) == pytest.approx(float(second), rel=1e-4)


@pytest.mark.slow
def test_a_layered_guide_is_made_in_jit_and_differentiated_in_its_thickness() -> None:
    def k(thickness: float | jax.Array) -> jax.Array:
        layers = [(18 * UM, insb(-0.25)), (thickness, fdtd.Dielectric(11.68))]
        return fdtd.guide_modes(fdtd.layered_guide(layers, cell=UM), 1.0 * THZ, step=2e-15).forward.k[0]

    h, thickness = 1e-4 * UM, 11.5 * UM
    difference = (k(thickness + h) - k(thickness - h)) / (2 * h)
    assert float(jax.grad(k)(thickness)) == pytest.approx(float(difference), rel=1e-6)  # round-off of k over h
    assert float(jax.jit(lambda: k(thickness))()) == pytest.approx(float(k(thickness)), rel=1e-12)
    with pytest.raises(ValueError, match="Argument layers must have thicknesses known outside of jit"):
        jax.jit(k)(thickness)


@pytest.mark.slow
def test_vmap_is_the_loop() -> None:
    section = guide(-0.25, 1.0, 5e-3)
    omegas = jnp.linspace(0.9, 1.1, 20) * THZ
    found = jax.jit(jax.vmap(lambda omega: fdtd.guide_modes(section, omega).backward.wavenumber))(omegas)
    for omega, k in zip(omegas[::6], found[::6], strict=True):
        # Round-off of the same eigenvalue problem.
        np.testing.assert_allclose(fdtd.guide_modes(section, omega).backward.wavenumber, k, rtol=1e-10)


@pytest.mark.slow
def test_profiles_are_those_of_the_closed_form() -> None:
    layers = [(18 * UM, insb(-0.25)), (12 * UM, fdtd.Dielectric(11.68))]
    errors = []
    for cell in (0.5, 0.25):
        found, section = modes(1.24, -0.25, cell).forward, guide(-0.25, cell)
        y = section.scene.grid.centres[1]
        k = fdtd.closed_forms.guide_wavenumber(layers, 1.24 * THZ, 116167.561)
        exact = fdtd.closed_forms.guide_profile(layers, 1.24 * THZ, k, y)
        mine = found.hz[0] / found.hz[0, 0]
        errors.append(float(jnp.max(jnp.abs(mine - exact / exact[0])) / jnp.max(jnp.abs(exact / exact[0]))))
    assert errors[0] < 5e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)  # second order


@pytest.mark.slow
def test_walls_of_metal_inside_narrow_the_guide() -> None:
    silicon, metal = fdtd.Dielectric(11.68), fdtd.PerfectConductor()
    filled = fdtd.layered_guide([(6 * UM, metal), (20 * UM, silicon), (4 * UM, metal)], cell=1 * UM)
    empty = fdtd.layered_guide([(20 * UM, silicon)], cell=1 * UM)
    step = 0.9 * empty.scene.longest_step
    one, other = (fdtd.guide_modes(section, 2.5 * THZ, 2, step=step).forward for section in (filled, empty))
    assert one.count == 2
    np.testing.assert_allclose(one.k, other.k, rtol=1e-10)  # round-off
    np.testing.assert_allclose(one.hz[:, 6:26], other.hz, atol=1e-9 * float(jnp.max(jnp.abs(other.hz))))


@pytest.mark.slow
def test_resistive_walls_attenuate_to_either_side() -> None:
    wall = fdtd.SurfaceImpedance.of_conductor(1e7, 1.0 * THZ)
    silicon = fdtd.Dielectric(11.68)
    guides = [fdtd.layered_guide([(4 * UM, wall), (20 * UM, silicon)], cell=cell * UM) for cell in (1.0, 0.5)]
    found = [fdtd.guide_modes(section, 1.0 * THZ) for section in guides]
    np.testing.assert_allclose(found[0].forward.attenuation, found[0].backward.attenuation, rtol=1e-8)
    # The ground wave between walls of which one has Z: k² = k0² n² − i k0 n² Z/(Z0 h) to first order in Z.
    z = complex(wall.surface_impedance(1.0 * THZ)) / 376.730313
    k0, n = 1.0 * THZ / 299792458.0, 11.68**0.5
    first = np.sqrt((k0 * n) ** 2 - 1j * k0 * n**2 * z / (20 * UM))
    # Second order in Z: |k0 h Z n²|/3 = .004.
    assert float(found[1].forward.attenuation[0]) == pytest.approx(-first.imag, rel=0.01)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fdtd.guide_modes(guide(-0.25, 1.0), -1.0), "Argument omega must be positive"),
        (lambda: fdtd.guide_modes(guide(-0.25, 1.0), np.nan), "Argument omega must be finite"),
        (lambda: fdtd.guide_modes(guide(-0.25, 1.0), [1e12, 2e12]), "Argument omega must be a number"),
        (
            lambda: fdtd.guide_modes(guide(-0.25, 1.0), 1e12, 0),
            "Argument num_modes must be a whole number between 1 and",
        ),
        (lambda: fdtd.guide_modes(guide(-0.25, 1.0), 1e12, step=1.0), "Argument step must be below"),
        (lambda: fdtd.layered_guide([], 1e-6), "Argument layers must hold at least one"),
        (
            lambda: fdtd.layered_guide([(-1.0, fdtd.Dielectric(2.0))], 1e-6),
            r"Argument layers\[0\]\[0\], a thickness in m, must be positive",
        ),
        (lambda: fdtd.layered_guide([(1e-5, fdtd.Dielectric(2.0))], 0.0), "Argument cell must be positive"),
    ],
)
def test_bad_input(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# --- Layers of any thickness ----------------------------------------------------------------------------------------


def lines_across(thickness: float | jax.Array) -> jax.Array:
    return layer_lines(thickness, UM) * thickness / UM


@pytest.mark.parametrize("cells", [1, 3, 8])
def test_lines_of_a_layer_move_smoothly_with_its_thickness(cells: int) -> None:
    at, near = lines_across(cells * UM), [lines_across((cells + by) * UM) for by in (-1e-6, 1.1e-3)]
    np.testing.assert_allclose(np.diff(at), 1.0, rtol=1e-12)  # whole cells stay what they were
    np.testing.assert_allclose(near[0], at, atol=1.1e-6)
    # A line more, by a cell that is nearly none; all others are where they were.
    sizes = np.diff(near[1])
    assert np.sum(sizes < 1e-5) == 1
    np.testing.assert_allclose(sizes[sizes > 1e-5], 1.0, rtol=2e-3)
    # The n cells of just below and of whole ones all grow alike, by 1/n of the thickness.
    for thickness in (cells - 1e-6, float(cells)):
        slopes = np.diff(jax.jacfwd(lines_across)(thickness * UM) * UM)
        np.testing.assert_allclose(slopes, np.full(cells, 1 / cells), atol=1e-5)
    # One cell of 1.45 of the size is one of 1.12 and a third.
    assert np.max([np.max(np.diff(lines_across((cells + u) * UM))) for u in (0.2, 0.3, 0.5, 0.9)]) < 1.12


@pytest.mark.parametrize("thickness", slow_except([0.3, 1.0, 1.5, 4.99, 7.3], 2))
def test_layers_keep_their_thickness_and_the_step(thickness: float) -> None:
    section = fdtd.layered_guide([(thickness * UM, insb(-0.25)), (4 * UM, fdtd.Dielectric(2.0))], cell=UM)
    for face in (thickness, 4.0 + thickness):
        assert np.min(np.abs(section.scene.grid.y / UM - face)) < 1e-12
    # Of uniform cells of the thinnest medium: Yee's limit with the plasma's frequency.
    rate = np.hypot(np.sqrt(8 / 2.0) * 299792458.0 / UM, OMEGA_P)
    assert float(section.longest) == pytest.approx(2 / rate, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("turning", [False, True])
def test_k_is_smooth_in_a_thickness_across_whole_cells(turning: bool) -> None:
    # Of the silicon above, of the InSb below; k changes by 1e-3 where a cell more came at once.
    def k(thickness: jax.Array | float) -> jax.Array:
        layers = [(6 * UM, insb(-0.25)), (thickness, fdtd.Dielectric(11.68))]
        return fdtd.guide_modes(fdtd.layered_guide(layers[:: -1 if turning else 1], cell=UM), 0.9 * THZ).forward.k[0]

    for at, by in ((3 * UM, 1e-6 * UM), (3.001 * UM, 1e-6 * UM), (4 * UM, 1e-6 * UM)):
        below, here, above = (float(k(at + n * by)) for n in (-1, 0, 1))
        assert abs(above - 2 * here + below) < 1e-7 * abs(here)  # a tenth of the bound; round-off beside 1e-10
    for at, by in ((3.4 * UM, 1e-4 * UM), (4 * UM, 2e-5 * UM)):
        difference = (k(at + by) - k(at - by)) / (2 * by)
        # h² of the third derivative; at whole cells, where the second one jumps, h of that.
        assert float(jax.grad(k)(at)) == pytest.approx(float(difference), rel=1e-5)


def test_media_that_change_smoothly_meet_at_a_face_all_the_same() -> None:
    """A plasma and a dielectric whose cells all differ by 10⁻⁴: one face, at which the wave is bound, and one wave."""
    section = guide(-0.25, 1.0, 5e-3)
    eps = section.scene.eps * (1 + 1e-4 * jnp.sin(jnp.arange(section.scene.eps.shape[1])))
    waves = fdtd.guide_modes(eqx.tree_at(lambda s: s.scene.eps, section, eps), 1.1 * THZ)
    same = fdtd.guide_modes(section, 1.1 * THZ)
    assert int(waves.forward.unresolved) == int(same.forward.unresolved) == 0
    assert float(waves.forward.k[0]) == pytest.approx(float(same.forward.k[0]), rel=1e-4)  # by 2·10⁻⁶
    assert float(waves.forward.error[0]) == pytest.approx(float(same.forward.error[0]), rel=0.01)
