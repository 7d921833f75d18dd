"""Steady states of many oscillators by time integration, in step with the force.

A fixed number of steps a period meets the same instants of the force in every period: it is a table, and no cosine is
ever computed. The state is one number for each displacement and velocity, so that under `vmap` every operation runs
along the batch.

    M x'' + C x' + f(x, ωt) = F(t)      =      drift  x' = v, v' = −M⁻¹C v   +   kick  v' = M⁻¹(F(t) − f(x, ωt))

Both parts are solved exactly in turn, by the splitting of order 6 of S. Blanes and P. C. Moan, J. Comput. Appl. Math.
142, 313 (2002), table 3, made for v' = f(x): 11 forces a step, and an error constant that lets few steps do. Friction,
exact in the drift, leaves its order conditions alone. Forces that depend on velocities are no kick: these motions are
integrated by Dormand and Prince's method of order 8, in as many steps.
"""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from diffnr.checks import Count, Numbers, as_count, as_flag
from diffnr.duffing.forcing import Forcing, as_forcing
from diffnr.duffing.oscillators import AbstractOscillators, require_oscillators
from diffnr.duffing.transient import as_state, require_tone
from diffnr.ports import Drive
from diffnr.results import RESULTS, AbstractAnswer, raise_failures


def _palindrome(half: list[float], *, middle: int) -> list[float]:
    """Coefficients that sum to 1 and read the same from both ends; `middle` of them, 1 or 2, share what is left."""
    return half + [(1 - 2 * sum(half)) / middle] * middle + half[::-1]


KICKS = _palindrome(
    [0.0414649985182624, 0.198128671918067, -0.0400061921041533, 0.0752539843015807, -0.0115113874206879], middle=2
)
DRIFTS = _palindrome(
    [0.123229775946271, 0.290553797799558, -0.127049212625417, -0.246331761062075, 0.357208872795928], middle=1
)
NODES = np.cumsum([0.0, *DRIFTS])  # when in a step the kicks happen

State = tuple[list[Array], list[Array]]  # displacements, velocities


SETTLED = 1e-4  # of the size of the state: what settled changes by less in a period


class SettledOrbit(AbstractAnswer):
    """What `settle` returns: the last period, in phase with the force.

    **Fields:**

    - `omega` []; `x`, `v` [instant, oscillator], displacements and velocities at equal intervals from phase 0 on.
    - `b` [oscillator, harmonic] complex, x_j(t) = Re Σ b_jh e^{ihωt}, by Fourier transform; `harmonics`, its last axis;
      `periods` of the drive, that the model's orbits take.
    - `drift` []: how far the state moved in a whole period, relative to its size; 0 in a steady state.
    - `result`, of `RESULTS`: successful where `drift` is below 1e-4. Where it is `not_settled` the numbers are those of
      the last period all the same, of a motion that still changes; where it is `nonfinite` they are NaN.
    """

    omega: Float[Array, ""]
    x: Float[Array, "instant oscillator"]
    v: Float[Array, "instant oscillator"]
    b: Complex[Array, "oscillator harmonic"]
    drift: Float[Array, ""]
    result: Any
    harmonics: tuple[Any, ...] = eqx.field(static=True)
    periods: int = eqx.field(static=True, default=1)

    @property
    def ts(self) -> Float[Array, "*batch instant"]:
        """The times of the instants since phase 0."""
        instants = self.x.shape[-2]
        return jnp.arange(instants) / instants * (2 * jnp.pi * self.periods / self.omega)[..., None]

    @property
    def norm(self) -> Float[Array, "*batch oscillator"]:
        """N = √(1/T ∫x² dt) of every oscillator."""
        return jnp.sqrt(jnp.mean(self.x**2, axis=-2))


def settle(
    model: AbstractOscillators,
    drive: Drive,
    port: Any = 0,
    *,
    periods: Count = 200,
    steps_per_period: Count = 12,
    x0: Numbers | None = None,
    v0: Numbers | None = None,
    throw: bool = True,
) -> SettledOrbit:
    """Where oscillators settle under a tone at one of them, by integrating whole periods of

        M x'' + C x' + f(x, x', ωt) = Re(A e^{iωt}) at `port`

    **Arguments:**

    - `model`: the oscillators; `drive`: the tone, with scalar frequency and amplitude; `port`: the driven
      oscillator, complex shares [n] of the force, or a `BaseMotion`.
    - `periods`: how many. Small disturbances fall as e^{−ct/2m}: by e^{−63/ω} in 200 periods at ζ = .05.
    - `steps_per_period`: of order 6, with 12 forces each; the error falls by 64 as they halve. They must be shorter
      than half of the fastest resonance's own period, where the integration becomes unstable.
    - `x0`, `v0`: [n], at phase 0; default 0. `x[0]`, `v[0]` of another steady state continue it, so that a loop over
      frequencies follows a measured sweep up or down through its jumps.
    - `throw`: raise where the motion has not settled, that is if its state changes by 1e-4 of its size or more in the
      last period; otherwise `result` says it.

    **Returns:** a `SettledOrbit`. The period returned is one more, in steps short enough for all harmonics.

    **Raises:** `ValueError` for a port that does not exist, numbers that are not positive, shapes; `RuntimeError` if
    `throw` and the motion has not settled.

    **Notes:** for a batch, `jax.vmap` over this function; on processors with AVX-512 twice as fast in a function
    compiled by `jax.jit(..., compiler_options={"xla_cpu_prefer_vector_width": 512})`. Derivatives are those of the
    integration, with a checkpoint at each period. Only stable orbits are found, and where there are several the start
    decides. A quasi-periodic or chaotic motion never settles. Near a fold, or with little damping, the motion settles
    slowly: what is left to go is then many times the drift of one period.

    Good values, for the paper's pairs at ω > .7: 8 steps a period for 1e-6 of displacement, 12 for 5e-8, 24 for 1e-9.
    """
    require_oscillators(model)
    require_tone(drive, port, model)
    periods, steps_per_period = as_count(periods, "periods"), as_count(steps_per_period, "steps_per_period")
    throw = as_flag(throw, "throw")
    start = as_state("x0", x0, model), as_state("v0", v0, model)
    orbit = _settle(model, drive, as_forcing(port, model), periods, steps_per_period, *start)
    return raise_failures(orbit, orbit.result) if throw else orbit


@eqx.filter_jit
def _settle(
    model: AbstractOscillators, drive: Drive, port: Forcing, periods: int, steps: int, x0: Array, v0: Array
) -> SettledOrbit:
    omega = drive.omega
    dtype = jnp.result_type(model.mass, omega, jnp.real(drive.amplitude), x0, v0)
    state = [x.astype(dtype) for x in x0], [v.astype(dtype) for v in v0]

    cycles = int(model.basis.periods)  # of the drive, after which an orbit closes
    coarse = jax.checkpoint(lambda state: _period(model, drive, port, state, steps, cycles, dtype)[0])
    advance = lambda states, _: ((states[1], coarse(states[1])), None)  # noqa: E731
    (before, after), _ = lax.scan(advance, (state, state), None, length=-(-periods // cycles))
    instants = steps * -(-(4 * max(model.harmonics) + 2) // steps)
    _, (x, v) = _period(model, drive, port, after, instants, cycles, dtype)
    x, v = jnp.stack(x, axis=1), jnp.stack(v, axis=1)

    sizes = [jnp.concatenate([jnp.stack(x), jnp.stack(v) / omega]) for x, v in (before, after)]
    size = jnp.max(jnp.abs(sizes[1]))
    drift = jnp.max(jnp.abs(sizes[1] - sizes[0])) / jnp.where(size > 0, size, 1.0)
    result = RESULTS.where(drift < SETTLED, RESULTS.successful, RESULTS.not_settled)
    result = RESULTS.where(jnp.isfinite(drift), result, RESULTS.nonfinite)
    b = fourier(x, model.harmonics, cycles)
    x, v, b = (jnp.where(result == RESULTS.nonfinite, jnp.nan, part) for part in (x, v, b))
    return SettledOrbit(omega, x, v, b, drift, result, model.harmonics, cycles)


def fourier(
    x: Float[Array, "instant oscillator"], harmonics: tuple[Any, ...], periods: int = 1
) -> Complex[Array, "oscillator harmonic"]:
    """The harmonics of x(t) = Re Σ X_h e^{ihωt} from instants at equal intervals of so many periods."""
    orders = np.round(np.asarray(harmonics) * periods)
    phase = 2 * np.pi / x.shape[0] * np.arange(x.shape[0])[:, None] * orders
    weights = np.where(orders == 0, 1.0, 2.0) / x.shape[0]
    real, imag = (jnp.asarray(wave(phase) * weights, x.dtype) for wave in (np.cos, np.sin))
    return x.T @ real - 1j * (x.T @ imag)


def _period(
    model: AbstractOscillators, drive: Drive, port: Forcing, state: State, steps: int, cycles: int, dtype: jnp.dtype
) -> tuple[State, State]:
    """The state after so many cycles of the drive, and at the beginning of each step."""
    if "velocity" in model.depends_on:
        return _by_runge_kutta(model, drive, port, state, steps, cycles, dtype)
    h = 2 * jnp.pi / drive.omega / steps
    oscillators, driven = range(model.num_ports), port.driven(model.num_ports)
    share, fade, glide = _drifts(model, h)
    tau = 2 * np.pi / steps * (np.arange(cycles * steps)[:, None] + NODES)
    table = [jnp.asarray(wave, dtype) for wave in (np.cos(tau), np.sin(tau), tau)]
    push_of = port.phasors(model, drive.omega, drive.amplitude)
    real, imag = {j: jnp.real(push_of)[j] for j in driven}, {j: jnp.imag(push_of)[j] for j in driven}
    quadrature = jnp.iscomplexobj(push_of)

    def step(state: State, waves: list[Array]) -> tuple[State, State]:
        x, v = list(state[0]), list(state[1])
        for i, kick in enumerate(KICKS):
            force = {j: real[j] * waves[0][i] - (imag[j] * waves[1][i] if quadrature else 0.0) for j in driven}
            rest = jnp.zeros(model.num_ports, dtype)
            g = model.forces(jnp.stack(x), rest, waves[2][i])
            push = [force[j] - g[j] if j in force else -g[j] for j in oscillators]
            v = [v[j] + kick * _row(share[j], push) for j in oscillators]
            if i < len(DRIFTS):
                x = [x[j] + _row(glide[i][j], v) for j in oscillators]
                v = [_row(fade[i][j], v) for j in oscillators]
        end = [p.astype(dtype) for p in x], [p.astype(dtype) for p in v]
        return end, state

    return lax.scan(step, state, table)


Row = dict[int, Array]  # of a matrix, without the zeros that are known to be


def _row(row: Row, values: list[Array]) -> Array:
    return sum((entry * values[j] for j, entry in list(row.items())[1:]), _first(row, values))


def _first(row: Row, values: list[Array]) -> Array:
    j, entry = next(iter(row.items()))
    return entry * values[j]


def _drifts(model: AbstractOscillators, h: Array) -> tuple[list[Row], list[list[Row]], list[list[Row]]]:
    """h M⁻¹, and of each drift a: e^{−ahM⁻¹C} and its integral over it. As scalars, [row][column]: what is indexed in
    the loop would be gathered there again and again."""
    oscillators = range(model.num_ports)
    if model.mass.ndim == model.friction.ndim == 1:
        rate, share = ([value[j] for j in oscillators] for value in (model.friction / model.mass, h / model.mass))
        fade = [[{j: jnp.exp(-a * h * rate[j])} for j in oscillators] for a in DRIFTS]
        glide = [[{j: a * h * _decaying(a * h * rate[j])} for j in oscillators] for a in DRIFTS]
        return [{j: share[j]} for j in oscillators], fade, glide
    n, mobility = model.num_ports, model.mobility
    top = jnp.concatenate([-mobility @ model.dissipation, jnp.eye(n)], axis=1)
    both = jax.scipy.linalg.expm(np.asarray(DRIFTS)[:, None, None] * h * jnp.pad(top, ((0, n), (0, 0))))
    rows = lambda matrix: [{k: matrix[j, k] for k in oscillators} for j in oscillators]  # noqa: E731
    return rows(h * mobility), [rows(part[:n, :n]) for part in both], [rows(part[:n, n:]) for part in both]


def _by_runge_kutta(
    model: AbstractOscillators, drive: Drive, port: Forcing, state: State, steps: int, cycles: int, dtype: jnp.dtype
) -> tuple[State, State]:
    omega, force = drive.omega, port.phasors(model, drive.omega, drive.amplitude)
    n, mobility, solver = model.num_ports, model.mobility, diffrax.Dopri8()

    def field(tau: Array, z: Array, _: Any) -> Array:
        x, v = jnp.split(z, 2)
        tone = jnp.real(force) * jnp.cos(tau) - jnp.imag(force) * jnp.sin(tau)
        push = tone - model.dissipation @ v - model.forces(x, v, tau)
        return (jnp.concatenate([v, mobility @ push]) / omega).astype(dtype)

    vector_field: Any = field
    term = diffrax.ODETerm(vector_field)

    def step(z: Array, tau: Array) -> tuple[Array, Array]:
        after = tau + 2 * np.pi / steps
        begun = solver.init(term, tau, after, z, None)
        return solver.step(term, tau, after, z, None, begun, made_jump=False)[0], z

    z, zs = lax.scan(
        step, jnp.stack([*state[0], *state[1]]), jnp.asarray(2 * np.pi / steps * np.arange(cycles * steps), dtype)
    )
    both = [(list(part[:n]), list(part[n:])) for part in (z, zs.T)]
    return both[0], both[1]


def _decaying(z: Array) -> Array:
    """(1 − e^{−z}) / z, at z = 0 too."""
    small = jnp.abs(z) < 1e-3
    safe = jnp.where(small, 1.0, z)
    series = 1 - z / 2 * (1 - z / 3 * (1 - z / 4 * (1 - z / 5)))
    return jnp.where(small, series, -jnp.expm1(-safe) / safe)
