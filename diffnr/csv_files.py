"""Field data in CSV files.

The format: a header line, then a line of numbers a frequency, separated by commas (or semicolons, or tabs, if the
header is); empty lines and those that start with `#` or `!` are comments. The first column is `frequency_hz` (or in
kHz, MHz, GHz, THz, as `Frequency (GHz)` or `freq_ghz` too) or `omega_rad_s`; or it is the wavelength in vacuum, as
`wavelength_nm`, `Wavelength (µm)` or `lambda_m`, rising or falling. The others stand in any order. Each
S-parameter has two columns, `S21_re,S21_im` or `S21_mag`, `S21_db` with `S21_deg`, `S21_rad`, out before in and counted
from 1 as in the laboratory (`S21` is `s[:, 1, 0]`: in at port 1, out at port 2; `S10_1_re` where a number has two
digits); `Re(S21)` or `S21 (dB)`, as instruments write them, are the same. One that has no columns was not measured.
Powers without phase have one column each, and no S-parameter has two then: `S21_power` (|S21|²; `T`, `transmission`
are the same, and `R`, `reflection` are `S11_power`), `S21_mag` (|S21|) or `S21_db`.
Optional columns: `energy_1, energy_2, ...` (stored energy when that port alone is driven), `sigma` (noise of every real
and imaginary part at that frequency) or `S11_sigma, ...` (of each S-parameter measured), and `energy_1_sigma, ...`. The
reference resistance is a comment, `# resistance_ohm = 50.0`, or one number a port.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from diffnr.checks import as_choice, as_path, require_instance
from diffnr.csv_header import WORDS, Axis, read_header
from diffnr.data import FieldData, PowerData, entry_name
from diffnr.text_files import (
    PathLike,
    field_data,
    has_decimal_commas,
    mark,
    number,
    read_arguments,
    read_lines,
    refusal,
    require_rising,
    require_whole,
    without_placeholders,
)
from diffnr.whole_files import write_columns

_FREQUENCY = ("frequency_hz", "omega_rad_s")
_MOST_PORTS = 99
_RESISTANCE = re.compile(r"\s*[#!]\s*resistance_ohm\s*=\s*(.*)")
# Of the last three, the first and last lines that some instruments and spreadsheets write.
_COMMENT = re.compile(r"\s*(#|!|$|BEGIN\b|END\b|sep=)")

Columns = dict[str, np.ndarray]


def read_csv(
    path: PathLike, *, measured: Any = True, name: Any = None, placeholders: Any = True
) -> FieldData | PowerData:
    """Field data from a CSV file in the format described at the top of this module.

    **Arguments:** `path`: the file; `measured`: False for a simulated device; `name`: the file's stem unless given;
    `placeholders`: False takes every 0 and 1 as it stands, which `read_touchstone` tells apart.

    **Returns:** `FieldData`, omega in rad/s, with NaN for the S-parameters that were not measured; `PowerData`
    of a file that holds powers without phase.

    **Raises:** `FileNotFoundError`; `ValueError` for a header that is not of the format, an S-parameter that lacks one
    of its two columns, a cell that is no finite number (naming its line, frequency and column), frequencies that do not
    increase, or a file that was cut.

    **Warns:** `UserWarning` of placeholders, and of what wavelengths were taken for.

    Example: `nr.read_csv("device.csv").omega`.
    """
    path, measured, name, placeholders = read_arguments(path, measured, name, placeholders)
    lines = read_lines(path)
    rows = [(k, line) for k, line in enumerate(lines, 1) if not _COMMENT.match(line)]
    if len(rows) < 2:
        raise refusal(path, "must hold a header and at least one line of data")
    separator = next((mark for mark in (";", "\t") if mark in rows[0][1]), ",")
    header = _cells(rows[0][1], separator)
    axis, names = read_header(path, header)
    table = np.array([_numbers(path, k, _cells(line, separator), header, names, axis) for k, line in rows[1:]])
    require_whole(path, lines, len(table))
    numbered, said = [k for k, _ in rows[1:]], []
    if axis.metres:
        turned = bool(table[-1, 0] > table[0, 0])
        table, numbered = (table[::-1], numbered[::-1]) if turned else (table, numbered)
        said.append(axis.sentence(path, turned))
    columns: Columns = dict(zip(names, table.T, strict=True))
    omega = axis.omega(table[:, 0])
    require_rising(path, numbered, omega / (2 * np.pi))
    num_ports = max((int(i) for c in names if c[0] == "S" for i in c.split("_")[1:3]), default=1)
    if num_ports > _MOST_PORTS:
        raise refusal(path, f"must have at most {_MOST_PORTS} ports, but has a column of port {num_ports}")
    ports = range(1, num_ports + 1)
    if max((int(c.split("_")[1]) for c in names if c.startswith("energy")), default=1) > num_ports:
        raise refusal(path, f"must have energies of the {num_ports} port(s) of its S-parameters only, but has more")
    shape = (len(omega), num_ports, num_ports)
    powers = _powers(path, columns, list(product(ports, ports)))
    if powers is not None:
        power, sigma = powers.reshape(shape), _sigma(path, columns, powers.reshape(shape))
        _warn(said)
        return field_data(path, PowerData, omega=omega, power=power, sigma=sigma, measured=measured, name=name)
    s = np.stack([_entry(path, columns, out, into) for out, into in product(ports, ports)], axis=1).reshape(shape)
    if np.isnan(s).all():
        raise refusal(path, "must have columns such as S11_re and S11_im, but has none of an S-parameter")
    s, more = without_placeholders(path, s, placeholders)
    _warn([*said, *more])
    return field_data(
        path,
        omega=omega,
        s=s,
        energy=_group(path, columns, [f"energy_{p}" for p in ports]),
        sigma=_sigma(path, columns, s),
        sigma_energy=_group(path, columns, [f"energy_{p}_sigma" for p in ports]),
        resistance=_resistance(path, lines, num_ports),
        measured=measured,
        name=name,
    )


def _warn(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        warnings.warn(sentence, UserWarning, stacklevel=3)


def write_csv(path: PathLike, data: FieldData | PowerData, *, column: Any = "frequency_hz") -> None:
    """Write field data to a CSV file in the format described at the top of this module, with all digits.

    Everything returns exactly but omega, which as `frequency_hz` may change in its last digit (`omega_rad_s` keeps that
    too), and a scalar sigma, which returns as one a frequency; `measured` and `name` are arguments of `read_csv`. An
    entry that was not measured has no columns: a last port that has none at all does not return.

    **Arguments:** `path`: the file, which is replaced once the new one is complete; `data`; `column`: the first one,
    `frequency_hz` or `omega_rad_s`.

    **Raises:** `ValueError` for another `column`.

    Example: `nr.write_csv("device.csv", data)`.
    """
    path = as_path(path)
    require_instance(data, "data", (FieldData, PowerData), "be a FieldData or PowerData")
    column = as_choice(column, "column", _FREQUENCY)
    columns: dict[str, Any] = {column: data.omega if column == "omega_rad_s" else np.asarray(data.omega) / (2 * np.pi)}
    for out, into in np.argwhere(data.entries).tolist():
        entry = entry_name(out, into, data.num_ports)
        if isinstance(data, PowerData):
            columns[f"{entry}_power"] = data.power[:, out, into]
        else:
            columns[f"{entry}_re"], columns[f"{entry}_im"] = data.s[:, out, into].real, data.s[:, out, into].imag
        if data.sigma is not None and data.sigma.ndim == 3:
            columns[f"{entry}_sigma"] = data.sigma[:, out, into]
    energy, deviation = (getattr(data, field, None) for field in ("energy", "deviation_energy"))
    for p in range(data.num_ports):
        if energy is not None:
            columns[f"energy_{p + 1}"] = energy[:, p]
        if deviation is not None:
            columns[f"energy_{p + 1}_sigma"] = deviation[:, p]
    if data.sigma is not None and data.sigma.ndim < 3:
        columns["sigma"] = np.broadcast_to(data.sigma, data.omega.shape)
    comments = [f"# {mark(data.num_points)}"]
    if isinstance(data, FieldData) and data.resistance is not None:
        ohms = np.atleast_1d(np.asarray(data.resistance, dtype=float)).tolist()
        comments.append(f"# resistance_ohm = {' '.join(map(repr, ohms))}")
    write_columns(path, {name: np.asarray(column, dtype=float) for name, column in columns.items()}, comments)


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a line; some instruments end it with a separator too."""
    return [cell.strip().strip('"').strip() for cell in line.rstrip().removesuffix(separator).split(separator)]


def _numbers(path: Path, line: int, cells: list[str], header: list[str], names: list[str], axis: Axis) -> list[float]:
    if has_decimal_commas([cell for cell in cells if cell]):
        raise refusal(path, f"must have decimal points, but line {line} has a decimal comma in {cells[0]!r}")
    values = [number(cell) for cell in cells]
    here = axis.place(line, values[0])
    if len(cells) != len(header):
        commas = " (decimal commas, or cut?)" if len(cells) > len(header) else ""
        raise refusal(path, f"must have {len(header)} cells in every line, but {here} has {len(cells)}{commas}")
    for column, name, cell, value in zip(header, names, cells, values, strict=True):
        # −∞ dB is the modulus 0.
        if not math.isfinite(value) and not (name.endswith("_db") and value == -math.inf):
            raise refusal(path, f"must hold finite numbers, but {here}, column {column} holds {cell!r}")
        if name == "axis" and axis.metres and value <= 0:
            raise refusal(path, f"must have wavelengths that are positive, but {here} holds {cell!r}")
        if name.endswith("sigma") and value <= 0:
            raise refusal(path, f"must have a sigma that is positive, but {here}, column {column} holds {cell!r}")
        if name.startswith("energy") and value < 0:
            raise refusal(path, f"must have no negative energy, but {here}, column {column} holds {cell!r}")
    return values


def _entry(path: Path, columns: Columns, out: int, into: int) -> np.ndarray:
    """S-parameter (out, into), counted from 1, from whichever pair of columns it has; NaN where it has none."""
    found = {kind: columns[column] for kind in WORDS if (column := f"S_{out}_{into}_{kind}") in columns}
    sigma = found.pop("sigma", None)
    match tuple(found):
        case ():
            if sigma is None:
                return np.full(len(next(iter(columns.values()))), np.nan + 0j)
        case ("re", "im"):
            return found["re"] + 1j * found["im"]
        case ("mag" | "db" as size, "deg" | "rad" as angle):
            modulus = found["mag"] if size == "mag" else 10 ** (found["db"] / 20)
            return modulus * np.exp(1j * (found["rad"] if angle == "rad" else np.deg2rad(found["deg"])))
        case ("mag" | "db" | "power" as size,):
            raise refusal(path, f"has S{out}{into}_{size} without a phase beside others with one: read them apart")
    has = ", ".join(found) or "none"
    raise refusal(path, f"must have columns S{out}{into}_re and _im (or _mag or _db with _deg or _rad), but has {has}")


def _powers(path: Path, columns: Columns, entries: Sequence[tuple[int, int]]) -> np.ndarray | None:
    """|S|² [f, entry] where all that were measured have a power and no phase, NaN for the others; else None."""
    found = []
    for out, into in entries:
        own = {kind: columns[column] for kind in WORDS if (column := f"S_{out}_{into}_{kind}") in columns}
        sigma = own.pop("sigma", None)
        match tuple(own):
            case () if sigma is None:
                found.append(np.full(len(next(iter(columns.values()))), np.nan))
            case ("mag" | "db" | "power" as size,):
                if size != "power" and (sigma is not None or "sigma" in columns):
                    raise refusal(path, f"must have S{out}{into}_power beside a sigma, which is that of powers")
                raw = own[size]
                found.append({"mag": raw**2, "db": 10 ** (raw / 10), "power": raw}[size])
            case _:
                return None
    return None if np.isnan(found).all() else np.stack(found, axis=1)


def _sigma(path: Path, columns: Columns, s: np.ndarray) -> np.ndarray | None:
    """The column sigma, or those of each S-parameter that was measured, in the shape of `s`."""
    measured = [(int(out) + 1, int(into) + 1) for out, into in np.argwhere(~np.isnan(s[0]))]
    each = _group(path, columns, [f"S_{out}_{into}_sigma" for out, into in measured])
    if each is None:
        return columns.get("sigma")
    if "sigma" in columns:
        raise refusal(path, "must have a column sigma or columns S11_sigma, ..., but has both")
    sigma = np.full(s.shape, np.nan)
    for k, (out, into) in enumerate(measured):
        sigma[:, out - 1, into - 1] = each[:, k]
    return sigma


def _group(path: Path, columns: Columns, names: Sequence[str]) -> np.ndarray | None:
    """The columns `names` side by side, or None if there is none of them."""
    missing = [name for name in names if name not in columns]
    if missing and len(missing) < len(names):
        raise refusal(path, f"must have all of the columns {', '.join(names)} or none, but lacks {', '.join(missing)}")
    return None if missing else np.stack([columns[name] for name in names], axis=1)


def _resistance(path: Path, lines: Sequence[str], num_ports: int) -> Any:
    found = next(filter(None, map(_RESISTANCE.match, lines)), None)
    if found is None:
        return None
    values = [number(word) for word in found[1].split()]
    if len(values) not in (1, num_ports) or not all(0 < value < math.inf for value in values):
        must = f"one positive number as resistance_ohm, or {num_ports}"
        raise refusal(path, f"must have {must}, but has {found[1]!r}")
    return values[0] if len(values) == 1 else values
