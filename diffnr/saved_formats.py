"""The names that classes have in saved files, and what files of earlier formats called otherwise.

A class stands in a file under the package from which a user imports it ("diffnr.tcmt.TwoResonators"), never under the
module that it happens to live in. Files of format 1 (before version 0.2) named modules; what has been renamed or has
changed its fields since is listed here, under its public name of then.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from diffnr.results import RESULTS

FORMAT = 2
PACKAGES = ("diffnr", "diffnr.tcmt", "diffnr.duffing", "diffnr.fdtd", "diffnr.fdtd.cavity", "diffnr.plot", "optimize")

Fields = dict[str, Any]

CLASSES: dict[str, str] = {
    "diffnr.ENDINGS": "diffnr.RESULTS",
    "diffnr.duffing.Family": "diffnr.duffing.DrivenOscillators",
    "diffnr.duffing.SteadyState": "diffnr.duffing.SettledOrbit",
    "diffnr.duffing.Transient": "diffnr.duffing.Motion",
    "diffnr.fdtd.AbstractEnd": "diffnr.fdtd.AbstractBoundary",
    "diffnr.fdtd.Ends": "diffnr.fdtd.Boundaries",
    "diffnr.fdtd.Fade": "diffnr.fdtd.Absorption",
    "diffnr.fdtd.Impedance": "diffnr.fdtd.SurfaceImpedance",
    "diffnr.tcmt.KerrLoss": "diffnr.tcmt.TwoPhotonLoss",
    "diffrax._solution.RESULTS": "diffnr.RESULTS",
    "optimize.ActiveModes": "optimize.ActiveResponse",
    "optimize.ENDINGS": "diffnr.RESULTS",
    "optimize.OUTCOMES": "diffnr.RESULTS",
    "optimize.PassiveModes": "optimize.PassiveResponse",
    "optimize.Scenarios": "optimize.Cases",
    "optimize.Sweep": "diffnr.FrequencySweep",
}
"""`{public name of then: public name of today}`."""

FIELDS: dict[str, dict[str, str]] = {
    "diffnr.duffing.OneHarmonicRestoration": {"value": "ratio"},
    "diffnr.duffing.OrbitBranch": {"ending": "result", "family": "driven"},
    "diffnr.fdtd.Scene": {"carriers": "drude_weight", "ends": "boundaries"},
    "diffnr.fdtd.Update": {
        "carriers": "drude_gain",
        "fade": "absorption",
        "phase": "bloch_factor",
        "reach": "light_step",
        "turn": "rotation",
    },
    "diffnr.tcmt.Stability": {"unique": "unique_response"},
    "optimize.Design": {"value": "objective"},
    "optimize.Minimum": {"value": "objective"},
    "optimize.PhaseDesign": {"outcome": "result"},
    "optimize.PhaseNonreciprocityLocus": {
        "along": "parameter",
        "ending": "result",
        "sheet_crossings": "branch_crossings",
    },
    "optimize.ReciprocalPoints": {"along": "parameter"},
    "optimize.ReciprocityLocus": {
        "along": "parameter",
        "ending": "result",
        "phase_difference": "nonreciprocal_phase",
        "value": "ratio",
    },
    "optimize.Restoration": {"outcome": "result", "phase_difference": "nonreciprocal_phase", "value": "ratio"},
}
"""`{class of today: {field of then: field of today}}`."""


def _with(**values: Any) -> Callable[[Fields], Fields]:
    """The conversion that adds fields which there were not."""
    return lambda fields: {**values, **fields}


def _with_result(succeeded: Callable[[Fields], Any], failure: Any) -> Callable[[Fields], Fields]:
    """The conversion that adds the `result` which an answer did not have, from what it had."""

    def converted(fields: Fields) -> Fields:
        good = jnp.asarray(succeeded(fields))
        return {**fields, "result": RESULTS.where(good, RESULTS.successful, failure)}

    return converted


def _with_terms(fields: Fields) -> Fields:
    """A coupled-mode model whose ideal couplings stood among its losses."""
    loss = fields["loss"]
    if isinstance(loss, tuple):
        terms = tuple(law for law in loss if _is_term(law))
        return {**fields, "loss": tuple(law for law in loss if not _is_term(law)), "terms": terms}
    return {**fields, "loss": () if _is_term(loss) else loss, "terms": loss if _is_term(loss) else ()}


def _is_term(law: Any) -> bool:
    return not (hasattr(law, "rate") or type(law).__name__ == "NonlocalLoss")


def _of_standard_deviation(fields: Fields) -> Fields:
    """A pulse whose width was the time after which its amplitude has fallen to 1/e."""
    return {**fields, "width": fields["width"] / 2**0.5}


def _without_errors(fields: Fields) -> Fields:
    """Waves that were not held against those of the guide as a continuum."""
    k, of_all = fields["k"], fields["k"].shape[:-1]
    missing = jnp.full((*of_all, 1), complex(math.nan, 0.0))
    return {"error": jnp.full_like(k, math.nan), "unresolved": jnp.zeros(of_all, int), "missing": missing, **fields}


def _with_two_repetitions(fields: Fields) -> Fields:
    """A step that did not know its scene, and could repeat along y alone."""
    along_y = fields.pop("bloch_factor")
    return {**fields, "scene": None, "bloch_factors": (None, along_y)}


def _state_space(fields: Fields) -> Fields:
    """A response whose A was diagonal, and kept by its diagonal."""
    poles = fields.pop("poles")
    return {**fields, "A": jnp.eye(len(poles))[:, :, None] * poles[:, None], "symmetric": False, "mirror": None}


def _in_one_piece(fields: Fields) -> Fields:
    """A branch that was one piece, and did not know its slope: that of the parameter from point to point."""
    points, result = fields["points"], fields["result"]
    count, parameter = points.count, points.parameter
    piece = jnp.where(jnp.arange(parameter.shape[-1]) < count[..., None], 0, -1)
    slope = jnp.where(piece < 0, jnp.nan, jnp.asarray(jnp.gradient(parameter, axis=-1)))
    complete = (result == RESULTS.successful) | (result == RESULTS.closed)
    return {"piece": piece, "slope": slope, "ends": (result,), "complete": complete, "spacing": None, **fields}


def _with_name_of_ratio(fields: Fields) -> Fields:
    """A restoration that knew its free ratio by an index, and neither what was held nor ports, which were of a pair."""
    if "which" not in fields:
        return fields
    names = "stiffness_ratio", "mass_ratio", "cubic_ratio"
    which = int(jnp.ravel(fields.pop("which"))[0])
    return {**fields, "free": names[which], "at": "", "ports": (0, 1)}


def _history_of_objectives(fields: Fields) -> Fields:
    history = {"objective" if name == "value" else name: rows for name, rows in fields["history"].items()}
    return {**fields, "history": history}


CONVERSIONS: dict[str, Callable[[Fields], Fields]] = {
    **dict.fromkeys(
        ("diffnr.tcmt.CoupledModes", "diffnr.tcmt.PassiveModes", "diffnr.tcmt.TwoResonators"),
        _with_terms,
    ),
    "diffnr.duffing.AllHarmonics": _with(periods=1),
    "diffnr.duffing.Basis": _with(periods=1.0),
    "diffnr.duffing.DrivenOscillators": _with(share=None, base=None),
    "diffnr.duffing.FoundOrbits": lambda fields: {"truncation": jnp.full_like(fields["omega"], math.nan), **fields},
    "diffnr.duffing.Orbit": _with(periods=1),
    "diffnr.duffing.OrbitBranch": _in_one_piece,
    "diffnr.PortResponse": _with(per_amplitude=None),
    "diffnr.FieldData": _with(resistance=None, transmission=None),
    # Data of then had every entry measured.
    "diffnr.Passivity": _with(whole=True, most=math.nan),
    "diffnr.Reciprocity": _with(pairs=1, compared=1, powers=False),
    # These answers had no result: what was not raised had succeeded.
    **dict.fromkeys(
        (
            "diffnr.fdtd.GuideModes",
            "diffnr.fdtd.Recording",
            "diffnr.fdtd.RingDown",
            "diffnr.fdtd.SteadyField",
            "diffnr.tcmt.SmallSignal",
            "diffnr.tcmt.Stability",
        ),
        _with(result=RESULTS.successful),
    ),
    "diffnr.fdtd.Resonances": _with(result=RESULTS.successful, unresolved=jnp.asarray(0)),
    "optimize.EqualNormPoints": _with(result=RESULTS.successful, ports=(0, 1)),
    "optimize.Restoration": _with_name_of_ratio,
    **dict.fromkeys(
        ("optimize.Fit", "optimize.OscillatorFit"),
        _with_result(lambda fields: fields.pop("converged"), RESULTS.max_steps_reached),
    ),
    "optimize.ModeFit": lambda fields: _with_result(lambda f: f.pop("converged"), RESULTS.max_steps_reached)(
        {
            **fields,
            "conjugated": False,
            "bounded": not hasattr(fields["response"], "K"),
            "model_scale": 1.0,
            "spread": None,
            "choice": None,
            "image_evidence": None,
            "image_shift": 0.0,
        }
    ),
    "diffnr.duffing.OneHarmonicRestoration": _with_result(
        lambda fields: jnp.isfinite(fields["ratio"]), RESULTS.no_ratio
    ),
    "diffnr.duffing.SettledOrbit": lambda fields: _with_result(
        lambda fields: fields["drift"] < 1e-4, RESULTS.not_settled
    )({"periods": 1, **fields}),
    # An Update of then did not know its scene, and cannot find it: it still steps, but `propagate` refuses it.
    "diffnr.fdtd.Scene": _with(free=()),
    "diffnr.fdtd.Update": _with_two_repetitions,
    "diffnr.fdtd.CrossSection": _with(longest=None),
    "diffnr.fdtd.Waves": _without_errors,
    "diffnr.tcmt.GaussianPulse": _of_standard_deviation,
    "optimize.ActiveResponse": _state_space,
    "optimize.Minimum": _history_of_objectives,
    "optimize.Parametrisation": lambda fields: {name: value for name, value in fields.items() if name != "free"},
    # The name of what went along was not kept.
    "optimize.PhaseNonreciprocityLocus": _with(along=""),
    "optimize.ReciprocityLocus": _with(along=""),
}
"""`{class of today: the fields of today, with their values, from those of then}`, after `FIELDS`."""

MEMBERS: dict[str, dict[str, str]] = {
    "diffnr.continuation.ENDINGS": {"arrived": "successful"},
    "diffrax._solution.RESULTS": {
        "dt_min_reached": "step_too_small",
        "internal_error": "nonfinite",
        "nonlinear_divergence": "nonfinite",
        "singular": "nonfinite",
    },
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
