"""What the `diffnr` command says on a terminal while it works. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

REFRESH = 0.5  # seconds


@contextlib.contextmanager
def phase(text: str) -> Iterator[None]:
    """`text … 12 s` on stderr while what is inside runs, counting, and how long it took after it; on terminals only.

    Where what is inside raises, the line is wiped out: what is said then is the only line.
    """
    if not sys.stderr.isatty():
        yield
        return
    terminal, begin, over = sys.stderr, time.perf_counter(), threading.Event()

    def show(end: str = "", digits: int = 0) -> None:
        terminal.write(f"\r{text} … {time.perf_counter() - begin:.{digits}f} s{end}")
        terminal.flush()

    def count() -> None:
        while not over.wait(REFRESH):
            show()

    show()
    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    try:
        yield
    except BaseException:
        _stop(counter, over)
        terminal.write("\r" + " " * (len(text) + 12) + "\r")
        raise
    _stop(counter, over)
    show("\n", digits=1)


def _stop(counter: threading.Thread, over: threading.Event) -> None:
    over.set()
    counter.join()
