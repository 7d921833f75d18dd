"""A diffrax solver for motion with friction: implicit steps whose nonlocal loss is solved for, never evaluated.

The exact nonlocal law is Coulomb friction in the complex plane: a force of size γ_k|a_s| against a_m, of any direction
at a_m = 0. An explicit step flips its sign there for ever; an implicit one asks for the y with

    y − h F(t, y) = r                                                     (the resolvent, or proximal step)

which is unique for short steps, has y_m = 0 exactly wherever friction can hold the mode, and is a closed form for two
modes. A singly diagonally implicit Runge–Kutta method is a sequence of such equations, of any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeGuard

import diffrax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Complex, Float

from diffnr.results import RESULTS
from diffnr.root import implicit, newton
from diffnr.tcmt.loss import AbstractLaw, NonlocalLoss
from diffnr.tcmt.solve import has_closed_form, join, nonzero, split, two_mode_nonlocal

# Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.6: L-stable, order 4 with an embedded 3. Its
# last stage is the end of the step, so that a mode at rest there is at rest exactly.
GAMMA = 1 / 4
NODES = np.array([1 / 4, 3 / 4, 11 / 20, 1 / 2, 1.0])
STAGES = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1 / 2, 0.0, 0.0, 0.0, 0.0],
        [17 / 50, -1 / 25, 0.0, 0.0, 0.0],
        [371 / 1360, -137 / 2720, 15 / 544, 0.0, 0.0],
        [25 / 24, -49 / 48, 125 / 16, -85 / 12, 0.0],
    ]
)
ERROR = STAGES[-1] + [0.0, 0.0, 0.0, 0.0, GAMMA] - [59 / 48, -17 / 96, 225 / 32, -85 / 12, 0.0]


class ProximalSDIRK(diffrax.AbstractAdaptiveSolver):
    """Hairer and Wanner's L-stable SDIRK method of order 4(3), each stage one exact proximal step.

    **Arguments:** `resolvent`: `(t, h, r, guess, args) -> y` with y − h F(t, y) = r, for the term's vector field F;
    where F has several values the term gives that of the motion, which is the one of least size. `settle`: `(t, h, y0,
    y, args) -> y`, the end of a step of length h from y0 with what friction has brought to rest on the way set to rest.

    `diffnr.tcmt.simulate` takes it wherever the exact nonlocal law is at work. A mode that friction holds stays at 0
    exactly, without chatter, and leaves when it is driven off; steady states are fixed points of it, whatever the step.
    Adaptive steps shorten where a mode comes to rest, since no method is of high order across that instant.

    Source: E. Hairer and G. Wanner, *Solving Ordinary Differential Equations II*, section IV.6, table 6.5.
    """

    resolvent: Callable[..., Array]
    settle: Callable[..., Array]

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.ThirdOrderHermitePolynomialInterpolation

    def order(self, terms: Any) -> int:
        return 4

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> tuple[Any, Any, Any, Any, Any]:
        k0 = lax.cond(made_jump, lambda: terms.vf(t0, y0, args), lambda: solver_state)
        h = t1 - t0

        # A loop, not five copies: it compiles several times faster.
        def stage(carry: tuple, tableau: tuple) -> tuple:
            y, slopes = carry
            i, node, row = tableau
            r = y0 + h * jnp.sum(row[:, None] * slopes, axis=0)
            y = self.resolvent(t0 + node * h, GAMMA * h, r, y, args)
            return (y, slopes.at[i].set((y - r) / (GAMMA * h))), None

        nodes, rows, weights = (jnp.asarray(x, y0.dtype) for x in (NODES, STAGES, ERROR))
        slopes = jnp.zeros((len(NODES), *y0.shape), y0.dtype)
        (y, slopes), _ = lax.scan(stage, (y0, slopes), (jnp.arange(len(NODES)), nodes, rows))
        error = h * jnp.sum(weights[:, None] * slopes, axis=0)
        # A mode of the size of the error would else be thrown about by the earlier stages' slopes, which stopped it.
        y = self.settle(t1, h, y0, y, args)
        # Not the last slope: in the step in which a mode comes to rest that is what stopped it.
        k1 = terms.vf(t1, y, args)
        dense = {"y0": y0, "y1": y, "k0": h * k0, "k1": h * k1}
        error = jnp.where(jnp.isfinite(error), error, jnp.inf)  # a step that failed is tried again, shorter
        return y, error, dense, k1, diffrax.RESULTS.successful

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)


def velocity(
    A: Complex[Array, "mode mode"],
    laws: tuple[AbstractLaw, ...],
    a: Complex[Array, " mode"],
    f: Complex[Array, " mode"],
) -> Complex[Array, " mode"]:
    """a' = A a + f − Σ f_law(a), with a mode at rest kept there by friction as long as that can.

    **Arguments:** `A` [N, N], the linear part; `laws`, the nonlinear ones; `a` [N]; `f` [N], the drive.

    **Returns:** [N].
    """
    slope, friction = _smooth_slope(A, laws, a, f), _friction(laws, a)
    rest = a == 0
    against = jnp.where(rest, slope, a)
    return jnp.where(rest, _shrink(slope, friction), slope - friction * against / nonzero(_abs(against)))


def resolvent(
    A: Complex[Array, "mode mode"],
    laws: tuple[AbstractLaw, ...],
    f: Complex[Array, " mode"],
    h: Float[Array, ""],
    r: Complex[Array, " mode"],
    guess: Complex[Array, " mode"],
) -> Complex[Array, " mode"]:
    """The a with a − h (A a + f − Σ f_law(a)) = r: an implicit Euler step of length h from r.

    **Arguments:** `A`, `laws`, `f` as for `velocity`; `h`: [], the step; `r` [N]; `guess` [N], near a.

    **Returns:** [N]: the closed form for two modes, else the root of a semismooth Newton iteration on

        a_m = S(r_m + h (A a + f − …)_m, h γ_k|a_s|),      S(z, F) = max(0, 1 − F/|z|) z, friction's proximal map

    and not finite where that fails.
    """
    if has_closed_form(laws, r.size):
        [law] = (law for law in laws if is_exact(law))
        M = jnp.eye(r.size, dtype=A.dtype) / h - A
        return two_mode_nonlocal(M, f + r / h, law, guess)
    args = A, laws, f, h, r
    root = newton(_fixed_point_residual, split(guess), args)
    failed = root.result != RESULTS.successful
    # A step that fails is refused, but its derivative is still asked for, with weight 0: it has to be finite.
    y = implicit(_fixed_point_residual, lax.stop_gradient(jnp.where(failed, split(guess), root.value)), args)
    a = join(y)
    at_rest = (_fixed_point(a, args) == 0) & (_friction(laws, a) > 0)  # Newton lands there but for round-off
    return jnp.where(failed, jnp.inf, jnp.where(at_rest, 0.0, a))


def held(laws: tuple[AbstractLaw, ...], a: Complex[Array, " mode"]) -> Bool[Array, " mode"]:
    """Which modes are at 0 under an exact nonlocal law that pushes back."""
    return (a == 0) & (_friction(laws, a) > 0)


def _smooth_slope(A: Array, laws: tuple[AbstractLaw, ...], a: Array, f: Array) -> Array:
    return jnp.sum(A * a, axis=1) + f - sum((law.damping(a) for law in laws if not is_exact(law)), jnp.zeros_like(a))


def _friction(laws: tuple[AbstractLaw, ...], a: Array) -> Array:
    """The size [N] of the exact nonlocal laws' force against each mode."""
    force = jnp.zeros_like(a.real)
    for law in laws:
        if is_exact(law):
            force = force.at[law.mode].add(law.gamma_k * _abs(a[law.sensed]))
    return force


def settled(
    A: Complex[Array, "mode mode"],
    laws: tuple[AbstractLaw, ...],
    f: Complex[Array, " mode"],
    h: Float[Array, ""],
    before: Complex[Array, " mode"],
    a: Complex[Array, " mode"],
) -> Complex[Array, " mode"]:
    """a at the end of a step of length h, with 0 for every mode that friction there can stop within the step and hold:

        |a_m(before)/h + (A a + f − …)_m − A_mm a_m| ≤ γ_k|a_s|

    **Arguments:** `A`, `laws`, `f` as for `velocity`; `h`: []; `before`, `a` [N], amplitudes where it began and ends.

    **Returns:** [N].
    """
    friction = _friction(laws, a)
    force = before / h + _smooth_slope(A, laws, a, f) - jnp.diagonal(A) * a
    return jnp.where((_abs(force) <= friction) & (friction > 0), 0.0, a)


def is_exact(law: AbstractLaw) -> TypeGuard[NonlocalLoss]:
    """Whether `law` is nonlocal loss without a regularisation."""
    return isinstance(law, NonlocalLoss) and law.epsilon is None


def _fixed_point_residual(y: Array, args: Any) -> Array:
    a = join(y)
    return split(a - _fixed_point(a, args))


def _fixed_point(a: Array, args: Any) -> Array:
    A, laws, f, h, r = args
    return _shrink(r + h * _smooth_slope(A, laws, a, f), h * _friction(laws, a))


def _shrink(z: Array, threshold: Array) -> Array:
    size = _abs(z)
    return jnp.where((size > threshold) | (threshold == 0), z * (1 - threshold / nonzero(size)), 0.0)


def _abs(z: Array) -> Array:
    """|z|, with derivative 0 at 0."""
    power = z.real**2 + z.imag**2
    return jnp.where(power == 0, 0.0, jnp.sqrt(jnp.where(power == 0, 1.0, power)))
