"""optimize: fitting and design on diffnr's models, with optax and optimistix."""

from optimize import objectives
from optimize.fit import Fit, fit
from optimize.fit_modes import fit_modes
from optimize.isolation import Design, maximise_contrast, maximise_isolation, minimise_insertion_loss
from optimize.minimise import Minimum, minimise
from optimize.mode_fit import ModeCoefficients, ModeFit
from optimize.scenarios import Assessment, assess
from optimize.transforms import Interval, Parametrisation, Positive, Scaled, parametrise

__all__ = [
    "Assessment",
    "Design",
    "Fit",
    "Interval",
    "Minimum",
    "ModeCoefficients",
    "ModeFit",
    "Parametrisation",
    "Positive",
    "Scaled",
    "assess",
    "fit",
    "fit_modes",
    "maximise_contrast",
    "maximise_isolation",
    "minimise",
    "minimise_insertion_loss",
    "objectives",
    "parametrise",
]
