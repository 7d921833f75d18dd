"""What a configuration file of `diffnr isolate` asks for; `docs/isolate.md` describes the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from diffnr.ports import AbstractPortModel
from optimize.command.configuration import (
    NUMBER,
    PAIR,
    REALS,
    TABLE,
    TEXTS,
    WHOLE,
    Key,
    Schema,
    read_bounds,
    read_paths,
    read_table,
    read_toml,
    read_variant,
    require_path,
    rising,
    whole,
)
from optimize.command.configured_modes import read_model
from optimize.command.refusals import naming
from optimize.isolation.cases import Assessment, assess, half_widths
from optimize.isolation.design import Design, maximise_contrast, maximise_isolation, minimise_insertion_loss

TABLES: Schema = {
    "model": Key(TABLE, True),
    "design": Key(TABLE, True),
    "bounds": Key(TABLE),
    "tolerances": Key(TABLE),
    "figure": Key(TABLE),
}
_COMMON: Schema = {
    "free": Key(TEXTS, True),
    "out": Key(WHOLE, True),
    "into": Key(WHOLE, True),
    "omega": Key(NUMBER),
    "band": Key(PAIR),
    "points": Key(whole(1, 100_000)),
    "amplitude": Key(NUMBER),
    "power": Key(NUMBER),
    "starts": Key(whole(1, 10_000)),
    "max_steps": Key(whole(1, 1_000_000)),
    "seed": Key(whole(0, 2**63 - 1)),
}
GOALS: dict[str, Schema] = {
    "isolation": {**_COMMON, "max_insertion_loss": Key(NUMBER), "isolation_cap": Key(NUMBER)},
    "insertion_loss": {**_COMMON, "min_isolation": Key(NUMBER, True)},
    "contrast": _COMMON,
}
SEARCHES: dict[str, Callable[..., Design]] = {
    "isolation": maximise_isolation,
    "insertion_loss": minimise_insertion_loss,
    "contrast": maximise_contrast,
}
FIGURE: Schema = {"band": Key(rising())}
_JUDGED = ("omega", "band", "out", "into", "amplitude", "points", "tolerances")  # what `assess` takes of a search's


class IsolationTask(NamedTuple):
    """A configuration file, read: the model to start from, the goal, and the keyword arguments of its search."""

    name: str
    text: str
    model: AbstractPortModel
    unit: str
    goal: str
    arguments: dict[str, Any]
    figure: dict[str, Any]  # of `isolation_figure.draw`

    def search(self) -> Design:
        """The design."""
        return SEARCHES[self.goal](self.model, **self.arguments)

    def assess(self, model: AbstractPortModel, *, tolerances: bool = True) -> Assessment:
        """A model at its worst in the cases that the file asks for, or with nothing off."""
        cases = {name: value for name, value in self.arguments.items() if name in _JUDGED}
        return assess(model, **cases if tolerances else {**cases, "tolerances": None})


def read_task(path: Path) -> IsolationTask:
    """The task that a configuration file describes; `docs/isolate.md` describes the file.

    **Raises:** `ValueError` naming the file, the table and the key of what is wrong; `OSError` for a file that is not
    there.
    """
    content, text = read_toml(path)
    place = f"File {str(path)!r}"
    tables = read_table(content, place, TABLES)
    with naming(place):
        model, unit = read_model(tables["model"], path.parent)
        goal, arguments = _read_design(tables["design"], model)
        if "bounds" in tables:
            arguments["transforms"] = read_bounds(tables["bounds"], "[bounds]", model, arguments["free"])
        if "tolerances" in tables:
            tolerances = read_paths(tables["tolerances"], "[tolerances]", model, REALS)
            with naming("[tolerances]"):
                arguments["tolerances"] = half_widths(model, tolerances)
        figure = read_table(tables.get("figure", {}), "[figure]", FIGURE)
        return IsolationTask(path.stem, text, model, unit, goal, arguments, figure)


def _read_design(table: Any, model: AbstractPortModel) -> tuple[str, dict[str, Any]]:
    goal, arguments = read_variant(table, "[design]", "goal", GOALS)
    for path in arguments["free"]:
        require_path(path, "The key 'free' of [design]", model)
    if "power" in arguments:
        power = arguments.pop("power")
        if "amplitude" in arguments:
            raise ValueError("[design] must have the key 'amplitude' or 'power', but has both.")
        if not 0 < power < math.inf:
            raise ValueError(f"The key 'power' of [design] must be positive and finite, but was {power:g}.")
        arguments["amplitude"] = math.sqrt(power)
    if "seed" in arguments:
        arguments["key"] = jax.random.key(arguments.pop("seed"))
    return goal, arguments
