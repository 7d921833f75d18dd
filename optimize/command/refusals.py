"""How the `diffnr` command refuses: one line on stderr, and an exit status. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

REFUSED, INTERRUPTED = 2, 130  # 128 + SIGINT, as shells have it
LONGEST = 500  # characters of a sentence: what a compiler says goes on for pages

# What a file, a number or a machine can bring about. All else is a fault of diffnr, and keeps its traceback.
REFUSALS = (ValueError, OSError, ImportError, ArithmeticError, RuntimeError, MemoryError)


def sentence(error: BaseException) -> str:
    """What went wrong in one line, in words also where the system gave a number or nothing."""
    if isinstance(error, RecursionError):
        return "It is nested too deeply."
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "This needs more memory than there is: ask for fewer points, starts or harmonics."
    if isinstance(error, OSError) and error.filename is not None:
        if isinstance(error, FileNotFoundError):
            return f"There is no file {str(error.filename)!r}."
        return f"File {str(error.filename)!r} cannot be used: {error.strerror}."
    if isinstance(error, ArithmeticError):
        return f"A number is out of range: {_line(str(error))}."
    # Errors from within a compiled program carry pages about it after the sentence.
    text = str(error).partition("\n\n")[0] if isinstance(error, RuntimeError) else str(error)
    return _line(text) or f"{type(error).__name__}."


@contextlib.contextmanager
def naming(place: str) -> Iterator[None]:
    """Put `place` in front of the sentence of what is refused inside; errors of files name these themselves."""
    try:
        yield
    except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        raise ValueError(f"{place}: {sentence(error)}") from error


def make_folder(folder: Path) -> None:
    """Make a folder for results, so that one that cannot be used is known before the work.

    **Raises:** `ValueError` where there is a file, where nothing may be written, or on the way to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "there is a file of that name" if isinstance(error, FileExistsError) else error.strerror
        raise ValueError(f"Folder {str(folder)!r} cannot be made: {reason}.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"Folder {str(folder)!r} cannot be used: nothing may be written in it.")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
