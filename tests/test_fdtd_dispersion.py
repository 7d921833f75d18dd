"""The waves of a guide over a band: against one frequency at a time and the closed form's one-way band."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.fdtd import closed_forms
from diffnr.fdtd.guides.dispersion import Dispersion, dispersion

UM, THZ = 1e-6, 2e12 * np.pi
OMEGA_P = 4e12 * np.pi
BAND = (1.282935, 1.782935)  # THz, of the guide without loss at a bias of −.25 ω_p: independent solvers' digits
RESOLUTION = 0.005  # THz, between frequencies at the band's edges


def layers(bias: float) -> list[tuple[float, fdtd.AbstractMedium]]:
    insb = fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.0, bias * OMEGA_P)
    return [(18 * UM, insb), (12 * UM, fdtd.Dielectric(11.68))]


def guide(bias: float, cell: float) -> fdtd.CrossSection:
    return fdtd.layered_guide(layers(bias), cell * UM)


# Enough for both edges to RESOLUTION, one below and one in the middle. All tests have the same number: one compilation.
F = np.concatenate(
    [[1.0], np.arange(1.15, 1.29, RESOLUTION), [1.45], np.arange(1.655, 1.79, RESOLUTION), [1.9, 2.0, 2.1]]
)


@functools.cache
def found(cell: float, bias: float) -> Dispersion:
    with pytest.warns(RuntimeWarning, match="cells do not resolve at .* and [0-9]+ more frequencies"):
        return dispersion(guide(bias, cell), F * THZ, 2)


@pytest.mark.slow
@pytest.mark.parametrize("bias", [-0.25, 0.0])
def test_it_is_guide_modes_at_each_frequency(bias: float) -> None:
    many, section = found(1.5, bias), guide(bias, 1.5)

    def leaves(modes: fdtd.GuideModes) -> list:
        # Im k beside Re k: without loss it is round-off of that.
        where = lambda m: (m.forward.attenuation, m.backward.attenuation)  # noqa: E731
        both = (m.wavenumber for m in (modes.forward, modes.backward))
        return jax.tree_util.tree_leaves(eqx.tree_at(where, modes, tuple(both)))

    for i in (0, 20, 30, -1):
        one = fdtd.guide_modes(section, F[i] * THZ, 2)
        at = jax.tree_util.tree_map(lambda leaf, i=i: leaf[i], many.modes)
        # Round-off of the same eigenvalue problem in another program, more where fields are small beside the rest.
        for a, b in zip(leaves(at), leaves(one), strict=True):
            finite = np.abs(np.asarray(b))[np.isfinite(b)]
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9 * np.max(finite, initial=0.0))
    if bias == 0:
        assert np.all(many.one_way == 0)
        np.testing.assert_allclose(many.modes.forward.k, -many.modes.backward.k, rtol=1e-8)  # round-off, where slow


@pytest.mark.slow
@pytest.mark.parametrize("cell", [1.5, 0.75])
def test_the_one_way_band_is_that_of_the_guide_whatever_the_cell(cell: float) -> None:
    there = found(cell, -0.25)
    ((low, high),) = there.one_way_bands()
    assert there.one_way_bands(-1) == []
    for waves, edge, exact in ((there.modes.backward, low / THZ, BAND[0]), (there.modes.forward, high / THZ, BAND[1])):
        assert abs(edge - exact) < RESOLUTION  # half-way between two frequencies
        # The lattice has lost the wave before, 60 and 80 GHz for each µm of cell, and knows of it.
        lost = np.flatnonzero((edge > F) & (np.asarray(waves.unresolved) > 0))
        assert lost.size > (5 if cell > 1 else 3)
        assert not np.any(waves.valid[lost])
        for at in lost[[0, -1]]:
            k = waves.missing[at, 0]
            exactly = closed_forms.guide_wavenumber(layers(-0.25), F[at] * THZ, k)
            assert complex(k) == pytest.approx(complex(exactly), rel=1e-3)  # (k0/k)² of one face alone


@pytest.mark.slow
def test_turning_the_bias_turns_the_band() -> None:
    coarse, turned = found(1.5, -0.25), found(1.5, 0.25)
    assert turned.one_way_bands(-1) == coarse.one_way_bands(1)
    assert turned.one_way_bands(1) == []
    assert np.array_equal(turned.one_way, -coarse.one_way)


@pytest.mark.slow
def test_bands_begin_and_end_with_the_frequencies() -> None:
    def bands(places: list[int], direction: int = 1) -> list[tuple[float, float]]:
        """Of forward waves at 1 THz, 2 THz, ..., with backward ones where a place holds 0, and none where −1."""
        valid = [jnp.asarray(places)[:, None] >= 0, jnp.asarray(places)[:, None] == 0]
        both = lambda d: (d.modes.forward, d.modes.backward)  # noqa: E731
        where = lambda d: (d.omegas, *(w.valid for w in both(d)), *(w.unresolved for w in both(d)))  # noqa: E731
        omegas, none = 1.0 + jnp.arange(len(places)), jnp.zeros(len(places), int)
        return eqx.tree_at(where, found(1.5, -0.25), (omegas, *valid, none, none)).one_way_bands(direction)

    assert bands([1, 1, 1]) == [(1.0, 3.0)]
    assert bands([0, 1, 0, 1, -1, 1]) == [(1.5, 2.5), (3.5, 4.5), (5.5, 6.0)]
    assert bands([0, -1, 0]) == []
    assert bands([1]) == [(1.0, 1.0)]
    assert bands([1, 1], -1) == []


def test_derivatives_in_the_bias_against_differences() -> None:
    section, omegas = guide(-0.25, 1.5), np.array([0.9, 1.0, 1.1]) * THZ

    @jax.jit
    def value_and_slope(bias: jax.Array) -> tuple[jax.Array, jax.Array]:
        def wavenumbers(bias: jax.Array) -> jax.Array:
            biased = eqx.tree_at(lambda s: s.scene.motion, section, 1j * bias * OMEGA_P)
            modes = dispersion(biased, omegas, step=2e-15).modes
            return jnp.concatenate([modes.forward.k[:, 0], modes.backward.k[:, 0]])

        return jax.jvp(wavenumbers, (bias,), (jnp.ones_like(bias),))

    h = 1e-4
    (more, _), (less, _), (_, slope) = (value_and_slope(jnp.asarray(-0.25 + by)) for by in (h, -h, 0.0))
    assert np.all(np.abs(slope) > 1e4)  # rad/m a unit of bias
    # Differences err by h² of the third derivative, and by round-off of k, 1e-12, over h.
    np.testing.assert_allclose(slope, (more - less) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: dispersion(s, 1.0 * THZ), r"Argument omegas must be a vector, but was of shape \(\)"),
        (lambda s: dispersion(s, []), r"Argument omegas must be a vector, but was of shape \(0,\)"),
        (lambda s: dispersion(s, [1e12, np.nan]), "Argument omegas must be finite"),
        (lambda s: dispersion(s, [-1e12, 1e12]), "Argument omegas must be positive"),
        (lambda s: dispersion(s, [2e12, 1e12]), "Argument omegas must increase"),
        (lambda s: dispersion(s, [1j * 1e12]), "Argument omegas must be real"),
        (lambda s: dispersion(s, [1e12], 0), "Argument num_modes must be a whole number between 1 and .*, but was 0"),
        (lambda s: dispersion(s, [1e12], step=1.0), "Argument step must be below"),
    ],
)
def test_bad_input_is_named(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(guide(-0.25, 1.5))


def test_bands_need_numbers_and_a_direction() -> None:
    coarse = found(1.5, -0.25)
    with pytest.raises(ValueError, match="Argument direction must be 1 or -1, but was 2"):
        coarse.one_way_bands(2)
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda d: jnp.asarray(d.one_way_bands()))(coarse)
