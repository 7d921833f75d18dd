"""Design for isolation of a model without modes: candidates that fail, and ports without power."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import RESULTS, AbstractPortModel
from diffnr.checks import rate_field, real_field
from optimize.isolation.design import maximise_contrast, maximise_isolation, minimise_insertion_loss
from optimize.transforms import Interval


class OneWay(AbstractPortModel):
    """No coupled-mode model: b01 = 2/N, b10 = 2√((1 − x)² + leak²)/N, N = 2 + x + i(ω − δ); it fails for x > limit."""

    x: jnp.ndarray = rate_field()
    detuning: jnp.ndarray = real_field()
    leak: jnp.ndarray = rate_field(default=1e-4)
    limit: jnp.ndarray = real_field(default=4.0)
    power_normalised: bool = eqx.field(static=True, default=True)

    num_ports = property(lambda self: 2)
    harmonics = property(lambda self: (1,))
    linear = property(lambda self: True)

    def respond(self, drive, port, guess=None):
        failed = self.x > self.limit
        into_1 = jnp.where(port == 1, 2.0, 0.0)
        into_0 = jnp.where(port == 0, 2 * jnp.sqrt((1 - self.x) ** 2 + self.leak**2), 0.0)
        b = jnp.stack([into_1, into_0]) * drive.amplitude / (2 + self.x + 1j * (drive.omega - self.detuning))
        b = jnp.where(failed, jnp.nan, b)
        return b[:, None], None, RESULTS.where(failed, RESULTS.nonfinite, RESULTS.successful)


ONE_WAY_AT_CAP = 1 - (1e-3**2 - 1e-4**2) ** 0.5


@pytest.mark.slow
def test_failing_candidates_stop_nothing():
    arguments = {"omega": 3.0, "free": ("x", "detuning"), "out": 0, "into": 1}
    # The start itself fails. The least loss at 60 dB is just below x = 1, on resonance.
    best = maximise_isolation(OneWay(50.0, 7.0), **arguments)
    assert float(best.values["x"]) == pytest.approx(ONE_WAY_AT_CAP, rel=1e-7)
    # A quadratic optimum, resolved where 10 round-offs of L = 3.5 dB would be won: 8e-15, at a curvature of about 1.
    assert float(best.values["detuning"]) == pytest.approx(3.0, abs=2e-7)
    assert best.insertion_loss == pytest.approx(20 * np.log10(1 + ONE_WAY_AT_CAP / 2), abs=1e-8)

    hopeless = maximise_isolation(OneWay(50.0, 7.0, limit=-1.0), **arguments)
    assert (hopeless.feasible, hopeless.converged) == (False, False)
    assert "look at its response at the start" in hopeless.message
    with pytest.raises(RuntimeError, match=f"^{re.escape(hopeless.message)}$"):
        maximise_isolation(OneWay(50.0, 7.0, limit=-1.0), **arguments, throw=True)

    leaky = minimise_insertion_loss(OneWay(0.5, 3.0, leak=0.1), **arguments, min_isolation=26.0)
    assert (leaky.feasible, leaky.active) == (False, "min_isolation")
    # The nearest design: x = 1, where the leak leaves 20 dB.
    assert leaky.isolation == pytest.approx(20.0, abs=1e-8)
    assert "the largest found is 20 dB" in leaky.message

    free_lunch = minimise_insertion_loss(OneWay(0.5, 3.0, leak=0.1), **arguments, min_isolation=0.0)
    assert (free_lunch.feasible, free_lunch.active) == (True, "min_isolation")  # x = 0 passes all, both ways
    assert free_lunch.insertion_loss == pytest.approx(0.0, abs=0.05)


def test_ports_without_power():
    model = OneWay(0.2, 3.0, power_normalised=False)

    def find(upper, **settings):
        confined = {"x": Interval(0.1, upper)}
        return maximise_isolation(
            model, omega=3.0, free=lambda m: m.x, out=0, into=1, transforms=confined, amplitude=2j, starts=2, **settings
        )

    # No insertion loss there: among designs at the cap the largest |b| wins.
    best = find(3.0)
    assert float(best.model.x) == pytest.approx(ONE_WAY_AT_CAP, rel=1e-7)
    assert np.isnan(best.insertion_loss)
    assert np.isnan(best.contrast)
    # Confined below the cap's design, the largest isolation is at the bound, which a sigmoid reaches at infinity only:
    # it ends where the rest is round-off of a ratio of order 1.
    best = find(0.6)
    assert best.active == "none"
    assert float(best.values["x"]) == pytest.approx(0.6, rel=1e-6)
    # A key moves the candidates, not the optimum; the same key gives the same design.
    shifted, again = (find(3.0, key=jax.random.key(3)) for _ in range(2))
    assert float(shifted.values["x"]) == pytest.approx(ONE_WAY_AT_CAP, rel=1e-7)
    assert eqx.tree_equal(shifted.values, again.values)
    assert shifted.steps == again.steps

    arguments = {"omega": 3.0, "free": "x", "out": 0, "into": 1}
    for search, name, limit in (
        (maximise_isolation, "max_insertion_loss", {"max_insertion_loss": 3.0}),
        (minimise_insertion_loss, "model", {"min_isolation": 3.0}),
        (maximise_contrast, "model", {}),
    ):
        with pytest.raises(ValueError, match=f"Argument {name} must go with power-normalised ports"):
            search(model, **arguments, **limit)
