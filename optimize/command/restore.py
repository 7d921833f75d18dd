"""What `diffnr restore` runs: a pair's reciprocity restored from a configuration file, with a report and a figure."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

import diffnr
from diffnr.results import RESULTS
from optimize.command.configuration import Table
from optimize.command.phases import phase
from optimize.command.refusals import make_folder, naming
from optimize.command.report import markdown_table, plain
from optimize.command.restoration_task import RestorationTask, read_task
from optimize.reciprocity.figure import draw
from optimize.reciprocity.restoration import Restoration
from optimize.reciprocity.restored_locus import ReciprocityLocus
from optimize.reciprocity.restored_responses import Outputs, Responses, in_time, responses

DIRECTIONS = ("forward", "backward")
COLUMNS = ("parameter", "ratio", "omega", "reciprocity_norm", "norm_difference", "nonreciprocal_phase")  # of a locus
ROWS = 11  # of a locus in the report; the numbers have all


def run(path: Path, out: Path) -> str:
    """Read a configuration file, restore, and write `report.md`, `restoration.json`, `model.npz`, `restoration.png`.

    **Arguments:** `path`: the file; `out`: a folder, made if it is not there. float64 must be on.

    **Returns:** the restored point in a few lines, and where it was written.

    **Raises:** `ValueError` for a file that cannot be used, and for a search that does not arrive.
    """
    task = read_task(path)
    make_folder(out)
    with naming(f"File {str(path)!r}"):
        with phase("compiling and searching"):
            restored = task.search()
        if not bool(restored.converged):
            raise ValueError(f"[restore]: {restored.message}")
        diffnr.save(out / "model.npz", restored.model)
        with naming("[figure]"), phase("compiling and following both responses"):
            curves = responses(restored, **task.figure)
        with phase("compiling and following the locus") if task.locus else contextlib.nullcontext():
            locus = task.along()
    with phase("compiling and integrating in time"):
        outputs = in_time(restored)
    numbers = json.dumps(summary(task, restored, outputs, locus), indent=2, ensure_ascii=False)
    (out / "restoration.json").write_text(numbers + "\n", encoding="utf-8")
    (out / "report.md").write_text(report(task, restored, curves, outputs, locus), encoding="utf-8")
    with phase("drawing"):
        _draw(restored, curves, outputs, locus, out / "restoration.png")
    written = "report.md, restoration.png, restoration.json and model.npz (for diffnr.load)"
    return f"{restored.report()}\n\nWrote {written} in {out}."


def summary(task: RestorationTask, restored: Restoration, outputs: Outputs, locus: ReciprocityLocus | None) -> Table:
    """The numbers for a machine: what JSON has; those that do not exist as null."""
    given = task.arguments
    table: Table = {
        "diffnr": diffnr.__version__,
        "free": restored.free,
        "resonance": given["resonance"],
        "at": given.get("at", "peak"),
        "amplitude": given["amplitude"],
        "ratio": plain(restored.ratio),
        "omega": plain(restored.omega),
        "reciprocity_norm": plain(restored.reciprocity_norm),
        "reciprocity_norm_by_integration": outputs.reciprocity_norm,
        "norm": dict(zip(DIRECTIONS, plain(restored.norm), strict=True)),
        "norm_difference": plain(restored.norm_difference),
        "nonreciprocal_phase": plain(restored.nonreciprocal_phase),
        "stable": dict(zip(DIRECTIONS, restored.stable.tolist(), strict=True)),
        "approximate": bool(restored.approximate),
        "one_harmonic": {"ratio": plain(restored.guess.ratio), "omega": plain(restored.guess.omega)},
        "condition": plain(restored.condition),
        "message": restored.message,
    }
    if locus is not None:
        columns = {name: plain(getattr(locus, name)) for name in COLUMNS}
        stable = {direction: locus.stable[:, i].tolist() for i, direction in enumerate(DIRECTIONS)}
        table["locus"] = {"along": locus.along, **columns, "stable": stable}
    return table


def report(
    task: RestorationTask, restored: Restoration, curves: Responses, outputs: Outputs, locus: ReciprocityLocus | None
) -> str:
    """The restored point for a reader, in Markdown."""
    at, guess = restored, restored.guess
    rows = [
        ["", "restored", "one harmonic"],
        [at.free, f"{float(at.ratio):.9g}", f"{float(guess.ratio):.9g}"],
        ["omega", f"{float(at.omega):.9g}", f"{float(guess.omega):.9g}"],
        ["R", f"{float(at.reciprocity_norm):.7g}", ""],
        ["R by integration in time", f"{outputs.reciprocity_norm:.7g}", ""],
        ["N_F", f"{float(at.norm[0]):.9g}", ""],
        ["N_F − N_B", f"{float(at.norm_difference):.7g}", ""],
        ["nonreciprocal phase (rad)", f"{float(at.nonreciprocal_phase):.7g}", ""],
        ["stable forward, backward", " ".join(map(_yes, at.stable)), ""],
    ]
    parts = [f"# Reciprocity restored: {task.name}", at.message, markdown_table(rows)]
    parts += [
        f"The response {direction} stops short: {RESULTS[curve.result]}"
        for direction, curve in zip(DIRECTIONS, curves, strict=True)
        if curve.result != RESULTS.successful
    ]
    parts.append("![Norms of both outputs over frequency, and both outputs in time](restoration.png)")
    if locus is not None:
        parts += [
            f"Locus, {int(locus.count)} of {locus.parameter.size} points found:",
            markdown_table(_locus_rows(task, locus)),
        ]
    parts += [f"diffnr {diffnr.__version__}.", "## Configuration", f"```toml\n{task.text.rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _locus_rows(task: RestorationTask, locus: ReciprocityLocus) -> list[list[str]]:
    rows = [[locus.along, task.arguments["free"], "omega", "R", "stable forward, backward"]]
    keep = np.unique(np.linspace(0, locus.parameter.size - 1, ROWS).round().astype(int))
    for i in keep[np.asarray(locus.valid)[keep]]:
        numbers = (float(getattr(locus, name)[i]) for name in COLUMNS[:4])
        rows.append([*(f"{number:.7g}" for number in numbers), " ".join(map(_yes, locus.stable[i]))])
    return rows


def _yes(value: Any) -> str:
    return "yes" if bool(value) else "no"


def _draw(
    restored: Restoration, curves: Responses, outputs: Outputs, locus: ReciprocityLocus | None, path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = draw(restored, curves, outputs, locus)
    figure.savefig(path)
    plt.close(figure)
