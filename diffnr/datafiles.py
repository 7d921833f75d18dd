"""Field data in files: Touchstone through scikit-rf, and CSV.

The CSV format: a header line, then a line of numbers a frequency, separated by commas; lines that start with `#` are
comments. The first column is `frequency_hz` or `omega_rad_s`; the others stand in any order. Each S-parameter has two
columns, `S21_re,S21_im` or `S21_mag,S21_deg` or `S21_db,S21_deg`, out before in and counted from 1 as in the laboratory
(`S21` is `s[:, 1, 0]`: in at port 1, out at port 2; `S10_1_re` where a number has two digits). Optional columns:
`energy_1, energy_2, ...` (stored energy when that port alone is driven), `sigma` (noise of every real and imaginary
part at that frequency) or `S11_sigma, ...` (of each S-parameter), and `energy_1_sigma, ...`.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from diffnr.checks import as_choice, as_flag, as_path, as_positive, described, require, require_instance
from diffnr.data import FieldData

PathLike = Any  # str or os.PathLike

_FREQUENCY = ("frequency_hz", "omega_rad_s")
_KINDS = ("re", "im", "mag", "db", "deg")
_ENTRY = re.compile(r"S(?:([1-9])([1-9])|([1-9]\d*)_([1-9]\d*))_(re|im|mag|db|deg|sigma)", re.IGNORECASE)
_OTHER = re.compile(r"sigma|energy_[1-9]\d*(_sigma)?", re.IGNORECASE)


def read_touchstone(path: PathLike, *, measured: bool = True, name: str | None = None) -> FieldData:
    """The S-parameters of a Touchstone file (.s1p, .s2p, ..., or .ts), read by scikit-rf.

    **Arguments:** `path`: the file; `measured`: False for a simulated device; `name`: the file's stem unless given.

    **Returns:** `FieldData`, omega in rad/s; S is that of the file, with respect to the file's reference resistance.

    **Raises:** `ImportError` without scikit-rf; `FileNotFoundError`; `ValueError` for what is no Touchstone file, for
    other parameters than S (convert them first), values that are not finite, or frequencies that do not increase.

    Example: `nr.read_touchstone("device.s2p").num_ports`.
    """
    _require_scikit_rf()
    from skrf.io.touchstone import Touchstone

    path, measured, name = _arguments(path, measured, name)
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


def write_touchstone(path: PathLike, data: FieldData, *, resistance: Any = 50.0) -> None:
    """Write `data.s` to a Touchstone 1 file: Hz, real and imaginary parts with all their digits, so S returns exactly.

    Energies and sigmas have no place in such a file: use `write_csv` or `diffnr.save` to keep them.

    **Arguments:** `path`: ends in .s2p for a two-port and so on; `data`: omega in rad/s; `resistance`: the reference
    resistance to state in the file, in ohm (S is not changed).

    **Raises:** `ImportError` without scikit-rf; `ValueError` for another extension or a resistance that is not
    positive.

    Example: `nr.write_touchstone("device.s2p", data)`.
    """
    _require_scikit_rf()
    from skrf import Network

    path = as_path(path)
    require_instance(data, "data", FieldData, "be a FieldData")
    resistance = float(as_positive(resistance, "resistance"))
    suffix = f".s{data.num_ports}p"
    require(path.suffix.lower() == suffix, "path", f"end in {suffix} for {data.num_ports} port(s)", repr(str(path)))
    omega, s = np.asarray(data.omega, dtype=float), np.asarray(data.s, dtype=complex)
    Network(f=omega / (2 * np.pi), f_unit="Hz", s=s, z0=resistance).write_touchstone(str(path), form="ri")


def read_csv(path: PathLike, *, measured: bool = True, name: str | None = None) -> FieldData:
    """Field data from a CSV file in the format described at the top of this module.

    **Arguments:** `path`: the file; `measured`: False for a simulated device; `name`: the file's stem unless given.

    **Returns:** `FieldData`, omega in rad/s.

    **Raises:** `FileNotFoundError`; `ValueError` for a header that is not of the format, an S-parameter without its
    columns, a cell that is no finite number (naming its line and column), or frequencies that do not increase.

    Example: `nr.read_csv("device.csv").omega`.
    """
    path, measured, name = _arguments(path, measured, name)
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

    Example: `nr.write_csv("device.csv", data)`.
    """
    path = as_path(path)
    require_instance(data, "data", FieldData, "be a FieldData")
    column = as_choice(column, "column", _FREQUENCY)
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
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _arguments(path: Any, measured: Any, name: Any) -> tuple[Path, bool, str | None]:
    require(name is None or isinstance(name, str), "name", "be text, or None for the file's stem", described(name))
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r} to read (argument path).")
    return path, as_flag(measured, "measured"), name


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
