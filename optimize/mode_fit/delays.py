"""The delays of ports, from the data alone: how far their reference planes stand from the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimize.mode_fit.vector_fitting import misfits, relocated, starting_poles

Host = Any
SPAN, CANDIDATES = 8.0, 11  # delays tried around the mean group delay, and how far from it
MINIMA = 3  # of them that are looked at more closely
SWEEPS = 3  # relocations of poles for each


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
    totals = np.array([entry_delay(x, s[:, o, i], modes, order, floor[o, i]) for o, i in chosen])
    return _agreed(x, s, pairs, power, rows, totals)


def entry_delay(x: Host, entry: Host, modes: int, order: int, floor: float) -> float:
    """The delay t of one entry [f] ∝ e^{−ixt} with which vector fitting describes it best."""
    step = 2 * SPAN / (CANDIDATES - 1)
    trials = _mean_delay(x, entry) + step * np.arange(-(CANDIDATES // 2), CANDIDATES // 2 + 1)
    turned = entry[:, None] * np.exp(1j * x[:, None] * trials)
    starts = np.stack([starting_poles(x, s[:, None], modes, order, np.ones(1)) for s in turned.T])
    costs, poles = _described(x, entry, trials, starts, order, floor)
    # Broad resonances and delays stand for each other in part: several may look good from afar.
    beside = np.pad(costs, 1, constant_values=np.inf)
    lowest = np.flatnonzero((costs <= beside[:-2]) & (costs <= beside[2:]))
    lowest = lowest[np.argsort(costs[lowest])][:MINIMA]
    for reach in (0.8, 0.16):
        finer = (trials[lowest, None] + step * reach * np.linspace(-1, 1, 9)).ravel()
        costs, poles = _described(x, entry, finer, np.repeat(poles[lowest, None], 9, axis=0), order, floor)
        trials, lowest = finer, np.argmin(costs, keepdims=True)
    return float(trials[lowest[0]])


def _described(x: Host, entry: Host, delays: Host, poles: Host, order: int, floor: float) -> tuple[Host, Host]:
    """How well an entry is described with each delay, from sets of poles [delay, set, n]: ln of its misfit, at least
    `floor`, and the poles [delay, n] that are best."""
    sets, modes = poles.shape[1:]
    turned = (entry * np.exp(1j * x * np.repeat(delays, sets)[:, None]))[:, :, None]
    moved = relocated(x, turned, poles.reshape(len(delays) * sets, modes), order, np.ones(1), SWEEPS)
    misfit = misfits(x, turned, moved, order)[1].reshape(-1, sets)
    best = np.argmin(misfit, axis=1)
    costs = np.log(np.maximum(misfit[np.arange(len(delays)), best], max(floor, 1e-300)))
    return costs, moved.reshape(len(delays), sets, modes)[np.arange(len(delays)), best]


def _mean_delay(x: Host, entry: Host) -> float:
    """The t that turns the steps of an entry [f] by e^{ixt} most nearly into positive numbers."""
    steps, turned = np.diff(x), entry[1:] * entry[:-1].conj()
    # The median of steps, as it were: a resonance's few steps of large phase shall not count by their number of turns.
    turned = turned / np.maximum(np.abs(turned), 1e-300) * np.sqrt(np.abs(turned))
    if _even(x):  # every step turns alike
        return -float(np.angle(np.sum(turned))) / float(np.mean(steps))
    longest = np.pi / np.median(steps)
    trials = np.linspace(-longest, longest, 8 * len(x) + 1)
    return float(trials[np.argmax(np.real(np.exp(1j * trials[:, None] * steps) @ turned))])


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
