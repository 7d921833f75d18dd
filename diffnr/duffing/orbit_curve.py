"""What branches of orbits and loci of bifurcations have of the points along them."""

# No `from __future__ import annotations` here: equinox must see AbstractVar itself, or takes it for a field.
import equinox as eqx
from jaxtyping import Array, Bool, Complex, Float, Int

from diffnr.duffing.points import Points
from diffnr.tables import AbstractTabular


class AbstractOrbitCurve(AbstractTabular):
    """Orbits in order along a curve, `points`."""

    points: eqx.AbstractVar[Points]

    @property
    def omega(self) -> Float[Array, "*batch point"]:
        return self.points.omega

    @property
    def b(self) -> Complex[Array, "*batch point oscillator harmonic"]:
        return self.points.b

    @property
    def norm(self) -> Float[Array, "*batch point oscillator"]:
        return self.points.norm

    @property
    def phase(self) -> Float[Array, "*batch point oscillator"]:
        return self.points.phase

    @property
    def harmonicity(self) -> Float[Array, "*batch point oscillator"]:
        return self.points.harmonicity

    @property
    def stable(self) -> Bool[Array, "*batch point"]:
        return self.points.stable

    @property
    def multipliers(self) -> Complex[Array, "*batch point state"]:
        return self.points.multipliers

    @property
    def count(self) -> Int[Array, "*batch"]:
        return self.points.count
