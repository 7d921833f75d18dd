"""Field data: S-parameters and stored energy over frequency, simulated or measured, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Complex, Float

from diffnr.checks import (
    Count,
    as_complex,
    as_count,
    as_flag,
    as_index,
    as_real,
    as_scalar,
    described,
    is_concrete,
    require,
    require_instance,
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
        return ~jnp.isnan(self.s[0])

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
        return FieldData(*parts, resistance=self.resistance, measured=self.measured, name=self.name)

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
        return FieldData(
            self.omega, self.s[:, out, into], sigma=sigma, measured=self.measured, name=f"{self.name} {named}".strip()
        )

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
            measured=self.measured,
            name=f"{self.name} port {named}".strip(),
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


class Reciprocity(eqx.Module):
    """What `reciprocity` found; `reciprocal` is the verdict, the rest is what it rests on."""

    reciprocal: bool
    max_difference: float  # max |S - Sᵀ|
    relative: float  # rms |S - Sᵀ| over the rms of the off-diagonal entries
    noise: float  # the relative asymmetry that the noise alone would make
    median_db: float  # median over frequency and pairs of |20 log10 |S_ij / S_ji||
    max_db: float  # the largest of them: large at a noise floor, where it says nothing


class Passivity(eqx.Module):
    """What `passivity` found; `passive` is the verdict: largest ≤ 1 + tolerance."""

    passive: bool
    largest: float  # the largest singular value of S over frequency
    omega: float  # where it is
    tolerance: float  # what the noise and rounding allow beyond 1


def noise_estimate(data: FieldData, order: Count = 4) -> Float[np.ndarray, "out in"]:
    """The noise of `data.s` per real and imaginary part, from differences along frequency, without a model.

        sigma = median |Σ_j w_j x_{k+j}| / 0.6745,   w ⟂ all polynomials of degree < order,  Σ w_j² = 1

    On an even grid w_j = (−1)^j binom(order, j)/√(Σ binom²). The median passes over the few points where a sharp
    resonance is not smooth on the grid.

    **Arguments:** `data`; `order`: the order of the differences.

    **Returns:** [out, in], in the unit of s.

    **Raises:** `ValueError` for fewer than order + 1 points.

    Good from some 50 points on. Noise correlated between neighbouring points (smoothed traces) is underestimated;
    resonances of a few points each that fill the band are taken for noise.
    """
    _require_data(data)
    order = as_count(order, "order", most=100)
    require(data.num_points > order, "data", f"have at least {order + 1} points", f"of {data.num_points}")
    omega, s = np.asarray(data.omega, dtype=float), np.asarray(data.s, dtype=complex)
    grid = np.lib.stride_tricks.sliding_window_view(omega, order + 1)
    # Divided differences: w_j = 1/Π_{i≠j} (x_j - x_i), on windows scaled to unit length.
    grid = (grid - grid[:, :1]) / (grid[:, -1:] - grid[:, :1])
    weights = 1 / np.prod(grid[:, :, None] - grid[:, None, :] + np.eye(order + 1), axis=2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    windows = np.lib.stride_tricks.sliding_window_view(s, order + 1, axis=0)
    differences = np.einsum("kj,koij->koi", weights, windows)
    median = np.median(np.abs(np.concatenate([differences.real, differences.imag])), axis=0)
    return median / 0.6744897501960817  # the median of |x| for a normal x of unit variance


def reciprocity(data: FieldData, relative: Any = 0.01, noise_factor: Any = 1.5) -> Reciprocity:
    """Whether S = Sᵀ, as far as the data can tell.

        asymmetry = rms |S − Sᵀ| / rms |S_offdiagonal|;   reciprocal: asymmetry ≤ max(relative, noise_factor · noise)

    where `noise` is the asymmetry of a reciprocal device with the noise of this one: `data.sigma` if given, else
    `noise_estimate`, else (fewer than 16 points) 0.

    **Arguments:** `data`; `relative`: the asymmetry that still counts as reciprocal (1 %); `noise_factor`: how many
    times the expected noise still counts as noise.

    **Returns:** `Reciprocity`; a one-port is reciprocal.

    **Raises:** `ValueError` for what is no `FieldData`, or a factor that is negative or no finite number.

    Example: `nr.data.reciprocity(nr.read_touchstone("device.s2p")).reciprocal`.
    """
    _require_data(data)
    relative = float(as_scalar(_known(relative, "relative"), "relative", lower=0.0))
    noise_factor = float(as_scalar(_known(noise_factor, "noise_factor"), "noise_factor", lower=0.0))
    s = np.asarray(data.s, dtype=complex)
    out, into = np.triu_indices(data.num_ports, 1)
    if out.size == 0:
        return Reciprocity(True, 0.0, 0.0, 0.0, 0.0, 0.0)
    there, back = s[:, out, into], s[:, into, out]
    scale = np.sqrt(np.mean(np.abs(there) ** 2 + np.abs(back) ** 2) / 2)
    asymmetry = _ratio(np.sqrt(np.mean(np.abs(there - back) ** 2)), scale)
    sigma = _noise(data)
    noise = _ratio(np.sqrt(np.mean(2 * sigma[out, into] ** 2 + 2 * sigma[into, out] ** 2)), scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        db = np.abs(20 * np.log10(np.abs(there) / np.abs(back)))
    db = np.where((there == 0) & (back == 0), 0.0, db)
    return Reciprocity(
        reciprocal=bool(asymmetry <= max(relative, noise_factor * noise)),
        max_difference=float(np.max(np.abs(there - back))),
        relative=asymmetry,
        noise=noise,
        median_db=float(np.median(db)),
        max_db=float(np.max(db)),
    )


def passivity(data: FieldData, multiples: Any = 5.0) -> Passivity:
    """Whether the device gives out no more power than it takes in, as far as the data can tell.

        passive: max over frequency of ‖S‖₂ ≤ 1 + multiples · √ports · sigma

    and a margin for rounding, with sigma the largest entry of the noise of S, taken as in `reciprocity`. To first order
    noise moves a singular value by a normal amount of at most sigma; √ports is for several equal ones, as a lossless
    device has them.

    **Arguments:** `data`; `multiples`: how many standard deviations still count as noise.

    **Returns:** `Passivity`.

    **Raises:** `ValueError` for what is no `FieldData`, or a factor that is negative or no finite number.

    Example: `nr.data.passivity(nr.read_touchstone("device.s2p")).largest`.
    """
    _require_data(data)
    multiples = float(as_scalar(_known(multiples, "multiples"), "multiples", lower=0.0))
    s = np.asarray(data.s)
    largest = np.linalg.norm(s, ord=2, axis=(1, 2))
    worst = int(np.argmax(largest))
    rounding = 8 * data.num_ports * float(np.finfo(s.dtype).eps)
    tolerance = multiples * np.sqrt(data.num_ports) * float(np.max(_noise(data))) + rounding
    return Passivity(
        passive=bool(largest[worst] <= 1 + tolerance),
        largest=float(largest[worst]),
        omega=float(data.omega[worst]),
        tolerance=float(tolerance),
    )


def _require_data(data: Any) -> None:
    require_instance(data, "data", FieldData, "be a FieldData")


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


def entry_name(out: int, into: int, num_ports: int) -> str:
    """As in the laboratory, where ports count from 1: S21, or S10_1 where a number has two digits."""
    return f"S{out + 1}{into + 1}" if num_ports < 10 else f"S{out + 1}_{into + 1}"


def _ratio(x: float, scale: float) -> float:
    """x / scale, and 0 for 0 / 0."""
    return float(x / scale) if scale else (0.0 if x == 0 else np.inf)


def _noise(data: FieldData) -> np.ndarray:
    """The noise of S [out, in] on which the checks rest: as given, else estimated, else (few points) 0."""
    if data.deviation is not None:
        return np.sqrt(np.mean(np.asarray(data.deviation) ** 2, axis=0))
    return noise_estimate(data) if data.num_points >= 16 else np.zeros((data.num_ports,) * 2)
