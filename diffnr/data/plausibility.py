"""What looks wrong with field data: each suspicion is a sentence, with what mends it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from diffnr.checks import require, require_instance
from diffnr.data.field_data import FieldData, name_of_entry
from diffnr.data.noise import ramps
from diffnr.data.verdicts import FEWEST, mean_noise

ONE_SIDED = 0.8  # asymmetry in time from which it is a verdict
STRONG = 0.16  # part of the largest peak's energy from which others are arrivals too
GUARD = 3  # time bins on each side of the first arrival that the window spreads it over
LONGEST = 256  # time bins on each side that are looked at
FAINTEST = 1e-4  # part of an entry's energy that must come outside of the first arrival
SURE = 5  # standard deviations of the noise
SLOW = 0.04  # turns a step by which a phase may advance: more is taken for a cable's, by a turn less


class Causality(eqx.Module):
    """What `causality` found; `causal` is the verdict, `message` says it with what mends it."""

    causal: bool | None  # whether S rings after its first arrivals; None: it does not ring, or cannot be told
    asymmetry: float  # (energy after − energy before)/(their sum), beyond noise, outside of the first arrivals
    turns: float  # by how many turns the phase of the strongest entry falls over the band; negative: it advances
    advances: bool  # whether it does so beyond the resolution, in steps small enough to be sure of the sign

    @property
    def message(self) -> str:
        """The verdict in one sentence."""
        if self.causal is False:
            return (
                f"S rings before its first arrival ({50 * (1 - self.asymmetry):.0f} % of the ringing energy): it seems "
                "to follow the convention e^{−iωt}, and conj(s) is meant."
            )
        if self.advances:
            return (
                f"The phase of S advances with frequency, by {-self.turns:.2g} turns over the band: conj(s) is meant, "
                "or the reference planes lie behind the device, or the phase falls by almost a turn a step."
            )
        if self.causal is None:
            return "Whether S is causal cannot be told: it does not ring beyond noise and the band's resolution."
        return "S is causal: it rings after its first arrival."


def causality(data: Any) -> Causality:
    """Whether S rings after its first arrivals, as e^{+iωt} has it, or before, as conjugated data do.

        h(t) = Σ_k w_k S_k e^{iω_k t};   asymmetry = (Σ_{t>t₀} |h|² − Σ_{t<t₀} |h|²) / (Σ_{t≠t₀} |h|² − noise)

    with a Hann window w over the band, and t₀ the first and the last bin 2π/band where an entry's |h| is 0.4 of its
    peak (the cable's delay, modulo a turn a step on an even grid); three bins on each side are left out. Entries that
    ring (by more than 5 standard deviations of the noise, and 10⁻⁴ of their energy) are added up, each with energy 1.
    Uneven grids are interpolated once the delay is taken out. From |asymmetry| = 0.8 on it is a verdict.

    **Arguments:** `data`.

    **Returns:** `Causality`.

    **Raises:** `ValueError` for fewer than 16 points.

    Of 300 random devices (1 to 4 ports and modes, 2 to 50 points a width, noise 0 to 10⁻¹, up to 5 turns a step, on
    even, logarithmic, segmented and random grids) a verdict is reached for 90 % with 401 points, 79 % with 101 and 68 %
    with 51; 0, 0 and 1 of them were wrong. Behind connectors that reflect up to 0.15 it is reached for 55, 31 and 21 %;
    0, 1 and 6 were wrong. `advances` was never a false alarm. Measurements without calibration, and reflections of
    loads that do not resonate, may show either sign: this is a reason to look, and a better fit of conj(s) the proof.

    Example: `nr.data.causality(nr.read_touchstone("device.s2p")).message`.
    """
    require_instance(data, "data", FieldData, "be a FieldData")
    require(data.num_points >= FEWEST, "data", f"have at least {FEWEST} points", f"of {data.num_points}")
    return _causality(data, mean_noise(data))


def suspicions(data: Any) -> tuple[str, ...]:
    """What looks wrong with the data: each a sentence, with what mends it; none for data without blemish.

    Data in float32; entries that were not measured, and columns that look like placeholders for them (0 or 1
    throughout); an S that is real throughout, as where a phase of 0 was filled in; entries whose neighbouring points do
    not follow from each other (a grid too coarse); and S that rings before it begins, or whose phase advances
    (`causality`, with its false alarms).

    **Arguments:** `data`.

    **Returns:** sentences.

    **Raises:** `ValueError` for what is no `FieldData`.

    Example: `print(*nr.data.suspicions(nr.read_touchstone("device.s2p")), sep="\\n")`.
    """
    require_instance(data, "data", FieldData, "be a FieldData")
    known, s = np.asarray(data.entries), np.asarray(data.s)
    found = []
    if jnp.float32 in (data.omega.dtype, np.real(s).dtype):
        found.append(
            'The data are in float32: call jax.config.update("jax_enable_x64", True) before they are read or made.'
        )
    if not known.all():
        found.append(f"{_names(data, ~known)} {_verb(~known)} not measured.")
    constant = known & (np.all(s == 0, axis=0) | np.all(s == 1, axis=0))
    filled = constant & np.all(constant, axis=0)
    if np.any(filled) and not np.all(filled):
        found.append(
            f"{_names(data, filled)} {_verb(filled)} exactly 0 or 1 at every frequency: give NaN where that stands for "
            "not measured."
        )
    if real_valued(data):
        found.append(
            "S is real at every frequency, as where a phase of 0 was filled in: give the measured phase, or fit "
            "PowerData.of(data), which needs none; magnitudes alone do not determine S."
        )
    if data.num_points < FEWEST:
        return tuple(found)
    noise = mean_noise(data)
    rough = known & np.isnan(noise)
    if np.any(rough):
        found.append(
            f"Neighbouring points of {_names(data, rough)} do not follow from each other: the steps of frequency are "
            "too large, or it is noise alone (give sigma=)."
        )
    causal = _causality(data, noise)
    if causal.causal is False or causal.advances:
        found.append(causal.message)
    return tuple(found)


def real_valued(data: Any) -> bool:
    """Whether S is real, to rounding, in all entries that vary with frequency, as no response of a device is.

    **Arguments:** `data`.

    **Returns:** False where no entry varies.

    **Raises:** `ValueError` for what is no `FieldData`.

    Example: `nr.data.real_valued(nr.read_csv("magnitudes.csv"))`.
    """
    require_instance(data, "data", FieldData, "be a FieldData")
    s = np.asarray(data.s)[:, np.asarray(data.entries)]
    varies = np.any(s != s[:1], axis=0)
    # 0 and 180 degrees: their sines are 0 to rounding.
    real = np.abs(np.imag(s)) <= 8 * float(np.finfo(s.dtype).eps) * np.abs(s)
    return bool(np.any(varies) and np.all(real[:, varies]))


def _causality(data: FieldData, noise: np.ndarray) -> Causality:
    """`causality` of the entries whose noise [out, in] is known."""
    told = np.asarray(data.entries) & np.isfinite(noise) & np.any(np.asarray(data.s) != 0, axis=0)
    if not np.any(told):
        return Causality(None, 0.0, 0.0, False)
    omega, s = np.asarray(data.omega, dtype=float), np.asarray(data.s, dtype=complex)[:, told]
    energy, gain, delays = _in_time(omega, s)
    asymmetry = _asymmetry(energy, 2 * noise[told] ** 2 * gain)
    steps, band = np.diff(omega), omega[-1] - omega[0]
    turn = 2 * np.pi / np.median(steps)
    if _even(steps):  # then delays are known modulo a turn a step
        delays = delays - turn * np.round(delays / turn)
    advancing = (delays < -GUARD * 2 * np.pi / band) & (delays > -SLOW * turn)
    share = np.sum(energy, axis=0) / np.sum(energy)
    return Causality(
        causal=None if abs(asymmetry) < ONE_SIDED else asymmetry > 0,
        asymmetry=asymmetry,
        turns=float(delays[np.argmax(share)] * band / (2 * np.pi)),
        advances=bool(np.sum(share[advancing]) > 0.9),
    )


def _in_time(omega: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """|h|² [bin, n] of traces `s` [f, n] in bins of 2π/band around its largest value, what noise of 1 gives in a bin,
    and the delays [n] of that value."""
    omega, steps = omega - np.mean(omega), np.diff(omega)  # small phases keep their digits
    band = omega[-1] - omega[0]
    delays = ramps(omega, s)
    s = s * np.exp(1j * omega[:, None] * delays)
    if not _even(steps):
        grid = np.linspace(omega[0], omega[-1], min(round(band / np.median(steps)) + 1, 4 * len(omega)))
        real, imag = (np.stack([np.interp(grid, omega, x) for x in part.T], 1) for part in (np.real(s), np.imag(s)))
        omega, s = grid, real + 1j * imag
    window = 1 - np.cos(2 * np.pi * (omega - omega[0]) / band)
    window /= np.sum(window)
    half = min((len(omega) - 1) // 2, LONGEST)
    bins = np.arange(-half, half + 1) * 2 * np.pi / band
    kernel = window * np.exp(1j * np.outer(bins, omega))
    first = bins[np.argmax(np.abs(kernel @ s), axis=0)]
    energy = np.abs(kernel @ (s * np.exp(1j * omega[:, None] * first))) ** 2
    return energy, float(np.sum(window**2)), delays + first


def _asymmetry(energy: np.ndarray, floor: np.ndarray) -> float:
    """(after − before)/(after + before) of what rings outside of the arrivals, of `energy` [bin, n] over noise of
    `floor` [n] a bin; 0 where nothing does, or noise explains the difference."""
    strong = energy >= STRONG * np.max(energy, axis=0)
    place = np.arange(len(energy))[:, None]
    before = place < np.argmax(strong, axis=0) - GUARD
    after = place[::-1] < np.argmax(strong[::-1], axis=0) - GUARD
    outside, total = np.sum(before | after, axis=0), np.sum(energy, axis=0)
    # Bins of noise are independent but for the window, which joins some two of them.
    chance = np.sqrt(2 * outside) * floor / total
    apart = np.sum(energy * after, axis=0) / total - np.sum(energy * before, axis=0) / total
    ringing = (np.sum(energy * (before | after), axis=0) - outside * floor) / total
    # An entry counts by how it rings, not by how bright it is: a dark resonance beside bright reflections tells more.
    rings = ringing > np.maximum(FAINTEST, SURE * chance)
    if not np.abs(np.sum(apart[rings])) > SURE * np.sqrt(np.sum(chance[rings] ** 2)):
        return 0.0
    return float(np.clip(np.sum(apart[rings]) / np.sum(ringing[rings]), -1.0, 1.0))


def _even(steps: np.ndarray) -> bool:
    return bool(np.ptp(steps) < 1e-3 * np.median(steps))


def _names(data: FieldData, chosen: np.ndarray) -> str:
    names: Iterable[str] = (name_of_entry(data, out, into) for out, into in np.argwhere(chosen).tolist())
    return ", ".join(names)


def _verb(chosen: np.ndarray) -> str:
    return "is" if np.sum(chosen) == 1 else "are"
