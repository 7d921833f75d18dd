"""How sphinx-gallery runs the examples, and in which order it shows them."""

from __future__ import annotations

import builtins
import gc
import tempfile
from pathlib import Path
from typing import Any

import jax

_SCRATCH = tempfile.TemporaryDirectory()


class ReadingOrder:
    """A sort key: the figures of papers first."""

    def __init__(self, folder: str):
        self.folder = folder

    def __call__(self, name: str) -> tuple[bool, str]:
        return not name.startswith("paper"), name


def place_elsewhere(gallery_conf: dict[str, Any], path: str) -> None:
    """Before an example runs: let it save its figure in a scratch folder, since it saves beside `__file__`.

    sphinx-gallery gives examples no `__file__`, so Python looks among the builtins. Beside the folder of examples stand
    the measured files of the tests, as in the repository.
    """
    examples, tests = Path(_SCRATCH.name, "examples"), Path(_SCRATCH.name, "tests")
    if not tests.exists():
        examples.mkdir()
        tests.symlink_to(Path(__file__).resolve().parents[1] / "tests")
    builtins.__file__ = str(examples / Path(path).name)


def forget_programs(gallery_conf: dict[str, Any], path: str) -> None:
    """Before an example runs: drop what others have compiled, as Linux gives a process 65,530 memory maps at most."""
    jax.clear_caches()
    gc.collect()
