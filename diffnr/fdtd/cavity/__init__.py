"""Cavities that an opening joins to a nonreciprocal guide, on graded meshes that move with their sizes."""

from diffnr.fdtd.cavity.geometry import AbstractCavity, EndCavity, TopCavity
from diffnr.fdtd.cavity.mesh import CavityMesh
from diffnr.fdtd.cavity.published import figure2, figure3, figure4

__all__ = ["AbstractCavity", "CavityMesh", "EndCavity", "TopCavity", "figure2", "figure3", "figure4"]
