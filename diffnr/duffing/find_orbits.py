"""All orbits at one point: Newton's method on the harmonic balance from many starts, then without the orbits found.

The search is that of `diffnr.deflation`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from diffnr.checks import Count, as_count, as_flag, as_key, require_double
from diffnr.compilation import compiled
from diffnr.deflation import roots
from diffnr.duffing.driven import DrivenOscillators
from diffnr.duffing.forcing import Forcing, as_forcing
from diffnr.duffing.harmonic_balance import forcing, linearise, residual
from diffnr.duffing.oscillators import AbstractOscillators, require_oscillators, with_harmonics
from diffnr.duffing.points import Points, orbits
from diffnr.duffing.starts import starts_of
from diffnr.duffing.transient import require_tone
from diffnr.duffing.truncation import of_each, with_truncation
from diffnr.ports import Drive
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import frozen, implicit

FEW, MANY = 3, 4  # harmonics of a first search, and its starts beside those of the second
ROOM = 32  # orbits of it
MAX_STEPS = 30  # of Newton's method there


class FoundOrbits(Points, AbstractAnswer):
    """What `find_orbits` returns: `Points`, and the field `result`, of `RESULTS`.

    It is successful where the last round of the search found nothing new; `more_orbits` where it was stopped before,
    and `no_orbit_found` where there is none. `truncation` [point]: about the relative error that ending with these
    harmonics leaves of each orbit, as of an `OrbitBranch`; NaN in files of versions before 0.2.
    """

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = with_truncation(Points.COLUMNS)

    truncation: Float[Array, "*batch point"] = eqx.field(kw_only=True)
    result: Any = eqx.field(kw_only=True)


def find_orbits(
    model: AbstractOscillators,
    drive: Drive,
    port: Any = 0,
    *,
    starts: Count = 64,
    most: Count = 8,
    num_harmonics: Count | None = None,
    key: PRNGKeyArray | None = None,
    throw: bool = True,
) -> FoundOrbits:
    """All periodic orbits under a tone at one oscillator that Newton's method finds from many starts, each once:

        (−h²ω² M + ihω C) X_h + [g(x)]_h = A δ_h1 e_port

    **Arguments:**

    - `model`: n oscillators, in float64; `drive`: the tone, with scalar frequency and amplitude; `port`: the driven
      oscillator, complex shares [n] of the force, or a `BaseMotion`.
    - `starts`: how many; four times as many with three harmonics, whose orbits start the search with all of them. One
      is the linear response; a quarter are multiples of it, from a hundredth to the largest response there can be;
      others are random fundamentals (and a mean and second harmonics, if the model has them) up to that bound,
      |X_j| ≤ |A|/(ω√(c_j c_port)): no oscillator loses more power than the force gives. As many again are motions of
      one or two shapes whose amplitude balances some of the force, or none, as on a backbone. Where orbits may have a
      mean, the linear responses about every position of rest that is found (the wells of bistable oscillators, up to 8)
      come to these, and as many random fundamentals about them.
    - `most`: room for as many orbits, a static number.
    - `num_harmonics`: the highest harmonic of orbits; default the model's.
    - `key`: for the random starts (default `jax.random.key(0)`).
    - `throw`: raise where no orbit was found at all; a search that stopped early is returned with its `result` anyhow.

    **Returns:** `FoundOrbits`, which are `Points`, the largest response first, with multipliers and `stable`; NaN
    beyond `count`. Derivatives with respect to the model and the drive's amplitude and frequency are exact.

    **Raises:** `ValueError` for float32, a port that does not exist, numbers that are not positive; `RuntimeError` if
    `throw` and there is no orbit.

    **Notes:** no search of this kind proves that it found all; more starts and another key make it likelier. Isolated
    branches (isolas), which `frequency_response` does not meet, are found too. Orbits are of the model's harmonics:
    those that break the symmetry of odd forces are found by `AllHarmonics`.

    Good values: 64 starts find the three orbits of the paper's pairs at P = 1.
    """
    require_oscillators(model)
    require_tone(drive, port, model)
    require_double("model", model.mass)
    starts, most, throw = as_count(starts, "starts"), as_count(most, "most"), as_flag(throw, "throw")
    if num_harmonics is not None:
        model = with_harmonics(model, num_harmonics)
    key = as_key(key)
    key = jax.random.key(0) if key is None else key
    orbits = _find_orbits(model, drive, as_forcing(port, model), starts, most, key)
    some = RESULTS.where(orbits.result == RESULTS.no_orbit_found, RESULTS.no_orbit_found, RESULTS.successful)
    return raise_failures(orbits, some) if throw else orbits


@compiled
def _find_orbits(
    model: AbstractOscillators, drive: Drive, port: Forcing, starts: int, most: int, key: PRNGKeyArray
) -> FoundOrbits:
    args = model, drive.omega, forcing(model, port, drive.amplitude, drive.omega)
    tone = model, drive.omega, drive.amplitude, port
    y, found, ended = _searched(starts_at(*frozen(tone), starts, key), *frozen(tone), most)
    order = jnp.argsort(jnp.where(found, -jnp.sum(y**2, axis=1), jnp.inf))
    y, found = y[order], found[order]
    # Beyond the last an orbit that is regular: what is masked afterwards is differentiated all the same.
    y = jax.vmap(lambda y: implicit(residual, y, args))(jnp.where(found[:, None], y, y[0]))
    points = orbits(model, y, jnp.broadcast_to(drive.omega, (most,)), found)
    result = RESULTS.where(ended, RESULTS.successful, RESULTS.more_orbits)
    result = RESULTS.where(points.count > 0, result, RESULTS.no_orbit_found)
    fields = {field.name: getattr(points, field.name) for field in dataclasses.fields(points)}
    driven = DrivenOscillators(model, drive.omega, drive.amplitude, port.port, "omega", port.share, port.base)
    return FoundOrbits(**fields, truncation=of_each(driven, points.b, points.omega), result=result)


@compiled
def orbits_beside(
    guesses: Array,
    model: AbstractOscillators,
    omega: Array,
    amplitude: Array,
    port: Forcing,
    known: Array,
    there: Array,
) -> tuple[Float[Array, "most n"], Bool[Array, " most"]]:
    """Coefficients of orbits, and which of them are new, beside those `known` [k, n·m] where `there` [k], from the
    guesses of `starts_at`."""
    most = 2 * there.size
    y, found, _ = _searched(guesses, model, omega, amplitude, port, most, (known, there))
    return y, found & (jnp.arange(most) >= jnp.sum(there))


def starts_at(
    model: AbstractOscillators, omega: Array, amplitude: Array, port: Forcing, starts: int, key: PRNGKeyArray
) -> Float[Array, "start n"]:
    """Coefficients of few harmonics to start from."""
    few = of_few(model)
    args = frozen((few, omega, forcing(few, port, amplitude, omega)))
    return starts_of(args, port, MANY * starts, key, _linearise)


def of_few(model: AbstractOscillators) -> AbstractOscillators:
    """The model with the few harmonics of a first search."""
    return with_harmonics(model, min(FEW, model.num_harmonics))


def padded(y: Any, model: AbstractOscillators) -> Any:
    """Coefficients [orbit, few] of few harmonics as those [orbit, n] of all of a model's; by numpy where they are."""
    np_: Any = np if isinstance(y, np.ndarray) else jnp
    n, size = model.num_ports, model.basis.size
    few = y.shape[1] // n
    return np_.pad(y.reshape(len(y), n, few), ((0, 0), (0, 0), (0, size - few))).reshape(len(y), n * size)


def _searched(
    guesses: Array,
    model: AbstractOscillators,
    omega: Array,
    amplitude: Array,
    port: Forcing,
    most: int,
    before: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array]:
    """What `roots` returns: of few harmonics from many starts, then of all from those and from fewer, without what is
    known."""
    few = of_few(model)
    args, whole = (frozen((own, omega, forcing(own, port, amplitude, omega))) for own in (few, model))
    found = roots(residual, guesses, ROOM, args, linearise=_linearise, max_steps=MAX_STEPS, rounds=1)[:2]
    again = jnp.concatenate([guesses[:: 2 * MANY], jnp.where(found[1][:, None], found[0], jnp.nan)])
    return roots(
        residual, padded(again, model), most, whole, before,
        linearise=_linearise, image=_mirror(model), max_steps=MAX_STEPS,
    )  # fmt: skip


def _linearise(y: Array, args: tuple[AbstractOscillators, Array, Array]) -> tuple[Array, Array]:
    model, omega, force = args
    f, jacobian, _ = linearise(y, omega, (model, force))
    return f, jacobian


def _mirror(model: AbstractOscillators) -> Callable[[Array], Array] | None:
    """What an orbit is half a period later and turned around, which is an orbit too where forces are odd."""
    basis = model.basis
    if basis.odd or basis.periods != 1:
        return None
    signs = np.tile(np.where(basis.terms % 2, 1.0, -1.0), model.num_ports)
    return lambda y: jnp.asarray(signs, y.dtype) * y
