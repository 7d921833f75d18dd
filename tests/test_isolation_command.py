"""`diffnr isolate`: what it writes, and that its numbers and figure are those of the device."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

import diffnr as nr
from diffnr import metrics, tcmt
from optimize.command.cli import main
from optimize.command.isolation_figure import draw
from optimize.command.isolation_task import IsolationTask, read_task
from optimize.isolation.design import Design

EXAMPLE = Path(__file__).parents[1] / "examples" / "isolator.toml"


def figures(model, omega):
    response = nr.port_response(model, nr.Drive(omega))
    return [float(f(response, out=0, into=1)) for f in (metrics.isolation, metrics.insertion_loss, metrics.contrast)]


def worst(model, corners, omegas):
    cases = np.array([figures(nr.replace(model, corner(model)), omega) for corner in corners for omega in omegas])
    return {"isolation": cases[:, 0].min(), "insertion_loss": cases[:, 1].max(), "contrast": cases[:, 2].min()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("isolate") / "out"
    assert main(["isolate", str(EXAMPLE), "--out", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_the_numbers_are_those_of_the_saved_device(written):
    numbers = json.loads((written / "design.json").read_text(encoding="utf-8"))
    model = nr.load(written / "model.npz")
    for path, value in numbers["values"].items():
        np.testing.assert_array_equal(nr.get(model, path), value)  # JSON has all digits
    omegas = np.linspace(-2.0, 2.0, 21)

    def corner(signs):
        a, b = signs
        return lambda m: {"kappa": m.kappa + 0.05 * a, "loss.gamma_k": m.loss.gamma_k + 0.03 * b}

    box = [corner(signs) for signs in ((0, 0), *itertools.product((-1, 1), repeat=2))]
    # The same formulas one by one: round-off.
    assert numbers["worst"] == pytest.approx(worst(model, box, omegas), abs=1e-9)
    assert numbers["without_tolerances"] == pytest.approx(worst(model, [corner((0, 0))], omegas), abs=1e-9)
    before = read_task(EXAMPLE).model
    assert numbers["before"]["worst"] == pytest.approx(worst(before, box, omegas), abs=1e-9)
    assert numbers["before"]["values"] == {"gamma": [3.0, 3.0], "loss.gamma_k": 1.5}
    assert (numbers["feasible"], numbers["converged"]) == (True, True)
    assert numbers["active"] == "max_insertion_loss"
    assert numbers["worst"]["insertion_loss"] == pytest.approx(4.4, abs=2e-6)  # a limit is met within 1e-6 dB
    assert numbers["objective"] == numbers["worst"]["isolation"] > numbers["before"]["worst"]["isolation"] + 10


@pytest.mark.slow
def test_the_report_holds_the_design_and_the_configuration(written):
    report = (written / "report.md").read_text(encoding="utf-8")
    numbers = json.loads((written / "design.json").read_text(encoding="utf-8"))
    assert EXAMPLE.read_text(encoding="utf-8").strip() in report
    assert numbers["message"] in report
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.splitlines() if line.startswith("|")]
    table = {row[0]: row[1:] for row in rows}
    assert table[""] == ["before", "design", "design, nothing off"]
    for name, text in (("isolation", "isolation (dB)"), ("insertion_loss", "insertion loss (dB)")):
        expected = [numbers[part][name] for part in ("worst", "without_tolerances")]
        assert list(map(float, table[text][1:])) == pytest.approx(expected, abs=5.1e-5)  # printed digits
    assert table["gamma"][2:] == ["[0.5, 8]", ""]
    assert table["kappa"] == ["3", "not free", "", "± 0.05"]
    assert "(isolation.png)" in report
    assert (written / "isolation.png").stat().st_size > 20_000


def sketch(tmp_path, text):
    """A task, and a design that is not searched for: the model as it is."""
    model = """
[model]
kind = "two_resonators"
omega = [0, 0]
gamma = [3, 3]
gamma_0 = [0.5, 0.5]
kappa = 3
loss = {kind = "nonlocal", gamma_k = 2.5, mode = 1, sensed = 0}
[design]
free = "loss.gamma_k"
out = 0
into = 1
"""
    (tmp_path / "device.toml").write_text(model + text, encoding="utf-8")
    task = read_task(tmp_path / "device.toml")
    at = task.assess(task.model)
    numbers = (at.isolation, at.insertion_loss, at.contrast)
    design = Design(
        task.model, at.isolation, {"loss.gamma_k": task.model.loss.gamma_k}, *numbers, True, "none", True, 1, ""
    )
    return task, design


def test_the_figure_shows_the_response(tmp_path):
    task, design = sketch(
        tmp_path, 'goal = "isolation"\nomega = 0.5\n[tolerances]\nkappa = 0.1\n[figure]\nband = [-4, 4]'
    )
    figure = draw(task, design)
    for ax, which in zip(figure.axes, (1, 0), strict=True):
        lines = {line.get_label(): line.get_xydata() for line in ax.lines}
        for x, y in (*lines["design"][::100], *lines["before"][::100]):
            assert y == pytest.approx(figures(task.model, x)[which], abs=1e-9)  # the same formulas
        ((at, level),) = lines["worst"]
        assert (at, level) == (0.5, (design.isolation, design.insertion_loss)[which])
        spread = next(c for c in ax.collections if c.get_label() == "within tolerances").get_paths()[0].vertices
        corners = [figures(nr.replace(task.model, {"kappa": kappa}), 0.0)[which] for kappa in (2.9, 3.0, 3.1)]
        middle = spread[np.abs(spread[:, 0]) < 1e-9, 1]
        assert [middle.min(), middle.max()] == pytest.approx([min(corners), max(corners)], abs=1e-9)
        assert ax.get_xlim() == (-4.0, 4.0)
    plt.close(figure)


def test_what_is_blocked_wholly_is_drawn_at_the_cap(tmp_path):
    task, design = sketch(tmp_path, 'goal = "isolation"\nband = [-1, 1]\nisolation_cap = 40')
    model = nr.replace(task.model, {"loss.gamma_k": 3.5})
    figure = draw(task, Design(**{**vars(design), "model": model, "isolation": np.inf}))
    right = figure.axes[1]
    lines = {line.get_label(): line.get_ydata() for line in right.lines}
    assert np.all(lines["design"] == 40.0)
    assert np.all(lines["worst in the band"] == 40.0)
    assert "drawn up to 40" in right.get_ylabel()
    assert "∞" in right.get_title(loc="left")
    plt.close(figure)


def test_frequencies_are_ordinary_where_the_unit_says_so(tmp_path):
    model = tcmt.TwoResonators(
        2 * np.pi * np.array([5e9, 5e9]), (1e8, 1e8), (1e7, 1e7), 1e8, tcmt.NonlocalLoss(5e7, 1, 0)
    )
    omega = float(2 * np.pi * 5e9)
    given = {"free": ("kappa",), "out": 0, "into": 1, "omega": omega}
    task = IsolationTask("ring", "", model, "rad/s", "contrast", given, {})
    at = task.assess(model)
    numbers = (at.isolation, at.insertion_loss, at.contrast)
    figure = draw(task, Design(model, at.contrast, {"kappa": model.kappa}, *numbers, True, "none", True, 1, ""))
    left = figure.axes[0]
    assert left.get_xlabel() == "Frequency (GHz)"
    low, high = left.get_xlim()
    # Splitting by κ and the rate γ + γ0 on either side, over 2π.
    assert (low, high) == pytest.approx((5 - 0.21 / (2 * np.pi), 5 + 0.21 / (2 * np.pi)), rel=1e-9)
    plt.close(figure)


@pytest.mark.parametrize(
    ("unit", "label"),
    [
        ("MHz", r"Frequency $\omega/2\pi$ (MHz)"),  # hertz are of a frequency, not of an angular one
        ("10⁶ rad/s", r"Angular frequency $\omega$ (10⁶ rad/s)"),
        ("", r"Angular frequency $\omega$"),
    ],
)
def test_the_axis_says_which_frequency_it_is(unit, label, tmp_path):
    task, design = sketch(tmp_path, 'goal = "isolation"\nomega = 0.5\n[figure]\nband = [-4, 4]')
    figure = draw(task._replace(unit=unit), design)
    for ax in figure.axes:
        assert ax.get_xlabel() == label
        assert ax.get_xlim() == (-4.0, 4.0)
    plt.close(figure)
