"""optimize: fitting and design on diffnr's models, with optax and optimistix."""

from optimize import objectives
from optimize.fit import Fit, fit
from optimize.fit_modes import fit_modes
from optimize.isolation import Design, maximise_contrast, maximise_isolation, minimise_insertion_loss
from optimize.minimise import Minimum, minimise
from optimize.mode_fit import ModeCoefficients, ModeFit
from optimize.oscillator_fit import fit_oscillators
from optimize.phase_design import PhaseDesign, design_nonreciprocal_phase
from optimize.phase_locus import PhaseNonreciprocityLocus, ReciprocalPoints, phase_nonreciprocity_locus
from optimize.phase_nonreciprocity import EqualNormPoints, equal_norm_points
from optimize.reciprocity import Restoration, restore_reciprocity
from optimize.reciprocity_locus import ReciprocityLocus, reciprocity_level, reciprocity_locus
from optimize.scenarios import Assessment, assess
from optimize.sweeps import Sweep
from optimize.swept_fit import Jumps, OscillatorFit
from optimize.swept_oscillators import SweptOscillators
from optimize.transforms import Interval, Parametrisation, Positive, Scaled, parametrise

__all__ = [
    "Assessment",
    "Design",
    "EqualNormPoints",
    "Fit",
    "Interval",
    "Jumps",
    "Minimum",
    "ModeCoefficients",
    "ModeFit",
    "OscillatorFit",
    "Parametrisation",
    "PhaseDesign",
    "PhaseNonreciprocityLocus",
    "Positive",
    "ReciprocalPoints",
    "ReciprocityLocus",
    "Restoration",
    "Scaled",
    "Sweep",
    "SweptOscillators",
    "assess",
    "design_nonreciprocal_phase",
    "equal_norm_points",
    "fit",
    "fit_modes",
    "fit_oscillators",
    "maximise_contrast",
    "maximise_isolation",
    "minimise",
    "minimise_insertion_loss",
    "objectives",
    "parametrise",
    "phase_nonreciprocity_locus",
    "reciprocity_level",
    "reciprocity_locus",
    "restore_reciprocity",
]
