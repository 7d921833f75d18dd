"""The solver for small constrained worst cases, against textbook problems with known optima and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from optimize.constrained import linearised, minimise_constrained, quadratic_program

NONE = jnp.zeros(0)


def rosenbrock(u):
    return 100 * (u[1] - u[0] ** 2) ** 2 + (1 - u[0]) ** 2, NONE


def hs71(u):
    """Hock & Schittkowski 71, its equality as two inequalities: no strict interior."""
    circle = jnp.sum(u**2) - 40
    g = jnp.concatenate([jnp.stack([25 - jnp.prod(u), circle, -circle]), 1 - u, u - 5])
    return u[0] * u[3] * (u[0] + u[1] + u[2]) + u[2], g


def hs100(x):
    """Hock & Schittkowski 100."""
    f = (x[0] - 10) ** 2 + 5 * (x[1] - 12) ** 2 + x[2] ** 4 + 3 * (x[3] - 11) ** 2 + 10 * x[4] ** 6 + 7 * x[5] ** 2
    f = f + x[6] ** 4 - 4 * x[5] * x[6] - 10 * x[5] - 8 * x[6]
    g = [
        127 - 2 * x[0] ** 2 - 3 * x[1] ** 4 - x[2] - 4 * x[3] ** 2 - 5 * x[4],
        282 - 7 * x[0] - 3 * x[1] - 10 * x[2] ** 2 - x[3] + x[4],
        196 - 23 * x[0] - x[1] ** 2 - 6 * x[5] ** 2 + 8 * x[6],
        -4 * x[0] ** 2 - x[1] ** 2 + 3 * x[0] * x[1] - 2 * x[2] ** 2 - 5 * x[5] + 11 * x[6],
    ]
    return f, -jnp.stack(g)


def maratos(u):
    """Powell's problem: an exact penalty refuses full steps along the circle."""
    circle = u @ u - 1
    return 2 * circle - u[0], jnp.stack([circle, -circle])


def charalambous(u):
    """CB2: the worst of three functions."""
    f = [u[0] ** 2 + u[1] ** 4, (2 - u[0]) ** 2 + (2 - u[1]) ** 2, 2 * jnp.exp(u[1] - u[0])]
    return jnp.stack(f), NONE


def dead(u):
    """As isolation is: a constraint that is exactly 0, without slope, over the half line where the search starts."""
    return 1e-3 * u[0] ** 2 + u[0], jnp.stack([jnp.maximum(1 - u[0], 0.0) - 1e-3])


# (problem, start, optimum, value, steps allowed): optima are printed in the sources to the digits given here.
PROBLEMS = [
    (rosenbrock, [-1.2, 1.0], [1.0, 1.0], 0.0, 70),
    (hs71, [1.0, 5.0, 5.0, 1.0], [1.0, 4.74299964, 3.82114998, 1.37940829], 17.0140173, 15),
    (
        hs100,
        [1.0, 2.0, 0.0, 4.0, 0.0, 1.0, 1.0],
        [2.330499, 1.951372, -0.4775414, 4.365726, -0.6244870, 1.038131, 1.594227],
        680.6300573,
        25,
    ),
    (maratos, [0.5403, 0.8415], [1.0, 0.0], -1.0, 60),
    (charalambous, [1.0, -0.1], [1.139038, 0.899560], 1.9522245, 15),
    (dead, [300.0], [0.999], 0.999998001, 50),
]


@pytest.mark.parametrize(("problem", "start", "optimum", "value", "steps"), PROBLEMS)
def test_textbook_optima_are_found(problem, start, optimum, value, steps):
    end = jax.jit(lambda u: minimise_constrained(linearised(problem), u))(jnp.asarray(start))
    assert bool(end.converged)
    # Printed digits.
    np.testing.assert_allclose(end.value, optimum, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(end.objective, value, rtol=1e-8, atol=1e-12)
    # The linearised constraints are met exactly, so what is left is of the order of the last step squared.
    assert float(end.violation) < 1e-10
    assert int(end.steps) <= steps
    np.testing.assert_allclose(jnp.sum(end.weights), 1.0, rtol=1e-9)
    # The duals balance the gradients, of order 10 with curvatures up to 1000, to steps of 1e-8.
    _, _, df, dg, _ = linearised(problem)(end.value)
    np.testing.assert_allclose(df.T @ end.weights + dg.T @ end.multipliers, 0.0, atol=1e-5)
    assert jnp.all(end.multipliers >= 0)


def test_each_lane_goes_its_own_way_and_nan_spoils_none():
    def functions(u):
        return u[0] - jnp.log(u[0]), jnp.stack([u[0] - 3.0])

    starts = jnp.asarray([[-1.0], [30.0], [0.2], [jnp.nan], [2.0]])
    ends = jax.jit(jax.vmap(lambda u: minimise_constrained(linearised(functions), u)))(starts)
    good = np.array([False, True, True, False, True])
    np.testing.assert_array_equal(ends.converged, good)
    # An interior optimum, with exact derivatives: the step tolerance of 1e-8.
    np.testing.assert_allclose(ends.value[good, 0], 1.0, atol=2e-8)
    assert np.all(np.isnan(ends.objective[~good]))
    assert np.all(np.asarray(ends.steps)[~good] == 1)


def test_where_nothing_is_feasible_the_violation_is_least():
    def functions(u):
        return u[0] ** 2 + u[1], jnp.stack([u[0] ** 2 + u[1] ** 2 + 1.0, 0.5 - u[0]])

    end = jax.jit(lambda u: minimise_constrained(linearised(functions), u))(jnp.asarray([3.0, -2.0]))
    assert bool(end.converged)
    # The objective pulls at weight 1 against penalties of up to 1e6 times its slope: by 1e-6 of its own curvature.
    np.testing.assert_allclose(end.violation, 1.0, atol=1e-5)
    np.testing.assert_allclose(end.value, [0.0, 0.0], atol=1e-4)


def test_single_precision_stays_single():
    end = jax.jit(lambda u: minimise_constrained(linearised(charalambous), u))(jnp.asarray([1.0, -0.1], jnp.float32))
    assert end.value.dtype == jnp.float32
    assert bool(end.converged)
    # It ends where 10 round-offs of f = 2 would be won: 2e-6, which at a curvature of about 8 is a step of 7e-4.
    np.testing.assert_allclose(end.value, [1.139038, 0.899560], atol=7e-4)


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
