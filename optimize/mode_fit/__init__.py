"""Coupled-mode coefficients from scattering data."""
