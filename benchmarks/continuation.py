"""One frequency response, followed through its folds by several programs: a Duffing pair and chains of Duffing units.

All solve the same equations (odd harmonics) in the same units, by pseudo-arclength with the same longest step. scipy's
row is what one writes by hand: a secant, `scipy.optimize.root` on the bordered equations with their exact Jacobian in
numpy, steps by how many evaluations were needed. jaxcont (`pip install jaxcont`) is asked where it is installed.
AUTO-07p is not in the Python package index. Times are of the processor, medians of five runs after the first, so that
neighbours count little. Prints a Markdown table.

    python benchmarks/continuation.py [oscillators of the longest chain]
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from report import heading, median, table
from scipy.optimize import root

from diffnr import duffing
from diffnr.duffing.branch import driven_by
from diffnr.duffing.course import scale_of
from diffnr.duffing.driven import balance

jax.config.update("jax_enable_x64", True)

RUNS = 5
STEP, LONGEST = 0.02, 0.15  # of the arclength
ROOM = 1000  # points
PAIR = duffing.DuffingPair(mass_ratio=2, stiffness_ratio=1, cubic_ratio=1, coupling=5, cubic=1, damping=0.05)


def chain(n: int) -> duffing.OscillatorChain:
    internal = duffing.PolynomialForce(jnp.array([1.0, 0.0, 1.0]))
    springs = duffing.PolynomialForce(jnp.array([0.5]))
    return duffing.OscillatorChain(jnp.ones(n), 0.1, internal, springs, num_harmonics=5, odd=True)


CASES: dict[str, tuple[Any, float, tuple[float, float]]] = {
    "a pair, H = 9": (PAIR, 0.15, (0.5, 4.0)),
    "16 units, H = 5": (chain(16), 0.15, (0.5, 2.2)),
}


def processor_times(call: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of the first call, the median of the next ones, and the result."""
    times: list[float] = []
    result = None
    for _ in range(RUNS + 1):
        start = time.process_time()
        result = jax.block_until_ready(call())
        times.append(time.process_time() - start)
    return times[0], median(times[1:]), result


def ours(model: Any, amplitude: float, omega: tuple[float, float], *, multipliers: bool) -> Callable[[], Any]:
    @jax.jit
    def response(amplitude: Any) -> Any:
        branch = duffing.frequency_response(model, amplitude=amplitude, omega=omega, max_points=ROOM)
        told = (branch.count, branch.omega, branch.b, branch.folds.omega)
        return (*told, branch.multipliers, branch.folds.multipliers) if multipliers else told

    return lambda: response(amplitude)


class ByHand:
    """The balance in numpy, with its Jacobian, in units of what counts alike."""

    def __init__(self, model: Any, amplitude: float, omega: tuple[float, float]):
        self.basis, self.n = model.basis, model.num_ports
        self.mass, self.friction = np.asarray(model.mass), np.asarray(model.friction)
        rest = jnp.zeros(self.n)
        self.linear = np.asarray(jax.jacfwd(model.force)(rest))
        self.cubic = np.asarray(model.force(jnp.ones(self.n))) - self.linear.sum(axis=1)  # springs to ground
        low, high = (jnp.asarray(bound) for bound in omega)
        self.size = np.append(*scale_of(driven_by(model, low, amplitude, 0, "omega", None), low, high))
        self.size = np.append(np.full(self.n * self.basis.size, self.size[0]), self.size[1])
        self.drive = np.zeros((self.n, self.basis.size))
        self.drive[0, 0] = amplitude

    def __call__(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F [n·m] and dF/du [n·m, n·m + 1] at u = [y, ω]/size."""
        basis, n, m = self.basis, self.n, self.basis.size
        full = u * self.size
        c, omega = full[:-1].reshape(n, m), full[-1]
        x, squares = c @ basis.synthesis.T, basis.terms**2
        slopes = self.friction[:, None] * (c @ basis.derivative.T)
        spring = self.linear @ c + (self.cubic[:, None] * x**3) @ basis.analysis.T
        inertia = self.mass[:, None] * c * squares
        f = spring - omega**2 * inertia + omega * slopes - self.drive
        whole = np.einsum("ij,kl->ikjl", self.linear, np.eye(m))
        own = (3 * self.cubic[:, None] * x**2) @ basis.product
        own = own.reshape(n, m, m) - omega**2 * self.mass[:, None, None] * np.diag(squares)
        whole[np.arange(n), :, np.arange(n)] += own + omega * self.friction[:, None, None] * basis.derivative
        by_omega = (slopes - 2 * omega * inertia).ravel()
        return f.ravel(), np.column_stack([whole.reshape(n * m, n * m), by_omega]) * self.size

    def followed(self, omega: tuple[float, float]) -> np.ndarray:
        """Points along the response from the lowest frequency, in order."""
        low, high = omega[0] / self.size[-1], omega[1] / self.size[-1]
        u = np.append(np.zeros(self.size.size - 1), low)
        u = self._corrected(u, np.eye(u.size)[-1], low)[0]
        points, along, ds = [u], np.eye(u.size)[-1], STEP
        while low <= points[-1][-1] <= high and len(points) < ROOM and ds > 1e-8:
            trial = points[-1] + ds * along
            found, evaluations, success = self._corrected(trial, along, float(along @ trial))
            secant = found - points[-1]
            turn = np.arccos(np.clip(secant @ along / np.linalg.norm(secant), -1, 1))
            if not success or turn > 0.4:
                ds /= 3
                continue
            along = secant / np.linalg.norm(secant)
            points.append(found)
            ds = min(LONGEST, ds * (1.5 if evaluations < 8 and turn < 0.15 else 0.8))
        return np.array(points)

    def _corrected(self, trial: np.ndarray, row: np.ndarray, advance: float) -> tuple[np.ndarray, int, bool]:
        def bordered(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            f, jacobian = self(u)
            return np.append(f, row @ u - advance), np.vstack([jacobian, row])

        solution = root(bordered, trial, jac=True, method="hybr", options={"xtol": 1e-10})
        return solution.x, solution.nfev, solution.success


def by_jaxcont(model: Any, amplitude: float, omega: tuple[float, float], start: np.ndarray) -> Callable[[], Any]:
    import jaxcont  # pyright: ignore[reportMissingImports]

    low, high = (jnp.asarray(bound) for bound in omega)
    driven = driven_by(model, low, amplitude, 0, "omega", None)
    size, unit = (float(part) for part in scale_of(driven, low, high))
    span = omega[0] / unit, omega[1] / unit
    settings = jaxcont.ContinuationPar(
        ds=STEP, ds_max=LONGEST, max_steps=ROOM, newton_tol=1e-8, compute_stability=False
    )  # fmt: skip

    @jax.jit  # without it every call compiles
    def params(u: Any) -> Any:
        problem = jaxcont.bif_problem(lambda u, p, args: balance(size * u, unit * p, driven), u0=u, p0=span[0])
        branch = jaxcont.continuation(problem, p_span=span, settings=settings).branch
        return branch.params, branch.valid

    def call() -> Any:
        found, valid = jax.device_get(params(jnp.asarray(start / size)))
        return found[valid] * unit

    return call


def main(longest: int) -> None:
    rows: list[list[Any]] = []

    def row(case: str, program: str, call: Callable[[], Any], points: Callable[[Any], tuple[int, float]]) -> Any:
        first, again, result = processor_times(call)
        count, end = points(result)
        rows.append([case, program, count, f"{end:.3g}", first, 1e3 * again, count / again])
        return result

    def counted(result: Any) -> tuple[int, float]:
        return int(result[0]), float(result[1][int(result[0]) - 1])

    for case, (model, amplitude, omega) in CASES.items():
        row(case, "diffnr, folds and multipliers", ours(model, amplitude, omega, multipliers=True), counted)
        found = row(case, "diffnr, folds", ours(model, amplitude, omega, multipliers=False), counted)
        by_hand = ByHand(model, amplitude, omega)
        row(
            case, "scipy",
            lambda omega=omega, by_hand=by_hand: by_hand.followed(omega),
            lambda points, unit=by_hand.size[-1]: (len(points), float(points[-1][-1] * unit)),
        )  # fmt: skip
        if importlib.util.find_spec("jaxcont"):
            start = np.asarray(model.basis.coefficients(found[2][0]).ravel())
            call = by_jaxcont(model, amplitude, omega, start)
            row(case, "jaxcont", call, lambda omegas: (len(omegas), float(omegas[-1])))
    model = chain(longest)
    case = f"{longest} units, H = 5"
    row(case, "diffnr, folds and multipliers", ours(model, 0.15, (0.5, 2.2), multipliers=True), counted)
    row(case, "diffnr, folds", ours(model, 0.15, (0.5, 2.2), multipliers=False), counted)
    print(heading("Responses by continuation, beside others", f"python benchmarks/continuation.py {longest}"))
    header = ["oscillators", "program", "points", "up to ω", "first call (s)", "again (ms)", "points per second"]
    print(table(header, rows))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
