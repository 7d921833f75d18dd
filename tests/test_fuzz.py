"""Bad arguments of every public entry point: `python -m tests.fuzz` in a Python of its own, without the type checks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Rooms, and how many values each entry gets, drawn at random: `python -m tests.fuzz ROOM --most 10000` tries all.
MOST = {"ports": 12, "tcmt": 30, "duffing": 10, "fdtd": 8, "optimize": 8, "reciprocity": 4, "command": 4}


@pytest.mark.parametrize("room", ["ports", *(pytest.param(room, marks=pytest.mark.slow) for room in list(MOST)[1:])])
def test_bad_arguments_are_refused_in_a_sentence(room: str, tmp_path: Path) -> None:
    most = MOST[room]
    command = [sys.executable, "-m", "tests.fuzz", room, "--seed", "2026", *(["--most", str(most)] if most else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    total = re.search(r"in all (\d+) calls, (\d+) unclear, (\d+) none", done.stdout)
    assert total, done.stderr[-2000:]
    calls, unclear, none = map(int, total.groups())
    assert none == 0, done.stdout
    assert unclear <= max(1, 0.01 * calls), done.stdout  # a share of so few that one may be all there is
    assert calls > 20
