"""Coupled modes with gain whose leaves are all real."""

import jax
import numpy as np
import pytest

import diffnr as nr
from diffnr import tcmt

OMEGA = np.linspace(-2.0, 2.0, 5)
PARTS = {
    "omega": np.array([[0.1, 0.3 - 0.2j], [0.3 + 0.2j, -0.4]]),
    "D": np.array([[1.0, 0.2j], [0.4 - 0.1j, 0.8]]),
    "C": np.array([[-0.9, 0.3j], [0.1, -1.1]]),
    "K": np.array([[0.7j, 0.2], [0.3, -0.5]]),
    "gamma_i": np.array([[-0.2, 0.05j], [-0.05j, 0.1]]),
}


def test_it_is_the_model_by_its_matrices() -> None:
    device, same = tcmt.ActiveModes(**PARTS), tcmt.CoupledModes(**PARTS, active=True)
    for ours, theirs in zip(device.matrices(), same.matrices(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-15)  # round-off
    np.testing.assert_allclose(nr.scattering(device, OMEGA), nr.scattering(same, OMEGA), rtol=0, atol=1e-13)
    assert (device.num_modes, device.num_ports) == (2, 2)
    defaults = tcmt.ActiveModes([0.0], [[1.0], [1.0]], gamma_i=[-0.8])
    assert nr.scattering(defaults, [0.0])[0, 1, 0] == pytest.approx(5.0, rel=1e-12)  # as its docstring says


def test_every_leaf_may_move() -> None:
    def power(device):
        return np.sum(PARTS["D"].real) * abs(nr.scattering(device, OMEGA)[1, 1, 0]) ** 2

    device = tcmt.ActiveModes(**PARTS)
    slopes = jax.grad(power)(device)
    for name in PARTS:
        leaf, slope = np.asarray(getattr(device, name)), np.asarray(getattr(slopes, name))
        assert leaf.dtype == float
        direction = np.random.default_rng(0).normal(size=leaf.shape)
        ends = [power(nr.replace(device, {name: leaf + step * direction})) for step in (-1e-5, 1e-5)]
        # Central differences: truncation and round-off of some 1e-10 each.
        assert np.sum(slope * direction) == pytest.approx(float(ends[1] - ends[0]) / 2e-5, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("K", np.ones((1, 2)), r"^Argument K must have shape \(2, 2\).*but was of shape \(1, 2\)"),
        ("C", np.ones(2), r"^Argument C must have shape \(2, 2\)"),
        ("omega", [[0.0, 1.0], [0.0, 0.0]], r"^Argument omega must be real \(a vector\) or Hermitian"),
        ("gamma_i", [0.1j, 0.1], r"^Argument gamma_i must be real"),
        ("D", np.full((2, 2), np.nan), r"^Argument D must be finite"),
    ],
)
def test_what_fits_no_device_is_refused(name: str, value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tcmt.ActiveModes(**{**PARTS, name: value})
