"""Field data: S-parameters and stored energy over frequency, simulated or measured, and what they say of themselves."""

from diffnr.data.field_data import FieldData as FieldData
from diffnr.data.field_data import entry_name as entry_name
from diffnr.data.noise import noise_estimate, rounding_step
from diffnr.data.verdicts import Passivity, Reciprocity, passivity, reciprocity

# `FieldData` is here too, but a user has it from `diffnr`.
__all__ = ["Passivity", "Reciprocity", "noise_estimate", "passivity", "reciprocity", "rounding_step"]
