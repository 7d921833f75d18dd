"""What field data say of a device: whether it is reciprocal, and whether it is passive."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from diffnr.checks import as_scalar, require_instance, require_known
from diffnr.data.field_data import FieldData
from diffnr.data.noise import noise_estimate


class Reciprocity(eqx.Module):
    """What `reciprocity` found; `reciprocal` is the verdict, the rest is what it rests on."""

    reciprocal: bool
    max_difference: float  # max |S - Sᵀ|
    relative: float  # rms |S - Sᵀ| over the rms of the off-diagonal entries
    noise: float  # the relative asymmetry that the noise alone would make
    median_db: float  # median over frequency and pairs of |20 log10 |S_ij / S_ji||
    max_db: float  # the largest of them: large at a noise floor, where it says nothing


class Passivity(eqx.Module):
    """What `passivity` found; `passive` is the verdict: largest ≤ 1 + tolerance."""

    passive: bool
    largest: float  # the largest singular value of S over frequency
    omega: float  # where it is
    tolerance: float  # what the noise and rounding allow beyond 1


def reciprocity(data: FieldData, relative: Any = 0.01, noise_factor: Any = 1.5) -> Reciprocity:
    """Whether S = Sᵀ, as far as the data can tell.

        asymmetry = rms |S − Sᵀ| / rms |S_offdiagonal|;   reciprocal: asymmetry ≤ max(relative, noise_factor · noise)

    where `noise` is the asymmetry of a reciprocal device with the noise of this one: `data.sigma` if given, else
    `noise_estimate`, else (fewer than 16 points) 0.

    **Arguments:** `data`; `relative`: the asymmetry that still counts as reciprocal (1 %); `noise_factor`: how many
    times the expected noise still counts as noise.

    **Returns:** `Reciprocity`; a one-port is reciprocal.

    **Raises:** `ValueError` for what is no `FieldData`, or a factor that is negative or no finite number.

    Example: `nr.data.reciprocity(nr.read_touchstone("device.s2p")).reciprocal`.
    """
    require_instance(data, "data", FieldData, "be a FieldData")
    relative = float(as_scalar(_known(relative, "relative"), "relative", lower=0.0))
    noise_factor = float(as_scalar(_known(noise_factor, "noise_factor"), "noise_factor", lower=0.0))
    s = np.asarray(data.s, dtype=complex)
    out, into = np.triu_indices(data.num_ports, 1)
    if out.size == 0:
        return Reciprocity(True, 0.0, 0.0, 0.0, 0.0, 0.0)
    there, back = s[:, out, into], s[:, into, out]
    scale = np.sqrt(np.mean(np.abs(there) ** 2 + np.abs(back) ** 2) / 2)
    asymmetry = _ratio(np.sqrt(np.mean(np.abs(there - back) ** 2)), scale)
    sigma = _noise(data)
    noise = _ratio(np.sqrt(np.mean(2 * sigma[out, into] ** 2 + 2 * sigma[into, out] ** 2)), scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        db = np.abs(20 * np.log10(np.abs(there) / np.abs(back)))
    db = np.where((there == 0) & (back == 0), 0.0, db)
    return Reciprocity(
        reciprocal=bool(asymmetry <= max(relative, noise_factor * noise)),
        max_difference=float(np.max(np.abs(there - back))),
        relative=asymmetry,
        noise=noise,
        median_db=float(np.median(db)),
        max_db=float(np.max(db)),
    )


def passivity(data: FieldData, multiples: Any = 5.0) -> Passivity:
    """Whether the device gives out no more power than it takes in, as far as the data can tell.

        passive: max over frequency of ‖S‖₂ ≤ 1 + multiples · √ports · sigma

    and a margin for rounding, with sigma the largest entry of the noise of S, taken as in `reciprocity`. To first order
    noise moves a singular value by a normal amount of at most sigma; √ports is for several equal ones, as a lossless
    device has them.

    **Arguments:** `data`; `multiples`: how many standard deviations still count as noise.

    **Returns:** `Passivity`.

    **Raises:** `ValueError` for what is no `FieldData`, or a factor that is negative or no finite number.

    Example: `nr.data.passivity(nr.read_touchstone("device.s2p")).largest`.
    """
    require_instance(data, "data", FieldData, "be a FieldData")
    multiples = float(as_scalar(_known(multiples, "multiples"), "multiples", lower=0.0))
    s = np.asarray(data.s)
    largest = np.linalg.norm(s, ord=2, axis=(1, 2))
    worst = int(np.argmax(largest))
    rounding = 8 * data.num_ports * float(np.finfo(s.dtype).eps)
    tolerance = multiples * np.sqrt(data.num_ports) * float(np.max(_noise(data))) + rounding
    return Passivity(
        passive=bool(largest[worst] <= 1 + tolerance),
        largest=float(largest[worst]),
        omega=float(data.omega[worst]),
        tolerance=float(tolerance),
    )


def _known(value: Any, name: str) -> Any:
    require_known(value, name)
    return value


def _ratio(x: float, scale: float) -> float:
    """x / scale, and 0 for 0 / 0."""
    return float(x / scale) if scale else (0.0 if x == 0 else np.inf)


def _noise(data: FieldData) -> np.ndarray:
    """The noise of S [out, in] on which the checks rest: as given, else estimated, else (few points) 0."""
    if data.deviation is not None:
        return np.sqrt(np.mean(np.asarray(data.deviation) ** 2, axis=0))
    return noise_estimate(data) if data.num_points >= 16 else np.zeros((data.num_ports,) * 2)
