"""Watching a long run: a line on stderr, and Ctrl-C that loses nothing."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

# The line is rewritten at most this often, in seconds.
REFRESH = 0.1


class ProgressBar:
    """One line on stderr, rewritten as a run goes on: `[####    ] 200/1000  <text>  843 steps/s`.

    **Arguments:** `on`: whether to show it, None for only on a terminal; `total`: steps of the whole run.
    """

    def __init__(self, on: bool | None, total: int):
        self.on = sys.stderr.isatty() if on is None else on
        self.total = total
        self.first: tuple[int, float] | None = None
        self.last = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def show(self, step: int, text: str) -> None:
        """Show that `step` of the steps are done; `text` says what is worth watching."""
        now = time.perf_counter()
        # Speed is measured from here on, since the first chunk has been compiled as well.
        self.first = self.first or (step, now)
        if not self.on or (now - self.last < REFRESH and step < self.total):
            return
        elapsed = now - self.first[1]
        speed = f"{(step - self.first[0]) / elapsed:.3g} steps/s" if elapsed > 0 else ""
        bar = "#" * min(20, 20 * step // self.total)
        sys.stderr.write(f"\r[{bar:<20}] {step}/{self.total}  {text}  {speed}".ljust(100))
        sys.stderr.flush()
        self.last = now

    def __exit__(self, *_: object) -> None:
        if self.on and self.last:
            sys.stderr.write("\n")


@contextlib.contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list to which the first Ctrl-C is appended, so that what is under way can be finished; the second one raises.

    Where someone else handles the signal, and outside of the main thread, Ctrl-C stays what it was.
    """
    interrupts: list[int] = []

    def note(number: int, frame: Any) -> None:
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(number)

    in_main = threading.current_thread() is threading.main_thread()
    ours = in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
