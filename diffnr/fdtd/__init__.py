"""Maxwell's equations in two dimensions with gyrotropic media, in time: Ex, Ey, Hz and the carriers' current J."""

from diffnr.fdtd import cavity, closed_forms
from diffnr.fdtd.extrapolate import Extrapolated, extrapolate
from diffnr.fdtd.frequency_domain.frequency import SteadyField, frequency
from diffnr.fdtd.frequency_domain.power import (
    Absorbed,
    LocalDensity,
    absorbed,
    emitted,
    flux,
    local_density_of_states,
    outflux,
    stored,
)
from diffnr.fdtd.frequency_domain.resonance import Resonances, resonances
from diffnr.fdtd.guides.cross_section import CrossSection, layered_guide
from diffnr.fdtd.guides.dispersion import Dispersion, dispersion
from diffnr.fdtd.guides.guide import GuideModes, Waves, guide_modes
from diffnr.fdtd.guides.port import Port
from diffnr.fdtd.guides.simulation import Simulation
from diffnr.fdtd.scene.boundaries import AbstractBoundary, Bloch, Boundaries, MatchedLayer, Sponge
from diffnr.fdtd.scene.grid import Grid
from diffnr.fdtd.scene.media import (
    AbstractMedium,
    AbstractMetal,
    Dielectric,
    GyrotropicDrude,
    PerfectConductor,
    SurfaceImpedance,
)
from diffnr.fdtd.scene.scene import Scene
from diffnr.fdtd.scene.shapes import AbstractShape, Rectangle, Region
from diffnr.fdtd.time_domain.field_energy import energy
from diffnr.fdtd.time_domain.functional import Functional
from diffnr.fdtd.time_domain.leapfrog import Fields, Update
from diffnr.fdtd.time_domain.propagate import Recording, propagate
from diffnr.fdtd.time_domain.ring_down import RingDown, ring_down
from diffnr.fdtd.time_domain.solver import Leapfrog
from diffnr.fdtd.time_domain.transform import FieldTransform
from diffnr.fdtd.time_domain.waveforms import Pulse, Tone

__all__ = [
    "Absorbed",
    "AbstractBoundary",
    "AbstractMedium",
    "AbstractMetal",
    "AbstractShape",
    "Bloch",
    "Boundaries",
    "CrossSection",
    "Dielectric",
    "Dispersion",
    "Extrapolated",
    "FieldTransform",
    "Fields",
    "Functional",
    "Grid",
    "GuideModes",
    "GyrotropicDrude",
    "Leapfrog",
    "LocalDensity",
    "MatchedLayer",
    "PerfectConductor",
    "Port",
    "Pulse",
    "Recording",
    "Rectangle",
    "Region",
    "Resonances",
    "RingDown",
    "Scene",
    "Simulation",
    "Sponge",
    "SteadyField",
    "SurfaceImpedance",
    "Tone",
    "Update",
    "Waves",
    "absorbed",
    "cavity",
    "closed_forms",
    "dispersion",
    "emitted",
    "energy",
    "extrapolate",
    "flux",
    "frequency",
    "guide_modes",
    "layered_guide",
    "local_density_of_states",
    "outflux",
    "propagate",
    "resonances",
    "ring_down",
    "stored",
]
