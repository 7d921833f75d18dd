"""The lines of a Touchstone file: what it says before its numbers, and the numbers at each frequency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diffnr.text_files import has_decimal_commas, number, place, refusal

ORDERS = ("21_12", "12_21")
_UNITS = {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9, "thz": 1e12}


@dataclass
class Head:
    """What a file says before its numbers."""

    path: Path
    ports: int
    version: int = 1
    option: bool = False
    unit: float = 1e9
    form: str = "ma"
    reference: list[float] = field(default_factory=lambda: [50.0])
    order: str | None = None
    matrix: str = "full"
    points: int | None = None

    @property
    def count(self) -> int:
        """How many numbers stand at one frequency, itself among them."""
        return 1 + (2 * self.ports**2 if self.matrix == "full" else self.ports * (self.ports + 1))


def statements(head: Head, lines: Sequence[str]) -> list[tuple[int, list[float]]]:
    """The lines of numbers that are network data, each with where it stands; all else goes into `head`."""
    found: list[tuple[int, list[float]]] = []
    section = ""
    for line, text in enumerate((line.partition("!")[0].strip() for line in lines), 1):
        if text.startswith("["):
            section, _, value = text[1:].partition("]")
            section = section.strip().lower()
            _keyword(head, line, section, value.split())
        elif text.startswith("#"):
            _option_line(head, line, text[1:].lower().split())
        elif text and section == "reference" and len(head.reference) < head.ports:
            head.reference += _numbers(head, line, text)
        elif text and section not in ("begin information", "noise data", "end"):
            if not head.option:
                raise refusal(head.path, f"has no option line (# Hz S RI R 50) before {place(line)}")
            found.append((line, _numbers(head, line, text)))
    if head.version > 1 and section != "end":
        raise refusal(head.path, "was cut: it has no [End]")
    if not head.option:
        raise refusal(head.path, "must be a Touchstone file, but has no option line (# Hz S RI R 50)")
    if not found:
        raise refusal(head.path, "must hold at least one frequency, but holds none")
    if not head.ports:
        raise refusal(head.path, "must say its [Number of Ports], or end in .s2p for two ports and so on")
    return found


def _keyword(head: Head, line: int, keyword: str, values: list[str]) -> None:
    """What a keyword of version 2 sets."""
    value = values[0].lower() if values else ""
    match keyword:
        case "version":
            head.version = 2 if value.startswith("2") else 1
        case "number of ports" | "number of frequencies":
            if not value.isdecimal() or int(value) == 0:
                raise refusal(head.path, f"must have a whole number as [{keyword}] in line {line}, but has {value!r}")
            if keyword == "number of ports":
                head.ports = int(value)
            else:
                head.points = int(value)
        case "two-port data order":
            head.order = value if value in ORDERS else None
        case "matrix format":
            head.matrix = value if value in ("lower", "upper") else "full"
        case "reference":
            head.reference = _numbers(head, line, " ".join(values)) if values else []
        case "mixed-mode order":
            raise refusal(head.path, "must have single-ended ports, but has a [Mixed-Mode Order]: convert it first")


def _option_line(head: Head, line: int, words: list[str]) -> None:
    """`# Hz S RI R 50`, in any order; what is left out is GHz, S, MA, R 50. Only the first of several counts."""
    if head.option:
        return
    head.option = True
    known = {*_UNITS, "ri", "ma", "db", "s", "y", "z", "g", "h"}
    if "r" in words:
        first = words.index("r")
        last = next((k for k in range(first + 1, len(words)) if words[k] in known), len(words))
        head.reference = [number(word) for word in words[first + 1 : last]]
        words = words[:first] + words[last:]
    for word in words:
        if word in _UNITS:
            head.unit = _UNITS[word]
        elif word in ("ri", "ma", "db"):
            head.form = word
        elif word in ("y", "z", "g", "h"):
            raise refusal(head.path, f"must hold S-parameters, but holds {word}-parameters: convert them first")
        elif word != "s":
            raise refusal(head.path, f"must have an option line such as # Hz S RI R 50, but line {line} has {word!r}")


def _numbers(head: Head, line: int, text: str) -> list[float]:
    """The numbers of a line, in the file's unit and form."""
    cells = text.split()
    if has_decimal_commas(cells):
        raise refusal(head.path, f"must have decimal points, but line {line} has a decimal comma in {cells[0]!r}")
    cells = text.replace(",", " ").split()
    values = [number(cell) for cell in cells]
    for cell, value in zip(cells, values, strict=True):
        # −∞ dB is the modulus 0.
        if not math.isfinite(value) and not (head.form == "db" and value == -math.inf):
            hertz = head.unit * values[0] if len(cells) % 2 and math.isfinite(values[0]) else None
            raise refusal(head.path, f"must hold finite numbers, but {place(line, hertz)} holds {cell!r}")
    return values


def frequencies(head: Head, data: list[tuple[int, list[float]]]) -> list[tuple[int, list[float]]]:
    """The numbers at each frequency, itself first, and the line in which they begin.

    A frequency and pairs are an odd number, so that a line of an even number goes on with the one before.
    """
    groups: list[tuple[int, list[float]]] = []
    for line, numbers in data:
        if len(numbers) % 2:
            groups.append((line, list(numbers)))
        elif groups:
            groups[-1][1].extend(numbers)
        else:
            raise refusal(head.path, f"must begin with a frequency and pairs, but line {line} has {len(numbers)} cells")
    if head.version == 1 and head.ports == 2:
        groups = _before_noise(groups)
    of = f"{head.count} numbers a frequency for {head.ports} port{'s' * (head.ports > 1)}"
    for k, (line, numbers) in enumerate(groups):
        if len(numbers) == head.count:
            continue
        here, ports = place(line, head.unit * numbers[0]), math.isqrt(len(numbers) // 2)
        fits = ports > 0 and 1 + 2 * ports**2 == len(numbers)
        if k == len(groups) - 1 and len(numbers) < head.count and (k > 0 or not fits):
            raise refusal(head.path, f"was cut: it must have {of}, but ends after {len(numbers)} at {here}")
        which = f", those of {ports} port{'s' * (ports > 1)} (.s{ports}p)" if fits else ""
        raise refusal(head.path, f"must have {of}, but at {here} has {len(numbers)}{which}")
    return groups


def _before_noise(groups: list[tuple[int, list[float]]]) -> list[tuple[int, list[float]]]:
    """The groups before the noise parameters: five numbers a line, from a frequency on that is not above the last."""
    for k in range(1, len(groups)):
        later = [numbers for _, numbers in groups[k:]]
        if later[0][0] <= groups[k - 1][1][0] and all(len(numbers) == 5 for numbers in later):
            return groups[:k]
    return groups
