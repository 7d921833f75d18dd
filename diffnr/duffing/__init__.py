"""Coupled Duffing oscillators: forced orbits by harmonic balance, their branches, folds and stability."""

from diffnr.duffing.oscillators import (
    AbstractOscillators,
    DuffingPair,
    OscillatorChain,
    PolynomialForce,
    linear_frequencies,
)
from diffnr.duffing.response import FrequencyResponse, Points, frequency_response

__all__ = [
    "AbstractOscillators",
    "DuffingPair",
    "FrequencyResponse",
    "OscillatorChain",
    "Points",
    "PolynomialForce",
    "frequency_response",
    "linear_frequencies",
]
