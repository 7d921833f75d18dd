"""`diffnr fit`: what it writes, of which parts of which files, and what it says of those that are not there."""

import importlib
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt

import diffnr as nr
from command_line import one_resonance, refusal
from optimize.command.cli import main
from pairs import Pair

# Imported before a test puts another `fit_modes` in its place, which it would keep.
FIT_SERIES = importlib.import_module("optimize.series_fit.fit_series")


@pytest.fixture(scope="module")
def one_line(tmp_path_factory):
    return one_resonance(tmp_path_factory.mktemp("data") / "line.csv")


class Fitted:
    """What a fit returns, as far as the command looks at it."""

    def __init__(self, data):
        self.data, self.model = data, np.array(data.num_points)

    def report(self):
        return f"{self.data.name}: {self.data.num_ports} port(s), {self.data.num_points} points"

    def plot(self):
        return plt.figure()


@pytest.fixture
def two_files(tmp_path, monkeypatch):
    """Two Touchstone files of one name in two folders, and a fit that returns at once and keeps what it was given."""
    given = []
    fit_modes = importlib.import_module("optimize.mode_fit.fit_modes")
    monkeypatch.setattr(fit_modes, "fit_modes", lambda data, *args, **kwargs: (given.append(data), Fitted(data))[1])
    monkeypatch.setitem(sys.modules, "skrf", None)  # files need nothing beside diffnr
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        s = rng.normal(size=(5, 3, 3, 2)) @ [1, 1j]
        nr.write_touchstone(tmp_path / name / "x.s3p", nr.FieldData(2 * np.pi * np.arange(1.0, 6.0), s))
    return [str(tmp_path / name / "x.s3p") for name in ("a", "b")], given


@pytest.mark.slow
def test_fit_writes_report_figure_and_model(one_line, tmp_path, capsys):
    assert main(["fit", str(one_line), "--background", "0", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "omega[0]" in printed
    assert "looks like noise" in printed
    assert (tmp_path / "out" / "report.txt").read_text(encoding="utf-8").strip() in printed
    assert (tmp_path / "out" / "fit.png").stat().st_size > 10_000
    model = nr.load(tmp_path / "out" / "model.npz")
    # A line of 0.3e9 rad/s half-width, noise 1e-3 at 81 points: the centre to a few parts in 1e4 of the width; 1 %
    # allows for all.
    assert abs(float(model.omega[0, 0].real) - 2 * np.pi * 5e9) < 0.01 * 3e8


def test_fit_chooses_the_number_of_modes_unless_it_is_given(two_files, tmp_path, monkeypatch):
    given = []
    fit_modes = importlib.import_module("optimize.mode_fit.fit_modes")
    monkeypatch.setattr(fit_modes, "fit_modes", lambda data, modes, **kwargs: (given.append(modes), Fitted(data))[1])
    for chosen in ([], ["--modes", "3"], ["--modes", "auto"]):
        assert main(["fit", two_files[0][0], *chosen, "--out", str(tmp_path / "out")]) == 0
    assert given == ["auto", 3, "auto"]


@pytest.mark.parametrize(
    ("band", "sentence"),
    [
        (("5.1e9", "5e9"), "within the 4.8e+09 to 5.2e+09 Hz of the file, but was 5.1e+09 5e+09."),
        (("1", "2"), "Argument --band must be the lowest and the highest frequency, within the 4.8e+09 to 5.2e+09 Hz"),
        (("5.0001e9", "5.0002e9"), "Argument --band: "),  # between two points
    ],
)
def test_a_band_without_points_is_one_line(one_line, band, sentence, tmp_path, capsys):
    assert sentence in refusal(capsys, "fit", str(one_line), "--band", *band, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_several_files_have_a_folder_each(two_files, one_line, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["fit", *two_files[0], str(one_line), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert [str(folder.relative_to(out)) for folder in sorted(out.iterdir())] == ["line", "x-1", "x-2"]
    for folder in out.iterdir():
        assert {file.name for file in folder.iterdir()} == {"report.txt", "fit.png", "model.npz"}
        assert (folder / "report.txt").read_text(encoding="utf-8").strip() in printed
        assert str(folder) in printed


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["--entry", "S21"], lambda s: s[:, 1:2, 0:1]),
        (["--entry", "s3_1"], lambda s: s[:, 2:3, 0:1]),
        (["--port", "2"], lambda s: s[:, 1:2, 1:2]),
        (["--port", "3,1"], lambda s: s[:, [2, 0]][:, :, [2, 0]]),
        (["--conjugated"], np.conj),
    ],
)
def test_a_part_of_a_file(two_files, chosen, expected, tmp_path):
    (path, _), given = two_files
    assert main(["fit", path, *chosen, "--out", str(tmp_path / "out")]) == 0
    np.testing.assert_array_equal(given[0].s, expected(np.asarray(nr.read_touchstone(path).s)))


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (["--entry", "S41"], "Argument --entry must be between the ports 1 to 3 of '"),
        (["--entry", "21"], "argument --entry: must be an S-parameter such as S21 (or S10_1), but was '21'"),
        (["--port", "4"], "Argument --port must name some of the ports 1 to 3 of '"),
        (["--port", "1,1"], "each once, but was 1,1."),
        (["--port", "0"], "argument --port: must be a port counted from 1, or several as 1,3, but was '0'"),
        (["--port", "1", "--entry", "S11"], "not allowed with argument"),
    ],
)
def test_a_part_that_there_is_not_is_one_line(two_files, chosen, sentence, tmp_path, capsys):
    assert sentence in refusal(capsys, "fit", two_files[0][0], *chosen, "--out", str(tmp_path / "out"))


def test_an_entry_that_was_not_measured_is_one_line(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("frequency_hz,S21_re,S21_im\n1,2,3\n2,3,4\n")
    said = refusal(capsys, "fit", str(tmp_path / "a.csv"), "--entry", "S12", "--out", str(tmp_path / "out"))
    assert "Argument --entry: These data lack S12" in said


def test_reciprocity_is_demanded_where_it_is_asked_for(two_files, tmp_path, monkeypatch):
    asked = []
    fit_modes = importlib.import_module("optimize.mode_fit.fit_modes")
    monkeypatch.setattr(
        fit_modes, "fit_modes", lambda data, modes, **kwargs: (asked.append(kwargs["reciprocal"]), Fitted(data))[1]
    )
    for chosen in ([], ["--reciprocal"]):
        assert main(["fit", two_files[0][0], *chosen, "--out", str(tmp_path / "out")]) == 0
    assert asked == [False, True]


def test_a_series_is_fitted_as_one(two_files, tmp_path, monkeypatch, capsys):
    given = []
    monkeypatch.setattr(
        FIT_SERIES, "fit_series", lambda datas, *args, **kwargs: (given.append((args, kwargs)), Fitted(datas[0]))[1]
    )
    monkeypatch.setattr(importlib.import_module("diffnr"), "save", lambda path, kept: path.write_text("kept"))
    values = ["--series", "-5", "5e-1", "--name", "bias (mT)", "--shared", "gamma", "--modes", "2", "--no-delay"]
    assert main(["fit", *two_files[0], *values, "--out", str(tmp_path / "out")]) == 0
    assert "Wrote report.txt, series.png and series.npz (for diffnr.load)" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"report.txt", "series.png", "series.npz"}
    ((parameter,), options) = given[0]
    assert parameter == [-5.0, 0.5]
    assert options == {
        "model": 2, "shared": ("gamma",), "name": "bias (mT)", "delay": False, "background": None,
    }  # fmt: skip


@pytest.mark.slow
def test_a_series_is_one_report_one_figure_and_one_model(tmp_path, capsys):
    files = []
    for bias in (-1, 1):
        files.append(str(tmp_path / f"{bias}.s2p"))
        nr.write_touchstone(files[-1], Pair.biased(0.5 * bias).data(1e-3, seed=bias + 1))
    out = tmp_path / "out"
    values = ["--series", "-5", "5", "--name", "bias (mT)", "--shared", "gamma", "gamma_0", "--background", "0"]
    assert main(["fit", *files, *values, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "two coupled resonators fitted to 2 data sets over bias (mT)" in printed
    assert (out / "report.txt").read_text(encoding="utf-8").strip() in printed
    assert (out / "series.png").stat().st_size > 10_000
    series = nr.load(out / "series.npz")
    assert series.shared == ("gamma[0]", "gamma[1]", "gamma_0[0]", "gamma_0[1]")
    assert series.name == "bias (mT)"
    np.testing.assert_array_equal(series.parameter, [-5.0, 5.0])
    # κ12 and κ21 change places with the bias: 20 log₁₀(1.15/.85) dB, within five errors.
    told = series.coefficient("nonreciprocity")
    assert np.all(np.abs(told.value - [-2.6255, 2.6255]) < 5 * told.error)
    assert np.all(told.error < 0.1)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (["--series", "1"], "Argument --series must give 2 values, one a file, but gives 1."),
        (["--series", "1", "x"], "argument --series: must be finite numbers, one a file, but was 'x'"),
        (["--name", "bias"], "Argument --name must go with --series"),
        (["--shared", "gamma"], "Argument --shared must go with --series"),
        (["--series", "1", "2", "--reciprocal"], "Argument --reciprocal must be left out of a series"),
        (["--series", "1", "2"], "Argument --modes must be a number in a series of files that are no two-ports."),
        (["--series", "1", "2", "--modes", "1", "--shared", "kappa12"], "Argument shared must name coefficients among"),
    ],
)
def test_a_series_that_is_none_is_one_line(two_files, chosen, sentence, tmp_path, capsys):
    assert sentence in refusal(capsys, "fit", *two_files[0], *chosen, "--out", str(tmp_path / "out"))


def test_powers_have_nothing_to_conjugate(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("frequency_hz,T\n1,2\n2,3\n")
    said = refusal(capsys, "fit", str(tmp_path / "a.csv"), "--conjugated", "--out", str(tmp_path / "out"))
    assert "Argument --conjugated must be left out" in said


def test_one_bad_file_of_several_is_refused_before_the_work(two_files, tmp_path, capsys):
    files, given = two_files
    assert "There is no file" in refusal(capsys, "fit", *files, str(tmp_path / "missing.s2p"))
    assert not given
