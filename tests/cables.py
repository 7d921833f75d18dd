"""A sharp two-port behind cables, on grids of four kinds."""

import numpy as np

from diffnr.data import FieldData

GRIDS = {
    "even": np.linspace(1.0, 10.0, 401),
    "logarithmic": np.geomspace(1.0, 10.0, 401),
    "segmented": np.concatenate(
        [np.linspace(1, 4, 100, endpoint=False), np.linspace(4, 5, 201), np.linspace(5.1, 10, 100)]
    ),
    "random": np.sort(np.random.default_rng(0).uniform(1.0, 10.0, 401)),
}


def cabled(grid: str, turns: float, noise: float, *, width: float = 4.0, seed: int = 0) -> FieldData:
    """Two sharp resonances of a nonreciprocal two-port, `width` median steps wide, behind cables through which the
    phase of every entry turns by `turns` a median step."""
    rng, omega = np.random.default_rng(seed), GRIDS[grid]
    step = np.median(np.diff(omega))
    poles = 1j * (omega[:, None] - np.array([4.2, 4.7])) + width * step / 2
    residues = np.array([[[0.5, 0.1], [0.6, 0.4]], [[0.3, 0.2j], [0.1, 0.5]]]) * width * step / 2
    s = np.array([[0.2, 0.5], [0.7j, -0.1]]) - np.einsum("fn,noi->foi", 1 / poles, residues)
    s = s * np.exp(-2j * np.pi * turns / step * omega)[:, None, None]
    return FieldData(omega, s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape)))
