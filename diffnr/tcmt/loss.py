"""Laws besides the linear part: losses γ(a) that follow the amplitudes of all modes, and terms that are no loss.

    a' = (iΩ − Γ) a − Σ f(a) + Kᵀs₊,      f_m = γ(a) a_m for a loss of mode m

A new loss is one small final class: subclass `AbstractLoss`, name its `mode`, and write `rate(a)`. A model takes losses
in `loss=` and every other law in `terms=`.
"""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.checks import Count, as_count, as_index, as_scalar, check_fields, rate_field, real_field, require

DEFAULT_EPSILON = 1e-4


class AbstractLaw(eqx.Module):
    """A term −f(a) in the equation of motion a' = (iΩ − Γ) a − f(a) + Kᵀs₊.

    Subclasses that are neither an `AbstractLoss` nor a `NonlocalLoss` go into `terms=` of a model.
    """

    @property
    @abc.abstractmethod
    def linear(self) -> bool:
        """Whether f is linear in a."""

    @abc.abstractmethod
    def damping(self, a: Complex[Array, " mode"]) -> Complex[Array, " mode"]:
        """f(a), [N], in units of a rate times an amplitude."""

    @abc.abstractmethod
    def softened(self, t: Float[ArrayLike, ""]) -> "AbstractLaw":
        """The law on the way from an easy one (t → 0; linear where a → 0) to itself (t = 1), for continuation."""

    @abc.abstractmethod
    def check_modes(self, num_modes: int) -> None:
        """Raise `ValueError` if the law names a mode that a model of `num_modes` modes lacks."""


class AbstractLoss(AbstractLaw):
    """A loss rate γ(a) of one mode; subclasses give the static field `mode` and the method `rate`.

    To be passive, γ(a) ≥ 0 for every a.
    """

    mode: eqx.AbstractVar[int]

    @abc.abstractmethod
    def rate(self, a: Complex[Array, " mode"]) -> Float[Array, ""]:
        """γ(a), [], the amplitude rate at which `mode` loses (energy goes at 2γ), in the model's rate unit.

        It is also asked at amplitudes near 0, where it must be finite and have a finite derivative.
        """

    @property
    def linear(self) -> bool:
        return False

    def damping(self, a: Complex[Array, " mode"]) -> Complex[Array, " mode"]:
        return jnp.zeros_like(a).at[self.mode].set(self.rate(a) * a[self.mode])

    def softened(self, t: Float[ArrayLike, ""]) -> "AbstractLaw":
        return self

    def check_modes(self, num_modes: int) -> None:
        as_index(self.mode, "mode", num_modes, "mode")


class NonlocalLoss(AbstractLaw):
    r"""Loss of one mode in proportion to the amplitude of another (NLLE, nonlocal loss engineering):

        γ(a) = γ_k |a_s| / |a_m|,      regularised:  γ_k |a_s| / √(|a_m|² + ε²|a_s|²)

    **Arguments:**

    - `gamma_k`: [], rate, not negative, in the model's rate unit. With γ_k ≥ κ the mode is held at a_m = 0 exactly when
      it is driven only through the coupling κ (Coulomb friction in the complex plane).
    - `mode`: the mode m that loses; `sensed`: the mode s whose amplitude sets the loss; they must differ.
    - `epsilon`: [], the relative regularisation ε > 0. By default (None) the exact law is used in time, and in steady
      states wherever there is a closed form (two modes and this the only nonlinear law); ε = 1e-4 in other steady
      states. Being relative it keeps the response exactly independent of power; an absolute one would not. Good values:
      1e-3 … 1e-5.

    **Notes:** the error of the ratio ρ = |a_m/a_s| is γ_k ε²/(2 G ρ³) for γ_k < κ, ρ = (κε²/2G)^{1/3} at γ_k = κ and ρ
    = εκ/√(γ_k² − κ²) beyond, with G the linear loss rate of mode m. γ_k < 2√(G_s G_m) implies one globally stable
    response of two modes; `has_unique_response` tells for more, which bear less.

    **Raises:** `ValueError` for a rate that is negative, not finite or no number, ε that is not positive, or a mode
    that senses itself.

    Example: `tcmt.TwoResonators((0, 0), (3, 3), (0.5, 0.5), 1.0, loss=tcmt.NonlocalLoss(0.5, mode=1, sensed=0))`.

    Source: paper 1 (nonreciprocal coupling induced by nonlocal loss engineering), equation 2.
    """

    gamma_k: Float[Array, ""] = rate_field()
    mode: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    sensed: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    epsilon: Float[Array, ""] | None  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(self, gamma_k: Any, mode: Count, sensed: Count, epsilon: Any = None):
        self.gamma_k = as_scalar(gamma_k, "gamma_k", lower=0.0)
        self.mode, self.sensed = _two_modes(mode, sensed)
        self.epsilon = None if epsilon is None else as_scalar(epsilon, "epsilon", positive=True)

    def __check_init__(self) -> None:
        check_fields(self, ())
        if self.epsilon is not None:
            as_scalar(self.epsilon, "epsilon", positive=True)

    @property
    def linear(self) -> bool:
        return False

    def damping(self, a: Complex[Array, " mode"]) -> Complex[Array, " mode"]:
        epsilon = DEFAULT_EPSILON if self.epsilon is None else self.epsilon
        # A ratio: amplitudes in units of their own, so that those of a weak drive do not vanish when squared.
        unit = jnp.abs(lax.stop_gradient(a[self.sensed])) + jnp.abs(lax.stop_gradient(a[self.mode]))
        unit = jnp.where(unit == 0, 1.0, unit)
        lossy, sensed = _power(a[self.mode] / unit), _power(a[self.sensed] / unit)
        # γ a_m is smooth wherever a_s ≠ 0; where both vanish it is 0, like everything of degree one.
        dark = sensed == 0
        sensed = jnp.where(dark, 1.0, sensed)
        rate = self.gamma_k * jnp.sqrt(sensed / (lossy + epsilon**2 * sensed))
        return jnp.zeros_like(a).at[self.mode].set(jnp.where(dark, 0.0, rate * a[self.mode]))

    def softened(self, t: Float[ArrayLike, ""]) -> "AbstractLaw":
        epsilon = DEFAULT_EPSILON if self.epsilon is None else self.epsilon
        return eqx.tree_at(
            lambda law: (law.gamma_k, law.epsilon),
            self,
            (self.gamma_k * t, jnp.asarray(epsilon) ** t),
            is_leaf=lambda leaf: leaf is None,
        )

    def check_modes(self, num_modes: int) -> None:
        as_index(self.mode, "mode", num_modes, "mode")
        as_index(self.sensed, "sensed", num_modes, "mode")


class TwoPhotonLoss(AbstractLoss):
    """Two-photon absorption, the dissipative half of a Kerr nonlinearity:

        γ(a) = c |a_m|²

    **Arguments:** `coefficient`: [], c ≥ 0, rate per unit |a|²; `mode`: the mode m that loses.

    **Raises:** `ValueError` for a coefficient that is negative, not finite or no number, or a mode that is no whole
    number.

    Example: `tcmt.CoupledModes([0.0], [[1.0]], loss=tcmt.TwoPhotonLoss(0.2, mode=0))`.

    Source: paper 1, Figure 6 (comparison).
    """

    coefficient: Float[Array, ""] = rate_field()
    mode: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(self, coefficient: Any, mode: Count):
        self.coefficient = as_scalar(coefficient, "coefficient", lower=0.0)
        self.mode = as_count(mode, "mode", least=0)

    def __check_init__(self) -> None:
        check_fields(self, ())

    def rate(self, a: Complex[Array, " mode"]) -> Float[Array, ""]:
        return self.coefficient * _power(a[self.mode])


class SaturableLoss(AbstractLoss):
    """Saturable local loss:

        γ(a) = c / (1 + |a_m|²/I_s)

    **Arguments:** `coefficient`: [], c ≥ 0, the unsaturated rate; `mode`: the mode m that loses; `saturation`: [], I_s
    > 0, the |a|² at which the rate has halved (default 1).

    **Raises:** `ValueError` for a coefficient that is negative, a saturation that is not positive, either not finite or
    no number, or a mode that is no whole number.

    **Notes:** for c above the other losses the response is bistable; see `diffnr.port_response` on branches.

    Example: `tcmt.CoupledModes([0.0], [[1.0]], loss=tcmt.SaturableLoss(0.5, mode=0, saturation=2.0))`.

    Source: paper 1, Figure 6 (comparison).
    """

    coefficient: Float[Array, ""] = rate_field()
    mode: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    saturation: Float[Array, ""] = real_field(lower=0.0)

    def __init__(self, coefficient: Any, mode: Count, saturation: Any = 1.0):
        self.coefficient = as_scalar(coefficient, "coefficient", lower=0.0)
        self.mode = as_count(mode, "mode", least=0)
        self.saturation = as_scalar(saturation, "saturation", positive=True)

    def __check_init__(self) -> None:
        check_fields(self, ())
        as_scalar(self.saturation, "saturation", positive=True)

    def rate(self, a: Complex[Array, " mode"]) -> Float[Array, ""]:
        return self.coefficient / (1 + _power(a[self.mode]) / self.saturation)


class IdealNonreciprocalCoupling(AbstractLaw):
    """The ideal one-way reduction of a coupling, forward i(κ − γ_k), backward iκ:

        a_m' = … − iγ_k a_s

    It is what nonlocal loss is compared with: linear and no loss, so that models take it in `terms=`. By itself it is
    not passive (for |γ_k| larger than twice the absorption it amplifies some superposition of the modes).

    **Arguments:** `gamma_k`: [], real rate; `mode`: the mode m driven less; `sensed`: the mode s that drives it.

    **Raises:** `ValueError` for a rate that is not finite or no number, or a mode that senses itself.

    Example: `tcmt.TwoResonators((0, 0), (3, 3), (0.5, 0.5), 1.0, terms=tcmt.IdealNonreciprocalCoupling(0.5, 1, 0))`.

    Source: paper 1, Figure 5(a), the ideal nonreciprocal system.
    """

    gamma_k: Float[Array, ""] = real_field()
    mode: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    sensed: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(self, gamma_k: Any, mode: Count, sensed: Count):
        self.gamma_k = as_scalar(gamma_k, "gamma_k")
        self.mode, self.sensed = _two_modes(mode, sensed)

    def __check_init__(self) -> None:
        check_fields(self, ())

    @property
    def linear(self) -> bool:
        return True

    def damping(self, a: Complex[Array, " mode"]) -> Complex[Array, " mode"]:
        return jnp.zeros_like(a).at[self.mode].set(1j * self.gamma_k * a[self.sensed])

    def softened(self, t: Float[ArrayLike, ""]) -> "AbstractLaw":
        return self

    def check_modes(self, num_modes: int) -> None:
        as_index(self.mode, "mode", num_modes, "mode")
        as_index(self.sensed, "sensed", num_modes, "mode")


class Kerr(AbstractLaw):
    r"""Kerr nonlinearity: a resonance frequency that follows the energy of its mode, no loss.

        ω_m → ω_m + χ|a_m|²,      f_m(a) = −iχ|a_m|² a_m

    Models take it in `terms=`.

    **Arguments:** `chi`: [], χ, of either sign, rate per unit |a|² (self-focusing media have χ < 0); `mode`: the mode
    m that is shifted.

    **Raises:** `ValueError` for a χ that is not finite or no number, or a mode that is no whole number.

    **Notes:** with Δ = ω − ω_m, γ the whole loss rate and χΔ > 0, |Δ| > √3 γ, one mode is bistable: u = |a|² jumps at
    χu = [2Δ ∓ √(Δ² − 3γ²)]/3 of the lower and upper branch. `steady_states` gives all states.

    Example: `tcmt.CoupledModes([0.0], [[1.0], [0.6]], terms=tcmt.Kerr(0.1, mode=0))`.

    Source: D. L. Sounas and A. Alù, *Nonreciprocity based on nonlinear resonances*, IEEE Antennas and Wireless
    Propagation Letters 17, 1958 (2018).
    """

    chi: Float[Array, ""] = real_field()
    mode: int = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]

    def __init__(self, chi: Any, mode: Count):
        self.chi = as_scalar(chi, "chi")
        self.mode = as_count(mode, "mode", least=0)

    def __check_init__(self) -> None:
        check_fields(self, ())

    @property
    def linear(self) -> bool:
        return False

    def damping(self, a: Complex[Array, " mode"]) -> Complex[Array, " mode"]:
        z = a[self.mode]
        return jnp.zeros_like(a).at[self.mode].set(-1j * self.chi * _power(z) * z)

    def softened(self, t: Float[ArrayLike, ""]) -> "AbstractLaw":
        return self

    def check_modes(self, num_modes: int) -> None:
        as_index(self.mode, "mode", num_modes, "mode")


def check_laws(loss: Any, terms: Any, num_modes: int) -> None:
    """Raise unless `loss` holds laws by which modes lose, `terms` other laws, and every mode they name is there."""
    for law in _listed(loss, "loss"):
        if not isinstance(law, AbstractLoss | NonlocalLoss):
            raise ValueError(
                f"Argument loss must hold laws by which modes lose, but held {type(law).__name__}: pass it in terms=."
            )
        law.check_modes(num_modes)
    for law in _listed(terms, "terms"):
        if isinstance(law, AbstractLoss | NonlocalLoss):
            raise ValueError(
                f"Argument terms must hold laws that are no loss, but held {type(law).__name__}: pass it in loss=."
            )
        law.check_modes(num_modes)


def as_tuple(laws: Any) -> tuple[Any, ...]:
    """One law or several as a tuple."""
    return laws if isinstance(laws, tuple) else (laws,)


def _listed(laws: Any, name: str) -> tuple[AbstractLaw, ...]:
    several = as_tuple(laws)
    known = all(isinstance(law, AbstractLaw) for law in several)
    require(known, name, "be a law or a tuple of laws", laws)
    return several


def _two_modes(mode: Any, sensed: Any) -> tuple[int, int]:
    mode, sensed = as_count(mode, "mode", least=0), as_count(sensed, "sensed", least=0)
    require(mode != sensed, "sensed", "differ from mode", f"{sensed} like mode")
    return mode, sensed


def _power(z: Array) -> Array:
    return z.real**2 + z.imag**2
