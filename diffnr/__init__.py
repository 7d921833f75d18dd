"""diffnr: differentiable nonreciprocity in JAX."""

from diffnr import metrics, tcmt
from diffnr.parameters import get, paths, replace
from diffnr.ports import AbstractPortModel, Drive, PortResponse, hertz, port_response, scattering
from diffnr.root import RESULTS

__version__ = "0.1.0"

__all__ = [
    "RESULTS",
    "AbstractPortModel",
    "Drive",
    "PortResponse",
    "get",
    "hertz",
    "metrics",
    "paths",
    "port_response",
    "replace",
    "scattering",
    "tcmt",
]
