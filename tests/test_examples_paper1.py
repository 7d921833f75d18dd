"""What the figures of paper 1 and the map of isolation draw is the checked physics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffnr import tcmt
from example_scripts import close_figures, example  # noqa: F401 (a fixture that acts by itself)
from systems import saturable_branch, transmissions

# Printed numbers of paper 1 recomputed by independent solvers to nine digits and more.
RTOL = 2e-9


@pytest.mark.parametrize(
    ("detuning", "coupling"), [(0.0, 1.5707963268), (1.0, 1.5986283478), (2.0, 1.6705428310), (5.0, 1.9443845167)]
)
def test_figure_2_at_half_of_kappa(detuning: float, coupling: float) -> None:
    module = example("paper1_figure2")
    forward, backward = module.couplings(jnp.asarray(0.5 * module.KAPPA), jnp.asarray(detuning))
    assert forward == pytest.approx(coupling, rel=RTOL)
    assert backward == pytest.approx(np.pi, rel=RTOL)


def test_figure_2_surfaces() -> None:
    data = example("paper1_figure2").compute(small=True)
    assert data.forward.shape == data.backward.shape == (data.gamma_k.size, data.detuning.size)
    np.testing.assert_allclose(data.backward, np.pi, rtol=1e-12)  # κ itself, to round-off
    np.testing.assert_allclose(data.forward[0], np.pi, rtol=1e-12)
    blocked = data.gamma_k >= np.pi * (1 - 1e-12)
    assert blocked.sum() >= 2
    # Exactly 0 in the paper's sense: what is left is the round-off of rates of order κ.
    np.testing.assert_allclose(data.forward[blocked], 0, atol=1e-13)
    assert np.all(data.forward[1:-3] < data.backward[1:-3])


@pytest.mark.parametrize(
    ("share", "forward", "backward"),
    [(0.5, 0.5354110476, 0.7007419232), (0.9, 0.1357619967, 0.6156355342), (1.0, 0.0, 0.5974938537)],
)
def test_figure_3_at_kappa_3(share: float, forward: float, backward: float) -> None:
    found = example("paper1_figure3").transmission(jnp.asarray(share * 3.0), jnp.asarray(3.0))
    assert found[0] == pytest.approx(forward, rel=RTOL, abs=1e-15)
    assert found[1] == pytest.approx(backward, rel=RTOL)


@pytest.mark.slow
def test_figure_3_transients_settle_on_the_closed_form() -> None:
    module = example("paper1_figure3")
    data = module.compute(small=True)
    forward, backward = module.over_grid(module.transmission, module.CUTS, data.settled_kappa)
    # e^{-Gt} ≤ e^{-40}; near γ_k = κ, where the mode comes to rest, what each step was asked for, 1.5e-8.
    np.testing.assert_allclose(data.settled_backward, backward, atol=1e-8)
    np.testing.assert_allclose(data.settled_forward, forward, atol=1e-7)
    assert not np.array_equal(data.settled_backward, backward)  # it is another solver


@pytest.mark.parametrize(
    ("level", "gamma_k"), [(10, 2.5483033448), (20, 2.8713949210), (30, 2.9605227189), (40, 2.9876294436)]
)
def test_isolation_map_levels(level: float, gamma_k: float) -> None:
    isolation = example("isolation_map").isolation
    kappa, zero = jnp.asarray(3.0), jnp.asarray(0.0)
    # Ten digits of γ_k leave dB/dγ_k · 1e-10 ≲ 1e-7 dB at 40 dB.
    assert isolation(1 - gamma_k / kappa, kappa, zero) == pytest.approx(level, abs=1e-6)


def test_isolation_map_gradient() -> None:
    isolation = example("isolation_map").isolation
    gap, kappa = jnp.asarray(0.5), jnp.asarray(0.3)
    value, slope = jax.value_and_grad(isolation)(gap, kappa, jnp.asarray(0.0))
    assert value == pytest.approx(5.4014375039, rel=RTOL)
    assert -slope / kappa == pytest.approx(53.7746848680, rel=RTOL)  # γ_k = (1 − gap) κ


def test_isolation_map_cube() -> None:
    module = example("isolation_map")
    cube = module.compute(small=True)
    assert cube.isolation.shape == (cube.gap.size, cube.kappa.size, cube.detuning.size)
    for shown in module.SHOWN:
        assert np.min(np.abs(cube.kappa - shown)) < 1e-12
    np.testing.assert_allclose(cube.isolation[-1], 0, atol=1e-12)  # γ_k = 0 is reciprocal; round-off of dB
    assert np.all(np.diff(cube.isolation, axis=0) < 0)
    one = module.isolation(cube.gap[2], cube.kappa[3], cube.detuning[4])
    assert cube.isolation[2, 3, 4] == pytest.approx(float(one), rel=1e-12)  # vmap equals the loop


def test_forward_is_out_1_into_0() -> None:
    """The figures' forward direction is blocked by a loss of mode 1 that senses mode 0, and no transpose of it."""
    pair = tcmt.TwoResonators((0.0, 0.0), (1.0, 1.0), (0.5, 0.5), 1.0, tcmt.NonlocalLoss(1.0, mode=1, sensed=0))
    forward = tcmt.steady_state(pair, 0.0, jnp.array([1.0, 0.0])).s_minus[1]
    backward = tcmt.steady_state(pair, 0.0, jnp.array([0.0, 1.0])).s_minus[0]
    assert abs(forward) == 0
    assert abs(backward) > 0.1


@pytest.mark.parametrize(
    ("detuning", "backward"), [(0.0, 0.2585606071), (0.5, 0.2232952082), (1.0, 0.1553923707), (2.0, 0.0676826449)]
)
def test_figure_4_both_detuned(detuning: float, backward: float) -> None:
    s = example("paper1_figure4").s_matrix(jnp.asarray(detuning), jnp.asarray(detuning))
    assert abs(s[0, 1]) == pytest.approx(backward, rel=RTOL)
    assert s[1, 0] == 0


def test_figure_4_bandwidths() -> None:
    module = example("paper1_figure4")
    data = module.compute()
    for width, percent, sweep in ((data.width_alone, 39.67, (0, 1)), (data.width_both, 25.34, (1, 1))):
        assert 100 * width / (2 * np.pi) == pytest.approx(percent, abs=5e-3)  # the digits printed
        port = (0.25 + 0.09) ** 0.5
        peak, edge = (
            abs(transmissions(0.3, 0.3, detuning * jnp.array(sweep), jnp.full(2, port), jnp.full(2, 0.5))[1])
            for detuning in (0.0, width / 2)
        )
        # Linear interpolation: a step of .01 squared, times the curvature, 10 dB.
        assert 20 * np.log10(peak / edge) == pytest.approx(3.0, abs=1e-3)


def test_figure_4_isolates_entirely_and_reflects() -> None:
    data = example("paper1_figure4").compute(small=True)
    for s in (data.alone, data.both):
        assert np.all(s[:, 1, 0] == 0)
        assert np.all(np.sum(np.abs(s) ** 2, axis=1) < 1)  # passive
        resonance = s[data.detuning.size // 2][[0, 1, 0], [0, 1, 1]]
        np.testing.assert_allclose(20 * np.log10(np.abs(resonance)), [-22.3, -23.5, -11.7], atol=0.05)  # digits printed


@pytest.mark.slow
def test_figure_5_energies_and_rest() -> None:
    module = example("paper1_figure5")
    incoming = 3.7599424119
    expected = {"ideal": (0.2883302930, 0.3054020993), "nonlocal loss": (0.2261245403, 0.1976907393)}
    for name, law in module.LAWS.items():
        pulses = module.compute(law, small=True)
        transmitted, reflected = pulses.backward.energy_out[-1]
        assert pulses.backward.energy_in[-1, 1] == pytest.approx(incoming, rel=1e-6)
        assert (transmitted, reflected) == pytest.approx(expected[name], rel=1e-6)  # as the issue asks
        assert np.all(pulses.forward.s_minus[:, 1] == 0)
    at_rest = np.asarray(pulses.backward.ts)[1:][np.isinf(pulses.backward.loss_rate[1:, 1])]
    assert at_rest[0] == 18.5  # the first of these half microseconds after 18.4296
    assert at_rest.size == np.sum(pulses.backward.ts >= 18.5)


@pytest.fixture(scope="module")
def figure_6():
    return example("paper1_figure6").compute(small=True)


@pytest.mark.slow
def test_figure_6_nonlocal_levels_at_every_power(figure_6) -> None:
    printed = [2.5483033448, 2.8713949210, 2.9605227189, 2.9876294436]
    np.testing.assert_allclose(figure_6.gamma_k, printed, rtol=0, atol=1e-10)  # the digits printed
    levels = figure_6.nonlocal_loss
    # Round-off 1e-16 of κ − γ_k, which is .01 of κ at 40 dB: 1e-14 of t21, and Newton's last step as much.
    np.testing.assert_allclose(levels, np.array([[10.0], [20.0], [30.0], [40.0]]) + 0 * levels, atol=1e-11)
    np.testing.assert_allclose(figure_6.gamma_k[1] / 3, 0.957132, atol=5e-7)  # as the text says


@pytest.mark.slow
def test_figure_6_kerr_loss_isolates_the_wrong_way(figure_6) -> None:
    module = example("paper1_figure6")
    np.testing.assert_allclose(module.KERR_LIMIT, -0.960686, atol=5e-7)  # the digits printed
    assert np.all(np.diff(figure_6.kerr) <= 0)
    assert np.all((figure_6.kerr < 0) & (figure_6.kerr > module.KERR_LIMIT))
    high = jnp.logspace(16.0, 18.0, figure_6.power.size)
    [level] = module.over_power(jax.vmap(lambda c: tcmt.TwoPhotonLoss(c, mode=1))(jnp.ones(1)), high)
    assert level[-1] == pytest.approx(float(module.KERR_LIMIT), abs=1e-5)  # approached as power^{-1/3}


@pytest.mark.slow
def test_figure_6_saturable_maxima(figure_6) -> None:
    module = example("paper1_figure6")
    laws = jax.vmap(lambda c: tcmt.SaturableLoss(c, mode=1))(module.SATURABLE)
    for i, printed in enumerate((0.3582, 1.2939, 5.7133)):
        low, high = 0.0, 3.0
        for _ in range(3):  # 22 powers around the highest of the 22 before
            power = np.linspace(low, high, figure_6.power.size)
            level = module.over_power(laws, jnp.asarray(10**power))[i]
            top = int(np.argmax(level))
            low, high = power[top - 1], power[top + 1]
        assert level[top] == pytest.approx(printed, abs=5e-5)  # the digits printed


@pytest.mark.slow
def test_figure_6_bistable_branch_jumps_at_its_fold(figure_6) -> None:
    module = example("paper1_figure6")
    for c, levels, jumps in zip(module.SATURABLE, figure_6.saturable, figure_6.jumps, strict=True):
        states = [
            [saturable_branch(3.0, float(c), (0.0, 0.0), module.GAMMA, 0.5, float(p), into) for into in (1, 0)]
            for p in figure_6.power
        ]
        folded, x = np.moveaxis(np.array(states), -1, 0)  # [power, backward and forward]
        assert np.any(folded) == (c > 8 * module.R)
        np.testing.assert_array_equal(folded, figure_6.power[:, None] > np.nan_to_num(jumps, nan=np.inf))
        # |a_2|² of the lowest state gives both transmissions: a_2 loses G + c/(1 + x), to port 2 and through mode 1.
        loss = module.G + float(c) / (1 + x)
        t = 2 * module.GAMMA * module.KAPPA / (module.G * loss + module.KAPPA**2)
        expected = 20 * np.log10(t[:, 0] / t[:, 1])
        # np.roots of the cubic: 1e-16 of its coefficients, up to 1e14 apart, near a double root as its square root.
        np.testing.assert_allclose(levels, expected, atol=1e-6)
