"""Maps and surfaces over two parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from diffnr.checks import Numbers, as_real, as_scalar, as_vector, described, require
from diffnr.plot.look import FORWARD, axes_or_new, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d.axes3d import Axes3D
else:
    Axes = Axes3D = Any


@style()
def image(
    x: Numbers,
    y: Numbers,
    z: Numbers,
    *,
    levels: Numbers | None = None,
    vmin: Any = None,
    vmax: Any = None,
    label: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """A map z(x, y) in colour, with labelled contour lines.

    **Arguments:** `x` [n], `y` [m], `z` [m, n], NaN left blank; `levels`: increasing values to draw contour lines at
    (default none); `vmin`, `vmax`: ends of the colour scale (default z's own); `label`: of the colour bar, drawn where
    it is given; `ax`: the Axes (default a new figure's).

    **Returns:** the Axes; its `collections[0]` is the coloured mesh.

    **Raises:** `ValueError` for shapes that do not go together, or levels that do not increase.

    Example: `nr.plot.image(detuning, gamma_k, isolation, levels=[0, 10, 20], label="Isolation (dB)")`.
    """
    x, y, z = _grid(x, y, z)
    ends = ((vmin, "vmin"), (vmax, "vmax"))
    vmin, vmax = (None if end is None else float(as_scalar(end, name)) for end, name in ends)
    levels = None if levels is None else np.asarray(as_vector(levels, "levels", rising=True))
    require(label is None or isinstance(label, str), "label", "be text, or None", described(label))
    ax = axes_or_new(ax)
    mesh = ax.pcolormesh(
        x, y, z, shading="nearest", cmap="cividis", vmin=vmin, vmax=vmax, rasterized=True, antialiased=False
    )
    if levels is not None:
        lines = ax.contour(x, y, z, levels=levels, colors="white", linewidths=0.8)
        # In the middle of each line: matplotlib's own choice may be cut off at the frame.
        longest = [max(segments, key=len) for segments in lines.allsegs if any(map(len, segments))]
        ax.clabel(lines, fmt="%g", fontsize=7, manual=[tuple(segment[len(segment) // 2]) for segment in longest])
    if label is not None:
        ax.figure.colorbar(mesh, ax=ax, label=label)
    return ax


@style()
def surface(
    x: Numbers,
    y: Numbers,
    z: Numbers,
    *,
    colour: str = FORWARD,
    alpha: Any = 0.55,
    label: str | None = None,
    ax: Axes3D | None = None,
) -> Axes3D:
    """A surface z(x, y) in three dimensions, of one translucent colour with a light wire mesh.

    **Arguments:** `x` [n], `y` [m], `z` [m, n]; `colour`, `alpha`: of the surface; `label`: in the legend; `ax`: Axes
    with a 3D projection (default a new figure's).

    **Returns:** the Axes.

    **Raises:** `ValueError` for shapes that do not go together, or Axes without a 3D projection.

    Example: `nr.plot.surface(mass_ratio, cubic_ratio, stiffness_ratio)`.
    """
    x, y, z = _grid(x, y, z)
    alpha = float(as_scalar(alpha, "alpha", lower=0.0, upper=1.0))
    ax = axes_or_new(ax, projection="3d")
    require(ax.name == "3d", "ax", "have a 3D projection", f"Axes of projection {ax.name!r}")
    grid = np.meshgrid(x, y)
    ax.plot_surface(*grid, z, color=colour, alpha=alpha, lw=0, shade=False, rcount=40, ccount=40, label=label)
    ax.plot_wireframe(*grid, z, color=colour, alpha=0.5, lw=0.3, rcount=12, ccount=12)
    return ax


def _grid(x: Numbers, y: Numbers, z: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, z = (np.asarray(as_real(value, name)) for value, name in ((x, "x"), (y, "y"), (z, "z")))
    fits = x.ndim == y.ndim == 1 and z.shape == (y.size, x.size)
    require(fits, "z", "have shape [y, x] for vectors x and y", f"of shape {z.shape} for {y.shape} and {x.shape}")
    return x, y, z
