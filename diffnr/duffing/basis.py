"""The real Fourier basis in which periodic orbits are balanced."""

from __future__ import annotations

import functools
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float


class Basis(eqx.Module):
    """The real Fourier basis of an orbit: its harmonics, and the transforms to and from instants.

    **Fields:** `orders`, the harmonics of the orbit's own frequency, which is the drive's over `periods`; `harmonics`,
    those of the drive; `terms` [m], the harmonic of each coefficient; `phase` [s], the drive's at the instants;
    `synthesis` [s, m], coefficients to values at instants; `analysis` [m, s], back; `derivative` [m, m], by τ;
    `product` [s, m·m], values k of a stiffness at instants to the matrix of y -> analysis (k · synthesis y). All are
    constants of the code.

    Odd orbits obey x(τ + π) = −x(τ): half of a period tells all. The product of three harmonics up to H reaches 3H, and
    4H + 2 instants a period keep that off the harmonics kept, so that cubic forces are exact.
    """

    orders: tuple[int, ...] = eqx.field(static=True)
    instants: int = eqx.field(static=True)
    odd: bool = eqx.field(static=True)
    periods: float = eqx.field(static=True, default=1.0)

    @classmethod
    def of(cls, highest: int, *, odd: bool, periods: float = 1.0, instants: int | None = None) -> Basis:
        """The basis of harmonics of the drive up to `highest`, of orbits that close after so many of its periods; with
        at least so many `instants` a period of the drive."""
        highest = int(highest * periods)
        orders = tuple(range(1, highest + 1, 2)) if odd else tuple(range(highest + 1))
        least = 0 if instants is None else math.ceil(instants * periods / (2 if odd else 1))
        return cls(orders, max(2 * highest + 1 if odd else 4 * highest + 2, least), odd, periods)

    @property
    def harmonics(self) -> tuple[Any, ...]:
        """The harmonics of the drive, whole numbers where they are."""
        shares = [order / self.periods for order in self.orders]
        return tuple(int(share) if share == int(share) else share for share in shares)

    @property
    def size(self) -> int:
        """The number m of coefficients of an oscillator."""
        return self.terms.size

    @property
    def terms(self) -> np.ndarray:
        return _tables(self)[0]

    @property
    def phase(self) -> np.ndarray:
        """The phase of the drive at the instants, [s]."""
        return np.arange(self.instants) * (np.pi if self.odd else 2 * np.pi) * self.periods / self.instants

    @property
    def weights(self) -> np.ndarray:
        """Of squared coefficients in the mean square over a period, [m]."""
        return np.where(self.terms == 0, 1.0, 0.5)

    @property
    def synthesis(self) -> np.ndarray:
        return _tables(self)[1]

    @property
    def analysis(self) -> np.ndarray:
        return _tables(self)[2]

    @property
    def derivative(self) -> np.ndarray:
        return _tables(self)[3]

    @property
    def product(self) -> np.ndarray:
        return _tables(self)[4]

    def at(self, tau: Float[ArrayLike, " instant"]) -> Float[Array, "instant m"]:
        """The synthesis matrix of other phases τ of the drive, [instant, m]."""
        phase = jnp.asarray(tau)[:, None] * np.asarray([h for h in self.harmonics if h > 0])
        waves = jnp.stack([jnp.cos(phase), jnp.sin(phase)], axis=-1).reshape(phase.shape[0], -1)
        return waves if self.odd else jnp.concatenate([jnp.ones_like(waves[:, :1]), waves], axis=1)

    def phasors(self, y: Float[Array, "oscillator m"]) -> Complex[Array, "oscillator harmonic"]:
        """X_h of real coefficients."""
        mean, waves = (y[:, :0], y) if self.odd else (y[:, :1], y[:, 1:])
        return jnp.concatenate([mean + 0j, waves[:, ::2] - 1j * waves[:, 1::2]], axis=1)

    def coefficients(self, X: Complex[Array, "oscillator harmonic"]) -> Float[Array, "oscillator m"]:
        """Real coefficients of X_h."""
        mean, waves = (X[:, :0], X) if self.odd else (X[:, :1], X[:, 1:])
        pairs = jnp.stack([waves.real, -waves.imag], axis=-1).reshape(X.shape[0], -1)
        return jnp.concatenate([mean.real, pairs], axis=1)


@functools.cache
def _tables(basis: Basis) -> tuple[np.ndarray, ...]:
    orders = [h for h in basis.harmonics if h > 0]
    phase = basis.phase[:, None] * np.asarray(orders)
    waves = np.stack([np.cos(phase), np.sin(phase)], axis=-1).reshape(basis.instants, -1)
    terms = np.repeat(orders, 2)
    derivative = np.kron(np.diag(orders), np.array([[0.0, 1.0], [-1.0, 0.0]]))
    norm = np.full(terms.size, 2.0)
    if not basis.odd:
        waves, terms = np.hstack([np.ones((basis.instants, 1)), waves]), np.append(0, terms)
        derivative, norm = np.pad(derivative, ((1, 0), (1, 0))), np.append(1.0, norm)
    analysis = norm[:, None] * waves.T / basis.instants
    product = (waves[:, None] * analysis.T[:, :, None]).reshape(basis.instants, -1)
    return terms, waves, analysis, derivative, product
