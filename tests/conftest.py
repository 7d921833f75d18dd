"""What every test stands on: float64, run-time type checks, no display, and one policy for generated examples."""

import ctypes
import gc
import importlib.util
import itertools
import mmap
import os
from pathlib import Path

# Several workers may share one accelerator: none of them may take its memory beforehand.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# Nor do workers share cores well with the threads of each other's linear algebra, whose matrices are small.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import jax
import jaxtyping
import matplotlib
import pytest


def _xla_knows(flag: str) -> bool:
    """Whether this jaxlib has a flag: XLA ends the process at one that it does not know."""
    found = importlib.util.find_spec("jaxlib")
    library = Path(found.origin).with_name("libjax_common.so") if found and found.origin else None
    if library is None or not library.exists():
        return False
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(flag.encode()) >= 0


# XLA reads its flags when it is first used. Most of the default tests' time is compilation, of programs that then run
# for milliseconds. `make test` asks for less of it: 28 to 36 % less CPU time by XLA's older emitters, 45 % without the
# optimisations of LLVM as well (of tests/test_tcmt_transient.py, jax 0.10.2; 30 % of tests/test_fdtd_simulation.py).
# `make slow` has the older emitters and LLVM's optimisations: a pair's response compiles in half of the time and runs
# as fast. A test that you run by pytest, and .ci/run on the newest JAX, take the compiler as users have it.
_OLDER = {"xla_cpu_use_fusion_emitters": "false"}
_COMPILERS = {"older": _OLDER, "quick": {**_OLDER, "xla_backend_optimization_level": "0"}}
_flags = [
    f"--{flag}={value}"
    for flag, value in _COMPILERS.get(os.environ.get("DIFFNR_TEST_COMPILER", ""), {}).items()
    if _xla_knows(flag)
]
if _flags:
    os.environ["XLA_FLAGS"] = " ".join([*_flags, os.environ.get("XLA_FLAGS", "")]).strip()

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


def pytest_collection_finish() -> None:
    # Tracing makes objects by the hundred thousand, and what was imported lives to the end: looked through at Python's
    # own thresholds, it took 3.6 s of 46 (tests of isolation, Newton's method and transients, 2 cores); so .4 s.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="JAX sees no GPU"))


_STATUS = Path("/proc/self/statm")  # Linux only
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_MUCH, _TOO_MUCH = 1.8e9, 2.1e9  # bytes, where a file ends and at any test
_least = {"resident": 0.0}


def _resident() -> float:
    return float(_STATUS.read_text().split()[1]) * _PAGE if _STATUS.exists() else 0.0


def _give_back() -> None:
    """Let the C library return what was freed, which it would keep for itself: half a gigabyte after some files."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if _STATUS.exists() else None
    if trim is not None:  # of glibc
        trim(0)


_MAPS = Path("/proc/self/maps")
_MANY = 45_000  # of the 65,530 that Linux gives a process unless told otherwise
_tests_run = itertools.count(1)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None, item: pytest.Item) -> None:
    # Programs stay in memory, and each holds several memory maps: a worker that has met its limit of these dies in the
    # compiler. Counting them takes tens of milliseconds, a test makes a thousand at most. What is dropped is compiled
    # anew when it is wanted again, so that happens where a file ends, if it can, and only when memory has grown since.
    many = next(_tests_run) % 4 == 0 and _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY
    file_ends = nextitem is None or nextitem.path != item.path
    allowed = _MUCH if file_ends else _TOO_MUCH
    if many or _resident() > max(allowed, _least["resident"] + 0.3e9):
        jax.clear_caches()
        gc.collect()
        _give_back()
        _least["resident"] = _resident()
