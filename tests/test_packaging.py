"""What the two packages promise before any physics: light imports, one direction of dependence, documented names."""

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import diffnr
import optimize

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LIBRARY = sorted(
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("diffnr/**/*.py"), *ROOT.glob("optimize/**/*.py")]
)
# `python -m diffnr` hands over to the command. It is run and never imported (a test below), so that whoever imports the
# physics still imports no optimiser.
RUN = "diffnr/__main__.py"
PHYSICS = [path for path in LIBRARY if path.startswith("diffnr/") and path != RUN]


def parse(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)


def imported_packages(tree: ast.AST) -> set[str]:
    """The top-level packages imported anywhere in a module, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


def jax_setting_lines(tree: ast.AST) -> list[int]:
    """Lines that call something.config.update(…) or config.update(…), or assign to an attribute of a config."""

    def is_config(node: ast.AST) -> bool:
        return (isinstance(node, ast.Attribute) and node.attr == "config") or (
            isinstance(node, ast.Name) and node.id == "config"
        )

    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = [node.func] if node.func.attr == "update" else []
        elif isinstance(node, ast.Assign):
            changed = [target for target in node.targets if isinstance(target, ast.Attribute)]
        else:
            continue
        lines += [node.lineno for attribute in changed if is_config(attribute.value)]
    return lines


def in_fresh_python(script: str) -> dict:
    """What a script prints as JSON, run by a Python that has imported nothing and is told nothing of float64."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def fresh_import() -> dict:
    return in_fresh_python(
        """
import json, sys
import jax, equinox, diffrax, optimistix, lineax
before = dict(jax.config.values)
import diffnr
changed = [name for name in before if jax.config.values[name] != before[name]]
print(json.dumps({"modules": sorted(sys.modules), "changed": changed, "x64": jax.config.jax_enable_x64}))
"""
    )


@pytest.mark.parametrize("package", ["matplotlib", "optax", "skrf", "pandas", "optimize"])
def test_importing_diffnr_stays_light(fresh_import: dict, package: str) -> None:
    assert "diffnr" in fresh_import["modules"]
    assert package not in fresh_import["modules"]


def test_importing_diffnr_changes_no_jax_setting(fresh_import: dict) -> None:
    assert fresh_import["changed"] == []
    assert fresh_import["x64"] is False


@pytest.mark.parametrize("path", [path for path in LIBRARY if path != "optimize/command/cli.py"])
def test_library_code_sets_no_jax_option(path: str) -> None:
    assert jax_setting_lines(parse(path)) == []


@pytest.mark.parametrize("path", PHYSICS)
def test_physics_imports_no_optimiser(path: str) -> None:
    assert imported_packages(parse(path)).isdisjoint({"optimize", "optax"})


def test_what_is_run_is_never_imported() -> None:
    assert RUN in LIBRARY
    assert [path for path in LIBRARY if "__main__" in (ROOT / path).read_text(encoding="utf-8")] == [RUN]


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ("def f():\n    from optimize.fit import fit_modes", {"optimize"}),
        ("if x:\n    import optimize.fit as fit, numpy", {"optimize", "numpy"}),
        ("from . import optimize", set()),
    ],
)
def test_imported_packages_sees_every_form(source: str, packages: set[str]) -> None:
    assert imported_packages(ast.parse(source)) == packages


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("jax.config.update('jax_enable_x64', True)", [1]),
        ("from jax import config\nconfig.update('jax_enable_x64', True)", [2]),
        ("jax.config.jax_enable_x64 = True", [1]),
        ("jax.config.jax_enable_x64\nsettings.update({})", []),
    ],
)
def test_jax_setting_lines_sees_every_form(source: str, lines: list[int]) -> None:
    assert jax_setting_lines(ast.parse(source)) == lines


def own_docstring(name: str, thing: object) -> str:
    """The docstring that was written for a name, not one inherited from a base or made up by dataclasses."""
    if not (inspect.ismodule(thing) or callable(thing)):
        return ""
    written = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return "" if not written or written.startswith(f"{name}(") else written


@pytest.mark.parametrize("module", ["diffnr", "diffnr.duffing", "diffnr.fdtd", "diffnr.tcmt", "optimize"])
def test_every_export_is_documented(module: str) -> None:
    package = importlib.import_module(module)
    exported = [name for name in package.__all__ if name != "__version__"]
    assert exported
    assert len(set(exported)) == len(exported)
    undocumented = [name for name in exported if not own_docstring(name, getattr(package, name))]
    assert undocumented == []


def test_version_is_one() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert diffnr.__version__ == PROJECT["version"]
    assert re.findall(r"^version: (.+)$", citation, flags=re.MULTILINE) == [PROJECT["version"]]


def test_command_is_there() -> None:
    module, _, name = PROJECT["scripts"]["diffnr"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("package", [diffnr, optimize])
def test_packages_say_that_they_are_typed(package: ModuleType) -> None:
    assert (Path(package.__path__[0]) / "py.typed").is_file()
