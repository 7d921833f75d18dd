"""Derivatives through time: against differences, in both modes, with any number of checkpoints, in bounded memory."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from diffnr import fdtd
from systems import central_difference

UM = 1e-6
THZ = 2e12 * np.pi
OMEGA_P = 2 * THZ
NX, NY, INTERFACE = 40, 30, 18
X, Y = np.arange(NX + 1) * UM, np.arange(NY + 1) * UM
SPONGE = fdtd.Sponge(8 * UM)
SOURCE = fdtd.Functional("hz", (12, 15), np.full((3, 2), 1e12)), fdtd.Pulse(1.5 * THZ, 1e-13, 3e-13)
PROBES = [fdtd.Functional("hz", (25, 8), np.full((1, 1), 1e12)), fdtd.Functional("ey", (30, 22), np.full((1, 1), 1e12))]
STATE = 8 * (2 * NX * (NY + 1) + 3 * NX * NY)  # bytes of five fields, nearly

# --- Media and the grid ----------------------------------------------------------------------------------------------

STEPS = 216  # of 6 fs, by which the pulse has passed the probes
AT: dict[str, Any] = {
    "bias": -0.25,
    "nu": 0.05,
    "omega_p": 1.0,
    "eps_inf": 15.6,
    "eps": np.full((NX, NY), 11.68),
    "line": 0.1,  # of a cell, up
}
ALONG = {
    name: np.random.default_rng(1).uniform(-1, 1, np.shape(value)) if name == "eps" else np.asarray(1.0)
    for name, value in AT.items()
}


def power(values: dict[str, Any]) -> Array:
    """What probes read at two tones, in InSb under a dielectric, with sponges."""
    y = jnp.asarray(Y).at[INTERFACE].add(values["line"] * UM)
    below = fdtd.Rectangle([-1.0, 1.0], jnp.stack([jnp.zeros(()), y[INTERFACE]]))
    rates = (values[name] * OMEGA_P for name in ("omega_p", "nu", "bias"))
    scene = fdtd.Scene.of(
        fdtd.Grid(X, y),
        fdtd.Dielectric(values["eps"]),
        [(below, fdtd.GyrotropicDrude(values["eps_inf"], *rates))],
        fdtd.Boundaries(SPONGE, SPONGE),
    )
    update = fdtd.Update.of(scene, 6e-15)
    recorded = fdtd.propagate(update, STEPS, sources=[SOURCE], probes=PROBES, checkpoints=24)
    return 1e20 * jnp.sum(jnp.abs(recorded.spectrum([1.3 * THZ, 1.7 * THZ])) ** 2)


def tangent(name: str) -> dict[str, Any]:
    return {other: jnp.asarray((other == name) * ALONG[other], float) for other in AT}


def moved(name: str, by: Any) -> dict[str, Any]:
    # All of one dtype, weak nowhere: one program for all.
    return {other: jnp.asarray(AT[other] + (by if other == name else 0.0) * ALONG[other], float) for other in AT}


@pytest.fixture(scope="module")
def value() -> Callable[[dict[str, Any]], Array]:
    return jax.jit(power)


@pytest.fixture(scope="module")
def slopes() -> dict[str, float]:
    gradient = jax.jit(jax.grad(power))(moved("bias", 0.0))
    return {name: float(jnp.sum(gradient[name] * ALONG[name])) for name in AT}


@pytest.mark.parametrize("name", AT)
def test_gradients_are_the_differences(name: str, value: Callable, slopes: dict[str, float]) -> None:
    # Extrapolated to O(step⁶), from steps at which round-off is yet far below the bound.
    step = 0.0025 * max(abs(float(np.max(AT[name]))), 2.0)
    expected = float(central_difference(lambda by: value(moved(name, by)), jnp.asarray(0.0), step))
    assert slopes[name] == pytest.approx(expected, rel=1e-6)  # the bound
    assert abs(expected) > 1e-3 * float(value(moved(name, 0.0)))


@pytest.fixture(scope="module")
def forward() -> Callable[[dict[str, Any]], Array]:
    return jax.jit(lambda along: jax.jvp(power, (moved("bias", 0.0),), (along,))[1])


@pytest.mark.parametrize("name", AT)
def test_both_modes_agree(name: str, forward: Callable, slopes: dict[str, float]) -> None:
    assert slopes[name] == pytest.approx(float(forward(tangent(name))), rel=1e-10)  # round-off


# --- Checkpoints -----------------------------------------------------------------------------------------------------


@eqx.filter_jit
def filled() -> fdtd.Update:
    """A closed box, which is compiled sooner."""
    insb = fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.05 * OMEGA_P, -0.25 * OMEGA_P)
    objects = [(fdtd.Rectangle([-1.0, 1.0], [0.0, INTERFACE * UM]), insb)]
    scene = fdtd.Scene.of(fdtd.Grid(X, Y), fdtd.Dielectric(11.68), objects)
    return fdtd.Update.of(scene, 6e-15)


def kicked(update: fdtd.Update) -> fdtd.Fields:
    """Fields with every mode of the grid in them, so that few steps do."""
    zero = update.zero_fields()
    names = [name for name in zero._fields if getattr(zero, name) is not None]
    keys = jax.random.split(jax.random.key(0), len(names))
    noise = {name: jax.random.normal(key, getattr(zero, name).shape) for name, key in zip(names, keys, strict=True)}
    return zero._replace(**noise)


def loudness(angle: Array, share: Array, *, steps: int, checkpoints: int) -> Array:
    """The power that a probe reads, with a bias greater by angle/Δt and 1/ε∞ of Ex times `share` [x, y_inner]."""
    update = filled()
    (c, s), (along, aside) = update.rotation, (jnp.cos(angle), jnp.sin(angle))
    turn = c * along - s * aside, s * along + c * aside
    update = eqx.tree_at(lambda u: (u.rotation, u.ex), update, (turn, share * update.ex))
    options: Any = {"probes": PROBES[:1], "fields": kicked(update), "checkpoints": checkpoints}
    recorded = fdtd.propagate(update, steps, **options)
    return jnp.sum(recorded.traces**2)


@functools.cache
def gradient(steps: int, checkpoints: int) -> Any:
    return jax.jit(jax.grad(functools.partial(loudness, steps=steps, checkpoints=checkpoints), argnums=(0, 1)))


SHARE = jnp.ones((NX, NY - 1))
PRIME = 23
PLAIN = 128  # checkpoints, with which it is a single scan


@pytest.fixture(scope="module")
def plain() -> tuple[Array, Array]:
    return gradient(PRIME, PLAIN)(jnp.zeros(()), SHARE)


@pytest.mark.slow
@pytest.mark.parametrize("checkpoints", [8, 32])
def test_any_number_of_checkpoints_gives_the_same_gradient(checkpoints: int, plain: tuple[Array, Array]) -> None:
    """For a number of steps that is no product, in five levels or in two."""
    for one, other in zip(gradient(PRIME, checkpoints)(jnp.zeros(()), SHARE), plain, strict=True):
        # Round-off, of sums over 23 steps in another order.
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.max(np.abs(other)))
        assert np.max(np.abs(other)) > 0


def memory(steps: int, checkpoints: int) -> float:
    """Of a compiled gradient, in states of five fields."""
    analysis = gradient(steps, checkpoints).lower(jnp.zeros(()), SHARE).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes / STATE


CHECKPOINTS = 32
# A fifth beyond them: for the fields and their derivatives that go to and fro, and the gradient's own map. Traces and
# tables are less than one.
BOUND = 1.2 * CHECKPOINTS


def test_memory_is_bounded_by_the_checkpoints() -> None:
    assert memory(512, CHECKPOINTS) < BOUND


@pytest.mark.slow
def test_memory_hardly_grows_with_the_steps() -> None:
    short, long = memory(100, CHECKPOINTS), memory(512, CHECKPOINTS)  # 10² and 8³ steps
    assert long < 1.3 * short
    # And a scan that keeps every step is far beyond the bound of the test above.
    assert memory(512, 2 * 512) > 10 * BOUND


@pytest.mark.slow
def test_vmap_is_the_loop() -> None:
    angles = jnp.array([-0.01, 0.0, 0.02])  # biases greater by angle/Δt
    one = gradient(PRIME, PLAIN)
    many = jax.jit(jax.vmap(one, in_axes=(0, None)))(angles, SHARE)
    for k, angle in enumerate(angles):
        for batched, single in zip(many, one(angle, SHARE), strict=True):
            # Round-off, of sums that cancel in part.
            np.testing.assert_allclose(batched[k], single, rtol=0, atol=1e-12 * np.max(np.abs(single)))
    assert len(set(np.asarray(many[0]).tolist())) == 3
