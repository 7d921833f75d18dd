"""The solver for small constrained worst cases, against textbook problems with known optima and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from optimize.constrained import linearised, minimise_constrained
from optimize.quadratic_program import quadratic_program


def rosenbrock(u):
    return 100 * (u[1] - u[0] ** 2) ** 2 + (1 - u[0]) ** 2, []


def charalambous(u):
    """CB2: the worst of three functions."""
    return [u[0] ** 2 + u[1] ** 4, (2 - u[0]) ** 2 + (2 - u[1]) ** 2, 2 * jnp.exp(u[1] - u[0])], []


def maratos(u):
    """Powell's problem, an equality as two inequalities: an exact penalty refuses full steps along the circle."""
    circle = u @ u - 1
    return 2 * circle - u[0], [circle, -circle]


def dead(u):
    """As isolation is: a constraint that is exactly 0, without slope, in the half plane where the search starts."""
    return 1e-3 * u[0] ** 2 + u[0] + (u[1] - 2) ** 2, [jnp.maximum(1 - u[0], 0.0) - 1e-3]


def logarithm(u):
    """Not finite where u0 ≤ 0, which the first step meets."""
    return u[0] - jnp.log(u[0]) + u[1] ** 2, [u[0] - 3]


def contradiction(u):
    """Nothing is feasible: the first constraint is violated by at least 1."""
    return u[0] ** 2 + u[1], [u @ u + 1, 0.5 - u[0]]


# (problem, start, optimum, value, violation, steps allowed); the first three as printed in the literature.
PROBLEMS = [
    (rosenbrock, [-1.2, 1.0], [1.0, 1.0], 0.0, 0.0, 70),
    (charalambous, [1.0, -0.1], [1.139038, 0.899560], 1.9522245, 0.0, 15),
    (maratos, [0.5403, 0.8415], [1.0, 0.0], -1.0, 0.0, 60),
    (dead, [300.0, 0.0], [0.999, 2.0], 0.999998001, 0.0, 60),
    (logarithm, [30.0, -5.0], [1.0, 0.0], 1.0, 0.0, 30),
    (logarithm, [0.01, 5.0], [1.0, 0.0], 1.0, 0.0, 40),
    (contradiction, [3.0, -2.0], [0.0, 0.0], 0.0, 1.0, 60),
    (logarithm, [-1.0, 0.0], None, np.nan, np.nan, 1),
]


def solve(dtype):
    """All problems at once, a lane each: three objectives and two constraints, of which some problems repeat some."""

    def padded(problem, u):
        f, g = problem(u)
        f = jnp.stack(f) if isinstance(f, list) else jnp.full(3, f)
        return f, jnp.stack([*g, *[-jnp.ones((), u.dtype)] * (2 - len(g))])

    branches = [lambda u, problem=problem: padded(problem, u) for problem, *_ in PROBLEMS]
    starts = jnp.asarray([start for _, start, *_ in PROBLEMS], dtype)
    functions = lambda i: linearised(lambda u: jax.lax.switch(i, branches, u))  # noqa: E731
    return jax.jit(jax.vmap(lambda i, u: minimise_constrained(functions(i), u)))(jnp.arange(len(PROBLEMS)), starts)


@pytest.fixture(scope="module")
def ends():
    return solve(jnp.float64)


@pytest.mark.parametrize("lane", range(len(PROBLEMS)), ids=[f"{p[0].__name__}-{p[1][0]:g}" for p in PROBLEMS])
def test_known_optima_are_found_each_in_its_lane(ends, lane):
    end = jax.tree_util.tree_map(lambda x: x[lane], ends)
    _, start, optimum, value, violation, steps = PROBLEMS[lane]
    assert int(end.steps) <= steps
    assert bool(end.converged) == (optimum is not None)
    # Printed digits. Of the contradiction: penalties end at 1e6 times the pull of the objective, whose slope is 1.
    np.testing.assert_allclose(end.value, start if optimum is None else optimum, atol=2e-6)
    np.testing.assert_allclose(end.objective, value, rtol=1e-8, atol=2e-6 if violation else 1e-12)
    # Linearised constraints are met exactly, so what is left is of the order of the last step squared.
    np.testing.assert_allclose(end.violation, violation, atol=1e-10)
    if optimum is not None:
        assert float(jnp.sum(end.weights)) == pytest.approx(1.0, rel=1e-9)


def test_single_precision_stays_single(ends):
    rough = solve(jnp.float32)
    assert rough.value.dtype == rough.objective.dtype == jnp.float32
    lanes = [0, 1, 3, 4, 5]
    assert bool(jnp.all(rough.converged[jnp.asarray(lanes)]))
    for lane in lanes:
        # A search ends where 10 round-offs of f, at most 2, would be won: 2e-6, at curvatures from 1 (rosenbrock's
        # valley: .4) upward a step of 2e-3 (3e-3).
        np.testing.assert_allclose(rough.value[lane], ends.value[lane], atol=3e-3)


def hs100(x):
    """Hock & Schittkowski 100: seven unknowns, four curved constraints."""
    f = (x[0] - 10) ** 2 + 5 * (x[1] - 12) ** 2 + x[2] ** 4 + 3 * (x[3] - 11) ** 2 + 10 * x[4] ** 6 + 7 * x[5] ** 2
    f = f + x[6] ** 4 - 4 * x[5] * x[6] - 10 * x[5] - 8 * x[6]
    g = [
        127 - 2 * x[0] ** 2 - 3 * x[1] ** 4 - x[2] - 4 * x[3] ** 2 - 5 * x[4],
        282 - 7 * x[0] - 3 * x[1] - 10 * x[2] ** 2 - x[3] + x[4],
        196 - 23 * x[0] - x[1] ** 2 - 6 * x[5] ** 2 + 8 * x[6],
        -4 * x[0] ** 2 - x[1] ** 2 + 3 * x[0] * x[1] - 2 * x[2] ** 2 - 5 * x[5] + 11 * x[6],
    ]
    return f, -jnp.stack(g)


@pytest.mark.slow
def test_curved_constraints_in_seven_dimensions():
    start = jnp.asarray([1.0, 2.0, 0.0, 4.0, 0.0, 1.0, 1.0])
    end = jax.jit(lambda u: minimise_constrained(linearised(hs100), u))(start)
    assert bool(end.converged)
    assert int(end.steps) <= 25
    printed = [2.330499, 1.951372, -0.4775414, 4.365726, -0.6244870, 1.038131, 1.594227]
    np.testing.assert_allclose(end.value, printed, rtol=1e-6)  # printed digits
    assert float(end.objective) == pytest.approx(680.6300573, abs=1e-7)  # printed digits, cut off
    assert float(end.violation) < 1e-10
    # The duals balance the gradients, of order 10 with curvatures of order 100, to steps of 1e-8.
    _, _, df, dg, _ = linearised(hs100)(end.value)
    np.testing.assert_allclose(df.T @ end.weights + dg.T @ end.multipliers, 0.0, atol=1e-5)
    assert jnp.all(end.multipliers >= 0)


def test_the_quadratic_program_agrees_with_scipy():
    rng = np.random.default_rng(0)
    solve = jax.jit(quadratic_program)
    for _ in range(5):
        root, c, rows = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(6, 3))
        A = np.concatenate([rows, np.eye(3), -np.eye(3)])
        b = np.concatenate([rng.uniform(0.1, 1.0, 6), np.ones(6)])
        H = root @ root.T
        x, z = solve(H, c, A, b, jnp.zeros(3), jnp.ones(12))
        reference = scipy.optimize.minimize(
            lambda x, H=H, c=c: 0.5 * x @ H @ x + c @ x,
            np.zeros(3),
            jac=lambda x, H=H, c=c: H @ x + c,
            constraints={"type": "ineq", "fun": lambda x, A=A, b=b: b - A @ x, "jac": lambda x, A=A: -A},
            method="SLSQP",
            options={"ftol": 1e-15},
        )
        # SLSQP's own accuracy; ours is seen in the conditions below, which hold to round-off of numbers of order 1.
        np.testing.assert_allclose(x, reference.x, atol=1e-6)
        np.testing.assert_allclose(H @ x + c + A.T @ z, 0.0, atol=1e-10)
        assert np.all(A @ x <= b + 1e-12)
        assert np.all(z >= 0)
        assert abs(z @ (b - A @ x)) < 1e-12


@pytest.mark.parametrize(
    ("start", "settings", "message"),
    [
        (jnp.zeros((2, 1)), {}, "Argument start must be a vector"),
        (jnp.zeros(2), {"tolerance": 0.0}, "Argument tolerance must be positive, but was 0.0"),
        (jnp.zeros(2), {"max_steps": 0}, "Argument max_steps must be positive, but was 0"),
        (jnp.zeros(2), {"radius": -1.0}, "Argument radius must be positive, but was -1.0"),
    ],
)
def test_bad_settings_are_refused(start, settings, message):
    with pytest.raises(ValueError, match=message):
        minimise_constrained(linearised(rosenbrock), start, **settings)
