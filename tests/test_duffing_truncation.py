"""What orbits of few harmonics leave out, against those of many."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import duffing
from diffnr.duffing.course import first_orbit
from diffnr.duffing.driven import DrivenOscillators, balance_at
from diffnr.duffing.truncation import left_out
from diffnr.root import newton

HARMONICS = 7


class Cubic(eqx.Module):
    strength: Array

    def __call__(self, x: Array) -> Array:
        return self.strength * x**3


def driven(numbers: Array, harmonics: int) -> DrivenOscillators:
    stiffness, damping, cubic, force, omega = numbers
    model = duffing.OscillatorNetwork(
        [1.0], stiffness.reshape(1, 1), damping, Cubic(cubic), num_harmonics=harmonics, odd=True
    )
    return DrivenOscillators(model, omega, force, 0, "omega")


def test_truncation_is_the_error_beside_four_times_the_harmonics() -> None:
    @jax.jit
    def both(numbers: Array) -> tuple[Array, Array]:
        few, many = driven(numbers, HARMONICS), driven(numbers, 4 * HARMONICS + 3)
        y, _, _ = first_orbit(few, numbers[-1], None)
        whole = jnp.zeros(many.model.basis.size).at[: y.size].set(y)
        exact = newton(balance_at, whole, (many, numbers[-1])).value
        estimate = left_out(few, few.model.basis.phasors(y[None]), numbers[-1])
        return estimate, jnp.linalg.norm(exact - whole) / jnp.linalg.norm(exact)

    rng = np.random.default_rng(0)
    power = lambda low, high: 10 ** rng.uniform(low, high)  # noqa: E731
    cases = [
        (rng.uniform(0.3, 1.5), power(-3, -0.7), power(-1, 0.5), power(-1, 0.7), rng.uniform(0.12, 1.6))
        for _ in range(130)
    ]
    estimates, errors = np.array([both(jnp.asarray(case)) for case in cases]).T
    seen = errors > 1e-10  # the rest is what Newton's method leaves, or no orbit is reached
    assert np.sum(seen) >= 100
    assert np.max(errors[seen]) > 0.01  # strong ones near to superharmonic resonances among them
    ratio = estimates[seen] / errors[seen]
    # One Newton step: its own error is the square of what it corrects, the other half of which is a harmonic's.
    assert np.min(ratio) > 0.5
    assert np.max(ratio) < 2
    assert np.median(np.abs(ratio - 1)) < 1e-4


@pytest.mark.slow
def test_found_orbits_and_branches_say_what_they_leave() -> None:
    single = duffing.OscillatorNetwork([1.0], [1.0], 0.1, Cubic(jnp.asarray(1.0)), num_harmonics=21)
    found = duffing.find_orbits(single, nr.Drive(0.15, 3.0), starts=8)
    assert int(found.count) == 1
    # 4e-3 beside 61 harmonics, of which what the last harmonics fall by tells 7e-4.
    np.testing.assert_allclose(found.truncation[0], 3.8e-3, rtol=0.05)
    assert np.all(np.isnan(found.truncation[1:]))
    start = found.b[0]
    options = {"along": "omega", "bounds": (0.14, 0.16), "amplitude": 3.0, "omega": 0.15, "start": start}
    branch = duffing.continue_orbit(single, **options, max_points=32)
    np.testing.assert_allclose(branch.truncation[0], found.truncation[0], rtol=1e-6)
    table = branch.table(["truncation"])
    np.testing.assert_array_equal(table["truncation"], branch.truncation[: int(branch.count)])
    batch = eqx.filter_vmap(
        lambda force: duffing.continue_orbit(single, **options | {"amplitude": force}, max_points=32)
    )
    forces = jnp.array([3.0, 3.001])
    np.testing.assert_allclose(batch(forces).truncation[0, :5], branch.truncation[:5], rtol=1e-6)
