"""Figures: S-parameters, fit residuals, maps, surfaces, branches and loci, scenes, fields, waves of guides.

Each takes `ax=None` and returns the Axes.

matplotlib is imported when a function is called, not with this package, and its settings are left as they are:
`style()` holds the look of these figures and gives everything back on leaving. `FORWARD` and `BACKWARD` are the colours
of the two directions, `GREY` that of what is beside the point, `COLOURS` all of them.
"""

from diffnr.plot.branches import branch
from diffnr.plot.guides import dispersion
from diffnr.plot.look import BACKWARD, COLOURS, FORWARD, GREY, style
from diffnr.plot.maps import image, surface
from diffnr.plot.scenes import field, scene
from diffnr.plot.spectra import fit_residual, s_parameters

__all__ = [
    "BACKWARD",
    "COLOURS",
    "FORWARD",
    "GREY",
    "branch",
    "dispersion",
    "field",
    "fit_residual",
    "image",
    "s_parameters",
    "scene",
    "style",
    "surface",
]
