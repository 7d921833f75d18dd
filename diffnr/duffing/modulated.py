"""Linear oscillators whose springs are modulated in time, at a frequency of its own, and whether they are stable."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Inexact

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_inexact,
    as_real,
    check_fields,
    is_concrete,
    real_field,
    require,
    require_finite,
    require_instance,
)
from diffnr.duffing.multipliers import multipliers_of
from diffnr.duffing.network import OscillatorNetwork


class ModulatedOscillators(eqx.Module):
    """Linear oscillators whose stiffness is modulated in time:

        M x'' + (C + G) x' + [K + Σ_k (K_k e^{ikω_m t} + c.c.)] x = F cos ωt

    **Arguments**, in any consistent units:

    - `oscillators`: M, C, G and K, an `OscillatorNetwork` without a force.
    - `modulation`: real, the depth: K + modulation · cos(ω_m t − phases), entry by entry; [] and [n] stand for a
      diagonal (springs to the ground), [n, n] for any matrix, [k, n, n] for one of each k ω_m, k = 1, 2, …. Or complex,
      of the same shapes: the Fourier matrices K_k themselves.
    - `omega_m`: [], ω_m, positive.
    - `phases`: rad, of real depths: [] or [n] where these are [] or [n], else [] or of their shape. Default 0.

    **Raises:** `ValueError` for oscillators with a force, shapes that do not fit, values that are not finite, phases of
    complex matrices, a modulation frequency that is not positive.

    **Notes:** the response is a ladder of tones ω + nω_m (`modulated_response`); `stable` says whether there is one.
    Nonlinear springs are covered where the modulation goes p times as fast as the drive (`locked`), and not where it is
    incommensurate with it.

        duffing.ModulatedOscillators(network, modulation=0.1, omega_m=0.2, phases=[0.0, jnp.pi / 2])
    """

    oscillators: OscillatorNetwork
    modulation: Inexact[Array, "..."]
    omega_m: Float[Array, ""] = real_field(lower=0.0)
    phases: Float[Array, "..."] | None = real_field()

    def __init__(self, oscillators: Any, modulation: Any, omega_m: Any, phases: Any = None):
        require_instance(oscillators, "oscillators", OscillatorNetwork, "be a duffing.OscillatorNetwork")
        self.oscillators = oscillators
        self.modulation = as_inexact(modulation, "modulation")
        self.omega_m = as_real(omega_m, "omega_m")
        real = not jnp.issubdtype(self.modulation.dtype, jnp.complexfloating)
        must = "be left out where modulation is complex (its arguments are phases)"
        require(real or phases is None, "phases", must, phases)
        phases = 0.0 if phases is None and real else phases
        self.phases = None if phases is None else as_real(phases, "phases")

    def __check_init__(self) -> None:
        check_fields(self)
        require(self.oscillators.force is None, "oscillators", "be linear, without a force", "ones with a force")
        n, shape = self.num_ports, self.modulation.shape
        square = len(shape) in (2, 3) and shape[-2:] == (n, n) and shape[0] > 0
        must = f"have shape (), ({n},), ({n}, {n}) or (k, {n}, {n}), as oscillators has n = {n}"
        require(square or shape in ((), (n,)), "modulation", must, f"of shape {shape}")
        require_finite("modulation", self.modulation)
        require(self.omega_m.shape == (), "omega_m", "be a scalar", f"of shape {self.omega_m.shape}")
        if is_concrete(self.omega_m):
            require(np.asarray(self.omega_m) > 0, "omega_m", "be positive", self.omega_m)
        if self.phases is not None:
            shapes = ((), shape) if square else ((), (n,))
            must = f"have shape {' or '.join(map(str, shapes))}, as modulation has shape {shape}"
            require(self.phases.shape in shapes, "phases", must, f"of shape {self.phases.shape}")

    @property
    def num_ports(self) -> int:
        """The number of oscillators n."""
        return self.oscillators.num_ports

    @property
    def fourier(self) -> Complex[Array, "k oscillator by"]:
        """K_k, k = 1, 2, …"""
        turned = self.modulation if self.phases is None else self.modulation / 2 * jnp.exp(-1j * self.phases)
        if turned.ndim < 2:
            turned = jnp.diag(jnp.broadcast_to(turned, (self.num_ports,)))
        return turned.reshape(-1, self.num_ports, self.num_ports)

    def scaled(self, factor: Numbers) -> "ModulatedOscillators":
        """The same oscillators with every K_k times `factor`, a real number []."""
        factor = as_real(factor, "factor")
        require(factor.shape == (), "factor", "be a scalar", f"of shape {factor.shape}")
        require_finite("factor", factor)
        return eqx.tree_at(lambda model: model.modulation, self, factor * self.modulation)

    def locked(
        self, ratio: Count, force: Any = None, *, num_harmonics: Count = 9, odd: bool | None = None
    ) -> OscillatorNetwork:
        """The network in which the modulation goes `ratio` times as fast as the drive, ω_m = ratio · ω, whatever ω is.

        Its orbits are periodic with the drive, so that its springs may be nonlinear, and every function for oscillators
        applies: branches, stability, other orbits, integration in time. The phase between modulation and drive matters
        then, and is that of `phases`.

        **Arguments:** `ratio`: a whole number; `force`, `num_harmonics`, `odd`: as for `OscillatorNetwork`, on top of
        the modulated springs.

        **Raises:** `ValueError` as `OscillatorNetwork` does.

        Example: `nr.port_response(model.locked(2, lambda x: 0.1 * x**3), nr.Drive(1.0, 0.3))`.
        """
        ratio, own = as_count(ratio, "ratio"), self.oscillators
        tried = OscillatorNetwork(own.mass, own.stiffness, force=force, odd=False)
        springs = _ModulatedSprings(self.fourier, force, ratio, tried.force_arguments)
        more = {"gyroscopic": own.gyroscopic, "num_harmonics": num_harmonics, "odd": odd}
        return OscillatorNetwork(own.mass, own.stiffness, own.damping, springs, **more)

    @property
    def multipliers(self) -> Complex[Array, " state"]:
        """The Floquet multipliers of the undriven oscillators over 2π/ω_m, [2n], largest modulus first.

        To 1e-9 where the period is as long as a few of the motion's, and 1e-7 where it is thirty times so. They carry
        no derivative (a `parametric_threshold` does), and are NaN where the period is beyond some 24,000 rad of the
        fastest motion.
        """
        network = self.locked(1, num_harmonics=1, odd=False)
        rest = jnp.zeros((1, self.num_ports, network.basis.size), self.omega_m.dtype)
        return multipliers_of(network, rest, self.omega_m[None], jnp.ones(1, bool))[0]

    @property
    def stable(self) -> Bool[Array, ""]:
        """Whether the undriven oscillators come to rest: all multipliers are inside of the unit circle."""
        return jnp.abs(self.multipliers[0]) < 1


class _ModulatedSprings(eqx.Module):
    """What modulated springs, and other forces beside them, add to a network's K x."""

    fourier: Complex[Array, "k oscillator by"]
    force: Callable | None
    ratio: int = eqx.field(static=True)
    count: int = eqx.field(static=True)

    def __call__(self, x: Array, v: Array, phase: Array) -> Array:
        orders = self.ratio * np.arange(1, 1 + self.fourier.shape[0]).reshape(-1, *[1] * phase.ndim)
        waves = jnp.exp(1j * orders * phase)[:, None]
        pull = 2 * jnp.sum((waves * jnp.tensordot(self.fourier, x, 1)).real, axis=0)
        return pull if self.force is None else pull + self.force(*(x, v, phase)[: self.count])


def require_modulated(model: Any, name: str = "model") -> None:
    """Raise unless `model` is one of modulated oscillators."""
    require_instance(model, name, ModulatedOscillators, "be a duffing.ModulatedOscillators")
