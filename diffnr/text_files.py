"""What readers of measured files share: text in any encoding, numbers, frequencies that rise, and how they refuse.

Every refusal is one sentence, "File '<path>' <...>.", which names the line and its frequency where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffnr.checks import as_flag, as_path, described, require
from diffnr.data import FieldData, entry_name
from diffnr.version import __version__

PathLike = Any  # str or os.PathLike

_PREFIXES = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k"}
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
_MARK = re.compile(r"[!#] (\d+) points written by diffnr ")


def refusal(path: Path, sentence: str) -> ValueError:
    """What a file cannot be used for, as an error to raise."""
    return ValueError(f"File {str(path)!r} {sentence}.")


def read_arguments(path: Any, measured: Any, name: Any, placeholders: Any) -> tuple[Path, bool, str, bool]:
    """The arguments that readers of field data have in common."""
    require(name is None or isinstance(name, str), "name", "be text, or None for the file's stem", described(name))
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r} to read (argument path).")
    measured, placeholders = as_flag(measured, "measured"), as_flag(placeholders, "placeholders")
    return path, measured, path.stem if name is None else name, placeholders


def read_lines(path: Path) -> list[str]:
    """The lines of a text file: UTF-8 or UTF-16 with a byte-order mark, UTF-8, else Latin-1.

    **Raises:** `ValueError` for a file without text, or one that diffnr wrote and that was cut since at its end.
    """
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ("utf-16",)
    elif b"\0" in content[:4]:  # UTF-16 without its mark: every other byte of plain text is 0
        encodings = ("utf-16-be" if content[:1] == b"\0" else "utf-16-le",)
    else:
        encodings = ("utf-8-sig", "latin-1")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise refusal(path, "must be text, but is none")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] and any(_MARK.match(line) for line in lines[:2]):
        raise refusal(path, f"was cut: line {len(lines)} has no end, which diffnr wrote")
    return lines


def mark(points: int) -> str:
    """The comment by which `require_whole` knows a file of diffnr's, and how long it was."""
    return f"{points} points written by diffnr {__version__}"


def require_whole(path: Path, lines: Sequence[str], points: int) -> None:
    """Refuse a file that diffnr wrote with more lines of numbers, or fewer, than it has."""
    marked = next(filter(None, map(_MARK.match, lines[:2])), None)
    if marked and int(marked[1]) != points:
        raise refusal(
            path,
            f"was written with {marked[1]} points and holds {points}: it was cut or put together from several (where "
            "that was meant, take out the comment with the number of points)",
        )


def number(text: str) -> float:
    """The number that `text` is, or NaN."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def has_decimal_commas(cells: Sequence[str]) -> bool:
    """Whether these numbers have commas where the point belongs."""
    return bool(cells) and any("," in cell for cell in cells) and all(map(_DECIMAL_COMMA.fullmatch, cells))


def place(line: int, hertz: float | None = None) -> str:
    """A line of a file, with its frequency where that is known: "line 12 (1.5 GHz)"."""
    return f"line {line}" if hertz is None else f"line {line} ({in_hertz(hertz)})"


def in_hertz(hertz: float) -> str:
    """A frequency in words: "1.5 GHz"."""
    size = next((size for size in _PREFIXES if abs(hertz) >= size), 1.0)
    return f"{hertz / size:.9g} {_PREFIXES.get(size, '')}Hz"


def require_rising(path: Path, lines: Sequence[int], hertz: np.ndarray) -> None:
    """Refuse frequencies that do not increase strictly, and say what can be done about it."""
    wrong = np.flatnonzero(np.diff(hertz) <= 0)
    if not wrong.size:
        return
    first = int(wrong[0])
    here, there, f = lines[first], lines[first + 1], in_hertz(hertz[first])
    then = place(there, hertz[first + 1])
    if hertz[first] == hertz[first + 1]:
        several = f" ({wrong.size} such pairs in all)" if wrong.size > 1 else ""
        raise refusal(
            path,
            f"must have frequencies that increase, but lines {here} and {there} are both of {f}{several}: delete one "
            "of them",
        )
    fall = f"must have increasing frequencies, but they fall from {f} in line {here} to {then}"
    if wrong.size == len(hertz) - 1:
        raise refusal(path, f"{fall} and so on: write its lines in the opposite order")
    raise refusal(path, f"{fall}: where segments overlap, delete the lines of one of them, else sort the lines")


def not_measured(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which entries of S [f, out, in] can only be placeholders, and which may be: two masks [out, in].

    An entry is blank if it is exactly 0 or exactly 1 at all frequencies (or NaN, and then no placeholder). A port all
    of whose entries are blank is connected to nothing; a port that, driven, gives blanks alone was not driven if those
    that were have no blanks: so one-path instruments fill a file. Where these too have blanks, as in "0 S21 0 0", an
    ideal isolator would look the same: such entries only may be placeholders.
    """
    first = s[0]
    blank = (s == first).all(axis=0) & ((first == 0) | (first == 1))
    filler = blank | np.isnan(first)
    none = np.zeros_like(blank)
    if len(s) < 2 or filler.all():
        return none, none
    dead = filler.all(axis=0) & filler.all(axis=1)
    absent = dead[:, None] | dead[None, :]
    undriven = filler.all(axis=0) & ~dead
    if not blank[:, undriven].any():
        return blank & absent, none
    if (blank & ~absent)[:, ~undriven].any():
        return blank & absent, blank & ~absent
    return blank & (absent | undriven[None, :]), none


def without_placeholders(path: Path, s: np.ndarray, read: bool) -> tuple[np.ndarray, list[str]]:
    """S with NaN where it was not measured, and what there is to say of that; `read` False leaves S as it stands."""
    absent, doubtful = not_measured(s) if read else (np.zeros(s.shape[1:], bool),) * 2
    said = []
    if absent.any():
        said.append(
            f"File {str(path)!r} has {names(absent)} at 0 or 1 at all frequencies: taken as not measured "
            "(placeholders=False takes the numbers as they stand)."
        )
    if doubtful.any():
        said.append(
            f"File {str(path)!r} has {names(doubtful)} at 0 or 1 at all frequencies: taken as the exact values of an "
            "ideal device; where they were not measured, go on with data.entry(out=…, into=…) of what was."
        )
    return np.where(absent, np.nan, s), said


def names(entries: np.ndarray) -> str:
    """The names of the entries that a mask [out, in] marks: "S12, S22"."""
    return ", ".join(entry_name(int(out), int(into), len(entries)) for out, into in np.argwhere(entries))


def field_data(path: Path, kind: Any = FieldData, **arguments: Any) -> Any:
    """Field data, or of another kind, whose refusals name the file that they come from."""
    try:
        return kind(**arguments)
    except ValueError as error:
        raise ValueError(f"File {str(path)!r} holds no valid field data: {error}") from error
