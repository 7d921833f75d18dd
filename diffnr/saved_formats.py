"""The names that classes have in saved files, and what files of earlier formats called otherwise.

A class stands in a file under the package from which a user imports it ("diffnr.tcmt.TwoResonators"), never under the
module that it happens to live in. Files of format 1 (before version 0.2) named modules; what has been renamed or has
changed its fields since is listed here, under its public name of then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT = 2
PACKAGES = ("diffnr", "diffnr.tcmt", "diffnr.duffing", "diffnr.fdtd", "diffnr.plot", "optimize")

Fields = dict[str, Any]

CLASSES: dict[str, str] = {
    "diffnr.ENDINGS": "diffnr.RESULTS",
    "optimize.ActiveModes": "optimize.ActiveResponse",
    "optimize.OUTCOMES": "diffnr.RESULTS",
    "optimize.PassiveModes": "optimize.PassiveResponse",
    "optimize.ENDINGS": "diffnr.RESULTS",
    "optimize.Scenarios": "optimize.Cases",
    "optimize.Sweep": "diffnr.FrequencySweep",
}

FIELDS: dict[str, dict[str, str]] = {
    "diffnr.duffing.OrbitBranch": {"ending": "result"},
    "optimize.Design": {"value": "objective"},
    "optimize.Minimum": {"value": "objective"},
    "optimize.PhaseDesign": {"outcome": "result"},
    "optimize.PhaseNonreciprocityLocus": {"ending": "result"},
    "optimize.ReciprocityLocus": {"ending": "result"},
    "optimize.Restoration": {"outcome": "result"},
}
"""`{class of today: {field of then: field of today}}`."""


def _result_of_converged(fields: Fields) -> Fields:
    """Fits told whether they converged, and not why if they did not."""
    from diffnr.results import RESULTS

    converged = fields.pop("converged")
    return {**fields, "result": RESULTS.where(converged, RESULTS.successful, RESULTS.max_steps_reached)}


def _history_of_objectives(fields: Fields) -> Fields:
    history = {"objective" if name == "value" else name: rows for name, rows in fields["history"].items()}
    return {**fields, "history": history}


CONVERSIONS: dict[str, Callable[[Fields], Fields]] = {
    "optimize.Fit": _result_of_converged,
    "optimize.Minimum": _history_of_objectives,
    "optimize.ModeFit": _result_of_converged,
    "optimize.Parametrisation": lambda fields: {name: value for name, value in fields.items() if name != "free"},
}
"""`{class of today: the fields of today, with their values, from those of then}`, after `FIELDS`."""

MEMBERS: dict[str, dict[str, str]] = {
    "diffnr.continuation.ENDINGS": {"arrived": "successful"},
    "optimize.phase_design.OUTCOMES": {"singular": "singular_design", "stuck": "no_path"},
    "optimize.phase_locus.ENDINGS": {"arrived": "successful", "still": "at_zero_frequency"},
    "optimize.reciprocity.OUTCOMES": {"not_converged": "not_restored", "singular": "double_root"},
}
"""`{enumeration of then, by its module: {member of then: member of today}}`."""


def public_name(cls: type) -> str:
    """The name by which a user reaches a class: its package and its own name; a user's class by its module."""
    return _public(f"{cls.__module__}.{cls.__qualname__}", cls.__qualname__)


def todays_name(name: str) -> str:
    """What a class that a file of format 1 names by its module is called today."""
    public = _public(name, name.rpartition(".")[2])
    return CLASSES.get(public, public)


def todays_fields(name: str, values: Fields) -> Fields:
    """The fields of a class of today from those that a file of format 1 holds, once these are decoded."""
    renamed = FIELDS.get(name, {})
    values = {renamed.get(field, field): value for field, value in values.items()}
    return CONVERSIONS[name](values) if name in CONVERSIONS else values


def _public(full: str, qualified: str) -> str:
    module = full.removesuffix(f".{qualified}")
    ours = [package for package in PACKAGES if module == package or module.startswith(f"{package}.")]
    return f"{max(ours, key=len)}.{qualified}" if ours else full
