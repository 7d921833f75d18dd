"""Field data: S-parameters and stored energy over frequency, simulated or measured, and what they say of themselves."""

from diffnr.data.field_data import FieldData as FieldData
from diffnr.data.field_data import entry_name as entry_name
from diffnr.data.field_data import name_of_entry as name_of_entry
from diffnr.data.noise import noise_estimate, rounding_step
from diffnr.data.noise import numbers_of as numbers_of
from diffnr.data.plausibility import Causality, causality, real_valued, suspicions
from diffnr.data.power_data import PowerData as PowerData
from diffnr.data.verdicts import FEWEST as FEWEST
from diffnr.data.verdicts import Passivity, Reciprocity, passivity, reciprocity
from diffnr.data.verdicts import mean_noise as mean_noise
from diffnr.data.verdicts import passivity_beside as passivity_beside

# `FieldData` and `PowerData` are here too, but a user has them from `diffnr`.
__all__ = [
    "Causality",
    "Passivity",
    "Reciprocity",
    "causality",
    "noise_estimate",
    "passivity",
    "real_valued",
    "reciprocity",
    "rounding_step",
    "suspicions",
]
