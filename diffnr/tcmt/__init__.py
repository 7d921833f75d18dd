"""Temporal coupled-mode theory (TCMT): N modes, M ports, nonlocal and nonlinear loss."""

from diffnr.tcmt.hamiltonian import effective_coupling, effective_hamiltonian
from diffnr.tcmt.loss import (
    AbstractLaw,
    AbstractLoss,
    IdealNonreciprocalCoupling,
    KerrLoss,
    NonlocalLoss,
    SaturableLoss,
)
from diffnr.tcmt.modes import (
    AbstractCoupledModes,
    CoupledModes,
    Matrices,
    TwoResonators,
    passivity_margin,
    two_resonators,
)
from diffnr.tcmt.proximal import ProximalSDIRK
from diffnr.tcmt.stability import SmallSignal, Stability, small_signal_response, stability, unique
from diffnr.tcmt.steady import SteadyState, steady_state
from diffnr.tcmt.transient import GaussianPulse, Transient, simulate

__all__ = [
    "AbstractCoupledModes",
    "AbstractLaw",
    "AbstractLoss",
    "CoupledModes",
    "GaussianPulse",
    "IdealNonreciprocalCoupling",
    "KerrLoss",
    "Matrices",
    "NonlocalLoss",
    "ProximalSDIRK",
    "SaturableLoss",
    "SmallSignal",
    "Stability",
    "SteadyState",
    "Transient",
    "TwoResonators",
    "effective_coupling",
    "effective_hamiltonian",
    "passivity_margin",
    "simulate",
    "small_signal_response",
    "stability",
    "steady_state",
    "two_resonators",
    "unique",
]
