"""What tests of the command share: a file to fit, and the line that a refusal is."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

import diffnr as nr
from diffnr import tcmt
from optimize.command.cli import main


def one_resonance(path: Path) -> Path:
    """A CSV file of one resonance, in GHz, with a little noise."""
    line = tcmt.CoupledModes(omega=[2 * np.pi * 5e9], D=[[2e4]], gamma_i=[1e8])
    omega = 2 * np.pi * jnp.linspace(4.8e9, 5.2e9, 81)
    rng = np.random.default_rng(0)
    s = np.asarray(nr.scattering(line, omega)) + 1e-3 * (rng.normal(size=(81, 1, 1)) + 1j * rng.normal(size=(81, 1, 1)))
    nr.write_csv(path, nr.FieldData(omega, s))
    return path


def refusal(capsys, *arguments):
    """The one line on stderr of a call that is refused."""
    try:
        code = main(list(arguments))
    except SystemExit as ended:
        code = ended.code
    out, error = capsys.readouterr()
    assert (code, out) == (2, "")
    assert error.startswith("diffnr: ")
    assert error.count("\n") == 1
    return error
