"""diffnr: differentiable nonreciprocity in JAX."""

from diffnr import duffing, fdtd, metrics, plot, tcmt
from diffnr.data import FieldData
from diffnr.datafiles import read_csv, read_touchstone, write_csv, write_touchstone
from diffnr.parameters import get, paths, replace
from diffnr.ports import AbstractPortModel, Drive, PortResponse, hertz, port_response, scattering
from diffnr.root import RESULTS
from diffnr.storage import load, save

__version__ = "0.1.0"

__all__ = [
    "RESULTS",
    "AbstractPortModel",
    "Drive",
    "FieldData",
    "PortResponse",
    "duffing",
    "fdtd",
    "get",
    "hertz",
    "load",
    "metrics",
    "paths",
    "plot",
    "port_response",
    "read_csv",
    "read_touchstone",
    "replace",
    "save",
    "scattering",
    "tcmt",
    "write_csv",
    "write_touchstone",
]
