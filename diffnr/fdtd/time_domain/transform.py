"""Running transforms: a part of a field at given frequencies, summed while the fields go on."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from diffnr.checks import Count, Numbers, as_choice, as_count, as_real, is_concrete, require, require_finite
from diffnr.fdtd.time_domain.functional import COMPONENTS
from diffnr.fdtd.time_domain.leapfrog import Fields

Range = tuple[int, int]


class FieldTransform(eqx.Module):
    """F̂(ω) = Σ F e^{−iωt} Δt over the run, of a part of one field component, at the component's own times.

    **Arguments:** `component`: "ex", "ey" or "hz"; `omega`: [frequency], rad/s; `rows`, `columns`: (first, last + 1),
    default all; `stride`: steps from one sample to the next, static.

    **Raises:** `ValueError` for a component that does not exist, frequencies that are no finite numbers, ranges that
    are not two whole numbers in order, a stride below 1; in `propagate` for ranges beyond the field.

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
        component: Any,
        omega: Numbers,
        *,
        rows: Any = None,
        columns: Any = None,
        stride: Count = 1,
    ):
        self.component, self.omega = component, jnp.atleast_1d(as_real(omega, "omega"))
        self.rows, self.columns = _as_indices(rows, "rows"), _as_indices(columns, "columns")
        self.stride = as_count(stride, "stride")

    def __check_init__(self) -> None:
        as_choice(self.component, "component", COMPONENTS)
        as_count(self.stride, "stride")
        listed = self.omega.ndim == 1 and self.omega.size > 0
        require(listed, "omega", "be a number or a list of them", f"of shape {self.omega.shape}")
        require_finite("omega", self.omega)

    def require_samples(self, step: Float[Array, ""]) -> None:
        """Raise where the stride leaves too few samples a period."""
        if is_concrete(self.omega, step):
            # By numpy: inside of jit whatever jnp makes is traced.
            highest = max(float(np.max(np.abs(np.asarray(self.omega)))), 1e-300)
            samples = 2 * np.pi / highest / float(np.asarray(step)) / self.stride
            must = "leave at least 4 samples a period of the highest frequency"
            require(samples >= 4, "stride", must, f"{self.stride}, which leaves {samples:.3g}")

    def require_fits(self, fields: Fields) -> None:
        """Raise where a range goes beyond the component's points."""
        shape = getattr(fields, self.component).shape
        for name, indices, size in zip(("rows", "columns"), (self.rows, self.columns), shape, strict=True):
            must = f"have {name} within the {size} of {self.component}"
            require(indices is None or indices[1] <= size, "transforms", must, f"one with {indices}")

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
        rows, columns = (slice(None) if part is None else slice(*part) for part in (self.rows, self.columns))
        return field[rows, columns]


def _as_indices(value: Any, name: str) -> Range | None:
    if value is None:
        return None
    must = "be (first, last + 1), two whole numbers in order"
    require(isinstance(value, (tuple, list)) and len(value) == 2, name, must, value)
    first, last = (as_count(index, name, least=0) for index in value)
    require(first < last, name, must, value)
    return first, last
