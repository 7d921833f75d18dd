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
from diffnr.tcmt.steady import SteadyState, steady_state

__all__ = [
    "AbstractCoupledModes",
    "AbstractLaw",
    "AbstractLoss",
    "CoupledModes",
    "IdealNonreciprocalCoupling",
    "KerrLoss",
    "Matrices",
    "NonlocalLoss",
    "SaturableLoss",
    "SteadyState",
    "TwoResonators",
    "effective_coupling",
    "effective_hamiltonian",
    "passivity_margin",
    "steady_state",
    "two_resonators",
]
