"""The table [model] of a configuration file: coupled modes with their laws, or a model that was saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffnr import tcmt
from diffnr.parameters import replace
from diffnr.ports import AbstractPortModel
from diffnr.storage import load
from optimize.command.configuration import (
    COMPLEX,
    FLAG,
    NUMBER,
    REALS,
    TABLES,
    TEXT,
    WHOLE,
    Key,
    Schema,
    Table,
    read_variant,
)
from optimize.command.refusals import naming

_COMMON: Schema = {"loss": Key(TABLES), "terms": Key(TABLES), "unit": Key(TEXT)}
MODELS: dict[str, Schema] = {
    "two_resonators": {
        "omega": Key(REALS, True),
        "gamma": Key(REALS, True),
        "gamma_0": Key(REALS, True),
        "kappa": Key(NUMBER, True),
        **_COMMON,
    },
    "coupled_modes": {
        "omega": Key(COMPLEX, True),
        "D": Key(COMPLEX, True),
        "C": Key(COMPLEX),
        "K": Key(COMPLEX),
        "gamma_i": Key(COMPLEX),
        "lossless": Key(FLAG),
        "active": Key(FLAG),
        **_COMMON,
    },
    "file": {"file": Key(TEXT, True), **_COMMON},
}
_MODE = Key(WHOLE, True)
LAWS: dict[str, tuple[Callable[..., tcmt.AbstractLaw], Schema]] = {
    "nonlocal": (
        tcmt.NonlocalLoss,
        {"gamma_k": Key(NUMBER, True), "mode": _MODE, "sensed": _MODE, "epsilon": Key(NUMBER)},
    ),
    "two_photon": (tcmt.TwoPhotonLoss, {"coefficient": Key(NUMBER, True), "mode": _MODE}),
    "saturable": (tcmt.SaturableLoss, {"coefficient": Key(NUMBER, True), "mode": _MODE, "saturation": Key(NUMBER)}),
}
TERMS: dict[str, tuple[Callable[..., tcmt.AbstractLaw], Schema]] = {
    "ideal_coupling": (
        tcmt.IdealNonreciprocalCoupling,
        {"gamma_k": Key(NUMBER, True), "mode": _MODE, "sensed": _MODE},
    ),
    "kerr": (tcmt.Kerr, {"chi": Key(NUMBER, True), "mode": _MODE}),
}


def read_model(table: Any, folder: Path) -> tuple[AbstractPortModel, str]:
    """The model that a table [model] describes, and the unit of its rates ("" if none is named).

    **Arguments:** `table`: what TOML gave; `folder`: where a saved model's relative name starts.

    **Raises:** `ValueError` for a table that is not of the schema, and for a model that its class refuses.
    """
    default = "file" if isinstance(table, dict) and "file" in table else None
    kind, values = read_variant(table, "[model]", "kind", MODELS, default=default)
    unit = values.pop("unit", "")
    laws = {name: _read_laws(values.pop(name), name, known) for name, known in _KNOWN.items() if name in values}
    with naming("[model]"):
        if kind == "file":
            return _saved(folder / values["file"], laws), unit
        make = tcmt.TwoResonators if kind == "two_resonators" else tcmt.CoupledModes
        return make(**values, **laws), unit


_KNOWN = {"loss": LAWS, "terms": TERMS}


def _read_laws(tables: list[Table], name: str, known: dict[str, tuple[Callable[..., tcmt.AbstractLaw], Schema]]) -> Any:
    """The law, or the tuple of laws, of the tables [[model.loss]] or [[model.terms]]."""
    laws = []
    for number, table in enumerate(tables, 1):
        place = f"[[model.{name}]]" if len(tables) == 1 else f"[[model.{name}]] number {number}"
        kind, values = read_variant(table, place, "kind", {kind: schema for kind, (_, schema) in known.items()})
        with naming(place):
            laws.append(known[kind][0](**values))
    return laws[0] if len(laws) == 1 else tuple(laws)


def _saved(path: Path, laws: dict[str, Any]) -> AbstractPortModel:
    """A saved model, with laws in the place of its own if any are given."""
    model = load(path)
    if not isinstance(model, AbstractPortModel):
        raise ValueError(f"File {str(path)!r} must hold a model with ports, but holds a {type(model).__name__}.")
    if not laws:
        return model
    if not isinstance(model, tcmt.AbstractCoupledModes):
        key = next(iter(laws))
        raise ValueError(f"The key {key!r} goes with coupled modes, but {str(path)!r} holds a {type(model).__name__}.")
    return replace(model, laws)
