"""Temporal coupled-mode theory (TCMT): N modes, M ports, nonlocal and nonlinear loss, steady and in time."""

from diffnr.tcmt.active import ActiveModes
from diffnr.tcmt.hamiltonian import effective_coupling, effective_hamiltonian
from diffnr.tcmt.hidden_ports import hide_ports, lossless_dilation
from diffnr.tcmt.junction import cascade_junction
from diffnr.tcmt.loss import (
    AbstractLaw,
    AbstractLoss,
    IdealNonreciprocalCoupling,
    Kerr,
    NonlocalLoss,
    SaturableLoss,
    TwoPhotonLoss,
)
from diffnr.tcmt.modes import (
    AbstractCoupledModes,
    CoupledModes,
    Matrices,
    passivity_margin,
)
from diffnr.tcmt.passive import PassiveModes
from diffnr.tcmt.proximal import ProximalSDIRK
from diffnr.tcmt.resonators import TwoResonators
from diffnr.tcmt.stability import SmallSignal, Stability, has_unique_response, small_signal_response, stability
from diffnr.tcmt.states import SteadyStates, steady_states
from diffnr.tcmt.steady import SteadyState, steady_state
from diffnr.tcmt.time_reversal import (
    TimeBandwidth,
    TimeReversalResiduals,
    reversed_bias,
    time_bandwidth,
    time_reversal_residuals,
)
from diffnr.tcmt.transient import GaussianPulse, Transient, simulate

__all__ = [
    "AbstractCoupledModes",
    "AbstractLaw",
    "AbstractLoss",
    "ActiveModes",
    "CoupledModes",
    "GaussianPulse",
    "IdealNonreciprocalCoupling",
    "Kerr",
    "Matrices",
    "NonlocalLoss",
    "PassiveModes",
    "ProximalSDIRK",
    "SaturableLoss",
    "SmallSignal",
    "Stability",
    "SteadyState",
    "SteadyStates",
    "TimeBandwidth",
    "TimeReversalResiduals",
    "Transient",
    "TwoPhotonLoss",
    "TwoResonators",
    "cascade_junction",
    "effective_coupling",
    "effective_hamiltonian",
    "has_unique_response",
    "hide_ports",
    "lossless_dilation",
    "passivity_margin",
    "reversed_bias",
    "simulate",
    "small_signal_response",
    "stability",
    "steady_state",
    "steady_states",
    "time_bandwidth",
    "time_reversal_residuals",
]
