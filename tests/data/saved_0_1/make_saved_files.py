"""Golden files: what `nr.save` of diffnr at commit 764d61f wrote, one file for each class that can be in one.

    cd /work/wt/base && /work/main/.venv/bin/python /work/golden/make_saved_files.py [name …]

Writes saved_0_1/<name>.npz, one after another, and saved_0_1/contents.json:

    {"<name>.npz": {"class": of the root, "types": what `load` needs besides, "check": false where it needs that,
                    "members": of an enumeration, in the order of its array, where the root is one,
                    "values": {expression of `x`, the loaded object: number}}}

Expressions see `x`, `np`, `nr`, `tcmt`, `op`; complex numbers are [re, im]. With names only those files are made anew.
It refuses to run with any other version of diffnr: the files are worth something because that one wrote them.
"""

import argparse
import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np

import diffnr as nr
import optimize as op
from diffnr import continuation, duffing, fdtd, root, tcmt
from diffnr.duffing import harmonic_balance
from optimize import phase_design, phase_locus, reciprocity, scenarios

COMMIT = "764d61f"
HERE = Path(__file__).resolve().parent
OUT = HERE / "saved_0_1"
CONTENTS = OUT / "contents.json"
LEFT_OUT = HERE / "left_out.json"

BUILD = {}  # name: (function, expressions, types, check)
REFUSED = {}  # name: function
MADE = {}  # name: what its function returned


def made(name):
    if name not in MADE:
        MADE[name] = BUILD[name][0]()
    return MADE[name]


def golden(*expressions, types=(), check=True):
    def register(function):
        BUILD[function.__name__] = (function, expressions, tuple(types), check)
        return function

    return register


def refused(function):
    REFUSED[function.__name__] = function
    return function


# --- diffnr ---------------------------------------------------------------------------------------------------------

OMEGA = jnp.linspace(-1.0, 1.0, 9)
RATES = {"omega": (0.0, 0.1), "gamma": (0.5, 0.6), "gamma_0": (0.1, 0.2), "kappa": 0.3}
NONLOCAL = tcmt.NonlocalLoss(gamma_k=0.1, mode=1, sensed=0)
PAIR = tcmt.two_resonators(**RATES, loss=NONLOCAL)
LINEAR = tcmt.two_resonators(**RATES)
ISOLATION = "nr.metrics.isolation(nr.port_response(x, nr.Drive(0.3)), out=0, into=1)"
S = "nr.scattering(x, np.array([0.3]))[0, 0, 0]"


@golden("x.omega", "x.amplitude")
def drive():
    return nr.Drive(0.3, 1.0 - 0.5j)


@golden("x.amplitude")
def drive_power():
    return nr.Drive(0.3, power=4.0)


def resonance(points=15, ports=1, energy=False, measured=False, seed=0):
    D = [[0.5]] if ports == 1 else [[0.5], [0.3j]]
    line = tcmt.CoupledModes(omega=[0.1], D=D, gamma_i=[0.1])
    omega = jnp.linspace(-1.0, 1.0, points)
    rng = np.random.default_rng(seed)
    s = np.asarray(nr.scattering(line, omega))
    s = s + 1e-3 * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
    kept = None
    if energy:
        omegas, gamma, _, _, K = (np.asarray(part) for part in line.matrices())
        a = np.stack([np.linalg.solve(1j * w - 1j * omegas + gamma, K.T) for w in np.asarray(omega)])
        kept = np.sum(np.abs(a) ** 2, axis=1)
    return nr.FieldData(
        omega, s, energy=kept, sigma=1e-3, sigma_energy=1e-3 if energy else None, measured=measured, name="golden"
    )


@golden("x.num_points", "x.name", "np.linalg.norm(x.s)", "np.sum(x.energy)")
def field_data():
    return resonance(energy=True)


@golden("x.measured", "x.num_ports", "x.deviation[0, 0, 0]")
def field_data_measured():
    return resonance(ports=2, measured=True)


@golden(
    "x['model'].kappa", "x['numbers'][4]", "x['arrays'][0].sum()", "x['text']", "x['a key.[with] all']",
    "x['arrays'][1].dtype == np.float32", "x['arrays'][3].weak_type",
)  # fmt: skip
def tree():
    numbers = (1, 2.5, float("inf"), float("nan"), 1.5 - 2j, None, True, -0.0)
    arrays = [jnp.arange(3), jnp.ones(2, np.float32), np.eye(2), jnp.asarray(1.5), np.float64(2.0), np.array([1 + 1j])]
    return {"model": PAIR, "numbers": numbers, "arrays": arrays, "text": "Ω", "a key.[with] all": 3, "empty": ((), {})}


def members(enumeration):
    """All members of an enumeration in one array, in the order of their numbers."""
    names = sorted(enumeration._name_to_item, key=lambda name: int(enumeration._name_to_item[name]._value))

    def member(number):
        found = getattr(enumeration, names[0])
        for k, name in enumerate(names):
            found = enumeration.where(number == k, getattr(enumeration, name), found)
        return found

    return eqx.filter_vmap(member)(jnp.arange(len(names)))


@golden("(x == nr.RESULTS.fold).tolist()")
def results():
    return members(nr.RESULTS)


@golden()
def endings():
    return members(continuation.ENDINGS)


@golden()
def phase_locus_endings():
    return members(phase_locus.ENDINGS)


@golden()
def restoration_outcomes():
    return members(reciprocity.OUTCOMES)


@golden()
def phase_design_outcomes():
    return members(phase_design.OUTCOMES)


@golden("bool(x == nr.RESULTS.no_wave)")
def one_result():
    return nr.RESULTS.no_wave


@golden("x.residual_norm", "x.num_steps", "x.value[0]")
def root_solution():
    return root.newton(lambda y, a: y**2 - a, jnp.array([3.0]), jnp.asarray(2.0))


# --- diffnr.tcmt ----------------------------------------------------------------------------------------------------


@golden(S)
def two_resonators_linear():
    return LINEAR


@golden(ISOLATION, "x.kappa")
def two_resonators_nonlocal():
    return PAIR


@golden(ISOLATION, "x.loss.epsilon")
def two_resonators_regularised():
    return tcmt.two_resonators(**RATES, loss=tcmt.NonlocalLoss(0.1, 1, 0, epsilon=1e-3))


@golden(ISOLATION, S)
def two_resonators_ideal():
    return tcmt.two_resonators(**RATES, loss=tcmt.IdealNonreciprocalCoupling(0.1, mode=1, sensed=0))


@golden("len(x.laws)", "x.laws[1].coefficient", ISOLATION)
def two_resonators_all_laws():
    laws = (
        NONLOCAL, tcmt.KerrLoss(0.2, mode=1), tcmt.SaturableLoss(0.2, mode=0),
        tcmt.IdealNonreciprocalCoupling(0.1, mode=1, sensed=0),
    )  # fmt: skip
    return tcmt.two_resonators(**RATES, loss=laws)


@golden("x.gamma.dtype == np.float32", "float(x.kappa)")
def two_resonators_float32():
    return jax.tree_util.tree_map(lambda leaf: leaf.astype(jnp.float32), PAIR)


@golden("x.kappa[2]", check=False)
def two_resonators_batch():
    return jax.vmap(lambda kappa: eqx.tree_at(lambda m: m.kappa, PAIR, kappa))(jnp.array([0.1, 0.2, 0.3]))


@golden("x.gamma_k", "x.mode")
def nonlocal_loss():
    return tcmt.NonlocalLoss(0.1, mode=1, sensed=0, epsilon=1e-4)


@golden("x.coefficient", "x.rate(np.array([1.0, 2.0j]))")
def kerr_loss():
    return tcmt.KerrLoss(0.2, mode=1)


@golden("x.saturation", "x.rate(np.array([1.0, 2.0j]))")
def saturable_loss():
    return tcmt.SaturableLoss(0.2, mode=1, saturation=2.0)


@golden("x.gamma_k", "x.sensed")
def ideal_nonreciprocal_coupling():
    return tcmt.IdealNonreciprocalCoupling(0.1, mode=1, sensed=0)


MODES = {"omega": [[0.0, 0.3 + 0.1j], [0.3 - 0.1j, 0.2]], "D": [[0.5, 0.1], [0.2j, 0.4]], "gamma_i": [0.1, 0.2]}


@golden(S, "x.lossless")
def coupled_modes_lossless():
    return tcmt.CoupledModes(MODES["omega"], MODES["D"], lossless=True)


@golden(ISOLATION)
def coupled_modes_nonlocal():
    return tcmt.CoupledModes(**MODES, loss=NONLOCAL)


@golden(S, ISOLATION)
def coupled_modes_ideal():
    return tcmt.CoupledModes(**MODES, loss=(tcmt.IdealNonreciprocalCoupling(0.1, mode=1, sensed=0),))


@golden("len(x.laws)", ISOLATION)
def coupled_modes_local_laws():
    return tcmt.CoupledModes(**MODES, loss=(tcmt.KerrLoss(0.2, mode=1), tcmt.SaturableLoss(0.2, mode=0)))


@golden(S, "x.active", "x.K[0, 1]")
def coupled_modes_active():
    return tcmt.CoupledModes(
        [0.0, 0.2], MODES["D"], C=[[0.0, 1.1], [1.0, 0.0]], K=[[0.4, 0.1], [0.0, 0.3]], gamma_i=[-0.1, 0.2], active=True
    )


@golden(S, "x.num_hidden", "x.omega[0, 1]")
def passive_modes():
    return tcmt.passive_modes([0.0, 0.2], [[0.5, 0.1], [0.2j, 0.4], [0.3, 0.0]], hidden=1)


@golden(S, "x.num_hidden")
def passive_modes_of():
    return tcmt.PassiveModes.of(tcmt.CoupledModes(**MODES))


@golden(ISOLATION)
def passive_modes_with_law():
    return tcmt.passive_modes([0.0, 0.2], MODES["D"], loss=NONLOCAL)


@golden("x(0.5)[0]")
def gaussian_pulse():
    return tcmt.GaussianPulse([1.0, 0.5j], 0.3, 0.2)


@golden("nr.metrics.isolation(x, out=0, into=1)", "x.s[0, 1]", "x.successful.all()")
def port_response_tcmt_linear():
    return nr.port_response(LINEAR, nr.Drive(0.3))


@golden("nr.metrics.isolation(x, out=0, into=1)", "x.b[1, 0, 0]", "x.successful.all()")
def port_response_tcmt_nonlocal():
    return nr.port_response(PAIR, nr.Drive(0.3, 2.0))


@golden("x.s[2, 0, 1]", "x.successful.all()")
def port_response_tcmt_batch():
    return jax.vmap(lambda omega: nr.port_response(PAIR, nr.Drive(omega), throw=False))(OMEGA[:3])


@golden("x.a[1]", "x.s_minus[0]", "bool(x.result == nr.RESULTS.successful)")
def tcmt_steady_state():
    return tcmt.steady_state(PAIR, 0.3, jnp.asarray([1.0, 0.5j]))


@golden("x.a[2, 1]", "(x.result == nr.RESULTS.successful).all()")
def tcmt_steady_states():
    return jax.vmap(lambda w: tcmt.steady_state(PAIR, w, jnp.asarray([1.0, 0.5j]), throw=False))(OMEGA[:3])


@golden("x.growth_rate", "x.stable", "x.unique")
def stability():
    return tcmt.stability(PAIR, tcmt_steady_state())


@golden("x.signal[0, 1]", "x.idler[0, 1]")
def small_signal():
    return tcmt.small_signal_response(PAIR, tcmt_steady_state(), 0.05)


@golden("x.a[-1, 1]", "x.energy_out[-1, 1]", "x.num_steps", types=[diffrax.RESULTS])
def tcmt_transient():
    return tcmt.simulate(PAIR, tcmt.GaussianPulse([1.0, 0.0], 1.0, 0.5), jnp.linspace(0.0, 3.0, 7))


# --- diffnr.duffing -------------------------------------------------------------------------------------------------

DUFFING = duffing.DuffingPair(2.0, 1.0, 1.0, coupling=5.0, cubic=1.0, damping=0.05, num_harmonics=3)
P = 0.15
CHAIN = duffing.OscillatorChain(
    [1.0, 2.0], [0.1, 0.2], duffing.PolynomialForce([1.0, 0.0, 1.0]), duffing.PolynomialForce([5.0]), num_harmonics=3
)
TONE = nr.Drive(0.7, P)


@golden("x.mass_ratio", "x.num_harmonics")
def duffing_pair():
    return DUFFING


@golden("x.friction[1]", "x.odd", "x.internal.coefficients[2]", "x.force(np.array([0.1, 0.2]))[1]")
def oscillator_chain():
    return CHAIN


@golden("x.odd", "x.oscillators.damping", "x.harmonics")
def all_harmonics():
    return duffing.AllHarmonics(DUFFING)


@golden("x(np.array([0.5, 1.0]))[1]")
def polynomial_force():
    return duffing.PolynomialForce([[1.0, 1.1], [0.0, 0.2], [1.0, 2.0]])


@golden("x.b[1, 0, 1]", "nr.metrics.reciprocity_norm(x)", "x.harmonics", "x.successful.all()")
def port_response_duffing_pair():
    return nr.port_response(DUFFING, TONE)


@golden("x.b[1, 0, 1]", "x.successful.all()")
def port_response_oscillator_chain():
    return nr.port_response(CHAIN, TONE)


@golden("x.b[1, 0, 1]", "x.harmonics", "x.successful.all()")
def port_response_all_harmonics():
    return nr.port_response(duffing.AllHarmonics(DUFFING), TONE)


@golden("x.norm[1]", "x.gap < 1e-8", "abs(x.multipliers[0])", "bool(x.result == nr.RESULTS.successful)")
def orbit():
    return duffing.shoot(DUFFING, TONE, rtol=1e-9)


@golden("x.count", "x.norm[3, 1]", "x.along", "x.model.mass_ratio", "x.points.stable[0]")
def orbit_branch():
    return duffing.frequency_response(DUFFING, amplitude=P, omega=(0.5, 0.75), max_points=16, max_folds=1).trim()


@golden("x.count", "x.omega[0]", "x.norm[0, 1]", "x.harmonicity[0, 1]")
def points():
    return duffing.inventory(DUFFING, nr.Drive(0.95, P), starts=16, most=4)


@golden("x.value", "x.omega", "x.phasors[1]")
def one_harmonic_restoration():
    return duffing.one_harmonic_restoration(DUFFING, amplitude=P, free="stiffness_ratio", resonance=1)


@golden("x.norm[1]", "x.b[1, 0]", "x.drift")
def duffing_steady_state():
    return duffing.steady_by_time(DUFFING, TONE, periods=20)


@golden("x.x[-1, 1]", "x.num_steps", types=[diffrax.RESULTS])
def duffing_transient():
    return duffing.simulate(DUFFING, TONE, jnp.linspace(0.0, 3.0, 7), port=0)


@golden("x.size", "x.orders")
def basis():
    return harmonic_balance.Basis.of(3, odd=True)


# --- diffnr.fdtd ----------------------------------------------------------------------------------------------------

UM, THZ = 1e-6, 2e12 * np.pi
SILICON = fdtd.Dielectric(11.68)


def insb(bias=-0.25):
    return fdtd.GyrotropicDrude(15.6, 4e12 * np.pi, 0.02 * np.pi * 1e12, bias * 4e12 * np.pi)


SMALL = fdtd.Grid.uniform((0.0, 30 * UM), (0.0, 20 * UM), 5 * UM)


def small_scene(objects=(), ends=None):
    return fdtd.Scene.of(SMALL, SILICON, objects, ends)


PLASMA = fdtd.Rectangle([10 * UM, 20 * UM], [0.0, 10 * UM]), insb()
WALL = fdtd.Rectangle([25 * UM, 30 * UM], [0.0, 20 * UM]), fdtd.Impedance.of_conductor(2e4, 1.5 * THZ)


@golden("x.shape", "x.dx[1]")
def grid():
    return fdtd.Grid.refined([0.0, 30 * UM], [0.0, 20 * UM], 5 * UM, fine_x={15 * UM: 2 * UM})


@golden("x.eps", "x.permittivity(1e12)[0, 0]")
def dielectric():
    return SILICON


@golden("x.omega_c", "x.permittivity(1e12)[0, 1]")
def gyrotropic_drude():
    return insb()


@golden("x.inductance", "x.surface_impedance(1e12)")
def impedance():
    return WALL[1]


@golden("x.eps_inf")
def perfect_conductor():
    return fdtd.PerfectConductor()


@golden("x.rate", "x.order")
def sponge():
    return fdtd.Sponge(10 * UM, rate=2e13, order=2)


@golden("x.cells", "x.index")
def matched_layer():
    return fdtd.MatchedLayer(4, 11.68**0.5)


@golden("x.wavenumber")
def bloch():
    return fdtd.Bloch(5e4)


@golden("x.wavenumber is None")
def bloch_periodic():
    return fdtd.Bloch()


@golden("x.left.cells", "x.right.thickness", "x.bottom.wavenumber")
def ends():
    return fdtd.Ends(fdtd.MatchedLayer(4), fdtd.Sponge(10 * UM), fdtd.Bloch(5e4), fdtd.Bloch(5e4))


@golden("x.y[1]")
def rectangle():
    return fdtd.Rectangle([-np.inf, np.inf], [0.0, 10 * UM])


@golden("np.sum(x.eps)", "x.has_carriers", "x.longest_step")
def scene():
    return small_scene([PLASMA, WALL], fdtd.Ends(left=fdtd.Sponge(10 * UM)))


@golden("np.sum(x.eps)", "x.has_carriers", "np.sum(x.metal)")
def scene_dielectric():
    metal = fdtd.Rectangle([25 * UM, 30 * UM], [0.0, 20 * UM]), fdtd.PerfectConductor()
    return small_scene([metal], fdtd.Ends(left=fdtd.MatchedLayer(4), bottom=fdtd.Bloch(5e4), top=fdtd.Bloch(5e4)))


@golden("x.step", "np.sum(x.carriers)", "len(x.walls)")
def update():
    return fdtd.Update.of(scene())


@golden("x.step", "x.phase", "x.layers[0].cells")
def update_layers():
    return fdtd.Update.of(scene_dielectric())


@golden("x.component", "x.weights[0, 0]")
def functional():
    return fdtd.Functional.at(SMALL, 7 * UM, 7 * UM)


@golden("x(2e-12)")
def pulse():
    return fdtd.Pulse(THZ, 4e-13, phase=0.3)


@golden("x(2e-12)")
def tone():
    return fdtd.Tone(THZ, 5e-12, 0.3)


@golden("x(2e-12)[1]", "x.terms")
def hermite_pulses():
    from diffnr.fdtd.waveforms import HermitePulses

    return HermitePulses(pulse(), 3)


@golden("x.x", "x.direction", "x.mode", "x.sign")
def port():
    return fdtd.Port(55 * UM, "+x", 1)


@golden("x.component", "x.omega[1]", "x.rows", "x.stride")
def field_transform():
    return fdtd.FieldTransform("ex", [1e12, 2e12], rows=(1, 3), stride=2)


@golden("x.scene.has_carriers", "np.sum(x.scene.eps)")
def cross_section():
    return fdtd.layered_guide([(10 * UM, insb()), (10 * UM, SILICON)], 5 * UM)


@golden("x.count", "x.q[0]", "x.omega[0]")
def ring_down():
    t = np.arange(200) * 5e-14
    traces = [np.exp(-1e11 * t) * np.cos(THZ * t), np.exp(-1e11 * t) * np.sin(THZ * t)]
    return fdtd.ring_down(np.stack(traces), 5e-14, band=(0.8 * THZ, 1.2 * THZ), num_lines=2)


def guide_with_a_block():
    box = fdtd.Grid.uniform((0.0, 160 * UM), (0.0, 20 * UM), 5 * UM)
    block = fdtd.Rectangle([75 * UM, 85 * UM], [0.0, 10 * UM]), insb()
    sponge = fdtd.Sponge(20 * UM)
    return fdtd.Scene.of(box, SILICON, [block], fdtd.Ends(left=sponge, right=sponge))


@golden("x.num_ports", "x.ports.lines", "x.tolerance", "x.update.step")
def simulation():
    return fdtd.Simulation(guide_with_a_block(), [fdtd.Port(55 * UM, "+x"), fdtd.Port(105 * UM, "-x")], steps=400)


@golden("nr.metrics.isolation(x, out=0, into=1)", "abs(x.s[1, 0])", "x.successful.all()", "x.power_normalised")
def port_response_simulation():
    return nr.port_response(simulation(), nr.Drive(1.0 * THZ))


@golden("x.update.step", "len(x.sources)")
def leapfrog():
    return fdtd.Leapfrog(fdtd.Update.of(small_scene()), [(functional(), pulse())])


# --- optimize -------------------------------------------------------------------------------------------------------


@golden("x.values['kappa']", "x.chi2", "x.converged", "x.report()")
def fit():
    return op.fit(PAIR, jnp.asarray(0.2), free="kappa", residual=lambda m, target: (m.kappa - target)[None])


MODE_FIT = (
    "x.coefficients.omega[0]",
    "x.stderr.gamma[0]",
    "x.rank",
    "x.verdict.errors",
    "x.predict(np.array([0.3]))[0, 0, 0]",
)


@golden(*MODE_FIT)
def mode_fit_passive():
    return op.fit_modes(resonance(points=11), 1)


@golden(*MODE_FIT)
def mode_fit_active():
    return op.fit_modes(resonance(points=11), 1, passive=False)


@golden(*MODE_FIT, "x.coefficients.delay[0]", "x.coefficients.outcoupling[0, 0]")
def mode_fit_energy_and_delay():
    return op.fit_modes(resonance(points=11, energy=True), 1, delay=True, background=1)


@golden("x.omega[0]", "x.delay is None", "x.rows()[0][1]")
def mode_coefficients():
    return made("mode_fit_passive").coefficients


@golden("x.value", "x.values['kappa']", "x.steps", "x.message", "x.history['value'][-1]")
def minimum():
    return op.minimise(lambda m: (m.kappa - 1.0) ** 2, PAIR, free="kappa", steps=5, progress=False)


@golden("x.value", "x.isolation", "x.values['loss.gamma_k']", "x.feasible", "x.active", "x.report()")
def design():
    return op.maximise_contrast(PAIR, omega=0.0, free="loss.gamma_k", out=0, into=1, starts=1)


@golden("x.isolation", "x.insertion_loss", "x.contrast")
def assessment():
    return op.assess(PAIR, band=(-0.1, 0.1), out=0, into=1, tolerances={"kappa": 0.01}, points=3)


@golden("x.omegas[0]", "x.shifts['kappa'][1]")
def scenarios_of_a_band():
    return scenarios.scenarios(
        PAIR, omega=None, band=(-0.1, 0.1), out=0, into=1, amplitude=1.0, points=2, tolerances={"kappa": 0.01},
        dtype=jnp.float64,
    )  # fmt: skip


RESTORATION = ("x.value", "x.omega", "x.reciprocity_norm", "x.converged", "x.free", "x.message")


def restored(resonance, at="peak"):
    return op.restore_reciprocity(DUFFING, amplitude=P, free="stiffness_ratio", resonance=resonance, at=at)


@golden(*RESTORATION)
def restoration():
    return restored(1)


LOCUS = {"amplitude": P, "along": "mass_ratio", "free": "stiffness_ratio"}


@golden("x.count", "x.value[2]", "x.omega[2]", "x.reciprocity_norm[2]", "x.stable[2, 0]")
def reciprocity_locus():
    return op.reciprocity_locus(DUFFING, **LOCUS, bounds=(1.2, 2.0), resonance=1, points=3)


@golden("x.count", "x.value[0]", "x.reciprocity_norm[0]", "x.along[3]")
def reciprocity_level():
    return op.reciprocity_level(DUFFING, **LOCUS, level=7e-3, bounds=(1.0, 2.0), resonance=0, max_points=30)


@golden("x.count", "x.omega[0]", "x.phase_difference[0]", "x.reciprocity_norm[0]", "x.stable[0, 1]")
def equal_norm_points():
    return op.equal_norm_points(DUFFING, amplitude=P, omega=(0.5, 4.0))


@golden("x.count", "x.along[0]", "x.omega[0]", "x.phase_difference[0]", "len(x.ending)", "x.reciprocal.points.count")
def phase_nonreciprocity_locus():
    return op.phase_nonreciprocity_locus(
        DUFFING, amplitude=P, along="mass_ratio", bounds=(1.95, 2.05), resonance=1, max_points=6
    )


@golden("x.along.shape", "x.points.omega.shape")
def reciprocal_points():
    return made("phase_nonreciprocity_locus").reciprocal


@golden("x.values['stiffness_ratio']", "x.phase_difference", "x.change", "x.converged", "x.report()")
def phase_design_result():
    return op.design_nonreciprocal_phase(
        DUFFING, amplitude=P, phase=0.25, free="stiffness_ratio", resonance=1, max_steps=60
    )


ONE = {"frequency": [0.96], "damping": [0.006], "stiffening": [[0.2]], "force": [0.0135], "coupling": [], "scale": []}


def swept():
    """Sweeps up and down of one Duffing oscillator by its cubic of one harmonic, with some noise."""
    w0, d, g, F = 0.96, 0.006, 0.2, 0.0135
    rng = np.random.default_rng(0)
    omega = np.linspace(0.93, 1.08, 20)
    sweeps = []
    for direction, along, pick in (("up", omega, np.max), ("down", omega[::-1], np.min)):
        amplitudes = []
        for w in along:
            a, b = w0**2 - w**2, 2 * d * w
            roots = np.roots([(0.75 * g) ** 2, 1.5 * g * a, a**2 + b**2, -(F**2)])  # of A²
            real = roots[np.abs(roots.imag) < 1e-9 * np.abs(roots)].real
            amplitudes.append(np.sqrt(pick(real[real > 0])))
        amplitudes = np.abs(amplitudes + 3e-3 * np.max(amplitudes) * rng.normal(size=20))
        sweeps.append(op.Sweep(along, amplitudes, direction, name=f"{direction}wards"))
    return tuple(sweeps)


@golden("x.jump_after", "x.direction", "np.max(x.amplitude)", "x.name", "x.step")
def sweep():
    return swept()[0]


@golden("x.port", "x.sigma[0, 1]", "x.level")
def sweep_of_a_pair():
    return op.Sweep([1.0, 1.1, 1.2, 1.3], np.ones((4, 2)), "up", port=1, level=0.5, sigma=[0.1, 0.2], jump_after=(1,))


@golden("x.frequency[1]", "x.scales[1]", "x.stiffening[0, 1]")
def swept_oscillators():
    return op.SweptOscillators(
        *(jnp.asarray(part) for part in ([0.92, 0.99], [0.006, 0.005], [[0.17, 0.12]], [0.012, 0.014], [0.045], [1.3]))
    )


@golden(
    "x.oscillators.frequency[0]",
    "x.converged",
    "x.jumps.fitted[0]",
    "x.misfit[0]",
    "x.verdict.noise_like",
    "x.model.num_harmonics",
)
def oscillator_fit():
    return op.fit_oscillators(swept(), harmonics=1, starts=2)


@golden("x.fitted[0]", "x.sweep")
def jumps():
    return op.Jumps(np.array([[1.0, 1.1], [0.9, 0.8]]), np.array([1.05, np.nan]), np.array([0.01, np.nan]), (0, 1))


@golden("x.upper", "x.forward(np.array(0.3))")
def interval():
    return op.Interval(0.0, 2.0)


@golden("x.scale", "x.forward(np.array(0.3))")
def positive():
    return op.Positive(2.0)


@golden("x.scale", "x.forward(np.array(0.3))")
def scaled():
    return op.Scaled(2.0)


@golden("x.start", "x.names", "x.build(x.start).kappa")
def parametrisation():
    return op.parametrise(PAIR, ("kappa", "gamma", "omega"), {"kappa": op.Interval(0.0, 1.0)})


# --- What nr.save refuses ---------------------------------------------------------------------------------------------


def waves():
    from diffnr.fdtd.column import Cut

    none = jnp.zeros((1, 4), complex)
    cut = Cut(jnp.zeros((1, 5), complex), none, none)
    ones = jnp.ones(1)
    return fdtd.Waves(ones, ones, ones, ones > 0, jnp.zeros((1, 5), complex), none, none, cut, cut)


@refused
def fields():
    return fdtd.Update.of(small_scene()).still()


@refused
def recording():
    return fdtd.Recording(jnp.zeros((1, 2)), jnp.zeros((1, 2)), (), fields())


@refused
def steady_field():
    return fdtd.SteadyField(fields(), jnp.zeros(1, complex), jnp.asarray(THZ))


@refused
def resonances():
    still = fields()
    one = jnp.ones(1)
    return fdtd.Resonances(one, one, still, still[:2], one > 0)


@refused
def waves_of_a_guide():
    return waves()


@refused
def guide_modes():
    return fdtd.GuideModes(waves(), waves())


@refused
def dispersion():
    return fdtd.Dispersion(jnp.ones(1), fdtd.GuideModes(waves(), waves()))


@refused
def region_of_a_function():
    return fdtd.Region(lambda x, y: x < y)


@refused
def chain_of_functions():
    return duffing.OscillatorChain([1.0], 0.1, lambda x: x, lambda e: e, num_harmonics=3)


@refused
def proximal_sdirk():
    return tcmt.ProximalSDIRK(lambda *args: args[2], lambda *args: args[3])


@refused
def parametrisation_of_a_callable():
    return op.parametrise(PAIR, lambda m: m.kappa)


@refused
def matrices():
    return PAIR.matrices()


@refused
def time_bandwidth():
    return tcmt.time_bandwidth(LINEAR)


@refused
def time_reversal_residuals():
    return tcmt.time_reversal_residuals(LINEAR, tcmt.companion(LINEAR))


# --- The machinery --------------------------------------------------------------------------------------------------


def require_version():
    package = Path(nr.__file__).resolve().parent
    git = lambda *args: subprocess.run(["git", "-C", package, *args], capture_output=True, text=True, check=True).stdout  # noqa: E731
    head, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--", package, package.parent / "optimize")
    if not head.startswith(COMMIT) or changes:
        sys.exit(
            f"diffnr at {package} is at {head[:7]} with changes {changes!r}, not the clean {COMMIT}: run in its worktree."
        )
    print("diffnr", nr.__version__, head[:7], package, flush=True)


def plain(value):
    """A number, a text or a list of such, for JSON."""
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    array = np.asarray(value)
    if array.ndim:
        return [plain(item) for item in array]
    item = array.item()
    if isinstance(item, complex):
        return [item.real, item.imag]
    return item if not isinstance(item, float) or np.isfinite(item) else repr(item)


def evaluate(expression, x):
    return plain(eval(expression, {"x": x, "np": np, "nr": nr, "tcmt": tcmt, "op": op}))


def name_of(x):
    member = vars(x).get("_enumeration") if isinstance(x, eqx.Module) else None
    cls = member if isinstance(member, type) else type(x)
    return f"{cls.__module__}.{cls.__qualname__}"


def header_of(path):
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["__diffnr__"]))


def classes_in(node):
    if isinstance(node, dict):
        own = {node[key] for key in ("module", "enumeration") if isinstance(node.get(key), str)}
        return own.union(*map(classes_in, node.values()))
    return set().union(*map(classes_in, node)) if isinstance(node, list) else set()


def same(a, b):
    """Whether the same came back: structure with static fields and classes, dtypes, values."""
    assert jax.tree_util.tree_structure(a) == jax.tree_util.tree_structure(b)
    for x, y in zip(jax.tree_util.tree_leaves(a), jax.tree_util.tree_leaves(b), strict=True):
        assert type(x) is type(y) or (isinstance(x, jax.Array) and isinstance(y, jax.Array)), (type(x), type(y))
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))
        assert np.asarray(x).dtype == np.asarray(y).dtype


def make(name):
    _, expressions, types, check = BUILD[name]
    began = time.perf_counter()
    x = made(name)
    path = OUT / f"{name}.npz"
    nr.save(path, x)
    loaded = nr.load(path, types, check=check)
    same(x, loaded)
    values = {expression: evaluate(expression, x) for expression in expressions}
    assert values == {expression: evaluate(expression, loaded) for expression in expressions}
    header = header_of(path)
    entry = {"class": name_of(x)}
    if types:
        entry["types"] = [f"{cls.__module__}.{cls.__qualname__}" for cls in types]
    if not check:
        entry["check"] = False
    if "enumeration" in header["tree"]:
        entry["members"] = header["tree"]["members"]
    contents = json.loads(CONTENTS.read_text()) if CONTENTS.exists() else {}
    contents[path.name] = entry | {"values": values}
    rows = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in sorted(contents.items())]
    CONTENTS.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    print(f"{name:36} {path.stat().st_size:7} B  {time.perf_counter() - began:6.1f} s  {entry['class']}", flush=True)


def left_out():
    found = {}
    for name, function in REFUSED.items():
        try:
            x = function()
            nr.save(HERE / "refused.npz", x)
            found[name] = "SAVED"
        except ValueError as error:
            found[name] = f"{type(x).__module__}.{type(x).__qualname__}: {error}"
        finally:
            (HERE / "refused.npz").unlink(missing_ok=True)
    covered = set().union(*(classes_in(header_of(path)["tree"]) for path in OUT.glob("*.npz")))
    from diffnr import storage

    known = storage._known_classes(())
    uncovered = sorted(
        name for name, cls in known.items()
        if name not in covered and not getattr(cls, "__abstractmethods__", None) and "_InitableModule" not in name
    )  # fmt: skip
    LEFT_OUT.write_text(
        json.dumps(
            {"refused by nr.save": found, "in no file": uncovered, "covered": sorted(covered)},
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names or list(BUILD)
    require_version()
    OUT.mkdir(exist_ok=True)
    failed = []
    for name in names:
        try:
            make(name)
        except Exception:
            failed.append(name)
            print(f"{name}: FAILED\n{traceback.format_exc(limit=-4)}", flush=True)
    left_out()
    sizes = [path.stat().st_size for path in OUT.glob("*.npz")]
    print(f"{len(sizes)} files, {sum(sizes)} B, largest {max(sizes)} B; failed: {failed}")


if __name__ == "__main__":
    main()
