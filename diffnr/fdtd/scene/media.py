"""Media of the field solver, each with its permittivity in closed form. Time dependence e^{+iωt}; B along z."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.checks import (
    Numbers,
    as_inexact,
    as_positive,
    as_real,
    as_scalar,
    check_fields,
    is_concrete,
    rate_field,
    real_field,
    require,
    require_finite,
    require_instance,
)

LIGHT = 299792458.0  # m/s
VACUUM = 8.8541878188e-12  # F/m, ε0
PERMEABILITY = 1 / (VACUUM * LIGHT**2)  # H/m, µ0
IMPEDANCE = PERMEABILITY * LIGHT  # Ω, of the vacuum
CHARGE = 1.602176634e-19  # C
MASS = 9.1093837139e-31  # kg, of the free electron


class AbstractMedium(eqx.Module):
    """What fills cells: a background permittivity `eps_inf`, and free carriers that obey

        ∂J/∂t = −νJ + ω_c (ẑ×J) + ε0 ε∞ ω_p² E,        ∇×H = ε0 ε∞ ∂E/∂t + J

    Subclasses give `eps_inf`, `omega_p`, `nu` and `omega_c` (rad/s) as fields or properties: scalars, or arrays over
    cells for densities and bias fields that vary.
    """

    eps_inf: eqx.AbstractVar[Float[Array, "..."]]
    omega_p: eqx.AbstractVar[Float[Array, "..."]]
    nu: eqx.AbstractVar[Float[Array, "..."]]
    omega_c: eqx.AbstractVar[Float[Array, "..."]]

    @abc.abstractmethod
    def permittivity(self, omega: Numbers) -> Complex[Array, "*omega 3 3"]:
        """ε(ω)/ε0, [..., 3, 3], at frequencies ω [...] in rad/s."""


class Dielectric(AbstractMedium):
    """A lossless dielectric.

    **Arguments:** `eps`: [] or over cells, ε/ε0, at least 1.

    **Raises:** `ValueError` for a permittivity below 1 or not finite.
    """

    eps: Float[Array, "..."] = real_field(lower=1.0)

    def __init__(self, eps: Numbers):
        self.eps = as_real(eps, "eps")

    def __check_init__(self) -> None:
        check_fields(self)
        _require_cells(self.eps, "eps")

    @property
    def eps_inf(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.eps

    @property
    def omega_p(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.zeros_like(self.eps)

    @property
    def nu(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.zeros_like(self.eps)

    @property
    def omega_c(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.zeros_like(self.eps)

    def permittivity(self, omega: Numbers) -> Complex[Array, "*omega 3 3"]:
        omega = _as_frequencies(omega)
        return self.eps * jnp.broadcast_to(jnp.eye(3) + 0j, (*omega.shape, 3, 3))


class GyrotropicDrude(AbstractMedium):
    """Free carriers in a magnetic field along z, as InSb in the terahertz range:

        ε/ε0 = ε∞ (1 + ω_p²/(iω) (s + ω_c ẑ×)/(s² + ω_c²)) in the plane,  ε∞ (1 + ω_p²/(iω s)) along z,   s = ν + iω

    so that ε_xx = ε∞ (1 − ω_p² (ω − iν)/(ω ((ω − iν)² − ω_c²))) and ε_xy = −ε_yx = −iε∞ ω_p² ω_c/(ω ((ω − iν)² −
    ω_c²)).

    **Arguments**, all [] or over cells:

    - `eps_inf`: ε∞, at least 1. `omega_p`: plasma frequency, rad/s, screened: ω_p² = N e²/(ε0 ε∞ m*).
    - `nu`: collision rate, 1/s. `omega_c`: cyclotron frequency eB_z/m*, rad/s; *signed*: negative for B along −z.

    **Raises:** `ValueError` for ε∞ below 1, negative ω_p or ν, values that are not finite.

    Good values: InSb at room temperature has ε∞ = 15.6, ω_p = 4π·10¹² rad/s, ν = 5·10⁻³ ω_p; .25 ω_p is B = .25 T.

    Source: paper 3 (nonreciprocal cavities, supplement), equations S5 and S6 with their misprints mended.
    """

    eps_inf: Float[Array, "..."] = real_field(lower=1.0)
    omega_p: Float[Array, "..."] = rate_field()
    nu: Float[Array, "..."] = rate_field()
    omega_c: Float[Array, "..."] = real_field()

    def __init__(self, eps_inf: Numbers, omega_p: Numbers, nu: Numbers, omega_c: Numbers):
        self.eps_inf, self.omega_p = as_real(eps_inf, "eps_inf"), as_real(omega_p, "omega_p")
        self.nu, self.omega_c = as_real(nu, "nu"), as_real(omega_c, "omega_c")

    def __check_init__(self) -> None:
        check_fields(self)
        for name in ("eps_inf", "omega_p", "nu", "omega_c"):
            _require_cells(getattr(self, name), name)

    @classmethod
    def from_field(
        cls, tesla: Numbers, effective_mass: Numbers, *, eps_inf: Numbers, omega_p: Numbers, nu: Numbers
    ) -> "GyrotropicDrude":
        """The medium in a magnetic field, ω_c = eB_z/m*.

            insb = GyrotropicDrude.from_field(-0.25, 0.014, eps_inf=15.6, omega_p=4e12 * np.pi, nu=0.0)

        **Arguments:** `tesla`: B_z in T, signed; `effective_mass`: m* in units of the electron's (InSb: .014); the
        others as for the class; all [] or over cells.

        **Raises:** `ValueError` for a mass that is not positive, and as the class does.
        """
        mass, field = as_real(effective_mass, "effective_mass"), as_real(tesla, "tesla")
        for name, value in (("tesla", field), ("effective_mass", mass)):
            _require_cells(value, name)
            require_finite(name, value)
        require(not is_concrete(mass) or np.all(np.asarray(mass) > 0), "effective_mass", "be positive", mass)
        omega_c = CHARGE * field / MASS / mass
        known = not is_concrete(omega_c) or np.all(np.isfinite(np.asarray(omega_c)))
        require(known, "tesla", "have a cyclotron frequency that is finite with effective_mass", field)
        return cls(eps_inf, omega_p, nu, omega_c)

    def permittivity(self, omega: Numbers) -> Complex[Array, "*omega 3 3"]:
        omega = _as_frequencies(omega)
        s = self.nu + 1j * omega
        push = self.omega_p**2 / (1j * omega)
        along, across = push * s / (s**2 + self.omega_c**2), push * self.omega_c / (s**2 + self.omega_c**2)
        zero, one = jnp.zeros_like(along), jnp.ones_like(along)
        rows = [[one + along, -across, zero], [across, one + along, zero], [zero, zero, one + push / s]]
        eps = self.eps_inf * jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
        return _finite_at(eps, omega, "be one at which the permittivity is finite (neither 0 nor a lossless ω_c)")


class AbstractMetal(AbstractMedium):
    """A medium into which fields do not go: it acts by its faces alone."""

    @property
    def eps_inf(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.ones(())

    @property
    def omega_p(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.zeros(())

    @property
    def nu(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.zeros(())

    @property
    def omega_c(self) -> Float[Array, "..."]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.zeros(())


class PerfectConductor(AbstractMetal):
    """A perfect electric conductor: no field inside, no field along its faces."""

    def __init__(self) -> None:  # it has no numbers, though the class it stands on has fields
        pass

    def permittivity(self, omega: Numbers) -> Complex[Array, "*omega 3 3"]:
        """−i∞ on the diagonal: the limit of a good conductor."""
        omega = _as_frequencies(omega)
        unit = jnp.broadcast_to(jnp.eye(3) + 0j, (*omega.shape, 3, 3))
        return jnp.where(unit == 1, jnp.asarray(complex(0.0, -np.inf)), 0.0)


class SurfaceImpedance(AbstractMetal):
    """A metal on whose faces E = Z n×H, a sheet of resistance and inductance in series: Z = R + iωL.

    **Arguments:** `resistance`: R, Ω; `inductance`: L, H, positive. The default step of time falls with L, as the
    sheet's current and the field of the cells at its face go to and fro; `of_conductor` gives a good conductor's.

    **Raises:** `ValueError` for R below 0, L that is not positive.

    Source: paper 3 (nonreciprocal cavities, supplement), the lossy wall; a surface impedance, since its skin depth is
    beyond what cells of the grid could hold.
    """

    resistance: Float[Array, ""] = rate_field()
    inductance: Float[Array, ""] = rate_field()

    def __init__(self, resistance: Numbers, inductance: Numbers):
        self.resistance = as_scalar(resistance, "resistance", lower=0.0)
        self.inductance = as_positive(inductance, "inductance")

    def __check_init__(self) -> None:
        check_fields(self)
        as_positive(self.inductance, "inductance")

    @classmethod
    def of_conductor(cls, sigma: Numbers, omega: Numbers) -> "SurfaceImpedance":
        """The wall of a conductor in which fields fall off within less than anything else changes:

            Z = √(iωµ0/(σ + iωε0)),    (1 + i) √(ωµ0/2σ) for good ones,    exact at ω and right in R and L near it

        **Arguments:** `sigma`: conductivity, S/m; `omega`: rad/s; both positive. The displacement current iωε0 is 3 %
        of the other one at 2,000 S/m and 1 THz.

        **Raises:** `ValueError` for numbers that are not positive, or no conductor at this ω.
        """
        sigma, omega = as_positive(sigma, "sigma"), as_positive(omega, "omega")
        z = jnp.sqrt(1j * omega * PERMEABILITY / (sigma + 1j * omega * VACUUM))
        inductive = not is_concrete(z) or bool(jnp.isfinite(z) & (z.imag / omega > 0))
        require(inductive, "sigma", "be that of a conductor at this omega, with an inductance above 0", sigma)
        return cls(z.real, z.imag / omega)

    def surface_impedance(self, omega: Numbers) -> Complex[Array, "*omega"]:
        """Z = R + iωL in Ω."""
        omega = _as_frequencies(omega)
        return _finite_at(self.resistance + 1j * omega * self.inductance, omega, "be one at which Z is finite")

    def permittivity(self, omega: Numbers) -> Complex[Array, "*omega 3 3"]:
        """(Z0/Z)² on the diagonal: the medium whose half space has this surface impedance for waves across it."""
        ratio = IMPEDANCE / self.surface_impedance(omega)
        eps = (ratio**2)[..., None, None] * jnp.eye(3)
        return _finite_at(eps, omega, "be one at which the permittivity is finite (not 0)")


Layers = Sequence[tuple[Any, AbstractMedium]]  # (thickness in m, medium)


def as_layers(value: Any) -> list[tuple[Any, AbstractMedium]]:
    """`value` as pairs of a thickness in m, positive and finite, and a medium; thicknesses as they came."""
    listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    require(listed, "layers", "be a list of pairs of a thickness in m and a medium", value)
    require(len(value) > 0, "layers", "hold at least one pair of a thickness and a medium", "empty")
    pairs: list[Any] = list(value)
    for number, pair in enumerate(pairs):
        name = f"layers[{number}]"
        paired = isinstance(pair, (tuple, list)) and len(pair) == 2
        require(paired, name, "be a pair of a thickness in m and a medium", pair)
        as_positive(pair[0], f"{name}[0], a thickness in m,")
        require_instance(pair[1], f"{name}[1]", AbstractMedium, "be a medium")
    return [(thickness, medium) for thickness, medium in pairs]


def _as_frequencies(omega: Any) -> Array:
    omega = as_inexact(omega, "omega")
    require(omega.size > 0, "omega", "be a number, or an array that is not empty", omega)
    require_finite("omega", omega)
    return omega


def _require_cells(value: Array, name: str) -> None:
    require(value.ndim in (0, 2), name, "be one number or an array over cells, [nx, ny]", f"of shape {value.shape}")


def _finite_at(value: Array, omega: Numbers, must: str) -> Array:
    known = not is_concrete(value) or bool(np.all(np.isfinite(np.asarray(value))))
    require(known, "omega", must, omega)
    return value
