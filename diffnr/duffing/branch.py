"""Branches of periodic orbits over the frequency, the force or any other number, with folds, peaks and stability."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from diffnr.checks import (
    Count,
    Numbers,
    as_count,
    as_flag,
    as_frequency,
    as_index,
    as_range,
    as_scalar,
    is_concrete,
    require,
    require_double,
)
from diffnr.compilation import compiled
from diffnr.continuation import course_of, trace, turning
from diffnr.duffing import bifurcations, special_points
from diffnr.duffing.course import Course, begun_or, first_orbit, scale_of
from diffnr.duffing.driven import DrivenOscillators, balance_at, is_long, linearise, require_parameter
from diffnr.duffing.floquet import Crossings, crossings
from diffnr.duffing.forcing import as_forcing
from diffnr.duffing.orbit_curve import AbstractOrbitCurve
from diffnr.duffing.oscillators import (
    AbstractOscillators,
    as_orbit,
    require_oscillators,
    with_harmonics,
)
from diffnr.duffing.points import Points
from diffnr.duffing.truncation import of_each, with_truncation
from diffnr.results import RESULTS, AbstractAnswer, raise_failures
from diffnr.root import implicit
from diffnr.tables import largest

MOST = 6  # bifurcations of a kind on a branch


class OrbitBranch(AbstractAnswer, AbstractOrbitCurve):
    """A branch of periodic orbits along one parameter; made by `frequency_response` and `continue_orbit`.

    **Fields:** `points`, in order along the branch, piece by piece; `piece` [point], which of its pieces each is on
    (−1 beyond `count`); `slope` [point], of λ along the branch, 0 at folds; `folds`, where it turns back; `ends`
    [piece], of `RESULTS`, how each piece ended, and `result`, the first of them that is not at a bound; `complete` [],
    whether the range asked for is covered from bound to bound (isolated branches aside); `driven`, whose orbits they
    are; `spacing` [], how far apart the frequencies are at which isolated branches were looked for, None if they were
    not. `parameter`, `omega`, `norm`, `phase`, `harmonicity`, `stable`, `multipliers`, `b` and `count` are those of the
    points; `model`, `amplitude`, `port` and `along` those of `driven`.
    """

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {**with_truncation(Points.COLUMNS), "piece": ()}

    points: Points
    folds: Points
    result: Any
    driven: DrivenOscillators
    piece: Int[Array, "*batch point"]
    slope: Float[Array, "*batch point"]
    ends: Any
    complete: Bool[Array, "*batch"]
    spacing: Any = None

    @property
    def message(self) -> str:
        """From where to where each piece goes, and why it ends there, in a sentence each."""
        if not is_concrete(self.piece) or self.count.ndim:
            return course_of(self.result, self.parameter, self.count, self.along)
        piece, values = np.asarray(self.piece), np.asarray(self.parameter)
        sentences = []
        for number, end in enumerate(self.ends):
            own = values[piece == number]
            if own.size or number == 0 or end in (RESULTS.no_start, RESULTS.branch_point):
                sentences.append(course_of(end, jnp.asarray(own), jnp.asarray(own.size), self.along))
        if self.spacing is not None:
            where = f"at frequencies {float(self.spacing):.3g} apart, and between them with the phase held"
            sentences.append(f"Others were looked for {where}: none that is narrower is excluded.")
        return " ".join(sentences)

    @property
    def parameter(self) -> Float[Array, "*batch point"]:
        return self.points.parameter

    @property
    def model(self) -> AbstractOscillators:
        return self.driven.model

    @property
    def amplitude(self) -> Float[Array, "*batch"]:
        return self.driven.amplitude

    @property
    def port(self) -> Any:
        return self.driven.forcing.given

    @property
    def along(self) -> str:
        return self.driven.along

    @property
    def truncation(self) -> Float[Array, "*batch point"]:
        """About the relative error that ending with these harmonics leaves of each orbit at its parameter: the Newton
        step of a balance of 2H + 1, which is computed when it is asked for. Beside a fold it may be too large."""
        return of_each(self.driven, self.b, self.parameter)

    @property
    def crossings(self) -> Crossings:
        """In which intervals between neighbouring points multipliers cross the unit circle: masks [point − 1].

        `at_one` where there is no fold is where a symmetry breaks: other orbits branch off there.
        """
        same = self.piece[1:] == self.piece[:-1]
        return Crossings(*(mask & same for mask in crossings(self.points.multipliers)))

    @property
    def period_doublings(self) -> Points:
        """Where a multiplier passes −1 (at most 6), with exact derivatives: orbits of twice the period branch off."""
        return bifurcations.located(self.driven, self.points, self.crossings.at_minus_one, "period_doubling", MOST)

    @property
    def neimark_sacker(self) -> Points:
        """Where a complex pair of multipliers passes the unit circle (at most 6), with exact derivatives: motions with
        a second frequency branch off."""
        return bifurcations.located(self.driven, self.points, self.crossings.as_pair, "neimark_sacker", MOST)

    @property
    def symmetry_breakings(self) -> Points:
        """Where orbits of odd harmonics lose their symmetry (at most 6), with exact derivatives: pairs of orbits with
        even harmonics branch off, which `AllHarmonics` has."""
        here = self.crossings.at_one & ~turning(self.slope)
        return bifurcations.located(self.driven, self.points, here, "symmetry_breaking", MOST)

    @property
    def marked(self) -> dict[str, Points]:
        """Folds and bifurcations by the name of their kind, those that there are; for people, and not of a batch."""
        crossings, found = self.crossings, {"fold": self.folds}
        if np.any(crossings.at_minus_one):
            found["period doubling"] = self.period_doublings
        if np.any(crossings.as_pair):
            found["Neimark–Sacker"] = self.neimark_sacker
        if np.any(crossings.at_one & ~turning(self.slope)):
            found["symmetry breaking"] = self.symmetry_breakings
        return {kind: points.trim() for kind, points in found.items() if points.count > 0}

    def trim(self) -> OrbitBranch:
        """The branch without the empty rest of its buffers, for people; not inside a transformation.

        A batch keeps the room that the longest of its elements needs."""
        count = largest(self.count)
        parts = self.points.trim(), self.folds.trim(), self.piece[..., :count], self.slope[..., :count]
        return eqx.tree_at(lambda r: (r.points, r.folds, r.piece, r.slope), self, parts)

    def at(self, value: Numbers, *, most: Count = 7) -> Points:
        """The orbits at one value of the parameter, one for each time that the branch passes it, in order.

        Their derivatives are exact.

        **Arguments:** `value`: [], within the branch's range; `most`: how many at most, a static number.
        """
        value = as_scalar(value, "value", positive=self.along == "omega")
        closed = jnp.stack([end == RESULTS.closed for end in self.ends])[
            self.piece
        ]  # outside: for any number of pieces
        return special_points.at(self.driven, self.points, self.piece, closed, value, as_count(most, "most"))

    def peaks(self, *, out: Count, most: Count = 6) -> Points:
        """The maxima of the norm of one oscillator along the branch, in order; with exact derivatives.

        **Arguments:** `out`: the oscillator; `most`: how many at most, a static number.

        **Raises:** `ValueError` for an oscillator that does not exist.
        """
        out = as_index(out, "out", self.model.num_ports, "port")
        return special_points.peaks(self.driven, self.points, self.piece, out, as_count(most, "most"))


def continue_orbit(
    model: AbstractOscillators,
    *,
    along: str,
    bounds: Numbers,
    amplitude: Numbers | None = None,
    omega: Numbers | None = None,
    port: Any = 0,
    start: Numbers | None = None,
    upwards: bool = True,
    num_harmonics: Count | None = None,
    max_points: Count = 400,
    max_folds: Count = 8,
    throw: bool = True,
) -> OrbitBranch:
    """The branch of periodic orbits over the force, a parameter of the model, or the frequency, from any orbit on it.

    **Arguments:**

    - `model`: the oscillators; `port`: the driven one, complex shares [n] of the force, or a `BaseMotion`.
    - `along`: what changes: "amplitude", "omega", the path of a scalar leaf of the model ("damping") or of an entry of
      one ("stiffness.0.1"), or the phase of the force at an oscillator ("phase.1", rad).
    - `bounds`: (lowest, highest) value of it. The branch ends there, or where it has come full circle (an isola).
    - `amplitude`, `omega`: [], of the force. What changes may be left out if there is no `start`.
    - `start`: [n, harmonic] complex, an orbit near to where the branch shall begin, as `b` of `Points` (of
      `find_orbits`, or of another branch), at the model's, the amplitude's and the frequency's values as
      they are. By default the branch begins at the lowest bound, with the orbit continued from the linear response.
    - `upwards`: whether the parameter grows at first; False for a `start` to be followed downwards.
    - `num_harmonics`, `max_points`, `max_folds`, `throw`: as for `frequency_response`.

    **Returns:** an `OrbitBranch`, with the derivatives that `frequency_response` has.

    **Raises:** `ValueError` for what `along` cannot be, bounds that do not rise, a shape, float32, a port that does not
    exist, an amplitude or frequency that is missing; `RuntimeError` if `throw` and there is no start.
    """
    require_oscillators(model)
    low, high = as_range(bounds, "bounds", positive=along == "omega")
    upwards = as_flag(upwards, "upwards")
    for name, value in (("amplitude", amplitude), ("omega", omega)):
        require(value is not None or (along == name and start is None), name, "be given", "not")
    omega = as_frequency(low if omega is None else omega, "omega")
    driven = driven_by(model, omega, low if amplitude is None else amplitude, port, along, num_harmonics)
    require_parameter(along, "along", driven)
    for bound in (low, high):
        driven.at(bound)  # refuses what the model cannot be
    model = driven.model
    start = None if start is None else as_orbit(start, "start", model)
    max_points, max_folds = as_count(max_points, "max_points", least=2), as_count(max_folds, "max_folds")
    throw = as_flag(throw, "throw")
    branch = _traced(driven, (low, high), start, upwards, max_points, max_folds)
    if not throw:
        return branch
    begun = RESULTS.where(branch.count == 0, branch.result, RESULTS.successful)
    return raise_failures(branch, begun)


def driven_by(
    model: AbstractOscillators, omega: Array, amplitude: Any, port: Any, along: str, num_harmonics: Any
) -> DrivenOscillators:
    """Oscillators under a tone, of the arguments as users gave them."""
    require_oscillators(model)
    forcing = as_forcing(port, model)
    amplitude = as_scalar(amplitude, "amplitude")
    if num_harmonics is not None:
        model = with_harmonics(model, num_harmonics)
    require_double("model", model.mass)
    return DrivenOscillators(model, omega, amplitude, forcing.port, along, forcing.share, forcing.base)


@functools.partial(compiled, as_usual=is_long)
def _traced(
    driven: DrivenOscillators,
    bounds: tuple[Array, Array],
    start: Array | None,
    upwards: bool,
    max_points: int,
    max_folds: int,
) -> OrbitBranch:
    y, begin, why = first_orbit(driven, bounds[0], start)
    branch = trace(
        linearise, y, begin, bounds, driven, scale=scale_of(driven, *bounds), upwards=upwards, max_points=max_points
    )
    branch = begun_or(branch, why)
    good = (branch.result == RESULTS.successful) | (branch.result == RESULTS.closed)
    return read_off(driven, Course.of(branch), (branch.result,), begin, branch.result, good, max_folds)


def read_off(
    driven: DrivenOscillators, course: Course, ends: Any, spare: Array, result: Any, complete: Array, max_folds: int
) -> OrbitBranch:
    """The branch of a course, with folds, multipliers and derivatives; `ends`: how its pieces ended; `spare` [], a λ
    for what is beyond its last point."""
    valid = jnp.arange(course.parameter.size) < course.count
    # Beyond the last point rest, at which all is finite.
    y = jnp.where(valid[:, None], course.y, 0.0)
    value = jnp.where(valid, course.parameter, spare)
    u = jnp.concatenate([course.y, course.parameter[:, None]], axis=1)
    piece = jnp.where(valid, course.piece, -1)
    slope = jnp.where(valid, course.slope, jnp.nan)
    y_folds, folds, folded = special_points.folds(driven, u, slope, piece, max_folds)
    y = eqx.filter_vmap(lambda y, value: implicit(balance_at, y, (driven, value)))(y, value)
    every = driven.orbits(
        jnp.concatenate([y_folds, y]), jnp.concatenate([folds, value]), jnp.concatenate([folded, valid])
    )
    return OrbitBranch(every[max_folds:], every[:max_folds], result, driven, piece, slope, ends, complete)
