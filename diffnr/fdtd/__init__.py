"""Maxwell's equations in two dimensions with gyrotropic media, in time: Ex, Ey, Hz and the carriers' current J."""

from diffnr.fdtd import closed_forms
from diffnr.fdtd.dispersion import Dispersion, dispersion
from diffnr.fdtd.ends import AbstractEnd, Bloch, Ends, MatchedLayer, Sponge
from diffnr.fdtd.frequency import SteadyField, frequency
from diffnr.fdtd.functional import Functional
from diffnr.fdtd.grid import Grid
from diffnr.fdtd.guide import CrossSection, GuideModes, Waves, guide_modes, layered_guide
from diffnr.fdtd.leapfrog import Fields, Update, energy
from diffnr.fdtd.media import AbstractMedium, AbstractMetal, Dielectric, GyrotropicDrude, Impedance, PerfectConductor
from diffnr.fdtd.port import Port
from diffnr.fdtd.propagate import Recording, propagate
from diffnr.fdtd.resonance import Resonances, resonances
from diffnr.fdtd.ring_down import RingDown, ring_down
from diffnr.fdtd.scene import AbstractShape, Rectangle, Region, Scene
from diffnr.fdtd.simulation import Simulation
from diffnr.fdtd.solver import Leapfrog
from diffnr.fdtd.transform import FieldTransform
from diffnr.fdtd.waveforms import Pulse, Tone

__all__ = [
    "AbstractEnd",
    "AbstractMedium",
    "AbstractMetal",
    "AbstractShape",
    "Bloch",
    "CrossSection",
    "Dielectric",
    "Dispersion",
    "Ends",
    "FieldTransform",
    "Fields",
    "Functional",
    "Grid",
    "GuideModes",
    "GyrotropicDrude",
    "Impedance",
    "Leapfrog",
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
    "Tone",
    "Update",
    "Waves",
    "closed_forms",
    "dispersion",
    "energy",
    "frequency",
    "guide_modes",
    "layered_guide",
    "propagate",
    "resonances",
    "ring_down",
]
