"""The script that the README prints, as printed, and the numbers it must print."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

SCRIPT = """
import jax; jax.config.update("jax_enable_x64", True)
import diffnr as nr, optimize as op
from diffnr import tcmt
g = (0.5**2 + 3.0**2) ** 0.5
pair = tcmt.TwoResonators(omega=(0., 0.), gamma=(g, g), gamma_0=(0.5, 0.5), kappa=3.0,
                           loss=tcmt.NonlocalLoss(gamma_k=2.7, mode=1, sensed=0))
r = nr.port_response(pair, nr.Drive(omega=1.0))
print(r.fundamental[1, 0], r.fundamental[0, 1])            # .0366738162+.1256143952j  .1905364127+.5815582039j
print(nr.metrics.isolation(r, out=0, into=1))              # 13.3986431 dB
best = op.maximise_isolation(pair, omega=0.0, free="loss.gamma_k", out=0, into=1, max_insertion_loss=3.0)
print(best.model.loss.gamma_k, best.objective)                 # 1.41167  2.0633 dB
"""

OSCILLATORS = """
import jax; jax.config.update("jax_enable_x64", True)
import diffnr as nr, optimize as op
from diffnr import duffing
pair = duffing.DuffingPair(mass_ratio=2., stiffness_ratio=1., cubic_ratio=1., coupling=5., cubic=1., damping=.05)
curve = duffing.frequency_response(pair, amplitude=.15, omega=(.5, 4.), port=0, num_harmonics=9)
print(curve.folds.omega[:2])             # .96430619, .91566469   (in order along the branch)
r = op.restore_reciprocity(pair, amplitude=.15, free="stiffness_ratio", resonance=1, num_harmonics=9)
print(r.ratio, r.omega, r.reciprocity_norm, r.stable)      # 12.0238  3.320215  1.065331e-5  [True, True]
fold = lambda z: duffing.frequency_response(nr.replace(pair, {"damping": z}), amplitude=.15, omega=(.5, 4.), port=0, num_harmonics=9).folds.omega[0]
print(jax.grad(fold)(.05))               # -3.6408
"""  # noqa: E501


GUIDE = """
import jax; jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp, diffnr as nr
from diffnr import fdtd
THz, um = 2e12 * jnp.pi, 1e-6
def guide(bias):
    insb = fdtd.GyrotropicDrude(eps_inf=15.6, omega_p=4e12 * jnp.pi, nu=0.0, omega_c=bias * 4e12 * jnp.pi)
    return fdtd.layered_guide([(18 * um, insb), (12 * um, fdtd.Dielectric(11.68))], cell=0.25 * um)
modes = fdtd.guide_modes(guide(-0.25), 1.24 * THz, num_modes=2)
print(modes.forward.k[0], modes.backward.k[0])                     # 116167.561  −257758.729  (second order in the cell)
print(fdtd.guide_modes(guide(-0.25), 1.5 * THz, num_modes=2).backward.count)      # 0: no way back
k = lambda b: fdtd.guide_modes(guide(b), 1.24 * THz, num_modes=2).forward.k[0]
print(jax.grad(k)(-0.25))                                           # equals a central difference to 1e-6
"""


def run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_printed_script_prints_its_numbers():
    amplitudes, isolation, design = run(SCRIPT)
    t21, t12 = (complex(text.strip("()")) for text in amplitudes.split())
    # Every digit that is printed beside the script: half a unit of the last one.
    np.testing.assert_allclose([t21, t12], [0.0366738162 + 0.1256143952j, 0.1905364127 + 0.5815582039j], atol=6e-11)
    assert abs(float(isolation) - 13.3986431) < 6e-8
    gamma_k, value = (float(text) for text in design.split())
    assert abs(gamma_k - 1.41167003) < 6e-9
    assert abs(value - 2.0633) < 6e-5


@pytest.mark.slow
def test_the_printed_script_of_oscillators_prints_its_numbers():
    folds, restored, slope = run(OSCILLATORS)
    # Half a unit of the last digit printed beside the script.
    np.testing.assert_allclose([float(x) for x in folds.strip("[]").split()], [0.96430619, 0.91566469], atol=6e-9)
    value, omega, norm, *stable = restored.split()
    np.testing.assert_allclose(float(value), 12.0238, atol=6e-5)
    np.testing.assert_allclose(float(omega), 3.320215, atol=6e-7)
    np.testing.assert_allclose(float(norm), 1.065331e-5, atol=6e-12)
    assert "".join(stable) == "[TrueTrue]"
    np.testing.assert_allclose(float(slope), -3.6408, atol=6e-5)


def test_the_quickstart_of_the_readme_runs_and_is_twelve_lines():
    quickstart = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL).group(1)
    lines = [line for line in quickstart.splitlines() if line.strip()]
    assert len(lines) <= 12
    printed = run(quickstart)
    # Each print of the quickstart carries what it prints as a comment, to the digits shown.
    claims = [line.split("#")[1] for line in lines if line.startswith("print")]
    assert len(printed) == len(claims)
    for found, claim in zip(printed, claims, strict=True):
        for number in re.findall(r"-?\d+\.\d+", claim):
            digits = len(number.split(".")[1])
            values = [float(v) for v in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", found)]
            assert any(abs(v - float(number)) <= 0.51 * 10**-digits for v in values), (found, claim)


@pytest.mark.slow
def test_the_printed_script_of_guides_prints_its_numbers():
    difference = "h = 1e-4\nprint((k(-0.25 + h) - k(-0.25 - h)) / (2 * h))"
    wavenumbers, count, slope, slope_by_difference = run(GUIDE + difference)
    forward, backward = (float(text) for text in wavenumbers.split())
    # At second order in the cell: 7e-5, and 8e-3 for the slow wave, at a quarter of a micrometre (test_fdtd_guide.py).
    assert abs(forward / 116167.561 - 1) < 8e-5
    assert abs(backward / -257758.729 - 1) < 8.5e-3
    assert int(count) == 0
    assert abs(float(slope) / float(slope_by_difference) - 1) < 1e-6  # the bound; h² leaves 5e-7
