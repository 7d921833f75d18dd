"""The `diffnr` command. It lives beside the optimisers because it needs both packages; it turns float64 on.

Nothing heavy is imported before a command runs: `--version` and `--help` answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from optimize.command.arguments import parser
from optimize.command.phases import phase
from optimize.command.refusals import INTERRUPTED, REFUSALS, REFUSED, make_folder, sentence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    **Returns:** the exit status: 0 done; 2 for an argument or a file that cannot be used, and for a search that fails,
    after one line on stderr; 130 for Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where its encoding has no γ, reports have a "?"
    try:
        arguments = parser().parse_args(argv)
        with warnings.catch_warnings(record=True) as warned, _interruptible():
            said = _run(arguments)
        print(said)
    except REFUSALS as error:
        print(f"diffnr: {sentence(error)}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("diffnr: Interrupted.", file=sys.stderr)
        return INTERRUPTED
    for text in dict.fromkeys(sentence(Warning(warning.message)) for warning in warned):
        print(f"diffnr: warning: {text}", file=sys.stderr)
    return 0


def _run(arguments: argparse.Namespace) -> str:
    """What the command asked for, and what it says in the end."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return COMMANDS[arguments.command](arguments)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the command at once, where runs within it would first finish what is under way."""

    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    if not (in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _demo(arguments: argparse.Namespace) -> str:
    make_folder(arguments.out)
    with phase("importing"):
        from optimize.command.demo import run
    return run(arguments.out, small=arguments.small)


def _fit(arguments: argparse.Namespace) -> str:
    with phase("importing"):
        from optimize.command.fit import run
    return run(arguments)


def _isolate(arguments: argparse.Namespace) -> str:
    with phase("importing"):
        from optimize.command.isolate import run
    return run(arguments.file, arguments.out)


def _restore(arguments: argparse.Namespace) -> str:
    with phase("importing"):
        from optimize.command.restore import run
    return run(arguments.file, arguments.out)


COMMANDS: dict[str, Callable[[argparse.Namespace], str]] = {
    "demo": _demo,
    "fit": _fit,
    "isolate": _isolate,
    "restore": _restore,
}
