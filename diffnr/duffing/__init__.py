"""Coupled Duffing oscillators: forced orbits by harmonic balance, their branches, folds and stability; and in time."""

from diffnr.duffing.backbones import Backbone, backbone
from diffnr.duffing.branch import OrbitBranch, continue_orbit
from diffnr.duffing.branch_switching import branch_off
from diffnr.duffing.chain import OscillatorChain, PolynomialForce
from diffnr.duffing.find_orbits import FoundOrbits, find_orbits
from diffnr.duffing.forcing import BaseMotion
from diffnr.duffing.loci import bifurcation_locus
from diffnr.duffing.locus import BifurcationLocus
from diffnr.duffing.modulated import ModulatedOscillators
from diffnr.duffing.network import OscillatorNetwork
from diffnr.duffing.one_harmonic import OneHarmonicRestoration, one_harmonic_restoration
from diffnr.duffing.orbit import Orbit, shoot, time_series
from diffnr.duffing.oscillators import (
    AbstractOscillators,
    AllHarmonics,
    DuffingPair,
    linear_frequencies,
)
from diffnr.duffing.parametric import ParametricThreshold, parametric_threshold
from diffnr.duffing.points import Points
from diffnr.duffing.response import frequency_response
from diffnr.duffing.settle import SettledOrbit, settle
from diffnr.duffing.sidebands import Fundamental, ModulatedResponse, modulated_response
from diffnr.duffing.smoothness import Clearance
from diffnr.duffing.transient import Motion, simulate

__all__ = [
    "AbstractOscillators",
    "AllHarmonics",
    "Backbone",
    "BaseMotion",
    "BifurcationLocus",
    "Clearance",
    "DuffingPair",
    "FoundOrbits",
    "Fundamental",
    "ModulatedOscillators",
    "ModulatedResponse",
    "Motion",
    "OneHarmonicRestoration",
    "Orbit",
    "OrbitBranch",
    "OscillatorChain",
    "OscillatorNetwork",
    "ParametricThreshold",
    "Points",
    "PolynomialForce",
    "SettledOrbit",
    "backbone",
    "bifurcation_locus",
    "branch_off",
    "continue_orbit",
    "find_orbits",
    "frequency_response",
    "linear_frequencies",
    "modulated_response",
    "one_harmonic_restoration",
    "parametric_threshold",
    "settle",
    "shoot",
    "simulate",
    "time_series",
]
