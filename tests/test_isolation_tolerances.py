"""Designs judged over a box of tolerances, against closed forms and brute force over the same corners."""

import itertools
from functools import partial

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.optimize

from diffnr import Drive, metrics, parameters, port_response, tcmt
from optimize.isolation.cases import MOST_TOLERANCES, Cases, assess, powers, shifted
from optimize.isolation.design import maximise_contrast, maximise_isolation, minimise_insertion_loss

KAPPA, GAMMA_0 = 3.0, 0.5
GAMMA = (GAMMA_0**2 + KAPPA**2) ** 0.5
DELTA = 0.1  # of κ


def pair(loss=None, gamma_0=GAMMA_0):
    loss = tcmt.NonlocalLoss(gamma_k=2.7, mode=1, sensed=0) if loss is None else loss
    return tcmt.TwoResonators((0.0, 0.0), (GAMMA,) * 2, (gamma_0,) * 2, KAPPA, loss)


ON_RESONANCE = {"omega": 0.0, "out": 0, "into": 1}
SEARCH = {**ON_RESONANCE, "free": "loss.gamma_k", "starts": 2}
KAPPA_BOX = {"kappa": DELTA}
isolate = partial(maximise_isolation, pair(), **SEARCH)


def waves(gamma_k, kappa=KAPPA, gamma_0=GAMMA_0):
    """|t12| (passes) and |t21| (blocked) on resonance, by paper 1's closed forms as corrected."""
    loss = (GAMMA + gamma_0) ** 2 + kappa**2
    blocked = 2 * GAMMA * np.maximum(kappa - gamma_k, 0.0) / (loss - kappa * np.minimum(gamma_k, kappa))
    return 2 * GAMMA * kappa / (loss + kappa * gamma_k), blocked


def ratio_of(*args, **kwargs):
    passed, blocked = waves(*args, **kwargs)
    return blocked / passed


def loss_of(*args, **kwargs):
    return -20 * np.log10(waves(*args, **kwargs)[0])


def contrast_of(*args, **kwargs):
    passed, blocked = waves(*args, **kwargs)
    return passed**2 - blocked**2


def gamma_k_of(design):
    return float(design.values["loss.gamma_k"])


def figures(model, omega=0.0):
    response = port_response(model, Drive(omega))
    names = (metrics.isolation, metrics.insertion_loss, metrics.contrast)
    return np.array([float(metric(response, out=0, into=1)) for metric in names])


@pytest.mark.slow
def test_isolation_holds_for_the_strongest_coupling_of_the_box():
    best = isolate(tolerances=KAPPA_BOX)
    # The ratio grows with κ, so the corner κ + δ sets γ_k.
    expected = scipy.optimize.brentq(lambda g: ratio_of(g, KAPPA + DELTA) - 1e-3, KAPPA, KAPPA + DELTA, xtol=1e-14)
    assert gamma_k_of(best) == pytest.approx(expected, rel=1e-7)  # a vertex, to the step tolerance
    assert (best.active, best.feasible, best.converged) == ("isolation_cap", True, True)
    assert best.isolation == pytest.approx(60.0, abs=1e-4)
    # The loss grows as κ falls.
    assert best.insertion_loss == pytest.approx(loss_of(expected, KAPPA - DELTA), abs=1e-6)
    assert figures(best.model)[0] == np.inf  # at the centre κ < γ_k blocks wholly


@pytest.mark.slow
def test_a_tolerance_of_the_free_leaf_moves_with_it():
    delta = 0.05
    best = isolate(tolerances={**KAPPA_BOX, "loss.gamma_k": delta}, isolation_cap=140.0)
    # Complete isolation needs γ_k − δ ≥ κ + δ_κ; at 140 dB, r = 1e-7, it is short of that by about κ r.
    assert gamma_k_of(best) == pytest.approx(KAPPA + DELTA + delta, abs=1e-6)
    assert gamma_k_of(best) > KAPPA + DELTA
    assert best.insertion_loss == pytest.approx(loss_of(KAPPA + DELTA + 2 * delta, KAPPA - DELTA), abs=1e-5)


def test_the_loss_limit_holds_in_the_whole_box():
    limit = 4.2
    best = isolate(tolerances=KAPPA_BOX, max_insertion_loss=limit)
    kappas = np.linspace(KAPPA - DELTA, KAPPA + DELTA, 101)
    expected = scipy.optimize.brentq(lambda g: loss_of(g, kappas).max() - limit, 0.5, KAPPA, xtol=1e-14)
    assert gamma_k_of(best) == pytest.approx(expected, rel=1e-7)
    # The whole box against its corners: κ is monotone here.
    assert best.isolation == pytest.approx(-20 * np.log10(ratio_of(expected, kappas).max()), abs=1e-5)
    assert best.active == "max_insertion_loss"

    least = minimise_insertion_loss(pair(), **SEARCH, tolerances=KAPPA_BOX, min_isolation=best.isolation)
    assert gamma_k_of(least) == pytest.approx(expected, rel=1e-6)  # the same vertex, from its other side


def test_contrast_against_brute_force():
    best = maximise_contrast(pair(), **SEARCH, tolerances=KAPPA_BOX)
    kappas = np.linspace(KAPPA - DELTA, KAPPA + DELTA, 201)
    grid = np.linspace(0.5 * KAPPA, 1.2 * KAPPA, 4001)
    values = contrast_of(grid[:, None], kappas).min(-1)
    assert abs(gamma_k_of(best) - grid[np.argmax(values)]) <= np.diff(grid)[0]
    assert best.objective == best.contrast >= values.max() - 1e-12
    other = scipy.optimize.minimize_scalar(
        lambda g: -contrast_of(g, kappas).min(), bounds=(0.9 * KAPPA, 1.1 * KAPPA), options={"xatol": 1e-12}
    )
    # A value near an optimum, of which Brent's method resolves √(round-off) of γ_k, and its square here.
    assert best.objective == pytest.approx(-other.fun, abs=1e-12)
    assert gamma_k_of(best) == pytest.approx(other.x, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("search", [maximise_isolation, maximise_contrast])
def test_a_nominal_design_is_worse_in_the_box(search):
    nominal = search(pair(), **SEARCH)
    robust = search(pair(), **SEARCH, tolerances=KAPPA_BOX)
    boxed = assess(nominal.model, **ON_RESONANCE, tolerances=KAPPA_BOX)
    what = "isolation" if search is maximise_isolation else "contrast"
    gained = {"isolation": 20.0, "contrast": 1e-3}[what]  # 60 dB against about 36; the contrast is flat at its optimum
    assert getattr(boxed, what) < getattr(robust, what) - gained
    # And the robust one pays for it where nothing is off.
    assert assess(robust.model, **ON_RESONANCE).insertion_loss > nominal.insertion_loss
    again = assess(robust.model, **ON_RESONANCE, tolerances=KAPPA_BOX)
    # The same formulas in another compilation: round-off, which the ratio 1e-3 divides by itself.
    assert again.isolation == pytest.approx(robust.isolation, abs=1e-9)
    assert again.insertion_loss == pytest.approx(robust.insertion_loss, abs=1e-12)
    assert again.contrast == pytest.approx(robust.contrast, abs=1e-12)


@pytest.mark.parametrize("nothing", [{}, {"kappa": 0.0}, {"gamma": [0.0, 0.0], "omega": 0}])
def test_no_tolerance_is_the_nominal_design(nothing):
    nominal, same = isolate(), isolate(tolerances=nothing)
    assert eqx.tree_equal(nominal, same)


@pytest.mark.slow
def test_band_and_box_together_against_brute_force():
    band, points, widths = (-0.7, 0.9), 5, {"gamma": [0.4, 0.0], "gamma_0": 0.2, "kappa": 0.1}
    settings = {"band": band, "points": points, "out": 0, "into": 1, "tolerances": widths}
    best = maximise_contrast(pair(), free="loss.gamma_k", starts=2, **settings)

    def corner(model, signs):
        s1, s2, s3, s4 = signs
        new = {"gamma": model.gamma + np.array([0.4 * s1, 0.0]), "kappa": model.kappa + 0.1 * s4}
        return parameters.replace(model, {**new, "gamma_0": model.gamma_0 + 0.2 * np.array([s2, s3])})

    def worst(gamma_k):
        model = parameters.replace(pair(), {"loss.gamma_k": gamma_k})
        corners = [model, *(corner(model, signs) for signs in itertools.product((-1, 1), repeat=4))]
        cases = [figures(device, omega) for device in corners for omega in np.linspace(*band, points)]
        isolation, loss, contrast = np.array(cases).T
        return isolation.min(), loss.max(), contrast.min()

    found = worst(gamma_k_of(best))
    # The loop's metrics and the vectorised figures are the same formulas: round-off.
    np.testing.assert_allclose([best.isolation, best.insertion_loss, best.contrast], found, rtol=1e-10)
    # Nothing near it is better, to what a step of 1e-4 changes at a kink (slope ≲ .1) and beyond.
    for step in (-0.3, -1e-2, -1e-4, 1e-4, 1e-2, 0.3):
        assert worst(gamma_k_of(best) + step)[2] < best.contrast
    assessed = assess(best.model, **settings)
    np.testing.assert_allclose([assessed.isolation, assessed.insertion_loss, assessed.contrast], found, rtol=1e-10)


def test_a_leaf_stops_at_its_bound():
    model = pair()
    moved = jax.jit(lambda shift: shifted(model, {"gamma_0": shift, "omega": shift}))(np.array([-2.0, 2.0]))
    np.testing.assert_array_equal(moved.gamma_0, [0.0, 2.5])
    np.testing.assert_array_equal(moved.omega, [-2.0, 2.0])
    # With γ0 anywhere from 0 to 1.5 the contrast is least where it is largest, and the ratio where it is 0.
    found = assess(parameters.replace(model, {"loss.gamma_k": 2.7}), **ON_RESONANCE, tolerances={"gamma_0": 1.0})
    assert found.insertion_loss == pytest.approx(loss_of(2.7, gamma_0=1.5), abs=1e-10)  # round-off
    isolations = [-20 * np.log10(ratio_of(2.7, gamma_0=x)) for x in (0.0, 0.5, 1.5)]
    assert found.isolation == pytest.approx(min(isolations), abs=1e-10)


def test_the_program_does_not_grow_with_the_corners():
    """The cases are one vmapped axis: what is compiled for 257 of them is hardly longer than for 3."""

    def program(widths):
        cases = Cases.of(pair(), **ON_RESONANCE, tolerances=widths)
        return cases.omegas.size, str(jax.make_jaxpr(lambda c: powers(pair(), c))(cases)).count("\n")

    few, short = program(KAPPA_BOX)
    many, long = program(dict.fromkeys(("omega", "gamma", "gamma_0", "kappa", "loss.gamma_k"), 0.1))
    assert (few, many) == (3, 2**MOST_TOLERANCES + 1)
    assert long < 2 * short  # a clip and an addition for each of five leaves


@pytest.mark.parametrize(
    ("tolerances", "message"),
    [
        (
            {"kapa": 0.1},
            r"Argument tolerances must name real parameters of TwoResonators \('omega', .*\), but had 'kapa'",
        ),
        ({"loss": 0.1}, "Argument tolerances must name real parameters of TwoResonators .*, but had 'loss'"),
        ({"kappa": -0.1}, r"Argument tolerances\['kappa'\] must not be negative, but was -0.1"),
        ({"kappa": np.nan}, r"Argument tolerances\['kappa'\] must be finite, but was nan"),
        ({"gamma": [0.1, np.inf]}, r"Argument tolerances\['gamma'\] must be finite"),
        (
            {"gamma": [0.1] * 3},
            r"Argument tolerances\['gamma'\] must have shape \(\) or \(2,\), but was of shape \(3,\)",
        ),
        ({"kappa": [0.1]}, r"Argument tolerances\['kappa'\] must have shape \(\), but was of shape \(1,\)"),
        ({"kappa": 0.1j}, r"Argument tolerances\['kappa'\] must be real"),
    ],
)
def test_tolerances_that_make_no_sense(tolerances, message):
    for search in (isolate, partial(maximise_contrast, pair(), **SEARCH), partial(assess, pair(), **ON_RESONANCE)):
        with pytest.raises(ValueError, match=message):
            search(tolerances=tolerances)


def test_too_many_tolerances():
    laws = (tcmt.SaturableLoss(coefficient=0.1, mode=1),)
    widths = dict.fromkeys(("omega", "gamma", "gamma_0", "kappa", "loss.0.coefficient", "loss.0.saturation"), 0.1)
    with pytest.raises(ValueError, match=r"no more than 8 entries a half-width other than 0 .*, but was of 9 entries"):
        assess(pair(laws), **ON_RESONANCE, tolerances=widths)


def test_complex_matrices_have_no_tolerance():
    device = tcmt.CoupledModes(omega=[0.0, 1.0], D=np.eye(2), loss=tcmt.NonlocalLoss(0.5, mode=1, sensed=0))
    with pytest.raises(ValueError, match=r"real parameters of CoupledModes \('loss.gamma_k'\), but had 'D'"):
        assess(device, **ON_RESONANCE, tolerances={"D": 0.1})
