"""What comes out of a cavity's port, is stored in it and is lost in walls, at single frequencies."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.checks import as_flag, as_vector, is_concrete, require, require_instance
from diffnr.data import FieldData
from diffnr.fdtd.cavity.geometry import AbstractCavity
from diffnr.fdtd.cavity.mesh import CavityMesh
from diffnr.fdtd.frequency_domain.boxes import Inside
from diffnr.fdtd.frequency_domain.power import absorbed, energy_product
from diffnr.fdtd.guides.simulation import fields_of
from diffnr.fdtd.time_domain.leapfrog import require_resolved
from diffnr.progress import ProgressBar
from diffnr.results import RESULTS, AbstractAnswer, raise_failures


class CavityResponse(AbstractAnswer):
    """What a wave of 1 W/m into the port brings about, at frequencies `omega` [f] in rad/s.

    **Fields:** `outgoing` [f], s₋/s₊ at the port; `amplitude` [f], a in √(J/m): |a|² is the energy of that part of the
    cavity's field which has the shape of its strongest one, whose phase is 0; `energy` [f], all of the cavity's, J/m;
    `walls`, `carriers` [f], power lost in impedance walls and by collisions, W/m; `result` [f],
    `unresolved` where the port's guide has a wave that the cells do not resolve.
    """

    omega: Float[Array, " f"]
    outgoing: Complex[Array, " f"]
    amplitude: Complex[Array, " f"]
    energy: Float[Array, " f"]
    walls: Float[Array, " f"]
    carriers: Float[Array, " f"]
    result: Any

    @property
    def unaccounted(self) -> Float[Array, " f"]:
        """1 − |s₋/s₊|² − what walls and carriers take: the share of power that leaves by no wave of the port, as by
        waves of the lattice's own where cells are coarse for slow waves."""
        return 1 - jnp.abs(self.outgoing) ** 2 - self.walls - self.carriers

    @property
    def data(self) -> FieldData:
        """S and the energy for a wave of 1 W/m, as `fit_modes` takes them."""
        return FieldData(self.omega, self.outgoing[:, None, None], self.energy[:, None])


def response(cavity: Any, mesh: Any, omegas: Any, *, progress: Any = None, throw: Any = True) -> CavityResponse:
    """The response of a cavity at single frequencies, each by a direct solve.

        made = fdtd.cavity.figure3(bias=-0.25)
        found = fdtd.cavity.response(made, made.mesh(), nr.hertz(1.2396e12 + np.linspace(-5e8, 5e8, 11)))
        fit = optimize.fit_modes(found.data, 1, background=1)

    **Arguments:** `cavity`; `mesh`: `cavity.mesh()`, or that of one of about its sizes; `omegas`: [f], rad/s, rising;
    `progress`: a line on stderr, None for only on a terminal; `throw`: raise where a frequency fails.

    **Returns:** a `CavityResponse`.

    **Raises:** `ValueError` for what is no cavity or no mesh, frequencies that do not rise, or that the
    cells do not carry; `RuntimeError` if `throw` and fields are not finite, the guide has no wave towards its end, or
    one that the cells do not resolve.
    """
    made: AbstractCavity = cavity
    require_instance(made, "cavity", AbstractCavity, "be a cavity, as EndCavity and TopCavity")
    require_instance(mesh, "mesh", CavityMesh, "be a mesh, as cavity.mesh() makes it")
    values = as_vector(omegas, "omegas", rising=True)
    known = is_concrete(made, values)
    require(known, "omegas", "be known, as the cavity's sizes (for derivatives take resonances)", "traced")
    device, box = made.simulation(mesh), [tuple(float(side) for side in sides) for sides in made.inside]
    update, inside, throw = device.update, Inside.of(device.scene.grid, *box), as_flag(throw, "throw")
    require_resolved(update, values, "omegas")
    whole = -made.feed, float(device.scene.grid.x[-1])  # from the port on
    found = []
    with ProgressBar(None if progress is None else as_flag(progress, "progress"), values.size) as bar:
        for number, omega in enumerate(values, start=1):
            fields, result, lost = fields_of(device, omega, jnp.ones(1) + 0j)
            incoming, outgoing = device.amplitudes(omega, fields)
            power, energy = (
                absorbed(update, fields, omega, whole),
                energy_product(update, fields, fields, omega, inside),
            )
            result = RESULTS.where(lost, RESULTS.unresolved, result)
            found.append(((outgoing[0] / incoming[0], energy.real, power.walls, power.carriers, result), fields))
            bar.show(number, f"of {values.size} frequencies")
    numbers = [numbers for numbers, _ in found]
    outgoing, energy, walls, carriers, result = jax.tree_util.tree_map(lambda *parts: jnp.stack(parts), *numbers)
    strongest = int(np.nanargmax(energy)) if np.any(np.isfinite(energy)) else 0
    shape, size = found[strongest][1], jnp.sqrt(energy[strongest])
    products = [
        energy_product(update, shape, fields, omega, inside) for (_, fields), omega in zip(found, values, strict=True)
    ]
    answer = CavityResponse(values, outgoing, jnp.stack(products) / size, energy, walls, carriers, result)
    return raise_failures(answer, result) if throw else answer
