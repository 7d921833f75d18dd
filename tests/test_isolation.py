"""Design for isolation, against closed forms written out from the physics, brute force and scipy."""

from functools import partial

import numpy as np
import pytest
import scipy.optimize

from diffnr import Drive, metrics, parameters, port_response, tcmt
from optimize.isolation.cases import assess
from optimize.isolation.design import maximise_contrast, maximise_isolation, minimise_insertion_loss
from optimize.transforms import Interval
from slow import slow_except

KAPPA, GAMMA_0 = 3.0, 0.5
GAMMA = (GAMMA_0**2 + KAPPA**2) ** 0.5


def pair(loss=None, gamma=GAMMA, gamma_0=GAMMA_0, kappa=KAPPA, unit=1.0):
    loss = tcmt.NonlocalLoss(gamma_k=2.7 * unit, mode=1, sensed=0) if loss is None else loss
    rates = {"gamma": (gamma * unit,) * 2, "gamma_0": (gamma_0 * unit,) * 2, "kappa": kappa * unit}
    return tcmt.TwoResonators(omega=(0.0, 0.0), **rates, loss=loss)


isolate = partial(maximise_isolation, omega=0.0, free="loss.gamma_k", out=0, into=1)


def gamma_k_of(design):
    return float(design.values["loss.gamma_k"])


def waves(gamma_k, gamma=(GAMMA, GAMMA), omega=0.0, gamma_0=GAMMA_0, kappa=KAPPA):
    """|t12| (passes) and |t21| (blocked) of the pair with nonlocal loss, by paper 1's closed forms as corrected."""
    (g1, g2), omega = gamma, np.asarray(omega)
    z1, z2 = g1 + gamma_0 + 1j * omega, g2 + gamma_0 + 1j * omega
    passed = 2 * np.sqrt(g1 * g2) * kappa / np.abs(z1 * (z2 + gamma_k * kappa / np.abs(z1)) + kappa**2)
    root = np.sqrt(np.maximum(np.abs(z2) ** 2 * kappa**2 - omega**2 * gamma_k**2, 0.0))
    rho = (kappa**2 - gamma_k**2) / (root + z2.real * gamma_k)
    u = 1j * kappa / (z2 * rho + gamma_k)
    blocked = 2 * np.sqrt(g1 * g2) * rho / np.abs(z1 - 1j * kappa * rho * u)
    return passed, np.where(gamma_k < kappa, blocked, 0.0)


def loss_of(*args, **kwargs):
    return -20 * np.log10(waves(*args, **kwargs)[0])


def ratio_of(*args, **kwargs):
    passed, blocked = waves(*args, **kwargs)
    return blocked / passed


AT_CAP = scipy.optimize.brentq(lambda g: ratio_of(g) - 1e-3, 2.9, KAPPA, xtol=1e-14)


@pytest.mark.slow
def test_an_unstable_device_is_not_judged():
    """Its numbers exist, but no device stays in a state that grows: linear with gain, and self-pulsing."""
    lossy, amplifier = (tcmt.ActiveModes([0.0], [[1.0], [1.0]], gamma_i=[rate]) for rate in (-0.9, -1.1))
    at = {"omega": 0.3, "out": 0, "into": 1}
    assert assess(lossy, **at).valid
    assert not assess(amplifier, **at).valid
    # At 0.322 growth in the forward state only (tests/test_tcmt_stability.py).
    half = np.array([0.0564, 0.0956]) / 2
    pulsing = tcmt.TwoResonators((4.266, 0.311), half, half, 5.0, tcmt.NonlocalLoss(3.0482, mode=1, sensed=0))
    assert not assess(pulsing, omega=0.0, out=1, into=0).valid


@pytest.mark.slow
def test_insertion_loss_decides():
    best = isolate(pair(), max_insertion_loss=3.0)
    # The digits printed by an independent solver.
    assert gamma_k_of(best) == pytest.approx(1.41167003, abs=5e-9)
    assert best.objective == pytest.approx(2.0633, abs=5e-5)
    assert (best.active, best.feasible, best.converged) == ("max_insertion_loss", True, True)
    response = port_response(best.model, Drive(omega=0.0))
    # The same numbers, computed by the same formulas: round-off.
    assert (
        best.objective == best.isolation == pytest.approx(float(metrics.isolation(response, out=0, into=1)), abs=1e-10)
    )
    assert best.insertion_loss == pytest.approx(float(metrics.insertion_loss(response, out=0, into=1)), abs=1e-10)
    assert best.contrast == pytest.approx(float(metrics.contrast(response, out=0, into=1)), abs=1e-12)
    assert type(best.model) is tcmt.TwoResonators
    assert "insertion loss of 3 dB decided" in best.message
    for text in ("loss.gamma_k = 1.41167", "2.0633 dB", "3.0000 dB", best.message):
        assert text in best.report()


@pytest.mark.slow
def test_insertion_loss_decides_near_the_edge():
    best = isolate(pair(), max_insertion_loss=4.4)
    expected = scipy.optimize.brentq(lambda g: loss_of(g) - 4.4, 2.0, KAPPA, xtol=1e-14)
    # A vertex: the constraint alone fixes the design, to the step tolerance of 1e-8 relative.
    assert gamma_k_of(best) == pytest.approx(expected, rel=1e-7)
    assert best.isolation == pytest.approx(-20 * np.log10(ratio_of(expected)), abs=1e-5)


@pytest.mark.parametrize("limit", slow_except([None, 4.9], 1))
def test_at_the_cap_the_least_insertion_loss_wins(limit):
    best = isolate(pair(), max_insertion_loss=limit)
    assert gamma_k_of(best) == pytest.approx(AT_CAP, rel=1e-7)
    assert best.insertion_loss == pytest.approx(loss_of(AT_CAP), abs=1e-6)
    assert best.isolation == pytest.approx(60.0, abs=1e-4)
    assert (best.active, best.feasible, best.converged) == ("isolation_cap", True, True)


def test_the_cap_is_the_users():
    best = isolate(pair(), isolation_cap=20.0)
    assert gamma_k_of(best) == pytest.approx(0.957132 * KAPPA, abs=5e-7 * KAPPA)  # printed digits
    assert best.objective == pytest.approx(20.0, abs=1e-6)


@pytest.mark.parametrize("starts", [1, 8])
@pytest.mark.parametrize("start", [0.0, 1e-9, 2.7e-3, 2.999999, 3.0, 3.5, 2.7e3, 1e6])
def test_any_start_leads_to_the_same_design(start, starts):
    model = parameters.replace(pair(), {"loss.gamma_k": start})
    best = isolate(model, max_insertion_loss=3.0, starts=starts)
    assert gamma_k_of(best) == pytest.approx(1.41167003, rel=1e-7)
    assert best.converged
    assert gamma_k_of(isolate(model, starts=starts)) == pytest.approx(AT_CAP, rel=1e-7)


@pytest.mark.parametrize("unit", [1e6, 1e12, 1e-9])
def test_the_unit_of_rates_does_not_matter(unit):
    assert gamma_k_of(isolate(pair(unit=unit), max_insertion_loss=3.0)) == pytest.approx(1.41167003 * unit, rel=1e-7)
    assert gamma_k_of(isolate(pair(unit=unit))) == pytest.approx(AT_CAP * unit, rel=1e-7)


def test_a_limit_out_of_reach_gives_the_nearest_design():
    best = isolate(pair(), max_insertion_loss=1.0)
    assert not best.feasible
    assert best.active == "max_insertion_loss"
    assert best.insertion_loss == pytest.approx(loss_of(0.0), abs=1e-6)
    assert f"the least found is {loss_of(0.0):.6g} dB" in best.message
    assert gamma_k_of(best) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("kappa", "fraction"), [(0.3, 0.94890), (1.0, 0.91968), (3.0, 0.94062)])
def test_contrast_has_an_interior_optimum(kappa, fraction):
    model = pair(kappa=kappa, gamma=(GAMMA_0**2 + kappa**2) ** 0.5)
    best = maximise_contrast(model, omega=0.0, free="loss.gamma_k", out=0, into=1)
    assert gamma_k_of(best) == pytest.approx(fraction * kappa, abs=1e-5 * kappa)  # printed digits
    assert best.objective == best.contrast
    assert (best.active, best.feasible, best.converged) == ("none", True, True)


def test_least_loss_for_enough_isolation():
    find = partial(minimise_insertion_loss, pair(), omega=0.0, free="loss.gamma_k", out=0, into=1)
    best = find(min_isolation=20.0)
    assert gamma_k_of(best) == pytest.approx(0.957132 * KAPPA, abs=5e-7 * KAPPA)  # printed digits
    assert best.objective == best.insertion_loss == pytest.approx(loss_of(gamma_k_of(best)), abs=1e-8)
    assert best.active == "min_isolation"


ALL_THREE = {"omega": 0.0, "free": ("loss.gamma_k", "kappa", "gamma"), "out": 0, "into": 1, "starts": 2}


@pytest.mark.parametrize("gamma", [(GAMMA, GAMMA), (1.0, 7.0), (0.3, 40.0)], ids=["alike", "unlike", "far apart"])
@pytest.mark.slow
def test_several_free_leaves_reach_the_matched_bound(gamma):
    start = parameters.replace(pair(gamma_0=0.0), {"gamma": np.array(gamma)})
    best = maximise_isolation(start, isolation_cap=120.0, **ALL_THREE)
    gamma_k, kappa = gamma_k_of(best), float(best.values["kappa"])
    assert best.isolation == pytest.approx(120.0, abs=1e-4)  # met within 9e-6 dB
    # r = 1e-6 leaves γ_k/κ = 1 − r den_f/den_b, which costs 1e-6 dB less than γ_k = κ.
    assert best.insertion_loss == pytest.approx(10 * np.log10(2), abs=1e-5)
    bound = 10 * np.log10(1 + gamma_k / kappa)
    assert bound - 1e-9 <= best.insertion_loss <= bound + 1e-6
    # Any matched pair will do: the loss is flat along γ1 γ2 = κ² + κ γ_k, and quadratic off it.
    gamma_1, gamma_2 = map(float, best.values["gamma"])
    assert gamma_1 * gamma_2 == pytest.approx(kappa**2 + kappa * gamma_k, rel=1e-3)


@pytest.mark.slow
def test_the_matched_bound_is_out_of_reach_of_intrinsic_loss():
    best = maximise_isolation(pair(), max_insertion_loss=3.0, **ALL_THREE)
    bound = 10 * np.log10(1 + gamma_k_of(best) / float(best.values["kappa"]))
    assert bound < best.insertion_loss <= 3.0 + 1e-6
    assert best.isolation > isolate(pair(), max_insertion_loss=3.0).isolation


@pytest.mark.slow
def test_with_intrinsic_loss_the_strongest_coupling_is_best():
    largest = 5.0
    best = maximise_isolation(pair(), transforms={"kappa": Interval(0.1, largest)}, **ALL_THREE)

    def at_cap(gamma):
        """γ_k of 60 dB for equal ports, from |t12|/|t21| = κ den_f / ((κ − γ_k) den_b) on resonance."""
        whole = (gamma + GAMMA_0) ** 2 + largest**2

        def excess(g):
            return (largest - g) * (whole + largest * g) / (largest * (whole - largest * g)) - 1e-3

        return scipy.optimize.brentq(excess, 0.9 * largest, largest, xtol=1e-14)

    def least_loss(gamma):
        whole = (gamma + GAMMA_0) ** 2 + largest**2
        return -20 * np.log10(2 * gamma * largest / (whole + largest * at_cap(gamma)))

    ports = scipy.optimize.minimize_scalar(least_loss, bounds=(1.0, 20.0), options={"xatol": 1e-12})
    # A sigmoid reaches its edge at infinity only: the search ends where less than its tolerance is to be won.
    assert float(best.values["kappa"]) == pytest.approx(largest, rel=1e-6)
    assert best.insertion_loss == pytest.approx(ports.fun, abs=1e-6)
    # A flat optimum: 1e-6 dB resolve γ to about √1e-6.
    np.testing.assert_allclose(best.values["gamma"], ports.x, rtol=1e-3)
    assert gamma_k_of(best) == pytest.approx(at_cap(ports.x), rel=1e-5)


@pytest.mark.slow
def test_the_worst_of_a_band():
    band, limit = (-0.7, 0.9), 4.0
    best = maximise_isolation(
        pair(), band=band, free=("loss.gamma_k", "gamma"), out=0, into=1, max_insertion_loss=limit
    )
    gamma_k, gamma = gamma_k_of(best), np.asarray(best.values["gamma"])
    fine = np.linspace(*band, 4001)
    # Between the 21 points, .08 apart where linewidths are 5, the loss bends by less than 1e-3 dB above the limit.
    assert -20 * np.log10(ratio_of(gamma_k, gamma, fine).max()) == pytest.approx(best.isolation, abs=2e-3)
    assert loss_of(gamma_k, gamma, fine).max() == pytest.approx(limit, abs=1e-3)

    # An independent solver on the same 21 points, with the closed forms and an epigraph variable.
    points = np.linspace(*band, 21)
    limits = [
        {"type": "ineq", "fun": lambda x: x[3] - ratio_of(x[0], x[1:3], points)},
        {"type": "ineq", "fun": lambda x: limit - loss_of(x[0], x[1:3], points)},
    ]
    start, bounds = [2.0, 4.0, 4.0, 0.9], [(0.1, 2.999), (0.5, 9.0), (0.5, 9.0), (0.0, 2.0)]
    options = {"ftol": 1e-14, "maxiter": 500}
    other = scipy.optimize.minimize(
        lambda x: x[3], start, jac=lambda x: np.eye(4)[3], bounds=bounds, constraints=limits, options=options
    )
    # Its derivatives are differences with a step of 1.5e-8.
    assert -20 * np.log10(other.x[3]) == pytest.approx(best.isolation, abs=1e-4)
    np.testing.assert_allclose([gamma_k, *gamma], other.x[:3], rtol=1e-4)


@pytest.mark.slow
def test_the_regularised_law_agrees_with_the_exact_one():
    loss = tcmt.NonlocalLoss(gamma_k=1e-3, mode=1, sensed=0, epsilon=1e-4)
    best = isolate(pair(loss), max_insertion_loss=3.0, starts=2)
    # The regularisation moves ρ by γ_k ε²/(2 G₂ ρ³), about 1e-8 here.
    assert gamma_k_of(best) == pytest.approx(1.41167003, abs=1e-7)
    # Beyond κ the regularised ρ is εκ/√(γ_k² − κ²): 60 dB need r = ρ |t12's den / t21's den| there.
    capped = isolate(pair(loss), starts=2)
    gamma_k, G = gamma_k_of(capped), GAMMA + GAMMA_0
    rho = 1e-4 * KAPPA / (gamma_k**2 - KAPPA**2) ** 0.5
    ratio = rho / (G + KAPPA * rho) * (G**2 + KAPPA**2 + KAPPA * gamma_k) / KAPPA
    # The formula is the leading order in ρ = 3e-4, where ε² under the root of the exact law is not small against ρ².
    assert capped.isolation == pytest.approx(60.0, abs=1e-4)
    assert -20 * np.log10(ratio) == pytest.approx(60.0, abs=0.5)
    assert gamma_k > KAPPA


@pytest.mark.parametrize(
    "law", [tcmt.TwoPhotonLoss, pytest.param(tcmt.SaturableLoss, marks=pytest.mark.slow)], ids=["kerr", "saturable"]
)
@pytest.mark.slow
def test_local_laws_against_brute_force(law):
    model = pair(law(coefficient=1.0, mode=1))
    out, into = (1, 0) if law is tcmt.TwoPhotonLoss else (0, 1)  # Kerr-like loss isolates the other way
    best = maximise_isolation(
        model, omega=0.0, free="loss.coefficient", out=out, into=into, max_insertion_loss=3.0, starts=2
    )

    def figures(coefficient):
        changed = parameters.replace(model, {"loss.coefficient": coefficient})
        response = port_response(changed, Drive(omega=0.0))
        names = (metrics.isolation, metrics.insertion_loss)
        return [float(metric(response, out=out, into=into)) for metric in names]

    grid = np.geomspace(1e-2, 1e2, 60)
    isolation, loss = np.array([figures(c) for c in grid]).T
    assert best.feasible
    assert best.objective >= isolation[loss <= 3.0].max() - 1e-6
    assert figures(best.values["loss.coefficient"]) == pytest.approx([best.isolation, best.insertion_loss], abs=1e-6)
    assert 0.01 < best.objective < 1.0


@pytest.mark.slow
def test_generic_coupled_modes_with_an_ideal_nonreciprocal_coupling():
    model = tcmt.CoupledModes(
        omega=np.array([[0.0, KAPPA], [KAPPA, 0.0]]),
        D=np.eye(2) * (2 * GAMMA) ** 0.5,
        gamma_i=np.array([GAMMA_0, GAMMA_0]),
        terms=tcmt.IdealNonreciprocalCoupling(gamma_k=1e-2, mode=1, sensed=0),
    )
    best = isolate(model, free="terms.gamma_k", starts=2)
    # Linear: r = |1 − γ_k/κ| both sides of κ, and beyond it the common determinant G² + κ(κ − γ_k) is smaller.
    assert float(best.values["terms.gamma_k"]) == pytest.approx(1.001 * KAPPA, rel=1e-7)
    assert best.active == "isolation_cap"
    assert type(best.model) is tcmt.CoupledModes


def test_a_step_limit_is_reported():
    best = isolate(pair(), starts=1, max_steps=3)
    assert not best.converged
    assert "raise max_steps" in best.message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"omega": None}, "Argument omega must be given, or band, and not both, but was not given."),
        ({"band": (0.0, 1.0)}, "Argument omega must be given, or band, and not both, but was given with band."),
        ({"omega": None, "band": (1.0, 0.0)}, r"Argument band must be \(lowest, highest\), in this order"),
        ({"omega": None, "band": (0.0, np.inf)}, "Argument band must be finite"),
        (
            {"omega": None, "band": (0.0, 1.0), "points": 1},
            "Argument points must be a whole number between 2 and",
        ),
        ({"omega": np.zeros(2)}, "Argument omega must be a scalar"),
        ({"omega": np.nan}, "Argument omega must be finite"),
        ({"into": 0}, "Argument into must differ from out, but was 0 like out"),
        ({"out": 2}, "Argument out must be a port between 0 and 1, but was 2"),
        ({"free": "loss.gamma"}, "Argument free must name a parameter of TwoResonators"),
        ({"transforms": {"kappa": Interval(1.0, 2.0)}}, "Argument transforms must name free parameters"),
        ({"max_insertion_loss": -1.0}, "Argument max_insertion_loss must be a number of dB that is finite and not neg"),
        ({"max_insertion_loss": np.nan}, "Argument max_insertion_loss must be a number of dB"),
        ({"isolation_cap": 0.0}, "Argument isolation_cap must be positive and finite, but was 0.0"),
        ({"isolation_cap": np.inf}, "Argument isolation_cap must be positive and finite, but was inf"),
        ({"amplitude": 0.0}, "Argument amplitude must be a scalar other than 0"),
        ({"starts": 0}, "Argument starts must be a whole number between 1 and 4096, but was 0"),
        ({"tolerance": 0.0}, "Argument tolerance must be positive, but was 0"),
        ({"max_steps": 0}, "Argument max_steps must be a whole number of at least 1, but was 0"),
    ],
)
def test_arguments_that_make_no_sense(changed, message):
    with pytest.raises(ValueError, match=message):
        isolate(pair(), **changed)
    if "isolation_cap" not in changed and "max_insertion_loss" not in changed:
        with pytest.raises(ValueError, match=message):
            maximise_contrast(pair(), **{**isolate.keywords, **changed})


def test_too_little_isolation_asked_for():
    with pytest.raises(
        ValueError, match="Argument min_isolation must be a number of dB that is finite and not negative"
    ):
        minimise_insertion_loss(pair(), min_isolation=-3.0, **isolate.keywords)
