"""The arguments of the `diffnr` command, and what its `--help` says. Imports nothing heavy."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffnr
from optimize.command.refusals import REFUSED, sentence

CONFIGURATION = """\
the file:
  [model]         kind = "two_resonators" with omega, gamma, gamma_0, kappa;
                  or "coupled_modes" with omega, D, C, K, gamma_i, a complex number as "0.3-0.4j";
                  or file = "model.npz", as 'diffnr fit' writes;  unit = a label for its rates
  [[model.loss]]  kind = "nonlocal" (gamma_k, mode, sensed, epsilon), "two_photon" (coefficient, mode)
                  or "saturable" (coefficient, mode, saturation)
  [[model.terms]] kind = "ideal_coupling" (gamma_k, mode, sensed) or "kerr" (chi, mode)
  [design]        goal = "isolation" (max_insertion_loss, isolation_cap), "insertion_loss" (min_isolation) or
                  "contrast";  free = ["loss.gamma_k"], with several laws "loss.0.gamma_k";  out, into: the ports of
                  the direction that passes;  omega or band;  points, amplitude or power, starts, max_steps, seed
  [bounds]        "kappa" = [0.1, 5.0]     of free parameters
  [tolerances]    "kappa" = 0.05           half-widths: the design is judged at its worst in this box
  [figure]        band = [-5.0, 5.0]       frequencies to draw

modes and ports count from 0. docs/isolate.md tells the rest; examples/isolator.toml is one to start from.
"""

RESTORATION = """\
the file:
  [pair]     mass_ratio, stiffness_ratio, cubic_ratio (1 where left out), coupling, cubic, damping; dimensionless
  [restore]  amplitude: of the force;  free: the ratio to choose;  resonance: 0, the lower one, or 1;
             at = "peak" (R is least with the frequency on the forward output's peak) or "equal_norm" (equal
             amplitudes and phases);  num_harmonics, max_steps
  [locus]    along: another ratio;  bounds = [0.9, 3.0] of it;  points
  [figure]   band = [0.5, 4.0]: frequencies to draw;  max_points

docs/restore.md tells the rest; examples/restore.toml is one to start from.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line: it sets `command`, and the arguments of that."""
    top = _Parser(
        prog="diffnr",
        description="Differentiable nonreciprocity: fit models to data, and design with them.",
        epilog="Run 'diffnr COMMAND --help' for a command's options.",
    )
    top.add_argument("--version", action="version", version=f"diffnr {diffnr.__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="fit a measurement, design an isolator, fit a noisy two-port, restore reciprocity, send a pulse one way",
        description="Fits the measured ring slot that scikit-rf carries, designs γ_k for maximum isolation under an "
        "insertion-loss cap, fits a synthesised noisy nonreciprocal two-port, restores the reciprocity of two "
        "oscillators, sends a pulse through a one-way guide, and writes figures and a report with reference values "
        "beside.",
    )
    demo.add_argument("--small", action="store_true", help="fewer points: a quick check that everything works")
    demo.add_argument(
        "--out", type=Path, default=Path("diffnr-demo"), metavar="DIR", help="where to write (default: %(default)s)"
    )
    demo.set_defaults(command="demo")

    _add_fit(commands)
    _add_isolate(commands)
    _add_restore(commands)
    return top


def _add_fit(commands: Any) -> None:
    fit = commands.add_parser(
        "fit",
        help="fit coupled-mode coefficients to a Touchstone or CSV file",
        description="Fits resonances to complex S-parameters without start values, and writes a report, a figure "
        "and the fitted model; of several files for each, in a folder of its name, or (--series) of all as one.",
    )
    fit.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="Touchstone files (.sNp), or .csv with columns frequency_hz, S11_re, S11_im, …",
    )
    part = fit.add_mutually_exclusive_group()
    part.add_argument("--entry", type=_entry, metavar="S21", help="fit this entry alone, as a one-port trace")
    part.add_argument(
        "--port", type=_ports, metavar="P[,P…]", help="fit the reflection of this port alone, or these ports alone"
    )
    fit.add_argument(
        "--modes",
        type=_modes,
        default="auto",
        metavar="N",
        help="how many resonances; auto: as many as the data show (default: %(default)s)",
    )
    fit.add_argument(
        "--background",
        type=_whole(0),
        metavar="ORDER",
        help="polynomial order of the direct path over the band (default: 2)",
    )
    fit.add_argument("--no-delay", action="store_true", help="do not fit a delay per port")
    fit.add_argument("--conjugated", action="store_true", help="fit conj(S): of programs whose phasors are e^{−iωt}")
    fit.add_argument("--reciprocal", action="store_true", help="demand a response with S = Sᵀ")
    fit.add_argument(
        "--band", type=_frequency, nargs=2, metavar=("LO", "HI"), help="use only frequencies from LO to HI, in Hz"
    )
    fit.add_argument(
        "--out", type=Path, default=Path("diffnr-fit"), metavar="DIR", help="where to write (default: %(default)s)"
    )
    series = fit.add_argument_group(
        "several files as one model",
        "Two coupled resonators behind two ports, or as many resonances as --modes says. Give these after the files.",
    )
    series.add_argument(
        "--series", type=_real, nargs="+", metavar="V", help="the value (bias, power, temperature) of each file"
    )
    series.add_argument("--name", metavar="TEXT", help='of the value, for table and figure: "bias (mT)"')
    series.add_argument(
        "--shared", nargs="+", metavar="NAME", help="coefficients that are one for all files: gamma, omega[1], …"
    )
    fit.set_defaults(command="fit")


def _add_isolate(commands: Any) -> None:
    isolate = commands.add_parser(
        "isolate",
        help="design a device for isolation from a configuration file",
        description="Chooses the parameters of a device for the most isolation, the least insertion loss or the\n"
        "largest contrast, at the worst of a band and of tolerances, and writes a report, a figure, the\n"
        "numbers and the model.",
        epilog=CONFIGURATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    isolate.add_argument("file", type=Path, metavar="CONFIG.toml", help="what to design; see below")
    isolate.add_argument(
        "--out", type=Path, default=Path("diffnr-isolate"), metavar="DIR", help="where to write (default: %(default)s)"
    )
    isolate.set_defaults(command="isolate")


def _add_restore(commands: Any) -> None:
    restore = commands.add_parser(
        "restore",
        help="restore the reciprocity of two oscillators from a configuration file",
        description="Chooses a second ratio of two coupled Duffing oscillators that makes them answer alike from both\n"
        "sides at one of their resonances, and writes a report, a figure, the numbers and the model.",
        epilog=RESTORATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    restore.add_argument("file", type=Path, metavar="CONFIG.toml", help="what to restore; see below")
    restore.add_argument(
        "--out", type=Path, default=Path("diffnr-restore"), metavar="DIR", help="where to write (default: %(default)s)"
    )
    restore.set_defaults(command="restore")


class _Parser(argparse.ArgumentParser):
    """One that refuses in one line."""

    def error(self, message: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.exit(REFUSED, f"diffnr: {sentence(ValueError(message))}. See '{self.prog} --help'.\n")


def _whole(least: int, most: int = 1000) -> Callable[[str], int]:
    """A reader of whole numbers within limits."""

    def read(text: str) -> int:
        digits = text.strip().removeprefix("-")
        # Python converts no text of thousands of digits.
        number = int(text) if digits.isdecimal() and len(digits) < 20 else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number between {least} and {most}, but was {text!r}")
        return number

    return read


def _modes(text: str) -> int | str:
    return "auto" if text.strip() == "auto" else _whole(1)(text)


def _entry(text: str) -> tuple[str, int, int]:
    """An S-parameter as it was written, and its ports, counted from 1."""
    found = re.fullmatch(r"S(?:([1-9])([1-9])|([1-9]\d{0,8})_([1-9]\d{0,8}))", text.strip(), re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError(f"must be an S-parameter such as S21 (or S10_1), but was {text!r}")
    return text, int(found[1] or found[3]), int(found[2] or found[4])


def _ports(text: str) -> list[int]:
    if not re.fullmatch(r"\s*[1-9]\d{0,8}(\s*,\s*[1-9]\d{0,8})*\s*", text):
        raise argparse.ArgumentTypeError(f"must be a port counted from 1, or several as 1,3, but was {text!r}")
    return [int(port) for port in text.split(",")]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _real(text: str) -> float:
    number = _number(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be finite numbers, one a file, but was {text!r}")
    return number


def _frequency(text: str) -> float:
    number = _number(text)
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"must be a frequency in Hz, not negative and finite, but was {text!r}")
    return number
