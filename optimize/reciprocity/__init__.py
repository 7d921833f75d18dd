"""A pair of oscillators driven from either side: reciprocity restored, its loci, and phase nonreciprocity.

The solvers are exported by `optimize`. From here come what shows a restored pair (`responses`, `in_time`) and the parts
of its figure, for examples and for figures of your own.
"""

import lazy_loader

# What is exported stands in `__init__.pyi`, as in `optimize`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
