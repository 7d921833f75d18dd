"""The three cavities of paper 3 (nonreciprocal cavities), in InSb and silicon."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffnr.checks import Numbers, as_scalar
from diffnr.fdtd.cavity.geometry import EndCavity, TopCavity
from diffnr.fdtd.scene.media import Dielectric, GyrotropicDrude, PerfectConductor, SurfaceImpedance

PLASMA = 4e12 * np.pi  # ω_p of InSb, rad/s
SILICON = 11.68


def figure2(bias: Numbers = -0.25) -> EndCavity:
    """Behind a perfectly conducting end in the one-way band: 20 × 30 µm, lossy InSb, 1.522 THz and γ/2π = 4.6 GHz.

    **Arguments:** `bias`: [], ω_c/ω_p; negative ones make +x the one-way direction.
    """
    sizes: dict[str, Any] = {"height": 30e-6, "offset": -12e-6}
    return EndCavity(_insb(bias, 5e-3), Dielectric(SILICON), PerfectConductor(), **sizes)


def figure3(bias: Numbers = -0.25) -> EndCavity:
    """Behind an end of 10⁴ S/m in the two-way band: 20 × 35.4 µm, lossless InSb, 1.2397 THz and γ/2π = 80 MHz (96
    without bias).

    **Arguments:** `bias`: [], ω_c/ω_p.

    **Notes:** the mid-planes are 1 µm apart, with which the paper's numbers come out, and not the 2 µm printed.
    """
    return EndCavity(_insb(bias), Dielectric(SILICON), SurfaceImpedance.of_conductor(1e4, 2.48e12 * np.pi))


def figure4(bias: Numbers = -0.25) -> TopCavity:
    """On top of the guide 60 µm before an end of 2093 S/m, where Hz of what comes in and goes out cancels: 35.4 ×
    20 µm, lossless InSb, near 1.24 THz.

    **Arguments:** `bias`: [], ω_c/ω_p.
    """
    end = SurfaceImpedance.of_conductor(2093.0, 2.48e12 * np.pi)
    sizes: dict[str, Any] = {"width": 35.4e-6, "height": 20e-6, "opening_at": 60e-6}
    return TopCavity(_insb(bias), Dielectric(SILICON), end, **sizes, feed=120e-6)


def _insb(bias: Any, loss: float = 0.0) -> GyrotropicDrude:
    return GyrotropicDrude(15.6, PLASMA, loss * PLASMA, as_scalar(bias, "bias") * PLASMA)
