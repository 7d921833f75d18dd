"""Entries of the field solver: grids, media, scenes, runs, frequencies, guides, ports, closed forms, pictures."""

from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

import diffnr as nr
from diffnr import fdtd, plot
from diffnr.fdtd import closed_forms
from tests.fuzz.generator import Entry

UM, THZ = 1e-6, 2e12 * np.pi
GLASS, PLASMA = fdtd.Dielectric(2.25), fdtd.GyrotropicDrude(4.0, 1.5 * THZ, 0.01 * THZ, 0.4 * THZ)
GRID = fdtd.Grid.uniform((0.0, 48 * UM), (0.0, 15 * UM), 3 * UM)
OPEN = fdtd.Boundaries(left=fdtd.Sponge(12 * UM), right=fdtd.Sponge(12 * UM))
SCENE = fdtd.Scene.of(GRID, GLASS, [(fdtd.Rectangle([0, 48 * UM], [0, 6 * UM]), PLASMA)], OPEN)
UPDATE, BOX = fdtd.Update.of(SCENE), fdtd.Update.of(fdtd.Scene.of(GRID, GLASS))
PHASORS = fdtd.Fields(*(None if part is None else part + 0j for part in UPDATE.zero_fields()))
SOURCE, PROBE = fdtd.Functional.at(GRID, 20 * UM, 9 * UM), fdtd.Functional.at(GRID, 30 * UM, 9 * UM, "ey")
PULSE, TONE = fdtd.Pulse(1.2 * THZ, 4e-13), fdtd.Tone(1.2 * THZ, 1e-12)
LAYERS = [(5 * UM, PLASMA), (6 * UM, GLASS)]
GUIDE = fdtd.layered_guide(LAYERS, 1 * UM)
LONG = fdtd.Scene.of(fdtd.Grid.uniform((0.0, 90 * UM), (0.0, 9 * UM), 3 * UM), GLASS, (), OPEN)
DEVICE = fdtd.Simulation(LONG, [fdtd.Port(36 * UM, "+x"), fdtd.Port(54 * UM, "-x")], steps=3000)
EITHER_SIDE = {name: ("None",) for name in ("left", "right", "bottom", "top")}
TIMES = np.arange(3000) * 2e-14
RINGING = np.exp(-2e10 * TIMES) * np.cos(4e12 * TIMES + 0.3)
LATER = {"progress": ("None", "a bool"), "fields": ("None",), "checkpoint": ("None", "text", "another word")}


def closed(draw: Any) -> Any:
    """`draw`, with its figure closed."""

    def call(**arguments: Any) -> int:
        try:
            draw(**arguments)
            return 0
        finally:
            plt.close("all")

    return call


def _run(**arguments: Any) -> Any:
    return fdtd.propagate(UPDATE, 6, **arguments)


def media() -> list[Entry]:
    cells = {name: ("a matrix",) for name in ("eps", "eps_inf", "omega_p", "nu", "omega_c", "tesla", "effective_mass")}
    drude = {"eps_inf": 4.0, "omega_p": 1e13, "nu": 1e11, "omega_c": -2e12}
    mass = {"tesla": 0.3, "effective_mass": 0.02, "eps_inf": 4.0, "omega_p": 1e13, "nu": 1e11}
    many = {"omega": ("a matrix",)}
    wall = fdtd.SurfaceImpedance(2.0, 1e-12)
    return [
        Entry("Dielectric", fdtd.Dielectric, {"eps": 3.0}, allow=cells),
        Entry("GyrotropicDrude", fdtd.GyrotropicDrude, drude, allow=cells),
        Entry("GyrotropicDrude.from_field", fdtd.GyrotropicDrude.from_field, mass, allow=cells),
        Entry("SurfaceImpedance", fdtd.SurfaceImpedance, {"resistance": 2.0, "inductance": 1e-12}),
        Entry("SurfaceImpedance.of_conductor", fdtd.SurfaceImpedance.of_conductor, {"sigma": 900.0, "omega": 1e12}),
        Entry("surface_impedance", wall.surface_impedance, {"omega": 1e12}, allow=many),
        *(
            Entry(f"{type(medium).__name__}.permittivity", medium.permittivity, {"omega": 2e12}, allow=many)
            for medium in (GLASS, PLASMA, wall, fdtd.PerfectConductor())
        ),
    ]


def scenes() -> list[Entry]:
    lines = np.array([0.0, 1.0, 2.5, 3.0]) * UM
    layer = {"cells": 6, "index": 1.5, "reflection": 1e-7, "stretch": 1.2, "shift": 0.02, "order": 3}
    sides = {"left": fdtd.Sponge(9 * UM), "right": None, "bottom": fdtd.Bloch(1e4), "top": fdtd.Bloch(1e4)}
    refined = {
        "x": [0, 40 * UM],
        "y": [0, 15 * UM],
        "cell": 3 * UM,
        "fine_x": None,
        "fine_y": {6 * UM: 1 * UM},
        "growth": 1.2,
    }
    objects = [(fdtd.Rectangle([0, 48 * UM], [0, 6 * UM]), PLASMA)]
    filled = {"grid": GRID, "background": GLASS, "objects": objects, "boundaries": OPEN}
    disc = {"inside": lambda x, y: x**2 + y**2 < (9 * UM) ** 2}
    coarse = fdtd.Grid.uniform((0.0, 9.0), (0.0, 6.0), 3.0)
    return [
        Entry("Grid", fdtd.Grid, {"x": lines, "y": lines}),
        Entry("Grid.uniform", fdtd.Grid.uniform, {"x": (0.0, 40 * UM), "y": (-5 * UM, 10 * UM), "cell": 2.5 * UM}),
        Entry(
            "Grid.refined",
            fdtd.Grid.refined,
            refined,
            allow={"fine_x": ("None", "a dict"), "fine_y": ("None",)},
        ),
        Entry("Sponge", fdtd.Sponge, {"thickness": 9 * UM, "rate": 1e13, "order": 3}, allow={"rate": ("None",)}),
        Entry("MatchedLayer", fdtd.MatchedLayer, layer),
        Entry("Bloch", fdtd.Bloch, {"wavenumber": 2e4}, allow={"wavenumber": ("None",)}),
        Entry("Boundaries", fdtd.Boundaries, sides, allow=EITHER_SIDE),
        Entry("Rectangle", fdtd.Rectangle, {"x": [0, 9 * UM], "y": [-np.inf, 6 * UM]}),
        Entry("Region", fdtd.Region, disc),
        Entry("Scene.of", fdtd.Scene.of, filled, allow={"boundaries": ("None",)}),
        Entry(
            "Scene.of, metres", fdtd.Scene.of, {"grid": coarse, "background": GLASS, "objects": [], "boundaries": None}
        ),
    ]


def runs() -> list[Entry]:
    asked = {
        "update": UPDATE,
        "steps": 6,
        "sources": [(SOURCE, PULSE)],
        "probes": [PROBE],
        "transforms": [fdtd.FieldTransform("hz", 1.2 * THZ)],
        "fields": UPDATE.zero_fields(),
        "begin": 0,
        "progress": False,
        "checkpoint_every": 100,
        "checkpoints": 16,
    }
    part = {"component": "hz", "omega": [1.0 * THZ, 1.2 * THZ], "rows": (1, 5), "columns": (0, 3), "stride": 2}
    ring = {"traces": RINGING, "step": 2e-14, "band": (3e12, 5e12), "num_lines": 4, "tolerance": 1e-9, "throw": True}
    profile = {"grid": GRID, "x": 20 * UM, "profile": np.ones(5), "component": "hz"}
    everywhere = {"rows": ("None",), "columns": ("None",), "omega": ("one", "three")}
    recorded = _run(sources=[(SOURCE, PULSE)], probes=[PROBE])
    return [
        Entry(
            "Functional",
            fdtd.Functional,
            {"component": "ey", "corner": (2, 1), "weights": [[1.0, 2.0]]},
            allow={"weights": ("an axis too many",)},
        ),
        Entry("Functional.at", fdtd.Functional.at, {"grid": GRID, "x": 20 * UM, "y": 6 * UM, "component": "ex"}),
        Entry("Functional.across", fdtd.Functional.across, profile),
        Entry(
            "Pulse", fdtd.Pulse, {"omega": 1e13, "width": 3e-13, "centre": 2e-12, "phase": 0.2}, allow=_left("centre")
        ),
        Entry("Pulse()", PULSE, {"t": 1e-12}, allow={"t": ("a matrix", "no numbers")}),
        Entry("Tone", fdtd.Tone, {"omega": 1e13, "rise": 2e-12, "phase": 0.1}),
        Entry("Tone()", TONE, {"t": 1e-12}, allow={"t": ("a matrix", "no numbers")}),
        Entry("FieldTransform", fdtd.FieldTransform, part, allow=everywhere),
        Entry(
            "FieldTransform in a run",
            lambda **given: _run(transforms=[fdtd.FieldTransform(**given)]),
            part,
            allow=everywhere,
            named={"omega": ("stride",)},  # which leaves too few samples of it
            cost=1,
        ),
        Entry(
            "Update.of", fdtd.Update.of, {"scene": SCENE, "step": 1e-15, "dtype": None}, allow=_left("step", "dtype")
        ),
        Entry("energy", fdtd.energy, {"update": UPDATE, "fields": UPDATE.zero_fields()}),
        Entry("propagate", fdtd.propagate, asked, allow=LATER, cost=1),
        Entry(
            "propagate, a function",
            lambda s: _run(sources=[(SOURCE, s)]),
            {"s": lambda t: 1e13 * t},
            named=_sources("s"),
        ),
        Entry(
            "propagate, one probe", lambda probe: _run(probes=[probe]), {"probe": PROBE}, named={"probe": ("probes",)}
        ),
        Entry("Recording.spectrum", recorded.spectrum, {"omega": 1e13}, allow={"omega": ("a matrix",)}),
        Entry("Leapfrog", fdtd.Leapfrog, {"update": UPDATE, "sources": [(SOURCE, PULSE)]}),
        Entry(
            "ring_down",
            fdtd.ring_down,
            ring,
            allow={"traces": ("an axis too many",)},
            named={"step": ("traces",)},  # which last too short a time by it
            cost=1,
        ),
    ]


def frequencies() -> list[Entry]:
    asked = {"update": UPDATE, "omega": 1.2 * THZ, "sources": [(SOURCE, 1.0)], "probes": [PROBE], "throw": True}
    modes = {"update": BOX, "omega": 3.4 * THZ, "num_modes": 1, "max_steps": 12, "throw": True}
    complexes = {"omega": ("complex",)}
    disc = {"update": BOX, "within": (3.4 * THZ, 0.1 * THZ), "max_nodes": 16, "max_seconds": None, "progress": False}
    guided = {"cross_section": GUIDE, "omega": 0.8 * THZ, "num_modes": 3, "step": None, "throw": True}
    band = {"cross_section": GUIDE, "omegas": np.array([0.7, 0.8]) * THZ, "num_modes": 3, "step": None, "throw": True}
    layered = {"layers": LAYERS, "cell": 1 * UM, "bottom": None, "top": fdtd.Sponge(3 * UM)}
    device = {
        "scene": LONG,
        "ports": [fdtd.Port(36 * UM, "+x")],
        "step": None,
        "steps": 50,
        "tolerance": 1e-6,
        "longest": 400,
    }
    fields = DEVICE.fields(2.0 * THZ, [1.0, 0.0])
    found = fdtd.dispersion(GUIDE, np.array([0.7, 0.8]) * THZ)
    return [
        Entry("frequency", fdtd.frequency, asked, allow=complexes, cost=1),
        Entry(
            "frequency, one source",
            _driven,
            {"strength": 1.0},
            allow={"strength": ("complex",)},
            named=_sources("strength"),
        ),
        Entry("resonances", fdtd.resonances, modes, allow=complexes, cost=1),
        Entry("flux", fdtd.flux, {"update": UPDATE, "fields": PHASORS, "x": 9 * UM, "y": (0.0, 9 * UM)}),
        Entry(
            "outflux", fdtd.outflux, {"update": UPDATE, "fields": PHASORS, "x": (3 * UM, 9 * UM), "y": (0.0, 9 * UM)}
        ),
        Entry(
            "absorbed", fdtd.absorbed, {"update": UPDATE, "fields": PHASORS, "omega": 1.2 * THZ, "x": None, "y": None}
        ),
        Entry("stored", fdtd.stored, {"update": UPDATE, "fields": PHASORS, "omega": 1.2 * THZ, "x": None, "y": None}),
        Entry("emitted", fdtd.emitted, {"update": UPDATE, "fields": PHASORS, "sources": [(SOURCE, 1.0)]}),
        Entry(
            "local_density_of_states",
            fdtd.local_density_of_states,
            {"update": UPDATE, "omega": 1.2 * THZ, "x": 9 * UM, "y": 9 * UM, "component": "hz", "throw": True},
            cost=1,
        ),
        Entry("resonances, a disc", fdtd.resonances, disc, allow={"within": ("complex",)}, cost=1),
        Entry("CrossSection.of", fdtd.CrossSection.of, {"scene": LONG, "x": 45 * UM}),
        Entry("layered_guide", fdtd.layered_guide, layered, allow=EITHER_SIDE),
        Entry("guide_modes", fdtd.guide_modes, guided, allow=_left("step"), cost=1),
        Entry("dispersion", fdtd.dispersion, band, allow=_left("step"), cost=1),
        Entry("one_way_bands", found.one_way_bands, {"direction": 1}),
        Entry("Port", fdtd.Port, {"x": 36 * UM, "direction": "+x", "mode": 0}),
        Entry("Simulation", fdtd.Simulation, device, allow=_left("step", "steps")),
        Entry("Simulation.fields", DEVICE.fields, {"omega": 2.0 * THZ, "incoming": [1.0, 0.5]}, cost=1),
        Entry("Simulation.amplitudes", DEVICE.amplitudes, {"omega": 2.0 * THZ, "fields": fields}, cost=1),
        Entry("Simulation.sources", DEVICE.sources, {"port": 0, "waveform": PULSE}, cost=1),
        Entry("port_response", _response, {"omega": 2.0 * THZ}, cost=1),
        Entry(
            "scattering",
            nr.scattering,
            {"model": DEVICE, "omegas": np.array([1.6, 2.4]) * THZ, "throw": True},
            named={"omegas": ("steps",)},  # of which a narrower band's pulse takes more
            cost=1,
        ),
    ]


def forms() -> list[Entry]:
    many = {name: ("a matrix", "complex") for name in ("omega", "ky", "k", "y", "thickness")}
    slab = {"before": GLASS, "layers": LAYERS, "after": GLASS, "omega": 8e12, "ky": 1e4}
    return [
        Entry("voigt_permittivity", closed_forms.voigt_permittivity, {"medium": PLASMA, "omega": 8e12}, allow=many),
        Entry(
            "layer_matrix",
            closed_forms.layer_matrix,
            {"medium": PLASMA, "thickness": 4 * UM, "omega": 8e12, "ky": 1e4},
            allow=many,
        ),
        Entry("slab_scattering", closed_forms.slab_scattering, slab, allow=many),
        Entry(
            "guide_dispersion", closed_forms.guide_dispersion, {"layers": LAYERS, "omega": 8e12, "k": 6e4}, allow=many
        ),
        Entry(
            "guide_wavenumber",
            closed_forms.guide_wavenumber,
            {"layers": [(6 * UM, GLASS)], "omega": 8e12, "guess": 4.1e4, "throw": True},
        ),
        Entry(
            "guide_profile",
            closed_forms.guide_profile,
            {"layers": LAYERS, "omega": 8e12, "k": 6e4, "y": [1 * UM, 8 * UM, 11 * UM]},
            allow={"y": ("an axis too many",), "k": ("complex",)},
        ),
    ]


def pictures() -> list[Entry]:
    built = {"scene": SCENE, "sources": [SOURCE], "probes": [PROBE], "lines": False, "legend": True, "unit": "µm"}
    shown = {"grid": GRID, "values": np.ones(GRID.shape), "scene": SCENE, "phase": 0.3, "limit": None, "unit": "nm"}
    found = fdtd.dispersion(GUIDE, np.array([0.7, 0.8]) * THZ)
    blank = {"scene": ("None",), "limit": ("None",), "values": ("an entry nan",)}
    drawn = {"found": found, "cladding": GLASS, "legend": True}
    return [
        Entry("plot.scene", closed(plot.scene), built, cost=1),
        Entry("plot.field", closed(plot.field), shown, allow=blank, cost=1),
        Entry("plot.dispersion", closed(plot.dispersion), drawn, allow=_left("cladding"), cost=1),
    ]


def cavities() -> list[Entry]:
    made = fdtd.cavity.figure3()
    sizes = {"width": 20 * UM, "height": 35.4 * UM, "offset": 1 * UM, "opening": 0.5 * UM, "opening_at": 27 * UM}
    sizes |= {"wall": 0.1 * UM, "plasma_height": 18 * UM, "filling_height": 12 * UM}
    parts = {"plasma": PLASMA, "filling": GLASS, "end": fdtd.PerfectConductor()}
    cells = {"cell": 1 * UM, "opening_cell": 0.25 * UM, "growth": 1.2}
    meshes = {"cells": [0.1, 0.05, 0.025], "values": [1.1, 1.05, 1.03], "order": 1.0}
    on_top = {**sizes, "opening_at": 60 * UM, "feed": 120 * UM, "sponge": 100 * UM}
    joined = dict.fromkeys(on_top, ("opening_at",))  # which does not lie where the other sizes leave room
    return [
        Entry("cavity.EndCavity", fdtd.cavity.EndCavity, {**parts, **sizes}, named=joined),
        Entry("cavity.TopCavity", fdtd.cavity.TopCavity, {**parts, **on_top}, named=joined),
        Entry("cavity.mesh", made.mesh, cells, named={"opening_cell": ("cell",)}),
        Entry("cavity.figure2", fdtd.cavity.figure2, {"bias": -0.25}),
        Entry("cavity.figure3", fdtd.cavity.figure3, {"bias": -0.25}),
        Entry("cavity.figure4", fdtd.cavity.figure4, {"bias": -0.25}),
        Entry("extrapolate", fdtd.extrapolate, meshes, allow={"order": ("None",)}),
    ]


def entries() -> list[Entry]:
    return [*media(), *scenes(), *runs(), *frequencies(), *forms(), *cavities(), *pictures()]


def _left(*names: str) -> dict[str, tuple[str, ...]]:
    """Arguments that may be left out."""
    return dict.fromkeys(names, ("None",))


def _sources(name: str) -> dict[str, tuple[str, ...]]:
    return {name: ("sources",)}


def _driven(strength: Any) -> Any:
    return fdtd.frequency(UPDATE, 1.2 * THZ, sources=[(SOURCE, strength)])


def _response(omega: Any) -> Any:
    return nr.port_response(DEVICE, nr.Drive(omega), ports=(0,))
