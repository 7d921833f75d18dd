"""`diffnr restore`: what it writes, that its numbers are those of the saved pair, and what it says of bad files."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

import diffnr as nr
from diffnr import metrics
from optimize.command.cli import main
from optimize.command.restoration_task import read_task
from optimize.reciprocity.figure import scientific

EXAMPLE = Path(__file__).parents[1] / "examples" / "restore.toml"
PAIR = "[pair]\nmass_ratio = 2\ncoupling = 5\ncubic = 1\ndamping = 0.05\n"
RESTORE = '[restore]\namplitude = 0.15\nfree = "stiffness_ratio"\nresonance = 1\n'


def run(folder: Path, text: str) -> int:
    (folder / "pair.toml").write_text(text, encoding="utf-8")
    return main(["restore", str(folder / "pair.toml"), "--out", str(folder / "out")])


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The example with a short locus; each part of it compiles for seconds."""
    folder = tmp_path_factory.mktemp("restore")
    text = EXAMPLE.read_text(encoding="utf-8").replace("points = 21", "points = 3")
    assert run(folder, text) == 0
    return folder


@pytest.fixture(scope="module")
def numbers(written) -> dict:
    return json.loads((written / "out" / "restoration.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_point_is_that_of_independent_solvers(numbers) -> None:
    assert numbers["ratio"] == pytest.approx(12.02383, abs=5e-6)  # the digits given, here and below
    assert numbers["omega"] == pytest.approx(3.320215, abs=5e-7)
    assert numbers["reciprocity_norm"] == pytest.approx(1.065331e-5, rel=5e-7)
    assert numbers["one_harmonic"] == pytest.approx({"ratio": 12.0272182, "omega": 3.3207256}, abs=5e-8)
    assert numbers["stable"] == {"forward": True, "backward": True}
    assert numbers["approximate"] is True
    assert numbers["condition"] is None  # of equal_norm only


@pytest.mark.slow
def test_the_numbers_are_those_of_the_saved_pair(written, numbers) -> None:
    model = nr.load(written / "out" / "model.npz")
    assert float(model.stiffness_ratio) == numbers["ratio"]  # JSON has all digits
    response = nr.port_response(model, nr.Drive(numbers["omega"], numbers["amplitude"]))
    # The same orbits by another way, on the only branch there is: to the solver's √ε of an R that is 1e-4 of them.
    assert float(metrics.reciprocity_norm(response)) == pytest.approx(numbers["reciprocity_norm"], rel=1e-6)
    # Steps of 1.5e-8 of the motion's size, .16, beside an R of 1.1e-5.
    assert numbers["reciprocity_norm_by_integration"] == pytest.approx(numbers["reciprocity_norm"], rel=1e-3)


@pytest.mark.slow
def test_the_locus_begins_at_the_equal_pair_and_holds_the_point(numbers) -> None:
    locus = numbers["locus"]
    assert locus["along"] == "mass_ratio"
    assert locus["parameter"] == [1.0, 2.0, 3.0]
    assert locus["ratio"][0] == pytest.approx(1.0, abs=1e-9)  # roots to round-off
    assert locus["ratio"][1] == pytest.approx(numbers["ratio"], rel=1e-9)
    np.testing.assert_allclose(np.diff(locus["ratio"]), 11.0272, rtol=1e-3)  # ω*², the closed form's slope


@pytest.mark.slow
def test_the_report_holds_the_point_and_the_configuration(written, numbers) -> None:
    report = (written / "out" / "report.md").read_text(encoding="utf-8")
    assert numbers["message"] in report
    assert "approximately" in report
    assert "points = 3" in report
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.splitlines() if line.startswith("|")]
    table = {row[0]: row[1:] for row in rows}
    assert float(table["stiffness_ratio"][0]) == pytest.approx(numbers["ratio"], rel=1e-8)  # printed digits
    assert float(table["R"][0]) == pytest.approx(numbers["reciprocity_norm"], rel=1e-6)
    assert [row[0] for row in rows if row[0] in ("1", "2", "3")] == ["1", "2", "3"]  # of the locus
    assert "(restoration.png)" in report
    assert (written / "out" / "restoration.png").stat().st_size > 20_000
    plt.close("all")


@pytest.mark.slow
def test_a_search_that_does_not_arrive_is_said_in_one_sentence(tmp_path, capsys) -> None:
    pair = PAIR.replace("mass_ratio = 2", "mass_ratio = 40")
    assert run(tmp_path, pair + '[restore]\namplitude = 40\nfree = "stiffness_ratio"\nresonance = 0\n') == 2
    error = capsys.readouterr().err
    assert "pair.toml': [restore]: The " in error
    assert "Lower the amplitude" in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


def test_the_example_is_what_its_page_says() -> None:
    task = read_task(EXAMPLE)
    assert task.arguments == {
        "amplitude": 0.15, "free": "stiffness_ratio", "resonance": 1, "at": "peak", "num_harmonics": 9,
    }  # fmt: skip
    assert task.locus == {"along": "mass_ratio", "bounds": (1.0, 3.0), "points": 21}
    assert task.figure == {"band": (0.5, 4.0)}
    assert float(task.pair.mass_ratio) == 2.0


def test_ratios_left_out_are_one(tmp_path) -> None:
    (tmp_path / "pair.toml").write_text(PAIR + RESTORE, encoding="utf-8")
    task = read_task(tmp_path / "pair.toml")
    assert (float(task.pair.stiffness_ratio), float(task.pair.cubic_ratio)) == (1.0, 1.0)
    assert task.locus is None
    assert task.along() is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pair = 1", "must have the key 'restore' (a table), but lacks it."),
        (PAIR.replace("coupling", "copling") + RESTORE, "has the unknown key 'copling': did you mean 'coupling'?"),
        (PAIR.replace("damping = 0.05", "") + RESTORE, "[pair] must have the key 'damping' (a number), but lacks it."),
        (PAIR.replace("mass_ratio = 2", "mass_ratio = -2") + RESTORE, "[pair]: Argument mass_ratio must"),
        (PAIR + RESTORE.replace("stiffness_ratio", "loss"), "The key 'free' of [restore] must be \"stiffness_ratio\""),
        (PAIR + RESTORE.replace("resonance = 1", "resonance = 2"), "whole number between 0 and 1, but was 2."),
        (
            PAIR + RESTORE.replace("resonance = 1", "resonance = 0.5"),
            "The key 'resonance' of [restore] must be a whole",
        ),
        (PAIR + RESTORE + "num_harmonics = 0", "'num_harmonics' of [restore] must be a whole number"),
        (
            PAIR + RESTORE + 'at = "anti"',
            'The key \'at\' of [restore] must be "peak" or "equal_norm"',
        ),
        (
            PAIR + RESTORE + '[locus]\nalong = "stiffness_ratio"\nbounds = [1, 2]',
            "The key 'along' of [locus] must differ from 'free' of [restore], but both were 'stiffness_ratio'.",
        ),
        (
            PAIR + RESTORE + '[locus]\nalong = "mass_ratio"\nbounds = [2, 1]',
            "The key 'bounds' of [locus] must be a pair of finite numbers [lowest, highest], but was [2, 1].",
        ),
        (
            PAIR + RESTORE + '[locus]\nalong = "mass_ratio"\nbounds = [1, 2]\npoints = 1',
            "The key 'points' of [locus] must be a whole number between 2 and 100000, but was 1.",
        ),
        (
            PAIR + RESTORE + '[locus]\nalong = "mass_ratio"\nbounds = [0, 2]',
            "The key 'bounds' of [locus] must be a pair of positive, finite numbers [lowest, highest], but was [0, 2].",
        ),
        (
            PAIR + RESTORE + "max_steps = 99999999999999999999",
            "The key 'max_steps' of [restore] must be a whole number between 1 and 1000000, but was 1e+20.",
        ),
        (
            PAIR + RESTORE + "[figure]\nband = [0, 4]",
            "The key 'band' of [figure] must be a pair of positive, finite numbers [lowest, highest], but",
        ),
        (
            PAIR + RESTORE + "[figure]\nmax_points = 1",
            "The key 'max_points' of [figure] must be a whole number between 2 and 100000, but was 1.",
        ),
        ("[pair", "is not a TOML file:"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(text: str, sentence: str, tmp_path, capsys) -> None:
    assert run(tmp_path, text) == 2
    error = capsys.readouterr().err
    assert error.startswith("diffnr: File '")
    assert "pair.toml" in error
    assert sentence in error
    assert error.count("\n") == 1


def test_no_file_is_one_sentence(tmp_path, capsys) -> None:
    assert main(["restore", str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().err == f"diffnr: There is no file {str(tmp_path / 'none.toml')!r}.\n"


def test_help_describes_the_file(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["restore", "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for table in ("[pair]", "[restore]", "[locus]", "[figure]"):
        assert table in printed
    assert max(map(len, printed.splitlines())) <= 120


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0142, "0.0142"), (8.76014e-3, r"8.76 \times 10^{-3}"), (-1.5e-8, r"-1.50 \times 10^{-8}")],
)
def test_numbers_in_mathematics(value: float, text: str) -> None:
    assert scientific(value) == text
