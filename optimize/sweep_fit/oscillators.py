"""A chain of oscillators by the numbers that amplitudes identify, and how far measured points lie from its branches.

In units of each oscillator's own measured amplitude a_j, with masses of 1:

    a_j'' + 2δ_j a_j' + ω_j² a_j + γ_j a_j³ + … + Σ k (a_j − a_i s_j/s_i) = F_j cos ωt
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Complex, Float

from diffnr.checks import check_fields, rate_field, real_field
from diffnr.continuation import trace
from diffnr.duffing import OscillatorChain, PolynomialForce
from diffnr.duffing.harmonic_balance import linearise, residual
from diffnr.duffing.points import orbits
from diffnr.root import implicit
from optimize.sweep_fit.table import SweepTable

LONGEST = 0.1  # step of the projection, in units in which frequencies and amplitudes are near 1
ON = 1e-6  # how near to a branch is on it
CLOSE = 1e-9  # the last step of the projection


class SweptOscillators(eqx.Module):
    """What amplitudes alone identify of a chain of n oscillators. A mass cannot be told from a force, so that masses
    are 1; a cubic force cannot be told from the unit of displacement, so that it is in that of the measurement.

    **Fields**, with ω in rad/s and a in the unit of each oscillator's amplitude:

    - `frequency`: [n], ω_j of the oscillator by itself, its springs to neighbours taken off; `damping`: [n], the
      amplitude's rate of decay δ_j = ζ_j ω_j, rad/s.
    - `stiffening`: [order, n], γ_j of a³ (then of a⁵, …): the backbone is ω² = ω_j² + ¾ γ_j a² + ⅝ γ'_j a⁴. A quadratic
      force shows only as an effective cubic one, γ = k₃ − 10 k₂²/(9 ω_j²).
    - `force`: [n], F_j per unit of the drive's level, a·(rad/s)²; that of oscillator 0 is positive.
    - `coupling`: [n − 1], k of the springs between neighbours, (rad/s)², positive; `scale`: [n − 1], the amplitude read
      for each further oscillator where oscillator 0, moving as much, would read 1.
    """

    frequency: Float[Array, " oscillator"] = rate_field()
    damping: Float[Array, " oscillator"] = rate_field()
    stiffening: Float[Array, "order oscillator"] = real_field()
    force: Float[Array, " oscillator"] = real_field()
    coupling: Float[Array, " link"] = rate_field()
    scale: Float[Array, " link"] = rate_field()

    def __check_init__(self) -> None:
        check_fields(self)

    def rescaled(
        self, rate: Float[ArrayLike, ""], unit: Float[ArrayLike, " oscillator"], level: Float[ArrayLike, ""]
    ) -> SweptOscillators:
        """The same with frequencies `rate` times, amplitudes `unit` [n] times and levels `level` times as large."""
        rate, unit = jnp.asarray(rate), jnp.asarray(unit)
        orders = jnp.arange(1, len(self.stiffening) + 1)[:, None]
        return SweptOscillators(
            frequency=self.frequency * rate,
            damping=self.damping * rate,
            stiffening=self.stiffening * rate**2 / unit ** (2 * orders),
            force=self.force * rate**2 * unit / level,
            coupling=self.coupling * rate**2,
            scale=self.scale * unit[1:] / unit[0],
        )

    @property
    def scales(self) -> Float[Array, " oscillator"]:
        """The amplitude read per displacement in the unit of oscillator 0."""
        return jnp.concatenate([jnp.ones_like(self.frequency[:1]), self.scale])

    def chain(self, num_harmonics: int) -> OscillatorChain:
        """The oscillators as a model, displacements all in the unit of oscillator 0's amplitude."""
        rows = [self.frequency**2]
        for order, gamma in enumerate(self.stiffening, start=1):
            rows += [jnp.zeros_like(gamma), gamma * self.scales ** (2 * order)]
        ones = jnp.ones_like(self.frequency)
        springs = PolynomialForce(self.coupling[None])
        return OscillatorChain(
            ones, 2 * self.damping, PolynomialForce(jnp.stack(rows)), springs, num_harmonics=num_harmonics, odd=True
        )

    def drive(self, level: Float[Array, " oscillator"], model: OscillatorChain) -> Float[Array, " m"]:
        """The force's harmonic-balance coefficients at the levels [n] of the drive."""
        coefficients = jnp.zeros((self.force.size, model.basis.size))
        return coefficients.at[:, 0].set(self.force * level / self.scales).ravel()

    def linear_response(self, table: SweepTable) -> Complex[Array, "d oscillator"]:
        """The phasors a_j at every point of a table, by one harmonic, with the stiffness that the *measured* amplitude
        makes: a linear system, without branches."""
        n, square = self.frequency.size, table.amplitude**2
        stiffness = self.frequency**2 + 0j * table.omega[:, None]
        for order, gamma in enumerate(self.stiffening, start=1):
            stiffness = stiffness + math.comb(2 * order + 1, order) / 4**order * gamma * square**order
        none = jnp.zeros_like(self.frequency[:1])
        stiffness = stiffness + jnp.concatenate([none, self.coupling]) + jnp.concatenate([self.coupling, none])
        omega = table.omega[:, None]
        dynamic = stiffness - omega**2 + 2j * omega * self.damping
        x, f = [dynamic[:, 0]], [self.force[0] * table.level[:, 0] + 0j]
        for j in range(1, n):  # elimination along the chain, then back
            share = self.coupling[j - 1] / x[-1]
            x.append(dynamic[:, j] - self.coupling[j - 1] * share)
            f.append(self.force[j] * table.level[:, j] / self.scales[j] + share * f[-1])
        for j in reversed(range(n)):
            behind = self.coupling[j] * x[j + 1] if j + 1 < n else 0.0
            x[j] = (f[j] + behind) / x[j]
        return jnp.stack(x, axis=1) * self.scales


class Nearest(eqx.Module):
    """The points of branches nearest to those measured.

    **Fields:** `y` [d, m], orbits; `omega` [d]; `difference` [d, 1 + n], of frequency and amplitudes, model less data,
    in units of their σ; `found` [d].
    """

    y: Float[Array, "d m"]
    omega: Float[Array, " d"]
    difference: Float[Array, "d difference"]
    found: Bool[Array, " d"]


def nearest(oscillators: SweptOscillators, table: SweepTable, num_harmonics: int) -> Nearest:
    """Project every measured point on the model's branch, along the normal there:

        min over the branch of (ω − ω_d)²/σ_ω² + Σ_j (A_j − a_dj)²/σ_j²,      A_j the amplitude of the fundamental

    Seen from the branch a fold is a point like any other: nothing diverges there, nor beyond. What was measured tells
    the part: the projection begins at its amplitudes, with the phases of `linear_response`. The derivative is the
    implicit one along a fixed normal, with which that of the squared distance is exact.
    """
    model = oscillators.chain(num_harmonics)
    first = oscillators.linear_response(table)
    phasors = table.amplitude * first / jnp.sqrt(jnp.abs(first) ** 2 + 1e-12) / oscillators.scales
    basis = model.basis
    X = jnp.zeros((*phasors.shape, len(basis.harmonics)), phasors.dtype).at[:, :, 0].set(phasors)

    def project(X: Array, level: Array, *datum: Array) -> tuple[Array, Array, Array]:
        guess, drive = jnp.append(basis.coefficients(X).ravel(), datum[0][0]), oscillators.drive(level, model)
        args = oscillators.scales, *datum

        def slope(v: Array, tangent: Array) -> tuple[Array, Array, Array]:
            gap, along = jax.jvp(lambda v: _difference(v, *lax.stop_gradient(args)), (v,), (tangent,))
            pull, straight = along @ gap, along @ along
            return pull, straight / 4, jnp.abs(pull) / straight

        v, tangent, found = _slide(*lax.stop_gradient((guess, (model, drive))), slope)
        _, normal = jax.jvp(lambda v: _difference(v, *lax.stop_gradient(args)), (v,), (tangent,))
        v = implicit(_FootResidual(), v, (model, drive, lax.stop_gradient(normal), args))
        return v, _difference(v, *args), found

    v, difference, found = jax.vmap(project)(
        X, table.level, _joined(table.omega, table.amplitude), _joined(table.omega_sigma, table.sigma)
    )
    linear = (jnp.sqrt(jnp.abs(first) ** 2 + 1e-12) - table.amplitude) / table.sigma
    linear = jnp.concatenate([jnp.zeros_like(linear[:, :1]), linear], axis=1)
    return Nearest(v[:, :-1], v[:, -1], jnp.where(found[:, None], difference, linear), found)


def folds(
    oscillators: SweptOscillators, table: SweepTable, at: Nearest, num_harmonics: int
) -> tuple[Float[Array, " jump"], Bool[Array, " jump"]]:
    """The frequencies of the folds at which the sweeps jump, and which there are; with exact derivatives.

    The branch is followed from the last point before each jump in the sweep's direction, until it turns back. With w of
    wᵀ ∂F/∂y = 0 the fold moves by dω = −wᵀ dF / wᵀ ∂F/∂ω: how the orbit changes does not matter.
    """
    if table.before.size == 0:
        return table.middle, jnp.zeros(0, bool)
    model = oscillators.chain(num_harmonics)
    span = jnp.ptp(table.omega)

    def fold(index: Array, middle: Array) -> tuple[Array, Array]:
        drive = oscillators.drive(table.level[index], model)
        onwards = jnp.sign(middle - table.omega[index])
        guess = jnp.append(at.y[index], at.omega[index])

        def slope(v: Array, tangent: Array) -> tuple[Array, Array, Array]:
            pull = -onwards * tangent[-1]
            return pull, jnp.abs(pull) / LONGEST, jnp.abs(pull)  # onwards by the longest step, but for a fold in sight

        v, _, found = _slide(*lax.stop_gradient((guess, (model, drive))), slope)
        v = lax.stop_gradient(v)
        _, jacobian, border = lax.stop_gradient(linearise(v[:-1], v[-1], (model, drive)))
        left = jnp.linalg.svd(jacobian.T)[2][-1]
        omega = v[-1] - left @ residual(v[:-1], (model, v[-1], drive)) / (left @ border)
        found = found & (jnp.abs(omega - middle) < span)
        return jnp.where(found, omega, middle + onwards * span), found

    return jax.vmap(fold)(table.before, table.middle)


@eqx.filter_jit
def branch(
    oscillators: SweptOscillators,
    level: Float[Array, " oscillator"],
    start: tuple[Float[Array, " m"], Float[Array, ""]],
    bounds: Float[Array, " two"],
    sign: Float[Array, ""],
    num_harmonics: int,
) -> tuple[Float[Array, " point"], Float[Array, "point oscillator"], Bool[Array, " point"]]:
    """The branch through an orbit (y, ω), towards higher (`sign` 1) or lower (−1) frequency first, within bounds:
    its ω, the amplitudes of the fundamentals, and whether it is stable. NaN beyond its end."""
    model = oscillators.chain(num_harmonics)
    args = model, oscillators.drive(level, model), sign
    within = jnp.sort(sign * bounds)
    scale = jnp.full((), 0.5), bounds[1] - bounds[0]
    # Short steps: they are for the eye.
    followed = trace(
        _onwards, start[0], sign * start[1], (within[0], within[1]), args, scale=scale, longest=0.05, max_points=1000
    )
    omega = sign * followed.parameter
    return omega, _amplitude(followed.y, oscillators.scales), stable(oscillators, followed.y, omega, num_harmonics)


@eqx.filter_jit
def stable(
    oscillators: SweptOscillators, y: Float[Array, "d m"], omega: Float[Array, " d"], num_harmonics: int
) -> Bool[Array, " d"]:
    """Whether all Floquet multipliers of orbits lie inside of the unit circle; False where an orbit is NaN."""
    valid = jnp.isfinite(omega)
    y, omega = jnp.where(valid[:, None], y, 0.0), jnp.where(valid, omega, 1.0)
    return orbits(oscillators.chain(num_harmonics), y, omega, valid).stable


def _onwards(y: Array, along: Array, args: Any) -> Any:
    """`linearise` over ω or −ω, whichever grows in the sweep's direction."""
    model, drive, sign = args
    f, jacobian, slope = linearise(y, sign * along, (model, drive))
    return f, jacobian, sign * slope


class _FootResidual(eqx.Module):
    """F(y, ω) = 0 and normal · difference = 0, of v = [y, ω]."""

    def __call__(self, v: Array, args: Any) -> Array:
        model, drive, normal, datum = args
        return jnp.append(residual(v[:-1], (model, v[-1], drive)), normal @ _difference(v, *datum))


def _joined(omega: Array, amplitude: Array) -> Array:
    return jnp.concatenate([omega[:, None], amplitude], axis=1)


def _difference(v: Array, scales: Array, datum: Array, sigma: Array) -> Array:
    """(ω, A_1, …, A_n) less those of the datum, in units of σ."""
    return (jnp.append(v[-1], _amplitude(v[:-1], scales)) - datum) / sigma


def _amplitude(y: Array, scales: Array) -> Array:
    fundamental = y.reshape(*y.shape[:-1], scales.size, -1)[..., :2]
    return scales * jnp.sqrt(jnp.sum(fundamental**2, axis=-1) + 1e-24)


class _Step(NamedTuple):
    v: Array
    tangent: Array
    slide: Array  # the last step along the branch
    pull: Array  # the slope before it
    bend: Array  # the second derivative
    size: Array  # of what is left
    steps: Array


def _slide(guess: Array, args: Any, slope: Callable) -> tuple[Array, Array, Array]:
    """Where along a branch a function has its minimum: Newton's steps onto it, across, and secant steps along it.

    **Arguments:** `guess`: v = [y, ω]; `args`: (model, the force's coefficients); `slope`: (v, unit tangent) -> (the
    function's slope, the least second derivative to reckon with, a length to go that vanishes with the slope).

    **Returns:** v, the tangent there, and whether there was one.
    """
    last = jnp.zeros_like(guess).at[-1].set(1.0)

    def iterate(step: _Step) -> _Step:
        v = step.v
        f, jacobian, border = linearise(v[:-1], v[-1], args)
        matrix = jnp.concatenate([jnp.concatenate([jacobian, border[:, None]], axis=1), step.tangent[None]])
        across, tangent = jnp.linalg.solve(matrix, jnp.stack([jnp.append(-f, 0.0), last], axis=1)).T
        tangent = tangent / jnp.linalg.norm(tangent)
        across = across - tangent * (tangent @ across)
        pull, least, left = slope(v, tangent)
        told = jnp.abs(step.slide) > 10 * ON  # a difference over less would be round-off
        bend = jnp.where(told, (pull - step.pull) / jnp.where(told, step.slide, 1.0), step.bend)
        slide = jnp.clip(-pull / jnp.maximum(bend, least), -LONGEST, LONGEST)
        length = jnp.linalg.norm(across)
        on = length < ON  # else first across: off the branch the slope is not the branch's
        change = across * jnp.minimum(1.0, LONGEST / length) + jnp.where(on, slide, 0.0) * tangent
        slide, pull, bend = (jnp.where(on, *x) for x in ((slide, step.slide), (pull, step.pull), (bend, step.bend)))
        return _Step(v + change, tangent, slide, pull, bend, length + left, step.steps + 1)

    def going(step: _Step) -> Array:
        return (step.size > CLOSE) & (step.steps < 200)  # NaN ends it

    zero = jnp.zeros(())
    end = lax.while_loop(going, iterate, _Step(guess, last, zero, zero, zero, zero + jnp.inf, jnp.zeros((), int)))
    found = end.size <= CLOSE
    return jnp.where(found, end.v, guess), end.tangent, found
