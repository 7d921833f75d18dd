"""Derivatives of every bifurcation that is located, against central differences."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
from diffnr import duffing
from systems import central_difference

pytestmark = pytest.mark.slow  # each test compiles programs of its own, for many seconds


def with_model(branch: duffing.OrbitBranch, **leaves: Any) -> duffing.OrbitBranch:
    """A branch as a guess for that of another model, whose bifurcations are found from it."""
    model = nr.replace(branch.model, {name.replace("__", "."): value for name, value in leaves.items()})
    return eqx.tree_at(lambda branch: branch.driven.model, branch, model)


def check(f: Callable[[jax.Array], jax.Array], x: float, step: float) -> None:
    f = jax.jit(f)
    slope = jax.jit(jax.jacfwd(f))(jnp.asarray(x))
    difference = central_difference(f, jnp.asarray(x), step)
    assert np.all(np.abs(difference) > 1e-2)
    np.testing.assert_allclose(slope, difference, rtol=1e-6)  # Newton to 1e-12 over steps of 1e-3; O(step⁶)


def test_of_period_doublings() -> None:
    helmholtz = duffing.OscillatorNetwork([1.0], [1.0], 0.1, lambda x: 0.6 * x**2 + 0.3 * x**3, num_harmonics=8)
    branch = duffing.continue_orbit(helmholtz, along="amplitude", bounds=(0.5, 1.5), omega=2.1615, max_points=100)
    check(lambda k: with_model(branch, stiffness__0__0=k).period_doublings.parameter[:1], 1.0, 1e-3)


def test_of_neimark_sacker_points() -> None:
    absorber = duffing.OscillatorNetwork(  # NLvib's second example
        mass=[1.0, 0.05],
        stiffness=[[1.0453, -0.0453], [-0.0453, 0.0453]],
        damping=[[0.015, -0.013], [-0.013, 0.013]],
        force=lambda x: jnp.array([x[0] ** 3 - 0.0042 * (x[1] - x[0]) ** 3, 0.0042 * (x[1] - x[0]) ** 3]),
        num_harmonics=5,
    )
    branch = duffing.frequency_response(absorber, amplitude=0.11, omega=(0.8, 1.4))
    check(lambda c: with_model(branch, damping__0__0=c).neimark_sacker.omega[:2], 0.015, 1e-4)


def test_of_broken_symmetry() -> None:
    single = duffing.OscillatorNetwork([1.0], [1.0], 0.2, lambda x: x**3, num_harmonics=9)
    branch = duffing.continue_orbit(single, along="amplitude", bounds=(0.01, 5.0), omega=1.0, max_points=100)
    check(lambda k: with_model(branch, stiffness__0__0=k).symmetry_breakings.parameter[:1], 1.0, 1e-3)
