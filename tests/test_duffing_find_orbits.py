"""All orbits at one point, found and labelled; against the branch by continuation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy.integrate import solve_ivp

import diffnr as nr
from diffnr import duffing
from diffnr.duffing.find_orbits import find_orbits
from systems import central_difference

PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05)
STRONG = duffing.DuffingPair(1.2, 3.45, 1.0, 5.0, 1.0, 0.05)


def test_three_solution_branches_are_found() -> None:
    found = find_orbits(STRONG, nr.Drive(3.5, 1.0), num_harmonics=13)
    assert found.count == 3
    assert np.asarray(found.stable[:3]).tolist() == [True, False, True]
    np.testing.assert_allclose(found.norm[:3, 1], [0.967, 0.780, 0.274], atol=5e-4)  # the digits given
    assert np.abs(found.multipliers[1, 0]) == pytest.approx(1.0767, abs=5e-5)
    assert np.all(np.isnan(found.b[3:]))
    assert np.asarray(found.valid).tolist() == [True] * 3 + [False] * 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("port", [0, 1], ids=["forward", "backward"])
def test_any_key_finds_what_the_branch_has(port: int, seed: int) -> None:
    for omega in (0.8, 0.95, 1.3):
        branches = response(port).at(omega)
        found = find_orbits(PAIR, nr.Drive(omega, 0.15), port, key=jax.random.key(seed))
        assert found.count == branches.count == {0.8: 1, 0.95: 3, 1.3: 1}[omega]
        order = np.argsort(-np.sum(branches.norm**2, axis=1))
        # Newton to round-off, twice.
        np.testing.assert_allclose(found.b[: branches.count], branches.b[order][: branches.count], atol=1e-11)


def response(port: int) -> duffing.OrbitBranch:
    return duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.5, 2.0), port=port)


@pytest.mark.slow
def test_one_start_is_the_linear_response_and_room_is_kept() -> None:
    one = find_orbits(PAIR, nr.Drive(1.3, 0.15), starts=1)
    assert one.count == 1
    assert one.result == nr.RESULTS.successful
    full = find_orbits(STRONG, nr.Drive(3.5, 1.0), most=2)
    assert full.count == 2
    assert not full.converged
    assert "Raise most" in full.message
    assert type(full.trim()) is duffing.FoundOrbits
    assert full.b.shape[0] == 2


@pytest.mark.slow
def test_linear_oscillators_have_one_orbit() -> None:
    linear = nr.replace(PAIR, {"cubic": 0.0})
    found = find_orbits(linear, nr.Drive(0.9, 0.15))
    assert found.count == 1
    assert found.converged
    assert found.trim().message == "The solve converged."
    np.testing.assert_allclose(found.b[0], nr.port_response(linear, nr.Drive(0.9, 0.15)).b[:, 0], atol=1e-14)


@pytest.mark.slow
def test_gradients_and_vmap() -> None:
    @jax.jit
    def norms(p: Array) -> Array:
        pair = nr.replace(STRONG, {"damping": p[0], "stiffness_ratio": p[1]})
        return find_orbits(pair, nr.Drive(p[2], p[3]), num_harmonics=5).norm[:3, 1]

    p = jnp.array([0.05, 3.45, 3.5, 1.0])
    slopes = jax.jacrev(norms)(p)
    for i in range(p.size):
        along = central_difference(lambda x, i=i: norms(p.at[i].set(x)), float(p[i]), 1e-4)
        np.testing.assert_allclose(slopes[:, i], along, rtol=1e-6, atol=1e-8)  # Newton to 1e-14 over steps of 1e-4
    many = jax.vmap(norms)(jnp.stack([p, p * jnp.array([1.02, 1.0, 1.0, 1.0])]))
    np.testing.assert_allclose(many[0], norms(p), atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"port": -1}, "Argument port must be a port between 0 and 1, but was -1"),
        ({"starts": 0}, "Argument starts must be a whole number of at least 1, but was 0"),
        ({"most": 0}, "Argument most must be a whole number of at least 1, but was 0"),
        ({"num_harmonics": 0}, "Argument num_harmonics must be a whole number of at least 1, but was 0"),
        ({"drive": nr.Drive(0.0)}, "Argument drive must have a positive omega, but was 0"),
        (
            {"model": duffing.DuffingPair(*(jnp.float32(1.0) for _ in range(6)))},
            "Argument model must be in float64, but was in float32",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        find_orbits(**{"model": PAIR, "drive": nr.Drive(1.0), **arguments})


@pytest.mark.slow
def test_orbits_in_wells_are_found_with_their_mirror_images() -> None:
    # Two bistable oscillators, stiffly linked: at three times the in-well resonance all that moves does so in a well.
    cubic = lambda x: jnp.stack([0.8 * x[0] ** 3, 1.1 * x[1] ** 3])  # noqa: E731
    stiffness = [[2.0, -3.0], [-3.0, 1.5]]
    beams = duffing.OscillatorNetwork([1.0, 0.6], stiffness, 0.05, cubic, num_harmonics=5, odd=False)
    drive = nr.Drive(4.0, 0.3)
    found = duffing.find_orbits(beams, drive)
    mean = np.asarray(found.b[: int(found.count), :, 0].real)
    settled = duffing.settle(beams, drive, x0=jnp.array([1.5, 1.5]), periods=400)
    own = np.asarray(found.b) - np.asarray(settled.b)
    # 400 periods of the decay rate .025 leave e^-15; five harmonics 1e-7 of so small a motion.
    assert np.min(np.linalg.norm(own[: int(found.count)].reshape(len(mean), -1), axis=1)) < 1e-5
    for one in mean:  # the forces are odd: each orbit's mirror image is another, or itself
        assert np.min(np.linalg.norm(mean + one, axis=1)) < 1e-8
    whole = duffing.frequency_response(beams, amplitude=0.3, omega=(3.0, 5.0), isolas=True)
    assert int(whole.at(4.0).count) >= int(np.sum(found.stable[: int(found.count)])) == 2
    assert whole.complete


class Cubic(eqx.Module):
    strength: Array

    def __call__(self, x: Array) -> Array:
        return self.strength * x**3


# Stiffness, damping, cubic, force and frequency, the range, a start that settles there.
BROKEN = {
    "a motion through both wells": ((-0.309, 0.0122, 0.277, 1.56, 0.401), (0.3333, 0.8331), (0.0, 0.0)),
    "a superharmonic one that breaks the symmetry": (
        (0.311, 0.0058, 2.2, 1.79, 0.647),
        (0.3344, 0.8359),
        (-0.3, 0.2),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("numbers", "bounds", "start"), BROKEN.values(), ids=BROKEN)
def test_what_settles_past_points_where_others_branch_off_is_on_a_branch(numbers, bounds, start) -> None:
    # As the force is raised others branch off at both ends of the range, and along it.
    k, c, cubic, force, omega = numbers
    model = duffing.OscillatorNetwork([1.0], [[k]], c, Cubic(jnp.asarray(cubic)), num_harmonics=15, odd=False)
    branch = duffing.frequency_response(model, amplitude=force, omega=bounds, isolas=True, max_points=1500)
    assert branch.complete
    points = branch.at(omega, most=16)
    period = 2 * np.pi / omega
    last = period * np.ceil(34 / c / period)  # e^-17 of disturbances is left
    law = lambda t, z: [z[1], force * np.cos(omega * t) - c * z[1] - k * z[0] - cubic * z[0] ** 3]  # noqa: E731
    times = last + np.arange(64) * period / 64
    x = solve_ivp(law, (0.0, times[-1]), start, "DOP853", times, rtol=1e-8, atol=1e-8).y[0]
    own = np.fft.rfft(x)[:16] / 32
    own[0] /= 2
    apart = np.linalg.norm(np.asarray(points.b)[: int(points.count), 0] - own, axis=1) / np.linalg.norm(own)
    assert np.min(apart) < 3e-3  # 15 harmonics leave 1e-3 of these; other orbits are .05 away and more
