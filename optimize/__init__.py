"""optimize: fitting and design on diffnr's models, with optax and optimistix."""

from optimize.transforms import Interval, Parametrisation, Positive, Scaled, parametrise

__all__ = ["Interval", "Parametrisation", "Positive", "Scaled", "parametrise"]
