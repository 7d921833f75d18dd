"""Figures of branches and loci: what is solid, dashed and marked, and how curves are told apart."""

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from diffnr import plot
from diffnr.plot.branches import stable_lines
from orbit_branches import batch, long, short
from test_tables import locus


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(ax: plt.Axes, style: str) -> list:
    return [line for line in ax.lines if len(line.get_xdata()) and line.get_linestyle() == style]


def legend(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_stable_parts_are_solid_and_unstable_ones_dashed_up_to_the_next_point() -> None:
    ax = plt.figure().add_subplot()
    stable = np.array([True, False, True, True, True])
    stable_lines(ax, np.arange(5.0), 10 * np.arange(5.0), stable, np.array([0, 0, 0, 0, 1]), label="one")
    solid, dashed = ax.lines
    # From 0 to 1, and from 2 to 3; the last point is alone in its piece.
    np.testing.assert_array_equal(solid.get_xdata(), [0, 1, np.nan, 2, 3, np.nan, 4])
    np.testing.assert_array_equal(solid.get_ydata(), 10 * solid.get_xdata())
    np.testing.assert_array_equal(dashed.get_xdata(), [1, 2])
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert (solid.get_label(), dashed.get_label()[0]) == ("one", "_")


def test_a_curve_without_a_point_is_drawn_as_none() -> None:
    ax = plt.figure().add_subplot()
    stable_lines(ax, np.zeros(0), np.zeros(0), np.zeros(0, bool), label="locus")
    assert len(ax.lines) == 0


def test_a_branch_with_its_fold() -> None:
    ax = plot.branch(long(), out=1)
    [solid], [dashed], [fold] = (drawn(ax, style) for style in ("-", "--", "None"))
    np.testing.assert_array_equal(solid.get_xdata(), [1.0, 1.2, 1.1, np.nan, 2.0, 1.9])
    np.testing.assert_allclose(solid.get_ydata(), 2 / solid.get_xdata() * np.sqrt(0.625), rtol=1e-14)
    np.testing.assert_array_equal(dashed.get_xdata(), [1.1])  # no line to the other piece
    np.testing.assert_array_equal(fold.get_xdata(), [1.3])
    np.testing.assert_allclose(fold.get_ydata(), [2 / 1.3 * np.sqrt(0.625)], rtol=1e-14)
    assert legend(ax) == ["unstable", "fold"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"frequency $\omega$", "norm $N_{2}$")
    assert len(plot.branch(long(), marks=False).lines) == 3  # the last is the legend's


def test_curves_of_a_batch_are_told_apart_by_a_number() -> None:
    ax = plot.branch([batch(), short()], by="amplitude")
    assert legend(ax)[0] == "amplitude = 0.1"
    assert legend(ax).count("amplitude = 0.1") == 2
    assert "amplitude = 0.2" in legend(ax)
    assert [to_hex(line.get_color()) for line in drawn(ax, "-")] == [colour.lower() for colour in plot.COLOURS[:3]]
    assert legend(plot.branch(short(), by="damping"))[0] == "damping = 0.05"  # a leaf of the model


def test_many_curves_have_a_scale_of_colours() -> None:
    ax = plot.branch([short()] * 9, labels=[str(k) for k in range(9)], marks=False)
    assert len({to_hex(line.get_color()) for line in drawn(ax, "-")}) == 9


def test_a_second_call_draws_on_the_same_axes_with_one_legend() -> None:
    ax = plot.branch(long(), labels="here", colours="red")
    assert plot.branch(short(), labels="there", colours="blue", ax=ax) is ax
    assert legend(ax) == ["here", "unstable", "fold", "there"]
    assert to_hex(drawn(ax, "-")[-1].get_color()) == "#0000ff"


def test_a_locus_is_drawn_over_any_of_its_columns() -> None:
    ax = plot.branch(locus(), y="ratio")
    np.testing.assert_array_equal(drawn(ax, "-")[0].get_xdata(), [1.0, 1.5, 2.5])
    np.testing.assert_array_equal(drawn(ax, "--")[0].get_ydata(), [5.0])  # the forward orbit is unstable
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mass ratio", "ratio")
    over = plot.branch(locus(), x="omega", y="growth", out=1)
    np.testing.assert_allclose(drawn(over, "-")[0].get_ydata(), np.array([1.0, 1.5, 2.5]) / 3, rtol=1e-15)


def test_heights_may_be_a_function_of_curves_and_of_the_points_marked() -> None:
    ax = plot.branch(short(), y=lambda points: 2 * points.norm[:, 0])
    for style, omega in (("-", [1.0, 1.2, 1.1]), ("None", [1.3])):
        [line] = drawn(ax, style)
        np.testing.assert_allclose(line.get_ydata(), 2 / np.array(omega) * np.sqrt(0.625), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: plot.branch(short(), y=lambda points: points.norm), r"Argument y must be a function .* \[point\]"),
        (lambda: plot.branch([]), "Argument curves must be at least one, but was none"),
        (lambda: plot.branch([1.0]), "Argument curves must be a branch or a locus, or a list of them"),
        (lambda: plot.branch(short(), y="height"), "Argument y must be one of 'omega', 'norm'.*but was 'height'"),
        (lambda: plot.branch(locus()), "Argument y must be one of 'mass_ratio', 'ratio'"),
        (lambda: plot.branch(short(), out=2), "Argument out must be a oscillator|Argument out must be"),
        (lambda: plot.branch(short(), by="height"), "Argument by must be the name of a number that all curves have"),
        (lambda: plot.branch(short(), by="damping", labels="a"), "Argument labels must be left out where by is given"),
        (lambda: plot.branch([short()] * 2, labels="a"), r"Argument labels must be 2 text\(s\)"),
        (lambda: plot.branch(short(), colours="no colour"), "Argument colours must be a colour that matplotlib knows"),
    ],
)
def test_bad_input_is_named(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
