"""What a configuration file of `diffnr restore` asks for; `docs/restore.md` describes the file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from diffnr.duffing import DuffingPair
from diffnr.duffing.one_harmonic import RATIOS
from optimize.command.configuration import (
    NUMBER,
    PAIR,
    TABLE,
    WHOLE,
    Key,
    Schema,
    choice,
    naming,
    read_table,
    read_toml,
)
from optimize.reciprocity.restore import AT, Restoration, restore_reciprocity
from optimize.reciprocity.restored_locus import ReciprocityLocus, reciprocity_locus

TABLES: Schema = {"pair": Key(TABLE, True), "restore": Key(TABLE, True), "locus": Key(TABLE), "figure": Key(TABLE)}
OSCILLATORS: Schema = {
    **{ratio: Key(NUMBER) for ratio in RATIOS},
    "coupling": Key(NUMBER, True),
    "cubic": Key(NUMBER, True),
    "damping": Key(NUMBER, True),
}
RESTORE: Schema = {
    "amplitude": Key(NUMBER, True),
    "free": Key(choice(*RATIOS), True),
    "resonance": Key(WHOLE, True),
    "at": Key(choice(*AT)),
    "num_harmonics": Key(WHOLE),
    "max_steps": Key(WHOLE),
}
LOCUS: Schema = {"along": Key(choice(*RATIOS), True), "bounds": Key(PAIR, True), "points": Key(WHOLE)}
FIGURE: Schema = {"span": Key(PAIR), "max_points": Key(WHOLE)}


class Task(NamedTuple):
    """A configuration file, read: the pair, and the keyword arguments of what is to be done with it."""

    name: str
    text: str
    pair: DuffingPair
    arguments: dict[str, Any]  # of `restore_reciprocity`
    locus: dict[str, Any] | None  # of `reciprocity_locus`, beside those
    figure: dict[str, Any]  # of `restoration_figure.both_ways`

    def search(self) -> Restoration:
        """The restored pair."""
        with naming("[restore]"):
            return restore_reciprocity(self.pair, **self.arguments)

    def along(self) -> ReciprocityLocus | None:
        """The locus, if it is asked for."""
        if self.locus is None:
            return None
        shared = {name: value for name, value in self.arguments.items() if name != "max_steps"}
        with naming("[locus]"):
            return reciprocity_locus(self.pair, **shared, **self.locus)


def read_task(path: Path) -> Task:
    """The task that a configuration file describes; `docs/restore.md` describes the file.

    **Raises:** `ValueError` naming the file, the table and the key of what is wrong; `OSError` for a file that is not
    there.
    """
    content, text = read_toml(path)
    place = f"File {str(path)!r}"
    tables = read_table(content, place, TABLES)
    with naming(place):
        numbers = read_table(tables["pair"], "[pair]", OSCILLATORS)
        with naming("[pair]"):
            pair = DuffingPair(**{**dict.fromkeys(RATIOS, 1.0), **numbers})
        arguments = read_table(tables["restore"], "[restore]", RESTORE)
        locus = _read_locus(tables["locus"], arguments["free"]) if "locus" in tables else None
        figure = read_table(tables.get("figure", {}), "[figure]", FIGURE)
        if "span" in figure:
            _rising(figure["span"], "The key 'span' of [figure]")
            figure["band"] = figure.pop("span")
        if figure.get("max_points", 2) < 2:
            raise ValueError(f"The key 'max_points' of [figure] must be at least 2, but was {figure['max_points']}.")
        return Task(path.stem, text, pair, arguments, locus, figure)


def _read_locus(table: Any, free: str) -> dict[str, Any]:
    """What would be refused only after the search is refused here."""
    locus = read_table(table, "[locus]", LOCUS)
    if locus["along"] == free:
        raise ValueError(f"The key 'along' of [locus] must differ from 'free' of [restore], but both were {free!r}.")
    _rising(locus["bounds"], "The key 'bounds' of [locus]", positive=locus["along"] == "mass_ratio")
    if locus.get("points", 2) < 2:
        raise ValueError(f"The key 'points' of [locus] must be at least 2, but was {locus['points']}.")
    return locus


def _rising(pair: tuple[float, float], name: str, *, positive: bool = True) -> None:
    low, high = pair
    if not (low < high and math.isfinite(high - low) and (low > 0 or not positive)):
        must = "positive, finite" if positive else "finite"
        raise ValueError(f"{name} must be {must} and [lowest, highest], but was {list(pair)}.")
