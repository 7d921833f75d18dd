"""The `diffnr` command. It lives beside the optimisers because it needs both packages; it turns float64 on.

Nothing heavy is imported before a command runs: `--version` and `--help` answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import diffnr
from optimize.command.arguments import parser
from optimize.command.phases import phase
from optimize.command.refusals import INTERRUPTED, REFUSALS, REFUSED, make_folder, naming, sentence


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
        import matplotlib

        from optimize.mode_fit.fit_modes import fit_modes
    matplotlib.use("Agg")
    datas = [_data(file, arguments) for file in arguments.files]
    folders = _folders(arguments.out, arguments.files)
    for folder in folders:
        make_folder(folder)
    said = []
    for file, data, folder in zip(arguments.files, datas, folders, strict=True):
        with phase("compiling and fitting" if len(datas) == 1 else f"fitting {file}"):
            result = fit_modes(data, arguments.modes, delay=not arguments.no_delay, background=arguments.background)
        with phase("drawing"):
            result.plot().savefig(folder / "fit.png", dpi=150)
        report = result.report()
        (folder / "report.txt").write_text(report + "\n", encoding="utf-8")
        # Powers leave no model to design with: then it is the fit.
        diffnr.save(folder / "model.npz", getattr(result, "model", result))
        said.append(f"{report}\n\nWrote report.txt, fit.png and model.npz (for diffnr.load) in {folder}.")
    return "\n\n".join(said)


def _folders(out: Path, files: Sequence[Path]) -> list[Path]:
    """Where the results of each file go: to `out`, or of several to folders in it, named after the files."""
    if len(files) == 1:
        return [out]
    stems = [file.stem for file in files]
    return [
        out / (stem if stems.count(stem) == 1 else f"{stem}-{stems[:k].count(stem) + 1}")
        for k, stem in enumerate(stems)
    ]


def _data(file: Path, arguments: argparse.Namespace) -> Any:
    """The part of a file that is to be fitted."""
    with file.open("rb"):  # what is not there is refused by the shell's name for it
        pass
    data = (diffnr.read_csv if file.suffix.lower() == ".csv" else diffnr.read_touchstone)(file)
    ports = f"the ports 1 to {data.num_ports} of {str(file)!r}"
    if arguments.entry:
        text, out, into = arguments.entry
        if max(out, into) > data.num_ports:
            raise ValueError(f"Argument --entry must be between {ports}, but was {text}.")
        with naming("Argument --entry"):
            data = data.entry(out=out - 1, into=into - 1)
    if arguments.port:
        if max(arguments.port) > data.num_ports or len(set(arguments.port)) < len(arguments.port):
            given = ",".join(map(str, arguments.port))
            raise ValueError(f"Argument --port must name some of {ports}, each once, but was {given}.")
        with naming("Argument --port"):
            data = data.ports(*(port - 1 for port in arguments.port))
    return _within(data, *arguments.band) if arguments.band else data


def _within(data: Any, low: float, high: float) -> Any:
    """The data between two frequencies in Hz."""
    first, last = (float(omega) / (2 * math.pi) for omega in (data.omega[0], data.omega[-1]))
    if not (low < high and low <= last and high >= first):
        raise ValueError(
            f"Argument --band must be the lowest and the highest frequency, within the {first:g} to {last:g} Hz of the "
            f"file, but was {low:g} {high:g}."
        )
    with naming("Argument --band"):
        return data.band(*(float(diffnr.hertz(edge)) for edge in (low, high)))


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
