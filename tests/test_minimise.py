"""What the optimiser loop computes: it finds optima, keeps bounds, returns its best wherever it stops; bad input."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float, TypeCheckError

from diffnr import Drive, metrics, port_response, tcmt
from diffnr.checks import real_field, require
from optimize import Interval
from optimize.minimisation import minimise
from slow import slow_except
from valley import ADAM, Valley, bits, height

EPS = np.finfo(float).eps


# --- It finds optima ---------------------------------------------------------------------------------------------


def pair(kappa: float) -> tcmt.TwoResonators:
    gamma = np.hypot(0.5, kappa)
    loss = tcmt.NonlocalLoss(0.5 * kappa, mode=1, sensed=0)
    return tcmt.TwoResonators((0.0, 0.0), (gamma, gamma), (0.5, 0.5), kappa, loss)


def negative_contrast(model: tcmt.TwoResonators) -> Array:
    return -metrics.contrast(port_response(model, Drive(0.0), throw=False), out=0, into=1)


@pytest.mark.parametrize(
    ("optimiser", "kappa", "optimum"),
    slow_except(
        [
            (None, 0.3, 0.94890),
            (None, 3.0, 0.94062),
            (optax.adam(3e-2), 1.0, 0.91968),
            (optax.sgd(0.5, momentum=0.9), 1.0, 0.91968),
            (
                optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.exponential_decay(0.1, 50, 0.5))),
                1.0,
                0.91968,
            ),
            (
                optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(20, max_learning_rate=10.0)),
                1.0,
                0.91968,
            ),
        ],
        0,
        2,
        4,
    ),
    ids=["lbfgs", "lbfgs", "adam", "momentum", "clip and schedule", "backtracking"],
)
def test_any_optimiser_finds_the_loss_of_most_contrast(optimiser: Any, kappa: float, optimum: float) -> None:
    steps = 15 if optimiser is None else 250
    best = minimise(negative_contrast, pair(kappa), free="loss.gamma_k", optimiser=optimiser, steps=steps)
    # The optimum is known to five digits, and is flat: at a gradient of 1e-6 it is found to better than that.
    assert float(best.values["loss.gamma_k"]) / kappa == pytest.approx(optimum, abs=5e-6)
    assert float(best.gradient_norm) < 1e-6
    assert best.steps == steps
    assert float(best.model.loss.gamma_k) == float(best.values["loss.gamma_k"])
    # Computed by another program: to rounding.
    assert float(best.objective) == pytest.approx(float(negative_contrast(best.model)), rel=8 * EPS)


def test_lbfgs_descends_and_its_history_is_what_it_says() -> None:
    best = minimise(height, Valley(), free=("x", "y"), steps=60, history="values")
    values = best.history["objective"]
    assert {name: row.shape for name, row in best.history["values"].items()} == {"x": (61,), "y": (61,)}
    assert values.shape == best.history["gradient_norm"].shape == (61,)
    # To rounding of the terms, which are of order 1 times ε in the sums of squares: no step goes up.
    assert np.all(np.diff(values) <= EPS)
    # √ε of the parameters, as values and the least curvature are of order 1.
    assert [float(x) for x in best.values.values()] == pytest.approx([1.0, 1.0], abs=1e-7)
    # Values that the line search hands over are those of the objective, to rounding of terms of up to 100.
    x, y = best.history["values"]["x"], best.history["values"]["y"]
    assert values == pytest.approx((1 - x) ** 2 + 100 * (y - x**2) ** 2, rel=1e-12, abs=1e-13)
    assert values[0] == pytest.approx(24.2, rel=4 * EPS)
    # dh/du at the start: scales are |x| and |y|, and dh/dx = -215.6, dh/dy = -88 there.
    assert best.history["gradient_norm"][0] == pytest.approx(np.hypot(1.2 * 215.6, 88.0), rel=1e-12)


@pytest.mark.parametrize("behind", [(), (optax.scale(0.5),)], ids=["last", "not last"])
def test_a_line_search_vouches_only_for_the_point_it_chose(behind: tuple) -> None:
    # Where its step is scaled afterwards, the value that it computed is that of another point.
    search = optax.scale_by_backtracking_linesearch(20, store_grad=True)
    optimiser = optax.chain(optax.sgd(1e-3), search, *behind)
    best = minimise(height, Valley(), free=("x", "y"), optimiser=optimiser, steps=6, history="values")
    x, y = best.history["values"]["x"], best.history["values"]["y"]
    # To rounding of terms of up to 100.
    assert best.history["objective"] == pytest.approx((1 - x) ** 2 + 100 * (y - x**2) ** 2, rel=1e-12)
    slope = np.hypot(-1.2 * (-2 * (1 - x) - 400 * x * (y - x**2)), 200 * (y - x**2))
    assert best.history["gradient_norm"] == pytest.approx(slope, rel=1e-11)


def test_the_best_iterate_is_returned_not_the_last() -> None:
    # Momentum swings through the minimum of a parabola again and again.
    best = minimise(lambda v: v.x**2, Valley(), free="x", optimiser=optax.sgd(0.05, momentum=0.99), steps=97)
    values = best.history["objective"]
    assert float(best.objective) == np.min(values) < values[-1]


def test_bounds_hold_all_the_way() -> None:
    best = minimise(
        lambda v: (v.width + 1) ** 2 + (v.x - 7) ** 2,
        Valley(),
        free=("width", "x"),
        transforms={"x": Interval(-2.0, 2.0)},
        optimiser=optax.adam(0.5),
        steps=200,
        history="values",
    )
    width, x = best.history["values"]["width"], best.history["values"]["x"]
    assert np.all((width > 0) & (np.abs(x) < 2))
    assert width[-1] < 1e-3
    assert x[-1] > 1.99
    assert isinstance(best.model, Valley)


def test_paths_and_callables_are_the_same() -> None:
    by_path = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=7)
    by_callable = minimise(height, Valley(), free=lambda v: (v.x, v.y), optimiser=ADAM, steps=7)
    assert list(by_callable.values) == ["x", "y"]
    assert bits(by_path) == bits(by_callable)


def test_arguments_reach_the_objective() -> None:
    target = jnp.asarray([2.0, -3.0])

    def distance(model: Any, args: tuple[Array, str]) -> Array:
        return jnp.sum((model.omega - args[0]) ** 2)

    best = minimise(distance, pair(1.0), free="omega", args=(target, "a word"), optimiser=optax.sgd(0.5), steps=1)
    # For |x - target|² with a scale of 1, one step of ½ arrives, to rounding.
    assert np.asarray(best.values["omega"]) == pytest.approx(np.asarray(target), rel=1e-12)


def test_single_precision_stays_single() -> None:
    with jax.enable_x64(False):
        best = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=3)
        assert best.model.x.dtype == best.objective.dtype == best.history["objective"].dtype == np.float32
        assert float(best.objective) < 24.2


# --- It stops ----------------------------------------------------------------------------------------------------


def test_tolerance_stops_it() -> None:
    best = minimise(height, Valley(), free=("x", "y"), steps=500, tolerance=1e-6)
    assert best.converged
    assert best.steps < 100
    assert best.history["gradient_norm"][-1] == float(best.gradient_norm) <= 1e-6
    assert np.all(best.history["gradient_norm"][:-1] > 1e-6)
    assert best.message.startswith(f"Converged after {best.steps} steps")


def test_steps_run_out_before_the_tolerance() -> None:
    best = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=3, tolerance=1e-9)
    assert not best.converged
    assert "Took all 3 steps" in best.message
    assert "the tolerance is 1e-09" in best.message
    with pytest.raises(RuntimeError, match=f"^{re.escape(best.message)}$"):
        minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=3, tolerance=1e-9, throw=True)


def test_a_stationary_point_that_is_not_the_best_is_not_called_converged() -> None:
    # Thrown out of the deep well at x = -1 by momentum, the iterate comes to rest in the shallow one at x = +1.
    def wells(v: Valley) -> Array:
        return (v.x**2 - 1) ** 2 + 0.3 * v.x

    momentum = optax.sgd(0.03, momentum=0.8)
    best = minimise(wells, Valley(x=-1.6), free="x", optimiser=momentum, steps=1000, tolerance=1e-9, history="values")
    assert best.steps < 1000
    assert best.history["values"]["x"][-1] > 0.9
    assert best.history["gradient_norm"][-1] <= 1e-9
    assert float(best.values["x"]) < 0
    assert float(best.objective) == np.min(best.history["objective"]) < 0
    assert not best.converged
    assert "an iterate before had a lower objective" in best.message


def test_a_value_that_is_not_finite_ends_it_with_the_best_so_far() -> None:
    # A fixed stride of 1/4 downhill: x = 2, 1.75, …, 0.25, and then 0, where the logarithm is -inf.
    def rising(v: Valley) -> Array:
        return jnp.log(v.x)

    stride = optax.chain(optax.sign_sgd(0.125), optax.identity())
    best = minimise(rising, Valley(x=2.0), free="x", optimiser=stride, steps=50)
    assert best.steps == 8
    assert not best.converged
    assert float(best.values["x"]) == 0.25
    assert best.history["objective"].shape == (9,)
    assert np.all(np.isfinite(best.history["objective"][:-1]))
    assert best.history["objective"][-1] == -np.inf
    assert "Stopped at step 8: the objective was -inf" in best.message
    assert "lower the learning rate" in best.message


def test_a_gradient_that_is_not_finite_ends_it_with_the_best_so_far() -> None:
    best = minimise(lambda v: jnp.sqrt(v.x**2), Valley(x=1.0), free="x", optimiser=optax.sgd(1.0), steps=50)
    assert best.steps == 1
    assert float(best.values["x"]) == 1.0
    assert "Stopped at step 1: the objective was 0 with a gradient of norm nan" in best.message
    assert "use squares" in best.message


def test_a_solve_that_raises_costs_no_step() -> None:
    def failing(v: Valley) -> Array:
        x = eqx.error_if(v.x, v.x < 0.26, "No solution there.")
        return x**2

    best = minimise(failing, Valley(x=2.0), free="x", optimiser=optax.sign_sgd(0.125), steps=50, history="values")
    assert best.history["values"]["x"] == pytest.approx(np.arange(2.0, 0.3, -0.25), abs=4 * EPS)
    assert best.steps == 6
    assert not best.converged
    assert "step 7 failed" in best.message
    assert "No solution there" in best.message
    assert "throw=False" in best.message


class Picky(eqx.Module):
    x: Float[Array, ""] = real_field()

    def __check_init__(self) -> None:
        require(isinstance(self.x, jax.core.Tracer) or self.x < 1, "x", "be below 1", self.x)


def test_a_model_that_refuses_the_end_costs_no_step() -> None:
    best = minimise(lambda m: (m.x - 2) ** 2, Picky(0.5), free="x", optimiser=optax.sgd(1.0), steps=200)
    assert float(best.model.x) == pytest.approx(2.0, abs=1e-8)  # as below, with a gradient of at most 1e-8
    assert float(best.gradient_norm) < 1e-8
    assert best.message.endswith("The model itself refuses these values: Argument x must be below 1, but was 2.")


# --- It says what it does ----------------------------------------------------------------------------------------


def test_report_and_history() -> None:
    best = minimise(height, Valley(), free=("x", "y"), optimiser=ADAM, steps=2, history=False)
    assert best.history == {}
    lines = best.report().splitlines()
    assert lines[0] == best.message
    assert re.fullmatch(r"objective +\S+", lines[1])
    assert re.fullmatch(r"gradient norm +\S+", lines[2])
    # Adam's first steps are of its learning rate, in units of |x| and |y|.
    assert re.fullmatch(r"x +-1\.1[78]\d+", lines[3])
    assert re.fullmatch(r"y +1\.0[12]\d*", lines[4])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"objective": lambda v: v.x + 1j}, r"objective must return a real scalar, but was complex128 of shape \(\)"),
        ({"objective": lambda v: v.x * jnp.ones(2)}, r"must return a real scalar, but was float64 of shape \(2,\)"),
        ({"objective": lambda v: (v.x, v.y)}, "must return a real scalar, but was a tuple"),
        ({"objective": lambda v: jnp.asarray(3)}, r"must return a real scalar, but was int64 of shape \(\)"),
        ({"objective": lambda v: jnp.log(v.x)}, "must be finite with its gradient at the start, but was nan, with"),
        ({"objective": lambda v: jnp.sqrt(v.y - 1), "free": "y"}, "but was 0, with a gradient of norm inf"),
        ({"free": "z"}, "must name a parameter of Valley"),
        ({"transforms": {"z": Interval(0.0, 1.0)}}, "transforms must name free parameters"),
        ({"steps": 0}, "Argument steps must be a whole number of at least 1, but was 0"),
        ({"tolerance": -1.0}, "Argument tolerance must not be negative"),
        ({"checkpoint_every": 0}, "Argument checkpoint_every must be a whole number of at least 1"),
        ({"checkpoint": "/no/such/folder/run"}, "Argument checkpoint must be a file in a folder that exists"),
    ],
)
def test_bad_input_is_refused(change: dict, sentence: str) -> None:
    options = {"objective": height, "model": Valley(), "free": "x", "steps": 1, **change}
    with pytest.raises(ValueError, match=sentence):
        minimise(**options)


@pytest.mark.parametrize("change", [{"optimiser": optax.adam}, {"history": "all"}])
def test_bad_types_are_refused(change: dict) -> None:
    # Where annotations are checked at run time, as in these tests, they are the first to complain.
    with pytest.raises((ValueError, TypeCheckError), match=next(iter(change))):
        minimise(height, Valley(), free="x", **change)


def test_it_cannot_run_inside_a_transformation() -> None:
    with pytest.raises(ValueError, match="Argument model must hold numbers"):
        jax.jit(lambda x: minimise(height, Valley(x=x), free="y", steps=1).value)(1.0)
