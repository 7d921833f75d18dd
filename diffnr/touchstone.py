"""Touchstone files, versions 1 and 2: S-parameters as instruments and simulators write them.

Source: Touchstone File Format Specification, version 2.1, IBIS Open Forum (2024).
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffnr.checks import as_choice, as_path, as_real, require, require_bounds, require_instance, require_shape
from diffnr.data import FieldData, entry_name
from diffnr.text_files import (
    PathLike,
    field_data,
    mark,
    names,
    number,
    read_arguments,
    read_lines,
    refusal,
    require_rising,
    require_whole,
    without_placeholders,
)
from diffnr.touchstone_lines import ORDERS, Head, frequencies, statements
from diffnr.whole_files import write_whole

_S_NAME = re.compile(r"s[\[(_]?([12])[,_]?([12])(?!\d)[\])]?", re.IGNORECASE)
_HEADING = frozenset(
    "freq frequency f hz khz mhz ghz thz re im real imag mag magnitude ang angle phase db deg lin log".split()  # noqa: SIM905
)
_NOT_MEASURED = "not measured: "


def read_touchstone(
    path: PathLike,
    *,
    measured: Any = True,
    name: Any = None,
    placeholders: Any = True,
    two_port_order: Any = None,
) -> FieldData:
    """The S-parameters of a Touchstone file (.s1p, .s2p, ..., or .ts), with their reference resistance.

    Not measured are entries that can only be placeholders, exactly 0 or exactly 1 at all frequencies: those of a port
    that has no others, and those of a port that was not driven while the driven ones have no such entry (files of
    one-path analysers, "S11 S21 0 0 0 0"). Other zeros are taken as they stand, such as S11 = S22 = 0 of an ideal ring.

    **Arguments:**

    - `path`: the file. Noise parameters after its data are passed over.
    - `measured`: False for a simulated device.
    - `name`: the file's stem unless given.
    - `placeholders`: False takes every 0 and 1 as it stands.
    - `two_port_order`: "21_12" (S11 S21 S12 S22) or "12_21" where a two-port's file should be read so whatever it says.
      By default, what the file says: its keyword, else its column heading (with a warning where that contradicts the
      standard), else the standard's 21_12.

    **Returns:** `FieldData`, omega in rad/s, in e^{+iωt}: where S comes from a program with e^{−iωt}, conjugate it.

    **Raises:** `FileNotFoundError`; `ValueError` for what is no Touchstone file or a cut one, other parameters than S
    (convert them first), numbers that do not fit the ports or are not finite, or frequencies that do not increase.

    **Warns:** `UserWarning` of columns in another order than the standard's, of placeholders, and of port impedances
    that are not real numbers (the resistance is None then).

    Example: `nr.read_touchstone("device.s2p").resistance`.
    """
    path, measured, name, placeholders = read_arguments(path, measured, name, placeholders)
    two_port_order = as_choice(two_port_order, "two_port_order", (None, *ORDERS))
    suffix = re.fullmatch(r"\.(?:s(\d+)p|ts)", path.suffix.lower())
    if suffix is None:
        raise refusal(path, "must end as Touchstone files of S-parameters do (.s1p, .s2p, ..., or .ts)")
    lines = read_lines(path)
    head = Head(path, ports=int(suffix[1] or 0))
    data = statements(head, lines)
    groups = frequencies(head, data)
    require_whole(path, lines, len(groups))
    if head.points not in (None, len(groups)):
        raise refusal(path, f"must have {head.points} frequencies, as it says, but has {len(groups)}: was it cut?")
    table = np.array([numbers for _, numbers in groups])
    frequency = head.unit * table[:, 0]
    require_rising(path, [line for line, _ in groups], frequency)
    comments = [line.partition("!")[2].strip() for line in lines if "!" in line]
    order, said = _two_port_order(head, comments, two_port_order)
    s = _matrices(head, table[:, 1:], order)
    missing = next((c.removeprefix(_NOT_MEASURED) for c in comments[:2] if c.startswith(_NOT_MEASURED)), None)
    if missing is None:
        s, of_placeholders = without_placeholders(path, s, placeholders)
        said += of_placeholders
    else:
        ports = range(head.ports)
        entries = [[entry_name(out, into, head.ports) for into in ports] for out in ports]
        s = np.where(np.isin(entries, missing.split(", ")), np.nan, s)
    resistance, of_impedances = _resistance(head, comments)
    for sentence in said + of_impedances:
        warnings.warn(sentence, UserWarning, stacklevel=2)
    return field_data(path, omega=2 * np.pi * frequency, s=s, resistance=resistance, measured=measured, name=name)


def write_touchstone(path: PathLike, data: Any, *, resistance: Any = None) -> None:
    """Write `data.s` to a Touchstone 1 file: Hz, real and imaginary parts with all their digits, so S returns exactly.

    Energies and sigmas have no place in such a file: use `write_csv` or `diffnr.save` to keep them. An entry that was
    not measured is written as 0, with a comment that says so and that `read_touchstone` heeds.

    **Arguments:** `path`: ends in .s2p for a two-port and so on; it is replaced once the new file is complete; `data`:
    omega in rad/s; `resistance`: the reference resistance to state in the file, in ohm, one or one a port; by default
    that of the data, else 50 (S is not changed: `data.renormalised` does that).

    **Raises:** `ValueError` for another extension or a resistance that is not positive.

    Example: `nr.write_touchstone("device.s2p", data)`.
    """
    path = as_path(path)
    require_instance(data, "data", FieldData, "be a FieldData")
    ports = data.num_ports
    require(path.suffix.lower() == f".s{ports}p", "path", f"end in .s{ports}p for {ports} port(s)", repr(str(path)))
    if resistance is None:
        resistance = 50.0 if data.resistance is None else data.resistance
    ohms = as_real(resistance, "resistance")
    require_shape(ohms, "resistance", (), (ports,))
    require_bounds("resistance", ohms)
    require(bool(np.all(np.asarray(ohms) > 0)), "resistance", "be positive", ohms)
    measured = np.asarray(data.entries)
    lines = [f"! {mark(data.num_points)}"]
    if not measured.all():
        lines.append(f"! {_NOT_MEASURED}{names(~measured)}")
    lines.append("# Hz S RI R " + " ".join(map(repr, np.atleast_1d(np.asarray(ohms, dtype=float)).tolist())))
    if ports == 2:
        lines.append("!freq ReS11 ImS11 ReS21 ImS21 ReS12 ImS12 ReS22 ImS22")
    s = np.where(measured, np.asarray(data.s, dtype=complex), 0)
    # Row by row, four entries a line at most; but a two-port column by column in one line.
    rows = [s.transpose(0, 2, 1).reshape(-1, 1, 4)] if ports == 2 else np.split(s, range(4, ports, 4), axis=2)
    for k, hertz in enumerate((np.asarray(data.omega, dtype=float) / (2 * np.pi)).tolist()):
        cells = [
            " ".join(map(repr, np.stack([part.real, part.imag], axis=-1).ravel().tolist()))
            for row in zip(*(block[k] for block in rows), strict=True)
            for part in row
        ]
        lines += [f"{hertz!r} {cells[0]}", *cells[1:]]
    write_whole(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))


def _two_port_order(head: Head, comments: Sequence[str], given: str | None) -> tuple[str, list[str]]:
    """In which order S21 and S12 stand, and what there is to say of it."""
    headings = [names for comment in comments if head.ports == 2 and (names := _heading(comment))]
    heading = headings[0] if headings else None
    order = given or head.order or heading or "21_12"
    first = "S21 before S12" if order == "21_12" else "S12 before S21"
    if heading not in (None, order):
        other = "the order asked for" if given else "its [Two-Port Data Order]"
        return order, [f"File {str(head.path)!r} is read with {first}, {other}, against its column heading."]
    if heading == "12_21" and not (given or head.order):
        return order, [
            f"File {str(head.path)!r} is read with {first}, as its column heading says, against the standard of "
            'Touchstone 1 (two_port_order="21_12" reads it by the standard).'
        ]
    return order, []


def _heading(comment: str) -> str | None:
    """The order of S21 and S12 in a comment that names the columns of a two-port and nothing else."""
    entries = list(dict.fromkeys(f"{out}{into}" for out, into in _S_NAME.findall(comment)))
    rest = re.findall(r"[a-z]+", _S_NAME.sub(" ", comment.lower()))
    if sorted(entries) != ["11", "12", "21", "22"] or not _HEADING.issuperset(rest):
        return None
    return "21_12" if entries.index("21") < entries.index("12") else "12_21"


def _matrices(head: Head, numbers: np.ndarray, order: str) -> np.ndarray:
    """S [f, out, in] from the pairs at each frequency."""
    first, second = numbers[:, 0::2], numbers[:, 1::2]
    if head.form == "ri":
        flat = first + 1j * second
    else:
        flat = (10 ** (first / 20) if head.form == "db" else first) * np.exp(1j * np.deg2rad(second))
    ports = head.ports
    if head.matrix != "full":
        out, into = np.tril_indices(ports) if head.matrix == "lower" else np.triu_indices(ports)
        s = np.empty((len(flat), ports, ports), dtype=complex)
        s[:, out, into] = s[:, into, out] = flat
        return s
    s = flat.reshape(-1, ports, ports)
    return s.transpose(0, 2, 1) if ports == 2 and order == "21_12" else s


def _resistance(head: Head, comments: Sequence[str]) -> tuple[Any, list[str]]:
    """The reference resistance, one or one a port, or None where it is no real number; and what to say then.

    HFSS writes the impedances of the ports, to which S refers, as comments at each frequency.
    """
    found: list[list[float]] = []
    going = False
    for comment in comments:
        text = comment.lower().removeprefix("port impedance")
        values = [number(word) for word in text.split()]
        plain = bool(values) and all(map(math.isfinite, values))
        if text != comment.lower() and plain:
            found.append(values)
        elif going and plain:
            found[-1] += values
        going = plain and (going or text != comment.lower())
    if found:
        table = np.array([values for values in found if len(values) == 2 * head.ports])
        same = len(table) == len(found) and np.all(table == table[0]) and not table[:, 1::2].any()
        reference = table[0, 0::2].tolist() if same else []
    else:
        reference = head.reference
    if len(reference) not in (1, head.ports) or not all(0 < value < math.inf for value in reference):
        what = "impedances of its ports that are not one real number each" if found else "no real, positive resistance"
        return None, [f"File {str(head.path)!r} has {what}: the resistance to which S refers is left open (None)."]
    return (reference[0] if len(set(reference)) == 1 else reference), []
