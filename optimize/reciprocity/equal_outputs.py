"""Where both directions have outputs of one norm, or of one phase: all such frequencies, from the branches of both."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from diffnr.compilation import compiled
from diffnr.continuation import trace
from diffnr.duffing.course import response_scale
from diffnr.duffing.harmonic_balance import continued_orbit, linearise
from diffnr.duffing.oscillators import linear_frequencies
from diffnr.ports import Drive
from diffnr.results import RESULTS
from diffnr.root import frozen, newton
from optimize.reciprocity.both_ways import CONDITION, DrivenBothWays, Equal, joined, sizes

DIFFERENT = 1e-8  # of norms, and rad: what Newton's method leaves of them is less
SAME = 1e-6  # of the size: points closer than this are one
SPANS = 5  # pieces of one branch that are there, on average, at a frequency of the other
MAX_POINTS = 200  # of a branch on which a search begins, per oscillator
CHUNK = 256  # orbits that are linearised at once


def undetermined(u: Float[Array, " k"], driven: DrivenBothWays, equal: Equal) -> Float[Array, ""]:
    """How much u changes, relatively, by a relative change of one norm, or by a radian: large at a double root."""
    u, driven = frozen((u, driven))
    jacobian = jax.jacfwd(equal)(u, driven)
    change = jnp.linalg.solve(jacobian, jnp.zeros_like(u).at[-1].set(1.0))
    return jnp.linalg.norm(change / sizes(u))


@compiled
def roots(
    driven: DrivenBothWays, low: Array, high: Array, most: int, max_points: int, equal: Equal
) -> tuple[Float[Array, "point k"], Bool[Array, " point"], Bool[Array, ""]]:
    """u of all points in order along the forward branch, which there are, and whether both branches have a start.

    Where there is none, u is the start of both branches: regular, for what is masked is differentiated as well.
    """
    y, omega = branches(driven, low, high, max_points)
    start = joined(y[:, 0], omega[0, 0])

    # Seen from the points of either branch: near a fold of one of them only its own points surround a crossing.
    ports = jnp.arange(2)
    seen = lax.map(
        lambda port: _crossings(driven, port, y[port], omega[port], y[1 - port], omega[1 - port], most, equal), ports
    )
    guess, radius, position, found = (x.reshape(2 * most, *x.shape[2:]) for x in seen)
    order = jnp.argsort(jnp.where(found, position, jnp.inf))
    guess, radius, found = guess[order], radius[order], found[order]

    def refine(guess: Array, radius: Array) -> tuple[Array, Array]:
        solution = newton(equal, guess, driven, max_steps=20)
        u = solution.value
        near = jnp.linalg.norm((u - guess) / sizes(guess)) <= radius
        return u, (solution.result == RESULTS.successful) & near & (
            undetermined(u, driven, equal) < CONDITION
        ) & ~equal.opposite(u, driven)

    u, good = jax.vmap(refine)(guess, radius)
    valid = _distinct(u, found & good)
    first = jnp.nonzero(valid, size=most, fill_value=-1)[0]
    return jnp.where((first >= 0)[:, None], u[first], start), first >= 0, jnp.all(jnp.isfinite(start))


def _distinct(u: Float[Array, "point k"], found: Bool[Array, " point"]) -> Bool[Array, " point"]:
    """Which of the points found are not among those before."""
    u = jnp.where(found[:, None], u, 1.0)
    apart = jnp.linalg.norm((u[:, None] - u) / jax.vmap(sizes)(u), axis=-1) > SAME
    earlier = np.tri(found.size, k=-1, dtype=bool)
    return found & jnp.all(apart | ~earlier | ~found, axis=1)


def _crossings(
    driven: DrivenBothWays,
    port: Array,
    y: Array,
    omega: Array,
    other_y: Array,
    other_omega: Array,
    most: int,
    equal: Equal,
) -> tuple[Float[Array, "point k"], Float[Array, " point"], Float[Array, " point"], Bool[Array, " point"]]:
    """Where the outputs of two branches are equal between points of the first, of direction `port`.

    Returns guesses of u, how far from them roots may be, their positions along the forward branch, and which there are.
    """
    folds = jnp.diff(jnp.sign(jnp.diff(other_omega))) != 0
    piece = jnp.cumsum(jnp.append(jnp.zeros((1,), int), folds))  # of each interval: folds before it
    pieces = 4 * driven.model.num_ports + 1  # room for two folds of both outputs at every resonance
    args = driven.model, driven.forces[1 - port]

    def place(omega: Array, number: Array) -> Array:
        """Where on one piece of the other direction's branch a frequency is, or NaN."""
        below = other_omega - omega
        spans = (below[:-1] * below[1:] <= 0) & (piece == number)
        j = jnp.argmax(spans)
        share = jnp.where(below[j] == 0, 0.0, below[j] / (below[j] - below[j + 1]))
        return jnp.where(jnp.any(spans), j + share, jnp.nan)

    def refine(there: tuple[Array, Array]) -> Array:
        """The other direction's orbit at a frequency and a place on its branch."""
        omega, position = there
        j = position.astype(int)
        share = position - j
        x = other_y[j] * (1 - share) + other_y[j + 1] * share
        for _ in range(2):  # a chord is good to 1e-3, so that two steps leave 1e-10
            f, jacobian, _ = linearise(x, omega, args)
            x = x - jnp.linalg.solve(jacobian, f)
        return x

    position = jax.vmap(lambda omega: jax.vmap(place, (None, 0))(omega, jnp.arange(pieces)))(omega)  # [point, piece]
    # Few pieces are there at a frequency: those that are take their turns.
    room = min(SPANS, pieces) * omega.size
    there = jnp.nonzero(~jnp.isnan(position.ravel()), size=room, fill_value=position.size)[0]
    held = jnp.minimum(there, position.size - 1)
    at = jnp.where(there < position.size, omega[held // pieces], omega[0])
    begun = jnp.where(there < position.size, position.ravel()[held], 0.0)
    found = lax.map(refine, (at, begun), batch_size=CHUNK)
    other = jnp.full((position.size, y.shape[1]), jnp.nan).at[there].set(found, mode="drop")
    other = other.reshape(*position.shape, -1)
    forward = port == 0
    mine = jnp.broadcast_to(y[:, None], other.shape)
    at = jnp.broadcast_to(omega[:, None], position.shape)
    position = jnp.where(forward, jnp.arange(omega.size, dtype=position.dtype)[:, None], position)
    u = jnp.where(forward, jnp.concatenate([mine, at[..., None], other], axis=-1),
                  jnp.concatenate([other, at[..., None], mine], axis=-1))  # fmt: skip
    gap = jax.vmap(jax.vmap(lambda u: equal.gap(u, driven)))(u)
    cross = (gap[:-1] * gap[1:] <= 0) & (gap[1:] != 0) & (jnp.abs(gap[1:] - gap[:-1]) > DIFFERENT)
    first = jnp.nonzero(cross.ravel(), size=most, fill_value=-1)[0]
    i, k = jnp.divmod(jnp.maximum(first, 0), pieces)
    share = gap[i, k] / (gap[i, k] - gap[i + 1, k])
    chord = u[i + 1, k] - u[i, k]
    guess = u[i, k] + share[:, None] * chord
    radius = jnp.linalg.norm(chord / jax.vmap(sizes)(guess), axis=1)
    return guess, radius, position[i, k] + share * (position[i + 1, k] - position[i, k]), first >= 0


@compiled
def band_of(driven: DrivenBothWays) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The frequencies between which a search begins."""
    natural = linear_frequencies(driven.model)
    return 0.4 * natural[0], 1.6 * natural[-1]


def branches(
    driven: DrivenBothWays, low: Array, high: Array, max_points: int
) -> tuple[Float[Array, "direction point n"], Float[Array, "direction point"]]:
    """The orbits along the branch of either direction and their frequencies; NaN beyond the last."""
    return lax.map(lambda port: _branch(driven, port, low, high, max_points), jnp.arange(2))


def _branch(driven: DrivenBothWays, port: Array, low: Array, high: Array, max_points: int) -> tuple[Array, Array]:
    model, amplitude = driven.model, driven.amplitude
    b, result = continued_orbit(model, Drive(low, amplitude), jnp.asarray(driven.ports)[port])
    y = jnp.where(result == RESULTS.successful, model.basis.coefficients(b).ravel(), jnp.nan)
    scale = response_scale(model, amplitude, low, high)
    args = model, driven.forces[port]
    branch = trace(linearise, y, low, (low, high), args, scale=scale, max_points=max_points)
    valid = jnp.arange(max_points) < branch.count
    return jnp.where(valid[:, None], branch.y, jnp.nan), jnp.where(valid, branch.parameter, jnp.nan)
