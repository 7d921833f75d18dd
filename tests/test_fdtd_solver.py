"""The step as a diffrax solver: what `propagate` computes, saved where diffrax saves, and its gradient."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from diffnr import fdtd

UM = 1e-6
THZ = 2e12 * np.pi
OMEGA_P = 2 * THZ
GRID = fdtd.Grid.uniform((0.0, 40 * UM), (0.0, 30 * UM), UM)
SPONGE, LAYER = fdtd.Sponge(10 * UM), fdtd.MatchedLayer(6, 11.68**0.5)
STEPS = 300
SAVED = (1.0, 120.0, 120.25, 121.0)  # steps
# One of Hz and one of E, over blocks.
SOURCES = [
    (fdtd.Functional("hz", (12, 18), np.full((3, 2), 1e12)), fdtd.Pulse(1.5 * THZ, 1e-13)),
    (fdtd.Functional("ex", (20, 9), np.full((2, 2), 1e12)), fdtd.Tone(1.2 * THZ, 5e-13)),
]
PROBES = [fdtd.Functional.at(GRID, 25 * UM, 15 * UM, component) for component in ("hz", "ey")]
CASES = {
    "sponge and wall": (fdtd.Boundaries(SPONGE), fdtd.SurfaceImpedance.of_conductor(2093.0, 1.24 * THZ)),
    "matched layers": (fdtd.Boundaries(LAYER, top=LAYER), None),
    "closed box": (fdtd.Boundaries(), None),
}
INSB = fdtd.GyrotropicDrude(15.6, OMEGA_P, 0.01 * OMEGA_P, -0.25 * OMEGA_P)


@eqx.filter_jit
def filled(case: str) -> fdtd.Update:
    boundaries, wall = CASES[case]
    objects: list[Any] = []
    if case != "matched layers":  # which no scene with carriers may have
        objects.append((fdtd.Rectangle([-1.0, 1.0], [0.0, 18 * UM]), INSB))
    if wall is not None:
        objects.append((fdtd.Rectangle([32 * UM, 40 * UM], [20 * UM, 30 * UM]), wall))
    scene = fdtd.Scene.of(GRID, fdtd.Dielectric(11.68), objects, boundaries)
    return fdtd.Update.of(scene)


def saveat(update: fdtd.Update) -> diffrax.SaveAt:
    """At times, at every step what probes read, and at the end."""
    return diffrax.SaveAt(
        subs=[
            diffrax.SubSaveAt(ts=jnp.asarray(SAVED) * update.step),
            diffrax.SubSaveAt(steps=True, fn=read),
            diffrax.SubSaveAt(t1=True),
        ]
    )


def read(t: Any, fields: fdtd.Fields, args: Any) -> Array:
    return jnp.stack([probe.read(GRID, fields) for probe in PROBES])


@eqx.filter_jit
def solve(update: fdtd.Update, saveat: diffrax.SaveAt, dt0: Array, t1: Array) -> diffrax.Solution:
    solver = fdtd.Leapfrog(update, SOURCES)
    return diffrax.diffeqsolve(
        solver.term,
        solver,
        0.0,
        t1,
        dt0,
        update.zero_fields(),
        saveat=saveat,
        stepsize_controller=diffrax.ConstantStepSize(),
        max_steps=512,
    )


def assert_same(found: fdtd.Fields, expected: fdtd.Fields) -> None:
    assert jax.tree_util.tree_structure(found) == jax.tree_util.tree_structure(expected)
    assert (found.walls is None) != (found.memory is None)
    scale = max(float(jnp.max(jnp.abs(leaf))) for leaf in expected[:3])
    assert scale > 0
    for one, other in zip(*(jax.tree_util.tree_leaves(fields) for fields in (found, expected)), strict=True):
        # All are in V/m. The programs differ, so that multiplications and additions fuse differently.
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * scale)


def row(fields: fdtd.Fields, index: int) -> fdtd.Fields:
    return jax.tree_util.tree_map(lambda leaf: leaf[index], fields)


@pytest.mark.parametrize("case", ["sponge and wall", pytest.param("matched layers", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_diffeqsolve_is_propagate(case: str) -> None:
    update = filled(case)
    recorded = fdtd.propagate(update, STEPS, sources=SOURCES, probes=PROBES)
    solution = solve(update, saveat(update), update.step, STEPS * update.step)
    (at, traces, last), (ts, all_ts, _) = solution.ys, solution.ts  # pyright: ignore[reportGeneralTypeIssues]
    assert int(solution.stats["num_steps"]) == STEPS
    np.testing.assert_array_equal(ts, np.asarray(SAVED) * update.step)
    np.testing.assert_allclose(all_ts[:STEPS], np.arange(1, STEPS + 1) * update.step, rtol=1e-12)  # diffrax adds steps
    assert np.all(np.isinf(all_ts[STEPS:]))
    scale = np.max(np.abs(recorded.traces), axis=1)
    assert np.all(scale > 0)
    assert np.all(np.max(np.abs(traces[:STEPS].T - recorded.traces), axis=1) < 1e-13 * scale)  # the bound
    assert_same(row(last, 0), recorded.fields)
    run = fdtd.propagate(update, int(SAVED[1]), sources=SOURCES, probes=PROBES)
    assert_same(row(at, 1), run.fields)
    # Between steps it is linear, but for the round-off of times that are sums of 120 steps.
    before, between, after = (at.hz[index] for index in (1, 2, 3))
    size, change = np.max(np.abs(after)), np.max(np.abs(after - before))
    np.testing.assert_allclose(between, 0.75 * before + 0.25 * after, rtol=0, atol=1e-12 * size)
    assert change > 1e-3 * size


@pytest.mark.parametrize(("share", "steps"), [(0.9, 300.0), (1.0, 300.4), (2.0, 300.0), (1.01, 303.0)])
def test_steps_that_are_not_the_updates_are_refused(share: float, steps: float) -> None:
    update = filled("sponge and wall")
    sentence = "Argument dt0 must be update.step, with t1 and saved steps a whole number of it from t0."
    with pytest.raises(RuntimeError, match=sentence):  # equinox's own, at run time
        jax.block_until_ready(solve(update, saveat(update), share * update.step, steps * update.step).stats)


@pytest.mark.slow
def test_gradients_through_diffeqsolve_are_those_through_propagate() -> None:
    """By diffrax's own default adjoint, RecursiveCheckpointAdjoint."""
    update = filled("closed box")

    def turned(angle: Array) -> fdtd.Update:
        """With a bias greater by angle/Δt."""
        (c, s), (along, aside) = update.rotation, (jnp.cos(angle), jnp.sin(angle))
        return eqx.tree_at(lambda u: u.rotation, update, (c * along - s * aside, s * along + c * aside))

    def by_diffrax(angle: Array) -> Array:
        fields = solve(turned(angle), diffrax.SaveAt(t1=True), update.step, STEPS * update.step).ys
        return jnp.sum(fields.hz**2)  # pyright: ignore[reportOptionalMemberAccess]

    def by_propagate(angle: Array) -> Array:
        return jnp.sum(fdtd.propagate(turned(angle), STEPS, sources=SOURCES).fields.hz ** 2)

    (one, slope), (other, expected) = (
        jax.jit(jax.value_and_grad(f))(jnp.asarray(0.0)) for f in (by_diffrax, by_propagate)
    )
    assert float(one) == pytest.approx(float(other), rel=1e-12)  # round-off
    assert float(slope) == pytest.approx(float(expected), rel=1e-9)  # the bound
    assert abs(float(expected)) > 1e-3 * float(other)
