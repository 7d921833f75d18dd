"""Hidden ports: what is seen through some ports only, and the lossless device behind one that absorbs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from cavities import passive_device, passive_leaves, real_numbers, scattering
from diffnr import tcmt
from diffnr.tcmt.hidden_ports import hide_ports, lossless_dilation
from diffnr.tcmt.passive import PassiveModes
from diffnr.tcmt.time_reversal import time_reversal_residuals
from slow import slow_except
from systems import central_difference, random_modes

OMEGAS = np.linspace(-3.0, 3.0, 5)

# Round-off 1e-16, times the condition of iω − A (below 1e3 for these random devices).
EXACT = {"rtol": 0.0, "atol": 1e-12}


def random_passive(seed: int, modes: int, ports: int, hidden: int) -> PassiveModes:
    return passive_device(**passive_leaves(seed, modes, ports, hidden))


@pytest.mark.parametrize(
    ("modes", "ports", "keep"),
    slow_except([(1, 2, (0,)), (3, 4, (2, 0)), (6, 5, (4, 1, 3)), (2, 3, (1, 2, 0))], 0, 1, 3),
)
def test_hidden_ports_leave_a_block_of_the_scattering_matrix(modes: int, ports: int, keep: tuple[int, ...]) -> None:
    whole = tcmt.CoupledModes(**random_modes(1, modes, ports), lossless=True)
    seen = hide_ports(whole, keep)
    S = scattering(whole, OMEGAS)
    np.testing.assert_allclose(scattering(seen, OMEGAS), S[:, keep][:, :, keep], **EXACT)
    assert seen.lossless == (len(keep) == ports)
    assert not seen.active
    assert tcmt.passivity_margin(seen) > -1e-13  # round-off
    if len(keep) < ports:
        assert np.linalg.norm(seen.C, 2) <= 1 + 1e-14
        assert np.linalg.norm(seen.C, -2) < 0.99  # a contraction
        assert time_reversal_residuals(seen).conservation > 0.05  # and (5e) is not to be had through these ports
        again = hide_ports(seen, [0])
        np.testing.assert_allclose(scattering(again, OMEGAS)[:, 0, 0], S[:, keep[0], keep[0]], **EXACT)


@pytest.mark.parametrize(
    ("modes", "ports", "hidden"),
    slow_except([(1, 1, 1), (1, 1, 2), (2, 3, 1), (3, 2, 5), (6, 5, 3), (4, 2, 4), (2, 2, 7)], 0, 2, 6),
)
def test_dilation_is_lossless_and_shows_the_device(modes: int, ports: int, hidden: int) -> None:
    device = random_passive(2, modes, ports, hidden)
    whole = lossless_dilation(device)
    assert whole.lossless
    assert whole.num_ports == ports + min(hidden, modes + ports)  # the rank of P, and no more
    C, D, K = whole.C, whole.D, whole.matrices().K
    np.testing.assert_allclose(C.conj().T @ C, np.eye(whole.num_ports), **EXACT)
    np.testing.assert_allclose(C.T @ D.conj(), -K, **EXACT)
    np.testing.assert_allclose(D.conj().T @ D, 2 * device.matrices().gamma, **EXACT)
    S = scattering(whole, OMEGAS)
    np.testing.assert_allclose(S.conj().swapaxes(1, 2) @ S, np.broadcast_to(np.eye(whole.num_ports), S.shape), **EXACT)
    np.testing.assert_allclose(S[:, :ports, :ports], scattering(device, OMEGAS), **EXACT)
    for seen, before in zip(hide_ports(whole, range(ports)).matrices(), device.matrices(), strict=True):
        np.testing.assert_allclose(seen, before, **EXACT)


def test_absorbed_power_is_that_of_the_hidden_waves() -> None:
    # S14–S16: |s₊|² − |s₋|² = |C_w s₊ + d_w a|² in a steady state, whatever comes in.
    device = random_passive(4, 2, 3, 2)
    whole = lossless_dilation(device)
    s_plus = np.array([0.3, -1.0j, 0.7 + 0.2j])
    state = tcmt.steady_state(device, 0.4, s_plus)
    absorbed = whole.C[3:, :3] @ s_plus + whole.D[3:] @ state.a
    lost = jnp.sum(jnp.abs(state.s_plus) ** 2) - jnp.sum(jnp.abs(state.s_minus) ** 2)
    np.testing.assert_allclose(jnp.sum(jnp.abs(absorbed) ** 2), lost, rtol=1e-13)  # round-off
    # S21, of every port and mode: −K* = C†-wise sum over all wires.
    rule = -(whole.C[:, :3].T @ whole.D.conj())
    np.testing.assert_allclose(rule, device.matrices().K, atol=1e-13)


def test_ordinary_absorption_is_a_port_of_each_mode() -> None:
    device = tcmt.TwoResonators((0.3, -0.2), (0.9, 0.5), (0.4, 0.0), 1.3)
    whole = lossless_dilation(device)
    assert whole.num_ports == 3  # only the first mode absorbs
    np.testing.assert_allclose(jnp.abs(whole.D[2]), [0.8**0.5, 0.0], atol=1e-14)  # |d_h|² = 2γ_0
    np.testing.assert_allclose(whole.C[2, :2], 0.0, atol=1e-14)  # and no wave goes there directly
    lossless = lossless_dilation(tcmt.TwoResonators((0.3, -0.2), (0.9, 0.5), (0.0, 0.0), 1.3))
    assert lossless.num_ports == 2


def test_units_do_not_matter() -> None:
    device = random_passive(5, 2, 1, 2)
    m = device.matrices()
    hertz = tcmt.CoupledModes(
        1e9 * m.omega + 2e15 * np.eye(2), 1e9**0.5 * m.D, m.C, 1e9**0.5 * m.K, 1e9 * (m.gamma - m.D.conj().T @ m.D / 2)
    )
    whole = lossless_dilation(hertz)
    assert whole.num_ports == 3
    np.testing.assert_allclose(jnp.abs(whole.D), 1e9**0.5 * jnp.abs(lossless_dilation(device).D), rtol=1e-10)


@pytest.mark.parametrize("k", [1.3, 0.4 - 0.9j])
def test_one_way_guide_feeds_the_cavity_at_the_rate_at_which_it_loses_to_the_wedge(k: complex) -> None:
    # A guide that brings waves but takes none away: C = 0, d = 0; all the loss there is, γ = ½|k|², is the wedge's.
    device = tcmt.CoupledModes([0.7], [[0.0]], [[0.0]], [[k]], [abs(k) ** 2 / 2])
    assert tcmt.passivity_margin(device) > -1e-14
    whole = lossless_dilation(device)
    assert whole.num_ports == 2
    np.testing.assert_allclose(jnp.abs(whole.D[1, 0]), abs(k), rtol=1e-14)  # |d_w| = |k|, round-off
    np.testing.assert_allclose(jnp.abs(whole.C[1, 0]), 1.0, rtol=1e-14)
    np.testing.assert_allclose(-jnp.conj(whole.C[1, 0]) * whole.D[1, 0], np.conj(k), rtol=1e-14)  # S21
    # All of the wave is absorbed at every frequency, and yet it fills the cavity: a = k/γ = 2/k* on resonance.
    state = tcmt.steady_state(device, 0.7, [1.0])
    np.testing.assert_allclose(state.s_minus, 0.0, atol=1e-15)
    np.testing.assert_allclose(jnp.abs(state.a[0]) ** 2, 4 / abs(k) ** 2, rtol=1e-14)
    # Less loss than that would be a gain, and more of it takes a second hidden port.
    with pytest.raises(ValueError, match="be passive"):
        lossless_dilation(tcmt.CoupledModes([0.7], [[0.0]], [[0.0]], [[k]], [0.49 * abs(k) ** 2]))
    assert lossless_dilation(tcmt.CoupledModes([0.7], [[0.0]], [[0.0]], [[k]], [0.51 * abs(k) ** 2])).num_ports == 3


def test_in_and_out_at_different_rates_takes_a_hidden_port() -> None:
    # A wall behind the guide, C = .6, C_w = .8: one mode with |k| ≠ |d|, which (5f) forbids where nothing is hidden.
    device = PassiveModes([0.0], [[1.0], [0.9j]], [[0.6], [0.8]], hidden=1)
    k, d = complex(device.matrices().K[0, 0]), 1.0
    np.testing.assert_allclose(k, -0.6 + 0.72j, rtol=1e-14)  # −C d* − C_w d_w*, by hand
    assert abs(abs(k) - d) > 0.05
    assert lossless_dilation(device).num_ports == 2
    assert time_reversal_residuals(device).balance > 0.1
    assert time_reversal_residuals(lossless_dilation(device)).balance < 1e-14
    with pytest.raises(ValueError, match=r"^Argument K must equal −CᵀD\* where lossless=True"):
        tcmt.CoupledModes([0.0], [[d]], [[-1.0]], [[k]], lossless=True)
    # With |C| = 1 nothing of the wave is left for the wall: k = −C d*, however the mode absorbs; else there is gain.
    for absorption in (0.0, 0.5, 5.0):
        active = tcmt.CoupledModes([0.0], [[d]], [[-1.0]], [[k]], [absorption])
        assert tcmt.passivity_margin(active) < -0.05
        with pytest.raises(ValueError, match="be passive"):
            lossless_dilation(active)


def test_hiding_is_differentiable() -> None:
    parts = random_modes(3, 2, 3)

    @jax.jit
    def along(x: Array) -> Array:
        device = tcmt.CoupledModes(parts["omega"], parts["D"] * (1 + x * jnp.arange(3.0)[:, None]), parts["C"])
        values = real_numbers(hide_ports(device, (2, 0)).matrices())
        return values @ np.random.default_rng(0).normal(size=values.size)  # every value, with a weight of its own

    # Richardson at steps of 1e-3: truncation 1e-18 of an analytic function, and round-off 1e-15/1e-3.
    np.testing.assert_allclose(central_difference(along, 0.0, 1e-3), jax.grad(along)(0.0), rtol=1e-8, atol=1e-10)
    batch = jnp.array([-0.1, 0.2])
    np.testing.assert_allclose(jax.vmap(along)(batch), [along(x) for x in batch], rtol=1e-12)  # round-off


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ((0, 3), r"keep must be a port between 0 and 2, but was 3"),
        ((-1,), r"keep must be a port between 0 and 2, but was -1"),
        ((1, 1), r"keep must name one or several different ports, but was \(1, 1\)"),
        ((), r"keep must name one or several different ports, but was \(\)"),
    ],
)
def test_ports_that_cannot_be_kept_are_refused(keep: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^Argument {message}"):
        hide_ports(tcmt.CoupledModes(**random_modes(0, 2, 3)), keep)


def test_models_that_have_no_such_form_are_refused() -> None:
    nonlinear = tcmt.CoupledModes(**random_modes(0, 2, 3), loss=tcmt.TwoPhotonLoss(1.0, 0))
    with pytest.raises(
        ValueError, match=r"^Argument model must be linear for its ports to be hidden, .* TwoPhotonLoss\.$"
    ):
        hide_ports(nonlinear, [0])
    with pytest.raises(ValueError, match=r"^Argument model must be linear for its absorption .* TwoPhotonLoss\.$"):
        lossless_dilation(nonlinear)
    # k = 1.2 d with |d|² = 2: P = [[0, −√2 .2], [·, 0]].
    gain = tcmt.CoupledModes([0.0], [[2**0.5]], K=[[1.2 * 2**0.5]])
    with pytest.raises(ValueError, match=r"^Argument model must be passive .* but its margin was -0\.282843\.$"):
        lossless_dilation(gain)
    with pytest.raises(
        ValueError, match=r"^Argument model must hold numbers \(lossless_dilation cannot run inside jit"
    ):
        jax.jit(lambda D: lossless_dilation(tcmt.CoupledModes([0.0], D)).D)(jnp.ones((1, 1)))
