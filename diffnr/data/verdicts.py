"""What field data say of a device: whether it is reciprocal, and whether it is passive."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from diffnr.checks import as_scalar, require_known
from diffnr.data.field_data import FieldData
from diffnr.data.noise import noise_estimate, numbers_of, rounding_step, scatter
from diffnr.data.power_data import PowerData

FEWEST = 16  # points from which noise is estimated
MOST = 0.25  # gain beyond 1 that noise may excuse: where it is larger there is no verdict
UNTOLD = "which noise may explain or not: neighbouring points are too far apart, or too noisy, for it to be told"


class Reciprocity(eqx.Module):
    """What `reciprocity` found; `reciprocal` is the verdict, `message` says it with what it rests on."""

    reciprocal: bool | None  # None: not measured, or noise and signal cannot be told apart
    max_difference: float  # max |S - Sᵀ|
    relative: float  # rms |S - Sᵀ| over the rms of the off-diagonal entries
    noise: float  # the relative asymmetry that the noise alone would make
    median_db: float  # median over frequency and pairs of |20 log10 |S_ij / S_ji||, but for zeros; NaN: all are zeros
    max_db: float  # the largest of them: large at a noise floor, where it says nothing
    pairs: int  # pairs of ports that there are
    compared: int  # those that were measured both ways: the others say nothing
    powers: bool = False  # whether |S|² was compared, and `relative` and `noise` are of it; alike, they tell nothing

    @property
    def message(self) -> str:
        """The verdict in one sentence."""
        if self.pairs == 0:
            return "A one-port is reciprocal."
        if self.compared == 0:
            return "Whether the device is reciprocal was not measured: no pair of ports was measured both ways."
        where = "" if self.compared == self.pairs else f" in the {self.compared} of {self.pairs} pairs measured"
        noise = f" ({100 * self.noise:.2g} % from noise)" if self.noise > 0 else ""
        if self.powers:
            size = f"the rms difference of |S|² both ways is {100 * self.relative:.3g} % of |S|²{noise}"
        else:
            share = f"rms |S − Sᵀ| is {100 * self.relative:.3g} % of S between ports{noise}"
            size = f"{share}, max |S − Sᵀ| = {self.max_difference:.2g}"
        if self.reciprocal is None:
            why = "and powers do not tell whether phases differ" if self.powers else UNTOLD
            return f"Whether the data are reciprocal{where} cannot be told: {size}, {why}."
        verdict = "reciprocal" if self.reciprocal else "NOT reciprocal"
        # Where every quotient has a zero in it there is no median.
        other = f"median difference {self.median_db:.2g} dB" if self.median_db >= 0 else "one direction is exactly 0"
        return f"The data are {verdict}{where}: {size}, {other}."


class Passivity(eqx.Module):
    """What `passivity` found; `passive` is the verdict, `message` says it with what it rests on."""

    passive: bool | None  # largest ≤ 1 + tolerance; None: noise and gain cannot be told apart
    largest: float  # the largest singular value of S over frequency, or of its largest part that was measured
    omega: float  # where it is
    tolerance: float  # what the noise and rounding allow beyond 1
    whole: bool  # whether all of S was measured: else its singular values may be larger
    most: float = np.nan  # of powers, whose phases may make `largest` as large as this; else NaN

    @property
    def message(self) -> str:
        """The verdict in one sentence."""
        between = self.most > self.largest * (1 + 1e-12)
        bound = "at least " if between or not self.whole else ""
        size = f"largest singular value {bound}{_beside_one(self.largest)}"
        if between and self.passive is not False:
            size += f", by its unknown phases at most {_beside_one(self.most)}"
        if self.passive is None:
            why = "" if between and self.largest <= 1 + min(self.tolerance, MOST) else f", {UNTOLD}"
            return f"Whether the data are passive cannot be told: {size}{why}."
        what = "data are" if self.whole else "entries that were measured are"
        verdict = "passive" if self.passive else "NOT passive"
        allowed = f", where noise allows {_beside_one(1 + self.tolerance)}" if self.largest > 1 else ""
        return f"The {what} {verdict}: {size}{allowed}."


def reciprocity(data: Any, relative: Any = 0.02, noise_factor: Any = 1.5) -> Reciprocity:
    """Whether S = Sᵀ, as far as the data can tell.

        asymmetry = rms |S − Sᵀ| / rms |S_offdiagonal|;   reciprocal: asymmetry ≤ max(relative, noise_factor · noise)

    over the pairs of ports that were measured both ways. `noise` is the asymmetry of a reciprocal device with the noise
    of this one: from `data.sigma` if given, else from the scatter of S − Sᵀ along frequency (as in `noise_estimate`;
    noise_factor is taken times 1 + 2.5/√points, for chance), else (fewer than 16 points) 0.

    Of `PowerData` the powers |S|² are compared, which differ by twice as much. Where they are alike there is no
    verdict, as phases may differ.

    **Arguments:** `data`: `FieldData` or `PowerData`; `relative`: the asymmetry that still counts as reciprocal (2 %:
    calibrated analysers leave 1 to 2 % between the two directions of a passive device); `noise_factor`: how many times
    the expected noise still counts as noise.

    **Returns:** `Reciprocity`; a one-port is reciprocal. Its verdict is None where no pair was measured both ways, and
    where an asymmetry looks like noise but the noise of the entries cannot be told.

    **Raises:** `ValueError` for what is neither, or a factor that is negative or no finite number.

    Example: `nr.data.reciprocity(nr.read_touchstone("device.s2p")).message`.
    """
    s = numbers_of(data)
    powers = isinstance(data, PowerData)
    s = s.astype(float if powers else complex)
    relative = (1 + powers) * float(as_scalar(_known(relative, "relative"), "relative", lower=0.0))
    noise_factor = float(as_scalar(_known(noise_factor, "noise_factor"), "noise_factor", lower=0.0))
    out, into = np.triu_indices(data.num_ports, 1)
    pairs = len(out)
    known = np.asarray(data.entries)
    both = known[out, into] & known[into, out]
    out, into = out[both], into[both]
    if data.transmission:
        return Reciprocity(None, 0.0, 0.0, 0.0, 0.0, 0.0, 1, 0, powers)
    if out.size == 0:
        return Reciprocity(None if pairs else True, 0.0, 0.0, 0.0, 0.0, 0.0, pairs, 0, powers)
    there, back = s[:, out, into], s[:, into, out]
    scale = np.sqrt(np.mean(np.abs(there) ** 2 + np.abs(back) ** 2) / 2)
    asymmetry = _ratio(np.sqrt(np.mean(np.abs(there - back) ** 2)), scale)
    parts = 1 if powers else 2
    noise = _ratio(np.sqrt(np.mean(parts * _variance_of_difference(data, out, into))), scale)
    chance = 1 + 2.5 / np.sqrt(data.num_points) if data.sigma is None else 1.0
    excused = noise_factor * chance * noise
    reciprocal: bool | None = bool(asymmetry <= max(relative, excused))
    # What looks like noise, or nearly so, is noise only where that of the entries can be told.
    unsure = relative < asymmetry <= 2 * excused
    if (unsure and not np.isfinite(mean_noise(data)[[out, into], [into, out]]).all()) or (powers and reciprocal):
        reciprocal = None
    seen = (there != 0) & (back != 0)
    db = np.abs((10 if powers else 20) * np.log10(np.abs(there[seen]) / np.abs(back[seen])))
    if not np.any(there) and not np.any(back):
        db = np.zeros(1)
    return Reciprocity(
        reciprocal=reciprocal,
        max_difference=float(np.max(np.abs(_modulus(there) - _modulus(back) if powers else there - back))),
        relative=asymmetry,
        noise=noise,
        median_db=float(np.median(db)) if db.size else np.nan,
        max_db=float(np.max(db, initial=0.0)) if db.size else np.nan,
        pairs=pairs,
        compared=len(out),
        powers=powers,
    )


def passivity(data: Any, multiples: Any = 5.0) -> Passivity:
    """Whether the device gives out no more power than it takes in, as far as the data can tell.

        passive: max over frequency of ‖S‖₂ ≤ 1 + multiples · √ports · sigma

    and a margin for rounding, with sigma the largest entry of the noise of S: `data.sigma` if given, else
    `noise_estimate`, else (fewer than 16 points) 0. To first order noise moves a singular value by a normal amount of
    at most sigma; √ports is for several equal ones, as a lossless device has them. Where entries were not measured, ‖·‖
    is the largest over the blocks of S that were, which is a lower bound: the rest of S can only raise it.

    Of `PowerData` ‖S‖₂ is at least the largest norm of a row or a column (what one port that is driven alone gives
    out), and at most the norm of the matrix of |S_ij|: the data are not passive if the former is too large, passive if
    the latter is not, and between the two phases decide.

    **Arguments:** `data`: `FieldData` or `PowerData`; `multiples`: how many standard deviations still count as noise.

    **Returns:** `Passivity`; its verdict is None where there is more than the tolerance and the noise of an entry
    cannot be told, where noise would have to explain more than 1.25, and where the phases that powers lack decide.

    **Raises:** `ValueError` for what is neither, or a factor that is negative or no finite number.

    Example: `nr.data.passivity(nr.read_touchstone("device.s2p")).message`.
    """
    numbers_of(data)  # refuses what is neither
    multiples = float(as_scalar(_known(multiples, "multiples"), "multiples", lower=0.0))
    return passivity_beside(data, mean_noise(data), multiples)


def passivity_beside(data: FieldData | PowerData, noise: np.ndarray, multiples: float = 5.0) -> Passivity:
    """`passivity`, where the noise [out, in] is known already."""
    s, known, powers = numbers_of(data), np.asarray(data.entries), isinstance(data, PowerData)
    most = np.nan
    if powers:
        moduli = np.nan_to_num(_modulus(s))
        largest = np.max([np.max(np.linalg.norm(moduli, axis=axis), axis=1) for axis in (1, 2)], axis=0)
        most = float(np.max(np.linalg.norm(moduli, 2, (1, 2))))
        noise = noise / 2  # of |S| where it is 1
    else:
        blocks = _blocks(known)
        largest = np.max([np.linalg.norm(s[:, rows][:, :, columns], 2, (1, 2)) for rows, columns in blocks], axis=0)
    worst = int(np.argmax(largest))
    told = known & np.isfinite(noise)
    rounding = 1000 * data.num_ports * float(np.finfo(s.dtype).eps)
    tolerance = multiples * np.sqrt(data.num_ports) * float(np.max(noise[told], initial=0.0)) + rounding
    passive: bool | None = bool(largest[worst] <= 1 + tolerance)
    noisy = (not passive and not np.array_equal(told, known)) or (passive and largest[worst] > 1 + MOST)
    if noisy or (passive and most > 1 + tolerance):
        passive = None
    return Passivity(
        passive=passive,
        largest=float(largest[worst]),
        omega=float(data.omega[worst]),
        tolerance=float(tolerance),
        whole=bool(known.all()) and not data.transmission,
        most=most,
    )


def _beside_one(value: float) -> str:
    """A number with six digits, or as its distance from 1 where they would not show it."""
    return f"{value:.6g}" if abs(value - 1) >= 1e-4 or value == 1 else f"1 {'+−'[value < 1]} {abs(value - 1):.2g}"


def _known(value: Any, name: str) -> Any:
    require_known(value, name)
    return value


def _ratio(x: float, scale: float) -> float:
    """x / scale, and 0 for 0 / 0."""
    return float(x / scale) if scale else (0.0 if x == 0 else np.inf)


def _modulus(power: np.ndarray) -> np.ndarray:
    """|S| of |S|², which noise may have made negative."""
    return np.sqrt(np.maximum(power, 0.0))


def mean_noise(data: FieldData | PowerData) -> np.ndarray:
    """The noise [out, in] on which checks rest, over all frequencies: as given, else estimated, else (few points) 0."""
    if data.deviation is not None:
        return np.sqrt(np.mean(np.asarray(data.deviation) ** 2, axis=0))
    return noise_estimate(data) if data.num_points >= FEWEST else np.zeros((data.num_ports,) * 2)


def _variance_of_difference(data: FieldData | PowerData, out: np.ndarray, into: np.ndarray) -> np.ndarray:
    """The variance of the real and imaginary part of S_ij − S_ji (or of powers) that is noise, for the pairs (i, j)."""
    if data.deviation is not None or data.num_points < FEWEST:
        noise = mean_noise(data)
        return noise[out, into] ** 2 + noise[into, out] ** 2
    # What both directions have in common, however sharp, is no difference: that tells more than the entries do.
    s, step = numbers_of(data), rounding_step(data)
    s = s.astype(complex if np.iscomplexobj(s) else float)
    noise, _ = scatter(np.asarray(data.omega, dtype=float), s[:, out, into] - s[:, into, out])
    return np.maximum(noise**2, (step[out, into] ** 2 + step[into, out] ** 2) / 12)


def _blocks(known: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of blocks of S that were measured whole: for each column those of its rows, and the reverse."""
    blocks = {}
    for entries, turned in ((known, False), (known.T, True)):
        for first in entries.T[entries.any(axis=0)]:
            block = np.flatnonzero(first), np.flatnonzero(entries[first].all(axis=0))
            block = block[::-1] if turned else block
            blocks[tuple(map(bytes, block))] = block
    return list(blocks.values())
