"""Where a minimisation is: its steps taken in chunks between two looks at the clock, saved and taken up again."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from diffnr.checkpoint import load_checkpoint, save_checkpoint
from optimize.minimisation_steps import CHUNK, Iterate
from optimize.transforms import Parametrisation

# A look at the clock about this often, in seconds.
PACE = 0.5

History = dict[str, Any]


class Run:
    """Where a run is: the state, the records of all steps up to it, and why it failed."""

    def __init__(self, advance: Callable[..., Any], state: Iterate, records: list[History]):
        self.advance = advance
        self.reached = state, records
        self.pace = 1
        self.failure = ""

    @property
    def state(self) -> Iterate:
        return self.reached[0]

    @property
    def records(self) -> list[History]:
        return self.reached[1]

    @property
    def step(self) -> int:
        return int(self.state.step)

    def going(self, tolerance: float | None) -> bool:
        return bool(self.state.going(tolerance))

    def chunk(self, most: int) -> bool:
        """Take at most `most` steps, as many as fit between two looks at the clock; False where the first one fails."""
        count = min(self.pace, CHUNK, most)
        began = time.perf_counter()
        try:
            state, rows, done = jax.block_until_ready(self.advance(self.state, count))
        except RuntimeError as error:
            # Step by step up to the one that fails, so that none before it is lost.
            self.pace = 1
            self.failure = _cause(error) if count == 1 else ""
            return count > 1
        elapsed = time.perf_counter() - began
        if elapsed < PACE / 2:
            self.pace = min(CHUNK, 2 * self.pace)
        elif elapsed > 2 * PACE:
            self.pace = max(1, count // 2)
        # One assignment, so that an interrupt finds state and records in agreement.
        self.reached = state, [*self.records, jax.tree_util.tree_map(lambda x: np.asarray(x)[: int(done)], rows)]
        return True


class RunFile:
    """The checkpoint of one run: saves each state once, and loads only what is of the same problem."""

    def __init__(self, path: str | os.PathLike, parametrisation: Parametrisation, start: Iterate, history: Any):
        self.path = Path(path)
        self.about = {"kind": "minimise", "parameters": list(parametrisation.names), "history": history}
        leaves = [np.ravel(x) for x in parametrisation.values(start.u).values()]
        self.start = np.concatenate([np.ravel(start.value), *leaves])
        self.saved = 0

    def save(self, run: Run) -> None:
        if run.step == self.saved:
            return
        run.records[:] = [joined(run.records)]
        try:
            save_checkpoint(self.path, (run.state, run.records[0], self.start), {**self.about, "step": run.step})
            self.saved = run.step
        except OSError as error:  # A full disk must not cost the run.
            warnings.warn(f"The checkpoint {self.path} could not be written: {error}.", RuntimeWarning, stacklevel=3)

    def load(self, state: Iterate, rows: History) -> tuple[Iterate, list[History]]:
        def like(header: dict[str, Any]) -> Any:
            count = header["step"] + 1
            then = jax.tree_util.tree_map(lambda x: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype), rows)
            return state, then, jax.ShapeDtypeStruct(self.start.shape, self.start.dtype)

        (state, rows, start), _ = load_checkpoint(self.path, like, self.about)
        # The objective is code, of which a file knows only what it gave. Other machines may round it otherwise.
        same = np.allclose(np.asarray(start), self.start, rtol=float(np.sqrt(np.finfo(self.start.dtype).eps)), atol=0.0)
        if not same:
            raise ValueError(
                f"Argument checkpoint must belong to this problem, but {self.path} belongs to another: objective and "
                f"free leaves were {np.asarray(start)[:8]} at the start there and are {self.start[:8]} here. "
                "Pass another file, or delete this one to start anew."
            )
        self.saved = int(state.step)
        return state, [jax.tree_util.tree_map(np.asarray, rows)]


def joined(records: list[History]) -> History:
    """Records of one chunk after the other, as one."""
    return jax.tree_util.tree_map(lambda *parts: np.concatenate(parts), *records)


def _cause(error: RuntimeError) -> str:
    """The one line of an error that says what was wrong; equinox puts it amid advice on debugging."""
    said = re.search("EquinoxRuntimeError: (.+)", str(error)) or re.search("(.+)", str(error))
    return said[1].strip() if said else repr(error)
