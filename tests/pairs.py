"""Two coupled resonators behind lines, of which every coefficient is known: independent of the library's models."""

from typing import NamedTuple

import numpy as np

from diffnr.data import FieldData

MHZ = 2 * np.pi * 1e6
CENTRE = 2 * np.pi * 5e9


class Pair(NamedTuple):
    """Rates in rad/s, ω from 5 GHz on."""

    omega: np.ndarray = MHZ * np.array([-3.0, 2.0])
    gamma: np.ndarray = MHZ * np.array([4.0, 3.0])
    gamma_0: np.ndarray = MHZ * np.array([1.0, 1.5])
    kappa12: complex = MHZ * 4.0 * np.exp(0.1j)
    kappa21: complex = MHZ * 4.0 * np.exp(0.1j)

    @classmethod
    def biased(cls, bias: float) -> "Pair":
        """κ12(−B) = κ21(B), and ω₁ even: nonreciprocal by 20 log₁₀((1 + .3B)/(1 − .3B)) dB and .4B rad."""
        kappa = MHZ * 4.0 * np.exp(0.1j)
        forward, backward = (kappa * (1 + 0.3 * b) * np.exp(0.2j * b) for b in (bias, -bias))
        return cls(omega=MHZ * np.array([-3.0 + bias**2, 2.0]), kappa12=backward, kappa21=forward)

    @property
    def vector(self) -> np.ndarray:
        """In the order of `ResonatorFit.coefficients`."""
        kappas = [self.kappa12.real, self.kappa12.imag, self.kappa21.real, self.kappa21.imag]
        return np.concatenate([CENTRE + self.omega, self.gamma, self.gamma_0, kappas])

    def s(self, omega: np.ndarray) -> np.ndarray:
        """S [f, 2, 2] at the resonators, by the equations of motion."""
        x = 1j * (omega - CENTRE)[:, None] - 1j * self.omega + self.gamma + self.gamma_0
        det = x[:, 0] * x[:, 1] + self.kappa12 * self.kappa21
        g, mixed = 2 * self.gamma, 2 * np.sqrt(np.prod(self.gamma))
        rows = [g[0] * x[:, 1], 1j * self.kappa12 * mixed, 1j * self.kappa21 * mixed, g[1] * x[:, 0]]
        return (np.stack([row / det for row in np.broadcast_arrays(*rows)], axis=1)).reshape(-1, 2, 2) - np.eye(2)

    def data(self, noise: float, seed: int, *, points: int = 81, given: bool = False, name: str = "") -> FieldData:
        """Measured through lines of 3 and 5 ns that lose 10 and 20 % of the amplitude."""
        rng, omega = np.random.default_rng(seed), CENTRE + MHZ * np.linspace(-30, 30, points)
        lines = np.array([0.9, 0.8]) * np.exp(-1j * omega[:, None] * np.array([3e-9, 5e-9]))
        s = self.s(omega) * lines[:, :, None] * lines[:, None, :]
        s = s + noise * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape))
        return FieldData(omega, s, sigma=noise if given else None, measured=True, name=name)


def apart(fitted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fitted coefficients less the true ones, with the sign of κ that is nearer."""
    flipped = np.concatenate([truth[:6], -truth[6:]])
    return min((np.asarray(fitted) - one for one in (truth, flipped)), key=lambda d: float(np.sum(d[6:] ** 2)))
