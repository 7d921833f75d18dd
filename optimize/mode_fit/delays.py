"""The delays of ports, from the data alone: how far their reference planes stand from the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffnr.data.noise import ramps
from optimize.mode_fit.vector_fitting import delay_steps, least_misfits, relocated, starting_poles

Host = Any
BESIDE = np.array([0.3, 1.2, 3.5, 7.0])  # from the direct path's delay: others that are tried, both ways
FEW, MANY, KEPT = 2, 10, 4  # steps of all trials, and of the best of them
FARTHEST = 3.0  # of a step
SETTLED = 1e-4  # of a step: the fit that follows moves delays, too
ROUNDS = 8  # of the direct path's delay, weighted by the misfit before


def port_delays(x: Host, s: Host, measured: Host, modes: int, order: int, floor: Host) -> Host:
    """τ [M] of S = P(x) S₀(x) P(x), P = diag e^{−ixτ}, in the unit of 1/x.

    Every entry that carries signal has the delay τ_o + τ_i, known modulo a turn a step on an even grid: strong entries
    are each tried with delays around their mean group delay, and the delays of ports are those that agree with all.

    **Arguments:** `x` [f]; `s` [f, out, in]; `measured` [out, in], whether an entry is to be used; `floor`
    [out, in], the least misfit that counts.
    """
    ports = s.shape[1]
    power = np.where(measured, np.mean(np.abs(s) ** 2, axis=0), 0.0)
    pairs = [
        (out, into)
        for out, into in (divmod(k, ports) for k in np.argsort(-power, axis=None).tolist())
        if power[out, into] > max(1e-6 * np.max(power), 4 * floor[out, into] ** 2)
    ]
    chosen, rows = [], np.zeros((0, ports))
    for out, into in pairs:  # the strongest that say something new, and one of each port's reflections
        row = np.zeros(ports)
        row[out] += 1
        row[into] += 1
        if np.linalg.matrix_rank(np.vstack([rows, row])) > len(rows):
            rows = np.vstack([rows, row])
            chosen.append((out, into))
    if not chosen:
        return np.zeros(ports)
    totals = entry_delays(x, np.stack([s[:, o, i] for o, i in chosen]), modes, order)
    return _agreed(x, s, pairs, power, rows, totals)


def entry_delays(x: Host, entries: Host, modes: int, order: int) -> Host:
    """The delays t [entry] of entries [entry, f] ∝ e^{−ixt} with which vector fitting describes each of them best.

    Broad resonances and delays stand for each other in part: there are many local minima, and the lowest is narrow
    where the direct path is bright. From several trials, poles are relocated and delays moved in turn.
    """
    direct = np.array([_direct_delay(x, entry) for entry in entries])
    delays = (direct[:, None] + np.concatenate([-BESIDE[::-1], [0.0], BESIDE])).ravel()
    traces = np.repeat(entries, len(delays) // len(entries), axis=0)
    starts = starting_poles(x, _turned(x, traces, delays)[:, :, None], modes, order, np.ones(1))[:, ::2]
    sets = starts.shape[1]
    delays, traces, poles = np.repeat(delays, sets), np.repeat(traces, sets, axis=0), np.concatenate(starts)
    for step in range(FEW + MANY):
        turned = _turned(x, traces, delays)
        poles = relocated(x, turned[:, :, None], poles, order, np.ones(1), 1)
        if step == FEW:
            best = _best(least_misfits(x, turned, poles, order), len(entries), KEPT)
            delays, traces, poles, turned = delays[best], traces[best], poles[best], turned[best]
        moved = np.clip(delay_steps(x, turned, poles, order), -FARTHEST, FARTHEST)
        delays = delays + moved
        if np.max(np.abs(moved)) < SETTLED:
            break
    return delays[_best(least_misfits(x, _turned(x, traces, delays), poles, order), len(entries), 1)]


def _turned(x: Host, traces: Host, delays: Host) -> Host:
    """Traces [set, f] without the delays [set]."""
    return traces * np.exp(1j * x * delays[:, None])


def _best(misfits: Host, entries: int, kept: int) -> Host:
    """Which of the sets, as many for each entry, miss least, so many of each."""
    rows = misfits.reshape(entries, -1)
    return (np.argsort(rows, axis=1)[:, :kept] + rows.shape[1] * np.arange(entries)[:, None]).ravel()


def _direct_delay(x: Host, entry: Host) -> float:
    """The t of the constant c for which Σ |e^{ixt} entry − c| is least, near the mean group delay: the few points of
    resonances hardly count."""
    t, weight, size = _mean_delay(x, entry), np.ones(len(x)), float(np.median(np.abs(entry)))
    for _ in range(ROUNDS):
        turned = weight * entry * np.exp(1j * x * t)
        unit = weight / np.linalg.norm(weight)
        missed, slope = (part - unit * (unit @ part) for part in (turned, 1j * x * turned))
        step = -np.vdot(slope, missed).real / max(np.vdot(slope, slope).real, 1e-300)
        t, left = t + step, np.abs(missed + step * slope) / weight
        weight = 1 / np.sqrt(np.maximum(left, 1e-3 * size + 0.1 * np.median(left)))
    return float(t)


def _mean_delay(x: Host, entry: Host) -> float:
    """The t that turns the steps of an entry [f] by e^{ixt} most nearly into positive numbers."""
    steps, turned = np.diff(x), entry[1:] * entry[:-1].conj()
    # The median of steps, as it were: a resonance's few steps of large phase shall not count by their number of turns.
    turned = turned / np.maximum(np.abs(turned), 1e-300) * np.sqrt(np.abs(turned))
    if _even(x):  # every step turns alike
        return -float(np.angle(np.sum(turned))) / float(np.mean(steps))
    return float(ramps(x, (entry / np.maximum(np.sqrt(np.abs(entry)), 1e-300))[:, None])[0])


def _even(x: Host) -> bool:
    steps = np.diff(x)
    return bool(np.ptp(steps) < 1e-6 * np.max(steps))


def _agreed(x: Host, s: Host, pairs: list[tuple[int, int]], power: Host, rows: Host, totals: Host) -> Host:
    """τ of ports from as many entries' delays as are independent; those of even grids may lack whole turns a step."""
    steps = np.diff(x)
    turn = 2 * np.pi / float(np.median(steps))
    shifts = np.array(np.meshgrid(*[(0, 1) if _even(x) else (0,)] * len(totals))).reshape(len(totals), -1).T

    def agreement(tau: Host) -> float:
        total = 0.0
        for out, into in pairs:
            turned = s[1:, out, into] * s[:-1, out, into].conj()
            total += float(np.real(turned @ np.exp(1j * steps * (tau[out] + tau[into]))) / power[out, into])
        return total

    trials = [np.linalg.lstsq(rows, totals + turn * shift, rcond=None)[0] for shift in shifts]
    return max(trials, key=lambda tau: (round(agreement(tau), 6), -np.sum(tau**2)))
