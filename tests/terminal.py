"""A terminal for tests of long runs, and Ctrl-C in it."""

import signal
from collections.abc import Callable, Iterator

import pytest


class Terminal:
    """A stderr that calls `act` at its nth line."""

    def __init__(self, act: Callable[[], None], line: int):
        self.act, self.line, self.text = act, line, ""

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        pass

    def write(self, text: str) -> None:
        self.text += text
        if self.text.count("\r") == self.line and text.startswith("\r"):
            self.act()


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """Ctrl-C as Python handles it: a process that a script starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    signal.raise_signal(signal.SIGINT)
