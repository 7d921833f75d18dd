"""What sources do in time."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffnr.checks import Numbers, as_real, is_concrete, require


class Pulse(eqx.Module):
    """A Gaussian pulse cos(ω(t − t0) + φ) e^{−(t − t0)²/(2τ²)}.

    **Arguments:** `omega`: ω, rad/s; `width`: τ in s, positive: the spectrum falls by e^{−1/2} at ω ± 1/τ; `centre`: t0
    in s, default 5 τ, so that it begins at 4·10⁻⁶; `phase`: φ.

    **Notes:** with ωτ of 6 and more it leaves no static charge where absorbers are graded.
    """

    omega: Float[Array, ""]
    width: Float[Array, ""]
    centre: Float[Array, ""]
    phase: Float[Array, ""]

    def __init__(self, omega: Numbers, width: Numbers, centre: Numbers | None = None, phase: Numbers = 0.0):
        self.omega, self.width = as_real(omega, "omega"), as_real(width, "width")
        self.centre = 5 * self.width if centre is None else as_real(centre, "centre")
        self.phase = as_real(phase, "phase")

    def __check_init__(self) -> None:
        require(not is_concrete(self.width) or bool(self.width > 0), "width", "be positive", self.width)

    def __call__(self, t: Float[Array, ""]) -> Float[Array, ""]:
        late = t - self.centre
        return jnp.cos(self.omega * late + self.phase) * jnp.exp(-(late**2) / (2 * self.width**2))


class HermitePulses(eqx.Module):
    """A pulse times the Hermite polynomials He_n((t − t0)/τ), n = 0, 1, …, in phase and then in quadrature, [2 terms].

    Their spectra around ω are the pulse's times (−iτ (ω′ − ω))^n.
    """

    pulse: Pulse
    terms: int = eqx.field(static=True)

    @property
    def omega(self) -> Float[Array, ""]:
        """ω in rad/s."""
        return self.pulse.omega

    def __call__(self, t: Float[Array, ""]) -> Float[Array, " term"]:
        u = (t - self.pulse.centre) / self.pulse.width
        polynomials = [jnp.ones_like(u), u]
        for n in range(1, self.terms):
            polynomials.append(u * polynomials[n] - n * polynomials[n - 1])
        ahead = eqx.tree_at(lambda p: p.phase, self.pulse, self.pulse.phase + jnp.pi / 2)
        return jnp.concatenate([jnp.stack(polynomials[: self.terms]) * beat(t) for beat in (self.pulse, ahead)])


class Tone(eqx.Module):
    """A tone cos(ωt + φ) that rises as sin² over a time and then stays.

    **Arguments:** `omega`: ω, rad/s; `rise`: in s, positive, ten periods and more for a narrow spectrum; `phase`: φ.
    """

    omega: Float[Array, ""]
    rise: Float[Array, ""]
    phase: Float[Array, ""]

    def __init__(self, omega: Numbers, rise: Numbers, phase: Numbers = 0.0):
        self.omega, self.rise = as_real(omega, "omega"), as_real(rise, "rise")
        self.phase = as_real(phase, "phase")

    def __check_init__(self) -> None:
        require(not is_concrete(self.rise) or bool(self.rise > 0), "rise", "be positive", self.rise)

    def __call__(self, t: Float[Array, ""]) -> Float[Array, ""]:
        share = jnp.clip(t / self.rise, 0.0, 1.0)
        return jnp.cos(self.omega * t + self.phase) * jnp.sin(jnp.pi / 2 * share) ** 2
