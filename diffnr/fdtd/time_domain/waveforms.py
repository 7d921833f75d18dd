"""What sources do in time."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffnr.checks import Numbers, as_positive, as_real, as_scalar, require_finite


class Pulse(eqx.Module):
    """A Gaussian pulse cos(ω(t − t0) + φ) e^{−(t − t0)²/(2τ²)}.

    **Arguments:** `omega`: ω, rad/s; `width`: τ in s, positive, the standard deviation of the amplitude: the spectrum
    falls by e^{−1/2} at ω ± 1/τ; `centre`: t0 in s, default 5 τ, so that it begins at 4·10⁻⁶; `phase`: φ, rad.

    **Raises:** `ValueError` for numbers that are not finite, a width that is not positive.

    **Notes:** with ωτ of 6 and more it leaves no static charge where absorbers are graded.
    """

    omega: Float[Array, ""]
    width: Float[Array, ""]
    centre: Float[Array, ""]
    phase: Float[Array, ""]

    def __init__(self, omega: Numbers, width: Numbers, centre: Numbers | None = None, phase: Numbers = 0.0):
        self.omega, self.width = as_scalar(omega, "omega"), as_positive(width, "width")
        self.centre = 5 * self.width if centre is None else as_scalar(centre, "centre")
        self.phase = as_scalar(phase, "phase")

    def __check_init__(self) -> None:
        as_positive(self.width, "width")

    def __call__(self, t: Numbers) -> Float[Array, "..."]:
        """s(t), at times [...] in s."""
        t = as_real(t, "t")
        require_finite("t", t)
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

    def __call__(self, t: Numbers) -> Float[Array, " term"]:
        """s(t) of all terms, at a time in s."""
        u = (as_real(t, "t") - self.pulse.centre) / self.pulse.width
        polynomials = [jnp.ones_like(u), u]
        for n in range(1, self.terms):
            polynomials.append(u * polynomials[n] - n * polynomials[n - 1])
        ahead = eqx.tree_at(lambda p: p.phase, self.pulse, self.pulse.phase + jnp.pi / 2)
        return jnp.concatenate([jnp.stack(polynomials[: self.terms]) * beat(t) for beat in (self.pulse, ahead)])


class Tone(eqx.Module):
    """A continuous wave cos(ωt + φ), which is turned on as sin² over a time and then stays.

    **Arguments:** `omega`: ω, rad/s; `rise`: in s, positive, ten periods and more for a narrow spectrum; `phase`: φ,
    rad.

    **Raises:** `ValueError` for numbers that are not finite, a rise that is not positive.
    """

    omega: Float[Array, ""]
    rise: Float[Array, ""]
    phase: Float[Array, ""]

    def __init__(self, omega: Numbers, rise: Numbers, phase: Numbers = 0.0):
        self.omega, self.rise = as_scalar(omega, "omega"), as_positive(rise, "rise")
        self.phase = as_scalar(phase, "phase")

    def __check_init__(self) -> None:
        as_positive(self.rise, "rise")

    def __call__(self, t: Numbers) -> Float[Array, "..."]:
        """s(t), at times [...] in s."""
        t = as_real(t, "t")
        require_finite("t", t)
        share = jnp.clip(t / self.rise, 0.0, 1.0)
        return jnp.cos(self.omega * t + self.phase) * jnp.sin(jnp.pi / 2 * share) ** 2
