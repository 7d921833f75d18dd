"""Coupled Duffing oscillators: forced orbits by harmonic balance, their branches, folds and stability; and in time."""

from diffnr.duffing.branch import OrbitBranch, continue_orbit, frequency_response
from diffnr.duffing.find_orbits import inventory
from diffnr.duffing.one_harmonic import OneHarmonicRestoration, one_harmonic_restoration
from diffnr.duffing.orbit import Orbit, shoot, time_series
from diffnr.duffing.oscillators import (
    AbstractOscillators,
    AllHarmonics,
    DuffingPair,
    OscillatorChain,
    PolynomialForce,
    linear_frequencies,
)
from diffnr.duffing.points import Points
from diffnr.duffing.settle import SteadyState, steady_by_time
from diffnr.duffing.transient import Transient, simulate

__all__ = [
    "AbstractOscillators",
    "AllHarmonics",
    "DuffingPair",
    "OneHarmonicRestoration",
    "Orbit",
    "OrbitBranch",
    "OscillatorChain",
    "Points",
    "PolynomialForce",
    "SteadyState",
    "Transient",
    "continue_orbit",
    "frequency_response",
    "inventory",
    "linear_frequencies",
    "one_harmonic_restoration",
    "shoot",
    "simulate",
    "steady_by_time",
    "time_series",
]
