"""What a configuration file of `diffnr restore` asks for; `docs/restore.md` describes the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from diffnr.duffing import DuffingPair
from diffnr.duffing.one_harmonic import RATIOS
from optimize.command.configuration import (
    NUMBER,
    TABLE,
    Key,
    Schema,
    choice,
    read_table,
    read_toml,
    read_value,
    rising,
    whole,
)
from optimize.command.refusals import naming
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
    "resonance": Key(whole(0, 1), True),
    "at": Key(choice(*AT)),
    "num_harmonics": Key(whole(1, 1_000)),
    "max_steps": Key(whole(1, 1_000_000)),
}
LOCUS: Schema = {"along": Key(choice(*RATIOS), True), "bounds": Key(rising(), True), "points": Key(whole(2, 100_000))}
FIGURE: Schema = {"band": Key(rising(positive=True)), "max_points": Key(whole(2, 100_000))}


class RestorationTask(NamedTuple):
    """A configuration file, read: the pair, and the keyword arguments of what is to be done with it."""

    name: str
    text: str
    pair: DuffingPair
    arguments: dict[str, Any]  # of `restore_reciprocity`
    locus: dict[str, Any] | None  # of `reciprocity_locus`, beside those
    figure: dict[str, Any]  # of `reciprocity.responses`

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


def read_task(path: Path) -> RestorationTask:
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
        return RestorationTask(path.stem, text, pair, arguments, locus, figure)


def _read_locus(table: Any, free: str) -> dict[str, Any]:
    """What would be refused only after the search is refused here."""
    locus = read_table(table, "[locus]", LOCUS)
    if locus["along"] == free:
        raise ValueError(f"The key 'along' of [locus] must differ from 'free' of [restore], but both were {free!r}.")
    if locus["along"] == "mass_ratio":
        read_value(table["bounds"], "The key 'bounds' of [locus]", rising(positive=True))
    return locus
