"""Curves on which the outputs of both directions are equal in norm, or in phase: what following them returns."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from diffnr.checks import is_concrete
from diffnr.results import AbstractAnswer, message, succeeded
from diffnr.tables import AbstractTabular, largest
from optimize.reciprocity.points import AbstractEqualPoints, EqualNormPoints, EqualPhasePoints


class ReciprocalPoints(eqx.Module):
    """Where N_F = N_B and Δφ = 0 on a locus: `parameter` [reciprocal], `points`. R is what higher harmonics leave.

    `regular` [reciprocal]: whether N_F = N_B and Δφ = 0 determine the point, so that Newton's method found it. Where
    they do not (two branches of equal norms cross there, on one of which Δφ vanishes all along) `parameter` and `omega`
    are interpolated along the locus, by a cubic through four points, and the orbits are those there.
    """

    parameter: Float[Array, "*batch reciprocal"]
    points: EqualNormPoints
    regular: Bool[Array, "*batch reciprocal"]


class AbstractEqualLocus(AbstractAnswer, AbstractTabular):
    """Points with equal outputs in order along a curve. NaN beyond `count`.

    **Fields:**

    - `along`: the name of the number that changes; `parameter` [point], its values. `points`: frequency, orbits and
      multipliers, `AbstractEqualPoints`; `omega`, `norm`, `nonreciprocal_phase`, `reciprocity_norm`, `harmonicity` and
      `stable` are theirs.
    - `branch_crossings` [point − 1]: between which neighbours another branch of equal outputs crosses, or nearly, and
      the locus goes straight on. `turned` [point]: where two branches nearly meet, and it turns from one to the other.
    - `reciprocal`: where the outputs are equal in both ways, `ReciprocalPoints`.
    - `result`: two of `RESULTS`, how the locus ended below and above the model's own value. `converged`: whether both
      ends are at the bounds; `message` speaks of both.
    """

    parameter: Float[Array, "*batch point"]
    points: AbstractEqualPoints
    branch_crossings: Bool[Array, "*batch interval"]
    turned: Bool[Array, "*batch point"]
    reciprocal: ReciprocalPoints
    result: tuple[Any, Any]
    along: str = eqx.field(static=True, default="")

    @property
    def converged(self) -> Bool[Array, "*batch"]:
        """Whether the locus reaches both bounds."""
        return succeeded(self.result[0]) & succeeded(self.result[1])

    @property
    def message(self) -> str:
        """How the locus ended, below and above where it began, in a sentence or two."""
        if is_concrete(self.result) and bool(np.all(self.converged)):
            return "The locus reaches both bounds."
        below, above = map(message, self.result)
        return below if below == above else f"Downwards: {below} Upwards: {above}"

    @property
    def omega(self) -> Float[Array, "*batch point"]:
        return self.points.omega

    @property
    def norm(self) -> Float[Array, "*point_and_direction"]:
        return self.points.norm  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def nonreciprocal_phase(self) -> Float[Array, "*batch point"]:
        return self.points.nonreciprocal_phase

    @property
    def reciprocity_norm(self) -> Float[Array, "*batch point"]:
        return self.points.reciprocity_norm

    @property
    def harmonicity(self) -> Float[Array, "*batch point direction"]:
        return self.points.harmonicity

    @property
    def stable(self) -> Bool[Array, "*batch point direction"]:
        return self.points.stable

    @property
    def valid(self) -> Bool[Array, "*batch point"]:
        return self.points.valid

    @property
    def count(self) -> Int[Array, "*batch"]:
        return self.points.count

    def trim(self):
        """The locus without the empty rest of its buffers, for people; not inside a transformation.

        A batch keeps the room that the longest of its elements needs."""
        count, zeros, zero = largest(self.count), largest(self.reciprocal.points.count), self.reciprocal
        r = ReciprocalPoints(zero.parameter[..., :zeros], zero.points.trim(), zero.regular[..., :zeros])
        parts = {
            "parameter": self.parameter[..., :count],
            "points": self.points.trim(),
            "branch_crossings": self.branch_crossings[..., : max(count - 1, 0)],
            "turned": self.turned[..., :count],
            "reciprocal": r,
        }
        return dataclasses.replace(self, **parts)  # pyright: ignore[reportArgumentType]


class PhaseNonreciprocityLocus(AbstractEqualLocus):
    """Points with N_F = N_B in order along a curve, made by `phase_nonreciprocity_locus`: see `AbstractEqualLocus`."""

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {"parameter": (), **EqualNormPoints.COLUMNS}

    points: EqualNormPoints


class EqualPhaseLocus(AbstractEqualLocus):
    """Points with Δφ = 0 in order along a curve, made by `equal_phase_locus`: see `AbstractEqualLocus`. Its `norm` is
    that of both outputs, [point, direction]."""

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {"parameter": (), **EqualPhasePoints.COLUMNS}

    points: EqualPhasePoints
