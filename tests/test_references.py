"""Reference numbers that scripts of tests/references compute are those in the data files."""

import ast
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test_packaging import imported_packages

HERE = Path(__file__).parent
SCRIPTS = sorted((HERE / "references").glob("*.py"))


def data(name: str) -> Any:
    return json.loads((HERE / "data" / "references" / f"{name}.json").read_text(encoding="utf-8"))


def numbers(tree: Any) -> list[float]:
    if isinstance(tree, dict):
        return [x for key in sorted(tree) for x in numbers(tree[key])]
    if isinstance(tree, list):
        return [x for item in tree for x in numbers(item)]
    return [tree] if isinstance(tree, int | float) else []


@pytest.mark.parametrize("name", [path.stem for path in (HERE / "data" / "references").glob("*.json")])
def test_each_file_has_its_source(name: str) -> None:
    script = HERE / "references" / f"{name}.py"
    assert script in SCRIPTS
    assert script.name in data(name)["source"]
    # By other means: without the code under test.
    assert imported_packages(ast.parse(script.read_text(encoding="utf-8"))) <= {"json", "numpy", "scipy"}


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_each_script_gives_its_file(path: Path) -> None:
    found = json.loads(json.dumps(runpy.run_path(str(path))["references"]()))
    # Roots to 1e-12; differences of norms, where both directions all but agree, to as much absolutely.
    np.testing.assert_allclose(numbers(found), numbers(data(path.stem)), rtol=1e-9, atol=1e-10)
