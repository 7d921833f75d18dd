"""What `diffnr fit` runs: fits of files, each by itself or all as a series, with report, figure and model."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

import diffnr
from optimize.command.phases import phase
from optimize.command.refusals import make_folder, naming


def run(arguments: argparse.Namespace) -> str:
    """Fit the files that the command names.

    **Returns:** the reports, and where they were written.
    """
    _require_consistent(arguments)
    matplotlib.use("Agg")
    datas = [_data(file, arguments) for file in arguments.files]
    return _as_series(datas, arguments) if arguments.series else _each(datas, arguments)


def _require_consistent(arguments: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is read."""
    files, values = len(arguments.files), arguments.series
    if values is None:
        for option in ("name", "shared"):
            if getattr(arguments, option) is not None:
                raise ValueError(f"Argument --{option} must go with --series, but there is none.")
        return
    if files < 2:
        raise ValueError("Argument --series must go with two files or more, but there is one.")
    if len(values) != files:
        raise ValueError(f"Argument --series must give {files} values, one a file, but gives {len(values)}.")
    if arguments.reciprocal:
        raise ValueError("Argument --reciprocal must be left out of a series, whose report says what is reciprocal.")


def _each(datas: Sequence[Any], arguments: argparse.Namespace) -> str:
    with phase("importing"):
        from optimize.mode_fit.fit_modes import fit_modes
    folders = _folders(arguments.out, arguments.files)
    for folder in folders:
        make_folder(folder)
    said = []
    for file, data, folder in zip(arguments.files, datas, folders, strict=True):
        with phase("compiling and fitting" if len(datas) == 1 else f"fitting {file}"):
            result = fit_modes(
                data,
                arguments.modes,
                delay=not arguments.no_delay,
                background=arguments.background,
                reciprocal=arguments.reciprocal,
            )
        # Powers leave no model to design with: then it is the fit.
        said.append(_written(result, getattr(result, "model", result), folder, "fit.png", "model.npz"))
    return "\n\n".join(said)


def _as_series(datas: Sequence[Any], arguments: argparse.Namespace) -> str:
    with phase("importing"):
        from optimize.series_fit.fit_series import TWO_RESONATORS, fit_series
    model = arguments.modes
    if model == "auto":
        if any(data.num_ports != 2 for data in datas):
            raise ValueError("Argument --modes must be a number in a series of files that are no two-ports.")
        model = TWO_RESONATORS
    make_folder(arguments.out)
    with phase("fitting the series"):
        result = fit_series(
            datas,
            arguments.series,
            model=model,
            shared=tuple(arguments.shared or ()),
            name=arguments.name or "parameter",
            delay=not arguments.no_delay,
            background=arguments.background,
        )
    return _written(result, result, arguments.out, "series.png", "series.npz")


def _written(result: Any, kept: Any, folder: Path, figure: str, name: str) -> str:
    """The report of a fit, once it is written beside its figure and what is `kept`."""
    with phase("drawing"):
        result.plot().savefig(folder / figure, dpi=150)
    report = result.report()
    (folder / "report.txt").write_text(report + "\n", encoding="utf-8")
    diffnr.save(folder / name, kept)
    return f"{report}\n\nWrote report.txt, {figure} and {name} (for diffnr.load) in {folder}."


def _folders(out: Path, files: Sequence[Path]) -> list[Path]:
    """Where the results of each file go: to `out`, or of several to folders in it, named after the files."""
    if len(files) == 1:
        return [out]
    stems = [file.stem for file in files]
    return [
        out / (stem if stems.count(stem) == 1 else f"{stem}-{stems[:k].count(stem) + 1}")
        for k, stem in enumerate(stems)
    ]


def _data(file: Path, arguments: argparse.Namespace) -> Any:
    """The part of a file that is to be fitted."""
    with file.open("rb"):  # what is not there is refused by the shell's name for it
        pass
    data = (diffnr.read_csv if file.suffix.lower() == ".csv" else diffnr.read_touchstone)(file)
    ports = f"the ports 1 to {data.num_ports} of {str(file)!r}"
    if arguments.entry:
        text, out, into = arguments.entry
        if max(out, into) > data.num_ports:
            raise ValueError(f"Argument --entry must be between {ports}, but was {text}.")
        with naming("Argument --entry"):
            data = data.entry(out=out - 1, into=into - 1)
    if arguments.port:
        if max(arguments.port) > data.num_ports or len(set(arguments.port)) < len(arguments.port):
            given = ",".join(map(str, arguments.port))
            raise ValueError(f"Argument --port must name some of {ports}, each once, but was {given}.")
        with naming("Argument --port"):
            data = data.ports(*(port - 1 for port in arguments.port))
    if arguments.conjugated:
        if isinstance(data, diffnr.PowerData):
            raise ValueError(f"Argument --conjugated must be left out for {str(file)!r}, whose powers have no phase.")
        data = data.conjugated()
    return _within(data, *arguments.band) if arguments.band else data


def _within(data: Any, low: float, high: float) -> Any:
    """The data between two frequencies in Hz."""
    first, last = (float(omega) / (2 * math.pi) for omega in (data.omega[0], data.omega[-1]))
    if not (low < high and low <= last and high >= first):
        raise ValueError(
            f"Argument --band must be the lowest and the highest frequency, within the {first:g} to {last:g} Hz of the "
            f"file, but was {low:g} {high:g}."
        )
    with naming("Argument --band"):
        return data.band(*(float(diffnr.hertz(edge)) for edge in (low, high)))
