"""Every example runs small and draws something, and what it draws is the checked physics."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffnr import tcmt

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
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
    assert {"isolation_map", "optax_by_hand", "paper1_figure2", "paper1_figure3"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
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
    assert values.size > 20
    assert np.all(np.isfinite(values))
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


def test_figure_3_newton_agrees_with_the_closed_form() -> None:
    module = example("paper1_figure3")
    data = module.compute(small=True)
    forward, backward = module.over_grid(module.CUTS, data.newton_kappa)
    np.testing.assert_allclose(data.newton_backward, backward, atol=1e-6)
    # ε = 1e-4 changes ρ by at most (κε²/2G)^{1/3} ≈ 1e-3 (at γ_k = κ), and |t21| by less than twice that.
    np.testing.assert_allclose(data.newton_forward, forward, atol=2e-3)
    assert not np.array_equal(data.newton_forward, forward)  # it is another solver


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
