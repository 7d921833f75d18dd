"""A branch of F(y, t) = 0 followed from t = 0 to where it first arrives at t = 1: the iterations of `root.follow`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from diffnr.elimination import solved_with_sign
from diffnr.results import RESULTS

TURN, LARGEST_TURN = 0.15, 0.5  # rad, by which the branch should turn from point to point; more is refused
SHRINK = 4  # a corrector whose steps do not shrink so fast is going to another branch
LONGEST = 2.0  # step
BACK = 0.1  # of the highest t, in which t is measured where it is smaller: a branch may pass t = 0
FAR = 1e3  # times the load, in the other direction: a branch that goes so far does not come back
SHORTEST = 0.7  # step: ε to this power, 1e-11 in float64, as regularised laws have corners that sharp


class Path(NamedTuple):
    """The state along a branch: the last point accepted, and the corrector on its way to the next.

    Points are u = [y, t]. What counts alike in a step is what changes y and t by the same share of what they are, so
    that neither how equations are scaled nor how strong the load is matters.
    """

    u: Array
    unit: Array  # [y, t]: what tangents, rows and steps are measured in
    highest: Array  # t so far
    tangent: Array
    sign: Array  # of the bordered determinant: 0 as long as no point is accepted
    ds: Array
    trial: Array
    row: Array  # the corrector's constraint: row · (trial − u)/unit = advance
    advance: Array
    limit: Array  # of the next correction's length
    last: Array  # whether the trial is the end, t = 1
    iterations: Array
    ended: Array
    branched: Array


class Ascent(eqx.Module):
    """From `guess` [n], the solution at t = 0, to t = 1; `size` []: a change of y that counts like t."""

    residual: Callable[..., Any]
    args: PyTree
    guess: Float[Array, " n"]
    size: Float[Array, ""]
    start: float
    tolerance: float
    max_steps: int = eqx.field(static=True)
    straight_on: bool = eqx.field(static=True)

    @property
    def up(self) -> Float[Array, " m"]:
        """Along t alone."""
        return jnp.zeros(self.guess.size + 1, self.guess.dtype).at[-1].set(1.0)

    def units(self, u: Array, highest: Array) -> Array:
        """What of u = [y, t] counts alike at a point."""
        extent = jnp.linalg.norm(u[:-1])
        extent = jnp.where(extent > 0, extent, self.size)
        return jnp.append(jnp.full_like(self.guess, extent), jnp.maximum(jnp.abs(u[-1]), BACK * highest))

    def ahead(self, u: Array, unit: Array, tangent: Array, ds: Array) -> tuple[Array, Array, Array, Array]:
        """Where to try next and by which constraint: the arclength, or t = 1 itself."""
        last = u[-1] + ds * tangent[-1] * unit[-1] >= 1.0
        ds = jnp.where(last, (1.0 - u[-1]) / jnp.where(last, tangent[-1] * unit[-1], 1.0), ds)
        row = jnp.where(last, self.up, tangent)
        return u + ds * tangent * unit, row, row @ (ds * tangent), last

    def first_trial(self, t: Array) -> tuple[Array, Array, Array]:
        """The first trial, at a small t: where it is, its unit, and how far the corrector may go."""
        known = jnp.linalg.norm(self.guess) > 0
        extent = jnp.where(known, jnp.linalg.norm(self.guess), self.size * t)
        unit = jnp.append(jnp.full_like(self.guess, extent), t)
        return jnp.append(self.guess, t), unit, jnp.where(known, 0.1, jnp.inf)

    def begun(self) -> Path:
        """The state before the first iteration."""
        zero, no = jnp.zeros((), self.guess.dtype), jnp.zeros((), bool)
        trial, unit, limit = self.first_trial(zero + self.start)
        up, half, count = self.up, zero + 0.5, jnp.zeros((), int)
        return Path(trial, unit, zero, up, zero, half, trial, up, zero, limit, no, count, no, no)

    def bordered(self, path: Path) -> tuple[Array, Array, Array]:
        """Newton's step, the unit tangent that goes on, and the sign of the bordered determinant along it."""
        y, t = path.trial[:-1], path.trial[-1]
        f, f_t = jax.jvp(lambda t: self.residual(y, t, self.args), (t,), (jnp.ones_like(t),))
        jacobian = jnp.concatenate([jax.jacfwd(self.residual)(y, t, self.args), f_t[:, None]], axis=1)
        matrix = jnp.concatenate([jacobian * path.unit, path.row[None]])
        missing = path.advance - path.row @ ((path.trial - path.u) / path.unit)
        solution, sign = solved_with_sign(matrix, jnp.stack([jnp.append(-f, missing), self.up], axis=1))
        step, tangent = solution.T
        tangent = tangent / jnp.linalg.norm(tangent)
        forwards = jnp.where(path.sign == 0, tangent[-1], tangent @ path.tangent) >= 0
        return step, jnp.where(forwards, tangent, -tangent), jnp.where(forwards, sign, -sign)

    # One Newton step an iteration, whatever it is for: one loop compiles fast, and a batch stays in step.
    def iterate(self, path: Path) -> Path:
        """The state after another Newton step."""
        step, tangent, sign = self.bordered(path)
        corrected, length, first = path.trial + step * path.unit, jnp.linalg.norm(step), path.sign == 0
        angle = jnp.arccos(jnp.clip(tangent @ path.tangent, -1.0, 1.0))
        finite = jnp.all(jnp.isfinite(corrected)) & jnp.all(jnp.isfinite(tangent))
        extent = jnp.linalg.norm(corrected[:-1]) / path.unit[0]
        # Exact at every point: what is left of an unknown that is small beside the others may be all of it.
        exact = (length <= self.tolerance * extent) & settled(length, SHRINK * path.limit, extent)
        arrived = finite & (exact | (length <= 8 * jnp.finfo(length.dtype).eps))
        refused = ~arrived & ~(length <= path.limit) | (arrived & ~first & ~path.last & (angle > LARGEST_TURN))
        taken = arrived & ~refused
        # Along a branch that is regular, round folds too, the sign stays; units and rows turn it by nothing.
        branched = taken & (sign * path.sign < 0) & (not self.straight_on)
        u, sign = (jnp.where(taken, new, old) for new, old in ((corrected, path.u), (sign, path.sign)))
        highest = jnp.maximum(path.highest, u[-1])
        unit = jnp.where(taken, self.units(u, highest), path.unit)
        along = tangent * path.unit / unit
        along = jnp.where(taken, along / jnp.linalg.norm(along), path.tangent)
        grown = jnp.where(first, path.ds, path.ds * jnp.clip(TURN / jnp.maximum(angle, 1e-9), 0.5, 3.0))
        ds = jnp.where(taken, jnp.minimum(grown, LONGEST), jnp.where(refused, path.ds / 4, path.ds))
        trial, row, advance, last = self.ahead(u, unit, along, ds)
        limit = 0.5 * ds
        # Not yet begun: nearer to t = 0.
        waiting = first & ~taken
        t0 = jnp.where(refused, path.trial[-1] / 4, path.trial[-1])
        trial0, unit0, limit0 = self.first_trial(t0)
        trial, unit = jnp.where(waiting, trial0, trial), jnp.where(waiting, unit0, unit)
        row, advance, last = jnp.where(waiting, self.up, row), jnp.where(waiting, 0.0, advance), last & ~waiting
        fresh = taken | refused
        return Path(
            u=jnp.where(waiting, trial0, u),
            unit=unit,
            highest=highest,
            tangent=along,
            sign=sign,
            ds=jnp.where(waiting, path.ds, ds),
            trial=jnp.where(fresh, trial, corrected),
            row=jnp.where(fresh, row, path.row),
            advance=jnp.where(fresh, advance, path.advance),
            limit=jnp.where(fresh, jnp.where(waiting, limit0, limit), length / SHRINK),
            last=jnp.where(fresh, last, path.last),
            iterations=path.iterations + 1,
            ended=taken & path.last,
            branched=branched,
        )

    def going(self, path: Path) -> Bool[Array, ""]:
        """Whether there is more to do."""
        kind = jnp.finfo(self.guess.dtype)
        moving = jnp.where(path.sign != 0, path.ds > float(kind.eps) ** SHORTEST, path.trial[-1] > kind.tiny)
        within = (path.u[-1] > -FAR) & (path.iterations < self.max_steps)
        return ~path.ended & ~path.branched & moving & within

    def followed(self) -> tuple[Array, Any, Array, Array]:
        """y where the path ends, how it ended, ‖F‖ there at t = 1, and the number of Newton steps."""
        # Bound methods of modules are not hashable, as JAX has it of functions.
        going, iterate = (lambda path: self.going(path)), (lambda path: self.iterate(path))
        end = lax.while_loop(going, iterate, self.begun())
        y = end.u[:-1]
        norm = jnp.linalg.norm(self.residual(y, jnp.ones((), y.dtype), self.args))
        lost = RESULTS.where(jnp.isfinite(norm), RESULTS.max_steps_reached, RESULTS.nonfinite)
        result = RESULTS.where((end.sign != 0) & (end.iterations < self.max_steps), RESULTS.fold, lost)
        result = RESULTS.where(end.branched, RESULTS.branch_point, result)
        result = RESULTS.where(end.ended & ~end.branched, RESULTS.successful, result)
        return y, result, norm, end.iterations


def value_and_jacobian(residual: Callable[..., Any], y: Array, args: PyTree) -> tuple[Array, Array]:
    """F and ∂F/∂y, of one evaluation: see "Two LAPACK calls at once" in docs/oscillators.md."""
    jacobian, f = jax.jacfwd(lambda y: (residual(y, args),) * 2, has_aux=True)(y)
    return f, jacobian


def settled(step: Array, before: Array, size: Array) -> Bool[Array, ""]:
    """Whether Newton steps have stopped shrinking, so that round-off is all that is left of them."""
    return (step <= 8 * jnp.finfo(size.dtype).eps * size) | (step > before / 4)
