"""The `diffnr` command. It lives beside the optimisers because it needs both packages; it turns float64 on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import diffnr

CONFIGURATION = """\
the file:
  [model]         kind = "two_resonators" with omega, gamma, gamma_0, kappa;
                  or "coupled_modes" with omega, D, C, K, gamma_i, a complex number as "0.3-0.4j";
                  or file = "model.npz", as 'diffnr fit' writes;  unit = a label for its rates
  [[model.loss]]  kind = "nonlocal" (gamma_k, mode, sensed, epsilon), "two_photon" (coefficient, mode)
                  or "saturable" (coefficient, mode, saturation)
  [[model.terms]] kind = "ideal_coupling" (gamma_k, mode, sensed)
  [design]        goal = "isolation" (max_insertion_loss, isolation_cap), "insertion_loss" (min_isolation) or
                  "contrast";  free = ["loss.gamma_k"], with several laws "loss.0.gamma_k";  out, into: the ports of
                  the direction that passes;  omega or band;  points, amplitude or power, starts, max_steps, seed
  [bounds]        "kappa" = [0.1, 5.0]     of free parameters
  [tolerances]    "kappa" = 0.05           half-widths: the design is judged at its worst in this box
  [figure]        span = [-5.0, 5.0]       frequencies to draw

modes and ports count from 0. docs/isolate.md tells the rest; examples/isolator.toml is one to start from.
"""

RESTORATION = """\
the file:
  [pair]     mass_ratio, stiffness_ratio, cubic_ratio (1 where left out), coupling, cubic, damping; dimensionless
  [restore]  amplitude: of the force;  free: the ratio to choose;  resonance: 0, the lower one, or 1;
             at = "peak" (R is least with the frequency on the forward output's peak) or "equal_norm" (equal
             amplitudes and phases);  num_harmonics, max_steps
  [locus]    along: another ratio;  bounds = [0.9, 3.0] of it;  points
  [figure]   span = [0.5, 4.0]: frequencies to draw;  max_points

docs/restore.md tells the rest; examples/restore.toml is one to start from.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 2 for an argument or a file that cannot be used."""
    import jax

    arguments = _parser().parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    try:
        return arguments.run(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"diffnr: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    """What went wrong in one line, in words also where the system gave a number."""
    if isinstance(error, OSError) and error.filename is not None:
        if isinstance(error, FileNotFoundError):
            return f"There is no file {str(error.filename)!r}."
        return f"File {str(error.filename)!r} cannot be used: {error.strerror}."
    return " ".join(str(error).split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diffnr",
        description="Differentiable nonreciprocity: fit models to data, and design with them.",
        epilog="Run 'diffnr COMMAND --help' for a command's options.",
    )
    parser.add_argument("--version", action="version", version=f"diffnr {diffnr.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

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
    demo.set_defaults(run=_demo)

    fit = commands.add_parser(
        "fit",
        help="fit coupled-mode coefficients to a Touchstone or CSV file",
        description="Fits resonances to complex S-parameters without start values, and writes a report, a figure "
        "and the fitted model. Touchstone files (.s1p, .s2p, …) need the extra 'rf': pip install \"diffnr[rf]\".",
    )
    fit.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a Touchstone file (.sNp), or a .csv with columns frequency_hz, S11_re, S11_im, …",
    )
    fit.add_argument("--modes", type=int, default=1, metavar="N", help="how many resonances (default: %(default)s)")
    fit.add_argument(
        "--background", type=int, metavar="ORDER", help="polynomial order of the direct path over the band (default: 2)"
    )
    fit.add_argument("--no-delay", action="store_true", help="do not fit a delay per port")
    fit.add_argument(
        "--band", type=float, nargs=2, metavar=("LO", "HI"), help="use only frequencies from LO to HI, in Hz"
    )
    fit.add_argument(
        "--out", type=Path, default=Path("diffnr-fit"), metavar="DIR", help="where to write (default: %(default)s)"
    )
    fit.set_defaults(run=_fit)

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
    isolate.set_defaults(run=_isolate)

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
    restore.set_defaults(run=_restore)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    from optimize.command.demo import run

    print(run(arguments.out, small=arguments.small))
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    import matplotlib

    matplotlib.use("Agg")
    reader = diffnr.read_csv if arguments.file.suffix.lower() == ".csv" else diffnr.read_touchstone
    data = reader(arguments.file)
    if arguments.band:
        data = data.band(*(float(diffnr.hertz(edge)) for edge in arguments.band))
    from optimize.mode_fit.fit_modes import fit_modes

    result = fit_modes(data, arguments.modes, delay=not arguments.no_delay, background=arguments.background)
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = result.report()
    (arguments.out / "report.txt").write_text(report + "\n", encoding="utf-8")
    result.plot().savefig(arguments.out / "fit.png", dpi=150)
    diffnr.save(arguments.out / "model.npz", result.model)
    print(report)
    print(f"\nWrote report.txt, fit.png and model.npz (for diffnr.load) in {arguments.out}.")
    return 0


def _isolate(arguments: argparse.Namespace) -> int:
    from optimize.command.isolate import run

    print(run(arguments.file, arguments.out))
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from optimize.command.restore import run

    print(run(arguments.file, arguments.out))
    return 0
