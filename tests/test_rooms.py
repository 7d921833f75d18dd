"""The rooms of the two packages: which may import which, no circles, light imports, one public name to a class."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from diffnr.saved_formats import PACKAGES, public_name
from test_packaging import in_fresh_python

ROOT = Path(__file__).parents[1]

# Modules beside the packages: what all rooms stand on, and optimize's tools, which know no model.
CHECKS, HOST, COMMON, TOOLS = "diffnr.checks", "diffnr.host", "diffnr/*.py", "optimize/*.py"
DATA = "diffnr.data"
SCENE, TIME = "diffnr.fdtd.scene", "diffnr.fdtd.time_domain"
FREQUENCY, GUIDES = "diffnr.fdtd.frequency_domain", "diffnr.fdtd.guides"
# An import of a front door may bring all that the package exports: only what stands above all of it may use it.
ALLOWED: dict[str, set[str]] = {
    CHECKS: set(),
    HOST: {CHECKS},
    DATA: {CHECKS},
    COMMON: {CHECKS, HOST, DATA},
    "diffnr.tcmt": {CHECKS, COMMON},
    "diffnr.duffing": {CHECKS, HOST, COMMON},
    SCENE: {CHECKS, HOST},
    "diffnr.fdtd.lines": {CHECKS, COMMON},
    "diffnr.fdtd.closed_forms": {CHECKS, COMMON, SCENE},
    TIME: {CHECKS, HOST, COMMON, SCENE, "diffnr.fdtd.lines"},
    FREQUENCY: {CHECKS, COMMON, SCENE, "diffnr.fdtd.lines", TIME},
    GUIDES: {CHECKS, COMMON, SCENE, TIME, FREQUENCY},
    "diffnr.fdtd.extrapolate": {CHECKS},
    "diffnr.fdtd.cavity": {CHECKS, DATA, COMMON, SCENE, TIME, FREQUENCY, GUIDES},
    "diffnr.fdtd": {f"diffnr.fdtd.{part}" for part in ("closed_forms", "extrapolate", "cavity")}
    | {SCENE, TIME, FREQUENCY, GUIDES},
    "diffnr.plot": {CHECKS, DATA, COMMON, "diffnr.fdtd", SCENE, TIME, GUIDES},
    "diffnr": {DATA, COMMON, "diffnr.tcmt", "diffnr.duffing", "diffnr.fdtd", "diffnr.plot"},
    TOOLS: {CHECKS, COMMON},
    "optimize.isolation": {CHECKS, COMMON, TOOLS},
    "optimize.mode_fit": {CHECKS, DATA, COMMON, "diffnr.tcmt", "diffnr.plot", TOOLS},
    "optimize.series_fit": {CHECKS, DATA, COMMON, "diffnr.plot", TOOLS, "optimize.mode_fit"},
    "optimize.sweep_fit": {CHECKS, COMMON, "diffnr.duffing", "diffnr.plot", TOOLS},
    "optimize.reciprocity": {CHECKS, COMMON, "diffnr.duffing", "diffnr.plot", TOOLS},
    "optimize": {
        TOOLS,
        "optimize.isolation",
        "optimize.mode_fit",
        "optimize.series_fit",
        "optimize.sweep_fit",
        "optimize.reciprocity",
    },
}
# The command stands above all, and nothing imports it.
ALLOWED["optimize.command"] = {*ALLOWED}
# `python -m diffnr` is the command: run, and imported by nothing.
ALLOWED["diffnr.__main__"] = {"optimize.command"}

Graph = dict[str, set[str]]


def module_sources() -> dict[str, str]:
    """Every module of both packages with its text; a front door's text is its stub, where it has one."""
    sources = {}
    for path in [*ROOT.glob("diffnr/**/*.py"), *ROOT.glob("optimize/**/*.py")]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        stub = path.with_suffix(".pyi")
        sources[name] = path.read_text(encoding="utf-8") + (stub.read_text(encoding="utf-8") if stub.exists() else "")
    return sources


SOURCES = module_sources()
DOORS = {name for name in SOURCES if any(other.startswith(f"{name}.") for other in SOURCES)}


def module_graph(sources: Mapping[str, str]) -> Graph:
    """What each module imports of the two packages, inside of functions too."""

    def found(name: str) -> set[str]:
        return {name} if name in sources else set()

    graph: Graph = {}
    for module, source in sources.items():
        graph[module] = set()
        package = module if module in DOORS else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(source, filename=module)):
            if isinstance(node, ast.Import):
                graph[module] |= set().union(*(found(alias.name) for alias in node.names))
            elif isinstance(node, ast.ImportFrom):
                # One dot is the package itself, each further one its parent.
                parts = package.split(".")
                beyond = parts[: len(parts) - node.level + 1] if node.level else []
                base = ".".join([*beyond, *filter(None, [node.module])])
                for alias in node.names:
                    graph[module] |= found(f"{base}.{alias.name}") or found(base)
        graph[module].discard(module)
    return graph


def room(module: str) -> str:
    """The package that a module is in; of those directly in a top-level package, what they are together."""
    if module in ALLOWED:
        return module
    package = module.rpartition(".")[0]
    return {"diffnr": COMMON, "optimize": TOOLS}.get(package, package)


def room_graph(modules: Graph) -> Graph:
    rooms: Graph = {}
    for module, imports in modules.items():
        rooms.setdefault(room(module), set()).update({room(other) for other in imports} - {room(module)})
    return rooms


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected components of more than one node."""
    reached: Graph = {}
    for start in graph:
        reached[start], front = set(), [start]
        while front:
            new = graph.get(front.pop(), set()) - reached[start]
            reached[start] |= new
            front.extend(new)
    circle = {node: frozenset(other for other in reached[node] if node in reached.get(other, ())) for node in graph}
    return sorted(sorted(nodes) for nodes in set(circle.values()) if nodes)


def forbidden(modules: Graph) -> list[str]:
    return sorted(
        f"{module} imports {other}, but {room(module)} may not import {room(other)}"
        for module, imports in modules.items()
        for other in imports
        if room(other) != room(module) and room(other) not in ALLOWED.get(room(module), set())
    )


MODULES = module_graph(SOURCES)


def test_every_room_is_in_the_table_and_every_line_of_it_is_a_room() -> None:
    assert {room(module) for module in SOURCES} == set(ALLOWED)


def test_no_module_and_no_room_imports_itself_in_a_circle() -> None:
    assert circles(MODULES) == []
    assert circles(room_graph(MODULES)) == []
    assert circles(ALLOWED) == []


def test_rooms_import_only_what_stands_below_them() -> None:
    assert forbidden(MODULES) == []


def test_nothing_imports_the_command_and_diffnr_knows_no_optimiser() -> None:
    arrows = {(module, other) for module, imports in MODULES.items() for other in imports}
    assert {room(x) for x, y in arrows if room(y) == "optimize.command"} <= {"optimize.command", "diffnr.__main__"}
    crossing = {x for x, y in arrows if x.partition(".")[0] == "diffnr" and y.partition(".")[0] == "optimize"}
    assert crossing == {"diffnr.__main__"}


@pytest.mark.parametrize(
    ("module", "line", "arrow", "circle"),
    [
        ("diffnr.checks", "from diffnr.ports import Drive", "diffnr.ports", True),
        ("diffnr.checks", "from .ports import Drive", "diffnr.ports", True),
        ("diffnr.storage", "import diffnr as nr", "diffnr", True),
        ("diffnr.tcmt.modes", "def f():\n    from diffnr import duffing", "diffnr.duffing", False),
        ("diffnr.fdtd.scene.grid", "if x:\n    import diffnr.fdtd.guides.port as p", "diffnr.fdtd.guides.port", True),
        ("diffnr.fdtd.scene.grid", "from ..guides import port", "diffnr.fdtd.guides.port", True),
        ("diffnr.plot.look", "from optimize.transforms import Positive", "optimize.transforms", False),
        ("optimize.transforms", "import optimize.isolation.design", "optimize.isolation.design", True),
        ("optimize.isolation.search", "from optimize.command.cli import main", "optimize.command.cli", True),
    ],
)
def test_a_planted_import_is_found(module: str, line: str, arrow: str, circle: bool) -> None:
    planted = module_graph(SOURCES | {module: f"{SOURCES[module]}\n{line}\n"})
    assert [text for text in forbidden(planted) if text.startswith(f"{module} imports {arrow},")]
    assert bool(circles(planted)) is circle or bool(circles(room_graph(planted))) is circle


def test_a_planted_circle_of_modules_of_one_room_is_found() -> None:
    graph = module_graph(SOURCES | {"diffnr.tcmt.loss": "from . import modes"})
    assert forbidden(graph) == []
    assert any({"diffnr.tcmt.loss", "diffnr.tcmt.modes"} <= set(circle) for circle in circles(graph))


@pytest.mark.parametrize("package", ["diffnr", "optimize"])
def test_importing_a_package_imports_no_jax(package: str) -> None:
    modules = in_fresh_python(f"import json, sys, {package}\nprint(json.dumps({{'modules': sorted(sys.modules)}}))")[
        "modules"
    ]
    assert package in modules
    assert {"jax", "numpy", "equinox", "matplotlib"}.isdisjoint(modules)


def exported(package: str) -> dict[str, object]:
    module = importlib.import_module(package)
    return {name: getattr(module, name) for name in module.__all__}


@pytest.mark.parametrize("package", ["diffnr", "optimize"])
def test_the_stub_exports_what_the_package_does(package: str) -> None:
    """Type checkers read the stub: each name of it must be what the package gives, from where the stub has it."""
    stub = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8"))
    names = {}
    for node in stub.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.level == 1
        for alias in node.names:
            assert alias.asname == alias.name, "a stub exports only what it names twice"
            module = importlib.import_module(".".join(filter(None, [package, node.module])))
            names[alias.name] = getattr(module, alias.name)
    names.pop("__version__", None)
    here = exported(package)
    assert set(names) == set(here)
    assert all(names[name] is here[name] for name in names)


@pytest.mark.parametrize("package", PACKAGES)
def test_exported_classes_are_known_by_where_they_are_exported(package: str) -> None:
    names = {name: public_name(thing) for name, thing in exported(package).items() if inspect.isclass(thing)}
    assert names == {name: f"{package}.{name}" for name in names}


def test_no_two_classes_have_one_public_name() -> None:
    """Files name classes so: of two with one name, `load` would take either."""
    where: dict[str, list[str]] = {}
    for top in ("diffnr", "optimize"):
        package = importlib.import_module(top)
        for found in pkgutil.walk_packages(package.__path__, f"{top}."):
            if found.name.endswith("__main__"):
                continue
            for thing in vars(importlib.import_module(found.name)).values():
                if inspect.isclass(thing) and thing.__module__ == found.name:
                    where.setdefault(public_name(thing), []).append(found.name)
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}
