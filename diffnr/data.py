"""Field data: S-parameters over frequency, simulated or measured, read from and written to Touchstone and CSV files.

The CSV format: a header line, then a line of numbers a frequency, separated by commas; lines that start with `#` are
comments. The first column is `frequency_hz` or `omega_rad_s`; the others stand in any order. Each S-parameter has two
columns, `S21_re,S21_im` or `S21_mag,S21_deg` or `S21_db,S21_deg`, out before in and counted from 1 as in the laboratory
(`S21` is `s[:, 1, 0]`: in at port 1, out at port 2; `S10_1_re` where a number has two digits). Optional columns:
`energy_1, energy_2, ...` (stored energy when that port alone is driven), `sigma` (noise of every real and imaginary
part at that frequency) or `S11_sigma, ...` (of each S-parameter), and `energy_1_sigma, ...`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Complex, Float

from diffnr.checks import as_complex, as_real, is_concrete, require

PathLike = str | Path
Values = ArrayLike | Sequence[Any]

_FREQUENCY = ("frequency_hz", "omega_rad_s")
_KINDS = ("re", "im", "mag", "db", "deg")
_ENTRY = re.compile(r"S(?:([1-9])([1-9])|([1-9]\d*)_([1-9]\d*))_(re|im|mag|db|deg|sigma)", re.IGNORECASE)
_OTHER = re.compile(r"sigma|energy_[1-9]\d*(_sigma)?", re.IGNORECASE)


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
        s, energies = as_complex(jnp.asarray(s)), _real("energy", energy)
        self.omega = _real("omega", omega)
        self.s = s[:, None, None] if s.ndim == 1 else s
        self.energy = energies[:, None] if energies is not None and energies.ndim == 1 else energies
        self.sigma = _real("sigma", sigma)
        self.sigma_energy = _real("sigma_energy", sigma_energy)
        self.measured = bool(measured)
        self.name = str(name)

    def __check_init__(self):
        points, ports = self.omega.size, self.s.shape[-1] if self.s.ndim else 1
        require(points > 0 and ports > 0, "s", "have at least one point and one port", self.s.shape)
        _require_shape("omega", self.omega, (points,))
        _require_shape("s", self.s, (points, ports, ports))
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

    def band(self, lo: float, hi: float) -> FieldData:
        """The points with lo ≤ omega ≤ hi (not inside `jit`: their number depends on values).

        **Arguments:** `lo`, `hi`: in omega's unit.

        **Raises:** `ValueError` if no point lies there.
        """
        omega = np.asarray(self.omega)
        keep = np.flatnonzero((omega >= lo) & (omega <= hi))
        if not keep.size:
            raise ValueError(f"No point lies in [{lo:g}, {hi:g}]: omega goes from {omega[0]:g} to {omega[-1]:g}.")
        arrays = (self.omega, self.s, self.energy, self.sigma, self.sigma_energy)
        parts: list[Any] = [x if x is None or x.ndim == 0 else x[keep] for x in arrays]
        return FieldData(*parts, measured=self.measured, name=self.name)


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


def noise_estimate(data: FieldData, order: int = 4) -> Float[np.ndarray, "out in"]:
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
    require(order >= 1, "order", "be at least 1", order)
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


def reciprocity(data: FieldData, relative: float = 0.01, noise_factor: float = 1.5) -> Reciprocity:
    """Whether S = Sᵀ, as far as the data can tell.

        asymmetry = rms |S − Sᵀ| / rms |S_offdiagonal|;   reciprocal: asymmetry ≤ max(relative, noise_factor · noise)

    where `noise` is the asymmetry of a reciprocal device with the noise of this one: `data.sigma` if given, else
    `noise_estimate`, else (fewer than 16 points) 0.

    **Arguments:** `data`; `relative`: the asymmetry that still counts as reciprocal (1 %); `noise_factor`: how many
    times the expected noise still counts as noise.

    **Returns:** `Reciprocity`; a one-port is reciprocal.
    """
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


def passivity(data: FieldData, multiples: float = 5.0) -> Passivity:
    """Whether the device gives out no more power than it takes in, as far as the data can tell.

        passive: max over frequency of ‖S‖₂ ≤ 1 + multiples · √ports · sigma

    and a margin for rounding, with sigma the largest entry of the noise of S, taken as in `reciprocity`. To first order
    noise moves a singular value by a normal amount of at most sigma; √ports is for several equal ones, as a lossless
    device has them.

    **Arguments:** `data`; `multiples`: how many standard deviations still count as noise.

    **Returns:** `Passivity`.
    """
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


def read_touchstone(path: PathLike, *, measured: bool = True, name: str | None = None) -> FieldData:
    """The S-parameters of a Touchstone file (.s1p, .s2p, ..., or .ts), read by scikit-rf.

    **Arguments:** `path`: the file; `measured`: False for a simulated device; `name`: the file's stem unless given.

    **Returns:** `FieldData`, omega in rad/s; S is that of the file, with respect to the file's reference resistance.

    **Raises:** `ImportError` without scikit-rf; `FileNotFoundError`; `ValueError` for what is no Touchstone file, for
    other parameters than S (convert them first), values that are not finite, or frequencies that do not increase.
    """
    _require_scikit_rf()
    from skrf.io.touchstone import Touchstone

    path = Path(path)
    _require_touchstone_layout(path)
    try:
        file = Touchstone(str(path))
    except Exception as error:  # scikit-rf raises whatever its parser trips over
        raise _refusal(path, f"could not be read as a Touchstone file: {error}") from error
    if file.parameter != "s":
        raise _refusal(path, f"must hold S-parameters, but holds {file.parameter}-parameters")
    # scikit-rf takes all from the first falling frequency on for noise parameters, which have 5 columns.
    if file.noise is not None and file.noise.shape[1] != 5:
        raise _refusal(path, f"must have increasing frequencies, but they fall after {file.f[-1]:g} Hz")
    return _from_file(path, name, omega=2 * np.pi * file.f, s=file.s, measured=measured)


def write_touchstone(path: PathLike, data: FieldData, *, resistance: float = 50.0) -> None:
    """Write `data.s` to a Touchstone 1 file: Hz, real and imaginary parts with all their digits, so S returns exactly.

    Energies and sigmas have no place in such a file: use `write_csv` or `diffnr.save` to keep them.

    **Arguments:** `path`: ends in .s2p for a two-port and so on; `data`: omega in rad/s; `resistance`: the reference
    resistance to state in the file, in ohm (S is not changed).

    **Raises:** `ImportError` without scikit-rf; `ValueError` for another extension.
    """
    _require_scikit_rf()
    from skrf import Network

    path = Path(path)
    suffix = f".s{data.num_ports}p"
    require(path.suffix.lower() == suffix, "path", f"end in {suffix} for {data.num_ports} port(s)", repr(str(path)))
    omega, s = np.asarray(data.omega, dtype=float), np.asarray(data.s, dtype=complex)
    Network(f=omega / (2 * np.pi), f_unit="Hz", s=s, z0=float(resistance)).write_touchstone(str(path), form="ri")


def read_csv(path: PathLike, *, measured: bool = True, name: str | None = None) -> FieldData:
    """Field data from a CSV file in the format described at the top of this module.

    **Arguments:** `path`: the file; `measured`: False for a simulated device; `name`: the file's stem unless given.

    **Returns:** `FieldData`, omega in rad/s.

    **Raises:** `FileNotFoundError`; `ValueError` for a header that is not of the format, an S-parameter without its
    columns, a cell that is no finite number (naming its line and column), or frequencies that do not increase.
    """
    path = Path(path)
    lines = enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1)
    rows = [(n, [c.strip() for c in line.split(",")]) for n, line in lines if not re.match(r"\s*(#|$)", line)]
    if len(rows) < 2:
        raise _refusal(path, "must hold a header and at least one line of data")
    header = rows[0][1]
    names = _header(path, header)
    columns = dict(zip(names, np.array([_numbers(path, n, cells, header) for n, cells in rows[1:]]).T, strict=True))
    omega = columns["omega_rad_s"] if "omega_rad_s" in columns else 2 * np.pi * columns["frequency_hz"]
    num_ports = max((int(i) for c in names if c[0] == "S" for i in c.split("_")[1:3]), default=1)
    ports, shape = range(1, num_ports + 1), (len(omega), num_ports, num_ports)
    if max((int(c.split("_")[1]) for c in names if c.startswith("energy")), default=1) > num_ports:
        raise _refusal(path, f"must have energies of the {num_ports} port(s) of its S-parameters only, but has more")
    s = np.stack([_entry(path, columns, out, into) for out in ports for into in ports], axis=1).reshape(shape)
    each = _group(path, columns, [f"S_{out}_{into}_sigma" for out in ports for into in ports])
    if each is not None and "sigma" in columns:
        raise _refusal(path, "must have a column sigma or columns S11_sigma, ..., but has both")
    return _from_file(
        path,
        name,
        omega=omega,
        s=s,
        energy=_group(path, columns, [f"energy_{p}" for p in ports]),
        sigma=columns.get("sigma") if each is None else each.reshape(shape),
        sigma_energy=_group(path, columns, [f"energy_{p}_sigma" for p in ports]),
        measured=measured,
    )


def write_csv(path: PathLike, data: FieldData, *, column: str = "frequency_hz") -> None:
    """Write field data to a CSV file in the format described at the top of this module, with all digits.

    Everything returns exactly but omega, which as `frequency_hz` may change in its last digit (`omega_rad_s` keeps that
    too), and a scalar sigma, which returns as one a frequency; `measured` and `name` are arguments of `read_csv`.

    **Arguments:** `path`: the file; `data`; `column`: the first one, `frequency_hz` or `omega_rad_s`.

    **Raises:** `ValueError` for another `column`.
    """
    require(column in _FREQUENCY, "column", "be 'frequency_hz' or 'omega_rad_s'", repr(column))
    columns: dict[str, Any] = {column: data.omega if column == "omega_rad_s" else np.asarray(data.omega) / (2 * np.pi)}
    ports = range(data.num_ports)
    for out, into in product(ports, ports):
        entry = f"S{out + 1}{into + 1}" if data.num_ports < 10 else f"S{out + 1}_{into + 1}"
        columns[f"{entry}_re"], columns[f"{entry}_im"] = data.s[:, out, into].real, data.s[:, out, into].imag
        if data.sigma is not None and data.sigma.ndim == 3:
            columns[f"{entry}_sigma"] = data.sigma[:, out, into]
    for p in ports:
        if data.energy is not None:
            columns[f"energy_{p + 1}"] = data.energy[:, p]
        if data.deviation_energy is not None:
            columns[f"energy_{p + 1}_sigma"] = data.deviation_energy[:, p]
    if data.sigma is not None and data.sigma.ndim < 3:
        columns["sigma"] = np.broadcast_to(data.sigma, data.omega.shape)
    table = np.stack([np.asarray(c, dtype=float) for c in columns.values()], axis=1)
    lines = [",".join(columns), *(",".join(map(repr, row)) for row in table.tolist())]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _real(name: str, value: Values | None) -> Any:
    if value is None:
        return None
    array = jnp.asarray(value)
    require(not jnp.iscomplexobj(array), name, "be real", "complex")
    return as_real(array)


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


def _ratio(x: float, scale: float) -> float:
    """x / scale, and 0 for 0 / 0."""
    return float(x / scale) if scale else (0.0 if x == 0 else np.inf)


def _noise(data: FieldData) -> np.ndarray:
    """The noise of S [out, in] on which the checks rest: as given, else estimated, else (few points) 0."""
    if data.deviation is not None:
        return np.sqrt(np.mean(np.asarray(data.deviation) ** 2, axis=0))
    return noise_estimate(data) if data.num_points >= 16 else np.zeros((data.num_ports,) * 2)


def _require_scikit_rf() -> None:
    try:
        import skrf  # noqa: F401
    except ImportError as error:
        raise ImportError('Touchstone files need scikit-rf: pip install "diffnr[rf]".') from error


def _refusal(path: Path, sentence: str) -> ValueError:
    return ValueError(f"File {str(path)!r} {sentence}.")


def _require_touchstone_layout(path: Path) -> None:
    """Refuse what scikit-rf would take for something else without a word."""
    suffix = re.fullmatch(r"\.(?:s(\d+)p|ts)", path.suffix.lower())
    if suffix is None:
        raise _refusal(path, "must end as Touchstone files of S-parameters do (.s1p, .s2p, ..., or .ts)")
    lines = [line.partition("!")[0].split() for line in path.read_text(encoding="latin-1").splitlines()]
    starts = [line[0][0] for line in lines if line]
    if "#" not in starts:
        raise _refusal(path, "must be a Touchstone file, but has no option line (# Hz S RI R 50)")
    data = [line for line in lines if line and line[0][0] not in "#["]
    if not data:
        raise _refusal(path, "must hold at least one frequency, but holds none")
    ports = int(suffix[1] or 0)
    if ports in (1, 2) and "[" not in starts and len(data[0]) != 1 + 2 * ports**2:
        raise _refusal(path, f"must have {1 + 2 * ports**2} numbers a line for {ports} port(s), but has {len(data[0])}")


def _from_file(path: Path, name: str | None, **arguments: Any) -> FieldData:
    try:
        return FieldData(**arguments, name=path.stem if name is None else name)
    except ValueError as error:
        raise ValueError(f"File {str(path)!r} holds no valid field data: {error}") from error


def _header(path: Path, header: list[str]) -> list[str]:
    """The header's names in one form: frequency_hz, S_1_1_re, energy_1, energy_1_sigma, sigma, ..."""
    if header[0].lower() not in _FREQUENCY:
        raise _refusal(path, f"must have frequency_hz or omega_rad_s as its first column, but has {header[0]!r}")
    names = [header[0].lower()]
    for column in header[1:]:
        entry = _ENTRY.fullmatch(column)
        name = f"S_{entry[1] or entry[3]}_{entry[2] or entry[4]}_{entry[5].lower()}" if entry else column.lower()
        if not entry and not _OTHER.fullmatch(column):
            raise _refusal(path, f"must have columns such as S11_re, energy_1 or sigma, but has {column!r}")
        if name in names:
            raise _refusal(path, f"must name each column once, but names {column!r} twice")
        names.append(name)
    return names


def _numbers(path: Path, line: int, cells: list[str], header: list[str]) -> list[float]:
    if len(cells) != len(header):
        raise _refusal(path, f"must have {len(header)} cells in every line, but line {line} has {len(cells)}")
    values = []
    for column, cell in zip(header, cells, strict=True):
        try:
            values.append(float(cell))
        except ValueError:
            values.append(np.nan)
        if not np.isfinite(values[-1]):
            raise _refusal(path, f"must hold finite numbers, but line {line}, column {column} holds {cell!r}")
    return values


def _entry(path: Path, columns: dict[str, np.ndarray], out: int, into: int) -> np.ndarray:
    """S-parameter (out, into), counted from 1, from whichever pair of columns it has."""
    found = {kind: columns[name] for kind in _KINDS if (name := f"S_{out}_{into}_{kind}") in columns}
    match tuple(found):
        case ("re", "im"):
            return found["re"] + 1j * found["im"]
        case ("mag", "deg"):
            return found["mag"] * np.exp(1j * np.deg2rad(found["deg"]))
        case ("db", "deg"):
            return 10 ** (found["db"] / 20) * np.exp(1j * np.deg2rad(found["deg"]))
    has = ", ".join(found) or "none"
    raise _refusal(path, f"must have columns S{out}{into}_re and _im (or _mag and _deg, _db and _deg), but has {has}")


def _group(path: Path, columns: dict[str, np.ndarray], names: list[str]) -> np.ndarray | None:
    """The columns `names` side by side, or None if there is none of them."""
    missing = [name for name in names if name not in columns]
    if missing and len(missing) < len(names):
        raise _refusal(path, f"must have all of the columns {', '.join(names)} or none, but lacks {', '.join(missing)}")
    return None if missing else np.stack([columns[name] for name in names], axis=1)
