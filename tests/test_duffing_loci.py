"""Loci of bifurcations over two parameters: against closed forms of one harmonic, and branches at other parameters."""

import functools
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import duffing
from diffnr.duffing.driven import DrivenOscillators
from diffnr.results import RESULTS

FRICTION, CUBIC = 0.05, 0.1


def single(friction: Any = FRICTION, force=lambda x: CUBIC * x**3, num_harmonics: int = 1) -> duffing.OscillatorNetwork:
    return duffing.OscillatorNetwork([1.0], [1.0], friction, force, num_harmonics=num_harmonics, odd=num_harmonics != 8)


ABSORBER = duffing.OscillatorNetwork(  # NLvib's second example
    mass=[1.0, 0.05],
    stiffness=[[1.0453, -0.0453], [-0.0453, 0.0453]],
    damping=[[0.015, -0.013], [-0.013, 0.013]],
    force=lambda x: jnp.array([x[0] ** 3 - 0.0042 * (x[1] - x[0]) ** 3, 0.0042 * (x[1] - x[0]) ** 3]),
    num_harmonics=5,
)


def excess(omega, square):
    """P² of one harmonic, with amplitude² `square`, and its slope by that, which is 0 at folds."""
    kappa, detuning = 0.75 * CUBIC, omega**2 - 1
    off = kappa * square - detuning
    loss = (FRICTION * omega) ** 2
    return square * (off**2 + loss), off**2 + loss + 2 * kappa * square * off


def folded(omega: float) -> tuple[float, complex]:
    """Amplitude of the force and phasor of the upper fold at ω."""
    kappa, detuning = 0.75 * CUBIC, omega**2 - 1
    square = (2 * detuning + np.sqrt(detuning**2 - 3 * (FRICTION * omega) ** 2)) / (3 * kappa)
    amplitude = np.sqrt(excess(omega, square)[0])
    return amplitude, amplitude / (1 - omega**2 + kappa * square + 1j * FRICTION * omega)


@functools.cache
def branch_by_hand(omega: float = 1.2) -> duffing.OrbitBranch:
    """A branch that consists of its fold: its locus needs no other point."""
    amplitude, b = folded(omega)
    driven = DrivenOscillators(single(), jnp.asarray(0.5), jnp.asarray(amplitude), 0, "omega")
    one = jnp.ones(1)
    points = duffing.Points(
        omega * one, omega * one, b * jnp.ones((1, 1, 1)), jnp.ones((1, 2)) + 0j, jnp.asarray(1), (1,)
    )
    done = RESULTS.successful
    return duffing.OrbitBranch(points, points, done, driven, jnp.zeros(1, int), 0 * one, (done,), jnp.asarray(True))


def test_folds_of_one_harmonic_lie_on_the_closed_form() -> None:
    branch = branch_by_hand()
    locus = duffing.bifurcation_locus(branch, "fold", along="amplitude", bounds=(0.01, 0.5), max_points=120)
    assert locus.result == RESULTS.successful
    assert (
        locus.message
        == f"The branch of {locus.count} points from amplitude = 0.5 reached its bound at amplitude = 0.5."
    )
    points = locus.trim()
    square = 2 * points.norm[:, 0] ** 2
    power, slope = excess(points.omega, square)
    np.testing.assert_allclose(power, points.parameter**2, rtol=1e-11)  # Newton to round-off
    np.testing.assert_allclose(slope, 0, atol=1e-11)
    # Both folds, which meet at the cusp: ω² − 1 = √3 c ω, P² = 8 (ω² − 1)³/(27 · ¾γ).
    corner = np.sqrt(3) * FRICTION / 2
    omega = corner + np.sqrt(corner**2 + 1)
    least = np.sqrt(8 * (omega**2 - 1) ** 3 / (27 * 0.75 * CUBIC))
    assert least < np.min(points.parameter) < 1.05 * least
    k = int(np.argmin(points.parameter))
    assert 0 < k < int(locus.count) - 1
    np.testing.assert_allclose(points.omega[k], omega, rtol=0.01)  # a step away


@pytest.mark.slow
def test_a_batch_of_cusps_has_the_derivatives_of_the_closed_form() -> None:
    def numbers(friction: jax.Array) -> jax.Array:
        branch = duffing.frequency_response(
            single(friction), amplitude=0.3, omega=(0.5, 2.0), max_points=120, max_folds=2, throw=False
        )
        locus = duffing.bifurcation_locus(
            branch, "fold", 0, along="amplitude", bounds=(0.01, 0.5), max_points=100, throw=False
        )
        turns = locus.turns
        return jnp.concatenate([turns.parameter[:1], turns.omega[:1], locus.omega[:1], branch.folds.omega])

    step = 1e-4
    frictions = FRICTION + step * jnp.arange(-2.0, 3.0)
    values, slopes = jax.jit(jax.vmap(lambda c: jax.jvp(numbers, (c,), (jnp.ones(()),))))(frictions)
    c, kappa = np.asarray(frictions), 0.75 * CUBIC
    omega = np.sqrt(3) * c / 2 + np.sqrt(0.75 * c**2 + 1)
    np.testing.assert_allclose(values[:, 1], omega, rtol=1e-10)  # Newton to round-off
    np.testing.assert_allclose(values[:, 0], np.sqrt(8 * (omega**2 - 1) ** 3 / (27 * kappa)), rtol=1e-10)
    differences = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * step)
    np.testing.assert_allclose(slopes[2], differences, rtol=1e-6)  # O(step⁴), and round-off of 1e-12/step


@pytest.mark.slow
def test_tori_and_isolas_of_nlvibs_absorber() -> None:
    branch = duffing.frequency_response(ABSORBER, amplitude=0.11, omega=(0.8, 1.4))
    tori = duffing.bifurcation_locus(branch, "neimark_sacker", along="amplitude", bounds=(0.02, 0.4))
    # Both of its points at .11 are on one locus, which ends at either side where multipliers meet at +1.
    np.testing.assert_allclose(np.sort(tori.at(0.11).omega[:2]), np.sort(branch.neimark_sacker.omega[:2]), rtol=1e-10)
    assert tori.result == RESULTS.strong_resonance
    assert "stopped short at amplitude = 0.306093: the two multipliers of the locus meet at +1" in tori.message
    other = duffing.frequency_response(ABSORBER, amplitude=0.13, omega=(0.8, 1.4))
    np.testing.assert_allclose(np.sort(tori.at(0.13).omega[:2]), np.sort(other.neimark_sacker.omega[:2]), rtol=1e-10)
    assert np.all(tori.kappa[: tori.count] > 0)
    np.testing.assert_allclose(np.abs(tori.trim().multipliers[:, 0]), 1, atol=1e-6)  # Magnus' order 4: 4e-7
    # The isola's folds at .17, as published, are on the locus of the others.
    folds = duffing.bifurcation_locus(branch, "fold", along="amplitude", bounds=(0.02, 0.4))
    there = np.asarray(folds.at(0.17).omega)
    np.testing.assert_allclose(np.sort(there)[-2:], [1.5144525440, 2.5119466084], atol=1e-6)  # 5 harmonics: 3e-7


@pytest.mark.slow
def test_period_doublings_and_broken_symmetry_over_two_parameters() -> None:
    helmholtz = single(0.1, lambda x: 0.6 * x**2 + 0.3 * x**3, num_harmonics=8)

    def doubled(amplitude: float) -> duffing.OrbitBranch:
        return duffing.frequency_response(helmholtz, amplitude=amplitude, omega=(1.0, 3.0))

    locus = duffing.bifurcation_locus(doubled(1.2), "period_doubling", along="amplitude", bounds=(0.1, 1.5)).trim()
    # From the bound through the least force that doubles a period, and back.
    np.testing.assert_allclose(locus.parameter[np.asarray([0, -1])], 1.5, rtol=1e-12)
    here, there = jnp.stack([locus.omega[0], locus.omega[-1]]), doubled(1.5).period_doublings.omega[:2]
    np.testing.assert_allclose(np.sort(here), np.sort(there), rtol=1e-10)  # Newton to round-off, both

    stacked = lambda *parts: jnp.stack(parts) if eqx.is_array(parts[0]) else parts[0]  # noqa: E731
    batch = jax.tree_util.tree_map(stacked, doubled(1.2), doubled(1.5))
    found = eqx.filter_vmap(lambda branch: branch.period_doublings.omega[:2])(batch)
    np.testing.assert_allclose(found[1], there, rtol=1e-10)
    with pytest.raises(ValueError, match="Argument branch must be one branch, with known values, but was not"):
        duffing.branch_off(batch, "period_doubling")
    odd = single(0.2, lambda x: x**3, num_harmonics=5)

    def broken(omega: float) -> duffing.OrbitBranch:
        return duffing.continue_orbit(odd, along="amplitude", bounds=(0.01, 5.0), omega=omega)

    over = duffing.bifurcation_locus(broken(1.0), "symmetry_breaking", along="omega", bounds=(0.95, 1.05)).trim()
    k = int(np.argmax(over.omega))
    np.testing.assert_allclose(over.omega[k], 1.05, rtol=1e-12)
    np.testing.assert_allclose(over.points.parameter[k], broken(1.05).symmetry_breakings.parameter[0], rtol=1e-10)


BAD = [
    (dict(kind="cusp"), "Argument kind must be one of"),
    (dict(number=-1), "Argument number must be a whole number"),
    (dict(along="omega"), "Argument along must differ from the branch's own parameter, but was omega"),
    (dict(along="mass"), "Argument along must be one of 'omega', 'amplitude', 'phase.0', 'mass.0', 'stiffness.0.0'"),
    (dict(bounds=(0.5, 0.6)), "Argument bounds must hold what amplitude is, but was (0.5, 0.6) about 0.14498"),
    (dict(along="mass.0", bounds=(-1.0, 2.0)), "Argument mass must be symmetric and positive definite"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD)
def test_bad_input_gets_one_sentence(arguments: dict, sentence: str) -> None:
    given = {"kind": "fold", "along": "amplitude", "bounds": (0.01, 0.5), **arguments}
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        duffing.bifurcation_locus(branch_by_hand(), **given)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_bifurcation_that_is_not_there_is_said() -> None:
    with pytest.raises(RuntimeError, match="The branch has no such bifurcation"):
        duffing.bifurcation_locus(branch_by_hand(), "fold", 3, along="amplitude", bounds=(0.01, 0.5), max_points=120)
    none = duffing.bifurcation_locus(
        branch_by_hand(), "fold", 3, along="amplitude", bounds=(0.01, 0.5), max_points=120, throw=False
    )
    assert none.count == 0
    assert np.all(np.isnan(none.omega))
