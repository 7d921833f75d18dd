"""What the tests of example scripts share."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def example(name: str):
    return importlib.import_module(f"examples.{name}")


def drawn_values(figure: Figure) -> np.ndarray:
    """Every number that the lines and meshes of a figure were given."""
    values = []
    for ax in figure.axes:
        lines = [line.get_data_3d() if hasattr(line, "get_data_3d") else line.get_data() for line in ax.lines]
        values += [np.ravel(np.asarray(axis, float)) for line in lines for axis in line]
        meshes = [mesh.get_array() for mesh in ax.collections]
        values += [np.ravel(mesh.filled(np.nan)) for mesh in meshes if mesh is not None]
    return np.concatenate(values)
