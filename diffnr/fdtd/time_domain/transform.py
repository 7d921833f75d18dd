"""Running transforms: a part of a field at given frequencies, summed while the fields go on."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.checks import Numbers, as_real, is_concrete, require
from diffnr.fdtd.time_domain.functional import COMPONENTS
from diffnr.fdtd.time_domain.leapfrog import Fields

Range = tuple[int, int]


class FieldTransform(eqx.Module):
    """F̂(ω) = Σ F e^{−iωt} Δt over the run, of a part of one field component, at the component's own times.

    **Arguments:** `component`: "ex", "ey" or "hz"; `omega`: [frequency], rad/s; `rows`, `columns`: (first, last + 1),
    default all; `stride`: steps from one sample to the next, static.

    **Raises:** `ValueError` for a component that does not exist, a stride below 1.

    **Good values:** a stride that leaves ten samples a period costs almost nothing and is exact to round-off for fields
    that hold nothing above five times the frequency.
    """

    component: str = eqx.field(static=True)
    omega: Float[Array, " frequency"]
    rows: Range | None = eqx.field(static=True)
    columns: Range | None = eqx.field(static=True)
    stride: int = eqx.field(static=True)

    def __init__(
        self,
        component: str,
        omega: Numbers,
        *,
        rows: Range | None = None,
        columns: Range | None = None,
        stride: int = 1,
    ):
        self.component, self.omega = component, jnp.atleast_1d(as_real(omega, "omega"))
        self.rows, self.columns, self.stride = rows, columns, stride

    def __check_init__(self) -> None:
        require(self.component in COMPONENTS, "component", f"be one of {COMPONENTS}", repr(self.component))
        require(self.stride >= 1, "stride", "be at least 1", self.stride)
        require(self.omega.ndim == 1, "omega", "be a number or a list of them", f"of shape {self.omega.shape}")

    def require_samples(self, step: Float[Array, ""]) -> None:
        """Raise where the stride leaves too few samples a period."""
        if is_concrete(self.omega, step):
            # By numpy: inside of jit whatever jnp makes is traced.
            samples = float(2 * np.pi / (np.max(np.abs(np.asarray(self.omega))) * np.asarray(step) * self.stride))
            must = "leave at least 4 samples a period of the highest frequency"
            require(samples >= 4, "stride", must, f"{self.stride}, which leaves {samples:.3g}")

    def start(self, fields: Fields) -> Complex[Array, "frequency p q"]:
        """Zero."""
        part = self._part(fields)
        return jnp.zeros((self.omega.size, *part.shape), jnp.result_type(part.dtype, jnp.complex64))

    def factors(self, ts: Float[Array, " time"], step: Float[Array, ""]) -> Complex[Array, "time frequency"]:
        """e^{−iωt} Δt of each sample."""
        return jnp.exp(-1j * self.omega * ts[:, None]) * step * self.stride

    def add(self, total: Array, fields: Fields, factor: Complex[Array, " frequency"]) -> Array:
        """The sum with one more sample."""
        return total + (factor[:, None, None] * self._part(fields)).astype(total.dtype)

    def _part(self, fields: Fields) -> Array:
        field = getattr(fields, self.component)
        rows, columns = (slice(None) if ends is None else slice(*ends) for ends in (self.rows, self.columns))
        return field[rows, columns]
