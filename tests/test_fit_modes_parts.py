"""What a fit of modes is made of: derivatives against differences, the descent, passivity between samples."""

from dataclasses import replace

import numpy as np
import pytest

from diffnr.results import RESULTS
from optimize.mode_fit.coefficients import coefficient_slopes, coefficients_of
from optimize.mode_fit.delays import entry_delays, port_delays
from optimize.mode_fit.descent import descend
from optimize.mode_fit.form import Form, from_pairs, started
from optimize.mode_fit.passivity import ALLOWED, excess, excess_slopes, largest_gain
from optimize.mode_fit.problem import Problem, Projected
from optimize.mode_fit.vector_fitting import Weights

X = np.linspace(-1, 1, 9)


def pair(value: complex) -> np.ndarray:
    """A number as the (Re, Im) of a matrix [1, 1]."""
    return np.array([[[complex(value).real, complex(value).imag]]])


def forms() -> list[Form]:
    """Of two ports and three modes, with and without delays and backgrounds, a symmetric one, and three of networks."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape)  # noqa: E731
    plain = [
        Form(A=draw(3, 3, 2), D=draw(2, 3, 2), K=draw(2, 3, 2), background=draw(3, 2, 2, 2), delay=draw(2)),
        Form(A=draw(3, 3, 2), D=draw(2, 3, 2), K=draw(2, 3, 2), background=draw(1, 2, 2, 2), delay=None),
    ]
    A, background = draw(3, 3, 2), draw(2, 2, 2, 2)
    A, background = A + A.swapaxes(0, 1), background + background.swapaxes(1, 2)
    D = draw(2, 3, 2)
    found = [*plain, Form(A=A, D=D, K=D, background=background, delay=draw(2), symmetric=True)]
    return [*found, *(replace(form, mirror=2.3) for form in found)]


NAMES = ["with delays", "plain", "symmetric", "network", "plain network", "symmetric network"]


@pytest.mark.parametrize("form", forms(), ids=NAMES)
def test_derivatives_are_those_of_central_differences(form: Form) -> None:
    linear, slopes = form.linearised(X, energy=True), coefficient_slopes(form, 2.0, energy=True)
    above, rows = excess(form, X), excess_slopes(form, X)
    assert np.count_nonzero(above) > 0
    u = form.vector()
    for k, unit in enumerate(1e-6 * np.eye(u.size)):
        ends = [form.at(u + unit), form.at(u - unit)]
        (s1, a1), (s0, a0) = (end.response(X) for end in ends)
        # Truncation 1e-12 and round-off 1e-10, of numbers and third derivatives that reach some tens.
        np.testing.assert_allclose(linear.ds[k], (s1 - s0) / 2e-6, atol=1e-7)
        np.testing.assert_allclose(linear.da[k], (a1 - a0) / 2e-6, atol=1e-7)
        np.testing.assert_allclose(rows[k], (excess(ends[0], X) - excess(ends[1], X)) / 2e-6, atol=1e-6)
        q1, q0 = (np.asarray(coefficients_of(end, 10.0, 2.0, energy=True).flatten()) for end in ends)
        np.testing.assert_allclose(slopes[:, k], (q1 - q0) / 2e-6, atol=1e-6)


def problem(form: Form, sigma: float = 1.0) -> Problem:
    out, into = np.tril_indices(2) if form.symmetric else np.indices((2, 2)).reshape(2, -1)
    s, least = form.response(X)[0][:, out, into], np.full(len(out), sigma)
    spread = np.broadcast_to(least, s.shape)
    return Problem(X, s, out, into, spread, Weights(least, least), least, True, symmetric=form.symmetric)


@pytest.mark.parametrize("form", [forms()[k] for k in (0, 2, 3, 5)], ids=[NAMES[k] for k in (0, 2, 3, 5)])
def test_the_projected_problem_has_the_residual_of_the_best_background(form: Form) -> None:
    rng = np.random.default_rng(1)
    asked = problem(form)._replace(s=rng.normal(size=(9, 4)) + 1j * rng.normal(size=(9, 4)))
    asked = asked._replace(s=asked.s[:, : len(asked.out)])
    projected = Projected.of(asked, form)
    r, J = projected.linearised(form)
    whole = projected.whole(form)
    assert np.linalg.norm(asked.residual(whole)) == pytest.approx(np.linalg.norm(r), rel=1e-12)  # round-off
    assert np.linalg.norm(asked.residual(form)) > 1.1 * np.linalg.norm(r)
    for k, unit in enumerate(1e-6 * np.eye(len(J))):
        ends = [projected.residual(projected.move(form, step)) for step in (unit, -unit)]
        np.testing.assert_allclose(J[k], (ends[0] - ends[1]) / 2e-6, atol=1e-7)  # as above


def test_a_fit_finds_its_way_back_to_an_exact_response() -> None:
    form = forms()[0]
    moved = form.at(form.vector() + 1e-2 * np.random.default_rng(2).normal(size=form.vector().size))
    response, end = problem(form).solved(moved, 50)
    assert end.result == RESULTS.successful
    np.testing.assert_allclose(response.response(X)[0], form.response(X)[0], atol=1e-10)  # of numbers of some tens


def test_descent_follows_a_curved_valley_and_says_when_steps_run_out() -> None:
    """Rosenbrock's valley, from its usual start."""

    def linearised(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([10 * (u[1] - u[0] ** 2), 1 - u[0]]), np.array([[-20 * u[0], -1.0], [10.0, 0.0]])

    arguments = {"tolerance": 1e-8, "size": 1.0}
    parts = (lambda u: linearised(u)[0], linearised, lambda u, change: u + change)
    end = descend(np.array([-1.2, 1.0]), *parts, max_steps=50, **arguments)
    assert end.result == RESULTS.successful
    np.testing.assert_allclose(end.point, 1.0, atol=1e-10)  # quadratic convergence, beyond the tolerance
    short = descend(np.array([-1.2, 1.0]), *parts, max_steps=2, **arguments)
    assert short.result == RESULTS.max_steps_reached


def test_descent_steps_far_along_a_valley_flatter_than_its_derivatives_say() -> None:
    """χ² = u² + (1 − .48 u²)² bends by 1 − .96 of what JJᵀ says: Gauss and Newton's steps are too short by that."""

    def linearised(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([u[0], 1 - 0.48 * u[0] ** 2, 0.1]), np.array([[1.0, -0.96 * u[0], 0.0]])

    parts = (lambda u: linearised(u)[0], linearised, lambda u, change: u + change)
    end = descend(np.array([1.0]), *parts, max_steps=30, tolerance=1e-6, size=1.0)
    assert end.result == RESULTS.successful
    # Steps are below 1e-6 of the standard error, some 1, and what is left is at most 1/.04 of a step.
    np.testing.assert_allclose(end.point, 0.0, atol=3e-5)


@pytest.mark.parametrize("height", [0.999, 1.0, 1.001])
def test_passivity_is_judged_between_the_samples_too(height: float) -> None:
    """A line of the width 1e-4 between two of the samples, at which |S| reaches its height, and is 1 elsewhere."""
    width = 1e-4
    root = np.sqrt((height + 1) * width)
    # S = −1 + (1 + height) γ/(i(x − x₀) + γ)
    line = Form(A=pair(0.0125j - width), D=pair(root), K=pair(root), background=pair(-1.0)[None], delay=None)
    assert np.max(np.abs(line.response(np.linspace(-1, 1, 401))[0])) < 1 + 2e-6
    assert largest_gain(line) == pytest.approx(max(height, 1.0), abs=ALLOWED)


def test_what_cannot_be_shown_to_be_bounded_is_not_called_so() -> None:
    """A pole on the axis, of residue 10⁻⁶: every cut of the interval around it leaves one that is as open."""
    on_axis = Form(A=pair(0.3j), D=pair(1e-3), K=pair(1e-3), background=pair(0.5)[None], delay=None)
    assert largest_gain(on_axis) == np.inf


@pytest.mark.parametrize("turns", [0.0, 0.2, 2.3])
def test_delays_of_ports_agree_with_every_entry(turns: float) -> None:
    """Up to some turns of the phase a step, where an even grid knows delays but for whole turns."""
    x = np.linspace(-1, 1, 201)
    rng = np.random.default_rng(3)
    tau = turns * 2 * np.pi / 0.01 * np.array([0.2, 0.5, 0.3])
    s = np.broadcast_to(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)), (201, 3, 3)).copy()
    s[:, 0, 0] = 0.0
    s += 0.3 * np.einsum("f,o,i->foi", 0.05 / (1j * (x - 0.1) + 0.05), [1.0, -1.0, 1j], [1.0, 1.0, -1j])
    s *= np.exp(-1j * x[:, None, None] * (tau[:, None] + tau))
    found = port_delays(x, s, np.ones((3, 3), bool), 1, 0, np.full((3, 3), 1e-9))
    # What is left of the phase turns by less than what a fit finds its way from.
    left = np.exp(1j * (x[1] - x[0]) * ((found - tau)[:, None] + found - tau))
    assert np.max(np.abs(np.angle(left))) * 200 < 2.0


@pytest.mark.parametrize("delay", [0.33, -30.0])
def test_the_delay_of_a_bright_path_is_found_beside_weak_resonances(delay: float) -> None:
    """As through an isolator: what is left of a delay would hide them, and take a pole for itself."""
    x, rng = np.linspace(-1, 1, 301), np.random.default_rng(0)
    poles, residues = np.array([-0.009 - 0.79j, -0.02 - 0.56j, -0.011 + 0.71j]), np.array([0.006, 0.012j, -0.008])
    entry = 0.95 + np.sum(residues / (1j * x[:, None] - poles), axis=1)
    entry += 1e-6 * (rng.normal(size=301) + 1j * rng.normal(size=301))
    found = entry_delays(x, (entry * np.exp(-1j * x * delay))[None], 3, 0)
    assert found == pytest.approx(delay, abs=1e-6)  # ten standard errors, 1e-6/(.95 √(301/3))


@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_symmetric_residues_are_split_symmetrically(spread: float) -> None:
    """Those of a ring without reflections too, whose singular values are equal."""
    rng = np.random.default_rng(4)
    R = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    R = spread * (R + R.T) + np.exp(1j) * np.eye(3)[[1, 0, 2]]
    parts = {"background": np.zeros((1, 3, 3)), "ranks": np.array([3]), "delay": None}
    form = started(np.array([-0.1 + 0.2j]), R[None], **parts, symmetric=True)
    np.testing.assert_array_equal(form.D, form.K)
    np.testing.assert_allclose(from_pairs(form.D) @ from_pairs(form.K).T, R, atol=1e-14)  # round-off
