"""Coefficients of oscillators from frequency sweeps, up and down."""
