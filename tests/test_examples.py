"""Every example runs small and draws something."""

import ast

import numpy as np
import pytest
from matplotlib.figure import Figure

from example_scripts import EXAMPLES, close_figures, drawn_values, example  # noqa: F401 (a fixture that acts by itself)

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
# They compile for ten seconds and more each.
SLOW = {
    "absorber_isola",
    "bistable_beam",
    "isolation_map",
    "nlvib_examples",
    "bias_series",
    "circulator",
    "guide_dispersion",
    "hatano_nelson",
    "measured_beams",
    "modulated_pair",
    "one_way_pulse",
    "own_loss_law",
    "own_medium",
    "own_port_model",
    "paper1_figure3",
    "paper1_figure5",
    "paper1_figure6",
    "paper2_figure1",
    "paper2_figure2",
    "paper2_figure3",
    "paper2_figure4",
    "paper2_figure5",
    "paper2_figure6",
    "paper2_figure7",
    "reciprocity_map",
    "resistive_wall",
    "restore_by_hand",
    "surface_magnetoplasmon",
    "voigt_slab",
    "waveguide",
}
DRAWN = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES]


def test_there_are_examples() -> None:
    assert {
        "bias_series",
        "circulator",
        "guide_dispersion",
        "hatano_nelson",
        "isolation_map",
        "measured_beams",
        "modulated_pair",
        "one_way_pulse",
        "optax_by_hand",
        "own_loss_law",
        "own_medium",
        "own_port_model",
        "paper1_figure2",
        "paper1_figure3",
        "paper1_figure4",
        "paper1_figure5",
        "paper1_figure6",
        *(f"paper2_figure{i}" for i in range(1, 8)),
        "reciprocity_map",
        "resistive_wall",
        "restore_by_hand",
        "surface_magnetoplasmon",
        "voigt_slab",
        "waveguide",
    } <= set(NAMES)
    assert set(NAMES) >= SLOW


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


@pytest.mark.slow
def test_responses_of_the_waveguide_cross_where_its_norms_are_equal() -> None:
    found = example("waveguide").compute(small=True)
    last = found.resonances.size - 1
    for omega, norm in zip(found.points.omega[:2], found.points.norm[:2], strict=True):
        for response, out in ((found.forward, last), (found.backward, 0)):
            there = response.at(omega).trim()
            # Both are roots to round-off, one from the branch of one direction alone.
            assert np.min(np.abs(np.asarray(there.norm[:, out]) - float(norm))) < 1e-9
    # A lighter mass at the end that is light already makes it less reciprocal.
    phase = np.abs(np.asarray(found.locus.nonreciprocal_phase))
    assert phase[0] > phase[-1]
