"""Transforms are bijections that keep bounds whatever the optimiser does; leaves come back as they went in."""

import equinox as eqx
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optimize as op
from diffnr import paths, tcmt
from diffnr.checks import real_field
from optimize.transforms import AbstractTransform, transform_for

TRANSFORMS = [
    op.Scaled(2e9),
    op.Positive(1.0),
    op.Positive(3e-6),
    op.Interval(-1.0, 3.0),
    op.Interval(1e9, 1.0001e9),
    op.Interval(-4.7, 3.6),  # lower + (upper - lower) rounds to above upper
]
EPS = np.finfo(float).eps


def vectors(limit: float) -> st.SearchStrategy:
    return hnp.arrays(np.float64, 3, elements=st.floats(-limit, limit))


def limits(transform: AbstractTransform) -> tuple[float, float]:
    match transform:
        case op.Positive():
            return 0.0, np.inf
        case op.Interval():
            return float(transform.lower), float(transform.upper)
        case _:
            return -np.inf, np.inf


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@given(u=vectors(15.0))
def test_inverse_undoes_forward(transform: AbstractTransform, u: np.ndarray) -> None:
    x = transform.forward(jnp.asarray(u))
    slope = np.abs(np.asarray(jax.vmap(jax.grad(transform.forward))(jnp.asarray(u))))
    # x is known to a few ε of its size (and of that of its bounds), which is that much divided by dx/du in u; u itself
    # is known to a few ε.
    size = np.abs(np.asarray(x)) + max((abs(limit) for limit in limits(transform) if np.isfinite(limit)), default=0.0)
    slack = 8 * EPS * (size / slope + np.abs(u) + 1)
    assert np.all(np.abs(np.asarray(transform.inverse(x)) - u) <= slack)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@given(u=vectors(1e6))
def test_bounds_hold_and_gradients_are_finite_everywhere(transform: AbstractTransform, u: np.ndarray) -> None:
    lower, upper = limits(transform)
    x = np.asarray(transform.forward(jnp.asarray(u)))
    assert np.all((lower <= x) & (x <= upper))
    assert np.all(np.isfinite(jax.vmap(jax.grad(transform.forward))(jnp.asarray(u))))
    # What comes out can always go in again, also from the bounds themselves.
    assert np.all(np.isfinite(transform.inverse(jnp.asarray(x))))


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_forward_rises(transform: AbstractTransform) -> None:
    u = jnp.linspace(-10.0, 10.0, 201)
    x = np.asarray(transform.forward(u))
    assert np.all(np.diff(x) > 0)
    slope = np.asarray(jax.vmap(jax.grad(transform.forward))(u))
    # Central differences in steps of h = 0.1 are off by h²/6 of the third derivative, which is at most about the slope.
    assert np.gradient(x, np.asarray(u))[1:-1] == pytest.approx(slope[1:-1], rel=5e-3)


def test_known_values() -> None:
    # To rounding: softplus(0) = log 2, sigmoid(0) = ½, sigmoid(log 3) = ¾.
    assert float(op.Positive(2.0).forward(jnp.asarray(0.0))) == pytest.approx(2 * np.log(2), rel=4 * EPS)
    assert float(op.Interval(-1.0, 3.0).forward(jnp.asarray(0.0))) == 1.0
    assert float(op.Interval(-1.0, 3.0).forward(jnp.log(3.0))) == pytest.approx(2.0, rel=4 * EPS)
    assert float(op.Scaled(5.0).forward(jnp.asarray(-2.0))) == -10.0


@pytest.mark.parametrize(
    ("transform", "x", "moved"),
    [
        (op.Positive(2.0), 0.0, 2e-6),
        (op.Interval(-1.0, 3.0), -1.0, -1 + 4e-6),
        (op.Interval(-1.0, 3.0), 3.0, 3 - 4e-6),
    ],
)
def test_a_start_on_a_bound_is_moved_inside(transform: AbstractTransform, x: float, moved: float) -> None:
    # The move is 1e-6 of the scale; 1e-6 of that again is the curvature of the softplus there.
    assert float(transform.forward(transform.inverse(jnp.asarray(x)))) == pytest.approx(moved, abs=1e-11)


@pytest.mark.parametrize("x", [1e-9, 1e-30, 1e-200])
def test_a_small_start_is_not_a_bound(x: float) -> None:
    # u = log x is known to ε|u|, so x to that part of itself.
    slack = 4 * EPS * abs(np.log(x))
    assert float(op.Positive(1.0).forward(op.Positive(1.0).inverse(jnp.asarray(x)))) == pytest.approx(x, rel=slack)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: op.Interval(2.0, 2.0), "Argument upper must exceed lower = 2, but was 2"),
        (lambda: op.Interval(0.0, jnp.inf), "Argument upper must be finite"),
        (lambda: op.Positive(0.0), "Argument scale must be positive, but was 0"),
        (lambda: op.Scaled(-1.0), "Argument scale must be positive, but was -1"),
        (lambda: op.Scaled(jnp.nan), "Argument scale must be finite"),
        (lambda: op.Positive(1.0).inverse(jnp.asarray(-1.0)), "Argument x must not be negative, but was -1"),
        (lambda: op.Interval(0.0, 1.0).inverse(jnp.asarray(1.5)), "Argument x must be at most 1, but was 1.5"),
        (lambda: op.Scaled(1.0).inverse(jnp.asarray(jnp.inf)), "Argument x must be finite"),
        (lambda: transform_for((1.0, None), 2.0), "Argument bounds must be open, positive or an interval"),
    ],
)
def test_transforms_refuse(make, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_transform_follows_from_bounds() -> None:
    scaled, positive = transform_for((None, None), -4.0), transform_for((0.0, None), jnp.asarray([1.0, 5.0]))
    assert isinstance(scaled, op.Scaled)
    assert float(scaled.scale) == 4.0
    assert isinstance(positive, op.Positive)
    assert float(positive.scale) == 5.0
    assert isinstance(transform_for((0.0, 1.0), 0.5), op.Interval)
    assert float(transform_for((0.0, None), 0.0).scale) == 1.0


def pair(gamma_k: float = 0.6) -> tcmt.TwoResonators:
    return tcmt.TwoResonators((0.3, -0.2), (0.9, 0.5), (0.1, 0.2), 1.3, tcmt.NonlocalLoss(gamma_k, mode=1, sensed=0))


def test_a_path_an_entry_and_a_callable_name_the_same_leaf() -> None:
    model = pair()
    by_path = op.parametrise(model, "loss.gamma_k")
    by_callable = op.parametrise(model, lambda m: m.loss.gamma_k)
    assert by_path.names == by_callable.names == ("loss.gamma_k",)
    assert float(by_path.start[0]) == float(by_callable.start[0])
    u = jnp.asarray([0.7])
    assert eqx.tree_equal(by_path.build(u), by_callable.build(u))

    entry = op.parametrise(model, "gamma.1")
    changed = entry.build(entry.start + 1.0)
    assert float(changed.gamma[0]) == 0.9
    assert float(changed.gamma[1]) > 0.5


def test_several_leaves_make_one_vector_and_come_back() -> None:
    model = pair()
    free = ("omega", "loss.gamma_k", "gamma.0")
    problem = op.parametrise(model, free)
    assert problem.start.shape == (4,)
    assert list(problem.values(problem.start)) == list(free)
    back = problem.build(problem.start)
    for path, old, new in zip(paths(model), jax.tree.leaves(model), jax.tree.leaves(back), strict=True):
        # The round trip through softplus costs a few ε.
        assert np.asarray(new) == pytest.approx(np.asarray(old), rel=8 * EPS), path
    u = jnp.asarray([0.1, -0.4, 1.2, -3.0])
    # The same, divided by a slope that is never below 0.04 for these u.
    assert np.asarray(problem.from_values(problem.values(u))) == pytest.approx(np.asarray(u), abs=100 * EPS)
    assert all(np.all(np.asarray(rate) > 0) for rate in (problem.build(u).gamma, problem.build(u).loss.gamma_k))


def test_a_transform_of_ones_own_takes_the_place_of_the_default() -> None:
    problem = op.parametrise(pair(), ("loss.gamma_k", "omega"), {"loss.gamma_k": op.Interval(0.5, 0.7)})
    far = problem.values(problem.start + jnp.asarray([50.0, 0.0, 0.0]))
    assert float(far["loss.gamma_k"]) == pytest.approx(0.7, rel=4 * EPS)  # to rounding: sigmoid(50) is 1


def test_parametrisation_is_a_pytree_that_does_not_retrace() -> None:
    traces = []

    @eqx.filter_jit
    def total(problem: op.Parametrisation, u: jax.Array) -> jax.Array:
        traces.append(None)
        return jnp.sum(problem.build(u).gamma) + problem.build(u).loss.gamma_k

    first = op.parametrise(pair(0.6), ("gamma", "loss.gamma_k"))
    second = op.parametrise(pair(0.2), ("gamma", "loss.gamma_k"))
    # To rounding, as above.
    assert float(total(first, first.start)) == pytest.approx(0.9 + 0.5 + 0.6, rel=8 * EPS)
    assert float(total(second, second.start)) == pytest.approx(0.9 + 0.5 + 0.2, rel=8 * EPS)
    assert len(traces) == 1


def test_a_leaf_keeps_its_dtype() -> None:
    class Single(eqx.Module):
        level: jax.Array = real_field(lower=0.0)

    model = Single(jnp.asarray(0.25, jnp.float32))
    problem = op.parametrise(model, "level")
    assert problem.build(problem.start).level.dtype == jnp.float32


@pytest.mark.parametrize(
    ("free", "transforms", "sentence"),
    [
        ("loss.gamma", None, "must name a parameter of TwoResonators .*'loss.gamma_k'.*but was 'loss.gamma'"),
        (("kappa", "kappa"), None, "one or several different parameters"),
        ((), None, "one or several different parameters"),
        ("loss", None, "must name real parameters, but 'loss' is a NonlocalLoss"),
        ("kappa", {"gamma": op.Positive()}, r"Argument transforms must name free parameters \('kappa',\)"),
        ("kappa", {"kappa": op.Interval(0.0, 1.0)}, "transforms must allow the present value of 'kappa': .*at most 1"),
    ],
)
def test_parametrise_refuses(free, transforms, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        op.parametrise(pair(), free, transforms)
