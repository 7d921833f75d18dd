"""Entries of coupled Duffing oscillators, of continuation and roots, and of the fit of oscillators to sweeps."""

import os
import tempfile

import jax.numpy as jnp
import numpy as np

import diffnr as nr
import optimize as op
from diffnr import continuation, duffing, root
from tests.fuzz.generator import Entry
from tests.fuzz.ports import drawn

PAIR = duffing.DuffingPair(2.0, 1.0, 1.0, 5.0, 1.0, 0.05, num_harmonics=3)
DRIVE = nr.Drive(0.7, 0.15)
MODULATED = duffing.ModulatedOscillators(duffing.OscillatorNetwork(np.ones(2), np.eye(2), 0.1), 0.1, 0.7)
SMALL = {"max_points": 40, "max_folds": 2}


def cubic(x):
    return x + x**3


def spring(e):
    return 5.0 * e


def residual(y, args):
    return y**2 - args


def along(y, t, args):
    return y - t * args


def linearise(y, value, args):
    return y - value, jnp.eye(1), -jnp.ones(1)


def sweep(direction: str = "up") -> nr.FrequencySweep:
    omega = np.linspace(0.8, 1.2, 12)[:: 1 if direction == "up" else -1]
    return nr.FrequencySweep(omega, 0.1 / np.abs(1 - omega**2 + 0.1j * omega), direction)


def entries() -> list[Entry]:
    os.chdir(tempfile.mkdtemp())  # names that a file system takes are good ones: they land here
    response = duffing.frequency_response(PAIR, amplitude=0.15, omega=(0.5, 1.3), num_harmonics=3, max_points=60)
    locus = duffing.bifurcation_locus(response, "fold", along="amplitude", bounds=(0.1, 0.2), max_points=40)
    wave = response.b[0]
    modulated = duffing.modulated_response(MODULATED, DRIVE)
    return [
        Entry(
            "DuffingPair",
            duffing.DuffingPair,
            dict(
                mass_ratio=2.0, stiffness_ratio=1.0, cubic_ratio=1.0, coupling=5.0, cubic=1.0, damping=0.05,
                num_harmonics=3,
            ),
        ),
        Entry("PolynomialForce", duffing.PolynomialForce, {"coefficients": np.array([1.0, 0.0, 1.0])},
              allow={"coefficients": ("an axis too many",)}),
        Entry(
            "OscillatorChain",
            duffing.OscillatorChain,
            dict(
                mass=np.array([1.0, 2.0]), friction=np.array([0.1, 0.2]), internal=cubic, coupling=spring,
                num_harmonics=3, odd=True,
            ),
            allow={"odd": ("None",)},
            named={"mass": ("friction",)},
        ),
        Entry(
            "OscillatorNetwork",
            duffing.OscillatorNetwork,
            dict(
                mass=np.array([1.0, 2.0]), stiffness=np.eye(2), damping=0.1, force=cubic, gyroscopic=np.zeros((2, 2)),
                num_harmonics=3, num_instants=20, odd=True,
            ),
            allow={"odd": ("None",), "num_instants": ("None",), "force": ("None",), "gyroscopic": ("None",)},
            named={"mass": ("stiffness",)},
        ),
        Entry(
            "ModulatedOscillators",
            duffing.ModulatedOscillators,
            dict(
                oscillators=MODULATED.oscillators, modulation=np.array([0.1, 0.2]), omega_m=0.7,
                phases=np.array([0.0, 1.5]),
            ),
            allow={"phases": ("None",)},
            named={"modulation": ("phases",)},
        ),
        Entry("ModulatedOscillators.locked", MODULATED.locked,
              {"ratio": 2, "force": cubic, "num_harmonics": 3, "odd": True},
              allow={"force": ("None",), "odd": ("None",)}),
        Entry("ModulatedOscillators.scaled", MODULATED.scaled, {"factor": 0.5}),
        Entry("Fundamental", duffing.Fundamental, {"modulated": MODULATED, "num_sidebands": 8}),
        Entry(
            "modulated_response",
            duffing.modulated_response,
            dict(model=MODULATED, drive=DRIVE, num_sidebands=24, rtol=1e-9, throw=True),
            allow={"num_sidebands": ("None",), "rtol": ("None",)},
            cost=1,
        ),
        Entry("ModulatedResponse.reciprocity_norm", modulated.reciprocity_norm,
              {"out": 1, "into": 0, "squared": True}),
        Entry("ModulatedResponse.nonreciprocal_phase", modulated.nonreciprocal_phase, {"out": 1, "into": 0}),
        Entry(
            "parametric_threshold",
            duffing.parametric_threshold,
            dict(
                model=MODULATED, bounds=(0.0, 20.0), points=8, num_sidebands=24, rtol=1e-9, throw=False,
            ),
            allow={"num_sidebands": ("None",), "rtol": ("None",)},
            cost=1,
        ),
        Entry("Clearance", duffing.Clearance, {"stiffness": 20.0, "gap": 0.3, "width": 0.05}),
        Entry("BaseMotion", duffing.BaseMotion, {"direction": 1.0}),
        Entry("AllHarmonics", duffing.AllHarmonics, {"oscillators": PAIR, "periods": 2}),
        Entry("linear_frequencies", duffing.linear_frequencies, {"model": PAIR}),
        Entry("port_response", nr.port_response, {"model": PAIR, "drive": DRIVE, "throw": True}),
        Entry(
            "frequency_response",
            duffing.frequency_response,
            dict(
                model=PAIR, amplitude=0.15, omega=(0.5, 0.9), port=0, num_harmonics=3, isolas=False, throw=True,
                progress=False, **SMALL,
            ),
            allow={"num_harmonics": ("None",), "progress": ("None",)},
            cost=1,
        ),
        Entry(
            "continue_orbit",
            duffing.continue_orbit,
            dict(
                model=PAIR, along="amplitude", bounds=(0.0, 0.2), amplitude=0.1, omega=0.7, port=0, start=None,
                upwards=True, num_harmonics=3, throw=True, **SMALL,
            ),
            allow={"num_harmonics": ("None",), "amplitude": ("None",)},
            cost=1,
        ),
        Entry(
            "continue_orbit from a start",
            lambda start: duffing.continue_orbit(
                PAIR, along="omega", bounds=(0.4, 0.6), amplitude=0.15, omega=0.5, start=start, **SMALL
            ),
            {"start": wave},
            cost=1,
        ),
        Entry(
            "bifurcation_locus",
            duffing.bifurcation_locus,
            dict(
                branch=response, kind="fold", number=0, along="amplitude", bounds=(0.1, 0.2), max_points=40, throw=False
            ),
            cost=1,
        ),
        Entry("BifurcationLocus.at", locus.at, {"value": 0.15, "most": 2}),
        Entry(
            "backbone",
            duffing.backbone,
            dict(model=PAIR, mode=0, amplitude=0.5, num_harmonics=3, max_points=40, throw=True),
            allow={"num_harmonics": ("None",)},
            cost=1,
        ),
        Entry("OrbitBranch.at", response.at, {"value": 0.7, "most": 3}),
        Entry("OrbitBranch.peaks", response.peaks, {"out": 1, "most": 2}),
        Entry("OrbitBranch.table", response.table, {"columns": ("omega", "norm")}, allow={"columns": ("None",)}),
        Entry("Table.write_csv", response.table().write_csv, {"path": "branch.csv"},
              allow={"path": ("another word",)}),
        Entry(
            "plot.branch",
            drawn(nr.plot.branch),
            dict(
                curves=response, x="omega", y="norm", out=1, labels="forward", colours="black", marks=True,
            ),
            allow={"x": ("None",), "labels": ("None", "another word", "no word"), "colours": ("None",)},
            cost=1,
        ),
        Entry("plot.branch by a number", drawn(lambda by: nr.plot.branch(response, by=by)), {"by": "damping"},
              allow={"by": ("None",)}, cost=1),
        Entry(
            "find_orbits",
            duffing.find_orbits,
            dict(model=PAIR, drive=DRIVE, port=0, starts=4, most=2, num_harmonics=3, key=None, throw=True),
            allow={"num_harmonics": ("None",)},
            cost=1,
        ),
        Entry(
            "settle",
            duffing.settle,
            dict(
                model=PAIR, drive=DRIVE, port=0, periods=150, steps_per_period=12, x0=np.array([0.1, 0.0]),
                v0=np.zeros(2), throw=True,
            ),
            allow={"x0": ("None",), "v0": ("None",), "rtol": ("None",)},
            cost=1,
        ),
        Entry(
            "shoot",
            duffing.shoot,
            dict(model=PAIR, drive=DRIVE, port=0, guess=wave, rtol=1e-8, throw=True),
            cost=1,
        ),
        Entry(
            "simulate",
            duffing.simulate,
            dict(
                model=PAIR, force=np.zeros(2), ts=np.array([0.0, 0.5, 1.0]), x0=np.array([0.1, 0.0]), v0=np.zeros(2),
                port=None, rtol=1e-6, solver=None, adjoint=None, max_steps=1000, throw=True,
            ),
            allow={"rtol": ("None",)},
            cost=1,
        ),
        Entry(
            "simulate a function",
            lambda force: duffing.simulate(PAIR, force, [0.0, 1.0]),
            {"force": lambda t: jnp.stack([t, 0 * t])},
            cost=1,
        ),
        Entry(
            "time_series",
            duffing.time_series,
            dict(orbits=np.array(wave), ts=np.array([0.0, 0.5]), omega=0.7, harmonics=(1, 3), derivative=0),
            allow={"orbits": ("an axis too many",)},
            named={"orbits": ("harmonics",)},
        ),
        Entry(
            "time_series of points",
            duffing.time_series,
            {"orbits": response.points, "ts": [0.0]},
            named={"orbits": ("omega",)},
        ),
        Entry(
            "one_harmonic_restoration",
            duffing.one_harmonic_restoration,
            dict(pair=PAIR, amplitude=0.15, free="stiffness_ratio", resonance=1, throw=True),
        ),
        Entry("root.newton", root.newton, dict(residual=residual, guess=np.ones(2), args=2.0, rtol=1e-9, max_steps=50),
              free=("args",), allow={"rtol": ("None",)}),
        Entry(
            "root.follow",
            root.follow,
            dict(residual=along, guess=np.zeros(2), args=2.0, start=1e-3, rtol=1e-9, max_steps=100, straight_on=False),
            free=("args",),
            allow={"rtol": ("None",)},
        ),
        Entry(
            "continuation.trace",
            continuation.trace,
            dict(
                linearise=linearise, y=np.zeros(1), parameter=0.0, bounds=(-1.0, 1.0), scale=(1.0, 1.0), upwards=True,
                step=0.02, longest=0.15, max_points=20, oriented=True,
            ),
        ),
        Entry(
            "FrequencySweep",
            nr.FrequencySweep,
            dict(
                omega=np.linspace(0.8, 1.2, 5), amplitude=np.array([0.1, 0.2, 0.4, 0.2, 0.1]), direction="up", port=0,
                level=1.0, sigma=0.01, jump_after=(2,), name="sweep",
            ),
            free=("name",),
            allow={"port": ("None",), "sigma": ("None",), "jump_after": ("None", "no numbers")},
            named={"omega": ("amplitude",)},
        ),
        Entry(
            "fit_oscillators",
            op.fit_oscillators,
            dict(
                sweeps=(sweep("up"), sweep("down")), order=3, num_harmonics=1, starts=2, key=None, max_steps=2,
                throw=False,
            ),
            allow={"starts": ("None",)},
            cost=1,
        ),
    ]  # fmt: skip
