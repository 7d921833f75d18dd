"""Folds and points of equal norms of the pair of paper 2, by numpy and scipy alone: no continuation, no JAX.

    python tests/references/duffing_pair.py > tests/data/references/duffing_pair.json

x₁'' + 2ζx₁' + x₁ + k_c (x₁ − x₂) + k_N x₁³ = P cos ωt and μx₂'' + 2ζx₂' + r x₂ + k_c (x₂ − x₁) + α k_N x₂³ = 0 (or
the force on the second), with odd harmonics up to the ninth. Each number is a root of harmonic balance and one equation
more, found by scipy from the orbit at the nearest frequency of a sweep: where the Jacobian has a null vector (a fold),
and where the outputs of both directions have one norm.
"""

import json

import numpy as np
from scipy.optimize import root

MU, R, ALPHA, COUPLING, CUBIC, DAMPING = 2.0, 1.0, 1.0, 5.0, 1.0, 0.05
P = 0.15
HIGHEST = 9
ORDERS = np.arange(1, HIGHEST + 1, 2)
COUNT = len(ORDERS)
SAMPLES = 64  # a cube of harmonics up to 9 has those up to 27
WAVES = np.exp(1j * np.outer(ORDERS, 2 * np.pi * np.arange(SAMPLES) / SAMPLES))
MASS = np.array([1.0, MU])[:, None]
LINEAR = np.array([[1 + COUPLING, -COUPLING], [-COUPLING, R + COUPLING]])
THIRD = CUBIC * np.array([1.0, ALPHA])[:, None]


def phasors(u: np.ndarray) -> np.ndarray:
    """b [oscillator, order] of 4 COUNT real numbers."""
    return (u[: 2 * COUNT] + 1j * u[2 * COUNT :]).reshape(2, COUNT)


def reals(b: np.ndarray) -> np.ndarray:
    return np.concatenate([b.real.ravel(), b.imag.ravel()])


def balance(u: np.ndarray, omega: float, port: int) -> np.ndarray:
    b, h = phasors(u), ORDERS * omega
    force = (-MASS * h**2 + 2j * DAMPING * h) * b + LINEAR @ b
    force = force + THIRD * (np.real(b @ WAVES) ** 3 @ WAVES.conj().T) * 2 / SAMPLES
    force[port, 0] -= P
    return reals(force)


def jacobian(u: np.ndarray, omega: float) -> np.ndarray:
    b, h = phasors(u), ORDERS * omega
    slope = 3 * THIRD * np.real(b @ WAVES) ** 2
    columns = []
    for k in range(u.size):
        d = phasors(np.eye(u.size)[k])
        force = (-MASS * h**2 + 2j * DAMPING * h) * d + LINEAR @ d
        columns.append(reals(force + (slope * np.real(d @ WAVES)) @ WAVES.conj().T * 2 / SAMPLES))
    return np.stack(columns, axis=1)


def orbit(omega: float, port: int, amplitudes: tuple[float, float], phase: float) -> np.ndarray:
    """The orbit near to one of the first harmonic, whose oscillators move together at `phase`."""
    b = np.zeros((2, COUNT), complex)
    b[:, 0] = np.array(amplitudes) * np.exp(1j * phase)
    found = root(balance, reals(b), args=(omega, port), jac=lambda u, w, _: jacobian(u, w), tol=1e-13)
    assert np.max(np.abs(balance(found.x, omega, port))) < 1e-11, found.message
    return found.x


def norm(b: np.ndarray) -> float:
    return float(np.sqrt(np.sum(np.abs(b) ** 2) / 2))


def solved(equations, start: np.ndarray) -> np.ndarray:
    found = root(equations, start, tol=1e-13)
    assert np.max(np.abs(equations(found.x))) < 1e-10, found.message
    return found.x


def fold(port: int, start: np.ndarray, omega: float) -> float:
    """Where the Jacobian has a null vector v, |v| = 1."""
    size = start.size
    null = np.linalg.svd(jacobian(start, omega))[2][-1]

    def equations(y: np.ndarray) -> np.ndarray:
        u, v, w = y[:size], y[size:-1], y[-1]
        return np.concatenate([balance(u, w, port), jacobian(u, w) @ v, [v @ v - 1]])

    return float(solved(equations, np.concatenate([start, null, [omega]]))[-1])


def equal_norms(forward: np.ndarray, backward: np.ndarray, omega: float) -> dict[str, float]:
    """Where the output of the orbit driven at 0, oscillator 1, has the norm of that driven at 1, oscillator 0."""
    size = forward.size

    def equations(y: np.ndarray) -> np.ndarray:
        u, v, w = y[:size], y[size:-1], y[-1]
        gap = norm(phasors(u)[1]) ** 2 - norm(phasors(v)[0]) ** 2
        return np.concatenate([balance(u, w, 0), balance(v, w, 1), [gap]])

    y = solved(equations, np.concatenate([forward, backward, [omega]]))
    one, other = phasors(y[:size])[1], phasors(y[size:-1])[0]
    return {
        "omega": float(y[-1]),
        "norm": norm(one),
        "nonreciprocal_phase": float(np.angle(one[0] * np.conj(other[0]))),
        "reciprocity_norm": norm(one - other),
    }


def branch(port: int, start: float, stop: float, step: float) -> list[tuple[float, np.ndarray]]:
    """Orbits from frequency to frequency, as far as there is one next to the last."""
    u, found = orbit(start, port, (0.0, 0.0), 0.0), []
    for omega in np.arange(start, stop, step):
        trial = root(balance, u, args=(omega, port), jac=lambda u, w, _: jacobian(u, w), tol=1e-12)
        near = np.max(np.abs(trial.x - u)) < 0.2 * max(1e-1, np.max(np.abs(u)))
        if np.max(np.abs(balance(trial.x, omega, port))) > 1e-10 or not near:
            break
        u = trial.x
        found.append((float(omega), u))
    return found


def references() -> dict:
    """Upward and downward sweeps end next to a fold, where the search for it begins."""
    folds = {}
    up = {port: branch(port, 0.5, 1.2, 2e-4) for port in (0, 1)}
    down = {port: branch(port, 3.4, 0.8, -2e-4) for port in (0, 1)}
    for port in (0, 1):
        folds[str(port)] = [fold(port, u, w) for w, u in (up[port][-1], down[port][-1])]
    points = []
    for (w, u), (_, v) in zip(down[0], down[1], strict=False):
        gap = norm(phasors(u)[1]) - norm(phasors(v)[0])
        if points and points[-1][0] * gap < 0:
            points.append((gap, equal_norms(u, v, w)))
        else:
            points.append((gap, None))
    crossings = sorted((point for _, point in points if point), key=lambda point: point["omega"])
    return {
        "source": "tests/references/duffing_pair.py: harmonic balance up to the ninth harmonic, scipy.optimize.root",
        "pair": {
            "mass_ratio": MU,
            "stiffness_ratio": R,
            "cubic_ratio": ALPHA,
            "coupling": COUPLING,
            "cubic": CUBIC,
            "damping": DAMPING,
        },
        "amplitude": P,
        "folds": folds,
        "equal_norm_points": crossings,
    }


if __name__ == "__main__":
    print(json.dumps(references(), indent=1))
