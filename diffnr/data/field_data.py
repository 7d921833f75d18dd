"""Field data: S-parameters and stored energy over frequency, simulated or measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Complex, Float

from diffnr.checks import (
    as_complex,
    as_count,
    as_flag,
    as_index,
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
    - `s`: complex [f, out, in], power-normalised; [f] is taken for a one-port. An entry that was not measured is NaN at
      all frequencies; at some only, NaN is refused.
    - `energy`: optional [f, in], the stored energy Σ|a|² when port `in` alone is driven with unit power, in 1/omega's
      unit; [f] is taken for a one-port.
    - `sigma`: optional standard deviation of the noise of each real and imaginary part of `s`: scalar, [f] or
      [f, out, in], positive.
    - `sigma_energy`: optional standard deviation of the noise of `energy`: scalar, [f] or [f, in], positive.
    - `resistance`: optional reference resistance of the waves, in ohm: scalar or [ports], positive. None: not known, or
      waves of another kind.
    - `measured`: whether this is a measurement, with cables and a background that a fit must allow for.
    - `name`: a name for plots and reports.
    - `transmission`: whether a one-port's trace is no reflection but S21 of a device (True), or which entry (out, into)
      it is, as `entry` gives it.

    **Raises:** `ValueError` for a wrong shape, a value that is not finite, frequencies that do not increase, negative
    energy, or a sigma or a resistance that is not positive.

    Example: `nr.FieldData(2 * np.pi * frequency, s, sigma=1e-3, measured=True, name="isolator")`.

    dtypes follow the inputs: with float64 off, frequencies closer than one part in 10⁷ cannot be told apart.
    """

    # Shapes are left to __check_init__, whose sentences say more than a type checker's.
    omega: Float[Array, "*f"]
    s: Complex[Array, "*f_out_in"]
    energy: Float[Array, "*f_in"] | None
    sigma: Float[Array, "*any"] | None
    sigma_energy: Float[Array, "*some"] | None
    resistance: Float[Array, "*each"] | None
    measured: bool = eqx.field(static=True)
    name: str = eqx.field(static=True)
    transmission: tuple[int, int] | None = eqx.field(static=True)

    def __init__(
        self,
        omega: Values,
        s: Values,
        energy: Values | None = None,
        sigma: Values | None = None,
        sigma_energy: Values | None = None,
        *,
        resistance: Values | None = None,
        measured: bool = False,
        name: str = "",
        transmission: Any = None,
    ):
        s, energies = as_complex(s, "s"), _real("energy", energy)
        self.omega = as_real(omega, "omega")
        self.s = s[:, None, None] if s.ndim == 1 else s
        self.energy = energies[:, None] if energies is not None and energies.ndim == 1 else energies
        self.sigma = _real("sigma", sigma)
        self.sigma_energy = _real("sigma_energy", sigma_energy)
        self.resistance = _real("resistance", resistance)
        self.measured = as_flag(measured, "measured")
        require(isinstance(name, str), "name", "be text", described(name))
        self.name = name
        self.transmission = as_transmission(transmission)

    def __check_init__(self):
        points, ports = self.omega.size, self.s.shape[-1] if self.s.ndim else 1
        require(points > 0, "omega", "have at least one point", f"of shape {self.omega.shape}")
        require(ports > 0, "s", "have at least one port", f"of shape {self.s.shape}")
        _require_shape("omega", self.omega, (points,))
        shape = (points, ports, ports)
        was = f"of shape {self.s.shape} with omega of {points} point(s)"
        alone = ports == 1 or not self.transmission
        require(alone, "transmission", "be left out for more than one trace", f"given for {ports} ports")
        require(self.s.shape == shape, "s", f"have shape {shape}, one S-matrix for each omega", was)
        _require_shape("energy", self.energy, (points, ports))
        _require_shape("sigma", self.sigma, (), (points,), (points, ports, ports))
        _require_shape("sigma_energy", self.sigma_energy, (), (points,), (points, ports))
        _require_shape("resistance", self.resistance, (), (ports,))
        nan = np.isnan(np.asarray(self.s)) if is_concrete(self.s) else np.zeros((1, ports, ports), bool)
        absent = nan.all(axis=0)
        require(not absent.all(), "s", "hold an entry that was measured", "NaN everywhere")
        for name in ("omega", "energy", "sigma_energy", "resistance"):
            _require_all(np.isfinite, name, "be finite", getattr(self, name))
        beside = ", or NaN at all frequencies of an entry that was not measured" if nan.any() and ports > 1 else ""
        _require_all(lambda x: np.isfinite(x) | absent, "s", f"be finite{beside}", self.s)
        absent = absent if self.sigma is not None and self.sigma.ndim == 3 else False
        _require_all(lambda x: np.isfinite(x) | absent, "sigma", "be finite", self.sigma)
        _require_all(lambda x: np.diff(x, prepend=-np.inf) > 0, "omega", "increase strictly", self.omega)
        _require_all(lambda x: x >= 0, "energy", "not be negative", self.energy)
        _require_all(lambda x: (x > 0) | absent, "sigma", "be positive", self.sigma)
        for name in ("sigma_energy", "resistance"):
            _require_all(lambda x: x > 0, name, "be positive", getattr(self, name))

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
    def entries(self) -> Bool[Array, "out in"]:
        """Which entries were measured: the others are NaN in `s`."""
        if not is_concrete(self.s):
            return ~jnp.isnan(self.s[0])
        return jnp.asarray(~np.isnan(np.asarray(self.s)[0]))  # by numpy: nothing is compiled for each shape

    @property
    def _said(self) -> dict[str, Any]:
        """What is said of the data beside their numbers."""
        return {"measured": self.measured, "name": self.name, "transmission": self.transmission}

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
        return FieldData(*parts, resistance=self.resistance, **self._said)

    def conjugated(self) -> FieldData:
        """The same device in the other convention for phasors, e^{−iωt} for e^{iωt}: conj(S).

        Example: `data.conjugated()` of what Lumerical, Tidy3D or Meep export.
        """
        return eqx.tree_at(lambda data: data.s, self, self.s.conj())

    def entry(self, *, out: Any, into: Any) -> FieldData:
        """One entry alone, as a one-port trace: S21 is `entry(out=1, into=0)`.

        **Arguments:** `out`, `into`: ports, counted from 0.

        **Returns:** `FieldData` of one port, named after the entry; a reflection is `ports(out)`.

        **Raises:** `ValueError` for a port that there is not, or an entry that was not measured.

        Example: `data.entry(out=1, into=0).s[:, 0, 0]`.
        """
        out, into = (as_index(port, n, self.num_ports, "port") for port, n in ((out, "out"), (into, "into")))
        if out == into:
            return self.ports(out)
        sigma = None if self.deviation is None else self.deviation[:, out, into]
        named = entry_name(out, into, self.num_ports)
        self._require_measured([out], [into])
        said = {**self._said, "name": f"{self.name} {named}".strip(), "transmission": (out, into)}
        return FieldData(self.omega, self.s[:, out, into], sigma=sigma, **said)

    def ports(self, *ports: Any) -> FieldData:
        """The entries between some of the ports, in the order given, as a device whose other ports are matched.

        **Arguments:** `ports`: counted from 0, each once.

        **Returns:** `FieldData` with as many ports as were named.

        **Raises:** `ValueError` for a port that there is not or that is named twice, or none of whose entries was
        measured.

        Example: `data.ports(0)`, the reflection of the first port; `data.ports(2, 0)`, a two-port of two of them.
        """
        chosen = [as_index(port, "ports", self.num_ports, "port") for port in ports]
        require(chosen and len(set(chosen)) == len(chosen), "ports", "name one port or several, each once", ports)
        self._require_measured(chosen, chosen)
        block = (slice(None), *np.ix_(chosen, chosen))
        named = "-".join(f"{port + 1}" for port in chosen)
        return FieldData(
            self.omega,
            self.s[block],
            energy=None if self.energy is None else self.energy[:, chosen],
            sigma=self.sigma[block] if self.sigma is not None and self.sigma.ndim == 3 else self.sigma,
            sigma_energy=_columns(self.sigma_energy, chosen, 2),
            resistance=_columns(self.resistance, chosen, 1),
            **{**self._said, "name": f"{self.name} port {named}".strip()},
        )

    def renormalised(self, resistance: Any) -> FieldData:
        """The same device described by waves of another reference resistance.

            S' = c (S − Γ) (1 − Γ S)⁻¹ c⁻¹,   Γ = (R' − R)/(R' + R),   c = (R' + R)/(2 √(R R'))

        with Γ and c diagonal, one number a port. For real resistances power waves, pseudo-waves and travelling waves
        are one, so that all of them give this formula.

        **Arguments:** `resistance`: R', scalar or [ports], in ohm.

        **Returns:** `FieldData` with that resistance. A sigma becomes [f, out, in], by the formula's first order and
        without the correlations that it brings between entries.

        **Raises:** `ValueError` where R is not known (give `resistance=`), where an entry was not measured, for
        energies (those under other terminations do not follow from them), or for a resistance that is not positive.

        Example: `data.renormalised(75.0).resistance`.

        Source: K. Kurokawa, IEEE Trans. Microwave Theory Tech. 13, 194 (1965).
        """
        new = as_real(resistance, "resistance")
        _require_shape("resistance", new, (), (self.num_ports,))
        _require_all(lambda x: np.isfinite(x) & (x > 0), "resistance", "be positive and finite", new)
        if self.resistance is None:
            raise ValueError("These data have no reference resistance to start from: make them with resistance=50.0.")
        if self.energy is not None:
            raise ValueError("These data hold energies, which do not follow for other resistances: leave energy out.")
        self._require_measured(range(self.num_ports), range(self.num_ports), every=True)
        one = jnp.eye(self.num_ports)
        old = jnp.broadcast_to(self.resistance, (self.num_ports,))
        gamma, scale = (new - old) / (new + old), (new + old) / (2 * jnp.sqrt(new * old))
        # With M = (1 − ΓS)⁻¹ a change dS of S changes S' by c (1 + (S − Γ) M Γ) dS M c⁻¹.
        inverse = jnp.linalg.inv(one - gamma[:, None] * self.s) / scale
        waves = (scale[:, None] * (self.s - jnp.diag(gamma))) @ inverse
        sigma = self.deviation
        if sigma is not None:
            left = scale[:, None] * one + (waves * scale) * gamma
            sigma = jnp.sqrt(jnp.abs(left) ** 2 @ sigma**2 @ jnp.abs(inverse) ** 2)
        return FieldData(self.omega, waves, sigma=sigma, resistance=new, measured=self.measured, name=self.name)

    def _require_measured(self, out: Sequence[int], into: Sequence[int], *, every: bool = False) -> None:
        """Raise unless one of the entries between these ports was measured, or `every` one."""
        if is_concrete(self.s):
            known = np.asarray(self.entries)[np.ix_(out, into)]
            absent = [entry_name(out[i], into[j], self.num_ports) for i, j in np.argwhere(~known)]
            if not (known.all() if every else known.any()):
                raise ValueError(f"These data lack {', '.join(absent)}, which this needs: they were not measured.")


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


def _columns(value: Array | None, chosen: list[int], axes: int) -> Array | None:
    """The chosen ports of a `value` that has one for each port, on the last of `axes` axes."""
    return value[..., np.array(chosen)] if value is not None and value.ndim == axes else value


def as_transmission(value: Any) -> tuple[int, int] | None:
    """The entry (out, into) that a trace is; True stands for S21, False and None for a reflection."""
    if isinstance(value, (tuple, list)):
        ports = tuple(as_count(port, "transmission", least=0) for port in value)
        require(len(ports) == 2 and ports[0] != ports[1], "transmission", "be of two ports (out, into)", value)
        return ports[0], ports[1]
    return (1, 0) if value is not None and as_flag(value, "transmission") else None


def name_of_entry(data: Any, out: int, into: int) -> str:
    """The name of an entry of data, which a trace of transmission keeps."""
    if data.transmission is None:
        return entry_name(out, into, data.num_ports)
    return entry_name(*data.transmission, num_ports=max(data.transmission) + 1)


def entry_name(out: int, into: int, num_ports: int) -> str:
    """As in the laboratory, where ports count from 1: S21, or S10_1 where a number has two digits."""
    return f"S{out + 1}{into + 1}" if num_ports < 10 else f"S{out + 1}_{into + 1}"
