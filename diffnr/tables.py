"""Results as tables, a row a point: columns for numpy, CSV files for anybody, data sets for xarray."""

# No `from __future__ import annotations` here: equinox must see the fields' own types.
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import equinox as eqx
import jax
import numpy as np

from diffnr.checks import as_path, described, require, require_known
from diffnr.whole_files import write_columns

Result = TypeVar("Result", bound="AbstractTabular")

LABELS: dict[str, tuple[Any, ...]] = {"direction": ("forward", "backward")}  # of entries that are not counted


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, by name; what `result.table()` returns.

    **Fields:** `columns`, `{name: array [row, ...]}`; `axes`, `{name: names of the axes after the row}`; `labels`,
    `{axis: its entries}`: 0, 1, … of oscillators, orders of harmonics, "forward" and "backward" of directions.

        table = branch.table()
        table["norm"]                   # [row, oscillator]
        table.numpy()["omega"]          # of a structured array
        pandas.DataFrame(table.flat())  # columns norm_0, norm_1, ...
        table.write_csv("branch.csv")
        table.xarray()                  # with pip install "diffnr[xarray]"
    """

    columns: Mapping[str, np.ndarray]
    axes: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, tuple[Any, ...]]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        names = (f"{name}[{', '.join(axes)}]" if axes else name for name, axes in self.axes.items())
        return f"Table({len(self)} rows: {', '.join(names)})"

    def numpy(self) -> np.ndarray:
        """A structured array [row], whose fields are the columns."""
        fields = [(name, column.dtype, column.shape[1:]) for name, column in self.columns.items()]
        array = np.empty(len(self), fields)
        for name, column in self.columns.items():
            array[name] = column
        return array

    def flat(self) -> dict[str, np.ndarray]:
        """Real columns [row] of all that there is: `norm_0` is `table["norm"][:, 0]`, `stable_forward` that direction;
        complex ones have two, such as `b_0_3_re` and `b_0_3_im` of oscillator 0, harmonic 3."""
        flat = {}
        for name, column in self.columns.items():
            for place in np.ndindex(column.shape[1:]):
                entries = (self.labels[axis][k] for axis, k in zip(self.axes[name], place, strict=True))
                full, values = "_".join([name, *map(str, entries)]), column[(slice(None), *place)]
                if np.iscomplexobj(values):
                    flat |= {f"{full}_re": np.real(values), f"{full}_im": np.imag(values)}
                else:
                    flat[full] = values
        return flat

    def write_csv(self, path: Any) -> None:
        """Write the columns of `flat` with all digits below a line of their names; truths are 1 and 0.

        **Arguments:** `path`: the file, which is replaced once the new one is complete.

            branch.table().write_csv("branch.csv")
            back = numpy.genfromtxt("branch.csv", delimiter=",", names=True)
        """
        truths = {name: values.astype(int) if values.dtype == bool else values for name, values in self.flat().items()}
        write_columns(as_path(path), truths)

    def xarray(self) -> Any:
        """An `xarray.Dataset` with the dimension `row` and those of the axes; its coordinates are the labels and the
        first column, the parameter, of a batch with the element.

        **Raises:** `ImportError` where xarray is not installed: `pip install "diffnr[xarray]"`.
        """
        try:
            import xarray
        except ImportError:
            raise ImportError('Tables become data sets by xarray: pip install "diffnr[xarray]".') from None
        variables = {name: (("row", *self.axes[name]), column) for name, column in self.columns.items()}
        used = {axis for axes in self.axes.values() for axis in axes}
        data = xarray.Dataset(variables, {axis: list(self.labels[axis]) for axis in self.labels if axis in used})
        first = list(self.columns)[: 2 if "element" in self.columns else 1]
        return data.set_coords(first)


class AbstractTabular(eqx.Module):
    """A result with points: branches, loci, and points found on them.

    Subclasses give `COLUMNS`, `{attribute [*batch, point, ...]: names of the axes after the point}`, and `valid`
    [*batch, point]; what they do not have themselves is that of their `points`. Where they have `along`, the column of
    their `parameter` is called so.
    """

    COLUMNS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def table(self, columns: Any = None) -> Table:
        """The valid points as a table, a row each; not inside a transformation.

        **Arguments:** `columns`: names of some, in order. By default all that are real: harmonics `b` and
        `multipliers`, which are complex, are asked for by name.

        **Returns:** a `Table`. That of a batch has the rows of all its elements, and says in the column `element`
        (one for each axis of the batch, [row, batch]) to which a row belongs.

        **Raises:** `ValueError` for a column that there is not.
        """
        valid = self.valid_points()
        names = self.names()
        must = f"be names of columns, among {', '.join(map(repr, names))}"
        listed = columns is None or isinstance(columns, (tuple, list))
        require(listed, "columns", must, described(columns))
        for name in columns or ():
            require(isinstance(name, str) and name in names, "columns", must, described(name))
        found = {}
        for name in names if columns is None else columns:
            values = np.asarray(_of(self, names[name]))
            if columns is not None or not np.iscomplexobj(values):
                found[name] = values[valid]
        axes = {name: tuple(self.COLUMNS[names[name]]) for name in found}
        if valid.ndim > 1:
            places = np.argwhere(valid)[:, :-1]
            one = places.shape[1] == 1
            found = {"element": places[:, 0] if one else places, **found}
            axes = {"element": () if one else ("batch",), **axes}
        sizes = {axis: n for name in found for axis, n in zip(axes[name], found[name].shape[1:], strict=True)}
        known = {**LABELS, "harmonic": tuple(map(_plain, _of(self, "harmonics", ())))}
        return Table(found, axes, {axis: known.get(axis, tuple(range(n))) for axis, n in sizes.items()})

    def valid_points(self) -> np.ndarray:
        """Which points there are, [*batch, point]; not inside a transformation."""
        valid = _of(self, "valid")
        require_known(valid, "result")
        return np.asarray(valid)

    def names(self) -> dict[str, str]:
        """The names of the columns there are, and the attribute that each is."""
        along = getattr(self, "along", "") or "parameter"
        own = {name: name for name in self.COLUMNS if name != "parameter"}
        return own if along in own or "parameter" not in self.COLUMNS else {along: "parameter", **own}

    @property
    def marked(self) -> dict[str, Any]:
        """Points on the curve that figures mark, by the name of their kind; none by default."""
        return {}

    def elements(self: Result) -> list[Result]:
        """Each result of a batch by itself; the result alone where it is no batch."""
        valid = self.valid_points()
        arrays, rest = eqx.partition(self, eqx.is_array)
        return [
            eqx.combine(jax.tree_util.tree_map(lambda x, place=place: x[place], arrays), rest)
            for place in np.ndindex(valid.shape[:-1])
        ]


def _of(result: AbstractTabular, name: str, default: Any = None) -> Any:
    """An attribute of a result, or of its points."""
    return getattr(result, name, getattr(getattr(result, "points", None), name, default))


def largest(count: Any) -> int:
    """The largest count of a batch."""
    return int(np.max(np.asarray(count), initial=0))


def _plain(order: Any) -> int | float:
    """The order of a harmonic, whole or not."""
    return int(order) if int(order) == order else float(order)
