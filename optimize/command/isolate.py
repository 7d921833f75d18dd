"""What `diffnr isolate` runs: a design for isolation from a configuration file, with a report, numbers and a figure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

import diffnr
from diffnr.parameters import get
from optimize.command.configuration import Table
from optimize.command.isolation_figure import draw
from optimize.command.isolation_task import IsolationTask, read_task
from optimize.command.phases import phase
from optimize.command.refusals import make_folder, naming
from optimize.command.report import markdown_table, plain
from optimize.isolation.cases import Assessment
from optimize.isolation.design import Design


def run(path: Path, out: Path) -> str:
    """Read a configuration file, design, and write `report.md`, `design.json`, `model.npz` and `isolation.png`.

    **Arguments:** `path`: the file; `out`: a folder, made if it is not there. float64 must be on.

    **Returns:** the design in a few lines, and where it was written.
    """
    task = read_task(path)
    place = f"File {str(path)!r}: [design]"
    with naming(place), phase("compiling and measuring the model as it is"):
        before = task.assess(task.model)  # refuses what the search would, before anything is made
    make_folder(out)
    with naming(place), phase("compiling and searching"):
        design = task.search()
    diffnr.save(out / "model.npz", design.model)
    numbers = json.dumps(summary(task, design, before), indent=2, ensure_ascii=False)
    (out / "design.json").write_text(numbers + "\n", encoding="utf-8")
    (out / "report.md").write_text(report(task, design, before), encoding="utf-8")
    with phase("drawing"):
        _draw(task, design, out / "isolation.png")
    return f"{design.report()}\n\nWrote report.md, isolation.png, design.json and model.npz (for diffnr.load) in {out}."


def summary(task: IsolationTask, design: Design, before: Assessment) -> Table:
    """The numbers of a design for a machine: what JSON has; infinite ones as "inf", those that do not exist as null."""
    nominal = task.assess(design.model, tolerances=False)
    return {
        "diffnr": diffnr.__version__,
        "goal": task.goal,
        "unit": task.unit,
        "values": {path: plain(value) for path, value in design.values.items()},
        "objective": plain(design.objective),
        "worst": {name: plain(value) for name, value in _figures(design).items()},
        "without_tolerances": {name: plain(value) for name, value in _figures(nominal).items()},
        "before": {
            "values": {path: plain(get(task.model, path)) for path in design.values},
            "worst": {name: plain(value) for name, value in _figures(before).items()},
        },
        "feasible": bool(design.feasible),
        "active": design.active,
        "converged": bool(design.converged),
        "steps": int(design.steps),
        "message": design.message,
    }


def report(task: IsolationTask, design: Design, before: Assessment) -> str:
    """The design for a reader, in Markdown."""
    columns = {"before": _figures(before), "design": _figures(design)}
    if task.arguments.get("tolerances"):
        columns["design, nothing off"] = _figures(task.assess(design.model, tolerances=False))
    units = {"isolation": "isolation (dB)", "insertion_loss": "insertion loss (dB)", "contrast": "contrast"}
    figures = [[text, *(_level(c[name]) for c in columns.values())] for name, text in units.items()]
    met = "Every limit is met." if design.feasible else "**Not every limit can be met; this is the nearest design.**"
    parts = [
        f"# Design for isolation: {task.name}",
        f"{design.message} {met}",
        f"{_worst_of(task)}:",
        markdown_table([["", *columns], *figures]),
        "Free parameters" + (f", in {task.unit}:" if task.unit else ":"),
        markdown_table([["parameter", "before", "design", "bounds", "tolerance"], *_rows(task, design)]),
        "![Insertion loss and isolation over frequency, before and after](isolation.png)",
        f"Local searches converged: {'yes' if design.converged else 'no'}, after {design.steps} evaluations one after "
        f"another; limit that decided: {design.active}. diffnr {diffnr.__version__}.",
        "## Configuration",
        f"```toml\n{task.text.rstrip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _draw(task: IsolationTask, design: Design, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = draw(task, design)
    figure.savefig(path)
    plt.close(figure)


def _rows(task: IsolationTask, design: Design) -> list[list[str]]:
    """For each free or uncertain parameter what it was and is, its bounds and its tolerance."""
    bounds, tolerances = task.arguments.get("transforms", {}), task.arguments.get("tolerances", {})
    rows = []
    for path in dict.fromkeys((*design.values, *tolerances)):
        interval = bounds.get(path)
        limits = f"[{float(interval.lower):g}, {float(interval.upper):g}]" if interval else ""
        width = f"± {_digits(tolerances[path])}" if path in tolerances else ""
        now = _digits(get(design.model, path)) if path in design.values else "not free"
        rows.append([path, _digits(get(task.model, path)), now, limits, width])
    return rows


def _worst_of(task: IsolationTask) -> str:
    band, unit = task.arguments.get("band"), f" {task.unit}" if task.unit else ""
    where = f"over the band from {band[0]:g} to" if band else "at ω ="
    top = band[1] if band else task.arguments["omega"]
    text = f"{where} {top:g}{unit}"
    boxed = task.arguments.get("tolerances")
    return f"The worst {text}" + (", with every parameter that has a tolerance off by it either way" if boxed else "")


def _figures(judged: Design | Assessment) -> dict[str, float]:
    return {name: getattr(judged, name) for name in ("isolation", "insertion_loss", "contrast")}


def _level(value: float) -> str:
    return "–" if math.isnan(value) else "∞" if value == math.inf else f"{value:.4f}"


def _digits(value: Any) -> str:
    array = np.asarray(value)
    if array.ndim:
        return f"[{', '.join(map(_digits, array))}]"
    return f"{float(array):.9g}"
