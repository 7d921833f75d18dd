"""Maxwell's equations in two dimensions with gyrotropic media, in time: Ex, Ey, Hz and the carriers' current J."""

from diffnr.fdtd.grid import Grid
from diffnr.fdtd.leapfrog import Fields, Update, energy
from diffnr.fdtd.media import AbstractMedium, Dielectric, GyrotropicDrude, PerfectConductor
from diffnr.fdtd.scene import AbstractShape, Rectangle, Region, Scene

__all__ = [
    "AbstractMedium",
    "AbstractShape",
    "Dielectric",
    "Fields",
    "Grid",
    "GyrotropicDrude",
    "PerfectConductor",
    "Rectangle",
    "Region",
    "Scene",
    "Update",
    "energy",
]
