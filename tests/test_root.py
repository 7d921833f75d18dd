"""Newton, continuation and the implicit derivative, against roots and derivatives in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from diffnr.results import RESULTS
from diffnr.root import RootSolution, follow, implicit, newton
from systems import ROOTS, Root

each_root = pytest.mark.parametrize("system", ROOTS, ids=lambda system: system.name)


def solve(system: Root, args: Array) -> RootSolution:
    return newton(system.residual, jnp.asarray(system.guess, args.dtype), args)


@each_root
def test_newton_finds_the_root_and_its_derivatives(system: Root) -> None:
    @jax.jit
    def everything(args: Array) -> tuple[RootSolution, Array, Array, Array]:
        def value(args: Array) -> Array:
            return solve(system, args).value

        return solve(system, args), jax.jacfwd(value)(args), jax.jacrev(value)(args), jax.hessian(value)(args)

    args = jnp.array(system.args)
    solution, forward, reverse, second = everything(args)
    assert solution.result == RESULTS.successful
    assert 0 < solution.num_steps < 64
    # Newton ends when steps shrink no more: what is left is round-off, times the condition of the Jacobian (below 1e3
    # here,
    # rows scaled).
    np.testing.assert_allclose(solution.value, system.root(args), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        solution.residual_norm, jnp.linalg.norm(system.residual(solution.value, args)), atol=1e-9
    )
    # One linear solve with an exact Jacobian for the first order, two for the second: round-off times the condition.
    np.testing.assert_allclose(forward, system.gradient(args), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(reverse, system.gradient(args), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(second, jax.jacfwd(system.gradient)(args), rtol=1e-10, atol=1e-10)


def test_second_derivative_in_reverse_over_reverse() -> None:
    slope = jax.jit(jax.grad(jax.grad(lambda a: solve(ROOTS[0], a[None]).value[0])))(2.0)
    np.testing.assert_allclose(slope, -(2.0**-1.5) / 4, rtol=1e-13)  # √a; round-off


@each_root
def test_table_gradient_is_that_of_the_table_root(system: Root) -> None:
    args = jnp.array(system.args)
    np.testing.assert_allclose(system.gradient(args), jax.jacfwd(system.root)(args), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("system", [ROOTS[3], ROOTS[4]], ids=lambda system: system.name)
def test_float32_converges_to_float32_precision(system: Root) -> None:
    args = jnp.array(system.args, jnp.float32)
    solution, slope = jax.jit(lambda a: (solve(system, a), jax.jacfwd(lambda a: solve(system, a).value)(a)))(args)
    assert solution.result == RESULTS.successful
    assert solution.value.dtype == slope.dtype == jnp.float32
    # The round-off of float32, 6e-8, times a condition below 10.
    np.testing.assert_allclose(solution.value, system.root(args), rtol=1e-6)
    np.testing.assert_allclose(slope, system.gradient(args), rtol=1e-5, atol=1e-6)


def square_root(a: Array) -> RootSolution:
    return newton(lambda y, a: y**2 - a, jnp.ones(1, a.dtype), a)


def test_a_failing_lane_is_marked_and_leaves_the_others_alone() -> None:
    a = jnp.array([4.0, -1.0, 9.0])

    @jax.jit
    def lanes(a: Array) -> tuple[RootSolution, Array, Array]:
        value = jax.vmap(square_root)(a)
        return (
            value,
            jax.vmap(jax.grad(lambda a: square_root(a).value[0]))(a),
            jax.vmap(jax.jacfwd(lambda a: square_root(a).value[0]))(a),
        )

    solution, reverse, forward = lanes(a)
    assert (solution.result == RESULTS.successful).tolist() == [True, False, True]
    assert (solution.result == RESULTS.max_steps_reached).tolist() == [False, True, False]
    expected = np.array([2.0, np.nan, 3.0])
    np.testing.assert_allclose(solution.value[:, 0], expected, rtol=1e-15)  # quadratic convergence ends at round-off
    np.testing.assert_allclose(reverse, 0.5 / expected, rtol=1e-15)
    np.testing.assert_allclose(forward, 0.5 / expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("residual", "guess", "cause"),
    [
        (lambda y, a: y**2 + a, 1.0, RESULTS.max_steps_reached),
        (lambda y, a: jnp.log(y) - a, -1.0, RESULTS.nonfinite),
        (lambda y, a: y**2 - a, 0.0, RESULTS.nonfinite),
        (lambda y, a: jnp.nan * y, 1.0, RESULTS.nonfinite),
    ],
    ids=["no root", "log of a negative number", "singular at the guess", "NaN"],
)
def test_newton_says_why_it_failed(residual, guess: float, cause: RESULTS) -> None:
    solution = newton(residual, jnp.array([guess]), 1.0)
    assert solution.result == cause
    assert jnp.isnan(solution.value).all()


def test_guess_carries_no_derivative() -> None:
    slope = jax.grad(lambda guess: newton(lambda y, a: y**2 - a, guess[None], 2.0).value[0])(3.0)
    assert slope == 0.0


def test_a_module_may_carry_what_is_differentiated() -> None:
    class Residual(eqx.Module):
        level: Array

        def __call__(self, y: Array, scale: Array) -> Array:
            return scale * y**3 - self.level

    value = jax.jit(jax.grad(lambda level: newton(Residual(level), jnp.ones(1), jnp.array(2.0)).value[0]))(
        jnp.array(16.0)
    )
    np.testing.assert_allclose(value, 1 / 24, rtol=1e-14)  # y = (level/2)^{1/3}, dy = 1/(6 y²); round-off


def test_rtol_ends_the_iteration_earlier() -> None:
    steps = [newton(lambda y, a: jnp.exp(y) - a, jnp.array([4.0]), 5.0, rtol=rtol).num_steps for rtol in (0.1, None)]
    assert steps[0] < steps[1]


def test_max_steps_is_kept() -> None:
    solution = newton(lambda y, a: jnp.exp(y) - a, jnp.array([4.0]), 5.0, max_steps=2)
    assert solution.num_steps == 2
    assert solution.result == RESULTS.max_steps_reached


@pytest.mark.parametrize("solver", [newton, follow])
@pytest.mark.parametrize(
    "guess", [jnp.array([1j]), jnp.array(1.0), jnp.ones((2, 2))], ids=["complex", "scalar", "matrix"]
)
def test_guess_must_be_a_real_vector(solver, guess: Array) -> None:
    with pytest.raises(ValueError, match=r"^Argument guess must be (real|a vector)"):
        solver(lambda y, *_: y, guess)


def test_implicit_replaces_whatever_derivative_the_value_had() -> None:
    def found_somehow(a: Array) -> Array:
        return implicit(lambda y, a: y**2 - a, jnp.stack([jnp.sqrt(a)]) + 0 * jnp.sin(a), a)[0]

    # Exact formulas: round-off only.
    np.testing.assert_allclose(jax.grad(found_somehow)(4.0), 0.25, rtol=1e-15)
    np.testing.assert_allclose(jax.grad(jax.grad(found_somehow))(4.0), -1 / 32, rtol=1e-14)


# Continuation -------------------------------------------------------------------------------------------------------


def cubic(y: Array, t: Array, args: Array) -> Array:
    """linear y + cubic y³ = load t."""
    linear, third, load = args
    return linear * y + third * y**3 - load * t


def test_follow_reaches_the_end_of_a_monotone_branch() -> None:
    args = jnp.array([1.0, 2.0, 3.0])  # y + 2y³ = 3 has the root 1, where dy = (−y, −y³, 1)/(1 + 6y²)

    @jax.jit
    def both(args: Array) -> tuple[RootSolution, Array]:
        return follow(cubic, jnp.zeros(1), args), jax.jacrev(lambda a: follow(cubic, jnp.zeros(1), a).value[0])(args)

    solution, slope = both(args)
    assert solution.result == RESULTS.successful
    np.testing.assert_allclose(solution.value, [1.0], rtol=1e-14)  # round-off
    np.testing.assert_allclose(slope, np.array([-1.0, -1.0, 1.0]) / 7, rtol=1e-14)


def test_follow_reports_a_fold_and_no_earlier() -> None:
    top = 2 / (3 * np.sqrt(3))  # y − y³ = load folds at y = 1/√3
    loads = top * jnp.array([0.5, 0.9999, 1.0001, 2.0, 1e3])

    @jax.jit
    def solve(loads: Array) -> tuple[RootSolution, Array]:
        def one(load: Array) -> RootSolution:
            return follow(cubic, jnp.zeros(1), jnp.stack([1.0, -1.0, load]))

        return jax.vmap(one)(loads), jax.vmap(jax.grad(lambda load: one(load).value[0]))(loads)

    solution, slope = solve(loads)
    assert (solution.result == RESULTS.successful).tolist() == [True, True, False, False, False]
    assert (solution.result == RESULTS.fold).tolist() == [False, False, True, True, True]
    # Near the fold the condition is ~1/√(distance) = 1e2.
    np.testing.assert_allclose(solution.value[:2, 0] - solution.value[:2, 0] ** 3, loads[:2], rtol=1e-13)
    np.testing.assert_allclose(slope[:2], 1 / (1 - 3 * solution.value[:2, 0] ** 2), rtol=1e-11)
    assert jnp.isnan(solution.value[2:]).all()
    assert jnp.isnan(slope[2:]).all()


def test_follow_goes_round_folds_to_where_a_raised_load_ends() -> None:
    # y − y³ + .15 y⁵ rises again beyond its folds, the second at a load of −1.24: at loads above the first one only the
    # upper branch exists. Its second unknown, a hundred times larger and nearly constant, hides the turns.
    def residual(y: Array, t: Array, load: Array) -> Array:
        return jnp.stack([y[0] - y[0] ** 3 + 0.15 * y[0] ** 5 - load * t, y[1] - 100.0 - 0.01 * y[0]])

    loads = jnp.array([0.35, 0.5, 1.0, 10.0, 1e4])  # the first fold is at .4157 (y² = (3 − √(9 − 3))/1.5)
    solution = jax.jit(jax.vmap(lambda load: follow(residual, jnp.array([0.0, 100.0]), load)))(loads)
    assert (solution.result == RESULTS.successful).tolist() == [True] * 5
    truth = [np.roots([0.15, 0, -1, 0, 1, -load]) for load in loads]
    real = [np.sort(roots.real[np.abs(roots.imag) < 1e-9]) for roots in truth]
    # Below the fold the first of three roots with y > 0 but one; above it the only one. Round-off.
    np.testing.assert_allclose(solution.value[:, 0], [real[0][-3], *(roots[-1] for roots in real[1:])], rtol=1e-10)


def test_follow_reports_where_the_determinant_changes_sign() -> None:
    # y = 0 throughout, but at t = 1/2 it becomes unstable: what is followed from there is not the branch asked for.
    solution = follow(lambda y, t, a: y * (a - t) + y**3, jnp.zeros(1), 0.5)
    assert solution.result == RESULTS.branch_point
    assert follow(lambda y, t, a: y * (a - t) + y**3, jnp.zeros(1), 1.5).result == RESULTS.successful


def test_follow_says_when_it_cannot_start() -> None:
    assert follow(lambda y, t, a: y * jnp.nan, jnp.ones(1)).result == RESULTS.nonfinite
    assert follow(lambda y, t, a: y**2 + 1, jnp.ones(1)).result == RESULTS.max_steps_reached
    assert (
        follow(cubic, jnp.ones(1), jnp.array([1.0, 2.0, 3.0])).result == RESULTS.max_steps_reached
    )  # 1 is not y(t → 0)


def test_follow_counts_its_steps() -> None:
    args = jnp.array([1.0, 2.0, 3.0])
    free = follow(cubic, jnp.zeros(1), args)
    assert 10 < free.num_steps < 200
    assert follow(cubic, jnp.zeros(1), args, max_steps=5).result == RESULTS.max_steps_reached


@pytest.mark.parametrize("start", [0.0, 1.0, -1.0])
def test_follow_must_start_inside(start: float) -> None:
    with pytest.raises(ValueError, match=r"^Argument start must lie between 0 and 1, but was"):
        follow(cubic, jnp.zeros(1), jnp.ones(3), start=start)


def test_follow_in_float32() -> None:
    args = jnp.array([1.0, 2.0, 3.0], jnp.float32)
    solution = follow(cubic, jnp.zeros(1, jnp.float32), args)
    assert solution.value.dtype == jnp.float32
    np.testing.assert_allclose(solution.value, [1.0], rtol=1e-6)  # round-off of float32 is 6e-8
    folded = follow(cubic, jnp.zeros(1, jnp.float32), jnp.array([1.0, -1.0, 1.0], jnp.float32))
    assert folded.result == RESULTS.fold
