"""The delays of ports, from the data alone: how far their reference planes stand from the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimize.mode_fit.vector_fitting import Weights, vector_fit

Host = Any
CANDIDATES = 11  # delays tried around the mean group delay
MINIMA = 3  # of them that are looked at more closely


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
    totals = np.array([entry_delay(x, s[:, o, i], modes, order, floor[o, i]) for o, i in chosen])
    return _agreed(x, s, pairs, power, rows, totals)


def entry_delay(x: Host, entry: Host, modes: int, order: int, floor: float) -> float:
    """The delay t of one entry [f] ∝ e^{−ixt} with which vector fitting describes it best."""
    middle, span, sigma = _mean_delay(x, entry), 8.0, np.full(1, max(floor, 1e-300))

    def cost(t: float) -> float:
        s = (entry * np.exp(1j * x * t))[:, None]
        return vector_fit(x, s, modes, order, Weights(sigma, sigma), sweeps=3).cost

    step = 2 * span / (CANDIDATES - 1)
    trials = middle + step * np.arange(-(CANDIDATES // 2), CANDIDATES // 2 + 1)
    costs = np.array([cost(t) for t in trials])
    # Broad resonances and delays stand for each other in part: several may look good from afar.
    beside = np.pad(costs, 1, constant_values=np.inf)
    lowest = trials[(costs <= beside[:-2]) & (costs <= beside[2:])]
    lowest = lowest[np.argsort(costs[(costs <= beside[:-2]) & (costs <= beside[2:])])][:MINIMA]
    for reach in (0.8, 0.16):
        finer = np.concatenate([t + step * reach * np.linspace(-1, 1, 9) for t in lowest])
        lowest = finer[np.argmin([cost(t) for t in finer])][None]
    return float(lowest[0])


def _mean_delay(x: Host, entry: Host) -> float:
    """The t that turns the steps of an entry [f] by e^{ixt} most nearly into positive numbers."""
    steps, turned = np.diff(x), entry[1:] * entry[:-1].conj()
    longest = np.pi / np.median(steps)
    trials = np.linspace(-longest, longest, 8 * len(x) + 1)
    # The median of steps, as it were: a resonance's few steps of large phase shall not count by their number of turns.
    turned = turned / np.maximum(np.abs(turned), 1e-300) * np.sqrt(np.abs(turned))
    return float(trials[np.argmax(np.real(np.exp(1j * trials[:, None] * steps) @ turned))])


def _agreed(x: Host, s: Host, pairs: list[tuple[int, int]], power: Host, rows: Host, totals: Host) -> Host:
    """τ of ports from as many entries' delays as are independent; those of even grids may lack whole turns a step."""
    steps = np.diff(x)
    turn = 2 * np.pi / float(np.median(steps))
    even = np.ptp(steps) < 1e-6 * np.max(steps)
    shifts = np.array(np.meshgrid(*[(0, 1) if even else (0,)] * len(totals))).reshape(len(totals), -1).T

    def agreement(tau: Host) -> float:
        total = 0.0
        for out, into in pairs:
            turned = s[1:, out, into] * s[:-1, out, into].conj()
            total += float(np.real(turned @ np.exp(1j * steps * (tau[out] + tau[into]))) / power[out, into])
        return total

    trials = [np.linalg.lstsq(rows, totals + turn * shift, rcond=None)[0] for shift in shifts]
    return max(trials, key=lambda tau: (round(agreement(tau), 6), -np.sum(tau**2)))
