"""From fit to design: the device of a fit, what data leave possible beside it, and designs judged by that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
import optimize as op
from diffnr import FieldData, tcmt
from optimize import Scenarios, fit_modes

OMEGA = np.linspace(-4.0, 4.0, 201)
# C = −1 reflects without loss: noise takes the measured S beyond what is passive, and the fit to the boundary.
TRUE = tcmt.CoupledModes([[0.0, 0.8], [0.8, 0.3]], [[1.0, 0.6], [0.5j, 1.0]], gamma_i=[0.2, 0.3])
NOISE = 2e-3


def measured(seed: int, model=TRUE) -> FieldData:
    rng, s = np.random.default_rng(seed), np.asarray(nr.scattering(model, OMEGA))
    return FieldData(OMEGA, s + NOISE * (rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape)))


def drawn(model, scenarios: Scenarios, omega: float):
    """S [draw, out, in] of all the models that scenarios stand for."""

    @jax.jit
    @jax.vmap
    def solve(shifts):
        moved = nr.replace(model, {path: nr.get(model, path) + shift for path, shift in shifts.items()})
        return nr.scattering(moved, jnp.array([omega]))[0]

    return np.asarray(solve(scenarios.shifts))


@pytest.fixture(scope="module")
def fit():
    return fit_modes(measured(0), 2)


def test_the_model_is_the_fitted_response_where_nothing_absorbs_off_resonance(fit) -> None:
    assert isinstance(fit.model, tcmt.PassiveModes)
    assert fit.model_scale > 0.999
    # It is S times the part that `model_scale` says, realised to the balance of energy, 1e-6.
    s = np.asarray(nr.scattering(fit.model, OMEGA)) / fit.model_scale
    assert np.max(np.abs(s - np.asarray(fit.predict(OMEGA)))) < 1e-5


def test_scenarios_scatter_by_the_standard_errors(fit) -> None:
    scenarios = fit.scenarios(400)
    assert scenarios.draws == 400
    moved = {path: np.asarray(nr.get(fit.model, path)) + x for path, x in scenarios.shifts.items()}
    D, omega = moved["D"][..., 0] + 1j * moved["D"][..., 1], moved["omega"]
    skew = np.tril(omega, -1)
    hermitian = np.triu(omega) + np.triu(omega, 1).swapaxes(1, 2) + 1j * (skew - skew.swapaxes(1, 2))
    rates = np.linalg.eigvals(1j * hermitian - D.conj().swapaxes(1, 2) @ D / 2)
    gamma = np.array([-pole[np.argsort(pole.imag)].real for pole in rates])
    # 400 draws, in pairs, tell a deviation to 1/√400, .05; four times that. Errors are those of poles, to first order.
    np.testing.assert_allclose(np.std(gamma, axis=0), fit.stderr.gamma, rtol=0.2)
    first = fit.scenarios(4).shifts["omega"]
    np.testing.assert_array_equal(first, fit.scenarios(4).shifts["omega"])  # the same draws each time


@pytest.mark.slow
def test_scenarios_scatter_as_fits_of_new_data_do(fit) -> None:
    omega, scenarios = 0.3, fit.scenarios(400)
    refits = np.stack([np.asarray(fit_modes(measured(seed), 2).predict([omega]))[0] for seed in range(1, 25)])
    s = drawn(fit.model, scenarios, omega)
    ours, theirs = (np.sqrt(np.mean(np.abs(x - np.mean(x, axis=0)) ** 2)) for x in (s, refits))
    # 24 refits of 4 complex numbers tell a deviation to 1/√(2·23·8), .05; four times that.
    assert ours == pytest.approx(theirs, rel=0.2)
    assert np.max(np.linalg.norm(s, 2, axis=(1, 2))) <= 1 + 1e-12  # each of them is passive


@pytest.mark.slow
def test_a_fit_brings_its_uncertainty_to_a_design(fit) -> None:
    arguments = {"omega": 0.3, "out": 0, "into": 1}
    alone, within = op.assess(fit.model, **arguments), op.assess(fit, **arguments)
    assert within.isolation < alone.isolation
    assert within.insertion_loss > alone.insertion_loss
    assert op.assess(fit, tolerances={}, **arguments).isolation == pytest.approx(alone.isolation, abs=1e-9)

    design = op.maximise_isolation(fit, free="omega", starts=1, max_steps=40, **arguments)
    s = drawn(design.model, fit.scenarios(), 0.3)
    decibels = 20 * np.log10(np.abs(s[:, 0, 1]) / np.abs(s[:, 1, 0]))
    nominal = op.assess(design.model, **arguments).isolation
    assert nominal > design.isolation > alone.isolation + 10
    assert float(tcmt.passivity_margin(design.model)) > -1e-9  # by construction, to round-off
    assert design.isolation == pytest.approx(np.min(decibels), abs=1e-6)  # the worst of them, solved by another path


def test_a_fit_without_errors_brings_none(fit) -> None:
    withheld = fit_modes(measured(0), 1)  # of two modes
    assert withheld.verdict.errors == "withheld"
    with pytest.raises(ValueError, match=r"^Argument tolerances must be given: this fit has no standard errors"):
        op.assess(withheld, omega=0.0, out=1, into=0)
    with pytest.raises(ValueError, match=r"^Argument draws must be .* but was 0"):
        fit.scenarios(0)
    with pytest.raises(
        ValueError, match=r"^Argument tolerances must be of this model, whose 'omega' has shape \(1, 1\)"
    ):
        op.assess(tcmt.PassiveModes([0.0], np.ones((4, 1)) / 2, np.eye(4)[:, :2], hidden=2),
                  omega=0.0, out=1, into=0, tolerances=fit.scenarios(2))  # fmt: skip
    with pytest.raises(ValueError, match=r"^Argument model must be"):
        op.assess(fit.coefficients, omega=0.0, out=1, into=0)


@pytest.mark.slow
def test_a_device_with_gain_has_real_leaves_too() -> None:
    amplifier = tcmt.ActiveModes([0.2], [[1.0], [1.0]], gamma_i=[-0.8], C=[[-0.9, 0.1], [0.0, -0.9]])
    leaves = jax.tree.leaves(amplifier)
    assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves)
    fit = fit_modes(measured(0, amplifier), 1)
    assert isinstance(fit.model, tcmt.ActiveModes)
    s = np.asarray(nr.scattering(fit.model, OMEGA))
    assert np.max(np.abs(s - np.asarray(fit.predict(OMEGA)))) < 1e-9
    gain = [op.assess(model, omega=0.2, out=1, into=0).insertion_loss for model in (fit.model, fit)]
    assert gain[0] < gain[1] < -10.0
    design = op.maximise_isolation(fit.model, omega=0.2, free=("D", "K"), out=1, into=0, starts=1, max_steps=20)
    assert design.isolation > op.assess(fit.model, omega=0.2, out=1, into=0).isolation + 1
