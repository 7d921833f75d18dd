"""Entries of optimize: transforms, objectives, minimisation, fits and designs for isolation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffnr as nr
import optimize as op
from diffnr import tcmt
from optimize import objectives
from tests.fuzz.generator import Entry


class Valley(eqx.Module):
    """Two numbers."""

    x: jax.Array
    y: jax.Array


LOSS = tcmt.NonlocalLoss(gamma_k=1.0, mode=1, sensed=0)
PAIR = tcmt.TwoResonators(omega=(0.0, 0.0), gamma=(3.04, 3.04), gamma_0=(0.5, 0.5), kappa=3.0, loss=LOSS)
VALLEY = Valley(jnp.asarray(0.3), jnp.asarray(0.7))
OMEGA = np.linspace(-1.0, 1.0, 31)


def resonance(sigma: float | None = 1e-3) -> nr.FieldData:
    line = tcmt.CoupledModes(omega=[0.1], D=[[0.5]], gamma_i=[0.1])
    rng = np.random.default_rng(0)
    noise = 1e-3 * (rng.normal(size=(31, 1, 1)) + 1j * rng.normal(size=(31, 1, 1)))
    return nr.FieldData(OMEGA, nr.scattering(line, OMEGA) + noise, sigma=sigma)


def valley_residual(model: Valley, data: jax.Array) -> jax.Array:
    return jnp.stack([model.x - data[0], model.x * model.y - data[1], model.y])


def height(model: Valley) -> jax.Array:
    return model.x**2 + (model.y - 1.0) ** 2


def entries() -> list[Entry]:
    data, response = resonance(), nr.port_response(PAIR, nr.Drive(0.1))
    line = tcmt.CoupledModes(omega=[0.15], D=[[0.5]], gamma_i=[0.1])
    linear = tcmt.TwoResonators(omega=(0.0, 0.0), gamma=(3.04, 3.04), gamma_0=(0.5, 0.5), kappa=3.0)
    pair_data = nr.FieldData(OMEGA, nr.scattering(linear, OMEGA))
    parametrisation = op.parametrise(PAIR, ("kappa", "gamma"))
    fitted = op.fit_modes(data, 1)
    pair, series = op.fit_two_resonators(pair_data), op.fit_series([data, data], [0.0, 1.0], model=1)
    direction = {"out": 1, "into": 0}
    # An array may be of any shape, and what may be left out may be None.
    anything = ("a matrix", "no numbers", "an axis too many", "a bool")
    isolate = {
        "model": PAIR,
        "omega": 0.1,
        "free": "loss.gamma_k",
        "out": 0,
        "into": 1,
        "tolerances": {"kappa": 0.1},
        "amplitude": 1.0,
        "starts": 1,
        "transforms": {"loss.gamma_k": op.Interval(0.1, 5.0)},
        "tolerance": 1e-8,
        "max_steps": 5,
        "key": jax.random.key(0),
        "throw": False,
    }
    band = {name: value for name, value in isolate.items() if name not in ("omega", "tolerances")}
    judged = {name: isolate[name] for name in ("model", "omega", "out", "into", "tolerances", "amplitude")}
    free = {
        "omega": ("None",),
        "tolerances": ("None",),
        "transforms": ("None",),
        "key": ("None",),
        "max_insertion_loss": ("None",),
        "throw": ("a bool",),
    }
    named = {"free": ("path",), "omega": ("omega", "band")}
    return [
        Entry("Scaled", op.Scaled, {"scale": 2.0}),
        Entry("Positive", op.Positive, {"scale": 2.0}),
        Entry("Interval", op.Interval, {"lower": 0.5, "upper": 2.0}),
        Entry("Scaled.forward", op.Scaled(2.0).forward, {"u": 0.3}, allow={"u": anything}),
        Entry("Scaled.inverse", op.Scaled(2.0).inverse, {"x": 0.3}, allow={"x": anything}),
        Entry("Positive.forward", op.Positive(2.0).forward, {"u": 0.3}, allow={"u": anything}),
        Entry("Positive.inverse", op.Positive(2.0).inverse, {"x": 0.3}, allow={"x": anything}),
        Entry("Interval.forward", op.Interval(0.0, 1.0).forward, {"u": 0.3}, allow={"u": anything}),
        Entry("Interval.inverse", op.Interval(0.0, 1.0).inverse, {"x": 0.3}, allow={"x": anything}),
        Entry(
            "parametrise",
            op.parametrise,
            {"model": PAIR, "free": ("kappa", "gamma"), "transforms": {"kappa": op.Interval(0.1, 9.0)}},
            allow=free,
            named=named,
        ),
        Entry("Parametrisation.build", parametrisation.build, {"u": np.asarray([0.1, 0.2, 0.3])}),
        Entry("Parametrisation.values", parametrisation.values, {"u": np.asarray([0.1, 0.2, 0.3])}),
        Entry(
            "Parametrisation.from_values", parametrisation.from_values, {"values": {"kappa": 2.0, "gamma": [1.0, 2.0]}}
        ),
        Entry("objectives.passed_and_blocked", objectives.passed_and_blocked, {"response": response, **direction}),
        Entry("objectives.isolation_ratio", objectives.isolation_ratio, {"response": response, **direction}),
        Entry(
            "objectives.capped_isolation", objectives.capped_isolation, {"response": response, **direction, "cap": 60.0}
        ),
        Entry("objectives.reciprocity_residual", objectives.reciprocity_residual, {"response": response, **direction}),
        Entry(
            "objectives.worst_case",
            objectives.worst_case,
            {"values": np.asarray([1.0, 2.0]), "width": 0.1},
            allow={"values": ("a bool", "an axis too many")},
        ),
        Entry("objectives.scattering_difference", objectives.scattering_difference, {"model": line, "data": data}),
        Entry(
            "objectives.scattering_residual",
            objectives.scattering_residual,
            {"model": line, "data": data, "sigma": 1e-3},
            allow={"sigma": ("None",)},
        ),
        Entry(
            "minimise",
            op.minimise,
            {
                "objective": height,
                "model": VALLEY,
                "free": ("x", "y"),
                "optimiser": None,
                "steps": 2,
                "transforms": {"x": op.Interval(0.0, 1.0)},
                "tolerance": 1e-3,
                "progress": False,
                "history": True,
                "checkpoint_every": 10,
                "throw": False,
            },
            allow={**free, "tolerance": ("None",), "progress": ("None", "a bool"), "history": ("a bool",)},
            named={**named, "model": ("model", "free", "objective")},
            cost=1,
        ),
        Entry(
            "fit",
            op.fit,
            {
                "model": VALLEY,
                "data": jnp.asarray([0.2, 0.4]),
                "free": ("x", "y"),
                "residual": valley_residual,
                "sigma": 0.1,
                "weights": np.asarray([1.0, 1.0, 0.5]),
                "loss": "linear",
                "transforms": {"x": op.Positive(1.0)},
                "starts": 1,
                "spread": 1.0,
                "key": jax.random.key(0),
                "solver": None,
                "max_steps": 8,
                "throw": False,
            },
            free=("data",),
            allow={**free, "sigma": ("None",), "weights": ("None",), "max_steps": ("None",)},
            named={**named, "model": ("model", "free", "residual")},
            cost=1,
        ),
        Entry(
            "fit to S",
            op.fit,
            {"model": linear, "data": pair_data, "free": "kappa", "max_steps": 4},
            named=named,
            cost=1,
        ),
        Entry(
            "fit_modes",
            op.fit_modes,
            {
                "data": data,
                "modes": 1,
                "delay": False,
                "background": 0,
                "passive": False,
                "reciprocal": False,
                "max_steps": 4,
                "throw": False,
            },
            allow={
                "delay": ("a bool", "None"),
                "background": ("None",),
                "passive": ("a bool", "None"),
                "reciprocal": ("a bool",),
            },
            named={"modes": ("modes", "data"), "background": ("background", "data")},
            cost=1,
        ),
        Entry(
            "fit_two_resonators",
            op.fit_two_resonators,
            {"data": pair_data, "delay": False, "background": 0, "max_steps": 4, "throw": False},
            allow={"delay": ("a bool", "None"), "background": ("None",)},
            named={"background": ("background", "data")},
            cost=1,
        ),
        Entry("ResonatorFit.quantity", pair.quantity, {"name": "kappa"}),
        Entry("ResonatorFit.predict", pair.predict, {"omega": OMEGA}),
        Entry(
            "fit_series",
            op.fit_series,
            {
                "datas": [data, data],
                "parameter": [0.0, 1.0],
                "model": 1,
                "shared": "gamma",
                "name": "bias",
                "delay": False,
                "background": 0,
                "max_steps": 4,
                "throw": False,
            },
            allow={"delay": ("a bool", "None"), "background": ("None",)},
            named={"model": ("model", "modes", "data"), "background": ("background", "data")},
            cost=1,
        ),
        Entry("SeriesFit.coefficient", series.coefficient, {"name": "omega[0]"}),
        Entry("SeriesFit.odd_even", series.odd_even, {"name": "omega[0]"}),
        Entry("ModeFit.predict", fitted.predict, {"omega": OMEGA}),
        Entry("ModeFit.scenarios", fitted.scenarios, {"draws": 2}),
        Entry("assess", op.assess, judged, allow=free, named=named, cost=1),
        Entry(
            "assess over a band",
            op.assess,
            {"model": PAIR, "band": (-0.1, 0.2), "points": 3, **direction},
            allow=free,
            named={"band": ("omega", "band")},
            cost=1,
        ),
        Entry(
            "maximise_isolation",
            op.maximise_isolation,
            {
                **isolate,
                "max_insertion_loss": 4.0,
                "isolation_cap": 40.0,
            },
            allow=free,
            named=named,
            cost=1,
        ),
        Entry(
            "minimise_insertion_loss",
            op.minimise_insertion_loss,
            {**isolate, "min_isolation": 10.0},
            allow=free,
            named=named,
            cost=1,
        ),
        Entry(
            "maximise_contrast",
            op.maximise_contrast,
            {**band, "band": (-0.1, 0.2), "points": 3},
            allow=free,
            named={**named, "band": ("omega", "band")},
            cost=1,
        ),
    ]
