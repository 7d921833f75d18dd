"""Field data: S-parameters and stored energy over frequency, simulated or measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.checks import (
    as_complex,
    as_flag,
    as_real,
    as_scalar,
    described,
    is_concrete,
    require,
    require_known,
)

Values = ArrayLike | Sequence[Any]


class FieldData(eqx.Module):
    """S-parameters and, where known, stored energies of a linear device over frequency.

        s[k, out, in] = b_out / s_in at omega[k], with port `in` alone driven

    **Arguments:**

    - `omega`: [f], strictly increasing; rad/s (or any one rate unit; detunings may be negative).
    - `s`: complex [f, out, in], power-normalised; [f] is taken for a one-port.
    - `energy`: optional [f, in], the stored energy Σ|a|² when port `in` alone is driven with unit power, in 1/omega's
      unit; [f] is taken for a one-port.
    - `sigma`: optional standard deviation of the noise of each real and imaginary part of `s`: scalar, [f] or
      [f, out, in], positive.
    - `sigma_energy`: optional standard deviation of the noise of `energy`: scalar, [f] or [f, in], positive.
    - `measured`: whether this is a measurement, with cables and a background that a fit must allow for.
    - `name`: a name for plots and reports.

    **Raises:** `ValueError` for a wrong shape, a value that is not finite, frequencies that do not increase, negative
    energy, or a sigma that is not positive.

    Example: `nr.FieldData(2 * np.pi * frequency, s, sigma=1e-3, measured=True, name="isolator")`.

    dtypes follow the inputs: with float64 off, frequencies closer than one part in 10⁷ cannot be told apart.
    """

    # Shapes are left to __check_init__, whose sentences say more than a type checker's.
    omega: Float[Array, "*f"]
    s: Complex[Array, "*f_out_in"]
    energy: Float[Array, "*f_in"] | None
    sigma: Float[Array, "*any"] | None
    sigma_energy: Float[Array, "*some"] | None
    measured: bool = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def __init__(
        self,
        omega: Values,
        s: Values,
        energy: Values | None = None,
        sigma: Values | None = None,
        sigma_energy: Values | None = None,
        *,
        measured: bool = False,
        name: str = "",
    ):
        s, energies = as_complex(s, "s"), _real("energy", energy)
        self.omega = as_real(omega, "omega")
        self.s = s[:, None, None] if s.ndim == 1 else s
        self.energy = energies[:, None] if energies is not None and energies.ndim == 1 else energies
        self.sigma = _real("sigma", sigma)
        self.sigma_energy = _real("sigma_energy", sigma_energy)
        self.measured = as_flag(measured, "measured")
        require(isinstance(name, str), "name", "be text", described(name))
        self.name = name

    def __check_init__(self):
        points, ports = self.omega.size, self.s.shape[-1] if self.s.ndim else 1
        require(points > 0, "omega", "have at least one point", f"of shape {self.omega.shape}")
        require(ports > 0, "s", "have at least one port", f"of shape {self.s.shape}")
        _require_shape("omega", self.omega, (points,))
        shape = (points, ports, ports)
        was = f"of shape {self.s.shape} with omega of {points} point(s)"
        require(self.s.shape == shape, "s", f"have shape {shape}, one S-matrix for each omega", was)
        _require_shape("energy", self.energy, (points, ports))
        _require_shape("sigma", self.sigma, (), (points,), (points, ports, ports))
        _require_shape("sigma_energy", self.sigma_energy, (), (points,), (points, ports))
        for name in ("omega", "s", "energy", "sigma", "sigma_energy"):
            _require_all(np.isfinite, name, "be finite", getattr(self, name))
        _require_all(lambda x: np.diff(x, prepend=-np.inf) > 0, "omega", "increase strictly", self.omega)
        _require_all(lambda x: x >= 0, "energy", "not be negative", self.energy)
        _require_all(lambda x: x > 0, "sigma", "be positive", self.sigma)
        _require_all(lambda x: x > 0, "sigma_energy", "be positive", self.sigma_energy)

    @property
    def num_points(self) -> int:
        """The number of frequencies."""
        return self.omega.shape[0]

    @property
    def num_ports(self) -> int:
        """The number of ports."""
        return self.s.shape[-1]

    @property
    def frequency(self) -> Float[Array, " f"]:
        """omega / 2π, in Hz where omega is in rad/s."""
        return self.omega / (2 * np.pi)

    @property
    def deviation(self) -> Float[Array, "f out in"] | None:
        """`sigma` in the shape of `s`, or None."""
        return _spread(self.sigma, self.s.shape)

    @property
    def deviation_energy(self) -> Float[Array, "f in"] | None:
        """`sigma_energy` in the shape [f, in], or None."""
        return _spread(self.sigma_energy, self.s.shape[:2])

    def band(self, lo: Any, hi: Any) -> FieldData:
        """The points with lo ≤ omega ≤ hi (not inside `jit`: their number depends on values).

        **Arguments:** `lo`, `hi`: in omega's unit.

        **Raises:** `ValueError` if no point lies there, or for a limit that is no finite number.

        Example: `data.band(2 * np.pi * 4e9, 2 * np.pi * 6e9)`.
        """
        lo, hi = (float(as_scalar(_known(bound, name), name)) for bound, name in ((lo, "lo"), (hi, "hi")))
        omega = np.asarray(self.omega)
        keep = np.flatnonzero((omega >= lo) & (omega <= hi))
        if not keep.size:
            raise ValueError(
                f"Arguments lo and hi must hold points between them, but were {lo:g} and {hi:g}: "
                f"omega goes from {omega[0]:g} to {omega[-1]:g}."
            )
        arrays = (self.omega, self.s, self.energy, self.sigma, self.sigma_energy)
        parts: list[Any] = [x if x is None or x.ndim == 0 else x[keep] for x in arrays]
        return FieldData(*parts, measured=self.measured, name=self.name)


def _known(value: Any, name: str) -> Any:
    require_known(value, name)
    return value


def _real(name: str, value: Values | None) -> Any:
    if value is None:
        return None
    return as_real(value, name)


def _require_shape(name: str, value: Array | None, *shapes: tuple[int, ...]) -> None:
    allowed = " or ".join(map(str, shapes))
    require(value is None or value.shape in shapes, name, f"have shape {allowed}", getattr(value, "shape", None))


def _require_all(test: Callable[[Any], Any], name: str, must: str, value: Array | None) -> None:
    """Raise naming the first entry of `value` that fails `test` (None and tracers pass)."""
    if value is None or not is_concrete(value):
        return
    array = np.asarray(value)
    failed = np.argwhere(~test(array))
    if len(failed):
        index = tuple(failed[0].tolist())
        where = f"{name}{list(index)}" if index else "it"
        raise ValueError(f"Argument {name} must {must}, but {where} was {array[index]} ({array.dtype}).")


def _spread(sigma: Array | None, shape: tuple[int, ...]) -> Array | None:
    """`sigma` (scalar, [f] or whole) in the whole shape, frequency first."""
    if sigma is None:
        return None
    return jnp.broadcast_to(sigma.reshape(sigma.shape + (1,) * (len(shape) - sigma.ndim)), shape)
