"""Numbers that are known are computed by numpy: nothing is compiled for a scene and its step."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import fdtd
from diffnr.host import by_numpy, namespace


def test_what_is_known_is_numpys_and_what_is_traced_is_jaxs() -> None:
    seen = []

    def twice(x):
        seen.append(namespace(x))
        return {"twice": 2 * x}

    assert isinstance(by_numpy(twice, jnp.ones(3))["twice"], jax.Array)
    jax.jit(lambda x: by_numpy(twice, x))(jnp.ones(3))
    assert seen == [np, jnp]


def test_a_scene_and_its_step_compile_nothing_that_grows_with_its_shapes(caplog: pytest.LogCaptureFixture) -> None:
    """Another scene, of more cells and shapes of other places, compiles nothing more than conversions do."""
    um = 1e-6

    def build(cells: int, shapes: int) -> fdtd.Update:
        grid = fdtd.Grid.uniform((0.0, cells * um), (0.0, 20 * um), um)
        plasma = fdtd.GyrotropicDrude(15.6, 1e13, 1e11, 3e12)
        objects = [(fdtd.Rectangle([k * um, (k + 0.6) * um], [0.0, 9.5 * um]), plasma) for k in range(shapes)]
        wall = fdtd.Rectangle([0.0, cells * um], [18 * um, 20 * um]), fdtd.SurfaceImpedance(10.0, 1e-12)
        ends = fdtd.Boundaries(right=fdtd.Sponge(5 * um))
        return fdtd.Update.of(fdtd.Scene.of(grid, fdtd.Dielectric(11.68), [*objects, wall], ends))

    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        build(23, 3)
        build(29, 5)
    compiled = [record.getMessage() for record in caplog.records if "Compiling" in record.getMessage()]
    sized = [message for message in compiled if "[23,20]" in message or "[29,20]" in message]
    assert all("jit(stage)" in message for message in sized)  # the copy of an array from numpy
