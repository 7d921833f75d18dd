"""What the benchmarks share: the machine in a line, medians, and Markdown tables."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def heading(title: str, command: str) -> str:
    """A Markdown heading with the command, the date and the machine under it."""
    software = [
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in ("jax", "numpy", "scipy")),
    ]
    return (
        f"## {title}\n\n"
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n\n"
        f"{os.cpu_count()} cores of {_processor()}, {platform.system()}, {', '.join(software)}; "
        f"load average {os.getloadavg()[0]:.1f} at the start.\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, numbers to three digits."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def seconds(call: Callable[[], Any], runs: int) -> list[float]:
    """Wall times of `runs` calls, sorted."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)


def median(times: Sequence[float]) -> float:
    """The median."""
    return statistics.median(times)


def _text(cell: Any) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
