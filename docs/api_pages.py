"""The pages of the API reference, written from what the packages export: a new export needs no line here.

There is a page per module. It says what the module's docstring says, and documents what a package exports from it,
under the name by which it is imported (`diffnr.Drive`), in the order of the source. Its title names the package, since
that is a user's path to what stands there; only modules used by their own name are called by it.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import re
from collections import Counter
from pathlib import Path
from types import ModuleType
from unittest import mock

import diffnr
from docs.docstrings import inline

# Modules used by their own name, or built upon by who writes a law, a model or a search: shown wholly.
WHOLE = (
    "diffnr.metrics",
    "diffnr.parameters",
    "diffnr.fdtd.closed_forms",
    "diffnr.results",
    "diffnr.root",
    "diffnr.continuation",
    "diffnr.checks",
    "diffnr.duffing.floquet",
    "optimize.objectives",
    "optimize.transforms",
    "optimize.constrained",
    "optimize.quadratic_program",
)
# The order in which to read a package; a module that is not named here follows, by its name.
FIRST = (
    "ports",
    "metrics",
    "parameters",
    "field_data",
    "touchstone",
    "csv_files",
    "storage",
    "plot",
    "modes",
    "loss",
    "steady",
    "fit",
)


def packages() -> list[str]:
    """diffnr, the packages that it exports, and optimize."""
    exported = [getattr(diffnr, name) for name in diffnr.__all__]
    return ["diffnr", *(thing.__name__ for thing in exported if hasattr(thing, "__path__")), "optimize"]


def contents() -> dict[str, dict[str, list[str]]]:
    """`{package: {module: [full names of what its page documents]}}`."""
    return {package: {module: _documented(package, module) for module in _modules(package)} for package in packages()}


def targets() -> dict[str, str]:
    """`{name in a docstring: full name}`: in full, and by the last part where only one name ends so."""
    tree = contents()
    full = {name for modules in tree.values() for module, names in modules.items() for name in (module, *names)}
    count = Counter(name.rpartition(".")[2] for name in full)
    return {name.rpartition(".")[2]: name for name in full if count[name.rpartition(".")[2]] == 1} | {
        name: name for name in full
    }


def pages() -> dict[str, str]:
    """`{name of the page: reStructuredText}`."""
    tree = contents()
    written = {
        module: _page(package, module, names) for package, modules in tree.items() for module, names in modules.items()
    }
    return {"index": _index(tree), "command_line": _command_line(), **written}


def write(folder: Path) -> None:
    """Write the pages into `folder`."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")


def _modules(package: str) -> list[str]:
    exported = _exports(package).values()
    found = {thing.__name__ if inspect.ismodule(thing) else _home(thing, package) for thing in exported}
    found |= {module for module in WHOLE if module.rpartition(".")[0] == package}
    place = {name: number for number, name in enumerate(FIRST)}
    return sorted(found - set(packages()[1:-1]), key=lambda module: (place.get(module.split(".")[-1], 99), module))


def _documented(package: str, module: str) -> list[str]:
    """What the page of `module` documents: what `package` exports from it, and the rest of it where shown wholly."""
    exported = {name: thing for name, thing in _exports(package).items() if not inspect.ismodule(thing)}
    names = {name: f"{package}.{name}" for name, thing in exported.items() if _home(thing, package) == module}
    defined = vars(importlib.import_module(module))
    if module in WHOLE:
        own = {name for name, thing in defined.items() if callable(thing) and _home(thing, package) == module}
        names = {name: f"{module}.{name}" for name in own if not name.startswith("_")} | names
    source_order = list(defined)
    return [names[name] for name in sorted(names, key=source_order.index)]


def _exports(package: str) -> dict[str, object]:
    exporting = importlib.import_module(package)
    return {name: getattr(exporting, name) for name in exporting.__all__}


def _home(thing: object, package: str) -> str:
    """The module of `package` that defines `thing`; the package itself for a value, which does not say."""
    module = getattr(thing, "__module__", None) or package
    return module if module.startswith(f"{package}.") else package


def _label(package: str, module: str) -> str:
    return module if module in WHOLE else f"{package}: {module.rpartition('.')[2].replace('_', ' ')}"


def _page(package: str, module: str, names: list[str]) -> str:
    # A module and what is exported from it may have one name, optimize.fit: that belongs to the latter.
    index = "\n   :no-index:" if module in names else ""
    return (
        "\n\n".join([_title(_label(package, module)), f".. automodule:: {module}{index}", *map(_directive, names)])
        + "\n"
    )


def _directive(name: str) -> str:
    module, _, last = name.rpartition(".")
    thing = getattr(importlib.import_module(module), last)
    if inspect.isclass(thing):
        return f".. autoclass:: {name}\n   :members:"
    return f".. autofunction:: {name}" if callable(thing) else f".. autodata:: {name}"


def _index(tree: dict[str, dict[str, list[str]]]) -> str:
    text = [_title("API reference"), "What each package exports, module by module."]
    for package, modules in tree.items():
        text += [_title(package, "-"), _summary(importlib.import_module(package))]
        for module, names in modules.items():
            listed = ", ".join(f":py:obj:`{name.rpartition('.')[2]} <{name}>`" for name in names)
            link = f":doc:`{_label(package, module)} <{module}>`"
            text.append(f"{link}\n   {_summary(importlib.import_module(module))}\n\n   {listed}")
    every = "\n".join(f"   {module}" for modules in tree.values() for module in modules)
    text += [_title("Command line", "-"), "See :doc:`command_line`."]
    return "\n\n".join([*text, f".. toctree::\n   :hidden:\n\n{every}\n   command_line"]) + "\n"


def _command_line() -> str:
    overview = _help()
    commands = re.findall(r"^    ([a-z][a-z-]*)\b", overview, flags=re.MULTILINE)
    text = [_title("Command line"), "What ``diffnr --help`` says, and ``diffnr COMMAND --help`` of each command."]
    text.append(_literal(overview))
    for command in commands:
        text += [_title(f"diffnr {command}", "-"), _literal(_help(command))]
    return "\n\n".join(text) + "\n"


def _help(*command: str) -> str:
    from optimize.command.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit), mock.patch.dict(os.environ, COLUMNS="96"):
        main([*command, "--help"])
    return said.getvalue()


def _literal(text: str) -> str:
    return ".. code-block:: text\n\n" + "\n".join(f"   {line}".rstrip() for line in text.splitlines())


def _summary(module: ModuleType) -> str:
    return inline(inspect.getdoc(module).partition("\n\n")[0].replace("\n", " "), targets())


def _title(text: str, mark: str = "=") -> str:
    return f"{text}\n{mark * len(text)}"
