"""Temporal coupled-mode theory (TCMT): N modes, M ports, nonlocal and nonlinear loss, steady and in time."""

from diffnr.tcmt.hamiltonian import effective_coupling, effective_hamiltonian
from diffnr.tcmt.hidden_ports import hide_ports, with_hidden_ports
from diffnr.tcmt.junction import behind_junction
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
from diffnr.tcmt.passive import PassiveModes, passive_modes
from diffnr.tcmt.proximal import ProximalSDIRK
from diffnr.tcmt.stability import SmallSignal, Stability, small_signal_response, stability, unique
from diffnr.tcmt.steady import SteadyState, steady_state
from diffnr.tcmt.time_reversal import (
    TimeBandwidth,
    TimeReversalResiduals,
    companion,
    time_bandwidth,
    time_reversal_residuals,
)
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
    "PassiveModes",
    "ProximalSDIRK",
    "SaturableLoss",
    "SmallSignal",
    "Stability",
    "SteadyState",
    "TimeBandwidth",
    "TimeReversalResiduals",
    "Transient",
    "TwoResonators",
    "behind_junction",
    "companion",
    "effective_coupling",
    "effective_hamiltonian",
    "hide_ports",
    "passive_modes",
    "passivity_margin",
    "simulate",
    "small_signal_response",
    "stability",
    "steady_state",
    "time_bandwidth",
    "time_reversal_residuals",
    "two_resonators",
    "unique",
    "with_hidden_ports",
]
