"""Entries of what every model shares: drives, responses, metrics, parameters, data."""

import diffnr as nr
from diffnr import tcmt
from tests.fuzz.generator import Entry

PAIR = tcmt.TwoResonators(
    omega=(0.0, 0.0),
    gamma=(3.04, 3.04),
    gamma_0=(0.5, 0.5),
    kappa=3.0,
    loss=tcmt.NonlocalLoss(gamma_k=1.0, mode=1, sensed=0),
)


def entries() -> list[Entry]:
    response = nr.port_response(PAIR, nr.Drive(0.1))
    return [
        Entry(
            "Drive",
            nr.Drive,
            {"omega": 1.0, "amplitude": 1.0},
            allow={"omega": ("a matrix",), "amplitude": ("None", "a matrix")},
        ),
        Entry("port_response", nr.port_response, {"model": PAIR, "drive": nr.Drive(0.1), "ports": (0,), "throw": True}),
        Entry("metrics.isolation", nr.metrics.isolation, {"response": response, "out": 1, "into": 0}),
    ]
