"""Parameters by path: found, replaced, checked again, selected for an optimiser."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import diffnr as nr
from diffnr import tcmt
from diffnr.checks import check_fields, rate_field, real_field
from diffnr.parameters import bounds, get, paths, replace, select
from systems import central_difference, isolation, random_modes

PAIR = tcmt.TwoResonators(
    omega=(0.1, -0.2), gamma=(0.9, 0.5), gamma_0=(0.2, 0.3), kappa=1.3, loss=tcmt.NonlocalLoss(0.8, mode=1, sensed=0)
)
LAWS = replace(PAIR, {"loss": (tcmt.NonlocalLoss(0.8, 1, 0, epsilon=1e-2), tcmt.TwoPhotonLoss(0.5, 0))})


def test_paths_name_every_leaf_in_the_order_of_jax() -> None:
    assert paths(PAIR) == ("omega", "gamma", "gamma_0", "kappa", "loss.gamma_k")
    assert paths(LAWS) == (*paths(PAIR)[:4], "loss.0.gamma_k", "loss.0.epsilon", "loss.1.coefficient")
    leaves = jax.tree.leaves(eqx.filter(LAWS, eqx.is_array))
    assert all(get(LAWS, path) is leaf for path, leaf in zip(paths(LAWS), leaves, strict=True))


def test_get() -> None:
    assert get(PAIR, "loss.gamma_k") == 0.8
    assert get(PAIR, "gamma.1") == 0.5
    assert get(LAWS, "loss.1.coefficient") == 0.5
    assert get(LAWS, "loss.1") is LAWS.loss[1]
    assert get({"pair": PAIR}, "pair.kappa") == 1.3


@pytest.mark.parametrize(
    "path",
    [
        "",
        "gama",
        "gamma.2",
        "gamma.-1",
        "gamma.x",
        "kappa.0",
        "loss.gamma",
        "loss.0.gamma_k",
        "laws.0",
        "_x",
        "num_modes",
    ],
)
def test_unknown_path_is_answered_with_those_there_are(path: str) -> None:
    asked = {
        "path": (lambda: get(PAIR, path), lambda: bounds(PAIR, path)),
        "values": (lambda: replace(PAIR, {path: 1.0}),),
        "free": (lambda: select(PAIR, path), lambda: select(PAIR, ("kappa", path))),
    }
    for name, ask in ((name, ask) for name, asks in asked.items() for ask in asks):
        sentence = rf"^Argument {name} must name a parameter of TwoResonators \('omega', .*'loss.gamma_k'\), but was '"
        with pytest.raises(ValueError, match=sentence) as error:
            ask()
        assert str(error.value).endswith(f"but was {path!r}.")


def test_replace_returns_a_changed_copy() -> None:
    new = replace(
        LAWS,
        {"kappa": 2, "gamma.1": 0.7, "gamma_0": 0.25, "loss.0.gamma_k": np.float64(0.6), "loss.1.coefficient": 1.5},
    )
    assert type(new) is tcmt.TwoResonators
    assert new.kappa == 2.0
    assert new.gamma.tolist() == [0.9, 0.7]
    assert new.gamma_0.tolist() == [0.25, 0.25]
    assert new.loss[0].gamma_k == 0.6
    assert new.loss[1].coefficient == 1.5
    assert LAWS.kappa == 1.3
    assert LAWS.gamma.tolist() == [0.9, 0.5]
    old, changed = jax.tree.leaves(LAWS), jax.tree.leaves(new)
    assert all(a.dtype == b.dtype and a.shape == b.shape and not b.weak_type for a, b in zip(old, changed, strict=True))


def test_replace_gives_a_leaf_where_there_was_none() -> None:
    soft = replace(PAIR, {"loss.epsilon": 1e-3})
    assert "loss.epsilon" in paths(soft)
    # As a leaf it is differentiable and does not retrace.
    slope = jax.jit(jax.grad(lambda e: isolation(replace(soft, {"loss.epsilon": e}))))(1e-2)
    assert slope != 0.0
    with pytest.raises(ValueError, match=r"^Argument epsilon must be positive"):
        replace(PAIR, {"loss.epsilon": -1e-3})


def test_replace_of_whole_submodels() -> None:
    assert replace(PAIR, {"loss": ()}).linear
    assert replace(LAWS, {"loss.0": tcmt.TwoPhotonLoss(1.0, 1)}).loss[0].mode == 1
    with pytest.raises(ValueError, match=r"^Argument mode must be a mode between 0 and 1, but was 2"):
        replace(PAIR, {"loss": tcmt.TwoPhotonLoss(1.0, 2)})


def test_replace_in_mappings_and_named_tuples() -> None:
    class Both(NamedTuple):
        first: tcmt.TwoResonators
        second: float

    new = replace({"pair": PAIR, "list": [PAIR]}, {"pair.kappa": 2.0, "list.0.kappa": 3.0})
    assert new["pair"].kappa == 2.0
    assert new["list"][0].kappa == 3.0
    assert get(Both(PAIR, 1.0), "0.kappa") == 1.3


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gamma": [-1.0, 1.0]}, r"gamma must not be negative, but was \[-1., 1.\]"),
        ({"gamma.1": -1.0}, r"gamma must not be negative, but was \[ ?0.9, -1. ?\]"),
        ({"kappa": np.nan}, "kappa must be finite, but was nan"),
        ({"loss.gamma_k": -0.1}, "gamma_k must not be negative, but was -0.1"),
        ({"kappa": 2.0, "loss.gamma_k": np.inf}, "gamma_k must be finite, but was inf"),
        ({"gamma": np.ones(3)}, r"gamma must have shape \(2,\), but had shape \(3,\)"),
        ({"kappa": 1j}, "kappa must be real, but was 1j"),
    ],
)
def test_replaced_values_are_checked_again(values: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Argument {sentence}"):
        replace(PAIR, values)


def test_checks_wait_until_all_is_replaced() -> None:
    # C and K of a lossless device belong together: one at a time, either order would be refused.
    device = tcmt.CoupledModes(omega=[0.0], D=[[1.0], [1.0j]], K=[[1.0], [-1.0j]], lossless=True)
    C, K = jnp.array([[0, 1], [1, 0]], complex), jnp.array([[1.0j], [-1.0]])
    changed = replace(device, {"C": C, "K": K})
    np.testing.assert_array_equal(changed.K, K)
    for values in ({"C": C}, {"K": K}):
        with pytest.raises(ValueError, match=r"^Argument K must equal −CᵀD\*"):
            replace(device, values)


def test_replace_under_transformations() -> None:
    def of(gamma_k: Array) -> Array:
        return isolation(replace(PAIR, {"loss.gamma_k": gamma_k}))

    values = jnp.array([0.1, 0.5, 0.9])
    batch = jax.jit(jax.vmap(of))(values)
    np.testing.assert_allclose(batch, jnp.stack([of(v) for v in values]), rtol=1e-12)  # fused otherwise: round-off
    # Steps of 1e-2 from a singularity 1 away: .01⁶, and round-off 1e-15/1e-2.
    np.testing.assert_allclose(jax.jit(jax.grad(of))(0.5), central_difference(of, 0.5, 1e-2), rtol=1e-9)
    entry = jax.jit(jax.grad(lambda g: isolation(replace(PAIR, {"gamma.1": g}))))(0.5)
    whole = jax.jit(jax.grad(lambda g: isolation(replace(PAIR, {"gamma": g}))))(PAIR.gamma)
    np.testing.assert_allclose(entry, whole[1], rtol=1e-12)


def test_a_rate_may_turn_negative_where_its_value_cannot_be_seen() -> None:
    assert jax.jit(lambda g: replace(PAIR, {"gamma.0": g}).gamma[0])(-1.0) == -1.0


@pytest.mark.parametrize(
    ("path", "limits"),
    [
        ("gamma", (0.0, None)),
        ("gamma.1", (0.0, None)),
        ("omega", (None, None)),
        ("kappa", (None, None)),
        ("loss", (None, None)),
        ("loss.0.gamma_k", (0.0, None)),
        ("loss.0.epsilon", (None, None)),
        ("loss.1.coefficient", (0.0, None)),
    ],
)
def test_bounds_travel_with_the_field(path: str, limits: tuple[float | None, float | None]) -> None:
    assert bounds(LAWS, path) == limits


@pytest.mark.parametrize(
    "free",
    [("gamma", "loss.0.gamma_k"), lambda m: (m.gamma, m.loss[0].gamma_k), lambda m: (m.gamma, m.laws[0].gamma_k)],
    ids=["paths", "callable", "callable by a property"],
)
def test_select(free: object) -> None:
    chosen = select(LAWS, free)
    assert chosen.names == ("gamma", "loss.0.gamma_k")
    assert chosen.bounds == ((0.0, None), (0.0, None))
    assert chosen.values[0] is LAWS.gamma
    new = chosen.rebuild((jnp.array([1.0, 2.0]), jnp.array(3.0)))
    assert new.gamma.tolist() == [1.0, 2.0]
    assert new.loss[0].gamma_k == 3.0
    with pytest.raises(ValueError, match=r"^Argument gamma must not be negative"):
        chosen.rebuild((jnp.array([1.0, -2.0]), jnp.array(3.0)))


def test_select_one() -> None:
    for free in ("kappa", lambda m: m.kappa):
        chosen = select(PAIR, free)
        assert chosen.names == ("kappa",)
        assert chosen.rebuild((jnp.array(5.0),)).kappa == 5.0


def test_select_tells_apart_leaves_that_are_one_array() -> None:
    rate = jnp.array([0.5, 0.5])
    pair = tcmt.TwoResonators(omega=rate, gamma=rate, gamma_0=rate, kappa=1.0)
    assert select(pair, lambda m: m.gamma).names == ("gamma",)
    assert select(pair, lambda m: m.omega).bounds == ((None, None),)


@pytest.mark.parametrize(
    ("free", "sentence"),
    [
        ((), "must name one or several different parameters"),
        (("kappa", "kappa"), "must name one or several different parameters"),
        (lambda m: (m.kappa, m.kappa), "must name one or several different parameters"),
        ("loss", "must name real parameters, but 'loss' is a NonlocalLoss"),
        ("loss.mode", "must name real parameters, but 'loss.mode' is a int"),
        (lambda m: m.loss, "must pick leaves of the model as they are, but picked a NonlocalLoss"),
        (lambda m: m.gamma[1], "must pick leaves of the model as they are"),
        (lambda m: 2 * m.kappa, "must pick leaves of the model as they are"),
        (lambda m: m.kapa, "must pick leaves of the model as they are"),
    ],
)
def test_select_refuses(free: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Argument free {sentence}"):
        select(PAIR, free)


def test_complex_parameters_are_not_free() -> None:
    device = tcmt.CoupledModes(**random_modes(0, 2, 2))
    with pytest.raises(ValueError, match=r"^Argument free must name real parameters, but 'D' is a complex128 array"):
        select(device, "D")


def test_fields_know_their_bounds_and_names() -> None:
    class Model(eqx.Module):
        rate: Array = rate_field()
        angle: Array = real_field(-1.0, 1.0, default=0.0)

        def __check_init__(self) -> None:
            check_fields(self)

    assert Model(2).rate.dtype == jnp.float64
    assert not Model(2.0).rate.weak_type
    for arguments, sentence in (
        ((-2,), "rate must not be negative, but was -2"),
        ((1j,), r"rate must be real, but was 0\+1j"),
        ((1.0, [0.0, 2.0]), r"angle must be at most 1, but was \[0., 2.\]"),
        ((1.0, -1.5), "angle must be at least -1, but was -1.5"),
        ((np.inf,), "rate must be finite, but was inf"),
    ):
        with pytest.raises(ValueError, match=f"^Argument {sentence}"):
            Model(*arguments)
    assert nr.paths(Model(1.0)) == ("rate", "angle")
