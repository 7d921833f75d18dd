"""Entries of coupled modes: models, laws, steady states, transients, stability, time reversal."""

import jax.numpy as jnp
import numpy as np

from diffnr import tcmt
from tests.fuzz.generator import Entry

LAW = tcmt.NonlocalLoss(gamma_k=1.0, mode=1, sensed=0)
TERM = tcmt.IdealNonreciprocalCoupling(0.5, 1, 0)
RATES = {"omega": np.zeros(2), "gamma": np.full(2, 3.04), "gamma_0": np.full(2, 0.5), "kappa": 3.0}
PAIR = tcmt.TwoResonators(**RATES, loss=LAW)
LINEAR = tcmt.TwoResonators(**RATES)
ONE = tcmt.CoupledModes([0.0], [[1.0], [0.6]], gamma_i=[0.1])
NONE = ("None",)


def entries() -> list[Entry]:
    state = tcmt.steady_state(PAIR, 0.1, [1.0, 0.5j])
    coupled = {
        "omega": np.array([0.0, 1.0]),
        "D": np.array([[0.7, 0.1], [0.2, 0.9]]),
        "C": -np.eye(2),
        "gamma_i": np.array([0.1, 0.2]),
        "loss": (LAW,),
        "terms": (TERM,),
        "lossless": False,
        "active": False,
    }
    return [
        Entry("TwoResonators", tcmt.TwoResonators, {**RATES, "loss": LAW, "terms": TERM}),
        Entry(
            "CoupledModes",
            tcmt.CoupledModes,
            coupled,
            allow={"C": NONE, "gamma_i": NONE, "omega": NONE},
        ),
        Entry(
            "CoupledModes, K",
            tcmt.CoupledModes,
            {"omega": np.array([0.0, 1.0]), "D": np.eye(2), "K": np.eye(2)},
            allow={"K": NONE},
        ),
        Entry(
            "PassiveModes",
            tcmt.PassiveModes,
            {"omega": np.array([0.7]), "D": np.array([[1.5], [0.9]]), "C": np.array([[1.0]]), "hidden": 1, "loss": ()},
            allow={"C": NONE, "omega": ("an axis too many",)},
        ),
        Entry(
            "ActiveModes",
            tcmt.ActiveModes,
            {"omega": np.array([0.0, 1.0]), "D": np.eye(2), "C": np.eye(2), "K": np.eye(2), "gamma_i": np.zeros(2)},
            allow={"C": NONE, "K": NONE, "gamma_i": NONE, "omega": NONE},
        ),
        Entry(
            "PassiveModes.of",
            tcmt.PassiveModes.of,
            {"model": ONE, "hidden": 2},
            allow={"hidden": NONE},
            named={"hidden": ("model",)},
        ),
        Entry(
            "NonlocalLoss",
            tcmt.NonlocalLoss,
            {"gamma_k": 1.0, "mode": 1, "sensed": 0, "epsilon": 1e-3},
            allow={"epsilon": NONE},
        ),
        Entry("TwoPhotonLoss", tcmt.TwoPhotonLoss, {"coefficient": 1.0, "mode": 1}),
        Entry("SaturableLoss", tcmt.SaturableLoss, {"coefficient": 1.0, "mode": 1, "saturation": 2.0}),
        Entry("IdealNonreciprocalCoupling", tcmt.IdealNonreciprocalCoupling, {"gamma_k": 1.0, "mode": 1, "sensed": 0}),
        Entry("Kerr", tcmt.Kerr, {"chi": 1.0, "mode": 1}),
        Entry("passivity_margin", tcmt.passivity_margin, {"model": ONE}),
        Entry(
            "steady_state",
            tcmt.steady_state,
            {
                "model": PAIR,
                "omega": 0.1,
                "s_plus": np.array([1.0, 0.5j]),
                "guess": np.array([0.3, 0.1j]),
                "at": "first",
                "throw": True,
                "allow_unstable": False,
            },
            allow={"guess": NONE},
        ),
        Entry(
            "steady_states",
            tcmt.steady_states,
            {"model": LINEAR, "omega": 0.1, "s_plus": np.array([1.0, 0.5j]), "starts": 4, "most": 2, "throw": True},
        ),
        Entry("stability", tcmt.stability, {"model": PAIR, "state": state, "throw": True}),
        Entry("has_unique_response", tcmt.has_unique_response, {"model": PAIR}),
        Entry(
            "small_signal_response",
            tcmt.small_signal_response,
            {"model": PAIR, "state": state, "detuning": 0.2, "throw": True},
        ),
        Entry(
            "effective_hamiltonian",
            tcmt.effective_hamiltonian,
            {"model": PAIR, "omega": 0.1, "port": 0, "amplitude": 1.0},
        ),
        Entry(
            "effective_coupling",
            tcmt.effective_coupling,
            {"model": PAIR, "omega": 0.1, "out": 1, "into": 0, "amplitude": 1.0},
        ),
        Entry("hide_ports", tcmt.hide_ports, {"model": ONE, "keep": (1,)}),
        Entry("lossless_dilation", tcmt.lossless_dilation, {"model": ONE}),
        Entry(
            "cascade_junction",
            tcmt.cascade_junction,
            {
                "model": ONE,
                "junction": np.array([[0.6, 0.8j], [0.8j, 0.6]]),
                "port": 1,
                "phase_out": 0.3,
                "phase_in": 0.2,
            },
        ),
        Entry("reversed_bias", tcmt.reversed_bias, {"model": ONE}),
        Entry(
            "time_reversal_residuals",
            tcmt.time_reversal_residuals,
            {"model": ONE, "reversed_model": ONE},
            allow={"reversed_model": NONE},
        ),
        Entry("time_bandwidth", tcmt.time_bandwidth, {"model": ONE}),
        Entry("GaussianPulse", tcmt.GaussianPulse, {"amplitude": np.array([1.0, 0.0]), "centre": 10.0, "width": 2.0}),
        Entry(
            "simulate",
            tcmt.simulate,
            {
                "model": LINEAR,
                "s_plus": lambda t: jnp.array([jnp.exp(-((t - 1.0) ** 2)), 0.0]),
                "ts": np.linspace(0.0, 2.0, 5),
                "a0": np.array([0.1, 0.2j]),
                "omega": 0.0,
                "rtol": 1e-6,
                "max_steps": 4096,
                "throw": True,
            },
            allow={"a0": NONE, "rtol": NONE},
            cost=1,
        ),
        Entry(
            "simulate, samples",
            tcmt.simulate,
            {"model": LINEAR, "s_plus": np.ones((5, 2)), "ts": np.linspace(0.0, 2.0, 5)},
            cost=1,
        ),
        Entry(
            "simulate, solver",
            tcmt.simulate,
            {
                "model": LINEAR,
                "s_plus": np.ones(2),
                "ts": np.linspace(0.0, 2.0, 5),
                "solver": None,
                "adjoint": None,
            },
            free=("model", "s_plus", "ts"),
        ),
    ]
