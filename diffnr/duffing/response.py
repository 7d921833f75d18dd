"""Frequency responses of oscillators: the whole branch, its folds, peaks and stability, and points on every sheet."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Complex, Float, Int

from diffnr.checks import as_real, is_concrete, require, require_finite
from diffnr.continuation import ENDINGS, Branch, fold_residual, trace, turning
from diffnr.duffing.harmonic_balance import balance, continued_orbit, forcing, linearise, residual
from diffnr.duffing.oscillators import AbstractOscillators, as_frequency, linear_frequencies
from diffnr.ports import Drive, require_port
from diffnr.root import RESULTS, implicit, newton
from diffnr.stability import floquet_multipliers, instants

BLOCK = 32  # orbits whose multipliers are computed at once
FLOQUET_STEPS = 32  # of half a period; the multiplier at a fold then is +1 within 1e-6


class Points(eqx.Module):
    """Orbits on a branch, in order; NaN beyond `count`.

    **Fields:** `omega` [point]; `b` [point, oscillator, harmonic] complex, x_j(t) = Re Σ b_jh e^{ihωt}; `multipliers`
    [point, 2n] complex, Floquet's, largest modulus first; `count` []; `harmonics`, the last axis of b.
    """

    omega: Float[Array, " point"]
    b: Complex[Array, "point oscillator harmonic"]
    multipliers: Complex[Array, "point state"]
    count: Int[Array, ""]
    harmonics: tuple[int, ...] = eqx.field(static=True)

    @property
    def valid(self) -> Bool[Array, " point"]:
        """Which points there are."""
        return jnp.arange(self.omega.shape[-1]) < self.count[..., None]

    @property
    def norm(self) -> Float[Array, "point oscillator"]:
        """N = √(1/T ∫x² dt) of every oscillator."""
        weights = jnp.asarray([1.0 if h == 0 else 0.5 for h in self.harmonics], self.omega.dtype)
        return jnp.sqrt(jnp.sum(weights * (self.b.real**2 + self.b.imag**2), axis=-1))

    @property
    def phase(self) -> Float[Array, "point oscillator"]:
        """The phase of every fundamental against the force, in (−π, π], rad."""
        return jnp.angle(self.b[..., self.harmonics.index(1)])

    @property
    def harmonicity(self) -> Float[Array, "point oscillator"]:
        """|X_1| / √(Σ|X_h|²) of every oscillator: 1 for a pure tone."""
        power = self.b.real**2 + self.b.imag**2
        return jnp.sqrt(power[..., self.harmonics.index(1)] / jnp.sum(power, axis=-1))

    @property
    def stable(self) -> Bool[Array, " point"]:
        """Whether all multipliers lie inside of the unit circle."""
        return jnp.abs(self.multipliers[..., 0]) < 1


class FrequencyResponse(eqx.Module):
    """The branch of periodic orbits over the frequency of one driven oscillator; made by `frequency_response`.

    **Fields:** `points`, along the branch; `folds`, where it turns back; `ending`, of `continuation.ENDINGS`; `model`,
    `amplitude` and `port`, whose it is. `omega`, `norm`, `phase`, `harmonicity`, `stable`, `multipliers`, `b` and
    `count` are those of the points.
    """

    points: Points
    folds: Points
    ending: Any
    model: AbstractOscillators
    amplitude: Array
    port: int = eqx.field(static=True)

    @property
    def omega(self) -> Float[Array, " point"]:
        return self.points.omega

    @property
    def b(self) -> Complex[Array, "point oscillator harmonic"]:
        return self.points.b

    @property
    def norm(self) -> Float[Array, "point oscillator"]:
        return self.points.norm

    @property
    def phase(self) -> Float[Array, "point oscillator"]:
        return self.points.phase

    @property
    def harmonicity(self) -> Float[Array, "point oscillator"]:
        return self.points.harmonicity

    @property
    def stable(self) -> Bool[Array, " point"]:
        return self.points.stable

    @property
    def multipliers(self) -> Complex[Array, "point state"]:
        return self.points.multipliers

    @property
    def count(self) -> Int[Array, ""]:
        return self.points.count

    def trim(self) -> FrequencyResponse:
        """The response without the empty rest of its buffers, for people; not inside a transformation."""
        return eqx.tree_at(lambda r: (r.points, r.folds), self, (_trimmed(self.points), _trimmed(self.folds)))

    def at(self, omega: ArrayLike, *, most: int = 7) -> Points:
        """The orbits at one frequency, one for each sheet of the branch, in order along it; with exact derivatives.

        **Arguments:** `omega`: [], within the branch's range; `most`: how many at most, a static number.
        """
        omega = as_frequency("omega", omega)
        return _at(self, omega, most)

    def peaks(self, *, out: int, most: int = 6) -> Points:
        """The maxima of the norm of one oscillator along the branch, in order; with exact derivatives.

        **Arguments:** `out`: the oscillator; `most`: how many at most, a static number.

        **Raises:** `ValueError` for an oscillator that does not exist.
        """
        require_port("out", out, self.model.num_ports)
        return _peaks(self, out, most)


def frequency_response(
    model: AbstractOscillators,
    *,
    amplitude: ArrayLike,
    omega: tuple[ArrayLike, ArrayLike],
    port: int = 0,
    harmonics: int | None = None,
    max_points: int = 400,
    max_folds: int = 8,
    throw: bool = True,
) -> FrequencyResponse:
    """The response of oscillators to a force of given amplitude at one of them, over its frequency, by continuation.

    **Arguments:**

    - `model`: the oscillators. `amplitude`: [], P, of the force; `port`: the driven oscillator.
    - `omega`: (lowest, highest) frequency, positive. The branch begins at the lowest, with the orbit continued from the
      linear response, and goes on through folds until it leaves the range.
    - `harmonics`: the highest harmonic of orbits; default the model's.
    - `max_points`, `max_folds`: room for points and folds; static numbers.
    - `throw`: raise where not even a start is found. A branch that stops short is returned with its `ending` anyhow.

    **Returns:** a `FrequencyResponse`. Derivatives with respect to the model and the amplitude are exact: of folds,
    peaks and `at` as they are, of points at fixed frequency (they diverge at folds).

    **Raises:** `ValueError` for bounds that are not positive and rising, float32, a port that does not exist;
    `RuntimeError` if `throw` and there is no start.

    Good values: 9 harmonics are precise to 1e-8 for the paper's pairs at P = .15; 13 for P = 1.

    Source: paper 2, Figures 1 and 3 (there by AUTO).
    """
    require_port("port", port, model.num_ports)
    low, high = (as_frequency("omega", bound) for bound in omega)
    if is_concrete(low, high):
        require(np.asarray(low) < np.asarray(high), "omega", "be (lowest, highest), in this order", f"({low}, {high})")
    amplitude = as_real(amplitude, "amplitude")
    require(amplitude.ndim == 0, "amplitude", "be a scalar (use jax.vmap for many)", f"of shape {amplitude.shape}")
    require_finite("amplitude", amplitude)
    if harmonics is not None:
        model = with_harmonics(model, harmonics)
    require_double("model", model.mass)
    response = _frequency_response(model, amplitude, low, high, port, max_points, max_folds)
    if throw:
        ending = response.ending
        counted = ending.error_if(response.points.count, ending == ENDINGS.no_start)
        response = eqx.tree_at(lambda r: r.points.count, response, counted)
    return response


def with_harmonics(model: AbstractOscillators, harmonics: int) -> AbstractOscillators:
    """The model with another highest harmonic."""
    require(isinstance(harmonics, int) and harmonics >= 1, "harmonics", "be an integer of at least 1", harmonics)
    # As JAX itself does it when it puts a module together: `__init__` need not take what the fields hold.
    new = object.__new__(type(model))
    for field in dataclasses.fields(model):
        value = harmonics if field.name == "num_harmonics" else getattr(model, field.name)
        object.__setattr__(new, field.name, value)
    return new


def require_double(name: str, value: Array) -> None:
    """Raise unless `value` has 64 bits."""
    if value.dtype != jnp.float64:
        raise ValueError(
            f"Argument {name} must be in float64, but was in {value.dtype}: call "
            'jax.config.update("jax_enable_x64", True) before the model is built, and build it again.'
        )


@eqx.filter_jit
def _frequency_response(
    model: AbstractOscillators, amplitude: Array, low: Array, high: Array, port: int, max_points: int, max_folds: int
) -> FrequencyResponse:
    basis, drive = model.basis, forcing(model, port, amplitude)
    b, result = continued_orbit(model, Drive(low, amplitude), port)
    y = jnp.where(result == RESULTS.successful, basis.coefficients(b).ravel(), jnp.nan)
    branch = trace(
        linearise, y, low, (low, high), (model, drive), scale=_scale(model, amplitude, low, high), max_points=max_points
    )
    valid = jnp.arange(max_points) < branch.count
    y, omega = _at_fixed_frequency(model, branch, drive, valid)
    folds, at_folds, folded = _folds(model, branch, drive, max_folds)
    every = orbits(
        model,
        jnp.concatenate([folds, y]),
        jnp.concatenate([at_folds, omega]),
        jnp.concatenate([folded, valid]),
        needed=max_folds + branch.count,
    )
    points, folds = (_part(every, part) for part in (slice(max_folds, None), slice(None, max_folds)))
    return FrequencyResponse(points, folds, branch.ending, model, amplitude, port)


def _scale(model: AbstractOscillators, amplitude: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """What counts alike along the branch: half of the linear peak's displacement, and half of the frequency scale."""
    first = jnp.clip(linear_frequencies(model)[0], low, high)
    peak = jnp.abs(amplitude) / (jnp.max(model.friction) * first + 1e-3 * jnp.max(model.mass) * first**2)
    return peak / 2, first / 2


def _at_fixed_frequency(
    model: AbstractOscillators, branch: Branch, drive: Array, valid: Array
) -> tuple[Float[Array, "point n"], Float[Array, " point"]]:
    """The branch's points as functions of the model at fixed ω; beyond them rest, at which all is finite."""
    y, omega = jnp.where(valid[:, None], branch.y, 0.0), jnp.where(valid, branch.parameter, 1.0)
    return jax.vmap(lambda y, omega: implicit(residual, y, (model, omega, drive)))(y, omega), omega


def orbits(
    model: AbstractOscillators,
    y: Float[Array, "point n"],
    omega: Float[Array, " point"],
    valid: Bool[Array, " point"],
    *,
    needed: Int[Array, ""] | None = None,
) -> Points:
    """Points of coefficients [point, n·m] that balance at ω [point], with their multipliers; NaN where not `valid`.

    **Arguments:** `needed`: [], how many of the points, from the first, are worth their multipliers; default all.
    """
    basis, n = model.basis, model.mass.size
    c = y.reshape(-1, n, basis.size)
    b = jax.vmap(basis.phasors)(c)
    multipliers = _multipliers(*lax.stop_gradient((model, c, omega)), c.shape[0] if needed is None else needed)
    return Points(
        omega=jnp.where(valid, omega, jnp.nan),
        b=jnp.where(valid[:, None, None], b, jnp.nan),
        multipliers=jnp.where(valid[:, None], multipliers, jnp.nan),
        count=jnp.sum(valid),
        harmonics=basis.orders,
    )


def _part(points: Points, part: slice) -> Points:
    omega, b, multipliers = points.omega[part], points.b[part], points.multipliers[part]
    return Points(omega, b, multipliers, jnp.sum(~jnp.isnan(omega)), points.harmonics)


def _multipliers(
    model: AbstractOscillators, c: Array, omega: Array, needed: Array | int
) -> Complex[Array, "point state"]:
    """Floquet multipliers of orbits c [point, oscillator, m], in blocks, as far as they are needed."""
    count = c.shape[0]
    blocks = -(-count // BLOCK)
    c = jnp.pad(c, ((0, blocks * BLOCK - count), (0, 0), (0, 0)))
    omega = jnp.pad(omega, (0, blocks * BLOCK - count), constant_values=1.0)

    def block(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        i, multipliers = carry
        orbits, frequencies = (lax.dynamic_slice_in_dim(x, i * BLOCK, BLOCK) for x in (c, omega))
        found = _multipliers_of(model, orbits, frequencies)
        return i + 1, lax.dynamic_update_slice_in_dim(multipliers, found, i * BLOCK, axis=0)

    empty = jnp.full((blocks * BLOCK, 2 * model.mass.size), jnp.nan, jnp.result_type(c, jnp.complex64))
    _, multipliers = lax.while_loop(lambda carry: carry[0] * BLOCK < needed, block, (jnp.zeros((), int), empty))
    return multipliers[:count]


def _multipliers_of(model: AbstractOscillators, c: Array, omega: Array) -> Complex[Array, "point state"]:
    basis, n = model.basis, model.mass.size
    repeats = 2 if basis.odd else 1
    waves = basis.at(instants(FLOQUET_STEPS * 2 // repeats, 2 * np.pi / repeats)).astype(c.dtype)
    x = jnp.einsum("im,pnm->nip", waves, c)
    units = jnp.eye(n, dtype=c.dtype)
    slopes = [
        jax.jvp(model.force, (x,), (jnp.broadcast_to(unit[:, None, None], x.shape),))[1] for unit in units
    ]  # [by][of, instant, point]
    stiffness = jnp.stack(slopes, axis=1).transpose(2, 0, 1, 3)
    return floquet_multipliers(model.mass, model.friction, stiffness, 2 * jnp.pi / omega, repeats=repeats)


def _folds(
    model: AbstractOscillators, branch: Branch, drive: Array, most: int
) -> tuple[Float[Array, "fold n"], Float[Array, " fold"], Bool[Array, " fold"]]:
    """Coefficients, frequencies, and which of `most` there are; a regular point where there is none."""
    found = turning(branch.slope)
    first = jnp.nonzero(found, size=most, fill_value=-1)[0]
    valid = first >= 0
    first = jnp.maximum(first, 0)
    # Where dλ/ds vanishes, by linear interpolation.
    share = (branch.slope[first] / (branch.slope[first] - branch.slope[first + 1]))[:, None]
    u = jnp.concatenate([branch.y, branch.parameter[:, None]], axis=1)
    guess = jnp.where(valid[:, None], u[first] * (1 - share) + u[first + 1] * share, u[0])
    along = jnp.where(valid[:, None], branch.y[first + 1] - branch.y[first], 1.0)

    def refine(guess: Array, along: Array, valid: Array) -> tuple[Array, Array]:
        _, _, border = lax.stop_gradient(linearise(guess[:-1], guess[-1], (model, drive)))
        args = (balance, (model, drive), border, along / jnp.linalg.norm(along))
        return _refined(fold_residual, guess, args, u[0], valid)

    u, valid = jax.vmap(refine)(guess, along, valid)
    return u[:, :-1], u[:, -1], valid


def _refined(residual: Any, guess: Array, args: Any, spare: Array, valid: Array) -> tuple[Array, Array]:
    """The root near `guess` with its derivative, and whether there is one; elsewhere `spare`, a regular point.

    (A lane that is masked afterwards is differentiated all the same, so that it must not be NaN.)
    """
    solution = newton(residual, guess, args, max_steps=20)
    valid = valid & (solution.result == RESULTS.successful)
    return implicit(residual, lax.stop_gradient(jnp.where(valid, solution.value, spare)), args), valid


@eqx.filter_jit
def _at(response: FrequencyResponse, omega: Array, most: int) -> Points:
    model, points = response.model, lax.stop_gradient(response.points)
    drive = forcing(model, response.port, response.amplitude)
    below = points.omega - lax.stop_gradient(omega)
    crossing = (below[:-1] * below[1:] <= 0) & (below[1:] != 0)
    first = jnp.nonzero(crossing, size=most, fill_value=-1)[0]
    valid = first >= 0
    first = jnp.maximum(first, 0)
    share = (below[first] / (below[first] - below[first + 1]))[:, None]
    y = jax.vmap(lambda b: model.basis.coefficients(b).ravel())(points.b)
    guess = jnp.where(valid[:, None], y[first] * (1 - share) + y[first + 1] * share, y[0])

    args = (model, omega, drive)
    y, valid = jax.vmap(lambda guess, valid: _refined(residual, guess, args, y[0], valid))(guess, valid)
    return orbits(model, y, jnp.full(most, 1.0) * omega, valid)


@eqx.filter_jit
def _peaks(response: FrequencyResponse, out: int, most: int) -> Points:
    model, points = response.model, lax.stop_gradient(response.points)
    drive = forcing(model, response.port, response.amplitude)
    norm = points.norm[:, out]
    inner = (norm[1:-1] >= norm[:-2]) & (norm[1:-1] > norm[2:])
    middle = jnp.nonzero(inner, size=most, fill_value=-1)[0] + 1
    valid = middle > 0
    middle = jnp.maximum(middle, 1)
    y = jax.vmap(lambda b: model.basis.coefficients(b).ravel())(points.b)
    u = jnp.concatenate([y, points.omega[:, None]], axis=1)
    guess = jnp.where(valid[:, None], u[middle], u[0])
    along = jnp.where(valid[:, None], u[middle + 1] - u[middle - 1], 1.0)

    def refine(guess: Array, along: Array, valid: Array) -> tuple[Array, Array]:
        args = (model, drive, along / jnp.linalg.norm(along))
        return _refined(_PeakResidual(out), guess, args, u[0], valid)

    u, valid = jax.vmap(refine)(guess, along, valid)
    return orbits(model, u[:, :-1], u[:, -1], valid)


def peak_residual(out: int, u: Float[Array, " m"], args: Any) -> Float[Array, " m"]:
    """F(y, ω) and d(N²/2)/ds of one oscillator along the branch, whose tangent t has row · t = 1, [n·m + 1].

    **Arguments:** `out`: the oscillator; `u`: [n·m + 1], y and ω; `args`: (model, the force's coefficients, row).
    """
    model, drive, row = args
    f, jacobian, slope = linearise(u[:-1], u[-1], (model, drive))
    matrix = jnp.concatenate([jnp.concatenate([jacobian, slope[:, None]], axis=1), row[None]])
    tangent = jnp.linalg.solve(matrix, jnp.zeros_like(u).at[-1].set(1.0))
    m = model.basis.size
    weights = jnp.where(jnp.asarray(model.basis.terms) == 0, 1.0, 0.5)
    ours = slice(out * m, (out + 1) * m)
    return jnp.append(f, jnp.sum(weights * u[:-1][ours] * tangent[:-1][ours]))


class _PeakResidual(eqx.Module):
    out: int = eqx.field(static=True)

    def __call__(self, u: Array, args: Any) -> Array:
        return peak_residual(self.out, u, args)


def _trimmed(points: Points) -> Points:
    count = int(points.count)
    return eqx.tree_at(
        lambda p: (p.omega, p.b, p.multipliers),
        points,
        (points.omega[:count], points.b[:count], points.multipliers[:count]),
    )
