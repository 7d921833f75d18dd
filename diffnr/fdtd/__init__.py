"""Maxwell's equations in two dimensions with gyrotropic media, in time: Ex, Ey, Hz and the carriers' current J."""

from diffnr.fdtd.functional import Functional
from diffnr.fdtd.grid import Grid
from diffnr.fdtd.leapfrog import Fields, Update, energy
from diffnr.fdtd.media import AbstractMedium, Dielectric, GyrotropicDrude, PerfectConductor
from diffnr.fdtd.propagate import Pulse, Recording, propagate
from diffnr.fdtd.scene import AbstractShape, Rectangle, Region, Scene

__all__ = [
    "AbstractMedium",
    "AbstractShape",
    "Dielectric",
    "Fields",
    "Functional",
    "Grid",
    "GyrotropicDrude",
    "PerfectConductor",
    "Pulse",
    "Recording",
    "Rectangle",
    "Region",
    "Scene",
    "Update",
    "energy",
    "propagate",
]
