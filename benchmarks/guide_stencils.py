"""By how much k of paper 3's guide is off on other stencils of second order: where the carriers' current may live.

Without loss and at one frequency, exact in time, so that only the stencil across and along the guide errs. The currents
live at cells' centres (diffnr's step), at nodes, or on the edges of E, joined by means, as Yee's scheme would have it;
all of them conserve energy. Errors against k of paper 3's dispersion, its closed form, in percent.

    python benchmarks/guide_stencils.py
"""

from collections.abc import Callable

import numpy as np
from report import heading, table

from diffnr.fdtd.scene.media import LIGHT

UM, THZ = 1e-6, 2e12 * np.pi
OMEGA_P, PLASMA, SILICON = 4e12 * np.pi, 15.6, 11.68
HEIGHT, INTERFACE = 30 * UM, 18 * UM
# Frequency (THz), ω_c/ω_p, and the closed form's k (rad/m).
WAVES = {
    "k+ at 1 THz": (1.0, -0.25, 89105.337),
    "k+ at 1.24 THz": (1.24, -0.25, 116167.561),
    "unbiased, 1.4 THz": (1.4, 0.0, 199017.38),
    "k− at 1.24 THz": (1.24, -0.25, -257758.729),
}

Means = tuple[np.ndarray, np.ndarray, np.ndarray]  # of Ex and of Ey where a current lives, and its share of plasma


def at_centres(plasma: np.ndarray, across: np.ndarray, turn: complex) -> Means:
    return across, turn * np.eye(plasma.size), plasma


def at_nodes(plasma: np.ndarray, across: np.ndarray, turn: complex) -> Means:
    n = plasma.size
    halves = (
        np.pad(plasma / 2, (0, 1))[:, None] * np.eye(n + 1, n),
        np.pad(plasma / 2, (1, 0))[:, None] * np.eye(n + 1, n, -1),
    )
    shares = halves[0] + halves[1]
    total = np.sum(shares, axis=1)
    return turn * np.eye(n + 1, n - 1, -1), shares / np.where(total > 0, total, 1.0)[:, None], total


def susceptibility(
    means: Callable[..., Means], *parts: np.ndarray | complex, omega: float, gyration: float
) -> np.ndarray:
    """Of collocated currents: what E gives them, and they give back by the same means."""
    of_ex, of_ey, share = means(*parts)
    one = np.linalg.inv(1j * omega * np.array([[1j * omega, gyration], [-gyration, 1j * omega]]))
    both = np.block([[of_ex, np.zeros_like(of_ey)], [np.zeros_like(of_ex), of_ey]])
    return both.T @ np.kron(one, np.diag(share)) @ both


def on_edges(plasma: np.ndarray, across: np.ndarray, turn: complex, *, omega: float, gyration: float) -> np.ndarray:
    """Of currents on the edges of E, which gyration joins by means."""
    shares = np.concatenate([across.T @ plasma, plasma])
    joined = turn * across.T * plasma
    top = np.zeros((joined.shape[0],) * 2), gyration * joined
    rotation = np.block([[*top], [-gyration * joined.T, np.zeros((plasma.size,) * 2)]])
    moving = np.where(shares > 0, shares, 1.0)
    return np.diag(shares) @ np.linalg.solve(
        1j * omega * np.diag(1j * omega * moving) + 1j * omega * rotation, np.diag(shares)
    )


STENCILS = {
    "centres": lambda *parts, **numbers: susceptibility(at_centres, *parts, **numbers),
    "nodes": lambda *parts, **numbers: susceptibility(at_nodes, *parts, **numbers),
    "edges": on_edges,
}


def system(stencil: str, k: complex, cell: float, width: float, omega: float, bias: float) -> np.ndarray:
    """M of M E = 0, with Ex on inner lines and Ey between them, for fields e^{iωt − ikx}; `width` of cells along x."""
    n = round(HEIGHT / cell)
    plasma = (np.arange(n) < round(INTERFACE / cell)).astype(float)
    eps = np.where(plasma > 0, PLASMA, SILICON)
    across = (np.eye(n, n - 1) + np.eye(n, n - 1, -1)) / 2
    rise = (np.eye(n, n - 1) - np.eye(n, n - 1, -1)) / cell
    slope = -2j * np.sin(k * width / 2) / width
    chi = STENCILS[stencil](plasma, across, np.cos(k * width / 2), omega=omega, gyration=bias * OMEGA_P)
    permittivity = np.diag(np.concatenate([across.T @ eps, eps])) + PLASMA * OMEGA_P**2 * chi
    curl = np.hstack([rise, -slope * np.eye(n)])
    back = np.vstack([-rise.T, -slope * np.eye(n)])
    return (omega / LIGHT) ** 2 * permittivity + back @ curl


def wavenumber(stencil: str, cell: float, width: float, f: float, bias: float, guess: float) -> float:
    """k by Newton's method on the smallest singular value."""
    at = lambda k: system(stencil, k, cell, width, f * THZ, bias)  # noqa: E731
    k = complex(guess)
    for _ in range(60):
        left, sizes, right = np.linalg.svd(at(k))
        h = 1e-6 * k
        slope = left[:, -1].conj() @ (at(k + h) - at(k - h)) @ right[-1].conj() / (2 * h)
        step = sizes[-1] / slope
        step *= min(1.0, 0.03 * abs(k) / abs(step))
        k -= step
        if abs(step) < 1e-9 * abs(k):
            return k.real
    return np.nan


def main() -> None:
    rows = []
    for stencil in STENCILS:
        for cell, width in ((0.5, 0.5), (0.5, 1e-4), (0.25, 0.25), (0.125, 0.125)):
            errors = [
                100 * (wavenumber(stencil, cell * UM, width * UM, f, bias, k) / k - 1) for f, bias, k in WAVES.values()
            ]
            cells = f"{cell} µm" if width == cell else f"{cell} µm, along x → 0"
            rows.append([f"{stencil}, {cells}", *(f"{error:+.3f}" for error in errors)])
    print(heading("Stencils of the guide", "python benchmarks/guide_stencils.py"))
    print(table(["J at, cells of", *(f"{name} (%)" for name in WAVES)], rows))


if __name__ == "__main__":
    main()
