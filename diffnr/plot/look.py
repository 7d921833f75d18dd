"""The look of diffnr's figures: colours, line widths, sizes of type; the Axes to draw on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any

AnyAxes = TypeVar("AnyAxes")

# Okabe and Ito's colours, told apart by colour-blind eyes too, without the yellow that paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FORWARD, BACKWARD = COLOURS[:2]
GREY = "#6E6E6E"

_RC: dict[Any, Any] = {
    "figure.dpi": 200,
    "figure.constrained_layout.use": True,
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.linewidth": 0.4,
    "grid.color": "#D9D9D9",
    "lines.linewidth": 1.4,
    "lines.markersize": 2.8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The look of diffnr's figures, for whatever is drawn inside `with style():`.

    Restrained axes, small type for a printed column, colours that colour-blind eyes tell apart, 200 dots an inch.
    matplotlib's settings are the caller's again afterwards.
    """
    from matplotlib import pyplot as plt

    with plt.rc_context({**_RC, "axes.prop_cycle": plt.cycler(color=COLOURS)}):
        yield


def axes_or_new(ax: AnyAxes | None, projection: str | None = None) -> AnyAxes:
    """The Axes given, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    size = (3.5, 2.6) if projection is None else (4.2, 3.6)
    return cast(AnyAxes, plt.figure(figsize=size).add_subplot(projection=projection))


def legend_above(ax: Axes) -> None:
    """A legend above the axes, where it hides no data, of as many columns as fit, at most 5."""
    longest = max(map(len, ax.get_legend_handles_labels()[1]), default=0)
    figure: Any = ax.figure
    inches = ax.get_position().width * figure.get_figwidth()
    columns = int(inches / (0.45 + 0.055 * longest))  # a line with what is about it, and a letter
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, ncols=max(1, min(columns, 5)))
