"""The waves of a guide over a band: k(ω) in both directions, and where there are waves in one of them alone."""

from __future__ import annotations

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from diffnr.checks import Count, Numbers, as_flag, as_vector, is_concrete, require
from diffnr.compilation import compiled
from diffnr.fdtd.guides.cross_section import CrossSection, as_cross_section
from diffnr.fdtd.guides.guide import GuideModes, as_num_modes, guide_waves, require_below_lattice, unresolved
from diffnr.fdtd.scene.units import GUIDE, warn_of_hertz
from diffnr.fdtd.time_domain.leapfrog import step_of
from diffnr.results import AbstractAnswer, raise_failures


class Dispersion(AbstractAnswer):
    """What `dispersion` returns.

    **Fields:** `omegas` [frequency], rad/s; `modes`: the `GuideModes`, each of its fields with the frequency first,
    [frequency, mode, ...].
    """

    omegas: Float[Array, " frequency"]
    modes: GuideModes

    @property
    def result(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of each frequency, whether the guide's equations could be solved, [frequency]."""
        return self.modes.result

    @property
    def one_way(self) -> Int[Array, " frequency"]:
        """+1 where there are waves to +x alone, −1 where there are waves to −x alone, 0 elsewhere.

        Waves that the cells do not resolve are there too.
        """
        both = self.modes.forward, self.modes.backward
        forward, backward = (jnp.any(waves.valid, axis=-1) | (waves.unresolved > 0) for waves in both)
        return forward.astype(int) - backward.astype(int)

    def one_way_bands(self, direction: Any = 1) -> list[tuple[float, float]]:
        """The bands of ω in which waves go in one direction alone, 1 or −1: their lower and upper edges, rad/s.

        An edge lies half-way between the last frequency inside and the first one outside, or at the end of all.

        **Validity:** one-way bands of surface waves end where these become infinitely slow and short. The lattice loses
        them before (60 to 90 GHz for each µm of cell in the guide of paper 3), but knows of them as `unresolved`: bands
        are those of the guide itself, whatever the cell.

        **Raises:** `ValueError` for another direction, or under a transformation, where `one_way` serves.
        """
        whole = isinstance(direction, (int, np.integer)) and not isinstance(direction, bool)
        require(whole and direction in (1, -1), "direction", "be 1 or -1", direction)
        known = is_concrete(self.omegas, self.modes.forward.valid, self.modes.backward.valid)
        require(known, "self", "hold numbers (list bands outside of jit)", "traced")
        omegas, inside = np.asarray(self.omegas), np.asarray(self.one_way) == direction
        edges = np.concatenate([omegas[:1], (omegas[1:] + omegas[:-1]) / 2, omegas[-1:]])
        steps = np.diff(inside.astype(int), prepend=0, append=0)
        lows, highs = edges[np.flatnonzero(steps == 1)], edges[np.flatnonzero(steps == -1)]
        return [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]


def dispersion(
    cross_section: Any, omegas: Numbers, num_modes: Count = 1, *, step: Any = None, throw: Any = True
) -> Dispersion:
    """The waves of a guide at many frequencies, as `guide_modes` finds them at one.

        fdtd.dispersion(guide, 2e12 * np.pi * np.linspace(0.9, 1.8, 91)).one_way_bands()

    **Arguments:**

    - `cross_section`: of `layered_guide` or `CrossSection.of`.
    - `omegas`: [frequency], rad/s, increasing. Without loss leave out a medium's own ω_c, where ε is infinite.
    - `num_modes`: the most waves of each direction. `step`: Δt in s, default .95 of the longest.
    - `throw`: raise where the equations have no finite solution; otherwise `result` says it at each frequency.

    **Returns:** a `Dispersion`, with derivatives in every leaf of the cross-section and in ω; it may be jitted. Waves
    are sorted by |k| at each frequency alone, so that the same wave may change its place where others begin or end.
    `nr.plot.dispersion` draws it. Waves that the cells do not resolve are counted in it, and warned of.

    **Raises:** `ValueError` for frequencies that are not a vector of positive, finite and increasing numbers, a number
    of modes below 1, a step that is not positive or not below the longest; `RuntimeError` if `throw` and a solve fails.

    Source: paper 3 (nonreciprocal cavities, supplement), Fig. S1, on the lattice.
    """
    section, throw = as_cross_section(cross_section), as_flag(throw, "throw")
    omegas = as_vector(omegas, "omegas", rising=True)
    require(not is_concrete(omegas) or np.all(np.asarray(omegas) > 0), "omegas", "be positive", omegas)
    step = step_of(section.scene, step, section.longest)
    require_below_lattice(omegas, step, "omegas")
    warn_of_hertz(section.scene, omegas, "omegas", GUIDE)
    found = Dispersion(omegas, _dispersion(section, omegas, as_num_modes(num_modes, section), step))
    lost = unresolved(found.modes, omegas, section.scene)
    if lost:
        warnings.warn(f"The guide has {lost}", RuntimeWarning, stacklevel=2)
    return raise_failures(found, found.result) if throw else found


@compiled
def _dispersion(cross_section: CrossSection, omegas: Array, num_modes: int, step: Array) -> GuideModes:
    # One after the other: batched calls of LAPACK can stop each other for good.
    return lax.map(lambda omega: guide_waves(cross_section, omega, num_modes, step), omegas)
