"""Every example runs small and draws something, and what it draws is the checked physics."""

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.optimize import minimize

from diffnr import scattering, tcmt
from systems import saturable_branch, transmissions

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
# They compile for ten seconds and more each.
SLOW = {name for name in NAMES if name.startswith("paper2_")} | {
    "circulator",
    "hatano_nelson",
    "measured_beams",
    "paper1_figure3",
    "paper1_figure5",
    "paper1_figure6",
    "reciprocity_map",
    "restore_by_hand",
}
DRAWN = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES]
# Printed numbers of paper 1 recomputed by independent solvers to nine digits and more.
RTOL = 2e-9


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def example(name: str):
    return importlib.import_module(f"examples.{name}")


def drawn_values(figure: Figure) -> np.ndarray:
    """Every number that the lines and meshes of a figure were given."""
    values = []
    for ax in figure.axes:
        lines = [line.get_data_3d() if hasattr(line, "get_data_3d") else line.get_data() for line in ax.lines]
        values += [np.ravel(np.asarray(axis, float)) for line in lines for axis in line]
        meshes = [mesh.get_array() for mesh in ax.collections]
        values += [np.ravel(mesh.filled(np.nan)) for mesh in meshes if mesh is not None]
    return np.concatenate(values)


def test_there_are_examples() -> None:
    assert {
        "circulator",
        "hatano_nelson",
        "isolation_map",
        "measured_beams",
        "optax_by_hand",
        "paper1_figure2",
        "paper1_figure3",
        "paper1_figure4",
        "paper1_figure5",
        "paper1_figure6",
        *(f"paper2_figure{i}" for i in range(1, 8)),
        "reciprocity_map",
        "restore_by_hand",
    } <= set(NAMES)


@pytest.mark.parametrize("name", DRAWN)
def test_example_draws_a_figure(name: str) -> None:
    figure = example(name).main(small=True)
    assert isinstance(figure, Figure)
    assert figure.axes
    for ax in figure.axes:
        assert ax.has_data()
        limits = [getattr(ax, f"get_{axis}lim")() for axis in ("x", "y", "z") if hasattr(ax, f"get_{axis}lim")]
        assert np.all(np.isfinite(limits))
        assert all(low != high for low, high in limits)
    values = drawn_values(figure)
    gaps = np.isnan(values)  # where a line changes from solid to broken
    assert np.sum(~gaps) > max(20, values.size / 2)
    assert np.all(np.isfinite(values[~gaps]))
    figure.canvas.draw()  # labels are laid out and mathematics is parsed only now


@pytest.mark.parametrize("name", NAMES)
def test_example_is_ready_for_the_gallery(name: str) -> None:
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    title, underline, blank, text, *_ = ast.get_docstring(ast.parse(source), clean=True).splitlines()
    assert set(underline) == {"="}
    assert len(underline) >= len(title) > 0
    assert (blank, bool(text)) == ("", True)
    assert 'jax.config.update("jax_enable_x64", True)' in source


def test_optax_by_hand_is_short_and_alone() -> None:
    source = (EXAMPLES / "optax_by_hand.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 40
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} == {"diffnr", "jax", "matplotlib", "optax"}


def test_optax_by_hand_finds_the_optimum() -> None:
    forward, backward = (line.get_ydata() for line in example("optax_by_hand").main().axes[0].lines)

    def powers(kappa: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """|t21|² and |t12|² on resonance with γ_k = share·κ, γ = 3 and G = 3.5."""
        leaked = 6 * kappa * (1 - share) / (3.5**2 + (1 - share) * kappa**2)
        return leaked**2, (6 * kappa / (3.5**2 + (1 + share) * kappa**2)) ** 2

    start = [-10 * np.log10(power) for power in powers(np.array(1.0), np.array(0.5))]
    np.testing.assert_allclose([forward[0], backward[0]], start, rtol=1e-12)  # closed forms both, to round-off
    leaked, passed = powers(*np.meshgrid(np.linspace(1.5, 3.5, 401), np.linspace(0.9, 1.0, 401)))
    best = np.argmin(2 * leaked - passed)
    # The grid's step and what Adam still wanders in its last steps move the flat optimum by so much.
    assert backward[-1] == pytest.approx(-10 * np.log10(passed.flat[best]), abs=5e-3)
    assert forward[-1] == pytest.approx(-10 * np.log10(leaked.flat[best]), abs=0.1)


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
    pair = tcmt.two_resonators((0.0, 0.0), (1.0, 1.0), (0.5, 0.5), 1.0, tcmt.NonlocalLoss(1.0, mode=1, sensed=0))
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


def test_figure_6_nonlocal_levels_at_every_power(figure_6) -> None:
    printed = [2.5483033448, 2.8713949210, 2.9605227189, 2.9876294436]
    np.testing.assert_allclose(figure_6.gamma_k, printed, rtol=0, atol=1e-10)  # the digits printed
    levels = figure_6.nonlocal_loss
    # Round-off 1e-16 of κ − γ_k, which is .01 of κ at 40 dB: 1e-14 of t21, and Newton's last step as much.
    np.testing.assert_allclose(levels, np.array([[10.0], [20.0], [30.0], [40.0]]) + 0 * levels, atol=1e-11)
    np.testing.assert_allclose(figure_6.gamma_k[1] / 3, 0.957132, atol=5e-7)  # as the text says


def test_figure_6_kerr_loss_isolates_the_wrong_way(figure_6) -> None:
    module = example("paper1_figure6")
    np.testing.assert_allclose(module.KERR_LIMIT, -0.960686, atol=5e-7)  # the digits printed
    assert np.all(np.diff(figure_6.kerr) <= 0)
    assert np.all((figure_6.kerr < 0) & (figure_6.kerr > module.KERR_LIMIT))
    high = jnp.logspace(16.0, 18.0, figure_6.power.size)
    [level] = module.over_power(jax.vmap(lambda c: tcmt.KerrLoss(c, mode=1))(jnp.ones(1)), high)
    assert level[-1] == pytest.approx(float(module.KERR_LIMIT), abs=1e-5)  # approached as power^{-1/3}


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


def test_figure_6_bistable_branch_ends_at_its_fold(figure_6) -> None:
    module = example("paper1_figure6")
    for c, levels in zip(module.SATURABLE, figure_6.saturable, strict=True):
        folded = [
            any(saturable_branch(3.0, float(c), (0.0, 0.0), module.GAMMA, 0.5, float(p), into)[0] for into in (0, 1))
            for p in figure_6.power
        ]
        assert np.isnan(levels).tolist() == folded
        assert any(folded) == (c > 8 * (module.G + 9 / module.G))


@pytest.fixture(scope="module")
def chains():
    return example("hatano_nelson").compute(small=True)


def test_chain_without_nonlocal_loss_is_reciprocal(chains) -> None:
    # Round-off of dB.
    np.testing.assert_allclose(chains.by_length[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(chains.by_detuning[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(chains.energy[:, 0], chains.energy[:, 0, ::-1], rtol=1e-12)


def test_isolation_of_chains_grows_with_length(chains) -> None:
    module = example("hatano_nelson")
    for i, gamma_k in enumerate(module.GAMMA_K[1:], start=1):
        a_site = 20 * np.log10(1 / (1 - gamma_k))
        ideal = a_site * (chains.length - 1)
        # One and the same determinant divides both directions: the closed form, to round-off.
        np.testing.assert_allclose(chains.by_length[1, i], ideal, rtol=1e-12)
        np.testing.assert_allclose(chains.by_detuning[1, i], a_site * module.LAST, rtol=1e-12)
        assert np.all(np.diff(chains.by_length[0, i]) > 0)
        assert np.all(chains.by_length[0, i] < ideal)
        assert np.ptp(chains.by_detuning[0, i]) > 1


def test_isolation_of_long_chains_grows_as_the_text_says() -> None:
    module = example("hatano_nelson")
    gamma_k, G = module.GAMMA_K[-1], module.GAMMA + module.GAMMA_0
    # The determinants of n sites grow by these roots of x² = Gx + κ(κ ∓ γ_k); their other roots have died out to 1 %.
    right, left = (G + (G**2 + 4 * (1 + sign * gamma_k)) ** 0.5 for sign in (-1, 1))
    ideal, slope = 20 * np.log10([1 / (1 - gamma_k), right / left / (1 - gamma_k)])
    longer, shorter = (module.isolation(tcmt.NonlocalLoss, gamma_k, n) for n in (module.SITES, module.SITES - 2))
    assert float(longer - shorter) / 2 == pytest.approx(slope, abs=0.05)
    assert (round(slope, 1), round(ideal, 1)) == (8.9, 14.0)


@pytest.mark.parametrize("site", [0, 4, 8])
def test_resonant_chain_is_ideal_right_of_the_drive_and_its_opposite_left(site: int) -> None:
    module = example("hatano_nelson")
    for gamma_k in module.GAMMA_K:
        # In a_j = i^{|j − site|} x_j with x > 0 nonlocal loss takes κ − γ_k from what arrives, or adds to what returns.
        right = np.where(np.arange(module.LAST) >= site, 1 - gamma_k, 1 + gamma_k)
        H = 1j * (np.diag(right, -1) + np.diag(np.ones(module.LAST), 1)) - 0.8 * np.eye(module.SITES)
        expected = np.linalg.solve(-H, 1.2**0.5 * np.eye(module.SITES)[site])
        state = module.driven(module.chain(tcmt.NonlocalLoss, gamma_k), site)
        # The regularised law, γ_k ε²/(2Gρ³) ~ 1e-6 a site with ρ ≥ .2, a few sites in a row.
        np.testing.assert_allclose(state.a, expected, rtol=1e-5)


def test_eigenmodes_gather_at_the_driven_site(chains) -> None:
    module = example("hatano_nelson")
    np.testing.assert_array_equal(np.argmax(chains.modes, axis=1), [0, module.MIDDLE, module.LAST])
    site = np.arange(1, module.SITES + 1)
    modes = (1 - module.GAMMA_K[-1]) ** (site[:, None] / 2) * np.sin(np.pi * np.outer(site, site) / (module.SITES + 1))
    skin = np.mean((modes / np.linalg.norm(modes, axis=0)) ** 2, axis=1)
    # Round-off times the condition of eigenmodes that fall off by .2^4 along the chain, 1e3.
    np.testing.assert_allclose(chains.ideal_modes, skin, rtol=1e-9)
    np.testing.assert_allclose(chains.modes[0], skin, rtol=1e-4)  # the regularised law, ~1e-6 a site, times that 1e3


@pytest.mark.parametrize("detuning", [0.0, 0.7])
def test_chain_of_two_is_the_pair(detuning: float) -> None:
    module = example("hatano_nelson")
    chain = module.chain(tcmt.NonlocalLoss, 0.8, length=2)
    for epsilon, atol in ((1e-4, 1e-12), (None, 1e-6)):  # round-off; the regularised law, γ_k ε²/(2Gρ³) ~ 3e-7
        law = tcmt.NonlocalLoss(0.8, mode=1, sensed=0, epsilon=epsilon)
        pair = tcmt.two_resonators((0.0, 0.0), (0.6, 0.6), (0.2, 0.2), 1.0, law)
        for site in (0, 1):
            expected = tcmt.steady_state(pair, detuning, jnp.eye(2)[site]).s_minus
            found = module.driven(chain, site, detuning).s_minus
            np.testing.assert_allclose(found[:2], expected, atol=atol)
            assert not np.any(found[2:])


def test_chain_has_one_response_up_to_the_bound() -> None:
    """Two states differ by no less than the least eigenvalue G − γ_k cos π/(N + 1) of what brings them together."""
    module = example("hatano_nelson")
    gamma_k, site = 0.8, np.arange(1, module.SITES + 1)
    least = 0.8 - gamma_k * np.cos(np.pi / (module.SITES + 1))
    assert least > 0
    chain = module.chain(tcmt.NonlocalLoss, gamma_k)

    def pulled(a: np.ndarray, b: np.ndarray) -> float:
        force = (chain.matrices().gamma - 1j * chain.matrices().omega) @ (a - b)
        force += sum(law.damping(jnp.asarray(a)) - law.damping(jnp.asarray(b)) for law in chain.laws)
        return float(np.vdot(a - b, force).real / np.vdot(a - b, a - b).real)

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(20, module.SITES)) + 1j * rng.normal(size=(20, module.SITES)) for _ in range(2))
    assert min(pulled(x, y) for x, y in zip(a, b, strict=True)) >= least
    closest = np.ones(module.SITES) + 0j
    worst = 0.1 * (-1.0) ** site * np.sin(np.pi * site / (module.SITES + 1))
    assert pulled(closest + worst, closest) == pytest.approx(least, abs=1e-7)  # attained; ε² = 1e-8 off


ROUND = ([1, 2, 0], [0, 1, 2])  # out, into: what passes when the wave goes 0 → 1 → 2 → 0
BACK = ROUND[::-1]


@pytest.fixture(scope="module", autouse=True)
def one_pair_of_circulators() -> Iterator[None]:
    """Two designs take seconds to compile: the figure and its tests share them."""
    module = example("circulator")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "compute", functools.cache(module.compute))
        yield


@pytest.fixture(scope="module")
def circulators():
    return example("circulator").compute(True)  # as `main` calls it, or the cache would not know it again


def decibels(s: np.ndarray) -> np.ndarray:
    return 20 * np.log10(np.abs(s))


def passed_on(s: Array) -> np.ndarray:
    """S†S, the power that leaves as a form in the incoming waves."""
    matrix = np.asarray(s)
    return matrix.conj().swapaxes(-1, -2) @ matrix


def test_circulator_starts_reciprocal(circulators) -> None:
    start = np.asarray(circulators.scattering[0])
    np.testing.assert_allclose(start, start.swapaxes(1, 2), atol=1e-14)  # round-off of entries below 1
    omega = example("circulator").START.matrices().omega
    assert not np.any(omega.imag)
    np.testing.assert_array_equal(circulators.path[0], omega)


def test_circulators_conserve_power(circulators) -> None:
    # Round-off of three modes that are well conditioned.
    np.testing.assert_allclose(passed_on(circulators.scattering), np.eye(3) + 0 * circulators.scattering, atol=1e-12)
    for model in (circulators.tuned, circulators.broad):
        assert model.lossless
        assert tcmt.passivity_margin(model) >= -1e-12
    assert np.all(np.linalg.eigvalsh(passed_on(circulators.absorbing)) < 1)


def test_circulator_goes_round_one_way(circulators) -> None:
    cyclic = np.zeros((3, 3))
    cyclic[ROUND] = 1
    tuned, broad = (np.abs(scattering(model, jnp.zeros(1))[0]) for model in (circulators.tuned, circulators.broad))
    # The optimiser stopped at a gradient of 1e-8 with curvatures of order 1; what leaks is linear in what is left.
    np.testing.assert_allclose(tuned, cyclic, atol=1e-7)
    np.testing.assert_allclose(broad, cyclic, atol=10 ** (-29.3 / 20))  # the level that the text gives
    np.testing.assert_allclose(1 - tuned[ROUND] ** 2, 0, atol=1e-12)  # quadratic in what leaks: no insertion loss


def test_circulator_arrives_at_the_closed_form(circulators) -> None:
    module = example("circulator")
    omega, D = module.at_ports(circulators.tuned)
    np.testing.assert_allclose(np.abs(omega), 1 - np.eye(3), atol=1e-7)  # the same gradient of 1e-8
    np.testing.assert_allclose(D, 2**0.5 * np.eye(3), atol=1e-14)
    assert module.flux(omega) == pytest.approx(-np.pi / 2, abs=1e-7)
    assert module.flux(circulators.path[-1]) == pytest.approx(-np.pi / 2, abs=1e-7)


@pytest.mark.parametrize("gamma", [(1.0, 1.0, 1.0), (0.3, 1.0, 2.2)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_flux_alone_decides_which_way_the_ring_goes(gamma: tuple[float, ...], sign: int) -> None:
    """|κ_ij| = √(γ_i γ_j) and arg Ω01 Ω12 Ω20 = −π/2 make a circulator 0 → 1 → 2 → 0, whatever the single phases."""
    phases = np.array([0.3, -1.9, sign * np.pi / 2 + 1.6])
    omega = np.zeros((3, 3), complex)
    omega[BACK] = np.sqrt(np.multiply(*np.array(gamma)[list(ROUND)])) * np.exp(1j * phases)
    model = tcmt.passive_modes(omega + omega.conj().T, np.diag(np.sqrt(2 * np.array(gamma))))
    assert example("circulator").flux(model.matrices().omega) == pytest.approx(sign * np.pi / 2, abs=1e-14)
    cyclic = np.zeros((3, 3))
    cyclic[ROUND if sign < 0 else BACK] = 1
    np.testing.assert_allclose(np.abs(scattering(model, jnp.zeros(1))[0]), cyclic, atol=1e-14)  # round-off


def test_circulator_over_detuning_and_absorption(circulators) -> None:
    data = circulators
    for s, complex_detuning in (
        (data.scattering[1], 1j * np.asarray(data.detuning)),
        (data.absorbing[0], np.asarray(data.absorption)),
    ):
        g = 1 + complex_detuning[:, None]
        common = g * (g**2 + 3)
        expected = 2 * (g + 1) / common, 2 * (g - 1) / common, (g - 1) * (g**2 - g + 2) / common
        for entries, value in zip((ROUND, BACK, ([0, 1, 2], [0, 1, 2])), expected, strict=True):
            found = np.abs(np.asarray(s)[:, entries[0], entries[1]])
            np.testing.assert_allclose(found, np.abs(value) + 0 * found, atol=1e-7)  # as on resonance


def symmetric_leak(parameters: np.ndarray, detuning: np.ndarray) -> float:
    """The worst leak in dB of three modes m = 0, ±1 that go round as e^{2πim/3}, of mean rate 1: S has a phase each."""
    rate, splitting = parameters
    rates, frequencies = np.array([3 - 2 * rate, rate, rate]), np.array([0, splitting, -splitting])
    phases = -1 + 2 * rates / (rates + 1j * (detuning[:, None] - frequencies))
    kinds = np.abs(phases @ np.exp(2j * np.pi / 3 * np.outer([0, 1, -1], [0, 1, -1]))) / 3
    return decibels(np.sort(kinds, axis=1)[:, :2]).max()


def test_broad_circulator_is_the_best_of_the_symmetric_ones(circulators) -> None:
    module = example("circulator")
    detuning = np.linspace(-module.BAND, module.BAND, 401)
    assert module.mean_rate(circulators.broad) == pytest.approx(1.0, rel=1e-14)
    best = minimize(symmetric_leak, [0.5, 0.9], (detuning,), method="Nelder-Mead", options={"xatol": 1e-6})
    worst = decibels(np.sqrt(module.powers(circulators.broad, jnp.asarray(detuning), module.LEAKS))).max(axis=0)
    # The smooth maximum, .1 dB wide, rounds off three ripples that are equal to some hundredths of a dB.
    np.testing.assert_allclose(worst, best.fun, atol=0.05)
    rates = np.linalg.eigvalsh(circulators.broad.matrices().gamma)
    # At the optimum of a worst case levels are linear in parameters, here by tens of dB each: .05 dB of them.
    np.testing.assert_allclose(rates, [best.x[0], best.x[0], 3 - 2 * best.x[0]], atol=5e-3)


def test_modes_named_by_ports_scatter_alike(circulators) -> None:
    omega, D = map(np.asarray, example("circulator").at_ports(circulators.broad))
    np.testing.assert_allclose(D, D.conj().T, atol=1e-14)
    assert np.all(np.linalg.eigvalsh(D) > 0)
    s = -np.eye(3) + D @ np.linalg.solve(0.3j * np.eye(3) - 1j * omega + D @ D / 2, D)
    np.testing.assert_allclose(s, scattering(circulators.broad, jnp.array([0.3]))[0], atol=1e-13)  # round-off


def test_circulators_have_the_numbers_of_the_text(circulators) -> None:
    module = example("circulator")
    edge = np.asarray(scattering(circulators.tuned, jnp.array([-0.4, 0.4])))
    np.testing.assert_allclose(decibels(edge[:, 1, 0] / edge[:, 0, 1]), 14.1, atol=0.05)
    band = np.asarray(scattering(circulators.broad, jnp.linspace(-0.4, 0.4, 401)))
    assert decibels(band[:, *ROUND] / band[:, *BACK]).min() > 29.3
    assert decibels(band[:, [0, 1, 2], [0, 1, 2]]).max() < -29.3
    omega, D = module.at_ports(circulators.broad)
    np.testing.assert_allclose(np.abs(D[0]) ** 2 / 2, [0.91, 0.05, 0.05], atol=5e-3)
    np.testing.assert_allclose(np.abs(omega), 0.58 * (1 - np.eye(3)), atol=5e-3)
    assert module.flux(omega) == pytest.approx(-np.pi / 2, abs=1e-6)
    np.testing.assert_allclose(np.linalg.eigvalsh(D) ** 2 / 2, [0.54, 0.54, 1.91], atol=5e-3)
    tenth = np.asarray(circulators.absorbing[:, 4])
    assert circulators.absorption[4] == pytest.approx(0.1, rel=1e-14)
    np.testing.assert_allclose(-decibels(tenth[:, 1, 0]), [0.85, 0.79], atol=5e-3)
    np.testing.assert_allclose(decibels(tenth[:, 1, 0] / tenth[:, 0, 1]), [26.4, 30.3], atol=0.05)
