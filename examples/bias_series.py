r"""Coupling against bias, from measured files
===========================================

Two resonators, each at the end of a line of its own, are coupled through something magnetic: the rates
:math:`\kappa_{12}` and :math:`\kappa_{21}` differ, by an amount that changes sign with the bias. S-parameters are taken
at five biases, with noise of 2 % and through lines of 3 and 5 ns that lose 10 and 20 % of the amplitude, and written to
Touchstone files. One call fits all of them. What does not depend on the bias, the rates of loss and the frequency of
the second resonator, is fitted as one number (lines with a band of the error).

The phase :math:`\arg \kappa_{12}\kappa_{21}` is what decides between level repulsion (0) and attraction
(:math:`\pi`), and is even in the bias. The ratio :math:`\kappa_{21}/\kappa_{12}` is odd in it, as
:math:`S(-B) = S(B)^T` has it.
"""

import tempfile
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import diffnr as nr
import optimize as op
from diffnr import tcmt

jax.config.update("jax_enable_x64", True)

MHZ = 2e6 * np.pi
F0 = 5e9
LINES = np.array([0.9, 0.8]), np.array([3e-9, 5e-9])  # what is left of the amplitude, and seconds


def device(bias: float) -> tcmt.CoupledModes:
    """The pair at a bias in mT: κ12(−B) = κ21(B). It is passive, as the part that is no Hermitian coupling is loss."""
    forward, backward = (4.0 * (1 + 0.02 * b) * np.exp(0.1j + 0.03j * b) for b in (bias, -bias))
    coupling = np.array([[0, backward], [forward, 0]])  # [out, in]
    detuning = np.diag([-3.0 + 0.04 * bias**2, 2.0])
    omega, loss = (coupling + coupling.conj().T) / 2, (coupling - coupling.conj().T) / 2j
    return tcmt.CoupledModes(
        MHZ * (detuning + omega) + 2 * np.pi * F0 * np.eye(2),
        D=np.diag(np.sqrt(2 * MHZ * np.array([4.0, 3.0]))),
        gamma_i=MHZ * (np.diag([1.0, 1.5]) + loss),
    )


def measured(bias: float, points: int, seed: int) -> nr.FieldData:
    """S at the far ends of the lines, with noise of 2 %."""
    rng, omega = np.random.default_rng(seed), 2 * np.pi * F0 + MHZ * np.linspace(-30, 30, points)
    lines = LINES[0] * np.exp(-1j * omega[:, None] * LINES[1])
    s = np.asarray(nr.scattering(device(bias), omega)) * lines[:, :, None] * lines[:, None, :]
    return nr.FieldData(omega, s + 2e-2 * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape)), measured=True)


def main(small: bool = False) -> Figure:
    biases = [-5.0, 0.0, 5.0] if small else [-5.0, -2.5, 0.0, 2.5, 5.0]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{k}.s2p") for k in range(len(biases))]
        for k, (path, bias) in enumerate(zip(paths, biases, strict=True)):
            nr.write_touchstone(path, measured(bias, 81 if small else 201, seed=k))
        datas = [nr.read_touchstone(path) for path in paths]
    series = op.fit_series(datas, biases, shared=("gamma", "gamma_0", "omega[1]"), name="Bias (mT)")
    print(series.report())
    return series.plot()


if __name__ == "__main__":
    main().savefig(__file__.replace(".py", ".png"))
