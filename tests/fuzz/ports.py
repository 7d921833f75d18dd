"""Entries of what every model shares: drives, responses, metrics, parameters, data, files of data, figures."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

import diffnr as nr
from diffnr import tcmt
from tests.fuzz.generator import Entry

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

LAW = tcmt.NonlocalLoss(gamma_k=1.0, mode=1, sensed=0)
RATES = {"omega": (0.0, 0.0), "gamma": (3.04, 3.04), "gamma_0": (0.5, 0.5), "kappa": 3.0}
PAIR = tcmt.TwoResonators(**RATES, loss=LAW)
LINEAR = tcmt.TwoResonators(**RATES)
OMEGAS = np.linspace(1.0, 3.0, 25)
NONE, MATRIX = ("None",), ("a matrix",)


def drawn(draw: Callable[..., Any]) -> Callable[..., None]:
    """A figure's function, whose figures are closed again."""

    def call(**arguments: Any) -> None:
        try:
            draw(**arguments)
        finally:
            plt.close("all")

    return call


def entries() -> list[Entry]:
    response = nr.port_response(PAIR, nr.Drive(0.1))
    s = np.asarray(nr.scattering(LINEAR, OMEGAS))
    data = nr.FieldData(OMEGAS, s, sigma=1e-3)
    powers = nr.PowerData.of(data)
    renormalisable = nr.FieldData(OMEGAS, s, resistance=50.0)
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)  # names that a file system takes are good ones: they land here
    nr.write_csv(folder / "data.csv", data)
    nr.write_touchstone(folder / "data.s2p", data)
    one = {"response": response, "out": 1, "into": 0}
    path = {"path": ("another word",)}
    return [
        Entry("hertz", nr.hertz, {"frequency": 5e9}, allow={"frequency": MATRIX}),
        Entry(
            "Drive",
            nr.Drive,
            {"omega": 1.0, "amplitude": 1.0},
            allow={"omega": MATRIX, "amplitude": ("None", "a matrix")},
        ),
        Entry(
            "Drive, power", nr.Drive, {"omega": 1.0, "power": 2.0}, allow={"omega": MATRIX, "power": (*NONE, *MATRIX)}
        ),
        Entry(
            "port_response",
            nr.port_response,
            {
                "model": PAIR,
                "drive": nr.Drive(0.1),
                "ports": (0, 1),
                "guess": response.state,
                "throw": True,
                "allow_unstable": False,
            },
            allow={"guess": NONE, "ports": NONE},
        ),
        Entry("scattering", nr.scattering, {"model": LINEAR, "omegas": OMEGAS, "allow_unstable": False}),
        Entry("metrics.isolation", nr.metrics.isolation, one),
        Entry("metrics.transmission", nr.metrics.transmission, one),
        Entry("metrics.insertion_loss", nr.metrics.insertion_loss, one),
        Entry("metrics.contrast", nr.metrics.contrast, one),
        Entry("metrics.nonreciprocal_phase", nr.metrics.nonreciprocal_phase, one),
        Entry("metrics.reciprocity_norm", nr.metrics.reciprocity_norm, {**one, "squared": False}),
        Entry(
            "metrics.mean_square",
            nr.metrics.mean_square,
            {"b": np.array([1.0, 0.2, 0.1]), "harmonics": (1, 3, 5)},
            allow={"b": ("an axis too many", "an entry nan", "an entry inf", "scaled up")},
        ),
        Entry(
            "metrics.bandwidth",
            nr.metrics.bandwidth,
            {"omega": np.linspace(-1, 1, 21), "level": -10 * np.linspace(-1, 1, 21) ** 2, "drop": 3.0, "at": 10},
            # NaN, as documented, where the band runs out of the data.
            allow={
                "at": ("None", "a numpy integer"),
                "level": ("an entry nan", "an entry negative"),
                "drop": ("10^30", "huge"),
            },
        ),
        Entry(
            "FieldData",
            nr.FieldData,
            {
                "omega": OMEGAS,
                "s": s,
                "energy": np.ones((25, 2)),
                "sigma": np.full(25, 1e-3),
                "sigma_energy": 0.1,
                "resistance": 50.0,
                "measured": True,
                "name": "device",
                "transmission": False,
            },
            allow={
                "transmission": NONE,
                "resistance": NONE,
                "energy": NONE,
                "sigma": NONE,
                "sigma_energy": NONE,
                "name": ("another word", "no word"),
            },
        ),
        Entry(
            "PowerData",
            nr.PowerData,
            {
                "omega": OMEGAS,
                "power": np.abs(s) ** 2,
                "sigma": np.full(25, 1e-3),
                "measured": True,
                "name": "device",
                "transmission": False,
            },
            allow={
                "sigma": NONE,
                "transmission": NONE,
                "name": ("another word", "no word"),
                "power": ("an entry negative",),
            },
        ),
        Entry("PowerData.band", powers.band, {"lo": 1.5, "hi": 2.5}),
        Entry("PowerData.entry", powers.entry, {"out": 1, "into": 0}),
        Entry("PowerData.ports", lambda ports: powers.ports(ports), {"ports": 1}),
        Entry("FieldData.band", data.band, {"lo": 1.5, "hi": 2.5}),
        Entry("FieldData.entry", data.entry, {"out": 1, "into": 0}),
        Entry("FieldData.ports", lambda ports: data.ports(ports), {"ports": 1}),
        Entry("FieldData.renormalised", renormalisable.renormalised, {"resistance": 75.0}),
        Entry("data.noise_estimate", nr.data.noise_estimate, {"data": data}),
        Entry("data.causality", nr.data.causality, {"data": data}),
        Entry("data.real_valued", nr.data.real_valued, {"data": data}),
        Entry("data.suspicions", nr.data.suspicions, {"data": data}),
        Entry("data.rounding_step", nr.data.rounding_step, {"data": data}),
        Entry("data.reciprocity", nr.data.reciprocity, {"data": data, "relative": 0.01, "noise_factor": 1.5}),
        Entry("data.passivity", nr.data.passivity, {"data": data, "multiples": 5.0}),
        Entry("data.noise_estimate, powers", nr.data.noise_estimate, {"data": powers}),
        Entry("data.rounding_step, powers", nr.data.rounding_step, {"data": powers}),
        Entry("data.reciprocity, powers", nr.data.reciprocity, {"data": powers, "relative": 0.01, "noise_factor": 1.5}),
        Entry("data.passivity, powers", nr.data.passivity, {"data": powers, "multiples": 5.0}),
        Entry(
            "read_csv",
            nr.read_csv,
            {"path": str(folder / "data.csv"), "measured": True, "name": "device", "placeholders": True},
            allow={"name": ("another word", "no word", "None")},
        ),
        Entry(
            "read_touchstone",
            nr.read_touchstone,
            {
                "path": str(folder / "data.s2p"),
                "measured": True,
                "name": "device",
                "placeholders": True,
                "two_port_order": "21_12",
            },
            allow={"name": ("another word", "no word", "None"), "two_port_order": NONE},
        ),
        Entry(
            "write_csv",
            nr.write_csv,
            {"path": str(folder / "new.csv"), "data": data, "column": "omega_rad_s"},
            allow=path,
        ),
        Entry(
            "write_touchstone",
            nr.write_touchstone,
            {"path": str(folder / "new.s2p"), "data": data, "resistance": 50.0},
            allow={"resistance": NONE},
        ),
        Entry("get", nr.get, {"model": PAIR, "path": "loss.gamma_k"}, named={"model": ("path",)}),
        Entry(
            "replace",
            nr.replace,
            {"model": PAIR, "values": {"kappa": 1.0}},
            named={"values": ("path", "kappa"), "model": ("path",)},
        ),
        Entry(
            "replace, an array",
            lambda model, gamma: nr.replace(model, {"gamma": gamma}),
            {"model": PAIR, "gamma": np.array([1.0, 2.0])},
            named={"model": ("path",)},
        ),
        Entry(
            "parameters.bounds",
            nr.parameters.bounds,
            {"model": PAIR, "path": "loss.gamma_k"},
            named={"model": ("path",)},
        ),
        Entry(
            "parameters.select",
            nr.parameters.select,
            {"model": PAIR, "free": ("kappa",)},
            named={"free": ("path",), "model": ("path",)},
        ),
        Entry(
            "plot.s_parameters",
            drawn(nr.plot.s_parameters),
            {"data": OMEGAS, "s": s, "model_s": s, "unit": "GHz", "entries": ((0, 0), (1, 0)), "decibel": True},
            allow={
                "unit": ("another word", "no word", "None"),
                "model_s": (*NONE, "an entry nan"),
                "entries": NONE,
                "s": ("an entry nan",),
                "data": ("an entry nan",),
            },
            named={"data": ("omega",)},
            cost=1,
        ),
        Entry(
            "plot.fit_residual",
            drawn(nr.plot.fit_residual),
            {"omega": OMEGAS, "residual": s, "sigma": np.full(25, 0.1)},
            allow={"sigma": NONE, "residual": ("an entry nan",), "omega": ("an entry nan",)},
            cost=1,
        ),
        Entry(
            "plot.image",
            drawn(nr.plot.image),
            {
                "x": np.arange(3.0),
                "y": np.arange(4.0),
                "z": np.arange(12.0).reshape(4, 3),
                "levels": np.array([2.5, 5.5]),
                "vmin": 0.0,
                "label": "dB",
            },
            allow={
                "levels": NONE,
                "vmin": NONE,
                "label": ("another word", "no word"),
                "z": ("an entry nan",),
                "x": ("an entry nan",),
                "y": ("an entry nan",),
            },
            named={"x": ("z",), "y": ("z",)},
            cost=1,
        ),
        Entry(
            "plot.surface",
            drawn(nr.plot.surface),
            {"x": np.arange(3.0), "y": np.arange(4.0), "z": np.arange(12.0).reshape(4, 3), "alpha": 0.5},
            allow={"z": ("an entry nan",), "x": ("an entry nan",), "y": ("an entry nan",)},
            named={"x": ("z",), "y": ("z",)},
            cost=1,
        ),
    ]
