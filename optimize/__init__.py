"""optimize: fitting and design on diffnr's models, with optax and optimistix."""

import lazy_loader

# What is exported stands in `__init__.pyi`. Nothing is imported before it is used: `diffnr --help` needs no JAX.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
