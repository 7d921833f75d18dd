"""What every test stands on: float64, run-time type checks, no display, and one policy for generated examples."""

import gc
import itertools
import os
from pathlib import Path

# Several workers may share one accelerator: none of them may take its memory beforehand.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import hypothesis
import jax
import jaxtyping
import matplotlib
import pytest

# Before anything imports diffnr: what is made at import follows the first, and the hook sees only later imports.
jax.config.update("jax_enable_x64", True)
jaxtyping.install_import_hook(["diffnr", "optimize"], "beartype.beartype")
matplotlib.use("Agg")

# No deadline: a property's first example pays for its compilation. Derandomised in CI, where a failure must repeat.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def _has_gpu() -> bool:
    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="JAX sees no GPU"))


_MAPS = Path("/proc/self/maps")  # Linux only
_MANY = 45_000  # of the 65,530 that Linux gives a process unless told otherwise
_tests_run = itertools.count(1)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    # Each compiled program holds several memory maps: a worker that has met its limit dies in the compiler. Counting
    # them takes tens of milliseconds, a test makes a thousand at most.
    if next(_tests_run) % 4 == 0 and _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY:
        jax.clear_caches()
        gc.collect()
