"""What the optimisers return is saved and loaded like any model, and reports itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffnr as nr
import optimize as op
from diffnr import tcmt
from pairs import Pair

OMEGA = jnp.linspace(-1.0, 1.0, 31)
PAIR = tcmt.TwoResonators(
    omega=(0.0, 0.0),
    gamma=(0.5, 0.5),
    gamma_0=(0.1, 0.1),
    kappa=0.3,
    loss=tcmt.NonlocalLoss(gamma_k=0.1, mode=1, sensed=0),
)


def resonance() -> nr.FieldData:
    line = tcmt.CoupledModes(omega=[0.1], D=[[0.5]], gamma_i=[0.1])
    rng = np.random.default_rng(0)
    noise = 1e-3 * (rng.normal(size=(31, 1, 1)) + 1j * rng.normal(size=(31, 1, 1)))
    return nr.FieldData(OMEGA, nr.scattering(line, OMEGA) + noise, sigma=1e-3)


def make_fit():
    return op.fit(PAIR, jnp.asarray(0.2), free="kappa", residual=lambda m, target: (m.kappa - target)[None])


RESULTS = {
    "Fit": make_fit,
    "ModeFit": lambda: op.fit_modes(resonance(), 1),
    "PowerFit": lambda: op.fit_modes(nr.PowerData.of(resonance()), 1),
    "SeriesFit": lambda: op.fit_series([resonance(), resonance()], [0.0, 1.0], model=1),
    "ResonatorFit": lambda: op.fit_two_resonators(Pair().data(1e-3, seed=0, points=31, given=True)),
    "Minimum": lambda: op.minimise(lambda m: (m.kappa - 1.0) ** 2, PAIR, free="kappa", steps=5, progress=False),
    "Design": lambda: op.maximise_contrast(PAIR, omega=0.0, free="loss.gamma_k", out=0, into=1),
    "PortResponse": lambda: nr.port_response(PAIR, nr.Drive(0.3)),
    "SteadyState": lambda: tcmt.steady_state(PAIR, 0.3, jnp.asarray([1.0, 0.5j])),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_survives_a_file(name, tmp_path):
    result = RESULTS[name]()
    nr.save(tmp_path / "result.npz", result)
    loaded = nr.load(tmp_path / "result.npz")
    assert type(loaded) is type(result)
    before, after = jax.tree_util.tree_flatten(result), jax.tree_util.tree_flatten(loaded)
    assert before[1] == after[1]
    for old, new in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(np.asarray(old), np.asarray(new))
    if hasattr(result, "report"):
        assert loaded.report() == result.report()
