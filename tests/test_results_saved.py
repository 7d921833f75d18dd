"""Every public result goes into a file and comes back, whatever it holds."""

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
import optimize as op
import test_results
from diffnr import duffing, fdtd, tcmt
from diffnr.results import RESULTS, AbstractAnswer
from diffnr.saved_formats import PACKAGES, todays_name
from slow import slow_except
from storable import assert_same

UM, THZ = 1e-6, 2e12 * np.pi
SAVED = Path(__file__).parent / "data" / "saved_0_1"
GRID = fdtd.Grid.uniform((0.0, 16 * UM), (0.0, 8 * UM), 2 * UM)
PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=3)
UNEQUAL = duffing.DuffingPair(2.0, 2.0, 2.0, 5.0, 1.0, 0.05, num_harmonics=3)
MODULATED = duffing.ModulatedOscillators(duffing.OscillatorNetwork(np.ones(2), np.eye(2), 0.1), 0.1, 0.7)
GUIDE = fdtd.layered_guide([(6 * UM, fdtd.Dielectric(11.68)), (6 * UM, fdtd.Dielectric(2.0))], 1 * UM)


def update() -> fdtd.Update:
    """With everything a step can hold."""
    layer = fdtd.Sponge(4 * UM)
    return fdtd.Update.of(fdtd.Scene.of(GRID, fdtd.Dielectric(4.0), (), fdtd.Boundaries(layer, fdtd.Sponge(2 * UM))))


def phasors() -> fdtd.Fields:
    return jax.tree_util.tree_map(lambda part: part + 0.5j, update().zero_fields())


def resonances() -> fdtd.Resonances:
    fields = jax.tree_util.tree_map(lambda part: part[None], phasors())
    one = jnp.array([True])
    numbers = {"omega": jnp.array([1e13]), "gamma": jnp.array([1e9]), "valid": one}
    return fdtd.Resonances(
        **numbers, fields=fields, left=(fields.ex, fields.ey), unresolved=jnp.asarray(0), result=RESULTS.successful
    )


def value() -> op.Value:
    return op.Value(1.0, np.float64(0.1))


CHEAP: dict[str, Callable[[], Any]] = {
    "fdtd.Recording": lambda: fdtd.Recording(jnp.ones((1, 2)), jnp.ones((1, 2)), (), phasors()),
    "fdtd.SteadyField": lambda: fdtd.SteadyField(phasors(), jnp.ones(1) + 0j, jnp.asarray(1e13), RESULTS.nonfinite),
    "fdtd.Resonances": resonances,
    "fdtd.Fields": phasors,
    "fdtd.Absorbed": lambda: fdtd.Absorbed(jnp.ones(()), jnp.zeros(()), jnp.ones(())),
    "tcmt.Matrices": lambda: tcmt.Matrices(*(jnp.eye(2) + 0j for _ in range(5))),
    "tcmt.TimeBandwidth": lambda: tcmt.TimeBandwidth(*(jnp.ones(2) for _ in range(3))),
    "tcmt.TimeReversalResiduals": lambda: tcmt.TimeReversalResiduals(*(jnp.zeros(()) for _ in range(8))),
    "optimize.Value": value,
    "optimize.Resonance": lambda: op.Resonance(*(value() for _ in op.Resonance._fields)),
    "optimize.SeriesCoefficient": lambda: op.SeriesCoefficient(np.ones(2), np.ones(2), np.ones(2), np.eye(2), "1/s"),
    "optimize.OddEven": lambda: op.OddEven(*(np.ones(2) for _ in range(5)), "1/s"),
    "fdtd.cavity.CavityResponse": lambda: fdtd.cavity.CavityResponse(
        *(jnp.ones(3), jnp.ones(3) + 0j, jnp.ones(3) + 0j, *(jnp.ones(3),) * 3), nr.RESULTS.successful
    ),
    "fdtd.Extrapolated": lambda: fdtd.extrapolate([0.1, 0.05, 0.025], [1.1, 1.05, 1.03]),
    "fdtd.LocalDensity": lambda: fdtd.LocalDensity(jnp.ones(()), jnp.zeros(()), jnp.ones(())),
}
"""Made of the parts that a solve puts into them; the solves themselves are below."""

SOLVED: dict[str, Callable[[], Any]] = {
    "fdtd.GuideModes": lambda: fdtd.guide_modes(GUIDE, 2 * THZ),
    "fdtd.Dispersion": lambda: fdtd.dispersion(GUIDE, jnp.array([1.9, 2.0]) * THZ),
    "duffing.Backbone": lambda: duffing.backbone(PAIR, 0, amplitude=0.5, max_points=40),
    "duffing.BifurcationLocus": lambda: duffing.bifurcation_locus(
        response(), "fold", along="amplitude", bounds=(0.1, 0.2), max_points=40, throw=False
    ),
    "duffing.FoundOrbits": lambda: duffing.find_orbits(PAIR, nr.Drive(0.7, 0.15), starts=4, most=2),
    "duffing.ModulatedResponse": lambda: duffing.modulated_response(MODULATED, nr.Drive(0.7, 0.15)),
    "duffing.ParametricThreshold": lambda: duffing.parametric_threshold(MODULATED, bounds=(0.0, 20.0), throw=False),
    "tcmt.SteadyStates": lambda: tcmt.steady_states(test_results.PAIR, 0.3, [1.0, 0.5j], starts=4, most=2),
    "optimize.EqualPhasePoints": lambda: op.equal_phase_points(PAIR, amplitude=0.15, band=(0.5, 4.0)),
    "optimize.EqualPhaseLocus": lambda: op.equal_phase_locus(
        UNEQUAL, amplitude=0.15, along="cubic_ratio", bounds=(1.9, 2.1), point=0, max_points=20
    ),
}


def response() -> duffing.OrbitBranch:
    return duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.5, 1.3), max_points=60)


def public() -> dict[str, type]:
    """What the packages export: answers of solvers, and named tuples."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            kind = getattr(module, name)
            answer = inspect.isclass(kind) and issubclass(kind, (AbstractAnswer, tuple))
            if answer and not inspect.isabstract(kind):
                found[f"{package.removeprefix('diffnr.')}.{name}"] = kind
    return found


def saved_by_0_1() -> set[str]:
    """Classes in the files of tests/data/saved_0_1, all of which are loaded and saved anew by test_saved_0_1.py."""
    names: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("module"), str):
                names.add(todays_name(node["module"]).removeprefix("diffnr."))
            node = list(node.values())
        for part in node if isinstance(node, list) else ():
            walk(part)

    for path in SAVED.glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            walk(json.loads(str(file["__diffnr__"]))["tree"])
    return names


def test_no_public_result_is_without_a_test() -> None:
    there = {name.rpartition(".")[2] for name in (*CHEAP, *SOLVED)}
    there |= set(test_results.RESULTS) | {name.rpartition(".")[2] for name in saved_by_0_1()}
    assert {name for name in public() if name.rpartition(".")[2] not in there} == set()


@pytest.mark.parametrize("name", [*CHEAP, *slow_except(SOLVED)])
def test_a_public_result_comes_back(name: str, tmp_path: Path) -> None:
    result = {**CHEAP, **SOLVED}[name]()
    assert type(result) is public()[name]
    nr.save(tmp_path / "result", result)
    assert_same(nr.load(tmp_path / "result"), result)
