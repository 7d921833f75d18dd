"""Entries of the `diffnr` command: each table of a configuration file with one value replaced, and arguments of `fit`.

A value that TOML cannot hold stands for one of the kinds that TOML has and no key of ours takes: dates, times, lists in
lists. None leaves the key out, a tracer is an integer of 5000 digits. What the command refuses is judged here: exit
status 2, and one line on stderr that names the table; whether it names the key is judged as for every function.
"""

import contextlib
import datetime
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from optimize.command.cli import main
from tests.fuzz.generator import Entry

ISOLATE: dict[str, dict[str, Any]] = {
    "model": {"kind": "two_resonators", "omega": [0.0, 0.2], "gamma": [3.0, 3.1], "gamma_0": [0.5, 0.6], "kappa": 3.0},
    "[model.loss]": {"kind": "nonlocal", "gamma_k": 1.5, "mode": 1, "sensed": 0, "epsilon": 1e-3},
    "design": {
        "goal": "isolation", "free": ["loss.gamma_k"], "out": 0, "into": 1, "band": [-1.0, 1.0], "points": 3,
        "amplitude": 1.0, "starts": 1, "max_steps": 3, "seed": 3, "max_insertion_loss": 4.4, "isolation_cap": 50.0,
    },
    "bounds": {"loss.gamma_k": [0.5, 8.0]},
    "tolerances": {"kappa": 0.05},
    "figure": {"band": [-4.0, 4.0]},
}  # fmt: skip
MATRICES: dict[str, Any] = {
    "kind": "coupled_modes", "omega": [0.0, 1.0], "D": [[0.7, 0.5], [0.4, 0.6]], "C": [[-1.0, 0.0], [0.0, -1.0]],
    "K": [[0.7, 0.5], [0.4, 0.6]], "gamma_i": [0.1, 0.2], "lossless": False, "active": True,
}  # fmt: skip
RESTORE: dict[str, dict[str, Any]] = {
    "pair": {"mass_ratio": 2.0, "cubic_ratio": 1.0, "coupling": 5.0, "cubic": 1.0, "damping": 0.05},
    "restore": {
        "amplitude": 0.15, "free": "stiffness_ratio", "resonance": 1, "at": "peak", "num_harmonics": 3, "max_steps": 64,
    },
    "locus": {"along": "mass_ratio", "bounds": [1.0, 2.0], "points": 2},
    "figure": {"band": [0.5, 4.0], "max_points": 60},
}  # fmt: skip
LEFT_OUT = {
    *("epsilon", "points", "amplitude", "starts", "max_steps", "seed", "max_insertion_loss", "isolation_cap", "kappa"),
    *("loss.gamma_k", "band", "C", "K", "gamma_i", "lossless", "active", "mass_ratio", "cubic_ratio", "at"),
    *("num_harmonics", "max_points", "modes", "background"),
}


def toml(value: Any) -> str | None:
    """A value as TOML writes it; None for what is to be left out."""
    if isinstance(value, jax.core.Tracer):
        return "0x" + "f" * 4152  # 5000 decimal digits
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case complex():
            return json.dumps(str(value).strip("()"))
        case str():
            return json.dumps(value)
        case bytes():
            return json.dumps(value.decode())
        case list() | tuple():
            return f"[{', '.join(filter(None, map(toml, value)))}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(str(key))} = {toml(item)}' for key, item in value.items())}}}"
        case set():
            return "[[[1], []]]"
        case type():
            return "1979-05-27"
    moment = datetime.datetime(1979, 5, 27, 7, 32)
    return str(moment.time()) if callable(value) else moment.isoformat() + "Z"


def written(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A configuration file."""
    lines = []
    for place, table in tables.items():
        lines.append(f"[{place}]")
        lines += [f"{json.dumps(key)} = {text}" for key, value in table.items() if (text := toml(value)) is not None]
    return "\n".join(lines)


def called(arguments: list[str], place: str = "") -> int:
    """The command in this process; raises ValueError with its line if it refuses as it should, RuntimeError where the
    search failed, of which [restore] tells, whatever it was given."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            code = main(arguments)
        except SystemExit as ended:  # of the parser
            code = ended.code
    line = said.getvalue()
    if code == 0:
        return 0
    failed = "[restore]: The " in line
    if code != 2 or not line.startswith("diffnr: ") or line.count("\n") != 1 or not (place in line or failed):
        raise AssertionError(f"exit status {code}, and not one line about {place}: {line}")
    raise (RuntimeError if failed else ValueError)(line.strip())


def of_file(command: str, tables: dict[str, dict[str, Any]], place: str) -> Callable[..., int]:
    """The command for a file, as a function of the values of one of its tables."""

    def call(**values: Any) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "given.toml"
            path.write_text(written({**tables, place: values}), encoding="utf-8")
            where = "[model" if "model" in place else f"[{place}]"
            return called([command, str(path), "--out", str(Path(folder) / "out")], where)

    return call


def line() -> str:
    """A resonance as CSV: S = −1 + 4·10⁸ / (i(ω − ω₀) + 3·10⁸), by numpy alone, since a trace may be under way."""
    hertz = np.linspace(4.8e9, 5.2e9, 41)
    s = -1 + 4e8 / (2j * np.pi * (hertz - 5e9) + 3e8)
    rows = (f"{f!r},{x.real!r},{x.imag!r}" for f, x in zip(hertz.tolist(), s.tolist(), strict=True))
    return "\n".join(["frequency_hz,S11_re,S11_im", *rows])


LINE = line()


def fit(**values: Any) -> int:
    """`diffnr fit`, as a function of its arguments."""
    return fitted(1, values)


def series(**values: Any) -> int:
    """`diffnr fit --series` of two files."""
    return fitted(2, values)


def fitted(files: int, values: Mapping[str, Any]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"line{k}.csv" for k in range(files)]
        for path in paths:
            path.write_text(LINE, encoding="utf-8")
        given = ["fit", *map(str, paths), "--no-delay", "--out", str(Path(folder) / "out")]
        for name, value in values.items():
            if isinstance(value, jax.core.Tracer):
                value = "9" * 5000
            if value is not None:
                items = value if isinstance(value, (list, tuple)) or np.ndim(value) else [value]
                given += [f"--{name}", *map(str, items)]
        return called(given)


def entries() -> list[Entry]:
    isolate = [
        Entry(f"isolate {place}", of_file("isolate", ISOLATE, place), table, cost=1, allow=allowed(table))
        for place, table in ISOLATE.items()
    ]
    matrices = {**ISOLATE, "model": MATRICES, "tolerances": {"loss.gamma_k": 0.05}}  # matrices are no parameters
    modes = Entry(
        "isolate coupled_modes", of_file("isolate", matrices, "model"), MATRICES, cost=1, allow=allowed(MATRICES)
    )
    restore = [
        Entry(f"restore {place}", of_file("restore", RESTORE, place), table, cost=1, allow=allowed(table))
        for place, table in RESTORE.items()
    ]
    given = {"modes": 1, "background": 0, "band": (4.85e9, 5.15e9)}
    # A third number after --band is none of it: the parser names the number, and not the argument.
    named = {"band": ("unrecognized arguments",)}
    arguments = Entry("fit", fit, given, cost=1, allow=allowed(given), named=named)
    given = {"series": (0.0, 1.0), "modes": 1, "background": 0}
    # Without values the two files are fitted each by itself.
    together = Entry("fit --series", series, given, cost=1, allow={**allowed(given), "series": ("None",)})
    return [*isolate, modes, *restore, arguments, together]


def allowed(table: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """A key that has a default may be left out."""
    return {key: ("None",) for key in table.keys() & LEFT_OUT}
