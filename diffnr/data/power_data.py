"""Power spectra: |S|² over frequency, as analysers without phase and optical detectors measure it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from diffnr.checks import as_flag, as_index, as_real, as_scalar, described, require
from diffnr.data.field_data import FieldData, as_transmission, entry_name


class PowerData(eqx.Module):
    """Powers |S|² of a linear device over frequency, without phase.

        power[k, out, in] = |b_out / s_in|² at omega[k], with port `in` alone driven

    They are a kind of data of their own: what needs a phase (causality, delays, conjugation, other reference
    resistances, Touchstone files, a model to design with) takes `FieldData` alone, and refuses these. `diffnr.data`'s
    `noise_estimate`, `rounding_step`, `reciprocity` and `passivity` take both.

    **Arguments:**

    - `omega`: [f], strictly increasing; rad/s (or any one rate unit).
    - `power`: [f, out, in]; [f] is taken for a one-port. Noise may make it negative. An entry that was not measured is
      NaN at all frequencies.
    - `sigma`: optional standard deviation of the noise of `power`: scalar, [f] or [f, out, in], positive.
    - `measured`: whether this is a measurement, with a background that a fit must allow for.
    - `name`: a name for plots and reports.
    - `transmission`: as of `FieldData`.

    **Raises:** `ValueError` for a wrong shape, a value that is not finite, frequencies that do not increase, or a sigma
    that is not positive.

    Example: `nr.PowerData(2 * np.pi * frequency, transmission, measured=True, name="ring")`.
    """

    omega: Float[Array, "*f"]
    power: Float[Array, "*f_out_in"]
    sigma: Float[Array, "*any"] | None
    measured: bool = eqx.field(static=True)
    name: str = eqx.field(static=True)
    transmission: tuple[int, int] | None = eqx.field(static=True)

    def __init__(
        self,
        omega: Any,
        power: Any,
        sigma: Any = None,
        *,
        measured: Any = False,
        name: Any = "",
        transmission: Any = None,
    ):
        # Whatever holds of amplitudes' shapes and of what is missing holds of powers; their checks are made there.
        power = as_real(power, "power")
        try:
            alike = FieldData(omega, power + 0j, sigma=sigma, transmission=transmission)
        except ValueError as error:
            named = str(error).replace("Argument s ", "Argument power ").replace("but s[", "but power[")
            raise ValueError(named.replace("one S-matrix", "one matrix")) from None
        self.omega, self.sigma = alike.omega, alike.sigma
        self.power = power[:, None, None] if power.ndim == 1 else power
        self.measured = as_flag(measured, "measured")
        require(isinstance(name, str), "name", "be text", described(name))
        self.name = name
        self.transmission = as_transmission(transmission)

    @classmethod
    def of(cls, data: FieldData) -> PowerData:
        """The powers of amplitudes, without their phases; a sigma becomes that of |S|², 2 |S| σ, to first order.

        Example: `nr.PowerData.of(nr.read_touchstone("device.s2p"))`.
        """
        size = jnp.abs(data.s)
        sigma = None
        if data.deviation is not None:
            sigma = jnp.where(data.entries, jnp.hypot(2 * size * data.deviation, 2 * data.deviation**2), jnp.nan)
        said = {"measured": data.measured, "name": data.name, "transmission": data.transmission}
        return cls(data.omega, size**2, sigma, **said)

    @property
    def num_points(self) -> int:
        """The number of frequencies."""
        return self.omega.shape[0]

    @property
    def num_ports(self) -> int:
        """The number of ports."""
        return self.power.shape[-1]

    @property
    def frequency(self) -> Float[Array, " f"]:
        """omega / 2π, in Hz where omega is in rad/s."""
        return self.omega / (2 * np.pi)

    @property
    def entries(self) -> Bool[Array, "out in"]:
        """Which entries were measured: the others are NaN in `power`."""
        return jnp.asarray(~np.isnan(np.asarray(self.power)[0]))

    @property
    def deviation(self) -> Float[Array, "f out in"] | None:
        """`sigma` in the shape of `power`, or None."""
        if self.sigma is None:
            return None
        sigma = self.sigma[:, None, None] if self.sigma.ndim == 1 else self.sigma
        return jnp.broadcast_to(sigma, self.power.shape)

    def band(self, lo: Any, hi: Any) -> PowerData:
        """The points with lo ≤ omega ≤ hi.

        **Raises:** `ValueError` if no point lies there.
        """
        low, high = float(as_scalar(lo, "lo")), float(as_scalar(hi, "hi"))
        keep = np.flatnonzero((np.asarray(self.omega) >= low) & (np.asarray(self.omega) <= high))
        if not keep.size:
            raise ValueError(f"Arguments lo and hi must hold points between them, but were {low:g} and {high:g}.")
        sigma = self.sigma if self.sigma is None or self.sigma.ndim == 0 else self.sigma[keep]
        said = {"measured": self.measured, "name": self.name, "transmission": self.transmission}
        return PowerData(self.omega[keep], self.power[keep], sigma, **said)

    def entry(self, *, out: Any, into: Any) -> PowerData:
        """One entry alone: |S21|² is `entry(out=1, into=0)`.

        **Raises:** `ValueError` for a port that there is not, or an entry that was not measured.
        """
        out, into = (as_index(port, n, self.num_ports, "port") for port, n in ((out, "out"), (into, "into")))
        named = entry_name(out, into, self.num_ports)
        return self._part(np.ix_([out], [into]), named, None if out == into else (out, into))

    def ports(self, *ports: Any) -> PowerData:
        """The entries between some of the ports, in the order given.

        **Raises:** `ValueError` for a port that there is not or that is named twice, or none of whose entries was
        measured.
        """
        chosen = [as_index(port, "ports", self.num_ports, "port") for port in ports]
        require(chosen and len(set(chosen)) == len(chosen), "ports", "name one port or several, each once", ports)
        named = f"port {'-'.join(f'{port + 1}' for port in chosen)}"
        return self._part(np.ix_(chosen, chosen), named, self.transmission)

    def _part(self, chosen: Any, named: str, transmission: tuple[int, int] | None) -> PowerData:
        if not np.any(np.asarray(self.entries)[chosen]):
            raise ValueError(f"These data lack {named}, which this needs: it was not measured.")
        block = (slice(None), *chosen)
        sigma = self.sigma[block] if self.sigma is not None and self.sigma.ndim == 3 else self.sigma
        name = f"{self.name} {named}".strip()
        said = {"measured": self.measured, "name": name, "transmission": transmission}
        return PowerData(self.omega, self.power[block], sigma, **said)
