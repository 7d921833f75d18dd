"""Results as tables: columns, names, batches, files that give every digit back, and xarray's data sets."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optimize as op
from diffnr import duffing
from diffnr.results import RESULTS
from orbit_branches import batch, long, short

REAL = ["omega", "norm", "phase", "harmonicity", "truncation", "stable", "piece"]


def test_a_table_has_a_row_for_each_point_and_no_empty_ones() -> None:
    branch = long()
    table = branch.table()
    assert list(table.columns) == REAL  # the parameter is omega
    assert len(table) == 5
    np.testing.assert_array_equal(table["omega"], [1.0, 1.2, 1.1, 2.0, 1.9])
    # N² = ½ Σ|b|² of amplitudes 1/ω and 2/ω with third harmonics of half the size.
    np.testing.assert_allclose(table["norm"], np.outer(1 / table["omega"], [1.0, 2.0]) * np.sqrt(0.625), rtol=1e-14)
    np.testing.assert_array_equal(table["stable"], [True, True, False, True, True])
    assert repr(branch.table(["omega", "b"])) == "Table(5 rows: omega, b[oscillator, harmonic])"


def test_columns_flat_and_structured_are_the_same_numbers() -> None:
    table = long().table(["piece", "norm", "b"])
    flat = table.flat()
    assert list(flat)[:4] == ["piece", "norm_0", "norm_1", "b_0_1_re"]
    np.testing.assert_array_equal(flat["norm_1"], table["norm"][:, 1])
    np.testing.assert_array_equal(flat["b_1_3_im"], table["b"][:, 1, 1].imag)  # the third harmonic is the second entry
    array = table.numpy()
    assert array.dtype.names == ("piece", "norm", "b")
    assert array.shape == (5,)
    np.testing.assert_array_equal(array["b"], table["b"])


def test_a_csv_file_gives_every_digit_back(tmp_path: Path) -> None:
    table = long().table(["omega", "norm", "truncation", "stable", "multipliers"])
    table.write_csv(tmp_path / "branch.csv")
    back = np.genfromtxt(tmp_path / "branch.csv", delimiter=",", names=True)
    assert set(back.dtype.names) == set(table.flat())
    for name, values in table.flat().items():
        np.testing.assert_array_equal(back[name], values)


def test_a_batch_says_whose_each_row_is() -> None:
    table = batch().table(["omega", "stable"])
    np.testing.assert_array_equal(table["element"], [0, 0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(table["omega"][:3], short().table()["omega"])
    np.testing.assert_array_equal(table["omega"][3:], long().table()["omega"])


def test_trim_of_a_batch_keeps_what_the_longest_needs() -> None:
    both = batch().trim()
    assert both.omega.shape == (2, 5)
    assert both.b.shape == (2, 5, 2, 2)
    assert both.multipliers.shape == (2, 5, 4)
    assert both.folds.omega.shape == (2, 1)
    assert (both.piece.shape, both.slope.shape) == ((2, 5), (2, 5))
    np.testing.assert_array_equal(both.points.count, [3, 5])
    np.testing.assert_array_equal(both.table()["norm"], batch().table()["norm"])
    for one, alone in zip(both.elements(), (short(), long()), strict=True):
        np.testing.assert_array_equal(one.trim().b, alone.trim().b)
        assert one.amplitude == alone.amplitude


def locus() -> op.ReciprocityLocus:
    """Four points along the mass ratio, of which the third failed."""
    value = jnp.array([1.0, 1.5, jnp.nan, 2.5])
    growth = jnp.stack([value / 2, value / 3], axis=1)
    return op.ReciprocityLocus(
        value, 2 * value, value, value, value, value, growth, ~jnp.isnan(value), RESULTS.successful, "mass_ratio"
    )


def test_loci_are_tables_whose_first_column_bears_the_name_of_what_changes() -> None:
    table = locus().table()
    assert list(table.columns)[:3] == ["mass_ratio", "ratio", "omega"]
    np.testing.assert_array_equal(table["ratio"], [2.0, 3.0, 5.0])
    assert {"stable_forward", "stable_backward"} < set(table.flat())
    np.testing.assert_array_equal(table.flat()["stable_backward"], [True, True, True])
    np.testing.assert_array_equal(table.flat()["stable_forward"], [True, True, False])
    assert locus().trim().parameter.shape == (3,)


def equal_points(kind: type, count: int) -> Any:
    """Points at ω = 1, 2, …, of which 3 have room."""
    omega = jnp.where(jnp.arange(3) < count, jnp.arange(1.0, 4.0), jnp.nan)
    b = omega[:, None, None, None] * jnp.arange(1.0, 9.0).reshape(2, 2, 2)
    return kind(omega, b + 0j, jnp.full((3, 2, 4), 0.5 + 0.0j), jnp.array(count), RESULTS.successful, (1, 3))


def equal_locus(kind: type, points: Any) -> Any:
    """A locus along the mass ratio, which is twice the frequency, without a point that is reciprocal."""
    none = op.ReciprocalPoints(points.omega[:0], equal_points(op.EqualNormPoints, 3)[:0], points.valid[:0])
    crossings, ends = jnp.zeros(2, bool), (RESULTS.successful,) * 2
    return kind(2 * points.omega, points, crossings, jnp.zeros(3, bool), none, ends, "mass_ratio")


def test_points_and_loci_of_equal_outputs_name_both_directions() -> None:
    points = equal_points(op.EqualNormPoints, 2)
    flat = points.table(["omega", "norm", "b"]).flat()
    np.testing.assert_array_equal(flat["b_1_0_3_re"], [6.0, 12.0])  # oscillator 1, driven at 0, the third harmonic
    assert flat["norm"].shape == (2,)
    locus = equal_locus(op.PhaseNonreciprocityLocus, points)
    table = locus.table()
    assert list(table.columns)[:3] == ["mass_ratio", "omega", "norm"]
    np.testing.assert_array_equal(table["mass_ratio"], [2.0, 4.0])
    both = equal_locus(op.EqualPhaseLocus, equal_points(op.EqualPhasePoints, 2)).table()
    assert {"norm_forward", "norm_backward", "stable_forward"} < set(both.flat())
    two = jax.tree_util.tree_map(lambda *x: jnp.stack(x), equal_points(op.EqualNormPoints, 1), points)
    assert two.trim().b.shape == (2, 2, 2, 2, 2)
    np.testing.assert_array_equal(two.table()["element"], [0, 1, 1])


def test_loci_of_bifurcations_have_both_parameters_and_no_stability() -> None:
    branch = long()
    amplitude, zeros = 0.1 * branch.omega, 0 * branch.omega
    locus = duffing.BifurcationLocus(
        amplitude, branch.points, zeros, zeros, RESULTS.successful, branch.driven, "amplitude", "fold"
    )
    table = locus.table()
    assert list(table.columns)[:3] == ["amplitude", "branch_parameter", "omega"]
    np.testing.assert_array_equal(table["branch_parameter"], table["omega"])
    np.testing.assert_allclose(table["amplitude"], 0.1 * table["omega"], rtol=1e-15)
    assert "stable" not in table.columns
    assert locus.trim().kappa.shape == (5,)


def test_backbones_are_tables() -> None:
    branch = short()
    line = duffing.Backbone(
        branch.norm[:, 0], branch.omega, branch.b, branch.omega, branch.count, RESULTS.successful, branch.model
    )
    table = line.table()
    assert list(table.columns) == ["parameter", "omega", "norm", "rate", "stable"]
    np.testing.assert_array_equal(table["norm"], short().table()["norm"])
    two = jax.tree_util.tree_map(lambda x: jnp.stack([x, x]), line).trim()
    assert (two.b.shape, two.rate.shape) == ((2, 3, 2, 2), (2, 3))


def test_data_sets_of_xarray_have_named_axes() -> None:
    xarray = pytest.importorskip("xarray")
    data = long().table(["omega", "norm", "b"]).xarray()
    assert isinstance(data, xarray.Dataset)
    assert dict(data.sizes) == {"row": 5, "oscillator": 2, "harmonic": 2}
    third = data.b.sel(oscillator=1, harmonic=3)
    np.testing.assert_array_equal(third, long().trim().b[:, 1, 1])
    assert "omega" in data.coords
    assert {"element", "omega"} < set(batch().table().xarray().coords)


def test_without_xarray_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(ImportError, match=r'pip install "diffnr\[xarray\]"'):
        short().table().xarray()


@pytest.mark.parametrize("columns", [["height"], "norm", [3]])
def test_a_column_that_there_is_not_is_refused(columns: object) -> None:
    with pytest.raises(ValueError, match="Argument columns must be names of columns, among 'omega', 'norm'"):
        short().table(columns)


def test_the_table_of_no_points_is_empty() -> None:
    nothing = duffing.OrbitBranch.trim(short()).points[:0].table()
    assert len(nothing) == 0
    assert nothing["norm"].shape == (0, 2)
