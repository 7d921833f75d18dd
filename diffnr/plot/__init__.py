"""Figures: S-parameters, fit residuals, maps, surfaces, scenes, fields, waves of guides.

Each takes `ax=None` and returns the Axes.

matplotlib is imported when a function is called, not with this package, and its settings are left as they are:
`style()` holds the look of these figures and gives everything back on leaving.
"""

from diffnr.plot.guides import dispersion
from diffnr.plot.look import BACKWARD as BACKWARD
from diffnr.plot.look import COLOURS as COLOURS
from diffnr.plot.look import FORWARD as FORWARD
from diffnr.plot.look import GREY as GREY
from diffnr.plot.look import style
from diffnr.plot.maps import image, surface
from diffnr.plot.scenes import field, scene
from diffnr.plot.spectra import fit_residual, s_parameters

__all__ = ["dispersion", "field", "fit_residual", "image", "s_parameters", "scene", "style", "surface"]
