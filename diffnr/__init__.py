"""diffnr: differentiable nonreciprocity in JAX."""

import lazy_loader

from diffnr.version import __version__ as __version__

# What is exported stands in `__init__.pyi`. Nothing is imported before it is used: `diffnr --help` needs no JAX.
__getattr__, __dir__, _exported = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted(set(_exported) - {"__version__"})  # pyright: ignore[reportUnsupportedDunderAll]
