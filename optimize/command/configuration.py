"""Configuration files: TOML read against a schema, and refused in one sentence that names the table and the key.

A schema is a mapping from keys to `Key`s, and holds no defaults: what a file leaves out is left out of what is read,
so that the functions called with it keep theirs. Whether values make sense is for those functions to say; `naming` puts
the place in front of their sentences. Nothing in a file is executed.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffnr.checks import described
from diffnr.parameters import bounds, get, paths
from optimize.command.refusals import naming
from optimize.transforms import Interval

Table = dict[str, Any]

DEEPEST = 32  # lists and tables in one another: a model needs five
SHALLOW = f"must not nest lists or tables deeper than {DEEPEST} levels."


class Kind(NamedTuple):
    """A kind of value: in words ("a number"), and how to make it of what TOML gives, or raise TypeError, ValueError."""

    words: str
    make: Callable[[Any], Any]


class Key(NamedTuple):
    """What a key may hold, and whether it must be there."""

    kind: Kind
    required: bool = False


Schema = Mapping[str, Key]


def read_toml(path: Path) -> tuple[Table, str]:
    """The tables of a file, and its text.

    **Raises:** `ValueError` for what is no TOML; `OSError` for a file that cannot be read.
    """
    content = path.read_bytes()
    name = f"File {str(path)!r}"
    try:
        text = content.decode("utf-8-sig")
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{name} {SHALLOW}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not a TOML file: it is not text in UTF-8 (byte {error.start}).") from None
    except ValueError as error:
        raise ValueError(f"{name} is not a TOML file: {error}.") from None
    require_shallow(tables, name)
    return tables, text


def require_shallow(value: Any, name: str) -> None:
    """Raise for lists and tables that are nested beyond all use, which would trip whatever walks through them."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            x
            for item in level
            if isinstance(item, (dict, list))
            for x in (item.values() if isinstance(item, dict) else item)
        ]
    if level:
        raise ValueError(f"{name} {SHALLOW}")


def read_table(table: Any, place: str, schema: Schema) -> Table:
    """The values of a table by key, those that it has.

    **Arguments:** `table`: what TOML gave; `place`: its name in sentences, "[design]"; `schema`: `{key: Key}`.

    **Raises:** `ValueError` for what is no table, an unknown key (naming the nearest known one), a missing key, or a
    value of another kind.
    """
    for name in require_table(table, place):
        if name not in schema:
            raise ValueError(f"{place} has the unknown key {name!r}{suggestion(name, schema)}")
    for name, key in schema.items():
        if key.required and name not in table:
            raise ValueError(f"{place} must have the key {name!r} ({key.kind.words}), but lacks it.")
    return {name: read_value(value, f"The key {name!r} of {place}", schema[name].kind) for name, value in table.items()}


def read_variant(
    table: Any, place: str, tag: str, variants: Mapping[str, Schema], *, default: str | None = None
) -> tuple[str, Table]:
    """The kind of a table that has several, as its key `tag` says, and its other values by key.

    **Arguments:** as `read_table`; `variants`: `{kind: schema without the tag}`; `default`: the kind where none is
    given.

    **Raises:** `ValueError` as `read_table`; a key of another kind is said to be that.
    """
    kinds = Key(choice(*variants), required=default is None)
    tagged = {name: value for name, value in require_table(table, place).items() if name == tag}
    kind = read_table(tagged, place, {tag: kinds}).get(tag, default)
    for name in table:
        owners = [other for other, schema in variants.items() if name in schema]
        if owners and kind not in owners:
            raise ValueError(f'The key {name!r} of {place} goes with {tag} = "{owners[0]}", but {tag} is "{kind}".')
    values = read_table(table, place, {tag: kinds, **variants[kind]})
    values.pop(tag, None)
    return kind, values


def read_paths(table: Any, place: str, model: Any, kind: Kind, among: Iterable[str] | None = None) -> Table:
    """The values of a table whose keys are paths of a model's parameters, quoted ("loss.gamma_k" = 1) or not.

    **Arguments:** as `read_table`; `kind`: of every value; `among`: the paths allowed (default: any of the model).

    **Raises:** `ValueError` as `read_table`, for an unknown path too.
    """
    values = _flattened(require_table(table, place))
    allowed = None if among is None else tuple(among)
    for path in values:
        require_path(path, place, model)
        if allowed is not None and path not in allowed:
            names = ", ".join(map(repr, allowed))
            raise ValueError(f"{place} must name only parameters that are free ({names}), but names {path!r}.")
    return {path: read_value(value, f"The key {path!r} of {place}", kind) for path, value in values.items()}


def read_bounds(table: Any, place: str, model: Any, free: Iterable[str]) -> dict[str, Interval]:
    """Bounds `"path" = [lowest, highest]` of free parameters, as transforms.

    **Raises:** `ValueError` as `read_paths`; for bounds that are infinite, in the wrong order, wider than the physical
    ones, or do not hold the value that the model has.
    """
    intervals = {}
    for path, (low, high) in read_paths(table, place, model, PAIR, free).items():
        name, was = f"The key {path!r} of {place}", f"but was [{low:g}, {high:g}]."
        with naming(name):
            intervals[path] = Interval(low, high)
        least, largest = bounds(model, path)
        if (least is not None and low < least) or (largest is not None and high > largest):
            raise ValueError(f"{name} must lie within [{least}, {largest}], which the model itself demands, {was}")
        value = np.asarray(get(model, path))
        if not np.all((value >= low) & (value <= high)):
            raise ValueError(f"{name} must hold the value {value.tolist()} that the model starts from, {was}")
    return intervals


def read_value(value: Any, name: str, kind: Kind) -> Any:
    """A value of a kind. **Raises:** `ValueError` naming it, and the kind, for another."""
    try:
        return kind.make(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be {kind.words}, but was {described(value)}.") from None


def require_table(table: Any, place: str) -> Table:
    """`table`, or raise unless it is one."""
    if not isinstance(table, dict):
        raise ValueError(f"{place} must be a table, but was {described(table)}.")
    return table


def require_path(path: str, place: str, model: Any) -> None:
    """Raise unless `path` names a parameter of `model`, naming the nearest that does."""
    try:
        get(model, path)
    except ValueError:
        known = paths(model)
        text = f"{place} names {path!r}, which is no parameter of the model"
        raise ValueError(text + suggestion(path, known)) from None


def suggestion(name: str, known: Iterable[str]) -> str:
    """How a sentence about an unknown name ends: with the nearest known one, or with all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    return f": did you mean {near[0]!r}?" if near else f"; known are {', '.join(map(repr, known))}."


def choice(*names: str) -> Kind:
    """One of some words."""

    def make(value: Any) -> str:
        return _need(value, isinstance(value, str) and value in names)

    return Kind(" or ".join(f'"{name}"' for name in names), make)


def _need(value: Any, condition: bool) -> Any:
    if not condition:
        raise TypeError
    return value


def _number(value: Any) -> float:
    return float(_need(value, isinstance(value, (int, float)) and not isinstance(value, bool)))


def _pair(value: Any) -> tuple[float, float]:
    low, high = (_number(x) for x in _need(value, isinstance(value, list)))
    return low, high


def _array(value: Any, entry: Callable[[Any], Any]) -> np.ndarray:
    def nested(value: Any) -> Any:
        return [nested(x) for x in value] if isinstance(value, list) else entry(value)

    return np.array(nested(value))  # raises ValueError for lists of unequal lengths


def _entry(value: Any) -> complex | float:
    return complex(value.replace(" ", "")) if isinstance(value, str) else _number(value)


def _texts(value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(_need(value, isinstance(value, list)))
    return _need(texts, len(texts) > 0 and all(isinstance(text, str) for text in texts))


def _tables(value: Any) -> list[Table]:
    tables = [value] if isinstance(value, dict) else _need(value, isinstance(value, list))
    return _need(tables, all(isinstance(table, dict) for table in tables))


def _flattened(table: Table, prefix: str = "") -> Table:
    """loss.gamma_k = 1 without quotes is a table in a table."""
    flat: Table = {}
    for name, value in table.items():
        flat |= _flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def whole(least: int, most: int) -> Kind:
    """A whole number within limits: of what is counted, more than there could ever be room or time for is refused."""

    def make(value: Any) -> int:
        return _need(value, isinstance(value, int) and not isinstance(value, bool) and least <= value <= most)

    return Kind(f"a whole number between {least} and {most}", make)


def rising(*, positive: bool = False) -> Kind:
    """Two finite numbers in their order, positive if they must be."""

    def make(value: Any) -> tuple[float, float]:
        low, high = _pair(value)
        return _need((low, high), low < high and math.isfinite(high - low) and (low > 0 or not positive))

    return Kind(f"a pair of {'positive, ' if positive else ''}finite numbers [lowest, highest]", make)


NUMBER = Kind("a number", _number)
WHOLE = Kind("a whole number", lambda x: _need(x, isinstance(x, int) and not isinstance(x, bool)))
FLAG = Kind("true or false", lambda x: _need(x, isinstance(x, bool)))
TEXT = Kind("text in quotes", lambda x: _need(x, isinstance(x, str)))
TEXTS = Kind("text in quotes, or a list of such", _texts)
PAIR = Kind("a pair of numbers [lowest, highest]", _pair)
REALS = Kind("a number, or a list of numbers", lambda x: _array(x, _number))
COMPLEX = Kind('a list, or a list of rows, of numbers (a complex one as "0.3-0.4j")', lambda x: _array(x, _entry))
TABLE = Kind("a table", lambda x: _need(x, isinstance(x, dict)))
TABLES = Kind("one or several tables", _tables)
