"""Random passive devices with hidden ports, and S(ω) of matrices in numpy, for the tests of time reversal and ports."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

import diffnr as nr
from diffnr import tcmt


def passive_leaves(seed: int, modes: int, ports: int, hidden: int, *batch: int) -> dict[str, np.ndarray]:
    """Random leaves of a `PassiveModes`, or a batch of them."""
    rng = np.random.default_rng(seed)
    shapes = {"omega": (modes, modes), "D": (ports + hidden, modes, 2), "direct": (ports + hidden, ports, 2)}
    return {name: rng.normal(size=(*batch, *shape)) for name, shape in shapes.items()}


def passive_device(omega: Array, D: Array, direct: Array, **laws: Any) -> tcmt.PassiveModes:
    """The `PassiveModes` of given leaves, inside of transformations too."""
    rows, modes, _ = D.shape
    blank = tcmt.PassiveModes(jnp.zeros(modes), jnp.zeros((rows, modes)), hidden=rows - direct.shape[1], **laws)
    return nr.replace(blank, {"omega": omega, "D": D, "direct": direct})


def scattering(device: tcmt.AbstractCoupledModes | tcmt.Matrices, omegas: np.ndarray) -> np.ndarray:
    """S [frequency, out, in] of a device without laws."""
    matrices = device if isinstance(device, tcmt.Matrices) else device.matrices()
    omega, gamma, C, D, K = (np.asarray(part) for part in matrices)
    A = 1j * omega - gamma
    return np.stack([C + D @ np.linalg.solve(1j * w * np.eye(len(A)) - A, K.T) for w in np.atleast_1d(omegas)])


def real_numbers(matrices: tcmt.Matrices) -> Array:
    """Every real and imaginary part in one vector."""
    return jnp.concatenate([part.ravel() for matrix in matrices for part in (matrix.real, matrix.imag)])
