"""Backbones: the undriven periodic orbits that begin at each linear mode, over their amplitude.

    M x'' + (C − ξM) x' + f(x, x') = 0,      φᴴM X_1 / φᴴMφ = a

ξ is the rate of negative damping that just replaces what is lost; of oscillators without loss it is 0, and the orbits
are nonlinear normal modes. The unknowns are p = X/a, ω and ξ, which are regular at a = 0, where p is the linear mode φ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_index,
    as_positive,
    is_concrete,
    require,
    require_double,
)
from diffnr.compilation import compiled
from diffnr.continuation import course_of, from_residual, trace
from diffnr.duffing import harmonic_balance
from diffnr.duffing.abstract_orbits import AbstractOrbits
from diffnr.duffing.multipliers import multipliers_of
from diffnr.duffing.oscillators import AbstractOscillators, require_oscillators, stiffness_of, with_harmonics
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import frozen, implicit, newton
from diffnr.tables import largest

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)  # of the work from 0 to a displacement


class Backbone(AbstractAnswer, AbstractOrbits):
    """Undriven periodic orbits over their amplitude, in order; NaN beyond `count`; made by `backbone`.

    **Fields:** `parameter` [point], the amplitude a; `omega` [point]; `b` [point, oscillator, harmonic] complex,
    x_j(t) = Re Σ b_jh e^{ihωt}; `rate` [point], ξ, rad/time: energy is lost at about ξ, and the damping ratio is ξ/2ω;
    `count` []; `result`, of `RESULTS`; `model`.
    """

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "parameter": (),
        "omega": (),
        "norm": ("oscillator",),
        "rate": (),
        "stable": (),
        "b": ("oscillator", "harmonic"),
    }

    parameter: Float[Array, "*batch point"]
    omega: Float[Array, "*batch point"]
    b: Complex[Array, "*batch point oscillator harmonic"]
    rate: Float[Array, "*batch point"]
    count: Int[Array, "*batch"]
    result: Any
    model: AbstractOscillators

    def trim(self) -> Backbone:
        """The backbone without the empty rest of its buffers, for people; not inside a transformation.

        A batch keeps the room that the longest of its elements needs."""
        count = largest(self.count)
        parts = {name: getattr(self, name)[..., :count] for name in ("parameter", "omega", "rate")}
        return dataclasses.replace(self, b=self.b[..., :count, :, :], **parts)

    @property
    def message(self) -> str:
        """From where to where the backbone goes, and why it ends there, in a sentence."""
        return course_of(self.result, self.parameter, self.count, "amplitude")

    @property
    def harmonics(self) -> tuple[Any, ...]:
        """The last axis of b."""
        return self.model.harmonics

    @property
    def multipliers(self) -> Complex[Array, "*batch point state"]:
        """Floquet's, largest modulus first, of the motion with the damping C − ξM. Two are +1, of a shift in time and
        of another amplitude; without loss the others come in pairs m, 1/m, on the unit circle where the orbit is
        stable. NaN beyond `count`. They carry no derivative."""
        return _multipliers(self)

    @property
    def stable(self) -> Bool[Array, "*batch point"]:
        """Whether small disturbances stay small: all multipliers, but the two that are +1, within 1 + 1e-3. With loss
        it is that of the motion which ξ sustains: a mode that loses less than the backbone's own grows."""
        return _bounded(self.multipliers)

    @property
    def energy(self) -> Float[Array, "*batch point"]:
        """½ vᵀMv and the work of f along a straight line to x, at the start of a period: the energy, where forces have
        a potential."""
        orders = jnp.asarray([float(h) for h in self.harmonics])
        x = jnp.sum(self.b.real, axis=-1)
        v = -self.omega[..., None] * jnp.sum(orders * self.b.imag, axis=-1)
        shares = jnp.asarray((1 + NODES) / 2)

        def work(x: Array) -> Array:
            along = x[:, None] * shares
            force = self.model.forces(along, jnp.zeros_like(along), jnp.zeros_like(shares))
            return jnp.sum(x @ force * WEIGHTS) / 2

        kinetic = jnp.einsum("...i,ij,...j->...", v, self.model.inertia, v) / 2
        return kinetic + jnp.vectorize(work, signature="(n)->()")(x)


GROWN = 1e-3  # of a multiplier: the double one at +1 is known to the root of what Magnus' series leaves


@compiled
def _multipliers(found: Backbone) -> Complex[Array, "*batch point state"]:
    def one(model: AbstractOscillators, b: Array, omega: Array, rate: Array, valid: Array) -> Array:
        c = model.basis.coefficients(jnp.where(valid, b, 0.0))
        omega, rate = jnp.where(valid, omega, 1.0), jnp.where(valid, rate, 0.0)
        return multipliers_of(model, c[None], omega[None], valid[None], rate)[0]

    each = eqx.filter_vmap(one, in_axes=(None, 0, 0, 0, 0))
    for _ in range(found.count.ndim):
        each = eqx.filter_vmap(each)
    return each(found.model, found.b, found.omega, found.rate, found.valid)


def _bounded(multipliers: Complex[Array, "*batch point state"]) -> Bool[Array, "*batch point"]:
    off = jnp.sort(jnp.abs(multipliers - 1), axis=-1)[..., 1:2]  # of the second that is nearest to +1
    return jnp.all((jnp.abs(multipliers) <= 1 + GROWN) | (jnp.abs(multipliers - 1) <= off), axis=-1)


class _Undriven(eqx.Module):
    """The equations of z = [p, ω/unit, ξ/unit] at an amplitude a, with [φᴴM]/φᴴMφ = `along`."""

    def __call__(self, z: Array, amplitude: Array, args: tuple[AbstractOscillators, Array, Array]) -> Array:
        model, along, unit = args
        p, omega, rate = z[:-2], z[-2] * unit, z[-1] * unit
        basis, n = model.basis, model.num_ports
        balance = lambda y: harmonic_balance.residual(y, (model, omega, jnp.zeros_like(y)))  # noqa: E731
        none = amplitude == 0
        a = jnp.where(none, 1.0, amplitude)
        rest = jnp.zeros_like(p)
        linear = jax.jvp(balance, (rest,), (p,))[1]
        f = jnp.where(none, linear, balance(a * p) / a)
        c = p.reshape(n, basis.size)
        slopes = c @ jnp.asarray(basis.derivative.T, p.dtype)
        X = basis.phasors(c)[:, basis.harmonics.index(1)]
        first = along @ X
        f = f - (omega * rate * model.inertia @ slopes).ravel()
        return jnp.concatenate([f / unit**2, jnp.stack([first.real - 1, first.imag])])


def backbone(
    model: Any,
    mode: Count,
    *,
    amplitude: Numbers,
    num_harmonics: Count | None = None,
    max_points: Count = 200,
    throw: bool = True,
) -> Backbone:
    """The backbone of a mode: undriven periodic orbits, from the linear mode at amplitude 0 on.

        M x'' + (C − ξM) x' + f(x, x') = 0,      φᴴM X_1 / φᴴMφ = a

    **Arguments:**

    - `model`: the oscillators, in float64; their forces may not depend on the drive's phase, and vanish at x = 0.
    - `mode`: which linear one, from the lowest frequency; φ is scaled so that the oscillator that moves most has 1.
    - `amplitude`: [], the highest a, which for small a is the displacement of that oscillator.
    - `num_harmonics`: the highest harmonic of orbits; default the model's. `max_points`: room for points; static.
    - `throw`: raise where there is no such mode.

    **Returns:** a `Backbone`: ω over a, the orbits, ξ, and the energy. Derivatives with respect to the model are exact,
    of points at fixed a. Of oscillators without damping these are nonlinear normal modes, and ξ = 0 to round-off.

    **Raises:** `ValueError` for float32, a mode that does not exist, forces at rest or of the drive's phase;
    `RuntimeError` if `throw` and the mode does not oscillate, or is not alone at its frequency.

    **Notes:** a resonance between modes is followed through its loops; families of orbits that branch off are not
    looked for. Lightly damped oscillators have their phase resonances, x a quarter of a period behind the force, there.

    Source: M. Krack, Computers & Structures 154, 59 (2015), extended periodic motions; G. Kerschen et al., Mech. Syst.
    Signal Process. 23, 170 (2009), nonlinear normal modes.

        duffing.backbone(model, 0, amplitude=2.0).omega
    """
    require_oscillators(model)
    if num_harmonics is not None:
        model = with_harmonics(model, num_harmonics)
    require_double("model", model.mass)
    mode = as_index(mode, "mode", model.num_ports, "mode")
    amplitude = as_positive(amplitude, "amplitude")
    max_points, throw = as_count(max_points, "max_points", least=2), as_flag(throw, "throw")
    require("phase" not in model.depends_on, "model", "have no forces of the drive's phase", "one that has")
    rest = jnp.zeros(model.num_ports, model.mass.dtype)
    still = model.forces(rest, rest, jnp.zeros((), rest.dtype))
    if is_concrete(still):
        require(np.all(np.asarray(still) == 0), "model", "have no forces at x = 0", f"one that has {still}")
    found = _traced(model, mode, amplitude, max_points)
    if not throw:
        return found
    return raise_failures(found, RESULTS.where(found.count == 0, RESULTS.no_mode, RESULTS.successful))


@compiled
def _traced(model: AbstractOscillators, mode: int, amplitude: Array, max_points: int) -> Backbone:
    basis, n, unknowns = model.basis, model.num_ports, _Undriven()
    one = basis.harmonics.index(1)
    shape, most, unit, rate = _linear_mode(frozen(model), mode)
    X = jnp.zeros((n, len(basis.harmonics)), shape.dtype).at[:, one].set(shape)
    guess = jnp.concatenate([basis.coefficients(X).ravel(), jnp.stack([jnp.ones_like(unit), rate / unit])])
    zero = jnp.zeros_like(unit)
    begin = newton(_at, guess, (model, jax.nn.one_hot(most, n, dtype=shape.dtype), unit, zero), max_steps=30)
    shape = basis.phasors(begin.value[:-2].reshape(n, -1))[:, one]  # exact, with its derivative
    along = shape.conj() @ model.inertia
    args = model, along / (along @ shape), unit
    start, held, highest = frozen((begin.value, args, amplitude))
    branch = trace(
        from_residual(unknowns), start, zero, (zero, highest), held, scale=(1.0, highest / 4), max_points=max_points
    )  # fmt: skip
    valid = jnp.arange(max_points) < branch.count
    zs = jnp.where(valid[:, None], branch.y, start)
    values = jnp.where(valid, branch.parameter, 0.0)
    exact = lambda z, value: implicit(_at, z, (*args, value))  # noqa: E731
    zs = jax.vmap(exact)(zs, values)
    zs = jnp.where(valid[:, None], zs, jnp.nan)
    b = jax.vmap(lambda z, value: basis.phasors(value * z[:-2].reshape(n, -1)))(zs, values)
    result = RESULTS.where(branch.count > 0, branch.result, RESULTS.no_mode)
    values = jnp.where(valid, values, jnp.nan)
    return Backbone(  # pyright: ignore[reportCallIssue]  # harmonics are the model's
        parameter=values,
        omega=zs[:, -2] * unit,
        b=b,
        rate=zs[:, -1] * unit,
        count=branch.count,
        result=result,
        model=model,
    )


def _at(z: Array, args: tuple[AbstractOscillators, Array, Array, Array]) -> Array:
    model, along, unit, value = args
    return _Undriven()(z, value, (model, along, unit))


def _linear_mode(model: AbstractOscillators, mode: int) -> tuple[Array, Array, Array, Array]:
    """φ, which of it is 1, ω and about ξ of small undriven oscillations, (λ²M + λC + K) φ = 0; NaN of a mode that does
    not oscillate."""
    n, unit = model.num_ports, jnp.eye(model.num_ports, dtype=model.mass.dtype)
    mobility, stiffness = model.mobility, stiffness_of(model, jnp.zeros(n, unit.dtype))
    still = jnp.zeros(n, unit.dtype)
    drag = jax.jacfwd(lambda v: model.forces(still, v, jnp.zeros((), unit.dtype)))(still)
    below = jnp.concatenate([-mobility @ stiffness, -mobility @ (model.dissipation + drag)], axis=1)
    state = jnp.concatenate([jnp.concatenate([jnp.zeros_like(unit), unit], axis=1), below])
    values, vectors = jnp.linalg.eig(state)
    turning = values.imag > 1e-9 * jnp.abs(values)
    order = jnp.argsort(jnp.where(turning, values.imag, jnp.inf))[mode]
    shape = vectors[:n, order]
    size = jnp.abs(shape)
    most = jnp.argmax(size > (1 - 1e-6) * jnp.max(size))  # the first of several that move alike
    shape = jnp.where(turning[order], shape / shape[most], jnp.nan)
    return shape, most, values[order].imag, -2 * values[order].real
