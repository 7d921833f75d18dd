"""Cavities that an opening joins to a nonreciprocal guide, on graded meshes that move with their sizes."""

from diffnr.fdtd.cavity.geometry import AbstractCavity, EndCavity, TopCavity
from diffnr.fdtd.cavity.mesh import CavityMesh
from diffnr.fdtd.cavity.published import figure2, figure3, figure4
from diffnr.fdtd.cavity.response import CavityResponse, response

__all__ = [
    "AbstractCavity",
    "CavityMesh",
    "CavityResponse",
    "EndCavity",
    "TopCavity",
    "figure2",
    "figure3",
    "figure4",
    "response",
]
